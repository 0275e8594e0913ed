/* Shared by the emulations of kqueue and event ports: a callback for every file descriptor that is
 * closed, one lock, and one way to sleep. Include it after defining _GNU_SOURCE.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */

#ifndef FDWATCH_H
#define FDWATCH_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define FDWATCH_NEVER INT64_MAX

/* closing is called with the lock held, before the numbers first..last are closed: the file of a
 * number can still be used. forked is called in the child of a fork(2); it may be NULL. Registering
 * the same pair again has no effect. */
void fdwatchRegister(void (*closing)(int first, int last), void (*forked)(void));

/* Takes the lock and blocks all signals, so that a signal handler may call close(2) at any moment,
 * as on a real system. Leave restores the caller's signal mask and preserves errno. */
void fdwatchEnter(sigset_t *callersMask);
void fdwatchLeave(const sigset_t *callersMask);

/* close(2) without the callbacks: for the emulations' own descriptors, with the lock held. */
void fdwatchCloseQuietly(int fd);

bool fdwatchTimeoutValid(const struct timespec *timeout);

/* Returns when this timeout is over, in nanoseconds of the monotonic clock; never for NULL. */
int64_t fdwatchDeadline(const struct timespec *timeout);

/* Releases the lock and sleeps until poll(2) reports an event for the set. Then, or after a
 * spurious wake-up, it returns 1, and the caller checks again. It returns 0 only when the deadline
 * has passed, and -1 (with errno) after a signal that the caller's mask allows. That includes a
 * signal since fdwatchEnter, which was pending. */
int fdwatchSleep(struct pollfd *set, nfds_t count, int64_t deadline, const sigset_t *callersMask);

#endif
