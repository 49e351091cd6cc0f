/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From rules to a program: for each architecture the numbers of the calls that rules name are
 * sorted into ranges with one decision each, over which the program searches in a balanced tree of
 * comparisons. A decision is a return value, or tests of arguments that end in return values.
 */
#include "container/seccomp.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/oci_config.h"
#include "container/seccomp_internal.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

enum { X32_BIT = 0x40000000, ITEMS_MAX = 1 << 20, ARGS = 6 };

const char *const seccomp_actions[] = {"SCMP_ACT_ALLOW",       "SCMP_ACT_ERRNO",
                                       "SCMP_ACT_KILL",        "SCMP_ACT_KILL_PROCESS",
                                       "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
                                       "SCMP_ACT_NOTIFY",      "SCMP_ACT_TRACE",
                                       "SCMP_ACT_TRAP",        NULL};
const char *const seccomp_operators[] = {"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
                                         "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
                                         "SCMP_CMP_NE", NULL};

/* The kinds of machine that filters can be made for... */
static const struct {
    const char *name;
    uint32_t audit;
    bool wide; /* 64-bit arguments */
} columns[SECCOMP_COLUMNS] = {
    [SECCOMP_X86_64] = {"SCMP_ARCH_X86_64", AUDIT_ARCH_X86_64, true},
    [SECCOMP_X86] = {"SCMP_ARCH_X86", AUDIT_ARCH_I386, false},
    [SECCOMP_X32] = {"SCMP_ARCH_X32", AUDIT_ARCH_X86_64, false}, /* by a bit of the number */
    [SECCOMP_AARCH64] = {"SCMP_ARCH_AARCH64", AUDIT_ARCH_AARCH64, true},
};
#ifdef __aarch64__
enum { NATIVE = SECCOMP_AARCH64, POSSIBLE = 1 << SECCOMP_AARCH64 };
const char *const seccomp_archs[] = {"SCMP_ARCH_AARCH64", NULL};
#else
enum {
    NATIVE = SECCOMP_X86_64,
    POSSIBLE = 1 << SECCOMP_X86_64 | 1 << SECCOMP_X86 | 1 << SECCOMP_X32
};
const char *const seccomp_archs[] = {"SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64", NULL};
#endif

/* ...and the others that a profile may list: this host runs no program of theirs. */
static const char *const other_archs[] = {
    "SCMP_ARCH_NATIVE",    "SCMP_ARCH_ARM",         "SCMP_ARCH_MIPS",     "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL",      "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",       "SCMP_ARCH_PPC64",       "SCMP_ARCH_PPC64LE",  "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",     "SCMP_ARCH_PARISC",      "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_M68K",      "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_SH",       "SCMP_ARCH_SHEB",
};

static const struct {
    const char *name;
    unsigned bit;
} filter_flags[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};
const char *const seccomp_flags[] = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
                                     "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                                     "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", NULL};

/* One rule for one number. */
struct item {
    uint32_t number, value; /* value: what the filter returns */
    int only;               /* index of the one condition that counts, -1: all */
    int operation;          /* multiplexed: the first argument, 0: none */
    const struct oci_seccomp_rule *rule;
};

struct compiler {
    const struct oci_seccomp *profile;
    struct seccomp_program program;
    const struct seccomp_name **rows; /* of all names in the rules' order, looked up once */
    size_t row_count;
    struct item *items;
    size_t count, cap;
    uint32_t known[2]; /* one more than the newest call that rules name; [1]: of x32's */
    uint32_t default_value;
    bool notify;
    struct error *err;
};

/* A range of numbers, up to the next one's start. */
struct range {
    uint32_t start, value;
    const struct item *items; /* conditional: @count of them, else @value */
    size_t count;
};

