/* See driver.h.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "tests/support/support.h"

#define INTERPOSE_FOR_SUPPORT
#include "tests/support/interpose.h"

#include "tests/model/ae_checked.h"
#include "tests/model/driver.h"
#include "tests/model/model.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#ifdef INTERPOSE_KQUEUE
#include "tests/support/kqueue/kqueue_emulation.h"
#define systemPoll kqueueEmulationPoll
#else
#define systemPoll poll
#endif
#ifdef INTERPOSE_EVPORT
#include "tests/support/evport/port_emulation.h"
#endif

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))

/// The program ////////////////////////////////////////////////////////////////////////////////////

typedef enum {
    CREATE_FILE,
    CREATE_FILE_FAILING,
    DELETE_FILE,
    CREATE_TIMER,
    CREATE_TIMER_FAILING,
    CREATE_TIMERS,
    DELETE_TIMER,
    DELETE_TIMERS,
    PROCESS,
    MAIN,
    STOP,
    RETURN,
    OPEN_PIPE,
    OPEN_SOCKETPAIR,
    OPEN_REGULAR_FILE,
    CLOSE_DELETED,
    CLOSE_UNDELETED,
    RENUMBER,
    WRITE,
    READ,
    FILL,
    SHUTDOWN,
    RESIZE,
    SET_DONT_WAIT,
    SET_HOOKS,
    ADVANCE,
    WAIT_FOR_ONE,
    KINDS
} Kind;

typedef struct {
    Kind kind;
    uint8_t a, b, c;
} Operation;

static const uint8_t *program;
static size_t programEnd, position;
static unsigned long operationsDone;

/* Returns whether there is one more operation. */
static bool nextOperation(Operation *operation) {
    if (position + OPERATION_BYTES > programEnd) return false;
    const uint8_t *bytes = program + position;
    *operation = (Operation){(Kind)(bytes[0] % KINDS), bytes[1], bytes[2], bytes[3]};
    position += OPERATION_BYTES;
    operationsDone++;
    return true;
}

