/* libae: TCP and Unix sockets in one call each.
 *
 * A drop-in for the anet.h of Redis: the names, values and prototypes are the same, the code behind
 * them is not. Copy anet.h and anet.c into a project, or link libae.a. It needs nothing else of
 * libae.
 *
 * What holds for every call, unless its comment says otherwise:
 *
 * - It returns ANET_OK, or the new fd; when it fails, ANET_ERR. Then errno is that of the system
 *   call that failed, and nothing that the call opened is left open.
 * - `err` is NULL or a buffer of ANET_ERR_LEN bytes. A call that fails writes into it what failed
 *   and why; a call that succeeds leaves it alone, except anetSetSockMarkId where there is no mark.
 * - Every fd it makes is close-on-exec, atomically where the system can do that.
 * - A link-local IPv6 address keeps its zone ("fe80::1%eth0") in a text that has room for it.
 * - No pointer but `err` may be NULL.
 *
 * Host names are looked up by getaddrinfo(3), which may block. When a name cannot be resolved,
 * errno is ENOENT (without memory ENOMEM; for EAI_SYSTEM, what the system set). A port outside
 * of 0..65535 fails with EINVAL.
 *
 * No call keeps any state, so each may be made from any thread.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef ANET_H
#define ANET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ANET_OK 0
#define ANET_ERR (-1)
#define ANET_ERR_LEN 256 /* bytes, the NUL among them */

/* Flags of anetResolve. */
#define ANET_NONE 0
#define ANET_IP_ONLY 1
#define ANET_PREFER_IPV4 2
#define ANET_PREFER_IPV6 4

/* Solaris and AIX lack the name, and hosts expect it from here. */
#ifndef AF_LOCAL
#define AF_LOCAL AF_UNIX
#endif

/* Names that hosts written for Redis 6.2 and 7.0 pass as `remote`. Use the names: their values have
 * been the other way round. */
#define FD_TO_PEER_NAME 1
#define FD_TO_SOCK_NAME 0

/* Connecting ----------------------------------------------------------------------------------- */

/* Starts a TCP connection to `addr`, a name or a literal address, and returns a non-blocking fd.
 * The connection may still be under way (EINPROGRESS, see connect(2)): wait until the fd is
 * writable, then ask anetGetError how it ended. Each address of the name is tried until one does
 * not fail at once; the error told is that of the last one. The socket has SO_REUSEADDR. */
int anetTcpNonBlockConnect(char *err, const char *addr, int port);

/* The same, from the local address `source_addr` if that can be: when it cannot be resolved, bound,
 * or used with any address of `addr`, the connection is made without it. NULL asks for none. */
int anetTcpNonBlockBestEffortBindConnect(char *err, const char *addr, int port,
                                         const char *source_addr);

/* Writes the first address of `host` into `ipbuf` as text (46 bytes hold any, but for some zones).
 * `flags`:
 * ANET_IP_ONLY takes literal addresses only and asks no name server; ANET_PREFER_IPV4 or
 * ANET_PREFER_IPV6 asks for that family first and takes the other if there is none (both together
 * mean no preference). A text that does not fit `ipbuf` fails with ENOSPC and writes nothing;
 * nothing fits NULL, nor a length of 0. */
int anetResolve(char *err, char *host, char *ipbuf, size_t ipbuf_len, int flags);

/* Listening ------------------------------------------------------------------------------------ */

/* Listens for TCP over IPv4 on `bindaddr`, a name or a literal address; NULL or "*" is any address.
 * Port 0 lets the kernel choose. `backlog` is that of listen(2). The socket is blocking and has
 * SO_REUSEADDR. Of a name with several addresses the first is used. */
int anetTcpServer(char *err, int port, char *bindaddr, int backlog);

/* The same over IPv6; NULL, "*" or "::*" is any address. It takes no IPv4 (IPV6_V6ONLY), so both
 * servers can share a port. */
int anetTcp6Server(char *err, int port, char *bindaddr, int backlog);

/* Listens on the Unix socket `path`, which must not exist (EADDRINUSE), be empty (ENOENT) or be too
 * long for sun_path (ENAMETOOLONG, see unix(7)). A `perm` other than 0 is applied by chmod(2)
 * before a client can connect, and the call fails if it cannot be; with 0 the umask decides. When a
 * step after the bind fails, the socket file is removed again. */
int anetUnixServer(char *err, char *path, mode_t perm, int backlog);

/* Accepting ------------------------------------------------------------------------------------ */

