/* The contract of the loop itself: each byte of the interface, one iteration, running and stopping,
 * aeWait, threads and processes. The tests named fault_N show that libae does not have a fault of
 * the original loop.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "tests/support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define TEST TEST_FROZEN

/// The interface, held by the compiler ////////////////////////////////////////////////////////////

/* C99 has no _Static_assert. */
#define HOLDS(condition) extern char holds[(condition) ? 1 : -1]

HOLDS(AE_OK == 0 && AE_ERR == -1);
HOLDS(AE_NONE == 0 && AE_READABLE == 1 && AE_WRITABLE == 2 && AE_BARRIER == 4);
HOLDS(AE_FILE_EVENTS == 1 && AE_TIME_EVENTS == 2 && AE_ALL_EVENTS == 3);
HOLDS(AE_DONT_WAIT == 4 && AE_CALL_BEFORE_SLEEP == 8 && AE_CALL_AFTER_SLEEP == 16);
HOLDS(AE_NOMORE == -1 && AE_DELETED_EVENT_ID == -1);

/* They must also be known to the preprocessor. */
#if AE_ALL_EVENTS != 3 || AE_ERR != -1 || AE_NOMORE != -1 || AE_BARRIER != 4
#error "a value is no constant of the preprocessor"
#endif

/* The compiler warns about a conditional expression with two types. */
#define HAS_TYPE(structure, field, type) HOLDS(sizeof(1 ? &((structure *)0)->field : (type *)0))

HAS_TYPE(aeFileEvent, mask, int);
HAS_TYPE(aeFileEvent, rfileProc, aeFileProc *);
HAS_TYPE(aeFileEvent, wfileProc, aeFileProc *);
HAS_TYPE(aeFileEvent, clientData, void *);
HAS_TYPE(aeTimeEvent, id, long long);
HAS_TYPE(aeTimeEvent, when, uint64_t);
HAS_TYPE(aeTimeEvent, timeProc, aeTimeProc *);
HAS_TYPE(aeTimeEvent, finalizerProc, aeEventFinalizerProc *);
HAS_TYPE(aeTimeEvent, clientData, void *);
HAS_TYPE(aeTimeEvent, prev, aeTimeEvent *);
HAS_TYPE(aeTimeEvent, next, aeTimeEvent *);
HAS_TYPE(aeTimeEvent, refcount, int);
HAS_TYPE(aeFiredEvent, fd, int);
HAS_TYPE(aeFiredEvent, mask, int);
HAS_TYPE(aeEventLoop, maxfd, int);
HAS_TYPE(aeEventLoop, setsize, int);
HAS_TYPE(aeEventLoop, timeEventNextId, long long);
HAS_TYPE(aeEventLoop, nevents, int);
HAS_TYPE(aeEventLoop, events, aeFileEvent *);
HAS_TYPE(aeEventLoop, fired, aeFiredEvent *);
HAS_TYPE(aeEventLoop, timeEventHead, aeTimeEvent *);
HAS_TYPE(aeEventLoop, stop, int);
HAS_TYPE(aeEventLoop, apidata, void *);
HAS_TYPE(aeEventLoop, beforesleep, aeBeforeSleepProc *);
HAS_TYPE(aeEventLoop, aftersleep, aeBeforeSleepProc *);
HAS_TYPE(aeEventLoop, flags, int);
HAS_TYPE(aeEventLoop, privdata[0], void *);

#ifdef __LP64__
#define IS_AT(structure, field, offset) HOLDS(offsetof(structure, field) == (offset))

IS_AT(aeFileEvent, mask, 0);
IS_AT(aeFileEvent, rfileProc, 8);
IS_AT(aeFileEvent, wfileProc, 16);
IS_AT(aeFileEvent, clientData, 24);
HOLDS(sizeof(aeFileEvent) == 32);
IS_AT(aeTimeEvent, id, 0);
IS_AT(aeTimeEvent, when, 8);
IS_AT(aeTimeEvent, timeProc, 16);
IS_AT(aeTimeEvent, finalizerProc, 24);
IS_AT(aeTimeEvent, clientData, 32);
IS_AT(aeTimeEvent, prev, 40);
IS_AT(aeTimeEvent, next, 48);
IS_AT(aeTimeEvent, refcount, 56);
IS_AT(aeFiredEvent, fd, 0);
IS_AT(aeFiredEvent, mask, 4);
HOLDS(sizeof(aeFiredEvent) == 8);
IS_AT(aeEventLoop, maxfd, 0);
IS_AT(aeEventLoop, setsize, 4);
IS_AT(aeEventLoop, timeEventNextId, 8);
IS_AT(aeEventLoop, nevents, 16);
IS_AT(aeEventLoop, events, 24);
IS_AT(aeEventLoop, fired, 32);
IS_AT(aeEventLoop, timeEventHead, 40);
IS_AT(aeEventLoop, stop, 48);
IS_AT(aeEventLoop, apidata, 56);
IS_AT(aeEventLoop, beforesleep, 64);
IS_AT(aeEventLoop, aftersleep, 72);
IS_AT(aeEventLoop, flags, 80);
IS_AT(aeEventLoop, privdata, 88);
#endif

