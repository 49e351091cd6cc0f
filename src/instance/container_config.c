/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/container_config.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/config.h"
#include "instance/container_config_internal.h"
#include "instance/json.h"

/* Every default here is Docker's, so that images behave as they do there. */
#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
enum { DEFAULT_PIDS = 4096, CPU_PERIOD_US = 100000, UMASK = 022 };

static const char *const masked_paths[] = {
    "/proc/asound",     "/proc/acpi",        "/proc/interrupts",
    "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
static const char *const readonly_paths[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                             "/proc/sysrq-trigger"};

static const char *const init_programs[] = {"/sbin/init", "/usr/sbin/init", "/lib/systemd/systemd",
                                            "/usr/lib/systemd/systemd"};

json_t *container_texts(const char *const *texts, size_t n)
{
    json_t *a = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(a, json_text(texts[i]));
    return a;
}

static size_t count(char *const *list)
{
    size_t n = 0;

    while (list && list[n])
        n++;
    return n;
}

/* Whether the first word that would be executed is an init. */
static bool begins_with_init(const struct spec *spec, const struct image_config *image)
{
    const struct spec_container *c = &spec->container;
    const char *first = NULL;

    if (c->entrypoint && *c->entrypoint)
        first = c->entrypoint;
    else if (!c->entrypoint && image && image->entrypoint[0])
        first = image->entrypoint[0];
    else if (c->command.count)
        first = c->command.items[0];
    else if (image && image->cmd[0])
        first = image->cmd[0];
    for (size_t i = 0; first && i < array_size(init_programs); i++)
        if (strcmp(first, init_programs[i]) == 0)
            return true;
    return false;
}

bool container_boots(const struct spec *spec, const struct image_config *image)
{
    return spec->container.boot || begins_with_init(spec, image);
}

int container_stop_signal(const struct spec *spec, const struct image_config *image)
{
    int number = spec->container.stop_signal ? spec_signal(spec->container.stop_signal) : 0;

    if (!number && image && image->stop_signal[0])
        number = spec_signal(image->stop_signal);
    if (!number) /* SIGRTMIN+3: systemd's "halt", which in a container is the end */
        number = container_boots(spec, image) ? 37 : 15;
    return number;
}

bool container_has_own_net(const struct spec *spec)
{
    return spec->net == SPEC_NET_NAT || spec->net == SPEC_NET_NONE;
}

int container_words(const struct spec *spec, const struct image_config *image, const char ***ret,
                    struct error *err)
{
    const struct spec_container *c = &spec->container;
    size_t entry = 0, words = c->command.count, n = 0;
    const char **list;

    if (c->boot && !words && !c->entrypoint && !begins_with_init(spec, image))
        image = NULL; /* what the image runs as an application does not boot */
    if (c->entrypoint)
        entry = *c->entrypoint != 0;
    else if (image)
        entry = count(image->entrypoint);
    /* A new entrypoint does not go with the old command. */
    if (!words && !c->entrypoint && image)
        words = count(image->cmd);
    list = mem_alloc(entry + words + 2, sizeof *list);
    if (!list)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < entry; i++)
        list[n++] = c->entrypoint ? c->entrypoint : image->entrypoint[i];
    for (size_t i = 0; i < words; i++)
        list[n++] = c->command.count ? c->command.items[i] : image->cmd[i];
    if (!n && c->boot)
        list[n++] = init_programs[0];
    if (!n) {
        free(list);
        return error_set(err, -EINVAL,
                         "no command: the image has none; write one after the image's name");
    }
    *ret = list;
    return 0;
}

/* ---- process ---- */

/* Sets NAME=VALUE in the array of them, replacing an earlier one of that name. */
static void set_env(json_t *env, const char *text)
{
    size_t n = strcspn(text, "="), i;
    json_t *v;

    json_array_foreach(env, i, v)
    {
        const char *old = json_string_value(v);
        if (strncmp(old, text, n) == 0 && (old[n] == '=' || !old[n])) {
            json_array_set_new(env, i, json_text(text));
            return;
        }
    }
    json_array_append_new(env, json_text(text));
}

static bool has_env(json_t *env, const char *name)
{
    size_t n = strlen(name), i;
    json_t *v;

    json_array_foreach(env, i, v)
    {
        const char *old = json_string_value(v);
        if (strncmp(old, name, n) == 0 && old[n] == '=')
            return true;
    }
    return false;
}

static void set_env_pair(json_t *env, const char *name, const char *value)
{
    cleanup_free char *text = str_format("%s=%s", name, value);

    if (text)
        set_env(env, text);
}

