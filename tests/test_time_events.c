/* The contract of time events: each fires when it is due, never before, never after it was deleted,
 * and is finalized once. Nearly all tests run on a frozen clock, so they are exact. The tests named
 * fault_N show that libae does not have a fault of the original loop.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "tests/support/support.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TEST TEST_FROZEN

static long long add(long long milliseconds, aeTimeProc *proc, void *clientData) {
    long long id = aeCreateTimeEvent(loop, milliseconds, proc, clientData, NULL);
    assert_true(id >= 0);
    return id;
}

static long long addWithFinalizer(long long milliseconds, aeTimeProc *proc, void *clientData) {
    long long id = aeCreateTimeEvent(loop, milliseconds, proc, clientData, onFinalize);
    assert_true(id >= 0);
    return id;
}

/// Ids ////////////////////////////////////////////////////////////////////////////////////////////

TEST(ids_are_0_1_2_and_so_on) {
    for (long long id = 0; id < 1000; id++) assert_int_equal(add(id % 7, onTime, "A"), id);
    assert_int_equal(loop->timeEventNextId, 1000);
}

TEST(each_loop_counts_its_own_ids) {
    aeEventLoop *other = aeCreateEventLoop(1);
    assert_int_equal(add(1, onTime, "A"), 0);
    assert_int_equal(aeCreateTimeEvent(other, 1, onTime, "A", NULL), 0);
    assert_int_equal(add(1, onTime, "A"), 1);
    assert_int_equal(aeCreateTimeEvent(other, 1, onTime, "A", NULL), 1);
    assert_int_equal(aeDeleteTimeEvent(other, 1), AE_OK);
    assert_int_equal(aeDeleteTimeEvent(loop, 1), AE_OK);
    aeDeleteEventLoop(other);
}

TEST(ids_with_the_same_lower_half_are_distinguished) {
    const long long high = 1LL << 32;
    assert_int_equal(add(1000, onTime, "low"), 0);
    assert_int_equal(aeDeleteTimeEvent(loop, high), AE_ERR);
    loop->timeEventNextId = high;
    assert_int_equal(add(1001, onTime, "high"), high);
    assert_int_equal(add(1002, onTime, "next"), high + 1);
    assert_int_equal(aeDeleteTimeEvent(loop, 1), AE_ERR);
    assert_int_equal(aeDeleteTimeEvent(loop, 2 * high), AE_ERR);
    assert_int_equal(aeDeleteTimeEvent(loop, 0), AE_OK);
    assert_int_equal(aeDeleteTimeEvent(loop, 0), AE_ERR);
    advanceClock(2000000);
    look();
    assertJournal("high next");
}

TEST(ids_are_never_reused) {
    for (long long id = 0; id < 500; id++) {
        assert_int_equal(add(1, neverTime, NULL), id);
        assert_int_equal(aeDeleteTimeEvent(loop, id), AE_OK);
        look();
    }
}

TEST(a_creation_that_fails_takes_no_id) {
    assert_int_equal(add(1, onTime, "A"), 0);
    errno = 0;
    assert_int_equal(aeCreateTimeEvent(loop, 1, NULL, NULL, NULL), AE_ERR);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(add(1, onTime, "A"), 1);
}

static aeEventLoop *gotLoop;
static long long gotId;
static void *gotData;

static int takeArguments(aeEventLoop *el, long long id, void *clientData) {
    gotLoop = el;
    gotId = id;
    gotData = clientData;
    return AE_NOMORE;
}

static void takeFinalArguments(aeEventLoop *el, void *clientData) {
    gotLoop = el;
    gotData = clientData;
}

TEST(the_handler_gets_loop_id_and_client_data) {
    int mine;
    add(100, neverTime, NULL);
    long long id = add(0, takeArguments, &mine);
    look();
    assert_ptr_equal(gotLoop, loop);
    assert_int_equal(gotId, id);
    assert_ptr_equal(gotData, &mine);
}

TEST(the_finalizer_gets_loop_and_client_data) {
    int mine;
    aeCreateTimeEvent(loop, 0, onTime, &mine, takeFinalArguments);
    gotLoop = NULL;
    gotData = NULL;
    aeDeleteTimeEvent(loop, 0);
    look();
    assert_ptr_equal(gotLoop, loop);
    assert_ptr_equal(gotData, &mine);
}

/// Deadlines //////////////////////////////////////////////////////////////////////////////////////

TEST(when_is_monotonic_now_plus_the_milliseconds) {
    const long long delays[] = {0, 1, 2, 999, 1000, 123456, 86400000LL * 10000};
    for (int i = 0; i < 7; i++) {
        long long id = add(delays[i], neverTime, NULL);
        assert_int_equal(loop->timeEventHead->id, id);
        assert_int_equal(loop->timeEventHead->when, clockNow() + (uint64_t)delays[i] * 1000);
        aeDeleteTimeEvent(loop, id);
        aeProcessEvents(loop, AE_TIME_EVENTS | AE_DONT_WAIT);
        assert_null(loop->timeEventHead);
        advanceClock(777);
    }
}

TEST(a_timer_fires_at_its_deadline_and_not_a_microsecond_before) {
    add(5, onTime, "A");
    advanceClock(4999);
    assert_int_equal(look(), 0);
    assertJournal("");
    advanceClock(1);
    assert_int_equal(look(), 1);
    assertJournal("A");
    advanceClock(1000000);
    assert_int_equal(look(), 0);
}

TEST(a_timer_fires_once_when_its_handler_returns_AE_NOMORE) {
    int count = 0;
    add(1, countTime, &count);
    for (int i = 0; i < 5; i++) {
        advanceClock(10000);
        look();
    }
    assert_int_equal(count, 1);
}

static long long dueAt; /* nanoseconds */

static int assertDue(aeEventLoop *el, long long id, void *clientData) {
    (void)el, (void)id;
    assert_true(clockNanoseconds() >= dueAt);
    ++*(int *)clientData;
    return AE_NOMORE;
}

/* Sets the frozen clock to this time, in nanoseconds. */
static void setClockTo(long long nanoseconds) {
    setClock(nanoseconds / 1000000000, nanoseconds % 1000000000);
}

TEST(a_timer_is_not_early_by_a_fraction_of_a_microsecond) {
    for (long long fraction = 0; fraction < 2000; fraction++) {
        int count = 0;
        setClock(1000, 999998000 + fraction);
        dueAt = clockNanoseconds() + 3000000;
        add(3, assertDue, &count);
        setClockTo(dueAt - 1);
        assert_int_equal(look(), 0);
        setClockTo(dueAt + 999);
        assert_int_equal(look(), 1);
        assert_int_equal(count, 1);
    }
}

TEST(a_fraction_of_a_microsecond_takes_no_second_wait) {
    for (long long fraction = 0; fraction < 2000; fraction++) {
        int count = 0;
        setClock(1000, 999998000 + fraction);
        dueAt = clockNanoseconds() + 3000000;
        add(3, assertDue, &count);
        forgetCalls();
        assert_int_equal(iterate(), 1);
        assert_int_equal(callsOf(WAIT), 1);
    }
}

static int assertDueAgain(aeEventLoop *el, long long id, void *clientData) {
    (void)el, (void)id;
    assert_true(clockNanoseconds() >= dueAt);
    ++*(int *)clientData;
    dueAt = clockNanoseconds() + 2000000;
    return 2;
}

TEST(a_repeating_timer_is_not_early_by_a_fraction_of_a_microsecond) {
    int count = 0;
    setClock(1000, 999);
    dueAt = clockNanoseconds() + 2000000;
    add(2, assertDueAgain, &count);
    for (int i = 0; i < 100; i++) {
        setClock(clockNanoseconds() / 1000000000, clockNanoseconds() % 1000000000 + 13);
        iterate();
    }
    assert_int_equal(count, 100);
}

static int assertDueByTheRealClock(aeEventLoop *el, long long id, void *earliest) {
    (void)el, (void)id;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    assert_true((long long)now.tv_sec * 1000000000 + now.tv_nsec >= *(long long *)earliest);
    journal("!");
    return AE_NOMORE;
}

static void fireByTheRealClock(void) {
    enum { TIMERS = 20 };
    long long earliest[TIMERS];
    for (int i = 0; i < TIMERS; i++) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        earliest[i] = (long long)now.tv_sec * 1000000000 + now.tv_nsec + i / 2 * 1000000LL;
        add(i / 2, assertDueByTheRealClock, &earliest[i]);
    }
    int fired = 0;
    while (fired < TIMERS) fired += iterate();
    assert_int_equal(strlen(takeJournal()), 2 * TIMERS - 1);
}

TEST_WITH_LOOP(a_timer_is_never_early_by_the_real_clock) {
    fireByTheRealClock();
}

TEST_WITH_LOOP(a_timer_is_never_early_by_the_real_clock_though_the_slack_is_subtracted) {
    deleteLoop();
    setTimerSlack(50000);
    loop = aeCreateEventLoop(SETSIZE);
    fireByTheRealClock();
}