/* A prototype that differs from the header's does not compile. */
typedef void theFileProc(struct aeEventLoop *, int, void *, int);
typedef int theTimeProc(struct aeEventLoop *, long long, void *);
typedef void theFinalizerProc(struct aeEventLoop *, void *);
typedef void theSleepProc(struct aeEventLoop *);
aeEventLoop *aeCreateEventLoop(int);
void aeDeleteEventLoop(aeEventLoop *);
void aeStop(aeEventLoop *);
int aeCreateFileEvent(aeEventLoop *, int, int, theFileProc *, void *);
void aeDeleteFileEvent(aeEventLoop *, int, int);
int aeGetFileEvents(aeEventLoop *, int);
void *aeGetFileClientData(aeEventLoop *, int);
long long aeCreateTimeEvent(aeEventLoop *, long long, theTimeProc *, void *, theFinalizerProc *);
int aeDeleteTimeEvent(aeEventLoop *, long long);
int aeProcessEvents(aeEventLoop *, int);
int aeWait(int, int, long long);
void aeMain(aeEventLoop *);
char *aeGetApiName(void);
void aeSetBeforeSleepProc(aeEventLoop *, theSleepProc *);
void aeSetAfterSleepProc(aeEventLoop *, theSleepProc *);
int aeGetSetSize(aeEventLoop *);
int aeResizeSetSize(aeEventLoop *, int);
void aeSetDontWait(aeEventLoop *, int);

static void addFile(int fd, int mask, aeFileProc *proc, void *clientData) {
    assert_int_equal(aeCreateFileEvent(loop, fd, mask, proc, clientData), AE_OK);
}

static void addTimer(long long milliseconds, aeTimeProc *proc, void *clientData) {
    assert_true(aeCreateTimeEvent(loop, milliseconds, proc, clientData, NULL) >= 0);
}

static void beforeSleep(aeEventLoop *el) {
    assert_ptr_equal(el, loop);
    journal("before");
}

static void afterSleep(aeEventLoop *el) {
    assert_ptr_equal(el, loop);
    journal("after");
}

static void setHooks(void) {
    aeSetBeforeSleepProc(loop, beforeSleep);
    aeSetAfterSleepProc(loop, afterSleep);
}

enum { HOOKS = AE_CALL_BEFORE_SLEEP | AE_CALL_AFTER_SLEEP };

/// Creation ///////////////////////////////////////////////////////////////////////////////////////

TEST(AE_NOTUSED_silences_an_unused_name) {
    int name = 0;
    AE_NOTUSED(name);
    AE_NOTUSED(loop);
}

TEST(the_name_of_the_backend_is_one_of_four) {
    assert_true(backendIs("epoll") || backendIs("kqueue") || backendIs("select") ||
                backendIs("evport"));
#ifdef AE_BACKEND_EPOLL
    assert_string_equal(aeGetApiName(), "epoll");
#elif defined(AE_BACKEND_SELECT)
    assert_string_equal(aeGetApiName(), "select");
#elif defined(AE_BACKEND_KQUEUE)
    assert_string_equal(aeGetApiName(), "kqueue");
#elif defined(AE_BACKEND_EVPORT)
    assert_string_equal(aeGetApiName(), "evport");
#endif
}

TEST(a_new_loop_is_empty) {
    assert_int_equal(loop->maxfd, -1);
    assert_int_equal(loop->setsize, SETSIZE);
    assert_int_equal(aeGetSetSize(loop), SETSIZE);
    assert_int_equal(loop->timeEventNextId, 0);
    assert_null(loop->timeEventHead);
    assert_null(loop->beforesleep);
    assert_null(loop->aftersleep);
    assert_int_equal(loop->stop, 0);
    assert_int_equal(loop->flags, 0);
    assert_null(loop->privdata[0]);
    assert_null(loop->privdata[1]);
    assert_in_range(loop->nevents, 1, SETSIZE);
    for (int fd = 0; fd < loop->nevents; fd++) {
        assert_int_equal(loop->events[fd].mask, AE_NONE);
        assert_int_equal(aeGetFileEvents(loop, fd), AE_NONE);
        assert_null(aeGetFileClientData(loop, fd));
    }
}

TEST(privdata_belongs_to_the_program) {
    int mine, more;
    loop->privdata[0] = &mine;
    loop->privdata[1] = &more;
    addFile(newReadyPipe().out, AE_READABLE, onRead, "A");
    addTimer(0, onTime, "A");
    look();
    aeResizeSetSize(loop, SETSIZE - 1);
    assert_ptr_equal(loop->privdata[0], &mine);
    assert_ptr_equal(loop->privdata[1], &more);
}

TEST(a_setsize_of_1_is_enough_for_fd_0) {
    aeEventLoop *small = aeCreateEventLoop(1);
    assert_non_null(small);
    assert_int_equal(aeGetSetSize(small), 1);
    assert_int_equal(aeCreateFileEvent(small, newPipe().out, AE_READABLE, neverFile, NULL), AE_ERR);
    assert_int_equal(errno, ERANGE);
    assert_int_equal(aeProcessEvents(small, AE_ALL_EVENTS | AE_DONT_WAIT), 0);
    aeDeleteEventLoop(small);
}

TEST(deleting_the_loop_leaves_the_fds_open) {
    Pipe ready = newReadyPipe();
    addFile(ready.out, AE_READABLE, onRead, "A");
    deleteLoop();
    takeByte(ready.out);
}

TEST(deleting_no_loop_does_nothing) {
    aeDeleteEventLoop(NULL);
}

TEST(fault_5_a_setsize_below_1_is_EINVAL) {
    static const int sizes[] = {0, -1, -1000, INT_MIN};
    for (int i = 0; i < 4; i++) {
        errno = 0;
        assert_null(aeCreateEventLoop(sizes[i]));
        assert_int_equal(errno, EINVAL);
        errno = 0;
        assert_int_equal(aeResizeSetSize(loop, sizes[i]), AE_ERR);
        assert_int_equal(errno, EINVAL);
        assert_int_equal(aeGetSetSize(loop), SETSIZE);
    }
}

