/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/acpi.h"

#include <errno.h>

#include "base/mem.h"
#include "machine/acpi_hotplug.h"
#include "machine/aml.h"

enum { ACPI_HEADER = 36, ACPI_CHECKSUM = 9, ACPI_AREA = 0x10000 };

/* Tables are laid one after another into one buffer that later becomes guest memory at base. */
struct acpi_area {
    struct str bytes;
    uint32_t base;
    uint32_t table[8]; /* guest addresses listed in RSDT and XSDT */
    unsigned count;
    struct acpi_tables *fix; /* where pointers and checksums are noted */
};

static void put(struct str *s, uint64_t value, unsigned size)
{
    str_add_n(s, &value, size);
}

static void pad(struct str *s, size_t n)
{
    while (n--)
        str_add_char(s, 0);
}

static uint8_t checksum(const void *bytes, size_t len)
{
    const uint8_t *b = bytes;
    uint8_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + b[i]);
    return (uint8_t)-sum;
}

/* Opens a table with its header (5.2.6); returns its offset in the area. */
static size_t table_open(struct acpi_area *a, const char *signature, unsigned revision)
{
    size_t at;

    pad(&a->bytes, -a->bytes.len & 63);
    at = a->bytes.len;
    str_add_n(&a->bytes, signature, 4);
    put(&a->bytes, 0, 4); /* length */
    put(&a->bytes, revision, 1);
    put(&a->bytes, 0, 1); /* checksum */
    str_add(&a->bytes, "ISOLA ");
    str_add(&a->bytes, "ISOLAPC ");
    put(&a->bytes, 1, 4);
    str_add(&a->bytes, "ISLA");
    put(&a->bytes, 1, 4);
    return at;
}

/* Fills length and checksum; returns the table's guest address. */
static uint32_t table_close(struct acpi_area *a, size_t at)
{
    uint32_t len = (uint32_t)(a->bytes.len - at);

    if (a->bytes.failed)
        return 0;
    store_le32(a->bytes.data + at + 4, len);
    a->bytes.data[at + ACPI_CHECKSUM] = (char)checksum(a->bytes.data + at, len);
    if (a->fix->sum_count < ACPI_SUMS)
        a->fix->sums[a->fix->sum_count++] = (struct acpi_sum){
            .start = (uint32_t)at, .len = len, .at = (uint32_t)at + ACPI_CHECKSUM};
    return a->base + (uint32_t)at;
}

/* The address of a table; noted, since whoever moves the tables has to change it. */
static void put_pointer(struct acpi_area *a, uint64_t address, unsigned size)
{
    if (a->fix->pointer_count < ACPI_POINTERS)
        a->fix->pointers[a->fix->pointer_count++] =
            (struct acpi_pointer){.at = (uint32_t)a->bytes.len, .size = size};
    put(&a->bytes, address, size);
}

/* Generic address structure (5.2.3.2) of I/O ports. */
static void put_gas_io(struct str *s, unsigned bits, unsigned access, uint64_t address)
{
    put(s, address ? 1 : 0, 1);
    put(s, address ? bits : 0, 1);
    put(s, 0, 1);
    put(s, address ? access : 0, 1);
    put(s, address, 8);
}

/* ---- DSDT ---- */

/* PCI interrupt routing: slot s, pin p share GSI 10 (even sums) and 11, as the PIIX3 router is set.
 */
static void dsdt_prt(struct aml *a)
{
    aml_name(a, "_PRT");
    aml_open_package(a, 32 * 4);
    for (unsigned slot = 0; slot < 32; slot++) {
        for (unsigned pin = 0; pin < 4; pin++) {
            aml_open_package(a, 4);
            aml_integer(a, (uint64_t)slot << 16 | 0xffff);
            aml_integer(a, pin);
            aml_integer(a, 0);
            aml_integer(a, ((slot + pin + 3) & 3) < 2 ? 10 : 11);
            aml_close(a);
        }
    }
    aml_close(a);
}

static void dsdt_device(struct aml *a, const char *name, const char *hid, unsigned uid,
                        struct str *resources)
{
    aml_open_device(a, name);
    aml_name(a, "_HID");
    if (str_starts(hid, "PNP"))
        aml_eisa_id(a, hid);
    else
        aml_string(a, hid);
    aml_name(a, "_UID");
    aml_integer(a, uid);
    aml_name(a, "_STA");
    aml_integer(a, 0xf);
    aml_name(a, "_CRS");
    aml_resources(a, resources);
    aml_close(a);
}

