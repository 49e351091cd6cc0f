/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration space is the truth: BARs, command and MSI-X control are decoded from its bytes
 * after each write, and mappings follow (update_bars). A BAR has a priority of its own below all
 * other ranges, so that BARs which the guest lays over each other, over RAM or over board registers
 * never fail to map and never hide those.
 *
 * Sections are those of the PCI Local Bus Specification 3.0.
 */
#include "device/pci.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"

/* Header registers (6.1). */
enum {
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08,
    PCI_HEADER_TYPE = 0x0e,
    PCI_BAR0 = 0x10,
    PCI_SUBSYSTEM_VENDOR = 0x2c,
    PCI_ROM_ADDRESS = 0x30,
    PCI_CAPABILITIES = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
};
enum {
    PCI_COMMAND_IO = 1 << 0,
    PCI_COMMAND_MEMORY = 1 << 1,
    PCI_COMMAND_MASTER = 1 << 2,
    PCI_COMMAND_PARITY = 1 << 6,
    PCI_COMMAND_SERR = 1 << 8,
    PCI_COMMAND_INTX_OFF = 1 << 10,
    PCI_STATUS_INTERRUPT = 1 << 3,
    PCI_STATUS_CAPABILITIES = 1 << 4,
    PCI_ROM_ENABLE = 1 << 0,
};

/* MSI-X (6.8.2): the table fills the first half of its page, the PBA stands in the second. */
enum {
    PCI_CAP_MSIX = 0x11,
    MSIX_CAP_LEN = 12,
    MSIX_CONTROL = 2,
    MSIX_ENABLE = 1 << 15,
    MSIX_FUNCTION_MASK = 1 << 14,
    MSIX_ENTRY = 16,
    MSIX_VECTOR_CONTROL = 12,
    MSIX_VECTOR_MASKED = 1,
    MSIX_PBA = 0x800,
    MSIX_BAR_SIZE = 0x1000,
};
_Static_assert(PCI_MSIX_MAX *MSIX_ENTRY <= MSIX_PBA && PCI_MSIX_MAX <= 64, "MSI-X page layout");

enum { SLOTS = 32, FUNCTIONS = 8, FIRST_CAPABILITY = 0x40 };
#define CONFIG_ENABLE 0x80000000u

struct bar {
    struct pci_bar decl;
    bool upper;     /* the high half of the 64-bit BAR before it */
    uint64_t where; /* mapped address, when one of the ranges is set */
    struct space_range *memory;
    struct port_range *io;
};

struct pci_function {
    struct device dev;
    struct pci_bus *bus;
    unsigned devfn;
    const struct pci_function_ops *ops;
    void *opaque;
    struct bar bars[PCI_BARS + 1]; /* the last is PCI_ROM */
    uint8_t config[PCI_CONFIG_SIZE], wmask[PCI_CONFIG_SIZE];
    uint8_t power_up[PCI_CONFIG_SIZE]; /* config as set up, once @sealed */
    bool sealed;
    unsigned last_cap, cap_end;
    uint16_t command; /* as last told to the device */
    uint8_t intx_level, intx_out;
    unsigned msix_cap, msix_vectors; /* 0: no MSI-X */
    uint8_t msix_table[PCI_MSIX_MAX * MSIX_ENTRY];
    uint64_t msix_pending;
};

struct pci_bus {
    struct device dev;
    struct space *space;
    struct ports *ports;
    struct irq_line intx;
    struct msi_sink msi;
    struct port_range *address_port, *data_port;
    uint32_t config_address;
    struct pci_function *functions[SLOTS * FUNCTIONS];
};

static uint16_t command_of(const struct pci_function *f)
{
    return load_le16(f->config + PCI_COMMAND);
}

static uint16_t msix_control(const struct pci_function *f)
{
    return f->msix_vectors ? load_le16(f->config + f->msix_cap + MSIX_CONTROL) : 0;
}

/* ---- INTx ---- */

/* Functions of one slot share the wire (all of them use INTA#). */
static void update_intx(struct pci_function *f)
{
    unsigned slot = f->devfn / FUNCTIONS;
    int level = 0;

    f->intx_out = f->intx_level && !(command_of(f) & PCI_COMMAND_INTX_OFF) &&
                  !(msix_control(f) & MSIX_ENABLE);
    for (unsigned fn = 0; fn < FUNCTIONS; fn++) {
        const struct pci_function *other = f->bus->functions[slot * FUNCTIONS + fn];
        level |= other && other->intx_out;
    }
    if (f->bus->intx.set)
        f->bus->intx.set(f->bus->intx.opaque, slot * 4, level);
}

