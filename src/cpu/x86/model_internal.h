/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CPU_X86_MODEL_INTERNAL_H
#define CPU_X86_MODEL_INTERNAL_H

#include "cpu/x86/model.h"

struct x86_model {
    const char *name, *about;
    const char *vendor; /* twelve characters */
    const char *brand;  /* NULL: no brand string leaves */
    uint16_t family, model, stepping;
    uint32_t max_leaf, max_extended; /* max_extended 0: none */
    uint8_t phys_bits, lin_bits;
    bool intel; /* Intel's rules where the vendors differ */
    uint32_t words[X86_FEATURE_WORDS];
    uint64_t arch_capabilities; /* IA32_ARCH_CAPABILITIES */
};

#endif
