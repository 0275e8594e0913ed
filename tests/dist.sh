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
[ -z "$(ls -A "libae-$version" | grep -x '\.git')" ]
cd "libae-$version"
[ "$($make -s version)" = "$version" ]
! grep -q "what is not in the tag" ae.c
$make "$@"

# A tag that is not the version is refused.
cd "$box/clone"
git -c user.name=nobody -c user.email=nobody@localhost tag -a -m "a try" v99.99.99
! $make -s dist TAG=v99.99.99 2>/dev/null
! $make -s dist TAG=no-such-tag 2>/dev/null
