/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames to send are gathered into one buffer, where a checksum that the driver left to us is
 * completed; frames received are written straight into the driver's buffers, several of them for
 * one frame when mergeable buffers are negotiated.
 *
 * Offloads: checksums both ways; large TCP/IPv4 segments (HOST_TSO4) only when the backend takes
 * them whole.
 */
#include "device/virtio/virtio_net.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "device/checksum.h"

enum {
    NET_F_CSUM = 0,
    NET_F_GUEST_CSUM = 1,
    NET_F_MTU = 3,
    NET_F_MAC = 5,
    NET_F_HOST_TSO4 = 11,
    NET_F_MRG_RXBUF = 15,
    NET_F_STATUS = 16,
    NET_F_CTRL_VQ = 17,
    NET_F_CTRL_RX = 18,
    NET_F_CTRL_MAC_ADDR = 23,
};
enum { QUEUE_RX = 0, QUEUE_TX = 1, QUEUE_CTRL = 2, QUEUES = 3, QUEUE_SIZE = 256 };

/* Device configuration (5.1.4), offsets. */
enum { CONFIG_MAC = 0, CONFIG_STATUS = 6, CONFIG_MTU = 10, CONFIG_SIZE = 12 };
enum { STATUS_LINK_UP = 1 };

/* The header before each frame (5.1.6), offsets; without num_buffers it is 10 bytes. */
enum {
    HDR_FLAGS = 0,
    HDR_GSO_TYPE = 1,
    HDR_CSUM_START = 6,
    HDR_CSUM_OFFSET = 8,
    HDR_NUM_BUFFERS = 10,
    HDR_LEN = 12,
};
enum { HDR_F_NEEDS_CSUM = 1, HDR_F_DATA_VALID = 2 };
enum { GSO_NONE = 0, GSO_TCPV4 = 1, GSO_ECN = 0x80 };
enum { UDP_CHECKSUM_OFFSET = 6 };

/* Control commands (5.1.6.5). */
enum { CTRL_RX = 0, CTRL_RX_PROMISC = 0, CTRL_RX_ALLMULTI = 1 };
enum { CTRL_MAC = 1, CTRL_MAC_TABLE_SET = 0, CTRL_MAC_ADDR_SET = 1 };
enum { CTRL_OK = 0, CTRL_ERR = 1 };

enum { MAC = 6, FILTER_MAX = 32 };
/* The least that a mergeable buffer holds in practice, and how many one frame may take. */
enum { MERGE_BUFFER_MIN = 1526, MERGE_MAX = 64 };

/* Addresses of one kind that the driver wants to receive. */
struct filter {
    uint8_t count;
    uint8_t all; /* more than fit: let everything of the kind through */
    uint8_t addresses[FILTER_MAX * MAC];
};

struct virtio_net {
    struct virtio_device vd;
    struct netdev *netdev;
    struct netdev_client client;
    uint8_t permanent_mac[MAC];
    bool link_up;
    /* State. */
    uint8_t mac[MAC];
    uint8_t promiscuous, all_multicast;
    struct filter unicast, multicast;
    /* Work space; a backend may deliver frames from inside send. */
    struct virtq_chain chain, rx_first, rx_more;
    uint8_t frame[NETDEV_FRAME_MAX];
};

static const struct state_field fields[] = {
    VIRTIO_STATE(struct virtio_net),
    STATE_BLOB(struct virtio_net, mac),
    STATE_FIELD(struct virtio_net, promiscuous, 0),
    STATE_FIELD(struct virtio_net, all_multicast, 0),
    STATE_FIELD(struct virtio_net, unicast.count, 0),
    STATE_FIELD(struct virtio_net, unicast.all, 0),
    STATE_BLOB(struct virtio_net, unicast.addresses),
    STATE_FIELD(struct virtio_net, multicast.count, 0),
    STATE_FIELD(struct virtio_net, multicast.all, 0),
    STATE_BLOB(struct virtio_net, multicast.addresses),
    VIRTQ_STATE(struct virtio_net, 0),
    VIRTQ_STATE(struct virtio_net, 1),
    VIRTQ_STATE(struct virtio_net, 2),
};

static struct virtio_net *net_of(struct virtio_device *vd)
{
    return container_of(vd, struct virtio_net, vd);
}

static void net_after(void *dev)
{
    static const uint8_t none[MAC];
    struct virtio_net *net = dev;

    virtio_after(dev);
    if (memcmp(net->mac, none, MAC) == 0) /* a reset */
        memcpy(net->mac, net->permanent_mac, MAC);
    net->unicast.count = (uint8_t)min_of((unsigned)net->unicast.count, (unsigned)FILTER_MAX);
    net->multicast.count = (uint8_t)min_of((unsigned)net->multicast.count, (unsigned)FILTER_MAX);
    memcpy(net->vd.config + CONFIG_MAC, net->mac, MAC);
}

