/* SPDX-License-Identifier: Apache-2.0 */
/* The VGA by its registers: each kind of mode is set as a driver sets it, drawn and looked at. */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "device/vga.h"
#include "rig.h"

enum { SLOT = 2, LFB = 0xe0000000, MMIO = 0xe1000000, ROM = 0xe2000000 };
enum { BLACK = 0, BLUE = 0x0000aa, GREY = 0xaaaaaa, WHITE = 0xffffff, RED = 0xaa0000 };

struct vga_rig {
    struct rig rig;
    struct pci_bus *bus;
    struct vga *vga;
    struct display *display;
    struct display_frame frame;
    uint8_t rom[8192];
};

static struct vga_rig t;

/* ---- a driver's hands ---- */

static void config_out(unsigned reg, uint32_t value)
{
    ports_write(t.rig.ports, 0xcf8, 4, 0x80000000u | SLOT << 11 | reg);
    ports_write(t.rig.ports, 0xcfc, 4, value);
}

static uint32_t config_in(unsigned reg)
{
    ports_write(t.rig.ports, 0xcf8, 4, 0x80000000u | SLOT << 11 | reg);
    return ports_read(t.rig.ports, 0xcfc, 4);
}

static void seq(unsigned index, unsigned value)
{
    ports_write(t.rig.ports, 0x3c4, 2, value << 8 | index);
}

static void gc(unsigned index, unsigned value)
{
    ports_write(t.rig.ports, 0x3ce, 2, value << 8 | index);
}

static void crtc(unsigned index, unsigned value)
{
    ports_write(t.rig.ports, 0x3d4, 2, value << 8 | index);
}

static void attr(unsigned index, unsigned value)
{
    rig_in(&t.rig, 0x3da);
    rig_out(&t.rig, 0x3c0, (uint8_t)index);
    rig_out(&t.rig, 0x3c0, (uint8_t)value);
}

static void dispi(unsigned index, unsigned value)
{
    ports_write(t.rig.ports, 0x1ce, 2, index);
    ports_write(t.rig.ports, 0x1cf, 2, value);
}

static unsigned dispi_in(unsigned index)
{
    ports_write(t.rig.ports, 0x1ce, 2, index);
    return ports_read(t.rig.ports, 0x1cf, 2);
}

/* Bits 0-2 blue, green, red at two thirds, bit 3 adds a third: the colours of the first 16. */
static void palette16(void)
{
    rig_out(&t.rig, 0x3c8, 0);
    for (unsigned i = 0; i < 16; i++)
        for (unsigned c = 0; c < 3; c++)
            rig_out(&t.rig, 0x3c9, (i >> (2 - c) & 1 ? 0x2a : 0) + (i & 8 ? 0x15 : 0));
    for (unsigned i = 0; i < 16; i++)
        attr(i, i);
}

struct mode {
    uint8_t misc, seq[5], crtc[25], gc[9], attr[5];
};

static void set_mode(const struct mode *m)
{
    rig_out(&t.rig, 0x3c2, m->misc);
    for (unsigned i = 0; i < 5; i++)
        seq(i, m->seq[i]);
    crtc(0x11, 0);
    for (unsigned i = 0; i < 25; i++)
        crtc(i, m->crtc[i]);
    for (unsigned i = 0; i < 9; i++)
        gc(i, m->gc[i]);
    palette16();
    for (unsigned i = 0; i < 5; i++)
        attr(0x10 + i, m->attr[i]);
    rig_in(&t.rig, 0x3da);
    rig_out(&t.rig, 0x3c0, 0x20);
}

/* The values of the BIOS's parameter tables. */
static const struct mode mode_text = {.misc = 0x67,
                                      .seq = {3, 0, 3, 0, 2},
                                      .crtc = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0,
                                               0x4f, 0x0d, 0x0e, 0,    0,    0,    0,    0x9c, 0x8e,
                                               0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
                                      .gc = {0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff},
                                      .attr = {0x0c, 0, 0x0f, 8, 0}};
