/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device list. Rules are taken in order: the last one that covers a device and an access
 * decides. After the configuration's rules come the devices that every container may use
 * (config-linux.md, "Default Devices") and mknod of anything, which opens nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/cgroup_device.h"
#include "container/cgroup_internal.h"
#include "container/oci_config.h"

static const struct oci_device_rule default_rules[] = {
    {true, 'c', -1, -1, false, false, true}, /* mknod */
    {true, 'b', -1, -1, false, false, true}, /* mknod */
    {true, 'c', 1, 3, true, true, true},     /* null */
    {true, 'c', 1, 5, true, true, true},     /* zero */
    {true, 'c', 1, 7, true, true, true},     /* full */
    {true, 'c', 1, 8, true, true, true},     /* random */
    {true, 'c', 1, 9, true, true, true},     /* urandom */
    {true, 'c', 5, 0, true, true, true},     /* tty */
    {true, 'c', 5, 2, true, true, true},     /* ptmx */
    {true, 'c', 136, -1, true, true, true},  /* pts */
};

static unsigned access_of(const struct oci_device_rule *r)
{
    return (r->read ? BPF_DEVCG_ACC_READ : 0) | (r->write ? BPF_DEVCG_ACC_WRITE : 0) |
           (r->mknod ? BPF_DEVCG_ACC_MKNOD : 0);
}

enum { ACCESS_ALL = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD };

static bool is_everything(const struct oci_device_rule *r)
{
    return access_of(r) == ACCESS_ALL && r->type == 'a' && r->major < 0 && r->minor < 0;
}

static bool covers(const struct oci_device_rule *r, char type, uint32_t major, uint32_t minor)
{
    return (r->type == 'a' || r->type == type) && (r->major < 0 || r->major == major) &&
           (r->minor < 0 || r->minor == minor);
}

bool cgroup_device_allowed(const struct oci_device_rule *rules, size_t count, char type,
                           uint32_t major, uint32_t minor, unsigned access)
{
    for (size_t i = count; i-- && access;) {
        if (!covers(&rules[i], type, major, minor))
            continue;
        if (!rules[i].allow && access & access_of(&rules[i]))
            return false;
        access &= ~access_of(&rules[i]);
    }
    return !access;
}

/* The configuration's rules and the default ones, from the last that covers everything on. */
static struct oci_device_rule *all_rules(const struct oci_resources *r, size_t *ret_count)
{
    size_t given = r ? r->device_count : 0, first = 0;
    struct oci_device_rule *all = mem_alloc(given + array_size(default_rules), sizeof(*all));
    if (!all)
        return NULL;
    for (size_t i = 0; i < given; i++)
        if (is_everything(&r->devices[i]))
            first = i;
    size_t n = 0;
    for (size_t i = first; i < given; i++)
        all[n++] = r->devices[i];
    /* Where everything is allowed there is nothing to add. */
    if (!(n == 1 && is_everything(&all[0]) && all[0].allow))
        for (size_t i = 0; i < array_size(default_rules); i++)
            all[n++] = default_rules[i];
    *ret_count = n;
    return all;
}

/* v1 */

static int write_rule(struct cgroup *cg, const struct cgroup_dir *dir,
                      const struct oci_device_rule *r, char type, int fd[2])
{
    char major[24] = "*", minor[24] = "*", text[80];
    if (r->major >= 0)
        snprintf(major, sizeof(major), "%lld", (long long)r->major);
    if (r->minor >= 0)
        snprintf(minor, sizeof(minor), "%lld", (long long)r->minor);
    int n = snprintf(text, sizeof(text), "%c %s:%s %s%s%s", type, major, minor, r->read ? "r" : "",
                     r->write ? "w" : "", r->mknod ? "m" : "");
    int *at = &fd[r->allow];
    if (*at < 0)
        *at = cgroup_open_file(cg, dir, r->allow ? "devices.allow" : "devices.deny",
                               O_WRONLY | O_APPEND);
    if (*at < 0)
        return *at;
    return write(*at, text, (size_t)n) < 0 ? -errno : 0;
}

/*
 * v1 keeps a default and a list of exceptions of one kind. A rule against the default that an
 * earlier, wider exception covers cannot be told to it: the kernel removes only an equal exception.
 */