TEST(zero_milliseconds_are_due_at_once) {
    add(0, onTime, "A");
    assert_int_equal(look(), 1);
    assertJournal("A");
}

TEST(zero_milliseconds_are_due_at_once_within_a_microsecond) {
    setClock(1000, 999);
    add(0, onTime, "A");
    assert_int_equal(look(), 1);
    assertJournal("A");
}

TEST(zero_milliseconds_are_due_at_once_when_the_clock_is_at_zero) {
    int fired = 0;
    setClock(0, 0);
    for (int i = 0; i < 20; i++) add(0, countTime, &fired);
    assert_int_equal(look(), 20);
}

TEST(a_timer_that_is_overdue_fires_without_a_wait) {
    add(1, onTime, "A");
    advanceClock(5000000);
    assert_int_equal(iterate(), 1);
    assert_int_equal(lastTimeout(), 0);
    assertJournal("A");
}

/// The wait ///////////////////////////////////////////////////////////////////////////////////////

TEST(the_wait_lasts_exactly_until_the_nearest_timer) {
    add(30, neverTime, NULL);
    add(7, onTime, "A");
    add(20, neverTime, NULL);
    advanceClock(123);
    uint64_t before = clockNow();
    assert_int_equal(iterate(), 1);
    assertJournal("A");
    if (countsMicroseconds()) {
        assert_int_equal(lastTimeout(), 7000 - 123);
        assert_int_equal(clockNow() - before, 7000 - 123);
    } else {
        assert_int_equal(lastTimeout(), 7000);
    }
}

/* The timer slack: with epoll_pwait2, the loop shortens a wait by it. */

static long long asked[8];
static int waitCount;

static void noteWait(long long microseconds) {
    asked[waitCount++ % 8] = microseconds;
}

/* As usual, the kernel ends the wait later by the slack. */
static void noteLateWait(long long microseconds) {
    noteWait(microseconds);
    advanceClock(50);
}

static void addWithSlack(int nanoseconds, int milliseconds, void (*watcher)(long long)) {
    if (!backendIs("epoll") || !countsMicroseconds()) SKIP("this backend has no epoll_pwait2");
    deleteLoop();
    setTimerSlack(nanoseconds);
    loop = aeCreateEventLoop(SETSIZE);
    add(milliseconds, onTime, "A");
    waitCount = 0;
    watchWaits(watcher);
}

/* For a timer the loop makes a first wait, and another of `rest` unless that is 0; both end as
 * early as possible. */
static void assertAsks(int nanoseconds, int milliseconds, long long first, long long rest) {
    addWithSlack(nanoseconds, milliseconds, noteWait);
    uint64_t before = clockNow();
    assert_int_equal(iterate(), 1);
    assertJournal("A");
    assert_int_equal(waitCount, rest ? 2 : 1);
    assert_int_equal(asked[0], first);
    if (rest) assert_int_equal(asked[1], rest);
    assert_int_equal(clockNow() - before, (uint64_t)milliseconds * 1000);
}

TEST(a_wait_that_lasts_longer_by_the_timer_slack_ends_at_the_deadline) {
    addWithSlack(50000, 10, noteLateWait);
    uint64_t before = clockNow();
    assert_int_equal(iterate(), 1);
    assertJournal("A");
    assert_int_equal(waitCount, 1);
    assert_int_equal(asked[0], 9950);
    assert_int_equal(clockNow() - before, 10000);
}

TEST(a_wait_that_ends_within_the_timer_slack_continues_to_the_deadline) {
    assertAsks(50000, 10, 9950, 50);
}

TEST(a_wait_no_longer_than_the_timer_slack_is_not_shortened) {
    addWithSlack(50000, 10, noteWait);
    advanceClock(9950);
    assert_int_equal(iterate(), 1);
    assert_int_equal(waitCount, 1);
    assert_int_equal(asked[0], 50);
}

TEST(the_shortest_wait_without_the_timer_slack_is_one_microsecond) {
    addWithSlack(50000, 10, noteWait);
    advanceClock(9949);
    assert_int_equal(iterate(), 1);
    assert_int_equal(waitCount, 2);
    assert_int_equal(asked[0], 1);
    assert_int_equal(asked[1], 50);
}

TEST(a_long_wait_is_shortened_by_a_thousandth) {
    assertAsks(50000, 2000, 1998000, 2000);
}

TEST(a_very_long_wait_is_shortened_by_a_tenth_of_a_second) {
    assertAsks(50000, 3600000, 3599900000, 100000);
}

TEST(less_timer_slack_than_usual_is_subtracted) {
    assertAsks(20999, 10, 9980, 20);
}

TEST(a_thousandth_is_subtracted_though_the_timer_slack_is_a_nanosecond) {
    assertAsks(1, 10, 9990, 10);
}

/* As for real-time threads. */
TEST(without_timer_slack_waits_are_not_shortened) {
    assertAsks(0, 2000, 2000000, 0);
}

TEST(with_more_timer_slack_than_usual_waits_are_not_shortened) {
    assertAsks(50001, 2000, 2000000, 0);
}

TEST(with_an_unknown_timer_slack_waits_are_not_shortened) {
    assertAsks(-1, 2000, 2000000, 0);
}

TEST(a_signal_in_the_rest_of_a_wait_ends_it_with_no_events) {
    addWithSlack(50000, 10, noteWait);
    failNth(PRECISE_WAIT, 2, EINTR);
    assert_int_equal(iterate(), 0);
    assertJournal("");
    assert_true(hasFailed());
    assert_int_equal(iterate(), 1);
    assertJournal("A");
}

TEST(a_refusal_in_the_rest_of_a_wait_does_not_restart_the_wait) {
    addWithSlack(50000, 10, noteWait);
    uint64_t before = clockNow();
    failNth(PRECISE_WAIT, 2, ENOSYS);
    assert_int_equal(iterate(), 0);
    assert_true(hasFailed());
    assert_int_equal(clockNow() - before, 9950);
    assert_int_equal(iterate(), 1);
    assertJournal("A");
    assert_int_equal(lastTimeout(), 1000);
}

TEST(a_refusal_of_any_kind_in_the_rest_of_a_wait_ends_it) {
    addWithSlack(50000, 10, noteWait);
    failNth(PRECISE_WAIT, 2, EACCES);
    assert_int_equal(iterate(), 0);
    assert_true(hasFailed());
    forgetCalls();
    assert_int_equal(iterate(), 1);
    assertJournal("A");
    assert_int_equal(callsOf(PRECISE_WAIT), 0);
    assert_int_equal(lastTimeout(), 1000);
}

static int lateFd;

static void writeInTheRest(long long microseconds) {
    noteWait(microseconds);
    if (waitCount == 2) sendByte(lateFd);
}

TEST(an_fd_that_gets_ready_in_the_rest_of_a_wait_is_served) {
    addWithSlack(50000, 10, writeInTheRest);
    Pipe pipe = newPipe();
    lateFd = pipe.in;
    assert_int_equal(aeCreateFileEvent(loop, pipe.out, AE_READABLE, onRead, "B"), AE_OK);
    assert_int_equal(iterate(), 1);
    assertJournal("B.read");
    assert_int_equal(asked[1], 50);
}

TEST(a_timer_of_ten_seconds_needs_one_wait) {
    add(10000, onTime, "A");
    assert_int_equal(iterate(), 1);
    assertJournal("A");
    assert_int_equal(callsOf(WAIT), 1);
    assert_int_equal(lastTimeout(), 10000000);
}

TEST(any_timer_up_to_weeks_needs_one_wait_whenever_it_is_set) {
    for (int i = 0; i < 500; i++) {
        long long delay = (long long)(randomBits() >> (34 + randomBelow(30)));
        setClock(1000 + randomBelow(1 << 30), randomBelow(1000000000));
        add(delay, onTime, "A");
        forgetCalls();
        assert_int_equal(iterate(), 1);
        assert_int_equal(callsOf(WAIT), 1);
        assertJournal("A");
    }
}

TEST(without_timers_the_wait_has_no_limit) {
    assert_int_equal(iterate(), 0);
    assert_int_equal(callsOf(WAIT), 1);
    assert_int_equal(lastTimeout(), NO_TIMEOUT);
}

TEST(a_deleted_timer_does_not_wake_the_loop) {
    long long near = add(10, neverTime, NULL);
    add(5000, onTime, "A");
    aeDeleteTimeEvent(loop, near);
    assert_int_equal(iterate(), 1);
    assert_int_equal(callsOf(WAIT), 1);
    assert_int_equal(lastTimeout(), 5000000);
    assertJournal("A");
}

TEST(a_deleted_timer_that_awaits_its_finalizer_does_not_wake_the_loop) {
    aeDeleteTimeEvent(loop, addWithFinalizer(10, neverTime, "A"));
    iterate();
    assert_int_equal(lastTimeout(), NO_TIMEOUT);
    assertJournal("~A");
}

