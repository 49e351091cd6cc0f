/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending (manual, chapter 3.3): legacy descriptors, and context and data descriptors with checksum
 * insertion, TCP segmentation and VLAN tags.
 *
 * A packet is taken from the ring only when its last descriptor is there, so that no half packet is
 * ever kept between two writes of the driver. A large TCP/IPv4 packet goes whole to a backend that
 * takes it (netdev.tx_super); otherwise it leaves in segments of MSS bytes as the hardware sends
 * it.
 *
 * One call does a bounded amount of work: with more in the ring a timer goes on, so that a driver
 * cannot hold the machine lock for long.
 */
#include "base/mem.h"
#include "device/checksum.h"
#include "device/e1000_internal.h"

enum {
    WORK_PER_CALL = 1 << 20,
    WORK_PER_DESCRIPTOR = 256,
    WORK_PER_SEGMENT = 256,
    PAUSE_NS = 20000
};
enum { PACKET_DESCRIPTORS = 1024, IPV4_MAX = 65535, MAC_HEADER = 14 };
/* More than any driver asks to have segmented, so that one packet is a bounded amount of work. */
enum { MSS_MIN = 16, SEGMENTED_MAX = 256 << 10 };
enum { TAG_AT = 12 }; /* the 802.1Q tag follows the addresses */

/* Bits of a descriptor's second quadword. DCMD of data, TUCMD of context and CMD of legacy
 * descriptors have most in common. */
#define D_EOP   (1ull << 24)
#define D_IC    (1ull << 26) /* legacy */
#define D_TSE   (1ull << 26) /* context, data */
#define D_RS    (1ull << 27)
#define D_DEXT  (1ull << 29)
#define D_VLE   (1ull << 30)
#define D_IDE   (1ull << 31)
#define D_DONE  (1ull << 32)
#define D_IXSM  (1ull << 40) /* data, POPTS */
#define D_TXSM  (1ull << 41)
#define D_DATA  (1ull << 20) /* DTYP: data rather than context */
#define TU_TCP  (1ull << 24) /* context: TCP rather than UDP */
#define TU_IPV4 (1ull << 25)

/* The context in force (3.3.6). */
struct context {
    unsigned ip_start, ip_offset, ip_end, tu_start, tu_offset, tu_end, header, mss;
    uint32_t payload;
    bool tcp, ipv4;
};

/* A packet on its way from the ring. */
struct packet {
    struct context context;
    uint64_t first, last; /* second quadwords of the first data descriptor and of the last one */
    bool segmented;
    size_t len;    /* in e->frame */
    size_t body;   /* segmented: payload bytes that one frame holds */
    uint32_t sent; /* segmented: payload bytes that went before those in e->frame */
    unsigned segments;
    bool broken; /* too long: nothing of it leaves */
};

static struct context context_of(const struct e1000 *e)
{
    uint64_t a = e->context[0], b = e->context[1];

    return (struct context){.ip_start = a & 0xff,
                            .ip_offset = a >> 8 & 0xff,
                            .ip_end = a >> 16 & 0xffff,
                            .tu_start = a >> 32 & 0xff,
                            .tu_offset = a >> 40 & 0xff,
                            .tu_end = a >> 48 & 0xffff,
                            .payload = b & 0xfffff,
                            .tcp = b & TU_TCP,
                            .ipv4 = b & TU_IPV4,
                            .header = b >> 40 & 0xff,
                            .mss = b >> 48 & 0xffff};
}

/* ---- one frame ---- */

/* Puts the checksum of bytes [start, end] (@end 0: to the end of the frame) at @offset (3.3.6.1).
 */
static void insert_checksum(struct e1000 *e, size_t len, size_t start, size_t offset, size_t end,
                            bool udp)
{
    uint16_t sum;

    if (end && end + 1 < len)
        len = end + 1;
    if (start >= len || offset + 2 > len)
        return;
    sum = (uint16_t)~checksum_add(e->frame + start, len - start, 0);
    if (udp && !sum)
        sum = 0xffff; /* 0 would mean: none */
    store_le16(e->frame + offset, sum);
}

