#!/bin/sh
# Fetches the source of a program as a Debian source package, and prints its directory. The mirrors are
# those of the machine's own apt. The package lists are stored separately, so that the machine's do not
# change. No fetched file enters the repository.
#
#     tests/dropin/fetch.sh NAME-VERSION [DIRECTORY]
#
# redis-unstable and redis-experimental are the newest releases that Debian has.
set -eu
version=${1#*-} epoch= revisions=
case $1 in
redis-6.0.16) release=bullseye epoch=5: revisions="1+deb11u2 1+deb11u1" ;;
redis-7.0.15) release=bookworm epoch=5: revisions="1~deb12u7" ;;
redis-8.0.2) release=trixie epoch=5: revisions="3+deb13u2 3+deb13u1" ;;
redis-unstable | redis-experimental) release=$version version= ;;
wrk-4.1.0) release=bookworm revisions=3 ;;
cmocka-1.1.5) release=bookworm revisions=2.1 ;;
*) echo "fetch: $1 is not one of the known sources" >&2 && exit 2 ;;
esac
package=${1%%-*}
top=$(cd "$(dirname "$0")/../.." && pwd)
box=${2:-build/dropin}
mkdir -p "$box/apt/lists/partial" "$box/apt/cache/archives/partial"
box=$(cd "$box" && pwd)
cd "$box"

# The mirrors of apt. Old releases move to an archive on the same machine.
mirrors() {
    "$top/tests/support/mirrors.sh" | tee apt/mirrors
    sed -n 's|/debian/*$|/debian-archive/debian|p' apt/mirrors
}

# The lists of a release that does not change any more may be older than their period of validity.
fromLists() {
    echo "deb-src [check-valid-until=no] $1 $release main" >apt/sources.list
    options="-q -o Dir::Etc::SourceList=$box/apt/sources.list -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::Lists=$box/apt/lists -o Dir::Cache=$box/apt/cache -o APT::Sandbox::User=root"
    apt-get $options --error-on=any update >&2 || return 1
    full=$(apt-cache $options showsrc $package |
        sed -n "s/^Version: \($epoch$version.*\)/\1/p" | sort -V | tail -n 1)
    [ -n "$full" ] || return 1
    folder=$package-$(echo "$full" | sed 's/^[0-9]*://; s/-[^-]*$//')
    [ -d "$folder" ] || apt-get $options source $package="$full" >&2
}

# A list may be newer than the files. These revisions are known, and can be used instead.
fromPool() {
    pool=$1/pool/main/$(echo $package | cut -c1)/$package
    folder=$package-$version
    for revision in $revisions; do
        name=${package}_$version-$revision.dsc
        /usr/lib/apt/apt-helper download-file "$pool/$name" "$box/$name" >&2 || continue
        sed -n '/^Checksums-Sha256:/,/^[^ ]/s/^ \([0-9a-f]*\) [0-9]* \(.*\)/\1 \2/p' "$name" |
            while read -r sum file; do
                echo "$sum  $file" | sha256sum -c --status 2>/dev/null ||
                    /usr/lib/apt/apt-helper download-file "$pool/$file" "$box/$file" SHA256:$sum >&2
            done
        dpkg-source -x "$name" >&2 && return
    done
    return 1
}

folder=$1
if [ ! -d "$1" ]; then
    tried=
    for mirror in $(mirrors); do
        tried="$tried $mirror"
        ! fromLists "$mirror" && ! fromPool "$mirror" || break
        folder=
    done
    if [ -z "$tried" ]; then
        echo "fetch: apt has no mirror: name one in /etc/apt/sources.list or sources.list.d" >&2
        exit 1
    elif [ -z "$folder" ]; then
        echo "fetch: $1 is on none of apt's mirrors:$tried" >&2
        exit 1
    fi
    # Debian uses modules of Lua from other packages, and its rules write a file for that. Here the
    # modules in Redis's own source are used.
    for patch in "$folder"/debian/patches/*/0008-Ensure-we-use-the-modules-for-third-party*; do
        [ ! -f "$patch" ] || patch -s -R -p1 -d "$folder" <"$patch"
    done
fi
echo "$box/$folder"
