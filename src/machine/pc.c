/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/pc.h"

#include <errno.h>

#include "base/mem.h"
#include "device/debugcon.h"
#include "device/hpet.h"
#include "device/i440fx.h"
#include "device/i8042.h"
#include "device/i8254.h"
#include "device/i8259.h"
#include "device/ioapic.h"
#include "device/isa_debug_exit.h"
#include "device/lapic.h"
#include "device/mc146818.h"
#include "device/pci.h"
#include "device/piix3.h"
#include "device/piix4_pm.h"
#include "device/pvpanic.h"
#include "device/uart16550.h"
#include "device/virtio/virtio_balloon.h"
#include "device/vga.h"
#include "device/vmgenid.h"
#include "machine/pc_firmware.h"
#include "machine/pc_rom.h"

/* ---- interrupt wiring ---- */

/* A global system interrupt: I/O APIC pin @gsi, and below 16 the 8259 pair too. */
static void pc_gsi(void *opaque, unsigned gsi, int level)
{
    struct pc *pc = opaque;
    struct irq_line line;

    if (gsi < IOAPIC_PINS) {
        line = ioapic_input(pc->ioapic, gsi);
        irq_set(&line, level);
    }
    if (gsi < 16) {
        line = i8259_input(pc->pic, gsi);
        irq_set(&line, level);
    }
}

/* An ISA interrupt: as a GSI, but the 8254's IRQ 0 is wired to I/O APIC pin 2. */
void pc_isa_irq(void *opaque, unsigned irq, int level)
{
    struct pc *pc = opaque;
    struct irq_line line;

    if (irq != 0) {
        pc_gsi(pc, irq, level);
        return;
    }
    line = ioapic_input(pc->ioapic, 2);
    irq_set(&line, level);
    line = i8259_input(pc->pic, 0);
    irq_set(&line, level);
}

/* The RTC reaches IRQ 8 by way of the HPET, and power management. */
static void pc_rtc_irq(void *opaque, unsigned input, int level)
{
    struct pc *pc = opaque;
    struct irq_line line = hpet_irq8_input(pc->hpet);

    irq_set(&line, level);
    if (pc->pm) {
        line = piix4_pm_rtc_input(pc->pm);
        irq_set(&line, level);
    }
}

static struct irq_line isa_line(struct pc *pc, unsigned irq)
{
    return (struct irq_line){.set = pc_isa_irq, .opaque = pc, .input = irq};
}

/* The PIIX3 exists only after the bus it sits on. */
static void pc_intx(void *opaque, unsigned input, int level)
{
    struct pc *pc = opaque;

    if (pc->isa)
        piix3_intx(pc->isa, input, level);
}

static void attention(struct pc *pc, unsigned cpu, unsigned bit)
{
    machine_attention(pc->machine, cpu, bit);
}

static void apic_intr(void *opaque, unsigned cpu, int level)
{
    struct pc *pc = opaque;

    if (level)
        attention(pc, cpu, X86_ATTN_INTR);
    else
        machine_attention_clear(pc->machine, cpu, X86_ATTN_INTR);
}

static void apic_nmi(void *opaque, unsigned cpu)
{
    attention(opaque, cpu, X86_ATTN_NMI);
}

static void apic_smi(void *opaque, unsigned cpu)
{
    attention(opaque, cpu, X86_ATTN_SMI);
}

static void apic_init(void *opaque, unsigned cpu)
{
    struct pc *pc = opaque;

    /* It ends the wait that an earlier SIPI was for; a later one finds the processor waiting. */
    machine_attention_clear(pc->machine, cpu, X86_ATTN_SIPI);
    attention(pc, cpu, X86_ATTN_INIT);
}

static void apic_sipi(void *opaque, unsigned cpu, uint8_t vector)
{
    struct pc *pc = opaque;

    pc->machine->vm->cpus[cpu]->sipi_vector = vector;
    attention(pc, cpu, X86_ATTN_SIPI);
}

static void apic_eoi(void *opaque, uint8_t vector)
{
    struct pc *pc = opaque;

    if (pc->ioapic)
        ioapic_eoi(pc->ioapic, vector);
}

static uint8_t apic_extint_ack(void *opaque)
{
    struct pc *pc = opaque;
    return i8259_ack(pc->pic);
}