static uint64_t randomNumber(uint64_t *state) {
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

/// Messages ///////////////////////////////////////////////////////////////////////////////////////

static bool isTracing;
static int traceDepth;

/* Prints a line of C. */
static void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void trace(const char *format, ...) {
    if (!isTracing) return;
    va_list arguments;
    va_start(arguments, format);
    printf("%*s", 4 + 4 * traceDepth, "");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

void broken(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "WRONG: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}

static const char *maskText(int mask) {
    static const char *const texts[] = {"AE_NONE",
                                        "AE_READABLE",
                                        "AE_WRITABLE",
                                        "AE_READABLE | AE_WRITABLE",
                                        "AE_BARRIER",
                                        "AE_READABLE | AE_BARRIER",
                                        "AE_WRITABLE | AE_BARRIER",
                                        "AE_READABLE | AE_WRITABLE | AE_BARRIER"};
    return texts[mask & 7];
}

/// Fds and the clock //////////////////////////////////////////////////////////////////////////////

/* A program may use the numbers from `firstFd` on, which the kernel assigns, and some high ones, to
 * which fds can be moved. No two numbers refer to the same file. */
typedef enum { CLOSED, STREAM, REGULAR } FileKind;
enum { LOW_FDS = 16, MAX_FD = 1023 };
static const int highFds[] = {63, 64, 65, 127, 200, 500, MAX_FD};
enum { NAMED_FDS = LOW_FDS + sizeof(highFds) / sizeof(highFds[0]) };

static int firstFd;
static FileKind files[MAX_FD + 1];

/* For a number that was closed, a copy of its latest file, at a number that programs cannot use; or
 * 0. */
enum { FIRST_COPY = 600 };
static int copies[MAX_FD + 1];

bool isOpen(int fd) {
    return fd >= 0 && fd <= MAX_FD && files[fd] != CLOSED;
}

bool isRegularFile(int fd) {
    return isOpen(fd) && files[fd] == REGULAR;
}

static int namedFd(int index) {
    return index < LOW_FDS ? firstFd + index : highFds[index - LOW_FDS];
}

static int anyFd(uint8_t choice) {
    static const int oddOnes[] = {-1, INT_MIN, MAX_FD + 500, INT_MAX};
    return choice >= 252 ? oddOnes[choice - 252] : namedFd(choice % NAMED_FDS);
}

int refusalToWrite(int fd) {
#ifdef INTERPOSE_KQUEUE
    return kqueueEmulationRefusal(fd, EVFILT_WRITE);
#else
    (void)fd;
    return 0;
#endif
}

/* Mostly one that is open. */
static int likelyFd(uint8_t choice) {
    for (int i = 0; i < NAMED_FDS && choice < 240; i++) {
        int fd = namedFd((choice + i) % NAMED_FDS);
        if (isOpen(fd)) return fd;
    }
    return anyFd(choice);
}

/* What poll(2) reports, of Linux or of the emulated system. */
static int readinessInPoll(int fd, int mask, int (*pollOf)(struct pollfd *, nfds_t, int)) {
    struct pollfd request = {fd, 0, 0};
    if (mask & AE_READABLE) request.events |= POLLIN;
    if (mask & AE_WRITABLE) request.events |= POLLOUT;
    pollOf(&request, 1, 0);
    return request.revents;
}

#ifdef INTERPOSE_KQUEUE
/* Whether the backend takes the end of input for a hang-up. */
static bool endsAsHangUp(int fd) {
    return readinessInPoll(fd, AE_WRITABLE, systemPoll) & (POLLHUP | POLLERR | POLLNVAL);
}

/* The filter of each side reports for itself; a hang-up also sets the side without a filter. */
static int readinessInFilters(int fd, int mask) {
    enum { BOTH = AE_READABLE | AE_WRITABLE };
    struct stat status;
    mask &= BOTH;
    if (isRegularFile(fd)) return mask & AE_WRITABLE; /* it is not readable at its end */
    int found = readinessInPoll(fd, mask, poll), ready = AE_NONE;
    if (found & (POLLIN | POLLHUP | POLLERR)) ready |= mask & AE_READABLE;
    if (found & (POLLOUT | POLLHUP | POLLERR)) ready |= mask & AE_WRITABLE;
    bool isPipe = fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
    if (systemIs("netbsd") && isPipe && found & POLLERR && !(found & POLLOUT))
        ready &= ~AE_WRITABLE;
    if (systemIs("freebsd") && isPipe) { /* the filter of the wrong end reports nothing */
        int mode = fcntl(fd, F_GETFL) & O_ACCMODE;
        if (mode != O_RDWR) ready &= mode == O_RDONLY ? AE_READABLE : AE_WRITABLE;
    }
    if (mask == BOTH || ready == AE_NONE || !(found & (POLLHUP | POLLERR))) return ready;
    return ready == AE_WRITABLE || endsAsHangUp(fd) ? BOTH : ready;
}
#endif

int readinessAsked(int fd, int mask) {
    int found = readinessInPoll(fd, mask, systemPoll);
    if (found & POLLNVAL) return AE_NONE;
    if (found & (POLLHUP | POLLERR)) return AE_READABLE | AE_WRITABLE;
    return (found & POLLIN ? AE_READABLE : 0) | (found & POLLOUT ? AE_WRITABLE : 0);
}

int readinessOf(int fd, int mask) {
#ifdef INTERPOSE_KQUEUE
    return readinessInFilters(fd, mask);
#else
    int found = readinessInPoll(fd, mask, poll);
    if (backendIs("select")) { /* whichever events it reports */
        return (found & (POLLIN | POLLHUP | POLLERR) ? mask & AE_READABLE : 0) |
               (found & (POLLOUT | POLLERR) ? mask & AE_WRITABLE : 0);
    }
    return readinessAsked(fd, mask);
#endif
}

uint64_t clockRoundedDown(void) {
    return clockNow();
}

uint64_t clockRoundedUp(void) {
    struct timespec now;
    supportClockGettime(CLOCK_MONOTONIC, &now);
    return clockNow() + (now.tv_nsec % 1000 != 0);
}

bool isOutlived(int fd) {
    return copies[fd] && backendIs("epoll");
}

int readinessOutlived(int fd, int mask) {
    return readinessAsked(copies[fd], mask);
}

static void shutFd(int fd) {
    files[fd] = CLOSED;
    expect(close(fd) == 0, "close(%d) failed", fd);
}

/* Adds an fd that the kernel has assigned, unless the program cannot use its number. */
static int adopt(int fd, FileKind kind) {
    if (fd == -1) return -1;
    if (fd < firstFd || fd >= firstFd + LOW_FDS) {
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    files[fd] = kind;
    return fd;
}

void takeAllFds(void) {
    for (int fd = STDERR_FILENO + 1; fd <= MAX_FD; fd++) close(fd);
}

static int lowestFreeFd(void) {
    int fd = dup(0);
    expect(fd != -1, "standard input is closed");
    close(fd);
    return fd;
}

/// The loop compared with the model ///////////////////////////////////////////////////////////////

/* Each timer of a program has its own clientData, by its id. */
static char fileData[8], timerData[1 << 16];
enum { MOST_TIMERS = 1500 };

/* Checks everything that is visible of the loop, and its invariants. */
static void compare(void) {
    const char *wrong = aeCheck(loop);
    expect(!wrong, "%s", wrong);
    expect(loop->maxfd == modelMaxFd(), "maxfd is %d, not %d", loop->maxfd, modelMaxFd());
    expect(aeGetSetSize(loop) == modelSetsize(), "setsize is %d", aeGetSetSize(loop));
    expect(loop->timeEventNextId == modelNextId(), "the next id is %lld", loop->timeEventNextId);
    expect(loop->stop == modelIsStopped(), "stop is %d", loop->stop);
    expect(loop->flags == (modelDontWait() ? AE_DONT_WAIT : 0), "flags is %d", loop->flags);
    const aeTimeEvent *head = loop->timeEventHead;
    expect(!head || modelTimersExist(), "timeEventHead is not NULL");
    expect(head || !modelTimersExist() || modelIsDeleting(), "timeEventHead is NULL");
    expect(!head || head->id == AE_DELETED_EVENT_ID || modelIsLive(head->id),
           "timeEventHead is a timer that does not exist");
    for (int i = 0; i < NAMED_FDS; i++) {
        int fd = namedFd(i), mask = aeGetFileEvents(loop, fd);
        expect(mask == modelFileEvents(fd), "the events of fd %d are %s", fd, maskText(mask));
        expect(aeGetFileClientData(loop, fd) == modelFileData(fd), "the clientData of fd %d", fd);
    }
}

/// Callbacks //////////////////////////////////////////////////////////////////////////////////////

enum { MOST_IN_A_CALLBACK = 6 };

static void perform(const Operation *operation);

static int answerOf(const Operation *operation) {
    static const int answers[] = {0, 1, 2, 3, 10, 100, 60000, INT_MAX, INT_MIN, -2};
    if (operation->a % 2) return AE_NOMORE;
    if (operation->a % 4) return operation->b;
    return answers[operation->b % COUNT_OF(answers)];
}

/* The body of each callback. Returns the return value for a timer's handler. */
static int callBack(void) {
    int answer = AE_NOMORE;
    Operation operation;
    traceDepth++;
    compare();
    for (int i = 0; i < MOST_IN_A_CALLBACK && nextOperation(&operation); i++) {
        if (operation.kind == RETURN) {
            answer = answerOf(&operation);
            break;
        }
        perform(&operation);
    }
    traceDepth--;
    return answer;
}

static int indexIn(const char *array, const void *data) {
    return (int)((const char *)data - array);
}

static void onFile(aeEventLoop *el, int proc, int fd, void *data, int mask) {
    trace("onFile%d(loop, %d, &fileData[%d], %s) {", proc, fd, indexIn(fileData, data),
          maskText(mask));
    expect(el == loop, "a callback for the wrong loop");
    modelFileBegins(fd, proc, data, mask);
    callBack();
    modelFileEnds();
    trace("}");
}

static int onTimer(aeEventLoop *el, int proc, long long id, void *data) {
    trace("onTimer%d(loop, %lld, &timerData[%d]) {", proc, id, indexIn(timerData, data));
    expect(el == loop, "a callback for the wrong loop");
    modelTimerBegins(id, proc, data);
    int answer = callBack();
    modelTimerEnds(id, answer);
    trace("    return %d;", answer);
    trace("}");
    return answer;
}

static void onEnd(aeEventLoop *el, int proc, void *data) {
    trace("onEnd%d(loop, &timerData[%d]) {", proc, indexIn(timerData, data));
    expect(el == loop, "a callback for the wrong loop");
    modelFinalizerBegins(proc, data);
    callBack();
    modelFinalizerEnds(data);
    trace("}");
}

static void onSleep(aeEventLoop *el, bool after, int proc) {
    trace("%s%d(loop) {", after ? "afterSleep" : "beforeSleep", proc);
    expect(el == loop, "a callback for the wrong loop");
    modelHookBegins(after, proc);
    callBack();
    modelHookEnds();
    trace("}");
}

/* The callbacks, by their numbers. */
#define PROCS(number)                                                           \
    static void onFile##number(aeEventLoop *el, int fd, void *data, int mask) { \
        onFile(el, number, fd, data, mask);                                     \
    }                                                                           \
    static int onTimer##number(aeEventLoop *el, long long id, void *data) {     \
        return onTimer(el, number, id, data);                                   \
    }                                                                           \
    static void onEnd##number(aeEventLoop *el, void *data) {                    \
        onEnd(el, number, data);                                                \
    }                                                                           \
    static void beforeSleep##number(aeEventLoop *el) {                          \
        onSleep(el, false, number);                                             \
    }                                                                           \
    static void afterSleep##number(aeEventLoop *el) {                           \
        onSleep(el, true, number);                                              \
    }
