/* SPDX-License-Identifier: Apache-2.0 */
/* The v1 and v2 writes against trees of plain files, and a real life where this host allows it. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/cgroup_device.h"
#include "container/cgroup_internal.h"
#include "container/oci_config.h"

static char top[64];

static void put_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", top, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void put_dir(const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", top, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static void expect_file(const char *name, const char *text)
{
    char path[256], have[4096];
    snprintf(path, sizeof(path), "%s/%s", top, name);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s is missing", name);
    size_t n = fread(have, 1, sizeof(have) - 1, f);
    have[n] = 0;
    fclose(f);
    if (strcmp(have, text))
        fail_msg("%s: '%s', expected '%s'", name, have, text);
}

static void expect_no_file(const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", top, name);
    assert_int_equal(access(path, F_OK), -1);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    strcpy(top, "/tmp/isola-cgroup-test-XXXXXX");
    return mkdtemp(top) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static char warned[1024];
static void warn(void *opaque, const char *line)
{
    (void)opaque;
    snprintf(warned, sizeof(warned), "%s", line);
}

/* Discovery. */

static void test_hosts(void **state)
{
    (void)state;
    put_file("mountinfo",
             "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
             "31 22 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
             "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup "
             "rw,cpu,cpuacct\n"
             "33 31 0:30 /docker/ab /sys/fs/cgroup/my\\040memory rw - cgroup cgroup rw,memory\n"
             "34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
             "35 31 0:31 / /mnt/again rw - cgroup cgroup rw,name=systemd\n"
             "37 33 0:30 /docker /sys/fs/cgroup/my\\040memory rw - cgroup cgroup rw,memory\n"
             "36 31 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put_file("cgroup", "5:name=systemd:/init.scope\n"
                       "4:memory:/docker/ab/inner\n"
                       "3:cpu,cpuacct:/\n"
                       "0::/user.slice/x\n");
    struct cgroup_host host;
    assert_int_equal(cgroup_host_read(top, false, &host, NULL), 0);
    assert_int_equal(host.count, 4);
    assert_int_equal(host.h[0].controllers, 1u << CGROUP_CPU | 1u << CGROUP_CPUACCT);
    assert_string_equal(host.h[0].own, "/");
    assert_string_equal(host.h[1].mount, "/sys/fs/cgroup/my memory");
    assert_string_equal(host.h[1].own, "/ab/inner"); /* the later mount covers the earlier */
    assert_int_equal(host.h[2].controllers, 1u << CGROUP_NAMED);
    assert_string_equal(host.h[2].own, "/init.scope");
    assert_int_equal(host.h[3].version, 2);
    assert_string_equal(host.h[3].own, "/user.slice/x");
    cgroup_host_done(&host);
    /* Outside of our cgroup namespace, and a file that is cut off. */
    put_file("cgroup", "0::/../../other");
    assert_int_equal(cgroup_host_read(top, false, &host, NULL), 0);
    assert_string_equal(host.h[3].own, "/");
    cgroup_host_done(&host);
    put_file("mountinfo", "1 2 3");
    assert_int_equal(cgroup_host_read(top, false, &host, NULL), 0);
    assert_int_equal(host.count, 0);
    cgroup_host_done(&host);
    struct error err = {0};
    assert_int_equal(cgroup_host_read("/nonexistent", false, &host, &err), -ENOENT);
}

/* Writes. */

static struct cgroup_host fake(int version, unsigned controllers, const char *name)
{
    struct cgroup_host host = {.count = 1};
    put_dir(name);
    host.h[0] = (struct cgroup_hierarchy){.version = version, .controllers = controllers};
    host.h[0].mount = str_format("%s/%s", top, name);
    host.h[0].root = strdup("/");
    host.h[0].own = strdup("/own/leaf");
    return host;
}

enum {
    V2_ALL = 1u << CGROUP_CPU | 1u << CGROUP_CPUSET | 1u << CGROUP_MEMORY | 1u << CGROUP_PIDS |
             1u << CGROUP_IO | 1u << CGROUP_HUGETLB | 1u << CGROUP_RDMA
};

