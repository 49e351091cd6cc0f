/* SPDX-License-Identifier: Apache-2.0 */
/* A machine shown from outside: counters, processors, devices. */
#include "base/mem.h"
#include "cpu/x86/flags.h"
#include "cpu/x86/model.h"
#include "machine/machine_internal.h"

static void add_segment(struct str *out, const char *name, const struct x86_seg *s)
{
    str_addf(out, ",\"%s\":{\"selector\":%u,\"base\":\"0x%llx\",\"limit\":%u,\"attributes\":%u}",
             name, s->sel, (unsigned long long)s->base, s->limit, s->attr);
}

/* In hexadecimal as text: many JSON readers know no number above 2^53, or 2^63 at most. */
static void add_register(struct str *out, const char *name, uint64_t value)
{
    str_addf(out, ",\"%s\":\"0x%llx\"", name, (unsigned long long)value);
}

static void add_u64(struct str *out, const char *name, uint64_t value)
{
    str_addf(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void add_processor(struct str *out, const struct accel_ops *accel, const struct x86_cpu *c)
{
    static const char *const gprs[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                         "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    static const char *const segs[X86_SEGS] = {"es", "cs", "ss", "ds", "fs", "gs"};
    static const char *const modes[] = {"real", "v8086", "protected", "compatibility", "64-bit"};
    static const char *const activities[] = {"active", "halted", "waiting for SIPI", "shut down"};

    str_addf(out,
             "{\"index\":%u,\"activity\":\"%s\",\"mode\":\"%s\",\"ring\":%u,\"instructions\":%llu",
             c->index, activities[c->activity & 3], modes[min_of(c->mode, (uint8_t)X86_MODE_64)],
             c->cpl, (unsigned long long)c->insn_count);
    add_register(out, "rip", c->rip);
    add_register(out, "rflags", x86_flags_get(c));
    for (unsigned i = 0; i < 16; i++)
        add_register(out, gprs[i], c->gpr[i]);
    for (unsigned i = 0; i < X86_SEGS; i++)
        add_segment(out, segs[i], &c->seg[i]);
    add_segment(out, "ldtr", &c->ldt);
    add_segment(out, "tr", &c->tr);
    add_register(out, "cr0", c->cr0);
    add_register(out, "cr2", c->cr2);
    add_register(out, "cr3", c->cr3);
    add_register(out, "cr4", c->cr4);
    add_register(out, "efer", c->efer);
    if (accel->counters) {
        str_add(out, ",\"engine\":{");
        accel->counters(c, out);
        str_add(out, "}");
    }
    str_add(out, "}");
}

void machine_inspect(struct machine *m, struct str *out)
{
    static const char *const exits[8] = {"budget",   "kick", "halt",  "pause",
                                         "shutdown", "idle", "debug", "-"};
    struct machine_speaker speaker;
    bool first = true;

    str_addf(out, "{\"board\":\"%s\",\"accel\":\"%s\",\"cpu\":\"%s\",\"boot\":\"%s\"",
             m->board->name, m->accel->name, x86_model_name(m->vm->model),
             m->entry.protocol ? m->entry.protocol : "");
    add_u64(out, "memory", m->config.memory);
    add_u64(out, "guest_ns", gclock_now(m->clock));
    add_u64(out, "resets", m->resets - 1);
    machine_speaker(m, &speaker);
    str_addf(out, ",\"speaker\":{\"hz\":%u,\"sounds\":%u}", speaker.tone_hz, speaker.sounds);
    str_add(out, ",\"exits\":{");
    for (unsigned i = 0; i <= X86_EXIT_DEBUG; i++)
        str_addf(out, "%s\"%s\":%llu", i ? "," : "", exits[i], (unsigned long long)m->exits[i]);
    str_add(out, "},\"processors\":[");
    for (unsigned i = 0; i < m->vm->cpu_count; i++) {
        if (i)
            str_add(out, ",");
        add_processor(out, m->accel, m->vm->cpus[i]);
    }
    str_add(out, "],\"devices\":{");
    for (const struct device *dev = m->devices; dev; dev = dev->next) {
        if (!dev->state)
            continue;
        str_addf(out, "%s\"%s\":", first ? "" : ",", dev->name);
        state_json(dev->state, dev, out);
        first = false;
    }
    str_add(out, "}}");
}

void machine_stats(struct machine *m, struct machine_stats *ret)
{
    *ret = (struct machine_stats){.cpu_ns = machine_threads_cpu_ns(m),
                                  .memory_size = m->config.memory};
    ret->instructions = m->instructions;
    ret->memory_used = gmem_delta_pages(m->ram) << GMEM_PAGE_BITS;
    m->board->stats(m, ret);
    for (unsigned i = 0; i < m->config.nic_count; i++) {
        ret->net_rx += m->config.nics[i].netdev->rx_bytes;
        ret->net_tx += m->config.nics[i].netdev->tx_bytes;
    }
}
