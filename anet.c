/* libae: TCP and Unix sockets. anet.h describes the public functions.
 *
 * The sections on errors, fds, options and addresses come first, then those on functions that
 * create sockets. Where systems differ, the file tests the macro of an option or flag. For accept4,
 * paccept and pipe2, which have no macro, it tests the name of the system.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */

/* With -std=c99, headers declare functions outside of ISO C only if the system's feature-test macro
 * is defined. FreeBSD and DragonFly have none: their headers declare everything, unless a macro of
 * POSIX is defined. */
#undef _GNU_SOURCE
#define _GNU_SOURCE
#undef _DARWIN_C_SOURCE
#define _DARWIN_C_SOURCE
#undef _NETBSD_SOURCE
#define _NETBSD_SOURCE
#undef __EXTENSIONS__
#define __EXTENSIONS__
#undef _TS_ERRNO
#define _TS_ERRNO /* Solaris and illumos: an errno for each thread, without -pthread */
#if defined(__OpenBSD__) && !defined(_BSD_SOURCE)
#define _BSD_SOURCE
#endif
#if defined(__FreeBSD__) || defined(__DragonFly__)
#undef _POSIX_C_SOURCE
#undef _XOPEN_SOURCE
#endif

#include "anet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* These systems got SOCK_CLOEXEC, pipe2 and an accept with flags together: FreeBSD in 10, NetBSD in
 * 6, OpenBSD in 5.7, Solaris in 11.4, DragonFly and illumos earlier. NetBSD before 8 has paccept
 * but not accept4. */
#if defined(SOCK_CLOEXEC) && (defined(__linux__) || defined(__FreeBSD__) || defined(__NetBSD__) || \
                              defined(__OpenBSD__) || defined(__DragonFly__) || defined(__sun))
#define HAS_PIPE2
#ifdef __NetBSD__
#define ACCEPT_WITH_FLAGS(fd, peer, len, flags) paccept(fd, peer, len, NULL, flags)
#else
#define ACCEPT_WITH_FLAGS(fd, peer, len, flags) accept4(fd, peer, len, flags)
#endif
#endif

/// Errors /////////////////////////////////////////////////////////////////////////////////////////

/* A failure is reported in `err` and in errno. After the system call that failed, a message may
 * have to be written, an fd closed and a list freed before the return: these steps preserve errno.
 */

static void explain(char *err, const char *what, const char *why) {
    if (err != NULL) snprintf(err, ANET_ERR_LEN, "%s: %s", what, why);
}

static int failWith(int cause) {
    errno = cause;
    return ANET_ERR;
}

static int fail(char *err, int cause, const char *what) {
    explain(err, what, strerror(cause));
    return failWith(cause);
}

/* Returns the result of a system call. If that is -1, it also reports what could not be done. */
static int orFail(char *err, int result, const char *what) {
    return result == -1 ? fail(err, errno, what) : result;
}

/* close is not retried on EINTR: Linux has closed the fd, and another thread may own its number. */
static int closeFailed(int fd) {
    int cause = errno;
    close(fd);
    return failWith(cause);
}

/// Fds ////////////////////////////////////////////////////////////////////////////////////////////

static int changeFlags(int fd, int get, int set, int add, int remove) {
    int flags = fcntl(fd, get);
    if (flags == -1 || fcntl(fd, set, (flags | add) & ~remove) == -1) return ANET_ERR;
    return ANET_OK;
}

int anetCloexec(int fd) {
    return changeFlags(fd, F_GETFD, F_SETFD, FD_CLOEXEC, 0);
}

int anetNonBlock(char *err, int fd) {
    int done = changeFlags(fd, F_GETFL, F_SETFL, O_NONBLOCK, 0);
    return orFail(err, done, "cannot make the fd non-blocking");
}

int anetBlock(char *err, int fd) {
    int done = changeFlags(fd, F_GETFL, F_SETFL, 0, O_NONBLOCK);
    return orFail(err, done, "cannot make the fd blocking");
}

