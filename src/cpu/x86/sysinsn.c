/* SPDX-License-Identifier: Apache-2.0 */
/* Segment registers, descriptor tables, descriptor checks, time stamps and other small system
 * instructions. */
#include "cpu/x86/flags.h"
#include "cpu/x86/mmu.h"
#include "cpu/x86/model.h"
#include "cpu/x86/system.h"
#include "x86-opcodes.h"

void x86_put_reg(struct x86_cpu *c, unsigned reg, unsigned size, uint64_t value)
{
    if (size == X86_SIZE_16)
        c->gpr[reg] = (c->gpr[reg] & ~0xffffull) | (value & 0xffff);
    else
        c->gpr[reg] = size == X86_SIZE_64 ? value : (uint32_t)value;
}

int x86_load_rm16(struct x86_cpu *c, const struct x86_insn *i, uint16_t *ret)
{
    if (i->mem)
        return x86_load16(c, i->seg, x86_ea(c, i), ret);
    *ret = (uint16_t)c->gpr[i->rm];
    return 0;
}

/* Stores 16 bits to memory, or the operand size to a register. */
static enum x86_result store_rm16(struct x86_cpu *c, const struct x86_insn *i, uint16_t value)
{
    if (i->mem)
        return x86_store16(c, i->seg, x86_ea(c, i), value) ? X86_FAULT : X86_NEXT;
    x86_put_reg(c, i->rm, i->osize, value);
    return X86_NEXT;
}

/* ---- segment registers ---- */

/* The segment register in the opcode of PUSH and POP. */
static unsigned opcode_sreg(const struct x86_insn *i)
{
    return i->opcode >> 3 & 7;
}

enum x86_result x86_op_push_sreg(struct x86_cpu *c, const struct x86_insn *i)
{
    struct x86_stack s;
    uint16_t sel = c->seg[opcode_sreg(i)].sel;
    uint64_t sp, lin;

    x86_stack_here(c, &s);
    if (i->osize != X86_SIZE_32) {
        if (x86_stack_push(c, &s, i->osize, sel))
            return X86_FAULT;
    } else {
        /* Only the low half of the doubleword is written. */
        sp = (s.sp - 4) & s.mask;
        if (x86_linear(c, X86_SS, sp, 2, true, &lin) || x86_lin_store(c, s.cls, lin, 2, &sel))
            return X86_FAULT;
        s.sp = (s.sp & ~s.mask) | sp;
    }
    x86_stack_commit(c, &s);
    return X86_NEXT;
}

enum x86_result x86_op_pop_sreg(struct x86_cpu *c, const struct x86_insn *i)
{
    struct x86_stack s;
    unsigned seg = opcode_sreg(i);
    uint64_t value;
    uint16_t sel;

    x86_stack_here(c, &s);
    if (i->osize == X86_SIZE_32) {
        struct x86_stack low = s;
        if (x86_stack_pop(c, &low, X86_SIZE_16, &value))
            return X86_FAULT;
        s.sp = (s.sp & ~s.mask) | ((s.sp + 4) & s.mask);
    } else if (x86_stack_pop(c, &s, i->osize, &value)) {
        return X86_FAULT;
    }
    sel = (uint16_t)value;
    if (x86_seg_load(c, seg, sel))
        return X86_FAULT;
    x86_stack_commit(c, &s);
    if (seg == X86_SS)
        x86_shadow_set(c, i, X86_SHADOW_SS);
    return x86_resync(c, i);
}

enum x86_result x86_op_mov_from_sreg(struct x86_cpu *c, const struct x86_insn *i)
{
    if (i->reg >= X86_SEGS)
        return x86_raise_ud(c);
    return store_rm16(c, i, c->seg[i->reg].sel);
}

enum x86_result x86_op_mov_to_sreg(struct x86_cpu *c, const struct x86_insn *i)
{
    uint16_t sel;

    if (i->reg >= X86_SEGS || i->reg == X86_CS)
        return x86_raise_ud(c);
    if (x86_load_rm16(c, i, &sel) || x86_seg_load(c, i->reg, sel))
        return X86_FAULT;
    if (i->reg == X86_SS)
        x86_shadow_set(c, i, X86_SHADOW_SS);
    return x86_resync(c, i);
}

