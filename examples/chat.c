/* A chat room for telnet or nc. Every guest has a name and receives every line. Idle guests are
 * disconnected. A guest who does not read makes the others wait (back-pressure).
 *
 *     cc -I. examples/chat.c ae.c anet.c -o chat
 *     ./chat [port] [idle-seconds] [catch-up-seconds]
 *
 * Each line is put into the outbox of every guest. The before-sleep hook writes the outboxes once
 * in each iteration, so ten lines for a guest need one write. No handler closes a connection: it
 * marks the guest as leaving, and the hook closes the connection.
 *
 * When an outbox is half full, the server reads from no guest until that outbox is empty. So TCP
 * makes the guests who send wait for the guest who does not read. That guest is disconnected if its
 * outbox is not empty after some seconds.
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
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_FDS = 100000,
    LONGEST_NAME = 20,
    LONGEST_LINE = 400,
    LONGEST_MESSAGE = LONGEST_LINE + LONGEST_NAME + 8,
    OUTBOX = 64 * 1024,
    ACCEPT_PAUSE_MS = 100
};

typedef struct Guest {
    struct Guest *next, *prev;
    int fd;
    int isLeaving; /* the hook closes the connection */
    int isBehind;  /* the outbox was half full, and was not empty since then */
    long long timer;
    size_t nameLength; /* 0 until there is a name */
    size_t lineLength, outStart, outEnd;
    char name[LONGEST_NAME + 1], line[LONGEST_LINE + 1], out[OUTBOX];
} Guest;

static Guest *guests;
static int idleMs = 300 * 1000, catchUpMs = 5000;
static int behind; /* how many guests are behind; if there are any, the server does not read */

static void onReadable(aeEventLoop *loop, int fd, void *clientData, int mask);

/* Disconnects a guest to whom nothing more can be sent. */
static void giveUp(Guest *guest) {
    guest->outStart = guest->outEnd = 0;
    guest->isLeaving = 1;
}

static void readFromAll(aeEventLoop *loop) {
    for (Guest *guest = guests; guest; guest = guest->next)
        if (aeCreateFileEvent(loop, guest->fd, AE_READABLE, onReadable, guest) == AE_ERR)
            giveUp(guest);
}

static void stopReading(aeEventLoop *loop) {
    for (Guest *guest = guests; guest; guest = guest->next)
        aeDeleteFileEvent(loop, guest->fd, AE_READABLE);
}

/* A new deadline replaces the previous one: there is one for each line. */
static int onDeadline(aeEventLoop *loop, long long id, void *clientData);

static void giveTime(aeEventLoop *loop, Guest *guest, int milliseconds) {
    aeDeleteTimeEvent(loop, guest->timer);
    guest->timer = aeCreateTimeEvent(loop, milliseconds, onDeadline, guest, NULL);
    if (guest->timer == AE_ERR) giveUp(guest); /* no guest without a deadline */
}

static void fellBehind(aeEventLoop *loop, Guest *guest) {
    guest->isBehind = 1;
    if (behind++ == 0) stopReading(loop);
    giveTime(loop, guest, catchUpMs);
}

static void caughtUp(aeEventLoop *loop, Guest *guest) {
    guest->isBehind = 0;
    if (--behind == 0) readFromAll(loop);
    giveTime(loop, guest, idleMs);
}

static void enqueue(aeEventLoop *loop, Guest *guest, const char *message, size_t length) {
    if (guest->isLeaving) return;
    if (guest->outStart > 0) {
        guest->outEnd -= guest->outStart;
        memmove(guest->out, guest->out + guest->outStart, guest->outEnd);
        guest->outStart = 0;
    }
    if (length > OUTBOX - guest->outEnd) {
        giveUp(guest);
        return;
    }
    memcpy(guest->out + guest->outEnd, message, length);
    guest->outEnd += length;
    if (guest->outEnd > OUTBOX / 2 && !guest->isBehind) fellBehind(loop, guest);
}

/* Sends to one guest, or to all guests who have a name if `to` is NULL. */
static void say(aeEventLoop *loop, Guest *to, const char *format, ...) {
    char message[LONGEST_MESSAGE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof(message)) return; /* cannot happen */
    if (to) enqueue(loop, to, message, (size_t)length);
    for (Guest *guest = to ? NULL : guests; guest; guest = guest->next)
        if (guest->nameLength) enqueue(loop, guest, message, (size_t)length);
}

