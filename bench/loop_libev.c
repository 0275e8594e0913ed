/* libev. */
#include <ev.h>

static struct ev_loop *loop;

typedef struct {
    ev_io reader, writer;
} Io;
typedef void IoHandler(struct ev_loop *, ev_io *, int);
#define IO_HANDLER(name)                                              \
    static void name##Io(Io *io);                                     \
    static void name(struct ev_loop *l, ev_io *watcher, int events) { \
        (void)l, (void)events;                                        \
        name##Io(watcher->data);                                      \
    }                                                                 \
    static void name##Io(Io *io)

typedef struct {
    ev_timer watcher;
} Timer;
typedef void TimerHandler(struct ev_loop *, ev_timer *, int);
#define TIMER_HANDLER(name)                                              \
    static void name##Timer(Timer *timer);                               \
    static void name(struct ev_loop *l, ev_timer *watcher, int events) { \
        (void)l, (void)events;                                           \
        name##Timer((Timer *)watcher);                                   \
    }                                                                    \
    static void name##Timer(Timer *timer)
enum { HAS_TIMERS = 1, WATCHER_BYTES = sizeof(ev_io) };

static void loopOpen(int setsize) {
    (void)setsize;
    loop = ev_loop_new(EVBACKEND_EPOLL);
    if (!loop) fail("ev_loop_new");
}

static void loopRun(void) {
    ev_run(loop, 0);
}

static void loopStop(void) {
    ev_break(loop, EVBREAK_ALL);
}

static void loopStep(void) {
    ev_run(loop, EVRUN_NOWAIT);
}

static void ioInit(Io *io, int fd, IoHandler *onReadable, IoHandler *onWritable) {
    ev_io_init(&io->reader, onReadable, fd, EV_READ);
    ev_io_init(&io->writer, onWritable, fd, EV_WRITE);
    io->reader.data = io->writer.data = io;
}

static void ioStartReading(Io *io) {
    ev_io_start(loop, &io->reader);
}

static void ioStartWriting(Io *io) {
    ev_io_start(loop, &io->writer);
}

static void ioStopReading(Io *io) {
    ev_io_stop(loop, &io->reader);
}

static void ioStopWriting(Io *io) {
    ev_io_stop(loop, &io->writer);
}

static void timerInit(Timer *timer) {
    ev_init(&timer->watcher, NULL);
}

/* Its timers count from the loop's cached time, which is that of the last iteration. */
static void timerStart(Timer *timer, int milliseconds, TimerHandler *handler) {
    ev_now_update(loop);
    ev_timer_init(&timer->watcher, handler, milliseconds / 1e3, 0);
    ev_timer_start(loop, &timer->watcher);
}

static void timerStop(Timer *timer) {
    ev_timer_stop(loop, &timer->watcher);
}

static void loopForget(Io *io, Timer *timer, void (*release)(Io *io)) {
    ev_io_stop(loop, &io->reader);
    ev_io_stop(loop, &io->writer);
    timerStop(timer);
    release(io);
}
