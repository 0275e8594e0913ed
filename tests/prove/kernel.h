/* The kernel under ae.c and its backends: each call may fail with any errno, or do anything that
 * its manual page allows. Macros replace the system calls, so it is included before ae.c.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef PROVE_KERNEL_H
#define PROVE_KERNEL_H

#include "any.h"
#include "text.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifndef O_CLOEXEC
#define O_CLOEXEC 02000000
#endif

/* How many events a poll may report at once, chosen by the driver. */
static int mostReady = 1;

/// Processes, clock and fds ///////////////////////////////////////////////////////////////////////

static int provePid = 1;

static int proveGetpid(void) {
    return provePid;
}

/* The clock returns any time, unless the driver chooses that it is known: then it advances at each
 * call by one of these steps. In a part that examines each value, it advances at most by
 * `clockStep`. */
static const long clockSteps[] = {0, 2000000};
static long clockStep = 2000000, clockNanoseconds;
static int clockIsKnown;

static int proveClockGettime(int clock, struct timespec *now) {
#ifdef EXACT
    clockNanoseconds += draw(0, clockStep);
#else
    if (!clockIsKnown) {
        now->tv_sec = Frama_C_long_interval(0, LONG_MAX / 2000000);
        now->tv_nsec = Frama_C_long_interval(0, 999999999);
        return 0;
    }
    clockNanoseconds += clockSteps[eachOf(0, 1)];
#endif
    now->tv_sec = clockNanoseconds / 1000000000;
    now->tv_nsec = clockNanoseconds % 1000000000;
    return 0;
}

static int proveFcntl(int fd, int command, ...) {
    return mayFail() ? anyFailure() : 1;
}

static int proveClose(int fd) {
    return 0;
}

/* The fds that the program uses: the kernel has no others. */
enum { MOST_FDS = 3 };
static int fds[MOST_FDS];
static int fdCount;

static int indexOf(int fd) {
    int i = 0;
    while (i < fdCount && fds[i] != fd) i++;
    //@ assert an_fd_of_the_program: i < fdCount;
    return i;
}

/* POLLNVAL needs no bit; nor do hang-up and error. */
static int provePoll(struct pollfd *set, nfds_t count, int milliseconds) {
    int ready = 0;
    if (mayFail()) return anyFailure();
    for (nfds_t i = 0; i < count; i++) {
        isRead(&set[i].fd, sizeof(set[i].fd));
        isRead(&set[i].events, sizeof(set[i].events));
        set[i].revents = maybe() ? (short)anyOf(1, SHRT_MAX) : 0;
        if (set[i].revents) ready++;
    }
    return ready;
}

/// epoll //////////////////////////////////////////////////////////////////////////////////////////

#ifdef AE_BACKEND_EPOLL
#ifndef PLAIN_SYSTEM
#define __GLIBC_PREREQ(major, minor) 1
#define __GLIBC__ 2
#endif

/* The data that the program has registered with an fd, now and before. */
enum { MOST_HANDED = 2 };
static uint64_t handed[MOST_FDS][MOST_HANDED];
static int isHanded[MOST_FDS][MOST_HANDED];

static int proveEpollCtl(int set, int operation, int fd, struct epoll_event *event) {
    int i = indexOf(fd);
    //@ assert operation: 1 <= operation <= 3;
    isRead(event, sizeof(*event));
    if (mayFail()) return anyFailure();
    if (operation == EPOLL_CTL_DEL || (isHanded[i][0] && handed[i][0] == event->data.u64)) return 0;
    handed[i][1] = handed[i][0];
    isHanded[i][1] = isHanded[i][0];
    handed[i][0] = event->data.u64;
    isHanded[i][0] = 1;
    return 0;
}