static uint64_t apic_tsc(void *opaque, unsigned cpu)
{
    struct pc *pc = opaque;
    struct x86_vm *vm = pc->machine->vm;
    return vm->host.tsc(vm->host.opaque) + vm->cpus[cpu]->tsc_offset;
}

/* ---- what the processors ask of the board ---- */

static struct lapics *apics_of(void *machine)
{
    return ((struct machine *)machine)->pc->lapics;
}

static int host_intr_ack(void *opaque, unsigned cpu)
{
    return lapic_ack(apics_of(opaque), cpu);
}

static int host_apic_rdmsr(void *opaque, unsigned cpu, uint32_t msr, uint64_t *ret)
{
    struct machine *m = opaque;

    /* The processors are made, and say CPUID, before their APICs. */
    if (!m->pc || !m->pc->lapics)
        return -EINVAL;
    return lapic_rdmsr(m->pc->lapics, cpu, msr, ret);
}

static int host_apic_wrmsr(void *opaque, unsigned cpu, uint32_t msr, uint64_t value)
{
    return lapic_wrmsr(apics_of(opaque), cpu, msr, value);
}

static uint8_t host_get_cr8(void *opaque, unsigned cpu)
{
    return lapic_get_cr8(apics_of(opaque), cpu);
}

static void host_set_cr8(void *opaque, unsigned cpu, uint8_t value)
{
    lapic_set_cr8(apics_of(opaque), cpu, value);
}

static void host_tsc_changed(void *opaque, unsigned cpu)
{
    struct machine *m = opaque;

    lapic_tsc_changed(m->pc->lapics, cpu);
    pvclock_update(&m->pvclock, cpu);
}

static void host_ferr(void *opaque, int level)
{
    struct machine *m = opaque;
    pc_isa_irq(m->pc, 13, level);
}

static void pc_fill_host(struct x86_host *host)
{
    host->intr_ack = host_intr_ack;
    host->apic_rdmsr = host_apic_rdmsr;
    host->apic_wrmsr = host_apic_wrmsr;
    host->get_cr8 = host_get_cr8;
    host->set_cr8 = host_set_cr8;
    host->ferr = host_ferr;
    host->tsc_changed = host_tsc_changed;
}

/* ---- ways to end ---- */

static void pc_reset_request(void *opaque)
{
    struct pc *pc = opaque;
    machine_want_reset(pc->machine, false);
}

static void pc_poweroff(void *opaque)
{
    struct pc *pc = opaque;
    machine_end(pc->machine, MACHINE_END_POWEROFF, 0, "power off");
}

static void pc_debug_exit(void *opaque, int status)
{
    struct pc *pc = opaque;
    machine_end(pc->machine, MACHINE_END_DEBUG_EXIT, status, "debug exit");
}

static void pc_panic(void *opaque, unsigned events)
{
    struct pc *pc = opaque;

    /* With a crash kernel loaded the guest deals with its panic itself. */
    if (events & PVPANIC_PANICKED)
        machine_end(pc->machine, MACHINE_END_PANIC, 0, "the guest's kernel panicked");
}

static void pc_a20(void *opaque, int on)
{
    struct pc *pc = opaque;
    x86_set_a20(pc->machine->vm, on != 0);
}

static int64_t pc_wall_ns(void *opaque)
{
    return machine_wall_ns(((const struct pc *)opaque)->machine);
}

/* ---- making the devices ---- */

#define ADD(pc, device) machine_add_device((pc)->machine, (device))

static int create_interrupts(struct pc *pc, struct error *err)
{
    struct machine *m = pc->machine;
    struct lapic_ops ops = {.intr = apic_intr,
                            .nmi = apic_nmi,
                            .smi = apic_smi,
                            .init = apic_init,
                            .sipi = apic_sipi,
                            .eoi = apic_eoi,
                            .extint_ack = apic_extint_ack,
                            .tsc = apic_tsc,
                            .opaque = pc};
    struct msi_sink msi;
    struct irq_line lint0;

    pc->lapics = lapics_new(m->space, m->clock, m->vm->cpu_count, m->vm->tsc_khz, &ops, err);
    if (!pc->lapics)
        return -ENOMEM;
    for (unsigned i = 0; i < m->vm->cpu_count; i++)
        ADD(pc, lapic_device(pc->lapics, i));
    lint0 = lapics_lint0(pc->lapics);
    pc->pic = i8259_new(m->ports, &lint0, err);
    if (!pc->pic)
        return -ENOMEM;
    ADD(pc, i8259_device(pc->pic));
    msi = lapics_msi_sink(pc->lapics);
    pc->ioapic = ioapic_new(m->space, (uint32_t)PC_IOAPIC_BASE, &msi, err);
    if (!pc->ioapic)
        return -ENOMEM;
    ADD(pc, ioapic_device(pc->ioapic));
    return 0;
}

