/* The tests of the event loop share: a loop that is created before and deleted after each test,
 * pipes, a journal of calls, a clock that moves only on request, and system calls that fail on
 * request.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef SUPPORT_H
#define SUPPORT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stddef.h>

/// The allocator of ae.c //////////////////////////////////////////////////////////////////////////

/* It counts the allocated blocks, moves each block that it resizes, fills memory with garbage
 * before and after use, and aborts when a block that it frees was written beyond its end. It does
 * not set errno when it fails, and changes errno when it frees: other allocators may do the same.
 */

void *supportMalloc(size_t size);
void *supportRealloc(void *memory, size_t size);
void supportFree(void *memory);

/* ae.c uses only the functions above. */
#ifndef INTERPOSE_H

#include "suite.h"

#include <stdbool.h>
#include <sys/types.h>

#include "ae.h"

/// Before and after a test ////////////////////////////////////////////////////////////////////////

/* Tests with `loop`, or without one, or with it and a frozen clock. After the test all memory must
 * be freed and all fds closed; injected failures end, and the clock is the real one again. A test
 * that hangs is killed. */
#define TEST_WITH_LOOP(name) TEST_BETWEEN(setUpLoop, name, tearDown)
#define TEST_WITHOUT_LOOP(name) TEST_BETWEEN(setUp, name, tearDown)
#define TEST_FROZEN(name) TEST_BETWEEN(setUpFrozen, name, tearDown)

#define SETSIZE 1024

extern aeEventLoop *loop;

int setUp(void **state);
int setUpLoop(void **state);
int setUpFrozen(void **state);
int tearDown(void **state);

/* Deletes `loop` before the end of the test. */
void deleteLoop(void);

/* Prints the reason, and skips the test. */
#define SKIP(reason) (print_message("skipped: %s\n", reason), skip())

bool backendIs(const char *name);

/* Until the test ends, poll(2) in ae.c does not report a hang-up if the fd is readable, also at the
 * end of input, as on NetBSD. */
void hideHangUps(void);

/* Whether the kernel is that of this system, or emulated with its habits: "freebsd", "netbsd",
 * "openbsd" or "macos". */
bool systemIs(const char *name);

int openFds(void);
int liveBlocks(void);

/* Raises the soft limit, and returns how many more fds may be opened, at most `wanted`. */
int roomForFds(int wanted);

/// Processes //////////////////////////////////////////////////////////////////////////////////////

/* Forks, and returns the wait status of the child, whose exit code is what `run` returns. */
int statusOfChild(int (*run)(void));

/* For a process that ends without exit(3): writes the counts of a coverage build to their files.
 * May be a signal handler. */
void writeCounts(int unused);

/// One iteration //////////////////////////////////////////////////////////////////////////////////

int iterate(void); /* files and timers; waits */
int look(void);    /* files and timers; does not wait */

/// The journal ////////////////////////////////////////////////////////////////////////////////////

