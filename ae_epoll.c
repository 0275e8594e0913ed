/* libae's backend for Linux: epoll(7).
 *
 * What epoll does badly, and what is done about it:
 *
 * - epoll_wait counts in milliseconds. epoll_pwait2 counts in nanoseconds, but is young (Linux
 *   5.11, glibc 2.35), and some sandboxes forbid what they do not know. The first refusal makes
 *   this loop go on with epoll_wait, its timeouts rounded up.
 * - A wait that times out is late by the thread's timer slack, 50 microseconds unless changed
 *   (PR_SET_TIMERSLACK in prctl(2)), or by a thousandth if that is more, so that the kernel can end
 *   several waits at once. epoll_pwait2 is asked for that much less. The wait may then end too
 *   early, most likely a long one on a busy processor: then it is asked for the rest. (For a niced
 *   thread it is five thousandths, of which four are left so.)
 * - It tells adding an fd from changing one, and forgets an fd when the last copy of it is closed.
 *   An fd that was closed behind the loop's back, and its number used again, is added where it
 *   should have been changed (ENOENT); where a copy of the fd lived on, the reverse (EEXIST).
 * - It knows files, not fds, and reports a file that was closed as long as a copy of it lives in a
 *   dup or a forked child. Such a ghost cannot be deleted: its number leads to it no more. To the
 *   handler it is the old registration until that is deleted, or its number is registered again.
 *   From then on it is void, and would keep waking the loop. So each event carries its registration
 *   (see "File events") besides the fd; and when one does not fit, the set is built again without
 *   the ghosts. None comes about unless epoll_ctl fails on a registered fd: until then nobody looks
 *   for any.
 * - It refuses regular files, which are always ready: EPERM, passed on to the caller.
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
    int mayHaveGhosts;     /* epoll_ctl has failed on an fd that the set should have known */
    uint64_t rebuildsFrom; /* when to try to build the set again, after that failed */
    int slack;             /* in microseconds; negative: waits are asked for whole */
    struct epoll_event events[BATCH_SIZE];
} Poller;

enum { USUAL_SLACK = 50, MOST_DELAY = 100000, GHOST_SLEEP = 10000 }; /* in microseconds */

/* Answers the slack of the thread that creates the loop. Who has asked for more than usual prefers
 * sleep to punctuality. The waits of one that has none, such as a real-time one, are not late. */
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

/* What the kernel hands back with an event: an fd and its registration. */
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

/* The kernel knows an fd that it should not, or the reverse. */
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
/* epoll_pwait2 failed: returns whether to go on with epoll_wait. A sandbox may refuse a call with
 * any errno. If it was a true error, epoll_wait has it, too. */
NOINLINE int isRefused(Poller *poller) {
    if (errno != EINTR) poller->wholeMilliseconds = 1;
    return poller->wholeMilliseconds;
}

ALWAYS_INLINE int waitMicroseconds(Poller *poller, uint64_t microseconds) {
    struct timespec limit = {(time_t)(microseconds / 1000000),
                             (long)(microseconds % 1000000) * 1000};
    return epoll_pwait2(poller->fd, poller->events, BATCH_SIZE, &limit, NULL);
}

/* Answers how much shorter to ask for a wait: by as much as the kernel will delay its end. */
ALWAYS_INLINE uint64_t delayOf(const Poller *poller, uint64_t wait) {
    if (poller->slack < 0) return 0;
    uint64_t delay = wait / 1000, slack = (uint64_t)poller->slack;
    if (delay > MOST_DELAY) delay = MOST_DELAY;
    if (delay < slack) delay = slack;
    return delay < wait ? delay : 0;
}

/* The delay has been taken off, and the wait timed out. Should what is left be refused, the next
 * iteration waits for it with epoll_wait. */
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

/* What the lowest five bits of the events mean: EPOLLIN, EPOLLPRI, EPOLLOUT, EPOLLERR, EPOLLHUP. A
 * table, since each event is translated. */
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

/* Copies a registration from the old set into the new one. What the old set does not know was
 * closed and is left out: the number may be another file's by now, which nobody has registered. */
static int copyInto(aeEventLoop *eventLoop, int set, int fd) {
    const Poller *poller = eventLoop->apidata;
    const aeFileEvent *slot = &eventLoop->events[fd];
    if (watch(poller->fd, EPOLL_CTL_MOD, fd, slot->mask, slot->registration))
        return errno == ENOMEM || errno == ENOSPC ? -1 : 0;
    return watch(set, EPOLL_CTL_ADD, fd, slot->mask, slot->registration);
}

/* Builds the set again, without ghosts, at the number that it has. Returns -1, with the old set in
 * place, on failure. */
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

/* Ghosts are ready, and the set cannot be built again yet: it would wake the loop at once, time and
 * again. Sleeps through a part of the timeout instead. */
static void sleepAmongGhosts(aeEventLoop *eventLoop, const struct timeval *timeout, uint64_t now) {
    uint64_t left = GHOST_SLEEP;
    if (timeout) {
        if (!timeout->tv_sec && !timeout->tv_usec) return;
        uint64_t until = eventLoop->waitsUntil > now ? eventLoop->waitsUntil - now : 0;
        if (until < left) left = until;
    }
    poll(NULL, 0, (int)((left + 999) / 1000));
}

/* Takes the events of ghosts out of `fired`, and rids the set of them. Returns how many events are
 * left. */
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