static int create_pci(struct pc *pc, struct error *err)
{
    struct machine *m = pc->machine;
    struct msi_sink msi = lapics_msi_sink(pc->lapics);
    struct irq_line intx = {.set = pc_intx, .opaque = pc};
    struct irq_line isa = {.set = pc_isa_irq, .opaque = pc};
    struct irq_line sci = isa_line(pc, PC_SCI);
    struct piix3_ops isa_ops = {.reset = pc_reset_request, .a20 = pc_a20, .opaque = pc};
    struct piix4_pm_ops pm_ops = {.poweroff = pc_poweroff, .opaque = pc};
    struct i440fx *bridge;

    pc->pci = pci_bus_new(m->space, m->ports, &intx, &msi, err);
    if (!pc->pci)
        return -ENOMEM;
    ADD(pc, pci_bus_device(pc->pci));
    bridge = i440fx_new(pc->pci, pc_pam_changed, pc, err);
    if (!bridge)
        return -ENOMEM;
    ADD(pc, i440fx_device(bridge));
    pc->isa = piix3_new(pc->pci, 1, m->ports, &isa, &isa_ops, err);
    if (!pc->isa)
        return -ENOMEM;
    ADD(pc, piix3_device(pc->isa));
    pc->pm = piix4_pm_new(pc->pci, 1, 3, m->ports, m->clock, &sci, &pm_ops, err);
    if (!pc->pm)
        return -ENOMEM;
    ADD(pc, piix4_pm_device(pc->pm));
    return 0;
}

/* What the BIOS looks for beside the memory sizes. */
static void set_cmos(struct pc *pc)
{
    enum { EQUIPMENT = 0x14, BOOT_FLAGS1 = 0x38, BOOT_FLAGS2 = 0x3d, OTHER_CPUS = 0x5f };
    enum { EQUIPMENT_FPU = 1 << 1, EQUIPMENT_MOUSE = 1 << 2 };
    enum { BOOT_FLOPPY = 1, BOOT_DISK = 2, BOOT_CD = 3 };

    mc146818_set_cmos(pc->rtc, EQUIPMENT, EQUIPMENT_FPU | EQUIPMENT_MOUSE);
    mc146818_set_cmos(pc->rtc, BOOT_FLAGS1, BOOT_FLOPPY << 4);
    mc146818_set_cmos(pc->rtc, BOOT_FLAGS2, BOOT_CD << 4 | BOOT_DISK);
    mc146818_set_cmos(pc->rtc, OTHER_CPUS, (uint8_t)(pc->machine->vm->cpu_count - 1));
}

static int create_timers(struct pc *pc, struct error *err)
{
    struct machine *m = pc->machine;
    struct msi_sink msi = lapics_msi_sink(pc->lapics);
    struct irq_line gsi = {.set = pc_gsi, .opaque = pc};
    struct irq_line irq0 = isa_line(pc, 0), irq8 = isa_line(pc, 8), line;

    pc->hpet = hpet_new(m->space, (uint32_t)PC_HPET_BASE, m->clock, &gsi, &irq0, &irq8, &msi, err);
    if (!pc->hpet)
        return -ENOMEM;
    ADD(pc, hpet_device(pc->hpet));
    line = hpet_irq0_input(pc->hpet);
    pc->pit = i8254_new(m->ports, m->clock, &line, err);
    if (!pc->pit)
        return -ENOMEM;
    ADD(pc, i8254_device(pc->pit));
    line = (struct irq_line){.set = pc_rtc_irq, .opaque = pc};
    pc->rtc = mc146818_new(m->ports, m->clock, &line, pc_wall_ns, pc, err);
    if (!pc->rtc)
        return -ENOMEM;
    ADD(pc, mc146818_device(pc->rtc));
    mc146818_set_memory(pc->rtc, pc->low_memory, m->config.memory - pc->low_memory);
    set_cmos(pc);
    return 0;
}

