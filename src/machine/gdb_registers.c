/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processor registers as gdb knows them (appendix G.5.3, i386 features) and Isola's system
 * registers beside them. The number of a register is its place in the description.
 */
#include "base/mem.h"
#include "cpu/x86/access.h"
#include "cpu/x86/flags.h"
#include "cpu/x86/fpu.h"
#include "cpu/x86/segment.h"
#include "machine/gdb_internal.h"

enum kind {
    K_GPR,
    K_RIP,
    K_FLAGS,
    K_SEG,
    K_ST,
    K_FPU,
    K_XMM,
    K_YMMH,
    K_MXCSR,
    K_BASE,
    K_SYSTEM,
};
enum { FPU_CW, FPU_SW, FPU_TAG, FPU_CS, FPU_IP, FPU_DS, FPU_DP, FPU_OP };
enum { SYS_CR0, SYS_CR2, SYS_CR3, SYS_CR4, SYS_CR8, SYS_EFER, SYS_GDT, SYS_IDT, SYS_TR, SYS_LSTAR };
enum { BASE_FS, BASE_GS, BASE_KERNEL_GS };

struct reg {
    const char *name;
    uint8_t kind, n, bits; /* bits 0: as wide as general registers */
    const char *type, *group;
};

#define CODE "code_ptr", NULL
#define DATA "data_ptr", NULL

static const struct reg core64[] = {
    {"rax", K_GPR, X86_RAX, 64, "int64", NULL},
    {"rbx", K_GPR, X86_RBX, 64, "int64", NULL},
    {"rcx", K_GPR, X86_RCX, 64, "int64", NULL},
    {"rdx", K_GPR, X86_RDX, 64, "int64", NULL},
    {"rsi", K_GPR, X86_RSI, 64, "int64", NULL},
    {"rdi", K_GPR, X86_RDI, 64, "int64", NULL},
    {"rbp", K_GPR, X86_RBP, 64, DATA},
    {"rsp", K_GPR, X86_RSP, 64, DATA},
    {"r8", K_GPR, 8, 64, "int64", NULL},
    {"r9", K_GPR, 9, 64, "int64", NULL},
    {"r10", K_GPR, 10, 64, "int64", NULL},
    {"r11", K_GPR, 11, 64, "int64", NULL},
    {"r12", K_GPR, 12, 64, "int64", NULL},
    {"r13", K_GPR, 13, 64, "int64", NULL},
    {"r14", K_GPR, 14, 64, "int64", NULL},
    {"r15", K_GPR, 15, 64, "int64", NULL},
    {"rip", K_RIP, 0, 64, CODE},
    {0},
};
static const struct reg core32[] = {
    {"eax", K_GPR, X86_RAX, 32, "int32", NULL},
    {"ecx", K_GPR, X86_RCX, 32, "int32", NULL},
    {"edx", K_GPR, X86_RDX, 32, "int32", NULL},
    {"ebx", K_GPR, X86_RBX, 32, "int32", NULL},
    {"esp", K_GPR, X86_RSP, 32, DATA},
    {"ebp", K_GPR, X86_RBP, 32, DATA},
    {"esi", K_GPR, X86_RSI, 32, "int32", NULL},
    {"edi", K_GPR, X86_RDI, 32, "int32", NULL},
    {"eip", K_RIP, 0, 32, CODE},
    {0},
};
static const struct reg core_rest[] = {
    {"eflags", K_FLAGS, 0, 32, "i386_eflags", NULL}, {"cs", K_SEG, X86_CS, 32, "int32", NULL},
    {"ss", K_SEG, X86_SS, 32, "int32", NULL},        {"ds", K_SEG, X86_DS, 32, "int32", NULL},
    {"es", K_SEG, X86_ES, 32, "int32", NULL},        {"fs", K_SEG, X86_FS, 32, "int32", NULL},
    {"gs", K_SEG, X86_GS, 32, "int32", NULL},        {"st0", K_ST, 0, 80, "i387_ext", NULL},
    {"st1", K_ST, 1, 80, "i387_ext", NULL},          {"st2", K_ST, 2, 80, "i387_ext", NULL},
    {"st3", K_ST, 3, 80, "i387_ext", NULL},          {"st4", K_ST, 4, 80, "i387_ext", NULL},
    {"st5", K_ST, 5, 80, "i387_ext", NULL},          {"st6", K_ST, 6, 80, "i387_ext", NULL},
    {"st7", K_ST, 7, 80, "i387_ext", NULL},          {"fctrl", K_FPU, FPU_CW, 32, "int", "float"},
    {"fstat", K_FPU, FPU_SW, 32, "int", "float"},    {"ftag", K_FPU, FPU_TAG, 32, "int", "float"},
    {"fiseg", K_FPU, FPU_CS, 32, "int", "float"},    {"fioff", K_FPU, FPU_IP, 32, "int", "float"},
    {"foseg", K_FPU, FPU_DS, 32, "int", "float"},    {"fooff", K_FPU, FPU_DP, 32, "int", "float"},
    {"fop", K_FPU, FPU_OP, 32, "int", "float"},      {0},
};
#define XMM(i)                                                                                     \
    {                                                                                              \
        "xmm" #i, K_XMM, i, 128, "vec128", "vector"                                                \
    }
