/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiler held to libseccomp: both programs of one profile answer alike for every call and
 * for the arguments around the values that the rules compare with.
 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/oci_config.h"
#include "container/seccomp_internal.h"

/* The library loses memory of rules that it refuses; the leak sanitizer asks here. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libseccomp";
}

enum { X32 = 0x40000000 };

/* Classic BPF over struct seccomp_data; ~0 - 1 for a program that the kernel would refuse. */
static uint32_t run_bpf(const struct sock_filter *code, unsigned count,
                        const struct seccomp_data *data)
{
    const uint8_t *bytes = (const uint8_t *)data;
    uint32_t a = 0, x = 0, m[BPF_MEMWORDS] = {0};
    for (unsigned pc = 0; pc < count; pc++) {
        const struct sock_filter *i = &code[pc];
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            if (i->k % 4 || i->k + 4 > sizeof(*data))
                return 0xfffffffe;
            a = load_le32(bytes + i->k);
            break;
        case BPF_LD | BPF_MEM:
            a = m[i->k % BPF_MEMWORDS];
            break;
        case BPF_ST:
            m[i->k % BPF_MEMWORDS] = a;
            break;
        case BPF_MISC | BPF_TAX:
            x = a;
            break;
        case BPF_MISC | BPF_TXA:
            a = x;
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= i->k;
            break;
        case BPF_JMP | BPF_JA:
            pc += i->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += a == i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            pc += a > i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            pc += a >= i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            pc += a & i->k ? i->jt : i->jf;
            break;
        case BPF_RET | BPF_K:
            return i->k;
        default:
            return 0xfffffffe;
        }
    }
    return 0xfffffffe;
}

/* What runc makes of a profile with libseccomp. */

static uint32_t scmp_action(enum oci_seccomp_action action, struct oci_u64 data)
{
    uint32_t number = data.set ? (uint32_t)data.value : EPERM;
    switch (action) {
    case OCI_SECCOMP_KILL_THREAD:
        return SCMP_ACT_KILL_THREAD;
    case OCI_SECCOMP_KILL_PROCESS:
        return SCMP_ACT_KILL_PROCESS;
    case OCI_SECCOMP_TRAP:
        return SCMP_ACT_TRAP;
    case OCI_SECCOMP_ERRNO:
        return SCMP_ACT_ERRNO(number);
    case OCI_SECCOMP_TRACE:
        return SCMP_ACT_TRACE(number);
    case OCI_SECCOMP_ALLOW:
        return SCMP_ACT_ALLOW;
    case OCI_SECCOMP_LOG:
        return SCMP_ACT_LOG;
    case OCI_SECCOMP_NOTIFY:
        return SCMP_ACT_NOTIFY;
    }
    return 0;
}

static struct scmp_arg_cmp scmp_arg(const struct oci_seccomp_arg *a)
{
    static const enum scmp_compare ops[] = {
        [OCI_SECCOMP_NE] = SCMP_CMP_NE,
        [OCI_SECCOMP_LT] = SCMP_CMP_LT,
        [OCI_SECCOMP_LE] = SCMP_CMP_LE,
        [OCI_SECCOMP_EQ] = SCMP_CMP_EQ,
        [OCI_SECCOMP_GE] = SCMP_CMP_GE,
        [OCI_SECCOMP_GT] = SCMP_CMP_GT,
        [OCI_SECCOMP_MASKED_EQ] = SCMP_CMP_MASKED_EQ,
    };
    return (struct scmp_arg_cmp){a->index, ops[a->op], a->value, a->value_two};
}

/*
 * Rules that the library refuses beside earlier ones: what they would mean cannot be compared. Nor
 * can several chains of conditions on one call: in its tree, a chain that fails late does not go
 * back to another that would hold.
 */
static void note(struct str *refused, const char *name, int result)
{
    uint32_t call;
    if (!result)
        return;
    str_addf(refused, " %s ", name);
    if (seccomp_multiplexed(name, &call))
        str_add(refused, call == 102 ? " socketcall " : " ipc ");
}

