#!/bin/sh
# Reads tests/checks/systems, what is known of each system.
#
#   tests/checks/systems.sh summary          the README's table
#   tests/checks/systems.sh table            the guide's table
#   tests/checks/systems.sh targets SCRIPT   the targets that tests/checks/SCRIPT.sh builds
#   tests/checks/systems.sh quick SCRIPT     those of them that it builds for each change
#   tests/checks/systems.sh check            fails if a row claims what its targets do not show
set -eu
cd "$(dirname "$0")"
case $1 in
summary)
    awk -F' \\| ' '
        /^[^#[:space:]]/ {
            row = $5 " | " $3
            if (!(row in list)) rows[++count] = row
            else if (name[row] != $1) list[row] = list[row] closing[row] ", "
            if (name[row] != $1) list[row] = list[row] $1
            if ($2 != "any") list[row] = list[row] (name[row] == $1 ? ", " : " (") $2
            closing[row] = $2 == "any" ? "" : ")"
            name[row] = $1
        }
        END {
            print "| tested | backend | systems |"
            print "| --- | --- | --- |"
            for (i = 1; i <= count; i++)
                print "| " rows[i] " | " list[rows[i]] closing[rows[i]] " |"
        }' systems
    ;;
table)
    awk -F' \\| ' 'BEGIN { print "| system | processors | backend | from release | tested | details |"
                           print "| --- | --- | --- | --- | --- | --- |" }
        /^[^#[:space:]]/ { print "| " $0 " |" }' systems
    ;;
targets | quick)
    awk -v which="$1" -v script="${2:?which script?}" '/^ / && $1 == script {
        for (i = 2; i <= NF; i++)
            if ($i ~ /^[+]/ || which == "targets") { sub(/^[+]/, "", $i); print $i } }' systems
    ;;
check)
    awk -F' \\| ' '
        function judge() {
            if (row == "") return
            expected = far == "run on its kernel" || far == "built and linked"
            if (NFrow != 6) wrong = "does not have six columns"
            else if (expected && !targets) wrong = "claims \"" far "\" without a target"
            else if (!expected && targets) wrong = "has targets, and claims only \"" far "\""
            else if (far == "run on its kernel" && !runs) wrong = "has no target that is run"
            else if (!expected && far != "built" && far != "run on an emulation" &&
                     far != "by reading") wrong = "claims \"" far "\", which is not one of the words"
            else return
            print "systems: " row ": " wrong
            status = 1
        }
        /^[^#[:space:]]/ { judge(); row = $1 ", " $2; far = $5; NFrow = NF; targets = runs = 0 }
        /^ / { if (!/^ *compiled /) targets = 1; if (/^ *platforms / || /linux-musl/) runs = 1 }
        END { judge(); exit status }' systems
    ;;
*)
    echo "systems: no such question: $1" >&2
    exit 2
    ;;
esac