/* pipe2 would set O_NONBLOCK on both ends, so it is set separately. */
int anetPipe(int fds[2], int read_flags, int write_flags) {
    int ends[2], ready;
    if ((read_flags | write_flags) & ~(O_NONBLOCK | O_CLOEXEC)) return failWith(EINVAL);
#ifdef HAS_PIPE2
    if (pipe2(ends, O_CLOEXEC) == -1) return ANET_ERR;
    ready = 1;
#else
    if (pipe(ends) == -1) return ANET_ERR;
    ready = anetCloexec(ends[0]) == ANET_OK && anetCloexec(ends[1]) == ANET_OK;
#endif
    if (read_flags & O_NONBLOCK) ready = ready && anetNonBlock(NULL, ends[0]) == ANET_OK;
    if (write_flags & O_NONBLOCK) ready = ready && anetNonBlock(NULL, ends[1]) == ANET_OK;
    if (!ready) {
        closeFailed(ends[0]);
        return closeFailed(ends[1]);
    }
    fds[0] = ends[0];
    fds[1] = ends[1];
    return ANET_OK;
}

int anetIsFifo(char *filepath) {
    struct stat status;
    return stat(filepath, &status) == 0 && S_ISFIFO(status.st_mode);
}

/// Socket options /////////////////////////////////////////////////////////////////////////////////

static int setInt(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value);
}

int anetEnableTcpNoDelay(char *err, int fd) {
    return orFail(err, setInt(fd, IPPROTO_TCP, TCP_NODELAY, 1), "cannot set TCP_NODELAY");
}

int anetDisableTcpNoDelay(char *err, int fd) {
    return orFail(err, setInt(fd, IPPROTO_TCP, TCP_NODELAY, 0), "cannot clear TCP_NODELAY");
}

/* time_t may have 32 bits, and no macro has its size: on every system the limit is 68 years. */
static int setTimeout(char *err, int fd, int option, long long ms, const char *what) {
    long long seconds = ms / 1000;
    struct timeval limit;
    if (ms < 0) return fail(err, EINVAL, what);
    limit.tv_sec = (time_t)(seconds < INT32_MAX ? seconds : INT32_MAX);
    limit.tv_usec = (suseconds_t)(ms % 1000 * 1000);
    return orFail(err, setsockopt(fd, SOL_SOCKET, option, &limit, sizeof limit), what);
}

int anetSendTimeout(char *err, int fd, long long ms) {
    return setTimeout(err, fd, SO_SNDTIMEO, ms, "cannot set the send timeout");
}

int anetRecvTimeout(char *err, int fd, long long ms) {
    return setTimeout(err, fd, SO_RCVTIMEO, ms, "cannot set the receive timeout");
}

/* Sets the options that the system has; OpenBSD has none. Old Solaris counts milliseconds. Instead
 * of the gap between probes and their number, it has the time from the first probe to the end. Its
 * options are tested before that of macOS, because its TCP_KEEPALIVE has another meaning. */
static int setProbes(int fd, int idle, int gap, int probes) {
#if defined(TCP_KEEPIDLE)
    if (setInt(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle) == -1) return ANET_ERR;
#elif defined(TCP_KEEPALIVE_THRESHOLD)
    int most = INT_MAX / 1000 / probes; /* seconds that overflow neither product */
    int first = (idle < most ? idle : most) * 1000, end = (gap < most ? gap : most) * probes * 1000;
    if (setInt(fd, IPPROTO_TCP, TCP_KEEPALIVE_THRESHOLD, first) == -1) return ANET_ERR;
    if (setInt(fd, IPPROTO_TCP, TCP_KEEPALIVE_ABORT_THRESHOLD, end) == -1) return ANET_ERR;
#elif defined(TCP_KEEPALIVE)
    if (setInt(fd, IPPROTO_TCP, TCP_KEEPALIVE, idle) == -1) return ANET_ERR;
#endif
#if defined(TCP_KEEPINTVL) && defined(TCP_KEEPCNT)
    if (setInt(fd, IPPROTO_TCP, TCP_KEEPINTVL, gap) == -1) return ANET_ERR;
    if (setInt(fd, IPPROTO_TCP, TCP_KEEPCNT, probes) == -1) return ANET_ERR;
#endif
    (void)fd, (void)idle, (void)gap, (void)probes;
    return ANET_OK;
}