static bool is_loopback(const struct e1000 *e)
{
    return e->reg[E1000_RCTL] & RCTL_LBM || e->phy[PHY_CTRL] & PHY_CTRL_LOOPBACK;
}

static void count_sent(struct e1000 *e, const uint8_t *frame, size_t len)
{
    static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    size_t wire = max_of(len, (size_t)E1000_FRAME_MIN) + E1000_FCS;

    netdev_note_sent(e->netdev, frame, len);
    e1000_count(e, STAT_GPTC, 1);
    e1000_count(e, STAT_TPT, 1);
    e1000_count_wide(e, STAT_GOTC, wire);
    e1000_count_wide(e, STAT_TOT, wire);
    e1000_count_size(e, STAT_PTC64, wire);
    if (memcmp(frame, all, sizeof(all)) == 0)
        e1000_count(e, STAT_BPTC, 1);
    else if (frame[0] & 1)
        e1000_count(e, STAT_MPTC, 1);
}

/* Sends the @len bytes of e->frame, with the tag of the packet's last descriptor. */
static void put_on_wire(struct e1000 *e, const struct packet *p, size_t len)
{
    uint8_t tag[E1000_TAG];
    struct netdev_span spans[3] = {{.data = e->frame, .len = len}};
    unsigned count = 1;

    if (len < MAC_HEADER) {
        e->netdev->dropped++;
        return;
    }
    if (e->reg[E1000_TCTL] & TCTL_PSP && len < E1000_FRAME_MIN) {
        memset(e->frame + len, 0, E1000_FRAME_MIN - len);
        spans[0].len = len = E1000_FRAME_MIN;
    }
    count_sent(e, e->frame, len);
    if (is_loopback(e)) { /* the tag, if any, is taken off where it was put on */
        e1000_receive(e, e->frame, len);
        return;
    }
    if (e->link_down) {
        e->netdev->dropped++;
        return;
    }
    if (p->last & D_VLE && e->reg[E1000_CTRL] & CTRL_VME) {
        const uint8_t bytes[E1000_TAG] = {(uint8_t)(e->reg[E1000_VET] >> 8),
                                          (uint8_t)e->reg[E1000_VET], (uint8_t)(p->last >> 56),
                                          (uint8_t)(p->last >> 48)};
        memcpy(tag, bytes, sizeof(tag));
        spans[0].len = TAG_AT;
        spans[1] = (struct netdev_span){.data = tag, .len = sizeof(tag)};
        spans[2] = (struct netdev_span){.data = e->frame + TAG_AT, .len = len - TAG_AT};
        count = 3;
    }
    e->netdev->ops->send(e->netdev, spans, count);
}

static void store_be16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void add_be16(uint8_t *at, unsigned n)
{
    store_be16(at, ((unsigned)at[0] << 8 | at[1]) + n);
}

static void add_be32(uint8_t *at, uint32_t n)
{
    uint32_t value = ((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]);

    value += n;
    store_be16(at, value >> 16);
    store_be16(at + 2, value & 0xffff);
}

/* What differs from segment to segment (3.5.3): lengths, IP identification, sequence, flags. */
static bool fix_headers(struct e1000 *e, const struct packet *p, bool last)
{
    enum { TCP_FIN_PSH = 0x09 };
    const struct context *c = &p->context;
    uint8_t *ip = e->frame + c->ip_start, *tu = e->frame + c->tu_start, length[2];
    size_t tu_len;

    /* All fields touched lie in the header, whose length is a byte. */
    if (p->len < c->header || c->ip_start + (c->ipv4 ? 20u : 40u) > c->header ||
        c->tu_start + (c->tcp ? 20u : 8u) > c->header || c->tu_offset + 2u > c->header)
        return false;
    tu_len = p->len - c->tu_start;
    if (c->ipv4) {
        store_be16(ip + 2, p->len - c->ip_start);
        add_be16(ip + 4, p->segments);
    } else {
        store_be16(ip + 4, p->len - c->ip_start - 40);
    }
    if (c->tcp) {
        add_be32(tu + 4, p->sent);
        if (!last)
            tu[13] &= (uint8_t)~TCP_FIN_PSH;
    } else {
        store_be16(tu + 4, tu_len);
    }
    /* The driver gave the sum of the pseudo header without the length. */
    store_be16(length, tu_len);
    store_le16(e->frame + c->tu_offset,
               checksum_add(length, 2, load_le16(e->frame + c->tu_offset)));
    return true;
}

