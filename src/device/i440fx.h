/* SPDX-License-Identifier: Apache-2.0 */
/* The PCI host bridge of the 440FX (Intel 290549-001): function 00.0 with the PAM registers. */
#ifndef DEVICE_I440FX_H
#define DEVICE_I440FX_H

#include "device/device.h"
#include "device/pci.h"

enum { I440FX_PAM = 0x59, I440FX_PAMS = 7, I440FX_SMRAM = 0x72 };

struct i440fx;

/*
 * Adds the bridge to @bus. @pam_changed (may be NULL) is told the seven PAM bytes and SMRAM
 * whenever the guest changed one, at reset and at load: bit 0 of a nibble = reads go to RAM, bit
 * 1 = writes do. NULL with @err set.
 */
struct i440fx *i440fx_new(struct pci_bus *bus,
                          void (*pam_changed)(void *opaque, const uint8_t pam[I440FX_PAMS],
                                              uint8_t smram),
                          void *opaque, struct error *err);
struct device *i440fx_device(struct i440fx *bridge);

#endif
