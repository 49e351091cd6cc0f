/* SPDX-License-Identifier: Apache-2.0 */
/* The small port devices: fw_cfg, keyboard controller, power management, debug and panic ports. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "device/acpi_pcihp.h"
#include "device/debugcon.h"
#include "device/fw_cfg.h"
#include "device/i8042.h"
#include "device/isa_debug_exit.h"
#include "device/piix4_pm.h"
#include "device/pvpanic.h"
#include "base/mem.h"
#include "rig.h"

struct fixture {
    struct rig rig;
    int status;
    unsigned resets, poweroffs, events;
    int a20;
};

static int set_up(void **state)
{
    static struct fixture f;

    memset(&f, 0, sizeof(f));
    rig_set_up(&f.rig);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    rig_tear_down(&((struct fixture *)*state)->rig);
    return 0;
}

static void drop(struct device *dev)
{
    dev->free(dev);
}

static void note_exit(void *opaque, int status)
{
    ((struct fixture *)opaque)->status = status;
}

static void note_event(void *opaque, unsigned events)
{
    ((struct fixture *)opaque)->events |= events;
}

static void note_reset(void *opaque)
{
    ((struct fixture *)opaque)->resets++;
}

static void note_a20(void *opaque, int on)
{
    ((struct fixture *)opaque)->a20 = on;
}

static void note_poweroff(void *opaque)
{
    ((struct fixture *)opaque)->poweroffs++;
}

static void debug_exit_gives_status(void **state)
{
    struct fixture *f = *state;
    struct isa_debug_exit *d = isa_debug_exit_new(f->rig.ports, 0xf4, note_exit, f, NULL);

    rig_out(&f->rig, 0xf4, 0x10);
    assert_int_equal(f->status, 0x21);
    ports_write(f->rig.ports, 0xf4, 4, 0);
    assert_int_equal(f->status, 1);
    drop(isa_debug_exit_device(d));
    assert_int_equal(rig_in(&f->rig, 0xf4), 0xff);
}

static void debugcon_prints(void **state)
{
    struct fixture *f = *state;
    struct rig_char ch;
    struct debugcon *d;

    rig_char_init(&ch);
    d = debugcon_new(f->rig.ports, 0x402, &ch.ch, NULL);
    assert_int_equal(rig_in(&f->rig, 0x402), 0xe9);
    rig_out(&f->rig, 0x402, 'o');
    rig_out(&f->rig, 0x402, 'k');
    assert_memory_equal(ch.written, "ok", 2);
    drop(debugcon_device(d));
}

static void pvpanic_tells(void **state)
{
    struct fixture *f = *state;
    struct pvpanic *p = pvpanic_new(f->rig.ports, 0x505, note_event, f, NULL);

    assert_int_equal(rig_in(&f->rig, 0x505), 3);
    rig_out(&f->rig, 0x505, 0x80);
    assert_int_equal(f->events, 0);
    rig_out(&f->rig, 0x505, 1);
    assert_int_equal(f->events, PVPANIC_PANICKED);
    drop(pvpanic_device(p));
}

static void keyboard_controller(void **state)
{
    struct fixture *f = *state;
    struct irq_line irq1 = rig_line(&f->rig, 1), irq12 = rig_line(&f->rig, 12);
    const struct i8042_ops ops = {.reset = note_reset, .a20 = note_a20, .opaque = f};
    struct i8042 *k = i8042_new(f->rig.ports, &irq1, &irq12, &ops, NULL);

    assert_int_equal(rig_in(&f->rig, 0x64) & 3, 0);
    rig_out(&f->rig, 0x64, 0xaa);
    assert_int_equal(rig_in(&f->rig, 0x64) & 5, 5);
    assert_int_equal(rig_in(&f->rig, 0x60), 0x55);
    assert_int_equal(rig_in(&f->rig, 0x64) & 1, 0);
    rig_out(&f->rig, 0x64, 0xab);
    assert_int_equal(rig_in(&f->rig, 0x60), 0);
    rig_out(&f->rig, 0x64, 0x60);
    rig_out(&f->rig, 0x60, 0x03);
    rig_out(&f->rig, 0x64, 0x20);
    assert_int_equal(f->rig.wire[1].level, 1);
    assert_int_equal(rig_in(&f->rig, 0x60), 0x03);
    assert_int_equal(f->rig.wire[1].level, 0);
    rig_out(&f->rig, 0x60, 0xff); /* reset the keyboard: none there */
    assert_int_equal(rig_in(&f->rig, 0x64) & 0x61, 0x41);
    assert_int_equal(rig_in(&f->rig, 0x60), 0xfe);
    rig_out(&f->rig, 0x64, 0xd4);
    rig_out(&f->rig, 0x60, 0xf2); /* nor a mouse */
    assert_int_equal(f->rig.wire[12].level, 1);
    assert_int_equal(rig_in(&f->rig, 0x64) & 0x61, 0x61);
    rig_in(&f->rig, 0x60);
    rig_out(&f->rig, 0x64, 0xd1);
    rig_out(&f->rig, 0x60, 0xdd); /* A20 off, not reset */
    assert_int_equal(f->a20, 0);
    rig_out(&f->rig, 0x64, 0xd0);
    assert_int_equal(rig_in(&f->rig, 0x60) & 3, 1);
    rig_out(&f->rig, 0x64, 0xdf);
    assert_int_equal(f->a20, 1);
    assert_int_equal(f->resets, 0);
    rig_out(&f->rig, 0x64, 0xfe);
    assert_int_equal(f->resets, 1);
    drop(i8042_device(k));
}

