/* A knote or an association is deleted when its fd *number* is closed: at once, even if a duplicate
 * of the file is open, and even if the number is used again soon after. No later system call on
 * Linux can detect that: epoll and kcmp(2) identify files, not numbers, and fstat(2) returns the
 * same inode if the number was closed and opened again as a duplicate. So this file defines close
 * and the related functions in the test program. They serve all callers in the program and its
 * shared libraries; no linker flag and no change of libae is needed. (ASan and valgrind do not
 * replace these functions.)
 *
 * Closes inside libc (fclose, closedir, freopen) are not seen. The emulations notice those when
 * they next poll the fd, unless the number is in use again by then.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */

#define _GNU_SOURCE

#include "fdwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LISTENERS = 2 }; /* kqueue and event ports. */

static struct {
    void (*closing)(int first, int last);
    void (*forked)(void);
} listeners[LISTENERS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void fdwatchEnter(sigset_t *callersMask) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, callersMask);
    pthread_mutex_lock(&lock);
}

void fdwatchLeave(const sigset_t *callersMask) {
    pthread_mutex_unlock(&lock);
    pthread_sigmask(SIG_SETMASK, callersMask, NULL);
}

/// Fork: the lock must be free in the child ///

static sigset_t forkersMask;

static void beforeFork(void) {
    sigset_t mask;
    fdwatchEnter(&mask);
    forkersMask = mask; /* Written only here, with the lock held. */
}

static void afterForkInParent(void) {
    sigset_t mask = forkersMask;
    fdwatchLeave(&mask);
}

static void afterForkInChild(void) {
    for (int i = 0; i < LISTENERS; i++) {
        if (listeners[i].forked != NULL) listeners[i].forked();
    }
    afterForkInParent();
}

static void watchForks(void) {
    pthread_atfork(beforeFork, afterForkInParent, afterForkInChild);
}

void fdwatchRegister(void (*closing)(int first, int last), void (*forked)(void)) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watchForks);

    sigset_t mask;
    fdwatchEnter(&mask);
    int i = 0;
    while (listeners[i].closing != NULL && listeners[i].closing != closing) i++;
    listeners[i].closing = closing;
    listeners[i].forked = forked;
    fdwatchLeave(&mask);
}

/// Closing ///

static void callListeners(int first, int last) {
    if (last < 0) return;
    for (int i = 0; i < LISTENERS; i++) {
        if (listeners[i].closing != NULL) listeners[i].closing(first < 0 ? 0 : first, last);
    }
}

void fdwatchCloseQuietly(int fd) {
    syscall(SYS_close, fd);
}

int close(int fd) {
    sigset_t mask;
    fdwatchEnter(&mask);
    callListeners(fd, fd);
    int result = (int)syscall(SYS_close, fd);
    fdwatchLeave(&mask);
    return result;
}

int dup3(int from, int to, int flags) {
    sigset_t mask;
    fdwatchEnter(&mask);
    bool closes = from != to && (flags & ~O_CLOEXEC) == 0 && fcntl(from, F_GETFD) != -1;
    if (closes) callListeners(to, to);
    int result = (int)syscall(SYS_dup3, from, to, flags);
    fdwatchLeave(&mask);
    return result;
}

int dup2(int from, int to) {
    if (from == to) return fcntl(from, F_GETFD) == -1 ? -1 : to;
    return dup3(from, to, 0);
}

int close_range(unsigned first, unsigned last, int flags) {
    enum { ONLY_MARK_CLOSE_ON_EXEC = 1 << 2 };
    sigset_t mask;
    fdwatchEnter(&mask);
    if (first <= last && first <= INT_MAX && (flags & ONLY_MARK_CLOSE_ON_EXEC) == 0) {
        callListeners((int)first, last > INT_MAX ? INT_MAX : (int)last);
    }
    int result = (int)syscall(SYS_close_range, first, last, flags);
    fdwatchLeave(&mask);
    return result;
}

void closefrom(int first) {
    close_range(first < 0 ? 0 : (unsigned)first, UINT_MAX, 0);
}

/// Sleeping ///

enum { NANOSECONDS = 1000 * 1000 * 1000 };

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * NANOSECONDS + time.tv_nsec;
}

bool fdwatchTimeoutValid(const struct timespec *timeout) {
    return timeout == NULL ||
           (timeout->tv_sec >= 0 && timeout->tv_nsec >= 0 && timeout->tv_nsec < NANOSECONDS);
}

int64_t fdwatchDeadline(const struct timespec *timeout) {
    const time_t lifetime = (time_t)60 * 366 * 24 * 60 * 60; /* The sum below stays in range. */
    if (timeout == NULL || timeout->tv_sec >= lifetime) return FDWATCH_NEVER;
    return now() + (int64_t)timeout->tv_sec * NANOSECONDS + timeout->tv_nsec;
}

int fdwatchSleep(struct pollfd *set, nfds_t count, int64_t deadline, const sigset_t *callersMask) {
    struct timespec left = {0, 0};
    if (deadline != FDWATCH_NEVER) {
        int64_t nanoseconds = deadline - now();
        if (nanoseconds <= 0) return 0;
        left.tv_sec = (time_t)(nanoseconds / NANOSECONDS);
        left.tv_nsec = (long)(nanoseconds % NANOSECONDS);
    }
    pthread_mutex_unlock(&lock);
    int result = ppoll(set, count, deadline == FDWATCH_NEVER ? NULL : &left, callersMask);
    int error = errno;
    pthread_mutex_lock(&lock);
    errno = error;
    return result == -1 ? -1 : 1;
}
