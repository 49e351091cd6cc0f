/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VGA's registers: ports 0x3B0-0x3DF (IBM "VGA XGA Hardware Technical Reference", 2-41 ff.),
 * the DISPI interface of Bochs (docs/VBE in the Bochs sources; QEMU docs/specs/standard-vga.rst),
 * and both again in BAR 2.
 */
#include "base/mem.h"
#include "device/vga_internal.h"

enum { FIRST_PORT = 0x3b0 };
/* DISPI_ID: the version of the interface; 5 has a settable amount of memory. */
enum { DISPI_ID_FIRST = 0xb0c0, DISPI_ID_LAST = 0xb0c5 };

static const uint8_t seq_masks[SEQ_COUNT] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t gc_masks[GC_COUNT] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};

/* ---- where the beam is ---- */

enum { RETRACE_BLANK = 1 << 0, RETRACE_VERTICAL = 1 << 3 };

static uint8_t retrace(const struct vga *v)
{
    unsigned over = v->cr[CR_OVERFLOW];
    unsigned total = (v->cr[CR_V_TOTAL] | (over & 0x01) << 8 | (over & 0x20) << 4) + 2;
    unsigned start = v->cr[CR_V_RETRACE_START] | (over & 0x04) << 6 | (over & 0x80) << 2;
    unsigned length = ((v->cr[CR_V_RETRACE_END] - start) & 15) + 1;
    unsigned dots = (v->cr[CR_H_TOTAL] + 5) * (v->seq[SEQ_CLOCKING] & SEQ_CLOCKING_8DOT ? 8 : 9);
    unsigned khz = v->misc & MISC_CLOCK28 ? 28322 : 25175, line, dot;
    uint64_t at;
    uint8_t bits = 0;

    if (v->seq[SEQ_CLOCKING] & SEQ_CLOCKING_HALF)
        khz /= 2;
    at = gclock_muldiv(gclock_now(v->clock), khz, 1000000) % ((uint64_t)dots * total);
    line = (unsigned)(at / dots);
    dot = (unsigned)(at % dots);
    if (line >= vga_v_end(v) || dot >= (v->cr[CR_H_END] + 1u) * dots / (v->cr[CR_H_TOTAL] + 5u))
        bits |= RETRACE_BLANK;
    if (line - start < length)
        bits |= RETRACE_BLANK | RETRACE_VERTICAL;
    return bits;
}

/* ---- DAC ---- */

static uint8_t dac_read(struct vga *v)
{
    uint8_t value = v->dac[v->dac_read * 3 + v->dac_sub];

    if (++v->dac_sub == 3) {
        v->dac_sub = 0;
        v->dac_read++;
    }
    return value;
}

static void dac_write(struct vga *v, uint8_t value)
{
    if (!(v->dispi[DISPI_ENABLE] & DISPI_DAC_8BIT))
        value &= 0x3f;
    v->dac[v->dac_write * 3 + v->dac_sub] = value;
    if (++v->dac_sub == 3) {
        v->dac_sub = 0;
        v->dac_write++;
    }
}

/* ---- ports ---- */

/* The CRT controller and status 1 answer at 0x3Bx or 0x3Dx, as the miscellaneous output says. */
static bool elsewhere(const struct vga *v, unsigned port)
{
    return (port < 0x3c0 && (v->misc & MISC_COLOR)) || (port >= 0x3d0 && !(v->misc & MISC_COLOR));
}

