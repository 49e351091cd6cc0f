/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several commands at once on a few names, chosen by seeded chance: each may be refused, none may
 * hang, crash or leave what is not true. With a number as argument: so many rounds per process.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "fake.h"
#include "instance/home.h"

enum { PROCESSES = 4, NAMES = 3, VERBS = 11 };

static unsigned rounds = 250;
static struct instances *home;

static int one(struct instances *mine, const char *name, unsigned verb, struct error *err)
{
    static const struct instance_attach attach = {.replay = true};
    struct instance_stream *stream = NULL;
    struct instance_stats stats;
    struct instance **list;
    size_t count;
    struct spec *s;
    int r;

    switch (verb) {
    case 0:
        s = fake_spec(name, "print=x");
        r = instance_create(mine, s, NULL, err);
        spec_free(s);
        return r;
    case 1:
    case 2:
        return instance_start(mine, name, NULL, NULL, err);
    case 3:
        return instance_stop(mine, name, 5, err);
    case 4:
        return instance_kill(mine, name, "KILL", err);
    case 5:
        return instance_pause(mine, name, err);
    case 6:
        return instance_unpause(mine, name, err);
    case 7:
        return instance_rm(mine, name, true, err);
    case 8:
        r = instance_list(mine, &list, &count, err);
        if (r == 0)
            instance_list_free(list, count);
        return r;
    case 9:
        r = instance_attach(mine, name, &attach, &stream, err);
        instance_stream_close(stream);
        return r;
    default:
        return instance_stats(mine, name, &stats, err);
    }
}

/* What a command may answer when others are at the same instance. */
static bool fair(int r)
{
    return r >= 0 || r == -ENOENT || r == -EEXIST || r == -ESTALE || r == -EALREADY ||
           r == -EBUSY || r == -EPIPE || r == -ECONNRESET;
}

static int process(unsigned seed)
{
    struct instances *mine = fake_reopen();
    int bad = 0;

    for (unsigned n = 0; n < rounds; n++) {
        struct error err = {0};
        char name[8];
        unsigned verb;
        int r;
        seed = seed * 1664525 + 1013904223;
        snprintf(name, sizeof name, "n%u", (seed >> 16) % NAMES);
        verb = (seed >> 20) % VERBS;
        r = one(mine, name, verb, &err);
        if (!fair(r)) {
            fprintf(stderr, "verb %u on %s: %d %s\n", verb, name, r, error_text(&err));
            bad = 1;
        }
    }
    instances_close(mine);
    return bad;
}

static void many_at_once(void **state)
{
    struct instance **list = NULL;
    struct error err = {0};
    size_t count = 0;
    int status;

    for (unsigned p = 0; p < PROCESSES; p++)
        if (fork() == 0)
            _exit(process(p * 7919 + 1));
    for (unsigned p = 0; p < PROCESSES; p++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    /* Now that all is quiet, what the records say must be so, and every name must work. */
    assert_int_equal(instance_list(home, &list, &count, &err), 0);
    for (size_t i = 0; i < count; i++) {
        assert_true(lifecycle_supervised(list[i]->state) == home_locked(home, list[i]->id) ||
                    home_wait_unlocked(home, list[i]->id, 5000) == 0);
        assert_int_not_equal(list[i]->state, LIFECYCLE_DEAD); /* nobody was killed */
    }
    instance_list_free(list, count);
    for (unsigned n = 0; n < NAMES; n++) {
        char name[8];
        snprintf(name, sizeof name, "n%u", n);
        if (instance_rm(home, name, true, &err) < 0)
            assert_int_equal(err.code, -ENOENT);
        fake_make(home, name, "", true);
        assert_int_equal(instance_stop(home, name, -1, &err), 0);
        assert_int_equal(instance_rm(home, name, false, &err), 0);
    }
}

static int set_up(void **state)
{
    home = fake_home();
    return 0;
}

static int tear_down(void **state)
{
    fake_cleanup(home);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(many_at_once)};
    int r = fake_supervisor_main(argc, argv);

    if (r >= 0)
        return r;
    if (argc == 2)
        rounds = (unsigned)atoi(argv[1]);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
