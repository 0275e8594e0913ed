/* SET, GET, SUBSCRIBE and PUBLISH on a Redis server through hiredis, which has an adapter for ae.h.
 * Nothing blocks, and one timer limits the wait.
 *
 *     cc -I. examples/hiredis.c ae.c $(pkg-config --cflags --libs hiredis) -o hiredis
 *     ./hiredis [port [host]]
 *
 * A connection that has subscribed cannot send other commands, so there are two connections.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include "ae.h"
#include <hiredis/adapters/ae.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIME_LIMIT_MS = 5000 };

static aeEventLoop *loop;
static redisAsyncContext *commands, *news; /* NULL after hiredis has freed them */
static int failed;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "hiredis: %s: %s\n", what, why);
    failed = 1;
    aeStop(loop);
}

/* A reply is NULL if the connection ended before it: onDisconnected reports that. */
static int isGood(const redisReply *reply, const char *what) {
    if (reply && reply->type == REDIS_REPLY_ERROR) fail(what, reply->str);
    return reply && reply->type != REDIS_REPLY_ERROR;
}

/* hiredis frees the context after this returns. */
static void forget(const redisAsyncContext *context) {
    if (context == commands) commands = NULL;
    if (context == news) news = NULL;
    if (!commands && !news) aeStop(loop);
}

/* Both connections fail for the same reason: it is reported once. */
static void onConnected(const redisAsyncContext *context, int status) {
    if (status == REDIS_OK) return;
    if (!failed) fail("cannot connect", context->errstr);
    forget(context);
}

static void onDisconnected(const redisAsyncContext *context, int status) {
    if (status != REDIS_OK && !failed) fail("disconnected", context->errstr);
    forget(context);
}

static void onPublished(redisAsyncContext *context, void *reply, void *privdata) {
    const redisReply *receivers = reply;
    AE_NOTUSED(context), AE_NOTUSED(privdata);
    if (isGood(reply, "PUBLISH")) printf("published to %lld\n", receivers->integer);
}

static void onGot(redisAsyncContext *context, void *reply, void *privdata) {
    const redisReply *value = reply;
    AE_NOTUSED(privdata);
    if (!isGood(reply, "GET")) return;
    if (value->type != REDIS_REPLY_STRING) {
        fail("GET", "there is no such key");
        return;
    }
    printf("got \"%s\"\n", value->str);
    if (redisAsyncCommand(context, onPublished, NULL, "PUBLISH libae:news %s", value->str) !=
        REDIS_OK)
        fail("PUBLISH", context->errstr);
}

static void onSet(redisAsyncContext *context, void *reply, void *privdata) {
    AE_NOTUSED(context), AE_NOTUSED(privdata);
    if (isGood(reply, "SET")) puts("set");
}

/* The server executes the commands of one connection in order, so GET is sent without waiting for
 * the reply to SET. */
static void setAndGet(void) {
    if (redisAsyncCommand(commands, onSet, NULL, "SET libae:greeting %s", "hello") != REDIS_OK ||
        redisAsyncCommand(commands, onGot, NULL, "GET libae:greeting") != REDIS_OK)
        fail("SET and GET", commands->errstr);
}

/* Called once for the subscription and then for each message. A disconnect first waits for the
 * replies that are pending, then calls onDisconnected. */
static void onNews(redisAsyncContext *context, void *reply, void *privdata) {
    const redisReply *message = reply;
    AE_NOTUSED(privdata);
    if (!isGood(reply, "SUBSCRIBE") || message->type != REDIS_REPLY_ARRAY || message->elements != 3)
        return;
    if (strcmp(message->element[0]->str, "subscribe") == 0) {
        puts("subscribed");
        setAndGet();
    } else if (strcmp(message->element[0]->str, "message") == 0) {
        printf("news: \"%s\"\n", message->element[2]->str);
        redisAsyncDisconnect(context);
        redisAsyncDisconnect(commands);
    }
}

/* If there is no server at the address, connecting may take minutes. */
static int onTimeLimit(aeEventLoop *eventLoop, long long id, void *clientData) {
    AE_NOTUSED(eventLoop), AE_NOTUSED(id), AE_NOTUSED(clientData);
    fail("gave up", "no reply in time");
    return AE_NOMORE;
}

static redisAsyncContext *openConnection(const char *host, int port) {
    redisAsyncContext *context = redisAsyncConnect(host, port);
    if (!context) {
        fail("connect", "out of memory");
        return NULL;
    }
    if (context->err || redisAeAttach(loop, context) != REDIS_OK ||
        redisAsyncSetConnectCallback(context, onConnected) != REDIS_OK ||
        redisAsyncSetDisconnectCallback(context, onDisconnected) != REDIS_OK) {
        fail("connect", context->err ? context->errstr : "cannot attach to the loop");
        redisAsyncFree(context);
        return NULL;
    }
    return context;
}

/* Returns the number in `text`, or -1 if it is not a number from 0 to `most`. */
static int numberOf(const char *text, int most) {
    char *end;
    long number = strtol(text, &end, 10);
    return *text && !*end && number >= 0 && number <= most ? (int)number : -1;
}

int main(int argc, char **argv) {
    int port = argc > 1 ? numberOf(argv[1], 65535) : 6379;
    if (argc > 3 || port < 0) return fputs("usage: hiredis [port [host]]\n", stderr), 2;
    const char *host = argc > 2 ? argv[2] : "127.0.0.1"; /* looking up a name would block */
    loop = aeCreateEventLoop(1024);
    if (!loop || aeCreateTimeEvent(loop, TIME_LIMIT_MS, onTimeLimit, NULL, NULL) == AE_ERR) {
        perror("hiredis");
        return 1;
    }
    signal(SIGPIPE,
           SIG_IGN); /* a write to a closed connection fails, and does not end the program */
    commands = openConnection(host, port);
    news = openConnection(host, port);
    if (news && redisAsyncCommand(news, onNews, NULL, "SUBSCRIBE libae:news") != REDIS_OK)
        fail("SUBSCRIBE", news->errstr);
    if (!failed) aeMain(loop);

    /* Freeing a context deletes its events, so this comes before the loop is deleted. */
    if (commands) redisAsyncFree(commands);
    if (news) redisAsyncFree(news);
    aeDeleteEventLoop(loop);
    return failed;
}
