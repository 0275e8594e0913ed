/* Calls the functions of timers with a clock that returns any time at each call. See README.md.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "kernel.h"

#include "../../ae.c"

static long long anyTime(void) {
    return Frama_C_long_long_interval(LLONG_MIN, LLONG_MAX);
}

static aeTimeProc onTime;
static aeEventFinalizerProc onEnd;

#define CREATE(loop) aeCreateTimeEvent(loop, anyTime(), onTime, NULL, maybe() ? onEnd : NULL)
#define DELETE(loop) aeDeleteTimeEvent(loop, eachOf(-1, (int)(loop)->timeEventNextId))
static int onTime(aeEventLoop *loop, long long id, void *data) {
    return AE_NOMORE;
}

static void onEnd(aeEventLoop *loop, void *data) {
}

/* Two timers with any deadlines, with or without a finalizer; one of them or none is deleted; then
 * the loop is deleted. */
void twoTimers(void) {
    aeEventLoop *loop = aeCreateEventLoop(8);
    if (!loop) return;
    CREATE(loop);
    errno = 0;
    CREATE(loop);
    errno = 0;
    DELETE(loop);
    aeDeleteEventLoop(loop);
}
