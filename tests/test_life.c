/* A server that uses anet and ae runs from start to end, again and again, with one failure in each
 * run: each allocation and each system call of ae, the backend and anet fails at its first, second,
 * third... occurrence, with each errno that it can have. After each run the server must have
 * released everything, and must run on the same loop without a failure.
 *
 * A run, here called a life, opens a TCP server and a Unix server. Clients connect and send a
 * message, which the servers send back. Every connection has an idle timer. A recurring timer reads
 * and writes a pipe and resizes the loop. A part that fails (a listener, connection or client) is
 * closed; the others continue.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "tests/support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "anet.h"

enum {
    BOTH = AE_READABLE | AE_WRITABLE,
    CLIENTS = 4,
    MESSAGE = 1500,
    HOUR_MS = 3600 * 1000,
    TICKS = 8,
    PATIENCE = 60, /* seconds; only a life that hangs takes so long */
    MOST_TRIES = 10000
};

/// The parts of a life ////////////////////////////////////////////////////////////////////////////

typedef struct Connection {
    int fd;
    long long idle;
    size_t start, end; /* the bytes that are not written yet */
    char buffer[512];
    struct Connection *next;
} Connection;

typedef struct {
    int fd; /* -1 after its end */
    size_t sent, got;
} Client;

static struct {
    int tcp, local, pipe[2]; /* -1 if it could not be opened */
    Connection *connections;
    Client clients[CLIENTS];
    int served, ticks,
        timers; /* clients with the whole echo; timers without their finalizer call */
    long long tick;
    bool flawless;
} life;

static char directory[32], path[64], message[MESSAGE];
static char loopback[] = "127.0.0.1";

/* The errno that a failing call must report; 0 if several are possible. */
static int promised;

/* Returns whether a call succeeded. If not, an injected failure must be the reason, and errno must
 * be that failure's. */
static bool well(bool success) {
    if (success) return true;
    int told = errno;
    assert_true(hasFailed());
    if (promised) assert_int_equal(told, promised);
    life.flawless = false;
    return false;
}

/* A connection was lost: by a failure at either end, or by a timeout. */
static void noteLoss(void) {
    assert_true(hasFailed() || !life.flawless);
    life.flawless = false;
}

static void countFinal(aeEventLoop *el, void *clientData) {
    (void)el, (void)clientData;
    life.timers--;
}

static long long newTimer(long long milliseconds, aeTimeProc *proc, void *clientData) {
    long long id = aeCreateTimeEvent(loop, milliseconds, proc, clientData, countFinal);
    if (well(id != AE_ERR)) life.timers++;
    return id;
}

static bool watch(int fd, int mask, aeFileProc *proc, void *clientData) {
    int former = aeGetFileEvents(loop, fd);
    bool done = well(aeCreateFileEvent(loop, fd, mask, proc, clientData) == AE_OK);
    assert_int_equal(aeGetFileEvents(loop, fd), done ? former | mask : former);
    return done;
}

/* Resets a connection: with thousands of lives per minute, ports in TIME_WAIT would use up all. */
static void giveUp(int *fd) {
    const struct linger none = {1, 0};
    if (*fd == -1) return;
    aeDeleteFileEvent(loop, *fd, BOTH);
    (void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)); /* if it is a socket */
    close(*fd);
    *fd = -1;
}

/// The server /////////////////////////////////////////////////////////////////////////////////////

static void hangUp(Connection *connection) {
    Connection **link = &life.connections;
    while (*link != connection) link = &(*link)->next;
    *link = connection->next;
    (void)aeDeleteTimeEvent(loop, connection->idle);
    giveUp(&connection->fd);
    free(connection);
}

static int onIdle(aeEventLoop *el, long long id, void *clientData) {
    (void)el, (void)id;
    life.flawless = false; /* an hour has passed */
    hangUp(clientData);
    return AE_NOMORE;
}

static void onWritable(aeEventLoop *el, int fd, void *clientData, int mask);

