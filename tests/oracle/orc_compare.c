/* SPDX-License-Identifier: Apache-2.0 */
#include "orc_compare.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cpu/x86/cpu.h"
#include "orc_aim.h"
#include "orc_traits.h"

/* Indexes of orc_known. */
enum {
    K_HOST_VALUES,
    K_UMIP,
    K_SYSCALL,
    K_FEATURE,
    K_AMD_BRANCH66,
    K_AMD_FAR64,
    K_UNDEFINED_FLAGS,
    K_KERNEL_ADDRESS,
    K_AMD_X87_POINTERS,
    K_SHIFT_COUNT,
    K_PREFETCH,
    K_APPROXIMATE,
    K_AC_16,
    K_CMPS,
    K_MASKMOV,
    K_PUSH_SEG,
    K_RETF_IMM,
    K_SYSRET,
    K_REP_IO,
    K_REP_LOOP,
    K_FAR_TO_64,
    K_WIDE_FAULT,
    K_UD_FETCH,
    K_LOCK_VERW,
    K_MOVSXD16,
    K_TRANSCENDENTAL,
    K_POINTER_48,
    K_LOCK_CR,
    K_STUB,
    K_CANONICAL,
    K_LEFT_64,
    K_NULL,
    K_MXCSR_MM,
    K_INTO_ITSELF,
    K_AMD_SHA,
    K_AMD_VEX_W,
    K_N
};
const struct orc_known orc_known[] = {
    [K_HOST_VALUES] = {"host-values", "the result is the host's own (CPUID, TSC, random, XCR0)"},
    [K_UMIP] = {"umip", "Linux executes SGDT, SIDT, SLDT, SMSW, STR itself under UMIP"},
    [K_SYSCALL] = {"system-call", "enters the host's kernel on purpose"},
    [K_FEATURE] = {"host-feature",
                   "the host has an instruction or state component there that the model lacks"},
    [K_AMD_BRANCH66] = {"amd-branch-66",
                        "near branches with 66h in 64-bit mode: 16 bits on AMD, ignored by Intel"},
    [K_AMD_FAR64] = {"amd-far-64", "AMD has no far pointers with 64-bit offset"},
    [K_UNDEFINED_FLAGS] = {"undefined-flags", "flags that the row leaves undefined"},
    [K_KERNEL_ADDRESS] = {"kernel-address", "Linux sets the P bit for faults on kernel addresses"},
    [K_AMD_X87_POINTERS] = {"amd-x87-pointers",
                            "AMD keeps FOP, FIP, FDP only while an x87 exception is pending"},
    [K_SHIFT_COUNT] = {"shift-count", "SHLD, SHRD of 16 bits by more than 16: undefined"},
    [K_PREFETCH] = {"prefetch-register", "0F 0D with a register: #UD on AMD, NOP on Intel"},
    [K_APPROXIMATE] = {"approximate",
                       "RCPPS, RSQRTPS family: within 1.5 * 2^-12 of the true value"},
    [K_AC_16] = {"ac-16-bytes", "#AC of 16-byte operands that need no alignment: up to the model"},
    [K_CMPS] = {"cmps-order", "which operand of CMPS faults first is up to the model"},
    [K_MASKMOV] = {"maskmov-fault",
                   "faults of masked stores: address, and whether for an empty mask"},
    [K_PUSH_SEG] = {"push-segment", "PUSH of a segment register: upper half written by AMD only"},
    [K_RETF_IMM] = {"retf-order",
                    "RETF Iw: order of faults; the upper half of ESP when a 16-bit stack wraps"},
    [K_SYSRET] = {"sysret", "SYSRET outside 64-bit mode: #UD on Intel, #GP by CPL on AMD"},
    [K_REP_IO] = {"rep-io-zero", "REP INS, OUTS of no bytes: AMD checks the permission first"},
    [K_REP_LOOP] = {"amd-rep-loop",
                    "LOOPE and LOOPNE with F2 or F3: AMD takes the prefix's condition"},
    [K_FAR_TO_64] = {"call-to-mode", "CALLF between 64-bit and compatibility mode: AMD pushes with "
                                     "the addressing of the new mode"},
    [K_WIDE_FAULT] = {"wide-fault",
                      "which part of an operand of many words faults first, what was done before"},
    [K_UD_FETCH] = {"ud-or-fetch", "#UD known before the last bytes of an instruction are fetched "
                                   "or found too many"},
    [K_LOCK_VERW] = {"amd-lock-verw", "VERW runs with LOCK on AMD"},
    [K_MOVSXD16] = {"movsxd-16", "MOVSXD of 16 bits reads 16 bits on Intel, 32 on AMD"},
    [K_TRANSCENDENTAL] = {"transcendental", "x87 transcendentals: within 1 ulp, C1 may differ"},
    [K_LOCK_CR] = {"amd-lock-cr", "LOCK MOV CR0 is MOV CR8 on AMD"},
    [K_CANONICAL] = {"amd-canonical",
                     "AMD wants the offset canonical before FS or GS base is added"},
    [K_LEFT_64] = {"left-64-bit-mode",
                   "upper half of RSP after a jump to compatibility mode: not preserved"},
    [K_NULL] = {"null-selector", "the host's kernel may turn null selectors 1 to 3 into 0"},
    [K_MXCSR_MM] = {"amd-mxcsr-mm",
                    "MXCSR bit 17, misaligned exception mask, is there on AMD only"},
    [K_INTO_ITSELF] = {"into-itself", "a branch into its own bytes, which are other instructions"},
    [K_AMD_SHA] = {"amd-sha-align", "SHA instructions need no alignment on AMD"},
    [K_AMD_VEX_W] =
        {"amd-vex-w",
         "VPINSRD, VPEXTRD with VEX.W outside 64-bit mode: #UD on AMD, ignored by Intel; "
         "VPERMPD without VEX.W: runs on AMD"},
    [K_STUB] = {"stub-page", "jumped into the page of the harness"},
    [K_POINTER_48] = {"x87-pointer-48", "AMD keeps 48 bits of FIP and FDP"},
    [K_N] = {NULL, NULL},
};
_Static_assert((int)K_N < (int)ORC_KNOWN_MAX, "a bit each");

