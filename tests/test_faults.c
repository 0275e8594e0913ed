/* Failures of allocations and system calls: each at its first, second, third... occurrence, until
 * the scenario has no failure. After each failure nothing may have changed or leaked, and the loop
 * must still work.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "tests/support/support.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST TEST_FROZEN

enum { BOTH = AE_READABLE | AE_WRITABLE, PAST_FIRST_SLOTS = 200, MOST_TRIES = 10000 };

static void add(int fd, int mask, aeFileProc *proc, void *clientData) {
    assert_int_equal(aeCreateFileEvent(loop, fd, mask, proc, clientData), AE_OK);
}

/* A new fd and a new timer are served, whichever others there are. */
static void assertLoopWorks(aeEventLoop *el) {
    int files = 0, timers = 0;
    Pipe ready = newReadyPipe();
    assert_int_equal(aeCreateFileEvent(el, ready.out, AE_READABLE, countFile, &files), AE_OK);
    long long id = aeCreateTimeEvent(el, 0, countTime, &timers, NULL);
    assert_true(id >= 0);
    aeProcessEvents(el, AE_ALL_EVENTS | AE_DONT_WAIT);
    assert_int_equal(files, 1);
    assert_int_equal(timers, 1);
    assert_int_equal(aeDeleteTimeEvent(el, id), AE_ERR);
    aeDeleteFileEvent(el, ready.out, AE_READABLE);
    shut(ready.out);
    shut(ready.in);
}

/// Failures one by one ////////////////////////////////////////////////////////////////////////////

TEST_WITHOUT_LOOP(fault_5_creating_a_loop_without_memory_returns_NULL_with_ENOMEM) {
    int blocks = liveBlocks(), fds = openFds(), n = 0;
    do {
        assert_true(++n < MOST_TRIES);
        failNth(MEMORY, n, 0);
        errno = 0;
        loop = aeCreateEventLoop(SETSIZE);
        if (!hasFailed()) break;
        assert_null(loop);
        assert_int_equal(errno, ENOMEM);
        assert_int_equal(liveBlocks(), blocks);
        assert_int_equal(openFds(), fds);
    } while (true);
    stopFailures();
    assert_true(n > 2);
    assert_non_null(loop);
    assertLoopWorks(loop);
}

TEST_WITHOUT_LOOP(fault_5_creating_a_loop_that_the_kernel_refuses_returns_NULL_with_its_errno) {
    int blocks = liveBlocks(), fds = openFds();
    failNth(CREATE, 1, EMFILE);
    loop = aeCreateEventLoop(SETSIZE);
    if (!hasFailed()) SKIP("this backend asks nothing of the kernel");
    assert_null(loop);
    assert_int_equal(errno, EMFILE);
    assert_int_equal(liveBlocks(), blocks);
    assert_int_equal(openFds(), fds);
}

TEST(fault_5_an_event_without_memory_changes_nothing) {
    Pipe ready = newReadyPipe();
    int high = newCopy(ready.out, PAST_FIRST_SLOTS), result, n = 0;
    add(ready.out, AE_READABLE, onRead, "A");
    do {
        assert_true(++n < MOST_TRIES);
        aeEventLoop before = *loop;
        int blocks = liveBlocks();
        failNth(MEMORY, n, 0);
        errno = 0;
        result = aeCreateFileEvent(loop, high, AE_READABLE, onRead, "high");
        if (!hasFailed()) break;
        stopFailures();
        assert_int_equal(result, AE_ERR);
        assert_int_equal(errno, ENOMEM);
        assert_int_equal(liveBlocks(), blocks);
        assert_int_equal(loop->maxfd, before.maxfd);
        assert_int_equal(loop->setsize, before.setsize);
        assert_int_equal(loop->nevents, before.nevents);
        assert_int_equal(aeGetFileEvents(loop, high), AE_NONE);
        assert_null(aeGetFileClientData(loop, high));
        assert_int_equal(look(), 1);
        assertJournal("A.read");
        assertLoopWorks(loop);
        takeJournal();
    } while (true);
    assert_int_equal(result, AE_OK);
    assert_true(n > 1);
    assert_int_equal(look(), 2);
    assert_int_equal(strlen(takeJournal()), strlen("A.read high.read"));
}

