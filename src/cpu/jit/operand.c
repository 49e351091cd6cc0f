/* SPDX-License-Identifier: Apache-2.0 */
/* Memory operands: addresses, the check against the TLB, and what cannot be checked inline. */
#include <string.h>

#include "cpu/jit/translate.h"

struct stub *add_stub(struct translation *t, enum stub_kind kind, uint8_t *from)
{
    struct stub *s = &t->stubs[t->stub_count++];

    *s = (struct stub){.kind = (uint8_t)kind,
                       .insn = (uint8_t)t->now,
                       .in_host = t->in_host,
                       .saved = t->saved,
                       .af_unknown = t->af_unknown,
                       .from = from};
    return s;
}

struct jit_site *make_site(struct translation *t, const struct x86_insn *i)
{
    struct jit_site *s = jit_data(t->j, sizeof(*s));

    memset(s, 0, sizeof(*s));
    s->rip = rip_of(t, t->now);
    s->next = rip_of(t, t->now + 1);
    s->left = (uint8_t)(t->count - t->now);
    return s;
}

unsigned operand_size(const struct x86_insn *i, uint8_t size)
{
    if (size == JIT_SIZE_V)
        return 1u << i->osize;
    if (size == JIT_SIZE_Y)
        return i->rex & 8 ? 8 : 4;
    return size;
}

static int register_of(struct translation *t, unsigned guest, int scratch)
{
    int home = jit_home(guest);

    if (home == NO_REG)
        emit_load(&t->e, scratch, jit_gpr(guest));
    return home == NO_REG ? scratch : home;
}

void emit_address(struct translation *t, const struct x86_insn *i)
{
    struct host_rm at = {.mem = true, .base = NO_REG, .index = NO_REG, .disp = i->disp};
    bool wide = i->asize == X86_SIZE_64;

    if (i->riprel || (i->base == X86_NO_REG && i->index == X86_NO_REG)) {
        uint64_t ea = (uint64_t)(int64_t)i->disp + (i->riprel ? rip_of(t, t->now + 1) : 0);
        emit_mov_imm(&t->e, T0, wide ? ea : (uint32_t)ea);
    } else {
        if (i->base != X86_NO_REG)
            at.base = (int8_t)register_of(t, i->base, T0);
        if (i->index != X86_NO_REG) {
            at.index = (int8_t)register_of(t, i->index, T1);
            at.scale = i->scale;
        }
        if (wide && at.index == NO_REG && at.disp == 0)
            emit_mov(&t->e, T0, at.base);
        else
            emit_rm(&t->e, wide, 0x8d, T0, at);
    }
    if (i->seg == X86_FS || i->seg == X86_GS)
        emit_rm(&t->e, true, 0x03, T0,
                host_mem(CPU,
                         (int32_t)(offsetof(struct x86_cpu, seg) + i->seg * sizeof(struct x86_seg) +
                                   offsetof(struct x86_seg, lin_base))));
}

/* A member of the TLB entry that T1 is the offset of. */
static struct host_rm tlb_at(const struct translation *t, size_t member)
{
    size_t table =
        offsetof(struct x86_cpu, tlb) + t->block->cls * sizeof(((struct x86_cpu *)NULL)->tlb[0]);
    return (struct host_rm){
        .mem = true, .base = CPU, .index = T1, .disp = (int32_t)(table + member)};
}

_Static_assert(sizeof(struct x86_tlb_entry) == 32, "an index is shifted by 5");

static size_t tag_of(bool write)
{
    return write ? offsetof(struct x86_tlb_entry, wtag) : offsetof(struct x86_tlb_entry, rtag);
}

struct stub *emit_check(struct translation *t, const struct x86_insn *i, unsigned size, bool write,
                        bool rmw, bool aligned, unsigned seg)
{
    struct emit *e = &t->e;
    struct stub *s;

    emit_rm(e, false, 0x89, T0, host_reg(T1)); /* mov r11d, r10d */
    emit_rm(e, false, 0xc1, 5, host_reg(T1));  /* shr r11d, 7 */
    emit8(e, GMEM_PAGE_BITS - 5);
    emit_rm(e, false, 0x81, 4, host_reg(T1)); /* and r11d, ... */
    emit32(e, (X86_TLB_SIZE - 1) << 5);
    emit_rm(e, true, 0x33, T0, CPU_AT(tlb_key));
    emit_rm(e, true, 0x33, T0, tlb_at(t, tag_of(write)));
    if (aligned) {
        emit_rm(e, true, 0xf7, 0, host_reg(T0)); /* test: offset in the page, multiple of 16 */
        emit32(e, ~(uint32_t)(GMEM_PAGE_SIZE - 16));
        s = add_stub(t, write ? STUB_STORE : STUB_LOAD, emit_jcc(e, CC_NE));
    } else {
        emit_alu_imm(e, 7, host_reg(T0), (int32_t)(GMEM_PAGE_SIZE - size));
        s = add_stub(t, write ? STUB_STORE : STUB_LOAD, emit_jcc(e, CC_A));
    }
    emit_rm(e, true, 0x03, T0, tlb_at(t, offsetof(struct x86_tlb_entry, host)));
    s->site = make_site(t, i);
    s->site->size = (uint8_t)size;
    s->site->seg = (uint8_t)seg;
    s->site->rmw = rmw;
    s->site->aligned = aligned;
    return s;
}

void emit_need_vectors(struct translation *t, const struct x86_insn *i)
{
    struct stub *s;

    if (t->vectors)
        return;
    flags_clobber(t);
    emit_op(&t->e, (struct host_op){.opcode = 0x80, .reg = 7}, CPU_AT(jit.xmm_live));
    emit8(&t->e, 0);
    s = add_stub(t, STUB_VECTORS, emit_jcc(&t->e, CC_E));
    s->back = t->e.at;
    s->site = make_site(t, i);
    t->vectors = true;
}

void emit_undo_check(struct translation *t, bool write)
{
    emit_rm(&t->e, true, 0x33, T0, tlb_at(t, tag_of(write)));
    emit_rm(&t->e, true, 0x33, T0, CPU_AT(tlb_key));
}
