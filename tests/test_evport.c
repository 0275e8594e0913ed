/* Faults that only the event port backend can have. The tests run on the emulation, which reports
 * the associations.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "tests/support/support.h"

#include "port_emulation.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <port.h>
#include <unistd.h>

enum { BOTH = AE_READABLE | AE_WRITABLE };

static int port(void) {
    return *(int *)loop->apidata;
}

static int setUpPort(void **state) {
    portEmulationReset();
    return setUpLoop(state);
}

/* Some releases return ETIME for a zero timeout without enough events. */
static int setUpPortOfOtherRelease(void **state) {
    portEmulationReset();
    portEmulationZeroTimeoutIsEtime(true);
    return setUpLoop(state);
}

/* Some do not change the count when there are no events. */
static int setUpPortThatLeavesCount(void **state) {
    portEmulationReset();
    portEmulationZeroTimeoutIsEtime(true);
    portEmulationLeavesCount(true);
    return setUpLoop(state);
}

/* On each of these releases. */
#define TEST(name)                                                 \
    static void name(void **state);                                \
    REGISTER(setUpPortOfOtherRelease, name, " (ETIME)", tearDown)  \
    REGISTER(setUpPortThatLeavesCount, name, " (count)", tearDown) \
    TEST_BETWEEN(setUpPort, name, tearDown)

static void add(int fd, int mask, aeFileProc *proc, void *clientData) {
    assert_int_equal(aeCreateFileEvent(loop, fd, mask, proc, clientData), AE_OK);
}

TEST(the_port_is_close_on_exec) {
    assert_int_equal(fcntl(port(), F_GETFD), FD_CLOEXEC);
}

TEST(retrieved_fds_are_associated_again_before_the_next_wait) {
    int fd = newReadyPipe().out;
    add(fd, AE_READABLE, onRead, "A");
    for (int round = 0; round < 3; round++) {
        assert_int_equal(look(), 1);
        assertJournal("A.read");
    }
}

TEST(zero_timeouts_lose_nothing) {
    int fd = newPipe().out;
    Pipe ready = newReadyPipe();
    add(fd, AE_READABLE, neverFile, NULL);
    add(ready.out, AE_READABLE, onRead, "A");
    assert_int_equal(look(), 1);
    assert_int_equal(look(), 1);
    assertJournal("A.read A.read");
    takeByte(ready.out);
    assert_int_equal(look(), 0);
}

/* Deletes the events of fd in its own handler. */
static void onceOnly(aeEventLoop *el, int fd, void *name, int mask) {
    onEither(el, fd, name, mask);
    aeDeleteFileEvent(el, fd, BOTH);
}

TEST(a_deleted_fd_is_not_associated_again) {
    int fd = newReadyPipe().out;
    add(fd, AE_READABLE, onceOnly, "A");
    assert_int_equal(look(), 1);
    add(newPipe().out, AE_READABLE, neverFile, NULL);
    assert_int_equal(look(), 0);
    assert_int_equal(portEmulationAssociated(port(), fd), -1);
    assertJournal("A:r");
}

static int replacement;

/* Deletes and closes fd, and registers another file that gets its number. */
static void replaceSelf(aeEventLoop *el, int fd, void *name, int mask) {
    onEither(el, fd, name, mask);
    aeDeleteFileEvent(el, fd, BOTH);
    replaceFd(fd, replacement);
    add(fd, AE_READABLE, onRead, "B");
}

TEST(a_number_reused_between_retrieval_and_the_next_wait_is_associated_once) {
    Pipe other = newPipe();
    int fd = newReadyPipe().out;
    replacement = other.out;
    add(fd, AE_READABLE, replaceSelf, "A");
    assert_int_equal(look(), 1);
    assertJournal("A:r");
    assert_int_equal(look(), 0);
    sendByte(other.in);
    assert_int_equal(look(), 1);
    assertJournal("B.read");
}

static void closeSelf(aeEventLoop *el, int fd, void *name, int mask) {
    onEither(el, fd, name, mask);
    shut(fd);
}

