/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the block that init walks through (plan.h) from a configuration. */
#ifndef CONTAINER_PLAN_BUILD_H
#define CONTAINER_PLAN_BUILD_H

#include "base/error.h"
#include "base/str.h"
#include "container/container.h"
#include "container/plan.h"

struct cgroup;
struct sock_fprog;

/* Zero-initialise with plan_begin, release with plan_done. */
struct plan_builder {
    struct plan plan; /* fields are set here; plan_finish copies it to the front of @bytes */
    struct str bytes;
    int fds[192]; /* detached mounts and others that init inherits; owned */
    unsigned fd_count;
    bool cgroup_mount; /* the container sees its cgroups */
    bool failed;
};

void plan_begin(struct plan_builder *b);
void plan_done(struct plan_builder *b);
/* Offset of a copy of @text; 0 for NULL. */
uint32_t plan_add_text(struct plan_builder *b, const char *text);
struct plan_list plan_add_texts(struct plan_builder *b, const char *const *texts, size_t n);
struct plan_list plan_add_records(struct plan_builder *b, const void *records, size_t n,
                                  size_t size);
/* Takes @fd for init; closed with the builder. */
int plan_add_fd(struct plan_builder *b, int fd, struct error *err);
/* Puts the block together: @b->bytes. */
int plan_finish(struct plan_builder *b, struct error *err);

/* Everything about the first process but its descriptors and cgroups (plan_rootfs.c). */
struct plan_context {
    const struct oci_config *config;
    const struct container_options *options;
    bool prepare_mounts;     /* sources of binds are opened by the runtime: new user
                                namespace of a privileged caller */
    const char *root_target; /* where the root is mounted when it is an overlay */
};
int plan_add_rootfs(struct plan_builder *b, const struct plan_context *x, struct error *err);
/* Namespaces, joined and new. */
int plan_add_namespaces(struct plan_builder *b, const struct oci_config *config, struct error *err);

/* A process (plan_process.c). @seccomp may be NULL. */
struct plan_process_options {
    bool best_effort, userns;
    unsigned columns, rows;
    unsigned preserve_fds;
    void (*warn)(void *opaque, const char *line);
    void *opaque;
};
int plan_add_process(struct plan_builder *b, const struct oci_process *process,
                     const struct plan_process_options *x, struct error *err);

/* execCPUAffinity, for exec. */
int plan_add_affinity(struct plan_builder *b, const struct oci_process *process, struct error *err);

/* A detached bind of @path, idmapped when the mount has mappings (mount_prepare.c). New. */
int mount_prepare(const struct oci_config *config, const struct oci_mount *mount,
                  const char *source, bool recursive, bool idmap_recursive, int *ret_fd,
                  struct error *err);

/* The plan's overlay of idmapped layers (mount_prepare.c); needs Linux 6.13. */
int overlay_prepare(struct plan_builder *b, const struct oci_config *config,
                    const struct container_overlay *overlay, struct error *err);

#endif
