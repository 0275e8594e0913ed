/* A TCP server that sends back what it gets.
 *
 *     cc -I. examples/echo.c ae.c anet.c -o echo && ./echo [port]
 *
 * A connection waits to read while its buffer is empty, and to write while it is not. So a peer
 * that does not read is not read from either: TCP makes it wait (back-pressure).
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include "ae.h"
#include "anet.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FDS = 1000000, ACCEPTS_AT_ONCE = 64, ACCEPT_PAUSE_MS = 100 };

typedef struct {
    size_t start, end; /* what is still to be written */
    char buffer[16 * 1024];
} Connection;

/* An fd kept for the time when there are no more: it lets a newcomer in, to be sent away. */
static int reserve = -1;

static void onWritable(aeEventLoop *loop, int fd, void *clientData, int mask);

/* Delete first, then close: the number of a closed fd may belong to another connection. */
static void closeConnection(aeEventLoop *loop, int fd) {
    void *connection = aeGetFileClientData(loop, fd);
    aeDeleteFileEvent(loop, fd, AE_READABLE | AE_WRITABLE);
    close(fd);
    free(connection);
}

static void onReadable(aeEventLoop *loop, int fd, void *clientData, int mask) {
    Connection *connection = clientData;
    ssize_t length = read(fd, connection->buffer, sizeof(connection->buffer));
    if (length == -1 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) {
        closeConnection(loop, fd);
        return;
    }
    connection->start = 0;
    connection->end = (size_t)length;
    onWritable(loop, fd, connection, mask); /* nearly always the socket takes it all */
}

static void onWritable(aeEventLoop *loop, int fd, void *clientData, int mask) {
    Connection *connection = clientData;
    ssize_t length =
        write(fd, connection->buffer + connection->start, connection->end - connection->start);
    AE_NOTUSED(mask);
    if (length == -1 && errno != EAGAIN && errno != EINTR) {
        closeConnection(loop, fd);
        return;
    }
    if (length > 0) connection->start += (size_t)length;

    int done = connection->start == connection->end;
    int wanted = done ? AE_READABLE : AE_WRITABLE;
    if (aeGetFileEvents(loop, fd) == wanted) return;
    if (aeCreateFileEvent(loop, fd, wanted, done ? onReadable : onWritable, connection) == AE_ERR)
        closeConnection(loop, fd);
    else
        aeDeleteFileEvent(loop, fd, done ? AE_WRITABLE : AE_READABLE);
}

static void onNewcomers(aeEventLoop *loop, int listener, void *clientData, int mask);

static int resumeAccepting(aeEventLoop *loop, long long id, void *clientData) {
    int listener = *(int *)clientData;
    AE_NOTUSED(id);
    if (aeCreateFileEvent(loop, listener, AE_READABLE, onNewcomers, clientData) == AE_ERR)
        return ACCEPT_PAUSE_MS;
    return AE_NOMORE;
}

/* Most likely there are no more fds. If not even the reserve helps, the listener would stay
 * readable and the loop would spin, so it pauses for a while. */
static void refuseNewcomer(aeEventLoop *loop, int *listener) {
    int peer = ANET_ERR;
    if (reserve != -1) close(reserve);
    if (reserve != -1) peer = anetTcpAccept(NULL, *listener, NULL, 0, NULL);
    if (peer != ANET_ERR) close(peer);
    reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (reserve != -1 && peer != ANET_ERR) return;
    if (aeCreateTimeEvent(loop, ACCEPT_PAUSE_MS, resumeAccepting, listener, NULL) != AE_ERR)
        aeDeleteFileEvent(loop, *listener, AE_READABLE);
}

/* Several at once, but not all: those that are connected already are to be served too. */
static void onNewcomers(aeEventLoop *loop, int listener, void *clientData, int mask) {
    AE_NOTUSED(mask);
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        int fd = anetTcpAccept(NULL, listener, NULL, 0, NULL);
        if (fd == ANET_ERR && anetAcceptFailureNeedsRetry(errno)) continue;
        if (fd == ANET_ERR) {
            if (errno != EAGAIN && errno != EWOULDBLOCK) refuseNewcomer(loop, clientData);
            return;
        }
        Connection *connection = malloc(sizeof(*connection));
        if (!connection ||
            aeCreateFileEvent(loop, fd, AE_READABLE, onReadable, connection) == AE_ERR) {
            free(connection);
            close(fd);
        }
    }
}

static void fail(const char *why) {
    fprintf(stderr, "echo: %s\n", why);
    exit(1);
}

/* *listener must live as long as the loop. */
static void startEcho(aeEventLoop *loop, int port, int *listener) {
    char err[ANET_ERR_LEN], host[] = "127.0.0.1";
    reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (reserve == -1) fail(strerror(errno));
    *listener = anetTcpServer(err, port, host, 511);
    if (*listener == ANET_ERR || anetNonBlock(err, *listener) == ANET_ERR) fail(err);
    if (aeCreateFileEvent(loop, *listener, AE_READABLE, onNewcomers, listener) == AE_ERR)
        fail(strerror(errno));
}

#ifndef ECHO_WITHOUT_MAIN
/* Returns the number, or -1 if `text` is none from 0 to `most`. */
static int numberOf(const char *text, int most) {
    char *end;
    long number = strtol(text, &end, 10);
    return *text && !*end && number >= 0 && number <= most ? (int)number : -1;
}

int main(int argc, char **argv) {
    int port = argc > 1 ? numberOf(argv[1], 65535) : 0, listener;
    if (argc > 2 || port < 0) return fputs("usage: echo [port]\n", stderr), 2;
    signal(SIGPIPE, SIG_IGN); /* a write to a connection that is gone fails, and does not kill */
    aeEventLoop *loop = aeCreateEventLoop(MAX_FDS);
    if (!loop) fail(strerror(errno));
    startEcho(loop, port, &listener);
    if (anetFdToString(listener, NULL, 0, &port, 0) == ANET_ERR) fail(strerror(errno));
    printf("echo: listening on 127.0.0.1:%d\n", port);
    fflush(stdout);
    aeMain(loop);
}
#endif
