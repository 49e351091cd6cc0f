/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/own.h"
#include "instance/json.h"
#include "instance/spec.h"

static struct error err;

static struct spec *vm(void)
{
    struct spec *s = spec_new();

    assert_non_null(s);
    assert_int_equal(spec_set(s, "vm", NULL, &err), 0);
    assert_int_equal(spec_set(s, "kernel", "/k", &err), 0);
    return s;
}

static void defaults(void **state)
{
    struct spec *s = spec_new();

    assert_int_equal(s->wall, SPEC_WALL_CONTAINER);
    assert_int_equal(s->memory, 0);
    assert_int_equal(spec_vm_memory(s), 512 << 20);
    assert_int_equal(spec_vm_cpus(s), 1);
    assert_int_equal(s->net, SPEC_NET_NAT);
    assert_int_equal(s->stop_timeout, 10);
    assert_int_equal(s->log_max_size, 10 << 20);
    assert_int_equal(s->log_max_files, 3);
    assert_int_equal(spec_check(s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "image"));
    spec_free(s);
}

/* Everything that can be said survives JSON and back. */
static void round_trip(void **state)
{
    static const char *const said[][2] = {
        {"vm", NULL},
        {"name", "web-1.a_b"},
        {"kernel", "/boot/k"},
        {"initrd", "/boot/i"},
        {"append", "console=ttyS0 \"x\\y\" \t"},
        {"disk", "/a.img"},
        {"disk", "/b.img,ro,format=raw,serial=S1,cache=unsafe,discard=off"},
        {"user-data", "/u.yaml"},
        {"disk", "/c.qcow2,temporary,format=qcow2,cache=writethrough"},
        {"memory", "1g"},
        {"cpus", "8"},
        {"net", "nat"},
        {"publish", "8080:80"},
        {"publish", "0.0.0.0:53:53/udp"},
        {"label", "a=b=c"},
        {"label", "empty"},
        {"accel", "interp"},
        {"cpu", "model"},
        {"machine", "pc"},
        {"serial", "virtio"},
        {"cdrom", "/discs/a.iso,bus=ahci"},
        {"floppy", "/discs/boot.img,ro"},
        {"rtc", "2031-05-06T07:08:09"},
        {"record", "first-try"},
        {"uuid", "12345678-9abc-def0-1234-56789abcdef0"},
        {"mac", "52:54:00:ab:cd:ef"},
        {"no-reboot", NULL},
        {"paused", "true"},
        {"rm", "false"},
        {"tty", NULL},
        {"interactive", NULL},
        {"restart", "on-failure:7"},
        {"stop-timeout", "0"},
        {"log-max-size", "64k"},
        {"log-max-files", "1"},
        {"debug-exit", NULL},
        {"debug-console", NULL}};
    struct spec *s = spec_new(), *back;
    cleanup_free char *json = NULL, *again = NULL;

    for (size_t i = 0; i < array_size(said); i++)
        if (spec_set(s, said[i][0], said[i][1], &err) < 0)
            fail_msg("%s: %s", said[i][0], error_text(&err));
    assert_int_equal(spec_check(s, &err), 0);
    json = spec_to_json(s);
    back = spec_from_json(json, strlen(json), &err);
    if (!back)
        fail_msg("%s", error_text(&err));
    again = spec_to_json(back);
    assert_string_equal(json, again);
    assert_string_equal(back->append, "console=ttyS0 \"x\\y\" \t");
    assert_int_equal(back->disk_count, 3);
    assert_true(back->disks[1].readonly && !back->disks[1].discard);
    assert_int_equal(back->disks[1].cache, SPEC_CACHE_UNSAFE);
    assert_string_equal(back->disks[1].serial, "S1");
    assert_string_equal(back->ports[0].address, "127.0.0.1");
    assert_true(back->ports[1].udp && back->ports[1].guest == 53);
    assert_string_equal(back->labels[0].value, "b=c");
    assert_int_equal(back->restart_max, 7);
    assert_int_equal(back->mac[5], 0xef);
    assert_int_equal(back->uuid[15], 0xf0);
    assert_true(back->paused && !back->rm && back->no_reboot);
    spec_free(back);
    spec_free(s);
}

