#!/usr/bin/env bash
# The examples with real clients: curl, wrk, and our own slow reader. Prints a line for each behaviour.
# Without curl or wrk it is skipped, but not in CI.
#
#     tests/checks/integration.sh DIRECTORY     where the examples are
set -u
cd "$(dirname "$0")/../.."
examples=$(cd "$1" && pwd) || exit 1
. tests/support/check.sh
. tests/support/serve.sh

for tool in curl wrk; do
    command -v $tool >/dev/null && continue
    echo "integration: skipped, there is no $tool: run 'make deps'"
    [ "${CI:-}" != true ]
    exit
done
${CC:-cc} ${CFLAGS:-} -O1 tests/checks/slow_reader.c -o "$box/slow_reader" || exit 1

status_of() {
    [ "$(curl -s -m 10 -o /dev/null -w '%{http_code}' "$@")" = "$status" ]
}

# Sends $1, as printf writes it, and prints everything that is received until the server hangs up.
raw() {
    exec 3<>/dev/tcp/127.0.0.1/$port && printf "$1" >&3 && timeout 20 cat <&3
}

pipelined_requests_get_responses_in_order() {
    raw 'GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.0\r\n\r\n' |
        grep '^HTTP' | tr -d '\r' >"$box/statuses"
    printf 'HTTP/1.1 %s\n' "200 OK" "404 Not Found" "200 OK" | diff - "$box/statuses"
}

# More requests at once than there is room for responses.
a_thousand_pipelined_requests_get_a_thousand_responses() {
    requests=$(printf 'GET / HTTP/1.1\\r\\n\\r\\n%.0s' $(seq 999))
    [ "$(raw "${requests}GET / HTTP/1.0\\r\\n\\r\\n" | grep -c '^HTTP/1.1 200 OK')" = 1000 ]
}

a_request_may_come_in_pieces() {
    exec 3<>/dev/tcp/127.0.0.1/$port
    for piece in 'G' 'ET / HT' 'TP/1.0\r' '\nA: b\r\n\r' '\n'; do printf "$piece" >&3; done
    timeout 20 cat <&3 | grep -q '^HTTP/1.1 200 OK'
}

# The response has the head of that to GET, and no body.
head_gets_the_head() {
    curl -s -m 10 -I http://127.0.0.1:$port/ | tr -d '\r' >"$box/head" && cat "$box/head" &&
        grep -qx 'HTTP/1.1 200 OK' "$box/head" && grep -qx 'Content-Length: 18' "$box/head" || return 1
    raw 'HEAD /x HTTP/1.1\r\n\r\nHEAD / HTTP/1.0\r\n\r\n' | tr -d '\r' >"$box/heads"
    cat "$box/heads"
    grep '^HTTP' "$box/heads" | diff <(printf 'HTTP/1.1 %s\n' '404 Not Found' '200 OK') - &&
        [ "$(grep -cvE '^(HTTP/1.1 .*|[A-Z][A-Za-z-]*: .*|)$' "$box/heads")" = 0 ]
}

another_method_gets_the_list_of_allowed_ones() {
    for method in POST DELETE OPTIONS PUT; do
        raw "$method / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" | tr -d '\r' >"$box/answer"
        cat "$box/answer"
        grep -qx 'HTTP/1.1 405 Method Not Allowed' "$box/answer" &&
            grep -qx 'Allow: GET, HEAD' "$box/answer" &&
            [ "$(grep -c '^HTTP' "$box/answer")" = 1 ] || return 1
    done
}

# The server hangs up after the first response if either form requests it; else it responds to the
# second request as well.
close_is_a_word_of_the_header_connection() {
    for said in 'Connection: close' 'Connection:close' 'connection:\tCLOSE' 'Connection: close, TE' \
        'Connection: TE , Close' 'Connection: TE\r\nA: b\r\nCONNECTION: ,close ' ; do
        [ "$(raw "GET / HTTP/1.1\r\n$said\r\n\r\nGET / HTTP/1.0\r\n\r\n" | grep -c '^HTTP')" = 1 ] ||
            { echo "not heard: $said" && return 1; }
    done
    for said in 'Connection: keep-alive' 'Connection: closed' 'Connection: not-close, ' 'X: close' \
        'X-Connection: close' 'Connection:' 'A: Connection: close'; do
        [ "$(raw "GET / HTTP/1.1\r\n$said\r\n\r\nGET / HTTP/1.0\r\n\r\n" | grep -c '^HTTP')" = 2 ] ||
            { echo "heard, but not said: $said" && return 1; }
    done
}

