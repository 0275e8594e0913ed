/* libae: the event loop. See ae.h for what each public function promises.
 *
 * This file is the core, and it includes one backend, which talks to the kernel. It reads from top
 * to bottom:
 *
 *     The host        memory and panic, which an embedding project may replace
 *     The backend     which file, and what it owes the core
 *     File events     a slot for each fd
 *     Time events     a heap for the near timers, a wheel for the far ones, an index by id
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
 *     aeApiPoll      waits (NULL: without limit), puts what is ready into `fired`, no more than
 *                    BATCH_SIZE or `nevents`, and answers how many
 *     aeApiName      answers its name
 *
 * When the kernel turns out to have forgotten an fd that has a slot, then that fd was closed and
 * its number used again. aeApiAddEvent then sets the slot's mask to AE_NONE: the rest of what it
 * holds belonged to another connection. */

/* How many events a backend asks for at once. Enough to make the system call cheap, few enough to
 * stay in the cache. */
enum { BATCH_SIZE = 512, AE_BOTH = AE_READABLE | AE_WRITABLE };

/* What is seldom done stands out of line, and what is done for each event in line. Else compilers
 * spend half of the instructions on making room for what hardly ever happens. */
#ifdef __GNUC__
#define SELDOM __attribute__((noinline)) static
#define ALWAYS __attribute__((always_inline)) static inline
#else
#define SELDOM static
#define ALWAYS static inline
#endif

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

enum { FIRST_SLOTS = 64 };

static size_t firedEntries(int slots) {
    return slots < BATCH_SIZE ? BATCH_SIZE : (size_t)slots;
}

/* Makes a slot for fd. */
SELDOM int growSlots(aeEventLoop *eventLoop, int fd) {
    /* No memory for a number that is not even open. */
    if (fcntl(fd, F_GETFD) == -1) return AE_ERR;

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
    if (fd < 0 || fd >= eventLoop->nevents) return NULL;
    aeFileEvent *slot = &eventLoop->events[fd];
    return slot->mask == AE_NONE ? NULL : slot;
}

/* A barrier alone changes only the order of the handlers that an fd has. */
SELDOM int addBarrier(aeEventLoop *eventLoop, int fd, int mask) {
    aeFileEvent *slot = findSlot(eventLoop, fd);
    if (!slot) {
        errno = EINVAL;
        return AE_ERR;
    }
    slot->mask |= mask;
    return AE_OK;
}

int aeCreateFileEvent(aeEventLoop *eventLoop, int fd, int mask, aeFileProc *proc,
                      void *clientData) {
    mask &= AE_BOTH | AE_BARRIER;
    if (fd < 0 || fd >= eventLoop->setsize) {
        errno = fd < 0 ? EBADF : ERANGE;
        return AE_ERR;
    }
    if (!(mask & AE_BOTH)) return addBarrier(eventLoop, fd, mask);
    if (!proc) {
        errno = EINVAL;
        return AE_ERR;
    }
    if (fd >= eventLoop->nevents && growSlots(eventLoop, fd) == AE_ERR) return AE_ERR;
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
    aeFileEvent *slot = findSlot(eventLoop, fd);
    if (!slot) return;

    int left = slot->mask & ~mask;
    if (mask & AE_WRITABLE) left &= ~AE_BARRIER;
    /* The backend hears of no bit that is not set: failing on it, it might leave the other. */
    int gone = slot->mask & mask & AE_BOTH;
    if (gone) aeApiDelEvent(eventLoop, fd, gone);

    slot->mask = left;
    if (left & AE_BOTH) return;
    slot->mask = AE_NONE;
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
        if (due == AE_READABLE || due == AE_WRITABLE) {
            aeFileProc *proc = due == AE_READABLE ? slot->rfileProc : slot->wfileProc;
            proc(eventLoop, fd, slot->clientData, mask);
        } else if (due == AE_BOTH) {
            dispatchBoth(eventLoop, fd, mask, batch);
        }
    }
    return served;
}

