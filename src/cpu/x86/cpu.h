/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The architectural state of one x86 processor, shared by all engines, and its links to the
 * machine.
 *
 * Section numbers are those of the Intel SDM (325462) unless "AMD" is said (24593, vol. 2).
 */
#ifndef CPU_X86_CPU_H
#define CPU_X86_CPU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "bus/clock.h"
#include "bus/space.h"

enum { X86_RAX, X86_RCX, X86_RDX, X86_RBX, X86_RSP, X86_RBP, X86_RSI, X86_RDI };
enum { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_SEGS };

/* RFLAGS (vol. 1, 3.4.3). */
enum {
    X86_CF = 1 << 0,
    X86_F1 = 1 << 1,
    X86_PF = 1 << 2,
    X86_AF = 1 << 4,
    X86_ZF = 1 << 6,
    X86_SF = 1 << 7,
    X86_TF = 1 << 8,
    X86_IF = 1 << 9,
    X86_DF = 1 << 10,
    X86_OF = 1 << 11,
    X86_IOPL = 3 << 12,
    X86_NT = 1 << 14,
    X86_RF = 1 << 16,
    X86_VM = 1 << 17,
    X86_AC = 1 << 18,
    X86_VIF = 1 << 19,
    X86_VIP = 1 << 20,
    X86_ID = 1 << 21,
    X86_ARITH = X86_CF | X86_PF | X86_AF | X86_ZF | X86_SF | X86_OF,
};
enum {
    X86_CR0_PE = 1 << 0,
    X86_CR0_MP = 1 << 1,
    X86_CR0_EM = 1 << 2,
    X86_CR0_TS = 1 << 3,
    X86_CR0_ET = 1 << 4,
    X86_CR0_NE = 1 << 5,
    X86_CR0_WP = 1 << 16,
    X86_CR0_AM = 1 << 18,
    X86_CR0_NW = 1 << 29,
    X86_CR0_CD = 1 << 30
};
#define X86_CR0_PG 0x80000000u
enum {
    X86_CR4_VME = 1 << 0,
    X86_CR4_PVI = 1 << 1,
    X86_CR4_TSD = 1 << 2,
    X86_CR4_DE = 1 << 3,
    X86_CR4_PSE = 1 << 4,
    X86_CR4_PAE = 1 << 5,
    X86_CR4_MCE = 1 << 6,
    X86_CR4_PGE = 1 << 7,
    X86_CR4_PCE = 1 << 8,
    X86_CR4_OSFXSR = 1 << 9,
    X86_CR4_OSXMMEXCPT = 1 << 10,
    X86_CR4_UMIP = 1 << 11,
    X86_CR4_LA57 = 1 << 12,
    X86_CR4_FSGSBASE = 1 << 16,
    X86_CR4_PCIDE = 1 << 17,
    X86_CR4_OSXSAVE = 1 << 18,
    X86_CR4_SMEP = 1 << 20,
    X86_CR4_SMAP = 1 << 21,
    X86_CR4_PKE = 1 << 22
};
enum {
    X86_EFER_SCE = 1 << 0,
    X86_EFER_LME = 1 << 8,
    X86_EFER_LMA = 1 << 10,
    X86_EFER_NXE = 1 << 11
};

/* XCR0: state components that XSAVE manages and instructions may use (vol. 1, 13.3). */
enum { X86_XCR0_X87 = 1 << 0, X86_XCR0_SSE = 1 << 1, X86_XCR0_AVX = 1 << 2 };

/* Exception vectors (vol. 3, 6.3.1). */
enum {
    X86_DE,
    X86_DB,
    X86_NMI,
    X86_BP,
    X86_OFV,
    X86_BR,
    X86_UD,
    X86_NM,
    X86_DF_VEC,
    X86_TS = 10,
    X86_NP,
    X86_SSV,
    X86_GP,
    X86_PFV,
    X86_MF = 16,
    X86_AC_VEC,
    X86_MC,
    X86_XM
};

/* Segment attributes: bits 8..23 of a descriptor's high word moved to 0..15 (limit bits cleared).
 */
enum {
    X86_SEG_TYPE = 0xf,
    X86_SEG_S = 1 << 4,
    X86_SEG_DPL_SHIFT = 5,
    X86_SEG_P = 1 << 7,
    X86_SEG_AVL = 1 << 12,
    X86_SEG_L = 1 << 13,
    X86_SEG_DB = 1 << 14,
    X86_SEG_G = 1 << 15
};

