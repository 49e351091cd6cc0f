/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How translated code works.
 *
 * A block is a run of guest instructions inside one page, up to an unconditional branch or an
 * instruction that only the interpreter's handlers execute and after which anything may be
 * different. It is translated for one linear address, one physical page, one mode and one class of
 * memory access. Instructions keep their encoding but for register numbers and memory operands.
 *
 * Registers: RSP is the host's stack, R15 the struct x86_cpu, R10 and R11 are scratch, R14 is the
 * guest's RSP. RAX to RDI but RSP, R8, R9, R12, R13 are the guest's own. The guest's R10, R11, R14
 * and R15 stay in x86_cpu.gpr. Vector registers and MXCSR are the guest's while x86_jit.xmm_live.
 *
 * Flags: the guest's arithmetic flags are in the host's flags, in x86_jit.flags, or in both; which,
 * is known at each point of a block (struct translation). At the edges of a block they are in
 * x86_jit.flags. What destroys the host's flags (checks, counting) saves them before.
 *
 * Memory: the linear address in R10, exclusive-or with the key and the tag of its TLB entry
 * (cpu.h), is the offset in the page if they agree; one comparison finds out that and whether the
 * operand stays in the page. Otherwise the access is done by a function on a copy of the operand
 * (x86_jit.buffer).
 *
 * Counting: x86_jit.budget is lowered by the length of a block at its start; a block that does not
 * fit is not entered. Who leaves a block early gives back what was not run, so that the count is
 * exact at each way out.
 */
#ifndef CPU_JIT_INTERNAL_H
#define CPU_JIT_INTERNAL_H

#include "cpu/jit/arena.h"
#include "cpu/jit/emit.h"
#include "cpu/jit/jit.h"
#include "cpu/x86/access.h"
#include "cpu/x86/decode.h"
#include "cpu/x86/optable.h"

enum { CPU = R15, T0 = R10, T1 = R11, GUEST_SP = R14 };
enum {
    JIT_CODE_BYTES = 64 << 20,
    JIT_DATA_BYTES = 32 << 20,
    JIT_BLOCK_INSNS = 48,
    JIT_BLOCK_CODE = 24 << 10, /* more than the longest translation */
    JIT_HASH_BITS = 15,
    JIT_PAGE_BITS = 12,
};

/* Why translated code was left: what jit->enter returns. */
enum jit_leave {
    JIT_LEAVE_LOOK = 1, /* go on at c->rip */
    JIT_LEAVE_LINK, /* the same, and x86_jit.site is the struct jit_link that may be connected */
    JIT_LEAVE_FAULT,
    JIT_LEAVE_STOP,
    JIT_LEAVE_STEP, /* the instruction at c->rip is the interpreter's */
};

/* A place in a block that may have to be explained: who calls out passes its address. */
struct jit_site {
    uint64_t rip;  /* of the instruction */
    uint64_t next; /* of the one after it */
    uint8_t left;  /* instructions of the block from this one on */
    uint8_t size;  /* of the memory operand */
    uint8_t seg;
    bool rmw, aligned;
    bool last; /* the block ends behind it */
    bool flags_in, flags_out;
    struct x86_insn insn; /* for an instruction that a handler executes */
};

/* A direct jump that may be connected to its target in the same page. */
struct jit_link {
    uint8_t *at; /* its displacement, in the writable mapping */
    uint64_t target;
};

struct jit_block {
    uint64_t lin, gfn;
    uint16_t start, end; /* bytes in the page */
    uint8_t cls, count;
    bool user, stale;
    uint8_t *code; /* its entry, in the writable mapping */
    uint8_t *gone; /* where the entry leads when the block is stale */
    struct jit_block *hash_next, *page_next;
};

struct jit_page {
    uint64_t gfn;
    struct jit_block *blocks;
    struct jit_page *next;
};

/* How an instruction is translated. */
enum jit_kind {
    JIT_HELP, /* by its handler */
    JIT_SAME, /* as it is */
    JIT_NOTHING,
    JIT_LEA,
    JIT_MOV_IMM, /* to the opcode's register */
    JIT_BSWAP,
    JIT_XCHG_A,
    JIT_PUSH,
    JIT_PUSH_IMM,
    JIT_POP,
    JIT_LEAVE_FRAME,
    JIT_DIV,
    JIT_IDIV,
    JIT_JCC,
    JIT_JMP,
    JIT_CALL,
    JIT_JMP_TO,
    JIT_CALL_TO,
    JIT_RET,
};
enum { JIT_READ = 1, JIT_WRITE = 2 };
enum jit_class { JIT_NONE, JIT_GPR, JIT_VECTOR };
enum { JIT_SIZE_V = 0xff, JIT_SIZE_Y = 0xfe }; /* by operand size; 4 or with REX.W 8 */

