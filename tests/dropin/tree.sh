# Shared by the scripts in this directory, which source it. It creates a directory $box, in which the
# trees are built. At the end it removes $box and ends the servers in $servers.
box=$(mktemp -d)
servers=
cleanUp() {
    [ -z "$servers" ] || kill $servers 2>/dev/null || true
    rm -rf "$box"
}
trap cleanUp EXIT

fail() {
    echo "dropin: $*" >&2
    exit 1
}

# takeTree FILE DIRECTORY: sets `source` to the directory, if it is a tree with such a file. A tree that
# has our files already would be compared with itself.
takeTree() {
    [ -f "$2/$1" ] || fail "$2 is no tree with a $1"
    ! grep -qs AE_VERSION_MAJOR "$2/src/ae.h" ||
        fail "$2/src/ae.h is that of libae: this needs an unmodified tree"
    source=$(cd "$2" && pwd)
}

# buildTree original|swapped FILES MAKE-ARGUMENT...: builds a copy of the source; the swapped one
# has these files of ours in place of its own.
buildTree() {
    local tree=$1 files=$2
    shift 2
    cp -r "$source" "$box/$tree"
    echo "dropin: builds the $tree tree"
    make -C "$box/$tree" distclean >/dev/null 2>&1 || true
    [ $tree = original ] || cp $files "$box/$tree/src/"
    make -C "$box/$tree" -j2 "$@" >"$box/$tree.log" 2>&1 || {
        tail -n 20 "$box/$tree.log"
        fail "the $tree tree does not build"
    }
    # The line of a warning does not matter, nor does the order in which the files were compiled.
    sed -n 's/:[0-9]*:[0-9]*: warning:/: warning:/p' "$box/$tree.log" | sort -u >"$box/$tree.warnings"
}

aeFiles=$(echo ae.h ae.c ae_*.c)

# Called after both trees were built.
compareWarnings() {
    comm -13 "$box/original.warnings" "$box/swapped.warnings" >"$box/new"
    if [ -s "$box/new" ]; then
        cat "$box/new" >&2
        fail "new warnings"
    fi
    echo "dropin: builds, with no new warning"
}

# awaitPort PORT: waits until a process listens there, or the server has ended.
awaitPort() {
    until (: <>/dev/tcp/127.0.0.1/$1) 2>/dev/null; do
        kill -0 $servers || fail "a server has ended"
        sleep 0.1
    done
}

# freePort: prints a free port, outside of the range of ephemeral ports.
freePort() {
    local port
    for port in $(shuf -i 20000-32000 -n 50); do
        (: <>/dev/tcp/127.0.0.1/$port) 2>/dev/null || break
    done
    echo $port
}
