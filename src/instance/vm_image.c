/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/vm_image.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/drive.h"
#include "instance/container_config.h"
#include "instance/container_files.h"
#include "instance/container_slirp.h"
#include "instance/container_sources.h"
#include "container/oci_config.h"
#include "instance/json.h"

/* A restart by policy looks the image up and writes the guest's files again. */
/* syscalls: access faccessat faccessat2 fchmod flock getdents64 mkdir mkdirat readlinkat */

/* Room for what an instance writes: the file is thin. */
#define OWN_DRIVE_SIZE (10ull << 30)
/*
 * Before what the user appends. The kernel says nothing but why it dies, and that ends the machine.
 * Waits for other processors to notice changes (RCU) would be most of the time of a boot.
 */
#define APPEND                                                                                     \
    "console=ttyS0 quiet loglevel=1 panic=-1 rcupdate.rcu_expedited=1 cryptomgr.notests "          \
    "random.trust_cpu=on 8250.nr_uarts=1 tsc=reliable"
enum { OWN_FILE_MAX = 64 << 10 };

/* ---- files ---- */

static int find_image(struct vm_image *v, struct error *err)
{
    const struct spec *spec = v->env->spec;
    struct image_store *store = container_store_open(v->env->data_dir, err);
    int r = store ? image_find(store, spec->container.image_id, NULL, &v->image, err) : err->code;

    if (r == 0) {
        v->drive = image_drive_path(store, v->image->id);
        r = v->drive ? 0 : error_set(err, -ENOMEM, "out of memory");
    }
    image_store_close(store);
    if (r == 0 && access(v->drive, R_OK) < 0)
        r = error_set_errno(err, -errno, "the drive of image %s (isola run --vm makes it) at %s",
                            spec->image, v->drive);
    return r;
}

static int find_kernel(struct vm_image *v, struct error *err)
{
    const struct spec *spec = v->env->spec;
    cleanup_free char *dir = vm_image_kernel_dir(v->env->data_dir);

    if (dir && spec->kernel)
        v->kernel = strdup(spec->kernel);
    else if (dir)
        v->kernel = str_format("%s/vmlinuz", dir);
    if (dir && spec->initrd)
        v->initrd = strdup(spec->initrd);
    else if (dir)
        v->initrd = str_format("%s/agent.img", dir);
    v->append =
        str_format("%s%s%s", APPEND, spec->append ? " " : "", spec->append ? spec->append : "");
    if (!v->kernel || !v->initrd || !v->append)
        return error_set(err, -ENOMEM, "out of memory");
    if (access(v->kernel, R_OK) < 0 || access(v->initrd, R_OK) < 0)
        return error_set_errno(err, -errno,
                               "the kernel for images (isola run --vm fetches it) at %s",
                               access(v->kernel, R_OK) < 0 ? v->kernel : v->initrd);
    return 0;
}

static int run_quietly(const char *const *argv, int *ret_status, struct error *err)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int r;

    posix_spawn_file_actions_init(&actions);
    for (int fd = 0; fd < 3; fd++)
        posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    r = posix_spawn(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, NULL);
    posix_spawn_file_actions_destroy(&actions);
    if (r)
        return error_set_errno(err, -r, "run %s (package e2fsprogs)", argv[0]);
    while (waitpid(pid, ret_status, 0) < 0)
        if (errno != EINTR)
            return error_set_errno(err, -errno, "wait for %s", argv[0]);
    return 0;
}

/* An empty file system, which appears when it is complete. */
static int make_own_drive(struct vm_image *v, struct error *err)
{
    const struct spec *spec = v->env->spec;
    cleanup_free char *new = str_format("%s/drive.new", v->env->dir);
    /* mke2fs counts in KiB. */
    cleanup_free char *size = str_format(
        "%lluk", (unsigned long long)(spec->disk_size ? spec->disk_size : OWN_DRIVE_SIZE) >> 10);
    const char *const argv[] = {
        "/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-L", "instance", "-O",
        /* What goes with the machine needs no journal. */
        spec->rm ? "^has_journal,^metadata_csum,^64bit,^resize_inode"
                 : "^metadata_csum,^64bit,^resize_inode",
        "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", new, size, NULL};
    int r, status = 0;

    v->own = str_format("%s/drive.ext4", v->env->dir);
    if (!v->own || !new || !size)
        return error_set(err, -ENOMEM, "out of memory");
    if (access(v->own, F_OK) == 0)
        return 0;
    r = run_quietly(argv, &status, err);
    if (r == 0 && status)
        r = error_set(err, -EIO, "make the instance's drive: mke2fs failed on %s", new);
    if (r == 0 && rename(new, v->own) < 0)
        r = error_set_errno(err, -errno, "make the instance's drive %s", v->own);
    return r;
}

