/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "device/checksum.h"
#include "device/e1000.h"
#include "rig.h"

enum { SLOT = 3, WIRE = SLOT * 4 };
enum { MMIO = 0xe0000000, IO = 0xc000 };
enum { TX_RING = 0x1000, RX_RING = 0x2000, TX_DATA = 0x10000, RX_DATA = 0x40000, RING = 8 };
/* Registers. */
enum {
    CTRL = 0,
    STATUS = 8,
    EECD = 0x10,
    EERD = 0x14,
    MDIC = 0x20,
    ICR = 0xc0,
    ITR = 0xc4,
    ICS = 0xc8,
    IMS = 0xd0,
    IMC = 0xd8,
    RCTL = 0x100,
    TCTL = 0x400,
    RDBAL = 0x2800,
    RDLEN = 0x2808,
    RDH = 0x2810,
    RDT = 0x2818,
    RDTR = 0x2820,
    RADV = 0x282c,
    TDBAL = 0x3800,
    TDLEN = 0x3808,
    TDH = 0x3810,
    TDT = 0x3818,
    TIDV = 0x3820,
    TADV = 0x382c,
    RXCSUM = 0x5000,
    MTA = 0x5200,
    RAL = 0x5400,
    RAH = 0x5404,
    VFTA = 0x5600,
};
enum { TXDW = 1, TXQE = 2, LSC = 4, RXDMT0 = 0x10, RXO = 0x40, RXT0 = 0x80, MDAC = 0x200 };
enum { EN = 2, UPE = 8, MPE = 0x10, LPE = 0x20, BAM = 0x8000, VFE = 0x40000, SECRC = 0x4000000 };
enum { EOP = 1, IFCS = 2, IC = 4, TSE = 4, RS = 8, DEXT = 0x20, VLE = 0x40, IDE = 0x80 };
enum { TU_TCP = 1, TU_IP = 2, IXSM = 1, TXSM = 2 };

static const uint8_t mac[6] = {0x52, 0x54, 0, 0xaa, 0xbb, 0xcc};

struct fixture {
    struct rig rig;
    struct rig_net net;
    struct pci_bus *bus;
    struct e1000 *e;
    unsigned tail, rx_head;
};

static uint32_t get(struct fixture *f, unsigned reg)
{
    return (uint32_t)space_load(f->rig.space, (uint32_t)MMIO + reg, 4);
}

static void put(struct fixture *f, unsigned reg, uint32_t value)
{
    space_store(f->rig.space, (uint32_t)MMIO + reg, 4, value);
}

static int set_up(void **state)
{
    static struct fixture f;
    struct irq_line line;
    struct msi_sink msi;

    memset(&f, 0, sizeof(f));
    rig_set_up(&f.rig);
    rig_net_init(&f.net);
    line = rig_line(&f.rig, 0);
    msi = rig_msi(&f.rig);
    f.bus = pci_bus_new(f.rig.space, f.rig.ports, &line, &msi, NULL);
    f.e = e1000_new(f.bus, SLOT, f.rig.space, f.rig.clock, &f.net.netdev, mac, NULL);
    assert_non_null(f.e);
    assert_int_equal(pci_place_bar(e1000_function(f.e), 0, (uint32_t)MMIO, NULL), 0);
    assert_int_equal(pci_place_bar(e1000_function(f.e), 1, IO, NULL), 0);
    ports_write(f.rig.ports, 0xcf8, 4, 0x80000000u | SLOT << 11 | 4);
    ports_write(f.rig.ports, 0xcfc, 2, 7);
    put(&f, TDBAL, TX_RING);
    put(&f, TDLEN, RING * 16);
    put(&f, TCTL, EN);
    put(&f, RDBAL, RX_RING);
    put(&f, RDLEN, RING * 16);
    put(&f, RCTL, EN | BAM | SECRC);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    e1000_device(f->e)->free(e1000_device(f->e));
    pci_bus_free(f->bus);
    rig_tear_down(&f->rig);
    return 0;
}

/* ---- driving it ---- */

static void descriptor(struct fixture *f, uint64_t first, uint64_t second)
{
    space_store(f->rig.space, TX_RING + 16 * f->tail, 8, first);
    space_store(f->rig.space, TX_RING + 16 * f->tail + 8, 8, second);
    f->tail = (f->tail + 1) % RING;
}

static void kick(struct fixture *f)
{
    put(f, TDT, f->tail);
}

