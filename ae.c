/* libae: the event loop. ae.h describes the public functions.
 *
 * This file includes one backend, which makes the system calls that wait for events. Its sections:
 *
 *     Memory and panic   functions that a program may replace
 *     The backend        its interface, and the choice of the file
 *     File events        a slot for each fd
 *     Time events        a winner tree of deadlines, an index by id
 *     One iteration      poll, dispatch, fire
 *     The loop           create, resize, delete, run
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */

/* With -std=c99, headers declare clock_gettime, epoll_pwait2 and struct kevent only if the system's
 * feature-test macro is defined. FreeBSD and DragonFly have none: their headers declare everything,
 * unless a macro of POSIX is defined. _GNU_SOURCE is empty, as in the headers of Redis. */
#undef _GNU_SOURCE
#define _GNU_SOURCE
#undef _DARWIN_C_SOURCE
#define _DARWIN_C_SOURCE
#undef _NETBSD_SOURCE
#define _NETBSD_SOURCE
#undef __EXTENSIONS__
#define __EXTENSIONS__
#undef _TS_ERRNO
#define _TS_ERRNO /* Solaris and illumos: an errno for each thread, without -pthread */
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

/// Memory and panic ///////////////////////////////////////////////////////////////////////////////

/* AE_MALLOC, AE_REALLOC and AE_FREE name the program's allocator for all memory, and
 * AE_ALLOC_HEADER the header that declares it. AE_PANIC names a `void f(const char *message)`,
 * which is called when the kernel refuses to poll. */
#ifdef AE_ALLOC_HEADER
#include AE_ALLOC_HEADER
#endif
#ifdef AE_PANIC
void AE_PANIC(const char *message);
#endif

/* In a Redis tree, which has two headers of these names beside this file, Redis's functions are
 * used: INFO counts the memory, and a panic writes the crash report. Before 7.0, which has a
 * redisassert.c, the function behind panic is only in the server, and redis-cli would not link. */
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
#define AE_REALLOC realloc
#define AE_FREE free
#endif

/* The program's allocator may fail without setting errno, and its free may change errno. */
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

/* Returns the array with room for `count` items, or NULL with the array unchanged. */
static void *resizeArray(void *array, size_t count, size_t itemSize) {
    void *moved = count > SIZE_MAX / itemSize ? NULL : AE_REALLOC(array, count * itemSize);
    if (!moved) errno = ENOMEM;
    return moved;
}

/// The backend ////////////////////////////////////////////////////////////////////////////////////

/* A backend translates between this loop and one kernel interface. It keeps its state in `apidata`
 * and provides seven static functions:
 *
 *     aeApiCreate    creates apidata; -1 with errno on failure
 *     aeApiResize    prepares for a new setsize; -1 with errno on failure
 *     aeApiFree      undoes aeApiCreate
 *     aeApiAddEvent  makes the kernel also watch fd for the bits of mask; -1 with errno, and
 *                    nothing changed, on failure. events[fd].mask still has the previous bits
 *     aeApiDelEvent  removes the bits of mask, before events[fd].mask changes
 *     aeApiPoll      waits (NULL: without limit; zero: not at all; else until `waitsUntil`), stores
 *                    the fds that are ready in `fired`, and returns their number
 *     aeApiName      returns the name of the backend
 *
 * A backend ignores AE_BARRIER, which may be in any of these masks.
 *
 * If the kernel does not know an fd whose slot has bits, the fd was closed and its number was used
 * again. Then aeApiAddEvent sets the slot's mask to AE_NONE (by endRegistration), because the slot
 * describes a file that was closed. */

/* BATCH_SIZE, the most events of one poll, makes the call cheap and still fits into the cache. */
enum { BATCH_SIZE = 512, FIRST_SLOTS = 32, AE_BOTH = AE_READABLE | AE_WRITABLE };

/* Functions on rare paths are not inlined, and functions that run for each event are. Otherwise
 * compilers save registers for the rare paths in each event. */
#ifdef __GNUC__
#define NOINLINE __attribute__((noinline)) static
#define ALWAYS_INLINE __attribute__((always_inline)) static inline
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define NOINLINE static
#define ALWAYS_INLINE static inline
#define PREFETCH(address) ((void)(address))
#endif

