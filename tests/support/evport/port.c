/* An emulation of port_create(3C), port_associate(3C) and port_get(3C) of illumos on Linux, for
 * file descriptors only.
 *
 * The real kernel                                  This emulation
 * ------------------------------------------------ -----------------------------------------------
 * One association per fd. To associate again       A table indexed by fd. The queued event, if any,
 * replaces events and user, and reports a          is dropped and the fd checked again.
 * condition that already holds.
 * An event is queued when its condition becomes    At these moments: when an fd is associated; for
 * true. It is a snapshot: it is retrieved even if  all fds, by poll(2), in port_get, port_getn and
 * the condition no longer holds.                   portEmulationNotice. A condition that holds only
 *                                                  between two of them is missed.
 * Retrieving the event ends the association.       The same. Without an event it does not end, and
 * Until then there is no second event.             a condition does not change a queued event.
 * Closing the fd ends it and drops its event.      fdwatch reports every close before it happens.
 * port_getn waits until *nget events are queued,   The same. The events found stay queued until the
 * then retrieves up to max, first in first out.    waiting is over.
 * After a timeout it retrieves the queued events   The same. A zero timeout is no timeout unless
 * with ETIME. Some releases do not change *nget    portEmulationZeroTimeoutIsEtime; *nget is 0
 * if there are none.                               without events unless portEmulationLeavesCount.
 * A signal ends a wait with EINTR; *nget, list     Signals are blocked except in the ppoll(2) that
 * and queue do not change. Some releases retrieve  sleeps. portEmulationInterruptRetrieval makes a
 * events and return EINTR.                         call do that.
 * POLLHUP, POLLERR are reported without request;   As with Linux's poll: POLLHUP alone for an empty
 * regular files are always ready.                  pipe at end of file.
 *
 * EMULATED_SYSTEM in the environment selects the habits of "illumos" (the default) or "solaris":
 *
 * - With a zero timeout and no event, port_getn returns 0 with *nget 0 (illumos), or -1 with ETIME
 *   (solaris). port_get(3C) allows both.
 * - Without events, *nget becomes 0 (illumos) or does not change (solaris: "nget is updated with
 * the number of returned structures" in port_get(3C) does not say what it is without any).
 * - Each port_getn that retrieves events returns 0 (illumos), or -1 with EINTR (solaris). No
 *   manual page says so; libraries for event loops expect it of some release.
 *
 * Which release has which habit is not known here; "solaris" combines those that make it difficult.
 *
 * The port's own fd is an eventfd, by which a change in one thread wakes a sleeper in another. Like
 * a real port it is inherited by exec unless FD_CLOEXEC is set.
 *
 * Differences: a duplicate of the port's fd is no port, and the fd is never reported ready to
 * poll(2). After a fork parent and child each have their own port with the same associations. Of
 * two threads that wait on one port, one may wake late.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */

#define _GNU_SOURCE

#include <port.h>

#include "../fdwatch.h"
#include "port_emulation.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct association {
    bool there;
    bool queued;
    int events;
    int happened; /* Once queued: the events to report. */
    void *user;
    int before, after; /* Once queued: fds of its neighbours in the queue, -1 at the ends. */
};

struct port {
    int fd;
    unsigned long serial;
    int sleepers;
    struct association *associations; /* By fd. */
    int room;
    unsigned count, queued; /* The count includes the queued ones. */
    int first, last;        /* Of the queue; -1 if empty. */
    struct port *next;
};

static struct port *ports;
static unsigned long serials;

static struct {
    bool zeroTimeoutIsEtime, leavesCount;
    bool interruptsAll;          /* Each retrieval. */
    bool interrupts, countStays; /* The next one. */
    unsigned limit;
    int failAssociate;
    unsigned long calls;
} emulation;

static int fail(int error) {
    errno = error;
    return -1;
}

/// Ports ///

static struct port *findPort(int fd) {
    struct port *port = ports;
    while (port != NULL && port->fd != fd) port = port->next;
    if (port == NULL) errno = fcntl(fd, F_GETFD) == -1 ? EBADF : EBADFD;
    return port;
}

