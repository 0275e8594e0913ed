/* libae: an event loop for file descriptors and timers.
 *
 * A drop-in for the ae.h of Redis: the names, values, prototypes and structures are the same, the
 * code behind them is not. Copy ae.h, ae.c and one backend (ae_epoll.c, ae_kqueue.c, ae_evport.c or
 * ae_select.c) into a project, or link libae.a.
 *
 *     aeEventLoop *loop = aeCreateEventLoop(1024);
 *     aeCreateFileEvent(loop, fd, AE_READABLE, onReadable, connection);
 *     aeCreateTimeEvent(loop, 100, onTick, NULL, NULL);
 *     aeMain(loop);
 *     aeDeleteEventLoop(loop);
 *
 * A loop belongs to one thread at a time. Two loops share nothing, so each thread may run its own.
 * Only aeStop may be called on a loop that another thread is running, or from a signal handler.
 * Handlers, hooks and finalizers may call every function here on their own loop, except
 * aeDeleteEventLoop.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef AE_H
#define AE_H

/* The sources of Redis, from 6.2 on, get their monotonic.h through ae.h. It must come before any
 * header of libc, since it chooses what those declare. Two more headers of Redis must lie beside
 * it: a monotonic.h alone belongs to another project. */
#if defined(__has_include) && !defined(AE_STANDALONE)
#if __has_include("monotonic.h") && __has_include("zmalloc.h") && __has_include("redisassert.h")
#include "monotonic.h"
#endif
#endif

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The release that this header belongs to. */
#define AE_VERSION_MAJOR 0
#define AE_VERSION_MINOR 1
#define AE_VERSION_PATCH 0

/* What a call answers. */
#define AE_OK 0
#define AE_ERR (-1)

/* What a file event waits for: bits of a mask. AE_BARRIER, given with AE_WRITABLE, runs the write
 * handler of an fd before its read handler when both are due in the same iteration. A server that
 * writes its log to disk in the before-sleep hook uses it, so as not to answer a request that it
 * has read a moment ago and not yet made durable. */
#define AE_NONE 0
#define AE_READABLE 1
#define AE_WRITABLE 2
#define AE_BARRIER 4

/* What aeProcessEvents shall do: bits of its flags. */
#define AE_FILE_EVENTS 1
#define AE_TIME_EVENTS 2
#define AE_ALL_EVENTS (AE_FILE_EVENTS | AE_TIME_EVENTS)
#define AE_DONT_WAIT 4
#define AE_CALL_BEFORE_SLEEP 8
#define AE_CALL_AFTER_SLEEP 16

/* What a timer's handler answers when it is done; the id of a timer that has been deleted. */
#define AE_NOMORE (-1)
#define AE_DELETED_EVENT_ID (-1)

/* Silences the warning about a parameter that is not used. */
#define AE_NOTUSED(V) ((void)(V))

struct aeEventLoop;

/* `mask` is what the fd is ready for. It may hold more than the handler was registered for. */
typedef void aeFileProc(struct aeEventLoop *eventLoop, int fd, void *clientData, int mask);

/* Returns AE_NOMORE, or in how many milliseconds (from now) to fire again. A negative number other
 * than AE_NOMORE counts as 0: it fires again in the next iteration. */
typedef int aeTimeProc(struct aeEventLoop *eventLoop, long long id, void *clientData);

/* Called once when a timer has ended, to release its clientData. */
typedef void aeEventFinalizerProc(struct aeEventLoop *eventLoop, void *clientData);

/* The hooks around the wait. */
typedef void aeBeforeSleepProc(struct aeEventLoop *eventLoop);

/* The structures are public since programs name some of their fields. Read what you like; write
 * only privdata. Fields marked private may change from one release to the next. */

typedef struct aeFileEvent {
    int mask;              /* AE_NONE, or bits of AE_READABLE, AE_WRITABLE, AE_BARRIER */
    unsigned registration; /* private: tells it from former registrations of the fd */
    aeFileProc *rfileProc;
    aeFileProc *wfileProc;
    void *clientData;
} aeFileEvent;

typedef struct aeTimeEvent {
    long long id;  /* AE_DELETED_EVENT_ID when it has ended */
    uint64_t when; /* its first deadline, in microseconds of the monotonic clock */
    aeTimeProc *timeProc;
    aeEventFinalizerProc *finalizerProc;
    void *clientData;
    struct aeTimeEvent *prev; /* private, as are next and refcount */
    struct aeTimeEvent *next;
    int refcount;
} aeTimeEvent;

