/* The contract of file events: registered events are reported, in order, and no others. The tests
 * named fault_N show that libae does not have a fault of the original loop.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "tests/support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEST TEST_WITH_LOOP

enum { BOTH = AE_READABLE | AE_WRITABLE, PAST_FIRST_SLOTS = 200 };

static void add(int fd, int mask, aeFileProc *proc, void *clientData) {
    assert_int_equal(aeCreateFileEvent(loop, fd, mask, proc, clientData), AE_OK);
}

/* Asserts that a registration fails with this error. */
#define assertRefusedBy(el, fd, mask, error)                                        \
    do {                                                                            \
        errno = 0;                                                                  \
        assert_int_equal(aeCreateFileEvent(el, fd, mask, neverFile, NULL), AE_ERR); \
        assert_int_equal(errno, error);                                             \
    } while (0)
#define assertRefused(fd, mask, error) assertRefusedBy(loop, fd, mask, error)

/// Registering ////////////////////////////////////////////////////////////////////////////////////

TEST(registering_adds_bits_to_the_registered_ones) {
    int fd = newPipe().out;
    assert_int_equal(aeGetFileEvents(loop, fd), AE_NONE);
    add(fd, AE_READABLE, onRead, "A");
    assert_int_equal(aeGetFileEvents(loop, fd), AE_READABLE);
    add(fd, AE_WRITABLE | AE_BARRIER, onWrite, "A");
    assert_int_equal(aeGetFileEvents(loop, fd), BOTH | AE_BARRIER);
    add(fd, AE_WRITABLE, onWrite, "A");
    assert_int_equal(aeGetFileEvents(loop, fd), BOTH | AE_BARRIER);
}

TEST(each_bit_sets_its_own_handler) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_READABLE, onRead, "A");
    add(fd, AE_WRITABLE, onWrite, "A");
    assert_int_equal(look(), 1);
    assertJournal("A.read A.write");
}

TEST(the_order_of_registration_does_not_matter) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_WRITABLE, onWrite, "A");
    add(fd, AE_READABLE, onRead, "A");
    assert_int_equal(look(), 1);
    assertJournal("A.read A.write");
}

TEST(registering_a_bit_again_replaces_its_handler) {
    int fd = newReadyPipe().out;
    add(fd, AE_READABLE, neverFile, "A");
    add(fd, AE_READABLE, onRead, "B");
    assert_int_equal(look(), 1);
    assertJournal("B.read");
}

TEST(the_latest_registration_sets_the_one_client_data_of_the_fd) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_READABLE, onRead, "A");
    add(fd, AE_WRITABLE, onWrite, "B");
    assert_string_equal(aeGetFileClientData(loop, fd), "B");
    look();
    assertJournal("B.read B.write");
    add(fd, AE_READABLE, onRead, "C");
    look();
    assertJournal("C.read C.write");
}

TEST(an_fd_at_or_past_setsize_is_refused_with_ERANGE) {
    int fd = newPipe().out;
    assert_int_equal(aeResizeSetSize(loop, fd), AE_OK);
    assertRefused(fd, AE_READABLE, ERANGE);
    assertRefused(INT_MAX, AE_READABLE, ERANGE);
    assert_int_equal(loop->maxfd, -1);
    assert_int_equal(aeResizeSetSize(loop, fd + 1), AE_OK);
    add(fd, AE_READABLE, onRead, "A");
}

TEST(no_slots_are_made_for_a_number_that_is_not_open) {
    int slots = loop->nevents;
    assertRefused(SETSIZE - 1, AE_READABLE, EBADF);
    assert_int_equal(loop->nevents, slots);
}

TEST(a_closed_fd_is_refused_with_EBADF_inside_the_call) {
    int fd = newPipe().out;
    shut(fd);
    assertRefused(fd, AE_READABLE, EBADF);
    assertRefused(fd, AE_WRITABLE, EBADF);
    assertRefused(SETSIZE - 1, AE_READABLE, EBADF);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_NONE);
    assert_null(aeGetFileClientData(loop, fd));
    assert_int_equal(loop->maxfd, -1);
}

TEST(a_regular_file_is_refused_with_EPERM_under_epoll) {
    if (!backendIs("epoll")) SKIP("only epoll refuses regular files");
    int fd = newRegularFile();
    assertRefused(fd, AE_READABLE, EPERM);
    assertRefused(fd, BOTH, EPERM);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_NONE);
    assert_int_equal(loop->maxfd, -1);
}

TEST(files_that_are_always_ready_are_refused_with_EPERM_under_epoll) {
    static const char *const paths[] = {"/dev/null", "/dev/zero", "/"};
    if (!backendIs("epoll")) SKIP("others take them");
    for (int i = 0; i < 3; i++) {
        int fd = open(paths[i], O_RDONLY);
        assert_true(fd != -1);
        assertRefused(fd, AE_READABLE, EPERM);
        close(fd);
    }
}

TEST(a_regular_file_is_always_ready_under_select) {
    if (!backendIs("select")) SKIP("what other kernels say of regular files differs");
    add(newRegularFile(), BOTH, onEither, "A");
    assert_int_equal(look(), 1);
    assertJournal("A:rw");
}

TEST(a_refused_addition_leaves_the_registration_as_it_was) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_READABLE, onRead, "A");
    failNth(CHANGE, 1, ENOMEM);
    int result = aeCreateFileEvent(loop, fd, AE_WRITABLE, neverFile, "B");
    if (!hasFailed()) SKIP("this backend does not tell the kernel of single changes");
    assert_int_equal(result, AE_ERR);
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_READABLE);
    assert_string_equal(aeGetFileClientData(loop, fd), "A");
    assert_int_equal(look(), 1);
    assertJournal("A.read");
    add(fd, AE_WRITABLE, onWrite, "B");
    look();
    assertJournal("B.read B.write");
}

TEST(a_refused_change_of_a_registered_bit_leaves_its_handler) {
    int fd = newReadyPipe().out;
    add(fd, AE_READABLE, onRead, "A");
    failNth(CHANGE, 1, ENOMEM);
    if (aeCreateFileEvent(loop, fd, AE_READABLE, onWrite, "B") == AE_OK)
        SKIP("this backend need not tell the kernel of this");
    look();
    assertJournal("A.read");
}

TEST(a_first_registration_that_is_refused_changes_nothing) {
    Pipe low = newPipe(), high = newReadyPipe();
    add(low.out, AE_READABLE, onRead, "A");
    failNth(CHANGE, 1, ENOMEM);
    int result = aeCreateFileEvent(loop, high.out, AE_READABLE, neverFile, "B");
    if (!hasFailed()) SKIP("this backend does not tell the kernel of single changes");
    assert_int_equal(result, AE_ERR);
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(aeGetFileEvents(loop, high.out), AE_NONE);
    assert_null(aeGetFileClientData(loop, high.out));
    assert_int_equal(loop->maxfd, low.out);
    assert_int_equal(look(), 0);
    add(high.out, AE_READABLE, onRead, "B");
    look();
    assertJournal("B.read");
}

TEST(a_mask_with_neither_bit_on_an_fd_that_has_neither_is_EINVAL) {
    int fd = newPipe().out;
    assertRefused(fd, AE_NONE, EINVAL);
    assertRefused(fd, AE_BARRIER, EINVAL);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_NONE);
    assert_int_equal(loop->maxfd, -1);
    add(fd, AE_READABLE, onRead, "A");
    aeDeleteFileEvent(loop, fd, AE_READABLE);
    assertRefused(fd, AE_BARRIER, EINVAL);
}

TEST(barrier_alone_is_added_to_an_fd_that_has_events) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_READABLE, onRead, "A");
    add(fd, AE_WRITABLE, onWrite, "A");
    add(fd, AE_BARRIER, neverFile, "B");
    assert_int_equal(aeGetFileEvents(loop, fd), BOTH | AE_BARRIER);
    look();
    assertJournal("A.write A.read");
}

TEST(an_empty_mask_changes_nothing_of_an_fd_that_has_events) {
    int fd = newReadyPipe().out;
    add(fd, AE_READABLE, onRead, "A");
    add(fd, AE_NONE, neverFile, "B");
    assert_int_equal(aeGetFileEvents(loop, fd), AE_READABLE);
    look();
    assertJournal("A.read");
}

TEST(events_without_a_handler_are_refused_with_EINVAL) {
    int fd = newPipe().out;
    errno = 0;
    assert_int_equal(aeCreateFileEvent(loop, fd, AE_READABLE, NULL, NULL), AE_ERR);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_NONE);
}

TEST(a_missing_handler_leaves_the_one_that_an_fd_has) {
    int fd = newReadyPipe().out;
    add(fd, AE_READABLE, onRead, "A");
    errno = 0;
    assert_int_equal(aeCreateFileEvent(loop, fd, AE_READABLE, NULL, NULL), AE_ERR);
    assert_int_equal(errno, EINVAL);
    look();
    assertJournal("A.read");
}

TEST(a_barrier_for_an_fd_out_of_range_is_refused_for_its_range) {
    assertRefused(-1, AE_BARRIER, EBADF);
    assertRefused(SETSIZE, AE_BARRIER, ERANGE);
}

static int lateFds[3]; /* unknown, registered, beyond the slots */

static void registerAtTheEnd(aeEventLoop *el, void *name) {
    onFinalize(el, name);
    for (int setsize = SETSIZE; setsize > SETSIZE - 2; setsize--) {
        assert_int_equal(aeResizeSetSize(el, setsize), AE_OK);
        for (int i = 0; i < 3; i++) assertRefusedBy(el, lateFds[i], BOTH, ECANCELED);
        assertRefusedBy(el, STDIN_FILENO, BOTH, ECANCELED);
        assertRefusedBy(el, lateFds[1], AE_BARRIER, ECANCELED);
    }
    assert_int_equal(aeGetFileEvents(el, lateFds[0]), AE_NONE);
    assert_int_equal(aeGetFileEvents(el, lateFds[1]), AE_READABLE);
    aeDeleteFileEvent(el, lateFds[1], AE_READABLE);
    assert_int_equal(aeGetFileEvents(el, lateFds[1]), AE_NONE);
    assert_int_equal(el->maxfd, -1);
}

TEST(while_the_loop_is_ending_registering_is_refused_with_ECANCELED) {
    lateFds[0] = newPipe().out;
    lateFds[1] = newPipe().out;
    lateFds[2] = newCopy(lateFds[0], 200);
    add(lateFds[1], AE_READABLE, neverFile, NULL);
    aeCreateTimeEvent(loop, 1000, neverTime, "A", registerAtTheEnd);
    deleteLoop();
    assertJournal("~A");
}

