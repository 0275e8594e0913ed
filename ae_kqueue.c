/* libae's backend for the BSDs and macOS: kqueue(2).
 *
 * What kqueue does awkwardly, and what is done about it:
 *
 * - It knows filters, not fds: reading and writing are two knotes that are added, deleted and
 *   reported apart. Their events are put together here, in whatever order they come.
 * - A call with several changes stops at the first that fails, unless there is room to report the
 *   failure. So there always is, and each change is judged by itself.
 * - It forgets an fd as soon as it is closed, and adding a knote does not tell whether it was
 *   there. Those that should be there are enabled, which fails (ENOENT) if the fd was closed behind
 *   the loop's back and its number used again.
 * - EV_EOF comes on one filter where epoll's EPOLLHUP would wake both sides, and means less: on
 *   EVFILT_READ it also comes when the peer has shut down its sending side only.
 * - A child of fork(2) does not inherit the queue: its number is free there, and soon another
 *   file's.
 * - EV_SET may evaluate its first argument more than once, and udata is an integer on older NetBSD:
 *   hence no side effects in the one and a plain 0 for the other.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include <sys/types.h>

#include <sys/event.h>

/* Where there is no EV_RECEIPT, events may be reported along with the failures; they are passed
 * over, and come again. */
#ifndef EV_RECEIPT
#define EV_RECEIPT 0
#endif

typedef struct {
    int fd;
    struct kevent events[BATCH_SIZE];
} Poller;

static int aeApiCreate(aeEventLoop *eventLoop) {
    Poller *poller = allocate(sizeof(*poller));
    if (!poller) return -1;
    poller->fd = kqueue();
    if (poller->fd == -1) {
        release(poller);
        return -1;
    }
    /* A child of fork(2) does not inherit it, so none can get hold of it before this. */
    fcntl(poller->fd, F_SETFD, FD_CLOEXEC);
    eventLoop->apidata = poller;
    return 0;
}

static int aeApiResize(aeEventLoop *eventLoop, int setsize) {
    AE_NOTUSED(eventLoop);
    AE_NOTUSED(setsize);
    return 0;
}

static void aeApiFree(aeEventLoop *eventLoop) {
    Poller *poller = eventLoop->apidata;
    if (isOwner(eventLoop)) close(poller->fd);
    release(poller);
}

/* Applies one action to the filters of `first` and another to those of `second`, in one call.
 * Answers 0, or the errno of the last change that failed. */
static int change(aeEventLoop *eventLoop, int fd, int first, int firstAction, int second,
                  int secondAction) {
    Poller *poller = eventLoop->apidata;
    const struct timespec now = {0, 0};
    struct kevent changes[2], results[2];
    unsigned short count = 0; /* fits the int of most systems and the size_t of NetBSD */
    int error = 0;
    for (int side = AE_READABLE; side <= AE_WRITABLE; side <<= 1) {
        int action = first & side ? firstAction : second & side ? secondAction : 0;
        if (!action) continue;
        EV_SET(&changes[count], (uintptr_t)fd, side == AE_READABLE ? EVFILT_READ : EVFILT_WRITE,
               (unsigned short)((unsigned)action | EV_RECEIPT), 0, 0, 0);
        count++;
    }
    int reported = kevent(poller->fd, changes, count, results, count, &now);
    if (reported == -1) return errno;
    for (int i = 0; i < reported; i++)
        if (results[i].flags & EV_ERROR && results[i].data) error = (int)results[i].data;
    return error;
}

static int aeApiAddEvent(aeEventLoop *eventLoop, int fd, int mask) {
    int former = eventLoop->events[fd].mask & AE_BOTH;
    int error = change(eventLoop, fd, former, EV_ENABLE, mask, EV_ADD);
    int forgotten = former && error == ENOENT;
    if (forgotten) {
        former = AE_NONE;
        error = change(eventLoop, fd, mask, EV_ADD, AE_NONE, 0);
    }
    if (error) {
        change(eventLoop, fd, mask & ~former, EV_DELETE, AE_NONE, 0);
        errno = error;
        return -1;
    }
    if (forgotten) endRegistration(eventLoop, fd);
    return 0;
}

static void aeApiDelEvent(aeEventLoop *eventLoop, int fd, int mask) {
    change(eventLoop, fd, mask, EV_DELETE, AE_NONE, 0);
}

/* EV_EOF on a filter: returns whether both sides of fd are at their end. For the reading side it
 * may be that the peer has only shut down its sending side, which kqueue does not tell apart. */
static int isHangUp(const struct kevent *event) {
    if (event->flags & EV_ERROR || event->fflags || event->filter == EVFILT_WRITE) return 1;
    return pollNow((int)event->ident, AE_READABLE) == AE_BOTH;
}

/* What an event tells of an fd that is registered for `registered`. A side that has a filter of its
 * own reports for itself. */
static int meaningOf(const struct kevent *event, int registered) {
    int side = event->filter == EVFILT_WRITE ? AE_WRITABLE : AE_READABLE,
        others = AE_BOTH & ~registered;
    if (event->flags & (EV_EOF | EV_ERROR) && others && isHangUp(event)) return side | others;
    return side;
}

/* Puts the events of one fd together. What has been found of it so far is noted in its slot's mask,
 * in bits that mean nothing elsewhere. */
static int collect(aeEventLoop *eventLoop, const struct kevent *events, int count) {
    enum { NOTED = 16, NOTES = AE_BOTH * NOTED };
    int found = 0;
    for (int i = 0; i < count; i++) {
        int fd = (int)events[i].ident, *slotMask = &eventLoop->events[fd].mask;
        if (!(*slotMask & NOTES)) eventLoop->fired[found++].fd = fd;
        *slotMask |= meaningOf(&events[i], *slotMask) * NOTED;
    }
    for (int i = 0; i < found; i++) {
        int *slotMask = &eventLoop->events[eventLoop->fired[i].fd].mask;
        eventLoop->fired[i].mask = (*slotMask & NOTES) / NOTED;
        *slotMask &= ~NOTES;
    }
    return found;
}

ALWAYS_INLINE int aeApiPoll(aeEventLoop *eventLoop, struct timeval *timeout) {
    Poller *poller = eventLoop->apidata;
    struct timespec limit = {0, 0};
    if (timeout) {
        limit.tv_sec = timeout->tv_sec;
        limit.tv_nsec = timeout->tv_usec * 1000;
    }
    int ready = kevent(poller->fd, NULL, 0, poller->events, BATCH_SIZE, timeout ? &limit : NULL);
    if (ready == -1) {
        if (!isOwner(eventLoop))
            aeApiPanic("kqueue", "kevent in a forked child, which needs a loop of its own");
        if (errno != EINTR) aeApiPanic("kqueue", "kevent");
        return 0;
    }
    return collect(eventLoop, poller->events, ready);
}

static char *aeApiName(void) {
    return "kqueue";
}
