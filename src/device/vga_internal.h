/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the VGA share: registers (vga_regs.c), the window at 0xA0000 (vga_memory.c) and
 * the picture (vga_draw.c, vga_text.c).
 *
 * Video memory is addressed in bytes of BAR 0. The VGA's 32-bit word n (one byte of each of its
 * four planes) is bytes 4n to 4n+3: plane p's byte n is byte 4n+p. In chain-4 mode the window shows
 * video memory byte for byte, in odd/even mode its 16-bit unit n is the low half of word n.
 */
#ifndef DEVICE_VGA_INTERNAL_H
#define DEVICE_VGA_INTERNAL_H

#include "bus/clock.h"
#include "bus/gmem.h"
#include "device/vga.h"

enum { VGA_PAGES = VGA_MEMORY >> GMEM_PAGE_BITS };

/* Indexes of registers, by their controllers (IBM VGA: "VGA XGA Hardware Technical Reference"). */
enum { SEQ_RESET, SEQ_CLOCKING, SEQ_MAP_MASK, SEQ_FONT, SEQ_MEMORY, SEQ_COUNT = 8 };
enum {
    GC_SET_RESET,
    GC_ENABLE_SET_RESET,
    GC_COMPARE,
    GC_ROTATE,
    GC_READ_MAP,
    GC_MODE,
    GC_MISC,
    GC_DONT_CARE,
    GC_BIT_MASK,
    GC_COUNT = 16
};
enum {
    CR_H_TOTAL = 0x00,
    CR_H_END = 0x01,
    CR_V_TOTAL = 0x06,
    CR_OVERFLOW = 0x07,
    CR_ROW_PRESET = 0x08,
    CR_MAX_SCAN = 0x09,
    CR_CURSOR_START = 0x0a,
    CR_CURSOR_END = 0x0b,
    CR_START_HIGH = 0x0c,
    CR_CURSOR_HIGH = 0x0e,
    CR_V_RETRACE_START = 0x10,
    CR_V_RETRACE_END = 0x11,
    CR_V_END = 0x12,
    CR_OFFSET = 0x13,
    CR_UNDERLINE = 0x14,
    CR_MODE = 0x17,
    CR_LINE_COMPARE = 0x18,
    CR_COUNT = 32
};
enum { AR_MODE = 0x10, AR_PLANES = 0x12, AR_PAN = 0x13, AR_COLOR = 0x14, AR_COUNT = 32 };
enum {
    SEQ_CLOCKING_8DOT = 1 << 0,
    SEQ_CLOCKING_HALF = 1 << 3,
    SEQ_CLOCKING_OFF = 1 << 5,
    SEQ_MEMORY_EXTENDED = 1 << 1,
    SEQ_MEMORY_CHAIN4 = 1 << 3,
    GC_MODE_READ1 = 1 << 3,
    GC_MODE_ODD_EVEN = 1 << 4,
    GC_MODE_CGA4 = 1 << 5,
    GC_MODE_256 = 1 << 6,
    GC_MISC_GRAPHICS = 1 << 0,
    AR_MODE_MONO = 1 << 1,
    AR_MODE_LINE_GRAPHICS = 1 << 2,
    AR_MODE_BLINK = 1 << 3,
    AR_MODE_PAN_SPLIT = 1 << 5,
    AR_MODE_BANK = 1 << 7,
    AR_INDEX_SHOW = 1 << 5,
    MISC_COLOR = 1 << 0,
    MISC_CLOCK28 = 1 << 2,
    CR_PROTECT = 1 << 7, /* in CR_V_RETRACE_END */
    CR_MODE_NO_CGA = 1 << 0,
    CR_MODE_NO_HERCULES = 1 << 1,
    CR_MODE_BYTE = 1 << 6,
};

/* Registers of the Bochs DISPI interface. */
enum {
    DISPI_ID,
    DISPI_XRES,
    DISPI_YRES,
    DISPI_BPP,
    DISPI_ENABLE,
    DISPI_BANK,
    DISPI_VIRT_WIDTH,
    DISPI_VIRT_HEIGHT,
    DISPI_X_OFFSET,
    DISPI_Y_OFFSET,
    DISPI_MEMORY_64K,
    DISPI_COUNT
};
enum {
    DISPI_ENABLED = 1 << 0,
    DISPI_GET_CAPS = 1 << 1,
    DISPI_DAC_8BIT = 1 << 5,
    DISPI_LFB = 1 << 6,
    DISPI_KEEP_MEMORY = 1 << 7
};