TEST(maxfd_is_the_highest_fd_with_an_event) {
    Pipe a = newPipe(), b = newPipe();
    int low = a.out < b.out ? a.out : b.out, high = a.out < b.out ? b.out : a.out;
    assert_int_equal(loop->maxfd, -1);
    add(high, BOTH, onRead, "A");
    assert_int_equal(loop->maxfd, high);
    add(low, AE_READABLE, onRead, "B");
    assert_int_equal(loop->maxfd, high);
    aeDeleteFileEvent(loop, high, AE_READABLE);
    assert_int_equal(loop->maxfd, high);
    aeDeleteFileEvent(loop, high, AE_WRITABLE);
    assert_int_equal(loop->maxfd, low);
    aeDeleteFileEvent(loop, low, BOTH);
    assert_int_equal(loop->maxfd, -1);
}

TEST(deleting_a_low_fd_leaves_maxfd) {
    Pipe a = newPipe(), b = newPipe();
    add(a.out, AE_READABLE, onRead, "A");
    add(b.out, AE_READABLE, onRead, "B");
    aeDeleteFileEvent(loop, a.out, AE_READABLE);
    assert_int_equal(loop->maxfd, b.out);
}

/// Deleting ///////////////////////////////////////////////////////////////////////////////////////

TEST(a_deleted_event_is_not_reported) {
    int fd = newReadyPipe().out;
    add(fd, AE_READABLE, neverFile, NULL);
    aeDeleteFileEvent(loop, fd, AE_READABLE);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_NONE);
    assert_null(aeGetFileClientData(loop, fd));
    assert_int_equal(look(), 0);
}

TEST(deleting_one_bit_keeps_the_other) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_READABLE, onRead, "A");
    add(fd, AE_WRITABLE, onWrite, "A");
    aeDeleteFileEvent(loop, fd, AE_READABLE);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_WRITABLE);
    assert_int_equal(look(), 1);
    assertJournal("A.write");

    add(fd, AE_READABLE, onRead, "A");
    aeDeleteFileEvent(loop, fd, AE_WRITABLE);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_READABLE);
    assert_int_equal(look(), 1);
    assertJournal("A.read");
}

TEST(the_kernel_does_not_report_a_deleted_bit_any_more) {
    int fds[2];
    newSocketPair(fds);
    add(fds[0], BOTH, neverFile, NULL);
    aeDeleteFileEvent(loop, fds[0], AE_WRITABLE);
    forgetCalls();
    assert_int_equal(look(), 0);
    assert_int_equal(callsOf(CREATE), 0);
}

TEST(removing_WRITABLE_removes_BARRIER_with_it) {
    int fd;
    newReadySocket(&fd);
    add(fd, BOTH | AE_BARRIER, onRead, "A");
    aeDeleteFileEvent(loop, fd, AE_WRITABLE);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_READABLE);
    add(fd, AE_WRITABLE, onWrite, "A");
    look();
    assertJournal("A.read A.write");
}

TEST(an_fd_whose_BARRIER_was_removed_with_its_events_is_not_watched) {
    add(newCopy(newPipe().out, 60), AE_READABLE, neverFile, NULL); /* so there is a poll */
    for (int mask = AE_READABLE; mask <= AE_WRITABLE; mask <<= 1) {
        int fds[2];
        newSocketPair(fds);
        add(fds[0], mask | AE_BARRIER, neverFile, NULL);
        aeDeleteFileEvent(loop, fds[0], mask);
        shut(fds[1]);
        assert_int_equal(look(), 0);
        add(fds[0], AE_READABLE, onRead, "A");
        assert_int_equal(look(), 1);
        assertJournal("A.read");
        aeDeleteFileEvent(loop, fds[0], AE_READABLE);
    }
}

TEST(removing_BARRIER_alone_keeps_the_events) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_READABLE, onRead, "A");
    add(fd, AE_WRITABLE | AE_BARRIER, onWrite, "A");
    aeDeleteFileEvent(loop, fd, AE_BARRIER);
    assert_int_equal(aeGetFileEvents(loop, fd), BOTH);
    look();
    assertJournal("A.read A.write");
}

TEST(removing_READABLE_keeps_BARRIER_with_WRITABLE) {
    int fd = newPipe().in;
    add(fd, BOTH | AE_BARRIER, onRead, "A");
    aeDeleteFileEvent(loop, fd, AE_READABLE);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_WRITABLE | AE_BARRIER);
}

TEST(when_neither_bit_is_left_BARRIER_is_removed) {
    int fd = newPipe().out;
    add(fd, AE_READABLE | AE_BARRIER, onRead, "A");
    assert_int_equal(aeGetFileEvents(loop, fd), AE_READABLE | AE_BARRIER);
    aeDeleteFileEvent(loop, fd, AE_READABLE);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_NONE);
    assert_int_equal(loop->maxfd, -1);
}

TEST(deleting_unknown_fds_does_nothing) {
    Pipe ready = newReadyPipe(), other = newPipe();
    add(ready.out, AE_READABLE, onRead, "A");
    aeDeleteFileEvent(loop, other.out, BOTH);
    aeDeleteFileEvent(loop, SETSIZE, BOTH);
    aeDeleteFileEvent(loop, INT_MAX, BOTH);
    assert_int_equal(look(), 1);
    assertJournal("A.read");
}

TEST(deleting_bits_that_are_not_set_does_nothing) {
    int fd = newReadyPipe().out;
    add(fd, AE_READABLE, onRead, "A");
    aeDeleteFileEvent(loop, fd, AE_WRITABLE);
    aeDeleteFileEvent(loop, fd, AE_NONE);
    aeDeleteFileEvent(loop, fd, AE_BARRIER);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_READABLE);
    assert_int_equal(look(), 1);
    assertJournal("A.read");
}

TEST(deleting_both_bits_of_an_fd_that_has_one_removes_that_one) {
    Pipe ready = newReadyPipe();
    add(ready.out, AE_READABLE, neverFile, NULL);
    add(ready.in, AE_WRITABLE, neverFile, NULL);
    aeDeleteFileEvent(loop, ready.out, BOTH);
    aeDeleteFileEvent(loop, ready.in, BOTH);
    assert_int_equal(aeGetFileEvents(loop, ready.out), AE_NONE);
    assert_int_equal(aeGetFileEvents(loop, ready.in), AE_NONE);
    assert_int_equal(look(), 0);
}

TEST(deleting_the_events_of_a_closed_fd_does_not_change_errno) {
    for (int mask = AE_READABLE; mask <= BOTH; mask++) {
        int fds[2];
        newSocketPair(fds);
        add(fds[0], BOTH, neverFile, NULL);
        shut(fds[0]);
        errno = ENOTTY;
        aeDeleteFileEvent(loop, fds[0], mask);
        aeDeleteFileEvent(loop, fds[0], BOTH);
        assert_int_equal(errno, ENOTTY);
    }
}

TEST(an_fd_can_be_deleted_and_registered_again_many_times) {
    int fd = newReadyPipe().out, count = 0;
    for (int i = 0; i < 100; i++) {
        add(fd, AE_READABLE, countFile, &count);
        assert_int_equal(look(), 1);
        aeDeleteFileEvent(loop, fd, AE_READABLE);
        assert_int_equal(look(), 0);
    }
    assert_int_equal(count, 100);
}

/// Readiness //////////////////////////////////////////////////////////////////////////////////////

TEST(an_fd_that_is_not_ready_is_not_reported) {
    Pipe quiet = newPipe();
    fill(quiet.in);
    add(quiet.in, AE_WRITABLE, neverFile, NULL);
    add(newPipe().out, AE_READABLE, neverFile, NULL);
    assert_int_equal(look(), 0);
}

static struct {
    aeEventLoop *loop;
    int fd, mask;
    void *clientData;
} got;

static void takeArguments(aeEventLoop *el, int fd, void *clientData, int mask) {
    got.loop = el;
    got.fd = fd;
    got.mask = mask;
    got.clientData = clientData;
}

TEST(the_handler_gets_loop_fd_client_data_and_mask) {
    int fd = newReadyPipe().out, mine;
    add(fd, AE_READABLE, takeArguments, &mine);
    look();
    assert_ptr_equal(got.loop, loop);
    assert_int_equal(got.fd, fd);
    assert_ptr_equal(got.clientData, &mine);
    assert_int_equal(got.mask, AE_READABLE);
}

TEST(unread_input_is_reported_again) {
    Pipe ready = newReadyPipe();
    add(ready.out, AE_READABLE, onRead, "A");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(look(), 1);
        assertJournal("A.read");
    }
    takeByte(ready.out);
    assert_int_equal(look(), 0);
    sendByte(ready.in);
    assert_int_equal(look(), 1);
}

TEST(an_fd_that_is_still_writable_is_reported_again) {
    Pipe empty = newPipe();
    add(empty.in, AE_WRITABLE, onWrite, "A");
    assert_int_equal(look(), 1);
    assert_int_equal(look(), 1);
    assertJournal("A.write A.write");
    fill(empty.in);
    assert_int_equal(look(), 0);
}

static bool kernelTellsReaders(void) {
    return !(systemIs("netbsd") && backendIs("kqueue"));
}

TEST(a_hang_up_is_reported_to_a_read_handler_as_both) {
    if (backendIs("select")) SKIP("select has no hang-up");
    if (!kernelTellsReaders()) SKIP("NetBSD does not distinguish it from the end of input");
    Pipe dead = newPipe();
    add(dead.out, AE_READABLE, onEither, "A");
    shut(dead.in);
    assert_int_equal(look(), 1);
    assertJournal("A:rw");
}

TEST(a_hang_up_reaches_a_write_handler) {
    if (backendIs("select")) SKIP("select has no hang-up");
    int fds[2];
    newSocketPair(fds);
    fill(fds[0]);
    add(fds[0], AE_WRITABLE, onEither, "A");
    assert_int_equal(look(), 0);
    shut(fds[1]);
    assert_int_equal(look(), 1);
    assertJournal("A:rw");
}

TEST(select_does_not_report_a_hang_up_to_a_write_handler_on_Linux) {
    if (!backendIs("select")) SKIP("the others do");
#ifndef __linux__
    SKIP("FreeBSD's select does, and others may");
#endif
    Pipe dead = newPipe();
    add(dead.out, AE_WRITABLE, neverFile, NULL);
    shut(dead.in);
    assert_int_equal(look(), 0);
    add(dead.out, AE_READABLE, onRead, "A");
    assert_int_equal(look(), 1);
    assertJournal("A.read");
}

