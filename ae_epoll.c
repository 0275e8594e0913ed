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
    int slack;             /* in microseconds; negative: waits are asked for whole */
    struct epoll_event events[BATCH_SIZE];
} Poller;

enum { USUAL_SLACK = 50, MOST_DELAY = 100000 }; /* in microseconds */

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

ALWAYS int watch(aeEventLoop *eventLoop, int operation, int fd, int mask) {
    static const uint32_t interest[] = {0, EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT};
    Poller *poller = eventLoop->apidata;
    struct epoll_event event = {.events = interest[mask & AE_BOTH], .data.u64 = (unsigned)fd};
    return epoll_ctl(poller->fd, operation, fd, &event);
}

/* The kernel knows an fd that it should not, or the reverse. */
SELDOM int watchAnew(aeEventLoop *eventLoop, int fd, int mask) {
    if (errno == EEXIST) return watch(eventLoop, EPOLL_CTL_MOD, fd, mask);
    if (errno != ENOENT || watch(eventLoop, EPOLL_CTL_ADD, fd, mask) == -1) return -1;
    eventLoop->events[fd].mask = AE_NONE;
    return 0;
}

static int aeApiAddEvent(aeEventLoop *eventLoop, int fd, int mask) {
    int former = eventLoop->events[fd].mask;
    if (watch(eventLoop, former ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, former | mask) == 0) return 0;
    return watchAnew(eventLoop, fd, mask);
}

static void aeApiDelEvent(aeEventLoop *eventLoop, int fd, int mask) {
    int left = eventLoop->events[fd].mask & ~mask & AE_BOTH;
    watch(eventLoop, left ? EPOLL_CTL_MOD : EPOLL_CTL_DEL, fd, left);
}

#ifdef AE_EPOLL_PWAIT2
/* epoll_pwait2 failed: answers whether to go on with epoll_wait. */
SELDOM int isRefused(Poller *poller) {
    if (errno == ENOSYS || errno == EPERM)
        poller->wholeMilliseconds = 1;
    else if (errno != EINTR)
        aeApiPanic("epoll", "epoll_pwait2");
    return poller->wholeMilliseconds;
}

ALWAYS int waitMicroseconds(Poller *poller, uint64_t microseconds) {
    struct timespec limit = {(time_t)(microseconds / 1000000),
                             (long)(microseconds % 1000000) * 1000};
    return epoll_pwait2(poller->fd, poller->events, BATCH_SIZE, &limit, NULL);
}

/* Answers how much shorter to ask for a wait: by as much as the kernel will delay its end. */
ALWAYS uint64_t delayOf(const Poller *poller, uint64_t wait) {
    if (poller->slack < 0) return 0;
    uint64_t delay = wait / 1000, slack = (uint64_t)poller->slack;
    if (delay > MOST_DELAY) delay = MOST_DELAY;
    if (delay < slack) delay = slack;
    return delay < wait ? delay : 0;
}

/* The delay has been taken off, and the wait timed out. Should what is left be refused, the next
 * iteration waits for it with epoll_wait. */
SELDOM int waitForTheRest(aeEventLoop *eventLoop) {
    uint64_t now = monotonicNow(0);
    if (now >= eventLoop->waitsUntil) return 0;
    int ready = waitMicroseconds(eventLoop->apidata, eventLoop->waitsUntil - now);
    if (ready != -1) return ready;
    isRefused(eventLoop->apidata);
    return 0;
}
#endif

ALWAYS int waitAtMost(aeEventLoop *eventLoop, const struct timeval *timeout) {
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

ALWAYS int aeApiPoll(aeEventLoop *eventLoop, struct timeval *timeout) {
    Poller *poller = eventLoop->apidata;
    int ready = timeout ? waitAtMost(eventLoop, timeout)
                        : epoll_wait(poller->fd, poller->events, BATCH_SIZE, -1);
    if (ready < 0) {
        if (errno != EINTR) aeApiPanic("epoll", "epoll_wait");
        return 0;
    }
    for (int i = 0; i < ready; i++) {
        eventLoop->fired[i].fd = (int)poller->events[i].data.u64;
        eventLoop->fired[i].mask = meanings[poller->events[i].events & 31];
    }
    return ready;
}

static char *aeApiName(void) {
    return "epoll";
}
