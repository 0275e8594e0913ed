/* An emulation of kqueue(2) on Linux, for file descriptors only, with the habits of each system.
 *
 * The real kernel                                  This emulation
 * ------------------------------------------------ -----------------------------------------------
 * One knote per (ident, filter); EV_ADD of an      A table of slots indexed by fd, two knotes in
 * existing one modifies and enables it.            each.
 * Closing an fd number deletes its knotes at       fdwatch reports every close before it happens.
 * once, closing the queue deletes the queue.
 * Events are level-triggered.                      poll(2) of all enabled knotes in each call.
 * EV_CLEAR: an event is reported when something    An EPOLLET epoll instance per filter, created at
 * new happens, if the condition still holds when   the first EV_CLEAR, reports changed knotes;
 * it is retrieved.                                 poll then reports whether the condition holds.
 * Events are queued first in, first out.           The next call starts after the last event that
 *                                                  was reported.
 * A change that fails is reported with EV_ERROR,   The same. After such an error or a receipt, the
 * or ends the call if there is no room for that.   call neither retrieves nor waits for events.
 * A child of fork has no kqueue at that number.    The child closes it, by pthread_atfork(3).
 * A signal ends a wait (EINTR), but not a poll;    Signals are blocked except in the ppoll(2) that
 * the changes are applied by then.                 sleeps.
 * EV_EOF is reported while there still is input.   POLLRDHUP is requested. A pipe's POLLERR counts.
 * A regular file is readable unless its offset is  fstat(2) and lseek(2) check it. If a file grows
 * at its end, and always writable.                 while a call sleeps, the next call reports it.
 *
 * The habits, in which the systems differ, are in the table `systems` below. EMULATED_SYSTEM in
 * the environment selects a row; without it, it is freebsd, or netbsd where this is compiled with
 * -DKQUEUE_EMULATION_NETBSD, which also selects the header of older NetBSD. Where a line says
 * "source", no manual page has it: it is from memory of the source of that kernel.
 *
 * - readerlessPipe: EV_ADD of EVFILT_WRITE for a pipe without a reader fails: with EPIPE on
 *   FreeBSD, DragonFly, older OpenBSD and older macOS (source: pipe_kqfilter), with EBADF on NetBSD
 *   (seen on its kernel). Newer OpenBSD and macOS accept it and report EV_EOF (source).
 * - muteWrongEnd: EVFILT_READ of a pipe's end for writing, and EVFILT_WRITE of that for reading,
 *   never report anything on FreeBSD (source: pipe_kqfilter). Others report EV_EOF.
 * - silentFullPipe: the writer of a full pipe gets no event when the reader closes it (seen on
 *   NetBSD's kernel).
 * - writtenFile: EV_ADD of EVFILT_WRITE for a regular file fails. kqueue(2) of OpenBSD and NetBSD:
 *   "this filter is not supported for vnodes". FreeBSD's page had the words too, but its kernel
 *   accepts them.
 * - readDevice, writtenDevice: EV_ADD for a character device other than a terminal fails. kqueue(2)
 *   of OpenBSD: EVFILT_WRITE is not supported for BPF devices. FreeBSD: ENODEV for a device
 *   without a filter, such as /dev/null (source). macOS: EINVAL (source).
 * - hasDragonFlysFlags: kqueue(2) of DragonFly: EV_EOF comes with EV_NODATA if there is no input
 *   left, and with EV_HUP if both sides are closed.
 * - receiptsKeepFlags: a receipt has the flags of the change besides EV_ERROR on macOS, and
 *   EV_ERROR alone on the others (source).
 * - longestTimeout: a longer one is EINVAL. kevent(2): "the specified time limit is invalid"; the
 *   limit of macOS and of older OpenBSD is 100,000,000 s (source: itimerfix).
 * - poll: what poll(2) reports. On NetBSD no hang-up (seen on its kernel). On macOS POLLHUP at the
 *   end of input, also if the peer has only shut down its sending side, if POLLIN is requested
 *   (source: poll uses the filters, and EV_EOF becomes POLLHUP); and POLLNVAL for devices (poll(2),
 *   BUGS: "does not support devices").
 *
 * The queue's own fd is an eventfd, by which a change in one thread wakes a sleeper in another. Of
 * two threads that wait on one queue, one may wake late.
 *
 * A change with fflags or data (NOTE_LOWAT and the like) is refused with EINVAL: their effects are
 * not emulated, so a program that sets them by mistake gets an error.
 *
 * Differences: a duplicate of the queue's fd is no queue, and the fd itself is never reported ready
 * to poll(2) or to another queue. A stream socket that is neither listening nor connected reports
 * EV_EOF (Linux: POLLHUP); a real kqueue reports nothing. After the program's own shutdown(2) for
 * writing, EV_EOF is not reported on EVFILT_WRITE. The data of a listening socket is 1, not the
 * length of its queue.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */

