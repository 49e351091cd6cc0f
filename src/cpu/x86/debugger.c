/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/x86/debugger.h"

#include <errno.h>

#include "cpu/x86/access.h"
#include "cpu/x86/system.h"

struct point {
    uint64_t lin, last; /* first and last byte */
    uint8_t kind;
};

/* Breakpoints and watchpoints together: there are few, and they are looked through only where code
 * is stepped or looked up anew. */
struct x86_debugger {
    unsigned count, watches;
    struct point point[X86_POINTS];
};

static uint64_t page_of(uint64_t lin)
{
    return lin >> GMEM_PAGE_BITS;
}

/* Cached translations and code know nothing of points. */
static void changed(struct x86_vm *vm)
{
    for (unsigned i = 0; i < vm->cpu_count; i++) {
        x86_debug_update(vm->cpus[i]);
        x86_attention_set(vm->cpus[i], X86_ATTN_FLUSH);
    }
}

static int attach(struct x86_vm *vm, struct error *err)
{
    if (!vm->debugger)
        vm->debugger = mem_new(struct x86_debugger);
    return vm->debugger ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static struct point *find(struct x86_debugger *d, enum x86_point_kind kind, uint64_t lin,
                          uint64_t last)
{
    for (unsigned i = 0; d && i < d->count; i++)
        if (d->point[i].kind == kind && d->point[i].lin == lin && d->point[i].last == last)
            return &d->point[i];
    return NULL;
}

int x86_debugger_add(struct x86_vm *vm, enum x86_point_kind kind, uint64_t lin, uint64_t len,
                     struct error *err)
{
    struct x86_debugger *d;
    uint64_t last = kind == X86_POINT_CODE ? lin : lin + len - 1;
    int r = attach(vm, err);

    if (r < 0)
        return r;
    d = vm->debugger;
    if (kind != X86_POINT_CODE && (!len || len > X86_WATCH_BYTES || last < lin))
        return error_set(err, -EINVAL, "a watchpoint is from 1 to %d bytes long", X86_WATCH_BYTES);
    if (find(d, kind, lin, last))
        return 0;
    if (d->count == X86_POINTS)
        return error_set(err, -ENOSPC, "there are %d breakpoints already", X86_POINTS);
    d->point[d->count++] = (struct point){.lin = lin, .last = last, .kind = (uint8_t)kind};
    d->watches += kind != X86_POINT_CODE;
    changed(vm);
    return 0;
}

void x86_debugger_remove(struct x86_vm *vm, enum x86_point_kind kind, uint64_t lin, uint64_t len)
{
    struct x86_debugger *d = vm->debugger;
    struct point *p = find(d, kind, lin, kind == X86_POINT_CODE ? lin : lin + len - 1);

    if (!p)
        return;
    *p = d->point[--d->count];
    d->watches -= kind != X86_POINT_CODE;
    changed(vm);
}

void x86_debugger_clear(struct x86_vm *vm)
{
    free(vm->debugger);
    vm->debugger = NULL;
    for (unsigned i = 0; i < vm->cpu_count; i++)
        vm->cpus[i]->debug_step = false;
    changed(vm);
}

int x86_debugger_step(struct x86_cpu *c, bool on, struct error *err)
{
    int r = on ? attach(c->vm, err) : 0;

    if (r < 0)
        return r;
    c->debug_step = on;
    x86_slow_update(c);
    return 0;
}

bool x86_debugger_page(const struct x86_debugger *d, uint64_t lin)
{
    for (unsigned i = 0; i < d->count; i++)
        if (d->point[i].kind == X86_POINT_CODE && page_of(d->point[i].lin) == page_of(lin))
            return true;
    return false;
}

bool x86_debugger_watches(const struct x86_debugger *d)
{
    return d && d->watches;
}

bool x86_debugger_data_page(const struct x86_debugger *d, uint64_t lin)
{
    for (unsigned i = 0; i < d->count; i++)
        if (d->point[i].kind != X86_POINT_CODE && page_of(d->point[i].lin) <= page_of(lin) &&
            page_of(lin) <= page_of(d->point[i].last))
            return true;
    return false;
}

void x86_debugger_data(struct x86_cpu *c, uint64_t lin, unsigned size, bool write)
{
    const struct x86_debugger *d = c->vm->debugger;
    unsigned unwanted = write ? X86_POINT_READ : X86_POINT_WRITE;

    if (c->debug_stop)
        return; /* the first one is told */
    for (unsigned i = 0; i < d->count; i++) {
        const struct point *p = &d->point[i];
        if (p->kind == X86_POINT_CODE || p->kind == unwanted || lin > p->last ||
            p->lin > lin + size - 1)
            continue;
        c->debug_stop = X86_DEBUG_WATCH;
        c->debug_kind = p->kind;
        c->debug_at = max_of(lin, p->lin);
        return;
    }
}

static enum x86_result stop(struct x86_cpu *c, enum x86_debug_stop why)
{
    c->debug_stop = (uint8_t)why;
    c->exit_reason = X86_EXIT_DEBUG;
    return X86_STOP;
}

enum x86_result x86_debugger_begin(struct x86_cpu *c)
{
    uint64_t lin = c->seg[X86_CS].lin_base + c->rip;

    c->debug_stop = X86_DEBUG_NONE;
    if (c->mode != X86_MODE_64)
        lin = (uint32_t)lin;
    return find(c->vm->debugger, X86_POINT_CODE, lin, lin) ? stop(c, X86_DEBUG_POINT) : X86_NEXT;
}

enum x86_result x86_debugger_end(struct x86_cpu *c, enum x86_result r)
{
    if (c->activity == X86_SHUTDOWN)
        return r;
    if (c->debug_stop == X86_DEBUG_WATCH)
        return stop(c, X86_DEBUG_WATCH);
    return c->debug_step ? stop(c, X86_DEBUG_STEP) : r;
}
