/* Uses the public fields of an event loop. tests/dropin/abi.sh compiles it with the original header
 * and links it with our library.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "ae.h"

#include <stdio.h>
#include <unistd.h>

static int failures, sleeps, wakes, reads, writes, fired, finalized;

#define CHECK(condition) \
    (condition ? (void)0 : (void)(failures++, printf("line %d: " #condition "\n", __LINE__)))

static void beforeSleep(aeEventLoop *loop) {
    sleeps++;
    loop->privdata[0] = loop;
}

static void afterSleep(aeEventLoop *loop) {
    wakes++;
    CHECK(loop->privdata[0] == loop);
}

static void onReadable(aeEventLoop *loop, int fd, void *clientData, int mask) {
    char byte;
    reads++;
    CHECK(read(fd, &byte, 1) == 1);
    CHECK(mask == AE_READABLE);
    CHECK(clientData == &reads);
    CHECK(loop->fired[0].fd == fd && loop->fired[0].mask == mask);
    aeDeleteFileEvent(loop, fd, AE_READABLE);
}

static void onWritable(aeEventLoop *loop, int fd, void *clientData, int mask) {
    (void)clientData, (void)mask;
    writes++;
    CHECK(write(fd, "x", 1) == 1);
    aeDeleteFileEvent(loop, fd, AE_WRITABLE | AE_BARRIER);
}

static int onTimer(aeEventLoop *loop, long long id, void *clientData) {
    CHECK(loop->timeEventHead && loop->timeEventHead->timeProc == onTimer);
    CHECK(loop->timeEventHead->clientData == clientData);
    CHECK(id == 0);
    if (++fired < 3) return 1;
    aeStop(loop);
    return AE_NOMORE;
}

static void onEnd(aeEventLoop *loop, void *clientData) {
    (void)loop;
    CHECK(clientData == &fired);
    finalized++;
}

int main(void) {
    int fds[2];
    aeEventLoop *loop = aeCreateEventLoop(100);
    CHECK(pipe(fds) == 0);
    CHECK(loop->setsize == 100 && loop->maxfd == -1 && loop->nevents > 0 && loop->nevents <= 100);
    CHECK(!loop->timeEventHead && !loop->privdata[0] && !loop->privdata[1]);
    aeSetBeforeSleepProc(loop, beforeSleep);
    aeSetAfterSleepProc(loop, afterSleep);
    CHECK(loop->beforesleep == beforeSleep && loop->aftersleep == afterSleep && loop->apidata);

    CHECK(aeCreateFileEvent(loop, fds[0], AE_READABLE, onReadable, &reads) == AE_OK);
    CHECK(aeCreateFileEvent(loop, fds[1], AE_WRITABLE | AE_BARRIER, onWritable, &writes) == AE_OK);
    CHECK(loop->maxfd == (fds[0] > fds[1] ? fds[0] : fds[1]));
    CHECK(loop->events[fds[0]].mask == AE_READABLE && loop->events[fds[0]].rfileProc == onReadable);
    CHECK(loop->events[fds[1]].mask == (AE_WRITABLE | AE_BARRIER));
    CHECK(loop->events[fds[1]].wfileProc == onWritable);
    CHECK(loop->events[fds[1]].clientData == &writes);

    CHECK(aeCreateTimeEvent(loop, 1, onTimer, &fired, onEnd) == 0);
    CHECK(loop->timeEventNextId == 1);
    CHECK(loop->timeEventHead->id == 0 && loop->timeEventHead->finalizerProc == onEnd);
    aeMain(loop);

    CHECK(loop->stop && loop->maxfd == -1);
    CHECK(reads == 1 && writes == 1 && fired == 3 && finalized == 1);
    CHECK(sleeps > 0 && sleeps == wakes);
    aeSetDontWait(loop, 1);
    CHECK(loop->flags & AE_DONT_WAIT);
    aeDeleteEventLoop(loop);
    return failures != 0;
}
