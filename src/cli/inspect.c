/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/inspect.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/verbs.h"
#include "image/store.h"
#include "instance/container_volume.h"
#include "instance/instance.h"

/* Texts of users may hold any bytes; what is not UTF-8 has no place in JSON. */
static json_t *text(const char *t)
{
    json_t *value = json_string(t ? t : "");
    return value ? value : json_string("?");
}

static json_t *list(const struct spec_list *l)
{
    json_t *array = json_array();

    for (size_t i = 0; i < l->count; i++)
        json_array_append_new(array, text(l->items[i]));
    return array;
}

static void add_strings(json_t *array, char *const *strings)
{
    for (; strings && *strings; strings++)
        json_array_append_new(array, text(*strings));
}

/* ---- config: what runs ---- */

/* NAME=VALUE of the image, unless the instance has the name too; then the instance's. */
static json_t *environment(const struct spec_list *own, const struct image_config *image)
{
    json_t *array = json_array();

    for (char *const *e = image ? image->env : NULL; e && *e; e++) {
        size_t n = strcspn(*e, "="), i = 0;
        while (i < own->count && (strncmp(own->items[i], *e, n) != 0 ||
                                  (own->items[i][n] && own->items[i][n] != '=')))
            i++;
        if (i == own->count)
            json_array_append_new(array, text(*e));
    }
    for (size_t i = 0; i < own->count; i++)
        json_array_append_new(array, text(own->items[i]));
    return array;
}

static json_t *labels_of(const struct spec *spec, const struct image_config *image)
{
    json_t *labels = json_object();

    for (size_t i = 0; image && i < image->label_count; i++)
        json_object_set_new(labels, image->labels[i].key, text(image->labels[i].value));
    for (size_t i = 0; i < spec->label_count; i++)
        json_object_set_new(labels, spec->labels[i].key, text(spec->labels[i].value));
    return labels;
}

/* Docker's rules: an entrypoint of one's own drops the image's command. */
static json_t *entrypoint(const struct spec_container *c, const struct image_config *image)
{
    json_t *array = json_array();

    if (c->entrypoint && c->entrypoint[0])
        json_array_append_new(array, text(c->entrypoint));
    else if (!c->entrypoint && image)
        add_strings(array, image->entrypoint);
    return array;
}

static json_t *command(const struct spec_container *c, const struct image_config *image)
{
    json_t *array = list(&c->command);

    if (!c->command.count && !c->entrypoint && image)
        add_strings(array, image->cmd);
    return array;
}

static json_t *config(const struct instance *i, const struct image_config *image)
{
    const struct spec *spec = i->spec;
    const struct spec_container *c = &spec->container;
    json_t *exposed = json_object(), *o;
    char hostname[13], port[24];

    for (char *const *p = image ? image->exposed_ports : NULL; p && *p; p++)
        json_object_set_new(exposed, *p, json_object());
    for (size_t p = 0; p < spec->port_count; p++) {
        snprintf(port, sizeof(port), "%u/%s", spec->ports[p].guest,
                 spec->ports[p].udp ? "udp" : "tcp");
        json_object_set_new(exposed, port, json_object());
    }
    snprintf(hostname, sizeof(hostname), "%.12s", i->id);
    o = json_pack("{s:o, s:o, s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "hostname",
                  text(c->hostname ? c->hostname : hostname), "domainname", text(c->domainname),
                  "user",
                  text(c->user ? c->user
                       : image ? image->user
                               : ""),
                  "tty", spec->tty, "open_stdin", spec->interactive, "env",
                  environment(&c->env, image), "cmd", command(c, image), "entrypoint",
                  entrypoint(c, image), "image", text(spec->image), "working_dir",
                  text(c->workdir ? c->workdir
                       : image    ? image->workdir
                                  : ""),
                  "labels", labels_of(spec, image), "exposed_ports", exposed);
    if (o) {
        const char *signal = c->stop_signal ? c->stop_signal : image ? image->stop_signal : "";
        json_object_set_new(o, "stop_signal", text(signal && *signal ? signal : "SIGTERM"));
        json_object_set_new(o, "stop_timeout", json_integer(spec->stop_timeout));
    }
    return o;
}

/* ---- host_config: what the host gives ---- */

/* {"80/tcp": [{"host_ip": "127.0.0.1", "host_port": "8080"}]}: texts, as Docker has them. */
static json_t *ports(const struct spec *spec)
{
    json_t *all = json_object();

    for (size_t i = 0; i < spec->port_count; i++) {
        const struct spec_port *p = &spec->ports[i];
        char guest[24], host[8];
        json_t *bound;
        snprintf(guest, sizeof(guest), "%u/%s", p->guest, p->udp ? "udp" : "tcp");
        snprintf(host, sizeof(host), "%u", p->host);
        bound = json_object_get(all, guest);
        if (!bound) {
            bound = json_array();
            json_object_set_new(all, guest, bound);
        }
        json_array_append_new(bound,
                              json_pack("{s:s, s:s}", "host_ip", p->address, "host_port", host));
    }
    return all;
}

