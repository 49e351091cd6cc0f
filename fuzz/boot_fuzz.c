/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The boot loaders on any kernel file. The first byte chooses the shape: bit 0: the rest after a
 * split point is the unpacked payload of a bzImage; bit 1: with an initrd; bit 2: with a random
 * number for relocation. Whatever is loaded must lie in guest memory, and the entry below its end.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "machine/boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 24 << 20 };

/* A copy that ends where the file ends, so that a sanitizer sees a read beyond it. */
static uint8_t *exact_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (copy && size)
        memcpy(copy, data, size);
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gmem *ram = gmem_new(MEMORY, NULL);
    struct space *space = space_new(ram, NULL);
    struct boot_entry entry;
    struct error err = {0};
    size_t split = 0;
    uint8_t *kernel, *vmlinux = NULL, shape = size ? data[0] : 0;
    struct boot_params p = {.space = space,
                            .low_memory = MEMORY,
                            .memory = MEMORY,
                            .rsdp = 0xf0000,
                            .append = "console=ttyS0",
                            .range_count = 1,
                            .ranges = {{0, MEMORY, 1}}};

    assert(space_map_ram(space, "ram", 0, MEMORY, 0, 0, NULL));
    if (size) {
        data++;
        size--;
    }
    if ((shape & 1) && size > 0x400) {
        split = size - 0x400;
        vmlinux = exact_copy(data + 0x400, split);
        p.vmlinux = vmlinux;
        p.vmlinux_len = split;
    }
    kernel = exact_copy(data, size - split);
    p.kernel = kernel;
    p.kernel_len = size - split;
    if (shape & 2) {
        p.initrd = (const uint8_t *)"initrd";
        p.initrd_len = 6;
    }
    p.random = shape & 4 ? 0x123456789abcdefull : 0;
    if (boot_load(&p, &entry, &err) == 0) {
        assert(entry.rip < MEMORY);
        assert(entry.protocol && entry.gdt && entry.cs);
    } else {
        assert(err.text[0]);
    }
    free(kernel);
    free(vmlinux);
    space_free(space);
    gmem_free(ram);
    return 0;
}
