/* SPDX-License-Identifier: Apache-2.0 */
/* What all devices promise: state that survives save and load, refusals, and a true reset. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "device/piix4_pm.h"
#include "pc_rig.h"

enum { STEPS = 20000 };

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* One random access or event; returns what was read. */
static uint64_t step(struct pc_rig *pc, uint64_t *seed)
{
    static const uint16_t ports[] = {
        0x20,  0xa0,  0x40,  0x60,  0x64,  0x70,   0x71,   0xb2,   0x92,  0xf4,   0x3f8,  0x3fc,
        0x4d0, 0x505, 0x510, 0x600, 0x604, 0xafe0, 0x1ce,  0x1cf,  0x3b4, 0x3c0,  0x3c4,  0x3c6,
        0x3c8, 0x3ce, 0x3d4, 0x3d8, 0x1f0, 0x1f4,  0x170,  0x174,  0x3f4, 0xd000, 0xd008, 0x3f0,
        0x00,  0x04,  0x08,  0x0c,  0x80,  0xc0,   0xae00, 0xae04, 0xae08};
    static const uint32_t pages[] = {0xfee00000, 0xfec00000, 0xfed00000, PC_RIG_FLASH};
    uint64_t r = random_next(seed), value = random_next(seed), got = 0;
    uint16_t port =
        (uint16_t)(ports[(r >> 8) % (sizeof(ports) / sizeof(ports[0]))] + (r >> 16 & 3));
    uint64_t address = pages[(r >> 8) % 4] + (r >> 20 & 0x3f) * 16;
    unsigned size = 1u << (r >> 32) % 3;

    switch (r % 11) {
    case 0:
    case 1:
    case 2:
        ports_write(pc->rig.ports, port, size, (uint32_t)value);
        break;
    case 3:
    case 4:
        got = ports_read(pc->rig.ports, port, size);
        break;
    case 5:
        space_store(pc->rig.space, address, 4, value);
        break;
    case 6:
        got = space_load(pc->rig.space, address, 4);
        break;
    case 7:
        rig_pass(&pc->rig, value % 300000);
        break;
    case 8:
        pc_rig_gsi(pc, 3 + (unsigned)(value % 13), (int)(value >> 8 & 1));
        pci_set_intx(pc->function, (int)(value >> 9 & 1));
        break;
    case 9:
        if (value & 1)
            pc->keyboard->input.ops->key(&pc->keyboard->input, value >> 8 & 0x7f, value >> 16 & 1);
        else
            pc->mouse->input.ops->pointer(&pc->mouse->input,
                                          &(struct input_pointer){.dx = (int8_t)(value >> 8),
                                                                  .dy = (int8_t)(value >> 16),
                                                                  .wheel = (int)(value >> 24 & 1),
                                                                  .buttons = value >> 32 & 31});
        break;
    default:
        lapics_select(pc->apics, (unsigned)(value & 1));
        got = (uint64_t)(int64_t)lapic_ack(pc->apics, (unsigned)(value >> 1 & 1));
        break;
    }
    return got;
}

static void save_all(struct pc_rig *pc, struct str *out)
{
    for (unsigned i = 0; i < pc->devices; i++)
        state_save(pc->device[i]->state, pc->device[i], out);
    assert_false(out->failed);
}

static void load_all(struct pc_rig *pc, const struct str *in)
{
    size_t at = 0;

    for (unsigned i = 0; i < pc->devices; i++) {
        struct error err = {0};
        int64_t n =
            state_load(pc->device[i]->state, pc->device[i], in->data + at, in->len - at, &err);
        if (n < 0)
            fail_msg("%s", error_text(&err));
        at += (size_t)n;
    }
    assert_int_equal(at, in->len);
}

