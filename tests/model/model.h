/* A slow and simple model of the event loop: a list of fds, a list of timers, a stack of the passes
 * in progress. A pass is one call of aeProcessEvents, or one iteration of aeMain. driver.c reports
 * to the model every call of the real loop, with its result, and every callback of the real loop.
 * The model checks by expect() that each was right, and that none is missing.
 *
 * The contract leaves some choices to the loop: the order of the ready fds, the order of timers
 * with the same deadline, when a finalizer runs. The model checks that the real loop has made a
 * valid choice, and then makes the same.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stdint.h>

/// What the model needs from the driver ///////////////////////////////////////////////////////////

/* Prints what is wrong and ends the program, unless `holds`. */
#define expect(holds, ...) ((holds) ? (void)0 : broken(__VA_ARGS__))
void broken(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* The clock in microseconds, rounded down or up. */
uint64_t clockRoundedDown(void);
uint64_t clockRoundedUp(void);

bool isOpen(int fd);
bool isRegularFile(int fd);

/* Returns the errno with which the kernel refuses to watch fd for writing, or 0. */
int refusalToWrite(int fd);

/* Returns what this backend must now report for an fd that is registered for `mask`; AE_NONE if
 * nothing. */
int readinessOf(int fd, int mask);

/* The same for an fd that the loop itself polls, by poll(2). */
int readinessAsked(int fd, int mask);

/* Whether a file that was closed at this number has a copy and is still reported; and as what. */
bool isOutlived(int fd);
int readinessOutlived(int fd, int mask);

/* The differences between backends that the contract allows. */
typedef struct {
    bool forgetsClosedFds;     /* the kernel does, so that they have no events */
    bool dropsClosedFds;       /* the backend does, when a wait fails because of them; then it waits
                                  once more */
    bool refusesRegularFiles;  /* EPERM */
    int largestSetsize;        /* for aeResizeSetSize, and for an fd */
    uint64_t waitsInMultiples; /* of this many microseconds */
} Traits;

/// Calls that return without a callback ///////////////////////////////////////////////////////////

void modelStart(const Traits *traits, int setsize);

/* `injected` is the errno of an injected failure that has happened, or 0. */
void modelCreatedFile(int fd, int mask, int proc, const void *data, int injected, int result,
                      int error);
void modelDeletedFile(int fd, int mask);
void modelClosed(int fd); /* the number, with whatever events it had */
void modelCreatedTimer(long long milliseconds, int proc, const void *data, int finalizer,
                       int injected, long long result, int error);
void modelDeletedTimer(long long id, int result, int error);
void modelResized(int setsize, int result, int error);
void modelSetDontWait(bool dontWait);
void modelSetHooks(int before, int after);
void modelStopped(void);

/* What the loop must return between any two steps. */
int modelFileEvents(int fd);
const void *modelFileData(int fd);
int modelMaxFd(void);
int modelSetsize(void);
long long modelNextId(void);
bool modelTimersExist(void);
bool modelIsLive(long long id);
bool modelIsStopped(void);
bool modelDontWait(void);
bool modelIsDeleting(void); /* the loop itself: any timer may have ended without a callback */

/* Returns a timer that exists, AE_NOMORE if there is none. */
long long modelPickTimer(unsigned number);
int modelTimerCount(void);

/// Passes and their callbacks /////////////////////////////////////////////////////////////////////

enum { MOST_PASSES = 6 }; /* that may be nested */

int modelPasses(void);

void modelEnterPass(int flags);
void modelLeavePass(int result);
void modelEnterMain(void);
void modelLeaveMain(void);
void modelEnterDeletion(void); /* of the loop */
void modelLeaveDeletion(void);

/* Called before a wait. `timeout` is in microseconds, -1 if there is no limit; `interrupted` means
 * that a signal will end it at once. */
void modelWaits(long long timeout, bool interrupted);

/* Callbacks. Handlers have numbers from 1; 0 is no handler. */
void modelHookBegins(bool after, int proc);
void modelFileBegins(int fd, int proc, const void *data, int mask);
void modelTimerBegins(long long id, int proc, const void *data);
void modelFinalizerBegins(int proc, const void *data);
void modelHookEnds(void);
void modelFileEnds(void);
void modelTimerEnds(long long id, int again);
void modelFinalizerEnds(const void *data);

#endif