PROCS(1)
PROCS(2)

static aeFileProc *const fileProcs[] = {NULL, onFile1, onFile2};
static aeTimeProc *const timeProcs[] = {NULL, onTimer1, onTimer2};
static aeEventFinalizerProc *const endProcs[] = {NULL, onEnd1, onEnd2};
static aeBeforeSleepProc *const beforeProcs[] = {NULL, beforeSleep1, beforeSleep2};
static aeBeforeSleepProc *const afterProcs[] = {NULL, afterSleep1, afterSleep2};

/* Sometimes 0. */
static int procNumber(uint8_t choice) {
    return choice == 255 ? 0 : 1 + choice % 2;
}

/* A name as in C. */
static const char *nameOf(const char *proc, int number) {
    static char texts[4][32];
    static int next;
    char *text = texts[next++ % 4];
    if (number == 0) return "NULL";
    snprintf(text, sizeof(texts[0]), "%s%d", proc, number);
    return text;
}

/// Operations /////////////////////////////////////////////////////////////////////////////////////

static bool signalComes;  /* in the next wait */
static int injectedError; /* with which a call fails, 0 if none fails */
static bool filterFails;  /* kqueue: with ENOMEM, if the filter is added */
static int waitsOfMain;   /* how many iterations remain until it is stopped, if aeMain runs */