#define _GNU_SOURCE

#include <sys/event.h>

#include "../fdwatch.h"
#include "kqueue_emulation.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Without it, changes that succeed are not reported. */
#ifndef EV_RECEIPT
#define EV_RECEIPT 0
#endif

enum { READ, WRITE, WAYS };

enum { DRAGONFLY_NODATA = 0x1000, DRAGONFLY_HUP = 0x0800 };

static const struct system {
    const char *name;
    int readerlessPipe, writtenFile, readDevice, writtenDevice; /* The errno, 0 for success. */
    bool muteWrongEnd;
    bool silentFullPipe;
    bool hasDragonFlysFlags;
    bool receiptsKeepFlags;
    long long longestTimeout; /* In seconds, 0 for any. */
    enum { POLL_OF_LINUX, POLL_OF_NETBSD, POLL_OF_MACOS } poll;
} systems[] = {
    {.name = "freebsd",
     .readerlessPipe = EPIPE,
     .readDevice = ENODEV,
     .writtenDevice = ENODEV,
     .muteWrongEnd = true},
    {.name = "dragonfly", .readerlessPipe = EPIPE, .hasDragonFlysFlags = true},
    {.name = "netbsd",
     .readerlessPipe = EBADF,
     .writtenFile = EINVAL,
     .silentFullPipe = true,
     .poll = POLL_OF_NETBSD},
    {.name = "openbsd", .writtenFile = EINVAL, .writtenDevice = EINVAL},
    {.name = "openbsd5",
     .readerlessPipe = EPIPE,
     .writtenFile = EINVAL,
     .writtenDevice = EINVAL,
     .longestTimeout = 100000000},
    {.name = "macos",
     .readDevice = EINVAL,
     .writtenDevice = EINVAL,
     .receiptsKeepFlags = true,
     .longestTimeout = 100000000,
     .poll = POLL_OF_MACOS},
};

static const struct system *habits;

__attribute__((constructor)) static void chooseSystem(void) {
    const char *name = getenv("EMULATED_SYSTEM");
#ifdef KQUEUE_EMULATION_NETBSD
    if (name == NULL || name[0] == '\0') name = "netbsd";
#else
    if (name == NULL || name[0] == '\0') name = "freebsd";
#endif
    for (size_t i = 0; i < sizeof(systems) / sizeof(systems[0]); i++)
        if (strcmp(systems[i].name, name) == 0) habits = &systems[i];
    if (habits != NULL) return;
    fprintf(stderr, "EMULATED_SYSTEM=%s: the emulation knows no such system\n", name);
    abort();
}

static const short pollEvents[WAYS] = {POLLIN | POLLRDHUP, POLLOUT};
static const short readyEvents[WAYS] = {
    POLLIN | POLLRDHUP | POLLHUP | POLLERR,
    POLLOUT | POLLHUP | POLLERR,
};

struct knote {
    struct kevent asked; /* Only EV_CLEAR and EV_ONESHOT. */
    bool there;
    bool enabled;
    bool mute; /* It never reports anything. */
    bool news; /* EV_CLEAR: something happened since the last event. */
};

struct slot {
    struct knote knotes[WAYS];
    bool regularFile;
    int socketError; /* Read from the socket for fflags; getsockopt returns it. */
};

