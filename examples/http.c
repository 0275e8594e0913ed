/* A small HTTP/1.1 server: one page, keep-alive, pipelining, and a limit for idle connections.
 *
 *     cc -I. examples/http.c ae.c anet.c -o http && ./http [port] [idle-seconds]
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include "ae.h"
#include "anet.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FDS = 1000000, LONGEST_RESPONSE = 256, ACCEPT_PAUSE_MS = 100 };

typedef struct {
    const char *status, *header, *page;
} Response;

static const Response hello = {"200 OK", "", "Hello from libae.\n"};
static const Response notFound = {"404 Not Found", "", "There is no such page.\n"};
static const Response notAllowed = {"405 Method Not Allowed", "Allow: GET, HEAD\r\n",
                                    "GET and HEAD only.\n"};
static const Response bad = {"400 Bad Request", "", "Bad request.\n"};

/* A connection reads while `out` is empty, and else writes, so neither buffer grows. After the last
 * response it waits until the peer hangs up: otherwise TCP could discard data that the peer has not
 * read yet. */
typedef struct {
    int fd, isLast;
    long long timer;
    size_t inLength, outStart, outEnd;
    char in[8 * 1024 + 1], out[8 * 1024];
} Connection;

static int idleMs = 30 * 1000;

static void closeConnection(aeEventLoop *loop, Connection *c) {
    aeDeleteTimeEvent(loop, c->timer);
    aeDeleteFileEvent(loop, c->fd, AE_READABLE | AE_WRITABLE);
    close(c->fd);
    free(c);
}

static int onIdle(aeEventLoop *loop, long long id, void *clientData) {
    AE_NOTUSED(id);
    closeConnection(loop, clientData);
    return AE_NOMORE;
}

/* The timer starts again with each request. */
static int restartTimer(aeEventLoop *loop, Connection *c) {
    aeDeleteTimeEvent(loop, c->timer);
    c->timer = aeCreateTimeEvent(loop, idleMs, onIdle, c, NULL);
    return c->timer != AE_ERR;
}

/* Returns the value of the next header `name` after *line, or NULL. Letter case is ignored. */
static const char *nextValue(const char **line, const char *name) {
    size_t length = strlen(name);
    while ((*line = strstr(*line, "\r\n")) != NULL) {
        *line += 2;
        if (strncasecmp(*line, name, length) == 0 && (*line)[length] == ':')
            return *line + length + 1;
    }
    return NULL;
}

/* Returns whether a header `name` contains `word`. A header may have several words and occur
 * several times. */
static int lists(const char *head, const char *name, const char *word) {
    const char *value;
    while ((value = nextValue(&head, name)) != NULL)
        for (size_t length; *value != '\r'; value += length) {
            value += strspn(value, " \t,");
            length = strcspn(value, " \t,\r");
            if (length == strlen(word) && strncasecmp(value, word, length) == 0) return 1;
        }
    return 0;
}

static int hasBody(const char *head) {
    const char *line = head, *value;
    if (nextValue(&line, "Transfer-Encoding")) return 1;
    for (line = head; (value = nextValue(&line, "Content-Length")) != NULL;)
        if (strtoll(value, NULL, 10) != 0) return 1;
    return 0;
}

/* The data after an invalid request may be its body, so such a request is the last one. */
static const Response *judge(const char *head, int *isHead, int *isLast) {
    char method[16], target[2048];
    int minor, length = 0;
    *isHead = 0;
    *isLast = 1;
    if (sscanf(head, "%15[A-Z]%*1[ ]%2047[!-~]%*1[ ]HTTP/1.%1d%n", method, target, &minor,
               &length) != 3 ||
        strncmp(head + length, "\r\n", 2) != 0 || target[0] != '/')
        return &bad;
    *isHead = strcmp(method, "HEAD") == 0;
    if (!*isHead && strcmp(method, "GET") != 0) return &notAllowed;
    if (hasBody(head)) return &bad;
    *isLast = minor == 0 || lists(head, "Connection", "close");
    return strcmp(target, "/") == 0 ? &hello : &notFound;
}

/* Responds to as many requests as are complete and as `out` has room for. Returns whether there was
 * any. */
