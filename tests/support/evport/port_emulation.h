/* Switches and counters for tests that run on the event port emulation. Only those
 * that take a port may be called while another thread is inside a port_ function.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */

#ifndef PORT_EMULATION_H
#define PORT_EMULATION_H

#include <stdbool.h>

/* Puts every switch back to what a fresh program has, and the counter to 0. Ports stay. */
void portEmulationReset(void);

/* Whether port_getn with a zero timeout answers -1 and ETIME when there are fewer events than *nget
 * (as some releases do), or 0 (default). *nget and the list are the same either way. */
void portEmulationZeroTimeoutIsEtime(bool etime);

/* Whether *nget stays as it was when port_getn finds nothing, instead of becoming 0. */
void portEmulationLeavesCount(bool leaves);

/* Makes the next port_getn that retrieves events answer -1 and EINTR all the same; once. The list
 * is filled; *nget says how many entries of it, or stays as it was. */
void portEmulationInterruptRetrieval(bool countStays);

/* How many associations a port can hold before port_associate answers EAGAIN; 0: no limit
 * (default). One whose event was retrieved no longer counts. */
void portEmulationLimit(unsigned associations);

/* Makes the next port_associate fail with this errno; once. */
void portEmulationFailAssociate(int error);

/* Looks at all associated fds now, as the real kernel always does: a condition that holds at this
 * moment becomes an event, whatever happens to the fd before it is retrieved. */
void portEmulationNotice(int port);

/* The events an fd is associated for (its event may be queued already), -1 if it is not. */
int portEmulationAssociated(int port, int fd);

/* How many threads are waiting on this port, or have just been woken. */
int portEmulationSleepers(int port);

/* Calls of port_ functions so far, port_create apart. */
unsigned long portEmulationCalls(void);

#endif