static void onReadable(aeEventLoop *el, int fd, void *clientData, int mask) {
    Connection *connection = clientData;
    ssize_t got = supportRead(fd, connection->buffer, sizeof(connection->buffer));
    (void)mask;
    if (got == -1 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0 || aeDeleteTimeEvent(el, connection->idle) == AE_ERR ||
        (connection->idle = newTimer(HOUR_MS, onIdle, connection)) == AE_ERR) {
        if (got == -1 && errno != ECONNRESET) noteLoss(); /* clients end with a reset */
        hangUp(connection);
        return;
    }
    connection->start = 0;
    connection->end = (size_t)got;
    aeDeleteFileEvent(el, fd, AE_READABLE);
    if (!watch(fd, AE_WRITABLE, onWritable, connection)) hangUp(connection);
}

static void onWritable(aeEventLoop *el, int fd, void *clientData, int mask) {
    Connection *connection = clientData;
    ssize_t put = supportWrite(fd, connection->buffer + connection->start,
                               connection->end - connection->start);
    (void)mask;
    if (put == -1 && errno != EAGAIN && errno != EINTR) {
        noteLoss();
        hangUp(connection);
        return;
    }
    if (put > 0) connection->start += (size_t)put;
    if (connection->start < connection->end) return;
    if (watch(fd, AE_READABLE, onReadable, connection))
        aeDeleteFileEvent(el, fd, AE_WRITABLE);
    else
        hangUp(connection);
}

static void onNewcomer(aeEventLoop *el, int fd, void *clientData, int mask) {
    char ip[46];
    int port;
    (void)el, (void)mask;
    int peer =
        clientData ? anetTcpAccept(NULL, fd, ip, sizeof(ip), &port) : anetUnixAccept(NULL, fd);
    if (peer == ANET_ERR && errno != EAGAIN) well(false);
    if (peer == ANET_ERR) return; /* a connection that was not accepted is reported again */
    if (clientData) assert_string_equal(ip, loopback);
    char text[64];
    (void)well(anetEnableTcpNoDelay(NULL, peer) == ANET_OK || !clientData);
    assert_true(anetFormatFdAddr(peer, text, sizeof(text), 1) > 0);

    Connection *connection = calloc(1, sizeof(*connection));
    assert_non_null(connection);
    connection->fd = peer;
    connection->next = life.connections;
    life.connections = connection;
    connection->idle = newTimer(HOUR_MS, onIdle, connection);
    if (connection->idle == AE_ERR || !watch(peer, AE_READABLE, onReadable, connection))
        hangUp(connection);
}

/* Opens everything that a listener needs, or returns -1. */
static int openListener(int fd, void *isTcp) {
    if (!well(fd != ANET_ERR)) return -1;
    if (!well(anetNonBlock(NULL, fd) == ANET_OK) || !watch(fd, AE_READABLE, onNewcomer, isTcp))
        giveUp(&fd);
    return fd;
}

/// The clients ////////////////////////////////////////////////////////////////////////////////////

static void onAnswer(aeEventLoop *el, int fd, void *clientData, int mask) {
    Client *client = clientData;
    char bytes[256];
    (void)el, (void)mask;
    ssize_t got = supportRead(fd, bytes, sizeof(bytes));
    if (got == -1 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        noteLoss();
        giveUp(&client->fd);
        return;
    }
    assert_in_range(client->got + (size_t)got, 1, client->sent);
    assert_memory_equal(bytes, message + client->got, (size_t)got);
    client->got += (size_t)got;
    if (client->got < MESSAGE) return;
    life.served++;
    giveUp(&client->fd);
}

static void onQuestion(aeEventLoop *el, int fd, void *clientData, int mask) {
    Client *client = clientData;
    size_t left = MESSAGE - client->sent;
    (void)mask;
    int error = client->sent == 0 ? anetGetError(fd) : 0;
    ssize_t put = error ? -1 : supportWrite(fd, message + client->sent, left < 700 ? left : 700);
    if (put == -1 && !error && (errno == EAGAIN || errno == EINTR)) return;
    if (put == -1) {
        noteLoss();
        giveUp(&client->fd);
        return;
    }
    client->sent += (size_t)put;
    if (client->sent == MESSAGE) aeDeleteFileEvent(el, fd, AE_WRITABLE);
}

