/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a configuration, made in container_mounts.c and container_rights.c. */
#ifndef INSTANCE_CONTAINER_CONFIG_INTERNAL_H
#define INSTANCE_CONTAINER_CONFIG_INTERNAL_H

#include <jansson.h>

#include "instance/container_config.h"
#include "instance/instance.h"

json_t *container_texts(const char *const *texts, size_t n);
json_t *container_mounts(const struct container_plan *p);
/* "capabilities": Docker's default set, changed by --cap-add and --cap-drop. NULL with @err. */
json_t *container_capabilities(const struct spec *spec, bool privileged, struct error *err);
/* The same as bits; bit = CAP_x. */
int container_capability_set(const struct spec *spec, bool privileged, uint64_t *ret,
                             struct error *err);
/*
 * The text of linux.seccomp by --security-opt seccomp=..., appended to @out; nothing when there is
 * no filter. Reads the file that the user named.
 */
int container_seccomp(const struct spec *spec, struct str *out, struct error *err);
/* Whether that is the default filter. */
bool container_seccomp_is_default(const struct spec *spec);
/* Adds --device, and with --privileged all devices of the host. Looks at the host's /dev. */
int container_devices(const struct spec *spec, bool rootless, json_t *list, struct error *err);
/* What the device cgroup allows. */
json_t *container_device_rules(const struct spec *spec, json_t *devices);
/* "resources" without devices; also what isola update sends. */
json_t *container_resources(const struct spec *spec, bool rootless);

#endif