static int create_serials(struct pc *pc, struct error *err)
{
    static const struct {
        uint16_t base;
        unsigned irq;
    } com[MACHINE_SERIALS] = {{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}};
    struct machine *m = pc->machine;

    for (unsigned i = 0; i < MACHINE_SERIALS; i++) {
        struct irq_line irq = isa_line(pc, com[i].irq);
        struct uart16550 *uart;
        if (!m->config.serials[i])
            continue;
        uart = uart16550_new(m->ports, com[i].base, m->clock, &irq, m->config.serials[i], err);
        if (!uart)
            return -ENOMEM;
        ADD(pc, uart16550_device(uart));
    }
    return 0;
}

/* Keyboard and mouse, where there is a screen to use them with. */
static int add_input(struct pc *pc, struct i8042 *kbc, struct error *err)
{
    struct machine *m = pc->machine;
    struct ps2_device *keyboard = ps2_keyboard_new(m->clock, err), *mouse;

    if (!keyboard)
        return -ENOMEM;
    ADD(pc, &keyboard->dev);
    mouse = ps2_mouse_new(err);
    if (!mouse)
        return -ENOMEM;
    ADD(pc, &mouse->dev);
    i8042_attach(kbc, keyboard, mouse);
    m->keyboard = &keyboard->input;
    m->mouse = &mouse->input;
    return 0;
}

static int create_generation(struct pc *pc, struct error *err)
{
    struct machine *m = pc->machine;

    pc->generation = vmgenid_new(m->space, (uint32_t)PC_VMGENID_BASE, m->config.generation, err);
    if (!pc->generation)
        return -ENOMEM;
    ADD(pc, vmgenid_device(pc->generation));
    return 0;
}

/* It goes on from a state that others may go on from. */
static void pc_resumed(struct machine *m)
{
    vmgenid_set(m->pc->generation, m->config.generation);
    piix4_pm_gpe(m->pc->pm, PC_VMGENID_GPE);
}

static int create_extras(struct pc *pc, struct error *err)
{
    struct machine *m = pc->machine;
    struct irq_line irq1 = isa_line(pc, 1), irq12 = isa_line(pc, 12);
    struct i8042_ops kbc_ops = {.reset = pc_reset_request, .a20 = pc_a20, .opaque = pc};
    struct i8042 *kbc = i8042_new(m->ports, &irq1, &irq12, &kbc_ops, err);
    struct pvpanic *panic;

    if (!kbc)
        return -ENOMEM;
    ADD(pc, i8042_device(kbc));
    if (m->config.vga && add_input(pc, kbc, err) < 0)
        return -ENOMEM;
    panic = pvpanic_new(m->ports, PC_PVPANIC_PORT, pc_panic, pc, err);
    if (!panic)
        return -ENOMEM;
    ADD(pc, pvpanic_device(panic));
    if (m->config.debug_exit) {
        struct isa_debug_exit *exit_port =
            isa_debug_exit_new(m->ports, 0xf4, pc_debug_exit, pc, err);
        if (!exit_port)
            return -ENOMEM;
        ADD(pc, isa_debug_exit_device(exit_port));
    }
    if (m->config.debug_console) {
        struct debugcon *con = debugcon_new(m->ports, 0x402, m->config.debug_console, err);
        if (!con)
            return -ENOMEM;
        ADD(pc, debugcon_device(con));
    }
    return 0;
}

static int create_vga(struct pc *pc, struct error *err)
{
    struct machine *m = pc->machine;
    struct vga_config config = {.first_gfn = m->config.memory >> GMEM_PAGE_BITS,
                                .rom = m->config.vga_rom,
                                .rom_len = m->config.vga_rom_len};

    if (!m->config.vga)
        return 0;
    pc->vga = vga_new(pc->pci, PC_VGA_SLOT, m->space, m->ports, m->clock, &config, err);
    if (!pc->vga)
        return -ENOMEM;
    ADD(pc, vga_device(pc->vga));
    m->display = vga_display(pc->vga);
    return 0;
}

