/* SPDX-License-Identifier: Apache-2.0 */
/* The gdb stub over a machine that is stepped: packets in, packets out. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "machine/debug.h"
#include "machine/gdb.h"
#include "machine/machine_internal.h"
#include "tests/test.h"

enum { LOAD = 0x100000, HEADER = 32, ENTRY = LOAD + HEADER };

struct rig {
    struct machine *m;
    struct gdb *g;
    struct str out; /* what the stub sent */
};

static void take(void *opaque, const void *bytes, size_t n)
{
    str_add_n(&((struct rig *)opaque)->out, bytes, n);
}

static struct machine *make_model(const uint8_t *code, size_t len, unsigned cpus, const char *model)
{
    static uint8_t kernel[256];
    uint32_t h[8] = {0x1badb002, 1 << 16,      0u - 0x1badb002u - (1 << 16), LOAD, LOAD, 0,
                     0,          LOAD + HEADER};
    struct machine_config c = {.cpus = cpus, .cpu = model, .memory = 4 << 20, .debug_exit = true};
    struct error err = {0};
    struct machine *m;

    memcpy(kernel, h, HEADER);
    memcpy(kernel + HEADER, code, len);
    c.guest.kernel = kernel;
    c.guest.kernel_len = HEADER + len;
    m = machine_new(&c, &err);
    if (!m)
        fail_msg("%s", error_text(&err));
    return m;
}

static void rig_new(struct rig *r, const uint8_t *code, size_t len)
{
    *r = (struct rig){.m = make_model(code, len, 2, NULL)};
    r->g = gdb_new(r->m, true, take, r, NULL);
    assert_non_null(r->g);
    gdb_input(r->g, "$QStartNoAckMode#b0", 19);
    assert_string_equal(str_text(&r->out), "+$OK#9a");
}

static void rig_free(struct rig *r)
{
    gdb_free(r->g);
    machine_free(r->m);
    str_done(&r->out);
}

/* Sends a packet, lets the machine run when it may, and gives the answer without its frame. */
static const char *ask(struct rig *r, const char *text)
{
    unsigned char sum = 0;
    char packet[4096];
    uint64_t idle;
    char *end;

    for (const char *p = text; *p; p++)
        sum = (unsigned char)(sum + (unsigned char)*p);
    r->out.len = 0;
    gdb_input(r->g, packet, (size_t)snprintf(packet, sizeof packet, "$%s#%02x", text, sum));
    for (int i = 0; i < 1000 && !r->out.len; i++)
        machine_step(r->m, 1000, &idle);
    if (!r->out.len)
        return "";
    end = strrchr(r->out.data, '#');
    assert_non_null(end);
    *end = 0;
    return r->out.data + 1;
}

static uint32_t reg(struct rig *r, unsigned n)
{
    char text[16];
    const char *hex;
    uint32_t v = 0;

    snprintf(text, sizeof text, "p%x", n);
    hex = ask(r, text);
    for (int i = 0; i < 4; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + i * 2, "%2x", &byte), 1);
        v |= (uint32_t)byte << i * 8;
    }
    return v;
}

enum { RAX, RBX, RCX, RIP = 16, EFLAGS = 17 };

/* inc eax; mov [0x200000], eax; mov ebx, [0x200000]; jmp back */
static const uint8_t counter[] = {0x40, 0xa3, 0, 0, 0x20, 0, 0x8b, 0x1d, 0, 0, 0x20, 0, 0xeb, 0xf2};

static void steps_breaks_and_watches(void **state)
{
    struct rig r;
    uint32_t eax;

    (void)state;
    rig_new(&r, counter, sizeof counter);
    assert_string_equal(ask(&r, "?"), "T05thread:1;");
    assert_int_equal(reg(&r, RIP), ENTRY);
    eax = reg(&r, RAX);
    assert_string_equal(ask(&r, "s"), "T05thread:1;");
    assert_int_equal(reg(&r, RIP), ENTRY + 1);
    assert_int_equal(reg(&r, RAX), eax + 1);
    /* A breakpoint that the guest cannot see. */
    assert_string_equal(ask(&r, "Z0,10002c,1"), "OK");
    assert_string_equal(ask(&r, "vCont;c"), "T05thread:1;");
    assert_int_equal(reg(&r, RIP), 0x10002c);
    assert_string_equal(ask(&r, "m10002c,2"), "ebf2");
    assert_string_equal(ask(&r, "z0,10002c,1"), "OK");
    /* The write is told after it happened, the read after that. */
    assert_string_equal(ask(&r, "Z2,200001,2"), "OK");
    assert_string_equal(ask(&r, "c"), "T05thread:1;watch:200001;");
    assert_int_equal(reg(&r, RIP), ENTRY + 6);
    assert_string_equal(ask(&r, "Z3,200000,4"), "OK");
    assert_string_equal(ask(&r, "c"), "T05thread:1;rwatch:200000;");
    assert_int_equal(reg(&r, RIP), ENTRY + 12);
    assert_string_equal(ask(&r, "z2,200001,2"), "OK");
    assert_string_equal(ask(&r, "z3,200000,4"), "OK");
    /* Registers are changed, code is, and both show. */
    assert_string_equal(ask(&r, "P0=ffffff7f00000000"), "OK");
    assert_string_equal(ask(&r, "M100020,1:48"), "OK"); /* dec eax */
    assert_string_equal(ask(&r, "vCont;s:1;c"), "T05thread:1;");
    assert_int_equal(reg(&r, RIP), ENTRY);
    ask(&r, "s");
    assert_int_equal(reg(&r, RAX), 0x7ffffffe);
    rig_free(&r);
}

