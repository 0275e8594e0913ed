/* A small HTTP/1.1 server: one page, keep-alive, pipelining, and an end to idle connections.
 *
 *     cc -I. examples/http.c ae.c anet.c -o http && ./http [port] [idle-seconds]
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#define _GNU_SOURCE
#include "ae.h"
#include "anet.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FDS = 1000000, LONGEST_ANSWER = 256 };

/* It reads while `out` is empty and writes while it is not, so neither buffer grows. After the last
 * answer it waits for the peer to hang up, lest TCP drop what the peer has not read yet. */
typedef struct {
    int fd, isLast;
    long long timer;
    size_t inLength, outStart, outEnd;
    char in[8 * 1024 + 1], out[8 * 1024];
} Connection;

static int listener, idleMs = 30 * 1000;

static void onNewcomer(aeEventLoop *loop, int fd, void *clientData, int mask);

/* Whoever leaves makes room: if there were no more fds, newcomers are let in again. */
static void closeConnection(aeEventLoop *loop, Connection *c) {
    aeDeleteTimeEvent(loop, c->timer);
    aeDeleteFileEvent(loop, c->fd, AE_READABLE | AE_WRITABLE);
    close(c->fd);
    free(c);
    if (aeGetFileEvents(loop, listener) == AE_NONE)
        aeCreateFileEvent(loop, listener, AE_READABLE, onNewcomer, NULL);
}

static int onIdle(aeEventLoop *loop, long long id, void *clientData) {
    AE_NOTUSED(id);
    closeConnection(loop, clientData);
    return AE_NOMORE;
}

/* Both calls cost next to nothing, so every request can afford them. */
static int restartTimer(aeEventLoop *loop, Connection *c) {
    aeDeleteTimeEvent(loop, c->timer);
    c->timer = aeCreateTimeEvent(loop, idleMs, onIdle, c, NULL);
    return c->timer != AE_ERR;
}

/* Answers the status. Whatever it does not understand, bodies too, is bad, and the last request. */
static const char *judge(const char *head, int *isLast) {
    char target[2048];
    int minor, length = 0;
    const char *body = strcasestr(head, "\r\nContent-Length:");
    int scanned = sscanf(head, "GET %2047[!-~] HTTP/1.%1d%n", target, &minor, &length);
    *isLast = scanned != 2 || minor == 0 || strcasestr(head, "\r\nConnection: close");
    if (scanned == 2 && strncmp(head + length, "\r\n", 2) == 0 && target[0] == '/' &&
        !strcasestr(head, "\r\nTransfer-Encoding:") && (!body || atoll(body + 17) == 0))
        return strcmp(target, "/") == 0 ? "200 OK" : "404 Not Found";
    *isLast = 1;
    return "400 Bad Request";
}

/* Answers as many requests as are complete and as `out` has room for. Tells whether any was. */
static int answerRequests(Connection *c) {
    char *head = c->in;
    head[c->inLength] = '\0';
    while (!c->isLast && sizeof(c->out) - c->outEnd >= LONGEST_ANSWER) {
        char *end = strstr(head, "\r\n\r\n");
        if (!end && (head > c->in || c->inLength < sizeof(c->in) - 1)) break;
        if (end) end[2] = '\0';
        const char *status = judge(end ? head : "", &c->isLast);
        const char *page = *status == '2' ? "Hello from libae." : status;
        c->outEnd += (size_t)snprintf(
            c->out + c->outEnd, LONGEST_ANSWER,
            "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n%s\n", status,
            strlen(page) + 1, c->isLast ? "Connection: close\r\n" : "", page);
        if (end) head = end + 4;
    }
    c->inLength = c->isLast ? 0 : (size_t)(c->in + c->inLength - head);
    memmove(c->in, head, c->inLength);
    return c->outEnd > 0;
}

/* Reads or writes once. Tells whether the connection is still of use. */
static int transfer(Connection *c) {
    char *end = c->in + c->inLength;
    int isRead = c->outEnd == 0;
    ssize_t done = isRead ? read(c->fd, end, sizeof(c->in) - 1 - c->inLength)
                          : write(c->fd, c->out + c->outStart, c->outEnd - c->outStart);
    if (done == -1) return errno == EAGAIN || errno == EINTR;
    if (isRead && !c->isLast) c->inLength += (size_t)done;
    if (isRead) return done > 0;
    c->outStart += (size_t)done;
    if (c->outStart == c->outEnd) c->outStart = c->outEnd = 0;
    return c->outEnd || !c->isLast || shutdown(c->fd, SHUT_WR) == 0;
}

static void onReady(aeEventLoop *loop, int fd, void *clientData, int mask) {
    Connection *c = clientData;
    AE_NOTUSED(mask);
    int ok = transfer(c) && (c->isLast || restartTimer(loop, c));
    while (ok && !c->outEnd && answerRequests(c)) ok = transfer(c);

    int wanted = c->outEnd ? AE_WRITABLE : AE_READABLE, has = aeGetFileEvents(loop, fd);
    if (wanted != has) ok = ok && aeCreateFileEvent(loop, fd, wanted, onReady, c) == AE_OK;
    if (wanted != has) aeDeleteFileEvent(loop, fd, has);
    if (!ok) closeConnection(loop, c);
}

/* One at a time: as long as there are more, this is called again. Out of fds it would be called for
 * nothing, again and again; so it is not, until a connection ends. */
static void onNewcomer(aeEventLoop *loop, int fd, void *clientData, int mask) {
    int peer = anetTcpAccept(NULL, fd, NULL, 0, NULL);
    AE_NOTUSED(clientData), AE_NOTUSED(mask);
    if (peer == ANET_ERR && (errno == EMFILE || errno == ENFILE))
        aeDeleteFileEvent(loop, fd, AE_READABLE);
    if (peer == ANET_ERR) return;
    Connection *c = calloc(1, sizeof(*c));
    if (c) c->fd = peer, c->timer = AE_ERR;
    if (!c)
        close(peer);
    else if (!restartTimer(loop, c) ||
             aeCreateFileEvent(loop, peer, AE_READABLE, onReady, c) == AE_ERR)
        closeConnection(loop, c);
}

int main(int argc, char **argv) {
    char host[] = "127.0.0.1";
    int port = argc > 1 ? atoi(argv[1]) : 0;
    if (argc > 2) idleMs = atoi(argv[2]) * 1000;
    aeEventLoop *loop = aeCreateEventLoop(MAX_FDS);
    listener = anetTcpServer(NULL, port, host, 511);
    signal(SIGPIPE, SIG_IGN); /* a write to a connection that is gone shall fail, not kill */
    if (!loop || listener == ANET_ERR || anetNonBlock(NULL, listener) == ANET_ERR ||
        aeCreateFileEvent(loop, listener, AE_READABLE, onNewcomer, NULL) == AE_ERR ||
        anetFdToString(listener, NULL, 0, &port, 0) == ANET_ERR)
        return perror("http"), 1;
    printf("http: listening on 127.0.0.1:%d\n", port);
    fflush(stdout);
    aeMain(loop);
}
