/* A server that shuts down cleanly: after SIGINT or SIGTERM it accepts no new connections and no
 * new requests, completes the requests in progress, and exits with status 0. A second signal of the
 * same kind ends it at once.
 *
 *     cc -I. examples/signals.c ae.c anet.c -o signals && ./signals [port] [work-ms] [grace-ms]
 *
 * A request is a line; the reply is sent after some time of "work". Requests that are not complete
 * after the grace period are aborted, and the exit status is 1.
 *
 * A signal handler must not call most functions, such as malloc and printf. Of this library it may
 * only call aeStop, which would not wait for the work. So this handler writes the number of the
 * signal into a pipe that the loop reads (the self-pipe). A flag alone is not enough: a signal that
 * comes after the check of the flag and before the wait would not end the wait.
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
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FDS = 10000, LONGEST_LINE = 512, ACCEPT_PAUSE_MS = 100 };

/* A connection repeats three steps: read a line, work, write the line. */
typedef struct Connection {
    struct Connection *next, *prev;
    int fd, isDone; /* waits only until the peer hangs up */
    long long work; /* the timer, AE_ERR when there is none */
    size_t length, lineLength, written;
    char buffer[LONGEST_LINE];
} Connection;

static Connection *connections;
static int listener, workMs = 100, graceMs = 5000, isStopping, status;
static int signalPipe[2];

static void onReadable(aeEventLoop *loop, int fd, void *clientData, int mask);

static void closeConnection(aeEventLoop *loop, Connection *c) {
    if (c->next) c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        connections = c->next;
    aeDeleteTimeEvent(loop, c->work);
    aeDeleteFileEvent(loop, c->fd, AE_READABLE | AE_WRITABLE);
    close(c->fd);
    free(c);
    if (isStopping && !connections) aeStop(loop);
}

static void onHangUp(aeEventLoop *loop, int fd, void *clientData, int mask) {
    char ignored[4096];
    AE_NOTUSED(mask);
    ssize_t length = read(fd, ignored, sizeof(ignored));
    if (length > 0 || (length == -1 && (errno == EAGAIN || errno == EINTR))) return;
    closeConnection(loop, clientData);
}

/* If close is called with unread input, TCP discards replies that the peer has not received yet. So
 * this ends the output and waits until the peer hangs up. */
static void finishConnection(aeEventLoop *loop, Connection *c) {
    c->isDone = 1;
    if (shutdown(c->fd, SHUT_WR) == -1 ||
        aeCreateFileEvent(loop, c->fd, AE_READABLE, onHangUp, c) == AE_ERR)
        closeConnection(loop, c);
}

/// Requests ///////////////////////////////////////////////////////////////////////////////////////

static void onWritable(aeEventLoop *loop, int fd, void *clientData, int mask);

static int onWorkDone(aeEventLoop *loop, long long id, void *clientData) {
    Connection *c = clientData;
    AE_NOTUSED(id);
    c->work = AE_ERR;
    if (aeCreateFileEvent(loop, c->fd, AE_WRITABLE, onWritable, c) == AE_ERR)
        closeConnection(loop, c);
    return AE_NOMORE;
}

/* While a connection works, it does not read. So only one of its lines is in progress. */
static void beginWork(aeEventLoop *loop, Connection *c) {
    char *end = memchr(c->buffer, '\n', c->length);
    if (!end && c->length < sizeof(c->buffer)) return;
    c->lineLength = end ? (size_t)(end - c->buffer) + 1 : sizeof(c->buffer);
    c->written = 0;
    aeDeleteFileEvent(loop, c->fd, AE_READABLE);
    c->work = aeCreateTimeEvent(loop, workMs, onWorkDone, c, NULL);
    if (c->work == AE_ERR) closeConnection(loop, c);
}

static void onReadable(aeEventLoop *loop, int fd, void *clientData, int mask) {
    Connection *c = clientData;
    AE_NOTUSED(mask);
    ssize_t length = read(fd, c->buffer + c->length, sizeof(c->buffer) - c->length);
    if (length == -1 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) {
        closeConnection(loop, c);
        return;
    }
    c->length += (size_t)length;
    beginWork(loop, c);
}

static void onWritable(aeEventLoop *loop, int fd, void *clientData, int mask) {
    Connection *c = clientData;
    AE_NOTUSED(mask);
    ssize_t length = write(fd, c->buffer + c->written, c->lineLength - c->written);
    if (length == -1 && (errno == EAGAIN || errno == EINTR)) return;
    if (length > 0) c->written += (size_t)length;
    if (length > 0 && c->written < c->lineLength) return;

    /* The reply is sent. The buffer may contain the next line. */
    aeDeleteFileEvent(loop, fd, AE_WRITABLE);
    c->length -= c->lineLength;
    memmove(c->buffer, c->buffer + c->lineLength, c->length);
    if (length >= 0 && isStopping)
        finishConnection(loop, c);
    else if (length == -1 || aeCreateFileEvent(loop, fd, AE_READABLE, onReadable, c) == AE_ERR)
        closeConnection(loop, c);
    else
        beginWork(loop, c);
}

/// Accepting //////////////////////////////////////////////////////////////////////////////////////

static void onConnection(aeEventLoop *loop, int fd, void *clientData, int mask);

static int resumeAccepting(aeEventLoop *loop, long long id, void *clientData) {
    AE_NOTUSED(id), AE_NOTUSED(clientData);
    if (isStopping) return AE_NOMORE;
    if (aeCreateFileEvent(loop, listener, AE_READABLE, onConnection, NULL) == AE_ERR)
        return ACCEPT_PAUSE_MS;
    return AE_NOMORE;
}

