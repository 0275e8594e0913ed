/* Linked into examples/http with --wrap: counts the timers of the program, and checks that each
 * fires or is cancelled exactly once. SIGTERM ends the program's aeMain and the program, which then
 * prints the counts.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#define _XOPEN_SOURCE 700
#include "ae.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

long long __real_aeCreateTimeEvent(aeEventLoop *el, long long milliseconds, aeTimeProc *proc,
                                   void *clientData, aeEventFinalizerProc *finalizerProc);
int __real_aeDeleteTimeEvent(aeEventLoop *el, long long id);
void __real_aeMain(aeEventLoop *el);

enum { PENDING, CANCELLED, FIRED, MOST_TIMERS = 1 << 20 };

typedef struct {
    aeTimeProc *proc;
    void *clientData;
    int state;
} Record;

static Record records[MOST_TIMERS]; /* by id */
static long long made, cancelled, fired;
static aeEventLoop *theLoop;

static void fail(const char *what, long long id) {
    fprintf(stderr, "timers: %s: %lld\n", what, id);
    exit(1);
}

static int onFire(aeEventLoop *el, long long id, void *clientData) {
    Record record = records[id];
    (void)clientData;
    if (record.state != PENDING) fail("fired, but had ended", id);
    records[id].state = FIRED;
    fired++;
    int again = record.proc(el, id, record.clientData);
    if (again != AE_NOMORE) fail("fires again, which http's do not", id);
    return again;
}

long long __wrap_aeCreateTimeEvent(aeEventLoop *el, long long milliseconds, aeTimeProc *proc,
                                   void *clientData, aeEventFinalizerProc *finalizerProc) {
    long long id = __real_aeCreateTimeEvent(el, milliseconds, onFire, NULL, finalizerProc);
    if (id == AE_ERR) return AE_ERR;
    if (id != made++) fail("ids are not given out in order", id);
    if (id >= MOST_TIMERS) fail("more timers than can be counted", id);
    records[id] = (Record){proc, clientData, PENDING};
    return id;
}

int __wrap_aeDeleteTimeEvent(aeEventLoop *el, long long id) {
    int result = __real_aeDeleteTimeEvent(el, id);
    int wasPending = id >= 0 && id < made && records[id].state == PENDING;
    if (result == AE_OK && !wasPending) fail("cancelled, but had ended", id);
    if (result == AE_ERR && wasPending) fail("not cancelled, though pending", id);
    if (result == AE_OK) records[id].state = CANCELLED, cancelled++;
    return result;
}

static void onTerm(int signal) {
    (void)signal;
    aeStop(theLoop);
}

void __wrap_aeMain(aeEventLoop *el) {
    struct sigaction action = {.sa_handler = onTerm};
    theLoop = el;
    memset(records, 0xFF,
           sizeof(records)); /* so that it does not grow while the program's memory is measured */
    sigaction(SIGTERM, &action, NULL);
    __real_aeMain(el);
    printf("load: the server's timers: %lld made, %lld fired, %lld cancelled, %lld pending\n", made,
           fired, cancelled, made - fired - cancelled);
    fflush(stdout);
    if (made != fired + cancelled) fail("are left when all have gone", made - fired - cancelled);
}
