/* The contract of anet: a test for each of its sentences. The tests use only the loopback
 * interface, and ports that the kernel chooses.
 *
 * After every test, all fds must be closed, all address lists freed, all socket files removed, and
 * nothing may have been written beyond the ANET_ERR_LEN bytes of `err`.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "anet.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/anet_faults.h"
#include "support/suite.h"

/// Before and after a test ////////////////////////////////////////////////////////////////////////

#define PATIENCE 20000 /* ms; only a failing test waits that long */
#define BACKLOG 16

static struct {
    char text[ANET_ERR_LEN];
    char beyond[16];
} told;
#define err (told.text)

static char directory[32];
static char path[64]; /* of a socket or another file */
static int fdsBefore;

static int openFds(void) {
    int fd, open = 0;
    for (fd = 0; fd < 1024; fd++) open += fcntl(fd, F_GETFD) != -1;
    return open;
}

static int setup(void **state) {
    (void)state;
    memset(&told, '#', sizeof told);
    memset(&fakeName, 0, sizeof fakeName);
    repair();
    snprintf(directory, sizeof directory, "/tmp/anet_XXXXXX");
    if (mkdtemp(directory) == NULL) return -1;
    snprintf(path, sizeof path, "%s/it", directory);
    fdsBefore = openFds();
    return 0;
}

#ifdef CLONE_NEWNET
static int usualNetwork = -1; /* an fd, while a test is in its own network namespace */
#endif

static void leaveNetwork(void) {
#ifdef CLONE_NEWNET
    if (usualNetwork == -1) return;
    if (setns(usualNetwork, CLONE_NEWNET) == -1) abort();
    close(usualNetwork);
    usualNetwork = -1;
#endif
}

static int teardown(void **state) {
    size_t i;
    int fds, failed = 0;
    (void)state;
    repair();
    leaveNetwork();
    fds = openFds();
    if (fds != fdsBefore) failed = 1, print_error("%d fds leaked\n", fds - fdsBefore);
    if (fakeName.pending != 0) failed = 1, print_error("an address list leaked\n");
    if (rmdir(directory) == -1) failed = 1, print_error("%s: a file is left\n", directory);
    for (i = 0; i < sizeof told.beyond; i++)
        if (told.beyond[i] != '#') failed = 1, print_error("err was overrun\n");
    return failed ? -1 : 0;
}

#define TEST(name) TEST_BETWEEN(setup, name, teardown)

#define assert_untold() assert_int_equal(err[0], '#')

/* The last call failed by `cause`: errno says so and the message begins with what failed. */
static void assertTold(const char *what, int cause) {
    char expected[ANET_ERR_LEN];
    assert_int_equal(errno, cause);
    snprintf(expected, sizeof expected, "%s: %s", what, strerror(cause));
    assert_string_equal(err, expected);
    memset(err, '#', sizeof err);
}

static void requireInjection(void) {
    if (CAN_INJECT) return;
    print_message("[ reason   ] no faults can be injected on this system\n");
    skip();
}

static void requireIpv6(void) {
    struct sockaddr_in6 at;
    int fd = socket(AF_INET6, SOCK_STREAM, 0), bound;
    memset(&at, 0, sizeof at);
    at.sin6_family = AF_INET6;
    at.sin6_addr = in6addr_loopback;
    bound = fd != -1 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
    if (fd != -1) close(fd);
    if (bound) return;
    print_message("[ reason   ] this machine has no IPv6 loopback\n");
    skip();
}

/* Enters a network namespace that has only the loopback interface, with a link-local address and
 * another one that can be a source. */
#define SECOND_IPV6 "fd00::2"

#ifdef CLONE_NEWNET
/* qemu 7.2 swaps the bytes of half a zone when the emulated processor has the other byte order. */
static int zonesAreKept(void) {
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_scope_id = if_nametoindex("lo")};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET6, SOCK_DGRAM, 0), kept;
    inet_pton(AF_INET6, "fe80::1", &at.sin6_addr);
    kept = bind(fd, (struct sockaddr *)&at, len) == 0 &&
           getsockname(fd, (struct sockaddr *)&at, &len) == 0 &&
           at.sin6_scope_id == if_nametoindex("lo");
    close(fd);
    return kept;
}
#endif

static void enterLinkLocalNetwork(void) {
#ifdef CLONE_NEWNET
    /* An address can be used when it has a route, which the kernel adds a little later. */
    static const char setUp[] =
        "exec >/dev/null 2>&1; ip link set lo up;"
        "for address in fe80::1 " SECOND_IPV6 "; do ip addr add $address/64 dev lo nodad || exit 1;"
        "for _ in $(seq 2000); do ip -6 route show table local | grep -q \"^local $address \" &&"
        "    continue 2; sleep 0.01; done; exit 1; done";
    usualNetwork = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (usualNetwork != -1 && unshare(CLONE_NEWNET) == 0) {
        if (system(setUp) == 0 && zonesAreKept()) return;
        leaveNetwork();
    }
    if (usualNetwork != -1) close(usualNetwork);
    usualNetwork = -1;
#endif
    print_message("[ reason   ] no network namespace with zones can be created\n");
    skip();
}

static int getInt(int fd, int level, int option) {
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
    return value;
}