int orc_excluded(const struct orc_run *run)
{
    const struct x86_row *row = run->row;
    const struct orc_case *c = run->c;
    const struct x86_row *from = &x86_optable[c->row];
    if (from->feature != X86_FEAT_ALWAYS && !x86_model_has(run->model, from->feature))
        return K_FEATURE;
    /* SSE4A on AMD: MOVNTSS, MOVNTSD. */
    if (from->map == 1 && from->opcode == 0x2b && c->code.prefixes & (ORC_PF2 | ORC_PF3))
        return K_FEATURE;
    if (run->amd && orc_in(from, ORC_SET_MOV) && from->map == 1 && c->code.prefixes & ORC_PLOCK)
        return K_LOCK_CR;
    /* RDPID. */
    if (orc_in(from, ORC_SET_RDSEED) && c->code.prefixes & ORC_PF3)
        return K_FEATURE;
    /* CLFLUSHOPT, CLWB, WAITPKG, SVM, CLZERO and what else is at 0F AE and 0F 01. */
    if (from->map == 1 && !row &&
        ((from->opcode == 0xae && c->code.prefixes & (ORC_P66 | ORC_PF2 | ORC_PF3)) ||
         (from->opcode == 0x01 && c->code.modrm >= 0xc0)))
        return K_FEATURE;
    if (run->amd && orc_in(from, ORC_SET_VPERMQ) && !row)
        return K_AMD_VEX_W;
    /* VEX.256 of AES and PCLMULQDQ (VAES, VPCLMULQDQ). */
    if (x86_row_is_vex(from) && !row && from->attr & X86_ATTR_L0 &&
        ((from->map == X86_MAP_VEX_0F38 && from->opcode >= 0xdc && from->opcode <= 0xdf) ||
         (from->map == X86_MAP_VEX_0F3A && from->opcode == 0x44)))
        return K_FEATURE;
    /* VEX and EVEX instead of LES, LDS and BOUND; XOP instead of POP. */
    if (from->map == 0 && !row &&
        (((from->opcode == 0xc4 || from->opcode == 0xc5 || from->opcode == 0x62) &&
          (c->bits == 64 || c->code.modrm >= 0xc0)) ||
         from->opcode == 0x8f))
        return K_FEATURE;
    if (run->amd && orc_in(from, ORC_SET_VERW) && c->code.prefixes & ORC_PLOCK)
        return K_LOCK_VERW;
    if (!row)
        return -1;
    if (run->amd && orc_in(row, ORC_SET_SYSRET) && c->bits != 64)
        return K_SYSRET;
    if (run->amd && orc_in(row, ORC_SET_LOOPCC) && c->code.prefixes & (ORC_PF2 | ORC_PF3))
        return K_REP_LOOP;
    if (run->amd && orc_in(row, ORC_SET_MOVSXD) && run->insn->osize == X86_SIZE_16)
        return K_MOVSXD16;
    if (orc_in(row, ORC_SET_SHIFT2) && run->insn->osize == X86_SIZE_16) {
        uint64_t count = row->imm[0] ? run->insn->imm : c->in.gpr[1];
        if ((count & 31) > 16)
            return K_SHIFT_COUNT;
    }
    if (run->amd && row->map == 1 && row->opcode == 0x0d && c->code.modrm >= 0xc0)
        return K_PREFETCH;
    /* Components that only the host has, unless the case was made for this instruction. */
    if (orc_in(row, ORC_SET_XSAVE) && row != from)
        return K_HOST_VALUES;
    if (orc_in(row, ORC_SET_HOST_VALUES))
        return K_HOST_VALUES;
    if (orc_in(row, ORC_SET_UMIP))
        return K_UMIP;
    if (orc_in(row, ORC_SET_SYSCALL) ||
        (orc_in(row, ORC_SET_INT) && (uint8_t)run->insn->imm == 0x80))
        return K_SYSCALL;
    if (orc_in(row, ORC_SET_BSF) && run->insn->rep == X86_REP_E)
        return K_FEATURE;
    if (run->amd && c->bits == 64 && c->code.prefixes & ORC_P66 && row->attr & X86_ATTR_BRANCH)
        return K_AMD_BRANCH66;
    if (run->amd && run->insn->rex & 8 && orc_in(row, ORC_SET_FAR64))
        return K_AMD_FAR64;
    return -1;
}

