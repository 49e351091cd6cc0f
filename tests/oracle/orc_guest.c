/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest: a page-table tree that maps the tested pages where the host has them, and a small
 * "kernel" at KERNEL (supervisor only): descriptor tables as Linux lays them out, a stack for
 * exceptions, and one HLT for each vector.
 */
#include "orc_guest.h"

#include <cpuid.h>
#include <string.h>

#include "cpu/jit/jit.h"
#include "cpu/x86/access.h"
#include "cpu/x86/flags.h"
#include "cpu/x86/interp.h"
#include "cpu/x86/model.h"
#include "cpu/x86/model_internal.h"

#define KERNEL 0xffff800000000000u

/* Physical pages. */
enum {
    P_PML4 = 1,
    P_PDPT_LOW,
    P_PD_LOW,
    P_PT_CODE,
    P_PT_DATA,
    P_PDPT_HIGH,
    P_PD_HIGH,
    P_PT_HIGH,
    P_GDT,
    P_IDT,
    P_LDT,
    P_TSS,
    P_STACK,
    P_HANDLERS, /* two pages: 256 vectors * 16 bytes */
    P_CODE = P_HANDLERS + 2,
    P_DATA = P_CODE + 2,
    P_STUB = P_DATA + 3,
    P_END = P_STUB + 1
};
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 32, PTE_D = 64 };
#define PTE_NX (UINT64_C(1) << 63)

enum { RUNS_TO_FORGET = 4096 };
enum { SELECTORS = 128 }; /* of both tables */

struct orc_guest {
    struct gmem *ram;
    struct space *space;
    struct ports *ports;
    struct x86_vm *vm;
    struct x86_cpu *cpu;
    struct x86_model model;
    uint64_t gdt[SELECTORS / 8];
    struct x86_seg segment[SELECTORS];
    unsigned runs;
    bool jit;
};

static void no_lock(void *opaque)
{
}

static int no_interrupt(void *opaque, unsigned cpu)
{
    return -1;
}

static uint64_t no_time(void *opaque)
{
    return 0;
}

static void no_random(void *opaque, void *bytes, size_t n)
{
    memset(bytes, 0, n);
}

static uint8_t no_cr8(void *opaque, unsigned cpu)
{
    return 0;
}

static void write_phys(struct orc_guest *g, uint64_t at, const void *bytes, size_t n)
{
    gmem_write(g->ram, at, bytes, n);
}

static void write64(struct orc_guest *g, unsigned page, unsigned index, uint64_t value)
{
    write_phys(g, (uint64_t)page * ORC_PAGE + 8ull * index, &value, 8);
}

static void map(struct orc_guest *g, unsigned table, uint64_t linear, unsigned page, uint64_t flags)
{
    write64(g, table, linear >> 12 & 511, (uint64_t)page * ORC_PAGE | PTE_P | PTE_A | flags);
}

static void make_tables(struct orc_guest *g)
{
    uint64_t all = PTE_P | PTE_W | PTE_U | PTE_A, top = PTE_P | PTE_W | PTE_A;
    write64(g, P_PML4, 0, P_PDPT_LOW * ORC_PAGE | all);
    write64(g, P_PDPT_LOW, 0, P_PD_LOW * ORC_PAGE | all);
    write64(g, P_PD_LOW, ORC_CODE >> 21, P_PT_CODE * ORC_PAGE | all);
    write64(g, P_PD_LOW, ORC_DATA >> 21, P_PT_DATA * ORC_PAGE | all);
    for (unsigned i = 0; i < 2; i++)
        map(g, P_PT_CODE, ORC_CODE + i * ORC_PAGE, P_CODE + i, PTE_U);
    for (unsigned i = 0; i < 2; i++)
        map(g, P_PT_DATA, ORC_DATA + i * ORC_PAGE, P_DATA + i, PTE_U | PTE_W | PTE_D | PTE_NX);
    map(g, P_PT_CODE, ORC_STUB, P_STUB, PTE_U | PTE_NX);
    map(g, P_PT_DATA, ORC_DATA + 2 * ORC_PAGE, P_DATA + 2, PTE_U | PTE_NX);
    write64(g, P_PML4, KERNEL >> 39 & 511, P_PDPT_HIGH * ORC_PAGE | top);
    write64(g, P_PDPT_HIGH, 0, P_PD_HIGH * ORC_PAGE | top);
    write64(g, P_PD_HIGH, 0, P_PT_HIGH * ORC_PAGE | top);
    for (unsigned i = P_GDT; i < P_CODE; i++)
        map(g, P_PT_HIGH, KERNEL + i * ORC_PAGE, i, PTE_W | PTE_D);
}

