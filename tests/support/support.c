/* See support.h. The second half of this file has the functions to which interpose.h redirects
 * calls.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "tests/support/support.h"

#define INTERPOSE_FOR_SUPPORT
#include "tests/support/interpose.h"

#ifdef KQUEUE_EMULATION_SYS_EVENT_H
#include "kqueue_emulation.h"
#define systemPoll kqueueEmulationPoll
#else
#define systemPoll poll
#endif
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { TEST_SECONDS = 600, SCANNED_FDS = 4096, MOST_FDS = 8192 };

/// Calls that fail ////////////////////////////////////////////////////////////////////////////////

/* Some tests run loops in several threads: the variables that they use are atomic. */
static atomic_int calls[CALL_KINDS];
static struct {
    bool armed, always, struck;
    CallKind kind;
    int countdown, error;
} fault;

void failNth(CallKind kind, int nth, int error) {
    fault.kind = kind;
    fault.countdown = nth;
    fault.error = error;
    fault.always = fault.struck = false;
    fault.armed = true;
}

void failAll(CallKind kind, int error) {
    failNth(kind, 1, error);
    fault.always = true;
}

bool hasFailed(void) {
    return fault.struck;
}

void stopFailures(void) {
    fault.armed = false;
}

int callsOf(CallKind kind) {
    return calls[kind];
}

void forgetCalls(void) {
    for (int kind = 0; kind < CALL_KINDS; kind++) calls[kind] = 0;
}

static size_t transferLimit;

void limitTransfers(size_t limit) {
    transferLimit = limit;
}

/* Counts a call, and returns whether it must fail. */
static bool fails(CallKind kind) {
    calls[kind]++;
    if (!fault.armed || fault.kind != kind) return false;
    if (!fault.always && --fault.countdown != 0) return false;
    fault.struck = true;
    if (kind != MEMORY) errno = fault.error;
    return true;
}

/// Memory /////////////////////////////////////////////////////////////////////////////////////////

typedef union {
    size_t size;
    long double aligned; /* C99 has no max_align_t */
    void *pointer;
} BlockHead;

enum { GUARD_BYTES = 16, GUARD = 0x6B };

static atomic_int blocks;

int liveBlocks(void) {
    return blocks;
}

/* Tells the memory sanitizer that garbage is not initialized memory, and that a system call has
 * written to memory, which it does not know for all calls. */
#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define MARK_UNDEFINED(memory, size) __msan_poison(memory, size)
#define MARK_DEFINED(memory, size) __msan_unpoison(memory, size)
#endif
#endif
#ifndef MARK_UNDEFINED
#define MARK_UNDEFINED(memory, size) ((void)0)
#define MARK_DEFINED(memory, size) ((void)0)
#endif

void *supportMalloc(size_t size) {
    if (fails(MEMORY)) return NULL;
    BlockHead *head = malloc(sizeof(*head) + size + GUARD_BYTES);
    if (!head) return NULL;
    head->size = size;
    memset(head + 1, 0xA5, size);
    memset((char *)(head + 1) + size, GUARD, GUARD_BYTES);
    MARK_UNDEFINED(head + 1, size);
    blocks++;
    return head + 1;
}

void *supportRealloc(void *memory, size_t size) {
    void *moved = supportMalloc(size);
    if (!moved || !memory) return moved;
    size_t former = ((BlockHead *)memory - 1)->size;
    memcpy(moved, memory, former < size ? former : size);
    supportFree(memory);
    return moved;
}

void supportFree(void *memory) {
    if (!memory) return;
    BlockHead *head = (BlockHead *)memory - 1;
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        if (((unsigned char *)memory)[head->size + i] == GUARD) continue;
        fprintf(stderr, "a block of %zu bytes was written to past its end\n", head->size);
        abort();
    }
    memset(memory, 0xDB, head->size);
    blocks--;
    free(head);
    errno = ENOTTY;
}

/// Before and after a test ////////////////////////////////////////////////////////////////////////

aeEventLoop *loop;

static int blocksBefore, fdsBefore;

static char journalText[1 << 16], journalTaken[1 << 16];
static size_t journalLength;

