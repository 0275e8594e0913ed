/* libae: the event loop. See ae.h for what each public function promises.
 *
 * This file is the core, and it includes one backend, which talks to the kernel. It reads from top
 * to bottom:
 *
 *     The host        memory and panic, which an embedding project may replace
 *     The backend     which file, and what it owes the core
 *     File events     a slot for each fd
 *     Time events     a tournament of deadlines, an index by id
 *     One iteration   poll, dispatch, fire
 *     The loop        create, resize, delete, run
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */

/* clock_gettime, epoll_pwait2 and struct kevent hide in the strict modes of a compiler, and each
 * system has its own word to show them. FreeBSD and DragonFly have none, but hide nothing unless
 * asked to. _GNU_SOURCE stays empty, as in the headers of hosts that define it once more. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef _DARWIN_C_SOURCE
#define _DARWIN_C_SOURCE
#endif
#ifndef _NETBSD_SOURCE
#define _NETBSD_SOURCE
#endif
#ifndef __EXTENSIONS__
#define __EXTENSIONS__
#endif
#if defined(__OpenBSD__) && !defined(_BSD_SOURCE)
#define _BSD_SOURCE
#endif
#if defined(__FreeBSD__) || defined(__DragonFly__)
#undef _POSIX_C_SOURCE
#undef _XOPEN_SOURCE
#endif

#include "ae.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/// The host ///////////////////////////////////////////////////////////////////////////////////////

/* AE_MALLOC, AE_REALLOC and AE_FREE route all memory to the host's allocator, which
 * AE_ALLOC_HEADER declares. AE_PANIC names a `void f(const char *message)` for errors that leave no
 * way on. */
#ifdef AE_ALLOC_HEADER
#include AE_ALLOC_HEADER
#endif
#ifdef AE_PANIC
void AE_PANIC(const char *message);
#endif

/* In a Redis tree memory should be counted by its INFO, and a panic make it write its crash report.
 * Two of its headers beside this file tell that this is one; AE_STANDALONE denies it. */
#if defined(__has_include) && !defined(AE_MALLOC) && !defined(AE_STANDALONE)
#if __has_include("zmalloc.h") && __has_include("redisassert.h")
#include "zmalloc.h"

#include "redisassert.h"
#define AE_MALLOC zmalloc
#define AE_REALLOC zrealloc
#define AE_FREE zfree
#if defined(panic) && !defined(AE_PANIC)
#define AE_PANIC(message) panic("%s", message)
#endif
#endif
#endif

#ifndef AE_MALLOC
#define AE_MALLOC malloc
#endif
#ifndef AE_REALLOC
#define AE_REALLOC realloc
#endif
#ifndef AE_FREE
#define AE_FREE free
#endif

/* A host's allocator need not set errno, and may spoil it. */
static void *allocate(size_t size) {
    void *memory = AE_MALLOC(size);
    if (!memory) errno = ENOMEM;
    return memory;
}

static void release(void *memory) {
    int error = errno;
    AE_FREE(memory);
    errno = error;
}

/* Answers the array, moved to where `count` items have room; or NULL, with the array as it was. */
static void *resizeArray(void *array, size_t count, size_t itemSize) {
    void *moved = count > SIZE_MAX / itemSize ? NULL : AE_REALLOC(array, count * itemSize);
    if (!moved) errno = ENOMEM;
    return moved;
}

/// The backend ////////////////////////////////////////////////////////////////////////////////////

/* A backend translates between this loop and one kernel interface. It keeps its state in `apidata`
 * and provides seven static functions:
 *
 *     aeApiCreate    sets up apidata for setsize fds; -1 with errno on failure
 *     aeApiResize    is told of a new setsize; -1 with errno on failure
 *     aeApiFree      undoes aeApiCreate
 *     aeApiAddEvent  adds the bits of mask to what the kernel watches on fd; -1 with errno, and the
 *                    kernel as it was, on failure. events[fd].mask still holds the former bits
 *     aeApiDelEvent  takes the bits of mask away; likewise before events[fd].mask changes
 *     aeApiPoll      waits (NULL: without limit; zero: not at all; else until `waitsUntil`), puts
 *                    what is ready into `fired`, which has room for BATCH_SIZE and for `nevents`,
 *                    and answers how many
 *     aeApiName      answers its name
 *
 * AE_BARRIER, which may be in any of these masks, means nothing to a backend.
 *
 * When the kernel turns out to have forgotten an fd that has a slot, then that fd was closed and
 * its number used again. aeApiAddEvent then sets the slot's mask to AE_NONE: the rest of what it
 * holds belonged to another connection. */

/* How many events a backend asks for at once. Enough to make the system call cheap, few enough to
 * stay in the cache. */
enum { BATCH_SIZE = 512, AE_BOTH = AE_READABLE | AE_WRITABLE };

/* What is seldom done (compared with events of fds) stands out of line, and what is done for each
 * event in line. Else compilers spend half of the instructions on making room for what hardly ever
 * happens. */
#ifdef __GNUC__
#define SELDOM __attribute__((noinline)) static
#define ALWAYS __attribute__((always_inline)) static inline
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define SELDOM static
#define ALWAYS static inline
#define PREFETCH(address) ((void)(address))
#endif

/* The time, in microseconds of a clock that never goes back. */
static uint64_t monotonicNow(long roundingNanoseconds) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)(now.tv_nsec + roundingNanoseconds) / 1000;
}