/* ---- settings of the machine ---- */

/* The text of a file that container_files_write has made. */
static int add_file(const struct vm_image *v, struct str *s, const char *key, const char *name,
                    struct error *err)
{
    cleanup_free char *path = str_format("%s/%s", v->env->dir, name);
    cleanup_free char *text = mem_alloc(1, OWN_FILE_MAX);
    cleanup_fd int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = text && fd >= 0 ? read(fd, text, OWN_FILE_MAX - 1) : -1;

    if (n < 0)
        return error_set_errno(err, -errno, "read %s", name);
    text[strnlen(text, (size_t)n)] = 0;
    agent_set(s, key, text);
    return 0;
}

static void add_network(const struct vm_image *v, struct str *s)
{
    if (v->env->spec->net != SPEC_NET_NAT)
        return;
    agent_set(s, "address", CONTAINER_SLIRP_ADDRESS);
    agent_set(s, "prefix", "24");
    agent_set(s, "gateway", CONTAINER_SLIRP_GATEWAY);
}

static void add_mounts(const struct vm_image *v, struct str *s)
{
    const struct spec_container *c = &v->env->spec->container;
    char size[32];

    if (c->shm_size) {
        snprintf(size, sizeof size, "%llu", (unsigned long long)c->shm_size);
        agent_set(s, "shm", size);
    }
    for (size_t i = 0; i < c->mount_count; i++) {
        const struct spec_mount *m = &c->mounts[i];
        cleanup_free char *text = str_format("%s:%s%s", m->target, m->readonly ? "ro," : "",
                                             m->options ? m->options : "");
        if (text)
            agent_set(s, "tmpfs", text);
        else
            s->failed = true;
    }
}

static int set_up(struct vm_image *v, struct error *err)
{
    const struct spec *spec = v->env->spec;
    bool nat = spec->net == SPEC_NET_NAT;
    const struct container_names names = {.id = v->env->id,
                                          .spec = spec,
                                          .address = nat ? CONTAINER_SLIRP_ADDRESS : NULL,
                                          .gateway = nat ? CONTAINER_SLIRP_GATEWAY : NULL,
                                          .dns = nat ? CONTAINER_SLIRP_DNS : NULL};
    char name[INSTANCE_SHORT_LEN + 1];
    struct str s = {0};
    int r = container_files_write(v->env->dir, &names, err);

    snprintf(name, sizeof name, "%s", v->env->id);
    agent_set(&s, "name", spec->container.hostname ? spec->container.hostname : name);
    if (spec->container.domainname)
        agent_set(&s, "domainname", spec->container.domainname);
    if (r == 0)
        r = add_file(v, &s, "hosts", "hosts", err);
    if (r == 0)
        r = add_file(v, &s, "hostname", "hostname", err);
    if (r == 0)
        r = add_file(v, &s, "resolv", "resolv.conf", err);
    add_network(v, &s);
    add_mounts(v, &s);
    agent_set(&s, "workdir",
              spec->container.workdir ? spec->container.workdir : v->image->config.workdir);
    if (v->own)
        agent_set(&s, "upper", "/dev/vdb");
    if (spec->rm)
        agent_set(&s, "scratch", "1");
    if (spec->container.readonly)
        agent_set(&s, "readonly", "1");
    if (r == 0)
        r = agent_setup(v->agent, &s, err);
    str_done(&s);
    return r;
}

int vm_image_open(const struct engine_env *env, const struct agent_watch *watch, struct vm_image *v,
                  struct error *err)
{
    int r;

    *v = (struct vm_image){.env = env};
    r = find_image(v, err);
    if (r == 0)
        r = find_kernel(v, err);
    if (r == 0 && !env->spec->container.readonly)
        r = make_own_drive(v, err);
    if (r < 0)
        return r;
    v->agent = agent_new(env->loop, watch, err);
    return v->agent ? set_up(v, err) : err->code;
}