static int respondToRequests(Connection *c) {
    char *head = c->in;
    head[c->inLength] = '\0';
    while (!c->isLast && sizeof(c->out) - c->outEnd >= LONGEST_RESPONSE) {
        char *end = strstr(head, "\r\n\r\n");
        if (!end && (head > c->in || c->inLength < sizeof(c->in) - 1)) break;
        if (end) end[2] = '\0';
        int isHead;
        const Response *response = judge(end ? head : "", &isHead, &c->isLast);
        c->outEnd += (size_t)snprintf(
            c->out + c->outEnd, LONGEST_RESPONSE,
            "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s%s\r\n%s",
            response->status, strlen(response->page), response->header,
            c->isLast ? "Connection: close\r\n" : "", isHead ? "" : response->page);
        if (end) head = end + 4;
    }
    c->inLength = c->isLast ? 0 : (size_t)(c->in + c->inLength - head);
    memmove(c->in, head, c->inLength);
    return c->outEnd > 0;
}

/* Reads or writes once. Returns whether the connection can still be used. */
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
    while (ok && !c->outEnd && respondToRequests(c)) ok = transfer(c);

    int wanted = c->outEnd ? AE_WRITABLE : AE_READABLE, has = aeGetFileEvents(loop, fd);
    if (wanted != has) ok = ok && aeCreateFileEvent(loop, fd, wanted, onReady, c) == AE_OK;
    if (wanted != has) aeDeleteFileEvent(loop, fd, has);
    if (!ok) closeConnection(loop, c);
}

static void onConnection(aeEventLoop *loop, int listener, void *clientData, int mask);

static int resumeAccepting(aeEventLoop *loop, long long id, void *clientData) {
    AE_NOTUSED(id);
    if (aeCreateFileEvent(loop, *(int *)clientData, AE_READABLE, onConnection, clientData) ==
        AE_ERR)
        return ACCEPT_PAUSE_MS;
    return AE_NOMORE;
}

/* Accepts one connection; if there are more, this is called again. When accept fails, for example
 * because there are no more fds, the listener stays readable and the loop would spin: the server
 * stops listening for a while. */
static void onConnection(aeEventLoop *loop, int listener, void *clientData, int mask) {
    int peer = anetTcpAccept(NULL, listener, NULL, 0, NULL);
    AE_NOTUSED(mask);
    if (peer == ANET_ERR) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && !anetAcceptFailureNeedsRetry(errno) &&
            aeCreateTimeEvent(loop, ACCEPT_PAUSE_MS, resumeAccepting, clientData, NULL) != AE_ERR)
            aeDeleteFileEvent(loop, listener, AE_READABLE);
        return;
    }
    Connection *c = calloc(1, sizeof(*c));
    if (c) c->fd = peer, c->timer = AE_ERR;
    if (!c)
        close(peer);
    else if (!restartTimer(loop, c) ||
             aeCreateFileEvent(loop, peer, AE_READABLE, onReady, c) == AE_ERR)
        closeConnection(loop, c);
}

/* Returns the number in `text`, or -1 if it is not a number from 0 to `most`. */
static int numberOf(const char *text, int most) {
    char *end;
    long number = strtol(text, &end, 10);
    return *text && !*end && number >= 0 && number <= most ? (int)number : -1;
}

static void fail(const char *why) {
    fprintf(stderr, "http: %s\n", why);
    exit(1);
}

int main(int argc, char **argv) {
    char err[ANET_ERR_LEN], host[] = "127.0.0.1";
    int port = argc > 1 ? numberOf(argv[1], 65535) : 0, listener;
    int idleSeconds = argc > 2 ? numberOf(argv[2], INT_MAX / 1000) : idleMs / 1000;
    if (argc > 3 || port < 0 || idleSeconds < 0)
        return fputs("usage: http [port] [idle-seconds]\n", stderr), 2;
    idleMs = idleSeconds * 1000;
    signal(SIGPIPE,
           SIG_IGN); /* a write to a closed connection fails, and does not end the program */
    aeEventLoop *loop = aeCreateEventLoop(MAX_FDS);
    if (!loop) fail(strerror(errno));
    listener = anetTcpServer(err, port, host, 511);
    if (listener == ANET_ERR || anetNonBlock(err, listener) == ANET_ERR) fail(err);
    if (aeCreateFileEvent(loop, listener, AE_READABLE, onConnection, &listener) == AE_ERR ||
        anetFdToString(listener, NULL, 0, &port, 0) == ANET_ERR)
        fail(strerror(errno));
    printf("http: listening on 127.0.0.1:%d\n", port);
    fflush(stdout);
    aeMain(loop);
}