int x86_load_far(struct x86_cpu *c, const struct x86_insn *i, uint64_t *ret_off, uint16_t *ret_sel)
{
    uint64_t ea = x86_ea(c, i), mask = i->asize == X86_SIZE_64   ? UINT64_MAX
                                       : i->asize == X86_SIZE_32 ? UINT32_MAX
                                                                 : 0xffff;
    uint32_t off32;
    uint16_t off16;
    int r;

    switch (i->osize) {
    case X86_SIZE_16:
        r = x86_load16(c, i->seg, ea, &off16);
        *ret_off = r ? 0 : off16;
        break;
    case X86_SIZE_32:
        r = x86_load32(c, i->seg, ea, &off32);
        *ret_off = r ? 0 : off32;
        break;
    default:
        r = x86_load64(c, i->seg, ea, ret_off);
        break;
    }
    return r || x86_load16(c, i->seg, (ea + (1u << i->osize)) & mask, ret_sel);
}

enum x86_result x86_op_load_far(struct x86_cpu *c, const struct x86_insn *i)
{
    unsigned seg = i->opcode == 0xc4   ? X86_ES
                   : i->opcode == 0xc5 ? X86_DS
                   : i->opcode == 0xb2 ? X86_SS
                                       : i->opcode & 7; /* B4 FS, B5 GS */
    uint64_t off;
    uint16_t sel;

    if (x86_load_far(c, i, &off, &sel) || x86_seg_load(c, seg, sel))
        return X86_FAULT;
    x86_put_reg(c, i->reg, i->osize, off);
    return x86_resync(c, i);
}

static enum x86_result base_read(struct x86_cpu *c, const struct x86_insn *i, unsigned seg)
{
    if (!(c->cr4 & X86_CR4_FSGSBASE))
        return x86_raise_ud(c);
    x86_put_reg(c, i->rm, i->osize == X86_SIZE_64 ? X86_SIZE_64 : X86_SIZE_32, c->seg[seg].base);
    return X86_NEXT;
}

static enum x86_result base_write(struct x86_cpu *c, const struct x86_insn *i, unsigned seg)
{
    uint64_t base = i->osize == X86_SIZE_64 ? c->gpr[i->rm] : (uint32_t)c->gpr[i->rm];

    if (!(c->cr4 & X86_CR4_FSGSBASE))
        return x86_raise_ud(c);
    if (!x86_canonical(base))
        return x86_raise_gp(c, 0);
    c->seg[seg].base = base;
    x86_seg_update(c, seg);
    return X86_NEXT;
}

enum x86_result x86_op_rdfsbase(struct x86_cpu *c, const struct x86_insn *i)
{
    return base_read(c, i, X86_FS);
}

enum x86_result x86_op_rdgsbase(struct x86_cpu *c, const struct x86_insn *i)
{
    return base_read(c, i, X86_GS);
}

enum x86_result x86_op_wrfsbase(struct x86_cpu *c, const struct x86_insn *i)
{
    return base_write(c, i, X86_FS);
}

enum x86_result x86_op_wrgsbase(struct x86_cpu *c, const struct x86_insn *i)
{
    return base_write(c, i, X86_GS);
}

enum x86_result x86_op_swapgs(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t base = c->seg[X86_GS].base;

    c->seg[X86_GS].base = c->kernel_gs_base;
    c->kernel_gs_base = base;
    x86_seg_update(c, X86_GS);
    return X86_NEXT;
}

/* ---- descriptor tables ---- */

static bool umip_denies(const struct x86_cpu *c)
{
    return c->cpl != 0 && (c->cr4 & X86_CR4_UMIP);
}

static uint64_t ea_add(const struct x86_insn *i, uint64_t ea, unsigned n)
{
    return i->asize == X86_SIZE_64   ? ea + n
           : i->asize == X86_SIZE_32 ? (uint32_t)(ea + n)
                                     : (uint16_t)(ea + n);
}

