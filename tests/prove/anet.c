/* Calls every function of anet.h with every argument that it allows. See README.md.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#include "sockets.h"

#include "../../anet.c"

/* NULL, or this buffer. */
static void *orNull(void *memory) {
    return Frama_C_nondet_ptr(NULL, memory);
}

/* Memory of each length up to more than enough, which ends where the array ends. With length 0 it
 * may be NULL. */
static char room[70];
#define ANY_LENGTH() eachOf(0, (int)sizeof(room))
#define MEMORY_OF(length) ((length) == 0 && maybe() ? NULL : room + sizeof(room) - (length))

/* The same, but it may be NULL with any length, if the text is not wanted. */
#define TEXT_OF(length) ((length) == sizeof(room) && maybe() ? NULL : MEMORY_OF(length))

/* Any string of up to 299 characters. */
static char *anyName(void) {
    static char name[300];
    Frama_C_make_unknown(name, sizeof(name) - 1);
    return name;
}

static long long anyLong(void) {
    return Frama_C_long_long_interval(LLONG_MIN, LLONG_MAX);
}

/* Of the size that the header names. */
static char errText[ANET_ERR_LEN];
#define ANY_ERR orNull(errText)

void fdsAndOptions(void) {
    char *err = ANY_ERR;
    int ends[2];
    anetNonBlock(err, anyInt());
    anetBlock(err, anyInt());
    anetCloexec(anyInt());
    if (anetPipe(ends, anyInt(), anyInt()) == ANET_OK) isRead(ends, sizeof(ends));
    anetIsFifo(anyName());
    anetEnableTcpNoDelay(err, anyInt());
    anetDisableTcpNoDelay(err, anyInt());
    anetSendTimeout(err, anyInt(), anyLong());
    anetRecvTimeout(err, anyInt(), anyLong());
    anetKeepAlive(err, anyInt(), anyInt());
    anetSetSockMarkId(err, anyInt(), (uint32_t)anyInt());
    anetGetError(anyInt());
    anetAcceptFailureNeedsRetry(anyInt());
}

/* How long the texts of addresses are. */
#define ANY_TEXT_LENGTH() textLengths[eachOf(0, 1)]
static const int textLengths[] = {2, 45};

/* What the kernel reports as an address. */
#define CHOOSE_PEER()                                                                    \
    do {                                                                                 \
        static const int families[] = {NOT_TOLD,       TELLING_FAILS, AF_INET, AF_INET6, \
                                       IPV6_WITH_ZONE, AF_UNIX,       77};               \
        peerFamily = families[eachOf(0, 6)];                                             \
        textLength = peerFamily == AF_INET6 && maybe() ? 2 : INET6_ADDRSTRLEN - 1;       \
        if (peerFamily == IPV6_WITH_ZONE) CHOOSE_ZONE();                                 \
    } while (0)

void fdToString(void) {
    int length = ANY_LENGTH(), port;
    CHOOSE_PEER();
    anetFdToString(anyInt(), TEXT_OF(length), (size_t)length, orNull(&port), anyInt());
}

void formatFdAddr(void) {
    int length = ANY_LENGTH();
    CHOOSE_PEER();
    anetFormatFdAddr(anyInt(), MEMORY_OF(length), (size_t)length, anyInt());
}

void accepting(void) {
    char *err = ANY_ERR;
    int length = ANY_LENGTH(), port;
    CHOOSE_PEER();
    if (length == 0) anetUnixAccept(err, anyInt());
    anetTcpAccept(err, anyInt(), TEXT_OF(length), (size_t)length, orNull(&port));
}

void formatting(void) {
    int length = ANY_LENGTH();
    anetFormatAddr(MEMORY_OF(length), (size_t)length, anyName(), anyInt());
}

/* The lists of up to three addresses, each of them of one of `kinds`. */
#define CHOOSE_ADDRESSES(call, first, kinds)                                         \
    do {                                                                             \
        for (int i = 0; i < MOST_ADDRESSES; i++) addressKinds[call][i] = NO_ADDRESS; \
        getaddrinfoCalls = 0;                                                        \
        addressKinds[call][0] = (first);                                             \
        if (addressKinds[call][0] != NO_ADDRESS) addressKinds[call][1] = (kinds);    \
        if (addressKinds[call][1] != NO_ADDRESS) addressKinds[call][2] = (kinds);    \
    } while (0)

void servers(void) {
    char *err = ANY_ERR;
    CHOOSE_ADDRESSES(0, ANY_ADDRESS(), ANY_ADDRESS());
    anetTcpServer(err, anyInt(), orNull(anyName()), anyInt());
    getaddrinfoCalls = 0;
    anetTcp6Server(err, anyInt(), orNull(anyName()), anyInt());
}

void connections(void) {
    char *err = ANY_ERR;
    CHOOSE_ADDRESSES(0, ANY_ADDRESS(), ANY_ADDRESS());
    anetTcpNonBlockConnect(err, anyName(), anyInt());
}

/* With addresses as long as those of IPv4, and as long as the longest. */
#define TWO_KINDS() (maybe() ? (maybe() ? IPV4 : LONG_FAMILY) : NO_ADDRESS)

void connectionsFrom(void) {
    char *err = ANY_ERR;
    CHOOSE_ADDRESSES(0, TWO_KINDS(), TWO_KINDS());
    CHOOSE_ADDRESSES(1, TWO_KINDS(), TWO_KINDS());
    anetTcpNonBlockBestEffortBindConnect(err, anyName(), anyInt(), orNull(anyName()));
}

void resolving(void) {
    char *err = ANY_ERR;
    CHOOSE_ADDRESSES(0, ANY_ADDRESS(), ANY_ADDRESS());
    CHOOSE_ADDRESSES(1, ANY_ADDRESS(), NO_ADDRESS);
    textLength = INET6_ADDRSTRLEN - 1;
    anetResolve(err, anyName(), room, sizeof(room), anyInt());
}

void resolvingInto(void) {
    char *err = ANY_ERR;
    int length = ANY_LENGTH();
    CHOOSE_ADDRESSES(0, maybe() ? IPV6 : LINK_LOCAL, NO_ADDRESS);
    textLength = ANY_TEXT_LENGTH();
    if (addressKinds[0][0] == LINK_LOCAL) CHOOSE_ZONE();
    anetResolve(err, anyName(), TEXT_OF(length), (size_t)length, ANET_NONE);
}

void unixServers(void) {
    char *err = ANY_ERR;
    int length = eachOf(0, sizeof(((struct sockaddr_un *)0)->sun_path) + 2);
    anetUnixServer(err, newString((size_t)length), (mode_t)anyInt(), anyInt());
}
