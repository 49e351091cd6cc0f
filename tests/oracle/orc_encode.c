/* SPDX-License-Identifier: Apache-2.0 */
/* Random encodings of an opcode row. */
#include <string.h>

#include "orc_gen.h"

static void put(struct orc_code *c, uint8_t byte)
{
    c->bytes[c->len++] = byte;
}

static void add_prefixes(struct orc_rng *r, const struct x86_row *row, unsigned bits,
                         struct orc_code *c)
{
    static const uint8_t segs[6] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    uint8_t list[8];
    unsigned n = 0;
    bool want66 = row->prefix == X86_PREFIX_66;
    if (want66 || orc_one_in(r, row->prefix == X86_PREFIX_NP ? 16 : 4)) {
        list[n++] = 0x66;
        c->prefixes |= ORC_P66;
    }
    if (orc_one_in(r, 6)) {
        list[n++] = 0x67;
        c->prefixes |= ORC_P67;
    }
    if (orc_one_in(r, 6)) {
        c->seg = (uint8_t)orc_below(r, 6);
        /* In 64-bit mode ES, CS, SS and DS overrides are ignored. */
        list[n++] = segs[c->seg];
        c->prefixes |= ORC_PSEG;
        if (bits == 64 && c->seg < ORC_FS)
            c->seg = 0xff;
    }
    bool rep = row->attr & X86_ATTR_REP;
    if (row->prefix == X86_PREFIX_F3 || orc_one_in(r, rep ? 3 : 20)) {
        list[n++] = 0xf3;
        c->prefixes |= ORC_PF3;
    } else if (row->prefix == X86_PREFIX_F2 || orc_one_in(r, rep ? 3 : 20)) {
        list[n++] = 0xf2;
        c->prefixes |= ORC_PF2;
    }
    if (row->prefix == X86_PREFIX_F2 && !(c->prefixes & ORC_PF2)) {
        c->prefixes |= ORC_PF2;
        list[n++] = 0xf2; /* the last of F2 and F3 wins */
    }
    if (orc_one_in(r, row->attr & X86_ATTR_LOCK ? 4 : 40)) {
        list[n++] = 0xf0;
        c->prefixes |= ORC_PLOCK;
    }
    /* Any order, except that the last of F2 and F3 counts. */
    if (!(c->prefixes & ORC_PF2 && c->prefixes & ORC_PF3))
        for (unsigned i = n; i > 1; i--) {
            unsigned j = orc_below(r, i);
            uint8_t t = list[i - 1];
            list[i - 1] = list[j];
            list[j] = t;
        }
    for (unsigned i = 0; i < n; i++)
        put(c, list[i]);
    if (bits == 64 && orc_one_in(r, 2)) {
        c->rex = (uint8_t)(0x40 | orc_below(r, 16));
        c->prefixes |= ORC_PREX | (c->rex & 8 ? ORC_PREXW : 0);
        put(c, c->rex);
    }
}

static void add_modrm(struct orc_rng *r, const struct x86_row *row, unsigned bits,
                      struct orc_code *c)
{
    c->has_modrm = 1;
    c->modrm_at = c->len;
    uint8_t m = (uint8_t)orc_next(r);
    bool memory = row->mod == X86_MOD_MEM || (row->mod == X86_MOD_ANY && orc_one_in(r, 2));
    /* Now and then the form that the row does not allow. */
    if (row->mod != X86_MOD_ANY && orc_one_in(r, 64))
        memory = !memory;
    if (!memory)
        m |= 0xc0;
    else if (m >= 0xc0)
        m = (uint8_t)((m & 0x3f) | orc_below(r, 3) << 6);
    m = (uint8_t)((m & ~row->modrm_mask) | row->modrm_value);
    c->modrm = m;
    put(c, m);
    if (m >= 0xc0)
        return;
    unsigned mod = m >> 6, rm = m & 7;
    c->disp_at = c->len;
    if (c->asize == 2) {
        c->disp_len = mod == 1 ? 1 : mod == 2 || rm == 6 ? 2 : 0;
    } else {
        unsigned base = rm;
        if (rm == 4) {
            c->sib = (uint8_t)orc_next(r);
            put(c, c->sib);
            c->disp_at = c->len;
            base = c->sib & 7;
        }
        c->disp_len = mod == 1 ? 1 : mod == 2 || base == 5 ? 4 : 0;
    }
    (void)bits;
    for (unsigned i = 0; i < c->disp_len; i++)
        put(c, (uint8_t)orc_next(r));
}

static unsigned imm_len(enum x86_row_imm kind, unsigned bits, const struct orc_code *c)
{
    switch (kind) {
    case X86_IMM_NONE:
        return 0;
    case X86_IMM_IB:
    case X86_IMM_IBS:
    case X86_IMM_JB:
        return 1;
    case X86_IMM_IW:
        return 2;
    case X86_IMM_IZ:
        return c->osize == 2 ? 2 : 4;
    case X86_IMM_JZ:
        return bits != 64 && c->osize == 2 ? 2 : 4;
    case X86_IMM_IV:
        return c->osize;
    case X86_IMM_AP:
        return c->osize == 2 ? 4 : 6;
    case X86_IMM_MOFFS:
        return c->asize;
    }
    return 0;
}

void orc_encode(struct orc_rng *r, const struct x86_row *row, unsigned bits, struct orc_code *c)
{
    memset(c, 0, sizeof(*c));
    c->seg = 0xff;
    add_prefixes(r, row, bits, c);
    bool p66 = c->prefixes & ORC_P66, p67 = c->prefixes & ORC_P67;
    c->asize = bits == 64 ? (p67 ? 4 : 8) : (bits == 16) != p67 ? 2 : 4;
    c->osize = c->prefixes & ORC_PREXW ? 8 : (bits == 16) != p66 ? 2 : 4;
    if (row->map)
        put(c, 0x0f);
    if (row->map == 2)
        put(c, 0x38);
    if (row->map == 3)
        put(c, 0x3a);
    put(c, (uint8_t)(row->opcode | (row->plus_r ? orc_below(r, 8) : 0)));
    if (row->has_modrm)
        add_modrm(r, row, bits, c);
    c->imm_at = c->len;
    for (unsigned i = 0; i < 2; i++)
        for (unsigned n = imm_len(row->imm[i], bits, c); n; n--)
            put(c, (uint8_t)orc_next(r));
    c->imm_len = (uint8_t)(c->len - c->imm_at);
}
