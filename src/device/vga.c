/* SPDX-License-Identifier: Apache-2.0 */
#include "device/vga.h"

#include <errno.h>

#include "base/mem.h"
#include "device/vga_internal.h"

/* ---- EDID 1.4 (VESA E-EDID Standard, Release A2, section 3) ---- */

static void make_edid(uint8_t e[128])
{
    static const uint8_t head[] = {
        0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, /* 3.3 */
        0x26, 0x6c, 0x01, 0x00, 0x01, 0x00, 0x00, 0x00, /* 3.4: maker "ISL", product 1, serial 1 */
        0x00, 0x24, 0x01, 0x04,                         /* made in 2026; 3.5: version 1.4 */
        0xa5, 0x1b, 0x14, 0x78, 0x06, /* 3.6: digital, 8 bits; 27 cm x 20 cm; gamma 2.2 */
        0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54, /* 3.7: sRGB */
        0x21, 0x08, 0x00, /* 3.8: 640x480, 800x600, 1024x768, each at 60 Hz */
    };
    /* 3.10.2: 1024 + 320 x 768 + 38, 65 MHz */
    static const uint8_t timing[] = {0x64, 0x19, 0x00, 0x40, 0x41, 0x00, 0x26, 0x30, 0x18,
                                     0x88, 0x36, 0x00, 0x0e, 0xc8, 0x00, 0x00, 0x00, 0x1e};
    static const uint8_t name[] = {0,   0,    0,   0xfc, 0,   'I', 's', 'o', 'l',
                                   'a', '\n', ' ', ' ',  ' ', ' ', ' ', ' ', ' '};
    uint8_t sum = 0;

    memset(e, 0, 128);
    memcpy(e, head, sizeof(head));
    memset(e + 38, 0x01, 16); /* 3.9: no standard timings */
    memcpy(e + 54, timing, sizeof(timing));
    memcpy(e + 72, name, sizeof(name));
    e[93] = e[111] = 0x10; /* dummy descriptors */
    for (unsigned i = 0; i < 127; i++)
        sum += e[i];
    e[127] = (uint8_t)-sum;
}

/* ---- state ---- */

static const struct state_field vga_fields[] = {
    STATE_FIELD(struct vga, misc, MISC_COLOR),
    STATE_FIELD(struct vga, feature, 0),
    STATE_FIELD(struct vga, seq_index, 0),
    STATE_ARRAY(struct vga, seq, 0),
    STATE_FIELD(struct vga, gc_index, 0),
    STATE_ARRAY(struct vga, gc, 0),
    STATE_FIELD(struct vga, cr_index, 0),
    STATE_ARRAY(struct vga, cr, 0),
    STATE_FIELD(struct vga, ar_index, 0),
    STATE_ARRAY(struct vga, ar, 0),
    STATE_FIELD(struct vga, ar_data_next, 0),
    STATE_FIELD(struct vga, dac_mask, 0xff),
    STATE_FIELD(struct vga, dac_read, 0),
    STATE_FIELD(struct vga, dac_write, 0),
    STATE_FIELD(struct vga, dac_sub, 0),
    STATE_FIELD(struct vga, dac_state, 0),
    STATE_BLOB(struct vga, dac),
    STATE_BLOB(struct vga, latch),
    STATE_FIELD(struct vga, dispi_index, 0),
    STATE_ARRAY(struct vga, dispi, 0),
};

/* Registers have no more bits than the guest could give them; the rest of the code relies on it. */
static void after(void *dev)
{
    struct vga *v = dev;
    uint16_t *r = v->dispi;

    v->seq_index &= 7;
    v->gc_index &= 0x0f;
    v->cr_index &= 0x1f;
    v->ar_index &= 0x3f;
    v->dac_sub %= 3;
    r[DISPI_BANK] %= VGA_MEMORY >> 16;
    if (!r[DISPI_ID])
        r[DISPI_ID] = 0xb0c5;
    if (r[DISPI_ENABLE] & DISPI_ENABLED)
        vga_dispi_write(v, DISPI_BPP, r[DISPI_BPP]); /* brings all of them into their limits */
    v->touched = true;
}

static const struct state_table vga_state = {.name = "vga",
                                             .version = 1,
                                             .fields = vga_fields,
                                             .field_count = array_size(vga_fields),
                                             .after = after};

static void vga_free(struct device *dev)
{
    struct vga *v = container_of(dev, struct vga, dev);

    space_unmap(v->space, v->window);
    ports_unmap(v->ports, v->io);
    ports_unmap(v->ports, v->dispi_io);
    free(v);
}