/* Performs an operation in which the nth system call or allocation of its kind fails. */
static void injectInto(const Operation *operation, CallKind kind, int nth, int error,
                       void (*call)(const Operation *operation)) {
    trace("/* %s %d of the following call fails: %s */",
          kind == MEMORY ? "allocation" : "system call", nth, strerror(error));
    signalComes = false;
    injectedError = error;
    failNth(kind, nth, error);
    call(operation);
    stopFailures();
    injectedError = 0;
}

/* Returns the errno of the injected failure, or 0 if no call has failed. */
static int failureSeen(int error) {
    if (filterFails) return error == ENOMEM ? ENOMEM : 0;
    return injectedError && hasFailed() ? injectedError : 0;
}

static void createFile(const Operation *operation) {
    int fd = likelyFd(operation->a), mask = operation->b & 7, proc = procNumber(operation->c);
    char *data = &fileData[operation->c / 2 % 8];
    errno = 0;
    int result = aeCreateFileEvent(loop, fd, mask, fileProcs[proc], data), error = errno;
    trace("aeCreateFileEvent(loop, %d, %s, %s, &fileData[%d]); /* %d */", fd, maskText(mask),
          nameOf("onFile", proc), indexIn(fileData, data), result);
    modelCreatedFile(fd, mask, proc, data, failureSeen(error), result, error);
}

#ifdef INTERPOSE_KQUEUE
/* One of two changes in a call fails. */
static void createFileFilterFailing(const Operation *operation) {
    short filter = operation->c & 32 ? EVFILT_READ : EVFILT_WRITE;
    trace("/* to add the %s filter fails */", filter == EVFILT_READ ? "read" : "write");
    filterFails = true;
    kqueueEmulationFailAdd(filter, ENOMEM);
    createFile(operation);
    kqueueEmulationFailAdd(filter, 0);
    filterFails = false;
}
#endif

static void createFileFailing(const Operation *operation) {
#ifdef INTERPOSE_KQUEUE
    if (operation->c & 16) {
        createFileFilterFailing(operation);
        return;
    }
#endif
    if (operation->c & 128)
        injectInto(operation, MEMORY, 1 + operation->c % 2, ENOMEM, createFile);
    else
        injectInto(operation, CHANGE, 1, operation->c & 64 ? ENOSPC : ENOMEM, createFile);
}

static void deleteFile(const Operation *operation) {
    int fd = likelyFd(operation->a), mask = operation->b & 7;
    trace("aeDeleteFileEvent(loop, %d, %s);", fd, maskText(mask));
    aeDeleteFileEvent(loop, fd, mask);
    modelDeletedFile(fd, mask);
}

/* Returns a number of any order of magnitude. */
static uint64_t magnitude(uint8_t a, uint8_t b) {
    if (a < 64) return a % 16;
    if (a < 128) return b;
    return (uint64_t)(1 + b % 16) << a % 44;
}

static long long delayOf(uint8_t a, uint8_t b) {
    static const long long odd[] = {LLONG_MAX, LLONG_MIN, -1, LLONG_MAX / 1000};
    return a >= 252 ? odd[a - 252] : (long long)magnitude(a, b);
}

static void createOneTimer(long long milliseconds, uint8_t choice) {
    if (modelTimerCount() >= MOST_TIMERS || modelNextId() >= (long long)sizeof(timerData)) return;
    int proc = procNumber(choice), end = choice / 2 % 3;
    char *data = &timerData[modelNextId()];
    long long id = aeCreateTimeEvent(loop, milliseconds, timeProcs[proc], data, endProcs[end]);
    int error = errno;
    trace("aeCreateTimeEvent(loop, %lld, %s, &timerData[%d], %s); /* %lld */", milliseconds,
          nameOf("onTimer", proc), indexIn(timerData, data), nameOf("onEnd", end), id);
    modelCreatedTimer(milliseconds, proc, data, end, failureSeen(error), id, error);
}

static void createTimer(const Operation *operation) {
    createOneTimer(delayOf(operation->a, operation->b), operation->c);
}

static void createTimerFailing(const Operation *operation) {
    injectInto(operation, MEMORY, 1 + operation->a % 5, ENOMEM, createTimer);
}

static void deleteOneTimer(long long id) {
    int result = aeDeleteTimeEvent(loop, id), error = errno;
    trace("aeDeleteTimeEvent(loop, %lld); /* %d */", id, result);
    modelDeletedTimer(id, result, error);
}

