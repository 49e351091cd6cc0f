/* SPDX-License-Identifier: Apache-2.0 */
/* What ahci.c (registers) and ahci_port.c (commands) share. Sections are those of AHCI 1.3.1. */
#ifndef DEVICE_ATA_AHCI_INTERNAL_H
#define DEVICE_ATA_AHCI_INTERNAL_H

#include "device/ata/ahci.h"
#include "device/ata/ata_job.h"

enum { AHCI_RUNNING = 4 }; /* commands of a port that are carried out at once */

/* PxIS and PxIE (3.3.5). */
enum {
    PIS_D2H = 1 << 0,
    PIS_PIO_SETUP = 1 << 1,
    PIS_SET_BITS = 1 << 3,
    PIS_CONNECT = 1 << 6,
    PIS_INTERFACE_FATAL = 1 << 27,
    PIS_BUS_FATAL = 1 << 29,
    PIS_TASK_FILE = 1 << 30,
};
#define PIS_IMPLEMENTED 0xfdc000ffu
/* PxCMD (3.3.7). */
enum {
    PCMD_START = 1 << 0,
    PCMD_SPIN_UP = 1 << 1,
    PCMD_POWER = 1 << 2,
    PCMD_OVERRIDE = 1 << 3,
    PCMD_FIS_ENABLE = 1 << 4,
    PCMD_SLOT = 0x1f << 8,
    PCMD_FIS_RUNNING = 1 << 14,
    PCMD_RUNNING = 1 << 15,
    PCMD_ATAPI = 1 << 24,
};

struct ahci_port;

/* A command that is being carried out. */
struct ahci_run {
    struct ata_job job;
    struct ahci_port *port;
    unsigned slot;
    bool queued;
    uint64_t list, base; /* the next region's descriptor; where we are in the present one */
    uint32_t regions, left, moved;
};

struct ahci_port {
    struct ahci *ahci;
    struct ata_drive *drive;
    struct ahci_run run[AHCI_RUNNING];
    bool issuing;
    uint32_t taken; /* slots in run */
    /* State. */
    struct ata_regs regs;
    uint32_t clb, clbu, fb, fbu, is, ie, cmd, tfd, sig, sctl, serr, sact, ci;
    uint32_t queue;         /* queued commands that the drive has accepted and not ended */
    uint8_t halted;         /* an error waits for the driver */
    uint8_t soft_reset;     /* SRST is set */
    uint8_t signature_sent; /* the first register FIS has been delivered */
};

struct ahci {
    struct device dev;
    struct space *space;
    struct pci_function *pci;
    struct ahci_port port[AHCI_PORTS];
    uint32_t ghc, is;
};

/* ahci.c: the wire follows the registers. */
void ahci_update_irq(struct ahci *ahci);

int ahci_port_init(struct ahci_port *p, struct error *err);
void ahci_port_done(struct ahci_port *p);
/* Takes up commands as long as there is room. */
void ahci_port_issue(struct ahci_port *p);
/* Ends all that is being carried out, without a word. */
void ahci_port_stop(struct ahci_port *p);
/* The link was reset: the drive sends its signature. */
void ahci_port_reset(struct ahci_port *p);
/* Delivers the signature if it waits for the area of FISes. */
void ahci_port_send_signature(struct ahci_port *p);

#endif
