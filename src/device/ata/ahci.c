/* SPDX-License-Identifier: Apache-2.0 */
/* The registers of the controller and its ports. Sections are those of AHCI 1.3.1. */
#include "device/ata/ahci.h"

#include <errno.h>

#include "base/mem.h"
#include "device/ata/ahci_internal.h"

/* Generic host control (3.1). */
enum { R_CAP = 0x00, R_GHC = 0x04, R_IS = 0x08, R_PI = 0x0c, R_VS = 0x10, PORT0 = 0x100 };
enum { PORT_SIZE = 0x80, BAR = 5, BAR_SIZE = 0x1000 };
enum { GHC_RESET = 1 << 0, GHC_INTERRUPTS = 1 << 1 };
#define GHC_AHCI 0x80000000u
/* 64 bits, queuing, command list override, 3 Gb/s, AHCI alone, 32 slots. */
#define CAP                                                                                        \
    (1u << 31 | 1u << 30 | 1u << 24 | 2u << 20 | 1u << 18 | (ATA_QUEUE - 1) << 8 | (AHCI_PORTS - 1))
/* Port registers (3.3). */
enum {
    P_CLB = 0x00,
    P_CLBU = 0x04,
    P_FB = 0x08,
    P_FBU = 0x0c,
    P_IS = 0x10,
    P_IE = 0x14,
    P_CMD = 0x18,
    P_TFD = 0x20,
    P_SIG = 0x24,
    P_SSTS = 0x28,
    P_SCTL = 0x2c,
    P_SERR = 0x30,
    P_SACT = 0x34,
    P_CI = 0x38,
};
enum { SCTL_DET = 15, SCTL_RESET = 1, SSTS_PRESENT = 0x123 };
#define SERR_EXCHANGED 0x04000000u

void ahci_update_irq(struct ahci *ahci)
{
    uint32_t wanted = 0;

    for (unsigned i = 0; i < AHCI_PORTS; i++)
        if (ahci->port[i].is & ahci->port[i].ie)
            wanted |= 1u << i;
    ahci->is |= wanted;
    pci_set_intx(ahci->pci, ahci->is && ahci->ghc & GHC_INTERRUPTS);
}

/* ---- ports ---- */

static uint32_t port_status(const struct ahci_port *p)
{
    return p->drive && (p->sctl & SCTL_DET) == 0 ? SSTS_PRESENT : 0;
}

static uint32_t port_read(const struct ahci_port *p, unsigned reg)
{
    switch (reg) {
    case P_CLB:
        return p->clb;
    case P_CLBU:
        return p->clbu;
    case P_FB:
        return p->fb;
    case P_FBU:
        return p->fbu;
    case P_IS:
        return p->is;
    case P_IE:
        return p->ie;
    case P_CMD:
        return p->cmd | (p->drive && p->drive->cd ? (uint32_t)PCMD_ATAPI : 0);
    case P_TFD:
        return p->tfd;
    case P_SIG:
        return p->sig;
    case P_SSTS:
        return port_status(p);
    case P_SCTL:
        return p->sctl;
    case P_SERR:
        return p->serr;
    case P_SACT:
        return p->sact;
    case P_CI:
        return p->ci;
    default:
        return 0;
    }
}

static void command_write(struct ahci_port *p, uint32_t value)
{
    const uint32_t kept = PCMD_START | PCMD_SPIN_UP | PCMD_POWER | PCMD_FIS_ENABLE;

    if (value & PCMD_OVERRIDE && !(p->cmd & PCMD_START))
        p->tfd &= ~(uint32_t)(ATA_BSY | ATA_DRQ);
    if (p->cmd & PCMD_START && !(value & PCMD_START)) {
        ahci_port_stop(p);
        p->ci = p->sact = p->queue = 0;
        p->halted = 0;
        p->cmd &= ~(uint32_t)PCMD_SLOT;
    }
    p->cmd = (p->cmd & PCMD_SLOT) | (value & kept);
    if (p->cmd & PCMD_START)
        p->cmd |= PCMD_RUNNING;
    if (p->cmd & PCMD_FIS_ENABLE)
        p->cmd |= PCMD_FIS_RUNNING;
    ahci_port_send_signature(p);
    ahci_port_issue(p);
}

