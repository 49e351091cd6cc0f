/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/x86/fpu.h"

static void set_ferr(struct x86_cpu *c, int level)
{
    const struct x86_host *h = &c->vm->host;
    if (!h->ferr)
        return;
    h->lock(h->opaque);
    h->ferr(h->opaque, level);
    h->unlock(h->opaque);
}

enum x86_result x86_fpu_pending(struct x86_cpu *c)
{
    if (c->cr0 & X86_CR0_NE)
        return x86_raise(c, X86_MF);
    set_ferr(c, 1);
    return X86_NEXT;
}

void x86_fpu_update_es(struct x86_cpu *c)
{
    struct x86_fpu *f = &c->fpu;
    bool was = f->sw & X87_ES;
    if (f->sw & ~f->cw & X87_EXCEPTIONS) {
        f->sw |= X87_ES | X87_B;
    } else {
        f->sw &= (uint16_t) ~(X87_ES | X87_B);
        if (was && !(c->cr0 & X86_CR0_NE))
            set_ferr(c, 0);
    }
}

void x86_fpu_init(struct x86_cpu *c)
{
    struct x86_fpu *f = &c->fpu;
    f->cw = X87_CW_INIT;
    f->sw &= X87_ES;
    x86_fpu_update_es(c);
    f->sw = 0;
    f->top = 0;
    f->tag = 0;
    f->fop = f->fcs = f->fds = 0;
    f->fip = f->fdp = 0;
}

uint16_t x86_fpu_full_tag(const struct x86_fpu *f)
{
    uint16_t full = 0;
    for (unsigned r = 0; r < 8; r++) {
        unsigned t = 3;
        if (f->tag >> r & 1) {
            unsigned e = f->st[r].se & 0x7fff;
            if (e == 0 && f->st[r].frac == 0)
                t = 1;
            else if (e == 0 || e == 0x7fff || !(f->st[r].frac >> 63))
                t = 2;
            else
                t = 0;
        }
        full |= (uint16_t)(t << (2 * r));
    }
    return full;
}

uint8_t x86_fpu_short_tag(uint16_t full)
{
    uint8_t tag = 0;
    for (unsigned r = 0; r < 8; r++)
        if ((full >> (2 * r) & 3) != 3)
            tag |= (uint8_t)(1 << r);
    return tag;
}