/* The status byte of the descriptor @back before the tail. */
static unsigned tx_status(struct fixture *f, unsigned back)
{
    return (unsigned)space_load(f->rig.space, TX_RING + 16 * ((f->tail + RING - back) % RING) + 12,
                                1);
}

static void data_at(struct fixture *f, uint64_t at, const uint8_t *bytes, size_t len)
{
    assert_int_equal(space_write(f->rig.space, at, bytes, len), 0);
}

static uint64_t legacy(unsigned cmd, size_t len)
{
    return (uint64_t)cmd << 24 | len;
}

static uint64_t data(unsigned cmd, unsigned popts, size_t len)
{
    return (uint64_t)popts << 40 | (uint64_t)(cmd | DEXT) << 24 | 1 << 20 | len;
}

/* Gives @n buffers of 2 KiB. */
static void give(struct fixture *f, unsigned n)
{
    unsigned tail = get(f, RDT);

    for (unsigned i = 0; i < n; i++, tail = (tail + 1) % RING) {
        space_store(f->rig.space, RX_RING + 16 * tail, 8, RX_DATA + 2048 * tail);
        space_store(f->rig.space, RX_RING + 16 * tail + 8, 8, 0);
    }
    put(f, RDT, tail);
}

struct received {
    unsigned len, checksum, status, errors, tag;
    uint8_t bytes[2048];
};

/* Takes the next filled descriptor; false when there is none. */
static bool take(struct fixture *f, struct received *ret)
{
    uint64_t d = space_load(f->rig.space, RX_RING + 16 * f->rx_head + 8, 8);

    if (!(d >> 32 & 1))
        return false;
    *ret = (struct received){.len = d & 0xffff,
                             .checksum = d >> 16 & 0xffff,
                             .status = d >> 32 & 0xff,
                             .errors = d >> 40 & 0xff,
                             .tag = d >> 48 & 0xffff};
    assert_int_equal(space_read(f->rig.space, RX_DATA + 2048 * f->rx_head, ret->bytes, 2048), 0);
    space_store(f->rig.space, RX_RING + 16 * f->rx_head + 8, 8, 0);
    f->rx_head = (f->rx_head + 1) % RING;
    return true;
}

/* Whether a frame to @to is received. */
static bool gets(struct fixture *f, const uint8_t *to)
{
    uint8_t frame[60] = {0};
    struct received r;

    memcpy(frame, to, 6);
    if (get(f, RDH) == get(f, RDT))
        give(f, 1);
    assert_true(rig_net_deliver(&f->net, frame, sizeof(frame)));
    if (!take(f, &r))
        return false;
    assert_int_equal(r.len, 60);
    return true;
}

/* An IPv4 packet with @payload bytes of TCP or UDP; checksums are right if @sums, else as a driver
 * with offloads leaves them. Returns the frame's length. */
static size_t make_packet(uint8_t *frame, bool tcp, size_t payload, bool sums)
{
    static const uint8_t ip[20] = {0x45, 0, 0,  0, 0x12, 0x34, 0x40, 0, 64, 0,
                                   0,    0, 10, 0, 2,    15,   10,   0, 2,  2};
    size_t header = tcp ? 20 : 8, total = 20 + header + payload;
    uint8_t *tu = frame + 34;

    memset(frame, 0, 34 + header);
    memset(frame, 0xff, 6);
    memcpy(frame + 6, mac, 6);
    frame[12] = 8;
    memcpy(frame + 14, ip, sizeof(ip));
    frame[16] = (uint8_t)(total >> 8);
    frame[17] = (uint8_t)total;
    frame[23] = tcp ? 6 : 17;
    for (size_t i = 0; i < payload; i++)
        tu[header + i] = (uint8_t)(i * 7 + i / 251);
    if (tcp) {
        tu[7] = 100; /* sequence number */
        tu[12] = 0x50;
        tu[13] = 0x19; /* ACK, PSH, FIN */
    } else {
        tu[4] = (uint8_t)((8 + payload) >> 8);
        tu[5] = (uint8_t)(8 + payload);
    }
    if (sums) {
        uint16_t sum;
        store_le16(frame + 24, (uint16_t)~checksum_add(frame + 14, 20, 0));
        sum = (uint16_t)~checksum_add(tu, header + payload,
                                      checksum_pseudo(frame + 26, 8, frame[23], header + payload));
        store_le16(tu + (tcp ? 16 : 6), sum);
    }
    return 34 + header + payload;
}