static const struct state_table state = {
    .name = "virtio-net",
    .version = 1,
    .fields = fields,
    .field_count = array_size(fields),
    .after = net_after,
};

static size_t header_len(const struct virtio_net *net)
{
    return virtio_has(&net->vd, VIRTIO_F_VERSION_1) || virtio_has(&net->vd, NET_F_MRG_RXBUF)
               ? HDR_LEN
               : HDR_NUM_BUFFERS;
}

/*
 * Completes the checksum that the driver began (5.1.6.2): the field holds the sum of the pseudo
 * header. False when its place is not in the frame.
 */
static bool complete_checksum(uint8_t *frame, size_t len, size_t start, size_t offset)
{
    uint16_t sum;

    if (start > len || offset + 2 > len - start)
        return false;
    sum = (uint16_t)~checksum_add(frame + start, len - start, 0);
    if (!sum && offset == UDP_CHECKSUM_OFFSET)
        sum = 0xffff; /* 0 would mean: none */
    store_le16(frame + start + offset, sum);
    return true;
}

/* Sends the frame in @c. -EFAULT when it is not in memory. */
static int64_t transmit(struct virtio_device *vd, const struct virtq_chain *c)
{
    struct virtio_net *net = net_of(vd);
    const struct virtqueue *vq = &vd->queue[QUEUE_TX];
    size_t header = header_len(net), len;
    uint8_t hdr[HDR_LEN];
    struct netdev_span span;
    uint8_t gso;

    if (c->out_len < header + 14 || c->out_len - header > sizeof(net->frame)) {
        net->netdev->dropped++;
        return 0;
    }
    len = (size_t)(c->out_len - header);
    if (virtq_read(vq, c, 0, hdr, header) < 0 || virtq_read(vq, c, header, net->frame, len) < 0)
        return -EFAULT;
    gso = hdr[HDR_GSO_TYPE] & (uint8_t)~GSO_ECN;
    if ((gso != GSO_NONE && (gso != GSO_TCPV4 || !virtio_has(vd, NET_F_HOST_TSO4))) ||
        ((hdr[HDR_FLAGS] & HDR_F_NEEDS_CSUM) &&
         !complete_checksum(net->frame, len, load_le16(hdr + HDR_CSUM_START),
                            load_le16(hdr + HDR_CSUM_OFFSET)))) {
        net->netdev->dropped++;
        return 0;
    }
    netdev_note_sent(net->netdev, net->frame, len);
    span = (struct netdev_span){.data = net->frame, .len = len};
    net->netdev->ops->send(net->netdev, &span, 1);
    return 0;
}

static uint8_t set_flag(struct virtio_net *net, uint8_t *flag)
{
    uint8_t value;

    if (virtq_read(&net->vd.queue[QUEUE_CTRL], &net->chain, 2, &value, 1) < 0 || value > 1)
        return CTRL_ERR;
    *flag = value;
    return CTRL_OK;
}

/* Reads one table { le32 count, count x MAC } at *offset and moves it on. */
static uint8_t read_filter(struct virtio_net *net, uint64_t *offset, struct filter *ret)
{
    const struct virtqueue *vq = &net->vd.queue[QUEUE_CTRL];
    uint8_t word[4];
    uint32_t count;

    *ret = (struct filter){0};
    if (virtq_read(vq, &net->chain, *offset, word, 4) < 0)
        return CTRL_ERR;
    count = load_le32(word);
    *offset += 4;
    if (count > FILTER_MAX)
        ret->all = 1;
    else if (virtq_read(vq, &net->chain, *offset, ret->addresses, (size_t)count * MAC) < 0)
        return CTRL_ERR;
    else
        ret->count = (uint8_t)count;
    *offset += (uint64_t)count * MAC;
    return CTRL_OK;
}

static uint8_t set_filters(struct virtio_net *net)
{
    struct filter unicast, multicast;
    uint64_t offset = 2;

    if (read_filter(net, &offset, &unicast) != CTRL_OK ||
        read_filter(net, &offset, &multicast) != CTRL_OK || offset != net->chain.out_len)
        return CTRL_ERR;
    net->unicast = unicast;
    net->multicast = multicast;
    return CTRL_OK;
}

static uint8_t set_mac(struct virtio_net *net)
{
    uint8_t mac[MAC];

    if (virtq_read(&net->vd.queue[QUEUE_CTRL], &net->chain, 2, mac, MAC) < 0)
        return CTRL_ERR;
    memcpy(net->mac, mac, MAC);
    memcpy(net->vd.config + CONFIG_MAC, mac, MAC);
    return CTRL_OK;
}

