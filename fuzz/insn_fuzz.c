/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a program, in any mode, from any register values, with any descriptors, gates and
 * page-table flags: the interpreter must come back within its budget and touch nothing but guest
 * memory.
 *
 * Input: 1 byte mode, 1 byte flags, 16 * 8 bytes registers, 64 * 2 bytes of table material, the
 * rest is code. Missing bytes are zero.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bus/space.h"
#include "cpu/x86/access.h"
#include "cpu/x86/flags.h"
#include "cpu/x86/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    RAM = 1 << 20,
    IVT = 0, /* real mode, and the IDT of the others at */
    IDT = 0x1000,
    GDT = 0x2000,
    TSS = 0x3000,
    STACK = 0x8000,
    CODE = 0x10000,
    PML4 = 0x20000,
    PDPT = 0x21000,
    PD = 0x22000,
    PT = 0x23000,
    PD32 = 0x24000,
};
enum { REAL, PROT, PAGED, LONG, COMPAT, V86, MODES };

static void no_lock(void *opaque)
{
}

static int no_interrupt(void *opaque, unsigned cpu)
{
    return -1;
}

static int no_read(void *opaque, unsigned cpu, uint32_t msr, uint64_t *ret)
{
    return -EINVAL;
}

static int no_write(void *opaque, unsigned cpu, uint32_t msr, uint64_t value)
{
    return -EINVAL;
}

static uint8_t get_cr8(void *opaque, unsigned cpu)
{
    return 0;
}

static void set_cr8(void *opaque, unsigned cpu, uint8_t value)
{
}

static void ferr(void *opaque, int level)
{
}

static uint64_t tsc(void *opaque)
{
    return 12345;
}

static void random_bytes(void *opaque, void *bytes, size_t n)
{
    memset(bytes, 0x5a, n);
}

static const struct x86_host host = {
    .lock = no_lock,
    .unlock = no_lock,
    .intr_ack = no_interrupt,
    .apic_rdmsr = no_read,
    .apic_wrmsr = no_write,
    .get_cr8 = get_cr8,
    .set_cr8 = set_cr8,
    .pv_rdmsr = no_read,
    .pv_wrmsr = no_write,
    .ferr = ferr,
    .tsc = tsc,
    .random = random_bytes,
};

struct input {
    const uint8_t *data;
    size_t left;
};

static uint64_t take(struct input *in, unsigned n)
{
    uint64_t v = 0;
    if (n > in->left)
        n = (unsigned)in->left;
    memcpy(&v, in->data, n);
    in->data += n;
    in->left -= n;
    return v;
}

static void put64(struct gmem *ram, uint64_t at, uint64_t value)
{
    gmem_write(ram, at, &value, 8);
}

/* Descriptors, gates and page tables that are sound, then spoiled by the input. */
static void make_memory(struct gmem *ram, struct input *in, bool wide)
{
    static const uint64_t gdt[] = {0,
                                   0x00cf9b000000ffff, /* 08 code32 */
                                   0x00cf93000000ffff, /* 10 data32 */
                                   0x00af9b000000ffff, /* 18 code64 */
                                   0x00cffb000000ffff, /* 20 code32, ring 3 */
                                   0x00cff3000000ffff, /* 28 data32, ring 3 */
                                   0x00affb000000ffff, /* 30 code64, ring 3 */
                                   0x00008b0030000067, /* 38 TSS */
                                   0,
                                   0x0000890031000067, /* 48 another */
                                   0x0000ec0000080000, /* 50 call gate */
                                   0x000092020000ffff, /* 58 data16 */
                                   0x00009b010000ffff /* 60 code16 */};
    for (unsigned i = 0; i < array_size(gdt); i++)
        put64(ram, GDT + 8 * i, gdt[i]);
    for (unsigned v = 0; v < 256; v++) {
        put64(ram, IVT + 4 * v, 0x1000000000000000u | (0x10000000u + v));
        if (wide) {
            put64(ram, IDT + 16 * (v & 127), 0x00018e0000180000u | v);
            put64(ram, IDT + 16 * (v & 127) + 8, 0);
        } else {
            put64(ram, IDT + 8 * v, 0x00018e0000080000u | v);
        }
    }
    for (unsigned i = 0; i < 26; i++)
        put64(ram, TSS + 4 * i, i == 2 ? 0x10 : STACK);
    put64(ram, PML4, PDPT | 7);
    put64(ram, PDPT, PD | 7);
    put64(ram, PD, PT | 7);
    put64(ram, PD32, 0x83 | 4);
    for (unsigned i = 0; i < 512; i++)
        put64(ram, PT + 8 * i, i << 12 | 7);
    for (unsigned i = 0; i < 64; i++) {
        uint64_t v = take(in, 2);
        /* A byte of the first 0x25000 takes the value; zero changes nothing. */
        if (v)
            gmem_write(ram, (v * 37 + i * 613) % 0x25000, &v, 1);
    }
}

