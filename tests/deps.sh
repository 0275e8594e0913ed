#!/bin/sh
# Installs what the tests need, with the package manager of the machine. Does nothing where all of
# it is there.
set -eu

missing=
printf '%s\n' '#include <stdarg.h>' '#include <stddef.h>' '#include <setjmp.h>' \
    '#include <stdint.h>' '#include <cmocka.h>' 'int main(void) { return 0; }' |
    ${CC:-cc} -x c - -lcmocka -o /dev/null 2>/dev/null || missing=cmocka
for tool in curl wrk; do
    command -v $tool >/dev/null || missing="$missing $tool"
done
if [ -z "$missing" ]; then
    echo "deps: cmocka, curl and wrk are there"
    exit 0
fi

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
install() {
    echo "deps: missing:$(echo " $missing" | tr -s ' '). Running: $*"
    $sudo "$@"
}
if command -v apt-get >/dev/null; then
    $sudo apt-get update -q
    install env DEBIAN_FRONTEND=noninteractive apt-get install -y -q libcmocka-dev curl wrk
elif command -v dnf >/dev/null; then
    # wrk is not in Fedora's own collection; the tests that need it are left out then.
    install dnf install -y libcmocka-devel curl
elif command -v apk >/dev/null; then
    install apk add cmocka-dev curl wrk
elif command -v brew >/dev/null; then
    sudo=
    install brew install cmocka curl wrk
elif command -v pkg >/dev/null && [ "$(uname)" = FreeBSD ]; then
    install pkg install -y cmocka curl wrk
else
    echo "deps: no package manager that this script knows. Please install:$missing" >&2
    exit 1
fi