static bool fits_v1(const struct oci_device_rule *rules, size_t count)
{
    size_t first = count && is_everything(&rules[0]);
    bool open = first && rules[0].allow;
    for (size_t i = first; i < count; i++) {
        const struct oci_device_rule *r = &rules[i];
        if (r->allow != open)
            continue;
        for (size_t j = first; j < i; j++) {
            const struct oci_device_rule *e = &rules[j];
            bool overlap = e->allow != open && access_of(e) & access_of(r) &&
                           (e->type == 'a' || r->type == 'a' || e->type == r->type) &&
                           (e->major < 0 || r->major < 0 || e->major == r->major) &&
                           (e->minor < 0 || r->minor < 0 || e->minor == r->minor);
            bool wider = e->major != r->major || e->minor != r->minor || e->type != r->type;
            if (overlap && wider)
                return false;
        }
    }
    return true;
}

static int devices_v1(struct cgroup *cg, const struct cgroup_dir *dir,
                      const struct oci_device_rule *rules, size_t count, struct error *err)
{
    if (!fits_v1(rules, count))
        return error_set(err, -ENOTSUP,
                         "device list: cgroup v1 cannot except a device from an earlier rule that "
                         "is wider; order the rules from deny to allow, or use cgroup v2");
    int fd[2] = {-1, -1};
    int r = 0;
    if (!count || !is_everything(&rules[0])) /* nothing matches: denied */
        r = cgroup_write_raw(cg, dir, "devices.deny", "a");
    for (size_t i = 0; !r && i < count; i++) {
        const struct oci_device_rule *rule = &rules[i];
        if (!access_of(rule))
            continue;
        if (is_everything(rule) || rule->type != 'a')
            r = write_rule(cg, dir, rule, rule->type, fd);
        else /* "a" ignores numbers: both kinds */
            for (const char *t = "bc"; !r && *t; t++)
                r = write_rule(cg, dir, rule, *t, fd);
    }
    close_fd(&fd[0]);
    close_fd(&fd[1]);
    return r ? error_set_errno(err, r, "set the device list of %s", dir->path) : 0;
}

/* v2 */

struct assembler {
    struct bpf_insn *code;
    size_t count, cap;
};

static void emit(struct assembler *a, uint8_t op, uint8_t dst, uint8_t src, int16_t off,
                 int32_t imm)
{
    if (a->count < a->cap)
        a->code[a->count] =
            (struct bpf_insn){.code = op, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm};
    a->count++;
}

/* Registers: r1 context, r2 type, r3 what of the access is not decided yet, r4 major, r5 minor. */
enum { RULE_INSNS_MAX = 12, PROGRAM_INSNS_MAX = 4096 };

