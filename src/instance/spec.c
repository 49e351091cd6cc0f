/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of scalar fields serves the command line (text in) and JSON (both ways); the lists
 * (disks, ports, labels) have functions of their own.
 */
#include "instance/spec.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "instance/spec_internal.h"

static const char *const wall_names[] = {"container", "vm", NULL};
static const char *const net_names[] = {"nat", "none", NULL};
static const char *const serial_names[] = {"console", "virtio", "none", NULL};
static const char *const restart_names[] = {"no", "on-failure", "always", "unless-stopped", NULL};
const char *const spec_cache_names[] = {"writeback", "unsafe", NULL};

#define FIELD(json, option, kind, member, ...)                                                     \
    {                                                                                              \
        json, option, SPEC_KIND_##kind, offsetof(struct spec, member), ##__VA_ARGS__               \
    }

static const struct spec_field fields[] = {
    FIELD("wall", NULL, ENUM, wall, .names = wall_names),
    FIELD("name", "name", NAME, name),
    FIELD("image", "image", STRING, image),
    FIELD("kernel", "kernel", PATH, kernel),
    FIELD("initrd", "initrd", PATH, initrd),
    FIELD("append", "append", STRING, append),
    FIELD("memory", "memory", SIZE, memory, .min = 2u << 20, .max = (uint64_t)1 << 40,
          .unit = 1u << 20),
    FIELD("cpus", "cpus", UINT, cpus, .min = 1, .max = SPEC_CPUS),
    FIELD("net", "net", ENUM, net, .names = net_names),
    FIELD("net", "network", ENUM, net, .names = net_names, .alias = true),
    FIELD("mac", "mac", MAC, mac),
    FIELD("accel", "accel", WORD, accel),
    FIELD("cpu", "cpu", WORD, cpu),
    FIELD("machine", "machine", WORD, machine),
    FIELD("serial", "serial", ENUM, serial, .names = serial_names),
    FIELD("uuid", "uuid", UUID, uuid),
    FIELD("no_reboot", "no-reboot", BOOL, no_reboot),
    FIELD("paused", "paused", BOOL, paused),
    FIELD("rm", "rm", BOOL, rm),
    FIELD("tty", "tty", BOOL, tty),
    FIELD("interactive", "interactive", BOOL, interactive),
    FIELD("debug_exit", "debug-exit", BOOL, debug_exit),
    FIELD("debug_console", "debug-console", BOOL, debug_console),
    FIELD("restart", "restart", RESTART, restart),
    FIELD("stop_timeout", "stop-timeout", UINT, stop_timeout, .min = 0, .max = 86400),
    FIELD("log_max_size", "log-max-size", SIZE, log_max_size, .min = 4096, .max = (uint64_t)1 << 40,
          .unit = 1),
    FIELD("log_max_files", "log-max-files", UINT, log_max_files, .min = 1, .max = 100),
};

const struct spec_field *spec_field_at(unsigned i)
{
    return i < array_size(fields) ? &fields[i] : NULL;
}

struct spec *spec_new(void)
{
    struct spec *s = mem_new(struct spec);

    if (!s)
        return NULL;
    *s = (struct spec){.memory = 512u << 20,
                       .cpus = 1,
                       .stop_timeout = 10,
                       .log_max_size = 10u << 20,
                       .log_max_files = 3};
    return s;
}

void spec_free(struct spec *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->disk_count; i++)
        free(s->disks[i].path);
    for (size_t i = 0; i < s->label_count; i++) {
        free(s->labels[i].key);
        free(s->labels[i].value);
    }
    for (unsigned i = 0; i < array_size(fields); i++)
        if (spec_kind_is_text(fields[i].kind) && !fields[i].alias)
            free(*(char **)((char *)s + fields[i].offset));
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

const char *spec_serial_name(enum spec_serial serial)
{
    return serial_names[serial];
}

static int parse_enum(const char *const *names, const char *text, unsigned *ret, struct error *err)
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
        r = parse_enum(restart_names, text, &policy, err);
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

static int set_mac(uint8_t *mac, const char *text, struct error *err)
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
static int absolute(const char *text, char **ret, struct error *err)
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
        r = absolute(text, &copy, err);
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

