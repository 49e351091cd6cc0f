/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/trace.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/trace.h"
#include "machine/machine_internal.h"

enum { RING = 1 << 14 };

struct record {
    uint64_t ns, rip, a, b, c;
    uint8_t area, what, size;
    int8_t cpu; /* -1: none */
    char name[TRACE_NAME];
};

/*
 * Events come from the thread that runs processors and from the loop's, inside the machine lock
 * and outside: a lock of its own that is held for the copy of one record.
 */
struct machine_trace {
    struct trace base;
    struct machine *machine;
    struct machine_trace_filter filter;
    atomic_flag lock;
    unsigned head, tail; /* of ring: written next, read next */
    uint64_t lost;
    struct record ring[RING];
};

static const char *const areas[TRACE_AREAS] = {
    [TRACE_EXITS] = "exits",   [TRACE_INTERRUPTS] = "interrupts",
    [TRACE_RINGS] = "rings",   [TRACE_EXCEPTIONS] = "exceptions",
    [TRACE_PAGING] = "paging", [TRACE_DEVICES] = "devices",
    [TRACE_DRIVES] = "drives", [TRACE_FRAMES] = "frames"};

/* ---- what is wanted ---- */

static int parse_word(const char *word, struct machine_trace_filter *f, struct error *err)
{
    uint64_t n;

    for (unsigned i = 0; i < TRACE_AREAS; i++)
        if (strcmp(word, areas[i]) == 0 || strcmp(word, "all") == 0)
            f->areas |= 1u << i;
    if (strcmp(word, "all") == 0)
        return 0;
    for (unsigned i = 0; i < TRACE_AREAS; i++)
        if (strcmp(word, areas[i]) == 0)
            return 0;
    if (str_starts(word, "cpu=") && str_parse_u64(word + 4, &n) == 0 && n < MACHINE_CPUS) {
        f->cpu = (int)n;
        return 0;
    }
    if (str_starts(word, "vector=") && str_parse_u64(word + 7, &n) == 0 && n < 256) {
        f->vector = (int)n;
        return 0;
    }
    if (str_starts(word, "device=") && strlen(word + 7) < sizeof f->device) {
        snprintf(f->device, sizeof f->device, "%s", word + 7);
        return 0;
    }
    return error_set(err, -EINVAL,
                     "\"%.40s\" is neither an area (exits interrupts rings exceptions paging "
                     "devices drives frames all) nor a filter",
                     word);
}

int machine_trace_parse(const char *text, struct machine_trace_filter *ret, struct error *err)
{
    struct machine_trace_filter f = {.cpu = -1, .vector = -1};

    while (*text) {
        char word[64];
        size_t n = strcspn(text, " ");
        int r;
        snprintf(word, sizeof word, "%.*s", (int)min_of(n, sizeof word - 1), text);
        r = n ? parse_word(word, &f, err) : 0;
        if (r < 0)
            return r;
        text += n + (text[n] == ' ');
    }
    if (!f.areas)
        return error_set(err, -EINVAL, "there is no area to trace");
    *ret = f;
    return 0;
}

/* ---- collecting ---- */

static bool passes(const struct machine_trace *t, const struct trace_event *e, int cpu)
{
    const struct machine_trace_filter *f = &t->filter;
    bool vectored =
        e->what == TRACE_INTERRUPT || e->what == TRACE_EXCEPTION || e->what == TRACE_SOFT;

    return (f->cpu < 0 || f->cpu == cpu) &&
           (f->vector < 0 || (vectored && e->a == (uint64_t)f->vector)) &&
           (!*f->device || (e->name && strstr(e->name, f->device)));
}

static void emit(struct trace *base, const struct trace_event *e)
{
    struct machine_trace *t = container_of(base, struct machine_trace, base);
    struct machine *m = t->machine;
    /* Frames and requests come from either thread, and are nobody's. */
    int cpu = e->area == TRACE_FRAMES || e->area == TRACE_DRIVES ? -1 : m->running_cpu;
    unsigned next;

    if (!passes(t, e, cpu))
        return;
    while (atomic_flag_test_and_set_explicit(&t->lock, memory_order_acquire))
        ;
    next = (t->head + 1) % RING;
    if (next == t->tail) {
        t->lost++;
    } else {
        struct record *r = &t->ring[t->head];
        *r = (struct record){.ns = gclock_now(m->clock),
                             .rip = cpu >= 0 ? m->vm->cpus[cpu]->rip : 0,
                             .a = e->a,
                             .b = e->b,
                             .c = e->c,
                             .area = e->area,
                             .what = e->what,
                             .size = e->size,
                             .cpu = (int8_t)cpu};
        if (e->name)
            snprintf(r->name, sizeof r->name, "%s", e->name);
        t->head = next;
    }
    atomic_flag_clear_explicit(&t->lock, memory_order_release);
}

