/* SPDX-License-Identifier: Apache-2.0 */
/* Option ROMs of a machine's cards, from the host's packages. */
#ifndef INSTANCE_VM_ROM_H
#define INSTANCE_VM_ROM_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Reads the ROM @path into new memory (*ret, to be freed) of the next power of two from 4 KiB on. A
 * file that is not there is no error: *ret stays as it is. -EINVAL: no file of up to 256 KiB.
 */
int vm_rom_read(const char *path, uint8_t **ret, size_t *ret_len,
                struct error *err) error_must_check;

/*
 * Makes the ROM one for PCI device @vendor:@device (PCI Firmware Specification 3.0, 5.1): firmware
 * runs no other card's. -EINVAL: it is no option ROM.
 */
int vm_rom_set_ids(uint8_t *rom, size_t len, uint16_t vendor, uint16_t device,
                   struct error *err) error_must_check;

#endif
