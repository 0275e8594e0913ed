#!/bin/sh
# Copies the files that a project needs into one of its directories, and prints the lines for its
# makefile: two, and one more if sockets need a library. Called by `make vendor`.
#
#     DEST=path [BACKEND=all|epoll|kqueue|evport|select] [ANET=1] tools/vendor.sh
#
# Without BACKEND it copies the one that ae.c chooses on this system, with the compiler CC.
set -eu
cd "$(dirname "$0")/.."
fail() {
    echo "vendor: $1" >&2
    exit 1
}
[ -n "${DEST:-}" ] || fail "say where to: make vendor DEST=path [BACKEND=all|epoll|...] [ANET=1]"

define=
case ${BACKEND:-} in
all) backends=$(echo ae_*.c) ;;
"")
    # The preprocessor names each file that ae.c includes.
    backends=$(${CC:-cc} -E ae.c | sed -n 's|^#.*["/]\(ae_[a-z]*\.c\)".*|\1|p' | sort -u)
    [ -n "$backends" ] || fail "the compiler ${CC:-cc} does not tell the backend: name it"
    ;;
*)
    backends=ae_$BACKEND.c
    [ -e "$backends" ] || fail "there is no backend $BACKEND"
    define=" -DAE_BACKEND_$(echo "$BACKEND" | tr a-z A-Z)"
    ;;
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
