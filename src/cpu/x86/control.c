/* SPDX-License-Identifier: Apache-2.0 */
/* Control and debug registers (vol. 3, 2.5, 4.1.2 and 17.2). */
#include "base/trace.h"
#include "cpu/x86/flags.h"
#include "cpu/x86/fpu.h"
#include "cpu/x86/mmu.h"
#include "cpu/x86/model.h"
#include "cpu/x86/system.h"
#include "cpu/x86/tlb.h"
#include "x86-opcodes.h"

#define CR0_KNOWN                                                                                  \
    (X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM |    \
     X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)

/* Setting or clearing PG (vol. 3, 4.1.2, 9.8.5). Nonzero after a fault. */
static int change_paging(struct x86_cpu *c, bool on)
{
    if (!on) {
        if (c->mode == X86_MODE_64 || (c->cr4 & X86_CR4_PCIDE))
            return x86_raise_gp(c, 0);
        c->efer &= ~(uint64_t)X86_EFER_LMA;
        return 0;
    }
    if (c->efer & X86_EFER_LME) {
        if (!(c->cr4 & X86_CR4_PAE) || (c->seg[X86_CS].attr & X86_SEG_L) ||
            (!c->tr.null && !(c->tr.attr & 8)))
            return x86_raise_gp(c, 0);
        c->efer |= X86_EFER_LMA;
    } else if ((c->cr4 & X86_CR4_PAE) && !x86_load_pdptes(c, c->cr3)) {
        return x86_raise_gp(c, 0);
    }
    return 0;
}

int x86_cr0_write(struct x86_cpu *c, uint64_t value)
{
    uint64_t old = c->cr0, changed;

    if (value >> 32 || ((value & X86_CR0_PG) && !(value & X86_CR0_PE)) ||
        ((value & X86_CR0_NW) && !(value & X86_CR0_CD)))
        return x86_raise_gp(c, 0);
    value = (value & CR0_KNOWN) | X86_CR0_ET;
    changed = value ^ old;
    if ((changed & X86_CR0_PG) && change_paging(c, value & X86_CR0_PG))
        return 1;
    /* Cache controls reload the page-directory pointers, too (4.4.1). */
    if ((changed & (X86_CR0_CD | X86_CR0_NW)) && !(changed & X86_CR0_PG) && (value & X86_CR0_PG) &&
        (c->cr4 & X86_CR4_PAE) && !x86_long(c) && !x86_load_pdptes(c, c->cr3))
        return x86_raise_gp(c, 0);
    c->cr0 = value;
    if (changed & (X86_CR0_PG | X86_CR0_WP | X86_CR0_PE))
        x86_tlb_flush_all(c);
    x86_mode_update(c);
    return 0;
}

int x86_cr3_write(struct x86_cpu *c, uint64_t value)
{
    bool keep = false;

    if (x86_long(c)) {
        if (c->cr4 & X86_CR4_PCIDE) {
            keep = value >> 63;
            value &= ~(1ull << 63);
        }
        if (value & (c->mmu.phys_reserved | 0xfff0000000000000ull))
            return x86_raise_gp(c, 0);
    } else if ((c->cr0 & X86_CR0_PG) && (c->cr4 & X86_CR4_PAE) && !x86_load_pdptes(c, value)) {
        return x86_raise_gp(c, 0);
    }
    c->cr3 = value;
    c->counts.cr3_loads++;
    if (unlikely(c->vm->trace != NULL))
        x86_note_paging(c, TRACE_CR3, value, 0, 0);
    if (keep)
        x86_tlb_update_asid(c);
    else
        x86_tlb_flush_nonglobal(c);
    return 0;
}

static uint64_t cr4_known(const struct x86_model *m)
{
    static const struct {
        uint16_t feature;
        uint32_t bits;
    } map[] = {
        {X86_FEATURE(X86_W_1_EDX, 1), X86_CR4_VME | X86_CR4_PVI},
        {X86_FEATURE(X86_W_1_EDX, 2), X86_CR4_DE},
        {X86_FEATURE(X86_W_1_EDX, 3), X86_CR4_PSE},
        {X86_FEATURE(X86_W_1_EDX, 4), X86_CR4_TSD},
        {X86_FEATURE(X86_W_1_EDX, 6), X86_CR4_PAE},
        {X86_FEATURE(X86_W_1_EDX, 7), X86_CR4_MCE},
        {X86_FEATURE(X86_W_1_EDX, 13), X86_CR4_PGE},
        {X86_FEATURE(X86_W_1_EDX, 23), X86_CR4_PCE},
        {X86_FEATURE(X86_W_1_EDX, 24), X86_CR4_OSFXSR},
        {X86_FEATURE(X86_W_1_EDX, 25), X86_CR4_OSXMMEXCPT},
        {X86_FEATURE(X86_W_7_ECX, 2), X86_CR4_UMIP},
        {X86_FEATURE(X86_W_7_EBX, 0), X86_CR4_FSGSBASE},
        {X86_FEATURE(X86_W_1_ECX, 17), X86_CR4_PCIDE},
        {X86_FEATURE(X86_W_1_ECX, 26), X86_CR4_OSXSAVE},
        {X86_FEATURE(X86_W_7_EBX, 7), X86_CR4_SMEP},
        {X86_FEATURE(X86_W_7_EBX, 20), X86_CR4_SMAP},
    };
    uint64_t known = 0;

    for (unsigned n = 0; n < array_size(map); n++)
        if (x86_model_has(m, map[n].feature))
            known |= map[n].bits;
    return known;
}

