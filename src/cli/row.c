/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/row.h"

#include <string.h>

#include "cli/human.h"
#include "instance/instance.h"

static void add_ago(struct str *out, int64_t then, int64_t now)
{
    str_add_char(out, ' ');
    human_duration(out, now - then);
    str_add(out, " ago");
}

void row_status(const struct instance *instance, int64_t now, struct str *out)
{
    switch (instance->state) {
    case LIFECYCLE_CREATED:
        str_add(out, "Created");
        break;
    case LIFECYCLE_RUNNING:
    case LIFECYCLE_PAUSED:
        str_add(out, "Up ");
        human_duration(out, now - instance->started);
        if (instance->state == LIFECYCLE_PAUSED)
            str_add(out, " (Paused)");
        else if (strcmp(instance->health, "starting") == 0)
            str_add(out, " (health: starting)");
        else if (instance->health[0])
            str_addf(out, " (%s)", instance->health);
        break;
    case LIFECYCLE_RESTARTING:
        str_addf(out, "Restarting (%d)", instance->exit_code);
        if (instance->finished)
            add_ago(out, instance->finished, now);
        break;
    case LIFECYCLE_EXITED:
        str_addf(out, "Exited (%d)", instance->exit_code);
        if (instance->finished)
            add_ago(out, instance->finished, now);
        break;
    case LIFECYCLE_DEAD:
        str_add(out, "Dead");
        if (instance->finished)
            add_ago(out, instance->finished, now);
        break;
    case LIFECYCLE_STATES:
        break;
    }
}

enum table_color row_color(json_t *row)
{
    const char *state = json_string_value(json_object_get(row, "state"));

    if (!state)
        return TABLE_PLAIN;
    if (strcmp(state, "running") == 0)
        return TABLE_GREEN;
    if (strcmp(state, "paused") == 0 || strcmp(state, "restarting") == 0)
        return TABLE_YELLOW;
    if (strcmp(state, "dead") == 0 || json_integer_value(json_object_get(row, "exit_code")))
        return TABLE_RED;
    return TABLE_PLAIN;
}

const char *row_image(const struct instance *instance)
{
    const struct spec *spec = instance->spec;
    const char *path = spec->image              ? spec->image
                       : spec->container.rootfs ? spec->container.rootfs
                       : spec->kernel           ? spec->kernel
                       : spec->disk_count       ? spec->disks[0].path
                                                : spec->firmware;
    bool file = path && !spec->image && !spec->container.rootfs;
    const char *slash = file ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : path ? path : "";
}

/* "127.0.0.1:8080->80/tcp, ..." */
static void add_ports(const struct spec *spec, struct str *out)
{
    for (size_t i = 0; i < spec->port_count; i++) {
        const struct spec_port *p = &spec->ports[i];
        bool v6 = strchr(p->address, ':') != NULL;
        str_addf(out, "%s%s%s%s:%u->%u/%s", i ? ", " : "", v6 ? "[" : "", p->address, v6 ? "]" : "",
                 (unsigned)p->host, (unsigned)p->guest, p->udp ? "udp" : "tcp");
    }
}

/* Texts of users may hold any bytes; what is not UTF-8 would be lost from JSON. */
static json_t *any_text(const char *text)
{
    struct str clean = {0};
    json_t *value = json_string(text ? text : "");

    if (!value) {
        table_add_clean(&clean, text);
        value = json_string(str_text(&clean));
        str_done(&clean);
    }
    return value;
}

static void set_text(json_t *row, const char *key, const char *text)
{
    json_object_set_new(row, key, any_text(text));
}

static void set_time(json_t *row, const char *key, int64_t ns)
{
    struct str text = {0};

    human_time(&text, ns);
    set_text(row, key, str_text(&text));
    str_done(&text);
}

/* What was asked for; 0: no limit. */
static json_t *cpus_of(const struct spec *spec)
{
    if (spec->wall == SPEC_WALL_VM)
        return json_integer(spec_vm_cpus(spec));
    return spec->millicpus % 1000 ? json_real((double)spec->millicpus / 1000)
                                  : json_integer((json_int_t)spec->millicpus / 1000);
}

static uint64_t memory_of(const struct spec *spec)
{
    return spec->wall == SPEC_WALL_VM ? spec_vm_memory(spec) : spec->memory;
}

json_t *row_instance(const struct instance *instance, int64_t now)
{
    const struct spec *spec = instance->spec;
    json_t *row = json_object(), *labels = json_object();
    struct str text = {0};

    set_text(row, "id", instance->id);
    set_text(row, "name", instance->name);
    set_text(row, "image", row_image(instance));
    set_text(row, "wall", spec_wall_name(spec->wall));
    set_text(row, "state", lifecycle_state_name(instance->state));
    row_status(instance, now, &text);
    set_text(row, "status", str_text(&text));
    str_done(&text);
    json_object_set_new(row, "exit_code", json_integer(instance->exit_code));
    set_text(row, "reason", instance->reason);
    set_time(row, "created_at", instance->created);
    human_duration(&text, now - instance->created);
    str_add(&text, " ago");
    set_text(row, "running_for", str_text(&text));
    str_done(&text);
    set_time(row, "started_at", instance->started);
    set_time(row, "finished_at", instance->finished);
    json_object_set_new(row, "pid", json_integer(instance->pid));
    json_object_set_new(row, "restarts", json_integer(instance->restarts));
    json_object_set_new(row, "cpus", cpus_of(spec));
    json_object_set_new(row, "memory", json_integer((json_int_t)memory_of(spec)));
    set_text(row, "accel", spec->accel ? spec->accel : "auto");
    if (lifecycle_supervised(instance->state))
        add_ports(spec, &text);
    set_text(row, "ports", str_text(&text));
    str_done(&text);
    for (size_t i = 0; i < spec->label_count; i++)
        set_text(labels, spec->labels[i].key, spec->labels[i].value);
    json_object_set_new(row, "labels", labels);
    return row;
}