/* What is known of an opcode row. */
struct jit_row {
    uint8_t kind;
    uint8_t rm, reg;               /* enum jit_class of the ModRM operands */
    uint8_t rm_access, reg_access; /* JIT_READ, JIT_WRITE */
    uint8_t rm_size, reg_size;     /* bytes, or JIT_SIZE_* */
    bool aligned, vectors;
    bool rm_dword;          /* rm_size is of memory; a register is taken whole */
    bool af_unknown;        /* leaves AF undefined: 0 for the guest */
    uint16_t reads, writes; /* arithmetic flags; those left undefined are written */
};

/* Whether the block whose entry is @code is stale: it begins with a jump then, and not with
 * counting (tables of jumps may still name it). */
static inline bool jit_gone(const void *code)
{
    return *(const uint8_t *)code == 0xe9;
}

typedef uint64_t jit_enter_fn(struct x86_cpu *c, const void *code);

struct jit {
    struct x86_vm *vm;
    struct gmem *gm;
    struct arena arena;
    size_t code_used, code_start; /* the thunks come first */
    uint8_t *data;
    size_t data_used;
    jit_enter_fn *enter;
    /* Thunks, in the writable mapping. */
    uint8_t *leave, *leave_link, *leave_step, *load, *prepare, *commit, *helper, *vectors;
    struct jit_block *hash[1 << JIT_HASH_BITS];
    struct jit_page *pages[1 << JIT_PAGE_BITS];
    struct gmem_listener listener;
    atomic_flag lock; /* of what other threads leave here */
    struct jit_written {
        uint64_t gfn;
        uint16_t offset, len;
    } written[256];
    unsigned written_count;
    bool written_lost;  /* more than fit: forget everything */
    unsigned block_max; /* at most JIT_BLOCK_INSNS */
    uint64_t context_last;
    struct jit_context {
        uint64_t asid, gen, mode, id;
    } contexts[256];
    uint32_t host_features[X86_FEATURE_WORDS];
    struct jit_row rows[X86_ROWS];
    struct x86_jit_stats stats;
};

/* Where the jump table of @c has @lin in the context in force. */
static inline struct x86_jit_jump *jit_jump_slot(struct x86_cpu *c, uint64_t lin)
{
    return &c->jit.jump[(lin ^ lin >> 12 ^ c->jit.context) & (X86_JIT_JUMPS - 1)];
}

static inline struct jit *jit_of(const struct x86_cpu *c)
{
    return c->vm->translator;
}

/* The offset of a member of struct x86_cpu, for code. */
#define CPU_AT(member) host_mem(CPU, (int32_t)offsetof(struct x86_cpu, member))

/* Where guest register @n lives; NO_REG: in memory. */
static inline int jit_home(unsigned n)
{
    static const int8_t homes[16] = {RAX, RCX, RDX,    RBX,    GUEST_SP, RBP, RSI,    RDI,
                                     R8,  R9,  NO_REG, NO_REG, R12,      R13, NO_REG, NO_REG};
    return homes[n & 15];
}
static inline struct host_rm jit_gpr(unsigned n)
{
    return host_mem(CPU, (int32_t)(offsetof(struct x86_cpu, gpr) + (n & 15) * 8));
}

/* rows.c: fills j->rows; j->host_features is known. */
void jit_rows_init(struct jit *j);

/* thunks.c: writes the entry and the ways out at the start of the arena. */
void jit_make_thunks(struct jit *j);

/* runtime.c: what thunks call. */
uint64_t jit_slow_load(struct x86_cpu *c, uint64_t lin, const struct jit_site *s);
uint64_t jit_slow_prepare(struct x86_cpu *c, uint64_t lin, const struct jit_site *s);
void jit_slow_commit(struct x86_cpu *c);
uint64_t jit_help(struct x86_cpu *c, const struct jit_site *s);
uint64_t jit_vectors_ready(struct x86_cpu *c, const struct jit_site *s);
void jit_flags_to_cpu(struct x86_cpu *c);
void jit_flags_from_cpu(struct x86_cpu *c);

/* cache.c */
struct jit_block *jit_find(struct jit *j, uint64_t lin, uint64_t gfn, uint8_t cls, bool user);
void jit_insert(struct jit *j, struct jit_block *b);
/* Nothing was translated from page @gfn now: writes to it matter only if older blocks are there. */
void jit_forget_unused(struct jit *j, uint64_t gfn);
void *jit_data(struct jit *j, size_t bytes);
/* Whether there is room for one more block; drops everything when not. */
void jit_make_room(struct jit *j);
void jit_drop_all(struct jit *j);
void jit_take_written(struct jit *j);
void jit_listen(struct jit *j);
void jit_unlisten(struct jit *j);

/* translate.c: the block at @lin, which is in page @gfn. NULL: its first instruction is
 * the interpreter's. */
struct jit_block *jit_translate(struct x86_cpu *c, uint64_t lin, uint64_t gfn);

#endif
