/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RUN: a program in a container on the root file system of a stage. The container has Docker's
 * default rights and filter, its own namespaces, and no terminal.
 */
#ifndef BUILD_EXECUTE_H
#define BUILD_EXECUTE_H

#include "build/rootfs.h"

/* Something that is there while the program runs and not afterwards. */
struct execute_mount {
    const char *target; /* absolute */
    const char *source; /* absolute path on this host; NULL: a tmpfs */
    bool readonly;
    bool secret;             /* the source is removed as soon as it is mounted */
    bool file;               /* the source is a file */
    unsigned long long size; /* of a tmpfs; 0: half of the memory */
};

enum execute_network {
    EXECUTE_NET_PRIVATE, /* as isola run's (network/private_net.h); of root only */
    EXECUTE_NET_NONE,
    EXECUTE_NET_HOST,
};

struct execute {
    struct rootfs *rootfs;                /* not mounted */
    const char *state_dir;                /* absolute, exists */
    const char *const *args, *const *env; /* NULL after the last */
    const char *workdir;
    const struct root_user *user;
    const struct execute_mount *mounts;
    size_t mount_count;
    enum execute_network network;
    int output; /* standard output and error */
    void (*warn)(void *opaque, const char *line);
    void *opaque;
};

/*
 * Runs the program to its end. *ret_status: its exit status, 128 + N after signal N. What the
 * container put into the root file system to mount on is removed again. Where a private network
 * cannot be, the host's is taken, with a warning to root.
 */
int execute_run(const struct execute *x, int *ret_status, struct error *err) error_must_check;

#endif
