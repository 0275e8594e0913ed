/* ae.c, and a check of the invariants that it states at the head of "File events" and of "Time
 * events".
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "../../ae.c"

#include "tests/model/ae_checked.h"

/* The expression itself says what is wrong. */
#define HOLDS(expression) \
    if (!(expression)) return "not true in ae.c: " #expression

static const char *checkFiles(const aeEventLoop *eventLoop) {
    int last = -1;
    for (int fd = 0; fd < eventLoop->nevents; fd++) {
        const aeFileEvent *slot = &eventLoop->events[fd];
        if (slot->mask == AE_NONE) continue;
        last = fd;
        HOLDS(slot->mask & AE_BOTH);
        HOLDS(!(slot->mask & ~(AE_BOTH | AE_BARRIER)));
        HOLDS(!(slot->mask & AE_READABLE) || slot->rfileProc);
        HOLDS(!(slot->mask & AE_WRITABLE) || slot->wfileProc);
    }
    HOLDS(last == eventLoop->maxfd);
    HOLDS(last < eventLoop->setsize);
    return NULL;
}

/* Where each slot was found: heap, list or spare. */
enum { NOWHERE, IN_HEAP, IN_LIST, SPARE, MAX_SLOTS = 1 << 16 };
typedef struct {
    uint8_t place[MAX_SLOTS];
    uint8_t indexed[MAX_SLOTS];
} Found;

/* A slot of a timer, which was not found before. */
#define FIND(slot, where)                                 \
    do {                                                  \
        HOLDS((slot) >= LISTS && (slot) < timers->slots); \
        HOLDS(found->place[slot] == NOWHERE);             \
        found->place[slot] = where;                       \
    } while (0)

static const char *checkHeap(const struct aeTimers *timers, Found *found) {
    HOLDS(timers->heapLength <= timers->heapEnd);
    for (uint32_t place = 0; place < timers->heapEnd; place++) {
        const HeapNode *node = &timers->heap[place];
        FIND(node->slot, IN_HEAP);
        HOLDS(timers->nodes[node->slot].next == place);
        HOLDS(timerAt(timers, node->slot)->when == node->when);
        if (place >= timers->heapLength) continue;
        HOLDS(place == 0 || timers->heap[(place - 1) / 4].when <= node->when);
        HOLDS(node->when >> TICK_BITS <= timers->horizon);
    }
    return NULL;
}

/* The list of the wheel in which a tick belongs. */
static uint32_t wheelListOf(const struct aeTimers *timers, uint64_t tick) {
    uint32_t level = LEVELS - 1;
    while ((tick ^ timers->horizon) >> level * DIGIT_BITS == 0) level--;
    return level * DIGITS + (tick >> level * DIGIT_BITS & (DIGITS - 1));
}

static const char *checkList(const struct aeTimers *timers, uint32_t list, Found *found) {
    const TimerNode *nodes = timers->nodes;
    HOLDS(nodes[nodes[list].next].prev == list);
    for (uint32_t slot = nodes[list].next; slot != list; slot = nodes[slot].next) {
        FIND(slot, IN_LIST);
        HOLDS(nodes[nodes[slot].next].prev == slot);
        if (list < RUNNING) {
            uint64_t tick = timerAt(timers, slot)->when >> TICK_BITS;
            HOLDS(timers->occupied[list / DIGITS] >> list % DIGITS & 1);
            HOLDS(tick > timers->horizon);
            HOLDS(wheelListOf(timers, tick) == list);
        }
        HOLDS(list == RUNNING || !nodes[slot].isRunning);
        HOLDS(list == RUNNING || (list >= DEAD) == (nodes[slot].id == AE_DELETED_EVENT_ID));
        HOLDS(list < DEAD || nodes[slot].hasFinalizer);
    }
    return NULL;
}

static const char *checkIndex(struct aeTimers *timers, Found *found) {
    for (uint64_t i = 0; i <= timers->chainMask; i++) {
        for (uint32_t slot = timers->chains[i]; slot; slot = timers->nodes[slot].chain) {
            HOLDS(slot >= LISTS && slot < timers->slots);
            HOLDS(!found->indexed[slot]);
            HOLDS(chainOf(timers, timers->nodes[slot].id) == &timers->chains[i]);
            found->indexed[slot] = 1;
        }
    }
    return NULL;
}

static const char *checkSlots(const aeEventLoop *eventLoop, const Found *found) {
    const struct aeTimers *timers = eventLoop->timers;
    int headExists = 0, anyExists = 0;
    for (uint32_t slot = LISTS; slot < timers->slots; slot++) {
        const TimerNode *node = &timers->nodes[slot];
        const aeTimeEvent *timer = timerAt(timers, slot);
        HOLDS(found->place[slot] != NOWHERE);
        HOLDS(found->indexed[slot] == (node->id != AE_DELETED_EVENT_ID));
        HOLDS(node->inHeap == (found->place[slot] == IN_HEAP));
        if (found->place[slot] == SPARE) {
            HOLDS(node->id == AE_DELETED_EVENT_ID);
            HOLDS(timer != eventLoop->timeEventHead);
            continue;
        }
        HOLDS(timer->id == node->id);
        HOLDS(node->hasFinalizer == (timer->finalizerProc != NULL));
        HOLDS(found->place[slot] != IN_HEAP || node->id != AE_DELETED_EVENT_ID);
        anyExists = 1;
        if (timer == eventLoop->timeEventHead) headExists = 1;
    }
    HOLDS(headExists == anyExists);
    HOLDS(anyExists || !eventLoop->timeEventHead);
    HOLDS(timers->slots <= LISTS + timers->capacity);
    HOLDS(timers->slots - LISTS <= timers->chainMask + 1);
    return NULL;
}

static const char *checkTimers(const aeEventLoop *eventLoop) {
    static Found foundSlots;
    Found *found = &foundSlots;
    struct aeTimers *timers = eventLoop->timers;
    const char *wrong = NULL;
    HOLDS(timers->slots <= MAX_SLOTS);
    memset(found->place, NOWHERE, timers->slots);
    memset(found->indexed, 0, timers->slots);
    wrong = checkHeap(timers, found);
    for (uint32_t list = 0; list < LISTS && !wrong; list++) wrong = checkList(timers, list, found);
    if (wrong) return wrong;
    for (uint32_t slot = timers->spare; slot; slot = timers->nodes[slot].next) FIND(slot, SPARE);
    wrong = checkIndex(timers, found);
    return wrong ? wrong : checkSlots(eventLoop, found);
}

const char *aeCheck(const aeEventLoop *eventLoop) {
    const char *wrong = checkFiles(eventLoop);
    return wrong ? wrong : checkTimers(eventLoop);
}
