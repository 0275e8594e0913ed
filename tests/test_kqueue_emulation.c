/* Tests tests/support/kqueue, on which the kqueue backend is tested. Each test has a queue and the
 * two ends of a pipe and of a socket pair. Also built with -DKQUEUE_EMULATION_NETBSD, and run for
 * each system (EMULATED_SYSTEM).
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/event.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/kqueue/kqueue_emulation.h"
#include "support/suite.h"

#ifdef KQUEUE_EMULATION_NETBSD
#define USER(number) ((intptr_t)(number))
#else
#define USER(number) ((void *)(intptr_t)(number))
#endif

static const struct timespec zero = {0, 0};

static int kq, readEnd, writeEnd, here, there;
static struct kevent got[64];

static int setUp(void **state) {
    (void)state;
    kqueueEmulationReset();
    memset(got, 0, sizeof(got));
    int ends[2];
    if (pipe(ends) == -1) return -1;
    readEnd = ends[0];
    writeEnd = ends[1];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1) return -1;
    here = ends[0];
    there = ends[1];
    kq = kqueue();
    return kq == -1 ? -1 : 0;
}

static int tearDown(void **state) {
    (void)state;
    close(kq);
    close(readEnd);
    close(writeEnd);
    close(here);
    close(there);
    return 0;
}

#define TEST(name) TEST_BETWEEN(setUp, name, tearDown)

/* Makes one change without retrieving events. Returns 0 or the errno. */
static int change(int fd, short filter, int flags) {
    struct kevent event;
    EV_SET(&event, fd, filter, flags, 0, 0, USER(fd));
    return kevent(kq, &event, 1, NULL, 0, NULL) == 0 ? 0 : errno;
}

static void add(int fd, short filter) {
    assert_int_equal(change(fd, filter, EV_ADD), 0);
}

static int poll64(void) {
    return kevent(kq, NULL, 0, got, 64, &zero);
}

