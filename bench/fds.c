/* File descriptors: dispatch, changes of interest, idle ones, memory. */

static void makePair(int ends[2]) {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == -1) fail("socketpair");
}

static void putByte(int fd) {
    if (write(fd, "x", 1) != 1) fail("write");
}

static void takeByte(int fd) {
    char byte;
    if (read(fd, &byte, 1) != 1) fail("read");
}

/* The chain of pairs: `ready` of the pairs have a byte. Each read passes a byte on to the next
 * pair, while there are writes left; the last read ends it. */

typedef struct Pair {
    Io io;
    int in, out; /* out is connected to the next pair's in */
} Pair;

static int writesLeft, readsLeft;

IO_HANDLER(onByte) {
    Pair *pair = (Pair *)io;
    takeByte(pair->in);
    if (writesLeft > 0) {
        writesLeft--;
        putByte(pair->out);
    }
    if (--readsLeft == 0) loopStop();
}

static void benchChain(int count, int ready, int writes) {
    raiseFdLimit();
    Pair *pairs = array((size_t)count, sizeof(*pairs));
    loopOpen(2 * count + 64);
    for (int i = 0; i < count; i++) {
        int ends[2];
        makePair(ends);
        pairs[i].in = ends[0];
        pairs[(i + count - 1) % count].out = ends[1];
        ioInit(&pairs[i].io, ends[0], onByte, onByte);
        ioStartReading(&pairs[i].io);
    }
    writesLeft = writes;
    readsLeft = writes + ready;
    loopStep();
    for (int i = 0; i < ready; i++) putByte(pairs[(int)((long)i * count / ready)].out);

    int64_t start = nowNs();
    countedRun();
    int64_t elapsed = nowNs() - start;
    char scope[32];
    snprintf(scope, sizeof(scope), "%d of %d", ready, count);
    emit("dispatch", scope, "ns", (double)elapsed / (writes + ready));
}

/* A server that wants to write only while it has a response. The write handler acts as its clients:
 * each sends its next request when it has read the response. */

typedef struct {
    Io io;
    int fd, client;
} Connection;

static int requestsLeft, responsesLeft;

static void request(Connection *c) {
    if (requestsLeft > 0) {
        requestsLeft--;
        putByte(c->client);
    }
}

IO_HANDLER(onRequest) {
    takeByte(((Connection *)io)->fd);
    ioStartWriting(io);
}

IO_HANDLER(onResponse) {
    Connection *c = (Connection *)io;
    putByte(c->fd);
    ioStopWriting(io);
    takeByte(c->client);
    request(c);
    if (--responsesLeft == 0) loopStop();
}

static void benchInterest(int count, int rounds) {
    Connection *connections = array((size_t)count, sizeof(*connections));
    loopOpen(2 * count + 64);
    for (int i = 0; i < count; i++) {
        Connection *c = &connections[i];
        int ends[2];
        makePair(ends);
        c->fd = ends[0];
        c->client = ends[1];
        ioInit(&c->io, c->fd, onRequest, onResponse);
        ioStartReading(&c->io);
    }
    loopStep();
    requestsLeft = responsesLeft = rounds;
    for (int i = 0; i < count; i++) request(&connections[i]);

    int64_t start = nowNs();
    countedRun();
    emitFor("interest", count, "ns", (double)(nowNs() - start) / rounds);
}

/* Many idle fds, one ready fd. */

static long served;

IO_HANDLER(onIdle) {
    (void)io;
    errno = 0;
    fail("an idle fd became ready");
}

IO_HANDLER(onReady) {
    (void)io;
    served++;
}

static void benchIdle(int n) {
    enum { ITERATIONS = 1000, ROUNDS = 100 };
    int idle[2], ready[2];
    raiseFdLimit();
    if (pipe(idle) == -1 || pipe(ready) == -1) fail("pipe");
    putByte(ready[1]);
    Io *ios = array((size_t)n + 1, sizeof(*ios));
    loopOpen(n + 64);
    ioInit(&ios[n], ready[0], onReady, onReady);
    ioStartReading(&ios[n]);
    for (int i = 0; i < n; i++) {
        int fd = dup(idle[0]);
        if (fd == -1) fail("dup");
        ioInit(&ios[i], fd, onIdle, onIdle);
        ioStartReading(&ios[i]);
    }
    loopStep();

    int64_t best = INT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        served = 0;
        int64_t start = nowNs();
        for (int i = 0; i < ITERATIONS; i++) loopStep();
        int64_t elapsed = nowNs() - start;
        if (served != ITERATIONS) fail("the ready fd was missed");
        if (elapsed < best) best = elapsed;
    }
    emitFor("idle", n, "ns", (double)best / ITERATIONS);
}

/* The memory of a large loop before use, and then of each fd. */

/* Anonymous resident memory, in KiB. */
static double residentKiB(void) {
    char line[256];
    double size = -1;
    FILE *status = fopen("/proc/self/status", "r");
    if (!status) fail("/proc/self/status");
    while (fgets(line, sizeof(line), status))
        if (sscanf(line, "RssAnon: %lf", &size) == 1) break;
    fclose(status);
    if (size < 0) fail("no RssAnon in /proc/self/status");
    return size;
}

static void benchMemory(void) {
    enum { SLOTS = 16384 }; /* a power of two, so that arrays that double are full */
    if (raiseFdLimit() < SLOTS) fail("not enough fds");
    int idle[2], fd, count = 0;
    if (pipe(idle) == -1) fail("pipe");
    Io *ios = array(SLOTS, sizeof(*ios));
    memset(ios, 1, SLOTS * sizeof(*ios));
    residentKiB(); /* now stdio's own buffers exist */

    double before = residentKiB();
    loopOpen(1000000);
    emit("memory", "loop of 1000000", "KiB", residentKiB() - before);

    double heap = requests("requestsHeld");
    do {
        fd = dup(idle[0]);
        if (fd == -1) fail("dup");
        ioInit(&ios[fd], fd, onIdle, onIdle);
        ioStartReading(&ios[fd]);
        count++;
    } while (fd < SLOTS - 1);
    loopStep();
    emit("memory", "registered fd", "bytes",
         (requests("requestsHeld") - heap) / count + WATCHER_BYTES);
}
