/* Tests tests/support/evport, on which the event port backend is tested. Each test has a port and
 * the two ends of a pipe and of a socket pair.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */

#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <port.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/evport/port_emulation.h"
#include "support/suite.h"

static int port, readEnd, writeEnd, here, there;
static port_event_t got[64];
static unsigned nget;

static int setUp(void **state) {
    (void)state;
    portEmulationReset();
    memset(got, 0, sizeof(got));
    int ends[2];
    if (pipe(ends) == -1) return -1;
    readEnd = ends[0];
    writeEnd = ends[1];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1) return -1;
    here = ends[0];
    there = ends[1];
    port = port_create();
    return port == -1 ? -1 : 0;
}

static int tearDown(void **state) {
    (void)state;
    close(port);
    close(readEnd);
    close(writeEnd);
    close(here);
    close(there);
    return 0;
}

#define TEST(name) TEST_BETWEEN(setUp, name, tearDown)

static void *user(int number) {
    return (void *)(intptr_t)number;
}

/* Returns 0 or the errno. */
static int associate(int fd, int events) {
    return port_associate(port, PORT_SOURCE_FD, (uintptr_t)fd, events, user(fd)) == 0 ? 0 : errno;
}

static int dissociate(int fd) {
    return port_dissociate(port, PORT_SOURCE_FD, (uintptr_t)fd) == 0 ? 0 : errno;
}

/* Calls port_getn for up to max events, and waits for nget of them. Returns 0 or the errno. */
static int getn(unsigned max, unsigned wanted, time_t seconds, long nanoseconds) {
    struct timespec timeout = {seconds, nanoseconds};
    nget = wanted;
    return port_getn(port, got, max, &nget, seconds == -1 ? NULL : &timeout) == 0 ? 0 : errno;
}

enum { FOR_EVER = -1 };

/* The events that are queued now. */
static unsigned retrieveAll(void) {
    assert_int_equal(getn(64, 1, 0, 0), 0);
    return nget;
}

static void assertEvent(const port_event_t *event, int fd, int events) {
    assert_int_equal(event->portev_source, PORT_SOURCE_FD);
    assert_int_equal(event->portev_object, fd);
    assert_int_equal(event->portev_events, events);
    assert_ptr_equal(event->portev_user, user(fd));
}