static void wakeSleepers(const struct port *port) {
    if (port->sleepers > 0) (void)!write(port->fd, &(uint64_t){1}, sizeof(uint64_t));
}

static void enqueue(struct port *port, int fd, int happened) {
    struct association *association = &port->associations[fd];
    association->queued = true;
    association->happened = happened;
    association->before = port->last;
    association->after = -1;
    if (port->last == -1)
        port->first = fd;
    else
        port->associations[port->last].after = fd;
    port->last = fd;
    port->queued++;
}

static void dequeue(struct port *port, struct association *association) {
    if (association->before == -1)
        port->first = association->after;
    else
        port->associations[association->before].after = association->after;
    if (association->after == -1)
        port->last = association->before;
    else
        port->associations[association->after].before = association->before;
    association->queued = false;
    port->queued--;
}

static struct association *findAssociation(struct port *port, uintptr_t object) {
    if (object >= (uintptr_t)port->room || !port->associations[object].there) return NULL;
    return &port->associations[object];
}

static void dissociate(struct port *port, struct association *association) {
    if (association->queued) dequeue(port, association);
    association->there = false;
    port->count--;
}

static void closing(int first, int last) {
    struct port **link = &ports;
    while (*link != NULL) {
        struct port *port = *link;
        if (first <= port->fd && port->fd <= last) {
            wakeSleepers(port);
            *link = port->next;
            free(port->associations);
            free(port);
            continue;
        }
        for (int fd = first; fd <= last && fd < port->room; fd++) {
            struct association *association = findAssociation(port, (uintptr_t)fd);
            if (association != NULL) dissociate(port, association);
        }
        link = &port->next;
    }
}

/* The sleeping threads are in the parent only. */
static void forked(void) {
    for (struct port *port = ports; port != NULL; port = port->next) port->sleepers = 0;
}

int port_create(void) {
    struct port *port = calloc(1, sizeof(*port));
    if (port == NULL) return fail(ENOMEM);
    fdwatchRegister(closing, forked);

    sigset_t mask;
    fdwatchEnter(&mask);
    int fd = port->fd = eventfd(0, EFD_NONBLOCK);
    if (fd == -1) {
        free(port);
    } else {
        port->serial = ++serials;
        port->first = port->last = -1;
        port->next = ports;
        ports = port;
    }
    fdwatchLeave(&mask);
    return fd;
}

/// Noticing ///

/* Fills the set with the associated fds that have no event yet. The first entry is the port itself:
 * it only ends a sleep, after a change in another thread. */
static nfds_t fillPollSet(const struct port *port, struct pollfd *set) {
    nfds_t count = 0;
    set[count++] = (struct pollfd){.fd = port->fd, .events = POLLIN};
    for (int fd = 0; fd < port->room; fd++) {
        const struct association *association = &port->associations[fd];
        if (!association->there || association->queued) continue;
        set[count++] = (struct pollfd){.fd = fd, .events = (short)association->events};
    }
    return count;
}

/* Polls the set, queues an event for every condition that holds, and removes those fds from it. */
static int noticeSet(struct port *port, struct pollfd *set, nfds_t count) {
    if (poll(set, count, 0) == -1) return -1;
    if (set[0].revents) (void)!read(port->fd, &(uint64_t){0}, sizeof(uint64_t));
    for (nfds_t i = 1; i < count; i++) {
        if (set[i].revents == 0) continue;
        if (set[i].revents & POLLNVAL) { /* Closed where fdwatch does not see it. */
            dissociate(port, &port->associations[set[i].fd]);
        } else {
            enqueue(port, set[i].fd, set[i].revents);
        }
        set[i].fd = -1;
    }
    return 0;
}

/* Returns as fdwatchSleep does; also -1 if another thread has closed the port. */
static int sleepOn(struct port *port, struct pollfd *set, nfds_t count, int64_t deadline,
                   const sigset_t *callersMask) {
    int fd = port->fd;
    unsigned long serial = port->serial;
    port->sleepers++;
    int awake = fdwatchSleep(set, count, deadline, callersMask);
    int error = errno;
    port = findPort(fd);
    if (port == NULL || port->serial != serial) return fail(EBADFD);
    port->sleepers--;
    errno = error;
    return awake;
}

