/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/jtree.h"
#include "base/mem.h"
#include "container/oci_config.h"

#define HEAD                                                                                       \
    "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},"                                         \
    "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]},"

static void parse_everything(void **state)
{
    const char *text =
        "{\"ociVersion\": \"1.2.0\", \"extra\": {\"x\": [1, {}]}, \"hostname\": null,"
        "\"process\": {\"terminal\": true, \"consoleSize\": {\"height\": 24, \"width\": 80},"
        "  \"user\": {\"uid\": 1, \"gid\": 2, \"umask\": 18, \"additionalGids\": [5, 6]},"
        "  \"args\": [\"sh\", \"-c\", \"\\u00e9\\n\"], \"env\": [\"A=b\"], \"cwd\": \"/\","
        "  \"capabilities\": {\"bounding\": [\"CAP_KILL\", \"CAP_NEW\"], \"ambient\": null},"
        "  \"rlimits\": [{\"type\": \"RLIMIT_NOFILE\", \"soft\": 1, \"hard\": "
        "18446744073709551615}],"
        "  \"noNewPrivileges\": true, \"oomScoreAdj\": -5,"
        "  \"scheduler\": {\"policy\": \"SCHED_BATCH\", \"nice\": -3}},"
        "\"root\": {\"path\": \"rootfs\", \"readonly\": true},"
        "\"mounts\": [{\"destination\": \"proc\", \"type\": \"proc\", \"source\": \"proc\","
        "  \"options\": [\"ro\", \"nosuid\"]}],"
        "\"hooks\": {\"poststop\": [{\"path\": \"/h\", \"args\": [\"h\"], \"timeout\": 3}]},"
        "\"annotations\": {\"a\": \"1\"},"
        "\"linux\": {\"namespaces\": [{\"type\": \"pid\", \"path\": \"/p\"}, {\"type\": \"mount\"},"
        "   {\"type\": \"time\"}], \"timeOffsets\": {\"boottime\": {\"secs\": -7, \"nanosecs\": "
        "9}},"
        "  \"resources\": {\"devices\": [{\"allow\": false}, {\"allow\": true, \"type\": \"c\","
        "    \"major\": 1, \"minor\": 3, \"access\": \"rw\"}], \"pids\": {\"limit\": -1},"
        "    \"memory\": {\"limit\": 1048576, \"swap\": -1}, \"network\": {\"classID\": 4},"
        "    \"rdma\": {\"m\": {\"hcaHandles\": 3}}, \"unified\": {\"memory.high\": \"9\"}},"
        "  \"seccomp\": {\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\":"
        "    [\"clone\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": [{\"index\": 0, \"value\":"
        "    18446744073709551615, \"op\": \"SCMP_CMP_MASKED_EQ\"}]}]}}}";
    struct oci_config *c = NULL;
    struct error err = {0};
    assert_int_equal(oci_config_parse(text, strlen(text), &c, &err), 0);
    assert_true(c->process.terminal && c->process.rows == 24 && c->process.columns == 80);
    assert_string_equal(c->process.args.v[2], "\xc3\xa9\n");
    assert_null(c->process.args.v[3]);
    assert_int_equal(c->process.additional_gid_count, 2);
    assert_int_equal(c->process.additional_gids[1], 6);
    assert_true(c->process.capabilities.set);
    assert_int_equal(c->process.capabilities.bounding, 1 << 5);
    assert_string_equal(c->process.unknown_capability, "CAP_NEW");
    assert_int_equal(c->process.rlimits[0].resource, RLIMIT_NOFILE);
    assert_true(c->process.rlimits[0].hard == UINT64_MAX);
    assert_int_equal(c->process.sched_policy, SCHED_BATCH);
    assert_string_equal(c->mounts[0].destination, "/proc");
    assert_null(c->mounts[0].options.v[2]);
    assert_int_equal(c->hooks[OCI_HOOK_POSTSTOP].v[0].timeout.value, 3);
    assert_string_equal(oci_config_annotation(c, "a"), "1");
    assert_string_equal(oci_config_namespace(c, CLONE_NEWPID)->path, "/p");
    assert_null(oci_config_namespace(c, CLONE_NEWNET));
    assert_true(c->boottime.set && c->boottime.secs == -7 && c->boottime.nanosecs == 9);
    assert_int_equal(c->resources.device_count, 2);
    assert_true(c->resources.devices[0].type == 'a' && c->resources.devices[0].mknod);
    assert_true(c->resources.devices[1].read && !c->resources.devices[1].mknod);
    assert_true(c->resources.pids_limit.set && c->resources.pids_limit.value == -1);
    assert_int_equal(c->resources.net_class_id.value, 4);
    assert_string_equal(c->resources.rdma[0].device, "m");
    assert_string_equal(c->resources.unified.v[0].value, "9");
    assert_true(c->seccomp->syscalls[0].args[0].value == UINT64_MAX);
    assert_null(c->hostname);
    oci_config_free(c);
}

static void refuse_by_name(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *what;
    } bad[] = {
        {"", -EINVAL, "cut off"},
        {"[]", -EINVAL, "object"},
        {"{", -EINVAL, "line 1, column 2"},
        {"{\"ociVersion\":\"1.0\"} x", -EINVAL, "more text"},
        {"{\"ociVersion\":\"2.0\"}", -ENOTSUP, "2.0"},
        {"{\"ociVersion\":1}", -EINVAL, "ociVersion: a string"},
        {"{\"linux\":{}}", -EINVAL, "ociVersion is missing"},
        {"{\"ociVersion\":null}", -EINVAL, "ociVersion is missing"},
        {HEAD "\"root\":{}}", -EINVAL, "root is given twice"},
        {HEAD "\"process\":{\"cwd\":\"x\",\"args\":[\"a\"]}}", -EINVAL, "process: cwd"},
        {HEAD "\"process\":{\"cwd\":\"/\",\"args\":[]}}", -EINVAL, "args must not be empty"},
        {HEAD "\"process\":{\"cwd\":\"/\",\"args\":[\"a\\u0000\"]}}", -EINVAL, "NUL"},
        {HEAD "\"process\":{\"cwd\":\"/\",\"args\":[\"a\"],\"user\":{\"uid\":4294967296}}}",
         -EINVAL, "process: user: uid: 4294967296"},
        {HEAD "\"process\":{\"cwd\":\"/\",\"args\":[\"a\"],\"user\":{\"uid\":1.5}}}", -EINVAL,
         "uid: a whole number"},
        {HEAD "\"mounts\":[{\"destination\":\"/x\",\"options\":[1]}]}", -EINVAL,
         "mounts: [0]: options: [0]: a string"},
        {HEAD "\"hooks\":{\"prestart\":[{\"path\":\"rel\"}]}}", -EINVAL, "not absolute"},
        {"{\"ociVersion\":\"1.2\",\"linux\":{\"namespaces\":[{\"type\":\"mnt\"}]}}", -EINVAL,
         "\"mnt\" is no namespace"},
        {"{\"ociVersion\":\"1.2\",\"linux\":{\"namespaces\":[{\"type\":\"mount\"},"
         "{\"type\":\"mount\"}]}}",
         -EINVAL, "given twice"},
        {"{\"ociVersion\":\"1.2\",\"linux\":{}}", -ENOTSUP, "without a mount namespace"},
        {"{\"ociVersion\":\"1.2\",\"linux\":{\"intelRdt\":{\"closID\":\"x\"}}}", -ENOTSUP, "RDT"},
        {"{\"ociVersion\":\"1.2\",\"linux\":{\"cgroupsPath\":\"/a/../b\","
         "\"namespaces\":[{\"type\":\"mount\"}]}}",
         -EINVAL, "\"..\""},
        {"{\"ociVersion\":\"1.2\",\"linux\":{\"resources\":{\"unified\":{\"../x.y\":\"1\"}}}}",
         -EINVAL, "no file of a cgroup"},
        {"{\"ociVersion\":\"1.2\",\"linux\":{\"seccomp\":{\"defaultAction\":\"NO\"}}}", -EINVAL,
         "no seccomp action"},
        {"{\"ociVersion\":\"1.2\",\"linux\":{\"namespaces\":[{\"type\":\"mount\"},"
         "{\"type\":\"user\"}]}}",
         -EINVAL, "needs uidMappings"},
    };
    for (size_t i = 0; i < array_size(bad); i++) {
        struct oci_config *c = NULL;
        struct error err = {0};
        int r = oci_config_parse(bad[i].text, strlen(bad[i].text), &c, &err);
        if (r != bad[i].code || !strstr(error_text(&err), bad[i].what))
            fail_msg("%s: %d %s", bad[i].text, r, error_text(&err));
        assert_null(c);
    }
}

static void parse_parts(void **state)
{
    struct oci_config *c;
    struct error err = {0};
    const char *process = "{\"cwd\":\"/\",\"args\":[\"a\"]}";
    assert_int_equal(oci_config_parse_process(process, strlen(process), &c, &err), 0);
    assert_string_equal(c->process.args.v[0], "a");
    assert_int_equal(c->process.sched_policy, -1);
    oci_config_free(c);
    const char *resources = "{\"cpu\":{\"quota\":-1,\"cpus\":\"0-1\"}}";
    assert_int_equal(oci_config_parse_resources(resources, strlen(resources), &c, &err), 0);
    assert_true(c->resources.cpu.quota.set && c->resources.cpu.quota.value == -1);
    oci_config_free(c);
}

static void json_is_strict(void **state)
{
    static const char *const bad[] = {"01",  "1.",           "+1",         "\"\x01\"",
                                      "nul", "[1,]",         "{\"a\":1,}", "\"\\ud800\"",
                                      "\"",  "\"\xff\"",     "{\"a\" 1}",  "\"\xed\xa0\x80\"",
                                      "[1",  "\"\\u12",      "{1:2}",      "\"\\x\"",
                                      "-",   "\"\xc0\x80\"", "1 2",        "[[]"};
    struct jtree doc;
    for (size_t i = 0; i < array_size(bad); i++)
        assert_int_equal(jtree_parse(bad[i], strlen(bad[i]), &doc, NULL), -EINVAL);
    char deep[200];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    assert_int_equal(jtree_parse(deep, 200, &doc, NULL), -EINVAL);

    const char *good = "{\"a\":[1,-2,3.5e+1,true,false,null,\"\\ud83d\\ude00\\\"\"],\"b\":{}}";
    assert_int_equal(jtree_parse(good, strlen(good), &doc, NULL), 0);
    struct str out = {0};
    jtree_add_value(&out, &doc, doc.nodes);
    assert_string_equal(str_text(&out), "{\"a\":[1,-2,3.5e+1,true,false,null,"
                                        "\"\xf0\x9f\x98\x80\\\"\"],\"b\":{}}");
    str_done(&out);
    jtree_done(&doc);
}

static void numbers_keep_64_bits(void **state)
{
    const char *text = "[18446744073709551615,-9223372036854775808,9223372036854775808,1e3]";
    struct jtree doc;
    assert_int_equal(jtree_parse(text, strlen(text), &doc, NULL), 0);
    const struct jnode *n = jtree_first(doc.nodes);
    uint64_t u;
    int64_t i;
    assert_true(jtree_u64(&doc, n, &u) && u == UINT64_MAX);
    assert_false(jtree_i64(&doc, n, &i));
    n = jtree_next(doc.nodes, n);
    assert_true(jtree_i64(&doc, n, &i) && i == INT64_MIN);
    assert_false(jtree_u64(&doc, n, &u));
    n = jtree_next(doc.nodes, n);
    assert_false(jtree_i64(&doc, n, &i));
    n = jtree_next(doc.nodes, n);
    assert_false(jtree_i64(&doc, n, &i));
    assert_null(jtree_next(doc.nodes, n));
    jtree_done(&doc);
}

/* Every allocation of a parse fails once; nothing leaks (the sanitizer build looks). */
static void survive_no_memory(void **state)
{
    const char *text = HEAD "\"process\":{\"cwd\":\"/\",\"args\":[\"a\"]}}";
    for (unsigned long n = 1; n < 4; n++) {
        struct oci_config *c = NULL;
        mem_fail_at(n);
        int r = oci_config_parse(text, strlen(text), &c, NULL);
        mem_fail_at(0);
        assert_true(r == 0 || r == -ENOMEM);
        oci_config_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_everything),     cmocka_unit_test(refuse_by_name),
        cmocka_unit_test(parse_parts),          cmocka_unit_test(json_is_strict),
        cmocka_unit_test(numbers_keep_64_bits), cmocka_unit_test(survive_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
