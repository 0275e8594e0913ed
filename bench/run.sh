#!/bin/bash
# Runs the benches with every library, in turn, and prints and writes the results. See README.md.
#
#     bench/run.sh            all benches; replaces bench/results, and writes the pages' passages
#     bench/run.sh quick      fewer, into build/bench/quick; takes less than a minute
#     bench/run.sh plots      draws the plots and writes the passages again, without measuring
#     bench/run.sh check      fails if a page has a figure that is not in bench/results
#
# REDIS_SRC=path/to/redis adds Redis's own ae. ROUNDS=n and WORKLOADS="timers dispatch interest idle
# memory lateness longest http" select how often and which.
set -euo pipefail
cd "$(dirname "$0")/.."
. bench/support.sh

say() {
    echo "bench: $*" >&2
}

# Draws the plots of a folder.
plot() {
    local caption workload
    for workload in timers dispatch interest; do
        [ -f "$1/$workload.csv" ] || { say "no plots without $workload" && return; }
    done
    caption=$(cat "$1/machine.txt")
    gnuplot -e "dir = '$1'; caption = \"${caption//$'\n'/\\n}\"" bench/plots.gp
}

case ${1:-} in
'')
    rounds=${ROUNDS:-5} out=build/bench/results
    httpRounds=$((2 * rounds + 1))
    timers="10 100 1000 10000 100000 1000000" milliseconds=40 longest=1000000
    chains="1,100 4,100 100,400" roundTrips="1 2 10" steps=10000 writes=200000
    idle="1000 10000 100000" lateness="50 2" seconds=2
    loads="100,close 100,keep-alive 1000,keep-alive 10000,keep-alive"
    ;;
quick)
    rounds=${ROUNDS:-2} out=build/bench/quick
    httpRounds=$rounds
    timers="10 1000 10000" milliseconds=5 longest=100000
    chains="4,100" roundTrips="2" steps=1000 writes=20000
    idle="1000 10000" lateness="10 2" seconds=1
    loads="100,close 1000,keep-alive"
    ;;
plots)
    need gnuplot
    plot bench/results
    exec bench/texts.sh
    ;;
check) exec bench/texts.sh check ;;
*) echo "usage: bench/run.sh [quick|plots|check]" >&2 && exit 2 ;;
esac
workloads=" ${WORKLOADS:-timers dispatch interest idle memory lateness longest http} "

need valgrind strace wrk gnuplot cmake
build
ulimit -n 1048576 2>/dev/null || ulimit -n "$(ulimit -Hn)"
libraries="epoll libae ${REDIS_SRC:+original }libev libevent libuv"
rm -rf "$out"
mkdir -p "$out"
raw=build/bench/raw.csv
: >"$raw"

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

# The original searches a list of all timers for each deletion: more timers would take hours.
isTooMany() {
    [ "$2" = original ] && [ "$1" -gt 10000 ]
}

benchTimers() {
    isTooMany "$@" || measure "$2" timers "$1" $milliseconds
}

benchCold() {
    local process
    for process in 1 2 3; do measure "$2" cold "$1"; done
}

benchPending() {
    isTooMany "$@" || countRequests "$2" pending "$1" | sed -n "/^$workload/p" >>"$raw"
}

benchLongest() {
    local process
    isTooMany "$@" || for process in 1 2 3; do measure "$2" longest "$1"; done
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

# The number of fds, or the limit of the system if that is lower.
benchIdle() {
    local n=$1 most=$(($(ulimit -n) - 64))
    measure "$2" idle $((n < most ? n : most))
}

benchMemory() {
    countRequests "$1" memory >>"$raw"
}

benchLateness() {
    measure "$1" lateness $lateness
}

# The processor time of a process, in nanoseconds.
processorTime() {
    cut -d' ' -f1 "/proc/$1/schedstat"
}

# The server's processor time for each request that wrk, on the other processor, counts.
benchHttp() {
    local connections=${1%,*} kind=${1#*,} library=$2 server pid port report before after
    exec {server}< <(exec $pin build/bench/"$library" http)
    pid=$!
    read -r -u "$server" port
    before=$(processorTime $pid)
    report=$($pinPeer wrk -t1 -c"$connections" -d${seconds}s --timeout 10s \
        -H "Connection: $kind" "http://127.0.0.1:${port##*:}/") || true
    after=$(processorTime $pid)
    kill "$pid"
    exec {server}<&-
    ! grep -E 'Socket errors|Non-2xx' <<<"$report" || say "$library, $1: some requests failed"
    awk -v scope="$connections $kind" -v library="$library" -v ns=$((after - before)) '
        /requests in/ { print "http," scope ",us," library "," ns / 1000 / $1 }' \
        <<<"$report" >>"$raw"
}

for workload in $workloads; do
    say "$workload, at $SECONDS s"
    case $workload in
    timers)
        for n in $timers; do
            eachInTurn "$rounds" benchTimers "$n"
            eachInTurn "$rounds" benchCold "$n"
        done
        for n in 1 $timers; do
            [[ $n == 10 || $n == 100 ]] || eachInTurn 1 benchPending "$n"
        done
        ;;
    longest)
        eachInTurn "$rounds" benchLongest $longest
        eachInTurn 1 benchPending $longest
        ;;
    dispatch)
        for chain in $chains; do
            eachInTurn "$rounds" benchChain "$chain"
            eachInTurn 1 countChain "$chain"
        done
        ;;
    interest)
        for n in $roundTrips; do
            eachInTurn "$rounds" benchInterest "$n"
            eachInTurn 1 countInterest "$n"
        done
        ;;
    idle) for n in $idle; do eachInTurn "$rounds" benchIdle "$n"; done ;;
    memory) eachInTurn 1 benchMemory ;;
    lateness) eachInTurn "$rounds" benchLateness ;;
    http) for load in $loads; do eachInTurn "$httpRounds" benchHttp "$load"; done ;;
    *) say "no such workload: $workload" && exit 2 ;;
    esac
    awk -f bench/table.awk -v workload="$workload" -v csv="$out/$workload.csv" "$raw"
done

# The machine, and the releases according to the headers.
macros() {
    printf '#include <%s>\n%s\n' "$1" "$2" | ${CC:-cc} -I. -Ibuild/peers/include -E -P - |
        tail -n 1 | tr -d '" '
}
processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
system="${processor:-$(uname -m)}, $(nproc) processors, Linux $(uname -r)"
versions="libae $(macros ae.h AE_VERSION_MAJOR.AE_VERSION_MINOR.AE_VERSION_PATCH)"
versions="$versions, libev $(macros ev.h EV_VERSION_MAJOR.EV_VERSION_MINOR)"
versions="$versions, libevent $(macros event2/event.h EVENT__VERSION)"
versions="$versions, libuv $(macros uv.h UV_VERSION_MAJOR.UV_VERSION_MINOR.UV_VERSION_PATCH)"
[ -z "${REDIS_SRC:-}" ] || versions="$versions, original of Redis $(
    sed -n 's/^#define REDIS_VERSION "\(.*\)"/\1/p' "$REDIS_SRC/src/version.h"
)"
echo "$system, $(${CC:-cc} --version | head -n 1), $(date +%Y-%m-%d)
$versions" >"$out/machine.txt"
echo
cat "$out/machine.txt"
if [ $out = build/bench/results ]; then
    plot $out
    # Other scripts write these.
    for kept in emulated swap; do
        [ ! -f bench/results/$kept.csv ] || cp bench/results/$kept.csv $out
    done
    rm -rf bench/results
    mv $out bench/results
    bench/texts.sh
fi
say "done, after $SECONDS s"