TEST(a_timer_created_nearer_than_all_others_shortens_the_wait) {
    add(100000, neverTime, NULL);
    failNth(WAIT, 1, EINTR);
    assert_int_equal(iterate(), 0);
    assert_int_equal(lastTimeout(), 100000000);
    add(50, onTime, "A");
    assert_int_equal(iterate(), 1);
    assert_int_equal(lastTimeout(), 50000);
    assertJournal("A");
}

TEST(a_timer_created_right_after_a_nearer_one_was_deleted_is_waited_for_itself) {
    add(90, onTime, "A");
    aeDeleteTimeEvent(loop, add(10, neverTime, NULL));
    add(70, onTime, "B");
    assert_int_equal(iterate(), 1);
    assert_int_equal(lastTimeout(), 70000);
    assertJournal("B");
    aeDeleteTimeEvent(loop, add(10, neverTime, NULL));
    aeDeleteTimeEvent(loop, add(10, neverTime, NULL));
    assert_int_equal(iterate(), 1);
    assert_int_equal(lastTimeout(), 20000);
    assertJournal("A");
}

TEST(fault_3_after_all_timers_were_deleted_a_blocking_iteration_blocks) {
    for (int i = 0; i < 100; i++) add(i * i, neverTime, NULL);
    for (int i = 0; i < 100; i++) assert_int_equal(aeDeleteTimeEvent(loop, i), AE_OK);
    assert_int_equal(iterate(), 0);
    assert_int_equal(lastTimeout(), NO_TIMEOUT);
    assert_int_equal(iterate(), 0);
    assert_int_equal(lastTimeout(), NO_TIMEOUT);
    assert_null(loop->timeEventHead);
}

TEST(fault_3_after_all_timers_fired_a_blocking_iteration_blocks) {
    add(1, onTime, "A");
    iterate();
    assert_int_equal(iterate(), 0);
    assert_int_equal(lastTimeout(), NO_TIMEOUT);
}

/// The order within a pass ////////////////////////////////////////////////////////////////////////

TEST(earlier_deadlines_fire_first) {
    add(3, onTime, "C");
    add(1, onTime, "A");
    add(4, onTime, "D");
    add(0, onTime, "0");
    add(2, onTime, "B");
    advanceClock(10000);
    assert_int_equal(look(), 5);
    assertJournal("0 A B C D");
}

TEST(earlier_deadlines_fire_first_though_created_later) {
    add(10, onTime, "B");
    advanceClock(5000);
    add(4, onTime, "A");
    advanceClock(5000);
    assert_int_equal(look(), 2);
    assertJournal("A B");
}

TEST(a_deadline_that_is_a_microsecond_earlier_fires_first) {
    add(2, onTime, "B");
    advanceClock(999);
    add(1, onTime, "A");
    advanceClock(2);
    add(1, onTime, "C");
    advanceClock(10000);
    assert_int_equal(look(), 3);
    assertJournal("A B C");
}

TEST(equal_deadlines_all_fire_in_one_pass_and_once_each) {
    static int counts[1000];
    memset(counts, 0, sizeof(counts));
    for (int i = 0; i < 1000; i++) add(1, countTime, &counts[i]);
    advanceClock(999);
    assert_int_equal(look(), 0);
    advanceClock(1);
    assert_int_equal(look(), 1000);
    for (int i = 0; i < 1000; i++) assert_int_equal(counts[i], 1);
    assert_int_equal(look(), 0);
}

TEST(very_different_deadlines_fire_in_order) {
    static char names[40][4];
    static const int order[8] = {3, 7, 0, 5, 1, 6, 2, 4};
    for (int i = 0; i < 40; i++) {
        int power = order[i % 8] * 5 + i / 8; /* each of 0 to 39 once, in disorder */
        snprintf(names[power], sizeof(names[power]), "%d", power);
        add(1LL << power, onTime, names[power]);
    }
    setClock(1LL << 30, 0);
    assert_int_equal(look(), 40);
    assertJournal("0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 "
                  "30 31 32 33 34 35 36 37 38 39");
}

TEST(due_timers_are_processed_after_the_file_events) {
    add(0, onTime, "timer");
    aeCreateFileEvent(loop, newReadyPipe().out, AE_READABLE, onRead, "A");
    assert_int_equal(look(), 2);
    assertJournal("A.read timer");
}

static void createTimer(aeEventLoop *el, int fd, void *name, int mask) {
    onRead(el, fd, name, mask);
    aeDeleteFileEvent(el, fd, AE_READABLE);
    aeCreateTimeEvent(el, 0, onTime, "timer", NULL);
}

TEST(a_timer_that_a_file_handler_creates_due_fires_in_that_iteration) {
    aeCreateFileEvent(loop, newReadyPipe().out, AE_READABLE, createTimer, "A");
    assert_int_equal(look(), 2);
    assertJournal("A.read timer");
}

static void deleteTimer0(aeEventLoop *el, int fd, void *name, int mask) {
    onRead(el, fd, name, mask);
    assert_int_equal(aeDeleteTimeEvent(el, 0), AE_OK);
}

TEST(a_file_handler_that_deletes_a_due_timer_cancels_it) {
    addWithFinalizer(0, neverTime, "timer");
    aeCreateFileEvent(loop, newReadyPipe().out, AE_READABLE, deleteTimer0, "A");
    assert_int_equal(look(), 1);
    assertJournal("A.read ~timer");
}

/// Repeating //////////////////////////////////////////////////////////////////////////////////////

TEST(the_handlers_return_value_is_the_time_to_the_next_firing) {
    add(1, onTimeIn10, "A");
    for (int i = 0; i < 4; i++) {
        assert_int_equal(iterate(), 1);
        assert_int_equal(lastTimeout(), i == 0 ? 1000 : 10000);
    }
    assertJournal("A A A A");
}

static int workFor5(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    advanceClock(5000);
    return 10;
}

TEST(the_time_to_the_next_firing_counts_from_the_return_of_the_handler) {
    add(0, workFor5, "A");
    look();
    advanceClock(9999);
    assert_int_equal(look(), 0);
    advanceClock(1);
    assert_int_equal(look(), 1);
}

TEST(a_repeating_timer_keeps_its_id) {
    long long id = add(0, onTimeIn10, "A");
    look();
    assert_int_equal(loop->timeEventHead->id, id);
    assert_int_equal(aeDeleteTimeEvent(loop, id), AE_OK);
    advanceClock(100000);
    assert_int_equal(look(), 0);
}

TEST(returning_0_means_again_in_the_next_iteration) {
    add(0, onTimeAtOnce, "A");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(iterate(), 1);
        assert_int_equal(lastTimeout(), 0);
        assertJournal("A");
    }
}

static int workAtOnce(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    advanceClock(5000);
    return 0;
}

TEST(returning_0_never_fires_twice_in_a_pass_though_time_passes) {
    add(0, workAtOnce, "A");
    add(0, workAtOnce, "A");
    assert_int_equal(look(), 2);
    assertJournal("A A");
    assert_int_equal(look(), 2);
}

static int workLongerThanTheAnswer(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    if (strcmp(name, "slow") == 0) advanceClock(50000);
    return 1;
}

TEST(a_timer_due_again_by_the_end_of_the_pass_waits_for_the_next) {
    add(0, workLongerThanTheAnswer, "quick");
    advanceClock(1000);
    add(0, workLongerThanTheAnswer, "slow");
    assert_int_equal(look(), 2);
    assertJournal("quick slow");
    assert_int_equal(look(), 1);
    assertJournal("quick");
}

/// Many passes in one microsecond /////////////////////////////////////////////////////////////////

/* The loop distinguishes 512 passes in a microsecond. A pass reads the clock, which takes longer
 * than a 512th of a microsecond, so only a frozen clock shows what happens after them. */
enum { TOLD_APART = 512 };

static int countAtOnce(aeEventLoop *el, long long id, void *count) {
    (void)el, (void)id;
    ++*(int *)count;
    return 0;
}

/* Fires a timer that returns 0 in each of this many passes. */
static void passWith(int *count, int passes) {
    *count = 0;
    for (int i = 0; i < passes; i++) {
        assert_int_equal(look(), 1);
        assert_int_equal(*count, i + 1);
    }
}

TEST(returning_0_fires_once_in_each_of_512_passes_in_a_microsecond) {
    int count;
    add(0, countAtOnce, &count);
    passWith(&count, TOLD_APART);
}

TEST(returning_0_waits_for_the_next_microsecond_after_512_passes_in_one) {
    int count;
    add(0, countAtOnce, &count);
    for (int i = 0; i < 3; i++) {
        passWith(&count, TOLD_APART);
        for (int pass = TOLD_APART; pass < 1000; pass++) assert_int_equal(look(), 0);
        assert_int_equal(count, TOLD_APART);
        advanceClock(1);
    }
    passWith(&count, TOLD_APART);
    uint64_t before = clockNow();
    assert_int_equal(iterate(), 1);
    assert_int_equal(lastTimeout(), countsMicroseconds() ? 1 : 1000);
    assert_int_equal(clockNow() - before, countsMicroseconds() ? 1 : 1000);
}