/* SO_KEEPALIVE is set last: if the system refuses the times, keep-alive does not change. */
int anetKeepAlive(char *err, int fd, int interval) {
#ifdef __sun
    const int least = 10; /* Solaris refuses smaller numbers */
#else
    const int least = 1;
#endif
    int idle = interval > least ? interval : least;
    int gap = interval / 3 > least ? interval / 3 : least;
    const char *what = "cannot set keep-alive";
    if (interval < 1) return fail(err, EINVAL, what);
    if (setProbes(fd, idle, gap, 3) == ANET_ERR) return fail(err, errno, what);
    return orFail(err, setInt(fd, SOL_SOCKET, SO_KEEPALIVE, 1), what);
}

#if defined(SO_MARK)
#define MARK_OPTION SO_MARK
#elif defined(SO_USER_COOKIE)
#define MARK_OPTION SO_USER_COOKIE
#elif defined(SO_RTABLE)
#define MARK_OPTION SO_RTABLE
#endif

int anetSetSockMarkId(char *err, int fd, uint32_t id) {
    const char *what = "cannot mark the socket";

#ifdef MARK_OPTION
    return orFail(err, setsockopt(fd, SOL_SOCKET, MARK_OPTION, &id, sizeof id), what);
#else
    (void)fd, (void)id;
    explain(err, what, "this system has no such option");
    return ANET_OK;
#endif
}

int anetGetError(int fd) {
    int pending = 0;
    socklen_t len = sizeof pending;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &len) == -1 ? errno : pending;
}

/// Addresses //////////////////////////////////////////////////////////////////////////////////////

/* An address is a union, so that each family can be read without a pointer cast. Its text is never
 * truncated to fit into the caller's buffer: "10.0.0.12" must not become "10.0.0.1". Only the zone
 * at the end of a link-local address ("fe80::1%eth0") is left out if it does not fit. */

enum { LONGEST_TEXT = INET6_ADDRSTRLEN + IF_NAMESIZE }; /* bytes, with the '%' and the NUL */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
    struct sockaddr_storage room; /* enough for any other family */
};

/* A program cannot connect to a link-local address without its zone. */
static void appendZone(char text[LONGEST_TEXT], const struct sockaddr_in6 *from) {
    char name[IF_NAMESIZE];
    size_t length = strlen(text);
    unsigned zone = (unsigned)from->sin6_scope_id;
    if (!IN6_IS_ADDR_LINKLOCAL(&from->sin6_addr) || zone == 0) return;
    if (if_indextoname(zone, name) == NULL) snprintf(name, sizeof name, "%u", zone);
    snprintf(text + length, LONGEST_TEXT - length, "%%%s", name);
}

static int addressText(const union address *from, char text[LONGEST_TEXT], int *port) {
    if (from->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &from->v4.sin_addr, text, LONGEST_TEXT);
        *port = ntohs(from->v4.sin_port);
    } else if (from->any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &from->v6.sin6_addr, text, LONGEST_TEXT);
        appendZone(text, &from->v6);
        *port = ntohs(from->v6.sin6_port);
    } else if (from->any.sa_family == AF_UNIX) {
        snprintf(text, LONGEST_TEXT, "/unixsocket");
        *port = 0;
    } else {
        return failWith(EAFNOSUPPORT);
    }
    return ANET_OK;
}

static int copyText(char *buf, size_t len, const char *text) {
    size_t length = strlen(text);
    if (len <= length) length = strcspn(text, "%");
    if (buf == NULL || len <= length) return failWith(ENOSPC);
    memcpy(buf, text, length);
    buf[length] = '\0';
    return ANET_OK;
}

