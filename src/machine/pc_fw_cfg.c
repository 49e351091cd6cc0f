/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the board tells firmware through fw_cfg (QEMU, docs/specs/fw_cfg): sizes, ACPI and SMBIOS
 * tables, the order of boot devices.
 *
 * Firmware places the power management block and the PCI devices itself, so the ACPI tables are
 * made anew each time it asks for them. Their size stays the same: the directory has told it.
 */
#include <errno.h>

#include "base/log.h"
#include "base/mem.h"
#include "device/fw_cfg.h"
#include "device/pci.h"
#include "device/piix4_pm.h"
#include "machine/acpi.h"
#include "machine/pc.h"
#include "machine/smbios.h"

enum { TABLES_UNIT = 0x4000 };

struct e820_entry {
    uint64_t start, len;
    uint32_t type;
} __attribute__((packed));
enum { E820_RAM = 1 };

static void describe(struct pc *pc, struct acpi_config *ret)
{
    struct machine *m = pc->machine;

    *ret = (struct acpi_config){.cpus = m->vm->cpu_count,
                                .screen = m->config.vga,
                                .pm_base = piix4_pm_base(pc->pm),
                                .pci_hole = (uint32_t)pc->low_memory};
    if (!ret->pm_base)
        ret->pm_base = PC_PM_BASE;
    for (unsigned i = 0; i < MACHINE_SERIALS; i++)
        ret->serials |= m->config.serials[i] ? 1u << i : 0;
    pci_window64(pc->pci, &ret->pci_hole64, &ret->pci_hole64_end);
}

/* Makes the files' content; the tables are padded so that all variants have one size. */
static int make_acpi(struct pc *pc, struct acpi_files *ret, struct error *err)
{
    struct acpi_config config;
    int r;

    describe(pc, &config);
    r = acpi_make_files(&config, ret, err);
    if (r < 0)
        return r;
    do
        str_add_char(&ret->tables, 0);
    while (ret->tables.len % TABLES_UNIT && !ret->tables.failed);
    if (!ret->tables.failed)
        return 0;
    acpi_files_done(ret);
    return error_set(err, -ENOMEM, "build ACPI tables: out of memory");
}

static const struct {
    const char *name;
    size_t offset; /* of its struct str in acpi_files */
} acpi_names[] = {
    {"etc/acpi/rsdp", offsetof(struct acpi_files, rsdp)},
    {"etc/acpi/tables", offsetof(struct acpi_files, tables)},
    {"etc/table-loader", offsetof(struct acpi_files, loader)},
};

static const struct str *acpi_file(const struct acpi_files *f, unsigned i)
{
    return (const struct str *)((const char *)f + acpi_names[i].offset);
}

static void file_selected(void *opaque, const char *name)
{
    struct pc *pc = opaque;
    struct acpi_files fresh;
    struct error err = {0};
    int r = 0;

    if (!str_starts(name, "etc/acpi/") && strcmp(name, "etc/table-loader") != 0)
        return;
    if (make_acpi(pc, &fresh, &err) < 0) {
        log_warn("fw_cfg", "%s: %s", name, error_text(&err));
        return;
    }
    for (unsigned i = 0; i < array_size(acpi_names) && r == 0; i++) {
        const struct str *s = acpi_file(&fresh, i);
        r = fw_cfg_replace_file(pc->fw_cfg, acpi_names[i].name, s->data, s->len, &err);
    }
    if (r < 0) { /* only the first can fail: nothing of it is in use */
        log_warn("fw_cfg", "%s", error_text(&err));
        acpi_files_done(&fresh);
        return;
    }
    acpi_files_done(&pc->acpi_files);
    pc->acpi_files = fresh;
}

static int add_text(struct pc *pc, const char *name, const struct str *s, struct error *err)
{
    return fw_cfg_add_file(pc->fw_cfg, name, s->data, s->len, err);
}

static int add_acpi(struct pc *pc, struct error *err)
{
    int r = make_acpi(pc, &pc->acpi_files, err);

    for (unsigned i = 0; i < array_size(acpi_names) && r == 0; i++)
        r = add_text(pc, acpi_names[i].name, acpi_file(&pc->acpi_files, i), err);
    fw_cfg_on_select(pc->fw_cfg, file_selected, pc);
    return r;
}