static void put(int fd, const char *text) {
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void drain(int fd, size_t bytes) {
    char buffer[64];
    assert_int_equal(read(fd, buffer, bytes), (ssize_t)bytes);
}

static long long monotonicNanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/// The port's fd ///

TEST(a_port_is_a_real_fd_and_is_not_close_on_exec) {
    assert_int_equal(fcntl(port, F_GETFD), 0);
    assert_int_equal(fcntl(port, F_SETFD, FD_CLOEXEC), 0);
    assert_int_equal(fcntl(port, F_GETFD), FD_CLOEXEC);
}

TEST(a_closed_port_is_EBADF) {
    assert_int_equal(close(port), 0);
    assert_int_equal(fcntl(port, F_GETFD), -1);
    assert_int_equal(associate(readEnd, POLLIN), EBADF);
    assert_int_equal(dissociate(readEnd), EBADF);
    assert_int_equal(getn(64, 1, 0, 0), EBADF);
}

TEST(an_fd_that_is_no_port_is_EBADFD) {
    assert_int_equal(port_associate(here, PORT_SOURCE_FD, (uintptr_t)there, POLLIN, NULL), -1);
    assert_int_equal(errno, EBADFD);
    assert_int_equal(port_get(here, got, NULL), -1);
    assert_int_equal(errno, EBADFD);
}

TEST(a_port_at_the_number_of_a_closed_one_is_empty) {
    int number = port;
    assert_int_equal(associate(writeEnd, POLLOUT), 0);
    close(port);
    port = port_create();
    assert_int_equal(port, number);
    assert_int_equal(retrieveAll(), 0);
    assert_int_equal(dissociate(writeEnd), ENOENT);
}

TEST(two_ports_do_not_share_associations) {
    struct timespec zero = {0, 0};
    int other = port_create();
    assert_int_equal(associate(writeEnd, POLLOUT), 0);
    assert_int_equal(port_get(other, got, &zero), -1);
    assert_int_equal(errno, ETIME);
    assert_int_equal(retrieveAll(), 1);
    close(other);
}

TEST(a_child_can_use_a_port_of_its_own) {
    pid_t child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0) {
        close(port);
        port = port_create();
        _exit(associate(writeEnd, POLLOUT) == 0 && getn(64, 1, 0, 0) == 0 && nget == 1 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(retrieveAll(), 0);
}

/// Associations ///

TEST(an_event_carries_source_object_and_user) {
    assert_int_equal(associate(here, POLLIN | POLLOUT), 0);
    assert_int_equal(retrieveAll(), 1);
    assertEvent(&got[0], here, POLLOUT);
}

TEST(reading_and_writing_are_one_event) {
    put(there, "x");
    assert_int_equal(associate(here, POLLIN | POLLOUT), 0);
    assert_int_equal(retrieveAll(), 1);
    assertEvent(&got[0], here, POLLIN | POLLOUT);
}

TEST(retrieving_an_event_ends_the_association) {
    assert_int_equal(associate(writeEnd, POLLOUT), 0);
    assert_int_equal(portEmulationAssociated(port, writeEnd), POLLOUT);
    assert_int_equal(retrieveAll(), 1);
    assert_int_equal(portEmulationAssociated(port, writeEnd), -1);
    assert_int_equal(retrieveAll(), 0);
    assert_int_equal(dissociate(writeEnd), ENOENT);
}

TEST(associating_again_reports_a_condition_that_still_holds) {
    put(writeEnd, "x");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(associate(readEnd, POLLIN), 0);
        assert_int_equal(retrieveAll(), 1);
        assertEvent(&got[0], readEnd, POLLIN);
    }
}

TEST(associating_an_associated_fd_replaces_events_and_user) {
    put(there, "x");
    assert_int_equal(associate(here, POLLIN), 0);
    assert_int_equal(port_associate(port, PORT_SOURCE_FD, (uintptr_t)here, POLLOUT, user(99)), 0);
    assert_int_equal(retrieveAll(), 1);
    assert_int_equal(got[0].portev_events, POLLOUT);
    assert_ptr_equal(got[0].portev_user, user(99));
}

TEST(associating_an_associated_fd_drops_its_queued_event) {
    assert_int_equal(associate(here, POLLOUT), 0);
    assert_int_equal(associate(here, POLLIN), 0);
    assert_int_equal(retrieveAll(), 0);
    assert_int_equal(portEmulationAssociated(port, here), POLLIN);
}

TEST(dissociating_drops_the_queued_event) {
    assert_int_equal(associate(here, POLLOUT), 0);
    assert_int_equal(dissociate(here), 0);
    assert_int_equal(retrieveAll(), 0);
}

TEST(dissociating_what_is_not_associated_is_ENOENT) {
    assert_int_equal(dissociate(here), ENOENT);
    assert_int_equal(associate(here, POLLIN), 0);
    assert_int_equal(dissociate(here), 0);
    assert_int_equal(dissociate(here), ENOENT);
}

TEST(a_closed_fd_is_EBADFD) {
    int closed = dup(here);
    assert_int_equal(associate(closed, POLLIN), 0);
    close(closed);
    assert_int_equal(dissociate(closed), EBADFD);
    assert_int_equal(associate(closed, POLLIN), EBADFD);
    assert_int_equal(associate(-1, POLLIN), EBADFD);
}

TEST(another_source_is_EINVAL) {
    assert_int_equal(port_associate(port, PORT_SOURCE_FD + 1, (uintptr_t)here, POLLIN, NULL), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(port_dissociate(port, PORT_SOURCE_FD + 1, (uintptr_t)here), -1);
    assert_int_equal(errno, EINVAL);
}

TEST(a_full_port_is_EAGAIN_until_there_is_room) {
    portEmulationLimit(2);
    assert_int_equal(associate(here, POLLOUT), 0);
    assert_int_equal(associate(readEnd, POLLIN), 0);
    assert_int_equal(associate(writeEnd, POLLOUT), EAGAIN);
    assert_int_equal(associate(readEnd, POLLIN), 0); /* Not one more. */
    assert_int_equal(retrieveAll(), 1);
    assert_int_equal(associate(writeEnd, POLLOUT), 0);
    assert_int_equal(associate(here, POLLOUT), EAGAIN);
    assert_int_equal(dissociate(readEnd), 0);
    assert_int_equal(associate(here, POLLOUT), 0);
}

TEST(an_association_can_be_made_to_fail_once) {
    portEmulationFailAssociate(ENOMEM);
    assert_int_equal(associate(here, POLLOUT), ENOMEM);
    assert_int_equal(portEmulationAssociated(port, here), -1);
    assert_int_equal(associate(here, POLLOUT), 0);
}

TEST(calls_are_counted) {
    associate(here, POLLOUT);
    dissociate(here);
    retrieveAll();
    assert_int_equal(portEmulationCalls(), 3);
}

/// Closing ///

TEST(closing_an_fd_drops_its_association_and_event) {
    int fd = dup(here);
    assert_int_equal(associate(fd, POLLOUT), 0);
    close(fd);
    assert_int_equal(portEmulationAssociated(port, fd), -1);
    assert_int_equal(retrieveAll(), 0);
}

TEST(a_reused_number_is_not_associated) {
    int fd = dup(here);
    assert_int_equal(associate(fd, POLLOUT), 0);
    close(fd);
    assert_int_equal(dup(here), fd);
    assert_int_equal(retrieveAll(), 0);
    assert_int_equal(dissociate(fd), ENOENT);
    close(fd);
}

TEST(dup2_over_an_fd_closes_it) {
    int fd = dup(here);
    assert_int_equal(associate(fd, POLLOUT), 0);
    assert_int_equal(dup2(writeEnd, fd), fd);
    assert_int_equal(retrieveAll(), 0);
    assert_int_equal(dissociate(fd), ENOENT);
    close(fd);
}

TEST(closing_a_duplicate_leaves_the_association_alone) {
    int duplicate = dup(here);
    assert_int_equal(associate(here, POLLOUT), 0);
    close(duplicate);
    assert_int_equal(retrieveAll(), 1);
}

TEST(a_close_inside_libc_is_noticed_by_the_next_look) {
    FILE *file = fdopen(dup(here), "w");
    int fd = fileno(file);
    assert_int_equal(associate(fd, POLLIN), 0);
    fclose(file);
    assert_int_equal(retrieveAll(), 0);
    assert_int_equal(portEmulationAssociated(port, fd), -1);
}

/// Conditions ///

TEST(a_condition_that_comes_true_later_is_reported) {
    assert_int_equal(associate(readEnd, POLLIN), 0);
    assert_int_equal(retrieveAll(), 0);
    put(writeEnd, "x");
    assert_int_equal(retrieveAll(), 1);
    assertEvent(&got[0], readEnd, POLLIN);
}

TEST(an_event_is_delivered_though_its_data_was_read_meanwhile) {
    put(writeEnd, "x");
    assert_int_equal(associate(readEnd, POLLIN), 0);
    drain(readEnd, 1);
    assert_int_equal(retrieveAll(), 1);
    assertEvent(&got[0], readEnd, POLLIN);
    assert_int_equal(associate(readEnd, POLLIN), 0);
    assert_int_equal(retrieveAll(), 0);
}

TEST(an_event_can_be_noticed_before_its_data_is_read) {
    assert_int_equal(associate(readEnd, POLLIN), 0);
    put(writeEnd, "x");
    portEmulationNotice(port);
    drain(readEnd, 1);
    assert_int_equal(retrieveAll(), 1);
}

TEST(a_queued_event_does_not_change) {
    assert_int_equal(associate(here, POLLIN | POLLOUT), 0);
    put(there, "x");
    assert_int_equal(retrieveAll(), 1);
    assertEvent(&got[0], here, POLLOUT);
}

TEST(an_empty_pipe_at_end_of_file_is_POLLHUP_alone) {
    assert_int_equal(associate(readEnd, POLLIN), 0);
    close(writeEnd);
    assert_int_equal(retrieveAll(), 1);
    assertEvent(&got[0], readEnd, POLLHUP);
}

TEST(POLLERR_comes_unasked) {
    assert_int_equal(associate(writeEnd, 0), 0);
    assert_int_equal(retrieveAll(), 0);
    close(readEnd);
    assert_int_equal(retrieveAll(), 1);
    assertEvent(&got[0], writeEnd, POLLERR);
}

TEST(a_regular_file_is_always_ready) {
    char name[] = "/tmp/evportXXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    assert_int_equal(associate(fd, POLLIN | POLLOUT), 0);
    assert_int_equal(retrieveAll(), 1);
    assertEvent(&got[0], fd, POLLIN | POLLOUT);
    close(fd);
}

/// Retrieving ///

TEST(events_come_in_the_order_in_which_they_happened) {
    assert_int_equal(associate(writeEnd, POLLOUT), 0);
    assert_int_equal(associate(readEnd, POLLIN), 0);
    assert_int_equal(associate(here, POLLOUT), 0);
    assert_int_equal(associate(there, POLLOUT), 0);
    put(writeEnd, "x");
    assert_int_equal(dissociate(here), 0);
    assert_int_equal(retrieveAll(), 3);
    assertEvent(&got[0], writeEnd, POLLOUT);
    assertEvent(&got[1], there, POLLOUT);
    assertEvent(&got[2], readEnd, POLLIN);
}

TEST(no_more_than_max_are_retrieved_and_the_others_stay) {
    associate(writeEnd, POLLOUT);
    associate(here, POLLOUT);
    associate(there, POLLOUT);
    assert_int_equal(getn(2, 1, FOR_EVER, 0), 0);
    assert_int_equal(nget, 2);
    assert_int_equal(getn(2, 1, FOR_EVER, 0), 0);
    assert_int_equal(nget, 1);
    assertEvent(&got[0], there, POLLOUT);
}

TEST(a_max_of_0_only_counts) {
    associate(writeEnd, POLLOUT);
    associate(readEnd, POLLIN);
    put(writeEnd, "x");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(getn(0, 1, FOR_EVER, 0), 0);
        assert_int_equal(nget, 2);
    }
    assert_int_equal(retrieveAll(), 2);
}

TEST(an_nget_of_0_retrieves_nothing) {
    associate(writeEnd, POLLOUT);
    assert_int_equal(getn(64, 0, FOR_EVER, 0), 0);
    assert_int_equal(nget, 0);
    assert_int_equal(retrieveAll(), 1);
}

TEST(an_nget_above_max_is_EINVAL) {
    associate(writeEnd, POLLOUT);
    assert_int_equal(getn(1, 2, FOR_EVER, 0), EINVAL);
    assert_int_equal(retrieveAll(), 1);
}

TEST(port_get_retrieves_one_event) {
    associate(writeEnd, POLLOUT);
    associate(here, POLLOUT);
    assert_int_equal(port_get(port, got, NULL), 0);
    assertEvent(&got[0], writeEnd, POLLOUT);
    assert_int_equal(retrieveAll(), 1);
}

TEST(twenty_thousand_fds_are_each_told_once) {
    enum { BATCH = 1000 };
    struct rlimit limit, before;
    getrlimit(RLIMIT_NOFILE, &before);
    limit = before;
    limit.rlim_cur = 20100;
    if (limit.rlim_max < limit.rlim_cur) limit.rlim_max = limit.rlim_cur;
    if (setrlimit(RLIMIT_NOFILE, &limit) == -1) limit = before; /* Then as many as there may be. */

    int *fds = calloc(20000, sizeof(*fds)), count = 0;
    char *told = calloc(32768, 1);
    port_event_t *events = calloc(BATCH, sizeof(*events));
    while (count < 20000 && (fds[count] = dup(readEnd)) != -1) {
        assert_int_equal(associate(fds[count++], POLLIN), 0);
    }
    put(writeEnd, "x");
    int total = 0;
    do {
        struct timespec timeout = {0, 0};
        nget = 1;
        assert_int_equal(port_getn(port, events, BATCH, &nget, &timeout), 0);
        for (unsigned i = 0; i < nget; i++) assert_int_equal(told[events[i].portev_object]++, 0);
        total += (int)nget;
    } while (nget > 0);
    assert_int_equal(total, count);
    for (int i = 0; i < count; i++) close(fds[i]);
    setrlimit(RLIMIT_NOFILE, &before);
    free(fds);
    free(told);
    free(events);
}

/// Time ///

TEST(a_zero_timeout_answers_0_with_whatever_there_is) {
    associate(writeEnd, POLLOUT);
    assert_int_equal(getn(64, 2, 0, 0), 0);
    assert_int_equal(nget, 1);
    assert_int_equal(getn(64, 2, 0, 0), 0);
    assert_int_equal(nget, 0);
}

TEST(a_zero_timeout_can_answer_ETIME_with_whatever_there_is) {
    portEmulationZeroTimeoutIsEtime(true);
    associate(writeEnd, POLLOUT);
    assert_int_equal(getn(64, 2, 0, 0), ETIME);
    assert_int_equal(nget, 1);
    assertEvent(&got[0], writeEnd, POLLOUT);
    assert_int_equal(getn(64, 1, 0, 0), ETIME);
    assert_int_equal(nget, 0);
    associate(writeEnd, POLLOUT);
    assert_int_equal(getn(64, 1, 0, 0), 0); /* All that was wanted. */
    assert_int_equal(nget, 1);
}

TEST(nget_can_stay_as_it_was_when_there_is_nothing) {
    portEmulationZeroTimeoutIsEtime(true);
    portEmulationLeavesCount(true);
    got[0].portev_source = 77;
    assert_int_equal(getn(64, 2, 0, 0), ETIME);
    assert_int_equal(nget, 2);
    assert_int_equal(got[0].portev_source, 77);
    assert_int_equal(getn(64, 2, 0, 1000000), ETIME);
    assert_int_equal(nget, 2);
    associate(writeEnd, POLLOUT);
    assert_int_equal(getn(64, 2, 0, 0), ETIME);
    assert_int_equal(nget, 1);
    assertEvent(&got[0], writeEnd, POLLOUT);
}

TEST(a_retrieval_can_be_made_to_answer_EINTR_once) {
    for (int stays = 0; stays < 2; stays++) {
        portEmulationInterruptRetrieval(stays);
        assert_int_equal(getn(64, 3, 0, 0), 0); /* Nothing to retrieve. */
        associate(writeEnd, POLLOUT);
        assert_int_equal(getn(64, 3, 0, 0), EINTR);
        assert_int_equal(nget, stays ? 3 : 1);
        assertEvent(&got[0], writeEnd, POLLOUT);
        associate(writeEnd, POLLOUT);
        assert_int_equal(getn(64, 1, 0, 0), 0);
        assert_int_equal(nget, 1);
    }
}

TEST(the_environment_selects_the_habits_of_Solaris) {
    assert_int_equal(setenv("EMULATED_SYSTEM", "solaris", 1), 0);
    portEmulationReset();
    unsetenv("EMULATED_SYSTEM");
    assert_int_equal(getn(64, 2, 0, 0), ETIME);
    assert_int_equal(nget, 2);
    for (int i = 0; i < 2; i++) {
        associate(writeEnd, POLLOUT);
        assert_int_equal(getn(64, 1, 0, 0), EINTR);
        assertEvent(&got[0], writeEnd, POLLOUT);
    }
}

TEST(port_get_with_a_zero_timeout_answers_ETIME) {
    struct timespec zero = {0, 0};
    assert_int_equal(port_get(port, got, &zero), -1);
    assert_int_equal(errno, ETIME);
}

TEST(when_the_time_is_out_ETIME_comes_with_the_events_there_are) {
    associate(writeEnd, POLLOUT);
    assert_int_equal(getn(64, 2, 0, 1000000), ETIME);
    assert_int_equal(nget, 1);
    assertEvent(&got[0], writeEnd, POLLOUT);
    assert_int_equal(dissociate(writeEnd), ENOENT);
    assert_int_equal(getn(64, 1, 0, 1000000), ETIME);
    assert_int_equal(nget, 0);
}

TEST(a_timeout_is_never_cut_short) {
    associate(readEnd, POLLIN);
    const long waits[] = {1, 1000, 123456, 999999, 1000001, 3700000};
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        long long start = monotonicNanoseconds();
        assert_int_equal(getn(64, 1, 0, waits[i]), ETIME);
        assert_true(monotonicNanoseconds() - start >= waits[i]);
    }
}

