/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances that exist only on paper, for black-box tests of the command: six records in known
 * states, a console that says what it was asked for, and no process. ISOLA_FAKE=empty has no
 * records, ISOLA_FAKE=broken no store.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "instance/instance.h"
#include "instance/screen.h"
#include "instance/fork.h"
#include "instance/recording.h"
#include "instance/snapshot.h"
#include "machine/accel.h"

struct instances {
    bool empty;
};

struct instance_stream {
    int exit_code;
    struct instance_attach request;
};

static const struct record {
    const char *id, *name, *kernel;
    enum lifecycle_state state;
    int exit_code;
    int age, up; /* seconds since creation and since start */
} records[] = {
    {"a1", "web", "/boot/vmlinuz-6.1", LIFECYCLE_RUNNING, 0, 7300, 3700},
    {"a2", "ice", "/boot/vmlinuz-6.1", LIFECYCLE_PAUSED, 0, 7400, 90},
    {"b1", "db", "/srv/kernel", LIFECYCLE_EXITED, 3, 90000, 86400},
    {"b2", "fresh", "/srv/kernel", LIFECYCLE_CREATED, 0, 172801, 0},
    {"c1", "ghost", "/srv/kernel", LIFECYCLE_DEAD, 125, 172900, 600},
    {"c2", "loop", "/srv/kernel", LIFECYCLE_RESTARTING, 1, 259300, 5},
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static struct instance *make(const struct record *r)
{
    struct instance *i = mem_new(struct instance);
    int failed = 0;

    snprintf(i->id, sizeof(i->id), "%s%062d", r->id, 7);
    i->name = strdup(r->name);
    i->spec = spec_new();
    failed |= spec_set(i->spec, "vm", "true", NULL);
    failed |= spec_set(i->spec, "kernel", r->kernel, NULL);
    if (strcmp(r->name, "web") == 0) {
        failed |= spec_set(i->spec, "publish", "8080:80", NULL);
        failed |= spec_set(i->spec, "publish", "5353:53/udp", NULL);
        failed |= spec_set(i->spec, "label", "tier=front", NULL);
    }
    if (failed)
        abort();
    i->state = r->state;
    i->exit_code = r->exit_code;
    i->created = now_ns() - r->age * 1000000000ll;
    i->started = r->up ? now_ns() - r->up * 1000000000ll : 0;
    if (r->state >= LIFECYCLE_RESTARTING)
        i->finished = i->started;
    return i;
}

struct instances *instances_open(const struct instances_config *config, struct error *err)
{
    const char *fake = getenv("ISOLA_FAKE");
    struct instances *home;

    if (fake && strcmp(fake, "broken") == 0) {
        error_set(err, -EIO, "open the store: it is broken\nbeyond repair");
        return NULL;
    }
    home = mem_new(struct instances);
    home->empty = fake && strcmp(fake, "empty") == 0;
    return home;
}

void instances_close(struct instances *home)
{
    free(home);
}

const char *instances_data_dir(const struct instances *home)
{
    return "/tmp";
}

const char *instances_runtime_dir(const struct instances *home)
{
    return "/tmp";
}

void instance_free(struct instance *i)
{
    if (!i)
        return;
    free(i->name);
    spec_free(i->spec);
    free(i);
}

void instance_list_free(struct instance **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        instance_free(list[i]);
    free(list);
}

int instance_list(struct instances *home, struct instance ***ret_list, size_t *ret_count,
                  struct error *err)
{
    size_t n = home->empty ? 0 : array_size(records);

    *ret_list = mem_alloc(n + 1, sizeof(**ret_list));
    for (size_t i = 0; i < n; i++)
        (*ret_list)[i] = make(&records[i]);
    *ret_count = n;
    return 0;
}

static const struct record *find(const char *ref, struct error *err)
{
    for (size_t i = 0; i < array_size(records); i++) {
        if (strcmp(records[i].name, ref) == 0 || strncmp(records[i].id, ref, 2) == 0)
            return &records[i];
    }
    error_set(err, -ENOENT, "no instance %s", ref);
    return NULL;
}

int instance_find(struct instances *home, const char *ref, struct instance **ret, struct error *err)
{
    const struct record *r = find(ref, err);

    if (!r)
        return -ENOENT;
    *ret = make(r);
    return 0;
}

int instance_create(struct instances *home, const struct spec *spec, struct instance **ret,
                    struct error *err)
{
    if (spec->name && strcmp(spec->name, "web") == 0)
        return error_set(err, -EEXIST, "name web: taken");
    *ret = make(&records[3]);
    return 0;
}

/* Prints what was asked for, so that tests see that it arrived. */
static int act(const char *what, const char *ref, enum lifecycle_verb verb, struct error *err)
{
    const struct record *r = find(ref, err);
    const struct lifecycle_cell *cell;

    if (!r)
        return -ENOENT;
    if (getenv("ISOLA_FAKE_SAY"))
        fprintf(stderr, "fake: %s %s\n", what, r->name);
    return lifecycle_check(r->state, verb, &cell, err);
}

int instance_start(struct instances *home, const char *ref, const struct instance_attach *attach,
                   struct instance_stream **ret_stream, struct error *err)
{
    int r = act("start", ref, LIFECYCLE_START, err);

    if (r == 0 && attach) {
        *ret_stream = mem_new(struct instance_stream);
        (*ret_stream)->request = *attach;
        (*ret_stream)->exit_code = getenv("ISOLA_FAKE_EXIT") ? atoi(getenv("ISOLA_FAKE_EXIT")) : 0;
    }
    return r;
}

int instance_root(struct instances *home, const char *ref, int *ret_fd, struct error *err)
{
    return error_set(err, -ENOTSUP, "access to files is not supported by wall vm");
}

char *instance_upper(const struct instances *home, const struct instance *instance)
{
    (void)home;
    return str_format("/nowhere/%s", instance->id);
}

int instance_files(struct instances *home, const char *ref, int *ret_fd, struct error *err)
{
    return error_set(err, -ENOTSUP, "access to files is not supported by wall vm");
}

int instance_diff(struct instances *home, const char *ref,
                  bool (*change)(void *opaque, char kind, const char *path), void *opaque,
                  struct error *err)
{
    return error_set(err, -ENOTSUP, "diff is not supported by wall vm");
}

int instance_pids(struct instances *home, const char *ref, pid_t **ret, size_t *ret_count,
                  struct error *err)
{
    return error_set(err, -ENOTSUP, "top is not supported by wall vm");
}

int instance_update(struct instances *home, const char *ref, const char *key, const char *value,
                    struct error *err)
{
    return 0;
}

int instance_exec(struct instances *home, const char *ref, const struct instance_exec *exec,
                  const struct instance_attach *attach, struct instance_stream **ret_stream,
                  struct error *err)
{
    return error_set(err, -ENOTSUP, "exec is not supported by wall vm");
}

int instance_attach(struct instances *home, const char *ref, const struct instance_attach *attach,
                    struct instance_stream **ret_stream, struct error *err)
{
    int r = act("attach", ref, LIFECYCLE_ATTACH, err);

    if (r == 0) {
        *ret_stream = mem_new(struct instance_stream);
        (*ret_stream)->request = *attach;
    }
    return r;
}

int instance_stop(struct instances *home, const char *ref, int timeout, struct error *err)
{
    char what[32];
    snprintf(what, sizeof(what), "stop %d", timeout);
    return act(what, ref, LIFECYCLE_STOP, err);
}

int instance_kill(struct instances *home, const char *ref, const char *signal, struct error *err)
{
    char what[32];
    snprintf(what, sizeof(what), "kill %s", signal);
    return act(what, ref, LIFECYCLE_KILL, err);
}

int instance_restart(struct instances *home, const char *ref, int timeout, struct error *err)
{
    return act("restart", ref, LIFECYCLE_RESTART, err);
}

int instance_pause(struct instances *home, const char *ref, struct error *err)
{
    return act("pause", ref, LIFECYCLE_PAUSE, err);
}

int instance_unpause(struct instances *home, const char *ref, struct error *err)
{
    return act("unpause", ref, LIFECYCLE_UNPAUSE, err);
}

int instance_rm(struct instances *home, const char *ref, bool force, struct error *err)
{
    return act(force ? "rm force" : "rm", ref, force ? LIFECYCLE_RM_FORCE : LIFECYCLE_RM, err);
}

int instance_rename(struct instances *home, const char *ref, const char *name, struct error *err)
{
    return act(name, ref, LIFECYCLE_RENAME, err);
}

int instance_wait(struct instances *home, const char *ref, enum instance_wait condition,
                  int *ret_exit_code, struct error *err)
{
    const struct record *r = find(ref, err);

    if (!r)
        return -ENOENT;
    *ret_exit_code = r->exit_code + (int)condition;
    return 0;
}

int instance_prune(struct instances *home, bool created,
                   void (*removed)(void *opaque, const struct instance *instance), void *opaque,
                   struct error *err)
{
    for (size_t i = 2; i < 5; i++) {
        struct instance *instance = make(&records[i]);
        if (instance->state != LIFECYCLE_CREATED || created)
            removed(opaque, instance);
        instance_free(instance);
    }
    return 0;
}

int instance_inspect(struct instances *home, const char *ref, bool live, struct str *out,
                     struct error *err)
{
    const struct record *r = find(ref, err);

    if (!r)
        return -ENOENT;
    str_addf(out, "{\"id\":\"%s\",\"name\":\"%s\",\"state\":\"%s\",\"exit_code\":%d,\"live\":%s}",
             r->id, r->name, lifecycle_state_name(r->state), r->exit_code, live ? "true" : "false");
    return 0;
}

int instance_stats(struct instances *home, const char *ref, struct instance_stats *ret,
                   struct error *err)
{
    const struct record *r = find(ref, err);

    if (!r)
        return -ENOENT;
    if (!lifecycle_supervised(r->state))
        return error_set(err, -ESTALE, "not running");
    *ret = (struct instance_stats){.time = now_ns(),
                                   .memory_used = 64 << 20,
                                   .memory_limit = 512 << 20,
                                   .net_rx = 1500,
                                   .block_read = 1000000,
                                   .cpus = 2,
                                   .pids = 3};
    return 0;
}

int instance_logs(struct instances *home, const char *ref, const struct instance_log_query *query,
                  bool (*line)(void *opaque, const struct instance_log_line *line), void *opaque,
                  struct error *err)
{
    static const struct instance_log_line lines[] = {
        {1700000000000000000, "stdout", "one\n", 4},
        {1700000001000000000, "debug", "firmware\n", 9},
        {1700000002000000000, "stdout", "two\n", 4},
    };
    size_t first = query->tail >= 0 && query->tail < 3 ? 3 - (size_t)query->tail : 0;

    if (!find(ref, err))
        return -ENOENT;
    for (size_t i = first; i < 3; i++) {
        if (!line(opaque, &lines[i]))
            break;
    }
    return 0;
}

int instance_events(struct instances *home, const struct instance_event_query *query,
                    bool (*event)(void *opaque, const struct instance_event *event), void *opaque,
                    struct error *err)
{
    static const struct instance_event events[] = {
        {1700000000000000000, "start", "a1xxxxxxxxxxxxxx", "web", -1, NULL},
        {1700000005000000000, "die", "b1xxxxxxxxxxxxxx", "db", 3, "power-off"},
    };

    for (size_t i = 0; i < 2; i++) {
        if (!event(opaque, &events[i]))
            break;
    }
    return 0;
}

int instance_supervise(struct instances *home, const char *id, unsigned origin_fds)
{
    return 0;
}

void instance_stream_close(struct instance_stream *stream)
{
    free(stream);
}

int instance_terminal_run(struct instances *home, const char *ref, struct instance_stream *stream,
                          const struct instance_terminal *terminal,
                          struct instance_terminal_result *ret, struct error *err)
{
    char text[128];
    int n =
        snprintf(text, sizeof(text), "console input=%d tty=%d proxy=%d keys=%s replay=%d\n",
                 stream->request.input, terminal->tty, terminal->proxy_signals,
                 terminal->detach_keys ? terminal->detach_keys : "default", stream->request.replay);

    if (write(terminal->output_fd, text, (size_t)n) != n)
        return error_set_errno(err, -errno, "write");
    *ret = (struct instance_terminal_result){.exit_code = stream->exit_code};
    return 0;
}

int instance_detach_keys_check(const char *keys, struct error *err)
{
    return strcmp(keys, "bad") == 0 ? error_set(err, -EINVAL, "detach keys \"bad\": no") : 0;
}

void instance_terminal_size(int fd, unsigned *ret_columns, unsigned *ret_rows)
{
    *ret_columns = *ret_rows = 0;
}

static const struct accel_ops interp = {.name = "interp", .about = "a processor on paper"};

const struct accel_ops *accel_at(unsigned index)
{
    return index == 0 ? &interp : NULL;
}

const struct accel_ops *accel_find(const char *name, struct error *err)
{
    return &interp;
}

/* ---- screens ---- */

struct instance_screen {
    uint32_t pixels[2];
};

int instance_screen_open(struct instances *home, const char *ref, struct instance_screen **ret,
                         struct error *err)
{
    int r = act("screen", ref, LIFECYCLE_ATTACH, err);

    if (r == 0) {
        *ret = mem_new(struct instance_screen);
        (*ret)->pixels[0] = 0xff0000;
        (*ret)->pixels[1] = 0x0000ff;
    }
    return r;
}

void instance_screen_close(struct instance_screen *s)
{
    free(s);
}

int instance_screen_update(struct instance_screen *s, struct instance_picture *ret,
                           struct error *err)
{
    *ret = (struct instance_picture){.pixels = s->pixels, .width = 2, .height = 1};
    return 0;
}

int instance_screen_text(struct instance_screen *s, struct str *out, struct error *err)
{
    str_add(out, "login:\n");
    return 0;
}

int instance_screen_type(struct instance_screen *s, const char *text, struct error *err)
{
    printf("type \"%s\"\n", text);
    return 0;
}

int instance_screen_press(struct instance_screen *s, const char *keys, struct error *err)
{
    if (strcmp(keys, "hyper") == 0)
        return error_set(err, -EINVAL, "there is no key \"hyper\"");
    printf("press %s\n", keys);
    return 0;
}

/* ---- snapshots: one of web ---- */

int instance_fork(struct instances *home, const char *ref, const struct instance_fork *how,
                  void (*made)(void *opaque, const struct instance *fork), void *opaque,
                  struct error *err)
{
    struct instance *i = NULL;
    int r = instance_find(home, ref, &i, err);

    if (r == 0 && !lifecycle_supervised(i->state))
        r = error_set(err, -ESTALE, "it is exited; start it first");
    for (unsigned n = 0; r == 0 && n < how->count; n++) {
        struct instance fork = {.id = "f0f0"};
        made(opaque, &fork);
    }
    if (r == 0 && how->pattern)
        printf("named %s\n", how->pattern);
    instance_free(i);
    return r;
}

void snapshot_done(struct snapshot *s)
{
    free(s->name);
    free(s->instance_name);
    spec_free(s->spec);
    *s = (struct snapshot){0};
}

void snapshot_list_free(struct snapshot *list, size_t count)
{
    for (size_t n = 0; n < count; n++)
        snapshot_done(&list[n]);
    free(list);
}

int snapshot_create(struct instances *home, const char *ref, const char *name, char **ret_name,
                    struct error *err)
{
    struct instance *i = NULL;
    int r = instance_find(home, ref, &i, err);

    if (r == 0)
        r = lifecycle_check(i->state, LIFECYCLE_SNAPSHOT, NULL, err);
    if (r == 0)
        *ret_name = strdup(name ? name : "web-20260131-120000");
    instance_free(i);
    return r;
}

int snapshot_find(struct instances *home, const char *name, struct snapshot *ret, struct error *err)
{
    if (home->empty || strcmp(name, "before") != 0)
        return error_set(err, -ENOENT, "there is no snapshot %s", name);
    *ret = (struct snapshot){.name = strdup("before"),
                             .instance_name = strdup("web"),
                             .instance = "a1",
                             .created = now_ns() - 7200 * 1000000000ll,
                             .spec = spec_new(),
                             .memory = 512 << 20,
                             .disk = 56 << 20};
    return 0;
}

int snapshot_list(struct instances *home, struct snapshot **ret, size_t *ret_count,
                  struct error *err)
{
    *ret_count = home->empty ? 0 : 1;
    *ret = home->empty ? NULL : mem_new(struct snapshot);
    return home->empty ? 0 : snapshot_find(home, "before", *ret, err);
}

int snapshot_remove(struct instances *home, const char *name, struct error *err)
{
    struct snapshot s = {0};
    int r = snapshot_find(home, name, &s, err);

    if (r == 0)
        snapshot_done(&s);
    return r;
}

int snapshot_restore(struct instances *home, const char *snapshot, const char *name, bool new_ports,
                     struct instance **ret, struct error *err)
{
    int r = snapshot_remove(home, snapshot, err);

    (void)name;
    (void)new_ports;
    return r < 0 ? r : instance_find(home, "fresh", ret, err);
}

/* A connection that says @text and ends. */
static int talk(const char *text, int *ret_fd, struct error *err)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
        write(pair[1], text, strlen(text)) < 0)
        return error_set_errno(err, -errno, "create a socket");
    close(pair[1]);
    *ret_fd = pair[0];
    return 0;
}

