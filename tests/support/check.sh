# The test scripts source this: a directory $box to work in, a line for each behaviour, and the totals.

box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
passed=0 failed=0

# check NAME COMMAND ...: the command's output is shown only if it fails.
check() {
    local name="$1"
    shift
    if ("$@") >"$box/log" 2>&1; then
        passed=$((passed + 1))
        echo "ok - $name"
    else
        failed=$((failed + 1))
        echo "not ok - $name"
        sed 's/^/    /' "$box/log"
    fi
}

# The last thing a script does.
finish() {
    echo "$passed passed, $failed failed"
    [ $failed = 0 ]
}

# leave_out WHAT REASON: prints both. In CI it is a failure.
leave_out() {
    echo "skipped - $1: $2: run 'make deps'"
    [ "${CI:-}" != true ] || failed=$((failed + 1))
}
