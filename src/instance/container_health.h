/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health checks: a command that is run in the container again and again, by --health-cmd or by the
 * image's HEALTHCHECK. What is found is in DIR/health: "starting", "healthy" or "unhealthy".
 */
#ifndef INSTANCE_CONTAINER_HEALTH_H
#define INSTANCE_CONTAINER_HEALTH_H

#include "image/config.h"
#include "instance/engine.h"

struct container;
struct container_health;

/* Begins to check @c (borrowed); *ret stays NULL when there is nothing to check. */
int container_health_start(const struct engine_env *env, const struct image_config *image,
                           struct container *c, struct container_health **ret,
                           struct error *err) error_must_check;
/* NULL is fine. */
void container_health_stop(struct container_health *h);
/* While the container is paused nothing is checked. */
void container_health_pause(struct container_health *h, bool paused);

#endif