static void test_v2_writes(void **state)
{
    (void)state;
    struct cgroup_host host = fake(2, V2_ALL, "u");
    put_file("u/cgroup.controllers", "cpu cpuset memory pids io misc future\n");
    put_file("u/cgroup.subtree_control", "cpuset memory");
    struct oci_hugepage_limit pages[] = {{"2MB", 4 << 20}};
    struct oci_block_rate rate[] = {{8, 0, 1 << 20}};
    struct oci_block_weight weight[] = {{8, 16, {true, 500}, {false, 0}}};
    struct oci_rdma rdma[] = {{"mlx4_0", {true, 2}, {false, 0}}};
    struct oci_pair uni[] = {{"memory.high", "12345"}};
    struct oci_resources r = {
        .memory = {.limit = {true, 100 << 20},
                   .swap = {true, 150 << 20},
                   .reservation = {true, 50 << 20}},
        .cpu = {.shares = {true, 1024},
                .quota = {true, 50000},
                .period = {true, 100000},
                .burst = {true, 1000},
                .cpus = "0-1",
                .mems = "0"},
        .pids_limit = {true, 100},
        .block_io = {.weight = {true, 1000},
                     .read_bps = {rate, 1},
                     .weight_devices = weight,
                     .weight_device_count = 1},
        .hugepages = pages,
        .hugepage_count = 1,
        .rdma = rdma,
        .rdma_count = 1,
        .unified = {uni, 1},
    };
    struct cgroup_place place = {.path = "/a/c1", .id = "c1", .warn = warn};
    struct cgroup *cg = NULL;
    struct error err = {0};
    if (cgroup_make_on(&host, &place, &r, true, &cg, &err))
        fail_msg("%s", error_text(&err));
    expect_file("u/cgroup.subtree_control", "+cpu +pids +io +misc");
    expect_file("u/a/c1/memory.max", "104857600");
    expect_file("u/a/c1/memory.swap.max", "52428800"); /* 150 MiB together - 100 MiB memory */
    expect_file("u/a/c1/memory.low", "52428800");
    expect_file("u/a/c1/memory.high", "12345");
    expect_file("u/a/c1/cpu.weight", "100");
    expect_file("u/a/c1/cpu.max", "50000 100000");
    expect_file("u/a/c1/cpu.max.burst", "1000");
    expect_file("u/a/c1/cpuset.cpus", "0-1");
    expect_file("u/a/c1/cpuset.mems", "0");
    expect_file("u/a/c1/pids.max", "100");
    expect_file("u/a/c1/io.weight", "8:16 4950");
    expect_file("u/a/c1/io.max", "8:0 rbps=1048576");
    expect_file("u/a/c1/hugetlb.2MB.max", "4194304");
    expect_file("u/a/c1/rdma.max", "mlx4_0 hca_handle=2 hca_object=max");
    assert_false(cgroup_devices_enforced(cg));

    /* Later changes: unlimited, a period alone keeps the quota, idle. */
    struct oci_resources u = {
        .memory = {.limit = {true, -1}},
        .cpu = {.period = {true, 20000}, .idle = {true, 1}, .shares = {true, 2}},
        .pids_limit = {true, -1},
    };
    put_file("u/a/c1/cpu.weight", "");
    assert_int_equal(cgroup_update(cg, &u, false, NULL, NULL, &err), 0);
    expect_file("u/a/c1/memory.max", "max");
    expect_file("u/a/c1/memory.swap.max", "max");
    expect_file("u/a/c1/cpu.max", "50000 20000");
    expect_file("u/a/c1/cpu.idle", "1");
    expect_file("u/a/c1/cpu.weight", ""); /* idle groups have none */
    expect_file("u/a/c1/pids.max", "max");

    put_file("u/a/c1/memory.current", "5000\n");
    struct oci_resources less = {.memory = {.limit = {true, 4096}, .check_before_update = true}};
    assert_int_equal(cgroup_update(cg, &less, false, NULL, NULL, &err), -EBUSY);
    expect_file("u/a/c1/memory.max", "max");
    struct oci_resources swap = {.memory = {.limit = {true, 4096}, .swap = {true, 100}}};
    assert_int_equal(cgroup_update(cg, &swap, false, NULL, NULL, &err), -EINVAL);
    struct oci_pair escape[] = {{"../x.y", "1"}};
    struct oci_resources bad = {.unified = {escape, 1}};
    assert_int_equal(cgroup_update(cg, &bad, false, NULL, NULL, &err), -EINVAL);

    /* Freezing and ending. */
    assert_int_equal(cgroup_freeze(cg, true, &err), -ENOTSUP);
    put_file("u/a/c1/cgroup.freeze", "0");
    put_file("u/a/c1/cgroup.events", "populated 1\nfrozen 1\n");
    assert_int_equal(cgroup_freeze(cg, true, &err), 0);
    expect_file("u/a/c1/cgroup.freeze", "1");
    assert_int_equal(cgroup_is_frozen(cg), 1);
    assert_int_equal(cgroup_kill(cg, SIGKILL, &err), 0);
    expect_file("u/a/c1/cgroup.kill", "1");
    cgroup_free(cg);
    cgroup_host_done(&host);
}