static int onDeadline(aeEventLoop *loop, long long id, void *clientData) {
    Guest *guest = clientData;
    AE_NOTUSED(id);
    if (!guest->isBehind && behind) return idleMs; /* silent because the server does not read */
    guest->timer = AE_ERR;
    if (!guest->isBehind) say(loop, guest, "* You have been silent for too long.\n");
    guest->isLeaving = 1;
    return AE_NOMORE;
}

/* A name is a word that no other guest has. */
static void introduce(aeEventLoop *loop, Guest *guest) {
    int isGood = guest->lineLength > 0 && guest->lineLength <= LONGEST_NAME;
    for (size_t i = 0; i < guest->lineLength; i++)
        if (guest->line[i] == ' ' || guest->line[i] == '/') isGood = 0;
    for (Guest *other = guests; isGood && other; other = other->next)
        if (strcmp(other->name, guest->line) == 0) isGood = 0;
    if (!isGood) {
        say(loop, guest, "* That name is not valid or is in use. What is your name?\n");
        return;
    }
    memcpy(guest->name, guest->line, guest->lineLength + 1);
    guest->nameLength = guest->lineLength;
    say(loop, NULL, "* %s is here.\n", guest->name);
}

static void tellWhoIsHere(aeEventLoop *loop, Guest *guest) {
    for (Guest *other = guests; other && !guest->isBehind; other = other->next)
        if (other->nameLength) say(loop, guest, "* %s\n", other->name);
}

static void onLine(aeEventLoop *loop, Guest *guest) {
    guest->line[guest->lineLength] = '\0';
    if (!guest->nameLength)
        introduce(loop, guest);
    else if (strcmp(guest->line, "/who") == 0)
        tellWhoIsHere(loop, guest);
    else if (strcmp(guest->line, "/quit") == 0)
        guest->isLeaving = 1;
    else if (guest->lineLength > 0)
        say(loop, NULL, "%s: %s\n", guest->name, guest->line);
    guest->lineLength = 0;
}

/* Control characters are dropped, because they could move the cursor on the terminals of other
 * guests. This also drops the carriage return of telnet. A line that is too long is continued in
 * the next line. */
static void onReadable(aeEventLoop *loop, int fd, void *clientData, int mask) {
    Guest *guest = clientData;
    unsigned char input[512];
    AE_NOTUSED(mask);
    ssize_t length = read(fd, input, sizeof(input));
    if (length == -1 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) {
        giveUp(guest);
        return;
    }
    giveTime(loop, guest, idleMs);
    for (ssize_t i = 0; i < length && !guest->isLeaving; i++) {
        if (input[i] >= ' ' && input[i] != 0x7f) guest->line[guest->lineLength++] = (char)input[i];
        if (input[i] == '\n' || guest->lineLength == LONGEST_LINE) onLine(loop, guest);
    }
}

/* Writes as much as possible, and the rest when there is room again. */
static void onWritable(aeEventLoop *loop, int fd, void *clientData, int mask) {
    Guest *guest = clientData;
    AE_NOTUSED(mask);
    ssize_t length = write(fd, guest->out + guest->outStart, guest->outEnd - guest->outStart);
    if (length == -1 && errno != EAGAIN && errno != EINTR) {
        giveUp(guest);
        return;
    }
    if (length > 0) guest->outStart += (size_t)length;
    if (guest->outStart < guest->outEnd) {
        if (aeCreateFileEvent(loop, fd, AE_WRITABLE, onWritable, guest) == AE_ERR) giveUp(guest);
        return;
    }
    guest->outStart = guest->outEnd = 0;
    aeDeleteFileEvent(loop, fd, AE_WRITABLE);
    if (guest->isBehind) caughtUp(loop, guest);
}

static void removeGuest(aeEventLoop *loop, Guest *guest) {
    if (guest->next) guest->next->prev = guest->prev;
    if (guest->prev)
        guest->prev->next = guest->next;
    else
        guests = guest->next;
    if (guest->isBehind && --behind == 0) readFromAll(loop);
    if (guest->nameLength) say(loop, NULL, "* %s has left.\n", guest->name);
    aeDeleteTimeEvent(loop, guest->timer);
    aeDeleteFileEvent(loop, guest->fd, AE_READABLE | AE_WRITABLE);
    close(guest->fd);
    free(guest);
}

