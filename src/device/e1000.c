/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers, interrupts and identity of the 82540EM. One table (E1000_REGISTERS) has each plain
 * register's offset, writable bits and reset value; those that do something are told apart in
 * reg_read and reg_write. Sending is in e1000_tx.c, receiving in e1000_rx.c, EEPROM and PHY in
 * e1000_phy.c.
 *
 * Interrupts: a cause is raised at once or by the delays of its direction (RDTR and RADV, TIDV and
 * TADV, in units of 1.024 us); whatever is raised waits until the time that ITR keeps between two
 * assertions of the wire is over. A timer runs only while a cause waits.
 *
 * Not built: wake-up, management, IPv4 address recognition, 802.3x pause frames (nothing is ever
 * late on a wire of memory), TBI. The EEPROM cannot be written.
 */
#include "device/e1000_internal.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"

enum { MMIO_SIZE = 0x20000, IO_SIZE = 64, REGISTERS_END = 0x5c00 };
enum { IO_ADDRESS = 0, IO_DATA = 4 };
enum { MTA_AT = 0x5200, RA_AT = 0x5400, VFTA_AT = 0x5600 };
enum { SWSM_SMBI = 1 << 0 };
enum { RAH_AV = 1u << 31, ITR_UNIT_NS = 256, DELAY_UNIT_NS = 1024 };

/* Register number + 1 by offset / 4; 0 where there is none. */
static const uint8_t number_of[REGISTERS_END / 4] = {
#define NUMBER(name, offset, writable, reset) [(offset) / 4] = E1000_##name + 1,
    E1000_REGISTERS(NUMBER)
#undef NUMBER
};
static const uint32_t writable_bits[E1000_REGISTER_COUNT] = {
#define WRITABLE(name, offset, writable, reset) [E1000_##name] = (writable),
    E1000_REGISTERS(WRITABLE)
#undef WRITABLE
};

/* ---- interrupts ---- */

static void update_wire(struct e1000 *e)
{
    bool pending = e->reg[E1000_ICR] & e->reg[E1000_IMS];
    uint64_t now;

    if (pending && !e->asserted) {
        now = gclock_now(e->clock);
        if (now < e->quiet_until) {
            if (!e->throttle.armed)
                gtimer_set(&e->throttle, e->quiet_until);
            return;
        }
        e->quiet_until = now + (uint64_t)e->reg[E1000_ITR] * ITR_UNIT_NS;
    }
    e->asserted = pending;
    pci_set_intx(e->pci, pending);
}

static void throttle_over(void *opaque)
{
    update_wire(opaque);
}

void e1000_cause(struct e1000 *e, uint32_t causes)
{
    e->reg[E1000_ICR] |= causes;
    update_wire(e);
}

void e1000_delay(struct e1000 *e, struct gtimer *timer, uint64_t *latest, uint32_t delay,
                 uint32_t absolute)
{
    uint64_t now = gclock_now(e->clock), at = now + (uint64_t)delay * DELAY_UNIT_NS;

    if (!timer->armed)
        *latest = absolute ? now + (uint64_t)absolute * DELAY_UNIT_NS : UINT64_MAX;
    gtimer_set(timer, min_of(at, *latest));
}

static uint32_t icr_read(struct e1000 *e)
{
    uint32_t value = e->reg[E1000_ICR];

    e->reg[E1000_ICR] = 0;
    update_wire(e);
    return value;
}

/*
 * The software semaphore is of later chips (82571, 13.4): who reads SMBI as 0 has got it. U-Boot
 * asks for it on every chip before it reads the EEPROM.
 */
static uint32_t swsm_read(struct e1000 *e)
{
    uint32_t value = e->reg[E1000_SWSM];

    e->reg[E1000_SWSM] |= SWSM_SMBI;
    return value;
}

/* ---- statistics ---- */

void e1000_count(struct e1000 *e, unsigned stat, uint64_t n)
{
    uint32_t *value = &e->stats[(stat - STAT_FIRST) / 4];

    *value =
        (uint32_t)min_of((uint64_t)*value + n, (uint64_t)UINT32_MAX); /* they stick at the top */
}