static const struct reg sse32[] = {XMM(0), XMM(1), XMM(2), XMM(3), XMM(4),
                                   XMM(5), XMM(6), XMM(7), {0}};
static const struct reg sse64[] = {XMM(8),  XMM(9),  XMM(10), XMM(11), XMM(12),
                                   XMM(13), XMM(14), XMM(15), {0}};
static const struct reg sse_rest[] = {{"mxcsr", K_MXCSR, 0, 32, "i386_mxcsr", "vector"}, {0}};
#define YMMH(i)                                                                                    \
    {                                                                                              \
        "ymm" #i "h", K_YMMH, i, 128, "uint128", NULL                                              \
    }
static const struct reg avx32[] = {YMMH(0), YMMH(1), YMMH(2), YMMH(3), YMMH(4),
                                   YMMH(5), YMMH(6), YMMH(7), {0}};
static const struct reg avx64[] = {YMMH(8),  YMMH(9),  YMMH(10), YMMH(11), YMMH(12),
                                   YMMH(13), YMMH(14), YMMH(15), {0}};
static const struct reg bases[] = {
    {"fs_base", K_BASE, BASE_FS, 0, "int", NULL},
    {"gs_base", K_BASE, BASE_GS, 0, "int", NULL},
    {0},
};
static const struct reg systems[] = {
    {"k_gs_base", K_BASE, BASE_KERNEL_GS, 64, "int64", "system"},
    {"cr0", K_SYSTEM, SYS_CR0, 64, "cr0", "system"},
    {"cr2", K_SYSTEM, SYS_CR2, 64, "int64", "system"},
    {"cr3", K_SYSTEM, SYS_CR3, 64, "int64", "system"},
    {"cr4", K_SYSTEM, SYS_CR4, 64, "cr4", "system"},
    {"cr8", K_SYSTEM, SYS_CR8, 64, "int64", "system"},
    {"efer", K_SYSTEM, SYS_EFER, 64, "efer", "system"},
    {"gdt_base", K_SYSTEM, SYS_GDT, 64, "int64", "system"},
    {"idt_base", K_SYSTEM, SYS_IDT, 64, "int64", "system"},
    {"tr_base", K_SYSTEM, SYS_TR, 64, "int64", "system"},
    {"lstar", K_SYSTEM, SYS_LSTAR, 64, "int64", "system"},
    {0},
};

unsigned gdb_shape(const struct x86_cpu *c, bool wide)
{
    bool avx = x86_model_has(c->vm->model, X86_FEATURE(X86_W_1_ECX, 28));

    return (wide ? GDB_WIDE : 0u) | (avx ? GDB_AVX : 0u);
}

/* ---- the description ---- */

struct bit {
    const char *name;
    uint8_t at;
};

static void add_flags(struct str *out, const char *id, unsigned size, const struct bit *bits)
{
    str_addf(out, "<flags id=\"%s\" size=\"%u\">", id, size);
    for (; bits->name; bits++)
        str_addf(out, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", bits->name, bits->at,
                 bits->at);
    str_add(out, "</flags>");
}

