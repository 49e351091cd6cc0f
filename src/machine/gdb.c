/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of the gdb protocol.
 *
 * A debugger sees a stopped machine, except between a command that lets it go (c, s, vCont) and the
 * stop reply. Meanwhile only an interrupt is heard; everything else is answered with an error.
 * Answers: OK, Enn (nn an errno in hexadecimal), nothing for what is not supported.
 */
#include "machine/gdb.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "cpu/x86/debugger.h"
#include "cpu/x86/flags.h"
#include "machine/gdb_internal.h"

enum { SIGNAL_INT = 2, SIGNAL_TRAP = 5 };

static struct x86_cpu *cpu_of(const struct gdb *g)
{
    return machine_processors(g->machine)->cpus[g->cpu];
}

static unsigned cpu_count(const struct gdb *g)
{
    return machine_processors(g->machine)->cpu_count;
}

static void send_packet(struct gdb *g, const char *data, size_t len)
{
    g->wire.len = 0;
    gdb_wrap(&g->wire, data, len);
    if (!g->wire.failed)
        g->send(g->opaque, g->wire.data, g->wire.len);
}

static void answer(struct gdb *g, const char *text)
{
    str_add(&g->reply, text);
}

static void answer_error(struct gdb *g, int code)
{
    g->reply.len = 0;
    str_addf(&g->reply, "E%02x", (unsigned)(code < 0 ? -code : code) & 0xff);
}

static void answer_result(struct gdb *g, int r)
{
    if (r < 0)
        answer_error(g, r);
    else
        answer(g, "OK");
}

/* ---- going and stopping ---- */

static void note_stop(struct gdb *g, unsigned cpu, unsigned signal, const char *why)
{
    g->cpu = cpu;
    snprintf(g->stop, sizeof g->stop, "T%02xthread:%x;%s", signal, cpu + 1, why);
}

static void tell_stop(struct gdb *g)
{
    g->running = false;
    send_packet(g, g->stop, strlen(g->stop));
}

/* An event of processor @cpu has stopped the machine. */
static void stopped(void *opaque, unsigned cpu)
{
    static const char *const watch[] = {"", "watch", "rwatch", "awatch"};
    struct gdb *g = opaque;
    const struct x86_cpu *c = machine_processors(g->machine)->cpus[cpu];
    char why[64] = "";

    if (c->debug_stop == X86_DEBUG_POINT && g->tells_breaks)
        snprintf(why, sizeof why, "swbreak:;");
    if (c->debug_stop == X86_DEBUG_WATCH)
        snprintf(why, sizeof why, "%s:%llx;", watch[c->debug_kind & 3],
                 (unsigned long long)c->debug_at);
    note_stop(g, cpu, SIGNAL_TRAP, why);
    tell_stop(g);
}

static void interrupt(struct gdb *g)
{
    if (!g->running)
        return;
    machine_debug_hold(g->machine);
    note_stop(g, g->cpu, SIGNAL_INT, "");
    tell_stop(g);
}

static void go(struct gdb *g, uint64_t run, uint64_t step)
{
    int r = machine_debug_go(g->machine, run, step, NULL);

    if (r < 0)
        answer_error(g, r);
    else
        g->running = true;
}

/* A thread: its number, 0 any, -1 all. False: there is none such. */
static bool thread_number(const struct gdb *g, const char **at, int *ret)
{
    uint64_t n;

    if (strncmp(*at, "-1", 2) == 0) {
        *at += 2;
        *ret = -1;
        return true;
    }
    if (!gdb_number(at, &n) || n > cpu_count(g))
        return false;
    *ret = (int)n;
    return true;
}

/* c, C, s, S: [signal;][address]. Signals are not for processors. */
static void resume(struct gdb *g, const char *at, bool step)
{
    uint64_t value;

    if (at[-1] == 'C' || at[-1] == 'S') {
        if (!gdb_number(&at, &value)) {
            answer_error(g, EINVAL);
            return;
        }
        if (*at == ';')
            at++;
    }
    if (*at) {
        if (!gdb_number(&at, &value) || *at) {
            answer_error(g, EINVAL);
            return;
        }
        cpu_of(g)->rip = value;
    }
    go(g, UINT64_MAX, step ? 1ull << g->cpu : 0);
}

/* vCont;action[:thread]...: for each processor the first action that names it. */
static void v_cont(struct gdb *g, const char *at)
{
    uint64_t run = 0, step = 0, decided = 0, signal, all = (1ull << cpu_count(g)) - 1;

    while (*at == ';') {
        char action = at[1];
        uint64_t whom = all;
        int thread = -1;
        if (!action)
            break;
        at += 2;
        if ((action == 'C' || action == 'S') && !gdb_number(&at, &signal))
            break;
        if (*at == ':') {
            at++;
            if (!thread_number(g, &at, &thread))
                break;
        }
        if (thread >= 0)
            whom = 1ull << (thread ? (unsigned)thread - 1 : g->cpu);
        whom &= ~decided;
        decided |= whom;
        if (action == 'c' || action == 'C' || action == 's' || action == 'S')
            run |= whom;
        if (action == 's' || action == 'S')
            step |= whom;
    }
    if (*at)
        answer_error(g, EINVAL);
    else
        go(g, run, step);
}

