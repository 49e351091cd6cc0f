/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases out of opcode rows: random states in which the instruction has something to do. Most
 * operands hit mapped memory, branches land on breakpoint bytes, selectors name descriptors, and a
 * small part of all cases is aimed at the edges of each.
 */
#include "orc_gen.h"

#include <string.h>

#include "orc_aim.h"
#include "orc_traits.h"

void orc_pristine(uint8_t *to)
{
    struct orc_rng r = {0x150a};
    for (unsigned i = 0; i < ORC_DATA_BYTES; i += 8)
        store_le64(to + i, orc_next(&r));
}

static enum orc_kind kind_of(struct orc_rng *r, unsigned row)
{
    switch ((enum orc_operands)orc_traits[row].operands) {
    case ORC_OPS_X87:
        return orc_one_in(r, 6) ? (enum orc_kind)orc_below(r, ORC_KINDS) : ORC_F80;
    case ORC_OPS_TEXT:
        return orc_one_in(r, 3) ? ORC_INT : ORC_TEXT;
    case ORC_OPS_F32:
        return orc_one_in(r, 8) ? ORC_INT : ORC_F32;
    case ORC_OPS_F64:
        return orc_one_in(r, 8) ? ORC_INT : ORC_F64;
    case ORC_OPS_OTHER:
        break;
    }
    return orc_one_in(r, 4) ? (enum orc_kind)orc_below(r, ORC_KINDS) : ORC_INT;
}

/* Operand bytes to memory around @at. */
static void fill_at(struct orc_rng *r, struct orc_case *c, enum orc_kind kind, uint32_t at)
{
    uint8_t bytes[48];
    orc_fill(r, kind, bytes, sizeof(bytes));
    orc_patch(c, at, bytes, sizeof(bytes));
}

static void make_fpu(struct orc_rng *r, struct orc_case *c, enum orc_kind kind)
{
    uint8_t *fx = c->in.fx;
    uint16_t cw = 0x37f, sw = (uint16_t)(orc_next(r) & 0x7f00);
    if (orc_one_in(r, 2)) {
        cw = (uint16_t)(0x40 | (orc_next(r) & 0xf3f));
        if (orc_one_in(r, 2))
            cw |= 0x3f;
    }
    if (orc_one_in(r, 3))
        sw |= cw & orc_next(r) & 0x3f;
    if (orc_one_in(r, 2))
        sw |= cw & 0x20;
    if (orc_one_in(r, 48) && (cw & 0x3f) != 0x3f)
        sw |= ~cw & 0x3f & orc_next(r);
    if (sw & ~cw & 0x3f)
        sw |= 0x8080;
    store_le16(fx, cw);
    store_le16(fx + 2, sw);
    unsigned full = orc_below(r, 4);
    fx[4] = full >= 2 ? 0xff : full ? (uint8_t)orc_next(r) : 0;
    store_le16(fx + 6, orc_next(r) & 0x7ff);
    store_le64(fx + 8, orc_next(r) & 0xffffffff);
    store_le64(fx + 16, orc_next(r) & 0xffffffff);
    bool mmx = kind != ORC_F80 && !orc_one_in(r, 8);
    for (unsigned i = 0; i < 8; i++) {
        uint8_t *st = fx + 32 + 16 * i;
        orc_fill(r, mmx ? kind : ORC_F80, st, mmx ? 8 : 10);
        if (mmx)
            store_le16(st + 8, 0xffff);
    }
    uint32_t mxcsr = 0x1f80;
    if (orc_one_in(r, 2)) {
        mxcsr = (uint32_t)orc_next(r) & 0xffff;
        if (!orc_one_in(r, 3))
            mxcsr |= 0x1f80;
    }
    store_le32(fx + 24, mxcsr);
    store_le32(fx + 28, 0xffff);
    orc_fill(r, kind, fx + 160, 256);
    orc_fill(r, kind, c->in.ymmh, 256);
}

static uint16_t data_sel(struct orc_rng *r, unsigned bits, bool stack)
{
    static const uint16_t rare[] = {
        ORC_DS,
        ORC_LDT_SEL(ORC_LDT_DATA16),
        ORC_LDT_SEL(ORC_LDT_DATA32),
        ORC_LDT_SEL(ORC_LDT_DOWN32),
        ORC_LDT_SEL(ORC_LDT_DOWN16),
        ORC_LDT_SEL(ORC_LDT_SMALL),
        ORC_LDT_SEL(ORC_LDT_RO),
        ORC_LDT_SEL(ORC_LDT_CODE32),
        ORC_LDT_SEL(ORC_LDT_CODE16),
        0,
    };
    if (orc_one_in(r, 8))
        return rare[orc_below(r, stack ? 6 : sizeof(rare) / sizeof(rare[0]))];
    return bits == 16 ? ORC_LDT_SEL(ORC_LDT_DATA16) : ORC_DS;
}