/* ---- power management ---- */

static struct piix4_pm *make_pm(struct fixture *f, struct pci_bus **bus)
{
    struct irq_line intx = rig_line(&f->rig, 0), sci = rig_line(&f->rig, 9);
    struct msi_sink msi = rig_msi(&f->rig);

    *bus = pci_bus_new(f->rig.space, f->rig.ports, &intx, &msi, NULL);
    return piix4_pm_new(*bus, 1, 3, f->rig.ports, f->rig.clock, &sci,
                        &(struct piix4_pm_ops){.poweroff = note_poweroff, .opaque = f}, NULL);
}

static void pm_block_moves(void **state)
{
    struct fixture *f = *state;
    struct pci_bus *bus;
    struct piix4_pm *pm = make_pm(f, &bus);

    assert_int_equal(ports_read(f->rig.ports, 0x604, 2), 0xffff);
    ports_write(f->rig.ports, 0xcf8, 4, 0x80000b40);
    ports_write(f->rig.ports, 0xcfc, 4, 0x601);
    ports_write(f->rig.ports, 0xcf8, 4, 0x80000b80);
    rig_out(&f->rig, 0xcfc, 1);
    assert_int_equal(ports_read(f->rig.ports, 0x604, 2), 0);
    piix4_pm_place(pm, 0xb000, true);
    assert_int_equal(ports_read(f->rig.ports, 0x604, 2), 0xffff);
    assert_int_equal(ports_read(f->rig.ports, 0xb004, 2), 1);
    device_reset(piix4_pm_device(pm));
    assert_int_equal(ports_read(f->rig.ports, 0xb004, 2), 0xffff);
    drop(piix4_pm_device(pm));
    pci_bus_free(bus);
}

static void pm_timer_and_sci(void **state)
{
    struct fixture *f = *state;
    struct pci_bus *bus;
    struct piix4_pm *pm = make_pm(f, &bus);
    uint32_t before;

    piix4_pm_place(pm, 0x600, false);
    before = ports_read(f->rig.ports, 0x608, 4);
    rig_pass(&f->rig, 1000000000);
    assert_int_equal(ports_read(f->rig.ports, 0x608, 4) - before, 3579545);
    assert_int_equal(ports_read(f->rig.ports, 0x608, 4) >> 24, 0);
    assert_int_equal(ports_read(f->rig.ports, 0x600, 2), 0);
    ports_write(f->rig.ports, 0x602, 2, 1); /* timer interrupt; no SCI before ACPI is on */
    rig_pass(&f->rig, 2000000000);
    assert_int_equal(ports_read(f->rig.ports, 0x600, 2), 1);
    assert_int_equal(f->rig.wire[9].level, 0);
    rig_out(&f->rig, 0xb2, PIIX4_PM_ACPI_ENABLE);
    assert_int_equal(ports_read(f->rig.ports, 0x604, 2), 1);
    assert_int_equal(f->rig.wire[9].level, 1);
    ports_write(f->rig.ports, 0x600, 2, 1);
    assert_int_equal(f->rig.wire[9].level, 0);
    rig_pass(&f->rig, 2400000000u); /* bit 23 changes each 2.34 s */
    assert_int_equal(f->rig.wire[9].level, 1);
    drop(piix4_pm_device(pm));
    pci_bus_free(bus);
}

