#!/bin/sh
# Builds and runs all tests, on every backend that can run here. The exit code is 0 if all passed.
set -u
cd "$(dirname "$0")/.."

printf '%s\n' '#include <stdarg.h>' '#include <stddef.h>' '#include <setjmp.h>' \
    '#include <stdint.h>' '#include <cmocka.h>' 'int main(void) { return 0; }' |
    ${CC:-cc} -x c - -lcmocka -o /dev/null 2>/dev/null || {
    echo "test: cmocka is not installed: run 'make deps', or install libcmocka-dev or the like" >&2
    exit 1
}

# Linux has the emulations of the kernels that it is not.
case $(uname) in
Linux) backends="epoll select kqueue evport" ;;
*BSD | DragonFly | Darwin) backends="kqueue select" ;;
SunOS) backends="evport select" ;;
*) backends="select" ;;
esac

failed=
run() {
    echo "== $*"
    "$@" </dev/null || failed="$failed
test: FAILED: $*"
}

# A real kernel takes the place of its emulation.
build() {
    case $(uname) in
    Linux) ${MAKE:-make} -f tests/Makefile "$@" ;;
    *) ${MAKE:-make} -f tests/Makefile KQUEUE_CPPFLAGS= KQUEUE_OBJECTS= EVPORT_CPPFLAGS= \
        EVPORT_OBJECTS= "$@" ;;
    esac
}

for backend in $backends; do
    build BACKEND=$backend all || exit 1
done
build test-anet || exit 1
[ "$(uname)" != Linux ] || build test-emulations || exit 1

run tests/embedding.sh
run tests/integration.sh build
if [ "$(uname)" = Linux ]; then
    run build/emulation/test_kqueue_emulation
    run build/emulation/test_evport_emulation
fi
for backend in $backends; do
    for suite in file_events time_events loop faults; do
        run build/$backend/test_$suite
    done
done
run build/test_anet

# Nothing is said on success: the last words are the test runner's own.
[ -z "$failed" ] || {
    echo "$failed" >&2
    exit 1
}