static void add_core_types(struct str *out)
{
    static const struct bit eflags[] = {
        {"CF", 0},  {"", 1},    {"PF", 2},   {"AF", 4},   {"ZF", 6},  {"SF", 7},
        {"TF", 8},  {"IF", 9},  {"DF", 10},  {"OF", 11},  {"NT", 14}, {"RF", 16},
        {"VM", 17}, {"AC", 18}, {"VIF", 19}, {"VIP", 20}, {"ID", 21}, {0}};

    add_flags(out, "i386_eflags", 4, eflags);
}

static void add_sse_types(struct str *out)
{
    static const struct bit mxcsr[] = {{"IE", 0},  {"DE", 1},  {"ZE", 2},  {"OE", 3},  {"UE", 4},
                                       {"PE", 5},  {"DAZ", 6}, {"IM", 7},  {"DM", 8},  {"ZM", 9},
                                       {"OM", 10}, {"UM", 11}, {"PM", 12}, {"FZ", 15}, {0}};

    str_add(out,
            "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
            "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
            "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
            "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
            "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
            "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
            "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
            "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
            "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
            "<field name=\"v2_int64\" type=\"v2i64\"/>"
            "<field name=\"uint128\" type=\"uint128\"/></union>");
    add_flags(out, "i386_mxcsr", 4, mxcsr);
}

static void add_system_types(struct str *out)
{
    static const struct bit cr0[] = {{"PE", 0},  {"MP", 1},  {"EM", 2},  {"TS", 3},
                                     {"ET", 4},  {"NE", 5},  {"WP", 16}, {"AM", 18},
                                     {"NW", 29}, {"CD", 30}, {"PG", 31}, {0}};
    static const struct bit cr4[] = {{"VME", 0},
                                     {"PVI", 1},
                                     {"TSD", 2},
                                     {"DE", 3},
                                     {"PSE", 4},
                                     {"PAE", 5},
                                     {"MCE", 6},
                                     {"PGE", 7},
                                     {"PCE", 8},
                                     {"OSFXSR", 9},
                                     {"OSXMMEXCPT", 10},
                                     {"UMIP", 11},
                                     {"FSGSBASE", 16},
                                     {"PCIDE", 17},
                                     {"OSXSAVE", 18},
                                     {"SMEP", 20},
                                     {"SMAP", 21},
                                     {"PKE", 22},
                                     {0}};
    static const struct bit efer[] = {{"SCE", 0}, {"LME", 8}, {"LMA", 10}, {"NXE", 11}, {0}};

    add_flags(out, "cr0", 8, cr0);
    add_flags(out, "cr4", 8, cr4);
    add_flags(out, "efer", 8, efer);
}

/* The registers in order: lists of a feature follow its first. */
struct list {
    const char *feature; /* NULL: goes on with the one before */
    void (*types)(struct str *out);
    const struct reg *regs;
    unsigned needs; /* of the shape */
};
#define CORE "org.gnu.gdb.i386.core"
#define SSE  "org.gnu.gdb.i386.sse"
#define AVX  "org.gnu.gdb.i386.avx"
static const struct list lists64[] = {
    {CORE, add_core_types, core64, 0},
    {NULL, NULL, core_rest, 0},
    {SSE, add_sse_types, sse32, 0},
    {NULL, NULL, sse64, 0},
    {NULL, NULL, sse_rest, 0},
    {AVX, NULL, avx32, GDB_AVX},
    {NULL, NULL, avx64, GDB_AVX},
    {"org.gnu.gdb.i386.segments", NULL, bases, 0},
    {"org.isola.x86.system", add_system_types, systems, 0},
    {0},
};
static const struct list lists32[] = {
    {CORE, add_core_types, core32, 0},
    {NULL, NULL, core_rest, 0},
    {SSE, add_sse_types, sse32, 0},
    {NULL, NULL, sse_rest, 0},
    {AVX, NULL, avx32, GDB_AVX},
    /* gdb knows the feature of segment bases for x86-64 alone. */
    {"org.isola.x86.system", add_system_types, bases, 0},
    {NULL, NULL, systems, 0},
    {0},
};

static unsigned bits_of(const struct reg *r, unsigned shape)
{
    return r->bits ? r->bits : shape & GDB_WIDE ? 64 : 32;
}