static void control_write(struct ahci_port *p, uint32_t value)
{
    bool was = (p->sctl & SCTL_DET) == SCTL_RESET, now = (value & SCTL_DET) == SCTL_RESET;

    p->sctl = value & 0xfff;
    if (now && !was) {
        ahci_port_stop(p);
        p->tfd = 0x7f;
    } else if (was && !now) {
        ahci_port_reset(p);
        if (p->drive) {
            p->serr |= SERR_EXCHANGED;
            p->is |= PIS_CONNECT;
            ahci_update_irq(p->ahci);
        }
    }
}

static void port_write(struct ahci_port *p, unsigned reg, uint32_t value)
{
    switch (reg) {
    case P_CLB:
        p->clb = value & ~0x3ffu;
        break;
    case P_CLBU:
        p->clbu = value;
        break;
    case P_FB:
        p->fb = value & ~0xffu;
        break;
    case P_FBU:
        p->fbu = value;
        break;
    case P_IS:
        p->is &= ~value;
        if (value & PIS_CONNECT)
            p->serr &= ~SERR_EXCHANGED;
        ahci_update_irq(p->ahci);
        break;
    case P_IE:
        p->ie = value & PIS_IMPLEMENTED;
        ahci_update_irq(p->ahci);
        break;
    case P_CMD:
        command_write(p, value);
        break;
    case P_SCTL:
        control_write(p, value);
        break;
    case P_SERR:
        p->serr &= ~value;
        break;
    case P_SACT:
        if (p->cmd & PCMD_START)
            p->sact |= value;
        break;
    case P_CI:
        if (p->cmd & PCMD_START) {
            p->ci |= value;
            ahci_port_issue(p);
        }
        break;
    default:
        break;
    }
}

/* ---- the controller ---- */

static void reset_controller(struct ahci *ahci)
{
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        struct ahci_port *p = &ahci->port[i];
        ahci_port_stop(p);
        p->clb = p->clbu = p->fb = p->fbu = p->is = p->ie = p->sctl = p->serr = 0;
        p->cmd = PCMD_SPIN_UP | PCMD_POWER;
        ahci_port_reset(p);
    }
    ahci->is = 0;
    ahci->ghc = GHC_AHCI;
    ahci_update_irq(ahci);
}

static uint32_t dword_read(const struct ahci *ahci, unsigned offset)
{
    unsigned port = (offset - PORT0) / PORT_SIZE;

    if (offset >= PORT0)
        return port < AHCI_PORTS ? port_read(&ahci->port[port], offset % PORT_SIZE) : 0;
    switch (offset) {
    case R_CAP:
        return CAP;
    case R_GHC:
        return ahci->ghc;
    case R_IS:
        return ahci->is;
    case R_PI:
        return (1u << AHCI_PORTS) - 1;
    case R_VS:
        return 0x00010300;
    default:
        return 0;
    }
}

static void dword_write(struct ahci *ahci, unsigned offset, uint32_t value)
{
    unsigned port = (offset - PORT0) / PORT_SIZE;

    if (offset >= PORT0) {
        if (port < AHCI_PORTS)
            port_write(&ahci->port[port], offset % PORT_SIZE, value);
    } else if (offset == R_GHC) {
        if (value & GHC_RESET)
            reset_controller(ahci);
        else
            ahci->ghc = GHC_AHCI | (value & GHC_INTERRUPTS);
        ahci_update_irq(ahci);
    } else if (offset == R_IS) {
        ahci->is &= ~value;
        ahci_update_irq(ahci);
    }
}

/* Registers are read in any size and written as dwords (3, "locked and partial accesses"). */
static uint64_t mmio_read(void *dev, uint64_t offset, unsigned size)
{
    const struct ahci *ahci = dev;
    unsigned at = (unsigned)offset & ~3u;
    uint64_t value = dword_read(ahci, at);

    if ((offset & 3) + size > 4)
        value |= (uint64_t)dword_read(ahci, at + 4) << 32;
    value >>= 8 * (offset & 3);
    return size == 8 ? value : value & ((1ull << 8 * size) - 1);
}

static void mmio_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct ahci *ahci = dev;

    if (offset & 3 || size < 4)
        return;
    dword_write(ahci, (unsigned)offset, (uint32_t)value);
    if (size == 8)
        dword_write(ahci, (unsigned)offset + 4, (uint32_t)(value >> 32));
}

static const struct mmio_ops bar_ops = {.read = mmio_read, .write = mmio_write};

/* ---- state ---- */