struct queue {
    int fd;
    int edges[WAYS]; /* epoll instances for EV_CLEAR, -1 before the first. */
    unsigned long serial;
    int sleepers;
    struct slot *slots; /* By fd. */
    int room;
    int turn; /* Position (see struct ready) at which the next call starts. */
    struct queue *next;
};

static struct queue *queues;
static unsigned long serials;

static struct {
    int failAdd[WAYS];
    unsigned random;
    bool leaveSocketErrors;
    struct kevent pretended[WAYS]; /* The flags and fflags. */
    unsigned long calls;
    int largestBatch;
} emulation;

/// Queues ///

static struct queue *findQueue(int fd) {
    struct queue *queue = queues;
    while (queue != NULL && queue->fd != fd) queue = queue->next;
    return queue;
}

static void wakeSleepers(const struct queue *queue) {
    if (queue->sleepers > 0) (void)!write(queue->fd, &(uint64_t){1}, sizeof(uint64_t));
}

static void freeQueue(struct queue *queue) {
    wakeSleepers(queue);
    for (int way = 0; way < WAYS; way++) {
        if (queue->edges[way] != -1) fdwatchCloseQuietly(queue->edges[way]);
    }
    free(queue->slots);
    free(queue);
}

static void dropKnote(struct queue *queue, int fd, int way) {
    struct knote *knote = &queue->slots[fd].knotes[way];
    if (knote->there && (knote->asked.flags & EV_CLEAR)) {
        epoll_ctl(queue->edges[way], EPOLL_CTL_DEL, fd, NULL);
    }
    *knote = (struct knote){.there = false};
}

static void forgetFd(struct queue *queue, int fd) {
    for (int way = 0; way < WAYS; way++) dropKnote(queue, fd, way);
    queue->slots[fd].socketError = 0;
}

static void closing(int first, int last) {
    struct queue **link = &queues;
    while (*link != NULL) {
        struct queue *queue = *link;
        if (first <= queue->fd && queue->fd <= last) {
            *link = queue->next;
            freeQueue(queue);
            continue;
        }
        for (int fd = first; fd <= last && fd < queue->room; fd++) forgetFd(queue, fd);
        link = &queue->next;
    }
}

static void forked(void) {
    while (queues != NULL) {
        struct queue *queue = queues;
        queues = queue->next;
        queue->sleepers =
            0; /* The sleepers are in the parent, which also uses the eventfd's counter. */
        fdwatchCloseQuietly(queue->fd);
        freeQueue(queue);
    }
}

static int createQueue(int flags) {
    struct queue *queue = calloc(1, sizeof(*queue));
    if (queue == NULL) return -1;
    fdwatchRegister(closing, forked);

    sigset_t mask;
    fdwatchEnter(&mask);
    int fd = queue->fd = eventfd(0, flags | EFD_NONBLOCK);
    if (fd == -1) {
        free(queue);
    } else {
        for (int way = 0; way < WAYS; way++) queue->edges[way] = -1;
        queue->serial = ++serials;
        queue->next = queues;
        queues = queue;
    }
    fdwatchLeave(&mask);
    return fd;
}

int kqueue(void) {
    return createQueue(0);
}

#ifdef KQUEUE_EMULATION_NETBSD
int kqueue1(int flags) {
    if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) != 0) {
        errno = EINVAL;
        return -1;
    }
    return createQueue((flags & O_CLOEXEC) ? EFD_CLOEXEC : 0);
}
#endif

/// Changes ///

static int wayOf(short filter) {
    return filter == EVFILT_READ ? READ : filter == EVFILT_WRITE ? WRITE : -1;
}

static int makeRoom(struct queue *queue, int fd) {
    if (fd < queue->room) return 0;
    int room = fd < 64 ? 64 : 2 * fd;
    struct slot *slots = realloc(queue->slots, (size_t)room * sizeof(*slots));
    if (slots == NULL) return ENOMEM;
    memset(slots + queue->room, 0, (size_t)(room - queue->room) * sizeof(*slots));
    queue->slots = slots;
    queue->room = room;
    return 0;
}