TEST(a_timer_created_after_512_passes_in_a_microsecond_fires_in_the_next_one) {
    int count;
    long long id = add(0, countAtOnce, &count);
    passWith(&count, TOLD_APART);
    aeDeleteTimeEvent(loop, id);
    add(0, onTime, "A");
    add(-1, onTime, "A");
    assert_int_equal(loop->timeEventHead->when, clockNow() + 1);
    assert_int_equal(look(), 0);
    advanceClock(1);
    assert_int_equal(look(), 2);
    assertJournal("A A");
}

TEST(passes_without_a_timer_do_not_count_in_a_microsecond) {
    for (int i = 0; i < 2 * TOLD_APART; i++) look();
    add(0, onTime, "A");
    assert_int_equal(look(), 1);
    for (int i = 0; i < 2 * TOLD_APART; i++) {
        add(0, onTime, "B");
        aeDeleteTimeEvent(loop, loop->timeEventHead->id);
        look();
    }
    add(0, onTime, "C");
    assert_int_equal(look(), 1);
    assertJournal("A C");
}

static int nestAndFireAgain(aeEventLoop *el, long long id, void *count) {
    for (int i = 0; i < 2 * TOLD_APART; i++) aeProcessEvents(el, AE_TIME_EVENTS | AE_DONT_WAIT);
    return countAtOnce(el, id, count);
}

TEST(passes_while_the_only_timer_is_running_do_not_count_in_a_microsecond) {
    int count;
    add(0, nestAndFireAgain, &count);
    passWith(&count, TOLD_APART);
}

static int fillMicrosecond(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    for (int i = 0; i < 2 * TOLD_APART; i++) aeProcessEvents(el, AE_TIME_EVENTS | AE_DONT_WAIT);
    return AE_NOMORE;
}

TEST(nested_passes_in_a_microsecond_do_not_make_a_timer_fire_twice_in_the_outer_one) {
    int count = 0;
    add(0, fillMicrosecond, "A");
    add(0, countAtOnce, &count);
    advanceClock(1);
    add(0, onTime, "B");
    look();
    assert_true(count <= TOLD_APART);
    assertJournal("A B");
    int before = count;
    look();
    assert_int_equal(count, before);
    advanceClock(1);
    assert_int_equal(look(), 1);
}

/// Other return values ////////////////////////////////////////////////////////////////////////////

static int answer;

static int answerThat(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    return answer;
}

TEST(negative_return_values_other_than_AE_NOMORE_count_as_0) {
    static const int answers[] = {-2, -3, -1000, INT_MIN};
    for (int i = 0; i < 4; i++) {
        answer = answers[i];
        long long id = add(0, answerThat, "A");
        assert_int_equal(look(), 1);
        assert_int_equal(look(), 1);
        assert_int_equal(look(), 1);
        assertJournal("A A A");
        assert_int_equal(aeDeleteTimeEvent(loop, id), AE_OK);
    }
}

TEST(the_longest_return_value_is_kept_to_the_microsecond) {
    answer = INT_MAX;
    add(0, answerThat, "A");
    look();
    assert_int_equal(iterate(), 1);
    assert_int_equal(lastTimeout(), (long long)INT_MAX * 1000);
    assertJournal("A A");
}

/// Created during a pass //////////////////////////////////////////////////////////////////////////

static int createDue(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    aeCreateTimeEvent(el, 0, onTime, "new", NULL);
    aeCreateTimeEvent(el, -5, onTime, "new", NULL);
    return AE_NOMORE;
}

TEST(a_timer_created_during_a_pass_does_not_fire_in_it) {
    add(0, createDue, "A");
    assert_int_equal(look(), 1);
    assertJournal("A");
    assert_int_equal(look(), 2);
    assertJournal("new new");
}

static int createAndWork(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    aeCreateTimeEvent(el, 1, onTime, "new", NULL);
    advanceClock(10000);
    return AE_NOMORE;
}

TEST(a_timer_created_during_a_pass_does_not_fire_in_it_though_time_passes) {
    add(0, createAndWork, "A");
    add(0, createAndWork, "A");
    assert_int_equal(look(), 2);
    assertJournal("A A");
    assert_int_equal(look(), 2);
    assertJournal("new new");
}

TEST(a_timer_created_during_a_pass_is_waited_for) {
    add(0, createAndWork, "A");
    look();
    long long id = add(5, onTime, "B");
    assert_int_equal(aeDeleteTimeEvent(loop, id), AE_OK);
    assert_int_equal(iterate(), 1);
    assert_int_equal(lastTimeout(), 0);
    assertJournal("A new");
}

static long long victim;

static int deleteAndCreate(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    assert_int_equal(aeDeleteTimeEvent(el, victim), AE_OK);
    aeCreateTimeEvent(el, 0, onTime, "new", NULL);
    return AE_NOMORE;
}

TEST(a_timer_created_during_a_pass_right_after_a_due_one_was_deleted_does_not_fire_in_it) {
    victim = add(5, neverTime, NULL);
    add(0, deleteAndCreate, "A");
    advanceClock(10000);
    assert_int_equal(look(), 1);
    assertJournal("A");
    assert_int_equal(look(), 1);
    assertJournal("new");
    assert_int_equal(look(), 0);
}

static int createAndDelete(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    long long created = aeCreateTimeEvent(el, 0, neverTime, "new", onFinalize);
    assert_int_equal(aeDeleteTimeEvent(el, created), AE_OK);
    assert_int_equal(aeDeleteTimeEvent(el, created), AE_ERR);
    return AE_NOMORE;
}

TEST(a_timer_created_and_deleted_in_one_handler_is_only_finalized) {
    add(0, createAndDelete, "A");
    assert_int_equal(look(), 1);
    look();
    assertJournal("A ~new");
    assert_null(loop->timeEventHead);
}

/// Deleting ///////////////////////////////////////////////////////////////////////////////////////

TEST(deleting_returns_AE_OK_once) {
    long long id = add(10, neverTime, NULL);
    assert_int_equal(aeDeleteTimeEvent(loop, id), AE_OK);
    assert_int_equal(aeDeleteTimeEvent(loop, id), AE_ERR);
    look();
    assert_int_equal(aeDeleteTimeEvent(loop, id), AE_ERR);
}

TEST(deleting_an_unknown_id_returns_AE_ERR) {
    add(10, onTime, "A");
    static const long long ids[] = {1,  2,         -1,        AE_DELETED_EVENT_ID, -2,
                                    64, 1LL << 32, 1LL << 62, LLONG_MAX,           LLONG_MIN};
    for (int i = 0; i < 10; i++) assert_int_equal(aeDeleteTimeEvent(loop, ids[i]), AE_ERR);
    assert_int_equal(iterate(), 1);
    assertJournal("A");
}

TEST(deleting_in_a_new_loop_returns_AE_ERR) {
    assert_int_equal(aeDeleteTimeEvent(loop, 0), AE_ERR);
    assert_int_equal(aeDeleteTimeEvent(loop, -1), AE_ERR);
}

TEST(deleting_in_a_new_loop_whose_next_id_was_raised_returns_AE_ERR) {
    loop->timeEventNextId = 1000;
    assert_int_equal(aeDeleteTimeEvent(loop, 1), AE_ERR);
    assert_int_equal(errno, ENOENT);
}

TEST(deleting_a_timer_that_has_fired_returns_AE_ERR) {
    long long id = addWithFinalizer(0, onTime, "A");
    look();
    assert_int_equal(aeDeleteTimeEvent(loop, id), AE_ERR);
    look();
    assertJournal("A ~A");
}

TEST(a_deleted_timer_never_fires) {
    long long id = add(1, neverTime, NULL);
    add(1, onTime, "A");
    aeDeleteTimeEvent(loop, id);
    advanceClock(10000);
    assert_int_equal(look(), 1);
    assertJournal("A");
}

static long long victim;
static int expected;

static int deleteVictim(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    assert_int_equal(aeDeleteTimeEvent(el, victim), expected);
    return AE_NOMORE;
}

TEST(deleting_a_due_timer_in_a_handler_cancels_it) {
    addWithFinalizer(0, deleteVictim, "A");
    advanceClock(2000);
    victim = addWithFinalizer(0, neverTime, "B");
    expected = AE_OK;
    assert_int_equal(look(), 1);
    look();
    assert_int_equal(strlen("A ~A ~B"), strlen(takeJournal()));
    assert_null(loop->timeEventHead);
}

static int deleteAllOthers(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    for (long long other = 0; other < 200; other++)
        if (other != id) assert_int_equal(aeDeleteTimeEvent(el, other), AE_OK);
    return AE_NOMORE;
}

TEST(whichever_of_many_due_timers_fires_first_can_cancel_all_others) {
    for (int i = 0; i < 200; i++) add(i % 3, deleteAllOthers, "A");
    advanceClock(10000);
    assert_int_equal(look(), 1);
    assertJournal("A");
    look();
    assert_null(loop->timeEventHead);
}

