/* <sys/prctl.h>, which Frama-C does not have.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef PROVE_PRCTL_H
#define PROVE_PRCTL_H

#define PR_GET_TIMERSLACK 30

#endif
