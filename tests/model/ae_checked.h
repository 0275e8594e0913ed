/* The loop's inner invariants.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef AE_CHECKED_H
#define AE_CHECKED_H

#include "ae.h"

/* Answers the first invariant that does not hold, NULL if all do. May be called at any time between
 * two calls to the loop, in callbacks too. */
const char *aeCheck(const aeEventLoop *eventLoop);

/* What all loops that were checked have come to. */
typedef struct {
    unsigned long splits;           /* blocks that were added to others */
    unsigned long moves;            /* index entries that a split moved to the new block */
    unsigned long chunks;           /* after the first one */
    unsigned long trees;            /* above blocks */
    unsigned long highTrees;        /* above those */
    unsigned long fullMicroseconds; /* in which the loop has counted as many passes as it can */
} Reached;

const Reached *aeReached(void);

#endif
