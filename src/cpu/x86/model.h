/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processor models: what CPUID and the feature MSRs say. A model belongs to the machine, not to the
 * accelerator, and says exactly what is there: vendor, family, features, vulnerability bits.
 */
#ifndef CPU_X86_MODEL_H
#define CPU_X86_MODEL_H

#include "cpu/x86/cpu.h"

struct x86_model;

/* The model called @name, NULL when there is none. NULL as @name: the default. */
const struct x86_model *x86_model_find(const char *name);
/* The models in order, NULL after the last; for listing and documentation. */
const struct x86_model *x86_model_at(unsigned index);
const char *x86_model_name(const struct x86_model *m);
const char *x86_model_about(const struct x86_model *m);

/* CPUID of processor @c as the guest sees it now (OSXSAVE, APIC id and the like filled in). */
void x86_cpuid(struct x86_cpu *c, uint32_t leaf, uint32_t subleaf, uint32_t ret[4]);

/*
 * CPUID features, as bit numbers of one set: word * 32 + bit. An instruction whose feature is
 * absent raises #UD.
 */
enum x86_feature_word {
    X86_W_1_EDX,
    X86_W_1_ECX,
    X86_W_7_EBX,
    X86_W_7_ECX,
    X86_W_7_EDX,
    X86_W_81_EDX,
    X86_W_81_ECX,
    X86_W_D1_EAX,
    X86_FEATURE_WORDS
};
bool x86_model_has(const struct x86_model *m, unsigned feature);
/* Family, model and stepping as CPUID leaf 1 has them in EAX (and EDX after a reset). */
uint32_t x86_model_signature(const struct x86_model *m);
/* The bits of XCR0 that can be set: the state components that there are. */
uint64_t x86_model_xcr0(const struct x86_model *m);
/* MAXPHYADDR. */
unsigned x86_model_phys_bits(const struct x86_model *m);

/* The core crystal clock of CPUID leaf 0x15, which also drives the local APIC timer. */
enum { X86_CRYSTAL_HZ = 1000000000 };

#define X86_FEATURE(word, bit) ((word)*32 + (bit))
#define X86_FEAT_ALWAYS        0xffff

#endif