/* Writes to `ip` and `port`, unless they are NULL. `from` is NULL if there is no address. */
static int describe(const union address *from, char *ip, size_t ip_len, int *port) {
    char text[LONGEST_TEXT];
    int number, wanted = ip != NULL && ip_len > 0;
    int result = from == NULL ? ANET_ERR : addressText(from, text, &number);
    if (wanted && result == ANET_OK) result = copyText(ip, ip_len, text);
    if (wanted && result == ANET_ERR) {
        ip[0] = '?';
        ip[ip_len > 1 ? 1 : 0] = '\0';
    }
    if (port != NULL) *port = result == ANET_OK ? number : 0;
    return result;
}

int anetFdToString(int fd, char *ip, size_t ip_len, int *port, int remote) {
    union address end;
    socklen_t len = sizeof end;
    int known;
    memset(&end, 0, sizeof end);
    known = remote ? getpeername(fd, &end.any, &len) : getsockname(fd, &end.any, &len);
    return describe(known == -1 ? NULL : &end, ip, ip_len, port);
}

int anetFormatAddr(char *fmt, size_t fmt_len, char *ip, int port) {
    if (strchr(ip, ':') != NULL) return snprintf(fmt, fmt_len, "[%s]:%d", ip, port);
    return snprintf(fmt, fmt_len, "%s:%d", ip, port);
}

int anetFormatFdAddr(int fd, char *buf, size_t buf_len, int remote) {
    char ip[LONGEST_TEXT];
    int port, length, withoutZone;
    anetFdToString(fd, ip, sizeof ip, &port, remote);
    length = anetFormatAddr(buf, buf_len, ip, port);
    if ((size_t)length < buf_len) return length;
    ip[strcspn(ip, "%")] = '\0';
    withoutZone = anetFormatAddr(buf, buf_len, ip, port);
    return (size_t)withoutZone < buf_len ? withoutZone : length;
}

/* Returns the addresses of `host` for TCP, or NULL on failure. The caller calls freeAddresses. */
static struct addrinfo *lookUp(char *err, const char *host, int port, int family, int flags) {
    const char *what = "cannot resolve the address";
    struct addrinfo hints, *found = NULL;
    char digits[16];
    int code;
    if (port < 0 || port > 65535) {
        fail(err, EINVAL, "the port is not in 0..65535");
        return NULL;
    }
    snprintf(digits, sizeof digits, "%d", port);
    memset(&hints, 0, sizeof hints);
    hints.ai_family = family;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    code = getaddrinfo(host, digits, &hints, &found);
    if (code == 0) return found;

    if (code == EAI_SYSTEM) {
        fail(err, errno, what);
    } else {
        explain(err, what, gai_strerror(code));
        failWith(code == EAI_MEMORY ? ENOMEM : ENOENT);
    }
    return NULL;
}

static void freeAddresses(struct addrinfo *list) {
    int cause = errno;
    freeaddrinfo(list);
    errno = cause;
}

int anetResolve(char *err, char *host, char *ipbuf, size_t ipbuf_len, int flags) {
    int preferred = flags & (ANET_PREFER_IPV4 | ANET_PREFER_IPV6);
    int literal = flags & ANET_IP_ONLY ? AI_NUMERICHOST : 0;
    struct addrinfo *found = NULL;
    union address first;
    char text[LONGEST_TEXT];
    int port, result;
    if (preferred == ANET_PREFER_IPV4) found = lookUp(NULL, host, 0, AF_INET, literal);
    if (preferred == ANET_PREFER_IPV6) found = lookUp(NULL, host, 0, AF_INET6, literal);
    if (found == NULL) found = lookUp(err, host, 0, AF_UNSPEC, literal);
    if (found == NULL) return ANET_ERR;

    memcpy(&first, found->ai_addr, found->ai_addrlen);
    freeAddresses(found);
    result = addressText(&first, text, &port);
    if (result == ANET_OK) result = copyText(ipbuf, ipbuf_len, text);
    return orFail(err, result, "cannot write the address");
}

