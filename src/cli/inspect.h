/* SPDX-License-Identifier: Apache-2.0 */
/* What "isola inspect" adds to a record so that templates written for Docker find it. */
#ifndef CLI_INSPECT_H
#define CLI_INSPECT_H

#include <jansson.h>

struct cli;
struct instance;

/*
 * Adds to the description @o of @i: config (with what its image says), host_config, mounts, and
 * network_settings.ports, with Docker's members as Isola's templates and JSON spell them. What the
 * image says is left out when it is not here any more.
 */
void inspect_add(struct cli *cli, const struct instance *i, json_t *o);

#endif
