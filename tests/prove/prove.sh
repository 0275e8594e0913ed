#!/bin/bash
# Shows that no call of the library has undefined behaviour, within the bounds that README.md in this
# directory states. Needs Frama-C 25 (frama-c-base, ocaml-findlib of Debian 12).
#
#   tests/prove/prove.sh                all parts; then which statements they have reached
#   tests/prove/prove.sh PART...        these only
#   tests/prove/prove.sh list           their names
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
    echo "timers-twoTimers timers.c twoTimers -DAE_BACKEND_SELECT"
    for backend in epoll select kqueue evport; do
        for name in refusals iterations growth anyCalls callsFromHandlers pausesFromHandlers \
            growthInHandlers staleEvents nestedCalls; do
            echo "files-$backend-$name files.c $name -DAE_BACKEND_${backend^^}"
        done
        echo "programs-$backend programs.c programs -DAE_BACKEND_${backend^^} -DEXACT=1"
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
        -eva-alloc-builtin fresh $(splitsOf "$file") -eva-print-callstacks ${PROVE_FLAGS:-} \
        -eva-msg-key=-initial-state,-final-states $here/$file >"$log" 2>&1
}

# Further flags of a file: whether malloc may fail (in programs.c it may), and where the states are kept
# separate when a function returns: for anet.c where the system's results differ, for the loop
# everywhere.
splitsOf() {
    case $1 in
    programs.c)
        echo -eva-no-alloc-returns-null -eva-no-memexec
        return
        ;;
    files.c | timers.c)
        echo -eva-split-return full
        return
        ;;
    esac
    local function splits=Frama_C_interval_split:full
    for function in digitsOf proveSnprintf proveText provePipe provePipe2 proveStat; do
        splits=$splits,$function:full
    done
    echo -eva-no-alloc-returns-null -eva-split-return auto -eva-split-return-function $splits
}

# Which statements of the library the parts have reached, for each of its files.
reached() {
    sort -u "$out"/*.log | awk '
        $1 == "statement" && $2 ~ /^(ae|ae_[a-z]*|anet)\.c:/ {
            split($2, at, ":")
            key = $2 " " $3 " " $4
            if (!(key in state)) total[at[1]]++
            if ($5 == "reached" && state[key] != "reached") reached[at[1]]++
            if (state[key] != "reached") state[key] = $5
        }
        END {
            for (key in state) {
                split(key, at, /[: ]/)
                if (state[key] != "reached") missed[at[1]] = missed[at[1]] " " at[2]
            }
            for (file in total) {
                count = split(missed[file], lines, " ")
                printf "prove: %-12s %4d of %4d statements reached (%.1f %%)", file, reached[file],
                    total[file], 100 * reached[file] / total[file]
                printf count ? "; not:" : "\n"
                if (!count) continue
                command = "sort -nu | tr \"\\n\" \" \"; echo"
                fflush()
                for (i = 1; i <= count; i++) print lines[i] | command
                close(command)
            }
        }'
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
*)
    rm -rf "$out"
    mkdir -p "$out"
    chosen=" $* "
    parts | while read -r line; do
        if [ $# = 0 ] || [[ $chosen == *" ${line%% *} "* ]]; then echo "$line"; fi
    done | xargs -P 2 -L 1 "$0" run
    reached
    ;;
esac
