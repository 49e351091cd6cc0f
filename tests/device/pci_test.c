/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "device/i440fx.h"
#include "device/pci.h"
#include "device/piix3.h"
#include "rig.h"

struct fixture {
    struct rig rig;
    struct pci_bus *bus;
    struct pci_function *f;
    unsigned written_at;
    uint16_t command;
    uint64_t stored;
};

static uint64_t reg_read(void *dev, uint64_t offset, unsigned size)
{
    return 0xabcd0000 + offset;
}

static void reg_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    ((struct fixture *)dev)->stored = value;
}

static uint32_t io_read(void *dev, uint16_t offset, unsigned size)
{
    return 0x70u + offset;
}

static const struct mmio_ops regs = {.read = reg_read, .write = reg_write};
static const struct port_ops io = {.read = io_read};

static void config_written(void *dev, unsigned offset, unsigned size)
{
    ((struct fixture *)dev)->written_at = offset;
}

static void command_changed(void *dev, uint16_t command)
{
    ((struct fixture *)dev)->command = command;
}

static const struct pci_function_ops ops = {.config_written = config_written,
                                            .command_changed = command_changed};
static const struct pci_ident ident = {.vendor = 0x1af4,
                                       .device = 0x1001,
                                       .subsystem_vendor = 0x1af4,
                                       .subsystem = 2,
                                       .class_code = 0x010000,
                                       .revision = 3,
                                       .intx = true};

static int set_up(void **state)
{
    static struct fixture f;
    struct irq_line line;
    struct msi_sink msi;

    memset(&f, 0, sizeof(f));
    rig_set_up(&f.rig);
    line = rig_line(&f.rig, 0);
    msi = rig_msi(&f.rig);
    f.bus = pci_bus_new(f.rig.space, f.rig.ports, &line, &msi, NULL);
    f.f = pci_add(f.bus, 4, 0, &ident, &ops, &f, NULL);
    assert_non_null(f.f);
    pci_set_bar(f.f, 0, &(struct pci_bar){.kind = PCI_BAR_IO, .size = 64, .ports = &io, .dev = &f});
    assert_int_equal(pci_add_msix(f.f, 1, 4, NULL), 0);
    pci_set_bar(f.f, 2,
                &(struct pci_bar){.kind = PCI_BAR_MEM32, .size = 0x4000, .mmio = &regs, .dev = &f});
    pci_set_bar(
        f.f, 4,
        &(struct pci_bar){.kind = PCI_BAR_MEM64, .size = 0x10000, .mmio = &regs, .dev = &f});
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    pci_bus_free(f->bus);
    rig_tear_down(&f->rig);
    return 0;
}

static void address(struct fixture *f, unsigned slot, unsigned fn, unsigned offset)
{
    ports_write(f->rig.ports, 0xcf8, 4, 0x80000000u | slot << 11 | fn << 8 | (offset & 0xfc));
}

static uint32_t get(struct fixture *f, unsigned offset, unsigned size)
{
    address(f, 4, 0, offset);
    return ports_read(f->rig.ports, (uint16_t)(0xcfc + (offset & 3)), size);
}

static void put(struct fixture *f, unsigned offset, unsigned size, uint32_t value)
{
    address(f, 4, 0, offset);
    ports_write(f->rig.ports, (uint16_t)(0xcfc + (offset & 3)), size, value);
}

static void mechanism_one(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(get(f, 0, 4), 0x10011af4);
    assert_int_equal(ports_read(f->rig.ports, 0xcf8, 4), 0x80002000);
    assert_int_equal(get(f, 2, 2), 0x1001);
    assert_int_equal(get(f, 0x0b, 1), 0x01);
    assert_int_equal(get(f, 8, 4), 0x01000003);
    assert_int_equal(get(f, 0x2c, 4), 0x00021af4);
    assert_int_equal(get(f, 0x3d, 1), 1);
    address(f, 5, 0, 0);
    assert_int_equal(ports_read(f->rig.ports, 0xcfc, 4), UINT32_MAX);
    ports_write(f->rig.ports, 0xcf8, 4, 0x80010000 | 4 << 11); /* another bus */
    assert_int_equal(ports_read(f->rig.ports, 0xcfc, 4), UINT32_MAX);
    ports_write(f->rig.ports, 0xcf8, 4, 4 << 11); /* not enabled */
    assert_int_equal(ports_read(f->rig.ports, 0xcfc, 2), UINT16_MAX);
    ports_write(f->rig.ports, 0xcf8, 2, 0x1234); /* not a dword: passes by */
    assert_int_equal(ports_read(f->rig.ports, 0xcf8, 4), 4 << 11);
    put(f, 0, 4, 0); /* read-only */
    assert_int_equal(get(f, 0, 4), 0x10011af4);
    assert_non_null(pci_add(f->bus, 4, 1, &ident, NULL, f, NULL));
    assert_int_equal(get(f, 0x0e, 1), 0x80);
    assert_null(pci_add(f->bus, 4, 0, &ident, NULL, f, NULL));
    assert_null(pci_add(f->bus, 32, 0, &ident, NULL, f, NULL));
}

