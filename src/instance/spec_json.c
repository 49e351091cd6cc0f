/* SPDX-License-Identifier: Apache-2.0 */
/* Specs as JSON. Values go through the same checks as those of the command line. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "instance/json.h"
#include "instance/spec_internal.h"

static json_t *text_of(const uint8_t *bytes, size_t n, bool uuid)
{
    char text[40];
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        bool dash = uuid && (i == 4 || i == 6 || i == 8 || i == 10);
        if (i && (dash || !uuid))
            text[at++] = uuid ? '-' : ':';
        at += (size_t)snprintf(text + at, sizeof text - at, "%02x", bytes[i]);
    }
    return json_string(text);
}

static bool all_zero(const uint8_t *bytes, size_t n)
{
    while (n--)
        if (bytes[n])
            return false;
    return true;
}

static json_t *list_to_json(const struct spec_list *list)
{
    json_t *a = json_array();

    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(a, json_text(list->items[i]));
    return a;
}

static json_t *field_to_json(const struct spec *s, const struct spec_field *f)
{
    const void *at = (const char *)s + f->offset;
    unsigned choice;
    uint64_t n;

    switch (f->kind) {
    case SPEC_KIND_STRING:
    case SPEC_KIND_NAME:
    case SPEC_KIND_WORD:
    case SPEC_KIND_PATH:
        return *(char *const *)at ? json_text(*(char *const *)at) : NULL;
    case SPEC_KIND_BOOL:
        return json_boolean(*(const bool *)at);
    case SPEC_KIND_UINT:
        return json_integer(*(const unsigned *)at);
    case SPEC_KIND_SIZE:
    case SPEC_KIND_LIMIT:
    case SPEC_KIND_COUNT:
    case SPEC_KIND_TIME:
        return json_integer((json_int_t) * (const uint64_t *)at); /* SPEC_UNLIMITED: -1 */
    case SPEC_KIND_SIGNED:
        return json_integer(*(const int *)at);
    case SPEC_KIND_MILLI:
        n = *(const uint64_t *)at;
        return n % 1000 ? json_real((double)n / 1000) : json_integer((json_int_t)n / 1000);
    case SPEC_KIND_ENUM:
        memcpy(&choice, at, sizeof choice);
        return json_string(f->names[choice]);
    case SPEC_KIND_MAC:
        return all_zero(at, 6) ? NULL : text_of(at, 6, false);
    case SPEC_KIND_UUID:
        return all_zero(at, 16) ? NULL : text_of(at, 16, true);
    case SPEC_KIND_RESTART:
        return s->restart_max ? json_sprintf("on-failure:%u", s->restart_max)
                              : json_string(spec_restart_name(s->restart));
    case SPEC_KIND_NET:
        return s->container.net_from ? json_sprintf("container:%s", s->container.net_from)
                                     : json_string(spec_net_name(s->net));
    case SPEC_KIND_LIST:
        return list_to_json(at);
    }
    return NULL;
}

static json_t *disk_to_json(const struct spec_disk *d)
{
    json_t *o = json_object();

    json_object_set_new(o, "path", json_text(d->path));
    json_object_set_new(o, "format", json_string(d->format));
    if (d->serial[0])
        json_object_set_new(o, "serial", json_string(d->serial));
    json_object_set_new(o, "readonly", json_boolean(d->readonly));
    if (d->temporary)
        json_object_set_new(o, "temporary", json_true());
    json_object_set_new(o, "discard", json_boolean(d->discard));
    json_object_set_new(o, "cache", json_string(spec_cache_names[d->cache]));
    if (d->bus != SPEC_BUS_VIRTIO)
        json_object_set_new(o, "bus", json_string(spec_bus_names[d->bus]));
    return o;
}

static json_t *mount_to_json(const struct spec_mount *m)
{
    json_t *o =
        json_pack("{s:s,s:o}", "type", spec_mount_names[m->type], "target", json_text(m->target));

    if (m->source)
        json_object_set_new(o, "source", json_text(m->source));
    if (m->options)
        json_object_set_new(o, "options", json_text(m->options));
    if (m->readonly)
        json_object_set_new(o, "readonly", json_true());
    if (m->no_copy)
        json_object_set_new(o, "no_copy", json_true());
    if (m->create)
        json_object_set_new(o, "create", json_true());
    if (m->borrowed)
        json_object_set_new(o, "borrowed", json_true());
    return o;
}