/* Obeys a command and answers it. */
static int64_t control(struct virtio_device *vd, const struct virtq_chain *c)
{
    struct virtio_net *net = net_of(vd);
    uint8_t command[2], ack;

    if (virtq_read(&vd->queue[QUEUE_CTRL], c, 0, command, 2) < 0)
        return -EFAULT;
    switch (command[0] << 8 | command[1]) {
    case CTRL_RX << 8 | CTRL_RX_PROMISC:
        ack = set_flag(net, &net->promiscuous);
        break;
    case CTRL_RX << 8 | CTRL_RX_ALLMULTI:
        ack = set_flag(net, &net->all_multicast);
        break;
    case CTRL_MAC << 8 | CTRL_MAC_TABLE_SET:
        ack = set_filters(net);
        break;
    case CTRL_MAC << 8 | CTRL_MAC_ADDR_SET:
        ack = set_mac(net);
        break;
    default:
        ack = CTRL_ERR;
        break;
    }
    return virtq_write(&vd->queue[QUEUE_CTRL], c, 0, &ack, 1) < 0 ? -EFAULT : 1;
}

static void net_notified(struct virtio_device *vd, unsigned queue)
{
    struct virtio_net *net = net_of(vd);

    if (queue == QUEUE_CTRL) {
        virtio_serve(vd, QUEUE_CTRL, &net->chain, control);
    } else if (queue == QUEUE_TX) {
        virtio_serve(vd, QUEUE_TX, &net->chain, transmit);
        if (net->netdev->ops->sent)
            net->netdev->ops->sent(net->netdev);
    } else {
        net->netdev->ops->ready(net->netdev);
    }
}

static void net_config_written(struct virtio_device *vd, unsigned offset, unsigned size,
                               uint32_t value)
{
    struct virtio_net *net = net_of(vd);

    /* Legacy drivers set the address here (5.1.4.1). */
    if (virtio_has(vd, VIRTIO_F_VERSION_1) || offset + size > CONFIG_MAC + MAC)
        return;
    memcpy(net->mac + offset, &value, min_of(size, 4u));
    memcpy(vd->config + CONFIG_MAC, net->mac, MAC);
}

static bool in_filter(const struct filter *f, const uint8_t *address)
{
    for (unsigned i = 0; i < f->count; i++)
        if (memcmp(f->addresses + i * MAC, address, MAC) == 0)
            return true;
    return f->all;
}

/* Whether the driver wants a frame to @address (5.1.6.5.1). */
static bool wanted(const struct virtio_net *net, const uint8_t *address)
{
    static const uint8_t broadcast[MAC] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (net->promiscuous || !virtio_has(&net->vd, NET_F_CTRL_RX) ||
        memcmp(address, broadcast, MAC) == 0)
        return true;
    if (address[0] & 1)
        return net->all_multicast || in_filter(&net->multicast, address);
    return memcmp(address, net->mac, MAC) == 0 || in_filter(&net->unicast, address);
}

static bool can_receive(void *opaque, size_t len)
{
    struct virtio_net *net = opaque;
    struct virtqueue *vq = &net->vd.queue[QUEUE_RX];
    int need = 1, pending;

    if (!virtio_running(&net->vd) || !vq->enabled)
        return true; /* nobody listens: take it and drop it */
    if (virtio_has(&net->vd, NET_F_MRG_RXBUF))
        need = (int)((len + HDR_LEN + MERGE_BUFFER_MIN - 1) / MERGE_BUFFER_MIN);
    pending = virtq_pending(vq);
    if (pending >= 0 && pending < need && virtq_want_kicks(vq) > 0)
        pending = virtq_pending(vq);
    return pending < 0 || pending >= need;
}

/*
 * Fills chains with the header and @frame. Returns how many were used (pushed, not published), 0
 * when there is not enough room (nothing is used then), or a negative errno.
 */