/// Time events ////////////////////////////////////////////////////////////////////////////////////

/* Servers set a timer for each connection, and nearly all of them are deleted long before they are
 * due. So a far timer costs next to nothing, and only the near ones are kept in order.
 *
 * A deadline's tick is its `when` in units of 4096 us. The timers have a horizon, which is a tick.
 *
 * The heap holds the timers up to the horizon, ordered by `when`. It is 4-ary: flatter than a
 * binary one, with the children of a node side by side.
 *
 * The wheel holds those beyond the horizon, in lists. Write ticks as numbers with digits of six
 * bits: a timer's list is given by the highest digit in which its tick differs from the horizon's,
 * and by the value of that digit. So a list is a stretch of time, 64 times as long for each level
 * up; every timer of a lower level is due before any of a higher one, and within a level the lists
 * are in the order of their digits.
 *
 * A timer that has been armed is a fresh one first: it stands behind the heap, in the same array,
 * in no order. It is placed when somebody asks for the nearest one. Many are deleted before that.
 *
 * Invariant: tick <= horizon in the heap, tick > horizon in the wheel. Hence the heap's first timer
 * is the nearest of all. When the heap runs dry, the horizon moves to the beginning of the first
 * list that is not empty, and the timers of that list are placed anew, nearer.
 *
 * The index finds a live timer by its id: a hash table of chains.
 *
 * A timer has a slot, a number that leads to its aeTimeEvent and to its node. The nodes hold all
 * the links, close together: to delete a timer is to touch its node and those beside it. A timer
 * that exists is in the heap, fresh, or in exactly one list, and it is in the index while it is
 * live. The first nodes are no timers but the anchors of the lists, which are rings.
 *
 * Cost: O(1) to create and delete in the wheel, and at most one move a level during a timer's whole
 * life; O(log n) in the heap, where n counts the near ones. When a lone far timer has pulled the
 * horizon out, those set before it are near ones.
 *
 * Memory is kept until the loop is deleted, and a timer has room in heap and index from the moment
 * it is created: only creating one can fail. */

enum {
    TICK_BITS = 12,
    DIGIT_BITS = 6,
    DIGITS = 1 << DIGIT_BITS,
    LEVELS = (64 - TICK_BITS + DIGIT_BITS - 1) / DIGIT_BITS,
    CHUNK_TIMERS = 64
};

/* The lists. Those of the wheel come first, in the order of their time. */
enum {
    RUNNING = LEVELS * DIGITS, /* whose handler or finalizer is being called */
    DEAD,                      /* ended, waiting for their finalizer */
    DOOMED,                    /* the dead whose turn has come */
    LISTS
};

typedef struct {
    long long id;      /* AE_DELETED_EVENT_ID when it is not in the index */
    uint32_t chain;    /* the next slot in the chain of the index, 0 at the end */
    uint32_t prev;     /* the neighbours in the list */
    uint32_t next;     /* or its place in the array of the heap */
    uint8_t inHeap;    /* or fresh */
    uint8_t isRunning; /* its handler is being called */
    uint8_t hasFinalizer;
} TimerNode;

typedef struct {
    uint64_t when;
    uint32_t slot;
} HeapNode;

struct aeTimers {
    uint64_t horizon;
    uint64_t occupied[LEVELS]; /* no list of the wheel has timers unless its bit is set */
    uint32_t heapLength;       /* so many of `heap` are the heap, */
    uint32_t heapEnd;          /* and those from there to here are fresh */

    uint32_t slots;    /* how many there are, with those of the anchors */
    uint32_t spare;    /* a free one, 0 if there is none; its node's `next` is another */
    uint32_t capacity; /* the three arrays that follow have room for so many timers */
    TimerNode *nodes;  /* by slot, those of the anchors first */
    HeapNode *heap;
    aeTimeEvent **chunks; /* of CHUNK_TIMERS each, by slot - LISTS */

