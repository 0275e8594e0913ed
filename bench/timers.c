/* Timers: their cost, and how late they are. */

/* The nanoseconds of one task: the best of at least four rounds. The rounds take `budget`
 * nanoseconds together, or 20 times that with the work between them. */
typedef struct {
    int64_t best, spent, begun;
    int rounds;
} Best;

static int64_t since(int64_t start) {
    int64_t elapsed = nowNs() - start - clockCost();
    return elapsed > 0 ? elapsed : 0;
}

static void bestAdd(Best *best, int64_t elapsed) {
    best->spent += elapsed;
    if (best->rounds++ == 0 || elapsed < best->best) best->best = elapsed;
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

/* The program's own data about them. */
static void allocateTimers(int n) {
    timerCount = n;
    timers = array((size_t)n, sizeof(*timers));
}

static void makeTimers(int n) {
    allocateTimers(n);
    for (int i = 0; i < n; i++) timerInit(&timers[i]);
}

static int *randomDelays(int n) {
    int *delays = array((size_t)n, sizeof(*delays));
    for (int i = 0; i < n; i++) delays[i] = 60000 + randomBelow(600001);
    return delays;
}

static void startAll(const int *delays) {
    for (int i = 0; i < timerCount; i++) timerStart(&timers[i], delays[i], onFired);
}

static void stopAll(void) {
    for (int i = timerCount; i-- > 0;) timerStop(&timers[i]);
    loopStep(); /* deferred work of a library is done here */
}

static double perTimer(int64_t elapsed) {
    return (double)elapsed / timerCount;
}

/* Creates all timers; and creates all timers with the iteration after it, since a library may defer
 * work until then. */
static void benchCreate(const int *delays, int64_t budget) {
    Best create = {0}, settled = {0};
    while (bestWantsMore(&create, budget)) {
        int64_t start = nowNs();
        startAll(delays);
        bestAdd(&create, since(start));
        loopStep();
        bestAdd(&settled, since(start));
        stopAll();
    }
    emitFor("timers", timerCount, "create", perTimer(create.best));
    emitFor("timers", timerCount, "create+poll", perTimer(settled.best));
}

/* The timers to delete, and the deadlines to create in their place. */
typedef void Chooser(int *victims, int *delays, int count);

static void chooseAtRandom(int *victims, int *delays, int count) {
    for (int i = 0; i < count; i++) {
        victims[i] = randomBelow(timerCount);
        delays[i] = 60000 + randomBelow(600001);
    }
}

/* All timers have the same time-out, and the oldest one starts again. */
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
        bestAdd(&change, since(start));
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
        bestAdd(&poll, since(start));
    }
    emitFor("timers", timerCount, "poll", (double)poll.best / 64);
}

/* All are due at once. */
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
        bestAdd(&fire, since(start));
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
    /* Freed memory stays with the process, so that only the first rounds have page faults. */
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    int *delays = randomDelays(n);
    loopOpen(1024);
    Io io;
    ioInit(&io, pipeEnds[0], onIdle, onIdle);
    ioStartReading(&io);
    makeTimers(n);

    benchCreate(delays, budget);
    startAll(delays);
    loopStep();
    benchPoll(budget);
    benchChurn(budget);
    stopAll();
    benchFire(budget);
}

/* The first timers of a new process: the time includes allocating and filling the program's own
 * array, and all page faults. */
static void benchCold(int n) {
    if (!HAS_TIMERS || n < 1) return;
    int *delays = randomDelays(n);
    loopOpen(1024);
    clockCost();
    int64_t start = nowNs();
    makeTimers(n);
    startAll(delays);
    emitFor("timers", n, "create-first", perTimer(since(start)));
}

/* The timers in random order, with the earliest quarter first. */

static const int *delaysToSortBy;

static int compareDelays(const void *a, const void *b) {
    int x = delaysToSortBy[*(const int *)a], y = delaysToSortBy[*(const int *)b];
    return (x > y) - (x < y);
}