static void differ(struct orc_diff *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void differ(struct orc_diff *d, const char *format, ...)
{
    size_t n = strlen(d->text);
    va_list args;
    va_start(args, format);
    vsnprintf(d->text + n, sizeof(d->text) - n, format, args);
    va_end(args);
    d->fields++;
}

static void compare_u64(struct orc_diff *d, const char *name, uint64_t host, uint64_t guest)
{
    if (host != guest)
        differ(d, " %s:%" PRIx64 "/%" PRIx64, name, host, guest);
}

static bool transcendental(const struct orc_run *run)
{
    return orc_in(run->row, ORC_SET_TRANSCENDENTAL);
}

/* Neighbours among the 80-bit numbers of one sign. */
static bool within_ulp(const uint8_t *a, const uint8_t *b)
{
    unsigned __int128 x =
        (unsigned __int128)(load_le16(a + 8) & 0x7fff) << 63 | (load_le64(a) & INT64_MAX);
    unsigned __int128 y =
        (unsigned __int128)(load_le16(b + 8) & 0x7fff) << 63 | (load_le64(b) & INT64_MAX);
    return (a[9] & 0x80) == (b[9] & 0x80) && (x > y ? x - y : y - x) <= 1;
}

/* Relative distance of two floats, for the approximations. */
static bool near(uint32_t a, uint32_t b)
{
    if (a == b)
        return true;
    /* Tiny results may be flushed. */
    if ((a & INT32_MAX) <= 0x00800000 && (b & INT32_MAX) <= 0x00800000)
        return true;
    float x, y;
    memcpy(&x, &a, 4);
    memcpy(&y, &b, 4);
    float d = x > y ? x - y : y - x, m = y < 0 ? -y : y;
    return d <= m * (3.0f / 4096);
}

static bool approximate(const struct orc_run *run, const uint8_t *a, const uint8_t *b)
{
    if (!run->row || (run->row->map & 3) != 1 || (run->row->opcode & 0xfe) != 0x52)
        return false;
    for (unsigned i = 0; i < 16; i += 4)
        if (!near(load_le32(a + i), load_le32(b + i)))
            return false;
    return true;
}

/*
 * AMD's XSAVE, unlike its FXSAVE, stores zeros for FOP, FIP and FDP while no exception is pending:
 * so they are lost when the kernel switches tasks in a case that then makes one pending.
 */
static bool lost_pointers(const uint8_t *fx)
{
    static const uint8_t zero[18];
    return memcmp(fx + 6, zero, sizeof(zero)) == 0;
}

static void compare_fx(const struct orc_run *run, struct orc_diff *d)
{
    const uint8_t *h = run->host.fx, *g = run->guest.fx;
    const uint8_t *hy = run->host.ymmh, *gy = run->guest.ymmh;
    if (memcmp(h, g, 28) == 0 && memcmp(h + 32, g + 32, 384) == 0 && memcmp(hy, gy, 256) == 0)
        return;
    compare_u64(d, "fcw", load_le16(h), load_le16(g));
    uint16_t c1 = 0;
    if (transcendental(run) && (load_le16(h + 2) ^ load_le16(g + 2)) == 0x200) {
        c1 = 0x200;
        d->excused |= UINT64_C(1) << K_TRANSCENDENTAL;
    }
    compare_u64(d, "fsw", load_le16(h + 2) | c1, load_le16(g + 2) | c1);
    compare_u64(d, "ftag", h[4], g[4]);
    if (run->amd && (!(load_le16(h + 2) & 0x80) || lost_pointers(h))) {
        if (memcmp(h + 6, g + 6, 18))
            d->excused |= UINT64_C(1) << K_AMD_X87_POINTERS;
    } else {
        compare_u64(d, "fop", load_le16(h + 6), load_le16(g + 6));
        uint64_t mask = run->amd ? (UINT64_C(1) << 48) - 1 : UINT64_MAX;
        if ((load_le64(g + 8) | load_le64(g + 16)) & ~mask)
            d->excused |= UINT64_C(1) << K_POINTER_48;
        compare_u64(d, "fip", load_le64(h + 8) & mask, load_le64(g + 8) & mask);
        if (!run->amd || (run->row && run->insn->mem))
            compare_u64(d, "fdp", load_le64(h + 16) & mask, load_le64(g + 16) & mask);
    }
    compare_u64(d, "mxcsr", load_le32(h + 24), load_le32(g + 24));
    for (unsigned i = 0; i < 8; i++) {
        const uint8_t *a = h + 32 + 16 * i, *b = g + 32 + 16 * i;
        if (memcmp(a, b, 10) && transcendental(run) && within_ulp(a, b))
            d->excused |= UINT64_C(1) << K_TRANSCENDENTAL;
        else if (memcmp(a, b, 10))
            differ(d, " st%u:%04x.%016" PRIx64 "/%04x.%016" PRIx64, i, load_le16(a + 8),
                   load_le64(a), load_le16(b + 8), load_le64(b));
    }
    for (unsigned i = 0; i < 16; i++) {
        const uint8_t *a = h + 160 + 16 * i, *b = g + 160 + 16 * i;
        if (memcmp(a, b, 16) && approximate(run, a, b))
            d->excused |= UINT64_C(1) << K_APPROXIMATE;
        else if (memcmp(a, b, 16))
            differ(d, " xmm%u:%016" PRIx64 "%016" PRIx64 "/%016" PRIx64 "%016" PRIx64, i,
                   load_le64(a + 8), load_le64(a), load_le64(b + 8), load_le64(b));
    }
    for (unsigned i = 0; i < 16; i++) {
        const uint8_t *a = hy + 16 * i, *b = gy + 16 * i;
        if (memcmp(a, b, 16) && approximate(run, a, b))
            d->excused |= UINT64_C(1) << K_APPROXIMATE;
        else if (memcmp(a, b, 16))
            differ(d, " ymmh%u:%016" PRIx64 "%016" PRIx64 "/%016" PRIx64 "%016" PRIx64, i,
                   load_le64(a + 8), load_le64(a), load_le64(b + 8), load_le64(b));
    }
}

static void compare_flags(const struct orc_run *run, struct orc_diff *d)
{
    uint64_t h = run->host.rflags, g = run->guest.rflags;
    bool done = run->host.vector < 0 || run->host.rip != run->c->in.rip;
    uint64_t loose = run->row && done ? run->row->fu : 0;
    if ((h ^ g) & loose)
        d->excused |= UINT64_C(1) << K_UNDEFINED_FLAGS;
    compare_u64(d, "flags", h & ~loose, g & ~loose);
}

/* Takes @n bytes at linear @at over from the host, because they cannot be compared. */
static void ignore_memory(struct orc_run *run, struct orc_diff *d, uint32_t at, unsigned n,
                          unsigned known)
{
    for (uint32_t i = at - ORC_DATA; n; i++, n--)
        if (i < ORC_RW_BYTES && run->guest_data[i] != run->host_data[i]) {
            run->guest_data[i] = run->host_data[i];
            d->excused |= UINT64_C(1) << known;
        }
}

/* The linear address of the memory operand. */
static uint32_t operand_address(const struct orc_run *run)
{
    const struct x86_insn *i = run->insn;
    const struct orc_state *in = &run->c->in;
    uint64_t ea = (uint64_t)(int64_t)i->disp;
    if (!i->mem)
        return 0;
    if (i->base != X86_NO_REG)
        ea += in->gpr[i->base];
    if (i->index != X86_NO_REG)
        ea += in->gpr[i->index] << i->scale;
    if (i->riprel)
        ea += in->rip + i->len;
    ea = i->asize == X86_SIZE_16 ? (uint16_t)ea : i->asize == X86_SIZE_32 ? (uint32_t)ea : ea;
    if (run->c->bits != 64)
        return (uint32_t)(ea + orc_seg_base(in->sel[i->seg]));
    return (uint32_t)(ea + (i->seg == ORC_FS ? in->fs_base : i->seg == ORC_GS ? in->gs_base : 0));
}

/* Memory images that hold what the host does not keep. */
static void ignore_images(struct orc_run *run, struct orc_diff *d)
{
    if (!run->amd || !run->row)
        return;
    uint32_t at = operand_address(run);
    if (orc_in(run->row, ORC_SET_FX_IMAGE)) {
        ignore_memory(run, d, at + 6, 18, K_AMD_X87_POINTERS);
        ignore_memory(run, d, at + 28, 4, K_AMD_X87_POINTERS); /* MXCSR_MASK */
    }
    if (orc_in(run->row, ORC_SET_PUSH_SEG) &&
        (run->host.vector == ORC_RAN || run->host.rip != run->c->in.rip)) {
        uint16_t ss = run->host.sel[ORC_SS];
        uint32_t base = run->c->bits == 64 ? 0 : (uint32_t)orc_seg_base(ss);
        uint32_t sp = (uint32_t)run->host.gpr[4] & (orc_stack16(ss) ? 0xffff : UINT32_MAX);
        ignore_memory(run, d, base + sp + 2, run->insn->osize == X86_SIZE_64 ? 6 : 2, K_PUSH_SEG);
    }
    if (orc_in(run->row, ORC_SET_ENV_IMAGE)) {
        if (run->insn->osize == X86_SIZE_16)
            ignore_memory(run, d, at + 6, 8, K_AMD_X87_POINTERS);
        else
            ignore_memory(run, d, at + 12, 16, K_AMD_X87_POINTERS);
    }
}

/* The XSAVE header at the operand asks for components or the format that only the host has. */
static bool host_only_header(const struct orc_run *run)
{
    uint32_t offset = operand_address(run) + 512 - ORC_DATA;
    return offset <= ORC_RW_BYTES - 16 &&
           (load_le64(run->host_data + offset) & ~UINT64_C(7) ||
            load_le64(run->host_data + offset + 8) & ~(UINT64_C(7) | UINT64_C(1) << 63));
}

/* Whether the instruction's segment is that of an address. */
static bool has_address(const struct orc_run *run)
{
    return run->row &&
           (run->insn->mem || orc_in(run->row, ORC_SET_STRING) || orc_in(run->row, ORC_SET_XLAT) ||
            orc_in(run->row, ORC_SET_MASKMOV) || run->row->imm[0] == X86_IMM_MOFFS);
}

static bool no_repetitions(const struct orc_run *run)
{
    uint64_t count = run->c->in.gpr[X86_RCX];
    return run->insn->asize == X86_SIZE_16   ? !(uint16_t)count
           : run->insn->asize == X86_SIZE_32 ? !(uint32_t)count
                                             : !count;
}

/* Faults that the architecture leaves to the model: nothing else of the case can be compared. */
static int fault_excuse(const struct orc_run *run)
{
    const struct orc_state *h = &run->host, *g = &run->guest;
    if (g->vector == X86_PFV && g->err & 16 && g->cr2 - ORC_STUB < ORC_PAGE)
        return K_STUB;
    if (run->amd && run->c->bits == 64 && has_address(run) && run->insn->seg >= X86_FS &&
        h->vector == X86_GP && h->rip == run->c->in.rip && g->vector != X86_GP)
        return K_CANONICAL;
    /* The host accesses more bytes: only what they may raise. */
    if ((h->vector == X86_PFV || h->vector == X86_SSV || h->vector == X86_AC_VEC) &&
        h->vector != g->vector && orc_in(run->row, ORC_SET_PUSHPOP_SEG))
        return K_PUSH_SEG;
    if (h->vector == X86_AC_VEC && h->vector != g->vector && run->row && run->row->map &&
        run->insn->mem)
        return K_AC_16;
    bool passed = h->vector == ORC_RAN || h->rip != run->c->in.rip;
    if (passed && g->vector == X86_GP && orc_in(run->row, ORC_SET_MXCSR) &&
        load_le32(h->fx + 24) & 1u << 17)
        return K_MXCSR_MM;
    if (passed && g->vector == X86_GP && orc_in(run->row, ORC_SET_XRSTOR) && host_only_header(run))
        return K_FEATURE;
    if (run->amd && orc_in(run->row, ORC_SET_SHA) && g->vector == X86_GP && h->vector != X86_GP)
        return K_AMD_SHA;
    if (run->amd && orc_in(run->row, ORC_SET_VEX_W) && run->c->bits != 64 && h->vector == X86_UD)
        return K_AMD_VEX_W;
    if (orc_in(run->row, ORC_SET_CMPS) && h->vector > 0 && g->vector > 0 &&
        (h->vector != g->vector || h->cr2 != g->cr2))
        return K_CMPS;
    if (h->vector == X86_PFV && h->err & 16 && g->vector == X86_UD && h->rip == g->rip)
        return K_UD_FETCH;
    if (g->vector == X86_PFV && g->err & 16 && h->vector == X86_UD && h->rip == g->rip)
        return K_UD_FETCH;
    /* Too long and invalid: one class of faults, in an order of the model's own (vol. 3, 6.9). */
    if (run->c->code.len > 15 && h->vector == X86_GP && g->vector == X86_UD && h->rip == g->rip)
        return K_UD_FETCH;
    if (run->amd && orc_in(run->row, ORC_SET_RETF) && run->row->imm[0] && run->c->bits != 64 &&
        h->gpr[4] != g->gpr[4] && (uint16_t)h->gpr[4] == (uint16_t)g->gpr[4])
        return K_RETF_IMM;
    if (orc_in(run->row, ORC_SET_RETF) && run->row->imm[0] && h->vector > 0 && g->vector > 0 &&
        h->vector != g->vector && h->rip == g->rip)
        return K_RETF_IMM;
    if (run->amd && run->row && run->row->map == 0 && (run->row->opcode & 0xfc) == 0x6c &&
        run->insn->rep && h->vector == X86_GP && h->rip == run->c->in.rip &&
        g->vector != h->vector && no_repetitions(run))
        return K_REP_IO;
    if (run->amd && orc_in(run->row, ORC_SET_CALLF) && run->c->bits != 64 &&
        (g->sel[ORC_CS] == ORC_CS64 || h->sel[ORC_CS] == ORC_CS64))
        return K_FAR_TO_64;
    if (run->amd && orc_in(run->row, ORC_SET_CALLF) && run->c->bits == 64 &&
        run->c->in.gpr[4] >> 32 && h->sel[ORC_CS] != ORC_CS64)
        return K_FAR_TO_64;
    if (orc_in(run->row, ORC_SET_WIDE) && h->vector > 0 && h->rip == g->rip && g->vector > 0 &&
        (h->vector != g->vector || h->cr2 != g->cr2 || h->err != g->err))
        return K_WIDE_FAULT;
    if (orc_in(run->row, ORC_SET_MASKMOV) && h->vector > 0 && h->rip == run->c->in.rip)
        return K_MASKMOV;
    return -1;
}

/* An instruction of many accesses that faulted: those before may have been done or not. */
static bool partly_done(const struct orc_run *run)
{
    return orc_in(run->row, ORC_SET_WIDE) && run->host.vector > 0 &&
           run->host.rip == run->c->in.rip;
}

static void excuse(struct orc_diff *d, unsigned known)
{
    d->excused |= UINT64_C(1) << known;
}

static void compare_registers(const struct orc_run *run, struct orc_diff *d)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    static const char *const segs[6] = {"es", "cs", "ss", "ds", "fs", "gs"};
    const struct orc_state *h = &run->host, *g = &run->guest;
    uint64_t mask = run->c->bits == 64 ? UINT64_MAX : UINT32_MAX;
    bool left = run->c->bits == 64 && h->sel[ORC_CS] != ORC_CS64;
    bool popped = partly_done(run) && orc_in(run->row, ORC_SET_POPA);
    for (unsigned i = 0; i < (run->c->bits == 64 ? 16u : 8u); i++) {
        uint64_t other = (h->gpr[i] ^ g->gpr[i]) & mask;
        if (other && left && i == X86_RSP && !(uint32_t)other)
            excuse(d, K_LEFT_64);
        else if (other && popped && i != X86_RSP)
            excuse(d, K_WIDE_FAULT);
        else
            compare_u64(d, names[i], h->gpr[i] & mask, g->gpr[i] & mask);
    }
    for (unsigned i = 0; i < 6; i++) {
        if (h->sel[i] == 0 && g->sel[i] - 1u < 3)
            excuse(d, K_NULL);
        else
            compare_u64(d, segs[i], h->sel[i], g->sel[i]);
    }
    compare_u64(d, "fsbase", h->fs_base, g->fs_base);
    compare_u64(d, "gsbase", h->gs_base, g->gs_base);
}

