/* SPDX-License-Identifier: Apache-2.0 */
/* What a system that sets itself up at its first start finds: cloud-init's NoCloud drive. */
#ifndef INSTANCE_VM_SEED_H
#define INSTANCE_VM_SEED_H

#include <stdint.h>

#include "instance/engine.h"
#include "io/block.h"

/*
 * A read-only drive in memory called "cidata" with the files user-data, as the spec names it, and
 * meta-data: the instance's id and name. @ret_bytes is new and to be freed after the drive is
 * closed. 0 or a negative errno.
 */
int vm_seed_open(const struct engine_env *env, struct block **ret, uint8_t **ret_bytes,
                 struct error *err) error_must_check;

#endif