static void test_v2_degrades(void **state)
{
    (void)state;
    struct cgroup_host host = fake(2, 1u << CGROUP_CPU, "u");
    struct oci_resources r = {.memory = {.limit = {true, 1 << 20}}};
    struct cgroup_place place = {.id = "c2", .warn = warn};
    struct cgroup *cg = NULL;
    struct error err = {0};
    warned[0] = 0;
    assert_int_equal(cgroup_make_on(&host, &place, &r, true, &cg, &err), -ENOTSUP);
    assert_non_null(strstr(error_text(&err), "memory"));
    assert_non_null(strstr(error_text(&err), "--best-effort"));
    expect_no_file("u/own/c2"); /* nothing half there */
    place.best_effort = true;
    assert_int_equal(cgroup_make_on(&host, &place, &r, true, &cg, &err), 0);
    assert_non_null(strstr(warned, "memory limit is not enforced"));
    cgroup_free(cg);
    cgroup_host_done(&host);
}

static void test_v1_writes(void **state)
{
    (void)state;
    struct cgroup_host host =
        fake(1,
             1u << CGROUP_CPU | 1u << CGROUP_MEMORY | 1u << CGROUP_IO | 1u << CGROUP_DEVICES |
                 1u << CGROUP_PIDS | 1u << CGROUP_NET_CLS | 1u << CGROUP_NET_PRIO,
             "v1");
    struct oci_device_rule rules[] = {
        {false, 'a', -1, -1, true, true, true},
        {true, 'c', 10, 200, true, true, false},
    };
    struct oci_net_priority prio[] = {{"eth0", 7}};
    struct oci_resources r = {
        .devices = rules,
        .device_count = 2,
        .memory = {.limit = {true, 100 << 20},
                   .swap = {true, -1},
                   .swappiness = {true, 10},
                   .kernel = {true, 5 << 20},
                   .disable_oom_killer = true},
        .cpu = {.shares = {true, 512}, .quota = {true, -1}},
        .net_class_id = {true, 0x100001},
        .net_priorities = prio,
        .net_priority_count = 1,
        .block_io = {.weight = {true, 300}},
    };
    struct cgroup_place place = {.id = "c1", .warn = warn};
    struct cgroup *cg = NULL;
    struct error err = {0};
    warned[0] = 0;
    if (cgroup_make_on(&host, &place, &r, true, &cg, &err))
        fail_msg("%s", error_text(&err));
    expect_file("v1/own/leaf/c1/memory.limit_in_bytes", "104857600");
    expect_file("v1/own/leaf/c1/memory.memsw.limit_in_bytes", "-1");
    expect_file("v1/own/leaf/c1/memory.swappiness", "10");
    expect_file("v1/own/leaf/c1/memory.oom_control", "1");
    assert_non_null(strstr(warned, "kernel memory"));
    expect_file("v1/own/leaf/c1/cpu.shares", "512");
    expect_file("v1/own/leaf/c1/cpu.cfs_quota_us", "-1");
    expect_file("v1/own/leaf/c1/net_cls.classid", "1048577");
    expect_file("v1/own/leaf/c1/net_prio.ifpriomap", "eth0 7");
    expect_file("v1/own/leaf/c1/blkio.bfq.weight", "300");
    expect_file("v1/own/leaf/c1/devices.deny", "a *:* rwm");
    expect_file("v1/own/leaf/c1/devices.allow",
                "c 10:200 rwc *:* mb *:* mc 1:3 rwmc 1:5 rwmc 1:7 rwmc 1:8 rwmc 1:9 rwmc 5:0 "
                "rwmc 5:2 rwmc 136:* rwm");
    assert_true(cgroup_devices_enforced(cg));
    struct str saved = {0};
    cgroup_save(cg, &saved);
    struct cgroup *again = NULL;
    assert_int_equal(cgroup_open(str_text(&saved), &again, &err), 0);
    assert_int_equal(again->count, 1);
    assert_string_equal(again->dirs[0].path, cg->dirs[0].path);
    assert_int_equal(again->dirs[0].controllers, cg->dirs[0].controllers);
    assert_true(cgroup_devices_enforced(again));
    cgroup_free(again);
    str_done(&saved);
    cgroup_free(cg);

    /* v1 cannot except a device from a wider rule. */
    struct oci_device_rule hole[] = {
        {false, 'a', -1, -1, true, true, true},
        {true, 'c', 10, -1, true, true, true},
        {false, 'c', 10, 200, true, true, true},
    };
    struct oci_resources h = {.devices = hole, .device_count = 3};
    place.id = "c3";
    assert_int_equal(cgroup_make_on(&host, &place, &h, true, &cg, &err), -ENOTSUP);
    /* Paths that leave the hierarchy. */
    place.path = "/../x";
    assert_int_equal(cgroup_make_on(&host, &place, NULL, true, &cg, &err), -EINVAL);
    cgroup_host_done(&host);
}