/* Whether the frame on the wire is a TCP/IPv4 packet whose lengths and checksums are right. */
static void check_tcp(const uint8_t *frame, size_t len)
{
    size_t total = (size_t)frame[16] << 8 | frame[17];

    assert_int_equal(total, len - 14);
    assert_int_equal(checksum_add(frame + 14, 20, 0), 0xffff);
    assert_int_equal(
        checksum_add(frame + 34, len - 34, checksum_pseudo(frame + 26, 8, 6, len - 34)), 0xffff);
}

/* ---- tests ---- */

static void identity(void **state)
{
    struct fixture *f = *state;

    ports_write(f->rig.ports, 0xcf8, 4, 0x80000000u | SLOT << 11);
    assert_int_equal(ports_read(f->rig.ports, 0xcfc, 4), 0x100e8086);
    assert_int_equal(get(f, STATUS), 0x80080783);
    assert_int_equal(get(f, RAL), load_le32(mac));
    assert_int_equal(get(f, RAH), 0x80000000u | load_le16(mac + 4));
    /* The same through the two ports. */
    ports_write(f->rig.ports, IO, 4, RAL);
    assert_int_equal(ports_read(f->rig.ports, IO + 4, 4), load_le32(mac));
    ports_write(f->rig.ports, IO, 4, RDTR);
    ports_write(f->rig.ports, IO + 4, 4, 0x77);
    assert_int_equal(get(f, RDTR), 0x77);
    /* Parts of a register can be read, not written. */
    assert_int_equal(space_load(f->rig.space, (uint32_t)MMIO + RAL + 1, 1), mac[1]);
    space_store(f->rig.space, (uint32_t)MMIO + RDTR, 1, 0);
    assert_int_equal(get(f, RDTR), 0x77);
    assert_int_equal(get(f, 0x1fffc), 0);
    put(f, 0x1fffc, 1);
    /* A reset by the driver. */
    put(f, RAL, 0);
    put(f, CTRL, 1 << 26);
    assert_int_equal(get(f, RAL), load_le32(mac));
    assert_int_equal(get(f, RDTR), 0);
    assert_int_equal(get(f, RCTL), 0);
}

/* Clocks one bit into the EEPROM and returns what comes out. */
static unsigned eeprom_bit(struct fixture *f, unsigned in)
{
    enum { SK = 1, CS = 2, DI = 4, DO = 8, REQ = 0x40 };
    unsigned out;

    put(f, EECD, CS | REQ | (in ? DI : 0));
    put(f, EECD, CS | REQ | (in ? DI : 0) | SK);
    out = get(f, EECD) & DO;
    put(f, EECD, CS | REQ | (in ? DI : 0));
    return out ? 1 : 0;
}

static unsigned eeprom_read(struct fixture *f, unsigned word)
{
    unsigned command = 0x180 | word, value = 0; /* start, read */

    put(f, EECD, 0x40);
    assert_int_equal(get(f, EECD) & 0x80, 0x80); /* granted */
    put(f, EECD, 0x42);
    for (unsigned i = 9; i--;)
        eeprom_bit(f, command >> i & 1);
    assert_int_equal(get(f, EECD) & 8, 0); /* the dummy bit */
    for (unsigned i = 0; i < 16; i++)
        value = value << 1 | eeprom_bit(f, 0);
    put(f, EECD, 0);
    return value;
}

static void eeprom(void **state)
{
    struct fixture *f = *state;
    unsigned sum = 0;

    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(eeprom_read(f, i), load_le16(mac + 2 * i));
    for (unsigned i = 0; i < 64; i++) {
        sum += eeprom_read(f, i);
        put(f, EERD, i << 8 | 1);
        assert_int_equal(get(f, EERD) & 0x10, 0x10);
        assert_int_equal(get(f, EERD) >> 16, eeprom_read(f, i));
    }
    assert_int_equal(sum & 0xffff, 0xbaba);
}

/* As U-Boot takes it before it reads the EEPROM. */
static void semaphore(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(get(f, 0x5b50), 0);
    assert_int_equal(get(f, 0x5b50), 1); /* taken by the reader before */
    put(f, 0x5b50, 1 | 2);
    assert_int_equal(get(f, 0x5b50), 3);
    put(f, 0x5b50, 0);
    assert_int_equal(get(f, 0x5b50), 0);
}

static uint32_t phy(struct fixture *f, unsigned reg)
{
    put(f, MDIC, 2u << 26 | 1 << 21 | reg << 16);
    assert_int_equal(get(f, MDIC) >> 28 & 5, 1);
    return get(f, MDIC) & 0xffff;
}

