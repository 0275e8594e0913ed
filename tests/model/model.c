/* See model.h.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "tests/model/model.h"

#include "ae.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum { MAX_FDS = 1024, MAX_TIMERS = 2048, MAX_ENTRIES = 64, BOTH = AE_READABLE | AE_WRITABLE };

typedef struct {
    int mask; /* AE_NONE: not registered */
    int readProc, writeProc;
    const void *data;
    unsigned registration; /* a different number for each registration */
    bool orphan;           /* closed without deletion, and not registered again since */
    bool dropped;          /* an orphan that the backend has removed */
    int closedMask;        /* the mask of an orphan when it was closed */
} File;

typedef struct {
    long long id;
    uint64_t when;
    int proc, finalizer;
    const void *data;
    bool live, running, finalizing;
    /* A bit for each pass in progress: */
    unsigned mustFire;     /* was due when that pass began with timers */
    unsigned mustFinalize; /* had ended by then */
    unsigned armedDuring;  /* armed after that pass had begun with timers: must not fire in it */
} Timer;

/* An fd that a wait reported as ready. */
typedef struct {
    int fd, mask; /* the mask with which a handler was called, if one was */
    unsigned registration;
    bool called;
    bool excused; /* need not be called: a bit or all of it was deleted and registered again */
    bool unsure;  /* may be called or not: it was closed without deletion */
} Entry;

typedef enum { ENTERED, POLLED, FILES, TIMERS } Phase;

typedef struct {
    bool isMain, isDeletion;
    bool begun; /* aeMain: an iteration has */
    int flags;
    Phase phase;
    bool mustPoll, mustCallBefore, mustCallAfter;
    bool busy;      /* a callback of this pass is running */
    bool abandoned; /* a nested pass has polled since */
    Entry entries[MAX_ENTRIES];
    int count;
    Entry *current; /* whose first handler was called, and whose second one is due if `second` */
    int second;     /* AE_READABLE or AE_WRITABLE */
    int maySecond;  /* the same, if the first handler has registered the fd again */
    bool bothDue, writesFirst;
    int firstProc;
    int fired;
} Pass;

static struct {
    Traits traits;
    int setsize;
    File files[MAX_FDS];
    unsigned registrations;
    Timer timers[MAX_TIMERS]; /* those that exist */
    int timerCount;
    long long nextId;
    uint64_t passedAt; /* the microsecond in which a pass last fired timers */
    int passesInIt;    /* how many have by now */
    bool dontWait, stopped;
    int before, after;
    Pass passes[MOST_PASSES];
    int depth;
    bool mustRetry; /* the wait will fail because of a closed fd, and be repeated */
    bool deleting;  /* in aeDeleteEventLoop: any timer may have ended without a callback */
} model;

void modelStart(const Traits *traits, int setsize) {
    memset(&model, 0, sizeof(model));
    model.traits = *traits;
    model.setsize = setsize;
}

static Pass *innermost(void) {
    return model.depth ? &model.passes[model.depth - 1] : NULL;
}

/// Errors /////////////////////////////////////////////////////////////////////////////////////////

/* The errors that a call may return: if several apply, the contract defines no order. */
static int causes[8], causeCount;

static void mayFail(bool holds, int error) {
    if (holds) causes[causeCount++] = error;
}

/* Returns whether the call must fail, and checks that it did. */
static bool mustFail(const char *call, bool failed, int error) {
    bool known = false;
    for (int i = 0; i < causeCount; i++) known = known || causes[i] == error;
    bool expected = causeCount > 0;
    causeCount = 0;
    expect(failed == expected, "%s %s (errno %d)", call,
           failed ? "failed without a cause" : "did not fail", error);
    expect(!failed || known, "%s failed with the wrong errno %d", call, error);
    return expected;
}

/// Files //////////////////////////////////////////////////////////////////////////////////////////