/* The first list that @shape has from @l on. */
static const struct list *next_list(const struct list *l, unsigned shape)
{
    while (l->regs && (l->needs & ~shape))
        l++;
    return l;
}

static const struct list *first_list(unsigned shape)
{
    return next_list(shape & GDB_WIDE ? lists64 : lists32, shape);
}

void gdb_describe(struct str *out, unsigned shape)
{
    bool inside = false;

    str_addf(out,
             "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
             "<architecture>%s</architecture>",
             shape & GDB_WIDE ? "i386:x86-64" : "i386");
    for (const struct list *l = first_list(shape); l->regs; l = next_list(l + 1, shape)) {
        if (l->feature) {
            str_addf(out, "%s<feature name=\"%s\">", inside ? "</feature>" : "", l->feature);
            inside = true;
        }
        if (l->types)
            l->types(out);
        for (const struct reg *r = l->regs; r->name; r++) {
            str_addf(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"", r->name, bits_of(r, shape),
                     r->type);
            if (r->group)
                str_addf(out, " group=\"%s\"", r->group);
            str_add(out, "/>");
        }
    }
    str_add(out, "</feature></target>");
}

static const struct reg *find(unsigned shape, unsigned n)
{
    for (const struct list *l = first_list(shape); l->regs; l = next_list(l + 1, shape))
        for (const struct reg *r = l->regs; r->name; r++)
            if (!n--)
                return r;
    return NULL;
}

/* ---- values ---- */

static uint64_t fpu_get(const struct x86_cpu *c, unsigned n)
{
    switch (n) {
    case FPU_CW:
        return c->fpu.cw;
    case FPU_SW:
        return x86_fpu_sw(&c->fpu);
    case FPU_TAG:
        return x86_fpu_full_tag(&c->fpu);
    case FPU_CS:
        return c->fpu.fcs;
    case FPU_IP:
        return (uint32_t)c->fpu.fip;
    case FPU_DS:
        return c->fpu.fds;
    case FPU_DP:
        return (uint32_t)c->fpu.fdp;
    default:
        return c->fpu.fop;
    }
}

static uint64_t system_get(struct x86_cpu *c, unsigned n)
{
    const struct x86_host *h = &c->vm->host;

    switch (n) {
    case SYS_CR0:
        return c->cr0;
    case SYS_CR2:
        return c->cr2;
    case SYS_CR3:
        return c->cr3;
    case SYS_CR4:
        return c->cr4;
    case SYS_CR8:
        return h->get_cr8 ? h->get_cr8(h->opaque, c->index) : 0;
    case SYS_EFER:
        return c->efer;
    case SYS_GDT:
        return c->gdt.base;
    case SYS_IDT:
        return c->idt.base;
    case SYS_TR:
        return c->tr.base;
    default:
        return c->lstar;
    }
}

static uint64_t *base_of(struct x86_cpu *c, unsigned n)
{
    return n == BASE_FS   ? &c->seg[X86_FS].base
           : n == BASE_GS ? &c->seg[X86_GS].base
                          : &c->kernel_gs_base;
}

bool gdb_register_get(struct x86_cpu *c, unsigned shape, unsigned n, uint8_t ret[16],
                      unsigned *ret_size)
{
    const struct reg *r = find(shape, n);
    const struct x86_f80 *st;
    uint64_t value = 0;

    if (!r)
        return false;
    memset(ret, 0, 16);
    *ret_size = bits_of(r, shape) / 8;
    switch ((enum kind)r->kind) {
    case K_GPR:
        value = c->gpr[r->n];
        break;
    case K_RIP:
        value = c->rip;
        break;
    case K_FLAGS:
        value = x86_flags_get(c);
        break;
    case K_SEG:
        value = c->seg[r->n].sel;
        break;
    case K_ST:
        st = &c->fpu.st[(c->fpu.top + r->n) & 7];
        store_le64(ret, st->frac);
        store_le16(ret + 8, st->se);
        return true;
    case K_FPU:
        value = fpu_get(c, r->n);
        break;
    case K_XMM:
        memcpy(ret, &c->xmm[r->n], 16);
        return true;
    case K_YMMH:
        memcpy(ret, &c->ymmh[r->n], 16);
        return true;
    case K_MXCSR:
        value = c->mxcsr;
        break;
    case K_BASE:
        value = *base_of(c, r->n);
        break;
    case K_SYSTEM:
        value = system_get(c, r->n);
        break;
    }
    store_le64(ret, value);
    return true;
}

