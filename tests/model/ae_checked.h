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

#endif