static void test_saved_damage(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "3 1 /x\n", "1 1 x\n", "1 ffffffffff /x\n", "1 1 /a/../b\n", "nonsense", "1", "1 1",
    };
    for (size_t i = 0; i < array_size(bad); i++) {
        struct cgroup *cg = NULL;
        struct error err = {0};
        assert_int_equal(cgroup_open(bad[i], &cg, &err), -EINVAL);
        assert_null(cg);
    }
}

static void test_conversions(void **state)
{
    (void)state;
    assert_int_equal(cgroup_cpu_weight(2), 1);
    assert_int_equal(cgroup_cpu_weight(1024), 100);
    assert_int_equal(cgroup_cpu_weight(262144), 10000);
    assert_int_equal(cgroup_cpu_weight(UINT64_MAX), 10000);
    uint64_t last = 0;
    for (uint64_t s = 2; s <= 262144; s += 61) {
        uint64_t w = cgroup_cpu_weight(s);
        assert_true(w >= last && w >= 1 && w <= 10000);
        last = w;
    }
    assert_int_equal(cgroup_io_weight(10), 1);
    assert_int_equal(cgroup_io_weight(1000), 10000);
}

/* The device filter. */

/* As much of eBPF as the filter uses. Returns r0, -1 when the program does what it may not. */
static int run_bpf(const struct bpf_insn *code, size_t count, const uint32_t context[3])
{
    uint64_t r[11] = {0};
    for (size_t pc = 0, steps = 0; pc < count && steps < 10000; pc++, steps++) {
        const struct bpf_insn *i = &code[pc];
        uint64_t *dst = &r[i->dst_reg];
        switch (i->code) {
        case BPF_LDX | BPF_MEM | BPF_W:
            *dst = context[i->off / 4];
            break;
        case BPF_ALU64 | BPF_MOV | BPF_X:
            *dst = r[i->src_reg];
            break;
        case BPF_ALU64 | BPF_MOV | BPF_K:
            *dst = (uint64_t)(int64_t)i->imm;
            break;
        case BPF_ALU64 | BPF_AND | BPF_K:
            *dst &= (uint64_t)(int64_t)i->imm;
            break;
        case BPF_ALU64 | BPF_RSH | BPF_K:
            *dst >>= i->imm;
            break;
        case BPF_JMP | BPF_JNE | BPF_K:
            pc += *dst != (uint64_t)(int64_t)i->imm ? (size_t)i->off : 0;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += *dst == (uint64_t)(int64_t)i->imm ? (size_t)i->off : 0;
            break;
        case BPF_JMP | BPF_EXIT:
            return (int)r[0];
        default:
            return -1;
        }
    }
    return -1;
}