/* ---- memory ---- */

static int64_t peek(struct gdb *g, uint64_t at, void *to, size_t len)
{
    if (!g->physical)
        return machine_peek_linear(g->machine, g->cpu, at, to, len);
    return machine_peek(g->machine, at, to, len) < 0 ? -EFAULT : (int64_t)len;
}

static int64_t poke(struct gdb *g, uint64_t at, const void *from, size_t len)
{
    if (!g->physical)
        return machine_poke_linear(g->machine, g->cpu, at, from, len);
    return machine_poke(g->machine, at, from, len) < 0 ? -EFAULT : (int64_t)len;
}

/* ADDRESS,LENGTH */
static bool extent(const char **at, uint64_t *ret_at, uint64_t *ret_len)
{
    if (!gdb_number(at, ret_at) || **at != ',')
        return false;
    (*at)++;
    return gdb_number(at, ret_len);
}

static void read_memory(struct gdb *g, const char *at)
{
    uint8_t bytes[GDB_PACKET_MAX / 2];
    uint64_t where, len;
    int64_t n;

    if (!extent(&at, &where, &len) || *at) {
        answer_error(g, EINVAL);
        return;
    }
    n = peek(g, where, bytes, min_of(len, (uint64_t)sizeof bytes));
    if (n < 0)
        answer_error(g, (int)n);
    else
        gdb_put_bytes(&g->reply, bytes, (size_t)n);
}

/* M: the bytes in hexadecimal; X: as they are. */
static void write_memory(struct gdb *g, const char *at, bool raw)
{
    const char *end = g->framer.data + g->framer.len;
    uint8_t bytes[GDB_PACKET_MAX];
    const void *from = bytes;
    uint64_t where, len;
    size_t have;
    int64_t n;

    if (!extent(&at, &where, &len) || *at++ != ':' || len > sizeof bytes) {
        answer_error(g, EINVAL);
        return;
    }
    have = raw ? (size_t)(end - at) : gdb_get_bytes(at, bytes, sizeof bytes);
    if (raw)
        from = at;
    n = have == len ? poke(g, where, from, (size_t)len) : -EINVAL;
    answer_result(g, n < 0 ? (int)n : n < (int64_t)len ? -EFAULT : 0);
}

/* Z and z: TYPE,ADDRESS,KIND. */
static void point(struct gdb *g, const char *at, bool set)
{
    static const enum x86_point_kind kinds[] = {X86_POINT_CODE, X86_POINT_CODE, X86_POINT_WRITE,
                                                X86_POINT_READ, X86_POINT_ACCESS};
    struct x86_vm *vm = machine_processors(g->machine);
    uint64_t where, len;
    unsigned type = (unsigned)(*at - '0');
    int r = 0;

    if (!*at || at[1] != ',' || type >= array_size(kinds))
        return; /* of no type that is known: not supported */
    at += 2;
    if (!extent(&at, &where, &len)) {
        answer_error(g, EINVAL);
        return;
    }
    if (set)
        r = x86_debugger_add(vm, kinds[type], where, len, NULL);
    else
        x86_debugger_remove(vm, kinds[type], where, len);
    answer_result(g, r);
}

/* ---- registers ---- */

static void read_registers(struct gdb *g)
{
    uint8_t value[16];
    unsigned size;

    for (unsigned n = 0; gdb_register_get(cpu_of(g), g->shape, n, value, &size); n++)
        gdb_put_bytes(&g->reply, value, size);
}

static void write_registers(struct gdb *g, const char *at)
{
    uint8_t value[16];
    unsigned size;
    bool ok = true;

    for (unsigned n = 0; gdb_register_get(cpu_of(g), g->shape, n, value, &size); n++) {
        if (gdb_get_bytes(at, value, size) < size)
            break;
        at += size * 2;
        ok &= gdb_register_set(cpu_of(g), g->shape, n, value, size);
    }
    answer_result(g, ok && !*at ? 0 : -EPERM);
}

static void read_register(struct gdb *g, const char *at)
{
    uint8_t value[16];
    unsigned size;
    uint64_t n;

    if (gdb_number(&at, &n) && n < UINT8_MAX &&
        gdb_register_get(cpu_of(g), g->shape, (unsigned)n, value, &size))
        gdb_put_bytes(&g->reply, value, size);
    else
        answer_error(g, EINVAL);
}

