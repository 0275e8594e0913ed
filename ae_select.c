/* libae's backend for any system: select(2).
 *
 * The difficulties of select, and what this file does about them:
 *
 * - A set has no room for fds of FD_SETSIZE and more, and FD_SET would write beyond it. Registering
 *   such an fd fails with ERANGE.
 * - Each call scans all fds up to the highest one. This cannot be avoided.
 * - One fd that was closed without deletion makes the whole call fail (EBADF). Such fds are found
 *   and removed from the sets. When such a number is registered again, its slot still has the bits
 *   of the closed file, which the sets do not have: they are removed from the slot.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include <sys/select.h>

typedef struct {
    fd_set readable; /* the registered fds */
    fd_set writable;
    fd_set readableNow; /* the result of select */
    fd_set writableNow;
} Poller;

static int aeApiCreate(aeEventLoop *eventLoop) {
    Poller *poller = allocate(sizeof(*poller));
    if (!poller) return -1;
    FD_ZERO(&poller->readable);
    FD_ZERO(&poller->writable);
    eventLoop->apidata = poller;
    return 0;
}

static int aeApiResize(aeEventLoop *eventLoop, int setsize) {
    AE_NOTUSED(eventLoop);
    if (setsize <= (int)FD_SETSIZE) return 0;
    errno = ERANGE;
    return -1;
}

static void aeApiFree(aeEventLoop *eventLoop) {
    release(eventLoop->apidata);
}

static int aeApiAddEvent(aeEventLoop *eventLoop, int fd, int mask) {
    Poller *poller = eventLoop->apidata;
    if (fd >= (int)FD_SETSIZE) { /* unsigned on FreeBSD 10 */
        errno = ERANGE;
        return -1;
    }
    if (fcntl(fd, F_GETFD) == -1) return -1;
    int isKnown = FD_ISSET(fd, &poller->readable) || FD_ISSET(fd, &poller->writable);
    if (!isKnown) endRegistration(eventLoop, fd);
    if (mask & AE_READABLE) FD_SET(fd, &poller->readable);
    if (mask & AE_WRITABLE) FD_SET(fd, &poller->writable);
    return 0;
}

static void aeApiDelEvent(aeEventLoop *eventLoop, int fd, int mask) {
    Poller *poller = eventLoop->apidata;
    if (mask & AE_READABLE) FD_CLR(fd, &poller->readable);
    if (mask & AE_WRITABLE) FD_CLR(fd, &poller->writable);
}

static int dropClosedFds(aeEventLoop *eventLoop) {
    Poller *poller = eventLoop->apidata;
    int dropped = 0;
    for (int fd = 0; fd <= eventLoop->maxfd; fd++) {
        if (!FD_ISSET(fd, &poller->readable) && !FD_ISSET(fd, &poller->writable)) continue;
        if (fcntl(fd, F_GETFD) != -1) continue;
        FD_CLR(fd, &poller->readable);
        FD_CLR(fd, &poller->writable);
        dropped++;
    }
    return dropped;
}

/* select(2) may change its timeout argument, so each attempt gets a copy. */
static int waitForEvents(aeEventLoop *eventLoop, struct timeval *timeout) {
    Poller *poller = eventLoop->apidata;
    struct timeval limit = {0, 0};
    if (timeout) limit = *timeout;
    poller->readableNow = poller->readable;
    poller->writableNow = poller->writable;
    return select(eventLoop->maxfd + 1, &poller->readableNow, &poller->writableNow, NULL,
                  timeout ? &limit : NULL);
}

ALWAYS_INLINE int aeApiPoll(aeEventLoop *eventLoop, struct timeval *timeout) {
    Poller *poller = eventLoop->apidata;
    int ready;
    do {
        ready = waitForEvents(eventLoop, timeout);
    } while (ready == -1 && errno == EBADF && dropClosedFds(eventLoop) > 0);
    if (ready == -1) {
        if (errno != EINTR) aeApiPanic("select", "select");
        return 0;
    }
    int found = 0;
    for (int fd = 0; ready > 0; fd++) {
        int mask = AE_NONE;
        if (FD_ISSET(fd, &poller->readableNow)) mask |= AE_READABLE, ready--;
        if (FD_ISSET(fd, &poller->writableNow)) mask |= AE_WRITABLE, ready--;
        if (mask == AE_NONE) continue;
        eventLoop->fired[found].fd = fd;
        eventLoop->fired[found].mask = mask;
        found++;
    }
    return found;
}

static char *aeApiName(void) {
    return "select";
}