static uint64_t descriptor(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
           (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flags << 52 |
           (uint64_t)(base >> 24) << 56;
}

static uint64_t ldt_descriptor(unsigned i)
{
    const struct orc_ldt *d = &orc_ldt[i];
    return descriptor(d->base, d->limit, d->type | 0x71u | (d->absent ? 0 : 0x80u),
                      (d->big ? 4u : 0) | (d->pages ? 8u : 0));
}

static void make_descriptors(struct orc_guest *g)
{
    /* arch/x86/kernel/cpu/common.c, gdt_page; system descriptors are in use, so busy. */
    g->gdt[1] = descriptor(0, 0xfffff, 0x9b, 0xc);
    g->gdt[2] = descriptor(0, 0xfffff, 0x9b, 0xa);
    g->gdt[3] = descriptor(0, 0xfffff, 0x93, 0xc);
    g->gdt[4] = descriptor(0, 0xfffff, 0xfb, 0xc);
    g->gdt[5] = descriptor(0, 0xfffff, 0xf3, 0xc);
    g->gdt[6] = descriptor(0, 0xfffff, 0xfb, 0xa);
    uint64_t tss = KERNEL + P_TSS * ORC_PAGE, ldt = KERNEL + P_LDT * ORC_PAGE;
    g->gdt[8] = descriptor((uint32_t)tss, 0x67, 0x8b, 0);
    g->gdt[9] = tss >> 32;
    g->gdt[10] = descriptor((uint32_t)ldt, ORC_LDT_N * 8 - 1, 0x82, 0);
    g->gdt[11] = ldt >> 32;
    write_phys(g, P_GDT * ORC_PAGE, g->gdt, sizeof(g->gdt));
    for (unsigned i = 0; i < ORC_LDT_N; i++)
        write64(g, P_LDT, i, ldt_descriptor(i));
    for (unsigned v = 0; v < 256; v++) {
        uint64_t to = KERNEL + P_HANDLERS * ORC_PAGE + 16 * v;
        unsigned dpl = v == 3 || v == 4 ? 0xee : 0x8e;
        write64(g, P_IDT, 2 * v,
                (to & 0xffff) | 0x10u << 16 | (uint64_t)dpl << 40 | (to >> 16 & 0xffff) << 48);
        write64(g, P_IDT, 2 * v + 1, to >> 32);
        write_phys(g, P_HANDLERS * ORC_PAGE + 16 * v, "\xf4", 1);
    }
    uint64_t rsp0 = KERNEL + P_STACK * ORC_PAGE + ORC_PAGE;
    write_phys(g, P_TSS * ORC_PAGE + 4, &rsp0, 8);
    write_phys(g, P_TSS * ORC_PAGE + 102, "\x68\0", 2); /* no I/O bitmap */
}

static void read_descriptor(struct x86_seg *s, uint16_t sel, uint64_t d)
{
    s->sel = sel;
    s->attr = (uint16_t)(d >> 40 & 0xf0ff);
    s->limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));
    if (s->attr & X86_SEG_G)
        s->limit = s->limit << 12 | 0xfff;
    s->base = (d >> 16 & 0xffffff) | (d >> 56) << 24;
    s->null = sel <= 3;
}

/* The register contents that stand for each selector, so that loading them is one copy. */
static void make_segments(struct orc_guest *g)
{
    for (unsigned sel = 0; sel < SELECTORS; sel++) {
        uint64_t d = sel <= 3  ? 0
                     : sel & 4 ? (sel >> 3 < ORC_LDT_N ? ldt_descriptor(sel >> 3) : 0)
                               : g->gdt[sel >> 3];
        read_descriptor(&g->segment[sel], (uint16_t)sel, d);
    }
}

static void set_segment(struct orc_guest *g, struct x86_seg *s, uint16_t sel)
{
    *s = g->segment[sel & (SELECTORS - 1)];
}

