/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of scalar fields serves the command line (text in) and JSON (both ways); the lists
 * (disks, ports, labels) have functions of their own.
 */
#include "instance/spec.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "instance/spec_internal.h"

static const char *const wall_names[] = {"container", "vm", NULL};
static const char *const net_names[] = {"nat", "none", "host", "container", NULL};
static const char *const restart_names[] = {"no", "on-failure", "always", "unless-stopped", NULL};

#define FIELD(json, option, kind, member, ...)                                                     \
    {                                                                                              \
        json, option, SPEC_KIND_##kind, offsetof(struct spec, member), ##__VA_ARGS__               \
    }

static const struct spec_field fields[] = {
    FIELD("wall", NULL, ENUM, wall, .names = wall_names),
    FIELD("name", "name", NAME, name),
    FIELD("image", "image", WORD, image),
    FIELD("memory", "memory", SIZE, memory, .min = 512u << 10, .max = (uint64_t)1 << 40),
    FIELD("cpus", "cpus", MILLI, millicpus, .min = 10, .max = 1024 * 1000),
    FIELD("net", "net", NET, net),
    FIELD("net", "network", NET, net, .alias = true),
    FIELD("rm", "rm", BOOL, rm),
    FIELD("tty", "tty", BOOL, tty),
    FIELD("interactive", "interactive", BOOL, interactive),
    FIELD("restart", "restart", RESTART, restart),
    FIELD("stop_timeout", "stop-timeout", UINT, stop_timeout, .min = 0, .max = 86400),
    FIELD("log_max_size", "log-max-size", SIZE, log_max_size, .min = 4096,
          .max = (uint64_t)1 << 40),
    FIELD("log_max_files", "log-max-files", UINT, log_max_files, .min = 1, .max = 100),
};

const struct spec_field *spec_field_at(unsigned i)
{
    const struct spec_field *rest[] = {spec_vm_fields, spec_container_fields};

    if (i < array_size(fields))
        return &fields[i];
    i -= array_size(fields);
    for (size_t t = 0; t < array_size(rest); t++)
        for (const struct spec_field *f = rest[t]; f->json; f++)
            if (i-- == 0)
                return f;
    return NULL;
}

bool spec_field_unset(const struct spec *s, const struct spec_field *f)
{
    static const size_t sizes[] = {[SPEC_KIND_STRING] = sizeof(char *),
                                   [SPEC_KIND_NAME] = sizeof(char *),
                                   [SPEC_KIND_WORD] = sizeof(char *),
                                   [SPEC_KIND_PATH] = sizeof(char *),
                                   [SPEC_KIND_BOOL] = sizeof(bool),
                                   [SPEC_KIND_UINT] = sizeof(unsigned),
                                   [SPEC_KIND_SIZE] = sizeof(uint64_t),
                                   [SPEC_KIND_LIMIT] = sizeof(uint64_t),
                                   [SPEC_KIND_COUNT] = sizeof(uint64_t),
                                   [SPEC_KIND_SIGNED] = sizeof(int),
                                   [SPEC_KIND_MILLI] = sizeof(uint64_t),
                                   [SPEC_KIND_TIME] = sizeof(uint64_t),
                                   [SPEC_KIND_ENUM] = sizeof(unsigned),
                                   [SPEC_KIND_MAC] = 6,
                                   [SPEC_KIND_UUID] = 16,
                                   [SPEC_KIND_RESTART] = sizeof(unsigned),
                                   [SPEC_KIND_NET] = sizeof(unsigned)};
    const char *at = (const char *)s + f->offset;

    if (f->kind == SPEC_KIND_LIST)
        return !((const struct spec_list *)at)->count;
    for (size_t i = 0; i < sizes[f->kind]; i++)
        if (at[i])
            return false;
    return true;
}

struct spec *spec_new(void)
{
    struct spec *s = mem_new(struct spec);

    if (!s)
        return NULL;
    s->stop_timeout = 10;
    s->log_max_size = 10u << 20;
    s->log_max_files = 3;
    return s;
}