/* Whether a field is written: what was not said of numbers, and what the other wall has, is not. */
static bool is_written(const struct spec *s, const struct spec_field *f)
{
    bool vm = s->wall == SPEC_WALL_VM;

    if (f->alias)
        return false;
    if (f->side == SPEC_SIDE_CONTAINER || f->kind == SPEC_KIND_SIZE || f->kind == SPEC_KIND_MILLI)
        return !spec_field_unset(s, f);
    return f->side == SPEC_SIDE_BOTH || vm || !spec_field_unset(s, f);
}

json_t *spec_to_object(const struct spec *s)
{
    json_t *root = json_object(), *disks = json_array(), *ports = json_array(),
           *labels = json_object(), *mounts = json_array();
    const struct spec_field *f;

    json_object_set_new(root, "version", json_integer(SPEC_VERSION));
    for (unsigned i = 0; (f = spec_field_at(i)); i++) {
        json_t *v = is_written(s, f) ? field_to_json(s, f) : NULL;
        if (v)
            json_object_set_new(root, f->json, v);
    }
    for (size_t i = 0; i < s->disk_count; i++)
        json_array_append_new(disks, disk_to_json(&s->disks[i]));
    for (size_t i = 0; i < s->port_count; i++) {
        const struct spec_port *p = &s->ports[i];
        json_t *o = json_object();
        json_object_set_new(o, "address", json_string(p->address));
        json_object_set_new(o, "host", json_integer(p->host));
        json_object_set_new(o, "guest", json_integer(p->guest));
        json_object_set_new(o, "protocol", json_string(p->udp ? "udp" : "tcp"));
        json_array_append_new(ports, o);
    }
    for (size_t i = 0; i < s->label_count; i++) {
        cleanup_free char *key = json_clean(s->labels[i].key);
        if (key)
            json_object_set_new(labels, key, json_text(s->labels[i].value));
    }
    for (size_t i = 0; i < s->container.mount_count; i++)
        json_array_append_new(mounts, mount_to_json(&s->container.mounts[i]));
    if (json_array_size(mounts))
        json_object_set(root, "mounts", mounts);
    json_decref(mounts);
    json_object_set_new(root, "disks", disks);
    json_object_set_new(root, "ports", ports);
    json_object_set_new(root, "labels", labels);
    return root;
}

char *spec_to_json(const struct spec *s)
{
    json_t *root = spec_to_object(s);
    char *text = json_dumps(root, JSON_COMPACT);

    json_decref(root);
    return text;
}

static int strings_from_json(struct spec *s, const struct spec_field *f, json_t *v,
                             struct error *err)
{
    size_t i;
    json_t *o;

    if (!json_is_array(v))
        return error_set(err, -EINVAL, "not a list");
    json_array_foreach(v, i, o)
    {
        int r = json_is_string(o) ? spec_field_text(s, f, json_string_value(o), err)
                                  : error_set(err, -EINVAL, "not a string");
        if (r < 0)
            return error_wrap(err, r, "[%zu]", i);
    }
    return 0;
}