static void containers_round_trip(void **state)
{
    static const char *const said[][2] = {
        {"image", "debian:bookworm"},
        {"command", "sh"},
        {"command", "-c"},
        {"command", ""},
        {"entrypoint", ""},
        {"env", "A=b=c"},
        {"env", "EMPTY="},
        {"cpus", "1.25"},
        {"memory", "100m"},
        {"memory-swap", "-1"},
        {"pids-limit", "-1"},
        {"oom-score-adj", "-500"},
        {"net", "container:web"},
        {"volume", "data:/data:ro,nocopy"},
        {"volume", "/anon"},
        {"volume", "/host/a,b:/x//y/./z/:rshared"},
        {"tmpfs", "/run:size=64m,noexec"},
        {"mount", "type=bind,\"source=/a,b\",dst=/q,readonly,bind-propagation=rslave"},
        {"mount", "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777"},
        {"ulimit", "nofile=1024:2048"},
        {"health-cmd", "true"},
        {"health-interval", "1m30s"},
        {"stop-signal", "SIGRTMIN+3"},
        {"log-opt", "max-size=1m"},
        {"log-opt", "max-file=2"},
        {"cap-add", "NET_ADMIN"},
        {"privileged", NULL}};
    struct spec *s = spec_new(), *back;
    cleanup_free char *json = NULL, *again = NULL;
    const struct spec_mount *m;

    for (size_t i = 0; i < array_size(said); i++)
        if (spec_set(s, said[i][0], said[i][1], &err) < 0)
            fail_msg("%s: %s", said[i][0], error_text(&err));
    if (spec_check(s, &err) < 0)
        fail_msg("%s", error_text(&err));
    json = spec_to_json(s);
    back = spec_from_json(json, strlen(json), &err);
    if (!back)
        fail_msg("%s", error_text(&err));
    again = spec_to_json(back);
    assert_string_equal(json, again);
    assert_string_equal(back->container.entrypoint, "");
    assert_int_equal(back->container.command.count, 3);
    assert_int_equal(back->millicpus, 1250);
    assert_true(back->container.memory_swap == SPEC_UNLIMITED);
    assert_true(back->container.pids_limit == SPEC_UNLIMITED);
    assert_int_equal(back->container.oom_score_adj, -500);
    assert_string_equal(back->container.net_from, "web");
    assert_true(back->container.health_interval == 90000000000ull);
    assert_int_equal(back->log_max_size, 1 << 20);
    assert_int_equal(back->container.mount_count, 6);
    m = back->container.mounts;
    assert_true(m[0].type == SPEC_MOUNT_VOLUME && m[0].readonly && m[0].no_copy);
    assert_true(m[1].type == SPEC_MOUNT_VOLUME && !m[1].source);
    assert_true(m[2].type == SPEC_MOUNT_BIND && m[2].create);
    assert_string_equal(m[2].source, "/host/a,b");
    assert_string_equal(m[2].target, "/x/y/z");
    assert_string_equal(m[3].options, "size=64m,noexec");
    assert_string_equal(m[4].source, "/a,b");
    assert_true(m[4].readonly && !m[4].create);
    assert_string_equal(m[5].options, "size=1m,mode=1777");
    assert_int_equal(spec_signal(back->container.stop_signal), 37);
    spec_free(back);
    spec_free(s);
}

static void ports_are_expanded_and_chosen(void **state)
{
    struct spec *s = spec_new();

    assert_int_equal(spec_set(s, "publish", "8000-8002:80-82", &err), 0);
    assert_int_equal(spec_set(s, "publish", "[::1]:9000:90/udp", &err), 0);
    assert_int_equal(spec_set(s, "publish", "70", &err), 0);
    assert_int_equal(spec_set(s, "publish", "127.0.0.2::71", &err), 0);
    assert_int_equal(s->port_count, 6);
    assert_int_equal(s->ports[2].host, 8002);
    assert_int_equal(s->ports[2].guest, 82);
    assert_string_equal(s->ports[3].address, "::1");
    assert_int_equal(s->ports[4].host, 0);
    assert_string_equal(s->ports[5].address, "127.0.0.2");
    assert_int_equal(spec_choose_ports(s, &err), 0);
    assert_true(s->ports[4].host && s->ports[5].host);
    spec_free(s);
}

