/* A slow, obvious model of the event loop: a list of fds, a list of timers, a stack of the passes
 * under way. driver.c tells it of every call that is made to the real loop, with what that
 * answered, and of every callback that the real loop makes. The model says whether each was right,
 * by expect(), and knows what should have come and did not.
 *
 * What the contract leaves open (the order of the ready fds, that of timers with the same deadline,
 * when a finalizer runs) the model follows the real loop in, after a look whether it was one
 * of the legal choices.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stdint.h>

/// What the model asks of the driver //////////////////////////////////////////////////////////////

/* Says what is wrong, and ends the program, unless `holds`. */
#define expect(holds, ...) ((holds) ? (void)0 : broken(__VA_ARGS__))
void broken(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* The clock in microseconds, with a fraction cut off or counted as one more. */
uint64_t clockRoundedDown(void);
uint64_t clockRoundedUp(void);

bool isOpen(int fd);
bool isRegularFile(int fd);
bool isPipeWithoutReader(int fd); /* its end for writing */

/* What this backend shall report now of an fd that is registered for `mask`; AE_NONE if nothing. */
int readinessOf(int fd, int mask);

/* The same of an fd that the loop itself asks for, by poll(2). */
int readinessAsked(int fd, int mask);

/* Whether a file that was closed under this number lives on, and is still reported; and as what. */
bool isOutlived(int fd);
int readinessOutlived(int fd, int mask);

/* How the backends differ where the contract lets them. */
typedef struct {
    bool forgetsClosedFds;    /* the kernel does, so that no event comes of them */
    bool dropsClosedFds;      /* the backend does, when a wait fails because of them; then it waits
                                 once more */
    bool refusesRegularFiles; /* EPERM */
    int refusesReaderlessPipes; /* to watch them for writing; the errno, or 0 */
    int largestSetsize;         /* for aeResizeSetSize, and for an fd */
    uint64_t waitsInMultiples;  /* of so many microseconds */
} Traits;

/// Calls that return without a callback ///////////////////////////////////////////////////////////

void modelStart(const Traits *traits, int setsize);

/* `injected` is the errno of a failure that was injected and came to pass, or 0. */
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

/* What the loop must show between any two steps. */
int modelFileEvents(int fd);
const void *modelFileData(int fd);
int modelMaxFd(void);
int modelSetsize(void);
long long modelNextId(void);
bool modelTimersExist(void);
bool modelIsLive(long long id);
bool modelIsStopped(void);
bool modelDontWait(void);
bool modelIsDeleting(void); /* the loop itself: any timer may have ended unheard */

/* Some live timer, AE_NOMORE if there is none. */
long long modelPickTimer(unsigned number);
int modelTimerCount(void);

/// Passes, and what happens in them ///////////////////////////////////////////////////////////////

enum { MOST_PASSES = 6 }; /* that may be nested */

int modelPasses(void);

void modelEnterPass(int flags);
void modelLeavePass(int result);
void modelEnterMain(void);
void modelLeaveMain(void);
void modelEnterDeletion(void); /* of the loop */
void modelLeaveDeletion(void);

/* A wait is about to be made. `timeout` is in microseconds, -1 if there is no limit; `interrupted`
 * tells that it will end at once, by a signal. */
void modelWaits(long long timeout, bool interrupted);

/* Callbacks. Handlers are known by numbers from 1; no handler is 0. */
void modelHookBegins(bool after, int proc);
void modelFileBegins(int fd, int proc, const void *data, int mask);
void modelTimerBegins(long long id, int proc, const void *data);
void modelFinalizerBegins(int proc, const void *data);
void modelHookEnds(void);
void modelFileEnds(void);
void modelTimerEnds(long long id, int again);
void modelFinalizerEnds(const void *data);

#endif
