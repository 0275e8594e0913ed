/* Lets a suite run only the tests of one name: AE_TEST='fault_1*' in its environment. Each suite is
 * linked with this file and needs no code for it.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

__attribute__((constructor)) static void filterTests(void) {
    const char *pattern = getenv("AE_TEST");
    if (pattern != NULL && pattern[0] != '\0') cmocka_set_test_filter(pattern);
}