static File *findFile(int fd) {
    return fd >= 0 && fd < MAX_FDS && model.files[fd].mask ? &model.files[fd] : NULL;
}

int modelFileEvents(int fd) {
    File *file = findFile(fd);
    return file ? file->mask : AE_NONE;
}

const void *modelFileData(int fd) {
    File *file = findFile(fd);
    return file ? file->data : NULL;
}

int modelMaxFd(void) {
    int fd = MAX_FDS - 1;
    while (fd >= 0 && !model.files[fd].mask) fd--;
    return fd;
}

int modelSetsize(void) {
    return model.setsize;
}

/* Returns whether an entry may still cause a call: its registration is the one that was polled, and
 * its bits are still registered. */
static bool isCurrent(const Entry *entry) {
    const File *file = findFile(entry->fd);
    return file && file->registration == entry->registration && file->mask & entry->mask & BOTH;
}

/* Called after a change of registered bits. */
static void excuseEntries(void) {
    for (int depth = 0; depth < model.depth; depth++) {
        Pass *pass = &model.passes[depth];
        for (int i = 0; i < pass->count; i++)
            if (!isCurrent(&pass->entries[i])) pass->entries[i].excused = true;
    }
}

void modelCreatedFile(int fd, int mask, int proc, const void *data, int injected, int result,
                      int error) {
    File *file = findFile(fd);
    mayFail(model.deleting, ECANCELED);
    mayFail(fd < 0, EBADF);
    mayFail(fd >= model.setsize || fd >= model.traits.largestSetsize, ERANGE);
    mayFail(mask & BOTH ? !proc : !file, EINVAL);
    mayFail(fd >= 0 && !isOpen(fd) && (mask & BOTH || !file), EBADF);
    mayFail(isRegularFile(fd) && mask & BOTH && model.traits.refusesRegularFiles, EPERM);
    bool writes = mask & AE_WRITABLE && !(file && file->mask & AE_WRITABLE && !file->orphan);
    if (writes && isOpen(fd)) mayFail(refusalToWrite(fd), refusalToWrite(fd));
    mayFail(injected, injected);
    if (mustFail("aeCreateFileEvent", result == AE_ERR, error)) return;
    expect(result == AE_OK, "aeCreateFileEvent returns %d", result);

    file = &model.files[fd];
    if (file->orphan && mask & BOTH) {
        /* If the backend cannot distinguish the files, the bits of the previous one remain. */
        if (model.traits.forgetsClosedFds || file->dropped) file->mask = AE_NONE;
        file->orphan = file->dropped = false;
    }
    if (!file->mask) file->registration = ++model.registrations;
    file->mask |= mask;
    if (mask & AE_READABLE) file->readProc = proc;
    if (mask & AE_WRITABLE) file->writeProc = proc;
    if (mask & BOTH) file->data = data;
    excuseEntries();
}

void modelDeletedFile(int fd, int mask) {
    File *file = findFile(fd);
    if (!file) return;
    file->mask &= ~mask;
    if (mask & AE_WRITABLE) file->mask &= ~AE_BARRIER;
    if (!(file->mask & BOTH)) memset(file, 0, sizeof(*file));
    excuseEntries();
}

void modelClosed(int fd) {
    File *file = findFile(fd);
    if (!file) return;
    if (!file->orphan) file->closedMask = file->mask & BOTH;
    file->orphan = true;
    for (int depth = 0; depth < model.depth; depth++) {
        Pass *pass = &model.passes[depth];
        for (int i = 0; i < pass->count; i++)
            if (pass->entries[i].fd == fd) pass->entries[i].unsure = true;
    }
}

void modelResized(int setsize, int result, int error) {
    mayFail(setsize <= 0, EINVAL);
    mayFail(setsize <= modelMaxFd(), ERANGE);
    mayFail(setsize > model.traits.largestSetsize && setsize != model.setsize, ERANGE);
    if (mustFail("aeResizeSetSize", result == AE_ERR, error)) return;
    expect(result == AE_OK, "aeResizeSetSize returns %d", result);
    model.setsize = setsize;
}

