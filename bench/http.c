/* A small HTTP/1.1 server: keep-alive, an idle time-out that every request restarts, and a writable
 * handler only if a response is not sent at once. It prints its port. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>

enum { IDLE_MS = 30 * 1000 };

typedef struct {
    Io io; /* the first member: handlers get its address */
    Timer timer;
    int fd, isLast;
    size_t inLength, outStart, outEnd;
    char in[8 * 1024 + 1], out[8 * 1024];
} Client;

static void releaseClient(Io *io) {
    free(io);
}

static void closeClient(Client *c) {
    int fd = c->fd;
    loopForget(&c->io, &c->timer, releaseClient);
    close(fd);
}

TIMER_HANDLER(onIdleClient) {
    closeClient((Client *)((char *)timer - offsetof(Client, timer)));
}

/* Puts a response for every complete request into `out`. */
static void respond(Client *c) {
    char *head = c->in, *end;
    c->in[c->inLength] = '\0';
    while (!c->isLast && sizeof(c->out) - c->outEnd >= 256 && (end = strstr(head, "\r\n\r\n"))) {
        end[2] = '\0';
        c->isLast = strncmp(head, "GET /", 5) != 0 || strcasestr(head, "\r\nConnection: close");
        c->outEnd += (size_t)snprintf(c->out + c->outEnd, 256,
                                      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                      "Content-Length: 18\r\n%s\r\nHello from libae.\n",
                                      c->isLast ? "Connection: close\r\n" : "");
        head = end + 4;
    }
    c->inLength = (size_t)(c->in + c->inLength - head);
    memmove(c->in, head, c->inLength);
}

/* Writes as much as possible. Returns whether the connection can still be used. */
static int flushResponses(Client *c) {
    ssize_t done = write(c->fd, c->out + c->outStart, c->outEnd - c->outStart);
    if (done == -1) return errno == EAGAIN || errno == EINTR;
    c->outStart += (size_t)done;
    if (c->outStart < c->outEnd) return 1;
    c->outStart = c->outEnd = 0;
    return !c->isLast || shutdown(c->fd, SHUT_WR) == 0;
}

IO_HANDLER(onClientWritable) {
    Client *c = (Client *)io;
    if (!flushResponses(c)) {
        closeClient(c);
    } else if (!c->outEnd) {
        ioStopWriting(io);
        ioStartReading(io);
    }
}

IO_HANDLER(onClientReadable) {
    Client *c = (Client *)io;
    ssize_t got = read(c->fd, c->in + c->inLength, sizeof(c->in) - 1 - c->inLength);
    if (got == -1 && (errno == EAGAIN || errno == EINTR)) return;
    if (got > 0) {
        c->inLength += (size_t)got;
        timerStop(&c->timer);
        timerStart(&c->timer, IDLE_MS, onIdleClient);
        respond(c);
    }
    if (got <= 0 || (c->outEnd && !flushResponses(c))) {
        closeClient(c);
    } else if (c->outEnd) {
        ioStopReading(io);
        ioStartWriting(io);
    }
}

typedef struct {
    Io io;
    int fd;
} Listener;

IO_HANDLER(onConnection) {
    int on = 1, fd = accept4(((Listener *)io)->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd == -1) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    Client *c = array(1, sizeof(*c));
    c->fd = fd;
    ioInit(&c->io, fd, onClientReadable, onClientWritable);
    timerInit(&c->timer);
    timerStart(&c->timer, IDLE_MS, onIdleClient);
    ioStartReading(&c->io);
}

static void serveHttp(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    Listener listener;
    signal(SIGPIPE, SIG_IGN);
    loopOpen(raiseFdLimit());
    listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener.fd == -1 || bind(listener.fd, (struct sockaddr *)&address, length) == -1 ||
        listen(listener.fd, 511) == -1 ||
        getsockname(listener.fd, (struct sockaddr *)&address, &length) == -1)
        fail("listen");
    ioInit(&listener.io, listener.fd, onConnection, onConnection);
    ioStartReading(&listener.io);
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    loopRun();
}
