/* A suite is a file tests/test_*.c. Its tests register themselves: TEST(its_behaviour) { ... } is
 * all that a new one needs. Each suite defines TEST with the functions to call before and after a
 * test. It is linked with suite.c, which has the main function.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef SUITE_H
#define SUITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Defines a test. */
#define TEST_BETWEEN(setUp, name, tearDown) \
    static void name(void **state);         \
    REGISTER(setUp, name, "", tearDown)     \
    static void name(void **state __attribute__((unused)))

/* Registers a test that is declared. A test that is registered more than once has a variant in its
 * name each time. */
#define REGISTER(setUp, name, variant, tearDown)                               \
    __attribute__((constructor)) static void register_##setUp##_##name(void) { \
        registerTest(__LINE__, #name variant, setUp, name, tearDown);          \
    }

void registerTest(int line, const char *name, CMFixtureFunction setUp, CMUnitTestFunction test,
                  CMFixtureFunction tearDown);

#endif
