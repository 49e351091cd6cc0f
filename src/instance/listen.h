/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets that only this host, or only this user, can reach. */
#ifndef INSTANCE_LISTEN_H
#define INSTANCE_LISTEN_H

#include <stdint.h>

#include "base/error.h"

/* On a new socket at @path (at most 107 bytes), for its owner alone; a stale one in the way goes,
 * one that answers is -EADDRINUSE. The descriptor, or a negative errno. */
int listen_unix(const char *path, struct error *err);
/* On TCP port @port of 127.0.0.1. */
int listen_loopback(uint16_t port, struct error *err);

#endif