    uint32_t *chains; /* the first slot of each, 0 if it is empty */
    uint64_t chainMask;
};

/* Time: in microseconds of a clock that never goes back. */

static uint64_t monotonicNow(long roundingNanoseconds) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)(now.tv_nsec + roundingNanoseconds) / 1000;
}

/* Rounds up, so that not even a nanosecond is missing when the deadline has come. What is due at
 * once is due now, not in the next microsecond. */
static uint64_t deadlineIn(long long milliseconds) {
    if (milliseconds <= 0) return monotonicNow(0);
    uint64_t now = monotonicNow(999), delay = (uint64_t)milliseconds;
    return delay > (UINT64_MAX - now) / 1000 ? UINT64_MAX : now + delay * 1000;
}

/* The lowest and the highest bit that is set in a word which is not 0. */
#ifdef __GNUC__
static uint32_t lowestBit(uint64_t word) {
    return (uint32_t)__builtin_ctzll(word);
}

static uint32_t highestBit(uint64_t word) {
    return 63 - (uint32_t)__builtin_clzll(word);
}
#else
static uint32_t lowestBit(uint64_t word) {
    uint32_t bit = 0;
    while (!(word >> bit & 1)) bit++;
    return bit;
}

static uint32_t highestBit(uint64_t word) {
    uint32_t bit = 63;
    while (!(word >> bit & 1)) bit--;
    return bit;
}
#endif

/* Lists. */

static void appendToList(struct aeTimers *timers, uint32_t list, uint32_t slot) {
    TimerNode *nodes = timers->nodes;
    uint32_t last = nodes[list].prev;
    nodes[slot].prev = last;
    nodes[slot].next = list;
    nodes[last].next = slot;
    nodes[list].prev = slot;
}

static void takeFromList(struct aeTimers *timers, uint32_t slot) {
    TimerNode *node = &timers->nodes[slot];
    timers->nodes[node->prev].next = node->next;
    timers->nodes[node->next].prev = node->prev;
}

static int isEmpty(const struct aeTimers *timers, uint32_t list) {
    return timers->nodes[list].next == list;
}

/* Takes and answers the first slot of a list, 0 if it is empty. */
static uint32_t takeFirst(struct aeTimers *timers, uint32_t list) {
    if (isEmpty(timers, list)) return 0;
    uint32_t slot = timers->nodes[list].next;
    takeFromList(timers, slot);
    return slot;
}

/* Heap, and the fresh ones behind it. */

static void putInHeap(struct aeTimers *timers, uint32_t place, HeapNode node) {
    timers->heap[place] = node;
    timers->nodes[node.slot].next = place;
}

/* Fills the hole at `place` with `node`, or with parents that are due after it. */
static void siftUp(struct aeTimers *timers, uint32_t place, HeapNode node) {
    while (place > 0 && timers->heap[(place - 1) / 4].when > node.when) {
        putInHeap(timers, place, timers->heap[(place - 1) / 4]);
        place = (place - 1) / 4;
    }
    putInHeap(timers, place, node);
}

/* Answers which child of `place` is due first; heapLength or more if it has none. */
static uint32_t leastChild(const struct aeTimers *timers, uint32_t place) {
    const HeapNode *heap = timers->heap;
    uint32_t first = place * 4 + 1, last = first + 3;
    if (last < timers->heapLength) {
        uint32_t left = first + (heap[first + 1].when < heap[first].when);
        uint32_t right = last - (heap[last - 1].when < heap[last].when);
        return heap[right].when < heap[left].when ? right : left;
    }
    uint32_t least = first;
    for (uint32_t child = first + 1; child < timers->heapLength; child++)
        if (heap[child].when < heap[least].when) least = child;
    return least;
}

/* Closes a hole in the heap with its last node. The hole sinks to a leaf first: that is where the
 * last node most likely belongs. Answers the place that is free now, behind the heap. */