/* Options of one wall are refused with the other, by name. */
static void walls_do_not_mix(void **state)
{
    struct spec *s = vm();

    assert_int_equal(spec_set(s, "cap-add", "ALL", &err), 0);
    assert_int_equal(spec_check(s, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "--cap-add"));
    spec_free(s);
    s = vm();
    assert_int_equal(spec_set(s, "cpus", "1.5", &err), 0);
    assert_int_equal(spec_check(s, &err), -ERANGE);
    spec_free(s);
    s = spec_new();
    assert_int_equal(spec_set(s, "image", "x", &err), 0);
    assert_int_equal(spec_set(s, "accel", "jit", &err), 0);
    assert_int_equal(spec_check(s, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "--accel"));
    spec_free(s);
}

static void bad_values_are_refused(void **state)
{
    static const char *const bad[][3] = {{"memory", "512", "suffix"},
                                         {"memory", "x", "size"},
                                         {"memory", "2t", "not in"},
                                         {"memory", "1k", "suffix"},
                                         {"memory", "-1", "size"},
                                         {"cpus", "0", "not in"},
                                         {"cpus", "9999", "not in"},
                                         {"cpus", "1.5.2", "not a number"},
                                         {"cpus", ".", "not a number"},
                                         {"name", "-x", "no name"},
                                         {"name", "", "no name"},
                                         {"name", "a b", "no name"},
                                         {"net", "vlan7", "nat, none"},
                                         {"net", "container:", "none of"},
                                         {"net", "container", "whose"},
                                         {"serial", "x", "virtio"},
                                         {"restart", "sometimes", "unless-stopped"},
                                         {"restart", "on-failure:x", "retries"},
                                         {"record", "a/b", "no name for a recording"},
                                         {"rtc", "2031-13-01T00:00:00", "no time"},
                                         {"rtc", "2031-02-30T00:00:00", "no time"},
                                         {"rtc", "2200-01-01T00:00:00", "no time"},
                                         {"rtc", "2031-01-01 00:00:00", "none of"},
                                         {"rtc", "2031-01-01T00:00:00Z", "none of"},
                                         {"rtc", "noon", "none of"},
                                         {"cdrom", "", "no file"},
                                         {"cdrom", "a,bus=virtio", "ide"},
                                         {"floppy", ",ro", "no file"},
                                         {"disk", "a,bus=floppy", "ahci"},
                                         {"disk-rm", "/none", "no disk"},
                                         {"mac", "52:54:00:ab:cd", "like"},
                                         {"mac", "01:00:00:00:00:00", "multicast"},
                                         {"mac", "52:54:00:ab:cd:eg", "like"},
                                         {"uuid", "1234", "hexadecimal"},
                                         {"disk", "", "names no file"},
                                         {"disk", ",ro", "names no file"},
                                         {"disk", "a,rox", "none of"},
                                         {"disk", "a,ro=1", "no value"},
                                         {"disk", "a,format=vmdk", "not supported"},
                                         {"disk", "a,serial=123456789012345678901", "20"},
                                         {"disk", "a,cache=fast", "writeback"},
                                         {"disk", "a,discard=maybe", "neither"},
                                         {"disk", "a,b=c", "none of"},
                                         {"publish", "", "like"},
                                         {"publish", "80-90:1-2", "different lengths"},
                                         {"publish", "90-80:1-2", "end of a range"},
                                         {"publish", "::1:80:80", "IPv4"},
                                         {"publish", "[1.2.3.4]:80:80", "IPv6"},
                                         {"env", "=x", "NAME=VALUE"},
                                         {"workdir", "x", "absolute"},
                                         {"hostname", "a/b", "host name"},
                                         {"stop-signal", "NO", "signal"},
                                         {"stop-signal", "65", "signal"},
                                         {"ulimit", "nofile", "SOFT"},
                                         {"ulimit", "x=1", "SOFT"},
                                         {"ulimit", "nofile=2:1", "above"},
                                         {"ulimit", "nofile=1:2:3", "numbers"},
                                         {"cap-add", "NET ADMIN", "capability"},
                                         {"security-opt", "x", "none of"},
                                         {"userns", "some", "none of"},
                                         {"pid", "container:", "none of"},
                                         {"dns", "x", "address"},
                                         {"add-host", "x", "NAME:ADDRESS"},
                                         {"add-host", "x:y", "address"},
                                         {"health-interval", "5", "time"},
                                         {"health-interval", "1x", "time"},
                                         {"oom-score-adj", "1001", "not in"},
                                         {"pids-limit", "0", "not in"},
                                         {"volume", "/", "root"},
                                         {"volume", "a:b", "absolute"},
                                         {"volume", "/a:/b:zz", "option"},
                                         {"volume", "/a:/b/../c", ".."},
                                         {"volume", "a b:/c", "name"},
                                         {"volume", ":/c", "empty"},
                                         {"tmpfs", "x", "absolute"},
                                         {"mount", "type=bind,target=/x", "source"},
                                         {"mount", "type=x,target=/x", "none of"},
                                         {"mount", "source=x", "target"},
                                         {"mount", "frob=1,target=/x", "none of"},
                                         {"log-opt", "x=1", "neither"},
                                         {"publish", "0-1:80", "not a port"},
                                         {"publish", "1:65536", "not a port"},
                                         {"publish", "x:1:1", "IPv4"},
                                         {"publish", "1:1/sctp", "neither"},
                                         {"label", "=x", "without a key"},
                                         {"kernel", "", "empty path"},
                                         {"tty", "maybe", "neither"},
                                         {"vm", "maybe", "neither"},
                                         {"accel", "", "empty"},
                                         {"stop-timeout", "999999", "not in"}};
    struct spec *s = vm();

    for (size_t i = 0; i < array_size(bad); i++) {
        err = (struct error){0};
        if (spec_set(s, bad[i][0], bad[i][1], &err) >= 0 || !strstr(err.text, bad[i][2]))
            fail_msg("%s=%s: \"%s\" lacks \"%s\"", bad[i][0], bad[i][1], err.text, bad[i][2]);
    }
    assert_int_equal(spec_set(s, "nosuch", "x", &err), -ENOENT);
    assert_int_equal(spec_set(s, "kernel", NULL, &err), -EINVAL);
    assert_int_equal(spec_set(s, "publish", "1:1", &err), 0);
    assert_int_equal(spec_set(s, "publish", "1:2", &err), -EINVAL); /* the same host port */
    spec_free(s);
}