static int fill_chains(struct virtio_net *net, uint8_t *hdr, const uint8_t *frame, size_t len)
{
    struct virtqueue *vq = &net->vd.queue[QUEUE_RX];
    bool merge = virtio_has(&net->vd, NET_F_MRG_RXBUF);
    size_t header = header_len(net), done = 0;
    uint16_t heads[MERGE_MAX];
    uint32_t written[MERGE_MAX];
    unsigned used = 0;
    int r;

    while (used == 0 || done < len) {
        struct virtq_chain *c = used ? &net->rx_more : &net->rx_first;
        size_t skip = used ? 0 : header, n;
        r = used < MERGE_MAX ? virtq_pop(vq, c) : 0;
        if (r <= 0 || (used && !merge) || c->in_len < skip) {
            virtq_unpop(vq, used + (r > 0));
            return r < 0 ? r : 0;
        }
        n = (size_t)min_of((uint64_t)(len - done), c->in_len - skip);
        r = virtq_write(vq, c, skip, frame + done, n);
        if (r < 0)
            return r;
        heads[used] = c->head;
        written[used++] = (uint32_t)(skip + n);
        done += n;
    }
    store_le16(hdr + HDR_NUM_BUFFERS, (uint16_t)used);
    r = virtq_write(vq, &net->rx_first, 0, hdr, header);
    for (unsigned i = 0; i < used && r == 0; i++)
        r = virtq_push(vq, heads[i], written[i]);
    return r < 0 ? r : (int)used;
}

static void receive(void *opaque, const uint8_t *frame, size_t len)
{
    struct virtio_net *net = opaque;
    struct virtqueue *vq = &net->vd.queue[QUEUE_RX];
    uint8_t hdr[HDR_LEN] = {0};
    int r;

    if (len < 14 || !virtio_running(&net->vd) || !vq->enabled) {
        net->netdev->dropped++;
        return;
    }
    if (!wanted(net, frame))
        return;
    if (net->netdev->rx_verified && virtio_has(&net->vd, NET_F_GUEST_CSUM))
        hdr[HDR_FLAGS] = HDR_F_DATA_VALID;
    r = fill_chains(net, hdr, frame, len);
    if (r < 0) {
        virtio_fail(&net->vd, QUEUE_RX, r);
    } else if (r == 0) {
        net->netdev->dropped++;
    } else {
        netdev_note_received(net->netdev, frame, len);
        virtio_publish(&net->vd, QUEUE_RX);
    }
}

static void link_changed(void *opaque, bool up)
{
    struct virtio_net *net = opaque;

    if (net->link_up == up)
        return;
    net->link_up = up;
    store_le16(net->vd.config + CONFIG_STATUS, up ? STATUS_LINK_UP : 0);
    virtio_config_changed(&net->vd);
}

static const struct virtio_class class = {
    .name = "virtio-net",
    .type = 1,
    .pci_device = 0x1000,
    .pci_class = 0x020000,
    .queues = QUEUES,
    .queue_size = QUEUE_SIZE,
    .config_size = CONFIG_SIZE,
    .notified = net_notified,
    .config_written = net_config_written,
};

static void net_free(struct device *dev)
{
    free(container_of(dev, struct virtio_net, vd.dev));
}

struct virtio_net *virtio_net_new(struct pci_bus *bus, unsigned slot, struct space *space,
                                  struct netdev *netdev, const uint8_t mac[6], struct error *err)
{
    struct virtio_net *net = mem_new(struct virtio_net);
    uint64_t features = VIRTIO_BIT(NET_F_CSUM) | VIRTIO_BIT(NET_F_GUEST_CSUM) |
                        VIRTIO_BIT(NET_F_MAC) | VIRTIO_BIT(NET_F_MRG_RXBUF) |
                        VIRTIO_BIT(NET_F_STATUS) | VIRTIO_BIT(NET_F_CTRL_VQ) |
                        VIRTIO_BIT(NET_F_CTRL_RX) | VIRTIO_BIT(NET_F_CTRL_MAC_ADDR);

    if (!net) {
        error_set(err, -ENOMEM, "add virtio-net: out of memory");
        return NULL;
    }
    if (netdev->tx_super)
        features |= VIRTIO_BIT(NET_F_HOST_TSO4);
    if (netdev->mtu) {
        features |= VIRTIO_BIT(NET_F_MTU);
        store_le16(net->vd.config + CONFIG_MTU, netdev->mtu);
    }
    net->netdev = netdev;
    memcpy(net->permanent_mac, mac, MAC);
    net->link_up = true;
    store_le16(net->vd.config + CONFIG_STATUS, STATUS_LINK_UP);
    net->vd.dev.state = &state;
    net->vd.dev.free = net_free;
    snprintf(net->vd.dev.name, sizeof(net->vd.dev.name), "virtio-net@%u", slot);
    if (virtio_init(&net->vd, &class, bus, slot, space, features, err) < 0) {
        net_free(&net->vd.dev);
        return NULL;
    }
    net->client = (struct netdev_client){
        .can_receive = can_receive, .receive = receive, .link = link_changed, .opaque = net};
    netdev->ops->attach(netdev, &net->client);
    return net;
}

struct device *virtio_net_device(struct virtio_net *net)
{
    return &net->vd.dev;
}

struct pci_function *virtio_net_function(struct virtio_net *net)
{
    return net->vd.pci;
}
