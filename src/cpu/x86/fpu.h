/* SPDX-License-Identifier: Apache-2.0 */
/* The x87 unit's registers as its instructions and the save formats see them. Private to cpu/x86.
 */
#ifndef CPU_X86_FPU_H
#define CPU_X86_FPU_H

#include "cpu/x86/exc.h"
#include "cpu/x86/model.h"

/* Status word bits (vol. 1, 8.1.3). */
enum {
    X87_IE = 1 << 0,
    X87_DE = 1 << 1,
    X87_ZE = 1 << 2,
    X87_OE = 1 << 3,
    X87_UE = 1 << 4,
    X87_PE = 1 << 5,
    X87_SF = 1 << 6,
    X87_ES = 1 << 7,
    X87_C0 = 1 << 8,
    X87_C1 = 1 << 9,
    X87_C2 = 1 << 10,
    X87_TOP_SHIFT = 11,
    X87_C3 = 1 << 14,
    X87_B = 1 << 15,
    X87_CC = X87_C0 | X87_C1 | X87_C2 | X87_C3,
    X87_EXCEPTIONS = 0x3f,
};

enum {
    X87_CW_INIT = 0x37f,
    X87_CW_WRITABLE = 0x1f3f, /* masks, PC, RC and the dead infinity bit */
    X87_CW_ONE = 0x40,        /* reads as one */
    MXCSR_INIT = 0x1f80,
};

/*
 * Called when the error summary is set, before an instruction that waits: #MF, or with CR0.NE = 0
 * the FERR# wire goes up (IRQ 13) and X86_NEXT lets the instruction proceed.
 */
enum x86_result x86_fpu_pending(struct x86_cpu *c);

/* Bits of MXCSR that can be set; DAZ came with SSE2. */
static inline uint32_t x86_mxcsr_mask(const struct x86_cpu *c)
{
    return x86_model_has(c->vm->model, X86_FEATURE(X86_W_1_EDX, 26)) ? 0xffff : 0xffbf;
}

/* Status word with TOP. */
static inline uint16_t x86_fpu_sw(const struct x86_fpu *f)
{
    return (uint16_t)(f->sw | (f->top & 7) << X87_TOP_SHIFT);
}

/* Sets status word and TOP from a whole word. */
static inline void x86_fpu_set_sw(struct x86_fpu *f, uint16_t sw)
{
    f->top = (sw >> X87_TOP_SHIFT) & 7;
    f->sw = sw & (uint16_t) ~(7 << X87_TOP_SHIFT);
}

/* Makes error summary and busy follow flags and masks, after either changed. */
void x86_fpu_update_es(struct x86_cpu *c);

static inline void x86_fpu_set_cw(struct x86_fpu *f, uint16_t cw)
{
    f->cw = (cw & X87_CW_WRITABLE) | X87_CW_ONE;
}

/* Bytes of the XSAVE area without and with the upper halves of YMM0-YMM15. */
enum { X86_XSAVE_LEGACY = 576, X86_XSAVE_AVX = X86_XSAVE_LEGACY + 256 };

/* XINUSE: the enabled state components that are not in their initial configuration. */
uint64_t x86_xinuse(const struct x86_cpu *c);

/* The state after FNINIT; registers keep their content. */
void x86_fpu_init(struct x86_cpu *c);

/* The 16-bit tag word of FSTENV: 2 bits a register (vol. 1, 8.1.7). */
uint16_t x86_fpu_full_tag(const struct x86_fpu *f);
/* The abridged tag of a 16-bit tag word. */
uint8_t x86_fpu_short_tag(uint16_t full);

#endif