/* Redis #14162: the original aborts. */
TEST(fault_7_deleting_an_fd_that_was_closed_does_not_abort) {
    int fd = newReadyPipe().out;
    add(fd, AE_READABLE, closeSelf, "A");
    assert_int_equal(look(), 1);
    assert_int_equal(look(), 0);
    aeDeleteFileEvent(loop, fd, AE_READABLE);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_NONE);
    assert_int_equal(look(), 0);
    assertJournal("A:r");
}

TEST(fault_7_deleting_one_mask_of_a_closed_fd_does_not_abort) {
    int fd;
    newReadySocket(&fd);
    add(fd, BOTH, neverFile, NULL);
    shut(fd);
    aeDeleteFileEvent(loop, fd, AE_READABLE);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_WRITABLE);
    assert_int_equal(look(), 0);
}

TEST(fault_7_deleting_one_of_two_masks_keeps_the_other) {
    int fd;
    newReadySocket(&fd);
    add(fd, BOTH, onEither, "A");
    aeDeleteFileEvent(loop, fd, AE_READABLE);
    assert_int_equal(portEmulationAssociated(port(), fd), POLLOUT);
    assert_int_equal(look(), 1);
    assertJournal("A:w");
}

static void deleteReading(aeEventLoop *el, int fd, void *name, int mask) {
    onEither(el, fd, name, mask);
    aeDeleteFileEvent(el, fd, AE_READABLE);
}

TEST(fault_7_deleting_one_of_two_masks_in_the_handler_keeps_the_other) {
    int fd;
    newReadySocket(&fd);
    add(fd, BOTH, deleteReading, "A");
    assert_int_equal(look(), 1);
    assertJournal("A:rw");
    assert_int_equal(look(), 1);
    assertJournal("A:w");
}

/* POLLHUP alone is no registered bit. The original calls no handler, and spins. */
TEST(fault_7_an_empty_pipe_at_end_of_file_reaches_its_handler) {
    Pipe pipe = newPipe();
    add(pipe.out, AE_READABLE, onEither, "A");
    shut(pipe.in);
    assert_int_equal(look(), 1);
    assertJournal("A:rw");
}

/* The event was queued when there was a byte, which has been read since then. */
TEST(a_condition_that_has_passed_is_not_reported) {
    Pipe pipe = newReadyPipe();
    add(pipe.out, AE_READABLE, onRead, "A");
    portEmulationNotice(port());
    takeByte(pipe.out);
    assert_int_equal(look(), 0);
    sendByte(pipe.in);
    assert_int_equal(look(), 1);
    assertJournal("A.read");
}

TEST(a_signal_loses_none_of_the_events) {
    int fd = newReadyPipe().out;
    add(fd, AE_READABLE, onRead, "A");
    failNth(WAIT, 1, EINTR);
    assert_int_equal(look(), 0);
    assert_int_equal(look(), 1);
    assertJournal("A.read");
}

TEST(fault_15_an_entry_that_was_not_filled_is_no_event) {
    add(newPipe().out, AE_READABLE, neverFile, NULL);
    for (int round = 0; round < 3; round++) assert_int_equal(look(), 0);
    freezeClock();
    aeCreateTimeEvent(loop, 5, onTime, "A", NULL);
    assert_int_equal(iterate(), 1);
    assertJournal("A");
}

TEST(fault_15_an_entry_of_the_wait_before_is_no_event) {
    Pipe ready = newReadyPipe();
    add(ready.out, AE_READABLE, onRead, "A");
    assert_int_equal(look(), 1);
    assertJournal("A.read");
    takeByte(ready.out);
    assert_int_equal(look(), 0);
    assert_int_equal(look(), 0);
    aeDeleteFileEvent(loop, ready.out, AE_READABLE);
    add(newPipe().out, AE_READABLE, neverFile, NULL);
    failNth(WAIT, 1, EINTR);
    assert_int_equal(look(), 0);
    assert_int_equal(portEmulationAssociated(port(), ready.out), -1);
}