/* Accept one connection and return its fd, non-blocking. EINTR is retried; any other failure leaves
 * errno as accept(2) set it (EAGAIN when a non-blocking `serversock` has none waiting).
 *
 * The TCP form also writes the peer's address into `ip` and its port into `port`. Both may be NULL,
 * as `ip_len` may be 0, when not wanted. An address that does not fit `ip` (46 bytes hold any) is
 * given as "?" and port 0, rather than cut into another address or the connection lost. */
int anetTcpAccept(char *err, int serversock, char *ip, size_t ip_len, int *port);
int anetUnixAccept(char *err, int serversock);

/* Returns 1 when `err`, the errno of a failed accept, says that only that one connection was lost
 * and the next may be accepted at once: ECONNABORTED, and on Linux the pending network errors that
 * accept(2) lists (ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP,
 * ENETUNREACH). Otherwise 0. */
int anetAcceptFailureNeedsRetry(int err);

/* Fd and socket options ------------------------------------------------------------------------ */

/* Set and clear O_NONBLOCK, see fcntl(2). */
int anetNonBlock(char *err, int fd);
int anetBlock(char *err, int fd);

/* Makes `fd` close-on-exec, see fcntl(2). */
int anetCloexec(int fd);

/* Set and clear TCP_NODELAY: small writes leave at once, or are gathered. See tcp(7). */
int anetEnableTcpNoDelay(char *err, int fd);
int anetDisableTcpNoDelay(char *err, int fd);

/* How many milliseconds a blocking send or receive may wait before it fails with EAGAIN
 * (SO_SNDTIMEO and SO_RCVTIMEO, see socket(7)). 0 waits for ever; less than 0 fails with EINVAL;
 * more than 68 years is taken as 68 years. */
int anetSendTimeout(char *err, int fd, long long ms);
int anetRecvTimeout(char *err, int fd, long long ms);

/* Lets TCP probe a silent peer: after `interval` seconds, then every `interval` / 3 seconds, at
 * least 1, and takes it for lost when 3 probes bring no reply. See tcp(7). An interval below 1
 * fails with EINVAL, as does one above what the system takes (32767 on Linux). Solaris knows no
 * time below 10 seconds and gets 10; OpenBSD sets these times for the whole system and just starts.
 * When the call fails, SO_KEEPALIVE is as it was. */
int anetKeepAlive(char *err, int fd, int interval);

/* Marks the packets of the socket with `id` for the firewall or the routing: SO_MARK on Linux
 * (needs CAP_NET_ADMIN, see socket(7)), SO_USER_COOKIE on FreeBSD, SO_RTABLE on OpenBSD. Other
 * systems cannot: there it writes so into `err` and returns ANET_OK. */
int anetSetSockMarkId(char *err, int fd, uint32_t id);

/* Returns the pending error of a socket (SO_ERROR, see socket(7)), 0 if none, and thereby clears
 * it; when that cannot be asked, the errno that says why. */
int anetGetError(int fd);

/* Addresses ------------------------------------------------------------------------------------ */

/* Writes address and port of the socket's other end (`remote` not 0) or of its own (0), see
 * getpeername(2) and getsockname(2). A Unix socket gives "/unixsocket" and port 0. Both `ip` and
 * `port` may be NULL, as `ip_len` may be 0, when not wanted. When it fails, `ip` is "?", the port
 * is 0, and it returns -1. A text that does not fit `ip` (46 bytes hold any) fails with ENOSPC. */
int anetFdToString(int fd, char *ip, size_t ip_len, int *port, int remote);

/* Writes `ip:port` into `fmt`, or `[ip]:port` when `ip` holds a colon. Writes and returns as
 * snprintf(3): never more than `fmt_len` bytes, and the length that the whole text has. `fmt` may
 * be NULL when `fmt_len` is 0. */
int anetFormatAddr(char *fmt, size_t fmt_len, char *ip, int port);

/* Writes the address of one end of `fd`, chosen as for anetFdToString, in the form and with the
 * result of anetFormatAddr; "?:0" when there is none. */
int anetFormatFdAddr(int fd, char *buf, size_t buf_len, int remote);

/* Pipes ---------------------------------------------------------------------------------------- */

/* Opens a pipe: fds[0] reads, fds[1] writes. The flags of each end may hold O_NONBLOCK and
 * O_CLOEXEC; any other, O_DIRECT too, fails with EINVAL. Both ends are close-on-exec, asked or not;
 * each is non-blocking only if its flags say so. Returns 0, or -1 and leaves `fds` alone. See
 * pipe(2). */
int anetPipe(int fds[2], int read_flags, int write_flags);

/* Returns 1 if `filepath` names a FIFO (links are followed, see stat(2)), else 0. */
int anetIsFifo(char *filepath);

#ifdef __cplusplus
}
#endif

#endif
