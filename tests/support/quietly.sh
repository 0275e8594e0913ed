#!/bin/sh
# Runs a suite, which is the last argument, by the command before it if there is one (an emulator).
# What it says goes to SUITE.log, and is shown if it fails. Stops xargs then.
for suite; do :; done
"$@" >"$suite.log" 2>&1 </dev/null && exit
cat "$suite.log"
echo "FAILED: $*" >&2
exit 255
