/* SPDX-License-Identifier: Apache-2.0 */
/* Random encodings of an opcode row. */
#include <string.h>

#include "orc_gen.h"

static void put(struct orc_code *c, uint8_t byte)
{
    c->bytes[c->len++] = byte;
}

/* A list of legacy prefixes. */
struct list {
    uint8_t byte[8];
    unsigned n;
};

static void add_prefix(struct orc_code *c, struct list *list, uint8_t byte, unsigned bit)
{
    list->byte[list->n++] = byte;
    c->prefixes |= (uint8_t)bit;
}

static void add_segment(struct orc_code *c, struct list *list, unsigned seg, unsigned bits)
{
    static const uint8_t segs[6] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    add_prefix(c, list, segs[seg], ORC_PSEG);
    /* In 64-bit mode ES, CS, SS and DS overrides are ignored. */
    c->seg = (uint8_t)(bits == 64 && seg < ORC_FS ? 0xff : seg);
}

/* Any mixture. */
static void many_prefixes(struct orc_rng *r, const struct x86_row *row, unsigned bits,
                          struct orc_code *c, struct list *list)
{
    bool vex = x86_row_is_vex(row);
    if ((row->prefix == X86_PREFIX_66 && !vex) || orc_one_in(r, vex                            ? 64
                                                                : row->prefix == X86_PREFIX_NP ? 16
                                                                                               : 4))
        add_prefix(c, list, 0x66, ORC_P66);
    if (orc_one_in(r, 6))
        add_prefix(c, list, 0x67, ORC_P67);
    if (orc_one_in(r, 6))
        add_segment(c, list, orc_below(r, 6), bits);
    bool rep = row->attr & X86_ATTR_REP;
    if (vex)
        rep = false;
    if ((row->prefix == X86_PREFIX_F3 && !vex) || orc_one_in(r, rep ? 3 : 20))
        add_prefix(c, list, 0xf3, ORC_PF3);
    else if ((row->prefix == X86_PREFIX_F2 && !vex) || orc_one_in(r, rep ? 3 : 20))
        add_prefix(c, list, 0xf2, ORC_PF2);
    if (row->prefix == X86_PREFIX_F2 && !vex && !(c->prefixes & ORC_PF2))
        add_prefix(c, list, 0xf2, ORC_PF2); /* the last of F2 and F3 wins */
    if (orc_one_in(r, row->attr & X86_ATTR_LOCK ? 4 : 40))
        add_prefix(c, list, 0xf0, ORC_PLOCK);
}

/* The prefix of a cell and the row's own. */
static void one_prefix(const struct x86_row *row, unsigned bits, enum orc_prefix prefix,
                       struct orc_code *c, struct list *list)
{
    if (prefix == ORC_PFX_66)
        add_prefix(c, list, 0x66, ORC_P66);
    else if (prefix == ORC_PFX_67)
        add_prefix(c, list, 0x67, ORC_P67);
    else if (prefix >= ORC_PFX_ES && prefix <= ORC_PFX_GS)
        add_segment(c, list, (unsigned)(prefix - ORC_PFX_ES), bits);
    else if (prefix == ORC_PFX_F2)
        add_prefix(c, list, 0xf2, ORC_PF2);
    else if (prefix == ORC_PFX_F3)
        add_prefix(c, list, 0xf3, ORC_PF3);
    else if (prefix == ORC_PFX_LOCK)
        add_prefix(c, list, 0xf0, ORC_PLOCK);
    if (x86_row_is_vex(row))
        return;
    if (row->prefix == X86_PREFIX_66)
        add_prefix(c, list, 0x66, ORC_P66);
    else if (row->prefix == X86_PREFIX_F3)
        add_prefix(c, list, 0xf3, ORC_PF3);
    else if (row->prefix == X86_PREFIX_F2)
        add_prefix(c, list, 0xf2, ORC_PF2);
}

static void add_prefixes(struct orc_rng *r, const struct x86_row *row, unsigned bits,
                         enum orc_prefix prefix, struct orc_code *c)
{
    struct list list = {.n = 0};
    if (prefix == ORC_PFX_MANY)
        many_prefixes(r, row, bits, c, &list);
    else
        one_prefix(row, bits, prefix, c, &list);
    /* Any order, except that the last of F2 and F3 counts. */
    if (!(c->prefixes & ORC_PF2 && c->prefixes & ORC_PF3))
        for (unsigned i = list.n; i > 1; i--) {
            unsigned j = orc_below(r, i);
            uint8_t t = list.byte[i - 1];
            list.byte[i - 1] = list.byte[j];
            list.byte[j] = t;
        }
    for (unsigned i = 0; i < list.n; i++)
        put(c, list.byte[i]);
    if (bits != 64 || prefix == ORC_PFX_NONE)
        return;
    /* In front of VEX it is #UD: in the cells of REX, and seldom otherwise. */
    if (x86_row_is_vex(row) && prefix != ORC_PFX_REX && !orc_one_in(r, 64))
        return;
    bool forced = prefix == ORC_PFX_REX || prefix == ORC_PFX_REXW;
    if (!forced && !orc_one_in(r, 2))
        return;
    c->rex = (uint8_t)(0x40 | orc_below(r, prefix == ORC_PFX_MANY ? 16 : 8));
    if (prefix == ORC_PFX_REXW)
        c->rex |= 8;
    c->prefixes |= ORC_PREX | (c->rex & 8 ? ORC_PREXW : 0);
    put(c, c->rex);
}