/* When accept fails, for example because there are no more fds, the listener stays readable and the
 * loop would spin: the server stops listening for a while. */
static void onConnection(aeEventLoop *loop, int fd, void *clientData, int mask) {
    int peer = anetTcpAccept(NULL, fd, NULL, 0, NULL);
    AE_NOTUSED(clientData), AE_NOTUSED(mask);
    if (peer == ANET_ERR) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && !anetAcceptFailureNeedsRetry(errno) &&
            aeCreateTimeEvent(loop, ACCEPT_PAUSE_MS, resumeAccepting, NULL, NULL) != AE_ERR)
            aeDeleteFileEvent(loop, fd, AE_READABLE);
        return;
    }
    Connection *c = calloc(1, sizeof(*c));
    if (!c || aeCreateFileEvent(loop, peer, AE_READABLE, onReadable, c) == AE_ERR) {
        free(c);
        close(peer);
        return;
    }
    c->fd = peer;
    c->work = AE_ERR;
    c->next = connections;
    if (connections) connections->prev = c;
    connections = c;
}

/// Shutdown ///////////////////////////////////////////////////////////////////////////////////////

/* write is one of the calls that a signal handler may make, see signal-safety(7). If the pipe is
 * full, the loop wakes because of the bytes in it. */
static void onSignal(int number) {
    int error = errno;
    char byte = (char)number;
    ssize_t written = write(signalPipe[1], &byte, 1);
    AE_NOTUSED(written);
    errno = error;
}

static int onGraceOver(aeEventLoop *loop, long long id, void *clientData) {
    AE_NOTUSED(id), AE_NOTUSED(clientData);
    for (Connection *c = connections; c; c = c->next)
        if (!c->isDone) status = 1;
    aeStop(loop);
    return AE_NOMORE;
}

/* Connections that wait for a reply stay open until it is sent. */
static void shutDown(aeEventLoop *loop) {
    if (isStopping) return;
    isStopping = 1;
    aeDeleteFileEvent(loop, listener, AE_READABLE);
    close(listener);
    if (!connections) aeStop(loop);
    for (Connection *c = connections, *next; c; c = next) {
        next = c->next;
        if (aeGetFileEvents(loop, c->fd) & AE_READABLE) finishConnection(loop, c);
    }
    if (connections && aeCreateTimeEvent(loop, graceMs, onGraceOver, NULL, NULL) == AE_ERR)
        onGraceOver(loop, AE_ERR, NULL);
}

static void onSignalByte(aeEventLoop *loop, int fd, void *clientData, int mask) {
    char number;
    AE_NOTUSED(clientData), AE_NOTUSED(mask);
    shutDown(loop);
    while (read(fd, &number, 1) == 1) printf("signals: got signal %d\n", number);
    fflush(stdout);
}

static int catchSignals(aeEventLoop *loop) {
    struct sigaction action = {.sa_handler = onSignal, .sa_flags = (int)SA_RESETHAND};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (anetPipe(signalPipe, O_NONBLOCK, O_NONBLOCK) == -1 ||
        aeCreateFileEvent(loop, signalPipe[0], AE_READABLE, onSignalByte, NULL) == AE_ERR)
        return AE_ERR;
    /* A write to a closed connection fails, and does not end the program. */
    if (sigaction(SIGPIPE, &ignore, NULL) == -1 || sigaction(SIGINT, &action, NULL) == -1 ||
        sigaction(SIGTERM, &action, NULL) == -1)
        return AE_ERR;
    return AE_OK;
}

/* Returns the number in `text`, or -1 if it is not a number from 0 to `most`. */
static int numberOf(const char *text, int most) {
    char *end;
    long number = strtol(text, &end, 10);
    return *text && !*end && number >= 0 && number <= most ? (int)number : -1;
}

static void fail(const char *why) {
    fprintf(stderr, "signals: %s\n", why);
    exit(1);
}

int main(int argc, char **argv) {
    char err[ANET_ERR_LEN], host[] = "127.0.0.1";
    int port = argc > 1 ? numberOf(argv[1], 65535) : 0;
    if (argc > 2) workMs = numberOf(argv[2], INT_MAX);
    if (argc > 3) graceMs = numberOf(argv[3], INT_MAX);
    if (argc > 4 || port < 0 || workMs < 0 || graceMs < 0)
        return fputs("usage: signals [port] [work-ms] [grace-ms]\n", stderr), 2;
    aeEventLoop *loop = aeCreateEventLoop(MAX_FDS);
    if (!loop) fail(strerror(errno));
    listener = anetTcpServer(err, port, host, 511);
    if (listener == ANET_ERR || anetNonBlock(err, listener) == ANET_ERR) fail(err);
    if (aeCreateFileEvent(loop, listener, AE_READABLE, onConnection, NULL) == AE_ERR ||
        anetFdToString(listener, NULL, 0, &port, 0) == ANET_ERR || catchSignals(loop) == AE_ERR)
        fail(strerror(errno));
    printf("signals: listening on 127.0.0.1:%d\n", port);
    fflush(stdout);
    aeMain(loop);

    while (connections) closeConnection(loop, connections);
    aeDeleteEventLoop(loop);
    close(signalPipe[0]);
    close(signalPipe[1]);
    puts(status == 0 ? "signals: all done" : "signals: out of time");
    return status;
}
