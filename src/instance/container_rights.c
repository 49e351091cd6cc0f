/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities and devices of a container. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/oci_config.h"
#include "container/seccomp.h"
#include "instance/container_config_internal.h"
#include "instance/json.h"

#define BIT(cap) (1ull << (cap))
/* Those that this process may give. */
static uint64_t available_capabilities(void)
{
    uint64_t all = 0;
    char line[128];
    FILE *f = fopen("/proc/self/status", "re");

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "CapBnd: %llx", (unsigned long long *)&all) == 1)
            break;
    if (f)
        fclose(f);
    return all ? all : BIT(CAP_LAST_CAP + 1) - 1;
}

static int change(uint64_t *set, const struct spec_list *list, bool on, struct error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *name = list->items[i];
        int number = oci_capability_number(name);
        uint64_t bits = number >= 0 ? BIT(number) : 0;
        if (strcasecmp(name, "ALL") == 0)
            bits = available_capabilities();
        else if (number < 0)
            return error_set(err, -EINVAL, "there is no capability \"%.40s\"", name);
        *set = on ? *set | bits : *set & ~bits;
    }
    return 0;
}

static bool is_all(const struct spec_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcasecmp(list->items[i], "ALL") == 0)
            return true;
    return false;
}

int container_capability_set(const struct spec *spec, bool privileged, uint64_t *ret,
                             struct error *err)
{
    const struct spec_container *c = &spec->container;
    uint64_t set = seccomp_default_capabilities();
    int r;

    /* Its own login; and its own reboot, which in a process namespace of one's own is no more. */
    if (c->boot || privileged)
        set |= (BIT(CAP_AUDIT_CONTROL) | BIT(CAP_SYS_BOOT)) & available_capabilities();
    /* ALL goes first, so that "--cap-drop ALL --cap-add CHOWN" leaves CHOWN, in any order. */
    if (is_all(&c->cap_drop))
        set = 0;
    if (privileged || is_all(&c->cap_add))
        set = available_capabilities();
    r = is_all(&c->cap_drop) ? 0 : change(&set, &c->cap_drop, false, err);
    if (r == 0)
        r = change(&set, &c->cap_add, true, err);
    if (r == 0 && is_all(&c->cap_add))
        r = change(&set, &c->cap_drop, false, err);
    if (r == 0)
        *ret = set;
    return r;
}

json_t *container_capabilities(const struct spec *spec, bool privileged, struct error *err)
{
    json_t *names, *o;
    uint64_t set;

    if (container_capability_set(spec, privileged, &set, err) < 0)
        return NULL;
    names = json_array();
    for (unsigned i = 0; i < 64; i++)
        if ((set & BIT(i)) && oci_capability_name(i))
            json_array_append_new(names, json_string(oci_capability_name(i)));
    o = json_pack("{s:O,s:O,s:O}", "bounding", names, "effective", names, "permitted", names);
    json_decref(names);
    return o;
}

static void add_device(json_t *list, const char *path, const struct stat *st)
{
    json_array_append_new(list, json_pack("{s:o,s:s,s:i,s:i,s:i,s:I,s:I}", "path", json_text(path),
                                          "type", S_ISBLK(st->st_mode) ? "b" : "c", "major",
                                          (int)major(st->st_rdev), "minor", (int)minor(st->st_rdev),
                                          "fileMode", (int)(st->st_mode & 07777), "uid",
                                          (json_int_t)st->st_uid, "gid", (json_int_t)st->st_gid));
}

