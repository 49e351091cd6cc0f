/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine makes of a spec, as the OCI parser reads it. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/oci_config.h"
#include "image/config.h"
#include "instance/container_config.h"

static struct error err;
static const char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static const char image_text[] =
    "{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]},"
    "\"config\":{\"Env\":[\"PATH=/bin\",\"LANG=C\"],\"Entrypoint\":[\"/entry\",\"-x\"],"
    "\"Cmd\":[\"serve\"],\"WorkingDir\":\"/srv\",\"StopSignal\":\"SIGINT\"}}";

struct made {
    struct spec *spec;
    struct image_config image;
    struct container_user user;
    struct container_plan plan;
    struct oci_config *config;
};

static struct made *begin(bool image)
{
    struct made *m = mem_new(struct made);

    m->spec = spec_new();
    assert_int_equal(image_config_parse(image_text, sizeof image_text - 1, &m->image, &err), 0);
    m->user = (struct container_user){.uid = 5, .gid = 6, .home = "/home/five"};
    m->plan = (struct container_plan){.spec = m->spec,
                                      .image = image ? &m->image : NULL,
                                      .id = id,
                                      .root = "/rootfs",
                                      .user = &m->user,
                                      .cgroup = "/isola/x"};
    return m;
}

static void say(struct made *m, const char *key, const char *value)
{
    if (spec_set(m->spec, key, value, &err) < 0)
        fail_msg("%s=%s: %s", key, value, error_text(&err));
}

static void make(struct made *m)
{
    struct str text = {0};

    oci_config_free(m->config);
    m->config = NULL;
    if (container_config_make(&m->plan, &text, &err) < 0)
        fail_msg("%s", error_text(&err));
    if (oci_config_parse(str_text(&text), text.len, &m->config, &err) < 0)
        fail_msg("%s in %s", error_text(&err), str_text(&text));
    str_done(&text);
}

static void end(struct made *m)
{
    oci_config_free(m->config);
    image_config_done(&m->image);
    spec_free(m->spec);
    free(m);
}

static bool has(const struct oci_strings *list, const char *text)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->v[i], text) == 0)
            return true;
    return false;
}

static const struct oci_mount *mount_at(const struct made *m, const char *target)
{
    for (size_t i = 0; i < m->config->mount_count; i++)
        if (strcmp(m->config->mounts[i].destination, target) == 0)
            return &m->config->mounts[i];
    return NULL;
}

/* Entrypoint and command by Docker's table. */
static void words(void **state)
{
    static const struct {
        const char *entrypoint, *command;
        const char *want[4];
    } cases[] = {{NULL, NULL, {"/entry", "-x", "serve"}},
                 {NULL, "other", {"/entry", "-x", "other"}},
                 {"/mine", NULL, {"/mine"}},
                 {"/mine", "arg", {"/mine", "arg"}},
                 {"", "sh", {"sh"}}};

    for (size_t i = 0; i < array_size(cases); i++) {
        struct made *m = begin(true);
        size_t n = 0;
        if (cases[i].entrypoint)
            say(m, "entrypoint", cases[i].entrypoint);
        if (cases[i].command)
            say(m, "command", cases[i].command);
        make(m);
        while (n < 4 && cases[i].want[n])
            n++;
        assert_int_equal(m->config->process.args.n, n);
        for (size_t k = 0; k < n; k++)
            assert_string_equal(m->config->process.args.v[k], cases[i].want[k]);
        end(m);
    }
    struct made *m = begin(true);
    struct str text = {0};
    say(m, "entrypoint", "");
    assert_int_equal(container_config_make(&m->plan, &text, &err), -EINVAL);
    assert_non_null(strstr(err.text, "no command"));
    str_done(&text);
    end(m);
}

