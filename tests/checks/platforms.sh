#!/bin/bash
# Builds the tests for other compilers, levels of optimization, C libraries, processors and
# standards, and runs them; foreign processors under qemu.
#
#   tests/checks/platforms.sh            every target of tests/checks/systems
#   tests/checks/platforms.sh quick      those with a + before them, with two backends
#   tests/checks/platforms.sh TARGET...  these
#
# tests/checks/lint.sh compiles the headers and the library with the standards of C and C++.
#
# cmocka is built from its source (Debian's) for every target, so that all are tested in the same way.
# The tests that are skipped on a target print what it lacks; under qemu that is
#   - epoll_pwait2, if this qemu lacks it: then the fallback to epoll_wait is tested;
#   - the socket options TCP_INFO and SO_MARK.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/support/backends.sh
. tests/support/cmocka.sh
root=build/platforms

need() {
    command -v "$1" >/dev/null && return
    echo "platforms: there is no $1; apt-get install $2" >&2
    exit 1
}

# try TARGET COMPILER PACKAGES RUNNER CFLAGS LDFLAGS [STANDARD]
# RUNNER is an emulator, nothing, or "none" where nothing can run the target.
try() {
    local target=$1 compiler=$2 runner=$4 begin=$SECONDS backend suite
    need "$compiler" "$3"
    [ -z "$runner" ] || [ "$runner" = none ] || need "$runner" qemu-user
    rm -rf "${root:?}/$target"
    makeCmocka "$cmocka" "$root/$target" "$compiler" ar -DHAVE_MALLOC_H
    local flags=(-s -j2 -f tests/Makefile "BUILD=$root/$target" "CC=$compiler"
        "CFLAGS=-isystem $root/$target/include $5" "LDFLAGS=-L$root/$target/lib $6"
        "STD=${7:-c11}")
    for backend in $backends; do
        ${MAKE:-make} "${flags[@]}" BACKEND="$backend" suites
    done
    ${MAKE:-make} "${flags[@]}" test-anet test-anet-plain
    if [ "$runner" = none ]; then
        echo "platforms: $target: compiled and linked, NOT RUN: this machine cannot"
        return
    fi
    for suite in "$root/$target"/*/test_* "$root/$target"/test_*; do echo "$suite"; done |
        xargs -P 2 -I SUITE tests/support/quietly.sh $runner SUITE || {
        echo "platforms: $target: FAILED" >&2
        exit 1
    }
    # Tests that are skipped only on this target, not on this machine.
    grep -h '^skipped: .*epoll_pwait2\|reason.*qemu' "$root/$target"/*.log "$root/$target"/*/*.log | sort | uniq -c || true
    printf '%s\n' "platforms: $target: passed ($backends, anet), $((SECONDS - begin)) s"
}

# Cross compilers have the libraries that the emulator or the kernel loads.
tryForeign() {
    local target=$1 triplet=$2 runner=$3
    QEMU_LD_PREFIX=/usr/$triplet try "$target" "$triplet-gcc" "$4" "$runner" "" ""
}

run() {
    local i686=/usr/i686-linux-gnu/lib
    case $1 in
    gcc-O0 | gcc-O2) try "$1" gcc gcc "" "-${1#*-}" "" ;;
    clang-O0 | clang-O2) try "$1" clang clang "" "-${1#*-}" "" ;;
    # gcc does not recognize that an assertion of cmocka may not return.
    gcc-O3-lto) try "$1" gcc gcc "" "-O3 -flto=2 -Wno-maybe-uninitialized" "-flto=2" ;;
    clang-O3-lto) try "$1" clang "clang lld" "" "-O3 -flto" "-flto -fuse-ld=lld" ;;
    c99 | c17 | c2x) try "$1" gcc gcc "" "" "" "$1" ;;
    # musl's FD_SET and similar macros convert the fd implicitly. The emulations of kqueue and
    # event ports are written for glibc (close_range).
    musl) backends=${backends%% kqueue*} try "$1" musl-gcc musl-tools "" -Wno-sign-conversion "" ;;
    i686)
        # Not every kernel of a 64-bit machine runs programs of 32 bits, and under qemu-i386 they
        # crash on signals in threads. armhf has 32 bits, too, and is run everywhere.
        need i686-linux-gnu-gcc "gcc-i686-linux-gnu libc6-dev-i386-cross"
        echo 'int main(void) { return 0; }' | i686-linux-gnu-gcc -static -x c -o $root/probe -
        local runner=
        $root/probe 2>/dev/null || runner=none
        try "$1" i686-linux-gnu-gcc "gcc-i686-linux-gnu libc6-dev-i386-cross" "$runner" "" \
            "-Wl,--dynamic-linker=$i686/ld-linux.so.2 -Wl,-rpath,$i686"
        ;;
    aarch64) tryForeign "$1" aarch64-linux-gnu qemu-aarch64 \
        "gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;;
    armhf) tryForeign "$1" arm-linux-gnueabihf qemu-arm \
        "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross" ;;
    s390x) tryForeign "$1" s390x-linux-gnu qemu-s390x \
        "gcc-s390x-linux-gnu libc6-dev-s390x-cross" ;;
    *)
        echo "platforms: no such target: $1" >&2
        exit 2
        ;;
    esac
}

cmocka=$(tests/dropin/fetch.sh cmocka-1.1.5 $root)
if [ "${1:-}" = quick ]; then
    backends="epoll select"
    targets=$(tests/checks/systems.sh quick platforms)
elif [ $# -gt 0 ]; then
    targets=$*
else
    targets=$(tests/checks/systems.sh targets platforms)
fi
for target in $targets; do run "$target"; done
