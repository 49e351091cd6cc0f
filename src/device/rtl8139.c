/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers are 256 bytes that may be reached in any width. They are kept as such, with a mask
 * of the bits that software writes; what a register does follows the write (written), what it
 * computes comes before the read (refresh). Numbers of sections are those of the data sheet.
 *
 * Sending: four buffers in turn, each started by a write of its TSD. Receiving: one ring of bytes,
 * of which CBR is the writing and CAPR + 16 the reading end; each packet has a header of four bytes
 * and its FCS, which is written as zeros: there was no wire.
 */
#include "device/rtl8139.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "device/eeprom93c46.h"

enum {
    REGISTERS = 256,
    TX_BUFFERS = 4,
    MAC = 6,
    MAC_HEADER = 14,
    FRAME_MIN = 60,
    FRAME_MAX = 4096
};
/* Registers (5). */
enum {
    IDR = 0x00,
    MAR = 0x08,
    TSD = 0x10,
    TSAD = 0x20,
    RBSTART = 0x30,
    CR = 0x37,
    CAPR = 0x38,
    CBR = 0x3a,
    IMR = 0x3c,
    ISR = 0x3e,
    TCR = 0x40,
    RCR = 0x44,
    TCTR = 0x48,
    MPC = 0x4c,
    CR9346 = 0x50,
    CONFIG0 = 0x51,
    CONFIG1 = 0x52,
    TIMER_INT = 0x54,
    MSR = 0x58,
    CONFIG3 = 0x59,
    CONFIG4 = 0x5a,
    MULINT = 0x5c,
    RERID = 0x5e,
    TSAD_ALL = 0x60,
    BMCR = 0x62,
    BMSR = 0x64,
    ANAR = 0x66,
    ANLPAR = 0x68,
    ANER = 0x6a,
    CSCR = 0x74,
    CONFIG5 = 0xd8,
};
enum { TSD_SIZE = 0x1fff, TSD_OWN = 1 << 13, TSD_TOK = 1 << 15 };
enum { TSD_TUN = 1 << 14, TSD_TABT = 1 << 30 };
enum { CR_BUFE = 1, CR_TE = 4, CR_RE = 8, CR_RST = 0x10 };
enum { TCR_LBK = 3 << 17 };
#define TCR_VERSION 0x74000000u /* RTL8139C */
enum {
    RCR_AAP = 1,
    RCR_APM = 2,
    RCR_AM = 4,
    RCR_AB = 8,
    RCR_WRAP = 0x80,
    RCR_RBLEN_SHIFT = 11,
};
enum {
    ISR_ROK = 1,
    ISR_TOK = 4,
    ISR_TER = 8,
    ISR_RXOVW = 0x10,
    ISR_LINK = 0x20,
    ISR_TIMEOUT = 0x4000,
};
enum { RX_ROK = 1, RX_BROADCAST = 0x2000, RX_PHYSICAL = 0x4000, RX_MULTICAST = 0x8000 };
enum { EEM = 0xc0, EEM_PROGRAM = 0x80, EEM_CONFIG = 0xc0, EECS = 8, EESK = 4, EEDI = 2, EEDO = 1 };
enum { MSR_LINKB = 4, BMSR_LINK = 4, BMCR_RESET = 0x8000 };
enum { TICK_NS = 30 }; /* of TCTR: the PCI clock */
enum { HEADER = 4, FCS = 4, RX_POINTER_OFFSET = 16 };

struct rtl8139 {
    struct device dev;
    struct pci_function *pci;
    struct space *space;
    struct gclock *clock;
    struct netdev *netdev;
    struct netdev_client client;
    uint8_t mac[MAC];
    /* State. */
    uint8_t regs[REGISTERS];
    uint8_t link_down;
    uint8_t tx_next;      /* the buffer to be sent next */
    uint64_t timer_start; /* guest ns when TCTR was 0 */
    struct eeprom93c46 eeprom;
    struct gtimer timer; /* TCTR reaches TimerInt */
    /* Work space. */
    uint8_t tx_frame[TSD_SIZE], rx_frame[FRAME_MAX + HEADER + FCS + 4];
};

