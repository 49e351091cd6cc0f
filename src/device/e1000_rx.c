/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving (manual, chapter 3.2): address and VLAN filters, frames over several buffers, checksums
 * of IPv4, TCP and UDP. The FCS, for drivers that do not have it stripped, is written as zeros:
 * there was no wire.
 */
#include "base/mem.h"
#include "device/checksum.h"
#include "device/e1000_internal.h"

enum { RAH_AV_SHIFT = 31, MAC = 6, MAC_HEADER = 14, TAG_AT = 12 };
enum { LONG_FRAME = 1522, PADDED_MAX = E1000_FRAME_MIN + E1000_FCS };
/* Status and errors of a descriptor (3.2.3). */
enum {
    RX_DD = 1 << 0,
    RX_EOP = 1 << 1,
    RX_IXSM = 1 << 2,
    RX_VP = 1 << 3,
    RX_TCPCS = 1 << 5,
    RX_IPCS = 1 << 6,
    RX_PIF = 1 << 7,
    RX_ERROR_TCPE = 1 << 5,
    RX_ERROR_IPE = 1 << 6,
};

struct ring {
    uint64_t base;
    uint32_t count, head, free; /* descriptors that the driver gave */
    size_t buffer;              /* bytes of each buffer */
};

static bool get_ring(const struct e1000 *e, struct ring *ret)
{
    uint32_t rctl = e->reg[E1000_RCTL], size = rctl >> RCTL_BSIZE_SHIFT & 3;
    uint32_t head = e->reg[E1000_RDH], tail = e->reg[E1000_RDT];

    *ret = (struct ring){.base = (uint64_t)e->reg[E1000_RDBAH] << 32 | e->reg[E1000_RDBAL],
                         .count = e->reg[E1000_RDLEN] / E1000_DESCRIPTOR,
                         .head = head,
                         .buffer = rctl & RCTL_BSEX && size ? 32768u >> size : 2048u >> size};
    if (head >= ret->count || tail >= ret->count)
        return false;
    ret->free = (tail + ret->count - head) % ret->count;
    return true;
}

static bool listening(const struct e1000 *e)
{
    return e->reg[E1000_RCTL] & RCTL_EN && pci_bus_master(e->pci);
}

/* Bytes that a frame of @len takes in buffers. */
static size_t stored_length(const struct e1000 *e, size_t len)
{
    return max_of(len, (size_t)E1000_FRAME_MIN) + (e->reg[E1000_RCTL] & RCTL_SECRC ? 0 : E1000_FCS);
}

bool e1000_can_receive(void *opaque, size_t len)
{
    struct e1000 *e = opaque;
    struct ring r;

    if (!listening(e))
        return true; /* nobody listens: take it and drop it */
    return get_ring(e, &r) && stored_length(e, len) <= (uint64_t)r.free * r.buffer;
}

/* ---- filters (3.2.1) ---- */

static bool in_hash(const struct e1000 *e, const uint8_t *address)
{
    static const uint8_t shifts[4] = {4, 3, 2, 0};
    unsigned bits = (unsigned)address[4] | (unsigned)address[5] << 8;
    unsigned n = bits >> shifts[e->reg[E1000_RCTL] >> RCTL_MO_SHIFT & 3] & 0xfff;

    return e->mta[n / 32] >> n % 32 & 1;
}

static bool is_own(const struct e1000 *e, const uint8_t *address)
{
    for (unsigned i = 0; i < E1000_RA; i += 2)
        if (e->ra[i + 1] >> RAH_AV_SHIFT && load_le32(address) == e->ra[i] &&
            load_le16(address + 4) == (e->ra[i + 1] & 0xffff))
            return true;
    return false;
}

static bool address_wanted(const struct e1000 *e, const uint8_t *address)
{
    static const uint8_t all[MAC] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint32_t rctl = e->reg[E1000_RCTL];

    if (memcmp(address, all, MAC) == 0 && rctl & RCTL_BAM)
        return true;
    if (rctl & (address[0] & 1 ? RCTL_MPE : RCTL_UPE))
        return true;
    return is_own(e, address) || (address[0] & 1 && in_hash(e, address));
}

