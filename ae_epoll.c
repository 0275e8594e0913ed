/* libae's backend for Linux: epoll(7).
 *
 * The difficulties of epoll, and what this file does about them:
 *
 * - epoll_wait counts in milliseconds. epoll_pwait2 counts in nanoseconds, but needs Linux 5.11 and
 *   glibc 2.35, and some sandboxes refuse unknown system calls. After the first refusal this loop
 *   uses epoll_wait, with timeouts rounded up.
 * - The kernel delays the end of a wait that times out, so that it can end several waits at once:
 *   by the thread's timer slack, which is 50 microseconds by default (PR_SET_TIMERSLACK in
 *   prctl(2)), or by a thousandth of the wait if that is more. epoll_pwait2 is called with a
 *   timeout that is shorter by this delay. The wait may then end too early, most likely a long
 *   wait on a busy processor: then a second call waits for the rest. (A thread with a positive
 *   nice value is delayed by five thousandths; the other four are not corrected.)
 * - Adding an fd and changing it are two operations. The kernel removes a file from the set when
 *   its last fd is closed. If a registered fd was closed without deletion and its number was used
 *   again, the change fails with ENOENT, and the fd is added. If an fd is added that the set still
 *   has, the call fails with EEXIST, and the fd is changed.
 * - The set contains files, not fds. The kernel reports a closed file as long as a copy of it is
 *   open: a dup, or the fd of a forked child. Such a file, here called a ghost, cannot be deleted,
 *   because its number does not refer to it any more. Its events go to the handlers of the old
 *   registration, until that is deleted or the number is registered again. After that its events
 *   are discarded, but would wake the loop each time. Therefore each event carries the fd and its
 *   registration (see "File events"); when an event does not match, the set is built again, without
 *   the ghosts. Such events exist only after epoll_ctl has failed on a registered fd: before that
 *   no event is checked.
 * - The kernel refuses regular files, which are always ready: the caller gets EPERM.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include <sys/epoll.h>

#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 35)
#define AE_EPOLL_PWAIT2
#include <sys/prctl.h>
#endif
#endif

typedef struct {
    int fd;
    int wholeMilliseconds; /* epoll_pwait2 was refused */
    int mayHaveGhosts;     /* epoll_ctl has failed on a registered fd */
    uint64_t rebuildsFrom; /* after a failed rebuild: the earliest time of the next attempt */
    int slack;             /* in microseconds; negative: timeouts are not shortened */
    struct epoll_event events[BATCH_SIZE];
} Poller;

enum { USUAL_SLACK = 50, MOST_DELAY = 100000, GHOST_SLEEP = 10000 }; /* in microseconds */

/* Returns the slack of the thread that creates the loop, or -1 if timeouts are not to be shortened:
 * a program that has set a larger slack accepts late waits, and the waits of a thread without slack
 * (for example a real-time thread) are not late. */
static int timerSlack(void) {
#ifdef AE_EPOLL_PWAIT2
    int nanoseconds = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    if (nanoseconds > 0 && nanoseconds <= USUAL_SLACK * 1000) return nanoseconds / 1000;
#endif
    return -1;
}

static int aeApiCreate(aeEventLoop *eventLoop) {
    Poller *poller = allocate(sizeof(*poller));
    if (!poller) return -1;
    poller->wholeMilliseconds = 0;
    poller->mayHaveGhosts = 0;
    poller->rebuildsFrom = 0;
    poller->slack = timerSlack();
    poller->fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->fd == -1) {
        release(poller);
        return -1;
    }
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

/* Each event of the kernel carries the fd and its registration. */
ALWAYS_INLINE int watch(int set, int operation, int fd, int mask, unsigned registration) {
    static const uint32_t interest[] = {0, EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT};
    struct epoll_event event = {.events = interest[mask & AE_BOTH], .data.fd = fd};
    memcpy((char *)&event.data + sizeof(fd), &registration, sizeof(registration));
    return epoll_ctl(set, operation, fd, &event);
}

static unsigned registrationOf(const struct epoll_event *event) {
    unsigned registration;
    memcpy(&registration, (const char *)&event->data + sizeof(int), sizeof(registration));
    return registration;
}

/* Adding an fd has failed because the set has the file (EEXIST), or changing it has failed because
 * the set does not have the file (ENOENT). */
