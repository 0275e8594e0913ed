/* Timers: what they cost, and how late they are. */

/* Nanoseconds of one piece of work: the best of as many rounds as take `budget` nanoseconds, or 20
 * times that with what goes on between them, and of at least three. The first round is told apart,
 * since it has the page faults. */
typedef struct {
    int64_t first, best, spent, begun;
    int rounds;
} Best;

static void bestAdd(Best *best, int64_t elapsed) {
    elapsed -= clockCost();
    if (elapsed < 0) elapsed = 0;
    best->spent += elapsed;
    if (best->rounds++ == 0) best->first = elapsed;
    if (best->rounds == 2 || elapsed < best->best) best->best = elapsed;
}

static int bestWantsMore(Best *best, int64_t budget) {
    int64_t now = nowNs();
    if (!best->rounds) best->begun = now;
    return best->rounds < 4 || (best->spent < budget && now - best->begun < 20 * budget);
}

static int timersFired;

TIMER_HANDLER(onFired) {
    (void)timer;
    timersFired++;
}

static Timer *timers;
static int timerCount;

static void startAll(const int *delays) {
    for (int i = 0; i < timerCount; i++) timerStart(&timers[i], delays[i], onFired);
}

static void stopAll(void) {
    for (int i = timerCount; i-- > 0;) timerStop(&timers[i]);
    loopStep(); /* whatever a library puts off, it does now */
}

static double perTimer(int64_t elapsed) {
    return (double)elapsed / timerCount;
}

/* Create them all; and create them all with the iteration that follows, since a library may put
 * work off until then. */
static void benchCreate(const int *delays, int64_t budget) {
    Best create = {0}, settled = {0};
    while (bestWantsMore(&create, budget)) {
        int64_t start = nowNs();
        startAll(delays);
        int64_t middle = nowNs();
        loopStep();
        int64_t end = nowNs();
        bestAdd(&create, middle - start);
        bestAdd(&settled, end - start);
        stopAll();
    }
    emitFor("timers", timerCount, "create", perTimer(create.best));
    emitFor("timers", timerCount, "create-first", perTimer(create.first));
    emitFor("timers", timerCount, "create+poll", perTimer(settled.best));
}

/* Which timers to delete, and what to create in their place. */
typedef void Chooser(int *victims, int *delays, int count);

static void chooseAtRandom(int *victims, int *delays, int count) {
    for (int i = 0; i < count; i++) {
        victims[i] = randomBelow(timerCount);
        delays[i] = 60000 + randomBelow(600001);
    }
}

/* All timers have the same time-out, and it is always the oldest that begins anew. */
static void chooseOldest(int *victims, int *delays, int count) {
    static int next;
    for (int i = 0; i < count; i++) {
        victims[i] = next++ % timerCount;
        delays[i] = 60000;
    }
}

/* Delete one, create one, as connection time-outs do; with polls, an iteration after every 16. */
static void benchChanges(const char *metric, Chooser *choose, int withPolls, int64_t budget) {
    int count = timerCount < 16 * 1024 ? 1024 : timerCount < 1024 * 1024 ? timerCount / 16 : 65536;
    int *victims = array((size_t)count, sizeof(*victims));
    int *delays = array((size_t)count, sizeof(*delays));
    Best change = {0};
    while (bestWantsMore(&change, budget)) {
        choose(victims, delays, count);
        int64_t start = nowNs();
        for (int i = 0; i < count; i++) {
            Timer *timer = &timers[victims[i]];
            timerStop(timer);
            timerStart(timer, delays[i], onFired);
            if (withPolls && i % 16 == 15) loopStep();
        }
        bestAdd(&change, nowNs() - start);
        loopStep();
    }
    emitFor("timers", timerCount, metric, (double)change.best / count);
    free(victims);
    free(delays);
}

