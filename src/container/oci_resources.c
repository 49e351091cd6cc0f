/* SPDX-License-Identifier: Apache-2.0 */
/* The shapes of linux.resources and linux.seccomp (config-linux.json). */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "container/oci_config.h"
#include "container/oci_shapes.h"

#define field_of(type, member, property, what)                                                     \
    {                                                                                              \
        .name = property, .kind = what, .offset = offsetof(struct type, member)                    \
    }
#define shaped_field(type, member, property, what, by)                                             \
    {                                                                                              \
        .name = property, .kind = what, .offset = offsetof(struct type, member), .shape = by       \
    }
#define required_field(type, member, property, what)                                               \
    {                                                                                              \
        .name = property, .kind = what, .offset = offsetof(struct type, member), .required = true  \
    }
#define fn_field(type, member, property, decode)                                                   \
    {                                                                                              \
        .name = property, .kind = FIELD_FN, .offset = offsetof(struct type, member), .fn = decode  \
    }

/* --- devices --- */

static void rule_init(void *to)
{
    struct oci_device_rule *rule = to;
    rule->type = 'a';
    rule->major = rule->minor = -1;
}

static int rule_type(struct decode *d, const struct jnode *value, void *to)
{
    const char *type = value->type == JTREE_STRING ? jtree_text(d->doc, value) : "?";
    if (!*type)
        return 0;
    if (type[1] || !strchr("acb", *type))
        return error_set(d->err, -EINVAL, "a, c or b was expected");
    *(char *)to = *type;
    return 0;
}

static int rule_access(struct decode *d, const struct jnode *value, void *to)
{
    struct oci_device_rule *rule = to;
    if (value->type != JTREE_STRING)
        return error_set(d->err, -EINVAL, "letters of rwm were expected");
    for (const char *p = jtree_text(d->doc, value); *p; p++) {
        if (!strchr("rwm", *p))
            return error_set(d->err, -EINVAL, "letters of rwm were expected");
        rule->read |= *p == 'r';
        rule->write |= *p == 'w';
        rule->mknod |= *p == 'm';
    }
    return 0;
}

/* The property is absent or empty in some writers' "all": that means every access. */
static int rule_check(struct decode *d, void *to)
{
    struct oci_device_rule *rule = to;
    if (!rule->read && !rule->write && !rule->mknod)
        rule->read = rule->write = rule->mknod = true;
    if (rule->major < -1 || rule->minor < -1 || rule->major > UINT32_MAX ||
        rule->minor > UINT32_MAX)
        return error_set(d->err, -EINVAL, "major or minor is out of range");
    return 0;
}

static const struct field rule_fields[] = {
    required_field(oci_device_rule, allow, "allow", FIELD_BOOL),
    fn_field(oci_device_rule, type, "type", rule_type),
    field_of(oci_device_rule, major, "major", FIELD_I64),
    field_of(oci_device_rule, minor, "minor", FIELD_I64),
    {.name = "access", .kind = FIELD_FN, .offset = 0, .fn = rule_access},
};
static const struct shape rule_shape = {sizeof(struct oci_device_rule), rule_fields,
                                        array_size(rule_fields), rule_check, rule_init};

/* --- memory, cpu --- */

static const struct field memory_fields[] = {
    field_of(oci_memory, limit, "limit", FIELD_OPT_I64),
    field_of(oci_memory, reservation, "reservation", FIELD_OPT_I64),
    field_of(oci_memory, swap, "swap", FIELD_OPT_I64),
    field_of(oci_memory, kernel, "kernel", FIELD_OPT_I64),
    field_of(oci_memory, kernel_tcp, "kernelTCP", FIELD_OPT_I64),
    field_of(oci_memory, swappiness, "swappiness", FIELD_OPT_U64),
    field_of(oci_memory, disable_oom_killer, "disableOOMKiller", FIELD_BOOL),
    field_of(oci_memory, use_hierarchy, "useHierarchy", FIELD_BOOL),
    field_of(oci_memory, check_before_update, "checkBeforeUpdate", FIELD_BOOL),
};
static const struct shape memory_shape = {sizeof(struct oci_memory), memory_fields,
                                          array_size(memory_fields), NULL, NULL};

