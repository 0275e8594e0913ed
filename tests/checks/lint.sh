#!/bin/sh
# Checks the format (clang-format 14) and the words, and compiles everything without a warning, with
# each compiler and standard at hand.
set -eu
cd "$(dirname "$0")/../.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# tests/support/words.txt lists words that must not be in comments and documents.
find . \( -name build -o -name .git \) -prune -o \( -name '*.[ch3]' -o -name '*.sh' -o -name '*.awk' \
    -o -name '*.md' -o -name '*.yml' -o -name Makefile -o -name CMakeLists.txt -o -name 'meson*' \
    -o -path ./.ci/run -o -path ./tests/checks/systems \) \
    -exec awk -f tests/support/comments.awk {} + >"$out/text"
[ "$(wc -l <"$out/text")" -gt 1000 ]
if grep -wiFf tests/support/words.txt "$out/text"; then
    echo "lint: these words are in tests/support/words.txt: write plain ones" >&2
    exit 1
fi

# The feature-test macros before the first header are the same in ae.c and anet.c.
for file in ae.c anet.c; do
    sed -n '/^#undef _GNU_SOURCE/,/^#include/{/^#include/!p;}' $file >"$out/$file.macros"
    [ -s "$out/$file.macros" ]
done
diff "$out/ae.c.macros" "$out/anet.c.macros" || {
    echo "lint: the feature-test macros of ae.c and anet.c differ" >&2
    exit 1
}

# Other versions format otherwise. Not by git ls-files: there is no repository in a release.
if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
    clang-format --dry-run -Werror $(find . -name '*.[ch]' -not -path './build/*')
else
    echo "lint: the format is not checked, there is no clang-format 14 (Debian 12: apt-get install clang-format)"
    [ "${CI:-}" != true ] || exit 1
fi

# The workflow, whose form nothing here can run. The checker comes from the Go module proxy.
actionlint=build/go/bin/actionlint
if ! command -v go >/dev/null; then
    echo "lint: .github/workflows is not checked, there is no go"
elif [ -x $actionlint ] || GOPATH=$PWD/build/go GOBIN=$PWD/build/go/bin GOFLAGS=-modcacherw \
    go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 >"$out/log" 2>&1; then
    $actionlint -shellcheck= -pyflakes= .github/workflows/*.yml
else
    cat "$out/log"
    echo "lint: .github/workflows is not checked, go cannot build actionlint"
    [ "${CI:-}" != true ] || exit 1
fi

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