/* A host's own backend may panic as it likes. */
#ifndef AE_BACKEND_FILE
/* The kernel refuses to poll, for no reason that a retry would mend. */
SELDOM void aeApiPanic(const char *backend, const char *call) {
    char message[256];
    snprintf(message, sizeof(message), "ae: %s: %s: %s", backend, call, strerror(errno));
#ifdef AE_PANIC
    AE_PANIC(message);
#else
    fprintf(stderr, "%s\n", message);
    abort();
#endif
}
#endif

#if defined(AE_BACKEND_FILE)
#include AE_BACKEND_FILE
#elif defined(AE_BACKEND_EPOLL)
#include "ae_epoll.c"
#elif defined(AE_BACKEND_KQUEUE)
#include "ae_kqueue.c"
#elif defined(AE_BACKEND_EVPORT)
#include "ae_evport.c"
#elif defined(AE_BACKEND_SELECT)
#include "ae_select.c"
#elif defined(__sun)
#include "ae_evport.c"
#elif defined(__linux__)
#include "ae_epoll.c"
#elif defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || \
    defined(__DragonFly__) || defined(__APPLE__)
#include "ae_kqueue.c"
#else
#include "ae_select.c"
#endif

char *aeGetApiName(void) {
    return aeApiName();
}

/// File events ////////////////////////////////////////////////////////////////////////////////////

/* events[fd] says what fd waits for. There are `nevents` slots; they grow on demand, up to setsize,
 * and never shrink. That moves them: no pointer to a slot outlives a handler. `fired` has as many
 * entries, and never fewer than a batch.
 *
 * Invariants: a slot with neither AE_READABLE nor AE_WRITABLE is AE_NONE. maxfd is the last slot
 * that is not AE_NONE.
 *
 * Each poll begins a new `batch`. A slot notes in `born` the batch during which it went from
 * AE_NONE to something: whatever that batch reports of the fd was meant for its predecessor. */

enum { FIRST_SLOTS = 32 };

static size_t firedEntries(int slots) {
    return slots < BATCH_SIZE ? BATCH_SIZE : (size_t)slots;
}

ALWAYS int hasSlot(const aeEventLoop *eventLoop, int fd) {
    return (unsigned)fd < (unsigned)eventLoop->nevents; /* a negative fd is a large number */
}

/* Answers whether fd may have a slot. */
static int isInRange(const aeEventLoop *eventLoop, int fd) {
    if (fd >= 0 && fd < eventLoop->setsize) return 1;
    errno = fd < 0 ? EBADF : ERANGE;
    return 0;
}

/* Makes a slot for fd, if it may have one. */
SELDOM int growSlots(aeEventLoop *eventLoop, int fd) {
    /* No memory for a number that is not even open. */
    if (!isInRange(eventLoop, fd) || fcntl(fd, F_GETFD) == -1) return AE_ERR;

    int setsize = eventLoop->setsize, slots = eventLoop->nevents;
    slots = slots > setsize / 2 ? setsize : slots * 2;
    if (slots <= fd) slots = fd + 1;

    aeFileEvent *events = resizeArray(eventLoop->events, (size_t)slots, sizeof(*events));
    if (!events) return AE_ERR;
    eventLoop->events = events;
    aeFiredEvent *fired = resizeArray(eventLoop->fired, firedEntries(slots), sizeof(*fired));
    if (!fired) return AE_ERR;
    eventLoop->fired = fired;

    for (int i = eventLoop->nevents; i < slots; i++) events[i].mask = AE_NONE;
    eventLoop->nevents = slots;
    return AE_OK;
}

/* Answers the slot of a registered fd, NULL for any other number. */
static aeFileEvent *findSlot(aeEventLoop *eventLoop, int fd) {
    if (!hasSlot(eventLoop, fd) || eventLoop->events[fd].mask == AE_NONE) return NULL;
    return &eventLoop->events[fd];
}

/* A barrier alone changes only the order of the handlers that an fd has. Any other mask is here for
 * want of a handler. */
SELDOM int addBarrier(aeEventLoop *eventLoop, int fd, int mask) {
    if (!isInRange(eventLoop, fd)) return AE_ERR;
    aeFileEvent *slot = findSlot(eventLoop, fd);
    if (!slot || mask & AE_BOTH) {
        errno = EINVAL;
        return AE_ERR;
    }
    slot->mask |= mask;
    return AE_OK;
}

int aeCreateFileEvent(aeEventLoop *eventLoop, int fd, int mask, aeFileProc *proc,
                      void *clientData) {
    mask &= AE_BOTH | AE_BARRIER;
    if (!(mask & AE_BOTH) || !proc) return addBarrier(eventLoop, fd, mask);
    int isUsable = hasSlot(eventLoop, fd) && fd < eventLoop->setsize;
    if (!isUsable && growSlots(eventLoop, fd) == AE_ERR) return AE_ERR;
    aeFileEvent *slot = &eventLoop->events[fd];
    if (aeApiAddEvent(eventLoop, fd, mask) == -1) return AE_ERR;

    if (slot->mask == AE_NONE) {
        slot->born = eventLoop->batch;
        if (fd > eventLoop->maxfd) eventLoop->maxfd = fd;
    }
    slot->mask |= mask;
    if (mask & AE_READABLE) slot->rfileProc = proc;
    if (mask & AE_WRITABLE) slot->wfileProc = proc;
    slot->clientData = clientData;
    return AE_OK;
}