static struct sock_filter *scmp_compile(const struct oci_seccomp *p, bool check_chains,
                                        struct str *refused, unsigned *ret_count)
{
    struct str chains = {0};
    uint32_t otherwise = scmp_action(p->default_action, p->default_errno_ret);
    scmp_filter_ctx ctx = seccomp_init(otherwise);
    assert_non_null(ctx);
    for (size_t i = 0; i < p->architectures.n; i++) {
        char name[32] = {0};
        const char *from = p->architectures.v[i] + strlen("SCMP_ARCH_");
        for (size_t k = 0; from[k] && k < sizeof(name) - 1; k++)
            name[k] = (char)(from[k] >= 'A' && from[k] <= 'Z' ? from[k] + 32 : from[k]);
        int r = seccomp_arch_add(ctx, seccomp_arch_resolve_name(name));
        assert_true(!r || r == -EEXIST);
    }
    for (size_t i = 0; i < p->syscall_count; i++) {
        const struct oci_seccomp_rule *rule = &p->syscalls[i];
        uint32_t action = scmp_action(rule->action, rule->errno_ret);
        if (action == otherwise)
            continue;
        unsigned seen = 0;
        bool alternatives = false;
        for (size_t n = 0; check_chains && rule->arg_count && n < rule->names.n; n++) {
            char key[64];
            snprintf(key, sizeof(key), " %s ", rule->names.v[n]);
            if (strstr(str_text(&chains), key))
                note(refused, rule->names.v[n], -1);
            uint32_t call; /* the library compares the addresses that socketcall gets, too */
            if (seccomp_multiplexed(rule->names.v[n], &call))
                str_add(refused, call == 102 ? " socketcall " : " ipc ");
            str_add(&chains, key);
        }
        struct scmp_arg_cmp args[6] = {0};
        for (size_t a = 0; a < rule->arg_count; a++) {
            alternatives |= seen >> rule->args[a].index & 1;
            seen |= 1u << rule->args[a].index;
            args[a % 6] = scmp_arg(&rule->args[a]);
        }
        for (size_t n = 0; n < rule->names.n; n++) {
            int number = seccomp_syscall_resolve_name(rule->names.v[n]);
            if (number == __NR_SCMP_ERROR)
                continue;
            if (check_chains && alternatives)
                note(refused, rule->names.v[n], -1);
            if (!alternatives) {
                note(refused, rule->names.v[n],
                     seccomp_rule_add_array(ctx, action, number, (unsigned)rule->arg_count, args));
                continue;
            }
            for (size_t a = 0; a < rule->arg_count; a++) {
                struct scmp_arg_cmp one = scmp_arg(&rule->args[a]);
                note(refused, rule->names.v[n],
                     seccomp_rule_add_array(ctx, action, number, 1, &one));
            }
        }
    }
    cleanup_fd int fd = memfd_create("bpf", MFD_CLOEXEC);
    assert_int_equal(seccomp_export_bpf(ctx, fd), 0);
    seccomp_release(ctx);
    str_done(&chains);
    off_t size = lseek(fd, 0, SEEK_END);
    struct sock_filter *code = malloc((size_t)size);
    assert_int_equal(pread(fd, code, (size_t)size, 0), size);
    *ret_count = (unsigned)((size_t)size / sizeof(*code));
    return code;
}

/* Comparing. */

static unsigned seed;
static uint32_t rnd(void)
{
    seed = seed * 1103515245 + 12345;
    return seed >> 8;
}

/* A value near one that some rule compares with. */
static uint64_t some_value(const struct oci_seccomp *p)
{
    uint64_t v = rnd() % 3 ? rnd() % 8 : (uint64_t)rnd() << 40 | rnd();
    if (p->syscall_count && rnd() % 4) {
        const struct oci_seccomp_rule *rule = &p->syscalls[rnd() % p->syscall_count];
        if (rule->arg_count) {
            const struct oci_seccomp_arg *a = &rule->args[rnd() % rule->arg_count];
            v = rnd() % 3 ? a->value : a->value_two;
        }
    }
    switch (rnd() % 8) {
    case 0:
        return v + 1;
    case 1:
        return v - 1;
    case 2:
        return v ^ 1ull << (rnd() % 64);
    case 3:
        return v & 0xffffffff;
    default:
        return v;
    }
}

