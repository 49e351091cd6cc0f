/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/loop.h"
#include "base/mem.h"
#include "base/own.h"
#include "instance/engine.h"

struct fake {
    struct engine engine;
    struct engine_env env;
    struct loop_timer *end, *pump;
    char *todo; /* output that is still to be written */
    size_t todo_at, todo_len;
    bool paused;
    int code;
};

static char dir[64];

static const char *word(const char *append, const char *key)
{
    static char value[256];
    size_t n = strlen(key);

    for (const char *p = append; p && *p; p = strchr(p, ' ') ? strchr(p, ' ') + 1 : NULL) {
        if (strncmp(p, key, n) != 0)
            continue;
        if (key[n - 1] != '=')
            return p[n] == 0 || p[n] == ' ' ? "" : NULL;
        snprintf(value, sizeof value, "%.*s", (int)strcspn(p + n, " "), p + n);
        return value;
    }
    return NULL;
}

static struct fake *fake_of(struct engine *e)
{
    return container_of(e, struct fake, engine);
}

static const char *append_of(const struct fake *f)
{
    return f->env.spec->append ? f->env.spec->append : "";
}

static void fake_end(void *opaque)
{
    struct fake *f = opaque;

    if (f->todo_at < f->todo_len) /* the guest ends after its last words */
        loop_timer_set(f->end, loop_now_ns() + 1000000);
    else
        f->env.ended(f->env.opaque, f->code, f->code ? "fake failure" : NULL);
}

static void fake_pump(void *opaque)
{
    struct fake *f = opaque;
    struct chardev *c = f->env.console;

    while (f->todo_at < f->todo_len) {
        size_t n = c->ops->write(c, (uint8_t *)f->todo + f->todo_at, f->todo_len - f->todo_at);
        if (!n)
            return;
        f->todo_at += n;
    }
}

static size_t fake_room(void *opaque)
{
    return 64;
}

static void fake_input(void *opaque, const uint8_t *bytes, size_t n)
{
    struct fake *f = opaque;

    if (word(append_of(f), "echo"))
        f->env.console->ops->write(f->env.console, bytes, n);
}

static void fake_resize(void *opaque, unsigned columns, unsigned rows)
{
    struct fake *f = opaque;
    char text[64];

    snprintf(text, sizeof text, "size %ux%u\n", columns, rows);
    if (word(append_of(f), "echo"))
        f->env.console->ops->write(f->env.console, (uint8_t *)text, strlen(text));
}

static int fake_create(const struct engine_env *env, struct engine **ret, struct error *err)
{
    struct fake *f = mem_new(struct fake);

    assert_non_null(f);
    f->env = *env;
    f->paused = env->paused;
    f->end = loop_timer_new(env->loop, fake_end, f);
    f->pump = loop_timer_new(env->loop, fake_pump, f);
    if (word(append_of(f), "nocreate")) {
        loop_timer_free(f->end);
        loop_timer_free(f->pump);
        free(f);
        return error_set(err, -ENOENT, "open disk gone.img: no such file");
    }
    *ret = &f->engine;
    return 0;
}

static int fake_start(struct engine *e, struct error *err)
{
    struct fake *f = fake_of(e);
    const struct chardev_client client = {.room = fake_room,
                                          .input = fake_input,
                                          .writable = fake_pump,
                                          .resize = fake_resize,
                                          .opaque = f};
    const char *print = word(append_of(f), "print="), *value;
    struct str out = {0};

    if (word(append_of(f), "nostart"))
        return error_set(err, -EIO, "the fake does not start");
    f->env.console->ops->attach(f->env.console, &client);
    if (print)
        str_addf(&out, "%s\n", print);
    value = word(append_of(f), "flood=");
    for (long n = value ? atol(value) : 0; n > 0; n -= 64)
        str_addf(&out, "%062ld.\n", n);
    f->todo_len = out.len;
    f->todo = str_steal(&out);
    loop_timer_set(f->pump, loop_now_ns());
    value = word(append_of(f), "exit=");
    if (value && !f->paused) {
        f->code = atoi(value);
        value = word(append_of(f), "after=");
        loop_timer_set(f->end, loop_now_ns() + (value ? (uint64_t)atoi(value) : 0) * 1000000u);
    }
    return 0;
}

static int fake_stop(struct engine *e, struct error *err)
{
    struct fake *f = fake_of(e);
    const char *code = word(append_of(f), "onstop=");

    f->code = code ? atoi(code) : 0;
    if (!word(append_of(f), "deaf"))
        loop_timer_set(f->end, loop_now_ns());
    return 0;
}

