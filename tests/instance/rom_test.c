/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "instance/vm_rom.h"

enum { SIZE = 5000 };

static uint8_t sum(const uint8_t *bytes, size_t n)
{
    uint8_t s = 0;

    for (size_t i = 0; i < n; i++)
        s = (uint8_t)(s + bytes[i]);
    return s;
}

static void a_rom_gets_other_ids(void **state)
{
    char path[] = "/tmp/isola-rom-test-XXXXXX";
    int fd = mkstemp(path);
    uint8_t file[SIZE] = {0x55, 0xaa, 10}, *rom = NULL;
    struct error err = {0};
    size_t len = 0;

    (void)state;
    assert_true(fd >= 0);
    store_le16(file + 0x18, 0x40);
    memcpy(file + 0x40, "PCIR\xf4\x1a\x00\x10", 8);
    file[6] = (uint8_t)-sum(file, SIZE);
    assert_int_equal(write(fd, file, SIZE), SIZE);
    close(fd);
    assert_int_equal(vm_rom_read(path, &rom, &len, &err), 0);
    unlink(path);
    assert_int_equal(len, 8192); /* the next power of two */
    assert_memory_equal(rom, file, SIZE);
    assert_int_equal(vm_rom_set_ids(rom, len, 0x1af4, 0x1041, &err), 0);
    assert_int_equal(load_le16(rom + 0x44), 0x1af4);
    assert_int_equal(load_le16(rom + 0x46), 0x1041);
    assert_int_equal(sum(rom, len), 0);
    free(rom);
}

static void what_is_none(void **state)
{
    uint8_t rom[4096] = {0}, *got = NULL;
    struct error err = {0};
    size_t len = 0;

    (void)state;
    assert_int_equal(vm_rom_read("/nonexistent/rom", &got, &len, &err), 0);
    assert_null(got);
    assert_int_equal(vm_rom_read("/tmp", &got, &len, &err), -EINVAL);
    assert_int_equal(vm_rom_set_ids(rom, sizeof(rom), 1, 2, &err), -EINVAL);
    rom[0] = 0x55;
    rom[1] = 0xaa;
    assert_int_equal(vm_rom_set_ids(rom, sizeof(rom), 1, 2, &err), -EINVAL);
    store_le16(rom + 0x18, 0xffff);
    assert_int_equal(vm_rom_set_ids(rom, sizeof(rom), 1, 2, &err), -EINVAL);
    memcpy(rom + sizeof(rom) - 0x17, "PCIR", 4);
    store_le16(rom + 0x18, sizeof(rom) - 0x17); /* cut off by a byte */
    assert_int_equal(vm_rom_set_ids(rom, sizeof(rom), 1, 2, &err), -EINVAL);
    memcpy(rom + sizeof(rom) - 0x18, "PCIR", 4);
    store_le16(rom + 0x18, sizeof(rom) - 0x18);
    assert_int_equal(vm_rom_set_ids(rom, sizeof(rom), 1, 2, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_rom_gets_other_ids),
                                       cmocka_unit_test(what_is_none)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
