/* SPDX-License-Identifier: Apache-2.0 */
/* The flash chip as firmware's drivers meet it. */
#include <stdarg.h>
#include <errno.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "device/pflash.h"
#include "rig.h"

#define AT 0xffc00000u

struct fixture {
    struct rig rig;
    uint8_t bytes[RIG_FLASH];
    struct pflash *flash;
};

static int set_up(void **state)
{
    static struct fixture f;

    memset(&f, 0, sizeof(f));
    rig_set_up(&f.rig);
    memset(f.bytes, 0xff, sizeof(f.bytes));
    memcpy(f.bytes + 0x1000, "content", 8);
    f.flash = pflash_new(f.rig.space, AT, RIG_FLASH_GFN, f.bytes, RIG_FLASH, NULL);
    *state = &f;
    return f.flash ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    pflash_device(f->flash)->free(pflash_device(f->flash));
    rig_tear_down(&f->rig);
    return 0;
}

static void out(struct fixture *f, unsigned offset, uint8_t value)
{
    space_store(f->rig.space, AT + offset, 1, value);
}

static uint8_t in(struct fixture *f, unsigned offset)
{
    return (uint8_t)space_load(f->rig.space, AT + offset, 1);
}

static void reads_as_memory(void **state)
{
    struct fixture *f = *state;
    struct space_hit hit;
    char text[8];

    space_resolve(f->rig.space, AT + 0x1000, &hit);
    assert_int_equal(hit.kind, SPACE_ROM_PAGES);
    assert_int_equal(space_read(f->rig.space, AT + 0x1000, text, 8), 0);
    assert_string_equal(text, "content");
    assert_int_equal(space_write(f->rig.space, AT, text, 1), -EFAULT); /* not by a device */
    assert_int_equal(in(f, RIG_FLASH - 1), 0xff);
}

/* How OVMF tells flash from RAM and ROM. */
static void is_recognised_as_flash(void **state)
{
    struct fixture *f = *state;

    out(f, 1, 0x50);
    assert_int_equal(in(f, 1), 0xff);
    out(f, 1, 0x70);
    assert_int_equal(in(f, 1), 0);
    out(f, 1, 0xff);
    assert_int_equal(in(f, 0x1000), 'c');
    out(f, 0x55, 0x98);
    assert_int_equal(in(f, 0x10), 'Q');
    assert_int_equal(in(f, 0x11), 'R');
    assert_int_equal(in(f, 0x12), 'Y');
    assert_int_equal(1 << in(f, 0x27), RIG_FLASH);
    assert_int_equal(in(f, 0x2d) + 1, RIG_FLASH / PFLASH_BLOCK);
    out(f, 0, 0);
    assert_int_equal(in(f, 0x1001), 'o');
}

static void programs_and_erases(void **state)
{
    struct fixture *f = *state;

    out(f, 0x20, 0x40);
    out(f, 0x20, 0x5a);
    assert_int_equal(in(f, 0x20), 0x80); /* status: ready */
    out(f, 0x21, 0x10);
    space_store(f->rig.space, AT + 0x21, 2, 0x1234);
    out(f, 0, 0xff);
    assert_int_equal(space_load(f->rig.space, AT + 0x20, 4), 0xff12345a);
    assert_int_equal(f->bytes[0x20], 0x5a);
    /* The last byte, with an access that would run past the end. */
    out(f, RIG_FLASH - 1, 0x40);
    space_store(f->rig.space, AT + RIG_FLASH - 1, 1, 7);
    out(f, 0x1234, 0x20);
    out(f, 0x1234, 0xd0);
    out(f, 0, 0xff);
    assert_int_equal(in(f, 0x1000), 0xff);
    assert_int_equal(in(f, 0x1fff), 0xff);
    assert_int_equal(in(f, 0x20), 0x5a);
    assert_int_equal(f->bytes[RIG_FLASH - 1], 7);
    out(f, 0x20, 0x20); /* not confirmed */
    out(f, 0x20, 0x00);
    assert_int_equal(in(f, 0) & 0x30, 0x30);
    out(f, 0, 0xff);
    assert_int_equal(in(f, 0x20), 0x5a);
}

static void reset_keeps_content(void **state)
{
    struct fixture *f = *state;

    out(f, 0x30, 0x40);
    out(f, 0x30, 0x11);
    gmem_clear(f->rig.gmem, NULL);
    device_reset(pflash_device(f->flash));
    assert_int_equal(in(f, 0x30), 0x11);
    assert_int_equal(in(f, 0x1000), 'c');
}

static void refuses_odd_sizes(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};

    assert_null(pflash_new(f->rig.space, 0xff000000, RIG_FLASH_GFN, f->bytes, 100, &err));
    assert_null(pflash_new(f->rig.space, 0xff000000, RIG_FLASH_GFN + 1, f->bytes, RIG_FLASH, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_as_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(is_recognised_as_flash, set_up, tear_down),
        cmocka_unit_test_setup_teardown(programs_and_erases, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reset_keeps_content, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_odd_sizes, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