static uint32_t closeHole(struct aeTimers *timers, uint32_t hole) {
    HeapNode last = timers->heap[--timers->heapLength];
    if (hole == timers->heapLength) return hole;
    uint32_t child;
    while ((child = leastChild(timers, hole)) < timers->heapLength) {
        putInHeap(timers, hole, timers->heap[child]);
        hole = child;
    }
    siftUp(timers, hole, last);
    return timers->heapLength;
}

/* Takes a timer from the heap or the fresh ones; the last of these fills the gap. */
static void takeFromHeap(struct aeTimers *timers, uint32_t slot) {
    uint32_t hole = timers->nodes[slot].next;
    timers->nodes[slot].inHeap = 0;
    if (hole < timers->heapLength) hole = closeHole(timers, hole);
    if (hole < --timers->heapEnd) putInHeap(timers, hole, timers->heap[timers->heapEnd]);
}

/* Makes a timer a fresh one. */
static void armTimer(struct aeTimers *timers, uint32_t slot, uint64_t when) {
    HeapNode node = {when, slot};
    timers->nodes[slot].inHeap = 1;
    putInHeap(timers, timers->heapEnd++, node);
}

/* Wheel. */

static aeTimeEvent *timerAt(const struct aeTimers *timers, uint32_t slot) {
    return &timers->chunks[(slot - LISTS) / CHUNK_TIMERS][(slot - LISTS) % CHUNK_TIMERS];
}

/* Puts a timer where its deadline belongs. If that is the heap, then the first of the fresh ones
 * makes room. */
static void placeTimer(struct aeTimers *timers, HeapNode node) {
    uint64_t tick = node.when >> TICK_BITS;
    if (tick <= timers->horizon) {
        uint32_t place = timers->heapLength++, end = timers->heapEnd++;
        if (place < end) putInHeap(timers, end, timers->heap[place]);
        timers->nodes[node.slot].inHeap = 1;
        siftUp(timers, place, node);
        return;
    }
    uint32_t level = highestBit(tick ^ timers->horizon) / DIGIT_BITS;
    uint32_t value = tick >> level * DIGIT_BITS & (DIGITS - 1);
    timers->nodes[node.slot].inHeap = 0;
    appendToList(timers, level * DIGITS + value, node.slot);
    timers->occupied[level] |= (uint64_t)1 << value;
}

/* Places the fresh ones. The heap grows over those that have been placed. */
SELDOM void placeFresh(struct aeTimers *timers) {
    uint32_t first = timers->heapLength, end = timers->heapEnd;
    timers->heapEnd = first;
    for (uint32_t i = first; i < end; i++) placeTimer(timers, timers->heap[i]);
}

/* Moves the horizon to the beginning of the first list that may have timers, and places those anew.
 * The digit of the list's level becomes the list's, those above are right already, those below
 * become zero. Answers 0 if the wheel is empty. */
SELDOM int moveHorizon(struct aeTimers *timers) {
    uint32_t level = 0;
    while (level < LEVELS && !timers->occupied[level]) level++;
    if (level == LEVELS) return 0;

    uint32_t value = lowestBit(timers->occupied[level]), list = level * DIGITS + value;
    timers->occupied[level] &= timers->occupied[level] - 1;
    uint64_t digits = timers->horizon >> level * DIGIT_BITS;
    timers->horizon = (digits - digits % DIGITS + value) << level * DIGIT_BITS;
    uint32_t slot;
    while ((slot = takeFirst(timers, list))) {
        HeapNode node = {timerAt(timers, slot)->when, slot};
        placeTimer(timers, node);
    }
    return 1;
}

/* Answers whether any timer has been placed; the nearest is then the heap's first. */
ALWAYS int findPlaced(struct aeTimers *timers) {
    while (timers->heapLength == 0)
        if (!moveHorizon(timers)) return 0;
    return 1;
}

