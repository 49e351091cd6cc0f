/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decoded instruction, and the contract of the functions that execute one.
 *
 * The decoder (decode.h) fills struct x86_insn from bytes by the opcode table (optable.h). It is
 * shared by interpreter and translator. Execution functions get the processor and the instruction:
 *
 *   - On entry c->rip is the address of this instruction (the generic dispatcher sees to it), and
 * the instruction that follows is at x86_next_rip(c, i).
 *   - X86_NEXT: done, go on with the following instruction. c->rip is left alone.
 *   - X86_BRANCH: c->rip has been set by the function (branches, far transfers, interrupts), or
 *     the mode, CPL, paging or cached code may have changed: look the next instruction up anew.
 *   - X86_FAULT: c->fault has been filled by an x86_raise function. All architectural state must be
 * as before the instruction (except what the SDM says is already written, such as completed REP
 *     iterations). Memory accessors return nonzero after they raised: "if (x86_load32(...)) return
 * X86_FAULT;".
 *   - X86_STOP: the instruction completed (c->rip already advanced) and the processor must leave
 * its loop: HLT, PAUSE between processors, shutdown. c->exit_reason says why.
 *
 * The dispatcher counts instructions, advances rip, handles traps after the instruction (TF, data
 * breakpoints, interrupt shadow) and delivers c->fault. x86_exit reasons of X86_STOP go into
 * c->exit_reason.
 */
#ifndef CPU_X86_INSN_H
#define CPU_X86_INSN_H

#include "cpu/x86/cpu.h"

enum x86_result { X86_NEXT, X86_BRANCH, X86_FAULT, X86_STOP };

struct x86_insn;
typedef enum x86_result x86_exec_fn(struct x86_cpu *c, const struct x86_insn *i);

/* Sizes as log2 of bytes, for osize and asize. */
enum { X86_SIZE_8, X86_SIZE_16, X86_SIZE_32, X86_SIZE_64 };
enum { X86_REP_NONE, X86_REP_NE = 0xf2, X86_REP_E = 0xf3 };
enum { X86_NO_REG = 0xff };

struct x86_insn {
    x86_exec_fn *exec;
    uint64_t imm; /* immediate, sign-extended as the instruction uses it; branch displacement;
                     offset of a far pointer; absolute moffs address */
    int32_t disp; /* of the memory operand; RIP-relative ones have base X86_NO_REG and riprel set */
    uint16_t
        imm2; /* ENTER's nesting level, selector of a far pointer, EXTRQ/INSERTQ's second byte */
    uint16_t row;   /* index into x86_optable */
    uint8_t len;    /* bytes, 1..15 */
    uint8_t opcode; /* last opcode byte */
    uint8_t modrm;  /* raw, 0 when there is none */
    uint8_t mem;    /* 1: rm is a memory operand */
    uint8_t reg; /* modrm.reg with REX.R (for segment, control, debug registers as the row says) */
    uint8_t rm;  /* modrm.rm with REX.B when mem == 0; opcode register (with REX.B) for +r rows */
    uint8_t base, index,
        scale;     /* of the memory operand: register numbers or X86_NO_REG; scale 0..3 */
    uint8_t seg;   /* segment of the memory operand (override applied) or of string source */
    uint8_t osize; /* effective operand size of the instruction (row's own rules applied) */
    uint8_t asize; /* address size */
    uint8_t rep;   /* X86_REP_*: last F2/F3 prefix that is not part of the opcode */
    uint8_t lock;
    uint8_t rex; /* whole REX byte or 0: with it, byte registers 4..7 are SPL..DIL, not AH..BH */
    uint8_t riprel;
    uint8_t vvvv, vlen; /* VEX: second source and 0 = 128, 1 = 256 bits */
    /* Byte registers reg and rm as byte offsets into gpr[] (AH..BH are the second byte of 0..3). */
    uint8_t reg8, rm8;
    /* Of the decoded-instruction cache: bytes from the start of its block, and instructions from
     * this one to the end of the block. */
    uint8_t left;
    uint16_t off;
};

/*
 * The offset (effective address) of the memory operand, truncated to the address size. @next_rip is
 * the address of the following instruction (RIP-relative operands).
 */
uint64_t x86_ea(const struct x86_cpu *c, const struct x86_insn *i);

static inline uint64_t x86_next_rip(const struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t next = c->rip + i->len;
    return c->mode == X86_MODE_64 ? next : (uint32_t)next;
}

#endif
