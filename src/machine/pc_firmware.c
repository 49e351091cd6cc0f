/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/pc_firmware.h"

#include <errno.h>

#include "base/mem.h"
#include "cpu/x86/access.h"
#include "cpu/x86/model.h"
#include "device/i8259.h"
#include "device/lapic.h"
#include "device/piix3.h"
#include "device/piix4_pm.h"
#include "machine/smbios.h"

/* ---- PCI: configuration space by the guest's own mechanism (PCI 3.0, 3.2.2.3.2) ---- */

enum { CONFIG_ADDRESS = 0xcf8, CONFIG_DATA = 0xcfc };
enum { PCI_COMMAND = 0x04, PCI_HEADER = 0x0e, PCI_BAR0 = 0x10, PCI_LINE = 0x3c, PCI_PIN = 0x3d };
enum { IDE_FUNCTION = 1 << 3 | 1 };
enum { FIRST_IO = 0xc000, IO_END = 0xff00 };

static uint32_t config_read(struct pc *pc, unsigned devfn, unsigned reg)
{
    ports_write(pc->machine->ports, CONFIG_ADDRESS, 4, 0x80000000u | devfn << 8 | reg);
    return ports_read(pc->machine->ports, CONFIG_DATA, 4);
}

static void config_write(struct pc *pc, unsigned devfn, unsigned reg, uint32_t value)
{
    ports_write(pc->machine->ports, CONFIG_ADDRESS, 4, 0x80000000u | devfn << 8 | reg);
    ports_write(pc->machine->ports, CONFIG_DATA, 4, value);
}

/* Sizes one BAR and gives it an address; returns the number of BAR slots it takes. */
static unsigned place_bar(struct pc *pc, unsigned devfn, unsigned reg, struct error *err, int *ret)
{
    uint32_t old = config_read(pc, devfn, reg), sized;
    bool io, wide;
    uint64_t size, address, *next;

    config_write(pc, devfn, reg, 0xffffffffu);
    sized = config_read(pc, devfn, reg);
    config_write(pc, devfn, reg, old);
    if (!sized || sized == 0xffffffffu)
        return 1;
    io = sized & 1;
    wide = !io && (sized & 6) == 4;
    size = io ? (~(sized & ~3u) & 0xffff) + 1u : ~(sized & ~0xfu) + 1u;
    next = io ? &pc->next_io : &pc->next_mem;
    address = (*next + size - 1) & ~(size - 1);
    *next = address + size;
    if (*next > (io ? IO_END : (uint32_t)PC_IOAPIC_BASE)) {
        *ret = error_set(err, -ENOSPC, "the PCI devices do not fit into the %s space",
                         io ? "I/O" : "memory");
        return 1;
    }
    config_write(pc, devfn, reg, (uint32_t)address);
    if (wide)
        config_write(pc, devfn, reg + 4, 0);
    return wide ? 2 : 1;
}

static int setup_function(struct pc *pc, unsigned devfn, struct error *err)
{
    static const uint8_t irq_of_pirq[4] = {10, 10, 11, 11};
    uint32_t pins = config_read(pc, devfn, PCI_LINE);
    unsigned pin = pins >> 8 & 0xff, slot = devfn >> 3;
    int r = 0;

    for (unsigned bar = 0; bar < 6 && r == 0;)
        bar += place_bar(pc, devfn, PCI_BAR0 + bar * 4, err, &r);
    if (pin)
        config_write(pc, devfn, PCI_LINE, (pins & ~0xffu) | irq_of_pirq[(slot + pin - 1 + 3) & 3]);
    /* Decode both spaces and master the bus, as PC firmware leaves it for boot devices. */
    config_write(pc, devfn, PCI_COMMAND, (config_read(pc, devfn, PCI_COMMAND) & 0xffff) | 7);
    return r;
}

static int setup_pci(struct pc *pc, struct error *err)
{
    pc->next_io = FIRST_IO;
    pc->next_mem = 0xe0000000u;
    for (unsigned pirq = 0; pirq < 4; pirq++)
        piix3_route(pc->isa, pirq, pirq < 2 ? 10 : 11);
    i8259_set_elcr(pc->pic, 1 << PC_SCI | 1 << 10 | 1 << 11);
    if ((config_read(pc, IDE_FUNCTION, 0) & 0xffff) != 0xffff) {
        int r = setup_function(pc, IDE_FUNCTION, err);
        if (r < 0)
            return r;
    }
    for (unsigned slot = 2; slot < 32; slot++) {
        int r;
        if ((config_read(pc, slot << 3, 0) & 0xffff) == 0xffff)
            continue;
        r = setup_function(pc, slot << 3, err);
        if (r < 0)
            return r;
    }
    piix4_pm_place(pc->pm, PC_PM_BASE, true);
    return 0;
}