static void compare_exception(const struct orc_run *run, struct orc_diff *d)
{
    const struct orc_state *h = &run->host, *g = &run->guest;
    uint32_t code = g->err;
    if (h->vector != g->vector)
        differ(d, " vector:%d/%d", h->vector, g->vector);
    if (h->vector == X86_PFV && h->cr2 >= 0x7ffffffff000 && h->err != g->err) {
        code |= 1;
        excuse(d, K_KERNEL_ADDRESS);
    }
    if (h->vector >= 0)
        compare_u64(d, "code", h->err, code);
    if (h->vector == X86_PFV)
        compare_u64(d, "cr2", h->cr2, g->cr2);
    compare_u64(d, "rip", h->rip, g->rip);
}

/* The first bytes that are not the same. */
static void compare_memory(const struct orc_run *run, struct orc_diff *d)
{
    for (unsigned i = 0; i < ORC_RW_BYTES; i++)
        if (run->host_data[i] != run->guest_data[i]) {
            unsigned n = ORC_RW_BYTES - i < 8 ? ORC_RW_BYTES - i : 8;
            uint64_t a = 0, b = 0;
            memcpy(&a, run->host_data + i, n);
            memcpy(&b, run->guest_data + i, n);
            differ(d, " mem[%x]:%016" PRIx64 "/%016" PRIx64, ORC_DATA + i, a, b);
            break;
        }
}

void orc_compare(struct orc_run *run, struct orc_diff *d)
{
    d->text[0] = 0;
    d->fields = 0;
    d->excused = 0;
    d->same_memory = false;
    int known = fault_excuse(run);
    if (known >= 0) {
        excuse(d, (unsigned)known);
        return;
    }
    ignore_images(run, d);
    compare_exception(run, d);
    compare_registers(run, d);
    compare_flags(run, d);
    compare_fx(run, d);
    d->same_memory = memcmp(run->host_data, run->guest_data, ORC_RW_BYTES) == 0;
    if (!d->same_memory && partly_done(run))
        excuse(d, K_WIDE_FAULT); /* what was stored before the fault */
    else if (!d->same_memory)
        compare_memory(run, d);
}

void orc_forgive(const struct orc_run *run, uint64_t landing, struct orc_diff *d)
{
    uint64_t from = ORC_CODE + run->c->code_offset;
    /* The instruction itself and the jump behind it are fine. */
    if (landing <= from || landing >= from + run->c->whole_len ||
        landing == from + run->c->code.len)
        return;
    d->fields = 0;
    d->excused |= UINT64_C(1) << K_INTO_ITSELF;
}
