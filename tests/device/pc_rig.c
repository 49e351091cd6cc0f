/* SPDX-License-Identifier: Apache-2.0 */
#include "pc_rig.h"

#include <assert.h>
#include <string.h>

#include "device/acpi_pcihp.h"
#include "device/ata/ahci.h"
#include "device/ata/ide.h"
#include "device/debugcon.h"
#include "device/fdc.h"
#include "device/fw_cfg.h"
#include "device/hpet.h"
#include "device/i440fx.h"
#include "device/i8042.h"
#include "device/i8254.h"
#include "device/i8259.h"
#include "device/ioapic.h"
#include "device/isa_debug_exit.h"
#include "device/mc146818.h"
#include "device/piix3.h"
#include "device/piix4_pm.h"
#include "device/pvpanic.h"
#include "device/uart16550.h"
#include "device/pflash.h"
#include "device/vga.h"
#include "io/block_mem.h"

static void cpu_intr(void *opaque, unsigned cpu, int level)
{
    ((struct pc_rig *)opaque)->intr[cpu] = (unsigned)level;
}

static void cpu_nmi(void *opaque, unsigned cpu)
{
    ((struct pc_rig *)opaque)->nmis++;
}

static void cpu_init(void *opaque, unsigned cpu)
{
    ((struct pc_rig *)opaque)->inits++;
}

static void cpu_sipi(void *opaque, unsigned cpu, uint8_t vector)
{
    ((struct pc_rig *)opaque)->sipis += vector;
}

static void cpu_eoi(void *opaque, uint8_t vector)
{
    ioapic_eoi(((struct pc_rig *)opaque)->io, vector);
}

static uint8_t extint_ack(void *opaque)
{
    return i8259_ack(((struct pc_rig *)opaque)->pic);
}

static uint64_t tsc(void *opaque, unsigned cpu)
{
    return gclock_now(((struct pc_rig *)opaque)->rig.clock) * 2;
}

static int64_t wall_time(void *opaque)
{
    return 1700000000000000000 + (int64_t)gclock_now(((struct pc_rig *)opaque)->rig.clock);
}

static void gsi_set(void *opaque, unsigned n, int level)
{
    struct pc_rig *pc = opaque;
    struct irq_line pin = ioapic_input(pc->io, n ? n : 2);

    irq_set(&pin, level);
    if (n < 16) {
        struct irq_line isa = i8259_input(pc->pic, n);
        irq_set(&isa, level);
    }
}

void pc_rig_gsi(struct pc_rig *pc, unsigned n, int level)
{
    gsi_set(pc, n, level);
}

static struct irq_line gsi(struct pc_rig *pc, unsigned n)
{
    return (struct irq_line){.set = gsi_set, .opaque = pc, .input = n};
}

static void pci_intx(void *opaque, unsigned input, int level)
{
    struct pc_rig *pc = opaque;
    if (pc->piix3)
        piix3_intx(pc->piix3, input, level);
}

static void note_reset(void *opaque)
{
    ((struct pc_rig *)opaque)->resets++;
}

static void note_end(void *opaque)
{
    ((struct pc_rig *)opaque)->ends++;
}

static void note_exit(void *opaque, int status)
{
    ((struct pc_rig *)opaque)->ends += (unsigned)status;
}

static void note_panic(void *opaque, unsigned events)
{
    ((struct pc_rig *)opaque)->ends += events;
}

static uint64_t bar_read(void *dev, uint64_t offset, unsigned size)
{
    return offset * size;
}

static uint32_t bar_in(void *dev, uint16_t offset, unsigned size)
{
    return offset * size;
}

static void add(struct pc_rig *pc, struct device *dev)
{
    assert(dev && pc->devices < PC_RIG_DEVICES);
    pc->device[pc->devices++] = dev;
}

static void add_interrupts(struct pc_rig *pc)
{
    const struct lapic_ops ops = {.intr = cpu_intr,
                                  .nmi = cpu_nmi,
                                  .init = cpu_init,
                                  .sipi = cpu_sipi,
                                  .eoi = cpu_eoi,
                                  .extint_ack = extint_ack,
                                  .tsc = tsc,
                                  .opaque = pc};
    struct irq_line line;
    struct msi_sink msi;

    pc->apics = lapics_new(pc->rig.space, pc->rig.clock, PC_RIG_CPUS, 2000000, &ops, NULL);
    for (unsigned i = 0; i < PC_RIG_CPUS; i++)
        add(pc, lapic_device(pc->apics, i));
    line = lapics_lint0(pc->apics);
    pc->pic = i8259_new(pc->rig.ports, &line, NULL);
    add(pc, i8259_device(pc->pic));
    msi = lapics_msi_sink(pc->apics);
    pc->io = ioapic_new(pc->rig.space, 0xfec00000, &msi, NULL);
    add(pc, ioapic_device(pc->io));
}