TEST_WITHOUT_LOOP(fault_11_the_loops_own_fds_are_close_on_exec) {
    bool wasOpen[256];
    for (int fd = 0; fd < 256; fd++) wasOpen[fd] = fcntl(fd, F_GETFD) != -1;
    forgetCalls();
    loop = aeCreateEventLoop(SETSIZE);
    assert_non_null(loop);
    for (int fd = 0; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);
        assert_true(wasOpen[fd] || flags == -1 || (flags & FD_CLOEXEC));
    }
}

TEST_WITHOUT_LOOP(fault_11_epolls_fd_is_created_close_on_exec) {
    if (!backendIs("epoll")) SKIP("others may have to ask twice");
    forgetCalls();
    loop = aeCreateEventLoop(SETSIZE);
    assert_int_equal(callsOf(CREATE), 1);
    assert_int_equal(callsOf(FCNTL), 0);
}

/// What an iteration does /////////////////////////////////////////////////////////////////////////

TEST(with_neither_files_nor_timers_nothing_is_done) {
    static const int flags[] = {0, AE_DONT_WAIT, HOOKS, HOOKS | AE_DONT_WAIT};
    setHooks();
    addFile(newReadyPipe().out, AE_READABLE, neverFile, NULL);
    addTimer(0, neverTime, NULL);
    for (int i = 0; i < 4; i++) assert_int_equal(aeProcessEvents(loop, flags[i]), 0);
    assert_int_equal(callsOf(WAIT), 0);
    assertJournal("");
}

TEST(the_steps_come_in_order) {
    setHooks();
    addTimer(0, onTime, "timer");
    addFile(newReadyPipe().out, AE_READABLE, onRead, "file");
    assert_int_equal(aeProcessEvents(loop, AE_ALL_EVENTS | HOOKS), 2);
    assertJournal("before after file.read timer");
}

static bool wasPolled;

static void assertNotYetPolled(aeEventLoop *el) {
    (void)el;
    assert_int_equal(callsOf(WAIT), 0);
    wasPolled = false;
}

static void assertPolled(aeEventLoop *el) {
    (void)el;
    assert_int_equal(callsOf(WAIT), 1);
    wasPolled = true;
}

TEST(the_poll_is_between_the_hooks) {
    aeSetBeforeSleepProc(loop, assertNotYetPolled);
    aeSetAfterSleepProc(loop, assertPolled);
    addTimer(5, onTime, "timer");
    aeProcessEvents(loop, AE_ALL_EVENTS | HOOKS);
    assert_true(wasPolled);
}

TEST(hooks_run_only_when_the_flags_say_so) {
    setHooks();
    addFile(newReadyPipe().out, AE_READABLE, onRead, "A");
    aeProcessEvents(loop, AE_FILE_EVENTS);
    assertJournal("A.read");
    aeProcessEvents(loop, AE_FILE_EVENTS | AE_CALL_BEFORE_SLEEP);
    assertJournal("before A.read");
    aeProcessEvents(loop, AE_FILE_EVENTS | AE_CALL_AFTER_SLEEP);
    assertJournal("after A.read");
    aeProcessEvents(loop, AE_FILE_EVENTS | HOOKS | AE_DONT_WAIT);
    assertJournal("before after A.read");
}

TEST(hooks_may_be_missing_or_removed) {
    addFile(newReadyPipe().out, AE_READABLE, onRead, "A");
    assert_int_equal(aeProcessEvents(loop, AE_FILE_EVENTS | HOOKS), 1);
    setHooks();
    aeSetBeforeSleepProc(loop, NULL);
    aeSetAfterSleepProc(loop, NULL);
    assert_int_equal(aeProcessEvents(loop, AE_FILE_EVENTS | HOOKS), 1);
    assertJournal("A.read A.read");
}

TEST(the_hooks_are_in_the_loops_fields) {
    setHooks();
    assert_true(loop->beforesleep == beforeSleep);
    assert_true(loop->aftersleep == afterSleep);
}

TEST(without_fds_files_alone_are_not_polled) {
    setHooks();
    assert_int_equal(aeProcessEvents(loop, AE_FILE_EVENTS | HOOKS), 0);
    assert_int_equal(callsOf(WAIT), 0);
    assertJournal("");
}

TEST(without_fds_and_without_waiting_there_is_no_poll_but_timers_fire) {
    setHooks();
    addTimer(0, onTime, "timer");
    assert_int_equal(aeProcessEvents(loop, AE_ALL_EVENTS | AE_DONT_WAIT | HOOKS), 1);
    assert_int_equal(callsOf(WAIT), 0);
    assertJournal("timer");
}

TEST(without_fds_the_loop_sleeps_until_a_timer) {
    setHooks();
    addTimer(3, onTime, "timer");
    assert_int_equal(aeProcessEvents(loop, AE_TIME_EVENTS | HOOKS), 1);
    assert_int_equal(lastTimeout(), 3000);
    assertJournal("before after timer");
}

TEST(without_fds_and_timers_the_loop_sleeps) {
    setHooks();
    assert_int_equal(aeProcessEvents(loop, AE_TIME_EVENTS | HOOKS), 0);
    assert_int_equal(callsOf(WAIT), 1);
    assert_int_equal(lastTimeout(), NO_TIMEOUT);
    assertJournal("before after");
}

TEST(without_fds_aeSetDontWait_makes_the_sleep_a_poll) {
    setHooks();
    aeSetDontWait(loop, 1);
    assert_int_equal(aeProcessEvents(loop, AE_TIME_EVENTS | HOOKS), 0);
    assert_int_equal(callsOf(WAIT), 1);
    assert_int_equal(lastTimeout(), 0);
    assertJournal("before after");
}

