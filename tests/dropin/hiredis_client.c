/* An asynchronous client with hiredis's own adapters/ae.h, unchanged. It sets and gets 10,000 keys,
 * receives 10,000 messages that it publishes itself, and then the server is stopped and started
 * again. It prints "ready" when the server is to be stopped, "away" when it is to be started again,
 * and "done" at the end. If anything is wrong, it exits with 1.
 *
 *     hiredis_client PORT
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#define _XOPEN_SOURCE 700
#include "ae.h"
#include <hiredis/adapters/ae.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 10000, WINDOW = 100, MESSAGES = 10000, RETRY_MS = 20, TIME_LIMIT_MS = 300000 };

static aeEventLoop *loop;
static redisAsyncContext *commands, *news;
static int port, lives; /* how often both connections were made */
static int connected, refused, unanswered, toldAway;
static int setDone, getDone, sent, heard, published;

static void fail(const char *what) {
    fprintf(stderr, "hiredis_client: %s\n", what);
    exit(1);
}

static void tell(const char *what) {
    puts(what);
    fflush(stdout);
}

static void expect(int holds, const char *what) {
    if (!holds) fail(what);
}

static void openConnection(redisAsyncContext **context);

/// The server stops and starts ////////////////////////////////////////////////////////////////////

/* Gets no reply, because the server is stopped before. */
static void onNeverPushed(redisAsyncContext *context, void *reply, void *privdata) {
    AE_NOTUSED(context), AE_NOTUSED(privdata);
    expect(!reply, "a reply from a server that was stopped");
    unanswered++;
}

static void waitForTheEnd(void) {
    if (lives == 2) {
        redisAsyncDisconnect(commands);
        redisAsyncDisconnect(news);
        return;
    }
    expect(redisAsyncCommand(commands, onNeverPushed, NULL, "BLPOP libae:never 0") == REDIS_OK,
           "BLPOP");
    tell("ready");
}

static int onRetry(aeEventLoop *eventLoop, long long id, void *clientData) {
    AE_NOTUSED(eventLoop), AE_NOTUSED(id);
    openConnection(clientData);
    return AE_NOMORE;
}

/* Each connection is made again separately: the server may start between the two. */
static void onEnd(const redisAsyncContext *context) {
    redisAsyncContext **slot = context == commands ? &commands : &news;
    *slot = NULL;
    if (lives == 2) {
        if (!commands && !news) aeStop(loop);
        return;
    }
    if (aeCreateTimeEvent(loop, RETRY_MS, onRetry, slot, NULL) == AE_ERR) fail("no timer");
}

static void onDisconnected(const redisAsyncContext *context, int status) {
    expect((status == REDIS_OK) == (lives == 2), context->errstr);
    connected--;
    onEnd(context);
}

/// SET and GET, PUBLISH and SUBSCRIBE /////////////////////////////////////////////////////////////

static void sendMessages(void) {
    for (; sent < MESSAGES && sent - heard < WINDOW; sent++)
        if (redisAsyncCommand(commands, NULL, NULL, "PUBLISH libae:news %d-%d", lives, sent) !=
            REDIS_OK)
            fail("PUBLISH");
}

static void onNews(redisAsyncContext *context, void *answer, void *privdata) {
    const redisReply *reply = answer;
    char expected[64];
    AE_NOTUSED(context), AE_NOTUSED(privdata);
    if (!reply) return; /* the server was stopped */
    expect(reply->type == REDIS_REPLY_ARRAY && reply->elements == 3, "a message has three parts");
    if (strcmp(reply->element[0]->str, "subscribe") == 0) {
        published = 1;
        sendMessages();
        return;
    }
    snprintf(expected, sizeof(expected), "%d-%d", lives, heard);
    expect(strcmp(reply->element[2]->str, expected) == 0, "the messages come in their order");
    heard++;
    sendMessages();
    if (heard == MESSAGES) waitForTheEnd();
}

static void onGot(redisAsyncContext *context, void *answer, void *privdata) {
    const redisReply *reply = answer;
    char expected[64];
    AE_NOTUSED(context), AE_NOTUSED(privdata);
    snprintf(expected, sizeof(expected), "value %d of %d", getDone, lives);
    expect(reply && reply->type == REDIS_REPLY_STRING && strcmp(reply->str, expected) == 0,
           "GET returns the value of SET");
    getDone++;
    if (getDone == KEYS &&
        redisAsyncCommand(news, onNews, NULL, "SUBSCRIBE libae:news") != REDIS_OK)
        fail("SUBSCRIBE");
}

static void setMore(void);

static void onSet(redisAsyncContext *context, void *answer, void *privdata) {
    const redisReply *reply = answer;
    AE_NOTUSED(context), AE_NOTUSED(privdata);
    expect(reply && reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "OK") == 0,
           "SET is OK");
    if (redisAsyncCommand(commands, onGot, NULL, "GET libae:%d", setDone++) != REDIS_OK)
        fail("GET");
    setMore();
}

static int setsSent;

static void setMore(void) {
    for (; setsSent < KEYS && setsSent - setDone < WINDOW; setsSent++)
        if (redisAsyncCommand(commands, onSet, NULL, "SET libae:%d %s%d%s%d", setsSent, "value ",
                              setsSent, " of ", lives) != REDIS_OK)
            fail("SET");
}

/// Connecting /////////////////////////////////////////////////////////////////////////////////////

static void onConnected(const redisAsyncContext *context, int status) {
    if (status != REDIS_OK) {
        if (++refused >= 2 && connected == 0 && !toldAway) {
            toldAway = 1;
            tell("away");
        }
        onEnd(context);
        return;
    }
    if (++connected < 2) return;
    lives++;
    setDone = setsSent = getDone = sent = heard = published = 0;
    setMore();
}

static void openConnection(redisAsyncContext **context) {
    *context = redisAsyncConnect("127.0.0.1", port);
    expect(*context && !(*context)->err, "connecting begins");
    expect(redisAeAttach(loop, *context) == REDIS_OK, "the adapter attaches");
    expect(redisAsyncSetConnectCallback(*context, onConnected) == REDIS_OK, "a callback");
    expect(redisAsyncSetDisconnectCallback(*context, onDisconnected) == REDIS_OK, "a callback");
}

static int onTimeLimit(aeEventLoop *eventLoop, long long id, void *clientData) {
    AE_NOTUSED(eventLoop), AE_NOTUSED(id), AE_NOTUSED(clientData);
    fail("out of time");
    return AE_NOMORE;
}

int main(int argc, char **argv) {
    port = argc > 1 ? atoi(argv[1]) : 6379;
    signal(SIGPIPE, SIG_IGN);
    loop = aeCreateEventLoop(64);
    if (!loop || aeCreateTimeEvent(loop, TIME_LIMIT_MS, onTimeLimit, NULL, NULL) == AE_ERR)
        fail("no loop");
    tell(aeGetApiName());
    openConnection(&commands);
    openConnection(&news);
    aeMain(loop);

    expect(lives == 2 && unanswered == 1 && refused >= 2, "both servers were used");
    expect(setDone == KEYS && getDone == KEYS && heard == MESSAGES && published, "all is done");
    expect(loop->maxfd == -1, "hiredis has left nothing registered");
    aeDeleteEventLoop(loop);
    tell("done");
}