void e1000_count_wide(struct e1000 *e, unsigned stat, uint64_t n)
{
    uint32_t *half = &e->stats[(stat - STAT_FIRST) / 4];
    uint64_t value = ((uint64_t)half[1] << 32 | half[0]) + n;

    half[0] = (uint32_t)value;
    half[1] = (uint32_t)(value >> 32);
}

void e1000_count_size(struct e1000 *e, unsigned first, size_t len)
{
    static const uint16_t tops[] = {64, 127, 255, 511, 1023};
    unsigned i = 0;

    while (i < array_size(tops) && len > tops[i])
        i++;
    e1000_count(e, first + 4 * i, 1);
}

/* The upper half of a 64-bit statistic clears both (13.7). */
static uint32_t stat_read(struct e1000 *e, unsigned offset)
{
    static const uint16_t wide[] = {STAT_GORC, STAT_GOTC, STAT_TOR, STAT_TOT};
    uint32_t *at = &e->stats[(offset - STAT_FIRST) / 4], value = *at;

    for (unsigned i = 0; i < array_size(wide); i++) {
        if (offset == wide[i])
            return value;
        if (offset == wide[i] + 4u)
            at[-1] = 0;
    }
    *at = 0;
    return value;
}

/* ---- registers ---- */

/* The address in the EEPROM becomes receive address 0. */
static void load_address(struct e1000 *e)
{
    e->ra[0] = load_le32(e->mac);
    e->ra[1] = load_le16(e->mac + 4) | RAH_AV;
}

static void set_link(struct e1000 *e)
{
    if (e->link_down)
        e->reg[E1000_STATUS] &= ~(uint32_t)STATUS_LU;
    else
        e->reg[E1000_STATUS] |= STATUS_LU;
}

/* What CTRL.RST resets: all but the PHY and whether there is a link. */
static void e1000_restart(struct e1000 *e)
{
    uint16_t phy[E1000_PHY];
    uint8_t link_down = e->link_down;
    uint32_t io_address = e->io_address;

    memcpy(phy, e->phy, sizeof(phy));
    state_reset(e->dev.state, e);
    memcpy(e->phy, phy, sizeof(phy));
    e->link_down = link_down;
    e->io_address = io_address;
    load_address(e);
    set_link(e);
}

static void ctrl_write(struct e1000 *e, uint32_t value)
{
    if (value & CTRL_RST) {
        e1000_restart(e);
        return;
    }
    if (value >> 31) /* PHY_RST */
        e1000_phy_reset(e);
    e->reg[E1000_CTRL] = value & writable_bits[E1000_CTRL] & ~(1u << 31);
}

static uint32_t *table_at(struct e1000 *e, unsigned offset)
{
    if (offset >= MTA_AT && offset < MTA_AT + sizeof(e->mta))
        return &e->mta[(offset - MTA_AT) / 4];
    if (offset >= RA_AT && offset < RA_AT + sizeof(e->ra))
        return &e->ra[(offset - RA_AT) / 4];
    if (offset >= VFTA_AT && offset < VFTA_AT + sizeof(e->vfta))
        return &e->vfta[(offset - VFTA_AT) / 4];
    return NULL;
}

static uint32_t reg_read(struct e1000 *e, unsigned offset)
{
    unsigned n = offset < REGISTERS_END ? number_of[offset / 4] : 0;
    const uint32_t *word;

    switch ((int)n - 1) {
    case -1:
        if (offset >= STAT_FIRST && offset <= STAT_LAST)
            return stat_read(e, offset & ~3u);
        word = table_at(e, offset);
        return word ? *word : 0;
    case E1000_ICR:
        return icr_read(e);
    case E1000_EECD:
        return e1000_eecd_read(e);
    case E1000_SWSM:
        return swsm_read(e);
    case E1000_ICS:
    case E1000_IMC:
        return 0;
    default:
        return e->reg[n - 1];
    }
}

/* The driver gave buffers, or switched receiving on. */
static void rx_ready(struct e1000 *e)
{
    if (e->reg[E1000_RCTL] & RCTL_EN)
        e->netdev->ops->ready(e->netdev);
}

static void plain_write(struct e1000 *e, unsigned n, uint32_t value)
{
    e->reg[n] = (e->reg[n] & ~writable_bits[n]) | (value & writable_bits[n]);
}