/* The kernel does not know the fd: a second call adds it. */
TEST(fault_2_a_reused_fd_that_the_kernel_refuses_changes_nothing) {
    int fd = newPipe().out;
    add(fd, AE_READABLE, neverFile, "former");
    replaceFd(fd, newReadyPipe().out);
    failNth(CHANGE, 2, ENOMEM);
    int result = aeCreateFileEvent(loop, fd, AE_READABLE, onRead, "A");
    if (!hasFailed()) SKIP("this backend does it in one call");
    assert_int_equal(result, AE_ERR);
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(aeGetFileEvents(loop, fd), AE_READABLE);
    assert_string_equal(aeGetFileClientData(loop, fd), "former");
    assert_int_equal(look(), 0);

    add(fd, AE_READABLE, onRead, "A");
    assert_int_equal(look(), 1);
    assertJournal("A.read");
    assertLoopWorks(loop);
}

TEST(fault_5_a_timer_without_memory_changes_nothing) {
    enum { TIMERS = 64 * 64 + 64 }; /* a block of them needs two more trees at once */
    int fired = 0, created = 0, failures = 0;
    for (; created < TIMERS; created++) {
        for (int n = 1;; n++) {
            aeEventLoop before = *loop;
            failNth(MEMORY, n, 0);
            errno = 0;
            long long id = aeCreateTimeEvent(loop, created % 50, countTime, &fired, NULL);
            if (!hasFailed()) {
                assert_int_equal(id, created);
                break;
            }
            stopFailures();
            failures++;
            assert_int_equal(id, AE_ERR);
            assert_int_equal(errno, ENOMEM);
            assert_memory_equal(&before, loop, sizeof(before));
        }
    }
    stopFailures();
    assert_true(failures > 3);
    advanceClock(1000000);
    assert_int_equal(look(), created);
    assert_int_equal(fired, created);
    assertLoopWorks(loop);
}

/* Tries to create a timer while the nth allocation of each attempt fails. */
static bool failsToCreate(int n, int attempts) {
    while (attempts-- > 0) {
        failNth(MEMORY, n, 0);
        if (aeCreateTimeEvent(loop, 10, neverTime, NULL, NULL) != AE_ERR) return false;
    }
    return true;
}

/* If the loop keeps memory that it has allocated before the failure, the next attempt uses it. This
 * happens mostly when it grows by more than one level at once. */
TEST(repeated_failures_to_create_a_timer_do_not_keep_more_memory) {
    for (int created = 0; created <= 64 * 64 * 64; created++) {
        for (int n = 1; failsToCreate(n, 5); n++) {
            int blocks = liveBlocks();
            if (failsToCreate(n, 5)) assert_int_equal(liveBlocks(), blocks);
        }
        stopFailures();
        while (loop->timeEventNextId <= created) failsToCreate(0, 1);
    }
}

TEST(a_timer_that_replaces_a_deleted_one_needs_no_memory) {
    int fired = 0;
    long long id = aeCreateTimeEvent(loop, 10, countTime, &fired, NULL);
    failNth(MEMORY, 1, 0);
    while (aeCreateTimeEvent(loop, 10, countTime, &fired, NULL) != AE_ERR) continue;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(aeDeleteTimeEvent(loop, id + i), AE_OK);
        if (i) look();
        failNth(MEMORY, 1, 0);
        assert_true(aeCreateTimeEvent(loop, 10, countTime, &fired, NULL) != AE_ERR);
        assert_false(hasFailed());
        stopFailures();
    }
}

TEST(fault_5_firing_deleting_finalizing_and_resizing_need_no_memory) {
    Pipe ready = newReadyPipe();
    add(ready.out, AE_READABLE, onRead, "A");
    assert_true(aeCreateTimeEvent(loop, 0, onTimeAtOnce, "again", onFinalize) >= 0);
    assert_true(aeCreateTimeEvent(loop, 100, onTime, "never", onFinalize) >= 0);
    failAll(MEMORY, 0);
    for (int i = 0; i < 10; i++) {
        look();
        assertJournal("A.read again");
    }
    assert_int_equal(aeDeleteTimeEvent(loop, 1), AE_OK);
    assert_int_equal(aeDeleteTimeEvent(loop, 0), AE_OK);
    aeDeleteFileEvent(loop, ready.out, AE_READABLE);
    look();
    assert_int_equal(strlen(takeJournal()), strlen("~never ~again"));
    assert_int_equal(aeResizeSetSize(loop, 100), AE_OK);
}

