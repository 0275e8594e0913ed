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
#ifndef _TS_ERRNO
#define _TS_ERRNO /* Solaris and illumos: an errno for each thread, without -pthread */
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

/* In a Redis tree memory is counted by its INFO, and a panic makes it write its crash report. Two
 * of its headers beside this file show that this is one, unless AE_STANDALONE denies it. Before 7.0
 * the panic of redisassert.h calls a function that only the server has, and redis-cli and
 * redis-benchmark would not link with it; since 7.0 they link redisassert.c. */
#if defined(__has_include) && !defined(AE_MALLOC) && !defined(AE_STANDALONE)
#if __has_include("zmalloc.h") && __has_include("redisassert.h")
#include "zmalloc.h"

#include "redisassert.h"
#define AE_MALLOC zmalloc
#define AE_REALLOC zrealloc
#define AE_FREE zfree
#if __has_include("redisassert.c") && defined(panic) && !defined(AE_PANIC)
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
 * its number used again. aeApiAddEvent then sets the slot's mask to AE_NONE (endRegistration does
 * so): the rest of what it holds belonged to another connection. */

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

/* The masks of poll(2). */
static short pollEventsOf(int mask) {
    return (short)((mask & AE_READABLE ? POLLIN : 0) | (mask & AE_WRITABLE ? POLLOUT : 0));
}

static int readinessOf(int events) {
    if (events & (POLLERR | POLLHUP)) return AE_BOTH;
    return (events & POLLIN ? AE_READABLE : AE_NONE) | (events & POLLOUT ? AE_WRITABLE : AE_NONE);
}

/* A forked child is none: what the kernel knows of the loop is its parent's. */
SELDOM int isOwner(const aeEventLoop *eventLoop) {
    return eventLoop->owner == (int)getpid();
}

/* What fd is ready for at this moment, of the bits of mask. Hang-up and error count as both. */
SELDOM int pollNow(int fd, int mask) {
    struct pollfd request = {fd, pollEventsOf(mask), 0};
    return poll(&request, 1, 0) == 1 ? readinessOf(request.revents) : AE_NONE;
}

/* The next registration of fd is another one; see "File events". */
SELDOM void endRegistration(aeEventLoop *eventLoop, int fd) {
    aeFileEvent *slot = &eventLoop->events[fd];
    if (slot->mask == AE_NONE) return;
    slot->mask = AE_NONE;
    slot->registration = ++eventLoop->ended;
    while (eventLoop->maxfd >= 0 && eventLoop->events[eventLoop->maxfd].mask == AE_NONE)
        eventLoop->maxfd--;
}

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
 * A registration begins when a slot goes from AE_NONE to something, and ends when it goes back. The
 * loop counts in `ended` how many have ended. A slot notes in `registration` the count when its
 * latest one ended: with fd it names the next one, unlike all before. So what a poll reports of an
 * fd is void if a registration of it has ended since. The counts wrap: they are compared by how
 * long ago they were the latest. */

enum { FIRST_SLOTS = 32 };

static size_t firedEntries(int slots) {
    return slots < BATCH_SIZE ? BATCH_SIZE : (size_t)slots;
}

ALWAYS int hasSlot(const aeEventLoop *eventLoop, int fd) {
    return (unsigned)fd < (unsigned)eventLoop->nevents; /* a negative fd is a large number */
}

/* Answers whether fd may have a slot. */
static int isInRange(const aeEventLoop *eventLoop, int fd) {
    if (fd >= 0 && fd < eventLoop->setsize && !eventLoop->isEnding) return 1;
    errno = eventLoop->isEnding ? ECANCELED : fd < 0 ? EBADF : ERANGE;
    return 0;
}

/* Only a slot below setsize may be registered, and none once the loop is ending. */
static void limitSlots(aeEventLoop *eventLoop) {
    int setsize = eventLoop->isEnding ? 0 : eventLoop->setsize;
    eventLoop->usable = eventLoop->nevents < setsize ? eventLoop->nevents : setsize;
}

