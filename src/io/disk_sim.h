/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory that loses power, for tests and fuzzers. Each 512-byte sector that was written
 * since the last flush may be lost, on its own, in any combination.
 */
#ifndef IO_DISK_SIM_H
#define IO_DISK_SIM_H

#include "io/disk.h"

/*
 * A growing disk with a copy of @bytes (@len of them) that never exceeds @limit bytes: writes past
 * that fail with -ENOSPC. NULL with @err set on failure.
 */
struct disk *disk_sim_new(const void *bytes, size_t len, size_t limit, struct error *err);

/* After @count more writes and flushes (0: never) everything fails with -EIO: the power is gone. */
void disk_sim_fail_after(struct disk *d, unsigned long count);
bool disk_sim_failed(const struct disk *d);

/*
 * What is on the disk after the power was cut now: of what was not flushed, sectors chosen by @seed
 * (0: all of it is there, as after the death of a process). New, to be freed; *@ret_len bytes. NULL
 * when out of memory.
 */
void *disk_sim_crash(const struct disk *d, unsigned seed, size_t *ret_len);

#endif
