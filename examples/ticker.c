/* A recurring timer: tells each second how much time has passed.
 *
 *     cc -I. examples/ticker.c ae.c -o ticker && ./ticker [ticks]
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include "ae.h"
#include <limits.h>
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

/* What a handler returns counts from that moment, which is always a little late. Returning 1000
 * each time would add these delays up; aiming for the next full second does not. */
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

/* Returns the number, or -1 if `text` is none from 0 to `most`. */
static int numberOf(const char *text, int most) {
    char *end;
    long number = strtol(text, &end, 10);
    return *text && !*end && number >= 0 && number <= most ? (int)number : -1;
}

int main(int argc, char **argv) {
    int ticks = argc > 1 ? numberOf(argv[1], INT_MAX) : 0;
    if (argc > 2 || ticks < 0) return fputs("usage: ticker [ticks]\n", stderr), 2;
    aeEventLoop *loop = aeCreateEventLoop(1); /* there is no fd to watch */
    Ticker *ticker = loop ? malloc(sizeof(*ticker)) : NULL;
    if (!ticker) {
        perror("ticker");
        return 1;
    }
    ticker->begin = nowMs();
    ticker->ticksLeft = ticks;
    if (aeCreateTimeEvent(loop, 1000, onTick, ticker, releaseTicker) == AE_ERR) {
        perror("ticker");
        return 1;
    }
    aeMain(loop);
    aeDeleteEventLoop(loop);
}
