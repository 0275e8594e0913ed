/* Calls the functions of timers with a clock that returns any time at each call, and any deadlines.
 * See README.md.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "any.h"

static int runsOut; /* allocations may fail */

static void *proveMalloc(size_t size) {
    return runsOut && maybe() ? NULL : malloc(size);
}

static void *proveRealloc(void *memory, size_t size) {
    return runsOut && maybe() ? NULL : realloc(memory, size);
}

#define AE_MALLOC proveMalloc
#define AE_REALLOC proveRealloc
#define AE_FREE free

#include "kernel.h"

#include "../../ae.c"

static long long anyTime(void) {
    return Frama_C_long_long_interval(LLONG_MIN, LLONG_MAX);
}

static aeTimeProc onTime;
static aeEventFinalizerProc onEnd;
static int firingsLeft; /* after which a handler returns AE_NOMORE */
static int callsLeft;   /* that handlers and finalizers may make */

#define CREATE(loop) aeCreateTimeEvent(loop, anyTime(), onTime, NULL, maybe() ? onEnd : NULL)
#define DELETE(loop) aeDeleteTimeEvent(loop, eachOf(-1, (int)(loop)->timeEventNextId))

static int onTime(aeEventLoop *loop, long long id, void *data) {
    if (firingsLeft == 0) return AE_NOMORE;
    firingsLeft--;
    return anyInt();
}

static void onEnd(aeEventLoop *loop, void *data) {
}

static void onReady(aeEventLoop *loop, int fd, void *data, int mask) {
}

/* Two timers with any deadlines, with or without a finalizer; one of them or none is deleted; then
 * the loop is deleted. */
void twoTimers(void) {
    runsOut = 1;
    aeEventLoop *loop = aeCreateEventLoop(8);
    if (!loop) return;
    CREATE(loop);
    errno = 0;
    CREATE(loop);
    errno = 0;
    DELETE(loop);
    aeDeleteEventLoop(loop);
}

/* A timer that fires up to three times, in one or in two iterations. */
void firing(void) {
    aeEventLoop *loop = aeCreateEventLoop(8);
    CREATE(loop);
    firingsLeft = 2;
    aeProcessEvents(loop, AE_TIME_EVENTS);
    aeProcessEvents(loop, AE_TIME_EVENTS | AE_DONT_WAIT);
    aeDeleteEventLoop(loop);
}

/* A timer of any deadline, whose finalizer makes any one call, or a nested iteration, while the
 * loop runs or while it is deleted. */
static void onEndCalling(aeEventLoop *loop, void *data) {
    if (callsLeft == 0) return;
    callsLeft--;
    switch (eachOf(0, 2)) {
    case 0:
        CREATE(loop);
        break;
    case 1:
        DELETE(loop);
        break;
    case 2:
        aeProcessEvents(loop, AE_TIME_EVENTS | AE_DONT_WAIT);
        break;
    }
    if (loop->isEnding) aeCreateFileEvent(loop, 1, AE_READABLE, onReady, NULL);
    errno = 0;
}

void callsFromFinalizers(void) {
    aeEventLoop *loop = aeCreateEventLoop(8);
    aeCreateTimeEvent(loop, anyTime(), onTime, NULL, onEndCalling);
    aeCreateTimeEvent(loop, anyTime(), NULL, NULL, NULL);
    callsLeft = 1;
    aeProcessEvents(loop, AE_TIME_EVENTS | AE_DONT_WAIT);
    aeDeleteEventLoop(loop);
}

/* The analyser does not know that the earliest of several unknown deadlines is the one of a timer
 * that waits. So with several timers the clock is known, and their delays are examined one by one.
 */
static const int delays[] = {AE_NOMORE, 0, 1};
#define ONE_DELAY(first) delays[eachOf(first, 2)]
#define CREATE_KNOWN(loop, proc, end) aeCreateTimeEvent(loop, ONE_DELAY(1), proc, NULL, end)