struct pair {
    const struct oci_seccomp *profile;
    struct seccomp_filter ours;
    struct sock_filter *theirs;
    unsigned their_count;
    uint32_t newest[3]; /* of x86-64, i386, x32, that the profile names */
    bool random;
    unsigned columns; /* that the profile is for */
    unsigned long cases;
    struct str refused;
};

static const char *name_of(const struct pair *p, int column, int number)
{
    (void)p;
    for (size_t i = 0; i < seccomp_name_count; i++)
        if (seccomp_names[i].number[column] == number)
            return seccomp_names[i].name;
    return "?";
}

/* The rules read straight from the profile, one after the other. */
static bool holds(const struct oci_seccomp_arg *a, const struct seccomp_data *data, bool wide)
{
    uint64_t mask = wide ? ~0ull : 0xffffffff;
    uint64_t v = data->args[a->index] & mask, value = a->value & mask;
    switch (a->op) {
    case OCI_SECCOMP_NE:
        return v != value;
    case OCI_SECCOMP_LT:
        return v < value;
    case OCI_SECCOMP_LE:
        return v <= value;
    case OCI_SECCOMP_EQ:
        return v == value;
    case OCI_SECCOMP_GE:
        return v >= value;
    case OCI_SECCOMP_GT:
        return v > value;
    case OCI_SECCOMP_MASKED_EQ:
        return (v & value) == (a->value_two & mask);
    }
    return false;
}

static bool matches(const struct oci_seccomp_rule *rule, const struct seccomp_data *data, bool wide)
{
    unsigned seen = 0, true_count = 0;
    bool alternatives = false;
    for (size_t i = 0; i < rule->arg_count; i++) {
        alternatives |= seen >> rule->args[i].index & 1;
        seen |= 1u << rule->args[i].index;
        true_count += holds(&rule->args[i], data, wide);
    }
    return alternatives ? true_count > 0 : true_count == rule->arg_count;
}

static uint32_t reference(const struct oci_seccomp *p, const struct seccomp_data *data, int column)
{
    uint32_t otherwise = scmp_action(p->default_action, p->default_errno_ret);
    for (int pass = 0; pass < 2; pass++) /* rules without arguments first */
        for (size_t i = 0; i < p->syscall_count; i++) {
            const struct oci_seccomp_rule *rule = &p->syscalls[i];
            uint32_t action = scmp_action(rule->action, rule->errno_ret);
            if (action == otherwise || !rule->arg_count != !pass)
                continue;
            for (size_t n = 0; n < rule->names.n; n++) {
                const struct seccomp_name *row = seccomp_find(rule->names.v[n]);
                uint32_t call = 0;
                int operation = column == SECCOMP_X86 && !rule->arg_count
                                    ? seccomp_multiplexed(rule->names.v[n], &call)
                                    : 0;
                if (row && row->number[column] == data->nr &&
                    matches(rule, data, column == SECCOMP_X86_64))
                    return action;
                if (operation && (int)call == data->nr &&
                    (uint32_t)data->args[0] == (uint32_t)operation)
                    return action;
            }
        }
    return otherwise;
}

