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

/* Where each slot was found: in the tournament, in a list or spare. */
enum { NOWHERE, COMPETING, IN_LIST, SPARE, MAX_SLOTS = 1 << 16 };
typedef struct {
    uint8_t place[MAX_SLOTS];
    uint8_t indexed[MAX_SLOTS];
    TimerLink link[MAX_SLOTS]; /* to the slot, if it is in the index */
} Found;

/* A slot of a timer, which was not found before. */
#define FIND(slot, where)                             \
    do {                                              \
        HOLDS((slot) >= 1 && (slot) < timers->slots); \
        HOLDS(found->place[slot] == NOWHERE);         \
        found->place[slot] = where;                   \
    } while (0)

static const char *checkTournament(const struct aeTimers *timers, Found *found) {
    const TimerPlace *places = timers->places;
    uint32_t groups = timers->top / GROUP_SIZE;
    HOLDS(timers->top == groups * GROUP_SIZE);
    HOLDS(timers->capacity == groups * (GROUP_SIZE - 1) + 1);
    for (uint32_t slot = 0; slot < timers->capacity; slot++) {
        if (places[slot].when == NEVER || (slot == timers->vacant && slot)) continue;
        FIND(slot, COMPETING);
        HOLDS(timerAt(timers, slot)->when == places[slot].when);
    }
    for (uint32_t group = 0; group < groups; group++) {
        const TimerPlace *winner = &places[timers->capacity + group];
        int isAMember = 0;
        for (uint32_t place = group * GROUP_SIZE; place < (group + 1) * GROUP_SIZE; place++) {
            HOLDS(winner->when <= places[place].when);
            if (place < timers->capacity)
                isAMember |= place == winner->next.key;
            else
                isAMember |= places[place].next.key == winner->next.key &&
                             places[place].when == winner->when;
        }
        HOLDS(isAMember);
        HOLDS(winner->when == NEVER || winner->next.key < timers->slots);
    }
    return NULL;
}

static const char *checkList(const struct aeTimers *timers, int list, Found *found) {
    const aeTimeEvent *anchor = &timers->lists[list];
    HOLDS(anchor->next->prev == anchor);
    for (const aeTimeEvent *timer = anchor->next; timer != anchor; timer = timer->next) {
        uint32_t slot = slotOf(timer);
        FIND(slot, IN_LIST);
        HOLDS(timer->next->prev == timer);
        HOLDS(list == RUNNING || (list == FRESH) == (timer->id != AE_DELETED_EVENT_ID));
        HOLDS(list == FRESH || list == RUNNING || timer->finalizerProc);
        HOLDS(found->indexed[slot] == (list == FRESH));
        HOLDS(list != FRESH || found->link[slot].isFresh);
    }
    return NULL;
}

static const char *checkIndex(const struct aeTimers *timers, Found *found) {
    for (uint32_t i = 0; i < timers->chainCount; i++) {
        int mayGoOn = 1;
        for (TimerLink link = timers->chains[i]; link.slot; link = timers->places[link.slot].next) {
            HOLDS(link.slot < timers->slots);
            HOLDS(!found->indexed[link.slot]);
            HOLDS(chainOf(timers, link.key) == &timers->chains[i]);
            HOLDS(mayGoOn);
            mayGoOn = link.hasNext;
            found->indexed[link.slot] = 1;
            found->link[link.slot] = link;
        }
    }
    return NULL;
}

static const char *checkSlots(const aeEventLoop *eventLoop, const Found *found) {
    const struct aeTimers *timers = eventLoop->timers;
    int headExists = 0, anyExists = 0;
    for (uint32_t slot = 1; slot < timers->slots; slot++) {
        const TimerLink *link = &found->link[slot];
        const aeTimeEvent *timer = timerAt(timers, slot);
        HOLDS(slotOf(timer) == slot);
        HOLDS(found->place[slot] != NOWHERE);
        if (found->place[slot] == SPARE) {
            HOLDS(!found->indexed[slot]);
            HOLDS(timer != eventLoop->timeEventHead);
            continue;
        }
        HOLDS(found->place[slot] != COMPETING || found->indexed[slot]);
        if (found->indexed[slot]) {
            HOLDS(link->key == (uint32_t)timer->id);
            HOLDS(link->isFresh == (found->place[slot] == IN_LIST));
            HOLDS(link->hasFinalizer == (timer->finalizerProc != NULL));
        }
        anyExists = 1;
        if (timer == eventLoop->timeEventHead) headExists = 1;
    }
    HOLDS(headExists == anyExists);
    HOLDS(anyExists || !eventLoop->timeEventHead);
    HOLDS(timers->slots <= timers->capacity);
    HOLDS(timers->capacity <= timers->chainCount);
    return NULL;
}

static const char *checkTimers(const aeEventLoop *eventLoop) {
    static Found foundSlots;
    Found *found = &foundSlots;
    const struct aeTimers *timers = eventLoop->timers;
    const char *wrong = NULL;
    HOLDS(timers->slots <= MAX_SLOTS);
    memset(found->place, NOWHERE, timers->slots);
    memset(found->indexed, 0, timers->slots);
    wrong = checkIndex(timers, found);
    if (!wrong) wrong = checkTournament(timers, found);
    for (int list = 0; list < LISTS && !wrong; list++) wrong = checkList(timers, list, found);
    if (wrong) return wrong;
    if (timers->vacant) FIND(timers->vacant, SPARE);
    for (uint32_t slot = timers->spare; slot; slot = timers->places[slot].next.key)
        FIND(slot, SPARE);
    return checkSlots(eventLoop, found);
}

const char *aeCheck(const aeEventLoop *eventLoop) {
    const char *wrong = checkFiles(eventLoop);
    return wrong ? wrong : checkTimers(eventLoop);
}