static bool isOurs[MOST_FDS]; /* fds to close after the test */
static atomic_bool frozen;
static bool hangUpsHidden;
static struct timespec frozenNow;
static atomic_llong latestTimeout;
static atomic_int largestBatch;
static void (*waitWatcher)(long long microseconds);
static int timerSlack = -1;
static uint64_t chance;

int openFds(void) {
    enum { AT_ONCE = 128 }; /* poll(2) refuses more than the limit of fds */
    int open = 0;
    for (int first = 0; first < SCANNED_FDS; first += AT_ONCE) {
        struct pollfd set[AT_ONCE];
        /* Without a requested event macOS looks at no fd. */
        for (int i = 0; i < AT_ONCE; i++) set[i] = (struct pollfd){first + i, POLLIN, 0};
        assert_true(systemPoll(set, AT_ONCE, 0) != -1);
        for (int i = 0; i < AT_ONCE; i++) open += !(set[i].revents & POLLNVAL);
    }
    return open;
}

int setUp(void **state) {
    (void)state;
    alarm(TEST_SECONDS);
    signal(SIGPIPE, SIG_IGN);
    stopFailures();
    forgetCalls();
    limitTransfers(0);
    watchWaits(NULL);
    setTimerSlack(-1);
    frozen = hangUpsHidden = false;
    latestTimeout = 0;
    largestBatch = 0;
    chance = UINT64_C(0x9e3779b97f4a7c15);
    takeJournal();
    loop = NULL;
    blocksBefore = liveBlocks();
    fdsBefore = openFds();
    return 0;
}

int setUpLoop(void **state) {
    setUp(state);
    loop = aeCreateEventLoop(SETSIZE);
    return loop ? 0 : -1;
}

int setUpFrozen(void **state) {
    int result = setUpLoop(state);
    freezeClock();
    return result;
}

void deleteLoop(void) {
    aeEventLoop *former = loop;
    loop = NULL;
    aeDeleteEventLoop(former);
}

int tearDown(void **state) {
    (void)state;
    stopFailures();
    deleteLoop();
    frozen = false;
    for (int fd = 0; fd < MOST_FDS; fd++)
        if (isOurs[fd]) shut(fd);
    alarm(0);

    int lostBlocks = liveBlocks() - blocksBefore, lostFds = openFds() - fdsBefore;
    if (lostBlocks) print_error("%d blocks of memory leaked\n", lostBlocks);
    if (lostFds) print_error("%d fds leaked\n", lostFds);
    return lostBlocks || lostFds ? -1 : 0;
}

bool backendIs(const char *name) {
    return strcmp(aeGetApiName(), name) == 0;
}

bool systemIs(const char *name) {
#ifdef KQUEUE_EMULATION_SYS_EVENT_H
    return strncmp(kqueueEmulationSystem(), name, strlen(name)) == 0; /* openbsd5 is OpenBSD */
#elif defined(__FreeBSD__)
    return strcmp(name, "freebsd") == 0;
#elif defined(__NetBSD__)
    return strcmp(name, "netbsd") == 0;
#elif defined(__OpenBSD__)
    return strcmp(name, "openbsd") == 0;
#elif defined(__APPLE__)
    return strcmp(name, "macos") == 0;
#else
    (void)name;
    return false;
#endif
}

int roomForFds(int wanted) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t enough = (rlim_t)wanted + 64;
    if (enough > MOST_FDS) enough = MOST_FDS;
    if (limit.rlim_cur < enough) {
        limit.rlim_cur = limit.rlim_max < enough ? limit.rlim_max : enough;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    int room = limit.rlim_cur < enough ? (int)limit.rlim_cur - 64 : wanted;
    return room < wanted ? room : wanted;
}

/// Processes //////////////////////////////////////////////////////////////////////////////////////

#ifdef MEASURES_COVERAGE
#ifdef __clang__
int __llvm_profile_write_file(void);
#define __gcov_dump() (void)__llvm_profile_write_file()
#else
void __gcov_dump(void);
#endif
#endif

void writeCounts(int unused) {
    (void)unused;
#ifdef MEASURES_COVERAGE
    __gcov_dump();
#endif
}

