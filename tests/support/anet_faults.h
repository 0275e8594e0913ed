/* Faults and names for the tests of anet: system calls that fail on request, and names with the
 * addresses that a test chooses.
 *
 * On ELF systems a function of the program is found before the function of the same name in libc.
 * So the functions below are called by anet.c in place of those of libc, without a linker flag. On
 * other systems, and with NO_INJECTION, CAN_INJECT is 0, and the tests that need them are skipped.
 *
 *     failCall("listen", 1, EIO);
 *         the first call of listen after this fails
 *     failCall(ANY_CALL, n, EIO);
 *         the n-th of all calls fails
 *     spoilErrno();
 *         close, unlink and freeaddrinfo set errno
 *     connectAtOnce();
 *         connect waits until the connection is established
 *     reportNoAddress();
 *         accept, getpeername and getsockname succeed, but write no address
 *     repair();
 *         ends all of these
 *     nameHas("a.test", "::1", "127.0.0.1");
 *         getaddrinfo finds a.test, with these addresses
 *     nameHas("a.test", "?", NULL);
 *         getaddrinfo finds an address of an unknown family
 *     nameFails("a.test", EAI_MEMORY);
 *         getaddrinfo fails for a.test
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef ANET_FAULTS_H
#define ANET_FAULTS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#if defined(__ELF__) && !defined(NO_INJECTION)
#include <dlfcn.h>
#define CAN_INJECT 1
#else
#define CAN_INJECT 0
#endif

#define ANY_CALL "any"
enum { UNKNOWN_FAMILY = 250 };

static struct {
    const char *name;
    int nth, error;
} faults[8];

static struct {
    int armed, struck, spoil, atOnce, silent;
    int cloexecByFcntl, listens; /* calls since the last call of repair */
} injected;

static struct {
    const char *name, *addresses[4];
    int code;           /* what getaddrinfo returns if there are no addresses */
    const char *reason; /* the text of gai_strerror, if not NULL */
    int families[4];    /* of the requests, in order */
    int asked, pending; /* requests; lists not yet freed */
} fakeName;

static void repair(void) {
    int cause = errno;
    memset(faults, 0, sizeof faults);
    memset(&injected, 0, sizeof injected);
    errno = cause;
}

static void failCall(const char *name, int nth, int error) {
    int i = 0;
    while (faults[i].name != NULL) i++;
    faults[i].name = name;
    faults[i].nth = nth;
    faults[i].error = error;
    injected.armed = 1;
}

static void spoilErrno(void) {
    injected.armed = injected.spoil = 1;
}

static void connectAtOnce(void) {
    injected.atOnce = 1;
}

static void reportNoAddress(void) {
    injected.silent = 1;
}

static void nameHas(const char *name, const char *first, const char *second) {
    memset(&fakeName, 0, sizeof fakeName);
    fakeName.name = name;
    fakeName.addresses[0] = first;
    fakeName.addresses[1] = second;
    fakeName.code = EAI_NONAME;
}

static void nameFails(const char *name, int code) {
    nameHas(name, NULL, NULL);
    fakeName.code = code;
}

#if CAN_INJECT

/* A call may match several faults; each fault counts it. */
static int strikes(const char *name) {
    int i, due = 0;
    for (i = 0; injected.armed && i < 8 && faults[i].name != NULL; i++) {
        if (strcmp(faults[i].name, name) != 0 && strcmp(faults[i].name, ANY_CALL) != 0) continue;
        if (--faults[i].nth == 0) due = faults[i].error;
    }
    if (due == 0) return 0;
    injected.struck = 1;
    errno = due;
    return 1;
}

static void spoil(void) {
    if (injected.spoil) errno = EDOM;
}

/* The asm label is the function's name in the object file. In C it has another name, because libc's
 * headers declare some of these with other types. */
#define REAL(pointer, name)                             \
    do {                                                \
        if ((pointer) == NULL) {                        \
            void *symbol = dlsym(RTLD_NEXT, name);      \
            memcpy(&(pointer), &symbol, sizeof symbol); \
        }                                               \
    } while (0)

