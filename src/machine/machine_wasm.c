/* SPDX-License-Identifier: Apache-2.0 */
/* Where there are no threads a machine is only stepped. */
#include "machine/machine_internal.h"

void machine_threads_free(struct machine *m)
{
    (void)m;
}

uint64_t machine_threads_cpu_ns(const struct machine *m)
{
    (void)m;
    return 0;
}

void machine_hold(struct machine *m, bool *why)
{
    *why = true;
    gclock_pause(m->clock);
}

void machine_let_go(struct machine *m, bool *why)
{
    *why = false;
    if (!machine_stands(m))
        gclock_resume(m->clock);
}
