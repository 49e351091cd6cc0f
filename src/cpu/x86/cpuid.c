/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID (vol. 2A, CPUID; AMD vol. 3, appendix E for the extended leaves). */
#include "cpu/x86/fpu.h"
#include "cpu/x86/model_internal.h"

enum { EAX, EBX, ECX, EDX };

static unsigned log2_up(unsigned n)
{
    unsigned bits = 0;

    while ((1u << bits) < n)
        bits++;
    return bits;
}

static void leaf_vendor(const struct x86_model *m, uint32_t max, uint32_t ret[4])
{
    ret[EAX] = max;
    memcpy(&ret[EBX], m->vendor, 4);
    memcpy(&ret[EDX], m->vendor + 4, 4);
    memcpy(&ret[ECX], m->vendor + 8, 4);
}

static void leaf_1(struct x86_cpu *c, const struct x86_model *m, uint32_t ret[4])
{
    unsigned cpus = c->vm->cpu_count ? c->vm->cpu_count : 1;
    uint64_t apic_base = 1ull << 11;

    ret[EAX] = x86_model_signature(m);
    ret[EBX] = c->index << 24 | (cpus & 0xff) << 16 | 8 << 8; /* CLFLUSH line: 8 * 8 bytes */
    ret[ECX] = m->words[X86_W_1_ECX];
    ret[EDX] = m->words[X86_W_1_EDX];
    if (!(ret[EDX] & 1u << 19))
        ret[EBX] &= ~0xff00u;
    if (c->vm->pv_cpuid_count)
        ret[ECX] |= 1u << 31;
    if (c->cr4 & X86_CR4_OSXSAVE)
        ret[ECX] |= 1u << 27;
    if (cpus > 1)
        ret[EDX] |= 1u << 28;
    /* The APIC bit follows its enable in IA32_APIC_BASE. */
    if (c->vm->host.apic_rdmsr) {
        c->vm->host.lock(c->vm->host.opaque);
        if (c->vm->host.apic_rdmsr(c->vm->host.opaque, c->index, 0x1b, &apic_base) < 0)
            apic_base = 0;
        c->vm->host.unlock(c->vm->host.opaque);
    }
    if (!(apic_base & 1ull << 11))
        ret[EDX] &= ~(1u << 9);
}

/* Deterministic cache parameters: 32 KiB L1 twice, 1 MiB L2, shared 8 MiB L3. */
static void leaf_4(struct x86_cpu *c, uint32_t subleaf, uint32_t ret[4])
{
    static const struct {
        uint8_t type, level, ways;
        uint16_t sets;
        bool shared;
    } cache[] = {
        {1, 1, 8, 64, false}, {2, 1, 8, 64, false}, {3, 2, 8, 2048, false}, {3, 3, 16, 8192, true}};
    unsigned cores = 1u << log2_up(c->vm->cpu_count);

    if (subleaf >= array_size(cache))
        return;
    ret[EAX] = cache[subleaf].type | cache[subleaf].level << 5u | 1u << 8 |
               (cache[subleaf].shared ? cores - 1 : 0) << 14 | (cores > 64 ? 63 : cores - 1) << 26;
    ret[EBX] = 63 | (cache[subleaf].ways - 1u) << 22;
    ret[ECX] = cache[subleaf].sets - 1u;
}

/* Extended topology: one thread a core, all cores in one package. */
static void leaf_b(struct x86_cpu *c, uint32_t subleaf, uint32_t ret[4])
{
    ret[ECX] = subleaf & 0xff;
    ret[EDX] = c->index;
    if (subleaf == 0) {
        ret[EBX] = 1;
        ret[ECX] |= 1 << 8;
    } else if (subleaf == 1) {
        ret[EAX] = log2_up(c->vm->cpu_count);
        ret[EBX] = c->vm->cpu_count;
        ret[ECX] |= 2 << 8;
    }
}

static void leaf_d(const struct x86_cpu *c, uint32_t subleaf, uint32_t ret[4])
{
    const struct x86_model *m = c->vm->model;
    uint64_t all = x86_model_xcr0(m);

    if (!x86_model_has(m, X86_FEATURE(X86_W_1_ECX, 26)))
        return;
    if (subleaf == 0) {
        ret[EAX] = (uint32_t)all;
        ret[EBX] = c->xcr0 & X86_XCR0_AVX ? X86_XSAVE_AVX : X86_XSAVE_LEGACY;
        ret[ECX] = all & X86_XCR0_AVX ? X86_XSAVE_AVX : X86_XSAVE_LEGACY;
    } else if (subleaf == 1) {
        ret[EAX] = m->words[X86_W_D1_EAX];
        if (ret[EAX] & 2) /* XSAVEC: the compacted size */
            ret[EBX] = c->xcr0 & X86_XCR0_AVX ? X86_XSAVE_AVX : X86_XSAVE_LEGACY;
    } else if (subleaf == 2 && all & X86_XCR0_AVX) {
        ret[EAX] = X86_XSAVE_AVX - X86_XSAVE_LEGACY;
        ret[EBX] = X86_XSAVE_LEGACY;
    }
}

