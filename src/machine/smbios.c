/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/smbios.h"

#include <errno.h>

#include "base/mem.h"
#include "base/str.h"
#include "machine/acpi.h"

enum { ENTRY_SIZE = 31, TABLE_AT = PC_SMBIOS + 0x20, TABLE_MAX = 0x1000 };

struct smbios {
    struct str out;
    unsigned count, handle;
    size_t largest, start;
};

static void put(struct smbios *s, uint64_t value, unsigned size)
{
    str_add_n(&s->out, &value, size);
}

static void open_structure(struct smbios *s, unsigned type, unsigned len)
{
    s->start = s->out.len;
    put(s, type, 1);
    put(s, len, 1);
    put(s, s->handle++, 2);
}

/* Ends a structure with its strings (numbered from 1), a list that ends with NULL. */
static void close_structure(struct smbios *s, const char *const *strings)
{
    if (!*strings)
        put(s, 0, 1);
    for (; *strings; strings++)
        str_add_n(&s->out, *strings, strlen(*strings) + 1);
    put(s, 0, 1);
    s->largest = max_of(s->largest, s->out.len - s->start);
    s->count++;
}

static void add_firmware_and_system(struct smbios *s, const struct smbios_config *c)
{
    static const char *const firmware[] = {"Isola", ISOLA_VERSION, "01/01/2026", NULL};
    static const char *const system[] = {"Isola", "PC (i440FX + PIIX)", ISOLA_VERSION, NULL};
    static const char *const chassis[] = {"Isola", NULL};
    static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

    open_structure(s, 0, 24); /* 7.1 BIOS information */
    put(s, 1, 1);
    put(s, 2, 1);
    put(s, 0xf000, 2);
    put(s, 3, 1);
    put(s, 0, 1);
    put(s, 1 << 3, 8);           /* BIOS characteristics are not supported */
    put(s, 0x14 << 8 | 0x01, 2); /* ACPI; targeted content, virtual machine */
    put(s, 0xffffffffu, 4);
    close_structure(s, firmware);

    open_structure(s, 1, 27); /* 7.2 System information */
    put(s, 1, 1);
    put(s, 2, 1);
    put(s, 3, 1);
    put(s, 0, 1);
    for (unsigned i = 0; i < 16; i++)
        put(s, c->uuid[order[i]], 1);
    put(s, 6, 1); /* power switch */
    put(s, 0, 2);
    close_structure(s, system);

    open_structure(s, 3, 22); /* 7.4 Chassis */
    put(s, 1, 1);
    put(s, 1, 1); /* other */
    put(s, 0, 3);
    put(s, 0x02030303, 4); /* states safe, security none */
    put(s, 0, 4);
    put(s, 0, 5);
    close_structure(s, chassis);
}

static void add_processor(struct smbios *s, unsigned n)
{
    static const char *const strings[] = {"CPU", "Isola", NULL};

    (void)n;
    open_structure(s, 4, 42); /* 7.5 Processor information */
    put(s, 1, 1);
    put(s, 3, 1); /* central processor */
    put(s, 1, 1); /* family: other */
    put(s, 2, 1);
    put(s, 0, 8);
    put(s, 0, 1);
    put(s, 0, 1);
    put(s, 0, 2);
    put(s, 1000, 2); /* MHz, as the time-stamp counter runs */
    put(s, 1000, 2);
    put(s, 0x41, 1); /* populated, enabled */
    put(s, 1, 1);
    put(s, 0xffff, 2); /* no cache handles */
    put(s, 0xffff, 2);
    put(s, 0xffff, 2);
    put(s, 0, 3);
    put(s, 1, 1); /* cores, enabled cores, threads */
    put(s, 1, 1);
    put(s, 1, 1);
    put(s, 1 << 2, 2); /* 64-bit capable */
    put(s, 1, 2);
    close_structure(s, strings);
}