static enum x86_result store_table(struct x86_cpu *c, const struct x86_insn *i,
                                   const struct x86_dtable *t)
{
    uint64_t ea = x86_ea(c, i), next = ea_add(i, ea, 2);
    bool wide = c->mode == X86_MODE_64;

    if (umip_denies(c))
        return x86_raise_gp(c, 0);
    /* All or nothing; of two parts that fault, the limit does. */
    if (x86_probe_write(c, i->seg, ea, 2) || x86_probe_write(c, i->seg, next, wide ? 8 : 4) ||
        x86_store16(c, i->seg, ea, t->limit))
        return X86_FAULT;
    if (wide ? x86_store64(c, i->seg, next, t->base)
             : x86_store32(c, i->seg, next, (uint32_t)t->base))
        return X86_FAULT;
    return X86_NEXT;
}

static enum x86_result load_table(struct x86_cpu *c, const struct x86_insn *i, struct x86_dtable *t)
{
    uint64_t ea = x86_ea(c, i), next = ea_add(i, ea, 2), base = 0;
    uint32_t base32 = 0;
    uint16_t limit;

    if (x86_load16(c, i->seg, ea, &limit))
        return X86_FAULT;
    if (c->mode == X86_MODE_64) {
        if (x86_load64(c, i->seg, next, &base))
            return X86_FAULT;
        if (!x86_canonical(base))
            return x86_raise_gp(c, 0);
    } else {
        if (x86_load32(c, i->seg, next, &base32))
            return X86_FAULT;
        base = i->osize == X86_SIZE_16 ? base32 & 0xffffff : base32;
    }
    *t = (struct x86_dtable){.base = base, .limit = limit};
    return X86_NEXT;
}

enum x86_result x86_op_sgdt(struct x86_cpu *c, const struct x86_insn *i)
{
    return store_table(c, i, &c->gdt);
}

enum x86_result x86_op_sidt(struct x86_cpu *c, const struct x86_insn *i)
{
    return store_table(c, i, &c->idt);
}

enum x86_result x86_op_lgdt(struct x86_cpu *c, const struct x86_insn *i)
{
    return load_table(c, i, &c->gdt);
}

enum x86_result x86_op_lidt(struct x86_cpu *c, const struct x86_insn *i)
{
    return load_table(c, i, &c->idt);
}

enum x86_result x86_op_sldt(struct x86_cpu *c, const struct x86_insn *i)
{
    return umip_denies(c) ? x86_raise_gp(c, 0) : store_rm16(c, i, c->ldt.sel);
}

enum x86_result x86_op_str(struct x86_cpu *c, const struct x86_insn *i)
{
    return umip_denies(c) ? x86_raise_gp(c, 0) : store_rm16(c, i, c->tr.sel);
}

/* Reads the system descriptor of @sel for LLDT and LTR. Nonzero after a fault. */
static int read_system(struct x86_cpu *c, uint16_t sel, struct x86_desc *d)
{
    int r = X86_DESC_LIMIT;

    if (!(sel & 4))
        r = x86_desc_read(c, sel, d);
    if (r == X86_DESC_OK && x86_long(c))
        r = x86_desc_read_high(c, sel, d);
    if (r == X86_DESC_LIMIT)
        x86_raise_gp(c, sel & ~3u);
    return r;
}

enum x86_result x86_op_lldt(struct x86_cpu *c, const struct x86_insn *i)
{
    struct x86_desc d;
    uint16_t sel;

    if (x86_load_rm16(c, i, &sel))
        return X86_FAULT;
    if (!(sel & ~3u)) {
        c->ldt = (struct x86_seg){.sel = sel, .null = true};
        return X86_NEXT;
    }
    if (read_system(c, sel, &d))
        return X86_FAULT;
    if (x86_desc_s(&d) || x86_desc_type(&d) != X86_TYPE_LDT)
        return x86_raise_gp(c, sel & ~3u);
    if (!x86_desc_present(&d))
        return x86_raise_code(c, X86_NP, sel & ~3u);
    x86_seg_from_desc(&c->ldt, sel, &d);
    return X86_NEXT;
}

