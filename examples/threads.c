/* One loop per thread on one port: the kernel distributes the connections (SO_REUSEPORT). Each
 * visitor gets the number of the thread that serves it.
 *
 *     cc -I. examples/threads.c ae.c anet.c -pthread -o threads && ./threads [port] [threads]
 *
 * A loop belongs to its thread. Other threads send it tasks: a task is put into the mailbox of the
 * loop, and a byte in the mailbox's pipe wakes the loop, which runs the task in its own thread. So
 * only the mailboxes are shared, and no counter needs a lock.
 *
 * After SIGINT or SIGTERM each thread gets the task to stop, sends its count to the main thread,
 * and ends.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "ae.h"
#include "anet.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FDS = 10000, MOST_THREADS = 256, ACCEPTS_AT_ONCE = 64, ACCEPT_PAUSE_MS = 100 };

static void fail(const char *what, int error) {
    fprintf(stderr, "threads: %s: %s\n", what, strerror(error));
    exit(1);
}

/// Mailboxes //////////////////////////////////////////////////////////////////////////////////////

typedef struct Task {
    struct Task *next;
    void (*run)(aeEventLoop *loop, void *subject, long number);
    void *subject;
    long number;
} Task;

typedef struct {
    pthread_mutex_t lock;
    Task *first, **last;
    int pipe[2];
} Mailbox;

/* May be called from any thread. One byte wakes a loop for any number of tasks. If the pipe is
 * full, the bytes in it wake the loop. */
static void post(Mailbox *mailbox, void (*run)(aeEventLoop *, void *, long), void *subject,
                 long number) {
    Task *task = malloc(sizeof(*task));
    if (!task) fail("cannot create a task", errno);
    *task = (Task){NULL, run, subject, number};
    pthread_mutex_lock(&mailbox->lock);
    int wasEmpty = !mailbox->first;
    *mailbox->last = task;
    mailbox->last = &task->next;
    pthread_mutex_unlock(&mailbox->lock);
    if (wasEmpty && write(mailbox->pipe[1], "", 1) == -1 && errno != EAGAIN)
        fail("cannot wake a thread", errno);
}

/* Empties the pipe before it takes the tasks. In the reverse order, the byte of a task that is
 * posted in between would be read too early, and the task would wait for the next byte. */
static void onMail(aeEventLoop *loop, int fd, void *clientData, int mask) {
    Mailbox *mailbox = clientData;
    char bytes[64];
    AE_NOTUSED(mask);
    while (read(fd, bytes, sizeof(bytes)) > 0) continue;

    pthread_mutex_lock(&mailbox->lock);
    Task *task = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    pthread_mutex_unlock(&mailbox->lock);
    while (task) {
        Task *next = task->next;
        task->run(loop, task->subject, task->number);
        free(task);
        task = next;
    }
}

static void openMailbox(Mailbox *mailbox, aeEventLoop *loop) {
    int error = pthread_mutex_init(&mailbox->lock, NULL);
    if (error) fail("cannot create a lock", error);
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    if (anetPipe(mailbox->pipe, O_NONBLOCK, O_NONBLOCK) == -1 ||
        aeCreateFileEvent(loop, mailbox->pipe[0], AE_READABLE, onMail, mailbox) == AE_ERR)
        fail("cannot create a mailbox", errno);
}

/* No thread may post to the mailbox any more. */
static void closeMailbox(Mailbox *mailbox, aeEventLoop *loop) {
    aeDeleteFileEvent(loop, mailbox->pipe[0], AE_READABLE);
    close(mailbox->pipe[0]);
    close(mailbox->pipe[1]);
    pthread_mutex_destroy(&mailbox->lock);
}

/// The threads ////////////////////////////////////////////////////////////////////////////////////

typedef struct {
    pthread_t thread;
    Mailbox mailbox;
    aeEventLoop *loop;
    int number, listener;
    long visitors;
    char greeting[32];
} Worker;

static Worker workers[MOST_THREADS];
static Mailbox mainMailbox;
static int running;
static long visitors;

static void onVisitor(aeEventLoop *loop, int fd, void *clientData, int mask);

static int resumeAccepting(aeEventLoop *loop, long long id, void *clientData) {
    Worker *worker = clientData;
    AE_NOTUSED(id);
    if (aeCreateFileEvent(loop, worker->listener, AE_READABLE, onVisitor, worker) == AE_ERR)
        return ACCEPT_PAUSE_MS;
    return AE_NOMORE;
}

/* A new socket has room for the short greeting, so it needs no write handler. */
static void onVisitor(aeEventLoop *loop, int fd, void *clientData, int mask) {
    Worker *worker = clientData;
    AE_NOTUSED(mask);
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        int peer = anetTcpAccept(NULL, fd, NULL, 0, NULL);
        if (peer == ANET_ERR && anetAcceptFailureNeedsRetry(errno)) continue;
        if (peer == ANET_ERR) {
            /* The listener stays readable and the loop would spin: stop listening for a while. */
            if (errno != EAGAIN && errno != EWOULDBLOCK &&
                aeCreateTimeEvent(loop, ACCEPT_PAUSE_MS, resumeAccepting, worker, NULL) != AE_ERR)
                aeDeleteFileEvent(loop, fd, AE_READABLE);
            return;
        }
        if (write(peer, worker->greeting, strlen(worker->greeting)) > 0) worker->visitors++;
        close(peer);
    }
}

/* Runs in the main thread, for each worker that has stopped. */
static void addVisitors(aeEventLoop *loop, void *subject, long number) {
    Worker *worker = subject;
    printf("threads: thread %d had %ld visitors\n", worker->number, number);
    visitors += number;
    if (--running == 0) aeStop(loop);
}

