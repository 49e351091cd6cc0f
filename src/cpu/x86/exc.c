/* SPDX-License-Identifier: Apache-2.0 */
/* Raising, nesting of faults, and what happens at instruction boundaries. */
#include "cpu/x86/exc.h"

#include "cpu/x86/debugger.h"
#include "cpu/x86/flags.h"
#include "cpu/x86/system.h"

void x86_set_fault(struct x86_cpu *c, uint8_t vector, bool has_code, uint32_t code)
{
    c->fault =
        (struct x86_pending){.valid = true, .vector = vector, .has_code = has_code, .code = code};
}

/* Vol. 3, table 6-4. */
static bool contributory(uint8_t vector)
{
    return vector == X86_DE || (vector >= X86_TS && vector <= X86_GP);
}

static bool makes_double_fault(uint8_t first, uint8_t second)
{
    if (first == X86_PFV)
        return second == X86_PFV || contributory(second);
    return contributory(first) && contributory(second);
}

static void shut_down(struct x86_cpu *c)
{
    c->activity = X86_SHUTDOWN;
    c->exit_reason = X86_EXIT_SHUTDOWN;
}

/* Takes c->fault, with what its vector demands of CR2, DR6 and DR7. */
static struct x86_pending take_fault(struct x86_cpu *c)
{
    struct x86_pending f = c->fault;

    c->fault.valid = false;
    if (f.vector == X86_PFV)
        c->cr2 = f.cr2;
    if (f.vector == X86_DB) {
        c->dr[6] = (c->dr[6] & ~0xfull) | f.dr6;
        c->dr[7] &= ~(1ull << 13); /* GD: the handler may use the debug registers */
    }
    return f;
}

enum x86_result x86_deliver(struct x86_cpu *c, uint8_t vector, enum x86_event_kind kind,
                            bool has_code, uint32_t code)
{
    bool exception = kind == X86_EVENT_FAULT;

    c->debug_hits = 0;
    c->shadow = 0;
    for (;;) {
        struct x86_pending next;

        x86_note_event(c, vector, kind, has_code, code);
        if (x86_inject(c, vector, kind, has_code, code) != X86_FAULT) {
            c->activity = X86_ACTIVE;
            x86_slow_update(c);
            return X86_BRANCH;
        }
        next = take_fault(c);
        if (exception && vector == X86_DF_VEC) {
            shut_down(c);
            return X86_STOP;
        }
        if (exception && makes_double_fault(vector, next.vector))
            next = (struct x86_pending){.vector = X86_DF_VEC, .has_code = true};
        exception = true;
        kind = X86_EVENT_FAULT;
        vector = next.vector;
        has_code = next.has_code;
        code = next.code;
    }
}

enum x86_result x86_deliver_fault(struct x86_cpu *c)
{
    struct x86_pending f = take_fault(c);

    return x86_deliver(c, f.vector, X86_EVENT_FAULT, f.has_code, f.code);
}

enum x86_result x86_soft_interrupt(struct x86_cpu *c, const struct x86_insn *i, uint8_t vector,
                                   enum x86_event_kind kind)
{
    uint64_t rip = c->rip;
    uint16_t task = c->tr.sel;

    x86_note_event(c, vector, kind, false, 0);
    c->rip = x86_next_rip(c, i);
    if (x86_inject(c, vector, kind, false, 0) == X86_FAULT) {
        /* Past a task switch the fault belongs to the first instruction of the new task. */
        if (c->tr.sel == task)
            c->rip = rip;
        return X86_FAULT;
    }
    c->step_rule = X86_STEP_NEVER;
    return X86_BRANCH;
}

void x86_slow_update(struct x86_cpu *c)
{
    bool slow = (c->rflags & (X86_TF | X86_RF)) || c->shadow || c->debug_hits ||
                (c->dr[7] & 0xff) || c->debug_step || x86_debugger_watches(c->vm->debugger);
    bool now = atomic_load_explicit(&c->attention, memory_order_relaxed) & X86_ATTN_SLOW;

    if (slow && !now)
        x86_attention_set(c, X86_ATTN_SLOW);
    else if (!slow && now)
        x86_attention_clear(c, X86_ATTN_SLOW);
}

/*
 * A shadow is bound to the address behind its instruction, so that nobody has to end it while no
 * event is due: x86_take_events asks for the single-step loop only when the shadow holds one back.
 */
