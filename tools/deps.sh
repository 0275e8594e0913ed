#!/bin/sh
# Installs the packages that the tests need, with the package manager of the machine. Does nothing if
# all are installed. With DRY_RUN=1 it prints the commands and runs none.
set -eu

missing=
# Packages of the BSDs and of Homebrew are in directories that a compiler does not search by itself.
flags() {
    pkg-config --cflags --libs "$1" 2>/dev/null || echo "-l$1"
}

# has LIBRARY HEADER ...
has() {
    library=$1
    shift
    (for header in "$@"; do echo "#include <$header>"; done && echo 'int main(void) { return 0; }') |
        ${CC:-cc} -x c - $(flags $library) -o /dev/null 2>/dev/null || missing="$missing $library"
}

look() {
    missing=
    has cmocka stdarg.h stddef.h setjmp.h stdint.h cmocka.h
    has hiredis hiredis/async.h
    for tool in curl wrk redis-server redis-cli mandoc groff pkg-config bash; do
        command -v $tool >/dev/null || missing="$missing $tool"
    done
}

look
if [ -z "$missing" ] && [ -z "${DRY_RUN:-}" ]; then
    echo "deps: all of it is there"
    exit 0
fi

run() {
    if [ -n "${DRY_RUN:-}" ]; then
        echo "deps: would run: $*"
    else
        echo "deps: missing:$missing. Running: $*"
        "$@"
    fi
}

sudo=
if [ "$(id -u)" != 0 ]; then
    sudo=sudo
    command -v sudo >/dev/null || sudo=doas
fi
system=$(uname)
there() {
    command -v "$1" >/dev/null
}

# `pkg` is one program on FreeBSD and DragonFly and another on illumos and Solaris. Packages that a
# collection does not have are not in its line: wrk in Fedora's, OpenBSD's and those of illumos;
# cmocka, hiredis, mandoc and groff in the last.
if [ "$system" = SunOS ] && there pkg; then
    run $sudo pkg install bash curl pkg-config
elif there apt-get; then
    run $sudo apt-get update -q
    run $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q libcmocka-dev curl wrk \
        libhiredis-dev redis-server mandoc groff pkg-config bash
elif there dnf; then
    run $sudo dnf install -y libcmocka-devel curl hiredis-devel redis mandoc groff \
        pkgconf-pkg-config bash
elif there apk; then
    run $sudo apk add cmocka-dev curl wrk hiredis-dev redis mandoc groff pkgconf bash
elif there brew; then
    run brew install cmocka curl wrk hiredis redis mandoc groff pkg-config bash
elif there pkg; then
    run $sudo pkg install -y cmocka curl wrk hiredis redis groff pkgconf bash
elif there pkgin; then
    run $sudo pkgin -y install cmocka curl wrk hiredis redis groff pkgconf bash
elif there pkg_add; then
    run $sudo pkg_add cmocka curl hiredis redis groff bash
else
    echo "deps: no package manager that this script knows. Please install:$missing" >&2
    exit 1
fi

[ -z "${DRY_RUN:-}" ] || exit 0
look
case " $missing " in
*" cmocka "*)
    echo "deps: there still is no cmocka, which every test needs. Please build it: https://cmocka.org" >&2
    exit 1
    ;;
"  ") ;;
*) echo "deps: still missing, and left out by the tests:$missing" ;;
esac