/* PATH[:PATH-INSIDE[:rwm]] */
static int one_device(const char *text, json_t *list, struct error *err)
{
    cleanup_free char *copy = strdup(text);
    char *inside, *access = NULL;
    struct stat st;

    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    inside = strchr(copy, ':');
    if (inside) {
        *inside++ = 0;
        access = strchr(inside, ':');
        if (access)
            *access++ = 0;
        if (!access && *inside != '/' && strspn(inside, "rwm") == strlen(inside)) {
            access = inside;
            inside = NULL;
        }
    }
    if (stat(copy, &st) < 0)
        return error_set_errno(err, -errno, "device %s", copy);
    if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
        return error_set(err, -ENOTSUP, "device %s: not a device; name each one", copy);
    if (inside && *inside != '/')
        return error_set(err, -EINVAL, "device \"%.60s\": %s is not an absolute path", text,
                         inside);
    if (access && (!*access || strspn(access, "rwm") != strlen(access)))
        return error_set(err, -EINVAL, "device \"%.60s\": \"%s\" is not of r, w, m", text, access);
    add_device(list, inside ? inside : copy, &st);
    json_object_set_new(json_array_get(list, json_array_size(list) - 1), "x-access",
                        json_string(access ? access : "rwm"));
    return 0;
}

/* All devices directly in /dev; terminals are the container's own. */
static int all_devices(json_t *list, struct error *err)
{
    static const char own[] = " console full null ptmx random tty urandom zero ";
    DIR *d = opendir("/dev");
    struct dirent *e;

    if (!d)
        return error_set_errno(err, -errno, "open /dev");
    while ((e = readdir(d))) {
        cleanup_free char *word = str_format(" %s ", e->d_name),
                          *path = str_format("/dev/%s", e->d_name);
        struct stat st;
        if (!word || !path || strstr(own, word) ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)))
            continue;
        add_device(list, path, &st);
    }
    closedir(d);
    return 0;
}

int container_devices(const struct spec *spec, bool rootless, json_t *list, struct error *err)
{
    const struct spec_list *said = &spec->container.devices;

    for (size_t i = 0; i < said->count; i++) {
        int r = one_device(said->items[i], list, err);
        if (r < 0)
            return r;
    }
    return spec->container.privileged && !rootless ? all_devices(list, err) : 0;
}

static void allow(json_t *rules, const char *type, int maj, int min, const char *access)
{
    json_t *o = json_pack("{s:b,s:s,s:s}", "allow", 1, "type", type, "access", access);

    if (maj >= 0)
        json_object_set_new(o, "major", json_integer(maj));
    if (min >= 0)
        json_object_set_new(o, "minor", json_integer(min));
    json_array_append_new(rules, o);
}

/* "c 1:3 rwm", "b 8:* r", "a *:* rwm" */
static void allow_rule(json_t *rules, const char *text)
{
    char type[2], maj[16], min[16], access[4];

    if (sscanf(text, "%1s %15[0-9*]:%15[0-9*] %3s", type, maj, min, access) == 4)
        allow(rules, type, *maj == '*' ? -1 : atoi(maj), *min == '*' ? -1 : atoi(min), access);
}

json_t *container_device_rules(const struct spec *spec, json_t *devices)
{
    static const short plain[][2] = {{1, 3}, {1, 5}, {1, 7}, {1, 8},   {1, 9},
                                     {5, 0}, {5, 1}, {5, 2}, {136, -1}};
    json_t *rules = json_array(), *d;
    size_t i;

    if (spec->container.privileged) {
        allow(rules, "a", -1, -1, "rwm");
        return rules;
    }
    json_array_append_new(rules, json_pack("{s:b,s:s}", "allow", 0, "access", "rwm"));
    allow(rules, "c", -1, -1, "m");
    allow(rules, "b", -1, -1, "m");
    for (size_t n = 0; n < array_size(plain); n++)
        allow(rules, "c", plain[n][0], plain[n][1], "rwm");
    json_array_foreach(devices, i, d)
    {
        const char *access = json_string_value(json_object_get(d, "x-access"));
        allow(rules, json_string_value(json_object_get(d, "type")),
              (int)json_integer_value(json_object_get(d, "major")),
              (int)json_integer_value(json_object_get(d, "minor")), access ? access : "rwm");
    }
    for (size_t n = 0; n < spec->container.device_rules.count; n++)
        allow_rule(rules, spec->container.device_rules.items[n]);
    return rules;
}
