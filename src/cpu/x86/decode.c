/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vol. 2, chapter 2 and appendix A. Prefix rules of the Intel family: of F2 and F3 the last counts,
 * REX counts only directly before the opcode, in 64-bit mode the overrides of ES, CS, SS and DS
 * do nothing, near branches have 64-bit operands whatever 66 says.
 *
 * A VEX prefix (2.3.5) stands for 66, F2, F3, REX and the opcode's escape bytes: it is turned into
 * these, and the row is then looked up in a map of its own.
 */
#include "cpu/x86/decode.h"

#include "cpu/x86/optable.h"

enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };

struct cursor {
    const uint8_t *bytes;
    size_t avail;
    unsigned pos;
    enum x86_decode_result trouble;
};

/* The next @n bytes as a little-endian number; 0 with trouble set when they are not there. */
static uint64_t take(struct cursor *cur, unsigned n)
{
    uint64_t v = 0;

    if (cur->trouble)
        return 0;
    if (cur->pos + n > cur->avail || cur->pos + n > X86_INSN_MAX) {
        /* A byte that the limit forbids is never fetched, so the limit is looked at first. */
        cur->trouble = cur->avail >= X86_INSN_MAX ? X86_DECODE_LONG : X86_DECODE_MORE;
        return 0;
    }
    memcpy(&v, cur->bytes + cur->pos, n);
    cur->pos += n;
    return v;
}

struct prefixes {
    bool opsize, adsize, lock;
    uint8_t rep, rex;
    uint8_t seg; /* X86_SEGS: none */
    bool vex, w, l;
    uint8_t vvvv; /* not inverted any more; 0 when absent */
};

/* Reads prefixes and returns the first opcode byte. */
static uint8_t take_prefixes(struct cursor *cur, bool is64, struct prefixes *p)
{
    for (;;) {
        uint8_t b = (uint8_t)take(cur, 1);
        uint8_t rex = 0;

        switch (b) {
        case 0x66:
            p->opsize = true;
            break;
        case 0x67:
            p->adsize = true;
            break;
        case 0xf0:
            p->lock = true;
            break;
        case 0xf2:
        case 0xf3:
            p->rep = b;
            break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
            if (!is64)
                p->seg = (b >> 3) & 3;
            break;
        case 0x64:
        case 0x65:
            p->seg = b & 7;
            break;
        default:
            if (!is64 || (b & 0xf0) != 0x40)
                return b;
            rex = b;
            break;
        }
        if (cur->trouble)
            return 0;
        p->rex = rex;
    }
}

/*
 * C4 and C5 are VEX where LES and LDS would have a register operand, and in 64-bit mode always; in
 * real and v8086 mode never (vol. 2, 2.3.5).
 */
static bool begins_vex(struct cursor *cur, const struct x86_decode_env *env, uint8_t byte)
{
    struct cursor ahead = *cur;

    if ((byte & 0xfe) != 0xc4 || env->mode == X86_MODE_REAL || env->mode == X86_MODE_V86)
        return false;
    if (env->mode == X86_MODE_64)
        return true;
    byte = (uint8_t)take(&ahead, 1);
    cur->trouble = ahead.trouble;
    return byte >= 0xc0;
}

/* The rest of a VEX prefix and the opcode byte. False: #UD. */
static bool take_vex(struct cursor *cur, const struct x86_decode_env *env, uint8_t *opcode,
                     struct prefixes *p, unsigned *ret_map)
{
    bool three = *opcode == 0xc4;
    uint8_t a = (uint8_t)take(cur, 1), b = three ? (uint8_t)take(cur, 1) : a;
    unsigned map = three ? a & 0x1f : 1;

    /* Known to be invalid without more bytes. */
    if (!cur->trouble && (p->opsize || p->rep || p->lock || p->rex || map < 1 || map > 3))
        return false;
    p->vex = true;
    p->w = three && b & 0x80;
    p->l = b & 4;
    p->vvvv = ~b >> 3 & 15;
    p->opsize = (b & 3) == 1;
    p->rep = (b & 3) == 2 ? 0xf3 : (b & 3) == 3 ? 0xf2 : 0;
    p->rex = 0x40;
    if (env->mode == X86_MODE_64) {
        p->rex |= (p->w ? REX_W : 0) | (a & 0x80 ? 0 : REX_R);
        if (three)
            p->rex |= (a & 0x40 ? 0 : REX_X) | (a & 0x20 ? 0 : REX_B);
    }
    *ret_map = X86_MAP_VEX + map;
    *opcode = (uint8_t)take(cur, 1);
    return true;
}