void aeDeleteFileEvent(aeEventLoop *eventLoop, int fd, int mask) {
    if (!hasSlot(eventLoop, fd)) return;
    aeFileEvent *slot = &eventLoop->events[fd];
    int left = slot->mask & ~(mask | (mask & AE_WRITABLE ? AE_BARRIER : AE_NONE));
    if (!(left & AE_BOTH)) left = AE_NONE;
    /* The backend hears of no bit that is not set: failing on it, it might leave the other. */
    int gone = slot->mask & ~left;
    if (gone & AE_BOTH) aeApiDelEvent(eventLoop, fd, gone);

    slot->mask = left;
    if (left) return;
    while (eventLoop->maxfd >= 0 && eventLoop->events[eventLoop->maxfd].mask == AE_NONE)
        eventLoop->maxfd--;
}

int aeGetFileEvents(aeEventLoop *eventLoop, int fd) {
    aeFileEvent *slot = findSlot(eventLoop, fd);
    return slot ? slot->mask : AE_NONE;
}

void *aeGetFileClientData(aeEventLoop *eventLoop, int fd) {
    aeFileEvent *slot = findSlot(eventLoop, fd);
    return slot ? slot->clientData : NULL;
}

/* Calls both handlers of an fd. The one before may have done anything: before the second call, look
 * at everything anew. If it polled, then this batch is out of date; what is still ready is reported
 * again. */
SELDOM void dispatchBoth(aeEventLoop *eventLoop, int fd, int mask, unsigned batch) {
    aeFileEvent *slot = &eventLoop->events[fd];
    int writesFirst = slot->mask & AE_BARRIER;
    aeFileProc *first = writesFirst ? slot->wfileProc : slot->rfileProc;
    first(eventLoop, fd, slot->clientData, mask);

    slot = &eventLoop->events[fd];
    aeFileProc *second = writesFirst ? slot->rfileProc : slot->wfileProc;
    if (eventLoop->batch != batch || slot->born == batch || second == first) return;
    if (slot->mask & (writesFirst ? AE_READABLE : AE_WRITABLE))
        second(eventLoop, fd, slot->clientData, mask);
}

/* Serves the entries of `fired`, and answers how many it got to. A poll within a handler leaves
 * none of them. */
ALWAYS int dispatch(aeEventLoop *eventLoop, unsigned batch) {
    int served = 0;
    while (served < eventLoop->ready) {
        int fd = eventLoop->fired[served].fd, mask = eventLoop->fired[served].mask;
        aeFileEvent *slot = &eventLoop->events[fd];
        served++;
        if (slot->born == batch) continue;

        int due = slot->mask & mask & AE_BOTH;
        if (due == AE_READABLE)
            slot->rfileProc(eventLoop, fd, slot->clientData, mask);
        else if (due == AE_WRITABLE)
            slot->wfileProc(eventLoop, fd, slot->clientData, mask);
        else if (due == AE_BOTH)
            dispatchBoth(eventLoop, fd, mask, batch);
    }
    return served;
}

/// Time events ////////////////////////////////////////////////////////////////////////////////////

/* Servers set a timer for each connection, and nearly all of them are deleted long before they are
 * due. With many of them it is not computing that costs, but memory which is not in the cache. So a
 * timer that waits, and has no finalizer, is deleted without a look at its aeTimeEvent.
 *
 * A timer has a slot: a number that leads to its aeTimeEvent, and to the place of that number.
 *
 * The places are a tournament for the earliest deadline. Eight in a row are a group. The winner of
 * a group competes in another place further up, until one has won against all:
 *
 *     places 0 to 7k              for the slots: the deadlines of their timers
 *     places 7k + 1 to 8k - 1     for the winners of groups 0 to k - 2
 *     place 8k                    for the winner of the last group: the nearest timer of all
 *
 * The winner of place p's group stands in place 7k + 1 + p / 8, which is beyond that group.
 *
 * The slot that a timer has left last is vacant. The next timer to be created gets it and fills its
 * place, which still may show the former deadline. Only if the nearest timer is looked for before,
 * or another slot is left, is that place emptied and the slot spare. The places that a deleted
 * timer has won go on showing its deadline. That does no harm until it gets to the top: then those
 * groups are played anew.
 *
 * The index finds a timer by its id: a hash table of chains of links. The place of a timer's slot
 * has the link that comes after the one to that timer. A key is the lower half of an id.
 *
 * Invariants: a live timer is in the index, unless it is running. Its deadline is in the place of
 * its slot, unless it is fresh or running: then NEVER is there, as for a spare slot and for a timer
 * that only waits for its finalizer. In a winner's place is a slot of the group, and a deadline
 * that is not after any of the group's. If that slot still has that deadline, then it is the
 * earliest. A link that is not the last of its chain has hasNext; it has isFresh as long as its
 * timer is fresh. Slot 0 has no timer, so that 0 can mean none.
 *
 * Cost: to create a timer takes a step for each group that it wins: mostly none, O(log n) at most.
 * To delete one is O(1), and O(log n) later if it gets to the top. To fire one is O(log n). Now and
 * then creating one has to make room for more, which is O(n), but O(1) for each of them. To delete
 * a timer that is not in the index takes a step for each handler that has not returned.
 *
 * Memory is kept until the loop is deleted. Only creating a timer can fail. */

enum { GROUP_SIZE = 8, CHUNK_TIMERS = 64 };
#define NEVER UINT64_MAX             /* later than any deadline */
#define MOST_TIMERS (UINT32_MAX / 8) /* since a slot has 29 bits */