static int onKnownTime(aeEventLoop *loop, long long id, void *data) {
    if (firingsLeft == 0) return AE_NOMORE;
    firingsLeft--;
    return ONE_DELAY(0);
}

/* Two timers, one of which may fire again. */
void firingTwo(void) {
    aeEventLoop *loop = aeCreateEventLoop(8);
    clockIsKnown = 1;
    CREATE_KNOWN(loop, onKnownTime, onEnd);
    CREATE_KNOWN(loop, onKnownTime, NULL);
    firingsLeft = 1;
    aeProcessEvents(loop, AE_TIME_EVENTS | AE_DONT_WAIT);
    aeDeleteEventLoop(loop);
}

/* A timer whose handler makes any one call, or a nested iteration, and may fire again. */
static int onCalling(aeEventLoop *loop, long long id, void *data) {
    if (callsLeft == 0) return onKnownTime(loop, id, data);
    callsLeft--;
    switch (eachOf(0, 2)) {
    case 0:
        CREATE_KNOWN(loop, onKnownTime, onEnd);
        break;
    case 1:
        DELETE(loop);
        break;
    case 2:
        aeProcessEvents(loop, AE_TIME_EVENTS | AE_DONT_WAIT);
        break;
    }
    errno = 0;
    return onKnownTime(loop, id, data);
}

void callsFromHandlers(void) {
    aeEventLoop *loop = aeCreateEventLoop(8);
    clockIsKnown = 1;
    CREATE_KNOWN(loop, onCalling, maybe() ? onEnd : NULL);
    callsLeft = 1;
    firingsLeft = 1;
    aeProcessEvents(loop, AE_TIME_EVENTS | AE_DONT_WAIT);
    aeDeleteEventLoop(loop);
}

/// The parts of the section ///////////////////////////////////////////////////////////////////////

/* Blocks are added until there are three trees above them; any allocation fails, and is tried
 * again. */
void blocks(void) {
    struct aeTimers *timers = newTimers();
    timers->blocks = MOST_BLOCKS;
    addBlock(timers); /* is refused */
    timers->blocks = 0;
    for (int i = 0; i < WIDTH + 2; i++) {
        runsOut = i < 3 || i == CHUNK || i >= WIDTH;
        if (addBlock(timers) == AE_OK) continue;
        errno = 0;
        runsOut = 0;
        addBlock(timers);
        break;
    }
    freeTimers(timers);
}

/* Timers in any state, and more states than are possible: every deadline and count is unknown,
 * every link and every leaf in a node is any one that exists. Each function, in such a state,
 * leaves one. */
enum { STATE_LEAVES = STATE_BLOCKS * WIDTH };

static aeTimeProc *const handlers[] = {NULL, onTime};
static aeEventFinalizerProc *const finalizers[] = {NULL, onEnd};

static uint32_t anyLeaf(void) {
    return (uint32_t)anyOf(0, STATE_LEAVES - 1);
}

static uint64_t anyCount(void) {
    return Frama_C_unsigned_long_long_interval(0, UINT64_MAX);
}

static void forgetTree(Node *nodes, int keepsLeaves) {
    for (uint32_t n = 0; n <= TOP; n++) {
        nodes[n].when = anyCount();
        nodes[n].next = anyLeaf();
        if (n >= WIDTH || !keepsLeaves) nodes[n].leaf = anyLeaf();
    }
}