static void make_cpu(struct orc_guest *g)
{
    struct x86_cpu *c = g->cpu;
    c->cr0 =
        X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_PG;
    c->cr3 = P_PML4 * ORC_PAGE;
    c->cr4 = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_FSGSBASE |
             X86_CR4_OSXSAVE | X86_CR4_DE | X86_CR4_PSE;
    c->efer = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
    c->xcr0 = x86_model_xcr0(&g->model);
    c->gdt = (struct x86_dtable){KERNEL + P_GDT * ORC_PAGE, 127};
    c->idt = (struct x86_dtable){KERNEL + P_IDT * ORC_PAGE, 4095};
    set_segment(g, &c->tr, 0x40);
    c->tr.base = KERNEL + P_TSS * ORC_PAGE;
    set_segment(g, &c->ldt, 0x50);
    c->ldt.base = KERNEL + P_LDT * ORC_PAGE;
    c->dr[6] = 0xffff0ff0;
    c->dr[7] = 0x400;
}

/*
 * The default model without the instructions that the host lacks: their rows are left out, and
 * counted.
 */
static const struct x86_model *full_model(struct x86_model *ret)
{
    enum { FMA = 1 << 12, MOVBE = 1 << 22, AVX = 1 << 28, F16C = 1 << 29 };
    enum { BMI1 = 1 << 3, AVX2 = 1 << 5, BMI2 = 1 << 8, ADX = 1 << 19, SHA = 1 << 29 };
    enum { LZCNT = 1 << 5, XSAVEC = 1 << 1 };
    unsigned a, b, c, d;
    *ret = *x86_model_find(NULL);
    a = b = c = d = 0;
    __get_cpuid(1, &a, &b, &c, &d);
    ret->words[X86_W_1_ECX] &= c | ~(unsigned)(FMA | MOVBE | AVX | F16C);
    a = b = c = d = 0;
    __get_cpuid_count(7, 0, &a, &b, &c, &d);
    ret->words[X86_W_7_EBX] &= b | ~(unsigned)(BMI1 | AVX2 | BMI2 | ADX | SHA);
    a = b = c = d = 0;
    __get_cpuid(0x80000001, &a, &b, &c, &d);
    ret->words[X86_W_81_ECX] &= c | ~(unsigned)LZCNT;
    a = b = c = d = 0;
    __get_cpuid_count(0xd, 1, &a, &b, &c, &d);
    ret->words[X86_W_D1_EAX] &= a | ~(unsigned)XSAVEC;
    return ret;
}

struct orc_guest *orc_guest_new(struct error *err)
{
    static const struct x86_host host = {.lock = no_lock,
                                         .unlock = no_lock,
                                         .intr_ack = no_interrupt,
                                         .tsc = no_time,
                                         .random = no_random,
                                         .get_cr8 = no_cr8};
    struct orc_guest *g = mem_new(struct orc_guest);
    if (!g) {
        error_set(err, -1, "no memory");
        return NULL;
    }
    g->ram = gmem_new(P_END * ORC_PAGE, err);
    g->space = g->ram ? space_new(g->ram, err) : NULL;
    g->ports = g->space ? ports_new(err) : NULL;
    if (!g->ports || !space_map_ram(g->space, "ram", 0, P_END * ORC_PAGE, 0, 0, err))
        goto fail;
    make_tables(g);
    make_descriptors(g);
    make_segments(g);
    g->vm = x86_vm_new(g->space, g->ports, &host, full_model(&g->model), 1, 1000000, err);
    if (!g->vm)
        goto fail;
    g->cpu = g->vm->cpus[0];
    make_cpu(g);
    uint8_t cc[ORC_CODE_BYTES];
    memset(cc, 0xcc, sizeof(cc));
    orc_guest_code(g, 0, cc, sizeof(cc));
    return g;
fail:
    orc_guest_free(g);
    return NULL;
}

void orc_guest_free(struct orc_guest *g)
{
    if (!g)
        return;
    if (g->vm)
        x86_jit_destroy(g->vm);
    x86_vm_free(g->vm);
    ports_free(g->ports);
    space_free(g->space);
    gmem_free(g->ram);
    free(g);
}