static int isNonBlocking(int fd) {
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

static int isCloexec(int fd) {
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static int portOf(int fd) {
    int port = -1;
    assert_int_equal(anetFdToString(fd, NULL, 0, &port, 0), ANET_OK);
    return port;
}

static int waitFor(int fd, short events) {
    struct pollfd wait;
    wait.fd = fd;
    wait.events = events;
    assert_int_equal(poll(&wait, 1, PATIENCE), 1);
    return wait.revents;
}

static char loopback[] = "127.0.0.1";
static char loopback6[] = "::1";

static int serve(void) {
    int fd = anetTcpServer(err, 0, loopback, BACKLOG);
    assert_true(fd >= 0);
    return fd;
}

static int serve6(void) {
    int fd = anetTcp6Server(err, 0, loopback6, BACKLOG);
    assert_true(fd >= 0);
    return fd;
}

static int acceptWaiting(int server) {
    int fd;
    waitFor(server, POLLIN);
    fd = anetTcpAccept(err, server, NULL, 0, NULL);
    assert_true(fd >= 0);
    return fd;
}

/* Returns a connected client of the server. */
static int join(const char *addr, int server) {
    int fd = anetTcpNonBlockConnect(err, addr, portOf(server));
    assert_true(fd >= 0);
    waitFor(fd, POLLOUT);
    assert_int_equal(anetGetError(fd), 0);
    return fd;
}

static int joinPath(const char *at) {
    struct sockaddr_un to;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memset(&to, 0, sizeof to);
    to.sun_family = AF_UNIX;
    memcpy(to.sun_path, at, strlen(at) + 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static int tcpSocket(void) {
    return socket(AF_INET, SOCK_STREAM, 0);
}

/* Binds a port but does not listen, so that connections to it are refused. */
static int refuser(void) {
    struct sockaddr_in at;
    int fd = tcpSocket();
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    inet_pton(AF_INET, loopback, &at.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static struct rlimit usual;

/* Sets the limit to the open fds plus `more`: the call after these fails with EMFILE. */
static void allowFds(int more) {
    struct rlimit few;
    int lowest = dup(0);
    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    few = usual;
    few.rlim_cur = (rlim_t)(lowest + more);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
}

/* Keeps errno for the caller. */
static void allowAllFds(void) {
    int cause = errno;
    setrlimit(RLIMIT_NOFILE, &usual);
    errno = cause;
}

/// The interface //////////////////////////////////////////////////////////////////////////////////

TEST(the_names_have_the_values_that_programs_expect) {
    assert_int_equal(ANET_OK, 0);
    assert_int_equal(ANET_ERR, -1);
    assert_int_equal(ANET_ERR_LEN, 256);
    assert_int_equal(ANET_NONE, 0);
    assert_int_equal(ANET_IP_ONLY, 1);
    assert_int_equal(ANET_PREFER_IPV4, 2);
    assert_int_equal(ANET_PREFER_IPV6, 4);
    assert_int_equal(FD_TO_PEER_NAME, 1);
    assert_int_equal(FD_TO_SOCK_NAME, 0);
}

TEST(every_failure_may_go_without_a_message) {
    char nobody[] = "nobody.test", ip[46];
    nameFails(nobody, EAI_NONAME);
    assert_int_equal(anetTcpNonBlockConnect(NULL, loopback, -1), ANET_ERR);
    assert_int_equal(anetTcpNonBlockBestEffortBindConnect(NULL, loopback, -1, loopback), ANET_ERR);
    assert_int_equal(anetResolve(NULL, loopback, NULL, 0, ANET_NONE), ANET_ERR);
    assert_int_equal(anetResolve(NULL, nobody, ip, sizeof ip, ANET_IP_ONLY), ANET_ERR);
    assert_int_equal(anetTcpServer(NULL, -1, NULL, BACKLOG), ANET_ERR);
    assert_int_equal(anetTcp6Server(NULL, -1, NULL, BACKLOG), ANET_ERR);
    assert_int_equal(anetUnixServer(NULL, directory, 0, BACKLOG), ANET_ERR);
    assert_int_equal(anetTcpAccept(NULL, -1, NULL, 0, NULL), ANET_ERR);
    assert_int_equal(anetUnixAccept(NULL, -1), ANET_ERR);
    assert_int_equal(anetNonBlock(NULL, -1), ANET_ERR);
    assert_int_equal(anetBlock(NULL, -1), ANET_ERR);
    assert_int_equal(anetEnableTcpNoDelay(NULL, -1), ANET_ERR);
    assert_int_equal(anetDisableTcpNoDelay(NULL, -1), ANET_ERR);
    assert_int_equal(anetSendTimeout(NULL, -1, 1), ANET_ERR);
    assert_int_equal(anetRecvTimeout(NULL, -1, 1), ANET_ERR);
    assert_int_equal(anetKeepAlive(NULL, -1, 1), ANET_ERR);
}

TEST(a_message_is_truncated_to_err_len_bytes) {
    requireInjection();
    char endless[1000], ip[46], nobody[] = "nobody.test";
    memset(endless, 'x', sizeof endless);
    endless[sizeof endless - 1] = '\0';
    nameFails(nobody, EAI_NONAME);
    fakeName.reason = endless;
    assert_int_equal(anetResolve(err, nobody, ip, sizeof ip, ANET_NONE), ANET_ERR);
    assert_int_equal(strlen(err), ANET_ERR_LEN - 1); /* teardown checks the bytes after it */
}

static int openTcpServer(void) {
    return anetTcpServer(err, 0, loopback, BACKLOG);
}

static int openTcp6Server(void) {
    return anetTcp6Server(err, 0, loopback6, BACKLOG);
}

static int openUnixServer(void) {
    int fd = anetUnixServer(err, path, 0600, BACKLOG);
    if (fd != ANET_ERR) unlink(path);
    return fd;
}

static int openConnection(void) {
    return anetTcpNonBlockConnect(err, loopback, 9);
}

/* Makes the 1st, the 2nd, the 3rd... system call of `call` fail, until `call` succeeds, and returns
 * how many could fail. Clean-up calls change errno. */
static int failEachStepOf(int (*call)(void)) {
    int step, fd, fds = openFds();
    for (step = 1;; step++) {
        repair();
        spoilErrno();
        failCall(ANY_CALL, step, EIO);
        fd = call();
        if (fd != ANET_ERR) break;
        assert_int_equal(errno, EIO);
        assert_non_null(strstr(err, ": "));
        assert_string_equal(strstr(err, ": ") + 2, strerror(EIO));
        repair();
        assert_int_equal(openFds(), fds);
        assert_int_equal(access(path, F_OK), -1);
    }
    assert_false(injected.struck);
    repair();
    close(fd);
    return step - 1;
}

TEST(whichever_step_of_a_call_fails_errno_is_set_and_nothing_leaks) {
    requireInjection();
    assert_true(failEachStepOf(openTcpServer) >= 4);
    assert_true(failEachStepOf(openUnixServer) >= 5);
    assert_true(failEachStepOf(openConnection) >= 5);
}

TEST(whichever_step_of_the_ipv6_server_fails_errno_is_set_and_nothing_leaks) {
    requireInjection();
    requireIpv6();
    assert_true(failEachStepOf(openTcp6Server) >= 5);
}

/* The nth call of `name` within `call` fails: the message begins with that step. */
static void assertStep(int (*call)(void), const char *name, int nth, const char *step) {
    failCall(name, nth, EIO);
    assert_int_equal(call(), ANET_ERR);
    assertTold(step, EIO);
    repair();
}

TEST(a_message_names_the_step_that_failed) {
    requireInjection();
#ifdef SOCK_CLOEXEC
    const int afterCloexec = 1;
#else
    const int afterCloexec = 3; /* F_GETFD and F_SETFD come first */
    assertStep(openTcpServer, "fcntl", 1, "cannot open a socket");
    assertStep(openTcpServer, "fcntl", 2, "cannot open a socket");
#endif
    assertStep(openTcpServer, "socket", 1, "cannot open a socket");
    assertStep(openTcpServer, "setsockopt", 1, "cannot set SO_REUSEADDR");
    assertStep(openTcpServer, "bind", 1, "cannot bind");
    assertStep(openTcpServer, "listen", 1, "cannot listen");
    assertStep(openConnection, "socket", 1, "cannot open a socket");
    assertStep(openConnection, "setsockopt", 1, "cannot set SO_REUSEADDR");
    assertStep(openConnection, "fcntl", afterCloexec, "cannot make the socket non-blocking");
    assertStep(openConnection, "fcntl", afterCloexec + 1, "cannot make the socket non-blocking");
    assertStep(openConnection, "connect", 1, "cannot connect");
    assertStep(openUnixServer, "socket", 1, "cannot open a socket");
    assertStep(openUnixServer, "setsockopt", 1, "cannot set SO_REUSEADDR");
}

TEST(a_message_names_the_step_of_the_ipv6_server_that_failed) {
    requireInjection();
    requireIpv6();
    assertStep(openTcp6Server, "setsockopt", 1, "cannot set SO_REUSEADDR");
    assertStep(openTcp6Server, "setsockopt", 2, "cannot set IPV6_V6ONLY");
    assertStep(openTcp6Server, "bind", 1, "cannot bind");
    assertStep(openTcp6Server, "listen", 1, "cannot listen");
}

TEST(every_fd_is_created_close_on_exec) {
    requireInjection();
#if defined(__linux__) && defined(SOCK_CLOEXEC)
    int fds[2], server, client, accepted;
    server = serve();
    client = join(loopback, server);
    accepted = acceptWaiting(server);
    assert_int_equal(anetPipe(fds, 0, O_CLOEXEC), 0);
    assert_true(isCloexec(server) && isCloexec(client) && isCloexec(accepted));
    assert_true(isCloexec(fds[0]) && isCloexec(fds[1]));
    assert_int_equal(injected.cloexecByFcntl, 0);
    close(server);
    close(client);
    close(accepted);
    close(fds[0]);
    close(fds[1]);
#else
    print_message("[ reason   ] not every system can do that\n");
    skip();
#endif
}

/// Connecting /////////////////////////////////////////////////////////////////////////////////////

TEST(a_connection_is_made_without_waiting) {
    int server = serve();
    int fd = anetTcpNonBlockConnect(err, loopback, portOf(server));
    assert_true(fd >= 0);
    assert_true(isNonBlocking(fd));
    assert_true(isCloexec(fd));
    waitFor(fd, POLLOUT);
    assert_int_equal(anetGetError(fd), 0);
    assert_untold();
    close(acceptWaiting(server));
    close(fd);
    close(server);
}

TEST(a_connection_is_made_over_ipv6_too) {
    requireIpv6();
    int server, fd;
    server = serve6();
    fd = join(loopback6, server);
    close(acceptWaiting(server));
    close(fd);
    close(server);
}

TEST(a_connection_in_progress_is_a_success) {
    requireInjection();
    int fd;
    failCall("connect", 1, EINPROGRESS);
    fd = anetTcpNonBlockConnect(err, loopback, 9);
    assert_true(fd >= 0);
    assert_untold();
    failCall("connect", 1, EINPROGRESS);
    close(fd);
    fd = anetTcpNonBlockBestEffortBindConnect(err, loopback, 9, loopback);
    assert_true(fd >= 0);
    close(fd);
}

TEST(a_connection_made_at_once_is_a_success) {
    requireInjection();
    int server = serve(), fd;
    connectAtOnce();
    fd = anetTcpNonBlockConnect(err, loopback, portOf(server));
    assert_true(fd >= 0);
    assert_true(isNonBlocking(fd));
    assert_untold();
    close(acceptWaiting(server));
    close(fd);
    close(server);
}

TEST(a_connecting_socket_has_reuseaddr) {
    int server = serve(), fd = join(loopback, server);
    assert_int_not_equal(getInt(fd, SOL_SOCKET, SO_REUSEADDR), 0);
    close(fd);
    fd = anetTcpNonBlockBestEffortBindConnect(err, loopback, portOf(server), loopback);
    assert_int_not_equal(getInt(fd, SOL_SOCKET, SO_REUSEADDR), 0);
    close(fd);
    close(server);
}

TEST(a_refusal_is_reported_at_once_or_by_anetGetError) {
    int server = refuser(), fd = anetTcpNonBlockConnect(err, loopback, portOf(server));
    if (fd == ANET_ERR) {
        assertTold("cannot connect", ECONNREFUSED);
    } else {
        waitFor(fd, POLLOUT);
        assert_int_equal(anetGetError(fd), ECONNREFUSED);
        close(fd);
    }
    close(server);
}

TEST(after_an_address_that_fails_at_once_the_next_is_tried) {
    requireInjection();
    int server = serve(), fd;
    nameHas("both.test", "127.0.0.1", "127.0.0.1");
    failCall("connect", 1, ENETUNREACH);
    fd = join("both.test", server);
    assert_true(injected.struck);
    assert_untold();
    close(acceptWaiting(server));
    close(fd);
    close(server);
}

TEST(the_error_of_the_last_address_is_reported) {
    requireInjection();
    nameHas("both.test", "127.0.0.1", "127.0.0.1");
    spoilErrno();
    failCall("connect", 1, ENETUNREACH);
    failCall("connect", 2, EHOSTUNREACH);
    assert_int_equal(anetTcpNonBlockConnect(err, "both.test", 9), ANET_ERR);
    assertTold("cannot connect", EHOSTUNREACH);
    assert_int_equal(fakeName.pending, 0);
}

TEST(connecting_to_a_name_without_an_address_is_an_error) {
    requireInjection();
    nameFails("nobody.test", EAI_NONAME);
    assert_int_equal(anetTcpNonBlockConnect(err, "nobody.test", 9), ANET_ERR);
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(err, "cannot resolve"));
    assert_non_null(strstr(err, gai_strerror(EAI_NONAME)));
}

TEST(a_look_up_without_memory_is_reported_as_ENOMEM) {
    requireInjection();
    nameFails("nobody.test", EAI_MEMORY);
    assert_int_equal(anetTcpNonBlockConnect(err, "nobody.test", 9), ANET_ERR);
    assert_int_equal(errno, ENOMEM);
}

TEST(a_system_error_of_a_look_up_is_reported_unchanged) {
    requireInjection();
    nameFails("nobody.test", EAI_SYSTEM);
    assert_int_equal(anetTcpNonBlockConnect(err, "nobody.test", 9), ANET_ERR);
    assertTold("cannot resolve the address", EMFILE);
}

TEST(a_port_out_of_range_is_an_error_and_not_truncated) {
    static const int ports[] = {-1, 65536, 65536 + 80, INT_MIN, INT_MAX};
    size_t i;
    for (i = 0; i < sizeof ports / sizeof *ports; i++) {
        assert_int_equal(anetTcpNonBlockConnect(err, loopback, ports[i]), ANET_ERR);
        assertTold("the port is not in 0..65535", EINVAL);
        assert_int_equal(anetTcpNonBlockBestEffortBindConnect(err, loopback, ports[i], loopback),
                         ANET_ERR);
        assertTold("the port is not in 0..65535", EINVAL);
        assert_int_equal(anetTcpServer(err, ports[i], loopback, BACKLOG), ANET_ERR);
        assertTold("the port is not in 0..65535", EINVAL);
        assert_int_equal(anetTcp6Server(err, ports[i], loopback6, BACKLOG), ANET_ERR);
        assertTold("the port is not in 0..65535", EINVAL);
    }
}

TEST(the_highest_port_is_a_port) {
    int fd = anetTcpNonBlockConnect(err, loopback, 65535);
    if (fd == ANET_ERR) assert_int_not_equal(errno, EINVAL);
    if (fd != ANET_ERR) close(fd);
}

/// Connecting from a source address ///////////////////////////////////////////////////////////////

static int canBind(const char *address) {
    struct sockaddr_in at;
    int fd = tcpSocket(), bound;
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    inet_pton(AF_INET, address, &at.sin_addr);
    bound = bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
    close(fd);
    return bound;
}

static void requireTwoLoopbacks(void) {
    if (canBind("127.0.0.2")) return;
    print_message("[ reason   ] this machine has only one loopback address\n");
    skip();
}

/* The address from which a connection from `source` arrives. */
static const char *arrivesFrom(const char *source) {
    static char ip[46];
    int server = serve(), fd, accepted;
    fd = anetTcpNonBlockBestEffortBindConnect(err, loopback, portOf(server), source);
    assert_true(fd >= 0);
    assert_untold();
    assert_true(isNonBlocking(fd) && isCloexec(fd));
    waitFor(server, POLLIN);
    accepted = anetTcpAccept(err, server, ip, sizeof ip, NULL);
    assert_true(accepted >= 0);
    close(accepted);
    close(fd);
    close(server);
    return ip;
}

TEST(a_connection_comes_from_the_source_address) {
    requireTwoLoopbacks();
    assert_string_equal(arrivesFrom("127.0.0.2"), "127.0.0.2");
}

TEST(no_source_address_is_no_error) {
    assert_string_equal(arrivesFrom(NULL), "127.0.0.1");
}

TEST(a_source_that_cannot_be_resolved_is_ignored) {
    requireInjection();
    nameFails("nobody.test", EAI_NONAME);
    assert_string_equal(arrivesFrom("nobody.test"), "127.0.0.1");
}

TEST(a_source_that_cannot_be_bound_is_ignored) {
    assert_false(canBind("192.0.2.1"));
    assert_string_equal(arrivesFrom("192.0.2.1"), "127.0.0.1");
}

TEST(a_source_of_the_other_family_is_ignored) {
    assert_string_equal(arrivesFrom("::1"), "127.0.0.1");
}

TEST(a_source_that_cannot_be_used_is_ignored) {
    requireInjection();
    failCall("connect", 1, EADDRNOTAVAIL);
    assert_string_equal(arrivesFrom("127.0.0.2"), "127.0.0.1");
    assert_true(injected.struck);
}

TEST(each_address_of_the_source_is_tried) {
    requireInjection();
    requireTwoLoopbacks();
    nameHas("sources.test", "192.0.2.1", "127.0.0.2");
    assert_string_equal(arrivesFrom("sources.test"), "127.0.0.2");
}

TEST(each_ipv6_address_of_the_source_is_tried) {
    requireInjection();
    int server, fd, accepted;
    char ip[46];
    enterLinkLocalNetwork();
    server = serve6();
    nameHas("sources.test", "2001:db8::1", SECOND_IPV6);
    fd = anetTcpNonBlockBestEffortBindConnect(err, loopback6, portOf(server), "sources.test");
    assert_true(fd >= 0);
    assert_untold();
    waitFor(server, POLLIN);
    accepted = anetTcpAccept(err, server, ip, sizeof ip, NULL);
    assert_true(accepted >= 0);
    assert_string_equal(ip, SECOND_IPV6);
    close(accepted);
    close(fd);
    close(server);
}

TEST(the_source_is_tried_with_each_destination) {
    requireInjection();
    requireTwoLoopbacks();
    int server = serve(), fd;
    char ip[46];
    nameHas("both.test", "127.0.0.1", "127.0.0.1");
    failCall("connect", 1, ENETUNREACH);
    fd = anetTcpNonBlockBestEffortBindConnect(err, "both.test", portOf(server), "127.0.0.2");
    assert_true(fd >= 0);
    anetFdToString(fd, ip, sizeof ip, NULL, 0);
    assert_string_equal(ip, "127.0.0.2");
    close(fd);
    close(server);
}

TEST(the_error_without_the_source_is_reported) {
    requireInjection();
    spoilErrno();
    failCall("connect", 1, EADDRNOTAVAIL);
    failCall("connect", 2, ENETUNREACH);
    assert_int_equal(anetTcpNonBlockBestEffortBindConnect(err, loopback, 9, loopback), ANET_ERR);
    assertTold("cannot connect", ENETUNREACH);
}

/// Resolving //////////////////////////////////////////////////////////////////////////////////////

static const char *resolved(const char *host, int flags) {
    static char ip[46];
    char name[64];
    snprintf(name, sizeof name, "%s", host);
    assert_int_equal(anetResolve(err, name, ip, sizeof ip, flags), ANET_OK);
    assert_untold();
    return ip;
}

TEST(a_literal_address_resolves_to_itself) {
    assert_string_equal(resolved("127.0.0.1", ANET_NONE), "127.0.0.1");
    assert_string_equal(resolved("::1", ANET_NONE), "::1");
    assert_string_equal(resolved("127.0.0.1", ANET_IP_ONLY), "127.0.0.1");
    assert_string_equal(resolved("0:0:0:0:0:0:0:1", ANET_IP_ONLY), "::1");
}

TEST(a_link_local_address_resolves_to_itself_with_its_zone) {
    char zone[IF_NAMESIZE], address[64], mapped[64];
    assert_non_null(if_indextoname(1, zone)); /* the loopback interface nearly everywhere */
    snprintf(address, sizeof address, "fe80::1%%%s", zone);
    assert_string_equal(resolved(address, ANET_NONE), address);
    assert_string_equal(resolved(address, ANET_IP_ONLY | ANET_PREFER_IPV6), address);
    assert_string_equal(resolved("fe80::1", ANET_NONE), "fe80::1");
    snprintf(mapped, sizeof mapped, "2001:db8::1%%%s", zone); /* refused, or the zone ignored */
    if (anetResolve(NULL, mapped, address, sizeof address, ANET_NONE) == ANET_OK)
        assert_string_equal(address, "2001:db8::1");
}

TEST(a_zone_without_a_name_is_a_number) {
#ifdef __linux__
    assert_string_equal(resolved("fe80::1%4000000000", ANET_NONE), "fe80::1%4000000000");
#else
    print_message("[ reason   ] only Linux is known to accept such a zone\n");
    skip();
#endif
}

TEST(the_longest_address_has_room_for_its_zone) {
#ifdef __linux__
    char longest[] = "febf:1111:2222:3333:4444:5555:6666:7777%4000000000", ip[64];
    assert_int_equal(anetResolve(err, longest, ip, sizeof ip, ANET_IP_ONLY), ANET_OK);
    assert_string_equal(ip, longest);
    *strchr(longest, '%') = '\0';
    assert_string_equal(resolved("febf:1111:2222:3333:4444:5555:6666:7777%4000000000", 0), longest);
#else
    print_message("[ reason   ] only Linux is known to accept such a zone\n");
    skip();
#endif
}

TEST(a_zone_that_does_not_fit_the_buffer_is_left_out) {
    char zone[IF_NAMESIZE], address[64], ip[64];
    size_t len;
    assert_non_null(if_indextoname(1, zone));
    snprintf(address, sizeof address, "fe80::1%%%s", zone);
    for (len = 0; len <= sizeof ip - 1; len++) {
        int fits = len > strlen("fe80::1"), whole = len > strlen(address);
        memset(ip, '#', sizeof ip);
        assert_int_equal(anetResolve(err, address, ip, len, ANET_NONE), fits ? ANET_OK : ANET_ERR);
        if (!fits) assertTold("cannot write the address", ENOSPC);
        assert_int_equal(ip[len], '#');
        if (fits) assert_string_equal(ip, whole ? address : "fe80::1");
    }
}

TEST(a_name_resolves_to_its_first_address) {
    requireInjection();
    nameHas("two.test", "192.0.2.7", "192.0.2.8");
    assert_string_equal(resolved("two.test", ANET_NONE), "192.0.2.7");
    assert_int_equal(fakeName.families[0], AF_UNSPEC);
}

TEST(ip_only_accepts_no_name) {
    char name[] = "localhost", ip[46] = "as it was";
    assert_int_equal(anetResolve(err, name, ip, sizeof ip, ANET_IP_ONLY), ANET_ERR);
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(err, "cannot resolve"));
    assert_string_equal(ip, "as it was");
    assert_int_equal(anetResolve(err, name, ip, sizeof ip, ANET_IP_ONLY | ANET_PREFER_IPV4),
                     ANET_ERR);
}

TEST(the_preferred_family_is_asked_for_first) {
    requireInjection();
    nameHas("both.test", "2001:db8::1", "192.0.2.1");
    assert_string_equal(resolved("both.test", ANET_PREFER_IPV4), "192.0.2.1");
    assert_int_equal(fakeName.families[0], AF_INET);
    nameHas("both.test", "192.0.2.1", "2001:db8::1");
    assert_string_equal(resolved("both.test", ANET_PREFER_IPV6), "2001:db8::1");
    assert_int_equal(fakeName.families[0], AF_INET6);
}

TEST(the_other_family_is_used_if_there_is_none_of_the_preferred) {
    requireInjection();
    nameHas("one.test", "2001:db8::1", NULL);
    assert_string_equal(resolved("one.test", ANET_PREFER_IPV4), "2001:db8::1");
    nameHas("one.test", "192.0.2.1", NULL);
    assert_string_equal(resolved("one.test", ANET_PREFER_IPV6), "192.0.2.1");
    assert_string_equal(resolved("::1", ANET_IP_ONLY | ANET_PREFER_IPV4), "::1");
    assert_string_equal(resolved("127.0.0.1", ANET_IP_ONLY | ANET_PREFER_IPV6), "127.0.0.1");
}

TEST(both_preferences_are_none) {
    requireInjection();
    nameHas("both.test", "2001:db8::1", "192.0.2.1");
    assert_string_equal(resolved("both.test", ANET_PREFER_IPV4 | ANET_PREFER_IPV6), "2001:db8::1");
    assert_int_equal(fakeName.families[0], AF_UNSPEC);
}

TEST(a_name_without_an_address_does_not_resolve) {
    requireInjection();
    char name[] = "nobody.test", ip[46] = "as it was";
    nameFails(name, EAI_NONAME);
    assert_int_equal(anetResolve(err, name, ip, sizeof ip, ANET_PREFER_IPV6), ANET_ERR);
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(err, gai_strerror(EAI_NONAME)));
    assert_string_equal(ip, "as it was");
}

TEST(a_name_with_an_address_of_no_known_family_does_not_resolve) {
    requireInjection();
    char ip[46] = "as it was";
    nameHas("odd.test", "?", NULL);
    assert_int_equal(anetResolve(err, "odd.test", ip, sizeof ip, ANET_NONE), ANET_ERR);
    assertTold("cannot write the address", EAFNOSUPPORT);
    assert_string_equal(ip, "as it was");
}

TEST(an_address_that_does_not_fit_the_buffer_is_an_error) {
    char ip[11] = "##########";
    size_t len;
    spoilErrno();
    for (len = 0; len < sizeof "127.0.0.1"; len++) {
        assert_int_equal(anetResolve(err, loopback, ip, len, ANET_NONE), ANET_ERR);
        assertTold("cannot write the address", ENOSPC);
        assert_string_equal(ip, "##########");
    }
    assert_int_equal(anetResolve(err, loopback, NULL, 46, ANET_NONE), ANET_ERR);
    assertTold("cannot write the address", ENOSPC);
    assert_int_equal(anetResolve(err, loopback, ip, sizeof "127.0.0.1", ANET_NONE), ANET_OK);
    assert_string_equal(ip, "127.0.0.1");
}

/// TCP servers ////////////////////////////////////////////////////////////////////////////////////

static const char *addressOf(int fd) {
    static char ip[46];
    assert_int_equal(anetFdToString(fd, ip, sizeof ip, NULL, 0), ANET_OK);
    return ip;
}

TEST(a_server_listens_on_the_given_address) {
    int server = serve(), client;
    assert_untold();
    assert_string_equal(addressOf(server), "127.0.0.1");
    assert_true(portOf(server) > 0); /* chosen by the kernel */
    assert_true(isCloexec(server));
    assert_false(isNonBlocking(server));
    assert_int_not_equal(getInt(server, SOL_SOCKET, SO_REUSEADDR), 0);
    client = join(loopback, server);
    close(acceptWaiting(server));
    close(client);
    close(server);
}

/* Another process may take a port that was just closed. Then this tries another port. */
TEST(a_server_listens_on_the_port_it_is_given) {
    int server = ANET_ERR, port = 0, attempt;
    for (attempt = 0; attempt < 50 && server == ANET_ERR; attempt++) {
        server = serve();
        port = portOf(server);
        close(server);
        server = anetTcpServer(err, port, loopback, BACKLOG);
    }
    assert_true(server >= 0);
    assert_int_equal(portOf(server), port);
    close(server);
}

TEST(null_and_star_are_any_ipv4_address) {
    char star[] = "*";
    int server = anetTcpServer(err, 0, NULL, BACKLOG);
    nameFails(star, EAI_NONAME); /* glibc accepts "*" itself, others do not */
    assert_true(server >= 0);
    assert_string_equal(addressOf(server), "0.0.0.0");
    close(server);
    server = anetTcpServer(err, 0, star, BACKLOG);
    assert_true(server >= 0);
    assert_string_equal(addressOf(server), "0.0.0.0");
    close(server);
}

TEST(null_and_the_stars_are_any_ipv6_address) {
    requireIpv6();
    char star[] = "*", colons[] = "::*";
    char *any[3];
    int i, server;
    nameFails(star, EAI_NONAME); /* as above */
    any[0] = NULL;
    any[1] = star;
    any[2] = colons;
    for (i = 0; i < 3; i++) {
        server = anetTcp6Server(err, 0, any[i], BACKLOG);
        assert_true(server >= 0);
        assert_string_equal(addressOf(server), "::");
        assert_int_not_equal(getInt(server, IPPROTO_IPV6, IPV6_V6ONLY), 0);
        close(server);
    }
}

TEST(the_ipv6_star_is_no_ipv4_address) {
    char colons[] = "::*";
    assert_int_equal(anetTcpServer(err, 0, colons, BACKLOG), ANET_ERR);
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(err, "cannot resolve"));
}

TEST(a_server_accepts_no_address_of_the_other_family) {
    assert_int_equal(anetTcpServer(err, 0, loopback6, BACKLOG), ANET_ERR);
    assert_int_equal(anetTcp6Server(err, 0, loopback, BACKLOG), ANET_ERR);
}

TEST(an_ipv6_server_listens_on_the_given_address) {
    requireIpv6();
    int server;
    server = serve6();
    assert_string_equal(addressOf(server), "::1");
    assert_true(isCloexec(server));
    assert_int_not_equal(getInt(server, SOL_SOCKET, SO_REUSEADDR), 0);
    assert_int_not_equal(getInt(server, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    close(server);
}

/* The port of the first may be in use for the second. Then this tries another port. */
TEST(both_families_can_share_a_port) {
    requireIpv6();
    int v4, v6 = ANET_ERR, attempt;
    for (attempt = 0; attempt < 50 && v6 == ANET_ERR; attempt++) {
        v4 = anetTcpServer(err, 0, NULL, BACKLOG);
        assert_true(v4 >= 0);
        v6 = anetTcp6Server(err, portOf(v4), NULL, BACKLOG);
        close(v4);
    }
    assert_true(v6 >= 0);
    close(v6);
}

TEST(a_port_in_use_is_an_error) {
    int server = serve();
    spoilErrno();
    assert_int_equal(anetTcpServer(err, portOf(server), loopback, BACKLOG), ANET_ERR);
    assertTold("cannot bind", EADDRINUSE);
    close(server);
}

TEST(an_address_of_another_machine_cannot_be_served) {
    char elsewhere[] = "192.0.2.1";
    assert_int_equal(anetTcpServer(err, 0, elsewhere, BACKLOG), ANET_ERR);
    assertTold("cannot bind", EADDRNOTAVAIL);
}

TEST(of_a_name_with_several_addresses_the_first_is_served) {
    requireInjection();
    char both[] = "both.test";
    int server;
    nameHas(both, "127.0.0.1", "192.0.2.1");
    server = anetTcpServer(err, 0, both, BACKLOG);
    assert_true(server >= 0);
    assert_string_equal(addressOf(server), "127.0.0.1");
    close(server);
    nameHas(both, "192.0.2.1", "127.0.0.1");
    assert_int_equal(anetTcpServer(err, 0, both, BACKLOG), ANET_ERR);
    assertTold("cannot bind", EADDRNOTAVAIL);
}

TEST(a_server_without_an_fd_left_is_an_error) {
    int fd;
    allowFds(0);
    fd = anetTcpServer(err, 0, loopback, BACKLOG);
    allowAllFds();
    assert_int_equal(fd, ANET_ERR);
    assertTold("cannot open a socket", EMFILE);
}

TEST(the_backlog_is_that_of_listen) {
#if defined(__linux__)
    struct tcp_info info;
    socklen_t len = sizeof info;
    int server = anetTcpServer(err, 0, loopback, 7);
    assert_true(server >= 0);
    int answer = getsockopt(server, IPPROTO_TCP, TCP_INFO, &info, &len);
    close(server);
    if (answer == 0 && len < sizeof info) { /* for qemu every option is an int */
        print_message("[ reason   ] TCP_INFO is truncated, as by qemu\n");
        skip();
    }
    assert_int_equal(answer, 0);
    assert_int_equal(info.tcpi_sacked, 7); /* of a listening socket: its backlog */
#else
    print_message("[ reason   ] only Linux reports the backlog\n");
    skip();
#endif
}

/// Unix servers ///////////////////////////////////////////////////////////////////////////////////

static mode_t modeOf(const char *file) {
    struct stat status;
    assert_int_equal(stat(file, &status), 0);
    return status.st_mode & 07777;
}

TEST(a_unix_server_listens_on_its_path) {
    int server = anetUnixServer(err, path, 0, BACKLOG), client, accepted;
    assert_true(server >= 0);
    assert_untold();
    assert_true(isCloexec(server));
    assert_false(isNonBlocking(server));
    assert_int_not_equal(getInt(server, SOL_SOCKET, SO_REUSEADDR), 0);
    client = joinPath(path);
    accepted = anetUnixAccept(err, server);
    assert_true(accepted >= 0);
    assert_true(isNonBlocking(accepted));
    assert_true(isCloexec(accepted));
    assert_untold();
    close(accepted);
    close(client);
    close(server);
    unlink(path);
}

TEST(permissions_are_applied_to_the_socket_file) {
    mode_t mask = umask(077);
    int server = anetUnixServer(err, path, 0751, BACKLOG);
    umask(mask);
    assert_true(server >= 0);
    assert_int_equal(modeOf(path), 0751);
    close(server);
    unlink(path);
}

TEST(permissions_of_0_leave_it_to_the_umask) {
    mode_t mask = umask(027);
    int server = anetUnixServer(err, path, 0, BACKLOG);
    umask(mask);
    assert_true(server >= 0);
    assert_int_equal(modeOf(path), 0750);
    close(server);
    unlink(path);
}

TEST(permissions_come_before_the_first_client) {
    requireInjection();
    failCall("chmod", 1, EPERM);
    assert_int_equal(anetUnixServer(err, path, 0700, BACKLOG), ANET_ERR);
    assert_int_equal(injected.listens, 0);
}

TEST(a_failure_after_the_bind_removes_the_socket_file) {
    requireInjection();
    spoilErrno();
    failCall("chmod", 1, EPERM);
    assert_int_equal(anetUnixServer(err, path, 0700, BACKLOG), ANET_ERR);
    assertTold("cannot set the permissions of the socket file", EPERM);
    assert_int_equal(access(path, F_OK), -1);
    repair();
    spoilErrno();
    failCall("listen", 1, EOPNOTSUPP);
    assert_int_equal(anetUnixServer(err, path, 0700, BACKLOG), ANET_ERR);
    assertTold("cannot listen", EOPNOTSUPP);
    assert_int_equal(access(path, F_OK), -1);
}

TEST(a_path_that_exists_is_an_error_and_stays) {
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    assert_int_equal(anetUnixServer(err, path, 0700, BACKLOG), ANET_ERR);
    assertTold("cannot bind", EADDRINUSE);
    assert_int_equal(modeOf(path), 0600);
    assert_int_equal(unlink(path), 0);
}

TEST(a_path_in_no_directory_is_an_error) {
    char nowhere[sizeof path + 8];
    snprintf(nowhere, sizeof nowhere, "%s/no/it", directory);
    assert_int_equal(anetUnixServer(err, nowhere, 0, BACKLOG), ANET_ERR);
    assertTold("cannot bind", ENOENT);
}

TEST(an_empty_path_is_an_error) {
    char empty[] = "";
    assert_int_equal(anetUnixServer(err, empty, 0, BACKLOG), ANET_ERR);
    assertTold("the Unix socket path is empty", ENOENT);
}

/* A path of exactly `length` bytes that leads to `path`. */
static void lengthen(char *longer, size_t length) {
    size_t base = strlen(directory), i;
    memcpy(longer, directory, base);
    for (i = base; i < length - 2; i++) longer[i] = '/';
    memcpy(longer + length - 2, "it", 3);
}

TEST(a_unix_path_that_does_not_fit_is_an_error_that_says_so) {
    char longer[sizeof((struct sockaddr_un *)0)->sun_path + 1];
    lengthen(longer, sizeof longer - 1);
    assert_int_equal(anetUnixServer(err, longer, 0, BACKLOG), ANET_ERR);
    assertTold("the path does not fit a Unix socket address", ENAMETOOLONG);
}

TEST(the_longest_unix_path_that_fits_is_served) {
    char longest[sizeof((struct sockaddr_un *)0)->sun_path];
    int server, client;
    lengthen(longest, sizeof longest - 1);
    server = anetUnixServer(err, longest, 0700, BACKLOG);
    assert_true(server >= 0);
    client = joinPath(longest);
    close(client);
    close(server);
    assert_int_equal(unlink(path), 0);
}

/// Accepting //////////////////////////////////////////////////////////////////////////////////////

TEST(an_accepted_connection_is_non_blocking_and_its_peer_is_reported) {
    int server = serve(), client = join(loopback, server), accepted, port;
    char ip[46];
    waitFor(server, POLLIN);
    accepted = anetTcpAccept(err, server, ip, sizeof ip, &port);
    assert_true(accepted >= 0);
    assert_true(isNonBlocking(accepted));
    assert_true(isCloexec(accepted));
    assert_string_equal(ip, "127.0.0.1");
    assert_int_equal(port, portOf(client));
    assert_untold();
    close(accepted);
    close(client);
    close(server);
}

TEST(an_ipv6_peer_is_reported) {
    requireIpv6();
    int server, client, accepted, port;
    char ip[46];
    server = serve6();
    client = join(loopback6, server);
    waitFor(server, POLLIN);
    accepted = anetTcpAccept(err, server, ip, sizeof ip, &port);
    assert_true(accepted >= 0);
    assert_string_equal(ip, "::1");
    assert_int_equal(port, portOf(client));
    close(accepted);
    close(client);
    close(server);
}

TEST(ip_and_port_of_the_peer_may_be_NULL) {
    int server = serve(), client = join(loopback, server), port = -1;
    char ip[46] = "as it was";
    close(acceptWaiting(server)); /* neither */
    close(client);
    client = join(loopback, server);
    waitFor(server, POLLIN);
    close(anetTcpAccept(err, server, ip, 0, &port));
    assert_string_equal(ip, "as it was");
    assert_int_equal(port, portOf(client));
    close(client);
    client = join(loopback, server);
    waitFor(server, POLLIN);
    close(anetTcpAccept(err, server, ip, sizeof ip, NULL));
    assert_string_equal(ip, "127.0.0.1");
    close(client);
    close(server);
}

TEST(a_peer_address_that_does_not_fit_is_not_truncated_and_overruns_nothing) {
    int server = serve(), client, accepted, port;
    size_t len;
    char ip[16];
    for (len = 1; len <= sizeof "127.0.0.1"; len++) {
        int fits = len == sizeof "127.0.0.1";
        memset(ip, '#', sizeof ip);
        client = join(loopback, server);
        waitFor(server, POLLIN);
        accepted = anetTcpAccept(err, server, ip, len, &port);
        assert_true(accepted >= 0);
        assert_int_equal(ip[len], '#');
        assert_string_equal(ip, fits ? "127.0.0.1" : len > 1 ? "?" : "");
        assert_int_equal(port, fits ? portOf(client) : 0);
        close(accepted);
        close(client);
    }
    close(server);
}

TEST(nothing_to_accept_leaves_errno_as_accept_set_it) {
    int server = serve();
    assert_int_equal(anetNonBlock(err, server), ANET_OK);
    assert_int_equal(anetTcpAccept(err, server, NULL, 0, NULL), ANET_ERR);
    assertTold("cannot accept a connection", EAGAIN);
    close(server);
    assert_int_equal(anetUnixAccept(err, -1), ANET_ERR);
    assertTold("cannot accept a connection", EBADF);
}

TEST(accepting_without_an_fd_left_is_an_error_and_the_server_continues) {
    int server = serve(), client = join(loopback, server), fd;
    waitFor(server, POLLIN);
    allowFds(0);
    fd = anetTcpAccept(err, server, NULL, 0, NULL);
    allowAllFds();
    assert_int_equal(fd, ANET_ERR);
    assertTold("cannot accept a connection", EMFILE);
    close(client);
    client = join(loopback, server);
    close(acceptWaiting(server));
    close(client);
    close(server);
}

TEST(an_aborted_connection_has_an_errno_that_needs_a_retry) {
    requireInjection();
    int server = serve(), client = join(loopback, server);
    failCall("accept4", 1, ECONNABORTED);
    failCall("paccept", 1, ECONNABORTED);
    failCall("accept", 1, ECONNABORTED);
    assert_int_equal(anetTcpAccept(err, server, NULL, 0, NULL), ANET_ERR);
    assert_true(anetAcceptFailureNeedsRetry(errno));
    assertTold("cannot accept a connection", ECONNABORTED);
    close(acceptWaiting(server));
    close(client);
    close(server);
}

static int interruptions;
static int clientOfTheHandler;
static struct sockaddr_in serverOfTheHandler;

/* Interrupts accept a few times before it connects. If the connection does not end the wait, the
 * test hangs. */
static void interrupt(int signal) {
    int cause = errno;
    (void)signal;
    if (++interruptions == 10)
        connect(clientOfTheHandler, (struct sockaddr *)&serverOfTheHandler,
                sizeof serverOfTheHandler);
    if (interruptions == PATIENCE / 2) abort();
    errno = cause;
}

TEST(accept_continues_after_a_signal) {
    struct sigaction action, before;
    struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    socklen_t len = sizeof serverOfTheHandler;
    int server = serve(), accepted;
    interruptions = 0;
    clientOfTheHandler = tcpSocket();
    getsockname(server, (struct sockaddr *)&serverOfTheHandler, &len);
    memset(&action, 0, sizeof action);
    action.sa_handler = interrupt; /* and no SA_RESTART */
    sigaction(SIGALRM, &action, &before);
    setitimer(ITIMER_REAL, &often, NULL);
    accepted = anetTcpAccept(err, server, NULL, 0, NULL); /* blocks: the server does */
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    assert_true(accepted >= 0);
    assert_true(interruptions >= 10);
    assert_untold();
    close(accepted);
    close(clientOfTheHandler);
    close(server);
}

/* With accept4 there is only one step. The fault happens before the real call, so the connection is
 * still in the queue. */
TEST(whichever_step_of_an_accept_fails_the_new_fd_is_closed) {
    requireInjection();
    int server = serve(), fd = ANET_ERR, step, client, before = openFds();
    for (step = 1; fd == ANET_ERR; step++) {
        client = join(loopback, server);
        waitFor(server, POLLIN);
        spoilErrno();
        failCall(ANY_CALL, step, EIO);
        fd = anetTcpAccept(err, server, NULL, 0, NULL);
        if (fd == ANET_ERR) assertTold("cannot accept a connection", EIO);
        repair();
        if (step == 1) close(acceptWaiting(server));
        close(client);
    }
    assert_true(step > 2);
    close(fd);
    assert_int_equal(openFds(), before);
    close(server);
}

TEST(only_an_error_of_one_connection_needs_a_retry) {
    static const int ofTheServer[] = {0,     EAGAIN, EMFILE, ENFILE, ENOMEM,
                                      EBADF, EINVAL, EINTR,  EPERM,  ENOTSOCK};
    static const int ofTheNetwork[] = {ENETDOWN,     EPROTO,     ENOPROTOOPT, EHOSTDOWN,
#ifdef ENONET
                                       ENONET,
#endif
                                       EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH};
#ifdef __linux__
    int onLinux = 1;
#else
    int onLinux = 0;
#endif
    size_t i;
    assert_int_equal(anetAcceptFailureNeedsRetry(ECONNABORTED), 1);
    for (i = 0; i < sizeof ofTheServer / sizeof *ofTheServer; i++)
        assert_int_equal(anetAcceptFailureNeedsRetry(ofTheServer[i]), 0);
    for (i = 0; i < sizeof ofTheNetwork / sizeof *ofTheNetwork; i++)
        assert_int_equal(anetAcceptFailureNeedsRetry(ofTheNetwork[i]), onLinux);
}

/// Fds and socket options /////////////////////////////////////////////////////////////////////////

TEST(an_fd_is_made_non_blocking_and_blocking_again) {
    int fds[2];
    assert_int_equal(anetPipe(fds, 0, 0), 0);
    assert_int_equal(fcntl(fds[1], F_SETFL, fcntl(fds[1], F_GETFL) | O_APPEND), 0);
    assert_int_equal(anetNonBlock(err, fds[1]), ANET_OK);
    assert_true(isNonBlocking(fds[1]));
    assert_int_equal(anetNonBlock(err, fds[1]), ANET_OK);
    assert_true(isNonBlocking(fds[1]));
    assert_int_equal(anetBlock(err, fds[1]), ANET_OK);
    assert_false(isNonBlocking(fds[1]));
    assert_int_equal(anetBlock(err, fds[1]), ANET_OK);
    assert_true(fcntl(fds[1], F_GETFL) & O_APPEND); /* as all the other flags */
    assert_untold();
    close(fds[0]);
    close(fds[1]);
}

TEST(making_an_invalid_fd_non_blocking_or_blocking_is_an_error) {
    assert_int_equal(anetNonBlock(err, -1), ANET_ERR);
    assertTold("cannot make the fd non-blocking", EBADF);
    assert_int_equal(anetBlock(err, -1), ANET_ERR);
    assertTold("cannot make the fd blocking", EBADF);
}

TEST(an_fd_is_made_close_on_exec) {
    int fd = dup(0);
    assert_false(isCloexec(fd));
    assert_int_equal(anetCloexec(fd), ANET_OK);
    assert_true(isCloexec(fd));
    assert_int_equal(anetCloexec(fd), ANET_OK);
    close(fd);
    assert_int_equal(anetCloexec(fd), ANET_ERR);
    assert_int_equal(errno, EBADF);
}

TEST(delay_is_switched_off_and_on) {
    int fd = tcpSocket();
    assert_int_equal(anetEnableTcpNoDelay(err, fd), ANET_OK);
    assert_int_not_equal(getInt(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_equal(anetDisableTcpNoDelay(err, fd), ANET_OK);
    assert_int_equal(getInt(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_untold();
    close(fd);
    assert_int_equal(anetEnableTcpNoDelay(err, fd), ANET_ERR);
    assertTold("cannot set TCP_NODELAY", EBADF);
    assert_int_equal(anetDisableTcpNoDelay(err, fd), ANET_ERR);
    assertTold("cannot clear TCP_NODELAY", EBADF);
}

static long long timeoutOf(int fd, int option) {
    struct timeval limit;
    socklen_t len = sizeof limit;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, option, &limit, &len), 0);
    if (len < sizeof limit) { /* if time_t has 64 bits and a pointer 32, qemu writes an int */
        close(fd);
        print_message("[ reason   ] the timeout is truncated, as by qemu\n");
        skip();
    }
    return limit.tv_sec * 1000LL + limit.tv_usec / 1000;
}

/* 2500 ms is a whole number of ticks in any kernel. */
TEST(timeouts_are_in_milliseconds_and_0_disables_them) {
    int fd = tcpSocket();
    assert_int_equal(anetSendTimeout(err, fd, 2500), ANET_OK);
    assert_int_equal(timeoutOf(fd, SO_SNDTIMEO), 2500);
    assert_int_equal(timeoutOf(fd, SO_RCVTIMEO), 0);
    assert_int_equal(anetRecvTimeout(err, fd, 500), ANET_OK);
    assert_int_equal(timeoutOf(fd, SO_RCVTIMEO), 500);
    assert_int_equal(anetSendTimeout(err, fd, 3600500), ANET_OK);
    assert_int_equal(timeoutOf(fd, SO_SNDTIMEO), 3600500);
    assert_int_equal(anetRecvTimeout(err, fd, 3600500), ANET_OK);
    assert_int_equal(timeoutOf(fd, SO_RCVTIMEO), 3600500);
    assert_int_equal(anetSendTimeout(err, fd, 0), ANET_OK);
    assert_int_equal(timeoutOf(fd, SO_SNDTIMEO), 0);
    assert_int_equal(anetRecvTimeout(err, fd, 0), ANET_OK);
    assert_int_equal(timeoutOf(fd, SO_RCVTIMEO), 0);
    assert_untold();
    close(fd);
}

TEST(a_receive_fails_after_its_timeout) {
    int ends[2];
    char byte;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(anetRecvTimeout(err, ends[0], 10), ANET_OK);
    assert_int_equal(recv(ends[0], &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    close(ends[0]);
    close(ends[1]);
}

TEST(a_negative_timeout_is_an_error) {
    int fd = tcpSocket();
    assert_int_equal(anetSendTimeout(err, fd, 500), ANET_OK);
    assert_int_equal(anetSendTimeout(err, fd, -1), ANET_ERR);
    assertTold("cannot set the send timeout", EINVAL);
    assert_int_equal(timeoutOf(fd, SO_SNDTIMEO), 500);
    assert_int_equal(anetRecvTimeout(err, fd, LLONG_MIN), ANET_ERR);
    assertTold("cannot set the receive timeout", EINVAL);
    close(fd);
    assert_int_equal(anetSendTimeout(err, fd, 1), ANET_ERR);
    assertTold("cannot set the send timeout", EBADF);
    assert_int_equal(anetRecvTimeout(err, fd, 1), ANET_ERR);
    assertTold("cannot set the receive timeout", EBADF);
}

/* A 32-bit kernel reports a timeout beyond its range as none. A 64-bit kernel rounds the last
 * fraction of a second up, and the result does not fit into a program's 32-bit time_t. */
TEST(a_huge_timeout_does_not_overflow) {
    static const long long huge[] = {INT_MAX, 1000LL * INT_MAX, 1000LL * UINT32_MAX + 999,
                                     LLONG_MAX};
    struct timeval limit;
    long long now;
    size_t i;
    int fd = tcpSocket();
    for (i = 0; i < sizeof huge / sizeof *huge; i++) {
        if (anetRecvTimeout(err, fd, huge[i]) == ANET_ERR && errno == EDOM) {
            assertTold("cannot set the receive timeout", EDOM);
            close(fd);
            print_message("[ reason   ] this kernel counts in ticks, and refuses this number\n");
            skip();
        }
        assert_untold();
        now = timeoutOf(fd, SO_RCVTIMEO);
        if (now == 0 || now == 1000LL * INT32_MIN)
            assert_int_equal(sizeof(limit.tv_sec), 4);
        else
            assert_true(now >= INT_MAX - 1000);
    }
    close(fd);
}

#if defined(TCP_KEEPIDLE)
#define IDLE_OPTION TCP_KEEPIDLE
#elif defined(TCP_KEEPALIVE) && !defined(__sun)
#define IDLE_OPTION TCP_KEEPALIVE
#endif

TEST(keep_alive_probes_after_interval_then_thrice_each_third_of_it) {
#if defined(IDLE_OPTION) && defined(TCP_KEEPINTVL) && defined(TCP_KEEPCNT) && !defined(__sun)
    static const int intervals[] = {300, 100, 6, 3, 2, 1};
    size_t i;
    int third, fd = tcpSocket();
    for (i = 0; i < sizeof intervals / sizeof *intervals; i++) {
        third = intervals[i] < 3 ? 1 : intervals[i] / 3;
        assert_int_equal(anetKeepAlive(err, fd, intervals[i]), ANET_OK);
        assert_int_not_equal(getInt(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
        assert_int_equal(getInt(fd, IPPROTO_TCP, IDLE_OPTION), intervals[i]);
        assert_int_equal(getInt(fd, IPPROTO_TCP, TCP_KEEPINTVL), third);
        assert_int_equal(getInt(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
    }
    assert_untold();
    close(fd);
#else
    print_message("[ reason   ] this system has other options, or none\n");
    skip();
#endif
}

TEST(keep_alive_below_a_second_is_an_error) {
    int fd = tcpSocket();
    assert_int_equal(anetKeepAlive(err, fd, 0), ANET_ERR);
    assertTold("cannot set keep-alive", EINVAL);
    assert_int_equal(anetKeepAlive(err, fd, INT_MIN), ANET_ERR);
    assertTold("cannot set keep-alive", EINVAL);
    assert_int_equal(getInt(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    close(fd);
    assert_int_equal(anetKeepAlive(err, fd, 30), ANET_ERR);
    assertTold("cannot set keep-alive", EBADF);
}

TEST(keep_alive_at_an_interval_that_the_system_refuses_stays_off) {
#if defined(__linux__) && defined(TCP_KEEPIDLE)
    int fd = tcpSocket();
    assert_int_equal(anetKeepAlive(err, fd, 32768), ANET_ERR);
    assertTold("cannot set keep-alive", EINVAL);
    assert_int_equal(getInt(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(anetKeepAlive(err, fd, 32767), ANET_OK);
    close(fd);
#else
    print_message("[ reason   ] only for Linux the limit is known\n");
    skip();
#endif
}

TEST(keep_alive_that_fails_stays_off) {
    requireInjection();
    int nth, fd = tcpSocket();
    for (nth = 1;; nth++) {
        repair();
        failCall("setsockopt", nth, ENOPROTOOPT);
        if (anetKeepAlive(err, fd, 30) == ANET_OK) break;
        assertTold("cannot set keep-alive", ENOPROTOOPT);
        assert_int_equal(getInt(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    }
    assert_true(nth > 1);
    close(fd);
}

TEST(a_socket_is_marked_if_the_system_has_marks) {
#if defined(SO_MARK)
    uint32_t mark = 0;
    socklen_t len = sizeof mark;
    int fd = tcpSocket();
    if (anetSetSockMarkId(err, fd, 0xfedcba98) == ANET_OK) {
        assert_untold();
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &len), 0);
        assert_int_equal(mark, 0xfedcba98);
    } else if (errno == ENOPROTOOPT) {
        close(fd);
        print_message("[ reason   ] qemu has no SO_MARK\n");
        skip();
    } else { /* not allowed */
        assertTold("cannot mark the socket", EPERM);
    }
    close(fd);
    assert_int_equal(anetSetSockMarkId(err, fd, 1), ANET_ERR);
    assertTold("cannot mark the socket", EBADF);
    assert_int_equal(anetSetSockMarkId(NULL, fd, 1), ANET_ERR);
#elif !defined(SO_USER_COOKIE) && !defined(SO_RTABLE)
    assert_int_equal(anetSetSockMarkId(err, -1, 1), ANET_OK);
    assert_non_null(strstr(err, "cannot mark the socket"));
    assert_int_equal(anetSetSockMarkId(NULL, -1, 1), ANET_OK);
#else
    assert_int_equal(anetSetSockMarkId(err, -1, 0), ANET_ERR);
    assertTold("cannot mark the socket", EBADF);
#endif
}

TEST(the_pending_error_of_a_socket_is_returned_once) {
    int server = refuser(), fd = tcpSocket();
    struct sockaddr_in to;
    socklen_t len = sizeof to;
    getsockname(server, (struct sockaddr *)&to, &len);
    assert_int_equal(anetGetError(fd), 0);
    assert_int_equal(anetNonBlock(err, fd), ANET_OK);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == -1 && errno == EINPROGRESS) {
        waitFor(fd, POLLOUT);
        assert_int_equal(anetGetError(fd), ECONNREFUSED);
        assert_int_equal(anetGetError(fd), 0);
    }
    close(fd);
    close(server);
}

TEST(an_errno_is_returned_if_the_pending_error_cannot_be_read) {
    int fds[2];
    assert_int_equal(anetGetError(-1), EBADF);
    assert_int_equal(anetPipe(fds, 0, 0), 0);
    assert_int_equal(anetGetError(fds[0]), ENOTSOCK);
    close(fds[0]);
    close(fds[1]);
}

/// Addresses //////////////////////////////////////////////////////////////////////////////////////

TEST(both_ends_of_a_connection_have_an_address) {
    int server = serve(), client = join(loopback, server), port;
    char ip[46];
    assert_int_equal(anetFdToString(client, ip, sizeof ip, &port, 1), 0);
    assert_string_equal(ip, "127.0.0.1");
    assert_int_equal(port, portOf(server));
    assert_int_equal(anetFdToString(client, ip, sizeof ip, &port, FD_TO_PEER_NAME), 0);
    assert_int_equal(port, portOf(server));
    assert_int_equal(anetFdToString(client, ip, sizeof ip, &port, FD_TO_SOCK_NAME), 0);
    assert_string_equal(ip, "127.0.0.1");
    assert_int_not_equal(port, portOf(server));
    close(client);
    close(server);
}

TEST(both_ends_of_an_ipv6_connection_have_an_address) {
    requireIpv6();
    int server, client, port;
    char ip[46], text[64];
    server = serve6();
    client = join(loopback6, server);
    assert_int_equal(anetFdToString(client, ip, sizeof ip, &port, 1), 0);
    assert_string_equal(ip, "::1");
    assert_int_equal(port, portOf(server));
    anetFormatFdAddr(client, text, sizeof text, 1);
    assert_memory_equal(text, "[::1]:", 6);
    close(client);
    close(server);
}

TEST(a_link_local_address_keeps_its_zone_wherever_it_is_written) {
    int server, client, again, accepted, port;
    char linkLocal[] = "fe80::1%lo", ip[46], text[64], expected[64];
    size_t len;
    enterLinkLocalNetwork();
    server = anetTcp6Server(err, 0, linkLocal, BACKLOG);
    assert_true(server >= 0);
    client = join(linkLocal, server);
    waitFor(server, POLLIN);
    accepted = anetTcpAccept(err, server, ip, sizeof ip, &port);
    assert_true(accepted >= 0);
    assert_string_equal(ip, linkLocal);
    assert_int_equal(port, portOf(client));
    assert_int_equal(anetFdToString(client, ip, sizeof ip, &port, FD_TO_PEER_NAME), ANET_OK);
    assert_string_equal(ip, linkLocal);
    again = join(ip, server); /* the address can be used to connect */
    close(again);

    for (len = 1; len < sizeof ip; len++) {
        int fits = len > strlen("fe80::1"), whole = len > strlen(linkLocal);
        memset(ip, '#', sizeof ip);
        assert_int_equal(anetFdToString(client, ip, len, NULL, 0), fits ? ANET_OK : ANET_ERR);
        assert_int_equal(ip[len], '#');
        if (fits) assert_string_equal(ip, whole ? linkLocal : "fe80::1");
    }
    snprintf(expected, sizeof expected, "[fe80::1%%lo]:%d", portOf(server));
    for (len = 0; len < sizeof text; len++) {
        int most = (int)strlen(expected), least = most - (int)strlen("%lo");
        int fits = (int)len > least && (int)len <= most;
        memset(text, '#', sizeof text);
        assert_int_equal(anetFormatFdAddr(server, text, len, 0), fits ? least : most);
        assert_int_equal(text[len], '#');
        if ((int)len > most) assert_string_equal(text, expected);
        if (fits) assert_memory_equal(text, "[fe80::1]:", strlen("[fe80::1]:"));
        if (fits) assert_int_equal(strlen(text), least);
    }
    close(accepted);
    close(client);
    close(server);
}

TEST(a_unix_socket_has_no_address_but_unixsocket) {
    int ends[2], port, remote, server = serve();
    char ip[46];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    for (remote = 0; remote < 2; remote++) {
        assert_int_equal(anetFdToString(server, ip, sizeof ip, &port, 0), 0);
        assert_int_not_equal(port,
                             0); /* which is now on the stack, where the next call may read it */
        assert_int_equal(anetFdToString(ends[0], ip, sizeof ip, &port, remote), 0);
        assert_string_equal(ip, "/unixsocket");
        assert_int_equal(port, 0);
    }
    close(server);
    close(ends[0]);
    close(ends[1]);
}

TEST(an_end_without_an_address_is_a_question_mark) {
    int fd = tcpSocket(), port = -1;
    char ip[46];
    assert_int_equal(anetFdToString(fd, ip, sizeof ip, &port, 1), -1);
    assert_int_equal(errno, ENOTCONN);
    assert_string_equal(ip, "?");
    assert_int_equal(port, 0);
    close(fd);
    port = -1;
    memset(ip, '#', sizeof ip);
    assert_int_equal(anetFdToString(fd, ip, sizeof ip, &port, 0), -1);
    assert_int_equal(errno, EBADF);
    assert_string_equal(ip, "?");
    assert_int_equal(port, 0);
    assert_int_equal(anetFdToString(fd, NULL, 0, NULL, 0), -1);
}

TEST(an_address_that_the_system_does_not_report_is_a_question_mark) {
    requireInjection();
    int server = serve(), client = join(loopback, server), again, accepted, port, remote, result;
    char ip[46];
    for (remote = 0; remote < 2; remote++) {
        repair();
        anetFdToString(client, ip, sizeof ip, &port, remote);
        reportNoAddress(); /* the previous one is still on the stack */
        result = anetFdToString(client, ip, sizeof ip, &port, remote);
        assert_int_equal(result, -1);
        assert_int_equal(errno, EAFNOSUPPORT);
        assert_string_equal(ip, "?");
        assert_int_equal(port, 0);
    }
    repair();
    again = join(loopback, server);
    waitFor(server, POLLIN);
    accepted = anetTcpAccept(err, server, ip, sizeof ip, &port);
    reportNoAddress();
    result = anetTcpAccept(err, server, ip, sizeof ip, &port);
    assert_true(result >= 0);
    assert_string_equal(ip, "?");
    assert_int_equal(port, 0);
    repair();
    close(result);
    close(accepted);
    close(again);
    close(client);
    close(server);
}

TEST(a_family_without_a_text_is_a_question_mark) {
#if defined(AF_NETLINK)
    int fd = socket(AF_NETLINK, SOCK_RAW, 0), port = -1;
    char ip[46];
    assert_true(fd >= 0);
    assert_int_equal(anetFdToString(fd, ip, sizeof ip, &port, 0), -1);
    assert_int_equal(errno, EAFNOSUPPORT);
    assert_string_equal(ip, "?");
    assert_int_equal(port, 0);
    close(fd);
#else
    print_message("[ reason   ] this system has no such family\n");
    skip();
#endif
}

TEST(an_address_is_never_truncated_and_no_buffer_overrun) {
    int server = serve(), port, fits;
    char ip[16];
    size_t len;
    for (len = 1; len <= sizeof "127.0.0.1"; len++) {
        memset(ip, '#', sizeof ip);
        fits = len == sizeof "127.0.0.1";
        assert_int_equal(anetFdToString(server, ip, len, &port, 0), fits ? 0 : -1);
        if (!fits) assert_int_equal(errno, ENOSPC);
        assert_string_equal(ip, fits ? "127.0.0.1" : len > 1 ? "?" : "");
        assert_int_equal(port, fits ? portOf(server) : 0);
        assert_int_equal(ip[len], '#');
    }
    close(server);
}

TEST(ip_and_port_of_an_end_may_be_NULL) {
    int server = serve(), port = -1;
    char ip[46] = "as it was";
    assert_int_equal(anetFdToString(server, NULL, 46, &port, 0), 0);
    assert_int_equal(port, portOf(server));
    assert_int_equal(anetFdToString(server, ip, 0, NULL, 0), 0);
    assert_string_equal(ip, "as it was");
    assert_int_equal(anetFdToString(server, ip, sizeof ip, NULL, 0), 0);
    assert_string_equal(ip, "127.0.0.1");
    close(server);
}

TEST(an_ip_with_a_colon_is_formatted_in_brackets) {
    char text[64];
    assert_int_equal(anetFormatAddr(text, sizeof text, loopback, 6379), 14);
    assert_string_equal(text, "127.0.0.1:6379");
    assert_int_equal(anetFormatAddr(text, sizeof text, loopback6, 0), 7);
    assert_string_equal(text, "[::1]:0");
}

TEST(formatting_returns_the_whole_length_and_truncates_as_snprintf) {
    char text[16] = "###############";
    assert_int_equal(anetFormatAddr(NULL, 0, loopback, 6379), 14);
    assert_int_equal(anetFormatAddr(text, 6, loopback, 6379), 14);
    assert_string_equal(text, "127.0");
    assert_int_equal(text[6], '#');
    assert_int_equal(anetFormatAddr(text, 0, loopback6, 6379), 10);
    assert_string_equal(text, "127.0");
}

TEST(the_ends_of_an_fd_are_formatted) {
    int server = serve(), client = join(loopback, server);
    char text[64], expected[64];
    snprintf(expected, sizeof expected, "127.0.0.1:%d", portOf(server));
    assert_int_equal(anetFormatFdAddr(client, text, sizeof text, FD_TO_PEER_NAME),
                     (int)strlen(expected));
    assert_string_equal(text, expected);
    snprintf(expected, sizeof expected, "127.0.0.1:%d", portOf(client));
    anetFormatFdAddr(client, text, sizeof text, FD_TO_SOCK_NAME);
    assert_string_equal(text, expected);
    assert_int_equal(anetFormatFdAddr(client, text, 4, FD_TO_SOCK_NAME), (int)strlen(expected));
    assert_string_equal(text, "127");
    assert_int_equal(anetFormatFdAddr(-1, text, sizeof text, FD_TO_SOCK_NAME), 3);
    assert_string_equal(text, "?:0");
    close(client);
    close(server);
}

/// Pipes //////////////////////////////////////////////////////////////////////////////////////////

TEST(each_end_of_a_pipe_is_non_blocking_only_if_asked) {
    int fds[2], reader, writer;
    for (reader = 0; reader < 2; reader++) {
        for (writer = 0; writer < 2; writer++) {
            assert_int_equal(
                anetPipe(fds, reader ? O_NONBLOCK : 0, writer ? O_NONBLOCK | O_CLOEXEC : 0), 0);
            assert_int_equal(isNonBlocking(fds[0]), reader);
            assert_int_equal(isNonBlocking(fds[1]), writer);
            close(fds[0]);
            close(fds[1]);
        }
    }
}

TEST(both_ends_of_a_pipe_are_always_close_on_exec) {
    static const int flags[] = {0, O_CLOEXEC, O_NONBLOCK, O_NONBLOCK | O_CLOEXEC};
    int fds[2];
    size_t i;
    for (i = 0; i < sizeof flags / sizeof *flags; i++) {
        assert_int_equal(anetPipe(fds, flags[i], 0), 0);
        assert_true(isCloexec(fds[0]));
        assert_true(isCloexec(fds[1]));
        close(fds[0]);
        close(fds[1]);
    }
}

TEST(data_written_to_a_pipe_can_be_read) {
    int fds[2];
    char byte = 0;
    assert_int_equal(anetPipe(fds, O_NONBLOCK, O_NONBLOCK), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(fds[0]);
    close(fds[1]);
}

TEST(a_pipe_accepts_no_other_flag) {
    int fds[2] = {-7, -8};
    assert_int_equal(anetPipe(fds, O_APPEND, 0), -1);
    assert_int_equal(errno, EINVAL);
    errno = 0;
    assert_int_equal(anetPipe(fds, O_NONBLOCK, O_NONBLOCK | O_APPEND), -1);
    assert_int_equal(errno, EINVAL);
    assert_true(fds[0] == -7 && fds[1] == -8);
}

TEST(a_pipe_with_one_fd_left_is_an_error) {
    int fds[2] = {-7, -8}, result;
    allowFds(1);
    result = anetPipe(fds, 0, 0);
    allowAllFds();
    assert_int_equal(result, -1);
    assert_int_equal(errno, EMFILE);
    assert_true(fds[0] == -7 && fds[1] == -8);
}

TEST(a_pipe_that_fails_at_any_step_closes_both_ends) {
    requireInjection();
    int fds[2] = {-7, -8}, nth, before = openFds();
    for (nth = 1;; nth++) {
        repair();
        spoilErrno();
        failCall(ANY_CALL, nth, EIO);
        if (anetPipe(fds, O_NONBLOCK, O_NONBLOCK) == 0) break;
        assert_int_equal(errno, EIO);
        assert_true(fds[0] == -7 && fds[1] == -8);
        repair();
        assert_int_equal(openFds(), before);
    }
    assert_true(nth > 4);
    close(fds[0]);
    close(fds[1]);
}

TEST(a_fifo_is_distinguished_from_other_files) {
    char link[sizeof path + 8];
    int fd;
    snprintf(link, sizeof link, "%s.link", path);
    assert_int_equal(anetIsFifo(path), 0); /* not there */
    assert_int_equal(anetIsFifo(directory), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(anetIsFifo(path), 1);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(anetIsFifo(link), 1);
    unlink(link);
    unlink(path);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    assert_int_equal(anetIsFifo(path), 0);
    unlink(path);
}