#define PORT(i, field) STATE_FIELD(struct ahci, port[i].field, 0)
#define PORT_FIELDS(i)                                                                             \
    STATE_BLOB(struct ahci, port[i].regs), PORT(i, clb), PORT(i, clbu), PORT(i, fb), PORT(i, fbu), \
        PORT(i, is), PORT(i, ie), PORT(i, cmd), PORT(i, tfd), PORT(i, sig), PORT(i, sctl),         \
        PORT(i, serr), PORT(i, sact), PORT(i, ci), PORT(i, queue), PORT(i, halted),                \
        PORT(i, soft_reset), PORT(i, signature_sent)

static const struct state_field ahci_fields[] = {PORT_FIELDS(0),
                                                 PORT_FIELDS(1),
                                                 PORT_FIELDS(2),
                                                 PORT_FIELDS(3),
                                                 PORT_FIELDS(4),
                                                 PORT_FIELDS(5),
                                                 STATE_FIELD(struct ahci, ghc, GHC_AHCI),
                                                 STATE_FIELD(struct ahci, is, 0)};

/* Nothing was being carried out when the state was saved: what belongs to another state ends. */
static void after(void *dev)
{
    struct ahci *ahci = dev;

    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        ahci_port_stop(&ahci->port[i]);
        ahci->port[i].clb &= ~0x3ffu;
        ahci->port[i].fb &= ~0xffu;
    }
    ahci_update_irq(ahci);
}

static const struct state_table ahci_state = {.name = "ahci",
                                              .version = 1,
                                              .fields = ahci_fields,
                                              .field_count = array_size(ahci_fields),
                                              .after = after};

static void ahci_reset(struct device *dev)
{
    struct ahci *ahci = container_of(dev, struct ahci, dev);

    state_reset(&ahci_state, ahci);
    pci_function_reset(ahci->pci);
    reset_controller(ahci);
}

static void ahci_settle(struct device *dev)
{
    struct ahci *ahci = container_of(dev, struct ahci, dev);

    for (unsigned i = 0; i < AHCI_PORTS; i++)
        for (unsigned n = 0; n < AHCI_RUNNING; n++)
            ata_job_settle(&ahci->port[i].run[n].job);
}

static void ahci_go_on(struct device *dev)
{
    struct ahci *ahci = container_of(dev, struct ahci, dev);

    for (unsigned i = 0; i < AHCI_PORTS; i++)
        ahci_port_issue(&ahci->port[i]);
}

static void ahci_free(struct device *dev)
{
    struct ahci *ahci = container_of(dev, struct ahci, dev);

    for (unsigned i = 0; i < AHCI_PORTS; i++)
        ahci_port_done(&ahci->port[i]);
    free(ahci);
}

struct ahci *ahci_new(struct pci_bus *bus, unsigned slot, struct space *space,
                      struct ata_drive *const drives[AHCI_PORTS], struct error *err)
{
    static const struct pci_ident ident = {.vendor = 0x8086,
                                           .device = 0x2922,
                                           .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100,
                                           .class_code = 0x010601,
                                           .revision = 2,
                                           .intx = true};
    struct ahci *ahci = mem_new(struct ahci);
    int r = 0;

    if (!ahci) {
        error_set(err, -ENOMEM, "create ahci: out of memory");
        return NULL;
    }
    ahci->dev = (struct device){.state = &ahci_state,
                                .name = "ahci",
                                .reset = ahci_reset,
                                .free = ahci_free,
                                .settle = ahci_settle,
                                .go_on = ahci_go_on};
    ahci->space = space;
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        ahci->port[i].ahci = ahci;
        ahci->port[i].drive = drives[i];
        if (!drives[i])
            continue;
        drives[i]->sata = true;
        if (r == 0)
            r = ahci_port_init(&ahci->port[i], err);
    }
    ahci->pci = r == 0 ? pci_add(bus, slot, 0, &ident, NULL, ahci, err) : NULL;
    if (!ahci->pci) {
        ahci_free(&ahci->dev);
        return NULL;
    }
    pci_set_bar(
        ahci->pci, BAR,
        &(struct pci_bar){.kind = PCI_BAR_MEM32, .size = BAR_SIZE, .mmio = &bar_ops, .dev = ahci});
    reset_controller(ahci);
    return ahci;
}

struct device *ahci_device(struct ahci *ahci)
{
    return &ahci->dev;
}

struct pci_function *ahci_function(struct ahci *ahci)
{
    return ahci->pci;
}