/* A VEX prefix of the row's map, prefix, L and W; other bits at random. */
static void add_vex(struct orc_rng *r, const struct x86_row *row, unsigned bits,
                    enum orc_prefix prefix, struct orc_code *c)
{
    static const uint8_t pps[] = {
        [X86_PREFIX_NP] = 0, [X86_PREFIX_66] = 1, [X86_PREFIX_F3] = 2, [X86_PREFIX_F2] = 3};
    unsigned l = row->attr & X86_ATTR_L0 ? 0 : row->attr & X86_ATTR_L1 ? 1 : orc_below(r, 2);
    unsigned w = row->attr & X86_ATTR_W0 ? 0 : row->attr & X86_ATTR_W1 ? 1 : orc_below(r, 2);
    unsigned vvvv = row->attr & X86_ATTR_NDS ? orc_below(r, bits == 64 ? 16 : 8) : 0;
    unsigned rxb = bits == 64 ? orc_below(r, 8) : 0;
    if (prefix == ORC_PFX_MANY && orc_one_in(r, 32)) { /* what the row does not allow */
        unsigned bit = orc_below(r, 3);
        l ^= bit == 0;
        w ^= bit == 1;
        vvvv = bit == 2 ? orc_below(r, 16) : vvvv;
    }
    if (prefix == ORC_PFX_REXW)
        w = row->attr & X86_ATTR_W0 ? 0 : 1;
    unsigned low = (~vvvv & 15) << 3 | l << 2 | pps[row->prefix];
    c->vex = 1;
    c->vvvv = (uint8_t)vvvv;
    c->rex = (uint8_t)(0x40 | (bits == 64 ? w << 3 | rxb : 0));
    c->vsib = row->vsib;
    if (row->map == X86_MAP_VEX_0F && w == 0 && !(rxb & 3) && orc_one_in(r, 2)) {
        put(c, 0xc5);
        put(c, (uint8_t)((rxb & 4 ? 0 : 0x80) | low));
        return;
    }
    put(c, 0xc4);
    put(c, (uint8_t)((~rxb & 7) << 5 | (row->map - X86_MAP_VEX)));
    put(c, (uint8_t)(w << 7 | low));
}

static void add_modrm(struct orc_rng *r, const struct x86_row *row, enum orc_form form,
                      struct orc_code *c)
{
    c->has_modrm = 1;
    c->modrm_at = c->len;
    uint8_t m = (uint8_t)orc_next(r);
    bool memory = row->mod == X86_MOD_MEM || (row->mod == X86_MOD_ANY && orc_one_in(r, 2));
    /* Now and then the form that the row does not allow. */
    if (row->mod != X86_MOD_ANY && orc_one_in(r, 64))
        memory = !memory;
    if (form != ORC_FORM_NONE)
        memory = form == ORC_FORM_MEM;
    if (!memory)
        m |= 0xc0;
    else if (m >= 0xc0)
        m = (uint8_t)((m & 0x3f) | orc_below(r, 3) << 6);
    m = (uint8_t)((m & ~row->modrm_mask) | row->modrm_value);
    if (row->vsib && c->asize != 2 && m < 0xc0 && !orc_one_in(r, 64))
        m = (uint8_t)((m & ~7) | 4);
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

void orc_encode(struct orc_rng *r, const struct x86_row *row, unsigned bits,
                const struct orc_cell *cell, struct orc_code *c)
{
    memset(c, 0, sizeof(*c));
    c->seg = 0xff;
    add_prefixes(r, row, bits, cell ? cell->prefix : ORC_PFX_MANY, c);
    bool p66 = c->prefixes & ORC_P66, p67 = c->prefixes & ORC_P67;
    c->asize = bits == 64 ? (p67 ? 4 : 8) : (bits == 16) != p67 ? 2 : 4;
    c->osize = c->prefixes & ORC_PREXW ? 8 : (bits == 16) != p66 ? 2 : 4;
    if (x86_row_is_vex(row)) {
        add_vex(r, row, bits, cell ? cell->prefix : ORC_PFX_MANY, c);
        c->osize = c->rex & 8 ? 8 : 4;
    } else if (row->map) {
        put(c, 0x0f);
        if (row->map == X86_MAP_0F38)
            put(c, 0x38);
        if (row->map == X86_MAP_0F3A)
            put(c, 0x3a);
    }
    put(c, (uint8_t)(row->opcode | (row->plus_r ? orc_below(r, 8) : 0)));
    if (row->has_modrm)
        add_modrm(r, row, cell ? cell->form : ORC_FORM_NONE, c);
    c->imm_at = c->len;
    for (unsigned i = 0; i < 2; i++)
        for (unsigned n = imm_len(row->imm[i], bits, c); n; n--)
            put(c, (uint8_t)orc_next(r));
    c->imm_len = (uint8_t)(c->len - c->imm_at);
}
