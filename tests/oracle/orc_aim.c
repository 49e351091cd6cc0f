/* SPDX-License-Identifier: Apache-2.0 */
#include "orc_aim.h"

#include <string.h>

uint64_t orc_seg_base(uint16_t sel)
{
    if (sel & 4 && sel >> 3 < ORC_LDT_N)
        return orc_ldt[sel >> 3].base;
    return 0;
}

bool orc_stack16(uint16_t sel)
{
    return sel & 4 && sel >> 3 < ORC_LDT_N && !orc_ldt[sel >> 3].big;
}

uint64_t orc_cs_base(const struct orc_case *c)
{
    return c->bits == 64 ? 0 : orc_seg_base(c->in.sel[ORC_CS]);
}

uint16_t orc_selector(struct orc_rng *r)
{
    static const uint16_t global[] = {0,    1,    3,    ORC_CS32, ORC_DS, ORC_CS64, ORC_DS,
                                      0x20, 0x28, 0x30, 0x10,     0x18,   0x0b,     0x40,
                                      0x43, 0x53, 0x60, 0x83,     0x90,   0xfffb};
    switch (orc_below(r, 4)) {
    case 0:
        return (uint16_t)(orc_below(r, ORC_LDT_N) << 3 | 4 | orc_below(r, 4));
    case 1:
        return (uint16_t)(orc_below(r, ORC_LDT_N + 2) << 3 | 7);
    default:
        return global[orc_below(r, sizeof(global) / sizeof(global[0]))];
    }
}

uint32_t orc_target(struct orc_rng *r, unsigned size)
{
    uint32_t in_rw = ORC_DATA + orc_below(r, ORC_RW_BYTES - 64);
    switch (orc_below(r, 32)) {
    case 0:
        return ORC_DATA + ORC_PAGE - orc_below(r, size + 1);
    case 1:
        return ORC_DATA + ORC_RW_BYTES - orc_below(r, size + 1);
    case 2:
        return ORC_DATA + ORC_DATA_BYTES - orc_below(r, size + 1);
    case 3:
        return ORC_DATA + ORC_RW_BYTES + orc_below(r, ORC_PAGE);
    case 4:
        return ORC_DATA - orc_below(r, size + 1);
    case 5:
    case 6:
    case 7:
    case 8:
        return in_rw;
    case 9:
    case 10:
    case 11:
        return in_rw & ~3u;
    default:
        return in_rw & ~15u;
    }
}

uint32_t orc_code_target(struct orc_rng *r, const struct orc_case *c)
{
    /* Few places: each becomes a cached block of the interpreter. */
    uint32_t offset = 0x100 + 47 * orc_below(r, 32);
    if (c->code_offset < ORC_PAGE)
        offset += ORC_PAGE;
    return ORC_CODE + offset;
}

void orc_patch(struct orc_case *c, uint32_t linear, const void *bytes, unsigned len)
{
    const uint8_t *from = bytes;
    if (linear < ORC_DATA && linear + len > ORC_DATA) {
        from += ORC_DATA - linear;
        len -= ORC_DATA - linear;
        linear = ORC_DATA;
    }
    uint32_t offset = linear - ORC_DATA;
    if (offset >= ORC_RW_BYTES || c->patches == ORC_PATCHES)
        return;
    if (len > ORC_RW_BYTES - offset)
        len = ORC_RW_BYTES - offset;
    struct orc_patch *p = &c->patch[c->patches++];
    if (len > sizeof(p->bytes))
        len = sizeof(p->bytes);
    p->offset = offset;
    p->len = (uint8_t)len;
    memcpy(p->bytes, from, len);
}

static void set_address(struct orc_case *c, unsigned reg, unsigned asize, uint64_t value)
{
    uint64_t *g = &c->in.gpr[reg];
    if (asize == 2)
        *g = (*g & ~UINT64_C(0xffff)) | (value & 0xffff);
    else if (asize == 4)
        *g = (reg == 4 ? 0 : *g & ~UINT64_C(0xffffffff)) | (uint32_t)value;
    else
        *g = value;
}

