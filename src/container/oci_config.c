/* SPDX-License-Identifier: Apache-2.0 */
#include "container/oci_config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/oci_arena.h"
#include "container/oci_shapes.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

enum { CONFIG_MAX = 64 << 20 };

#define at(member) offsetof(struct oci_config, member)

/* --- lists --- */

static const struct field id_map_fields[] = {
    {"containerID", FIELD_U32, offsetof(struct oci_id_map, container_id), true, NULL, NULL, NULL},
    {"hostID", FIELD_U32, offsetof(struct oci_id_map, host_id), true, NULL, NULL, NULL},
    {"size", FIELD_U32, offsetof(struct oci_id_map, size), true, NULL, NULL, NULL},
};
static const struct shape id_map_shape = {sizeof(struct oci_id_map), id_map_fields,
                                          array_size(id_map_fields), NULL, NULL};

#define mount_at(member) offsetof(struct oci_mount, member)
static const struct field mount_fields[] = {
    {.name = "destination",
     .kind = FIELD_STRING,
     .offset = mount_at(destination),
     .required = true},
    {.name = "type", .kind = FIELD_STRING, .offset = mount_at(type)},
    {.name = "source", .kind = FIELD_STRING, .offset = mount_at(source)},
    {.name = "options", .kind = FIELD_STRINGS, .offset = mount_at(options)},
    {.name = "uidMappings",
     .kind = FIELD_ARRAY,
     .offset = mount_at(uid_mappings),
     .shape = &id_map_shape},
    {.name = "gidMappings",
     .kind = FIELD_ARRAY,
     .offset = mount_at(gid_mappings),
     .shape = &id_map_shape},
};

/* A destination that is not absolute was allowed before runtime-spec 1.0.2: relative to "/". */
static int mount_check(struct decode *d, void *to)
{
    struct oci_mount *m = to;
    if (!*m->destination)
        return error_set(d->err, -EINVAL, "destination is empty");
    if (m->destination[0] != '/') {
        size_t n = strlen(m->destination);
        char *absolute = arena_alloc(d->arena, n + 2, 1);
        if (!absolute)
            return error_set(d->err, -ENOMEM, "out of memory");
        absolute[0] = '/';
        memcpy(absolute + 1, m->destination, n);
        m->destination = absolute;
    }
    if (!!m->uid_mappings.n != !!m->gid_mappings.n)
        return error_set(d->err, -EINVAL, "uidMappings and gidMappings belong together");
    return 0;
}
static const struct shape mount_shape = {sizeof(struct oci_mount), mount_fields,
                                         array_size(mount_fields), mount_check, NULL};

static int decode_namespace_type(struct decode *d, const struct jnode *value, void *to)
{
    static const struct {
        const char *name;
        int flag;
    } types[] = {{"pid", CLONE_NEWPID},       {"network", CLONE_NEWNET}, {"mount", CLONE_NEWNS},
                 {"ipc", CLONE_NEWIPC},       {"uts", CLONE_NEWUTS},     {"user", CLONE_NEWUSER},
                 {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME}};
    const char *name = value->type == JTREE_STRING ? jtree_text(d->doc, value) : "";
    for (size_t i = 0; i < array_size(types); i++)
        if (strcmp(types[i].name, name) == 0) {
            *(int *)to = types[i].flag;
            return 0;
        }
    return error_set(d->err, -EINVAL, "\"%s\" is no namespace of Linux", name);
}

static const struct field namespace_fields[] = {
    {"type", FIELD_FN, offsetof(struct oci_namespace, flag), true, NULL, decode_namespace_type,
     NULL},
    {"path", FIELD_STRING, offsetof(struct oci_namespace, path), false, NULL, NULL, NULL},
};
static int namespace_check(struct decode *d, void *to)
{
    struct oci_namespace *ns = to;
    if (ns->path && !*ns->path)
        ns->path = NULL;
    if (ns->path && ns->path[0] != '/')
        return error_set(d->err, -EINVAL, "path: \"%s\" is not absolute", ns->path);
    return 0;
}
static const struct shape namespace_shape = {sizeof(struct oci_namespace), namespace_fields,
                                             array_size(namespace_fields), namespace_check, NULL};

static int decode_device_type(struct decode *d, const struct jnode *value, void *to)
{
    const char *type = value->type == JTREE_STRING ? jtree_text(d->doc, value) : "";
    if (!*type || type[1] || !strchr("cbup", *type))
        return error_set(d->err, -EINVAL, "c, b, u or p was expected");
    *(char *)to = *type == 'u' ? 'c' : *type;
    return 0;
}

