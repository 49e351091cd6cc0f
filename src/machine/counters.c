/* SPDX-License-Identifier: Apache-2.0 */
/* What processors and devices have counted, as text or as JSON. */
#include "base/mem.h"
#include "cpu/x86/codecache.h"
#include "machine/machine_internal.h"

typedef unsigned long long ull; /* for printf */

static const char *const exits[] = {"budget", "kick", "halt", "pause", "shutdown", "idle", "debug"};
static const char *const exceptions[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD",
                                         "#NM", "#DF", "9",   "#TS", "#NP", "#SS", "#GP",
                                         "#PF", "15",  "#MF", "#AC", "#MC", "#XM"};
static const char *const requests[BLOCK_OPS] = {"read", "write", "flush", "discard",
                                                "write_zeroes"};

/* ---- JSON ---- */

static void add_named(struct str *out, const char *const *names, unsigned count,
                      const uint64_t *values)
{
    bool any = false;

    for (unsigned i = 0; i < count; i++)
        if (values[i]) {
            str_addf(out, "%s\"%s\":%llu", any ? "," : "", names[i], (ull)values[i]);
            any = true;
        }
}

static void processor_json(const struct x86_cpu *c, struct str *out)
{
    const struct x86_counts *n = &c->counts;
    bool any = false;

    str_addf(out, "{\"index\":%u,\"instructions\":%llu,\"exits\":{", c->index, (ull)c->insn_count);
    add_named(out, exits, array_size(exits), n->exits);
    str_add(out, "},\"interrupts\":{");
    for (unsigned v = 0; v < 256; v++)
        if (n->interrupts[v]) {
            str_addf(out, "%s\"%u\":%llu", any ? "," : "", v, (ull)n->interrupts[v]);
            any = true;
        }
    str_add(out, "},\"exceptions\":{");
    add_named(out, exceptions, array_size(exceptions), n->exceptions);
    str_addf(
        out,
        "},\"software_interrupts\":%llu,\"tlb_misses\":%llu,\"fetch_misses\":%llu,"
        "\"tlb_flushes\":%llu,\"page_flushes\":%llu,\"cr3_loads\":%llu,\"blocks_decoded\":%llu}",
        (ull)n->soft, (ull)n->tlb_misses, (ull)n->fetch_misses, (ull)n->flushes,
        (ull)n->page_flushes, (ull)n->cr3_loads, (ull)n->blocks);
}

static void drive_json(const struct block *b, unsigned index, struct str *out)
{
    str_addf(out, "{\"name\":\"drive%u\",\"requests\":{", index);
    add_named(out, requests, BLOCK_OPS, b->requests);
    str_addf(out, "},\"read_bytes\":%llu,\"written_bytes\":%llu}", (ull)b->bytes[BLOCK_READ],
             (ull)b->bytes[BLOCK_WRITE]);
}

static void counters_json(struct machine *m, struct str *out)
{
    bool any = false;

    str_addf(out, "{\"guest_ns\":%llu,\"code_cache_drops\":%llu,\"processors\":[",
             (ull)gclock_now(m->clock), (ull)(m->vm->code ? x86_code_epoch(m->vm->code) : 0));
    for (unsigned i = 0; i < m->vm->cpu_count; i++) {
        str_add(out, i ? "," : "");
        processor_json(m->vm->cpus[i], out);
    }
    str_add(out, "],\"drives\":[");
    for (unsigned i = 0; i < MACHINE_DRIVES; i++) {
        const struct block *b = m->board->drive(m, i);
        if (!b)
            continue;
        str_add(out, any ? "," : "");
        drive_json(b, i, out);
        any = true;
    }
    str_add(out, "],\"networks\":[");
    for (unsigned i = 0; i < m->config.nic_count; i++) {
        const struct netdev *n = m->config.nics[i].netdev;
        str_addf(out,
                 "%s{\"name\":\"net%u\",\"sent_frames\":%llu,\"sent_bytes\":%llu,"
                 "\"received_frames\":%llu,\"received_bytes\":%llu,\"dropped\":%llu}",
                 i ? "," : "", i, (ull)n->tx_frames, (ull)n->tx_bytes, (ull)n->rx_frames,
                 (ull)n->rx_bytes, (ull)n->dropped);
    }
    str_add(out, "]}");
}

/* ---- text ---- */

static void add_words(struct str *out, const char *what, const char *const *names, unsigned count,
                      const uint64_t *values)
{
    str_addf(out, "  %s:", what);
    for (unsigned i = 0; i < count; i++)
        if (values[i])
            str_addf(out, " %s %llu", names[i], (ull)values[i]);
    str_add_char(out, '\n');
}

static void processor_text(const struct x86_cpu *c, struct str *out)
{
    const struct x86_counts *n = &c->counts;

    str_addf(out, "processor %u: %llu instructions\n", c->index, (ull)c->insn_count);
    add_words(out, "exits", exits, array_size(exits), n->exits);
    str_add(out, "  interrupts by vector:");
    for (unsigned v = 0; v < 256; v++)
        if (n->interrupts[v])
            str_addf(out, " 0x%02x %llu", v, (ull)n->interrupts[v]);
    str_add_char(out, '\n');
    add_words(out, "exceptions", exceptions, array_size(exceptions), n->exceptions);
    str_addf(
        out,
        "  software interrupts %llu, CR3 loads %llu\n"
        "  translations: %llu data misses, %llu fetch misses, %llu flushes, %llu pages dropped\n"
        "  blocks of code decoded: %llu\n",
        (ull)n->soft, (ull)n->cr3_loads, (ull)n->tlb_misses, (ull)n->fetch_misses, (ull)n->flushes,
        (ull)n->page_flushes, (ull)n->blocks);
}

static void counters_text(struct machine *m, struct str *out)
{
    for (unsigned i = 0; i < m->vm->cpu_count; i++)
        processor_text(m->vm->cpus[i], out);
    str_addf(out, "code cache: dropped %llu times\n",
             (ull)(m->vm->code ? x86_code_epoch(m->vm->code) : 0));
    for (unsigned i = 0; i < MACHINE_DRIVES; i++) {
        const struct block *b = m->board->drive(m, i);
        if (!b)
            continue;
        str_addf(out, "drive %u: %llu bytes read, %llu written\n", i, (ull)b->bytes[BLOCK_READ],
                 (ull)b->bytes[BLOCK_WRITE]);
        add_words(out, "requests", requests, BLOCK_OPS, b->requests);
    }
    for (unsigned i = 0; i < m->config.nic_count; i++) {
        const struct netdev *n = m->config.nics[i].netdev;
        str_addf(
            out,
            "network %u: sent %llu frames, %llu bytes; received %llu, %llu bytes; dropped %llu\n",
            i, (ull)n->tx_frames, (ull)n->tx_bytes, (ull)n->rx_frames, (ull)n->rx_bytes,
            (ull)n->dropped);
    }
}

void machine_counters(struct machine *m, bool json, struct str *out)
{
    if (json)
        counters_json(m, out);
    else
        counters_text(m, out);
}
