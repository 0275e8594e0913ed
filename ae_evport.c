/* libae's backend for Solaris and illumos: event ports, port_create(3C).
 *
 * The difficulties of event ports, and what this file does about them:
 *
 * - An association ends when its event is retrieved. Each fd that was retrieved is associated again
 *   before the next wait, with the bits that are registered then; it is not associated if it was
 *   deleted. By that time its handlers have read the input. An fd may be associated already,
 *   because a handler changed it: associating it again has no further effect.
 * - An event reports the state of an fd at an earlier moment, which may have changed. So the port
 *   reports which fds to check, and poll(2) reports what they are ready for.
 * - port_getn(3C) may fail with ETIME or EINTR although it has retrieved events; it may succeed
 *   without any; and some systems do not change the count when there are none. So the count is not
 *   used: an entry of `events` was filled if it has a source.
 * - A pipe that is empty and has no writer reports only POLLHUP. This counts as both bits;
 *   otherwise no handler would be called, and the loop would spin, as in the original.
 * - The number of associations in a port is limited. An fd that does not fit stays in `out`, and
 *   only poll(2) checks it, until the port has room again.
 * - Closing an fd ends its association. A later change of the association fails, which is ignored.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include <port.h>

typedef struct {
    int fd;
    int count;                       /* used entries of `out` */
    int room;                        /* allocated entries of `out` */
    port_event_t events[BATCH_SIZE]; /* between two calls none has a source */
    struct pollfd out[];             /* fds that were retrieved and are not associated */
} Poller;

static int aeApiCreate(aeEventLoop *eventLoop) {
    Poller *poller = allocate(sizeof(*poller) + BATCH_SIZE * sizeof(poller->out[0]));
    if (!poller) return -1;
    poller->count = 0;
    poller->room = BATCH_SIZE;
    memset(poller->events, 0, sizeof(poller->events));
    poller->fd = port_create();
    if (poller->fd == -1) {
        release(poller);
        return -1;
    }
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
    close(poller->fd);
    release(poller);
}

static int associate(aeEventLoop *eventLoop, int fd, int mask) {
    Poller *poller = eventLoop->apidata;
    int result =
        port_associate(poller->fd, PORT_SOURCE_FD, (uintptr_t)fd, pollEventsOf(mask), NULL);
    if (result == -1 && errno == EBADFD) errno = EBADF; /* as other systems report it */
    return result;
}

static int aeApiAddEvent(aeEventLoop *eventLoop, int fd, int mask) {
    return associate(eventLoop, fd, eventLoop->events[fd].mask | mask);
}

static void aeApiDelEvent(aeEventLoop *eventLoop, int fd, int mask) {
    Poller *poller = eventLoop->apidata;
    int left = eventLoop->events[fd].mask & ~mask & AE_BOTH;
    if (left)
        associate(eventLoop, fd, left);
    else
        port_dissociate(poller->fd, PORT_SOURCE_FD, (uintptr_t)fd);
}

static void takeOut(aeEventLoop *eventLoop, int fd) {
    Poller *poller = eventLoop->apidata;
    struct pollfd *out = &poller->out[poller->count++];
    out->fd = fd;
    out->events = pollEventsOf(eventLoop->events[fd].mask);
    out->revents = 0;
}

/* Associates the fds in `out` again. An fd for which the port has no room stays in `out`. */
static void putBack(aeEventLoop *eventLoop) {
    Poller *poller = eventLoop->apidata;
    int count = poller->count;
    poller->count = 0;
    for (int i = 0; i < count; i++) {
        int fd = poller->out[i].fd, mask = eventLoop->events[fd].mask;
        if (mask == AE_NONE || associate(eventLoop, fd, mask) == 0) continue;
        if (errno != EAGAIN && errno != ENOMEM) continue;
        port_dissociate(poller->fd, PORT_SOURCE_FD, (uintptr_t)fd); /* ends an old association */
        takeOut(eventLoop, fd);
    }
}

/* Makes room in `out` for another BATCH_SIZE fds. If there is no memory, the room stays smaller. */
NOINLINE void growOut(aeEventLoop *eventLoop) {
    Poller *poller = eventLoop->apidata;
    int room = poller->count + BATCH_SIZE;
    poller = resizeArray(poller, 1, sizeof(*poller) + (size_t)room * sizeof(poller->out[0]));
    if (!poller) return;
    poller->room = room;
    eventLoop->apidata = poller;
}

/* Waits, and moves the fds that have events to `out`, as many as there is room for. */
static void takeOutReady(aeEventLoop *eventLoop, const struct timeval *timeout) {
    Poller *poller = eventLoop->apidata;
    struct timespec limit = {0, 0};
    if (timeout) {
        limit.tv_sec = timeout->tv_sec;
        limit.tv_nsec = timeout->tv_usec * 1000;
    }
    int left = poller->room - poller->count, batch = left < BATCH_SIZE ? left : BATCH_SIZE;
    unsigned count = 1;
    int result =
        port_getn(poller->fd, poller->events, (unsigned)batch, &count, timeout ? &limit : NULL);
    if (result == -1 && errno != ETIME && errno != EINTR) aeApiPanic("evport", "port_getn");
    for (int i = 0; i < batch && poller->events[i].portev_source; i++) {
        poller->events[i].portev_source = 0;
        takeOut(eventLoop, (int)poller->events[i].portev_object);
    }
}

ALWAYS_INLINE int aeApiPoll(aeEventLoop *eventLoop, struct timeval *timeout) {
    Poller *poller = eventLoop->apidata;
    struct timeval soon = {0, 0};
    int found = 0, wait = 0;
    putBack(eventLoop);
    if (poller->count > 0) { /* the port does not watch the fds in `out` */
        int ready = poll(poller->out, (nfds_t)poller->count, 0);
        soon.tv_usec = ready > 0 ? 0 : 10000;
        if (!timeout || timeout->tv_sec > 0 || timeout->tv_usec > soon.tv_usec) timeout = &soon;
        wait = (int)(timeout->tv_usec + 999) / 1000;
    }
    if (poller->room - poller->count < BATCH_SIZE) growOut(eventLoop);
    poller = eventLoop->apidata;        /* it may have moved */
    if (poller->room > poller->count) { /* without room, port_getn would not wait */
        takeOutReady(eventLoop, timeout);
        wait = 0;
    }
    if (poller->count > 0) poll(poller->out, (nfds_t)poller->count, wait);
    for (int i = 0; i < poller->count; i++) {
        int mask = readinessOf(poller->out[i].revents);
        if (mask == AE_NONE) continue;
        eventLoop->fired[found].fd = poller->out[i].fd;
        eventLoop->fired[found].mask = mask;
        found++;
    }
    return found;
}

static char *aeApiName(void) {
    return "evport";
}