static uint8_t port_read(struct vga *v, unsigned port)
{
    if (elsewhere(v, port))
        return 0xff;
    switch (port) {
    case 0x3c0:
        return v->ar_index;
    case 0x3c1:
        return v->ar[v->ar_index & 0x1f];
    case 0x3c2: /* status 0: no interrupt, no switch */
        return 0;
    case 0x3c4:
        return v->seq_index;
    case 0x3c5:
        return v->seq[v->seq_index];
    case 0x3c6:
        return v->dac_mask;
    case 0x3c7:
        return v->dac_state;
    case 0x3c8:
        return v->dac_write;
    case 0x3c9:
        return dac_read(v);
    case 0x3ca:
        return v->feature;
    case 0x3cc:
        return v->misc;
    case 0x3ce:
        return v->gc_index;
    case 0x3cf:
        return v->gc[v->gc_index];
    case 0x3b4:
    case 0x3d4:
        return v->cr_index;
    case 0x3b5:
    case 0x3d5:
        return v->cr[v->cr_index];
    case 0x3ba:
    case 0x3da:
        v->ar_data_next = 0;
        return retrace(v);
    default:
        return 0xff;
    }
}

/* Index and data take turns at one port; palette entries rest while the palette feeds the screen.
 */
static void attribute_write(struct vga *v, uint8_t value)
{
    unsigned index = v->ar_index & 0x1f;

    v->ar_data_next = !v->ar_data_next;
    if (v->ar_data_next) {
        v->ar_index = value & 0x3f;
    } else if (index >= 0x10 || !(v->ar_index & AR_INDEX_SHOW)) {
        static const uint8_t masks[] = {0xef, 0xff, 0x3f, 0x0f, 0x0f};
        if (index < 0x10)
            v->ar[index] = value & 0x3f;
        else if (index - 0x10 < array_size(masks))
            v->ar[index] = value & masks[index - 0x10];
    }
}

static void crtc_write(struct vga *v, uint8_t value)
{
    unsigned index = v->cr_index;

    if (index > CR_LINE_COMPARE)
        return;
    if (index <= CR_OVERFLOW && (v->cr[CR_V_RETRACE_END] & CR_PROTECT)) {
        /* Only the line compare's bit may change. */
        if (index == CR_OVERFLOW)
            v->cr[index] = (uint8_t)((v->cr[index] & ~0x10) | (value & 0x10));
        return;
    }
    v->cr[index] = value;
}

static void port_write(struct vga *v, unsigned port, uint8_t value)
{
    if (elsewhere(v, port))
        return;
    v->touched = true;
    switch (port) {
    case 0x3c0:
        attribute_write(v, value);
        break;
    case 0x3c2:
        v->misc = value & 0xef;
        break;
    case 0x3c4:
        v->seq_index = value & 7;
        break;
    case 0x3c5:
        v->seq[v->seq_index] = value & seq_masks[v->seq_index];
        break;
    case 0x3c6:
        v->dac_mask = value;
        break;
    case 0x3c7:
        v->dac_read = value;
        v->dac_sub = 0;
        v->dac_state = 3;
        break;
    case 0x3c8:
        v->dac_write = value;
        v->dac_sub = 0;
        v->dac_state = 0;
        break;
    case 0x3c9:
        dac_write(v, value);
        break;
    case 0x3ce:
        v->gc_index = value & 0x0f;
        break;
    case 0x3cf:
        v->gc[v->gc_index] = value & gc_masks[v->gc_index];
        break;
    case 0x3b4:
    case 0x3d4:
        v->cr_index = value & 0x1f;
        break;
    case 0x3b5:
    case 0x3d5:
        crtc_write(v, value);
        break;
    case 0x3ba:
    case 0x3da:
        v->feature = value & 0x10;
        break;
    default:
        break;
    }
}

static uint32_t vga_port_read(void *dev, uint16_t offset, unsigned size)
{
    return port_read(dev, FIRST_PORT + offset);
}

static void vga_port_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    port_write(dev, FIRST_PORT + offset, (uint8_t)value);
}

const struct port_ops vga_port_ops = {
    .read = vga_port_read, .write = vga_port_write, .bytes = true};

/* ---- DISPI ---- */

unsigned vga_dispi_line(const struct vga *v)
{
    unsigned width = v->dispi[DISPI_VIRT_WIDTH], bits = v->dispi[DISPI_BPP];
    return bits == 4 ? width / 8 * 4 : width * ((bits + 7) / 8);
}

static unsigned fit(unsigned value, unsigned low, unsigned high)
{
    return min_of(max_of(value, low), high);
}

