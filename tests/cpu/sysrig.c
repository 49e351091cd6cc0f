/* SPDX-License-Identifier: Apache-2.0 */
#include "sysrig.h"

#include <string.h>

uint64_t sys_desc(uint32_t base, uint32_t limit, unsigned flags)
{
    uint64_t d = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16;

    d |= (uint64_t)(flags & 0xf0ff) << 40 | (uint64_t)(limit >> 16 & 0xf) << 48;
    return d | (uint64_t)(base >> 24) << 56;
}

void sys_set_desc(struct rig *r, unsigned sel, uint64_t desc)
{
    rig_put(r, SYS_GDT + (sel & 0xfff8u), &desc, 8);
}

uint64_t sys_gate(uint16_t sel, uint32_t offset, unsigned flags, unsigned count)
{
    return (offset & 0xffff) | (uint64_t)sel << 16 | (uint64_t)(count & 31) << 32 |
           (uint64_t)(flags & 0xff) << 40 | (uint64_t)(offset >> 16) << 48;
}

void sys_set_idt(struct rig *r, unsigned vector, uint64_t gate)
{
    rig_put(r, SYS_IDT + vector * 8, &gate, 8);
}

static void put_stubs(struct rig *r)
{
    for (unsigned v = 0; v < 256; v++) {
        /* push imm32 (sign-extended to the stack's width), hlt */
        uint8_t stub[6] = {0x68, (uint8_t)v, 0, 0, 0, 0xf4};
        rig_put(r, SYS_STUBS + v * 16, stub, sizeof(stub));
    }
}

static void put_gdt(struct rig *r, bool wide)
{
    static const uint8_t zero[SEL_GDT_END];

    rig_put(r, SYS_GDT, zero, sizeof(zero));
    sys_set_desc(r, SEL_CODE0, sys_desc(0, 0xfffff, wide ? 0xa09a : 0xc09a));
    sys_set_desc(r, SEL_DATA0, sys_desc(0, 0xfffff, 0xc092));
    sys_set_desc(r, SEL_CODE3, sys_desc(0, 0xfffff, 0xc0fa));
    sys_set_desc(r, SEL_DATA3, sys_desc(0, 0xfffff, 0xc0f2));
    sys_set_desc(r, SEL_TSS, sys_desc(SYS_TSS, 0x2fff, 0x89));
    sys_set_desc(r, SEL_LDT, sys_desc(SYS_LDT, 0xff, 0x82));
    sys_set_desc(r, SEL_CODE16, sys_desc(0, 0xffff, 0x9a));
    sys_set_desc(r, SEL_DATA16, sys_desc(0, 0xffff, 0x92));
    sys_set_desc(r, SEL_TSS2, sys_desc(SYS_TSS2, 0x67, 0x89));
    sys_set_desc(r, SEL_TSS16, sys_desc(SYS_TSS16, 0x2b, 0x81));
    sys_set_desc(r, SEL_TASKGATE, sys_gate(SEL_TSS2, 0, 0xe5, 0));
    sys_set_desc(r, SEL_CODE64, sys_desc(0, 0xfffff, 0xa09a));
    sys_set_desc(r, SEL_CODE64_3, sys_desc(0, 0xfffff, 0xa0fa));
    sys_set_desc(r, SEL_CONFORMING, sys_desc(0, 0xfffff, 0xc09e));
    sys_set_desc(r, SEL_ABSENT, sys_desc(0, 0xfffff, 0xc012));
    sys_set_desc(r, SEL_EXECONLY, sys_desc(0, 0xfffff, 0xc098));
    sys_set_desc(r, SEL_DOWN, sys_desc(0, 0xffff, 0x4096));
    sys_set_desc(r, SEL_CODE1, sys_desc(0, 0xfffff, 0xc0ba));
    sys_set_desc(r, SEL_DATA1, sys_desc(0, 0xfffff, 0xc0b2));
}

static void load_tables(struct rig *r, bool wide)
{
    struct x86_cpu *c = r->c;

    c->gdt = (struct x86_dtable){SYS_GDT, SEL_GDT_END - 1};
    c->idt = (struct x86_dtable){SYS_IDT, wide ? 4095 : 2047};
    c->tr = (struct x86_seg){.sel = SEL_TSS, .attr = 0x8b, .base = SYS_TSS, .limit = 0x2fff};
    c->ldt = (struct x86_seg){.null = true};
    sys_set_desc(r, SEL_TSS, sys_desc(SYS_TSS, 0x2fff, 0x8b));
}