static void process(void **state)
{
    struct made *m = begin(true);
    const struct oci_process *p;

    say(m, "env", "LANG=de");
    say(m, "env", "X=1");
    say(m, "ulimit", "nofile=10:20");
    say(m, "security-opt", "no-new-privileges");
    make(m);
    p = &m->config->process;
    assert_true(has(&p->env, "PATH=/bin") && has(&p->env, "LANG=de") && has(&p->env, "X=1"));
    assert_true(has(&p->env, "HOME=/home/five") && has(&p->env, "HOSTNAME=0123456789ab"));
    assert_false(has(&p->env, "LANG=C") || has(&p->env, "TERM=xterm"));
    assert_string_equal(p->cwd, "/srv");
    assert_int_equal(p->uid, 5);
    assert_int_equal(p->gid, 6);
    assert_true(p->umask.set && p->umask.value == 022);
    assert_true(p->no_new_privileges && !p->terminal);
    assert_int_equal(p->rlimit_count, 1);
    assert_true(p->rlimits[0].soft == 10 && p->rlimits[0].hard == 20);
    assert_string_equal(m->config->hostname, "0123456789ab");
    say(m, "workdir", "/w");
    say(m, "tty", "true");
    say(m, "hostname", "h");
    make(m);
    p = &m->config->process;
    assert_true(p->terminal && has(&p->env, "TERM=xterm") && has(&p->env, "HOSTNAME=h"));
    assert_string_equal(p->cwd, "/w");
    end(m);
}

#define CAP(n) (1ull << (n))
static void capabilities(void **state)
{
    static const struct {
        const char *drop, *add;
        uint64_t want, never;
    } cases[] = {
        {NULL, NULL, CAP(0) | CAP(27), CAP(12) | CAP(21) | CAP(16)}, /* CHOWN MKNOD; NET_ADMIN.. */
        {NULL, "NET_ADMIN", CAP(0) | CAP(12), CAP(21)},
        {"MKNOD", NULL, CAP(0), CAP(27)},
        {"ALL", "CAP_CHOWN", CAP(0), ~CAP(0)},
        {"ALL", NULL, 0, ~0ull},
        {"CHOWN", "ALL", CAP(12), CAP(0)},
    };

    for (size_t i = 0; i < array_size(cases); i++) {
        struct made *m = begin(true);
        const struct oci_capabilities *c;
        if (cases[i].add)
            say(m, "cap-add", cases[i].add);
        if (cases[i].drop)
            say(m, "cap-drop", cases[i].drop);
        make(m);
        c = &m->config->process.capabilities;
        assert_true(c->set);
        assert_true((c->bounding & cases[i].want) == cases[i].want);
        assert_true((c->bounding & cases[i].never) == 0);
        assert_true(c->effective == c->bounding && c->permitted == c->bounding);
        assert_true(c->inheritable == 0 && c->ambient == 0);
        end(m);
    }
    struct made *m = begin(true);
    struct str text = {0};
    say(m, "cap-add", "NO_SUCH");
    assert_int_equal(container_config_make(&m->plan, &text, &err), -EINVAL);
    str_done(&text);
    end(m);
}

static void walls(void **state)
{
    struct made *m = begin(true);
    static const int flags[] = {CLONE_NEWNS,  CLONE_NEWPID, CLONE_NEWIPC,
                                CLONE_NEWUTS, CLONE_NEWNET, CLONE_NEWCGROUP};

    make(m);
    for (size_t i = 0; i < array_size(flags); i++)
        assert_non_null(oci_config_namespace(m->config, flags[i]));
    assert_null(oci_config_namespace(m->config, CLONE_NEWUSER));
    assert_true(has(&m->config->masked_paths, "/proc/kcore"));
    assert_true(has(&m->config->readonly_paths, "/proc/sys"));
    assert_true(has(&mount_at(m, "/sys")->options, "ro"));
    assert_false(m->config->root_readonly);
    assert_true(m->config->resources.pids_limit.set);
    say(m, "network", "host");
    say(m, "pid", "host");
    say(m, "ipc", "host");
    say(m, "uts", "host");
    say(m, "read-only", "true");
    make(m);
    assert_null(oci_config_namespace(m->config, CLONE_NEWNET));
    assert_null(oci_config_namespace(m->config, CLONE_NEWPID));
    assert_null(oci_config_namespace(m->config, CLONE_NEWIPC));
    assert_null(oci_config_namespace(m->config, CLONE_NEWUTS));
    assert_non_null(oci_config_namespace(m->config, CLONE_NEWNS));
    assert_true(m->config->root_readonly);
    assert_null(m->config->hostname);
    say(m, "privileged", "true");
    make(m);
    assert_int_equal(m->config->masked_paths.n, 0);
    assert_int_equal(m->config->readonly_paths.n, 0);
    end(m);
}

