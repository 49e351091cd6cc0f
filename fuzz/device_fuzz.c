/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile guest and a hostile snapshot on all platform devices of board pc, wired together: the
 * input is a program of port and register accesses, events, passing time, and states that were
 * tampered with. Whatever it does ends in bounded time and touches no memory but its own.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "device/piix4_pm.h"
#include "device/uart16550.h"
#include "pc_rig.h"

enum { STEPS = 300, UPDATES = 4 };
enum {
    OP_OUT,
    OP_IN,
    OP_STORE,
    OP_LOAD,
    OP_CONFIG,
    OP_PASS,
    OP_LEAP,
    OP_WIRE,
    OP_INPUT,
    OP_MSR,
    OP_ACK,
    OP_EVENT,
    OP_RESET,
    OP_TAMPER,
    OPS
};

/* Who looks at the display. */
static struct {
    struct display_frame frame;
    struct display_text text;
    unsigned updates;
} screen;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
    const uint8_t *at;
    size_t left;
};

static uint64_t take(struct bytes *in, unsigned n)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < n && in->left; i++, in->left--)
        value |= (uint64_t)*in->at++ << 8 * i;
    return value;
}

/* Ports of the devices by index, others by number. */
static uint16_t take_port(struct bytes *in)
{
    static const uint16_t bases[] = {0x20,  0x40,  0x60,  0x64,   0x70,   0x92,  0xa0,  0xb2,
                                     0xf4,  0x3f8, 0x4d0, 0x505,  0x510,  0x514, 0x600, 0x61,
                                     0xcf8, 0xcfc, 0xcf9, 0xafe0, 0xc000, 0x1ce, 0x3b4, 0x3c0,
                                     0x3c8, 0x3d0, 0x3d8, 0x1f0,  0x170,  0x3f0, 0xd000};
    unsigned n = (unsigned)take(in, 1);

    if (n < 8 * array_size(bases))
        return (uint16_t)(bases[n / 8] + n % 8);
    return (uint16_t)take(in, 2);
}

static uint64_t take_address(struct bytes *in)
{
    static const uint64_t bases[] = {0xfee00000,  0xfec00000, 0xfed00000,  0xe0000000,
                                     0xe00000000, 0xe0010000, 0xa0000,     0xb8000,
                                     0xf0000000,  0xf1000000, PC_RIG_FLASH};
    unsigned n = (unsigned)take(in, 1);

    return bases[n % array_size(bases)] + take(in, 2) % 0x1000;
}

/* Loads a saved state of which some bytes were changed, as a damaged snapshot would be. */
static void tamper(struct pc_rig *pc, struct bytes *in)
{
    struct device *dev = pc->device[take(in, 1) % pc->devices];
    struct str saved = {0};
    unsigned changes = (unsigned)take(in, 1) % 16;

    state_save(dev->state, dev, &saved);
    for (unsigned i = 0; saved.len && i < changes; i++) {
        size_t at = (size_t)take(in, 2) % saved.len;
        saved.data[at] = (char)take(in, 1);
    }
    if (saved.len)
        state_load(dev->state, dev, saved.data, saved.len, NULL);
    str_done(&saved);
}

/* Pictures are large: few of them, so that inputs stay quick. */
static void draw(struct pc_rig *pc)
{
    if (screen.updates++ >= UPDATES)
        return;
    pc->display->ops->update(pc->display, &screen.frame);
    for (unsigned i = 0; i < screen.frame.damage_count; i++) {
        const struct display_rect *r = &screen.frame.damage[i];
        if (!r->width || !r->height || r->x + r->width > (int)screen.frame.width ||
            r->y + r->height > (int)screen.frame.height)
            abort();
    }
}

/* Writes to memory: lists that controllers follow. */
static void poke(struct pc_rig *pc, struct bytes *in)
{
    uint64_t at = take(in, 2) * 8;
    uint8_t bytes[32];
    size_t n = (size_t)take(in, 1) % (sizeof(bytes) + 1);

    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)take(in, 1);
    space_write(pc->rig.space, at, bytes, n);
}

static void event(struct pc_rig *pc, struct bytes *in)
{
    switch (take(in, 1) % 12) {
    case 0:
        piix4_pm_power_button(pc->pm);
        break;
    case 1:
        piix4_pm_gpe(pc->pm, (unsigned)take(in, 1));
        break;
    case 2:
        uart16550_break(pc->uart);
        break;
    case 3:
        pci_msix_notify(pc->function, (unsigned)take(in, 1));
        break;
    case 4:
        draw(pc);
        break;
    case 5:
        pc->display->ops->text(pc->display, &screen.text);
        break;
    case 6:
        block_drain(pc->slow_disc);
        block_drain(pc->slow_disk);
        break;
    case 7: /* another disc, sometimes one that takes its time, or none */
        if (pc->cd->block)
            block_drain(pc->cd->block);
        switch (take(in, 1) % 3) {
        case 0:
            ata_cd_change(pc->cd, pc->slow_disc);
            break;
        case 1:
            ata_cd_change(pc->cd, pc->disc);
            break;
        default:
            ata_cd_change(pc->cd, NULL);
            break;
        }
        break;
    case 9:
        pc->keyboard->input.ops->key(&pc->keyboard->input, (unsigned)take(in, 1), take(in, 1) & 1);
        break;
    case 10:
        pc->mouse->input.ops->pointer(&pc->mouse->input,
                                      &(struct input_pointer){.dx = (int)(uint32_t)take(in, 4),
                                                              .dy = (int8_t)take(in, 1),
                                                              .wheel = (int8_t)take(in, 1),
                                                              .buttons = (uint8_t)take(in, 1)});
        break;
    case 8:
        poke(pc, in);
        break;
    default:
        pci_set_intx(pc->function, (int)take(in, 1) & 1);
        break;
    }
}

