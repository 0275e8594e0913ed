#!/bin/bash
# examples/http under load; tests/checks/load.c describes the checks.
#
#     tests/checks/load.sh [HOLD [RATE [SECONDS]]]     10000 1000 60
set -euo pipefail
cd "$(dirname "$0")/../.."
hold=${1:-10000} rate=${2:-1000} seconds=${3:-60}
needed=$((hold + 2 * 2000 + 100)) # twice GUESTS_AT_ONCE of load.c, when it warms up
ulimit -n $needed 2>/dev/null || true # root may
if [ "$(ulimit -Hn)" != unlimited ] && [ "$(ulimit -Hn)" -lt $needed ]; then
    echo "load: $needed fds are needed, $(ulimit -Hn) is the hard limit (ulimit -Hn)" >&2
    exit 1
fi
ulimit -Sn $needed
box=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill $pid 2>/dev/null; rm -rf "$box"' EXIT

compile="${CC:-cc} ${CFLAGS:-} -O2 -I."
$compile tests/checks/load.c ae.c anet.c -o "$box/load"
# Two servers: one unchanged, to measure, and one whose timers are counted.
$compile examples/http.c ae.c anet.c -o "$box/http"
$compile -Wl,--wrap=aeCreateTimeEvent,--wrap=aeDeleteTimeEvent,--wrap=aeMain examples/http.c \
    tests/checks/load_timers.c ae.c anet.c -o "$box/http_counted"

serve() {
    "$box/$1" 0 300 >"$box/out" 2>"$box/err" &
    pid=$!
    for _ in $(seq 500); do
        port=$(sed -n 's/.*listening on 127.0.0.1://p' "$box/out")
        [ -n "$port" ] && return
        kill -0 $pid
        sleep 0.02
    done
    echo "load: http does not start" >&2
    exit 1
}

end() {
    kill $pid
    local status=0
    wait $pid || status=$?
    pid=
    [ ! -s "$box/err" ] || { cat "$box/err" >&2 && return 1; }
    sed '/listening/d' "$box/out"
    [ $status = "$1" ]
}

serve http
"$box/load" "$port" $pid "$hold" "$rate" "$seconds"
end 143
serve http_counted
"$box/load" "$port" $pid "$hold" "$rate" $((seconds / 6 + 1))
end 0