TEST(a_timeout_of_microseconds_is_not_rounded_to_milliseconds) {
    long long shortest =
        INT64_MAX; /* On a busy machine some of them may fail, but not a thousand. */
    for (int i = 0; i < 1000 && shortest >= 1000000; i++) {
        long long start = monotonicNanoseconds();
        assert_int_equal(getn(64, 1, 0, 10000), ETIME);
        long long took = monotonicNanoseconds() - start;
        if (took < shortest) shortest = took;
    }
    assert_true(shortest < 1000000);
}

TEST(an_invalid_timeout_is_EINVAL_and_retrieves_nothing) {
    associate(writeEnd, POLLOUT);
    assert_int_equal(getn(64, 1, 0, -1), EINVAL);
    assert_int_equal(getn(64, 1, 0, 1000000000), EINVAL);
    assert_int_equal(getn(64, 1, -2, 0), EINVAL);
    assert_int_equal(nget, 1);
    assert_int_equal(retrieveAll(), 1);
}

TEST(a_huge_timeout_waits_for_an_event) {
    associate(writeEnd, POLLOUT);
    assert_int_equal(getn(64, 1, (time_t)INT64_MAX, 999999999), 0);
    assert_int_equal(nget, 1);
}

static void doNothing(int signal) {
    (void)signal;
}