TEST(an_error_reaches_a_write_handler) {
    if (systemIs("netbsd") && backendIs("kqueue"))
        SKIP("NetBSD does not tell the writer of a full pipe");
    Pipe dead = newPipe();
    fill(dead.in);
    add(dead.in, AE_WRITABLE, onWrite, "A");
    assert_int_equal(look(), 0);
    shut(dead.out);
    assert_int_equal(look(), 1);
    assertJournal("A.write");
}

/* kqueue refuses it; NetBSD's with another errno, OpenBSD's and macOS's only in older releases. */
TEST(a_pipe_without_a_reader_is_writable_or_refused) {
    Pipe dead = newPipe();
    shut(dead.out);
    if (aeCreateFileEvent(loop, dead.in, AE_WRITABLE, onWrite, "A") == AE_ERR) {
        assert_true(backendIs("kqueue"));
        assert_true(errno == EPIPE || errno == EBADF);
        assert_int_equal(aeGetFileEvents(loop, dead.in), AE_NONE);
        assert_int_equal(look(), 0);
    } else {
        assert_true(!backendIs("kqueue") || systemIs("openbsd") || systemIs("macos"));
        assert_int_equal(look(), 1);
        assertJournal("A.write");
    }
}

TEST(an_error_reaches_a_read_handler) {
    if (systemIs("freebsd") && backendIs("kqueue")) SKIP("FreeBSD does not watch the wrong end");
    if (backendIs("select")) SKIP("select has no error");
    if (!kernelTellsReaders()) SKIP("NetBSD does not distinguish it from the end of input");
    Pipe dead = newPipe();
    add(dead.in, AE_READABLE, onEither, "A");
    shut(dead.out);
    assert_int_equal(look(), 1);
    assertJournal("A:rw");
}

TEST(a_hang_up_calls_both_handlers_of_an_fd) {
    int fds[2];
    newSocketPair(fds);
    add(fds[0], AE_READABLE, onRead, "A");
    add(fds[0], AE_WRITABLE, onWrite, "A");
    fill(fds[0]);
    shut(fds[1]);
    assert_int_equal(look(), 1);
    assertJournal("A.read A.write");
}

/* A socket whose peer has shut down its sending side. */
static int newHalfClosedSocket(void) {
    int fds[2];
    newSocketPair(fds);
    assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
    return fds[0];
}

TEST(a_half_close_is_not_writable_if_there_is_no_room) {
    int fd = newHalfClosedSocket();
    fill(fd);
    add(fd, AE_READABLE, onEither, "A");
    add(fd, AE_WRITABLE, neverFile, "A");
    for (int round = 0; round < 3; round++) {
        assert_int_equal(look(), 1);
        assertJournal("A:r");
    }
}

TEST(a_half_close_is_writable_if_there_is_room) {
    int fd = newHalfClosedSocket();
    add(fd, AE_READABLE, onRead, "A");
    add(fd, AE_WRITABLE, onWrite, "A");
    assert_int_equal(look(), 1);
    assertJournal("A.read A.write");
}

TEST(a_half_close_does_not_reach_a_write_handler_that_has_no_room) {
    int fd = newHalfClosedSocket();
    fill(fd);
    add(fd, AE_WRITABLE, neverFile, NULL);
    assert_int_equal(look(), 0);
}

TEST(a_half_close_reaches_a_read_handler_as_the_end_of_input) {
    int fd = newHalfClosedSocket();
    add(fd, AE_READABLE, onEither, "A");
    assert_int_equal(look(), 1);
    assertJournal("A:r");
}

TEST(a_half_close_without_room_reaches_a_read_handler_as_the_end_of_input) {
    int fd = newHalfClosedSocket();
    fill(fd);
    add(fd, AE_READABLE, onEither, "A");
    assert_int_equal(look(), 1);
    assertJournal("A:r");
}

TEST(a_peer_that_has_closed_reaches_a_read_handler_as_both) {
    if (backendIs("select")) SKIP("select has no hang-up");
    if (!kernelTellsReaders()) SKIP("NetBSD does not distinguish it from the end of input");
    int fds[2];
    newSocketPair(fds);
    add(fds[0], AE_READABLE, onEither, "A");
    shut(fds[1]);
    assert_int_equal(look(), 1);
    assertJournal("A:rw");
}

TEST(fault_7_an_empty_pipe_at_end_of_file_reaches_its_handler) {
    Pipe dead = newPipe();
    add(dead.out, AE_READABLE, onRead, "A");
    shut(dead.in);
    assert_int_equal(iterate(), 1);
    assertJournal("A.read");
}

static void deleteOnRead(aeEventLoop *el, int fd, void *name, int mask) {
    onRead(el, fd, name, mask);
    aeDeleteFileEvent(el, fd, AE_READABLE);
}

TEST(fault_7_an_empty_pipe_at_end_of_file_does_not_spin_the_loop) {
    freezeClock();
    Pipe dead = newPipe();
    add(dead.out, AE_READABLE, deleteOnRead, "A");
    shut(dead.in);
    assert_int_equal(iterate(), 1);
    assertJournal("A.read");
    assert_int_equal(iterate(), 0);
    assert_int_equal(lastTimeout(), NO_TIMEOUT);
}

/// Dispatch ///////////////////////////////////////////////////////////////////////////////////////

TEST(the_read_handler_runs_before_the_write_handler) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_WRITABLE, onWrite, "A");
    add(fd, AE_READABLE, onRead, "A");
    look();
    assertJournal("A.read A.write");
}

TEST(with_BARRIER_the_write_handler_runs_first) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_READABLE, onRead, "A");
    add(fd, AE_WRITABLE | AE_BARRIER, onWrite, "A");
    look();
    assertJournal("A.write A.read");
}

TEST(with_BARRIER_an_fd_that_is_only_readable_is_read) {
    Pipe ready = newReadyPipe();
    add(ready.out, AE_READABLE | AE_BARRIER, onRead, "A");
    look();
    assertJournal("A.read");
}

TEST(one_handler_for_both_runs_once_with_the_whole_mask) {
    int fd;
    newReadySocket(&fd);
    add(fd, BOTH, onEither, "A");
    assert_int_equal(look(), 1);
    assertJournal("A:rw");
    add(fd, AE_BARRIER, onEither, "A");
    assert_int_equal(look(), 1);
    assertJournal("A:rw");
}

TEST(one_handler_for_both_runs_when_only_one_is_ready) {
    int fds[2];
    newSocketPair(fds);
    add(fds[0], BOTH, onEither, "A");
    assert_int_equal(look(), 1);
    assertJournal("A:w");
    fill(fds[0]);
    sendByte(fds[1]);
    assert_int_equal(look(), 1);
    assertJournal("A:r");
}

static void deleteOther(aeEventLoop *el, int fd, void *name, int mask) {
    bool reads = strcmp(name, "read") == 0;
    onEither(el, fd, name, mask);
    aeDeleteFileEvent(el, fd, reads ? AE_WRITABLE : AE_READABLE);
}

TEST(a_read_handler_that_deletes_the_write_event_stops_its_delivery) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_WRITABLE, neverFile, NULL);
    add(fd, AE_READABLE, deleteOther, "read");
    assert_int_equal(look(), 1);
    assertJournal("read:rw");
    assert_int_equal(aeGetFileEvents(loop, fd), AE_READABLE);
}

TEST(a_write_handler_under_BARRIER_that_deletes_the_read_event_stops_its_delivery) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_READABLE, neverFile, NULL);
    add(fd, AE_WRITABLE | AE_BARRIER, deleteOther, "write");
    assert_int_equal(look(), 1);
    assertJournal("write:rw");
    assert_int_equal(aeGetFileEvents(loop, fd), AE_WRITABLE | AE_BARRIER);
}

static void deleteItself(aeEventLoop *el, int fd, void *name, int mask) {
    onEither(el, fd, name, mask);
    aeDeleteFileEvent(el, fd, BOTH);
}

TEST(a_handler_may_delete_its_own_events) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_WRITABLE, neverFile, NULL);
    add(fd, AE_READABLE, deleteItself, "A");
    assert_int_equal(look(), 1);
    assertJournal("A:rw");
    assert_int_equal(look(), 0);
    assert_int_equal(loop->maxfd, -1);
}

static int family[8];

static void deleteTheFamily(aeEventLoop *el, int fd, void *count, int mask) {
    countFile(el, fd, count, mask);
    for (int i = 0; i < 8; i++) aeDeleteFileEvent(el, family[i], BOTH);
}

TEST(events_deleted_by_an_earlier_handler_of_the_batch_are_not_delivered) {
    int count = 0;
    for (int i = 0; i < 8; i++) {
        family[i] = newReadyPipe().out;
        add(family[i], AE_READABLE, deleteTheFamily, &count);
    }
    look();
    assert_int_equal(count, 1);
    assert_int_equal(look(), 0);
}

static int pair[2];

static void makeTheOtherWriteOnly(aeEventLoop *el, int fd, void *count, int mask) {
    countFile(el, fd, count, mask);
    int other = fd == pair[0] ? pair[1] : pair[0];
    assert_int_equal(aeCreateFileEvent(el, other, AE_WRITABLE, onWrite, "B"), AE_OK);
    aeDeleteFileEvent(el, other, AE_READABLE);
}

TEST(a_bit_deleted_by_an_earlier_handler_is_not_delivered_though_the_other_stays) {
    int count = 0;
    newReadySocket(&pair[0]);
    newReadySocket(&pair[1]);
    add(pair[0], AE_READABLE, makeTheOtherWriteOnly, &count);
    add(pair[1], AE_READABLE, makeTheOtherWriteOnly, &count);
    assert_int_equal(look(), 2);
    assert_int_equal(count, 1);
}

static void replaceTheHandlers(aeEventLoop *el, int fd, void *name, int mask) {
    onEither(el, fd, name, mask);
    assert_int_equal(aeCreateFileEvent(el, fd, AE_WRITABLE, onWrite, "B"), AE_OK);
}

TEST(a_write_handler_replaced_by_the_read_handler_runs_as_it_is_then) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_WRITABLE, neverFile, NULL);
    add(fd, AE_READABLE, replaceTheHandlers, "A");
    look();
    assertJournal("A:rw B.write");
}

TEST(the_handler_gets_the_fired_mask_with_more_than_it_registered) {
    if (backendIs("select")) SKIP("select reports what was asked for only");
    if (!kernelTellsReaders()) SKIP("NetBSD does not distinguish it from the end of input");
    Pipe dead = newPipe();
    shut(dead.in);
    add(dead.out, AE_READABLE, onEither, "A");
    look();
    assertJournal("A:rw");
}

