#!/bin/bash
# Runs the benches on every library, in turn, and prints and writes what came out. See README.md.
#
#     bench/run.sh            all of it, into doc/bench; takes half an hour
#     bench/run.sh quick      less of it, into build/bench/quick; takes less than a minute
#
# REDIS_SRC=path/to/redis adds Redis's own ae. ROUNDS=n and WORKLOADS="timers dispatch interest idle
# memory lateness http" (some of them) say how often and what.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
'')
    rounds=${ROUNDS:-5} httpRounds=${ROUNDS:-3} out=doc/bench
    timers="10 100 1000 10000 100000 1000000" milliseconds=40
    chains="1,100 4,100 100,400" conversations="1 2 10" steps=10000 writes=200000
    idle="1000 10000 100000" lateness="50 2" seconds=4
    loads="100,close 100,keep-alive 500,keep-alive 2000,keep-alive 10000,keep-alive"
    ;;
quick)
    rounds=${ROUNDS:-2} httpRounds=${ROUNDS:-1} out=build/bench/quick
    timers="10 1000 10000" milliseconds=5
    chains="4,100" conversations="2" steps=1000 writes=20000
    idle="1000 10000" lateness="10 2" seconds=1
    loads="100,close 500,keep-alive"
    ;;
*) echo "usage: bench/run.sh [quick]" >&2 && exit 2 ;;
esac
workloads=" ${WORKLOADS:-timers dispatch interest idle memory lateness http} "

. bench/support.sh
need ev.h event2/event.h uv.h valgrind strace wrk gnuplot
build
ulimit -n 1048576 2>/dev/null || ulimit -n "$(ulimit -Hn)"
libraries="floor libae ${REDIS_SRC:+original }libev libevent libuv"
mkdir -p "$out"
raw=build/bench/raw.csv
: >"$raw"

say() {
    echo "bench: $*" >&2
}

measure() {
    $pin build/bench/"$@" >>"$raw"
}

# eachInTurn ROUNDS COMMAND ARGUMENT...: A B C A B C. The command is given the library last.
eachInTurn() {
    local count=$1 round library
    shift
    for ((round = 1; round <= count; round++)); do
        for library in $libraries; do "$@" "$library"; done
    done
}

# The original walks a list of all its timers for each deletion: with more it takes for ever.
benchTimers() {
    [ "$2" != original ] || [ "$1" -le 10000 ] || return 0
    measure "$2" timers "$1" $milliseconds
}

benchChain() {
    measure "$2" chain "${1#*,}" "${1%,*}" "$writes"
}

countChain() {
    echo "dispatch,${1%,*} of ${1#*,},instructions,$2,$(
        instructions "$2" $steps chain "${1#*,}" "${1%,*}"
    )" >>"$raw"
}

benchInterest() {
    measure "$2" interest "$1" "$writes"
}

countInterest() {
    echo "interest,$1,instructions,$2,$(instructions "$2" $steps interest "$1")" >>"$raw"
    local short long
    short=$(systemCalls "$2" "$1" 1000)
    long=$(systemCalls "$2" "$1" $((1000 + steps)))
    echo "interest,$1,system calls,$2,$(
        awk "BEGIN { printf \"%.2f\", ($long - $short) / $steps }"
    )" >>"$raw"
}

systemCalls() {
    strace -qq -c -o build/bench/strace.out build/bench/"$1" interest "$2" "$3" >/dev/null
    awk '$NF == "total" { print $(NF - 1) == "total" ? $3 : $4 }' build/bench/strace.out
}

# As many fds as the system lets us have, if that is fewer than asked for.
benchIdle() {
    local n=$1 most=$(($(ulimit -n) - 64))
    measure "$2" idle $((n < most ? n : most))
}

benchMemory() {
    measure "$1" memory
}

benchLateness() {
    measure "$1" lateness $lateness
}

# Requests a second, by wrk on the other processor, and what processor time each took the server.
# The example is examples/http itself.
benchHttp() {
    local connections=${1%,*} kind=${1#*,} library=$2 server pid port answer ticks
    server="build/bench/$library http"
    [ "$library" != example ] || server=build/examples/http
    exec {server_output}< <(exec $pin $server)
    pid=$!
    read -r -u "$server_output" port
    answer=$($pinPeer wrk -t1 -c"$connections" -d${seconds}s --timeout 10s \
        -H "Connection: $kind" "http://127.0.0.1:${port##*:}/") || true
    ticks=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
    kill "$pid"
    exec {server_output}<&-
    ! grep -E 'Socket errors|Non-2xx' <<<"$answer" || say "$library, $1: some requests failed"
    awk -v scope="$connections $kind" -v library="$library" -v ms=$((ticks * 1000 / hertz)) '
        /requests in/ { print "http," scope ",server us," library "," ms * 1000 / $1 }
        /^Requests\/sec/ { print "http," scope ",requests/s," library "," $2 }' \
        <<<"$answer" >>"$raw"
}

for workload in $workloads; do
    say "$workload"
    case $workload in
    timers) for n in $timers; do eachInTurn "$rounds" benchTimers "$n"; done ;;
    dispatch)
        for chain in $chains; do
            eachInTurn "$rounds" benchChain "$chain"
            eachInTurn 1 countChain "$chain"
        done
        ;;
    interest)
        for n in $conversations; do
            eachInTurn "$rounds" benchInterest "$n"
            eachInTurn 1 countInterest "$n"
        done
        ;;
    idle) for n in $idle; do eachInTurn "$rounds" benchIdle "$n"; done ;;
    memory) eachInTurn "$rounds" benchMemory ;;
    lateness) eachInTurn "$rounds" benchLateness ;;
    http)
        hertz=$(getconf CLK_TCK)
        everyone=$libraries
        libraries="$libraries example"
        for load in $loads; do eachInTurn "$httpRounds" benchHttp "$load"; done
        libraries=$everyone
        ;;
    *) say "no such workload: $workload" && exit 2 ;;
    esac
    awk -f bench/table.awk -v workload="$workload" -v csv="$out/$workload.csv" "$raw"
done

# What it was measured on.
macros() {
    printf '#include <%s>\n%s\n' "$1" "$2" | ${CC:-cc} -E -P - | tail -n 1 | tr -d '" '
}
processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
system="${processor:-$(uname -m)}, $(nproc) processors, Linux $(uname -r)"
versions="libev $(macros ev.h EV_VERSION_MAJOR.EV_VERSION_MINOR)"
versions="$versions, libevent $(macros event2/event.h EVENT__VERSION)"
versions="$versions, libuv $(macros uv.h UV_VERSION_MAJOR.UV_VERSION_MINOR.UV_VERSION_PATCH)"
[ -z "${REDIS_SRC:-}" ] || versions="$versions, original of Redis $(
    sed -n 's/^#define REDIS_VERSION "\(.*\)"/\1/p' "$REDIS_SRC/src/version.h"
)"
caption="$system, $(${CC:-cc} --version | head -n 1), $(date +%Y-%m-%d)
$versions"
echo
echo "$caption"
case $out in
doc/bench)
    echo "$caption" >"$out/machine.txt"
    missing=
    for workload in timers dispatch interest http; do
        [ -f "$out/$workload.csv" ] || missing="$missing $workload"
    done
    if [ "$missing" ]; then
        say "no plots: these were never measured:$missing"
    else
        gnuplot -e "dir = '$out'; caption = \"${caption//$'\n'/\\n}\"" bench/plots.gp
    fi
    ;;
esac
