/* SPDX-License-Identifier: Apache-2.0 */
/* Model-specific registers (vol. 4). Those that are not here raise #GP(0). */
#include "cpu/x86/mmu.h"
#include "cpu/x86/model_internal.h"
#include "cpu/x86/system.h"
#include "cpu/x86/tlb.h"
#include "x86-opcodes.h"

enum {
    MSR_P5_MC_ADDR = 0x0,
    MSR_P5_MC_TYPE = 0x1,
    MSR_TSC = 0x10,
    MSR_PLATFORM_ID = 0x17,
    MSR_APIC_BASE = 0x1b,
    MSR_EBL_CR_POWERON = 0x2a,
    MSR_FEATURE_CONTROL = 0x3a,
    MSR_TSC_ADJUST = 0x3b,
    MSR_UCODE_WRITE = 0x79,
    MSR_UCODE_REV = 0x8b,
    MSR_MTRRCAP = 0xfe,
    MSR_ARCH_CAPABILITIES = 0x10a,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17a,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_MTRR_VAR = 0x200,
    MSR_MTRR_VAR_END = 0x210,
    MSR_PAT = 0x277,
    MSR_MTRR_DEF_TYPE = 0x2ff,
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC = 0x800,
    MSR_X2APIC_END = 0x900,
};
#define MSR_EFER           0xc0000080u
#define MSR_STAR           0xc0000081u
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_SFMASK         0xc0000084u
#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX        0xc0000103u
#define MSR_AMD_SYSCFG     0xc0010010u
#define MSR_AMD_HWCR       0xc0010015u
#define MSR_AMD_NB_CFG     0xc001001fu
#define MSR_AMD_INT_PEND   0xc0010055u

#define FEAT_MTRR     X86_FEATURE(X86_W_1_EDX, 12)
#define FEAT_PAT      X86_FEATURE(X86_W_1_EDX, 16)
#define FEAT_SEP      X86_FEATURE(X86_W_1_EDX, 11)
#define FEAT_MCA      X86_FEATURE(X86_W_1_EDX, 14)
#define FEAT_DEADLINE X86_FEATURE(X86_W_1_ECX, 24)
#define FEAT_X2APIC   X86_FEATURE(X86_W_1_ECX, 21)
#define FEAT_ADJUST   X86_FEATURE(X86_W_7_EBX, 1)
#define FEAT_ARCHCAP  X86_FEATURE(X86_W_7_EDX, 29)
#define FEAT_SYSCALL  X86_FEATURE(X86_W_81_EDX, 11)
#define FEAT_NX       X86_FEATURE(X86_W_81_EDX, 20)
#define FEAT_RDTSCP   X86_FEATURE(X86_W_81_EDX, 27)
#define FEAT_LM       X86_FEATURE(X86_W_81_EDX, 29)

/* Registers of struct x86_cpu that are read and written as they are, after one check. */
enum check { CHECK_NONE, CHECK_CANONICAL, CHECK_32BIT, KEEP_32BIT };
struct plain {
    uint32_t msr;
    uint16_t feature;
    uint8_t check; /* enum check */
    uint32_t offset;
};
#define PLAIN(msr, feature, check, field)                                                          \
    {                                                                                              \
        msr, feature, check, offsetof(struct x86_cpu, field)                                       \
    }
