/* Switches and counters for tests on the kqueue emulation. While another thread is inside kevent,
 * only those with a queue as a parameter may be called.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */

#ifndef KQUEUE_EMULATION_H
#define KQUEUE_EMULATION_H

#include <poll.h>
#include <stdbool.h>

/* Returns the system whose habits are emulated: freebsd, dragonfly, netbsd, openbsd, openbsd5 or
 * macos. EMULATED_SYSTEM in the environment names it; kqueue.c lists the habits. */
const char *kqueueEmulationSystem(void);

/* poll(2) as that system has it. */
int kqueueEmulationPoll(struct pollfd *set, nfds_t count, int milliseconds);

/* Returns the errno with which that system refuses to watch this fd with this filter, or 0. */
int kqueueEmulationRefusal(int fd, short filter);

/* Resets every switch to its default and the counters to 0. Queues do not change. */
void kqueueEmulationReset(void);

/* Makes the next EV_ADD of this filter fail with this errno, on any queue and fd; once. */
void kqueueEmulationFailAdd(short filter, int error);

/* Reports events in an order that changes with every call and depends only on the seed. With 0 (the
 * default) they are in the order of the fds, the read event of an fd before its write event. */
void kqueueEmulationShuffle(unsigned seed);

/* Whether fflags has the socket error with EV_EOF (default true). On Linux reading the error clears
 * it. getsockopt(SO_ERROR) still returns it here, but a read or write that should fail with it does
 * not. With false the error stays on the socket, and fflags is 0. */
void kqueueEmulationReportSocketErrors(bool report);

/* Adds EV_EOF or EV_ERROR, with an error in fflags, to the next event of this filter, as files and
 * kernels may do that Linux cannot show; once. */
void kqueueEmulationPretend(short filter, unsigned short flags, unsigned fflags);

/* Returns how many knotes of this fd and filter (0: either) exist and are enabled. */
int kqueueEmulationArmed(int kq, int fd, short filter);

/* Returns how many threads wait in kevent on this queue, or are waking. */
int kqueueEmulationSleepers(int kq);

/* Return the number of calls of kevent, and the largest nevents of a call. */
unsigned long kqueueEmulationCalls(void);
int kqueueEmulationLargestBatch(void);

#endif
