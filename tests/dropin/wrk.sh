#!/bin/bash
# Swaps the ae files of a wrk tree for ours, in a copy of it, and touches nothing else; builds both as
# usual, without a new warning, and runs them in turn against examples/http.
#
#     tests/dropin/wrk.sh WRK_SRC [ROUNDS]
#
# wrk needs LuaJIT and OpenSSL (luajit, libluajit-5.1-dev, libssl-dev).
set -eu
cd "$(dirname "$0")/../.."
[ -f "${1:?which wrk tree?}/src/wrk.c" ] || { echo "dropin: $1 is no wrk tree" >&2 && exit 2; }
source=$(cd "$1" && pwd)
rounds=${2:-5}
box=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill $server; rm -rf "$box"' EXIT

for tree in original swapped; do
    cp -r "$source" "$box/$tree"
    [ $tree = original ] || cp ae.h ae.c ae_epoll.c ae_kqueue.c ae_select.c ae_evport.c "$box/$tree/src/"
    (cd "$box/$tree" && make -j2 WITH_LUAJIT=/usr WITH_OPENSSL=/usr) >"$box/$tree.log" 2>&1 || {
        tail -n 20 "$box/$tree.log"
        echo "dropin: the $tree tree does not build" >&2
        exit 1
    }
    sed -n 's/:[0-9]*:[0-9]*: warning:/: warning:/p' "$box/$tree.log" | sort -u >"$box/$tree.warnings"
done
[ -z "$(comm -13 "$box/original.warnings" "$box/swapped.warnings")" ] || {
    comm -13 "$box/original.warnings" "$box/swapped.warnings"
    echo "dropin: new warnings" >&2
    exit 1
}
echo "dropin: builds, with no new warning"

make -s examples
build/examples/http 0 >"$box/port" &
server=$!
until port=$(sed -n 's/.*127.0.0.1://p' "$box/port") && [ -n "$port" ]; do sleep 0.1; done

measure() {
    "$box/$1/wrk" -t1 -c100 -d2s http://127.0.0.1:$port/ >"$box/out"
    ! grep -E 'Socket errors|Non-2xx' "$box/out" || return 1
    sed -n 's/^Requests.sec: *//p' "$box/out" >>"$box/$1.rates"
}

for round in $(seq $rounds); do
    measure original
    measure swapped
    measure swapped
    measure original
done
median() {
    sort -n "$box/$1.rates" | sed -n "$((rounds + 1))p"
}
calls() {
    strace -f -c -e trace=epoll_ctl -o "$box/strace" "$box/$1/wrk" -t1 -c10 -d1s \
        http://127.0.0.1:$port/ >"$box/out"
    awk -v n="$(sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' "$box/out")" \
        '$NF == "epoll_ctl" { printf "%.3f", $4 / n }' "$box/strace"
}
echo "dropin: requests a second, median of $((2 * rounds)): original $(median original), swapped" \
    "$(median swapped)"
! command -v strace >/dev/null ||
    echo "dropin: epoll_ctl a request: original $(calls original), swapped $(calls swapped)"