/* cli; hlt; inc eax; jmp $: it halts for good. */
static void a_step_goes_over_hlt(void **state)
{
    static const uint8_t code[] = {0xfa, 0xf4, 0x40, 0xeb, 0xfe};
    struct rig r;

    (void)state;
    rig_new(&r, code, sizeof code);
    ask(&r, "s");
    assert_string_equal(ask(&r, "s"), "T05thread:1;");
    assert_int_equal(reg(&r, RIP), ENTRY + 2);
    rig_free(&r);
}

/* mov ecx, 3; mov esi, edi = 0x200000; rep movsb; nop */
static void a_step_over_rep_ends(void **state)
{
    static const uint8_t code[] = {0xb9, 3, 0, 0,    0, 0xbe, 0,    0,    0x20, 0,
                                   0xbf, 0, 0, 0x30, 0, 0xf3, 0xa4, 0x90, 0xeb, 0xfe};
    struct rig r;
    unsigned n = 0;

    (void)state;
    rig_new(&r, code, sizeof code);
    while (reg(&r, RIP) != ENTRY + 17 && n++ < 20)
        ask(&r, "s");
    assert_int_equal(reg(&r, RCX - 0), 0);
    assert_in_range(n, 3, 8);
    rig_free(&r);
}

static void foreign_packets_are_refused(void **state)
{
    struct rig r;
    struct error err = {0};

    (void)state;
    rig_new(&r, counter, sizeof counter);
    assert_string_equal(ask(&r, "m"), "E16");
    assert_string_equal(ask(&r, "m1"), "E16");
    assert_string_equal(ask(&r, "m11111111111111111,1"), "E16");
    assert_string_equal(ask(&r, "mfee00000,4"), "E0e"); /* registers of a device are not read */
    assert_string_equal(ask(&r, "M100000,ffffffffffffffff:00"), "E16");
    assert_string_equal(ask(&r, "M100000,4:00"), "E16");
    assert_string_equal(ask(&r, "p99"), "E16");
    assert_string_equal(ask(&r, "P0=00"), "E01");
    assert_string_equal(ask(&r, "Pzz"), "E16");
    assert_string_equal(ask(&r, "Z2,0,0"), "E16");
    assert_string_equal(ask(&r, "Z9,0,0"), "");
    assert_string_equal(ask(&r, "vCont;q"), "E16");
    assert_string_equal(ask(&r, "vCont;c:9"), "E16");
    assert_string_equal(ask(&r, "Hg9"), "E16");
    assert_string_equal(ask(&r, "T3"), "E16");
    assert_string_equal(ask(&r, "T2"), "OK");
    assert_string_equal(ask(&r, "unknown"), "");
    assert_string_equal(ask(&r, "qXfer:features:read:target.xml:ffffff,10"), "l");
    r.out.len = 0;
    gdb_input(r.g, "$m0,1#00", 8); /* a wrong sum: dropped without acknowledgements */
    assert_int_equal(r.out.len, 0);
    assert_null(gdb_new(r.m, true, take, &r, &err));
    assert_int_equal(err.code, -EBUSY);
    rig_free(&r);
}