/* Reports any data that was ever registered. */
static int proveEpollWait(int set, struct epoll_event *events, int room, int milliseconds) {
    int ready = 0;
    if (mayFail()) return waitFailure();
    while (ready < mostReady && ready < room && maybe()) {
        int i = eachOf(0, MOST_FDS - 1), j = eachOf(0, MOST_HANDED - 1);
        if (i >= fdCount || !isHanded[i][j]) continue;
        events[ready].events = (uint32_t)anyInt();
        events[ready].data.u64 = handed[i][j];
        ready++;
    }
    return ready;
}

static int proveEpollPwait2(int set, struct epoll_event *events, int room,
                            const struct timespec *timeout, void *signals) {
    isRead(timeout, sizeof(*timeout));
    return proveEpollWait(set, events, room, 0);
}

#define prctl(option, a, b, c, d) anyInt()
#define epoll_create1(flags) fdOrFailure()
#define dup3(from, to, flags) fdOrFailure()
#define epoll_ctl(set, operation, fd, event) proveEpollCtl(set, operation, fd, event)
#define epoll_wait(set, events, room, ms) proveEpollWait(set, events, room, ms)
#define epoll_pwait2(set, events, room, timeout, signals) \
    proveEpollPwait2(set, events, room, timeout, signals)
#endif

/// select /////////////////////////////////////////////////////////////////////////////////////////

#ifdef AE_BACKEND_SELECT
static void checkFd(int fd) {
    //@ assert below_FD_SETSIZE: 0 <= fd < FD_SETSIZE;
}

#define WORD_OF(fd, set) (checkFd(fd), (set)->__fc_fd_set[(fd) / 64])
#undef FD_SET
#undef FD_CLR
#undef FD_ISSET
#undef FD_ZERO
#define FD_SET(fd, set) ((void)(WORD_OF(fd, set) |= (long)(1ul << (fd) % 64)))
#define FD_CLR(fd, set) ((void)(WORD_OF(fd, set) &= (long)~(1ul << (fd) % 64)))
#define FD_ISSET(fd, set) ((WORD_OF(fd, set) & (long)(1ul << (fd) % 64)) != 0)
#define FD_ZERO(set) memset(set, 0, sizeof(*(set)))

/* Keeps some of the bits that are set. */
static int proveSelect(int count, fd_set *readable, fd_set *writable, fd_set *failed,
                       struct timeval *timeout) {
    int ready = 0;
    //@ assert count: 0 <= count <= FD_SETSIZE;
    isRead(readable, sizeof(*readable));
    isRead(writable, sizeof(*writable));
    if (timeout) {
        isReadTimeval(timeout);
        isWritten(timeout, sizeof(*timeout));
    }
    if (mayFail()) return waitFailure();
    for (int i = 0; i < fdCount; i++) {
        if (FD_ISSET(fds[i], readable)) {
            if (maybe())
                ready++;
            else
                FD_CLR(fds[i], readable);
        }
        if (FD_ISSET(fds[i], writable)) {
            if (maybe())
                ready++;
            else
                FD_CLR(fds[i], writable);
        }
    }
    return ready;
}

#define select(count, readable, writable, failed, timeout) \
    proveSelect(count, readable, writable, failed, timeout)
#endif

/// kqueue /////////////////////////////////////////////////////////////////////////////////////////

#ifdef AE_BACKEND_KQUEUE
#include <sys/event.h>

static int isKnown[MOST_FDS];

static void readEvent(const struct kevent *event) {
    isRead(&event->ident, sizeof(event->ident));
    isRead(&event->filter, sizeof(event->filter));
    isRead(&event->flags, sizeof(event->flags));
    isRead(&event->fflags, sizeof(event->fflags));
    isRead(&event->data, sizeof(event->data));
    isRead(&event->udata, sizeof(event->udata));
    //@ assert filter: event->filter == EVFILT_READ || event->filter == EVFILT_WRITE;
}

/* Any filter, flags and data. */
static void report(struct kevent *event, uintptr_t ident) {
    isWritten(event, sizeof(*event));
    event->ident = ident;
#ifdef EXACT
    event->filter = maybe() ? EVFILT_READ : EVFILT_WRITE; /* others would be chosen too often */
#endif
}