#define device_at(member) offsetof(struct oci_device, member)
static const struct field device_fields[] = {
    {"path", FIELD_STRING, device_at(path), true, NULL, NULL, NULL},
    {"type", FIELD_FN, device_at(type), true, NULL, decode_device_type, NULL},
    {"major", FIELD_U32, device_at(major), false, NULL, NULL, NULL},
    {"minor", FIELD_U32, device_at(minor), false, NULL, NULL, NULL},
    {"fileMode", FIELD_OPT_U64, device_at(mode), false, NULL, NULL, NULL},
    {"uid", FIELD_OPT_U64, device_at(uid), false, NULL, NULL, NULL},
    {"gid", FIELD_OPT_U64, device_at(gid), false, NULL, NULL, NULL},
};
static int device_check(struct decode *d, void *to)
{
    const struct oci_device *dev = to;
    if (dev->path[0] != '/')
        return error_set(d->err, -EINVAL, "path: \"%s\" is not absolute", dev->path);
    /* Some writers put the file type into the mode, which is harmless. */
    if (dev->mode.value > 0177777)
        return error_set(d->err, -EINVAL, "fileMode is over 07777");
    if (dev->uid.value > UINT32_MAX || dev->gid.value > UINT32_MAX)
        return error_set(d->err, -EINVAL, "uid or gid is not below 2^32");
    return 0;
}
static const struct shape device_shape = {sizeof(struct oci_device), device_fields,
                                          array_size(device_fields), device_check, NULL};

static const struct field hook_fields[] = {
    {"path", FIELD_STRING, offsetof(struct oci_hook, path), true, NULL, NULL, NULL},
    {"args", FIELD_STRINGS, offsetof(struct oci_hook, args), false, NULL, NULL, NULL},
    {"env", FIELD_STRINGS, offsetof(struct oci_hook, env), false, NULL, NULL, NULL},
    {"timeout", FIELD_OPT_I64, offsetof(struct oci_hook, timeout), false, NULL, NULL, NULL},
};
static int hook_check(struct decode *d, void *to)
{
    const struct oci_hook *hook = to;
    if (hook->path[0] != '/')
        return error_set(d->err, -EINVAL, "path: \"%s\" is not absolute", hook->path);
    if (hook->timeout.set && (hook->timeout.value <= 0 || hook->timeout.value > 1000000))
        return error_set(d->err, -EINVAL, "timeout is not within 1..1000000 seconds");
    return 0;
}
static const struct shape hook_shape = {sizeof(struct oci_hook), hook_fields,
                                        array_size(hook_fields), hook_check, NULL};

#define hooks_of(point) at(hooks[point])
static const struct field hooks_fields[] = {
    {"prestart", FIELD_ARRAY, hooks_of(OCI_HOOK_PRESTART), false, &hook_shape, NULL, NULL},
    {"createRuntime", FIELD_ARRAY, hooks_of(OCI_HOOK_CREATE_RUNTIME), false, &hook_shape, NULL,
     NULL},
    {"createContainer", FIELD_ARRAY, hooks_of(OCI_HOOK_CREATE_CONTAINER), false, &hook_shape, NULL,
     NULL},
    {"startContainer", FIELD_ARRAY, hooks_of(OCI_HOOK_START_CONTAINER), false, &hook_shape, NULL,
     NULL},
    {"poststart", FIELD_ARRAY, hooks_of(OCI_HOOK_POSTSTART), false, &hook_shape, NULL, NULL},
    {"poststop", FIELD_ARRAY, hooks_of(OCI_HOOK_POSTSTOP), false, &hook_shape, NULL, NULL},
};
static const struct shape hooks_shape = {sizeof(struct oci_config), hooks_fields,
                                         array_size(hooks_fields), NULL, NULL};

/* --- linux --- */

static int decode_personality(struct decode *d, const struct jnode *value, void *to)
{
    struct oci_config *config = to;
    const char *domain = jtree_get_string(d->doc, value, "domain");
    const struct jnode *flags = jtree_get(d->doc, value, "flags");
    if (!domain || (strcmp(domain, "LINUX") != 0 && strcmp(domain, "LINUX32") != 0))
        return error_set(d->err, -EINVAL, "domain: LINUX or LINUX32 was expected");
    if (flags && (flags->type != JTREE_ARRAY || flags->len))
        return error_set(d->err, -ENOTSUP, "flags: the specification defines none yet");
    config->has_personality = true;
    config->personality_32bit = domain[5] != '\0';
    return 0;
}

