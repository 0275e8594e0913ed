/* Repeats a script that record.c wrote: the calls of the library, with the results of system calls
 * that the library got then. All values are known. See README.md.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "any.h"
#include "script.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#define QUOTE(path) #path
#define FILE_NAME(path) QUOTE(path)
static const long long script[] = {
#include FILE_NAME(SCRIPT)
};
enum { LENGTH = sizeof(script) / sizeof(script[0]) };
static int position;

static long long next(void) {
    //@ assert the_script_goes_on: position < LENGTH;
    return script[position++];
}

static void expectNext(long long word) {
    long long found = next();
    //@ assert as_recorded: found == word;
}

static int stopsNow(void) {
    if (position >= LENGTH || script[position] != STOP) return 0;
    position++;
    return 1;
}

static void stop(void);

/* What a system call returned and wrote. */
static int replayed(void *memory, size_t room) {
    while (stopsNow()) stop();
    expectNext(RESULT);
    int result = (int)next(), error = (int)next();
    size_t size = (size_t)next();
    //@ assert enough_room: size <= room;
    for (size_t i = 0; i < size; i += WORD_SIZE(size)) {
        if (WORD_SIZE(size) == 8)
            *(int64_t *)((char *)memory + i) = next();
        else
            *(int32_t *)((char *)memory + i) = (int32_t)next();
    }
    if (result == -1) errno = error;
    return result;
}

static int isAllocated(void) {
    expectNext(ALLOCATED);
    return (int)next();
}

static void *replayMalloc(size_t size) {
    return isAllocated() ? malloc(size) : NULL;
}

static void *replayRealloc(void *memory, size_t size) {
    return isAllocated() ? realloc(memory, size) : NULL;
}

static int replaySelect(int count, fd_set *readable, fd_set *writable) {
    fd_set both[2];
    isRead(readable, sizeof(*readable));
    isRead(writable, sizeof(*writable));
    int result = replayed(both, sizeof(both));
    *readable = both[0];
    *writable = both[1];
    return result;
}

static int replayEpollCtl(const struct epoll_event *event) {
    isRead(event, sizeof(*event));
    return replayed(NULL, 0);
}

static int replayPoll(struct pollfd *set, nfds_t count) {
    for (nfds_t i = 0; i < count; i++) isRead(&set[i].fd, sizeof(set[i].fd) + sizeof(short));
    return replayed(set, count * sizeof(*set));
}

/* Two results: the events, and their number. */
#define replayGetn(list, room, count) \
    (*(count) = (unsigned)replayed(list, (room) * sizeof(*(list))), replayed(NULL, 0))

#define AE_MALLOC replayMalloc
#define AE_REALLOC replayRealloc
#define AE_FREE free
#define __GLIBC_PREREQ(major, minor) 1
#define __GLIBC__ 2
#define __atomic_load_n(at, order) (*(at))
#define __atomic_store_n(at, value, order) (*(at) = (value))
#define __builtin_prefetch(address) ((void)(address))
#ifndef O_CLOEXEC
#define O_CLOEXEC 02000000
#endif
#ifndef EBADFD
#define EBADFD 77
#endif
#ifndef ETIME
#define ETIME 62
#endif

#ifdef AE_BACKEND_KQUEUE
#include <sys/event.h>
#endif
#ifdef AE_BACKEND_EVPORT
#include <port.h>
#endif

static void noPanic(const char *message) {
    //@ assert no_panic: \false;
}
#define getpid() 1
#define clock_gettime(clock, now) replayed(now, sizeof(*(now)))
#define fcntl(...) replayed(NULL, 0)
#define close(fd) replayed(NULL, 0)
#define poll(set, count, milliseconds) replayPoll(set, count)
#define select(count, readable, writable, failed, timeout) replaySelect(count, readable, writable)
#define prctl(option, a, b, c, d) replayed(NULL, 0)
#define epoll_create1(flags) replayed(NULL, 0)
#define dup3(from, to, flags) replayed(NULL, 0)
#define epoll_ctl(set, operation, fd, event) replayEpollCtl(event)
#define epoll_wait(set, events, room, ms) replayed(events, (room) * sizeof(*(events)))
#define epoll_pwait2(set, events, room, timeout, signals) \
    replayed(events, (room) * sizeof(*(events)))