struct vga {
    struct device dev;
    struct display display;
    struct pci_function *pci;
    struct space *space;
    struct ports *ports;
    struct gmem *ram;
    struct gclock *clock;
    uint64_t first_gfn;
    struct space_range *window;
    struct port_range *io, *dispi_io;
    const uint8_t *rom; /* borrowed; NULL: none */
    size_t rom_len;

    uint8_t misc, feature;
    uint8_t seq_index, seq[SEQ_COUNT];
    uint8_t gc_index, gc[GC_COUNT];
    uint8_t cr_index, cr[CR_COUNT];
    uint8_t ar_index, ar[AR_COUNT], ar_data_next;
    uint8_t dac_mask, dac_read, dac_write, dac_sub, dac_state;
    uint8_t dac[256 * 3];
    uint8_t latch[4];
    uint16_t dispi_index, dispi[DISPI_COUNT];

    /* Derived, for the picture. */
    bool touched; /* a register changed since the last update */
    uint64_t fresh[VGA_PAGES / 64] /* pages found written by the update before this one */;
    unsigned blink; /* phases of cursor and characters at the last update */
    uint8_t edid[128];
};

/* ---- vga_regs.c ---- */
extern const struct port_ops vga_port_ops, vga_dispi_ops;
extern const struct mmio_ops vga_mmio_ops; /* BAR 2 */
void vga_dispi_write(struct vga *v, unsigned index, uint16_t value);

static inline bool vga_dispi_on(const struct vga *v)
{
    return v->dispi[DISPI_ENABLE] & DISPI_ENABLED;
}

/* Bytes of video memory from one line to the next in a DISPI mode. */
unsigned vga_dispi_line(const struct vga *v);

/* Lines from the start of the picture to the end of the displayed part. */
static inline unsigned vga_v_end(const struct vga *v)
{
    unsigned over = v->cr[CR_OVERFLOW];
    return (v->cr[CR_V_END] | (over & 0x02) << 7 | (over & 0x40) << 3) + 1;
}

/* ---- vga_memory.c ---- */
extern const struct mmio_ops vga_window_ops;
/* Bytes [at, at + len) of video memory, cut at its end (the rest reads as 0). */
void vga_read(const struct vga *v, uint64_t at, void *to, size_t len);
/* Zeroes bytes [at, at + len) of video memory, cut at its end. */
void vga_clear(struct vga *v, uint64_t at, size_t len);

/* ---- vga_draw.c ---- */
/* Colours of the 256 entries of the DAC, and of the 16 of the attribute controller. */
void vga_palette(const struct vga *v, uint32_t colors[256]);
uint8_t vga_attribute_color(const struct vga *v, unsigned index);
/* Makes each of @count pixels two, in place. */
void vga_double_pixels(uint32_t *line, unsigned count);
void vga_update(struct display *d, struct display_frame *frame);

/* The picture of a VGA mode: what the controllers' registers say. */
struct vga_scan {
    unsigned width, height; /* of the picture in dots and lines */
    unsigned line_bytes;    /* of video memory, from one row to the next */
    uint64_t start;         /* byte of video memory where the picture starts */
    unsigned row_lines;     /* lines of a character row */
    unsigned repeat;        /* times each line is shown */
    unsigned first_line;    /* of the first row */
    unsigned split;         /* line from which the picture starts again at byte 0 */
    unsigned pan;           /* dots that the picture is moved to the left */
};
void vga_scan(const struct vga *v, struct vga_scan *ret);

/* ---- vga_text.c ---- */
enum { VGA_BLINK_CURSOR = 1, VGA_BLINK_TEXT = 2 }; /* phases in which they are hidden */
void vga_draw_text(const struct vga *v, struct display_frame *frame, unsigned blink);
int vga_text(struct display *d, struct display_text *ret);

#endif
