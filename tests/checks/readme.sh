#!/usr/bin/env bash
# Tests the contents of the README and the guide: the README's C program is compiled and run in each of
# its three ways, its shell blocks are run line by line in a copy of the sources, the guide's C is
# compiled, and every link has a target. Blocks that are left out are listed.
set -u
cd "$(dirname "$0")/../.."
. tests/support/check.sh
. tests/support/markdown.sh

# The sources as they are, without what was built; a home of its own; cc and make as in this run.
mkdir "$box/libae" "$box/bin" "$box/home"
tar cf - --exclude=./build --exclude=./.git --exclude=./libae.a --exclude='./*.tar.gz' . |
    tar xf - -C "$box/libae"
printf '#!/bin/sh\nexec %s "$@"\n' "$(command -v ${MAKE:-make})" >"$box/bin/make"
compiler=${CC:-cc}
printf '#!/bin/sh\nexec %s %s "$@"\n' "$(command -v ${compiler%% *})" "${compiler#${compiler%% *}} ${CFLAGS:-}" \
    >"$box/bin/cc"
chmod +x "$box/bin/make" "$box/bin/cc"

# Starts ./server and sends it what the README types. 0: it sends back what the README shows. 2: another
# program has the port.
server_echoes() {
    local pid reply= typed expected
    typed=$(block "$box/libae/README.md" text 1 | sed -n 2p)
    expected=$(block "$box/libae/README.md" text 1 | sed -n 3p)
    ./server 2>"$box/error" &
    pid=$!
    for _ in $(seq 500); do
        kill -0 $pid || break
        if { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null; then
            echo "$typed" >&3
            read -t 60 -r reply <&3
            exec 3>&-
            break
        fi
        sleep 0.02
    done
    kill $pid
    wait $pid
    cat "$box/error"
    ! grep -q 'in use' "$box/error" || return 2
    [ -n "$typed" ] && [ "$reply" = "$expected" ]
}

# Runs the block in $box/block.sh. If it builds the README's program, on a free port, that one must run.
pasted() {
    local status
    cd "$box/libae" || return 1
    unset MAKEFLAGS MFLAGS MAKELEVEL CC CFLAGS MAKE BACKEND DESTDIR PREFIX
    for _ in $(seq 10); do
        port=$((20000 + RANDOM % 12000))
        block README.md c 1 | sed "s/ 7000,/ $port,/" >server.c
        HOME=$box/home PATH=$box/bin:$PATH bash -eux "$box/block.sh" || return 1
        grep -q -- '-o server$' "$box/block.sh" || return 0
        server_echoes
        status=$?
        rm -f server
        [ $status = 2 ] || return $status
    done
    return 1
}

the_program_compiles_without_a_warning() {
    ${CC:-cc} ${CFLAGS:-} -std=c11 -Wall -Wextra -Wpedantic -Werror -I. -c "$box/libae/server.c" \
        -o "$box/server.o"
}

the_guides_code_compiles() {
    for number in $(seq "$(blocks doc/GUIDE.md c)"); do
        {
            printf '#include <%s>\n' ae.h anet.h errno.h stdio.h stdlib.h string.h unistd.h
            block doc/GUIDE.md c $number
        } >"$box/guide.c"
        ${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Wno-unused-function -Werror -I. \
            -D_XOPEN_SOURCE=700 -c "$box/guide.c" -o "$box/guide.o" || return 1
    done
    [ "$number" -gt 1 ]
}

# File, and after a # the name of a test or a heading in it.
every_link_leads_somewhere() {
    local folder=$(dirname "$1") count=0 link path name
    for link in $(grep -oE '\]\([^)]+\)' "$1" | sed 's/^](//; s/)$//'); do
        case $link in http*) continue ;; esac
        path=${link%%#*} name=
        case $link in *#*) name=${link#*#} ;; esac
        path=${path:+$folder/$path}
        path=${path:-$1}
        [ -e "$path" ] || { echo "$1: $link: no such file" && return 1; }
        case $path in
        *.c) [ -z "$name" ] || grep -qE "^TEST[A-Z_]*\($name\)" "$path" ;;
        *.md) [ -z "$name" ] || sed -n 's/^##* //p' "$path" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9\n-' |
            grep -qx -- "$name" ;;
        esac || { echo "$1: $link: no such name" && return 1; }
        count=$((count + 1))
    done
    [ $count -gt 0 ]
}

what_the_pages_say_about_speed_is_what_was_measured() {
    bench/run.sh check
}

# In the copy of the sources.
a_wrong_figure_of_speed_is_found_and_one_of_the_pages_own() {
    cd "$box/libae" || return 1
    cp doc/GUIDE.md "$box/guide.md"
    for edit in '/^<!-- bench: timer-cost/,/^<!-- bench: end/s/[0-9] ns/9&/' '$s/$/ takes 5 ns/'; do
        sed "$edit" "$box/guide.md" >doc/GUIDE.md
        ! bench/run.sh check || return 1
    done
    cp "$box/guide.md" doc/GUIDE.md
    bench/run.sh check
}

# table_is_in KIND PAGE: the page has this table of tests/checks/systems.sh.
table_is_in() {
    tests/checks/systems.sh "$1" >"$box/table" && grep -qF "$(head -n 1 "$box/table")" "$2" &&
        awk -v first="$(head -n 1 "$box/table")" '$0 == first { inside = 1 } /^$/ { inside = 0 } inside' \
            "$2" | diff - "$box/table"
}

the_tables_of_systems_are_those_of_the_scripts() {
    tests/checks/systems.sh check && table_is_in summary README.md && table_is_in table doc/GUIDE.md
}

the_README_of_the_checks_names_each_file() {
    for file in tests/checks/*; do
        name=${file##*/}
        [ $name = README.md ] || grep -F "[$name]($name)" tests/checks/README.md || {
            echo "it does not name $name"
            return 1
        }
    done
}

block README.md c 1 >"$box/libae/server.c"
for number in $(seq "$(blocks README.md sh)"); do
    block README.md sh $number | while read -r line; do
        case $line in
        "make deps test"* | *apt-get*) echo "left out - README: $line" ;;
        esac
    done
    block README.md sh $number | grep -v '^make deps test\|apt-get' >"$box/block.sh"
    check "README: $(sed 's/ *#.*//' "$box/block.sh" | tail -n 1)" pasted
done
check "every link of doc/DROPIN.md leads somewhere" every_link_leads_somewhere doc/DROPIN.md
check "README: the program compiles without a warning" the_program_compiles_without_a_warning
[ "$(blocks README.md c) $(blocks README.md sh)" = "1 4" ] || {
    echo "readme: not the blocks that this script knows" >&2
    failed=$((failed + 1))
}
check "the tables of systems are those of the scripts" the_tables_of_systems_are_those_of_the_scripts
check "the guide's code compiles" the_guides_code_compiles
check "what the pages say about speed is what was measured" \
    what_the_pages_say_about_speed_is_what_was_measured
check "a wrong figure of speed is found, and one of the page's own" \
    a_wrong_figure_of_speed_is_found_and_one_of_the_pages_own
check "the README of the checks names each file" the_README_of_the_checks_names_each_file
for page in README.md CONTRIBUTING.md CHANGELOG.md doc/GUIDE.md bench/README.md \
    tests/checks/README.md; do
    grep -q '](' $page || continue
    check "every link of $page leads somewhere" every_link_leads_somewhere $page
done
finish
