/* Runs a program of tests/model, and writes down what it calls and the results of system calls: a
 * script, which replay.c repeats. The linker puts these functions between the program and the
 * library, and between the library and the system (ld --wrap).
 *
 *     record FILE           a program of the corpus
 *     record random SEED    a random program
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#define INTERPOSE_FOR_SUPPORT
#include "tests/support/interpose.h"

#include "ae.h"
#include "tests/model/driver.h"
#include "tests/prove/script.h"

#include <stdarg.h>

static int inLibrary; /* only there system calls belong to the script */

static void put(long long number) {
    if (number == LLONG_MIN)
        printf("-%lld - 1,", LLONG_MAX);
    else
        printf("%lld,", number);
}

/// The program's calls ////////////////////////////////////////////////////////////////////////////

#define REAL(result, name, ...)        \
    result __real_##name(__VA_ARGS__); \
    result __wrap_##name(__VA_ARGS__); \
    result __wrap_##name(__VA_ARGS__)

/* Calls the library. */
#define ENTER(call)    \
    do {               \
        inLibrary = 1; \
        call;          \
        inLibrary = 0; \
    } while (0)

/* The number of a function, which gets one when it is seen first. */
#define NUMBER_OF(procs, proc) numberOf((void (**)(void))(procs), (void (*)(void))(proc))
static int numberOf(void (**procs)(void), void (*proc)(void)) {
    int number = 0;
    if (!proc) return 0;
    while (procs[number] && procs[number] != proc) number++;
    if (number == MOST_PROCS) abort();
    procs[number] = proc;
    return number + 1;
}

static void callbackReturns(long long result) {
    put(RETURN);
    put(result);
    printf("\n");
    inLibrary = 1;
}

static aeFileProc *fileProcs[MOST_PROCS + 1];
static aeTimeProc *timeProcs[MOST_PROCS + 1];
static aeEventFinalizerProc *endProcs[MOST_PROCS + 1];
static aeBeforeSleepProc *befores[MOST_PROCS + 1], *afters[MOST_PROCS + 1];

/* The library calls these in place of the program's functions. */
#define CALLBACKS(n)                                                         \
    static void onFile##n(aeEventLoop *loop, int fd, void *data, int mask) { \
        inLibrary = 0;                                                       \
        fileProcs[n](loop, fd, data, mask);                                  \
        callbackReturns(0);                                                  \
    }                                                                        \
    static int onTime##n(aeEventLoop *loop, long long id, void *data) {      \
        inLibrary = 0;                                                       \
        int again = timeProcs[n](loop, id, data);                            \
        callbackReturns(again);                                              \
        return again;                                                        \
    }                                                                        \
    static void onEnd##n(aeEventLoop *loop, void *data) {                    \
        inLibrary = 0;                                                       \
        endProcs[n](loop, data);                                             \
        callbackReturns(0);                                                  \
    }                                                                        \
    static void beforeSleep##n(aeEventLoop *loop) {                          \
        inLibrary = 0;                                                       \
        befores[n](loop);                                                    \
        callbackReturns(0);                                                  \
    }                                                                        \
    static void afterSleep##n(aeEventLoop *loop) {                           \
        inLibrary = 0;                                                       \
        afters[n](loop);                                                     \
        callbackReturns(0);                                                  \
    }
CALLBACKS(0)
CALLBACKS(1)

REAL(aeEventLoop *, aeCreateEventLoop, int setsize) {
    aeEventLoop *loop;
    put(CREATE_LOOP);
    put(setsize);
    ENTER(loop = __real_aeCreateEventLoop(setsize));
    return loop;
}

REAL(void, aeDeleteEventLoop, aeEventLoop *loop) {
    put(DELETE_LOOP);
    ENTER(__real_aeDeleteEventLoop(loop));
}

REAL(int, aeCreateFileEvent, aeEventLoop *loop, int fd, int mask, aeFileProc *proc, void *data) {
    static aeFileProc *const callbacks[] = {NULL, onFile0, onFile1};
    int number = NUMBER_OF(fileProcs, proc), result;
    put(CREATE_FILE);
    put(fd);
    put(mask);
    put(number);
    ENTER(result = __real_aeCreateFileEvent(loop, fd, mask, callbacks[number], data));
    return result;
}

REAL(void, aeDeleteFileEvent, aeEventLoop *loop, int fd, int mask) {
    put(DELETE_FILE);
    put(fd);
    put(mask);
    ENTER(__real_aeDeleteFileEvent(loop, fd, mask));
}

