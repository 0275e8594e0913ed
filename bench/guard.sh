#!/bin/bash
# Fails when the loop has become more expensive than bench/limits says: user-space instructions of
# dispatch and interest changes, requests for memory, and timers against the best of libev, libevent
# and libuv.
set -euo pipefail
cd "$(dirname "$0")/.."
. bench/support.sh
need cmake valgrind
build
results=build/bench/guard.csv
rounds=build/bench/guard-rounds.csv

countAll() {
    for chain in 1,100 4,100 100,400; do
        echo "dispatch,${chain%,*} of ${chain#*,},instructions,$(
            instructions libae 10000 chain "${chain#*,}" "${chain%,*}"
        )"
    done
    for roundTrips in 1 2 10; do
        echo "interest,$roundTrips,instructions,$(instructions libae 10000 interest $roundTrips)"
    done
    for n in 1 10000 1000000; do
        countRequests libae pending $n | sed 's/libae,//'
    done | grep -E '^timers,10*,|^longest,1000000,'
}

runTimers() {
    for ((round = 1; round <= 12; round++)); do
        for library in libae libev libevent libuv; do
            $pin build/bench/$library timers 10000 10
            $pin build/bench/$library cold 10000
        done
    done
}

# The ratios of the best rounds: other work of the machine can only make a round slower.
compareTimers() {
    awk -F, '
        $3 ~ /^(create|churn|restart|poll|fire|create-first)(\+poll)?$/ {
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
        }' $rounds | sort
}

# Each limit must have been measured, and each measurement must have a limit.
judge() {
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
                print name "  NOT MEASURED"
                failed = 1
            }
            exit failed
        }' bench/limits $results
}

instructionCounts=$(countAll)
: >$rounds
for attempt in 1 2 3; do
    runTimers >>$rounds
    { echo "$instructionCounts" && compareTimers; } >$results
    if verdicts=$(judge); then
        echo "$verdicts"
        exit 0
    fi
    # Only times depend on the machine: they are measured in more rounds.
    ! sed '/^timers/{/,memory \|,first timer /!d}' <<<"$verdicts" | grep -qv ' ok$' || break
done
echo "$verdicts"
echo "guard: the loop has become more expensive than bench/limits allows" >&2
exit 1