TEST(fds_are_polled_but_not_dispatched_without_FILE_EVENTS) {
    addFile(newReadyPipe().out, AE_READABLE, neverFile, NULL);
    addTimer(1000, neverTime, NULL);
    assert_int_equal(aeProcessEvents(loop, AE_TIME_EVENTS), 0);
    assert_int_equal(callsOf(WAIT), 1);
    addTimer(0, onTime, "timer");
    assert_int_equal(aeProcessEvents(loop, AE_TIME_EVENTS | AE_DONT_WAIT), 1);
    assert_int_equal(callsOf(WAIT), 2);
    assertJournal("timer");
}

TEST(timers_do_not_fire_without_TIME_EVENTS) {
    addFile(newReadyPipe().out, AE_READABLE, onRead, "A");
    addTimer(0, neverTime, NULL);
    assert_int_equal(aeProcessEvents(loop, AE_FILE_EVENTS), 1);
    assertJournal("A.read");
}

TEST(the_return_value_counts_fds_and_timers) {
    int fd;
    newReadySocket(&fd);
    addFile(fd, AE_READABLE, onRead, "A");
    addFile(fd, AE_WRITABLE, onWrite, "A"); /* one fd, though two handlers */
    addFile(newReadyPipe().out, AE_READABLE, onRead, "A");
    addFile(newPipe().out, AE_READABLE, neverFile, NULL);
    for (int i = 0; i < 3; i++) addTimer(0, onTimeAtOnce, "timer");
    addTimer(1, neverTime, NULL);
    assert_int_equal(look(), 5);
    assert_int_equal(aeProcessEvents(loop, AE_FILE_EVENTS | AE_DONT_WAIT), 2);
    assert_int_equal(aeProcessEvents(loop, AE_TIME_EVENTS | AE_DONT_WAIT), 3);
}

/// How long it waits //////////////////////////////////////////////////////////////////////////////

TEST(with_DONT_WAIT_the_wait_is_zero) {
    addFile(newPipe().out, AE_READABLE, neverFile, NULL);
    addTimer(1000, neverTime, NULL);
    assert_int_equal(look(), 0);
    assert_int_equal(lastTimeout(), 0);
    assert_int_equal(aeProcessEvents(loop, AE_FILE_EVENTS | AE_DONT_WAIT), 0);
    assert_int_equal(lastTimeout(), 0);
}

TEST(files_alone_are_waited_for_without_limit) {
    addFile(newPipe().out, AE_READABLE, neverFile, NULL);
    addTimer(10, neverTime, NULL);
    assert_int_equal(aeProcessEvents(loop, AE_FILE_EVENTS), 0);
    assert_int_equal(lastTimeout(), NO_TIMEOUT);
}

TEST(with_timers_the_wait_is_until_the_nearest) {
    addFile(newPipe().out, AE_READABLE, neverFile, NULL);
    addTimer(20, neverTime, NULL);
    addTimer(10, onTime, "A");
    assert_int_equal(iterate(), 1);
    assert_int_equal(lastTimeout(), 10000);
    assertJournal("A");
}

TEST(aeSetDontWait_holds_until_it_is_called_with_0) {
    addFile(newPipe().out, AE_READABLE, neverFile, NULL);
    addTimer(10, onTimeIn10, "A");
    aeSetDontWait(loop, 1);
    aeSetDontWait(loop, 2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(iterate(), 0);
        assert_int_equal(lastTimeout(), 0);
    }
    assert_int_equal(aeProcessEvents(loop, AE_FILE_EVENTS), 0);
    assert_int_equal(lastTimeout(), 0);
    aeSetDontWait(loop, 0);
    assert_int_equal(iterate(), 1);
    assert_int_equal(lastTimeout(), 10000);
}

static void doNotWait(aeEventLoop *el) {
    aeSetDontWait(el, 1);
}

static void doWait(aeEventLoop *el) {
    aeSetDontWait(el, 0);
}

TEST(the_before_sleep_hook_can_forbid_the_wait_of_this_very_iteration) {
    addTimer(10, neverTime, NULL);
    aeSetBeforeSleepProc(loop, doNotWait);
    assert_int_equal(aeProcessEvents(loop, AE_ALL_EVENTS | HOOKS), 0);
    assert_int_equal(callsOf(WAIT), 1);
    assert_int_equal(lastTimeout(), 0);
}

TEST(the_before_sleep_hook_can_allow_the_wait_of_this_very_iteration) {
    addTimer(10, onTime, "A");
    aeSetDontWait(loop, 1);
    aeSetBeforeSleepProc(loop, doWait);
    assert_int_equal(aeProcessEvents(loop, AE_ALL_EVENTS | HOOKS), 1);
    assert_int_equal(lastTimeout(), 10000);
}

static void createInHook(aeEventLoop *el) {
    if (el->timeEventNextId > 0) return;
    addTimer(7, onTime, "timer");
}

TEST(a_timer_created_in_the_before_sleep_hook_bounds_the_wait) {
    aeSetBeforeSleepProc(loop, createInHook);
    assert_int_equal(aeProcessEvents(loop, AE_ALL_EVENTS | HOOKS), 1);
    assert_int_equal(lastTimeout(), 7000);
    assertJournal("timer");
}

static int hookFd;

static void registerInHook(aeEventLoop *el) {
    (void)el;
    addFile(hookFd, AE_READABLE, onRead, "A");
}

TEST(an_fd_registered_in_the_before_sleep_hook_is_polled_in_this_very_iteration) {
    hookFd = newReadyPipe().out;
    aeSetBeforeSleepProc(loop, registerInHook);
    assert_int_equal(aeProcessEvents(loop, AE_ALL_EVENTS | HOOKS), 1);
    assertJournal("A.read");
}

static void deleteInHook(aeEventLoop *el) {
    aeDeleteFileEvent(el, hookFd, AE_READABLE);
}

