/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masked loads and stores, and gathers.
 *
 * Only lanes whose mask has its top bit set touch memory, so that the others never fault.
 */
#include "cpu/x86/avx.h"
#include "x86-opcodes.h"

static uint64_t wrap(const struct x86_insn *i, uint64_t off)
{
    return i->asize == X86_SIZE_64 ? off : i->asize == X86_SIZE_32 ? (uint32_t)off : (uint16_t)off;
}

/*
 * Lane accessors without alignment check: these instructions never raise #AC (vol. 2, VMASKMOV,
 * VPGATHERDD).
 */
#define LANE(bits)                                                                                 \
    static int load_lane##bits(struct x86_cpu *c, const struct x86_insn *i, uint64_t off,          \
                               uint##bits##_t *ret)                                                \
    {                                                                                              \
        bool check = c->align_check;                                                               \
        c->align_check = false;                                                                    \
        int r = x86_load##bits(c, i->seg, wrap(i, off), ret);                                      \
        c->align_check = check;                                                                    \
        return r;                                                                                  \
    }                                                                                              \
    static int store_lane##bits(struct x86_cpu *c, const struct x86_insn *i, uint64_t off,         \
                                uint##bits##_t v, bool probe)                                      \
    {                                                                                              \
        bool check = c->align_check;                                                               \
        c->align_check = false;                                                                    \
        int r = probe ? x86_probe_write(c, i->seg, wrap(i, off), bits / 8)                         \
                      : x86_store##bits(c, i->seg, wrap(i, off), v);                               \
        c->align_check = check;                                                                    \
        return r;                                                                                  \
    }
LANE(32)
LANE(64)

#define MASKED(bits)                                                                               \
    enum x86_result x86_op_avx_mask_load##bits(struct x86_cpu *c, const struct x86_insn *i)        \
    {                                                                                              \
        X86_AVX_ENTER(c);                                                                          \
        union x86_ymm m = x86_ymm_get(c, i->vvvv), r = {.u64 = {0, 0, 0, 0}};                      \
        uint64_t off = x86_ea(c, i);                                                               \
        for (unsigned k = 0; k < x86_avx_bytes(i) / (bits / 8); k++)                               \
            if (m.u##bits[k] >> (bits - 1) &&                                                      \
                load_lane##bits(c, i, off + bits / 8 * k, &r.u##bits[k]))                          \
                return X86_FAULT;                                                                  \
        x86_avx_put(c, i->reg, &r, i->vlen);                                                       \
        return X86_NEXT;                                                                           \
    }                                                                                              \
    /* Nothing is written unless all can be. */                                                    \
    enum x86_result x86_op_avx_mask_store##bits(struct x86_cpu *c, const struct x86_insn *i)       \
    {                                                                                              \
        X86_AVX_ENTER(c);                                                                          \
        union x86_ymm m = x86_ymm_get(c, i->vvvv), v = x86_ymm_get(c, i->reg);                     \
        uint64_t off = x86_ea(c, i);                                                               \
        for (unsigned pass = 0; pass < 2; pass++)                                                  \
            for (unsigned k = 0; k < x86_avx_bytes(i) / (bits / 8); k++)                           \
                if (m.u##bits[k] >> (bits - 1) &&                                                  \
                    store_lane##bits(c, i, off + bits / 8 * k, v.u##bits[k], pass == 0))           \
                    return X86_FAULT;                                                              \
        return X86_NEXT;                                                                           \
    }
MASKED(32)
MASKED(64)

/* The base of a gather's addresses; its index is added lane by lane. */
static uint64_t gather_base(const struct x86_cpu *c, const struct x86_insn *i)
{
    return (uint64_t)(int64_t)i->disp + (i->base != X86_NO_REG ? c->gpr[i->base & 15] : 0);
}

/*
 * Lanes are loaded in order; each that is done has its mask cleared, so that after a fault the
 * instruction goes on where it was (vol. 2, VPGATHERDD). Destination, index and mask must be three
 * registers (#UD).
 */
#define GATHER(name, index_field, bits, lanes_of_index)                                            \
    enum x86_result x86_op_avx_gather_##name##bits(struct x86_cpu *c, const struct x86_insn *i)    \
    {                                                                                              \
        X86_AVX_ENTER(c);                                                                          \
        if (i->reg == i->index || i->reg == i->vvvv || i->index == i->vvvv)                        \
            return x86_raise_ud(c);                                                                \
        union x86_ymm m = x86_ymm_get(c, i->vvvv), r = x86_ymm_get(c, i->reg);                     \
        const union x86_ymm index = x86_ymm_get(c, i->index & 15);                                 \
        unsigned n = x86_avx_bytes(i) / (bits / 8), most = x86_avx_bytes(i) / lanes_of_index;      \
        uint64_t base = gather_base(c, i);                                                         \
        n = n < most ? n : most;                                                                   \
        for (unsigned k = 0; k < n; k++) {                                                         \
            uint64_t off = base + ((uint64_t)(int64_t)index.index_field[k] << i->scale);           \
            if (m.u##bits[k] >> (bits - 1) && load_lane##bits(c, i, off, &r.u##bits[k])) {         \
                x86_avx_put(c, i->reg, &r, 1);                                                     \
                x86_avx_put(c, i->vvvv, &m, 1);                                                    \
                return X86_FAULT;                                                                  \
            }                                                                                      \
            m.u##bits[k] = 0;                                                                      \
        }                                                                                          \
        for (unsigned k = n; k < 32 / (bits / 8); k++)                                             \
            r.u##bits[k] = 0;                                                                      \
        m = (union x86_ymm){.u64 = {0, 0, 0, 0}};                                                  \
        x86_avx_put(c, i->reg, &r, i->vlen);                                                       \
        x86_avx_put(c, i->vvvv, &m, i->vlen);                                                      \
        return X86_NEXT;                                                                           \
    }
GATHER(d, i32, 32, 4)
GATHER(d, i32, 64, 4)
GATHER(q, i64, 32, 8)
GATHER(q, i64, 64, 8)