static void send_frame(struct e1000 *e, struct packet *p, bool last)
{
    const struct context *c = &p->context;

    if (p->segmented && !fix_headers(e, p, last)) {
        p->broken = true;
        e->netdev->dropped++;
        return;
    }
    if (p->first & D_DEXT && p->first & D_IXSM)
        insert_checksum(e, p->len, c->ip_start, c->ip_offset, c->ip_end, false);
    if (p->first & D_DEXT && p->first & D_TXSM)
        insert_checksum(e, p->len, c->tu_start, c->tu_offset, c->tu_end, !c->tcp);
    if (!(p->last & D_DEXT) && p->last & D_IC) /* CSS, CSO of a legacy descriptor */
        insert_checksum(e, p->len, p->last >> 40 & 0xff, p->last >> 16 & 0xff, 0, false);
    put_on_wire(e, p, p->len);
}

/* ---- gathering ---- */

/* The frame is full and more follows: it leaves, and the next one begins with the same header. */
static void next_segment(struct e1000 *e, struct packet *p)
{
    send_frame(e, p, false);
    p->sent += (uint32_t)(p->len - p->context.header);
    p->segments++;
    memcpy(e->frame, e->header, p->context.header);
    p->len = p->context.header;
}

/* Adds the @len bytes at @address of guest memory. */
static void gather(struct e1000 *e, struct packet *p, uint64_t address, size_t len)
{
    while (len && !p->broken) {
        size_t top = sizeof(e->frame), n;
        if (p->sent > SEGMENTED_MAX) {
            p->broken = true;
            return;
        }
        if (p->segmented && p->len < p->context.header)
            top = p->context.header;
        else if (p->segmented)
            top = p->context.header + p->body;
        if (p->len == top && p->segmented && top > p->context.header) {
            next_segment(e, p);
            continue;
        }
        n = min_of(len, top - p->len);
        if (!n || space_read(e->space, address, e->frame + p->len, n) < 0) {
            p->broken = true;
            e->netdev->dropped++;
            return;
        }
        p->len += n;
        address += n;
        len -= n;
        if (p->segmented && p->len == p->context.header && !p->segments)
            memcpy(e->header, e->frame, p->context.header);
    }
}

/* How the packet is cut, once its first data descriptor is known. */
static void begin_packet(struct e1000 *e, struct packet *p)
{
    const struct context *c = &p->context;

    p->context = context_of(e);
    p->segmented = p->first & D_DEXT && p->first & D_TSE;
    if (!p->segmented)
        return;
    p->body = c->mss;
    if (e->netdev->tx_super && c->tcp && c->ipv4 && c->mss && !is_loopback(e) &&
        c->header < IPV4_MAX)
        p->body = (IPV4_MAX - c->header) / c->mss * c->mss;
    if (c->mss < MSS_MIN || c->header < MAC_HEADER || p->body + c->header > sizeof(e->frame))
        p->broken = true; /* nothing that a driver would ask for */
    else
        e1000_count(e, STAT_TSCTC, 1);
}

/* ---- the ring ---- */

struct ring {
    uint64_t base;
    uint32_t count, head, tail;
};

static bool get_ring(const struct e1000 *e, struct ring *ret)
{
    *ret = (struct ring){
        .base = (uint64_t)e->reg[E1000_TDBAH] << 32 | e->reg[E1000_TDBAL],
        .count = e->reg[E1000_TDLEN] / E1000_DESCRIPTOR,
        .head = e->reg[E1000_TDH],
        .tail = e->reg[E1000_TDT],
    };
    return ret->head < ret->count && ret->tail < ret->count && e->reg[E1000_TCTL] & TCTL_EN &&
           pci_bus_master(e->pci);
}

static int read_descriptor(const struct e1000 *e, const struct ring *r, uint32_t n, uint64_t ret[2])
{
    return space_read(e->space, r->base + (uint64_t)(n % r->count) * E1000_DESCRIPTOR, ret,
                      E1000_DESCRIPTOR);
}