/* Takes over new slots, for which there is memory. */
static void emptySlots(aeEventLoop *eventLoop, int slots) {
    for (int fd = eventLoop->nevents; fd < slots; fd++) {
        eventLoop->events[fd].mask = AE_NONE;
        eventLoop->events[fd].registration = 0;
    }
    eventLoop->nevents = slots;
    limitSlots(eventLoop);
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

    emptySlots(eventLoop, slots);
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
    if ((unsigned)fd >= (unsigned)eventLoop->usable && growSlots(eventLoop, fd) == AE_ERR)
        return AE_ERR;
    aeFileEvent *slot = &eventLoop->events[fd];
    if (aeApiAddEvent(eventLoop, fd, mask) == -1) return AE_ERR;

    if (slot->mask == AE_NONE && fd > eventLoop->maxfd) eventLoop->maxfd = fd;
    slot->mask |= mask;
    if (mask & AE_READABLE) slot->rfileProc = proc;
    if (mask & AE_WRITABLE) slot->wfileProc = proc;
    slot->clientData = clientData;
    return AE_OK;
}

void aeDeleteFileEvent(aeEventLoop *eventLoop, int fd, int mask) {
    if (!hasSlot(eventLoop, fd)) return;
    int error = errno; /* the kernel may complain of an fd that was closed before */
    aeFileEvent *slot = &eventLoop->events[fd];
    int left = slot->mask & ~(mask | (mask & AE_WRITABLE ? AE_BARRIER : AE_NONE));
    if (!(left & AE_BOTH)) left = AE_NONE;
    /* The backend hears of no bit that is not set: failing on it, it might leave the other. */
    int gone = slot->mask & ~left;
    if (gone & AE_BOTH) aeApiDelEvent(eventLoop, fd, gone);
    errno = error;
    if (left == AE_NONE)
        endRegistration(eventLoop, fd);
    else
        slot->mask = left;
}

int aeGetFileEvents(aeEventLoop *eventLoop, int fd) {
    aeFileEvent *slot = findSlot(eventLoop, fd);
    return slot ? slot->mask : AE_NONE;
}

void *aeGetFileClientData(aeEventLoop *eventLoop, int fd) {
    aeFileEvent *slot = findSlot(eventLoop, fd);
    return slot ? slot->clientData : NULL;
}

/* A registration has ended since the poll. If it was one of this fd, then `mask` is void: returns
 * what the fd is ready for now. The first time it gets nothing, and waits for the next poll, which
 * costs no system call. But a program that pauses and resumes the fd in each iteration would starve
 * it so. */
SELDOM int lookAgain(aeEventLoop *eventLoop, int fd, int mask, unsigned endedAtPoll) {
    const aeFileEvent *slot = &eventLoop->events[fd];
    int hasEnded = eventLoop->ended - slot->registration < eventLoop->ended - endedAtPoll;
    if (slot->mask == AE_NONE || !hasEnded) return mask;
    if (eventLoop->hasPaused) return pollNow(fd, slot->mask);
    eventLoop->hasPaused = 1;
    return AE_NONE;
}

/* Calls both handlers of an fd. The first may have done anything: before the second call, look at
 * everything again. If it polled, then this batch is out of date; what is still ready is reported
 * again. */
SELDOM void dispatchBoth(aeEventLoop *eventLoop, int fd, int mask) {
    aeFileEvent *slot = &eventLoop->events[fd];
    unsigned ended = eventLoop->ended;
    int writesFirst = slot->mask & AE_BARRIER;
    aeFileProc *first = writesFirst ? slot->wfileProc : slot->rfileProc;
    first(eventLoop, fd, slot->clientData, mask);

    if (!eventLoop->ready) return;
    if (eventLoop->ended != ended) mask = lookAgain(eventLoop, fd, mask, ended);
    slot = &eventLoop->events[fd];
    aeFileProc *second = writesFirst ? slot->rfileProc : slot->wfileProc;
    if (slot->mask & mask & (writesFirst ? AE_READABLE : AE_WRITABLE) && second != first)
        second(eventLoop, fd, slot->clientData, mask);
}