static void add_memory(struct smbios *s, const struct smbios_config *c)
{
    static const char *const none[] = {NULL};
    static const char *const device[] = {"DIMM 0", NULL};
    uint64_t kib = c->memory >> 10, mib = c->memory >> 20;
    unsigned array = s->handle;

    open_structure(s, 16, 23); /* 7.17 Physical memory array */
    put(s, 1, 1);
    put(s, 3, 1);
    put(s, 3, 1);
    put(s, kib < 0x80000000u ? kib : 0x80000000u, 4);
    put(s, 0xfffe, 2);
    put(s, 1, 2);
    put(s, kib < 0x80000000u ? 0 : c->memory, 8);
    close_structure(s, none);

    open_structure(s, 17, 40); /* 7.18 Memory device */
    put(s, array, 2);
    put(s, 0xfffe, 2);
    put(s, 64, 2);
    put(s, 64, 2);
    put(s, mib < 0x7fff ? mib : 0x7fff, 2);
    put(s, 9, 1); /* DIMM */
    put(s, 0, 1);
    put(s, 1, 1);
    put(s, 0, 1);
    put(s, 7, 1); /* RAM */
    put(s, 2, 2);
    put(s, 0, 2);
    put(s, 0, 4);
    put(s, 0, 1);
    put(s, mib < 0x7fff ? 0 : mib, 4);
    put(s, 0, 2);
    put(s, 0, 6);
    close_structure(s, device);
}

/* The entry point structure (5.2.1) with its two checksums. */
static void make_entry(const struct smbios *s, uint8_t entry[ENTRY_SIZE])
{
    uint8_t sum = 0;

    memset(entry, 0, ENTRY_SIZE);
    memcpy(entry, "_SM_", 4);
    entry[5] = ENTRY_SIZE;
    entry[6] = 2;
    entry[7] = 8;
    store_le16(entry + 8, (uint16_t)s->largest);
    memcpy(entry + 16, "_DMI_", 5);
    store_le16(entry + 22, (uint16_t)s->out.len);
    store_le32(entry + 24, TABLE_AT);
    store_le16(entry + 28, (uint16_t)s->count);
    entry[30] = 0x28;
    for (unsigned i = 16; i < ENTRY_SIZE; i++)
        sum = (uint8_t)(sum + entry[i]);
    entry[21] = (uint8_t)-sum;
    sum = 0;
    for (unsigned i = 0; i < ENTRY_SIZE; i++)
        sum = (uint8_t)(sum + entry[i]);
    entry[4] = (uint8_t)-sum;
}

/* Builds all structures. 0, or -ENOMEM with nothing to free. */
static int build(const struct smbios_config *config, struct smbios *s, struct error *err)
{
    static const char *const none[] = {NULL};

    add_firmware_and_system(s, config);
    for (unsigned i = 0; i < config->cpus; i++)
        add_processor(s, i);
    add_memory(s, config);
    open_structure(s, 32, 11); /* 7.33 System boot: no error */
    put(s, 0, 7);
    close_structure(s, none);
    open_structure(s, 127, 4);
    close_structure(s, none);
    if (!s->out.failed && s->out.len <= TABLE_MAX)
        return 0;
    str_done(&s->out);
    return error_set(err, -ENOMEM, "build SMBIOS tables: out of memory");
}

int smbios_write(struct space *space, const struct smbios_config *config, struct error *err)
{
    struct smbios s = {0};
    uint8_t entry[ENTRY_SIZE];
    int r = build(config, &s, err);

    if (r < 0)
        return r;
    make_entry(&s, entry);
    if (space_write(space, PC_SMBIOS, entry, sizeof(entry)) < 0 ||
        space_write(space, TABLE_AT, s.out.data, s.out.len) < 0)
        r = error_set(err, -EFAULT, "write SMBIOS tables: no memory at 0x%x", PC_SMBIOS);
    str_done(&s.out);
    return r;
}

int smbios_make_files(const struct smbios_config *config, struct str *ret_anchor,
                      struct str *ret_tables, struct error *err)
{
    struct smbios s = {0};
    uint8_t entry[ENTRY_SIZE];
    int r = build(config, &s, err);

    if (r < 0)
        return r;
    make_entry(&s, entry);
    str_add_n(ret_anchor, entry, sizeof(entry));
    if (ret_anchor->failed) {
        str_done(&s.out);
        return error_set(err, -ENOMEM, "build SMBIOS tables: out of memory");
    }
    *ret_tables = s.out;
    return 0;
}
