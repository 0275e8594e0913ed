/* ae.c or a variant of it, with a check of the invariants that are listed at the start of its
 * sections "File events" and "Time events".
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef AE_SOURCE
#define AE_SOURCE "../../ae.c"
#endif
#include AE_SOURCE

#include "tests/model/ae_checked.h"

#include <stdbool.h>

/* The message is the expression itself. */
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
    int usable = eventLoop->nevents < eventLoop->setsize ? eventLoop->nevents : eventLoop->setsize;
    HOLDS(eventLoop->usable == (eventLoop->isEnding ? 0 : usable));
    HOLDS(last == eventLoop->maxfd);
    HOLDS(last < eventLoop->setsize);
    return NULL;
}

/* The list in which each leaf was found. */
enum { NOWHERE, IN_INDEX, AMONG_ENDED, FREE, MAX_LEAVES = 1 << 16 };

/* A leaf that was not found before. */
#define FIND(leaf, list)                                       \
    do {                                                       \
        HOLDS((leaf) >= 1 && (leaf) < timers->blocks * WIDTH); \
        HOLDS(found[leaf] == NOWHERE);                         \
        found[leaf] = list;                                    \
    } while (0)

static const Node *nodeOf(const struct aeTimers *timers, uint32_t leaf) {
    return &blockOf(timers, leaf)->nodes[leaf % WIDTH];
}

static uint32_t countAt(const struct aeTimers *timers, uint32_t height) {
    return height ? timers->treeCounts[height] : timers->blocks;
}

/* Each parent is equal to the earliest of its children. The top is equal to its copy: `nearest` or
 * a node of the tree above. A tree that was created for a block whose allocation failed may have no
 * tree above. */
static const char *checkTree(const struct aeTimers *timers, uint32_t height, uint32_t number) {
    const Node *nodes = treeAt(timers, height, number);
    for (uint32_t place = 0; place < TOP; place++) {
        HOLDS(nodes[place].when % GROUP == place % GROUP);
        HOLDS(nodes[parentOf(place)].when / GROUP <= nodes[place].when / GROUP);
    }
    for (uint32_t place = 0; place < WIDTH; place++) {
        uint32_t below = number * WIDTH + place;
        HOLDS(height || nodes[place].leaf == below);
        HOLDS(!height || nodes[place].when >= NEVER || below < countAt(timers, height - 1));
    }
    for (uint32_t first = 0; first < TOP; first += GROUP) {
        const Node *parent = &nodes[parentOf(first)];
        int isEqual = 0;
        for (uint32_t place = first; place < first + GROUP; place++)
            isEqual |= (parent->when >= NEVER || nodes[place].leaf == parent->leaf) &&
                       nodes[place].when / GROUP == parent->when / GROUP;
        HOLDS(isEqual);
    }
    const Node *copy = NULL;
    if (height == timers->height)
        copy = number ? NULL : &timers->nearest;
    else if (number / WIDTH < countAt(timers, height + 1))
        copy = &treeAt(timers, height + 1, number / WIDTH)[number % WIDTH];
    HOLDS(copy || nodes[TOP].when >= NEVER);
    HOLDS(!copy || copy->when / GROUP == nodes[TOP].when / GROUP);
    HOLDS(!copy || copy->when >= NEVER || copy->leaf == nodes[TOP].leaf);
    return NULL;
}

/* Above several trees there is one for each 64 of them, and at most one more, which was created for
 * a block whose allocation failed. */
static const char *checkTrees(const struct aeTimers *timers) {
    const char *wrong = NULL;
    uint32_t least = timers->blocks;
    for (uint32_t height = 0; height <= HEIGHTS && !wrong; height++) {
        uint32_t count = countAt(timers, height);
        HOLDS(count == least || (height && count == least + 1));
        HOLDS(height == 0 || (count > 0) == (height <= timers->height));
        for (uint32_t number = 0; number < count && !wrong; number++)
            wrong = checkTree(timers, height, number);
        least = least > 1 ? (least + WIDTH - 1) / WIDTH : 0;
    }
    return wrong;
}

static const char *checkIndex(const struct aeTimers *timers, uint8_t *found) {
    HOLDS((timers->blockMask & (timers->blockMask + 1)) == 0);
    HOLDS(timers->blocks <= timers->blockMask + 1);
    HOLDS(!timers->blocks || timers->blocks > (timers->blockMask + 1) / 2);
    for (uint32_t i = 0; i < timers->blocks * BUCKETS; i++) {
        const Block *block = blockAt(timers, i / BUCKETS);
        const uint32_t *bucket = &block->buckets[i % BUCKETS];
        for (uint32_t leaf = *bucket; leaf; leaf = nodeOf(timers, leaf)->next) {
            FIND(leaf, IN_INDEX);
            long long id = blockOf(timers, leaf)->timers[leaf % WIDTH].id;
            HOLDS(bucketOf(timers, id) == bucket);
            HOLDS(block->onlyHash == MIXED_HASHES || block->onlyHash == hashOf(id));
        }
    }
    return NULL;
}

