/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the runtime tells the small init that sets a container up from the inside.
 *
 * Nothing that parses a configuration, and no file of the host, enters a container: the runtime
 * turns config.json into this flat block, and init (init_main.c: static, without a C library,
 * executed from a sealed memfd) walks through it. Both are built together, so there is no version
 * and no byte order to care for. The block lies behind init in the memfd and is mapped read-only;
 * it comes from the runtime alone and is trusted.
 *
 * Strings and lists are offsets from the start of the block; offset 0 means "none".
 *
 * Two stages. Stage 1 runs in the runtime's namespaces: it joins namespaces that are given by
 * path, makes the user namespace, then clones stage 2 into the others as a child of the runtime
 * (CLONE_PARENT) and ends. Stage 2 is the container's first process: mounts, pivots, drops what it
 * may not keep, waits for the start and executes the program. Where stage 1 would only clone, the
 * runtime clones into the pid namespace and stage 2 makes the others (PLAN_STAGE_2).
 *
 * They talk to the runtime over @sync, a SOCK_SEQPACKET pair, in struct plan_message.
 */
#ifndef CONTAINER_PLAN_H
#define CONTAINER_PLAN_H

#include <stdint.h>

enum {
    PLAN_MAGIC = 0x6e6c7049,
    PLAN_TEXT_MAX = 960,
    PLAN_CGROUPS_MAX = 16,
    PLAN_FDS_MAX = 2 * PLAN_CGROUPS_MAX
};

/* @n records or string offsets at offset @at. */
struct plan_list {
    uint32_t at, n;
};

enum plan_flag {
    PLAN_EXEC = 1 << 0,       /* another process in a container that exists */
    PLAN_TERMINAL = 1 << 1,   /* a pty inside is the process's terminal */
    PLAN_USERNS = 1 << 2,     /* new or joined: become its root first */
    PLAN_BARRIER = 1 << 3,    /* wait for the runtime once the namespaces are there */
    PLAN_NO_PIVOT = 1 << 4,   /* MS_MOVE and chroot instead of pivot_root */
    PLAN_READONLY = 1 << 5,   /* the root file system, at the end */
    PLAN_NO_DEVICES = 1 << 6, /* /dev is the caller's: no nodes and links of ours */
    PLAN_NO_NEW_PRIVS = 1 << 7,
    PLAN_KEYRING = 1 << 8, /* a session keyring of its own */
    PLAN_DIE_WITH_PARENT = 1 << 9,
    PLAN_REAP = 1 << 10,        /* stay as the first process above the program */
    PLAN_CGROUP_NS = 1 << 11,   /* a cgroup namespace, made after the cgroups are joined */
    PLAN_BEST_EFFORT = 1 << 12, /* what the host refuses is a warning */
    PLAN_SETGROUPS = 1 << 13,   /* set (possibly no) supplementary groups */
    PLAN_MOUNT_NS = 1 << 14,    /* a new mount namespace: build the root file system */
    PLAN_PERSONALITY = 1 << 15,
    PLAN_BIND_DEVICES = 1 << 16, /* nodes are binds of the host's, mknod is not allowed */
    PLAN_STAGE_2 = 1 << 17,      /* no stage 1; cloned into a new pid namespace already */
    PLAN_LATE_CGROUPS = 1 << 18, /* PLAN_CGROUPS comes */
    PLAN_UNPRIVILEGED = 1 << 19, /* the runtime is not root */
    PLAN_MARK = 1 << 20,         /* mark what is made to mount on */
    PLAN_TELL_NETNS = 1 << 21,   /* as PLAN_BARRIER, but without waiting */
    PLAN_AT_ONCE = 1 << 22,      /* no PLAN_READY and no wait for the start */
};

/* A namespace to join, opened by the runtime. */
struct plan_join {
    int32_t fd;
    uint32_t flags; /* CLONE_NEWx; several when @fd is a pidfd */
};

enum plan_mount_flag {
    PLAN_MOUNT_BIND = 1 << 0,
    PLAN_MOUNT_RECURSIVE = 1 << 1,  /* of a bind */
    PLAN_MOUNT_NOFOLLOW = 1 << 2,   /* the destination must be a real directory */
    PLAN_MOUNT_COPY_UP = 1 << 3,    /* a tmpfs gets what it covers */
    PLAN_MOUNT_DEV = 1 << 4,        /* our /dev */
    PLAN_MOUNT_SYSFS_BIND = 1 << 5, /* bind the host's /sys where sysfs is not allowed */
    PLAN_MOUNT_CGROUP = 1 << 6,     /* the hierarchies of PLAN_CGROUPS */
    PLAN_MOUNT_CLASSIC = 1 << 7,    /* by mount(2): @options is one, its value all of them */
};

struct plan_mount {
    uint32_t destination, type, source;
    uint32_t flags;
    int32_t fd;                  /* a detached mount that the runtime prepared, or -1 */
    struct plan_list options;    /* of struct plan_option, for the file system */
    uint64_t set, clear;         /* MOUNT_ATTR_x of the mount */
    uint64_t set_all, clear_all; /* the same for all mounts below (rro, rnosuid ...) */
    uint32_t propagation;        /* MS_SHARED ... | MS_REC, 0: as it is */
};

