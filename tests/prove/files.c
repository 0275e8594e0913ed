/* Calls the functions of file events in any order, outside and inside of handlers, with a kernel
 * that may return any result. See README.md.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "kernel.h"

#include "../../ae.c"

static aeFileProc onReady, onOther, onPausing, onNested;
static int callsLeft; /* that handlers may make */

#define ANY_FD() fds[eachOf(0, fdCount - 1)]

static const struct {
    int mask;
    aeFileProc *proc;
} creations[] = {
    {AE_READABLE, onReady},
    {AE_WRITABLE, onReady},
    {AE_WRITABLE | AE_BARRIER, onOther},
    {AE_READABLE | AE_WRITABLE, onOther},
    {AE_BARRIER, NULL},
};

/* Any one call. A macro, because the analyser joins its states when a function returns. The errno
 * of a call does not matter for the next call. */
#define CALL(loop)                                                                           \
    do {                                                                                     \
        int fd = ANY_FD(), which = eachOf(0, 9);                                             \
        if (which < 5)                                                                       \
            aeCreateFileEvent(loop, fd, creations[which].mask, creations[which].proc, NULL); \
        else if (which < 8)                                                                  \
            aeDeleteFileEvent(loop, fd, which - 4);                                          \
        else if (which < 9)                                                                  \
            aeResizeSetSize(loop, fd == fds[0] ? 4 : 40);                                    \
        errno = 0;                                                                           \
    } while (0)

static void onReady(aeEventLoop *loop, int fd, void *data, int mask) {
    if (callsLeft == 0) return;
    callsLeft--;
    CALL(loop);
}

static void onOther(aeEventLoop *loop, int fd, void *data, int mask) {
}

static void onNested(aeEventLoop *loop, int fd, void *data, int mask) {
    if (callsLeft == 0) return;
    callsLeft--;
    mostReady = 1;
    aeProcessEvents(loop, AE_FILE_EVENTS | AE_DONT_WAIT);
}

/* Ends a registration, and may start another one. */
#define PAUSE(loop)                                                           \
    do {                                                                      \
        int fd = ANY_FD();                                                    \
        aeDeleteFileEvent(loop, fd, AE_READABLE | AE_WRITABLE);               \
        errno = 0;                                                            \
        if (maybe()) aeCreateFileEvent(loop, fd, AE_READABLE, onOther, NULL); \
        errno = 0;                                                            \
    } while (0)

static void onPausing(aeEventLoop *loop, int fd, void *data, int mask) {
    if (callsLeft == 0) return;
    callsLeft--;
    PAUSE(loop);
}

static aeEventLoop *newLoop(int setsize, int first, int second) {
    fds[0] = first;
    fds[1] = second;
    fdCount = 2;
    return aeCreateEventLoop(setsize);
}

/* The calls that change nothing, for any fd. */
static void callsOfNoEffect(aeEventLoop *loop) {
    static const int numbers[] = {INT_MIN, -1, 0, 2, 31, 32, 63, 64, 99, 100, INT_MAX};
    int fd = numbers[eachOf(0, sizeof(numbers) / sizeof(numbers[0]) - 1)];
    if (fd < 0 || fd >= loop->setsize) aeCreateFileEvent(loop, fd, anyInt(), onOther, NULL);
    aeCreateFileEvent(loop, fd, anyInt(), NULL, NULL);
    aeDeleteFileEvent(loop, fd, anyInt());
    aeGetFileEvents(loop, fd);
    aeGetFileClientData(loop, fd);
    aeResizeSetSize(loop, anyOf(INT_MIN, 0));
    aeGetSetSize(loop);
    aeSetDontWait(loop, anyInt());
    aeWait(anyInt(), anyInt(), Frama_C_long_long_interval(LLONG_MIN, LLONG_MAX));
    errno = 0;
}

/* Any two calls, then an iteration, or the end of the loop: that of the parent or, after fork, of
 * the child. */
void anyCalls(void) {
    aeEventLoop *loop = newLoop(8, 1, 7);
    if (!loop) return;
    CALL(loop);
    CALL(loop);
    switch (eachOf(0, 2)) {
    case 0:
        aeProcessEvents(loop, AE_ALL_EVENTS | AE_DONT_WAIT);
        break;
    case 1:
        aeDeleteEventLoop(loop);
        break;
    case 2:
        provePid++;
        aeDeleteEventLoop(loop);
        break;
    }
}

/* One fd with different handlers for reading and writing, and one that is registered for reading.
 */
#define REGISTER_TWO(loop, reader)                                                          \
    if (!loop || aeCreateFileEvent(loop, 1, AE_READABLE, reader, NULL) == AE_ERR ||         \
        aeCreateFileEvent(loop, 1, AE_WRITABLE | (maybe() ? AE_BARRIER : AE_NONE), onOther, \
                          NULL) == AE_ERR ||                                                \
        aeCreateFileEvent(loop, 7, AE_READABLE, onReady, NULL) == AE_ERR)                   \
        return;                                                                             \
    errno = 0