static int connectLocally(void) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd != -1);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static int connectToTcp(bool fromSource) {
    int port;
    if (!well(anetFdToString(life.tcp, NULL, 0, &port, 0) == ANET_OK)) return -1;
    int fd = fromSource ? anetTcpNonBlockBestEffortBindConnect(NULL, loopback, port, loopback)
                        : anetTcpNonBlockConnect(NULL, loopback, port);
    if (!well(fd != ANET_ERR)) return -1;
    (void)well(anetDisableTcpNoDelay(NULL, fd) == ANET_OK);
    (void)well(anetEnableTcpNoDelay(NULL, fd) == ANET_OK);
    (void)well(anetKeepAlive(NULL, fd, 60) == ANET_OK);
    (void)well(anetSendTimeout(NULL, fd, 60000) == ANET_OK);
    (void)well(anetRecvTimeout(NULL, fd, 60000) == ANET_OK);
    return fd;
}

static void startClient(Client *client, int fd) {
    client->fd = fd;
    client->sent = client->got = 0;
    if (fd == -1) return;
    if (!watch(fd, AE_WRITABLE, onQuestion, client) || !watch(fd, AE_READABLE, onAnswer, client))
        giveUp(&client->fd);
}

/// The tick ///////////////////////////////////////////////////////////////////////////////////////

static void onPipe(aeEventLoop *el, int fd, void *clientData, int mask) {
    char byte;
    (void)el, (void)clientData, (void)mask;
    if (supportRead(fd, &byte, 1) == 1) return;
    if (errno == EAGAIN || errno == EINTR) return;
    well(false);
    giveUp(&life.pipe[0]);
}

static int onTick(aeEventLoop *el, long long id, void *clientData) {
    (void)id, (void)clientData;
    if (life.pipe[1] != -1 && life.pipe[0] != -1 && supportWrite(life.pipe[1], "x", 1) == -1)
        if (errno != EAGAIN && errno != EINTR) well(false);
    int size = aeGetSetSize(el), wanted = life.ticks % 2 ? SETSIZE : SETSIZE - 100;
    bool resized = well(aeResizeSetSize(el, wanted) == AE_OK);
    assert_int_equal(aeGetSetSize(el), resized ? wanted : size);
    (void)aeWait(life.pipe[0], AE_READABLE, 0);
    return ++life.ticks < TICKS ? life.ticks == 3 : AE_NOMORE;
}

/// A life /////////////////////////////////////////////////////////////////////////////////////////

static bool isOver(void) {
    for (int i = 0; i < CLIENTS; i++)
        if (life.clients[i].fd != -1) return false;
    return !life.connections && life.ticks == TICKS;
}

static void begin(void) {
    life.tcp = openListener(anetTcpServer(NULL, 0, loopback, 16), &life);
    life.local = openListener(anetUnixServer(NULL, path, 0700, 16), NULL);
    assert_false(anetIsFifo(path));
    char ip[46];
    (void)well(anetResolve(NULL, loopback, ip, sizeof(ip), ANET_NONE) == ANET_OK);
    if (!well(anetPipe(life.pipe, O_NONBLOCK, O_NONBLOCK) == ANET_OK))
        life.pipe[0] = life.pipe[1] = -1;
    else if (!watch(life.pipe[0], AE_READABLE, onPipe, NULL))
        giveUp(&life.pipe[0]);
    for (int i = 0; i < CLIENTS; i++) {
        bool isTcp = i < CLIENTS - 1;
        int listener = isTcp ? life.tcp : life.local;
        startClient(&life.clients[i], listener == -1 ? -1
                                      : isTcp        ? connectToTcp(i == 1)
                                                     : connectLocally());
    }
    /* Enough timers to need more memory than at first. */
    for (int i = 0; i < 100; i++) {
        long long id = newTimer(HOUR_MS + i, neverTime, NULL);
        if (id != AE_ERR) assert_int_equal(aeDeleteTimeEvent(loop, id), AE_OK);
    }
    life.tick = newTimer(0, onTick, NULL);
    if (life.tick == AE_ERR) life.ticks = TICKS;
}

