/* libae: an event loop for file descriptors and timers.
 *
 * A drop-in replacement for the ae.h of Redis: names, values, prototypes and structures are the
 * same; the code is new. Copy ae.h, ae.c and one backend (ae_epoll.c, ae_kqueue.c, ae_evport.c or
 * ae_select.c) into a project, or link libae.a.
 *
 *     aeEventLoop *loop = aeCreateEventLoop(1024);
 *     aeCreateFileEvent(loop, fd, AE_READABLE, onReadable, connection);
 *     aeCreateTimeEvent(loop, 100, onTick, NULL, NULL);
 *     aeMain(loop);
 *     aeDeleteEventLoop(loop);
 *
 * A loop belongs to one thread at a time. Two loops share nothing, so each thread may run its own
 * loop. Another thread or a signal handler may call only aeStop on a running loop. Handlers, hooks
 * and finalizers may call every function on their own loop, except aeDeleteEventLoop.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef AE_H
#define AE_H

/* The sources of Redis, since 6.2, get their monotonic.h through ae.h. It must come before any
 * header of libc, because it selects what those headers declare. It is included only if two more
 * headers of Redis are beside it: a monotonic.h alone belongs to another project. */
#if defined(__has_include) && !defined(AE_STANDALONE)
#if __has_include("monotonic.h") && __has_include("zmalloc.h") && __has_include("redisassert.h")
#include "monotonic.h"
#endif
#endif

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header. */
#define AE_VERSION_MAJOR 1
#define AE_VERSION_MINOR 0
#define AE_VERSION_PATCH 0

/* Return values. */
#define AE_OK 0
#define AE_ERR (-1)

/* The bits of a mask of file events. AE_BARRIER, given with AE_WRITABLE, calls the write handler of
 * an fd before its read handler when both are due in the same iteration. A server that writes its
 * log to disk in the before-sleep hook uses it: then it does not reply to a request that it has
 * read in the same iteration and has not written to disk yet. */
#define AE_NONE 0
#define AE_READABLE 1
#define AE_WRITABLE 2
#define AE_BARRIER 4

/* The flags of aeProcessEvents. */
#define AE_FILE_EVENTS 1
#define AE_TIME_EVENTS 2
#define AE_ALL_EVENTS (AE_FILE_EVENTS | AE_TIME_EVENTS)
#define AE_DONT_WAIT 4
#define AE_CALL_BEFORE_SLEEP 8
#define AE_CALL_AFTER_SLEEP 16

/* The handler of a timer returns AE_NOMORE to end the timer. AE_DELETED_EVENT_ID is the id of a
 * timer that has ended. */
#define AE_NOMORE (-1)
#define AE_DELETED_EVENT_ID (-1)

/* Silences the compiler's warning about an unused parameter. */
#define AE_NOTUSED(V) ((void)(V))

struct aeEventLoop;

/* `mask` has the bits for which the fd is ready. It may have more bits than the handler was
 * registered for. */
typedef void aeFileProc(struct aeEventLoop *eventLoop, int fd, void *clientData, int mask);

/* Returns AE_NOMORE, or the number of milliseconds, counted from the return, after which the timer
 * fires again. If the number is 0, or negative and not AE_NOMORE, the timer fires again in the next
 * iteration. */
typedef int aeTimeProc(struct aeEventLoop *eventLoop, long long id, void *clientData);

/* Called once after a timer has ended, to release its clientData. */
typedef void aeEventFinalizerProc(struct aeEventLoop *eventLoop, void *clientData);

/* The hooks around the wait. */
typedef void aeBeforeSleepProc(struct aeEventLoop *eventLoop);

/* The structures are public because programs use some of their fields. A program may read all
 * fields and may write only privdata. Fields marked private may change in any release. */

typedef struct aeFileEvent {
    int mask;              /* AE_NONE, or bits of AE_READABLE, AE_WRITABLE, AE_BARRIER */
    unsigned registration; /* private: distinguishes successive registrations of the fd */
    aeFileProc *rfileProc;
    aeFileProc *wfileProc;
    void *clientData;
} aeFileEvent;