static int return_value(struct compiler *c, enum oci_seccomp_action action, struct oci_u64 data,
                        uint32_t *ret)
{
    uint64_t number = data.set ? data.value : EPERM;
    if (number > SECCOMP_RET_DATA)
        return error_set(c->err, -EINVAL, "seccomp: errnoRet %" PRIu64 " is too large", number);
    switch (action) {
    case OCI_SECCOMP_KILL_THREAD:
        *ret = SECCOMP_RET_KILL_THREAD;
        return 0;
    case OCI_SECCOMP_KILL_PROCESS:
        *ret = SECCOMP_RET_KILL_PROCESS;
        return 0;
    case OCI_SECCOMP_TRAP:
        *ret = SECCOMP_RET_TRAP;
        return 0;
    case OCI_SECCOMP_ERRNO:
        *ret = SECCOMP_RET_ERRNO | (uint32_t)number;
        return 0;
    case OCI_SECCOMP_TRACE:
        *ret = SECCOMP_RET_TRACE | (uint32_t)number;
        return 0;
    case OCI_SECCOMP_ALLOW:
        *ret = SECCOMP_RET_ALLOW;
        return 0;
    case OCI_SECCOMP_LOG:
        *ret = SECCOMP_RET_LOG;
        return 0;
    case OCI_SECCOMP_NOTIFY:
        c->notify = true;
        *ret = SECCOMP_RET_USER_NOTIF;
        return 0;
    }
    return error_set(c->err, -EINVAL, "seccomp: unknown action %d", (int)action);
}

static bool is_refusal(uint32_t value)
{
    uint32_t action = value & SECCOMP_RET_ACTION_FULL;
    return action == SECCOMP_RET_ERRNO || action == SECCOMP_RET_KILL_PROCESS ||
           action == SECCOMP_RET_KILL_THREAD || action == SECCOMP_RET_TRAP;
}

/* Collecting. */

static int add_item(struct compiler *c, struct item item)
{
    if (c->count == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 1024;
        if (cap < 1024)
            cap = 1024;
        struct item *more = cap > ITEMS_MAX ? NULL : realloc(c->items, cap * sizeof(*more));
        if (!more)
            return error_set(c->err, cap > ITEMS_MAX ? -E2BIG : -ENOMEM, "seccomp: too many rules");
        c->items = more;
        c->cap = cap;
    }
    c->items[c->count++] = item;
    return 0;
}

/* Whether two conditions of @rule are on one argument: each is a rule of its own then. */
static bool has_alternatives(const struct oci_seccomp_rule *rule)
{
    unsigned seen = 0;
    for (size_t i = 0; i < rule->arg_count; i++) {
        unsigned bit = 1u << rule->args[i].index;
        if (seen & bit)
            return true;
        seen |= bit;
    }
    return false;
}

static int add_call(struct compiler *c, const struct oci_seccomp_rule *rule, uint32_t number,
                    uint32_t value)
{
    struct item item = {.number = number, .value = value, .only = -1, .rule = rule};
    if (!rule->arg_count || !has_alternatives(rule))
        return add_item(c, item);
    int r = 0;
    for (size_t i = 0; !r && i < rule->arg_count; i++) {
        item.only = (int)i;
        r = add_item(c, item);
    }
    return r;
}

static int collect_rule(struct compiler *c, const struct oci_seccomp_rule *rule,
                        const struct seccomp_name *const *rows, unsigned bits)
{
    uint32_t value;
    int r = return_value(c, rule->action, rule->errno_ret, &value);
    bool idle = value == c->default_value; /* changes nothing, but shows what the profile knows */
    for (size_t i = 0; i < rule->arg_count; i++)
        if (rule->args[i].index >= ARGS)
            return error_set(c->err, -EINVAL, "seccomp: a call has no argument %u",
                             rule->args[i].index);
    for (size_t i = 0; !r && i < rule->names.n; i++) {
        const char *name = rule->names.v[i];
        const struct seccomp_name *row = rows[i];
        for (int column = 0; row && !r && column < SECCOMP_COLUMNS; column++)
            if (bits & 1u << column && row->number[column] >= 0) {
                uint32_t number = (uint32_t)row->number[column];
                uint32_t *known = &c->known[column == SECCOMP_X32];
                *known = max_of(*known, number + 1);
                r = idle ? 0 : add_call(c, rule, number, value);
            }
        /* Behind socketcall the arguments are in memory: rules on them cannot hold there. */
        uint32_t call;
        int operation = !r && !idle && bits & 1u << SECCOMP_X86 && !rule->arg_count
                            ? seccomp_multiplexed(name, &call)
                            : 0;
        if (operation)
            r = add_item(c, (struct item){.number = call,
                                          .value = value,
                                          .only = -1,
                                          .operation = operation,
                                          .rule = rule});
    }
    return r;
}