TEST(a_handler_can_delete_a_timer_that_fired_before_it_in_the_pass) {
    victim = addWithFinalizer(0, onTimeAtOnce, "B");
    expected = AE_OK;
    advanceClock(2000);
    add(0, deleteVictim, "A");
    assert_int_equal(look(), 2);
    assert_int_equal(look(), 0);
    assertJournal("B A ~B");
}

TEST(a_handler_cannot_delete_a_timer_that_ended_before_it_in_the_pass) {
    victim = addWithFinalizer(0, onTime, "B");
    expected = AE_ERR;
    advanceClock(2000);
    add(0, deleteVictim, "A");
    assert_int_equal(look(), 2);
    look();
    assert_int_equal(strlen("B A ~B"), strlen(takeJournal()));
}

static int deleteItself(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    assert_int_equal(aeDeleteTimeEvent(el, id), AE_OK);
    assert_int_equal(aeDeleteTimeEvent(el, id), AE_ERR);
    return answer;
}

TEST(a_timer_that_deletes_itself_does_not_fire_again_whatever_it_returns) {
    static const int answers[] = {AE_NOMORE, 0, 1, -5, INT_MAX};
    for (int i = 0; i < 5; i++) {
        answer = answers[i];
        addWithFinalizer(0, deleteItself, "A");
        assert_int_equal(look(), 1);
        advanceClock(10000);
        assert_int_equal(look(), 0);
        assertJournal("A ~A");
        assert_null(loop->timeEventHead);
    }
}

static int deleteItselfAndTheDeleted(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    assert_int_equal(aeDeleteTimeEvent(el, id), AE_OK);
    assert_int_equal(aeDeleteTimeEvent(el, AE_DELETED_EVENT_ID), AE_ERR);
    assert_int_equal(errno, ENOENT);
    return AE_NOMORE;
}

TEST(AE_DELETED_EVENT_ID_is_no_timers_id_even_in_a_timer_that_deleted_itself) {
    add(0, deleteItselfAndTheDeleted, "A");
    assert_int_equal(look(), 1);
    assertJournal("A");
}

static int replaceItself(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    aeDeleteTimeEvent(el, id);
    assert_int_equal(aeCreateTimeEvent(el, 0, onTime, "B", onFinalize), id + 1);
    return 0;
}

TEST(a_timer_that_deletes_itself_may_create_its_successor) {
    addWithFinalizer(0, replaceItself, "A");
    assert_int_equal(look(), 1);
    assertJournal("A ~A");
    assert_int_equal(look(), 1);
    assertJournal("B ~B");
}

static int recreateUntil1000(aeEventLoop *el, long long id, void *clientData) {
    if (id < 1000)
        assert_int_equal(aeCreateTimeEvent(el, 0, recreateUntil1000, clientData, NULL), id + 1);
    return AE_NOMORE;
}

TEST(memory_does_not_grow_with_timers_that_have_ended) {
    add(0, recreateUntil1000, NULL);
    look();
    int before = liveBlocks();
    for (int i = 0; i < 1000; i++) {
        advanceClock(1);
        look();
    }
    assert_int_equal(liveBlocks(), before);
    assert_null(loop->timeEventHead);
}

TEST(memory_does_not_grow_with_timers_that_were_deleted) {
    for (int i = 0; i < 10; i++) aeDeleteTimeEvent(loop, add(1000, neverTime, NULL));
    look();
    int before = liveBlocks();
    for (int i = 0; i < 10000; i++) {
        aeDeleteTimeEvent(loop, addWithFinalizer(i, neverTime, "A"));
        look();
        takeJournal();
    }
    assert_int_equal(liveBlocks(), before);
}

/// Finalizers /////////////////////////////////////////////////////////////////////////////////////

TEST(the_finalizer_is_called_once_after_AE_NOMORE) {
    addWithFinalizer(0, onTime, "A");
    look();
    look();
    assertJournal("A ~A");
    deleteLoop();
    assertJournal("");
}

TEST(the_finalizer_is_not_called_inside_aeDeleteTimeEvent) {
    long long id = addWithFinalizer(0, neverTime, "A");
    aeDeleteTimeEvent(loop, id);
    assertJournal("");
    look();
    assertJournal("~A");
    look();
    assertJournal("");
}

TEST(the_finalizer_is_called_in_a_pass_though_no_timer_is_due) {
    add(100000, neverTime, NULL);
    aeDeleteTimeEvent(loop, addWithFinalizer(100, neverTime, "A"));
    aeProcessEvents(loop, AE_TIME_EVENTS | AE_DONT_WAIT);
    assertJournal("~A");
}

TEST(the_finalizer_is_not_called_between_two_firings) {
    addWithFinalizer(0, onTimeAtOnce, "A");
    look();
    look();
    assertJournal("A A");
    deleteLoop();
    assertJournal("~A");
}

static int deleteVictimAndNote(aeEventLoop *el, long long id, void *name) {
    deleteVictim(el, id, name);
    journal("done");
    return AE_NOMORE;
}

TEST(the_finalizer_of_a_timer_deleted_in_a_handler_waits_for_the_handler) {
    expected = AE_OK;
    victim = addWithFinalizer(100, neverTime, "B");
    add(0, deleteVictimAndNote, "A");
    look();
    look();
    assertJournal("A done ~B");
}

TEST(deleting_the_loop_finalizes_every_timer_once) {
    addWithFinalizer(10, neverTime, "A");                          /* not yet due */
    aeDeleteTimeEvent(loop, addWithFinalizer(10, neverTime, "A")); /* deleted */
    addWithFinalizer(0, onTimeAtOnce, "A");                        /* repeating */
    addWithFinalizer(LLONG_MAX, neverTime, "A");                   /* never due */
    add(10, neverTime, "no finalizer");
    deleteLoop();
    assertJournal("~A ~A ~A ~A");
}

TEST(deleting_the_loop_finalizes_each_of_many_timers_once) {
    enum { TIMERS = 16 * 64 - 1 }; /* all that 16 blocks have room for */
    for (int i = 0; i < TIMERS; i++) addWithFinalizer(randomBelow(1 << 30), neverTime, "A");
    deleteLoop();
    assert_int_equal(strlen(takeJournal()), 3 * TIMERS - 1);
}

static int generation;

static void finalizeAndCreate(aeEventLoop *el, void *name) {
    onFinalize(el, name);
    if (--generation > 0)
        assert_true(aeCreateTimeEvent(el, generation % 2, onTime, name, finalizeAndCreate) >= 0);
}

TEST(a_finalizer_may_create_timers) {
    generation = 3;
    aeCreateTimeEvent(loop, 0, onTime, "A", finalizeAndCreate);
    look();
    assertJournal("A ~A");
    while (loop->timeEventHead) iterate();
    assertJournal("A ~A A ~A");
}

static void finalizeAndFailToCreate(aeEventLoop *el, void *name) {
    onFinalize(el, name);
    errno = 0;
    assert_int_equal(aeCreateTimeEvent(el, 0, neverTime, name, finalizeAndFailToCreate), AE_ERR);
    assert_int_equal(errno, ECANCELED);
}

TEST(creating_a_timer_while_the_loop_is_deleted_is_ECANCELED) {
    aeCreateTimeEvent(loop, 1000, neverTime, "A", finalizeAndFailToCreate);
    aeDeleteTimeEvent(loop, aeCreateTimeEvent(loop, 0, neverTime, "A", finalizeAndFailToCreate));
    aeCreateTimeEvent(loop, 1000, neverTime, "A", finalizeAndFailToCreate);
    deleteLoop();
    assertJournal("~A ~A ~A");
}

static void finalizeAndDelete(aeEventLoop *el, void *name) {
    onFinalize(el, name);
    assert_int_equal(aeDeleteTimeEvent(el, victim), expected);
}

static int successors;

static void leaveSuccessor(aeEventLoop *el, void *name) {
    onFinalize(el, name);
    if (successors-- > 0)
        aeDeleteTimeEvent(el, aeCreateTimeEvent(el, 10, neverTime, name, leaveSuccessor));
}

TEST(a_timer_deleted_by_a_finalizer_is_finalized_by_a_later_pass) {
    successors = 2;
    aeDeleteTimeEvent(loop, aeCreateTimeEvent(loop, 10, neverTime, "A", leaveSuccessor));
    for (int pass = 0; pass < 3; pass++) {
        look();
        assertJournal("~A");
    }
    look();
    assertJournal("");
}

TEST(a_finalizer_may_delete_another_timer) {
    expected = AE_OK;
    aeCreateTimeEvent(loop, 0, onTime, "A", finalizeAndDelete);
    victim = addWithFinalizer(50, neverTime, "B");
    look();
    look();
    assertJournal("A ~A ~B");
    assert_null(loop->timeEventHead);
}

TEST(deleting_the_loop_finalizes_the_one_timer_that_is_deleted_already) {
    aeDeleteTimeEvent(loop, addWithFinalizer(50, neverTime, "A"));
    assertJournal("");
    assert_non_null(loop->timeEventHead);
    deleteLoop();
    assertJournal("~A");
}