TEST(fault_5_a_resize_without_memory_changes_nothing) {
    add(newReadyPipe().out, AE_READABLE, onRead, "A");
    for (int n = 1;; n++) {
        aeEventLoop before = *loop;
        failNth(MEMORY, n, 0);
        int result = aeResizeSetSize(loop, SETSIZE / 2);
        if (!hasFailed()) {
            assert_int_equal(result, AE_OK);
            break;
        }
        stopFailures();
        assert_int_equal(result, AE_ERR);
        assert_int_equal(errno, ENOMEM);
        assert_memory_equal(&before, loop, sizeof(before));
    }
    stopFailures();
    assert_int_equal(look(), 1);
    assertJournal("A.read");
}

/// A complete life ////////////////////////////////////////////////////////////////////////////////

static int lifeFinalized;

static void countFinal(aeEventLoop *el, void *clientData) {
    (void)el, (void)clientData;
    lifeFinalized++;
}

static int createInHandler(aeEventLoop *el, long long id, void *count) {
    (void)id;
    if (aeCreateTimeEvent(el, 1, countTime, count, countFinal) >= 0) lifeFinalized--;
    return el->timeEventNextId < 200 ? 1 : AE_NOMORE;
}

/* Returns whether the call succeeded. If not, it must have this errno, and a call must have failed.
 */
static bool succeeded(bool success, int error) {
    if (success) return true;
    assert_int_equal(errno, error);
    assert_true(hasFailed());
    return false;
}

/* Makes many kinds of calls, one of which fails. A step that fails is skipped. */
static void live(CallKind kind, int nth, int error) {
    int blocks = liveBlocks(), fds = openFds(), count = 0;
    lifeFinalized = 0;
    Pipe a = newReadyPipe(), b = newReadyPipe();
    int socket, high = newCopy(a.out, PAST_FIRST_SLOTS);
    newReadySocket(&socket);

    failNth(kind, nth, error);
    int expected = kind == MEMORY ? ENOMEM : error;
    loop = aeCreateEventLoop(SETSIZE);
    if (succeeded(loop != NULL, expected)) {
        const struct {
            int fd, mask;
        } additions[] = {{a.out, AE_READABLE}, {b.in, AE_WRITABLE},   {b.out, AE_READABLE},
                         {high, AE_READABLE},  {socket, AE_READABLE}, {socket, AE_WRITABLE},
                         {b.out, AE_READABLE}, {socket, AE_READABLE}};
        for (int i = 0; i < 8; i++) {
            int former = aeGetFileEvents(loop, additions[i].fd);
            int result =
                aeCreateFileEvent(loop, additions[i].fd, additions[i].mask, countFile, &count);
            succeeded(result == AE_OK, expected);
            int now = result == AE_OK ? former | additions[i].mask : former;
            assert_int_equal(aeGetFileEvents(loop, additions[i].fd), now);
        }
        for (int i = 0; i < 100; i++) {
            long long id = aeCreateTimeEvent(loop, i % 3, createInHandler, &count, countFinal);
            if (succeeded(id >= 0, expected)) lifeFinalized--;
        }
        for (int i = 0; i < 5; i++) iterate();
        aeDeleteFileEvent(loop, socket, AE_WRITABLE);
        aeDeleteFileEvent(loop, high, BOTH);
        aeDeleteFileEvent(loop, b.out, AE_READABLE);
        for (long long id = 0; id < 50; id += 2) aeDeleteTimeEvent(loop, id);
        for (int i = 0; i < 5; i++) iterate();
        bool failed = hasFailed();
        if (failed) stopFailures();
        if (failed) assertLoopWorks(loop);
        deleteLoop();
        assert_int_equal(lifeFinalized, 0); /* each that was created was finalized */
    }
    shut(a.in), shut(a.out), shut(b.in), shut(b.out), shut(high), shut(socket);
    assert_int_equal(liveBlocks(), blocks);
    assert_in_range(openFds(), fds, fds + 1); /* the other end of the socket stays open */
}

/* Runs this once for each occurrence of this kind of call. Returns how many there were. */
static int liveThroughEach(CallKind kind, int error) {
    for (int n = 1; n < MOST_TRIES; n++) {
        live(kind, n, error);
        tearDown(NULL);
        bool over = !hasFailed();
        setUp(NULL);
        freezeClock();
        if (over) return n - 1;
    }
    fail_msg("no life without a failure");
    return 0;
}

