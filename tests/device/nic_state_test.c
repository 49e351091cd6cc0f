/* SPDX-License-Identifier: Apache-2.0 */
/* Saving, loading and resetting network adapters in whatever state random drivers leave them. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "nic_rig.h"

enum { STEPS = 3000 };

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Registers that make something happen. */
static unsigned pick(enum nic_model model, uint64_t r)
{
    static const uint16_t e1000[] = {0x0000, 0x0010, 0x0014, 0x0020, 0x00c0, 0x00c4, 0x00c8,
                                     0x00d0, 0x00d8, 0x0100, 0x0400, 0x2810, 0x2818, 0x2820,
                                     0x282c, 0x3810, 0x3818, 0x3820, 0x382c, 0x4074, 0x4088,
                                     0x408c, 0x5000, 0x5200, 0x5400, 0x5404, 0x5600, 0x2800};

    static const uint8_t rtl8139[] = {0x00, 0x08, 0x10, 0x14, 0x18, 0x1c, 0x20, 0x24,
                                      0x30, 0x34, 0x38, 0x3c, 0x40, 0x44, 0x48, 0x4c,
                                      0x50, 0x54, 0x58, 0x5c, 0x60, 0x64, 0x74};

    if (model == NIC_RTL8139)
        return rtl8139[r % array_size(rtl8139)];
    return e1000[r % array_size(e1000)];
}

/* One random access or event; returns what was read. */
static uint64_t step(struct nic_rig *n, enum nic_model model, uint64_t *seed)
{
    static const uint8_t frame[100] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3};
    uint64_t r = random_next(seed), value = random_next(seed);
    uint64_t at = (uint32_t)NIC_MMIO + pick(model, r >> 8);

    switch (r % 8) {
    case 0:
    case 1:
    case 2:
        space_store(n->rig.space, at, 4, value & 0xf ? value & 0xff : value);
        return 0;
    case 3:
    case 4:
        return space_load(n->rig.space, at, 4);
    case 5:
        rig_pass(&n->rig, value % 300000);
        return 0;
    case 6:
        return rig_net_deliver(&n->net, frame, 60 + value % 40);
    default:
        n->net.client->link(n->net.client->opaque, value & 1);
        return n->rig.wire[NIC_WIRE].level;
    }
}

static void set_up(struct nic_rig *n, enum nic_model model)
{
    nic_rig_set_up(n, model);
    for (unsigned i = 0; i < 4096; i += 8) /* descriptors of all kinds */
        space_store(n->rig.space, i, 8, i % 16 ? 0x29000000ull + i : 0x10000 + i);
    if (model == NIC_E1000) {
        space_store(n->rig.space, (uint32_t)NIC_MMIO + 0x2808, 4, 128);
        space_store(n->rig.space, (uint32_t)NIC_MMIO + 0x3808, 4, 128);
    }
}

static void compare(const struct nic_rig *a, const struct nic_rig *b)
{
    struct str x = {0}, y = {0};

    state_json(a->device->state, a->device, &x);
    state_json(b->device->state, b->device, &y);
    if (strcmp(str_text(&x), str_text(&y)) != 0)
        fail_msg("%s: %s is not %s", a->device->name, str_text(&x), str_text(&y));
    str_done(&x);
    str_done(&y);
}

static void copy_state(struct nic_rig *to, struct nic_rig *from)
{
    struct device *devices[2][2] = {{pci_function_device(from->function), from->device},
                                    {pci_function_device(to->function), to->device}};
    static uint8_t ram[RIG_MEMORY];

    space_read(from->rig.space, 0, ram, sizeof(ram));
    space_write(to->rig.space, 0, ram, sizeof(ram));
    gclock_set(to->rig.clock, gclock_now(from->rig.clock));
    for (unsigned i = 0; i < 2; i++) {
        struct str saved = {0};
        struct error err = {0};
        state_save(devices[0][i]->state, devices[0][i], &saved);
        if (state_load(devices[1][i]->state, devices[1][i], saved.data, saved.len, &err) < 0)
            fail_msg("%s", error_text(&err));
        str_done(&saved);
    }
}

static void loaded_state_goes_on_alike(void **state)
{
    static struct nic_rig a, b;

    for (unsigned trial = 0; trial < 8 * NIC_MODELS; trial++) {
        enum nic_model model = trial % NIC_MODELS;
        uint64_t seed = 0x9e3779b97f4a7c15ull * (trial + 1), other = seed;

        set_up(&a, model);
        for (unsigned i = 0; i < 500 + 100 * trial; i++)
            step(&a, model, &seed);
        set_up(&b, model);
        for (unsigned i = 0; i < 100; i++)
            step(&b, model, &other);
        copy_state(&b, &a);
        compare(&a, &b);
        b.net.frames = a.net.frames;
        other = seed;
        for (unsigned i = 0; i < STEPS; i++) {
            uint64_t x = step(&a, model, &seed), y = step(&b, model, &other);
            if (x != y || a.net.frames != b.net.frames ||
                a.rig.wire[NIC_WIRE].level != b.rig.wire[NIC_WIRE].level)
                fail_msg("trial %u: step %u after the load differs", trial, i);
        }
        compare(&a, &b);
        nic_rig_tear_down(&a);
        nic_rig_tear_down(&b);
    }
}

static void reset_forgets(void **state)
{
    static struct nic_rig a, fresh;

    for (unsigned model = 0; model < NIC_MODELS; model++) {
        uint64_t seed = 42;
        set_up(&a, model);
        for (unsigned i = 0; i < STEPS; i++)
            step(&a, model, &seed);
        a.net.client->link(a.net.client->opaque, true);
        nic_rig_set_up(&fresh, model);
        fresh.rig.ns = a.rig.ns;
        gclock_set(fresh.rig.clock, gclock_now(a.rig.clock));
        device_reset(a.device);
        device_reset(fresh.device);
        compare(&a, &fresh);
        nic_rig_tear_down(&a);
        nic_rig_tear_down(&fresh);
    }
}

static void cut_or_foreign_state_is_refused(void **state)
{
    static struct nic_rig a;

    for (unsigned model = 0; model < NIC_MODELS; model++) {
        struct str saved = {0}, foreign = {0};
        struct device *function;
        nic_rig_set_up(&a, model);
        state_save(a.device->state, a.device, &saved);
        for (size_t n = 0; n < saved.len; n += 1 + n / 64)
            assert_true(state_load(a.device->state, a.device, saved.data, n, NULL) < 0);
        function = pci_function_device(a.function);
        state_save(function->state, function, &foreign);
        assert_true(state_load(a.device->state, a.device, foreign.data, foreign.len, NULL) < 0);
        str_done(&saved);
        str_done(&foreign);
        nic_rig_tear_down(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(loaded_state_goes_on_alike),
                                       cmocka_unit_test(reset_forgets),
                                       cmocka_unit_test(cut_or_foreign_state_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
