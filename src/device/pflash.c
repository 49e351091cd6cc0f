/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In array mode the chip is mapped as ROM pages and only writes come here: the first byte of a
 * command. In all other modes reads do, too. Commands of two cycles keep their first byte until the
 * second has come. Each access counts as one cycle of its lowest byte, but programming takes all
 * bytes of the access.
 */
#include "device/pflash.h"

#include <errno.h>

#include "base/mem.h"

enum {
    CMD_ARRAY = 0xff,
    CMD_ARRAY_TOO = 0x00, /* firmware ends with it, too */
    CMD_PROGRAM_OLD = 0x10,
    CMD_ERASE = 0x20,
    CMD_PROGRAM = 0x40,
    CMD_CLEAR_STATUS = 0x50,
    CMD_LOCK = 0x60,
    CMD_STATUS = 0x70,
    CMD_ID = 0x90,
    CMD_QUERY = 0x98,
    CMD_CONFIRM = 0xd0,
};
enum { STATUS_READY = 1 << 7, STATUS_ERASE_ERROR = 1 << 5, STATUS_PROGRAM_ERROR = 1 << 4 };

struct pflash {
    struct device dev;
    struct space *space;
    struct space_range *range;
    bool range_array; /* derived: how range is mapped */
    uint64_t gpa, first_gfn;
    uint8_t *bytes;
    size_t len;
    uint8_t mode;    /* what reads give: CMD_ARRAY, CMD_STATUS, CMD_ID or CMD_QUERY */
    uint8_t command; /* waits for its second cycle, 0 when none does */
    uint8_t status;
};

/* ---- content ---- */

static void program(struct pflash *f, uint64_t offset, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size && offset + i < f->len; i++)
        f->bytes[offset + i] = (uint8_t)(value >> 8 * i);
    gmem_write(space_ram(f->space), (f->first_gfn << GMEM_PAGE_BITS) + offset, f->bytes + offset,
               min_of((size_t)size, f->len - (size_t)offset));
    f->status |= STATUS_READY;
}

static void erase(struct pflash *f, uint64_t offset)
{
    offset &= ~(uint64_t)(PFLASH_BLOCK - 1);
    memset(f->bytes + offset, 0xff, PFLASH_BLOCK);
    gmem_write(space_ram(f->space), (f->first_gfn << GMEM_PAGE_BITS) + offset, f->bytes + offset,
               PFLASH_BLOCK);
    f->status |= STATUS_READY;
}

/* ---- reading in other modes than array ---- */

/* The CFI table (JESD68.01, 4.3), from query address 0x10 on; power-of-two sizes round up. */
static uint8_t query(const struct pflash *f, unsigned at)
{
    static const uint8_t head[] = {'Q', 'R', 'Y', 1, 0, 0x31, 0};
    unsigned size_bits = 0, blocks = (unsigned)(f->len / PFLASH_BLOCK) - 1;

    while (1ull << size_bits < f->len)
        size_bits++;
    if (at >= 0x10 && at < 0x10 + sizeof(head))
        return head[at - 0x10];
    switch (at) {
    case 0x1b: /* 4.5 to 5.5 V */
        return 0x45;
    case 0x1c:
        return 0x55;
    case 0x1f: /* time-outs: 2^n us to program, ms to erase */
        return 7;
    case 0x21:
        return 10;
    case 0x27:
        return (uint8_t)size_bits;
    case 0x2c: /* one region of blocks */
        return 1;
    case 0x2d:
        return (uint8_t)blocks;
    case 0x2e:
        return (uint8_t)(blocks >> 8);
    case 0x30: /* in units of 256 bytes */
        return PFLASH_BLOCK >> 8;
    case 0x31:
        return 'P';
    case 0x32:
        return 'R';
    case 0x33:
        return 'I';
    case 0x34:
    case 0x35:
        return '1';
    default:
        return 0;
    }
}

static uint64_t flash_read(void *dev, uint64_t offset, unsigned size)
{
    const struct pflash *f = dev;
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = 0;
        if (f->mode == CMD_STATUS)
            byte = f->status;
        else if (f->mode == CMD_QUERY)
            byte = query(f, (unsigned)((offset + i) & 0xff));
        value |= (uint64_t)byte << 8 * i; /* the identifier is zero, as QEMU's */
    }
    return value;
}

/* ---- commands ---- */

static void map(struct pflash *f);

static void set_mode(struct pflash *f, uint8_t mode)
{
    f->mode = mode;
    map(f);
}