struct x86_seg {
    uint16_t sel;
    uint16_t attr;
    uint32_t limit; /* in bytes, granularity applied */
    uint64_t base;
    /* Derived by x86_seg_update whenever the above or the mode changes: what x86_lin_* look at. */
    uint64_t lin_base;   /* base as applied: 0 for ES CS SS DS in 64-bit mode */
    bool flat_r, flat_w; /* any offset may be read / written without a limit or type check
                            (64-bit mode, or base 0 limit 4 GiB expand-up of the right type) */
    bool null;           /* loaded with a null selector (unusable) */
};

struct x86_dtable {
    uint64_t base;
    uint16_t limit;
};

union x86_xmm {
    uint8_t u8[16];
    uint16_t u16[8];
    uint32_t u32[4];
    uint64_t u64[2];
    int8_t i8[16];
    int16_t i16[8];
    int32_t i32[4];
    int64_t i64[2];
};

/* Two lanes of 128 bits. */
union x86_ymm {
    union x86_xmm x[2];
    uint8_t u8[32];
    uint16_t u16[16];
    uint32_t u32[8];
    uint64_t u64[4];
    int16_t i16[16];
    int32_t i32[8];
    int64_t i64[4];
};

struct x86_f80 {
    uint64_t frac; /* with the explicit integer bit; an MMX register lives here */
    uint16_t se;   /* sign and exponent */
};

struct x86_fpu {
    struct x86_f80 st[8]; /* physical registers R0..R7; ST(i) is st[(top + i) & 7] */
    uint16_t cw, sw;      /* sw without TOP (kept in top) */
    uint8_t top;
    uint8_t tag; /* abridged: bit i set = R(i) not empty */
    uint16_t fop, fcs, fds;
    uint64_t fip, fdp;
};

/*
 * Arithmetic flags in the form that is cheapest to produce; flags.h describes it, everyone goes
 * through the functions there.
 */
struct x86_lazy {
    uint64_t result; /* sign-extended: ZF, SF, PF */
    uint64_t aux;    /* carries into each bit: AF is bit 4, OF is bit 63 ^ CF */
    uint32_t op; /* bit 0: CF; X86_PF, X86_SF: these flags are the inverse of what result says */
};

/* A fault or trap noticed by an instruction, delivered by the dispatcher (exc.h). */
struct x86_pending {
    bool valid;
    uint8_t vector;
    bool has_code;
    uint32_t code;
    uint64_t cr2; /* for #PF, written to CR2 at delivery */
    uint64_t dr6; /* for #DB: bits to set in DR6 at delivery */
};

/*
 * Software TLB: direct mapped by linear page, one table per access class. A tag is the linear page
 * address with the number of the address space exclusive-ored into the bits that the slot tells
 * already (12 to 21); the number is never 0, so that an empty entry has the number 0 and fits no
 * address. Address ^ key ^ tag is the offset in the page for a hit, and 4096 or more otherwise.
 * Only pages of guest RAM that may be accessed directly have a tag (wtag: only while gmem allows
 * direct writes and the page's D bit is set). A canonical-address check is implied by a hit.
 */
enum { X86_TLB_BITS = 10, X86_TLB_SIZE = 1 << X86_TLB_BITS };
enum x86_access_class {
    X86_CLASS_SYSTEM,      /* supervisor, user pages denied (SMAP in force) or implicit access */
    X86_CLASS_SYSTEM_USER, /* supervisor that may touch user pages (no SMAP, or AC set) */
    X86_CLASS_USER,
    X86_CLASSES,
};
struct x86_tlb_entry {
    uint64_t rtag, wtag;
    uint8_t *host; /* host address of the page's first byte */
    uint64_t gfn;  /* its gmem page, UINT64_MAX for ROM */
};

/* The same for instruction fetches; one table for CPL 3 and one for the inner rings. */
enum { X86_ITLB_BITS = 8, X86_ITLB_SIZE = 1 << X86_ITLB_BITS };
struct x86_itlb_entry {
    uint64_t tag;
    const uint8_t *page; /* host address of the page's first byte */
    uint64_t gpa, gfn;   /* gfn UINT64_MAX: no write tracking */
};

/*
 * What tlb.c keeps beside the tables. A TLB tag is not the PCID itself but a number handed out to
 * it (0 = none yet): dropping all translations of a PCID is handing out another number.
 */
