/* libae's backend for the BSDs and macOS: kqueue(2).
 *
 * The difficulties of kqueue, and what this file does about them:
 *
 * - Reading and writing are two filters (knotes), which are added, deleted and reported separately.
 *   This file combines the events of an fd, in whichever order they are reported.
 * - A call with several changes stops at the first failure, unless the list of results has room to
 *   report it. Here the list always has room, and each change is checked by itself.
 * - The kernel removes the knotes of an fd when it is closed, and the result of adding a knote does
 *   not show whether it existed. Therefore knotes that should exist are enabled: this fails with
 *   ENOENT if the fd was closed without deletion and its number was used again.
 * - EV_EOF is reported on one filter, where epoll would report EPOLLHUP for both sides. On
 *   EVFILT_READ it is also reported when the peer has only shut down its sending side.
 * - A child of fork(2) does not inherit the queue: in the child its number is free, and another
 *   file may get it.
 * - EV_SET may evaluate its first argument more than once. Here the argument has no side effects.
 * - udata is an integer on older NetBSD and a pointer elsewhere. Here it is set to 0, which fits
 *   both.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include <sys/types.h>

#include <sys/event.h>

/* On systems without EV_RECEIPT, the results of changes may also have events. They are ignored
 * here, and the next poll reports them again. */
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
    /* A child of fork(2) does not inherit the queue, so no child can have it before this call. */
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

/* Applies `firstAction` to the filters of the bits `first` and `secondAction` to those of `second`,
 * in one call. Returns 0, or the errno of the last change that failed. */
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
    int registered = eventLoop->events[fd].mask & AE_BOTH;
    int error = change(eventLoop, fd, registered, EV_ENABLE, mask, EV_ADD);
    int wasClosed = registered && error == ENOENT;
    if (wasClosed) {
        registered = AE_NONE;
        error = change(eventLoop, fd, mask, EV_ADD, AE_NONE, 0);
    }
    if (error) {
        change(eventLoop, fd, mask & ~registered, EV_DELETE, AE_NONE, 0);
        errno = error;
        return -1;
    }
    if (wasClosed) endRegistration(eventLoop, fd);
    return 0;
}

static void aeApiDelEvent(aeEventLoop *eventLoop, int fd, int mask) {
    change(eventLoop, fd, mask, EV_DELETE, AE_NONE, 0);
}

/* Returns whether an event with EV_EOF or EV_ERROR is a hang-up or an error of the fd. On
 * EVFILT_READ, EV_EOF may only mean that the peer has shut down its sending side: poll(2) decides.
 * It is not asked for POLLIN, because macOS would report POLLHUP for that end of input, too. It
 * refuses devices on macOS (POLLNVAL), whose end is a hang-up. */
static int isHangUp(const struct kevent *event) {
    if (event->flags & EV_ERROR || event->fflags || event->filter == EVFILT_WRITE) return 1;
    struct pollfd request = {(int)event->ident, POLLOUT, 0};
    return poll(&request, 1, 0) == 1 && request.revents & (POLLHUP | POLLERR | POLLNVAL);
}

/* Returns the bits that an event means for an fd with the registered bits `registered`. A hang-up
 * also sets the bit that has no filter; the other bit is reported by its own filter. */
static int meaningOf(const struct kevent *event, int registered) {
    int side = event->filter == EVFILT_WRITE ? AE_WRITABLE : AE_READABLE,
        others = AE_BOTH & ~registered;
    if (event->flags & (EV_EOF | EV_ERROR) && others && isHangUp(event)) return side | others;
    return side;
}

/* Combines the events of each fd into one entry of `fired`. In between, the bits found so far are
 * stored in the slot's mask, in bits that are used only here. */
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
