/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the oracles compare: the state of one processor around one instruction, in a form that both
 * the host processor and an Isola processor can be loaded from and saved to, and the linear
 * addresses that exist on both sides.
 *
 * Linear addresses (all else is unmapped on both sides):
 *   ORC_CODE  two pages, read + execute: 0xcc bytes with the tested instruction somewhere inside
 *   ORC_STUB  where the tested instruction continues: on the host the way back into the harness,
 *             on the guest not executable, so that arriving is a page fault
 *   ORC_DATA  two pages read + write, then one read only
 */
#ifndef TESTS_ORACLE_STATE_H
#define TESTS_ORACLE_STATE_H

#include <stddef.h>
#include <stdint.h>

enum { ORC_PAGE = 4096 };
#define ORC_CODE16 0x20000000u /* base of the 16-bit code segment */
#define ORC_CODE   0x20001000u
#define ORC_STUB   0x20004000u
#define ORC_DATA16 0x2fff8000u /* base of the 16-bit data segment */
#define ORC_DATA   0x30000000u
enum { ORC_CODE_BYTES = 2 * ORC_PAGE, ORC_RW_BYTES = 2 * ORC_PAGE, ORC_DATA_BYTES = 3 * ORC_PAGE };

/* Offsets in the stub page of the way back from each kind of code. */
enum { ORC_STUB_64 = 0, ORC_STUB_32 = 64, ORC_STUB_16 = 128 };

/* Selectors of Linux' GDT (arch/x86/include/asm/segment.h). */
enum { ORC_CS32 = 0x23, ORC_DS = 0x2b, ORC_CS64 = 0x33 };

/* The local descriptor table, the same on both sides; all DPL 3. */
struct orc_ldt {
    uint32_t base, limit; /* limit in units of the granularity */
    uint8_t type;         /* descriptor type without the accessed bit */
    uint8_t big, pages, absent;
};
enum {
    ORC_LDT_CODE16,
    ORC_LDT_DATA16,
    ORC_LDT_CODE32, /* base not 0 */
    ORC_LDT_DATA32, /* base not 0 */
    ORC_LDT_DOWN32,
    ORC_LDT_RO,
    ORC_LDT_ABSENT,
    ORC_LDT_XONLY,
    ORC_LDT_CONFORM, /* absent, because Linux accepts no other */
    ORC_LDT_DOWN16,
    ORC_LDT_SMALL, /* 32-bit data, byte limit inside the data pages */
    ORC_LDT_N
};
extern const struct orc_ldt orc_ldt[ORC_LDT_N];
#define ORC_LDT_SEL(n) ((n) << 3 | 7)

enum { ORC_ES, ORC_CS, ORC_SS, ORC_DS_, ORC_FS, ORC_GS };

enum { ORC_RAN = -1, ORC_HANG = 0x100, ORC_SYSCALL = 0x101, ORC_STOPPED = 0x102 };

/* host_entry.S knows these offsets. */
struct orc_state {
    uint64_t gpr[16];
    uint64_t rip, rflags;
    uint64_t fs_base, gs_base;
    uint16_t sel[8];
    int32_t vector; /* exception, or ORC_RAN: came to the stub, or another ORC_ outcome */
    uint32_t err;
    uint64_t cr2;
    _Alignas(64) uint8_t fx[512]; /* FXSAVE64 image */
    uint8_t ymmh[256]; /* upper halves of YMM0-YMM15; not touched on a host without AVX */
};
_Static_assert(offsetof(struct orc_state, rip) == 128, "host_entry.S");
_Static_assert(offsetof(struct orc_state, fs_base) == 144, "host_entry.S");
_Static_assert(offsetof(struct orc_state, sel) == 160, "host_entry.S");
_Static_assert(offsetof(struct orc_state, vector) == 176, "host_entry.S");
_Static_assert(offsetof(struct orc_state, fx) == 192, "host_entry.S");
_Static_assert(offsetof(struct orc_state, ymmh) == 704, "host_entry.S");
_Static_assert(sizeof(struct orc_state) <= 1024, "host_entry.S");

#endif
