/* Preloaded into an example (LD_PRELOAD): while the file that ACCEPT_FAULTS names exists, accept
 * fails with the errno that is written in it. Each failure appends a line to the file beside it
 * whose name ends in ".calls": the milliseconds of the monotonic clock.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* Returns the errno, 0 if accept must not fail. */
static int fault(void) {
    const char *path = getenv("ACCEPT_FAULTS");
    char calls[4096];
    int error = 0;
    struct timespec now;
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file) return 0;
    if (fscanf(file, "%d", &error) != 1) error = 0;
    fclose(file);
    snprintf(calls, sizeof(calls), "%s.calls", path);
    clock_gettime(CLOCK_MONOTONIC, &now);
    file = error ? fopen(calls, "ae") : NULL;
    if (!file) return error;
    fprintf(file, "%lld\n", now.tv_sec * 1000LL + now.tv_nsec / 1000000);
    fclose(file);
    return error;
}

int accept4(int fd, struct sockaddr *peer, socklen_t *length, int flags) {
    int (*real)(int, struct sockaddr *, socklen_t *, int), error = fault();
    void *symbol = dlsym(RTLD_NEXT, "accept4");
    memcpy(&real, &symbol, sizeof(real));
    if (error) errno = error;
    return error ? -1 : real(fd, peer, length, flags);
}