enum { X86_PCIDS = 4096, X86_TAG_END = 0x3ff };
struct x86_mmu {
    uint16_t tag_of_pcid[X86_PCIDS];
    uint16_t next_tag;
    bool huge_seen;       /* a 1 GiB page was cached since the last full flush */
    uint64_t fetched[64]; /* hash set of pages that code was fetched from since fetch_gen grew */
    bool fetch_moves;     /* one of them will move when it is written (not in the delta yet) */
    uint64_t large[8];    /* hash set of 2 MiB (4 MiB) regions with large pages cached since then */
    uint64_t ram_gpa, ram_len, ram_gfn; /* last RAM range seen by a page walk */
    bool ram_rom;                       /* it is ROM to the guest */
    uint64_t phys_reserved;             /* bits of an entry's address above MAXPHYADDR */
};

/* What a processor has counted since it was made, off the fast paths. */
struct x86_counts {
    uint64_t exits[8];        /* by enum x86_exit */
    uint64_t interrupts[256]; /* from outside, by vector */
    uint64_t exceptions[32];  /* faults and traps, by vector */
    uint64_t soft;            /* INT n and its kin */
    uint64_t tlb_misses, fetch_misses;
    uint64_t flushes, page_flushes, cr3_loads;
    uint64_t blocks; /* of code decoded */
};

/* Why a processor stopped running instructions (x86_run). */
enum x86_exit {
    X86_EXIT_BUDGET,   /* the instruction budget is used up */
    X86_EXIT_KICK,     /* attention was asked for that the processor cannot handle itself */
    X86_EXIT_HALT,     /* HLT (or MWAIT): nothing to do until an event */
    X86_EXIT_PAUSE,    /* PAUSE: let another processor have its turn */
    X86_EXIT_SHUTDOWN, /* triple fault */
    X86_EXIT_IDLE,     /* waits for SIPI */
    X86_EXIT_DEBUG,    /* a debugger wants to know (debugger.h): debug_stop */
};

/* Bits of x86_cpu.attention: set by anybody, looked at between instructions. */
enum {
    X86_ATTN_INTR =
        1 << 0,            /* the interrupt controller has a vector (level; cleared by its owner) */
    X86_ATTN_NMI = 1 << 1, /* edge */
    X86_ATTN_SMI = 1 << 2,
    X86_ATTN_INIT = 1 << 3,
    X86_ATTN_SIPI = 1 << 4,  /* vector in sipi_vector */
    X86_ATTN_KICK = 1 << 5,  /* leave x86_run with X86_EXIT_KICK */
    X86_ATTN_FLUSH = 1 << 6, /* the memory map or page flags changed: drop cached translations */
    X86_ATTN_SLOW =
        1 << 7, /* kept by the processor itself: TF, interrupt shadow, breakpoints armed, steps */
    X86_ATTN_CODE = 1 << 8, /* another thread wrote to translated code (the translator's own) */
};

enum x86_activity { X86_ACTIVE, X86_HALTED, X86_WAIT_SIPI, X86_SHUTDOWN };

/* Interrupt shadow after STI / MOV SS / POP SS (vol. 3, 6.8.3). */
enum { X86_SHADOW_STI = 1, X86_SHADOW_SS = 2 };

/* Single-step trap after the instruction that runs: if TF was set before it; never (INT n); if TF
 * is set after it (SYSCALL, SYSRET). */
enum { X86_STEP_BEFORE, X86_STEP_NEVER, X86_STEP_AFTER };

struct x86_cpu;
struct trace;
struct x86_debugger;
struct x86_code; /* decoded-instruction cache, interp's */

/*
 * What a processor needs of its machine. Calls marked L are made by the processor after
 * x86_host.lock (the machine lock); the others must be safe without it.
 */
struct x86_host {
    void *opaque;
    void (*lock)(void *opaque);
    void (*unlock)(void *opaque);
    /* L: acknowledges an interrupt: its vector, or -1 when it went away (spurious is a vector too).
     */
    int (*intr_ack)(void *opaque, unsigned cpu);
    /* L: local APIC registers by MSR (IA32_APIC_BASE, x2APIC 0x800-0x8ff, IA32_TSC_DEADLINE).
     * Return 0 or -EINVAL for #GP(0). */
    int (*apic_rdmsr)(void *opaque, unsigned cpu, uint32_t msr, uint64_t *ret);
    int (*apic_wrmsr)(void *opaque, unsigned cpu, uint32_t msr, uint64_t value);
    /* L: CR8 = TPR bits 7:4. */
    uint8_t (*get_cr8)(void *opaque, unsigned cpu);
    void (*set_cr8)(void *opaque, unsigned cpu, uint8_t value);
    /* L: MSRs and CPUID leaves of the board (KVM paravirtual ones); -EINVAL = not mine. */
    int (*pv_rdmsr)(void *opaque, unsigned cpu, uint32_t msr, uint64_t *ret);
    int (*pv_wrmsr)(void *opaque, unsigned cpu, uint32_t msr, uint64_t value);
    /* L: the FERR# wire for CR0.NE = 0 (IRQ 13). */
    void (*ferr)(void *opaque, int level);
    /* Ticks of the time-stamp counter without the guest's TSC_ADJUST / WRMSR offset. */
    uint64_t (*tsc)(void *opaque);
    /* L, may be NULL: the guest wrote IA32_TSC or IA32_TSC_ADJUST; deadlines in ticks move. */
    void (*tsc_changed)(void *opaque, unsigned cpu);
    /* Fills @n random bytes (RDRAND, RDSEED). */
    void (*random)(void *opaque, void *bytes, size_t n);
};