static int field_from_json(struct spec *s, const struct spec_field *f, json_t *v, struct error *err)
{
    char number[32];
    double real;

    switch (f->kind) {
    case SPEC_KIND_BOOL:
        if (!json_is_boolean(v))
            return error_set(err, -EINVAL, "not a boolean");
        *(bool *)((char *)s + f->offset) = json_is_true(v);
        return 0;
    case SPEC_KIND_LIST:
        return strings_from_json(s, f, v, err);
    case SPEC_KIND_LIMIT:
    case SPEC_KIND_COUNT:
    case SPEC_KIND_SIGNED:
        if (!json_is_integer(v))
            return error_set(err, -EINVAL, "not a whole number");
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        return spec_field_text(s, f, number, err);
    case SPEC_KIND_MILLI:
        real = json_number_value(v) * 1000;
        if (!json_is_number(v) || !(real >= 0 && real < 1e12))
            return error_set(err, -EINVAL, "not a number");
        return spec_field_number(s, f, (uint64_t)(real + 0.5), err);
    case SPEC_KIND_UINT:
    case SPEC_KIND_SIZE:
    case SPEC_KIND_TIME:
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return error_set(err, -EINVAL, "not a whole number");
        return spec_field_number(s, f, (uint64_t)json_integer_value(v), err);
    case SPEC_KIND_PATH:
        if (json_is_string(v) && json_string_value(v)[0] != '/')
            return error_set(err, -EINVAL, "not an absolute path");
        break;
    case SPEC_KIND_STRING:
    case SPEC_KIND_NAME:
    case SPEC_KIND_WORD:
    case SPEC_KIND_ENUM:
    case SPEC_KIND_MAC:
    case SPEC_KIND_UUID:
    case SPEC_KIND_RESTART:
    case SPEC_KIND_NET:
        break;
    }
    if (!json_is_string(v))
        return error_set(err, -EINVAL, "not a string");
    return spec_field_text(s, f, json_string_value(v), err);
}

