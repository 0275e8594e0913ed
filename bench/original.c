/* The functions that Redis's ae.c uses from the rest of the server: memory and panic. Redis's
 * zmalloc also counts memory; this one does not, which makes the original faster. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

void *zmalloc(size_t size);
void *zcalloc(size_t size);
void *zrealloc(void *memory, size_t size);
void zfree(void *memory);
int anetCloexec(int fd);
void _serverAssert(const char *condition, const char *file, int line);
void _serverPanic(const char *file, int line, const char *message, ...);

void *zmalloc(size_t size) {
    return malloc(size);
}

void *zcalloc(size_t size) {
    return calloc(1, size);
}

void *zrealloc(void *memory, size_t size) {
    return realloc(memory, size);
}

void zfree(void *memory) {
    free(memory);
}

int anetCloexec(int fd) {
    return fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void _serverAssert(const char *condition, const char *file, int line) {
    fprintf(stderr, "%s:%d: %s\n", file, line, condition);
    abort();
}

void _serverPanic(const char *file, int line, const char *message, ...) {
    fprintf(stderr, "%s:%d: %s\n", file, line, message);
    abort();
}
