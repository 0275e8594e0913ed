#!/bin/sh
# Fetches the source of a host as a Debian source package, with a list of its own that leaves the
# machine's alone, and prints the folder. Nothing of it enters the repository.
#
#     tests/dropin/fetch.sh redis-7.0.15|redis-8.0.2|wrk-4.1.0|cmocka-1.1.5 [DIRECTORY]
set -eu
case $1 in
redis-7.0.15) package=redis release=bookworm epoch=5: revisions="1~deb12u7" ;;
redis-8.0.2) package=redis release=trixie epoch=5: revisions="3+deb13u2 3+deb13u1" ;;
wrk-4.1.0) package=wrk release=bookworm epoch= revisions=3 ;;
cmocka-1.1.5) package=cmocka release=bookworm epoch= revisions=2.1 ;;
*) echo "fetch: no such host: $1" >&2 && exit 2 ;;
esac
version=${1#"$package"-}
mirror=http://deb.debian.org/debian
box=${2:-build/dropin}
mkdir -p "$box/apt/lists/partial" "$box/apt/cache/archives/partial"
box=$(cd "$box" && pwd)
cd "$box"

fromApt() {
    echo "deb-src $mirror $release main" >apt/sources.list
    options="-q -o Dir::Etc::SourceList=$box/apt/sources.list -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::Lists=$box/apt/lists -o Dir::Cache=$box/apt/cache -o APT::Sandbox::User=root"
    apt-get $options update >&2
    full=$(apt-cache $options showsrc $package |
        sed -n "s/^Version: \($epoch$version[-+~].*\)/\1/p" | sort -V | tail -n 1)
    [ -n "$full" ] && apt-get $options source $package="$full" >&2
}

# A list may be ahead of the files. These revisions are known, and as good.
fromPool() {
    pool=$mirror/pool/main/$(echo $package | cut -c1)/$package
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

[ -d "$1" ] || fromApt || fromPool
echo "$box/$1"
