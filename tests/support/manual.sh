#!/bin/sh
# Prints a display of a manual page: the one that follows the comment `.\" TITLE`.
#
#     tests/support/manual.sh doc/ae.3 "file: count.c" >count.c
set -eu
awk -v title=".\\\\\" $2" '
    $0 == title { found = 1; next }
    found == 1 && /^\.Bd / { found = 2; next }
    found == 2 && /^\.Ed/ { found = 3 }
    found == 2 { gsub(/\\e/, "\\"); sub(/^\\&/, ""); print }
    END { exit found != 3 }' "$1" || {
    echo "manual: $1 has no display \"$2\"" >&2
    exit 1
}
