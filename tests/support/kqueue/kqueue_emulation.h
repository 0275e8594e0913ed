/* Switches and counters for tests that run on the kqueue emulation. Only those that
 * take a queue may be called while another thread is inside kevent.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */

#ifndef KQUEUE_EMULATION_H
#define KQUEUE_EMULATION_H

#include <stdbool.h>

/* Puts every switch back to what a fresh program has, and the counters to 0. Queues stay. */
void kqueueEmulationReset(void);

/* Refuses the next EV_ADD of this filter, on whatever queue and fd, with this errno; once. */
void kqueueEmulationFailAdd(short filter, int error);

/* Makes events come in an order that changes with every call and is the same for the same seed; 0
 * (default): in turn by fd, the read event of an fd right before its write event. */
void kqueueEmulationShuffle(unsigned seed);

/* Whether fflags holds the socket error with EV_EOF (default true). Linux can only be asked for the
 * error by taking it off the socket. getsockopt(SO_ERROR) hands it back here, but a read or write
 * that would have failed with it does not: with false it stays on the socket, and fflags is 0. */
void kqueueEmulationReportSocketErrors(bool report);

/* Adds these to the next event of this filter, as other files and kernels than Linux can show would
 * have it: EV_EOF or EV_ERROR with an error in fflags; once. */
void kqueueEmulationPretend(short filter, unsigned short flags, unsigned fflags);

/* How many knotes of this fd and filter (0: either) are there and enabled. */
int kqueueEmulationArmed(int kq, int fd, short filter);

/* How many threads are waiting in kevent on this queue, or have just been woken. */
int kqueueEmulationSleepers(int kq);

/* Calls of kevent so far, and the largest nevents that one of them asked for. */
unsigned long kqueueEmulationCalls(void);
int kqueueEmulationLargestBatch(void);

#endif
