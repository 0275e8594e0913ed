/* The words of which a script consists: what a program called, and what the system returned.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef PROVE_SCRIPT_H
#define PROVE_SCRIPT_H

/* Each is followed by the numbers that are named here. */
enum {
    CREATE_LOOP = 1, /* setsize */
    DELETE_LOOP,
    CREATE_FILE,  /* fd, mask, handler */
    DELETE_FILE,  /* fd, mask */
    CREATE_TIMER, /* milliseconds, handler, finalizer */
    DELETE_TIMER, /* id */
    PROCESS,      /* flags */
    MAIN,
    STOP,
    RESIZE,       /* setsize */
    DONT_WAIT,    /* whether */
    BEFORE_SLEEP, /* hook */
    AFTER_SLEEP,  /* hook */
    WAIT,         /* fd, mask, milliseconds */
    RETURN,       /* from a callback: the result */
    ALLOCATED,    /* whether */
    RESULT        /* the result, errno, the size of what was written, and this, in words */
};

/* Handlers, finalizers and hooks are numbered from 1 on; 0 is NULL. */
enum { MOST_PROCS = 2 };

/* The size of the words of so much memory. */
#define WORD_SIZE(size) ((size) % 8 == 0 ? 8 : 4)

#endif
