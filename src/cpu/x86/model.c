/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor models. A bit is set here only when the interpreter implements what it announces;
 * docs/cpu-models.md says why vendor and family are what they are.
 */
#include "cpu/x86/model.h"

#include "cpu/x86/model_internal.h"

#define B(n) (1u << (n))

/* CPUID.1:EDX */
enum {
    FPU = B(0),
    VME = B(1),
    DE = B(2),
    PSE = B(3),
    TSC = B(4),
    MSR = B(5),
    PAE = B(6),
    MCE = B(7),
    CX8 = B(8),
    APIC = B(9),
    SEP = B(11),
    MTRR = B(12),
    PGE = B(13),
    MCA = B(14),
    CMOV = B(15),
    PAT = B(16),
    PSE36 = B(17),
    CLFSH = B(19),
    MMX = B(23),
    FXSR = B(24),
    SSE = B(25),
    SSE2 = B(26),
};
/* CPUID.1:ECX */
enum {
    SSE3 = B(0),
    PCLMUL = B(1),
    SSSE3 = B(9),
    FMA = B(12),
    CX16 = B(13),
    PCID = B(17),
    SSE41 = B(19),
    SSE42 = B(20),
    X2APIC = B(21),
    MOVBE = B(22),
    POPCNT = B(23),
    TSC_DEADLINE = B(24),
    AES = B(25),
    XSAVE = B(26),
    AVX = B(28),
    F16C = B(29),
    RDRAND = B(30),
};
/* CPUID.7:EBX, ECX, EDX */
enum {
    FSGSBASE = B(0),
    TSC_ADJUST = B(1),
    BMI1 = B(3),
    AVX2 = B(5),
    SMEP = B(7),
    BMI2 = B(8),
    ERMS = B(9),
    INVPCID = B(10),
    RDSEED = B(18),
    ADX = B(19),
    SMAP = B(20),
    SHA = B(29),
    UMIP = B(2),
    RDPID = B(22),
    ARCH_CAP = B(29),
};
/* CPUID.80000001:EDX, ECX */
enum {
    SYSCALL = B(11),
    NX = B(20),
    PDPE1GB = B(26),
    RDTSCP = B(27),
    LM = B(29),
    LAHF64 = B(0),
    LZCNT = B(5),
    PREFETCHW = B(8),
};
enum { XSAVEOPT = B(0), XSAVEC = B(1), XGETBV1 = B(2) };

/* The bits of 1:EDX that AMD repeats in 80000001:EDX. */
#define AMD_COMMON                                                                                 \
    (FPU | VME | DE | PSE | TSC | MSR | PAE | MCE | CX8 | APIC | MTRR | PGE | MCA | CMOV | PAT |   \
     PSE36 | MMX | FXSR)

/* What the two models of Isola's own have in common: an in-order Intel Atom, see docs. */
#define ISOLA_FAMILY                                                                               \
    .vendor = "GenuineIntel", .family = 6, .model = 0x1c, .stepping = 10, .max_leaf = 0x16,        \
    .max_extended = 0x80000008, .phys_bits = 40, .lin_bits = 48, .intel = true,                    \
    .arch_capabilities = ISOLA_ARCH_CAPABILITIES
/* RDCL_NO, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO,
 * PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO */
#define ISOLA_ARCH_CAPABILITIES                                                                    \
    (B(0) | B(3) | B(4) | B(5) | B(6) | B(8) | B(13) | B(14) | B(15) | B(20) | B(24) | B(26) |     \
     B(27))
#define ISOLA_V1_1_EDX (AMD_COMMON | SEP | CLFSH | SSE | SSE2)
#define ISOLA_V1_1_ECX                                                                             \
    (SSE3 | PCLMUL | SSSE3 | CX16 | PCID | SSE41 | SSE42 | X2APIC | MOVBE | POPCNT |               \
     TSC_DEADLINE | AES | XSAVE | RDRAND)
#define ISOLA_V1_7_EBX  (FSGSBASE | TSC_ADJUST | SMEP | ERMS | INVPCID | RDSEED | SMAP)
#define ISOLA_V1_81_EDX (SYSCALL | NX | PDPE1GB | RDTSCP | LM)