static bool is_context(uint64_t second)
{
    return second & D_DEXT && !(second & D_DATA);
}

/*
 * How many descriptors the next packet has (a context descriptor before it counts as one), with the
 * last one's second quadword in *ret_last. 0 while its end is not there, a negative errno for
 * descriptors outside memory.
 */
static int packet_length(const struct e1000 *e, const struct ring *r, uint64_t *ret_last)
{
    uint32_t waiting = (r->tail + r->count - r->head) % r->count;
    uint64_t d[2];

    for (uint32_t i = 0; i < waiting; i++) {
        int err = read_descriptor(e, r, r->head + i, d);
        if (err < 0)
            return err;
        *ret_last = d[1];
        if (is_context(d[1]) ? i == 0 : (d[1] & D_EOP) != 0)
            return (int)i + 1;
        if (i + 1 == PACKET_DESCRIPTORS) /* no packet has so many: they are consumed */
            return PACKET_DESCRIPTORS;
    }
    return 0;
}

/* Tells the driver that descriptor @n is done; true when it wants an interrupt for that. */
static void write_back(struct e1000 *e, const struct ring *r, uint32_t n, uint64_t second)
{
    uint8_t bytes[4];

    if (!(second & D_RS))
        return;
    store_le32(bytes, (uint32_t)((second | D_DONE) >> 32));
    space_write(e->space, r->base + (uint64_t)(n % r->count) * E1000_DESCRIPTOR + 12, bytes, 4);
    if (!(second & D_IDE) || !e->reg[E1000_TIDV])
        e1000_cause(e, ICR_TXDW);
    else
        e1000_delay(e, &e->tx_delay, &e->tx_latest, e->reg[E1000_TIDV], e->reg[E1000_TADV]);
}

/* Sends the packet in the next @count descriptors; returns about how much work that was. */
static size_t send_packet(struct e1000 *e, const struct ring *r, unsigned count, uint64_t last)
{
    struct packet p = {.last = last};
    size_t work = 0;
    bool begun = false;

    for (unsigned i = 0; i < count; i++) {
        uint64_t d[2];
        size_t len;
        if (read_descriptor(e, r, r->head + i, d) < 0)
            break;
        work += WORK_PER_DESCRIPTOR;
        if (is_context(d[1])) {
            memcpy(e->context, d, sizeof(d));
            continue;
        }
        if (!begun) {
            p.first = d[1];
            begin_packet(e, &p);
            begun = true;
        }
        len = d[1] & (d[1] & D_DEXT ? 0xfffff : 0xffff);
        gather(e, &p, d[0], len);
        work += len;
    }
    if (begun && !p.broken && last & D_EOP)
        send_frame(e, &p, true);
    return work + p.segments * (size_t)WORK_PER_SEGMENT;
}

void e1000_transmit(struct e1000 *e)
{
    struct ring r;
    size_t work = 0;
    bool any = false;

    while (get_ring(e, &r) && r.head != r.tail) {
        uint64_t last = 0;
        int count = packet_length(e, &r, &last);
        if (count <= 0)
            break;
        if (work >= WORK_PER_CALL) {
            gtimer_set(&e->tx_more, gclock_now(e->clock) + PAUSE_NS);
            break;
        }
        work += send_packet(e, &r, (unsigned)count, last);
        for (unsigned i = 0; i < (unsigned)count; i++) {
            uint64_t d[2];
            if (read_descriptor(e, &r, r.head + i, d) == 0)
                write_back(e, &r, r.head + i, d[1]);
        }
        e->reg[E1000_TDH] = (r.head + (unsigned)count) % r.count;
        any = true;
    }
    if (!any)
        return;
    if (e->reg[E1000_TDH] == e->reg[E1000_TDT])
        e1000_cause(e, ICR_TXQE);
    if (e->netdev->ops->sent)
        e->netdev->ops->sent(e->netdev);
}

void e1000_tx_more(void *opaque)
{
    e1000_transmit(opaque);
}

void e1000_tx_timer(void *opaque)
{
    e1000_cause(opaque, ICR_TXDW);
}