/* 0: no limit, -1: Docker's "unlimited". */
static json_int_t limit(uint64_t value)
{
    return value == SPEC_UNLIMITED ? -1 : (json_int_t)value;
}

static json_t *host_config(const struct spec *spec)
{
    const struct spec_container *c = &spec->container;
    bool vm = spec->wall == SPEC_WALL_VM;
    char net[SPEC_NAME_MAX + 16];
    json_t *o;

    snprintf(net, sizeof(net), "%s%s%s", spec_net_name(spec->net),
             spec->net == SPEC_NET_CONTAINER ? ":" : "",
             spec->net == SPEC_NET_CONTAINER && c->net_from ? c->net_from : "");
    o = json_pack(
        "{s:o, s:{s:s, s:i}, s:b, s:o, s:b, s:b, s:I, s:I, s:I, s:I}", "network_mode", text(net),
        "restart_policy", "name", spec_restart_name(spec->restart), "maximum_retry_count",
        (int)spec->restart_max, "auto_remove", spec->rm, "port_bindings", ports(spec), "privileged",
        c->privileged, "readonly_rootfs", c->readonly, "memory",
        (json_int_t)(vm ? spec_vm_memory(spec) : spec->memory), "nano_cpus",
        (json_int_t)((vm ? spec_vm_cpus(spec) * 1000 : spec->millicpus) * 1000000), "memory_swap",
        limit(c->memory_swap), "memory_reservation", (json_int_t)c->memory_reservation);
    if (!o)
        return NULL;
    json_object_set_new(o, "cpu_shares", json_integer((json_int_t)c->cpu_shares));
    json_object_set_new(o, "pids_limit", json_integer(limit(c->pids_limit)));
    json_object_set_new(o, "oom_score_adj", json_integer(c->oom_score_adj));
    json_object_set_new(o, "shm_size", json_integer((json_int_t)c->shm_size));
    json_object_set_new(o, "cpuset_cpus", text(c->cpuset_cpus));
    json_object_set_new(o, "cap_add", list(&c->cap_add));
    json_object_set_new(o, "cap_drop", list(&c->cap_drop));
    json_object_set_new(o, "security_opt", list(&c->security_opts));
    json_object_set_new(o, "dns", list(&c->dns));
    json_object_set_new(o, "extra_hosts", list(&c->add_hosts));
    return o;
}

static json_t *mounts(struct cli *cli, const struct spec_container *c)
{
    static const char *const types[] = {
        [SPEC_MOUNT_BIND] = "bind", [SPEC_MOUNT_VOLUME] = "volume", [SPEC_MOUNT_TMPFS] = "tmpfs"};
    json_t *array = json_array();

    for (size_t i = 0; i < c->mount_count; i++) {
        const struct spec_mount *m = &c->mounts[i];
        struct volume v = {0};
        const char *source = m->source;
        json_t *o = json_pack("{s:s}", "type", types[m->type]);
        if (m->type == SPEC_MOUNT_VOLUME && source) {
            json_object_set_new(o, "name", text(source));
            source =
                volume_find(instances_data_dir(cli->home), source, &v, NULL) == 0 ? v.path : NULL;
        }
        json_object_set_new(o, "source", text(source));
        json_object_set_new(o, "destination", text(m->target));
        json_object_set_new(o, "mode", text(m->options));
        json_object_set_new(o, "rw", json_boolean(!m->readonly));
        json_array_append_new(array, o);
        volume_done(&v);
    }
    return array;
}

/* The one network again as one of Docker's networks, for {{range .NetworkSettings.Networks}}. */
static void inspect_networks(const struct spec *spec, json_t *network)
{
    json_t *one = json_object();
    const char *const copied[] = {"ip_address", "ip_prefix_len", "gateway", "mac_address"};

    for (size_t k = 0; k < array_size(copied); k++) {
        json_t *value = json_object_get(network, copied[k]);
        json_object_set_new(one, copied[k], value ? json_incref(value) : json_string(""));
    }
    json_object_set_new(network, "networks", json_pack("{s:o}", spec_net_name(spec->net), one));
}

void inspect_add(struct cli *cli, const struct instance *i, json_t *o)
{
    const char *id = i->spec->container.image_id;
    struct image_store *store = id ? image_store_open(NULL, NULL) : NULL;
    struct image *image = NULL;
    json_t *network = json_object_get(o, "network_settings");
    json_t *restarts = json_object_get(o, "restarts");

    if (store && image_find(store, id, NULL, &image, NULL) < 0)
        image = NULL;
    if (id)
        json_object_set_new(o, "image", text(id));
    json_object_set_new(o, "config", config(i, image ? &image->config : NULL));
    json_object_set_new(o, "host_config", host_config(i->spec));
    json_object_set_new(o, "mounts", mounts(cli, &i->spec->container));
    if (!network) {
        network = json_object();
        json_object_set_new(o, "network_settings", network);
    }
    inspect_networks(i->spec, network);
    json_object_set_new(network, "ports",
                        lifecycle_supervised(i->state) ? ports(i->spec) : json_object());
    json_object_set(o, "restart_count", restarts);
    image_free(image);
    image_store_close(store);
}
