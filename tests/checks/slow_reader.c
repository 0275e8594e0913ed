/* Clients of the echo server that read slowly: each sends 1 MiB as fast as it can, and reads the
 * reply in small parts, only from time to time. Every byte is compared. It uses poll(2), not the
 * library.
 *
 *     slow_reader port clients bytes
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#define _XOPEN_SOURCE 700
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BITE = 4096 };

typedef struct {
    size_t sent, received;
} Client;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* A different stream for each client. */
static unsigned char byteAt(int client, size_t position) {
    return (unsigned char)((position * 2654435761u >> 16) + (size_t)client * 31);
}

static int openClient(int port) {
    struct sockaddr_in address;
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = BITE;
    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_port = htons((unsigned short)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd == -1) fail("socket");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == -1) fail("setsockopt");
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1) fail("connect");
    if (fcntl(fd, F_SETFL, O_NONBLOCK) == -1) fail("fcntl");
    return fd;
}

static void sendSome(int fd, int number, Client *client, size_t bytes) {
    unsigned char chunk[64 * 1024];
    size_t size = bytes - client->sent < sizeof(chunk) ? bytes - client->sent : sizeof(chunk);
    for (size_t i = 0; i < size; i++) chunk[i] = byteAt(number, client->sent + i);
    ssize_t sent = write(fd, chunk, size);
    if (sent == -1 && errno != EAGAIN) fail("write");
    if (sent > 0) client->sent += (size_t)sent;
    if (client->sent == bytes) shutdown(fd, SHUT_WR);
}

static int receiveSome(int fd, int number, Client *client) {
    unsigned char chunk[BITE];
    ssize_t got = read(fd, chunk, sizeof(chunk));
    if (got == -1 && errno == EAGAIN) return 1;
    if (got == -1) fail("read");
    for (ssize_t i = 0; i < got; i++) {
        if (chunk[i] == byteAt(number, client->received + (size_t)i)) continue;
        fprintf(stderr, "client %d: wrong byte\n", number);
        exit(1);
    }
    client->received += (size_t)got;
    return got > 0;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int port = atoi(argv[1]), count = atoi(argv[2]), open = count;
    size_t bytes = (size_t)atol(argv[3]);
    Client *clients = calloc((size_t)count, sizeof(*clients));
    struct pollfd *polled = calloc((size_t)count, sizeof(*polled));
    if (!clients || !polled) fail("calloc");
    for (int i = 0; i < count; i++) polled[i].fd = openClient(port);

    for (unsigned round = 0; open > 0; round++) {
        /* Three times out of four no client reads, while there is data to send. */
        for (int i = 0; i < count; i++) {
            int sends = clients[i].sent < bytes;
            polled[i].events = (short)(sends ? POLLOUT : 0);
            if (!sends || round % 4 == 0) polled[i].events |= POLLIN;
        }
        if (poll(polled, (nfds_t)count, 20) == -1) fail("poll");
        for (int i = 0; i < count; i++) {
            if (polled[i].fd == -1) continue;
            if (polled[i].revents & POLLOUT) sendSome(polled[i].fd, i, &clients[i], bytes);
            if (!(polled[i].revents & (POLLIN | POLLHUP | POLLERR))) continue;
            if (receiveSome(polled[i].fd, i, &clients[i])) continue;
            if (clients[i].received != bytes) {
                fprintf(stderr, "client %d: %zu bytes came back\n", i, clients[i].received);
                return 1;
            }
            close(polled[i].fd);
            polled[i].fd = -1;
            open--;
        }
    }
    printf("%d clients got %zu bytes each\n", count, bytes);
    free(clients);
    free(polled);
}