/* Serves the entries of `fired`, and returns how many it got to. A poll within a handler leaves
 * none of them. */
ALWAYS int dispatch(aeEventLoop *eventLoop, unsigned endedAtPoll) {
    int served = 0;
    while (served < eventLoop->ready) {
        int fd = eventLoop->fired[served].fd, mask = eventLoop->fired[served].mask;
        served++;
        if (eventLoop->ended != endedAtPoll) mask = lookAgain(eventLoop, fd, mask, endedAtPoll);

        aeFileEvent *slot = &eventLoop->events[fd];
        int due = slot->mask & mask;
        if (due == AE_READABLE)
            slot->rfileProc(eventLoop, fd, slot->clientData, mask);
        else if (due == AE_WRITABLE)
            slot->wfileProc(eventLoop, fd, slot->clientData, mask);
        else if (due == AE_BOTH)
            dispatchBoth(eventLoop, fd, mask);
    }
    return served;
}

/// Time events ////////////////////////////////////////////////////////////////////////////////////

/* A server sets a timer for each connection and deletes nearly all of them before they are due.
 * With many timers the cost is cache misses, so what is used together lies together.
 *
 * Leaves. A timer has a leaf: a number from 1 on, under which its record and its deadline are
 * stored. Leaf n is number n % 64 of block n / 64. Blocks are allocated in chunks of 16. Only the
 * first chunk begins with one block and doubles, so that a few timers take little memory.
 *
 * The winner tree (Knuth, The Art of Computer Programming 3, 5.4.1) finds the nearest deadline.
 * Eight siblings have a parent node, which holds the earliest of their deadlines and the leaf that
 * it belongs to. The tree of a block has 73 nodes:
 *
 *     nodes 0 to 63     its leaves
 *     nodes 64 to 71    the parents of nodes 0 to 7, of nodes 8 to 15, and so on
 *     node 72           the parent of nodes 64 to 71: the top
 *
 * So the parent of node n is node 64 + n / 8. Above the blocks there are more trees of this form:
 * nodes 0 to 63 of such a tree are copies of the tops of 64 trees below it. The copy of the highest
 * top is `nearest`.
 *
 * The index finds the leaf of an id. It is a hash table with chaining. Each block holds 128 of its
 * buckets. It grows without moving all entries at once (linear hashing, Litwin 1980): a new block n
 * takes its share of the entries of block n - 2^k, where 2^k is the highest power of two in n.
 *
 * Lists of leaves are linked by `next`: the timers in a bucket, the free leaves, and the timers
 * that have ended and wait for their finalizer. 0 ends a list.
 *
 * Invariants:
 * - A timer is in the bucket of its id from its creation until it is deleted or done.
 * - While it waits, its leaf's node holds its deadline. The node holds NEVER while the handler is
 *   running, after the timer has ended, and when there is no timer.
 * - A parent holds the deadline and the leaf of the earliest of its eight children.
 * - A leaf has a timeProc exactly as long as its timer waits or is running.
 *
 * Cost: a change of a deadline replays the tree upwards as long as parents change. When a timer is
 * created or deleted that is mostly no level at all, and at most two for each factor of 64 in the
 * number of leaves; when one fires it is all of them. A lookup takes constant time on average.
 * Creating a timer may add a block: that distributes the entries of one block, 128 on average, and
 * allocates at most 64 KiB. Nothing else allocates, and nothing but the first chunk and the
 * directory (8 bytes for each 1024 leaves) moves. Memory is kept until the loop is deleted. */

enum {
    GROUP = 8,                               /* siblings */
    WIDTH = 64,                              /* leaves of a block, lowest nodes of a tree */
    TOP = (WIDTH - 1) / (GROUP - 1) * GROUP, /* the node without siblings */
    BUCKETS = 2 * WIDTH,                     /* of a block */
    CHUNK = 16,                              /* blocks */
    TICKS = 4096,                            /* of a microsecond */
    PASS = GROUP                             /* ticks from one pass to the next */
};
#define NEVER (UINT64_MAX - (GROUP - 1))     /* later than any deadline, in each place */
#define MOST_BLOCKS (UINT32_MAX / 8 / WIDTH) /* so that a bucket's number fits 32 bits */