TEST(every_ready_fd_is_served_in_one_iteration) {
    enum { FDS = 40 };
    int counts[FDS] = {0};
    for (int i = 0; i < FDS; i++) add(newReadyPipe().out, AE_READABLE, countFile, &counts[i]);
    assert_int_equal(look(), FDS);
    for (int i = 0; i < FDS; i++) assert_int_equal(counts[i], 1);
}

/// Slots //////////////////////////////////////////////////////////////////////////////////////////

TEST(slots_grow_on_demand_at_least_doubling) {
    int out = newPipe().out, before = loop->nevents;
    assert_in_range(before, 1, SETSIZE - 1);
    if (roomForFds(before + 1) <= before) SKIP("the limit of fds is too low");
    int fd = newCopy(out, before);
    add(fd, AE_READABLE, onRead, "A");
    assert_true(loop->nevents >= 2 * before);
    assert_true(loop->nevents > fd && loop->nevents <= SETSIZE);
}

TEST(slots_do_not_grow_past_setsize) {
    int out = newPipe().out, setsize = loop->nevents + 3;
    assert_int_equal(aeResizeSetSize(loop, setsize), AE_OK);
    int fd = newCopy(out, setsize - 1);
    assert_int_equal(fd, setsize - 1);
    add(fd, AE_READABLE, onRead, "A");
    assert_int_equal(loop->nevents, setsize);
    assertRefused(newCopy(out, setsize), AE_READABLE, ERANGE);
}

TEST(slots_do_not_grow_for_an_fd_that_has_one) {
    int before = loop->nevents;
    for (int i = 0; i < 10; i++) add(newPipe().out, AE_READABLE, onRead, "A");
    assert_int_equal(loop->nevents, before);
}

TEST(a_large_setsize_takes_no_memory_by_itself) {
    assert_int_equal(aeResizeSetSize(loop, backendIs("select") ? FD_SETSIZE : INT_MAX), AE_OK);
    aeEventLoop *large = aeCreateEventLoop(INT_MAX);
    assert_non_null(large);
    assert_int_equal(aeGetSetSize(large), INT_MAX);
    assert_true(large->nevents <= 1024);
    assert_int_equal(aeCreateFileEvent(large, newPipe().out, AE_READABLE, neverFile, NULL), AE_OK);
    aeDeleteEventLoop(large);
}

TEST(growing_the_slots_keeps_the_registrations) {
    Pipe ready = newReadyPipe();
    add(ready.out, AE_READABLE, onRead, "A");
    add(newCopy(newPipe().out, PAST_FIRST_SLOTS), AE_READABLE, neverFile, NULL);
    assert_int_equal(aeGetFileEvents(loop, ready.out), AE_READABLE);
    assert_int_equal(look(), 1);
    assertJournal("A.read");
}

TEST(new_slots_are_empty) {
    int fd = newCopy(newPipe().out, PAST_FIRST_SLOTS);
    add(fd, AE_READABLE, onRead, "A");
    for (int i = 0; i < loop->nevents; i++)
        assert_int_equal(aeGetFileEvents(loop, i), i == fd ? AE_READABLE : AE_NONE);
}

static int highFd;

static void registerHighFd(aeEventLoop *el, int fd, void *name, int mask) {
    onEither(el, fd, name, mask);
    assert_int_equal(aeCreateFileEvent(el, highFd, AE_READABLE, onRead, "high"), AE_OK);
    assert_true(el->nevents > highFd);
}

TEST(a_handler_may_register_a_high_fd_and_so_move_the_slots) {
    int fd, other;
    newReadySocket(&fd);
    newReadySocket(&other);
    highFd = newCopy(newPipe().out, PAST_FIRST_SLOTS);
    add(fd, AE_READABLE, registerHighFd, "A");
    add(fd, AE_WRITABLE, onWrite, "A");
    assert_int_equal(look(), 1);
    assertJournal("A:rw A.write");
}

static void growAndSend(aeEventLoop *el, int fd, void *count, int mask) {
    countFile(el, fd, count, mask);
    aeCreateFileEvent(el, highFd, AE_READABLE, neverFile, NULL);
}

TEST(the_rest_of_a_batch_is_served_after_the_slots_moved) {
    int count = 0;
    highFd = newCopy(newPipe().out, PAST_FIRST_SLOTS);
    for (int i = 0; i < 10; i++) add(newReadyPipe().out, AE_READABLE, growAndSend, &count);
    assert_int_equal(look(), 10);
    assert_int_equal(count, 10);
}

/// Resizing ///////////////////////////////////////////////////////////////////////////////////////

TEST(resizing_changes_the_limit) {
    assert_int_equal(aeGetSetSize(loop), SETSIZE);
    assert_int_equal(aeResizeSetSize(loop, 100), AE_OK);
    assert_int_equal(aeGetSetSize(loop), 100);
    assert_int_equal(loop->setsize, 100);
    assertRefused(newCopy(newPipe().out, 100), AE_READABLE, ERANGE);
}

TEST(resizing_to_less_than_maxfd_plus_1_changes_nothing) {
    int fd = newReadyPipe().out;
    add(fd, AE_READABLE, onRead, "A");
    aeEventLoop before = *loop;
    assert_int_equal(aeResizeSetSize(loop, fd), AE_ERR);
    assert_int_equal(errno, ERANGE);
    assert_memory_equal(&before, loop, sizeof(before));
    assert_int_equal(look(), 1);
    assertJournal("A.read");
    assert_int_equal(aeResizeSetSize(loop, fd + 1), AE_OK);
    assert_int_equal(look(), 1);
}

TEST(resizing_to_the_same_size_succeeds) {
    add(newReadyPipe().out, AE_READABLE, onRead, "A");
    assert_int_equal(aeResizeSetSize(loop, SETSIZE), AE_OK);
    assert_int_equal(aeGetSetSize(loop), SETSIZE);
    assert_int_equal(look(), 1);
}

TEST(a_loop_that_was_shrunk_can_grow_again) {
    Pipe ready = newReadyPipe();
    int high = newCopy(ready.out, PAST_FIRST_SLOTS);
    add(high, AE_READABLE, onRead, "B");
    aeDeleteFileEvent(loop, high, AE_READABLE);
    assert_int_equal(aeResizeSetSize(loop, ready.out + 1), AE_OK);
    add(ready.out, AE_READABLE, onRead, "A");
    assertRefused(high, AE_READABLE, ERANGE);
    assert_int_equal(aeGetFileEvents(loop, high), AE_NONE);
    assert_int_equal(aeResizeSetSize(loop, high + 1), AE_OK);
    add(high, AE_READABLE, onRead, "A");
    assert_int_equal(look(), 2);
    assertJournal("A.read A.read");
}

static void shrinkAndGrow(aeEventLoop *el, int fd, void *count, int mask) {
    countFile(el, fd, count, mask);
    assert_int_equal(aeResizeSetSize(el, el->maxfd + 1), AE_OK);
    assert_int_equal(aeResizeSetSize(el, SETSIZE), AE_OK);
    assert_int_equal(aeCreateFileEvent(el, highFd, AE_READABLE, neverFile, NULL), AE_OK);
    aeDeleteFileEvent(el, highFd, AE_READABLE);
    assert_int_equal(aeResizeSetSize(el, el->maxfd + 1), AE_OK);
    assert_int_equal(aeResizeSetSize(el, SETSIZE), AE_OK);
}

TEST(a_handler_may_resize_the_loop) {
    int count = 0;
    highFd = newCopy(newPipe().out, PAST_FIRST_SLOTS);
    for (int i = 0; i < 10; i++) add(newReadyPipe().out, AE_READABLE, shrinkAndGrow, &count);
    assert_int_equal(look(), 10);
    assert_int_equal(count, 10);
}

static void shrinkHook(aeEventLoop *el) {
    assert_int_equal(aeResizeSetSize(el, el->maxfd + 1), AE_OK);
}

TEST(a_hook_may_resize_the_loop) {
    int count = 0;
    for (int i = 0; i < 10; i++) add(newReadyPipe().out, AE_READABLE, countFile, &count);
    aeSetBeforeSleepProc(loop, shrinkHook);
    aeSetAfterSleepProc(loop, shrinkHook);
    assert_int_equal(aeProcessEvents(loop, AE_ALL_EVENTS | AE_DONT_WAIT | AE_CALL_BEFORE_SLEEP |
                                               AE_CALL_AFTER_SLEEP),
                     10);
    assert_int_equal(count, 10);
}

/// Fault 1: stale events //////////////////////////////////////////////////////////////////////////

/* Two fds are ready in one batch. The first handler closes the other fd and uses its number again.
 */
static struct {
    int fds[2];
    int by; /* becomes the new connection's file */
    int mask;
    int called;
    bool deletes;
} reuse;

static void reuseTheOther(aeEventLoop *el, int fd, void *name, int mask) {
    (void)name, (void)mask;
    int other = reuse.fds[fd == reuse.fds[0]];
    reuse.called++;
    aeDeleteFileEvent(el, fd, BOTH);
    if (reuse.deletes) aeDeleteFileEvent(el, other, BOTH);
    shut(other);
    replaceFd(other, reuse.by);
    assert_int_equal(aeCreateFileEvent(el, other, reuse.mask, onEither, "new"), AE_OK);
}

static void prepareReuse(int by, int mask) {
    reuse.by = by;
    reuse.mask = mask;
    reuse.called = 0;
    reuse.deletes = true;
    for (int i = 0; i < 2; i++) {
        newReadySocket(&reuse.fds[i]);
        add(reuse.fds[i], BOTH, reuseTheOther, NULL);
    }
}

TEST(fault_1_stale_readiness_is_not_delivered_to_a_new_registration) {
    Pipe quiet = newPipe();
    prepareReuse(quiet.out, AE_READABLE);
    look();
    assert_int_equal(reuse.called, 1);
    assertJournal("");
    assert_int_equal(look(), 0);
    sendByte(quiet.in);
    assert_int_equal(look(), 1);
    assertJournal("new:r");
}

TEST(fault_1_stale_writability_is_not_delivered_to_a_new_registration) {
    Pipe full = newPipe();
    fill(full.in);
    prepareReuse(full.in, AE_WRITABLE);
    look();
    assert_int_equal(reuse.called, 1);
    assertJournal("");
    assert_int_equal(look(), 0);
}

TEST(fault_1_a_new_registration_that_is_ready_is_served_by_the_next_iteration) {
    Pipe ready = newReadyPipe();
    prepareReuse(ready.out, AE_READABLE);
    look();
    assertJournal("");
    assert_int_equal(look(), 1);
    assertJournal("new:r");
}

enum { CROWD = 20 };
static int crowd[CROWD], crowdServed, crowdBy;