static void resources(void **state)
{
    struct made *m = begin(true);
    const struct oci_resources *r;

    say(m, "memory", "100m");
    say(m, "memory-swap", "-1");
    say(m, "cpus", "1.5");
    say(m, "cpu-shares", "512");
    say(m, "pids-limit", "-1");
    say(m, "cpuset-cpus", "0");
    make(m);
    r = &m->config->resources;
    assert_int_equal(r->memory.limit.value, 100 << 20);
    assert_int_equal(r->memory.swap.value, -1);
    assert_int_equal(r->cpu.period.value, 100000);
    assert_int_equal(r->cpu.quota.value, 150000);
    assert_int_equal(r->cpu.shares.value, 512);
    assert_int_equal(r->pids_limit.value, -1);
    assert_string_equal(r->cpu.cpus, "0");
    assert_true(r->device_count > 3 && !r->devices[0].allow);
    end(m);
}

static void mounts(void **state)
{
    static const char *const sources[] = {"/v/deep", "/v/top", NULL, "/v/hosts"};
    struct made *m = begin(true);
    size_t deep = 0, top = 0;

    say(m, "volume", "a:/x/y/z:ro");
    say(m, "volume", "b:/x");
    say(m, "tmpfs", "/t:exec,size=1m");
    say(m, "volume", "c:/etc/hosts");
    m->plan.sources = sources;
    m->plan.hosts = "/d/hosts";
    m->plan.resolv = "/d/resolv.conf";
    make(m);
    assert_string_equal(mount_at(m, "/x/y/z")->source, "/v/deep");
    assert_true(has(&mount_at(m, "/x/y/z")->options, "ro"));
    assert_string_equal(mount_at(m, "/etc/hosts")->source, "/v/hosts");
    assert_string_equal(mount_at(m, "/etc/resolv.conf")->source, "/d/resolv.conf");
    assert_null(mount_at(m, "/etc/hostname"));
    assert_true(has(&mount_at(m, "/t")->options, "size=1m"));
    for (size_t i = 0; i < m->config->mount_count; i++) {
        deep = strcmp(m->config->mounts[i].destination, "/x/y/z") == 0 ? i : deep;
        top = strcmp(m->config->mounts[i].destination, "/x") == 0 ? i : top;
    }
    assert_true(top < deep);
    end(m);
}

static void boot(void **state)
{
    struct made *m = begin(false);

    say(m, "rootfs", "/r");
    say(m, "boot", "true");
    make(m);
    assert_string_equal(m->config->process.args.v[0], "/sbin/init");
    assert_true(has(&m->config->process.env, "container=isola"));
    assert_non_null(mount_at(m, "/run"));
    assert_non_null(mount_at(m, "/tmp"));
    assert_false(has(&mount_at(m, "/sys/fs/cgroup")->options, "ro"));
    assert_int_equal(container_stop_signal(m->spec, NULL), 37);
    assert_true(m->config->process.terminal);
    end(m);
    m = begin(true);
    assert_false(container_boots(m->spec, &m->image));
    assert_int_equal(container_stop_signal(m->spec, &m->image), 2);
    say(m, "stop-signal", "USR1");
    assert_int_equal(container_stop_signal(m->spec, &m->image), 10);
    say(m, "entrypoint", "/sbin/init");
    assert_true(container_boots(m->spec, &m->image));
    end(m);
}