static int decode_time_offset(struct decode *d, const struct jnode *value,
                              struct oci_clock_offset *to)
{
    const struct jnode *secs = jtree_get(d->doc, value, "secs");
    const struct jnode *nanosecs = jtree_get(d->doc, value, "nanosecs");
    uint64_t ns = 0;
    if (value->type != JTREE_OBJECT || (secs && !jtree_i64(d->doc, secs, &to->secs)) ||
        (nanosecs && !jtree_u64(d->doc, nanosecs, &ns)) || ns > 999999999)
        return error_set(d->err, -EINVAL, "secs and nanosecs (below 10^9) were expected");
    to->nanosecs = (uint32_t)ns;
    to->set = true;
    return 0;
}

static int decode_time_offsets(struct decode *d, const struct jnode *value, void *to)
{
    struct oci_config *config = to;
    if (value->type != JTREE_OBJECT)
        return error_set(d->err, -EINVAL, "an object was expected");
    for (const struct jnode *c = jtree_first(value); c; c = jtree_next(value, c)) {
        const char *clock = jtree_key(d->doc, c);
        bool boot = strcmp(clock, "boottime") == 0;
        if (!boot && strcmp(clock, "monotonic") != 0)
            return error_set(d->err, -EINVAL, "%s is no clock of a time namespace", clock);
        int r = decode_time_offset(d, c, boot ? &config->boottime : &config->monotonic);
        if (r < 0)
            return error_wrap(d->err, r, "%s", clock);
    }
    return 0;
}

static const struct field linux_fields[] = {
    {.name = "uidMappings",
     .kind = FIELD_ARRAY,
     .offset = at(uid_mappings),
     .shape = &id_map_shape},
    {.name = "gidMappings",
     .kind = FIELD_ARRAY,
     .offset = at(gid_mappings),
     .shape = &id_map_shape},
    {.name = "sysctl", .kind = FIELD_MAP, .offset = at(sysctl)},
    {.name = "resources",
     .kind = FIELD_OBJECT,
     .offset = at(resources),
     .shape = &oci_resources_shape},
    {.name = "cgroupsPath", .kind = FIELD_STRING, .offset = at(cgroups_path)},
    {.name = "namespaces",
     .kind = FIELD_ARRAY,
     .offset = at(namespaces),
     .shape = &namespace_shape},
    {.name = "devices", .kind = FIELD_ARRAY, .offset = at(devices), .shape = &device_shape},
    {.name = "rootfsPropagation", .kind = FIELD_STRING, .offset = at(rootfs_propagation)},
    {.name = "maskedPaths", .kind = FIELD_STRINGS, .offset = at(masked_paths)},
    {.name = "readonlyPaths", .kind = FIELD_STRINGS, .offset = at(readonly_paths)},
    {.name = "mountLabel", .kind = FIELD_STRING, .offset = at(mount_label)},
    {.name = "seccomp", .kind = FIELD_POINTER, .offset = at(seccomp), .shape = &oci_seccomp_shape},
    {.name = "personality", .kind = FIELD_FN, .offset = 0, .fn = decode_personality},
    {.name = "timeOffsets", .kind = FIELD_FN, .offset = 0, .fn = decode_time_offsets},
    {.name = "intelRdt",
     .kind = FIELD_REFUSE,
     .refusal = "Isola does not manage Intel RDT; remove linux.intelRdt"},
    {.name = "netDevices",
     .kind = FIELD_REFUSE,
     .refusal = "moving network devices; move them in a createRuntime hook"},
    {.name = "memoryPolicy", .kind = FIELD_REFUSE, .refusal = "NUMA memory policies"},
};
static const struct shape linux_shape = {sizeof(struct oci_config), linux_fields,
                                         array_size(linux_fields), NULL, NULL};

static const struct field root_fields[] = {
    {.name = "path", .kind = FIELD_STRING, .offset = at(root_path), .required = true},
    {.name = "readonly", .kind = FIELD_BOOL, .offset = at(root_readonly)},
};
static const struct shape root_shape = {sizeof(struct oci_config), root_fields,
                                        array_size(root_fields), NULL, NULL};

static int decode_process(struct decode *d, const struct jnode *value, void *to)
{
    struct oci_config *config = to;
    config->has_process = true;
    return decode_object(d, value, &oci_process_shape, &config->process);
}