static void test_device_filter(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 300; round++) {
        struct oci_device_rule rules[12];
        size_t count = (size_t)rand_r(&seed) % 12;
        for (size_t i = 0; i < count; i++) {
            unsigned x = (unsigned)rand_r(&seed);
            rules[i] = (struct oci_device_rule){
                .allow = x & 1,
                .type = "abc"[x / 2 % 3],
                .major = (int)(x / 8 % 4) - 1,
                .minor = (int)(x / 32 % 4) - 1,
                .read = x & 128,
                .write = x & 256,
                .mknod = x & 512,
            };
        }
        struct bpf_insn *code = NULL;
        size_t insns;
        struct error err = {0};
        assert_int_equal(cgroup_device_program(rules, count, &code, &insns, &err), 0);
        for (int type = BPF_DEVCG_DEV_BLOCK; type <= BPF_DEVCG_DEV_CHAR; type++)
            for (uint32_t dev = 0; dev < 16; dev++)
                for (unsigned access = 1; access < 8; access++) {
                    uint32_t context[3] = {access << 16 | (uint32_t)type, dev / 4, dev % 4};
                    int expected =
                        cgroup_device_allowed(rules, count, " bc"[type], dev / 4, dev % 4, access);
                    assert_int_equal(run_bpf(code, insns, context), expected);
                }
        free(code);
    }
    struct error err = {0};
    struct bpf_insn *code = NULL;
    size_t insns;
    assert_int_equal(cgroup_device_program(NULL, 100000, &code, &insns, &err), -E2BIG);
}

/* The real thing. */

static void expect_ok(int r, const struct error *err)
{
    if (r)
        fail_msg("%s", error_text(err));
}

static pid_t start_sleeper(const struct cgroup *cg)
{
    int fds[CGROUP_FDS_MAX];
    unsigned count = 0;
    struct error err = {0};
    expect_ok(cgroup_join_fds(cg, fds, &count, &err), &err);
    pid_t pid = fork();
    if (!pid) {
        alarm(20);
        if (cgroup_join(fds, count) < 0)
            _exit(3);
        for (;;)
            pause();
    }
    assert_true(pid > 0);
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    return pid;
}

static void wait_for_pids(struct cgroup *cg, size_t want)
{
    size_t count = 0;
    for (int i = 0; i < 5000; i++) {
        cleanup_free pid_t *pids = NULL;
        assert_int_equal(cgroup_pids(cg, &pids, &count, NULL), 0);
        if (count == want)
            return;
        usleep(1000);
    }
    fail_msg("%zu processes, expected %zu", count, want);
}