TEST(fault_15_events_that_come_with_EINTR_are_served) {
    for (int stays = 0; stays < 2; stays++) {
        Pipe first = newReadyPipe(), second = newReadyPipe();
        add(first.out, AE_READABLE, onRead, "A");
        add(second.out, AE_READABLE, onRead, "A");
        portEmulationInterruptRetrieval(stays);
        assert_int_equal(look(), 2);
        assert_int_equal(look(), 2);
        assertJournal("A.read A.read A.read A.read");
        aeDeleteFileEvent(loop, first.out, AE_READABLE);
        aeDeleteFileEvent(loop, second.out, AE_READABLE);
    }
}

TEST(a_full_port_refuses_with_EAGAIN_and_nothing_changes) {
    portEmulationLimit(1);
    add(newPipe().out, AE_READABLE, neverFile, NULL);
    int fd = newReadyPipe().out;
    assert_int_equal(aeCreateFileEvent(loop, fd, AE_READABLE, neverFile, NULL), AE_ERR);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_NONE);
    portEmulationLimit(0);
    assert_int_equal(look(), 0);
}

/* After A's event is retrieved, other fds use its room in the port. */
TEST(an_fd_that_finds_the_port_full_is_served_and_associated_later) {
    int fd = newReadyPipe().out, other = newPipe().out;
    add(fd, AE_READABLE, onRead, "A");
    assert_int_equal(look(), 1);
    portEmulationLimit(1);
    add(other, AE_READABLE, neverFile, NULL);
    assert_int_equal(look(), 1);
    assert_int_equal(portEmulationAssociated(port(), fd), -1);
    aeDeleteFileEvent(loop, other, AE_READABLE);
    assert_int_equal(look(), 1);
    assert_int_equal(portEmulationAssociated(port(), fd), -1);
    takeByte(fd);
    assert_int_equal(look(), 0);
    assert_int_equal(portEmulationAssociated(port(), fd), POLLIN);
    assertJournal("A.read A.read A.read");
}

/* Returns how long the loop slept in an iteration. */
static int slept(void) {
    uint64_t before = clockNow();
    iterate();
    return (int)(clockNow() - before);
}

TEST(an_fd_that_finds_the_port_full_is_polled_every_10_milliseconds) {
    freezeClock();
    int fd = newReadyPipe().out;
    add(fd, AE_READABLE, onRead, "A");
    assert_int_equal(look(), 1);
    failAll(CHANGE, ENOMEM);
    assert_int_equal(slept(), 0);
    takeByte(fd);
    assert_int_equal(slept(), 10 * 1000);
    aeCreateTimeEvent(loop, 3000, onTime, "late", NULL);
    assert_int_equal(slept(), 10 * 1000);
    aeCreateTimeEvent(loop, 30, onTime, "later", NULL);
    assert_int_equal(slept(), 10 * 1000);
    aeCreateTimeEvent(loop, 3, onTime, "early", NULL);
    assert_int_equal(slept(), 3 * 1000);
    aeSetDontWait(loop, 1);
    assert_int_equal(slept(), 0);
    assertJournal("A.read A.read early");
    stopFailures();
}

/* Registers fd again, while it is not in the port. */
static void onReadAgain(aeEventLoop *el, int fd, void *name, int mask) {
    onRead(el, fd, name, mask);
    add(fd, AE_READABLE, onReadAgain, name);
}

TEST(an_fd_that_is_associated_and_then_refused_is_reported_once) {
    int fd = newReadyPipe().out;
    add(fd, AE_READABLE, onReadAgain, "A");
    assert_int_equal(look(), 1);
    assert_int_equal(portEmulationAssociated(port(), fd), POLLIN);
    failNth(CHANGE, 1, ENOMEM);
    assert_int_equal(look(), 1);
    assertJournal("A.read A.read");
}

TEST(timeouts_reach_the_kernel_to_the_microsecond) {
    freezeClock();
    aeCreateTimeEvent(loop, 5, onTime, "A", NULL);
    advanceClock(1234);
    iterate();
    assert_int_equal(lastTimeout(), 3766);
    assertJournal("A");
}