static int add_smbios(struct pc *pc, struct error *err)
{
    const struct machine *m = pc->machine;
    const struct smbios_config config = {
        .memory = m->config.memory, .cpus = m->vm->cpu_count, .uuid = m->config.uuid};
    int r = smbios_make_files(&config, &pc->smbios_anchor, &pc->smbios_tables, err);

    if (r == 0)
        r = add_text(pc, "etc/smbios/smbios-anchor", &pc->smbios_anchor, err);
    return r < 0 ? r : add_text(pc, "etc/smbios/smbios-tables", &pc->smbios_tables, err);
}

static int add_memory_map(struct pc *pc, struct error *err)
{
    uint64_t memory = pc->machine->config.memory;
    const struct e820_entry map[] = {{0, pc->low_memory, E820_RAM},
                                     {1ull << 32, memory - pc->low_memory, E820_RAM}};
    size_t entries = memory > pc->low_memory ? 2 : 1;

    str_add_n(&pc->e820, map, entries * sizeof(map[0]));
    if (pc->e820.failed)
        return error_set(err, -ENOMEM, "build memory map: out of memory");
    return add_text(pc, "etc/e820", &pc->e820, err);
}

/* Drives as the user gave them, then the CD drive: a line each. */
static int make_boot_order(struct pc *pc, struct error *err)
{
    for (unsigned i = 0; i < array_size(pc->boot_path); i++)
        if (pc->boot_path[i][0])
            str_addf(&pc->boot_order, "%s%s", pc->boot_order.len ? "\n" : "", pc->boot_path[i]);
    return pc->boot_order.failed ? error_set(err, -ENOMEM, "build boot order: out of memory") : 0;
}

static int add_files(struct pc *pc, struct error *err)
{
    /* S3 and S4 are not there (bit 7 of bytes 3 and 4 clear); their low bits are sleep types. */
    static const uint8_t system_states[6] = {128, 0, 0, 1, 2, 128};
    static const uint8_t sercon[2] = {0xf8, 0x03};
    struct machine *m = pc->machine;
    int r = add_acpi(pc, err);

    if (r == 0)
        r = add_smbios(pc, err);
    if (r == 0)
        r = add_memory_map(pc, err);
    if (r == 0)
        r = fw_cfg_add_file(pc->fw_cfg, "etc/system-states", system_states, sizeof(system_states),
                            err);
    /* What BIOS services print goes to the first serial port, and its input is their keyboard. */
    if (r == 0 && m->config.serials[0])
        r = fw_cfg_add_file(pc->fw_cfg, "etc/sercon-port", sercon, sizeof(sercon), err);
    if (r == 0)
        r = make_boot_order(pc, err);
    if (r == 0 && pc->boot_order.len)
        r = fw_cfg_add_file(pc->fw_cfg, "bootorder", pc->boot_order.data, pc->boot_order.len + 1,
                            err);
    return r;
}

int pc_create_fw_cfg(struct pc *pc, struct error *err)
{
    struct machine *m = pc->machine;
    struct fw_cfg *fw = fw_cfg_new(m->ports, m->space, err);
    int r;

    if (!fw)
        return -ENOMEM;
    pc->fw_cfg = fw;
    machine_add_device(m, fw_cfg_device(fw));
    r = fw_cfg_set_item(fw, FW_CFG_UUID, m->config.uuid, sizeof(m->config.uuid), err);
    if (r == 0)
        r = fw_cfg_set_uint(fw, FW_CFG_RAM_SIZE, m->config.memory, 8, err);
    if (r == 0)
        r = fw_cfg_set_uint(fw, FW_CFG_NB_CPUS, m->vm->cpu_count, 2, err);
    if (r == 0)
        r = fw_cfg_set_uint(fw, FW_CFG_MAX_CPUS, m->vm->cpu_count, 2, err);
    if (r == 0)
        r = fw_cfg_set_uint(fw, FW_CFG_IRQ0_OVERRIDE, 1, 4, err);
    if (r == 0 && pc_has_firmware(pc))
        r = fw_cfg_set_uint(fw, FW_CFG_BOOT_MENU, m->config.boot_menu, 2, err);
    return r < 0 || !pc_has_firmware(pc) ? r : add_files(pc, err);
}

void pc_fw_cfg_done(struct pc *pc)
{
    acpi_files_done(&pc->acpi_files);
    str_done(&pc->smbios_anchor);
    str_done(&pc->smbios_tables);
    str_done(&pc->boot_order);
    str_done(&pc->e820);
}
