/* SPDX-License-Identifier: Apache-2.0 */
/* What a container is made of, gathered on the host: image, directories, volumes, users. */
#ifndef INSTANCE_CONTAINER_SOURCES_H
#define INSTANCE_CONTAINER_SOURCES_H

#include "container/container.h"
#include "image/store.h"
#include "instance/container_config.h"
#include "instance/container_net.h"
#include "instance/engine.h"

struct container_parts {
    struct container_plan plan;
    struct container_user user;
    struct image_store *store;
    struct image *image;
    const char **roots; /* topmost first; below them in the overlay alone: @points */
    size_t root_count;
    char *upper, *work, *points;
    char **sources; /* one for each mount of the spec */
    char *hosts, *hostname, *resolv, *cgroup, *root, *net_path, *pid_path, *ipc_path;
    char *names;                   /* directory of hosts, hostname and resolv.conf */
    struct container_net_view net; /* as hosts and resolv.conf tell it, with --network nat */
    bool no_resolver;              /* resolv.conf names no server that can be reached */
    bool has_overlay;
    struct container_overlay overlay;
};

/* engine_ops.prepare: finds the image, names anonymous volumes, adds what the image declares. */
int container_parts_prepare(const struct engine_place *place, struct spec *spec, struct error *err);
/* Only image, roots and overlay. Release with container_parts_done, also after failure. */
int container_parts_layers(const struct engine_place *place, struct container_parts *ret,
                           struct error *err) error_must_check;
/* RUN/names/ID. New; NULL: out of memory. */
char *container_names_dir(const char *runtime_dir, const char *id);
/* Everything for one run. Release with container_parts_done, also after failure. */
int container_parts_make(const struct engine_place *place, struct container_parts *ret,
                         struct error *err) error_must_check;
/*
 * The network is there: hosts and resolv.conf tell the truth from now. @warn gets a line when there
 * is something to be told.
 */
int container_parts_names(struct container_parts *p, const struct container_net_view *view,
                          void (*warn)(void *opaque, const char *line), void *opaque,
                          struct error *err) error_must_check;
void container_parts_done(struct container_parts *p);
/* Removes what an instance kept: anonymous volumes of --rm instances. */
void container_parts_remove(const struct engine_place *place);

/* Gives new volumes what the image has where they are mounted. */
int container_fill_volumes(const struct engine_place *place, const struct container_parts *p,
                           struct error *err);

/* The image store of the home @data_dir. NULL with @err set. */
struct image_store *container_store_open(const char *data_dir, struct error *err);

#endif
