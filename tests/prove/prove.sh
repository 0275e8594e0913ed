#!/bin/bash
# Shows that no call of the library has undefined behaviour, within the bounds that README.md in this
# directory states. Needs Frama-C 25 (frama-c-base, ocaml-findlib of Debian 12).
#
#   tests/prove/prove.sh                  all parts; then which statements they have reached
#   tests/prove/prove.sh PART...          these only
#   tests/prove/prove.sh list             their names
#   tests/prove/prove.sh missed           the lines that the latest run has not reached
#   tests/prove/prove.sh programs COUNT   COUNT random programs, and the model's whole corpus
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/prove
out=${PROVE_OUT:-build/prove}

# NAME FILE FUNCTION FLAG...: each part is a separate analysis.
parts() {
    local name backend
    for name in fdsAndOptions fdToString formatFdAddr formatting accepting resolving resolvingInto \
        servers connections connectionsFrom unixServers; do
        echo "anet-$name anet.c $name"
    done
    for name in fdsAndOptions accepting unixServers; do
        echo "anet-plain-$name anet.c $name -DPLAIN_SYSTEM"
    done
    for name in twoTimers firing firingTwo callsFromHandlers callsFromFinalizers blocks; do
        echo "timers-$name timers.c $name -DAE_BACKEND_SELECT -DSTATE_BLOCKS=1"
    done
    for name in settingDeadlines creating deleting firingNearest finalizing ending; do
        echo "timers-$name-1 timers.c $name -DAE_BACKEND_SELECT -DSTATE_BLOCKS=1"
        echo "timers-$name-2 timers.c $name -DAE_BACKEND_SELECT -DSTATE_BLOCKS=2"
    done
    for backend in epoll select kqueue evport; do
        for name in refusals highFds iterations waits growth anyCalls callsFromHandlers \
            pausesFromHandlers resumedBefore growthInHandlers staleEvents nestedCalls; do
            echo "files-$backend-$name files.c $name -DAE_BACKEND_${backend^^}"
        done
        echo "programs-$backend programs.c programs -DAE_BACKEND_${backend^^} -DEXACT=1 -DPROGRAMS=4"
        echo "corpus-$backend replay.c scripts -DAE_BACKEND_${backend^^} -DSCRIPT=$out/script-$backend-short.h"
    done
}

# Runs one part. It fails after an alarm, with a function that has neither code nor a specification, and
# with a recursion that is not followed to its end.
runPart() {
    local name=$1 file=$2 main=$3 log=$out/$1.log seconds
    shift 3
    mkdir -p "$out/$name"
    cp $here/reached.ml "$out/$name" # it is compiled in place
    TIMEFORMAT=%U
    seconds=$({ time analyse "$log" "$file" "$main" "$@"; } 2>&1) || {
        grep -v '^statement ' "$log" | tail -n 20
        echo "prove: $name: Frama-C failed" >&2
        return 1
    }
    if grep -v '^statement ' "$log" |
        grep -E -A 9 'eva:alarm|annot:missing-spec|soundness|User Error' ||
        ! grep -q '0 alarms generated' "$log"; then
        echo "prove: $name: not proved; see $log" >&2
        return 1
    fi
    echo "prove: $name: 0 alarms, $seconds s"
}

# analyse LOG FILE FUNCTION FLAG...
analyse() {
    local log=$1 file=$2 main=$3
    shift 3
    frama-c -machdep gcc_x86_64 -load-script "${log%.log}/reached.ml" -main "$main" \
        -cpp-extra-args="-I. -I$here/include -Itests/support/kqueue -Itests/support/evport $*" \
        -eva -eva-precision 0 -eva-slevel 1000000 -eva-unroll-recursive-calls 8 \
        -eva-alloc-builtin fresh $(flagsOf "$file" "$main") -eva-print-callstacks ${PROVE_FLAGS:-} \
        -eva-msg-key=-initial-state,-final-states $here/$file >"$log" 2>&1
}

# Further flags of a part: whether malloc may fail by itself, and where the states are kept separate when
# a function returns: for anet.c where the system's results differ, for the loop everywhere. In any state
# of timers they are joined, and the analyser keeps up to 256 possible offsets in a block.
flagsOf() {
    local function splits=
    case $1:$2 in
    programs.c:*)
        echo -eva-no-alloc-returns-null -eva-no-memexec
        ;;
    replay.c:*) # keeps no results, and so does not tell what it has reached: that takes half the time
        echo -eva-no-alloc-returns-null -eva-no-memexec -eva-no-results
        ;;
    timers.c:settingDeadlines | timers.c:creating | timers.c:deleting | timers.c:firingNearest | \
        timers.c:finalizing | timers.c:ending)
        for function in proveMalloc proveRealloc allocate resizeArray growChunks addBlock growTrees \
            aeCreateTimeEvent; do
            splits=$splits,$function:full
        done
        echo -eva-no-alloc-returns-null -eva-ilevel 256 -eva-plevel 2000 \
            -eva-subdivide-non-linear 20 -eva-slevel-function endTimers:0,splitIndex:0 \
            -eva-split-return auto -eva-split-return-function "${splits#,}"
        ;;
    timers.c:*)
        echo -eva-no-alloc-returns-null -eva-split-return full
        ;;
    files.c:*)
        echo -eva-split-return full
        ;;
    anet.c:*)
        for function in Frama_C_interval_split digitsOf proveSnprintf proveText provePipe provePipe2 \
            proveStat; do
            splits=$splits,$function:full
        done
        echo -eva-no-alloc-returns-null -eva-split-return auto -eva-split-return-function "${splits#,}"
        ;;
    esac
}

