#!/bin/sh
# Runs a suite. The suite is the last argument; a command before it, such as an emulator, runs it. The
# output goes to SUITE.log. If the suite fails, the output is printed, and xargs stops.
for suite; do :; done
"$@" >"$suite.log" 2>&1 </dev/null && exit
cat "$suite.log"
echo "FAILED: $*" >&2
exit 255