static uint16_t get16(const struct rtl8139 *r, unsigned reg)
{
    return load_le16(r->regs + reg);
}

static uint32_t get32(const struct rtl8139 *r, unsigned reg)
{
    return load_le32(r->regs + reg);
}

static void update_wire(struct rtl8139 *r)
{
    pci_set_intx(r->pci, (get16(r, ISR) & get16(r, IMR)) != 0);
}

static void cause(struct rtl8139 *r, unsigned bits)
{
    store_le16(r->regs + ISR, (uint16_t)(get16(r, ISR) | bits));
    update_wire(r);
}

/* ---- the timer (5.17, 5.22) ---- */

static void arm_timer(struct rtl8139 *r)
{
    uint64_t at = r->timer_start + (uint64_t)get32(r, TIMER_INT) * TICK_NS,
             round = (1ull << 32) * TICK_NS, now = gclock_now(r->clock);

    if (!get32(r, TIMER_INT)) {
        gtimer_clear(&r->timer);
        return;
    }
    if (at <= now) /* the counter goes round */
        at += ((now - at) / round + 1) * round;
    gtimer_set(&r->timer, at);
}

static void timer_due(void *opaque)
{
    struct rtl8139 *r = opaque;

    cause(r, ISR_TIMEOUT);
    arm_timer(r);
}

/* ---- receiving (5.5 to 5.9, 6) ---- */

static uint32_t ring_size(const struct rtl8139 *r)
{
    return 8192u << (get32(r, RCR) >> RCR_RBLEN_SHIFT & 3);
}

/* Bytes that the driver has not taken yet. */
static uint32_t ring_used(const struct rtl8139 *r)
{
    uint32_t mask = ring_size(r) - 1;

    return (get16(r, CBR) - (get16(r, CAPR) + RX_POINTER_OFFSET)) & mask;
}

static bool listening(const struct rtl8139 *r)
{
    return r->regs[CR] & CR_RE && pci_bus_master(r->pci);
}

static uint32_t stored_length(size_t len)
{
    return (uint32_t)((max_of(len, (size_t)FRAME_MIN) + HEADER + FCS + 3) & ~(size_t)3);
}

static bool can_receive(void *opaque, size_t len)
{
    const struct rtl8139 *r = opaque;

    return !listening(r) || len > FRAME_MAX ||
           ring_used(r) + stored_length(len) < ring_size(r); /* full would look like empty */
}

/* The bit of MAR for an address: the upper six bits of its CRC. */
static unsigned hash_of(const uint8_t *address)
{
    uint32_t crc = UINT32_MAX;

    for (unsigned i = 0; i < MAC * 8; i++) {
        bool bit = (crc >> 31) ^ (address[i / 8] >> i % 8 & 1);
        crc = crc << 1 ^ (bit ? 0x04c11db7 : 0);
    }
    return crc >> 26;
}

/* Status bits for a frame to @address, 0 when it is not wanted. */
static unsigned wanted(const struct rtl8139 *r, const uint8_t *address)
{
    static const uint8_t all[MAC] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint32_t rcr = get32(r, RCR);

    if (memcmp(address, all, MAC) == 0)
        return rcr & (RCR_AB | RCR_AAP) ? RX_ROK | RX_BROADCAST : 0;
    if (address[0] & 1) {
        unsigned bit = hash_of(address);
        bool hit = rcr & RCR_AM && r->regs[MAR + bit / 8] >> bit % 8 & 1;
        return hit || rcr & RCR_AAP ? RX_ROK | RX_MULTICAST : 0;
    }
    if (memcmp(address, r->regs + IDR, MAC) == 0)
        return rcr & (RCR_APM | RCR_AAP) ? RX_ROK | RX_PHYSICAL : 0;
    return rcr & RCR_AAP ? RX_ROK : 0;
}