enum x86_result x86_op_ltr(struct x86_cpu *c, const struct x86_insn *i)
{
    struct x86_desc d;
    uint16_t sel;
    unsigned type;
    uint8_t byte;

    if (x86_load_rm16(c, i, &sel))
        return X86_FAULT;
    if (!(sel & ~3u))
        return x86_raise_gp(c, 0);
    if (read_system(c, sel, &d))
        return X86_FAULT;
    type = x86_desc_type(&d);
    if (x86_desc_s(&d) || (type != X86_TYPE_TSS32 && (type != X86_TYPE_TSS16 || x86_long(c))))
        return x86_raise_gp(c, sel & ~3u);
    if (!x86_desc_present(&d))
        return x86_raise_code(c, X86_NP, sel & ~3u);
    d.hi |= 0x200; /* busy */
    byte = (uint8_t)(d.hi >> 8);
    if (x86_lin_store(c, X86_CLASS_SYSTEM, d.lin + 5, 1, &byte))
        return X86_FAULT;
    x86_seg_from_desc(&c->tr, sel, &d);
    return X86_NEXT;
}

/* ---- descriptor checks ---- */

/* Whether CPL and RPL may see the descriptor; conforming code always. */
static bool visible(const struct x86_cpu *c, uint16_t sel, const struct x86_desc *d)
{
    if (x86_desc_code(d) && x86_desc_conforming(d))
        return true;
    return c->cpl <= x86_desc_dpl(d) && (sel & 3u) <= x86_desc_dpl(d);
}

/* The descriptor of @sel for LAR, LSL, VERR, VERW. *ret_ok: it is there and visible. */
static int look(struct x86_cpu *c, uint16_t sel, struct x86_desc *d, bool *ret_ok)
{
    int r;

    *ret_ok = false;
    if (!(sel & ~3u))
        return 0;
    r = x86_desc_read(c, sel, d);
    if (r == X86_DESC_FAULT)
        return 1;
    *ret_ok = r == X86_DESC_OK && visible(c, sel, d);
    return 0;
}

static enum x86_result set_zf(struct x86_cpu *c, bool zf)
{
    x86_flags_set(c, zf ? X86_ZF : 0, X86_ZF);
    return X86_NEXT;
}

/* System descriptor types that LAR (and of these LSL those with a limit) accepts. */
static bool lar_type(const struct x86_cpu *c, const struct x86_desc *d, bool with_limit)
{
    unsigned type = x86_desc_type(d);
    /* bit n: type n is valid; TSS and LDT have limits, gates have none */
    unsigned limits = x86_long(c) ? 0x0a04 : 0x0a0e, gates = x86_long(c) ? 0x1000 : 0x1030;

    return x86_desc_s(d) || ((with_limit ? limits : limits | gates) >> type & 1);
}

enum x86_result x86_op_lar(struct x86_cpu *c, const struct x86_insn *i)
{
    struct x86_desc d;
    uint16_t sel;
    bool ok;

    if (x86_load_rm16(c, i, &sel) || look(c, sel, &d, &ok))
        return X86_FAULT;
    if (!ok || !lar_type(c, &d, false))
        return set_zf(c, false);
    x86_put_reg(c, i->reg, i->osize, d.hi & 0x00ffff00);
    return set_zf(c, true);
}

enum x86_result x86_op_lsl(struct x86_cpu *c, const struct x86_insn *i)
{
    struct x86_desc d;
    uint16_t sel;
    bool ok;

    if (x86_load_rm16(c, i, &sel) || look(c, sel, &d, &ok))
        return X86_FAULT;
    if (!ok || !lar_type(c, &d, true))
        return set_zf(c, false);
    x86_put_reg(c, i->reg, i->osize, x86_desc_limit(&d));
    return set_zf(c, true);
}

static enum x86_result verify(struct x86_cpu *c, const struct x86_insn *i, bool write)
{
    struct x86_desc d;
    uint16_t sel;
    bool ok;

