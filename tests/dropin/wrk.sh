#!/bin/bash
# Replaces the ae files of a wrk tree with ours, in a copy of it, and changes nothing else; builds both
# as usual, without a new warning, and runs them in turn with nginx and with examples/http.
#
#     tests/dropin/wrk.sh WRK_SRC [ROUNDS]
#
# wrk needs LuaJIT and OpenSSL (luajit, libluajit-5.1-dev, libssl-dev).
set -eu
cd "$(dirname "$0")/../.."
. tests/dropin/tree.sh
takeTree src/wrk.c "${1:?which wrk tree?}"
rounds=${2:-5}

for tree in original swapped; do
    buildTree $tree "$aeFiles" WITH_LUAJIT=/usr WITH_OPENSSL=/usr
done
compareWarnings

make -s examples
http=$(freePort)
build/examples/http $http >/dev/null &
servers="$servers $!"
awaitPort $http

mkdir "$box/nginx"
echo "Hello from nginx" >"$box/nginx/index.html"
nginx=$(freePort)
cat >"$box/nginx.conf" <<END
daemon off;
worker_processes 1;
pid $box/nginx/pid;
error_log stderr error;
events { worker_connections 1000; }
http {
    access_log off;
    keepalive_requests 1000000000;
    server { listen 127.0.0.1:$nginx; root $box/nginx; }
    client_body_temp_path $box/nginx/body;
    proxy_temp_path $box/nginx/proxy;
    fastcgi_temp_path $box/nginx/fastcgi;
    uwsgi_temp_path $box/nginx/uwsgi;
    scgi_temp_path $box/nginx/scgi;
}
END
chmod -R a+rX "$box"
nginx -p "$box/nginx" -e stderr -c "$box/nginx.conf" &
servers="$servers $!"
awaitPort $nginx

# measure TREE SERVER PORT
measure() {
    "$box/$1/wrk" -t1 -c100 -d1s http://127.0.0.1:$3/ >"$box/out"
    ! grep -E 'Socket errors|Non-2xx' "$box/out" || fail "the $1 wrk against $2"
    sed -n 's/^Requests.sec: *//p' "$box/out" >>"$box/$1.$2"
}
# median TREE SERVER
median() {
    sort -n "$box/$1.$2" | sed -n "$((rounds + 1))p"
}
# calls TREE PORT
calls() {
    strace -f -c -e trace=epoll_ctl -o "$box/strace" "$box/$1/wrk" -t1 -c10 -d1s \
        http://127.0.0.1:$2/ >"$box/out"
    awk -v n="$(sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' "$box/out")" \
        '$NF == "epoll_ctl" { printf "%.3f", $4 / n }' "$box/strace"
}

for server in nginx http; do
    port=${!server}
    for round in $(seq $rounds); do
        for tree in original swapped swapped original; do measure $tree $server $port; done
    done
    echo "dropin: wrk against $server, requests a second, median of $((2 * rounds)):" \
        "original $(median original $server), swapped $(median swapped $server)"
    before=$(calls original $port) after=$(calls swapped $port)
    echo "dropin: wrk against $server, epoll_ctl a request: original $before, swapped $after"
    awk "BEGIN { exit !($after > 0 && $after <= 2.1) }" || fail "more than 2.1 epoll_ctl a request"
done