/* The second cycle of a command. */
static void finish(struct pflash *f, uint64_t offset, unsigned size, uint64_t value)
{
    uint8_t command = f->command;

    f->command = 0;
    switch (command) {
    case CMD_PROGRAM:
    case CMD_PROGRAM_OLD:
        program(f, offset, size, value);
        break;
    case CMD_ERASE:
        if ((value & 0xff) == CMD_CONFIRM)
            erase(f, offset);
        else
            f->status |= STATUS_ERASE_ERROR | STATUS_PROGRAM_ERROR; /* wrong sequence */
        break;
    default: /* CMD_LOCK: blocks are never locked */
        f->status |= STATUS_READY;
        break;
    }
}

static void flash_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct pflash *f = dev;

    if (f->command) {
        finish(f, offset, size, value);
        return;
    }
    switch (value & 0xff) {
    case CMD_PROGRAM:
    case CMD_PROGRAM_OLD:
    case CMD_ERASE:
    case CMD_LOCK:
        f->command = (uint8_t)value;
        set_mode(f, CMD_STATUS);
        break;
    case CMD_CLEAR_STATUS:
        f->status = 0;
        set_mode(f, CMD_ARRAY);
        break;
    case CMD_STATUS:
    case CMD_ID:
    case CMD_QUERY:
        set_mode(f, (uint8_t)value);
        break;
    case CMD_ARRAY:
    case CMD_ARRAY_TOO:
    default:
        set_mode(f, CMD_ARRAY);
        break;
    }
}

static const struct mmio_ops flash_ops = {.read = flash_read, .write = flash_write};

static void map(struct pflash *f)
{
    bool array = f->mode == CMD_ARRAY;

    if (f->range && f->range_array == array)
        return;
    space_unmap(f->space, f->range);
    f->range_array = array;
    /* Without memory for the map nothing answers there until the next change of mode. */
    f->range = array ? space_map_rom_pages(f->space, "pflash", f->gpa, f->len, f->first_gfn,
                                           &flash_ops, f, 0, NULL)
                     : space_map_mmio(f->space, "pflash", f->gpa, f->len, &flash_ops, f, 0, NULL);
}

/* ---- state ---- */

static const struct state_field pflash_fields[] = {
    STATE_FIELD(struct pflash, mode, CMD_ARRAY),
    STATE_FIELD(struct pflash, command, 0),
    STATE_FIELD(struct pflash, status, 0),
};

static void after(void *dev)
{
    struct pflash *f = dev;

    if (f->mode != CMD_STATUS && f->mode != CMD_ID && f->mode != CMD_QUERY)
        f->mode = CMD_ARRAY;
    if (f->command != CMD_PROGRAM && f->command != CMD_PROGRAM_OLD && f->command != CMD_ERASE)
        f->command = f->command ? CMD_LOCK : 0;
    map(f);
}

static const struct state_table pflash_state = {.name = "pflash",
                                                .version = 1,
                                                .fields = pflash_fields,
                                                .field_count = array_size(pflash_fields),
                                                .after = after};

static void pflash_reset(struct device *dev)
{
    struct pflash *f = container_of(dev, struct pflash, dev);

    gmem_write(space_ram(f->space), f->first_gfn << GMEM_PAGE_BITS, f->bytes, f->len);
    state_reset(&pflash_state, f);
}

static void pflash_free(struct device *dev)
{
    struct pflash *f = container_of(dev, struct pflash, dev);

    space_unmap(f->space, f->range);
    free(f);
}

struct pflash *pflash_new(struct space *space, uint64_t gpa, uint64_t first_gfn, uint8_t *bytes,
                          size_t len, struct error *err)
{
    struct pflash *f;
    uint64_t pages = gmem_pages(space_ram(space));

    if (!len || len % PFLASH_BLOCK || gpa % PFLASH_BLOCK || first_gfn > pages ||
        len >> GMEM_PAGE_BITS > pages - first_gfn) {
        error_set(err, -EINVAL, "create pflash: %zu bytes are no whole blocks of 4 KiB", len);
        return NULL;
    }
    f = mem_new(struct pflash);
    if (!f) {
        error_set(err, -ENOMEM, "create pflash: out of memory");
        return NULL;
    }
    f->dev = (struct device){
        .state = &pflash_state, .name = "pflash", .reset = pflash_reset, .free = pflash_free};
    f->space = space;
    f->gpa = gpa;
    f->first_gfn = first_gfn;
    f->bytes = bytes;
    f->len = len;
    f->mode = CMD_ARRAY;
    f->range_array = true;
    f->range = space_map_rom_pages(space, "pflash", gpa, len, first_gfn, &flash_ops, f, 0, err);
    if (!f->range) {
        free(f);
        return NULL;
    }
    pflash_reset(&f->dev);
    return f;
}

struct device *pflash_device(struct pflash *flash)
{
    return &flash->dev;
}
