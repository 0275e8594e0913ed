/* Checks the invariants of the loop's private data.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef AE_CHECKED_H
#define AE_CHECKED_H

#include "ae.h"

/* Returns the first invariant that does not hold, NULL if all hold. May be called at any time
 * between two calls of the loop, also in callbacks. */
const char *aeCheck(const aeEventLoop *eventLoop);

/* What all checked loops together have reached. */
typedef struct {
    unsigned long splits;           /* blocks that were added to others */
    unsigned long moves;            /* index entries that a split moved to the new block */
    unsigned long chunks;           /* after the first one */
    unsigned long trees;            /* above blocks */
    unsigned long highTrees;        /* above those */
    unsigned long fullMicroseconds; /* in which the loop has counted its maximum of passes */
} Reached;

const Reached *aeReached(void);

#endif
