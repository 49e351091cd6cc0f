/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a machine as bytes: loaded it is the same machine; damaged or foreign it is refused.
 */
#include <string.h>

#include "base/mem.h"
#include "machine/machine_internal.h"
#include "machine/snapshot.h"
#include "tests/test.h"

enum { LOAD = 0x100000, HEADER = 32, MEMORY = 4 << 20 };

/* Counts in EAX and in memory for ever, with the PIT's interrupts masked. */
static const uint8_t counter[] = {0x40, 0xa3, 0, 0, 0x18, 0, 0xeb, 0xf8};

static struct machine *make_with(const char *cpu, unsigned cpus, const struct str *saved,
                                 struct gmem_layer *memory, struct error *err)
{
    static uint8_t kernel[HEADER + sizeof(counter)];
    uint32_t h[8] = {0x1badb002, 1 << 16,      0u - 0x1badb002u - (1 << 16), LOAD, LOAD, 0,
                     0,          LOAD + HEADER};
    struct machine_config c = {.cpu = cpu, .cpus = cpus, .memory = MEMORY};

    memcpy(kernel, h, HEADER);
    memcpy(kernel + HEADER, counter, sizeof(counter));
    c.guest.kernel = kernel;
    c.guest.kernel_len = sizeof(kernel);
    if (saved) {
        c.saved = (const uint8_t *)saved->data;
        c.saved_len = saved->len;
        c.saved_memory = memory;
    }
    return machine_new(&c, err);
}

static struct machine *make(void)
{
    struct error err = {0};
    struct machine *m = make_with(NULL, 1, NULL, NULL, &err);

    if (!m)
        fail_msg("%s", error_text(&err));
    return m;
}

static void steps(struct machine *m, unsigned n)
{
    uint64_t idle;

    while (n--)
        assert_int_equal(machine_step(m, 1000, &idle), MACHINE_RUNNING);
}

static uint32_t counted(struct machine *m)
{
    uint32_t n = 0;

    assert_int_equal(gmem_read(machine_memory(m), 0x180000, &n, sizeof(n)), 0);
    return n;
}

static void save(struct machine *m, struct str *state, struct gmem_layer **memory)
{
    struct error err = {0};

    if (machine_save_state(m, state, &err) < 0 || !(*memory = gmem_freeze(machine_memory(m), &err)))
        fail_msg("%s", error_text(&err));
}

static void one_state_makes_several_machines(void **unused)
{
    struct machine *m = make(), *a, *b;
    struct str state = {0};
    struct gmem_layer *memory;
    uint32_t at;

    (void)unused;
    steps(m, 5);
    save(m, &state, &memory);
    at = counted(m);
    assert_true(at > 1000);
    a = make_with(NULL, 1, &state, memory, NULL);
    b = make_with(NULL, 1, &state, memory, NULL);
    gmem_layer_unref(memory);
    assert_non_null(a);
    assert_non_null(b);
    steps(m, 3);
    assert_int_equal(counted(a), at);
    steps(a, 1);
    assert_true(counted(m) > counted(a));
    assert_true(counted(a) > at);
    assert_int_equal(counted(b), at);
    machine_free(m);
    steps(b, 1);
    assert_int_equal(counted(a), counted(b));
    machine_free(a);
    machine_free(b);
    str_done(&state);
}

static void what_the_state_says_can_be_read(void **unused)
{
    struct machine *m = make();
    struct str state = {0};
    struct machine_saved saved;

    (void)unused;
    assert_int_equal(machine_save_state(m, &state, NULL), 0);
    assert_int_equal(machine_saved_read((const uint8_t *)state.data, state.len, &saved, NULL), 0);
    assert_string_equal(saved.board, "pc");
    assert_int_equal(saved.cpus, 1);
    assert_int_equal(saved.memory, MEMORY);
    machine_free(m);
    str_done(&state);
}

static void refused(const struct str *state, struct gmem_layer *memory, const char *cpu,
                    unsigned cpus, const char *why)
{
    struct error err = {0};

    assert_null(make_with(cpu, cpus, state, memory, &err));
    if (!strstr(error_text(&err), why))
        fail_msg("\"%s\" does not say \"%s\"", error_text(&err), why);
}

static void other_machines_and_damage_are_refused(void **unused)
{
    struct machine *m = make();
    struct str state = {0}, copy = {0};
    struct gmem_layer *memory;

    (void)unused;
    steps(m, 1);
    save(m, &state, &memory);
    machine_free(m);
    refused(&state, memory, "pentium3", 1, "processor model");
    refused(&state, memory, NULL, 2, "processors");
    str_add_n(&copy, state.data, state.len);
    copy.data[8] = 99;
    refused(&copy, memory, NULL, 1, "version");
    copy.data[8] = state.data[8];
    copy.data[0] = 'x';
    refused(&copy, memory, NULL, 1, "no state");
    copy.data[0] = state.data[0];
    /* Each length up to the whole. */
    for (size_t n = 0; n < state.len; n += n < 300 ? 1 : 97) {
        struct str cut = {.data = state.data, .len = n};
        struct error err = {0};
        assert_null(make_with(NULL, 1, &cut, memory, &err));
    }
    /* Single bytes changed: refused, or a machine in another state, never worse. */
    for (size_t n = 12; n < state.len; n += 13) {
        struct error err = {0};
        copy.data[n] = (char)(copy.data[n] ^ 0xff);
        m = make_with(NULL, 1, &copy, memory, &err);
        if (m) {
            uint64_t idle;
            machine_step(m, 1000, &idle);
        }
        machine_free(m);
        copy.data[n] = state.data[n];
    }
    gmem_layer_unref(memory);
    str_done(&state);
    str_done(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_state_makes_several_machines),
        cmocka_unit_test(what_the_state_says_can_be_read),
        cmocka_unit_test(other_machines_and_damage_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