/* Likewise, whether any timer waits for its deadline, be it placed or fresh. */
ALWAYS int findNearest(struct aeTimers *timers) {
    if (timers->heapEnd > timers->heapLength) placeFresh(timers);
    return findPlaced(timers);
}

/* Index. */

/* Ids are given out in order, so the chains of eight in a row begin within a line of the cache. The
 * rest is mixed, lest some habit of a program (every hundredth timer lives long) crowd a chain. */
static uint32_t *chainOf(struct aeTimers *timers, long long id) {
    uint64_t mixed = ((uint64_t)id >> 3) * UINT64_C(0x9e3779b97f4a7c15);
    return &timers->chains[(mixed ^ mixed >> 32 ^ (id & 7)) & timers->chainMask];
}

static void addToIndex(struct aeTimers *timers, uint32_t slot) {
    uint32_t *chain = chainOf(timers, timers->nodes[slot].id);
    timers->nodes[slot].chain = *chain;
    *chain = slot;
}

/* Takes the timer with this id out of the index. Answers its slot, 0 if there is no such timer. */
static uint32_t takeFromIndex(struct aeTimers *timers, long long id) {
    uint32_t *link = chainOf(timers, id), slot;
    while ((slot = *link)) {
        TimerNode *node = &timers->nodes[slot];
        if (node->id == id) {
            *link = node->chain;
            node->id = AE_DELETED_EVENT_ID;
            return slot;
        }
        link = &node->chain;
    }
    return 0;
}

/* Memory. */

/* Makes at least `count` chains. */
static int growChains(struct aeTimers *timers, uint32_t count) {
    size_t size = (size_t)timers->chainMask + 1;
    if (size >= count) return AE_OK;
    while (size < count) size *= 2;

    uint32_t *chains = resizeArray(NULL, size, sizeof(*chains));
    if (!chains) return AE_ERR;
    memset(chains, 0, size * sizeof(*chains));
    release(timers->chains);
    timers->chains = chains;
    timers->chainMask = size - 1;
    for (uint32_t slot = LISTS; slot < timers->slots; slot++)
        if (timers->nodes[slot].id != AE_DELETED_EVENT_ID) addToIndex(timers, slot);
    return AE_OK;
}

/* Makes room for an eighth more timers, and at least for another chunk. */
static int growArrays(struct aeTimers *timers) {
    uint32_t capacity = timers->capacity;
    if (capacity > UINT32_MAX / 2) {
        errno = ENOMEM; /* slots would overflow */
        return AE_ERR;
    }
    capacity += capacity / 8 > CHUNK_TIMERS ? capacity / 8 : CHUNK_TIMERS;
    if (growChains(timers, capacity) == AE_ERR) return AE_ERR;
    TimerNode *nodes = resizeArray(timers->nodes, LISTS + (size_t)capacity, sizeof(*nodes));
    if (!nodes) return AE_ERR;
    timers->nodes = nodes;
    HeapNode *heap = resizeArray(timers->heap, capacity, sizeof(*heap));
    if (!heap) return AE_ERR;
    timers->heap = heap;
    aeTimeEvent **chunks = resizeArray(timers->chunks, capacity / CHUNK_TIMERS, sizeof(*chunks));
    if (!chunks) return AE_ERR;
    timers->chunks = chunks;
    timers->capacity = capacity;
    return AE_OK;
}

/* Makes spare timers. */
static int growTimers(struct aeTimers *timers) {
    const TimerNode unused = {AE_DELETED_EVENT_ID, 0, 0, 0, 0, 0, 0};
    uint32_t first = timers->slots, end = first + CHUNK_TIMERS;
    if (end - LISTS > timers->capacity && growArrays(timers) == AE_ERR) return AE_ERR;
    aeTimeEvent *chunk = resizeArray(NULL, CHUNK_TIMERS, sizeof(*chunk));
    if (!chunk) return AE_ERR;
    timers->chunks[(first - LISTS) / CHUNK_TIMERS] = chunk;
    timers->slots = end;
    for (uint32_t slot = first; slot < end; slot++) {
        timers->nodes[slot] = unused;
        timers->nodes[slot].next = slot + 1;
    }
    timers->nodes[end - 1].next = 0;
    timers->spare = first;
    return AE_OK;
}