/* ---- changes ---- */

static void fpu_set(struct x86_cpu *c, unsigned n, uint64_t value)
{
    switch (n) {
    case FPU_CW:
        x86_fpu_set_cw(&c->fpu, (uint16_t)value);
        break;
    case FPU_SW:
        x86_fpu_set_sw(&c->fpu, (uint16_t)value);
        break;
    case FPU_TAG:
        c->fpu.tag = x86_fpu_short_tag((uint16_t)value);
        break;
    case FPU_CS:
        c->fpu.fcs = (uint16_t)value;
        break;
    case FPU_IP:
        c->fpu.fip = value;
        break;
    case FPU_DS:
        c->fpu.fds = (uint16_t)value;
        break;
    case FPU_DP:
        c->fpu.fdp = value;
        break;
    default:
        c->fpu.fop = (uint16_t)(value & 0x7ff);
        break;
    }
    x86_fpu_update_es(c);
}

static bool canonical(uint64_t value)
{
    return (uint64_t)((int64_t)(value << 16) >> 16) == value;
}

static bool base_set(struct x86_cpu *c, unsigned n, uint64_t value)
{
    if (!canonical(value))
        return false;
    *base_of(c, n) = value;
    if (n != BASE_KERNEL_GS)
        x86_seg_update(c, n == BASE_FS ? X86_FS : X86_GS);
    return true;
}

/* A value of 32 bits, or of 64 that fit, replaces the part of a register that gdb knows. */
static bool change(struct x86_cpu *c, const struct reg *r, bool wide, uint64_t value)
{
    const uint64_t flags =
        X86_ARITH | X86_TF | X86_IF | X86_DF | X86_IOPL | X86_NT | X86_RF | X86_AC | X86_ID;

    switch ((enum kind)r->kind) {
    case K_GPR:
        c->gpr[r->n] = wide ? value : (c->gpr[r->n] & ~(uint64_t)UINT32_MAX) | value;
        return true;
    case K_RIP:
        if (c->mode == X86_MODE_64 ? !canonical(value) : value > UINT32_MAX)
            return false;
        c->rip = value;
        return true;
    case K_FLAGS:
        x86_flags_set(c, value, flags);
        x86_mode_update(c);
        return true;
    case K_SEG:
        if (c->mode != X86_MODE_REAL || value > UINT16_MAX)
            return false;
        x86_seg_set_real(c, r->n, (uint16_t)value);
        return true;
    case K_FPU:
        fpu_set(c, r->n, value);
        return true;
    case K_MXCSR:
        if (value & ~(uint64_t)x86_mxcsr_mask(c))
            return false;
        c->mxcsr = (uint32_t)value;
        return true;
    case K_BASE:
        return base_set(c, r->n, value);
    case K_ST:
    case K_XMM:
    case K_YMMH:
    case K_SYSTEM:
        break;
    }
    return false;
}

bool gdb_register_set(struct x86_cpu *c, unsigned shape, unsigned n, const uint8_t *value,
                      unsigned size)
{
    const struct reg *r = find(shape, n);
    uint8_t now[16], want[8] = {0};
    struct x86_f80 *st;
    unsigned have;

    if (!r || !gdb_register_get(c, shape, n, now, &have) || size != have)
        return false;
    if (memcmp(now, value, size) == 0)
        return true; /* gdb writes all of them back to change one */
    if (r->kind == K_ST) {
        st = &c->fpu.st[(c->fpu.top + r->n) & 7];
        st->frac = load_le64(value);
        st->se = load_le16(value + 8);
        return true;
    }
    if (r->kind == K_XMM || r->kind == K_YMMH) {
        memcpy(r->kind == K_XMM ? &c->xmm[r->n] : &c->ymmh[r->n], value, 16);
        return true;
    }
    memcpy(want, value, size);
    return change(c, r, shape & GDB_WIDE, load_le64(want));
}
