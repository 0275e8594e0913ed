#!/bin/bash
# Compares our headers with those of a Redis 8 tree, in full: the value of every macro, every
# prototype and function type, the offset, type and size of every field. Ours may have more. Then
# programs that were compiled with the headers of that tree must run with our libae.a.
#
#     tests/dropin/abi.sh REDIS_8_SRC
#
# clang tells the layout of structures, gcc the prototypes.
set -eu
cd "$(dirname "$0")/../.."
[ -f "${1:?which Redis tree?}/src/ae.h" ] || { echo "dropin: $1 is no Redis tree" >&2 && exit 2; }
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
    gcc -w -dM -E -I"$1" "$box/uses.c" |
        sed -nE 's/^#define ((AE|ANET|FD_TO)_[A-Z0-9_]+) .+/\1/p' |
        sed 's/.*/    printf("macro & %lld\\n", (long long)(&));/' >>"$box/macros.c"
    echo '}' >>"$box/macros.c"
    gcc -w -I"$1" "$box/macros.c" -o "$box/macros"
    "$box/macros"

    gcc -w -fsyntax-only -I"$1" -aux-info "$box/prototypes" "$box/uses.c"
    sed -nE "s|^/\* $1/ae*n*e*t*\.h:[^/]*\*/ extern |prototype |p" "$box/prototypes"
    # A function type is named by what it is compatible with: a pointer of that type takes it.
    gcc -w -E -P -I"$1" "$box/uses.c" | tr -d '\n' | grep -oE 'typedef [a-z]+ \**ae[A-Za-z]*Proc\([^)]*\)'

    clang -w -fsyntax-only -I"$1" -Xclang -fdump-record-layouts-complete "$box/uses.c" |
        awk '/ \| struct ae[A-Z]/ && $1 == 0 { name = $4; if (!(name in seen)) seen[name] = show = 1
                 else show = 0 }
             /\[sizeof=/ { if (show && name != "aeEventLoop") print "size " name " " $2; show = 0 }
             show { sub(/monotime/, "uint64_t"); offset = $1; sub(/.*\|  */, "")
                 print "field " name " " offset " " $0 }'
}
describe "$theirs" >"$box/described" && sort "$box/described" >"$box/theirs"
describe "$PWD" >"$box/described" && sort "$box/described" >"$box/ours"
comm -23 "$box/theirs" "$box/ours" >"$box/differences"
for kind in macro prototype typedef field size; do
    printf 'abi: %s: %d compared\n' $kind "$(grep -c "^$kind " "$box/theirs")"
    grep -q "^$kind " "$box/theirs" || { echo "abi: nothing was found to compare" >&2 && exit 1; }
done
if [ -s "$box/differences" ]; then
    echo "abi: in Redis's headers, and not in ours:" >&2
    cat "$box/differences" >&2
    exit 1
fi

make -s libae.a
for program in tests/dropin/abi_program examples/ticker examples/demo; do
    gcc -w -std=gnu11 -O2 -I"$theirs" -o "$box/program" $program.c libae.a
    timeout 60 "$box/program" 2 >"$box/out" || {
        cat "$box/out"
        echo "abi: $program.c, compiled with Redis's headers, fails with our library" >&2
        exit 1
    }
    echo "abi: $program.c runs, compiled with Redis's headers"
done