static void finalizeAndTryToDelete(aeEventLoop *el, void *name) {
    onFinalize(el, name);
    (void)aeDeleteTimeEvent(el, victim); /* which may have ended with the loop */
}

TEST(a_finalizer_may_delete_another_timer_while_the_loop_is_deleted) {
    victim = addWithFinalizer(50, neverTime, "B");
    aeDeleteTimeEvent(loop, aeCreateTimeEvent(loop, 0, neverTime, "A", finalizeAndTryToDelete));
    deleteLoop();
    assert_int_equal(strlen("~A ~B"), strlen(takeJournal()));
}

TEST(a_finalizer_cannot_delete_its_own_timer) {
    expected = AE_ERR;
    victim = aeCreateTimeEvent(loop, 0, onTime, "A", finalizeAndDelete);
    look();
    assertJournal("A ~A");
}

static void finalizeAndIterate(aeEventLoop *el, void *name) {
    onFinalize(el, name);
    aeProcessEvents(el, AE_ALL_EVENTS | AE_DONT_WAIT);
    journal("done");
}

TEST(a_nested_pass_in_a_finalizer_finalizes_the_others_and_not_it_again) {
    for (int i = 0; i < 3; i++)
        aeDeleteTimeEvent(loop, aeCreateTimeEvent(loop, 0, neverTime, "A", finalizeAndIterate));
    look();
    assertJournal("~A ~A ~A done done done");
    assert_null(loop->timeEventHead);
}

static jmp_buf wayOut;

static int leave(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    longjmp(wayOut, 1);
}

static int deleteItselfAndLeave(aeEventLoop *el, long long id, void *name) {
    assert_int_equal(aeDeleteTimeEvent(el, id), AE_OK);
    return leave(el, id, name);
}

TEST(a_loop_can_be_deleted_after_a_handler_was_left_by_longjmp) {
    addWithFinalizer(10, neverTime, "B");
    addWithFinalizer(0, leave, "A");
    if (!setjmp(wayOut)) look();
    addWithFinalizer(0, deleteItselfAndLeave, "A");
    if (!setjmp(wayOut)) look();
    takeJournal();
    deleteLoop();
    assert_int_equal(strlen("~A ~A ~B"), strlen(takeJournal()));
}

static void finalizeAndLeave(aeEventLoop *el, void *name) {
    onFinalize(el, name);
    longjmp(wayOut, 1);
}

TEST(a_loop_can_be_deleted_after_a_finalizer_was_left_by_longjmp) {
    addWithFinalizer(10, neverTime, "B");
    aeDeleteTimeEvent(loop, aeCreateTimeEvent(loop, 0, neverTime, "A", finalizeAndLeave));
    if (!setjmp(wayOut)) look();
    assertJournal("~A");
    deleteLoop();
    assertJournal("~B");
}

/// timeEventHead //////////////////////////////////////////////////////////////////////////////////

TEST(timeEventHead_is_NULL_exactly_when_no_timer_exists) {
    assert_null(loop->timeEventHead);
    long long a = add(10, onTime, "A");
    assert_non_null(loop->timeEventHead);
    long long b = add(20, onTime, "B");
    aeDeleteTimeEvent(loop, a);
    assert_non_null(loop->timeEventHead);
    assert_int_equal(loop->timeEventHead->id == b || loop->timeEventHead->id == -1, 1);
    look();
    assert_int_equal(loop->timeEventHead->id, b);
    aeDeleteTimeEvent(loop, b);
    look();
    assert_null(loop->timeEventHead);
}

TEST(timeEventHead_describes_the_timer_created_last) {
    static char names[3][2] = {"A", "B", "C"};
    const long long delays[] = {10, 0, 5};
    for (int i = 0; i < 3; i++) {
        char *data = names[i];
        long long id = aeCreateTimeEvent(loop, delays[i], neverTime, data, i ? onFinalize : NULL);
        assert_int_equal(loop->timeEventHead->id, id);
        assert_int_equal(loop->timeEventHead->when, clockNow() + (uint64_t)delays[i] * 1000);
        assert_true(loop->timeEventHead->timeProc == neverTime);
        assert_true(loop->timeEventHead->finalizerProc == (i ? onFinalize : NULL));
        assert_ptr_equal(loop->timeEventHead->clientData, data);
        advanceClock(1);
    }
    assert_int_equal(aeDeleteTimeEvent(loop, 0), AE_OK);
    assert_int_equal(loop->timeEventHead->id, 2);
    assert_int_equal(aeDeleteTimeEvent(loop, 1), AE_OK);
    assert_int_equal(aeDeleteTimeEvent(loop, 2), AE_OK);
    look();
    assertJournal("~B ~C");
}

TEST(the_id_of_timeEventHead_is_AE_DELETED_EVENT_ID_after_the_timer_created_last_has_ended) {
    add(1000, neverTime, NULL);
    aeDeleteTimeEvent(loop, add(5, neverTime, NULL));
    assert_int_equal(loop->timeEventHead->id, AE_DELETED_EVENT_ID);
    add(5, onTime, "A");
    assert_int_equal(loop->timeEventHead->id, 2);
    advanceClock(5000);
    look();
    assert_int_equal(loop->timeEventHead->id, AE_DELETED_EVENT_ID);
    add(0, deleteItself, "B");
    look();
    assert_int_equal(loop->timeEventHead->id, AE_DELETED_EVENT_ID);
    assert_int_equal(aeDeleteTimeEvent(loop, AE_DELETED_EVENT_ID), AE_ERR);
}

TEST(timeEventHead_is_not_NULL_until_a_deleted_timer_is_finalized) {
    aeDeleteTimeEvent(loop, addWithFinalizer(10, neverTime, "A"));
    assert_non_null(loop->timeEventHead);
    assert_int_equal(loop->timeEventHead->id, AE_DELETED_EVENT_ID);
    look();
    assertJournal("~A");
    assert_null(loop->timeEventHead);
}

TEST(timeEventHead_is_NULL_after_the_last_timer_fired) {
    add(0, onTime, "A");
    addWithFinalizer(0, onTime, "A");
    look();
    assert_null(loop->timeEventHead);
}

static int assertThereIsAHead(aeEventLoop *el, long long id, void *name) {
    assert_non_null(el->timeEventHead);
    assert_int_equal(el->timeEventHead->id, id);
    return onTime(el, id, name);
}

TEST(timeEventHead_is_not_NULL_while_the_only_timer_runs) {
    add(0, assertThereIsAHead, "A");
    look();
    assertJournal("A");
    assert_null(loop->timeEventHead);
}

static int createAndAssertHead(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    aeDeleteTimeEvent(el, id);
    aeCreateTimeEvent(el, 5, onTime, "new", NULL);
    assert_non_null(el->timeEventHead);
    return AE_NOMORE;
}

TEST(timeEventHead_is_the_timer_that_a_handler_created_when_no_other_is_left) {
    add(0, createAndAssertHead, "A");
    look();
    assert_non_null(loop->timeEventHead);
    assert_int_equal(loop->timeEventHead->id, 1);
    iterate();
    assert_null(loop->timeEventHead);
}

TEST(timeEventHead_is_NULL_only_after_the_last_of_many_in_any_order) {
    for (int round = 0; round < 50; round++) {
        long long first = loop->timeEventNextId, ids[30];
        for (int i = 0; i < 30; i++) ids[i] = first + i;
        for (int i = 0; i < 30; i++) add(randomBelow(1 << (3 * (i % 10))), onTime, "A");
        for (int left = 30; left > 0; left--) {
            assert_non_null(loop->timeEventHead);
            int chosen = randomBelow(left);
            assert_int_equal(aeDeleteTimeEvent(loop, ids[chosen]), AE_OK);
            ids[chosen] = ids[left - 1];
        }
        aeProcessEvents(loop, AE_TIME_EVENTS | AE_DONT_WAIT);
        assert_null(loop->timeEventHead);
    }
}

/// Nested iterations //////////////////////////////////////////////////////////////////////////////

static int nestOnce(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    advanceClock(20000);
    aeProcessEvents(el, AE_ALL_EVENTS | AE_DONT_WAIT);
    journal("back");
    return 0;
}

TEST(a_nested_pass_does_not_run_the_timer_that_is_running) {
    add(0, nestOnce, "A");
    assert_int_equal(look(), 1);
    assertJournal("A back");
    assert_int_equal(look(), 1);
    assertJournal("A back");
}

TEST(a_nested_pass_runs_the_other_timers) {
    add(0, nestOnce, "A");
    add(10, onTime, "B");
    assert_int_equal(look(), 1);
    assertJournal("A B back");
}

TEST(timers_of_the_outer_pass_that_a_nested_one_fired_do_not_fire_twice) {
    add(0, nestOnce, "A");
    advanceClock(2000);
    addWithFinalizer(0, onTime, "B");
    addWithFinalizer(0, onTime, "B");
    look();
    assertJournal("A B B ~B ~B back");
    look();
    assertJournal("A back");
}

