/* SPDX-License-Identifier: Apache-2.0 */
/* Processor state after RESET# and INIT (vol. 3, table 10-1). */
#include "cpu/x86/access.h"
#include "cpu/x86/flags.h"
#include "cpu/x86/model.h"
#include "cpu/x86/system.h"

static void reset_segments(struct x86_cpu *c)
{
    static const struct x86_seg data = {.attr = 0x93, .limit = 0xffff};

    for (unsigned i = 0; i < X86_SEGS; i++)
        c->seg[i] = data;
    c->seg[X86_CS].sel = 0xf000;
    c->seg[X86_CS].base = 0xffff0000;
    c->seg[X86_CS].attr = 0x9b;
    c->ldt = (struct x86_seg){.attr = 0x82, .limit = 0xffff};
    c->tr = (struct x86_seg){.attr = 0x8b, .limit = 0xffff};
    c->gdt = c->idt = (struct x86_dtable){.limit = 0xffff};
}

/* What RESET# and INIT have in common. */
static void start_state(struct x86_cpu *c)
{
    memset(c->gpr, 0, sizeof(c->gpr));
    c->gpr[X86_RDX] = x86_model_signature(c->vm->model);
    c->rip = 0xfff0;
    c->rflags = X86_F1;
    x86_flags_set(c, 0, X86_ARITH);
    reset_segments(c);
    c->cpl = 0;
    c->shadow = 0;
    c->step_rule = 0;
    c->debug_hits = 0;
    c->nmi_blocked = false;
    c->fault = (struct x86_pending){0};
    c->cr2 = c->cr3 = c->cr4 = c->efer = 0;
    memset(c->dr, 0, sizeof(c->dr));
    c->dr[6] = 0xffff0ff0;
    c->dr[7] = 0x400;
    c->activity = c->index == 0 ? X86_ACTIVE : X86_WAIT_SIPI;
    /* A SIPI may have come after the INIT that is carried out now. */
    x86_attention_clear(c, X86_ATTN_NMI | X86_ATTN_SMI | X86_ATTN_INIT);
    c->mmu.phys_reserved = ~((1ull << x86_model_phys_bits(c->vm->model)) - 1) & 0xffffffffff000ull;
    c->mode = 0xff; /* derive everything anew */
    x86_tlb_flush_all(c);
    x86_mode_update(c);
    x86_debug_update(c);
}

void x86_reset(struct x86_cpu *c)
{
    c->cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_ET;
    c->xcr0 = 1;
    memset(c->xmm, 0, sizeof(c->xmm));
    memset(c->ymmh, 0, sizeof(c->ymmh));
    c->mxcsr = 0x1f80;
    c->fpu = (struct x86_fpu){.cw = 0x40, .tag = 0xff};
    c->star = c->lstar = c->cstar = c->sfmask = c->kernel_gs_base = c->tsc_aux = 0;
    c->sysenter_cs = c->sysenter_esp = c->sysenter_eip = 0;
    c->pat = 0x0007040600070406ull;
    c->misc_enable = 1; /* fast strings */
    c->spec_ctrl = c->mcg_status = 0;
    c->mtrr_def_type = 0;
    memset(c->mtrr_fixed, 0, sizeof(c->mtrr_fixed));
    memset(c->mtrr_base, 0, sizeof(c->mtrr_base));
    memset(c->mtrr_mask, 0, sizeof(c->mtrr_mask));
    c->tsc_offset = c->tsc_adjust = 0;
    x86_attention_clear(c, X86_ATTN_SIPI);
    start_state(c);
}

void x86_init(struct x86_cpu *c)
{
    /* The cache controls of CR0 survive INIT, as do FPU, SSE and most MSRs. */
    c->cr0 = (c->cr0 & (X86_CR0_CD | X86_CR0_NW)) | X86_CR0_ET;
    start_state(c);
}