static void freeTimers(struct aeTimers *timers) {
    if (!timers) return;
    for (uint32_t slot = LISTS; slot < timers->slots; slot += CHUNK_TIMERS)
        release(timers->chunks[(slot - LISTS) / CHUNK_TIMERS]);
    release(timers->chunks);
    release(timers->chains);
    release(timers->nodes);
    release(timers->heap);
    release(timers);
}

static struct aeTimers *newTimers(void) {
    struct aeTimers *timers = allocate(sizeof(*timers));
    if (!timers) return NULL;
    memset(timers, 0, sizeof(*timers));
    if (growArrays(timers) == AE_ERR) {
        freeTimers(timers);
        return NULL;
    }
    timers->slots = LISTS;
    for (uint32_t list = 0; list < LISTS; list++)
        timers->nodes[list].prev = timers->nodes[list].next = list;
    return timers;
}

/* Answers some timer that exists, NULL if none does. */
static aeTimeEvent *anyTimer(struct aeTimers *timers) {
    if (findPlaced(timers) || timers->heapEnd > 0) return timerAt(timers, timers->heap[0].slot);
    for (uint32_t list = RUNNING; list < LISTS; list++)
        if (!isEmpty(timers, list)) return timerAt(timers, timers->nodes[list].next);
    return NULL;
}

/* The life of a timer. */

long long aeCreateTimeEvent(aeEventLoop *eventLoop, long long milliseconds, aeTimeProc *proc,
                            void *clientData, aeEventFinalizerProc *finalizerProc) {
    struct aeTimers *timers = eventLoop->timers;
    if (!proc) {
        errno = EINVAL;
        return AE_ERR;
    }
    if (!timers->spare && growTimers(timers) == AE_ERR) return AE_ERR;
    if (!eventLoop->timeEventHead) timers->horizon = monotonicNow(0) >> TICK_BITS;

    uint32_t slot = timers->spare;
    TimerNode *node = &timers->nodes[slot];
    timers->spare = node->next;
    aeTimeEvent *timer = timerAt(timers, slot);
    timer->id = node->id = eventLoop->timeEventNextId++;
    timer->when = deadlineIn(milliseconds);
    timer->timeProc = proc;
    timer->finalizerProc = finalizerProc;
    timer->clientData = clientData;
    node->hasFinalizer = finalizerProc != NULL;
    addToIndex(timers, slot);
    armTimer(timers, slot, timer->when);
    if (!eventLoop->timeEventHead) eventLoop->timeEventHead = timer;
    return timer->id;
}

static void releaseTimer(aeEventLoop *eventLoop, uint32_t slot) {
    struct aeTimers *timers = eventLoop->timers;
    timers->nodes[slot].next = timers->spare;
    timers->spare = slot;
    if (eventLoop->timeEventHead == timerAt(timers, slot))
        eventLoop->timeEventHead = anyTimer(timers);
}

/* A timer that has left the index, and is in no list any more, lives on only for its finalizer. */
static void buryTimer(aeEventLoop *eventLoop, uint32_t slot) {
    if (eventLoop->timers->nodes[slot].hasFinalizer)
        appendToList(eventLoop->timers, DEAD, slot);
    else
        releaseTimer(eventLoop, slot);
}

int aeDeleteTimeEvent(aeEventLoop *eventLoop, long long id) {
    struct aeTimers *timers = eventLoop->timers;
    uint32_t slot = takeFromIndex(timers, id);
    if (!slot) {
        errno = ENOENT;
        return AE_ERR;
    }
    TimerNode *node = &timers->nodes[slot];
    if (node->isRunning || node->hasFinalizer) timerAt(timers, slot)->id = AE_DELETED_EVENT_ID;
    if (node->isRunning) return AE_OK; /* whoever runs it will bury it */
    if (node->inHeap)
        takeFromHeap(timers, slot);
    else
        takeFromList(timers, slot);
    buryTimer(eventLoop, slot);
    return AE_OK;
}

