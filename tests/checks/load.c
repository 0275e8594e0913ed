/* Load for examples/http: HOLD connections stay open and request the page from time to time, while
 * RATE connections per second request it once and close; each has timers. Then all close.
 *
 *     load PORT SERVER_PID HOLD RATE SECONDS
 *
 * It does so three times. The first two times take a second, with the highest number of
 * connections, so that the server allocates the memory that it needs. At the end the server must
 * not have more fds than then, and at most one MiB more memory. Every reply must be right, and
 * every timer must have fired or been cancelled exactly once.
 *
 * RATE * SECONDS connections are made in all. On a slow machine it takes longer.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#define _GNU_SOURCE
#include "ae.h"
#include "anet.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    SETSIZE = 65536,
    TICK_MS = 5,
    FILL_PER_TICK = 50,      /* of the connections that stay */
    GUESTS_AT_ONCE = 2000,   /* of the connections that request once */
    PATIENCE_MS = 30 * 1000, /* for a reply; only a failing server takes so long */
    PAUSE_MS = 10 * 1000,    /* the longest time between two requests of a connection that stays */
    SOURCES = 16             /* local addresses, for enough ports */
};

typedef struct Visitor {
    int fd, stays, isWaiting; /* for a reply */
    long long timer;
    size_t length;
    char answer[256];
    struct Visitor *previous, *next;
} Visitor;

static aeEventLoop *loop;
static int port;
static Visitor visitors[2] = {
    {.previous = &visitors[0], .next = &visitors[0]},
    {.previous = &visitors[1], .next = &visitors[1]}}; /* that stay; that request once */
static long long present[2], came[2], answers, errors;
static long long timersMade, timersFired, timersCancelled, timersFinalized;

