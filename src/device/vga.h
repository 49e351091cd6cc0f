/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The standard VGA adapter of QEMU ("stdvga"), PCI 1234:1111: an IBM VGA with its text, planar and
 * 256-colour modes at ports 0x3B0-0x3DF and memory 0xA0000-0xBFFFF; linear modes by the Bochs DISPI
 * interface at ports 0x1CE-0x1CF; the same registers and an EDID block in BAR 2; video memory in
 * BAR 0. The ROM BAR holds the VGA BIOS that the caller gives.
 *
 * Video memory is guest RAM (pages of gmem): BAR 0 maps it directly, so that drawing in a linear
 * mode costs no exits, and the dirty log tells what changed.
 */
#ifndef DEVICE_VGA_H
#define DEVICE_VGA_H

#include "bus/clock.h"
#include "device/pci.h"
#include "io/display.h"

struct vga;

enum { VGA_MEMORY = 16 << 20 }; /* bytes of video memory, all of BAR 0 */

struct vga_config {
    uint64_t first_gfn; /* VGA_MEMORY bytes of gmem from here are the adapter's */
    const uint8_t *rom; /* VGA BIOS, borrowed until vga_free; NULL: no ROM BAR */
    size_t rom_len;     /* as many bytes as the ROM BAR shows: a power of two from 4 KiB on */
};

/* An adapter at PCI slot @slot. NULL with @err set. */
struct vga *vga_new(struct pci_bus *bus, unsigned slot, struct space *space, struct ports *ports,
                    struct gclock *clock, const struct vga_config *config, struct error *err);
struct device *vga_device(struct vga *vga);
struct display *vga_display(struct vga *vga);

/* A linear mode as firmware sets it up for a kernel that knows only a frame buffer. */
struct vga_linear {
    uint64_t address; /* of BAR 0; 0: it is not decoded */
    unsigned width, height, bits, line_bytes;
};
/* Sets the linear mode @width x @height with 32 bits a pixel. */
void vga_set_linear(struct vga *vga, unsigned width, unsigned height, struct vga_linear *ret);
/*
 * Sets the VGA BIOS's mode 3: 80 x 25 characters, 720 x 400 dots, an empty screen. The font is that
 * of the VGA BIOS; without one (or when it has none that is found) characters are blank in
 * pictures, while their text is there.
 */
void vga_set_text(struct vga *vga);

#endif