an_invalid_request_is_refused() {
    for bad in 'nonsense\r\n\r\n' 'GET /\r\n\r\n' 'GET / HTTP/2.0\r\n\r\n' 'GET x HTTP/1.1\r\n\r\n' \
        '\r\n\r\n' 'get / HTTP/1.1\r\n\r\n' 'GET /\r\n HTTP/1.1\r\n\r\n' \
        'GET / HTTP/1.1\r\ncontent-length:3\r\n\r\nabc' \
        'GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 3\r\n\r\nabc' \
        'GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n'; do
        raw "$bad" | head -1 | grep -q '^HTTP/1.1 400 ' || { echo "$bad" && return 1; }
    done
}

a_head_that_is_too_long_is_refused() {
    raw "GET / HTTP/1.1\r\nX: $(head -c 9000 /dev/zero | tr '\0' x)" | grep -q '^HTTP/1.1 400 '
}

one_connection_serves_several_requests() {
    [ "$(curl -s -m 10 -o /dev/null -o /dev/null -w '%{num_connects}\n' \
        http://127.0.0.1:$port/ http://127.0.0.1:$port/x | tr -d '\n')" = 10 ]
}

load() {
    wrk -t$(($1 > 1 ? 2 : 1)) -c$1 -d${2}s --timeout 10 http://127.0.0.1:$port/ >"$box/wrk" || return 1
    cat "$box/wrk"
    ! grep -qE 'Socket errors|Non-2xx' "$box/wrk" && grep -q '[1-9][0-9]* requests in' "$box/wrk"
}

# Waits for the end of the connection, which must not be too early.
an_idle_connection_is_closed_in_time() {
    begin=$(date +%s%N)
    exec 3<>/dev/tcp/127.0.0.1/$port
    timeout 60 cat <&3 || return 1
    [ $(($(date +%s%N) - begin)) -ge 2000000000 ]
}

processor_ticks() {
    cut -d' ' -f14,15 /proc/$pid/stat | tr ' ' +
}

# With a limit of 40 fds, some of 60 connections are refused, the others are served, and when all are
# closed, new ones are served again.
running_out_of_fds_hurts_only_newcomers() {
    local held=()
    for _ in $(seq 60); do
        exec {fd}<>/dev/tcp/127.0.0.1/$port && held+=($fd)
    done
    for round in 1 2; do
        printf 'hello\n' >&${held[0]}
        read -r -t 20 answer <&${held[0]} && [ "$answer" = hello ] || return 1
    done
    # It must not spin: a second of waiting costs little time of the processor.
    before=$(($(processor_ticks)))
    sleep 1
    [ $(($(processor_ticks) - before)) -lt 50 ] || return 1
    for fd in "${held[@]}"; do exec {fd}>&-; done
    for _ in $(seq 100); do
        exec 3<>/dev/tcp/127.0.0.1/$port
        printf 'again\n' >&3 2>/dev/null
        read -r -t 1 answer <&3 && [ "$answer" = again ] && return
        sleep 0.1
    done
    return 1
}

the_ticker_ticks() {
    printf 'Tick: %d s elapsed\n' 1 2 >"$box/ticks"
    "$examples/ticker" 2 | diff "$box/ticks" -
}

serve http
status=200 check "http responds to GET /" status_of http://127.0.0.1:$port/
status=404 check "http knows no other page" status_of http://127.0.0.1:$port/other
status=405 check "http refuses POST" status_of -X POST -d a=b http://127.0.0.1:$port/
check "HEAD gets the head" head_gets_the_head
check "another method gets the list of allowed ones" another_method_gets_the_list_of_allowed_ones
check "close is a word of the header Connection" close_is_a_word_of_the_header_connection
check "one connection serves several requests" one_connection_serves_several_requests
check "pipelined requests get responses in order" pipelined_requests_get_responses_in_order
check "a thousand pipelined requests get a thousand responses" \
    a_thousand_pipelined_requests_get_a_thousand_responses
check "a request may come in pieces" a_request_may_come_in_pieces
check "an invalid request is refused" an_invalid_request_is_refused
check "a head that is too long is refused" a_head_that_is_too_long_is_refused
for connections in 1 50 500; do
    check "http holds up under wrk with $connections connections" load $connections 2
done
check "http is well after all that" is_well $pid http
serve http 2
check "an idle connection is closed in time" an_idle_connection_is_closed_in_time
serve echo
check "200 slow readers get their MiB back, byte for byte" \
    timeout 120 "$box/slow_reader" $port 200 1048576
check "echo is well after all that" is_well $pid echo
ulimit -Sn 40
serve echo
ulimit -Sn $(ulimit -Hn)
check "running out of fds hurts only newcomers" running_out_of_fds_hurts_only_newcomers
check "the ticker ticks" the_ticker_ticks
finish
