#!/bin/sh
# Builds and runs all tests, on every backend that can run here. The exit code is 0 if all passed.
#
#     BACKEND=select tests/run.sh       the suites of this backend, and the model on it
#     AE_TEST='fault_1*' tests/run.sh   the tests of this name (* and ? as in a shell) in all suites
set -u
cd "$(dirname "$0")/.."

# Packages of the BSDs and of Homebrew are in directories that a compiler does not search by itself.
[ -n "${CMOCKA_LIBS:-}" ] || {
    CMOCKA_CFLAGS=$(pkg-config --cflags cmocka 2>/dev/null | sed 's/-I/-isystem /g')
    CMOCKA_LIBS=$(pkg-config --libs cmocka 2>/dev/null) || CMOCKA_LIBS=-lcmocka
}
export CMOCKA_CFLAGS CMOCKA_LIBS

printf '%s\n' '#include <stdarg.h>' '#include <stddef.h>' '#include <setjmp.h>' \
    '#include <stdint.h>' '#include <cmocka.h>' 'int main(void) { return 0; }' |
    ${CC:-cc} -x c - $CMOCKA_CFLAGS $CMOCKA_LIBS -o /dev/null 2>/dev/null || {
    echo "test: cmocka is not installed: run 'make deps', or install libcmocka-dev or the like" >&2
    exit 1
}

. tests/support/backends.sh

# Other systems than Linux test their real kernels, without the tests that need an emulation.
if [ "$(uname)" = Linux ]; then
    real= model=model anet="test_anet test_anet_plain"
else
    real="SUITES_kqueue= KQUEUE_CPPFLAGS= KQUEUE_OBJECTS="
    real="$real SUITES_evport= EVPORT_CPPFLAGS= EVPORT_OBJECTS=" model= anet=test_anet
fi

# A part of it, if one is named.
pattern=${AE_TEST:-}
everything=true
if [ -n "${BACKEND:-}" ]; then
    case " $backends " in
    *" $BACKEND "*) backends=$BACKEND anet= everything=false ;;
    *)
        echo "test: there is no backend $BACKEND here; there are: $backends" >&2
        exit 1
        ;;
    esac
fi
[ -z "$pattern" ] || everything=false model=

build() {
    ${MAKE:-make} "$@" || exit 1
}
! $everything || build examples

# Prints what is not run here, and why. A single test that is skipped prints that itself.
[ "$(uname)" = Linux ] || cat <<END
skipped: tests/checks: they need the tools of GNU and Linux
skipped: test_kqueue, test_evport, the tests of the emulations: they look into the emulations
skipped: the emulations, as other backends: they are for Linux
skipped: tests/model: it knows how the kernels and emulations of Linux differ, and no others
skipped: test_anet_plain: it hides what the headers of Linux have
END

for backend in $backends; do
    build -f tests/Makefile BACKEND=$backend $real suites $model
done
for suite in $anet; do build -f tests/Makefile $(echo $suite | tr _ -); done

failed= emulated=
run() {
    case $1 in tests/*) [ "$(uname)" = Linux ] || return 0 ;; esac
    echo "== $emulated$*"
    "$@" </dev/null || failed="$failed
test: FAILED: $emulated$*"
}

# Runs a suite. For one that has no test of the name it prints nothing.
matched=false
runSuite() {
    [ -n "$pattern" ] || {
        run "$1"
        return
    }
    "$1" </dev/null >"$1.log" 2>&1 || failed="$failed
test: FAILED: $emulated$1"
    grep -qF '[ RUN ' "$1.log" || return
    matched=true
    echo "== $emulated$1"
    cat "$1.log"
}

if $everything; then
    run tests/checks/embedding.sh
    run tests/checks/makefile.sh
    run tests/checks/doc.sh
    run tests/checks/readme.sh
    run tests/checks/integration.sh build/examples
    run tests/checks/examples.sh build/examples
    run tests/checks/portability.sh
fi
for backend in $backends; do
    for suite in build/$backend/test_*; do
        case $suite in *.*) ;; *) runSuite $suite ;; esac
    done
done
for suite in $anet; do runSuite build/$suite; done

# The emulations with the habits of other systems. Timers, and what test_life does, are the same there.
habitsOf() {
    case $1 in
    kqueue) echo dragonfly openbsd macos ;;
    netbsd) echo openbsd5 ;; # it had no EV_RECEIPT either
    evport) echo solaris ;;
    esac
}
for backend in $backends; do
    for system in $(habitsOf $backend); do
        export EMULATED_SYSTEM=$system
        emulated="EMULATED_SYSTEM=$system "
        for suite in build/$backend/test_*; do
            case $suite in *.* | *life | *time_events | *evport_emulation) ;; *) runSuite $suite ;; esac
        done
        [ -z "$model" ] || run build/$backend/model run 500
    done
    unset EMULATED_SYSTEM
    emulated=
done

# The model knows the differences of these kernels and emulations only.
for backend in ${model:+$backends}; do
    run build/$backend/model replay tests/model/corpus
    run build/$backend/model run 3000
done

# And with blocks of timers so small that these programs fill many of them.
case ${model:+$backends} in
epoll*)
    ${MAKE:-make} -f tests/Makefile BACKEND=epoll model-small || exit 1
    run build/epoll/model_small replay tests/model/corpus
    run build/epoll/model_small run 3000
    ;;
esac

[ -z "$pattern" ] || $matched || failed="$failed
test: no test is named $pattern"

# Prints nothing on success: the last output is that of the test runner.
[ -z "$failed" ] || {
    echo "$failed" >&2
    exit 1
}