void vm_image_done(struct vm_image *v)
{
    agent_process_free(v->main);
    agent_free(v->agent);
    image_free(v->image);
    free(v->drive);
    free(v->own);
    free(v->kernel);
    free(v->initrd);
    free(v->append);
    *v = (struct vm_image){0};
}

/* ---- settings of processes ---- */

static void add_texts(struct str *s, const char *key, json_t *list)
{
    size_t i;
    json_t *v;

    json_array_foreach(list, i, v) agent_set(s, key, json_string_value(v));
}

/* setrlimit's number and both limits. -1: none. */
static void add_rlimits(struct str *s, json_t *list)
{
    json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        const char *type = json_string_value(json_object_get(v, "type"));
        int number = type ? oci_rlimit_number(type) : -1;
        long long soft = json_integer_value(json_object_get(v, "soft"));
        long long hard = json_integer_value(json_object_get(v, "hard"));
        char text[80];

        snprintf(text, sizeof text, "%d %lld %lld", number, soft == INT64_MAX ? -1 : soft,
                 hard == INT64_MAX ? -1 : hard);
        agent_set(s, "rlimit", text);
    }
}

/*
 * By the same rules as behind the other wall: the "process" object of a configuration, said in the
 * agent's words. The agent knows the files of the running guest, so it looks up users and HOME.
 */
static int add_process(const struct vm_image *v, const struct container_exec_request *q,
                       const char *user, struct str *s, struct error *err)
{
    const struct spec *spec = v->env->spec;
    struct str text = {0};
    json_t *o;
    int r = container_process_make(spec, &v->image->config, v->env->id, q, &text, err);

    if (r < 0)
        return r;
    o = json_parse(str_text(&text), text.len, err);
    str_done(&text);
    if (!o)
        return err->code;
    add_texts(s, "arg", json_object_get(o, "args"));
    add_texts(s, "env", json_object_get(o, "env"));
    add_rlimits(s, json_object_get(o, "rlimits"));
    agent_set(s, "cwd", json_string_value(json_object_get(o, "cwd")));
    json_decref(o);
    if (!user)
        user = spec->container.user ? spec->container.user : v->image->config.user;
    agent_set(s, "user", user);
    for (size_t i = 0; i < spec->container.groups.count; i++)
        agent_set(s, "group", spec->container.groups.items[i]);
    if (q->tty)
        agent_set(s, "tty", "1");
    return 0;
}

void vm_image_add_size(struct str *s, unsigned columns, unsigned rows)
{
    char text[16];

    if (!columns || !rows)
        return;
    snprintf(text, sizeof text, "%u", columns);
    agent_set(s, "columns", text);
    snprintf(text, sizeof text, "%u", rows);
    agent_set(s, "rows", text);
}

int vm_image_run(struct vm_image *v, void (*ended)(void *opaque, int code, const char *reason),
                 void *opaque, struct error *err)
{
    const struct spec *spec = v->env->spec;
    struct container_user nobody = {0};
    struct container_exec_request q = {.user = &nobody, .tty = spec->tty};
    cleanup_free const char **words = NULL;
    struct str s = {0};
    struct agent_command c = {.main = true,
                              .input = spec->interactive,
                              .settings = &s,
                              .output = v->env->console,
                              .errors = v->env->errors,
                              .ended = ended,
                              .opaque = opaque};
    unsigned columns, rows;
    int r = container_words(spec, &v->image->config, &words, err);

    if (r < 0)
        return r;
    q.words = words;
    v->env->size(v->env->opaque, &columns, &rows);
    vm_image_add_size(&s, columns, rows);
    if (spec->interactive)
        agent_set(&s, "input", "1");
    if (spec->container.init)
        agent_set(&s, "init", "1");
    r = add_process(v, &q, NULL, &s, err);
    if (r == 0)
        r = agent_run(v->agent, &c, &v->main, err);
    str_done(&s);
    return r;
}

int vm_image_exec_settings(const struct vm_image *v, const struct instance_exec *x, struct str *ret,
                           struct error *err)
{
    struct container_user nobody = {0};
    const struct container_exec_request q = {
        .words = x->words, .env = x->env, .workdir = x->workdir, .user = &nobody, .tty = x->tty};

    if (x->interactive)
        agent_set(ret, "input", "1");
    return add_process(v, &q, x->user, ret, err);
}