static void dsdt_isa(struct aml *a, const struct acpi_config *config)
{
    static const struct {
        uint16_t base;
        uint8_t irq;
        const char *name;
    } com[4] = {{0x3f8, 4, "COM1"}, {0x2f8, 3, "COM2"}, {0x3e8, 4, "COM3"}, {0x2e8, 3, "COM4"}};
    struct str r = {0};

    aml_open_device(a, "ISA_");
    aml_name(a, "_ADR");
    aml_integer(a, 0x00010000);
    aml_res_io(&r, 0x70, 2);
    aml_res_irq(&r, 8);
    dsdt_device(a, "RTC_", "PNP0B00", 0, &r);
    for (unsigned i = 0; i < 4; i++) {
        if (!(config->serials & 1u << i))
            continue;
        aml_res_io(&r, com[i].base, 8);
        aml_res_irq(&r, com[i].irq);
        dsdt_device(a, com[i].name, "PNP0501", i + 1, &r);
    }
    if (config->screen) {
        aml_res_io(&r, 0x60, 1);
        aml_res_io(&r, 0x64, 1);
        aml_res_irq(&r, 1);
        dsdt_device(a, "KBD_", "PNP0303", 0, &r);
        aml_res_irq(&r, 12);
        dsdt_device(a, "MOU_", "PNP0F13", 0, &r);
    }
    aml_res_io(&r, PC_PVPANIC_PORT, 1);
    dsdt_device(a, "PEVT", "QEMU0001", 0, &r);
    aml_close(a);
}

static void dsdt_pci(struct aml *a, const struct acpi_config *config)
{
    struct str r = {0};

    aml_open_device(a, "PCI0");
    aml_name(a, "_HID");
    aml_eisa_id(a, "PNP0A03");
    aml_name(a, "_UID");
    aml_integer(a, 0);
    aml_name(a, "_CRS");
    aml_res_word_window(&r, 2, 0, 0xff);
    aml_res_io(&r, 0xcf8, 8);
    aml_res_word_window(&r, 1, 0, 0xcf7);
    aml_res_word_window(&r, 1, 0xd00, 0xffff);
    aml_res_dword_window(&r, 0xa0000, 0xbffff);
    aml_res_dword_window(&r, config->pci_hole, 0xfebfffff);
    if (config->pci_hole64_end > config->pci_hole64)
        aml_res_qword_window(&r, config->pci_hole64, config->pci_hole64_end - 1);
    aml_resources(a, &r);
    dsdt_prt(a);
    dsdt_isa(a, config);
    acpi_hotplug_slots(a);
    aml_close(a);
}

/* Where the guest finds its generation id (device/vmgenid.h), and what tells it of a new one. */
static void dsdt_generation(struct aml *a)
{
    aml_open_device(a, "VGEN");
    aml_name(a, "_HID");
    aml_string(a, "QEMUVGID");
    aml_name(a, "_CID");
    aml_string(a, "VM_Gen_Counter");
    aml_name(a, "_DDN");
    aml_string(a, "VM_Gen_Counter");
    aml_name(a, "_STA");
    aml_integer(a, 0xf);
    aml_name(a, "ADDR");
    aml_open_package(a, 2);
    aml_integer(a, (uint32_t)PC_VMGENID_BASE);
    aml_integer(a, 0);
    aml_close(a);
    aml_close(a);
}

static void dsdt_generation_event(struct aml *a)
{
    aml_open_scope(a, "\\_GPE");
    aml_open_method(a, "_E05", 0);
    aml_notify_value(a, "\\._SB_VGEN", 0x80);
    aml_close(a);
    aml_close(a);
}

static uint32_t build_dsdt(struct acpi_area *area, const struct acpi_config *config)
{
    size_t at = table_open(area, "DSDT", 2);
    struct aml a = {.out = &area->bytes};
    struct str r = {0};

    aml_open_scope(&a, "\\_SB_");
    dsdt_pci(&a, config);
    aml_res_memory32(&r, (uint32_t)PC_HPET_BASE, 0x400);
    dsdt_device(&a, "HPET", "PNP0103", 0, &r);
    dsdt_generation(&a);
    aml_close(&a);
    acpi_hotplug_event(&a);
    dsdt_generation_event(&a);
    /* Soft off: the PIIX4's sleep type 0. */
    aml_name(&a, "\\_S5_");
    aml_open_package(&a, 4);
    for (unsigned i = 0; i < 4; i++)
        aml_integer(&a, 0);
    aml_close(&a);
    return table_close(area, at);
}