static void input_bytes(struct pc_rig *pc, struct bytes *in)
{
    const struct chardev_client *client = pc->ch.client;
    uint8_t bytes[16];
    size_t n = min_of((size_t)(take(in, 1) % 16), client->room(client->opaque));

    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)take(in, 1);
    client->input(client->opaque, bytes, n);
    pc->ch.written_len = 0;
    pc->ch.refuse_after = (size_t)take(in, 1);
    client->writable(client->opaque);
}

static void msr(struct pc_rig *pc, struct bytes *in)
{
    static const uint32_t known[] = {0x1b, 0x6e0};
    unsigned cpu = (unsigned)take(in, 1), n = (unsigned)take(in, 1);
    uint32_t index = n < 0x40 ? 0x800 + n : known[n & 1];
    uint64_t value;

    if (cpu & 0x80)
        lapic_rdmsr(pc->apics, cpu & 3, index, &value);
    else
        lapic_wrmsr(pc->apics, cpu & 3, index, take(in, 8));
}

static void step(struct pc_rig *pc, struct bytes *in)
{
    unsigned op = (unsigned)take(in, 1), size = 1u << op / OPS % 4, cpu;
    uint16_t port;
    uint64_t address;

    switch (op % OPS) {
    case OP_OUT:
        port = take_port(in);
        ports_write(pc->rig.ports, port, min_of(size, 4u), (uint32_t)take(in, min_of(size, 4u)));
        break;
    case OP_IN:
        ports_read(pc->rig.ports, take_port(in), min_of(size, 4u));
        break;
    case OP_STORE:
        address = take_address(in);
        space_store(pc->rig.space, address, size, take(in, size));
        break;
    case OP_LOAD:
        space_load(pc->rig.space, take_address(in), size);
        break;
    case OP_CONFIG:
        ports_write(pc->rig.ports, 0xcf8, 4, 0x80000000u | (uint32_t)take(in, 2) << 2);
        ports_write(pc->rig.ports, 0xcfc, 4, (uint32_t)take(in, 4));
        break;
    case OP_PASS:
        rig_pass(&pc->rig, take(in, 2) * 64);
        break;
    case OP_LEAP: /* the host was asleep */
        pc->rig.ns += take(in, 6);
        gclock_run(pc->rig.clock);
        break;
    case OP_WIRE:
        cpu = (unsigned)take(in, 1);
        pc_rig_gsi(pc, 3 + (cpu & 0x7f) % 21, cpu >> 7);
        break;
    case OP_INPUT:
        input_bytes(pc, in);
        break;
    case OP_MSR:
        msr(pc, in);
        break;
    case OP_ACK:
        cpu = (unsigned)take(in, 1);
        lapics_select(pc->apics, cpu & 1);
        lapic_ack(pc->apics, cpu >> 1 & 1);
        lapic_set_cr8(pc->apics, cpu >> 1 & 1, (uint8_t)(cpu >> 4));
        break;
    case OP_EVENT:
        event(pc, in);
        break;
    case OP_RESET:
        device_reset(pc->device[take(in, 1) % pc->devices]);
        break;
    default:
        tamper(pc, in);
        break;
    }
}

/* Video memory and registers at 0xF0000000 and 0xF1000000, by the guest's own mechanism. */
static void place_vga(struct pc_rig *pc)
{
    static const uint32_t writes[][2] = {{0x10, 0xf0000000}, {0x18, 0xf1000000}, {0x04, 7}};

    for (unsigned i = 0; i < array_size(writes); i++) {
        ports_write(pc->rig.ports, 0xcf8, 4, 0x80001800u | writes[i][0]);
        ports_write(pc->rig.ports, 0xcfc, 4, writes[i][1]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pc_rig pc;
    struct bytes in = {.at = data, .left = size};

    if (!screen.frame.pixels)
        screen.frame.pixels = mem_alloc(DISPLAY_MAX_PIXELS, sizeof(*screen.frame.pixels));
    if (!screen.frame.pixels)
        return 0;
    screen.updates = screen.frame.width = 0;
    pc_rig_set_up(&pc, 0);
    place_vga(&pc);
    pci_place_bar(pc.function, 0, 0xc000, NULL);
    pci_place_bar(pc.function, 1, 0xe0000000, NULL);
    pci_place_bar(pc.function, 2, 0xe00000000, NULL);
    piix4_pm_place(pc.pm, 0x600, true);
    lapics_virtual_wire(pc.apics);
    for (unsigned i = 0; i < STEPS && in.left; i++) {
        step(&pc, &in);
        pc.ch.written_len = 0; /* room for the serial line's output */
    }
    pc_rig_tear_down(&pc);
    return 0;
}