void spec_free(struct spec *s)
{
    const struct spec_field *f;

    if (!s)
        return;
    for (size_t i = 0; i < s->disk_count; i++)
        free(s->disks[i].path);
    for (size_t i = 0; i < s->label_count; i++) {
        free(s->labels[i].key);
        free(s->labels[i].value);
    }
    for (size_t i = 0; i < s->container.mount_count; i++)
        spec_mount_clear(&s->container.mounts[i]);
    free(s->container.net_from);
    for (unsigned i = 0; (f = spec_field_at(i)); i++) {
        void *at = (char *)s + f->offset;
        if (spec_kind_is_text(f->kind) && !f->alias)
            free(*(char **)at);
        else if (f->kind == SPEC_KIND_LIST && !f->alias)
            spec_list_clear(at);
    }
    free(s);
}

bool spec_name_ok(const char *name)
{
    size_t n = strlen(name);

    if (!n || n > SPEC_NAME_MAX || !isalnum((unsigned char)name[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("_.-", name[i]))
            return false;
    return true;
}

const char *spec_wall_name(enum spec_wall wall)
{
    return wall_names[wall];
}

const char *spec_restart_name(enum spec_restart restart)
{
    return restart_names[restart];
}

const char *spec_net_name(enum spec_net net)
{
    return net_names[net];
}

int spec_parse_enum(const char *const *names, const char *text, unsigned *ret, struct error *err)
{
    struct str list = {0};

    for (unsigned i = 0; names[i]; i++) {
        if (strcmp(names[i], text) == 0) {
            *ret = i;
            str_done(&list);
            return 0;
        }
        str_addf(&list, "%s%s", i ? ", " : "", names[i]);
    }
    error_set(err, -EINVAL, "\"%.40s\" is none of %s", text, str_text(&list));
    str_done(&list);
    return -EINVAL;
}

/* "no", "always", "unless-stopped", "on-failure" or "on-failure:N". */
static int set_restart(struct spec *s, const char *text, struct error *err)
{
    uint64_t max = 0;
    unsigned policy;
    int r;

    if (str_starts(text, "on-failure:")) {
        r = str_parse_u64(text + 11, &max);
        if (r < 0 || max > 1000000)
            return error_set(err, -EINVAL, "\"%.40s\": the number of retries is 0 to 1000000",
                             text);
        policy = SPEC_RESTART_ON_FAILURE;
    } else {
        r = spec_parse_enum(restart_names, text, &policy, err);
        if (r < 0)
            return r;
    }
    s->restart = policy;
    s->restart_max = (unsigned)max;
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int spec_parse_mac(uint8_t mac[6], const char *text, struct error *err)
{
    uint8_t m[6];

    if (strlen(text) != 17)
        return error_set(err, -EINVAL, "\"%.40s\" is not like 52:54:00:12:34:56", text);
    for (int i = 0; i < 6; i++) {
        int h = hex_digit(text[i * 3]), l = hex_digit(text[i * 3 + 1]);
        if (h < 0 || l < 0 || (i < 5 && text[i * 3 + 2] != ':'))
            return error_set(err, -EINVAL, "\"%.40s\" is not like 52:54:00:12:34:56", text);
        m[i] = (uint8_t)(h << 4 | l);
    }
    if (m[0] & 1)
        return error_set(err, -EINVAL, "\"%.40s\" is a multicast address", text);
    if (!memcmp(m, "\0\0\0\0\0", 6))
        return error_set(err, -EINVAL, "an address of zeros means none");
    memcpy(mac, m, 6);
    return 0;
}

static int set_uuid(uint8_t *uuid, const char *text, struct error *err)
{
    uint8_t u[16];
    const char *p = text;

    for (int i = 0; i < 16; i++) {
        int h, l;
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
            goto bad;
        h = hex_digit(p[0]);
        l = h < 0 ? -1 : hex_digit(p[1]);
        if (l < 0)
            goto bad;
        u[i] = (uint8_t)(h << 4 | l);
        p += 2;
    }
    if (*p)
        goto bad;
    memcpy(uuid, u, 16);
    return 0;
bad:
    return error_set(err, -EINVAL, "\"%.60s\" is not like 8-4-4-4-12 hexadecimal digits", text);
}

/* Takes over @text as an absolute path. */
int spec_absolute(const char *text, char **ret, struct error *err)
{
    char cwd[PATH_MAX];
    char *path;

    if (!*text)
        return error_set(err, -EINVAL, "an empty path");
    if (*text == '/')
        path = strdup(text);
    else if (getcwd(cwd, sizeof cwd))
        path = str_format("%s/%s", cwd, text);
    else
        return error_set_errno(err, -errno, "find the current directory");
    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    if (strlen(path) >= PATH_MAX) {
        free(path);
        return error_set(err, -ENAMETOOLONG, "a path of more than %d bytes", PATH_MAX - 1);
    }
    *ret = path;
    return 0;
}

static int set_text(char **member, enum spec_kind kind, const char *text, struct error *err)
{
    char *copy = NULL;
    int r;

    if (kind == SPEC_KIND_NAME && !spec_name_ok(text))
        return error_set(err, -EINVAL,
                         "\"%.40s\" is no name: use letters, digits, \"_\", \".\" and \"-\", "
                         "beginning with a letter or digit",
                         text);
    if (kind == SPEC_KIND_WORD && (!*text || strlen(text) > 256))
        return error_set(err, -EINVAL, "\"%.40s\" is empty or too long", text);
    if (kind == SPEC_KIND_PATH) {
        r = spec_absolute(text, &copy, err);
        if (r < 0)
            return r;
    } else {
        if (strlen(text) > 65535)
            return error_set(err, -EINVAL, "more than 65535 bytes");
        copy = strdup(text);
    }
    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    free(*member);
    *member = copy;
    return 0;
}

void spec_list_clear(struct spec_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct spec_list){0};
}

int spec_list_add(struct spec_list *list, const char *text, struct error *err)
{
    char **items, *copy;

    if (list->count == SPEC_LIST_MAX)
        return error_set(err, -ENOSPC, "more than %d of them", SPEC_LIST_MAX);
    if (strlen(text) > 128u << 10)
        return error_set(err, -EINVAL, "more than 128 KiB");
    items = reallocarray(list->items, list->count + 1, sizeof *items);
    if (items)
        list->items = items;
    copy = items ? strdup(text) : NULL;
    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    list->items[list->count++] = copy;
    return 0;
}

int spec_field_number(struct spec *s, const struct spec_field *f, uint64_t n, struct error *err)
{
    void *at = (char *)s + f->offset;

    if (n < f->min || n > f->max) {
        if ((f->kind == SPEC_KIND_SIZE || f->kind == SPEC_KIND_LIMIT) && n < f->min)
            return error_set(err, -ERANGE,
                             "%llu bytes is less than %llu; sizes take a suffix k, m, g or t",
                             (unsigned long long)n, (unsigned long long)f->min);
        if (f->kind == SPEC_KIND_MILLI)
            return error_set(err, -ERANGE, "%g is not in %g..%g", (double)n / 1000,
                             (double)f->min / 1000, (double)f->max / 1000);
        return error_set(err, -ERANGE, "%llu is not in %llu..%llu", (unsigned long long)n,
                         (unsigned long long)f->min, (unsigned long long)f->max);
    }
    if (f->kind == SPEC_KIND_UINT)
        *(unsigned *)at = (unsigned)n;
    else
        *(uint64_t *)at = n;
    return 0;
}

/* "1.5" as thousandths. */
static int parse_milli(const char *text, uint64_t *ret, struct error *err)
{
    size_t digits = strcspn(text, ".");
    const char *part = text[digits] ? text + digits + 1 : "";
    uint64_t n = 0, unit = 1000;

    if ((!digits && !*part) || digits > 9 || strlen(part) > 9)
        return error_set(err, -EINVAL, "\"%.40s\" is not a number such as 1.5", text);
    for (const char *p = text; *p; p++) {
        if (p == text + digits)
            continue;
        if (!isdigit((unsigned char)*p))
            return error_set(err, -EINVAL, "\"%.40s\" is not a number such as 1.5", text);
        if (p < text + digits)
            n = n * 10 + (uint64_t)(*p - '0') * 1000;
        else
            n += (uint64_t)(*p - '0') * (unit /= 10);
    }
    *ret = n;
    return 0;
}

int spec_parse_time(const char *text, uint64_t *ret, struct error *err)
{
    static const struct {
        const char *suffix;
        uint64_t ns;
    } units[] = {{"ns", 1},         {"us", 1000},          {"ms", 1000000},
                 {"s", 1000000000}, {"m", 60000000000ull}, {"h", 3600000000000ull}};
    uint64_t sum = 0;
    const char *p = text;

    while (*p || p == text) {
        char *end = NULL;
        double n = isdigit((unsigned char)*p) ? strtod(p, &end) : -1;
        size_t len, u = 0;
        if (n < 0 || n > 1e7)
            break;
        len = strspn(end, "numsh");
        while (u < array_size(units) &&
               (strlen(units[u].suffix) != len || strncmp(units[u].suffix, end, len) != 0))
            u++;
        if (u == array_size(units))
            break;
        sum += (uint64_t)(n * (double)units[u].ns);
        p = end + len;
        if (!*p) {
            *ret = sum;
            return 0;
        }
    }
    if (strcmp(text, "0") == 0) {
        *ret = 0;
        return 0;
    }
    return error_set(err, -EINVAL, "\"%.40s\" is not a time such as 30s or 1m30s", text);
}

static int set_net(struct spec *s, const char *text, struct error *err)
{
    unsigned choice;
    char *from = NULL;
    int r = 0;

    if (str_starts(text, "container:") && text[10]) {
        choice = SPEC_NET_CONTAINER;
        from = strdup(text + 10);
        if (!from)
            return error_set(err, -ENOMEM, "out of memory");
    } else if (strcmp(text, "bridge") == 0 || strcmp(text, "default") == 0) {
        choice = SPEC_NET_NAT; /* what Docker calls its private network */
    } else if (strcmp(text, "container") == 0) {
        return error_set(err, -EINVAL, "whose network? container:NAME");
    } else {
        r = spec_parse_enum(net_names, text, &choice, err);
    }
    if (r < 0)
        return r;
    s->net = choice;
    free(s->container.net_from);
    s->container.net_from = from;
    return 0;
}

static int set_number(struct spec *s, const struct spec_field *f, const char *text,
                      struct error *err)
{
    bool size = f->kind == SPEC_KIND_SIZE || f->kind == SPEC_KIND_LIMIT;
    uint64_t n;
    int r;

    if ((f->kind == SPEC_KIND_LIMIT || f->negative) && strcmp(text, "-1") == 0) {
        *(uint64_t *)((char *)s + f->offset) = SPEC_UNLIMITED;
        return 0;
    }
    r = size ? str_parse_size(text, 1, &n) : str_parse_u64(text, &n);
    if (r < 0)
        return error_set(err, r, "\"%.40s\" is not a %s", text,
                         size ? "size such as 512m" : "whole number");
    return spec_field_number(s, f, n, err);
}

static int set_signed(int *at, const struct spec_field *f, const char *text, struct error *err)
{
    bool minus = *text == '-';
    uint64_t n;

    if (str_parse_u64(text + minus, &n) < 0 || n > f->max)
        return error_set(err, -EINVAL, "\"%.40s\" is not in -%llu..%llu", text,
                         (unsigned long long)f->max, (unsigned long long)f->max);
    *at = minus ? -(int)n : (int)n;
    return 0;
}

int spec_field_text(struct spec *s, const struct spec_field *f, const char *text, struct error *err)
{
    void *at = (char *)s + f->offset;
    unsigned choice;
    uint64_t n;
    int r;

    if (f->check) {
        r = f->check(text, err);
        if (r < 0)
            return r;
    }
    switch (f->kind) {
    case SPEC_KIND_STRING:
    case SPEC_KIND_NAME:
    case SPEC_KIND_WORD:
    case SPEC_KIND_PATH:
        return set_text(at, f->kind, text, err);
    case SPEC_KIND_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return error_set(err, -EINVAL, "\"%.40s\" is neither true nor false", text);
        *(bool *)at = *text == 't';
        return 0;
    case SPEC_KIND_UINT:
    case SPEC_KIND_SIZE:
    case SPEC_KIND_LIMIT:
    case SPEC_KIND_COUNT:
        return set_number(s, f, text, err);
    case SPEC_KIND_SIGNED:
        return set_signed(at, f, text, err);
    case SPEC_KIND_MILLI:
    case SPEC_KIND_TIME:
        r = f->kind == SPEC_KIND_TIME ? spec_parse_time(text, &n, err) : parse_milli(text, &n, err);
        return r < 0 ? r : spec_field_number(s, f, n, err);
    case SPEC_KIND_ENUM:
        r = spec_parse_enum(f->names, text, &choice, err);
        if (r == 0)
            memcpy(at, &choice, sizeof choice);
        return r;
    case SPEC_KIND_MAC:
        return spec_parse_mac(at, text, err);
    case SPEC_KIND_UUID:
        return set_uuid(at, text, err);
    case SPEC_KIND_RESTART:
        return set_restart(s, text, err);
    case SPEC_KIND_NET:
        return set_net(s, text, err);
    case SPEC_KIND_LIST:
        return spec_list_add(at, text, err);
    }
    return -EINVAL;
}

int spec_add_label(struct spec *s, const char *key, size_t key_len, const char *value,
                   struct error *err)
{
    struct spec_label l;

    if (!key_len)
        return error_set(err, -EINVAL, "a label without a key");
    for (size_t i = 0; i < s->label_count; i++) {
        struct spec_label *old = &s->labels[i];
        if (strlen(old->key) == key_len && !memcmp(old->key, key, key_len))
            return set_text(&old->value, SPEC_KIND_STRING, value, err);
    }
    if (s->label_count == SPEC_LABELS)
        return error_set(err, -ENOSPC, "more than %d labels", SPEC_LABELS);
    l = (struct spec_label){.key = strndup(key, key_len), .value = strdup(value)};
    if (!l.key || !l.value || key_len > 4096 || strlen(value) > 65535) {
        bool full = !l.key || !l.value;
        free(l.key);
        free(l.value);
        return full ? error_set(err, -ENOMEM, "out of memory")
                    : error_set(err, -EINVAL, "the label is too long");
    }
    s->labels[s->label_count++] = l;
    return 0;
}

static int add_label(struct spec *s, const char *text, struct error *err)
{
    const char *value = strchr(text, '=');

    return spec_add_label(s, text, strcspn(text, "="), value ? value + 1 : "", err);
}

static int set_wall(struct spec *s, const char *text, struct error *err)
{
    bool on = strcmp(text, "true") == 0;

    if (!on && strcmp(text, "false") != 0)
        return error_set(err, -EINVAL, "\"%.40s\" is neither true nor false", text);
    s->wall = on ? SPEC_WALL_VM : SPEC_WALL_CONTAINER;
    return 0;
}

/* Docker's way to say --log-max-size and --log-max-files. */
static int set_log_opt(struct spec *s, const char *text, struct error *err)
{
    if (str_starts(text, "max-size="))
        return spec_set(s, "log-max-size", text + 9, err);
    if (str_starts(text, "max-file="))
        return spec_set(s, "log-max-files", text + 9, err);
    return error_set(err, -EINVAL, "\"%.40s\" is neither max-size=SIZE nor max-file=N", text);
}

/* A file is named from where the user is. */
static int add_security_opt(struct spec *s, const char *text, struct error *err)
{
    struct spec_list *list = &s->container.security_opts;
    cleanup_free char *path = NULL, *whole = NULL;
    int r = spec_security_opt_check(text, err);

    if (r < 0)
        return r;
    if (!str_starts(text, "seccomp=") || strcmp(text + 8, "unconfined") == 0 ||
        strcmp(text + 8, "builtin") == 0)
        return spec_list_add(list, text, err);
    r = spec_absolute(text + 8, &path, err);
    whole = r == 0 ? str_format("seccomp=%s", path) : NULL;
    if (r == 0 && !whole)
        r = error_set(err, -ENOMEM, "out of memory");
    return r < 0 ? r : spec_list_add(list, whole, err);
}

/* Options whose values go elsewhere than into one field. */
static const struct {
    const char *key;
    int (*add)(struct spec *s, const char *text, struct error *err);
} special[] = {{"disk", spec_add_disk},           {"disk-rm", spec_remove_disk},
               {"nic-add", spec_add_nic},         {"nic-rm", spec_remove_nic},
               {"cdrom", spec_set_cdrom},         {"floppy", spec_set_floppy},
               {"firmware", spec_set_firmware},   {"publish", spec_add_port},
               {"volume", spec_add_volume},       {"tmpfs", spec_add_tmpfs},
               {"mount", spec_add_mount},         {"label", add_label},
               {"log-opt", set_log_opt},          {"vm", set_wall},
               {"security-opt", add_security_opt}};

int spec_set(struct spec *s, const char *key, const char *value, struct error *err)
{
    const struct spec_field *f;

    for (size_t i = 0; i < array_size(special); i++)
        if (strcmp(special[i].key, key) == 0)
            return value || special[i].add == set_wall
                       ? special[i].add(s, value ? value : "true", err)
                       : error_set(err, -EINVAL, "a value is missing");
    for (unsigned i = 0; (f = spec_field_at(i)); i++) {
        if (!f->option || strcmp(f->option, key) != 0)
            continue;
        if (!value && f->kind != SPEC_KIND_BOOL)
            return error_set(err, -EINVAL, "a value is missing");
        return spec_field_text(s, f, value ? value : "true", err);
    }
    return error_set(err, -ENOENT, "there is no option \"%.40s\"", key);
}

/* Options of the other wall are a misunderstanding that should not go unnoticed. */
static int check_sides(const struct spec *s, struct error *err)
{
    enum spec_side other = s->wall == SPEC_WALL_VM ? SPEC_SIDE_CONTAINER : SPEC_SIDE_VM;
    const struct spec_field *f;

    for (unsigned i = 0; (f = spec_field_at(i)); i++) {
        if (!f->option || spec_field_unset(s, f))
            continue;
        if (f->side == other)
            return error_set(err, -ENOTSUP,
                             other == SPEC_SIDE_VM
                                 ? "option --%s is for virtual machines: add --vm, or leave it out"
                                 : "option --%s is for containers; a virtual machine has a kernel "
                                   "and users of its own",
                             f->option);
        if (f->side == SPEC_SIDE_IMAGE && other == SPEC_SIDE_CONTAINER && !s->image)
            return error_set(err, -ENOTSUP,
                             "option --%s is for what runs an image; a kernel of yours takes its "
                             "command line from --append",
                             f->option);
    }
    if (other == SPEC_SIDE_VM && s->disk_count)
        return error_set(err, -ENOTSUP,
                         "option --disk is for virtual machines: add --vm, or use --volume");
    for (size_t i = 0; other == SPEC_SIDE_CONTAINER && i < s->container.mount_count; i++)
        if (!s->image || s->container.mounts[i].type != SPEC_MOUNT_TMPFS)
            return error_set(err, -ENOTSUP,
                             "volumes and binds are for containers yet; a virtual machine has "
                             "--disk, and with an image --tmpfs");
    return 0;
}

int spec_check(const struct spec *s, struct error *err)
{
    int r = check_sides(s, err);

    if (r == 0)
        r = s->wall == SPEC_WALL_VM ? spec_vm_check(s, err) : spec_container_check(s, err);
    if (r < 0)
        return r;
    if (s->rm && s->restart != SPEC_RESTART_NO)
        return error_set(err, -EINVAL, "--rm and --restart exclude each other");
    if (s->port_count && s->net != SPEC_NET_NAT)
        return error_set(err, -EINVAL, "ports can not be published with --network %s",
                         spec_net_name(s->net));
    if (s->restart == SPEC_RESTART_NO && s->restart_max)
        return error_set(err, -EINVAL, "a number of retries without on-failure");
    return 0;
}