static bool vex_fits(const struct x86_row *row, const struct prefixes *p)
{
    if (row->attr & (p->l ? X86_ATTR_L0 : X86_ATTR_L1))
        return false;
    if (row->attr & (p->w ? X86_ATTR_W0 : X86_ATTR_W1))
        return false;
    return row->attr & X86_ATTR_NDS || p->vvvv == 0;
}

static uint8_t take_opcode(struct cursor *cur, uint8_t first, unsigned *ret_map)
{
    *ret_map = 0;
    if (first != 0x0f)
        return first;
    *ret_map = 1;
    first = (uint8_t)take(cur, 1);
    if (first == 0x38 || first == 0x3a) {
        *ret_map = first == 0x38 ? 2 : 3;
        first = (uint8_t)take(cur, 1);
    }
    return first;
}

static bool prefix_fits(const struct x86_row *row, const struct prefixes *p)
{
    /* F3 90 is PAUSE only for the register that makes 90 a NOP: with REX.B it is XCHG R8. */
    if (row->prefix == X86_PREFIX_F3 && row->map == 0 && (p->rex & REX_B))
        return false;
    switch (row->prefix) {
    case X86_PREFIX_NP:
        return !p->opsize && !p->rep;
    case X86_PREFIX_66:
        return p->opsize && !p->rep;
    case X86_PREFIX_F3:
        return p->rep == 0xf3;
    case X86_PREFIX_F2:
        return p->rep == 0xf2;
    case X86_PREFIX_NR:
        return !p->rep;
    default:
        return true;
    }
}

static bool mode_fits(const struct x86_row *row, const struct x86_decode_env *env)
{
    if (row->attr & (X86_ATTR_I64 | X86_ATTR_O64 | X86_ATTR_PROT)) {
        if ((row->attr & X86_ATTR_I64) && env->mode == X86_MODE_64)
            return false;
        if ((row->attr & X86_ATTR_O64) && env->mode != X86_MODE_64)
            return false;
        if ((row->attr & X86_ATTR_PROT) &&
            (env->mode == X86_MODE_REAL || env->mode == X86_MODE_V86))
            return false;
    }
    return row->feature == X86_FEAT_ALWAYS || !env->model ||
           x86_model_has(env->model, row->feature);
}

/* The row for these bytes; the ModRM byte is looked at, not taken. NULL: invalid or trouble. */
static const struct x86_row *find_row(struct cursor *cur, const struct x86_decode_env *env,
                                      const struct prefixes *p, unsigned map, uint8_t opcode)
{
    struct x86_bucket bucket = x86_buckets[map][opcode];

    for (unsigned n = 0; n < bucket.count; n++) {
        const struct x86_row *row = &x86_optable[x86_candidates[bucket.first + n]];
        struct cursor ahead = *cur;
        uint8_t modrm;

        if (!prefix_fits(row, p) || !mode_fits(row, env) || (p->vex && !vex_fits(row, p)))
            continue;
        if (!row->has_modrm)
            return row;
        modrm = (uint8_t)take(&ahead, 1);
        if (ahead.trouble) {
            cur->trouble = ahead.trouble;
            return NULL;
        }
        if ((modrm & row->modrm_mask) != row->modrm_value ||
            (row->mod == X86_MOD_MEM && modrm >= 0xc0) || (row->mod == X86_MOD_REG && modrm < 0xc0))
            continue;
        return row;
    }
    return NULL;
}

/* 16-bit addressing forms (vol. 2, table 2-1). */
static void take_mem16(struct cursor *cur, struct x86_insn *i)
{
    static const uint8_t bases[8] = {X86_RBX, X86_RBX, X86_RBP, X86_RBP,
                                     X86_RSI, X86_RDI, X86_RBP, X86_RBX};
    static const uint8_t indexes[8] = {X86_RSI,    X86_RDI,    X86_RSI,    X86_RDI,
                                       X86_NO_REG, X86_NO_REG, X86_NO_REG, X86_NO_REG};
    unsigned mod = i->modrm >> 6, rm = i->modrm & 7;

    if (mod == 0 && rm == 6) {
        i->disp = (int16_t)take(cur, 2);
        return;
    }
    i->base = bases[rm];
    i->index = indexes[rm];
    if (mod == 1)
        i->disp = (int8_t)take(cur, 1);
    else if (mod == 2)
        i->disp = (int16_t)take(cur, 2);
}