/// Timers /////////////////////////////////////////////////////////////////////////////////////////

static Timer *findTimer(long long id) {
    for (int i = 0; i < model.timerCount; i++)
        if (model.timers[i].id == id) return &model.timers[i];
    return NULL;
}

static Timer *findTimerByData(const void *data) {
    for (int i = 0; i < model.timerCount; i++)
        if (model.timers[i].data == data) return &model.timers[i];
    return NULL;
}

long long modelNextId(void) {
    return model.nextId;
}

int modelTimerCount(void) {
    return model.timerCount;
}

bool modelTimersExist(void) {
    return model.timerCount > 0;
}

bool modelIsLive(long long id) {
    const Timer *timer = findTimer(id);
    return timer && timer->live;
}

long long modelPickTimer(unsigned number) {
    for (int i = 0; i < model.timerCount; i++) {
        const Timer *timer = &model.timers[((unsigned)i + number) % (unsigned)model.timerCount];
        if (timer->live) return timer->id;
    }
    return AE_NOMORE;
}

/* After this many passes in one microsecond the loop cannot distinguish a timer that is armed from
 * one that was due before. It fires that timer in the next microsecond. */
enum { MOST_IN_MICROSECOND = 512 };

static void arm(Timer *timer, long long milliseconds) {
    uint64_t now = clockRoundedUp(), delay = (uint64_t)milliseconds;
    bool isLate = model.passedAt == clockRoundedDown() && model.passesInIt >= MOST_IN_MICROSECOND;
    if (milliseconds <= 0)
        timer->when = clockRoundedDown() + isLate;
    else if (delay > (UINT64_MAX - now) / 1000)
        timer->when = UINT64_MAX; /* never */
    else
        timer->when = now + delay * 1000;
    timer->mustFire = 0;
    timer->armedDuring = 0;
    for (int depth = 0; depth < model.depth; depth++)
        if (model.passes[depth].phase == TIMERS) timer->armedDuring |= 1u << depth;
}

void modelCreatedTimer(long long milliseconds, int proc, const void *data, int finalizer,
                       int injected, long long result, int error) {
    mayFail(!proc, EINVAL);
    mayFail(model.deleting, ECANCELED);
    mayFail(injected, injected);
    if (mustFail("aeCreateTimeEvent", result == AE_ERR, error)) return;
    expect(result == model.nextId, "aeCreateTimeEvent returns %lld", result);

    Timer *timer = &model.timers[model.timerCount++];
    memset(timer, 0, sizeof(*timer));
    timer->id = model.nextId++;
    timer->proc = proc;
    timer->finalizer = finalizer;
    timer->data = data;
    timer->live = true;
    arm(timer, milliseconds);
}

static void forgetTimer(Timer *timer) {
    *timer = model.timers[--model.timerCount];
}

static void endTimer(Timer *timer) {
    timer->live = false;
    timer->mustFire = 0;
    if (!timer->finalizer && !timer->running) forgetTimer(timer);
}

void modelDeletedTimer(long long id, int result, int error) {
    Timer *timer = findTimer(id);
    if (model.deleting && timer && timer->live && result == AE_ERR) endTimer(timer);
    timer = findTimer(id);
    mayFail(!timer || !timer->live, ENOENT);
    if (mustFail("aeDeleteTimeEvent", result == AE_ERR, error)) return;
    expect(result == AE_OK, "aeDeleteTimeEvent returns %d", result);
    endTimer(timer);
}

/// Passes /////////////////////////////////////////////////////////////////////////////////////////

void modelSetDontWait(bool dontWait) {
    model.dontWait = dontWait;
}

bool modelDontWait(void) {
    return model.dontWait;
}

void modelSetHooks(int before, int after) {
    model.before = before;
    model.after = after;
}

void modelStopped(void) {
    model.stopped = true;
}

