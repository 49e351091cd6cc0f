/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what the user said and what the image says to an OCI runtime configuration: the rules that
 * people know from Docker. Nothing here touches the host but the functions that say so.
 */
#ifndef INSTANCE_CONTAINER_CONFIG_H
#define INSTANCE_CONTAINER_CONFIG_H

#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"
#include "instance/spec.h"

struct image_config;

enum { CONTAINER_GROUPS_MAX = 256, CONTAINER_MAPS_MAX = 16 };

/* Who runs the command. */
struct container_user {
    uid_t uid;
    gid_t gid;
    gid_t groups[CONTAINER_GROUPS_MAX];
    size_t group_count;
    char home[256]; /* "/" when nobody says; "": whoever runs it sets HOME */
};

/*
 * Looks up @user ("", NULL: root), which is NAME or UID with an optional :GROUP or :GID, and the
 * additional @groups in passwd and group files of @roots: the directories that make up the root
 * file system, topmost first. Reads them by path functions that never leave a root.
 * -ENOENT: no such user or group.
 */
int container_user_find(const char *const *roots, size_t root_count, const char *user,
                        const struct spec_list *groups, struct container_user *ret,
                        struct error *err) error_must_check;

struct container_id_map {
    unsigned inside, outside, size;
};

/* All that goes into a configuration. Strings are borrowed. */
struct container_plan {
    const struct spec *spec;
    const struct image_config *image; /* NULL: there is none (--rootfs) */
    const char *id;
    const char *root; /* --rootfs, or a name for what an overlay is mounted at */
    const struct container_user *user;
    /* Of the spec's mounts, in their order: where each volume or bind is on the host. */
    const char *const *sources;
    /* Files of ours that become /etc/hosts and so on; NULL: the image's own. */
    const char *hosts, *hostname_file, *resolv;
    const char *cgroup;                         /* path of its cgroup, NULL: none */
    const char *net_path, *pid_path, *ipc_path; /* namespaces of another container; NULL */
    bool user_namespace;                        /* with the maps below */
    struct container_id_map uids[CONTAINER_MAPS_MAX], gids[CONTAINER_MAPS_MAX];
    size_t uid_count, gid_count;
    bool rootless; /* what needs real root is left out */
};

/* Whether it is a machine container: --boot, or the entrypoint is an init. */
bool container_boots(const struct spec *spec, const struct image_config *image);
/* The signal that asks it to end. */
int container_stop_signal(const struct spec *spec, const struct image_config *image);
/* Whether it joins the host's or another's network and so has none of its own to be set up. */
bool container_has_own_net(const struct spec *spec);

/*
 * The words that are executed: entrypoint and command of spec and image by Docker's rules. *ret is
 * a new NULL-terminated array of borrowed strings. -EINVAL when there is nothing to run.
 */
int container_words(const struct spec *spec, const struct image_config *image, const char ***ret,
                    struct error *err) error_must_check;

/* config.json as text, appended to @out. */
int container_config_make(const struct container_plan *plan, struct str *out,
                          struct error *err) error_must_check;

/* "resources" alone, for a container that runs. */
int container_resources_make(const struct spec *spec, bool rootless, struct str *out,
                             struct error *err) error_must_check;

/* The "process" object of isola exec. */
struct container_exec_request {
    const char *const *words; /* NULL-terminated */
    const char *const *env;   /* NAME=VALUE, added to the container's; NULL-terminated */
    const char *workdir;      /* NULL: the container's */
    const struct container_user *user;
    bool tty, privileged;
};
int container_process_make(const struct spec *spec, const struct image_config *image,
                           const char *id, const struct container_exec_request *request,
                           struct str *out, struct error *err) error_must_check;

#endif