static void make_segments(struct orc_rng *r, struct orc_case *c)
{
    uint16_t *sel = c->in.sel;
    sel[ORC_CS] = c->bits == 64      ? ORC_CS64
                  : c->bits == 16    ? ORC_LDT_SEL(ORC_LDT_CODE16)
                  : orc_one_in(r, 8) ? ORC_LDT_SEL(ORC_LDT_CODE32)
                                     : ORC_CS32;
    sel[ORC_ES] = data_sel(r, c->bits, false);
    sel[ORC_DS_] = data_sel(r, c->bits, false);
    sel[ORC_SS] = c->bits == 64 ? ORC_DS : data_sel(r, c->bits, true);
    for (unsigned s = ORC_FS; s <= ORC_GS; s++)
        sel[s] = orc_one_in(r, c->bits == 64 ? 8 : 2) ? data_sel(r, c->bits, false) : 0;
    uint64_t fs = orc_next(r) & 0x7fffffff, gs = orc_next(r) >> 18;
    c->in.fs_base = sel[ORC_FS] > 3 ? orc_seg_base(sel[ORC_FS]) : fs;
    c->in.gs_base = sel[ORC_GS] > 3 ? orc_seg_base(sel[ORC_GS]) : gs;
    /* A null selector is loaded as 0, so that the base can be given. */
    if (sel[ORC_FS] <= 3)
        sel[ORC_FS] = 0;
    if (sel[ORC_GS] <= 3)
        sel[ORC_GS] = 0;
}

static void make_stack(struct orc_rng *r, struct orc_case *c, uint32_t *ret_linear)
{
    uint32_t top = ORC_DATA + 0x800 + (orc_below(r, 0x1000) & ~7u);
    switch (orc_below(r, 64)) {
    case 0:
        top = orc_target(r, 16);
        break;
    case 1:
    case 2:
    case 3:
        top += orc_below(r, 8);
        break;
    default:
        break;
    }
    *ret_linear = top;
    uint64_t base = c->bits == 64 ? 0 : orc_seg_base(c->in.sel[ORC_SS]);
    c->in.gpr[4] = top - base;
    if (c->bits == 16 && orc_one_in(r, 2))
        c->in.gpr[4] = (c->in.gpr[4] & 0xffff) | (orc_next(r) & 0xffff0000);
    if (orc_one_in(r, 256))
        c->in.gpr[4] = orc_value(r);
}

static void make_registers(struct orc_rng *r, struct orc_case *c)
{
    for (unsigned i = 0; i < 16; i++)
        c->in.gpr[i] = orc_value(r);
    uint64_t x = orc_next(r), flags = 0x202 | (x & (X86_ARITH | X86_ID));
    if (x >> 32 & 1 && x >> 33 & 1)
        flags |= X86_DF;
    if ((x >> 34 & 15) == 0)
        flags |= X86_AC;
    if ((x >> 38 & 31) == 0)
        flags |= X86_NT;
    c->in.rflags = flags;
}

/* A stack image for the returns: slots of one size with targets, selectors, flags. */
static void make_frame(struct orc_rng *r, struct orc_case *c, uint32_t stack)
{
    static const uint16_t codes[] = {ORC_CS32, ORC_CS64, ORC_LDT_SEL(ORC_LDT_CODE16),
                                     ORC_LDT_SEL(ORC_LDT_CODE32)};
    uint64_t slot[5];
    unsigned size = orc_one_in(r, 4) ? 1u << (1 + orc_below(r, 3)) : c->code.osize;
    if (c->bits == 64 && c->code.osize == 4 && orc_one_in(r, 2))
        size = 8;
    uint16_t cs = orc_one_in(r, 3)   ? orc_selector(r)
                  : orc_one_in(r, 2) ? codes[orc_below(r, 4)]
                                     : c->in.sel[ORC_CS];
    uint64_t base = cs == ORC_CS64 ? 0 : orc_seg_base(cs);
    slot[0] = orc_code_target(r, c) - base;
    slot[1] = cs;
    /* TF stays clear: the kernel's handling of single steps is not what is compared. */
    slot[2] = (orc_next(r) & ~(uint64_t)X86_TF) & (orc_one_in(r, 4) ? UINT64_MAX : 0x3ffed7);
    slot[3] = c->in.gpr[4] + 64;
    slot[4] = orc_one_in(r, 2) ? ORC_DS : orc_selector(r);
    uint8_t bytes[40];
    for (unsigned i = 0; i < 5; i++)
        memcpy(bytes + i * size, &slot[i], size);
    orc_patch(c, stack, bytes, 5 * size);
}

