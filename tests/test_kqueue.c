/* Faults that only the kqueue backend can have. The tests run on the emulation, which reports the
 * knotes.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "tests/support/support.h"

#include "kqueue_emulation.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/event.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BOTH = AE_READABLE | AE_WRITABLE };

static int queue(void) {
    return *(int *)loop->apidata;
}

static int setUpKqueue(void **state) {
    kqueueEmulationReset();
    return setUpLoop(state);
}

#define TEST(name) TEST_BETWEEN(setUpKqueue, name, tearDown)

static void add(int fd, int mask, aeFileProc *proc, void *clientData) {
    assert_int_equal(aeCreateFileEvent(loop, fd, mask, proc, clientData), AE_OK);
}

static void assertArmed(int fd, int reading, int writing) {
    assert_int_equal(kqueueEmulationArmed(queue(), fd, EVFILT_READ), reading);
    assert_int_equal(kqueueEmulationArmed(queue(), fd, EVFILT_WRITE), writing);
}

TEST(the_queue_is_close_on_exec) {
    assert_int_equal(fcntl(queue(), F_GETFD), FD_CLOEXEC);
}

TEST(deleting_the_loop_closes_the_queue) {
    int fd = queue();
    deleteLoop();
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

TEST(a_mask_of_both_is_one_call_and_two_filters) {
    int fd;
    newReadySocket(&fd);
    unsigned long calls = kqueueEmulationCalls();
    add(fd, BOTH, onEither, "A");
    assert_int_equal(kqueueEmulationCalls() - calls, 1);
    assertArmed(fd, 1, 1);
}

TEST(both_events_of_an_fd_become_one_entry) {
    int fd;
    newReadySocket(&fd);
    add(fd, BOTH, onEither, "A");
    assert_int_equal(look(), 1);
    assertJournal("A:rw");
}

TEST(events_of_an_fd_are_combined_in_any_order) {
    int fds[40], counts[40] = {0};
    for (int i = 0; i < 40; i++) {
        newReadySocket(&fds[i]);
        add(fds[i], BOTH, countFile, &counts[i]);
    }
    for (unsigned seed = 1; seed <= 50; seed++) {
        kqueueEmulationShuffle(seed);
        assert_int_equal(look(), 40);
        for (int i = 0; i < 40; i++) {
            assert_int_equal(counts[i], seed);
            assert_int_equal(aeGetFileEvents(loop, fds[i]), BOTH);
        }
    }
}

/* 300 fds with 600 events do not fit into a batch: the events of an fd may be in two batches. */
TEST(events_split_between_two_batches_are_served_once_each) {
    int fds[300], counts[300] = {0};
    if (roomForFds(700) < 700) SKIP("too few fds");
    for (int i = 0; i < 300; i++) {
        newReadySocket(&fds[i]);
        add(fds[i], BOTH, countFile, &counts[i]);
    }
    kqueueEmulationShuffle(7);
    for (int round = 0; round < 20; round++) look();
    for (int i = 0; i < 300; i++) assert_in_range(counts[i], 1, 20);
    assert_true(kqueueEmulationLargestBatch() <= 1024);
}

TEST(end_of_file_on_one_filter_is_reported_as_both) {
    Pipe pipe = newPipe();
    add(pipe.out, AE_READABLE, onEither, "A");
    shut(pipe.in);
    assert_int_equal(look(), 1);
    assertJournal(systemIs("netbsd") ? "A:r" : "A:rw"); /* its poll(2) does not tell them apart */
}

/* poll(2) refuses it on macOS. */
TEST(a_terminal_that_hangs_up_is_reported_to_the_reader_as_both) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    int terminal = open(ptsname(master), O_RDONLY | O_NOCTTY);
    add(terminal, AE_READABLE, onEither, "A");
    assert_int_equal(look(), 0);
    close(master);
    assert_int_equal(look(), 1);
    assertJournal(systemIs("netbsd") ? "A:r" : "A:rw");
    close(terminal);
}

/* Only one filter, on some systems. */
TEST(a_device_that_the_kernel_refuses_is_not_registered) {
    int device = open("/dev/null", O_RDWR), error = kqueueEmulationRefusal(device, EVFILT_WRITE);
    int result = aeCreateFileEvent(loop, device, BOTH, countFile, &(int){0});
    assert_int_equal(result, error ? AE_ERR : AE_OK);
    if (error) assert_int_equal(errno, error);
    assert_int_equal(aeGetFileEvents(loop, device), error ? AE_NONE : BOTH);
    assertArmed(device, !error, !error);
    close(device);
}