/* A deadline is a number of ticks, 4096 to a microsecond, and its lowest three bits are its node's
 * place among its siblings. So no two siblings are equal, and the earliest tells where it is.
 *
 * The remaining nine bits count passes within one microsecond. A timer that is armed gets a
 * deadline after the present pass, even if that is the same microsecond: a handler that is due at
 * once over and over does not keep its pass from ending, and fires in the next one. (A pass
 * reads the clock, which takes more than a 512th of a microsecond.) */
typedef struct {
    uint64_t when;
    uint32_t leaf; /* whose deadline it is */
    uint32_t next; /* of a leaf: the next one in its list */
} Node;

typedef struct Tree {
    Node nodes[TOP + 1];
    struct Tree *parent; /* NULL for the highest */
    struct Tree *right;  /* above the blocks: the next one at the same height */
    uint32_t place;      /* the node of the parent that is a copy of the top */
} Tree;

typedef struct {
    long long id; /* AE_DELETED_EVENT_ID when it was deleted or is done */
    aeTimeProc *timeProc;
    aeEventFinalizerProc *finalizerProc;
    void *clientData;
} Timer;

typedef struct {
    Tree tree;
    uint32_t buckets[BUCKETS]; /* the first leaf in each */
    Timer timers[WIDTH];
} Block;

struct aeTimers {
    Node nearest;
    Block **directory; /* the chunks */
    uint32_t blocks;
    uint32_t blockMask; /* 2^k - 1 for the least 2^k that is not below `blocks` */
    uint32_t free;
    uint32_t firstEnded, lastEnded;
    uint64_t endedCount;     /* how many timers have ever been put into that queue */
    uint64_t finalizedCount; /* and taken from it */
    uint64_t timerCount;     /* how many exist, those in the queue included */
    uint64_t passEnd;        /* the latest pass fires what is due by then */
    aeTimeEvent head;        /* what the timer created last was created with */
};

ALWAYS Block *blockAt(const struct aeTimers *timers, uint32_t number) {
    return &timers->directory[number / CHUNK][number % CHUNK];
}

ALWAYS Block *blockOf(const struct aeTimers *timers, uint32_t leaf) {
    return blockAt(timers, leaf / WIDTH);
}

/* The winner tree. */

ALWAYS uint64_t inPlace(uint64_t when, uint32_t place) {
    return when - when % GROUP + place % GROUP;
}

ALWAYS uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b; /* no branch in machine code, which would often be mispredicted */
}

ALWAYS uint32_t parentOf(uint32_t place) {
    return WIDTH + place / GROUP;
}

/* Decides which of a node and its siblings is the earliest, and tells their parent. */
ALWAYS void decide(Node *nodes, uint32_t place) {
    const Node *n = &nodes[place - place % GROUP];
    uint64_t left = earlier(earlier(n[0].when, n[1].when), earlier(n[2].when, n[3].when));
    uint64_t right = earlier(earlier(n[4].when, n[5].when), earlier(n[6].when, n[7].when));
    uint64_t earliest = earlier(left, right);
    Node *parent = &nodes[parentOf(place)];
    parent->when = inPlace(earliest, parentOf(place));
    parent->leaf = n[earliest % GROUP].leaf;
}

/* Replays the tree from a leaf whose deadline has changed, as far as that makes a difference. */
SELDOM void replay(struct aeTimers *timers, Tree *tree, uint32_t leaf) {
    uint32_t place = leaf % WIDTH, former = leaf; /* whose deadline the node has held before */
    for (;;) {
        Node *nodes = tree->nodes;
        for (; place != TOP; place = parentOf(place)) {
            const Node *parent = &nodes[parentOf(place)], old = *parent;
            if (old.leaf != former && nodes[place].when >= old.when) return;
            decide(nodes, place);
            if (parent->leaf == old.leaf && parent->when == old.when) return;
            former = old.leaf;
        }
        Node *copy = tree->parent ? &tree->parent->nodes[tree->place] : &timers->nearest;
        copy->when = inPlace(nodes[TOP].when, tree->place);
        copy->leaf = nodes[TOP].leaf;
        if (!tree->parent) return;
        place = tree->place;
        tree = tree->parent;
    }
}