int statusOfChild(int (*run)(void)) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child != -1);
    if (child == 0) {
        int code = run();
        writeCounts(0);
        _exit(code);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/// One iteration //////////////////////////////////////////////////////////////////////////////////

int iterate(void) {
    return aeProcessEvents(loop, AE_ALL_EVENTS);
}

int look(void) {
    return aeProcessEvents(loop, AE_ALL_EVENTS | AE_DONT_WAIT);
}

/// The journal ////////////////////////////////////////////////////////////////////////////////////

void journal(const char *format, ...) {
    size_t room = sizeof(journalText) - journalLength;
    if (journalLength) {
        assert_true(room > 2);
        journalText[journalLength++] = ' ';
        room--;
    }
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(journalText + journalLength, room, format, arguments);
    va_end(arguments);
    assert_true(length >= 0 && (size_t)length < room);
    journalLength += (size_t)length;
}

const char *takeJournal(void) {
    memcpy(journalTaken, journalText, sizeof(journalTaken));
    journalText[0] = '\0';
    journalLength = 0;
    return journalTaken;
}

void onRead(aeEventLoop *el, int fd, void *name, int mask) {
    (void)el, (void)fd, (void)mask;
    journal("%s.read", (char *)name);
}

void onWrite(aeEventLoop *el, int fd, void *name, int mask) {
    (void)el, (void)fd, (void)mask;
    journal("%s.write", (char *)name);
}

void onEither(aeEventLoop *el, int fd, void *name, int mask) {
    (void)el, (void)fd;
    journal("%s:%s%s", (char *)name, mask & AE_READABLE ? "r" : "", mask & AE_WRITABLE ? "w" : "");
}

int onTime(aeEventLoop *el, long long id, void *name) {
    (void)el, (void)id;
    journal("%s", (char *)name);
    return AE_NOMORE;
}

int onTimeAtOnce(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    return 0;
}

int onTimeIn10(aeEventLoop *el, long long id, void *name) {
    onTime(el, id, name);
    return 10;
}

void onFinalize(aeEventLoop *el, void *name) {
    (void)el;
    journal("~%s", (char *)name);
}

void countFile(aeEventLoop *el, int fd, void *count, int mask) {
    (void)el, (void)fd, (void)mask;
    ++*(int *)count;
}

int countTime(aeEventLoop *el, long long id, void *count) {
    (void)el, (void)id;
    ++*(int *)count;
    return AE_NOMORE;
}

void neverFile(aeEventLoop *el, int fd, void *name, int mask) {
    (void)el, (void)name;
    fail_msg("a handler was called for fd %d, mask %d", fd, mask);
}

int neverTime(aeEventLoop *el, long long id, void *name) {
    (void)el, (void)name;
    fail_msg("timer %lld fired", id);
    return AE_NOMORE;
}

/// Files //////////////////////////////////////////////////////////////////////////////////////////

/* The fd is closed after the test. */
static void adopt(int fd) {
    assert_in_range(fd, 0, MOST_FDS - 1);
    isOurs[fd] = true;
}

static void adoptNonBlocking(int fd) {
    adopt(fd);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

Pipe newPipe(void) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    adoptNonBlocking(ends[0]);
    adoptNonBlocking(ends[1]);
    return (Pipe){ends[0], ends[1]};
}

Pipe newReadyPipe(void) {
    Pipe created = newPipe();
    sendByte(created.in);
    return created;
}

void newSocketPair(int fds[2]) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    adoptNonBlocking(fds[0]);
    adoptNonBlocking(fds[1]);
}

void newReadySocket(int *fd) {
    int fds[2];
    newSocketPair(fds);
    sendByte(fds[1]);
    *fd = fds[0];
}

int newRegularFile(void) {
    char path[] = "/tmp/libae-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd != -1);
    unlink(path);
    adopt(fd);
    return fd;
}

int newCopy(int fd, int from) {
    int copy = fcntl(fd, F_DUPFD, from);
    assert_true(copy != -1);
    adopt(copy);
    return copy;
}

void replaceFd(int fd, int by) {
    assert_int_equal(dup2(by, fd), fd);
    adopt(fd);
}

void shut(int fd) {
    assert_true(isOurs[fd]);
    isOurs[fd] = false;
    assert_int_equal(close(fd), 0);
}

void sendByte(int fd) {
    assert_int_equal(write(fd, "x", 1), 1);
}

void takeByte(int fd) {
    char byte;
    assert_int_equal(read(fd, &byte, 1), 1);
}