/* Writes @len bytes at CBR; past the end only when the driver left room there (WRAP). */
static int write_ring(struct rtl8139 *r, const uint8_t *bytes, uint32_t len)
{
    uint32_t size = ring_size(r), at = get16(r, CBR) & (size - 1), base = get32(r, RBSTART);
    uint32_t before = min_of(len, size - at);
    int err;

    if (before == len || (get32(r, RCR) & RCR_WRAP && size < 65536))
        return space_write(r->space, (uint64_t)base + at, bytes, len);
    err = space_write(r->space, (uint64_t)base + at, bytes, before);
    return err < 0 ? err : space_write(r->space, base, bytes + before, len - before);
}

static void overflow(struct rtl8139 *r)
{
    uint32_t missed = get32(r, MPC) & 0xffffff;

    r->netdev->dropped++;
    store_le32(r->regs + MPC, min_of(missed + 1, 0xffffffu));
    cause(r, ISR_RXOVW);
}

static void receive(void *opaque, const uint8_t *frame, size_t len)
{
    struct rtl8139 *r = opaque;
    uint8_t *to = r->rx_frame;
    unsigned status;
    uint32_t stored;

    if (len < MAC_HEADER || len > FRAME_MAX || !listening(r) || r->link_down) {
        r->netdev->dropped++;
        return;
    }
    status = wanted(r, frame);
    if (!status)
        return;
    stored = stored_length(len);
    memset(to, 0, stored);
    memcpy(to + HEADER, frame, len);
    store_le16(to, (uint16_t)status);
    store_le16(to + 2, (uint16_t)(max_of(len, (size_t)FRAME_MIN) + FCS));
    if (ring_used(r) + stored >= ring_size(r) || write_ring(r, to, stored) < 0) {
        overflow(r);
        return;
    }
    store_le16(r->regs + CBR, (uint16_t)((get16(r, CBR) + stored) & (ring_size(r) - 1)));
    netdev_note_received(r->netdev, frame, len);
    cause(r, ISR_ROK);
}

/* ---- sending (5.3, 5.4) ---- */

static void send_buffer(struct rtl8139 *r, unsigned n)
{
    uint32_t tsd = get32(r, TSD + 4 * n);
    size_t len = tsd & TSD_SIZE;
    struct netdev_span span = {.data = r->tx_frame, .len = len};

    if (space_read(r->space, get32(r, TSAD + 4 * n), r->tx_frame, len) < 0) {
        store_le32(r->regs + TSD + 4 * n, tsd | TSD_OWN | TSD_TABT);
        r->netdev->dropped++;
        cause(r, ISR_TER);
        return;
    }
    store_le32(r->regs + TSD + 4 * n, tsd | TSD_OWN | TSD_TOK);
    cause(r, ISR_TOK);
    if (len < MAC_HEADER || r->link_down) {
        r->netdev->dropped++;
    } else if ((get32(r, TCR) & TCR_LBK) == TCR_LBK) {
        receive(r, r->tx_frame, len);
    } else {
        netdev_note_sent(r->netdev, r->tx_frame, len);
        r->netdev->ops->send(r->netdev, &span, 1);
    }
}

static void transmit(struct rtl8139 *r)
{
    unsigned sent = 0;

    while (sent < TX_BUFFERS && r->regs[CR] & CR_TE && pci_bus_master(r->pci) &&
           !(get32(r, TSD + 4 * r->tx_next) & TSD_OWN)) {
        unsigned n = r->tx_next;
        r->tx_next = (uint8_t)((n + 1) % TX_BUFFERS);
        send_buffer(r, n);
        sent++;
    }
    if (sent && r->netdev->ops->sent)
        r->netdev->ops->sent(r->netdev);
}

/* ---- registers ---- */

static void set_word(struct rtl8139 *r, unsigned reg, uint16_t value)
{
    store_le16(r->regs + reg, value);
}