static bool is_tagged(const struct e1000 *e, const uint8_t *frame, size_t len)
{
    return len >= MAC_HEADER + E1000_TAG &&
           ((unsigned)frame[TAG_AT] << 8 | frame[TAG_AT + 1]) == e->reg[E1000_VET];
}

static bool vlan_wanted(const struct e1000 *e, const uint8_t *frame, size_t len)
{
    unsigned id;

    if (!(e->reg[E1000_RCTL] & RCTL_VFE) || !is_tagged(e, frame, len))
        return true;
    id = ((unsigned)frame[TAG_AT + 2] << 8 | frame[TAG_AT + 3]) & 0xfff;
    return e->vfta[id / 32] >> id % 32 & 1;
}

/* ---- checksums (3.2.9) ---- */

/* Status (low byte) and errors (high byte) for what the hardware checks of an IPv4 packet. */
static unsigned check_sums(const struct e1000 *e, const uint8_t *frame, size_t len)
{
    enum { TCP = 6, UDP = 17, MORE_OR_OFFSET = 0x3fff };
    const uint8_t *ip = frame + MAC_HEADER, *tu;
    size_t header, total;
    unsigned result = 0;

    if (len < MAC_HEADER + 20 || frame[12] != 8 || frame[13] != 0 || ip[0] >> 4 != 4)
        return RX_IXSM;
    header = (ip[0] & 15u) * 4;
    total = (size_t)ip[2] << 8 | ip[3];
    if (header < 20 || total < header || total > len - MAC_HEADER)
        return RX_IXSM;
    if (e->reg[E1000_RXCSUM] & RXCSUM_IPOFL) {
        result |= RX_IPCS;
        if (!e->netdev->rx_verified && checksum_add(ip, header, 0) != 0xffff)
            result |= RX_ERROR_IPE << 8;
    }
    tu = ip + header;
    if (!(e->reg[E1000_RXCSUM] & RXCSUM_TUOFL) || (ip[9] != TCP && ip[9] != UDP) ||
        ((unsigned)ip[6] << 8 | ip[7]) & MORE_OR_OFFSET)
        return result ? result : (unsigned)RX_IXSM;
    if (ip[9] == UDP && (total - header < 8 || load_le16(tu + 6) == 0))
        return result; /* it has none */
    result |= RX_TCPCS;
    if (!e->netdev->rx_verified &&
        checksum_add(tu, total - header, checksum_pseudo(ip + 12, 8, ip[9], total - header)) !=
            0xffff)
        result |= RX_ERROR_TCPE << 8;
    return result;
}

/* ---- into the ring ---- */

/* What is written besides the data. */
struct result {
    uint16_t checksum, tag;
    unsigned status; /* and errors << 8 */
};

static int write_buffers(struct e1000 *e, struct ring *r, const uint8_t *bytes, size_t len,
                         const struct result *result)
{
    while (len) {
        uint64_t at = r->base + (uint64_t)r->head * E1000_DESCRIPTOR;
        uint8_t address[8], second[8];
        size_t n = min_of(len, r->buffer);
        unsigned status = n == len ? RX_DD | RX_EOP | result->status : (unsigned)RX_DD;

        if (!r->free || space_read(e->space, at, address, 8) < 0 ||
            space_write(e->space, load_le64(address), bytes, n) < 0)
            return -1;
        store_le16(second, (uint16_t)n);
        store_le16(second + 2, result->checksum);
        store_le16(second + 4, (uint16_t)status);
        store_le16(second + 6, result->tag);
        if (space_write(e->space, at + 8, second, 8) < 0)
            return -1;
        r->head = (r->head + 1) % r->count;
        r->free--;
        bytes += n;
        len -= n;
    }
    return 0;
}

static void count_received(struct e1000 *e, const uint8_t *frame, size_t len)
{
    static const uint8_t all[MAC] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    size_t wire = max_of(len, (size_t)E1000_FRAME_MIN) + E1000_FCS;

    netdev_note_received(e->netdev, frame, len);
    e1000_count(e, STAT_GPRC, 1);
    e1000_count_wide(e, STAT_GORC, wire);
    e1000_count_size(e, STAT_PRC64, wire);
    if (memcmp(frame, all, sizeof(all)) == 0)
        e1000_count(e, STAT_BPRC, 1);
    else if (frame[0] & 1)
        e1000_count(e, STAT_MPRC, 1);
}

