/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OCI runtime configuration (runtime-spec 1.2, config.json and config-linux.json) as C types.
 *
 * The parser checks every type and range and the rules that do not depend on the host; unknown
 * properties are ignored (spec, "Extensibility") and null counts as absent. What the specification
 * knows and Isola cannot do is refused by name, never dropped. Names of fields are the
 * specification's.
 */
#ifndef CONTAINER_OCI_CONFIG_H
#define CONTAINER_OCI_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A list of strings. @v is NULL when the property is absent, else ends with a NULL at v[n]. */
struct oci_strings {
    const char **v;
    size_t n;
};

/* Numbers whose absence means something. */
struct oci_i64 {
    bool set;
    int64_t value;
};
struct oci_u64 {
    bool set;
    uint64_t value;
};

struct oci_pair {
    const char *key, *value;
};
struct oci_map {
    struct oci_pair *v;
    size_t n;
};

struct oci_id_map {
    uint32_t container_id, host_id, size;
};
struct oci_id_maps {
    struct oci_id_map *v;
    size_t n;
};

/* --- process --- */

struct oci_capabilities {
    bool set; /* absent: the first process keeps no capability */
    uint64_t bounding, effective, inheritable, permitted, ambient; /* bit = CAP_x number */
};

struct oci_rlimit {
    int resource; /* RLIMIT_x */
    uint64_t soft, hard;
};

struct oci_process {
    bool terminal, no_new_privileges;
    unsigned rows, columns; /* consoleSize, 0: not given */
    const char *cwd;        /* absolute */
    struct oci_strings args, env;
    uint32_t uid, gid;
    struct oci_u64 umask;
    uint32_t *additional_gids;
    size_t additional_gid_count;
    struct oci_capabilities capabilities;
    const char *unknown_capability; /* the first name that is no capability of Linux, or NULL */
    struct oci_rlimit *rlimits;
    size_t rlimit_count;
    const char *apparmor_profile, *selinux_label;
    struct oci_i64 oom_score_adj;
    /* ioPriority: 0 not given, else IOPRIO_CLASS_x (1 RT, 2 BE, 3 IDLE) */
    int io_class, io_priority;
    /* scheduler: -1 not given, else SCHED_x */
    int sched_policy;
    int64_t sched_nice, sched_priority;
    uint64_t sched_flags; /* SCHED_FLAG_x */
    uint64_t sched_runtime, sched_deadline, sched_period;
    const char *cpu_initial, *cpu_final; /* execCPUAffinity; only exec uses it */
};

/* --- mounts, devices, namespaces, hooks --- */

struct oci_mount {
    const char *destination; /* absolute */
    const char *type, *source;
    struct oci_strings options;
    struct oci_id_maps uid_mappings, gid_mappings;
};

struct oci_namespace {
    int flag;         /* CLONE_NEWx */
    const char *path; /* NULL: a new one */
};

struct oci_device {
    const char *path; /* absolute */
    char type;        /* 'c' 'b' 'p' ('u' is read as 'c') */
    uint32_t major, minor;
    struct oci_u64 mode;
    struct oci_u64 uid, gid;
};

enum oci_hook_point {
    OCI_HOOK_PRESTART,
    OCI_HOOK_CREATE_RUNTIME,
    OCI_HOOK_CREATE_CONTAINER,
    OCI_HOOK_START_CONTAINER,
    OCI_HOOK_POSTSTART,
    OCI_HOOK_POSTSTOP,
    OCI_HOOK_POINTS
};

struct oci_hook {
    const char *path; /* absolute */
    struct oci_strings args, env;
    struct oci_i64 timeout; /* seconds, > 0 when set */
};
struct oci_hooks {
    struct oci_hook *v;
    size_t n;
};

/* --- resources --- */

struct oci_device_rule {
    bool allow;
    char type;            /* 'a' 'c' 'b' */
    int64_t major, minor; /* -1: any */
    bool read, write, mknod;
};

struct oci_memory {
    struct oci_i64 limit, reservation, swap, kernel, kernel_tcp; /* bytes, -1: unlimited */
    struct oci_u64 swappiness;
    bool disable_oom_killer, use_hierarchy, check_before_update;
};

struct oci_cpu {
    struct oci_u64 shares, period, burst, realtime_period; /* periods in microseconds */
    struct oci_i64 quota, realtime_runtime, idle;
    const char *cpus, *mems; /* lists as "0-3,7" */
};

struct oci_block_rate {
    int64_t major, minor;
    uint64_t rate;
};
struct oci_block_rates {
    struct oci_block_rate *v;
    size_t n;
};
struct oci_block_weight {
    int64_t major, minor;
    struct oci_u64 weight, leaf_weight;
};

struct oci_block_io {
    struct oci_u64 weight, leaf_weight;
    struct oci_block_weight *weight_devices;
    size_t weight_device_count;
    struct oci_block_rates read_bps, write_bps, read_iops, write_iops;
};

struct oci_hugepage_limit {
    const char *page_size; /* "2MB" */
    uint64_t limit;
};

struct oci_net_priority {
    const char *name;
    uint32_t priority;
};