/* A batch of one event, in which a handler makes any one call. */
void callsFromHandlers(void) {
    aeEventLoop *loop = newLoop(8, 1, 7);
    REGISTER_TWO(loop, onReady);
    callsLeft = 1;
    aeProcessEvents(loop, AE_FILE_EVENTS);
}

/* A batch of two events, in which a handler ends any registration, and may start it again. */
void pausesFromHandlers(void) {
    aeEventLoop *loop = newLoop(8, 1, 7);
    REGISTER_TWO(loop, onPausing);
    callsLeft = 1;
    mostReady = 2;
    aeProcessEvents(loop, AE_FILE_EVENTS);
}

/* An event of both handlers, the first of which ends and begins registrations, in a loop where that
 * has happened before: what the fd is ready for is looked up. */
void resumedBefore(void) {
    aeEventLoop *loop = newLoop(8, 1, 7);
    REGISTER_TWO(loop, onPausing);
    loop->hasPaused = 1;
    callsLeft = 1;
    aeProcessEvents(loop, AE_FILE_EVENTS);
}

/* A batch of two events, in which the kernel may report a registration that has ended before. */
void staleEvents(void) {
    aeEventLoop *loop = newLoop(8, 1, 7);
    REGISTER_TWO(loop, onOther);
    PAUSE(loop);
    mostReady = 2;
    aeProcessEvents(loop, AE_FILE_EVENTS);
}

/* A batch of one event, in which the first of two handlers processes events itself. */
void nestedCalls(void) {
    aeEventLoop *loop = newLoop(8, 1, 7);
    REGISTER_TWO(loop, onNested);
    callsLeft = 1;
    aeProcessEvents(loop, AE_FILE_EVENTS);
}

/* The slots move, or their allocation fails. */
void growth(void) {
    aeEventLoop *loop = newLoop(100, 1, 36);
    if (!loop) return;
    aeCreateFileEvent(loop, 1, AE_READABLE, onReady, NULL);
    errno = 0;
    aeCreateFileEvent(loop, 36, AE_READABLE, onReady, NULL);
    aeProcessEvents(loop, AE_FILE_EVENTS);
}

/* They move while a batch is served. */
void growthInHandlers(void) {
    aeEventLoop *loop = newLoop(100, 1, 36);
    if (!loop || aeCreateFileEvent(loop, 1, AE_READABLE, onReady, NULL) == AE_ERR) return;
    if (aeCreateFileEvent(loop, 1, AE_WRITABLE, onOther, NULL) == AE_ERR) return;
    errno = 0;
    callsLeft = 1;
    aeProcessEvents(loop, AE_FILE_EVENTS);
}

static void onSleep(aeEventLoop *loop) {
    aeSetDontWait(loop, maybe());
    aeStop(loop);
}

/* Every flag, hooks, and aeMain. */
void iterations(void) {
    aeEventLoop *loop = newLoop(8, 1, 7);
    if (!loop) return;
    aeGetApiName();
    if (maybe()) aeSetBeforeSleepProc(loop, onSleep);
    if (maybe()) aeSetAfterSleepProc(loop, onSleep);
    aeCreateFileEvent(loop, 1, AE_READABLE, onReady, NULL);
    aeGetFileEvents(loop, 1);
    aeGetFileClientData(loop, 1);
    errno = 0;
    if (maybe())
        aeProcessEvents(loop, eachOf(0, 31));
    else if (loop->beforesleep)
        aeMain(loop);
}

void refusals(void) {
    aeCreateEventLoop(anyOf(INT_MIN, 0));
    aeDeleteEventLoop(NULL);
    aeEventLoop *loop = newLoop(100, 1, 36);
    if (!loop) return;
    callsOfNoEffect(loop);
    aeResizeSetSize(loop, 100);
    aeResizeSetSize(loop, INT_MAX);
}

/* An fd that select has no room for. */
void highFds(void) {
    aeEventLoop *loop = newLoop(FD_SETSIZE + 8, 1, FD_SETSIZE + 1);
    if (!loop) return;
    aeCreateFileEvent(loop, FD_SETSIZE + 1, AE_READABLE, onOther, NULL);
    aeDeleteEventLoop(loop);
}

/* Any wait of the backend with a limit, with any result; then another one, with or without a limit.
 */
void waits(void) {
    aeEventLoop *loop = aeCreateEventLoop(8);
    fds[0] = 1;
    fdCount = 1;
    if (!loop || aeCreateFileEvent(loop, 1, AE_READABLE, onOther, NULL) == AE_ERR) return;
    for (int i = 0; i < 2; i++) {
        struct timeval timeout = {anyOf(0, INT_MAX / 1000), anyOf(0, 999999)};
        loop->waitsUntil = (uint64_t)Frama_C_long_interval(0, LONG_MAX);
        errno = 0;
        aeApiPoll(loop, i == 1 && maybe() ? NULL : &timeout);
    }
}