#define FAULTY_AT(symbol, name, parameters, arguments) \
    int faulty_##name parameters __asm__(symbol);      \
    int faulty_##name parameters {                     \
        static int(*real) parameters;                  \
        REAL(real, symbol);                            \
        if (strikes(#name)) return -1;                 \
        return real arguments;                         \
    }
#define FAULTY(name, parameters, arguments) FAULTY_AT(#name, name, parameters, arguments)

#ifdef __NetBSD__ /* its headers rename the functions whose interface has changed */
FAULTY_AT("__socket30", socket, (int family, int type, int protocol), (family, type, protocol))
FAULTY(paccept, (int fd, struct sockaddr *peer, socklen_t *len, const sigset_t *signals, int flags),
       (fd, peer, len, signals, flags))
#else
FAULTY(socket, (int family, int type, int protocol), (family, type, protocol))
#endif
FAULTY(bind, (int fd, const struct sockaddr *at, socklen_t len), (fd, at, len))
/* As macOS does for a connection that has been reset already. */
#define QUIET(name, parameters, arguments, quietArguments) \
    int faulty_##name parameters __asm__(#name);           \
    int faulty_##name parameters {                         \
        static int(*real) parameters;                      \
        REAL(real, #name);                                 \
        if (strikes(#name)) return -1;                     \
        if (!injected.silent) return real arguments;       \
        *len = 0;                                          \
        return quietArguments;                             \
    }

QUIET(accept, (int fd, struct sockaddr *peer, socklen_t *len), (fd, peer, len),
      real(fd, NULL, NULL))
QUIET(accept4, (int fd, struct sockaddr *peer, socklen_t *len, int flags), (fd, peer, len, flags),
      real(fd, NULL, NULL, flags))
QUIET(getpeername, (int fd, struct sockaddr *at, socklen_t *len), (fd, at, len), 0)
QUIET(getsockname, (int fd, struct sockaddr *at, socklen_t *len), (fd, at, len), 0)
FAULTY(setsockopt, (int fd, int level, int option, const void *value, socklen_t len),
       (fd, level, option, value, len))
FAULTY(chmod, (const char *path, mode_t mode), (path, mode))
FAULTY(pipe, (int fds[2]), (fds))
FAULTY(pipe2, (int fds[2], int flags), (fds, flags))

int faulty_listen(int fd, int backlog) __asm__("listen");
int faulty_listen(int fd, int backlog) {
    static int (*real)(int, int);
    REAL(real, "listen");
    injected.listens++;
    if (strikes("listen")) return -1;
    return real(fd, backlog);
}

int faulty_fcntl(int fd, int command, ...) __asm__("fcntl");
int faulty_fcntl(int fd, int command, ...) {
    static int (*real)(int, int, ...);
    va_list rest;
    void *argument;
    REAL(real, "fcntl");
    va_start(rest, command);
    argument = va_arg(rest, void *);
    va_end(rest);
    if (command == F_SETFD) injected.cloexecByFcntl++;
    if (strikes("fcntl")) return -1;
    return real(fd, command, argument);
}

/* On some systems a connection over loopback is established when connect returns. */
int faulty_connect(int fd, const struct sockaddr *to, socklen_t len) __asm__("connect");
int faulty_connect(int fd, const struct sockaddr *to, socklen_t len) {
    static int (*real)(int, const struct sockaddr *, socklen_t);
    int result, flags = injected.atOnce ? fcntl(fd, F_GETFL) : 0;
    REAL(real, "connect");
    if (strikes("connect")) return -1;
    if (injected.atOnce) fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    result = real(fd, to, len);
    if (injected.atOnce) fcntl(fd, F_SETFL, flags);
    return result;
}

int faulty_close(int fd) __asm__("close");
int faulty_close(int fd) {
    static int (*real)(int);
    int result;
    REAL(real, "close");
    result = real(fd);
    spoil();
    return result;
}

int faulty_unlink(const char *path) __asm__("unlink");
int faulty_unlink(const char *path) {
    static int (*real)(const char *);
    int result;
    REAL(real, "unlink");
    result = real(path);
    spoil();
    return result;
}

static struct {
    struct addrinfo entry;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at;
} fakeList[4];

static struct addrinfo *fakeAddress(int i, int family, int port) {
    struct addrinfo *made = &fakeList[i].entry;
    memset(&fakeList[i], 0, sizeof fakeList[i]);
    fakeList[i].at.any.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        fakeList[i].at.v4.sin_port = htons((uint16_t)port);
        inet_pton(AF_INET, fakeName.addresses[i], &fakeList[i].at.v4.sin_addr);
        made->ai_addrlen = sizeof fakeList[i].at.v4;
    } else if (family == AF_INET6) {
        fakeList[i].at.v6.sin6_port = htons((uint16_t)port);
        inet_pton(AF_INET6, fakeName.addresses[i], &fakeList[i].at.v6.sin6_addr);
        made->ai_addrlen = sizeof fakeList[i].at.v6;
    } else {
        made->ai_addrlen = sizeof fakeList[i].at;
    }
    made->ai_family = family;
    made->ai_socktype = SOCK_STREAM;
    made->ai_addr = &fakeList[i].at.any;
    return made;
}

/* There is one list, so it must be freed before the name is looked up again. */
static int fakeLookUp(const char *service, int wanted, struct addrinfo **found) {
    struct addrinfo **end = found;
    int i, family, port = service == NULL ? 0 : atoi(service);
    if (fakeName.pending > 0) abort();
    fakeName.families[fakeName.asked++ % 4] = wanted;
    *found = NULL;
    for (i = 0; fakeName.addresses[i] != NULL; i++) {
        family = strchr(fakeName.addresses[i], ':') != NULL ? AF_INET6 : AF_INET;
        if (strcmp(fakeName.addresses[i], "?") == 0) family = UNKNOWN_FAMILY;
        if (wanted != AF_UNSPEC && wanted != family) continue;
        *end = fakeAddress(i, family, port);
        end = &(*end)->ai_next;
    }
    if (*found != NULL) {
        fakeName.pending++;
        return 0;
    }
    errno = EMFILE; /* for EAI_SYSTEM */
    return fakeName.code;
}

int faulty_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found) __asm__("getaddrinfo");
int faulty_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    REAL(real, "getaddrinfo");
    if (host != NULL && fakeName.name != NULL && strcmp(host, fakeName.name) == 0) {
        if (hints->ai_flags & AI_NUMERICHOST) return EAI_NONAME;
        return fakeLookUp(service, hints->ai_family, found);
    }
    return real(host, service, hints, found);
}

const char *faulty_gai_strerror(int code) __asm__("gai_strerror");
const char *faulty_gai_strerror(int code) {
    static const char *(*real)(int);
    REAL(real, "gai_strerror");
    return fakeName.reason != NULL ? fakeName.reason : real(code);
}

void faulty_freeaddrinfo(struct addrinfo *list) __asm__("freeaddrinfo");
void faulty_freeaddrinfo(struct addrinfo *list) {
    static void (*real)(struct addrinfo *);
    int i, fake = 0;
    REAL(real, "freeaddrinfo");
    for (i = 0; i < 4; i++) fake = fake || list == &fakeList[i].entry;
    if (fake) fakeName.pending--;
    if (!fake) real(list);
    spoil();
}

#endif
#endif