static void pm_button_gpe_and_sleep(void **state)
{
    struct fixture *f = *state;
    struct pci_bus *bus;
    struct piix4_pm *pm = make_pm(f, &bus);
    struct irq_line rtc = piix4_pm_rtc_input(pm);

    piix4_pm_place(pm, 0x600, true);
    ports_write(f->rig.ports, 0x602, 2, 0x120);
    piix4_pm_power_button(pm);
    assert_int_equal(f->rig.wire[9].level, 1);
    assert_int_equal(ports_read(f->rig.ports, 0x600, 2), 0x100);
    rig_out(&f->rig, 0x601, 1);
    assert_int_equal(f->rig.wire[9].level, 0);
    irq_set(&rtc, 1);
    irq_set(&rtc, 1);
    assert_int_equal(ports_read(f->rig.ports, 0x600, 2), 0x400);
    ports_write(f->rig.ports, 0x600, 2, 0x400); /* once for each rise */
    assert_int_equal(ports_read(f->rig.ports, 0x600, 2), 0);
    piix4_pm_gpe(pm, 3);
    assert_int_equal(f->rig.wire[9].level, 0);
    rig_out(&f->rig, 0xafe2, 8);
    assert_int_equal(f->rig.wire[9].level, 1);
    rig_out(&f->rig, 0xafe0, 8);
    assert_int_equal(f->rig.wire[9].level, 0);
    ports_write(f->rig.ports, 0x604, 2, 0x2401); /* S1 is not offered */
    assert_int_equal(f->poweroffs, 0);
    ports_write(f->rig.ports, 0x604, 2, 0x2001);
    assert_int_equal(f->poweroffs, 1);
    assert_int_equal(ports_read(f->rig.ports, 0x604, 2), 1);
    drop(piix4_pm_device(pm));
    pci_bus_free(bus);
}

/* ---- fw_cfg ---- */

static uint64_t be(const uint8_t *bytes, unsigned n)
{
    uint64_t value = 0;

    while (n--)
        value = value << 8 | *bytes++;
    return value;
}

static void read_item(struct fixture *f, uint16_t key, uint8_t *to, size_t n)
{
    ports_write(f->rig.ports, 0x510, 2, key);
    for (size_t i = 0; i < n; i++)
        to[i] = rig_in(&f->rig, 0x511);
}

/* Runs a DMA request at 0x1000; returns the control word afterwards. */
static uint32_t dma(struct fixture *f, uint32_t control, uint32_t len, uint64_t address)
{
    uint8_t request[16];

    for (unsigned i = 0; i < 4; i++) {
        request[i] = (uint8_t)(control >> 8 * (3 - i));
        request[4 + i] = (uint8_t)(len >> 8 * (3 - i));
    }
    for (unsigned i = 0; i < 8; i++)
        request[8 + i] = (uint8_t)(address >> 8 * (7 - i));
    space_write(f->rig.space, 0x1000, request, sizeof(request));
    ports_write(f->rig.ports, 0x514, 4, 0);
    ports_write(f->rig.ports, 0x518, 4, __builtin_bswap32(0x1000));
    space_read(f->rig.space, 0x1000, request, 4);
    return (uint32_t)be(request, 4);
}