static const struct field config_fields[] = {
    {.name = "ociVersion", .kind = FIELD_STRING, .offset = at(version), .required = true},
    {.name = "process", .kind = FIELD_FN, .offset = 0, .fn = decode_process},
    {.name = "root", .kind = FIELD_OBJECT, .offset = 0, .shape = &root_shape},
    {.name = "hostname", .kind = FIELD_STRING, .offset = at(hostname)},
    {.name = "domainname", .kind = FIELD_STRING, .offset = at(domainname)},
    {.name = "mounts", .kind = FIELD_ARRAY, .offset = at(mounts), .shape = &mount_shape},
    {.name = "hooks", .kind = FIELD_OBJECT, .offset = 0, .shape = &hooks_shape},
    {.name = "annotations", .kind = FIELD_MAP, .offset = at(annotations)},
    {.name = "linux", .kind = FIELD_OBJECT, .offset = 0, .shape = &linux_shape},
};

/* --- rules between properties --- */

static int check_propagation(struct decode *d, struct oci_config *config)
{
    static const char *const known[] = {"shared",  "slave",  "private",  "unbindable",
                                        "rshared", "rslave", "rprivate", "runbindable"};
    const char *p = config->rootfs_propagation;
    if (!p || !*p) {
        config->rootfs_propagation = NULL;
        return 0;
    }
    for (size_t i = 0; i < array_size(known); i++)
        if (strcmp(known[i], p) == 0) {
            config->rootfs_propagation = known[i % 4];
            return 0;
        }
    return error_set(d->err, -EINVAL, "linux: rootfsPropagation: \"%s\" is unknown", p);
}

static int check_id_maps(struct decode *d, const struct oci_id_maps *maps, const char *name)
{
    if (maps->n > 340)
        return error_set(d->err, -EINVAL, "linux: %s: more than 340 ranges", name);
    for (size_t i = 0; i < maps->n; i++) {
        const struct oci_id_map *m = &maps->v[i];
        if (!m->size || (uint64_t)m->container_id + m->size > UINT32_MAX ||
            (uint64_t)m->host_id + m->size > UINT32_MAX)
            return error_set(d->err, -EINVAL, "linux: %s: [%zu]: size is out of range", name, i);
    }
    return 0;
}

static int check_namespaces(struct decode *d, struct oci_config *config)
{
    int seen = 0;
    for (size_t i = 0; i < config->namespace_count; i++) {
        if (seen & config->namespaces[i].flag)
            return error_set(d->err, -EINVAL, "linux: namespaces: [%zu] is given twice", i);
        seen |= config->namespaces[i].flag;
    }
    const struct oci_namespace *user = oci_config_namespace(config, CLONE_NEWUSER);
    bool maps = config->uid_mappings.n || config->gid_mappings.n;
    if (user && !user->path && (!config->uid_mappings.n || !config->gid_mappings.n))
        return error_set(d->err, -EINVAL,
                         "linux: a new user namespace needs uidMappings and gidMappings");
    if (maps && !user)
        return error_set(d->err, -EINVAL,
                         "linux: uidMappings or gidMappings without a user namespace");
    if ((config->boottime.set || config->monotonic.set) && !(seen & CLONE_NEWTIME))
        return error_set(d->err, -EINVAL, "linux: timeOffsets without a time namespace");
    if (config->hostname && *config->hostname && !(seen & CLONE_NEWUTS))
        return error_set(d->err, -EINVAL, "hostname is given without a uts namespace");
    if (config->domainname && *config->domainname && !(seen & CLONE_NEWUTS))
        return error_set(d->err, -EINVAL, "domainname is given without a uts namespace");
    if (!(seen & CLONE_NEWNS))
        return error_set(d->err, -ENOTSUP,
                         "linux: namespaces: a container without a mount namespace is not "
                         "supported; add {\"type\": \"mount\"}");
    return 0;
}

static int config_check(struct decode *d, void *to)
{
    struct oci_config *config = to;
    if (config->version[0] != '1' || config->version[1] != '.')
        return error_set(d->err, -ENOTSUP, "ociVersion %s: only 1.x is supported", config->version);
    if (config->root_path && !*config->root_path)
        return error_set(d->err, -EINVAL, "root: path is empty");
    if (config->hostname && strlen(config->hostname) > 64)
        return error_set(d->err, -EINVAL, "hostname is longer than 64 bytes");
    if (config->domainname && strlen(config->domainname) > 64)
        return error_set(d->err, -EINVAL, "domainname is longer than 64 bytes");
    const char *path = config->cgroups_path;
    for (const char *p = path; p && (p = strstr(p, "..")); p += 2)
        if ((p == path || p[-1] == '/') && (!p[2] || p[2] == '/'))
            return error_set(d->err, -EINVAL, "linux: cgroupsPath: \"%s\" contains \"..\"", path);
    int r = check_propagation(d, config);
    r = r < 0 ? r : check_id_maps(d, &config->uid_mappings, "uidMappings");
    r = r < 0 ? r : check_id_maps(d, &config->gid_mappings, "gidMappings");
    return r < 0 ? r : check_namespaces(d, config);
}
static const struct shape config_shape = {sizeof(struct oci_config), config_fields,
                                          array_size(config_fields), config_check, NULL};