static void checks_of_the_whole(void **state)
{
    struct spec *s = vm();

    assert_int_equal(spec_check(s, &err), 0);
    assert_int_equal(spec_set(s, "rm", NULL, &err), 0);
    assert_int_equal(spec_set(s, "restart", "always", &err), 0);
    assert_int_equal(spec_check(s, &err), -EINVAL);
    spec_free(s);
    s = vm();
    assert_int_equal(spec_set(s, "publish", "1:1", &err), 0);
    assert_int_equal(spec_set(s, "net", "none", &err), 0);
    assert_int_equal(spec_check(s, &err), -EINVAL);
    spec_free(s);
    s = vm();
    assert_int_equal(spec_set(s, "user", "nobody", &err), 0); /* of what runs an image */
    assert_int_equal(spec_check(s, &err), -ENOTSUP);
    assert_int_equal(spec_set(s, "image", "debian", &err), 0);
    assert_int_equal(spec_check(s, &err), 0);
    assert_int_equal(spec_set(s, "tmpfs", "/tmp", &err), 0);
    assert_int_equal(spec_check(s, &err), 0);
    assert_int_equal(spec_set(s, "volume", "/host:/guest", &err), 0);
    assert_int_equal(spec_check(s, &err), -ENOTSUP);
    spec_free(s);
    s = spec_new();
    assert_int_equal(spec_set(s, "vm", NULL, &err), 0);
    assert_int_equal(spec_set(s, "image", "debian", &err), 0);
    assert_int_equal(spec_check(s, &err), 0);
    assert_int_equal(spec_set(s, "cap-add", "ALL", &err), 0);
    assert_int_equal(spec_check(s, &err), -ENOTSUP);
    spec_free(s);
    s = spec_new();
    assert_int_equal(spec_set(s, "vm", NULL, &err), 0);
    assert_int_equal(spec_check(s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "--kernel"));
    spec_free(s);
}

