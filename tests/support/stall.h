/* What the copy of ae.c that test_stall.c runs calls in place of the allocator and of the functions
 * that move memory. ae.c includes it after <string.h> (AE_ALLOC_HEADER).
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

/* In ae.c, and not in the suite itself. */
#ifdef SEAMS_H
#undef memset
#undef memcpy
#undef memmove
#define memset(to, byte, size) stallMemset(to, byte, size)
#define memcpy(to, from, size) stallMemcpy(to, from, size)
#define memmove(to, from, size) stallMemmove(to, from, size)
#endif

#endif