/* A disk or port goes through its command-line form, where all the checks are. */
static int disk_from_json(struct spec *s, json_t *o, struct error *err)
{
    const char *path, *format = "raw", *serial = "", *cache = "writeback", *bus = "virtio";
    int readonly = 0, discard = 1, temporary = 0;
    struct spec_disk *d;
    json_error_t why;
    int r;

    if (json_unpack_ex(o, &why, JSON_STRICT, "{s:s,s?s,s?s,s?b,s?b,s?b,s?s,s?s}", "path", &path,
                       "format", &format, "serial", &serial, "readonly", &readonly, "temporary",
                       &temporary, "discard", &discard, "cache", &cache, "bus", &bus) < 0)
        return error_set(err, -EINVAL, "%s", why.text);
    cleanup_free char *text =
        str_format("/,%s%s,format=%s,cache=%s,bus=%s,discard=%s%s%s", readonly ? "ro" : "rw",
                   temporary ? ",temporary" : "", format, cache, bus, discard ? "on" : "off",
                   *serial ? ",serial=" : "", serial);
    if (*path != '/' || strchr(format, ',') || strchr(serial, ',') || strchr(cache, ',') ||
        strchr(bus, ','))
        return error_set(err, -EINVAL, "not an absolute path or not plain options");
    if (!text)
        return error_set(err, -ENOMEM, "out of memory");
    r = spec_add_disk(s, text, err);
    if (r < 0)
        return r;
    d = &s->disks[s->disk_count - 1];
    free(d->path);
    d->path = strdup(path);
    return d->path ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int port_from_json(struct spec *s, json_t *o, struct error *err)
{
    const char *address, *protocol;
    int host, guest;
    json_error_t why;

    if (json_unpack_ex(o, &why, JSON_STRICT, "{s:s,s:i,s:i,s:s}", "address", &address, "host",
                       &host, "guest", &guest, "protocol", &protocol) < 0)
        return error_set(err, -EINVAL, "%s", why.text);
    char number[16] = ""; /* 0: still to be chosen */
    if (host)
        snprintf(number, sizeof number, "%d", host);
    if (strchr(address, ':')) {
        cleanup_free char *six = str_format("[%s]:%s:%d/%s", address, number, guest, protocol);
        return six ? spec_add_port(s, six, err) : error_set(err, -ENOMEM, "out of memory");
    }
    cleanup_free char *text = str_format("%s:%s:%d/%s", address, number, guest, protocol);
    return text ? spec_add_port(s, text, err) : error_set(err, -ENOMEM, "out of memory");
}

static int mount_from_json(struct spec *s, json_t *o, struct error *err)
{
    const char *type, *target, *source = NULL, *options = NULL;
    int readonly = 0, no_copy = 0, create = 0, borrowed = 0, r;
    struct spec_mount m = {0};
    json_error_t why;
    unsigned n;

    if (json_unpack_ex(o, &why, JSON_STRICT, "{s:s,s:s,s?s,s?s,s?b,s?b,s?b,s?b}", "type", &type,
                       "target", &target, "source", &source, "options", &options, "readonly",
                       &readonly, "no_copy", &no_copy, "create", &create, "borrowed",
                       &borrowed) < 0)
        return error_set(err, -EINVAL, "%s", why.text);
    r = spec_parse_enum(spec_mount_names, type, &n, err);
    if (r < 0)
        return r;
    m = (struct spec_mount){.type = n,
                            .target = strdup(target),
                            .source = source ? strdup(source) : NULL,
                            .options = options ? strdup(options) : NULL,
                            .readonly = readonly,
                            .no_copy = no_copy,
                            .create = create,
                            .borrowed = borrowed};
    if (!m.target || (source && !m.source) || (options && !m.options)) {
        spec_mount_clear(&m);
        return error_set(err, -ENOMEM, "out of memory");
    }
    return spec_put_mount(s, &m, err);
}

static int list_from_json(struct spec *s, const char *key, json_t *v, struct error *err)
{
    int (*add)(struct spec *, json_t *, struct error *) = strcmp(key, "disks") == 0 ? disk_from_json
                                                          : strcmp(key, "mounts") == 0
                                                              ? mount_from_json
                                                              : port_from_json;
    size_t i;
    json_t *o;

    if (!json_is_array(v))
        return error_set(err, -EINVAL, "not a list");
    json_array_foreach(v, i, o)
    {
        int r = add(s, o, err);
        if (r < 0)
            return error_wrap(err, r, "[%zu]", i);
    }
    return 0;
}

static int labels_from_json(struct spec *s, json_t *v, struct error *err)
{
    const char *key;
    json_t *o;

    if (!json_is_object(v))
        return error_set(err, -EINVAL, "not an object");
    json_object_foreach(v, key, o)
    {
        int r = json_is_string(o) ? spec_add_label(s, key, strlen(key), json_string_value(o), err)
                                  : error_set(err, -EINVAL, "%.40s: not a string", key);
        if (r < 0)
            return r;
    }
    return 0;
}

static int key_from_json(struct spec *s, const char *key, json_t *v, struct error *err)
{
    const struct spec_field *f;

    if (strcmp(key, "version") == 0)
        return json_is_integer(v) && json_integer_value(v) >= 1 &&
                       json_integer_value(v) <= SPEC_VERSION
                   ? 0
                   : error_set(err, -EINVAL, "not 1 to %d, the versions this Isola knows",
                               SPEC_VERSION);
    if (strcmp(key, "disks") == 0 || strcmp(key, "ports") == 0 || strcmp(key, "mounts") == 0)
        return list_from_json(s, key, v, err);
    if (strcmp(key, "labels") == 0)
        return labels_from_json(s, v, err);
    for (unsigned i = 0; (f = spec_field_at(i)); i++)
        if (!f->alias && strcmp(f->json, key) == 0)
            return field_from_json(s, f, v, err);
    return error_set(err, -EINVAL, "unknown key");
}

struct spec *spec_from_object(json_t *root, struct error *err)
{
    struct spec *s = spec_new();
    const char *key;
    json_t *v;

    if (!s || !json_is_object(root) || !json_object_get(root, "version")) {
        error_set(err, s ? -EINVAL : -ENOMEM, "spec: %s",
                  s ? "not an object with a version" : "out of memory");
        goto fail;
    }
    json_object_foreach(root, key, v)
    {
        int r = key_from_json(s, key, v, err);
        if (r < 0) {
            error_wrap(err, r, "spec: %.40s", key);
            goto fail;
        }
    }
    return s;
fail:
    spec_free(s);
    return NULL;
}

struct spec *spec_from_json(const char *json, size_t len, struct error *err)
{
    struct spec *s;
    json_t *root;

    if (len > SPEC_JSON_MAX) {
        error_set(err, -EINVAL, "spec: more than %d bytes", SPEC_JSON_MAX);
        return NULL;
    }
    root = json_parse(json, len, err);
    if (!root) {
        error_wrap(err, -EINVAL, "spec");
        return NULL;
    }
    s = spec_from_object(root, err);
    json_decref(root);
    return s;
}