int spec_field_number(struct spec *s, const struct spec_field *f, uint64_t n, struct error *err)
{
    void *at = (char *)s + f->offset;

    if (n < f->min || n > f->max) {
        if (f->kind == SPEC_KIND_SIZE && n < f->min)
            return error_set(err, -ERANGE,
                             "%llu bytes is less than %llu; sizes take a suffix k, m, g or t",
                             (unsigned long long)n, (unsigned long long)f->min);
        return error_set(err, -ERANGE, "%llu is not in %llu..%llu", (unsigned long long)n,
                         (unsigned long long)f->min, (unsigned long long)f->max);
    }
    if (f->kind == SPEC_KIND_SIZE)
        *(uint64_t *)at = (n + f->unit - 1) / f->unit * f->unit;
    else
        *(unsigned *)at = (unsigned)n;
    return 0;
}

int spec_field_text(struct spec *s, const struct spec_field *f, const char *text, struct error *err)
{
    void *at = (char *)s + f->offset;
    unsigned choice;
    uint64_t n;
    int r;

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
        r = f->kind == SPEC_KIND_SIZE ? str_parse_size(text, 1, &n) : str_parse_u64(text, &n);
        if (r < 0)
            return error_set(err, r, "\"%.40s\" is not a %s", text,
                             f->kind == SPEC_KIND_SIZE ? "size such as 512m" : "whole number");
        return spec_field_number(s, f, n, err);
    case SPEC_KIND_ENUM:
        r = parse_enum(f->names, text, &choice, err);
        if (r == 0)
            memcpy(at, &choice, sizeof choice);
        return r;
    case SPEC_KIND_MAC:
        return set_mac(at, text, err);
    case SPEC_KIND_UUID:
        return set_uuid(at, text, err);
    case SPEC_KIND_RESTART:
        return set_restart(s, text, err);
    }
    return -EINVAL;
}

/* One "key=value" or bare word of a disk option. */
static int disk_option(struct spec_disk *d, const char *key, const char *value, struct error *err)
{
    unsigned choice;

    if (strcmp(key, "ro") == 0 || strcmp(key, "rw") == 0) {
        if (value)
            return error_set(err, -EINVAL, "\"%s\" takes no value", key);
        d->readonly = key[1] == 'o';
        return 0;
    }
    if (!value)
        return error_set(err, -EINVAL,
                         "\"%.40s\" is none of ro, rw, format=, serial=, cache=, discard=", key);
    if (strcmp(key, "format") == 0) {
        if (strcmp(value, "raw") != 0)
            return error_set(err, -ENOTSUP, "format \"%.20s\" is not supported; use raw", value);
        strcpy(d->format, value);
        return 0;
    }
    if (strcmp(key, "serial") == 0) {
        if (!*value || strlen(value) >= sizeof d->serial)
            return error_set(err, -EINVAL, "serial \"%.40s\" has not 1 to 20 characters", value);
        for (const char *p = value; *p; p++)
            if (!isgraph((unsigned char)*p))
                return error_set(err, -EINVAL, "a serial is printable characters only");
        strcpy(d->serial, value);
        return 0;
    }
    if (strcmp(key, "cache") == 0) {
        int r = parse_enum(spec_cache_names, value, &choice, err);
        if (r < 0)
            return error_wrap(err, r, "cache");
        d->cache = choice;
        return 0;
    }
    if (strcmp(key, "discard") == 0) {
        if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
            return error_set(err, -EINVAL, "discard \"%.20s\" is neither on nor off", value);
        d->discard = value[1] == 'n';
        return 0;
    }
    return error_set(err, -EINVAL,
                     "\"%.40s\" is none of ro, rw, format=, serial=, cache=, discard=", key);
}

int spec_add_disk(struct spec *s, const char *text, struct error *err)
{
    cleanup_free char *copy = strdup(text);
    struct spec_disk d = {.format = "raw", .discard = true};
    char *save = NULL, *part;
    int r;

    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    if (s->disk_count == SPEC_DISKS)
        return error_set(err, -ENOSPC, "more than %d disks", SPEC_DISKS);
    if (*text == ',' || !*text)
        return error_set(err, -EINVAL, "\"%.40s\" names no file", text);
    part = strtok_r(copy, ",", &save);
    for (char *option; (option = strtok_r(NULL, ",", &save));) {
        char *value = strchr(option, '=');
        if (value)
            *value++ = 0;
        r = disk_option(&d, option, value, err);
        if (r < 0)
            return r;
    }
    r = absolute(part, &d.path, err);
    if (r < 0)
        return r;
    s->disks[s->disk_count++] = d;
    return 0;
}

