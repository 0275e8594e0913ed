/* libae: functions for TCP and Unix sockets.
 *
 * A drop-in replacement for the anet.h of Redis: names, values and prototypes are the same; the
 * code is new. Copy anet.h and anet.c into a project, or link libae.a. It needs nothing else of
 * libae.
 *
 * Unless its comment says otherwise, for every call:
 *
 * - It returns ANET_OK or the new fd; on failure it returns ANET_ERR. Then errno is that of the
 *   system call that failed, and the call leaves no fd open.
 * - `err` is NULL or a buffer of ANET_ERR_LEN bytes. A call that fails writes into it what failed
 *   and why. A call that succeeds does not change it, except anetSetSockMarkId on a system without
 *   marks.
 * - Every new fd is close-on-exec. The flag is set atomically if the system can do that.
 * - The text of a link-local IPv6 address includes its zone ("fe80::1%eth0") if the buffer has room
 *   for it.
 * - No pointer except `err` may be NULL. Names, addresses and paths are not modified.
 *
 * Names are looked up by getaddrinfo(3), which may block. When a name cannot be resolved, errno is
 * ENOENT; ENOMEM if there was no memory; for EAI_SYSTEM, the errno that getaddrinfo set. A port
 * outside of 0..65535 fails with EINVAL.
 *
 * No call keeps any state, so every call may be made from any thread.
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
#define ANET_ERR_LEN 256 /* bytes, including the NUL */

/* Flags of anetResolve. */
#define ANET_NONE 0
#define ANET_IP_ONLY 1
#define ANET_PREFER_IPV4 2
#define ANET_PREFER_IPV6 4

/* Solaris and AIX lack the name, and programs written for Redis's anet.h expect it. */
#ifndef AF_LOCAL
#define AF_LOCAL AF_UNIX
#endif

/* Programs written for Redis 6.2 and 7.0 pass these names as `remote`. Use the names: in earlier
 * versions of Redis's anet.h the values were exchanged. */
#define FD_TO_PEER_NAME 1
#define FD_TO_SOCK_NAME 0

/* Connecting ----------------------------------------------------------------------------------- */

/* Starts a TCP connection to `addr`, a name or a literal address, and returns a non-blocking fd.
 * The connection may still be in progress (EINPROGRESS, see connect(2)): wait until the fd is
 * writable, then call anetGetError for the result. The addresses of the name are tried one after
 * the other, until one does not fail at once; the error reported is that of the last address. The
 * socket has SO_REUSEADDR. */
int anetTcpNonBlockConnect(char *err, const char *addr, int port);

/* Does what anetTcpNonBlockConnect does, from the local address `source_addr` if possible. If that
 * cannot be resolved, bound, or used with any address of `addr`, the connection is made without it.
 * With NULL the system chooses the local address. */
int anetTcpNonBlockBestEffortBindConnect(char *err, const char *addr, int port,
                                         const char *source_addr);

/* Writes the first address of `host` into `ipbuf` as text (46 bytes hold any address, though not
 * every zone). `flags`: ANET_IP_ONLY accepts only literal addresses and asks no name server;
 * ANET_PREFER_IPV4 or ANET_PREFER_IPV6 asks for that family first and uses the other if there is no
 * such address (both together mean no preference). If the text does not fit into `ipbuf`, or
 * `ipbuf` is NULL or `ipbuf_len` 0, it fails with ENOSPC and writes nothing. */
int anetResolve(char *err, char *host, char *ipbuf, size_t ipbuf_len, int flags);

/* Listening ------------------------------------------------------------------------------------ */

/* Listens for TCP over IPv4 on `bindaddr`, a name or a literal address; NULL or "*" means any
 * address. With port 0 the kernel chooses a port. `backlog` is that of listen(2). The socket is
 * blocking and has SO_REUSEADDR. If a name has several addresses, the first one is used. */
int anetTcpServer(char *err, int port, char *bindaddr, int backlog);

/* Listens for TCP over IPv6, as anetTcpServer does over IPv4; NULL, "*" or "::*" means any address.
 * The socket accepts no IPv4 connections (IPV6_V6ONLY), so both servers can share a port. */
int anetTcp6Server(char *err, int port, char *bindaddr, int backlog);

/* Listens on the Unix socket `path`. It fails if the path exists (EADDRINUSE), is empty (ENOENT) or
 * does not fit into sun_path (ENAMETOOLONG, see unix(7)). A `perm` other than 0 is applied by
 * chmod(2) before a client can connect; if chmod fails, the call fails. With 0 the umask decides.
 * When a step after bind(2) fails, the socket file is removed again. */
int anetUnixServer(char *err, char *path, mode_t perm, int backlog);

/* Accepting ------------------------------------------------------------------------------------ */