/* ---- making one ---- */

static int add_function(struct vga *v, struct pci_bus *bus, unsigned slot,
                        const struct vga_config *config, struct error *err)
{
    static const struct pci_ident ident = {.vendor = 0x1234,
                                           .device = 0x1111,
                                           .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100,
                                           .class_code = 0x030000,
                                           .revision = 2};
    enum { BAR0 = 0x10, PREFETCHABLE = 8, MMIO_SIZE = 4096 };

    v->pci = pci_add(bus, slot, 0, &ident, NULL, v, err);
    if (!v->pci)
        return -EEXIST;
    pci_set_bar(v->pci, 0,
                &(struct pci_bar){.kind = PCI_BAR_MEM32,
                                  .size = VGA_MEMORY,
                                  .ram = true,
                                  .first_gfn = config->first_gfn});
    pci_config(v->pci)[BAR0] |= PREFETCHABLE;
    pci_set_bar(v->pci, 2,
                &(struct pci_bar){
                    .kind = PCI_BAR_MEM32, .size = MMIO_SIZE, .mmio = &vga_mmio_ops, .dev = v});
    if (config->rom)
        pci_set_bar(v->pci, PCI_ROM,
                    &(struct pci_bar){.kind = PCI_BAR_MEM32,
                                      .size = (uint32_t)config->rom_len,
                                      .rom = config->rom});
    return 0;
}

static int map_legacy(struct vga *v, struct error *err)
{
    v->window = space_map_mmio(v->space, "vga", 0xa0000, 0x20000, &vga_window_ops, v, 1, err);
    if (v->window)
        v->io = ports_map(v->ports, "vga", 0x3b0, 0x30, &vga_port_ops, v, err);
    if (v->io)
        v->dispi_io = ports_map(v->ports, "vga-dispi", 0x1ce, 3, &vga_dispi_ops, v, err);
    return v->dispi_io ? 0 : -ENOMEM;
}

struct vga *vga_new(struct pci_bus *bus, unsigned slot, struct space *space, struct ports *ports,
                    struct gclock *clock, const struct vga_config *config, struct error *err)
{
    static const struct display_ops display_ops = {.update = vga_update, .text = vga_text};
    struct vga *v;

    if (config->first_gfn + VGA_PAGES > gmem_pages(space_ram(space))) {
        error_set(err, -EINVAL, "create VGA adapter: its memory is not in guest memory");
        return NULL;
    }
    if (config->rom && (config->rom_len < 4096 || config->rom_len > 1 << 20 ||
                        (config->rom_len & (config->rom_len - 1)))) {
        error_set(err, -EINVAL,
                  "create VGA adapter: a ROM of %zu bytes, which is no power of two from 4 KiB on",
                  config->rom_len);
        return NULL;
    }
    v = mem_new(struct vga);
    if (!v) {
        error_set(err, -ENOMEM, "create VGA adapter: out of memory");
        return NULL;
    }
    v->dev = (struct device){.state = &vga_state, .name = "vga", .free = vga_free};
    v->display.ops = &display_ops;
    v->space = space;
    v->ports = ports;
    v->ram = space_ram(space);
    v->clock = clock;
    v->first_gfn = config->first_gfn;
    v->rom = config->rom;
    v->rom_len = config->rom_len;
    make_edid(v->edid);
    if (map_legacy(v, err) < 0 || add_function(v, bus, slot, config, err) < 0) {
        vga_free(&v->dev);
        return NULL;
    }
    state_reset(&vga_state, v);
    return v;
}

struct device *vga_device(struct vga *vga)
{
    return &vga->dev;
}

struct display *vga_display(struct vga *vga)
{
    return &vga->display;
}

void vga_set_linear(struct vga *vga, unsigned width, unsigned height, struct vga_linear *ret)
{
    vga_dispi_write(vga, DISPI_ENABLE, 0);
    vga_dispi_write(vga, DISPI_XRES, (uint16_t)width);
    vga_dispi_write(vga, DISPI_YRES, (uint16_t)height);
    vga_dispi_write(vga, DISPI_BPP, 32);
    vga_dispi_write(vga, DISPI_ENABLE, DISPI_ENABLED | DISPI_LFB);
    *ret = (struct vga_linear){.address = pci_bar_address(vga->pci, 0),
                               .width = vga->dispi[DISPI_XRES],
                               .height = vga->dispi[DISPI_YRES],
                               .bits = 32,
                               .line_bytes = vga_dispi_line(vga)};
}