/* Timers that are created and deleted, so that the others have ids far from each other. */
static void turnTimersOver(int count) {
    for (int i = 0; i < count; i++) {
        long long id = modelNextId();
        createOneTimer(1000, 0);
        if (i % 16 && modelNextId() > id) deleteOneTimer(id);
    }
}

static void createTimers(const Operation *operation) {
    uint64_t state = operation->b;
    if (operation->c % 8 == 7) {
        turnTimersOver(operation->a);
        return;
    }
    for (int i = 0; i < operation->a; i++) {
        uint64_t bits = randomNumber(&state);
        uint8_t delay = operation->c % 4 ? operation->c : (uint8_t)(bits >> 16);
        createOneTimer(delayOf(delay, (uint8_t)bits), (uint8_t)(bits >> 8));
    }
}

static void deleteTimer(const Operation *operation) {
    static const long long odd[] = {-1, LLONG_MIN, LLONG_MAX, 1 << 20};
    if (operation->a >= 252)
        deleteOneTimer(odd[operation->a - 252]);
    else if (operation->a >= 224)
        deleteOneTimer(modelNextId() - operation->a % 8);
    else
        deleteOneTimer(modelPickTimer(operation->b));
}

static void deleteTimers(const Operation *operation) {
    for (unsigned i = 0; i < operation->a && modelTimerCount() > 0; i++)
        deleteOneTimer(modelPickTimer(operation->b * i));
}

static bool mayNest(void) {
    return modelPasses() < MOST_PASSES - 1;
}

/* More than the loop can distinguish in one microsecond. */
static void processOften(void) {
    trace("for (int i = 0; i < 600; i++) aeProcessEvents(loop, AE_TIME_EVENTS | AE_DONT_WAIT);");
    for (int i = 0; i < 600; i++) {
        modelEnterPass(AE_TIME_EVENTS | AE_DONT_WAIT);
        modelLeavePass(aeProcessEvents(loop, AE_TIME_EVENTS | AE_DONT_WAIT));
    }
}

static void process(const Operation *operation) {
    if (!mayNest()) return;
    if (operation->c == 255) {
        processOften();
        return;
    }
    int flags = operation->a % 32;
    if (operation->a >= 96) flags |= AE_ALL_EVENTS;
    stopFailures(); /* the events that an outer pass has not served */
    signalComes = operation->b % 16 == 0;
    if (signalComes) failNth(WAIT, 1, EINTR);
    bool createFails = operation->b % 16 == 1;
    if (createFails) failAll(CREATE, EMFILE);
    trace("aeProcessEvents(loop, %d); /*%s%s */", flags, signalComes ? " a signal comes" : "",
          createFails ? " the kernel has no new set" : "");
    modelEnterPass(flags);
    int result = aeProcessEvents(loop, flags);
    modelLeavePass(result);
    trace("/* it returned %d */", result);
    signalComes = false;
    stopFailures();
}

static void runMain(const Operation *operation) {
    if (!mayNest()) return;
    int former = waitsOfMain;
    waitsOfMain = 1 + operation->a % 8;
    trace("aeMain(loop);");
    modelEnterMain();
    aeMain(loop);
    modelLeaveMain();
    trace("/* it returned */");
    waitsOfMain = former;
}

static void stop(const Operation *operation) {
    (void)operation;
    trace("aeStop(loop);");
    aeStop(loop);
    modelStopped();
}

static void onWait(long long timeout) {
    trace("/* it waits for %lld us */", timeout);
    modelWaits(timeout, signalComes);
    signalComes = false;
    if (waitsOfMain > 0 && --waitsOfMain == 0) stop(NULL); /* as a signal handler would */
}

static void openPair(bool sockets) {
    int fds[2];
    int result = sockets ? socketpair(AF_UNIX, SOCK_STREAM, 0, fds) : pipe(fds);
    if (result == -1) return;
    trace("%s; /* %d, %d */", sockets ? "socketpair(AF_UNIX, SOCK_STREAM, 0, fds)" : "pipe(fds)",
          fds[0], fds[1]);
    /* Small sockets and pipes, which are soon full. */
    int room = 4096;
    if (sockets)
        for (int i = 0; i < 2; i++) setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    else
        fcntl(fds[1], F_SETPIPE_SZ, room);
    adopt(fds[0], STREAM);
    adopt(fds[1], STREAM);
}

static void openRegularFile(const Operation *operation) {
    (void)operation;
    int fd = adopt(memfd_create("model", 0), REGULAR);
    trace("memfd_create(\"model\", 0); /* %d */", fd);
}

static void closeDeleted(const Operation *operation) {
    int fd = likelyFd(operation->a), all = AE_READABLE | AE_WRITABLE | AE_BARRIER;
    if (!isOpen(fd)) return;
    trace("aeDeleteFileEvent(loop, %d, %s);", fd, maskText(all));
    aeDeleteFileEvent(loop, fd, all);
    modelDeletedFile(fd, all);
    trace("close(%d);", fd);
    shutFd(fd);
}

static void closeCopy(int fd) {
    trace("close(%d);", copies[fd]);
    close(copies[fd]);
    copies[fd] = 0;
}