/* Removing a guest adds a message to the outboxes of the others, so the loop over them starts
 * again. */
static void beforeSleep(aeEventLoop *loop) {
    Guest *guest = guests;
    while (guest) {
        if (guest->outEnd > 0 && !(aeGetFileEvents(loop, guest->fd) & AE_WRITABLE))
            onWritable(loop, guest->fd, guest, AE_WRITABLE);
        Guest *next = guest->next;
        if (guest->isLeaving) {
            removeGuest(loop, guest);
            next = guests;
        }
        guest = next;
    }
}

static void onConnection(aeEventLoop *loop, int listener, void *clientData, int mask);

static int resumeAccepting(aeEventLoop *loop, long long id, void *clientData) {
    AE_NOTUSED(id);
    if (aeCreateFileEvent(loop, *(int *)clientData, AE_READABLE, onConnection, clientData) ==
        AE_ERR)
        return ACCEPT_PAUSE_MS;
    return AE_NOMORE;
}

/* When accept fails, for example because there are no more fds, the listener stays readable and the
 * loop would spin: the server stops listening for a while. */
static void onConnection(aeEventLoop *loop, int listener, void *clientData, int mask) {
    int fd = anetTcpAccept(NULL, listener, NULL, 0, NULL);
    AE_NOTUSED(mask);
    if (fd == ANET_ERR) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && !anetAcceptFailureNeedsRetry(errno) &&
            aeCreateTimeEvent(loop, ACCEPT_PAUSE_MS, resumeAccepting, clientData, NULL) != AE_ERR)
            aeDeleteFileEvent(loop, listener, AE_READABLE);
        return;
    }
    Guest *guest = malloc(sizeof(*guest));
    if (!guest || (!behind && aeCreateFileEvent(loop, fd, AE_READABLE, onReadable, guest))) {
        free(guest);
        close(fd);
        return;
    }
    memset(guest, 0, offsetof(Guest, out));
    guest->fd = fd;
    guest->timer = AE_ERR;
    guest->next = guests;
    if (guests) guests->prev = guest;
    guests = guest;
    giveTime(loop, guest, idleMs);
    say(loop, guest, "* Welcome. What is your name?\n");
}

/* Returns the number in `text`, or -1 if it is not a number from 0 to `most`. */
static int numberOf(const char *text, int most) {
    char *end;
    long number = strtol(text, &end, 10);
    return *text && !*end && number >= 0 && number <= most ? (int)number : -1;
}

static void fail(const char *why) {
    fprintf(stderr, "chat: %s\n", why);
    exit(1);
}

int main(int argc, char **argv) {
    char err[ANET_ERR_LEN], host[] = "127.0.0.1";
    int port = argc > 1 ? numberOf(argv[1], 65535) : 0, listener;
    int idle = argc > 2 ? numberOf(argv[2], INT_MAX / 1000) : idleMs / 1000;
    int catchUp = argc > 3 ? numberOf(argv[3], INT_MAX / 1000) : catchUpMs / 1000;
    if (argc > 4 || port < 0 || idle < 0 || catchUp < 0)
        return fputs("usage: chat [port] [idle-seconds] [catch-up-seconds]\n", stderr), 2;
    idleMs = idle * 1000;
    catchUpMs = catchUp * 1000;
    signal(SIGPIPE,
           SIG_IGN); /* a write to a closed connection fails, and does not end the program */
    aeEventLoop *loop = aeCreateEventLoop(MAX_FDS);
    if (!loop) fail(strerror(errno));
    listener = anetTcpServer(err, port, host, 511);
    if (listener == ANET_ERR || anetNonBlock(err, listener) == ANET_ERR) fail(err);
    if (aeCreateFileEvent(loop, listener, AE_READABLE, onConnection, &listener) == AE_ERR ||
        anetFdToString(listener, NULL, 0, &port, 0) == ANET_ERR)
        fail(strerror(errno));
    aeSetBeforeSleepProc(loop, beforeSleep);
    printf("chat: listening on 127.0.0.1:%d\n", port);
    fflush(stdout);
    aeMain(loop);
}
