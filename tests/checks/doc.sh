#!/bin/sh
# The manual pages: their form, their prototypes against those of the headers, and their programs,
# which are compiled and run as printed. Prints a line for each behaviour.
set -u
cd "$(dirname "$0")/../.."
root=$PWD
cc=${CC:-cc}
flags=${CFLAGS:-}
strict="-std=c11 -Wall -Wextra -Wpedantic -Werror"
. tests/support/check.sh
# These calls of make are independent of the make that runs this script: bmake would stop them all
# when one fails.
unset MAKEFLAGS MFLAGS MAKELEVEL

# A reference to a page that this machine does not have is not a fault of form.
the_page_has_no_fault_of_form() {
    mandoc -Tlint -Wstyle "$1" 2>/dev/null | grep -v 'STYLE: referenced manual not found' >"$box/said"
    groff -mdoc -ww -Tascii -z "$1" >>"$box/said" 2>&1
    cat "$box/said"
    [ ! -s "$box/said" ]
}

every_error_has_brackets_of_its_own() {
    mandoc -Tascii "$1" | sed 's/.\x08//g' | grep -nE '\[E[A-Z]+[^]]*\[' >"$box/said"
    cat "$box/said"
    [ ! -s "$box/said" ]
}

# A prototype that differs from the header's does not compile after it.
the_synopsis_is_the_header() {
    awk '
        /^\.Sh / { inside = $2 == "SYNOPSIS" }
        inside && /^\.Ft / { type = substr($0, 5); gsub(/"/, "", type) }
        inside && /^\.Fn / {
            name = $2
            line = substr($0, 6 + length(name))
            gsub(/" "/, ", ", line); gsub(/"/, "", line)
            print type " " name "(" line ");"
        }' "doc/$1.3" >"$box/synopsis.h"
    grep -oE "\\b$1[A-Z][A-Za-z0-9]+\\(" "$box/synopsis.h" | sort -u >"$box/described"
    grep -oE "\\b$1[A-Z][A-Za-z0-9]+\\(" "$1.h" | sort -u | diff - "$box/described" &&
        printf '#include "%s.h"\n#include "%s/synopsis.h"\n' "$1" "$box" |
        $cc -std=c11 -Wall -Wextra -Werror -I. -x c -c - \
            -o "$box/synopsis.o"
}

# Each is in NAME, so that man finds it, and is described after the SYNOPSIS.
every_function_is_described() {
    for name in $(tr -d '(' <"$box/described" | grep -v '^ae[A-Za-z]*Proc$\|Set.*SleepProc$'); do
        grep -qx "\.Nm $name\( ,\)*" "doc/$1.3" && [ "$(grep -cw "^\.Fn $name" "doc/$1.3")" -ge 2 ] || {
            echo "$name is not in NAME, or not in what follows the SYNOPSIS"
            return 1
        }
    done
}

every_error_of_the_header_is_described() {
    for name in $(grep -oE '\bE[A-Z]{3,}\b' "$1.h" | sort -u); do
        case $name in EAI_* | EINPROGRESS | ESTABLISHED) continue ;; esac
        grep -qw "$name" "doc/$1.3" || { echo "$name" && return 1; }
    done
}

# In a directory with the installed library.
the_program_does_as_printed() {
    tests/support/manual.sh "$1" "file: $2" >"$box/$2" || return 1
    output="output: $2" input=
    case $2 in count.c) input=hello output="$output, input: hello" ;; esac
    tests/support/manual.sh "$1" "$output" >"$box/expected" || return 1
    $cc $flags $strict -I"$box/include" "$box/$2" "$box/libae.a" -o "$box/program" || return 1
    echo "$input" | timeout 60 "$box/program" | diff "$box/expected" -
}

# Runs all tests of file events, with strict warnings. The backend is read from stdin.
file_events_pass_on_the_backend() {
    rm -rf build/mine && mkdir -p build/mine || return 1
    cat >build/mine/ae_mine.c
    ${MAKE:-make} -f tests/Makefile BACKEND=mine build/mine/test_file_events || return 1
    build/mine/test_file_events 2>&1 | tail -n 20 >"$box/said"
    cat "$box/said"
    grep -q 'PASSED' "$box/said" && ! grep -q 'FAILED' "$box/said"
}

the_backend_holds_the_contract() {
    tests/support/manual.sh doc/ae.3 "file: ae_mine.c" | file_events_pass_on_the_backend
}

# A backend written for Redis's own files may treat AE_BARRIER as a bit to watch for.
a_backend_that_knows_no_barrier_holds_it_too() {
    watched='entry->fd = mask ? fd : -1;'
    tests/support/manual.sh doc/ae.3 "file: ae_mine.c" | sed "s/entry->fd = mask &.*/$watched/" |
        file_events_pass_on_the_backend && grep -qF "$watched" build/mine/ae_mine.c
}

make_doc_renders_both_pages_with_links_that_lead_somewhere() {
    rm -rf build/doc
    ${MAKE:-make} doc || return 1
    grep -q 'id="aeCreateFileEvent"' build/doc/ae.html && grep -q 'href="anet.html"' build/doc/ae.html &&
        grep -q 'href="ae.html"' build/doc/anet.html
}

mkdir "$box/include"
cp ae.h anet.h "$box/include/"
(cd "$box" && $cc $flags -O2 -c "$root/ae.c" "$root/anet.c" && ar rc libae.a ae.o anet.o) || exit 1

for page in ae anet; do
    if command -v mandoc >/dev/null && command -v groff >/dev/null; then
        check "$page.3 has no fault of form" the_page_has_no_fault_of_form doc/$page.3
        check "$page.3: every error has brackets of its own" \
            every_error_has_brackets_of_its_own doc/$page.3
    else
        leave_out "$page.3 has no fault of form" "there is no mandoc or groff"
    fi
    check "the synopsis of $page.3 is $page.h" the_synopsis_is_the_header $page
    check "$page.3 describes every function" every_function_is_described $page
    check "$page.3 describes every error of $page.h" every_error_of_the_header_is_described $page
    for program in $(sed -n 's/^\.\\" file: //p' doc/$page.3); do
        [ $program = ae_mine.c ] ||
            check "$program in $page.3 does as printed" the_program_does_as_printed doc/$page.3 $program
    done
done
command -v mandoc >/dev/null && check "make doc renders both pages, with links that lead somewhere" \
    make_doc_renders_both_pages_with_links_that_lead_somewhere
check "the backend in ae.3 holds the contract of file events" the_backend_holds_the_contract
check "so does one that knows nothing of AE_BARRIER" a_backend_that_knows_no_barrier_holds_it_too
finish