static void compare(struct pair *p, uint32_t arch, uint32_t number, bool args)
{
    struct seccomp_data data = {.nr = (int)number, .arch = arch};
    for (int i = 0; args && i < 6; i++) {
        data.args[i] = some_value(p->profile);
        if (arch == AUDIT_ARCH_I386) /* the kernel extends with zeros */
            data.args[i] &= 0xffffffff;
    }
    uint32_t ours = run_bpf(p->ours.code, p->ours.count, &data);
    uint32_t theirs = run_bpf(p->theirs, p->their_count, &data);
    p->cases++;
    int column = arch == AUDIT_ARCH_I386 ? 1 : number >= X32 ? 2 : 0;
    if (arch != AUDIT_ARCH_AARCH64 && p->columns >> column & 1 && number <= p->newest[column]) {
        uint32_t plain = reference(p->profile, &data, column);
        if (ours != plain)
            fail_msg("arch %x call %d args %llx: ours %x, the rules say %x", arch, (int)number,
                     (unsigned long long)data.args[0], ours, plain);
    }
    /* libseccomp 2.5 forgets to load the number in some programs with x32. */
    if (ours == theirs || (p->random && p->columns >> SECCOMP_X32 & 1))
        return;
    bool newer = number > p->newest[column] && ours == (SECCOMP_RET_ERRNO | ENOSYS) &&
                 theirs == scmp_action(p->profile->default_action, p->profile->default_errno_ret);
    if (newer)
        return;
    static const uint32_t arches[] = {SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32};
    const char *name = name_of(p, column, (int)number);
    int known = seccomp_syscall_resolve_name_arch(arches[column], name);
    if (known == __NR_SCMP_ERROR || known != (int)number)
        return; /* newer than the library */
    char key[64];
    snprintf(key, sizeof(key), " %s ", name);
    if (strstr(str_text(&p->refused), key))
        return;
    fail_msg("arch %x call %d (%s) args %llx %llx %llx %llx %llx %llx: ours %x, libseccomp %x",
             arch, (int)number, name, (unsigned long long)data.args[0],
             (unsigned long long)data.args[1], (unsigned long long)data.args[2],
             (unsigned long long)data.args[3], (unsigned long long)data.args[4],
             (unsigned long long)data.args[5], ours, theirs);
}

static unsigned long compare_all(const struct oci_seccomp *profile, bool random, unsigned rounds)
{
    struct pair p = {.profile = profile, .random = random};
    struct error err = {0};
    if (seccomp_compile(profile, &p.ours, &err))
        fail_msg("%s", error_text(&err));
    p.theirs = scmp_compile(profile, random, &p.refused, &p.their_count);
    p.columns = 1u << SECCOMP_X86_64;
    for (size_t i = 0; i < profile->architectures.n; i++)
        p.columns |= !strcmp(profile->architectures.v[i], "SCMP_ARCH_X86")   ? 1u << SECCOMP_X86
                     : !strcmp(profile->architectures.v[i], "SCMP_ARCH_X32") ? 1u << SECCOMP_X32
                                                                             : 0;
    for (size_t i = 0; i < profile->syscall_count; i++)
        for (size_t n = 0; n < profile->syscalls[i].names.n; n++) {
            const struct seccomp_name *row = seccomp_find(profile->syscalls[i].names.v[n]);
            for (int c = 0; row && c < 3; c++)
                if (row->number[c] >= 0 && (uint32_t)row->number[c] > p.newest[c])
                    p.newest[c] = (uint32_t)row->number[c];
        }
    for (uint32_t n = 0; n < 600; n++)
        for (unsigned round = 0; round <= rounds; round++) {
            compare(&p, AUDIT_ARCH_X86_64, n, round);
            compare(&p, AUDIT_ARCH_X86_64, n | X32, round);
            compare(&p, AUDIT_ARCH_I386, n, round);
        }
    compare(&p, AUDIT_ARCH_AARCH64, 0, false);
    compare(&p, AUDIT_ARCH_X86_64, 0x7fffffff, false);
    compare(&p, AUDIT_ARCH_X86_64, 0x80000000, false);
    seccomp_filter_done(&p.ours);
    free(p.theirs);
    str_done(&p.refused);
    return p.cases;
}

/* Profiles as text, through the parser of config.json. */

static struct oci_config *parse(const char *seccomp)
{
    char *text =
        str_format("{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":"
                   "\"/\",\"args\":[\"x\"],\"user\":{\"uid\":0,\"gid\":0}},\"linux\":{"
                   "\"namespaces\":[{\"type\":\"mount\"}],\"seccomp\":%s}}",
                   seccomp);
    struct oci_config *config = NULL;
    struct error err = {0};
    int r = oci_config_parse(text, strlen(text), &config, &err);
    if (r)
        fail_msg("%s", error_text(&err));
    free(text);
    return config;
}

