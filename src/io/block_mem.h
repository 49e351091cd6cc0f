/* SPDX-License-Identifier: Apache-2.0 */
/* A drive in memory, for tests and hosts without files. */
#ifndef IO_BLOCK_MEM_H
#define IO_BLOCK_MEM_H

#include "base/error.h"
#include "io/block.h"

/*
 * A drive over @bytes (borrowed; @size is a multiple of 512). With @deferred, requests wait until
 * block_drain; else they are done at once. NULL with @err set on failure.
 */
struct block *block_mem_new(uint8_t *bytes, uint64_t size, bool readonly, bool deferred,
                            struct error *err);

#endif