/* A socket that is readable and writable, with a filter for `mask`. */
static void addReady(int mask) {
    int fd;
    newReadySocket(&fd);
    add(fd, mask, onEither, "A");
}

static void assertPretended(short filter, unsigned short flags, unsigned fflags,
                            const char *expected) {
    kqueueEmulationPretend(filter, flags, fflags);
    assert_int_equal(look(), 1);
    assertJournal(expected);
}

TEST(the_end_of_input_alone_is_not_reported_to_the_reader_as_both) {
    addReady(AE_READABLE);
    assertPretended(EVFILT_READ, EV_EOF, 0, "A:r");
}

TEST(the_end_of_input_with_an_error_is_reported_to_the_reader_as_both) {
    addReady(AE_READABLE);
    assertPretended(EVFILT_READ, EV_EOF, ECONNRESET, "A:rw");
}

TEST(an_error_of_the_filter_is_reported_to_the_reader_as_both) {
    addReady(AE_READABLE);
    assertPretended(EVFILT_READ, EV_ERROR, 0, "A:rw");
}

TEST(notes_without_an_end_are_no_hang_up) {
    addReady(AE_READABLE);
    assertPretended(EVFILT_READ, 0, 1, "A:r");
}

TEST(the_end_of_output_is_reported_to_the_writer_as_both) {
    addReady(AE_WRITABLE);
    assertPretended(EVFILT_WRITE, EV_EOF, 0, "A:rw");
}

/* Each side has its own filter; here the other one reports nothing. */
TEST(the_end_of_one_side_is_not_reported_for_the_other_that_has_a_filter) {
    Pipe quiet = newPipe();
    int fds[2];
    newSocketPair(fds);
    add(quiet.out, AE_READABLE, neverFile, NULL);
    add(fds[0], BOTH, onEither, "A");
    assertPretended(EVFILT_WRITE, EV_EOF, 0, "A:w");
    fill(fds[0]);
    sendByte(fds[1]);
    assertPretended(EVFILT_READ, EV_EOF, ECONNRESET, "A:r");
}

TEST(only_a_reader_at_the_end_of_input_is_polled_and_only_once) {
    addReady(AE_READABLE);
    forgetCalls();
    look();
    assert_int_equal(callsOf(POLL), 0);
    kqueueEmulationPretend(EVFILT_READ, EV_EOF, 0);
    look();
    assert_int_equal(callsOf(POLL), 1);
    assertJournal("A:r A:r");
}

TEST(a_closed_reader_is_reported_to_the_writer_as_both) {
    Pipe pipe = newPipe();
    add(pipe.in, AE_WRITABLE, onEither, "A");
    shut(pipe.out);
    assert_int_equal(look(), 1);
    assertJournal("A:rw");
}

TEST(after_a_refused_second_filter_the_first_is_removed) {
    int fd;
    newReadySocket(&fd);
    kqueueEmulationFailAdd(EVFILT_WRITE, ENOMEM);
    assert_int_equal(aeCreateFileEvent(loop, fd, BOTH, neverFile, NULL), AE_ERR);
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_NONE);
    assertArmed(fd, 0, 0);
    assert_int_equal(look(), 0);
}

TEST(after_a_refused_first_filter_the_second_is_removed) {
    int fd;
    newReadySocket(&fd);
    kqueueEmulationFailAdd(EVFILT_READ, ENOMEM);
    assert_int_equal(aeCreateFileEvent(loop, fd, BOTH, neverFile, NULL), AE_ERR);
    assert_int_equal(errno, ENOMEM);
    assertArmed(fd, 0, 0);
}

TEST(after_a_refused_second_filter_an_earlier_first_one_remains) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_READABLE, onEither, "A");
    kqueueEmulationFailAdd(EVFILT_WRITE, ENOMEM);
    assert_int_equal(aeCreateFileEvent(loop, fd, BOTH, neverFile, NULL), AE_ERR);
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_READABLE);
    assertArmed(fd, 1, 0);
    assert_int_equal(look(), 1);
    assertJournal("A:r");
}

/* The original stops at ENOENT for the read filter, keeps the write filter, and spins. */
TEST(fault_7_deleting_both_masks_of_an_fd_that_has_one_leaves_no_filter_armed) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_WRITABLE, neverFile, NULL);
    aeDeleteFileEvent(loop, fd, BOTH);
    assertArmed(fd, 0, 0);
    add(fd, AE_READABLE, neverFile, NULL);
    aeDeleteFileEvent(loop, fd, BOTH);
    assertArmed(fd, 0, 0);
    assert_int_equal(look(), 0);
}