void fill(int fd) {
    static const char bytes[4096];
    while (write(fd, bytes, sizeof(bytes)) > 0) continue;
    while (write(fd, bytes, 1) > 0) continue;
}

/// The clock that ae.c sees ///////////////////////////////////////////////////////////////////////

void freezeClock(void) {
    setClock(1000, 0);
}

void setClock(long long seconds, long long nanoseconds) {
    frozenNow.tv_sec = (time_t)seconds;
    frozenNow.tv_nsec = (long)nanoseconds;
    frozen = true;
}

void thawClock(void) {
    frozen = false;
}

void setTimerSlack(int nanoseconds) {
    timerSlack = nanoseconds;
}

void advanceClock(long long microseconds) {
    assert_true(frozen && microseconds >= 0);
    long nanoseconds = frozenNow.tv_nsec + (long)(microseconds % 1000000 * 1000);
    frozenNow.tv_sec += (time_t)(microseconds / 1000000 + nanoseconds / 1000000000);
    frozenNow.tv_nsec = nanoseconds % 1000000000;
}

uint64_t clockNow(void) {
    return (uint64_t)frozenNow.tv_sec * 1000000 + (uint64_t)frozenNow.tv_nsec / 1000;
}

long long clockNanoseconds(void) {
    return (long long)frozenNow.tv_sec * 1000000000 + frozenNow.tv_nsec;
}

int supportClockGettime(clockid_t clock, struct timespec *now) {
    if (!frozen) return clock_gettime(clock, now);
    *now = frozenNow;
    return 0;
}

/* The return value of a wait that found nothing, with a frozen clock: 0, or -1 with EINTR. */
static int waitFrozen(long long microseconds) {
    if (microseconds == NO_TIMEOUT) {
        errno = EINTR;
        return -1;
    }
    advanceClock(microseconds);
    return 0;
}

/// System calls ///////////////////////////////////////////////////////////////////////////////////

long long lastTimeout(void) {
    return latestTimeout;
}

int largestBatchAsked(void) {
    return largestBatch;
}

bool countsMicroseconds(void) {
    if (!backendIs("epoll")) return true;
#ifdef INTERPOSE_EPOLL_PWAIT2
    static int known = -1;
    if (known == -1) {
        struct epoll_event event;
        const struct timespec zero = {0, 0};
        int epfd = epoll_create1(0);
        known = epoll_pwait2(epfd, &event, 1, &zero, NULL) == 0;
        close(epfd);
    }
    return known;
#else
    return false;
#endif
}

void watchWaits(void (*watcher)(long long microseconds)) {
    waitWatcher = watcher;
}

static atomic_int interruptions;

int interruptedWaits(void) {
    return interruptions;
}

/* Returns the result of a real wait, and counts it if a signal has interrupted it. */
static int passedOn(int result) {
    if (result == -1 && errno == EINTR) interruptions++;
    return result;
}

/* Counts a wait and stores its arguments. Returns whether it must fail. */
static bool waitFails(CallKind kind, int room, long long microseconds) {
    if (kind == WAIT && waitWatcher) waitWatcher(microseconds);
    latestTimeout = microseconds;
    if (room > largestBatch) largestBatch = room;
    return fails(kind);
}

#if defined(INTERPOSE_EPOLL_PWAIT2) || defined(INTERPOSE_KQUEUE) || defined(INTERPOSE_EVPORT)
/* In microseconds, rounded up. */
static long long microsecondsOf(const struct timespec *timeout) {
    if (!timeout) return NO_TIMEOUT;
    return (long long)timeout->tv_sec * 1000000 + (timeout->tv_nsec + 999) / 1000;
}
#endif

int supportSelect(int count, fd_set *readable, fd_set *writable, fd_set *failed,
                  struct timeval *timeout) {
    long long microseconds =
        timeout ? (long long)timeout->tv_sec * 1000000 + timeout->tv_usec : NO_TIMEOUT;
    assert_in_range(count, 0, FD_SETSIZE);
    if (waitFails(WAIT, 0, microseconds)) return -1;
    if (!frozen) return passedOn(select(count, readable, writable, failed, timeout));

    struct timeval zero = {0, 0};
    int ready = select(count, readable, writable, failed, &zero);
    return ready ? ready : waitFrozen(microseconds);
}

void hideHangUps(void) {
    hangUpsHidden = true;
}