/* What CR.RST resets (5.10): all but the addresses and what the EEPROM loaded. */
static void chip_reset(struct rtl8139 *r)
{
    uint8_t kept[TSD];

    memcpy(kept, r->regs, sizeof(kept));
    memset(r->regs, 0, sizeof(r->regs));
    memcpy(r->regs, kept, sizeof(kept));
    r->tx_next = 0;
    for (unsigned i = 0; i < TX_BUFFERS; i++)
        store_le32(r->regs + TSD + 4 * i, TSD_OWN);
    set_word(r, CAPR, (uint16_t)-RX_POINTER_OFFSET);
    store_le32(r->regs + TCR, TCR_VERSION);
    r->regs[CONFIG1] = 0x0c; /* registers in both spaces */
    r->regs[CONFIG3] = 0x01;
    r->regs[RERID] = 0x10;
    set_word(r, BMCR, 0x1000); /* auto-negotiation */
    set_word(r, BMSR, 0x7829); /* negotiated; the link is told at the read */
    set_word(r, ANAR, 0x05e1);
    set_word(r, ANLPAR, 0x45e1); /* 100 Mbit/s, full duplex */
    set_word(r, ANER, 0x0001);
    set_word(r, CSCR, 0x03c8);
    r->timer_start = gclock_now(r->clock);
    gtimer_clear(&r->timer);
    update_wire(r);
}

/* 64 words: identifiers, then the address from word 7 on (the data sheet's 93C46 contents). */
static uint16_t eeprom_word(const void *opaque, unsigned n)
{
    static const uint16_t words[] = {0x8129, 0x10ec, 0x8139, 0x1af4, 0x1100};
    const struct rtl8139 *r = opaque;

    if (n < array_size(words))
        return words[n];
    return n >= 7 && n < 10 ? load_le16(r->mac + 2 * (n - 7)) : 0;
}

static void refresh(struct rtl8139 *r)
{
    uint16_t all = 0;

    r->regs[CR] = (uint8_t)((r->regs[CR] & ~CR_BUFE) | (ring_used(r) ? 0 : CR_BUFE));
    store_le32(r->regs + TCTR, (uint32_t)((gclock_now(r->clock) - r->timer_start) / TICK_NS));
    r->regs[MSR] = (uint8_t)((r->regs[MSR] & ~MSR_LINKB) | 0x10 | (r->link_down ? MSR_LINKB : 0));
    r->regs[BMSR] = (uint8_t)((r->regs[BMSR] & ~BMSR_LINK) | (r->link_down ? 0 : BMSR_LINK));
    r->regs[CR9346] &= (uint8_t)~EEDO;
    if ((r->regs[CR9346] & EEM) == EEM_PROGRAM && eeprom93c46_output(&r->eeprom, eeprom_word, r))
        r->regs[CR9346] |= EEDO;
    for (unsigned i = 0; i < TX_BUFFERS; i++) {
        uint32_t tsd = get32(r, TSD + 4 * i);
        all |= (uint16_t)((tsd & TSD_OWN ? 0x1 : 0) << i | (tsd & TSD_TABT ? 0x10 : 0) << i |
                          (tsd & TSD_TUN ? 0x100 : 0) << i | (tsd & TSD_TOK ? 0x1000 : 0) << i);
    }
    set_word(r, TSAD_ALL, all);
}

/* The bits of each byte that a write changes; 0 for what is read-only or does something else. */
static uint8_t writable(const struct rtl8139 *r, unsigned reg)
{
    static const uint8_t masks[REGISTERS] = {
        [IDR... IDR + 5] = 0xff,
        [MAR... MAR + 7] = 0xff,
        [TSAD... TSAD + 15] = 0xff,
        [RBSTART... RBSTART + 3] = 0xff,
        [CR] = CR_TE | CR_RE,
        [CAPR... CAPR + 1] = 0xff,
        [IMR... IMR + 1] = 0xff,
        [TCR] = 0xf0,
        [TCR + 1] = 0x07,
        [TCR + 2] = 0x07,
        [TCR + 3] = 0x03,
        [RCR] = 0xff,
        [RCR + 1] = 0xff,
        [RCR + 2] = 0x03,
        [RCR + 3] = 0x0f,
        [CR9346] = EEM | EECS | EESK | EEDI,
        [TIMER_INT... TIMER_INT + 3] = 0xff,
        [MULINT... MULINT + 1] = 0xff,
        [BMCR] = 0x00,
        [BMCR + 1] = 0x31,
        [ANAR... ANAR + 1] = 0xff,
        [CSCR... CSCR + 1] = 0xff,
    };
    static const uint8_t locked[REGISTERS] = {
        [CONFIG1] = 0xf1, [MSR] = 0xc0, [CONFIG3] = 0x60, [CONFIG4] = 0xff, [CONFIG5] = 0xff};

    return (uint8_t)(masks[reg] | ((r->regs[CR9346] & EEM) == EEM_CONFIG ? locked[reg] : 0));
}

