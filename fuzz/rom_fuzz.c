/* SPDX-License-Identifier: Apache-2.0 */
/* Any file as the option ROM of a network adapter: what is taken for one has the new identifiers
 * and the old sum. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "instance/vm_rom.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len = 4096;
    uint8_t *rom, before = 0, after = 0;

    while (len < size)
        len *= 2;
    rom = mem_alloc(len, 1);
    if (!rom)
        return 0;
    if (size)
        memcpy(rom, data, size);
    for (size_t i = 0; i < len; i++)
        before = (uint8_t)(before + rom[i]);
    if (vm_rom_set_ids(rom, len, 0x1af4, 0x1041, NULL) == 0) {
        for (size_t i = 0; i < len; i++)
            after = (uint8_t)(after + rom[i]);
        if (before != after)
            abort();
    }
    free(rom);
    return 0;
}
