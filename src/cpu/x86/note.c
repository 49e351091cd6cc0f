/* SPDX-License-Identifier: Apache-2.0 */
/* What processors count and tell of themselves. */
#include "base/trace.h"
#include "cpu/x86/system.h"

static void tell_event(struct x86_cpu *c, uint8_t vector, enum x86_event_kind kind, bool has_code,
                       uint32_t code)
{
    struct trace *t = c->vm->trace;
    struct trace_event e = {.area = TRACE_EXCEPTIONS, .a = vector};

    if (kind == X86_EVENT_EXTERNAL) {
        e.area = TRACE_INTERRUPTS;
        e.what = TRACE_INTERRUPT;
        e.b = vector == X86_NMI;
    } else if (kind == X86_EVENT_FAULT) {
        e.what = TRACE_EXCEPTION;
        e.size = has_code;
        e.b = code;
        e.c = c->cr2;
    } else {
        e.what = TRACE_SOFT;
    }
    if (trace_wants(t, (enum trace_area)e.area))
        t->emit(t, &e);
}

void x86_note_event(struct x86_cpu *c, uint8_t vector, enum x86_event_kind kind, bool has_code,
                    uint32_t code)
{
    if (kind == X86_EVENT_EXTERNAL)
        c->counts.interrupts[vector]++;
    else if (kind == X86_EVENT_FAULT)
        c->counts.exceptions[vector & 31]++;
    else
        c->counts.soft++;
    if (unlikely(c->vm->trace != NULL))
        tell_event(c, vector, kind, has_code, code);
}

void x86_note_ring(struct x86_cpu *c)
{
    struct trace *t = c->vm->trace;

    if (c->told_cpl != c->cpl && trace_wants(t, TRACE_RINGS))
        trace_emit(t, TRACE_RINGS, TRACE_RING, c->told_cpl, c->cpl, 0, NULL);
    c->told_cpl = c->cpl;
}

void x86_note_paging(struct x86_cpu *c, unsigned what, uint64_t a, uint64_t b, unsigned size)
{
    struct trace *t = c->vm->trace;

    if (trace_wants(t, TRACE_PAGING))
        trace_emit(t, TRACE_PAGING, (enum trace_what)what, a, b, size, NULL);
}
