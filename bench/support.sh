# Shared by run.sh and guard.sh; sourced by bash, at the top of the tree.

# need TOOL...: prints which are missing, and exits.
need() {
    local missing= what
    for what in "$@"; do
        command -v "$what" >/dev/null || missing="$missing $what"
    done
    [ -z "$missing" ] || {
        echo "bench: not installed:$missing" >&2
        echo "bench: on Debian: apt-get install cmake valgrind strace wrk gnuplot-nox" >&2
        exit 1
    }
}

build() {
    mkdir -p build/bench
    ${MAKE:-make} libae.a >build/bench/build.log 2>&1 &&
        ${MAKE:-make} -f bench/Makefile all >>build/bench/build.log 2>&1 &&
        { [ -z "${REDIS_SRC:-}" ] ||
            ${MAKE:-make} -f bench/Makefile original REDIS_SRC="$REDIS_SRC" \
                >>build/bench/build.log 2>&1; } || {
        cat build/bench/build.log >&2
        exit 1
    }
}

# On their own processor, if there are two.
pin= pinPeer=
if [ "$(nproc)" -gt 1 ]; then
    pin="taskset -c 1" pinPeer="taskset -c 0"
fi

# instructions LIBRARY STEPS WORKLOAD ARGUMENT...: prints the instructions of one step in user space. They
# are the difference between a long run and a short one, and are the same in every run.
instructions() {
    local program=build/bench/$1 steps=$2 short long
    shift 2
    short=$(countInstructions "$program" "$@" 1000)
    long=$(countInstructions "$program" "$@" $((1000 + steps)))
    awk "BEGIN { printf \"%.2f\", ($long - $short) / $steps }"
}

countInstructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect=countedRun "$@" \
        2>&1 >/dev/null | sed -n 's/.* Collected : //p'
}

# countRequests LIBRARY WORKLOAD ARGUMENT...: with the allocator's requests counted.
countRequests() {
    LD_PRELOAD=$PWD/build/bench/requests.so build/bench/"$@"
}