static void paths_become_absolute(void **state)
{
    struct spec *s = vm();
    char cwd[4096], want[4200];

    assert_non_null(getcwd(cwd, sizeof cwd));
    snprintf(want, sizeof want, "%s/rel/disk.img", cwd);
    assert_int_equal(spec_set(s, "disk", "rel/disk.img,ro", &err), 0);
    assert_string_equal(s->disks[0].path, want);
    spec_free(s);
}

static void memory_is_rounded_up(void **state)
{
    struct spec *s = vm();

    assert_int_equal(spec_set(s, "memory", "5000000", &err), 0);
    assert_int_equal(s->memory, 5000000);
    assert_int_equal(spec_vm_memory(s), 5 << 20);
    spec_free(s);
}

static void broken_json_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"version\":3}",
        "{\"version\":0}",
        "{\"version\":2,\"env\":{}}",
        "{\"version\":2,\"env\":[1]}",
        "{\"version\":2,\"env\":[\"=\"]}",
        "{\"version\":2,\"mounts\":[{\"type\":\"bind\",\"target\":\"/a\"}]}",
        "{\"version\":1,\"nosuch\":1}",
        "{\"version\":1,\"cpus\":\"2\"}",
        "{\"version\":1,\"cpus\":-1}",
        "{\"version\":1,\"cpus\":9999}",
        "{\"version\":1,\"memory\":1.5}",
        "{\"version\":1,\"kernel\":\"relative\"}",
        "{\"version\":1,\"tty\":1}",
        "{\"version\":1,\"wall\":\"moat\"}",
        "{\"version\":1,\"disks\":{}}",
        "{\"version\":1,\"disks\":[{}]}",
        "{\"version\":1,\"disks\":[{\"path\":\"/a\",\"x\":1}]}",
        "{\"version\":1,\"disks\":[{\"path\":\"/a\",\"serial\":\"x,ro\"}]}",
        "{\"version\":1,\"disks\":[{\"path\":\"a\"}]}",
        ("{\"version\":1,\"ports\":[{\"address\":\"1.2.3.4\",\"host\":1,\"guest\":0,"
         "\"protocol\":\"tcp\"}]}"),
        "{\"version\":1,\"labels\":[]}",
        "{\"version\":1,\"labels\":{\"a\":1}}",
        "{\"version\":1,\"version\":1}",
        "{\"version\":1} x",
        "{\"version\":1,\"name\":\"a\\u0000b\"}"};

    for (size_t i = 0; i < array_size(bad); i++) {
        struct spec *s = spec_from_json(bad[i], strlen(bad[i]), &err);
        if (s)
            fail_msg("accepted: %s", bad[i]);
    }
    /* a path with commas is a path, not options */
    static const char good[] = "{\"version\":1,\"disks\":[{\"path\":\"/a,ro\"}]}";
    struct spec *s = spec_from_json(good, sizeof good - 1, &err);
    assert_non_null(s);
    assert_string_equal(s->disks[0].path, "/a,ro");
    assert_false(s->disks[0].readonly);
    spec_free(s);
}

static void text_that_is_not_utf8_is_cleaned(void **state)
{
    struct spec *s = vm();
    cleanup_free char *json = NULL;

    assert_int_equal(spec_set(s, "append",
                              "a\xff"
                              "b",
                              &err),
                     0);
    assert_int_equal(spec_set(s, "label", "k\xc0\x80=v", &err), 0);
    json = spec_to_json(s);
    assert_non_null(json);
    assert_true(utf8_ok(json, strlen(json)));
    spec_free(s);
}

static void allocation_failures_are_errors(void **state)
{
    for (unsigned long n = 1; n < 3; n++) {
        mem_fail_at(n);
        struct spec *s = spec_from_json("{\"version\":1}", 13, &err);
        mem_fail_at(0);
        assert_true(n > 1 || !s);
        spec_free(s);
    }
}

