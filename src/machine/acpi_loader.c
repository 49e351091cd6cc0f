/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The linker/loader script by which firmware places the ACPI tables (QEMU, hw/acpi/bios-linker-
 * loader and docs/specs/fw_cfg). Each command has 128 bytes, little-endian:
 *
 *   u32 1 ALLOCATE      char file[56]; u32 align; u8 zone (1: anywhere, 2: 0xF0000-0xFFFFF)
 *   u32 2 ADD_POINTER   char in[56]; char to[56]; u32 offset; u8 size: adds to's address at offset
 *   u32 3 ADD_CHECKSUM  char file[56]; u32 offset; u32 start; u32 length
 */
#include "machine/acpi.h"

#include <errno.h>

#include "base/mem.h"

enum { ALLOCATE = 1, ADD_POINTER = 2, ADD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };
enum { COMMAND_SIZE = 128, NAME_SIZE = 56 };
static const char tables_name[] = "etc/acpi/tables", rsdp_name[] = "etc/acpi/rsdp";

static void put(struct str *s, uint64_t value, unsigned size)
{
    str_add_n(s, &value, size);
}

static void put_name(struct str *s, const char *name)
{
    char field[NAME_SIZE] = {0};

    memcpy(field, name, strlen(name));
    str_add_n(s, field, sizeof(field));
}

static void end_command(struct str *s)
{
    while (s->len % COMMAND_SIZE && !s->failed)
        str_add_char(s, 0);
}

static void allocate(struct str *s, const char *file, unsigned align, unsigned zone)
{
    put(s, ALLOCATE, 4);
    put_name(s, file);
    put(s, align, 4);
    put(s, zone, 1);
    end_command(s);
}

static void add_pointer(struct str *s, const char *in, uint32_t offset, unsigned size)
{
    put(s, ADD_POINTER, 4);
    put_name(s, in);
    put_name(s, tables_name);
    put(s, offset, 4);
    put(s, size, 1);
    end_command(s);
}

static void add_checksum(struct str *s, const char *file, const struct acpi_sum *sum)
{
    put(s, ADD_CHECKSUM, 4);
    put_name(s, file);
    put(s, sum->at, 4);
    put(s, sum->start, 4);
    put(s, sum->len, 4);
    end_command(s);
}

static void script(const struct acpi_tables *t, struct str *s)
{
    static const struct acpi_sum rsdp[] = {
        {.start = 0, .len = ACPI_RSDP_SUM_LEN, .at = ACPI_RSDP_SUM},
        {.start = 0, .len = ACPI_RSDP_SIZE, .at = ACPI_RSDP_SUM_ALL}};

    allocate(s, rsdp_name, 16, ZONE_FSEG);
    allocate(s, tables_name, 64, ZONE_HIGH);
    for (unsigned i = 0; i < t->pointer_count; i++)
        add_pointer(s, tables_name, t->pointers[i].at, t->pointers[i].size);
    for (unsigned i = 0; i < t->sum_count; i++)
        add_checksum(s, tables_name, &t->sums[i]);
    add_pointer(s, rsdp_name, ACPI_RSDP_RSDT, 4);
    add_pointer(s, rsdp_name, ACPI_RSDP_XSDT, 8);
    add_checksum(s, rsdp_name, &rsdp[0]);
    add_checksum(s, rsdp_name, &rsdp[1]);
}

int acpi_make_files(const struct acpi_config *config, struct acpi_files *ret, struct error *err)
{
    struct acpi_tables t;
    struct acpi_files f = {0};
    uint8_t rsdp[ACPI_RSDP_SIZE];
    int r = acpi_build(config, 0, &t, err);

    if (r < 0)
        return r;
    acpi_rsdp(rsdp, t.rsdt, t.xsdt);
    /* OVMF takes the sum with the checksum's old value in it: that has to be 0. */
    for (unsigned i = 0; i < t.sum_count; i++)
        t.bytes.data[t.sums[i].at] = 0;
    rsdp[ACPI_RSDP_SUM] = rsdp[ACPI_RSDP_SUM_ALL] = 0;
    str_add_n(&f.rsdp, rsdp, sizeof(rsdp));
    script(&t, &f.loader);
    f.tables = t.bytes;
    if (f.rsdp.failed || f.loader.failed) {
        acpi_files_done(&f);
        return error_set(err, -ENOMEM, "build ACPI tables: out of memory");
    }
    *ret = f;
    return 0;
}

void acpi_files_done(struct acpi_files *f)
{
    str_done(&f->tables);
    str_done(&f->rsdp);
    str_done(&f->loader);
}