static void write_register(struct gdb *g, const char *at)
{
    uint8_t value[16];
    uint64_t n;
    size_t size;

    if (!gdb_number(&at, &n) || n >= UINT8_MAX || *at++ != '=') {
        answer_error(g, EINVAL);
        return;
    }
    size = gdb_get_bytes(at, value, sizeof value);
    answer_result(
        g, gdb_register_set(cpu_of(g), g->shape, (unsigned)n, value, (unsigned)size) ? 0 : -EPERM);
}

/* ---- queries ---- */

static void supported(struct gdb *g)
{
    g->tells_breaks = strstr(g->framer.data, "swbreak+") != NULL;
    str_addf(&g->reply,
             "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;"
             "hwbreak+",
             GDB_PACKET_MAX);
}

static void describe(struct gdb *g, const char *at)
{
    struct str xml = {0};
    uint64_t offset, len;

    if (!extent(&at, &offset, &len) || *at) {
        answer_error(g, EINVAL);
        return;
    }
    gdb_describe(&xml, g->shape);
    if (offset >= xml.len) {
        answer(g, "l");
    } else {
        len = min_of(len, (uint64_t)GDB_PACKET_MAX / 2);
        len = min_of(len, xml.len - offset);
        str_add_char(&g->reply, offset + len < xml.len ? 'm' : 'l');
        str_add_n(&g->reply, xml.data + offset, (size_t)len);
    }
    str_done(&xml);
}

static void thread_list(struct gdb *g)
{
    for (unsigned i = 0; i < cpu_count(g); i++)
        str_addf(&g->reply, "%c%x", i ? ',' : 'm', i + 1);
}

static void thread_extra(struct gdb *g, const char *at)
{
    static const char *const activities[] = {"running", "halted", "waiting for SIPI", "shut down"};
    static const char *const modes[] = {"real", "v8086", "protected", "compatibility", "64-bit"};
    const struct x86_cpu *c;
    char text[96];
    int thread;

    if (!thread_number(g, &at, &thread) || thread < 1) {
        answer_error(g, EINVAL);
        return;
    }
    c = machine_processors(g->machine)->cpus[thread - 1];
    snprintf(text, sizeof text, "CPU#%u [%s, %s mode, ring %u]", (unsigned)thread - 1,
             activities[c->activity & 3], modes[min_of(c->mode, (uint8_t)X86_MODE_64)], c->cpl);
    gdb_put_bytes(&g->reply, text, strlen(text));
}

static void remote_command(struct gdb *g, const char *hex)
{
    char command[512];
    struct str out = {0};
    size_t n = gdb_get_bytes(hex, command, sizeof command - 1);

    command[n] = 0;
    gdb_monitor(g, command, &out);
    /* In parts: a packet has an end. */
    for (size_t at = 0; at < out.len; at += GDB_PACKET_MAX / 4) {
        struct str part = {0};
        str_add_char(&part, 'O');
        gdb_put_bytes(&part, out.data + at, min_of(out.len - at, (size_t)GDB_PACKET_MAX / 4));
        if (!part.failed)
            send_packet(g, part.data, part.len);
        str_done(&part);
    }
    str_done(&out);
    answer(g, "OK");
}

static void query(struct gdb *g, const char *q)
{
    if (str_starts(q, "Supported"))
        supported(g);
    else if (str_starts(q, "Xfer:features:read:target.xml:"))
        describe(g, q + strlen("Xfer:features:read:target.xml:"));
    else if (strcmp(q, "fThreadInfo") == 0)
        thread_list(g);
    else if (strcmp(q, "sThreadInfo") == 0)
        answer(g, "l");
    else if (str_starts(q, "ThreadExtraInfo,"))
        thread_extra(g, q + strlen("ThreadExtraInfo,"));
    else if (strcmp(q, "C") == 0)
        str_addf(&g->reply, "QC%x", g->cpu + 1);
    else if (strcmp(q, "Attached") == 0 || str_starts(q, "Attached:"))
        answer(g, "1"); /* leaving gdb leaves the machine */
    else if (strcmp(q, "qemu.PhyMemMode") == 0)
        answer(g, g->physical ? "1" : "0");
    else if (str_starts(q, "Rcmd,"))
        remote_command(g, q + strlen("Rcmd,"));
}

static void set(struct gdb *g, const char *q)
{
    if (strcmp(q, "StartNoAckMode") == 0) {
        g->no_ack = true;
        answer(g, "OK");
    } else if (str_starts(q, "qemu.PhyMemMode:")) {
        g->physical = q[strlen("qemu.PhyMemMode:")] == '1';
        answer(g, "OK");
    }
}