static void adapters_come_and_go(void **state)
{
    struct spec *s = vm(), *back;
    cleanup_free char *text = NULL;
    char address[18];

    assert_int_equal(spec_set(s, "nic-add", "52:54:00:00:00:01", &err), 0);
    assert_int_equal(spec_set(s, "nic-add", "52:54:00:00:00:aB", &err), 0);
    assert_int_equal(spec_check(s, &err), 0);
    text = spec_to_json(s);
    back = spec_from_json(text, strlen(text), &err);
    assert_non_null(back);
    assert_int_equal(back->more_nics.count, 2);
    assert_string_equal(back->more_nics.items[0], "52:54:00:00:00:01");
    spec_free(back);
    assert_int_equal(spec_set(s, "nic-rm", "52:54:00:00:00:02", &err), -ENOENT);
    assert_int_equal(spec_set(s, "nic-rm", "52:54:00:00:00:01", &err), 0);
    assert_int_equal(s->more_nics.count, 1);
    assert_int_equal(spec_set(s, "nic-add", "52:54:00:00:00:Ab", &err), 0); /* twice */
    assert_int_equal(spec_check(s, &err), -EEXIST);
    assert_int_equal(spec_set(s, "nic-rm", "52:54:00:00:00:AB", &err), 0);
    assert_int_equal(spec_set(s, "nic-add", "53:54:00:00:00:01", &err), 0);
    assert_int_equal(spec_check(s, &err), -EINVAL);
    assert_int_equal(spec_set(s, "nic-rm", "53:54:00:00:00:01", &err), 0);
    for (unsigned i = 0; i < SPEC_MORE_NICS; i++) {
        assert_int_equal(spec_check(s, &err), 0);
        snprintf(address, sizeof address, "52:54:00:00:01:%02x", i);
        assert_int_equal(spec_set(s, "nic-add", address, &err), 0);
    }
    assert_int_equal(spec_check(s, &err), -ENOSPC);
    s->from_snapshot = strdup("x");
    assert_int_equal(spec_set(s, "nic-rm", address, &err), -ENOTSUP);
    spec_free(s);
}

static void displays(void **state)
{
    static const char *const bad[] = {"",           "sdl",           "vnc=",          "vnc=0",
                                      "vnc=70000",  "vnc=0.0.0.0:1", "vnc=::1",       "vnc=host:1",
                                      "vnc=socket", "vnc=127.0.0.1", "vnc=127.0.0.1:"};
    struct spec *s = vm();
    const char *path = "";
    uint16_t port = 0;
    char longest[120] = "vnc=/";

    assert_false(spec_vm_vga(s));
    assert_int_equal(spec_parse_display("none", &path, &port, &err), 0);
    assert_int_equal(spec_parse_display("vnc=127.0.0.1:5901", &path, &port, &err), 1);
    assert_null(path);
    assert_int_equal(port, 5901);
    assert_int_equal(spec_parse_display("vnc=/run/a socket", &path, &port, &err), 1);
    assert_string_equal(path, "/run/a socket");
    memset(longest + 5, 'x', 107);
    assert_int_equal(spec_parse_display(longest, &path, &port, &err), -EINVAL);
    for (size_t i = 0; i < array_size(bad); i++) {
        assert_int_equal(spec_set(s, "display", bad[i], &err), 0);
        assert_int_equal(spec_check(s, &err), -EINVAL);
    }
    assert_int_equal(spec_set(s, "display", "vnc=5901", &err), 0);
    assert_int_equal(spec_check(s, &err), 0);
    assert_true(spec_vm_vga(s));
    assert_int_equal(spec_set(s, "vga", "none", &err), 0);
    assert_int_equal(spec_check(s, &err), -EINVAL);
    assert_int_equal(spec_set(s, "display", "text", &err), 0);
    assert_int_equal(spec_check(s, &err), -EINVAL);
    assert_int_equal(spec_set(s, "display", "none", &err), 0);
    assert_int_equal(spec_check(s, &err), 0);
    assert_int_equal(spec_set(s, "vga", "std", &err), 0);
    assert_true(spec_vm_vga(s));
    spec_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(containers_round_trip),
        cmocka_unit_test(ports_are_expanded_and_chosen),
        cmocka_unit_test(walls_do_not_mix),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(checks_of_the_whole),
        cmocka_unit_test(paths_become_absolute),
        cmocka_unit_test(memory_is_rounded_up),
        cmocka_unit_test(displays),
        cmocka_unit_test(adapters_come_and_go),
        cmocka_unit_test(broken_json_is_refused),
        cmocka_unit_test(text_that_is_not_utf8_is_cleaned),
        cmocka_unit_test(allocation_failures_are_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
