/* What the kqueue and the event port emulation share: they learn of every file descriptor that
 * is closed, have one lock, and sleep in the same way. Include it after defining _GNU_SOURCE.
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

/* closing is called with the lock held, just before the numbers first..last are closed: the file
 * behind a number can still be reached. forked is called in the child of a fork(2); it may be
 * NULL. To register the same pair again does nothing. */
void fdwatchRegister(void (*closing)(int first, int last), void (*forked)(void));

/* Takes the lock, with all signals blocked, so that a handler may call close(2) at any moment as it
 * may on a real system. Leave puts the caller's signal mask back and keeps errno. */
void fdwatchEnter(sigset_t *callersMask);
void fdwatchLeave(const sigset_t *callersMask);

/* close(2) without a word to anyone: for the emulations' own descriptors, with the lock held. */
void fdwatchCloseQuietly(int fd);

bool fdwatchTimeoutValid(const struct timespec *timeout);

/* When this timeout is over, in nanoseconds of the monotonic clock; a NULL one never is. */
int64_t fdwatchDeadline(const struct timespec *timeout);

/* Gives the lock up and sleeps until poll(2) has something to say about the set: then, or when
 * woken for no reason, answers 1 and the caller looks again. 0 is answered only when the deadline
 * has passed, -1 (with errno) for a signal caught by the caller's mask. A signal that came since
 * fdwatchEnter counts, too: it was kept pending. */
int fdwatchSleep(struct pollfd *set, nfds_t count, int64_t deadline, const sigset_t *callersMask);

#endif