/* Gives everybody who tells the pointer, or takes it away. The processors stand still. */
static void connect(struct machine *m, struct trace *t)
{
    bool paused = m->paused;

    if (!paused)
        machine_hold(m, &m->paused);
    m->trace = t;
    m->vm->trace = trace_wants(t, TRACE_INTERRUPTS) || trace_wants(t, TRACE_RINGS) ||
                           trace_wants(t, TRACE_EXCEPTIONS) || trace_wants(t, TRACE_PAGING)
                       ? t
                       : NULL;
    space_set_trace(m->space, trace_wants(t, TRACE_DEVICES) ? t : NULL);
    ports_set_trace(m->ports, trace_wants(t, TRACE_DEVICES) ? t : NULL);
    for (unsigned i = 0; i < MACHINE_DRIVES; i++) {
        struct block *b = m->board->drive(m, i);
        if (b)
            b->trace = trace_wants(t, TRACE_DRIVES) ? t : NULL;
    }
    for (unsigned i = 0; i < m->config.nic_count; i++)
        m->config.nics[i].netdev->trace = trace_wants(t, TRACE_FRAMES) ? t : NULL;
    if (!paused)
        machine_let_go(m, &m->paused);
}

struct machine_trace *machine_trace_new(struct machine *m, const struct machine_trace_filter *f,
                                        struct error *err)
{
    struct machine_trace *t = m->trace ? NULL : mem_new(struct machine_trace);