/// Connecting /////////////////////////////////////////////////////////////////////////////////////

/* Several addresses may be tried, and only the failure of the last one is reported. So the
 * functions that try one address do not write to `err`. They store in `step` what they attempt, and
 * the caller reports it after the last failure. */

static int openSocket(int family, const char **step) {
    int fd;
    *step = "cannot open a socket";
#ifdef SOCK_CLOEXEC
    fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
#else
    fd = socket(family, SOCK_STREAM, 0);
    if (fd != -1 && anetCloexec(fd) == ANET_ERR) return closeFailed(fd);
#endif
    if (fd == -1) return ANET_ERR;
    *step = "cannot set SO_REUSEADDR";
    return setInt(fd, SOL_SOCKET, SO_REUSEADDR, 1) == -1 ? closeFailed(fd) : fd;
}

static int connectOnce(const struct addrinfo *to, const struct addrinfo *from, const char **step) {
    int fd = openSocket(to->ai_family, step);
    if (fd == ANET_ERR) return ANET_ERR;
    *step = "cannot make the socket non-blocking";
    if (anetNonBlock(NULL, fd) == ANET_ERR) return closeFailed(fd);
    /* Sets no `step`: a call without the source follows, and only its failure is reported. */
    if (from != NULL && bind(fd, from->ai_addr, from->ai_addrlen) == -1) return closeFailed(fd);
    *step = "cannot connect";
    if (connect(fd, to->ai_addr, to->ai_addrlen) == 0 || errno == EINPROGRESS) return fd;
    return closeFailed(fd);
}

/* Tries each destination, from each of the sources if there are any. */
static int connectAny(const struct addrinfo *to, const struct addrinfo *sources,
                      const char **step) {
    const struct addrinfo *from;
    int fd;
    for (; to != NULL; to = to->ai_next) {
        from = sources;
        do {
            fd = connectOnce(to, from, step);
            if (fd != ANET_ERR) return fd;
            if (from != NULL) from = from->ai_next;
        } while (from != NULL);
    }
    return ANET_ERR;
}

int anetTcpNonBlockBestEffortBindConnect(char *err, const char *addr, int port,
                                         const char *source_addr) {
    struct addrinfo *to = lookUp(err, addr, port, AF_UNSPEC, 0), *from = NULL;
    const char *step = NULL;
    int fd = ANET_ERR;
    if (to == NULL) return ANET_ERR;
    if (source_addr != NULL) from = lookUp(NULL, source_addr, 0, AF_UNSPEC, 0);
    if (from != NULL) {
        fd = connectAny(to, from, &step);
        freeAddresses(from);
    }
    if (fd == ANET_ERR) fd = connectAny(to, NULL, &step);
    if (fd == ANET_ERR) fail(err, errno, step);
    freeAddresses(to);
    return fd;
}

int anetTcpNonBlockConnect(char *err, const char *addr, int port) {
    return anetTcpNonBlockBestEffortBindConnect(err, addr, port, NULL);
}

/// Listening //////////////////////////////////////////////////////////////////////////////////////

static int listenAt(const struct addrinfo *at, int backlog, const char **step) {
    int fd = openSocket(at->ai_family, step);
    if (fd == ANET_ERR) return ANET_ERR;
    *step = "cannot set IPV6_V6ONLY";
    if (at->ai_family == AF_INET6 && setInt(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) == -1)
        return closeFailed(fd);
    *step = "cannot bind";
    if (bind(fd, at->ai_addr, at->ai_addrlen) == -1) return closeFailed(fd);
    *step = "cannot listen";
    return listen(fd, backlog) == -1 ? closeFailed(fd) : fd;
}

static int tcpServer(char *err, int port, const char *bindaddr, int family, int backlog) {
    struct addrinfo *at = lookUp(err, bindaddr, port, family, AI_PASSIVE);
    const char *step;
    int fd;
    if (at == NULL) return ANET_ERR;
    fd = listenAt(at, backlog, &step);
    if (fd == ANET_ERR) fail(err, errno, step);
    freeAddresses(at);
    return fd;
}