/* Rules of one architecture at a time, as numbers of several overlap. */
static int collect(struct compiler *c, unsigned bits)
{
    c->count = 0;
    c->known[0] = 0;
    c->known[1] = X32_BIT;
    int r = 0;
    size_t row = 0;
    for (size_t i = 0; !r && i < c->profile->syscall_count; i++) {
        r = collect_rule(c, &c->profile->syscalls[i], c->rows + row, bits);
        row += c->profile->syscalls[i].names.n;
    }
    return r;
}

static int look_up(struct compiler *c)
{
    for (size_t i = 0; i < c->profile->syscall_count; i++)
        c->row_count += c->profile->syscalls[i].names.n;
    c->rows = mem_alloc(c->row_count + 1, sizeof(*c->rows));
    if (!c->rows)
        return error_set(c->err, -ENOMEM, "no memory");
    size_t row = 0;
    for (size_t i = 0; i < c->profile->syscall_count; i++)
        for (size_t n = 0; n < c->profile->syscalls[i].names.n; n++)
            c->rows[row++] = seccomp_find(c->profile->syscalls[i].names.v[n]);
    return 0;
}

/* A place to count each number in: x32's come after the others. */
enum { NUMBERS = 2048 };
static unsigned slot(uint32_t number)
{
    return (number & (NUMBERS / 2 - 1)) + (number >= X32_BIT ? NUMBERS / 2 : 0);
}

/* Sorts the items by number, those of one number in the profile's order. */
static int sort_items(struct compiler *c)
{
    uint32_t starts[NUMBERS + 1] = {0};
    struct item *sorted = mem_alloc(c->count + 1, sizeof(*sorted));
    if (!sorted)
        return error_set(c->err, -ENOMEM, "no memory");
    for (size_t i = 0; i < c->count; i++)
        starts[slot(c->items[i].number) + 1]++;
    for (unsigned i = 0; i < NUMBERS; i++)
        starts[i + 1] += starts[i];
    for (size_t i = 0; i < c->count; i++)
        sorted[starts[slot(c->items[i].number)]++] = c->items[i];
    free(c->items);
    c->items = sorted;
    c->cap = c->count + 1;
    return 0;
}

static void add_range(struct range *ranges, size_t *count, struct range range)
{
    struct range *last = *count ? &ranges[*count - 1] : NULL;
    if (last && last->start == range.start) /* an empty one before */
        (*count)--, last = *count ? &ranges[*count - 1] : NULL;
    if (last && !last->items && !range.items && last->value == range.value)
        return;
    ranges[(*count)++] = range;
}

/* After the last rule's call: default as far as the profile knows calls, then @unknown. A profile
 * that names none tells nothing about its age. */
static void add_end(const struct compiler *c, struct range *ranges, size_t *count, uint32_t next,
                    uint32_t known, uint32_t unknown)
{
    if (known > next || known % X32_BIT == 0)
        add_range(ranges, count, (struct range){.start = next, .value = c->default_value});
    if (known % X32_BIT)
        add_range(ranges, count, (struct range){.start = max_of(known, next), .value = unknown});
}

/* What decides the numbers of @items, which are all for one. */
static struct range decide(const struct item *items, size_t count)
{
    struct range range = {.start = items->number, .items = items, .count = count};
    for (size_t i = 0; i < count; i++)
        if (!items[i].rule->arg_count && !items[i].operation)
            return (struct range){.start = items->number, .value = items[i].value};
    return range;
}