ALWAYS void setDeadline(struct aeTimers *timers, Block *block, uint32_t leaf, uint64_t when) {
    Node *node = &block->tree.nodes[leaf % WIDTH];
    const Node *parent = &block->tree.nodes[parentOf(leaf % WIDTH)];
    node->when = inPlace(when, leaf);
    if (node->when < parent->when || parent->leaf == leaf) replay(timers, &block->tree, leaf);
}

/* Returns the nearest deadline in microseconds, NEVER if there is none. */
ALWAYS uint64_t nearestDeadline(const struct aeTimers *timers) {
    return timers->nearest.when < NEVER ? timers->nearest.when / TICKS : NEVER;
}

/* Rounds up, so that not even a nanosecond is missing when the deadline has come. What is due at
 * once is due now, not in the next microsecond; but after the latest pass, if that began in this
 * one. */
ALWAYS uint64_t deadlineIn(const struct aeTimers *timers, long long milliseconds) {
    const uint64_t last = NEVER / TICKS - 1;
    if (milliseconds > 0) {
        uint64_t now = monotonicNow(999), delay = (uint64_t)milliseconds;
        return (delay > (last - now) / 1000 ? last : now + delay * 1000) * TICKS;
    }
    uint64_t now = monotonicNow(0);
    return now == timers->passEnd / TICKS ? timers->passEnd + PASS : now * TICKS;
}

/* The index. */

/* A run of 128 ids has its buckets side by side, in one block. The shifts spread runs evenly: those
 * that follow one another, since each shift only permutes them, and those a power of two apart. */
ALWAYS uint32_t *bucketOf(const struct aeTimers *timers, long long id) {
    uint32_t run = (uint32_t)((unsigned long long)id / BUCKETS);
    uint32_t hash = run ^ run >> 7 ^ run >> 14;
    uint32_t number = hash & timers->blockMask;
    number &= timers->blockMask >> (number >= timers->blocks); /* not split off yet */
    return &blockAt(timers, number)->buckets[((uint32_t)id ^ hash) % BUCKETS];
}

ALWAYS void addToIndex(const struct aeTimers *timers, Block *block, uint32_t leaf) {
    uint32_t *bucket = bucketOf(timers, block->timers[leaf % WIDTH].id);
    block->tree.nodes[leaf % WIDTH].next = *bucket;
    *bucket = leaf;
}

/* Gives the newest block its share of the index: entries of the block that it is split off from. */
static void splitIndex(struct aeTimers *timers) {
    uint32_t number = timers->blocks - 1;
    if (number > timers->blockMask) timers->blockMask = timers->blockMask * 2 + 1;
    uint32_t *buckets = blockAt(timers, number & timers->blockMask >> 1)->buckets;
    for (uint32_t i = 0; i < BUCKETS; i++) {
        uint32_t leaf = buckets[i];
        buckets[i] = 0;
        while (leaf) {
            Block *block = blockOf(timers, leaf);
            uint32_t next = block->tree.nodes[leaf % WIDTH].next;
            addToIndex(timers, block, leaf);
            leaf = next;
        }
    }
}

/* Memory. */

static void initTree(Tree *tree, Tree *parent, uint32_t place, uint32_t firstLeaf) {
    tree->parent = parent;
    tree->right = NULL;
    tree->place = place;
    for (uint32_t n = 0; n < WIDTH; n++)
        tree->nodes[n] = (Node){inPlace(NEVER, n), firstLeaf + n, 0};
    for (uint32_t n = 0; n < TOP; n += GROUP) decide(tree->nodes, n);
}