static void rtc_irq(void *opaque, unsigned input, int level)
{
    struct pc_rig *pc = opaque;
    struct irq_line line = hpet_irq8_input(pc->hpet);

    irq_set(&line, level);
    if (pc->pm) {
        line = piix4_pm_rtc_input(pc->pm);
        irq_set(&line, level);
    }
}

static void add_timers(struct pc_rig *pc)
{
    struct irq_line gsi0 = gsi(pc, 0), gsi8 = gsi(pc, 8), irq0, irq8;
    struct msi_sink msi = lapics_msi_sink(pc->apics);

    pc->hpet = hpet_new(pc->rig.space, 0xfed00000, pc->rig.clock, &gsi0, &gsi0, &gsi8, &msi, NULL);
    irq0 = hpet_irq0_input(pc->hpet);
    irq8 = (struct irq_line){.set = rtc_irq, .opaque = pc};
    add(pc, i8254_device(i8254_new(pc->rig.ports, pc->rig.clock, &irq0, NULL)));
    add(pc,
        mc146818_device(mc146818_new(pc->rig.ports, pc->rig.clock, &irq8, wall_time, pc, NULL)));
    add(pc, hpet_device(pc->hpet));
}

static void add_vga(struct pc_rig *pc)
{
    static const uint8_t rom[4096] = {0x55, 0xaa, 8};
    struct vga_config config = {.first_gfn = RIG_VIDEO_GFN, .rom = rom, .rom_len = sizeof(rom)};
    struct vga *vga =
        vga_new(pc->bus, 3, pc->rig.space, pc->rig.ports, pc->rig.clock, &config, NULL);

    add(pc, vga_device(vga));
    pc->display = vga_display(vga);
}

static void add_drives(struct pc_rig *pc)
{
    struct irq_line irqs[IDE_CHANNELS] = {gsi(pc, 14), gsi(pc, 15)};
    struct ata_drive *drives[IDE_DRIVES] = {NULL}, *ports[AHCI_PORTS] = {NULL};
    struct ahci *ahci;
    struct ide *ide;

    pc->disk = block_mem_new(pc->disk_bytes, PC_RIG_DISK, false, false, NULL);
    pc->disc = block_mem_new(pc->disk_bytes, PC_RIG_DISK, true, false, NULL);
    pc->slow_disc = block_mem_new(pc->disk_bytes, PC_RIG_DISK, true, true, NULL);
    pc->hd = drives[0] = ata_drive_new("hd", pc->disk, false, NULL);
    pc->cd = drives[2] = ata_drive_new("cd", pc->disc, true, NULL);
    add(pc, ata_drive_device(pc->hd));
    add(pc, ata_drive_device(pc->cd));
    ide = ide_new(pc->bus, 1, 1, pc->rig.ports, pc->rig.space, drives, irqs, NULL);
    add(pc, ide_device(ide));
    pci_place_bar(ide_function(ide), 4, 0xd000, NULL);
    pc->slow_disk = block_mem_new(pc->disk_bytes, PC_RIG_DISK, false, true, NULL);
    ports[0] = ata_drive_new("sata", pc->slow_disk, false, NULL);
    add(pc, ata_drive_device(ports[0]));
    ahci = ahci_new(pc->bus, 31, pc->rig.space, ports, NULL);
    add(pc, ahci_device(ahci));
    pci_place_bar(ahci_function(ahci), 5, 0xe0010000, NULL);
}

static void add_floppy(struct pc_rig *pc)
{
    const bool present[FDC_DRIVES] = {true};
    struct irq_line irq = gsi(pc, 6);
    struct i8237 *dma = i8237_new(pc->rig.ports, pc->rig.space, NULL);
    struct fdc *fdc = fdc_new(pc->rig.ports, dma, &irq, present, NULL);

    pc->diskette = block_mem_new(pc->floppy_bytes, PC_RIG_FLOPPY, false, false, NULL);
    add(pc, i8237_device(dma));
    add(pc, fdc_device(fdc));
    assert(fdc_change(fdc, 0, pc->diskette, NULL) == 0);
}