/* TSD: giving a buffer to the chip starts it; status bits are read-only. */
static void tsd_write(struct rtl8139 *r, unsigned n, uint32_t value)
{
    enum { WRITABLE = TSD_SIZE | TSD_OWN | 0x3f0000 };

    store_le32(r->regs + TSD + 4 * n, value & WRITABLE);
    transmit(r);
}

/* What follows a write of @size bytes at @reg; @value is what was written. */
static void written(struct rtl8139 *r, unsigned reg, unsigned size, uint32_t value)
{
    for (unsigned i = 0; i < size; i++, value >>= 8) {
        uint8_t byte = (uint8_t)value;
        switch (reg + i) {
        case CR:
            if (byte & CR_RST)
                chip_reset(r);
            transmit(r);
            r->netdev->ops->ready(r->netdev);
            break;
        case CAPR + 1:
            r->netdev->ops->ready(r->netdev);
            break;
        case ISR:
        case ISR + 1:
            r->regs[reg + i] &= (uint8_t)~byte;
            break;
        case TCTR:
            r->timer_start = gclock_now(r->clock);
            arm_timer(r);
            break;
        case MPC:
            store_le32(r->regs + MPC, 0);
            break;
        case CR9346:
            if ((byte & EEM) == 0x40) { /* load from the EEPROM */
                memcpy(r->regs + IDR, r->mac, MAC);
                r->regs[CR9346] &= (uint8_t)~EEM;
            }
            eeprom93c46_set(&r->eeprom, (byte & EEM) == EEM_PROGRAM && byte & EECS, byte & EESK,
                            byte & EEDI);
            break;
        case TIMER_INT + 3:
            arm_timer(r);
            break;
        default:
            break;
        }
    }
    update_wire(r);
}

static uint32_t reg_read(struct rtl8139 *r, unsigned reg, unsigned size)
{
    uint32_t value = 0;

    if (reg + size > REGISTERS)
        return UINT32_MAX;
    refresh(r);
    memcpy(&value, r->regs + reg, size);
    return value;
}

static void reg_write(struct rtl8139 *r, unsigned reg, unsigned size, uint32_t value)
{
    if (reg + size > REGISTERS)
        return;
    if (reg >= TSD && reg < TSAD) { /* dwords only */
        if (size == 4 && reg % 4 == 0)
            tsd_write(r, (reg - TSD) / 4, value);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        uint8_t mask = writable(r, reg + i), *byte = &r->regs[reg + i];
        *byte = (uint8_t)((*byte & ~mask) | (value >> 8 * i & mask));
    }
    written(r, reg, size, value);
}

static uint64_t mmio_read(void *dev, uint64_t offset, unsigned size)
{
    if (size == 8)
        return reg_read(dev, (unsigned)offset, 4) | (uint64_t)reg_read(dev, (unsigned)offset + 4, 4)
                                                        << 32;
    return reg_read(dev, (unsigned)offset, size);
}

static void mmio_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    reg_write(dev, (unsigned)offset, min_of(size, 4u), (uint32_t)value);
    if (size == 8)
        reg_write(dev, (unsigned)offset + 4, 4, (uint32_t)(value >> 32));
}

static uint32_t port_read(void *dev, uint16_t offset, unsigned size)
{
    return reg_read(dev, offset, size);
}