static const struct field cpu_fields[] = {
    field_of(oci_cpu, shares, "shares", FIELD_OPT_U64),
    field_of(oci_cpu, quota, "quota", FIELD_OPT_I64),
    field_of(oci_cpu, burst, "burst", FIELD_OPT_U64),
    field_of(oci_cpu, period, "period", FIELD_OPT_U64),
    field_of(oci_cpu, realtime_runtime, "realtimeRuntime", FIELD_OPT_I64),
    field_of(oci_cpu, realtime_period, "realtimePeriod", FIELD_OPT_U64),
    field_of(oci_cpu, cpus, "cpus", FIELD_STRING),
    field_of(oci_cpu, mems, "mems", FIELD_STRING),
    field_of(oci_cpu, idle, "idle", FIELD_OPT_I64),
};
static const struct shape cpu_shape = {sizeof(struct oci_cpu), cpu_fields, array_size(cpu_fields),
                                       NULL, NULL};

static const struct field pids_fields[] = {
    {.name = "limit", .kind = FIELD_OPT_I64, .offset = 0},
};
static const struct shape pids_shape = {sizeof(struct oci_i64), pids_fields,
                                        array_size(pids_fields), NULL, NULL};

/* --- block I/O, huge pages, network, rdma --- */

static const struct field weight_fields[] = {
    required_field(oci_block_weight, major, "major", FIELD_I64),
    required_field(oci_block_weight, minor, "minor", FIELD_I64),
    field_of(oci_block_weight, weight, "weight", FIELD_OPT_U64),
    field_of(oci_block_weight, leaf_weight, "leafWeight", FIELD_OPT_U64),
};
static const struct shape weight_shape = {sizeof(struct oci_block_weight), weight_fields,
                                          array_size(weight_fields), NULL, NULL};

static const struct field rate_fields[] = {
    required_field(oci_block_rate, major, "major", FIELD_I64),
    required_field(oci_block_rate, minor, "minor", FIELD_I64),
    required_field(oci_block_rate, rate, "rate", FIELD_U64),
};
static const struct shape rate_shape = {sizeof(struct oci_block_rate), rate_fields,
                                        array_size(rate_fields), NULL, NULL};

static const struct field block_fields[] = {
    field_of(oci_block_io, weight, "weight", FIELD_OPT_U64),
    field_of(oci_block_io, leaf_weight, "leafWeight", FIELD_OPT_U64),
    shaped_field(oci_block_io, weight_devices, "weightDevice", FIELD_ARRAY, &weight_shape),
    shaped_field(oci_block_io, read_bps, "throttleReadBpsDevice", FIELD_ARRAY, &rate_shape),
    shaped_field(oci_block_io, write_bps, "throttleWriteBpsDevice", FIELD_ARRAY, &rate_shape),
    shaped_field(oci_block_io, read_iops, "throttleReadIOPSDevice", FIELD_ARRAY, &rate_shape),
    shaped_field(oci_block_io, write_iops, "throttleWriteIOPSDevice", FIELD_ARRAY, &rate_shape),
};
static const struct shape block_shape = {sizeof(struct oci_block_io), block_fields,
                                         array_size(block_fields), NULL, NULL};

static const struct field hugepage_fields[] = {
    required_field(oci_hugepage_limit, page_size, "pageSize", FIELD_STRING),
    required_field(oci_hugepage_limit, limit, "limit", FIELD_U64),
};
static const struct shape hugepage_shape = {sizeof(struct oci_hugepage_limit), hugepage_fields,
                                            array_size(hugepage_fields), NULL, NULL};

static const struct field priority_fields[] = {
    required_field(oci_net_priority, name, "name", FIELD_STRING),
    required_field(oci_net_priority, priority, "priority", FIELD_U32),
};
static const struct shape priority_shape = {sizeof(struct oci_net_priority), priority_fields,
                                            array_size(priority_fields), NULL, NULL};

static const struct field network_fields[] = {
    field_of(oci_resources, net_class_id, "classID", FIELD_OPT_U64),
    shaped_field(oci_resources, net_priorities, "priorities", FIELD_ARRAY, &priority_shape),
};
/* Decoded into oci_resources itself. */
static const struct shape network_shape = {sizeof(struct oci_resources), network_fields,
                                           array_size(network_fields), NULL, NULL};

static const struct field rdma_fields[] = {
    field_of(oci_rdma, handles, "hcaHandles", FIELD_OPT_U64),
    field_of(oci_rdma, objects, "hcaObjects", FIELD_OPT_U64),
};
static const struct shape rdma_shape = {sizeof(struct oci_rdma), rdma_fields,
                                        array_size(rdma_fields), NULL, NULL};

