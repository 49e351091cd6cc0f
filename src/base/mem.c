/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

static unsigned long fail_countdown;

void mem_fail_at(unsigned long nth)
{
    __atomic_store_n(&fail_countdown, nth, __ATOMIC_RELAXED);
}

void *mem_alloc(size_t count, size_t size)
{
    if (unlikely(__atomic_load_n(&fail_countdown, __ATOMIC_RELAXED)) &&
        __atomic_sub_fetch(&fail_countdown, 1, __ATOMIC_RELAXED) == 0)
        return NULL;
    if (size && count > PTRDIFF_MAX / size)
        return NULL;
    return calloc(count ? count : 1, size ? size : 1);
}
