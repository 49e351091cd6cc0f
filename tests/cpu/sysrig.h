/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rig with descriptor tables: a GDT with one of everything, a TSS, and an IDT whose 256 stubs
 * push their vector and halt, so that whatever a program runs into can be read off the stack.
 */
#ifndef TESTS_CPU_SYSRIG_H
#define TESTS_CPU_SYSRIG_H

#include "rig.h"

#include "cpu/x86/exc.h"
#include "cpu/x86/interp.h"
#include "cpu/x86/segment.h"
#include "cpu/x86/system.h"

enum {
    SYS_GDT = 0x110000,
    SYS_IDT = 0x112000,
    SYS_TSS = 0x114000,  /* of the running task */
    SYS_TSS2 = 0x115000, /* of another 32-bit task */
    SYS_TSS16 = 0x116000,
    SYS_LDT = 0x117000,
    SYS_STUBS = 0x118000, /* 16 bytes a vector */
    SYS_STACK0 = 0x90000, /* ESP0, RSP0 */
    SYS_STACK1 = 0x94000,
    SYS_IST1 = 0x98000,
    SYS_STACK3 = 0x9c000, /* where ring 3 starts */
};
/* Selectors (RPL 0). */
enum {
    SEL_CODE0 = 0x08,
    SEL_DATA0 = 0x10,
    SEL_CODE3 = 0x18,
    SEL_DATA3 = 0x20,
    SEL_TSS = 0x28,  /* two slots */
    SEL_LDT = 0x38,  /* two slots */
    SEL_GATE = 0x48, /* call gate, two slots */
    SEL_CODE16 = 0x58,
    SEL_DATA16 = 0x60,
    SEL_TSS2 = 0x68,
    SEL_TSS16 = 0x70,
    SEL_TASKGATE = 0x78,
    SEL_CODE64 = 0x80,
    SEL_CODE64_3 = 0x88,
    SEL_CONFORMING = 0x90,
    SEL_ABSENT = 0x98,
    SEL_EXECONLY = 0xa0,
    SEL_DOWN = 0xa8, /* expand-down data, limit 0xffff */
    SEL_CODE1 = 0xb0,
    SEL_DATA1 = 0xb8,
    SEL_GDT_END = 0xc0,
};

/* The eight bytes of a segment descriptor; @flags: type, S, DPL, P in bits 0..7, G DB L in 12..15.
 */
uint64_t sys_desc(uint32_t base, uint32_t limit, unsigned flags);
void sys_set_desc(struct rig *r, unsigned sel, uint64_t desc);
/* Legacy gate of @type (with DPL and P in bits 5..7 as in sys_desc). */
uint64_t sys_gate(uint16_t sel, uint32_t offset, unsigned flags, unsigned count);
void sys_set_idt(struct rig *r, unsigned vector, uint64_t gate);

/* Protected or long mode with tables loaded, running at @cpl from RIG_CODE_AT. */
void sys_protected(struct rig *r, unsigned cpl);
void sys_long(struct rig *r, unsigned cpl);
/* Virtual 8086 mode, CS base RIG_CODE_AT, SS:SP = 0x9000:0x8000. */
void sys_v86(struct rig *r, unsigned iopl);

/* Loads @sel into @seg at its RPL without checks. */
void sys_load(struct rig *r, unsigned seg, uint16_t sel);

/* Runs to the HLT of a stub (or of the program): the vector, or -1 when the program halted itself.
 */
int sys_run(struct rig *r);
/* The @n-th stack slot above the vector: with an error code 0 is the code, 1 EIP, 2 CS... */
uint64_t sys_slot(struct rig *r, unsigned n);

#endif