static void fw_cfg_items_and_files(void **state)
{
    struct fixture *f = *state;
    struct fw_cfg *fw = fw_cfg_new(f->rig.ports, f->rig.space, NULL);
    uint8_t bytes[256];

    read_item(f, 0, bytes, 5);
    assert_memory_equal(bytes, "QEMU\0", 5);
    read_item(f, 1, bytes, 4);
    assert_int_equal(bytes[0], 3);
    assert_int_equal(fw_cfg_set_uint(fw, FW_CFG_NB_CPUS, 4, 2, NULL), 0);
    read_item(f, FW_CFG_NB_CPUS, bytes, 3);
    assert_memory_equal(bytes, "\x04\0\0", 3);
    assert_true(fw_cfg_set_item(fw, FW_CFG_FILE_DIR, "", 1, NULL) < 0);
    assert_int_equal(fw_cfg_add_file(fw, "opt/z", "zed", 3, NULL), 0);
    assert_int_equal(fw_cfg_add_file(fw, "etc/a", "ay", 2, NULL), 0);
    assert_true(fw_cfg_add_file(fw, "etc/a", "again", 5, NULL) < 0);
    read_item(f, FW_CFG_FILE_DIR, bytes, 4 + 2 * 64);
    assert_int_equal(be(bytes, 4), 2);
    assert_int_equal(be(bytes + 4, 4), 2);
    assert_string_equal((char *)bytes + 12, "etc/a");
    assert_int_equal(be(bytes + 68, 4), 3);
    assert_string_equal((char *)bytes + 76, "opt/z");
    read_item(f, (uint16_t)be(bytes + 72, 2), bytes, 4);
    assert_memory_equal(bytes, "zed\0", 4);
    read_item(f, 0x8000, bytes, 4); /* of the architecture */
    assert_int_equal(be(bytes, 4), 0);
    assert_int_equal(fw_cfg_set_uint(fw, FW_CFG_IRQ0_OVERRIDE, 1, 4, NULL), 0);
    read_item(f, FW_CFG_IRQ0_OVERRIDE, bytes, 4);
    assert_memory_equal(bytes, "\1\0\0\0", 4);
    assert_true(fw_cfg_set_uint(fw, FW_CFG_LOCAL + 8, 1, 4, NULL) < 0);
    read_item(f, FW_CFG_LOCAL + 0x3fff, bytes, 4);
    assert_int_equal(be(bytes, 4), 0);
    read_item(f, 0x3fff, bytes, 4);
    assert_int_equal(be(bytes, 4), 0);
    drop(fw_cfg_device(fw));
}

static void rename_file(void *fw, const char *name)
{
    if (strcmp(name, "etc/late") == 0)
        assert_int_equal(fw_cfg_replace_file(fw, name, "new", 3, NULL), 0);
}

static void fw_cfg_makes_a_file_when_it_is_asked_for(void **state)
{
    struct fixture *f = *state;
    struct fw_cfg *fw = fw_cfg_new(f->rig.ports, f->rig.space, NULL);
    uint8_t bytes[4];

    assert_int_equal(fw_cfg_add_file(fw, "etc/late", "old", 3, NULL), 0);
    assert_int_equal(fw_cfg_add_file(fw, "opt/other", "own", 3, NULL), 0);
    fw_cfg_on_select(fw, rename_file, fw);
    read_item(f, FW_CFG_FILE_FIRST, bytes, 3);
    assert_memory_equal(bytes, "new", 3);
    read_item(f, FW_CFG_FILE_FIRST + 1, bytes, 3);
    assert_memory_equal(bytes, "own", 3);
    assert_true(fw_cfg_replace_file(fw, "etc/late", "longer", 6, NULL) < 0);
    assert_true(fw_cfg_replace_file(fw, "etc/none", "new", 3, NULL) < 0);
    drop(fw_cfg_device(fw));
}