/* 32 and 64-bit addressing forms (vol. 2, tables 2-2, 2-3). */
static void take_mem(struct cursor *cur, struct x86_insn *i, bool is64, bool vsib)
{
    unsigned mod = i->modrm >> 6, rm = i->modrm & 7;
    uint8_t rex = i->rex;

    if (rm == 4) {
        uint8_t sib = (uint8_t)take(cur, 1);
        uint8_t index = ((sib >> 3) & 7) | ((rex & REX_X) ? 8 : 0);
        i->scale = sib >> 6;
        i->index = index == X86_RSP && !vsib ? X86_NO_REG : index;
        if ((sib & 7) == 5 && mod == 0)
            i->disp = (int32_t)take(cur, 4);
        else
            i->base = (sib & 7) | ((rex & REX_B) ? 8 : 0);
    } else if (rm == 5 && mod == 0) {
        i->disp = (int32_t)take(cur, 4);
        i->riprel = is64;
    } else {
        i->base = (uint8_t)(rm | ((rex & REX_B) ? 8 : 0));
    }
    if (mod == 1)
        i->disp = (int8_t)take(cur, 1);
    else if (mod == 2)
        i->disp = (int32_t)take(cur, 4);
}

static uint8_t byte_reg(uint8_t reg, uint8_t rex)
{
    return !rex && reg >= 4 && reg < 8 ? (uint8_t)((reg - 4) * 8 + 1) : (uint8_t)(reg * 8);
}

static void take_modrm(struct cursor *cur, const struct x86_row *row, struct x86_insn *i,
                       const struct prefixes *p, bool is64)
{
    i->modrm = (uint8_t)take(cur, 1);
    i->reg = (i->modrm >> 3) & 7;
    if (!row->reg_low && (i->rex & REX_R))
        i->reg |= 8;
    i->mem = i->modrm < 0xc0 && row->mod != X86_MOD_IGNORE;
    if (!i->mem) {
        i->rm = i->modrm & 7;
        if (!row->rm_low && (i->rex & REX_B))
            i->rm |= 8;
        return;
    }
    if (i->asize == X86_SIZE_16)
        take_mem16(cur, i);
    else
        take_mem(cur, i, is64, row->vsib);
    if (p->seg == X86_SEGS && (i->base == X86_RBP || i->base == X86_RSP))
        i->seg = X86_SS;
}

static uint64_t sign_extend(uint64_t v, unsigned bytes)
{
    unsigned shift = 64 - bytes * 8;
    return (uint64_t)((int64_t)(v << shift) >> shift);
}

static void take_imm(struct cursor *cur, struct x86_insn *i, unsigned kind, bool second)
{
    unsigned z = i->osize == X86_SIZE_16 ? 2 : 4;
    uint64_t v = 0;

    switch (kind) {
    case X86_IMM_IB:
        v = take(cur, 1);
        break;
    case X86_IMM_IBS:
    case X86_IMM_JB:
        v = sign_extend(take(cur, 1), 1);
        break;
    case X86_IMM_IW:
        v = take(cur, 2);
        break;
    case X86_IMM_IZ:
    case X86_IMM_JZ:
        v = sign_extend(take(cur, z), z);
        break;
    case X86_IMM_IV:
        v = take(cur, i->osize == X86_SIZE_64 ? 8 : z);
        break;
    case X86_IMM_AP:
        v = take(cur, z);
        i->imm2 = (uint16_t)take(cur, 2);
        break;
    case X86_IMM_MOFFS:
        v = take(cur, 1u << i->asize);
        break;
    default:
        return;
    }
    if (second)
        i->imm2 = (uint16_t)v;
    else
        i->imm = v;
}

static uint8_t operand_size(const struct x86_row *row, const struct x86_decode_env *env,
                            const struct prefixes *p)
{
    bool opsize = p->opsize && row->prefix != X86_PREFIX_66;

    if (row->byte_size)
        return X86_SIZE_8;
    if (p->vex)
        return p->rex & REX_W ? X86_SIZE_64 : X86_SIZE_32;
    if (env->mode != X86_MODE_64)
        return env->big ^ opsize ? X86_SIZE_32 : X86_SIZE_16;
    if ((p->rex & REX_W) || (row->attr & X86_ATTR_F64))
        return X86_SIZE_64;
    if (opsize)
        return X86_SIZE_16;
    return row->attr & X86_ATTR_D64 ? X86_SIZE_64 : X86_SIZE_32;
}

