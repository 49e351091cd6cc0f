/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window at 0xA0000-0xBFFFF: each byte access goes through the graphics controller, that is
 * chain-4, odd/even, or the planes with their latches, write modes 0-3 and read modes 0-1.
 */
#include "base/mem.h"
#include "device/vga_internal.h"

enum { WINDOW = 0x20000 };

static uint8_t *byte_for_write(struct vga *v, uint64_t at)
{
    uint64_t gfn = v->first_gfn + (at >> GMEM_PAGE_BITS);
    unsigned in_page = at & (GMEM_PAGE_SIZE - 1);

    gmem_code_write(v->ram, gfn, in_page, 4 - (at & 3));
    return gmem_write_page(v->ram, gfn) + in_page;
}

static const uint8_t *byte_for_read(const struct vga *v, uint64_t at)
{
    return gmem_read_page(v->ram, v->first_gfn + (at >> GMEM_PAGE_BITS)) +
           (at & (GMEM_PAGE_SIZE - 1));
}

void vga_read(const struct vga *v, uint64_t at, void *to, size_t len)
{
    size_t n = at < VGA_MEMORY ? min_of(len, (size_t)(VGA_MEMORY - at)) : 0;

    if (n)
        gmem_read(v->ram, (v->first_gfn << GMEM_PAGE_BITS) + at, to, n);
    memset((uint8_t *)to + n, 0, len - n);
}

void vga_clear(struct vga *v, uint64_t at, size_t len)
{
    static const uint8_t zeroes[GMEM_PAGE_SIZE];
    uint64_t end = min_of(at + len, (uint64_t)VGA_MEMORY);

    while (at < end) {
        size_t n = (size_t)min_of(end - at, (uint64_t)GMEM_PAGE_SIZE);
        gmem_write(v->ram, (v->first_gfn << GMEM_PAGE_BITS) + at, zeroes, n);
        at += n;
    }
}

/*
 * The place of a byte of the window in what the memory map select shows (GC_MISC bits 2-3), plus
 * the bank; false when the window does not show it.
 */
static bool window_place(const struct vga *v, uint64_t offset, uint64_t *ret)
{
    static const struct {
        uint32_t start, size;
    } maps[4] = {{0, WINDOW}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
    unsigned map = v->gc[GC_MISC] >> 2 & 3;

    if (offset - maps[map].start >= maps[map].size)
        return false;
    *ret = offset - maps[map].start;
    if (vga_dispi_on(v))
        *ret += (uint64_t)v->dispi[DISPI_BANK] << 16;
    return true;
}

/* ---- reading ---- */

static uint8_t read_planes(struct vga *v)
{
    uint8_t differ = 0;

    if (!(v->gc[GC_MODE] & GC_MODE_READ1))
        return v->latch[v->gc[GC_READ_MAP] & 3];
    for (unsigned plane = 0; plane < 4; plane++) {
        uint8_t want = v->gc[GC_COMPARE] >> plane & 1 ? 0xff : 0;
        if (v->gc[GC_DONT_CARE] >> plane & 1)
            differ |= v->latch[plane] ^ want;
    }
    return (uint8_t)~differ;
}

static uint8_t read_byte(struct vga *v, uint64_t offset)
{
    uint64_t at, word;

    if (!window_place(v, offset, &at))
        return 0xff;
    if (v->seq[SEQ_MEMORY] & SEQ_MEMORY_CHAIN4)
        word = at & ~3ull;
    else if (v->gc[GC_MODE] & GC_MODE_ODD_EVEN)
        word = (at & ~1ull) << 1;
    else
        word = at << 2;
    if (word >= VGA_MEMORY)
        return 0xff;
    memcpy(v->latch, byte_for_read(v, word), sizeof(v->latch));
    if (v->seq[SEQ_MEMORY] & SEQ_MEMORY_CHAIN4)
        return v->latch[at & 3];
    if (v->gc[GC_MODE] & GC_MODE_ODD_EVEN)
        return v->latch[(v->gc[GC_READ_MAP] & 2) | (at & 1)];
    return read_planes(v);
}

static uint64_t window_read(void *dev, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)read_byte(dev, offset + i) << 8 * i;
    return value;
}

/* ---- writing ---- */

/* Each bit of @bits as a byte of ones or zeroes: one byte per plane. */
static uint32_t spread(unsigned bits)
{
    return ((bits & 1) | (bits & 2) << 7 | (bits & 4) << 14 | (bits & 8) << 21) * 0xffu;
}

static uint8_t rotated(const struct vga *v, uint8_t byte)
{
    unsigned count = v->gc[GC_ROTATE] & 7;
    return (uint8_t)(byte >> count | byte << (8 - count));
}

/* The four planes' bytes for a write of @byte in the present write mode, and the bits it may
 * change. */
static uint32_t write_value(const struct vga *v, uint8_t byte, uint32_t latch, uint8_t *ret_bits)
{
    unsigned mode = v->gc[GC_MODE] & 3;
    uint32_t value = 0, set;

    *ret_bits = v->gc[GC_BIT_MASK];
    switch (mode) {
    case 0:
        set = spread(v->gc[GC_ENABLE_SET_RESET]);
        value = (rotated(v, byte) * 0x01010101u & ~set) | (spread(v->gc[GC_SET_RESET]) & set);
        break;
    case 1:
        return latch;
    case 2:
        value = spread(byte & 15);
        break;
    default:
        value = spread(v->gc[GC_SET_RESET]);
        *ret_bits &= rotated(v, byte);
        break;
    }
    switch (v->gc[GC_ROTATE] >> 3 & 3) {
    case 1:
        return value & latch;
    case 2:
        return value | latch;
    case 3:
        return value ^ latch;
    default:
        return value;
    }
}

static void write_planes(struct vga *v, uint64_t at, uint8_t byte)
{
    uint32_t latch = load_le32(v->latch), old, value, bits, planes;
    uint8_t mask, *word;

    if (at >= VGA_MEMORY / 4)
        return;
    value = write_value(v, byte, latch, &mask);
    if ((v->gc[GC_MODE] & 3) != 1) {
        bits = mask * 0x01010101u;
        value = (value & bits) | (latch & ~bits);
    }
    word = byte_for_write(v, at << 2);
    old = load_le32(word);
    planes = spread(v->seq[SEQ_MAP_MASK]);
    store_le32(word, (old & ~planes) | (value & planes));
}

static void write_byte(struct vga *v, uint64_t offset, uint8_t byte)
{
    uint64_t at;
    unsigned plane;

    if (!window_place(v, offset, &at))
        return;
    if (v->seq[SEQ_MEMORY] & SEQ_MEMORY_CHAIN4) {
        plane = at & 3;
    } else if (v->gc[GC_MODE] & GC_MODE_ODD_EVEN) {
        plane = (v->gc[GC_READ_MAP] & 2) | (at & 1);
        at = (at & ~1ull) << 1 | plane;
    } else {
        write_planes(v, at, byte);
        return;
    }
    if (at < VGA_MEMORY && v->seq[SEQ_MAP_MASK] >> plane & 1)
        *byte_for_write(v, at) = byte;
}

static void window_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        write_byte(dev, offset + i, (uint8_t)(value >> 8 * i));
}

const struct mmio_ops vga_window_ops = {.read = window_read, .write = window_write};
