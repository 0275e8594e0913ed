#!/bin/sh
# Tags a release in a clone, makes its tarball there, and builds, installs and tests the contents
# outside of any repository.
#
#     tests/checks/dist.sh [GOAL ...]     what to make in it ("test" by default)
set -eu
cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || set -- test
make=${MAKE:-make}
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
tag() {
    git -c user.name=tests -c user.email=tests@localhost tag -a -m "a test" "$1"
}

git clone -q . "$box/clone"
cd "$box/clone"
version=$($make -s version)
tag "v$version"
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
[ "$($make -s version)" = "$version" ] || fail "it has another version"
if grep -q "what is not in the tag" ae.c; then fail "it is not what the tag holds"; fi

$make install PREFIX="$box/installed"
${CC:-cc} ${CFLAGS:-} -I"$box/installed/include" tests/checks/embedding/sockets.c \
    -L"$box/installed/lib" -lae -o "$box/sockets"
"$box/sockets" | grep " $version: received" || fail "a program with the installed library fails"
$make uninstall PREFIX="$box/installed"
[ -z "$(find "$box/installed" ! -type d)" ] || fail "uninstall leaves files"
$make clean
$make "$@"

cd "$box/clone"
tag v99.99.99
for tag in v99.99.99 no-such-tag; do
    if $make -s dist TAG=$tag >"$box/said" 2>&1; then fail "$tag makes version $version"; fi
done
echo "dist: libae-$version.tar.gz is complete"