int orc_guest_translate(struct orc_guest *g, struct error *err)
{
    int r = x86_jit_probe(err);

    if (r == 0)
        r = x86_jit_create(g->vm, err);
    g->jit = r == 0;
    return r;
}

static enum x86_exit run_engine(struct orc_guest *g, uint64_t budget)
{
    return g->jit ? x86_jit_run(g->cpu, budget) : x86_interp_run(g->cpu, budget);
}

struct x86_cpu *orc_guest_cpu(struct orc_guest *g)
{
    return g->cpu;
}

void orc_guest_code(struct orc_guest *g, uint32_t offset, const uint8_t *bytes, unsigned len)
{
    gmem_write(g->ram, P_CODE * ORC_PAGE + offset, bytes, len);
}

void orc_guest_stub(struct orc_guest *g, const uint8_t *page)
{
    write_phys(g, P_STUB * ORC_PAGE, page, ORC_PAGE);
}

void orc_guest_cpu_node(struct orc_guest *g, uint32_t limit)
{
    g->gdt[15] = descriptor(0, limit, 0xf5, 4);
    write64(g, P_GDT, 15, g->gdt[15]);
}

uint8_t *orc_guest_data(struct orc_guest *g)
{
    uint8_t *data = gmem_write_page(g->ram, P_DATA);
    for (unsigned page = 1; page < ORC_DATA_BYTES / ORC_PAGE; page++)
        if (gmem_write_page(g->ram, P_DATA + page) != data + page * ORC_PAGE)
            return NULL;
    return data;
}

static void load_fx(struct x86_cpu *c, const uint8_t *fx)
{
    struct x86_fpu *f = &c->fpu;
    f->cw = load_le16(fx);
    f->sw = load_le16(fx + 2) & ~0x3800;
    f->top = load_le16(fx + 2) >> 11 & 7;
    f->tag = fx[4];
    f->fop = load_le16(fx + 6);
    f->fip = load_le64(fx + 8);
    f->fdp = load_le64(fx + 16);
    f->fcs = f->fds = 0;
    c->mxcsr = load_le32(fx + 24);
    for (unsigned i = 0; i < 8; i++) {
        f->st[(f->top + i) & 7].frac = load_le64(fx + 32 + 16 * i);
        f->st[(f->top + i) & 7].se = load_le16(fx + 40 + 16 * i);
    }
    memcpy(c->xmm, fx + 160, 256);
}

static void save_fx(const struct x86_cpu *c, uint8_t *fx)
{
    const struct x86_fpu *f = &c->fpu;
    memset(fx, 0, 512);
    store_le16(fx, f->cw);
    store_le16(fx + 2, (uint16_t)(f->sw | f->top << 11));
    fx[4] = f->tag;
    store_le16(fx + 6, f->fop);
    store_le64(fx + 8, f->fip);
    store_le64(fx + 16, f->fdp);
    store_le32(fx + 24, c->mxcsr);
    store_le32(fx + 28, 0xffff);
    for (unsigned i = 0; i < 8; i++) {
        store_le64(fx + 32 + 16 * i, f->st[(f->top + i) & 7].frac);
        store_le16(fx + 40 + 16 * i, f->st[(f->top + i) & 7].se);
    }
    memcpy(fx + 160, c->xmm, 256);
}

static void load_state(struct orc_guest *g, const struct orc_state *in)
{
    struct x86_cpu *c = g->cpu;
    memcpy(c->gpr, in->gpr, sizeof(c->gpr));
    c->rip = in->rip;
    c->cpl = 3;
    c->rflags = 2;
    x86_flags_set(c, in->rflags, ~UINT64_C(0));
    for (unsigned s = 0; s < X86_SEGS; s++)
        set_segment(g, &c->seg[s], in->sel[s]);
    if (in->sel[ORC_FS] <= 3)
        c->seg[X86_FS].base = in->fs_base;
    if (in->sel[ORC_GS] <= 3)
        c->seg[X86_GS].base = in->gs_base;
    load_fx(c, in->fx);
    memcpy(c->ymmh, in->ymmh, sizeof(c->ymmh));
    c->activity = X86_ACTIVE;
    c->shadow = 0;
    c->fault.valid = false;
    c->cr2 = 0;
    x86_mode_update(c);
    for (unsigned s = 0; s < X86_SEGS; s++)
        x86_seg_update(c, s);
}