/* What is seen without mountinfo is what that says. */
static void test_probe(void **state)
{
    struct cgroup_host quick, whole;
    struct error err = {0};
    expect_ok(cgroup_host_read("/proc/self", true, &whole, &err), &err);
    if (!cgroup_host_probe(false, &quick)) {
        print_message(
            "this host's hierarchies are not where they are mostly: read from mountinfo\n");
        cgroup_host_done(&whole);
        skip();
    }
    assert_int_equal(quick.count, whole.count);
    for (unsigned i = 0; i < quick.count; i++) {
        const struct cgroup_hierarchy *q = &quick.h[i], *w = NULL;
        struct stat a, b;
        for (unsigned k = 0; k < whole.count; k++)
            if (whole.h[k].version == q->version && whole.h[k].controllers == q->controllers)
                w = &whole.h[k];
        assert_non_null(w);
        assert_string_equal(q->mount, w->mount);
        assert_string_equal(q->root, w->root);
        assert_string_equal(q->own, w->own);
        assert_true(q->opened && fstat(q->top, &a) == 0 && stat(w->mount, &b) == 0);
        assert_true(a.st_dev == b.st_dev && a.st_ino == b.st_ino);
    }
    cgroup_host_done(&quick);
    cgroup_host_done(&whole);
}

static void test_real(void **state)
{
    (void)state;
    struct error err = {0};
    struct cgroup_host host;
    expect_ok(cgroup_host_read("/proc/self", true, &host, &err), &err);
    bool usable = false;
    for (unsigned i = 0; i < host.count; i++)
        if (host.h[i].version == 1 && host.h[i].controllers & 1u << CGROUP_MEMORY)
            usable = access(host.h[i].mount, W_OK) == 0;
    cgroup_host_done(&host);
    if (geteuid() || !usable) {
        print_message("SKIP: no right to make cgroups of v1 here\n");
        skip();
    }
    char id[64];
    snprintf(id, sizeof(id), "isola-test-%d", (int)getpid());
    struct cgroup_place place = {.id = id, .warn = warn};
    struct oci_resources r = {.memory = {.limit = {true, 64 << 20}}, .pids_limit = {true, 50}};
    struct cgroup *cg = NULL;
    expect_ok(cgroup_make(&place, &r, &cg, &err), &err);
    assert_true(cgroup_devices_enforced(cg));
    pid_t a = start_sleeper(cg), b = start_sleeper(cg);
    wait_for_pids(cg, 2);

    /* A second container of that name must not join. */
    struct cgroup *other = NULL;
    assert_int_equal(cgroup_make(&place, &r, &other, &err), -EBUSY);
    struct error why = {0};
    assert_int_equal(cgroup_remove(cg, &why), -EBUSY);

    struct cgroup_stats s;
    expect_ok(cgroup_stats(cg, &s, &err), &err);
    assert_true(s.memory.have && s.memory.limit == 64 << 20 && s.memory.raw_count > 5);
    assert_true(s.pids.have && s.pids.current == 2 && s.pids.limit == 50);
    assert_true(s.cpu.have);
    cgroup_stats_done(&s);

    struct oci_resources more = {.memory = {.limit = {true, 128 << 20}}};
    expect_ok(cgroup_update(cg, &more, false, NULL, NULL, &err), &err);
    expect_ok(cgroup_stats(cg, &s, &err), &err);
    assert_int_equal(s.memory.limit, 128 << 20);
    cgroup_stats_done(&s);

    struct str saved = {0};
    cgroup_save(cg, &saved);
    cgroup_free(cg);
    expect_ok(cgroup_open(str_text(&saved), &cg, &err), &err);
    str_done(&saved);

    expect_ok(cgroup_freeze(cg, true, &err), &err);
    assert_int_equal(cgroup_is_frozen(cg), 1);
    expect_ok(cgroup_kill(cg, SIGTERM, &err), &err);
    assert_int_equal(cgroup_is_frozen(cg), 1); /* a signal does not wake the frozen */
    expect_ok(cgroup_kill(cg, SIGKILL, &err), &err);
    int status;
    assert_int_equal(waitpid(a, &status, 0), a);
    assert_int_equal(waitpid(b, &status, 0), b);
    assert_true(WIFSIGNALED(status));
    wait_for_pids(cg, 0);
    expect_ok(cgroup_remove(cg, &err), &err);
    expect_ok(cgroup_remove(cg, &err), &err); /* gone is fine */
    cgroup_free(cg);
}

/* The same on v2 alone, in a mount namespace where nothing else is mounted. Runs in a child, which
 * leaves by its status: 0, 77 to skip, 1. */
