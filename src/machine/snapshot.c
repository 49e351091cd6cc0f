/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout, little-endian: the magic, u32 version, then records of u16 name length, name, u32 content
 * length, content. The first record ("machine") holds a struct head as a state table, the last
 * ("end") is empty. Each of the others is one processor or one part of the board, by its name.
 */
#include "machine/snapshot.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "bus/state.h"
#include "cpu/x86/model.h"
#include "cpu/x86/state.h"
#include "machine/machine_internal.h"

enum { VERSION = 1, RECORD_MAX = 16 << 20 };
static const char magic[8] = "isolaVM";

/* What is neither a processor's nor a device's. */
struct head {
    uint8_t board[16], cpu[32];
    uint32_t cpus, tsc_khz;
    uint64_t memory, now, rng, rtc_base, resets, instructions;
    uint64_t system_time[PVCLOCK_CPUS], wall_clock, wall_base;
};

static const struct state_field head_fields[] = {
    STATE_BLOB(struct head, board),           STATE_BLOB(struct head, cpu),
    STATE_FIELD(struct head, cpus, 0),        STATE_FIELD(struct head, tsc_khz, 0),
    STATE_FIELD(struct head, memory, 0),      STATE_FIELD(struct head, now, 0),
    STATE_FIELD(struct head, rng, 0),         STATE_FIELD(struct head, rtc_base, 0),
    STATE_FIELD(struct head, resets, 0),      STATE_FIELD(struct head, instructions, 0),
    STATE_ARRAY(struct head, system_time, 0), STATE_FIELD(struct head, wall_clock, 0),
    STATE_FIELD(struct head, wall_base, 0),
};
static const struct state_table head_table = {
    .name = "machine", .version = 1, .fields = head_fields, .field_count = array_size(head_fields)};

struct gmem *machine_memory(struct machine *m)
{
    return m->ram;
}

/* ---- writing ---- */

static void add_record(struct str *out, const char *name, const struct state_table *t,
                       const void *dev)
{
    uint16_t name_len = (uint16_t)strlen(name);
    uint32_t len = 0;
    size_t start;

    str_add_n(out, &name_len, 2);
    str_add(out, name);
    start = out->len;
    str_add_n(out, &len, 4);
    if (t)
        state_save(t, dev, out);
    if (out->failed)
        return;
    len = (uint32_t)(out->len - start - 4);
    memcpy(out->data + start, &len, 4);
}

static void fill_head(const struct machine *m, struct head *h)
{
    snprintf((char *)h->board, sizeof(h->board), "%s", m->board->name);
    snprintf((char *)h->cpu, sizeof(h->cpu), "%s", x86_model_name(m->vm->model));
    h->cpus = m->vm->cpu_count;
    h->tsc_khz = m->vm->tsc_khz;
    h->memory = m->config.memory;
    h->now = gclock_now(m->clock);
    h->rng = m->rng;
    h->rtc_base = (uint64_t)(m->pvclock.wall_base / 1000000000);
    h->resets = m->resets;
    h->instructions = m->instructions;
    memcpy(h->system_time, m->pvclock.system_time, sizeof(h->system_time));
    h->wall_clock = m->pvclock.wall_clock;
    h->wall_base = (uint64_t)m->pvclock.wall_base;
}

static void cpu_name(char name[16], unsigned cpu)
{
    snprintf(name, 16, "cpu%u", cpu);
}

static void go_on(struct machine *m)
{
    struct device *part;

    for (unsigned i = 0; (part = m->board->part(m, i)); i++)
        if (part->go_on)
            part->go_on(part);
}

int machine_save_state(struct machine *m, struct str *out, struct error *err)
{
    uint32_t version = VERSION;
    struct head head = {0};
    struct device *part;
    char name[16];

    if (m->end != MACHINE_RUNNING)
        return error_set(err, -ESTALE, "save the machine: it has ended (%s)", m->end_text);
    for (unsigned i = 0; (part = m->board->part(m, i)); i++)
        if (part->settle)
            part->settle(part);
    str_add_n(out, magic, sizeof(magic));
    str_add_n(out, &version, 4);
    fill_head(m, &head);
    add_record(out, "machine", &head_table, &head);
    for (unsigned i = 0; (part = m->board->part(m, i)); i++)
        if (part->state)
            add_record(out, part->name, part->state, part);
    for (unsigned i = 0; i < m->vm->cpu_count; i++) {
        struct x86_cpu *c = m->vm->cpus[i];
        int r = m->accel->get_state ? m->accel->get_state(c, err) : 0;
        if (r < 0)
            return r;
        x86_state_settle(c);
        cpu_name(name, i);
        add_record(out, name, &x86_cpu_state, c);
    }
    add_record(out, "end", NULL, NULL);
    go_on(m);
    return out->failed ? error_set(err, -ENOMEM, "save the machine: out of memory") : 0;
}

