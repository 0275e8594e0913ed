/* SET, GET, SUBSCRIBE and PUBLISH on a Redis server through hiredis, which brings its own adapter
 * for ae.h. Nothing blocks, and one timer limits how long it waits.
 *
 *     cc -I. examples/hiredis.c ae.c $(pkg-config --cflags --libs hiredis) -o hiredis
 *     ./hiredis [port [host]]
 *
 * A connection that subscribes can do nothing else, so there are two.
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
static redisAsyncContext *commands, *news; /* NULL once they are gone: hiredis frees them itself */
static int failed;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "hiredis: %s: %s\n", what, why);
    failed = 1;
    aeStop(loop);
}

/* A reply is NULL when the connection ended before it came: the function that ends it tells. */
static int isGood(const redisReply *reply, const char *what) {
    if (reply && reply->type == REDIS_REPLY_ERROR) fail(what, reply->str);
    return reply && reply->type != REDIS_REPLY_ERROR;
}

/* hiredis frees the context after this has returned. */
static void forget(const redisAsyncContext *context) {
    if (context == commands) commands = NULL;
    if (context == news) news = NULL;
    if (!commands && !news) aeStop(loop);
}

/* Both connections fail for the same reason: it is told once. */
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

/* Commands of one connection are served in their order: the GET need not wait for the SET. */
static void setAndGet(void) {
    if (redisAsyncCommand(commands, onSet, NULL, "SET libae:greeting %s", "hello") != REDIS_OK ||
        redisAsyncCommand(commands, onGot, NULL, "GET libae:greeting") != REDIS_OK)
        fail("SET and GET", commands->errstr);
}

/* Once for the subscription itself, then for each message. A disconnect waits for what is under
 * way, and then calls onDisconnected. */
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

/* Without a server to be found, connecting may take minutes. */
static int onTimeLimit(aeEventLoop *eventLoop, long long id, void *clientData) {
    AE_NOTUSED(eventLoop), AE_NOTUSED(id), AE_NOTUSED(clientData);
    fail("gave up", "no answer in time");
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

/* Returns the number, or -1 if `text` is none from 0 to `most`. */
static int numberOf(const char *text, int most) {
    char *end;
    long number = strtol(text, &end, 10);
    return *text && !*end && number >= 0 && number <= most ? (int)number : -1;
}

int main(int argc, char **argv) {
    int port = argc > 1 ? numberOf(argv[1], 65535) : 6379;
    if (argc > 3 || port < 0) return fputs("usage: hiredis [port [host]]\n", stderr), 2;
    const char *host = argc > 2 ? argv[2] : "127.0.0.1"; /* a name would block while looked up */
    loop = aeCreateEventLoop(1024);
    if (!loop || aeCreateTimeEvent(loop, TIME_LIMIT_MS, onTimeLimit, NULL, NULL) == AE_ERR) {
        perror("hiredis");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN); /* a write to a connection that is gone fails, and does not kill */
    commands = openConnection(host, port);
    news = openConnection(host, port);
    if (news && redisAsyncCommand(news, onNews, NULL, "SUBSCRIBE libae:news") != REDIS_OK)
        fail("SUBSCRIBE", news->errstr);
    if (!failed) aeMain(loop);

    /* The contexts take their events off the loop: they go first. */
    if (commands) redisAsyncFree(commands);
    if (news) redisAsyncFree(news);
    aeDeleteEventLoop(loop);
    return failed;
}
