/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of "process" (config.json and exec), and the names it uses. */
#include <assert.h>
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "container/oci_config.h"
#include "container/oci_shapes.h"

#define at(member) offsetof(struct oci_process, member)

static const char *const capability_names[] = {"CAP_CHOWN",
                                               "CAP_DAC_OVERRIDE",
                                               "CAP_DAC_READ_SEARCH",
                                               "CAP_FOWNER",
                                               "CAP_FSETID",
                                               "CAP_KILL",
                                               "CAP_SETGID",
                                               "CAP_SETUID",
                                               "CAP_SETPCAP",
                                               "CAP_LINUX_IMMUTABLE",
                                               "CAP_NET_BIND_SERVICE",
                                               "CAP_NET_BROADCAST",
                                               "CAP_NET_ADMIN",
                                               "CAP_NET_RAW",
                                               "CAP_IPC_LOCK",
                                               "CAP_IPC_OWNER",
                                               "CAP_SYS_MODULE",
                                               "CAP_SYS_RAWIO",
                                               "CAP_SYS_CHROOT",
                                               "CAP_SYS_PTRACE",
                                               "CAP_SYS_PACCT",
                                               "CAP_SYS_ADMIN",
                                               "CAP_SYS_BOOT",
                                               "CAP_SYS_NICE",
                                               "CAP_SYS_RESOURCE",
                                               "CAP_SYS_TIME",
                                               "CAP_SYS_TTY_CONFIG",
                                               "CAP_MKNOD",
                                               "CAP_LEASE",
                                               "CAP_AUDIT_WRITE",
                                               "CAP_AUDIT_CONTROL",
                                               "CAP_SETFCAP",
                                               "CAP_MAC_OVERRIDE",
                                               "CAP_MAC_ADMIN",
                                               "CAP_SYSLOG",
                                               "CAP_WAKE_ALARM",
                                               "CAP_BLOCK_SUSPEND",
                                               "CAP_AUDIT_READ",
                                               "CAP_PERFMON",
                                               "CAP_BPF",
                                               "CAP_CHECKPOINT_RESTORE"};
static_assert(array_size(capability_names) == CAP_CHECKPOINT_RESTORE + 1);

int oci_capability_number(const char *name)
{
    bool prefixed = strncasecmp(name, "CAP_", 4) == 0;
    for (size_t i = 0; i < array_size(capability_names); i++)
        if (strcasecmp(capability_names[i] + 4, prefixed ? name + 4 : name) == 0)
            return (int)i;
    return -1;
}

const char *oci_capability_name(unsigned number)
{
    return number < array_size(capability_names) ? capability_names[number] : NULL;
}

