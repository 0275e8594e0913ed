/* Chooses the programs that driver.c runs.
 *
 *     model run COUNT [SEED]      COUNT random programs, from the seeds SEED, SEED + 1, ...
 *     model find COUNT [SEED]     the same, but only prints the first seed that fails
 *     model soak SECONDS [SEED]   random programs for SECONDS
 *     model replay PATH...        the programs in the files, or in the directories
 *
 * A program that fails is shrunk, printed as the calls that it makes, and stored in a file.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "ae.h"
#include "tests/model/ae_checked.h"
#include "tests/model/driver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A program takes some milliseconds. The limit ends one that runs or sleeps forever, and is long
 * enough for a busy machine. */
enum { MOST_SECONDS_RUNNING = 10, MOST_SECONDS = 300 };

static void limitTime(void) {
    const struct itimerval running = {{0, 0}, {MOST_SECONDS_RUNNING, 0}};
    setitimer(ITIMER_PROF, &running, NULL);
    alarm(MOST_SECONDS);
}

__attribute__((noreturn)) static void die(const char *what) {
    fprintf(stderr, "model: %s: %s\n", what, strerror(errno));
    exit(2);
}

/// One program in a process of its own ////////////////////////////////////////////////////////////

typedef enum { SILENT, SPEAKING, TRACING } Voice;

/* Returns whether the program fails. */
static bool fails(const uint8_t *bytes, size_t length, Voice voice) {
    fflush(stdout);
    pid_t child = fork();
    if (child == -1) die("fork");
    if (child == 0) {
        int nowhere = voice == SILENT ? open("/dev/null", O_WRONLY) : -1;
        if (nowhere != -1) {
            dup2(nowhere, STDOUT_FILENO);
            dup2(nowhere, STDERR_FILENO);
            close(nowhere);
        }
        limitTime();
        runProgram(bytes, length, voice == TRACING);
        exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) == -1) die("waitpid");
    int end = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (voice != SILENT && (end == SIGPROF || end == SIGALRM)) fprintf(stderr, "WRONG: it hangs\n");
    return status != 0;
}

/// Shrinking //////////////////////////////////////////////////////////////////////////////////////

/* Returns whether the program still fails without `count` bytes at `start`; if so, removes them. */
static bool removeBytes(uint8_t *bytes, size_t *length, size_t start, size_t count) {
    uint8_t shorter[MOST_BYTES];
    memcpy(shorter, bytes, start);
    memcpy(shorter + start, bytes + start + count, *length - start - count);
    if (!fails(shorter, *length - count, SILENT)) return false;
    *length -= count;
    memcpy(bytes, shorter, *length);
    return true;
}

/* Removes shorter and shorter runs of operations, then sets every argument to 0 that may be 0. */
static size_t shrink(uint8_t *bytes, size_t length) {
    length -= (length - SETUP_BYTES) % OPERATION_BYTES;
    size_t run = (length - SETUP_BYTES) / OPERATION_BYTES;
    while (run > 0) {
        bool removed = false;
        size_t size = run * OPERATION_BYTES, start = SETUP_BYTES;
        while (start + size <= length) {
            if (removeBytes(bytes, &length, start, size))
                removed = true;
            else
                start += size;
        }
        if (!removed) run /= 2;
    }
    for (size_t i = 0; i < length; i++) {
        uint8_t former = bytes[i];
        bool isKind = i >= SETUP_BYTES && (i - SETUP_BYTES) % OPERATION_BYTES == 0;
        if (former == 0 || isKind) continue;
        bytes[i] = 0;
        if (!fails(bytes, length, SILENT)) bytes[i] = former;
    }
    return length;
}

/* Shrinks and prints a program that fails. */
static void report(uint8_t *bytes, size_t length) {
    char path[] = "/tmp/model-XXXXXX";
    printf("model: shrinking\n");
    length = shrink(bytes, length);
    printf("model: this program fails on %s:\n\n", aeGetApiName());
    if (!fails(bytes, length, TRACING)) printf("(not any more)\n");
    int fd = mkstemp(path);
    if (fd == -1 || write(fd, bytes, length) != (ssize_t)length || close(fd) == -1) die(path);
    printf("\nmodel: it is kept for 'model replay' in %s\n", path);
}