/* The interrupt for a frame, after the delay of RDTR and RADV; and the one for few descriptors, of
 * which @before were free before it. */
static void announce(struct e1000 *e, const struct ring *r, uint32_t before)
{
    uint32_t few = r->count >> (1 + (e->reg[E1000_RCTL] >> RCTL_RDMTS_SHIFT & 3));

    if (before > few && r->free <= few)
        e1000_cause(e, ICR_RXDMT0);
    if (!e->reg[E1000_RDTR])
        e1000_cause(e, ICR_RXT0);
    else
        e1000_delay(e, &e->rx_delay, &e->rx_latest, e->reg[E1000_RDTR], e->reg[E1000_RADV]);
}

static void no_room(struct e1000 *e)
{
    e->netdev->dropped++;
    e1000_count(e, STAT_MPC, 1);
    e1000_count(e, STAT_RNBC, 1);
    e1000_cause(e, ICR_RXO);
}

/* Stores the accepted @frame; @tagged: its tag goes into the descriptor. */
static void store(struct e1000 *e, const uint8_t *frame, size_t len, bool tagged)
{
    static const uint8_t fcs[E1000_FCS];
    uint8_t *to = e->rx_frame;
    struct result result = {0};
    struct ring r;
    uint32_t before;
    size_t stored, start = e->reg[E1000_RXCSUM] & RXCSUM_PCSS;

    if (tagged) {
        result.tag = (uint16_t)((unsigned)frame[TAG_AT + 2] << 8 | frame[TAG_AT + 3]);
        memcpy(to, frame, TAG_AT);
        memcpy(to + TAG_AT, frame + TAG_AT + E1000_TAG, len - TAG_AT - E1000_TAG);
        len -= E1000_TAG;
    } else {
        memcpy(to, frame, len);
    }
    if (len < E1000_FRAME_MIN) {
        memset(to + len, 0, E1000_FRAME_MIN - len);
        len = E1000_FRAME_MIN;
    }
    stored = len;
    if (!(e->reg[E1000_RCTL] & RCTL_SECRC)) {
        memcpy(to + len, fcs, sizeof(fcs));
        stored += sizeof(fcs);
    }
    result.status =
        check_sums(e, to, len) | (tagged ? RX_VP : 0) | (to[0] & 1 && !is_own(e, to) ? RX_PIF : 0);
    if (start < len)
        result.checksum = checksum_add(to + start, len - start, 0);
    if (!get_ring(e, &r) || stored > (uint64_t)r.free * r.buffer) {
        no_room(e);
        return;
    }
    before = r.free;
    if (write_buffers(e, &r, to, stored, &result) < 0) {
        no_room(e);
        return;
    }
    e->reg[E1000_RDH] = r.head;
    count_received(e, to, len);
    announce(e, &r, before);
}

void e1000_receive(void *opaque, const uint8_t *frame, size_t len)
{
    struct e1000 *e = opaque;
    bool tagged;

    if (len < MAC_HEADER || len > NETDEV_FRAME_MAX - PADDED_MAX || !listening(e) || e->link_down) {
        e->netdev->dropped++;
        return;
    }
    e1000_count(e, STAT_TPR, 1);
    e1000_count_wide(e, STAT_TOR, max_of(len, (size_t)E1000_FRAME_MIN) + E1000_FCS);
    tagged = is_tagged(e, frame, len);
    if (len + E1000_FCS > LONG_FRAME + (tagged ? E1000_TAG : 0u) &&
        !(e->reg[E1000_RCTL] & (RCTL_LPE | RCTL_SBP))) {
        e1000_count(e, STAT_ROC, 1);
        return;
    }
    if (!address_wanted(e, frame) || !vlan_wanted(e, frame, len))
        return;
    store(e, frame, len, tagged && e->reg[E1000_CTRL] & CTRL_VME);
}

void e1000_rx_timer(void *opaque)
{
    e1000_cause(opaque, ICR_RXT0);
}
