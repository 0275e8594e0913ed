/* libae, and with -DORIGINAL the files of Redis that it replaces. */
#include "ae.h"

static aeEventLoop *loop;

typedef struct {
    int fd;
    aeFileProc *onReadable, *onWritable;
} Io;
#define IO_HANDLER(name)                                           \
    static void name##Io(Io *io);                                  \
    static void name(aeEventLoop *l, int fd, void *io, int mask) { \
        (void)l, (void)fd, (void)mask;                             \
        name##Io(io);                                              \
    }                                                              \
    static void name##Io(Io *io)

typedef struct {
    long long id;
} Timer;
#define TIMER_HANDLER(name)                                      \
    static void name##Timer(Timer *timer);                       \
    static int name(aeEventLoop *l, long long id, void *timer) { \
        (void)l, (void)id;                                       \
        name##Timer(timer);                                      \
        return AE_NOMORE;                                        \
    }                                                            \
    static void name##Timer(Timer *timer)
enum { HAS_TIMERS = 1, WATCHER_BYTES = 0 };

static void loopOpen(int setsize) {
#ifdef ORIGINAL
#if __has_include("monotonic.h")
    monotonicInit();
#endif
#endif
    loop = aeCreateEventLoop(setsize);
    if (!loop) fail("aeCreateEventLoop");
}

static void loopRun(void) {
    aeMain(loop);
}

static void loopStop(void) {
    aeStop(loop);
}

static void loopStep(void) {
    aeProcessEvents(loop, AE_ALL_EVENTS | AE_DONT_WAIT);
}

static void ioInit(Io *io, int fd, aeFileProc *onReadable, aeFileProc *onWritable) {
    *io = (Io){fd, onReadable, onWritable};
}

static void ioStart(Io *io, int mask, aeFileProc *handler) {
    if (aeCreateFileEvent(loop, io->fd, mask, handler, io) == AE_ERR) fail("aeCreateFileEvent");
}

static void ioStartReading(Io *io) {
    ioStart(io, AE_READABLE, io->onReadable);
}

static void ioStartWriting(Io *io) {
    ioStart(io, AE_WRITABLE, io->onWritable);
}

static void ioStopReading(Io *io) {
    aeDeleteFileEvent(loop, io->fd, AE_READABLE);
}

static void ioStopWriting(Io *io) {
    aeDeleteFileEvent(loop, io->fd, AE_WRITABLE);
}

static void timerInit(Timer *timer) {
    timer->id = -1;
}

static void timerStart(Timer *timer, int milliseconds, aeTimeProc *handler) {
    timer->id = aeCreateTimeEvent(loop, milliseconds, handler, timer, NULL);
    if (timer->id == AE_ERR) fail("aeCreateTimeEvent");
}

static void timerStop(Timer *timer) {
    aeDeleteTimeEvent(loop, timer->id);
}

static void loopForget(Io *io, Timer *timer, void (*release)(Io *io)) {
    aeDeleteFileEvent(loop, io->fd, AE_READABLE | AE_WRITABLE);
    timerStop(timer);
    release(io);
}
