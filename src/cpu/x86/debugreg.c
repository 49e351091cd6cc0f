/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Breakpoints and single stepping (vol. 3, chapter 17).
 *
 * While any breakpoint is armed the processor runs in its single-step loop. Pages with an armed
 * data breakpoint have no TLB entry, so that each access to them passes x86_debug_data.
 */
#include "cpu/x86/debugger.h"
#include "cpu/x86/mmu.h"
#include "cpu/x86/system.h"

enum { DR7_EXEC, DR7_WRITE, DR7_IO, DR7_ACCESS };
#define DR6_BS (1u << 14)

static bool armed(const struct x86_cpu *c, unsigned n)
{
    return c->dr[7] >> n * 2 & 3;
}

static unsigned kind(const struct x86_cpu *c, unsigned n)
{
    return c->dr[7] >> (16 + n * 4) & 3;
}

/* Length less one; also the bits of the address that are ignored. */
static unsigned length_mask(const struct x86_cpu *c, unsigned n)
{
    static const uint8_t mask[] = {0, 1, 7, 3};
    return mask[c->dr[7] >> (18 + n * 4) & 3];
}

/* DR6 bits of the breakpoints of the kinds in @kinds that meet [lin, lin + size). */
static unsigned matches(const struct x86_cpu *c, uint64_t lin, unsigned size, unsigned kinds)
{
    unsigned hits = 0;

    for (unsigned n = 0; n < 4; n++) {
        uint64_t mask = length_mask(c, n), start = c->dr[n] & ~mask;
        if ((kinds >> kind(c, n) & 1) && lin <= start + mask && start <= lin + size - 1)
            hits |= 1u << n;
    }
    return hits;
}

/* Matching breakpoints, if one of them is armed: DR6 shows the disarmed ones, too. */
static unsigned hits_if_armed(const struct x86_cpu *c, unsigned hits)
{
    for (unsigned n = 0; n < 4; n++)
        if ((hits >> n & 1) && armed(c, n))
            return hits;
    return 0;
}

void x86_debug_update(struct x86_cpu *c)
{
    bool data = x86_debugger_watches(c->vm->debugger);

    c->debug_code = false;
    for (unsigned n = 0; n < 4; n++) {
        if (!armed(c, n))
            continue;
        if (kind(c, n) == DR7_EXEC)
            c->debug_code = true;
        else if (kind(c, n) != DR7_IO)
            data = true;
    }
    if (data || c->debug_data)
        x86_tlb_flush_all(c);
    c->debug_data = data;
    x86_slow_update(c);
}

bool x86_debug_page(const struct x86_cpu *c, uint64_t lin)
{
    uint64_t page = lin & ~(uint64_t)(GMEM_PAGE_SIZE - 1);

    for (unsigned n = 0; n < 4; n++)
        if (armed(c, n) && (kind(c, n) & 1) && (c->dr[n] & ~(uint64_t)(GMEM_PAGE_SIZE - 1)) == page)
            return true;
    return c->vm->debugger && x86_debugger_data_page(c->vm->debugger, lin);
}

void x86_debug_data(struct x86_cpu *c, uint64_t lin, unsigned size, bool write)
{
    unsigned kinds = 1u << DR7_ACCESS | (write ? 1u << DR7_WRITE : 0);

    c->debug_hits |= hits_if_armed(c, matches(c, lin, size, kinds));
    if (c->vm->debugger)
        x86_debugger_data(c, lin, size, write);
}

void x86_debug_io(struct x86_cpu *c, uint16_t port, unsigned size)
{
    if ((c->cr4 & X86_CR4_DE) && (c->dr[7] & 0xff))
        c->debug_hits |= hits_if_armed(c, matches(c, port, size, 1u << DR7_IO));
}

enum x86_result x86_step_begin(struct x86_cpu *c)
{
    bool held_back = (c->shadow & X86_SHADOW_SS) && c->shadow_rip == c->rip;
    unsigned hits;

    c->shadow = 0; /* only what this instruction sets holds at its end */
    c->step_rule = X86_STEP_BEFORE;
    if (c->rflags & X86_RF) {
        /* Used up by this instruction; a fault of it pushes RF set all the same, and an RF that it
         * loads (IRET) is for the next one. */
        c->rflags &= ~(uint64_t)X86_RF;
        return X86_NEXT;
    }
    if (!c->debug_code || held_back)
        return X86_NEXT;
    hits = hits_if_armed(c, matches(c, c->seg[X86_CS].lin_base + c->rip, 1, 1u << DR7_EXEC));
    if (!hits)
        return X86_NEXT;
    x86_raise(c, X86_DB);
    c->fault.dr6 = hits;
    return x86_deliver_fault(c);
}

enum x86_result x86_step_end(struct x86_cpu *c, bool tf)
{
    uint64_t dr6 = c->debug_hits;

    if (c->step_rule == X86_STEP_AFTER)
        tf = c->rflags & X86_TF;
    if (tf && c->step_rule != X86_STEP_NEVER)
        dr6 |= DR6_BS;
    if (c->shadow & X86_SHADOW_SS) {
        /* MOV SS holds its traps back for one instruction: data breakpoints stay pending, the
         * single-step trap is lost to the next instruction's. */
        x86_slow_update(c);
        return X86_NEXT;
    }
    c->debug_hits = 0;
    if (!dr6) {
        x86_slow_update(c);
        return X86_NEXT;
    }
    x86_raise(c, X86_DB);
    c->fault.dr6 = dr6;
    return x86_deliver_fault(c);
}
