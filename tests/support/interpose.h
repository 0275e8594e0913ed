/* Interposes the system calls of ae.c and anet.c. For the tests these files are compiled with
 * `-include tests/support/interpose.h`, so that their system calls go through support.c. It makes
 * the real calls, unless a test has requested a failure or a frozen clock: see support.h.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef INTERPOSE_H
#define INTERPOSE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

/* All headers that those files include: after the macros below, their declarations would be
 * renamed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int supportClockGettime(clockid_t clock, struct timespec *now);
int supportSelect(int count, fd_set *readable, fd_set *writable, fd_set *failed,
                  struct timeval *timeout);
int supportPoll(struct pollfd *set, nfds_t count, int milliseconds);
int supportFcntl(int fd, int command, ...);
int supportClose(int fd);

int supportSocket(int family, int type, int protocol);
int supportBind(int fd, const struct sockaddr *at, socklen_t length);
int supportListen(int fd, int backlog);
int supportAccept(int fd, struct sockaddr *peer, socklen_t *length);
int supportConnect(int fd, const struct sockaddr *to, socklen_t length);
int supportSetsockopt(int fd, int level, int option, const void *value, socklen_t length);
int supportGetsockopt(int fd, int level, int option, void *value, socklen_t *length);
int supportGetsockname(int fd, struct sockaddr *at, socklen_t *length);
int supportGetpeername(int fd, struct sockaddr *at, socklen_t *length);
int supportGetaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found);
int supportPipe(int ends[2]);
int supportChmod(const char *path, mode_t mode);
int supportUnlink(const char *path);
int supportStat(const char *path, struct stat *status);
#ifdef SOCK_CLOEXEC
#ifdef __NetBSD__
int supportPaccept(int fd, struct sockaddr *peer, socklen_t *length, const sigset_t *signals,
                   int flags);
#else
int supportAccept4(int fd, struct sockaddr *peer, socklen_t *length, int flags);
#endif
int supportPipe2(int ends[2], int flags);
#endif

#ifdef __linux__
#include <sys/epoll.h>
#include <sys/prctl.h>
int supportTimerSlack(void);
int supportEpollCreate1(int flags);
int supportDup3(int fd, int to, int flags);
int supportEpollCtl(int epfd, int operation, int fd, struct epoll_event *event);
int supportEpollWait(int epfd, struct epoll_event *events, int room, int milliseconds);
#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 35) && !defined(PLAIN_SYSTEM)
#define INTERPOSE_EPOLL_PWAIT2
int supportEpollPwait2(int epfd, struct epoll_event *events, int room,
                       const struct timespec *timeout, const sigset_t *signals);
#endif
#endif
#endif

/* The real kqueue or its emulation, if the tests are built for that backend. */
#if defined(AE_BACKEND_KQUEUE) ||                                            \
    (!defined(AE_BACKEND_SELECT) &&                                          \
     (defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || \
      defined(__DragonFly__) || defined(__APPLE__)))
#define INTERPOSE_KQUEUE
#include <sys/event.h>
int supportKqueue(void);
/* The counts are int on most systems and size_t on NetBSD; these fit both. */
int supportKevent(int kq, const struct kevent *changes, unsigned short changeCount,
                  struct kevent *events, unsigned short room, const struct timespec *timeout);
#endif

#if defined(AE_BACKEND_EVPORT) || (!defined(AE_BACKEND_SELECT) && defined(__sun))
#define INTERPOSE_EVPORT
#include <port.h>
int supportPortCreate(void);
int supportPortAssociate(int port, int source, uintptr_t object, int events, void *user);
int supportPortDissociate(int port, int source, uintptr_t object);
int supportPortGetn(int port, port_event_t *list, unsigned room, unsigned *count,
                    struct timespec *timeout);
#endif

/* support.c calls the real functions. */
#ifndef INTERPOSE_FOR_SUPPORT
#define clock_gettime(clock, now) supportClockGettime(clock, now)
#define select(count, readable, writable, failed, timeout) \
    supportSelect(count, readable, writable, failed, timeout)
#define poll(set, count, milliseconds) supportPoll(set, count, milliseconds)
#define fcntl(...) supportFcntl(__VA_ARGS__)
#define close(fd) supportClose(fd)
#define socket(family, type, protocol) supportSocket(family, type, protocol)
#define bind(fd, at, length) supportBind(fd, at, length)
#define listen(fd, backlog) supportListen(fd, backlog)
#define accept(fd, peer, length) supportAccept(fd, peer, length)
#define accept4(fd, peer, length, flags) supportAccept4(fd, peer, length, flags)
#define paccept(fd, peer, length, signals, flags) supportPaccept(fd, peer, length, signals, flags)
#define connect(fd, to, length) supportConnect(fd, to, length)
#define setsockopt(fd, level, option, value, length) \
    supportSetsockopt(fd, level, option, value, length)
#define getsockopt(fd, level, option, value, length) \
    supportGetsockopt(fd, level, option, value, length)
#define getsockname(fd, at, length) supportGetsockname(fd, at, length)
#define getpeername(fd, at, length) supportGetpeername(fd, at, length)
#define getaddrinfo(host, service, hints, found) supportGetaddrinfo(host, service, hints, found)
#define pipe(ends) supportPipe(ends)
#define pipe2(ends, flags) supportPipe2(ends, flags)
#define chmod(path, mode) supportChmod(path, mode)
#define unlink(path) supportUnlink(path)
#define stat(path, status) supportStat(path, status)
#define prctl(option, a, b, c, d) supportTimerSlack()
#define epoll_create1(flags) supportEpollCreate1(flags)
#define dup3(fd, to, flags) supportDup3(fd, to, flags)
#define epoll_ctl(epfd, operation, fd, event) supportEpollCtl(epfd, operation, fd, event)
#define epoll_wait(epfd, events, room, milliseconds) \
    supportEpollWait(epfd, events, room, milliseconds)
#define epoll_pwait2(epfd, events, room, timeout, signals) \
    supportEpollPwait2(epfd, events, room, timeout, signals)
#ifdef INTERPOSE_KQUEUE
#define kqueue() supportKqueue()
#define kevent(kq, changes, changeCount, events, room, timeout) \
    supportKevent(kq, changes, changeCount, events, room, timeout)
#endif
#ifdef INTERPOSE_EVPORT
#define port_create() supportPortCreate()
#define port_associate(port, source, object, events, user) \
    supportPortAssociate(port, source, object, events, user)
#define port_dissociate(port, source, object) supportPortDissociate(port, source, object)
#define port_getn(port, list, room, count, timeout) \
    supportPortGetn(port, list, room, count, timeout)
#endif
#endif

/* For ae.c the compiler is not GCC and the C library is not glibc. */
#if defined(PLAIN_SYSTEM) && !defined(INTERPOSE_FOR_SUPPORT)
#undef __GNUC__
#undef __GLIBC__
#endif

/* A machine with such small numbers that the arrays reach their limits. */
#ifdef NARROW_SYSTEM
#undef SIZE_MAX
#define SIZE_MAX ((size_t)65535)
#undef UINT32_MAX
#define UINT32_MAX UINT32_C(2000)
#endif

#endif