static void phy_and_link(void **state)
{
    struct fixture *f = *state;

    put(f, IMS, LSC | MDAC);
    assert_int_equal(phy(f, 2), 0x141);
    assert_int_equal(phy(f, 3) & 0xfff0, 0xc20);
    assert_int_equal(phy(f, 1) & 0x24, 0x24);
    put(f, MDIC, 1u << 26 | 1 << 21 | 4 << 16 | 1 << 29 | 0x1e1);
    assert_int_equal(get(f, ICR), MDAC);
    assert_int_equal(phy(f, 4), 0x1e1);
    put(f, MDIC, 2u << 26 | 2 << 21);
    assert_int_equal(get(f, MDIC) >> 28 & 5, 5); /* no such PHY */
    f->net.client->link(f->net.client->opaque, false);
    assert_int_equal(get(f, STATUS) & 2, 0);
    assert_int_equal(phy(f, 1) & 4, 0);
    assert_int_equal(f->rig.wire[WIRE].level, 1);
    assert_int_equal(get(f, ICR), LSC);
    assert_int_equal(f->rig.wire[WIRE].level, 0);
    put(f, CTRL, 1 << 26);
    assert_int_equal(get(f, STATUS) & 2, 0); /* a reset does not plug it in */
    f->net.client->link(f->net.client->opaque, true);
    assert_int_equal(get(f, STATUS) & 2, 2);
}

static void legacy_packets(void **state)
{
    struct fixture *f = *state;
    uint8_t frame[200];

    for (unsigned i = 0; i < sizeof(frame); i++)
        frame[i] = (uint8_t)(i * 3);
    data_at(f, TX_DATA, frame, sizeof(frame));
    put(f, IMS, TXDW);
    descriptor(f, TX_DATA, legacy(RS, 50));
    kick(f); /* half a packet stays where it is */
    assert_int_equal(get(f, TDH), 0);
    assert_int_equal(f->net.frames, 0);
    descriptor(f, TX_DATA + 50, legacy(EOP | RS, 150));
    kick(f);
    assert_int_equal(f->net.frames, 1);
    assert_int_equal(f->net.batches, 1);
    assert_int_equal(f->net.len, 200);
    assert_memory_equal(f->net.frame, frame, 200);
    assert_int_equal(get(f, TDH), 2);
    assert_int_equal(tx_status(f, 1) & tx_status(f, 2), 1);
    assert_int_equal(f->rig.wire[WIRE].level, 1);
    assert_int_equal(get(f, ICR), TXDW | TXQE);
    assert_int_equal(f->rig.wire[WIRE].level, 0);
    /* Without RS nothing is reported; CSS and CSO ask for a checksum. */
    descriptor(f, TX_DATA, legacy(EOP | IFCS | IC, 100) | 20ull << 40 | 50 << 16);
    kick(f);
    assert_int_equal(tx_status(f, 1), 0);
    assert_int_equal(f->net.len, 100);
    assert_int_equal(load_le16(f->net.frame + 50), (uint16_t)~checksum_add(frame + 20, 80, 0));
    /* Statistics. */
    assert_int_equal(get(f, 0x4080), 2);
    assert_int_equal(get(f, 0x4080), 0);
    assert_int_equal(get(f, 0x4090), 308);
    assert_int_equal(get(f, 0x4094), 0);
    assert_int_equal(get(f, 0x4090), 0);
    assert_int_equal(f->net.netdev.tx_bytes, 300);
}

static void context(struct fixture *f, unsigned tucmd, unsigned header, unsigned mss,
                    size_t payload)
{
    uint64_t first =
        14 | 24 << 8 | 33 << 16 | 34ull << 32 | (uint64_t)(tucmd & TU_TCP ? 50 : 40) << 40;

    descriptor(f, first,
               (uint64_t)mss << 48 | (uint64_t)header << 40 | (uint64_t)(tucmd | DEXT) << 24 |
                   payload);
}

/* As Linux leaves it: the sum of the pseudo header in the checksum's place. */
static void begin_sum(uint8_t *frame, size_t at, size_t len)
{
    store_le16(frame + at, checksum_pseudo(frame + 26, 8, frame[23], len));
}

