/* A program that embeds the loop: a pipe, a timer, and its own allocator and panic if macros say
 * so. It succeeds if the loop serves both events and if all memory came from the allocator. */
#include "ae.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef OWN_FUNCTIONS
#include "allocator.h"

static long held;

void *countedMalloc(size_t size) {
    held++;
    return malloc(size);
}

void *countedRealloc(void *memory, size_t size) {
    if (!memory) held++;
    return realloc(memory, size);
}

void countedFree(void *memory) {
    if (memory) held--;
    free(memory);
}

void ownPanic(const char *message) {
    printf("panic: %s\n", message);
    fflush(stdout);
    _exit(3);
}
#endif

static int served;

static void onReadable(aeEventLoop *loop, int fd, void *clientData, int mask) {
    char byte;
    AE_NOTUSED(clientData);
    if (mask & AE_READABLE && read(fd, &byte, 1) == 1) served++;
    aeDeleteFileEvent(loop, fd, AE_READABLE);
}

static int onTimer(aeEventLoop *loop, long long id, void *clientData) {
    AE_NOTUSED(id);
    AE_NOTUSED(clientData);
    served++;
    aeStop(loop);
    return AE_NOMORE;
}

int main(int argc, char **argv) {
    int ends[2];
    aeEventLoop *loop = aeCreateEventLoop(128);
    if (!loop || pipe(ends) == -1 || write(ends[1], "x", 1) != 1) return 1;
    if (aeCreateFileEvent(loop, ends[0], AE_READABLE, onReadable, NULL) == AE_ERR) return 1;
    if (aeCreateTimeEvent(loop, 1, onTimer, NULL, NULL) == AE_ERR) return 1;
#ifdef OWN_FUNCTIONS
    if (held == 0) return 1;
    if (argc > 1 && strcmp(argv[1], "break") == 0) {
        /* An invalid fd: an error that a retry does not remove. */
        close(*(int *)loop->apidata);
        aeMain(loop);
        return 1;
    }
#else
    AE_NOTUSED(argc);
    AE_NOTUSED(argv);
#endif
    aeMain(loop);
    aeDeleteEventLoop(loop);
#ifdef OWN_FUNCTIONS
    if (held != 0) return 1;
#endif
    printf("%s: %d served\n", aeGetApiName(), served);
    return served == 2 ? 0 : 1;
}