static const struct plain plain[] = {
    PLAIN(MSR_SYSENTER_CS, FEAT_SEP, KEEP_32BIT, sysenter_cs),
    PLAIN(MSR_SYSENTER_ESP, FEAT_SEP, CHECK_CANONICAL, sysenter_esp),
    PLAIN(MSR_SYSENTER_EIP, FEAT_SEP, CHECK_CANONICAL, sysenter_eip),
    PLAIN(MSR_STAR, FEAT_SYSCALL, CHECK_NONE, star),
    PLAIN(MSR_LSTAR, FEAT_LM, CHECK_CANONICAL, lstar),
    PLAIN(MSR_CSTAR, FEAT_LM, CHECK_CANONICAL, cstar),
    PLAIN(MSR_SFMASK, FEAT_LM, CHECK_32BIT, sfmask),
    PLAIN(MSR_KERNEL_GS_BASE, FEAT_LM, CHECK_CANONICAL, kernel_gs_base),
    PLAIN(MSR_TSC_AUX, FEAT_RDTSCP, CHECK_32BIT, tsc_aux),
    PLAIN(MSR_MISC_ENABLE, X86_FEAT_ALWAYS, CHECK_NONE, misc_enable),
    PLAIN(MSR_MCG_STATUS, FEAT_MCA, CHECK_NONE, mcg_status),
};

static uint64_t *plain_msr(struct x86_cpu *c, uint32_t msr, uint8_t *ret_check)
{
    for (unsigned n = 0; n < array_size(plain); n++) {
        if (plain[n].msr == msr && x86_model_has(c->vm->model, plain[n].feature)) {
            *ret_check = plain[n].check;
            return (uint64_t *)((char *)c + plain[n].offset);
        }
    }
    return NULL;
}

/* The variable and fixed-range MTRR called @msr. */
static uint64_t *mtrr(struct x86_cpu *c, uint32_t msr)
{
    static const uint16_t fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                     0x26b, 0x26c, 0x26d, 0x26e, 0x26f};

    if (!x86_model_has(c->vm->model, FEAT_MTRR))
        return NULL;
    if (msr >= MSR_MTRR_VAR && msr < MSR_MTRR_VAR_END) {
        unsigned n = (msr - MSR_MTRR_VAR) / 2;
        return msr & 1 ? &c->mtrr_mask[n] : &c->mtrr_base[n];
    }
    for (unsigned n = 0; n < array_size(fixed); n++)
        if (fixed[n] == msr)
            return &c->mtrr_fixed[n];
    return msr == MSR_MTRR_DEF_TYPE ? &c->mtrr_def_type : NULL;
}

/* A memory type of MTRRs: UC, WC, WT, WP, WB. */
static bool memory_type(uint64_t type)
{
    return type <= 6 && type != 2 && type != 3;
}

static bool mtrr_valid(const struct x86_cpu *c, uint32_t msr, uint64_t value)
{
    uint64_t beyond = c->mmu.phys_reserved | 0xfff0000000000000ull;

    if (msr == MSR_MTRR_DEF_TYPE)
        return !(value & ~0xcffull) && memory_type(value & 0xff);
    if (msr < MSR_MTRR_VAR_END) {
        if (msr & 1)
            return !(value & (beyond | 0x7ff));
        return !(value & (beyond | 0xf00)) && memory_type(value & 0xff);
    }
    for (unsigned n = 0; n < 8; n++)
        if (!memory_type(value >> n * 8 & 0xff))
            return false;
    return true;
}