REAL(long long, aeCreateTimeEvent, aeEventLoop *loop, long long milliseconds, aeTimeProc *proc,
     void *data, aeEventFinalizerProc *finalizer) {
    static aeTimeProc *const callbacks[] = {NULL, onTime0, onTime1};
    static aeEventFinalizerProc *const ends[] = {NULL, onEnd0, onEnd1};
    int number = NUMBER_OF(timeProcs, proc), end = NUMBER_OF(endProcs, finalizer);
    long long id;
    put(CREATE_TIMER);
    put(milliseconds);
    put(number);
    put(end);
    ENTER(id = __real_aeCreateTimeEvent(loop, milliseconds, callbacks[number], data, ends[end]));
    return id;
}

REAL(int, aeDeleteTimeEvent, aeEventLoop *loop, long long id) {
    int result;
    put(DELETE_TIMER);
    put(id);
    ENTER(result = __real_aeDeleteTimeEvent(loop, id));
    return result;
}

REAL(int, aeProcessEvents, aeEventLoop *loop, int flags) {
    int result;
    put(PROCESS);
    put(flags);
    ENTER(result = __real_aeProcessEvents(loop, flags));
    return result;
}

REAL(void, aeMain, aeEventLoop *loop) {
    put(MAIN);
    ENTER(__real_aeMain(loop));
}

REAL(void, aeStop, aeEventLoop *loop) {
    put(STOP);
    ENTER(__real_aeStop(loop));
}

REAL(int, aeResizeSetSize, aeEventLoop *loop, int setsize) {
    int result;
    put(RESIZE);
    put(setsize);
    ENTER(result = __real_aeResizeSetSize(loop, setsize));
    return result;
}

REAL(void, aeSetDontWait, aeEventLoop *loop, int noWait) {
    put(DONT_WAIT);
    put(noWait);
    ENTER(__real_aeSetDontWait(loop, noWait));
}

REAL(void, aeSetBeforeSleepProc, aeEventLoop *loop, aeBeforeSleepProc *proc) {
    static aeBeforeSleepProc *const callbacks[] = {NULL, beforeSleep0, beforeSleep1};
    int number = NUMBER_OF(befores, proc);
    put(BEFORE_SLEEP);
    put(number);
    ENTER(__real_aeSetBeforeSleepProc(loop, callbacks[number]));
}

REAL(void, aeSetAfterSleepProc, aeEventLoop *loop, aeBeforeSleepProc *proc) {
    static aeBeforeSleepProc *const callbacks[] = {NULL, afterSleep0, afterSleep1};
    int number = NUMBER_OF(afters, proc);
    put(AFTER_SLEEP);
    put(number);
    ENTER(__real_aeSetAfterSleepProc(loop, callbacks[number]));
}

REAL(int, aeWait, int fd, int mask, long long milliseconds) {
    int result;
    put(WAIT);
    put(fd);
    put(mask);
    put(milliseconds);
    ENTER(result = __real_aeWait(fd, mask, milliseconds));
    return result;
}

/// System calls ///////////////////////////////////////////////////////////////////////////

/* What a system call returned and wrote. */
static int recordResult(int result, const void *memory, size_t size) {
    const char *bytes = memory;
    int error = errno;
    put(RESULT);
    put(result);
    put(result == -1 ? error : 0);
    put((long long)size);
    for (size_t i = 0; i < size; i += WORD_SIZE(size)) {
        int64_t large;
        int32_t small;
        if (WORD_SIZE(size) == 8) {
            memcpy(&large, bytes + i, sizeof(large));
            put(large);
        } else {
            memcpy(&small, bytes + i, sizeof(small));
            put(small);
        }
    }
    printf("\n");
    inLibrary = 1;
    errno = error;
    return result;
}

/* A system call may lead to a call of aeStop. */
#define ASK(call)                \
    if (!inLibrary) return call; \
    inLibrary = 0;               \
    int result = call

#define SIZE_OF(count, array) ((count) > 0 ? (size_t)(count) * sizeof((array)[0]) : 0)

REAL(void *, supportMalloc, size_t size) {
    void *memory = __real_supportMalloc(size);
    put(ALLOCATED);
    put(memory != NULL);
    return memory;
}

REAL(void *, supportRealloc, void *memory, size_t size) {
    void *moved = __real_supportRealloc(memory, size);
    put(ALLOCATED);
    put(moved != NULL);
    return moved;
}

