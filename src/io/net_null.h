/* SPDX-License-Identifier: Apache-2.0 */
/* A network with nobody on it: frames sent are dropped, none ever arrive. */
#ifndef IO_NET_NULL_H
#define IO_NET_NULL_H

#include "base/error.h"
#include "io/netdev.h"

/* NULL with @err set on failure. Closed by netdev_close. */
struct netdev *net_null_new(struct error *err);

#endif
