# Sourced, after check.sh, by the scripts that test the examples. They set `examples` to the directory.
# The servers that they start end with them.

servers=
trap 'kill -KILL $servers 2>/dev/null; wait 2>/dev/null; rm -rf "$box"' EXIT

# Starts an example on a free port. Sets `port` and `pid`.
serve() {
    local name=$1
    shift
    : >"$box/$name.out"
    "$examples/$name" 0 "$@" >"$box/$name.out" 2>"$box/$name.err" &
    pid=$!
    servers="$servers $pid"
    for _ in $(seq 500); do
        port=$(sed -n 's/.*listening on 127.0.0.1://p' "$box/$name.out")
        [ -n "$port" ] && return
        kill -0 $pid || break
        sleep 0.02
    done
    echo "$name does not start" >&2
    exit 1
}

# Returns whether the process is running and has written nothing to stderr.
is_well() {
    kill -0 $1 && [ ! -s "$box/$2.err" ]
}
