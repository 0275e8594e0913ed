#!/bin/bash
# Swaps the files of a Redis tree for ours, in a copy of it, and touches nothing else; then builds it
# as usual and runs tests of its own. There must be no error, no warning that the build of the
# original files does not give, and no test that fails.
#
#     tests/dropin/redis.sh REDIS_SRC [arguments of runtest, e.g. --single unit/other]
#
# By default it runs the tests that lean on the network and on timers. It runs them in a network
# namespace of their own where it may, so that ports cannot clash.
set -eu
cd "$(dirname "$0")/../.."
[ -f "${1:?which Redis tree?}/src/ae.c" ] || { echo "dropin: $1 is no Redis tree" >&2 && exit 2; }
source=$(cd "$1" && pwd)
shift
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT

build() {
    (cd "$box/$1" && make -j2 MALLOC=libc) >"$box/$1.log" 2>&1 || {
        tail -n 20 "$box/$1.log"
        echo "dropin: the $1 tree does not build" >&2
        return 1
    }
    # Where in a file a warning stands is no matter, nor in which order the files were compiled.
    sed -n 's/:[0-9]*:[0-9]*: warning:/: warning:/p' "$box/$1.log" | sort -u >"$box/$1.warnings"
}

cp -r "$source" "$box/original"
cp -r "$source" "$box/swapped"
make -C "$box/original" distclean >/dev/null 2>&1 || true
make -C "$box/swapped" distclean >/dev/null 2>&1 || true
cp ae.h ae.c ae_epoll.c ae_kqueue.c ae_select.c ae_evport.c anet.c anet.h "$box/swapped/src/"
build original
build swapped
comm -13 "$box/original.warnings" "$box/swapped.warnings" >"$box/new"
if [ -s "$box/new" ]; then
    echo "dropin: new warnings:" >&2
    cat "$box/new" >&2
    exit 1
fi
echo "dropin: builds, with no new warning"

# That memory is counted and panics are reported is up to the swap alone.
nm "$box/swapped/src/ae.o" | grep -qw 'U zmalloc' || {
    echo "dropin: ae.o does not use the server's zmalloc" >&2
    exit 1
}

if [ $# -eq 0 ]; then
    for suite in unit/introspection unit/networking unit/pubsub unit/type/list unit/expire \
        unit/maxmemory unit/other unit/protocol unit/limits integration/psync2 \
        integration/redis-benchmark integration/redis-cli; do
        [ ! -f "$source/tests/$suite.tcl" ] || set -- "$@" --single $suite
    done
fi
cd "$box/swapped"
status=0
run="./runtest --clients 2 $*"
if unshare -n true 2>/dev/null; then
    unshare -n sh -c "ip link set lo up && exec $run" >"$box/test.log" 2>&1 || status=$?
else
    $run >"$box/test.log" 2>&1 || status=$?
fi
passed=$(sed 's/\x1b\[[0-9;]*m//g' "$box/test.log" | grep -c '^\[ok\]') || true
failed=$(sed 's/\x1b\[[0-9;]*m//g' "$box/test.log" | grep -cE '^\[(err|exception|timeout)\]') || true
[ $status = 0 ] || tail -n 40 "$box/test.log"
echo "dropin: $passed passed, $failed failed"
[ $status = 0 ] && [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
