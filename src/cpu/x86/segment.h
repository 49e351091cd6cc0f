/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors and segment registers (vol. 3, 3.4 and 5). */
#ifndef CPU_X86_SEGMENT_H
#define CPU_X86_SEGMENT_H

#include "cpu/x86/access.h"
#include "cpu/x86/insn.h"

/* The eight bytes of a descriptor, and the other eight of a system descriptor in long mode. */
struct x86_desc {
    uint32_t lo, hi;
    uint32_t base_high;
    uint64_t lin; /* where it stands */
};

/* System descriptor types (vol. 3, 3.5). */
enum {
    X86_TYPE_TSS16 = 1,
    X86_TYPE_LDT = 2,
    X86_TYPE_TSS16_BUSY = 3,
    X86_TYPE_CALL16 = 4,
    X86_TYPE_TASK_GATE = 5,
    X86_TYPE_INT16 = 6,
    X86_TYPE_TRAP16 = 7,
    X86_TYPE_TSS32 = 9, /* and 64-bit */
    X86_TYPE_TSS32_BUSY = 11,
    X86_TYPE_CALL32 = 12, /* and 64-bit */
    X86_TYPE_INT32 = 14,
    X86_TYPE_TRAP32 = 15,
};

static inline unsigned x86_desc_type(const struct x86_desc *d)
{
    return d->hi >> 8 & 0xf;
}
static inline bool x86_desc_s(const struct x86_desc *d)
{
    return d->hi >> 12 & 1;
}
static inline unsigned x86_desc_dpl(const struct x86_desc *d)
{
    return d->hi >> 13 & 3;
}
static inline bool x86_desc_present(const struct x86_desc *d)
{
    return d->hi >> 15 & 1;
}
static inline bool x86_desc_code(const struct x86_desc *d)
{
    return x86_desc_s(d) && (d->hi & 0x800);
}
static inline bool x86_desc_conforming(const struct x86_desc *d)
{
    return d->hi & 0x400;
}
/* Code: readable; data: writable. */
static inline bool x86_desc_rw(const struct x86_desc *d)
{
    return d->hi & 0x200;
}
static inline bool x86_desc_l(const struct x86_desc *d)
{
    return d->hi >> 21 & 1;
}
static inline bool x86_desc_db(const struct x86_desc *d)
{
    return d->hi >> 22 & 1;
}
uint32_t x86_desc_limit(const struct x86_desc *d);
uint64_t x86_desc_base(const struct x86_desc *d);

/* Offset, selector and parameter count of a gate. */
static inline uint32_t x86_gate_offset(const struct x86_desc *d)
{
    bool wide = x86_desc_type(d) & 8;
    return (d->lo & 0xffff) | (wide ? d->hi & 0xffff0000u : 0);
}
static inline uint16_t x86_gate_selector(const struct x86_desc *d)
{
    return (uint16_t)(d->lo >> 16);
}

enum { X86_DESC_OK, X86_DESC_LIMIT, X86_DESC_FAULT };

/*
 * Reads the descriptor of @sel (not null). X86_DESC_LIMIT: outside its table, nothing raised;
 * X86_DESC_FAULT: a page fault was raised. In long mode the upper half of system descriptors is
 * read by x86_desc_read_high (same results).
 */
int x86_desc_read(struct x86_cpu *c, uint16_t sel, struct x86_desc *ret);
int x86_desc_read_high(struct x86_cpu *c, uint16_t sel, struct x86_desc *d);
/* As x86_desc_read, raising @vector(@sel) when outside the table. Nonzero after a fault. */
int x86_desc_need(struct x86_cpu *c, uint16_t sel, uint8_t vector, struct x86_desc *ret);

/* Sets the accessed bit of a code or data descriptor in memory and in @d. Nonzero after a fault. */
int x86_desc_accessed(struct x86_cpu *c, struct x86_desc *d);

/* Fills the cached part of @s from a descriptor; nothing is checked or derived. */
void x86_seg_from_desc(struct x86_seg *s, uint16_t sel, const struct x86_desc *d);
/* Makes @seg null with selector @sel. In 64-bit mode the base is zero afterwards. */
void x86_seg_set_null(struct x86_cpu *c, unsigned seg, uint16_t sel);
/* Loads @seg as real and v8086 mode do. */
void x86_seg_set_real(struct x86_cpu *c, unsigned seg, uint16_t sel);
/* Enters a checked code segment at privilege @cpl; the mode is derived anew. */
void x86_cs_enter(struct x86_cpu *c, uint16_t sel, const struct x86_desc *d, unsigned cpl);

/* MOV to a segment register other than CS, in any mode. Nonzero after a fault. */
int x86_seg_load(struct x86_cpu *c, unsigned seg, uint16_t sel);
/* Checks @sel for SS at privilege @cpl, raising @vector (#GP or #TS) or #SS. Not null. */
int x86_ss_check(struct x86_cpu *c, uint16_t sel, unsigned cpl, uint8_t vector,
                 struct x86_desc *ret);
/* Nulls the data segments that privilege @cpl may not use (return to an outer ring). */
void x86_segs_drop_inner(struct x86_cpu *c, unsigned cpl);

/* Whether [off, off + size) is inside the limit of @s. */
bool x86_seg_in_limit(const struct x86_seg *s, uint64_t off, unsigned size);

static inline bool x86_is_real(const struct x86_cpu *c)
{
    return c->mode == X86_MODE_REAL || c->mode == X86_MODE_V86;
}
static inline bool x86_long(const struct x86_cpu *c)
{
    return c->efer & X86_EFER_LMA;
}

/*
 * A stack being pushed to or popped from, apart from the registers until x86_stack_commit. Popping
 * and pushing use the access class of privilege @cpl.
 */
struct x86_stack {
    struct x86_seg ss;
    uint64_t sp, mask;
    enum x86_access_class cls;
    bool wide;          /* 64-bit mode: no segmentation */
    uint16_t error_sel; /* error code of #SS when there is no room */
};
/* The current stack. */
void x86_stack_here(struct x86_cpu *c, struct x86_stack *s);
/* Whether @count values fit below the top without a look at memory; nonzero after #SS. */
int x86_stack_room(struct x86_cpu *c, const struct x86_stack *s, unsigned size, unsigned count);
/* Size as log2 of bytes. Nonzero after a fault. */
int x86_stack_push(struct x86_cpu *c, struct x86_stack *s, unsigned size, uint64_t value);
int x86_stack_pop(struct x86_cpu *c, struct x86_stack *s, unsigned size, uint64_t *ret);
/* Writes RSP back, by the width of the stack. */
void x86_stack_commit(struct x86_cpu *c, const struct x86_stack *s);

#endif