/* The frame that the exception pushed on the kernel's stack. */
static void read_frame(struct orc_guest *g, struct orc_state *out)
{
    struct x86_cpu *c = g->cpu;
    uint64_t frame[6] = {0}, top = KERNEL + P_STACK * ORC_PAGE + ORC_PAGE;
    unsigned n = (unsigned)(top - c->gpr[X86_RSP]) / 8;
    if (n != 5 && n != 6) {
        out->vector = ORC_STOPPED;
        return;
    }
    gmem_read(g->ram, (P_STACK + 1) * ORC_PAGE - 8 * n, frame, 8 * n);
    const uint64_t *f = frame + (n - 5);
    out->err = n == 6 ? (uint32_t)frame[0] : 0;
    out->rip = f[0];
    out->sel[ORC_CS] = (uint16_t)f[1];
    out->rflags = f[2];
    out->gpr[4] = f[3];
    out->sel[ORC_SS] = (uint16_t)f[4];
}

/*
 * Blocks at all the places that branches went to make each write to the page dearer: they are
 * dropped now and then. Without any block a page would lose its mark as code, and get it back, with
 * each case: an INT3 in each page stays.
 */
static void forget_blocks(struct orc_guest *g)
{
    static const struct orc_state in = {
        .rflags = 2,
        .sel = {ORC_DS, ORC_CS64, ORC_DS, ORC_DS},
    };
    x86_interp_release(g->vm);
    x86_jit_forget(g->vm);
    for (unsigned page = 0; page < ORC_CODE_BYTES / ORC_PAGE; page++) {
        load_state(g, &in);
        g->cpu->rip = ORC_CODE + page * ORC_PAGE + 0x20;
        run_engine(g, 100);
    }
}

void orc_guest_run(struct orc_guest *g, const struct orc_state *in, struct orc_state *out)
{
    struct x86_cpu *c = g->cpu;
    if (g->runs++ % RUNS_TO_FORGET == 0)
        forget_blocks(g);
    load_state(g, in);
    enum x86_exit why = run_engine(g, 20000);
    memset(out, 0, offsetof(struct orc_state, fx));
    memcpy(out->gpr, c->gpr, sizeof(out->gpr));
    for (unsigned s = 0; s < X86_SEGS; s++)
        out->sel[s] = c->seg[s].sel;
    out->fs_base = c->seg[X86_FS].base;
    out->gs_base = c->seg[X86_GS].base;
    save_fx(c, out->fx);
    memcpy(out->ymmh, c->ymmh, sizeof(out->ymmh));
    uint64_t handlers = KERNEL + P_HANDLERS * ORC_PAGE;
    if (why != X86_EXIT_HALT || c->rip < handlers || c->rip >= handlers + 4096) {
        out->rip = c->rip;
        out->rflags = x86_flags_get(c);
        out->vector = why == X86_EXIT_BUDGET ? ORC_HANG : ORC_STOPPED;
        return;
    }
    out->vector = (int)(c->rip - handlers) / 16;
    out->cr2 = out->vector == X86_PFV ? c->cr2 : 0;
    read_frame(g, out);
    /* Arrived at the stub: only an instruction fetch faults there. */
    uint16_t cs = in->sel[ORC_CS];
    uint32_t stub = ORC_STUB + (cs == ORC_CS64                      ? ORC_STUB_64
                                : cs == ORC_LDT_SEL(ORC_LDT_CODE16) ? ORC_STUB_16
                                                                    : ORC_STUB_32);
    if (out->vector == X86_PFV && c->cr2 == stub && out->err & 16) {
        out->vector = ORC_RAN;
        out->rip = in->rip;
        out->err = 0;
        out->cr2 = 0;
        out->rflags &= ~(uint64_t)X86_RF;
    }
}

uint64_t orc_guest_landing(struct orc_guest *g, const struct orc_state *in)
{
    struct x86_cpu *c = g->cpu;
    /* A breakpoint, wherever it is, makes the interpreter go step by step. */
    c->dr[7] |= 1;
    load_state(g, in);
    x86_interp_run(c, 1);
    c->dr[7] &= ~UINT64_C(1);
    return c->seg[X86_CS].lin_base + c->rip;
}
