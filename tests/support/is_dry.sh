#!/bin/sh
# Succeeds under make -n, -q and -t. A line of a makefile that shares make's jobs with a script begins
# with "+", and make runs such a line even then.
#
# GNU make puts these letters together at the beginning of MAKEFLAGS, without a dash. BSD make writes
# each as an option.
case "${MAKEFLAGS%% *}" in
-* | *=*) ;;
*[nqt]*) exit 0 ;;
esac
case "$MAKEFLAGS " in *" -"[nqt]" "*) exit 0 ;; esac
exit 1
