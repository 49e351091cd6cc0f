/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/debug.h"

#include <errno.h>

#include "base/mem.h"
#include "cpu/x86/access.h"
#include "cpu/x86/debugger.h"
#include "machine/machine_internal.h"

int machine_debug_check(const struct machine *m, struct error *err)
{
    if (m->debug.stopped)
        return error_set(err, -EBUSY, "a debugger is connected already");
    if (m->recorder)
        return error_set(err, -ENOTSUP,
                         "a machine that is recorded can not be debugged: what a debugger does is "
                         "not in the recording");
    return 0;
}

int machine_debug_attach(struct machine *m, void (*stopped)(void *opaque, unsigned cpu),
                         void *opaque, struct error *err)
{
    if (m->recorder)
        return error_set(err, -ENOTSUP,
                         "a machine that is recorded can not be debugged; debug its replay");
    int r = machine_debug_check(m, err);

    if (r < 0)
        return r;
    m->debug = (struct machine_debug){
        .stopped = stopped, .opaque = opaque, .run = UINT64_MAX, .held = m->debug.held};
    return 0;
}

void machine_debug_detach(struct machine *m)
{
    if (!m->debug.stopped)
        return;
    if (!m->debug.held)
        machine_debug_hold(m);
    x86_debugger_clear(m->vm);
    m->debug = (struct machine_debug){.run = UINT64_MAX, .held = true};
    machine_let_go(m, &m->debug.held);
}

void machine_debug_hold(struct machine *m)
{
    machine_hold(m, &m->debug.held);
    m->debug.event = false;
}

bool machine_debug_held(const struct machine *m)
{
    return m->debug.held;
}

int machine_debug_go(struct machine *m, uint64_t run, uint64_t step, struct error *err)
{
    uint64_t all = (1ull << m->vm->cpu_count) - 1;

    if (!(run & all))
        return error_set(err, -EINVAL, "there is no processor to go on");
    for (unsigned i = 0; i < m->vm->cpu_count; i++) {
        int r = x86_debugger_step(m->vm->cpus[i], step >> i & 1, err);
        if (r < 0)
            return r;
    }
    m->debug.run = run;
    m->debug.event = false;
    machine_let_go(m, &m->debug.held);
    return 0;
}

void machine_debug_event(struct machine *m, unsigned cpu)
{
    m->debug.cpu = cpu;
    m->debug.event = true;
    m->debug.held = true;
    gclock_pause(m->clock);
}

void machine_debug_tell(struct machine *m)
{
    if (!m->debug.event)
        return;
    m->debug.event = false;
    for (unsigned i = 0; i < m->vm->cpu_count; i++)
        if (x86_debugger_step(m->vm->cpus[i], false, NULL) < 0)
            break;
    if (m->debug.stopped)
        m->debug.stopped(m->debug.opaque, m->debug.cpu);
}

int machine_debug_reset(struct machine *m, struct error *err)
{
    return machine_reset(m, err);
}

struct x86_vm *machine_processors(struct machine *m)
{
    return m->vm;
}

unsigned machine_current_cpu(const struct machine *m)
{
    return m->debug.cpu;
}

/* ---- memory ---- */

int machine_peek(struct machine *m, uint64_t gpa, void *to, size_t len)
{
    return space_read(m->space, gpa, to, len);
}

int machine_poke(struct machine *m, uint64_t gpa, const void *from, size_t len)
{
    return space_write(m->space, gpa, from, len);
}

/* The physical place of @lin and how much of @len lies in its page; -EFAULT. */
static int place(struct machine *m, unsigned cpu, uint64_t lin, size_t len, uint64_t *ret_gpa,
                 size_t *ret_len)
{
    struct x86_cpu *c = m->vm->cpus[cpu];

    if (!(c->efer & X86_EFER_LMA))
        lin = (uint32_t)lin;
    *ret_len = min_of(len, (size_t)(GMEM_PAGE_SIZE - (lin & (GMEM_PAGE_SIZE - 1))));
    return x86_translate_debug(c, lin, ret_gpa);
}

int64_t machine_peek_linear(struct machine *m, unsigned cpu, uint64_t lin, void *to, size_t len)
{
    size_t done = 0, part;
    uint64_t gpa;

    while (done < len && place(m, cpu, lin + done, len - done, &gpa, &part) == 0 &&
           machine_peek(m, gpa, (uint8_t *)to + done, part) == 0)
        done += part;
    return done || !len ? (int64_t)done : -EFAULT;
}

int64_t machine_poke_linear(struct machine *m, unsigned cpu, uint64_t lin, const void *from,
                            size_t len)
{
    size_t done = 0, part;
    uint64_t gpa;

    while (done < len && place(m, cpu, lin + done, len - done, &gpa, &part) == 0 &&
           machine_poke(m, gpa, (const uint8_t *)from + done, part) == 0)
        done += part;
    return done || !len ? (int64_t)done : -EFAULT;
}