bool modelIsStopped(void) {
    return model.stopped;
}

bool modelIsDeleting(void) {
    return model.deleting;
}

int modelPasses(void) {
    return model.depth;
}

static void beginPass(Pass *pass, int flags) {
    bool isMain = pass->isMain;
    memset(pass, 0, sizeof(*pass));
    pass->isMain = isMain;
    pass->begun = true;
    if (!(flags & AE_ALL_EVENTS)) return;
    pass->flags = flags;
    pass->mustPoll = modelMaxFd() != -1 || (flags & AE_TIME_EVENTS && !(flags & AE_DONT_WAIT));
    pass->mustCallBefore = pass->mustPoll && flags & AE_CALL_BEFORE_SLEEP && model.before;
}

static void finishPolling(Pass *pass) {
    expect(!pass->mustPoll, "there was no wait");
    expect(!model.mustRetry, "the wait was not repeated");
    expect(!pass->mustCallAfter, "the after-sleep hook was not called");
}

static void finishSecond(Pass *pass) {
    if (pass->second)
        expect(pass->current->unsure, "the %s handler of fd %d was not called after the other",
               pass->second == AE_READABLE ? "read" : "write", pass->current->fd);
    pass->current = NULL;
    pass->second = pass->maySecond = 0;
}

static void finishFiles(Pass *pass) {
    finishSecond(pass);
    if (!(pass->flags & AE_FILE_EVENTS) || pass->abandoned) return;
    for (int i = 0; i < pass->count; i++) {
        const Entry *entry = &pass->entries[i];
        expect(entry->called || entry->excused || entry->unsure,
               "fd %d was ready (mask %d), and its handler was not called", entry->fd, entry->mask);
    }
}

/* The real loop begins with the timers without a callback. The model notices it at the first
 * callback or at the end of the pass; nothing relevant changes in between. */
static void beginTimers(Pass *pass) {
    if (pass->phase == TIMERS) return;
    finishPolling(pass);
    finishFiles(pass);
    pass->phase = TIMERS;
    if (!(pass->flags & AE_TIME_EVENTS)) return;
    unsigned bit = 1u << (pass - model.passes);
    bool anyWaits = false;
    for (int i = 0; i < model.timerCount; i++) {
        Timer *timer = &model.timers[i];
        timer->mustFire &= ~bit;
        timer->mustFinalize &= ~bit;
        timer->armedDuring &= ~bit;
        if (timer->live && !timer->running) anyWaits = true;
        if (model.deleting) continue;
        if (timer->live && !timer->running && timer->when <= clockRoundedDown())
            timer->mustFire |= bit;
        if (!timer->live && !timer->running && !timer->finalizing) timer->mustFinalize |= bit;
    }
    if (!anyWaits) return;
    if (model.passedAt != clockRoundedDown()) model.passesInIt = 0;
    model.passedAt = clockRoundedDown();
    model.passesInIt++;
}

static void finishPass(Pass *pass) {
    beginTimers(pass);
    unsigned bit = 1u << (pass - model.passes);
    for (int i = 0; i < model.timerCount; i++) {
        const Timer *timer = &model.timers[i];
        expect(!(timer->mustFire & bit), "timer %lld was due, and did not fire", timer->id);
        expect(!(timer->mustFinalize & bit), "timer %lld was not finalized", timer->id);
    }
}

static Pass *pushPass(void) {
    Pass *pass = &model.passes[model.depth++];
    memset(pass, 0, sizeof(*pass));
    return pass;
}

static void popPass(void) {
    model.depth--;
    for (int i = 0; i < model.timerCount; i++) {
        Timer *timer = &model.timers[i];
        unsigned bit = 1u << model.depth;
        timer->mustFire &= ~bit;
        timer->mustFinalize &= ~bit;
        timer->armedDuring &= ~bit;
    }
}

void modelEnterPass(int flags) {
    beginPass(pushPass(), flags);
}