static json_t *environment(const struct spec *spec, const struct image_config *image,
                           const char *id, const struct container_user *user, bool tty)
{
    char host[INSTANCE_SHORT_LEN + 1];
    json_t *env = json_array();

    snprintf(host, sizeof host, "%s", id);
    set_env(env, DEFAULT_PATH);
    set_env_pair(env, "HOSTNAME", spec->container.hostname ? spec->container.hostname : host);
    if (tty)
        set_env(env, "TERM=xterm");
    if (container_boots(spec, image))
        set_env(env, "container=isola");
    for (size_t i = 0; image && image->env[i]; i++)
        set_env(env, image->env[i]);
    for (size_t i = 0; i < spec->container.env.count; i++)
        set_env(env, spec->container.env.items[i]);
    if (user->home[0] && !has_env(env, "HOME"))
        set_env_pair(env, "HOME", user->home);
    return env;
}

/* Soft and hard limits of "nofile=1024:2048". */
static json_t *rlimits(const struct spec_list *list)
{
    json_t *a = json_array();

    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->items[i], *value = strchr(text, '=') + 1;
        const char *colon = strchr(value, ':');
        /* No number of jansson's holds RLIM_INFINITY (-1): INT64_MAX stands for it until the
           configuration is parsed (container_engine.c). */
        unsigned long long soft = strtoull(value, NULL, 10),
                           hard = colon ? strtoull(colon + 1, NULL, 10) : soft;
        cleanup_free char *name = str_format("RLIMIT_%.*s", (int)strcspn(text, "="), text);
        for (char *p = name; p && *p; p++)
            *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
        soft = min_of(soft, (unsigned long long)INT64_MAX);
        hard = min_of(hard, (unsigned long long)INT64_MAX);
        json_array_append_new(a, json_pack("{s:s,s:I,s:I}", "type", name ? name : "", "soft",
                                           (json_int_t)soft, "hard", (json_int_t)hard));
    }
    return a;
}

static bool no_new_privileges(const struct spec *spec)
{
    for (size_t i = 0; i < spec->container.security_opts.count; i++) {
        const char *o = spec->container.security_opts.items[i];
        if (str_starts(o, "no-new-privileges"))
            return !strstr(o, "false");
    }
    return false;
}

static json_t *process(const struct spec *spec, const char *id, const struct image_config *image,
                       const struct container_user *user, bool tty, bool privileged,
                       struct error *err)
{
    const struct spec_container *c = &spec->container;
    const char *cwd = c->workdir ? c->workdir : image && image->workdir[0] ? image->workdir : "/";
    json_t *groups = json_array(), *o, *caps = container_capabilities(spec, privileged, err);

    if (!caps) {
        json_decref(groups);
        return NULL;
    }
    for (size_t i = 0; i < user->group_count; i++)
        json_array_append_new(groups, json_integer(user->groups[i]));
    o = json_pack("{s:b,s:s,s:{s:I,s:I,s:o,s:i},s:o,s:b,s:o}", "terminal", (int)tty, "cwd", cwd,
                  "user", "uid", (json_int_t)user->uid, "gid", (json_int_t)user->gid,
                  "additionalGids", groups, "umask", UMASK, "env",
                  environment(spec, image, id, user, tty), "noNewPrivileges",
                  (int)no_new_privileges(spec), "capabilities", caps);
    if (c->ulimits.count)
        json_object_set_new(o, "rlimits", rlimits(&c->ulimits));
    if (c->oom_score_adj)
        json_object_set_new(o, "oomScoreAdj", json_integer(c->oom_score_adj));
    return o;
}

/* ---- resources ---- */

static json_t *memory(const struct spec *spec)
{
    const struct spec_container *c = &spec->container;
    json_t *o = json_object();

    if (spec->memory)
        json_object_set_new(o, "limit", json_integer((json_int_t)spec->memory));
    if (c->memory_reservation)
        json_object_set_new(o, "reservation", json_integer((json_int_t)c->memory_reservation));
    if (c->memory_swap)
        json_object_set_new(o, "swap", json_integer((json_int_t)c->memory_swap));
    if (c->oom_kill_disable)
        json_object_set_new(o, "disableOOMKiller", json_true());
    return o;
}

