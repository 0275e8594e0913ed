/* `make demo` runs this: the echo server of echo.c, its clients, and timers, all in one loop, for
 * three seconds. Every byte that is sent back is compared, and no timer may be early.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#define ECHO_WITHOUT_MAIN
#include "echo.c"

#include <sys/resource.h>
#include <sys/select.h>
#include <time.h>

enum { CLIENTS = 300, TIMERS = 1000, SECONDS = 3, MESSAGE = 64, MOST_SAMPLES = 1000000 };

typedef struct {
    int fd;
    unsigned number, round;
    size_t received;
} Client;

static Client clients[CLIENTS];
static long long due[TIMERS]; /* when each timer may fire, in nanoseconds */
static long long *samples;    /* how late they were */
static long roundTrips, connected, fired, early;

static long long nowNs(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void composeMessage(const Client *client, char message[MESSAGE]) {
    memset(message, 'a' + (int)((client->number + client->round) % 26), MESSAGE);
    memcpy(message, &client->number, sizeof(client->number));
    memcpy(message + sizeof(client->number), &client->round, sizeof(client->round));
}

static void sendMessage(int fd, const Client *client) {
    char message[MESSAGE];
    composeMessage(client, message);
    if (write(fd, message, MESSAGE) != MESSAGE) fail("a write to an empty socket was incomplete");
}

static void onEcho(aeEventLoop *loop, int fd, void *clientData, int mask) {
    Client *client = clientData;
    char expected[MESSAGE], got[MESSAGE];
    AE_NOTUSED(loop), AE_NOTUSED(mask);
    ssize_t length = read(fd, got, MESSAGE - client->received);
    if (length <= 0) fail("a connection ended");
    composeMessage(client, expected);
    if (memcmp(got, expected + client->received, (size_t)length) != 0) fail("wrong bytes");
    client->received += (size_t)length;
    if (client->received < MESSAGE) return;
    client->received = 0;
    client->round++;
    roundTrips++;
    sendMessage(fd, client);
}

static void onConnected(aeEventLoop *loop, int fd, void *clientData, int mask) {
    AE_NOTUSED(mask);
    if (anetGetError(fd) != 0) fail("a connection was refused");
    aeDeleteFileEvent(loop, fd, AE_WRITABLE);
    if (aeCreateFileEvent(loop, fd, AE_READABLE, onEcho, clientData) == AE_ERR)
        fail("cannot register an fd");
    connected++;
    sendMessage(fd, clientData);
}

static int onTimer(aeEventLoop *loop, long long id, void *clientData) {
    long long *deadline = clientData, now = nowNs(), again = 1 + fired % 50;
    AE_NOTUSED(loop), AE_NOTUSED(id);
    if (now < *deadline) early++;
    if (fired < MOST_SAMPLES) samples[fired] = now - *deadline;
    fired++;
    *deadline = nowNs() + again * 1000000;
    return (int)again;
}

static int onEnd(aeEventLoop *loop, long long id, void *clientData) {
    AE_NOTUSED(id), AE_NOTUSED(clientData);
    aeStop(loop);
    return AE_NOMORE;
}

static double ms(long long ns) {
    return (double)ns / 1e6;
}

static int compareSamples(const void *a, const void *b) {
    long long left = *(const long long *)a, right = *(const long long *)b;
    return (left > right) - (left < right);
}

/* This process has both ends of each connection: two fds. */
static int clientLimit(void) {
    struct rlimit limit;
    rlim_t fds = 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) fds = limit.rlim_cur;
    if (strcmp(aeGetApiName(), "select") == 0 && fds > FD_SETSIZE) fds = FD_SETSIZE;
    return fds >= 2 * CLIENTS + 32 ? CLIENTS : fds > 64 ? (int)(fds - 32) / 2 : 1;
}

int main(void) {
    int count = clientLimit(), listener, port;
    aeEventLoop *loop = aeCreateEventLoop(4096);
    samples = calloc(MOST_SAMPLES, sizeof(*samples));
    if (!loop || !samples) fail(strerror(errno));
    startEcho(loop, 0, &listener);
    if (anetFdToString(listener, NULL, 0, &port, 0) == ANET_ERR) fail(strerror(errno));

    for (int i = 0; i < count; i++) {
        int fd = anetTcpNonBlockConnect(NULL, "127.0.0.1", port);
        clients[i] = (Client){fd, (unsigned)i, 0, 0};
        if (fd == ANET_ERR ||
            aeCreateFileEvent(loop, fd, AE_WRITABLE, onConnected, &clients[i]) == AE_ERR)
            fail("a client could not connect");
    }
    for (int i = 0; i < TIMERS; i++) {
        due[i] = nowNs() + (1 + i % 50) * 1000000LL;
        if (aeCreateTimeEvent(loop, 1 + i % 50, onTimer, &due[i], NULL) == AE_ERR)
            fail("cannot create a timer");
    }
    long long begin = nowNs();
    if (aeCreateTimeEvent(loop, SECONDS * 1000LL, onEnd, NULL, NULL) == AE_ERR)
        fail("cannot create a timer");
    aeMain(loop);
    double seconds = ms(nowNs() - begin) / 1000;
    long kept = fired < MOST_SAMPLES ? fired : MOST_SAMPLES;
    if (connected != count || roundTrips == 0 || kept == 0) fail("not everything was served");
    qsort(samples, (size_t)kept, sizeof(*samples), compareSamples);
    printf("backend      %s\nconnections  %d\nround trips  %ld, %.0f a second\n", aeGetApiName(),
           count, roundTrips, (double)roundTrips / seconds);
    printf("timers       %ld fired, %ld early; ms late: %.3f median, %.3f 99%%, %.3f most\n", fired,
           early, ms(samples[kept / 2]), ms(samples[kept * 99 / 100]), ms(samples[kept - 1]));

    /* The clients hang up, and the server closes its ends. */
    for (int i = 0; i < count; i++) {
        aeDeleteFileEvent(loop, clients[i].fd, AE_READABLE);
        close(clients[i].fd);
    }
    while (loop->maxfd != listener) aeProcessEvents(loop, AE_FILE_EVENTS);
    aeDeleteEventLoop(loop);
    free(samples);
    return early != 0;
}
