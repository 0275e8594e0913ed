/* <port.h> of the event port emulation: the parts of illumos' that concern file descriptors. As
 * there, a program must include <poll.h> itself for the POLL* values.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */

#ifndef PORT_EMULATION_PORT_H
#define PORT_EMULATION_PORT_H

#include <stdint.h>
#include <time.h>

#define PORT_SOURCE_FD 4

typedef struct port_event {
    int portev_events;
    unsigned short portev_source;
    unsigned short portev_pad;
    uintptr_t portev_object;
    void *portev_user;
} port_event_t;

int port_create(void);
int port_associate(int port, int source, uintptr_t object, int events, void *user);
int port_dissociate(int port, int source, uintptr_t object);
int port_get(int port, port_event_t *event, struct timespec *timeout);
int port_getn(int port, port_event_t list[], unsigned int max, unsigned int *nget,
              struct timespec *timeout);

#endif