/* Returns a number of whose file there is a copy, or -1. */
static int outlivedFd(uint8_t choice) {
    for (int i = 0; i < NAMED_FDS; i++) {
        int fd = namedFd((choice + i) % NAMED_FDS);
        if (copies[fd]) return fd;
    }
    return -1;
}

static void closeUndeleted(const Operation *operation) {
    enum { CLOSE_ALONE, CLOSE_COPIED, CLOSE_COPY, REVIVE, WAYS };
    int way = operation->b % WAYS;
    int fd = way <= CLOSE_COPIED ? likelyFd(operation->a) : outlivedFd(operation->a);
    if (way == CLOSE_COPY) {
        if (fd != -1) closeCopy(fd);
    } else if (way == REVIVE) {
        if (fd == -1 || isOpen(fd) || modelFileEvents(fd) || fcntl(fd, F_GETFD) != -1) return;
        trace("dup2(%d, %d);", copies[fd], fd);
        if (dup2(copies[fd], fd) != -1) files[fd] = STREAM;
    } else if (isOpen(fd)) {
        if (copies[fd]) closeCopy(fd);
        if (way == CLOSE_COPIED && files[fd] == STREAM) {
            copies[fd] = fcntl(fd, F_DUPFD, FIRST_COPY);
            trace("fcntl(%d, F_DUPFD, %d); /* %d */", fd, FIRST_COPY, copies[fd]);
            if (copies[fd] == -1) copies[fd] = 0;
        }
        trace("close(%d);", fd);
        shutFd(fd);
        modelClosed(fd);
    }
}

/* Moves a file to another number, unless a copy of it is known by its present one. */
static void renumber(const Operation *operation) {
    int from = likelyFd(operation->a), to = namedFd(operation->b % NAMED_FDS);
    if (!isOpen(from) || copies[from] || isOpen(to) || fcntl(to, F_GETFD) != -1) return;
    FileKind kind = files[from];
    trace("dup2(%d, %d);", from, to);
    if (dup2(from, to) == -1) return;
    closeDeleted(operation);
    files[to] = kind;
}

static void writeByte(const Operation *operation) {
    int fd = likelyFd(operation->a);
    if (!isOpen(fd)) return;
    trace("write(%d, \"x\", 1);", fd);
    (void)!write(fd, "x", 1);
}

static void fillUp(const Operation *operation) {
    int fd = likelyFd(operation->a);
    if (!isOpen(fd) || isRegularFile(fd)) return;
    trace("fill(%d);", fd);
    fill(fd);
}

static void readSome(const Operation *operation) {
    static char bytes[1 << 16];
    int fd = likelyFd(operation->a);
    size_t room = operation->b % 2 ? 1 : sizeof(bytes);
    if (!isOpen(fd)) return;
    trace("read(%d, bytes, %zu);", fd, room);
    (void)!read(fd, bytes, room);
}

static void shutDown(const Operation *operation) {
    static const int ways[] = {SHUT_WR, SHUT_RD, SHUT_RDWR};
    int fd = likelyFd(operation->a), way = ways[operation->b % 3];
    if (!isOpen(fd)) return;
    trace("shutdown(%d, %d);", fd, way);
    (void)shutdown(fd, way);
}

static void resize(const Operation *operation) {
    static const int sizes[] = {1,     10,    16,   20,   64,    65,      66, 128,
                                201,   501,   1000, 1024, 1025,  0,       -1, INT_MIN,
                                10000, 10128, 1024, 1024, 10000, INT_MAX, 30};
    int setsize = sizes[operation->a % COUNT_OF(sizes)];
    int result = aeResizeSetSize(loop, setsize), error = errno;
    trace("aeResizeSetSize(loop, %d); /* %d */", setsize, result);
    modelResized(setsize, result, error);
}

static void setDontWait(const Operation *operation) {
    int noWait = operation->a % 3 == 0 ? operation->b : 0;
    trace("aeSetDontWait(loop, %d);", noWait);
    aeSetDontWait(loop, noWait);
    modelSetDontWait(noWait != 0);
}

static void setHooks(const Operation *operation) {
    int before = operation->a % 3, after = operation->b % 3;
    trace("aeSetBeforeSleepProc(loop, %s);", nameOf("beforeSleep", before));
    trace("aeSetAfterSleepProc(loop, %s);", nameOf("afterSleep", after));
    aeSetBeforeSleepProc(loop, beforeProcs[before]);
    aeSetAfterSleepProc(loop, afterProcs[after]);
    modelSetHooks(before, after);
}

static void advance(const Operation *operation) {
    /* Far enough from the end of time_t and of the loop's count for all later waits. */
    const uint64_t end = UINT64_C(1000000) * (sizeof(time_t) > 4 ? 3000000000 : 1200000000);
    uint64_t to = clockNow() + magnitude(operation->a, operation->b);
    if (operation->c % 2) to = (to | 4095) + operation->c % 4 - 1; /* about a tick of the timers */
    if (to < clockNow() || to > end) return;
    trace("/* the clock is moved to %llu us */", (unsigned long long)to);
    setClock((long long)(to / 1000000), (long long)(to % 1000000 * 1000) + operation->c * 3);
}