static int deleteItselfAndNest(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    assert_int_equal(aeDeleteTimeEvent(el, id), AE_OK);
    aeProcessEvents(el, AE_ALL_EVENTS | AE_DONT_WAIT);
    aeProcessEvents(el, AE_ALL_EVENTS | AE_DONT_WAIT);
    journal("back");
    return answer;
}

TEST(a_timer_that_deletes_itself_is_not_finalized_under_a_nested_pass) {
    for (answer = AE_NOMORE; answer <= 1; answer++) {
        addWithFinalizer(0, deleteItselfAndNest, "A");
        look();
        look();
        assertJournal("A back ~A");
        assert_null(loop->timeEventHead);
    }
}

static int nestThenEnd(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    aeProcessEvents(el, AE_ALL_EVENTS | AE_DONT_WAIT);
    journal("back");
    return answer;
}

TEST(a_timer_deleted_by_another_in_a_nested_pass_is_finalized_after_it_returned) {
    for (answer = AE_NOMORE; answer <= 1; answer++) {
        victim = addWithFinalizer(0, nestThenEnd, "A");
        expected = AE_OK;
        advanceClock(2000);
        add(0, deleteVictim, "B");
        assert_int_equal(look(), 1);
        assert_int_equal(look(), 0);
        assertJournal("A B back ~A");
        assert_null(loop->timeEventHead);
    }
}

static int nestToDepth3(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    aeProcessEvents(el, AE_TIME_EVENTS | AE_DONT_WAIT);
    journal("back");
    return AE_NOMORE;
}

TEST(passes_may_nest_to_any_depth) {
    for (int i = 0; i < 3; i++) {
        addWithFinalizer(0, nestToDepth3, i == 0 ? "A" : i == 1 ? "B" : "C");
        advanceClock(2000);
    }
    assert_int_equal(look(), 1);
    assertJournal("A B C back ~C back ~B back ~A");
    assert_null(loop->timeEventHead);
}

static int nestAtOnce(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    aeProcessEvents(el, AE_TIME_EVENTS | AE_DONT_WAIT);
    journal("back");
    return AE_NOMORE;
}

TEST(returning_0_in_a_nested_pass_does_not_mean_again_in_the_outer_one) {
    add(0, nestAtOnce, "A");
    advanceClock(2000);
    add(0, onTimeAtOnce, "B");
    assert_int_equal(look(), 1);
    assertJournal("A B back");
    assert_int_equal(look(), 1);
    assertJournal("B");
}

TEST(a_timer_created_in_a_nested_pass_does_not_fire_in_the_outer_one) {
    add(0, nestAtOnce, "A");
    advanceClock(2000);
    add(0, createDue, "B");
    assert_int_equal(look(), 1);
    assertJournal("A B back");
    assert_int_equal(look(), 2);
    assertJournal("new new");
}

static int createDueThenNest(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    aeCreateTimeEvent(el, 0, onTime, "new", NULL);
    aeProcessEvents(el, AE_TIME_EVENTS | AE_DONT_WAIT);
    journal("back");
    return AE_NOMORE;
}

TEST(a_nested_pass_fires_a_due_timer_that_the_outer_handler_has_created) {
    add(0, createDueThenNest, "A");
    assert_int_equal(look(), 1);
    assertJournal("A new back");
}

static int nestWaiting(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    aeProcessEvents(el, AE_TIME_EVENTS);
    journal("back");
    return 0;
}

TEST(a_nested_wait_does_not_count_the_running_timer) {
    add(0, nestWaiting, "A");
    add(30, onTime, "B");
    look();
    assert_int_equal(lastTimeout(), 30000);
    assertJournal("A B back");
}

TEST(a_nested_wait_with_no_other_timer_has_no_limit) {
    add(0, nestWaiting, "A");
    look();
    assert_int_equal(lastTimeout(), NO_TIMEOUT);
    assertJournal("A back");
}

static int createThenNest(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    aeCreateTimeEvent(el, 10, onTime, "new", onFinalize);
    aeProcessEvents(el, AE_TIME_EVENTS);
    journal("back");
    return AE_NOMORE;
}

TEST(a_nested_wait_counts_a_timer_that_the_handler_has_created) {
    add(0, createThenNest, "A");
    look();
    assert_int_equal(lastTimeout(), 10000);
    assertJournal("A new ~new back");
}

/// Fault 9: time saturates ////////////////////////////////////////////////////////////////////////

TEST(fault_9_LLONG_MAX_milliseconds_never_fire) {
    add(LLONG_MAX, neverTime, NULL);
    assert_int_equal(look(), 0);
    assert_true(loop->timeEventHead->when > clockNow());
    setClock(60LL * 365 * 86400, 0); /* in 60 years: time_t may have 32 bits */
    assert_int_equal(look(), 0);
}

TEST(fault_9_no_long_time_overflows) {
    static const long long delays[] = {LLONG_MAX,
                                       LLONG_MAX - 1,
                                       LLONG_MAX / 1000,
                                       LLONG_MAX / 1000 + 1,
                                       LLONG_MAX / 1000 * 2,
                                       LLONG_MAX / 1000 * 2 + 1,
                                       LLONG_MAX / 1000 * 2 + 10,
                                       LLONG_MAX / 1000000,
                                       INT_MAX,
                                       INT_MAX + 1LL,
                                       UINT_MAX,
                                       UINT_MAX + 1LL};
    for (int i = 0; i < 12; i++) add(delays[i], neverTime, NULL);
    assert_int_equal(look(), 0);
    advanceClock(1000000LL * INT_MAX / 1000 - 1);
    assert_int_equal(look(), 0);
}

TEST(fault_9_deadlines_are_exact_up_to_2_to_the_52_microseconds_and_saturate_there) {
    const uint64_t last = (1ULL << 52) - 2;
    const long long longest = (long long)((last - clockNow()) / 1000);
    for (long long delay = longest - 2; delay <= longest + 2; delay++) {
        uint64_t exact = clockNow() + (uint64_t)delay * 1000;
        add(delay, neverTime, NULL);
        assert_int_equal(loop->timeEventHead->when, exact < last ? exact : last);
    }
    add(LLONG_MAX, neverTime, NULL);
    assert_int_equal(loop->timeEventHead->when, last);
}

TEST(fault_9_the_wait_for_a_deadline_that_is_never_reached_has_a_valid_timeout) {
    add(LLONG_MAX, neverTime, NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(iterate(), 0);
        assert_true(lastTimeout() == NO_TIMEOUT || lastTimeout() >= 1000LL * 1000000);
        assert_true(lastTimeout() <= INT_MAX * 1000LL);
    }
    freezeClock();
    add(1, onTime, "A");
    iterate();
    assertJournal("A");
}

TEST(fault_9_a_timer_of_half_a_year_fires_after_few_waits) {
    add(182LL * 86400 * 1000, onTime, "A");
    uint64_t start = clockNow();
    while (iterate() == 0) continue;
    assertJournal("A");
    assert_int_equal(clockNow() - start, 182ULL * 86400 * 1000000);
    assert_in_range(callsOf(WAIT), 1, 10);
}

TEST(fault_9_negative_milliseconds_are_due_at_once) {
    static const long long delays[] = {-1, -2, -1000, LLONG_MIN / 1000, LLONG_MIN + 1, LLONG_MIN};
    for (int i = 0; i < 6; i++) {
        add(delays[i], onTime, "A");
        assert_int_equal(iterate(), 1);
        assert_int_equal(lastTimeout(), 0);
        assertJournal("A");
    }
}

TEST(fault_9_timers_work_with_a_very_late_clock) {
    setClock(60LL * 365 * 86400, 999999999); /* 60 years: time_t may have 32 bits */
    add(LLONG_MAX, neverTime, NULL);
    add(3, onTime, "A");
    assert_int_equal(iterate(), 1);
    assertJournal("A");
}

/// Against a model ////////////////////////////////////////////////////////////////////////////////

/* The expected state of each timer, by its id; the loop must agree after every step. */
enum { MOST_TIMERS = 40000 };
typedef struct {
    uint64_t when;
    bool alive, firedInPass;
    int finalized;
} Model;
static Model model[MOST_TIMERS];
static int modelCount, modelAlive, modelGraves;
static uint64_t passLatest;

static void modelFinalize(aeEventLoop *el, void *clientData) {
    (void)el;
    Model *timer = clientData;
    assert_false(timer->alive);
    assert_int_equal(timer->finalized++, 0);
    modelGraves--;
}

/* Mostly short, sometimes very long. */
static long long randomDelay(void) {
    return (long long)(randomBits() >> (20 + randomBelow(44)));
}

static int modelFire(aeEventLoop *el, long long id, void *clientData);

