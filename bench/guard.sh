#!/bin/bash
# Fails when the loop has become more expensive than bench/limits says: user-space instructions of
# dispatch and interest changes, and timers against the best of libev, libevent and libuv.
set -euo pipefail
cd "$(dirname "$0")/.."
. bench/support.sh
need ev.h event2/event.h uv.h valgrind
build

results=build/bench/guard.csv
{
    for chain in 1,100 4,100 100,400; do
        echo "dispatch,${chain%,*} of ${chain#*,},instructions,$(
            instructions libae 10000 chain "${chain#*,}" "${chain%,*}"
        )"
    done
    for conversations in 1 2 10; do
        echo "interest,$conversations,instructions,$(
            instructions libae 10000 interest $conversations
        )"
    done

    # The best of several rounds in turn: what else the machine does can only make it slower.
    for ((round = 1; round <= ${ROUNDS:-12}; round++)); do
        for library in libae libev libevent libuv; do
            $pin build/bench/$library timers 10000 10
        done
    done | awk -F, '
        $3 ~ /^(create|churn|poll|fire)(\+poll)?$/ {
            if (!(($3, $4) in best) || $5 < best[$3, $4]) best[$3, $4] = $5
            metrics[$3] = 1
        }
        END {
            for (metric in metrics) {
                peer = best[metric, "libev"]
                if (best[metric, "libevent"] < peer) peer = best[metric, "libevent"]
                if (best[metric, "libuv"] < peer) peer = best[metric, "libuv"]
                printf "timers,10000,%s,%.2f\n", metric, best[metric, "libae"] / peer
            }
        }' | sort
} >$results

# Each limit must have been measured, and each measurement must have a limit.
awk -F, '
    /^#/ { next }
    FILENAME == ARGV[1] { limit[$1 "," $2 "," $3] = $4; next }
    {
        name = $1 "," $2 "," $3
        verdict = !(name in limit) ? "NO LIMIT" : $4 > limit[name] + 0 ? "TOO MUCH" : "ok"
        printf "%-34s %8.2f  limit %8.2f  %s\n", name, $4, limit[name], verdict
        if (verdict != "ok") failed = 1
        delete limit[name]
    }
    END {
        for (name in limit) {
            print name "  not measured"
            failed = 1
        }
        exit failed
    }' bench/limits $results || {
    echo "guard: the loop has become more expensive than bench/limits allows" >&2
    exit 1
}
