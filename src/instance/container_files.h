/* SPDX-License-Identifier: Apache-2.0 */
/* Files that an instance's container gets from us, in the instance's own directory. */
#ifndef INSTANCE_CONTAINER_FILES_H
#define INSTANCE_CONTAINER_FILES_H

#include "base/error.h"
#include "instance/spec.h"

/* Where the container is in its network; NULL addresses: nothing to say. */
struct container_names {
    const char *id;
    const struct spec *spec;
    const char *address; /* its own, NULL: none */
    const char *gateway; /* what host-gateway means, NULL: none */
    const char *dns;     /* name server of the private network, NULL: the host's are reached */
    bool apart;          /* those of the host's loopback are not */
};

enum { CONTAINER_FILES_NO_RESOLVER = 1 };
/*
 * Writes hosts, hostname and resolv.conf into directory @dir. CONTAINER_FILES_NO_RESOLVER: done,
 * but no name server is known that the container could reach.
 */
int container_files_write(const char *dir, const struct container_names *names, struct error *err);

#endif