static void closeAll(void) {
    while (life.connections) hangUp(life.connections);
    for (int i = 0; i < CLIENTS; i++) giveUp(&life.clients[i].fd);
    giveUp(&life.tcp);
    giveUp(&life.local);
    giveUp(&life.pipe[0]);
    giveUp(&life.pipe[1]);
    if (life.ticks < TICKS) assert_int_equal(aeDeleteTimeEvent(loop, life.tick), AE_OK);
    (void)unlink(path);
}

/* Runs one life on `loop`. Returns whether it had no failure. */
static bool live(void) {
    int fds = openFds();
    time_t start = time(NULL);
    memset(&life, 0, sizeof(life));
    life.flawless = true;
    begin();
    while (!isOver()) {
        aeProcessEvents(loop, AE_ALL_EVENTS);
        if (time(NULL) - start > PATIENCE) fail_msg("this life does not end");
    }
    int served = life.served;
    closeAll();
    look(); /* for the finalizers */
    assert_int_equal(loop->maxfd, -1);
    assert_null(loop->timeEventHead);
    assert_int_equal(life.timers, 0);
    assert_int_equal(openFds(), fds);
    if (life.flawless) assert_int_equal(served, CLIENTS);
    return life.flawless;
}

/* Runs a life without a failure on the loop that has had one. */
static void liveWell(void) {
    stopFailures();
    promised = 0;
    assert_true(live());
}

/// Before and after a test ////////////////////////////////////////////////////////////////////////

static int setUpLife(void **state) {
    snprintf(directory, sizeof(directory), "/tmp/libae-life-XXXXXX");
    if (!mkdtemp(directory)) return -1;
    snprintf(path, sizeof(path), "%s/socket", directory);
    for (int i = 0; i < MESSAGE; i++) message[i] = (char)('a' + i % 26);
    return setUp(state);
}

static int setUpLifeWithLoop(void **state) {
    if (setUpLife(state) == -1) return -1;
    loop = aeCreateEventLoop(SETSIZE);
    return loop ? 0 : -1;
}

static int tearDownLife(void **state) {
    (void)rmdir(directory);
    return tearDown(state);
}

#define TEST(name) TEST_BETWEEN(setUpLife, name, tearDownLife)
#define TEST_LIFE_WITH_LOOP(name) TEST_BETWEEN(setUpLifeWithLoop, name, tearDownLife)

/// With failures //////////////////////////////////////////////////////////////////////////////////

/* Runs one life for each call of this kind, which fails. Returns how many there were. */
static int liveThroughEach(CallKind kind, int error, int told) {
    for (int n = 1; n < MOST_TRIES; n++) {
        int blocks = liveBlocks(), fds = openFds();
        promised = told;
        failNth(kind, n, error);
        loop = aeCreateEventLoop(SETSIZE);
        if (well(loop != NULL))
            (void)live();
        else
            assert_int_equal(openFds(), fds);
        bool struck = hasFailed();
        stopFailures();
        if (!loop) loop = aeCreateEventLoop(SETSIZE);
        assert_non_null(loop);
        liveWell();
        deleteLoop();
        assert_int_equal(liveBlocks(), blocks);
        assert_int_equal(openFds(), fds);
        if (!struck) return n - 1;
    }
    fail_msg("no life without a failure");
    return 0;
}

/* The same with each of these errnos; 0 ends the list. Returns how many calls there were. */
static int liveThroughAll(CallKind kind, const int *errors) {
    int count = 0;
    for (; *errors; errors++) count = liveThroughEach(kind, *errors, *errors);
    return count;
}

#define LIVE_THROUGH(kind, ...) liveThroughAll(kind, (const int[]){__VA_ARGS__, 0})

