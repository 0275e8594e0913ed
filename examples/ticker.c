/* A recurring timer: tells each second how much time has passed.
 *
 *     cc -I. examples/ticker.c ae.c -o ticker && ./ticker [ticks]
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#define _XOPEN_SOURCE 700
#include "ae.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct {
    long long begin; /* milliseconds of the monotonic clock */
    int ticksLeft;   /* 0: without end */
} Ticker;

static long long nowMs(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What a handler answers counts from its return, which is always a little late. Always answering
 * 1000 would add these delays up; aiming for the next full second does not. */
static int onTick(aeEventLoop *loop, long long id, void *clientData) {
    Ticker *ticker = clientData;
    long long elapsed = nowMs() - ticker->begin;
    AE_NOTUSED(id);
    printf("Tick: %lld s elapsed\n", elapsed / 1000);
    fflush(stdout);
    if (ticker->ticksLeft != 1) {
        if (ticker->ticksLeft > 1) ticker->ticksLeft--;
        return 1000 - (int)(elapsed % 1000);
    }
    aeStop(loop);
    return AE_NOMORE;
}

/* The finalizer: called once, however the timer ended. */
static void releaseTicker(aeEventLoop *loop, void *clientData) {
    AE_NOTUSED(loop);
    free(clientData);
}

int main(int argc, char **argv) {
    aeEventLoop *loop = aeCreateEventLoop(1); /* there is no fd to watch */
    Ticker *ticker = loop ? malloc(sizeof(*ticker)) : NULL;
    if (!ticker) {
        perror("ticker");
        return 1;
    }
    ticker->begin = nowMs();
    ticker->ticksLeft = argc > 1 ? atoi(argv[1]) : 0;
    if (aeCreateTimeEvent(loop, 1000, onTick, ticker, releaseTicker) == AE_ERR) {
        perror("ticker");
        return 1;
    }
    aeMain(loop);
    aeDeleteEventLoop(loop);
}
