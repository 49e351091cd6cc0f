/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The architectural state of a processor as a table (bus/state.h). Arithmetic flags are saved in
 * one canonical form, so that equal states are equal bytes; translations and decoded code are
 * caches and stay out.
 */
#include "cpu/x86/state.h"

#include <limits.h>

#include "cpu/x86/access.h"
#include "cpu/x86/flags.h"
#include "cpu/x86/model.h"
#include "cpu/x86/system.h"

/* A member of a member, named as a person would. */
#define PART(label, member)                                                                        \
    {                                                                                              \
        .name = (label), .kind = STATE_UINT, .count = 1,                                           \
        .offset = offsetof(struct x86_cpu, member), .size = sizeof(((struct x86_cpu *)0)->member)  \
    }
#define SEGMENT(label, member)                                                                     \
    PART(label ".sel", member.sel), PART(label ".attr", member.attr),                              \
        PART(label ".limit", member.limit), PART(label ".base", member.base),                      \
        PART(label ".null", member.null)
#define TABLE(label, member) PART(label ".base", member.base), PART(label ".limit", member.limit)
#define X87(n)               PART("st" #n ".frac", fpu.st[n].frac), PART("st" #n ".se", fpu.st[n].se)
#define FIELD(member)        STATE_FIELD(struct x86_cpu, member, 0)
#define ARRAY(member)        STATE_ARRAY(struct x86_cpu, member, 0)

static const struct state_field fields[] = {
    ARRAY(gpr),
    FIELD(rip),
    FIELD(rflags),
    PART("lazy.result", lazy.result),
    PART("lazy.aux", lazy.aux),
    PART("lazy.op", lazy.op),
    FIELD(cpl),
    FIELD(shadow),
    FIELD(shadow_rip),
    SEGMENT("es", seg[X86_ES]),
    SEGMENT("cs", seg[X86_CS]),
    SEGMENT("ss", seg[X86_SS]),
    SEGMENT("ds", seg[X86_DS]),
    SEGMENT("fs", seg[X86_FS]),
    SEGMENT("gs", seg[X86_GS]),
    SEGMENT("ldt", ldt),
    SEGMENT("tr", tr),
    TABLE("gdt", gdt),
    TABLE("idt", idt),
    STATE_BLOB(struct x86_cpu, xmm),
    STATE_BLOB(struct x86_cpu, ymmh),
    FIELD(mxcsr),
    X87(0),
    X87(1),
    X87(2),
    X87(3),
    X87(4),
    X87(5),
    X87(6),
    X87(7),
    PART("fpu.cw", fpu.cw),
    PART("fpu.sw", fpu.sw),
    PART("fpu.top", fpu.top),
    PART("fpu.tag", fpu.tag),
    PART("fpu.fop", fpu.fop),
    PART("fpu.fcs", fpu.fcs),
    PART("fpu.fds", fpu.fds),
    PART("fpu.fip", fpu.fip),
    PART("fpu.fdp", fpu.fdp),
    FIELD(cr0),
    FIELD(cr2),
    FIELD(cr3),
    FIELD(cr4),
    FIELD(xcr0),
    FIELD(efer),
    ARRAY(pdpte),
    ARRAY(dr),
    FIELD(star),
    FIELD(lstar),
    FIELD(cstar),
    FIELD(sfmask),
    FIELD(kernel_gs_base),
    FIELD(tsc_aux),
    FIELD(sysenter_cs),
    FIELD(sysenter_esp),
    FIELD(sysenter_eip),
    FIELD(pat),
    FIELD(misc_enable),
    FIELD(spec_ctrl),
    FIELD(mcg_status),
    FIELD(mtrr_def_type),
    ARRAY(mtrr_fixed),
    ARRAY(mtrr_base),
    ARRAY(mtrr_mask),
    FIELD(tsc_offset),
    FIELD(tsc_adjust),
    FIELD(activity),
    FIELD(sipi_vector),
    FIELD(nmi_blocked),
    FIELD(insn_count),
    FIELD(edges),
};

/* Attention that comes from outside and is not derived from other state. */
enum { EDGES = X86_ATTN_NMI | X86_ATTN_SMI | X86_ATTN_INIT | X86_ATTN_SIPI };

/* A bool is filled from a byte of the file: only 0 and 1 are values of it. */
static void truth(bool *b)
{
    uint8_t byte;

    memcpy(&byte, b, 1);
    *b = byte != 0;
}

static void after(void *dev)
{
    struct x86_cpu *c = dev;

    /* What a hostile file could say that no processor does. */
    for (unsigned i = 0; i < X86_SEGS; i++)
        truth(&c->seg[i].null);
    truth(&c->ldt.null);
    truth(&c->tr.null);
    truth(&c->nmi_blocked);
    c->cpl &= 3;
    c->activity &= 3;
    c->fpu.top &= 7;
    c->rflags = (c->rflags & ~(uint64_t)X86_ARITH) | X86_F1;
    c->xcr0 = (c->xcr0 & x86_model_xcr0(c->vm->model)) | X86_XCR0_X87;
    x86_attention_clear(c, UINT_MAX);
    x86_attention_set(c, c->edges & EDGES);
    c->step_rule = 0;
    c->debug_hits = 0;
    c->fault = (struct x86_pending){0};
    c->mode = 0xff; /* derive everything anew */
    c->debug_code = c->debug_data = false;
    x86_tlb_flush_all(c);
    x86_mode_update(c);
    x86_debug_update(c);
    x86_attention_set(c, X86_ATTN_FLUSH);
}

const struct state_table x86_cpu_state = {.name = "x86-cpu",
                                          .version = 2, /* 2: ymmh */
                                          .fields = fields,
                                          .field_count = array_size(fields),
                                          .after = after};

void x86_state_settle(struct x86_cpu *c)
{
    /* Stale translations, which a system may rely on to be used or not, are not saved: drop them
     * here, too, and this processor goes on as the loaded one does. */
    x86_tlb_flush_all(c);
    x86_flags_set(c, x86_flags_get(c), X86_ARITH);
    c->edges = (uint8_t)(atomic_load_explicit(&c->attention, memory_order_acquire) & EDGES);
}