static void fw_cfg_dma(void **state)
{
    struct fixture *f = *state;
    struct fw_cfg *fw = fw_cfg_new(f->rig.ports, f->rig.space, NULL);
    char got[8];

    assert_int_equal(ports_read(f->rig.ports, 0x514, 4), load_le32("QEMU"));
    assert_int_equal(ports_read(f->rig.ports, 0x518, 4), load_le32(" CFG"));
    fw_cfg_add_file(fw, "f", "abcdef", 6, NULL);
    assert_int_equal(dma(f, 0x20 << 16 | 8 | 2, 4, 0x2000), 0);
    space_read(f->rig.space, 0x2000, got, 4);
    assert_memory_equal(got, "abcd", 4);
    assert_int_equal(dma(f, 4, 1, 0), 0); /* skip */
    assert_int_equal(dma(f, 2, 4, 0x2000), 0);
    space_read(f->rig.space, 0x2000, got, 4);
    assert_memory_equal(got, "f\0\0\0", 4);
    assert_int_equal(dma(f, 2, UINT32_MAX, 0x3000), 1);       /* past the end of memory */
    assert_int_equal(dma(f, 2, 4, 0xffffffffffffff00ull), 1); /* nowhere */
    assert_int_equal(dma(f, 16, 4, 0x2000), 1);               /* nothing can be written */
    ports_write(f->rig.ports, 0x514, 4, UINT32_MAX);          /* a request out of memory */
    ports_write(f->rig.ports, 0x518, 4, 0);
    drop(fw_cfg_device(fw));
}

static void count_event(void *opaque)
{
    ((struct fixture *)opaque)->events++;
}

static void note_slot(void *opaque, unsigned slot)
{
    ((struct fixture *)opaque)->status = (int)slot;
}

static uint32_t hotplug_read(struct fixture *f, unsigned reg)
{
    return ports_read(f->rig.ports, (uint16_t)(ACPI_PCIHP_BASE + reg), 4);
}

static void hotplug_registers(void **state)
{
    struct fixture *f = *state;
    const struct acpi_pcihp_ops ops = {.event = count_event, .eject = note_slot, .opaque = f};
    struct acpi_pcihp *hp = acpi_pcihp_new(f->rig.ports, &ops, NULL);

    acpi_pcihp_removable(hp, 7, true);
    acpi_pcihp_added(hp, 7);
    assert_int_equal(f->events, 1);
    assert_int_equal(hotplug_read(f, ACPI_PCIHP_UP), 1 << 7);
    assert_int_equal(hotplug_read(f, ACPI_PCIHP_UP), 0); /* told once */
    acpi_pcihp_remove(hp, 7);
    assert_int_equal(f->events, 2);
    assert_int_equal(hotplug_read(f, ACPI_PCIHP_DOWN), 1 << 7);
    assert_int_equal(hotplug_read(f, ACPI_PCIHP_DOWN), 1 << 7); /* until it is gone */
    assert_int_equal(hotplug_read(f, ACPI_PCIHP_REMOVABLE), 1 << 7);
    /* What may not be taken out stays. */
    ports_write(f->rig.ports, ACPI_PCIHP_BASE + ACPI_PCIHP_EJECT, 4, 0xffffffffu & ~(1u << 7));
    assert_int_equal(f->status, 0);
    ports_write(f->rig.ports, ACPI_PCIHP_BASE + ACPI_PCIHP_EJECT, 4, 1 << 7);
    assert_int_equal(f->status, 7);
    assert_int_equal(hotplug_read(f, ACPI_PCIHP_DOWN), 0);
    f->status = 0;
    ports_write(f->rig.ports, ACPI_PCIHP_BASE + ACPI_PCIHP_EJECT, 4, 1 << 7); /* once */
    assert_int_equal(f->status, 0);
    acpi_pcihp_device(hp)->free(acpi_pcihp_device(hp));
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {test(hotplug_registers),
                                       test(debug_exit_gives_status),
                                       test(debugcon_prints),
                                       test(pvpanic_tells),
                                       test(keyboard_controller),
                                       test(pm_block_moves),
                                       test(pm_timer_and_sci),
                                       test(pm_button_gpe_and_sleep),
                                       test(fw_cfg_items_and_files),
                                       test(fw_cfg_makes_a_file_when_it_is_asked_for),
                                       test(fw_cfg_dma)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