void modelLeavePass(int result) {
    Pass *pass = innermost();
    finishPass(pass);
    int least = pass->fired, most = pass->fired;
    for (int i = 0; i < pass->count && pass->flags & AE_FILE_EVENTS; i++) {
        const Entry *entry = &pass->entries[i];
        most++;
        least += entry->called || !(entry->unsure || pass->abandoned);
    }
    expect(result >= least && result <= most, "aeProcessEvents returns %d, not %d to %d", result,
           least, most);
    popPass();
}

void modelEnterMain(void) {
    model.stopped = false;
    pushPass()->isMain = true;
}

void modelLeaveMain(void) {
    Pass *pass = innermost();
    expect(model.stopped && pass->begun, "aeMain returned before it was stopped");
    finishPass(pass);
    popPass();
}

void modelEnterDeletion(void) {
    Pass *pass = pushPass();
    pass->isDeletion = true;
    pass->phase = TIMERS;
    model.deleting = true;
}

void modelLeaveDeletion(void) {
    /* Timers without a finalizer have ended without a callback. */
    for (int i = 0; i < model.timerCount; i++)
        expect(!model.timers[i].finalizer, "timer %lld was not finalized", model.timers[i].id);
    model.timerCount = 0;
    popPass();
}

/* aeMain begins an iteration without a callback. The model notices it at the first event that the
 * iteration in progress cannot cause. */
static void beginIteration(Pass *pass) {
    if (pass->begun) finishPass(pass);
    expect(!model.stopped, "aeMain continued after it was stopped");
    beginPass(pass, AE_ALL_EVENTS | AE_CALL_BEFORE_SLEEP | AE_CALL_AFTER_SLEEP);
}

/// The wait ///////////////////////////////////////////////////////////////////////////////////////

static void checkTimeout(const Pass *pass, long long timeout) {
    const uint64_t day = UINT64_C(86400) * 1000000;
    if (model.deleting) return;
    uint64_t now = clockRoundedDown(), nearest = UINT64_MAX;
    bool any = false;
    for (int i = 0; i < model.timerCount; i++) {
        const Timer *timer = &model.timers[i];
        if (!timer->live || timer->running) continue;
        any = true;
        if (timer->when < nearest) nearest = timer->when;
    }
    if (pass->flags & AE_DONT_WAIT || model.dontWait) {
        expect(timeout == 0, "it waits (%lld us), and should not", timeout);
    } else if (!(pass->flags & AE_TIME_EVENTS) || !any) {
        expect(timeout == -1, "it waits for %lld us only", timeout);
    } else if (nearest > now && nearest - now > day) {
        /* No kernel accepts every length of time. */
        expect(timeout == -1 || timeout >= (long long)day, "it waits for %lld us only", timeout);
    } else {
        uint64_t wait = nearest > now ? nearest - now : 0, unit = model.traits.waitsInMultiples;
        wait = (wait + unit - 1) / unit * unit;
        expect(timeout == (long long)wait, "it waits for %lld us, not for %lld", timeout,
               (long long)wait);
    }
}

static void addEntry(Pass *pass, int fd) {
    const File *file = &model.files[fd];
    int ready;
    if (file->orphan && isOutlived(fd))
        ready = readinessOutlived(fd, file->closedMask);
    else if (file->orphan && (model.traits.forgetsClosedFds || !isOpen(fd)))
        return;
    else
        ready = readinessOf(fd, file->mask);
    if (!(ready & file->mask)) return;
    Entry *entry = &pass->entries[pass->count++];
    memset(entry, 0, sizeof(*entry));
    entry->fd = fd;
    entry->mask = ready;
    entry->registration = file->registration;
    entry->unsure = file->orphan;
}