static int fake_signal(struct engine *e, int number, struct error *err)
{
    return number == SIGTERM ? fake_stop(e, err)
                             : error_set(err, -ENOTSUP, "the fake knows only TERM");
}

static int fake_pause(struct engine *e, struct error *err)
{
    fake_of(e)->paused = true;
    return 0;
}

static int fake_resume(struct engine *e, struct error *err)
{
    fake_of(e)->paused = false;
    return 0;
}

static int fake_stats(struct engine *e, struct instance_stats *ret, struct error *err)
{
    *ret = (struct instance_stats){
        .cpu_ns = 1234567, .memory_used = 1 << 20, .memory_limit = 2 << 20, .cpus = 1, .pids = 1};
    return 0;
}

static int fake_inspect(struct engine *e, struct str *out, struct error *err)
{
    str_addf(out, "{\"fake\":true,\"paused\":%s}", fake_of(e)->paused ? "true" : "false");
    return 0;
}

static void fake_destroy(struct engine *e)
{
    struct fake *f = fake_of(e);

    loop_timer_free(f->end);
    loop_timer_free(f->pump);
    free(f->todo);
    free(f);
}

static const struct engine_ops fake_ops = {.wall = "vm",
                                           .about = "a fake",
                                           .create = fake_create,
                                           .start = fake_start,
                                           .signal = fake_signal,
                                           .pause = fake_pause,
                                           .resume = fake_resume,
                                           .stats = fake_stats,
                                           .stop = fake_stop,
                                           .inspect = fake_inspect,
                                           .destroy = fake_destroy};
const struct engine_ops *const engines_built_in[] = {&fake_ops, NULL};

static struct instances *open_at(const char *base, struct error *err)
{
    cleanup_free char *data = str_format("%s/data", base), *run = str_format("%s/run", base);
    struct instances_config config = {.data_dir = data, .runtime_dir = run};

    return instances_open(&config, err);
}

int fake_supervisor_main(int argc, char **argv)
{
    const char *base = getenv("FAKE_HOME");
    struct instances *home;
    struct error err = {0};
    int r;

    if (argc != 3 || strcmp(argv[1], "supervise") != 0)
        return -1;
    home = base ? open_at(base, &err) : NULL;
    if (!home) {
        fprintf(stderr, "%s\n", error_text(&err));
        return 125;
    }
    r = instance_supervise(home, argv[2], 0);
    instances_close(home);
    return r;
}

struct instances *fake_home(void)
{
    snprintf(dir, sizeof dir, "%s/isola-test-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    assert_non_null(mkdtemp(dir));
    setenv("FAKE_HOME", dir, 1);
    return fake_reopen();
}

struct instances *fake_reopen(void)
{
    struct error err = {0};
    struct instances *home = open_at(dir, &err);

    if (!home)
        print_error("%s\n", error_text(&err));
    assert_non_null(home);
    return home;
}

const char *fake_dir(void)
{
    return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

void fake_cleanup(struct instances *home)
{
    struct instance **list = NULL;
    size_t count = 0;

    assert_int_equal(instance_list(home, &list, &count, NULL), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(instance_rm(home, list[i]->id, true, NULL), 0);
    instance_list_free(list, count);
    instances_close(home);
    assert_int_equal(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

struct spec *fake_spec(const char *name, const char *append)
{
    struct spec *s = spec_new();

    assert_non_null(s);
    assert_int_equal(spec_set(s, "vm", NULL, NULL), 0);
    assert_int_equal(spec_set(s, "kernel", "/fake", NULL), 0);
    assert_int_equal(spec_set(s, "append", append, NULL), 0);
    if (name)
        assert_int_equal(spec_set(s, "name", name, NULL), 0);
    return s;
}

void fake_make(struct instances *home, const char *name, const char *append, bool start)
{
    struct spec *s = fake_spec(name, append);
    struct error err = {0};
    int r = instance_create(home, s, NULL, &err);

    spec_free(s);
    if (r == 0 && start)
        r = instance_start(home, name, NULL, NULL, &err);
    if (r < 0)
        print_error("%s\n", error_text(&err));
    assert_int_equal(r, 0);
}

enum lifecycle_state fake_state(struct instances *home, const char *ref)
{
    struct instance *i = NULL;
    struct error err = {0};
    enum lifecycle_state state;

    if (instance_find(home, ref, &i, &err) < 0)
        print_error("%s\n", error_text(&err));
    assert_non_null(i);
    state = i->state;
    instance_free(i);
    return state;
}

bool fake_wait_state(struct instances *home, const char *ref, enum lifecycle_state state)
{
    struct timespec pause = {.tv_nsec = 5000000};

    for (int n = 0; n < 2000; n++) {
        if (fake_state(home, ref) == state)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}