TEST(more_ready_fds_than_a_batch_are_all_served) {
    enum { COUNT = 700 };
    static int counts[COUNT];
    if (roomForFds(2 * COUNT) < 2 * COUNT) SKIP("too few fds");
    deleteLoop();
    loop = aeCreateEventLoop(4 * COUNT);
    for (int i = 0; i < COUNT; i++) {
        counts[i] = 0;
        add(newReadyPipe().out, AE_READABLE, countFile, &counts[i]);
    }
    for (int round = 0; round < 4; round++) look();
    for (int i = 0; i < COUNT; i++) assert_in_range(counts[i], 1, 4);
}

enum { MORE_THAN_A_BATCH = 520, BATCH = 512 };

/* Registers `count` fds, and retrieves a batch. Returns the ends for writing. */
static const Pipe *takeOutABatch(int *counts) {
    static Pipe pipes[MORE_THAN_A_BATCH];
    deleteLoop();
    loop = aeCreateEventLoop(4 * MORE_THAN_A_BATCH);
    for (int i = 0; i < MORE_THAN_A_BATCH; i++) {
        counts[i] = 0;
        pipes[i] = newReadyPipe();
        add(pipes[i].out, AE_READABLE, countFile, &counts[i]);
    }
    assert_int_equal(look(), BATCH);
    return pipes;
}

TEST(many_fds_that_find_the_port_full_do_not_keep_others_from_being_served) {
    static int counts[MORE_THAN_A_BATCH];
    if (roomForFds(2 * MORE_THAN_A_BATCH) < 2 * MORE_THAN_A_BATCH) SKIP("too few fds");
    const Pipe *pipes = takeOutABatch(counts);
    failAll(CHANGE, EAGAIN);
    assert_int_equal(look(), MORE_THAN_A_BATCH);
    assert_int_equal(look(), MORE_THAN_A_BATCH);
    for (int i = 0; i < MORE_THAN_A_BATCH; i++) takeByte(pipes[i].out);
    assert_int_equal(look(), 0);
    stopFailures();
    assert_int_equal(look(), 0);
    for (int i = 0; i < MORE_THAN_A_BATCH; i++) sendByte(pipes[i].in);
    for (int round = 0; round < 4; round++) look();
    for (int i = 0; i < MORE_THAN_A_BATCH; i++) assert_in_range(counts[i], 3, 7);
}

TEST(without_memory_for_more_a_batch_that_finds_the_port_full_is_served) {
    static int counts[MORE_THAN_A_BATCH];
    if (roomForFds(2 * MORE_THAN_A_BATCH) < 2 * MORE_THAN_A_BATCH) SKIP("too few fds");
    const Pipe *pipes = takeOutABatch(counts);
    freezeClock();
    aeCreateTimeEvent(loop, 3, onTime, "A", NULL);
    portEmulationLimit(MORE_THAN_A_BATCH - BATCH);
    failAll(MEMORY, ENOMEM);
    int waits = callsOf(WAIT);
    assert_int_equal(look(), BATCH);
    for (int i = 0; i < MORE_THAN_A_BATCH; i++) takeByte(pipes[i].out);
    assert_int_equal(slept(), 3 * 1000);
    aeCreateTimeEvent(loop, 1, onTime, "B", NULL);
    advanceClock(999);
    assert_int_equal(slept(), 1000); /* poll counts in milliseconds, rounded up */
    assert_int_equal(slept(), 10 * 1000);
    assert_int_equal(callsOf(WAIT), waits);
    assertJournal("A B");
    stopFailures();
    portEmulationLimit(0);
    for (int i = 0; i < MORE_THAN_A_BATCH; i++) sendByte(pipes[i].in);
    for (int round = 0; round < 4; round++) look();
    for (int i = 0; i < MORE_THAN_A_BATCH; i++) assert_in_range(counts[i], 1, 6);
}
