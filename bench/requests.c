/* Counts the bytes that a program requests from the allocator: those not yet freed, and the largest
 * request. Loaded with LD_PRELOAD; a bench finds the two functions by dlsym.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* glibc's own functions, under the names that remain when malloc is replaced. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *memory, size_t size);
void *memalign(size_t alignment, size_t size);
void *aligned_alloc(size_t alignment, size_t size);
int posix_memalign(void **memory, size_t alignment, size_t size);
size_t malloc_usable_size(void *memory);
void free(void *memory);
size_t requestsHeld(void);
size_t requestsLargest(void);

/* Placed before the memory that the program gets. */
typedef struct {
    size_t size;
    void *block;
} Header;

static size_t held, largest;

size_t requestsHeld(void) {
    return held;
}

/* Since the last call. */
size_t requestsLargest(void) {
    size_t size = largest;
    largest = 0;
    return size;
}

static Header *headerOf(void *memory) {
    return (Header *)memory - 1;
}

/* A block for `size` bytes of the program's, which begin `before` bytes after its start. */
static void *enter(char *block, size_t before, size_t size) {
    if (!block) return NULL;
    *headerOf(block + before) = (Header){size, block};
    held += size;
    if (size > largest) largest = size;
    return block + before;
}

/* SIZE_MAX after an overflow, which no allocator can allocate. */
static size_t plus(size_t a, size_t b) {
    return a <= SIZE_MAX - b ? a + b : SIZE_MAX;
}

void *malloc(size_t size) {
    return enter(__libc_malloc(plus(size, sizeof(Header))), sizeof(Header), size);
}

/* Does not touch new pages, as the original calloc. */
void *calloc(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) bytes = SIZE_MAX;
    return enter(__libc_calloc(1, plus(bytes, sizeof(Header))), sizeof(Header), bytes);
}

void free(void *memory) {
    if (!memory) return;
    held -= headerOf(memory)->size;
    __libc_free(headerOf(memory)->block);
}

void *realloc(void *memory, size_t size) {
    void *moved = malloc(size);
    if (memory && moved) {
        size_t old = headerOf(memory)->size;
        memcpy(moved, memory, old < size ? old : size);
        free(memory);
    }
    return moved;
}

/* The header gets as many bytes as the alignment, so that the program's part is also aligned. */
void *memalign(size_t alignment, size_t size) {
    size_t before = alignment < sizeof(Header) ? sizeof(Header) : alignment;
    return enter(__libc_memalign(before, plus(size, before)), before, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    void *aligned = memalign(alignment, size);
    if (!aligned) return ENOMEM;
    *memory = aligned;
    return 0;
}

size_t malloc_usable_size(void *memory) {
    return memory ? headerOf(memory)->size : 0;
}