struct oci_rdma {
    const char *device;
    struct oci_u64 handles, objects;
};

struct oci_resources {
    struct oci_device_rule *devices;
    size_t device_count;
    struct oci_memory memory;
    struct oci_cpu cpu;
    struct oci_i64 pids_limit; /* -1: unlimited */
    struct oci_block_io block_io;
    struct oci_hugepage_limit *hugepages;
    size_t hugepage_count;
    struct oci_u64 net_class_id;
    struct oci_net_priority *net_priorities;
    size_t net_priority_count;
    struct oci_rdma *rdma;
    size_t rdma_count;
    struct oci_map unified; /* file name in the cgroup -> what is written */
};

/* --- seccomp --- */

enum oci_seccomp_action {
    OCI_SECCOMP_KILL_THREAD, /* SCMP_ACT_KILL and SCMP_ACT_KILL_THREAD */
    OCI_SECCOMP_KILL_PROCESS,
    OCI_SECCOMP_TRAP,
    OCI_SECCOMP_ERRNO,
    OCI_SECCOMP_TRACE,
    OCI_SECCOMP_ALLOW,
    OCI_SECCOMP_LOG,
    OCI_SECCOMP_NOTIFY
};

enum oci_seccomp_op {
    OCI_SECCOMP_NE,
    OCI_SECCOMP_LT,
    OCI_SECCOMP_LE,
    OCI_SECCOMP_EQ,
    OCI_SECCOMP_GE,
    OCI_SECCOMP_GT,
    OCI_SECCOMP_MASKED_EQ /* (argument & value) == value_two */
};

struct oci_seccomp_arg {
    uint32_t index; /* 0..5 */
    uint64_t value, value_two;
    enum oci_seccomp_op op;
};

struct oci_seccomp_rule {
    struct oci_strings names;
    enum oci_seccomp_action action;
    struct oci_u64 errno_ret;
    struct oci_seccomp_arg *args;
    size_t arg_count;
};

struct oci_seccomp {
    enum oci_seccomp_action default_action;
    struct oci_u64 default_errno_ret;
    struct oci_strings architectures; /* "SCMP_ARCH_X86_64" ...; absent: the host's */
    struct oci_strings flags;         /* "SECCOMP_FILTER_FLAG_LOG" ... */
    const char *listener_path, *listener_metadata;
    struct oci_seccomp_rule *syscalls;
    size_t syscall_count;
};

/* --- the whole --- */

struct oci_config {
    const char *version; /* ociVersion */
    struct oci_process process;
    bool has_process;
    const char *root_path; /* NULL without root */
    bool root_readonly;
    const char *hostname, *domainname;
    struct oci_mount *mounts;
    size_t mount_count;
    struct oci_hooks hooks[OCI_HOOK_POINTS];
    struct oci_map annotations;

    /* linux */
    struct oci_id_maps uid_mappings, gid_mappings;
    struct oci_map sysctl;
    struct oci_resources resources;
    const char *cgroups_path;
    struct oci_namespace *namespaces;
    size_t namespace_count;
    struct oci_device *devices;
    size_t device_count;
    const char *rootfs_propagation; /* "shared" "slave" "private" "unbindable", NULL */
    struct oci_strings masked_paths, readonly_paths;
    const char *mount_label;
    struct oci_seccomp *seccomp; /* NULL: no filter */
    bool has_personality, personality_32bit;
    struct oci_clock_offset {
        bool set;
        int64_t secs;
        uint32_t nanosecs;
    } boottime, monotonic;

    const char *text;        /* the parsed text, as given, NUL-terminated */
    struct oci_arena *arena; /* everything above lives here */
};

/*
 * Parses a whole config.json. New; 0, -EINVAL with the property's path, -ENOTSUP with what is not
 * supported, -ENOMEM. Release with oci_config_free.
 */
int oci_config_parse(const char *text, size_t len, struct oci_config **ret, struct error *err);
/* Reads and parses the file @path (at most 64 MiB). */
int oci_config_read(const char *path, struct oci_config **ret, struct error *err);
/* A "process" alone (exec --process): only @process is set. */
int oci_config_parse_process(const char *text, size_t len, struct oci_config **ret,
                             struct error *err);
/* "resources" alone (update --resources): only @resources is set. */
int oci_config_parse_resources(const char *text, size_t len, struct oci_config **ret,
                               struct error *err);
void oci_config_free(struct oci_config *config);

/* The namespace of type @flag (CLONE_NEWx) in @config, NULL when it keeps the runtime's. */
const struct oci_namespace *oci_config_namespace(const struct oci_config *config, int flag);
/* The value of annotation @key, NULL. */
const char *oci_config_annotation(const struct oci_config *config, const char *key);
/* Number of a capability's name ("CAP_CHOWN", "chown"), -1. And back, NULL. */
int oci_capability_number(const char *name);
const char *oci_capability_name(unsigned number);
/* RLIMIT_x of "RLIMIT_NOFILE" or "nofile", -1. And back, NULL. */
int oci_rlimit_number(const char *name);

#endif