typedef struct aeFiredEvent {
    int fd;
    int mask;
} aeFiredEvent;

typedef struct aeEventLoop {
    int maxfd;                  /* the highest fd that is registered, -1 when none is */
    int setsize;                /* fds must be below this */
    long long timeEventNextId;  /* the id that the next timer gets */
    int nevents;                /* how many slots `events` and `fired` have */
    aeFileEvent *events;        /* the registered events, a slot for each fd */
    aeFiredEvent *fired;        /* what the latest poll found */
    aeTimeEvent *timeEventHead; /* about the timer created last; NULL when no timer exists */
    int stop;
    void *apidata; /* the backend's state */
    aeBeforeSleepProc *beforesleep;
    aeBeforeSleepProc *aftersleep;
    int flags;
    void *privdata[2];       /* yours; NULL at first */
    struct aeTimers *timers; /* private */
    unsigned ended;          /* private: how many registrations of fds have ended */
    int ready;               /* private: how many entries of `fired` are still to be served */
    uint64_t waitsUntil;     /* private: when the wait that has a limit is to end */
    int hasPaused;           /* private: an fd was once registered again before it was served */
    int usable;              /* private: how many slots may be registered */
    int owner;               /* private: the process that created the loop */
    int isEnding;            /* private: aeDeleteEventLoop has begun */
} aeEventLoop;

/* Creates a loop for the fds 0 to setsize-1. The memory it takes grows with the fds that are
 * registered, so a large setsize costs nothing. Answers NULL on failure, with errno EINVAL
 * (setsize < 1), ENOMEM, or what the kernel said (EMFILE, ENFILE). Loops are not inherited by
 * exec. After fork, only one of the two processes may go on using the loop, and under kqueue only
 * the parent. The other may only call aeDeleteEventLoop, which takes nothing from the one that goes
 * on: if it needs a loop, it makes a new one. */
aeEventLoop *aeCreateEventLoop(int setsize);

/* Finalizes every timer that exists, then frees the loop. It closes none of the registered fds.
 * Not to be called from a handler, hook or finalizer of this loop. NULL is ignored. */
void aeDeleteEventLoop(aeEventLoop *eventLoop);

/* Makes aeMain return once the present iteration is over; of calls of aeMain within one another,
 * all of them. It only sets a flag, so it may be called from a signal handler or another thread; a
 * loop that is waiting notices when the wait ends. aeMain clears the flag when it begins: a call of
 * aeStop before that is lost. */
void aeStop(aeEventLoop *eventLoop);

/* Adds the bits of `mask` to what fd is registered for. With AE_READABLE `proc` becomes its read
 * handler, with AE_WRITABLE its write handler. An fd has one clientData: the latest call sets it
 * for both handlers. Events
 * are level-triggered: what a handler leaves is reported again. An fd that hangs up or has an
 * error is reported as both readable and writable; but select does not tell the hang-up of an fd
 * that is registered for writing only. A peer that only shuts down its sending side (SHUT_WR) makes
 * an fd readable, at the end of input, and not writable. An fd that a handler deletes and registers
 * again is served in the same iteration or the next, if it is ready.
 *
 * Answers AE_OK, or AE_ERR with nothing changed and errno EBADF (fd is negative or not open),
 * ERANGE (fd >= setsize; under select also fd >= FD_SETSIZE), EINVAL (no proc, or neither
 * AE_READABLE nor AE_WRITABLE for an fd that has neither), ECANCELED (aeDeleteEventLoop has begun),
 * ENOMEM, or what the kernel said: EPERM for a regular file, a directory, /dev/null or /dev/zero
 * under epoll, ENOSPC (see epoll_ctl(2)), EPIPE (NetBSD: EBADF) for writing to a pipe without a
 * reader under kqueue. */
int aeCreateFileEvent(aeEventLoop *eventLoop, int fd, int mask, aeFileProc *proc, void *clientData);

/* Takes the bits of `mask` from what fd is registered for; AE_WRITABLE takes AE_BARRIER along.
 * Bits that are not set and fds that are unknown are ignored, and errno stays as it was. Delete an
 * fd's events before you close it. */
