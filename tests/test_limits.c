/* The limits of the arrays. The tests simulate a machine with a small size_t and a small uint32_t
 * (NARROW_SYSTEM in tests/support/interpose.h).
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "tests/support/support.h"

#include <errno.h>

enum { MANY = 4000, FIRST_FD = 100 };

static int setUpLargeLoop(void **state) {
    setUp(state);
    freezeClock();
    loop = aeCreateEventLoop(MANY);
    return loop ? 0 : -1;
}

#define TEST(name) TEST_BETWEEN(setUpLargeLoop, name, tearDown)

TEST(slots_beyond_the_range_of_size_t_are_ENOMEM_and_change_nothing) {
    Pipe ready = newReadyPipe();
    int fd = FIRST_FD, registered = 0;
    if (roomForFds(MANY) < MANY) SKIP("too few fds");
    for (;; fd += 50) {
        assert_true(fd < MANY);
        newCopy(ready.out, fd);
        aeEventLoop before = *loop;
        if (aeCreateFileEvent(loop, fd, AE_READABLE, onRead, "A") == AE_ERR) {
            assert_int_equal(errno, ENOMEM);
            assert_memory_equal(&before, loop, sizeof(before));
            break;
        }
        registered++;
    }
    assert_true(registered > 0);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_NONE);
    assert_int_equal(look(), registered);
    aeDeleteFileEvent(loop, FIRST_FD, AE_READABLE);
    assert_int_equal(look(), registered - 1);
}

TEST(timers_beyond_the_largest_leaf_number_are_ENOMEM_and_change_nothing) {
    int created = 0, fired = 0;
    long long id;
    for (;; created++) {
        assert_true(created < MANY);
        aeEventLoop before = *loop;
        id = aeCreateTimeEvent(loop, 10, countTime, &fired, NULL);
        if (id != AE_ERR) continue;
        assert_int_equal(errno, ENOMEM);
        assert_memory_equal(&before, loop, sizeof(before));
        break;
    }
    assert_true(created > 64);
    assert_true(created <= 2000 / 8); /* an eighth of the largest number */
    assert_int_equal(aeDeleteTimeEvent(loop, 0), AE_OK);
    assert_int_equal(aeCreateTimeEvent(loop, 10, countTime, &fired, NULL), created);
    advanceClock(10000);
    assert_int_equal(look(), created);
    assert_int_equal(fired, created);
}
