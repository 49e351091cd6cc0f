/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/timeline.h"

#include "base/mem.h"
#include "machine/machine_internal.h"
#include "machine/record_format.h"

enum { STALL = 1 << 20 };
/* Instructions of a slice that waits for another processor. */
enum { PATIENCE = 1000 };

struct timeline *timeline_new(struct machine *m, const struct timeline_ops *ops, void *opaque,
                              bool alone)
{
    struct timeline *line = mem_new(struct timeline);

    if (!line)
        return NULL;
    line->m = m;
    line->ops = ops;
    line->opaque = opaque;
    line->alone = alone;
    line->hash = 0xcbf29ce484222325ull;
    timeline_make_seams(line);
    return line;
}

void timeline_free(struct timeline *line)
{
    if (!line)
        return;
    timeline_clear_seams(line);
    free(line);
}

uint64_t timeline_time(void *opaque)
{
    struct timeline *line = opaque;

    if (line->in_slice)
        line->time += TIMELINE_LOOK_NS;
    return line->time;
}

bool timeline_is_stalled(const struct timeline *line)
{
    for (unsigned i = 0; i < REPLAY_PORTS; i++)
        if (line->ports[i].backlog.len > STALL)
            return true;
    return false;
}

bool timeline_has_work(const struct timeline *line)
{
    const struct x86_vm *vm = line->m->vm;

    for (unsigned i = 0; i < vm->cpu_count; i++)
        if (x86_has_work(vm->cpus[i]))
            return true;
    return false;
}

void machine_attention(struct machine *m, unsigned cpu, unsigned bit)
{
    struct timeline *line = m->timeline;

    if (line && line->in_slice && line->running == cpu)
        line->held |= bit;
    else
        x86_attention_set(m->vm->cpus[cpu], bit);
    if (m->host && m->host->wake)
        m->host->wake(m);
}

void machine_attention_clear(struct machine *m, unsigned cpu, unsigned bit)
{
    struct timeline *line = m->timeline;

    if (line && line->in_slice && line->running == cpu)
        line->held &= ~bit;
    x86_attention_clear(m->vm->cpus[cpu], bit);
}

bool timeline_begin(struct timeline *line, uint64_t ns)
{
    struct machine *m = line->m;
    unsigned cpus = m->vm->cpu_count;

    line->time += ns;
    timeline_answer_drives(line);
    gclock_run(m->clock);
    line->left = 0;
    if (m->end != MACHINE_RUNNING || m->reset_wanted)
        return false;
    for (unsigned i = 0; i < cpus; i++) {
        unsigned cpu = (line->next + i) % cpus;
        if (!x86_has_work(m->vm->cpus[cpu]))
            continue;
        line->running = cpu;
        line->next = (cpu + 1) % cpus;
        line->left = TIMELINE_SLICE;
        m->board->select_cpu(m, cpu);
        /* Whoever kicked it between slices has been answered: they are over. */
        x86_attention_clear(m->vm->cpus[cpu], X86_ATTN_KICK);
        return true;
    }
    return false;
}

/* What is cheap to look at and goes wrong soon when anything does. */
static void note_state(struct timeline *line, const struct x86_cpu *c)
{
    uint64_t hash = record_mix(line->hash, line->time);

    hash = record_mix(hash, c->insn_count << 4 | line->running);
    for (unsigned i = 0; i < array_size(c->gpr); i++)
        hash = record_mix(hash, c->gpr[i]);
    line->hash = record_mix(hash, c->rip);
}

static void end_slice(struct timeline *line, struct x86_cpu *c, enum x86_exit why)
{
    struct machine *m = line->m;

    line->left = 0;
    x86_attention_set(c, line->held);
    line->held = 0;
    if (why == X86_EXIT_SHUTDOWN)
        machine_want_reset(m, true);
    note_state(line, c);
}

/* Whether the slice goes on after its processor left guest code. */
static bool goes_on(const struct timeline *line, enum x86_exit why, uint64_t left)
{
    const struct machine *m = line->m;

    if (line->broken || m->end != MACHINE_RUNNING || m->reset_wanted || !left)
        return false;
    /* A processor that waits for another gives way to it, but not for each look: slices cost. */
    return why == X86_EXIT_KICK || (why == X86_EXIT_PAUSE && TIMELINE_SLICE - left < PATIENCE);
}

bool timeline_run(struct timeline *line, uint64_t budget)
{
    struct machine *m = line->m;
    struct x86_cpu *c = m->vm->cpus[line->running];
    uint64_t before = c->insn_count, part = min_of(budget, line->left), left = line->left, ran = 0;
    enum x86_exit why;

    line->in_slice = true;
    m->running_cpu = (int)line->running;
    do {
        why = m->accel->run(c, part - ran);
        ran = c->insn_count - before;
        line->left = left - min_of(ran, left);
    } while (ran < part && goes_on(line, why, line->left));
    line->in_slice = false;
    line->met = why == X86_EXIT_DEBUG;
    machine_note_exit(m, c, why, ran);
    m->exits[why & 7]++;
    m->instructions += ran;
    /* A budget may be used up by faults, too, that no instruction completes. */
    if ((line->met && line->left) ||
        (why == X86_EXIT_BUDGET && part < TIMELINE_SLICE && line->left && !line->broken &&
         m->end == MACHINE_RUNNING && !m->reset_wanted) ||
        goes_on(line, why, line->left))
        return true;
    end_slice(line, c, why);
    return false;
}