static void set_rm(struct orc_case *c, uint64_t value, uint64_t mask)
{
    unsigned reg = (c->code.modrm & 7) | (c->code.rex & 1 ? 8 : 0);
    c->in.gpr[reg] = (c->in.gpr[reg] & ~mask) | (value & mask);
}

/* A value for the ModRM operand, wherever it is. */
static void give_rm(struct orc_case *c, uint32_t target, uint64_t value, unsigned size)
{
    if (c->code.modrm >= 0xc0)
        set_rm(c, value, size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1);
    else
        orc_patch(c, target, &value, size);
}

static void make_branch(struct orc_rng *r, struct orc_case *c, const struct x86_row *row,
                        uint32_t target, uint32_t stack)
{
    struct orc_code *k = &c->code;
    uint64_t base = orc_cs_base(c);
    uint32_t to = orc_one_in(r, 8) ? orc_target(r, 8) : orc_code_target(r, c);
    unsigned jump = c->bits == 16 ? 3 : 5;
    if (row->imm[0] == X86_IMM_JB) {
        int d = orc_one_in(r, 3)   ? 0
                : orc_one_in(r, 2) ? (int)(jump + orc_below(r, 127 - jump))
                                   : -(int)(k->len + 1 + orc_below(r, 127 - k->len));
        k->bytes[k->imm_at] = (uint8_t)d;
    } else if (row->imm[0] == X86_IMM_JZ) {
        uint32_t d = orc_one_in(r, 4) ? 0 : to - (ORC_CODE + c->code_offset + k->len);
        memcpy(k->bytes + k->imm_at, &d, k->imm_len);
    } else if (row->imm[0] == X86_IMM_AP) {
        uint16_t cs = orc_one_in(r, 2) ? c->in.sel[ORC_CS] : orc_selector(r);
        uint32_t offset = to - (uint32_t)orc_seg_base(cs);
        memcpy(k->bytes + k->imm_at, &offset, k->imm_len - 2);
        memcpy(k->bytes + k->imm_at + k->imm_len - 2, &cs, 2);
    } else if (orc_in(row, ORC_SET_M) && k->modrm < 0xc0) {
        uint8_t far[10];
        uint16_t cs = orc_one_in(r, 3) ? orc_selector(r) : c->in.sel[ORC_CS];
        uint64_t offset = to - (cs == ORC_CS64 ? 0 : orc_seg_base(cs));
        memcpy(far, &offset, 8);
        memcpy(far + k->osize, &cs, 2);
        orc_patch(c, target, far, k->osize + 2u);
    } else if (k->has_modrm && !orc_one_in(r, 8)) {
        give_rm(c, target, to - base, c->bits == 64 ? 8 : k->osize);
    }
    make_frame(r, c, stack);
}