static void reg_write(struct e1000 *e, unsigned offset, uint32_t value)
{
    unsigned n = offset < REGISTERS_END ? number_of[offset / 4] : 0;
    uint32_t *word;

    switch ((int)n - 1) {
    case -1:
        word = table_at(e, offset);
        if (word)
            *word = value;
        break;
    case E1000_CTRL:
        ctrl_write(e, value);
        break;
    case E1000_EECD:
        e1000_eecd_write(e, value);
        break;
    case E1000_EERD:
        e1000_eerd_write(e, value);
        break;
    case E1000_CTRL_EXT:
        if (value & CTRL_EXT_EE_RST)
            load_address(e);
        plain_write(e, n - 1, value & ~(uint32_t)CTRL_EXT_EE_RST);
        break;
    case E1000_MDIC:
        e1000_mdic_write(e, value);
        break;
    case E1000_ICR:
        e->reg[E1000_ICR] &= ~value;
        update_wire(e);
        break;
    case E1000_ICS:
        e1000_cause(e, value & ICR_ALL);
        break;
    case E1000_IMS:
        e->reg[E1000_IMS] |= value & ICR_ALL;
        update_wire(e);
        break;
    case E1000_IMC:
        e->reg[E1000_IMS] &= ~value;
        update_wire(e);
        break;
    case E1000_RCTL:
    case E1000_RDT:
        plain_write(e, n - 1, value);
        rx_ready(e);
        break;
    case E1000_RDTR: /* FPD: what is delayed comes now */
        plain_write(e, n - 1, value);
        if (value >> 31 && e->rx_delay.armed) {
            gtimer_clear(&e->rx_delay);
            e1000_rx_timer(e);
        }
        break;
    case E1000_TCTL:
    case E1000_TDT:
        plain_write(e, n - 1, value);
        e1000_transmit(e);
        break;
    default:
        plain_write(e, n - 1, value);
        break;
    }
}

/* Registers are dwords; a part of one can be read, but not written (13.2). */
static uint64_t mmio_read(void *dev, uint64_t offset, unsigned size)
{
    struct e1000 *e = dev;
    uint64_t value = reg_read(e, (unsigned)offset & ~3u) >> 8 * (offset & 3);

    if (size == 8 && offset + 4 < MMIO_SIZE)
        value |= (uint64_t)reg_read(e, (unsigned)offset + 4) << 32;
    return value;
}

static void mmio_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct e1000 *e = dev;

    if (size < 4 || offset & 3)
        return;
    reg_write(e, (unsigned)offset, (uint32_t)value);
    if (size == 8 && offset + 4 < MMIO_SIZE)
        reg_write(e, (unsigned)offset + 4, (uint32_t)(value >> 32));
}

/* The same registers through two ports (13.2.2). */
static uint32_t port_read(void *dev, uint16_t offset, unsigned size)
{
    struct e1000 *e = dev;

    if (offset == IO_ADDRESS)
        return e->io_address;
    return offset == IO_DATA && size == 4 ? reg_read(e, e->io_address & ~3u) : 0;
}

static void port_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct e1000 *e = dev;

    if (size != 4)
        return;
    if (offset == IO_ADDRESS)
        e->io_address = value & (MMIO_SIZE - 1);
    else if (offset == IO_DATA)
        reg_write(e, e->io_address & ~3u, value);
}

static const struct mmio_ops mmio_ops = {.read = mmio_read, .write = mmio_write};
static const struct port_ops port_ops = {.read = port_read, .write = port_write};

/* ---- the device ---- */

static const struct state_field fields[] = {
#define FIELD(register, at, writable, reset_value)                                                 \
    {.name = #register,                                                                            \
     .kind = STATE_UINT,                                                                           \
     .count = 1,                                                                                   \
     .offset = offsetof(struct e1000, reg) + 4 * E1000_##register,                                 \
     .size = 4,                                                                                    \
     .reset = (reset_value)},
    E1000_REGISTERS(FIELD)
#undef FIELD
        STATE_ARRAY(struct e1000, mta, 0),
    STATE_ARRAY(struct e1000, vfta, 0),
    STATE_ARRAY(struct e1000, ra, 0),
    STATE_ARRAY(struct e1000, stats, 0),
    STATE_ARRAY(struct e1000, phy, 0),
    STATE_FIELD(struct e1000, io_address, 0),
    STATE_FIELD(struct e1000, link_down, 0),
    STATE_FIELD(struct e1000, asserted, 0),
    STATE_FIELD(struct e1000, quiet_until, 0),
    STATE_FIELD(struct e1000, rx_latest, 0),
    STATE_FIELD(struct e1000, tx_latest, 0),
    STATE_ARRAY(struct e1000, context, 0),
    EEPROM93C46_STATE(struct e1000, eeprom),
    STATE_GTIMER(struct e1000, throttle),
    STATE_GTIMER(struct e1000, rx_delay),
    STATE_GTIMER(struct e1000, tx_delay),
    STATE_GTIMER(struct e1000, tx_more),
};