static aeEventLoop *anyState(void) {
    aeEventLoop *loop = aeCreateEventLoop(8);
    struct aeTimers *timers = loop->timers;
    for (int i = 0; i < STATE_BLOCKS; i++) addBlock(timers);
    if (STATE_BLOCKS > 1) forgetTree(timers->trees[1][0], 0);
    for (uint32_t i = 0; i < STATE_BLOCKS; i++) {
        Block *block = blockAt(timers, i);
        Frama_C_make_unknown((char *)block, sizeof(*block));
        for (uint32_t n = 0; n < WIDTH; n++) block->nodes[n].leaf = i * WIDTH + n;
        forgetTree(block->nodes, 1);
        for (uint32_t n = 0; n < BUCKETS; n++) block->buckets[n] = anyLeaf();
        for (uint32_t n = 0; n < WIDTH; n++)
            block->timers[n] =
                (Timer){anyTime(), handlers[anyOf(0, 1)], finalizers[anyOf(0, 1)], NULL};
    }
    timers->nearest = (Node){anyCount(), anyLeaf(), 0};
    timers->free = anyLeaf();
    timers->firstEnded = anyLeaf();
    timers->lastEnded = anyLeaf();
    timers->endedCount = anyCount();
    timers->finalizedCount = anyCount();
    timers->timerCount = anyCount();
    timers->passEnd = anyCount();
    loop->timeEventNextId = Frama_C_long_long_interval(0, LLONG_MAX - 1);
    return loop;
}

/* A timer that fires has a handler; one that waits for its finalizer has one. That follows from
 * relations between deadlines and lists, which the analyser does not know. */
static void giveFunctions(struct aeTimers *timers) {
    for (uint32_t n = 0; n < STATE_LEAVES; n++) {
        blockOf(timers, n)->timers[n % WIDTH].timeProc = onTime;
        blockOf(timers, n)->timers[n % WIDTH].finalizerProc = onEnd;
    }
}

static void checkTree(const Node *nodes, uint32_t leaves) {
    for (uint32_t n = 0; n <= TOP; n++) {
        //@ assert next: n >= WIDTH || nodes[n].next < leaves;
        //@ assert leaf: nodes[n].leaf < leaves;
    }
}

static void checkState(const aeEventLoop *loop) {
    const struct aeTimers *timers = loop->timers;
    uint32_t leaves = timers->blocks * WIDTH;
    if (timers->blocks > 1) checkTree(timers->trees[1][0], leaves);
    for (uint32_t i = 0; i < timers->blocks; i++) {
        const Block *block = blockAt(timers, i);
        checkTree(block->nodes, leaves);
        for (uint32_t n = 0; n < BUCKETS; n++) {
            //@ assert bucket: block->buckets[n] < leaves;
        }
    }
    //@ assert nearest: timers->nearest.leaf < leaves;
    //@ assert free: timers->free < leaves;
    //@ assert ended: timers->firstEnded < leaves && timers->lastEnded < leaves;
}

void settingDeadlines(void) {
    aeEventLoop *loop = anyState();
    uint32_t leaf = anyLeaf();
    addDeadline(loop->timers, blockOf(loop->timers, leaf), leaf, anyCount());
    leaf = anyLeaf();
    removeDeadline(loop->timers, blockOf(loop->timers, leaf), leaf);
    deadlineIn(loop->timers, anyTime());
    checkState(loop);
}

/* A leaf is free, or the second block is added. */
void creating(void) {
    aeEventLoop *loop = anyState();
    runsOut = 1;
    loop->timers->free = STATE_BLOCKS == 1 ? 0 : (uint32_t)anyOf(1, STATE_LEAVES - 1);
    aeCreateTimeEvent(loop, anyTime(), onTime, NULL, finalizers[anyOf(0, 1)]);
    checkState(loop);
}

void deleting(void) {
    aeEventLoop *loop = anyState();
    aeDeleteTimeEvent(loop, anyTime());
    checkState(loop);
}

void firingNearest(void) {
    aeEventLoop *loop = anyState();
    giveFunctions(loop->timers);
    firingsLeft = anyOf(0, 1);
    fireNearest(loop);
    checkState(loop);
}

void finalizing(void) {
    aeEventLoop *loop = anyState();
    giveFunctions(loop->timers);
    finalizeTimers(loop);
    checkState(loop);
}

void ending(void) {
    aeEventLoop *loop = anyState();
    giveFunctions(loop->timers);
    endTimers(loop);
    checkState(loop);
    freeLoop(loop);
}