/* ---- the fixed tables ---- */

static uint32_t build_facs(struct acpi_area *a)
{
    size_t at;

    pad(&a->bytes, -a->bytes.len & 63);
    at = a->bytes.len;
    str_add(&a->bytes, "FACS");
    put(&a->bytes, 64, 4);
    pad(&a->bytes, 64 - 8);
    return a->base + (uint32_t)at;
}

/* Fixed ACPI description table, revision 3 (5.2.9). */
static uint32_t build_fadt(struct acpi_area *a, const struct acpi_config *config, uint32_t facs,
                           uint32_t dsdt)
{
    enum {
        WBINVD = 1 << 0,
        PROC_C1 = 1 << 2,
        SLP_BUTTON = 1 << 5,
        RTC_S4 = 1 << 7,
        TMR_VAL_EXT = 1 << 8,
        RESET_REG_SUP = 1 << 10,
    };
    enum { LEGACY = 1 << 0, HAS_8042 = 1 << 1, NO_VGA = 1 << 2 };
    size_t at = table_open(a, "FACP", 3);
    struct str *s = &a->bytes;

    put_pointer(a, facs, 4);
    put_pointer(a, dsdt, 4);
    put(s, 0, 1);
    put(s, 0, 1); /* preferred profile: unspecified */
    put(s, PC_SCI, 2);
    put(s, 0, 4); /* no SMI command: ACPI mode is always on */
    put(s, 0, 4); /* ACPI enable, disable, S4BIOS, P-state */
    put(s, config->pm_base, 4);
    put(s, 0, 4);
    put(s, config->pm_base + 4, 4);
    put(s, 0, 4);
    put(s, 0, 4);
    put(s, config->pm_base + 8, 4);
    put(s, PC_GPE_BASE, 4);
    put(s, 0, 4);
    put(s, 4, 1); /* PM1 event length */
    put(s, 2, 1); /* PM1 control length */
    put(s, 0, 1);
    put(s, 4, 1); /* PM timer length */
    put(s, 4, 1); /* GPE0 length */
    put(s, 0, 3);
    put(s, 0xfff, 2); /* no C2 */
    put(s, 0xfff, 2); /* no C3 */
    put(s, 0, 4);     /* flush size, stride */
    put(s, 0, 2);     /* duty offset, width */
    put(s, 0, 2);     /* day and month alarm */
    put(s, 0x32, 1);  /* century register of the CMOS */
    put(s, LEGACY | HAS_8042 | (config->screen ? 0 : NO_VGA), 2);
    put(s, 0, 1);
    put(s, WBINVD | PROC_C1 | SLP_BUTTON | RTC_S4 | TMR_VAL_EXT | RESET_REG_SUP, 4);
    put_gas_io(s, 8, 1, 0xcf9);
    put(s, 0x0f, 1); /* hard reset */
    put(s, 0, 3);
    put_pointer(a, facs, 8);
    put_pointer(a, dsdt, 8);
    put_gas_io(s, 32, 2, config->pm_base);
    put_gas_io(s, 0, 0, 0);
    put_gas_io(s, 16, 2, config->pm_base + 4);
    put_gas_io(s, 0, 0, 0);
    put_gas_io(s, 0, 0, 0);
    put_gas_io(s, 32, 3, config->pm_base + 8);
    put_gas_io(s, 32, 1, PC_GPE_BASE);
    put_gas_io(s, 0, 0, 0);
    return table_close(a, at);
}

static void madt_override(struct str *s, unsigned irq, unsigned gsi, unsigned flags)
{
    put(s, 2, 1);
    put(s, 10, 1);
    put(s, 0, 1);
    put(s, irq, 1);
    put(s, gsi, 4);
    put(s, flags, 2);
}