/* Returns the parent for the next tree to the right of `left`, NULL without memory. What was made
 * by then serves the next attempt. */
static Tree *parentBeside(Tree *left) {
    Tree *parent = left->parent, *above = NULL;
    if (parent && left->place + 1 < WIDTH) return parent;
    if (parent && parent->right) return parent->right;
    if (parent && !(above = parentBeside(parent))) return NULL;

    Tree *tree = allocate(sizeof(*tree));
    if (!tree) return NULL;
    initTree(tree, above, parent ? (parent->place + 1) % WIDTH : 0, 0);
    if (parent) {
        parent->right = tree;
    } else { /* `left` was the highest, and becomes the first child */
        left->parent = tree;
        tree->nodes[0] = left->nodes[TOP];
        for (uint32_t n = 0; n < TOP; n = parentOf(n)) decide(tree->nodes, n);
    }
    return tree;
}

static int isPowerOfTwo(uint32_t n) {
    return (n & (n - 1)) == 0; /* 0 counts as one */
}

/* Makes room for one more block: the directory and the first chunk double when they are full. */
static int growChunks(struct aeTimers *timers) {
    uint32_t chunk = timers->blocks / CHUNK, used = timers->blocks % CHUNK;
    if (used == 0 && isPowerOfTwo(chunk)) {
        Block **directory = resizeArray(timers->directory, chunk ? chunk * 2 : 1, sizeof(Block *));
        if (!directory) return AE_ERR;
        timers->directory = directory;
    }
    if (used == 0 || (chunk == 0 && isPowerOfTwo(used))) {
        size_t room = chunk ? CHUNK : used ? used * 2 : 1;
        Block *blocks = resizeArray(used ? timers->directory[chunk] : NULL, room, sizeof(Block));
        if (!blocks) return AE_ERR;
        timers->directory[chunk] = blocks;
    }
    return AE_OK;
}

/* Adds 64 leaves and two pages. */
SELDOM int addBlock(struct aeTimers *timers) {
    uint32_t number = timers->blocks;
    Tree *parent = NULL;
    if (number >= MOST_BLOCKS) {
        errno = ENOMEM;
        return AE_ERR;
    }
    if (number && !(parent = parentBeside(&blockAt(timers, number - 1)->tree))) return AE_ERR;
    if (growChunks(timers) == AE_ERR) return AE_ERR;

    Block *block = blockAt(timers, number);
    memset(block, 0, sizeof(*block));
    initTree(&block->tree, parent, number % WIDTH, number * WIDTH);
    for (uint32_t n = 0; n + 1 < WIDTH; n++)
        block->tree.nodes[n].next = block->tree.nodes[n + 1].leaf;
    timers->free = number ? number * WIDTH : 1;
    timers->blocks++;
    splitIndex(timers);
    return AE_OK;
}

static void freeTimers(struct aeTimers *timers) {
    if (!timers) return;
    Tree *tree = timers->blocks ? blockAt(timers, 0)->tree.parent : NULL;
    for (Tree *above, *right; tree; tree = above) { /* the leftmost of each height */
        above = tree->parent;
        for (; tree; tree = right) {
            right = tree->right;
            release(tree);
        }
    }
    for (uint32_t number = 0; number < timers->blocks; number += CHUNK)
        release(blockAt(timers, number));
    release(timers->directory);
    release(timers);
}

static struct aeTimers *newTimers(void) {
    struct aeTimers *timers = allocate(sizeof(*timers));
    if (!timers) return NULL;
    memset(timers, 0, sizeof(*timers));
    timers->nearest.when = NEVER;
    timers->head.id = AE_DELETED_EVENT_ID;
    return timers;
}

/* The life of a timer. */