void pci_set_intx(struct pci_function *f, int level)
{
    f->intx_level = level != 0;
    update_intx(f);
}

/* ---- MSI-X ---- */

static bool msix_may_send(const struct pci_function *f, unsigned n)
{
    const uint8_t *entry = f->msix_table + n * MSIX_ENTRY;

    return (msix_control(f) & (MSIX_ENABLE | MSIX_FUNCTION_MASK)) == MSIX_ENABLE &&
           !(entry[MSIX_VECTOR_CONTROL] & MSIX_VECTOR_MASKED) && pci_bus_master(f);
}

static void msix_send_pending(struct pci_function *f)
{
    for (unsigned n = 0; f->msix_pending && n < f->msix_vectors; n++) {
        const uint8_t *entry = f->msix_table + n * MSIX_ENTRY;
        if (!(f->msix_pending >> n & 1) || !msix_may_send(f, n))
            continue;
        f->msix_pending &= ~(1ull << n);
        msi_send(&f->bus->msi, load_le64(entry), load_le32(entry + 8));
    }
}

void pci_msix_notify(struct pci_function *f, unsigned n)
{
    if (n >= f->msix_vectors || !pci_msix_enabled(f))
        return;
    f->msix_pending |= 1ull << n;
    msix_send_pending(f);
}

bool pci_msix_enabled(const struct pci_function *f)
{
    return msix_control(f) & MSIX_ENABLE;
}

static uint64_t msix_read(void *dev, uint64_t offset, unsigned size)
{
    const struct pci_function *f = dev;
    uint64_t value = 0;

    if (offset + size <= f->msix_vectors * MSIX_ENTRY)
        memcpy(&value, f->msix_table + offset, size);
    else if (offset >= MSIX_PBA && offset + size <= MSIX_PBA + sizeof(f->msix_pending))
        memcpy(&value, (const uint8_t *)&f->msix_pending + (offset - MSIX_PBA), size);
    return value;
}

/* Software writes aligned dwords or quadwords only (6.8.2). */
static void msix_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct pci_function *f = dev;

    if (size < 4 || offset % size || offset + size > f->msix_vectors * MSIX_ENTRY)
        return;
    memcpy(f->msix_table + offset, &value, size);
    msix_send_pending(f);
}

static const struct mmio_ops msix_ops = {.read = msix_read, .write = msix_write};

int pci_add_msix(struct pci_function *f, unsigned bar, unsigned vectors, struct error *err)
{
    uint8_t cap[MSIX_CAP_LEN] = {0}, wmask[MSIX_CAP_LEN] = {0};
    unsigned at;

    if (!vectors || vectors > PCI_MSIX_MAX || bar >= PCI_BARS)
        return error_set(err, -EINVAL, "%s: MSI-X with %u vectors in BAR %u", f->dev.name, vectors,
                         bar);
    store_le16(cap + MSIX_CONTROL, (uint16_t)(vectors - 1));
    store_le32(cap + 4, bar);
    store_le32(cap + 8, MSIX_PBA | bar);
    store_le16(wmask + MSIX_CONTROL, MSIX_ENABLE | MSIX_FUNCTION_MASK);
    at = pci_add_capability(f, PCI_CAP_MSIX, cap, wmask, sizeof(cap));
    if (!at)
        return error_set(err, -ENOSPC, "%s: no room for the MSI-X capability", f->dev.name);
    f->msix_cap = at;
    f->msix_vectors = vectors;
    pci_set_bar(f, bar,
                &(struct pci_bar){
                    .kind = PCI_BAR_MEM32, .size = MSIX_BAR_SIZE, .mmio = &msix_ops, .dev = f});
    return 0;
}

/* ---- BARs ---- */

static void unmap_bar(struct pci_function *f, struct bar *b)
{
    space_unmap(f->bus->space, b->memory);
    ports_unmap(f->bus->ports, b->io);
    b->memory = NULL;
    b->io = NULL;
}

static unsigned bar_register(unsigned index)
{
    return index == PCI_ROM ? PCI_ROM_ADDRESS : PCI_BAR0 + 4 * index;
}