/* Multiple APIC description table (5.2.12). */
static uint32_t build_madt(struct acpi_area *a, const struct acpi_config *config)
{
    enum { LEVEL_HIGH = 0xd };
    size_t at = table_open(a, "APIC", 3);
    struct str *s = &a->bytes;

    put(s, (uint32_t)PC_LAPIC_BASE, 4);
    put(s, 1, 4); /* a pair of 8259s is there too */
    for (unsigned i = 0; i < config->cpus; i++) {
        put(s, 0, 1);
        put(s, 8, 1);
        put(s, i, 1); /* processor and APIC id */
        put(s, i, 1);
        put(s, 1, 4);
    }
    put(s, 1, 1);
    put(s, 12, 1);
    put(s, config->cpus, 1); /* I/O APIC id: the first that no processor has */
    put(s, 0, 1);
    put(s, (uint32_t)PC_IOAPIC_BASE, 4);
    put(s, 0, 4);
    madt_override(s, 0, 2, 0); /* the 8254 is wired to pin 2 */
    madt_override(s, 5, 5, LEVEL_HIGH);
    madt_override(s, PC_SCI, PC_SCI, LEVEL_HIGH);
    madt_override(s, 10, 10, LEVEL_HIGH);
    madt_override(s, 11, 11, LEVEL_HIGH);
    put(s, 4, 1); /* NMI on LINT1 of all processors */
    put(s, 6, 1);
    put(s, 0xff, 1);
    put(s, 0, 2);
    put(s, 1, 1);
    return table_close(a, at);
}

/* IA-PC HPET Specification 1.0a, 3.2.4. */
static uint32_t build_hpet(struct acpi_area *a)
{
    size_t at = table_open(a, "HPET", 1);
    struct str *s = &a->bytes;

    put(s, 0x8086a201, 4); /* event timer block id: Intel, legacy capable, 64-bit, 3 comparators */
    put(s, 0, 1);          /* memory */
    put(s, 0, 1);
    put(s, 0, 1);
    put(s, 0, 1);
    put(s, (uint32_t)PC_HPET_BASE, 8);
    put(s, 0, 1);
    put(s, 0, 2);
    put(s, 0, 1);
    return table_close(a, at);
}

static uint32_t build_root(struct acpi_area *a, const char *signature, unsigned entry_size)
{
    size_t at = table_open(a, signature, 1);

    for (unsigned i = 0; i < a->count; i++)
        put_pointer(a, a->table[i], entry_size);
    return table_close(a, at);
}

/* Root system description pointer (5.2.5.3). */
void acpi_rsdp(uint8_t rsdp[ACPI_RSDP_SIZE], uint32_t rsdt, uint32_t xsdt)
{
    memset(rsdp, 0, ACPI_RSDP_SIZE);
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "ISOLA ", 6);
    rsdp[15] = 2;
    store_le32(rsdp + ACPI_RSDP_RSDT, rsdt);
    store_le32(rsdp + 20, ACPI_RSDP_SIZE);
    store_le64(rsdp + ACPI_RSDP_XSDT, xsdt);
    rsdp[ACPI_RSDP_SUM] = checksum(rsdp, ACPI_RSDP_SUM_LEN);
    rsdp[ACPI_RSDP_SUM_ALL] = checksum(rsdp, ACPI_RSDP_SIZE);
}

int acpi_build(const struct acpi_config *config, uint32_t base, struct acpi_tables *ret,
               struct error *err)
{
    struct acpi_area a = {.base = base, .fix = ret};
    uint32_t dsdt, facs;

    *ret = (struct acpi_tables){0};
    dsdt = build_dsdt(&a, config);
    facs = build_facs(&a);
    a.table[a.count++] = build_fadt(&a, config, facs, dsdt);
    a.table[a.count++] = build_madt(&a, config);
    a.table[a.count++] = build_hpet(&a);
    ret->rsdt = build_root(&a, "RSDT", 4);
    ret->xsdt = build_root(&a, "XSDT", 8);
    if (a.bytes.failed || a.bytes.len > ACPI_AREA) {
        str_done(&a.bytes);
        return error_set(err, -ENOMEM, "build ACPI tables: out of memory");
    }
    ret->bytes = a.bytes;
    return 0;
}

int acpi_write(struct space *space, const struct acpi_config *config, struct error *err)
{
    struct acpi_tables t;
    uint8_t rsdp[ACPI_RSDP_SIZE];
    int r = acpi_build(config, PC_ACPI_TABLES, &t, err);

    if (r < 0)
        return r;
    acpi_rsdp(rsdp, t.rsdt, t.xsdt);
    if (space_write(space, PC_ACPI_TABLES, t.bytes.data, t.bytes.len) < 0)
        r = error_set(err, -EFAULT, "write ACPI tables: no memory at 0x%x", PC_ACPI_TABLES);
    else if (space_write(space, PC_RSDP, rsdp, sizeof(rsdp)) < 0)
        r = error_set(err, -EFAULT, "write ACPI root pointer: no memory at 0x%x", PC_RSDP);
    str_done(&t.bytes);
    return r;
}
