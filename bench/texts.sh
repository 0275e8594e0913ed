#!/bin/bash
# Keeps the figures of speed in the documents equal to bench/results. A page marks a passage that
# texts.awk generates with
#
#     <!-- bench: NAME -->
#     <!-- bench: end -->
#
# and has no figure of speed outside of such a passage; the headers and the manual have none at all.
#
#     bench/texts.sh          writes the passages
#     bench/texts.sh check    fails if a page has another passage or figure
set -euo pipefail
cd "$(dirname "$0")/.."
pages="*.md bench/README.md doc/*.md doc/*.3 ae.h anet.h"
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT
failed=0

# Patterns that match figures of speed.
end='([^a-z]|$)'
figures="[0-9] ?(ns|nanoseconds|instructions)$end|late by [0-9]"
figures="$figures|[0-9] times (the|what|as|faster|slower)$end"
figures="$figures|(is|are|be) (faster|slower)$end|as fast as$end"
figures="$figures|next to nothing$end|costs? nothing$end"

passage() {
    case $1 in
    machine) sed 's/^/    /' bench/results/machine.txt ;;
    *) awk -F, -f bench/texts.awk -v passage="$1" bench/results/*.csv ;;
    esac
}

# Prints the page with its passages as bench/results requires them.
render() {
    local line name= inside=
    while IFS= read -r line; do
        case $line in
        '<!-- bench: end -->')
            [ "$inside" ] || { echo "texts: $1: an end without a beginning" >&2 && return 1; }
            inside=
            ;;
        '<!-- bench: '*' -->')
            [ -z "$inside" ] || { echo "texts: $1: $name does not end" >&2 && return 1; }
            name=${line#'<!-- bench: '}
            name=${name%' -->'}
            inside=1
            printf '%s\n' "$line"
            passage "$name" || return 1
            ;;
        *) [ "$inside" ] || printf '%s\n' "$line" ;;
        esac
        [ "$inside" ] || [ "$line" != '<!-- bench: end -->' ] || printf '%s\n' "$line"
    done <"$1"
    [ -z "$inside" ] || { echo "texts: $1: $name does not end" >&2 && return 1; }
}

# Prints figures of speed, and words that stand for them, outside of all passages. Succeeds if there are any.
speaksFreely() {
    awk -v figures="$figures" '
        /^<!-- bench: end -->$/ { inside = 0; next }
        /^<!-- bench: .* -->$/ { inside = 1 }
        !inside && tolower($0) ~ figures {
            print FILENAME ":" FNR ": " $0
            found = 1
        }
        END { exit !found }' "$1"
}

for page in $pages; do
    render "$page" >"$box/page" || exit 1
    case ${1:-} in
    '') cmp -s "$box/page" "$page" || cat "$box/page" >"$page" ;;
    check)
        diff -u --label "$page" --label "$page, by bench/results" "$page" "$box/page" >&2 ||
            failed=1
        ;;
    *) echo "usage: bench/texts.sh [check]" >&2 && exit 2 ;;
    esac
    if speaksFreely "$page" >&2; then failed=1; fi
done
[ $failed = 0 ] || {
    echo "texts: a page says what bench/results does not; 'bench/texts.sh' writes the passages" >&2
    exit 1
}