void modelWaits(long long timeout, bool interrupted) {
    Pass *pass = innermost();
    expect(pass && !pass->busy && !pass->isDeletion, "a wait at the wrong time");
    if (pass->isMain && (!pass->begun || pass->phase != ENTERED) && !model.mustRetry)
        beginIteration(pass);
    expect(model.mustRetry || pass->phase == ENTERED, "a second wait in one pass");
    expect(model.mustRetry || pass->mustPoll, "a wait without a reason");
    expect(!pass->mustCallBefore, "the before-sleep hook was not called");
    checkTimeout(pass, timeout);

    pass->phase = POLLED;
    pass->mustPoll = false;
    pass->mustCallAfter = pass->flags & AE_CALL_AFTER_SLEEP && model.after;
    for (int depth = 0; depth < model.depth - 1; depth++)
        if (model.passes[depth].phase != ENTERED) model.passes[depth].abandoned = true;
    model.mustRetry = false;
    if (interrupted) return;

    int maxFd = modelMaxFd();
    for (int fd = 0; fd <= maxFd; fd++) {
        File *file = &model.files[fd];
        if (!file->mask) continue;
        if (model.traits.dropsClosedFds && file->orphan && !file->dropped && !isOpen(fd))
            file->dropped = model.mustRetry = true;
    }
    if (model.mustRetry) return;
    for (int fd = 0; fd <= maxFd; fd++)
        if (model.files[fd].mask) addEntry(pass, fd);
}

/// Callbacks //////////////////////////////////////////////////////////////////////////////////////

static Pass *beginCallback(void) {
    Pass *pass = innermost();
    expect(pass, "a callback outside of any pass");
    expect(!pass->busy, "a callback in a call that must not make one");
    pass->busy = true;
    return pass;
}

static Pass *endCallback(void) {
    Pass *pass = innermost();
    pass->busy = false;
    return pass;
}

void modelHookBegins(bool after, int proc) {
    Pass *pass = beginCallback();
    if (after) {
        expect(pass->phase == POLLED && pass->mustCallAfter,
               "an after-sleep hook at the wrong time");
        expect(!model.mustRetry, "the wait was not repeated");
        expect(proc == model.after, "the wrong after-sleep hook");
        pass->mustCallAfter = false;
        return;
    }
    if (pass->isMain) beginIteration(pass);
    pass->busy = true;
    expect(pass->phase == ENTERED && pass->mustCallBefore, "a before-sleep hook at the wrong time");
    expect(proc == model.before, "the wrong before-sleep hook");
    pass->mustCallBefore = false;
}

void modelHookEnds(void) {
    endCallback();
}

static void secondFileBegins(const Pass *pass, int fd, int proc, const void *data, int mask) {
    const File *file = findFile(fd);
    int second = pass->second | pass->maySecond;
    int ready = pass->second ? pass->current->mask : readinessAsked(fd, file->mask);
    expect(file->mask & ready & second, "the second handler of fd %d is not due", fd);
    expect(proc == (second == AE_READABLE ? file->readProc : file->writeProc),
           "the wrong second handler of fd %d", fd);
    expect(data == file->data, "the wrong clientData of fd %d", fd);
    expect(mask == ready, "fd %d is reported as %d, and is %d", fd, mask, ready);
}

