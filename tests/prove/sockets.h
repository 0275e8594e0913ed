/* The system under anet.c: each call may fail with any errno, or do anything that its manual page
 * allows. Macros replace the system calls, so it is included before anet.c.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef PROVE_SOCKETS_H
#define PROVE_SOCKETS_H

#include "any.h"
#include "text.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* What Frama-C's headers lack. A system without them is analysed with -DPLAIN_SYSTEM. */
#ifndef PLAIN_SYSTEM
#define SOCK_CLOEXEC 02000000
#define SOCK_NONBLOCK 04000
#endif
#ifndef O_CLOEXEC
#define O_CLOEXEC 02000000
#endif

/* Theirs has room only for the family. */
struct proveStorage {
    sa_family_t ss_family;
    char padding[118];
    unsigned long aligned;
};
#define sockaddr_storage proveStorage

#ifndef IN6_IS_ADDR_LINKLOCAL
#define IN6_IS_ADDR_LINKLOCAL(address)                \
    (((const unsigned char *)(address))[0] == 0xfe && \
     (((const unsigned char *)(address))[1] & 0xc0) == 0x80)
#endif

/// Names //////////////////////////////////////////////////////////////////////////////////////////

/* The length of the text of the next address, which the driver chooses before the call. */
static int textLength;

static const char *proveInetNtop(int family, const void *from, char *to, socklen_t room) {
    int most = family == AF_INET ? INET_ADDRSTRLEN - 1 : INET6_ADDRSTRLEN - 1;
    isRead(from, family == AF_INET ? 4 : 16);
    //@ assert family_and_room: (family == AF_INET || family == AF_INET6) && room > most;
    int length = textLength < most ? textLength : most;
    memset(to, anyOf('.', 'f'), (size_t)length);
    to[length] = '\0';
    return to;
}

/* The results of the next calls of getaddrinfo, which the driver chooses before: for each call up
 * to three addresses, each with a family or none. */
enum { NO_ADDRESS, IPV4, IPV6, SHORT_FAMILY, LONG_FAMILY, LINK_LOCAL };
enum { MOST_CALLS = 2, MOST_ADDRESSES = 3 };
static int addressKinds[MOST_CALLS][MOST_ADDRESSES];
static int getaddrinfoCalls;

#define ANY_ADDRESS() eachOf(NO_ADDRESS, LONG_FAMILY)

/* The zone of the next link-local address, which the driver chooses before: its number and the
 * length of its name; 0 if it has none. */
static unsigned zoneNumber;
static int zoneNameLength;

#define CHOOSE_ZONE()                                   \
    do {                                                \
        zoneNumber = maybe() ? 7 : UINT32_MAX;          \
        zoneNameLength = maybe() ? 0 : IF_NAMESIZE - 1; \
    } while (0)

static void setZone(struct sockaddr_in6 *address, int isLinkLocal) {
    unsigned char *bytes = (unsigned char *)&address->sin6_addr;
    address->sin6_scope_id = isLinkLocal ? zoneNumber : 0;
    bytes[0] = isLinkLocal ? 0xfe : (unsigned char)anyOf(0, 0xfd);
    bytes[1] = isLinkLocal ? 0x80 : (unsigned char)anyOf(0, 255);
}

static char *proveIfIndextoname(unsigned zone, char *name) {
    if (zoneNameLength == 0) {
        errno = ENXIO;
        return NULL;
    }
    memset(name, 'e', (size_t)zoneNameLength);
    name[zoneNameLength] = '\0';
    return name;
}

/* The memory of an address ends where the array ends. */
typedef struct {
    struct addrinfo info;
    char room[sizeof(struct sockaddr_storage)];
} Entry;
static Entry entries[MOST_CALLS][MOST_ADDRESSES];

static struct addrinfo *newAddress(Entry *entry, int kind, struct addrinfo *next) {
    static const socklen_t sizes[] = {0,
                                      sizeof(struct sockaddr_in),
                                      sizeof(struct sockaddr_in6),
                                      sizeof(sa_family_t),
                                      sizeof(struct sockaddr_storage),
                                      sizeof(struct sockaddr_in6)};
    struct addrinfo *info = &entry->info;
    struct sockaddr *address = (struct sockaddr *)(entry->room + sizeof(entry->room) - sizes[kind]);
    if (kind == NO_ADDRESS) return next;
    memset(info, 0, sizeof(*info));
    info->ai_family = kind == IPV4                         ? AF_INET
                      : kind == IPV6 || kind == LINK_LOCAL ? AF_INET6
                                                           : anyOf(AF_INET6 + 1, 65535);
    info->ai_addrlen = sizes[kind];
    info->ai_addr = address;
    info->ai_next = next;
    Frama_C_make_unknown((char *)address, sizes[kind]);
    address->sa_family = (sa_family_t)info->ai_family;
    if (kind == IPV6 || kind == LINK_LOCAL)
        setZone((struct sockaddr_in6 *)address, kind == LINK_LOCAL);
    return info;
}

static int proveGetaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                            struct addrinfo **found) {
    if (host) isRead(host, strlen(host) + 1);
    if (service) isRead(service, strlen(service) + 1);
    isRead(hints, sizeof(*hints));
    int call = getaddrinfoCalls++ % MOST_CALLS;
    struct addrinfo *list = NULL;
    for (int i = 0; i < MOST_ADDRESSES; i++)
        list = newAddress(&entries[call][i], addressKinds[call][i], list);
    if (list) {
        *found = list;
        return 0;
    }
    if (maybe()) {
        anyFailure();
        return EAI_SYSTEM;
    }
    return anyOf(-20, -1);
}