static void waitForOne(const Operation *operation) {
    int fd = likelyFd(operation->a), mask = operation->b & 3, expected = -1, error;
    long long milliseconds = delayOf(operation->c, operation->b);
    long long timeout = milliseconds > INT_MAX ? INT_MAX : milliseconds;
    if (systemIs("macos") && mask == AE_NONE && !isOpen(fd)) return; /* its poll does not look */
    if (isOpen(fd)) {
        int found = readinessInPoll(fd, mask, systemPoll);
        expected = found & POLLIN ? AE_READABLE : 0;
        if (found & (POLLOUT | POLLERR | POLLHUP)) expected |= AE_WRITABLE;
        /* If nothing is ready, the frozen clock ends a wait without limit, as a signal would. */
        if (!expected && timeout < 0) expected = -1;
    }
    int result = aeWait(fd, mask, milliseconds);
    error = errno;
    trace("aeWait(%d, %s, %lld); /* %d */", fd, maskText(mask), milliseconds, result);
    expect(result == expected, "aeWait returns %d, not %d", result, expected);
    if (result == -1) expect(error == (isOpen(fd) ? EINTR : EBADF), "aeWait: errno %d", error);
    if (fd >= 0)
        expect(lastTimeout() == (timeout < 0 ? NO_TIMEOUT : timeout * 1000),
               "aeWait waits for %lld us", lastTimeout());
}

static void openPipe(const Operation *operation) {
    (void)operation;
    openPair(false);
}

static void openSockets(const Operation *operation) {
    (void)operation;
    openPair(true);
}

/* In a callback it ends the callback. Elsewhere it does nothing. */
static void returnFromCallback(const Operation *operation) {
    (void)operation;
}

/* With their relative frequencies in a random program. */
static const struct {
    void (*perform)(const Operation *operation);
    int weight;
} operations[KINDS] = {
    [CREATE_FILE] = {createFile, 80},
    [CREATE_FILE_FAILING] = {createFileFailing, 4},
    [DELETE_FILE] = {deleteFile, 35},
    [CREATE_TIMER] = {createTimer, 50},
    [CREATE_TIMER_FAILING] = {createTimerFailing, 2},
    [CREATE_TIMERS] = {createTimers, 2},
    [DELETE_TIMER] = {deleteTimer, 25},
    [DELETE_TIMERS] = {deleteTimers, 2},
    [PROCESS] = {process, 110},
    [MAIN] = {runMain, 6},
    [STOP] = {stop, 3},
    [RETURN] = {returnFromCallback, 90},
    [OPEN_PIPE] = {openPipe, 10},
    [OPEN_SOCKETPAIR] = {openSockets, 10},
    [OPEN_REGULAR_FILE] = {openRegularFile, 1},
    [CLOSE_DELETED] = {closeDeleted, 7},
    [CLOSE_UNDELETED] = {closeUndeleted, 8},
    [RENUMBER] = {renumber, 5},
    [WRITE] = {writeByte, 30},
    [READ] = {readSome, 15},
    [FILL] = {fillUp, 5},
    [SHUTDOWN] = {shutDown, 3},
    [RESIZE] = {resize, 4},
    [SET_DONT_WAIT] = {setDontWait, 3},
    [SET_HOOKS] = {setHooks, 4},
    [ADVANCE] = {advance, 20},
    [WAIT_FOR_ONE] = {waitForOne, 3},
};

static void perform(const Operation *operation) {
    operations[operation->kind].perform(operation);
    compare();
}

size_t randomProgram(uint64_t seed, uint8_t bytes[MOST_BYTES]) {
    /* Each program prefers some kinds and has none of others: this reaches more states than a mix
     * of all kinds in each program. */
    int chances[KINDS], total = 1;
    for (int kind = 0; kind < KINDS; kind++) {
        static const int factors[] = {0, 1, 1, 2, 5};
        chances[kind] = operations[kind].weight * factors[randomNumber(&seed) % 5];
        total += chances[kind];
    }
    size_t length = 0, count = 1 + randomNumber(&seed) % MOST_OPERATIONS;
    while (length < SETUP_BYTES) bytes[length++] = (uint8_t)randomNumber(&seed);
    while (count--) {
        int pick = (int)(randomNumber(&seed) % (unsigned)total), kind = 0;
        while (kind < KINDS - 1 && pick >= chances[kind]) pick -= chances[kind++];
        uint64_t arguments = randomNumber(&seed);
        bytes[length++] = (uint8_t)kind;
        for (int i = 1; i < OPERATION_BYTES; i++) bytes[length++] = (uint8_t)(arguments >> 8 * i);
    }
    return length;
}

/// The run of a program ///////////////////////////////////////////////////////////////////////////