static const struct mode mode_12h = {.misc = 0xe3,
                                     .seq = {3, 1, 0x0f, 0, 6},
                                     .crtc = {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0,
                                              0x40, 0,    0,    0,    0,    0,    0,    0xea, 0x8c,
                                              0xdf, 0x28, 0,    0xe7, 0x04, 0xe3, 0xff},
                                     .gc = {0, 0, 0, 0, 0, 0, 0x05, 0x0f, 0xff},
                                     .attr = {1, 0, 0x0f, 0, 0}};
static const struct mode mode_13h = {.misc = 0x63,
                                     .seq = {3, 1, 0x0f, 0, 0x0e},
                                     .crtc = {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0,
                                              0x41, 0,    0,    0,    0,    0,    0,    0x9c, 0x8e,
                                              0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
                                     .gc = {0, 0, 0, 0, 0, 0x40, 0x05, 0x0f, 0xff},
                                     .attr = {0x41, 0, 0x0f, 0, 0}};
/* CGA: two bits a pixel, odd lines 8 KiB further. */
static const struct mode mode_4 = {.misc = 0x63,
                                   .seq = {3, 9, 3, 0, 2},
                                   .crtc = {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0,
                                            0xc1, 0,    0,    0,    0,    0,    0,    0x9c, 0x8e,
                                            0x8f, 0x14, 0,    0x96, 0xb9, 0xa2, 0xff},
                                   .gc = {0, 0, 0, 0, 0, 0x30, 0x0f, 0, 0xff},
                                   .attr = {1, 0, 3, 0, 0}};

static void put(uint32_t address, uint8_t value)
{
    space_store(t.rig.space, address, 1, value);
}

static uint8_t get(uint32_t address)
{
    return (uint8_t)space_load(t.rig.space, address, 1);
}

static uint32_t pixel(unsigned x, unsigned y)
{
    assert_in_range(x, 0, t.frame.width - 1);
    assert_in_range(y, 0, t.frame.height - 1);
    return t.frame.pixels[y * t.frame.width + x];
}

static void update(void)
{
    t.display->ops->update(t.display, &t.frame);
}

static int set_up(void **state)
{
    struct vga_config config = {.first_gfn = RIG_VIDEO_GFN, .rom = t.rom, .rom_len = sizeof(t.rom)};
    struct irq_line intx;
    struct msi_sink msi;

    rig_set_up(&t.rig);
    intx = rig_line(&t.rig, 0);
    msi = rig_msi(&t.rig);
    memset(t.rom, 0x5a, sizeof(t.rom));
    t.bus = pci_bus_new(t.rig.space, t.rig.ports, &intx, &msi, NULL);
    t.vga = vga_new(t.bus, SLOT, t.rig.space, t.rig.ports, t.rig.clock, &config, NULL);
    assert_non_null(t.vga);
    t.display = vga_display(t.vga);
    t.frame =
        (struct display_frame){.pixels = malloc(DISPLAY_MAX_PIXELS * sizeof(*t.frame.pixels))};
    config_out(0x10, LFB);
    config_out(0x18, MMIO);
    config_out(0x04, 3);
    return t.frame.pixels ? 0 : -1;
}

static int tear_down(void **state)
{
    free(t.frame.pixels);
    vga_device(t.vga)->free(vga_device(t.vga));
    pci_bus_free(t.bus);
    rig_tear_down(&t.rig);
    return 0;
}

/* ---- PCI ---- */

static void is_the_adapter_that_drivers_know(void **state)
{
    assert_int_equal(config_in(0), 0x11111234);
    assert_int_equal(config_in(8), 0x03000002);
    assert_int_equal(config_in(0x2c), 0x11001af4);
    config_out(0x10, UINT32_MAX);
    assert_int_equal(config_in(0x10), (uint32_t)-VGA_MEMORY | 8);
    config_out(0x10, LFB);
    /* The ROM is shown when it is enabled, and only then. */
    config_out(0x30, 0xfffff800u);
    assert_int_equal(config_in(0x30), (uint32_t) - sizeof(t.rom));
    config_out(0x30, ROM);
    assert_int_equal(space_load(t.rig.space, ROM, 4), UINT32_MAX);
    config_out(0x30, ROM | 1);
    assert_int_equal(space_load(t.rig.space, ROM + sizeof(t.rom) - 4, 4), 0x5a5a5a5a);
    space_store(t.rig.space, ROM, 1, 0);
    assert_int_equal(space_load(t.rig.space, ROM, 1), 0x5a);
    /* BAR 0 is RAM, wherever it is put. */
    space_store(t.rig.space, LFB + VGA_MEMORY - 4, 4, 0x12345678);
    config_out(0x10, 0xd0000000);
    assert_int_equal(space_load(t.rig.space, LFB + VGA_MEMORY - 4, 4), UINT32_MAX);
    assert_int_equal(space_load(t.rig.space, 0xd0000000u + VGA_MEMORY - 4, 4), 0x12345678);
}

static void edid_and_extension_registers(void **state)
{
    uint8_t sum = 0;

    assert_int_equal(space_load(t.rig.space, MMIO, 8), 0x00ffffffffffff00);
    for (unsigned i = 0; i < 128; i++)
        sum += get(MMIO + i);
    assert_int_equal(sum, 0);
    assert_int_equal(space_load(t.rig.space, MMIO + 0x600, 4), 8);
    assert_int_equal(space_load(t.rig.space, MMIO + 0x604, 4), 0x1e1e1e1e);
    assert_int_equal(space_load(t.rig.space, MMIO + 0x500, 2), 0xb0c5);
    /* Ports 0x3C0 on: the miscellaneous output is written at 0x3C2 and read at 0x3CC. */
    put(MMIO + 0x402, 0x67);
    assert_int_equal(get(MMIO + 0x40c), 0x67);
    assert_int_equal(rig_in(&t.rig, 0x3cc), 0x67);
}

/* ---- registers ---- */

static void registers_keep_their_bits(void **state)
{
    rig_out(&t.rig, 0x3c2, 0x63);
    seq(2, 0xff);
    assert_int_equal(rig_in(&t.rig, 0x3c5), 0x0f);
    gc(5, 0xff);
    assert_int_equal(rig_in(&t.rig, 0x3cf), 0x7b);
    crtc(0x11, 0x80); /* protects 0-7, but the line compare's bit */
    crtc(0x00, 0x55);
    assert_int_equal(rig_in(&t.rig, 0x3d5), 0x00);
    crtc(0x07, 0xff);
    assert_int_equal(rig_in(&t.rig, 0x3d5), 0x10);
    crtc(0x11, 0);
    crtc(0x00, 0x55);
    assert_int_equal(rig_in(&t.rig, 0x3d5), 0x55);
    /* Monochrome addresses are somewhere else. */
    assert_int_equal(rig_in(&t.rig, 0x3b5), 0xff);
    rig_out(&t.rig, 0x3c2, 0x62);
    assert_int_equal(rig_in(&t.rig, 0x3b5), 0x55);
    assert_int_equal(rig_in(&t.rig, 0x3d5), 0xff);
    /* While the palette feeds the screen it is not written. */
    rig_out(&t.rig, 0x3c2, 0x63);
    attr(3, 0x15);
    attr(0x23, 0x2a);
    rig_in(&t.rig, 0x3da);
    rig_out(&t.rig, 0x3c0, 3);
    assert_int_equal(rig_in(&t.rig, 0x3c1), 0x15);
}

static void dac_counts_by_three(void **state)
{
    rig_out(&t.rig, 0x3c8, 0xfe);
    for (unsigned i = 0; i < 9; i++) /* goes round after 0xff */
        rig_out(&t.rig, 0x3c9, (uint8_t)(0x40 + i));
    rig_out(&t.rig, 0x3c7, 0xff);
    assert_int_equal(rig_in(&t.rig, 0x3c7), 3);
    for (unsigned i = 3; i < 9; i++)
        assert_int_equal(rig_in(&t.rig, 0x3c9), i);
}

static void beam_moves(void **state)
{
    unsigned seen = 0, changes = 0, last = 0;

    set_mode(&mode_text);
    for (unsigned us = 0; us < 40000; us += 10) {
        unsigned now = rig_in(&t.rig, 0x3da) & 9;
        seen |= 1u << now;
        changes += (now & 8) != (last & 8);
        last = now;
        rig_pass(&t.rig, 10000);
    }
    assert_int_equal(seen, 1 << 0 | 1 << 1 | 1 << 9); /* a retrace is always blank */
    assert_in_range(changes, 4, 6);                   /* 70 pictures a second */
}

/* ---- text ---- */

/* Letter @c has a left edge, letter 0xc4 a line to the right edge. */
static void load_font(void)
{
    seq(2, 4);
    seq(4, 7);
    gc(5, 0);
    gc(6, 5);
    for (unsigned line = 0; line < 16; line++) {
        put(0xa0000 + 'A' * 32 + line, 0x80);
        put(0xa0000 + 0xc4 * 32 + line, line == 8 ? 0xff : 0);
        put(0xa2000 + 'A' * 32 + line, 0x01); /* the second font: 8 KiB on */
    }
    seq(2, 3);
    seq(4, 2);
    gc(5, 0x10);
    gc(6, 0x0e);
}

static void cell(unsigned x, unsigned y, uint8_t code, uint8_t attribute)
{
    put(0xb8000 + (y * 80 + x) * 2, code);
    put(0xb8001 + (y * 80 + x) * 2, attribute);
}

static void text_has_nine_dots_and_a_font(void **state)
{
    set_mode(&mode_text);
    load_font();
    crtc(0x0a, 0x20); /* no cursor */
    cell(1, 1, 'A', 0x17);
    cell(2, 1, 0xc4, 0x04);
    cell(3, 1, 'A', 0x0f);
    update();
    assert_true(t.frame.resized);
    assert_int_equal(t.frame.width, 720);
    assert_int_equal(t.frame.height, 400);
    assert_int_equal(pixel(9, 16), GREY);
    assert_int_equal(pixel(10, 16), BLUE);
    assert_int_equal(pixel(17, 31), BLUE);
    assert_int_equal(pixel(18, 24), RED);
    assert_int_equal(pixel(26, 24), RED); /* line graphics reach the ninth dot */
    assert_int_equal(pixel(18, 25), BLACK);
    assert_int_equal(pixel(27, 16), WHITE);
    assert_int_equal(get(0xb8000 + 81 * 2), 'A');
    assert_int_equal(get(0xb8001 + 81 * 2), 0x17);
    /* The other font for bit 3 of the attribute, which is no intensity then; eight dots. */
    seq(3, 0x10);
    seq(1, 1);
    update();
    assert_int_equal(t.frame.width, 640);
    assert_int_equal(pixel(8, 16), BLUE);
    assert_int_equal(pixel(15, 16), GREY);
    assert_int_equal(pixel(24, 16), GREY);
    assert_int_equal(pixel(31, 16), BLACK);
}

static void text_cursor_and_blinking(void **state)
{
    unsigned shown = 0, blinked = 0;

    set_mode(&mode_text);
    load_font();
    cell(0, 0, 'A', 0x87);
    cell(5, 0, ' ', 0x07);
    crtc(0x0e, 0);
    crtc(0x0f, 5);
    for (unsigned i = 0; i < 64; i++) {
        rig_pass(&t.rig, 1000000000 / 70);
        update();
        shown += pixel(45, 14) == GREY;
        blinked += pixel(0, 3) == GREY;
        assert_int_equal(pixel(45, 12), BLACK);
        assert_int_equal(pixel(46, 14), pixel(45, 14));
    }
    assert_in_range(shown, 30, 34);
    assert_in_range(blinked, 30, 34);
    update(); /* nothing has happened since */
    assert_int_equal(t.frame.damage_count, 0);
}

static void text_is_read_as_text(void **state)
{
    struct display_text *text = malloc(sizeof(*text));
    struct str out = {0};

    assert_non_null(text);
    set_mode(&mode_text);
    for (unsigned i = 0; i < 2000; i++)
        cell(i % 80, i / 80, ' ', 7);
    for (const char *c = "login:"; *c; c++)
        cell((unsigned)(c - "login:"), 2, (uint8_t)*c, 7);
    cell(0, 2, 'l', 7);
    cell(1, 2, 'o', 7);
    cell(2, 2, 0xdb, 7);
    crtc(0x0e, 0);
    crtc(0x0f, 2 * 80 + 7);
    assert_int_equal(t.display->ops->text(t.display, text), 0);
    assert_int_equal(text->columns, 80);
    assert_int_equal(text->rows, 25);
    assert_int_equal(text->cursor_x, 7);
    assert_int_equal(text->cursor_y, 2);
    display_text_utf8(text, &out);
    assert_int_equal(strncmp(str_text(&out), "\n\nlo\xe2\x96\x88", 7), 0);
    str_done(&out);
    set_mode(&mode_13h);
    assert_int_equal(t.display->ops->text(t.display, text), -ENOTSUP);
    free(text);
}

static void screen_splits_and_scrolls(void **state)
{
    set_mode(&mode_text);
    load_font();
    crtc(0x0a, 0x20);
    cell(0, 0, 'A', 0x47);
    cell(0, 10, 'A', 0x17);
    crtc(0x0d, 80 * 10 & 0xff); /* starts with row 10 ... */
    crtc(0x0c, 80 * 10 >> 8);
    crtc(0x07, 0x0f);
    crtc(0x09, 0x0f);
    crtc(0x18, 199); /* ... and again with row 0 from line 200 on */
    update();
    assert_int_equal(pixel(1, 0), BLUE);
    assert_int_equal(pixel(1, 199), BLACK);
    assert_int_equal(pixel(1, 200), RED);
    crtc(0x08, 4); /* four lines up */
    update();
    assert_int_equal(pixel(1, 11), BLUE);
    assert_int_equal(pixel(1, 12), BLACK);
}

/* ---- planes ---- */

static void planes_write_modes(void **state)
{
    set_mode(&mode_12h);
    /* Mode 0: what is not set by set/reset comes from the processor, rotated; the mask keeps. */
    gc(0, 0x01);
    gc(1, 0x03);
    gc(3, 1);
    seq(2, 0x0f);
    put(0xa0000, 0x81); /* plane 0 all ones, plane 1 zeroes, planes 2 and 3 0xc0 */
    update();
    assert_int_equal(t.frame.width, 640);
    assert_int_equal(t.frame.height, 480);
    assert_int_equal(pixel(0, 0), 0xff55ff); /* 13 */
    assert_int_equal(pixel(1, 0), 0xff55ff);
    assert_int_equal(pixel(2, 0), BLUE);
    assert_int_equal(pixel(7, 0), BLUE);
    /* Mode 1 copies latches. */
    gc(5, 1);
    get(0xa0000);
    put(0xa0000 + 80, 0xff);
    update();
    assert_int_equal(pixel(1, 1), 0xff55ff);
    assert_int_equal(pixel(2, 1), BLUE);
    assert_int_equal(t.frame.damage_count, 1);
    assert_int_equal(t.frame.damage[0].y, 1);
    assert_int_equal(t.frame.damage[0].width, 8);
    /* Mode 2: the byte is a colour; XOR with the latches under the bit mask. */
    gc(5, 2);
    gc(3, 0x18);
    gc(8, 0x0f);
    get(0xa0000);
    put(0xa0000, 0x05);
    update();
    assert_int_equal(pixel(3, 0), BLUE);
    assert_int_equal(pixel(4, 0), RED);
    gc(3, 0);
    /* Mode 3: the byte is a mask for set/reset. */
    gc(5, 3);
    gc(8, 0xff);
    gc(0, 0x0f);
    get(0xa0000);
    put(0xa0000, 0x01);
    update();
    assert_int_equal(pixel(6, 0), RED);
    assert_int_equal(pixel(7, 0), WHITE);
    /* Planes that the map mask leaves out keep what they have. */
    gc(5, 2);
    seq(2, 2);
    put(0xa0000, 0);
    update();
    assert_int_equal(pixel(7, 0), 0xff55ff);
}

static void planes_read_modes(void **state)
{
    set_mode(&mode_12h);
    gc(5, 2);
    gc(8, 0xf0);
    put(0xa0000, 0x09);
    gc(8, 0x0f);
    get(0xa0000);
    put(0xa0000, 0x06);
    gc(5, 0);
    for (unsigned plane = 0; plane < 4; plane++) {
        gc(4, plane);
        assert_int_equal(get(0xa0000), plane == 0 || plane == 3 ? 0xf0 : 0x0f);
    }
    gc(5, 8); /* which pixels have this colour */
    gc(2, 0x06);
    gc(7, 0x0f);
    assert_int_equal(get(0xa0000), 0x0f);
    gc(7, 0x00);
    assert_int_equal(get(0xa0000), 0xff);
    /* The window of a text mode is not there. */
    assert_int_equal(get(0xb8000), 0xff);
}

static void planes_pan(void **state)
{
    set_mode(&mode_12h);
    gc(5, 2);
    gc(8, 0x10);
    put(0xa0000, 15);
    attr(0x33, 3);
    update();
    assert_int_equal(pixel(0, 0), WHITE);
    assert_int_equal(pixel(3, 0), BLACK);
    attr(0x33, 0);
    update();
    assert_int_equal(pixel(3, 0), WHITE);
}

static void cga_lines_alternate(void **state)
{
    set_mode(&mode_4);
    put(0xb8000, 0x1b);          /* colours 0 1 2 3 */
    put(0xba000, 0xc0);          /* the next line */
    put(0xb8000 + 80 + 1, 0x03); /* third line, eighth pixel */
    update();
    assert_int_equal(t.frame.width, 640); /* half the clock: each pixel twice */
    assert_int_equal(t.frame.height, 400);
    for (unsigned c = 0; c < 4; c++)
        assert_int_equal(pixel(2 * c, 1), c == 0   ? 0
                                          : c == 1 ? BLUE
                                          : c == 2 ? 0x00aa00
                                                   : 0x00aaaa);
    assert_int_equal(pixel(0, 2), 0x00aaaa);
    assert_int_equal(pixel(0, 3), 0x00aaaa);
    assert_int_equal(pixel(15, 4), 0x00aaaa);
    assert_int_equal(pixel(14, 2), BLACK);
}

static void mode_13h_has_a_byte_a_pixel(void **state)
{
    set_mode(&mode_13h);
    rig_out(&t.rig, 0x3c8, 0x80);
    rig_out(&t.rig, 0x3c9, 0x3f);
    rig_out(&t.rig, 0x3c9, 0x20);
    rig_out(&t.rig, 0x3c9, 0x00);
    space_store(t.rig.space, 0xa0000 + 320 + 2, 4, 0x01800080);
    update();
    assert_int_equal(t.frame.width, 640);
    assert_int_equal(t.frame.height, 400);
    assert_int_equal(pixel(4, 2), 0xff8200);
    assert_int_equal(pixel(5, 3), 0xff8200);
    assert_int_equal(pixel(6, 2), BLACK);
    assert_int_equal(pixel(8, 2), 0xff8200);
    assert_int_equal(pixel(10, 2), BLUE);
    assert_int_equal(pixel(4, 4), BLACK);
    assert_int_equal(space_load(t.rig.space, 0xa0000 + 320 + 2, 4), 0x01800080);
    rig_out(&t.rig, 0x3c6, 0x7f); /* the mask takes the high bit away */
    update();
    assert_int_equal(pixel(4, 2), BLACK);
    rig_in(&t.rig, 0x3da);
    rig_out(&t.rig, 0x3c0, 0); /* the screen is blank without the palette's source */
    update();
    assert_int_equal(pixel(10, 2), BLACK);
}

/* ---- linear modes ---- */

static void linear(unsigned width, unsigned height, unsigned bits)
{
    dispi(4, 0);
    dispi(1, width);
    dispi(2, height);
    dispi(3, bits);
    dispi(4, 0x41);
}

static void linear_depths(void **state)
{
    static const struct {
        unsigned bits, bytes;
        uint32_t value, color;
    } depths[] = {{8, 1, 4, RED},
                  {15, 2, 0x7c1f, 0xff00ff},
                  {16, 2, 0x07e0, 0x00ff00},
                  {24, 3, 0x123456, 0x123456},
                  {32, 4, 0xff654321, 0x654321}};

    palette16();
    for (unsigned i = 0; i < array_size(depths); i++) {
        uint32_t at = LFB + (800 * 7 + 5) * depths[i].bytes;
        linear(800, 600, depths[i].bits);
        assert_int_equal(dispi_in(3), depths[i].bits);
        for (unsigned b = 0; b < depths[i].bytes; b++)
            put(at + b, (uint8_t)(depths[i].value >> 8 * b));
        update();
        assert_int_equal(t.frame.width, 800);
        assert_int_equal(t.frame.height, 600);
        assert_int_equal(pixel(5, 7), depths[i].color);
        assert_int_equal(pixel(4, 7), BLACK);
        assert_int_equal(pixel(6, 7), BLACK);
    }
}

static void linear_damage_is_what_changed(void **state)
{
    linear(1024, 768, 32);
    update();
    assert_int_equal(t.frame.damage_count, 1);
    assert_int_equal(t.frame.damage[0].height, 768);
    update();
    assert_int_equal(t.frame.damage_count, 0);
    space_store(t.rig.space, LFB + (100 * 1024 + 10) * 4, 4, WHITE);
    space_store(t.rig.space, LFB + (101 * 1024 + 20) * 4, 4, WHITE);
    space_store(t.rig.space, LFB + (700 * 1024 + 1023) * 4, 4, WHITE);
    update();
    assert_int_equal(t.frame.damage_count, 2);
    assert_int_equal(t.frame.damage[0].x, 10);
    assert_int_equal(t.frame.damage[0].y, 100);
    assert_int_equal(t.frame.damage[0].width, 11);
    assert_int_equal(t.frame.damage[0].height, 2);
    assert_int_equal(t.frame.damage[1].x, 1023);
    assert_int_equal(t.frame.damage[1].y, 700);
    assert_int_equal(t.frame.damage[1].width, 1);
    /* A write that came too late for the dirty log is found once more. */
    gmem_write_page(t.rig.gmem, RIG_VIDEO_GFN + 100)[0] = 0x7f;
    gmem_dirty_take(t.rig.gmem, NULL);
    update();
    assert_int_equal(t.frame.damage_count, 1);
    update();
    assert_int_equal(t.frame.damage_count, 0);
}

static void linear_panning_and_virtual_size(void **state)
{
    linear(640, 480, 32);
    assert_int_equal(dispi_in(6), 640);
    assert_int_equal(dispi_in(7), VGA_MEMORY / (640 * 4));
    dispi(6, 1024);
    dispi(8, 8);
    dispi(9, 2);
    space_store(t.rig.space, LFB + (2 * 1024 + 8) * 4, 4, WHITE);
    update();
    assert_int_equal(pixel(0, 0), WHITE);
    dispi(9, 0xffff); /* no further than video memory goes */
    assert_int_equal(dispi_in(9), VGA_MEMORY / 4096 - 480);
    dispi(8, 0xffff);
    assert_int_equal(dispi_in(8), 1024 - 640);
    update();
}

static void linear_limits(void **state)
{
    dispi(4, 2);
    assert_int_equal(dispi_in(1), DISPLAY_MAX_WIDTH);
    assert_int_equal(dispi_in(2), DISPLAY_MAX_HEIGHT);
    assert_int_equal(dispi_in(3), 32);
    assert_int_equal(dispi_in(10), VGA_MEMORY >> 16);
    linear(0xffff, 0xffff, 99);
    assert_int_equal(dispi_in(1), DISPLAY_MAX_WIDTH);
    assert_int_equal(dispi_in(3), 32);
    assert_int_equal(dispi_in(2), min_of(1600, VGA_MEMORY / (DISPLAY_MAX_WIDTH * 4)));
    update();
    linear(0, 0, 8);
    update();
    assert_int_equal(t.frame.width, 8);
    assert_int_equal(t.frame.height, 1);
}

static void linear_memory_is_cleared_unless_asked(void **state)
{
    linear(640, 480, 32);
    space_store(t.rig.space, LFB, 4, WHITE);
    dispi(4, 0);
    dispi(4, 0xc1);
    assert_int_equal(space_load(t.rig.space, LFB, 4), WHITE);
    dispi(4, 0);
    dispi(4, 0x41);
    assert_int_equal(space_load(t.rig.space, LFB, 4), 0);
    /* Banks of 64 KiB show the same bytes. */
    dispi(5, 3);
    put(0xa0004, 0x77);
    assert_int_equal(space_load(t.rig.space, LFB + 0x30004, 1), 0x77);
}

static void eight_bit_dac(void **state)
{
    palette16();
    dispi(1, 640);
    dispi(2, 480);
    dispi(3, 8);
    dispi(4, 0x61);
    put(LFB, 4);
    update();
    assert_int_equal(pixel(0, 0), RED); /* the colours stay */
    rig_out(&t.rig, 0x3c8, 4);
    for (unsigned i = 0; i < 3; i++)
        rig_out(&t.rig, 0x3c9, (uint8_t)(0xf1 + i));
    update();
    assert_int_equal(pixel(0, 0), 0xf1f2f3);
}

static void firmware_sets_a_linear_mode(void **state)
{
    struct vga_linear got;

    vga_set_linear(t.vga, 1024, 768, &got);
    assert_int_equal(got.address, LFB);
    assert_int_equal(got.width, 1024);
    assert_int_equal(got.line_bytes, 4096);
    config_out(4, 0);
    vga_set_linear(t.vga, 1024, 768, &got);
    assert_int_equal(got.address, 0);
}

static void firmware_sets_the_text_mode(void **state)
{
    struct display_text *text = malloc(sizeof(*text));
    uint8_t *font = t.rom + 512;

    assert_non_null(text);
    memset(font, 0, 256 * 16);
    memcpy(font + 16, "\0\0\x7e\x81\xa5\x81\x81\xbd\x99\x81\x81\x7e\0\0\0\0", 16);
    memset(font + 16 * 'A', 0x18, 16);
    vga_set_text(t.vga);
    assert_int_equal(t.display->ops->text(t.display, text), 0);
    assert_int_equal(text->columns, 80);
    assert_int_equal(text->rows, 25);
    assert_int_equal(text->cursor_x, 0);
    assert_int_equal(text->cells[0], 0x0720);
    assert_int_equal(text->cells[80 * 25 - 1], 0x0720);
    put(0xb8000 + 2 * 5, 'A');
    put(0xb8000 + 2 * 5 + 1, 0x1e); /* yellow on blue */
    update();
    assert_int_equal(t.frame.width, 720);
    assert_int_equal(t.frame.height, 400);
    assert_int_equal(pixel(5 * 9 + 3, 8), 0xffff55);
    assert_int_equal(pixel(5 * 9 + 1, 8), BLUE);
    assert_int_equal(pixel(6 * 9 + 3, 8), BLACK);
    memset(t.rom, 0, sizeof t.rom); /* a BIOS without a font: blank, and no more than that */
    vga_set_text(t.vga);
    put(0xb8000, 'A');
    update();
    assert_int_equal(pixel(3, 8), BLACK);
    assert_int_equal(t.display->ops->text(t.display, text), 0);
    assert_int_equal(text->cells[0] & 0xff, 'A');
    free(text);
}

#define UNIT(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {UNIT(is_the_adapter_that_drivers_know),
                                       UNIT(edid_and_extension_registers),
                                       UNIT(registers_keep_their_bits),
                                       UNIT(dac_counts_by_three),
                                       UNIT(beam_moves),
                                       UNIT(text_has_nine_dots_and_a_font),
                                       UNIT(text_cursor_and_blinking),
                                       UNIT(text_is_read_as_text),
                                       UNIT(firmware_sets_the_text_mode),
                                       UNIT(screen_splits_and_scrolls),
                                       UNIT(planes_write_modes),
                                       UNIT(planes_read_modes),
                                       UNIT(planes_pan),
                                       UNIT(cga_lines_alternate),
                                       UNIT(mode_13h_has_a_byte_a_pixel),
                                       UNIT(linear_depths),
                                       UNIT(linear_damage_is_what_changed),
                                       UNIT(linear_panning_and_virtual_size),
                                       UNIT(linear_limits),
                                       UNIT(linear_memory_is_cleared_unless_asked),
                                       UNIT(eight_bit_dac),
                                       UNIT(firmware_sets_a_linear_mode)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