static void inserted_checksums(void **state)
{
    struct fixture *f = *state;
    uint8_t frame[600];
    size_t len = make_packet(frame, true, 500, false);

    begin_sum(frame, 50, len - 34);
    data_at(f, TX_DATA, frame, len);
    context(f, TU_TCP | TU_IP, 0, 0, 0);
    descriptor(f, TX_DATA, data(EOP | RS, IXSM | TXSM, len));
    kick(f);
    assert_int_equal(f->net.frames, 1);
    assert_int_equal(f->net.len, len);
    check_tcp(f->net.frame, len);
    /* A UDP checksum of 0 is sent as 0xffff. */
    len = make_packet(frame, false, 2, false);
    begin_sum(frame, 40, 10);
    store_le16(frame + 42, 0);
    store_le16(frame + 42, (uint16_t)~checksum_add(frame + 34, 10, 0));
    data_at(f, TX_DATA, frame, len);
    context(f, TU_IP, 0, 0, 0);
    descriptor(f, TX_DATA, data(EOP | RS, TXSM, len));
    kick(f);
    assert_int_equal(load_le16(f->net.frame + 40), 0xffff);
    /* Places outside the frame change nothing. */
    descriptor(f, 0xff | 0xffull << 8 | 0xffull << 32 | 0xffull << 40, (uint64_t)DEXT << 24);
    descriptor(f, TX_DATA, data(EOP | RS, IXSM | TXSM, len));
    kick(f);
    assert_int_equal(f->net.frames, 3);
    assert_memory_equal(f->net.frame, frame, len);
}

/* Sends 4000 bytes of TCP payload with an MSS of 1400. */
static void send_large(struct fixture *f, uint8_t *frame)
{
    size_t len = make_packet(frame, true, 4000, false);

    frame[16] = frame[17] = 0; /* the hardware knows the length */
    begin_sum(frame, 50, 0);
    data_at(f, TX_DATA, frame, len);
    context(f, TU_TCP | TU_IP | TSE, 54, 1400, 4000);
    descriptor(f, TX_DATA, data(TSE, IXSM | TXSM, 54));
    descriptor(f, TX_DATA + 54, data(TSE, 0, 1000));
    descriptor(f, TX_DATA + 1054, data(TSE | EOP | RS, 0, len - 1054));
    kick(f);
}

static uint8_t segments[8][1600];
static size_t segment_len[8];
static unsigned segment_count;

static void keep_segment(struct netdev *n, const struct netdev_span *spans, unsigned count)
{
    assert_int_equal(count, 1);
    assert_true(segment_count < 8 && spans[0].len <= 1600);
    memcpy(segments[segment_count], spans[0].data, spans[0].len);
    segment_len[segment_count++] = spans[0].len;
}

static void segmentation(void **state)
{
    struct fixture *f = *state;
    struct netdev_ops ops = *f->net.netdev.ops;
    static uint8_t frame[5000];
    size_t at = 0;

    ops.send = keep_segment;
    f->net.netdev.ops = &ops;
    segment_count = 0;
    send_large(f, frame);
    assert_int_equal(segment_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t *s = segments[i];
        check_tcp(s, segment_len[i]);
        assert_int_equal(segment_len[i] - 54, i < 2 ? 1400 : 1200);
        assert_int_equal(s[18] << 8 | s[19], 0x1234 + (int)i);     /* identification */
        assert_int_equal(s[40] << 8 | s[41], 100 + 1400 * (int)i); /* sequence */
        assert_int_equal(s[47], i < 2 ? 0x10 : 0x19);              /* PSH, FIN at the end */
        assert_memory_equal(s + 54, frame + 54 + at, segment_len[i] - 54);
        at += segment_len[i] - 54;
    }
    assert_int_equal(at, 4000);
}

static void large_packets_go_whole(void **state)
{
    struct fixture *f = *state;
    static uint8_t frame[5000];

    f->net.netdev.tx_super = true;
    send_large(f, frame);
    assert_int_equal(f->net.frames, 1);
    assert_int_equal(f->net.len, 4054);
    check_tcp(f->net.frame, 4054);
    assert_int_equal(f->net.frame[47], 0x19);
    assert_memory_equal(f->net.frame + 54, frame + 54, 4000);
    assert_int_equal(tx_status(f, 1), 1);
}

