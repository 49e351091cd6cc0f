/* SPDX-License-Identifier: Apache-2.0 */
#include "container/seccomp_internal.h"

/* Conditional jumps reach 255; this leaves room for what is put between. */
enum { REACH = 250 };

static void put(struct seccomp_program *p, struct sock_filter insn)
{
    if (p->count < BPF_MAXINSNS)
        p->code[BPF_MAXINSNS - 1 - p->count] = insn;
    p->count++;
}

unsigned seccomp_emit(struct seccomp_program *p, uint16_t op, uint32_t k)
{
    put(p, (struct sock_filter){.code = op, .k = k});
    return p->count;
}

unsigned seccomp_emit_return(struct seccomp_program *p, uint32_t value)
{
    unsigned label = seccomp_emit(p, BPF_RET | BPF_K, value);
    unsigned i = 0;
    while (i < p->return_count && p->returns[i].value != value)
        i++;
    if (i < sizeof(p->returns) / sizeof(p->returns[0])) {
        p->returns[i].value = value;
        p->returns[i].label = label;
        p->return_count = i < p->return_count ? p->return_count : i + 1;
    }
    return label;
}

unsigned seccomp_return(struct seccomp_program *p, uint32_t value)
{
    for (unsigned i = 0; i < p->return_count; i++)
        if (p->returns[i].value == value && p->count - p->returns[i].label < REACH)
            return p->returns[i].label;
    return seccomp_emit_return(p, value);
}

/* @label, or something near that goes there. */
static unsigned near(struct seccomp_program *p, unsigned label)
{
    if (p->count - label < REACH + 2)
        return label;
    if (label && label <= BPF_MAXINSNS) {
        const struct sock_filter *target = &p->code[BPF_MAXINSNS - label];
        if (target->code == (BPF_RET | BPF_K))
            return seccomp_emit_return(p, target->k);
    }
    return seccomp_emit(p, BPF_JMP | BPF_JA, p->count - label);
}

unsigned seccomp_jump(struct seccomp_program *p, uint16_t op, uint32_t k, unsigned yes, unsigned no)
{
    yes = near(p, yes);
    no = near(p, no);
    put(p, (struct sock_filter){.code = (uint16_t)(BPF_JMP | op | BPF_K),
                                .jt = (uint8_t)(p->count - yes),
                                .jf = (uint8_t)(p->count - no),
                                .k = k});
    return p->count;
}
