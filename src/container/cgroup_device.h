/* SPDX-License-Identifier: Apache-2.0 */
/* The device list as a program for BPF_PROG_TYPE_CGROUP_DEVICE. */
#ifndef CONTAINER_CGROUP_DEVICE_H
#define CONTAINER_CGROUP_DEVICE_H

#include <linux/bpf.h>
#include <stddef.h>

#include "base/error.h"

struct oci_device_rule;

/*
 * Assembles the program for @rules, of which the last that matches decides for each of read, write
 * and mknod; nothing matches: denied. *@ret is new (free). -E2BIG beyond what the kernel takes.
 */
int cgroup_device_program(const struct oci_device_rule *rules, size_t count, struct bpf_insn **ret,
                          size_t *ret_count, struct error *err);

/* What that program answers, in C: the reference that tests hold it to. @access: bits of
 * BPF_DEVCG_ACC_x, @type: 'b' or 'c'. */
bool cgroup_device_allowed(const struct oci_device_rule *rules, size_t count, char type,
                           uint32_t major, uint32_t minor, unsigned access);

#endif