struct plan_option {
    uint32_t key, value; /* value 0: a flag */
    int32_t fd;          /* instead of a value, or -1 */
};

struct plan_device {
    uint32_t path;
    uint32_t mode; /* with S_IFMT */
    uint32_t major, minor, uid, gid;
};

struct plan_link {
    uint32_t path, target;
};

struct plan_pair {
    uint32_t key, value;
};

struct plan_rlimit {
    uint32_t resource, name;
    uint64_t soft, hard;
};

struct plan_hook {
    uint32_t path;
    struct plan_list args, env; /* string offsets; no args: the path */
    uint32_t timeout_ms;        /* 0: none */
};

struct plan_scheduler {
    int32_t policy; /* -1: leave */
    int32_t nice;
    uint32_t priority;
    uint64_t flags, runtime, deadline, period;
};

struct plan {
    uint32_t magic, size, flags;
    int32_t sync;      /* to the runtime */
    int32_t start;     /* listening unix socket, -1: the runtime starts over @sync */
    int32_t stdio[3];  /* -1: /dev/null; not used with a terminal */
    uint32_t keep_fds; /* 3.. that the program keeps */

    /* stage 1 */
    struct plan_list joins;            /* struct plan_join */
    uint32_t unshare;                  /* CLONE_NEWx of stage 2, without user, cgroup and time */
    uint32_t unshare_first;            /* CLONE_NEWUSER, CLONE_NEWTIME: made by stage 1 */
    uint32_t time_offsets;             /* text for /proc/self/timens_offsets */
    uint32_t oom_score_adj;            /* text */
    int32_t cgroup_clone;              /* clone into this cgroup, -1 */
    int32_t cgroups[PLAN_CGROUPS_MAX]; /* "0" is written to each */
    uint32_t cgroup_count;

    /* root file system */
    uint32_t rootfs;
    struct plan_list overlay;       /* struct plan_option: of the overlay that is the root */
    struct plan_list overlay_trees; /* int32_t: detached mounts that it takes its layers from */
    /* The same for mount(2), where the kernel knows no "lowerdir+"; 0: too long for that. */
    uint32_t overlay_classic;
    int32_t root_fd;           /* a detached mount of it, or -1 */
    uint32_t root_propagation; /* MS_x | MS_REC of the tree before, see mount_namespaces(7) */
    uint32_t root_shared;      /* MS_x of the new root at the end, 0: none */
    struct plan_list mounts;   /* struct plan_mount */
    struct plan_list devices;  /* struct plan_device */
    struct plan_list links;    /* struct plan_link */
    struct plan_list masked, readonly; /* string offsets */
    struct plan_list sysctls;          /* struct plan_pair; key with slashes */
    uint32_t hostname, domainname;
    struct plan_list create_hooks, start_hooks; /* struct plan_hook */

    /* process */
    struct plan_list args, env; /* string offsets */
    uint32_t cwd;
    uint32_t uid, gid, umask; /* umask ~0: leave */
    struct plan_list groups;  /* uint32_t */
    uint64_t bounding, effective, inheritable, permitted, ambient;
    struct plan_list rlimits;   /* struct plan_rlimit */
    uint32_t apparmor, selinux; /* text for /proc/self/attr/... */
    uint32_t keyring;
    uint32_t rows, columns;
    uint32_t io_class, io_priority;
    uint32_t personality;
    struct plan_scheduler scheduler;
    struct plan_list affinity; /* uint64_t words */
    struct plan_list seccomp;  /* struct sock_filter */
    uint32_t seccomp_flags, seccomp_notify;
};

/* In PLAN_CGROUPS: no list of devices is enforced, so CAP_MKNOD goes. */
enum { PLAN_NO_MKNOD = 1 << 8 };

enum plan_message_type {
    /* from init */
    PLAN_MAP = 1,    /* stage 1 made the user namespace; answer: PLAN_GO */
    PLAN_PID,        /* @value: stage 2's pid */
    PLAN_NAMESPACES, /* at the barrier, with the network namespace; answer: PLAN_GO with the hooks'
                        state as descriptors; none with PLAN_TELL_NETNS */
    PLAN_CONSOLE,    /* with the pty's master */
    PLAN_LISTENER,   /* with the descriptor that seccomp's notifications come from */
    PLAN_READY,      /* set up; waits for the start */
    PLAN_WARNING,    /* @text */
    PLAN_ERROR,      /* @value: negative errno; @text; init ends */
    PLAN_STARTING, /* about to execute the program: the next thing is end of file, or PLAN_ERROR */
    /* from the runtime */
    PLAN_GO,
    PLAN_START,
    /*
     * @value (but PLAN_NO_MKNOD) descriptors that "0" is written to (the cgroups to join), then one
     * detached mount for each line of @text: names of hierarchies, "." when there is a single one
     * of v2. Sent once to a container's init, at any time; making cgroups goes on while init makes
     * namespaces.
     */
    PLAN_CGROUPS,
};

struct plan_message {
    uint32_t type;
    int32_t value;
    char text[PLAN_TEXT_MAX]; /* NUL-terminated; only as long as needed is sent */
};

#endif
