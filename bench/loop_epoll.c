/* The bare epoll baseline: epoll without a library, as a programmer would use it directly, with the
 * connection in data.ptr. It has no timers. */
#include <sys/epoll.h>

static int loop, isStopped;

typedef struct Io {
    int fd, isWatched; /* fd is -1 after it is removed */
    unsigned events;
    void (*onReadable)(struct Io *io), (*onWritable)(struct Io *io), (*release)(struct Io *io);
    struct Io *next;
} Io;
typedef void IoHandler(Io *io);
#define IO_HANDLER(name) static void name(Io *io)

typedef struct {
    char none;
} Timer;
#define TIMER_HANDLER(name) \
    enum { name };          \
    __attribute__((unused)) static void name##Timer(Timer *timer)
enum { HAS_TIMERS = 0, WATCHER_BYTES = sizeof(Io) };

/* Those that were removed while this batch is served: it may still contain them. */
static Io *removed;

static void loopOpen(int setsize) {
    (void)setsize;
    loop = epoll_create1(EPOLL_CLOEXEC);
    if (loop == -1) fail("epoll_create1");
}

static void loopOnce(int timeout) {
    struct epoll_event events[512];
    int ready = epoll_wait(loop, events, 512, timeout);
    for (int i = 0; i < ready; i++) {
        Io *io = events[i].data.ptr;
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && io->fd != -1) io->onReadable(io);
        if (events[i].events & EPOLLOUT && io->fd != -1) io->onWritable(io);
    }
    while (removed) {
        Io *io = removed;
        removed = io->next;
        io->release(io);
    }
}

static void loopRun(void) {
    for (isStopped = 0; !isStopped;) loopOnce(-1);
}

static void loopStop(void) {
    isStopped = 1;
}

static void loopStep(void) {
    loopOnce(0);
}

static void ioInit(Io *io, int fd, IoHandler *onReadable, IoHandler *onWritable) {
    *io = (Io){.fd = fd, .onReadable = onReadable, .onWritable = onWritable};
}

static void ioSet(Io *io, unsigned events) {
    struct epoll_event event = {.events = events, .data.ptr = io};
    if (epoll_ctl(loop, io->isWatched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, io->fd, &event) == -1)
        fail("epoll_ctl");
    io->isWatched = 1;
    io->events = events;
}

static void ioStartReading(Io *io) {
    ioSet(io, io->events | EPOLLIN);
}

static void ioStartWriting(Io *io) {
    ioSet(io, io->events | EPOLLOUT);
}

static void ioStopReading(Io *io) {
    ioSet(io, io->events & ~(unsigned)EPOLLIN);
}

static void ioStopWriting(Io *io) {
    ioSet(io, io->events & ~(unsigned)EPOLLOUT);
}

static void timerInit(Timer *timer) {
    timer->none = 0;
}

static void timerStart(Timer *timer, int milliseconds, int handler) {
    (void)timer, (void)milliseconds, (void)handler;
}

static void timerStop(Timer *timer) {
    (void)timer;
}

/* Closing an fd removes it from epoll, so no call is needed. */
static void loopForget(Io *io, Timer *timer, void (*release)(Io *io)) {
    (void)timer;
    io->fd = -1;
    io->release = release;
    io->next = removed;
    removed = io;
}
