/* libevent 2. */
#include <event2/event.h>
#include <event2/event_struct.h>

static struct event_base *loop;

typedef struct {
    struct event reader, writer;
} Io;
#define IO_HANDLER(name)                                           \
    static void name##Io(Io *io);                                  \
    static void name(evutil_socket_t fd, short events, void *io) { \
        (void)fd, (void)events;                                    \
        name##Io(io);                                              \
    }                                                              \
    static void name##Io(Io *io)

typedef struct {
    struct event event;
} Timer;
#define TIMER_HANDLER(name)                                           \
    static void name##Timer(Timer *timer);                            \
    static void name(evutil_socket_t fd, short events, void *timer) { \
        (void)fd, (void)events;                                       \
        name##Timer(timer);                                           \
    }                                                                 \
    static void name##Timer(Timer *timer)
enum { HAS_TIMERS = 1, WATCHER_BYTES = sizeof(struct event) };

/* No time is cached, so a timer counts from the precise clock also within a handler. */
static void loopOpen(int setsize) {
    (void)setsize;
    struct event_config *config = event_config_new();
    if (!config ||
        event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER | EVENT_BASE_FLAG_NOLOCK |
                                          EVENT_BASE_FLAG_NO_CACHE_TIME) == -1)
        fail("event_config_new");
    loop = event_base_new_with_config(config);
    if (!loop) fail("event_base_new_with_config");
    event_config_free(config);
}

static void loopRun(void) {
    event_base_dispatch(loop);
}

static void loopStop(void) {
    event_base_loopbreak(loop);
}

static void loopStep(void) {
    event_base_loop(loop, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void ioInit(Io *io, int fd, event_callback_fn onReadable, event_callback_fn onWritable) {
    event_assign(&io->reader, loop, fd, EV_READ | EV_PERSIST, onReadable, io);
    event_assign(&io->writer, loop, fd, EV_WRITE | EV_PERSIST, onWritable, io);
}

static void ioStartReading(Io *io) {
    if (event_add(&io->reader, NULL) == -1) fail("event_add");
}

static void ioStartWriting(Io *io) {
    if (event_add(&io->writer, NULL) == -1) fail("event_add");
}

static void ioStopReading(Io *io) {
    event_del(&io->reader);
}

static void ioStopWriting(Io *io) {
    event_del(&io->writer);
}

static void timerInit(Timer *timer) {
    evtimer_assign(&timer->event, loop, NULL, timer);
}

static void timerStart(Timer *timer, int milliseconds, event_callback_fn handler) {
    struct timeval after = {milliseconds / 1000, milliseconds % 1000 * 1000};
    evtimer_assign(&timer->event, loop, handler, timer);
    if (evtimer_add(&timer->event, &after) == -1) fail("evtimer_add");
}

static void timerStop(Timer *timer) {
    evtimer_del(&timer->event);
}

static void loopForget(Io *io, Timer *timer, void (*release)(Io *io)) {
    event_del(&io->reader);
    event_del(&io->writer);
    timerStop(timer);
    release(io);
}
