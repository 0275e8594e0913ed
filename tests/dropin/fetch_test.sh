#!/bin/bash
# Tests fetch.sh with its own mirrors, in directories, with apt's configuration in each of its forms.
# Prints a line for each behaviour. Needs apt and dpkg-dev; `make dropin` runs it.
set -u
cd "$(dirname "$0")/../.."
root=$PWD
. tests/support/check.sh

# mirror DIRECTORY: has the source of a Redis 6.0.16 that is a single file.
mirror() {
    local made=$box/made/redis-6.0.16
    mkdir -p "$made/debian/source" "$1/dists/bullseye/main/source" "$1/pool" || return 1
    echo hello >"$made/greeting"
    echo '3.0 (native)' >"$made/debian/source/format"
    printf '%s\n' 'Source: redis' 'Maintainer: libae <libae@example.org>' '' 'Package: redis' \
        'Architecture: all' >"$made/debian/control"
    printf '%s\n' 'redis (5:6.0.16) bullseye; urgency=low' '' '  * Made.' '' \
        ' -- libae <libae@example.org>  Sat, 28 Nov 2026 00:00:00 +0000' >"$made/debian/changelog"
    (cd "$1/pool" && dpkg-source -b "$made") && (cd "$1" && dpkg-scansources pool) \
        >"$1/dists/bullseye/main/source/Sources" || return 1
    printf '%s\n' 'Suite: bullseye' 'Codename: bullseye' 'Components: main' 'Architectures: all' \
        "Date: $(date -Ru)" 'SHA256:' >"$1/dists/bullseye/Release"
    (cd "$1/dists/bullseye" && sha256sum main/source/Sources |
        sed "s|^\([0-9a-f]*\) *|\1 $(stat -c %s main/source/Sources) |; s/^/ /" >>Release)
}

# configure LIST: the file that apt reads; one.list, parts/one.sources or none.
configure() {
    rm -rf "$box/etc" "$box/fetched"
    mkdir -p "$box/etc/parts" "$box/fetched"
    cat >"$box/etc/$1"
    printf '%s\n' "Dir::Etc::SourceList \"$box/etc/one.list\";" \
        "Dir::Etc::SourceParts \"$box/etc/parts\";" 'Acquire::AllowInsecureRepositories "true";' \
        'APT::Get::AllowUnauthenticated "true";' >"$box/etc/apt.conf"
}

fetch() {
    APT_CONFIG=$box/etc/apt.conf tests/dropin/fetch.sh "$1" "$box/fetched" 2>"$box/said"
}

it_is_fetched() {
    folder=$(fetch redis-6.0.16) || { cat "$box/said" && return 1; }
    [ "$folder" = "$box/fetched/redis-6.0.16" ] && [ "$(cat "$folder/greeting")" = hello ]
}

a_mirror_of_a_one_line_list_is_used() {
    configure one.list <<<"deb file:$box/debian bookworm main" && it_is_fetched
}

a_mirror_of_a_deb822_list_is_used() {
    printf '%s\n' 'Types: deb' "URIs: file:$box/debian" 'Suites: bookworm' 'Components: main' |
        configure parts/one.sources && it_is_fetched
}

a_mirror_without_it_gives_way_to_the_next() {
    printf '%s\n' "deb file:$box/empty bookworm main" "deb file:$box/debian bookworm main" |
        configure one.list && it_is_fetched
}

an_old_release_comes_from_the_archive_of_the_same_machine() {
    mkdir -p "$box/old/debian-archive" && cp -r "$box/debian" "$box/old/debian-archive/" || return 1
    configure one.list <<<"deb file:$box/old/debian bookworm main" && it_is_fetched
}

what_is_there_is_not_fetched_again() {
    configure one.list </dev/null && mkdir "$box/fetched/redis-6.0.16" &&
        [ "$(fetch redis-6.0.16)" = "$box/fetched/redis-6.0.16" ]
}

no_mirror_is_said() {
    configure one.list </dev/null && ! fetch redis-6.0.16 && cat "$box/said" &&
        grep -q '^fetch: apt has no mirror' "$box/said"
}

a_mirror_that_does_not_have_it_is_said() {
    configure one.list <<<"deb file:$box/empty bookworm main" && ! fetch redis-6.0.16 &&
        grep -q "^fetch: redis-6.0.16 is on none of apt's mirrors: file:.*/empty" "$box/said"
}

no_script_names_a_mirror() {
    ! grep -nE '(https?|ftp|rsync)://[a-z]' "$root"/tests/dropin/fetch.sh
}

mirror "$box/debian" >"$box/log" 2>&1 || { cat "$box/log" && exit 1; }
mkdir "$box/empty"
check "fetch: a mirror of a one-line list is used" a_mirror_of_a_one_line_list_is_used
check "fetch: a mirror of a deb822 list is used" a_mirror_of_a_deb822_list_is_used
check "fetch: a mirror without it gives way to the next" a_mirror_without_it_gives_way_to_the_next
check "fetch: an old release comes from the archive of the same machine" \
    an_old_release_comes_from_the_archive_of_the_same_machine
check "fetch: what is there is not fetched again" what_is_there_is_not_fetched_again
check "fetch: no mirror is said" no_mirror_is_said
check "fetch: a mirror that does not have it is said" a_mirror_that_does_not_have_it_is_said
check "fetch: the script names no mirror" no_script_names_a_mirror
finish
