/* SPDX-License-Identifier: Apache-2.0 */
/* IN, OUT, INS, OUTS and their permission checks (vol. 1, chapter 18). */
#include "cpu/x86/flags.h"
#include "cpu/x86/system.h"
#include "x86-opcodes.h"

/* Iterations of a repeated instruction before the dispatcher gets its turn. */
enum { REP_BATCH = 256 };

/* Nonzero after a fault. */
static int check_port(struct x86_cpu *c, uint16_t port, unsigned size)
{
    bool fault = false;

    if (!(c->cr0 & X86_CR0_PE))
        return 0;
    if (!(c->rflags & X86_VM) && c->cpl <= (c->rflags & X86_IOPL) >> 12)
        return 0;
    if (x86_io_permitted(c, port, size, &fault))
        return 0;
    return fault ? 1 : x86_raise_gp(c, 0);
}

static uint32_t port_read(struct x86_cpu *c, uint16_t port, unsigned size)
{
    const struct x86_host *h = &c->vm->host;
    uint32_t value;

    x86_debug_io(c, port, size);
    h->lock(h->opaque);
    value = ports_read(c->vm->ports, port, size);
    h->unlock(h->opaque);
    return value;
}

static void port_write(struct x86_cpu *c, uint16_t port, unsigned size, uint32_t value)
{
    const struct x86_host *h = &c->vm->host;

    x86_debug_io(c, port, size);
    h->lock(h->opaque);
    ports_write(c->vm->ports, port, size, value);
    h->unlock(h->opaque);
}

/* Bytes: opcode bit 0 clear is a byte access, REX.W does not widen. */
static unsigned port_size(const struct x86_insn *i)
{
    return !(i->opcode & 1) ? 1 : i->osize == X86_SIZE_16 ? 2 : 4;
}

static enum x86_result in(struct x86_cpu *c, const struct x86_insn *i, uint16_t port)
{
    unsigned size = port_size(i);
    uint32_t value;

    if (check_port(c, port, size))
        return X86_FAULT;
    value = port_read(c, port, size);
    if (size == 4)
        c->gpr[X86_RAX] = value;
    else
        memcpy(&c->gpr[X86_RAX], &value, size);
    return x86_resync(c, i);
}

static enum x86_result out(struct x86_cpu *c, const struct x86_insn *i, uint16_t port)
{
    unsigned size = port_size(i);
    uint32_t value = 0;

    if (check_port(c, port, size))
        return X86_FAULT;
    memcpy(&value, &c->gpr[X86_RAX], size);
    port_write(c, port, size, value);
    return x86_resync(c, i);
}

enum x86_result x86_op_in_imm(struct x86_cpu *c, const struct x86_insn *i)
{
    return in(c, i, (uint8_t)i->imm);
}

enum x86_result x86_op_in_dx(struct x86_cpu *c, const struct x86_insn *i)
{
    return in(c, i, (uint16_t)c->gpr[X86_RDX]);
}

enum x86_result x86_op_out_imm(struct x86_cpu *c, const struct x86_insn *i)
{
    return out(c, i, (uint8_t)i->imm);
}

enum x86_result x86_op_out_dx(struct x86_cpu *c, const struct x86_insn *i)
{
    return out(c, i, (uint16_t)c->gpr[X86_RDX]);
}

static uint64_t size_mask(unsigned asize)
{
    return asize == X86_SIZE_64 ? UINT64_MAX : asize == X86_SIZE_32 ? UINT32_MAX : 0xffff;
}

static void add_reg(struct x86_cpu *c, unsigned reg, unsigned asize, uint64_t n)
{
    uint64_t *r = &c->gpr[reg];

    if (asize == X86_SIZE_16)
        *r = (*r & ~0xffffull) | ((*r + n) & 0xffff);
    else
        *r = (*r + n) & size_mask(asize);
}

static enum x86_result ins_one(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
    uint16_t port = (uint16_t)c->gpr[X86_RDX];
    uint64_t off = c->gpr[X86_RDI] & size_mask(i->asize);
    uint32_t value;

    /* The destination first: what the device gave must not get lost. */
    if (x86_probe_write(c, X86_ES, off, size))
        return X86_FAULT;
    value = port_read(c, port, size);
    if (x86_store_slow(c, X86_ES, off, size, &value))
        return X86_FAULT;
    add_reg(c, X86_RDI, i->asize, c->rflags & X86_DF ? 0ull - size : size);
    return X86_NEXT;
}

static enum x86_result outs_one(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
    uint64_t off = c->gpr[X86_RSI] & size_mask(i->asize);
    uint32_t value = 0;

    if (x86_load_slow(c, i->seg, off, size, &value))
        return X86_FAULT;
    port_write(c, (uint16_t)c->gpr[X86_RDX], size, value);
    add_reg(c, X86_RSI, i->asize, c->rflags & X86_DF ? 0ull - size : size);
    return X86_NEXT;
}

static enum x86_result string_io(struct x86_cpu *c, const struct x86_insn *i,
                                 enum x86_result (*one)(struct x86_cpu *, const struct x86_insn *,
                                                        unsigned))
{
    unsigned size = port_size(i);
    uint64_t mask = size_mask(i->asize);

    if (i->rep && !(c->gpr[X86_RCX] & mask))
        return X86_NEXT;
    if (check_port(c, (uint16_t)c->gpr[X86_RDX], size))
        return X86_FAULT;
    for (unsigned n = 0; n < REP_BATCH; n++) {
        if (one(c, i, size) == X86_FAULT)
            return X86_FAULT;
        if (!i->rep)
            return x86_resync(c, i);
        add_reg(c, X86_RCX, i->asize, UINT64_MAX);
        if (!(c->gpr[X86_RCX] & mask))
            return x86_resync(c, i);
        if (atomic_load_explicit(&c->attention, memory_order_relaxed))
            break;
    }
    return X86_BRANCH; /* RIP stays: the dispatcher comes back for the rest */
}

enum x86_result x86_op_ins(struct x86_cpu *c, const struct x86_insn *i)
{
    return string_io(c, i, ins_one);
}

enum x86_result x86_op_outs(struct x86_cpu *c, const struct x86_insn *i)
{
    return string_io(c, i, outs_one);
}