/* The 8259 pair in its PC position: vectors 0x08 and 0x70, cascade on input 2, all masked. */
static void setup_pic(struct pc *pc)
{
    static const struct {
        uint16_t port;
        uint8_t value;
    } words[] = {{0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xff},
                 {0xa0, 0x11}, {0xa1, 0x70}, {0xa1, 0x02}, {0xa1, 0x01}, {0xa1, 0xff}};

    for (unsigned i = 0; i < array_size(words); i++)
        ports_write(pc->machine->ports, words[i].port, 1, words[i].value);
}

/* ---- processors ---- */

/* Software-enabled, LINT0 = ExtINT, LINT1 = NMI: virtual wire mode (MultiProcessor
 * Specification 3.6.2.2). */
static void setup_apics(struct pc *pc)
{
    struct machine *m = pc->machine;

    for (unsigned i = 0; i < m->vm->cpu_count; i++) {
        lapics_select(pc->lapics, i);
        space_store(m->space, (uint32_t)PC_LAPIC_BASE + 0xf0, 4, 0x1ff);
        space_store(m->space, (uint32_t)PC_LAPIC_BASE + 0x350, 4, i == 0 ? 0x700 : 0x10700);
        space_store(m->space, (uint32_t)PC_LAPIC_BASE + 0x360, 4, 0x400);
    }
    lapics_select(pc->lapics, 0);
}

/* Write-back everywhere but in the holes (vol. 3, 11.11). */
static void setup_mtrrs(struct x86_cpu *c)
{
    uint32_t sizes[4];
    uint64_t mask;

    x86_cpuid(c, 0x80000008, 0, sizes);
    mask = (sizes[0] & 0xff) >= 36 ? (1ull << (sizes[0] & 0xff)) - 1 : 0xfffffffffull;
    for (unsigned i = 0; i < array_size(c->mtrr_fixed); i++)
        c->mtrr_fixed[i] = i == 2 ? 0 : 0x0606060606060606ull;
    c->mtrr_base[0] = (uint32_t)PC_PCI_HOLE;
    c->mtrr_mask[0] = (mask & ~0x3fffffffull) | 1 << 11;
    c->mtrr_def_type = 0xc06;
}

int pc_firmware_setup(struct pc *pc, struct error *err)
{
    struct machine *m = pc->machine;
    struct acpi_config acpi = {.cpus = m->vm->cpu_count,
                               .screen = m->config.vga,
                               .pm_base = PC_PM_BASE,
                               .pci_hole = (uint32_t)PC_PCI_HOLE};
    struct smbios_config smbios = {
        .memory = m->config.memory, .cpus = m->vm->cpu_count, .uuid = m->config.uuid};
    int r = setup_pci(pc, err);

    if (r < 0)
        return r;
    setup_pic(pc);
    setup_apics(pc);
    for (unsigned i = 0; i < m->vm->cpu_count; i++)
        setup_mtrrs(m->vm->cpus[i]);
    for (unsigned i = 0; i < MACHINE_SERIALS; i++)
        acpi.serials |= m->config.serials[i] ? 1u << i : 0;
    r = acpi_write(m->space, &acpi, err);
    return r < 0 ? r : smbios_write(m->space, &smbios, err);
}

/* ---- entering the kernel ---- */

static void set_segment(struct x86_cpu *c, unsigned seg, uint16_t sel, uint16_t attr)
{
    c->seg[seg].sel = sel;
    c->seg[seg].attr = attr;
    c->seg[seg].base = 0;
    c->seg[seg].limit = 0xffffffffu;
    c->seg[seg].null = false;
}

void pc_firmware_enter(struct machine *m, const struct boot_entry *entry)
{
    enum { CODE64 = 0xa09b, CODE32 = 0xc09b, DATA32 = 0xc093 };
    struct x86_cpu *c = m->vm->cpus[0];
    bool wide = entry->mode == BOOT_LONG64;

    memset(c->gpr, 0, sizeof(c->gpr));
    c->gpr[X86_RAX] = entry->rax;
    c->gpr[X86_RBX] = entry->rbx;
    c->gpr[X86_RSI] = entry->rsi;
    c->gpr[X86_RSP] = BOOT_INFO;
    c->rip = entry->rip;
    c->gdt = (struct x86_dtable){.base = entry->gdt, .limit = entry->gdt_limit};
    c->cr0 = X86_CR0_PE | X86_CR0_ET | (wide ? X86_CR0_PG : 0);
    c->cr3 = entry->cr3;
    c->cr4 = wide ? X86_CR4_PAE : 0;
    c->efer = wide ? X86_EFER_LME | X86_EFER_LMA : 0;
    set_segment(c, X86_CS, entry->cs, wide ? CODE64 : CODE32);
    for (unsigned seg = 0; seg < X86_SEGS; seg++)
        if (seg != X86_CS)
            set_segment(c, seg, entry->ds, DATA32);
    c->cpl = 0;
    x86_mode_update(c);
    for (unsigned seg = 0; seg < X86_SEGS; seg++)
        x86_seg_update(c, seg);
}