static json_t *cpu(const struct spec *spec)
{
    const struct spec_container *c = &spec->container;
    json_t *o = json_object();
    uint64_t period = c->cpu_period, quota = c->cpu_quota;

    if (spec->millicpus) {
        period = CPU_PERIOD_US;
        quota = spec->millicpus * CPU_PERIOD_US / 1000;
    }
    if (period)
        json_object_set_new(o, "period", json_integer((json_int_t)period));
    if (quota)
        json_object_set_new(o, "quota", json_integer((json_int_t)quota));
    if (c->cpu_shares)
        json_object_set_new(o, "shares", json_integer((json_int_t)c->cpu_shares));
    if (c->cpuset_cpus)
        json_object_set_new(o, "cpus", json_text(c->cpuset_cpus));
    if (c->cpuset_mems)
        json_object_set_new(o, "mems", json_text(c->cpuset_mems));
    return o;
}

static void set_unless_empty(json_t *o, const char *key, json_t *v)
{
    if (json_is_array(v) ? json_array_size(v) : json_object_size(v))
        json_object_set(o, key, v);
    json_decref(v);
}

json_t *container_resources(const struct spec *spec, bool rootless)
{
    const struct spec_container *c = &spec->container;
    uint64_t pids = c->pids_limit;
    json_t *o = json_object();

    if (!pids && !c->privileged && !rootless)
        pids = DEFAULT_PIDS;
    if (pids)
        json_object_set_new(o, "pids", json_pack("{s:I}", "limit", (json_int_t)pids));
    set_unless_empty(o, "memory", memory(spec));
    set_unless_empty(o, "cpu", cpu(spec));
    return o;
}

/* ---- the whole ---- */

static void add_namespace(json_t *list, const char *type, const char *path)
{
    json_t *o = json_pack("{s:s}", "type", type);

    if (path)
        json_object_set_new(o, "path", json_text(path));
    json_array_append_new(list, o);
}

static bool is(const char *text, const char *value)
{
    return text && strcmp(text, value) == 0;
}

static json_t *namespaces(const struct container_plan *p)
{
    const struct spec_container *c = &p->spec->container;
    json_t *list = json_array();

    add_namespace(list, "mount", NULL);
    if (!is(c->pid, "host"))
        add_namespace(list, "pid", p->pid_path);
    if (!is(c->ipc, "host"))
        add_namespace(list, "ipc", p->ipc_path);
    if (!is(c->uts, "host"))
        add_namespace(list, "uts", NULL);
    if (p->spec->net != SPEC_NET_HOST)
        add_namespace(list, "network", p->net_path);
    if (!is(c->cgroupns, "host"))
        add_namespace(list, "cgroup", NULL);
    if (p->user_namespace)
        add_namespace(list, "user", NULL);
    return list;
}

static json_t *id_maps(const struct container_id_map *maps, size_t n)
{
    json_t *a = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            a, json_pack("{s:I,s:I,s:I}", "containerID", (json_int_t)maps[i].inside, "hostID",
                         (json_int_t)maps[i].outside, "size", (json_int_t)maps[i].size));
    return a;
}

static json_t *sysctls(const struct container_plan *p)
{
    const struct spec_list *list = &p->spec->container.sysctls;
    json_t *o = json_object();

    if (container_has_own_net(p->spec) && !p->user_namespace) {
        json_object_set_new(o, "net.ipv4.ip_unprivileged_port_start", json_string("0"));
        json_object_set_new(o, "net.ipv4.ping_group_range", json_string("0 2147483647"));
    }
    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->items[i], *value = strchr(text, '=');
        cleanup_free char *key = strndup(text, (size_t)(value - text));
        cleanup_free char *clean = key ? json_clean(key) : NULL;
        if (clean)
            json_object_set_new(o, clean, json_text(value + 1));
    }
    return o;
}

static json_t *annotations(const struct container_plan *p)
{
    const struct spec_list *list = &p->spec->container.annotations;
    json_t *o = json_object();

    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->items[i], *value = strchr(text, '=');
        cleanup_free char *key = strndup(text, (size_t)(value - text));
        cleanup_free char *clean = key ? json_clean(key) : NULL;
        if (clean)
            json_object_set_new(o, clean, json_text(value + 1));
    }
    return o;
}

static bool unconfined_paths(const struct spec *spec)
{
    for (size_t i = 0; i < spec->container.security_opts.count; i++)
        if (str_starts(spec->container.security_opts.items[i], "systempaths=unconfined"))
            return true;
    return spec->container.privileged;
}