/* The lists: rings of aeTimeEvents, linked by prev and next. */
enum {
    FRESH,      /* armed during a pass that has reached their deadline: the next one lets them in */
    RUNNING,    /* whose handler is being called */
    DEAD,       /* ended, waiting for their finalizer */
    DOOMED,     /* the dead whose turn has come */
    FINALIZING, /* whose finalizer is being called */
    LISTS
};

typedef struct {
    uint32_t key;
    uint32_t slot : 29;   /* 0 if this leads nowhere */
    uint32_t hasNext : 1; /* the chain may go on in the place of that slot */
    uint32_t isFresh : 1;
    uint32_t hasFinalizer : 1;
} TimerLink;

typedef struct {
    uint64_t when;
    TimerLink next; /* in the chain. In two other kinds of place only its key counts: in a spare
                     * slot's it is the next spare slot, 0 at the end; in a winner's, who won */
} TimerPlace;

struct aeTimers {
    TimerPlace *places;
    uint32_t capacity;    /* for so many slots there is room: 7k + 1 */
    uint32_t top;         /* the place of the nearest timer: 8k */
    uint32_t slots;       /* how many there are */
    uint32_t vacant;      /* the one left last, 0 if it has been taken again or is spare by now */
    uint32_t spare;       /* the first of the others without a timer, 0 if there is none */
    aeTimeEvent **chunks; /* of CHUNK_TIMERS each, by slot */

    TimerLink *chains; /* the first link of each */
    uint32_t chainCount;
    uint32_t chainShift; /* chainCount / 64 is 1 << (32 - chainShift) */

    uint64_t passTime;        /* of the pass under way, else 0 */
    aeTimeEvent lists[LISTS]; /* their anchors */
};

/* Rounds up, so that not even a nanosecond is missing when the deadline has come. What is due at
 * once is due now, not in the next microsecond. */
static uint64_t deadlineIn(long long milliseconds) {
    if (milliseconds <= 0) return monotonicNow(0);
    uint64_t now = monotonicNow(999), delay = (uint64_t)milliseconds;
    return delay > (NEVER - 1 - now) / 1000 ? NEVER - 1 : now + delay * 1000;
}

/* Slots. */

static aeTimeEvent *timerAt(const struct aeTimers *timers, uint32_t slot) {
    return &timers->chunks[slot / CHUNK_TIMERS][slot % CHUNK_TIMERS];
}

/* An event's slot, which its refcount holds since nobody counts with it. */
static uint32_t slotOf(const aeTimeEvent *timer) {
    return (uint32_t)timer->refcount;
}

/* Lists. */

static void appendToList(struct aeTimers *timers, int list, aeTimeEvent *timer) {
    aeTimeEvent *anchor = &timers->lists[list];
    timer->prev = anchor->prev;
    timer->next = anchor;
    anchor->prev->next = timer;
    anchor->prev = timer;
}

static void takeFromList(aeTimeEvent *timer) {
    timer->prev->next = timer->next;
    timer->next->prev = timer->prev;
}

/* Answers the first of a list, NULL if it is empty. */
static aeTimeEvent *firstOf(struct aeTimers *timers, int list) {
    aeTimeEvent *anchor = &timers->lists[list];
    return anchor->next == anchor ? NULL : anchor->next;
}

static aeTimeEvent *takeFirst(struct aeTimers *timers, int list) {
    aeTimeEvent *timer = firstOf(timers, list);
    if (timer) takeFromList(timer);
    return timer;
}

/* Tournament. */

/* Answers the place of the winner of a place's group. */
ALWAYS uint32_t winnerOf(const struct aeTimers *timers, uint32_t place) {
    return timers->capacity + place / GROUP_SIZE;
}

/* Answers which of two is due first; without a branch, which nobody could predict. */
ALWAYS uint32_t earlier(const TimerPlace *places, uint32_t a, uint32_t b) {
    uint32_t isB = places[b].when < places[a].when;
    return a + (b - a) * isB;
}

/* Finds the winner of a place's group. */
static void decide(struct aeTimers *timers, uint32_t place) {
    TimerPlace *places = timers->places, *winner = &places[winnerOf(timers, place)];
    uint32_t p = place - place % GROUP_SIZE;
    uint32_t left = earlier(places, earlier(places, p, p + 1), earlier(places, p + 2, p + 3));
    uint32_t right = earlier(places, earlier(places, p + 4, p + 5), earlier(places, p + 6, p + 7));
    uint32_t best = earlier(places, left, right);
    winner->when = places[best].when;
    winner->next.key = best < timers->capacity ? best : places[best].next.key;
}

/* Lets a slot take part, and win those groups in which it is the first to be due. */
static void enterTournament(struct aeTimers *timers, uint32_t slot, uint64_t when) {
    TimerPlace *places = timers->places;
    uint32_t place = slot;
    places[slot].when = when;
    while (place < timers->top && when < places[winnerOf(timers, place)].when) {
        place = winnerOf(timers, place);
        places[place].when = when;
        places[place].next.key = slot;
    }
}

/* Decides anew the groups of a slot that has won them all. Who wins more than its first group may
 * soon be nearest: its aeTimeEvent comes into the cache. */
static void replay(struct aeTimers *timers, uint32_t slot) {
    for (uint32_t place = slot; place < timers->top; place = winnerOf(timers, place)) {
        decide(timers, place);
        const TimerPlace *winner = &timers->places[winnerOf(timers, place)];
        if (place != slot && winner->when != NEVER) PREFETCH(timerAt(timers, winner->next.key));
    }
}

/* Answers the slot at the top. */
ALWAYS uint32_t nearestSlot(const struct aeTimers *timers) {
    return timers->places[timers->top].next.key;
}