/* H: which thread other commands are for; of "c" only those of old need it. */
static void select_thread(struct gdb *g, const char *at)
{
    bool memory = *at == 'g';
    int thread;

    at += *at != 0;
    if (!thread_number(g, &at, &thread)) {
        answer_error(g, EINVAL);
        return;
    }
    if (memory && thread > 0)
        g->cpu = (unsigned)thread - 1;
    answer(g, "OK");
}

static void alive(struct gdb *g, const char *at)
{
    int thread;

    answer_result(g, thread_number(g, &at, &thread) && thread > 0 ? 0 : -EINVAL);
}

static void leave(struct gdb *g, bool kill)
{
    g->closing = true;
    if (kill)
        machine_stop(g->machine);
    else
        machine_debug_detach(g->machine);
    g->attached = false;
}

static void verbose(struct gdb *g, const char *p)
{
    if (strcmp(p, "Cont?") == 0) {
        answer(g, "vCont;c;C;s;S");
    } else if (str_starts(p, "Cont;")) {
        v_cont(g, p + strlen("Cont"));
    } else if (str_starts(p, "Kill")) {
        answer(g, "OK");
        leave(g, true);
    }
}

static void dispatch(struct gdb *g, const char *p)
{
    switch (*p) {
    case '?':
        answer(g, g->stop);
        break;
    case 'g':
        read_registers(g);
        break;
    case 'G':
        write_registers(g, p + 1);
        break;
    case 'p':
        read_register(g, p + 1);
        break;
    case 'P':
        write_register(g, p + 1);
        break;
    case 'm':
        read_memory(g, p + 1);
        break;
    case 'M':
    case 'X':
        write_memory(g, p + 1, *p == 'X');
        break;
    case 'c':
    case 'C':
    case 's':
    case 'S':
        resume(g, p + 1, *p == 's' || *p == 'S');
        break;
    case 'v':
        verbose(g, p + 1);
        break;
    case 'Z':
    case 'z':
        point(g, p + 1, *p == 'Z');
        break;
    case 'q':
        query(g, p + 1);
        break;
    case 'Q':
        set(g, p + 1);
        break;
    case 'H':
        select_thread(g, p + 1);
        break;
    case 'T':
        alive(g, p + 1);
        break;
    case 'D':
        answer(g, "OK");
        leave(g, false);
        break;
    case 'k':
        leave(g, true);
        break;
    default:
        break; /* an empty answer: not supported */
    }
}

static void take_packet(struct gdb *g)
{
    bool was = g->no_ack, quiet;

    if (!was)
        g->send(g->opaque, "+", 1);
    g->reply.len = 0;
    if (g->running)
        answer_error(g, EBUSY);
    else
        dispatch(g, g->framer.data);
    /* What lets the machine go is answered when it stops; k is not answered at all. */
    quiet = (g->running && !g->reply.len) || g->framer.data[0] == 'k';
    if (!quiet)
        send_packet(g, g->reply.data ? g->reply.data : "", g->reply.len);
}

void gdb_input(struct gdb *g, const void *bytes, size_t n)
{
    const uint8_t *in = bytes;

    for (size_t i = 0; i < n && !g->closing; i++) {
        switch (gdb_frame(&g->framer, in[i])) {
        case GDB_NOTHING:
            break;
        case GDB_PACKET:
            take_packet(g);
            break;
        case GDB_DAMAGED:
            if (!g->no_ack)
                g->send(g->opaque, "-", 1);
            break;
        case GDB_NAK:
            if (g->wire.len && !g->no_ack)
                g->send(g->opaque, g->wire.data, g->wire.len);
            break;
        case GDB_INTERRUPT:
            interrupt(g);
            break;
        }
    }
}

bool gdb_closing(const struct gdb *g)
{
    return g->closing;
}

void gdb_machine_ended(struct gdb *g, int code)
{
    char text[16];

    snprintf(text, sizeof text, "W%02x", (unsigned)code & 0xff);
    send_packet(g, text, strlen(text));
    g->running = false;
    g->closing = true;
}

struct gdb *gdb_new(struct machine *m, bool wide,
                    void (*send)(void *opaque, const void *bytes, size_t n), void *opaque,
                    struct error *err)
{
    struct gdb *g = mem_new(struct gdb);

    if (!g) {
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    g->machine = m;
    g->send = send;
    g->opaque = opaque;
    g->shape = gdb_shape(machine_processors(m)->cpus[0], wide);
    if (machine_debug_attach(m, stopped, g, err) < 0) {
        free(g);
        return NULL;
    }
    g->attached = true;
    machine_debug_hold(m);
    note_stop(g, machine_current_cpu(m), SIGNAL_TRAP, "");
    return g;
}

void gdb_free(struct gdb *g)
{
    if (!g)
        return;
    if (g->attached)
        machine_debug_detach(g->machine);
    str_done(&g->reply);
    str_done(&g->wire);
    free(g);
}