/* After this the epoll backend counts milliseconds until the loop is deleted. */
static void refusePreciseWait(void) {
    failAll(PRECISE_WAIT, ENOSYS);
    createOneTimer(1, 0);
    modelEnterPass(AE_TIME_EVENTS);
    modelLeavePass(aeProcessEvents(loop, AE_TIME_EVENTS));
    stopFailures();
}

/* Tries to create a loop without memory or fds, or with an invalid size. */
static void createFailing(int setsize, uint8_t choice) {
    CallKind kind = choice & 16 ? CREATE : MEMORY;
    int nth = kind == CREATE ? 1 : 1 + choice % 16, injected = kind == CREATE ? EMFILE : ENOMEM;
    int badSize = -(choice % 2), blocksBefore = liveBlocks();
    if (choice & 32) {
        aeEventLoop *none = aeCreateEventLoop(badSize);
        int error = errno;
        trace("aeCreateEventLoop(%d); /* %s */", badSize, none ? "not NULL" : "NULL");
        expect(!none && error == EINVAL, "aeCreateEventLoop did not refuse setsize %d", badSize);
    }
    if (!(choice & 64)) return;
    failNth(kind, nth, injected);
    aeEventLoop *some = aeCreateEventLoop(setsize);
    int error = errno;
    stopFailures();
    trace("aeCreateEventLoop(%d); /* %s, with failure %d */", setsize, some ? "not NULL" : "NULL",
          nth);
    expect(!some == hasFailed(), "aeCreateEventLoop: wrong result");
    expect(some || error == injected, "aeCreateEventLoop: errno %d", error);
    aeDeleteEventLoop(some);
    expect(liveBlocks() == blocksBefore, "aeCreateEventLoop leaks");
}

static void setUpProgram(const uint8_t setup[SETUP_BYTES]) {
    static const int setsizes[] = {1024, 1024, 10128, 64, 100, 20, 8, 1};
    const long long seconds[] = {1000, 0, 1000000000, sizeof(time_t) > 4 ? 2000000000 : 1};
    Traits traits = {.largestSetsize = INT_MAX, .waitsInMultiples = 1};
    bool wholeMilliseconds = backendIs("epoll") && (setup[2] % 4 == 0 || !countsMicroseconds());
    if (backendIs("epoll") || backendIs("kqueue")) traits.forgetsClosedFds = true;
    if (backendIs("epoll")) traits.refusesRegularFiles = true;
    if (backendIs("select")) traits.dropsClosedFds = true;
    if (backendIs("select")) traits.largestSetsize = FD_SETSIZE;
    if (wholeMilliseconds) traits.waitsInMultiples = 1000;
#ifdef INTERPOSE_KQUEUE
    kqueueEmulationShuffle(setup[2]);
    /* By an error that the kernel keeps, the backend would know a hang-up that poll does not
     * report. */
    kqueueEmulationReportSocketErrors(!systemIs("netbsd"));
#endif
#ifdef INTERPOSE_EVPORT
    portEmulationZeroTimeoutIsEtime(setup[2] % 2);
    portEmulationLeavesCount(setup[2] / 2 % 2);
#endif
    setClock(seconds[setup[1] % 4], setup[1] * 3906249L);
    int setsize = setsizes[setup[0] % COUNT_OF(setsizes)];
    createFailing(setsize, setup[3]);
    trace("aeEventLoop *loop = aeCreateEventLoop(%d);", setsize);
    loop = aeCreateEventLoop(setsize);
    expect(loop, "aeCreateEventLoop failed");
    firstFd = lowestFreeFd();
    modelStart(&traits, setsize);
    watchWaits(onWait);
    compare();
    if (wholeMilliseconds) refusePreciseWait();
}

unsigned long runProgram(const uint8_t *bytes, size_t length, bool tracing) {
    if (length < SETUP_BYTES) return 0;
    signal(SIGPIPE, SIG_IGN);
    int blocksBefore = liveBlocks(), fdBefore = lowestFreeFd();
    isTracing = tracing;
    program = bytes;
    position = SETUP_BYTES;
    operationsDone = 0;
    /* Some operations remain for the finalizers that run when the loop is deleted. */
    size_t saved = (size_t)(bytes[0] / 8) * OPERATION_BYTES;
    programEnd = length > saved ? length - saved : length;

    setUpProgram(bytes);
    Operation operation;
    while (nextOperation(&operation)) perform(&operation);

    programEnd = length;
    trace("aeDeleteEventLoop(loop);");
    modelEnterDeletion();
    aeDeleteEventLoop(loop);
    loop = NULL;
    modelLeaveDeletion();
    for (int fd = 0; fd <= MAX_FD; fd++)
        if (isOpen(fd)) shutFd(fd);
    for (int fd = 0; fd <= MAX_FD; fd++)
        if (copies[fd]) closeCopy(fd);
    watchWaits(NULL);
    expect(liveBlocks() == blocksBefore, "memory leaks");
    expect(lowestFreeFd() == fdBefore, "a fd leaks");
    return operationsDone;
}
