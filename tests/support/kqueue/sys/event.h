/* <sys/event.h> of the kqueue emulation: the parts of FreeBSD's that concern file descriptors.
 *
 * With -DKQUEUE_EMULATION_NETBSD it is like that of older NetBSD: udata is an integer,
 * flags are unsigned and counts are size_t, EV_SET evaluates its first argument six times, kqueue1
 * exists, and EV_RECEIPT does not.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */

#ifndef KQUEUE_EMULATION_SYS_EVENT_H
#define KQUEUE_EMULATION_SYS_EVENT_H

#include <stddef.h>
#include <stdint.h>

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)

#ifdef KQUEUE_EMULATION_NETBSD
typedef size_t KqueueEmulationCount;
#define EV_ADD 0x0001U
#define EV_DELETE 0x0002U
#define EV_ENABLE 0x0004U
#define EV_DISABLE 0x0008U
#define EV_ONESHOT 0x0010U
#define EV_CLEAR 0x0020U
#define EV_ERROR 0x4000U
#define EV_EOF 0x8000U
#else
typedef int KqueueEmulationCount;
#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_ENABLE 0x0004
#define EV_DISABLE 0x0008
#define EV_ONESHOT 0x0010
#define EV_CLEAR 0x0020
#define EV_RECEIPT 0x0040
#define EV_ERROR 0x4000
#define EV_EOF 0x8000
#endif

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned int fflags;
    int64_t data;
#ifdef KQUEUE_EMULATION_NETBSD
    intptr_t udata;
#else
    void *udata;
#endif
};

/* No cast for udata: the compiler must warn about a pointer where NetBSD has an integer. */
#ifdef KQUEUE_EMULATION_NETBSD
#define EV_SET(kevp, a, b, c, d, e, f)       \
    do {                                     \
        (kevp)->ident = (uintptr_t)(a);      \
        (kevp)->filter = (short)(b);         \
        (kevp)->flags = (unsigned short)(c); \
        (kevp)->fflags = (unsigned int)(d);  \
        (kevp)->data = (int64_t)(e);         \
        (kevp)->udata = (f);                 \
    } while (0)
#else
#define EV_SET(kevp, a, b, c, d, e, f)    \
    do {                                  \
        *(kevp) = (struct kevent){        \
            .ident = (uintptr_t)(a),      \
            .filter = (short)(b),         \
            .flags = (unsigned short)(c), \
            .fflags = (unsigned int)(d),  \
            .data = (int64_t)(e),         \
            .udata = (f),                 \
        };                                \
    } while (0)
#endif

struct timespec;

int kqueue(void);
#ifdef KQUEUE_EMULATION_NETBSD
int kqueue1(int flags);
#endif
int kevent(int kq, const struct kevent *changelist, KqueueEmulationCount nchanges,
           struct kevent *eventlist, KqueueEmulationCount nevents, const struct timespec *timeout);

#endif
