/* A recurring timer: prints each second how much time has passed.
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
    int ticksLeft;   /* 0: no limit */
} Ticker;

static long long nowMs(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The number that a handler returns counts from its return, which is always a little late. If it
 * returned 1000 each time, these delays would add up; so it returns the time to the next full
 * second. */
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

/* The finalizer: it is called once, after the timer has ended for any reason. */
static void releaseTicker(aeEventLoop *loop, void *clientData) {
    AE_NOTUSED(loop);
    free(clientData);
}

/* Returns the number in `text`, or -1 if it is not a number from 0 to `most`. */
static int numberOf(const char *text, int most) {
    char *end;
    long number = strtol(text, &end, 10);
    return *text && !*end && number >= 0 && number <= most ? (int)number : -1;
}

int main(int argc, char **argv) {
    int ticks = argc > 1 ? numberOf(argv[1], INT_MAX) : 0;
    if (argc > 2 || ticks < 0) return fputs("usage: ticker [ticks]\n", stderr), 2;
    aeEventLoop *loop = aeCreateEventLoop(1); /* no fds */
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