static void nonsense_is_dropped(void **state)
{
    struct fixture *f = *state;

    /* MSS 0; a header longer than the packet; headers that end before the fields; no header. */
    static const struct {
        unsigned header, mss;
    } bad[] = {{54, 0}, {200, 1400}, {40, 1400}, {0, 1400}, {13, 65535}};
    for (unsigned i = 0; i < array_size(bad); i++) {
        context(f, TU_TCP | TU_IP | TSE, bad[i].header, bad[i].mss, 100);
        descriptor(f, TX_DATA, data(TSE | EOP | RS, IXSM | TXSM, 100));
        kick(f);
        assert_int_equal(tx_status(f, 1), 1);
    }
    assert_int_equal(f->net.frames, 0);
    /* Data outside memory, too much data, frames without a header. */
    descriptor(f, RIG_MEMORY - 10, legacy(EOP | RS, 100));
    kick(f);
    descriptor(f, TX_DATA, data(RS, 0, 0xfffff));
    descriptor(f, TX_DATA, data(EOP | RS, 0, 0xfffff));
    kick(f);
    descriptor(f, TX_DATA, legacy(EOP | RS, 13));
    kick(f);
    assert_int_equal(f->net.frames, 0);
    assert_int_equal(get(f, TDH), f->tail);
    /* Rings outside memory, indices outside the ring, no bus mastering. */
    put(f, TDBAL, 0xfffff000);
    f->tail = (f->tail + 1) % RING;
    kick(f);
    put(f, TDT, RING);
    put(f, TDLEN, 0);
    put(f, TDT, 1);
    put(f, RDT, RING);
    assert_false(rig_net_deliver(&f->net, mac, 60));
    assert_int_equal(f->net.frames, 0);
}

static void much_to_send_comes_in_parts(void **state)
{
    struct fixture *f = *state;

    f->net.netdev.tx_super = true;
    for (unsigned i = 0; i < 7; i++) /* 300 KiB each, of which nothing can leave as one frame */
        descriptor(f, TX_DATA, data(EOP | RS, 0, 300 << 10));
    kick(f);
    assert_int_not_equal(get(f, TDH), f->tail);
    rig_pass(&f->rig, 1000000);
    assert_int_equal(get(f, TDH), f->tail);
}

static void delayed_interrupts(void **state)
{
    struct fixture *f = *state;

    put(f, IMS, TXDW);
    put(f, TIDV, 100);
    put(f, TADV, 150);
    descriptor(f, TX_DATA, legacy(EOP | RS | IDE, 60));
    kick(f);
    assert_int_equal(f->rig.wire[WIRE].level, 0);
    rig_pass(&f->rig, 90 * 1024);
    descriptor(f, TX_DATA, legacy(EOP | RS | IDE, 60));
    kick(f); /* starts TIDV again, TADV goes on */
    rig_pass(&f->rig, 59 * 1024);
    assert_int_equal(f->rig.wire[WIRE].level, 0);
    rig_pass(&f->rig, 2 * 1024);
    assert_int_equal(f->rig.wire[WIRE].level, 1);
    get(f, ICR);
    put(f, IMC, UINT32_MAX);
    put(f, IMS, RXT0);
    put(f, RDTR, 50);
    assert_true(gets(f, mac));
    assert_int_equal(f->rig.wire[WIRE].level, 0);
    rig_pass(&f->rig, 51 * 1024);
    assert_int_equal(f->rig.wire[WIRE].level, 1);
    get(f, ICR);
    assert_true(gets(f, mac));
    put(f, RDTR, 1u << 31 | 50); /* flush */
    assert_int_equal(f->rig.wire[WIRE].level, 1);
}

static void throttled_interrupts(void **state)
{
    struct fixture *f = *state;

    put(f, ITR, 1000); /* 256 us */
    put(f, IMS, LSC);
    put(f, ICS, LSC);
    assert_int_equal(f->rig.wire[WIRE].level, 1);
    get(f, ICR);
    put(f, ICS, LSC);
    assert_int_equal(f->rig.wire[WIRE].level, 0);
    rig_pass(&f->rig, 200000);
    assert_int_equal(f->rig.wire[WIRE].level, 0);
    rig_pass(&f->rig, 57000);
    assert_int_equal(f->rig.wire[WIRE].level, 1);
    put(f, IMC, LSC);
    assert_int_equal(f->rig.wire[WIRE].level, 0);
}