/* The address in BAR @index, 0 when it decodes nothing there (disabled, unset or being sized). */
static uint64_t bar_address(const struct pci_function *f, unsigned index)
{
    const struct pci_bar *decl = &f->bars[index].decl;
    const uint8_t *reg = f->config + bar_register(index);
    uint64_t address = load_le32(reg) & ~(uint64_t)(decl->size - 1), top = UINT32_MAX;

    if (decl->kind == PCI_BAR_MEM64) {
        address |= (uint64_t)load_le32(reg + 4) << 32;
        top = UINT64_MAX;
    } else if (decl->kind == PCI_BAR_IO) {
        top = UINT16_MAX;
    }
    if (!(command_of(f) & (decl->kind == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
        return 0;
    if (index == PCI_ROM && !(reg[0] & PCI_ROM_ENABLE))
        return 0;
    /* All ones is how software asks for the size (6.2.5.1). */
    if (address > top - decl->size || (decl->kind == PCI_BAR_MEM64 && address >> 32 == UINT32_MAX))
        return 0;
    return address;
}

static struct space_range *map_memory(struct pci_function *f, unsigned index, uint64_t address,
                                      struct error *err)
{
    const struct pci_bar *decl = &f->bars[index].decl;
    struct space *space = f->bus->space;
    int priority = -1 - (int)(f->devfn * (PCI_BARS + 1) + index);

    if (decl->ram)
        return space_map_ram(space, f->dev.name, address, decl->size, decl->first_gfn, priority,
                             err);
    if (index == PCI_ROM)
        return space_map_rom(space, f->dev.name, address, decl->size, decl->rom, priority, err);
    return space_map_mmio(space, f->dev.name, address, decl->size, decl->mmio, decl->dev, priority,
                          err);
}

static void update_bar(struct pci_function *f, unsigned index)
{
    struct bar *b = &f->bars[index];
    uint64_t address = bar_address(f, index);
    struct error err = {0};

    if ((b->memory || b->io) && b->where == address)
        return;
    unmap_bar(f, b);
    if (!address)
        return;
    b->where = address;
    if (b->decl.kind == PCI_BAR_IO)
        b->io = ports_map(f->bus->ports, f->dev.name, (uint16_t)address, b->decl.size,
                          b->decl.ports, b->decl.dev, &err);
    else
        b->memory = map_memory(f, index, address, &err);
    if (!b->memory && !b->io)
        log_debug("pci", "%s: BAR %u stays unmapped: %s", f->dev.name, index, error_text(&err));
}

static void update_bars(struct pci_function *f)
{
    for (unsigned i = 0; i <= PCI_ROM; i++)
        if (f->bars[i].decl.kind != PCI_BAR_NONE)
            update_bar(f, i);
}

void pci_set_bar(struct pci_function *f, unsigned index, const struct pci_bar *bar)
{
    static const uint8_t type_bits[] = {[PCI_BAR_IO] = 1, [PCI_BAR_MEM32] = 0, [PCI_BAR_MEM64] = 4};
    unsigned at = bar_register(index);
    bool rom = index == PCI_ROM;
    unsigned end = rom ? PCI_ROM + 1 : PCI_BARS;

    if (index + (bar->kind == PCI_BAR_MEM64) >= end || !bar->size ||
        (bar->size & (bar->size - 1)) || bar->kind == PCI_BAR_NONE ||
        (rom && (bar->kind != PCI_BAR_MEM32 || !bar->rom)))
        return;
    f->bars[index].decl = *bar;
    f->config[at] = type_bits[bar->kind];
    store_le32(f->wmask + at, ~(bar->size - 1) | (rom ? PCI_ROM_ENABLE : 0));
    if (bar->kind == PCI_BAR_MEM64) {
        f->bars[index + 1].upper = true;
        store_le32(f->wmask + at + 4, UINT32_MAX);
    }
}

void pci_window64(const struct pci_bus *bus, uint64_t *ret_start, uint64_t *ret_end)
{
    *ret_start = *ret_end = 0;
    for (unsigned i = 0; i < SLOTS * FUNCTIONS; i++) {
        const struct pci_function *f = bus->functions[i];
        for (unsigned n = 0; f && n < PCI_BARS; n++) {
            const struct bar *b = &f->bars[n];
            if (!b->memory || b->where <= UINT32_MAX)
                continue;
            if (!*ret_end || b->where < *ret_start)
                *ret_start = b->where;
            *ret_end = max_of(*ret_end, b->where + b->decl.size);
        }
    }
}

/* ---- configuration space ---- */

static void seal(struct pci_function *f)
{
    if (!f->sealed)
        memcpy(f->power_up, f->config, sizeof(f->power_up));
    f->sealed = true;
}

/* After any change of config: mappings, wires and the device follow. */
static void config_changed(struct pci_function *f)
{
    update_bars(f);
    update_intx(f);
    if (command_of(f) != f->command) {
        f->command = command_of(f);
        if (f->ops && f->ops->command_changed)
            f->ops->command_changed(f->opaque, f->command);
    }
    msix_send_pending(f);
}

static uint32_t config_read(struct pci_function *f, unsigned offset, unsigned size)
{
    uint32_t value = 0;

    seal(f);
    if (f->ops && f->ops->config_reading)
        f->ops->config_reading(f->opaque, offset, size);
    f->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTERRUPT;
    if (f->intx_level)
        f->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
    memcpy(&value, f->config + offset, size);
    return value;
}

static void config_write(struct pci_function *f, unsigned offset, unsigned size, uint32_t value)
{
    seal(f);
    for (unsigned i = 0; i < size; i++) {
        uint8_t mask = f->wmask[offset + i], *byte = &f->config[offset + i];
        *byte = (uint8_t)((*byte & ~mask) | (value >> 8 * i & mask));
    }
    config_changed(f);
    if (f->ops && f->ops->config_written)
        f->ops->config_written(f->opaque, offset, size);
}

uint64_t pci_bar_address(const struct pci_function *f, unsigned index)
{
    return index <= PCI_ROM && f->bars[index].decl.kind != PCI_BAR_NONE ? bar_address(f, index) : 0;
}

int pci_place_bar(struct pci_function *f, unsigned index, uint64_t address, struct error *err)
{
    const struct pci_bar *decl = index < PCI_BARS ? &f->bars[index].decl : NULL;
    uint8_t *reg = f->config + PCI_BAR0 + 4 * index;
    uint64_t top = UINT32_MAX;

    if (!decl || decl->kind == PCI_BAR_NONE)
        return error_set(err, -EINVAL, "%s: has no BAR %u", f->dev.name, index);
    if (decl->kind == PCI_BAR_IO)
        top = UINT16_MAX;
    else if (decl->kind == PCI_BAR_MEM64)
        top = UINT64_MAX;
    if (!address || address % decl->size || address > top - decl->size)
        return error_set(err, -EINVAL, "%s: BAR %u cannot be at 0x%llx", f->dev.name, index,
                         (unsigned long long)address);
    seal(f);
    store_le32(reg, (uint32_t)address | (load_le32(reg) & (decl->size - 1)));
    if (decl->kind == PCI_BAR_MEM64)
        store_le32(reg + 4, (uint32_t)(address >> 32));
    f->config[PCI_COMMAND] |= decl->kind == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
    config_changed(f);
    return 0;
}

unsigned pci_add_capability(struct pci_function *f, uint8_t id, const uint8_t *bytes,
                            const uint8_t *wmask, unsigned len)
{
    unsigned at = f->cap_end;

    if (len < 2 || len > PCI_CONFIG_SIZE - at)
        return 0;
    memcpy(f->config + at, bytes, len);
    if (wmask)
        memcpy(f->wmask + at, wmask, len);
    f->config[at] = id;
    f->config[at + 1] = 0;
    f->wmask[at] = f->wmask[at + 1] = 0;
    f->config[f->last_cap ? f->last_cap + 1 : PCI_CAPABILITIES] = (uint8_t)at;
    f->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
    f->last_cap = at;
    f->cap_end = (at + len + 3) & ~3u;
    return at;
}

bool pci_bus_master(const struct pci_function *f)
{
    return f->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

uint8_t *pci_config(struct pci_function *f)
{
    return f->config;
}

uint8_t *pci_config_wmask(struct pci_function *f)
{
    return f->wmask;
}

/* ---- functions ---- */

/* All of config was replaced, by a reset or a load. */
static void config_replaced(struct pci_function *f)
{
    config_changed(f);
    if (f->ops && f->ops->config_written)
        f->ops->config_written(f->opaque, 0, PCI_CONFIG_SIZE);
}

static void function_after(void *dev)
{
    config_replaced(dev);
}

static const struct state_field function_fields[] = {
    STATE_BLOB(struct pci_function, config),
    STATE_BLOB(struct pci_function, msix_table),
    STATE_FIELD(struct pci_function, msix_pending, 0),
    STATE_FIELD(struct pci_function, intx_level, 0),
};
static const struct state_table function_state = {.name = "pci-function",
                                                  .version = 1,
                                                  .fields = function_fields,
                                                  .field_count = array_size(function_fields),
                                                  .after = function_after};

void pci_function_reset(struct pci_function *f)
{
    seal(f);
    memcpy(f->config, f->power_up, sizeof(f->config));
    memset(f->msix_table, 0, sizeof(f->msix_table));
    for (unsigned n = 0; n < f->msix_vectors; n++)
        f->msix_table[n * MSIX_ENTRY + MSIX_VECTOR_CONTROL] = MSIX_VECTOR_MASKED;
    f->msix_pending = 0;
    f->intx_level = 0;
    config_replaced(f);
}

static void function_device_reset(struct device *dev)
{
    pci_function_reset(container_of(dev, struct pci_function, dev));
}

static void function_device_free(struct device *dev)
{
    (void)dev; /* the bus owns it */
}

static void set_up_header(struct pci_function *f, const struct pci_ident *ident)
{
    uint8_t *c = f->config;

    store_le16(c, ident->vendor);
    store_le16(c + 2, ident->device);
    store_le32(c + PCI_REVISION, ident->class_code << 8 | ident->revision);
    store_le16(c + PCI_SUBSYSTEM_VENDOR, ident->subsystem_vendor);
    store_le16(c + PCI_SUBSYSTEM_VENDOR + 2, ident->subsystem);
    c[PCI_INTERRUPT_PIN] = ident->intx ? 1 : 0;
    store_le16(f->wmask + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
                                           PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
                                           PCI_COMMAND_INTX_OFF);
    f->wmask[PCI_INTERRUPT_LINE] = 0xff;
}

/* Function 0 says whether its slot has others (6.2.1, Header Type). */
static void mark_multi_function(struct pci_bus *bus, unsigned slot)
{
    struct pci_function *first = bus->functions[slot * FUNCTIONS];

    for (unsigned fn = 1; first && fn < FUNCTIONS; fn++) {
        if (bus->functions[slot * FUNCTIONS + fn]) {
            first->config[PCI_HEADER_TYPE] |= 0x80;
            first->power_up[PCI_HEADER_TYPE] |= 0x80;
        }
    }
}

struct pci_function *pci_add(struct pci_bus *bus, unsigned slot, unsigned fn,
                             const struct pci_ident *ident, const struct pci_function_ops *ops,
                             void *dev, struct error *err)
{
    unsigned devfn = slot * FUNCTIONS + fn;
    struct pci_function *f;

    if (slot >= SLOTS || fn >= FUNCTIONS || bus->functions[devfn]) {
        error_set(err, -EEXIST, "add PCI function %02x.%x: no such place, or it is taken", slot,
                  fn);
        return NULL;
    }
    f = mem_new(struct pci_function);
    if (!f) {
        error_set(err, -ENOMEM, "add PCI function %02x.%x: out of memory", slot, fn);
        return NULL;
    }
    f->dev = (struct device){
        .state = &function_state, .reset = function_device_reset, .free = function_device_free};
    snprintf(f->dev.name, sizeof(f->dev.name), "pci-%02x.%x", slot, fn);
    f->bus = bus;
    f->devfn = devfn;
    f->ops = ops;
    f->opaque = dev;
    f->cap_end = FIRST_CAPABILITY;
    set_up_header(f, ident);
    bus->functions[devfn] = f;
    mark_multi_function(bus, slot);
    return f;
}

struct device *pci_function_device(struct pci_function *f)
{
    return &f->dev;
}

struct pci_function *pci_at(struct pci_bus *bus, unsigned slot, unsigned fn)
{
    return slot < SLOTS && fn < FUNCTIONS ? bus->functions[slot * FUNCTIONS + fn] : NULL;
}

void pci_remove(struct pci_function *f)
{
    pci_set_intx(f, 0);
    for (unsigned i = 0; i < PCI_BARS; i++)
        unmap_bar(f, &f->bars[i]);
    f->bus->functions[f->devfn] = NULL;
    free(f);
}

struct pci_function *pci_next(struct pci_bus *bus, const struct pci_function *after)
{
    for (unsigned i = after ? after->devfn + 1 : 0; i < SLOTS * FUNCTIONS; i++)
        if (bus->functions[i])
            return bus->functions[i];
    return NULL;
}

/* ---- configuration mechanism #1 (3.2.2.3.2) ---- */

static struct pci_function *addressed(const struct pci_bus *bus)
{
    uint32_t a = bus->config_address;
    return a & CONFIG_ENABLE && !(a >> 16 & 0xff) ? bus->functions[a >> 8 & 0xff] : NULL;
}

/* Only a dword access reaches CONFIG_ADDRESS; others pass by on the way to ISA. */
static uint32_t address_read(void *dev, uint16_t offset, unsigned size)
{
    const struct pci_bus *bus = dev;
    return size == 4 ? bus->config_address : UINT32_MAX;
}

static void address_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct pci_bus *bus = dev;

    if (size == 4)
        bus->config_address = value & 0x80fffffc;
}

static uint32_t data_read(void *dev, uint16_t offset, unsigned size)
{
    struct pci_bus *bus = dev;
    struct pci_function *f = addressed(bus);
    return f ? config_read(f, (bus->config_address & 0xfc) + offset, size) : UINT32_MAX;
}

static void data_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct pci_bus *bus = dev;
    struct pci_function *f = addressed(bus);

    if (f)
        config_write(f, (bus->config_address & 0xfc) + offset, size, value);
}

static const struct port_ops address_ops = {.read = address_read, .write = address_write};
static const struct port_ops data_ops = {.read = data_read, .write = data_write};

static const struct state_field bus_fields[] = {
    STATE_FIELD(struct pci_bus, config_address, 0),
};
static const struct state_table bus_state = {
    .name = "pci", .version = 1, .fields = bus_fields, .field_count = array_size(bus_fields)};

static void bus_device_free(struct device *dev)
{
    pci_bus_free(container_of(dev, struct pci_bus, dev));
}

struct pci_bus *pci_bus_new(struct space *space, struct ports *ports, const struct irq_line *intx,
                            const struct msi_sink *msi, struct error *err)
{
    struct pci_bus *bus = mem_new(struct pci_bus);

    if (!bus) {
        error_set(err, -ENOMEM, "create PCI bus: out of memory");
        return NULL;
    }
    bus->dev = (struct device){.state = &bus_state, .name = "pci", .free = bus_device_free};
    bus->space = space;
    bus->ports = ports;
    bus->intx = *intx;
    bus->msi = *msi;
    bus->address_port = ports_map(ports, "pci", 0xcf8, 4, &address_ops, bus, err);
    if (bus->address_port)
        bus->data_port = ports_map(ports, "pci", 0xcfc, 4, &data_ops, bus, err);
    if (!bus->data_port) {
        pci_bus_free(bus);
        return NULL;
    }
    return bus;
}

void pci_bus_free(struct pci_bus *bus)
{
    if (!bus)
        return;
    for (unsigned i = 0; i < SLOTS * FUNCTIONS; i++) {
        struct pci_function *f = bus->functions[i];
        for (unsigned b = 0; f && b <= PCI_ROM; b++)
            unmap_bar(f, &f->bars[b]);
        free(f);
    }
    ports_unmap(bus->ports, bus->address_port);
    ports_unmap(bus->ports, bus->data_port);
    free(bus);
}

struct device *pci_bus_device(struct pci_bus *bus)
{
    return &bus->dev;
}

void pci_show(const struct pci_bus *bus, struct str *out)
{
    for (unsigned at = 0; at < SLOTS * FUNCTIONS; at++) {
        const struct pci_function *f = bus->functions[at];
        if (!f)
            continue;
        str_addf(out, "PCI 00:%02x.%u %04x:%04x", at / FUNCTIONS, at % FUNCTIONS,
                 load_le16(f->config), load_le16(f->config + 2));
        if (f->config[PCI_INTERRUPT_PIN])
            str_addf(out, ", INT%c (IRQ %u)", (f->config[PCI_INTERRUPT_PIN] - 1) % 4 + 'A',
                     f->config[PCI_INTERRUPT_LINE]);
        str_addf(out, "%s%s\n", pci_bus_master(f) ? ", bus master" : "",
                 pci_msix_enabled(f) ? ", MSI-X:" : "");
        for (unsigned n = 0; n < f->msix_vectors && pci_msix_enabled(f); n++) {
            const uint8_t *e = f->msix_table + n * MSIX_ENTRY;
            if (!(e[MSIX_VECTOR_CONTROL] & MSIX_VECTOR_MASKED))
                str_addf(out, "  %u: vector 0x%02x to APIC %u%s\n", n, e[8],
                         load_le32(e) >> 12 & 0xff, f->msix_pending >> n & 1 ? ", pending" : "");
        }
    }
}