/* The ranges that the sorted items make, in an array with room for 2 * count + 8. */
static size_t make_ranges(struct compiler *c, unsigned bits, struct range *ranges)
{
    size_t count = 0;
    uint32_t unknown = c->default_value; /* calls beyond the last one that the profile knows */
    if (is_refusal(unknown) && unknown != (SECCOMP_RET_ERRNO | ENOSYS))
        unknown = SECCOMP_RET_ERRNO | ENOSYS;
    bool x86_64 = bits & 1u << SECCOMP_X86_64, x32 = bits & 1u << SECCOMP_X32;
    bool beyond = false; /* past X32_BIT */
    add_range(ranges, &count, (struct range){.value = c->default_value});
    uint32_t next = 0;
    for (size_t i = 0; i < c->count;) {
        size_t n = 1;
        while (i + n < c->count && c->items[i + n].number == c->items[i].number)
            n++;
        uint32_t number = c->items[i].number;
        if (x86_64 && number >= X32_BIT && !beyond) {
            add_end(c, ranges, &count, next, c->known[0], unknown);
            add_range(ranges, &count, (struct range){.start = X32_BIT, .value = c->default_value});
            next = X32_BIT;
            beyond = true;
        }
        if (number > next)
            add_range(ranges, &count, (struct range){.start = next, .value = c->default_value});
        add_range(ranges, &count, decide(&c->items[i], n));
        next = number + 1;
        i += n;
    }
    add_end(c, ranges, &count, next, c->known[beyond], unknown);
    if (x86_64 && x32 && !beyond)
        add_range(ranges, &count, (struct range){.start = X32_BIT, .value = c->default_value});
    if (x86_64 && !x32)
        add_range(ranges, &count,
                  (struct range){.start = X32_BIT, .value = SECCOMP_RET_KILL_THREAD});
    return count;
}

/* Emitting. */

enum {
    LOAD = BPF_LD | BPF_W | BPF_ABS,
    NUMBER_AT = 0,
    ARCH_AT = 4,
    ARGS_AT = 16, /* struct seccomp_data: 64-bit each, low half first */
};

static unsigned emit_test(struct seccomp_program *p, const struct oci_seccomp_arg *arg, bool wide,
                          unsigned yes, unsigned no)
{
    uint32_t at = ARGS_AT + arg->index * 8;
    uint64_t value = arg->op == OCI_SECCOMP_MASKED_EQ ? arg->value_two : arg->value;
    uint32_t low = (uint32_t)value, high = (uint32_t)(value >> 32);
    enum oci_seccomp_op op = arg->op;
    bool masked = op == OCI_SECCOMP_MASKED_EQ;
    if (op == OCI_SECCOMP_NE || op == OCI_SECCOMP_LT || op == OCI_SECCOMP_LE) {
        unsigned swap = yes; /* the opposite of EQ, GE, GT */
        yes = no;
        no = swap;
        op = op == OCI_SECCOMP_NE   ? OCI_SECCOMP_EQ
             : op == OCI_SECCOMP_LT ? OCI_SECCOMP_GE
                                    : OCI_SECCOMP_GT;
    }
    uint16_t test = op == OCI_SECCOMP_GE ? BPF_JGE : op == OCI_SECCOMP_GT ? BPF_JGT : BPF_JEQ;
    unsigned label = seccomp_jump(p, test, low, yes, no);
    if (masked)
        label = seccomp_emit(p, BPF_ALU | BPF_AND | BPF_K, (uint32_t)arg->value);
    label = seccomp_emit(p, LOAD, at);
    if (!wide)
        return label;
    /* The high half: equal goes on with the low one, greater decides GT and GE. */
    label = seccomp_jump(p, BPF_JEQ, high, label, no);
    if (test != BPF_JEQ)
        label = seccomp_jump(p, BPF_JGT, high, yes, label);
    if (masked)
        label = seccomp_emit(p, BPF_ALU | BPF_AND | BPF_K, (uint32_t)(arg->value >> 32));
    return seccomp_emit(p, LOAD, at + 4);
}

static unsigned emit_conditions(struct compiler *c, const struct range *range, bool wide)
{
    struct seccomp_program *p = &c->program;
    unsigned otherwise = seccomp_return(p, c->default_value);
    for (size_t i = range->count; i--;) {
        const struct item *item = &range->items[i];
        unsigned yes = seccomp_return(p, item->value);
        if (item->operation) {
            const struct oci_seccomp_arg first = {.value = (uint64_t)item->operation,
                                                  .op = OCI_SECCOMP_EQ};
            otherwise = emit_test(p, &first, wide, yes, otherwise);
            continue;
        }
        unsigned next = yes;
        for (size_t a = item->rule->arg_count; a--;)
            if (item->only < 0 || item->only == (int)a)
                next = emit_test(p, &item->rule->args[a], wide, next, otherwise);
        otherwise = next;
        if (p->count > BPF_MAXINSNS)
            break;
    }
    return otherwise;
}

