/* A TCP server that sends back what it gets.
 *
 *     cc -I. examples/echo.c ae.c anet.c -o echo && ./echo [port]
 *
 * A connection waits to read while its buffer is empty, and to write while it is not. So a peer
 * that does not read is not read from either: TCP makes it wait (back-pressure).
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#define _XOPEN_SOURCE 700
#include "ae.h"
#include "anet.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_FDS = 1000000, ACCEPTS_AT_ONCE = 64, ACCEPT_PAUSE_MS = 100 };

typedef struct {
    size_t start, end; /* what is still to be written */
    char buffer[16 * 1024];
} Connection;

/* An fd kept for bad times: without one, a newcomer could not even be told to go. */
static int reserve = -1;

static void onWritable(aeEventLoop *loop, int fd, void *clientData, int mask);

/* Delete first, close then: a closed fd's number may be anybody's. */
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

/* Out of fds: the reserve lets the newcomer in, to be sent away. If not even that can be done, do
 * not accept for a while; the listener would stay readable, and the loop would spin. */
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

/* Several at once, but not all: those who are connected want to be served, too. */
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

/* Answers the listening fd, which *listener then holds, too; it must live as long as the loop. */
static int startEcho(aeEventLoop *loop, int port, int *listener) {
    char host[] = "127.0.0.1";
    reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    *listener = anetTcpServer(NULL, port, host, 511);
    if (reserve == -1 || *listener == ANET_ERR || anetNonBlock(NULL, *listener) == ANET_ERR)
        return ANET_ERR;
    if (aeCreateFileEvent(loop, *listener, AE_READABLE, onNewcomers, listener) == AE_ERR)
        return ANET_ERR;
    return *listener;
}

#ifndef ECHO_WITHOUT_MAIN
int main(int argc, char **argv) {
    int port = argc > 1 ? atoi(argv[1]) : 0, listener;
    aeEventLoop *loop = aeCreateEventLoop(MAX_FDS);
    signal(SIGPIPE, SIG_IGN); /* a write to a connection that is gone shall fail, not kill */
    if (!loop || startEcho(loop, port, &listener) == ANET_ERR ||
        anetFdToString(listener, NULL, 0, &port, 0) == ANET_ERR) {
        perror("echo");
        return 1;
    }
    printf("echo: listening on 127.0.0.1:%d\n", port);
    fflush(stdout);
    aeMain(loop);
}
#endif