    if (x86_load_rm16(c, i, &sel) || look(c, sel, &d, &ok))
        return X86_FAULT;
    if (ok)
        ok = x86_desc_s(&d) &&
             (x86_desc_code(&d) ? !write && x86_desc_rw(&d) : !write || x86_desc_rw(&d));
    return set_zf(c, ok);
}

enum x86_result x86_op_verr(struct x86_cpu *c, const struct x86_insn *i)
{
    return verify(c, i, false);
}

enum x86_result x86_op_verw(struct x86_cpu *c, const struct x86_insn *i)
{
    return verify(c, i, true);
}

enum x86_result x86_op_arpl(struct x86_cpu *c, const struct x86_insn *i)
{
    uint16_t dest, src = (uint16_t)c->gpr[i->reg];
    uint64_t ea = i->mem ? x86_ea(c, i) : 0;

    /* Memory that needs no change may be read only. */
    if (i->mem ? x86_load16(c, i->seg, ea, &dest) : x86_load_rm16(c, i, &dest))
        return X86_FAULT;
    if ((dest & 3) >= (src & 3))
        return set_zf(c, false);
    dest = (uint16_t)((dest & ~3u) | (src & 3u));
    if (!i->mem)
        x86_put_reg(c, i->rm, X86_SIZE_16, dest);
    else if (x86_store16(c, i->seg, ea, dest))
        return X86_FAULT;
    return set_zf(c, true);
}

/* ---- time, identification, caches ---- */

static enum x86_result put_tsc(struct x86_cpu *c)
{
    uint64_t tsc;

    if (c->cpl != 0 && (c->cr4 & X86_CR4_TSD))
        return x86_raise_gp(c, 0);
    tsc = x86_tsc(c);
    c->gpr[X86_RAX] = (uint32_t)tsc;
    c->gpr[X86_RDX] = tsc >> 32;
    return X86_NEXT;
}

enum x86_result x86_op_rdtsc(struct x86_cpu *c, const struct x86_insn *i)
{
    return put_tsc(c);
}

enum x86_result x86_op_rdtscp(struct x86_cpu *c, const struct x86_insn *i)
{
    if (put_tsc(c) == X86_FAULT)
        return X86_FAULT;
    c->gpr[X86_RCX] = (uint32_t)c->tsc_aux;
    return X86_NEXT;
}

enum x86_result x86_op_rdpid(struct x86_cpu *c, const struct x86_insn *i)
{
    c->gpr[i->rm] = (uint32_t)c->tsc_aux;
    return X86_NEXT;
}

enum x86_result x86_op_rdpmc(struct x86_cpu *c, const struct x86_insn *i)
{
    return x86_raise_gp(c, 0); /* no model has a performance counter */
}

enum x86_result x86_op_cpuid(struct x86_cpu *c, const struct x86_insn *i)
{
    uint32_t out[4];

    x86_cpuid(c, (uint32_t)c->gpr[X86_RAX], (uint32_t)c->gpr[X86_RCX], out);
    c->gpr[X86_RAX] = out[0];
    c->gpr[X86_RBX] = out[1];
    c->gpr[X86_RCX] = out[2];
    c->gpr[X86_RDX] = out[3];
    return X86_NEXT;
}

enum x86_result x86_op_hlt(struct x86_cpu *c, const struct x86_insn *i)
{
    c->rip = x86_next_rip(c, i);
    c->activity = X86_HALTED;
    c->exit_reason = X86_EXIT_HALT;
    return X86_STOP;
}

/* Caches are not modelled: memory is always coherent. */
enum x86_result x86_op_wbinvd(struct x86_cpu *c, const struct x86_insn *i)
{
    return X86_NEXT;
}

enum x86_result x86_op_fence(struct x86_cpu *c, const struct x86_insn *i)
{
    atomic_thread_fence(memory_order_seq_cst);
    return X86_NEXT;
}

enum x86_result x86_op_clflush(struct x86_cpu *c, const struct x86_insn *i)
{
    return x86_probe_read(c, i->seg, x86_ea(c, i), 1) ? X86_FAULT : X86_NEXT;
}
