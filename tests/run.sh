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

# Linux has emulations of the kernels that it is not. Elsewhere the real ones are tested, but not
# what only an emulation can show.
model=
case $(uname) in
Linux) backends="epoll plain select kqueue netbsd evport" real= model=model ;;
*BSD | DragonFly | Darwin) backends="kqueue select" real="SUITES_kqueue=" ;;
SunOS) backends="evport select" real="SUITES_evport=" ;;
*) backends="select" real= ;;
esac
[ "$(uname)" = Linux ] ||
    real="$real KQUEUE_CPPFLAGS= KQUEUE_OBJECTS= EVPORT_CPPFLAGS= EVPORT_OBJECTS="

for backend in $backends; do
    ${MAKE:-make} -f tests/Makefile BACKEND=$backend $real suites $model || exit 1
done
${MAKE:-make} -f tests/Makefile test-anet || exit 1
[ "$(uname)" != Linux ] || ${MAKE:-make} -f tests/Makefile test-anet-plain || exit 1

failed=
run() {
    echo "== $*"
    "$@" </dev/null || failed="$failed
test: FAILED: $*"
}

run tests/embedding.sh
run tests/doc.sh
run tests/readme.sh
run tests/integration.sh build/examples
run tests/examples.sh build/examples
for backend in $backends; do
    for suite in build/$backend/test_*; do
        case $suite in *.*) ;; *) run $suite ;; esac
    done
done
run build/test_anet
[ "$(uname)" != Linux ] || run build/test_anet_plain

# The model knows how these kernels and emulations differ, and no others.
for backend in ${model:+$backends}; do
    run build/$backend/model replay tests/corpus
    run build/$backend/model run 3000
done

# Nothing is said on success: the last words are the test runner's own.
[ -z "$failed" ] || {
    echo "$failed" >&2
    exit 1
}
