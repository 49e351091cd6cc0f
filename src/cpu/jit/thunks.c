/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The code around blocks: the entry, the ways out, and the calls of runtime.c.
 *
 * Inside blocks the stack is aligned to 16 bytes, so that a thunk that was called has to make up
 * for its return address.
 */
#include "cpu/jit/jit_internal.h"

static const uint8_t saved[] = {RBX, RBP, R12, R13, R14, R15};

static void move_gprs(struct emit *e, bool to_memory)
{
    for (unsigned n = 0; n < 16; n++) {
        if (jit_home(n) == NO_REG)
            continue;
        if (to_memory)
            emit_store(e, jit_gpr(n), jit_home(n));
        else
            emit_load(e, jit_home(n), jit_gpr(n));
    }
}

static void mxcsr(struct emit *e, unsigned which, struct host_rm at)
{
    emit_op(e, (struct host_op){.map = 1, .opcode = 0xae, .reg = (uint8_t)which}, at);
}

/* All vector registers and MXCSR. MOVUPS: the offset in struct x86_cpu may be anything. */
static void move_vectors(struct emit *e, bool to_memory)
{
    if (to_memory) {
        mxcsr(e, 3, CPU_AT(mxcsr));
        mxcsr(e, 2, CPU_AT(jit.host_mxcsr));
    } else {
        mxcsr(e, 2, CPU_AT(mxcsr));
    }
    for (unsigned n = 0; n < 16; n++)
        emit_op(e, (struct host_op){.map = 1, .opcode = to_memory ? 0x11 : 0x10, .reg = (uint8_t)n},
                host_mem(CPU, (int32_t)(offsetof(struct x86_cpu, xmm) + n * 16)));
}

static void compare8(struct emit *e, struct host_rm at, unsigned value)
{
    emit_op(e, (struct host_op){.opcode = 0x80, .reg = 7}, at);
    emit8(e, value);
}

static void store8(struct emit *e, struct host_rm at, unsigned value)
{
    emit_op(e, (struct host_op){.opcode = 0xc6}, at);
    emit8(e, value);
}

/* Saves or loads the vectors if they are the guest's. */
static void vectors_if_live(struct emit *e, bool to_memory, bool drop)
{
    uint8_t *skip;

    compare8(e, CPU_AT(jit.xmm_live), 0);
    skip = emit_jcc(e, CC_E);
    move_vectors(e, to_memory);
    if (drop)
        store8(e, CPU_AT(jit.xmm_live), 0);
    emit_land(e, skip);
}

static void call_c(struct emit *e, uint64_t function)
{
    emit_mov(e, RDI, CPU);
    emit_mov_imm(e, RAX, function);
    emit_bytes(e, "\xff\xd0", 2); /* call rax */
}

static void move_stack(struct emit *e, int bytes)
{
    emit_alu_imm(e, 0, host_reg(RSP), bytes);
}

/* Ends the stay in translated code with RAX as result; registers have been saved. */
static void emit_end(struct emit *e)
{
    emit_load(e, RSP, CPU_AT(jit.host_stack));
    for (unsigned n = sizeof(saved); n-- > 0;) {
        if (saved[n] & 8)
            emit8(e, 0x41);
        emit8(e, 0x58 | (saved[n] & 7u));
    }
    emit8(e, 0xc3);
}

static const uint8_t *make_enter(struct emit *e, struct jit *j)
{
    const uint8_t *at = e->at;

    for (unsigned n = 0; n < sizeof(saved); n++) {
        if (saved[n] & 8)
            emit8(e, 0x41);
        emit8(e, 0x50 | (saved[n] & 7u));
    }
    emit_mov(e, CPU, RDI);
    emit_mov(e, T0, RSI);
    emit_store(e, CPU_AT(jit.host_stack), RSP);
    move_stack(e, -8); /* six registers and a return address are there */
    move_gprs(e, false);
    emit_rm(e, false, 0xff, 4, host_reg(T0));
    (void)j;
    return at;
}

