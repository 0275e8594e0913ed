/* Switches and counters for tests on the event port emulation. While another thread is inside a
 * port_ function, only those with a port as a parameter may be called.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */

#ifndef PORT_EMULATION_H
#define PORT_EMULATION_H

#include <stdbool.h>

/* Resets every switch to its default and the counter to 0. Ports do not change. The defaults are
 * the habits of the system that EMULATED_SYSTEM in the environment names: see port.c. */
void portEmulationReset(void);

/* Whether port_getn with a zero timeout returns -1 and ETIME if there are fewer events than *nget
 * (as some releases do), or 0 (the default). *nget and the list are the same in both cases. */
void portEmulationZeroTimeoutIsEtime(bool etime);

/* Whether port_getn without events leaves *nget unchanged, instead of setting it to 0. */
void portEmulationLeavesCount(bool leaves);

/* Makes the next port_getn that retrieves events return -1 and EINTR; once, on illumos. The list
 * is filled; *nget is the number of entries, or does not change. */
void portEmulationInterruptRetrieval(bool countStays);

/* How many associations a port has room for before port_associate fails with EAGAIN; 0 (the
 * default) means no limit. An association whose event was retrieved does not count. */
void portEmulationLimit(unsigned associations);

/* Makes the next port_associate fail with this errno; once. */
void portEmulationFailAssociate(int error);

/* Checks all associated fds now, as the real kernel always does: a condition that holds at this
 * moment becomes an event, even if it does not hold when the event is retrieved. */
void portEmulationNotice(int port);

/* Returns the events for which an fd is associated (its event may be queued), -1 if it is not. */
int portEmulationAssociated(int port, int fd);

/* Returns how many threads wait on this port, or are waking. */
int portEmulationSleepers(int port);

/* Returns the number of calls of port_ functions other than port_create. */
unsigned long portEmulationCalls(void);

#endif