static uint64_t base_of(const struct orc_case *c, unsigned seg)
{
    if (c->bits != 64)
        return orc_seg_base(c->in.sel[seg]);
    if (seg == ORC_FS)
        return c->in.fs_base;
    if (seg == ORC_GS)
        return c->in.gs_base;
    return 0;
}

void orc_aim_reg(struct orc_case *c, unsigned reg, unsigned seg, uint32_t target)
{
    set_address(c, reg, c->code.asize, target - base_of(c, seg));
}

static void put_disp(struct orc_case *c, uint64_t value)
{
    memcpy(c->code.bytes + c->code.disp_at, &value, c->code.disp_len);
}

static int64_t get_disp(const struct orc_case *c)
{
    const uint8_t *p = c->code.bytes + c->code.disp_at;
    switch (c->code.disp_len) {
    case 1:
        return (int8_t)*p;
    case 2:
        return (int16_t)load_le16(p);
    case 4:
        return (int32_t)load_le32(p);
    default:
        return 0;
    }
}

/* Registers of the operand: -1 for none. */
struct form {
    int base, index, scale;
    bool riprel;
};

static struct form form_of(const struct orc_case *c)
{
    static const int8_t base16[8] = {3, 3, 5, 5, 6, 7, 5, 3};
    static const int8_t index16[8] = {6, 7, 6, 7, -1, -1, -1, -1};
    const struct orc_code *k = &c->code;
    unsigned mod = k->modrm >> 6, rm = k->modrm & 7, rexb = k->rex & 1 ? 8 : 0;
    struct form f = {-1, -1, 0, false};
    if (k->asize == 2) {
        f.base = mod == 0 && rm == 6 ? -1 : base16[rm];
        f.index = index16[rm];
    } else if (rm == 4) {
        unsigned base = k->sib & 7, index = (k->sib >> 3 & 7) | (k->rex & 2 ? 8 : 0);
        f.base = mod == 0 && base == 5 ? -1 : (int)(base | rexb);
        f.index = index == 4 || k->vsib ? -1 : (int)index;
        f.scale = k->sib >> 6;
    } else if (mod == 0 && rm == 5) {
        f.riprel = c->bits == 64;
    } else {
        f.base = (int)(rm | rexb);
    }
    return f;
}

void orc_aim_modrm(struct orc_rng *r, struct orc_case *c, uint32_t target)
{
    struct orc_code *k = &c->code;
    struct form f = form_of(c);
    unsigned seg = k->seg != 0xff                                                     ? k->seg
                   : (f.base == 5 && !(k->rex & 1)) || (f.base == 4 && k->asize != 2) ? ORC_SS
                                                                                      : ORC_DS_;
    uint64_t want = target - base_of(c, seg);
    if (k->disp_len > 1 && orc_one_in(r, 2))
        put_disp(c, (uint64_t)(int64_t)(int16_t)orc_next(r));
    if (f.riprel) {
        put_disp(c, want - (c->in.rip + k->len));
        return;
    }
    if (f.base < 0) {
        uint64_t part = 0;
        if (f.index >= 0) {
            part = orc_below(r, 64);
            set_address(c, (unsigned)f.index, k->asize, part);
            part <<= f.scale;
        }
        put_disp(c, want - part);
        return;
    }
    want -= (uint64_t)get_disp(c);
    if (f.index == f.base) {
        uint64_t mask = k->asize == 4 ? UINT32_MAX : UINT64_MAX;
        set_address(c, (unsigned)f.base, k->asize, (want & mask) / (1u + (1u << f.scale)));
        return;
    }
    if (f.index >= 0) {
        if (f.index != 4 && orc_one_in(r, 2))
            set_address(c, (unsigned)f.index, k->asize, orc_below(r, 256) - 128u);
        want -= c->in.gpr[f.index] << f.scale;
    }
    set_address(c, (unsigned)f.base, k->asize, want);
}