/* ---- reading ---- */

struct record {
    const uint8_t *name, *content;
    size_t name_len, len;
};

static bool is(const struct record *r, const char *name)
{
    return r->name_len == strlen(name) && memcmp(r->name, name, r->name_len) == 0;
}

/* The record at *at, which moves behind it. -EINVAL when the bytes are cut off. */
static int next_record(const uint8_t *bytes, size_t len, size_t *at, struct record *ret,
                       struct error *err)
{
    uint16_t name_len;
    uint32_t content_len;

    if (len - *at < 2)
        goto cut;
    memcpy(&name_len, bytes + *at, 2);
    if (len - *at - 2 < (size_t)name_len + 4)
        goto cut;
    ret->name = bytes + *at + 2;
    ret->name_len = name_len;
    memcpy(&content_len, ret->name + name_len, 4);
    ret->content = ret->name + name_len + 4;
    if (content_len > RECORD_MAX || (size_t)(bytes + len - ret->content) < content_len)
        goto cut;
    ret->len = content_len;
    *at = (size_t)(ret->content - bytes) + content_len;
    return 0;

cut:
    return error_set(err, -EINVAL, "load a saved machine: the state is cut off or damaged");
}

/* The record called @name. */
static int find_record(const uint8_t *bytes, size_t len, const char *name, struct record *ret,
                       struct error *err)
{
    size_t at = sizeof(magic) + 4;

    while (at < len) {
        int r = next_record(bytes, len, &at, ret, err);
        if (r < 0)
            return r;
        if (is(ret, name))
            return 0;
    }
    return error_set(err, -EINVAL, "load a saved machine: it has no %s, which this machine has",
                     name);
}

static int load_record(const uint8_t *bytes, size_t len, const char *name,
                       const struct state_table *t, void *dev, struct error *err)
{
    struct record r;
    int64_t used;

    if (find_record(bytes, len, name, &r, err) < 0)
        return -EINVAL;
    used = state_load(t, dev, r.content, r.len, err);
    if (used < 0)
        return error_wrap(err, -EINVAL, "load %s of a saved machine", name);
    if ((size_t)used != r.len)
        return error_set(err, -EINVAL, "load %s of a saved machine: bytes are left over", name);
    return 0;
}

static int read_head(const uint8_t *bytes, size_t len, struct head *ret, struct error *err)
{
    uint32_t version;
    struct record end;

    if (len < sizeof(magic) + 4 || memcmp(bytes, magic, sizeof(magic)) != 0)
        return error_set(err, -EINVAL, "load a saved machine: the file is no state of a machine");
    memcpy(&version, bytes + sizeof(magic), 4);
    if (version != VERSION)
        return error_set(err, -EINVAL,
                         "load a saved machine: the format is version %u, this Isola knows %u",
                         version, VERSION);
    if (load_record(bytes, len, "machine", &head_table, ret, err) < 0 ||
        find_record(bytes, len, "end", &end, err) < 0)
        return -EINVAL;
    ret->board[sizeof(ret->board) - 1] = ret->cpu[sizeof(ret->cpu) - 1] = 0;
    return 0;
}

int machine_saved_read(const uint8_t *bytes, size_t len, struct machine_saved *ret,
                       struct error *err)
{
    struct head head = {0};
    int r = read_head(bytes, len, &head, err);

    if (r < 0)
        return r;
    *ret = (struct machine_saved){.cpus = head.cpus, .memory = head.memory, .guest_ns = head.now};
    memcpy(ret->board, head.board, sizeof(ret->board));
    memcpy(ret->cpu, head.cpu, sizeof(ret->cpu));
    return 0;
}

static int check_head(const struct machine *m, const struct head *h, struct error *err)
{
    const char *cpu = x86_model_name(m->vm->model);

    if (strcmp((const char *)h->board, m->board->name) != 0)
        return error_set(err, -EINVAL, "load a saved machine: its board is %s, not %s", h->board,
                         m->board->name);
    if (strcmp((const char *)h->cpu, cpu) != 0)
        return error_set(err, -EINVAL,
                         "load a saved machine: its processor model is %s, not %s: use --cpu %s",
                         h->cpu, cpu, h->cpu);
    if (h->cpus != m->vm->cpu_count || h->memory != m->config.memory)
        return error_set(err, -EINVAL,
                         "load a saved machine: it has %u processors and %llu MiB, not %u and %llu",
                         h->cpus, (unsigned long long)(h->memory >> 20), m->vm->cpu_count,
                         (unsigned long long)(m->config.memory >> 20));
    if (h->tsc_khz != m->vm->tsc_khz)
        return error_set(err, -EINVAL, "load a saved machine: its time-stamp counter has %u kHz",
                         h->tsc_khz);
    return 0;
}