/* Waits until that many events are queued or the timeout is over, and returns 0. On failure it
 * returns -1 with errno. */
static int waitForEvents(struct port *port, unsigned wanted, int64_t deadline,
                         const sigset_t *callersMask) {
    int awake;
    do {
        struct pollfd *set = malloc((1 + (size_t)port->room) * sizeof(*set));
        if (set == NULL) return fail(ENOMEM);
        nfds_t count = fillPollSet(port, set);
        awake = noticeSet(port, set, count);
        if (awake == 0 && port->queued < wanted) {
            awake = sleepOn(port, set, count, deadline, callersMask);
        }
        free(set);
    } while (awake == 1);
    return awake;
}

/// Associations ///

static int makeRoom(struct port *port, int fd) {
    if (fd < port->room) return 0;
    int room = fd < 64 ? 64 : 2 * fd;
    struct association *associations =
        realloc(port->associations, (size_t)room * sizeof(*associations));
    if (associations == NULL) return fail(ENOMEM);
    memset(associations + port->room, 0, (size_t)(room - port->room) * sizeof(*associations));
    port->associations = associations;
    port->room = room;
    return 0;
}

/* Returns the port, if both its number and the object are valid. */
static struct port *checkArguments(int fd, int source, uintptr_t object) {
    emulation.calls++;
    struct port *port = findPort(fd);
    if (port == NULL) return NULL;
    if (source != PORT_SOURCE_FD)
        errno = EINVAL;
    else if (object > INT_MAX || fcntl((int)object, F_GETFD) == -1)
        errno = EBADFD;
    else
        return port;
    return NULL;
}

static int lockedAssociate(int portfd, int source, uintptr_t object, int events, void *user) {
    struct port *port = checkArguments(portfd, source, object);
    if (port == NULL) return -1;
    if (emulation.failAssociate != 0) {
        int error = emulation.failAssociate;
        emulation.failAssociate = 0;
        return fail(error);
    }
    int fd = (int)object;
    if (makeRoom(port, fd) == -1) return -1;
    struct association *association = findAssociation(port, object);
    if (association != NULL)
        dissociate(port, association);
    else if (emulation.limit != 0 && port->count >= emulation.limit)
        return fail(EAGAIN);

    port->associations[fd] = (struct association){.there = true, .events = events, .user = user};
    port->count++;
    struct pollfd one = {.fd = fd, .events = (short)events};
    if (poll(&one, 1, 0) == 1) enqueue(port, fd, one.revents);
    wakeSleepers(port);
    return 0;
}

int port_associate(int port, int source, uintptr_t object, int events, void *user) {
    sigset_t mask;
    fdwatchEnter(&mask);
    int result = lockedAssociate(port, source, object, events, user);
    fdwatchLeave(&mask);
    return result;
}

int port_dissociate(int portfd, int source, uintptr_t object) {
    sigset_t mask;
    fdwatchEnter(&mask);
    struct port *port = checkArguments(portfd, source, object);
    struct association *association = port == NULL ? NULL : findAssociation(port, object);
    int result = 0;
    if (association != NULL)
        dissociate(port, association);
    else
        result = port == NULL ? -1 : fail(ENOENT);
    fdwatchLeave(&mask);
    return result;
}

/// Retrieving ///

static void retrieve(struct port *port, port_event_t *event) {
    int fd = port->first;
    struct association *association = &port->associations[fd];
    *event = (port_event_t){
        .portev_events = association->happened,
        .portev_source = PORT_SOURCE_FD,
        .portev_object = (uintptr_t)fd,
        .portev_user = association->user,
    };
    dissociate(port, association);
}