static void reuseTheCrowd(aeEventLoop *el, int fd, void *name, int mask) {
    (void)name, (void)mask;
    crowdServed++;
    for (int i = 0; i < CROWD; i++) {
        aeDeleteFileEvent(el, crowd[i], BOTH);
        if (crowd[i] == fd) continue;
        shut(crowd[i]);
        replaceFd(crowd[i], crowdBy);
        assert_int_equal(aeCreateFileEvent(el, crowd[i], AE_READABLE, neverFile, NULL), AE_OK);
    }
}

TEST(fault_1_stale_readiness_does_not_come_true_for_many_fds_at_once) {
    crowdBy = newPipe().out;
    crowdServed = 0;
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = newReadyPipe().out;
        add(crowd[i], AE_READABLE, reuseTheCrowd, NULL);
    }
    look();
    assert_int_equal(crowdServed, 1);
    assert_int_equal(look(), 0);
}

static void renewItself(aeEventLoop *el, int fd, void *name, int mask) {
    onEither(el, fd, name, mask);
    aeDeleteFileEvent(el, fd, BOTH);
    shut(fd);
    replaceFd(fd, reuse.by);
    assert_int_equal(aeCreateFileEvent(el, fd, AE_WRITABLE, onEither, "new"), AE_OK);
}

TEST(fault_1_the_other_half_of_the_same_fd_is_not_delivered_to_a_new_registration) {
    int fd;
    Pipe full = newPipe();
    fill(full.in);
    reuse.by = full.in;
    newReadySocket(&fd);
    add(fd, AE_WRITABLE, neverFile, NULL);
    add(fd, AE_READABLE, renewItself, "A");
    assert_int_equal(look(), 1);
    assertJournal("A:rw");
    assert_int_equal(look(), 0);
}

TEST(fault_1_many_batches_later_events_are_still_delivered) {
    int fd = newReadyPipe().out, count = 0;
    add(fd, AE_READABLE, countFile, &count);
    for (int i = 0; i < 1000; i++) assert_int_equal(look(), 1);
    assert_int_equal(count, 1000);
}

/// Fault 2: closed without deletion ///////////////////////////////////////////////////////////////

TEST(fault_2_an_fd_closed_without_deletion_and_reused_works) {
    Pipe old = newReadyPipe(), other = newPipe();
    add(old.out, AE_READABLE, neverFile, NULL);
    shut(old.out);
    replaceFd(old.out, other.out);
    add(old.out, AE_READABLE, onRead, "new");
    assert_int_equal(look(), 0);
    sendByte(other.in);
    assert_int_equal(look(), 1);
    assertJournal("new.read");
    aeDeleteFileEvent(loop, old.out, AE_READABLE);
    assert_int_equal(look(), 0);
}

TEST(fault_2_the_reused_fd_may_have_other_events_than_before) {
    int fds[2];
    Pipe old = newPipe();
    newSocketPair(fds);
    add(old.out, AE_READABLE, neverFile, NULL);
    shut(old.out);
    replaceFd(old.out, fds[0]);
    add(old.out, AE_WRITABLE, onWrite, "new");
    assert_int_equal(look(), 1);
    assertJournal("new.write");
}

TEST(fault_2_the_previous_events_do_not_return_with_the_number) {
    if (!backendIs("epoll") && !backendIs("select")) SKIP("the kernel cannot tell");
    Pipe old = newPipe(), other = newPipe();
    add(old.out, AE_READABLE, neverFile, NULL);
    add(other.out, AE_READABLE, neverFile, NULL);
    shut(old.out);
    look(); /* select notices it here */
    int fd;
    newReadySocket(&fd);
    replaceFd(old.out, fd);
    add(old.out, AE_WRITABLE, onWrite, "new");
    assert_int_equal(aeGetFileEvents(loop, old.out), AE_WRITABLE);
    assert_int_equal(look(), 1);
    assertJournal("new.write");
}

TEST(fault_2_an_fd_closed_and_deleted_while_a_copy_is_open_can_be_registered_again) {
    Pipe ready = newReadyPipe();
    int copy = newCopy(ready.out, 0), fd = ready.out;
    add(fd, AE_READABLE, neverFile, NULL);
    shut(fd);
    aeDeleteFileEvent(loop, fd, AE_READABLE);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_NONE);
    replaceFd(fd, copy);
    add(fd, AE_READABLE, onRead, "new");
    assert_int_equal(look(), 1);
    assertJournal("new.read");
    aeDeleteFileEvent(loop, fd, AE_READABLE);
    assert_int_equal(look(), 0);
}

TEST(fault_2_a_reused_fd_with_a_copy_that_the_kernel_refuses_changes_nothing) {
    Pipe ready = newReadyPipe();
    int copy = newCopy(ready.out, 0), fd = ready.out;
    add(fd, AE_READABLE, neverFile, NULL);
    shut(fd);
    aeDeleteFileEvent(loop, fd, AE_READABLE);
    replaceFd(fd, copy);
    failNth(CHANGE, backendIs("epoll") ? 2 : 1, ENOMEM); /* the kernel still has it: EEXIST */
    int result = aeCreateFileEvent(loop, fd, AE_READABLE, neverFile, NULL);
    if (!hasFailed()) SKIP("this backend does not tell the kernel of single changes");
    assert_int_equal(result, AE_ERR);
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_NONE);
    add(fd, AE_READABLE, onRead, "A");
    assert_int_equal(look(), 1);
    assertJournal("A.read");
}

/* If the kernel identifies files only by number, the backend cannot notice that it is another file.
 */
TEST(an_unregistered_file_at_a_closed_number_is_reported_if_only_numbers_are_known) {
    bool knowsFiles = backendIs("epoll") || backendIs("kqueue");
    Pipe old = newReadyPipe(), other = newReadyPipe();
    add(old.out, AE_READABLE, onRead, "old");
    look();
    assertJournal("old.read");
    replaceFd(old.out, other.out);
    assert_int_equal(look(), !knowsFiles);
    assertJournal(knowsFiles ? "" : "old.read");
    aeDeleteFileEvent(loop, old.out, AE_READABLE);
    assert_int_equal(look(), 0);
}

TEST(fault_2_deleting_an_fd_that_was_closed_works) {
    Pipe old = newPipe(), ready = newReadyPipe();
    add(ready.out, AE_READABLE, onRead, "A");
    add(old.out, BOTH, neverFile, NULL);
    shut(old.out);
    aeDeleteFileEvent(loop, old.out, AE_READABLE);
    aeDeleteFileEvent(loop, old.out, AE_WRITABLE);
    assert_int_equal(aeGetFileEvents(loop, old.out), AE_NONE);
    assert_int_equal(look(), 1);
    assertJournal("A.read");
}

static void closeTheOther(aeEventLoop *el, int fd, void *name, int mask) {
    (void)name, (void)mask;
    reuse.called++;
    aeDeleteFileEvent(el, fd, BOTH);
    shut(reuse.fds[fd == reuse.fds[0]]);
}

TEST(fault_2_a_number_reused_within_the_batch_without_deletion_works) {
    Pipe other = newReadyPipe();
    prepareReuse(other.out, AE_READABLE);
    reuse.deletes = false;
    look();
    takeJournal(); /* the old event may or may not be delivered to it */
    assert_int_equal(look(), 1);
    assertJournal("new:r");
}

/// Fault 4: numbers that have no slot /////////////////////////////////////////////////////////////

TEST(fault_4_a_number_between_nevents_and_setsize_has_no_events) {
    assert_true(loop->nevents < SETSIZE);
    for (int fd = loop->nevents; fd < SETSIZE; fd++) {
        assert_int_equal(aeGetFileEvents(loop, fd), AE_NONE);
        assert_null(aeGetFileClientData(loop, fd));
        aeDeleteFileEvent(loop, fd, BOTH);
    }
    assert_int_equal(loop->maxfd, -1);
}

TEST(fault_4_a_number_past_setsize_has_no_events) {
    const int numbers[] = {SETSIZE, SETSIZE + 1, 1 << 20, INT_MAX};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(aeGetFileEvents(loop, numbers[i]), AE_NONE);
        assert_null(aeGetFileClientData(loop, numbers[i]));
        aeDeleteFileEvent(loop, numbers[i], BOTH | AE_BARRIER);
    }
}

TEST(fault_4_negative_fds_are_EBADF_and_have_no_events) {
    const int numbers[] = {-1, -2, -1000, INT_MIN};
    for (int i = 0; i < 4; i++) {
        assertRefused(numbers[i], AE_READABLE, EBADF);
        assertRefused(numbers[i], BOTH, EBADF);
        assert_int_equal(aeGetFileEvents(loop, numbers[i]), AE_NONE);
        assert_null(aeGetFileClientData(loop, numbers[i]));
        aeDeleteFileEvent(loop, numbers[i], BOTH);
    }
    assert_int_equal(loop->maxfd, -1);
}

/// Fault 6: select ////////////////////////////////////////////////////////////////////////////////

TEST(fault_6_select_accepts_any_setsize_at_creation) {
    aeEventLoop *redis = aeCreateEventLoop(10128);
    assert_non_null(redis);
    assert_int_equal(aeGetSetSize(redis), 10128);
    assert_int_equal(aeCreateFileEvent(redis, newReadyPipe().out, AE_READABLE, onRead, "A"), AE_OK);
    assert_int_equal(aeProcessEvents(redis, AE_FILE_EVENTS), 1);
    assertJournal("A.read");
    aeDeleteEventLoop(redis);
}

TEST(fault_6_resizing_past_FD_SETSIZE_is_ERANGE_under_select) {
    if (!backendIs("select")) SKIP("only select has a largest fd");
    assert_int_equal(aeResizeSetSize(loop, FD_SETSIZE - 1), AE_OK);
    assert_int_equal(aeResizeSetSize(loop, FD_SETSIZE + 1), AE_ERR);
    assert_int_equal(errno, ERANGE);
    assert_int_equal(aeResizeSetSize(loop, INT_MAX), AE_ERR);
    assert_int_equal(errno, ERANGE);
    assert_int_equal(aeGetSetSize(loop), FD_SETSIZE - 1);
    assert_int_equal(aeResizeSetSize(loop, FD_SETSIZE), AE_OK);
}

