/* A system that has only POSIX: anet.c and its tests are compiled with this header first, to test
 * anet.c without atomic close-on-exec and without the options of keep-alive and marks.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the libae authors. See LICENSE. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#undef SOCK_CLOEXEC
#undef SO_MARK
#undef TCP_KEEPIDLE
#undef TCP_KEEPINTVL
#undef TCP_KEEPCNT