TEST_WITHOUT_LOOP(fault_5_a_life_survives_the_failure_of_any_allocation) {
    freezeClock();
    assert_true(liveThroughEach(MEMORY, 0) > 5);
}

TEST_WITHOUT_LOOP(a_life_survives_the_failure_of_any_creation) {
    freezeClock();
    liveThroughEach(CREATE, EMFILE);
}

TEST_WITHOUT_LOOP(a_life_survives_the_failure_of_any_change) {
    freezeClock();
    liveThroughEach(CHANGE, ENOMEM);
    liveThroughEach(CHANGE, ENOSPC);
}

TEST_WITHOUT_LOOP(a_life_survives_the_interruption_of_any_wait) {
    freezeClock();
    assert_true(liveThroughEach(WAIT, EINTR) >= 10);
}

TEST_WITHOUT_LOOP(a_life_survives_the_refusal_of_any_precise_wait) {
    freezeClock();
    liveThroughEach(PRECISE_WAIT, ENOSYS);
    liveThroughEach(PRECISE_WAIT, EPERM);
    liveThroughEach(PRECISE_WAIT, EINTR);
}

TEST_WITHOUT_LOOP(a_life_survives_the_failure_of_any_fcntl) {
    freezeClock();
    liveThroughEach(FCNTL, EBADF);
}

TEST_WITHOUT_LOOP(a_life_survives_the_failure_of_any_close) {
    freezeClock();
    liveThroughEach(CLOSE, EINTR);
    liveThroughEach(CLOSE, EIO);
}

/// The wait ///////////////////////////////////////////////////////////////////////////////////////

static void after(aeEventLoop *el) {
    (void)el;
    journal("after");
}

TEST(EINTR_ends_the_wait_with_no_events) {
    add(newReadyPipe().out, AE_READABLE, onRead, "A");
    add(newReadyPipe().out, AE_READABLE, onRead, "A");
    assert_int_equal(look(), 2); /* now `fired` has these two */
    takeJournal();
    aeSetAfterSleepProc(loop, after);
    failNth(WAIT, 1, EINTR);
    assert_int_equal(aeProcessEvents(loop, AE_ALL_EVENTS | AE_CALL_AFTER_SLEEP), 0);
    assert_true(hasFailed());
    assertJournal("after");
    assert_int_equal(callsOf(WAIT), 2);
    assert_int_equal(look(), 2);
}

TEST(timers_that_are_due_fire_after_EINTR) {
    aeCreateTimeEvent(loop, 0, onTime, "due", NULL);
    aeCreateTimeEvent(loop, 10, neverTime, NULL, NULL);
    failNth(WAIT, 1, EINTR);
    assert_int_equal(iterate(), 1);
    assertJournal("due");
}

TEST(no_timer_fires_early_after_EINTR) {
    aeCreateTimeEvent(loop, 10, onTime, "A", NULL);
    failNth(WAIT, 1, EINTR);
    assert_int_equal(iterate(), 0);
    assertJournal("");
    assert_int_equal(iterate(), 1);
    assertJournal("A");
}

/* 1 ms and 1 us before the deadline of a timer, if epoll_pwait2 fails with this errno, or ae.c was
 * compiled without it. */
static void waitRoughly(int error) {
    if (!backendIs("epoll")) SKIP("only epoll counts in milliseconds");
    aeCreateTimeEvent(loop, 10, onTime, "A", NULL);
    advanceClock(8999);
    failNth(PRECISE_WAIT, 1, error);
    forgetCalls();
    assert_int_equal(iterate(), 1);
    assertJournal("A");
    assert_int_equal(lastTimeout(), 2000);
    assert_int_equal(callsOf(WAIT), 1);
    stopFailures();

    forgetCalls();
    aeCreateTimeEvent(loop, 10, onTime, "A", NULL);
    advanceClock(9999);
    assert_int_equal(iterate(), 1);
    assert_int_equal(lastTimeout(), 1000);
    assert_int_equal(callsOf(PRECISE_WAIT), 0); /* it is not called again after a refusal */
    aeCreateTimeEvent(loop, 10, onTime, "A", NULL);
    assert_int_equal(iterate(), 1);
    assert_int_equal(lastTimeout(), 10000);
    assert_int_equal(callsOf(WAIT), 2);
}