static int pollAsHidden(struct pollfd *set, nfds_t count, int milliseconds) {
    int ready = systemPoll(set, count, milliseconds);
    for (nfds_t i = 0; hangUpsHidden && i < count; i++) {
        if (!(set[i].revents & POLLHUP) || !(set[i].events & POLLIN)) continue;
        set[i].revents = (short)((set[i].revents & ~POLLHUP) | POLLIN);
    }
    return ready;
}

int supportPoll(struct pollfd *set, nfds_t count, int milliseconds) {
    long long microseconds = milliseconds < 0 ? NO_TIMEOUT : milliseconds * 1000LL;
    if (waitFails(POLL, 0, microseconds)) return -1;
    if (!frozen) return pollAsHidden(set, count, milliseconds);

    int ready = pollAsHidden(set, count, 0);
    return ready ? ready : waitFrozen(microseconds);
}

int supportFcntl(int fd, int command, ...) {
    if (fails(FCNTL)) return -1;
    if (command == F_GETFD || command == F_GETFL) return fcntl(fd, command);
    va_list arguments;
    va_start(arguments, command);
    int argument = va_arg(arguments, int);
    va_end(arguments);
    return fcntl(fd, command, argument);
}

int supportClose(int fd) {
    int result = close(fd);
    return fails(CLOSE) ? -1 : result;
}

int supportSocket(int family, int type, int protocol) {
    return fails(SOCKET) ? -1 : socket(family, type, protocol);
}

int supportBind(int fd, const struct sockaddr *at, socklen_t length) {
    return fails(BIND) ? -1 : bind(fd, at, length);
}

int supportListen(int fd, int backlog) {
    return fails(LISTEN) ? -1 : listen(fd, backlog);
}

int supportAccept(int fd, struct sockaddr *peer, socklen_t *length) {
    return fails(ACCEPT) ? -1 : accept(fd, peer, length);
}

int supportConnect(int fd, const struct sockaddr *to, socklen_t length) {
    return fails(CONNECT) ? -1 : connect(fd, to, length);
}

int supportSetsockopt(int fd, int level, int option, const void *value, socklen_t length) {
    return fails(OPTION) ? -1 : setsockopt(fd, level, option, value, length);
}

int supportGetsockopt(int fd, int level, int option, void *value, socklen_t *length) {
    return fails(OPTION) ? -1 : getsockopt(fd, level, option, value, length);
}

int supportGetsockname(int fd, struct sockaddr *at, socklen_t *length) {
    return fails(NAME) ? -1 : getsockname(fd, at, length);
}

int supportGetpeername(int fd, struct sockaddr *at, socklen_t *length) {
    return fails(NAME) ? -1 : getpeername(fd, at, length);
}

int supportGetaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found) {
    if (!fails(LOOKUP)) return getaddrinfo(host, service, hints, found);
    errno = EMFILE; /* for EAI_SYSTEM */
    return fault.error;
}

int supportPipe(int ends[2]) {
    return fails(PIPE) ? -1 : pipe(ends);
}

int supportChmod(const char *path, mode_t mode) {
    return fails(FILES) ? -1 : chmod(path, mode);
}

int supportUnlink(const char *path) {
    int result = unlink(path);
    return fails(FILES) ? -1 : result;
}

int supportStat(const char *path, struct stat *status) {
    return fails(FILES) ? -1 : stat(path, status);
}

#ifdef SOCK_CLOEXEC
#ifdef __NetBSD__
int supportPaccept(int fd, struct sockaddr *peer, socklen_t *length, const sigset_t *signals,
                   int flags) {
    return fails(ACCEPT) ? -1 : paccept(fd, peer, length, signals, flags);
}
#else
int supportAccept4(int fd, struct sockaddr *peer, socklen_t *length, int flags) {
    return fails(ACCEPT) ? -1 : accept4(fd, peer, length, flags);
}
#endif

int supportPipe2(int ends[2], int flags) {
    return fails(PIPE) ? -1 : pipe2(ends, flags);
}
#endif

static size_t limited(size_t size) {
    return transferLimit && size > transferLimit ? transferLimit : size;
}

ssize_t supportRead(int fd, void *bytes, size_t size) {
    return fails(TRANSFER) ? -1 : read(fd, bytes, limited(size));
}

