#!/bin/bash
# Compiles hiredis's adapters/ae.h, as shipped, with our ae.h. Then runs an asynchronous client on each
# backend, with a real redis-server, which is stopped and started again. kqueue and evport run on the
# emulations of tests/support.
#
#     tests/dropin/hiredis.sh [BACKEND ...]
#
# Needs libhiredis-dev and redis-server.
set -eu
cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || set -- epoll select kqueue evport
command -v redis-server >/dev/null || { echo "dropin: there is no redis-server" >&2 && exit 1; }
box=$(mktemp -d)
redis= client=
trap 'kill -KILL $redis $client 2>/dev/null || true; wait 2>/dev/null; rm -rf "$box"' EXIT

# Starts the server on $1, or on a free port if that is empty. Sets `port`.
start_redis() {
    for _ in $(seq 200); do
        port=${1:-$((RANDOM % 20000 + 20000))}
        : >"$box/redis.log"
        redis-server --port $port --bind 127.0.0.1 --save '' --dir "$box" >"$box/redis.log" 2>&1 &
        redis=$!
        while kill -0 $redis 2>/dev/null; do
            ! grep -q 'Ready to accept connections' "$box/redis.log" || return 0
            sleep 0.02
        done
    done
    cat "$box/redis.log" >&2
    return 1
}

stop_redis() {
    kill $redis
    wait $redis || true
}

build() {
    local flags=-DAE_BACKEND_$(echo $1 | tr a-z A-Z) sources=
    case $1 in
    kqueue) sources="tests/support/kqueue/kqueue.c tests/support/fdwatch.c" ;;
    evport) sources="tests/support/evport/port.c tests/support/fdwatch.c" ;;
    esac
    [ -z "$sources" ] || flags="$flags -Itests/support/$1"
    # As a user of the adapter does: it includes <ae.h>, and must not warn.
    ${CC:-cc} ${CFLAGS:-} -O2 -Wall -Wextra -Werror -I. $flags -o "$box/client" \
        tests/dropin/hiredis_client.c ae.c $sources $(pkg-config --cflags --libs hiredis) -pthread
}

# Waits for a line of the client's.
expect() {
    local line
    read -r line <&3 && [ "$line" = "$1" ] || {
        echo "dropin: hiredis on $backend: not \"$1\" but \"${line:-}\"" >&2
        return 1
    }
}

for backend in "$@"; do
    build $backend
    start_redis ""
    mkfifo "$box/told"
    "$box/client" $port >"$box/told" &
    client=$!
    exec 3<"$box/told"
    expect $backend
    expect ready
    stop_redis
    expect away
    start_redis $port
    expect done
    exec 3<&-
    wait $client
    client=
    stop_redis
    redis=
    rm "$box/told"
    echo "dropin: hiredis on $backend: 10,000 SET and GET, 10,000 messages, twice, with the server" \
        "gone in between"
done