typedef struct aeTimeEvent {
    long long id;  /* AE_DELETED_EVENT_ID when the timer has ended */
    uint64_t when; /* the first deadline, in microseconds of the monotonic clock */
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
    int maxfd;                  /* the highest registered fd, -1 if there is none */
    int setsize;                /* fds must be less than this */
    long long timeEventNextId;  /* the id of the next timer */
    int nevents;                /* the number of slots in `events` */
    aeFileEvent *events;        /* one slot for each fd */
    aeFiredEvent *fired;        /* the result of the latest poll */
    aeTimeEvent *timeEventHead; /* the timer created last; NULL when no timer exists */
    int stop;
    void *apidata; /* the backend's state */
    aeBeforeSleepProc *beforesleep;
    aeBeforeSleepProc *aftersleep;
    int flags;
    void *privdata[2];       /* for the program; NULL at first */
    struct aeTimers *timers; /* private */
    unsigned ended;          /* private: the number of registrations of fds that have ended */
    int ready;               /* private: the number of entries of `fired` that the poll filled */
    uint64_t waitsUntil;     /* private: the end of a wait with a limit */
    int hasPaused;           /* private: an fd was once registered again before it was served */
    int usable;              /* private: the number of slots that may be registered */
    int owner;               /* private: the process that created the loop */
    int isEnding;            /* private: aeDeleteEventLoop has begun */
} aeEventLoop;

/* Creates a loop for the fds 0 to setsize-1. Its memory grows when higher fds are registered, so a
 * large setsize by itself takes no memory. Under select no fd from FD_SETSIZE on can be registered,
 * whatever setsize is. The loop's own fd is close-on-exec.
 *
 * After fork, only one of the two processes may continue to use the loop; under kqueue this must be
 * the parent. The other process may only call aeDeleteEventLoop, which does not affect the process
 * that uses the loop.
 *
 * Returns the loop, or NULL with errno EINVAL (setsize < 1), ENOMEM, or the error of the kernel
 * (EMFILE, ENFILE). */
aeEventLoop *aeCreateEventLoop(int setsize);

/* Ends every timer, calls the finalizers, and frees the loop. It closes none of the registered fds.
 * It must not be called from a handler, hook or finalizer of this loop. NULL is ignored. */
void aeDeleteEventLoop(aeEventLoop *eventLoop);

/* Makes aeMain return when the current iteration is complete; if calls of aeMain are nested, all of
 * them return. It only sets a flag, so it may be called from a signal handler or another thread. It
 * does not end a wait. aeMain clears the flag when it begins, so a call of aeStop before that has
 * no effect. */
void aeStop(aeEventLoop *eventLoop);

/* Registers fd: adds the bits of `mask` to its registered bits. With AE_READABLE, `proc` becomes
 * its read handler; with AE_WRITABLE, its write handler. An fd has one clientData: the latest call
 * sets it for both handlers.
 *
 * Events are level-triggered: input that a handler does not read is reported again. An fd that
 * hangs up or has an error is reported as both readable and writable; but select need not report
 * the hang-up of an fd that is registered for AE_WRITABLE only, and NetBSD's and FreeBSD's kqueue
 * are less exact: see ae(3). When the peer only shuts down its sending side (SHUT_WR), the fd
 * becomes readable, at the end of input, but not writable for this reason. An fd that a handler
 * deletes and registers again is served in the same iteration or the next one, if it is ready.
 *
 * Returns AE_OK. Returns AE_ERR, with nothing changed, with errno EBADF (fd is negative or not
 * open), ERANGE (fd >= setsize; under select also fd >= FD_SETSIZE), EINVAL (proc is NULL, or mask
 * has neither AE_READABLE nor AE_WRITABLE and fd is not registered), ECANCELED (aeDeleteEventLoop
 * has begun), ENOMEM, or the error of the kernel: under epoll EPERM for a regular file, a
 * directory, /dev/null or /dev/zero, and ENOSPC (see epoll_ctl(2)); under kqueue EPIPE (NetBSD:
 * EBADF) for AE_WRITABLE on a pipe without a reader, which newer OpenBSD accepts, and on most
 * systems EINVAL or ENODEV for some devices. */
int aeCreateFileEvent(aeEventLoop *eventLoop, int fd, int mask, aeFileProc *proc, void *clientData);

/* Removes the bits of `mask` from the registered bits of fd; AE_WRITABLE also removes AE_BARRIER.
 * Bits that are not set and fds that are not registered are ignored. errno does not change. Delete
 * the events of an fd before you close it. */
void aeDeleteFileEvent(aeEventLoop *eventLoop, int fd, int mask);

/* Returns the registered bits of fd, or AE_NONE if it is not registered. */
int aeGetFileEvents(aeEventLoop *eventLoop, int fd);