TEST(deleting_one_mask_disarms_one_filter) {
    int fd;
    newReadySocket(&fd);
    add(fd, BOTH, onEither, "A");
    aeDeleteFileEvent(loop, fd, AE_READABLE);
    assertArmed(fd, 0, 1);
    assert_int_equal(look(), 1);
    assertJournal("A:w");
}

/* Closed without deletion, and its number used again by another socket. */
TEST(a_reused_number_does_not_get_the_filters_and_handlers_of_the_closed_fd) {
    int fd, other;
    newReadySocket(&fd);
    newReadySocket(&other);
    add(fd, AE_READABLE, neverFile, NULL);
    replaceFd(fd, other);
    add(fd, AE_WRITABLE, onEither, "B");
    assert_int_equal(aeGetFileEvents(loop, fd), AE_WRITABLE);
    assertArmed(fd, 0, 1);
    assert_int_equal(look(), 1);
    assertJournal("B:w");
}

TEST(a_refusal_on_a_reused_number_changes_nothing) {
    int fd, other;
    newReadySocket(&fd);
    newReadySocket(&other);
    add(fd, AE_READABLE, neverFile, NULL);
    replaceFd(fd, other);
    kqueueEmulationFailAdd(EVFILT_WRITE, ENOMEM);
    assert_int_equal(aeCreateFileEvent(loop, fd, AE_WRITABLE, neverFile, NULL), AE_ERR);
    assertArmed(fd, 0, 0);
}

/// Fork: a child does not inherit the queue ///////////////////////////////////////////////////////

static int deleteWithAFileAtTheQueuesNumber(void) {
    int number = queue(), file = newRegularFile();
    if (file != number) replaceFd(number, file);
    aeDeleteEventLoop(loop);
    return fcntl(number, F_GETFD) == -1;
}

TEST(fault_14_deleting_the_loop_in_a_forked_child_closes_no_file) {
    assert_int_equal(statusOfChild(deleteWithAFileAtTheQueuesNumber), 0);
}

static int sharedFd;

static void deleteSharedFd(aeEventLoop *el, void *unused) {
    (void)unused;
    aeDeleteFileEvent(el, sharedFd, BOTH);
}

static int deleteWithANewLoop(void) {
    aeEventLoop *own = aeCreateEventLoop(SETSIZE);
    if (*(int *)own->apidata != queue()) return 1; /* it gets the number of the other one */
    if (aeCreateFileEvent(own, sharedFd, AE_READABLE, onEither, "A") == AE_ERR) return 2;
    aeDeleteEventLoop(loop);
    return aeProcessEvents(own, AE_FILE_EVENTS | AE_DONT_WAIT) == 1 ? 0 : 3;
}

TEST(fault_14_deleting_the_loop_in_a_forked_child_disturbs_no_new_loop) {
    sharedFd = newReadyPipe().out;
    add(sharedFd, AE_READABLE, neverFile, NULL);
    aeCreateTimeEvent(loop, 1000, neverTime, NULL, deleteSharedFd);
    assert_int_equal(statusOfChild(deleteWithANewLoop), 0);
}

static int lastWords[2];

static int pollTheParentsLoop(void) {
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    dup2(lastWords[1], STDERR_FILENO);
    signal(SIGABRT, writeCounts);
    look();
    return 0;
}

TEST(fault_14_a_forked_child_that_polls_ends_with_a_message) {
    char words[512];
    assert_int_equal(pipe(lastWords), 0);
    add(newReadyPipe().out, AE_READABLE, neverFile, NULL);
    int status = statusOfChild(pollTheParentsLoop);
    close(lastWords[1]);
    ssize_t length = read(lastWords[0], words, sizeof(words) - 1);
    close(lastWords[0]);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_true(length > 0);
    words[length] = '\0';
    assert_non_null(strstr(words, "forked child"));
}

TEST(timeouts_reach_the_kernel_to_the_microsecond) {
    freezeClock();
    aeCreateTimeEvent(loop, 5, onTime, "A", NULL);
    advanceClock(1234);
    iterate();
    assert_int_equal(lastTimeout(), 3766);
    assertJournal("A");
}

TEST(a_signal_ends_the_wait_without_events) {
    add(newPipe().out, AE_READABLE, neverFile, NULL);
    failNth(WAIT, 1, EINTR);
    assert_int_equal(aeProcessEvents(loop, AE_FILE_EVENTS), 0);
}