int x86_cr4_write(struct x86_cpu *c, uint64_t value)
{
    const uint64_t paging = X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP;
    uint64_t changed = value ^ c->cr4, old = c->cr4;

    if (value & ~cr4_known(c->vm->model))
        return x86_raise_gp(c, 0);
    if (x86_long(c) ? !(value & X86_CR4_PAE) : (value & X86_CR4_PCIDE) != 0)
        return x86_raise_gp(c, 0);
    if ((changed & value & X86_CR4_PCIDE) && (c->cr3 & 0xfff))
        return x86_raise_gp(c, 0);
    c->cr4 = value;
    if ((changed & paging) && (c->cr0 & X86_CR0_PG) && (value & X86_CR4_PAE) && !x86_long(c) &&
        !x86_load_pdptes(c, c->cr3)) {
        c->cr4 = old;
        return x86_raise_gp(c, 0);
    }
    if (changed & (paging | X86_CR4_PCIDE | X86_CR4_SMAP))
        x86_tlb_flush_all(c);
    x86_mode_update(c);
    return 0;
}

static uint64_t cr8_read(struct x86_cpu *c)
{
    const struct x86_host *h = &c->vm->host;
    uint64_t value;

    h->lock(h->opaque);
    value = h->get_cr8(h->opaque, c->index);
    h->unlock(h->opaque);
    return value;
}

static int cr8_write(struct x86_cpu *c, uint64_t value)
{
    const struct x86_host *h = &c->vm->host;

    if (value > 15)
        return x86_raise_gp(c, 0);
    h->lock(h->opaque);
    h->set_cr8(h->opaque, c->index, (uint8_t)value);
    h->unlock(h->opaque);
    return 0;
}

static void put_reg(struct x86_cpu *c, unsigned reg, uint64_t value)
{
    c->gpr[reg] = c->mode == X86_MODE_64 ? value : (uint32_t)value;
}

static uint64_t get_reg(const struct x86_cpu *c, unsigned reg)
{
    return c->mode == X86_MODE_64 ? c->gpr[reg] : (uint32_t)c->gpr[reg];
}

enum x86_result x86_op_mov_from_cr(struct x86_cpu *c, const struct x86_insn *i)
{
    switch (i->reg) {
    case 0:
        put_reg(c, i->rm, c->cr0);
        return X86_NEXT;
    case 2:
        put_reg(c, i->rm, c->cr2);
        return X86_NEXT;
    case 3:
        put_reg(c, i->rm, c->cr3);
        return X86_NEXT;
    case 4:
        put_reg(c, i->rm, c->cr4);
        return X86_NEXT;
    case 8:
        put_reg(c, i->rm, cr8_read(c));
        return X86_NEXT;
    default:
        return x86_raise_ud(c);
    }
}

enum x86_result x86_op_mov_to_cr(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t value = get_reg(c, i->rm);
    int r = 0;

    switch (i->reg) {
    case 0:
        r = x86_cr0_write(c, value);
        break;
    case 2:
        c->cr2 = value;
        return X86_NEXT;
    case 3:
        r = x86_cr3_write(c, value);
        break;
    case 4:
        r = x86_cr4_write(c, value);
        break;
    case 8:
        r = cr8_write(c, value);
        break;
    default:
        return x86_raise_ud(c);
    }
    return r ? X86_FAULT : x86_resync(c, i);
}

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE. X86_FAULT when the access is not allowed. */
static enum x86_result debug_register(struct x86_cpu *c, unsigned *reg)
{
    if (*reg > 7 || ((*reg & ~1u) == 4 && (c->cr4 & X86_CR4_DE)))
        return x86_raise_ud(c);
    if (c->dr[7] & 1u << 13) { /* GD */
        x86_raise(c, X86_DB);
        c->fault.dr6 = 1u << 13; /* BD */
        return X86_FAULT;
    }
    if (*reg == 4 || *reg == 5)
        *reg += 2;
    return X86_NEXT;
}

enum x86_result x86_op_mov_from_dr(struct x86_cpu *c, const struct x86_insn *i)
{
    unsigned reg = i->reg;

    if (debug_register(c, &reg) == X86_FAULT)
        return X86_FAULT;
    put_reg(c, i->rm, c->dr[reg]);
    return X86_NEXT;
}

enum x86_result x86_op_mov_to_dr(struct x86_cpu *c, const struct x86_insn *i)
{
    unsigned reg = i->reg;
    uint64_t value = get_reg(c, i->rm);