static void put(int fd, const char *text) {
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void drain(int fd, size_t bytes) {
    char buffer[64];
    assert_int_equal(read(fd, buffer, bytes), (ssize_t)bytes);
}

static void fillUp(int fd) {
    static const char zeros[65536];
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (write(fd, zeros, sizeof(zeros)) > 0) continue;
    while (write(fd, zeros, 1) > 0) continue;
}

static void assertEvent(const struct kevent *event, int fd, short filter) {
    assert_int_equal(event->ident, fd);
    assert_int_equal(event->filter, filter);
    assert_int_equal(event->flags & EV_ERROR, 0);
    assert_true(event->udata == USER(fd));
}

static long long nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

enum { FREEBSD, DRAGONFLY, NETBSD, OPENBSD, OPENBSD5, MACOS, SYSTEMS };

static int thisSystem(void) {
    static const char *const names[SYSTEMS] = {"freebsd", "dragonfly", "netbsd",
                                               "openbsd", "openbsd5",  "macos"};
    int i = 0;
    while (strcmp(names[i], kqueueEmulationSystem()) != 0) i++;
    return i;
}

/// The queue's fd ///

TEST(a_queue_is_a_real_fd_and_is_not_close_on_exec) {
    assert_int_equal(fcntl(kq, F_GETFD), 0);
    assert_int_equal(fcntl(kq, F_SETFD, FD_CLOEXEC), 0);
    assert_int_equal(fcntl(kq, F_GETFD), FD_CLOEXEC);
}

TEST(a_closed_queue_is_EBADF) {
    int closed = kqueue();
    assert_int_equal(close(closed), 0);
    assert_int_equal(fcntl(closed, F_GETFD), -1);
    assert_int_equal(kevent(closed, NULL, 0, got, 64, &zero), -1);
    assert_int_equal(errno, EBADF);
}

TEST(an_fd_that_is_no_queue_is_EBADF) {
    assert_int_equal(kevent(readEnd, NULL, 0, got, 64, &zero), -1);
    assert_int_equal(errno, EBADF);
}

TEST(a_queue_at_the_number_of_a_closed_one_is_empty) {
    int number = kq;
    add(writeEnd, EVFILT_WRITE);
    close(kq);
    kq = kqueue();
    assert_int_equal(kq, number);
    assert_int_equal(poll64(), 0);
}

TEST(two_queues_do_not_share_knotes) {
    int other = kqueue();
    add(writeEnd, EVFILT_WRITE);
    assert_int_equal(kevent(other, NULL, 0, got, 64, &zero), 0);
    assert_int_equal(poll64(), 1);
    close(other);
}

TEST(a_child_does_not_inherit_the_queue) {
    add(writeEnd, EVFILT_WRITE);
    pid_t child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0) {
        bool gone = fcntl(kq, F_GETFD) == -1 && poll64() == -1 && errno == EBADF;
        bool reusable = dup(readEnd) == kq; /* The lowest number that is free. */
        int second = kqueue();
        bool works = second != -1 && kevent(second, NULL, 0, got, 64, &zero) == 0;
        _exit(gone && reusable && works ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(poll64(), 1);
}

/// Changes ///

TEST(adding_a_knote_twice_gives_one_event) {
    add(writeEnd, EVFILT_WRITE);
    add(writeEnd, EVFILT_WRITE);
    assert_int_equal(poll64(), 1);
    assert_int_equal(kqueueEmulationArmed(kq, writeEnd, EVFILT_WRITE), 1);
}

TEST(adding_an_existing_knote_replaces_udata_and_flags) {
    assert_int_equal(change(writeEnd, EVFILT_WRITE, EV_ADD | EV_ONESHOT), 0);
    struct kevent event;
    EV_SET(&event, writeEnd, EVFILT_WRITE, EV_ADD, 0, 0, USER(12345));
    assert_int_equal(kevent(kq, &event, 1, NULL, 0, NULL), 0);
    assert_int_equal(poll64(), 1);
    assert_true(got[0].udata == USER(12345));
    assert_int_equal(poll64(), 1);
}

TEST(udata_is_kept_per_knote) {
    struct kevent changes[2];
    EV_SET(&changes[0], here, EVFILT_READ, EV_ADD, 0, 0, USER(1));
    EV_SET(&changes[1], here, EVFILT_WRITE, EV_ADD, 0, 0, USER(2));
    assert_int_equal(kevent(kq, changes, 2, NULL, 0, NULL), 0);
    put(there, "x");
    assert_int_equal(poll64(), 2);
    assert_true(got[0].udata == USER(got[0].filter == EVFILT_READ ? 1 : 2));
    assert_true(got[1].udata == USER(got[1].filter == EVFILT_READ ? 1 : 2));
}

TEST(deleting_one_filter_keeps_the_other) {
    add(here, EVFILT_READ);
    add(here, EVFILT_WRITE);
    put(there, "x");
    assert_int_equal(change(here, EVFILT_WRITE, EV_DELETE), 0);
    assert_int_equal(poll64(), 1);
    assertEvent(&got[0], here, EVFILT_READ);
}

TEST(deleting_a_missing_knote_is_ENOENT) {
    add(here, EVFILT_READ);
    assert_int_equal(change(here, EVFILT_WRITE, EV_DELETE), ENOENT);
    assert_int_equal(change(there, EVFILT_READ, EV_DELETE), ENOENT);
    assert_int_equal(change(here, EVFILT_WRITE, EV_ENABLE), ENOENT);
}

TEST(changes_of_a_closed_fd_are_EBADF) {
    int closed = dup(readEnd);
    add(closed, EVFILT_READ);
    close(closed);
    assert_int_equal(change(closed, EVFILT_READ, EV_ADD), EBADF);
    assert_int_equal(change(closed, EVFILT_READ, EV_DELETE), EBADF);
    assert_int_equal(change(-1, EVFILT_READ, EV_ADD), EBADF);
}

TEST(an_unknown_filter_is_EINVAL) {
    assert_int_equal(change(readEnd, -7, EV_ADD), EINVAL);
    assert_int_equal(change(readEnd, 0, EV_ADD), EINVAL);
}

TEST(a_disabled_knote_is_silent_until_it_is_enabled) {
    assert_int_equal(change(writeEnd, EVFILT_WRITE, EV_ADD | EV_DISABLE), 0);
    assert_int_equal(poll64(), 0);
    assert_int_equal(kqueueEmulationArmed(kq, writeEnd, 0), 0);
    assert_int_equal(change(writeEnd, EVFILT_WRITE, EV_ENABLE), 0);
    assert_int_equal(poll64(), 1);
    assert_int_equal(change(writeEnd, EVFILT_WRITE, EV_DISABLE), 0);
    assert_int_equal(poll64(), 0);
    add(writeEnd, EVFILT_WRITE);
    assert_int_equal(poll64(), 1);
}

TEST(several_changes_in_one_call_are_made_before_it_waits) {
    struct kevent changes[3];
    EV_SET(&changes[0], here, EVFILT_WRITE, EV_ADD, 0, 0, USER(here));
    EV_SET(&changes[1], writeEnd, EVFILT_WRITE, EV_ADD, 0, 0, USER(writeEnd));
    EV_SET(&changes[2], here, EVFILT_WRITE, EV_DELETE, 0, 0, USER(here));
    assert_int_equal(kevent(kq, changes, 3, got, 64, NULL), 1);
    assertEvent(&got[0], writeEnd, EVFILT_WRITE);
}

TEST(a_failed_change_is_told_in_the_eventlist_and_the_others_are_made) {
    add(writeEnd, EVFILT_WRITE); /* Pending, but not retrieved by a call that reports errors. */
    struct kevent changes[3];
    EV_SET(&changes[0], here, EVFILT_READ, EV_DELETE, 0, 0, USER(7));
    EV_SET(&changes[1], here, EVFILT_WRITE, EV_ADD, 0, 0, USER(here));
    EV_SET(&changes[2], -1, EVFILT_READ, EV_ADD, 0, 0, USER(8));
    assert_int_equal(kevent(kq, changes, 3, got, 64, NULL), 2);
    assert_int_equal(got[0].ident, here);
    assert_int_equal(got[0].filter, EVFILT_READ);
    assert_true(got[0].flags & EV_ERROR);
    assert_int_equal(got[0].data, ENOENT);
    assert_true(got[0].udata == USER(7));
    assert_true(got[1].flags & EV_ERROR);
    assert_int_equal(got[1].data, EBADF);
    assert_int_equal(kqueueEmulationArmed(kq, here, EVFILT_WRITE), 1);
}

TEST(a_failed_change_without_room_ends_the_call_after_the_earlier_ones) {
    struct kevent changes[3];
    EV_SET(&changes[0], here, EVFILT_READ, EV_ADD, 0, 0, USER(here));
    EV_SET(&changes[1], there, EVFILT_READ, EV_DELETE, 0, 0, USER(there));
    EV_SET(&changes[2], here, EVFILT_WRITE, EV_ADD, 0, 0, USER(here));
    assert_int_equal(kevent(kq, changes, 3, NULL, 0, NULL), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(kqueueEmulationArmed(kq, here, EVFILT_READ), 1);
    assert_int_equal(kqueueEmulationArmed(kq, here, EVFILT_WRITE), 0);
}

#ifdef EV_RECEIPT
TEST(receipts_answer_each_change_and_drain_nothing) {
    add(writeEnd, EVFILT_WRITE);
    struct kevent list[2]; /* The same array for changes and events. */
    EV_SET(&list[0], here, EVFILT_READ, EV_ADD | EV_RECEIPT, 0, 0, USER(here));
    EV_SET(&list[1], there, EVFILT_READ, EV_DELETE | EV_RECEIPT, 0, 0, USER(there));
    assert_int_equal(kevent(kq, list, 2, list, 2, NULL), 2);
    assert_true(list[0].flags & EV_ERROR);
    assert_int_equal(list[0].ident, here);
    assert_int_equal(list[0].data, 0);
    assert_true(list[1].flags & EV_ERROR);
    assert_int_equal(list[1].ident, there);
    assert_int_equal(list[1].data, ENOENT);
    assert_int_equal((list[1].flags & EV_DELETE) != 0, thisSystem() == MACOS);
}

TEST(a_receipt_without_room_leaves_the_later_changes_unmade) {
    struct kevent changes[3];
    EV_SET(&changes[0], here, EVFILT_READ, EV_ADD | EV_RECEIPT, 0, 0, USER(here));
    EV_SET(&changes[1], here, EVFILT_WRITE, EV_ADD | EV_RECEIPT, 0, 0, USER(here));
    EV_SET(&changes[2], there, EVFILT_READ, EV_ADD | EV_RECEIPT, 0, 0, USER(there));
    assert_int_equal(kevent(kq, changes, 3, got, 1, NULL), 1);
    assert_int_equal(kqueueEmulationArmed(kq, here, 0), 2);
    assert_int_equal(kqueueEmulationArmed(kq, there, 0), 0);
}

#else
TEST(changes_that_succeed_let_pending_events_through) {
    add(writeEnd, EVFILT_WRITE);
    struct kevent list[2]; /* The same array for changes and events. */
    EV_SET(&list[0], here, EVFILT_READ, EV_ADD, 0, 0, USER(here));
    assert_int_equal(kevent(kq, list, 1, list, 2, NULL), 1);
    assert_false(list[0].flags & EV_ERROR);
    assert_int_equal(list[0].ident, writeEnd);
    EV_SET(&list[0], there, EVFILT_READ, EV_DELETE, 0, 0, USER(there));
    assert_int_equal(kevent(kq, list, 1, list, 2, NULL), 1);
    assert_true(list[0].flags & EV_ERROR);
    assert_int_equal(list[0].data, ENOENT);
}
#endif

TEST(an_EV_ADD_can_be_made_to_fail_once) {
    kqueueEmulationFailAdd(EVFILT_WRITE, ENOMEM);
    add(here, EVFILT_READ);
    assert_int_equal(change(here, EVFILT_WRITE, EV_ADD), ENOMEM);
    assert_int_equal(kqueueEmulationArmed(kq, here, 0), 1);
    add(here, EVFILT_WRITE);
    assert_int_equal(kqueueEmulationArmed(kq, here, 0), 2);
}

TEST(calls_and_the_largest_batch_are_counted) {
    poll64();
    kevent(kq, NULL, 0, got, 3, &zero);
    assert_int_equal(kqueueEmulationCalls(), 2);
    assert_int_equal(kqueueEmulationLargestBatch(), 64);
}

/// Closing ///

TEST(closing_an_fd_removes_its_knotes_at_once) {
    int fd = dup(here);
    add(fd, EVFILT_READ);
    add(fd, EVFILT_WRITE);
    close(fd);
    assert_int_equal(kqueueEmulationArmed(kq, fd, 0), 0);
    assert_int_equal(poll64(), 0);
}

TEST(a_reused_number_has_no_knotes) {
    int fd = dup(here);
    add(fd, EVFILT_WRITE);
    close(fd);
    assert_int_equal(dup(here), fd); /* Even the same file. */
    assert_int_equal(poll64(), 0);
    assert_int_equal(change(fd, EVFILT_WRITE, EV_DELETE), ENOENT);
    close(fd);
}

TEST(closing_a_number_counts_even_if_a_duplicate_lives_on) {
    int fd = dup(writeEnd), duplicate = dup(fd);
    assert_int_equal(change(fd, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
    close(fd);
    assert_int_equal(poll64(), 0);
    close(duplicate);
}

TEST(closing_a_duplicate_leaves_the_knotes_alone) {
    int duplicate = dup(writeEnd);
    add(writeEnd, EVFILT_WRITE);
    close(duplicate);
    assert_int_equal(poll64(), 1);
}

TEST(dup2_over_an_fd_closes_it) {
    int fd = dup(here);
    add(fd, EVFILT_WRITE);
    assert_int_equal(dup2(writeEnd, fd), fd);
    assert_int_equal(poll64(), 0);
    add(fd, EVFILT_WRITE);
    assert_int_equal(dup3(here, fd, O_CLOEXEC), fd);
    assert_int_equal(poll64(), 0);
    close(fd);
}

TEST(dup2_that_closes_nothing_removes_nothing) {
    add(writeEnd, EVFILT_WRITE);
    assert_int_equal(dup2(writeEnd, writeEnd), writeEnd);
    assert_int_equal(dup2(-1, writeEnd), -1);
    assert_int_equal(poll64(), 1);
}

TEST(close_range_closes_each_fd) {
    int fd = fcntl(here, F_DUPFD, 200);
    add(fd, EVFILT_WRITE);
    assert_int_equal(close_range(200, 300, 0), 0);
    assert_int_equal(kqueueEmulationArmed(kq, fd, 0), 0);
    assert_int_equal(change(fd, EVFILT_WRITE, EV_DELETE), EBADF);
}

TEST(a_close_inside_libc_is_noticed_by_the_next_call) {
    FILE *file = fdopen(dup(here), "w");
    int fd = fileno(file);
    add(fd, EVFILT_WRITE);
    fclose(file);
    assert_int_equal(poll64(), 0);
    assert_int_equal(kqueueEmulationArmed(kq, fd, 0), 0);
}

static void closeSomething(int signal) {
    (void)signal;
    int error = errno;
    close(-1);
    errno = error;
}

TEST(a_signal_handler_may_close_at_any_moment) {
    struct sigaction action = {.sa_handler = closeSomething};
    sigaction(SIGALRM, &action, NULL); /* Not restored: a late signal may arrive at the end. */
    struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &often, NULL);
    add(writeEnd, EVFILT_WRITE);
    for (int i = 0; i < 2000; i++) {
        close(dup(here));
        assert_int_equal(poll64(), 1);
    }
    setitimer(ITIMER_REAL, &never, NULL);
}

/// Readiness ///

TEST(events_are_level_triggered) {
    add(readEnd, EVFILT_READ);
    assert_int_equal(poll64(), 0);
    put(writeEnd, "abc");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(poll64(), 1);
        assertEvent(&got[0], readEnd, EVFILT_READ);
    }
    drain(readEnd, 3);
    assert_int_equal(poll64(), 0);
}

TEST(data_holds_the_bytes_to_read) {
    add(readEnd, EVFILT_READ);
    add(here, EVFILT_READ);
    put(writeEnd, "abc");
    put(there, "abcdef");
    assert_int_equal(poll64(), 2);
    assert_int_equal(got[0].data, got[0].ident == (uintptr_t)readEnd ? 3 : 6);
    assert_int_equal(got[1].data, got[1].ident == (uintptr_t)readEnd ? 3 : 6);
}

TEST(a_full_pipe_is_not_writable) {
    add(writeEnd, EVFILT_WRITE);
    assert_int_equal(poll64(), 1);
    assert_true(got[0].data > 0);
    fillUp(writeEnd);
    assert_int_equal(poll64(), 0);
}

TEST(EV_ONESHOT_removes_the_knote_with_its_first_event) {
    assert_int_equal(change(writeEnd, EVFILT_WRITE, EV_ADD | EV_ONESHOT), 0);
    assert_int_equal(poll64(), 1);
    assert_int_equal(poll64(), 0);
    assert_int_equal(change(writeEnd, EVFILT_WRITE, EV_DELETE), ENOENT);
}

TEST(EV_CLEAR_reports_only_news) {
    assert_int_equal(change(here, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    assert_int_equal(change(here, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
    put(there, "x");
    assert_int_equal(poll64(), 2);
    assert_int_equal(poll64(), 0);
    put(there, "x"); /* A change for reading, though the first byte was not read. */
    assert_int_equal(poll64(), 1);
    assertEvent(&got[0], here, EVFILT_READ);
    assert_int_equal(poll64(), 0);
}

TEST(EV_CLEAR_does_not_report_news_that_went_by) {
    assert_int_equal(change(readEnd, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    put(writeEnd, "x");
    drain(readEnd, 1);
    assert_int_equal(poll64(), 0);
}

TEST(adding_an_EV_CLEAR_knote_again_reports_what_holds) {
    for (int i = 0; i < 2; i++) {
        assert_int_equal(change(writeEnd, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
        assert_int_equal(poll64(), 1);
        assert_int_equal(poll64(), 0);
    }
    add(writeEnd, EVFILT_WRITE); /* Level-triggered from now on. */
    assert_int_equal(poll64(), 1);
    assert_int_equal(poll64(), 1);
}

TEST(EV_CLEAR_of_a_reused_number_hears_nothing_of_the_old_file) {
    int fd = dup(here);
    assert_int_equal(change(fd, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    assert_int_equal(dup2(readEnd, fd), fd);
    assert_int_equal(change(fd, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    put(writeEnd, "x");
    assert_int_equal(poll64(), 1);
    put(there, "x");
    assert_int_equal(poll64(), 0);
    close(fd);
}

TEST(EV_CLEAR_after_being_disabled_reports_what_holds) {
    assert_int_equal(change(readEnd, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    put(writeEnd, "x");
    assert_int_equal(poll64(), 1);
    assert_int_equal(change(readEnd, EVFILT_READ, EV_DISABLE), 0);
    assert_int_equal(change(readEnd, EVFILT_READ, EV_ENABLE), 0);
    assert_int_equal(poll64(), 1);
    assert_int_equal(poll64(), 0);
}

TEST(a_pipe_without_writer_is_EOF_for_its_reader) {
    add(readEnd, EVFILT_READ);
    put(writeEnd, "abc");
    close(writeEnd);
    assert_int_equal(poll64(), 1);
    assert_true(got[0].flags & EV_EOF);
    assert_int_equal(got[0].data, 3);
    drain(readEnd, 3);
    assert_int_equal(poll64(), 1);
    assertEvent(&got[0], readEnd, EVFILT_READ);
    assert_true(got[0].flags & EV_EOF);
    assert_int_equal(got[0].data, 0);
}

TEST(a_full_pipe_without_reader_is_EOF_for_its_writer_unless_it_is_NetBSDs) {
    fillUp(writeEnd);
    add(writeEnd, EVFILT_WRITE);
    assert_int_equal(poll64(), 0);
    close(readEnd);
    assert_int_equal(poll64(), thisSystem() != NETBSD);
    if (thisSystem() == NETBSD) return;
    assertEvent(&got[0], writeEnd, EVFILT_WRITE);
    assert_true(got[0].flags & EV_EOF);
}

TEST(a_pipe_without_reader_may_be_refused_for_writing_unless_it_is_watched) {
    static const int errors[SYSTEMS] = {EPIPE, EPIPE, EBADF, 0, EPIPE, 0};
    (void)state;
    struct kevent change;
    add(writeEnd, EVFILT_WRITE);
    close(readEnd);
    add(writeEnd, EVFILT_WRITE);
    EV_SET(&change, (uintptr_t)writeEnd, EVFILT_WRITE, EV_DELETE, 0, 0, 0);
    assert_int_equal(kevent(kq, &change, 1, NULL, 0, NULL), 0);
    EV_SET(&change, (uintptr_t)writeEnd, EVFILT_WRITE, EV_ADD, 0, 0, 0);
    errno = 0;
    kevent(kq, &change, 1, NULL, 0, NULL);
    assert_int_equal(errno, errors[thisSystem()]);
    assert_int_equal(poll64(), errno == 0);
}

TEST(the_wrong_end_of_a_pipe_is_silent_on_FreeBSD) {
    add(writeEnd, EVFILT_READ);
    assert_int_equal(poll64(), 0);
    close(readEnd);
    assert_int_equal(poll64(), thisSystem() != FREEBSD);
    if (thisSystem() != FREEBSD) assert_true(got[0].flags & EV_EOF);
}

TEST(each_system_refuses_other_files) {
    static const int fileWritten[SYSTEMS] = {0, 0, EINVAL, EINVAL, EINVAL, 0};
    static const int deviceRead[SYSTEMS] = {ENODEV, 0, 0, 0, 0, EINVAL};
    static const int deviceWritten[SYSTEMS] = {ENODEV, 0, 0, EINVAL, EINVAL, EINVAL};
    (void)state;
    FILE *file = tmpfile();
    int device = open("/dev/null", O_RDWR), terminal = posix_openpt(O_RDWR | O_NOCTTY);
    assert_int_equal(change(fileno(file), EVFILT_READ, EV_ADD), 0);
    assert_int_equal(change(fileno(file), EVFILT_WRITE, EV_ADD), fileWritten[thisSystem()]);
    assert_int_equal(change(device, EVFILT_READ, EV_ADD), deviceRead[thisSystem()]);
    assert_int_equal(change(device, EVFILT_WRITE, EV_ADD), deviceWritten[thisSystem()]);
    assert_int_equal(change(terminal, EVFILT_READ, EV_ADD), 0);
    assert_int_equal(change(terminal, EVFILT_WRITE, EV_ADD), 0);
    fclose(file);
    close(device);
    close(terminal);
}

TEST(DragonFly_tells_how_much_of_a_socket_has_ended) {
    enum { NODATA = 0x1000, HUP = 0x0800 };
    static const struct {
        int flags;
        const char *input;
    } expected[] = {{0, "x"}, {NODATA, ""}, {NODATA | HUP, ""}};
    (void)state;
    add(here, EVFILT_READ);
    put(there, "x");
    shutdown(there, SHUT_WR);
    for (int i = 0; i < 3; i++) {
        if (i == 1) drain(here, 1);
        if (i == 2) close(there);
        assert_int_equal(poll64(), 1);
        assert_int_equal(got[0].flags & ~EV_EOF, thisSystem() == DRAGONFLY ? expected[i].flags : 0);
    }
}

/// poll(2) ///

/* What poll(2) of each system reports, if POLLIN, POLLOUT or both are requested. */
static void assertPoll(int fd, int in, int out, int both) {
    const short events[3] = {POLLIN, POLLOUT, POLLIN | POLLOUT};
    const int expected[3] = {in, out, both};
    for (int i = 0; i < 3; i++) {
        struct pollfd request = {fd, events[i], 0};
        assert_int_equal(kqueueEmulationPoll(&request, 1, 0), expected[i] != 0);
        assert_int_equal(request.revents, expected[i]);
        assert_int_equal(request.events, events[i]);
    }
}

TEST(poll_reports_a_half_close_as_each_system_does) {
    shutdown(there, SHUT_WR);
    if (thisSystem() == MACOS)
        assertPoll(here, POLLIN | POLLHUP, POLLOUT, POLLIN | POLLHUP);
    else
        assertPoll(here, POLLIN, POLLOUT, POLLIN | POLLOUT);
}

TEST(poll_reports_a_hang_up_as_each_system_does) {
    const int all = POLLIN | POLLOUT | POLLHUP;
    (void)state;
    close(there);
    if (thisSystem() == NETBSD)
        assertPoll(here, POLLIN, POLLOUT, POLLIN | POLLOUT);
    else if (thisSystem() == MACOS)
        assertPoll(here, POLLIN | POLLHUP, POLLHUP, POLLIN | POLLHUP);
    else
        assertPoll(here, POLLIN | POLLHUP, POLLOUT | POLLHUP, all);
}

TEST(poll_reports_devices_as_each_system_does) {
    int device = open("/dev/null", O_RDWR);
    (void)state;
    if (thisSystem() == MACOS)
        assertPoll(device, POLLNVAL, POLLNVAL, POLLNVAL);
    else
        assertPoll(device, POLLIN, POLLOUT, POLLIN | POLLOUT);
    close(device);
}

TEST(poll_waits_if_the_system_would_not_report_what_Linux_does) {
    const bool reported = thisSystem() != NETBSD && thisSystem() != MACOS;
    struct pollfd request = {here, 0, 0};
    (void)state;
    close(there);
    long long began = nanoseconds();
    assert_int_equal(kqueueEmulationPoll(&request, 1, 20), reported);
    assert_true(reported || nanoseconds() - began >= 20 * 1000000LL);
}

/// More of events ///

TEST(a_peer_that_shuts_down_is_EOF_for_reading_only) {
    add(here, EVFILT_READ);
    add(here, EVFILT_WRITE);
    put(there, "x");
    shutdown(there, SHUT_WR);
    assert_int_equal(poll64(), 2);
    for (int i = 0; i < 2; i++) {
        bool eof = (got[i].flags & EV_EOF) != 0;
        assert_true(eof == (got[i].filter == EVFILT_READ));
        if (eof) assert_int_equal(got[i].data, 1);
        assert_int_equal(got[i].fflags, 0);
    }
}

static int listenOn(struct sockaddr_in *address) {
    socklen_t length = sizeof(*address);
    memset(address, 0, sizeof(*address));
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)address, sizeof(*address)), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)address, &length), 0);
    return listener;
}

TEST(a_listening_socket_is_readable_when_someone_connects) {
    struct sockaddr_in address;
    int listener = listenOn(&address), client = socket(AF_INET, SOCK_STREAM, 0);
    add(listener, EVFILT_READ);
    assert_int_equal(poll64(), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(kevent(kq, NULL, 0, got, 64, NULL), 1);
    assertEvent(&got[0], listener, EVFILT_READ);
    assert_int_equal(got[0].flags & EV_EOF, 0);
    assert_true(got[0].data >= 1);
    close(client);
    close(listener);
}

/* A socket that has a pending ECONNREFUSED. */
static int refusedSocket(void) {
    struct sockaddr_in address;
    close(listenOn(&address)); /* Its port is free now. */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
    assert_int_equal(errno, EINPROGRESS);
    return fd;
}

static int socketError(int fd) {
    int error = -1;
    socklen_t length = sizeof(error);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
    return error;
}

TEST(fflags_hold_the_socket_error_which_getsockopt_still_finds) {
    int fd = refusedSocket();
    add(fd, EVFILT_WRITE);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kevent(kq, NULL, 0, got, 64, NULL), 1);
        assert_true(got[0].flags & EV_EOF);
        assert_int_equal(got[0].fflags, ECONNREFUSED);
    }
    assert_int_equal(change(fd, EVFILT_WRITE, EV_DELETE), 0);
    assert_int_equal(socketError(fd), ECONNREFUSED);
    assert_int_equal(socketError(fd), 0);
    close(fd);
}

TEST(the_socket_error_can_be_left_on_the_socket) {
    kqueueEmulationReportSocketErrors(false);
    int fd = refusedSocket();
    add(fd, EVFILT_WRITE);
    assert_int_equal(kevent(kq, NULL, 0, got, 64, NULL), 1);
    assert_true(got[0].flags & EV_EOF);
    assert_int_equal(got[0].fflags, 0);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
}

TEST(a_regular_file_is_readable_before_its_end_and_always_writable) {
    char name[] = "/tmp/kqueueXXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    add(fd, EVFILT_READ);
    assert_int_equal(poll64(), 0);
    put(fd, "abcdef");
    assert_int_equal(poll64(), 0);
    lseek(fd, 2, SEEK_SET);
    assert_int_equal(poll64(), 1);
    assert_int_equal(got[0].data, 4);
    int events = change(fd, EVFILT_WRITE, EV_ADD) == 0 ? 2 : 1;
    assert_int_equal(poll64(), events);
    close(fd);
}

/// Order and number ///

TEST(reading_and_writing_are_two_events) {
    add(here, EVFILT_READ);
    add(here, EVFILT_WRITE);
    put(there, "x");
    assert_int_equal(poll64(), 2);
    assertEvent(&got[0], here, EVFILT_READ);
    assertEvent(&got[1], here, EVFILT_WRITE);
}

TEST(shuffling_tells_the_same_events_in_another_order) {
    add(here, EVFILT_READ);
    add(here, EVFILT_WRITE);
    add(there, EVFILT_WRITE);
    add(writeEnd, EVFILT_WRITE);
    put(there, "x");
    kqueueEmulationShuffle(42);
    int apart = 0, adjacent = 0, writeFirst = 0;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(poll64(), 4);
        int reading = -1, writing = -1, others = 0;
        for (int j = 0; j < 4; j++) {
            if (got[j].ident != (uintptr_t)here)
                others++;
            else if (got[j].filter == EVFILT_READ)
                reading = j;
            else
                writing = j;
        }
        assert_true(reading >= 0 && writing >= 0 && others == 2);
        if (reading - writing == 1 || writing - reading == 1)
            adjacent++;
        else
            apart++;
        writeFirst += writing < reading;
    }
    assert_true(apart > 0 && adjacent > 0 && writeFirst > 0 && writeFirst < 100);
}

TEST(a_short_list_gets_every_event_in_turn) {
    add(here, EVFILT_WRITE);
    add(there, EVFILT_WRITE);
    add(writeEnd, EVFILT_WRITE);
    uintptr_t seen[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kevent(kq, NULL, 0, got, 1, &zero), 1);
        seen[i] = got[0].ident;
    }
    assert_true(seen[0] != seen[1] && seen[1] != seen[2] && seen[0] != seen[2]);
}

TEST(twenty_thousand_fds_are_each_told_once_a_round) {
    enum { BATCH = 1000 };
    struct rlimit limit, before;
    getrlimit(RLIMIT_NOFILE, &before);
    limit = before;
    limit.rlim_cur = 20100;
    if (limit.rlim_max < limit.rlim_cur) limit.rlim_max = limit.rlim_cur;
    if (setrlimit(RLIMIT_NOFILE, &limit) == -1) limit = before; /* Then as many as there may be. */

    put(writeEnd, "x");
    int *fds = calloc(20000, sizeof(*fds)), count = 0;
    char *told = calloc(32768, 1);
    struct kevent *events = calloc(BATCH, sizeof(*events));
    while (count < 20000 && (fds[count] = dup(readEnd)) != -1) add(fds[count++], EVFILT_READ);
    int last = -1, total = 0;
    while (last != 0 && total < count) {
        int wanted = count - total < BATCH ? count - total : BATCH;
        last = kevent(kq, NULL, 0, events, (KqueueEmulationCount)wanted, &zero);
        for (int i = 0; i < last; i++) assert_int_equal(told[events[i].ident]++, 0);
        total += last;
    }
    assert_int_equal(total, count);
    for (int i = 0; i < count; i++) close(fds[i]);
    assert_int_equal(poll64(), 0);
    setrlimit(RLIMIT_NOFILE, &before);
    free(fds);
    free(told);
    free(events);
}

/// Time ///

TEST(a_zero_timeout_does_not_wait) {
    add(readEnd, EVFILT_READ);
    assert_int_equal(poll64(), 0);
}

TEST(no_room_for_events_returns_at_once) {
    add(writeEnd, EVFILT_WRITE);
    assert_int_equal(kevent(kq, NULL, 0, NULL, 0, NULL), 0);
    assert_int_equal(kevent(kq, NULL, 0, got, 0, NULL), 0);
}

TEST(a_timeout_is_never_cut_short) {
    add(readEnd, EVFILT_READ);
    const long waits[] = {1, 1000, 123456, 999999, 1000001, 3700000};
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        struct timespec timeout = {0, waits[i]};
        long long start = nanoseconds();
        assert_int_equal(kevent(kq, NULL, 0, got, 64, &timeout), 0);
        assert_true(nanoseconds() - start >= waits[i]);
    }
}

TEST(a_timeout_of_microseconds_is_not_rounded_to_milliseconds) {
    struct timespec timeout = {0, 10000};
    long long shortest =
        INT64_MAX; /* On a busy machine some of them may fail, but not a thousand. */
    for (int i = 0; i < 1000 && shortest >= 1000000; i++) {
        long long start = nanoseconds();
        assert_int_equal(kevent(kq, NULL, 0, got, 64, &timeout), 0);
        long long took = nanoseconds() - start;
        if (took < shortest) shortest = took;
    }
    assert_true(shortest < 1000000);
}

TEST(an_invalid_timeout_is_EINVAL_after_the_changes) {
    const struct timespec invalid[] = {{0, -1}, {0, 1000000000}, {-1, 0}};
    for (int i = 0; i < 3; i++) {
        struct kevent event;
        EV_SET(&event, writeEnd, EVFILT_WRITE, EV_ADD, 0, 0, USER(writeEnd));
        assert_int_equal(kevent(kq, &event, 1, got, 64, &invalid[i]), -1);
        assert_int_equal(errno, EINVAL);
        assert_int_equal(change(writeEnd, EVFILT_WRITE, EV_DELETE), 0);
    }
}

TEST(a_huge_timeout_waits_for_an_event_or_is_refused) {
    struct timespec timeout = {(time_t)(sizeof(time_t) == 4 ? INT32_MAX : INT64_MAX), 999999999};
    add(writeEnd, EVFILT_WRITE);
    bool refused = thisSystem() == MACOS || thisSystem() == OPENBSD5;
    assert_int_equal(kevent(kq, NULL, 0, got, 64, &timeout), refused ? -1 : 1);
    if (refused) assert_int_equal(errno, EINVAL);
}

static void doNothing(int signal) {
    (void)signal;
}

/* Adds a read knote in a call that then waits until a signal. */
static void assertSignalEndsWait(int fd) {
    struct sigaction action = {.sa_handler = doNothing, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL); /* Not restored: a late signal may arrive at the end. */
    struct itimerval soon = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
    struct kevent event;
    EV_SET(&event, fd, EVFILT_READ, EV_ADD, 0, 0, USER(fd));
    setitimer(ITIMER_REAL, &soon, NULL);
    int result = kevent(kq, &event, 1, got, 64, NULL), error = errno;
    setitimer(ITIMER_REAL, &never, NULL);
    assert_int_equal(result, -1);
    assert_int_equal(error, EINTR);
    assert_int_equal(kqueueEmulationArmed(kq, fd, EVFILT_READ), 1);
}

TEST(a_signal_ends_a_wait_with_EINTR_after_the_changes) {
    assertSignalEndsWait(readEnd);
}

TEST(a_file_at_its_end_lets_kevent_sleep) {
    char name[] = "/tmp/kqueueXXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    assertSignalEndsWait(fd);
    close(fd);
}

/// Threads ///

static void *waitInThread(void *argument) {
    int *result = argument;
    *result = kevent(kq, NULL, 0, got, 64, NULL);
    if (*result == -1) *result = -errno;
    return NULL;
}

static pthread_t startWaiting(int *result) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, waitInThread, result), 0);
    while (kqueueEmulationSleepers(kq) == 0) sched_yield();
    return thread;
}

TEST(a_wait_in_one_thread_does_not_hold_up_another) {
    int result, other = kqueue();
    struct kevent event;
    add(readEnd, EVFILT_READ);
    pthread_t thread = startWaiting(&result);
    for (int i = 0; i < 1000; i++) {
        EV_SET(&event, here, EVFILT_WRITE, EV_ADD | EV_ONESHOT, 0, 0, USER(here));
        assert_int_equal(kevent(other, &event, 1, &event, 1, NULL), 1);
        close(dup(there));
    }
    put(writeEnd, "x");
    pthread_join(thread, NULL);
    assert_int_equal(result, 1);
    close(other);
}

TEST(a_knote_added_in_another_thread_ends_a_wait) {
    int result;
    pthread_t thread = startWaiting(&result);
    add(writeEnd, EVFILT_WRITE);
    pthread_join(thread, NULL);
    assert_int_equal(result, 1);
}

TEST(news_ends_a_wait) {
    int result;
    assert_int_equal(change(readEnd, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    pthread_t thread = startWaiting(&result);
    put(writeEnd, "x");
    pthread_join(thread, NULL);
    assert_int_equal(result, 1);
}

TEST(closing_the_queue_ends_a_wait_with_EBADF) {
    int result;
    pthread_t thread = startWaiting(&result);
    close(kq);
    pthread_join(thread, NULL);
    assert_int_equal(result, -EBADF);
}

#ifdef KQUEUE_EMULATION_NETBSD
TEST(kqueue1_can_make_a_queue_close_on_exec_from_birth) {
    int fd = kqueue1(O_CLOEXEC);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    fd = kqueue1(0);
    assert_int_equal(fcntl(fd, F_GETFD), 0);
    close(fd);
    assert_int_equal(kqueue1(O_APPEND), -1);
    assert_int_equal(errno, EINVAL);
}

TEST(EV_SET_evaluates_its_first_argument_six_times) {
    struct kevent events[6], *event = events;
    EV_SET(event++, 1, EVFILT_READ, EV_ADD, 0, 0, 0);
    assert_ptr_equal(event, events + 6);
}
#else
TEST(EV_SET_evaluates_its_first_argument_once) {
    struct kevent events[2], *event = events;
    EV_SET(event++, 1, EVFILT_READ, EV_ADD, 0, 0, NULL);
    assert_ptr_equal(event, events + 1);
}
#endif
