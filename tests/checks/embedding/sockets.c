/* A program that uses both headers, as C or as C++: it connects to itself and sends a byte. It
 * succeeds if the byte arrives.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "ae.h"
#include "anet.h"

#include <stdio.h>
#include <unistd.h>

static int received;

static void onByte(aeEventLoop *loop, int fd, void *clientData, int mask) {
    char byte;
    AE_NOTUSED(clientData);
    AE_NOTUSED(mask);
    if (read(fd, &byte, 1) == 1 && byte == 'x') received++;
    close(fd);
    aeStop(loop);
}

static void onConnection(aeEventLoop *loop, int fd, void *clientData, int mask) {
    int connection = anetTcpAccept(NULL, fd, NULL, 0, NULL);
    AE_NOTUSED(clientData);
    AE_NOTUSED(mask);
    aeDeleteFileEvent(loop, fd, AE_READABLE);
    if (aeCreateFileEvent(loop, connection, AE_READABLE, onByte, NULL) == AE_ERR) aeStop(loop);
}

static int onTimeout(aeEventLoop *loop, long long id, void *clientData) {
    AE_NOTUSED(id);
    AE_NOTUSED(clientData);
    aeStop(loop);
    return AE_NOMORE;
}

int main(void) {
    char error[ANET_ERR_LEN] = "", address[] = "127.0.0.1";
    int port, server, client;
    aeEventLoop *loop = aeCreateEventLoop(64);
    server = anetTcpServer(error, 0, address, 16);
    if (loop == NULL || server == ANET_ERR || anetFdToString(server, NULL, 0, &port, 0) == -1 ||
        aeCreateFileEvent(loop, server, AE_READABLE, onConnection, NULL) == AE_ERR ||
        aeCreateTimeEvent(loop, 60000, onTimeout, NULL, NULL) == AE_ERR) {
        fprintf(stderr, "sockets: cannot listen: %s\n", error);
        return 1;
    }
    client = anetTcpNonBlockConnect(error, address, port);
    if (client == ANET_ERR || aeWait(client, AE_WRITABLE, 60000) != AE_WRITABLE ||
        write(client, "x", 1) != 1) {
        fprintf(stderr, "sockets: cannot connect: %s\n", error);
        return 1;
    }
    aeMain(loop);
    aeDeleteEventLoop(loop);
    close(client);
    close(server);
    printf("%s %d.%d.%d: %s\n", aeGetApiName(), AE_VERSION_MAJOR, AE_VERSION_MINOR,
           AE_VERSION_PATCH, received == 1 ? "received" : "lost");
    return received == 1 ? 0 : 1;
}