NOINLINE int watchAgain(aeEventLoop *eventLoop, int fd, int mask) {
    Poller *poller = eventLoop->apidata;
    unsigned next = eventLoop->ended + 1;
    if (errno == EEXIST)
        return watch(poller->fd, EPOLL_CTL_MOD, fd, mask, eventLoop->events[fd].registration);
    if (errno != ENOENT || watch(poller->fd, EPOLL_CTL_ADD, fd, mask, next) == -1) return -1;
    endRegistration(eventLoop, fd);
    poller->mayHaveGhosts = 1;
    return 0;
}

static int aeApiAddEvent(aeEventLoop *eventLoop, int fd, int mask) {
    Poller *poller = eventLoop->apidata;
    aeFileEvent *slot = &eventLoop->events[fd];
    int operation = slot->mask ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (watch(poller->fd, operation, fd, slot->mask | mask, slot->registration) == 0) return 0;
    return watchAgain(eventLoop, fd, mask);
}

static void aeApiDelEvent(aeEventLoop *eventLoop, int fd, int mask) {
    Poller *poller = eventLoop->apidata;
    const aeFileEvent *slot = &eventLoop->events[fd];
    int left = slot->mask & ~mask & AE_BOTH, operation = left ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    if (watch(poller->fd, operation, fd, left, slot->registration)) poller->mayHaveGhosts = 1;
}

#ifdef AE_EPOLL_PWAIT2
/* epoll_pwait2 failed: returns whether to use epoll_wait from now on. A sandbox may refuse a call
 * with any errno. If there is another reason for the error, epoll_wait fails as well. */
NOINLINE int isRefused(Poller *poller) {
    if (errno != EINTR) poller->wholeMilliseconds = 1;
    return poller->wholeMilliseconds;
}

ALWAYS_INLINE int waitMicroseconds(Poller *poller, uint64_t microseconds) {
    struct timespec limit = {(time_t)(microseconds / 1000000),
                             (long)(microseconds % 1000000) * 1000};
    return epoll_pwait2(poller->fd, poller->events, BATCH_SIZE, &limit, NULL);
}

/* Returns by how much the kernel will delay the end of a wait. The timeout is shortened by it. */
ALWAYS_INLINE uint64_t delayOf(const Poller *poller, uint64_t wait) {
    if (poller->slack < 0) return 0;
    uint64_t delay = wait / 1000, slack = (uint64_t)poller->slack;
    if (delay > MOST_DELAY) delay = MOST_DELAY;
    if (delay < slack) delay = slack;
    return delay < wait ? delay : 0;
}

/* A shortened wait has timed out: waits for the rest, if there is any. If this call is refused, the
 * next iteration waits for the rest with epoll_wait. */
NOINLINE int waitForTheRest(aeEventLoop *eventLoop) {
    uint64_t now = monotonicNow(0);
    if (now >= eventLoop->waitsUntil) return 0;
    int ready = waitMicroseconds(eventLoop->apidata, eventLoop->waitsUntil - now);
    if (ready != -1) return ready;
    isRefused(eventLoop->apidata);
    return 0;
}
#endif

ALWAYS_INLINE int waitAtMost(aeEventLoop *eventLoop, const struct timeval *timeout) {
    Poller *poller = eventLoop->apidata;
#ifdef AE_EPOLL_PWAIT2
    if (!poller->wholeMilliseconds && (timeout->tv_sec || timeout->tv_usec)) {
        uint64_t limit = (uint64_t)timeout->tv_sec * 1000000 + (uint64_t)timeout->tv_usec;
        uint64_t delay = delayOf(poller, limit);
        int ready = waitMicroseconds(poller, limit - delay);
        if (ready == 0 && delay) return waitForTheRest(eventLoop);
        if (ready != -1) return ready;
        if (!isRefused(poller)) return 0;
    }
#endif
    int milliseconds = (int)(timeout->tv_sec * 1000 + (timeout->tv_usec + 999) / 1000);
    return epoll_wait(poller->fd, poller->events, BATCH_SIZE, milliseconds);
}

/* A table translates the lowest five bits of an event: EPOLLIN, EPOLLPRI, EPOLLOUT, EPOLLERR and
 * EPOLLHUP. This is done for each event. */
#define MEANING(e)                                               \
    (((EPOLLIN | EPOLLERR | EPOLLHUP) & (e) ? AE_READABLE : 0) | \
     ((EPOLLOUT | EPOLLERR | EPOLLHUP) & (e) ? AE_WRITABLE : 0))
