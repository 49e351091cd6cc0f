/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware of a virtual machine, from the host's packages or a file, and the instance's own
 * copy of its variables: DIR/uefi-vars.fd, made at the first start.
 */
#ifndef INSTANCE_VM_FIRMWARE_H
#define INSTANCE_VM_FIRMWARE_H

#include "instance/engine.h"

/* Zeroes: the machine has none. */
struct vm_firmware {
    uint8_t *rom, *flash; /* mapped files; what is written to flash reaches the instance's */
    size_t rom_len, flash_len;
};

/* Maps what the spec asks for. -ENOENT names the package to install. */
int vm_firmware_open(const struct engine_env *env, struct vm_firmware *ret, struct error *err);
void vm_firmware_done(struct vm_firmware *f);

#endif