/* Failures and receipts of the changes come first, then any events of any fds that were ever added.
 */
static int proveKevent(int queue, const struct kevent *changes, int count, struct kevent *events,
                       int room, const struct timespec *timeout) {
    int reported = 0;
    if (timeout) isRead(timeout, sizeof(*timeout));
    if (mayFail()) return count > 0 ? anyFailure() : waitFailure();
    for (int i = 0; i < count; i++) {
        readEvent(&changes[i]);
        isKnown[indexOf((int)changes[i].ident)] = 1;
        if (reported < room && maybe()) report(&events[reported++], changes[i].ident);
    }
    while (reported < mostReady && reported < room && maybe()) {
        int i = eachOf(0, MOST_FDS - 1);
        if (i < fdCount && isKnown[i]) report(&events[reported++], (uintptr_t)fds[i]);
    }
    return reported;
}

#define kqueue() fdOrFailure()
#define kevent(queue, changes, count, events, room, timeout) \
    proveKevent(queue, changes, count, events, room, timeout)
#endif

/// Event ports ////////////////////////////////////////////////////////////////////////////////////

#ifdef AE_BACKEND_EVPORT
#include <port.h>

#ifndef EBADFD
#define EBADFD 77
#endif
#ifndef ETIME
#define ETIME 62
#endif

static int isKnown[MOST_FDS];

static int provePortAssociate(int port, int source, uintptr_t object, int events, void *user) {
    int i = indexOf((int)object);
    if (mayFail()) return anyFailure();
    isKnown[i] = 1;
    return 0;
}

static int provePortDissociate(int port, int source, uintptr_t object) {
    indexOf((int)object);
    return zeroOrFailure();
}

/* Returns fds that were ever associated; may fail, with or without such events. When it fails, it
 * may leave both the list and the count unchanged. */
static int provePortGetn(int port, port_event_t *list, unsigned room, unsigned *count,
                         const struct timespec *timeout) {
    unsigned found = 0;
    if (timeout) isRead(timeout, sizeof(*timeout));
    //@ assert enough_room: 1 <= *count <= room;
    if (mayFail()) {
        *count = (unsigned)eachOf(0, 1);
        return waitFailure();
    }
    while ((int)found < mostReady && found < room && maybe()) {
        int i = eachOf(0, MOST_FDS - 1);
        if (i >= fdCount || !isKnown[i]) continue;
        list[found].portev_events = anyInt();
        list[found].portev_source = PORT_SOURCE_FD;
        list[found].portev_object = (uintptr_t)fds[i];
        list[found].portev_user = NULL;
        found++;
    }
    *count = found;
    return mayFail() ? waitFailure() : 0;
}

#define port_create() fdOrFailure()
#define port_associate(port, source, object, events, user) \
    provePortAssociate(port, source, object, events, user)
#define port_dissociate(port, source, object) provePortDissociate(port, source, object)
#define port_getn(port, list, room, count, timeout) provePortGetn(port, list, room, count, timeout)
#endif

/* There is no other thread, and no signal. */
#define __atomic_load_n(at, order) (*(at))
#define __atomic_store_n(at, value, order) (*(at) = (value))
#define __builtin_prefetch(address) ((void)(address))
#define getpid() proveGetpid()
#define clock_gettime(clock, now) proveClockGettime(clock, now)
#define fcntl proveFcntl
#define close(fd) proveClose(fd)
#define poll(set, count, milliseconds) provePoll(set, count, milliseconds)

/* The fds are not registered with any queue any more. */
static void forgetFds(void) {
#ifdef AE_BACKEND_EPOLL
    memset(isHanded, 0, sizeof(isHanded));
#elif !defined(AE_BACKEND_SELECT)
    memset(isKnown, 0, sizeof(isKnown));
#endif
}

#endif