/* Accept one connection and return its fd, which is non-blocking. EINTR is retried; any other
 * failure leaves errno as accept(2) set it (EAGAIN when `serversock` is non-blocking and no
 * connection is waiting).
 *
 * anetTcpAccept also writes the peer's address into `ip` and its port into `port`. Both may be NULL
 * and `ip_len` may be 0. An address that does not fit into `ip` (46 bytes hold any) is written as
 * "?" with port 0: it is not truncated, and the connection is not lost. */
int anetTcpAccept(char *err, int serversock, char *ip, size_t ip_len, int *port);
int anetUnixAccept(char *err, int serversock);

/* Returns 1 if `err`, the errno of a failed accept, means that only one connection was lost and the
 * next may be accepted at once: ECONNABORTED, and on Linux the pending network errors that
 * accept(2) lists (ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP,
 * ENETUNREACH). Otherwise it returns 0. */
int anetAcceptFailureNeedsRetry(int err);

/* Fd and socket options ------------------------------------------------------------------------ */

/* Set and clear O_NONBLOCK, see fcntl(2). */
int anetNonBlock(char *err, int fd);
int anetBlock(char *err, int fd);

/* Makes `fd` close-on-exec, see fcntl(2). */
int anetCloexec(int fd);

/* Set and clear TCP_NODELAY. If it is set, small writes are sent at once; else the kernel may
 * collect them. See tcp(7). */
int anetEnableTcpNoDelay(char *err, int fd);
int anetDisableTcpNoDelay(char *err, int fd);

/* Set how many milliseconds a blocking send or receive may wait before it fails with EAGAIN
 * (SO_SNDTIMEO and SO_RCVTIMEO, see socket(7)). 0 means no limit; less than 0 fails with EINVAL;
 * more than 68 years counts as 68 years. */
int anetSendTimeout(char *err, int fd, long long ms);
int anetRecvTimeout(char *err, int fd, long long ms);

/* Makes TCP probe a silent peer: after `interval` seconds, then every `interval` / 3 seconds, at
 * least 1. The connection is lost when 3 probes get no reply. See tcp(7). An interval below 1 fails
 * with EINVAL, as does one above the limit of the system (32767 on Linux). Solaris accepts no time
 * below 10 seconds: there 10 is used. On OpenBSD these times are set for the whole system, and the
 * call only enables the probes. When the call fails, SO_KEEPALIVE does not change. */
int anetKeepAlive(char *err, int fd, int interval);

/* Marks the packets of the socket with `id` for the firewall or the routing: SO_MARK on Linux
 * (needs CAP_NET_ADMIN, see socket(7)), SO_USER_COOKIE on FreeBSD, SO_RTABLE on OpenBSD. Other
 * systems have no mark: there it writes a message into `err` and returns ANET_OK. */
int anetSetSockMarkId(char *err, int fd, uint32_t id);

/* Returns the pending error of a socket and clears it (SO_ERROR, see socket(7)). Returns 0 if there
 * is none. If getsockopt(2) fails, it returns the errno of that call. */
int anetGetError(int fd);

/* Addresses ------------------------------------------------------------------------------------ */

/* Writes the address and port of the socket's other end (if `remote` is not 0, see getpeername(2))
 * or of its own end (if it is 0, see getsockname(2)). For a Unix socket it writes "/unixsocket" and
 * port 0. `ip` and `port` may be NULL and `ip_len` may be 0. On failure it writes "?" and port 0,
 * and returns -1. If the text does not fit into `ip` (46 bytes hold any address), it fails with
 * ENOSPC. */
int anetFdToString(int fd, char *ip, size_t ip_len, int *port, int remote);

/* Writes `ip:port` into `fmt`, or `[ip]:port` if `ip` contains a colon. As snprintf(3) does, it
 * writes at most `fmt_len` bytes and returns the length of the whole text. `fmt` may be NULL if
 * `fmt_len` is 0. */
int anetFormatAddr(char *fmt, size_t fmt_len, char *ip, int port);

/* Writes the address of one end of `fd` in the form of anetFormatAddr, and returns what that
 * returns. `remote` selects the end as in anetFdToString. If there is no address, it writes "?:0".
 */
int anetFormatFdAddr(int fd, char *buf, size_t buf_len, int remote);

/* Pipes ---------------------------------------------------------------------------------------- */

/* Opens a pipe: fds[0] is for reading, fds[1] for writing. The flags of each end may have
 * O_NONBLOCK and O_CLOEXEC; any other flag fails with EINVAL, also O_DIRECT. Both ends are always
 * close-on-exec. An end is non-blocking only if its flags have O_NONBLOCK. Returns 0. On failure it
 * returns -1, and `fds` does not change. See pipe(2). */
int anetPipe(int fds[2], int read_flags, int write_flags);

/* Returns 1 if `filepath` is a FIFO, else 0. Symbolic links are followed, see stat(2). */
int anetIsFifo(char *filepath);

#ifdef __cplusplus
}
#endif

#endif