/* --- entries --- */

static const struct field process_only_fields[] = {
    {.name = "process", .kind = FIELD_FN, .offset = 0, .required = true, .fn = decode_process},
};

enum part { PART_ALL, PART_PROCESS, PART_RESOURCES };

static int decode_part(struct decode *d, enum part part, struct oci_config *config)
{
    const struct jnode *root = d->doc->nodes;
    static const struct shape wrapped = {sizeof(struct oci_config), process_only_fields,
                                         array_size(process_only_fields), NULL, NULL};
    if (part == PART_ALL)
        return decode_object(d, root, &config_shape, config);
    if (part == PART_RESOURCES)
        return decode_object(d, root, &oci_resources_shape, &config->resources);
    /* A whole config.json serves as well as its process part alone. */
    if (jtree_get(d->doc, root, "process"))
        return decode_object(d, root, &wrapped, config);
    return decode_process(d, root, config);
}

static int parse(const char *text, size_t len, enum part part, struct oci_config **ret,
                 struct error *err)
{
    struct oci_arena *arena = mem_new(struct oci_arena);
    if (!arena)
        return error_set(err, -ENOMEM, "out of memory");
    int r = jtree_parse(text, len, &arena->doc, err);
    struct oci_config *config = NULL;
    if (r == 0) {
        arena->text = malloc(len + 1);
        config = arena_alloc(arena, 1, sizeof *config);
        if (!config || !arena->text)
            r = error_set(err, -ENOMEM, "out of memory");
    }
    if (r == 0) {
        struct decode d = {&arena->doc, arena, err};
        memcpy(arena->text, text, len);
        arena->text[len] = '\0';
        config->arena = arena;
        config->text = arena->text;
        config->process.sched_policy = -1;
        r = decode_part(&d, part, config);
    }
    if (r < 0) {
        arena_done(arena);
        free(arena);
        return r;
    }
    *ret = config;
    return 0;
}

int oci_config_parse(const char *text, size_t len, struct oci_config **ret, struct error *err)
{
    return parse(text, len, PART_ALL, ret, err);
}

int oci_config_parse_process(const char *text, size_t len, struct oci_config **ret,
                             struct error *err)
{
    return parse(text, len, PART_PROCESS, ret, err);
}

int oci_config_parse_resources(const char *text, size_t len, struct oci_config **ret,
                               struct error *err)
{
    return parse(text, len, PART_RESOURCES, ret, err);
}

int oci_config_read(const char *path, struct oci_config **ret, struct error *err)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set_errno(err, -errno, "read %s", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, -EINVAL, "read %s: not a file", path);
    if (st.st_size > CONFIG_MAX)
        return error_set(err, -EFBIG, "read %s: over 64 MiB", path);
    cleanup_free char *text = malloc((size_t)st.st_size + 1);
    size_t len = 0;
    if (!text)
        return error_set(err, -ENOMEM, "out of memory");
    while (len < (size_t)st.st_size) {
        ssize_t n = read(fd, text + len, (size_t)st.st_size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, -errno, "read %s", path);
        if (n == 0)
            break;
        len += (size_t)n;
    }
    int r = oci_config_parse(text, len, ret, err);
    return r < 0 ? error_wrap(err, r, "%s", path) : 0;
}

void oci_config_free(struct oci_config *config)
{
    if (!config)
        return;
    struct oci_arena *arena = config->arena; /* holds @config itself */
    arena_done(arena);
    free(arena);
}

const struct oci_namespace *oci_config_namespace(const struct oci_config *config, int flag)
{
    for (size_t i = 0; i < config->namespace_count; i++)
        if (config->namespaces[i].flag == flag)
            return &config->namespaces[i];
    return NULL;
}

const char *oci_config_annotation(const struct oci_config *config, const char *key)
{
    for (size_t i = 0; i < config->annotations.n; i++)
        if (strcmp(config->annotations.v[i].key, key) == 0)
            return config->annotations.v[i].value;
    return NULL;
}
