/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/x86/flags.h"

uint64_t x86_flags_get(const struct x86_cpu *c)
{
    uint64_t f = (c->rflags & ~(uint64_t)X86_ARITH) | X86_F1;

    f |= x86_flag_cf(c) ? X86_CF : 0;
    f |= x86_flag_pf(c) ? X86_PF : 0;
    f |= x86_flag_af(c) ? X86_AF : 0;
    f |= x86_flag_zf(c) ? X86_ZF : 0;
    f |= x86_flag_sf(c) ? X86_SF : 0;
    f |= x86_flag_of(c) ? X86_OF : 0;
    return f;
}

void x86_flags_set(struct x86_cpu *c, uint64_t value, uint64_t mask)
{
    uint64_t f;
    bool cf;

    c->rflags =
        (c->rflags & ~(mask & ~(uint64_t)X86_ARITH)) | (value & mask & ~(uint64_t)X86_ARITH);
    if (!(mask & X86_ARITH))
        return;
    f = value;
    if ((mask & X86_ARITH) != X86_ARITH)
        f = (x86_flags_get(c) & ~mask) | (value & mask);
    cf = f & X86_CF;
    /* A result with the wanted sign and (for nonzero: 1 odd, 3 even) parity; a zero result has SF =
     * 0 and PF = 1 of itself. */
    c->lazy.op = cf;
    if (f & X86_ZF) {
        c->lazy.result = 0;
        c->lazy.op |= (f & X86_SF) | (~f & X86_PF);
    } else {
        c->lazy.result = ((f & X86_SF) ? 1ull << 63 : 0) | ((f & X86_PF) ? 3 : 1);
    }
    c->lazy.aux = (f & X86_AF) | ((uint64_t)(!!(f & X86_OF) ^ cf) << 63);
}