static int lockedGetn(int portfd, port_event_t list[], unsigned max, unsigned *nget,
                      const struct timespec *timeout, const sigset_t *callersMask) {
    emulation.calls++;
    if (!fdwatchTimeoutValid(timeout)) return fail(EINVAL);
    bool mayWait = timeout == NULL || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
    int64_t deadline = fdwatchDeadline(timeout);
    struct port *port = findPort(portfd);
    if (port == NULL) return -1;
    if (max == 0) {
        if (waitForEvents(port, 0, 0, callersMask) == -1) return -1;
        *nget = port->queued;
        return 0;
    }
    if (list == NULL) return fail(EFAULT);
    if (*nget > max) return fail(EINVAL);
    if (*nget == 0) return 0;

    if (waitForEvents(port, *nget, deadline, callersMask) == -1) return -1;
    bool enough = port->queued >= *nget;
    unsigned count = 0;
    for (; count < max && port->queued > 0; count++) retrieve(port, &list[count]);
    bool interrupts = (emulation.interrupts || emulation.interruptsAll) && count > 0;
    if (interrupts) emulation.interrupts = false;
    if (count > 0 ? !(interrupts && emulation.countStays) : !emulation.leavesCount) *nget = count;
    if (interrupts) return fail(EINTR);
    if (enough || !(mayWait || emulation.zeroTimeoutIsEtime)) return 0;
    return fail(ETIME);
}

int port_getn(int port, port_event_t list[], unsigned max, unsigned *nget,
              struct timespec *timeout) {
    if (nget == NULL) return fail(EINVAL);
    sigset_t mask;
    fdwatchEnter(&mask);
    int result = lockedGetn(port, list, max, nget, timeout, &mask);
    fdwatchLeave(&mask);
    return result;
}

int port_get(int port, port_event_t *event, struct timespec *timeout) {
    unsigned got = 1;
    int result = port_getn(port, event, 1, &got, timeout);
    /* Here a zero timeout returns ETIME on every release. */
    return result == 0 && got == 0 ? fail(ETIME) : result;
}

/// For tests ///

void portEmulationReset(void) {
    const char *system = getenv("EMULATED_SYSTEM");
    bool isSolaris = system != NULL && strcmp(system, "solaris") == 0;
    if (!isSolaris && system != NULL && system[0] != '\0' && strcmp(system, "illumos") != 0) {
        fprintf(stderr, "EMULATED_SYSTEM=%s: the emulation knows no such system\n", system);
        abort();
    }
    memset(&emulation, 0, sizeof(emulation));
    emulation.zeroTimeoutIsEtime = emulation.leavesCount = emulation.interruptsAll = isSolaris;
}

__attribute__((constructor)) static void chooseSystem(void) {
    portEmulationReset();
}

void portEmulationZeroTimeoutIsEtime(bool etime) {
    emulation.zeroTimeoutIsEtime = etime;
}

void portEmulationLeavesCount(bool leaves) {
    emulation.leavesCount = leaves;
}

void portEmulationInterruptRetrieval(bool countStays) {
    emulation.interrupts = true;
    emulation.countStays = countStays;
}

void portEmulationLimit(unsigned associations) {
    emulation.limit = associations;
}

void portEmulationFailAssociate(int error) {
    emulation.failAssociate = error;
}

unsigned long portEmulationCalls(void) {
    return emulation.calls;
}

void portEmulationNotice(int portfd) {
    sigset_t mask;
    fdwatchEnter(&mask);
    struct port *port = findPort(portfd);
    if (port != NULL) waitForEvents(port, 0, 0, &mask);
    fdwatchLeave(&mask);
}

int portEmulationSleepers(int portfd) {
    sigset_t mask;
    fdwatchEnter(&mask);
    const struct port *port = findPort(portfd);
    int sleepers = port == NULL ? 0 : port->sleepers;
    fdwatchLeave(&mask);
    return sleepers;
}

int portEmulationAssociated(int portfd, int fd) {
    sigset_t mask;
    fdwatchEnter(&mask);
    struct port *port = findPort(portfd);
    struct association *association = port == NULL ? NULL : findAssociation(port, (uintptr_t)fd);
    int events = association == NULL ? -1 : association->events;
    fdwatchLeave(&mask);
    return events;
}