/* Nobody has taken the vacant slot: empties its place, and makes it a spare one. */
static void spareVacant(struct aeTimers *timers) {
    uint32_t slot = timers->vacant;
    if (!slot) return;
    timers->vacant = 0;
    timers->places[slot].when = NEVER;
    timers->places[slot].next.key = timers->spare;
    timers->spare = slot;
}

/* Answers the earliest deadline, NEVER if there is none. Whose it is, nearestSlot tells. */
ALWAYS uint64_t nearestDeadline(struct aeTimers *timers) {
    spareVacant(timers);
    const TimerPlace *places = timers->places, *top = &places[timers->top];
    while (places[nearestSlot(timers)].when != top->when) replay(timers, nearestSlot(timers));
    return top->when;
}

/* Index. */

/* Ids are given out in order, so 64 in a row have their chains side by side. Which 64 chains is
 * found by multiplying with the golden ratio, which spreads numbers in a row evenly. The order
 * among them differs from one 64 to the next, lest every 64th timer meet in the same chains. */
static TimerLink *chainOf(const struct aeTimers *timers, uint32_t key) {
    uint32_t hash = key / 64 * UINT32_C(0x9e3779b9);
    return &timers->chains[(hash >> timers->chainShift) * 64 + (key ^ hash >> 16) % 64];
}

static void addLink(struct aeTimers *timers, TimerLink link) {
    TimerLink *chain = chainOf(timers, link.key);
    timers->places[link.slot].next = *chain;
    link.hasNext = chain->slot != 0;
    *chain = link;
}

/* Answers whether a link leads to the timer with this id. Its key tells, until keys are used again;
 * then the whole id must be looked at, which is less likely in the cache. */
ALWAYS int leadsTo(const aeEventLoop *eventLoop, const TimerLink *link, long long id) {
    if (link->key != (uint32_t)id) return 0;
    return eventLoop->timeEventNextId <= UINT32_MAX ||
           timerAt(eventLoop->timers, link->slot)->id == id;
}

/* Answers the link to the timer with this id. If that is not in the index, this is the end of a
 * chain: a link that leads nowhere. */
ALWAYS TimerLink *findLink(const aeEventLoop *eventLoop, long long id) {
    TimerLink *link = chainOf(eventLoop->timers, (uint32_t)id);
    while (link->slot && !leadsTo(eventLoop, link, id))
        link = &eventLoop->timers->places[link->slot].next;
    return link;
}

static void removeLink(struct aeTimers *timers, TimerLink *link) {
    *link = link->hasNext ? timers->places[link->slot].next : (TimerLink){0};
}

/* Lets a timer wait for its deadline. Should that be due in the pass under way, it waits for the
 * next pass: else handlers could make this one last for ever. */
static void armTimer(struct aeTimers *timers, uint32_t slot, aeTimeEvent *timer) {
    TimerLink link = {.key = (uint32_t)timer->id};
    link.slot = slot & 0x1fffffff; /* its 29 bits, lest compilers warn */
    link.isFresh = timer->when <= timers->passTime;
    link.hasFinalizer = timer->finalizerProc != NULL;
    addLink(timers, link);
    if (link.isFresh) {
        timers->places[slot].when = NEVER; /* it may show another timer's deadline */
        appendToList(timers, FRESH, timer);
    } else {
        enterTournament(timers, slot, timer->when);
    }
}

/* Memory. */

static const TimerPlace emptyPlace = {.when = NEVER};

/* Makes at least `count` chains. */
static int growChains(struct aeTimers *timers, uint32_t count) {
    TimerLink *former = timers->chains;
    uint32_t formerCount = timers->chainCount;
    if (count <= formerCount) return AE_OK;
    uint32_t newCount = 128, shift = 31;
    while (newCount < count) newCount *= 2, shift--;

    TimerLink *chains = resizeArray(NULL, newCount, sizeof(*chains));
    if (!chains) return AE_ERR;
    memset(chains, 0, newCount * sizeof(*chains));
    timers->chains = chains;
    timers->chainCount = newCount;
    timers->chainShift = shift;
    for (uint32_t i = 0; i < formerCount; i++) {
        for (TimerLink link = former[i], next; link.slot; link = next) {
            next = timers->places[link.slot].next;
            addLink(timers, link);
        }
    }
    if (former) release(former);
    return AE_OK;
}

/* Makes room for an eighth more timers, and at least for another chunk, which 10 groups have. All
 * winners get new places, so every group is decided anew. */
static int growArrays(struct aeTimers *timers) {
    uint32_t groups = timers->top / GROUP_SIZE;
    groups += groups / 8 > 10 ? groups / 8 : 10;
    uint32_t capacity = groups * (GROUP_SIZE - 1) + 1, top = groups * GROUP_SIZE;
    if (capacity > MOST_TIMERS) {
        errno = ENOMEM;
        return AE_ERR;
    }
    if (growChains(timers, capacity) == AE_ERR) return AE_ERR;
    aeTimeEvent **chunks =
        resizeArray(timers->chunks, capacity / CHUNK_TIMERS + 1, sizeof(*chunks));
    if (!chunks) return AE_ERR;
    timers->chunks = chunks;
    TimerPlace *places = resizeArray(timers->places, (size_t)top + 1, sizeof(*places));
    if (!places) return AE_ERR;
    timers->places = places;

    for (uint32_t place = timers->capacity; place <= top; place++) places[place] = emptyPlace;
    timers->capacity = capacity;
    timers->top = top;
    for (uint32_t place = 0; place < top; place += GROUP_SIZE) decide(timers, place);
    return AE_OK;
}