/*
 * Keeps the picture inside video memory, whatever was asked for: the interface has no errors, a
 * driver reads back what it got.
 */
static void dispi_fit(struct vga *v)
{
    uint16_t *r = v->dispi;
    unsigned bits = r[DISPI_BPP], line;
    uint64_t start;

    if (bits != 4 && bits != 8 && bits != 15 && bits != 16 && bits != 24)
        r[DISPI_BPP] = 32;
    r[DISPI_XRES] = (uint16_t)fit(r[DISPI_XRES] & ~7u, 8, DISPLAY_MAX_WIDTH);
    r[DISPI_VIRT_WIDTH] = (uint16_t)fit(r[DISPI_VIRT_WIDTH] & ~7u, r[DISPI_XRES], 0x4000);
    line = vga_dispi_line(v);
    r[DISPI_YRES] =
        (uint16_t)fit(r[DISPI_YRES], 1, min_of((unsigned)DISPLAY_MAX_HEIGHT, VGA_MEMORY / line));
    r[DISPI_VIRT_HEIGHT] = (uint16_t)min_of(VGA_MEMORY / line, 0xffffu);
    if (r[DISPI_X_OFFSET] > r[DISPI_VIRT_WIDTH] - r[DISPI_XRES])
        r[DISPI_X_OFFSET] = (uint16_t)(r[DISPI_VIRT_WIDTH] - r[DISPI_XRES]);
    start = (uint64_t)r[DISPI_Y_OFFSET] * line;
    if (start + (uint64_t)r[DISPI_YRES] * line > VGA_MEMORY)
        r[DISPI_Y_OFFSET] = (uint16_t)(VGA_MEMORY / line - r[DISPI_YRES]);
}

/* The 8-bit DAC keeps its colours when the width of its entries changes. */
static void set_dac_width(struct vga *v, bool wide)
{
    if (wide == !!(v->dispi[DISPI_ENABLE] & DISPI_DAC_8BIT))
        return;
    for (unsigned i = 0; i < sizeof(v->dac); i++)
        v->dac[i] = (uint8_t)(wide ? v->dac[i] << 2 | (v->dac[i] >> 4 & 3) : v->dac[i] >> 2);
}

static void dispi_enable(struct vga *v, uint16_t value)
{
    uint16_t *r = v->dispi;
    bool was = vga_dispi_on(v);

    set_dac_width(v, value & DISPI_DAC_8BIT);
    r[DISPI_ENABLE] =
        value & (DISPI_ENABLED | DISPI_GET_CAPS | DISPI_DAC_8BIT | DISPI_LFB | DISPI_KEEP_MEMORY);
    r[DISPI_BANK] = 0;
    if (!(value & DISPI_ENABLED) || was)
        return;
    r[DISPI_VIRT_WIDTH] = 0; /* no wider than the picture */
    r[DISPI_X_OFFSET] = r[DISPI_Y_OFFSET] = 0;
    dispi_fit(v);
    if (!(value & DISPI_KEEP_MEMORY))
        vga_clear(v, 0, (size_t)r[DISPI_YRES] * vga_dispi_line(v));
    /* The window then shows banks of memory as a driver without a linear buffer wants them. */
    v->gc[GC_MISC] = (uint8_t)((v->gc[GC_MISC] & ~0x0c) | 0x05);
    v->gc[GC_MODE] = 0;
    v->seq[SEQ_MAP_MASK] = 0x0f;
    if (r[DISPI_BPP] != 4)
        v->seq[SEQ_MEMORY] |= SEQ_MEMORY_CHAIN4;
    else
        v->seq[SEQ_MEMORY] &= (uint8_t)~SEQ_MEMORY_CHAIN4;
}