static void basic_leaf(struct x86_cpu *c, uint32_t leaf, uint32_t subleaf, uint32_t ret[4])
{
    const struct x86_model *m = c->vm->model;

    switch (leaf) {
    case 0:
        leaf_vendor(m, m->max_leaf, ret);
        break;
    case 1:
        leaf_1(c, m, ret);
        break;
    case 2:
        /* Intel only: no descriptors, see leaf 4; the Pentium III has its own. */
        if (m->max_leaf >= 4 && m->intel)
            ret[EAX] = 0x00feff01;
        else if (m->intel) {
            ret[EAX] = 0x03020101;
            ret[EDX] = 0x0c040843;
        }
        break;
    case 4:
        if (m->intel)
            leaf_4(c, subleaf, ret);
        break;
    case 6:
        ret[EAX] = 1 << 2; /* ARAT: the APIC timer never stops */
        break;
    case 7:
        if (subleaf == 0) {
            ret[EBX] = m->words[X86_W_7_EBX];
            ret[ECX] = m->words[X86_W_7_ECX];
            ret[EDX] = m->words[X86_W_7_EDX];
        }
        break;
    case 0xb:
        leaf_b(c, subleaf, ret);
        break;
    case 0xd:
        leaf_d(c, subleaf, ret);
        break;
    case 0x15:
        /* TSC = crystal * EBX / EAX; said only when that is exact. */
        if (c->vm->tsc_khz % 1000 == 0) {
            ret[EAX] = X86_CRYSTAL_HZ / 1000000;
            ret[EBX] = c->vm->tsc_khz / 1000;
            ret[ECX] = X86_CRYSTAL_HZ;
        }
        break;
    case 0x16:
        ret[EAX] = ret[EBX] = c->vm->tsc_khz / 1000;
        ret[ECX] = X86_CRYSTAL_HZ / 1000000;
        break;
    default:
        break;
    }
}

static void brand_leaf(const struct x86_model *m, unsigned part, uint32_t ret[4])
{
    char text[48] = {0};
    size_t len = m->brand ? strlen(m->brand) : 0;

    memcpy(text, m->brand ? m->brand : "", min_of(len, sizeof(text) - 1));
    memcpy(ret, text + part * 16, 16);
}

static void extended_leaf(struct x86_cpu *c, uint32_t leaf, uint32_t ret[4])
{
    const struct x86_model *m = c->vm->model;

    switch (leaf) {
    case 0x80000000:
        if (m->intel)
            ret[EAX] = m->max_extended;
        else
            leaf_vendor(m, m->max_extended, ret);
        break;
    case 0x80000001:
        if (!m->intel)
            ret[EAX] = x86_model_signature(m);
        ret[ECX] = m->words[X86_W_81_ECX];
        ret[EDX] = m->words[X86_W_81_EDX];
        if (m->intel && c->mode != X86_MODE_64)
            ret[EDX] &= ~(1u << 11);
        if (!m->intel && c->vm->cpu_count > 1)
            ret[ECX] |= 1 << 1; /* CmpLegacy */
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        brand_leaf(m, leaf - 0x80000002, ret);
        break;
    case 0x80000005:
        if (!m->intel)
            ret[ECX] = ret[EDX] = 32u << 24 | 8 << 16 | 1 << 8 | 64;
        break;
    case 0x80000006:
        ret[ECX] = 1024u << 16 | 6 << 12 | 1 << 8 | 64; /* 1 MiB L2, 8 ways */
        break;
    case 0x80000007:
        ret[EDX] = 1 << 8; /* the TSC never stops and never changes its rate */
        break;
    case 0x80000008:
        ret[EAX] = (uint32_t)m->lin_bits << 8 | m->phys_bits;
        if (!m->intel)
            ret[ECX] = log2_up(c->vm->cpu_count) << 12 | (c->vm->cpu_count - 1);
        break;
    default:
        break;
    }
}

void x86_cpuid(struct x86_cpu *c, uint32_t leaf, uint32_t subleaf, uint32_t ret[4])
{
    const struct x86_model *m = c->vm->model;

    memset(ret, 0, 16);
    if (leaf >= 0x40000000 && leaf < 0x50000000 && c->vm->pv_cpuid_count) {
        for (unsigned i = 0; i < c->vm->pv_cpuid_count; i++)
            if (c->vm->pv_cpuid[i].leaf == leaf)
                memcpy(ret, c->vm->pv_cpuid[i].value, 16);
        return;
    }
    if (leaf >= 0x80000000 && m->max_extended && leaf <= m->max_extended) {
        extended_leaf(c, leaf, ret);
        return;
    }
    if (leaf > m->max_leaf) {
        if (!m->intel)
            return;
        leaf = m->max_leaf; /* Intel answers as for the highest basic leaf */
    }
    basic_leaf(c, leaf, subleaf, ret);
}