/* Docker's form, with conditions on capabilities and architectures, as OCI's. New. */
static char *resolve_profile(const char *path, uint64_t capabilities)
{
    json_t *root = json_load_file(path, 0, NULL);
    if (!root)
        return NULL;
    json_t *out = json_array(), *rule;
    size_t i;
    json_array_foreach(json_object_get(root, "syscalls"), i, rule)
    {
        json_t *in = json_object_get(rule, "includes"), *ex = json_object_get(rule, "excludes");
        bool keep = true;
        size_t k;
        json_t *v;
        json_array_foreach(json_object_get(in, "caps"), k, v)
        {
            int n = oci_capability_number(json_string_value(v));
            keep &= n >= 0 && capabilities >> n & 1;
        }
        json_array_foreach(json_object_get(ex, "caps"), k, v)
        {
            int n = oci_capability_number(json_string_value(v));
            keep &= !(n >= 0 && capabilities >> n & 1);
        }
        json_t *arches = json_object_get(in, "arches");
        bool ours = !json_array_size(arches);
        json_array_foreach(arches, k, v) ours |= !strcmp(json_string_value(v), "amd64");
        if (!keep || !ours)
            continue;
        json_object_del(rule, "includes");
        json_object_del(rule, "excludes");
        json_object_del(rule, "comment");
        json_object_del(rule, "errno");
        if (!json_object_get(rule, "names"))
            continue;
        json_array_append(out, rule);
    }
    json_object_set_new(root, "syscalls", out);
    json_object_del(root, "archMap");
    json_object_set_new(root, "architectures",
                        json_pack("[sss]", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"));
    json_object_del(root, "defaultErrno");
    char *text = json_dumps(root, 0);
    json_decref(root);
    return text;
}

static const char podman_profile[] = "/usr/share/containers/seccomp.json";

static void test_default_profile(void **state)
{
    (void)state;
    seed = 1;
    uint64_t sets[] = {0, seccomp_default_capabilities(), ~0ull};
    for (size_t i = 0; i < array_size(sets); i++) {
        struct str text = {0};
        seccomp_default_json(sets[i], &text);
        struct oci_config *config = parse(str_text(&text));
        compare_all(config->seccomp, false, 4);
        oci_config_free(config);
        str_done(&text);
    }
}

static void test_podman_profile(void **state)
{
    (void)state;
    uint64_t sets[] = {0, seccomp_default_capabilities(), ~0ull};
    for (size_t i = 0; i < array_size(sets); i++) {
        cleanup_free char *text = resolve_profile(podman_profile, sets[i]);
        if (!text) {
            print_message("SKIP: no %s (golang-github-containers-common)\n", podman_profile);
            skip();
        }
        struct oci_config *config = parse(text);
        seed = 2;
        compare_all(config->seccomp, false, 4);
        oci_config_free(config);
    }
}

/* Random profiles. Rules with arguments of one call share one action, as libseccomp orders others
 * in its own way. */
static void random_profile(struct str *out)
{
    static const char *const actions[] = {"ALLOW", "ERRNO", "LOG", "TRAP", "KILL_PROCESS", "TRACE"};
    static const char *const ops[] = {"NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"};
    static const char *const arches[] = {"X86_64", "X86", "X32", "AARCH64"};
    static const char *const names[] = {"read",   "write", "openat", "socket", "bind",  "clone",
                                        "ioctl",  "fcntl", "mmap2",  "semget", "prctl", "futex",
                                        "getpid", "kill",  "dup3",   "time",   "statx", "bogus"};
    str_addf(out, "{\"defaultAction\":\"SCMP_ACT_%s\",\"architectures\":[", actions[rnd() % 2]);
    bool first = true;
    for (size_t i = 0; i < 3; i++)
        if (rnd() % 3) {
            str_addf(out, "%s\"SCMP_ARCH_%s\"", first ? "" : ",", arches[i]);
            first = false;
        }
    str_add(out, "],\"syscalls\":[");
    unsigned rules = rnd() % 24;
    for (unsigned i = 0; i < rules; i++) {
        unsigned call = rnd() % array_size(names);
        bool plain = rnd() % 3 == 0;
        const char *action =
            plain ? actions[rnd() % array_size(actions)] : actions[call % array_size(actions)];
        str_addf(out, "%s{\"names\":[\"%s\"],\"action\":\"SCMP_ACT_%s\"", i ? "," : "", names[call],
                 action);
        if (!plain) {
            str_add(out, ",\"args\":[");
            unsigned args = 1 + rnd() % 3;
            for (unsigned a = 0; a < args; a++) {
                unsigned long long mask = rnd() % 2 ? rnd() % 16 : (unsigned long long)rnd() << 20;
                unsigned long long value = mask;
                const char *op = ops[rnd() % array_size(ops)];
                if (!strcmp(op, "MASKED_EQ"))
                    value = mask & rnd();
                str_addf(out,
                         "%s{\"index\":%u,\"value\":%llu,\"valueTwo\":%llu,\"op\":\"SCMP_CMP_%s\"}",
                         a ? "," : "", rnd() % 6, mask, value, op);
            }
            str_add(out, "]");
        }
        str_add(out, "}");
    }
    str_add(out, "]}");
}

static void test_random_profiles(void **state)
{
    (void)state;
    unsigned long cases = 0;
    for (unsigned i = 0; i < 100; i++) {
        seed = 1000 + i;
        struct str text = {0};
        random_profile(&text);
        struct oci_config *config = parse(str_text(&text));
        cases += compare_all(config->seccomp, true, 3);
        oci_config_free(config);
        str_done(&text);
    }
    assert_true(cases > 100000);
}

/* Every name that both know has the same number. */
static void test_names(void **state)
{
    (void)state;
    static const uint32_t arches[] = {SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32,
                                      SCMP_ARCH_AARCH64};
    unsigned same = 0;
    for (size_t i = 0; i < seccomp_name_count; i++) {
        if (i)
            assert_true(strcmp(seccomp_names[i - 1].name, seccomp_names[i].name) < 0);
        assert_ptr_equal(seccomp_find(seccomp_names[i].name), &seccomp_names[i]);
        for (int c = 0; c < SECCOMP_COLUMNS; c++) {
            int theirs = seccomp_syscall_resolve_name_arch(arches[c], seccomp_names[i].name);
            int ours = seccomp_names[i].number[c];
            assert_true(ours < 0 || (ours & ~X32) < 1024); /* the compiler sorts by these bits */
            if (theirs < 0 || ours < 0)
                continue; /* newer than the library, or split off with a number of its own */
            if (theirs != ours)
                fail_msg("%s on %d: ours %d, libseccomp %d", seccomp_names[i].name, c, ours,
                         theirs);
            same++;
        }
    }
    assert_true(same > 1300);
    for (int call = 102; call <= 117; call += 15) { /* socketcall, ipc */
        unsigned found = 0;
        for (size_t i = 0; i < seccomp_name_count; i++) {
            uint32_t which = 0;
            found += seccomp_multiplexed(seccomp_names[i].name, &which) && (int)which == call;
        }
        assert_int_equal(found,
                         call == 102 ? 18 : 12); /* send and recv have no call of their own */
    }
    assert_null(seccomp_find(""));
    assert_null(seccomp_find("zzz"));
}

/* The default profile lets no call through that the published rules of Podman, which are wider than
 * Docker's, would not, but the calls newer than those rules that neither knew. */
static void test_no_wider(void **state)
{
    (void)state;
    static const char newer[] =
        " cachestat fchmodat2 futex_requeue futex_wait futex_waitv futex_wake getxattrat "
        "io_pgetevents io_pgetevents_time64 listmount listxattrat map_shadow_stack mseal "
        "removexattrat setxattrat statmount vmsplice quotactl_fd set_mempolicy_home_node ";
    uint64_t sets[] = {0, seccomp_default_capabilities(),
                       seccomp_default_capabilities() | 1ull << CAP_SYS_ADMIN};
    for (size_t s = 0; s < array_size(sets); s++) {
        cleanup_free char *theirs_text = resolve_profile(podman_profile, sets[s]);
        if (!theirs_text) {
            print_message("SKIP: no %s\n", podman_profile);
            skip();
        }
        struct str text = {0};
        seccomp_default_json(sets[s], &text);
        struct oci_config *a = parse(str_text(&text)), *b = parse(theirs_text);
        struct seccomp_filter ours, theirs;
        assert_int_equal(seccomp_compile(a->seccomp, &ours, NULL), 0);
        assert_int_equal(seccomp_compile(b->seccomp, &theirs, NULL), 0);
        seed = 5;
        for (size_t i = 0; i < seccomp_name_count; i++)
            for (unsigned round = 0; round < 60; round++) {
                char key[64];
                snprintf(key, sizeof(key), " %s ", seccomp_names[i].name);
                int column = (int)(round % 3);
                struct seccomp_data data = {.nr = seccomp_names[i].number[column],
                                            .arch =
                                                column == 1 ? AUDIT_ARCH_I386 : AUDIT_ARCH_X86_64};
                if (data.nr < 0 || strstr(newer, key))
                    continue;
                for (int k = 0; k < 6; k++)
                    data.args[k] = some_value(a->seccomp) & (column ? 0xffffffff : ~0ull);
                if (run_bpf(ours.code, ours.count, &data) == SECCOMP_RET_ALLOW &&
                    run_bpf(theirs.code, theirs.count, &data) != SECCOMP_RET_ALLOW)
                    fail_msg("%s(%llx, ...) is allowed", seccomp_names[i].name,
                             (unsigned long long)data.args[0]);
            }
        seccomp_filter_done(&ours);
        seccomp_filter_done(&theirs);
        oci_config_free(a);
        oci_config_free(b);
        str_done(&text);
    }
    /* New namespaces need CAP_SYS_ADMIN, whatever way they are asked for. */
    struct str text = {0};
    seccomp_default_json(seccomp_default_capabilities(), &text);
    struct oci_config *a = parse(str_text(&text));
    struct seccomp_filter f;
    assert_int_equal(seccomp_compile(a->seccomp, &f, NULL), 0);
    struct seccomp_data data = {.nr = SYS_clone, .arch = AUDIT_ARCH_X86_64};
    data.args[0] = 0x01200011; /* fork() */
    assert_int_equal(run_bpf(f.code, f.count, &data), SECCOMP_RET_ALLOW);
    for (int bit = 0; bit < 32; bit++) {
        data.args[0] = 1u << bit;
        bool namespace = 0x7e020000u >> bit & 1;
        assert_int_equal(run_bpf(f.code, f.count, &data),
                         namespace ? SECCOMP_RET_ERRNO | EPERM : SECCOMP_RET_ALLOW);
    }
    data.nr = SYS_clone3;
    assert_int_equal(run_bpf(f.code, f.count, &data), SECCOMP_RET_ERRNO | ENOSYS);
    data.nr = 4000; /* not invented yet */
    assert_int_equal(run_bpf(f.code, f.count, &data), SECCOMP_RET_ERRNO | ENOSYS);
    seccomp_filter_done(&f);
    oci_config_free(a);
    str_done(&text);
}

/* Limits and mistakes. */

static int try_compile(const char *text, struct error *err)
{
    struct oci_config *config = parse(text);
    struct seccomp_filter f = {0};
    int r = seccomp_compile(config->seccomp, &f, err);
    seccomp_filter_done(&f);
    oci_config_free(config);
    return r;
}

static void test_mistakes(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(try_compile("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":["
                                 "\"read\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}",
                                 &err),
                     -EINVAL);
    assert_non_null(strstr(error_text(&err), "listenerPath"));
    assert_int_equal(try_compile("{\"defaultAction\":\"SCMP_ACT_ALLOW\"}", &err), 0);
    /* Long jumps: many conditions, up to the kernel's limit and beyond. */
    for (unsigned rules = 100; rules <= 1600; rules *= 4) {
        struct str text = {0};
        str_add(&text, "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[");
        for (unsigned i = 0; i < rules; i++)
            str_addf(
                &text,
                "%s{\"names\":[\"%s\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":7,\"args\":[{"
                "\"index\":1,\"value\":%u,\"op\":\"SCMP_CMP_EQ\"}]}",
                i ? "," : "", i % 2 ? "read" : "write", i);
        str_add(&text, "]}");
        struct oci_config *config = parse(str_text(&text));
        struct seccomp_filter f = {0};
        int r = seccomp_compile(config->seccomp, &f, &err);
        assert_int_equal(r, rules > 1000 ? -E2BIG : 0);
        for (unsigned i = 0; !r && i < rules + 4; i++)
            for (int nr = 0; nr < 3; nr++) {
                struct seccomp_data data = {.nr = nr, .arch = AUDIT_ARCH_X86_64, .args = {9, i}};
                bool hit = i < rules && nr == (i % 2 ? SYS_read : SYS_write);
                assert_int_equal(run_bpf(f.code, f.count, &data),
                                 hit ? SECCOMP_RET_ERRNO | 7 : SECCOMP_RET_ALLOW);
            }
        seccomp_filter_done(&f);
        oci_config_free(config);
        str_done(&text);
    }
}

/* The kernel takes it, and the listener reaches who waits for it. */
static void test_install(void **state)
{
    (void)state;
    struct oci_config *config =
        parse("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"],"
              "\"syscalls\":[{\"names\":[\"getppid\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":"
              "77}]}");
    struct seccomp_filter f;
    assert_int_equal(seccomp_compile(config->seccomp, &f, NULL), 0);
    assert_int_equal(f.flags, SECCOMP_FILTER_FLAG_LOG);
    pid_t pid = fork();
    if (!pid) {
        int listener = 0;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || seccomp_install(&f, &listener) ||
            listener != -1)
            _exit(1);
        _exit(syscall(SYS_getppid) == -1 && errno == 77 ? 0 : 2);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    seccomp_filter_done(&f);
    oci_config_free(config);
}

static void test_listener(void **state)
{
    (void)state;
    char dir[] = "/tmp/isola-seccomp-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char path[64], text[400];
    snprintf(path, sizeof(path), "%s/s", dir);
    snprintf(text, sizeof(text),
             "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"%s\",\"listenerMetadata\":"
             "\"a\\\"b\",\"syscalls\":[{\"names\":[\"getppid\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}",
             path);
    struct oci_config *config = parse(text);
    struct error err = {0};
    assert_int_equal(seccomp_send_listener(config->seccomp, 0, 1, "{}", &err), -ENOENT);
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(server, 1), 0);
    int file = memfd_create("listener", MFD_CLOEXEC);
    assert_int_equal(write(file, "!", 1), 1);
    assert_int_equal(seccomp_send_listener(config->seccomp, file, 4711, "{\"id\":\"x\"}", &err), 0);
    int peer = accept(server, NULL, NULL);
    char got[1024] = {0}, control[64];
    struct iovec part = {got, sizeof(got) - 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    assert_true(recvmsg(peer, &message, MSG_CMSG_CLOEXEC) > 0);
    int passed;
    memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(passed));
    char byte = 0;
    assert_int_equal(pread(passed, &byte, 1, 0), 1);
    assert_int_equal(byte, '!');
    json_t *state_json = json_loads(got, 0, NULL);
    assert_non_null(state_json);
    assert_int_equal(json_integer_value(json_object_get(state_json, "pid")), 4711);
    assert_string_equal(json_string_value(json_object_get(state_json, "metadata")), "a\"b");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(state_json, "state"), "id")), "x");
    json_decref(state_json);
    close(passed), close(peer), close(file), close(server);
    unlink(path);
    rmdir(dir);
    oci_config_free(config);
}

/* Says how long the default profile takes; no test fails on time. */
static void test_time(void **state)
{
    (void)state;
    struct str text = {0};
    seccomp_default_json(seccomp_default_capabilities(), &text);
    struct oci_config *config = parse(str_text(&text));
    struct timespec a, b;
    unsigned count = 0;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < 100; i++) {
        struct seccomp_filter f;
        assert_int_equal(seccomp_compile(config->seccomp, &f, NULL), 0);
        count = f.count;
        seccomp_filter_done(&f);
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    print_message("default profile: %u instructions, %.3f ms\n", count,
                  ((double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6) /
                      100);
    assert_true(count > 50 && count < 1000);
    oci_config_free(config);
    str_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),          cmocka_unit_test(test_default_profile),
        cmocka_unit_test(test_podman_profile), cmocka_unit_test(test_random_profiles),
        cmocka_unit_test(test_no_wider),       cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_install),        cmocka_unit_test(test_listener),
        cmocka_unit_test(test_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
