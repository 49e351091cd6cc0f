/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PCI bus 0 behind ports 0xCF8/0xCFC (PCI Local Bus Specification 3.0; mechanism #1), and what a
 * PCI function needs: configuration space, BARs mapped as the guest moves them, INTx, MSI and
 * MSI-X.
 */
#ifndef DEVICE_PCI_H
#define DEVICE_PCI_H

#include "base/error.h"
#include "bus/irq.h"
#include "bus/space.h"
#include "device/device.h"

enum { PCI_BARS = 6, PCI_ROM = PCI_BARS, PCI_CONFIG_SIZE = 256, PCI_MSIX_MAX = 64 };

struct pci_bus;
struct pci_function;

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64 };

struct pci_bar {
    enum pci_bar_kind kind;
    uint32_t size; /* power of two; IO >= 4, MEM >= 4096 */
    const struct mmio_ops *mmio;
    const struct port_ops *ports;
    void *dev;
    bool ram; /* MEM32, MEM64: pages of guest memory from @first_gfn on, not registers */
    uint64_t first_gfn;
    const uint8_t *rom; /* PCI_ROM: @size borrowed bytes */
};

struct pci_ident {
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint32_t class_code; /* 24 bits */
    uint8_t revision;
    bool intx; /* has an INTA# pin */
};

struct pci_function_ops {
    /*
     * Registers that are the device's own (beyond header, BARs and capabilities). Called after
     * config space has been written, with the old bytes already replaced under the write mask; and
     * for the whole space after a reset or a load. May be NULL.
     */
    void (*config_written)(void *dev, unsigned offset, unsigned size);
    /* Before the guest reads bytes that the device computes: it may refresh them. May be NULL. */
    void (*config_reading)(void *dev, unsigned offset, unsigned size);
    /* The device may (again) master the bus / drive INTx. May be NULL. */
    void (*command_changed)(void *dev, uint16_t command);
};

/* The bus. @intx gets INTA..INTD of slot s as input (s * 4 + pin); @msi takes messages. */
struct pci_bus *pci_bus_new(struct space *space, struct ports *ports, const struct irq_line *intx,
                            const struct msi_sink *msi, struct error *err);
void pci_bus_free(struct pci_bus *bus);
struct device *pci_bus_device(struct pci_bus *bus);
/*
 * Functions in order of slot and number: the one after @after (NULL: the first), NULL at the end.
 * Each function's configuration is a device of its own: after the functions are added, the board
 * resets, saves and loads pci_function_device of each. Its free does nothing (the bus owns it).
 */
struct pci_function *pci_next(struct pci_bus *bus, const struct pci_function *after);
/* What stands at @slot.@fn, NULL: nothing. */
struct pci_function *pci_at(struct pci_bus *bus, unsigned slot, unsigned fn);
/* Takes a function away and frees it, without a word to its device, which may be gone. */
void pci_remove(struct pci_function *f);
struct device *pci_function_device(struct pci_function *f);

/*
 * Adds function @fn of slot @slot (0..31, 0..7). @dev is passed to the callbacks. The function is
 * owned by the bus. NULL with @err set when the place is taken.
 */
struct pci_function *pci_add(struct pci_bus *bus, unsigned slot, unsigned fn,
                             const struct pci_ident *ident, const struct pci_function_ops *ops,
                             void *dev, struct error *err);
/* Declares BAR @index, or with PCI_ROM the expansion ROM (6.2.5.2; kind MEM32). Before the guest
 * runs. */
void pci_set_bar(struct pci_function *f, unsigned index, const struct pci_bar *bar);
/* Where BAR @index is decoded now, 0 when it is not. */
uint64_t pci_bar_address(const struct pci_function *f, unsigned index);
/* Places a BAR as firmware would, and enables its decoding. */
int pci_place_bar(struct pci_function *f, unsigned index, uint64_t address, struct error *err);
/* Adds a capability of @len bytes (with header) and returns its offset, 0 when full. @wmask may be
 * NULL: read-only. */
unsigned pci_add_capability(struct pci_function *f, uint8_t id, const uint8_t *bytes,
                            const uint8_t *wmask, unsigned len);
/* Adds MSI-X with @vectors entries, table and PBA in BAR @bar (declared by this call, 4 KiB pages).
 */
int pci_add_msix(struct pci_function *f, unsigned bar, unsigned vectors, struct error *err);
bool pci_msix_enabled(const struct pci_function *f);
/* Sends vector @n by MSI-X (masked ones stay pending). */
void pci_msix_notify(struct pci_function *f, unsigned n);
/* Drives the INTx pin (held off while the command register disables it). */
void pci_set_intx(struct pci_function *f, int level);
/*
 * The smallest range above 4 GiB that holds all memory BARs which are placed there; both 0 when
 * none is.
 */
void pci_window64(const struct pci_bus *bus, uint64_t *ret_start, uint64_t *ret_end);
/* The command register's bus-master bit: a device may touch guest memory only then. */
bool pci_bus_master(const struct pci_function *f);
uint8_t *pci_config(struct pci_function *f); /* the 256 bytes, for the device's own registers */
uint8_t *pci_config_wmask(struct pci_function *f);
/*
 * Back to power-up: BARs unmapped, command 0, every other byte as the board and the device had set
 * it up when the function was first reset, placed by pci_place_bar or touched by the guest.
 */
void pci_function_reset(struct pci_function *f);

/* The functions and how they interrupt, as text. */
void pci_show(const struct pci_bus *bus, struct str *out);

#endif