/* Makes spare slots. */
static int growTimers(struct aeTimers *timers) {
    uint32_t first = timers->slots, end = first + CHUNK_TIMERS;
    if (end > timers->capacity && growArrays(timers) == AE_ERR) return AE_ERR;
    aeTimeEvent *chunk = resizeArray(NULL, CHUNK_TIMERS, sizeof(*chunk));
    if (!chunk) return AE_ERR;
    timers->chunks[first / CHUNK_TIMERS] = chunk;
    timers->slots = end;
    timers->spare = first ? first : 1;
    for (uint32_t slot = first; slot < end; slot++) {
        chunk[slot - first].refcount = (int)slot;
        timers->places[slot].next.key = slot && slot + 1 < end ? slot + 1 : 0;
    }
    return AE_OK;
}

static void freeTimers(struct aeTimers *timers) {
    if (!timers) return;
    for (uint32_t slot = 0; slot < timers->slots; slot += CHUNK_TIMERS)
        release(timers->chunks[slot / CHUNK_TIMERS]);
    release(timers->chunks);
    release(timers->chains);
    release(timers->places);
    release(timers);
}

static struct aeTimers *newTimers(void) {
    struct aeTimers *timers = allocate(sizeof(*timers));
    if (!timers) return NULL;
    memset(timers, 0, sizeof(*timers));
    for (int list = 0; list < LISTS; list++)
        timers->lists[list].prev = timers->lists[list].next = &timers->lists[list];
    timers->places = allocate(sizeof(*timers->places));
    if (!timers->places || growChains(timers, 1) == AE_ERR) {
        freeTimers(timers);
        return NULL;
    }
    timers->places[0] = emptyPlace; /* no groups yet, so slot 0 is at the top */
    timers->capacity = 1;
    return timers;
}

/* Answers some timer that exists, NULL if none does. */
static aeTimeEvent *anyTimer(struct aeTimers *timers) {
    if (nearestDeadline(timers) != NEVER) return timerAt(timers, nearestSlot(timers));
    aeTimeEvent *timer = NULL;
    for (int list = 0; list < LISTS && !timer; list++) timer = firstOf(timers, list);
    return timer;
}

/* The life of a timer. */

/* Answers a slot without a timer, 0 if there is no memory for one. */
ALWAYS uint32_t takeSlot(struct aeTimers *timers) {
    uint32_t slot = timers->vacant;
    if (slot) {
        timers->vacant = 0;
        return slot;
    }
    if (!timers->spare && growTimers(timers) == AE_ERR) return 0;
    slot = timers->spare;
    timers->spare = timers->places[slot].next.key;
    return slot;
}

/* Gives a slot back. */
static void leaveSlot(aeEventLoop *eventLoop, uint32_t slot) {
    struct aeTimers *timers = eventLoop->timers;
    aeTimeEvent *timer = timerAt(timers, slot);
    spareVacant(timers);
    timers->vacant = slot;
    if (eventLoop->timeEventHead == timer) eventLoop->timeEventHead = anyTimer(timers);
}

long long aeCreateTimeEvent(aeEventLoop *eventLoop, long long milliseconds, aeTimeProc *proc,
                            void *clientData, aeEventFinalizerProc *finalizerProc) {
    struct aeTimers *timers = eventLoop->timers;
    if (!proc) {
        errno = EINVAL;
        return AE_ERR;
    }
    uint32_t slot = takeSlot(timers);
    if (!slot) return AE_ERR;
    aeTimeEvent *timer = timerAt(timers, slot);
    timer->id = eventLoop->timeEventNextId++;
    timer->when = deadlineIn(milliseconds);
    timer->timeProc = proc;
    timer->finalizerProc = finalizerProc;
    timer->clientData = clientData;
    armTimer(timers, slot, timer);
    eventLoop->timeEventHead = timer;
    return timer->id;
}

/* A timer that has left the index, and is in no list any more, lives on only for its finalizer. */
static void buryTimer(aeEventLoop *eventLoop, uint32_t slot, int hasFinalizer) {
    struct aeTimers *timers = eventLoop->timers;
    if (!hasFinalizer) {
        leaveSlot(eventLoop, slot);
        return;
    }
    timers->places[slot].when = NEVER;
    aeTimeEvent *timer = timerAt(timers, slot);
    timer->id = AE_DELETED_EVENT_ID;
    appendToList(timers, DEAD, timer);
}

/* Deletes a timer whose handler is being called, if this is one: whoever calls it will bury it. */
SELDOM int deleteRunning(struct aeTimers *timers, long long id) {
    aeTimeEvent *anchor = &timers->lists[RUNNING], *timer = anchor->next;
    while (timer != anchor && timer->id != id) timer = timer->next;
    if (timer == anchor) {
        errno = ENOENT;
        return AE_ERR;
    }
    timer->id = AE_DELETED_EVENT_ID;
    return AE_OK;
}

int aeDeleteTimeEvent(aeEventLoop *eventLoop, long long id) {
    struct aeTimers *timers = eventLoop->timers;
    if (id < 0 || id >= eventLoop->timeEventNextId) {
        errno = ENOENT;
        return AE_ERR;
    }
    TimerLink *link = findLink(eventLoop, id), former = *link;
    if (!former.slot) return deleteRunning(timers, id);
    /* Mostly the next timer gets this slot: what it needs of it comes into the cache. */
    PREFETCH(timerAt(timers, former.slot));
    PREFETCH(&timers->places[winnerOf(timers, former.slot)]);
    removeLink(timers, link);
    if (former.isFresh) takeFromList(timerAt(timers, former.slot));
    buryTimer(eventLoop, former.slot, former.hasFinalizer);
    return AE_OK;
}