/* Starts to watch for changes of an EV_CLEAR knote; a condition that already holds is a change. */
static int watchEdges(struct queue *queue, struct knote *knote, int fd, int way) {
    if (queue->edges[way] == -1) queue->edges[way] = epoll_create1(EPOLL_CLOEXEC);
    if (queue->edges[way] == -1) return errno;
    struct epoll_event event = {.data.fd = fd};
    event.events = EPOLLET | (way == READ ? EPOLLIN | EPOLLRDHUP : EPOLLOUT);
    knote->news = false;
    if (epoll_ctl(queue->edges[way], EPOLL_CTL_ADD, fd, &event) == 0) return 0;
    if (errno != EPERM) return errno;
    knote->news = true; /* A file that is always ready, and does not change after this. */
    return 0;
}

static bool isPipeWithoutReader(int fd) {
    struct stat status;
    struct pollfd pipe = {.fd = fd, .events = POLLOUT};
    return fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) && poll(&pipe, 1, 0) == 1 &&
           (pipe.revents & POLLERR);
}

/* Returns the errno with which the system refuses to watch this file, or 0. */
static int refusal(int fd, int way) {
    struct stat status;
    if (fstat(fd, &status) == -1) return errno;
    if (S_ISCHR(status.st_mode) && !isatty(fd))
        return way == READ ? habits->readDevice : habits->writtenDevice;
    if (way == READ) return 0;
    if (S_ISREG(status.st_mode)) return habits->writtenFile;
    return isPipeWithoutReader(fd) ? habits->readerlessPipe : 0;
}

static int addKnote(struct queue *queue, const struct kevent *change, int fd, int way) {
    bool there = fd < queue->room && queue->slots[fd].knotes[way].there;
    int error = there ? 0 : refusal(fd, way);
    if (error != 0) return error;
    if (emulation.failAdd[way] != 0) {
        error = emulation.failAdd[way];
        emulation.failAdd[way] = 0;
        return error;
    }
    error = makeRoom(queue, fd);
    if (error != 0) return error;

    struct slot *slot = &queue->slots[fd];
    dropKnote(queue, fd, way);
    struct stat status;
    slot->regularFile = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    struct knote *knote = &slot->knotes[way];
    knote->there = true;
    knote->asked = *change;
    knote->asked.flags = change->flags & (EV_CLEAR | EV_ONESHOT);
    knote->mute = habits->muteWrongEnd && S_ISFIFO(status.st_mode) &&
                  (fcntl(fd, F_GETFL) & O_ACCMODE) == (way == READ ? O_WRONLY : O_RDONLY);
    return 0;
}

/* Returns 0 or an errno. */
static int applyChange(struct queue *queue, const struct kevent *change) {
    int way = wayOf(change->filter);
    if (way == -1 || change->fflags != 0 || change->data != 0) return EINVAL;
    if (change->ident > INT_MAX) return EBADF;
    int fd = (int)change->ident;
    if (fcntl(fd, F_GETFD) == -1) return EBADF;

    if (change->flags & EV_ADD) {
        int error = addKnote(queue, change, fd, way);
        if (error != 0) return error;
    }
    struct knote *knote = fd < queue->room ? &queue->slots[fd].knotes[way] : NULL;
    if (knote == NULL || !knote->there) return ENOENT;
    if (change->flags & EV_DELETE) {
        dropKnote(queue, fd, way);
        return 0;
    }

    bool enabled = knote->enabled;
    if (change->flags & (EV_ADD | EV_ENABLE)) enabled = true;
    if (change->flags & EV_DISABLE) enabled = false;
    if (enabled != knote->enabled && (knote->asked.flags & EV_CLEAR)) {
        if (!enabled) {
            epoll_ctl(queue->edges[way], EPOLL_CTL_DEL, fd, NULL);
        } else {
            int error = watchEdges(queue, knote, fd, way);
            if (error != 0) {
                dropKnote(queue, fd, way);
                return error;
            }
        }
    }
    knote->enabled = enabled;
    return 0;
}

/* Returns how many entries of the eventlist were filled (then the call is over), or -1 with errno.
 * *cut is set if there was no room for a receipt: the changes after it are ignored. Both lists may
 * be the same array. */
