/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The EEPROM (5.0: 64 words, read by EERD or clocked bit by bit through EECD) and the
 * PHY (Marvell 88E1011, read through MDIC). Auto-negotiation is over as soon as it begins.
 */
#include "base/mem.h"
#include "device/e1000_internal.h"

enum { EECD_SK = 1 << 0, EECD_CS = 1 << 1, EECD_DI = 1 << 2, EECD_DO = 1 << 3 };
enum { EECD_FWE = 1 << 4, EECD_REQ = 1 << 6, EECD_GNT = 1 << 7, EECD_PRES = 1 << 8 };
enum { EERD_START = 1 << 0, EERD_DONE = 1 << 4 };
enum {
    MDIC_DATA = 0xffff,
    MDIC_REG_SHIFT = 16,
    MDIC_PHY_SHIFT = 21,
    MDIC_OP_SHIFT = 26,
    MDIC_OP_WRITE = 1,
    MDIC_OP_READ = 2,
    MDIC_READY = 1 << 28,
    MDIC_INTERRUPT = 1 << 29,
    MDIC_ERROR = 1 << 30,
    MDIC_ADDRESS = 1, /* of the only PHY */
};
enum { PHY_STATUS = 1, PHY_M88_STATUS = 17 };
enum {
    PHY_CTRL_RESTART = 1 << 9,
    PHY_CTRL_RESET = 1 << 15,
    PHY_STATUS_LINK = 1 << 2,
    PHY_M88_LINK = 1 << 10,
};

/* ---- EEPROM ---- */

/* The map is that of table 5-2; words of no interest to software are zero. */
static uint16_t plain_word(const struct e1000 *e, unsigned n)
{
    switch (n) {
    case 0:
    case 1:
    case 2:
        return load_le16(e->mac + 2 * n);
    case 0x08: /* printed board assembly number */
        return 0x3000;
    case 0x09:
        return 0x1000;
    case 0x0a: /* initialization control 1: load the identifiers below; PME clock */
        return 0x6403;
    case 0x0b:
        return 0x1100;
    case 0x0c:
        return 0x1af4;
    case 0x0d:
        return 0x100e;
    case 0x0e:
        return 0x8086;
    case 0x0f: /* initialization control 2: auto-negotiation, no pause frames */
        return 0x0040;
    case 0x23: /* power consumption */
        return 0x0408;
    default:
        return 0;
    }
}

uint16_t e1000_eeprom_word(const struct e1000 *e, unsigned n)
{
    uint16_t sum = 0;

    n %= EEPROM93C46_WORDS;
    if (n != EEPROM93C46_WORDS - 1)
        return plain_word(e, n);
    for (unsigned i = 0; i < EEPROM93C46_WORDS - 1; i++)
        sum = (uint16_t)(sum + plain_word(e, i));
    return (uint16_t)(0xbaba - sum); /* 5.6.35: all words add up to this */
}

void e1000_eerd_write(struct e1000 *e, uint32_t value)
{
    if (value & EERD_START)
        e->reg[E1000_EERD] =
            (value & 0xff00) | EERD_DONE | (uint32_t)e1000_eeprom_word(e, value >> 8 & 0xff) << 16;
}

static uint16_t word_of(const void *opaque, unsigned n)
{
    return e1000_eeprom_word(opaque, n);
}

uint32_t e1000_eecd_read(const struct e1000 *e)
{
    uint32_t value = e->reg[E1000_EECD];

    return value | EECD_FWE | EECD_PRES | (value & EECD_REQ ? EECD_GNT : 0) |
           (eeprom93c46_output(&e->eeprom, word_of, e) ? EECD_DO : 0);
}

void e1000_eecd_write(struct e1000 *e, uint32_t value)
{
    e->reg[E1000_EECD] = value & (EECD_SK | EECD_CS | EECD_DI | EECD_REQ);
    eeprom93c46_set(&e->eeprom, value & EECD_CS, value & EECD_SK, value & EECD_DI);
}

/* ---- PHY ---- */

static const struct {
    uint16_t writable, reset;
} phy_registers[E1000_PHY] = {
    [PHY_CTRL] = {0x7dc0, 0x1140},  /* auto-negotiation, full duplex, 1000 Mbit/s */
    [PHY_STATUS] = {0, 0x796d},     /* all modes; negotiated, link */
    [2] = {0, 0x0141},              /* Marvell */
    [3] = {0, 0x0c20},              /* 88E1011 */
    [4] = {0xffff, 0x0de1},         /* what we can do */
    [5] = {0, 0x41e0},              /* what the partner can do */
    [6] = {0, 0x0003},              /* the partner negotiates; page received */
    [9] = {0xffff, 0x0e00},         /* 1000BASE-T control */
    [10] = {0, 0x3c00},             /* 1000BASE-T status: both receivers fine */
    [15] = {0, 0x3000},             /* extended status: 1000BASE-T */
    [16] = {0xffff, 0x0360},        /* 88E1011 control */
    [PHY_M88_STATUS] = {0, 0xac08}, /* 1000 Mbit/s, full duplex, resolved */
    [18] = {0xffff, 0},             /* interrupt enable */
    [20] = {0xffff, 0x0d60},        /* extended control */
    [24] = {0xffff, 0x4100},        /* LED control */
    [29] = {0xffff, 0},             /* page of 30 */
    [30] = {0xffff, 0},
};

void e1000_phy_reset(struct e1000 *e)
{
    for (unsigned i = 0; i < E1000_PHY; i++)
        e->phy[i] = phy_registers[i].reset;
}

static uint16_t phy_read(const struct e1000 *e, unsigned n)
{
    uint16_t value = e->phy[n];

    if (n == PHY_STATUS && e->link_down)
        value &= (uint16_t)~PHY_STATUS_LINK;
    if (n == PHY_M88_STATUS && !e->link_down)
        value |= PHY_M88_LINK;
    return value;
}

static void phy_write(struct e1000 *e, unsigned n, uint16_t value)
{
    uint16_t mask = phy_registers[n].writable;

    if (n == PHY_CTRL && value & PHY_CTRL_RESET) {
        e1000_phy_reset(e);
        return;
    }
    if (n == PHY_CTRL && value & PHY_CTRL_RESTART)
        e1000_cause(e, ICR_LSC); /* negotiated again */
    e->phy[n] = (uint16_t)((e->phy[n] & ~mask) | (value & mask));
}

void e1000_mdic_write(struct e1000 *e, uint32_t value)
{
    unsigned n = value >> MDIC_REG_SHIFT & 31, op = value >> MDIC_OP_SHIFT & 3;
    uint32_t result = (value & ~(uint32_t)MDIC_ERROR) | MDIC_READY;

    if ((value >> MDIC_PHY_SHIFT & 31) != MDIC_ADDRESS ||
        (op != MDIC_OP_READ && op != MDIC_OP_WRITE))
        result |= MDIC_ERROR;
    else if (op == MDIC_OP_READ)
        result = (result & ~(uint32_t)MDIC_DATA) | phy_read(e, n);
    else
        phy_write(e, n, (uint16_t)value);
    e->reg[E1000_MDIC] = result;
    if (value & MDIC_INTERRUPT)
        e1000_cause(e, ICR_MDAC);
}