#define MEANINGS_OF_4(e) MEANING(e), MEANING((e) + 1), MEANING((e) + 2), MEANING((e) + 3)
static const int meanings[32] = {MEANINGS_OF_4(0),  MEANINGS_OF_4(4),  MEANINGS_OF_4(8),
                                 MEANINGS_OF_4(12), MEANINGS_OF_4(16), MEANINGS_OF_4(20),
                                 MEANINGS_OF_4(24), MEANINGS_OF_4(28)};

ALWAYS_INLINE int pollSet(aeEventLoop *eventLoop, struct timeval *timeout) {
    Poller *poller = eventLoop->apidata;
    int ready = timeout ? waitAtMost(eventLoop, timeout)
                        : epoll_wait(poller->fd, poller->events, BATCH_SIZE, -1);
    if (ready < 0) {
        if (errno != EINTR) aeApiPanic("epoll", "epoll_wait");
        return 0;
    }
    for (int i = 0; i < ready; i++) {
        eventLoop->fired[i].fd = poller->events[i].data.fd;
        eventLoop->fired[i].mask = meanings[poller->events[i].events & 31];
    }
    return ready;
}

/* Copies a registration from the old set into the new one. An fd that the old set does not have was
 * closed, and is left out: its number may now belong to another file, which is not registered. */
static int copyInto(aeEventLoop *eventLoop, int set, int fd) {
    const Poller *poller = eventLoop->apidata;
    const aeFileEvent *slot = &eventLoop->events[fd];
    if (watch(poller->fd, EPOLL_CTL_MOD, fd, slot->mask, slot->registration))
        return errno == ENOMEM || errno == ENOSPC ? -1 : 0;
    return watch(set, EPOLL_CTL_ADD, fd, slot->mask, slot->registration);
}

/* Builds the set again, without ghosts, and keeps its fd number. On failure it returns -1, and the
 * old set stays in use. */
static int rebuild(aeEventLoop *eventLoop) {
    Poller *poller = eventLoop->apidata;
    int set = epoll_create1(EPOLL_CLOEXEC), failed = 0;
    if (set == -1) return -1;
    for (int fd = 0; fd <= eventLoop->maxfd && !failed; fd++)
        if (eventLoop->events[fd].mask) failed = copyInto(eventLoop, set, fd);
    if (!failed && dup3(set, poller->fd, O_CLOEXEC) == -1) failed = -1;
    close(set);
    if (!failed) poller->mayHaveGhosts = 0;
    return failed;
}

/* Only ghosts are ready, and the set cannot be built again yet, so each wait would end at once.
 * This sleeps instead, but not longer than the timeout. */
static void sleepAmongGhosts(aeEventLoop *eventLoop, const struct timeval *timeout, uint64_t now) {
    uint64_t left = GHOST_SLEEP;
    if (timeout) {
        if (!timeout->tv_sec && !timeout->tv_usec) return;
        uint64_t until = eventLoop->waitsUntil > now ? eventLoop->waitsUntil - now : 0;
        if (until < left) left = until;
    }
    poll(NULL, 0, (int)((left + 999) / 1000));
}

/* Removes the events of ghosts from `fired`, and the ghosts from the set. Returns how many events
 * are left. */
static int dropGhosts(aeEventLoop *eventLoop, int ready, const struct timeval *timeout) {
    Poller *poller = eventLoop->apidata;
    int found = 0;
    for (int i = 0; i < ready; i++) {
        aeFiredEvent fired = eventLoop->fired[i];
        const aeFileEvent *slot = &eventLoop->events[fired.fd];
        if (slot->registration != registrationOf(&poller->events[i])) continue;
        if (slot->mask & fired.mask) eventLoop->fired[found++] = fired;
    }
    if (found == ready) return found;
    uint64_t now = monotonicNow(0);
    if (now >= poller->rebuildsFrom) {
        if (rebuild(eventLoop) == 0) return found;
        poller->rebuildsFrom = now + GHOST_SLEEP;
    }
    if (found == 0) sleepAmongGhosts(eventLoop, timeout, now);
    return found;
}

NOINLINE int pollAmongGhosts(aeEventLoop *eventLoop, struct timeval *timeout) {
    return dropGhosts(eventLoop, pollSet(eventLoop, timeout), timeout);
}

ALWAYS_INLINE int aeApiPoll(aeEventLoop *eventLoop, struct timeval *timeout) {
    const Poller *poller = eventLoop->apidata;
    return poller->mayHaveGhosts ? pollAmongGhosts(eventLoop, timeout)
                                 : pollSet(eventLoop, timeout);
}

static char *aeApiName(void) {
    return "epoll";
}