    if (!t) {
        if (m->trace)
            error_set(err, -EBUSY, "it is being traced already; end that first");
        else
            error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    t->base.areas = f->areas;
    t->base.emit = emit;
    t->filter = *f;
    t->machine = m;
    atomic_flag_clear(&t->lock);
    connect(m, &t->base);
    return t;
}

void machine_trace_free(struct machine_trace *t)
{
    if (!t)
        return;
    connect(t->machine, NULL);
    free(t);
}

/* ---- telling ---- */

typedef unsigned long long ull; /* for printf */

static void add_vector(struct str *out, const struct record *r)
{
    static const char *const names[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD",
                                        "#NM", "#DF", NULL,  "#TS", "#NP", "#SS", "#GP",
                                        "#PF", NULL,  "#MF", "#AC", "#MC", "#XM"};

    str_addf(out, ",\"vector\":%u", (unsigned)r->a);
    if (r->what == TRACE_EXCEPTION && r->a < array_size(names) && names[r->a])
        str_addf(out, ",\"name\":\"%s\"", names[r->a]);
}

static void add_frame(struct str *out, const struct record *r)
{
    uint8_t head[16];

    store_le64(head, r->b);
    store_le64(head + 8, r->c);
    str_addf(out, ",\"length\":%llu,\"to\":\"%02x:%02x:%02x:%02x:%02x:%02x\"", (ull)r->a, head[0],
             head[1], head[2], head[3], head[4], head[5]);
    str_addf(out, ",\"from\":\"%02x:%02x:%02x:%02x:%02x:%02x\",\"type\":\"0x%02x%02x\"", head[6],
             head[7], head[8], head[9], head[10], head[11], head[12], head[13]);
}

static void add_access(struct str *out, const struct record *r, const char *place)
{
    str_addf(out, ",\"device\":\"%s\",\"%s\":\"0x%llx\",\"size\":%u,\"value\":\"0x%llx\"", r->name,
             place, (ull)r->a, r->size, (ull)r->b);
}

static void add_details(struct str *out, const struct record *r)
{
    static const char *const exits[] = {"budget",   "kick", "halt", "pause",
                                        "shutdown", "idle", "debug"};
    static const char *const ops[] = {"read", "write", "flush", "discard", "write zeroes"};

    switch ((enum trace_what)r->what) {
    case TRACE_EXIT:
        str_addf(out, ",\"reason\":\"%s\",\"instructions\":%llu",
                 r->a < array_size(exits) ? exits[r->a] : "-", (ull)r->b);
        break;
    case TRACE_INTERRUPT:
        str_addf(out, ",\"vector\":%u%s", (unsigned)r->a, r->b ? ",\"nmi\":true" : "");
        break;
    case TRACE_RING:
        str_addf(out, ",\"from\":%u,\"to\":%u", (unsigned)r->a, (unsigned)r->b);
        break;
    case TRACE_SOFT:
    case TRACE_EXCEPTION:
        add_vector(out, r);
        if (r->size)
            str_addf(out, ",\"code\":\"0x%llx\"", (ull)r->b);
        if (r->what == TRACE_EXCEPTION && r->a == X86_PFV)
            str_addf(out, ",\"address\":\"0x%llx\"", (ull)r->c);
        break;
    case TRACE_WALK:
        str_addf(out, ",\"for\":\"%s\",\"linear\":\"0x%llx\",\"physical\":\"0x%llx\"",
                 r->size & 2   ? "fetch"
                 : r->size & 1 ? "write"
                               : "read",
                 (ull)r->a, (ull)r->b);
        break;
    case TRACE_CR3:
    case TRACE_INVLPG:
        str_addf(out, ",\"%s\":\"0x%llx\"", r->what == TRACE_CR3 ? "value" : "linear", (ull)r->a);
        break;
    case TRACE_FLUSH:
        break;
    case TRACE_PORT_READ:
    case TRACE_PORT_WRITE:
        add_access(out, r, "port");
        break;
    case TRACE_MMIO_READ:
    case TRACE_MMIO_WRITE:
        add_access(out, r, "address");
        break;
    case TRACE_REQUEST:
        str_addf(out, ",\"device\":\"%s\",\"request\":\"%s\",\"offset\":%llu,\"length\":%llu",
                 r->name, r->size < array_size(ops) ? ops[r->size] : "-", (ull)r->a, (ull)r->b);
        break;
    case TRACE_SENT:
    case TRACE_RECEIVED:
        add_frame(out, r);
        break;
    }
}

static void add_record(struct str *out, const struct record *r)
{
    static const char *const names[] = {
        [TRACE_EXIT] = "exit",        [TRACE_INTERRUPT] = "interrupt",
        [TRACE_RING] = "ring",        [TRACE_EXCEPTION] = "exception",
        [TRACE_SOFT] = "int",         [TRACE_CR3] = "cr3",
        [TRACE_WALK] = "walk",        [TRACE_INVLPG] = "invlpg",
        [TRACE_FLUSH] = "flush",      [TRACE_PORT_READ] = "in",
        [TRACE_PORT_WRITE] = "out",   [TRACE_MMIO_READ] = "load",
        [TRACE_MMIO_WRITE] = "store", [TRACE_REQUEST] = "request",
        [TRACE_SENT] = "sent",        [TRACE_RECEIVED] = "received"};

    str_addf(out, "{\"ns\":%llu,\"area\":\"%s\",\"event\":\"%s\"", (ull)r->ns, areas[r->area],
             names[r->what]);
    if (r->cpu >= 0)
        str_addf(out, ",\"cpu\":%d", r->cpu);
    /* An instruction that runs on a fast path keeps its RIP to itself. */
    if (r->cpu >= 0 && r->what != TRACE_WALK && r->what != TRACE_MMIO_READ &&
        r->what != TRACE_MMIO_WRITE)
        str_addf(out, ",\"rip\":\"0x%llx\"", (ull)r->rip);
    add_details(out, r);
    str_add(out, "}\n");
}

static bool take(struct machine_trace *t, struct record *ret, uint64_t *ret_lost)
{
    bool have;

    while (atomic_flag_test_and_set_explicit(&t->lock, memory_order_acquire))
        ;
    have = t->tail != t->head;
    if (have) {
        *ret = t->ring[t->tail];
        t->tail = (t->tail + 1) % RING;
    }
    *ret_lost = have ? 0 : t->lost; /* told where they are missing: behind those before them */
    if (!have)
        t->lost = 0;
    atomic_flag_clear_explicit(&t->lock, memory_order_release);
    return have;
}

bool machine_trace_read(struct machine_trace *t, struct str *out, size_t max)
{
    size_t before = out->len;
    struct record r;
    uint64_t lost = 0;

    while (out->len < max && take(t, &r, &lost))
        add_record(out, &r);
    if (lost)
        str_addf(out, "{\"lost\":%llu}\n", (ull)lost);
    return out->len > before;
}