void sys_load(struct rig *r, unsigned seg, uint16_t sel)
{
    struct x86_desc d;

    assert_int_equal(x86_desc_read(r->c, sel, &d), X86_DESC_OK);
    d.hi |= 0x100;
    x86_seg_from_desc(&r->c->seg[seg], sel, &d);
    x86_mode_update(r->c);
    x86_seg_update(r->c, seg);
}

static void enter(struct rig *r, uint16_t code, uint16_t data, unsigned cpl)
{
    struct x86_cpu *c = r->c;

    c->cpl = (uint8_t)cpl;
    x86_mode_update(c);
    sys_load(r, X86_CS, (uint16_t)(code | cpl));
    for (unsigned seg = 0; seg < X86_SEGS; seg++)
        if (seg != X86_CS)
            sys_load(r, seg, (uint16_t)(data | cpl));
    c->rip = RIG_CODE_AT;
    c->gpr[X86_RSP] = cpl ? SYS_STACK3 : RIG_STACK;
}

static void put32(struct rig *r, uint64_t at, uint32_t v)
{
    rig_put(r, at, &v, 4);
}

void sys_protected(struct rig *r, unsigned cpl)
{
    static const uint8_t zero[0x3000];

    rig_protected(r);
    put_gdt(r, false);
    put_stubs(r);
    rig_put(r, SYS_TSS, zero, sizeof(zero));
    put32(r, SYS_TSS + 4, SYS_STACK0);
    put32(r, SYS_TSS + 8, SEL_DATA0);
    put32(r, SYS_TSS + 12, SYS_STACK1);
    put32(r, SYS_TSS + 16, SEL_DATA1 | 1);
    put32(r, SYS_TSS + 100, 0x68u << 16); /* I/O bitmap behind the 104 bytes, all permitted */
    for (unsigned v = 0; v < 256; v++)
        sys_set_idt(r, v, sys_gate(SEL_CODE0, SYS_STUBS + v * 16, 0xee, 0));
    load_tables(r, false);
    enter(r, cpl == 3 ? SEL_CODE3 : SEL_CODE0, cpl == 3 ? SEL_DATA3 : SEL_DATA0, cpl);
}

void sys_long(struct rig *r, unsigned cpl)
{
    static const uint8_t zero[0x3000];
    uint64_t v64;

    rig_long(r);
    put_gdt(r, true);
    put_stubs(r);
    rig_put(r, SYS_TSS, zero, sizeof(zero));
    v64 = SYS_STACK0;
    rig_put(r, SYS_TSS + 4, &v64, 8);
    v64 = SYS_IST1;
    rig_put(r, SYS_TSS + 36, &v64, 8);
    for (unsigned v = 0; v < 256; v++) {
        v64 = sys_gate(SEL_CODE0, SYS_STUBS + v * 16, 0xee, 0);
        rig_put(r, SYS_IDT + v * 16, &v64, 8);
        v64 = 0;
        rig_put(r, SYS_IDT + v * 16 + 8, &v64, 8);
    }
    load_tables(r, true);
    enter(r, cpl == 3 ? SEL_CODE64_3 : SEL_CODE0, cpl == 3 ? SEL_DATA3 : SEL_DATA0, cpl);
}

void sys_v86(struct rig *r, unsigned iopl)
{
    static const uint16_t sels[X86_SEGS] = {0x2000, RIG_CODE_AT >> 4, 0x9000,
                                            0x3000, 0x4000,           0x5000};
    struct x86_cpu *c = r->c;

    sys_protected(r, 3);
    x86_flags_set(c, X86_VM | (uint64_t)iopl << 12, X86_VM | X86_IOPL);
    x86_mode_update(c);
    for (unsigned seg = 0; seg < X86_SEGS; seg++)
        x86_seg_set_real(c, seg, sels[seg]);
    c->gpr[X86_RSP] = 0x8000;
    c->rip = 0;
}

int sys_run(struct rig *r)
{
    struct x86_cpu *c = r->c;
    uint64_t at;
    enum x86_exit why = x86_interp_run(c, 100000);

    assert_int_equal(why, X86_EXIT_HALT);
    at = c->seg[X86_CS].lin_base + c->rip;
    if (at < SYS_STUBS || at >= SYS_STUBS + 256 * 16)
        return -1;
    return (int)(at - SYS_STUBS) / 16;
}

uint64_t sys_slot(struct rig *r, unsigned n)
{
    unsigned size = r->c->mode == X86_MODE_64 ? 8 : 4;
    uint64_t v = 0;

    assert_int_equal(x86_lin_load(r->c, X86_CLASS_SYSTEM,
                                  r->c->seg[X86_SS].lin_base + r->c->gpr[X86_RSP] + (n + 1) * size,
                                  size, &v),
                     0);
    return v;
}