static void threads_are_processors(void **state)
{
    struct rig r;

    (void)state;
    rig_new(&r, counter, sizeof counter);
    assert_string_equal(ask(&r, "qfThreadInfo"), "m1,2");
    assert_string_equal(ask(&r, "qsThreadInfo"), "l");
    assert_string_equal(ask(&r, "qC"), "QC1");
    assert_string_equal(ask(&r, "Hg2"), "OK");
    assert_int_equal(reg(&r, RIP), 0xfff0);
    assert_string_equal(ask(&r, "Hg1"), "OK");
    /* Processor 1 alone waits for its SIPI: nothing happens until it is interrupted. */
    assert_string_equal(ask(&r, "vCont;c:2"), "");
    r.out.len = 0;
    gdb_input(r.g, "\3", 1);
    assert_memory_equal(r.out.data, "$T02thread:1;#", 14);
    assert_int_equal(reg(&r, RIP), ENTRY);
    rig_free(&r);
}

static void monitor_tells(struct rig *r, const char *command, const char *expected)
{
    char hex[256] = "qRcmd,", *out = hex + 6;
    struct str text = {0};

    for (const char *p = command; *p; p++)
        out += snprintf(out, 3, "%02x", (unsigned char)*p);
    ask(r, hex);
    for (size_t i = 0; i + 1 < r->out.len; i++) { /* O packets and the OK after them */
        unsigned byte;
        if (r->out.data[i] == '$' && r->out.data[i + 1] == 'O' && r->out.data[i + 2] != 'K')
            for (i += 2; sscanf(r->out.data + i, "%2x", &byte) == 1 && r->out.data[i] != '#';
                 i += 2)
                str_add_char(&text, (char)byte);
    }
    if (!strstr(str_text(&text), expected))
        fail_msg("monitor %s said: %s", command, str_text(&text));
    str_done(&text);
}

static void monitor_commands(void **state)
{
    struct rig r;

    (void)state;
    rig_new(&r, counter, sizeof counter);
    monitor_tells(&r, "help", "walk ADDRESS");
    monitor_tells(&r, "info registers", "processor 0: active, protected mode, ring 0");
    monitor_tells(&r, "info mem", "paging is off");
    monitor_tells(&r, "info mtree", "0x0000000000-");
    monitor_tells(&r, "info irq", "local APIC 1: ");
    monitor_tells(&r, "info devices", "i8254");
    monitor_tells(&r, "info device i8254", "{\"");
    monitor_tells(&r, "walk 0x100020", "guest-physical 0x100020");
    monitor_tells(&r, "xp 0x100020 4", "40 a3 00 00");
    monitor_tells(&r, "xp 0xfee00000", "neither RAM nor ROM");
    monitor_tells(&r, "kaslr", "no Linux kernel");
    monitor_tells(&r, "nonsense", "no such command");
    ask(&r, "s");
    monitor_tells(&r, "reset", "was reset");
    assert_int_equal(reg(&r, RIP), ENTRY);
    rig_free(&r);
}

static void avx_is_told_where_it_is(void **state)
{
    static const char *const models[] = {"isola-v1", "isola-v3"};

    (void)state;
    for (int avx = 0; avx < 2; avx++) {
        struct rig r = {.m = make_model(counter, sizeof counter, 1, models[avx])};
        struct str all = {0};
        r.g = gdb_new(r.m, true, take, &r, NULL);
        gdb_input(r.g, "$QStartNoAckMode#b0", 19);
        str_add(&all, ask(&r, "qXfer:features:read:target.xml:0,1000"));
        str_add(&all, ask(&r, "qXfer:features:read:target.xml:1000,1000"));
        str_add(&all, ask(&r, "qXfer:features:read:target.xml:2000,1000"));
        assert_non_null(strstr(str_text(&all), "xmm15"));
        assert_int_equal(strstr(str_text(&all), "ymm15h") != NULL, avx);
        str_done(&all);
        rig_free(&r);
    }
}

static void leaving_lets_the_machine_go(void **state)
{
    struct rig r;
    uint64_t idle, before;

    (void)state;
    rig_new(&r, counter, sizeof counter);
    assert_string_equal(ask(&r, "Z0,100020,1"), "OK");
    before = r.m->instructions;
    machine_step(r.m, 1000, &idle);
    assert_int_equal(r.m->instructions, before);
    assert_string_equal(ask(&r, "D"), "OK");
    assert_true(gdb_closing(r.g));
    machine_step(r.m, 1000, &idle); /* may end early: it was kicked when it was held */
    machine_step(r.m, 1000, &idle);
    assert_true(r.m->instructions >= before + 1000);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_breaks_and_watches),
        cmocka_unit_test(a_step_goes_over_hlt),
        cmocka_unit_test(a_step_over_rep_ends),
        cmocka_unit_test(foreign_packets_are_refused),
        cmocka_unit_test(threads_are_processors),
        cmocka_unit_test(monitor_commands),
        cmocka_unit_test(leaving_lets_the_machine_go),
        cmocka_unit_test(avx_is_told_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