/* Called with an argument in T1, of whose result not zero means to leave. */
static uint8_t *make_call(struct emit *e, const uint8_t *end, uint64_t function, bool lin,
                          bool keep_vectors)
{
    uint8_t *at = e->at, *away;

    move_gprs(e, true);
    emit_mov(e, lin ? RDX : RSI, T1);
    if (lin)
        emit_mov(e, RSI, T0);
    vectors_if_live(e, true, !keep_vectors);
    move_stack(e, -8);
    call_c(e, function);
    emit_rm(e, true, 0x85, RAX, host_reg(RAX));
    away = emit_jcc(e, CC_NE);
    move_stack(e, 8);
    if (keep_vectors)
        vectors_if_live(e, false, false);
    move_gprs(e, false);
    if (lin)
        emit_rm(e, true, 0x8d, T0, CPU_AT(jit.buffer));
    emit8(e, 0xc3);
    emit_land(e, away);
    store8(e, CPU_AT(jit.xmm_live), 0); /* they were saved */
    emit_jmp_to(e, end);
    return at;
}

/* The operand in the buffer goes to memory. Changes nothing else: flags and scratch may hold
 * results. */
static uint8_t *make_commit(struct emit *e)
{
    uint8_t *at = e->at;

    emit_bytes(e, "\x9c\x41\x52\x41\x53", 5); /* pushf; push r10; push r11 */
    move_gprs(e, true);
    vectors_if_live(e, true, false);
    call_c(e, (uint64_t)(uintptr_t)jit_slow_commit);
    vectors_if_live(e, false, false);
    move_gprs(e, false);
    emit_bytes(e, "\x41\x5b\x41\x5a\x9d\xc3", 6);
    return at;
}

/* T1: struct jit_site. Makes the vectors the guest's. */
static uint8_t *make_vectors(struct emit *e, const uint8_t *end)
{
    uint8_t *at = e->at, *away;

    move_gprs(e, true);
    emit_mov(e, RSI, T1);
    move_stack(e, -8);
    call_c(e, (uint64_t)(uintptr_t)jit_vectors_ready);
    emit_rm(e, true, 0x85, RAX, host_reg(RAX));
    away = emit_jcc(e, CC_NE);
    move_stack(e, 8);
    move_vectors(e, false);
    store8(e, CPU_AT(jit.xmm_live), 1);
    move_gprs(e, false);
    emit8(e, 0xc3);
    emit_land_at(e, away, end);
    return at;
}

/* T0: where to go on. */
static uint8_t *make_leave(struct emit *e, const uint8_t *end, unsigned why)
{
    uint8_t *at = e->at;

    emit_store(e, CPU_AT(rip), T0);
    if (why == JIT_LEAVE_LINK)
        emit_store(e, CPU_AT(jit.site), T1);
    move_gprs(e, true);
    vectors_if_live(e, true, true);
    emit_mov_imm(e, RAX, why);
    emit_jmp_to(e, end);
    return at;
}

void jit_make_thunks(struct jit *j)
{
    struct emit e = {.at = j->arena.write, .end = j->arena.write + 16384};
    const uint8_t *end = e.at, *enter;

    emit_end(&e);
    enter = make_enter(&e, j);
    j->leave = make_leave(&e, end, JIT_LEAVE_LOOK);
    j->leave_link = make_leave(&e, end, JIT_LEAVE_LINK);
    j->leave_step = make_leave(&e, end, JIT_LEAVE_STEP);
    j->load = make_call(&e, end, (uint64_t)(uintptr_t)jit_slow_load, true, true);
    j->prepare = make_call(&e, end, (uint64_t)(uintptr_t)jit_slow_prepare, true, true);
    j->helper = make_call(&e, end, (uint64_t)(uintptr_t)jit_help, false, false);
    j->commit = make_commit(&e);
    j->vectors = make_vectors(&e, end);
    j->enter = (jit_enter_fn *)(uintptr_t)arena_run(&j->arena, enter);
    j->code_start = j->code_used = (size_t)(e.at - j->arena.write + 63) & ~(size_t)63;
}