static void bars_are_sized_and_moved(void **state)
{
    struct fixture *f = *state;

    put(f, 0x10, 4, UINT32_MAX);
    assert_int_equal(get(f, 0x10, 4), 0xffffffc1);
    put(f, 0x18, 4, UINT32_MAX);
    assert_int_equal(get(f, 0x18, 4), 0xffffc000);
    put(f, 0x20, 4, UINT32_MAX);
    put(f, 0x24, 4, UINT32_MAX);
    assert_int_equal(get(f, 0x20, 4), 0xffff0004);
    assert_int_equal(get(f, 0x24, 4), UINT32_MAX);
    put(f, 0x04, 2, 3);
    assert_int_equal(f->command, 3);
    put(f, 0x18, 4, 0xe0000000);
    assert_int_equal(space_load(f->rig.space, 0xe0000010, 4), 0xabcd0010);
    put(f, 0x18, 4, 0xe0100000);
    assert_int_equal(space_load(f->rig.space, 0xe0000010, 4), UINT32_MAX);
    space_store(f->rig.space, 0xe0100000, 4, 77);
    assert_int_equal(f->stored, 77);
    put(f, 0x20, 4, 0x00010000);
    put(f, 0x24, 4, 1);
    assert_int_equal(space_load(f->rig.space, 0x100010000, 4), 0xabcd0000);
    put(f, 0x10, 4, 0xc000);
    assert_int_equal(ports_read(f->rig.ports, 0xc005, 1), 0x75);
    put(f, 0x04, 2, 1); /* memory decoding off */
    assert_int_equal(space_load(f->rig.space, 0xe0100000, 4), UINT32_MAX);
    assert_int_equal(ports_read(f->rig.ports, 0xc005, 1), 0x75);
    put(f, 0x04, 2, 0);
    assert_int_equal(ports_read(f->rig.ports, 0xc005, 1), 0xff);
}

static void bars_hide_behind_memory_and_each_other(void **state)
{
    struct fixture *f = *state;

    put(f, 0x04, 2, 2);
    space_store(f->rig.space, 0x8000, 4, 42);
    put(f, 0x18, 4, 0x8000); /* over RAM: RAM stays */
    assert_int_equal(space_load(f->rig.space, 0x8000, 4), 42);
    put(f, 0x18, 4, 0xe0000000);
    put(f, 0x20, 4, 0xe0000000); /* over the other BAR: one of them answers */
    put(f, 0x24, 4, 0);
    assert_int_equal(space_load(f->rig.space, 0xe0000000, 4) & 0xffff0000, 0xabcd0000);
    put(f, 0x18, 4, 0);
    assert_int_equal(space_load(f->rig.space, 0xe0000000, 4), 0xabcd0000);
}

static void reset_is_power_up(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(pci_place_bar(f->f, 2, 0xe0000000, NULL), 0);
    assert_int_equal(pci_place_bar(f->f, 0, 0xc000, NULL), 0);
    assert_int_equal(get(f, 4, 2), 3);
    assert_int_equal(space_load(f->rig.space, 0xe0000000, 4), 0xabcd0000);
    assert_true(pci_place_bar(f->f, 2, 0xe0000800, NULL) < 0);
    assert_true(pci_place_bar(f->f, 0, 0x10000, NULL) < 0);
    assert_true(pci_place_bar(f->f, 3, 0xe0000000, NULL) < 0);
    put(f, 0x3c, 1, 11);
    pci_function_reset(f->f);
    assert_int_equal(get(f, 4, 2), 0);
    assert_int_equal(get(f, 0x18, 4), 0);
    assert_int_equal(get(f, 0x3c, 1), 0);
    assert_int_equal(space_load(f->rig.space, 0xe0000000, 4), UINT32_MAX);
}

