/* SPDX-License-Identifier: Apache-2.0 */
/* Tracing and counters of a machine that is stepped. */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "machine/machine_internal.h"
#include "machine/trace.h"
#include "tests/test.h"

enum { LOAD = 0x100000, HEADER = 32 };

/* Reads a port for ever. */
static const uint8_t code[] = {0xe4, 0x64, 0x40, 0xeb, 0xfb};

static struct machine *make(void)
{
    static uint8_t kernel[128];
    uint32_t h[8] = {0x1badb002, 1 << 16,      0u - 0x1badb002u - (1 << 16), LOAD, LOAD, 0,
                     0,          LOAD + HEADER};
    struct machine_config c = {.cpus = 1, .memory = 4 << 20, .debug_exit = true};
    struct error err = {0};
    struct machine *m;

    memcpy(kernel, h, HEADER);
    memcpy(kernel + HEADER, code, sizeof code);
    c.guest.kernel = kernel;
    c.guest.kernel_len = HEADER + sizeof code;
    m = machine_new(&c, &err);
    if (!m)
        fail_msg("%s", error_text(&err));
    return m;
}

static void filter(const char *text, int expected, struct machine_trace_filter *ret)
{
    struct error err = {0};

    assert_int_equal(machine_trace_parse(text, ret, &err), expected);
}

static void words_are_areas_and_filters(void **state)
{
    struct machine_trace_filter f;

    (void)state;
    filter("interrupts rings cpu=1 vector=0x0e device=ide", 0, &f);
    assert_int_equal(f.areas, 1 << 1 | 1 << 2);
    assert_int_equal(f.cpu, 1);
    assert_int_equal(f.vector, 14);
    assert_string_equal(f.device, "ide");
    filter("all", 0, &f);
    assert_int_equal(f.areas, 0xff);
    filter("", -EINVAL, &f);
    filter("cpu=1", -EINVAL, &f);
    filter("devices cpu=99", -EINVAL, &f);
    filter("devices vector=256", -EINVAL, &f);
    filter("nonsense", -EINVAL, &f);
    filter("devices device=0123456789012345678901234567890123456789", -EINVAL, &f);
}

static void run(struct machine *m, unsigned budget)
{
    uint64_t idle, before = m->instructions;

    while (m->instructions == before)
        machine_step(m, budget, &idle);
}

static void accesses_are_told(void **state)
{
    struct machine *m = make();
    struct machine_trace_filter f;
    struct error err = {0};
    struct machine_trace *t;
    struct str out = {0};

    (void)state;
    filter("devices exits", 0, &f);
    t = machine_trace_new(m, &f, &err);
    assert_non_null(t);
    assert_null(machine_trace_new(m, &f, &err));
    assert_int_equal(err.code, -EBUSY);
    assert_false(machine_trace_read(t, &out, 1 << 20));
    run(m, 30);
    assert_true(machine_trace_read(t, &out, 1 << 20));
    assert_non_null(strstr(str_text(&out), "\"event\":\"in\",\"cpu\":0,\"rip\":\"0x100020\","));
    assert_non_null(strstr(str_text(&out), "\"port\":\"0x64\",\"size\":1"));
    assert_non_null(strstr(str_text(&out), "\"event\":\"exit\",\"cpu\":0"));
    assert_non_null(strstr(str_text(&out), "\"reason\":\"budget\""));
    machine_trace_free(t);
    /* Another device, another processor: nothing. */
    out.len = 0;
    filter("all device=floppy", 0, &f);
    t = machine_trace_new(m, &f, &err);
    run(m, 30);
    assert_false(machine_trace_read(t, &out, 1 << 20));
    machine_trace_free(t);
    machine_free(m);
    str_done(&out);
}

static void what_does_not_fit_is_counted(void **state)
{
    struct machine *m = make();
    struct machine_trace_filter f;
    struct machine_trace *t;
    struct str out = {0};

    (void)state;
    filter("devices", 0, &f);
    t = machine_trace_new(m, &f, NULL);
    for (int i = 0; i < 100; i++)
        run(m, 3000);
    while (machine_trace_read(t, &out, out.len + 100000))
        ;
    assert_non_null(strstr(str_text(&out), "\n{\"lost\":"));
    machine_trace_free(t);
    machine_free(m);
    str_done(&out);
}

static void counters_count(void **state)
{
    struct machine *m = make();
    struct error err = {0};
    struct str out = {0};

    (void)state;
    run(m, 3000);
    assert_int_equal(machine_show(m, "counters", &out, &err), 0);
    assert_non_null(strstr(str_text(&out), "exits: "));
    assert_true(m->vm->cpus[0]->counts.blocks > 0);
    assert_true(m->vm->cpus[0]->counts.exits[X86_EXIT_BUDGET] > 0);
    out.len = 0;
    assert_int_equal(machine_show(m, "counters json", &out, &err), 0);
    assert_non_null(strstr(str_text(&out), "\"processors\":[{\"index\":0,"));
    assert_int_equal(machine_show(m, "walk 0x100020", &out, &err), 0);
    assert_int_equal(machine_show(m, "walk here", &out, &err), -EINVAL);
    assert_int_equal(machine_show(m, "kaslr", &out, &err), -ENOENT);
    machine_free(m);
    str_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_areas_and_filters),
        cmocka_unit_test(accesses_are_told),
        cmocka_unit_test(what_does_not_fit_is_counted),
        cmocka_unit_test(counters_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