    if (debug_register(c, &reg) == X86_FAULT)
        return X86_FAULT;
    if (reg >= 6 && value >> 32)
        return x86_raise_gp(c, 0);
    if (reg == 6)
        value = (value & 0xe00f) | 0xffff0ff0;
    else if (reg == 7)
        value = (value & 0xffff23ff) | 0x400;
    c->dr[reg] = value;
    if (reg != 6)
        x86_debug_update(c);
    return x86_resync(c, i);
}

enum x86_result x86_op_clts(struct x86_cpu *c, const struct x86_insn *i)
{
    c->cr0 &= ~(uint64_t)X86_CR0_TS;
    return X86_NEXT;
}

static bool umip_denies(const struct x86_cpu *c)
{
    return c->cpl != 0 && (c->cr4 & X86_CR4_UMIP);
}

enum x86_result x86_op_smsw(struct x86_cpu *c, const struct x86_insn *i)
{
    if (umip_denies(c))
        return x86_raise_gp(c, 0);
    if (i->mem)
        return x86_store16(c, i->seg, x86_ea(c, i), (uint16_t)c->cr0) ? X86_FAULT : X86_NEXT;
    x86_put_reg(c, i->rm, i->osize, c->cr0);
    return X86_NEXT;
}

enum x86_result x86_op_lmsw(struct x86_cpu *c, const struct x86_insn *i)
{
    uint16_t value;

    if (x86_load_rm16(c, i, &value))
        return X86_FAULT;
    /* PE, MP, EM and TS only, and PE cannot be cleared. */
    if (x86_cr0_write(c, (c->cr0 & ~0xeull) | (value & 0xf)))
        return X86_FAULT;
    return x86_resync(c, i);
}

enum x86_result x86_op_invlpg(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t lin = c->seg[i->seg].lin_base + x86_ea(c, i);

    x86_tlb_flush_page(c, c->mode == X86_MODE_64 ? lin : (uint32_t)lin);
    return x86_resync(c, i);
}

enum x86_result x86_op_invpcid(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t type = get_reg(c, i->reg);
    union x86_xmm d;
    unsigned pcid;

    if (c->mode == X86_MODE_V86)
        return x86_raise_gp(c, 0);
    if (x86_load128(c, i->seg, x86_ea(c, i), &d))
        return X86_FAULT;
    pcid = d.u64[0] & 0xfff;
    if (type > 3 || d.u64[0] >> 12 || (type < 2 && pcid && !(c->cr4 & X86_CR4_PCIDE)) ||
        (type == 0 && !x86_canonical(d.u64[1])))
        return x86_raise_gp(c, 0);
    if (type == 0)
        x86_tlb_flush_page(c, d.u64[1]);
    else if (type == 1)
        x86_tlb_flush_pcid(c, pcid);
    else
        x86_tlb_flush_all(c); /* 2: everything; 3: all but global pages, dropped as well */
    return x86_resync(c, i);
}

enum x86_result x86_op_xgetbv(struct x86_cpu *c, const struct x86_insn *i)
{
    if (!(c->cr4 & X86_CR4_OSXSAVE))
        return x86_raise_ud(c);
    uint64_t value = c->xcr0;
    uint32_t which = (uint32_t)c->gpr[X86_RCX];
    if (which > 1 || (which == 1 && !x86_model_has(c->vm->model, X86_FEATURE(X86_W_D1_EAX, 2))))
        return x86_raise_gp(c, 0);
    if (which == 1) /* MXCSR other than its initial value counts as SSE state */
        value &= x86_xinuse(c) | (c->mxcsr != MXCSR_INIT ? X86_XCR0_SSE : 0);
    c->gpr[X86_RAX] = (uint32_t)value;
    c->gpr[X86_RDX] = value >> 32;
    return X86_NEXT;
}

enum x86_result x86_op_xsetbv(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t value = c->gpr[X86_RDX] << 32 | (uint32_t)c->gpr[X86_RAX];

    if (!(c->cr4 & X86_CR4_OSXSAVE))
        return x86_raise_ud(c); /* comes before the check of CPL */
    /* x87 always, SSE at will, AVX only with it; nothing else is there. */
    if (c->cpl != 0 || (uint32_t)c->gpr[X86_RCX] != 0 || !(value & X86_XCR0_X87) ||
        (value & ~x86_model_xcr0(c->vm->model)) ||
        ((value & X86_XCR0_AVX) && !(value & X86_XCR0_SSE)))
        return x86_raise_gp(c, 0);
    c->xcr0 = value;
    return x86_resync(c, i);
}

static enum x86_result set_ac(struct x86_cpu *c, const struct x86_insn *i, uint64_t ac)
{
    if (c->cpl != 0) /* #UD, not #GP: vol. 2, CLAC */
        return x86_raise_ud(c);
    x86_flags_set(c, ac, X86_AC);
    x86_mode_update(c);
    return X86_NEXT;
}

enum x86_result x86_op_clac(struct x86_cpu *c, const struct x86_insn *i)
{
    return set_ac(c, i, 0);
}

enum x86_result x86_op_stac(struct x86_cpu *c, const struct x86_insn *i)
{
    return set_ac(c, i, X86_AC);
}