/* RAM around the two holes: the display's below 1 MiB and the PCI hole below 4 GiB. */
static int map_memory(struct pc *pc, struct error *err)
{
    struct machine *m = pc->machine;
    uint64_t memory = m->config.memory, hole = (uint32_t)PC_PCI_HOLE, four_gib = 1ull << 32;
    uint64_t low = min_of(memory, hole);

    pc->low_memory = low;
    if (!space_map_ram(m->space, "ram-640k", 0, 0xa0000, 0, 0, err))
        return -ENOMEM;
    /* With firmware, PAM says what is there. */
    if (!m->config.firmware && !space_map_ram(m->space, "ram-bios", 0xc0000, 0x40000, 0xc0, 0, err))
        return -ENOMEM;
    if (low > 0x100000 &&
        !space_map_ram(m->space, "ram-low", 0x100000, low - 0x100000, 0x100, 0, err))
        return -ENOMEM;
    if (memory > low &&
        !space_map_ram(m->space, "ram-high", four_gib, memory - low, low >> GMEM_PAGE_BITS, 0, err))
        return -ENOMEM;
    pc->ranges[pc->range_count++] = (struct boot_range){0, 0x9fc00, 1};
    pc->ranges[pc->range_count++] = (struct boot_range){0x9fc00, 0x400, 2};
    pc->ranges[pc->range_count++] =
        (struct boot_range){PC_ACPI_TABLES, 0x100000 - PC_ACPI_TABLES, 2};
    if (low > 0x100000)
        pc->ranges[pc->range_count++] = (struct boot_range){0x100000, low - 0x100000, 1};
    if (memory > low)
        pc->ranges[pc->range_count++] = (struct boot_range){four_gib, memory - low, 1};
    return 0;
}

static int pc_create(struct machine *m, struct error *err)
{
    struct pc *pc = mem_new(struct pc);
    int r;

    if (!pc)
        return error_set(err, -ENOMEM, "create board: out of memory");
    m->pc = pc;
    pc->machine = m;
    r = map_memory(pc, err);
    if (r == 0)
        r = pc_rom_create(pc, err);
    if (r == 0)
        r = create_interrupts(pc, err);
    if (r == 0)
        r = create_pci(pc, err);
    if (r == 0)
        r = create_timers(pc, err);
    if (r == 0)
        r = create_serials(pc, err);
    if (r == 0)
        r = create_extras(pc, err);
    if (r == 0)
        r = create_generation(pc, err);
    if (r == 0)
        r = pc_create_drives(pc, err);
    if (r == 0)
        r = create_vga(pc, err);
    if (r == 0)
        r = pc_create_virtio(pc, err);
    if (r == 0)
        r = pc_create_hotplug(pc, err);
    if (r == 0)
        r = pc_create_fw_cfg(pc, err);
    return r < 0 ? error_wrap(err, r, "create board pc") : 0;
}

static void pc_destroy(struct machine *m)
{
    struct pc *pc = m->pc;
    struct device **link = &m->devices;

    if (!pc)
        return;
    /* The local APICs' and the bus' devices belong to their owners, which outlive the other
     * devices. */
    while (*link) {
        struct device *dev = *link;
        bool kept = pc->pci && dev == pci_bus_device(pc->pci);
        for (unsigned i = 0; pc->lapics && i < m->vm->cpu_count; i++)
            kept |= dev == lapic_device(pc->lapics, i);
        *link = dev->next;
        if (!kept)
            dev->free(dev);
    }
    pci_bus_free(pc->pci);
    lapics_free(pc->lapics);
    pc_rom_destroy(pc);
    pc_fw_cfg_done(pc);
    free(pc);
    m->pc = NULL;
}

/* The screen of a kernel that is loaded directly: no BIOS will set a mode for it. */
static void set_screen(struct pc *pc, struct boot_screen *ret)
{
    struct vga_linear linear;

    if (!pc->vga)
        return;
    if (pc->machine->config.vga_text) {
        vga_set_text(pc->vga);
        ret->text = true;
        return;
    }
    vga_set_linear(pc->vga, 1024, 768, &linear);
    if (linear.address)
        *ret = (struct boot_screen){.address = linear.address,
                                    .width = linear.width,
                                    .height = linear.height,
                                    .line_bytes = linear.line_bytes};
}

