#!/bin/sh
# Copies the files that a project needs into one of its directories, and prints the lines for its
# makefile: two, and one more if sockets need a library. Called by `make vendor`.
#
#     DEST=path [BACKEND=all|epoll|kqueue|evport|select] [ANET=1] tools/vendor.sh
#
# Without BACKEND it copies the one that ae.c chooses on this system.
set -eu
cd "$(dirname "$0")/.."
fail() {
    echo "vendor: $1" >&2
    exit 1
}
[ -n "${DEST:-}" ] || fail "say where to: make vendor DEST=path [BACKEND=all|epoll|...] [ANET=1]"

define=
case ${BACKEND:-} in
all) backends="ae_epoll.c ae_kqueue.c ae_evport.c ae_select.c" ;;
epoll | kqueue | evport | select)
    backends=ae_$BACKEND.c
    define=" -DAE_BACKEND_$(echo $BACKEND | tr a-z A-Z)"
    ;;
"")
    case $(uname) in
    Linux) backends=ae_epoll.c ;;
    FreeBSD | NetBSD | OpenBSD | DragonFly | Darwin) backends=ae_kqueue.c ;;
    SunOS) backends=ae_evport.c ;;
    *) backends=ae_select.c ;;
    esac
    ;;
*) fail "there is no backend $BACKEND" ;;
esac
files="ae.h ae.c $backends" sources="$DEST/ae.c"
if [ "${ANET:-}" = 1 ]; then
    files="$files anet.h anet.c" sources="$sources $DEST/anet.c"
fi

# The project's own licence must not be overwritten.
if [ -e "$DEST/LICENSE" ] && ! cmp -s LICENSE "$DEST/LICENSE"; then
    fail "$DEST has a LICENSE of its own: choose a folder for libae alone"
fi
mkdir -p "$DEST"
cp $files LICENSE "$DEST/"
echo "CPPFLAGS += -I$DEST$define"
echo "SOURCES += $sources"
if [ "${ANET:-}" = 1 ] && [ -n "${SYSTEM_LIBS:-}" ]; then echo "LDLIBS += $SYSTEM_LIBS"; fi
