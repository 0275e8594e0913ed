/* Random programs, run as by an interpreter: with -DEXACT each value is known, and all undefined
 * behaviour is found. Handlers, hooks and finalizers make any calls as well. See README.md.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "any.h"

static void *proveMalloc(size_t size) {
    return draw(0, 30) ? malloc(size) : NULL;
}

static void *proveRealloc(void *memory, size_t size) {
    return draw(0, 30) ? realloc(memory, size) : NULL;
}

#define AE_MALLOC proveMalloc
#define AE_REALLOC proveRealloc
#define AE_FREE free

#include "kernel.h"

#include "../../ae.c"

#ifndef PROGRAMS
#define PROGRAMS 8
#endif

/* How many calls a program makes, and how many calls deep it may be. */
enum { MOST_CALLS = 60, MOST_DEPTH = 3 };
static int callsLeft, depth;

static void call(aeEventLoop *loop);

static void callSome(aeEventLoop *loop) {
    if (depth == MOST_DEPTH) return;
    depth++;
    for (int count = eachOf(0, 2); count > 0; count--) call(loop);
    depth--;
}

static void onReady(aeEventLoop *loop, int fd, void *data, int mask) {
    callSome(loop);
}

static void onOther(aeEventLoop *loop, int fd, void *data, int mask) {
    callSome(loop);
}

static int onTime(aeEventLoop *loop, long long id, void *data) {
    callSome(loop);
    return eachOf(-2, 20);
}

static void onEnd(aeEventLoop *loop, void *data) {
    callSome(loop);
}

static void onSleep(aeEventLoop *loop) {
    callSome(loop);
}

static void call(aeEventLoop *loop) {
    int fd = fds[eachOf(0, fdCount - 1)];
    if (callsLeft == 0) return;
    callsLeft--;
    switch (eachOf(0, 11)) {
    case 0:
    case 1:
        aeCreateFileEvent(loop, fd, eachOf(0, 7), maybe() ? onReady : onOther, NULL);
        break;
    case 2:
        aeDeleteFileEvent(loop, fd, eachOf(1, 7));
        break;
    case 3:
        aeResizeSetSize(loop, eachOf(1, 100));
        break;
    case 4:
    case 5:
    case 6:
        aeCreateTimeEvent(loop, maybe() ? eachOf(-1, 30) : 0, onTime, NULL, maybe() ? onEnd : NULL);
        break;
    case 7:
    case 8:
        aeDeleteTimeEvent(loop, eachOf(0, (int)loop->timeEventNextId));
        break;
    case 9:
        aeProcessEvents(loop, AE_ALL_EVENTS | (maybe() ? AE_DONT_WAIT : 0));
        break;
    case 10:
        aeSetBeforeSleepProc(loop, maybe() ? onSleep : NULL);
        break;
    case 11:
        aeProcessEvents(loop, eachOf(0, 31));
        break;
    }
}

static void program(void) {
    aeEventLoop *loop = aeCreateEventLoop(eachOf(1, 80));
    if (!loop) return;
    forgetFds();
    callsLeft = MOST_CALLS;
    mostReady = 3;
    while (callsLeft > 0) call(loop);
    aeDeleteEventLoop(loop);
}

void programs(void) {
    fds[0] = 1;
    fds[1] = 7;
    fds[2] = 36;
    fdCount = 3;
    for (int i = 0; i < PROGRAMS; i++) program();
}