long long aeCreateTimeEvent(aeEventLoop *eventLoop, long long milliseconds, aeTimeProc *proc,
                            void *clientData, aeEventFinalizerProc *finalizerProc) {
    struct aeTimers *timers = eventLoop->timers;
    if (!proc || eventLoop->isEnding) {
        errno = proc ? ECANCELED : EINVAL;
        return AE_ERR;
    }
    if (!timers->free && addBlock(timers) == AE_ERR) return AE_ERR;
    uint32_t leaf = timers->free;
    Block *block = blockOf(timers, leaf);
    timers->free = block->tree.nodes[leaf % WIDTH].next;
    long long id = eventLoop->timeEventNextId++;
    block->timers[leaf % WIDTH] = (Timer){id, proc, finalizerProc, clientData};
    addToIndex(timers, block, leaf);
    uint64_t deadline = deadlineIn(timers, milliseconds);
    setDeadline(timers, block, leaf, deadline);
    timers->timerCount++;
    aeTimeEvent *head = eventLoop->timeEventHead = &timers->head;
    head->id = id;
    head->when = deadline / TICKS;
    head->timeProc = proc;
    head->finalizerProc = finalizerProc;
    head->clientData = clientData;
    return id;
}

static void freeLeaf(aeEventLoop *eventLoop, uint32_t leaf) {
    struct aeTimers *timers = eventLoop->timers;
    blockOf(timers, leaf)->tree.nodes[leaf % WIDTH].next = timers->free;
    timers->free = leaf;
    if (--timers->timerCount == 0) eventLoop->timeEventHead = NULL;
}

/* Ends a timer that is neither in the index nor running. */
ALWAYS void endTimer(aeEventLoop *eventLoop, Block *block, uint32_t leaf) {
    struct aeTimers *timers = eventLoop->timers;
    Timer *timer = &block->timers[leaf % WIDTH];
    timer->timeProc = NULL;
    if (!timer->finalizerProc) {
        freeLeaf(eventLoop, leaf);
        return;
    }
    if (timers->firstEnded)
        blockOf(timers, timers->lastEnded)->tree.nodes[timers->lastEnded % WIDTH].next = leaf;
    else
        timers->firstEnded = leaf;
    timers->lastEnded = leaf;
    block->tree.nodes[leaf % WIDTH].next = 0;
    timers->endedCount++;
}

int aeDeleteTimeEvent(aeEventLoop *eventLoop, long long id) {
    struct aeTimers *timers = eventLoop->timers;
    int isKnown = id >= 0 && id < eventLoop->timeEventNextId;
    for (uint32_t leaf, *link = isKnown ? bucketOf(timers, id) : NULL; link && (leaf = *link);) {
        Block *block = blockOf(timers, leaf);
        Timer *timer = &block->timers[leaf % WIDTH];
        Node *node = &block->tree.nodes[leaf % WIDTH];
        if (timer->id != id) {
            link = &node->next;
            continue;
        }
        *link = node->next;
        timer->id = AE_DELETED_EVENT_ID;
        if (timers->head.id == id) timers->head.id = AE_DELETED_EVENT_ID;
        if (node->when >= NEVER) return AE_OK; /* running: fireNearest ends it */
        setDeadline(timers, block, leaf, NEVER);
        endTimer(eventLoop, block, leaf);
        return AE_OK;
    }
    errno = ENOENT;
    return AE_ERR;
}

/* Calls the handler of the nearest timer. The handler may move blocks. */
static void fireNearest(aeEventLoop *eventLoop) {
    struct aeTimers *timers = eventLoop->timers;
    uint32_t leaf = timers->nearest.leaf;
    Block *block = blockOf(timers, leaf);
    const Timer timer = block->timers[leaf % WIDTH];
    setDeadline(timers, block, leaf, NEVER);
    uint32_t following = timers->nearest.leaf;
    PREFETCH(&blockOf(timers, following)->timers[following % WIDTH]);
    PREFETCH(&blockOf(timers, following)->tree.nodes[following % WIDTH]);
    PREFETCH(bucketOf(timers, timer.id));

    int again = timer.timeProc(eventLoop, timer.id, timer.clientData);
    block = blockOf(timers, leaf);
    int isDeleted = block->timers[leaf % WIDTH].id == AE_DELETED_EVENT_ID;
    if (again != AE_NOMORE && !isDeleted) {
        setDeadline(timers, block, leaf, deadlineIn(timers, again));
        return;
    }
    if (!isDeleted) aeDeleteTimeEvent(eventLoop, timer.id);
    endTimer(eventLoop, block, leaf);
}