static const struct {
    const char *name;
    int number;
} rlimits[] = {
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", 10},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

int oci_rlimit_number(const char *name)
{
    bool prefixed = strncmp(name, "RLIMIT_", 7) == 0;
    for (size_t i = 0; i < array_size(rlimits); i++)
        if (strcasecmp(rlimits[i].name + 7, prefixed ? name + 7 : name) == 0)
            return rlimits[i].number;
    return -1;
}

/* One of the five sets. A name that Linux does not know is skipped, and told as a warning. */
static int decode_capability_set(struct decode *d, const struct jnode *value, uint64_t *set,
                                 const char **unknown)
{
    if (value->type != JTREE_ARRAY)
        return error_set(d->err, -EINVAL, "a list of capabilities was expected");
    for (const struct jnode *c = jtree_first(value); c; c = jtree_next(value, c)) {
        if (c->type != JTREE_STRING)
            return error_set(d->err, -EINVAL, "a list of capabilities was expected");
        int n = oci_capability_number(jtree_text(d->doc, c));
        if (n >= 0)
            *set |= UINT64_C(1) << n;
        else if (!*unknown)
            *unknown = jtree_text(d->doc, c);
    }
    return 0;
}

static int decode_capabilities(struct decode *d, const struct jnode *value, void *to)
{
    struct oci_process *p = to;
    struct oci_capabilities *caps = &p->capabilities;
    const struct {
        const char *name;
        uint64_t *set;
    } sets[] = {{"bounding", &caps->bounding},
                {"effective", &caps->effective},
                {"inheritable", &caps->inheritable},
                {"permitted", &caps->permitted},
                {"ambient", &caps->ambient}};
    if (value->type != JTREE_OBJECT)
        return error_set(d->err, -EINVAL, "an object was expected");
    caps->set = true;
    for (size_t i = 0; i < array_size(sets); i++) {
        const struct jnode *set = jtree_get(d->doc, value, sets[i].name);
        int r = set ? decode_capability_set(d, set, sets[i].set, &p->unknown_capability) : 0;
        if (r < 0)
            return error_wrap(d->err, r, "%s", sets[i].name);
    }
    return 0;
}

static int decode_rlimit_type(struct decode *d, const struct jnode *value, void *to)
{
    const char *name = value->type == JTREE_STRING ? jtree_text(d->doc, value) : "";
    int n = strncmp(name, "RLIMIT_", 7) == 0 ? oci_rlimit_number(name) : -1;
    if (n < 0)
        return error_set(d->err, -EINVAL, "\"%s\" is no limit of Linux", name);
    *(int *)to = n;
    return 0;
}

static int rlimit_check(struct decode *d, void *to)
{
    const struct oci_rlimit *limit = to;
    return limit->soft <= limit->hard ? 0 : error_set(d->err, -EINVAL, "soft is higher than hard");
}

static const struct field rlimit_fields[] = {
    {"type", FIELD_FN, offsetof(struct oci_rlimit, resource), true, NULL, decode_rlimit_type, NULL},
    {"soft", FIELD_U64, offsetof(struct oci_rlimit, soft), true, NULL, NULL, NULL},
    {"hard", FIELD_U64, offsetof(struct oci_rlimit, hard), true, NULL, NULL, NULL},
};
static const struct shape rlimit_shape = {sizeof(struct oci_rlimit), rlimit_fields,
                                          array_size(rlimit_fields), rlimit_check, NULL};

static const struct field user_fields[] = {
    {.name = "uid", .kind = FIELD_U32, .offset = at(uid)},
    {.name = "gid", .kind = FIELD_U32, .offset = at(gid)},
    {.name = "umask", .kind = FIELD_OPT_U64, .offset = at(umask)},
    {.name = "additionalGids", .kind = FIELD_U32S, .offset = at(additional_gids)},
};
/* Decoded into oci_process itself, as the following ones. */
static const struct shape user_shape = {sizeof(struct oci_process), user_fields,
                                        array_size(user_fields), NULL, NULL};

static const struct field size_fields[] = {
    {.name = "height", .kind = FIELD_U32, .offset = at(rows)},
    {.name = "width", .kind = FIELD_U32, .offset = at(columns)},
};
static const struct shape size_shape = {sizeof(struct oci_process), size_fields,
                                        array_size(size_fields), NULL, NULL};

static int find_name(struct decode *d, const struct jnode *value, const char *const *names,
                     size_t count, int *to)
{
    const char *text = value->type == JTREE_STRING ? jtree_text(d->doc, value) : "";
    for (size_t i = 0; i < count; i++)
        if (names[i] && strcmp(names[i], text) == 0) {
            *to = (int)i;
            return 0;
        }
    return error_set(d->err, -EINVAL, "\"%s\" is unknown", text);
}

static int decode_io_class(struct decode *d, const struct jnode *value, void *to)
{
    static const char *const names[] = {
        [1] = "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"};
    return find_name(d, value, names, array_size(names), to);
}

static const struct field io_fields[] = {
    {.name = "class",
     .kind = FIELD_FN,
     .offset = at(io_class),
     .required = true,
     .fn = decode_io_class},
    {.name = "priority", .kind = FIELD_U32, .offset = at(io_priority)},
};
static const struct shape io_shape = {sizeof(struct oci_process), io_fields, array_size(io_fields),
                                      NULL, NULL};

static int decode_policy(struct decode *d, const struct jnode *value, void *to)
{
    static const char *const names[] = {
        [SCHED_OTHER] = "SCHED_OTHER", [SCHED_FIFO] = "SCHED_FIFO", [SCHED_RR] = "SCHED_RR",
        [SCHED_BATCH] = "SCHED_BATCH", [4] = "SCHED_ISO",           [SCHED_IDLE] = "SCHED_IDLE",
        [6] = "SCHED_DEADLINE"};
    return find_name(d, value, names, array_size(names), to);
}

static int decode_sched_flags(struct decode *d, const struct jnode *value, void *to)
{
    static const char *const names[] = {"SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM",
                                        "SCHED_FLAG_DL_OVERRUN",    "SCHED_FLAG_KEEP_POLICY",
                                        "SCHED_FLAG_KEEP_PARAMS",   "SCHED_FLAG_UTIL_CLAMP_MIN",
                                        "SCHED_FLAG_UTIL_CLAMP_MAX"};
    if (value->type != JTREE_ARRAY)
        return error_set(d->err, -EINVAL, "a list of flags was expected");
    for (const struct jnode *c = jtree_first(value); c; c = jtree_next(value, c)) {
        int bit = 0;
        int r = find_name(d, c, names, array_size(names), &bit);
        if (r < 0)
            return r;
        *(uint64_t *)to |= UINT64_C(1) << bit;
    }
    return 0;
}

static const struct field scheduler_fields[] = {
    {.name = "policy",
     .kind = FIELD_FN,
     .offset = at(sched_policy),
     .required = true,
     .fn = decode_policy},
    {.name = "nice", .kind = FIELD_I64, .offset = at(sched_nice)},
    {.name = "priority", .kind = FIELD_I64, .offset = at(sched_priority)},
    {.name = "flags", .kind = FIELD_FN, .offset = at(sched_flags), .fn = decode_sched_flags},
    {.name = "runtime", .kind = FIELD_U64, .offset = at(sched_runtime)},
    {.name = "deadline", .kind = FIELD_U64, .offset = at(sched_deadline)},
    {.name = "period", .kind = FIELD_U64, .offset = at(sched_period)},
};
static const struct shape scheduler_shape = {sizeof(struct oci_process), scheduler_fields,
                                             array_size(scheduler_fields), NULL, NULL};

static const struct field affinity_fields[] = {
    {.name = "initial", .kind = FIELD_STRING, .offset = at(cpu_initial)},
    {.name = "final", .kind = FIELD_STRING, .offset = at(cpu_final)},
};
static const struct shape affinity_shape = {sizeof(struct oci_process), affinity_fields,
                                            array_size(affinity_fields), NULL, NULL};

static const struct field process_fields[] = {
    {.name = "terminal", .kind = FIELD_BOOL, .offset = at(terminal)},
    {.name = "consoleSize", .kind = FIELD_OBJECT, .offset = 0, .shape = &size_shape},
    {.name = "user", .kind = FIELD_OBJECT, .offset = 0, .shape = &user_shape},
    {.name = "args", .kind = FIELD_STRINGS, .offset = at(args)},
    {.name = "env", .kind = FIELD_STRINGS, .offset = at(env)},
    {.name = "cwd", .kind = FIELD_STRING, .offset = at(cwd), .required = true},
    {.name = "capabilities", .kind = FIELD_FN, .offset = 0, .fn = decode_capabilities},
    {.name = "rlimits", .kind = FIELD_ARRAY, .offset = at(rlimits), .shape = &rlimit_shape},
    {.name = "noNewPrivileges", .kind = FIELD_BOOL, .offset = at(no_new_privileges)},
    {.name = "apparmorProfile", .kind = FIELD_STRING, .offset = at(apparmor_profile)},
    {.name = "selinuxLabel", .kind = FIELD_STRING, .offset = at(selinux_label)},
    {.name = "oomScoreAdj", .kind = FIELD_OPT_I64, .offset = at(oom_score_adj)},
    {.name = "ioPriority", .kind = FIELD_OBJECT, .offset = 0, .shape = &io_shape},
    {.name = "scheduler", .kind = FIELD_OBJECT, .offset = 0, .shape = &scheduler_shape},
    {.name = "execCPUAffinity", .kind = FIELD_OBJECT, .offset = 0, .shape = &affinity_shape},
};

static void process_init(void *to)
{
    struct oci_process *p = to;
    p->sched_policy = -1;
}

static int process_check(struct decode *d, void *to)
{
    const struct oci_process *p = to;
    if (p->cwd[0] != '/')
        return error_set(d->err, -EINVAL, "cwd: \"%s\" is not absolute", p->cwd);
    if (!p->args.n)
        return error_set(d->err, -EINVAL, "args must not be empty");
    if (p->umask.set && p->umask.value > 0777)
        return error_set(d->err, -EINVAL, "user: umask is over 0777");
    if (p->io_priority < 0 || p->io_priority > 7)
        return error_set(d->err, -EINVAL, "ioPriority: priority is not within 0..7");
    if (p->oom_score_adj.set && (p->oom_score_adj.value < -1000 || p->oom_score_adj.value > 1000))
        return error_set(d->err, -EINVAL, "oomScoreAdj is not within -1000..1000");
    if (p->sched_nice < -20 || p->sched_nice > 19)
        return error_set(d->err, -EINVAL, "scheduler: nice is not within -20..19");
    if (p->rows > 0xffff || p->columns > 0xffff)
        return error_set(d->err, -EINVAL, "consoleSize is over 65535");
    if (p->additional_gid_count > 65536)
        return error_set(d->err, -EINVAL, "user: more than 65536 additionalGids");
    for (size_t i = 0; i < p->rlimit_count; i++)
        for (size_t k = 0; k < i; k++)
            if (p->rlimits[i].resource == p->rlimits[k].resource)
                return error_set(d->err, -EINVAL, "rlimits: [%zu] is given twice", i);
    return 0;
}

const struct shape oci_process_shape = {sizeof(struct oci_process), process_fields,
                                        array_size(process_fields), process_check, process_init};