TEST(an_fd_deleted_in_either_hook_is_not_dispatched) {
    for (int i = 0; i < 2; i++) {
        hookFd = newReadyPipe().out;
        addFile(hookFd, AE_READABLE, neverFile, NULL);
        aeSetBeforeSleepProc(loop, i == 0 ? deleteInHook : NULL);
        aeSetAfterSleepProc(loop, i == 1 ? deleteInHook : NULL);
        aeProcessEvents(loop, AE_FILE_EVENTS | AE_DONT_WAIT | HOOKS);
    }
}

static int hookRead, hookBy;

static void reuseInHook(aeEventLoop *el) {
    aeDeleteFileEvent(el, hookRead, AE_READABLE);
    replaceFd(hookRead, hookBy);
    addFile(hookRead, AE_READABLE, neverFile, NULL);
}

TEST(fault_1_stale_readiness_is_not_delivered_to_a_registration_by_the_after_sleep_hook) {
    hookRead = newReadyPipe().out;
    hookBy = newPipe().out;
    addFile(hookRead, AE_READABLE, neverFile, NULL);
    aeSetAfterSleepProc(loop, reuseInHook);
    aeProcessEvents(loop, AE_FILE_EVENTS | AE_CALL_AFTER_SLEEP);
    assert_int_equal(look(), 0);
}

TEST(the_wait_ends_when_an_fd_is_ready) {
    addTimer(1000, neverTime, NULL);
    addFile(newReadyPipe().out, AE_READABLE, onRead, "A");
    uint64_t before = clockNow();
    assert_int_equal(iterate(), 1);
    assert_int_equal(clockNow(), before);
    assertJournal("A.read");
}

static void *sendLater(void *fd) {
    sendByte(*(int *)fd);
    return NULL;
}

TEST_WITH_LOOP(an_unlimited_wait_really_ends_when_an_fd_becomes_ready) {
    pthread_t thread;
    Pipe quiet = newPipe();
    addFile(quiet.out, AE_READABLE, onRead, "A");
    assert_int_equal(pthread_create(&thread, NULL, sendLater, &quiet.in), 0);
    assert_int_equal(iterate(), 1);
    assertJournal("A.read");
    pthread_join(thread, NULL);
}

TEST_WITH_LOOP(a_real_wait_ends_at_its_timer) {
    addFile(newPipe().out, AE_READABLE, neverFile, NULL);
    addTimer(3, onTime, "A");
    while (iterate() == 0) continue;
    assertJournal("A");
}

/// Signals ////////////////////////////////////////////////////////////////////////////////////////

static atomic_bool isBack;
static pthread_t mainThread;

static void ignoreSignal(int number) {
    (void)number;
}

/* Sends signals to the main thread until it has left its wait. */
static void *disturb(void *unused) {
    while (!isBack) {
        pthread_kill(mainThread, SIGUSR1);
        sched_yield();
    }
    return unused;
}

static void handleSignal(void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = handler; /* and no SA_RESTART */
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
}

static pthread_t startDisturbing(void (*handler)(int)) {
    pthread_t thread;
    handleSignal(handler);
    isBack = false;
    mainThread = pthread_self();
    assert_int_equal(pthread_create(&thread, NULL, disturb, NULL), 0);
    return thread;
}

static void stopDisturbing(pthread_t thread) {
    isBack = true;
    pthread_join(thread, NULL);
    handleSignal(ignoreSignal);
}

TEST_WITH_LOOP(a_signal_ends_an_unlimited_wait_with_no_events) {
    addFile(newPipe().out, AE_READABLE, neverFile, NULL);
    pthread_t thread = startDisturbing(ignoreSignal);
    assert_int_equal(iterate(), 0);
    stopDisturbing(thread);
}

static void stopOnSignal(int number) {
    (void)number;
    aeStop(loop);
}

TEST_WITH_LOOP(aeStop_in_a_signal_handler_ends_a_waiting_aeMain) {
    addFile(newPipe().out, AE_READABLE, neverFile, NULL);
    pthread_t thread = startDisturbing(stopOnSignal);
    aeMain(loop);
    stopDisturbing(thread);
    assert_int_equal(loop->stop, 1);
}

static int raiseSignal(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    raise(SIGUSR1);
    return 1;
}

TEST_WITH_LOOP(aeStop_in_a_signal_handler_takes_effect_after_the_iteration) {
    handleSignal(stopOnSignal);
    addTimer(1, raiseSignal, "A");
    aeMain(loop);
    assertJournal("A");
}

/// aeMain and aeStop //////////////////////////////////////////////////////////////////////////////

static int stopNow(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    aeStop(el);
    return AE_NOMORE;
}

TEST(aeMain_runs_iterations_with_both_hooks_until_aeStop) {
    setHooks();
    addTimer(10, onTime, "A");
    addTimer(20, stopNow, "B");
    addTimer(30, neverTime, NULL);
    aeMain(loop);
    assertJournal("before after A before after B");
    assert_int_equal(loop->stop, 1);
}

TEST(aeMain_clears_stop_first) {
    aeStop(loop);
    assert_int_equal(loop->stop, 1);
    addTimer(10, stopNow, "A");
    aeMain(loop);
    assertJournal("A");
    addTimer(10, stopNow, "B");
    aeMain(loop);
    assertJournal("B");
}

static int runNested(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    addTimer(10, stopNow, "inner");
    aeMain(el);
    journal("between");
    return AE_NOMORE;
}

TEST(one_aeStop_ends_all_nested_calls_of_aeMain) {
    addTimer(10, runNested, "outer");
    addTimer(1000, neverTime, NULL);
    aeMain(loop);
    assertJournal("outer inner between");
}

static void stopOnRead(aeEventLoop *el, int fd, void *name, int mask) {
    onRead(el, fd, name, mask);
    aeStop(el);
}