TEST(without_epoll_pwait2_timeouts_round_up_to_milliseconds) {
    waitRoughly(ENOSYS);
}

TEST(with_epoll_pwait2_forbidden_timeouts_round_up_to_milliseconds) {
    waitRoughly(EPERM);
}

TEST(with_epoll_pwait2_refused_with_any_errno_timeouts_round_up_to_milliseconds) {
    waitRoughly(EINVAL);
    const int errors[] = {EACCES, EFAULT, ENOTSUP};
    for (int i = 0; i < 3; i++) {
        deleteLoop();
        loop = aeCreateEventLoop(SETSIZE);
        freezeClock();
        takeJournal();
        waitRoughly(errors[i]);
    }
}

TEST(without_epoll_pwait2_the_longest_wait_still_fits) {
    failAll(PRECISE_WAIT, ENOSYS);
    aeCreateTimeEvent(loop, 1LL << 50, neverTime, NULL, NULL);
    assert_int_equal(iterate(), 0);
    assert_true(lastTimeout() >= 1000LL * 1000000);
    assert_true(lastTimeout() <= 2147483647LL * 1000);
}

/// A poll that fails for good /////////////////////////////////////////////////////////////////////

static char lastWords[1024];

/* Runs in a child process: one iteration of a loop with a ready fd and a timer. */
static void dieIfItFails(CallKind kind, int error, int flags) {
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGABRT, writeCounts);
    alarm(30);
    loop = aeCreateEventLoop(SETSIZE); /* a child has no kqueue */
    Pipe unregistered = newPipe();     /* closed: the loop must not use it */
    add(newReadyPipe().out, AE_READABLE, onRead, "A");
    aeCreateTimeEvent(loop, 10, neverTime, NULL, NULL);
    shut(unregistered.out);
    shut(unregistered.in);
    failAll(kind, error);
    int served = aeProcessEvents(loop, flags);
    deleteLoop();
    _exit(served == 1 ? 0 : 1);
}

/* Returns the child's wait status, and its output on stderr in lastWords. */
static int dieOf(CallKind kind, int error, int flags) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child != -1);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        dieIfItFails(kind, error, flags);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(ends[0], lastWords + length, sizeof(lastWords) - 1 - length)) > 0)
        length += (size_t)got;
    lastWords[length] = '\0';
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void assertDiesOf(CallKind kind, int error, int flags, const char *call) {
    int status = dieOf(kind, error, flags);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(lastWords, aeGetApiName()));
    if (call) assert_non_null(strstr(lastWords, call));
    assert_non_null(strstr(lastWords, strerror(error)));
    char *end = strchr(lastWords, '\n');
    assert_non_null(end);
    if (strncmp(end + 1, "qemu: ", 6) != 0) /* which also prints a message after a signal */
        assert_int_equal(end[1], '\0');
}

static const char *waitCall(void) {
    if (backendIs("epoll")) return "epoll_wait";
    if (backendIs("kqueue")) return "kevent";
    if (backendIs("evport")) return "port_get";
    return "select";
}

TEST_WITHOUT_LOOP(a_poll_that_fails_with_EINVAL_aborts_with_one_line_of_backend_call_and_reason) {
    assertDiesOf(WAIT, EINVAL, AE_FILE_EVENTS, waitCall());
    assertDiesOf(WAIT, EFAULT, AE_FILE_EVENTS | AE_DONT_WAIT, waitCall());
}

TEST_WITHOUT_LOOP(a_poll_that_always_fails_with_EBADF_aborts_and_does_not_spin) {
    assertDiesOf(WAIT, EBADF, AE_FILE_EVENTS, waitCall());
}

TEST_WITHOUT_LOOP(a_true_error_of_a_precise_poll_is_reported_by_the_other_one) {
    if (!backendIs("epoll")) SKIP("this backend has no epoll_pwait2");
    assertDiesOf(WAIT, EINVAL, AE_ALL_EVENTS, "epoll_wait");
}

TEST_WITHOUT_LOOP(a_poll_that_works_does_not_abort_and_says_nothing) {
    int status = dieOf(CREATE, EINVAL, AE_FILE_EVENTS);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_string_equal(lastWords, "");
}
