#!/bin/sh
# Holds the format (clang-format 14) and compiles everything without a warning, with each compiler
# and standard at hand.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# Not by git ls-files: there is no repository in a release.
clang-format --dry-run -Werror $(find . -name '*.[ch]' -not -path './build/*')

has_hiredis=true
echo '#include <hiredis/adapters/ae.h>' | ${CC:-cc} -I. -E - >/dev/null 2>&1 || {
    echo "lint: examples/hiredis.c is left out, there is no libhiredis-dev: run 'make deps'"
    [ "${CI:-}" != true ] || exit 1
    has_hiredis=false
}

strict="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wvla -Werror"
for cc in gcc clang; do
    command -v $cc >/dev/null || continue
    for std in c99 c11 c17 c2x; do
        for backend in EPOLL SELECT; do
            $cc -std=$std $strict -O2 -DAE_BACKEND_$backend -c ae.c -o "$out/ae.o"
        done
        $cc -std=$std $strict -O2 -c anet.c -o "$out/anet.o"
        for example in examples/*.c; do
            [ $example != examples/hiredis.c ] || $has_hiredis || continue
            $cc -std=$std $strict -I. -O2 -c $example -o "$out/example.o"
        done
        for header in ae.h anet.h; do
            echo "#include \"$header\"" | $cc -std=$std $strict -I. -x c -c - -o "$out/header.o"
        done
    done
done
for cxx in g++ clang++; do
    command -v $cxx >/dev/null || continue
    for std in c++11 c++14 c++17 c++20; do
        for header in ae.h anet.h; do
            echo "#include \"$header\"" |
                $cxx -std=$std -Wall -Wextra -Wpedantic -Wold-style-cast -Werror -I. -x c++ -c - \
                    -o "$out/header.o"
        done
    done
done
echo "lint: clean"