static void set_seg(struct x86_seg *s, uint16_t sel, uint64_t base, uint32_t limit, uint16_t attr)
{
    *s = (struct x86_seg){.sel = sel, .base = base, .limit = limit, .attr = attr};
}

static void make_cpu(struct x86_cpu *c, unsigned mode, unsigned flags)
{
    unsigned ring = flags & 1 && mode != REAL ? 3 : 0;
    bool wide = mode == LONG || mode == COMPAT;
    uint16_t code =
        (uint16_t)(0x9b | ring << 5 | (mode == LONG ? X86_SEG_L : X86_SEG_DB) | X86_SEG_G);
    uint16_t data = (uint16_t)(0x93 | ring << 5 | X86_SEG_DB | X86_SEG_G);
    c->cr0 = X86_CR0_ET | X86_CR0_NE;
    c->cr4 = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_FSGSBASE | X86_CR4_OSXSAVE;
    if (flags & 2)
        c->cr4 |= X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_VME | X86_CR4_PVI | X86_CR4_DE;
    c->xcr0 = 3;
    if (mode == REAL) {
        for (unsigned s = 0; s < X86_SEGS; s++)
            set_seg(&c->seg[s], CODE >> 4, CODE, 0xffff, 0x93);
        c->rip = 0;
        c->idt = (struct x86_dtable){IVT, 0x3ff};
    } else {
        c->cr0 |= X86_CR0_PE;
        for (unsigned s = 0; s < X86_SEGS; s++)
            set_seg(&c->seg[s], (uint16_t)(ring ? 0x2b : 0x10), 0, UINT32_MAX, data);
        set_seg(&c->seg[X86_CS], (uint16_t)((mode == LONG ? 0x18 : 8) + (ring ? 0x1b : 0)), 0,
                UINT32_MAX, code);
        c->rip = CODE;
        c->idt = (struct x86_dtable){IDT, 0x7ff};
    }
    c->gdt = (struct x86_dtable){GDT, 0x6f};
    set_seg(&c->tr, 0x38, TSS, 0x67, 0x8b);
    if (mode == PAGED) {
        c->cr0 |= X86_CR0_PG | X86_CR0_WP | X86_CR0_AM;
        c->cr4 |= X86_CR4_PSE;
        c->cr3 = PD32;
    }
    if (wide) {
        c->cr0 |= X86_CR0_PG | X86_CR0_WP | X86_CR0_AM;
        c->cr4 |= X86_CR4_PAE | X86_CR4_PGE;
        c->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE | X86_EFER_SCE;
        c->cr3 = PML4;
    }
    c->cpl = (uint8_t)ring;
    c->rflags = 2;
    if (mode == V86) {
        for (unsigned s = 0; s < X86_SEGS; s++)
            set_seg(&c->seg[s], CODE >> 4, CODE, 0xffff, 0xf3);
        c->rip = 0;
        c->cpl = 3;
        c->rflags |= X86_VM | (flags & 4 ? X86_IOPL : 0);
    }
    c->activity = X86_ACTIVE;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    unsigned mode = (unsigned)take(&in, 1) % MODES, flags = (unsigned)take(&in, 1);
    struct gmem *ram = gmem_new(RAM, NULL);
    struct space *space = ram ? space_new(ram, NULL) : NULL;
    struct ports *ports = space ? ports_new(NULL) : NULL;
    struct x86_vm *vm = NULL;
    struct x86_cpu *c;

    if (!ports || !space_map_ram(space, "ram", 0, RAM, 0, 0, NULL))
        abort();
    vm = x86_vm_new(space, ports, &host, x86_model_find(NULL), 1, 1000000, NULL);
    if (!vm)
        abort();
    c = vm->cpus[0];
    for (unsigned r = 0; r < 16; r++)
        c->gpr[r] = take(&in, 8);
    make_memory(ram, &in, mode == LONG || mode == COMPAT);
    make_cpu(c, mode, flags);
    if (!c->gpr[X86_RSP])
        c->gpr[X86_RSP] = STACK;
    if (mode != LONG)
        for (unsigned r = 0; r < 16; r++)
            c->gpr[r] = r < 8 ? (uint32_t)c->gpr[r] : 0;
    gmem_write(ram, CODE, in.data, min_of(in.left, (size_t)(PML4 - CODE)));
    for (int twice = 0; twice < 2; twice++) { /* the mode decides what segments mean */
        x86_mode_update(c);
        for (unsigned s = 0; s < X86_SEGS; s++)
            x86_seg_update(c, s);
    }
    if (flags & 8)
        x86_flags_set(c, X86_TF, X86_TF);
    x86_mode_update(c);
    for (int runs = 0; runs < 4; runs++) {
        enum x86_exit why = x86_interp_run(c, 1500);
        if (why == X86_EXIT_HALT || why == X86_EXIT_SHUTDOWN || why == X86_EXIT_IDLE)
            break;
        if (flags & 16)
            x86_attention_set(c, X86_ATTN_NMI);
    }
    x86_vm_free(vm);
    ports_free(ports);
    space_free(space);
    gmem_free(ram);
    return 0;
}
