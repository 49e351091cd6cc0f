/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system call filter of a container: the default one, none, or a file in OCI's form or in
 * Docker's, which is OCI's with conditions on rules ("includes", "excludes").
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/oci_config.h"
#include "container/seccomp.h"
#include "instance/container_config_internal.h"
#include "instance/json.h"

enum { PROFILE_MAX = 1 << 20 };

static const char *profile_option(const struct spec *spec)
{
    const char *found = NULL;

    for (size_t i = 0; i < spec->container.security_opts.count; i++)
        if (str_starts(spec->container.security_opts.items[i], "seccomp="))
            found = spec->container.security_opts.items[i] + 8;
    return found;
}

static bool has_text(json_t *list, const char *text)
{
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v) if (json_is_string(v) &&
                                       strcmp(json_string_value(v), text) == 0) return true;
    return false;
}

/* Whether the running kernel is at least @text ("4.8"). */
static bool kernel_is(const char *text)
{
    unsigned want[2] = {0}, have[2] = {0};
    struct utsname u;

    uname(&u);
    if (sscanf(text, "%u.%u", &want[0], &want[1]) < 1 ||
        sscanf(u.release, "%u.%u", &have[0], &have[1]) < 1)
        return false;
    return have[0] != want[0] ? have[0] > want[0] : have[1] >= want[1];
}

/* Whether all of "includes" (@all), or any of "excludes", holds. */
static bool holds(json_t *conditions, uint64_t capabilities, bool all)
{
    json_t *caps = json_object_get(conditions, "caps"),
           *arches = json_object_get(conditions, "arches"), *v;
    const char *kernel = json_string_value(json_object_get(conditions, "minKernel"));
    size_t i;

    json_array_foreach(caps, i, v)
    {
        int n = json_is_string(v) ? oci_capability_number(json_string_value(v)) : -1;
        bool have = n >= 0 && (capabilities >> n & 1);
        if (have != all)
            return !all;
    }
    if (json_array_size(arches) && (has_text(arches, "amd64") || has_text(arches, "x86_64")) != all)
        return !all;
    if (kernel && kernel_is(kernel) != all)
        return !all;
    return all;
}

/* Docker's form becomes OCI's. */
static void resolve(json_t *profile, uint64_t capabilities)
{
    json_t *rules = json_object_get(profile, "syscalls"), *kept = json_array(), *rule;
    size_t i;

    json_array_foreach(rules, i, rule)
    {
        json_t *includes = json_object_get(rule, "includes"),
               *excludes = json_object_get(rule, "excludes");
        if (json_object_size(includes) && !holds(includes, capabilities, true))
            continue;
        if (json_object_size(excludes) && holds(excludes, capabilities, false))
            continue;
        json_object_del(rule, "includes");
        json_object_del(rule, "excludes");
        json_object_del(rule, "comment");
        if (!json_array_size(json_object_get(rule, "args")))
            json_object_del(rule, "args");
        json_array_append(kept, rule);
    }
    json_object_set_new(profile, "syscalls", kept);
    if (json_object_get(profile, "archMap")) {
        json_object_del(profile, "archMap");
        json_object_set_new(
            profile, "architectures",
            json_pack("[s,s,s]", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"));
    }
}

static int read_profile(const char *path, uint64_t capabilities, struct str *out, struct error *err)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    cleanup_free char *text = malloc(PROFILE_MAX), *made = NULL;
    ssize_t n = fd < 0 || !text ? -1 : read(fd, text, PROFILE_MAX);
    json_t *profile;

    if (n < 0)
        return error_set_errno(err, -errno, "read the seccomp profile %s", path);
    profile = json_parse(text, (size_t)n, err);
    if (!profile)
        return error_wrap(err, -EINVAL, "seccomp profile %s", path);
    if (!json_is_object(profile) || !json_object_get(profile, "defaultAction")) {
        json_decref(profile);
        return error_set(err, -EINVAL, "seccomp profile %s: no object with a defaultAction", path);
    }
    resolve(profile, capabilities);
    made = json_dumps(profile, JSON_COMPACT);
    json_decref(profile);
    if (!made)
        return error_set(err, -ENOMEM, "out of memory");
    str_add(out, made);
    return 0;
}

bool container_seccomp_is_default(const struct spec *spec)
{
    const char *option = profile_option(spec);

    return option ? strcmp(option, "builtin") == 0 : !spec->container.privileged;
}

int container_seccomp(const struct spec *spec, struct str *out, struct error *err)
{
    const char *option = profile_option(spec);
    uint64_t capabilities = 0;
    int r = container_capability_set(spec, spec->container.privileged, &capabilities, err);

    if (r < 0 || (option && strcmp(option, "unconfined") == 0) ||
        (!option && spec->container.privileged))
        return r;
    if (option && strcmp(option, "builtin") != 0)
        return read_profile(option, capabilities, out, err);
    seccomp_default_json(capabilities, out);
    return out->failed ? error_set(err, -ENOMEM, "out of memory") : 0;
}
