/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A NOR flash chip with the Intel command set (CFI, JESD68.01; Intel 28F640J3 data sheet), as QEMU
 * has it for firmware: 8 bits wide, blocks of 4 KiB. Reading it as memory is as fast as RAM: the
 * content stands in pages of guest memory; other modes and writes go through registers.
 */
#ifndef DEVICE_PFLASH_H
#define DEVICE_PFLASH_H

#include "bus/space.h"
#include "device/device.h"

enum { PFLASH_BLOCK = 4096 };

struct pflash;

/*
 * Maps a chip of @len bytes (whole blocks) at @gpa. Its content is @bytes (borrowed), which the
 * guest's programming changes at once; guest memory from page @first_gfn on holds what the guest
 * reads and is filled at reset. NULL with @err set.
 */
struct pflash *pflash_new(struct space *space, uint64_t gpa, uint64_t first_gfn, uint8_t *bytes,
                          size_t len, struct error *err);
struct device *pflash_device(struct pflash *flash);

#endif
