/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Board pc: the wiring of QEMU's i440FX/PIIX machine, which firmware and drivers know.
 *
 *   00:00.0 i440FX host bridge   00:01.0 PIIX3 ISA bridge
 *   00:01.1 PIIX3 IDE, when it has drives   00:01.3 PIIX4 power management (SCI: IRQ 9)
 *   00:02.0 VGA, if any, and on: virtio, in this order: network adapters (or other models), drives,
 *   console, random numbers, balloon
 *   PCI interrupts A..D of a slot rotate over PIRQA..D; A and B go to IRQ 10, C and D to IRQ 11
 *   RAM from 0 to 3 GiB, what is more from 4 GiB on; 0xA0000-0xBFFFF is left to a display
 */
#ifndef MACHINE_PC_H
#define MACHINE_PC_H

#include "machine/acpi.h"
#include "machine/machine_internal.h"

struct i440fx;
struct i8259;
struct ioapic;
struct hpet;
struct lapics;
struct mc146818;
struct pci_bus;
struct virtio_balloon;
struct virtio_blk;
struct virtio_scsi;
struct ata_drive;
struct fdc;
struct acpi_pcihp;
struct piix3;
struct piix4_pm;
struct vga;
struct vmgenid;

enum { PC_VGA_SLOT = 2 };
struct fw_cfg;

/* A part of 0xC0000-0xFFFFF that a PAM register rules (pc_rom.c). */
enum { PC_SHADOWS = 13 };
struct pc_shadow {
    struct pc *pc;
    uint32_t at;
    uint8_t mode; /* PAM's bits as mapped, once range is set */
    struct space_range *range;
};

/* A place for a drive: block is NULL when it is free, blk when the drive is on another bus. */
struct pc_drive {
    struct virtio_blk *blk;
    struct block *block;
    unsigned slot;
};

/* A network adapter that may be taken out; those of other models are not listed. */
struct pc_nic {
    struct virtio_net *net; /* NULL: none */
    struct netdev *netdev;
    unsigned slot;
};

struct pc {
    struct machine *machine;
    struct lapics *lapics;
    struct i8259 *pic;
    struct ioapic *ioapic;
    struct hpet *hpet;
    struct i8254 *pit;
    struct mc146818 *rtc;
    struct pci_bus *pci;
    struct piix3 *isa;
    struct piix4_pm *pm;
    struct vmgenid *generation;
    struct vga *vga;            /* NULL: none */
    uint64_t next_io, next_mem; /* where the next BAR is placed */
    struct boot_range ranges[BOOT_RANGES];
    unsigned range_count;
    uint64_t low_memory;
    struct virtio_balloon *balloon;
    struct virtio_scsi *scsi; /* NULL without drives of that bus */
    struct pc_drive drives[MACHINE_DRIVES];
    struct pc_nic nics[MACHINE_NICS];
    struct acpi_pcihp *hotplug;
    struct ata_drive *ata[MACHINE_DRIVES + 1], *cd;
    unsigned ata_count;
    struct fdc *fdc;
    /* With firmware: its pages and mappings (pc_rom.c), and what it is told (pc_fw_cfg.c). */
    uint64_t rom_gfn;
    struct space_range *rom_range;
    struct pc_shadow shadows[PC_SHADOWS];
    struct fw_cfg *fw_cfg;
    struct acpi_files acpi_files;
    struct str smbios_anchor, smbios_tables, e820;
    struct str boot_order;
    /* Names of boot devices, best first: drives, CD drive, floppy drive; empty: not there. */
    char boot_path[MACHINE_DRIVES + 2][48];
};

static inline bool pc_has_firmware(const struct pc *pc)
{
    return pc->rom_range != NULL;
}

/* Creates the device by which firmware and guest learn about the machine (pc_fw_cfg.c); last, since
 * it tells of the others. */
int pc_create_fw_cfg(struct pc *pc, struct error *err);
void pc_fw_cfg_done(struct pc *pc);
/* Creates the virtio devices of the machine's configuration (pc_virtio.c). */
int pc_create_virtio(struct pc *pc, struct error *err);
/* Creates the drives on other buses (pc_drives.c). */
int pc_create_drives(struct pc *pc, struct error *err);
void pc_drives_stats(struct pc *pc, struct machine_stats *ret);
int pc_set_medium(struct machine *m, enum machine_medium which, struct block *block,
                  struct block **ret_old, struct error *err);
/* Drives and network adapters that come and go (pc_hotplug.c); the calls are those of machine.h. */
int pc_create_hotplug(struct pc *pc, struct error *err);
int pc_plug_drive(struct machine *m, struct block *block, struct error *err);
int pc_unplug_drive(struct machine *m, const struct block *block, struct error *err);
int pc_plug_nic(struct machine *m, const struct machine_nic *nic, struct error *err);
int pc_unplug_nic(struct machine *m, const struct netdev *netdev, struct error *err);
/* The wire of an ISA interrupt, as struct irq_line's set with struct pc. */
void pc_isa_irq(void *opaque, unsigned irq, int level);
/* Adds what the drives have moved. */
void pc_stats(struct machine *m, struct machine_stats *ret);
#endif