static int applyChanges(struct queue *queue, const struct kevent *changelist, int nchanges,
                        struct kevent *eventlist, int nevents, bool *cut) {
    int answered = 0;
    for (int i = 0; i < nchanges; i++) {
        struct kevent change = changelist[i];
        int error = applyChange(queue, &change);
        if (error == 0 && !(change.flags & EV_RECEIPT)) continue;
        if (answered == nevents) {
            *cut = error == 0;
            errno = error;
            return error == 0 ? answered : -1;
        }
        change.flags = habits->receiptsKeepFlags ? change.flags | EV_ERROR : EV_ERROR;
        change.data = error;
        eventlist[answered++] = change;
    }
    return answered;
}

/// What is ready ///

static bool isWaiting(const struct knote *knote) {
    return knote->there && knote->enabled && !knote->mute &&
           (!(knote->asked.flags & EV_CLEAR) || knote->news);
}

/* Copies the changes that the kernel has reported to the EV_CLEAR knotes. */
static void gatherNews(struct queue *queue) {
    for (int way = 0; way < WAYS; way++) {
        struct epoll_event events[256];
        int count = queue->edges[way] == -1 ? 0 : 256;
        while (count == 256) {
            count = epoll_wait(queue->edges[way], events, 256, 0);
            for (int i = 0; i < count; i++) {
                queue->slots[events[i].data.fd].knotes[way].news = true;
            }
        }
    }
}

/* The set for poll(2). The first entries only end a sleep: a knote changed in another thread, a
 * change for EV_CLEAR. Regular files are not in it, because poll reports them ready at their end.
 */
enum { WAKERS = 1 + WAYS };

static nfds_t fillPollSet(const struct queue *queue, struct pollfd *set) {
    nfds_t count = 0;
    set[count++] = (struct pollfd){.fd = queue->fd, .events = POLLIN};
    for (int way = 0; way < WAYS; way++) { /* poll ignores those that are -1. */
        set[count++] = (struct pollfd){.fd = queue->edges[way], .events = POLLIN};
    }
    for (int fd = 0; fd < queue->room; fd++) {
        const struct slot *slot = &queue->slots[fd];
        short events = 0;
        for (int way = 0; way < WAYS; way++) {
            if (isWaiting(&slot->knotes[way])) events |= pollEvents[way];
        }
        if (events == 0 || slot->regularFile) continue;
        set[count++] = (struct pollfd){.fd = fd, .events = events};
    }
    return count;
}

struct ready {
    int position; /* fd * WAYS + way. */
    short revents;
};

/* Lists every knote that may have an event, in order of position. */
static int listReady(struct queue *queue, const struct pollfd *set, nfds_t polled,
                     struct ready *ready) {
    int count = 0;
    nfds_t next = WAKERS;
    for (int fd = 0; fd < queue->room; fd++) {
        struct slot *slot = &queue->slots[fd];
        short revents = 0;
        if (next < polled && set[next].fd == fd) revents = set[next++].revents;
        if (revents & POLLNVAL) forgetFd(queue, fd); /* Closed where fdwatch does not see it. */
        for (int way = 0; way < WAYS; way++) {
            if (!isWaiting(&slot->knotes[way])) continue;
            if (slot->regularFile || (revents & readyEvents[way])) {
                ready[count++] = (struct ready){.position = fd * WAYS + way, .revents = revents};
            }
        }
    }
    return count;
}

static unsigned nextRandom(unsigned below) {
    emulation.random ^= emulation.random << 13;
    emulation.random ^= emulation.random >> 17;
    emulation.random ^= emulation.random << 5;
    return emulation.random % below;
}

/* Returns where to start: at the queue's turn, or anywhere in a shuffled list. */
static int orderReady(const struct queue *queue, struct ready *ready, int count) {
    int first = 0;
    while (first < count && ready[first].position < queue->turn) first++;
    for (int i = count - 1; i > 0 && emulation.random != 0; i--) {
        struct ready *other = &ready[nextRandom((unsigned)i + 1)], swapped = ready[i];
        ready[i] = *other;
        *other = swapped;
    }
    return first;
}