static void frames_come_in(void **state)
{
    struct fixture *f = *state;
    static uint8_t frame[5000];
    struct received r;

    memset(frame, 0xff, sizeof(frame));
    put(f, IMS, RXT0 | RXO | RXDMT0);
    assert_false(rig_net_deliver(&f->net, frame, 100));        /* no buffers */
    f->net.client->receive(f->net.client->opaque, frame, 100); /* forced */
    assert_int_equal(get(f, ICR), RXO);
    assert_int_equal(get(f, 0x4010), 1);
    f->net.ready = 0;
    give(f, 5);
    assert_int_equal(f->net.ready, 1);
    for (unsigned i = 6; i < sizeof(frame); i++)
        frame[i] = (uint8_t)(i * 5 + i / 256);
    assert_true(rig_net_deliver(&f->net, frame, 100));
    assert_int_equal(f->rig.wire[WIRE].level, 1);
    assert_int_equal(get(f, ICR), RXT0 | RXDMT0); /* four of eight are left */
    assert_true(take(f, &r));
    assert_int_equal(r.len, 100);
    assert_int_equal(r.status & 7, 7); /* done, end, no checksum was looked at */
    assert_memory_equal(r.bytes, frame, 100);
    assert_int_equal(get(f, RDH), 1);
    /* Short frames are padded; without SECRC there is room for the FCS. */
    put(f, RCTL, EN | BAM);
    assert_true(rig_net_deliver(&f->net, frame, 42));
    assert_true(take(f, &r));
    assert_int_equal(r.len, 64);
    assert_int_equal(r.bytes[42], 0);
    /* Long ones only when asked for, over several buffers. */
    assert_true(rig_net_deliver(&f->net, frame, 4000));
    assert_false(take(f, &r));
    put(f, RCTL, EN | BAM | LPE | SECRC);
    assert_true(rig_net_deliver(&f->net, frame, 4000));
    assert_true(take(f, &r));
    assert_int_equal(r.len, 2048);
    assert_int_equal(r.status, 1);
    assert_memory_equal(r.bytes, frame, 2048);
    assert_true(take(f, &r));
    assert_int_equal(r.len, 4000 - 2048);
    assert_int_equal(r.status & 3, 3);
    assert_memory_equal(r.bytes, frame + 2048, 4000 - 2048);
    assert_false(rig_net_deliver(&f->net, frame, 4000)); /* one is not enough */
    assert_true(rig_net_deliver(&f->net, frame, 1000));
    put(f, RCTL, 0);
    assert_true(rig_net_deliver(&f->net, frame, 1000)); /* nobody listens: dropped */
    /* Buffers outside memory. */
    put(f, RCTL, EN | BAM);
    space_store(f->rig.space, RX_RING + 16 * get(f, RDT), 8, RIG_MEMORY);
    put(f, RDT, (get(f, RDT) + 1) % RING);
    get(f, ICR);
    assert_true(rig_net_deliver(&f->net, frame, 1000));
    assert_int_equal(get(f, ICR) & (RXO | RXT0), RXO);
}

static void filters(void **state)
{
    struct fixture *f = *state;
    static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t other[6] = {0x52, 0x54, 0, 1, 1, 1}, multi[6] = {1, 0, 0x5e, 0, 0x10, 1};
    unsigned bits = (0x10 | 1 << 8) >> 4;

    assert_true(gets(f, mac) && gets(f, all));
    assert_false(gets(f, other) || gets(f, multi));
    put(f, RCTL, EN | UPE | SECRC);
    assert_true(gets(f, other));
    assert_false(gets(f, all) || gets(f, multi));
    put(f, RCTL, EN | MPE | SECRC);
    assert_true(gets(f, multi) && gets(f, all));
    assert_false(gets(f, other));
    put(f, RCTL, EN | SECRC);
    put(f, MTA + 4 * (bits / 32), 1u << bits % 32);
    assert_true(gets(f, multi));
    put(f, RCTL, EN | SECRC | 3 << 12); /* other bits of the address */
    assert_false(gets(f, multi));
    put(f, RAL + 8, load_le32(other));
    put(f, RAH + 8, load_le16(other + 4));
    assert_false(gets(f, other)); /* not valid yet */
    put(f, RAH + 8, load_le16(other + 4) | 1u << 31);
    assert_true(gets(f, other));
}

