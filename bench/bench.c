/* The benches of one library: an adaptor (LOOP_FILE, see README.md), the workloads, and a choice
 * between them. Results are lines of "workload,case,metric,library,value" on stdout.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what) {
    fprintf(stderr, "bench: " LOOP_NAME ": %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *array(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (!memory) fail("calloc");
    return memory;
}

#include LOOP_FILE

static int64_t nowNs(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The cost of reading the clock, which is subtracted from short measurements. */
static int64_t clockCost(void) {
    static int64_t cost = -1;
    if (cost == -1) {
        cost = INT64_MAX;
        for (int i = 0; i < 1000; i++) {
            int64_t start = nowNs(), elapsed = nowNs() - start;
            if (elapsed < cost) cost = elapsed;
        }
    }
    return cost;
}

/* The same sequence in every run: xorshift. */
static uint64_t randomState = 88172645463325252u;
static int randomBelow(int limit) {
    randomState ^= randomState << 13;
    randomState ^= randomState >> 7;
    randomState ^= randomState << 17;
    return (int)(randomState % (uint64_t)limit);
}

/* The counts of requests.c: requestsHeld and requestsLargest. */
static double requests(const char *function) {
    size_t (*count)(void) = (size_t(*)(void))dlsym(RTLD_DEFAULT, function);
    if (!count) {
        errno = 0;
        fail("this workload needs LD_PRELOAD=build/bench/requests.so");
    }
    return (double)count();
}

/* Raises the limit of fds as far as possible. */
static int raiseFdLimit(void) {
    struct rlimit limit = {1048576, 1048576};
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return 1048576;
    if (getrlimit(RLIMIT_NOFILE, &limit) == -1) fail("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == -1) fail("setrlimit");
    return (int)limit.rlim_max;
}

static void emit(const char *workload, const char *scope, const char *metric, double value) {
    printf("%s,%s,%s,%s,%.2f\n", workload, scope, metric, LOOP_NAME, value);
}

static void emitFor(const char *workload, int n, const char *metric, double value) {
    char scope[16];
    snprintf(scope, sizeof(scope), "%d", n);
    emit(workload, scope, metric, value);
}

/* Callgrind counts the instructions of this function only. */
__attribute__((noinline, noclone)) static void countedRun(void) {
    loopRun();
}

#include "fds.c"
#include "http.c"
#include "timers.c"

static int number(const char *text) {
    return text ? atoi(text) : 0;
}

int main(int argc, char **argv) {
    char *none[] = {NULL, NULL, NULL, NULL}, **args = argc > 1 ? argv + 2 : none;
    const char *workload = argc > 1 ? argv[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);

    if (!strcmp(workload, "timers") && argc == 4)
        benchTimers(number(args[0]), number(args[1]));
    else if (!strcmp(workload, "cold") && argc == 3)
        benchCold(number(args[0]));
    else if (!strcmp(workload, "pending") && argc == 3)
        benchPending(number(args[0]));
    else if (!strcmp(workload, "longest") && argc == 3)
        benchLongest(number(args[0]));
    else if (!strcmp(workload, "lateness") && argc == 4)
        benchLateness(number(args[0]), number(args[1]));
    else if (!strcmp(workload, "chain") && argc == 5)
        benchChain(number(args[0]), number(args[1]), number(args[2]));
    else if (!strcmp(workload, "interest") && argc == 4)
        benchInterest(number(args[0]), number(args[1]));
    else if (!strcmp(workload, "idle") && argc == 3)
        benchIdle(number(args[0]));
    else if (!strcmp(workload, "memory") && argc == 2)
        benchMemory();
    else if (!strcmp(workload, "http") && argc == 2)
        serveHttp();
    else {
        fprintf(stderr,
                "usage: %s timers N MILLISECONDS | cold N | pending N | longest N |\n"
                "    lateness MAX-MILLISECONDS TIMES | chain PAIRS READY WRITES |\n"
                "    interest CLIENTS ROUND-TRIPS | idle N | memory | http\n",
                argv[0]);
        return 2;
    }
    return 0;
}
