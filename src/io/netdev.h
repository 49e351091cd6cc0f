/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame seam: what a network adapter talks to. Ethernet frames without FCS, both ways, with the
 * machine lock held. Implementations: user-mode NAT (net_slirp.h), later switch ports.
 */
#ifndef IO_NETDEV_H
#define IO_NETDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/trace.h"

enum { NETDEV_FRAME_MAX = 65550 };

struct netdev_span {
    const uint8_t *data;
    size_t len;
};

/* The adapter's end. */
struct netdev_client {
    /* Room for a frame of @len bytes now? When not, the backend keeps or drops it by its own rules.
     */
    bool (*can_receive)(void *opaque, size_t len);
    /* Takes a frame (borrowed for the call). */
    void (*receive)(void *opaque, const uint8_t *frame, size_t len);
    void (*link)(void *opaque, bool up); /* may be NULL */
    void *opaque;
};

struct netdev;
struct netdev_ops {
    void (*attach)(struct netdev *n, const struct netdev_client *client); /* borrowed; once */
    /* Sends one frame gathered from spans (borrowed for the call); never blocks, may drop. */
    void (*send)(struct netdev *n, const struct netdev_span *spans, unsigned count);
    /* A batch of sends is over: what it made necessary may be done now. May be NULL. */
    void (*sent)(struct netdev *n);
    /* The adapter has room again after can_receive said no. */
    void (*ready)(struct netdev *n);
    void (*close)(struct netdev *n);
};

struct netdev {
    const struct netdev_ops *ops;
    uint16_t mtu;        /* the longest IP packet, 0: not said (1500) */
    bool tx_super;       /* send takes TCP/IPv4 segments of up to 64 KiB, whatever the MTU */
    bool rx_verified;    /* received frames come from memory: their checksums need no check */
    struct trace *trace; /* who wants to know of frames (base/trace.h); NULL: nobody */
    /* As seen by the guest; counted by the adapter (netdev_note_sent, netdev_note_received). */
    uint64_t tx_frames, tx_bytes, rx_frames, rx_bytes, dropped;
};

/* The adapter sent or received @frame of @len bytes, shorter ones than 16 bytes are not told. */
static inline void netdev_tell(struct netdev *n, enum trace_what what, const uint8_t *frame,
                               size_t len)
{
    struct trace_event e = {.area = TRACE_FRAMES, .what = (uint8_t)what, .a = len};

    if (!n->trace || len < 16)
        return;
    e.b = load_le64(frame);
    e.c = load_le64(frame + 8);
    n->trace->emit(n->trace, &e);
}

static inline void netdev_note_sent(struct netdev *n, const uint8_t *frame, size_t len)
{
    n->tx_frames++;
    n->tx_bytes += len;
    netdev_tell(n, TRACE_SENT, frame, len);
}

static inline void netdev_note_received(struct netdev *n, const uint8_t *frame, size_t len)
{
    n->rx_frames++;
    n->rx_bytes += len;
    netdev_tell(n, TRACE_RECEIVED, frame, len);
}

/* Closes and frees; NULL is fine. */
static inline void netdev_close(struct netdev *n)
{
    if (n)
        n->ops->close(n);
}

#endif
