/* Text of the C library: snprintf and strerror.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef PROVE_TEXT_H
#define PROVE_TEXT_H

#include "any.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static size_t digitsOf(long number) {
    size_t digits = 1;
    if (number < 0) digits++, number = -number;
    for (long more = 10; number >= more; more *= 10) digits++;
    return digits;
}

/* snprintf(3), for the formats that the library uses: %s, %d, %u, %% and text. */
static int proveSnprintf(char *to, size_t room, const char *format, ...) {
    va_list arguments;
    size_t length = 0;
    va_start(arguments, format);
    for (; *format; format++) {
        if (*format != '%' || *++format == '%') {
            length++;
        } else if (*format == 's') {
            const char *string = va_arg(arguments, const char *);
            length += strlen(string);
        } else if (*format == 'd') {
            length += digitsOf(va_arg(arguments, int));
        } else if (*format == 'u') {
            length += digitsOf(va_arg(arguments, unsigned));
        } else {
            //@ assert known_format: \false;
        }
    }
    va_end(arguments);
    if (room > 0) {
        size_t last = length < room ? length : room - 1;
        isWritten(to, last);
        memset(to, anyOf(1, CHAR_MAX), last);
        to[last] = '\0';
    }
    return (int)length;
}

/* The results of strerror and gai_strerror: an empty text, or one that is shorter or longer than
 * the room in a message. */
static char shortText[1], usualText[20], longText[300];

static char *proveText(void) {
    memset(usualText, anyOf(1, CHAR_MAX), sizeof(usualText) - 1);
    memset(longText, anyOf(1, CHAR_MAX), sizeof(longText) - 1);
    switch (eachOf(0, 2)) {
    case 0:
        return shortText;
    case 1:
        return usualText;
    default:
        return longText;
    }
}

#define snprintf proveSnprintf
#define strerror(number) proveText()

#endif