static int parse_port(const char *text, uint16_t *ret, struct error *err)
{
    uint64_t n;

    if (str_parse_u64(text, &n) < 0 || n < 1 || n > 65535)
        return error_set(err, -EINVAL, "\"%.20s\" is not a port (1 to 65535)", text);
    *ret = (uint16_t)n;
    return 0;
}

int spec_add_port(struct spec *s, const char *text, struct error *err)
{
    struct spec_port p = {.address = "127.0.0.1"};
    cleanup_free char *copy = strdup(text);
    char *slash, *guest, *host;
    struct in_addr v4;
    int r;

    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    if (s->port_count == SPEC_PORTS)
        return error_set(err, -ENOSPC, "more than %d ports", SPEC_PORTS);
    slash = strchr(copy, '/');
    if (slash) {
        *slash++ = 0;
        if (strcmp(slash, "tcp") != 0 && strcmp(slash, "udp") != 0)
            return error_set(err, -EINVAL, "\"%.20s\" is neither tcp nor udp", slash);
        p.udp = *slash == 'u';
    }
    guest = strrchr(copy, ':');
    if (!guest)
        return error_set(err, -EINVAL, "\"%.60s\" is not like [ADDRESS:]HOST:GUEST[/udp]", text);
    *guest++ = 0;
    host = strrchr(copy, ':');
    if (host) {
        *host++ = 0;
        if (inet_pton(AF_INET, copy, &v4) != 1)
            return error_set(err, -EINVAL, "\"%.60s\" is not an IPv4 address", copy);
        snprintf(p.address, sizeof p.address, "%s", copy);
    } else {
        host = copy;
    }
    r = parse_port(host, &p.host, err);
    if (r == 0)
        r = parse_port(guest, &p.guest, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < s->port_count; i++)
        if (s->ports[i].host == p.host && s->ports[i].udp == p.udp &&
            strcmp(s->ports[i].address, p.address) == 0)
            return error_set(err, -EINVAL, "port %s:%u is published twice", p.address, p.host);
    s->ports[s->port_count++] = p;
    return 0;
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

static int set_list(struct spec *s, const char *key, const char *value, struct error *err)
{
    if (strcmp(key, "disk") == 0)
        return spec_add_disk(s, value, err);
    if (strcmp(key, "publish") == 0)
        return spec_add_port(s, value, err);
    return spec_add_label(s, value, strcspn(value, "="),
                          strchr(value, '=') ? strchr(value, '=') + 1 : "", err);
}

int spec_set(struct spec *s, const char *key, const char *value, struct error *err)
{
    if (strcmp(key, "vm") == 0) {
        bool on = !value || strcmp(value, "true") == 0;
        if (!on && strcmp(value, "false") != 0)
            return error_set(err, -EINVAL, "\"%.40s\" is neither true nor false", value);
        s->wall = on ? SPEC_WALL_VM : SPEC_WALL_CONTAINER;
        return 0;
    }
    if (strcmp(key, "disk") == 0 || strcmp(key, "publish") == 0 || strcmp(key, "label") == 0)
        return value ? set_list(s, key, value, err) : error_set(err, -EINVAL, "a value is missing");
    for (unsigned i = 0; i < array_size(fields); i++) {
        const struct spec_field *f = &fields[i];
        if (!f->option || strcmp(f->option, key) != 0)
            continue;
        if (!value && f->kind != SPEC_KIND_BOOL)
            return error_set(err, -EINVAL, "a value is missing");
        return spec_field_text(s, f, value ? value : "true", err);
    }
    return error_set(err, -ENOENT, "there is no option \"%.40s\"", key);
}

int spec_check(const struct spec *s, struct error *err)
{
    if (s->wall == SPEC_WALL_CONTAINER)
        return error_set(err, -ENOTSUP,
                         "containers are not supported yet: image store and container engine are "
                         "missing; use --vm with --kernel");
    if (s->image)
        return error_set(err, -ENOTSUP,
                         "virtual machines from images are not supported yet: the image store and "
                         "the guest agent are missing; use --kernel, --initrd and --disk");
    if (!s->kernel)
        return error_set(err, -EINVAL,
                         "nothing to boot: firmware boot is missing; use --kernel FILE");
    if (s->rm && s->restart != SPEC_RESTART_NO)
        return error_set(err, -EINVAL, "--rm and --restart exclude each other");
    if (s->port_count && s->net == SPEC_NET_NONE)
        return error_set(err, -EINVAL, "ports can not be published with --net none");
    if (s->restart == SPEC_RESTART_NO && s->restart_max)
        return error_set(err, -EINVAL, "a number of retries without on-failure");
    return 0;
}