void x86_shadow_set(struct x86_cpu *c, const struct x86_insn *i, uint8_t shadow)
{
    c->shadow = shadow;
    c->shadow_rip = x86_next_rip(c, i);
}

static enum x86_result stop(struct x86_cpu *c, enum x86_exit why)
{
    c->exit_reason = (uint8_t)why;
    return X86_STOP;
}

/* INIT and SIPI; X86_NEXT when neither was taken. */
static enum x86_result take_startup(struct x86_cpu *c, unsigned attention)
{
    if (attention & X86_ATTN_INIT) {
        x86_attention_clear(c, X86_ATTN_INIT);
        x86_init(c);
        return c->activity == X86_WAIT_SIPI ? stop(c, X86_EXIT_IDLE) : X86_BRANCH;
    }
    if (!(attention & X86_ATTN_SIPI))
        return X86_NEXT;
    x86_attention_clear(c, X86_ATTN_SIPI);
    if (c->activity != X86_WAIT_SIPI)
        return X86_NEXT;
    x86_seg_set_real(c, X86_CS, (uint16_t)(c->sipi_vector << 8));
    c->rip = 0;
    c->activity = X86_ACTIVE;
    return X86_BRANCH;
}

static enum x86_result take_interrupt(struct x86_cpu *c)
{
    const struct x86_host *h = &c->vm->host;
    int vector;

    h->lock(h->opaque);
    vector = h->intr_ack(h->opaque, c->index);
    h->unlock(h->opaque);
    if (vector < 0)
        return X86_NEXT;
    return x86_deliver(c, (uint8_t)vector, X86_EVENT_EXTERNAL, false, 0);
}

enum x86_result x86_take_events(struct x86_cpu *c)
{
    unsigned attention = atomic_load_explicit(&c->attention, memory_order_acquire);
    enum x86_result r;

    if (attention & X86_ATTN_FLUSH) {
        x86_attention_clear(c, X86_ATTN_FLUSH);
        x86_tlb_flush_all(c);
    }
    if (attention & X86_ATTN_SMI) /* no system-management mode: SMI# is not wired */
        x86_attention_clear(c, X86_ATTN_SMI);
    if (attention & (X86_ATTN_INIT | X86_ATTN_SIPI)) {
        r = take_startup(c, attention);
        if (r != X86_NEXT)
            return r;
    }
    if (attention & X86_ATTN_KICK) {
        x86_attention_clear(c, X86_ATTN_KICK);
        return stop(c, X86_EXIT_KICK);
    }
    if (c->activity == X86_SHUTDOWN)
        return stop(c, X86_EXIT_SHUTDOWN);
    if (c->activity == X86_WAIT_SIPI)
        return stop(c, X86_EXIT_IDLE);
    if (c->shadow && (c->shadow_rip != c->rip || c->activity != X86_ACTIVE))
        c->shadow = 0;
    if (c->shadow && (attention & (X86_ATTN_NMI | X86_ATTN_INTR))) {
        x86_attention_set(c, X86_ATTN_SLOW); /* x86_step_end takes it back */
        return X86_NEXT;
    }
    if ((attention & X86_ATTN_NMI) && !c->nmi_blocked) {
        x86_attention_clear(c, X86_ATTN_NMI);
        c->nmi_blocked = true;
        return x86_deliver(c, X86_NMI, X86_EVENT_EXTERNAL, false, 0);
    }
    if ((attention & X86_ATTN_INTR) && (c->rflags & X86_IF) &&
        !(c->debug_step && c->activity == X86_ACTIVE)) {
        r = take_interrupt(c);
        if (r != X86_NEXT)
            return r;
    }
    return c->activity == X86_HALTED ? stop(c, X86_EXIT_HALT) : X86_NEXT;
}

bool x86_has_work(struct x86_cpu *c)
{
    unsigned attention = atomic_load_explicit(&c->attention, memory_order_acquire);

    switch ((enum x86_activity)c->activity) {
    case X86_ACTIVE:
        return true;
    case X86_HALTED:
        return (attention & (X86_ATTN_INIT | X86_ATTN_KICK)) ||
               ((attention & X86_ATTN_NMI) && !c->nmi_blocked) ||
               ((attention & X86_ATTN_INTR) && (c->rflags & X86_IF));
    case X86_WAIT_SIPI:
        return attention & (X86_ATTN_INIT | X86_ATTN_SIPI | X86_ATTN_KICK);
    case X86_SHUTDOWN:
        break;
    }
    return attention & (X86_ATTN_INIT | X86_ATTN_KICK);
}
