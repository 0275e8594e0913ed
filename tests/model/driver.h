/* Random but valid programs for the event loop, run on the real loop and on the model.
 *
 * A program is a string of bytes: first SETUP_BYTES of them, then operations of OPERATION_BYTES
 * each (its kind and three arguments), so that any string is a program. A callback takes its
 * operations from the same string, up to a RETURN: so every operation may be done in every
 * callback. The result of a program depends only on the string.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef DRIVER_H
#define DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SETUP_BYTES = 4, OPERATION_BYTES = 4, MOST_OPERATIONS = 400 };
enum { MOST_BYTES = SETUP_BYTES + MOST_OPERATIONS * OPERATION_BYTES };

/* Closes all fds except the standard ones: programs depend on the numbers that the kernel assigns.
 * This must be called first. */
void takeAllFds(void);

/* Generates a program, and returns its length. */
size_t randomProgram(uint64_t seed, uint8_t bytes[MOST_BYTES]);

/* Returns how many operations were performed. Does not return if the loop did anything wrong. If
 * `tracing`, prints all calls. */
unsigned long runProgram(const uint8_t *bytes, size_t length, bool tracing);

#endif