static void capabilities_are_chained(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[16] = {0, 0, 16, 1}, wmask[16] = {[4] = 0x0f};
    unsigned at = pci_add_capability(f->f, 9, bytes, wmask, sizeof(bytes));

    assert_int_equal(get(f, 6, 2) & 0x10, 0x10);
    assert_int_equal(get(f, 0x34, 1), 0x40);
    assert_int_equal(get(f, 0x40, 1), 0x11);
    assert_int_equal(get(f, 0x41, 1), at);
    assert_int_equal(get(f, at, 4), 0x01100009);
    put(f, at + 4, 4, UINT32_MAX);
    assert_int_equal(get(f, at + 4, 4), 0x0f);
    assert_int_equal(f->written_at, at + 4);
    while (pci_add_capability(f->f, 9, bytes, NULL, sizeof(bytes)))
        ;
    assert_int_equal(get(f, 0, 4), 0x10011af4);
}

static void intx_follows_the_command_register(void **state)
{
    struct fixture *f = *state;
    struct pci_function *other = pci_add(f->bus, 4, 3, &ident, NULL, f, NULL);

    pci_set_intx(f->f, 1);
    assert_int_equal(f->rig.wire[16].level, 1);
    assert_int_equal(get(f, 6, 2) & 8, 8);
    put(f, 4, 2, 0x400);
    assert_int_equal(f->rig.wire[16].level, 0);
    assert_int_equal(get(f, 6, 2) & 8, 8);
    put(f, 4, 2, 0);
    assert_int_equal(f->rig.wire[16].level, 1);
    pci_set_intx(other, 1); /* shares the slot's wire */
    pci_set_intx(f->f, 0);
    assert_int_equal(f->rig.wire[16].level, 1);
    pci_set_intx(other, 0);
    assert_int_equal(f->rig.wire[16].level, 0);
}

static void msix_entry_mask(void **state)
{
    struct fixture *f = *state;
    const uint64_t table = 0xe0000000, pba = table + 0x800;

    pci_function_reset(f->f);
    assert_int_equal(get(f, 0x42, 2), 3); /* four vectors */
    assert_int_equal(get(f, 0x44, 4), 1);
    assert_int_equal(get(f, 0x48, 4), 0x801);
    assert_int_equal(pci_place_bar(f->f, 1, table, NULL), 0);
    put(f, 4, 2, 6);
    pci_msix_notify(f->f, 2); /* not enabled: lost */
    put(f, 0x42, 2, 0x8000);
    assert_true(pci_msix_enabled(f->f));
    assert_int_equal(space_load(f->rig.space, pba, 8), 0);
    space_store(f->rig.space, table + 32, 8, 0xfee01000);
    space_store(f->rig.space, table + 40, 4, 0x41);
    pci_msix_notify(f->f, 2);
    assert_int_equal(f->rig.messages, 0); /* entries are masked after reset */
    assert_int_equal(space_load(f->rig.space, pba, 8), 4);
    space_store(f->rig.space, pba, 8, 0); /* read-only */
    space_store(f->rig.space, table + 44, 4, 0);
    assert_int_equal(f->rig.messages, 1);
    assert_int_equal(f->rig.msi_address, 0xfee01000);
    assert_int_equal(f->rig.msi_data, 0x41);
    assert_int_equal(space_load(f->rig.space, pba, 8), 0);
    put(f, 0x42, 2, 0xc000); /* function mask */
    pci_msix_notify(f->f, 2);
    assert_int_equal(f->rig.messages, 1);
    put(f, 0x42, 2, 0x8000);
    assert_int_equal(f->rig.messages, 2);
    put(f, 4, 2, 2); /* no bus master: no message may leave */
    pci_msix_notify(f->f, 2);
    assert_int_equal(f->rig.messages, 2);
    put(f, 4, 2, 6);
    assert_int_equal(f->rig.messages, 3);
    pci_msix_notify(f->f, 4); /* no such vector */
    assert_int_equal(f->rig.messages, 3);
    pci_set_intx(f->f, 1); /* INTx is silent while MSI-X is enabled */
    assert_int_equal(f->rig.wire[16].level, 0);
    space_store(f->rig.space, table + 32, 2, 0xffff); /* not a dword */
    assert_int_equal(space_load(f->rig.space, table + 32, 4), 0xfee01000);
}