/* ---- users ---- */

static char dir[] = "/tmp/isola-user-XXXXXX";

static void put(const char *name, const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int set_up(void **state)
{
    char path[128];

    assert_non_null(mkdtemp(dir));
    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, i ? "low" : "top");
        mkdir(path, 0755);
        snprintf(path, sizeof path, "%s/%s/etc", dir, i ? "low" : "top");
        mkdir(path, 0755);
    }
    put("low/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/var/www:/bin/sh\n"
                          "bad:x:-1:0::/:\n7:x:70:71::/seven:/bin/sh\nbroken\n::::\n");
    put("low/etc/group",
        "root:x:0:\nweb:x:33:\naudio:x:29:other,web\nvideo:x:44:web\nx:x:no:web\n");
    return 0;
}

static int tear_down(void **state)
{
    char command[64];

    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static int find(const char *user, const struct spec_list *groups, struct container_user *ret)
{
    char top[64], low[64];
    const char *roots[] = {top, low};

    snprintf(top, sizeof top, "%s/top", dir);
    snprintf(low, sizeof low, "%s/low", dir);
    return container_user_find(roots, 2, user, groups, ret, &err);
}

static void users(void **state)
{
    struct container_user u;
    char *extra[] = {(char *)"audio", (char *)"1234"};
    const struct spec_list groups = {extra, 2};

    assert_int_equal(find(NULL, NULL, &u), 0);
    assert_int_equal(u.uid, 0);
    assert_string_equal(u.home, "/root");
    assert_int_equal(find("web", NULL, &u), 0);
    assert_int_equal(u.uid, 33);
    assert_int_equal(u.group_count, 2);
    assert_string_equal(u.home, "/var/www");
    assert_int_equal(find("web:audio", NULL, &u), 0);
    assert_int_equal(u.gid, 29);
    assert_int_equal(u.group_count, 0);
    assert_int_equal(find("33", NULL, &u), 0);
    assert_int_equal(u.group_count, 2);
    assert_int_equal(find("7", NULL, &u), 0); /* a name that is a number */
    assert_int_equal(u.uid, 70);
    assert_int_equal(find("4711:4712", &groups, &u), 0);
    assert_int_equal(u.uid, 4711);
    assert_int_equal(u.gid, 4712);
    assert_int_equal(u.group_count, 2);
    assert_int_equal(u.groups[0], 29);
    assert_string_equal(u.home, "/");
    assert_int_equal(find("nobody", NULL, &u), -ENOENT);
    assert_int_equal(find("web:nogroup", NULL, &u), -ENOENT);
    assert_int_equal(find("bad", NULL, &u), -ENOENT);
    /* The upper layer's file counts, and a whiteout hides the lower one. */
    put("top/etc/passwd", "web:x:99:98::/up:/bin/sh\n");
    assert_int_equal(find("web", NULL, &u), 0);
    assert_int_equal(u.uid, 99);
}

/* A link out of the root is read inside it. */
static void hostile_files(void **state)
{
    struct container_user u;
    char path[128];

    snprintf(path, sizeof path, "%s/top/etc/passwd", dir);
    unlink(path);
    assert_int_equal(symlink("/../../../../etc/passwd", path), 0);
    assert_int_equal(find("daemon", NULL, &u), -ENOENT);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* does not block */
    assert_int_equal(find("web", NULL, &u), -ENOENT);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),        cmocka_unit_test(process),
        cmocka_unit_test(capabilities), cmocka_unit_test(walls),
        cmocka_unit_test(resources),    cmocka_unit_test(mounts),
        cmocka_unit_test(boot),         cmocka_unit_test_setup_teardown(users, NULL, NULL),
        cmocka_unit_test(hostile_files)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