static json_t *linux_part(const struct container_plan *p, struct error *err)
{
    bool open = unconfined_paths(p->spec);
    json_t *o = json_object(), *devices = json_array(), *resources;

    if (container_devices(p->spec, p->rootless, devices, err) < 0) {
        json_decref(devices);
        json_decref(o);
        return NULL;
    }
    resources = container_resources(p->spec, p->rootless);
    if (!p->rootless)
        json_object_set_new(resources, "devices", container_device_rules(p->spec, devices));
    json_object_set_new(o, "namespaces", namespaces(p));
    json_object_set_new(o, "resources", resources);
    set_unless_empty(o, "devices", devices);
    set_unless_empty(o, "sysctl", sysctls(p));
    if (p->cgroup)
        json_object_set_new(o, "cgroupsPath", json_text(p->cgroup));
    if (p->user_namespace) {
        json_object_set_new(o, "uidMappings", id_maps(p->uids, p->uid_count));
        json_object_set_new(o, "gidMappings", id_maps(p->gids, p->gid_count));
    }
    /* A systemd inside writes there; its namespaces are what confines it. */
    if (!open) {
        json_object_set_new(o, "maskedPaths",
                            container_texts(masked_paths, array_size(masked_paths)));
        if (!container_boots(p->spec, p->image))
            json_object_set_new(o, "readonlyPaths",
                                container_texts(readonly_paths, array_size(readonly_paths)));
    }
    return o;
}

static json_t *whole(const struct container_plan *p, const char **words, struct error *err)
{
    const struct spec *spec = p->spec;
    const struct spec_container *c = &spec->container;
    bool tty = spec->tty || (c->boot && !spec->interactive);
    json_t *root, *proc, *lin, *args = json_array();
    char host[INSTANCE_SHORT_LEN + 1];

    for (size_t i = 0; words[i]; i++)
        json_array_append_new(args, json_text(words[i]));
    proc = process(spec, p->id, p->image, p->user, tty, c->privileged, err);
    lin = proc ? linux_part(p, err) : NULL;
    if (!lin) {
        json_decref(proc);
        json_decref(args);
        return NULL;
    }
    json_object_set_new(proc, "args", args);
    root = json_pack("{s:s,s:o,s:{s:s,s:b},s:o}", "ociVersion", "1.2.0", "process", proc, "root",
                     "path", p->root, "readonly", (int)c->readonly, "mounts", container_mounts(p));
    snprintf(host, sizeof host, "%s", p->id);
    if (!is(c->uts, "host"))
        json_object_set_new(root, "hostname", json_text(c->hostname ? c->hostname : host));
    if (c->domainname)
        json_object_set_new(root, "domainname", json_text(c->domainname));
    set_unless_empty(root, "annotations", annotations(p));
    json_object_set_new(root, "linux", lin); /* the last: see container_config_make */
    return root;
}

static int put(json_t *o, struct str *out, struct error *err)
{
    cleanup_free char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

    json_decref(o);
    if (text)
        str_add(out, text);
    return text && !out->failed ? 0 : error_set(err, -ENOMEM, "out of memory");
}

int container_config_make(const struct container_plan *p, struct str *out, struct error *err)
{
    struct str filter = {0};
    const char **words;
    json_t *root;
    int r = container_words(p->spec, p->image, &words, err);

    if (r < 0)
        return r;
    root = whole(p, words, err);
    free(words);
    if (!root)
        return err ? err->code : -EINVAL;
    r = put(root, out, err);
    if (r == 0)
        r = container_seccomp(p->spec, &filter, err);
    /* The profile is text already and large: it goes in before the two braces at the end. */
    if (r == 0 && filter.len) {
        out->len -= 2;
        str_addf(out, ",\"seccomp\":%s}}", str_text(&filter));
        if (out->failed || filter.failed)
            r = error_set(err, -ENOMEM, "out of memory");
    }
    str_done(&filter);
    return r;
}

int container_resources_make(const struct spec *spec, bool rootless, struct str *out,
                             struct error *err)
{
    return put(container_resources(spec, rootless), out, err);
}

int container_process_make(const struct spec *spec, const struct image_config *image,
                           const char *id, const struct container_exec_request *q, struct str *out,
                           struct error *err)
{
    json_t *o = process(spec, id, image, q->user, q->tty, q->privileged, err), *args = json_array(),
           *env;

    if (!o) {
        json_decref(args);
        return err ? err->code : -EINVAL;
    }
    for (size_t i = 0; q->words[i]; i++)
        json_array_append_new(args, json_text(q->words[i]));
    json_object_set_new(o, "args", args);
    env = json_object_get(o, "env");
    for (size_t i = 0; q->env && q->env[i]; i++)
        set_env(env, q->env[i]);
    if (q->workdir)
        json_object_set_new(o, "cwd", json_text(q->workdir));
    return put(o, out, err);
}