# Writes down the programs of the model's corpus as they run on a backend: script-BACKEND-GROUP.h. The
# group "short" are those of up to 2000 bytes; the others make eight groups of about the same length.
record() {
    local backend=$1 group=0 program size
    ${MAKE:-make} -s -f tests/Makefile "BACKEND=$backend" "build/$backend/record" >&2
    mkdir -p "$out/$backend"
    for program in tests/model/corpus/*; do
        "build/$backend/record" "$program" >"$out/$backend/${program##*/}"
    done
    rm -f "$out/script-$backend"-*.h
    ls -S "$out/$backend" | while read -r program; do
        size=$(stat -c %s "$out/$backend/$program")
        if [ "$size" -le 2000 ]; then
            cat "$out/$backend/$program" >>"$out/script-$backend-short.h"
        else
            cat "$out/$backend/$program" >>"$out/script-$backend-$group.h"
            group=$(((group + 1) % 8))
        fi
    done
}

# COUNT random programs, in portions of 50, and all of the corpus.
morePrograms() {
    local backend portion group
    for backend in epoll select kqueue evport; do
        record "$backend"
        for ((portion = 1; portion * 50 * 4 <= $1 + 199; portion++)); do
            echo "programs-$backend-$portion programs.c programs -DAE_BACKEND_${backend^^}" \
                "-DEXACT=$portion -DPROGRAMS=50"
        done
        for group in short 0 1 2 3 4 5 6 7; do
            echo "corpus-$backend-$group replay.c scripts -DAE_BACKEND_${backend^^}" \
                "-DSCRIPT=$out/script-$backend-$group.h"
        done
    done
}

# The statements of the library, "FILE:LINE reached" or "FILE:LINE missed": what no part has reached is
# missed.
statements() {
    find "$out" -maxdepth 1 -name '*.log' ! -name 'corpus-*' -exec cat {} + | sort -u | awk '
        $1 == "statement" && $2 ~ /^(ae|ae_[a-z]*|anet)\.c:/ {
            key = $2 " " $3 " " $4
            if ($5 == "reached" || !(key in state)) state[key] = $2 " " $5
        }
        END { for (key in state) print state[key] }'
}

# How many were reached of each file: at least 95 % is demanded of a run of all parts.
reached() {
    statements | awk '
        { split($1, at, ":"); total[at[1]]++; reached[at[1]] += $2 == "reached" }
        END {
            for (file in total) {
                share = 100 * reached[file] / total[file]
                printf "prove: %-12s %4d of %4d statements reached (%.1f %%)\n", file, reached[file],
                    total[file], share
                if (share < 95) failed = 1
            }
            exit failed
        }'
}

# The lines with a missed statement, as in unreached.txt: FILE: LINE
missedLines() {
    statements | sed -n 's/ missed$//p' | sort -u | while IFS=: read -r file number; do
        echo "$file: $(sed -n "${number}s/^ *//p" "$file")"
    done | sort -u
}

# Compares them with the list, which says why.
compareMissed() {
    local listed
    listed=$(grep -v '^#' $here/unreached.txt | sed '/^ /d; /^$/d' | sort -u)
    diff <(echo "$listed") <(missedLines) >"$out/difference" && return
    echo "prove: the lines that are not reached differ from $here/unreached.txt:" >&2
    cat "$out/difference" >&2
    return 1
}

if ! command -v frama-c >/dev/null || ! command -v ocamlfind >/dev/null; then
    echo "prove: there is no Frama-C; apt-get install frama-c-base ocaml-findlib" >&2
    exit 1
fi
case ${1:-} in
run)
    shift
    runPart "$@" || exit 255
    ;;
list) parts | cut -d' ' -f1 ;;
parts) parts ;;
reached) reached ;;
missed) missedLines ;;
programs)
    out=$out/programs
    export PROVE_OUT=$out PROVE_FLAGS=-eva-no-results # which takes half the time
    rm -rf "$out"
    mkdir -p "$out"
    morePrograms "${2:-1000}" >"$out.parts"
    xargs -P 2 -L 1 "$0" run <"$out.parts"
    ;;
*)
    rm -rf "$out"
    mkdir -p "$out"
    chosen=" $* "
    parts | while read -r line; do
        if [ $# = 0 ] || [[ $chosen == *" ${line%% *} "* ]]; then echo "$line"; fi
    done >"$out/parts"
    for backend in $(sed -n 's/^corpus-\([a-z]*\) .*/\1/p' "$out/parts"); do record "$backend"; done
    xargs -P 2 -L 1 "$0" run <"$out/parts"
    if [ $# != 0 ]; then
        reached || true
    else
        reached
        compareMissed
    fi
    ;;
esac
