/* Values of which the analyser knows only the bounds. Frama-C's own names are used only here.
 *
 * With -DEXACT=seed each value is a random number, so that the analyser runs the program as an
 * interpreter does: all values are known.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef PROVE_ANY_H
#define PROVE_ANY_H

#include <__fc_builtin.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#ifdef EXACT
static uint64_t drawn = EXACT;

static long draw(long least, long most) {
    drawn = drawn * 6364136223846793005u + 1442695040888963407u;
    return least + (long)((drawn >> 33) % ((uint64_t)most - (uint64_t)least + 1));
}

#define Frama_C_interval(least, most) ((int)draw(least, most))
#define Frama_C_long_interval(least, most) draw(least, most)
#define Frama_C_interval_split(least, most) ((int)draw(least, most))
#define Frama_C_make_unknown(memory, size) memset(memory, (int)draw(0, 255), size)
#define mayFail() (draw(0, 9) == 0)
#else
#define mayFail() maybe()
#endif

static int anyOf(int least, int most) {
    return Frama_C_interval(least, most);
}

static int anyInt(void) {
    return Frama_C_interval(INT_MIN, INT_MAX);
}

/* The analyser examines each value from least to most separately. These are macros, because the
 * analyser joins its states when a function returns. */
#define eachOf(least, most) Frama_C_interval_split(least, most)
#define maybe() Frama_C_interval_split(0, 1)

/* What a system call that fails returns. */
static int anyFailure(void) {
#ifdef EXACT
    static const int errors[] = {EINTR, ENOENT, EEXIST, EBADF, ENOMEM, EAGAIN};
    errno = errors[draw(0, 5)];
#else
    errno = anyOf(1, 4095);
#endif
    return -1;
}

/* The same for a wait. Any errno except EINTR would end the program. */
static int waitFailure(void) {
#ifdef EXACT
    errno = EINTR;
    return -1;
#else
    return anyFailure();
#endif
}

static int zeroOrFailure(void) {
    return mayFail() ? anyFailure() : 0;
}

static int fdOrFailure(void) {
    return mayFail() ? anyFailure() : anyOf(0, INT_MAX);
}

/* The C library or the kernel reads or writes all of this memory. It is an alarm if the program may
 * not read or write it, or reads memory that was never written. */
static void isRead(const void *memory, size_t size) {
    const unsigned char *bytes = memory;
    //@ assert readable: size == 0 || \valid_read(bytes + (0 .. size - 1));
    //@ assert written: size == 0 || \initialized(bytes + (0 .. size - 1));
}

static void isWritten(void *memory, size_t size) {
    unsigned char *bytes = memory;
    //@ assert writable: size == 0 || \valid(bytes + (0 .. size - 1));
    if (size > 0) Frama_C_make_unknown(memory, size);
}

/* It may have padding, which is not examined. */
static void isReadTimeval(const struct timeval *time) {
    isRead(&time->tv_sec, sizeof(time->tv_sec));
    isRead(&time->tv_usec, sizeof(time->tv_usec));
}

/* Any string of this length, in memory that ends after it. */
static char *newString(size_t length) {
    char *string = malloc(length + 1);
    if (length > 0) Frama_C_make_unknown(string, length);
    string[length] = '\0';
    return string;
}

#endif
