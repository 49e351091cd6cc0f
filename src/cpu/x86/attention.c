/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/x86/cpu.h"

void x86_attention_set(struct x86_cpu *c, unsigned bits)
{
    atomic_fetch_or_explicit(&c->attention, bits, memory_order_release);
}

void x86_attention_clear(struct x86_cpu *c, unsigned bits)
{
    atomic_fetch_and_explicit(&c->attention, ~bits, memory_order_acq_rel);
}
