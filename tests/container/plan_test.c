/* SPDX-License-Identifier: Apache-2.0 */
/* The block that init walks through, and the words of mounts. */
#include <errno.h>
#include <linux/mount.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "container/mount_options.h"
#include "container/plan_build.h"

static char heard[256];

static int hear(void *opaque, const char *key, size_t len, const char *value)
{
    snprintf(heard + strlen(heard), sizeof heard - strlen(heard), "%.*s=%s;", (int)len, key,
             value ? value : "-");
    return 0;
}

static void sort_words(void **state)
{
    const char *words[] = {"rbind",  "ro",      "nosuid", "rw",       "noatime", "strictatime",
                           "rslave", "rnoexec", "size=1", "lazytime", "ridmap",  NULL};
    struct oci_strings options = {words, array_size(words) - 1};
    struct mount_options o;
    heard[0] = '\0';
    assert_int_equal(mount_options_parse(&options, &o, hear, NULL, NULL), 0);
    assert_true(o.bind && o.recursive && o.idmap && o.idmap_recursive && !o.copy_up);
    assert_int_equal(o.set, MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME);
    assert_int_equal(o.clear, MOUNT_ATTR_RDONLY);
    assert_int_equal(o.set_all, MOUNT_ATTR_NOEXEC);
    assert_int_equal(o.propagation, MS_SLAVE | MS_REC);
    assert_string_equal(heard, "size=1;lazytime=-;");
}

static int plan_of(const char *text, struct plan_builder *b, struct error *err)
{
    struct container_options options = {.bundle = "/", .console_socket = -1};
    struct oci_config *config;
    int r = oci_config_parse(text, strlen(text), &config, err);
    assert_int_equal(r, 0);
    struct plan_context context = {.config = config, .options = &options};
    plan_begin(b);
    r = plan_add_rootfs(b, &context, err);
    oci_config_free(config);
    return r;
}

static const char *at(const struct plan_builder *b, uint32_t offset)
{
    return b->bytes.data + offset;
}

#define WITH(more)                                                                                 \
    "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"/\"},\"mounts\":[" more                        \
    "],\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"network\"}]}}"

static void dev_is_always_ours(void **state)
{
    struct plan_builder b;
    assert_int_equal(plan_of(WITH(""), &b, NULL), 0);
    const struct plan_mount *m = (const void *)at(&b, b.plan.mounts.at);
    assert_int_equal(b.plan.mounts.n, 1);
    assert_string_equal(at(&b, m->destination), "/dev");
    assert_true(m->flags & PLAN_MOUNT_DEV && m->flags & PLAN_MOUNT_NOFOLLOW);
    assert_int_equal(b.plan.devices.n, 6);
    plan_done(&b);

    assert_int_equal(
        plan_of(WITH("{\"destination\":\"//dev/./\",\"source\":\"/dev\",\"type\":\"bind\"}"), &b,
                NULL),
        0);
    m = (const void *)at(&b, b.plan.mounts.at);
    assert_int_equal(b.plan.mounts.n, 1);
    assert_true(m->flags & PLAN_MOUNT_BIND && b.plan.flags & PLAN_NO_DEVICES);
    assert_int_equal(b.plan.devices.n, 0);
    plan_done(&b);
}

/* Options that are too long for fsconfig go by mount(2), too long for that: refused. */
static void long_options(void **state)
{
    char text[8192], value[4200];
    struct plan_builder b;
    struct error err = {0};
    static const struct {
        int len, code;
        bool classic;
    } cases[] = {{200, 0, false}, {300, 0, true}, {4100, -E2BIG, true}};
    for (size_t i = 0; i < array_size(cases); i++) {
        memset(value, 'a', sizeof value);
        value[cases[i].len] = '\0';
        snprintf(
            text, sizeof text,
            WITH("{\"destination\":\"/o\",\"type\":\"overlay\",\"options\":[\"lowerdir=%s\"]}"),
            value);
        assert_int_equal(plan_of(text, &b, &err), cases[i].code);
        if (cases[i].code == 0) {
            const struct plan_mount *m = (const void *)at(&b, b.plan.mounts.at);
            assert_int_equal(!!(m[1].flags & PLAN_MOUNT_CLASSIC), cases[i].classic);
        }
        plan_done(&b);
    }
}

static void refuse(void **state)
{
    static const struct {
        const char *text, *what;
    } bad[] = {
        {WITH("{\"destination\":\"/\",\"type\":\"tmpfs\"}"), "root's place"},
        {WITH("{\"destination\":\"/x\"}"), "type is missing"},
        {WITH("{\"destination\":\"/x\",\"options\":[\"bind\"]}"), "source is missing"},
        {WITH("{\"destination\":\"/x\",\"type\":\"tmpfs\",\"options\":[\"idmap\"]}"),
         "only binds can be idmapped"},
        {"{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"/\"},\"linux\":{\"namespaces\":[{\"type\":"
         "\"mount\"},{\"type\":\"network\"}],\"sysctl\":{\"net/../kernel/x\":\"1\"}}}",
         "no name of a parameter"},
        {"{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"/\"},\"linux\":{\"namespaces\":[{\"type\":"
         "\"mount\"}],\"sysctl\":{\"net.x\":\"1\"}}}",
         "needs a network namespace"},
        {"{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"/\"},\"linux\":{\"namespaces\":[{\"type\":"
         "\"mount\"}],\"mountLabel\":\"l\"}}",
         "mountLabel"},
        {"{\"ociVersion\":\"1.2.0\",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}",
         "root is missing"},
    };
    for (size_t i = 0; i < array_size(bad); i++) {
        struct plan_builder b;
        struct error err = {0};
        assert_true(plan_of(bad[i].text, &b, &err) < 0);
        if (!strstr(error_text(&err), bad[i].what))
            fail_msg("%s: %s", bad[i].text, error_text(&err));
        plan_done(&b);
    }
}

static void ids(void **state)
{
    char longest[1026];
    memset(longest, 'x', sizeof longest);
    longest[1025] = '\0';
    assert_false(container_id_valid(longest));
    assert_true(container_id_valid(longest + 1));
    assert_true(container_id_valid("a_B+c.d-9"));
    static const char *const bad[] = {"", ".", "..", "a/b", "../a", "a b", "a\n", "\xc3\xa9"};
    for (size_t i = 0; i < array_size(bad); i++)
        assert_false(container_id_valid(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sort_words),   cmocka_unit_test(dev_is_always_ours),
        cmocka_unit_test(long_options), cmocka_unit_test(refuse),
        cmocka_unit_test(ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