static int decode_rdma(struct decode *d, const struct jnode *value, void *to)
{
    struct oci_resources *r = to;
    if (value->type != JTREE_OBJECT)
        return error_set(d->err, -EINVAL, "an object was expected");
    r->rdma = arena_alloc(d->arena, (size_t)value->len + 1, sizeof *r->rdma);
    if (!r->rdma)
        return error_set(d->err, -ENOMEM, "out of memory");
    for (const struct jnode *c = jtree_first(value); c; c = jtree_next(value, c)) {
        struct oci_rdma *device = &r->rdma[r->rdma_count];
        device->device = jtree_key(d->doc, c);
        int e = decode_object(d, c, &rdma_shape, device);
        if (e < 0)
            return error_wrap(d->err, e, "%s", device->device);
        r->rdma_count++;
    }
    return 0;
}

static const struct field resource_fields[] = {
    shaped_field(oci_resources, devices, "devices", FIELD_ARRAY, &rule_shape),
    shaped_field(oci_resources, memory, "memory", FIELD_OBJECT, &memory_shape),
    shaped_field(oci_resources, cpu, "cpu", FIELD_OBJECT, &cpu_shape),
    shaped_field(oci_resources, pids_limit, "pids", FIELD_OBJECT, &pids_shape),
    shaped_field(oci_resources, block_io, "blockIO", FIELD_OBJECT, &block_shape),
    shaped_field(oci_resources, hugepages, "hugepageLimits", FIELD_ARRAY, &hugepage_shape),
    {.name = "network", .kind = FIELD_OBJECT, .offset = 0, .shape = &network_shape},
    {.name = "rdma", .kind = FIELD_FN, .offset = 0, .fn = decode_rdma},
    field_of(oci_resources, unified, "unified", FIELD_MAP),
};

/* Names of files of a cgroup, nothing that leaves it. */
static int resources_check(struct decode *d, void *to)
{
    const struct oci_resources *r = to;
    for (size_t i = 0; i < r->unified.n; i++) {
        const char *key = r->unified.v[i].key;
        if (strchr(key, '/') || !strchr(key, '.') || *key == '.')
            return error_set(d->err, -EINVAL, "unified: \"%s\" is no file of a cgroup", key);
    }
    return 0;
}

const struct shape oci_resources_shape = {sizeof(struct oci_resources), resource_fields,
                                          array_size(resource_fields), resources_check, NULL};

/* --- seccomp --- */

static int find_word(struct decode *d, const struct jnode *value, const char *const *words,
                     size_t count, const char *what, int *ret)
{
    const char *text = value->type == JTREE_STRING ? jtree_text(d->doc, value) : "";
    for (size_t i = 0; i < count; i++)
        if (words[i] && strcmp(words[i], text) == 0) {
            *ret = (int)i;
            return 0;
        }
    return error_set(d->err, -EINVAL, "\"%s\" is no %s", text, what);
}

static int decode_action(struct decode *d, const struct jnode *value, void *to)
{
    static const char *const words[] = {
        [OCI_SECCOMP_KILL_THREAD] = "SCMP_ACT_KILL_THREAD",
        [OCI_SECCOMP_KILL_PROCESS] = "SCMP_ACT_KILL_PROCESS",
        [OCI_SECCOMP_TRAP] = "SCMP_ACT_TRAP",
        [OCI_SECCOMP_ERRNO] = "SCMP_ACT_ERRNO",
        [OCI_SECCOMP_TRACE] = "SCMP_ACT_TRACE",
        [OCI_SECCOMP_ALLOW] = "SCMP_ACT_ALLOW",
        [OCI_SECCOMP_LOG] = "SCMP_ACT_LOG",
        [OCI_SECCOMP_NOTIFY] = "SCMP_ACT_NOTIFY",
    };
    int found = OCI_SECCOMP_KILL_THREAD;
    if (value->type != JTREE_STRING || strcmp(jtree_text(d->doc, value), "SCMP_ACT_KILL") != 0) {
        int r = find_word(d, value, words, array_size(words), "seccomp action", &found);
        if (r < 0)
            return r;
    }
    *(enum oci_seccomp_action *)to = (enum oci_seccomp_action)found;
    return 0;
}

