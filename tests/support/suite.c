/* The main function of a suite. It runs all tests in the order of the file, or those of one name:
 * AE_TEST='fault_1*' in the environment.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TESTS = 500 };

static struct CMUnitTest tests[MOST_TESTS];
static int lines[MOST_TESTS];
static size_t count;

/* Sorts them, because some linkers call the last constructor of a file first. */
void registerTest(int line, const char *name, CMFixtureFunction setUp, CMUnitTestFunction test,
                  CMFixtureFunction tearDown) {
    if (count == MOST_TESTS) {
        fprintf(stderr, "suite: more than %d tests\n", MOST_TESTS);
        exit(1);
    }
    size_t place = count++;
    for (; place > 0 && lines[place - 1] > line; place--) {
        tests[place] = tests[place - 1];
        lines[place] = lines[place - 1];
    }
    tests[place] = (struct CMUnitTest){name, test, setUp, tearDown, NULL};
    lines[place] = line;
}

int main(int argc, char **argv) {
    const char *pattern = getenv("AE_TEST");
    if (argc < 1 || count == 0) {
        fprintf(stderr, "suite: there are no tests\n");
        return 1;
    }
    if (pattern != NULL && pattern[0] != '\0') cmocka_set_test_filter(pattern);
    const char *slash = strrchr(argv[0], '/');
    return _cmocka_run_group_tests(slash ? slash + 1 : argv[0], tests, count, NULL, NULL);
}
