/* libuv: its poll handles, since the work is on fds. */
#include <uv.h>

static uv_loop_t *loop;

/* A poll handle has one callback, and one mask that is set as a whole. */
typedef struct Io {
    uv_poll_t poll;
    int mask;
    void (*onReadable)(struct Io *io), (*onWritable)(struct Io *io), (*release)(struct Io *io);
} Io;
typedef void IoHandler(Io *io);
#define IO_HANDLER(name) static void name(Io *io)

typedef struct {
    uv_timer_t handle;
} Timer;
#define TIMER_HANDLER(name)                \
    static void name##Timer(Timer *timer); \
    static void name(uv_timer_t *handle) { \
        name##Timer((Timer *)handle);      \
    }                                      \
    static void name##Timer(Timer *timer)
enum { HAS_TIMERS = 1, WATCHER_BYTES = sizeof(uv_poll_t) };

static void loopOpen(int setsize) {
    (void)setsize;
    loop = array(1, sizeof(*loop));
    if (uv_loop_init(loop)) fail("uv_loop_init");
}

static void loopRun(void) {
    uv_run(loop, UV_RUN_DEFAULT);
}

static void loopStop(void) {
    uv_stop(loop);
}

static void loopStep(void) {
    uv_run(loop, UV_RUN_NOWAIT);
}

static void ioInit(Io *io, int fd, IoHandler *onReadable, IoHandler *onWritable) {
    if (uv_poll_init(loop, &io->poll, fd)) fail("uv_poll_init");
    io->mask = 0;
    io->onReadable = onReadable;
    io->onWritable = onWritable;
}

static void onPoll(uv_poll_t *poll, int status, int events) {
    Io *io = (Io *)poll;
    if (status < 0 || events & UV_READABLE) io->onReadable(io);
    if (events & UV_WRITABLE && io->mask & UV_WRITABLE) io->onWritable(io);
}

static void ioSet(Io *io, int mask) {
    io->mask = mask;
    if (mask ? uv_poll_start(&io->poll, mask, onPoll) : uv_poll_stop(&io->poll)) fail("uv_poll");
}

static void ioStartReading(Io *io) {
    ioSet(io, io->mask | UV_READABLE);
}

static void ioStartWriting(Io *io) {
    ioSet(io, io->mask | UV_WRITABLE);
}

static void ioStopReading(Io *io) {
    ioSet(io, io->mask & ~UV_READABLE);
}

static void ioStopWriting(Io *io) {
    ioSet(io, io->mask & ~UV_WRITABLE);
}

static void timerInit(Timer *timer) {
    if (uv_timer_init(loop, &timer->handle)) fail("uv_timer_init");
}

/* Its timers count from the loop's cached time, which is that of the last iteration. */
static void timerStart(Timer *timer, int milliseconds, uv_timer_cb handler) {
    uv_update_time(loop);
    if (uv_timer_start(&timer->handle, handler, (uint64_t)milliseconds, 0)) fail("uv_timer_start");
}

static void timerStop(Timer *timer) {
    uv_timer_stop(&timer->handle);
}

/* Handles are closed later, one after the other. */
static void onIoClosed(uv_handle_t *handle) {
    Io *io = (Io *)handle;
    io->release(io);
}

static void onTimerClosed(uv_handle_t *handle) {
    uv_close(handle->data, onIoClosed);
}

static void loopForget(Io *io, Timer *timer, void (*release)(Io *io)) {
    ioSet(io, 0);
    io->release = release;
    timer->handle.data = &io->poll;
    uv_close((uv_handle_t *)&timer->handle, onTimerClosed);
}