int instance_debug(struct instances *home, const char *ref, const char *what, const char *arguments,
                   int *ret_fd, struct error *err)
{
    int r = act(what, ref, LIFECYCLE_ATTACH, err);

    if (r < 0)
        return r;
    if (strcmp(what, "trace") != 0)
        return talk("$T05thread:1;#", ret_fd, err);
    return talk(
        "{\"ns\":1500000000,\"area\":\"exceptions\",\"event\":\"exception\",\"cpu\":1,"
        "\"rip\":\"0x1000\",\"vector\":14,\"name\":\"#PF\",\"code\":\"0x2\","
        "\"address\":\"0x2000\"}\n"
        "{\"lost\":3}\n"
        "{\"ns\":1600000000,\"area\":\"drives\",\"event\":\"request\",\"device\":\"drive0\","
        "\"request\":\"read\",\"offset\":512,\"length\":4096}\n",
        ret_fd, err);
}

int instance_show(struct instances *home, const char *ref, const char *what, struct str *out,
                  struct error *err)
{
    int r = act("show", ref, LIFECYCLE_ATTACH, err);

    if (r == 0)
        str_addf(out, "shown: %s\n", *what ? what : "all");
    return r;
}

/* ---- recordings: boot, which differs when it is played to its end ---- */

int recording_list(struct instances *home, struct recording **ret, size_t *ret_count,
                   struct error *err)
{
    (void)err;
    *ret_count = home->empty ? 0 : 1;
    *ret = home->empty ? NULL : mem_new(struct recording);
    if (*ret)
        **ret = (struct recording){
            .name = strdup("boot"), .changed = now_ns() - 7200 * 1000000000ll, .bytes = 5 << 20};
    return 0;
}