ssize_t supportWrite(int fd, const void *bytes, size_t size) {
    return fails(TRANSFER) ? -1 : write(fd, bytes, limited(size));
}

#ifdef __linux__
int supportTimerSlack(void) {
    return timerSlack;
}

int supportEpollCreate1(int flags) {
    return fails(CREATE) ? -1 : epoll_create1(flags);
}

int supportDup3(int fd, int to, int flags) {
    return fails(CHANGE) ? -1 : dup3(fd, to, flags);
}

int supportEpollCtl(int epfd, int operation, int fd, struct epoll_event *event) {
    return fails(CHANGE) ? -1 : epoll_ctl(epfd, operation, fd, event);
}

int supportEpollWait(int epfd, struct epoll_event *events, int room, int milliseconds) {
    long long microseconds = milliseconds < 0 ? NO_TIMEOUT : milliseconds * 1000LL;
    if (waitFails(WAIT, room, microseconds)) return -1;
    if (!frozen) return passedOn(epoll_wait(epfd, events, room, milliseconds));

    int ready = epoll_wait(epfd, events, room, 0);
    return ready ? ready : waitFrozen(microseconds);
}

#ifdef INTERPOSE_EPOLL_PWAIT2
int supportEpollPwait2(int epfd, struct epoll_event *events, int room,
                       const struct timespec *timeout, const sigset_t *signals) {
    if (fails(PRECISE_WAIT)) return -1;
    if (!countsMicroseconds()) {
        errno = ENOSYS; /* from the kernel, or from valgrind in its place */
        return -1;
    }
    if (waitFails(WAIT, room, microsecondsOf(timeout))) return -1;
    if (!frozen) {
        int ready = passedOn(epoll_pwait2(epfd, events, room, timeout, signals));
        if (ready > 0) MARK_DEFINED(events, (size_t)ready * sizeof(*events));
        return ready;
    }
    int ready = epoll_wait(epfd, events, room, 0);
    return ready ? ready : waitFrozen(microsecondsOf(timeout));
}
#endif
#endif

#ifdef INTERPOSE_KQUEUE
int supportKqueue(void) {
    return fails(CREATE) ? -1 : kqueue();
}

int supportKevent(int kq, const struct kevent *changes, unsigned short changeCount,
                  struct kevent *events, unsigned short room, const struct timespec *timeout) {
    if (changeCount > 0 || room == 0) { /* a wait has room for its results */
        if (fails(CHANGE)) return -1;
        return kevent(kq, changes, changeCount, events, room, timeout);
    }
    if (waitFails(WAIT, room, microsecondsOf(timeout))) return -1;
    if (!frozen) return passedOn(kevent(kq, changes, changeCount, events, room, timeout));

    const struct timespec zero = {0, 0};
    int ready = kevent(kq, changes, changeCount, events, room, &zero);
    return ready ? ready : waitFrozen(microsecondsOf(timeout));
}
#endif

#ifdef INTERPOSE_EVPORT
int supportPortCreate(void) {
    return fails(CREATE) ? -1 : port_create();
}

int supportPortAssociate(int port, int source, uintptr_t object, int events, void *user) {
    return fails(CHANGE) ? -1 : port_associate(port, source, object, events, user);
}

int supportPortDissociate(int port, int source, uintptr_t object) {
    return fails(CHANGE) ? -1 : port_dissociate(port, source, object);
}

int supportPortGetn(int port, port_event_t *list, unsigned room, unsigned *count,
                    struct timespec *timeout) {
    if (waitFails(WAIT, (int)room, microsecondsOf(timeout))) return -1;
    if (!frozen) return passedOn(port_getn(port, list, room, count, timeout));

    struct timespec zero = {0, 0};
    const unsigned asked = *count;
    int result = port_getn(port, list, room, count, &zero);
    /* Some kernels do not change the count if there are no events. */
    bool found = *count > 0 && (*count != asked || list[0].portev_source != 0);
    if (found || (result == -1 && errno != ETIME)) return result;
    result = waitFrozen(microsecondsOf(timeout));
    if (result == 0) errno = ETIME;
    return -1;
}
#endif

/// Random programs ////////////////////////////////////////////////////////////////////////////////

uint64_t randomBits(void) {
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return chance;
}

int randomBelow(int limit) {
    return (int)(randomBits() % (uint64_t)limit);
}