static long long nowMs(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void complain(const char *what) {
    if (errors++ < 10) fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
}

static void giveUp(const char *what) {
    perror(what);
    exit(1);
}

/// Timers, counted ////////////////////////////////////////////////////////////////////////////////

static void onFinal(aeEventLoop *el, void *clientData) {
    AE_NOTUSED(el), AE_NOTUSED(clientData);
    timersFinalized++;
}

static void setTimer(Visitor *visitor, long long milliseconds, aeTimeProc *proc) {
    visitor->timer = aeCreateTimeEvent(loop, milliseconds, proc, visitor, onFinal);
    if (visitor->timer == AE_ERR) giveUp("load: no timer");
    timersMade++;
}

static void cancelTimer(Visitor *visitor) {
    if (visitor->timer == AE_ERR) return;
    if (aeDeleteTimeEvent(loop, visitor->timer) == AE_ERR)
        complain("a timer has ended and did not fire");
    visitor->timer = AE_ERR;
    timersCancelled++;
}

static void noteFired(Visitor *visitor, long long id) {
    if (visitor->timer != id) complain("a timer fired that was cancelled");
    visitor->timer = AE_ERR;
    timersFired++;
}

/// Visitors ///////////////////////////////////////////////////////////////////////////////////////

static void leave(Visitor *visitor) {
    cancelTimer(visitor);
    aeDeleteFileEvent(loop, visitor->fd, AE_READABLE | AE_WRITABLE);
    close(visitor->fd);
    visitor->previous->next = visitor->next;
    visitor->next->previous = visitor->previous;
    present[!visitor->stays]--;
    free(visitor);
}

static int onLate(aeEventLoop *el, long long id, void *clientData) {
    AE_NOTUSED(el);
    noteFired(clientData, id);
    errno = ETIMEDOUT;
    complain("no reply");
    leave(clientData);
    return AE_NOMORE;
}

static void onWritable(aeEventLoop *el, int fd, void *clientData, int mask) {
    static const char stay[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    static const char go[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    Visitor *visitor = clientData;
    const char *request = visitor->stays ? stay : go;
    AE_NOTUSED(mask);
    aeDeleteFileEvent(el, fd, AE_WRITABLE);
    int error = anetGetError(fd);
    if (error) errno = error;
    if (error || write(fd, request, strlen(request)) != (ssize_t)strlen(request)) {
        complain("no request");
        leave(visitor);
        return;
    }
    visitor->isWaiting = 1;
    cancelTimer(visitor);
    setTimer(visitor, PATIENCE_MS, onLate);
}

static int onPauseOver(aeEventLoop *el, long long id, void *clientData) {
    Visitor *visitor = clientData;
    noteFired(visitor, id);
    if (aeCreateFileEvent(el, visitor->fd, AE_WRITABLE, onWritable, visitor) == AE_ERR)
        giveUp("load: no event");
    return AE_NOMORE;
}

/* Returns whether the reply is complete. Checks it as far as it was received. */
static int isAnswered(const Visitor *visitor) {
    static const char status[] = "HTTP/1.1 200 OK\r\n";
    size_t length = visitor->length < strlen(status) ? visitor->length : strlen(status);
    const char *page = strstr(visitor->answer, "\r\n\r\n");
    errno = EPROTO;
    if (strncmp(visitor->answer, status, length) != 0) complain("a wrong reply");
    return page && strcmp(page + 4, "Hello from libae.\n") == 0;
}

static void onReadable(aeEventLoop *el, int fd, void *clientData, int mask) {
    Visitor *visitor = clientData;
    AE_NOTUSED(el), AE_NOTUSED(mask);
    ssize_t got =
        read(fd, visitor->answer + visitor->length, sizeof(visitor->answer) - 1 - visitor->length);
    if (got == -1 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) { /* closed after the last reply */
        if (got == -1 || visitor->stays || visitor->isWaiting) complain("the server hung up");
        leave(visitor);
        return;
    }
    visitor->length += (size_t)got;
    visitor->answer[visitor->length] = '\0';
    if (!isAnswered(visitor)) return;
    if (!visitor->isWaiting) complain("a reply without a request");
    answers++;
    visitor->isWaiting = 0;
    visitor->length = 0;
    if (!visitor->stays) return;
    cancelTimer(visitor);
    setTimer(visitor, 1 + random() % PAUSE_MS, onPauseOver);
}

static void come(int stays) {
    static unsigned turn;
    char err[ANET_ERR_LEN], source[32];
    Visitor *visitor = calloc(1, sizeof(*visitor));
    if (!visitor) giveUp("load: calloc");
    snprintf(source, sizeof(source), "127.0.0.%u", 2 + turn++ % SOURCES);
    visitor->fd = anetTcpNonBlockBestEffortBindConnect(err, "127.0.0.1", port, source);
    visitor->stays = stays;
    visitor->timer = AE_ERR;
    if (visitor->fd == ANET_ERR ||
        aeCreateFileEvent(loop, visitor->fd, AE_READABLE, onReadable, visitor) == AE_ERR ||
        aeCreateFileEvent(loop, visitor->fd, AE_WRITABLE, onWritable, visitor) == AE_ERR)
        giveUp("load: cannot connect");
    setTimer(visitor, PATIENCE_MS, onLate);
    Visitor *list = &visitors[!stays];
    visitor->previous = list;
    visitor->next = list->next;
    visitor->next->previous = list->next = visitor;
    present[!stays]++;
    came[!stays]++;
}

/// A visit ////////////////////////////////////////////////////////////////////////////////////////

typedef struct {
    long long hold, rate, guests; /* connections: how many in all */
    long long begin;              /* of the second part, 0 before */
} Plan;

static int onTick(aeEventLoop *el, long long id, void *clientData) {
    Plan *plan = clientData;
    AE_NOTUSED(id);
    if (!plan->begin) {
        for (int i = 0; i < FILL_PER_TICK && came[0] < plan->hold; i++) come(1);
        if (came[0] == plan->hold && answers >= plan->hold) plan->begin = nowMs();
        return errors ? (aeStop(el), AE_NOMORE) : TICK_MS;
    }
    long long due = (nowMs() - plan->begin) * plan->rate / 1000;
    if (due > plan->guests) due = plan->guests;
    while (came[1] < due && present[1] < GUESTS_AT_ONCE) come(0);
    if (came[1] < plan->guests || present[1] > 0) return TICK_MS;
    aeStop(el);
    return AE_NOMORE;
}

static void visit(Plan plan) {
    memset(came, 0, sizeof(came));
    answers = 0;
    long long begin = nowMs();
    if (aeCreateTimeEvent(loop, 0, onTick, &plan, NULL) == AE_ERR) giveUp("load: no timer");
    aeMain(loop);
    if (present[0] != plan.hold) complain("some connections did not stay");
    while (visitors[0].next != &visitors[0]) leave(visitors[0].next);
    while (visitors[1].next != &visitors[1]) leave(visitors[1].next);
    aeProcessEvents(loop, AE_TIME_EVENTS | AE_DONT_WAIT); /* for the finalizers */
    printf("load: %lld stayed, %lld came and went, %lld answers, %.1f s\n", came[0], came[1],
           answers, (double)(nowMs() - begin) / 1000);
}

/// The server /////////////////////////////////////////////////////////////////////////////////////

static long long fdsOf(const char *pid) {
    char path[64];
    long long count = 0;
    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    DIR *directory = opendir(path);
    if (!directory) giveUp(path);
    while (readdir(directory)) count++;
    closedir(directory);
    return count;
}

static long long kibibytesOf(const char *pid) {
    char path[64];
    long long total, resident = -1;
    snprintf(path, sizeof(path), "/proc/%s/statm", pid);
    FILE *file = fopen(path, "r");
    if (!file) giveUp(path);
    if (fscanf(file, "%lld %lld", &total, &resident) != 2) giveUp(path);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Called after the server has noticed that all have closed. */
static void settle(const char *pid, long long fds) {
    long long begin = nowMs();
    const struct timespec pause = {0, 10000000};
    while (fdsOf(pid) != fds && nowMs() - begin < PATIENCE_MS) nanosleep(&pause, NULL);
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    port = atoi(argv[1]);
    const char *pid = argv[2];
    long long hold = atoll(argv[3]), rate = atoll(argv[4]), guests = rate * atoll(argv[5]);
    loop = aeCreateEventLoop(SETSIZE);
    if (!loop) giveUp("load");
    long long fdsBefore = fdsOf(pid), ownBefore = fdsOf("self");
    for (int i = 0; i < 2; i++) {
        visit((Plan){hold + GUESTS_AT_ONCE, rate, rate, 0});
        settle(pid, fdsBefore);
    }
    long long memoryBefore = kibibytesOf(pid);
    visit((Plan){hold, rate, guests, 0});
    settle(pid, fdsBefore);

    long long fds = fdsOf(pid), memory = kibibytesOf(pid), own = fdsOf("self");
    printf("load: server: %lld fds before, %lld now; %lld KiB before, %lld now\n", fdsBefore, fds,
           memoryBefore, memory);
    printf("load: timers: %lld made, %lld fired, %lld cancelled, %lld finalized\n", timersMade,
           timersFired, timersCancelled, timersFinalized);
    errno = 0;
    if (fds != fdsBefore || own != ownBefore) complain("fds are still open");
    if (memory > memoryBefore + 1024) complain("the server's memory has grown");
    if (timersFired + timersCancelled != timersMade || timersFinalized != timersMade)
        complain("a timer did not fire or was not cancelled exactly once");
    aeDeleteEventLoop(loop);
    if (errors) fprintf(stderr, "load: %lld errors\n", errors);
    return errors != 0;
}
