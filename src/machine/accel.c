/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/accel.h"

#include <errno.h>

#include "base/mem.h"
#include "cpu/x86/interp.h"

static int interp_probe(struct error *err)
{
    (void)err;
    return 0; /* portable C: runs wherever this program does */
}

static void interp_kick(struct x86_cpu *c)
{
    x86_attention_set(c, X86_ATTN_KICK);
}

static void interp_counters(const struct x86_cpu *c, struct str *out)
{
    struct x86_interp_counters n = {0};

    x86_interp_count(c, &n);
    str_addf(out, "\"blocks\":%llu,\"entries\":%llu,\"lookups\":%llu,\"pages\":%llu,\"steps\":%llu",
             (unsigned long long)n.blocks, (unsigned long long)n.entries,
             (unsigned long long)n.lookups, (unsigned long long)n.pages,
             (unsigned long long)n.steps);
}

static const struct accel_ops interp_ops = {
    .name = "interp",
    .about = "portable interpreter: exact, runs everywhere, about 1/50 of native speed",
    .probe = interp_probe,
    .run = x86_interp_run,
    .kick = interp_kick,
    .counters = interp_counters,
    .rest = x86_interp_rest,
};

/* In the order of auto. */
static const struct accel_ops *const accels[] = {
    &interp_ops,
#ifdef ISOLA_JIT
    &accel_jit,
#endif
};

const struct accel_ops *accel_at(unsigned index)
{
    return index < array_size(accels) ? accels[index] : NULL;
}

const struct accel_ops *accel_find(const char *name, struct error *err)
{
    bool any = !name || strcmp(name, "auto") == 0;

    for (unsigned i = 0; i < array_size(accels); i++) {
        int r;
        if (!any && strcmp(name, accels[i]->name) != 0)
            continue;
        r = accels[i]->probe(err);
        if (r == 0)
            return accels[i];
        if (!any) {
            error_wrap(err, r, "accelerator %s", name);
            return NULL;
        }
    }
    error_set(err, -ENOTSUP, "accelerator %s is not part of this version; use --accel interp",
              any ? "auto" : name);
    return NULL;
}
