#!/bin/sh
# Makes the tarball of a release that does not exist, from a tag in a clone of its own, and builds and
# tests what is in it, away from any repository.
#
#     tests/dist.sh [GOAL ...]     what to make in there ("test" if nothing is named)
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- test
make=${MAKE:-make}
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT

git clone -q . "$box/clone"
cd "$box/clone"
version=$($make -s version)
git -c user.name=nobody -c user.email=nobody@localhost tag -a -m "a try" "v$version"
echo "what is not in the tag" >>ae.c
$make -s dist
cd "$box"
tar xzf "clone/libae-$version.tar.gz"
cd "libae-$version"
fail() {
    echo "dist: $1" >&2
    exit 1
}
[ ! -e .git ] || fail "there is a repository in it"
[ "$($make -s version)" = "$version" ] || fail "it is another version"
if grep -q "what is not in the tag" ae.c; then fail "it is not what the tag holds"; fi
$make "$@"

cd "$box/clone"
git -c user.name=nobody -c user.email=nobody@localhost tag -a -m "a try" v99.99.99
for tag in v99.99.99 no-such-tag; do
    if $make -s dist TAG=$tag >"$box/said" 2>&1; then fail "$tag is taken for version $version"; fi
done
echo "dist: libae-$version.tar.gz is complete"
