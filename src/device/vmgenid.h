/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual machine generation ID (Microsoft, "Virtual Machine Generation ID", 2012): 16 bytes in
 * memory that change when the machine goes on from a state that another may go on from as well, so
 * that its guest stops relying on what it takes for unique: the state of its random numbers, say.
 */
#ifndef DEVICE_VMGENID_H
#define DEVICE_VMGENID_H

#include "bus/space.h"
#include "device/device.h"

enum { VMGENID_SIZE = 16 };

struct vmgenid;

/* A page at guest address @base that begins with @id. NULL with @err set. */
struct vmgenid *vmgenid_new(struct space *space, uint64_t base, const uint8_t id[VMGENID_SIZE],
                            struct error *err);
struct device *vmgenid_device(struct vmgenid *v);
/* The caller then tells the guest (GPE). */
void vmgenid_set(struct vmgenid *v, const uint8_t id[VMGENID_SIZE]);

#endif
