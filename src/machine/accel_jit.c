/* SPDX-License-Identifier: Apache-2.0 */
/* The translator as an accelerator. */
#include "cpu/jit/jit.h"
#include "machine/accel.h"

static void jit_kick(struct x86_cpu *c)
{
    x86_attention_set(c, X86_ATTN_KICK);
}

const struct accel_ops accel_jit = {
    .name = "jit",
    .about =
        "translator of x86-64 to x86-64: experimental; modes other than 64-bit are interpreted",
    .probe = x86_jit_probe,
    .create_vm = x86_jit_create,
    .destroy_vm = x86_jit_destroy,
    .run = x86_jit_run,
    .kick = jit_kick,
};