static const struct x86_model models[] = {
    {
        .name = "isola-v3",
        .about = "x86-64-v3 (AVX2, FMA, BMI), all that the interpreter has; in-order, so nothing "
                 "to mitigate (default)",
        .brand = "Isola Virtual Processor v3",
        ISOLA_FAMILY,
        .words =
            {
                [X86_W_1_EDX] = ISOLA_V1_1_EDX,
                [X86_W_1_ECX] = ISOLA_V1_1_ECX | FMA | AVX | F16C,
                [X86_W_7_EBX] = ISOLA_V1_7_EBX | BMI1 | AVX2 | BMI2 | ADX | SHA,
                [X86_W_7_ECX] = UMIP | RDPID,
                [X86_W_7_EDX] = ARCH_CAP,
                [X86_W_81_EDX] = ISOLA_V1_81_EDX,
                [X86_W_81_ECX] = LAHF64 | PREFETCHW | LZCNT,
                [X86_W_D1_EAX] = XSAVEOPT | XSAVEC | XGETBV1,
            },
    },
    {
        .name = "isola-v1",
        .about = "64-bit to SSE4.2, AES and PCLMULQDQ, without AVX; otherwise as isola-v3",
        .brand = "Isola Virtual Processor v1",
        ISOLA_FAMILY,
        .words =
            {
                [X86_W_1_EDX] = ISOLA_V1_1_EDX,
                [X86_W_1_ECX] = ISOLA_V1_1_ECX,
                [X86_W_7_EBX] = ISOLA_V1_7_EBX,
                [X86_W_7_ECX] = UMIP,
                [X86_W_7_EDX] = ARCH_CAP,
                [X86_W_81_EDX] = ISOLA_V1_81_EDX,
                [X86_W_81_ECX] = LAHF64 | PREFETCHW,
                [X86_W_D1_EAX] = XSAVEOPT,
            },
    },
    {
        .name = "qemu64",
        .about = "the least 64-bit processor, as QEMU's model of that name",
        .vendor = "AuthenticAMD",
        .brand = "Isola minimal 64-bit processor",
        .family = 15,
        .model = 107,
        .stepping = 1,
        .max_leaf = 0xd,
        .max_extended = 0x80000008,
        .phys_bits = 40,
        .lin_bits = 48,
        .words =
            {
                [X86_W_1_EDX] = AMD_COMMON | SEP | CLFSH | SSE | SSE2,
                [X86_W_1_ECX] = SSE3 | CX16 | X2APIC,
                [X86_W_81_EDX] = AMD_COMMON | SYSCALL | NX | LM,
                [X86_W_81_ECX] = LAHF64,
            },
    },
    {
        .name = "pentium3",
        .about = "32-bit with SSE",
        .vendor = "GenuineIntel",
        .brand = NULL,
        .family = 6,
        .model = 8,
        .stepping = 3,
        .max_leaf = 2,
        .phys_bits = 36,
        .lin_bits = 32,
        .intel = true,
        .words = {[X86_W_1_EDX] = AMD_COMMON | SEP | SSE},
    },
};

const struct x86_model *x86_model_at(unsigned index)
{
    return index < array_size(models) ? &models[index] : NULL;
}

const struct x86_model *x86_model_find(const char *name)
{
    if (!name)
        return &models[0];
    for (unsigned i = 0; i < array_size(models); i++)
        if (strcmp(models[i].name, name) == 0)
            return &models[i];
    return NULL;
}

const char *x86_model_name(const struct x86_model *m)
{
    return m->name;
}

const char *x86_model_about(const struct x86_model *m)
{
    return m->about;
}

unsigned x86_model_phys_bits(const struct x86_model *m)
{
    return m->phys_bits;
}

uint64_t x86_model_xcr0(const struct x86_model *m)
{
    uint64_t avx = x86_model_has(m, X86_FEATURE(X86_W_1_ECX, 28)) ? X86_XCR0_AVX : 0;

    return X86_XCR0_X87 | X86_XCR0_SSE | avx;
}

uint32_t x86_model_signature(const struct x86_model *m)
{
    unsigned base = m->family < 15 ? m->family : 15;

    return (uint32_t)m->stepping | (m->model & 0xfu) << 4 | base << 8 | (m->model >> 4u) << 16 |
           (m->family - base) << 20;
}

bool x86_model_has(const struct x86_model *m, unsigned feature)
{
    if (feature == X86_FEAT_ALWAYS)
        return true;
    return feature / 32 < X86_FEATURE_WORDS && (m->words[feature / 32] >> feature % 32 & 1);
}