TEST(aeStop_lets_the_iteration_finish) {
    addFile(newReadyPipe().out, AE_READABLE, stopOnRead, "A");
    addFile(newReadyPipe().out, AE_READABLE, stopOnRead, "A");
    addTimer(0, onTime, "timer");
    aeMain(loop);
    assertJournal("A.read A.read timer");
}

TEST(aeStop_in_the_before_sleep_hook_ends_aeMain_after_the_iteration) {
    aeSetBeforeSleepProc(loop, aeStop);
    addTimer(0, onTime, "A");
    aeMain(loop);
    assertJournal("A");
}

TEST(aeProcessEvents_ignores_stop) {
    aeStop(loop);
    addTimer(0, onTime, "A");
    assert_int_equal(look(), 1);
    assertJournal("A");
}

static atomic_int ticks;

static int tick(aeEventLoop *el, long long id, void *clientData) {
    (void)el, (void)id, (void)clientData;
    ticks++;
    return 0;
}

static void *stopAfterSomeTicks(void *clientData) {
    while (ticks < 3) sched_yield();
    aeStop(clientData);
    return NULL;
}

TEST_WITH_LOOP(aeStop_may_be_called_from_another_thread) {
    pthread_t thread;
    ticks = 0;
    addTimer(0, tick, NULL);
    assert_int_equal(pthread_create(&thread, NULL, stopAfterSomeTicks, loop), 0);
    aeMain(loop);
    pthread_join(thread, NULL);
    assert_true(ticks >= 3);
}

/// Threads ////////////////////////////////////////////////////////////////////////////////////////

/* A thread's own loop: a byte is passed through a pipe again and again, with some timers. It makes
 * no assertions of cmocka: these belong to the main thread. */
typedef struct {
    int ends[2];
    int bytes, timers, finalized;
    bool isRight;
} Worker;

enum { ROUNDS = 2000 };

static void passOn(aeEventLoop *el, int fd, void *clientData, int mask) {
    Worker *worker = clientData;
    char byte;
    worker->isRight &= (mask & AE_READABLE) && read(fd, &byte, 1) == 1;
    worker->isRight &= write(worker->ends[1], &byte, 1) == 1;
    if (++worker->bytes >= ROUNDS && worker->timers >= ROUNDS) aeStop(el);
}

static int workTimer(aeEventLoop *el, long long id, void *clientData) {
    Worker *worker = clientData;
    worker->timers++;
    long long cancelled = aeCreateTimeEvent(el, 1000, workTimer, clientData, NULL);
    worker->isRight &= cancelled > id && aeDeleteTimeEvent(el, cancelled) == AE_OK;
    return 0;
}

static void workFinalizer(aeEventLoop *el, void *clientData) {
    (void)el;
    ((Worker *)clientData)->finalized++;
}

static void *work(void *clientData) {
    Worker *worker = clientData;
    aeEventLoop *own = aeCreateEventLoop(SETSIZE);
    worker->isRight =
        own && aeCreateFileEvent(own, worker->ends[0], AE_READABLE, passOn, worker) == AE_OK;
    for (int i = 0; i < 10; i++) aeCreateTimeEvent(own, 0, workTimer, worker, workFinalizer);
    aeMain(own);
    aeDeleteEventLoop(own);
    return NULL;
}

TEST_WITH_LOOP(loops_in_different_threads_share_nothing) {
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    Worker workers[THREADS];
    memset(workers, 0, sizeof(workers));
    for (int i = 0; i < THREADS; i++) {
        Pipe ready = newReadyPipe();
        workers[i].ends[0] = ready.out;
        workers[i].ends[1] = ready.in;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_true(workers[i].isRight);
        assert_int_equal(workers[i].finalized, 10);
    }
}

static void *runMain(void *clientData) {
    aeMain(clientData);
    return NULL;
}

TEST_WITH_LOOP(another_thread_may_use_the_loop_of_a_paused_thread) {
    pthread_t thread;
    Pipe ready = newReadyPipe();
    for (int i = 0; i < 2; i++) {
        addFile(ready.out, AE_READABLE, stopOnRead, "thread");
        addTimer(0, onTime, "timer");
        assert_int_equal(pthread_create(&thread, NULL, runMain, loop), 0);
        pthread_join(thread, NULL);
        assertJournal("thread.read timer");
        aeDeleteFileEvent(loop, ready.out, AE_READABLE);
        assert_int_equal(aeDeleteTimeEvent(loop, i), AE_ERR);
        assert_int_equal(look(), 0);
    }
}

/// fd 0 ///////////////////////////////////////////////////////////////////////////////////////////

enum { BOTH = AE_READABLE | AE_WRITABLE };

static int usualInput = -1;