TEST(a_signal_ends_a_wait_with_EINTR_and_all_as_before) {
    struct sigaction action = {.sa_handler = doNothing, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL); /* Not restored: a late signal may arrive at the end. */
    struct itimerval soon = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
    associate(writeEnd, POLLOUT);
    setitimer(ITIMER_REAL, &soon, NULL);
    int error = getn(64, 2, FOR_EVER, 0);
    setitimer(ITIMER_REAL, &never, NULL);
    assert_int_equal(error, EINTR);
    assert_int_equal(nget, 2);
    assert_int_equal(got[0].portev_object, 0);
    assert_int_equal(retrieveAll(), 1);
}

/// Threads ///

struct wait {
    unsigned wanted;
    unsigned got;
    int error;
};

static void *waitInThread(void *argument) {
    struct wait *wait = argument;
    wait->got = wait->wanted;
    wait->error = port_getn(port, got, 64, &wait->got, NULL) == 0 ? 0 : errno;
    return NULL;
}

static pthread_t startWaiting(struct wait *wait) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, waitInThread, wait), 0);
    while (portEmulationSleepers(port) == 0) sched_yield();
    return thread;
}

TEST(a_wait_goes_on_until_nget_events_are_there) {
    struct wait wait = {.wanted = 2};
    associate(readEnd, POLLIN);
    associate(here, POLLIN);
    pthread_t thread = startWaiting(&wait);
    put(writeEnd, "x");
    put(there, "x");
    pthread_join(thread, NULL);
    assert_int_equal(wait.error, 0);
    assert_int_equal(wait.got, 2);
}