static void e1000_after(void *dev)
{
    struct e1000 *e = dev;

    e->io_address &= MMIO_SIZE - 1;
    pci_set_intx(e->pci, e->asserted);
}

static const struct state_table state = {
    .name = "e1000",
    .version = 2,
    .fields = fields,
    .field_count = array_size(fields),
    .after = e1000_after,
};

static void e1000_reset(struct device *dev)
{
    struct e1000 *e = container_of(dev, struct e1000, dev);
    uint8_t link_down = e->link_down;

    state_reset(&state, e);
    e->link_down = link_down; /* the cable is not ours */
    e1000_phy_reset(e);
    load_address(e);
    set_link(e);
}

static void e1000_free(struct device *dev)
{
    struct e1000 *e = container_of(dev, struct e1000, dev);

    gtimer_clear(&e->throttle);
    gtimer_clear(&e->rx_delay);
    gtimer_clear(&e->tx_delay);
    gtimer_clear(&e->tx_more);
    free(e);
}

static void link_changed(void *opaque, bool up)
{
    struct e1000 *e = opaque;

    if (e->link_down == !up)
        return;
    e->link_down = !up;
    set_link(e);
    e1000_cause(e, ICR_LSC);
}

static int set_up_pci(struct e1000 *e, struct pci_bus *bus, unsigned slot, struct error *err)
{
    static const struct pci_ident ident = {.vendor = 0x8086,
                                           .device = 0x100e,
                                           .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100,
                                           .class_code = 0x020000,
                                           .revision = 3,
                                           .intx = true};

    e->pci = pci_add(bus, slot, 0, &ident, NULL, e, err);
    if (!e->pci)
        return -EEXIST;
    pci_set_bar(
        e->pci, 0,
        &(struct pci_bar){.kind = PCI_BAR_MEM32, .size = MMIO_SIZE, .mmio = &mmio_ops, .dev = e});
    pci_set_bar(
        e->pci, 1,
        &(struct pci_bar){.kind = PCI_BAR_IO, .size = IO_SIZE, .ports = &port_ops, .dev = e});
    return 0;
}

struct e1000 *e1000_new(struct pci_bus *bus, unsigned slot, struct space *space,
                        struct gclock *clock, struct netdev *netdev, const uint8_t mac[6],
                        struct error *err)
{
    struct e1000 *e = mem_new(struct e1000);

    if (!e) {
        error_set(err, -ENOMEM, "add e1000: out of memory");
        return NULL;
    }
    e->dev = (struct device){.state = &state, .reset = e1000_reset, .free = e1000_free};
    snprintf(e->dev.name, sizeof(e->dev.name), "e1000@%u", slot);
    e->space = space;
    e->clock = clock;
    e->netdev = netdev;
    memcpy(e->mac, mac, sizeof(e->mac));
    gtimer_init(&e->throttle, clock, throttle_over, e);
    gtimer_init(&e->rx_delay, clock, e1000_rx_timer, e);
    gtimer_init(&e->tx_delay, clock, e1000_tx_timer, e);
    gtimer_init(&e->tx_more, clock, e1000_tx_more, e);
    if (set_up_pci(e, bus, slot, err) < 0) {
        free(e);
        return NULL;
    }
    e1000_reset(&e->dev);
    e->client = (struct netdev_client){.can_receive = e1000_can_receive,
                                       .receive = e1000_receive,
                                       .link = link_changed,
                                       .opaque = e};
    netdev->ops->attach(netdev, &e->client);
    return e;
}

struct device *e1000_device(struct e1000 *e)
{
    return &e->dev;
}

struct pci_function *e1000_function(struct e1000 *e)
{
    return e->pci;
}