/* Makes fd 0 one end of a socket pair. Returns the other end. */
static int takeInput(void) {
    int fds[2];
    newSocketPair(fds);
    usualInput = newCopy(STDIN_FILENO, 3);
    assert_int_equal(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
    shut(fds[0]);
    return fds[1];
}

/* Restores the program's fd 0, also after a test that has closed it or failed. */
static int giveInputBack(void **state) {
    if (usualInput != -1) assert_int_equal(dup2(usualInput, STDIN_FILENO), STDIN_FILENO);
    usualInput = -1;
    return tearDown(state);
}

#define TEST_WITH_INPUT(name) TEST_BETWEEN(setUpFrozen, name, giveInputBack)

TEST_WITH_INPUT(fd_0_alone_is_polled_and_served) {
    int peer = takeInput();
    addFile(STDIN_FILENO, AE_READABLE, onRead, "zero");
    assert_int_equal(loop->maxfd, 0);
    assert_int_equal(aeGetFileEvents(loop, STDIN_FILENO), AE_READABLE);
    assert_string_equal(aeGetFileClientData(loop, STDIN_FILENO), "zero");
    assert_int_equal(aeProcessEvents(loop, AE_FILE_EVENTS | AE_DONT_WAIT), 0);
    sendByte(peer);
    assert_int_equal(aeProcessEvents(loop, AE_FILE_EVENTS | AE_DONT_WAIT), 1);
    assert_int_equal(aeProcessEvents(loop, AE_FILE_EVENTS), 1);
    assert_int_equal(iterate(), 1);
    assertJournal("zero.read zero.read zero.read");
}

TEST_WITH_INPUT(fd_0_may_have_a_barrier) {
    int peer = takeInput();
    addFile(STDIN_FILENO, AE_READABLE, onRead, "zero");
    addFile(STDIN_FILENO, AE_WRITABLE, onWrite, "zero");
    addFile(STDIN_FILENO, AE_BARRIER, NULL, "zero");
    sendByte(peer);
    assert_int_equal(look(), 1);
    assertJournal("zero.write zero.read");
}

TEST_WITH_INPUT(fd_0_can_be_deleted) {
    int peer = takeInput();
    addFile(STDIN_FILENO, BOTH, onEither, "zero");
    sendByte(peer);
    aeDeleteFileEvent(loop, STDIN_FILENO, AE_WRITABLE);
    assert_int_equal(look(), 1);
    assertJournal("zero:r");
    aeDeleteFileEvent(loop, STDIN_FILENO, AE_READABLE);
    assert_int_equal(aeGetFileEvents(loop, STDIN_FILENO), AE_NONE);
    assert_null(aeGetFileClientData(loop, STDIN_FILENO));
    assert_int_equal(loop->maxfd, -1);
    assert_int_equal(look(), 0);
}

TEST_WITH_INPUT(deleting_a_higher_fd_leaves_fd_0) {
    int peer = takeInput(), higher = newPipe().out;
    addFile(STDIN_FILENO, AE_READABLE, onRead, "zero");
    addFile(higher, AE_READABLE, neverFile, NULL);
    aeDeleteFileEvent(loop, higher, AE_READABLE);
    assert_int_equal(loop->maxfd, 0);
    sendByte(peer);
    assert_int_equal(look(), 1);
    assertJournal("zero.read");
}

TEST_WITH_INPUT(fd_0_closed_under_the_loop_does_not_disturb_the_others) {
    takeInput();
    addFile(STDIN_FILENO, BOTH, neverFile, NULL);
    addFile(newReadyPipe().out, AE_READABLE, onRead, "other");
    close(STDIN_FILENO);
    assert_int_equal(look(), 1);
    assert_int_equal(look(), 1);
    assertJournal("other.read other.read");
    aeDeleteFileEvent(loop, STDIN_FILENO, BOTH);
    assert_int_equal(aeGetFileEvents(loop, STDIN_FILENO), AE_NONE);
}

TEST_WITH_INPUT(fd_0_closed_is_refused_with_EBADF) {
    takeInput();
    close(STDIN_FILENO);
    assert_int_equal(aeCreateFileEvent(loop, STDIN_FILENO, BOTH, neverFile, NULL), AE_ERR);
    assert_int_equal(errno, EBADF);
    assert_int_equal(aeWait(STDIN_FILENO, BOTH, 0), -1);
    assert_int_equal(errno, EBADF);
}

TEST_WITH_INPUT(aeWait_waits_for_fd_0) {
    int peer = takeInput();
    assert_int_equal(aeWait(STDIN_FILENO, AE_READABLE, 0), 0);
    sendByte(peer);
    assert_int_equal(aeWait(STDIN_FILENO, AE_READABLE, 0), AE_READABLE);
}

/// aeWait /////////////////////////////////////////////////////////////////////////////////////////

TEST(aeWait_returns_the_ready_mask) {
    Pipe ready = newReadyPipe(), empty = newPipe();
    int socket;
    newReadySocket(&socket);
    assert_int_equal(aeWait(ready.out, AE_READABLE, 1000), AE_READABLE);
    assert_int_equal(aeWait(empty.in, AE_WRITABLE, 1000), AE_WRITABLE);
    assert_int_equal(aeWait(socket, BOTH, 1000), BOTH);
    assert_int_equal(aeWait(socket, AE_READABLE, 1000), AE_READABLE);
    assert_int_equal(aeWait(socket, AE_WRITABLE, 1000), AE_WRITABLE);
}

TEST(aeWait_returns_0_after_a_timeout) {
    Pipe quiet = newPipe();
    fill(quiet.in);
    assert_int_equal(aeWait(newPipe().out, AE_READABLE, 0), 0);
    assert_int_equal(aeWait(quiet.in, AE_WRITABLE, 0), 0);
    assert_int_equal(aeWait(newPipe().out, AE_READABLE, 2), 0);
    assert_int_equal(lastTimeout(), 2000);
}

TEST(aeWait_does_not_report_bits_that_are_not_in_the_mask) {
    int socket;
    newReadySocket(&socket);
    fill(socket);
    assert_int_equal(aeWait(socket, AE_WRITABLE, 0), 0);
    assert_int_equal(aeWait(socket, AE_NONE, 0), 0);
}

TEST(aeWait_counts_hang_up_as_writable) {
    if (systemIs("netbsd")) SKIP("NetBSD's poll does not report a hang-up beside input");
    Pipe dead = newPipe();
    shut(dead.in);
    assert_int_equal(aeWait(dead.out, AE_READABLE, 1000) & AE_WRITABLE, AE_WRITABLE);
    assert_int_equal(aeWait(dead.out, AE_WRITABLE, 1000), AE_WRITABLE);
}

TEST(aeWait_returns_readable_if_poll_does_not_report_the_hang_up) {
    Pipe dead = newPipe();
    shut(dead.in);
    hideHangUps();
    assert_int_equal(aeWait(dead.out, AE_READABLE, 1000), AE_READABLE);
}

TEST(aeWait_counts_an_error_as_writable) {
    Pipe dead = newPipe();
    fill(dead.in);
    shut(dead.out);
    assert_int_equal(aeWait(dead.in, AE_WRITABLE, 1000), AE_WRITABLE);
}

TEST(aeWait_counts_an_error_as_writable_though_asked_to_read) {
    if (systemIs("netbsd")) SKIP("NetBSD's poll does not report a hang-up beside input");
    Pipe dead = newPipe();
    fill(dead.in);
    shut(dead.out);
    assert_int_equal(aeWait(dead.in, AE_READABLE, 1000) & AE_WRITABLE, AE_WRITABLE);
}

TEST(aeWait_returns_minus_1_on_error) {
    int fd = newPipe().out;
    shut(fd);
    errno = 0;
    assert_int_equal(aeWait(fd, AE_READABLE, 1000), -1);
    assert_int_equal(errno, EBADF);
    errno = 0;
    assert_int_equal(aeWait(-1, AE_READABLE, 1000), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(aeWait(INT_MIN, AE_READABLE, 1000), -1);
    failNth(POLL, 1, EINTR);
    assert_int_equal(aeWait(newPipe().out, AE_READABLE, 1000), -1);
    assert_int_equal(errno, EINTR);
}

TEST(fault_9_aeWait_clamps_to_the_longest_timeout_of_poll) {
    int fd = newPipe().out;
    static const long long longer[] = {INT_MAX, INT_MAX + 1LL, UINT_MAX, UINT_MAX + 1LL, LLONG_MAX};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(aeWait(fd, AE_READABLE, longer[i]), 0);
        assert_int_equal(lastTimeout(), INT_MAX * 1000LL);
    }
}

TEST(fault_9_aeWait_waits_without_limit_for_negative_times) {
    int fd = newPipe().out;
    static const long long negative[] = {-1, -2, INT_MIN, INT_MIN - 1LL, LLONG_MIN, -(1LL << 32)};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(aeWait(fd, AE_READABLE, negative[i]), -1); /* the fake signal */
        assert_int_equal(lastTimeout(), NO_TIMEOUT);
    }
}

