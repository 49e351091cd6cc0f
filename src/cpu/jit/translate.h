/* SPDX-License-Identifier: Apache-2.0 */
/* One block while it is being translated. */
#ifndef CPU_JIT_TRANSLATE_H
#define CPU_JIT_TRANSLATE_H

#include "cpu/jit/jit_internal.h"

/* A way out of the straight line, whose code follows the block. */
enum stub_kind {
    STUB_LOAD,    /* the operand of a load, by function */
    STUB_STORE,   /* a store, likewise, with the instruction once more */
    STUB_VECTORS, /* the vector registers are not loaded */
    STUB_EDGE,    /* a conditional branch that is taken */
    STUB_STEP,    /* the interpreter must run the instruction */
};

struct stub {
    uint8_t kind, insn;
    bool in_host, saved, af_unknown; /* of the flags, at the jump */
    uint8_t *from;                   /* displacement of the jump to it */
    uint8_t *back;                   /* where it returns to */
    struct jit_site *site;
    uint64_t target; /* of an edge */
};

/* The longest block has no more: a check of vectors, two of memory, a branch for each instruction.
 */
enum { STUBS = 4 * JIT_BLOCK_INSNS };

struct translation {
    struct jit *j;
    struct emit e;
    struct jit_block *block;
    uint64_t lin;
    unsigned count;
    struct x86_insn insn[JIT_BLOCK_INSNS];
    uint16_t at[JIT_BLOCK_INSNS + 1]; /* offsets of the instructions from lin */
    unsigned now;                     /* the instruction that is being translated */
    /* The guest's flags are in the host's, in x86_jit.flags. At least one is true. */
    bool in_host, saved;
    bool af_unknown; /* the host's AF means nothing, the guest's is 0 */
    bool vectors;    /* the vector registers are known to be loaded */
    bool ended;      /* nothing falls out of the last instruction */
    struct stub stubs[STUBS];
    unsigned stub_count;
};

static inline const struct jit_row *row_of(const struct translation *t, const struct x86_insn *i)
{
    return &t->j->rows[i->row];
}
static inline uint64_t rip_of(const struct translation *t, unsigned n)
{
    return t->lin + t->at[n];
}

/* flags.c */
/* The host's to memory; uses T0, and they are gone afterwards. AF is 0 if @af_unknown. */
void flags_save(struct emit *e, bool af_unknown);
void flags_load(struct emit *e, int tmp); /* memory's to the host */
/* What follows destroys the host's flags. Uses T0. */
void flags_clobber(struct translation *t);
/* The instruction needs flags in the host's. Uses T1. */
void flags_need(struct translation *t, const struct x86_insn *i);
void flags_written(struct translation *t, const struct x86_insn *i);

/* operand.c */
struct stub *add_stub(struct translation *t, enum stub_kind kind, uint8_t *from);
struct jit_site *make_site(struct translation *t, const struct x86_insn *i);
/* The linear address of the memory operand, to T0. The host's flags may be destroyed after. */
void emit_address(struct translation *t, const struct x86_insn *i);
/* T0: a linear address; becomes the host's. The stub's @back is not set yet. */
struct stub *emit_check(struct translation *t, const struct x86_insn *i, unsigned size, bool write,
                        bool rmw, bool aligned, unsigned seg);
/* Back from the check of a memory operand to its linear address. */
void emit_undo_check(struct translation *t, bool write);
void emit_need_vectors(struct translation *t, const struct x86_insn *i);
unsigned operand_size(const struct x86_insn *i, uint8_t size);

/* same.c: the instruction at hand with T0 as its address if it has a memory operand. */
bool same_possible(const struct translation *t, const struct x86_insn *i);
void emit_same_core(struct translation *t, const struct x86_insn *i);

/* branch.c */
/* Whether a branch is translated: near, with a target that exists. */
bool branch_possible(const struct translation *t, const struct x86_insn *i, uint64_t next);
void emit_go(struct translation *t, uint64_t target, unsigned refund);
void emit_branch(struct translation *t, const struct x86_insn *i);
void emit_refund(struct translation *t, unsigned n);

/* stack.c: the instructions on the stack, and others with a way of their own. */
bool special_possible(const struct translation *t, const struct x86_insn *i);
void emit_special(struct translation *t, const struct x86_insn *i);
/* The access of the instruction at T0, and what it does to registers afterwards. */
void emit_core(struct translation *t, const struct x86_insn *i);
void emit_post(struct translation *t, const struct x86_insn *i);
/* A memory access: check, core, post; size and direction given. */
void emit_access(struct translation *t, const struct x86_insn *i, unsigned size, bool write,
                 bool rmw, bool aligned, unsigned seg);

#endif