TEST_LIFE_WITH_LOOP(a_life_without_a_failure_can_be_repeated_and_leaks_nothing) {
    int blocks = 0;
    for (int again = 0; again < 5; again++) {
        liveWell();
        if (again > 0) assert_int_equal(liveBlocks(), blocks);
        blocks = liveBlocks();
    }
}

TEST(any_allocation_may_fail) {
    assert_true(liveThroughEach(MEMORY, ENOMEM, ENOMEM) > 5);
}

TEST(the_kernel_may_refuse_the_loop) {
    assert_int_equal(LIVE_THROUGH(CREATE, EMFILE, ENFILE, ENOMEM), !backendIs("select"));
}

/* The errnos that a change can have for any fd. */
TEST(the_kernel_may_refuse_any_change) {
    if (backendIs("epoll")) LIVE_THROUGH(CHANGE, ENOMEM, ENOSPC, EPERM, EINVAL, ELOOP, EBADF);
    if (backendIs("kqueue")) LIVE_THROUGH(CHANGE, ENOMEM, EACCES, EINVAL, EINTR, EBADF);
    if (backendIs("evport")) LIVE_THROUGH(CHANGE, ENOMEM, EAGAIN);
    if (!backendIs("select")) assert_true(liveThroughEach(CHANGE, ENOMEM, ENOMEM) > 20);
}

TEST(any_wait_may_be_interrupted) {
    assert_true(LIVE_THROUGH(WAIT, EINTR) > 10);
}

TEST(any_precise_wait_may_be_refused) {
    LIVE_THROUGH(PRECISE_WAIT, EINTR, ENOSYS, EPERM);
}

TEST(any_poll_may_fail) {
    assert_true(LIVE_THROUGH(POLL, EINTR, ENOMEM, EINVAL) > 5);
}

TEST(any_fcntl_may_fail) {
    assert_true(LIVE_THROUGH(FCNTL, EBADF, EINVAL, EPERM, EINTR) > 5);
}

TEST(any_socket_may_fail) {
    assert_int_equal(LIVE_THROUGH(SOCKET, EMFILE, ENFILE, ENOMEM, ENOBUFS, EACCES), CLIENTS + 1);
}

TEST(any_bind_may_fail) {
    assert_int_equal(LIVE_THROUGH(BIND, EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOMEM, EINVAL), 3);
}

TEST(any_listen_may_fail) {
    assert_int_equal(LIVE_THROUGH(LISTEN, EADDRINUSE, EOPNOTSUPP), 2);
}

TEST(any_accept_may_fail) {
    assert_true(LIVE_THROUGH(ACCEPT, EINTR, EAGAIN, ECONNABORTED, EMFILE, ENFILE, ENOMEM, ENOBUFS,
                             EPROTO, EPERM, ENETDOWN, EHOSTUNREACH) >= CLIENTS);
}

TEST(any_connect_may_fail) {
    assert_int_equal(LIVE_THROUGH(CONNECT, ECONNREFUSED, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL,
                                  EADDRINUSE, ETIMEDOUT, EAGAIN, EACCES),
                     CLIENTS - 1);
}

TEST(any_socket_option_may_fail) {
    assert_true(LIVE_THROUGH(OPTION, ENOPROTOOPT, EINVAL, ENOMEM, ENOBUFS, EBADF) > CLIENTS);
}

TEST(any_name_of_a_socket_may_be_unknown) {
    assert_int_equal(LIVE_THROUGH(NAME, ENOBUFS, ENOTCONN, EBADF), 2 * CLIENTS - 1);
}

TEST(any_look_up_may_fail) {
    assert_int_equal(liveThroughEach(LOOKUP, EAI_AGAIN, ENOENT), CLIENTS + 2);
    assert_int_equal(liveThroughEach(LOOKUP, EAI_FAIL, ENOENT), CLIENTS + 2);
    assert_int_equal(liveThroughEach(LOOKUP, EAI_MEMORY, ENOMEM), CLIENTS + 2);
    assert_int_equal(liveThroughEach(LOOKUP, EAI_SYSTEM, EMFILE), CLIENTS + 2);
}