TEST(fault_6_registering_an_fd_from_FD_SETSIZE_on_is_ERANGE_under_select) {
    if (!backendIs("select")) SKIP("only select has a largest fd");
    if (roomForFds(FD_SETSIZE + 2) < FD_SETSIZE + 2) SKIP("the limit of fds is too low");
    Pipe ready = newReadyPipe();
    aeEventLoop *large = aeCreateEventLoop(FD_SETSIZE + 100);
    assert_non_null(large);
    for (int from = FD_SETSIZE - 1; from <= FD_SETSIZE + 1; from++) {
        int fd = newCopy(ready.out, from);
        assert_int_equal(fd, from);
        errno = 0;
        int result = aeCreateFileEvent(large, fd, AE_READABLE, onRead, "A");
        assert_int_equal(result, fd < FD_SETSIZE ? AE_OK : AE_ERR);
        if (fd >= FD_SETSIZE) assert_int_equal(errno, ERANGE);
        if (fd >= FD_SETSIZE) assert_int_equal(aeGetFileEvents(large, fd), AE_NONE);
    }
    assert_int_equal(large->maxfd, FD_SETSIZE - 1);
    assert_int_equal(aeProcessEvents(large, AE_FILE_EVENTS | AE_DONT_WAIT), 1);
    assertJournal("A.read");
    aeDeleteEventLoop(large);
}

TEST(fault_6_an_fd_closed_under_the_loop_does_not_disturb_the_others) {
    Pipe low = newReadyPipe(), closed = newReadyPipe(), high = newReadyPipe();
    add(low.out, AE_READABLE, onRead, "A");
    add(closed.out, BOTH, neverFile, NULL);
    add(closed.in, BOTH, neverFile, NULL);
    add(high.in, AE_WRITABLE, onRead, "A");
    shut(closed.out);
    shut(closed.in);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(look(), 2);
        assertJournal("A.read A.read");
    }
}

TEST(fault_6_the_highest_fd_closed_under_the_loop_does_not_disturb_the_others) {
    int low = newReadyPipe().out, highest = newReadyPipe().out;
    assert_true(low < highest);
    add(low, AE_READABLE, onRead, "A");
    add(highest, AE_READABLE, neverFile, NULL);
    shut(highest);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(look(), 1);
        assertJournal("A.read");
    }
}

TEST(fault_6_a_loop_whose_only_fd_was_closed_waits) {
    freezeClock();
    Pipe closed = newReadyPipe();
    add(closed.out, AE_READABLE, neverFile, NULL);
    aeCreateTimeEvent(loop, 10, onTime, "timer", NULL);
    shut(closed.out);
    uint64_t before = clockNow();
    assert_int_equal(iterate(), 1);
    assertJournal("timer");
    assert_int_equal(clockNow() - before, 10000);
    assert_true(callsOf(WAIT) <= 2);
}

TEST(fault_6_an_fd_closed_by_a_handler_of_the_batch_does_not_disturb_it) {
    reuse.called = 0;
    for (int i = 0; i < 2; i++) {
        newReadySocket(&reuse.fds[i]);
        add(reuse.fds[i], BOTH, closeTheOther, NULL);
    }
    aeProcessEvents(loop, AE_FILE_EVENTS | AE_DONT_WAIT);
    assert_in_range(reuse.called, 1, 2);
}

/// Fault 8: nested iterations /////////////////////////////////////////////////////////////////////

static struct {
    int fds[3];
    int counts[3];
    bool nested;
} nest;

static void consumeAndNest(aeEventLoop *el, int fd, void *count, int mask) {
    countFile(el, fd, count, mask);
    takeByte(fd); /* fails if this was not ready */
    if (nest.nested) return;
    nest.nested = true;
    assert_int_equal(aeProcessEvents(el, AE_FILE_EVENTS | AE_DONT_WAIT), 2);
}

static void prepareNest(aeFileProc *proc) {
    nest.nested = false;
    for (int i = 0; i < 3; i++) {
        nest.fds[i] = newReadyPipe().out;
        nest.counts[i] = 0;
        add(nest.fds[i], AE_READABLE, proc, &nest.counts[i]);
    }
}

TEST(fault_8_the_outer_call_does_not_serve_the_nested_batch) {
    prepareNest(consumeAndNest);
    look();
    for (int i = 0; i < 3; i++) assert_int_equal(nest.counts[i], 1);
    assert_int_equal(look(), 0);
}

static int lateFd;

static void nestWithOthersOnly(aeEventLoop *el, int fd, void *count, int mask) {
    countFile(el, fd, count, mask);
    takeByte(fd);
    if (nest.nested) return;
    nest.nested = true;
    for (int i = 0; i < 3; i++) /* the nested batch is one other fd, at index 0 and 1 of `fired` */
        if (nest.fds[i] != fd) aeDeleteFileEvent(el, nest.fds[i], BOTH);
    aeCreateFileEvent(el, lateFd, AE_READABLE, onRead, "late");
    assert_int_equal(aeProcessEvents(el, AE_FILE_EVENTS | AE_DONT_WAIT), 1);
}

TEST(fault_8_events_of_the_nested_batch_only_are_delivered_once) {
    lateFd = newReadyPipe().out;
    prepareNest(nestWithOthersOnly);
    look();
    assertJournal("late.read");
    assert_int_equal(nest.counts[0] + nest.counts[1] + nest.counts[2], 1);
}

static void nestWithoutFiles(aeEventLoop *el, int fd, void *count, int mask) {
    countFile(el, fd, count, mask);
    takeByte(fd);
    aeProcessEvents(el, AE_TIME_EVENTS | AE_DONT_WAIT);
}

TEST(fault_8_events_that_the_outer_call_does_not_serve_are_reported_again) {
    prepareNest(nestWithoutFiles);
    for (int i = 0; i < 3; i++) look();
    for (int i = 0; i < 3; i++) assert_int_equal(nest.counts[i], 1);
}

static void nestAndWrite(aeEventLoop *el, int fd, void *name, int mask) {
    onRead(el, fd, name, mask);
    takeByte(fd);
    aeProcessEvents(el, AE_FILE_EVENTS | AE_DONT_WAIT);
    journal("back");
}

TEST(fault_8_the_other_half_of_an_fd_is_not_served_by_both_calls) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_WRITABLE, onWrite, "A");
    add(fd, AE_READABLE, nestAndWrite, "A");
    look();
    assertJournal("A.read A.write back");
}

static void nestThatDoesNothing(aeEventLoop *el, int fd, void *count, int mask) {
    countFile(el, fd, count, mask);
    assert_int_equal(aeProcessEvents(el, AE_DONT_WAIT), 0);
}

TEST(fault_8_a_nested_call_that_does_not_poll_does_not_end_the_batch) {
    prepareNest(nestThatDoesNothing);
    assert_int_equal(look(), 3);
    for (int i = 0; i < 3; i++) assert_int_equal(nest.counts[i], 1);
}

static void nestInHook(aeEventLoop *el) {
    for (int i = 0; i < 3; i++) takeByte(nest.fds[i]);
    assert_int_equal(aeProcessEvents(el, AE_FILE_EVENTS | AE_DONT_WAIT), 0);
}

TEST(fault_8_a_nested_call_in_the_after_sleep_hook_outdates_the_batch) {
    prepareNest(countFile);
    aeSetAfterSleepProc(loop, nestInHook);
    aeProcessEvents(loop, AE_FILE_EVENTS | AE_DONT_WAIT | AE_CALL_AFTER_SLEEP);
    for (int i = 0; i < 3; i++) assert_int_equal(nest.counts[i], 0);
}

static void serveInHook(aeEventLoop *el) {
    assert_int_equal(aeProcessEvents(el, AE_FILE_EVENTS | AE_DONT_WAIT), 3);
}

TEST(fault_8_a_nested_call_in_the_before_sleep_hook_is_followed_by_the_outer_ones_own_poll) {
    prepareNest(countFile);
    aeSetBeforeSleepProc(loop, serveInHook);
    assert_int_equal(aeProcessEvents(loop, AE_FILE_EVENTS | AE_DONT_WAIT | AE_CALL_BEFORE_SLEEP),
                     3);
    for (int i = 0; i < 3; i++) assert_int_equal(nest.counts[i], 2);
}

static int depth;

static void nestDeep(aeEventLoop *el, int fd, void *count, int mask) {
    countFile(el, fd, count, mask);
    if (++depth < 50) aeProcessEvents(el, AE_FILE_EVENTS | AE_DONT_WAIT);
}

TEST(fault_8_calls_may_nest_deeply) {
    int count = 0;
    depth = 0;
    add(newReadyPipe().out, AE_READABLE, nestDeep, &count);
    assert_int_equal(look(), 1);
    assert_int_equal(count, 50);
}

/// Fault 12: bounded batches //////////////////////////////////////////////////////////////////////

TEST(fault_12_a_poll_asks_for_a_limited_batch) {
    if (backendIs("select") || backendIs("mine")) SKIP("select and poll have no batch");
    int wanted = 5000, room = roomForFds(wanted);
    if (room < 2000) SKIP("the limit of fds is too low");
    Pipe ready = newReadyPipe();
    assert_int_equal(aeResizeSetSize(loop, 10000), AE_OK);
    add(newCopy(ready.out, room - 1), AE_READABLE, onRead, "A");
    look();
    assertJournal("A.read");
    assert_in_range(largestBatchAsked(), 64, 1024);
}

TEST(fault_12_more_ready_fds_than_a_batch_holds_are_all_served) {
    int fds = roomForFds(2500);
    if (backendIs("select") && fds > FD_SETSIZE - 64) fds = FD_SETSIZE - 64;
    Pipe ready = newReadyPipe();
    static int counts[2500];
    memset(counts, 0, sizeof(counts));
    assert_int_equal(aeResizeSetSize(loop, backendIs("select") ? FD_SETSIZE : 10000), AE_OK);
    for (int i = 0; i < fds; i++) add(newCopy(ready.out, 0), AE_READABLE, countFile, &counts[i]);

    int served = 0, iterations = 0, missed;
    do {
        served += look();
        missed = 0;
        for (int i = 0; i < fds; i++) missed += counts[i] == 0;
    } while (missed > 0 && ++iterations < 20);
    assert_int_equal(missed, 0);
    assert_true(served >= fds);
}

/// Fault 13: closed files with copies /////////////////////////////////////////////////////////////

/* epoll identifies files, not numbers: it continues to report a closed fd while a copy of its file
 * is open. The other kernels report nothing, and must pass the same tests. */

/* The backend in the manual waits by poll(2). */
static int waitsMade(void) {
    return callsOf(backendIs("mine") ? POLL : WAIT);
}

/* Registers fd, and closes it while a copy is open. Returns the copy. */
static int closeCopied(int fd, int mask, void *name) {
    add(fd, mask, onEither, name);
    int copy = newCopy(fd, 0);
    shut(fd);
    return copy;
}

TEST(fault_13_a_closed_file_with_a_copy_does_not_wake_the_loop_after_its_deletion) {
    freezeClock();
    Pipe ready = newReadyPipe();
    closeCopied(ready.out, AE_READABLE, "old");
    aeDeleteFileEvent(loop, ready.out, AE_READABLE);
    aeCreateTimeEvent(loop, 1000, onTime, "timer", NULL);
    forgetCalls();
    for (int round = 0; round < 3; round++) iterate();
    assertJournal("timer");
    assert_in_range(waitsMade(), 3, 4);
}

