/* A TCP server that sends back its input.
 *
 *     cc -I. examples/echo.c ae.c anet.c -o echo && ./echo [port]
 *
 * While the buffer of a connection is empty, the connection waits for input; else it waits for room
 * to write. So the server does not read from a peer that does not read: TCP makes that peer wait
 * (back-pressure).
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
    size_t start, end; /* the bytes of the buffer that are not written yet */
    char buffer[16 * 1024];
} Connection;

/* An fd in reserve. When there are no more fds, it is closed, so that a client can be accepted and
 * disconnected. */
static int reserve = -1;

static void onWritable(aeEventLoop *loop, int fd, void *clientData, int mask);

/* Deletes the events first: after close, another connection may get the number of the fd. */
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
    onWritable(loop, fd, connection, mask); /* nearly always this writes everything */
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

static void onConnections(aeEventLoop *loop, int listener, void *clientData, int mask);

static int resumeAccepting(aeEventLoop *loop, long long id, void *clientData) {
    int listener = *(int *)clientData;
    AE_NOTUSED(id);
    if (aeCreateFileEvent(loop, listener, AE_READABLE, onConnections, clientData) == AE_ERR)
        return ACCEPT_PAUSE_MS;
    return AE_NOMORE;
}

/* Most likely there are no more fds. If the reserve does not help, the listener stays readable and
 * the loop would spin: the server stops listening for a while. */
static void refuseConnection(aeEventLoop *loop, int *listener) {
    int peer = ANET_ERR;
    if (reserve != -1) close(reserve);
    if (reserve != -1) peer = anetTcpAccept(NULL, *listener, NULL, 0, NULL);
    if (peer != ANET_ERR) close(peer);
    reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (reserve != -1 && peer != ANET_ERR) return;
    if (aeCreateTimeEvent(loop, ACCEPT_PAUSE_MS, resumeAccepting, listener, NULL) != AE_ERR)
        aeDeleteFileEvent(loop, *listener, AE_READABLE);
}

/* Accepts several connections, but not all that wait, so that other fds are served in between. */
static void onConnections(aeEventLoop *loop, int listener, void *clientData, int mask) {
    AE_NOTUSED(mask);
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        int fd = anetTcpAccept(NULL, listener, NULL, 0, NULL);
        if (fd == ANET_ERR && anetAcceptFailureNeedsRetry(errno)) continue;
        if (fd == ANET_ERR) {
            if (errno != EAGAIN && errno != EWOULDBLOCK) refuseConnection(loop, clientData);
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

/* *listener must exist as long as the loop. */
static void startEcho(aeEventLoop *loop, int port, int *listener) {
    char err[ANET_ERR_LEN], host[] = "127.0.0.1";
    reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (reserve == -1) fail(strerror(errno));
    *listener = anetTcpServer(err, port, host, 511);
    if (*listener == ANET_ERR || anetNonBlock(err, *listener) == ANET_ERR) fail(err);
    if (aeCreateFileEvent(loop, *listener, AE_READABLE, onConnections, listener) == AE_ERR)
        fail(strerror(errno));
}

#ifndef ECHO_WITHOUT_MAIN
/* Returns the number in `text`, or -1 if it is not a number from 0 to `most`. */
static int numberOf(const char *text, int most) {
    char *end;
    long number = strtol(text, &end, 10);
    return *text && !*end && number >= 0 && number <= most ? (int)number : -1;
}

int main(int argc, char **argv) {
    int port = argc > 1 ? numberOf(argv[1], 65535) : 0, listener;
    if (argc > 2 || port < 0) return fputs("usage: echo [port]\n", stderr), 2;
    signal(SIGPIPE,
           SIG_IGN); /* a write to a closed connection fails, and does not end the program */
    aeEventLoop *loop = aeCreateEventLoop(MAX_FDS);
    if (!loop) fail(strerror(errno));
    startEcho(loop, port, &listener);
    if (anetFdToString(listener, NULL, 0, &port, 0) == ANET_ERR) fail(strerror(errno));
    printf("echo: listening on 127.0.0.1:%d\n", port);
    fflush(stdout);
    aeMain(loop);
}
#endif