static void shuffle(int *numbers, int count) {
    for (int i = count; i > 1; i--) {
        int other = randomBelow(i), number = numbers[i - 1];
        numbers[i - 1] = numbers[other];
        numbers[other] = number;
    }
}

static int *earliestQuarterFirst(const int *delays, int n) {
    int *order = array((size_t)n, sizeof(*order));
    for (int i = 0; i < n; i++) order[i] = i;
    delaysToSortBy = delays;
    qsort(order, (size_t)n, sizeof(*order), compareDelays);
    shuffle(order, n / 4);
    shuffle(order + n / 4, n - n / 4);
    return order;
}

/* Bytes that the loop and n pending timers use, including the program's own data; and the largest
 * request on the way to n timers and back. */
static void benchPending(int n) {
    if (!HAS_TIMERS || n < 1) return;
    int *delays = randomDelays(n), *order = earliestQuarterFirst(delays, n);
    double before = requests("requestsHeld");
    loopOpen(1024);
    double opened = requests("requestsHeld");
    makeTimers(n);
    requests("requestsLargest");
    startAll(delays);
    loopStep();
    double held = requests("requestsHeld");
    for (int i = 0; i < n; i++) timerStop(&timers[order[i]]);
    loopStep();
    double largest = requests("requestsLargest");
    emitFor("timers", n, "memory", (held - before) / n);
    if (n == 1) emitFor("timers", n, "first timer", held - opened);
    emitFor("longest", n, "largest request", largest);
}

/* Processor time of this thread: it does not include other work of the machine. */
static int64_t threadNs(void) {
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

/* The eleventh longest of many calls, in nanoseconds: the machine may have delayed ten. */
typedef struct {
    int64_t longest[11];
} Longest;

static void longestAdd(Longest *calls, int64_t elapsed) {
    int i = 10;
    if (elapsed <= calls->longest[i]) return;
    for (; i > 0 && elapsed > calls->longest[i - 1]; i--) calls->longest[i] = calls->longest[i - 1];
    calls->longest[i] = elapsed;
}

static double eleventhUs(const Longest *calls) {
    return (double)calls->longest[10] / 1000;
}

/* One call at a time, on the way from no timer to n timers and back. The timer created last is the
 * latest: if it were among the earliest, a library that tracks it would do the work of the poll in
 * the deletions before. A creation includes the first access to the program's data, since the page
 * faults count for every library. The bare epoll loop, whose calls do nothing else, shows for how
 * long the machine interrupts. */
static void benchLongest(int n) {
    if (n < 44) return;
    int *delays = randomDelays(n), *order, done = 0;
    delays[n - 1] = 660000;
    order = earliestQuarterFirst(delays, n);
    Longest create = {{0}}, delete = {{0}};
    loopOpen(1024);
    allocateTimers(n);
    for (int i = 0; i < n; i++) {
        int64_t start = threadNs();
        timerInit(&timers[i]);
        timerStart(&timers[i], delays[i], onFired);
        longestAdd(&create, threadNs() - start);
    }
    loopStep();
    for (int part = n / 4; part <= n; part += n - n / 4) {
        for (; done < part; done++) {
            int64_t start = threadNs();
            timerStop(&timers[order[done]]);
            longestAdd(&delete, threadNs() - start);
        }
        int64_t start = threadNs();
        loopStep();
        int64_t elapsed = threadNs() - start;
        if (part < n) emitFor("longest", n, "poll", (double)elapsed / 1000);
    }
    emitFor("longest", n, "create", eleventhUs(&create));
    emitFor("longest", n, "delete", eleventhUs(&delete));
}

/* Lateness of single timers, in microseconds, by the precise clock. */

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
    emitFor("lateness", maxMilliseconds, "median", late[count / 2]);
    emitFor("lateness", maxMilliseconds, "p99", late[count - 1 - count / 100]);
    emitFor("lateness", maxMilliseconds, "early", early);
    if (early && !strcmp(LOOP_NAME, "libae")) {
        errno = 0;
        fail("a timer fired early");
    }
}
