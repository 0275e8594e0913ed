#!/bin/bash
# Compares the cost of our files in a Redis server with that of the original files in the same tree:
# system calls, instructions in the ae files, and requests per second. A higher cost is a failure.
#
#     tests/dropin/cost.sh REDIS_SRC [BLOCKS]
#
# Needs strace, valgrind and two processors. BLOCKS=0 leaves out the requests per second, which need an
# idle machine. A complete run writes bench/results/swap.csv, from which bench/texts.sh writes the table
# in doc/DROPIN.md.
set -eu
cd "$(dirname "$0")/../.."
. tests/dropin/tree.sh
takeTree src/server.h "${1:?which Redis tree?}"
blocks=${2:-12}
for tree in original swapped; do
    buildTree $tree "$aeFiles anet.c anet.h" MALLOC=libc
done
compareWarnings

# start TREE COMMAND...: the server of a tree, run by a command; sets pid and port.
start() {
    local tree=$1
    shift
    port=$(freePort)
    mkdir -p "$box/data"
    "$@" "$box/$tree/src/redis-server" --port $port --dir "$box/data" --save '' >"$box/server.log" 2>&1 &
    pid=$!
    servers="$servers $pid"
    awaitPort $port
    until "$box/original/src/redis-cli" -p $port ping >/dev/null 2>&1; do sleep 0.1; done
}
stop() {
    "$box/original/src/redis-cli" -p $port shutdown nosave >/dev/null 2>&1 || true
    wait $pid || true
    servers=
}
bench() {
    "$box/original/src/redis-benchmark" -p $port -t set -q "$@" >"$box/bench" 2>/dev/null
}
# note WHAT ORIGINAL SWAPPED [LOW HIGH]: a line of swap.csv.
note() {
    echo "${1//,/;},$2,$3${5:+,$4,$5}" >>"$box/swap.csv"
}
# noMore WHAT ORIGINAL SWAPPED [SLACK]
noMore() {
    echo "cost: $1: original $2, swapped $3"
    note "$@"
    awk "BEGIN { exit !($3 > 0 && $3 <= $2 + ${4:-0}) }" || fail "$1: more than before"
}

# The requests of one client, or those of 200 connections, or some idle seconds.
callsOf() {
    awk -v call="$1" '$NF ~ "^" call { n += $4 } END { print n + 0 }' "$box/strace"
}
waits=() controls=() idle=()
for tree in original swapped; do
    start $tree strace -f -c -e trace=epoll_ctl,epoll_wait,epoll_pwait2 -o "$box/strace"
    bench -n 10000 -c 1
    stop
    waits+=($(callsOf 'epoll_p?wait' | awk '{ printf "%.4f", $1 / 10000 }'))

    start $tree strace -f -c -e trace=epoll_ctl,accept4,accept -o "$box/strace"
    bench -n 2000 -c 200 -k 0
    stop
    controls+=($(awk '$NF == "epoll_ctl" { n = $4 } $NF ~ /^accept/ { c += $4 - $5 }
        END { printf "%.3f", n / c }' "$box/strace"))

    # It is idle from its first timer on. The window is whole seconds between two signals.
    start $tree strace -f -q -e trace=epoll_wait,epoll_pwait2 -o "$box/trace" -ttt
    sleep 5
    stop
    idle+=($(awk '/epoll_(p?wait)/ { if (!begin) begin = $2
        if ($2 >= begin + 1 && $2 < begin + 4) n++ } END { printf "%.2f", n / 3 }' "$box/trace"))
done
# The server's cron adds ten waits for each second that the requests take.
noMore "epoll_wait per request, one client" ${waits[@]} 0.002
noMore "epoll_ctl per connection" ${controls[@]}
echo "cost: epoll_wait a second, idle: original ${idle[0]}, swapped ${idle[1]}"
note "waits per second when idle" ${idle[@]}
awk "BEGIN { exit !(${idle[1]} <= ${idle[0]} + 0.7) }" || fail "idle: more wake-ups"

for tree in original swapped; do
    start $tree valgrind -q --tool=callgrind --callgrind-out-file="$box/callgrind.$tree"
    bench -n 3000 -c 1
    stop
    callgrind_annotate --auto=no --show-percs=no --threshold=100 "$box/callgrind.$tree" |
        sed 's/,//g' | awk '$2 ~ /(^|\/)ae(_epoll)?\.c:/ { n += $1 } END { print n + 0 }' >"$box/ir.$tree"
done
noMore "instructions in the ae files, 3000 SETs" $(cat "$box/ir.original") $(cat "$box/ir.swapped")

[ "$blocks" != 0 ] || exit 0
# Both servers stay up, on the first processor, and the client on the second. A block is original,
# swapped, swapped, original, so that a change in the machine's speed cancels out.
start original taskset -c 0
ports[0]=$port pids="$pid"
start swapped taskset -c 0
ports[1]=$port pids="$pids $pid"
for block in $(seq $blocks); do
    for which in 0 1 1 0; do
        port=${ports[$which]}
        taskset -c 1 "$box/original/src/redis-benchmark" -p $port -t set -n 50000 -c 50 --csv |
            sed -n 's/^"SET","\([0-9.]*\)".*/\1/p'
    done | paste -s | awk '{ print ($2 + $3) / ($1 + $4) }' >>"$box/ratios"
done
kill $pids
servers=
# The interval between the 3rd smallest and the 3rd largest of 12 contains the median in 96 % of cases.
sort -n "$box/ratios" | awk '{ r[NR] = $1 } END { k = int(NR / 4); if (k < 1) k = 1
    printf "%.4f %.4f %.4f\n", (r[int((NR + 1) / 2)] + r[int(NR / 2) + 1]) / 2, r[k], r[NR + 1 - k] }' \
    >"$box/median"
read -r median low high <"$box/median"
echo "cost: requests a second, swapped to original: median $median of $blocks blocks ($low to $high)"
awk "BEGIN { exit !($median >= 0.97) }" || fail "fewer requests a second"
note "requests per second, redis-benchmark, $blocks blocks, median" 1 $median $low $high
{ echo what,original,swapped,low,high && cat "$box/swap.csv"; } >bench/results/swap.csv
