#!/bin/bash
# Builds and links for other systems what make and make test build there: libae.a with the system's
# own backend and with select, the examples, and all the tests, as C99 and as C11. The compiler is zig,
# which has the headers of these systems and stubs of their libraries; it is a package for pip.
# Programs for musl on other processors are run under qemu.
#
#   tests/checks/cross.sh               every target of tests/checks/systems
#   tests/checks/cross.sh quick         those with a + before them
#   tests/checks/cross.sh TARGET...     these, in zig's names: x86_64-freebsd.14.0
#
# All files that it fetches and builds are below build/cross.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/support/cmocka.sh
root=$PWD/build/cross
export ZIG_GLOBAL_CACHE_DIR=$root/cache ZIG_LOCAL_CACHE_DIR=$root/cache

strict="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wvla -Werror"
# musl's FD_SET and similar macros convert the fd implicitly.
[ "${1:-}" != --one ] || case $2 in *musl*) strict="$strict -Wno-sign-conversion" ;; esac

# skip WHY: prints the reason. In CI it is a failure.
skip() {
    echo "cross: skipped, $*"
    [ "${CI:-}" != true ]
    exit
}

# zig has the headers of one release of each system: 0.17.1 has those of NetBSD 11, which do not fit
# the libraries of 10.
versionFor() {
    case $1 in
    *-netbsd.10.*) echo 0.16.0 ;;
    *-macos.10.*) echo 0.9.1 ;; # it has headers of macOS 10.15
    *) echo 0.17.1 ;;
    esac
}

fetchZig() {
    local pip version=$1
    [ ! -d "$root/zig-$version" ] || return 0
    for pip in "python3 -m pip" pip3 pip none; do
        $pip --version >/dev/null 2>&1 && break
    done
    [ "$pip" != none ] || skip "there is no pip to fetch the compiler with"
    mkdir -p "$root"
    rm -rf "$root/zig.part"
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore $pip install --quiet --no-deps \
        --target "$root/zig.part" ziglang==$version >"$root/pip.log" 2>&1 || {
        cat "$root/pip.log"
        skip "pip cannot fetch ziglang $version"
    }
    mv "$root/zig.part" "$root/zig-$version"
}

# The library and the examples, at each standard, with each backend.
buildLibrary() {
    local std backend example
    for std in c99 c11; do
        $cc -std=$std $strict -O2 -c anet.c -o "$folder/anet.o"
        for backend in "" -DAE_BACKEND_SELECT; do
            $cc -std=$std $strict -O2 $backend -c ae.c -o "$folder/ae.o"
            rm -f "$folder/libae.a"
            $zig ar rcs "$folder/libae.a" "$folder/ae.o" "$folder/anet.o"
            for example in examples/*.c; do
                [ $example != examples/hiredis.c ] || continue # zig carries no hiredis
                $cc -std=$std $strict -O2 -I. -pthread $example "$folder/libae.a" -o "$folder/example"
            done
        done
    done
}

# Functions that the oldest release in tests/checks/systems does not have.
checkNeeds() {
    case $target in
    *netbsd*) ! nm -u "$folder/anet.o" | grep -w accept4 ;; # NetBSD 8
    esac
}

# For releases without stubs of their libraries: the same files, with newer headers that are given the
# release.
compileAll() {
    local std file
    for std in c99 c11; do
        for file in "-DAE_BACKEND_SELECT ae.c" ae.c examples/*.c tests/support/support.c \
            tests/test_{anet,file_events,time_events,loop,faults,life}.c anet.c; do
            [ "$file" != examples/hiredis.c ] || continue
            $cc -std=$std $strict -O2 -I. $cflags -c $file -o "$folder/anet.o"
        done
    done
    done=compiled
}

buildTests() {
    local std backend
    makeCmocka "$root/cmocka-1.1.5" "$folder" "$cc" "$zig ar"
    for std in c99 c11; do
        for backend in $backends; do
            ${MAKE:-make} "${flags[@]}" STD=$std "BUILD=$folder/$std" BACKEND="$backend" suites
        done
        ${MAKE:-make} "${flags[@]}" STD=$std "BUILD=$folder/$std" test-anet
    done
}

runTests() {
    local suite
    for suite in "$folder"/c11/*/test_* "$folder"/c11/test_anet; do
        case $suite in *.log) ;; *) echo "$suite" ;; esac
    done | xargs -I SUITE tests/support/quietly.sh $runner SUITE
}

one() {
    target=$1
    local begin=$SECONDS backends="kqueue select" runner=none done="compiled and linked"
    folder=$root/$target
    zig=$root/zig-$(versionFor "$target")/ziglang/zig
    cc="$zig cc -target $target -fno-sanitize=undefined"
    flags=(-s -f tests/Makefile "CC=$cc" "LDFLAGS=-L$folder/lib")
    case $target in
    x86_64-linux-musl*) backends="epoll plain select" runner= ;;
    loongarch64-linux-musl*) backends="epoll select" ;; # qemu before 9 lacks the LSX that zig uses
    powerpc64le-linux-musl*) backends="epoll select" runner=qemu-ppc64le ;;
    *-linux-musl*) backends="epoll select" runner=qemu-${target%%-*} ;;
    esac
    # cmocka.h defines its own uintptr_t if it does not find the real one.
    local cflags="-isystem $folder/include -D_UINTPTR_T_DEFINED"
    # In a program with a static libc there is no other function to which a call could be passed.
    case $target in
    *musl*) flags+=("CFLAGS=$cflags -Wno-sign-conversion -DNO_INJECTION") ;;
    *) flags+=("CFLAGS=$cflags"
        SUITES_kqueue= KQUEUE_CPPFLAGS= KQUEUE_OBJECTS= EVPORT_CPPFLAGS= EVPORT_OBJECTS=) ;;
    esac
    rm -rf "$folder"
    mkdir -p "$folder"
    if tests/checks/systems.sh targets compiled | grep -qx "$target"; then
        mkdir "$folder/include"
        cp "$root/cmocka-1.1.5/include/cmocka.h" "$folder/include/"
        compileAll
    else
        buildLibrary
        buildTests
    fi
    checkNeeds
    if [ -z "$runner" ] || command -v "$runner" >/dev/null; then
        runTests
        done="$done, the tests pass"
    elif [ "$runner" != none ]; then
        done="$done, NOT RUN: there is no $runner"
    fi
    printf '%s\n' "cross: $target: $done ($backends, anet), $((SECONDS - begin)) s"
}

if [ "${1:-}" = --one ]; then
    one "$2"
    exit
fi
case ${1:-} in
"") targets="$(tests/checks/systems.sh targets cross) $(tests/checks/systems.sh targets compiled)" ;;
quick) targets=$(tests/checks/systems.sh quick cross) ;;
*) targets=$* ;;
esac
for version in $(for target in $targets; do versionFor "$target"; done | sort -u); do
    fetchZig "$version"
done
tests/dropin/fetch.sh cmocka-1.1.5 "$root" >"$root/fetch.log" 2>&1 || {
    cat "$root/fetch.log"
    skip "the source of cmocka cannot be fetched"
}
rm -rf "$root"/*-*/*.log
printf '%s\n' $targets | xargs -P 2 -I TARGET bash -c '
    "$0" --one TARGET >"$1/TARGET.log" 2>&1 && grep "^cross: " "$1/TARGET.log" && exit
    tail -n 60 "$1/TARGET.log"
    echo "cross: TARGET: FAILED" >&2
    exit 1' "$0" "$root"