struct x86_cpuid_leaf {
    uint32_t leaf, value[4]; /* EAX, EBX, ECX, EDX */
};

/* The processors of one machine and what they share. */
struct x86_vm {
    struct space *space;
    struct ports *ports;
    struct x86_host host;
    const struct x86_model *model;
    uint32_t tsc_khz;
    unsigned cpu_count;
    struct x86_cpu **cpus;
    /* CPUID leaves of the board from 0x40000000 on (borrowed, may be NULL): the hypervisor's. */
    const struct x86_cpuid_leaf *pv_cpuid;
    unsigned pv_cpuid_count;
    struct gmem_listener listener; /* tlb.c */
    uint64_t a20_mask;             /* of all physical addresses; see x86_set_a20 */
    struct trace *trace;           /* who wants to know (base/trace.h); NULL: nobody */
    struct x86_debugger *debugger; /* debugger.c; NULL: none */
    struct x86_code *code;         /* interp's cache, shared by processors that run in turn */
    void *translator;              /* cpu/jit's, likewise */
};

/*
 * What translated code (cpu/jit) keeps of a processor; its room describes it. It stands here
 * because that code reaches everything from one register.
 */
enum { X86_JIT_JUMPS = 2048 };
struct x86_jit {
    uint64_t budget;  /* instructions that may still be run */
    uint64_t context; /* names translations and mode in force; never 0 */
    uint64_t spill, lin, result;
    const void *site, *host_stack;
    uint32_t attention_mask; /* bits of x86_cpu.attention worth leaving for */
    uint32_t host_mxcsr;
    uint16_t flags;   /* arithmetic flags: OF in bit 0, those of LAHF in bits 8 to 15 */
    uint8_t xmm_live; /* the vector registers and MXCSR are in the host's */
    uint8_t leave;    /* leave at the next instruction boundary */
    _Alignas(16) uint8_t buffer[32];
    struct x86_jit_jump {
        uint64_t lin, context;
        const void *host;
        uint64_t unused; /* a power of two */
    } jump[X86_JIT_JUMPS];
};

struct x86_cpu {
    /* Hot: looked at by nearly every instruction. */
    uint64_t gpr[16];
    uint64_t zero;      /* always 0: the register of an absent base or index */
    uint64_t code_base; /* interp: RIP of the start of the block that runs, see interp.c */
    uint64_t loaded;    /* scratch of the integer core */
    uint64_t rip;       /* of the current instruction; see insn.h for when it is exact */
    struct x86_lazy lazy;
    uint64_t
        rflags; /* all flags but the arithmetic ones (bits of X86_ARITH are in lazy); bit 1 set */
    atomic_uint attention;
    uint8_t cpl;
    uint8_t mode;      /* enum x86_mode, derived */
    uint8_t mmu_class; /* enum x86_access_class for explicit data accesses, derived */
    uint8_t shadow;    /* X86_SHADOW_*, in force at the boundary where rip is shadow_rip */
    uint64_t asid;     /* number of the address space in force, 1 to X86_TAG_END - 1 */
    uint64_t tlb_key;  /* the same as it stands in the tags of data TLBs */
    /* Grows when code may have moved for an unchanged asid, CPL and mode: TLB flushes. */
    uint64_t fetch_gen;
    struct x86_seg seg[X86_SEGS];
    union x86_xmm xmm[16];
    union x86_xmm ymmh[16]; /* upper halves of YMM0-YMM15: legacy SSE instructions keep them */
    uint32_t mxcsr;
    uint8_t sse_raised; /* scratch of avx_lanes.c: SF_* flags of the #XM that was raised */
    struct x86_fpu fpu;
    struct x86_pending fault;

