/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware configuration device (QEMU's docs/specs/fw_cfg): numbered items and named files
 * through ports 0x510-0x511 and DMA through 0x514-0x51B. Items are read-only for the guest.
 */
#ifndef DEVICE_FW_CFG_H
#define DEVICE_FW_CFG_H

#include "bus/space.h"
#include "device/device.h"

enum {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_KERNEL_ADDR = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_INITRD_ADDR = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_BOOT_DEVICE = 0x0c,
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_ADDR = 0x16,
    FW_CFG_SETUP_SIZE = 0x17,
    FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_FILES = 64,
    FW_CFG_NAME = 56, /* with the terminating NUL */
    FW_CFG_LOCAL = 0x8000,
    FW_CFG_IRQ0_OVERRIDE = FW_CFG_LOCAL + 2, /* IRQ 0 is wired to I/O APIC pin 2 */
};

struct fw_cfg;

/* An empty device (signature, id and file directory are there). @space serves DMA. NULL with @err
 * set. */
struct fw_cfg *fw_cfg_new(struct ports *ports, struct space *space, struct error *err);
struct device *fw_cfg_device(struct fw_cfg *fw);

/*
 * Sets item @key (below FW_CFG_FILE_FIRST and not signature, id, directory; or one of the first 8
 * from FW_CFG_LOCAL on); @bytes are borrowed.
 */
int fw_cfg_set_item(struct fw_cfg *fw, uint16_t key, const void *bytes, size_t len,
                    struct error *err);
/* Sets item @key to a little-endian integer of @size bytes (2, 4 or 8), which is copied. */
int fw_cfg_set_uint(struct fw_cfg *fw, uint16_t key, uint64_t value, unsigned size,
                    struct error *err);
/*
 * Adds file @name ("etc/acpi/tables"); @bytes are borrowed, @name is copied. Before the guest runs.
 * The directory is kept sorted by name.
 */
int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *bytes, size_t len,
                    struct error *err);
/* Gives file @name other bytes of the same length (borrowed). */
int fw_cfg_replace_file(struct fw_cfg *fw, const char *name, const void *bytes, size_t len,
                        struct error *err);
/*
 * @fn is told the name of each file that the guest selects, before it reads it: content that
 * depends on what firmware has set up is made then.
 */
void fw_cfg_on_select(struct fw_cfg *fw, void (*fn)(void *opaque, const char *name), void *opaque);

#endif