static bool pat_valid(uint64_t value)
{
    for (unsigned n = 0; n < 8; n++) {
        unsigned type = value >> n * 8 & 0xff;
        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

static bool apic_msr(const struct x86_cpu *c, uint32_t msr)
{
    if (msr == MSR_APIC_BASE)
        return true;
    if (msr == MSR_TSC_DEADLINE)
        return x86_model_has(c->vm->model, FEAT_DEADLINE);
    return msr >= MSR_X2APIC && msr < MSR_X2APIC_END && x86_model_has(c->vm->model, FEAT_X2APIC);
}

uint64_t x86_tsc(struct x86_cpu *c)
{
    return c->vm->host.tsc(c->vm->host.opaque) + c->tsc_offset;
}

static int host_read(struct x86_cpu *c, uint32_t msr, uint64_t *ret)
{
    const struct x86_host *h = &c->vm->host;
    int r;

    h->lock(h->opaque);
    r = apic_msr(c, msr) ? h->apic_rdmsr(h->opaque, c->index, msr, ret)
                         : h->pv_rdmsr(h->opaque, c->index, msr, ret);
    h->unlock(h->opaque);
    return r;
}

static int host_write(struct x86_cpu *c, uint32_t msr, uint64_t value)
{
    const struct x86_host *h = &c->vm->host;
    int r;

    h->lock(h->opaque);
    r = apic_msr(c, msr) ? h->apic_wrmsr(h->opaque, c->index, msr, value)
                         : h->pv_wrmsr(h->opaque, c->index, msr, value);
    h->unlock(h->opaque);
    return r;
}

int x86_msr_read(struct x86_cpu *c, uint32_t msr, uint64_t *ret)
{
    const struct x86_model *m = c->vm->model;
    uint8_t check;
    const uint64_t *reg = plain_msr(c, msr, &check);

    if (!reg)
        reg = mtrr(c, msr);
    if (reg) {
        *ret = *reg;
        return 0;
    }
    switch (msr) {
    case MSR_TSC:
        *ret = x86_tsc(c);
        return 0;
    case MSR_EFER:
        *ret = c->efer;
        return !x86_model_has(m, FEAT_SYSCALL) && !x86_model_has(m, FEAT_NX);
    case MSR_FS_BASE:
        *ret = c->seg[X86_FS].base;
        return !x86_model_has(m, FEAT_LM);
    case MSR_GS_BASE:
        *ret = c->seg[X86_GS].base;
        return !x86_model_has(m, FEAT_LM);
    case MSR_PAT:
        *ret = c->pat;
        return !x86_model_has(m, FEAT_PAT);
    case MSR_MTRRCAP:
        *ret = 8 | 1 << 8 | 1 << 10; /* eight ranges, fixed ranges, write combining */
        return !x86_model_has(m, FEAT_MTRR);
    case MSR_TSC_ADJUST:
        *ret = c->tsc_adjust;
        return !x86_model_has(m, FEAT_ADJUST);
    case MSR_ARCH_CAPABILITIES:
        *ret = m->arch_capabilities;
        return !x86_model_has(m, FEAT_ARCHCAP);
    case MSR_FEATURE_CONTROL:
        *ret = 1; /* locked, VMX off */
        return !m->intel;
    case MSR_UCODE_REV:
        *ret = m->intel ? 1ull << 32 : 0x01000065;
        return 0;
    case MSR_MCG_CAP: /* no banks */
        *ret = 0;
        return !x86_model_has(m, FEAT_MCA);
    case MSR_P5_MC_ADDR:
    case MSR_P5_MC_TYPE:
    case MSR_PLATFORM_ID:
    case MSR_EBL_CR_POWERON:
        *ret = 0;
        return !m->intel;
    case MSR_AMD_SYSCFG:
    case MSR_AMD_HWCR:
    case MSR_AMD_NB_CFG:
    case MSR_AMD_INT_PEND:
        *ret = 0;
        return m->intel;
    default:
        return host_read(c, msr, ret);
    }
}

static int efer_write(struct x86_cpu *c, uint64_t value)
{
    const struct x86_model *m = c->vm->model;
    uint64_t known = X86_EFER_LMA, changed;

    known |= x86_model_has(m, FEAT_SYSCALL) ? X86_EFER_SCE : 0;
    known |= x86_model_has(m, FEAT_NX) ? X86_EFER_NXE : 0;
    known |= x86_model_has(m, FEAT_LM) ? X86_EFER_LME : 0;
    if (value & ~known)
        return -1;
    changed = value ^ c->efer;
    if ((changed & X86_EFER_LME) && (c->cr0 & X86_CR0_PG))
        return -1;
    c->efer = (value & ~(uint64_t)X86_EFER_LMA) | (c->efer & X86_EFER_LMA);
    if (changed & X86_EFER_NXE)
        x86_tlb_flush_all(c);
    return 0;
}

static int base_write(struct x86_cpu *c, unsigned seg, uint64_t value)
{
    if (!x86_model_has(c->vm->model, FEAT_LM) || !x86_canonical(value))
        return -1;
    c->seg[seg].base = value;
    x86_seg_update(c, seg);
    return 0;
}

/* The counter jumps by @delta; writing it or its adjustment moves both (vol. 3, 17.17.3). */
static void tsc_jump(struct x86_cpu *c, uint64_t delta)
{
    const struct x86_host *host = &c->vm->host;

    c->tsc_offset += delta;
    c->tsc_adjust += delta;
    if (!host->tsc_changed)
        return;
    host->lock(host->opaque);
    host->tsc_changed(host->opaque, c->index);
    host->unlock(host->opaque);
}

static void tsc_write(struct x86_cpu *c, uint64_t value)
{
    tsc_jump(c, value - x86_tsc(c));
}

static bool passes(uint8_t check, uint64_t value)
{
    switch ((enum check)check) {
    case CHECK_CANONICAL:
        return x86_canonical(value);
    case CHECK_32BIT:
        return !(value >> 32);
    case KEEP_32BIT: /* the upper half is not there, and may be written */
    case CHECK_NONE:
        break;
    }
    return true;
}

int x86_msr_write(struct x86_cpu *c, uint32_t msr, uint64_t value)
{
    const struct x86_model *m = c->vm->model;
    uint8_t check;
    uint64_t *reg = plain_msr(c, msr, &check);

    if (reg) {
        if (!passes(check, value))
            return -1;
        *reg = check == KEEP_32BIT ? (uint32_t)value : value;
        return 0;
    }
    reg = mtrr(c, msr);
    if (reg) {
        if (!mtrr_valid(c, msr, value))
            return -1;
        *reg = value;
        return 0;
    }
    switch (msr) {
    case MSR_TSC:
        tsc_write(c, value);
        return 0;
    case MSR_EFER:
        return efer_write(c, value);
    case MSR_FS_BASE:
        return base_write(c, X86_FS, value);
    case MSR_GS_BASE:
        return base_write(c, X86_GS, value);
    case MSR_PAT:
        if (!x86_model_has(m, FEAT_PAT) || !pat_valid(value))
            return -1;
        c->pat = value;
        return 0;
    case MSR_TSC_ADJUST:
        if (!x86_model_has(m, FEAT_ADJUST))
            return -1;
        tsc_jump(c, value - c->tsc_adjust);
        return 0;
    case MSR_UCODE_WRITE: /* updates are refused silently, as a virtual processor has none */
        return 0;
    case MSR_UCODE_REV:
    case MSR_P5_MC_ADDR:
    case MSR_P5_MC_TYPE:
    case MSR_EBL_CR_POWERON:
        return m->intel && !value ? 0 : -1;
    case MSR_AMD_SYSCFG:
    case MSR_AMD_HWCR:
    case MSR_AMD_NB_CFG:
    case MSR_AMD_INT_PEND:
        return m->intel || value ? -1 : 0;
    case MSR_MTRRCAP:
    case MSR_ARCH_CAPABILITIES:
    case MSR_FEATURE_CONTROL:
    case MSR_PLATFORM_ID:
    case MSR_MCG_CAP:
        return -1;
    default:
        return host_write(c, msr, value);
    }
}

enum x86_result x86_op_rdmsr(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t value;

    if (x86_msr_read(c, (uint32_t)c->gpr[X86_RCX], &value))
        return x86_raise_gp(c, 0);
    c->gpr[X86_RAX] = (uint32_t)value;
    c->gpr[X86_RDX] = value >> 32;
    return X86_NEXT;
}

enum x86_result x86_op_wrmsr(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t value = c->gpr[X86_RDX] << 32 | (uint32_t)c->gpr[X86_RAX];

    if (x86_msr_write(c, (uint32_t)c->gpr[X86_RCX], value))
        return x86_raise_gp(c, 0);
    return x86_resync(c, i);
}