static uint8_t address_size(const struct x86_decode_env *env, const struct prefixes *p)
{
    if (env->mode == X86_MODE_64)
        return p->adsize ? X86_SIZE_32 : X86_SIZE_64;
    return env->big ^ p->adsize ? X86_SIZE_32 : X86_SIZE_16;
}

/* Registers of three bits outside 64-bit mode: the fourth bit of vvvv is ignored there. */
static uint8_t vvvv_of(const struct prefixes *p, bool is64)
{
    return is64 ? p->vvvv : p->vvvv & 7;
}

/* A vector index needs a SIB byte, of 32 or 64-bit addressing (vol. 2, 2.3.12). */
static bool vsib_fits(const struct x86_row *row, const struct x86_insn *i)
{
    return likely(!row->vsib) || (i->asize != X86_SIZE_16 && (i->modrm & 7) == 4);
}

/* Control and debug registers that do not exist are #UD even where the instruction is #GP. */
static bool special_reg_exists(const struct x86_row *row, unsigned reg)
{
    if (likely(row->map != 1 || (row->opcode & 0xfc) != 0x20))
        return true;
    return row->opcode & 1 ? reg < 8 : reg == 0 || (reg >= 2 && reg <= 4) || reg == 8;
}

enum x86_decode_result x86_decode(const struct x86_decode_env *env, const uint8_t *bytes,
                                  size_t avail, struct x86_insn *ret)
{
    struct cursor cur = {.bytes = bytes, .avail = avail};
    struct prefixes p = {.seg = X86_SEGS};
    bool is64 = env->mode == X86_MODE_64;
    unsigned map;
    uint8_t opcode = take_prefixes(&cur, is64, &p);
    const struct x86_row *row;
    struct x86_insn i;

    if (!cur.trouble && begins_vex(&cur, env, opcode)) {
        if (!take_vex(&cur, env, &opcode, &p, &map))
            return X86_DECODE_INVALID;
    } else {
        opcode = take_opcode(&cur, opcode, &map);
    }
    if (cur.trouble)
        return cur.trouble;
    row = find_row(&cur, env, &p, map, opcode);
    if (!row)
        return cur.trouble ? cur.trouble : X86_DECODE_INVALID;

    i = (struct x86_insn){.exec = x86_execs[row - x86_optable],
                          .row = (uint16_t)(row - x86_optable),
                          .opcode = opcode,
                          .base = X86_NO_REG,
                          .index = X86_NO_REG,
                          .seg = p.seg == X86_SEGS ? X86_DS : p.seg,
                          .osize = operand_size(row, env, &p),
                          .asize = address_size(env, &p),
                          .lock = p.lock,
                          .rex = p.rex,
                          .vvvv = vvvv_of(&p, is64),
                          .vlen = p.l};
    if (row->prefix != X86_PREFIX_F2 && row->prefix != X86_PREFIX_F3)
        i.rep = p.rep;
    if (row->has_modrm)
        take_modrm(&cur, row, &i, &p, is64);
    else if (row->plus_r)
        i.rm = (opcode & 7) | ((p.rex & REX_B) ? 8 : 0);
    if (!special_reg_exists(row, i.reg) || !vsib_fits(row, &i))
        return cur.trouble ? cur.trouble : X86_DECODE_INVALID;
    take_imm(&cur, &i, row->imm[0], false);
    take_imm(&cur, &i, row->imm[1], true);
    if (cur.trouble)
        return cur.trouble;
    if (p.lock && (!(row->attr & X86_ATTR_LOCK) || !i.mem))
        return X86_DECODE_INVALID;
    i.reg8 = byte_reg(i.reg, p.rex);
    i.rm8 = byte_reg(i.rm, p.rex);
    i.len = (uint8_t)cur.pos;
    *ret = i;
    return X86_DECODE_OK;
}

struct x86_decode_env x86_decode_env_of(const struct x86_cpu *c)
{
    return (struct x86_decode_env){
        .model = c->vm->model,
        .mode = c->mode,
        .big = (c->seg[X86_CS].attr & X86_SEG_DB) != 0,
    };
}

uint64_t x86_ea(const struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t ea = (uint64_t)(int64_t)i->disp;

    if (i->base != X86_NO_REG)
        ea += c->gpr[i->base & 15];
    if (i->index != X86_NO_REG)
        ea += c->gpr[i->index & 15] << (i->scale & 3);
    if (i->riprel)
        ea += c->rip + i->len;
    return i->asize == X86_SIZE_64 ? ea : i->asize == X86_SIZE_32 ? (uint32_t)ea : (uint16_t)ea;
}