/* The calls in their order, as words separated by blanks. Each assertion starts a new journal. */
void journal(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *takeJournal(void);

#define assertJournal(expected) assert_string_equal(takeJournal(), expected)

/* Handlers that use clientData as their name, and write an entry into the journal. The file
 * handlers do not read or write. */
void onRead(aeEventLoop *el, int fd, void *name, int mask);     /* "A.read" */
void onWrite(aeEventLoop *el, int fd, void *name, int mask);    /* "A.write" */
void onEither(aeEventLoop *el, int fd, void *name, int mask);   /* "A:r", "A:w" or "A:rw" */
int onTime(aeEventLoop *el, long long id, void *name);          /* "A"; once */
int onTimeAtOnce(aeEventLoop *el, long long id, void *name);    /* "A"; returns 0 */
int onTimeIn10(aeEventLoop *el, long long id, void *name);      /* "A"; returns 10 */
void onFinalize(aeEventLoop *el, void *name);                   /* "~A" */
void countFile(aeEventLoop *el, int fd, void *count, int mask); /* counts in an int */
int countTime(aeEventLoop *el, long long id, void *count);      /* the same; once */

/* Must never be called. */
void neverFile(aeEventLoop *el, int fd, void *name, int mask);
int neverTime(aeEventLoop *el, long long id, void *name);

/// Files //////////////////////////////////////////////////////////////////////////////////////////

/* All are non-blocking, and are closed after the test. */
typedef struct {
    int out, in; /* data written to `in` can be read from `out` */
} Pipe;

Pipe newPipe(void);
Pipe newReadyPipe(void);        /* with a byte in it */
void newSocketPair(int fds[2]); /* both are writable */
void newReadySocket(int *fd);   /* readable and writable */
int newRegularFile(void);
int newCopy(int fd, int from);  /* at the lowest free number that is not below `from` */
void replaceFd(int fd, int by); /* `fd` becomes a copy of `by`; an open `fd` is closed */
void shut(int fd);
void sendByte(int fd);
void takeByte(int fd);
void fill(int fd); /* until it is not writable */

/// The clock that ae.c sees ///////////////////////////////////////////////////////////////////////

/* A frozen clock moves only by these calls, and by waiting: a poll that finds nothing ready returns
 * at once, with the clock moved by its timeout. A poll without limit returns as after a signal
 * (EINTR). */
void freezeClock(void); /* at 1000 s */
void setClock(long long seconds, long long nanoseconds);
void advanceClock(long long microseconds);
void thawClock(void);             /* the real one again */
uint64_t clockNow(void);          /* microseconds, of a frozen clock */
long long clockNanoseconds(void); /* of a frozen clock */

/* Sets the timer slack that a new loop gets from prctl, in nanoseconds. Without this call, the
 * system call fails in the test. */
void setTimerSlack(int nanoseconds);

/// System calls ///////////////////////////////////////////////////////////////////////////////////

/* Kinds of calls, which are the same for all backends; MEMORY is the allocator. */
typedef enum {
    MEMORY,
    CREATE, /* epoll_create1, kqueue, port_create */
    CHANGE, /* epoll_ctl, dup3 of a set, kevent with changes only, port_associate, port_dissociate
             */
    WAIT,   /* epoll_wait, epoll_pwait2, select, kevent, port_getn */
    PRECISE_WAIT, /* epoll_pwait2; one that does not fail is also a WAIT */
    POLL,         /* poll, in aeWait */
    FCNTL,
    CLOSE, /* closes, even if it returns a failure */
    SOCKET,
    BIND,
    LISTEN,
    ACCEPT,
    CONNECT,
    OPTION, /* setsockopt, getsockopt */
    NAME,   /* getsockname, getpeername */
    LOOKUP, /* getaddrinfo; the error is its return value */
    PIPE,
    FILES, /* chmod, stat; unlink, which unlinks even if it returns a failure */
    TRANSFER,
    CALL_KINDS
} CallKind;

/* Makes one call fail: the nth after this. */
void failNth(CallKind kind, int nth, int error);
/* Makes all calls after this fail. */
void failAll(CallKind kind, int error);
/* Returns whether a call has failed since then. */
bool hasFailed(void);
void stopFailures(void);

/* read and write for the handlers of a test: TRANSFER. A limit other than 0 is the most bytes that
 * one call transfers. */
ssize_t supportRead(int fd, void *bytes, size_t size);
ssize_t supportWrite(int fd, const void *bytes, size_t size);
void limitTransfers(size_t limit);

/* How many calls were made, including failed ones, since the test began or since forgetCalls. */
int callsOf(CallKind kind);
void forgetCalls(void);

/* How many waits a real signal has interrupted since the program started. */
int interruptedWaits(void);

#define NO_TIMEOUT (-1)
long long lastTimeout(void); /* of a WAIT or POLL, in microseconds, or NO_TIMEOUT */
int largestBatchAsked(
    void); /* the largest number of events that a WAIT requested; 0 under select */
bool countsMicroseconds(void); /* whether the backend's wait is finer than a millisecond */

/* Calls `watcher` before each WAIT, with its timeout; NULL ends this. */
void watchWaits(void (*watcher)(long long microseconds));

/// Random numbers /////////////////////////////////////////////////////////////////////////////////

/* The same numbers in each test and on each machine. */
uint64_t randomBits(void);
int randomBelow(int limit);

#endif
#endif
