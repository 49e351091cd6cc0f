/* SPDX-License-Identifier: Apache-2.0 */
/* What a virtual machine from an image needs and is made at first use: drive, kernel, initrd. */
#ifndef CLI_VM_PARTS_H
#define CLI_VM_PARTS_H

#include "base/error.h"
#include "instance/instance.h"

/*
 * Makes what is missing of the drive of @spec's image, the kernel for images and its initrd, with a
 * line on standard error for what takes long. An image that is not here is left to
 * instance_create. 0 or a negative errno with @err set.
 */
int vm_parts_make(struct instances *home, const struct spec *spec,
                  struct error *err) error_must_check;

/*
 * Before the instance @ref starts again: an initrd with the agent of an older program is made anew.
 * Nothing where @ref is no machine made from an image, or is unknown (the start says so).
 */
int vm_parts_renew(struct instances *home, const char *ref, struct error *err) error_must_check;

#endif
