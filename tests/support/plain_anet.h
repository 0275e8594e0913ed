/* A system with no more than POSIX has: anet.c and its tests are compiled with this in front, to
 * see what anet.c does where close-on-exec comes after birth, and keep-alive and marks have no
 * options.
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
