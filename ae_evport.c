/* libae's backend for Solaris and illumos: event ports, port_create(3C).
 *
 * What event ports do awkwardly, and what is done about it:
 *
 * - An association is good for one event. Each fd that was retrieved is associated again before the
 *   next wait, with what it is registered for by then: nothing, if it was deleted meanwhile. Its
 *   handlers have read what there was by then; and to associate an fd that has been associated
 *   already (since a handler changed it) does no harm.
 * - The condition reported is a snapshot of the moment at which it came true, and may have passed.
 *   So the port tells which fds to look at, and poll(2) what they are ready for.
 * - port_getn(3C) may fail with ETIME or EINTR and yet have retrieved events; it may succeed with
 *   none; and some systems leave the count as it was when there are none. So the count is not
 *   looked at: an entry of `events` was filled if it has a source.
 * - An empty pipe at its end reports POLLHUP alone, which no handler waits for: it counts as both
 *   (the original would spin).
 * - A port takes so many associations and no more. What finds it full stays out of it, and poll(2)
 *   alone looks after it until there is room again.
 * - Closing an fd ends its association. Changing it afterwards fails, harmlessly.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include <port.h>

typedef struct {
    int fd;
    int count;                       /* so many of `out` were retrieved, and not associated since */
    int room;                        /* and so many there may be */
    port_event_t events[BATCH_SIZE]; /* between two calls none has a source */
    struct pollfd out[];
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
    if (result == -1 && errno == EBADFD) errno = EBADF; /* what everyone else calls it */
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

/* Associates again what was retrieved. What the port has no room for stays out of it. */
static void putBack(aeEventLoop *eventLoop) {
    Poller *poller = eventLoop->apidata;
    int count = poller->count;
    poller->count = 0;
    for (int i = 0; i < count; i++) {
        int fd = poller->out[i].fd, mask = eventLoop->events[fd].mask;
        if (mask == AE_NONE || associate(eventLoop, fd, mask) == 0) continue;
        if (errno != EAGAIN && errno != ENOMEM) continue;
        port_dissociate(poller->fd, PORT_SOURCE_FD, (uintptr_t)fd); /* lest it be in and out */
        takeOut(eventLoop, fd);
    }
}

/* Makes room to take out another batch. Without memory for it there is less, or none. */
NOINLINE void growOut(aeEventLoop *eventLoop) {
    Poller *poller = eventLoop->apidata;
    int room = poller->count + BATCH_SIZE;
    poller = resizeArray(poller, 1, sizeof(*poller) + (size_t)room * sizeof(poller->out[0]));
    if (!poller) return;
    poller->room = room;
    eventLoop->apidata = poller;
}

/* Waits, and takes out the fds that something happened to, as far as there is room. */
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
    if (poller->count > 0) { /* the port knows nothing of what stays out of it */
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
