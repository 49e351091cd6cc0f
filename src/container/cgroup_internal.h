/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of cgroup*.c share. */
#ifndef CONTAINER_CGROUP_INTERNAL_H
#define CONTAINER_CGROUP_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "container/cgroup.h"

struct oci_resources;

enum cgroup_controller {
    CGROUP_CPU,
    CGROUP_CPUACCT,
    CGROUP_CPUSET,
    CGROUP_MEMORY,
    CGROUP_PIDS,
    CGROUP_IO, /* blkio on v1 */
    CGROUP_HUGETLB,
    CGROUP_DEVICES, /* on v2 a filter program, there is no controller of that name */
    CGROUP_FREEZER, /* on v2 part of the core */
    CGROUP_NET_CLS,
    CGROUP_NET_PRIO,
    CGROUP_RDMA,
    CGROUP_MISC,
    CGROUP_PERF_EVENT,
    CGROUP_NAMED, /* v1 name=...: no controller, for systemd's and our own bookkeeping */
    CGROUP_CONTROLLERS
};

/* Name in the mount options of v1 and in cgroup.controllers of v2; -1 when unknown. */
const char *cgroup_controller_name(enum cgroup_controller c, int version);
int cgroup_controller_find(const char *name, size_t len, int version);

struct cgroup_hierarchy {
    int version;          /* 1 or 2 */
    unsigned controllers; /* bits by enum cgroup_controller */
    char *mount;          /* where it is mounted */
    char *root;           /* which of its directories is mounted there */
    char *own;            /* our own directory below the mount: "/" or "/a/b" */
    bool opened;
    int top; /* @mount (O_PATH), when it is opened */
};

/* The hierarchies of this host as this process sees them. */
struct cgroup_host {
    struct cgroup_hierarchy h[CGROUP_FDS_MAX];
    unsigned count;
};

/* Reads the files mountinfo and cgroup of @proc ("/proc/self"; tests bring their own). With @check,
 * mounts that are hidden under others are left out. Release with cgroup_host_done. */
int cgroup_host_read(const char *proc, bool check, struct cgroup_host *ret, struct error *err);
/*
 * The same for the usual host, where each hierarchy is mounted as a whole below /sys/fs/cgroup
 * under the name that /proc/self/cgroup has for it: without mountinfo, which costs more than all
 * else here, and with the mounts opened. @only_v1: what a hybrid host has besides does not matter.
 * False: this host is not like that, or in doubt.
 */
bool cgroup_host_probe(bool only_v1, struct cgroup_host *ret);
void cgroup_host_done(struct cgroup_host *host);

/* One directory of a container. */
struct cgroup_dir {
    int version;
    unsigned controllers;
    char *path; /* absolute */
    bool made;  /* by us, so that it goes when making fails */
    /* The part of @path below the hierarchy's mount, which @top is open on (O_PATH); or NULL. The
     * way there is half of what most calls cost. */
    char *below;
    int top;
};

struct cgroup {
    struct cgroup_dir dirs[CGROUP_FDS_MAX];
    unsigned count;
    unsigned forbidden; /* controllers that the host has and does not let us use */
    bool devices_enforced;
    bool rootless;
    bool create_files; /* tests: directories of plain files stand in for a hierarchy */
    pid_t holder;      /* systemd: the process that holds the scope until the first one joins; 0 */
    bool systemd;      /* the directories are systemd's, made for us */
    /* Degradation while limits are set. */
    bool best_effort;
    void (*warn)(void *opaque, const char *line);
    void *opaque;
};

/* The directory that carries @c, NULL. */
struct cgroup_dir *cgroup_dir_of(const struct cgroup *cg, enum cgroup_controller c);
/* The v2 directory, whatever controllers it has; NULL. */
struct cgroup_dir *cgroup_v2_dir(const struct cgroup *cg);

/* As cgroup_make on a given host description, of which it takes the descriptors it needs. */
int cgroup_make_on(struct cgroup_host *host, const struct cgroup_place *place,
                   const struct oci_resources *resources, bool create_files, struct cgroup **ret,
                   struct error *err);

/* For a process that lives on: such a descriptor keeps the mount busy. */
void cgroup_close_tops(struct cgroup *cg);
/* Where openat and its like find @dir: a descriptor, and the path from there. */
int cgroup_dir_at(const struct cgroup_dir *dir, const char **ret_path);
/* Opens a file of @dir, close-on-exec; a negative errno. Paths are safe here: nobody but the kernel
 * puts names into a hierarchy, and no symlinks. */
int cgroup_open_file(const struct cgroup *cg, const struct cgroup_dir *dir, const char *file,
                     int flags);
/* Writes @text in one write. 0 or a negative errno, without reason. */
int cgroup_write_raw(const struct cgroup *cg, const struct cgroup_dir *dir, const char *file,
                     const char *text);
/* The same with a reason: "write 'x' to /sys/fs/.../file: ...". */
int cgroup_write(const struct cgroup *cg, const struct cgroup_dir *dir, const char *file,
                 struct error *err, const char *format, ...) __attribute__((format(printf, 5, 6)));
bool cgroup_has_file(const struct cgroup_dir *dir, const char *file);
/* Reads a whole small file as NUL-terminated text; the length or a negative errno. */
ssize_t cgroup_read_text(const struct cgroup_dir *dir, const char *file, char *buffer, size_t size);
/* Reads one number; "max" is UINT64_MAX, a failure leaves @fallback. */
uint64_t cgroup_read_u64(const struct cgroup_dir *dir, const char *file, uint64_t fallback);
/* The number after "@key " in a flat keyed file, @fallback when it is not there. */
uint64_t cgroup_keyed(const char *text, const char *key, uint64_t fallback);

/* A warning line of the container's caller. */
void cgroup_warn(const struct cgroup *cg, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Sets what @r asks for, controller by controller (cgroup_limits.c). @fresh: a new cgroup. */
int cgroup_limits(struct cgroup *cg, const struct oci_resources *r, bool fresh, struct error *err);
/* Bits of the controllers that @r needs. */
unsigned cgroup_limits_asked(const struct oci_resources *r);

/* The device list (cgroup_device.c): v1's files, or a filter program on v2. */
int cgroup_devices(struct cgroup *cg, const struct oci_resources *r, struct error *err);

/* Numbers of v2 for numbers of v1. */
uint64_t cgroup_cpu_weight(uint64_t shares);
uint64_t cgroup_io_weight(uint64_t weight);

/* A scope of systemd (cgroup_systemd.c): asks for it; its path in the hierarchies as new string,
 * and the process that holds it open. */
int cgroup_systemd_scope(const struct cgroup_place *place, char **ret_path, pid_t *ret_holder,
                         struct error *err);
/* The same by the systemd that listens on @socket_path. */
int cgroup_systemd_ask(const char *socket_path, const struct cgroup_place *place, char **ret_path,
                       pid_t *ret_holder, struct error *err);

#endif