void modelFileBegins(int fd, int proc, const void *data, int mask) {
    Pass *pass = beginCallback();
    expect(pass->flags & AE_FILE_EVENTS, "a file handler without AE_FILE_EVENTS");
    expect(pass->phase == POLLED || pass->phase == FILES, "a file handler at the wrong time");
    expect(!pass->abandoned, "the handler of fd %d is called from an old batch", fd);
    if (pass->phase == POLLED) finishPolling(pass);
    pass->phase = FILES;
    if ((pass->second || pass->maySecond) && pass->current->fd == fd) {
        secondFileBegins(pass, fd, proc, data, mask);
        pass->second = pass->maySecond = 0;
        pass->current = NULL;
        return;
    }
    finishSecond(pass);

    Entry *entry = NULL;
    for (int i = 0; i < pass->count; i++)
        if (pass->entries[i].fd == fd) entry = &pass->entries[i];
    expect(entry, "fd %d is not ready", fd);
    expect(!entry->called, "fd %d is served twice", fd);
    const File *file = &model.files[fd];
    /* An fd that was registered again since the poll may be polled again. */
    if (file->mask && file->registration != entry->registration)
        entry->mask = readinessAsked(fd, file->mask);
    expect(file->mask & entry->mask & BOTH, "fd %d is served with an event that is not its own",
           fd);
    expect(mask == entry->mask, "fd %d is reported as %d, and is %d", fd, mask, entry->mask);
    entry->registration = file->registration;
    int due = file->mask & mask & BOTH;
    bool writes = due == AE_WRITABLE || (due == BOTH && file->mask & AE_BARRIER);
    expect(proc == (writes ? file->writeProc : file->readProc), "the wrong handler of fd %d", fd);
    expect(data == file->data, "the wrong clientData of fd %d", fd);
    entry->called = true;
    pass->current = entry;
    pass->bothDue = due == BOTH;
    pass->writesFirst = writes;
    pass->firstProc = proc;
}

void modelFileEnds(void) {
    Pass *pass = endCallback();
    if (!pass->current || !pass->bothDue || pass->abandoned) return;
    const File *file = findFile(pass->current->fd);
    int second = pass->writesFirst ? AE_READABLE : AE_WRITABLE;
    if (!file || !(file->mask & second)) return;
    int proc = pass->writesFirst ? file->readProc : file->writeProc;
    if (proc == pass->firstProc) return;
    if (file->registration == pass->current->registration)
        pass->second = second;
    else
        pass->maySecond = second;
}

void modelTimerBegins(long long id, int proc, const void *data) {
    Pass *pass = beginCallback();
    expect(pass->flags & AE_TIME_EVENTS, "a timer fires without AE_TIME_EVENTS");
    beginTimers(pass);
    unsigned bit = 1u << (pass - model.passes);
    Timer *timer = findTimer(id);
    expect(timer && timer->live, "timer %lld fires, and has ended", id);
    expect(!timer->running, "timer %lld fires while its handler is running", id);
    expect(timer->when <= clockRoundedDown(), "timer %lld fires early", id);
    expect(!(timer->armedDuring & bit), "timer %lld fires in the pass that armed it", id);
    expect(proc == timer->proc && data == timer->data, "the wrong handler of timer %lld", id);
    for (int i = 0; i < model.timerCount; i++) {
        const Timer *other = &model.timers[i];
        expect(!(other->mustFire & bit) || other->when >= timer->when,
               "timer %lld fires before timer %lld, which was due earlier", id, other->id);
    }
    timer->running = true;
    timer->mustFire = 0;
    pass->fired++;
}

void modelTimerEnds(long long id, int again) {
    endCallback();
    Timer *timer = findTimer(id);
    timer->running = false;
    if (!timer->live || again == AE_NOMORE)
        endTimer(timer);
    else
        arm(timer, again);
}

void modelFinalizerBegins(int proc, const void *data) {
    Pass *pass = beginCallback();
    expect(pass->isDeletion || pass->flags & AE_TIME_EVENTS, "a finalizer at the wrong time");
    beginTimers(pass);
    Timer *timer = findTimerByData(data);
    expect(timer, "a finalizer of a timer that does not exist");
    expect(!timer->finalizing, "timer %lld is finalized twice", timer->id);
    expect(!timer->running, "timer %lld is finalized while its handler is running", timer->id);
    expect(model.deleting || !timer->live, "timer %lld is finalized, and has not ended", timer->id);
    expect(proc == timer->finalizer, "the wrong finalizer of timer %lld", timer->id);
    timer->live = false;
    timer->finalizing = true;
    timer->mustFire = timer->mustFinalize = 0;
}

void modelFinalizerEnds(const void *data) {
    endCallback();
    forgetTimer(findTimerByData(data));
}