/* Calls the finalizers of the timers that have ended by now, in the order in which they ended. A
 * pass within a finalizer takes its timers from the same queue. */
static void finalizeTimers(aeEventLoop *eventLoop) {
    struct aeTimers *timers = eventLoop->timers;
    uint64_t endedCount = timers->endedCount;
    while (timers->finalizedCount < endedCount) {
        uint32_t leaf = timers->firstEnded;
        const Block *block = blockOf(timers, leaf);
        const Timer *timer = &block->timers[leaf % WIDTH];
        timers->firstEnded = block->tree.nodes[leaf % WIDTH].next;
        timers->finalizedCount++;
        timer->finalizerProc(eventLoop, timer->clientData);
        freeLeaf(eventLoop, leaf);
    }
}

/* A pass: fires what is due by now, each timer once, then finalizes. Returns how many fired. A pass
 * within a handler is one of its own. */
SELDOM int fireTimers(aeEventLoop *eventLoop) {
    struct aeTimers *timers = eventLoop->timers;
    int fired = 0;
    if (timers->nearest.when < NEVER) {
        uint64_t now = monotonicNow(0), end = now * TICKS + PASS - 1;
        if (now == timers->passEnd / TICKS) end = timers->passEnd + PASS;
        if (end / TICKS > now) end = timers->passEnd;
        timers->passEnd = end;
        for (; timers->nearest.when <= end; fired++) fireNearest(eventLoop);
    }
    finalizeTimers(eventLoop);
    return fired;
}

/* Ends and finalizes all timers, also those whose handler was left by longjmp. */
static void endTimers(aeEventLoop *eventLoop) {
    struct aeTimers *timers = eventLoop->timers;
    for (uint32_t leaf = 0; leaf < timers->blocks * WIDTH; leaf++) {
        Block *block = blockOf(timers, leaf);
        const Timer *timer = &block->timers[leaf % WIDTH];
        if (timer->timeProc && timer->id >= 0) aeDeleteTimeEvent(eventLoop, timer->id);
        if (timer->timeProc) endTimer(eventLoop, block, leaf);
    }
    while (timers->firstEnded) finalizeTimers(eventLoop);
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
        uint64_t deadline = nearestDeadline(eventLoop->timers);
        if (deadline == NEVER) return NULL;
        uint64_t now = monotonicNow(0);
        if (deadline > now) wait = deadline - now;
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
        unsigned endedAtPoll = eventLoop->ended;
        eventLoop->ready = aeApiPoll(eventLoop, limit);

        if (flags & AE_CALL_AFTER_SLEEP && eventLoop->aftersleep) eventLoop->aftersleep(eventLoop);
        if (flags & AE_FILE_EVENTS) served += dispatch(eventLoop, endedAtPoll);
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
    eventLoop->owner = (int)getpid();
    eventLoop->events = allocate((size_t)slots * sizeof(aeFileEvent));
    eventLoop->fired = allocate(firedEntries(slots) * sizeof(aeFiredEvent));
    eventLoop->timers = newTimers();
    if (!eventLoop->events || !eventLoop->fired || !eventLoop->timers ||
        aeApiCreate(eventLoop) == -1) {
        freeLoop(eventLoop);
        return NULL;
    }
    emptySlots(eventLoop, slots);
    return eventLoop;
}

void aeDeleteEventLoop(aeEventLoop *eventLoop) {
    if (!eventLoop) return;
    eventLoop->isEnding = 1;
    limitSlots(eventLoop);
    if (!isOwner(eventLoop)) {
        eventLoop->nevents = 0; /* the events are the parent's: no finalizer may delete them */
        eventLoop->maxfd = -1;
    }
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
    limitSlots(eventLoop);
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