static void take_head(struct machine *m, const struct head *h)
{
    m->rng = h->rng;
    m->resets = h->resets ? h->resets : 1;
    m->instructions = h->instructions;
    memcpy(m->pvclock.system_time, h->system_time, sizeof(h->system_time));
    m->pvclock.wall_clock = h->wall_clock;
    /* The real-time clock shows what it would have shown meanwhile, unless the time was given. */
    m->pvclock.wall_base =
        m->config.rtc_base || m->config.time_source || m->timeline
            ? (int64_t)h->wall_base
            : machine_host_wall_ns() + m->config.rtc_offset * 1000000000 - (int64_t)h->now;
}

static int load_parts(struct machine *m, bool last, struct error *err)
{
    const uint8_t *bytes = m->config.saved;
    struct device *part;

    for (unsigned i = 0; (part = m->board->part(m, i)); i++) {
        if (!part->state || (last && !m->board->settles_last(m, part)))
            continue;
        if (load_record(bytes, m->config.saved_len, part->name, part->state, part, err) < 0)
            return -EINVAL;
    }
    return 0;
}

static int load_processors(struct machine *m, struct error *err)
{
    char name[16];

    for (unsigned i = 0; i < m->vm->cpu_count; i++) {
        struct x86_cpu *c = m->vm->cpus[i];
        unsigned intr = atomic_load_explicit(&c->attention, memory_order_relaxed) & X86_ATTN_INTR;
        cpu_name(name, i);
        if (load_record(m->config.saved, m->config.saved_len, name, &x86_cpu_state, c, err) < 0)
            return -EINVAL;
        x86_attention_set(c, intr); /* as the local APIC has said */
        if (m->accel->set_state && m->accel->set_state(c, err) < 0)
            return -EINVAL;
    }
    return 0;
}

int machine_load_state(struct machine *m, struct error *err)
{
    static const uint8_t none[sizeof(m->config.generation)];
    struct head head = {0};
    int r = read_head(m->config.saved, m->config.saved_len, &head, err);

    if (r == 0)
        r = check_head(m, &head, err);
    if (r < 0)
        return r;
    gclock_pause(m->clock);
    gclock_set(m->clock, head.now);
    /* Devices begin as after power-on; what has no state of its own stays that way. */
    for (struct device *dev = m->devices; dev; dev = dev->next)
        device_reset(dev);
    take_head(m, &head);
    r = load_parts(m, false, err);
    if (r == 0)
        r = load_parts(m, true, err);
    if (r == 0)
        r = load_processors(m, err);
    /* What a device wished while its state was in pieces. */
    m->end = MACHINE_RUNNING;
    m->reset_wanted = false;
    if (r == 0 && memcmp(m->config.generation, none, sizeof(none)) != 0)
        m->board->resumed(m);
    if (r == 0)
        go_on(m);
    gclock_resume(m->clock);
    return r;
}

/* ---- comparing ---- */

static uint64_t mix(uint64_t hash, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    uint64_t word;

    for (; n >= 8; n -= 8, at += 8) {
        memcpy(&word, at, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
        hash ^= hash >> 29;
    }
    for (; n; n--, at++)
        hash = (hash ^ *at) * 0x100000001b3ull;
    return hash;
}

uint64_t machine_hash(struct machine *m)
{
    static const uint8_t zeroes[GMEM_PAGE_SIZE];
    struct str state = {0};
    uint64_t hash = 0xcbf29ce484222325ull;

    if (machine_save_state(m, &state, NULL) == 0)
        hash = mix(hash, state.data, state.len);
    str_done(&state);
    for (uint64_t gfn = 0; gfn < gmem_pages(m->ram); gfn++) {
        const uint8_t *page = gmem_read_page(m->ram, gfn);
        if (memcmp(page, zeroes, GMEM_PAGE_SIZE) == 0)
            continue;
        hash = mix(hash, &gfn, sizeof(gfn));
        hash = mix(hash, page, GMEM_PAGE_SIZE);
    }
    return hash;
}
