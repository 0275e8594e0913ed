/* Two loops in two threads, and a third thread that stops them, for the thread sanitizer: each loop
 * has a TCP server, a client that plays ping-pong with it, and timers. No system call is
 * interposed here: counting calls might itself order the threads.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#define _GNU_SOURCE
#include "ae.h"
#include "anet.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { LOOPS = 2, ROUNDS = 3000, TIMERS = 50, SETSIZE = 256 };

typedef struct {
    aeEventLoop *loop;
    int wakeUp[2];
    int served, fired, finalized, failures;
} Player;

static int done[2]; /* a pipe: a byte for each player that has played enough */

static void check(Player *player, int ok) {
    if (!ok) player->failures++;
}

/* Both sides send their input back. */
static void onBall(aeEventLoop *loop, int fd, void *clientData, int mask) {
    Player *player = clientData;
    char ball;
    ssize_t got = read(fd, &ball, 1);
    AE_NOTUSED(mask);
    if (got == -1 && (errno == EAGAIN || errno == EINTR)) return;
    if (got == 1 && player->served < ROUNDS) {
        check(player, write(fd, &ball, 1) == 1);
        if (++player->served == ROUNDS) check(player, write(done[1], "x", 1) == 1);
        return;
    }
    if (got != 1) check(player, player->served == ROUNDS);
    aeDeleteFileEvent(loop, fd, AE_READABLE);
    close(fd);
}

static void onNewcomer(aeEventLoop *loop, int fd, void *clientData, int mask) {
    char err[ANET_ERR_LEN], ip[46];
    int port, peer = anetTcpAccept(err, fd, ip, sizeof(ip), &port);
    AE_NOTUSED(mask);
    check(clientData, peer != ANET_ERR);
    if (peer == ANET_ERR) return;
    check(clientData, anetEnableTcpNoDelay(err, peer) == ANET_OK);
    check(clientData, aeCreateFileEvent(loop, peer, AE_READABLE, onBall, clientData) == AE_OK);
    check(clientData, write(peer, "o", 1) == 1);
}

static int onTime(aeEventLoop *loop, long long id, void *clientData) {
    Player *player = clientData;
    player->fired++;
    check(player,
          aeDeleteTimeEvent(loop, aeCreateTimeEvent(loop, 60000, onTime, player, NULL)) == AE_OK);
    return id % 2 ? 1 : AE_NOMORE;
}

static void onFinal(aeEventLoop *loop, void *clientData) {
    AE_NOTUSED(loop);
    ((Player *)clientData)->finalized++;
}

static void onWakeUp(aeEventLoop *loop, int fd, void *clientData, int mask) {
    AE_NOTUSED(loop), AE_NOTUSED(fd), AE_NOTUSED(clientData), AE_NOTUSED(mask);
}

static void *play(void *clientData) {
    Player *player = clientData;
    aeEventLoop *loop = player->loop;
    char err[ANET_ERR_LEN], host[] = "127.0.0.1";
    int port = 0, server = anetTcpServer(err, 0, host, 16);
    check(player, server != ANET_ERR && anetNonBlock(err, server) == ANET_OK);
    check(player, anetFdToString(server, NULL, 0, &port, 0) == ANET_OK);
    int client = anetTcpNonBlockConnect(err, host, port);
    check(player, client != ANET_ERR && anetEnableTcpNoDelay(err, client) == ANET_OK);
    check(player, anetTcpNonBlockConnect(err, "256.0.0.1", port) == ANET_ERR);
    check(player, aeCreateFileEvent(loop, server, AE_READABLE, onNewcomer, player) == AE_OK);
    check(player, aeCreateFileEvent(loop, client, AE_READABLE, onBall, player) == AE_OK);
    check(player,
          aeCreateFileEvent(loop, player->wakeUp[0], AE_READABLE, onWakeUp, player) == AE_OK);
    for (int i = 0; i < TIMERS; i++)
        check(player, aeCreateTimeEvent(loop, i % 3, onTime, player, onFinal) == i);
    check(player, aeWait(player->wakeUp[0], AE_READABLE, 0) == 0);
    aeMain(loop);
    close(server);
    return NULL;
}

int main(void) {
    Player players[LOOPS] = {0};
    pthread_t threads[LOOPS];
    int failures = 0;
    char byte;
    if (anetPipe(done, 0, 0) == ANET_ERR) return perror("threads"), 1;
    for (int i = 0; i < LOOPS; i++) {
        players[i].loop = aeCreateEventLoop(SETSIZE);
        if (!players[i].loop || anetPipe(players[i].wakeUp, 0, 0) == ANET_ERR ||
            pthread_create(&threads[i], NULL, play, &players[i]) != 0)
            return perror("threads"), 1;
    }
    /* No player stops before all have played enough, so both threads have run at the same time. */
    for (int i = 0; i < LOOPS; i++)
        if (read(done[0], &byte, 1) != 1) failures++;
    for (int i = 0; i < LOOPS; i++) {
        aeStop(players[i].loop);
        if (write(players[i].wakeUp[1], "x", 1) != 1) failures++;
        if (pthread_join(threads[i], NULL) != 0) failures++;
        aeDeleteEventLoop(players[i].loop);
        if (players[i].failures || players[i].fired < TIMERS || players[i].finalized != TIMERS)
            failures++;
    }
    printf("threads: %s: %s\n", aeGetApiName(), failures ? "FAILED" : "ok");
    return failures != 0;
}