static void pirqs_reach_isa(void **state)
{
    struct fixture *f = *state;
    struct irq_line isa = rig_line(&f->rig, 0);
    struct piix3 *bridge = piix3_new(f->bus, 1, f->rig.ports, &isa, &(struct piix3_ops){0}, NULL);

    piix3_intx(bridge, 4 * 4, 1); /* slot 4 INTA: PIRQ D, routed nowhere yet */
    assert_int_equal(f->rig.wire[11].level, 0);
    piix3_route(bridge, 3, 11);
    assert_int_equal(f->rig.wire[11].level, 1);
    piix3_intx(bridge, 8 * 4, 1); /* slot 8 shares PIRQ D */
    piix3_intx(bridge, 4 * 4, 0);
    assert_int_equal(f->rig.wire[11].level, 1);
    address(f, 1, 0, 0x60);
    assert_int_equal(ports_read(f->rig.ports, 0xcfc, 4), 0x0b808080);
    ports_write(f->rig.ports, 0xcff, 1, 10); /* moves it */
    assert_int_equal(f->rig.wire[11].level, 0);
    assert_int_equal(f->rig.wire[10].level, 1);
    ports_write(f->rig.ports, 0xcff, 1, 8); /* not routable */
    assert_int_equal(f->rig.wire[8].level, 0);
    assert_int_equal(f->rig.wire[10].level, 0);
    piix3_device(bridge)->free(piix3_device(bridge));
}

static void count_reset(void *opaque)
{
    ++*(unsigned *)opaque;
}

static void piix3_resets(void **state)
{
    struct fixture *f = *state;
    unsigned resets = 0;
    struct irq_line isa = rig_line(&f->rig, 0);
    struct piix3 *bridge =
        piix3_new(f->bus, 1, f->rig.ports, &isa,
                  &(struct piix3_ops){.reset = count_reset, .opaque = &resets}, NULL);

    rig_out(&f->rig, 0xcf9, 2);
    assert_int_equal(resets, 0);
    rig_out(&f->rig, 0xcf9, 6);
    assert_int_equal(resets, 1);
    rig_out(&f->rig, 0xcf9, 6); /* only the rise counts */
    assert_int_equal(resets, 1);
    assert_int_equal(rig_in(&f->rig, 0x92), 2);
    rig_out(&f->rig, 0x92, 3);
    assert_int_equal(resets, 2);
    ports_write(f->rig.ports, 0xcf8, 4, 0x80000600); /* still CONFIG_ADDRESS, not a reset */
    assert_int_equal(resets, 2);
    piix3_device(bridge)->free(piix3_device(bridge));
}

static uint8_t seen_pam[I440FX_PAMS];

static void pam(void *opaque, const uint8_t bytes[I440FX_PAMS], uint8_t smram)
{
    memcpy(seen_pam, bytes, sizeof(seen_pam));
    *(unsigned *)opaque += 1;
}

static void i440fx_tells_pam(void **state)
{
    struct fixture *f = *state;
    unsigned told = 0;
    struct i440fx *bridge = i440fx_new(f->bus, pam, &told, NULL);

    address(f, 0, 0, 0);
    assert_int_equal(ports_read(f->rig.ports, 0xcfc, 4), 0x12378086);
    address(f, 0, 0, 0x58);
    ports_write(f->rig.ports, 0xcfc, 4, UINT32_MAX);
    assert_int_equal(told, 1);
    assert_int_equal(seen_pam[0], 0x30);
    assert_int_equal(seen_pam[1], 0x33);
    device_reset(i440fx_device(bridge));
    assert_int_equal(seen_pam[0], 0);
    i440fx_device(bridge)->free(i440fx_device(bridge));
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {test(mechanism_one),
                                       test(bars_are_sized_and_moved),
                                       test(bars_hide_behind_memory_and_each_other),
                                       test(reset_is_power_up),
                                       test(capabilities_are_chained),
                                       test(intx_follows_the_command_register),
                                       test(msix_entry_mask),
                                       test(pirqs_reach_isa),
                                       test(piix3_resets),
                                       test(i440fx_tells_pam)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