int anetTcpServer(char *err, int port, char *bindaddr, int backlog) {
    int any = bindaddr == NULL || strcmp(bindaddr, "*") == 0;
    return tcpServer(err, port, any ? NULL : bindaddr, AF_INET, backlog);
}

int anetTcp6Server(char *err, int port, char *bindaddr, int backlog) {
    int any = bindaddr == NULL || strcmp(bindaddr, "*") == 0 || strcmp(bindaddr, "::*") == 0;
    return tcpServer(err, port, any ? NULL : bindaddr, AF_INET6, backlog);
}

/* bind creates the socket file; after a later failure the file is removed. The permissions are set
 * before listen, because no client can connect before it. */
static int listenAtPath(int fd, const union address *at, mode_t perm, int backlog,
                        const char **step) {
    const char *path = at->local.sun_path;
    int cause;
    *step = "cannot bind";
    if (bind(fd, &at->any, sizeof at->local) == -1) return closeFailed(fd);
    *step = "cannot set the permissions of the socket file";
    if (perm == 0 || chmod(path, perm) == 0) {
        *step = "cannot listen";
        if (listen(fd, backlog) == 0) return fd;
    }
    cause = errno;
    unlink(path);
    closeFailed(fd);
    return failWith(cause);
}

int anetUnixServer(char *err, char *path, mode_t perm, int backlog) {
    size_t size = strlen(path) + 1;
    const char *step;
    union address at;
    int fd;
    /* Linux would bind the socket to a name outside of the file system. */
    if (size == 1) return fail(err, ENOENT, "the Unix socket path is empty");
    if (size > sizeof at.local.sun_path)
        return fail(err, ENAMETOOLONG, "the path does not fit a Unix socket address");
    memset(&at, 0, sizeof at);
    at.local.sun_family = AF_UNIX;
    memcpy(at.local.sun_path, path, size);

    fd = openSocket(AF_UNIX, &step);
    if (fd != ANET_ERR) fd = listenAtPath(fd, &at, perm, backlog, &step);
    return orFail(err, fd, step);
}

/// Accepting //////////////////////////////////////////////////////////////////////////////////////

/* The family of `peer` is AF_UNSPEC if the system reports no address, as macOS does for a
 * connection that was reset. */
static int acceptFrom(char *err, int serversock, union address *peer) {
    socklen_t len;
    int fd;
    memset(peer, 0, sizeof *peer);
    do {
        len = sizeof *peer;
#ifdef ACCEPT_WITH_FLAGS
        fd = ACCEPT_WITH_FLAGS(serversock, &peer->any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
        fd = accept(serversock, &peer->any, &len);
#endif
    } while (fd == -1 && errno == EINTR);
#ifndef ACCEPT_WITH_FLAGS
    if (fd != -1 && (anetCloexec(fd) == ANET_ERR || anetNonBlock(NULL, fd) == ANET_ERR))
        fd = closeFailed(fd);
#endif
    return orFail(err, fd, "cannot accept a connection");
}

int anetTcpAccept(char *err, int serversock, char *ip, size_t ip_len, int *port) {
    union address peer;
    int fd = acceptFrom(err, serversock, &peer);
    if (fd != ANET_ERR) describe(&peer, ip, ip_len, port);
    return fd;
}

int anetUnixAccept(char *err, int serversock) {
    union address peer;
    return acceptFrom(err, serversock, &peer);
}

int anetAcceptFailureNeedsRetry(int err) {
#ifdef __linux__
    if (err == ENETDOWN || err == EPROTO || err == ENOPROTOOPT || err == EHOSTDOWN ||
        err == ENONET || err == EHOSTUNREACH || err == EOPNOTSUPP || err == ENETUNREACH)
        return 1;
#endif
    return err == ECONNABORTED;
}