static void add_pci(struct pc_rig *pc)
{
    static const struct pci_ident ident = {.vendor = 0x1234, .device = 0x5678, .intx = true};
    static const struct mmio_ops mmio = {.read = bar_read};
    static const struct port_ops io = {.read = bar_in};
    struct irq_line intx = {.set = pci_intx, .opaque = pc}, isa = gsi(pc, 0), sci = gsi(pc, 9);
    struct msi_sink msi = lapics_msi_sink(pc->apics);

    pc->bus = pci_bus_new(pc->rig.space, pc->rig.ports, &intx, &msi, NULL);
    add(pc, i440fx_device(i440fx_new(pc->bus, NULL, NULL, NULL)));
    pc->piix3 = piix3_new(pc->bus, 1, pc->rig.ports, &isa,
                          &(struct piix3_ops){.reset = note_reset, .opaque = pc}, NULL);
    add(pc, piix3_device(pc->piix3));
    pc->pm = piix4_pm_new(pc->bus, 1, 3, pc->rig.ports, pc->rig.clock, &sci,
                          &(struct piix4_pm_ops){.poweroff = note_end, .opaque = pc}, NULL);
    add(pc, piix4_pm_device(pc->pm));
    add_drives(pc);
    add_floppy(pc);
    pc->function = pci_add(pc->bus, 2, 0, &ident, NULL, pc, NULL);
    pci_set_bar(pc->function, 0,
                &(struct pci_bar){.kind = PCI_BAR_IO, .size = 32, .ports = &io, .dev = pc});
    assert(pci_add_msix(pc->function, 1, 3, NULL) == 0);
    pci_set_bar(pc->function, 2,
                &(struct pci_bar){.kind = PCI_BAR_MEM64, .size = 4096, .mmio = &mmio, .dev = pc});
    add_vga(pc);
    add(pc, pflash_device(pflash_new(pc->rig.space, PC_RIG_FLASH, RIG_FLASH_GFN, pc->flash_bytes,
                                     RIG_FLASH, NULL)));
    for (struct pci_function *f = pci_next(pc->bus, NULL); f; f = pci_next(pc->bus, f))
        add(pc, pci_function_device(f));
}

static void gpe(void *opaque)
{
    piix4_pm_gpe(((struct pc_rig *)opaque)->pm, 1);
}

static void note_eject(void *opaque, unsigned slot)
{
    ((struct pc_rig *)opaque)->ends += slot;
}

static void add_hotplug(struct pc_rig *pc)
{
    const struct acpi_pcihp_ops ops = {.event = gpe, .eject = note_eject, .opaque = pc};
    struct acpi_pcihp *hp = acpi_pcihp_new(pc->rig.ports, &ops, NULL);

    add(pc, acpi_pcihp_device(hp));
    acpi_pcihp_removable(hp, 5, true);
    acpi_pcihp_added(hp, 5);
    acpi_pcihp_remove(hp, 5);
}

static void add_ports(struct pc_rig *pc)
{
    struct irq_line irq1 = gsi(pc, 1), irq12 = gsi(pc, 12), irq4 = gsi(pc, 4);
    struct fw_cfg *fw = fw_cfg_new(pc->rig.ports, pc->rig.space, NULL);

    fw_cfg_add_file(fw, "etc/x", "content", 7, NULL);
    add(pc, fw_cfg_device(fw));
    pc->kbc = i8042_new(pc->rig.ports, &irq1, &irq12,
                        &(struct i8042_ops){.reset = note_reset, .opaque = pc}, NULL);
    add(pc, i8042_device(pc->kbc));
    pc->keyboard = ps2_keyboard_new(pc->rig.clock, NULL);
    pc->mouse = ps2_mouse_new(NULL);
    add(pc, &pc->keyboard->dev);
    add(pc, &pc->mouse->dev);
    i8042_attach(pc->kbc, pc->keyboard, pc->mouse);
    rig_char_init(&pc->ch);
    pc->uart = uart16550_new(pc->rig.ports, 0x3f8, pc->rig.clock, &irq4, &pc->ch.ch, NULL);
    add(pc, uart16550_device(pc->uart));
    add(pc, isa_debug_exit_device(isa_debug_exit_new(pc->rig.ports, 0xf4, note_exit, pc, NULL)));
    add(pc, pvpanic_device(pvpanic_new(pc->rig.ports, 0x505, note_panic, pc, NULL)));
}

void pc_rig_set_up(struct pc_rig *pc, uint64_t now)
{
    memset(pc, 0, sizeof(*pc));
    rig_set_up(&pc->rig);
    pc->rig.ns += now;
    add_interrupts(pc);
    add_timers(pc);
    add_pci(pc);
    add_ports(pc);
    add_hotplug(pc);
}

void pc_rig_tear_down(struct pc_rig *pc)
{
    while (pc->devices) {
        struct device *dev = pc->device[--pc->devices];
        dev->free(dev);
    }
    pci_bus_free(pc->bus);
    lapics_free(pc->apics);
    block_close(pc->disk);
    block_close(pc->disc);
    block_close(pc->slow_disc);
    block_close(pc->slow_disk);
    block_close(pc->diskette);
    rig_tear_down(&pc->rig);
}