/* Returns the clientData of a registered fd, or NULL for any other fd. */
void *aeGetFileClientData(aeEventLoop *eventLoop, int fd);

/* Creates a timer that fires `milliseconds` from now, never earlier, and not in an iteration that
 * is already firing timers. With 0 or less it is due at once. If the deadline is too far away to be
 * counted, the timer never fires. When `proc` returns a number of milliseconds, the timer fires
 * again that long after the return; AE_NOMORE ends it. Of the timers that are due, the one with the
 * earliest deadline fires first.
 *
 * finalizerProc may be NULL. Otherwise it is called exactly once after the timer has ended, when
 * timers are fired the next time, or else by aeDeleteEventLoop.
 *
 * Returns the id of the timer (0, 1, 2, ... in each loop, never used twice), or AE_ERR with errno
 * EINVAL (proc is NULL), ENOMEM, or ECANCELED (aeDeleteEventLoop has begun). Initialize a variable
 * for an id to AE_ERR, because 0 is an id. */
long long aeCreateTimeEvent(aeEventLoop *eventLoop, long long milliseconds, aeTimeProc *proc,
                            void *clientData, aeEventFinalizerProc *finalizerProc);

/* Ends a timer: it does not fire any more, even if it is due. A handler may delete its own timer.
 * Returns AE_OK, or AE_ERR with errno ENOENT if no timer has this id or the timer has ended. */
int aeDeleteTimeEvent(aeEventLoop *eventLoop, long long id);

/* Runs one iteration. `flags` selects what it does:
 *
 *     AE_FILE_EVENTS        call the handlers of fds that are ready
 *     AE_TIME_EVENTS        fire the timers that are due; the wait ends when the next one is due
 *     AE_DONT_WAIT          poll without waiting
 *     AE_CALL_BEFORE_SLEEP  call the before-sleep hook
 *     AE_CALL_AFTER_SLEEP   call the after-sleep hook
 *
 * Without AE_FILE_EVENTS and AE_TIME_EVENTS it does nothing. Otherwise it polls the fds (if any is
 * registered, or if it may wait for timers), calls the handlers of the fds that are ready, then
 * fires timers. A signal ends the wait. A handler, a hook or a finalizer may call it: calls may be
 * nested. Returns the number of fds and timers that it served. */
int aeProcessEvents(aeEventLoop *eventLoop, int flags);

/* Waits up to `milliseconds` (negative: without limit) for one fd, without a loop, by poll(2).
 * Returns those bits of `mask` (AE_READABLE, AE_WRITABLE) for which the fd is ready. A hang-up or
 * an error is returned as AE_WRITABLE, even if `mask` lacks it. If `mask` has AE_READABLE, poll
 * reports no hang-up on NetBSD, and on macOS also the end of input as one; on macOS it refuses
 * devices (EBADF). Returns 0 after a timeout. On failure it returns -1, with errno EBADF, EINTR,
 * EINVAL or ENOMEM. */
int aeWait(int fd, int mask, long long milliseconds);

/* Runs iterations, with both hooks, until aeStop is called. A call of aeStop before aeMain has no
 * effect. */
void aeMain(aeEventLoop *eventLoop);

/* Returns the name of the backend: "epoll", "kqueue", "evport" or "select". */
char *aeGetApiName(void);

/* Sets the hook that runs before each wait; NULL removes it. The hook may create and delete events,
 * and may call aeSetDontWait for the wait that follows. */
void aeSetBeforeSleepProc(aeEventLoop *eventLoop, aeBeforeSleepProc *beforesleep);

/* Sets the hook that runs after each wait, before any handler; NULL removes it. */
void aeSetAfterSleepProc(aeEventLoop *eventLoop, aeBeforeSleepProc *aftersleep);

/* Returns the loop's setsize. */
int aeGetSetSize(aeEventLoop *eventLoop);

/* Changes the loop's setsize. Returns AE_OK, or AE_ERR, with nothing changed, with errno EINVAL
 * (setsize < 1), ERANGE (a registered fd is not less than setsize; under select also setsize >
 * FD_SETSIZE) or ENOMEM. */
int aeResizeSetSize(aeEventLoop *eventLoop, int setsize);

/* After a call with noWait other than 0, no iteration waits, as if each had AE_DONT_WAIT. A call
 * with 0 restores waiting. */
void aeSetDontWait(aeEventLoop *eventLoop, int noWait);

#ifdef __cplusplus
}
#endif

#endif