/* Calls the finalizers of the timers that are dead by now, in the order in which they died. What
 * the finalizers themselves delete is left for the next time, or this might never end. */
SELDOM void finalizeTimers(aeEventLoop *eventLoop) {
    struct aeTimers *timers = eventLoop->timers;
    uint32_t slot;
    while ((slot = takeFirst(timers, DEAD))) appendToList(timers, DOOMED, slot);
    while ((slot = takeFirst(timers, DOOMED))) {
        aeTimeEvent *timer = timerAt(timers, slot);
        appendToList(timers, RUNNING, slot);
        timer->finalizerProc(eventLoop, timer->clientData);
        takeFromList(timers, slot);
        releaseTimer(eventLoop, slot);
    }
}

/* Calls the handler of a timer that has just been taken from the heap. */
SELDOM void fireTimer(aeEventLoop *eventLoop, uint32_t slot) {
    struct aeTimers *timers = eventLoop->timers;
    aeTimeEvent *timer = timerAt(timers, slot);
    appendToList(timers, RUNNING, slot);
    timers->nodes[slot].isRunning = 1;
    int again = timer->timeProc(eventLoop, timer->id, timer->clientData);
    if (again == AE_NOMORE) aeDeleteTimeEvent(eventLoop, timer->id);
    timers->nodes[slot].isRunning = 0;
    takeFromList(timers, slot);

    if (timer->id == AE_DELETED_EVENT_ID) {
        buryTimer(eventLoop, slot);
    } else {
        timer->when = deadlineIn(again);
        armTimer(timers, slot, timer->when);
    }
}

/* Fires what was due at a point in time, each timer once, and answers how many. What is armed
 * meanwhile is placed by the next pass only, and does not fire in this one. A pass within a handler
 * is one of its own. */
SELDOM int fireDue(aeEventLoop *eventLoop, uint64_t now) {
    struct aeTimers *timers = eventLoop->timers;
    int fired = 0;
    while (findPlaced(timers) && timers->heap[0].when <= now) {
        uint32_t slot = timers->heap[0].slot;
        takeFromHeap(timers, slot);
        fireTimer(eventLoop, slot);
        fired++;
    }
    return fired;
}

/* A pass. */
SELDOM int fireTimers(aeEventLoop *eventLoop) {
    struct aeTimers *timers = eventLoop->timers;
    int fired = 0;
    if (findNearest(timers)) {
        uint64_t now = monotonicNow(0);
        if (timers->heap[0].when <= now) fired = fireDue(eventLoop, now);
    }
    if (!isEmpty(timers, DEAD) || !isEmpty(timers, DOOMED)) finalizeTimers(eventLoop);
    return fired;
}

/* Ends and finalizes all timers, and those that finalizers create meanwhile. */
static void endTimers(aeEventLoop *eventLoop) {
    struct aeTimers *timers = eventLoop->timers;
    uint32_t slot;
    /* A handler or finalizer may have been left for good, by exit or longjmp. */
    while ((slot = takeFirst(timers, RUNNING))) {
        TimerNode *node = &timers->nodes[slot];
        int wasHandler = node->isRunning;
        node->isRunning = 0;
        if (node->id != AE_DELETED_EVENT_ID)
            armTimer(timers, slot, timerAt(timers, slot)->when);
        else if (wasHandler)
            buryTimer(eventLoop, slot);
        else
            releaseTimer(eventLoop, slot);
    }
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
        if (!findNearest(eventLoop->timers)) return NULL;
        uint64_t now = monotonicNow(0), nearest = eventLoop->timers->heap[0].when;
        if (nearest > now) wait = nearest - now;
        if (wait > longestWait) wait = longestWait;
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