REAL(int, supportClockGettime, clockid_t clock, struct timespec *now) {
    ASK(__real_supportClockGettime(clock, now));
    return recordResult(result, now, sizeof(*now));
}

REAL(int, supportPoll, struct pollfd *set, nfds_t count, int milliseconds) {
    ASK(__real_supportPoll(set, count, milliseconds));
    return recordResult(result, set, SIZE_OF(count, set));
}

REAL(int, supportFcntl, int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    int value = command == F_SETFD ? va_arg(arguments, int) : 0;
    va_end(arguments);
    ASK(__real_supportFcntl(fd, command, value));
    return recordResult(result, NULL, 0);
}

REAL(int, supportClose, int fd) {
    ASK(__real_supportClose(fd));
    return recordResult(result, NULL, 0);
}

REAL(int, supportSelect, int count, fd_set *readable, fd_set *writable, fd_set *failed,
     struct timeval *timeout) {
    ASK(__real_supportSelect(count, readable, writable, failed, timeout));
    fd_set both[2] = {*readable, *writable};
    return recordResult(result, both, sizeof(both));
}

REAL(int, supportTimerSlack, void) {
    ASK(__real_supportTimerSlack());
    return recordResult(result, NULL, 0);
}

REAL(int, supportEpollCreate1, int flags) {
    ASK(__real_supportEpollCreate1(flags));
    return recordResult(result, NULL, 0);
}

REAL(int, supportDup3, int fd, int to, int flags) {
    ASK(__real_supportDup3(fd, to, flags));
    return recordResult(result, NULL, 0);
}

REAL(int, supportEpollCtl, int set, int operation, int fd, struct epoll_event *event) {
    ASK(__real_supportEpollCtl(set, operation, fd, event));
    return recordResult(result, NULL, 0);
}

REAL(int, supportEpollWait, int set, struct epoll_event *events, int room, int milliseconds) {
    ASK(__real_supportEpollWait(set, events, room, milliseconds));
    return recordResult(result, events, SIZE_OF(result, events));
}

#ifdef INTERPOSE_EPOLL_PWAIT2
REAL(int, supportEpollPwait2, int set, struct epoll_event *events, int room,
     const struct timespec *timeout, const sigset_t *signals) {
    ASK(__real_supportEpollPwait2(set, events, room, timeout, signals));
    return recordResult(result, events, SIZE_OF(result, events));
}
#endif

#ifdef INTERPOSE_KQUEUE
REAL(int, supportKqueue, void) {
    ASK(__real_supportKqueue());
    return recordResult(result, NULL, 0);
}

REAL(int, supportKevent, int queue, const struct kevent *changes, unsigned short changeCount,
     struct kevent *events, unsigned short room, const struct timespec *timeout) {
    ASK(__real_supportKevent(queue, changes, changeCount, events, room, timeout));
    return recordResult(result, events, SIZE_OF(result, events));
}
#endif

#ifdef INTERPOSE_EVPORT
REAL(int, supportPortCreate, void) {
    ASK(__real_supportPortCreate());
    return recordResult(result, NULL, 0);
}

REAL(int, supportPortAssociate, int port, int source, uintptr_t object, int events, void *user) {
    ASK(__real_supportPortAssociate(port, source, object, events, user));
    return recordResult(result, NULL, 0);
}

REAL(int, supportPortDissociate, int port, int source, uintptr_t object) {
    ASK(__real_supportPortDissociate(port, source, object));
    return recordResult(result, NULL, 0);
}

/* Two results: the events, and their number. */
REAL(int, supportPortGetn, int port, port_event_t *list, unsigned room, unsigned *count,
     struct timespec *timeout) {
    ASK(__real_supportPortGetn(port, list, room, count, timeout));
    recordResult((int)*count, list, SIZE_OF(*count, list));
    return recordResult(result, NULL, 0);
}
#endif

int main(int argc, char **argv) {
    static uint8_t bytes[MOST_BYTES];
    size_t length = 0;
    if (argc == 3) {
        length = randomProgram(strtoull(argv[2], NULL, 10), bytes);
    } else if (argc == 2) {
        FILE *file = fopen(argv[1], "rb");
        if (!file) return 1;
        length = fread(bytes, 1, sizeof(bytes), file);
        fclose(file);
    }
    takeAllFds();
    runProgram(bytes, length, false);
    return 0;
}
