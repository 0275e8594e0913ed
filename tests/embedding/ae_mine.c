/* A host's own backend, on poll(2): it uses nothing but what a backend is promised. */
typedef struct {
    struct pollfd *fds; /* one for each fd below setsize; those not in use are negative */
} MyState;

static int aeApiResize(aeEventLoop *eventLoop, int setsize) {
    MyState *state = eventLoop->apidata;
    struct pollfd *fds = realloc(state->fds, sizeof(*fds) * (size_t)setsize);
    if (!fds) return -1;
    for (int i = eventLoop->setsize; i < setsize; i++) fds[i].fd = -1;
    state->fds = fds;
    return 0;
}

static int aeApiCreate(aeEventLoop *eventLoop) {
    MyState *state = malloc(sizeof(*state));
    if (!state) return -1;
    state->fds = malloc(sizeof(*state->fds) * (size_t)eventLoop->setsize);
    if (!state->fds) {
        free(state);
        return -1;
    }
    for (int i = 0; i < eventLoop->setsize; i++) state->fds[i].fd = -1;
    eventLoop->apidata = state;
    return 0;
}

static void aeApiFree(aeEventLoop *eventLoop) {
    MyState *state = eventLoop->apidata;
    free(state->fds);
    free(state);
}

static void setInterest(aeEventLoop *eventLoop, int fd, int mask) {
    MyState *state = eventLoop->apidata;
    short events = 0;
    if (mask & AE_READABLE) events = (short)(events | POLLIN);
    if (mask & AE_WRITABLE) events = (short)(events | POLLOUT);
    state->fds[fd].fd = events ? fd : -1;
    state->fds[fd].events = events;
}

static int aeApiAddEvent(aeEventLoop *eventLoop, int fd, int mask) {
    setInterest(eventLoop, fd, eventLoop->events[fd].mask | mask);
    return 0;
}

static void aeApiDelEvent(aeEventLoop *eventLoop, int fd, int delmask) {
    setInterest(eventLoop, fd, eventLoop->events[fd].mask & ~delmask);
}

static int aeApiPoll(aeEventLoop *eventLoop, struct timeval *tvp) {
    MyState *state = eventLoop->apidata;
    int timeout = tvp ? (int)(tvp->tv_sec * 1000 + (tvp->tv_usec + 999) / 1000) : -1;
    int count = 0;
    if (poll(state->fds, (nfds_t)(eventLoop->maxfd + 1), timeout) <= 0) return 0;
    for (int fd = 0; fd <= eventLoop->maxfd; fd++) {
        int mask = 0;
        if (state->fds[fd].fd == -1) continue;
        if (state->fds[fd].revents & (POLLIN | POLLHUP | POLLERR)) mask |= AE_READABLE;
        if (state->fds[fd].revents & (POLLOUT | POLLHUP | POLLERR)) mask |= AE_WRITABLE;
        if (!mask) continue;
        eventLoop->fired[count].fd = fd;
        eventLoop->fired[count].mask = mask;
        count++;
    }
    return count;
}

static char *aeApiName(void) {
    return "mine";
}