TEST(any_pipe_may_fail) {
    assert_int_equal(LIVE_THROUGH(PIPE, EMFILE, ENFILE), 1);
}

TEST(any_call_on_a_file_may_fail) {
    assert_int_equal(LIVE_THROUGH(FILES, EACCES, ENOENT, EIO, EROFS), 2);
}

TEST(any_transfer_may_fail) {
    assert_true(LIVE_THROUGH(TRANSFER, EINTR, EAGAIN, ECONNRESET, EPIPE, ETIMEDOUT, EIO) > 20);
}

/// With interruptions and failures ////////////////////////////////////////////////////////////////

TEST_LIFE_WITH_LOOP(transfers_may_be_as_short_as_a_byte) {
    for (size_t limit = 1; limit < 600; limit = limit * 3 + 1) {
        limitTransfers(limit);
        liveWell();
    }
}

/* An interrupted wait is an iteration without events, so only every second wait is interrupted. */
static void interruptNext(aeEventLoop *el) {
    static bool again;
    (void)el;
    again = !again;
    if (again) failNth(WAIT, 1, EINTR);
}

TEST_LIFE_WITH_LOOP(a_signal_may_interrupt_every_other_wait) {
    aeSetBeforeSleepProc(loop, interruptNext);
    promised = EINTR;
    memset(&life, 0, sizeof(life));
    life.flawless = true;
    begin();
    forgetCalls();
    int iterations = 0;
    for (; !isOver(); iterations++) aeProcessEvents(loop, AE_ALL_EVENTS | AE_CALL_BEFORE_SLEEP);
    assert_true(iterations > 20);
    assert_int_equal(life.served, CLIENTS);
    assert_true(life.flawless);
    aeSetBeforeSleepProc(loop, NULL);
    closeAll();
    look();
    liveWell();
}

static volatile sig_atomic_t signalsSeen;
static volatile sig_atomic_t stormIsOver;
static pthread_t victim;

static void onSignal(int signal) {
    (void)signal;
    signalsSeen = signalsSeen + 1;
}

/* Sends the next signal when the previous one was handled. */
static void *sendSignals(void *unused) {
    while (!stormIsOver) {
        sig_atomic_t seen = signalsSeen;
        pthread_kill(victim, SIGUSR1);
        while (signalsSeen == seen && !stormIsOver) sched_yield();
    }
    return unused;
}

TEST_LIFE_WITH_LOOP(signals_may_come_at_any_moment) {
    struct sigaction action = {.sa_handler = onSignal}; /* no SA_RESTART */
    pthread_t sender;
    sigaction(SIGUSR1, &action, NULL);
    signalsSeen = stormIsOver = 0;
    victim = pthread_self();
    assert_int_equal(pthread_create(&sender, NULL, sendSignals, NULL), 0);
    int before = interruptedWaits();
    for (int again = 0; again < 20; again++) {
        memset(&life, 0, sizeof(life));
        liveWell();
    }
    while (interruptedWaits() - before < 10) liveWell();
    stormIsOver = 1;
    pthread_join(sender, NULL);
    signal(SIGUSR1, SIG_DFL);
    liveWell();
}

/* Moves the clock by this many years at each wait; then everything must be as before. */
static void jumpBy(long long years) {
    const long long year = 365LL * 86400;
    long long now = 1000 * year;
    setClock(now, 0);
    memset(&life, 0, sizeof(life));
    life.flawless = true;
    begin();
    for (int i = 0; i < 500 && !isOver(); i++) {
        look();
        now += years * year;
        setClock(now, 0);
    }
    closeAll();
    look();
    assert_int_equal(loop->maxfd, -1);
    assert_null(loop->timeEventHead);
    assert_int_equal(life.timers, 0);
}

TEST_LIFE_WITH_LOOP(the_clock_may_jump_by_years) {
    jumpBy(1);
    jumpBy(100);
    jumpBy(100 * 1000);
    jumpBy(-1);
    thawClock();
    liveWell();
}
