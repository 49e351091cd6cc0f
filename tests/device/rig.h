/* SPDX-License-Identifier: Apache-2.0 */
/* What a device test stands on: simulated time, the two address spaces, and wires that remember. */
#ifndef TESTS_DEVICE_RIG_H
#define TESTS_DEVICE_RIG_H

#include "bus/clock.h"
#include "bus/gmem.h"
#include "bus/irq.h"
#include "bus/space.h"
#include "device/device.h"
#include "io/chardev.h"
#include "io/netdev.h"

enum { RIG_WIRES = 64, RIG_MEMORY = 1 << 20 };
/* Pages of gmem that nothing maps, for a video adapter. */
enum { RIG_VIDEO_GFN = RIG_MEMORY / GMEM_PAGE_SIZE, RIG_VIDEO = 16 << 20 };
/* And for a flash chip. */
enum { RIG_FLASH_GFN = RIG_VIDEO_GFN + RIG_VIDEO / GMEM_PAGE_SIZE, RIG_FLASH = 16 << 10 };

struct rig_wire {
    int level;
    unsigned rises;
};

struct rig {
    struct gmem *gmem;
    struct space *space;
    struct ports *ports;
    struct gclock *clock;
    uint64_t ns; /* the clock's source */
    struct rig_wire wire[RIG_WIRES];
    uint64_t msi_address; /* the last message */
    uint32_t msi_data;
    unsigned messages;
};

void rig_set_up(struct rig *rig);
void rig_tear_down(struct rig *rig);

/* A wire that ends in rig->wire[n]; for lines whose input the device chooses, n must be 0. */
struct irq_line rig_line(struct rig *rig, unsigned n);
struct msi_sink rig_msi(struct rig *rig);

/* Lets guest time pass and runs the timers that become due, each at its own instant. */
void rig_pass(struct rig *rig, uint64_t ns);

static inline void rig_out(struct rig *rig, uint16_t port, uint8_t value)
{
    ports_write(rig->ports, port, 1, value);
}

static inline uint8_t rig_in(struct rig *rig, uint16_t port)
{
    return (uint8_t)ports_read(rig->ports, port, 1);
}

/* A character device of memory: keeps what is written, refuses when told to. */
struct rig_char {
    struct chardev ch;
    const struct chardev_client *client;
    uint8_t written[256];
    size_t written_len;
    size_t refuse_after; /* bytes taken before write refuses */
    unsigned ready_calls;
};
void rig_char_init(struct rig_char *c);

/* A network that keeps the last frame, and answers with @echo from inside send. */
struct rig_net {
    struct netdev netdev;
    const struct netdev_client *client;
    uint8_t frame[NETDEV_FRAME_MAX];
    size_t len;
    unsigned frames, batches, ready;
    const uint8_t *echo;
    size_t echo_len;
};
void rig_net_init(struct rig_net *n);
/* Offers a frame as a backend does; false when there is no room. */
bool rig_net_deliver(struct rig_net *n, const uint8_t *frame, size_t len);

#endif