void recording_list_free(struct recording *list, size_t count)
{
    for (size_t n = 0; n < count; n++)
        free(list[n].name);
    free(list);
}

int recording_remove(struct instances *home, const char *name, struct error *err)
{
    return home->empty || strcmp(name, "boot") != 0
               ? error_set(err, -ENOENT, "there is no recording %s", name)
               : 0;
}

int recording_play(struct instances *home, const struct recording_play *play,
                   struct recording_report *ret, struct error *err)
{
    *ret = (struct recording_report){.bytes = 5 << 20,
                                     .event_bytes = 1 << 20,
                                     .checkpoint_bytes = 4 << 20,
                                     .checkpoints = 3,
                                     .last = 2000000000,
                                     .end_ns = 9000000000,
                                     .whole = true,
                                     .end = "poweroff"};
    if (home->empty || strcmp(play->name, "boot") != 0)
        return error_set(err, -ENOENT, "there is no recording %s", play->name);
    if (play->only_look)
        return 0;
    if (play->output)
        play->output(play->opaque, (const uint8_t *)"hello\n", 6);
    ret->count = play->to == UINT64_MAX ? 1500000000 : play->to;
    ret->time_ns = play->at == UINT64_MAX ? 7000000000 : play->at;
    return play->to == UINT64_MAX && play->at == UINT64_MAX
               ? error_set(err, -EBADMSG, "the replay differs from the recording after 15")
               : 0;
}
