#!/bin/bash
# Analysers and sanitizers that the code must pass, in addition to the tests. Without an argument: all.
#
#   tests/checks/analyse.sh static    gcc -fanalyzer, clang-tidy (.clang-tidy), cppcheck
#   tests/checks/analyse.sh memory    the tests of all backends with clang's memory sanitizer; those
#                                     of anet, which replace functions of libc, under valgrind
#   tests/checks/analyse.sh threads   two loops in two threads with the thread sanitizer, gcc and
#                                     clang
set -euo pipefail
cd "$(dirname "$0")/../.."
build=build/analyse
mkdir -p $build

need() {
    local tool
    for tool; do
        command -v "$tool" >/dev/null && continue
        echo "analyse: there is no $tool; apt-get install gcc clang libclang-rt-14-dev" \
            "clang-tidy cppcheck valgrind libcmocka-dev" >&2
        exit 1
    done
}

includes="-I. -Itests/support/kqueue -Itests/support/evport"
. tests/support/backends.sh
units="anet.c examples/*.c tests/checks/threads.c"

# Calls its arguments once for each thing to compile: `... file -DAE_BACKEND_X`.
forEachUnit() {
    local backend unit
    for backend in $(echo ae_*.c | sed 's/ae_//g; s/\.c//g' | tr a-z A-Z); do
        "$@" ae.c -DAE_BACKEND_$backend || return 1
    done
    for unit in $units; do "$@" "$unit" || return 1; done
}

# gcc 12 reports a task that is linked into a mailbox as a leak, which is wrong.
byGcc() {
    local passedOver=
    [ "$1" != examples/threads.c ] || passedOver=-Wno-analyzer-malloc-leak
    gcc -std=c11 -O2 -Wall -Wextra -Werror -fanalyzer $passedOver $includes "${@:2}" \
        -c "$1" -o $build/unit.o
}

byTidy() {
    clang-tidy --quiet "$1" -- -std=c11 $includes "${@:2}" 2>$build/tidy.err || {
        cat $build/tidy.err
        return 1
    }
}

# Every configuration, or that of the backend.
byCppcheck() {
    local which=("${@:2}")
    [ $# -gt 1 ] || which=(--force)
    cppcheck --quiet --error-exitcode=1 --std=c11 --inconclusive \
        --enable=warning,performance,portability $includes "${which[@]}" "$1"
}

static() {
    need gcc clang-tidy cppcheck
    forEachUnit byGcc
    echo "analyse: gcc -fanalyzer finds nothing"
    forEachUnit byTidy
    echo "analyse: clang-tidy finds nothing"
    forEachUnit byCppcheck
    echo "analyse: cppcheck finds nothing"
}

memory() {
    need clang valgrind
    local backend suite
    for backend in $backends; do
        ${MAKE:-make} -s -j2 -f tests/Makefile BUILD=build/msan BACKEND=$backend CC=clang \
            CFLAGS="-fsanitize=memory -fno-sanitize-recover=all -fno-omit-frame-pointer" suites
        for suite in build/msan/$backend/test_*; do
            if [ "${suite%.*}" = "$suite" ]; then echo "$suite"; fi
        done | xargs -P 2 -I SUITE tests/support/quietly.sh SUITE
        echo "analyse: the memory sanitizer finds nothing: $backend"
    done
    ${MAKE:-make} -s -f tests/Makefile BUILD=build/memcheck CC=gcc test-anet test-anet-plain
    for suite in build/memcheck/test_anet build/memcheck/test_anet_plain; do
        tests/support/quietly.sh valgrind -q --error-exitcode=9 --leak-check=full \
            --errors-for-leak-kinds=all --show-leak-kinds=all $suite
    done
    echo "analyse: valgrind finds nothing: anet"
}

threads() {
    need gcc clang
    local compiler backend
    for compiler in gcc clang; do
        for backend in EPOLL SELECT; do
            $compiler -std=c11 -g -O1 -fsanitize=thread -I. -DAE_BACKEND_$backend \
                tests/checks/threads.c ae.c anet.c -o $build/threads -lpthread
            tests/support/quietly.sh $build/threads
        done
    done
    echo "analyse: the thread sanitizer finds nothing"
}

case ${1:-all} in
static | memory | threads) "$1" ;;
all)
    static
    memory
    threads
    ;;
*) exit 2 ;;
esac