/* A read of the list after this is a read of memory that was never written. */
static void proveFreeaddrinfo(struct addrinfo *list) {
    //@ assert a_list: list != \null;
    while (list) {
        struct addrinfo *next = list->ai_next;
        Entry freed;
        *(Entry *)list = freed;
        list = next;
    }
    errno = anyOf(1, 4095);
}

/// System calls ///////////////////////////////////////////////////////////////////////////////////

static int proveFcntl(int fd, int command, ...) {
    if (command == F_GETFD || command == F_GETFL) return maybe() ? anyOf(0, INT_MAX) : anyFailure();
    //@ assert known_command: command == F_SETFD || command == F_SETFL;
    va_list arguments;
    va_start(arguments, command);
    int flags = va_arg(arguments, int);
    va_end(arguments);
    isRead(&flags, sizeof(flags));
    return zeroOrFailure();
}

static int proveClose(int fd) {
    return zeroOrFailure();
}

static int provePipe(int ends[2]) {
    if (maybe()) return anyFailure();
    ends[0] = anyOf(0, INT_MAX);
    ends[1] = anyOf(0, INT_MAX);
    return 0;
}

static int provePipe2(int ends[2], int flags) {
    return provePipe(ends);
}

static int proveStat(const char *path, struct stat *status) {
    isRead(path, strlen(path) + 1);
    if (maybe()) return anyFailure();
    isWritten(status, sizeof(*status));
    return 0;
}

static int provePath(const char *path) {
    isRead(path, strlen(path) + 1);
    return zeroOrFailure();
}

static int proveSocket(int family, int type, int protocol) {
    return fdOrFailure();
}

static int proveSetsockopt(int fd, int level, int option, const void *value, socklen_t size) {
    if (size == sizeof(struct timeval)) {
        isReadTimeval(value);
    } else {
        isRead(value, size);
    }
    return zeroOrFailure();
}

static int proveGetsockopt(int fd, int level, int option, void *value, socklen_t *size) {
    if (maybe()) return anyFailure();
    isWritten(value, (size_t)anyOf(0, (int)*size));
    *size = (socklen_t)anyOf(0, (int)*size);
    return 0;
}

/* What the kernel reports of the next address, which the driver chooses before: a family, or one of
 * these. */
enum { NOT_TOLD = -1, TELLING_FAILS = -2, IPV6_WITH_ZONE = -3 };
static int peerFamily;

/* Writes a part of the address, at least its family, or nothing. If it is longer than the room, it
 * is truncated. */
static int proveName(int fd, struct sockaddr *at, socklen_t *size) {
    if (peerFamily == TELLING_FAILS) return anyFailure();
    if (peerFamily == NOT_TOLD) {
        *size = 0;
        return 0;
    }
    isWritten(at, sizeof(at->sa_family));
    isWritten(at, (size_t)anyOf(sizeof(at->sa_family), (int)*size));
    at->sa_family = (sa_family_t)(peerFamily == IPV6_WITH_ZONE ? AF_INET6 : peerFamily);
    if (at->sa_family == AF_INET6) setZone((struct sockaddr_in6 *)at, peerFamily == IPV6_WITH_ZONE);
    *size = (socklen_t)anyOf(sizeof(at->sa_family), 4096);
    return 0;
}

static int proveAccept(int fd, struct sockaddr *peer, socklen_t *size) {
    return proveName(fd, peer, size) == -1 ? -1 : anyOf(0, INT_MAX);
}

static int proveAccept4(int fd, struct sockaddr *peer, socklen_t *size, int flags) {
    return proveAccept(fd, peer, size);
}

static int proveAddress(int fd, const struct sockaddr *at, socklen_t size) {
    isRead(at, size);
    return zeroOrFailure();
}

static int proveListen(int fd, int backlog) {
    return zeroOrFailure();
}

#define gai_strerror(code) proveText()
#define inet_ntop(family, from, to, room) proveInetNtop(family, from, to, room)
#define if_indextoname(zone, name) proveIfIndextoname(zone, name)
#define getaddrinfo(host, service, hints, found) proveGetaddrinfo(host, service, hints, found)
#define freeaddrinfo(list) proveFreeaddrinfo(list)
#define fcntl proveFcntl
#define close(fd) proveClose(fd)
#define pipe(ends) provePipe(ends)
#define pipe2(ends, flags) provePipe2(ends, flags)
#define stat(path, status) proveStat(path, status)
#define chmod(path, mode) provePath(path)
#define unlink(path) provePath(path)
#define socket(family, type, protocol) proveSocket(family, type, protocol)
#define setsockopt(fd, level, option, value, size) proveSetsockopt(fd, level, option, value, size)
#define getsockopt(fd, level, option, value, size) proveGetsockopt(fd, level, option, value, size)
#define getsockname(fd, at, size) proveName(fd, at, size)
#define getpeername(fd, at, size) proveName(fd, at, size)
#define accept(fd, peer, size) proveAccept(fd, peer, size)
#define accept4(fd, peer, size, flags) proveAccept4(fd, peer, size, flags)
#define bind(fd, at, size) proveAddress(fd, at, size)
#define connect(fd, at, size) proveAddress(fd, at, size)
#define listen(fd, backlog) proveListen(fd, backlog)

#endif