static int decode_op(struct decode *d, const struct jnode *value, void *to)
{
    static const char *const words[] = {
        [OCI_SECCOMP_NE] = "SCMP_CMP_NE",
        [OCI_SECCOMP_LT] = "SCMP_CMP_LT",
        [OCI_SECCOMP_LE] = "SCMP_CMP_LE",
        [OCI_SECCOMP_EQ] = "SCMP_CMP_EQ",
        [OCI_SECCOMP_GE] = "SCMP_CMP_GE",
        [OCI_SECCOMP_GT] = "SCMP_CMP_GT",
        [OCI_SECCOMP_MASKED_EQ] = "SCMP_CMP_MASKED_EQ",
    };
    int found = OCI_SECCOMP_NE;
    int r = find_word(d, value, words, array_size(words), "comparison of seccomp", &found);
    if (r == 0)
        *(enum oci_seccomp_op *)to = (enum oci_seccomp_op)found;
    return r;
}

static int arg_check(struct decode *d, void *to)
{
    const struct oci_seccomp_arg *arg = to;
    return arg->index < 6 ? 0 : error_set(d->err, -EINVAL, "index is over 5");
}

static const struct field arg_fields[] = {
    required_field(oci_seccomp_arg, index, "index", FIELD_U32),
    required_field(oci_seccomp_arg, value, "value", FIELD_U64),
    field_of(oci_seccomp_arg, value_two, "valueTwo", FIELD_U64),
    {.name = "op",
     .kind = FIELD_FN,
     .offset = offsetof(struct oci_seccomp_arg, op),
     .required = true,
     .fn = decode_op},
};
static const struct shape arg_shape = {sizeof(struct oci_seccomp_arg), arg_fields,
                                       array_size(arg_fields), arg_check, NULL};

static int seccomp_rule_check(struct decode *d, void *to)
{
    const struct oci_seccomp_rule *rule = to;
    if (!rule->names.n)
        return error_set(d->err, -EINVAL, "names is empty");
    if (rule->errno_ret.set && rule->errno_ret.value > 0xffff)
        return error_set(d->err, -EINVAL, "errnoRet is over 65535");
    return 0;
}

static const struct field seccomp_rule_fields[] = {
    required_field(oci_seccomp_rule, names, "names", FIELD_STRINGS),
    {.name = "action",
     .kind = FIELD_FN,
     .offset = offsetof(struct oci_seccomp_rule, action),
     .required = true,
     .fn = decode_action},
    field_of(oci_seccomp_rule, errno_ret, "errnoRet", FIELD_OPT_U64),
    shaped_field(oci_seccomp_rule, args, "args", FIELD_ARRAY, &arg_shape),
};
static const struct shape seccomp_rule_shape = {
    sizeof(struct oci_seccomp_rule), seccomp_rule_fields, array_size(seccomp_rule_fields),
    seccomp_rule_check, NULL};

static int seccomp_check(struct decode *d, void *to)
{
    const struct oci_seccomp *s = to;
    if (s->default_action == OCI_SECCOMP_NOTIFY)
        return error_set(d->err, -EINVAL, "SCMP_ACT_NOTIFY cannot be the default action");
    if (s->default_errno_ret.set && s->default_errno_ret.value > 0xffff)
        return error_set(d->err, -EINVAL, "defaultErrnoRet is over 65535");
    if (s->listener_metadata && *s->listener_metadata && (!s->listener_path || !*s->listener_path))
        return error_set(d->err, -EINVAL, "listenerMetadata is given without listenerPath");
    return 0;
}

static const struct field seccomp_fields[] = {
    {.name = "defaultAction",
     .kind = FIELD_FN,
     .offset = offsetof(struct oci_seccomp, default_action),
     .required = true,
     .fn = decode_action},
    field_of(oci_seccomp, default_errno_ret, "defaultErrnoRet", FIELD_OPT_U64),
    field_of(oci_seccomp, architectures, "architectures", FIELD_STRINGS),
    field_of(oci_seccomp, flags, "flags", FIELD_STRINGS),
    field_of(oci_seccomp, listener_path, "listenerPath", FIELD_STRING),
    field_of(oci_seccomp, listener_metadata, "listenerMetadata", FIELD_STRING),
    shaped_field(oci_seccomp, syscalls, "syscalls", FIELD_ARRAY, &seccomp_rule_shape),
};
const struct shape oci_seccomp_shape = {sizeof(struct oci_seccomp), seccomp_fields,
                                        array_size(seccomp_fields), seccomp_check, NULL};