TEST(fault_13_a_closed_file_with_a_copy_does_not_reach_the_next_registration_of_its_number) {
    Pipe old = newReadyPipe(), other = newPipe();
    closeCopied(old.out, AE_READABLE, "old");
    replaceFd(old.out, other.out);
    add(old.out, AE_READABLE, onRead, "new");
    for (int round = 0; round < 5; round++) assert_int_equal(look(), 0);
    assertJournal("");
    sendByte(other.in);
    assert_int_equal(look(), 1);
    assertJournal("new.read");
}

TEST(fault_13_a_closed_file_with_a_copy_does_not_reach_a_later_registration_of_its_number) {
    Pipe old = newReadyPipe(), other = newPipe();
    closeCopied(old.out, AE_READABLE, "old");
    aeDeleteFileEvent(loop, old.out, AE_READABLE);
    replaceFd(old.out, other.out);
    add(old.out, AE_READABLE, onRead, "new");
    for (int round = 0; round < 5; round++) assert_int_equal(look(), 0);
    sendByte(other.in);
    assert_int_equal(look(), 1);
    assertJournal("new.read");
}

TEST(fault_13_a_deleted_bit_of_a_closed_file_with_a_copy_does_not_wake_the_loop) {
    freezeClock();
    int fds[2];
    newSocketPair(fds);
    fill(fds[0]);
    closeCopied(fds[0], BOTH, "old");
    aeDeleteFileEvent(loop, fds[0], AE_READABLE);
    sendByte(fds[1]);
    aeCreateTimeEvent(loop, 1000, onTime, "timer", NULL);
    forgetCalls();
    for (int round = 0; round < 3; round++) iterate();
    assertJournal("timer");
    assert_true(waitsMade() <= 4);
}

TEST(fault_13_until_its_deletion_a_closed_file_with_a_copy_belongs_to_the_old_registration) {
    Pipe ready = newReadyPipe();
    closeCopied(ready.out, AE_READABLE, "old");
    int served = look();
    if (backendIs("epoll")) {
        assert_int_equal(served, 1);
        assertJournal("old:r");
    }
    aeDeleteFileEvent(loop, ready.out, AE_READABLE);
    assert_int_equal(look(), 0);
}

/* All their numbers are registered again, and more of them are ready than a batch has room for. */
TEST(fault_13_many_closed_files_with_copies_cost_one_new_set_and_reach_no_handler) {
    enum { SLOTS = 900 };
    if (roomForFds(SLOTS + 8) < SLOTS + 8) SKIP("the limit of fds is too low");
    Pipe former = newReadyPipe(), latter = newReadyPipe();
    static int counts[SLOTS];
    memset(counts, 0, sizeof(counts));
    deleteLoop();
    loop = aeCreateEventLoop(SLOTS);
    int numbers = 0;
    for (;; numbers++) {
        int fd = newCopy(former.out, 3);
        if (fd >= SLOTS) break;
        add(fd, AE_READABLE, neverFile, NULL);
        replaceFd(fd, latter.out);
        add(fd, AE_READABLE, countFile, &counts[fd]);
    }
    assert_true(numbers > 600);
    forgetCalls();
    int served = 0;
    for (int round = 0; round < 10; round++) served += look();
    assert_int_equal(callsOf(CREATE), backendIs("epoll"));
    int sum = 0, least = 10;
    for (int fd = 0; fd < SLOTS; fd++) {
        sum += counts[fd];
        if (counts[fd] < least && aeGetFileEvents(loop, fd)) least = counts[fd];
    }
    assert_int_equal(sum, served);
    assert_true(least >= 2);
}

TEST(fault_13_a_close_before_deletion_costs_no_new_set_unless_the_file_has_a_copy) {
    Pipe ready = newReadyPipe();
    add(ready.out, AE_READABLE, onRead, "A");
    for (int round = 0; round < 3; round++) {
        int fd = newPipe().out;
        add(fd, AE_READABLE, neverFile, NULL);
        shut(fd);
        aeDeleteFileEvent(loop, fd, AE_READABLE);
        forgetCalls();
        assert_int_equal(look(), 1);
        assert_int_equal(callsOf(CREATE), 0);
    }
    assertJournal("A.read A.read A.read");
}

/* Makes fd 0 the end of a pipe, and returns the pipe. */
static struct { int standardInput, in; } fdZero;

static void takeFdZero(void) {
    Pipe created = newPipe();
    fdZero.in = created.in;
    fdZero.standardInput = newCopy(STDIN_FILENO, 3);
    assert_int_equal(dup2(created.out, STDIN_FILENO), STDIN_FILENO);
}

static void giveFdZeroBack(void) {
    aeDeleteFileEvent(loop, STDIN_FILENO, BOTH);
    assert_int_equal(dup2(fdZero.standardInput, STDIN_FILENO), STDIN_FILENO);
}

/* A loop with fds of each kind, and a ghost. */
static struct {
    Pipe read, quiet;
    int write, both[2], closed, ghost, copy;
} haunted;

static void haunt(void) {
    haunted.read = newReadyPipe();
    haunted.quiet = newPipe();
    haunted.write = newPipe().in;
    newSocketPair(haunted.both);
    fill(haunted.both[0]);
    add(haunted.read.out, AE_READABLE, onEither, "read");
    add(haunted.quiet.out, AE_READABLE, onEither, "quiet");
    add(haunted.write, AE_WRITABLE, onEither, "write");
    add(haunted.both[0], BOTH | AE_BARRIER, onEither, "both");
    /* Closed, and its number used again by a file that is not registered. */
    haunted.closed = newPipe().out;
    add(haunted.closed, AE_READABLE, neverFile, NULL);
    shut(haunted.closed);
    if (backendIs("epoll") || backendIs("kqueue")) replaceFd(haunted.closed, newReadyPipe().out);
    haunted.ghost = newReadyPipe().out;
    haunted.copy = closeCopied(haunted.ghost, AE_READABLE, "ghost");
    aeDeleteFileEvent(loop, haunted.ghost, AE_READABLE);
}

/* All except the ghost are served as registered. */
static void assertNobodyIsLost(void) {
    takeJournal();
    assert_int_equal(look(), 2);
    const char *called = takeJournal();
    if (strcmp(called, "read:r write:w") != 0) assert_string_equal(called, "write:w read:r");

    takeByte(haunted.read.out);
    aeDeleteFileEvent(loop, haunted.write, AE_WRITABLE);
    assert_int_equal(look(), 0);
    sendByte(haunted.quiet.in);
    assert_int_equal(look(), 1);
    assertJournal("quiet:r");
    takeByte(haunted.quiet.out);
    sendByte(haunted.both[1]);
    assert_int_equal(look(), 1);
    assertJournal("both:r");
    assert_int_equal(aeGetFileEvents(loop, haunted.both[0]), BOTH | AE_BARRIER);
}

TEST(fault_13_no_registration_is_lost_with_a_closed_file_with_a_copy) {
    haunt();
    look();
    assertNobodyIsLost();
}

TEST(fault_13_fd_0_is_not_lost_with_a_closed_file_with_a_copy) {
    takeFdZero();
    add(STDIN_FILENO, AE_READABLE, onRead, "A");
    add(STDIN_FILENO, AE_BARRIER, onRead, "A");
    Pipe ready = newReadyPipe();
    closeCopied(ready.out, AE_READABLE, "ghost");
    aeDeleteFileEvent(loop, ready.out, AE_READABLE);
    assert_int_equal(look(), 0);
    sendByte(fdZero.in);
    assert_int_equal(look(), 1);
    assertJournal("A.read");
    giveFdZeroBack();
}

TEST(fault_13_without_an_fd_for_a_new_set_the_old_one_serves_the_others) {
    freezeClock();
    haunt();
    failAll(CREATE, EMFILE);
    uint64_t before = clockNow();
    iterate();
    assert_int_equal(clockNow(), before); /* no sleep while others are ready */
    assertNobodyIsLost();
    assert_int_equal(hasFailed(), backendIs("epoll"));
}

TEST(fault_13_a_new_set_that_fails_half_way_leaves_the_old_one) {
    if (!backendIs("epoll")) SKIP("only epoll needs a new set");
    const int errors[] = {ENOMEM, ENOSPC};
    for (int i = 0; i < 2; i++) {
        for (int nth = 1;; nth++) {
            deleteLoop();
            loop = aeCreateEventLoop(SETSIZE);
            haunt();
            int fds = openFds();
            failNth(CHANGE, nth, errors[i]);
            look();
            bool failed = hasFailed();
            stopFailures();
            assert_int_equal(openFds(), fds);
            assertNobodyIsLost();
            if (!failed) break;
            assert_true(nth < 20);
        }
    }
}

/* Returns how many polls there are in this many milliseconds, with no events. */
static int pollsIn(int milliseconds) {
    forgetCalls();
    uint64_t end = clockNow() + (uint64_t)milliseconds * 1000;
    aeCreateTimeEvent(loop, milliseconds, onTime, "end", NULL);
    while (clockNow() < end) iterate();
    assertJournal("end");
    return waitsMade();
}

TEST(fault_13_without_a_new_set_the_loop_does_not_spin) {
    freezeClock();
    Pipe ready = newReadyPipe();
    closeCopied(ready.out, AE_READABLE, "ghost");
    aeDeleteFileEvent(loop, ready.out, AE_READABLE);
    failAll(CREATE, EMFILE);
    assert_in_range(pollsIn(1000), 1, 102);
    assert_in_range(pollsIn(3), 1, 2); /* and no longer than until the timer */
    aeCreateTimeEvent(loop, 5, onTime, "rounded", NULL);
    advanceClock(999); /* 4 ms and 1 us are left */
    uint64_t before = clockNow();
    assert_int_equal(iterate(), 1);
    assertJournal("rounded");
    if (backendIs("epoll")) assert_int_equal(clockNow() - before, 5000);
    aeCreateTimeEvent(loop, 1000, onTime, "late", NULL);
    before = clockNow();
    int fired = iterate();
    if (backendIs("epoll")) assert_int_equal(clockNow() - before, 10000);
    aeSetDontWait(loop, 1);
    before = clockNow();
    iterate();
    assert_int_equal(clockNow(), before);
    aeSetDontWait(loop, 0);
    stopFailures();
    advanceClock(2000000);
    fired += iterate();
    assert_int_equal(fired, 1);
    assertJournal("late");
    assert_in_range(pollsIn(1000), 1, 2);
}