static void assemble_rule(struct assembler *a, const struct oci_device_rule *r)
{
    enum { JNE_K = BPF_JMP | BPF_JNE | BPF_K, JEQ_K = BPF_JMP | BPF_JEQ | BPF_K };
    unsigned access = access_of(r);
    if (!access)
        return;
    size_t skips[3], skip_count = 0;
    if (r->type != 'a') {
        skips[skip_count++] = a->count;
        emit(a, JNE_K, BPF_REG_2, 0, 0, r->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    }
    if (r->major >= 0) {
        skips[skip_count++] = a->count;
        emit(a, JNE_K, BPF_REG_4, 0, 0, (int32_t)r->major);
    }
    if (r->minor >= 0) {
        skips[skip_count++] = a->count;
        emit(a, JNE_K, BPF_REG_5, 0, 0, (int32_t)r->minor);
    }
    if (r->allow) {
        /* decided: what is left goes on, nothing left is yes */
        emit(a, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_3, 0, 0, (int32_t)~access);
        emit(a, JNE_K, BPF_REG_3, 0, 2, 0);
        emit(a, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1);
        emit(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    } else {
        emit(a, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_0, BPF_REG_3, 0, 0);
        emit(a, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_0, 0, 0, (int32_t)access);
        emit(a, JEQ_K, BPF_REG_0, 0, 2, 0);
        emit(a, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0);
        emit(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    }
    for (size_t i = 0; i < skip_count; i++)
        if (skips[i] < a->cap)
            a->code[skips[i]].off = (int16_t)(a->count - skips[i] - 1);
}

int cgroup_device_program(const struct oci_device_rule *rules, size_t count, struct bpf_insn **ret,
                          size_t *ret_count, struct error *err)
{
    if (count > (PROGRAM_INSNS_MAX - 8) / RULE_INSNS_MAX)
        return error_set(err, -E2BIG, "the device list has %zu rules, at most %d fit", count,
                         (PROGRAM_INSNS_MAX - 8) / RULE_INSNS_MAX);
    struct assembler a = {.cap = count * RULE_INSNS_MAX + 8};
    a.code = mem_alloc(a.cap, sizeof(*a.code));
    if (!a.code)
        return error_set(err, -ENOMEM, "no memory");
    /* struct bpf_cgroup_dev_ctx: u32 access_type = access << 16 | type, u32 major, u32 minor */
    enum { LDX_W = BPF_LDX | BPF_MEM | BPF_W };
    emit(&a, LDX_W, BPF_REG_2, BPF_REG_1, 0, 0);
    emit(&a, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
    emit(&a, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff);
    emit(&a, BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16);
    emit(&a, LDX_W, BPF_REG_4, BPF_REG_1, 4, 0);
    emit(&a, LDX_W, BPF_REG_5, BPF_REG_1, 8, 0);
    for (size_t i = count; i--;) {
        assemble_rule(&a, &rules[i]);
        if (is_everything(&rules[i]))
            break; /* decides the rest */
    }
    emit(&a, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0);
    emit(&a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    *ret = a.code;
    *ret_count = a.count;
    return 0;
}

static long bpf(int command, union bpf_attr *attr)
{
    return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int devices_v2(const struct cgroup_dir *dir, const struct oci_device_rule *rules,
                      size_t count, struct error *err)
{
    cleanup_free struct bpf_insn *code = NULL;
    size_t insns;
    int r = cgroup_device_program(rules, count, &code, &insns, err);
    if (r)
        return r;
    union bpf_attr load = {
        .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
        .insns = (uint64_t)(uintptr_t)code,
        .insn_cnt = (uint32_t)insns,
        .license = (uint64_t)(uintptr_t) "Apache-2.0",
    };
    cleanup_fd int program = (int)bpf(BPF_PROG_LOAD, &load);
    if (program < 0)
        return error_set_errno(err, -errno, "load the device filter of %s", dir->path);
    cleanup_fd int group = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (group < 0)
        return error_set_errno(err, -errno, "open %s", dir->path);
    union bpf_attr attach = {
        .target_fd = (uint32_t)group,
        .attach_bpf_fd = (uint32_t)program,
        .attach_type = BPF_CGROUP_DEVICE,
        .attach_flags = BPF_F_ALLOW_MULTI,
    };
    if (bpf(BPF_PROG_ATTACH, &attach) < 0)
        return error_set_errno(err, -errno, "attach the device filter to %s", dir->path);
    return 0;
}

int cgroup_devices(struct cgroup *cg, const struct oci_resources *resources, struct error *err)
{
    size_t count;
    cleanup_free struct oci_device_rule *rules = all_rules(resources, &count);
    if (!rules)
        return error_set(err, -ENOMEM, "no memory");
    if (count == 1 && is_everything(&rules[0]) && rules[0].allow) {
        cg->devices_enforced = true; /* there is nothing to enforce */
        return 0;
    }
    const struct cgroup_dir *v1 = cgroup_dir_of(cg, CGROUP_DEVICES), *v2 = cgroup_v2_dir(cg);
    struct error why = {0};
    int r = v1                        ? devices_v1(cg, v1, rules, count, &why)
            : v2 && !cg->create_files ? devices_v2(v2, rules, count, &why)
                                      : -ENOENT;
    if (!r) {
        cg->devices_enforced = true;
        return 0;
    }
    if (r != -EPERM && r != -EACCES && r != -EROFS && r != -ENOENT && r != -ENOSYS) {
        if (err)
            *err = why;
        return r;
    }
    /* In a user namespace no node that was made there opens. */
    if (!cg->rootless)
        cgroup_warn(cg, "the device list is not enforced, so the container may make no nodes: %s",
                    r == -ENOENT ? "it has no group that can" : error_text(&why));
    return 0;
}