static const char *checkLists(const struct aeTimers *timers, uint8_t *found) {
    uint64_t ended = 0;
    uint32_t last = 0;
    for (uint32_t leaf = timers->free; leaf; leaf = nodeOf(timers, leaf)->next) FIND(leaf, FREE);
    for (uint32_t leaf = timers->firstEnded; leaf; leaf = nodeOf(timers, leaf)->next) {
        FIND(leaf, AMONG_ENDED);
        last = leaf;
        ended++;
    }
    HOLDS(!last || last == timers->lastEnded);
    HOLDS(ended == timers->endedCount - timers->finalizedCount);
    return NULL;
}

/* A leaf in no list has a timer that was deleted while running, or whose finalizer is running. */
static const char *checkLeaves(const aeEventLoop *eventLoop, const uint8_t *found) {
    const struct aeTimers *timers = eventLoop->timers;
    uint64_t existing = 0;
    for (uint32_t leaf = 0; leaf < timers->blocks * WIDTH; leaf++) {
        const Timer *timer = &blockOf(timers, leaf)->timers[leaf % WIDTH];
        const Node *node = nodeOf(timers, leaf);
        HOLDS(node->when >= NEVER || found[leaf] == IN_INDEX);
        HOLDS(found[leaf] != IN_INDEX || (timer->timeProc && timer->id >= 0));
        HOLDS(found[leaf] != IN_INDEX || timer->id < eventLoop->timeEventNextId);
        HOLDS(found[leaf] != AMONG_ENDED || (!timer->timeProc && timer->finalizerProc));
        HOLDS(found[leaf] != AMONG_ENDED || timer->id == AE_DELETED_EVENT_ID);
        HOLDS(found[leaf] != FREE || !timer->timeProc);
        HOLDS(found[leaf] != NOWHERE || leaf == 0 || timer->id == AE_DELETED_EVENT_ID);
        existing += leaf > 0 && found[leaf] != FREE;
    }
    HOLDS(existing == timers->timerCount);
    HOLDS(eventLoop->timeEventHead == (existing ? &timers->head : NULL));
    return NULL;
}

static const char *checkTimers(const aeEventLoop *eventLoop) {
    static uint8_t found[MAX_LEAVES];
    const struct aeTimers *timers = eventLoop->timers;
    HOLDS(timers->blocks * WIDTH <= MAX_LEAVES);
    memset(found, NOWHERE, timers->blocks * WIDTH);
    const char *wrong = checkTrees(timers);
    if (!wrong) wrong = checkIndex(timers, found);
    if (!wrong) wrong = checkLists(timers, found);
    return wrong ? wrong : checkLeaves(eventLoop, found);
}

/// What was reached ///////////////////////////////////////////////////////////////////////////////

static Reached reached;

const Reached *aeReached(void) {
    return &reached;
}

/* Returns how many of a block's index entries belong to leaves that are older than the block. */
static unsigned long movedEntries(const struct aeTimers *timers, uint32_t number) {
    unsigned long moved = 0;
    for (uint32_t i = 0; i < BUCKETS; i++) {
        uint32_t leaf = blockAt(timers, number)->buckets[i];
        for (; leaf; leaf = nodeOf(timers, leaf)->next) moved += leaf < number * WIDTH;
    }
    return moved;
}

/* Adds what the loop has reached since the last call. Blocks and trees exist until it is deleted.
 */
static void countReached(const struct aeTimers *timers) {
    static uint32_t blocks;
    static unsigned long trees, highTrees;
    static uint64_t fullMicrosecond;
    if (timers->blocks < blocks || timers->blocks == 0) { /* another loop */
        blocks = 0;
        trees = highTrees = 0;
        fullMicrosecond = 0;
    }
    for (; blocks < timers->blocks; blocks++) {
        if (blocks == 0) continue;
        reached.splits++;
        reached.chunks += blocks % CHUNK == 0;
        reached.moves += movedEntries(timers, blocks);
    }
    unsigned long highTreesNow = 0;
    for (uint32_t height = 2; height <= HEIGHTS; height++)
        highTreesNow += timers->treeCounts[height];
    unsigned long treesNow = timers->treeCounts[1] + highTreesNow;
    reached.trees += treesNow - trees;
    reached.highTrees += highTreesNow - highTrees;
    trees = treesNow;
    highTrees = highTreesNow;
    if (timers->passEnd % TICKS == TICKS - 1 && timers->passEnd != fullMicrosecond) {
        fullMicrosecond = timers->passEnd;
        reached.fullMicroseconds++;
    }
}

const char *aeCheck(const aeEventLoop *eventLoop) {
    const char *wrong = checkFiles(eventLoop);
    if (!wrong) wrong = checkTimers(eventLoop);
    if (!wrong) countReached(eventLoop->timers);
    return wrong;
}
