#!/bin/sh
# Runs libFuzzer, which looks for programs that reach new code, with each backend in turn, for SECONDS
# each. It starts with tests/model/corpus, and adds the programs that it finds, minimised. Needs clang
# and its compiler-rt (Debian: clang, libclang-rt-14-dev).
set -eu
cd "$(dirname "$0")/../.."
. tests/support/backends.sh
seconds=${1:-60}

# The checks of ae_checked.c are not code to reach.
mkdir -p build/fuzz
printf 'fun:%s\n' 'check*' aeCheck nodeOf countAt movedEntries countReached >build/fuzz/ignored

for backend in $backends; do
    out=build/fuzz/$backend
    mkdir -p $out/found
    ${MAKE:-make} -s -f tests/Makefile BACKEND=$backend B=$out CC=clang \
        CFLAGS="-O2 -fsanitize=address,undefined -fno-sanitize-recover=all" \
        FUZZ_CFLAGS="-fsanitize=fuzzer-no-link -fsanitize-coverage-ignorelist=build/fuzz/ignored" \
        $out/fuzz
    echo "== fuzz: $backend"
    # A program that fails is left in build/fuzz: "model replay" shrinks and shows it.
    $out/fuzz -max_total_time="$seconds" -max_len=1604 -timeout=300 -artifact_prefix=$out/ \
        -print_funcs=0 -print_final_stats=1 -verbosity=0 $out/found tests/model/corpus
    $out/fuzz -merge=1 -use_counters=0 -print_funcs=0 -verbosity=0 tests/model/corpus $out/found
done
echo "fuzz: $(ls tests/model/corpus | wc -l) programs are in tests/model/corpus"