/* Calls the finalizers of the timers that are dead by now, in the order in which they died. What
 * the finalizers themselves delete is left for the next time, or this might never end. */
SELDOM void finalizeTimers(aeEventLoop *eventLoop) {
    struct aeTimers *timers = eventLoop->timers;
    aeTimeEvent *timer;
    while ((timer = takeFirst(timers, DEAD))) appendToList(timers, DOOMED, timer);
    while ((timer = takeFirst(timers, DOOMED))) {
        appendToList(timers, FINALIZING, timer);
        timer->finalizerProc(eventLoop, timer->clientData);
        takeFromList(timer);
        leaveSlot(eventLoop, slotOf(timer));
    }
}

/* Calls the handler of the nearest timer. Its groups are decided now, not when the next one is
 * looked for, so that what that one needs comes into the cache while the handler runs. */
SELDOM void fireNearest(aeEventLoop *eventLoop) {
    struct aeTimers *timers = eventLoop->timers;
    uint32_t slot = nearestSlot(timers);
    aeTimeEvent *timer = timerAt(timers, slot);
    PREFETCH(chainOf(timers, (uint32_t)timer->id));
    timers->places[slot].when = NEVER;
    replay(timers, slot);
    removeLink(timers, findLink(eventLoop, timer->id));
    appendToList(timers, RUNNING, timer);
    int again = timer->timeProc(eventLoop, timer->id, timer->clientData);
    takeFromList(timer);
    if (again == AE_NOMORE || timer->id == AE_DELETED_EVENT_ID) {
        buryTimer(eventLoop, slot, timer->finalizerProc != NULL);
    } else {
        timer->when = deadlineIn(again);
        armTimer(timers, slot, timer);
    }
}

/* A pass: fires what is due by now, each timer once, and answers how many. A pass within a handler
 * is one of its own. */
SELDOM int fireTimers(aeEventLoop *eventLoop) {
    struct aeTimers *timers = eventLoop->timers;
    aeTimeEvent *timer;
    int fired = 0;
    while ((timer = takeFirst(timers, FRESH))) {
        findLink(eventLoop, timer->id)->isFresh = 0;
        enterTournament(timers, slotOf(timer), timer->when);
    }
    if (nearestDeadline(timers) != NEVER) {
        uint64_t outer = timers->passTime, now = monotonicNow(0);
        timers->passTime = now;
        while (nearestDeadline(timers) <= now) {
            fireNearest(eventLoop);
            fired++;
        }
        timers->passTime = outer;
    }
    if (firstOf(timers, DEAD) || firstOf(timers, DOOMED)) finalizeTimers(eventLoop);
    return fired;
}

/* Ends and finalizes all timers, and those that finalizers create meanwhile. */
static void endTimers(aeEventLoop *eventLoop) {
    struct aeTimers *timers = eventLoop->timers;
    aeTimeEvent *timer;
    /* A handler or finalizer may have been left for good, by exit or longjmp. */
    while ((timer = takeFirst(timers, RUNNING)))
        buryTimer(eventLoop, slotOf(timer), timer->finalizerProc != NULL);
    while ((timer = takeFirst(timers, FINALIZING))) leaveSlot(eventLoop, slotOf(timer));
    while (eventLoop->timeEventHead) {
        if (eventLoop->timeEventHead->id != AE_DELETED_EVENT_ID)
            aeDeleteTimeEvent(eventLoop, eventLoop->timeEventHead->id);
        finalizeTimers(eventLoop);
    }
}

/// One iteration //////////////////////////////////////////////////////////////////////////////////

/* No kernel's call takes an unlimited time, and epoll_wait's takes the least: an int of
 * milliseconds. After 24 days without an event a wait ends with none. */
static const uint64_t longestWait = (uint64_t)INT_MAX * 1000;

/* How long to wait: `timeout` filled in, or NULL for as long as it takes. */
ALWAYS struct timeval *chooseTimeout(aeEventLoop *eventLoop, int dontWait,
                                     struct timeval *timeout) {
    uint64_t wait = 0;
    if (!dontWait) {
        uint64_t nearest = nearestDeadline(eventLoop->timers);
        if (firstOf(eventLoop->timers, FRESH)) nearest = 0;
        if (nearest == NEVER) return NULL;
        uint64_t now = monotonicNow(0);
        if (nearest > now) wait = nearest - now;
        if (wait > longestWait) wait = longestWait;
        eventLoop->waitsUntil = now + wait;
    }
    timeout->tv_sec = (time_t)(wait / 1000000);
    timeout->tv_usec = (suseconds_t)(wait % 1000000);
    return timeout;
}

ALWAYS int iterate(aeEventLoop *eventLoop, int flags) {
    int served = 0, firesTimers = flags & AE_TIME_EVENTS;
    if (eventLoop->maxfd != -1 || (firesTimers && !(flags & AE_DONT_WAIT))) {
        if (flags & AE_CALL_BEFORE_SLEEP && eventLoop->beforesleep)
            eventLoop->beforesleep(eventLoop);

        struct timeval timeout, *limit = NULL;
        int dontWait = (flags | eventLoop->flags) & AE_DONT_WAIT;
        if (dontWait || (firesTimers && eventLoop->timeEventHead))
            limit = chooseTimeout(eventLoop, dontWait, &timeout);
        unsigned batch = ++eventLoop->batch;
        eventLoop->ready = aeApiPoll(eventLoop, limit);

        if (flags & AE_CALL_AFTER_SLEEP && eventLoop->aftersleep) eventLoop->aftersleep(eventLoop);
        if (flags & AE_FILE_EVENTS) served += dispatch(eventLoop, batch);
        eventLoop->ready = 0;
    }
    if (firesTimers && eventLoop->timeEventHead) served += fireTimers(eventLoop);
    return served;
}