void aeDeleteFileEvent(aeEventLoop *eventLoop, int fd, int mask);

/* Answers what fd is registered for: AE_NONE or bits of a mask. */
int aeGetFileEvents(aeEventLoop *eventLoop, int fd);

/* Answers the clientData of a registered fd, NULL for any other. */
void *aeGetFileClientData(aeEventLoop *eventLoop, int fd);

/* Creates a timer that fires once `milliseconds` from now; never before, and in no iteration that
 * is already firing timers. Zero and less is due at once; a time beyond what can be counted never
 * comes. When `proc` answers a number of milliseconds other than AE_NOMORE, the timer fires again
 * that long after the answer. finalizerProc may be NULL; otherwise it is called exactly once after
 * the timer has ended: when timers are next fired, at the latest by aeDeleteEventLoop. Of the
 * timers that are due, the one with the earliest deadline fires first.
 *
 * Returns the timer's id (0, 1, 2, ... in each loop, never used twice), or AE_ERR with errno EINVAL
 * (no proc), ENOMEM, or ECANCELED (called by a finalizer while aeDeleteEventLoop is under way). A
 * variable for an id begins as AE_ERR, not as 0, which is an id. */
long long aeCreateTimeEvent(aeEventLoop *eventLoop, long long milliseconds, aeTimeProc *proc,
                            void *clientData, aeEventFinalizerProc *finalizerProc);

/* Ends a timer: it does not fire any more, even if it was due already. A handler may delete its own
 * timer. Answers AE_OK, or AE_ERR with errno ENOENT when there is no such timer (any more). */
int aeDeleteTimeEvent(aeEventLoop *eventLoop, long long id);

/* Runs one iteration. `flags` says what it does:
 *
 *     AE_FILE_EVENTS        call the handlers of fds that are ready
 *     AE_TIME_EVENTS        fire the timers that are due; wait no longer than for the nearest one
 *     AE_DONT_WAIT          look, but do not wait
 *     AE_CALL_BEFORE_SLEEP  call the before-sleep hook
 *     AE_CALL_AFTER_SLEEP   call the after-sleep hook
 *
 * With neither of the first two it does nothing. Otherwise it polls the fds (when any are
 * registered, or when it may wait for timers), calls the handlers of those that are ready, then
 * fires timers. A signal ends the wait. Answers how many fds and timers it served.
 *
 * It may be called from a handler or a hook, also from within itself. */
int aeProcessEvents(aeEventLoop *eventLoop, int flags);

/* Waits up to `milliseconds` (negative: for ever) for one fd, without a loop, as poll(2) does.
 * Answers the bits of AE_READABLE and AE_WRITABLE that are ready, of those in `mask`; hang-up and
 * error, where poll tells of them (NetBSD: not of a hang-up with AE_READABLE), count as
 * AE_WRITABLE, asked or not. Returns 0 when the time is out, -1 with errno EBADF, EINTR, EINVAL or
 * ENOMEM on failure. */
int aeWait(int fd, int mask, long long milliseconds);

/* Runs iterations, with both hooks, until aeStop is called, which must not be before this. */
void aeMain(aeEventLoop *eventLoop);

/* Answers the name of the backend: "epoll", "kqueue", "evport" or "select". */
char *aeGetApiName(void);

/* Sets the hook that runs before each wait, or none for NULL. It may create and delete events, and
 * may call aeSetDontWait for the wait that follows. */
void aeSetBeforeSleepProc(aeEventLoop *eventLoop, aeBeforeSleepProc *beforesleep);

/* Sets the hook that runs after each wait, before any handler, or none for NULL. */
void aeSetAfterSleepProc(aeEventLoop *eventLoop, aeBeforeSleepProc *aftersleep);

/* Answers the loop's setsize. */
int aeGetSetSize(aeEventLoop *eventLoop);

/* Changes the loop's setsize. Answers AE_OK, or AE_ERR with nothing changed and errno EINVAL
 * (setsize < 1), ERANGE (an fd that is registered would be left out; under select also setsize >
 * FD_SETSIZE) or ENOMEM. */
int aeResizeSetSize(aeEventLoop *eventLoop, int setsize);

/* While noWait is not 0, no iteration waits, as though each had AE_DONT_WAIT. */
void aeSetDontWait(aeEventLoop *eventLoop, int noWait);

#ifdef __cplusplus
}
#endif

#endif