static unsigned emit_tree(struct compiler *c, const struct range *ranges, size_t count,
                          bool (*wide)(uint32_t))
{
    if (count == 1)
        return ranges->items ? emit_conditions(c, ranges, wide(ranges->start))
                             : seccomp_return(&c->program, ranges->value);
    if (c->program.count > BPF_MAXINSNS)
        return c->program.count;
    size_t half = count / 2;
    unsigned right = emit_tree(c, ranges + half, count - half, wide);
    unsigned left = emit_tree(c, ranges, half, wide);
    return seccomp_jump(&c->program, BPF_JGE, ranges[half].start, right, left);
}

static bool wide_x86_64(uint32_t number)
{
    return number < X32_BIT;
}
static bool wide_always(uint32_t number)
{
    (void)number;
    return true;
}
static bool wide_never(uint32_t number)
{
    (void)number;
    return false;
}

/* The tree of one kind of machine; *@ret is where it begins. */
static int emit_arch(struct compiler *c, unsigned bits, unsigned *ret)
{
    int r = collect(c, bits);
    if (r)
        return r;
    r = sort_items(c);
    if (r)
        return r;
    cleanup_free struct range *ranges = mem_alloc(2 * c->count + 8, sizeof(*ranges));
    if (!ranges)
        return error_set(c->err, -ENOMEM, "no memory");
    size_t count = make_ranges(c, bits, ranges);
    emit_tree(c, ranges, count,
              bits & 1u << SECCOMP_X86_64 ? wide_x86_64
              : bits & 1u << SECCOMP_X86  ? wide_never
                                          : wide_always);
    *ret = seccomp_emit(&c->program, LOAD, NUMBER_AT);
    return 0;
}

static int emit_all(struct compiler *c, unsigned bits)
{
    /* x32 is a part of x86-64's numbers. */
    static const struct {
        unsigned bits, column;
    } groups[] = {
        {1u << SECCOMP_AARCH64, SECCOMP_AARCH64},
        {1u << SECCOMP_X86, SECCOMP_X86},
        {1u << SECCOMP_X86_64 | 1u << SECCOMP_X32, SECCOMP_X86_64},
    };
    unsigned starts[array_size(groups)] = {0};
    int r = 0;
    for (size_t i = 0; !r && i < array_size(groups); i++)
        if (bits & groups[i].bits)
            r = emit_arch(c, bits & groups[i].bits, &starts[i]);
    unsigned otherwise = seccomp_emit_return(&c->program, SECCOMP_RET_KILL_THREAD);
    for (size_t i = 0; !r && i < array_size(groups); i++)
        if (bits & groups[i].bits)
            otherwise = seccomp_jump(&c->program, BPF_JEQ, columns[groups[i].column].audit,
                                     starts[i], otherwise);
    seccomp_emit(&c->program, LOAD, ARCH_AT);
    return r;
}

static int read_flags(const struct oci_seccomp *profile, bool notify, unsigned *ret,
                      struct error *err)
{
    unsigned flags = 0;
    for (size_t i = 0; i < profile->flags.n; i++) {
        size_t k = 0;
        while (k < array_size(filter_flags) && strcmp(profile->flags.v[i], filter_flags[k].name))
            k++;
        if (k == array_size(filter_flags))
            return error_set(err, -EINVAL, "seccomp: unknown flag '%s'", profile->flags.v[i]);
        flags |= filter_flags[k].bit;
    }
    if (notify) {
        /* The kernel refuses both together; the process has one thread when it is filtered. */
        flags &= ~(unsigned)SECCOMP_FILTER_FLAG_TSYNC;
        flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    } else {
        flags &= ~(unsigned)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV; /* only with a listener */
    }
    *ret = flags;
    return 0;
}

