/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware tables as an operating system walks them: signatures, lengths, checksums,
 * references. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "machine/acpi.h"
#include "machine/smbios.h"
#include "tests/test.h"

static struct space *make(struct gmem **ram)
{
    struct space *s;

    *ram = gmem_new(1 << 20, NULL);
    s = space_new(*ram, NULL);
    space_map_ram(s, "ram", 0, 1 << 20, 0, 0, NULL);
    return s;
}

static uint8_t sum(struct space *s, uint64_t at, size_t len)
{
    uint8_t total = 0;

    for (size_t i = 0; i < len; i++)
        total = (uint8_t)(total + space_load(s, at + i, 1));
    return total;
}

static uint64_t check_table(struct space *s, uint64_t at, const char *signature)
{
    char found[5] = "";

    space_read(s, at, found, 4);
    assert_string_equal(found, signature);
    assert_int_equal(sum(s, at, space_load(s, at + 4, 4)), 0);
    return at;
}

static void acpi_tables_hang_together(void **state)
{
    struct acpi_config config = {.cpus = 3,
                                 .serials = 5,
                                 .screen = true,
                                 .pm_base = PC_PM_BASE,
                                 .pci_hole = 0xc0000000,
                                 .pci_hole64 = 1ull << 36,
                                 .pci_hole64_end = (1ull << 36) + 0x4000};
    struct gmem *ram;
    struct space *s = make(&ram);
    uint64_t xsdt, rsdt, fadt, madt, dsdt;
    unsigned lapics = 0, ioapics = 0;
    FILE *dump;

    (void)state;
    assert_int_equal(acpi_write(s, &config, NULL), 0);
    assert_int_equal(sum(s, PC_RSDP, 20), 0);
    assert_int_equal(sum(s, PC_RSDP, 36), 0);
    rsdt = check_table(s, space_load(s, PC_RSDP + 16, 4), "RSDT");
    xsdt = check_table(s, space_load(s, PC_RSDP + 24, 8), "XSDT");
    assert_int_equal(space_load(s, rsdt + 4, 4), 36 + 3 * 4);
    assert_int_equal(space_load(s, rsdt + 36, 4), space_load(s, xsdt + 36, 8));
    fadt = check_table(s, space_load(s, xsdt + 36, 8), "FACP");
    madt = check_table(s, space_load(s, xsdt + 44, 8), "APIC");
    check_table(s, space_load(s, xsdt + 52, 8), "HPET");
    assert_int_equal(space_load(s, fadt + 4, 4), 244);
    assert_int_equal(space_load(s, fadt + 116, 1), 1); /* reset register: I/O space */
    assert_int_equal(space_load(s, fadt + 120, 8), 0xcf9);
    dsdt = check_table(s, space_load(s, fadt + 140, 8), "DSDT");
    for (uint64_t at = madt + 44; at < madt + space_load(s, madt + 4, 4);
         at += space_load(s, at + 1, 1)) {
        assert_true(space_load(s, at + 1, 1) >= 2);
        lapics += space_load(s, at, 1) == 0;
        ioapics += space_load(s, at, 1) == 1;
    }
    assert_int_equal(lapics, 3);
    assert_int_equal(ioapics, 1);
    /* For iasl, which the test script asks for a second opinion. */
    dump = getenv("ISOLA_DSDT") ? fopen(getenv("ISOLA_DSDT"), "wb") : NULL;
    if (dump) {
        for (uint64_t i = 0; i < space_load(s, dsdt + 4, 4); i++)
            fputc((int)space_load(s, dsdt + i, 1), dump);
        fclose(dump);
    }
    space_free(s);
    gmem_free(ram);
}

static void smbios_structures_end_where_they_should(void **state)
{
    static const uint8_t uuid[16] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc};
    struct smbios_config config = {.memory = 512 << 20, .cpus = 2, .uuid = uuid};
    struct gmem *ram;
    struct space *s = make(&ram);
    uint64_t at, end;
    unsigned count = 0, type = 0;

    (void)state;
    assert_int_equal(smbios_write(s, &config, NULL), 0);
    assert_int_equal(sum(s, PC_SMBIOS, 31), 0);
    assert_int_equal(sum(s, PC_SMBIOS + 16, 15), 0);
    at = space_load(s, PC_SMBIOS + 24, 4);
    end = at + space_load(s, PC_SMBIOS + 22, 2);
    while (at < end) {
        type = (unsigned)space_load(s, at, 1);
        if (type == 1) /* the first three fields of a UUID are little-endian */
            assert_int_equal(space_load(s, at + 8, 4), 0x12345678);
        at += space_load(s, at + 1, 1);
        while (space_load(s, at, 2) != 0)
            at++;
        at += 2;
        count++;
    }
    assert_int_equal(at, end);
    assert_int_equal(type, 127);
    assert_int_equal(count, space_load(s, PC_SMBIOS + 28, 2));
    space_free(s);
    gmem_free(ram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acpi_tables_hang_together),
        cmocka_unit_test(smbios_structures_end_where_they_should),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