    struct x86_seg ldt, tr;
    struct x86_dtable gdt, idt;
    uint64_t cr0, cr2, cr3, cr4, xcr0, efer;
    uint64_t pdpte[4]; /* PAE page-directory pointers, loaded with CR3 (vol. 3, 4.4.1) */
    uint64_t dr[8];
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, misc_enable, spec_ctrl, mcg_status;
    uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
    uint64_t tsc_offset, tsc_adjust; /* IA32_TSC = host.tsc() + tsc_offset (adjust included) */
    uint8_t activity;                /* enum x86_activity */
    uint8_t exit_reason;             /* enum x86_exit, set before X86_STOP */
    uint8_t sipi_vector;
    bool nmi_blocked;    /* until IRET */
    uint8_t edges;       /* of attention, the part that is state: see state.c */
    uint64_t insn_count; /* instructions retired */

    /* Debug exceptions (debugreg.c). */
    uint64_t shadow_rip;
    uint64_t debug_hits; /* DR6 bits of data and I/O breakpoints met by this instruction */
    bool debug_data;     /* data breakpoints are armed: derived from DR7 */
    bool debug_code;     /* instruction breakpoints are armed */
    uint8_t step_rule;   /* X86_STEP_*: single-step trap after the instruction that runs now */
    bool debug_step;     /* a debugger outside wants one instruction (debugger.h) */
    uint8_t debug_stop;  /* enum x86_debug_stop */
    uint8_t debug_kind;  /* enum x86_point_kind of the watchpoint met, at debug_at */
    uint64_t debug_at;
    bool align_check; /* CR0.AM, RFLAGS.AC and CPL 3: derived */

    const void *thread; /* identity of the host thread that runs this processor, tlb.c */
    struct x86_tlb_entry tlb[X86_CLASSES][X86_TLB_SIZE];
    struct x86_itlb_entry itlb[2][X86_ITLB_SIZE];
    struct x86_mmu mmu;

    struct x86_counts counts;
    uint8_t told_cpl; /* the ring that was last told (trace) */

    unsigned index; /* 0 = boot processor; also the local APIC id */
    struct x86_vm *vm;
    void *engine; /* private to the accelerator that runs it */
    struct x86_jit jit;
};

/* YMM register @n (0..15) as a whole, for debuggers. */
static inline union x86_ymm x86_ymm_get(const struct x86_cpu *c, unsigned n)
{
    return (union x86_ymm){.x = {c->xmm[n & 15], c->ymmh[n & 15]}};
}
static inline void x86_ymm_set(struct x86_cpu *c, unsigned n, const union x86_ymm *v)
{
    c->xmm[n & 15] = v->x[0];
    c->ymmh[n & 15] = v->x[1];
}

enum x86_mode {
    X86_MODE_REAL, /* CR0.PE = 0 (big-real included) */
    X86_MODE_V86,
    X86_MODE_PROT,   /* legacy protected mode; 16 or 32 bits by CS.D */
    X86_MODE_COMPAT, /* EFER.LMA, CS.L = 0 */
    X86_MODE_64,
};

/*
 * A VM of @cpus processors (1..255) of @model on @space and @ports (borrowed). Processors come up
 * in reset state, number 0 active and the others waiting for SIPI. NULL with @err set on failure.
 */
struct x86_vm *x86_vm_new(struct space *space, struct ports *ports, const struct x86_host *host,
                          const struct x86_model *model, unsigned cpus, uint32_t tsc_khz,
                          struct error *err);
void x86_vm_free(struct x86_vm *vm);

/* Power-up / RESET# and INIT states (vol. 3, table 10-1). */
void x86_reset(struct x86_cpu *c);
void x86_init(struct x86_cpu *c);
/* The A20 line of the board: off, bit 20 of every physical address is 0 (A20M#). On after
 * x86_vm_new; no reset of a processor changes it. */
void x86_set_a20(struct x86_vm *vm, bool on);

/*
 * Asks for attention. Any thread. INTR is a level: the local APIC (or PIC) sets and clears it; INIT
 * and SIPI and NMI are cleared by the processor when taken.
 */
void x86_attention_set(struct x86_cpu *c, unsigned bits);
void x86_attention_clear(struct x86_cpu *c, unsigned bits);
/* True when a halted or waiting processor has something to do. */
bool x86_has_work(struct x86_cpu *c);

/*
 * Runs at most about @budget instructions on the reference interpreter. Called without the machine
 * lock.
 */
enum x86_exit x86_interp_run(struct x86_cpu *c, uint64_t budget);

#endif