static void stopWorker(aeEventLoop *loop, void *subject, long number) {
    Worker *worker = subject;
    AE_NOTUSED(number);
    post(&mainMailbox, addVisitors, worker, worker->visitors);
    aeStop(loop);
}

static void *runWorker(void *argument) {
    Worker *worker = argument;
    aeMain(worker->loop);
    aeDeleteFileEvent(worker->loop, worker->listener, AE_READABLE);
    close(worker->listener);
    return NULL;
}

/* anetTcpServer does not set SO_REUSEPORT, which must be set before bind. Without SO_REUSEPORT all
 * threads share the first listener: each connection wakes all of them, and one accepts it. */
static int listenTogether(int port) {
#ifdef SO_REUSEPORT
    struct sockaddr_in address;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_port = htons((unsigned short)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd == -1 || anetCloexec(fd) == ANET_ERR || anetNonBlock(NULL, fd) == ANET_ERR ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == -1 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) == -1 || listen(fd, 511) == -1)
        fail("cannot listen", errno);
#else
    char host[] = "127.0.0.1";
    int fd = running > 0 ? fcntl(workers[0].listener, F_DUPFD_CLOEXEC, 0)
                         : anetTcpServer(NULL, port, host, 511);
    if (fd == -1 || anetNonBlock(NULL, fd) == ANET_ERR) fail("cannot listen", errno);
#endif
    return fd;
}

/* Everything is created here, where a failure can be reported; the thread only runs the loop. */
static void startWorker(Worker *worker, int number, int port) {
    worker->number = number;
    snprintf(worker->greeting, sizeof(worker->greeting), "thread %d\n", number);
    worker->loop = aeCreateEventLoop(MAX_FDS);
    if (!worker->loop) fail("cannot create a loop", errno);
    openMailbox(&worker->mailbox, worker->loop);
    worker->listener = listenTogether(port);
    if (aeCreateFileEvent(worker->loop, worker->listener, AE_READABLE, onVisitor, worker) == AE_ERR)
        fail("listen", errno);
    int error = pthread_create(&worker->thread, NULL, runWorker, worker);
    if (error) fail("a thread", error);
    running++;
}

/// The main thread ////////////////////////////////////////////////////////////////////////////////

static volatile sig_atomic_t isStopping;

/* write is one of the few calls that a signal handler may make; locking is not. */
static void onSignal(int number) {
    int error = errno;
    AE_NOTUSED(number);
    isStopping = 1;
    if (write(mainMailbox.pipe[1], "", 1) == -1)
        isStopping = 1; /* full: it wakes the loop as well */
    errno = error;
}

/* The byte of the signal has ended the wait, if there was one. */
static void beforeSleep(aeEventLoop *loop) {
    if (!isStopping) return;
    aeSetBeforeSleepProc(loop, NULL); /* once is enough */
    for (int i = 0, count = running; i < count; i++)
        post(&workers[i].mailbox, stopWorker, &workers[i], 0);
}

/* Returns the number in `text`, or -1 if it is not a number from 0 to `most`. */
static int numberOf(const char *text, int most) {
    char *end;
    long number = strtol(text, &end, 10);
    return *text && !*end && number >= 0 && number <= most ? (int)number : -1;
}

int main(int argc, char **argv) {
    int port = argc > 1 ? numberOf(argv[1], 65535) : 0;
    int count = argc > 2 ? numberOf(argv[2], MOST_THREADS) : 4;
    if (argc > 3 || port < 0 || count < 1)
        return fputs("usage: threads [port] [threads]\n", stderr), 2;
    struct sigaction stop = {.sa_handler = onSignal, .sa_flags = (int)SA_RESETHAND};
    sigset_t stopping;
    aeEventLoop *loop = aeCreateEventLoop(64);
    if (!loop) fail("cannot create a loop", errno);
    openMailbox(&mainMailbox, loop);
    signal(SIGPIPE,
           SIG_IGN); /* a write to a closed connection fails, and does not end the program */

    /* Threads inherit blocked signals, so only the main thread gets these. */
    sigemptyset(&stopping);
    sigaddset(&stopping, SIGINT);
    sigaddset(&stopping, SIGTERM);
    int error = pthread_sigmask(SIG_BLOCK, &stopping, NULL);
    if (error) fail("signals", error);

    /* With port 0 the first thread gets a free port; the others use the same one. */
    for (int i = 0; i < count; i++) {
        startWorker(&workers[i], i, port);
        if (anetFdToString(workers[i].listener, NULL, 0, &port, 0) == ANET_ERR) fail("port", errno);
    }
    if (sigaction(SIGINT, &stop, NULL) == -1 || sigaction(SIGTERM, &stop, NULL) == -1)
        fail("signals", errno);
    error = pthread_sigmask(SIG_UNBLOCK, &stopping, NULL);
    if (error) fail("signals", error);
    printf("threads: listening on 127.0.0.1:%d\n", port);
    fflush(stdout);

    count = running;
    aeSetBeforeSleepProc(loop, beforeSleep);
    aeMain(loop);
    for (int i = 0; i < count; i++) {
        error = pthread_join(workers[i].thread, NULL);
        if (error) fail("a thread", error);
        closeMailbox(&workers[i].mailbox, workers[i].loop);
        aeDeleteEventLoop(workers[i].loop);
    }
    printf("threads: %ld visitors\n", visitors);
    closeMailbox(&mainMailbox, loop);
    aeDeleteEventLoop(loop);
}
