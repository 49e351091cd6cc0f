/* SPDX-License-Identifier: Apache-2.0 */
/* What a supervisor gives up before the guest runs. */
#ifndef INSTANCE_CONFINE_H
#define INSTANCE_CONFINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * At the start of a supervisor: detaches from the session's terminal and directory, sets limits and
 * signal dispositions. (Inherited descriptors were closed by who started it.)
 */
int confine_begin(struct error *err) error_must_check;

/*
 * After drives, network and sockets are open: no new privileges, and no capabilities but, with
 * @reopens, those needed to open the same things again at a restart; and only the system calls of
 * sandbox.h.
 */
int confine_privileges(bool reopens, struct error *err) error_must_check;

/*
 * The half of it for who must be able to do more: no new privileges, and only the capabilities
 * @keep (bit = CAP_x) of those that this process has.
 */
int confine_capabilities(uint64_t keep, struct error *err) error_must_check;

#endif