static void verified_checksums(void **state)
{
    struct fixture *f = *state;
    enum { IPCS = 0x40, TCPCS = 0x20, IPE = 0x40, TCPE = 0x20 };
    uint8_t frame[600];
    size_t len = make_packet(frame, true, 500, true);
    struct received r;

    put(f, RXCSUM, 0x300);
    give(f, 6);
    rig_net_deliver(&f->net, frame, len);
    assert_true(take(f, &r));
    assert_int_equal(r.status & (IPCS | TCPCS | 4), IPCS | TCPCS);
    assert_int_equal(r.errors, 0);
    assert_int_equal(r.checksum, checksum_add(frame, len, 0));
    frame[100] ^= 1;
    rig_net_deliver(&f->net, frame, len);
    assert_true(take(f, &r));
    assert_int_equal(r.errors, TCPE);
    frame[100] ^= 1;
    frame[22] ^= 1; /* the time to live */
    rig_net_deliver(&f->net, frame, len);
    assert_true(take(f, &r));
    assert_int_equal(r.errors, IPE);
    f->net.netdev.rx_verified = true; /* then nothing is looked at */
    rig_net_deliver(&f->net, frame, len);
    assert_true(take(f, &r));
    assert_int_equal(r.errors, 0);
    f->net.netdev.rx_verified = false;
    len = make_packet(frame, false, 100, true);
    rig_net_deliver(&f->net, frame, len);
    assert_true(take(f, &r));
    assert_int_equal(r.status & (IPCS | TCPCS), IPCS | TCPCS);
    assert_int_equal(r.errors, 0);
    store_le16(frame + 40, 0); /* UDP without a checksum */
    rig_net_deliver(&f->net, frame, len);
    assert_true(take(f, &r));
    assert_int_equal(r.status & (IPCS | TCPCS), IPCS);
    assert_int_equal(r.errors, 0);
}

static void vlan_tags(void **state)
{
    struct fixture *f = *state;
    uint8_t frame[104] = {0};
    struct received r;

    memcpy(frame, mac, 6);
    frame[12] = 0x81;
    frame[14] = 0x20;
    frame[15] = 7;
    frame[16] = 8;
    frame[103] = 99;
    give(f, 4);
    rig_net_deliver(&f->net, frame, sizeof(frame)); /* VME is off: as it is */
    assert_true(take(f, &r));
    assert_int_equal(r.len, 104);
    put(f, CTRL, get(f, CTRL) | 1 << 30);
    put(f, RCTL, EN | VFE | SECRC);
    rig_net_deliver(&f->net, frame, sizeof(frame)); /* not in the filter */
    assert_false(take(f, &r));
    put(f, VFTA, 1 << 7);
    rig_net_deliver(&f->net, frame, sizeof(frame));
    assert_true(take(f, &r));
    assert_int_equal(r.len, 100);
    assert_int_equal(r.tag, 0x2007);
    assert_int_equal(r.status & 8, 8);
    assert_memory_equal(r.bytes + 12, frame + 16, 88);
    /* And out again. */
    data_at(f, TX_DATA, r.bytes, 100);
    descriptor(f, TX_DATA, legacy(EOP | RS | VLE, 100) | 0x2007ull << 48);
    kick(f);
    assert_int_equal(f->net.len, 104);
    assert_memory_equal(f->net.frame, frame, 104);
}

static void loopback_and_answers_inside_send(void **state)
{
    struct fixture *f = *state;
    uint8_t frame[100], reply[80];
    struct received r;

    memset(frame, 0xff, sizeof(frame));
    memset(reply, 0xff, sizeof(reply));
    give(f, 4);
    data_at(f, TX_DATA, frame, sizeof(frame));
    f->net.echo = reply;
    f->net.echo_len = sizeof(reply);
    descriptor(f, TX_DATA, legacy(EOP | RS, sizeof(frame)));
    kick(f);
    assert_int_equal(f->net.len, 100);
    assert_true(take(f, &r));
    assert_int_equal(r.len, 80);
    put(f, MDIC, 1u << 26 | 1 << 21 | 0x4000); /* the PHY's loopback */
    descriptor(f, TX_DATA, legacy(EOP | RS, sizeof(frame)));
    kick(f);
    assert_int_equal(f->net.frames, 1);
    assert_true(take(f, &r));
    assert_int_equal(r.len, 100);
    assert_memory_equal(r.bytes, frame, 100);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {test(identity),
                                       test(eeprom),
                                       test(semaphore),
                                       test(phy_and_link),
                                       test(legacy_packets),
                                       test(inserted_checksums),
                                       test(segmentation),
                                       test(large_packets_go_whole),
                                       test(nonsense_is_dropped),
                                       test(much_to_send_comes_in_parts),
                                       test(delayed_interrupts),
                                       test(throttled_interrupts),
                                       test(frames_come_in),
                                       test(filters),
                                       test(verified_checksums),
                                       test(vlan_tags),
                                       test(loopback_and_answers_inside_send)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
