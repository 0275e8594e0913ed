#!/bin/sh
# Tests for other systems that can run on any system: the packages that `make deps` would install, and
# headers that differ from those of this machine. Prints a line for each behaviour.
set -u
cd "$(dirname "$0")/../.."
. tests/support/check.sh
strict="-std=c99 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wvla -Werror"

# machine SYSTEM PROGRAM ...: a directory for PATH that looks like a machine of that system with these
# programs. Each records that it was run.
machine() {
    rm -rf "$box/bin" "$box/ran"
    mkdir "$box/bin"
    for tool in sh cat cut env; do ln -s "$(command -v $tool)" "$box/bin/$tool"; done
    printf '#!/bin/sh\necho %s\n' "$1" >"$box/bin/uname"
    printf '#!/bin/sh\necho 1000\n' >"$box/bin/id"
    shift
    for tool in "$@"; do printf '#!/bin/sh\necho "$0 $*" >>"%s"\n' "$box/ran" >"$box/bin/$tool"; done
    chmod +x "$box/bin/"*
}

# would_run EXPECTED SYSTEM PROGRAM ...
would_run() {
    expected=$1
    shift
    machine "$@"
    PATH=$box/bin DRY_RUN=1 CC=false /bin/sh tools/deps.sh >"$box/said" || return 1
    cat "$box/said"
    [ ! -e "$box/ran" ] && grep -q "^deps: would run: $expected.* bash" "$box/said" &&
        ! grep -qv '^deps: would run: ' "$box/said"
}

deps_without_a_known_package_manager_names_what_is_missing() {
    machine Plan9
    ! PATH=$box/bin DRY_RUN=1 CC=false /bin/sh tools/deps.sh 2>"$box/said" &&
        grep -q 'Please install: cmocka hiredis curl' "$box/said"
}

deps_runs_what_the_dry_run_tells() {
    machine NetBSD sudo pkgin
    PATH=$box/bin DRY_RUN=1 CC=false /bin/sh tools/deps.sh |
        sed -n 's/^deps: would run: //p' >"$box/told"
    ! PATH=$box/bin CC=false /bin/sh tools/deps.sh >"$box/said" 2>&1 || return 1
    sed "s|^$box/bin/||" "$box/ran" | diff - "$box/told" && grep -q 'still is no cmocka' "$box/said"
}

# Without it Solaris has one errno for all threads, unless the compiler gets -pthread.
errno_is_per_thread_on_solaris() {
    mkdir -p "$box/solaris"
    printf '%s\n' '#include_next <errno.h>' '#if !defined(_REENTRANT) && !defined(_TS_ERRNO)' \
        '#error errno is one for all threads' '#endif' >"$box/solaris/errno.h"
    for file in ae.c anet.c; do
        ${CC:-cc} -std=c11 -isystem "$box/solaris" -Itests/support/evport -DAE_BACKEND_EVPORT -c $file \
            -o "$box/x.o" || return 1
    done
}

# $1: C lines before the source $2 that make the headers of this machine like those of another.
compiles_where() {
    printf '%b\n#include "%s"\n' "$1" "$2" >"$box/source.c"
    ${CC:-cc} $strict -D_GNU_SOURCE -I. $3 -c "$box/source.c" -o "$box/x.o"
}

check "deps knows apt" would_run "sudo env DEBIAN_FRONTEND=noninteractive apt-get install" Linux sudo apt-get
check "deps knows dnf" would_run "sudo dnf install" Linux sudo dnf
check "deps knows apk" would_run "sudo apk add" Linux sudo apk
check "deps knows brew, which wants no root" would_run "brew install" Darwin sudo brew
check "deps knows pkg of FreeBSD" would_run "sudo pkg install -y cmocka" FreeBSD sudo pkg
check "deps knows pkg of DragonFly" would_run "sudo pkg install -y cmocka" DragonFly sudo pkg
check "deps knows pkg of illumos, though apt-get is there too" \
    would_run "sudo pkg install" SunOS sudo pkg apt-get
check "deps knows pkgin" would_run "sudo pkgin -y install" NetBSD sudo pkgin pkg_add
check "deps knows pkg_add, and doas" would_run "doas pkg_add" OpenBSD doas pkg_add
check "deps without a known package manager names what is missing" \
    deps_without_a_known_package_manager_names_what_is_missing
check "deps runs what the dry run tells" deps_runs_what_the_dry_run_tells
if echo '#include_next <errno.h>' | ${CC:-cc} -x c -w -E - >/dev/null 2>&1; then
    check "errno is per thread on Solaris" errno_is_per_thread_on_solaris
fi
check "the select backend compiles where FD_SETSIZE is unsigned" compiles_where \
    '#include <sys/select.h>\n#undef FD_SETSIZE\n#define FD_SETSIZE 1024U' ae.c -DAE_BACKEND_SELECT
finish
