/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the state of a machine. The first byte chooses: even: the rest is the state; odd:
 * the rest changes a good one, in pieces of 4 bytes: where (24 bits, little-endian) and the new
 * byte. It is refused with a reason, or makes a machine that runs, saves and ends without harm to
 * the host.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "io/block_mem.h"
#include "io/chardev_mem.h"
#include "io/net_null.h"
#include "machine/machine_internal.h"
#include "machine/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LOAD = 0x100000, HEADER = 32, MEMORY = 4 << 20, DRIVE = 64 << 10, TURNS = 20, TURN = 500 };

/* Counts in EAX and in memory for ever. */
static const uint8_t program[] = {0x40, 0xa3, 0, 0, 0x18, 0, 0xeb, 0xf8};
static uint8_t kernel[HEADER + sizeof(program)];

struct world {
    uint64_t time;
    uint8_t *disk; /* of all drives */
    struct block *drives[4];
    struct netdev *nets[3];
    struct chardev *console, *serial;
    struct machine *m;
};

static uint64_t world_time(void *opaque)
{
    return ((struct world *)opaque)->time;
}

static void make(struct world *w, const uint8_t *saved, size_t len, struct error *err)
{
    static const enum machine_bus bus[] = {MACHINE_BUS_VIRTIO, MACHINE_BUS_IDE, MACHINE_BUS_AHCI,
                                           MACHINE_BUS_SCSI};
    uint32_t h[8] = {0x1badb002, 1 << 16,      0u - 0x1badb002u - (1 << 16), LOAD, LOAD, 0,
                     0,          LOAD + HEADER};
    struct machine_config c = {.cpus = 2,
                               .memory = MEMORY,
                               .vga = true,
                               .cdrom = true,
                               .floppy = true,
                               .time_source = world_time,
                               .time_opaque = w,
                               .rtc_base = 1700000000,
                               .generation = {1},
                               .drive_count = array_size(bus),
                               .nic_count = 3};

    *w = (struct world){.time = 1, .disk = mem_alloc(1, DRIVE)};
    assert(w->disk);
    for (unsigned i = 0; i < array_size(bus); i++) {
        w->drives[i] = block_mem_new(w->disk, DRIVE, false, false, NULL);
        c.drives[i] = w->drives[i];
        c.drive_bus[i] = bus[i];
    }
    for (unsigned i = 0; i < 3; i++) {
        w->nets[i] = net_null_new(NULL);
        c.nics[i] = (struct machine_nic){.netdev = w->nets[i],
                                         .model = (enum machine_nic_model)i,
                                         .mac = {2, 0, 0, 0, 0, (uint8_t)i}};
    }
    w->console = chardev_mem_new(NULL);
    w->serial = chardev_mem_new(NULL);
    c.console = w->console;
    c.serials[0] = w->serial;
    memcpy(kernel, h, HEADER);
    memcpy(kernel + HEADER, program, sizeof(program));
    c.guest.kernel = kernel;
    c.guest.kernel_len = sizeof(kernel);
    c.saved = saved;
    c.saved_len = len;
    w->m = machine_new(&c, err);
}

static void done(struct world *w)
{
    machine_free(w->m);
    for (unsigned i = 0; i < array_size(w->drives); i++)
        block_close(w->drives[i]);
    for (unsigned i = 0; i < array_size(w->nets); i++)
        netdev_close(w->nets[i]);
    w->console->ops->close(w->console);
    w->serial->ops->close(w->serial);
    free(w->disk);
}

static void run(struct world *w)
{
    struct str state = {0};
    uint64_t idle;

    for (unsigned i = 0; i < TURNS && machine_step(w->m, TURN, &idle) == MACHINE_RUNNING; i++)
        w->time += 1000000;
    (void)machine_save_state(w->m, &state, NULL);
    str_done(&state);
}

static void good_state(struct str *out)
{
    struct error err = {0};
    struct world w;

    make(&w, NULL, 0, &err);
    assert(w.m);
    run(&w);
    assert(machine_save_state(w.m, out, &err) == 0);
    done(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct str good;
    struct error err = {0};
    struct machine_saved saved;
    uint8_t *bytes;
    struct world w;
    size_t len;

    log_level_max = LOG_LEVEL_ERROR;
    if (!good.len)
        good_state(&good);
    if (!size)
        return 0;
    len = data[0] & 1 ? good.len : size - 1;
    bytes = malloc(len ? len : 1); /* exact, so that a sanitizer sees a read beyond it */
    if (!bytes)
        return 0;
    memcpy(bytes, data[0] & 1 ? (const uint8_t *)good.data : data + 1, len);
    if (data[0] & 1)
        for (size_t at = 1; at + 4 <= size; at += 4)
            bytes[(data[at] | data[at + 1] << 8 | (size_t)data[at + 2] << 16) % len] = data[at + 3];
    if (machine_saved_read(bytes, len, &saved, &err) < 0)
        assert(err.text[0]);
    err = (struct error){0};
    make(&w, bytes, len, &err);
    if (w.m)
        run(&w);
    else
        assert(err.text[0]);
    done(&w);
    free(bytes);
    return 0;
}