/* A board restored from another one's state cannot be told from it by anything that follows. */
static void loaded_state_goes_on_alike(void **state)
{
    static struct pc_rig a, b;

    for (uint64_t trial = 1; trial <= 5; trial++) {
        struct str saved = {0};
        uint64_t seed = 0x9e3779b97f4a7c15ull * trial, other = seed;

        pc_rig_set_up(&a, 0);
        assert_int_equal(pci_place_bar(a.function, 0, 0xc000, NULL), 0);
        assert_int_equal(pci_place_bar(a.function, 1, 0xe0000000, NULL), 0);
        assert_int_equal(pci_place_bar(a.function, 2, 0xe00000000, NULL), 0);
        piix4_pm_place(a.pm, 0x600, true);
        for (unsigned i = 0; i < STEPS / 10 * trial; i++)
            step(&a, &seed);
        save_all(&a, &saved);
        pc_rig_set_up(&b, 0);
        for (unsigned i = 0; i < 100; i++)
            step(&b, &other); /* what stood there before does not matter */
        b.rig.ns = 12345;
        gclock_set(b.rig.clock, gclock_now(a.rig.clock));
        load_all(&b, &saved);
        load_all(&a, &saved); /* loading may bring what is computed lazily up to date */
        for (unsigned i = 0; i < a.devices; i++) {
            struct str x = {0}, y = {0};
            state_json(a.device[i]->state, a.device[i], &x);
            state_json(b.device[i]->state, b.device[i], &y);
            if (strcmp(str_text(&x), str_text(&y)) != 0)
                fail_msg("%s: %s is not %s", a.device[i]->name, str_text(&x), str_text(&y));
            str_done(&x);
            str_done(&y);
        }
        lapics_select(a.apics, 0);
        lapics_select(b.apics, 0);
        assert_int_equal(space_load(b.rig.space, 0xe00000020, 2), 64);
        assert_int_equal(ports_read(b.rig.ports, 0xc004, 4), 16);
        b.resets = a.resets;
        memcpy(b.disk_bytes, a.disk_bytes, sizeof(a.disk_bytes));
        memcpy(b.floppy_bytes, a.floppy_bytes, sizeof(a.floppy_bytes));
        memcpy(b.flash_bytes, a.flash_bytes, sizeof(a.flash_bytes));
        gmem_write(b.rig.gmem, (uint64_t)RIG_FLASH_GFN << GMEM_PAGE_BITS, a.flash_bytes, RIG_FLASH);
        b.ch.written_len = a.ch.written_len; /* the other end of the serial line */
        other = seed;
        for (unsigned i = 0; i < STEPS; i++) {
            uint64_t x = step(&a, &seed), y = step(&b, &other);
            if (x != y || memcmp(a.intr, b.intr, sizeof(a.intr)) || a.resets != b.resets)
                fail_msg("trial %u: step %u after the load differs", (unsigned)trial, i);
        }
        str_done(&saved);
        pc_rig_tear_down(&a);
        pc_rig_tear_down(&b);
    }
}

static void reset_all(struct pc_rig *pc)
{
    /* Twice: a device reset later may move a wire of one reset before. */
    for (unsigned i = 0; i < 2 * pc->devices; i++)
        device_reset(pc->device[i % pc->devices]);
}

static void reset_forgets(void **state)
{
    static struct pc_rig a, fresh;
    uint64_t seed = 42;

    pc_rig_set_up(&a, 0);
    for (unsigned i = 0; i < STEPS; i++)
        step(&a, &seed);
    for (unsigned i = 3; i < 16; i++)
        pc_rig_gsi(&a, i, 0);
    reset_all(&a);
    pc_rig_set_up(&fresh, 0);
    fresh.rig.ns = 12345;
    gclock_set(fresh.rig.clock, gclock_now(a.rig.clock));
    reset_all(&fresh);
    for (unsigned i = 0; i < a.devices; i++) {
        struct str x = {0}, y = {0};
        if (strcmp(a.device[i]->name, "mc146818") == 0)
            continue; /* on its battery */
        state_json(a.device[i]->state, a.device[i], &x);
        state_json(fresh.device[i]->state, fresh.device[i], &y);
        if (strcmp(str_text(&x), str_text(&y)) != 0)
            fail_msg("%s: %s is not %s", a.device[i]->name, str_text(&x), str_text(&y));
        str_done(&x);
        str_done(&y);
    }
    pc_rig_tear_down(&a);
    pc_rig_tear_down(&fresh);
}

static void cut_or_foreign_state_is_refused(void **state)
{
    static struct pc_rig a;

    pc_rig_set_up(&a, 0);
    for (unsigned i = 0; i < a.devices; i++) {
        struct str saved = {0}, after = {0};
        struct device *dev = a.device[i], *other = a.device[(i + 5) % a.devices];
        state_save(dev->state, dev, &saved);
        for (size_t n = 0; n < saved.len; n++)
            assert_true(state_load(dev->state, dev, saved.data, n, NULL) < 0);
        if (other->state != dev->state)
            assert_true(state_load(other->state, other, saved.data, saved.len, NULL) < 0);
        state_save(dev->state, dev, &after);
        assert_memory_equal(saved.data, after.data, saved.len);
        str_done(&saved);
        str_done(&after);
    }
    pc_rig_tear_down(&a);
}

static void names_are_unique(void **state)
{
    static struct pc_rig a;

    pc_rig_set_up(&a, 0);
    for (unsigned i = 0; i < a.devices; i++)
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(a.device[i]->name, a.device[j]->name);
    pc_rig_tear_down(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loaded_state_goes_on_alike), cmocka_unit_test(reset_forgets),
        cmocka_unit_test(cut_or_foreign_state_is_refused), cmocka_unit_test(names_are_unique)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