int aeProcessEvents(aeEventLoop *eventLoop, int flags) {
    return flags & AE_ALL_EVENTS ? iterate(eventLoop, flags) : 0;
}

int aeWait(int fd, int mask, long long milliseconds) {
    int timeout = milliseconds > INT_MAX ? INT_MAX : milliseconds < 0 ? -1 : (int)milliseconds;
    struct pollfd request = {fd, 0, 0};
    if (mask & AE_READABLE) request.events |= POLLIN;
    if (mask & AE_WRITABLE) request.events |= POLLOUT;

    /* poll(2) would wait on a negative fd without looking at it. */
    int ready = fd < 0 ? 1 : poll(&request, 1, timeout);
    if (ready <= 0) return ready;
    if (fd < 0 || request.revents & POLLNVAL) {
        errno = EBADF;
        return -1;
    }
    int result = AE_NONE;
    if (request.revents & POLLIN) result |= AE_READABLE;
    if (request.revents & (POLLOUT | POLLERR | POLLHUP)) result |= AE_WRITABLE;
    return result;
}

/// The loop ///////////////////////////////////////////////////////////////////////////////////////

/* Frees what aeCreateEventLoop made, or as far as it came. */
static void freeLoop(aeEventLoop *eventLoop) {
    release(eventLoop->events);
    release(eventLoop->fired);
    freeTimers(eventLoop->timers);
    release(eventLoop);
}

aeEventLoop *aeCreateEventLoop(int setsize) {
    if (setsize <= 0) {
        errno = EINVAL;
        return NULL;
    }
    aeEventLoop *eventLoop = allocate(sizeof(*eventLoop));
    if (!eventLoop) return NULL;
    memset(eventLoop, 0, sizeof(*eventLoop));

    int slots = setsize < FIRST_SLOTS ? setsize : FIRST_SLOTS;
    eventLoop->maxfd = -1;
    eventLoop->setsize = setsize;
    eventLoop->nevents = slots;
    eventLoop->events = allocate((size_t)slots * sizeof(aeFileEvent));
    eventLoop->fired = allocate(firedEntries(slots) * sizeof(aeFiredEvent));
    eventLoop->timers = newTimers();
    if (!eventLoop->events || !eventLoop->fired || !eventLoop->timers ||
        aeApiCreate(eventLoop) == -1) {
        freeLoop(eventLoop);
        return NULL;
    }
    for (int i = 0; i < slots; i++) eventLoop->events[i].mask = AE_NONE;
    return eventLoop;
}

void aeDeleteEventLoop(aeEventLoop *eventLoop) {
    if (!eventLoop) return;
    endTimers(eventLoop);
    aeApiFree(eventLoop);
    freeLoop(eventLoop);
}

int aeGetSetSize(aeEventLoop *eventLoop) {
    return eventLoop->setsize;
}

int aeResizeSetSize(aeEventLoop *eventLoop, int setsize) {
    if (setsize == eventLoop->setsize) return AE_OK;
    if (setsize <= 0 || setsize <= eventLoop->maxfd) {
        errno = setsize <= 0 ? EINVAL : ERANGE;
        return AE_ERR;
    }
    if (aeApiResize(eventLoop, setsize) == -1) return AE_ERR;
    eventLoop->setsize = setsize;
    return AE_OK;
}

void aeSetBeforeSleepProc(aeEventLoop *eventLoop, aeBeforeSleepProc *beforesleep) {
    eventLoop->beforesleep = beforesleep;
}

void aeSetAfterSleepProc(aeEventLoop *eventLoop, aeBeforeSleepProc *aftersleep) {
    eventLoop->aftersleep = aftersleep;
}

void aeSetDontWait(aeEventLoop *eventLoop, int noWait) {
    if (noWait)
        eventLoop->flags |= AE_DONT_WAIT;
    else
        eventLoop->flags &= ~AE_DONT_WAIT;
}

/* The flag changes behind the compiler's back, under a signal handler or another thread. Nothing
 * else depends on when it is seen. */
#ifdef __GNUC__
#define LOAD_STOP(eventLoop) __atomic_load_n(&(eventLoop)->stop, __ATOMIC_RELAXED)
#define STORE_STOP(eventLoop, value) __atomic_store_n(&(eventLoop)->stop, value, __ATOMIC_RELAXED)
#else
#define LOAD_STOP(eventLoop) (*(volatile int *)&(eventLoop)->stop)
#define STORE_STOP(eventLoop, value) (*(volatile int *)&(eventLoop)->stop = (value))
#endif

void aeStop(aeEventLoop *eventLoop) {
    STORE_STOP(eventLoop, 1);
}

void aeMain(aeEventLoop *eventLoop) {
    STORE_STOP(eventLoop, 0);
    while (!LOAD_STOP(eventLoop))
        iterate(eventLoop, AE_ALL_EVENTS | AE_CALL_BEFORE_SLEEP | AE_CALL_AFTER_SLEEP);
}