/// Events ///

static int socketOption(int fd, int option) {
    int value = 0;
    socklen_t length = sizeof(value);
    syscall(SYS_getsockopt, fd, SOL_SOCKET, option, &value, &length);
    return value;
}

static int bytesReceived(int fd) {
    int bytes = 0;
    return ioctl(fd, FIONREAD, &bytes) == 0 ? bytes : 0;
}

static int bytesUnsent(int fd) {
    int bytes = 0;
    return ioctl(fd, TIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

static int64_t writableBytes(int fd, mode_t mode) {
    int space = 0;
    if (S_ISFIFO(mode)) space = fcntl(fd, F_GETPIPE_SZ) - bytesReceived(fd);
    if (S_ISSOCK(mode)) space = socketOption(fd, SO_SNDBUF) - bytesUnsent(fd);
    return space > 0 ? space : 0;
}

/* Fills in the event of a knote; returns false if the condition does not hold. */
static bool describe(struct slot *slot, int fd, int way, short revents, struct kevent *event) {
    struct stat status;
    if (fstat(fd, &status) == -1) return false;
    *event = slot->knotes[way].asked;
    event->fflags = 0;
    event->data = 0;
    if (S_ISREG(status.st_mode)) {
        if (way == READ) event->data = status.st_size - lseek(fd, 0, SEEK_CUR);
        return way == WRITE || event->data != 0;
    }
    bool listening = S_ISSOCK(status.st_mode) && socketOption(fd, SO_ACCEPTCONN);
    if (way == WRITE)
        event->data = writableBytes(fd, status.st_mode);
    else
        event->data = listening ? 1 : bytesReceived(fd);

    int eof = POLLHUP;
    if (way == READ) eof |= POLLRDHUP;
    if (S_ISFIFO(status.st_mode)) eof |= POLLERR; /* The reader is gone. */
    if (!(revents & eof)) return true;
    if (S_ISFIFO(status.st_mode) && way == WRITE && (revents & POLLERR) && !(revents & POLLOUT) &&
        habits->silentFullPipe)
        return false;
    event->flags |= EV_EOF;
    if (habits->hasDragonFlysFlags && way == READ && event->data == 0)
        event->flags |= DRAGONFLY_NODATA;
    if (habits->hasDragonFlysFlags && (revents & POLLHUP)) event->flags |= DRAGONFLY_HUP;
    if (S_ISSOCK(status.st_mode) && !emulation.leaveSocketErrors) {
        if (slot->socketError == 0) slot->socketError = socketOption(fd, SO_ERROR);
        event->fflags = (unsigned)slot->socketError;
    }
    return true;
}

static int deliver(struct queue *queue, struct ready *ready, int count, struct kevent *eventlist,
                   int nevents) {
    int delivered = 0;
    int first = orderReady(queue, ready, count);
    for (int i = 0; i < count && delivered < nevents; i++) {
        const struct ready *item = &ready[(first + i) % count];
        int fd = item->position / WAYS, way = item->position % WAYS;
        struct slot *slot = &queue->slots[fd];
        if (!describe(slot, fd, way, item->revents, &eventlist[delivered])) continue;
        eventlist[delivered].flags |= emulation.pretended[way].flags;
        eventlist[delivered].fflags |= emulation.pretended[way].fflags;
        emulation.pretended[way].flags = 0;
        emulation.pretended[way].fflags = 0;
        delivered++;
        queue->turn = item->position + 1;
        slot->knotes[way].news = false;
        if (slot->knotes[way].asked.flags & EV_ONESHOT) dropKnote(queue, fd, way);
    }
    return delivered;
}

/* Checks once. Returns in *set, which the caller frees, the set to sleep on. */
static int collectEvents(struct queue *queue, struct kevent *eventlist, int nevents,
                         struct pollfd **set, nfds_t *polled) {
    int delivered = -1;
    *set = malloc((WAKERS + (size_t)queue->room) * sizeof(**set));
    struct ready *ready = malloc(((size_t)queue->room * WAYS + 1) * sizeof(*ready));
    if (*set == NULL || ready == NULL) {
        errno = ENOMEM;
    } else {
        gatherNews(queue);
        *polled = fillPollSet(queue, *set);
        if (poll(*set, *polled, 0) != -1) {
            if ((*set)[0].revents) (void)!read(queue->fd, &(uint64_t){0}, sizeof(uint64_t));
            int count = listReady(queue, *set, *polled, ready);
            delivered = deliver(queue, ready, count, eventlist, nevents);
            for (nfds_t i = WAKERS; i < *polled && delivered == 0; i++)
                if ((*set)[i].revents)
                    (*set)[i].fd = -1; /* It is silent, and must not end a sleep. */
        }
    }
    free(ready);
    return delivered;
}

/* Returns as fdwatchSleep does; also -1 if another thread has closed the queue. */
static int sleepOn(struct queue *queue, struct pollfd *set, nfds_t count, int64_t deadline,
                   const sigset_t *callersMask) {
    int fd = queue->fd;
    unsigned long serial = queue->serial;
    queue->sleepers++;
    int awake = fdwatchSleep(set, count, deadline, callersMask);
    queue = findQueue(fd);
    if (queue == NULL || queue->serial != serial) {
        errno = EBADF;
        return -1;
    }
    queue->sleepers--;
    return awake;
}

static int waitForEvents(struct queue *queue, struct kevent *eventlist, int nevents,
                         int64_t deadline, const sigset_t *callersMask) {
    int result, awake = 0;
    do {
        struct pollfd *set;
        nfds_t polled;
        result = collectEvents(queue, eventlist, nevents, &set, &polled);
        if (result == 0) awake = sleepOn(queue, set, polled, deadline, callersMask);
        free(set);
    } while (result == 0 && awake == 1);
    return result == 0 ? awake : result;
}

static int lockedKevent(int kq, const struct kevent *changelist, int nchanges,
                        struct kevent *eventlist, int nevents, const struct timespec *timeout,
                        const sigset_t *callersMask) {
    int64_t deadline = FDWATCH_NEVER;
    if (fdwatchTimeoutValid(timeout)) deadline = fdwatchDeadline(timeout);
    struct queue *queue = findQueue(kq);
    if (queue == NULL) {
        errno = EBADF;
        return -1;
    }
    if (nchanges < 0 || nevents < 0) {
        errno = EINVAL;
        return -1;
    }
    bool cut = false;
    int answered = applyChanges(queue, changelist, nchanges, eventlist, nevents, &cut);
    if (nchanges > 0) wakeSleepers(queue);
    if (answered != 0 || cut || nevents == 0) return answered;
    bool isTooLong =
        timeout != NULL && habits->longestTimeout != 0 && timeout->tv_sec > habits->longestTimeout;
    if (!fdwatchTimeoutValid(timeout) || isTooLong) { /* Only now: the changes are made by then. */
        errno = EINVAL;
        return -1;
    }
    return waitForEvents(queue, eventlist, nevents, deadline, callersMask);
}

int kevent(int kq, const struct kevent *changelist, KqueueEmulationCount changeCount,
           struct kevent *eventlist, KqueueEmulationCount room, const struct timespec *timeout) {
    int nchanges = changeCount > INT_MAX ? -1 : (int)changeCount;
    int nevents = room > INT_MAX ? -1 : (int)room;
    sigset_t mask;
    fdwatchEnter(&mask);
    emulation.calls++;
    if (nevents > emulation.largestBatch) emulation.largestBatch = nevents;
    int result = lockedKevent(kq, changelist, nchanges, eventlist, nevents, timeout, &mask);
    fdwatchLeave(&mask);
    return result;
}

/* The program gets the error that was read from its socket. */
int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict length) {
    sigset_t mask;
    fdwatchEnter(&mask);
    int result = (int)syscall(SYS_getsockopt, fd, level, option, value, length);
    bool mayHandBack = result == 0 && level == SOL_SOCKET && option == SO_ERROR &&
                       *length == sizeof(int) && *(int *)value == 0;
    for (struct queue *queue = queues; queue != NULL && mayHandBack; queue = queue->next) {
        if (fd >= queue->room || queue->slots[fd].socketError == 0) continue;
        *(int *)value = queue->slots[fd].socketError;
        queue->slots[fd].socketError = 0;
        mayHandBack = false;
    }
    fdwatchLeave(&mask);
    return result;
}

/// poll(2) ///

/* Translates one entry, as Linux reports it, to what the system would report. */
static short asTheSystemReports(const struct pollfd *entry) {
    const short ends = POLLHUP | POLLERR;
    short asked = entry->events, found = entry->revents;
    if (habits->poll == POLL_OF_NETBSD && (found & ends))
        return (short)((found & ~ends) | (asked & (POLLIN | POLLOUT)));
    if (habits->poll != POLL_OF_MACOS) return found;

    struct stat status;
    if (fstat(entry->fd, &status) == 0 && S_ISCHR(status.st_mode)) return POLLNVAL;
    if (!(asked & (POLLIN | POLLOUT))) return 0; /* Not even for a closed fd (source). */
    if (found & (POLLHUP | POLLRDHUP | POLLERR))
        found = (short)((found & ~POLLOUT) | POLLHUP | (asked & POLLIN));
    return (short)(found & ~(POLLRDHUP | POLLERR));
}

int kqueueEmulationRefusal(int fd, short filter) {
    return refusal(fd, wayOf(filter));
}

int kqueueEmulationPoll(struct pollfd *set, nfds_t count, int milliseconds) {
    if (habits->poll == POLL_OF_LINUX) return poll(set, count, milliseconds);
    for (nfds_t i = 0; i < count; i++)
        if (habits->poll == POLL_OF_MACOS && (set[i].events & POLLIN)) set[i].events |= POLLRDHUP;
    int found = poll(set, count, milliseconds), ready = 0;
    for (nfds_t i = 0; i < count; i++) {
        set[i].events = (short)(set[i].events & ~POLLRDHUP);
        if (found > 0) set[i].revents = asTheSystemReports(&set[i]);
        ready += found > 0 && set[i].revents != 0;
    }
    if (found > 0 && ready == 0) poll(NULL, 0, milliseconds); /* It would have gone on waiting. */
    return found > 0 ? ready : found;
}

/// For tests ///

const char *kqueueEmulationSystem(void) {
    return habits->name;
}

void kqueueEmulationReset(void) {
    memset(&emulation, 0, sizeof(emulation));
}

void kqueueEmulationFailAdd(short filter, int error) {
    if (wayOf(filter) != -1) emulation.failAdd[wayOf(filter)] = error;
}

void kqueueEmulationShuffle(unsigned seed) {
    emulation.random = seed;
}

void kqueueEmulationReportSocketErrors(bool report) {
    emulation.leaveSocketErrors = !report;
}

void kqueueEmulationPretend(short filter, unsigned short flags, unsigned fflags) {
    if (wayOf(filter) == -1) return;
    emulation.pretended[wayOf(filter)].flags = flags;
    emulation.pretended[wayOf(filter)].fflags = fflags;
}

unsigned long kqueueEmulationCalls(void) {
    return emulation.calls;
}

int kqueueEmulationLargestBatch(void) {
    return emulation.largestBatch;
}

int kqueueEmulationSleepers(int kq) {
    sigset_t mask;
    fdwatchEnter(&mask);
    const struct queue *queue = findQueue(kq);
    int sleepers = queue == NULL ? 0 : queue->sleepers;
    fdwatchLeave(&mask);
    return sleepers;
}

int kqueueEmulationArmed(int kq, int fd, short filter) {
    sigset_t mask;
    fdwatchEnter(&mask);
    int armed = 0;
    const struct queue *queue = findQueue(kq);
    for (int way = 0; queue != NULL && fd >= 0 && fd < queue->room && way < WAYS; way++) {
        const struct knote *knote = &queue->slots[fd].knotes[way];
        if (filter == 0 || way == wayOf(filter)) armed += knote->there && knote->enabled;
    }
    fdwatchLeave(&mask);
    return armed;
}