TEST(a_wait_in_one_thread_does_not_hold_up_another) {
    struct wait wait = {.wanted = 1};
    int other = port_create();
    associate(readEnd, POLLIN);
    pthread_t thread = startWaiting(&wait);
    for (int i = 0; i < 1000; i++) {
        port_event_t event;
        assert_int_equal(port_associate(other, PORT_SOURCE_FD, (uintptr_t)here, POLLOUT, NULL), 0);
        assert_int_equal(port_get(other, &event, NULL), 0);
        close(dup(there));
    }
    put(writeEnd, "x");
    pthread_join(thread, NULL);
    assert_int_equal(wait.got, 1);
    close(other);
}

TEST(an_association_made_in_another_thread_ends_a_wait) {
    struct wait wait = {.wanted = 1};
    pthread_t thread = startWaiting(&wait);
    associate(writeEnd, POLLOUT);
    pthread_join(thread, NULL);
    assert_int_equal(wait.error, 0);
    assert_int_equal(wait.got, 1);
}

TEST(closing_the_port_ends_a_wait_with_EBADFD) {
    struct wait wait = {.wanted = 1};
    pthread_t thread = startWaiting(&wait);
    close(port);
    pthread_join(thread, NULL);
    assert_int_equal(wait.error, EBADFD);
}