static void benchChurn(int64_t budget) {
    benchChanges("churn", chooseAtRandom, 0, budget);
    benchChanges("churn+poll", chooseAtRandom, 1, budget);
    stopAll();
    for (int i = 0; i < timerCount; i++) timerStart(&timers[i], 60000, onFired);
    loopStep();
    benchChanges("restart", chooseOldest, 0, budget);
    benchChanges("restart+poll", chooseOldest, 1, budget);
}

/* One iteration that does not wait. */
static void benchPoll(int64_t budget) {
    Best poll = {0};
    while (bestWantsMore(&poll, budget)) {
        int64_t start = nowNs();
        for (int i = 0; i < 64; i++) loopStep();
        bestAdd(&poll, nowNs() - start);
    }
    emitFor("timers", timerCount, "poll", (double)poll.best / 64);
}

/* All of them due at once. */
static void benchFire(int64_t budget) {
    int within = timerCount <= 1000 ? 2 : timerCount <= 10000 ? 5 : 20;
    int *delays = array((size_t)timerCount, sizeof(*delays));
    Best fire = {0};
    while (bestWantsMore(&fire, budget)) {
        for (int i = 0; i < timerCount; i++) delays[i] = randomBelow(within + 1);
        timersFired = 0;
        startAll(delays);
        /* A library that counts in milliseconds may see the last one due a millisecond later. */
        int64_t due = nowNs() + (within + 2) * 1000000;
        while (nowNs() < due) continue;
        int64_t start = nowNs();
        while (timersFired < timerCount) loopStep();
        bestAdd(&fire, nowNs() - start);
        loopStep();
    }
    emitFor("timers", timerCount, "fire", perTimer(fire.best));
    free(delays);
}

static void benchTimers(int n, int milliseconds) {
    if (!HAS_TIMERS || n < 1) return;
    int64_t budget = (int64_t)milliseconds * 1000000;
    int pipeEnds[2];
    if (pipe(pipeEnds) == -1) fail("pipe");
    timerCount = n;
    int *delays = array((size_t)n, sizeof(*delays));
    for (int i = 0; i < n; i++) delays[i] = 60000 + randomBelow(600001);

    double before = heapBytes();
    loopOpen(1024);
    Io io;
    ioInit(&io, pipeEnds[0], onIdle, onIdle);
    ioStartReading(&io);
    timers = array((size_t)n, sizeof(*timers));
    for (int i = 0; i < n; i++) timerInit(&timers[i]);

    benchCreate(delays, budget);
    startAll(delays);
    loopStep();
    /* The loop itself is counted, which would drown a few timers. */
    if (n >= 1000) emitFor("timers", n, "memory", (heapBytes() - before) / n);
    benchPoll(budget);
    benchChurn(budget);
    stopAll();
    benchFire(budget);
}

/* Lateness of lone timers, in microseconds, by the precise clock. */

static int64_t firedAt;

TIMER_HANDLER(onDue) {
    (void)timer;
    firedAt = nowNs();
    loopStop();
}

static int compareDoubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void benchLateness(int maxMilliseconds, int times) {
    if (!HAS_TIMERS) return;
    int count = maxMilliseconds * times, early = 0;
    double *late = array((size_t)count, sizeof(*late));
    Timer timer;
    loopOpen(1024);
    timerInit(&timer);
    for (int i = 0; i < count; i++) {
        int milliseconds = 1 + i % maxMilliseconds;
        int64_t start = nowNs();
        timerStart(&timer, milliseconds, onDue);
        loopRun();
        int64_t difference = firedAt - start - (int64_t)milliseconds * 1000000;
        if (difference < 0) early++;
        late[i] = (double)difference / 1000;
    }
    qsort(late, (size_t)count, sizeof(*late), compareDoubles);
    emitFor("lateness", maxMilliseconds, "earliest", late[0]);
    emitFor("lateness", maxMilliseconds, "median", late[count / 2]);
    emitFor("lateness", maxMilliseconds, "p99", late[count - 1 - count / 100]);
    emitFor("lateness", maxMilliseconds, "early", early);
    if (early && !strcmp(LOOP_NAME, "libae")) {
        errno = 0;
        fail("a timer fired early");
    }
}
