/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the e1000 share. Registers are named as in the manual, chapter 13. */
#ifndef DEVICE_E1000_INTERNAL_H
#define DEVICE_E1000_INTERNAL_H

#include "device/e1000.h"
#include "device/eeprom93c46.h"

/* R(name, offset, bits that software may write, value after reset) */
#define E1000_REGISTERS(R)                                                                         \
    R(CTRL, 0x0000, 0xf8fc1fffu, 0x00140240u)                                                      \
    R(STATUS, 0x0008, 0, 0x80080783u)                                                              \
    R(EECD, 0x0010, 0x0000007fu, 0)                                                                \
    R(EERD, 0x0014, 0, 0)                                                                          \
    R(CTRL_EXT, 0x0018, 0x00dfffefu, 0)                                                            \
    R(FLA, 0x001c, 0, 0)                                                                           \
    R(MDIC, 0x0020, 0, 0)                                                                          \
    R(FCAL, 0x0028, UINT32_MAX, 0)                                                                 \
    R(FCAH, 0x002c, 0xffff, 0)                                                                     \
    R(FCT, 0x0030, 0xffff, 0)                                                                      \
    R(VET, 0x0038, 0xffff, 0x8100)                                                                 \
    R(ICR, 0x00c0, 0, 0)                                                                           \
    R(ITR, 0x00c4, 0xffff, 0)                                                                      \
    R(ICS, 0x00c8, 0, 0)                                                                           \
    R(IMS, 0x00d0, 0, 0)                                                                           \
    R(IMC, 0x00d8, 0, 0)                                                                           \
    R(RCTL, 0x0100, 0x06ffb3fe, 0)                                                                 \
    R(FCTTV, 0x0170, 0xffff, 0)                                                                    \
    R(TXCW, 0x0178, 0xc000ffff, 0)                                                                 \
    R(RXCW, 0x0180, 0, 0)                                                                          \
    R(TCTL, 0x0400, 0x03fffffa, 0)                                                                 \
    R(TIPG, 0x0410, 0x3fffffff, 0)                                                                 \
    R(AIFS, 0x0458, 0xffff, 0)                                                                     \
    R(LEDCTL, 0x0e00, UINT32_MAX, 0x07068302)                                                      \
    R(PBA, 0x1000, 0xffff, 0x00100030)                                                             \
    R(FCRTL, 0x2160, 0x8000fff8, 0)                                                                \
    R(FCRTH, 0x2168, 0xfff8, 0)                                                                    \
    R(RDBAL, 0x2800, 0xfffffff0, 0)                                                                \
    R(RDBAH, 0x2804, UINT32_MAX, 0)                                                                \
    R(RDLEN, 0x2808, 0x000fff80, 0)                                                                \
    R(RDH, 0x2810, 0xffff, 0)                                                                      \
    R(RDT, 0x2818, 0xffff, 0)                                                                      \
    R(RDTR, 0x2820, 0xffff, 0)                                                                     \
    R(RXDCTL, 0x2828, 0x013f3f3f, 0x00010000)                                                      \
    R(RADV, 0x282c, 0xffff, 0)                                                                     \
    R(RSRPD, 0x2c00, 0xfff, 0)                                                                     \
    R(TXDMAC, 0x3000, 1, 0)                                                                        \
    R(TDBAL, 0x3800, 0xfffffff0, 0)                                                                \
    R(TDBAH, 0x3804, UINT32_MAX, 0)                                                                \
    R(TDLEN, 0x3808, 0x000fff80, 0)                                                                \
    R(TDH, 0x3810, 0xffff, 0)                                                                      \
    R(TDT, 0x3818, 0xffff, 0)                                                                      \
    R(TIDV, 0x3820, 0xffff, 0)                                                                     \
    R(TXDCTL, 0x3828, 0xfe3f3f3f, 0)                                                               \
    R(TADV, 0x382c, 0xffff, 0)                                                                     \
    R(TSPMT, 0x3830, UINT32_MAX, 0x01000400)                                                       \
    R(RXCSUM, 0x5000, 0x7ff, 0)                                                                    \
    R(WUC, 0x5800, 0xf, 0)                                                                         \
    R(WUFC, 0x5808, 0x000f00ff, 0)                                                                 \
    R(MANC, 0x5820, UINT32_MAX, 0)                                                                 \
    R(SWSM, 0x5b50, 3, 0)

enum e1000_register {
#define E1000_ENUM(name, offset, writable, reset) E1000_##name,
    E1000_REGISTERS(E1000_ENUM)
#undef E1000_ENUM
        E1000_REGISTER_COUNT
};