static uint16_t dispi_read(const struct vga *v, unsigned index)
{
    if (v->dispi[DISPI_ENABLE] & DISPI_GET_CAPS) {
        if (index == DISPI_XRES)
            return DISPLAY_MAX_WIDTH;
        if (index == DISPI_YRES)
            return DISPLAY_MAX_HEIGHT;
        if (index == DISPI_BPP)
            return 32;
    }
    if (index == DISPI_MEMORY_64K)
        return VGA_MEMORY >> 16;
    return index < DISPI_COUNT ? v->dispi[index] : 0xffff;
}

void vga_dispi_write(struct vga *v, unsigned index, uint16_t value)
{
    v->touched = true;
    switch (index) {
    case DISPI_ID:
        if (value >= DISPI_ID_FIRST && value <= DISPI_ID_LAST)
            v->dispi[index] = value;
        return;
    case DISPI_ENABLE:
        dispi_enable(v, value);
        return;
    case DISPI_BANK:
        v->dispi[index] = value % (VGA_MEMORY >> 16);
        return;
    case DISPI_XRES:
    case DISPI_YRES:
    case DISPI_BPP:
    case DISPI_VIRT_WIDTH:
    case DISPI_X_OFFSET:
    case DISPI_Y_OFFSET:
        v->dispi[index] = value;
        if (vga_dispi_on(v))
            dispi_fit(v);
        return;
    default:
        return;
    }
}

static uint32_t vga_dispi_in(void *dev, uint16_t offset, unsigned size)
{
    struct vga *v = dev;

    if (size != 2 || offset > 1)
        return UINT32_MAX;
    return offset ? dispi_read(v, v->dispi_index) : v->dispi_index;
}

static void vga_dispi_out(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct vga *v = dev;

    if (size != 2 || offset > 1)
        return;
    if (offset)
        vga_dispi_write(v, v->dispi_index, (uint16_t)value);
    else
        v->dispi_index = (uint16_t)value;
}

const struct port_ops vga_dispi_ops = {.read = vga_dispi_in, .write = vga_dispi_out};

/* ---- BAR 2 ---- */

enum {
    MMIO_PORTS = 0x400,
    MMIO_PORTS_END = 0x420,
    MMIO_DISPI = 0x500,
    MMIO_DISPI_END = MMIO_DISPI + 2 * DISPI_COUNT,
    MMIO_EXTENSION = 0x600, /* its size in bytes, then the byte order of pixels */
    MMIO_ORDER = 0x604,
};
#define ORDER_LITTLE 0x1e1e1e1eu

static uint64_t mmio_read(void *dev, uint64_t offset, unsigned size)
{
    struct vga *v = dev;
    uint64_t value = 0;

    if (offset < sizeof(v->edid)) {
        memcpy(&value, v->edid + offset, min_of((size_t)size, sizeof(v->edid) - (size_t)offset));
        return value;
    }
    if (offset >= MMIO_PORTS && offset + size <= MMIO_PORTS_END) {
        for (unsigned i = 0; i < size; i++)
            value |= (uint64_t)port_read(v, 0x3c0 + (unsigned)(offset - MMIO_PORTS) + i) << 8 * i;
        return value;
    }
    if (offset >= MMIO_DISPI && offset < MMIO_DISPI_END && size == 2)
        return dispi_read(v, (unsigned)(offset - MMIO_DISPI) / 2);
    if (offset == MMIO_EXTENSION && size == 4)
        return 8;
    if (offset == MMIO_ORDER && size == 4)
        return ORDER_LITTLE;
    return UINT64_MAX;
}

static void mmio_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct vga *v = dev;

    if (offset >= MMIO_PORTS && offset + size <= MMIO_PORTS_END)
        for (unsigned i = 0; i < size; i++)
            port_write(v, 0x3c0 + (unsigned)(offset - MMIO_PORTS) + i, (uint8_t)(value >> 8 * i));
    else if (offset >= MMIO_DISPI && offset < MMIO_DISPI_END && size == 2)
        vga_dispi_write(v, (unsigned)(offset - MMIO_DISPI) / 2, (uint16_t)value);
}

const struct mmio_ops vga_mmio_ops = {.read = mmio_read, .write = mmio_write};