/* What single instructions need to do something else than fault. */
static void make_special(struct orc_rng *r, struct orc_case *c, const struct x86_row *row,
                         uint32_t target, uint32_t stack)
{
    struct orc_code *k = &c->code;
    uint64_t *g = c->in.gpr;
    if (row->attr & X86_ATTR_BRANCH || orc_in(row, ORC_SET_RETURN))
        make_branch(r, c, row, target, stack);
    if (orc_in(row, ORC_SET_BT) && orc_in(row, ORC_SET_G) && k->modrm < 0xc0 && !orc_one_in(r, 4)) {
        unsigned reg = (k->modrm >> 3 & 7) | (k->rex & 4 ? 8 : 0);
        uint64_t before = g[reg];
        g[reg] = orc_below(r, 2048) - 1024u;
        /* The offset register may also be part of the address. */
        orc_aim_modrm(r, c, target);
        if (orc_one_in(r, 4))
            g[reg] = before;
    }
    if (orc_in(row, ORC_SET_DIV) && k->osize && !orc_one_in(r, 3)) {
        g[2] = orc_one_in(r, 2) ? orc_below(r, 16) : -(uint64_t)orc_below(r, 16);
        if (row->byte_size)
            g[0] = orc_below(r, 0x1000);
    }
    if (orc_in(row, ORC_SET_CMPXCHG) && !orc_one_in(r, 3)) {
        uint64_t pair[2] = {g[0], g[2]};
        unsigned n = k->osize == 8 ? 8 : 4;
        if (row->opcode == 0xc7) {
            memcpy((uint8_t *)pair + n, &g[2], n);
            orc_patch(c, target, pair, 2 * n);
        } else {
            give_rm(c, target, g[0], row->byte_size ? 1 : k->osize);
        }
    }
    if (orc_in(row, ORC_SET_SELECTOR) && !orc_one_in(r, 8))
        give_rm(c, target, orc_selector(r), 2);
    if (orc_in(row, ORC_SET_LXS) && k->modrm < 0xc0) {
        uint16_t sel = orc_selector(r);
        orc_patch(c, target + k->osize, &sel, 2);
    }
    if (orc_in(row, ORC_SET_ENTER) && orc_one_in(r, 2)) {
        k->bytes[k->imm_at + 1] &= 1;
        k->bytes[k->imm_at + 2] &= 15;
    }
    if (orc_in(row, ORC_SET_FRAME))
        orc_aim_reg(c, 5, ORC_SS, orc_target(r, 16));
    if (orc_in(row, ORC_SET_XLAT))
        orc_aim_reg(c, 3, k->seg != 0xff ? k->seg : ORC_DS_, target);
    if (orc_in(row, ORC_SET_MASKMOV))
        orc_aim_reg(c, 7, k->seg != 0xff ? k->seg : ORC_DS_, target);
}

/* Images for the instructions that load floating-point state from memory. */
static void make_image(struct orc_rng *r, struct orc_case *c, const struct x86_row *row,
                       uint32_t target)
{
    if (orc_in(row, ORC_SET_MXCSR)) {
        uint32_t mxcsr = (uint32_t)orc_next(r) & (orc_one_in(r, 8) ? UINT32_MAX : 0xffff);
        orc_patch(c, target + (orc_in(row, ORC_SET_LDMXCSR) ? 0 : 24), &mxcsr, 4);
    }
    if (orc_in(row, ORC_SET_XSTATE)) {
        uint64_t header[8] = {orc_next(r) & 7};
        if (orc_one_in(r, 8))
            header[orc_below(r, 8)] = orc_value(r);
        orc_patch(c, target + 512, header, sizeof(header));
        c->in.gpr[0] &= 7;
        c->in.gpr[2] = 0;
    }
    if (orc_in(row, ORC_SET_LOAD_ENV)) {
        uint16_t cw = (uint16_t)(orc_next(r) | (orc_one_in(r, 2) ? 0x3f : 0));
        orc_patch(c, target, &cw, 2);
    }
}

static void make_strings(struct orc_rng *r, struct orc_case *c, const struct x86_row *row,
                         enum orc_kind kind)
{
    if (!orc_in(row, ORC_SET_STRING))
        return;
    uint32_t si = orc_target(r, 8), di = orc_target(r, 8);
    unsigned seg = c->code.seg != 0xff ? c->code.seg : ORC_DS_;
    if (!orc_one_in(r, 32))
        orc_aim_reg(c, 6, seg, si);
    if (!orc_one_in(r, 32))
        orc_aim_reg(c, 7, ORC_ES, di);
    if (!orc_one_in(r, 16)) {
        uint64_t keep = c->code.asize == 2   ? ~UINT64_C(0xffff)
                        : c->code.asize == 4 ? ~UINT64_C(0xffffffff)
                                             : 0;
        c->in.gpr[1] = (c->in.gpr[1] & keep) | orc_below(r, orc_one_in(r, 8) ? 2000 : 24);
    }
    uint8_t bytes[48];
    orc_fill(r, kind, bytes, sizeof(bytes));
    if (c->in.rflags & X86_DF) {
        si -= 40;
        di -= 40;
    }
    orc_patch(c, si, bytes, sizeof(bytes));
    if (orc_one_in(r, 2))
        bytes[orc_below(r, sizeof(bytes))] ^= 1;
    if (!orc_one_in(r, 3))
        orc_patch(c, di, bytes, sizeof(bytes));
}