static int v2_life(void)
{
    struct error err = {0};
    struct cgroup_host host;
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) ||
        mount("none", "/sys/fs/cgroup", "cgroup2", 0, NULL))
        return 77;
    /* Making a group hands controllers down from the root; the host gets its own back. */
    static const char control[] = "/sys/fs/cgroup/cgroup.subtree_control";
    FILE *was = fopen(control, "r");
    bool restore = was && fgetc(was) == EOF;
    if (was)
        fclose(was);
    expect_ok(cgroup_host_read("/proc/self", true, &host, &err), &err);
    assert_int_equal(host.count, 1);
    assert_int_equal(host.h[0].version, 2);
    unsigned handed = restore ? host.h[0].controllers : 0;
    cgroup_host_done(&host);
    char id[64];
    snprintf(id, sizeof(id), "isola-test-%d", (int)getpid());
    struct cgroup_place place = {.id = id, .warn = warn};
    struct cgroup *cg = NULL;
    warned[0] = 0;
    expect_ok(cgroup_make(&place, NULL, &cg, &err), &err);
    /* Loading a filter may be forbidden: then a warning says so. */
    assert_true(cgroup_devices_enforced(cg) != (warned[0] != 0));
    int fds[CGROUP_FDS_MAX];
    unsigned count = 9;
    expect_ok(cgroup_join_fds(cg, fds, &count, &err), &err);
    assert_int_equal(count, 0);
    int group = cgroup_clone_fd(cg, 0);
    assert_true(group >= 0);
    struct clone_args args = {
        .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)group};
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (!pid) {
        alarm(20);
        for (;;)
            pause();
    }
    close(group);
    assert_true(pid > 0);
    wait_for_pids(cg, 1);
    struct cgroup_stats stats;
    expect_ok(cgroup_stats(cg, &stats, &err), &err);
    assert_true(stats.cpu.have);
    cgroup_stats_done(&stats);
    expect_ok(cgroup_freeze(cg, true, &err), &err);
    assert_int_equal(cgroup_is_frozen(cg), 1);
    expect_ok(cgroup_freeze(cg, false, &err), &err);
    assert_int_equal(cgroup_is_frozen(cg), 0);
    assert_int_equal(cgroup_remove(cg, NULL), -EBUSY);

    /* A container that manages sub-groups: another process of it joins beside the first. */
    char path[256];
    snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/init.scope", id);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path + strlen(path), 32, "/cgroup.procs");
    FILE *f = fopen(path, "w");
    fprintf(f, "%d\n", (int)pid);
    assert_int_equal(fclose(f), 0);
    group = cgroup_clone_fd(cg, pid);
    char link[64], where[256] = {0};
    snprintf(link, sizeof(link), "/proc/self/fd/%d", group);
    assert_true(readlink(link, where, sizeof(where) - 1) > 0);
    assert_non_null(strstr(where, "/init.scope"));
    close(group);
    wait_for_pids(cg, 1);

    expect_ok(cgroup_kill(cg, SIGKILL, &err), &err);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    expect_ok(cgroup_remove(cg, &err), &err); /* with what is below */
    cgroup_free(cg);
    for (int c = 0; c < CGROUP_CONTROLLERS; c++)
        if (handed >> c & 1 && (f = fopen(control, "w"))) {
            fprintf(f, "-%s", cgroup_controller_name((enum cgroup_controller)c, 2));
            fclose(f);
        }
    return 0;
}

static void test_real_v2(void **state)
{
    (void)state;
    fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        alarm(60);
        exit(v2_life());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("SKIP: no right to mount cgroup v2 here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hosts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_v2_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_v2_degrades, setup, teardown),
        cmocka_unit_test_setup_teardown(test_v1_writes, setup, teardown),
        cmocka_unit_test(test_saved_damage),
        cmocka_unit_test(test_conversions),
        cmocka_unit_test(test_device_filter),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_real),
        cmocka_unit_test(test_real_v2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