static void modelCreate(void) {
    if (modelCount == MOST_TIMERS) return;
    long long delay = randomDelay();
    Model *timer = &model[modelCount];
    *timer = (Model){clockNow() + (uint64_t)delay * 1000, true, true, 0};
    assert_int_equal(aeCreateTimeEvent(loop, delay, modelFire, timer, modelFinalize), modelCount);
    modelCount++;
    modelAlive++;
}

static void modelEnd(Model *timer) {
    timer->alive = false;
    modelAlive--;
    modelGraves++;
}

static void modelDelete(void) {
    if (modelCount == 0) return;
    int id = randomBelow(modelCount);
    assert_int_equal(aeDeleteTimeEvent(loop, id), model[id].alive ? AE_OK : AE_ERR);
    if (model[id].alive) modelEnd(&model[id]);
}

static int modelFire(aeEventLoop *el, long long id, void *clientData) {
    Model *timer = clientData;
    assert_ptr_equal(el, loop);
    assert_ptr_equal(timer, &model[id]);
    assert_true(timer->alive && !timer->firedInPass && timer->when <= clockNow());
    assert_true(timer->when >= passLatest); /* in order, to the microsecond */
    passLatest = timer->when;
    timer->firedInPass = true;

    if (randomBelow(8) == 0) modelCreate();
    if (randomBelow(8) == 0) modelDelete();
    if (!timer->alive) return randomBelow(2) ? AE_NOMORE : 5;
    if (randomBelow(3) > 0) {
        modelEnd(timer);
        return AE_NOMORE;
    }
    int next = (int)(randomDelay() & INT_MAX);
    timer->when = clockNow() + (uint64_t)next * 1000;
    return next;
}

static uint64_t modelNearest(void) {
    uint64_t nearest = UINT64_MAX;
    for (int i = 0; i < modelCount; i++)
        if (model[i].alive && model[i].when < nearest) nearest = model[i].when;
    return nearest;
}

/* Runs an iteration and compares it with the model. */
static void modelIterate(bool waits) {
    uint64_t nearest = modelNearest(), before = clockNow();
    for (int i = 0; i < modelCount; i++) model[i].firedInPass = false;
    passLatest = 0;
    if (waits)
        iterate();
    else
        look();
    if (waits && nearest == UINT64_MAX) {
        assert_int_equal(lastTimeout(), NO_TIMEOUT);
    } else if (waits && nearest - before < 1000000ULL * 86400) {
        uint64_t wait = nearest > before ? nearest - before : 0;
        if (!countsMicroseconds()) wait = (wait + 999) / 1000 * 1000;
        assert_int_equal(lastTimeout(), wait);
    }
    for (int i = 0; i < modelCount; i++) /* created or fired in this pass, or not due */
        assert_true(!model[i].alive || model[i].firedInPass || model[i].when > clockNow());
    assert_int_equal(modelGraves, 0);
    assert_int_equal(loop->timeEventHead == NULL, modelAlive == 0);
}

static void startModel(void) {
    modelCount = modelAlive = modelGraves = 0;
}

static void endModel(void) {
    for (int i = 0; i < modelCount; i++)
        if (model[i].alive) modelEnd(&model[i]);
    deleteLoop();
    assert_int_equal(modelGraves, 0);
    for (int i = 0; i < modelCount; i++) assert_int_equal(model[i].finalized, 1);
}

TEST(thousands_of_timers_created_deleted_and_fired_at_random_agree_with_a_model) {
    startModel();
    for (int step = 0; step < 3000; step++) {
        int kind = randomBelow(100);
        if (kind < 45)
            for (int i = randomBelow(8); i > 0; i--) modelCreate();
        else if (kind < 70)
            for (int i = randomBelow(12); i > 0; i--) modelDelete();
        else if (kind < 90)
            modelIterate(true);
        else
            modelIterate(false);
        if (randomBelow(4) == 0) advanceClock(randomBelow(1 << randomBelow(30)));
    }
    endModel();
}

TEST(a_loop_that_empties_and_fills_again_and_again_agrees_with_a_model) {
    startModel();
    for (int round = 0; round < 150; round++) {
        for (int i = randomBelow(40); i > 0; i--) modelCreate();
        for (int i = 0; i < modelCount; i++) {
            if (!model[i].alive || randomBelow(3) > 0) continue;
            assert_int_equal(aeDeleteTimeEvent(loop, i), AE_OK);
            modelEnd(&model[i]);
        }
        for (int i = 0; i < 10; i++) modelIterate(true);
        if (round % 3) continue;
        for (int i = 0; i < modelCount; i++) {
            if (!model[i].alive) continue;
            assert_int_equal(aeDeleteTimeEvent(loop, i), AE_OK);
            modelEnd(&model[i]);
        }
        modelIterate(false);
        assert_null(loop->timeEventHead);
    }
    endModel();
}

static uint64_t latestDeadline;

static int assertOrder(aeEventLoop *el, long long id, void *when) {
    (void)el, (void)id;
    uint64_t deadline = *(uint64_t *)when;
    assert_true(deadline >= latestDeadline);
    latestDeadline = deadline;
    *(uint64_t *)when = 0;
    return AE_NOMORE;
}

TEST(ten_thousand_random_timers_fire_in_order_in_one_pass) {
    enum { TIMERS = 10000 };
    static uint64_t deadlines[TIMERS];
    int deleted = 0;
    latestDeadline = 0;
    for (int i = 0; i < TIMERS; i++) {
        long long delay = (long long)(randomBits() >> (30 + randomBelow(34)));
        deadlines[i] = clockNow() + (uint64_t)delay * 1000;
        add(delay, assertOrder, &deadlines[i]);
        advanceClock(randomBelow(3000));
    }
    for (int i = 0; i < TIMERS; i += 3, deleted++) aeDeleteTimeEvent(loop, i);
    setClock(1LL << 30, 0);
    assert_int_equal(look(), TIMERS - deleted);
    for (int i = 0; i < TIMERS; i++) assert_int_equal(deadlines[i] != 0, i % 3 == 0);
    assert_null(loop->timeEventHead);
}

/* More than two and more than three factors of 64. */
TEST(a_quarter_of_a_million_random_timers_fire_in_order_in_one_pass) {
    enum { TIMERS = 64 * 64 * 64 + 5000 };
    static uint64_t deadlines[TIMERS];
    latestDeadline = 0;
    for (int i = 0; i < TIMERS; i++) {
        long long delay = 1 + randomBelow(TIMERS);
        deadlines[i] = clockNow() + (uint64_t)delay * 1000;
        add(delay, assertOrder, &deadlines[i]);
        advanceClock(randomBelow(2));
    }
    setClock(1LL << 30, 0);
    assert_int_equal(look(), TIMERS);
    for (int i = 0; i < TIMERS; i++) assert_int_equal(deadlines[i], 0);
    assert_null(loop->timeEventHead);
}

TEST(ten_thousand_random_timers_fire_one_by_one_as_they_come_due) {
    enum { TIMERS = 10000 };
    static uint64_t deadlines[TIMERS];
    latestDeadline = 0;
    for (int i = 0; i < TIMERS; i++) {
        long long delay = randomBelow(1 << randomBelow(31));
        deadlines[i] = clockNow() + (uint64_t)delay * 1000;
        add(delay, assertOrder, &deadlines[i]);
    }
    int fired = 0;
    while (fired < TIMERS) {
        int served = iterate();
        assert_true(served > 0); /* no wait ends without a timer */
        assert_true(latestDeadline == clockNow());
        fired += served;
    }
    assert_int_equal(fired, TIMERS);
}

/// Fault 10: cost /////////////////////////////////////////////////////////////////////////////////

/* With lists each of these would take 10^10 steps or more, and the test's alarm would end it. */
enum { CROWD = 200000 };

TEST(fault_10_many_timers_are_created_and_deleted_by_id_in_time) {
    for (int i = 0; i < CROWD; i++) add(1000 + randomBelow(1 << 20), neverTime, NULL);
    for (int i = 0; i < CROWD; i++) assert_int_equal(aeDeleteTimeEvent(loop, i), AE_OK);
    look();
    assert_null(loop->timeEventHead);
    for (int i = 0; i < CROWD; i++) add(1000 + randomBelow(1 << 20), neverTime, NULL);
    for (int i = 2 * CROWD - 1; i >= CROWD; i--)
        assert_int_equal(aeDeleteTimeEvent(loop, i), AE_OK);
    look();
    assert_null(loop->timeEventHead);
}

TEST(fault_10_the_next_deadline_of_many_timers_is_found_in_time) {
    for (int i = 0; i < CROWD; i++) add(1000000 + randomBelow(1 << 20), neverTime, NULL);
    int count = 0;
    for (int i = 0; i < CROWD / 2; i++) {
        add(1, countTime, &count);
        iterate();
    }
    assert_int_equal(count, CROWD / 2);
}

TEST(fault_10_many_timers_fire_in_time) {
    int count = 0;
    for (int i = 0; i < CROWD; i++) add(randomBelow(CROWD), countTime, &count);
    while (count < CROWD) iterate();
    assert_null(loop->timeEventHead);
}