#define kqueue() replayed(NULL, 0)
#define kevent(queue, changes, count, events, room, timeout) \
    replayed(events, (room) * sizeof(*(events)))
#define port_create() replayed(NULL, 0)
#define port_associate(port, source, object, events, user) replayed(NULL, 0)
#define port_dissociate(port, source, object) replayed(NULL, 0)
#define port_getn(port, list, room, count, timeout) replayGetn(list, room, count)
#define AE_PANIC noPanic
#define snprintf(...) 0
#undef FD_SET
#undef FD_CLR
#undef FD_ISSET
#undef FD_ZERO
#define WORD_OF(fd, set) ((set)->__fc_fd_set[(fd) / 64])
#define FD_SET(fd, set) ((void)(WORD_OF(fd, set) |= (long)(1ul << (fd) % 64)))
#define FD_CLR(fd, set) ((void)(WORD_OF(fd, set) &= (long)~(1ul << (fd) % 64)))
#define FD_ISSET(fd, set) ((WORD_OF(fd, set) & (long)(1ul << (fd) % 64)) != 0)
#define FD_ZERO(set) memset(set, 0, sizeof(*(set)))

#include "../../ae.c"

static aeEventLoop *loop;

static void stop(void) {
    aeStop(loop);
}

/// The program ////////////////////////////////////////////////////////////////////////////////////

static void perform(long long word);

/* A callback makes its calls, up to its return. */
static int callBack(void) {
    long long word;
    while ((word = next()) != RETURN) perform(word);
    return (int)next();
}

#define CALLBACKS(n)                                                       \
    static void onFile##n(aeEventLoop *el, int fd, void *data, int mask) { \
        callBack();                                                        \
    }                                                                      \
    static int onTime##n(aeEventLoop *el, long long id, void *data) {      \
        return callBack();                                                 \
    }                                                                      \
    static void onEnd##n(aeEventLoop *el, void *data) {                    \
        callBack();                                                        \
    }                                                                      \
    static void onSleep##n(aeEventLoop *el) {                              \
        callBack();                                                        \
    }
CALLBACKS(1)
CALLBACKS(2)

static aeFileProc *const files[] = {NULL, onFile1, onFile2};
static aeTimeProc *const times[] = {NULL, onTime1, onTime2};
static aeEventFinalizerProc *const ends[] = {NULL, onEnd1, onEnd2};
static aeBeforeSleepProc *const hooks[] = {NULL, onSleep1, onSleep2};

static void perform(long long word) {
    long long a, b, c;
    switch (word) {
    case CREATE_LOOP:
        loop = aeCreateEventLoop((int)next());
        break;
    case DELETE_LOOP:
        aeDeleteEventLoop(loop);
        break;
    case CREATE_FILE:
        a = next(), b = next(), c = next();
        aeCreateFileEvent(loop, (int)a, (int)b, files[c], NULL);
        break;
    case DELETE_FILE:
        a = next(), b = next();
        aeDeleteFileEvent(loop, (int)a, (int)b);
        break;
    case CREATE_TIMER:
        a = next(), b = next(), c = next();
        aeCreateTimeEvent(loop, a, times[b], NULL, ends[c]);
        break;
    case DELETE_TIMER:
        aeDeleteTimeEvent(loop, next());
        break;
    case PROCESS:
        aeProcessEvents(loop, (int)next());
        break;
    case MAIN:
        aeMain(loop);
        break;
    case STOP:
        aeStop(loop);
        break;
    case RESIZE:
        aeResizeSetSize(loop, (int)next());
        break;
    case DONT_WAIT:
        aeSetDontWait(loop, (int)next());
        break;
    case BEFORE_SLEEP:
        aeSetBeforeSleepProc(loop, hooks[next()]);
        break;
    case AFTER_SLEEP:
        aeSetAfterSleepProc(loop, hooks[next()]);
        break;
    case WAIT:
        a = next(), b = next(), c = next();
        aeWait((int)a, (int)b, c);
        break;
    default:
        //@ assert known_word: \false;
        break;
    }
}

void scripts(void) {
    while (position < LENGTH) perform(next());
}