static int load_guest(struct pc *pc, const struct machine_guest *guest, struct error *err)
{
    struct machine *m = pc->machine;
    struct boot_params p = {.space = m->space,
                            .range_count = pc->range_count,
                            .low_memory = pc->low_memory,
                            .memory = m->config.memory,
                            .rsdp = PC_RSDP,
                            .kernel = guest->kernel,
                            .kernel_len = guest->kernel_len,
                            .vmlinux = guest->vmlinux,
                            .vmlinux_len = guest->vmlinux_len,
                            .initrd = guest->initrd,
                            .initrd_len = guest->initrd_len,
                            .append = m->config.append};

    memcpy(p.ranges, pc->ranges, sizeof(p.ranges));
    set_screen(pc, &p.screen);
    if (!m->config.no_kaslr)
        machine_random(m, &p.random, sizeof(p.random));
    return boot_load(&p, &m->entry, err);
}

static int pc_boot(struct machine *m, struct error *err)
{
    struct machine_guest guest = m->config.guest;
    int r;

    if (pc_has_firmware(m->pc)) { /* the boot processor starts where its reset has put it */
        piix4_pm_without_smm(m->pc->pm);
        return pc_rom_load(m->pc, err);
    }
    r = pc_firmware_setup(m->pc, err);
    if (r == 0 && m->config.load)
        r = m->config.load(m->config.load_opaque, &guest, err);
    if (r < 0)
        return r;
    r = load_guest(m->pc, &guest, err);
    if (m->config.unload)
        m->config.unload(m->config.load_opaque);
    if (r == 0)
        pc_firmware_enter(m, &m->entry);
    return r;
}

/* Behind RAM: video memory, then firmware. */
static uint64_t pc_extra_memory(const struct machine_config *config)
{
    return (config->vga ? VGA_MEMORY : 0) + pc_rom_memory(config);
}

static void pc_power_button(struct machine *m)
{
    piix4_pm_power_button(m->pc->pm);
}

static struct device *pc_part(struct machine *m, unsigned index)
{
    struct pci_function *f = NULL;

    for (struct device *dev = m->devices; dev; dev = dev->next)
        if (index-- == 0)
            return dev;
    while ((f = pci_next(m->pc->pci, f)))
        if (index-- == 0)
            return pci_function_device(f);
    return NULL;
}

/* From the source of an interrupt to the processor. */
static bool pc_settles_last(const struct machine *m, const struct device *part)
{
    bool last = part == i8259_device(m->pc->pic) || part == ioapic_device(m->pc->ioapic);

    for (unsigned i = 0; i < m->vm->cpu_count; i++)
        last |= part == lapic_device(m->pc->lapics, i);
    return last;
}

static int pc_set_balloon(struct machine *m, uint32_t pages, struct error *err)
{
    if (pages && !virtio_balloon_running(m->pc->balloon))
        return error_set(err, -ENOTSUP,
                         "its kernel runs no driver for a memory balloon (virtio_balloon); change "
                         "its memory when it is stopped");
    virtio_balloon_set(m->pc->balloon, pages);
    return 0;
}

static void pc_select_cpu(struct machine *m, unsigned cpu)
{
    lapics_select(m->pc->lapics, cpu);
}

static void pc_speaker(struct machine *m, struct machine_speaker *ret)
{
    ret->tone_hz = i8254_speaker(m->pc->pit, &ret->sounds);
}

static struct block *pc_drive(struct machine *m, unsigned index)
{
    return m->pc->drives[index].block;
}

static void pc_show_interrupts(struct machine *m, struct str *out)
{
    i8259_show(m->pc->pic, out);
    ioapic_show(m->pc->ioapic, out);
    for (unsigned i = 0; i < m->vm->cpu_count; i++)
        lapic_show(m->pc->lapics, i, out);
    pci_show(m->pc->pci, out);
}

const struct board_ops pc_board = {
    .name = "pc",
    .about = "PC with i440FX and PIIX chip sets, APICs, ACPI and virtio over PCI",
    .extra_memory = pc_extra_memory,
    .create = pc_create,
    .destroy = pc_destroy,
    .boot = pc_boot,
    .power_button = pc_power_button,
    .set_balloon = pc_set_balloon,
    .part = pc_part,
    .settles_last = pc_settles_last,
    .resumed = pc_resumed,
    .stats = pc_stats,
    .speaker = pc_speaker,
    .set_medium = pc_set_medium,
    .plug_drive = pc_plug_drive,
    .unplug_drive = pc_unplug_drive,
    .drive = pc_drive,
    .show_interrupts = pc_show_interrupts,
    .plug_nic = pc_plug_nic,
    .unplug_nic = pc_unplug_nic,
    .select_cpu = pc_select_cpu,
    .fill_host = pc_fill_host};