/* Returns the time in microseconds, by a clock that never goes back. */
static uint64_t monotonicNow(long roundingNanoseconds) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint32_t)(now.tv_nsec + roundingNanoseconds) / 1000;
}

#ifndef AE_BACKEND_FILE
/* Ends the program: the kernel refuses to poll, for a reason that a retry does not remove. */
NOINLINE void aeApiPanic(const char *backend, const char *call) {
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

/* Translate a mask into events of poll(2), and back. */
static short pollEventsOf(int mask) {
    return (short)((mask & AE_READABLE ? POLLIN : 0) | (mask & AE_WRITABLE ? POLLOUT : 0));
}

static int readinessOf(int events) {
    if (events & (POLLERR | POLLHUP)) return AE_BOTH;
    return (events & POLLIN ? AE_READABLE : AE_NONE) | (events & POLLOUT ? AE_WRITABLE : AE_NONE);
}

/* Returns 0 in a forked child: the kernel's state of the loop belongs to the parent. */
NOINLINE int isOwner(const aeEventLoop *eventLoop) {
    return eventLoop->owner == (int)getpid();
}

/* Returns those bits of mask for which fd is ready now. Hang-up and error count as both bits. */
NOINLINE int pollNow(int fd, int mask) {
    struct pollfd request = {fd, pollEventsOf(mask), 0};
    return poll(&request, 1, 0) == 1 ? readinessOf(request.revents) : AE_NONE;
}

/* Ends the registration of fd; see "File events". */
NOINLINE void endRegistration(aeEventLoop *eventLoop, int fd) {
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

/* events[fd] is the slot of fd. There are `nevents` slots. Their number grows on demand, up to
 * setsize, and never shrinks. Growing moves the slots, so a pointer to a slot is not used after a
 * handler was called. `fired` has room for as many entries, and at least for BATCH_SIZE.
 *
 * Invariants: the mask of a slot is AE_NONE unless it has AE_READABLE or AE_WRITABLE. maxfd is the
 * last slot whose mask is not AE_NONE.
 *
 * A registration begins when the mask of a slot changes from AE_NONE, and ends when it changes to
 * AE_NONE. `ended` counts the registrations that have ended. A slot stores in `registration` the
 * count at its latest end; with the fd it identifies the next registration. An event is not
 * delivered if a registration of its fd has ended since the poll. The counts wrap around, so two of
 * them are compared by their distances from `ended`. */

static size_t firedEntries(int slots) {
    return slots < BATCH_SIZE ? BATCH_SIZE : (size_t)slots;
}

ALWAYS_INLINE int hasSlot(const aeEventLoop *eventLoop, int fd) {
    return (unsigned)fd < (unsigned)eventLoop->nevents; /* a negative fd is a large number */
}

/* Returns whether fd may have a slot. If not, it sets errno. */
static int isInRange(const aeEventLoop *eventLoop, int fd) {
    if (fd >= 0 && fd < eventLoop->setsize && !eventLoop->isEnding) return 1;
    errno = eventLoop->isEnding ? ECANCELED : fd < 0 ? EBADF : ERANGE;
    return 0;
}

/* Sets `usable`: only a slot below setsize may be registered, and none once the loop is ending. */
static void limitSlots(aeEventLoop *eventLoop) {
    int setsize = eventLoop->isEnding ? 0 : eventLoop->setsize;
    eventLoop->usable = eventLoop->nevents < setsize ? eventLoop->nevents : setsize;
}

/* Initializes new slots, whose memory was allocated. */
static void emptySlots(aeEventLoop *eventLoop, int slots) {
    size_t old = (size_t)eventLoop->nevents, count = (size_t)slots - old;
    memset(&eventLoop->events[old], 0, count * sizeof(aeFileEvent));
    eventLoop->nevents = slots;
    limitSlots(eventLoop);
}

/* Makes a slot for fd, if it may have one. */
NOINLINE int growSlots(aeEventLoop *eventLoop, int fd) {
    /* Allocates no memory for an fd that is not open. */
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

/* Returns the slot of a registered fd, or NULL for any other number. */
static aeFileEvent *findSlot(aeEventLoop *eventLoop, int fd) {
    if (!hasSlot(eventLoop, fd) || eventLoop->events[fd].mask == AE_NONE) return NULL;
    return &eventLoop->events[fd];
}

/* A mask of AE_BARRIER alone changes the order of the handlers of a registered fd. Any other call
 * comes here because it has no handler, and fails. */
NOINLINE int addBarrier(aeEventLoop *eventLoop, int fd, int mask) {
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
    slot->clientData = clientData;
    if (mask & AE_WRITABLE) slot->wfileProc = proc;
    if (mask & AE_READABLE) slot->rfileProc = proc;
    slot->mask |= mask;
    return AE_OK;
}

void aeDeleteFileEvent(aeEventLoop *eventLoop, int fd, int mask) {
    if (!hasSlot(eventLoop, fd)) return;
    int error = errno; /* the system call fails if the fd was closed before */
    aeFileEvent *slot = &eventLoop->events[fd];
    int left = slot->mask & ~(mask | (mask & AE_WRITABLE ? AE_BARRIER : AE_NONE));
    if (!(left & AE_BOTH)) left = AE_NONE;
    /* A backend gets only bits that are set: a bit that is not set could make its call fail. */
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

/* A registration has ended since the poll. If it was one of this fd, `mask` is not valid any more,
 * and this returns the bits for which the fd is ready now. The first time in a loop it returns
 * AE_NONE, which saves a system call; but if it always did, an fd that is deleted and registered
 * again in each iteration would never be served. */
NOINLINE int lookAgain(aeEventLoop *eventLoop, int fd, int mask, unsigned endedAtPoll) {
    const aeFileEvent *slot = &eventLoop->events[fd];
    int hasEnded = eventLoop->ended - slot->registration < eventLoop->ended - endedAtPoll;
    if (slot->mask == AE_NONE || !hasEnded) return mask;
    if (eventLoop->hasPaused) return pollNow(fd, slot->mask);
    eventLoop->hasPaused = 1;
    return AE_NONE;
}

/* Calls both handlers of an fd. The first one may call any function, so everything is read again
 * before the second call. After a nested iteration in the first one, the second is not called. */
NOINLINE void dispatchBoth(aeEventLoop *eventLoop, int fd, int mask) {
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

/* Serves the entries of `fired`, and returns their number. A nested iteration ends this loop. */
ALWAYS_INLINE int dispatch(aeEventLoop *eventLoop, unsigned endedAtPoll) {
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

/* A timer has a leaf, numbered from 1 on. Leaf n has a node, which holds the deadline, and a
 * record, both in block n / 64. Blocks are allocated in chunks of 16. Only the first chunk begins
 * with one block and moves when it doubles, so that a few timers take little memory.
 *
 * The winner tree (Knuth, The Art of Computer Programming 3, 5.4.1) finds the nearest deadline.
 * Eight sibling nodes have a parent, which holds the earliest of their deadlines and the leaf that
 * it belongs to. In the tree of a block, nodes 0 to 63 are those of the leaves, nodes 64 to 71 the
 * parents of eight each, and node 72, the top, is their parent: the parent of node n is node
 * 64 + n / 8. Above the blocks there are more trees of this form, of height 1 and more: node k of
 * tree m is a copy of the top of tree 64 m + k below it. `nearest` is a copy of the highest top.
 *
 * The index finds the leaf of an id. It is a hash table with chaining; each block holds 128 of the
 * buckets. It grows without moving all entries at once (linear hashing, Litwin 1980): a new block n
 * takes its share of the entries of block n - m, where m is the largest power of two up to n. If
 * all entries of block n - m have one hash, and it belongs there, none is read.
 *
 * `next` links a leaf into one list: of a bucket, of the free leaves, or of the timers that have
 * ended and wait for their finalizer. 0 ends a list.
 *
 * Invariants:
 * - A timer is in the bucket of its id until it is deleted or its handler returns AE_NOMORE.
 * - While it waits, its node holds its deadline. All other nodes of leaves hold NEVER or more. So a
 *   timer that is in the index, with NEVER, is running: its handler has not returned.
 * - A parent holds the earliest deadline of its children. If that is not NEVER, it names its leaf.
 * - A leaf has a timeProc exactly while its timer waits or is running.
 *
 * Cost: creating or deleting a timer usually changes at most one parent. At worst, and when a timer
 * fires, one on each level changes: two levels for each factor of 64 in the number of leaves. A
 * lookup takes constant time on average. A new block relinks up to 128 index entries on average,
 * and allocates less than 64 KiB as long as there are fewer than 8 million timers. */

enum {
    GROUP = 8,                               /* siblings */
    WIDTH = 64,                              /* lowest nodes of a tree, leaves of a block */
    TOP = (WIDTH - 1) / (GROUP - 1) * GROUP, /* the number of all nodes below the top */
    HEIGHTS = 4,                             /* of trees above the blocks */
    BUCKETS = 2 * WIDTH,                     /* per block */
    CHUNK = 16,                              /* blocks per chunk */
    TICKS = 4096,                            /* per microsecond */
    PASS = GROUP                             /* ticks between two passes in one microsecond */
};
#define NEVER (UINT64_MAX - (GROUP - 1))     /* later than any deadline */
#define MOST_BLOCKS (UINT32_MAX / 8 / WIDTH) /* less than WIDTH to the power of HEIGHTS */
#define NO_HASH UINT32_MAX                   /* there was no entry yet */
#define MIXED_HASHES (UINT32_MAX - 1)        /* there were entries of several hashes */

/* A deadline is a number of ticks, 4096 to a microsecond. Its lowest three bits are the node's
 * position among its siblings: so the earliest of eight deadlines also tells which one it is.
 *
 * The next nine bits count the passes that fire timers within a microsecond. A new deadline is
 * after the end of the latest pass, so a timer that is set again with 0 ms fires in the next pass.
 * Each pass reads the clock, so there are fewer than 512 in a microsecond of a real clock. */
typedef struct {
    uint64_t when;
    uint32_t leaf; /* whose deadline it is */
    uint32_t next; /* of a leaf: the next one in its list */
} Node;

typedef struct {
    long long id; /* AE_DELETED_EVENT_ID when it was deleted or is done */
    aeTimeProc *timeProc;
    aeEventFinalizerProc *finalizerProc;
    void *clientData;
} Timer;

typedef struct {
    Node nodes[TOP + 1];
    uint32_t onlyHash;         /* of all entries since the last split, or one of the two above */
    uint32_t buckets[BUCKETS]; /* the first leaf in each, which may be of another block */
    Timer timers[WIDTH];
} Block;

struct aeTimers {
    Node nearest;
    Block **directory; /* the chunks */
    uint32_t blocks;
    uint32_t blockMask;             /* the smallest power of two >= blocks, minus 1 */
    uint32_t free;                  /* the first free leaf */
    uint32_t firstEnded, lastEnded; /* the queue of those that wait for their finalizer */
    uint64_t endedCount;            /* how many have ever entered that queue */
    uint64_t finalizedCount;        /* how many have left it */
    uint64_t timerCount;            /* timers whose leaf is not free */
    uint64_t passEnd;               /* the last tick that the latest pass fires, 7 modulo 8 */
    aeTimeEvent head;               /* for timeEventHead: what the newest timer was created with */
    uint32_t height;                /* of the highest tree; a block has height 0 */
    uint32_t treeCounts[HEIGHTS + 1];
    Node **trees[HEIGHTS + 1]; /* by height and number; none for height 0 */
};

/* The address holds until the next timer is created. */
ALWAYS_INLINE Block *blockAt(const struct aeTimers *timers, uint32_t number) {
    return &timers->directory[number / CHUNK][number % CHUNK];
}

ALWAYS_INLINE Block *blockOf(const struct aeTimers *timers, uint32_t leaf) {
    return blockAt(timers, leaf / WIDTH);
}

/* Returns a deadline with the position of the node at `place`, its number in the tree. */
ALWAYS_INLINE uint64_t inPlace(uint64_t when, uint32_t place) {
    return when - when % GROUP + place % GROUP;
}

ALWAYS_INLINE uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b; /* a conditional move: a branch would often be mispredicted */
}

ALWAYS_INLINE uint32_t parentOf(uint32_t place) {
    return WIDTH + place / GROUP;
}

/* Returns the nodes of a tree. */
ALWAYS_INLINE Node *treeAt(const struct aeTimers *timers, uint32_t height, uint32_t number) {
    return height ? timers->trees[height][number] : blockAt(timers, number)->nodes;
}

ALWAYS_INLINE uint64_t earliestOf(const Node *n) {
    uint64_t left = earlier(earlier(n[0].when, n[1].when), earlier(n[2].when, n[3].when));
    uint64_t right = earlier(earlier(n[4].when, n[5].when), earlier(n[6].when, n[7].when));
    return earlier(left, right);
}

/* Stores a new deadline in those parents that are later, from the one at `place` on. */
NOINLINE void addAbove(struct aeTimers *timers, uint32_t place, uint32_t leaf, uint64_t when) {
    uint32_t number = leaf / WIDTH;
    for (uint32_t height = 0; height <= timers->height; height++, number /= WIDTH) {
        Node *nodes = treeAt(timers, height, number);
        for (; place <= TOP; place = parentOf(place)) {
            when = inPlace(when, place);
            if (when >= nodes[place].when) return;
            nodes[place] = (Node){when, leaf, 0};
        }
        place = number % WIDTH;
    }
    timers->nearest = (Node){when, leaf, 0};
}

/* Gives each parent that names the leaf the earliest of its children. The child that changes counts
 * as NEVER while its siblings are compared: so that is done without waiting for the level below. */
NOINLINE void removeAbove(struct aeTimers *timers, uint32_t leaf) {
    uint32_t place = leaf % WIDTH, number = leaf / WIDTH, winner = leaf;
    uint64_t when = NEVER;
    for (uint32_t height = 0; height <= timers->height; height++, number /= WIDTH) {
        Node *nodes = treeAt(timers, height, number);
        for (; place < TOP; place = parentOf(place)) {
            const Node *siblings = &nodes[(size_t)place / GROUP * GROUP];
            nodes[place].when = inPlace(NEVER, place);
            nodes[place].leaf = winner;
            uint64_t others = earliestOf(siblings);
            nodes[place].when = when = inPlace(when, place);
            if (nodes[parentOf(place)].leaf != leaf) return;
            when = earlier(when, others);
            winner = siblings[when % GROUP].leaf;
        }
        nodes[TOP] = (Node){inPlace(when, TOP), winner, 0};
        place = number % WIDTH;
    }
    timers->nearest = (Node){when, winner, 0};
}

/* The lowest parent is changed without a branch, which would often be mispredicted. */
ALWAYS_INLINE void addDeadline(struct aeTimers *timers, Block *block, uint32_t leaf,
                               uint64_t when) {
    uint32_t place = parentOf(leaf % WIDTH);
    Node *parent = &block->nodes[place];
    const uint32_t leaves[] = {parent->leaf, leaf};
    int isEarliest = inPlace(when, TOP) < block->nodes[TOP].when;
    block->nodes[leaf % WIDTH].when = inPlace(when, leaf);
    parent->leaf = leaves[inPlace(when, place) < parent->when];
    parent->when = earlier(inPlace(when, place), parent->when);
    if (isEarliest) addAbove(timers, parentOf(place), leaf, when);
}

ALWAYS_INLINE void removeDeadline(struct aeTimers *timers, Block *block, uint32_t leaf) {
    block->nodes[leaf % WIDTH].when = inPlace(NEVER, leaf);
    if (block->nodes[parentOf(leaf % WIDTH)].leaf == leaf) removeAbove(timers, leaf);
}

/* With a delay, the time is rounded up to a microsecond, so that no timer fires early. A delay of 0
 * or less means now; if the latest pass was in the same microsecond, it means the pass after it. */
ALWAYS_INLINE uint64_t deadlineIn(const struct aeTimers *timers, long long milliseconds) {
    const uint64_t last = NEVER / TICKS - 1;
    if (milliseconds > 0) {
        uint64_t delay = earlier((uint64_t)milliseconds, last / 1000) * 1000;
        return earlier(monotonicNow(999) + delay, last) * TICKS;
    }
    uint64_t now = monotonicNow(0);
    return now == timers->passEnd / TICKS ? timers->passEnd + PASS : now * TICKS;
}

/* 128 ids from a multiple of 128 on have one hash, so their buckets are in one block. The hash of
 * the next 128 is in another; the shifts spread ids that are a power of two apart. */
ALWAYS_INLINE uint32_t hashOf(long long id) {
    uint32_t high = (uint32_t)((unsigned long long)id / BUCKETS);
    return (high ^ (high >> 8) ^ (high >> 18)) & INT32_MAX;
}

ALWAYS_INLINE Block *homeOf(const struct aeTimers *timers, uint32_t hash) {
    uint32_t number = hash & timers->blockMask;
    number &= timers->blockMask >> (number >= timers->blocks); /* a block that is still to come */
    return blockAt(timers, number);
}

/* The hashes in a block agree in their low bits. So the high bits of a product spread its ids. */
ALWAYS_INLINE uint32_t *bucketOf(const struct aeTimers *timers, long long id) {
    uint32_t hash = hashOf(id);
    return &homeOf(timers, hash)->buckets[((uint32_t)id + (hash * 2654435769U >> 25)) % BUCKETS];
}

ALWAYS_INLINE void addToIndex(const struct aeTimers *timers, Block *block, uint32_t leaf) {
    long long id = block->timers[leaf % WIDTH].id;
    uint32_t hash = hashOf(id), *bucket = bucketOf(timers, id);
    Block *home = homeOf(timers, hash);
    if (home->onlyHash != hash) home->onlyHash = home->onlyHash == NO_HASH ? hash : MIXED_HASHES;
    block->nodes[leaf % WIDTH].next = *bucket;
    *bucket = leaf;
}

/* Distributes the entries of a block between it and the newest; prefetches the next such block. */
static void splitIndex(struct aeTimers *timers) {
    uint32_t number = timers->blocks - 1;
    if (number > timers->blockMask) timers->blockMask = timers->blockMask * 2 + 1;
    Block *old = blockAt(timers, number & (timers->blockMask >> 1));
    PREFETCH(&blockAt(timers, (number + 1) & (timers->blockMask >> 1))->onlyHash);
    if (old->onlyHash != MIXED_HASHES && (old->onlyHash & timers->blockMask) != number) return;
    old->onlyHash = NO_HASH;
    for (uint32_t i = 0; i < BUCKETS; i++) {
        uint32_t leaf = old->buckets[i], next;
        old->buckets[i] = 0;
        for (; leaf; leaf = next) {
            Block *block = blockOf(timers, leaf);
            next = block->nodes[leaf % WIDTH].next;
            addToIndex(timers, block, leaf);
        }
    }
}

static void initTree(Node *nodes, uint32_t firstLeaf) {
    for (uint32_t n = 0; n <= TOP; n++)
        nodes[n] = (Node){inPlace(NEVER, n), firstLeaf + n % WIDTH, firstLeaf + n + 1};
    nodes[WIDTH - 1].next = 0;
}

/* Allocates those trees above a new block that do not exist yet. After a failure some may exist. */
static int growTrees(struct aeTimers *timers) {
    for (uint32_t height = 1, number = timers->blocks; number; height++) {
        number /= WIDTH;
        if (number < timers->treeCounts[height]) continue;
        Node **trees = resizeArray(timers->trees[height], (size_t)number + 1, sizeof(*trees));
        if (!trees) return AE_ERR;
        timers->trees[height] = trees;
        Node *nodes = trees[number] = allocate((TOP + 1) * sizeof(Node));
        if (!nodes) return AE_ERR;
        initTree(nodes, 0);
        timers->treeCounts[height]++;
        if (number) continue;
        nodes[0] = nodes[parentOf(0)] = nodes[TOP] = treeAt(timers, height - 1, 0)[TOP];
        timers->height = height;
    }
    return AE_OK;
}

/* Makes room for a block. The first chunk doubles when it is full, others are allocated whole. */
static int growChunks(struct aeTimers *timers) {
    uint32_t chunk = timers->blocks / CHUNK, used = timers->blocks % CHUNK;
    if (used && (chunk || used & (used - 1))) return AE_OK;
    if (used == 0) {
        Block **directory = resizeArray(timers->directory, (size_t)chunk + 1, sizeof(Block *));
        if (!directory) return AE_ERR;
        timers->directory = directory;
        directory[chunk] = NULL;
    }
    size_t room = chunk ? CHUNK : used ? used * 2 : 1;
    Block *blocks = resizeArray(timers->directory[chunk], room, sizeof(Block));
    if (!blocks) return AE_ERR;
    timers->directory[chunk] = blocks;
    return AE_OK;
}

NOINLINE int addBlock(struct aeTimers *timers) {
    uint32_t number = timers->blocks;
    if (number >= MOST_BLOCKS) errno = ENOMEM;
    if (number >= MOST_BLOCKS || growTrees(timers) == AE_ERR || growChunks(timers) == AE_ERR)
        return AE_ERR;

    Block *block = blockAt(timers, number);
    memset(block, 0, sizeof(*block));
    initTree(block->nodes, number * WIDTH);
    timers->free = number ? number * WIDTH : 1;
    block->onlyHash = NO_HASH;
    timers->blocks++;
    splitIndex(timers);
    return AE_OK;
}

static void freeTimers(struct aeTimers *timers) {
    if (!timers) return;
    for (uint32_t height = 1; height <= HEIGHTS; height++) {
        for (uint32_t i = 0; i < timers->treeCounts[height]; i++) release(timers->trees[height][i]);
        release(timers->trees[height]);
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
    timers->passEnd = PASS - 1;
    return timers;
}

long long aeCreateTimeEvent(aeEventLoop *eventLoop, long long milliseconds, aeTimeProc *proc,
                            void *clientData, aeEventFinalizerProc *finalizerProc) {
    struct aeTimers *timers = eventLoop->timers;
    if (!proc || eventLoop->isEnding) {
        errno = proc ? ECANCELED : EINVAL;
        return AE_ERR;
    }
    uint64_t deadline = deadlineIn(timers, milliseconds);
    if (!timers->free && addBlock(timers) == AE_ERR) return AE_ERR;
    uint32_t leaf = timers->free;
    Block *block = blockOf(timers, leaf);
    timers->free = block->nodes[leaf % WIDTH].next;
    long long id = eventLoop->timeEventNextId++;
    block->timers[leaf % WIDTH] = (Timer){id, proc, finalizerProc, clientData};
    addToIndex(timers, block, leaf);
    addDeadline(timers, block, leaf, deadline);
    timers->timerCount++;
    timers->head =
        (aeTimeEvent){id, deadline / TICKS, proc, finalizerProc, clientData, NULL, NULL, 0};
    eventLoop->timeEventHead = &timers->head;
    return id;
}

static void freeLeaf(aeEventLoop *eventLoop, uint32_t leaf) {
    struct aeTimers *timers = eventLoop->timers;
    blockOf(timers, leaf)->nodes[leaf % WIDTH].next = timers->free;
    timers->free = leaf;
    if (--timers->timerCount == 0) eventLoop->timeEventHead = NULL;
}

/* The timer has left the index, and its handler is not running. */
ALWAYS_INLINE void endTimer(aeEventLoop *eventLoop, Block *block, uint32_t leaf) {
    struct aeTimers *timers = eventLoop->timers;
    Timer *timer = &block->timers[leaf % WIDTH];
    timer->timeProc = NULL;
    if (!timer->finalizerProc) {
        freeLeaf(eventLoop, leaf);
        return;
    }
    if (timers->firstEnded)
        blockOf(timers, timers->lastEnded)->nodes[timers->lastEnded % WIDTH].next = leaf;
    else
        timers->firstEnded = leaf;
    timers->lastEnded = leaf;
    block->nodes[leaf % WIDTH].next = 0;
    timers->endedCount++;
}

int aeDeleteTimeEvent(aeEventLoop *eventLoop, long long id) {
    struct aeTimers *timers = eventLoop->timers;
    uint32_t none = 0, leaf, *link = timers->blocks ? bucketOf(timers, id) : &none;
    for (Node *node; (leaf = *link); link = &node->next) {
        Block *block = blockOf(timers, leaf);
        Timer *timer = &block->timers[leaf % WIDTH];
        node = &block->nodes[leaf % WIDTH];
        if (timer->id != id) continue;
        *link = node->next;
        timer->id = AE_DELETED_EVENT_ID;
        if (timers->head.id == id) timers->head.id = AE_DELETED_EVENT_ID;
        if (node->when >= NEVER) return AE_OK; /* it is running: fireNearest ends it */
        removeDeadline(timers, block, leaf);
        endTimer(eventLoop, block, leaf);
        return AE_OK;
    }
    errno = ENOENT;
    return AE_ERR;
}

/* Calls the handler of the nearest timer. The handler may create timers, which may move blocks. */
static void fireNearest(aeEventLoop *eventLoop) {
    struct aeTimers *timers = eventLoop->timers;
    uint32_t leaf = timers->nearest.leaf;
    Block *block = blockOf(timers, leaf);
    const Timer timer = block->timers[leaf % WIDTH];
    removeDeadline(timers, block, leaf);
    uint32_t following = timers->nearest.leaf;
    PREFETCH(&blockOf(timers, following)->timers[following % WIDTH]);

    int again = timer.timeProc(eventLoop, timer.id, timer.clientData);
    block = blockOf(timers, leaf);
    int isDeleted = block->timers[leaf % WIDTH].id == AE_DELETED_EVENT_ID;
    if (again != AE_NOMORE && !isDeleted) {
        addDeadline(timers, block, leaf, deadlineIn(timers, again));
        return;
    }
    if (!isDeleted) aeDeleteTimeEvent(eventLoop, timer.id);
    endTimer(eventLoop, block, leaf);
}

/* Calls the finalizers of the timers that have ended by now, in the order in which they ended. A
 * pass started by a finalizer uses the same queue: therefore the counts. */
static void finalizeTimers(aeEventLoop *eventLoop) {
    struct aeTimers *timers = eventLoop->timers;
    uint64_t endedCount = timers->endedCount;
    while (timers->finalizedCount < endedCount) {
        uint32_t leaf = timers->firstEnded;
        const Block *block = blockOf(timers, leaf);
        const Timer *timer = &block->timers[leaf % WIDTH];
        timers->firstEnded = block->nodes[leaf % WIDTH].next;
        timers->finalizedCount++;
        timer->finalizerProc(eventLoop, timer->clientData);
        freeLeaf(eventLoop, leaf);
    }
}

/* A pass: fires what is due, each timer once, then calls finalizers; returns how many fired. Passes
 * after the 512th in a microsecond end where that one did, so that nothing fires early. */
NOINLINE int fireTimers(aeEventLoop *eventLoop) {
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

/* Ends and finalizes all timers, including those whose handler was left by longjmp. */
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

/* Every system call limits its timeout. The lowest limit is that of epoll_wait: INT_MAX
 * milliseconds, which are 24 days. A longer wait ends after that time without an event. */
static const uint64_t longestWait = (uint64_t)INT_MAX * 1000;

/* Returns `timeout`, with the time to wait in it, or NULL for no limit. */
ALWAYS_INLINE struct timeval *chooseTimeout(aeEventLoop *eventLoop, int dontWait,
                                            struct timeval *timeout) {
    uint64_t wait = 0;
    if (!dontWait) {
        uint64_t deadline = eventLoop->timers->nearest.when / TICKS;
        if (deadline == NEVER / TICKS) return NULL;
        uint64_t now = monotonicNow(0);
        if (deadline > now) wait = deadline - now;
        if (wait > longestWait) wait = longestWait;
        eventLoop->waitsUntil = now + wait;
    }
    timeout->tv_sec = (time_t)(wait / 1000000);
    timeout->tv_usec = (suseconds_t)(wait % 1000000);
    return timeout;
}

ALWAYS_INLINE int iterate(aeEventLoop *eventLoop, int flags) {
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
    struct pollfd request = {fd, pollEventsOf(mask), 0};
    /* poll(2) ignores a negative fd and would wait. */
    int ready = fd < 0 ? 1 : poll(&request, 1, timeout);
    if (ready <= 0) return ready;
    if (fd < 0 || request.revents & POLLNVAL) {
        errno = EBADF;
        return -1;
    }
    return (request.revents & POLLIN ? AE_READABLE : AE_NONE) |
           (request.revents & (POLLOUT | POLLERR | POLLHUP) ? AE_WRITABLE : AE_NONE);
}

/// The loop ///////////////////////////////////////////////////////////////////////////////////////

/* Frees what aeCreateEventLoop has allocated; after a failure, a part of it. */
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
    int others = eventLoop->flags & ~AE_DONT_WAIT;
    eventLoop->flags = noWait ? others | AE_DONT_WAIT : others;
}

/* A signal handler or another thread may change the flag. */
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