static void port_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    reg_write(dev, offset, size, value);
}

static const struct mmio_ops mmio_ops = {.read = mmio_read, .write = mmio_write};
static const struct port_ops port_ops = {.read = port_read, .write = port_write};

/* ---- the device ---- */

static const struct state_field fields[] = {
    STATE_BLOB(struct rtl8139, regs),          STATE_FIELD(struct rtl8139, link_down, 0),
    STATE_FIELD(struct rtl8139, tx_next, 0),   STATE_FIELD(struct rtl8139, timer_start, 0),
    EEPROM93C46_STATE(struct rtl8139, eeprom), STATE_GTIMER(struct rtl8139, timer),
};

static void rtl8139_after(void *dev)
{
    struct rtl8139 *r = dev;

    r->tx_next %= TX_BUFFERS;
    update_wire(r);
}

static const struct state_table state = {
    .name = "rtl8139",
    .version = 1,
    .fields = fields,
    .field_count = array_size(fields),
    .after = rtl8139_after,
};

static void rtl8139_reset(struct device *dev)
{
    struct rtl8139 *r = container_of(dev, struct rtl8139, dev);
    uint8_t link_down = r->link_down;

    state_reset(&state, r);
    r->link_down = link_down; /* the cable is not ours */
    chip_reset(r);
    memcpy(r->regs + IDR, r->mac, MAC);
}

static void rtl8139_free(struct device *dev)
{
    struct rtl8139 *r = container_of(dev, struct rtl8139, dev);

    gtimer_clear(&r->timer);
    free(r);
}

static void link_changed(void *opaque, bool up)
{
    struct rtl8139 *r = opaque;

    if (r->link_down == !up)
        return;
    r->link_down = !up;
    cause(r, ISR_LINK);
}

static int set_up_pci(struct rtl8139 *r, struct pci_bus *bus, unsigned slot, struct error *err)
{
    static const struct pci_ident ident = {.vendor = 0x10ec,
                                           .device = 0x8139,
                                           .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100,
                                           .class_code = 0x020000,
                                           .revision = 0x10,
                                           .intx = true};

    r->pci = pci_add(bus, slot, 0, &ident, NULL, r, err);
    if (!r->pci)
        return -EEXIST;
    pci_set_bar(
        r->pci, 0,
        &(struct pci_bar){.kind = PCI_BAR_IO, .size = REGISTERS, .ports = &port_ops, .dev = r});
    pci_set_bar(
        r->pci, 1,
        &(struct pci_bar){.kind = PCI_BAR_MEM32, .size = REGISTERS, .mmio = &mmio_ops, .dev = r});
    return 0;
}

struct rtl8139 *rtl8139_new(struct pci_bus *bus, unsigned slot, struct space *space,
                            struct gclock *clock, struct netdev *netdev, const uint8_t mac[6],
                            struct error *err)
{
    struct rtl8139 *r = mem_new(struct rtl8139);

    if (!r) {
        error_set(err, -ENOMEM, "add rtl8139: out of memory");
        return NULL;
    }
    r->dev = (struct device){.state = &state, .reset = rtl8139_reset, .free = rtl8139_free};
    snprintf(r->dev.name, sizeof(r->dev.name), "rtl8139@%u", slot);
    r->space = space;
    r->clock = clock;
    r->netdev = netdev;
    memcpy(r->mac, mac, MAC);
    gtimer_init(&r->timer, clock, timer_due, r);
    if (set_up_pci(r, bus, slot, err) < 0) {
        free(r);
        return NULL;
    }
    rtl8139_reset(&r->dev);
    r->client = (struct netdev_client){
        .can_receive = can_receive, .receive = receive, .link = link_changed, .opaque = r};
    netdev->ops->attach(netdev, &r->client);
    return r;
}

struct device *rtl8139_device(struct rtl8139 *r)
{
    return &r->dev;
}

struct pci_function *rtl8139_function(struct rtl8139 *r)
{
    return r->pci;
}
