/* The copy of ae.c in test_stall.c calls these functions in place of the allocator and of functions
 * that move memory. ae.c includes this header after <string.h> (AE_ALLOC_HEADER).
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef STALL_H
#define STALL_H

#include <stddef.h>

void *stallMalloc(size_t size);
void *stallRealloc(void *memory, size_t size);
void stallFree(void *memory);

void *stallMemset(void *to, int byte, size_t size);
void *stallMemcpy(void *to, const void *from, size_t size);
void *stallMemmove(void *to, const void *from, size_t size);

/* For ae.c, not for the suite itself. */
#ifdef INTERPOSE_H
#undef memset
#undef memcpy
#undef memmove
#define memset(to, byte, size) stallMemset(to, byte, size)
#define memcpy(to, from, size) stallMemcpy(to, from, size)
#define memmove(to, from, size) stallMemmove(to, from, size)
#endif

#endif
