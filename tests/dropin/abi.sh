#!/bin/bash
# Compares our headers completely with those of a Redis 8 tree: the value of every macro, every
# prototype and function type, the offset, type and size of every field. Ours may have more. Then
# programs that were compiled with the headers of that tree must run with our libae.a. This is done for
# x86-64 and, if their compilers are installed, for two 32-bit processors: i686, which aligns long long
# by four bytes in a structure, and armhf, which aligns it by eight.
#
#     tests/dropin/abi.sh REDIS_8_SRC
#
# clang prints the layout of structures, gcc the prototypes.
set -eu
cd "$(dirname "$0")/../.."
[ -f "${1:?which Redis tree?}/src/ae.h" ] || { echo "dropin: $1 is no Redis tree" >&2 && exit 2; }
! grep -q AE_VERSION_MAJOR "$1/src/ae.h" ||
    { echo "dropin: $1/src/ae.h is that of libae: this needs an unmodified tree" >&2 && exit 2; }
theirs=$(cd "$1/src" && pwd)
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT

cat >"$box/uses.c" <<'END'
#include <stdio.h>
#include "ae.h"
#include "anet.h"
aeFileEvent fileEvent;
aeTimeEvent timeEvent;
aeFiredEvent firedEvent;
aeEventLoop loop;
END

# The interface as seen through the headers in $1, in words that do not depend on their spelling.
describe() {
    echo '#include "uses.c"' >"$box/macros.c"
    echo 'int main(void) {' >>"$box/macros.c"
    $gcc -w -dM -E -I"$1" "$box/uses.c" |
        sed -nE 's/^#define ((AE|ANET|FD_TO)_[A-Z0-9_]+) .+/\1/p' |
        sed 's/.*/    printf("macro & %lld\\n", (long long)(&));/' >>"$box/macros.c"
    echo '}' >>"$box/macros.c"
    $gcc -w -I"$1" "$box/macros.c" -o "$box/macros"
    $runner "$box/macros"

    $gcc -w -fsyntax-only -I"$1" -aux-info "$box/prototypes" "$box/uses.c"
    sed -nE "s|^/\* $1/ae*n*e*t*\.h:[^/]*\*/ extern |prototype |p" "$box/prototypes"
    # A function type is identified by its compatible type: a pointer of that type accepts it.
    $gcc -w -E -P -I"$1" "$box/uses.c" | tr -d '\n' | grep -oE 'typedef [a-z]+ \**ae[A-Za-z]*Proc\([^)]*\)'

    $clang -w -fsyntax-only -I"$1" -Xclang -fdump-record-layouts-complete "$box/uses.c" |
        awk '/ \| struct ae[A-Z]/ && $1 == 0 { name = $4; if (!(name in seen)) seen[name] = show = 1
                 else show = 0 }
             /\[sizeof=/ { if (show && name != "aeEventLoop") print "size " name " " $2; show = 0 }
             show { sub(/monotime/, "uint64_t"); offset = $1; sub(/.*\|  */, "")
                 print "field " name " " offset " " $0 }'
}
compare() {
    local kind
    describe "$theirs" >"$box/described" && sort "$box/described" >"$box/theirs"
    describe "$PWD" >"$box/described" && sort "$box/described" >"$box/ours"
    comm -23 "$box/theirs" "$box/ours" >"$box/differences"
    for kind in macro prototype typedef field size; do
        printf 'abi: %s: %s: %d compared\n' $machine $kind "$(grep -c "^$kind " "$box/theirs")"
        grep -q "^$kind " "$box/theirs" || { echo "abi: nothing was found to compare" >&2 && exit 1; }
    done
    if ! printf '%s' "$known" | diff "$box/differences" - >"$box/unexpected"; then
        echo "abi: $machine: in Redis's headers and not in ours (<), or known as such and not so (>):" >&2
        cat "$box/unexpected" >&2
        exit 1
    fi
    [ -z "$known" ] || echo "abi: $machine: all the same but aeFileEvent, behind whose mask a field is ours"
}

runPrograms() {
    local program
    $gcc -O2 -c ae.c -o "$box/ae.o"
    $gcc -O2 -c anet.c -o "$box/anet.o"
    for program in $programs; do
        $gcc -w -std=gnu11 -O2 -I"$theirs" -o "$box/program" $program.c "$box/ae.o" "$box/anet.o"
        timeout 60 $runner "$box/program" 2 >"$box/out" || {
            cat "$box/out"
            echo "abi: $machine: $program.c, compiled with Redis's headers, fails with our library" >&2
            exit 1
        }
        echo "abi: $machine: $program.c runs, compiled with Redis's headers"
    done
}

# on MACHINE TRIPLET EMULATOR
on() {
    machine=$1
    if ! command -v "$2-gcc" >/dev/null || ! command -v "$3" >/dev/null; then
        echo "abi: $machine: left out, there is no $2-gcc or no $3"
        [ "${CI:-}" != true ] || exit 1
        return
    fi
    gcc=$2-gcc clang="clang --target=$2 -isystem /usr/$2/include" runner="$3 -L /usr/$2"
    compare
    runPrograms
}

# The differences. With 64-bit pointers there are none, since there our field is in place of padding.
known=
machine=x86-64 gcc=gcc clang=clang runner=
programs="tests/dropin/abi_program examples/ticker examples/demo"
compare
runPrograms
# With 32 bits that field moves the ones behind it. A program that uses loop->events, as abi_program
# does, must be compiled with our header there; other programs need not.
programs="examples/ticker examples/demo"
known='field aeFileEvent 12 void * clientData
field aeFileEvent 4 aeFileProc * rfileProc
field aeFileEvent 8 aeFileProc * wfileProc
size aeFileEvent [sizeof=16,
'
on i686 i686-linux-gnu qemu-i386
on armhf arm-linux-gnueabihf qemu-arm