/// Random calls ///////////////////////////////////////////////////////////////////////////////////

/* A handler that makes random calls for any event, including its own, and runs nested iterations:
 * nothing may crash or be lost. The sanitizers check it. */
static int chaosFds[12], chaosDepth;
static long long chaosFinalized, chaosCreated;

static void chaos(aeEventLoop *el);

static void chaosFile(aeEventLoop *el, int fd, void *clientData, int mask) {
    (void)clientData;
    assert_true(aeGetFileEvents(el, fd) & mask);
    chaos(el);
}

static int chaosTime(aeEventLoop *el, long long id, void *clientData) {
    (void)id, (void)clientData;
    chaos(el);
    return randomBelow(4) - 2;
}

static void chaosFinalizer(aeEventLoop *el, void *clientData) {
    (void)clientData;
    chaosFinalized++;
    if (randomBelow(4) == 0) chaos(el);
}

static void chaos(aeEventLoop *el) {
    for (int i = randomBelow(4); i > 0; i--) {
        int fd = chaosFds[randomBelow(12)], mask = 1 + randomBelow(7);
        switch (randomBelow(8)) {
        case 0:
        case 1:
            if (mask & BOTH)
                assert_int_equal(aeCreateFileEvent(el, fd, mask, chaosFile, NULL), AE_OK);
            break;
        case 2:
            aeDeleteFileEvent(el, fd, mask);
            break;
        case 3:
            aeDeleteTimeEvent(el, el->timeEventNextId - 1 - randomBelow(20));
            break;
        case 4:
            if (chaosCreated - chaosFinalized > 50) break;
            chaosCreated++;
            assert_true(aeCreateTimeEvent(el, randomBelow(3), chaosTime, NULL, chaosFinalizer) >=
                        0);
            break;
        case 5:
            if (chaosDepth >= 3) break;
            chaosDepth++;
            aeProcessEvents(el, randomBelow(4) | AE_DONT_WAIT | HOOKS);
            chaosDepth--;
            break;
        case 6:
            if (el->maxfd >= 0) assert_int_equal(aeResizeSetSize(el, el->maxfd + 1), AE_OK);
            assert_int_equal(aeResizeSetSize(el, SETSIZE), AE_OK);
            break;
        default:
            aeDeleteFileEvent(el, fd, BOTH);
            replaceFd(fd, chaosFds[randomBelow(12)]);
        }
    }
}

TEST(handlers_may_make_any_call_for_any_event) {
    chaosFinalized = chaosCreated = chaosDepth = 0;
    aeSetBeforeSleepProc(loop, chaos);
    aeSetAfterSleepProc(loop, chaos);
    for (int i = 0; i < 12; i++) {
        newReadySocket(&chaosFds[i]);
        if (i % 3 == 0) chaosFds[i] = newCopy(chaosFds[i], 60 + 20 * i);
    }
    for (int i = 0; i < 20000; i++) {
        chaos(loop);
        aeProcessEvents(loop, AE_ALL_EVENTS | AE_DONT_WAIT | HOOKS);
        if (i % 16 == 0) advanceClock(1000);
    }
    while (loop->timeEventHead) { /* let it end */
        for (long long id = loop->timeEventNextId - 1; id >= 0; id--) aeDeleteTimeEvent(loop, id);
        aeProcessEvents(loop, AE_TIME_EVENTS | AE_DONT_WAIT);
    }
    assert_int_equal(chaosFinalized, chaosCreated);
}