static void takeFiveMilliseconds(long long microseconds) {
    (void)microseconds;
    advanceClock(5000);
}

TEST(fault_13_without_a_new_set_the_loop_does_not_sleep_beyond_the_next_timer) {
    if (!backendIs("epoll")) SKIP("only epoll needs a new set");
    freezeClock();
    Pipe ready = newReadyPipe();
    closeCopied(ready.out, AE_READABLE, "ghost");
    aeDeleteFileEvent(loop, ready.out, AE_READABLE);
    failAll(CREATE, EMFILE);
    aeCreateTimeEvent(loop, 3, onTime, "A", NULL);
    uint64_t before = clockNow();
    watchWaits(takeFiveMilliseconds);
    assert_int_equal(iterate(), 1);
    watchWaits(NULL);
    assertJournal("A");
    assert_int_equal(clockNow() - before, 5000);
}

TEST(fault_13_a_wait_without_limit_ends_if_only_closed_files_with_copies_are_ready) {
    freezeClock();
    Pipe ready = newReadyPipe();
    closeCopied(ready.out, AE_READABLE, "ghost");
    aeDeleteFileEvent(loop, ready.out, AE_READABLE);
    failAll(CREATE, EMFILE);
    uint64_t before = clockNow();
    assert_int_equal(iterate(), 0);
    assert_int_equal(lastTimeout(), backendIs("epoll") ? 10000 : NO_TIMEOUT);
    assert_int_equal(clockNow() - before, backendIs("epoll") ? 10000 : 0);
}

TEST(fault_13_a_new_set_is_tried_again_after_10_milliseconds) {
    if (!backendIs("epoll")) SKIP("only epoll needs a new set");
    freezeClock();
    haunt();
    failAll(CREATE, EMFILE);
    forgetCalls();
    for (int round = 0; round < 20; round++) look();
    assert_int_equal(callsOf(CREATE), 1);
    advanceClock(9999);
    look();
    assert_int_equal(callsOf(CREATE), 1);
    advanceClock(1);
    look();
    assert_int_equal(callsOf(CREATE), 2);
    stopFailures();
    advanceClock(10000);
    look();
    for (int round = 0; round < 20; round++) look();
    assert_int_equal(callsOf(CREATE), 3);
    assertNobodyIsLost();
}

TEST(fault_13_a_new_set_has_the_number_of_the_old_one_and_is_close_on_exec) {
    if (!backendIs("epoll")) SKIP("only epoll needs a new set");
    haunt();
    int set = *(int *)loop->apidata, fds = openFds();
    look();
    assert_int_equal(callsOf(CREATE), 2);
    assert_int_equal(*(int *)loop->apidata, set);
    assert_int_equal(fcntl(set, F_GETFD), FD_CLOEXEC);
    assert_int_equal(openFds(), fds);
}

/* Runs in a forked child, which has the parent's loop. Returns 0 on success. */
static int liveInTheChild(void) {
    closeCopied(haunted.read.out, AE_READABLE, "ghost");
    aeDeleteFileEvent(loop, haunted.read.out, AE_READABLE);
    look(); /* creates its own set */
    takeJournal();
    if (look() != 1 || strcmp(takeJournal(), "write:w") != 0) return 1;
    aeDeleteFileEvent(loop, haunted.write, AE_WRITABLE);
    if (look() != 0) return 2;
    aeDeleteEventLoop(loop);
    return 0;
}

TEST(fault_13_a_forked_child_that_makes_a_new_set_leaves_the_parent_its_own) {
    if (backendIs("kqueue")) SKIP("a child does not inherit a kqueue");
    haunt();
    look();
    assert_int_equal(statusOfChild(liveInTheChild), 0);
    assertNobodyIsLost();
}

static void deleteAllFiles(aeEventLoop *el, void *unused) {
    (void)unused;
    for (int fd = 0; fd < el->nevents; fd++) aeDeleteFileEvent(el, fd, BOTH);
    assert_int_equal(el->maxfd, -1);
}

static int deleteTheLoopInTheChild(void) {
    aeDeleteEventLoop(loop);
    return 0;
}

TEST(a_forked_child_that_deletes_the_loop_does_not_change_the_parents) {
    haunt();
    look();
    takeFdZero();
    add(STDIN_FILENO, AE_READABLE, onRead, "zero");
    aeCreateTimeEvent(loop, 1000, neverTime, NULL, deleteAllFiles);
    assert_int_equal(statusOfChild(deleteTheLoopInTheChild), 0);
    assertNobodyIsLost();
    sendByte(fdZero.in);
    look();
    assert_non_null(strstr(takeJournal(), "zero.read"));
    giveFdZeroBack();
}

/// Starvation by pausing //////////////////////////////////////////////////////////////////////////

enum { PAUSED = 4 };
static int paused[PAUSED], pausedServed[PAUSED];

static void pauseTheOthers(aeEventLoop *el, int fd, void *count, int mask) {
    countFile(el, fd, count, mask);
    for (int i = 0; i < PAUSED; i++) {
        if (paused[i] == fd) continue;
        aeDeleteFileEvent(el, paused[i], BOTH);
        add(paused[i], AE_READABLE, pauseTheOthers, &pausedServed[i]);
    }
}

TEST(fds_that_pause_and_resume_each_other_are_all_served) {
    memset(pausedServed, 0, sizeof(pausedServed));
    for (int i = 0; i < PAUSED; i++) {
        paused[i] = newReadyPipe().out;
        add(paused[i], AE_READABLE, pauseTheOthers, &pausedServed[i]);
    }
    for (int round = 0; round < 20; round++) assert_int_equal(look(), PAUSED);
    for (int i = 0; i < PAUSED; i++) assert_in_range(pausedServed[i], 19, 20);
}

static void pauseItself(aeEventLoop *el, int fd, void *name, int mask) {
    onEither(el, fd, name, mask);
    aeDeleteFileEvent(el, fd, BOTH);
    add(fd, AE_READABLE, pauseItself, name);
    add(fd, AE_WRITABLE, onWrite, name);
}

TEST(the_write_handler_is_served_though_the_read_handler_pauses_and_resumes_the_fd) {
    int fd;
    newReadySocket(&fd);
    add(fd, AE_WRITABLE, onWrite, "A");
    add(fd, AE_READABLE, pauseItself, "A");
    look();
    assertJournal("A:rw");
    for (int round = 0; round < 3; round++) {
        assert_int_equal(look(), 1);
        assertJournal("A:rw A.write");
    }
}

/* Pauses and resumes a ready fd before it is served: of two fds that are ready, the one with the
 * lower number, which was registered first, is served first. */
static int resumer, resumed, resumedMask;

static void resume(aeEventLoop *el, int fd, void *name, int mask) {
    (void)name, (void)mask;
    assert_int_equal(fd, resumer);
    aeDeleteFileEvent(el, resumed, BOTH);
    assert_int_equal(aeCreateFileEvent(el, resumed, resumedMask, onEither, "B"), AE_OK);
}

/* Called before the fd that is resumed is created. The first time that an fd is resumed in a loop,
 * it is not polled. */
static void prepareResumer(void) {
    loop->hasPaused = 1;
    resumer = newReadyPipe().out;
    add(resumer, AE_READABLE, resume, NULL);
}

static void assertResumed(int fd, int mask, const char *expected) {
    resumed = fd;
    resumedMask = mask;
    add(fd, mask, neverFile, NULL);
    assert_int_equal(look(), 2);
    assertJournal(expected);
}

TEST(a_resumed_fd_is_served_with_its_current_readiness) {
    prepareResumer();
    assertResumed(newReadyPipe().out, AE_READABLE, "B:r");
}

TEST(a_resumed_writer_is_served_with_its_current_readiness) {
    prepareResumer();
    assertResumed(newPipe().in, AE_WRITABLE, "B:w");
}

TEST(both_sides_of_an_fd_that_is_resumed_are_served) {
    int fd;
    prepareResumer();
    newReadySocket(&fd);
    assertResumed(fd, BOTH, "B:rw");
}

TEST(a_hang_up_of_an_fd_that_is_resumed_is_both) {
    if (systemIs("netbsd")) SKIP("NetBSD's poll does not report it");
    prepareResumer();
    Pipe dead = newPipe();
    shut(dead.in);
    assertResumed(dead.out, AE_READABLE, "B:rw");
}

TEST(an_error_of_an_fd_that_is_resumed_is_both) {
    if (backendIs("kqueue")) SKIP("a pipe without a reader is refused");
    prepareResumer();
    Pipe dead = newPipe();
    shut(dead.out);
    assertResumed(dead.in, AE_WRITABLE, "B:rw");
}

TEST(the_first_time_an_fd_that_is_resumed_waits_for_the_next_poll) {
    prepareResumer();
    loop->hasPaused = 0;
    assertResumed(newReadyPipe().out, AE_READABLE, "");
    assert_int_equal(look(), 2);
    assertJournal("B:r");
}

TEST(fault_1_stale_readiness_is_discarded_also_when_the_fd_is_polled_again) {
    freezeClock();
    uint64_t before = clockNow();
    loop->hasPaused = 1;
    Pipe quiet = newPipe();
    prepareReuse(quiet.out, AE_READABLE);
    look();
    assert_int_equal(clockNow(), before); /* it is not waited for */
    assert_int_equal(reuse.called, 1);
    assert_int_equal(look(), 0);
    assertJournal("");
    sendByte(quiet.in);
    assert_int_equal(look(), 1);
    assertJournal("new:r");
}

static int renewed;

static void renew(aeEventLoop *el, int fd, void *count, int mask) {
    countFile(el, fd, count, mask);
    aeDeleteFileEvent(el, renewed, AE_READABLE);
    assert_int_equal(aeCreateFileEvent(el, renewed, AE_READABLE, neverFile, NULL), AE_OK);
}

TEST(a_registration_that_did_not_end_is_not_polled_again_also_when_the_counts_wrap) {
    int renewals = 0, count = 0;
    Pipe first = newReadyPipe(), ready = newReadyPipe();
    renewed = newPipe().out;
    add(first.out, AE_READABLE, renew, &renewals);
    add(ready.out, AE_READABLE, neverFile, NULL);
    loop->hasPaused = 1;
    loop->ended = UINT_MAX - 2;
    aeDeleteFileEvent(loop, ready.out, AE_READABLE);
    add(ready.out, AE_READABLE, countFile, &count);
    for (int round = 0; round < 6; round++) {
        forgetCalls();
        assert_int_equal(look(), 2);
        assert_int_equal(callsOf(POLL), backendIs("evport") || backendIs("mine"));
    }
    assert_int_equal(renewals, 6);
    assert_int_equal(count, 6);
}
