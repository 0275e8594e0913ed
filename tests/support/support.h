/* What the tests of the event loop share: a loop that is set up and torn down around each test,
 * pipes, a journal of what was called, a clock that moves when it is told to, and system calls
 * that fail on demand.
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

/* It counts the blocks that live, moves each block that it resizes, fills memory with garbage
 * before use and after, and aborts when it gets back a block past whose end something was written.
 * When it fails it leaves errno alone, when it frees it spoils errno: a host's allocator may do
 * both. */

void *supportMalloc(size_t size);
void *supportRealloc(void *memory, size_t size);
void supportFree(void *memory);

/* ae.c takes those and needs no more. */
#ifndef SEAMS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/types.h>

#include "ae.h"

/// The surroundings of a test /////////////////////////////////////////////////////////////////////

#define TEST(name) static void name(void **state __attribute__((unused)))

/* For the list of tests: with `loop`, or without one. After either, no memory and no fd may be
 * left, all failures are mended, and the clock is the real one again. A test that hangs dies. */
#define WITH_LOOP(name) cmocka_unit_test_setup_teardown(name, setUpLoop, tearDown)
#define WITHOUT_LOOP(name) cmocka_unit_test_setup_teardown(name, setUp, tearDown)

#define SETSIZE 1024

extern aeEventLoop *loop;

int setUp(void **state);
int setUpLoop(void **state);
int tearDown(void **state);

/* Deletes `loop` before the end of the test. */
void deleteLoop(void);

/* Says why, and skips the test. */
#define SKIP(reason) (print_message("skipped: %s\n", reason), skip())

bool backendIs(const char *name);

/* From now on, poll(2) in ae.c tells of no hang-up where there is something to read, be it the end,
 * as on NetBSD; until the test ends. */
void hideHangUps(void);

/* NetBSD's kernel, or the emulation of it. */
#if defined(__NetBSD__) || defined(KQUEUE_EMULATION_NETBSD)
#define ON_NETBSD true
#else
#define ON_NETBSD false
#endif

int openFds(void);
int liveBlocks(void);

/* How many more fds may be opened, at most `wanted`, after the soft limit was raised for them. */
int roomForFds(int wanted);

/// Processes //////////////////////////////////////////////////////////////////////////////////////

/* Forks, and returns the wait status of the child, whose exit code is what `run` returns. */
int statusOfChild(int (*run)(void));

/* For a process that is about to end without exit(3): where coverage is measured, writes down what
 * was counted. May be a handler of signals. */
void writeCounts(int unused);

/// One iteration //////////////////////////////////////////////////////////////////////////////////

int iterate(void); /* files and timers; waits */
int look(void);    /* files and timers; does not wait */

/// The journal ////////////////////////////////////////////////////////////////////////////////////

/* What was called, in order, in words with a blank between them. Each assertion begins a new one.
 */
void journal(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *takeJournal(void);

#define assertJournal(expected) assert_string_equal(takeJournal(), expected)

/* Handlers that take the clientData for their name, and write themselves down. None of the file
 * handlers reads or writes. */
void onRead(aeEventLoop *el, int fd, void *name, int mask);     /* "A.read" */
void onWrite(aeEventLoop *el, int fd, void *name, int mask);    /* "A.write" */
void onEither(aeEventLoop *el, int fd, void *name, int mask);   /* "A:r", "A:w" or "A:rw" */
int onTime(aeEventLoop *el, long long id, void *name);          /* "A"; once */
int onTimeAtOnce(aeEventLoop *el, long long id, void *name);    /* "A"; again with answer 0 */
int onTimeIn10(aeEventLoop *el, long long id, void *name);      /* "A"; again in 10 ms */
void onFinalize(aeEventLoop *el, void *name);                   /* "~A" */
void countFile(aeEventLoop *el, int fd, void *count, int mask); /* counts in an int */
int countTime(aeEventLoop *el, long long id, void *count);      /* likewise; once */

/* Must never be called. */
void neverFile(aeEventLoop *el, int fd, void *name, int mask);
int neverTime(aeEventLoop *el, long long id, void *name);

/// Files //////////////////////////////////////////////////////////////////////////////////////////

/* All are non-blocking, and are closed after the test. */
typedef struct {
    int out, in; /* what is written to `in` can be read from `out` */
} Pipe;

Pipe newPipe(void);
Pipe newReadyPipe(void);        /* with a byte in it */
void newSocketPair(int fds[2]); /* both are writable */
void newReadySocket(int *fd);   /* readable and writable */
int newRegularFile(void);
int newCopy(int fd, int from);  /* at the lowest free number that is not below `from` */
void replaceFd(int fd, int by); /* `fd` becomes a copy of `by`; if it was open, it was closed */
void shut(int fd);
void sendByte(int fd);
void takeByte(int fd);
void fill(int fd); /* until it is not writable */

/// The clock that ae.c sees ///////////////////////////////////////////////////////////////////////

/* A frozen clock moves only by these, and by waiting: a poll that finds nothing ready then comes
 * back at once, with the clock moved by its timeout. If that was without limit, it comes back as
 * after a signal (EINTR). */
void freezeClock(void); /* at 1000 s */
void setClock(long long seconds, long long nanoseconds);
void advanceClock(long long microseconds);
void thawClock(void);             /* the real one again */
uint64_t clockNow(void);          /* microseconds, of a frozen clock */
long long clockNanoseconds(void); /* of a frozen clock */

/* What epoll learns of the timer slack when a loop is created, in nanoseconds: -1, that it cannot
 * be had, in each test that does not set it. */
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
    CLOSE, /* closes, even when it is made to fail */
    SOCKET,
    BIND,
    LISTEN,
    ACCEPT,
    CONNECT,
    OPTION, /* setsockopt, getsockopt */
    NAME,   /* getsockname, getpeername */
    LOOKUP, /* getaddrinfo; the error is what it answers */
    PIPE,
    FILES, /* chmod, stat; unlink, which unlinks even when it is made to fail */
    TRANSFER,
    CALL_KINDS
} CallKind;

/* Makes one call fail: the nth from now on. */
void failNth(CallKind kind, int nth, int error);
/* Makes all calls from now on fail. */
void failAll(CallKind kind, int error);
/* Answers whether the failure has come to pass since then. */
bool hasFailed(void);
void mendCalls(void);

/* read and write for the handlers of a test: TRANSFER. With a limit other than 0 they transfer no
 * more than so many bytes at once. */
ssize_t supportRead(int fd, void *bytes, size_t size);
ssize_t supportWrite(int fd, const void *bytes, size_t size);
void limitTransfers(size_t limit);

/* How many were made, failed ones included, since the test began or forgetCalls. */
int callsOf(CallKind kind);
void forgetCalls(void);

/* How many waits a real signal has interrupted since the program began. */
int interruptedWaits(void);

#define NO_TIMEOUT (-1)
long long lastTimeout(void);   /* of a WAIT or POLL, in microseconds, or NO_TIMEOUT */
int largestBatchAsked(void);   /* how many events a WAIT wanted at most; 0 under select */
bool countsMicroseconds(void); /* whether the backend's wait is finer than a millisecond */

/* Calls this before each WAIT from now on, with its timeout; NULL ends it. */
void watchWaits(void (*watcher)(long long microseconds));

/// Chance /////////////////////////////////////////////////////////////////////////////////////////

/* The same numbers in each test, wherever it runs. */
uint64_t randomBits(void);
int randomBelow(int limit);

#endif
#endif
