#!/bin/sh
# Installs what the tests need, with the package manager of the machine. Does nothing where all of
# it is there.
set -eu

missing=
# has LIBRARY HEADER ...
has() {
    library=$1
    shift
    (for header in "$@"; do echo "#include <$header>"; done && echo 'int main(void) { return 0; }') |
        ${CC:-cc} -x c - -l$library -o /dev/null 2>/dev/null || missing="$missing $library"
}
has cmocka stdarg.h stddef.h setjmp.h stdint.h cmocka.h
has hiredis hiredis/async.h
for tool in curl wrk redis-server redis-cli mandoc groff pkg-config; do
    command -v $tool >/dev/null || missing="$missing $tool"
done
if [ -z "$missing" ]; then
    echo "deps: all of it is there"
    exit 0
fi

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
install() {
    echo "deps: missing:$missing. Running: $*"
    $sudo "$@"
}
if command -v apt-get >/dev/null; then
    $sudo apt-get update -q
    install env DEBIAN_FRONTEND=noninteractive apt-get install -y -q libcmocka-dev curl wrk \
        libhiredis-dev redis-server mandoc groff pkg-config
elif command -v dnf >/dev/null; then
    # wrk is not in Fedora's own collection; the tests that need it are left out then.
    install dnf install -y libcmocka-devel curl hiredis-devel redis mandoc groff pkgconf-pkg-config
elif command -v apk >/dev/null; then
    install apk add cmocka-dev curl wrk hiredis-dev redis mandoc groff pkgconf
elif command -v brew >/dev/null; then
    sudo=
    install brew install cmocka curl wrk hiredis redis mandoc groff pkg-config
elif command -v pkg >/dev/null && [ "$(uname)" = FreeBSD ]; then
    install pkg install -y cmocka curl wrk hiredis redis groff pkgconf
else
    echo "deps: no package manager that this script knows. Please install:$missing" >&2
    exit 1
fi