int seccomp_compile_for(const struct oci_seccomp *profile, unsigned bits,
                        struct seccomp_filter *ret, struct error *err)
{
    struct compiler c = {.profile = profile, .err = err};
    struct seccomp_filter filter = {0};
    c.program.code = malloc(BPF_MAXINSNS * sizeof(*c.program.code));
    int r = c.program.code ? 0 : error_set(err, -ENOMEM, "no memory");
    if (!r)
        r = return_value(&c, profile->default_action, profile->default_errno_ret, &c.default_value);
    if (!r)
        r = look_up(&c);
    if (!r)
        r = emit_all(&c, bits);
    if (!r && c.program.count > BPF_MAXINSNS)
        r = error_set(err, -E2BIG,
                      "seccomp: the profile is too large: more than the %d instructions that the "
                      "kernel takes; use fewer rules with arguments",
                      BPF_MAXINSNS);
    if (!r)
        r = read_flags(profile, c.notify, &filter.flags, err);
    if (!r && c.notify && !profile->listener_path)
        r = error_set(err, -EINVAL, "seccomp: SCMP_ACT_NOTIFY needs a listenerPath");
    if (!r) {
        filter.count = (unsigned short)c.program.count;
        filter.notify = c.notify;
        filter.code = mem_alloc(filter.count, sizeof(*filter.code));
        if (filter.code)
            memcpy(filter.code, c.program.code + BPF_MAXINSNS - filter.count,
                   filter.count * sizeof(*filter.code));
        else
            r = error_set(err, -ENOMEM, "no memory");
    }
    free(c.items);
    free(c.rows);
    free(c.program.code);
    if (!r)
        *ret = filter;
    return r;
}

int seccomp_compile(const struct oci_seccomp *profile, struct seccomp_filter *ret,
                    struct error *err)
{
    unsigned bits = 1u << NATIVE;
    for (size_t i = 0; i < profile->architectures.n; i++) {
        const char *name = profile->architectures.v[i];
        bool known = false;
        for (int k = 0; k < SECCOMP_COLUMNS; k++)
            if (!strcmp(name, columns[k].name)) {
                known = true;
                bits |= 1u << k & POSSIBLE;
            }
        for (size_t k = 0; !known && k < array_size(other_archs); k++)
            known = !strcmp(name, other_archs[k]);
        if (!known)
            return error_set(err, -EINVAL, "seccomp: unknown architecture '%s'", name);
    }
    return seccomp_compile_for(profile, bits, ret, err);
}

void seccomp_filter_done(struct seccomp_filter *filter)
{
    free(filter->code);
    *filter = (struct seccomp_filter){0};
}

int seccomp_install(const struct seccomp_filter *filter, int *ret_listener)
{
    struct sock_fprog program = {.len = filter->count, .filter = filter->code};
    long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter->flags, &program);
    if (r < 0)
        return -errno;
    *ret_listener = filter->notify ? (int)r : -1;
    return 0;
}

/* The listener. */

static void json_text(struct str *out, const char *text)
{
    str_add_char(out, '"');
    for (; text && *text; text++) {
        unsigned char ch = (unsigned char)*text;
        if (ch == '"' || ch == '\\')
            str_addf(out, "\\%c", ch);
        else if (ch < 32)
            str_addf(out, "\\u%04x", ch);
        else
            str_add_char(out, (char)ch);
    }
    str_add_char(out, '"');
}

static int connect_to(const char *path, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, -ENAMETOOLONG, "seccomp: listenerPath %s is too long for a socket",
                         path);
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int r = error_set_errno(err, -errno, "seccomp: connect to the listener at %s", path);
        close_fd(&fd);
        return r;
    }
    return fd;
}

int seccomp_send_listener(const struct oci_seccomp *profile, int listener, pid_t process_pid,
                          const char *state_json, struct error *err)
{
    cleanup_fd int fd = connect_to(profile->listener_path, err);
    if (fd < 0)
        return fd;
    struct str text = {0};
    str_addf(&text, "{\"ociVersion\":\"1.2.0\",\"fds\":[\"seccompFd\"],\"pid\":%d,\"metadata\":",
             (int)process_pid);
    json_text(&text, profile->listener_metadata);
    str_addf(&text, ",\"state\":%s}", state_json);
    if (text.failed) {
        str_done(&text);
        return error_set(err, -ENOMEM, "no memory");
    }
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    size_t sent = 0;
    int r = 0;
    while (!r && sent < text.len) {
        struct iovec part = {text.data + sent, text.len - sent};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        if (!sent) { /* the descriptor goes with the first byte */
            message.msg_control = &control;
            message.msg_controllen = sizeof(control);
            struct cmsghdr *header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(header), &listener, sizeof(int));
        }
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            r = error_set_errno(err, -errno, "seccomp: send the listener to %s",
                                profile->listener_path);
        sent += n > 0 ? (size_t)n : 0;
    }
    str_done(&text);
    return r;
}