/* Bits of registers. */
enum {
    CTRL_SLU = 1 << 6,
    CTRL_RST = 1 << 26,
    CTRL_VME = 1 << 30,
    STATUS_LU = 1 << 1,
    CTRL_EXT_EE_RST = 1 << 13,
    RCTL_EN = 1 << 1,
    RCTL_SBP = 1 << 2,
    RCTL_UPE = 1 << 3,
    RCTL_MPE = 1 << 4,
    RCTL_LPE = 1 << 5,
    RCTL_LBM = 3 << 6,
    RCTL_RDMTS_SHIFT = 8,
    RCTL_MO_SHIFT = 12,
    RCTL_BAM = 1 << 15,
    RCTL_BSIZE_SHIFT = 16,
    RCTL_VFE = 1 << 18,
    RCTL_BSEX = 1 << 25,
    RCTL_SECRC = 1 << 26,
    TCTL_EN = 1 << 1,
    TCTL_PSP = 1 << 3,
    RXCSUM_PCSS = 0xff,
    RXCSUM_IPOFL = 1 << 8,
    RXCSUM_TUOFL = 1 << 9,
};
/* Causes of interrupts (13.4.17). */
enum {
    ICR_TXDW = 1 << 0,
    ICR_TXQE = 1 << 1,
    ICR_LSC = 1 << 2,
    ICR_RXDMT0 = 1 << 4,
    ICR_RXO = 1 << 6,
    ICR_RXT0 = 1 << 7,
    ICR_MDAC = 1 << 9,
    ICR_ALL = 0x1ffff,
};
/* Statistics (13.7), offsets; 64-bit ones by their lower half. They are cleared when read. */
enum {
    STAT_FIRST = 0x4000,
    STAT_MPC = 0x4010,
    STAT_PRC64 = 0x405c,
    STAT_GPRC = 0x4074,
    STAT_BPRC = 0x4078,
    STAT_MPRC = 0x407c,
    STAT_GPTC = 0x4080,
    STAT_GORC = 0x4088,
    STAT_GOTC = 0x4090,
    STAT_RNBC = 0x40a0,
    STAT_ROC = 0x40ac,
    STAT_TOR = 0x40c0,
    STAT_TOT = 0x40c8,
    STAT_TPR = 0x40d0,
    STAT_TPT = 0x40d4,
    STAT_PTC64 = 0x40d8,
    STAT_MPTC = 0x40f0,
    STAT_BPTC = 0x40f4,
    STAT_TSCTC = 0x40f8,
    STAT_LAST = 0x40fc,
};

enum {
    E1000_MTA = 128,  /* words of the multicast hash table */
    E1000_VFTA = 128, /* words of the VLAN filter table */
    E1000_RA = 32,    /* RAL and RAH of 16 receive addresses */
    E1000_STATS = (STAT_LAST - STAT_FIRST) / 4 + 1,
    E1000_PHY = 32, /* registers of the PHY */
    E1000_DESCRIPTOR = 16,
    E1000_HEADER_MAX = 256, /* of a packet to be segmented: HDRLEN is a byte */
    E1000_FCS = 4,
    E1000_FRAME_MIN = 60, /* without FCS */
    E1000_TAG = 4,        /* 802.1Q */
};
enum { PHY_CTRL = 0, PHY_CTRL_LOOPBACK = 1 << 14 };

struct e1000 {
    struct device dev;
    struct pci_function *pci;
    struct space *space;
    struct gclock *clock;
    struct netdev *netdev;
    struct netdev_client client;
    uint8_t mac[6]; /* in the EEPROM */
    /* State. */
    uint32_t reg[E1000_REGISTER_COUNT];
    uint32_t mta[E1000_MTA], vfta[E1000_VFTA], ra[E1000_RA], stats[E1000_STATS];
    uint16_t phy[E1000_PHY];
    uint32_t io_address;
    uint8_t link_down;
    uint8_t asserted;              /* the interrupt wire */
    uint64_t quiet_until;          /* guest ns: the next interrupt comes no earlier (ITR) */
    uint64_t rx_latest, tx_latest; /* the absolute ends of the delays that run */
    uint64_t context[2];           /* the last context descriptor */
    struct eeprom93c46 eeprom;
    struct gtimer throttle, rx_delay, tx_delay, tx_more;
    /* Work space. */
    uint8_t header[E1000_HEADER_MAX];
    uint8_t frame[NETDEV_FRAME_MAX]; /* being sent; the backend may answer from inside send */
    uint8_t rx_frame[NETDEV_FRAME_MAX];
};

/* Raises causes of interrupts (e1000.c). */
void e1000_cause(struct e1000 *e, uint32_t causes);
/*
 * Arms @timer for @delay from now, but no later than @absolute after the first call since it last
 * fired (kept in *@latest), both in units of 1.024 us; an @absolute of 0 sets no limit.
 */
void e1000_delay(struct e1000 *e, struct gtimer *timer, uint64_t *latest, uint32_t delay,
                 uint32_t absolute);
void e1000_count(struct e1000 *e, unsigned stat, uint64_t n);      /* adds to a 32-bit statistic */
void e1000_count_wide(struct e1000 *e, unsigned stat, uint64_t n); /* and to a 64-bit one */
/* Counts a frame of @len bytes with FCS by its length, from the statistic @first on. */
void e1000_count_size(struct e1000 *e, unsigned first, size_t len);

/* EEPROM and PHY (e1000_phy.c). */
uint16_t e1000_eeprom_word(const struct e1000 *e, unsigned n);
uint32_t e1000_eecd_read(const struct e1000 *e);
void e1000_eecd_write(struct e1000 *e, uint32_t value);
void e1000_eerd_write(struct e1000 *e, uint32_t value);
void e1000_mdic_write(struct e1000 *e, uint32_t value);
void e1000_phy_reset(struct e1000 *e);

/* Sending (e1000_tx.c). */
void e1000_transmit(struct e1000 *e); /* what is in the ring */
void e1000_tx_timer(void *opaque);    /* the delay of ICR_TXDW is over */
void e1000_tx_more(void *opaque);     /* goes on after a pause */

/* Receiving (e1000_rx.c). */
bool e1000_can_receive(void *opaque, size_t len);
void e1000_receive(void *opaque, const uint8_t *frame, size_t len);
void e1000_rx_timer(void *opaque); /* the delay of ICR_RXT0 is over */

#endif
