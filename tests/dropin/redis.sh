#!/bin/bash
# Replaces the files of a Redis tree with ours, in a copy of it, and changes nothing else; then builds
# it as usual and runs its own tests. There must be no error, no warning that the build of the original
# files does not give, and no test that fails.
#
#     [BACKEND=select|kqueue|evport] tests/dropin/redis.sh REDIS_SRC [PART ...]
#
#     network      the tests that depend on sockets and timers (the default)
#     few          six of those
#     whole        all of ./runtest
#     io-threads   all of ./runtest with I/O threads that read and write
#     moduleapi    ./runtest-moduleapi
#     sentinel     ./runtest-sentinel
#     build        no test
#
# kqueue and evport are the emulations of tests/support. SWAP=no keeps the original files, to
# show which tests fail without ours. If allowed, the tests run in their own network namespace, so that
# ports cannot clash.
set -eu
cd "$(dirname "$0")/../.."
. tests/dropin/tree.sh
takeTree src/server.h "${1:?which Redis tree?}"
shift
[ $# -gt 0 ] || set -- network
for part in "$@"; do
    case $part in
    network | few | whole | io-threads | moduleapi | sentinel | build) ;;
    *) fail "no such part: $part" ;;
    esac
    [ $part = build ] || command -v tclsh >/dev/null || fail "Redis's tests need tclsh: install tcl"
done

flags= objects=
emulate() {
    flags="-DAE_BACKEND_$2 -I$PWD/tests/support/$1"
    for file in "tests/support/$1/$3" tests/support/fdwatch; do
        ${CC:-cc} -O2 -I. -Itests/support/$1 -c $file.c -o "$box/$(basename $file).o"
        objects="$objects $box/$(basename $file).o"
    done
}
case ${BACKEND:=epoll} in
epoll) ;;
select) flags=-DAE_BACKEND_SELECT ;;
kqueue) emulate kqueue KQUEUE kqueue ;;
evport) emulate evport EVPORT port ;;
*) fail "no such backend: $BACKEND" ;;
esac

# Before 6.2, which added monotonic.h, anet.h had other functions.
files=$aeFiles
[ ! -f "$source/src/monotonic.h" ] || files="$files anet.c anet.h"

build() {
    buildTree $1 "$files" MALLOC=libc "${@:2}"
}

# As doc/DROPIN.md tells which loop a program has.
hasOurLoop() {
    grep -q 'ae: %s: %s: %s' "$box/$1/src/redis-server"
}

[ "${SWAP:-}" != no ] || BACKEND="$BACKEND (original)"
tree=swapped
if [ "${SWAP:-}" = no ]; then
    tree=original
    build original
else
    build swapped "REDIS_CFLAGS=$flags" "REDIS_LDFLAGS=$objects"
    # Counting memory and reporting panics must need no flags: only the files are swapped.
    nm "$box/swapped/src/ae.o" | grep -qw 'U zmalloc' || fail "ae.o does not use the server's zmalloc"
    [ ! -f "$source/src/redisassert.c" ] || nm "$box/swapped/src/ae.o" | grep -qw 'U _serverPanic' ||
        fail "ae.o does not use the server's panic"
    for program in server sentinel cli benchmark check-rdb check-aof; do
        [ -x "$box/swapped/src/redis-$program" ] || fail "there is no redis-$program"
    done
    hasOurLoop swapped || fail "nothing in redis-server says that it has our loop"
    if [ $BACKEND = epoll ]; then
        build original
        ! hasOurLoop original || fail "the original redis-server is taken for one with our loop"
        compareWarnings
    fi
fi
cd "$box/$tree"

# 7.0.15 and 8.0.2 count the cycles of the loop and watch its use of the processor in these.
network() {
    for suite in unit/introspection unit/networking unit/pubsub unit/type/list unit/expire unit/info \
        unit/maxmemory unit/other unit/protocol unit/limits unit/querybuf integration/replication \
        integration/psync2 integration/redis-benchmark integration/redis-cli; do
        [ ! -f "tests/$suite.tcl" ] || echo "--single $suite"
    done
}

status=0
run() {
    local name=$1 result=0
    shift
    echo "dropin: $BACKEND $name: the tests run, this takes minutes"
    if unshare -n true 2>/dev/null; then
        set -- unshare -n sh -c 'ip link set lo up && exec "$@"' sh "$@"
    fi
    "$@" >"$box/test.log" 2>&1 || result=$?
    sed -i 's/\x1b\[[0-9;]*m//g' "$box/test.log"
    # The sentinel tests have another form: one line that ends in OK for each.
    passed=$(grep -cE '^\[ok\]|^[0-9:]+> .*: OK$' "$box/test.log") || true
    failed=$(grep -cE '^\[(err|exception|timeout)\]|^FAILED:' "$box/test.log") || true
    echo "dropin: $BACKEND $name: $passed passed, $failed failed"
    if [ $result != 0 ] || [ "$failed" != 0 ] || [ "$passed" = 0 ]; then
        grep -nE -A8 '^\[(err|exception|timeout)\]|^FAILED:|\*\*\*' "$box/test.log" | head -n 100
        tail -n 5 "$box/test.log"
        status=1
    fi
}

# select has only 1024 numbers.
clients="--clients ${CLIENTS:-2}"
[ $BACKEND != select ] || clients="$clients --config maxclients 900"
# In 8.0.6 and 8.6.3 one test sets repl-diskless-load to a value that the server refuses. This ends the
# whole run, also with the original files.
if grep -q 'repl-diskless-load yes' tests/integration/replication.tcl; then
    clients="$clients --skiptest /Fullsync.should.not.free.scripting.engine"
fi
# The I/O threads of Redis 8 spin while they wait for each other. With more threads than processors, a
# script of unit/scripting that requests CLIENT LIST repeatedly does not end, also with the original
# files.
threads=4
[ ! -f src/iothread.c ] || [ "$(nproc)" -ge 4 ] || threads=$(nproc)
for part in "$@"; do
    case $part in
    network) run network ./runtest $clients $(network) ;;
    few)
        run few ./runtest $clients --single unit/introspection --single unit/pubsub \
            --single unit/expire --single unit/protocol --single unit/limits \
            --single integration/replication
        ;;
    whole) run whole ./runtest $clients ;;
    io-threads)
        run "io-threads $threads" ./runtest $clients --config io-threads $threads \
            --config io-threads-do-reads yes
        ;;
    moduleapi) run moduleapi ./runtest-moduleapi $clients ;;
    sentinel) run sentinel ./runtest-sentinel ;;
    esac
done
exit $status