/// Many programs //////////////////////////////////////////////////////////////////////////////////

/* What the process that runs the programs has done so far. */
typedef struct {
    uint64_t seed; /* of the program that is running */
    unsigned long programs, operations;
    Reached reached;
} Progress;

static double secondsNow(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Runs `count` programs, or as many as start before `end`. */
static void runPrograms(Progress *progress, uint64_t seed, unsigned long count, double end) {
    while (progress->programs < count && secondsNow() < end) {
        uint8_t bytes[MOST_BYTES];
        progress->seed = seed++;
        size_t length = randomProgram(progress->seed, bytes);
        limitTime();
        progress->operations += runProgram(bytes, length, false);
        progress->programs++;
        progress->reached = *aeReached();
    }
}

static int runSeeds(uint64_t seed, unsigned long count, double seconds, bool shrinks) {
    double start = secondsNow();
    Progress *progress =
        mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) die("mmap");
    fflush(stdout);
    pid_t child = fork();
    if (child == -1) die("fork");
    if (child == 0) {
        runPrograms(progress, seed, count, start + seconds);
        exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) == -1) die("waitpid");
    printf("model: %s: %lu programs from seed %llu, %lu operations, %.1f s\n", aeGetApiName(),
           progress->programs, (unsigned long long)seed, progress->operations,
           secondsNow() - start);
    const Reached *reached = &progress->reached;
    printf("model: %lu splits moved %lu entries; %lu chunks, %lu trees, %lu trees above them; "
           "%lu microseconds full of passes\n",
           reached->splits, reached->moves, reached->chunks, reached->trees, reached->highTrees,
           reached->fullMicroseconds);
    if (status == 0) return 0;

    uint8_t bytes[MOST_BYTES];
    printf("model: seed %llu fails\n", (unsigned long long)progress->seed);
    if (!shrinks) return 1;
    report(bytes, randomProgram(progress->seed, bytes));
    return 1;
}

/* Runs the program in a file, or those in the files of a directory. Returns how many failed. */
static int replay(const char *path, int *count) {
    static uint8_t bytes[MOST_BYTES];
    int failed = 0;
    DIR *directory = opendir(path);
    if (directory) {
        struct dirent *entry;
        while ((entry = readdir(directory))) {
            char file[PATH_MAX];
            int length = snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
            if (length >= (int)sizeof(file)) die(path);
            if (entry->d_name[0] != '.') failed += replay(file, count);
        }
        closedir(directory);
        return failed;
    }
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    size_t length = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    ++*count;
    if (!fails(bytes, length, SPEAKING)) return 0;
    printf("model: %s fails\n", path);
    report(bytes, length);
    return 1;
}

static int replayAll(char **paths) {
    int count = 0, failed = 0;
    while (*paths) failed += replay(*paths++, &count);
    printf("model: %s: %d programs replayed\n", aeGetApiName(), count);
    return failed != 0;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0); /* in order with the output on stderr */
    takeAllFds();
    if (argc > 2 && strcmp(argv[1], "replay") == 0) return replayAll(argv + 2);

    uint64_t seed = argc == 4 ? strtoull(argv[3], NULL, 10) : 1;
    bool numbers = argc == 3 || argc == 4;
    if (numbers && (strcmp(argv[1], "run") == 0 || strcmp(argv[1], "find") == 0))
        return runSeeds(seed, strtoul(argv[2], NULL, 10), 1e9, argv[1][0] == 'r');
    if (numbers && strcmp(argv[1], "soak") == 0) {
        if (argc == 3) seed = (uint64_t)time(NULL) << 24;
        return runSeeds(seed, (unsigned long)-1, strtod(argv[2], NULL), true);
    }
    fprintf(stderr, "usage: model run|find COUNT [SEED] | soak SECONDS [SEED] | replay PATH...\n");
    return 2;
}