static uint8_t *ymm_lane(struct orc_case *c, unsigned reg, unsigned offset)
{
    return offset < 16 ? c->in.fx + 160 + 16 * reg + offset : c->in.ymmh + 16 * reg + offset - 16;
}

/* Small indexes and mixed masks for most gathers. */
static void make_gather(struct orc_rng *r, struct orc_case *c, const struct x86_row *row)
{
    unsigned index = (c->code.sib >> 3 & 7) | (c->code.rex & 2 ? 8 : 0);
    unsigned size = row->opcode & 1 ? 8 : 4;
    if (orc_one_in(r, 16))
        return;
    uint64_t spread = orc_one_in(r, 4) ? 4096 : 64;
    for (unsigned at = 0; at < 32; at += size) {
        int64_t v = (int64_t)orc_below(r, (uint32_t)spread) - (int64_t)spread / 2;
        memcpy(ymm_lane(c, index, at), &v, size);
    }
    for (unsigned at = 3; at < 32; at += 4)
        *ymm_lane(c, c->code.vvvv, at) = (uint8_t)orc_next(r);
}

/* The instruction followed by a near jump to the stub, as the code pages will hold it. */
static void finish_code(struct orc_case *c)
{
    struct orc_code *k = &c->code;
    memcpy(c->whole, k->bytes, k->len);
    unsigned n = k->len, jump = c->bits == 16 ? 3 : 5;
    uint32_t stub = ORC_STUB + (c->bits == 64   ? ORC_STUB_64
                                : c->bits == 32 ? ORC_STUB_32
                                                : ORC_STUB_16);
    uint32_t d = stub - (ORC_CODE + c->code_offset + n + jump);
    c->whole[n] = 0xe9;
    memcpy(c->whole + n + 1, &d, jump - 1);
    n += jump;
    if (n > ORC_CODE_BYTES - c->code_offset)
        n = ORC_CODE_BYTES - c->code_offset;
    c->whole_len = (uint8_t)n;
}

void orc_case_make(struct orc_case *c, uint64_t seed, uint64_t number, const struct orc_cell *cell)
{
    struct orc_rng rng = {seed ^ number * 0xd1342543de82ef95u}, *r = &rng;
    const struct x86_row *row = &x86_optable[cell->row];
    memset(c, 0, offsetof(struct orc_case, patch));
    c->seed = seed;
    c->number = number;
    c->row = cell->row;
    c->bits = cell->bits;
    orc_encode(r, row, c->bits, cell, &c->code);
    c->code_offset = 0x800 + orc_below(r, 16);
    unsigned place = orc_below(r, 64);
    if (place < 3)
        c->code_offset = (place ? ORC_PAGE : ORC_CODE_BYTES) - 1 - orc_below(r, c->code.len + 4u);
    enum orc_kind kind = kind_of(r, cell->row);
    make_registers(r, c);
    make_segments(r, c);
    make_fpu(r, c, kind);
    uint32_t stack, target = orc_target(r, 16);
    make_stack(r, c, &stack);
    c->in.rip = ORC_CODE + c->code_offset - orc_cs_base(c);
    if (orc_in(row, ORC_SET_FXSTATE)) {
        if (!orc_one_in(r, 8))
            target = ORC_DATA + (orc_below(r, ORC_RW_BYTES - 896) & ~63u);
    }
    if (c->code.has_modrm && c->code.modrm < 0xc0 && !orc_one_in(r, 40)) {
        orc_aim_modrm(r, c, target);
        fill_at(r, c, kind, target);
        if (c->code.vsib)
            make_gather(r, c, row);
    }
    if (row->imm[0] == X86_IMM_MOFFS && !orc_one_in(r, 16)) {
        unsigned seg = c->code.seg != 0xff ? c->code.seg : ORC_DS_;
        uint64_t base = c->bits != 64   ? orc_seg_base(c->in.sel[seg])
                        : seg == ORC_FS ? c->in.fs_base
                        : seg == ORC_GS ? c->in.gs_base
                                        : 0;
        uint64_t want = target - base;
        memcpy(c->code.bytes + c->code.imm_at, &want, c->code.imm_len);
    }
    c->target = target;
    make_special(r, c, row, target, stack);
    make_image(r, c, row, target);
    make_strings(r, c, row, kind);
    /* Only the low halves can be compared outside 64-bit mode. */
    if (c->bits != 64)
        for (unsigned i = 0; i < 16; i++)
            c->in.gpr[i] = i < 8 ? (uint32_t)c->in.gpr[i] : 0;
    finish_code(c);
}
