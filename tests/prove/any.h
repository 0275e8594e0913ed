/* Values of which the analyser knows nothing but the bounds. Frama-C's own names stand only here.
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
#include <sys/time.h>

static int anyOf(int least, int most) {
    return Frama_C_interval(least, most);
}

static int anyInt(void) {
    return Frama_C_interval(INT_MIN, INT_MAX);
}

/* Each value from least to most is looked at by itself. Macros, since the analyser joins what it
 * knows where a function returns. */
#define eachOf(least, most) Frama_C_interval_split(least, most)
#define maybe() Frama_C_interval_split(0, 1)

/* What a system call that fails returns. */
static int anyFailure(void) {
    errno = anyOf(1, 4095);
    return -1;
}

static int zeroOrFailure(void) {
    return maybe() ? 0 : anyFailure();
}

static int fdOrFailure(void) {
    return maybe() ? anyOf(0, INT_MAX) : anyFailure();
}

/* The C library, or the kernel, reads or writes the whole of this. Each is an alarm if it is not
 * the program's to read or write, or was never written. */
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

/* There may be padding in it, which is not looked at. */
static void isReadTimeval(const struct timeval *time) {
    isRead(&time->tv_sec, sizeof(time->tv_sec));
    isRead(&time->tv_usec, sizeof(time->tv_usec));
}

/* Any string of this length, in memory that ends right behind it. */
static char *newString(size_t length) {
    char *string = malloc(length + 1);
    if (length > 0) Frama_C_make_unknown(string, length);
    string[length] = '\0';
    return string;
}

#endif
