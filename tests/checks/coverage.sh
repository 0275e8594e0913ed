#!/bin/bash
# Measures which code of ae.c, the backends and anet.c the tests of all backends reach.
#
#   tests/checks/coverage.sh        lines and branches, by gcc; below 100 % of either it fails
#   tests/checks/coverage.sh mcdc   conditions that decide by themselves (MC/DC), by clang 19;
#                                  a figure
set -euo pipefail
cd "$(dirname "$0")/../.."
build=build/${1:-coverage}
. tests/support/backends.sh
sources="$(echo ae.c ae_*.c anet.c)"

need() {
    local tool
    for tool; do
        command -v "$tool" >/dev/null && continue
        echo "coverage: there is no $tool; apt-get install gcc, or clang-19 llvm-19" >&2
        exit 1
    done
}

buildAndRun() {
    local backend suite
    rm -rf "$build"
    for backend in $backends; do
        ${MAKE:-make} -s -j2 -f tests/Makefile BUILD="$build" BACKEND="$backend" "$@" suites
    done
    ${MAKE:-make} -s -j2 -f tests/Makefile BUILD="$build" "$@" test-anet test-anet-plain
    for suite in "$build"/*/test_* "$build"/test_*; do
        if [ -x "$suite" ] && [ ! -d "$suite" ]; then echo "$suite"; fi
    done | xargs -P 2 -I SUITE tests/support/quietly.sh SUITE
}

case ${1:-coverage} in
coverage)
    need gcc gcov
    # A function that is inlined would be counted once for each copy. Some tests run threads, so the
    # counts must be atomic: a branch that runs once could seem never to run.
    buildAndRun CC=gcc CFLAGS="--coverage -fprofile-update=atomic -O0 -DMEASURES_COVERAGE \
-Dalways_inline=unused"
    find "$build" -name 'ae.gcda' -o -name 'narrow_ae.gcda' -o -name '*-anet.gcda' |
        xargs gcov -t -b -c 2>/dev/null >"$build/gcov.txt"
    awk -v sources="$sources" -f tests/checks/coverage.awk "$build/gcov.txt" || {
        echo "coverage: not all is reached" >&2
        exit 1
    }
    ;;
mcdc)
    need clang-19 llvm-profdata-19 llvm-cov-19
    # Several suites share the code of a backend: %m gives each binary a file of its own, and lets
    # the processes of one binary add to it.
    export LLVM_PROFILE_FILE=$PWD/$build/raw/%m.profraw
    buildAndRun CC=clang-19 CFLAGS="-O0 -fprofile-instr-generate -fcoverage-mapping \
-fcoverage-mcdc -fprofile-update=atomic -DMEASURES_COVERAGE"
    llvm-profdata-19 merge -o "$build/all.profdata" "$build"/raw/*.profraw
    objects=$build/test_anet
    for suite in "$build"/test_anet_plain "$build"/*/test_*; do
        if [ -x "$suite" ]; then objects="$objects -object $suite"; fi
    done
    # shellcheck disable=SC2086
    llvm-cov-19 report --show-mcdc-summary -show-region-summary=0 -show-branch-summary=0 \
        -instr-profile "$build/all.profdata" $objects $sources | awk '
        $1 ~ /\.c$|^TOTAL$/ {
            printf "%-14s MC/DC %3d of %3d conditions   %s\n", $1, $(NF-2) - $(NF-1), $(NF-2), $NF
        }
        $1 == "TOTAL" { complete = 1 }
        END { exit !complete }'
    ;;
esac
