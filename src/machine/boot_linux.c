/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Linux/x86 boot protocol (Documentation/x86/boot.rst and zero-page.rst of Linux 6.1).
 *
 * A bzImage is real-mode setup code with a header, then the protected-mode part: a decompressor
 * with the packed kernel inside it. Interpreting the decompressor costs more than the rest of the
 * boot, so a caller may unpack the payload on the host and hand it in as well: the payload is the
 * kernel as an ELF file followed by its relocations, and this loader then does what the
 * decompressor would have done (place segments, choose a random virtual address, relocate) and
 * enters startup_64 with the same state.
 */
#include <errno.h>

#include "base/mem.h"
#include "machine/boot.h"

/* Offsets in the setup header and the zero page. */
enum {
    HDR_SETUP_SECTS = 0x1f1,
    HDR_SYSSIZE = 0x1f4, /* of the protected-mode part, in 16 bytes */
    HDR_BOOT_FLAG = 0x1fe,
    HDR_JUMP = 0x200,
    HDR_MAGIC = 0x202,
    HDR_VERSION = 0x206,
    HDR_TYPE_OF_LOADER = 0x210,
    HDR_LOADFLAGS = 0x211,
    HDR_CODE32_START = 0x214,
    HDR_RAMDISK_IMAGE = 0x218,
    HDR_RAMDISK_SIZE = 0x21c,
    HDR_HEAP_END = 0x224,
    HDR_CMD_LINE_PTR = 0x228,
    HDR_INITRD_ADDR_MAX = 0x22c,
    HDR_ALIGNMENT = 0x230,
    HDR_RELOCATABLE = 0x234,
    HDR_XLOADFLAGS = 0x236,
    HDR_CMDLINE_SIZE = 0x238,
    HDR_PREF_ADDRESS = 0x258,
    HDR_INIT_SIZE = 0x260,
    ZP_SCREEN_MODE = 0x006, /* struct screen_info (include/uapi/linux/screen_info.h) */
    ZP_SCREEN_COLUMNS = 0x007,
    ZP_SCREEN_ROWS = 0x00e,
    ZP_SCREEN_VIDEO = 0x00f,
    ZP_SCREEN_POINTS = 0x010, /* of a character's height */
    ZP_LFB_WIDTH = 0x012,
    ZP_LFB_HEIGHT = 0x014,
    ZP_LFB_DEPTH = 0x016,
    ZP_LFB_BASE = 0x018,
    ZP_LFB_SIZE = 0x01c, /* in 64 KiB */
    ZP_LFB_LINE = 0x024,
    ZP_LFB_COLORS = 0x026, /* size and position of red, green, blue and the rest */
    ZP_ACPI_RSDP = 0x070,
    ZP_E820_ENTRIES = 0x1e8,
    ZP_E820_TABLE = 0x2d0,
    ZERO_PAGE_SIZE = 0x1000,
};
enum { VIDEO_TYPE_VGAC = 0x01, VIDEO_TYPE_VLFB = 0x23 };
enum { LOADED_HIGH = 1, KASLR_FLAG = 2, CAN_USE_HEAP = 0x80, XLF_KERNEL_64 = 1 };

/* The kernel's own limits on its virtual address: __START_KERNEL_map and KERNEL_IMAGE_SIZE. */
#define KERNEL_MAP_BASE   0xffffffff80000000ull
#define KERNEL_IMAGE_SIZE (1024ull << 20)

struct linux_image {
    size_t setup_size; /* bytes before the protected-mode part */
    unsigned version;
    uint64_t load_addr; /* of the protected-mode part, or of the unpacked kernel */
    uint64_t end;       /* first byte the kernel does not need while it starts */
    bool long_entry;
    size_t cmdline_max;
    uint64_t initrd_max;
};

bool boot_is_linux(const uint8_t *kernel, size_t len)
{
    return len >= 0x270 && memcmp(kernel + HDR_MAGIC, "HdrS", 4) == 0 &&
           load_le16(kernel + HDR_BOOT_FLAG) == 0xaa55;
}

static int read_header(const struct boot_params *p, struct linux_image *img, struct error *err)
{
    const uint8_t *k = p->kernel;
    unsigned sects = k[HDR_SETUP_SECTS] ? k[HDR_SETUP_SECTS] : 4;
    uint64_t init_size, whole;

    *img = (struct linux_image){.setup_size = (sects + 1) * 512u,
                                .version = load_le16(k + HDR_VERSION)};
    if (img->version < 0x20a)
        return error_set(err, -ENOTSUP, "boot protocol %u.%02u is too old, 2.10 is the least",
                         img->version >> 8, img->version & 0xff);
    if (!(k[HDR_LOADFLAGS] & LOADED_HIGH))
        return error_set(err, -ENOTSUP, "a zImage that loads below 1 MiB is not supported");
    if (img->setup_size >= p->kernel_len)
        return error_set(err, -ENOEXEC, "the bzImage is cut off after its setup code (%zu bytes)",
                         p->kernel_len);
    whole = img->setup_size + (uint64_t)load_le32(k + HDR_SYSSIZE) * 16;
    if (whole > p->kernel_len + 15)
        return error_set(err, -ENOEXEC, "the bzImage is cut off: %zu of its %llu bytes are there",
                         p->kernel_len, (unsigned long long)whole);
    img->load_addr = load_le64(k + HDR_PREF_ADDRESS);
    init_size = load_le32(k + HDR_INIT_SIZE);
    if (img->load_addr < 0x100000 || img->load_addr > 0xf0000000u || init_size > 0xf0000000u)
        return error_set(err, -ENOEXEC, "the bzImage wants to be loaded at 0x%llx with %llu bytes",
                         (unsigned long long)img->load_addr, (unsigned long long)init_size);
    img->end = img->load_addr + max_of(init_size, (uint64_t)(p->kernel_len - img->setup_size));
    img->long_entry = img->version >= 0x20c && (load_le16(k + HDR_XLOADFLAGS) & XLF_KERNEL_64);
    img->cmdline_max = load_le32(k + HDR_CMDLINE_SIZE);
    img->initrd_max = (uint64_t)load_le32(k + HDR_INITRD_ADDR_MAX) + 1;
    if (img->end > p->low_memory)
        return boot_too_small(p, "the kernel", img->end, err);
    return 0;
}

/* ---- the unpacked payload ---- */

/* The place in guest memory that a relocation entry (a sign-extended virtual address) means. */
static int reloc_place(const struct linux_image *img, uint32_t entry, unsigned size,
                       uint64_t link_phys, uint64_t end, uint64_t *ret, struct error *err)
{
    uint64_t vaddr = (uint64_t)(int64_t)(int32_t)entry;
    uint64_t at = vaddr - KERNEL_MAP_BASE - link_phys + img->load_addr;

    if (vaddr < KERNEL_MAP_BASE || at < img->load_addr || at > end - size)
        return error_set(err, -ENOEXEC, "a relocation of the kernel points outside it (0x%llx)",
                         (unsigned long long)vaddr);
    *ret = at;
    return 0;
}

/*
 * Applies the relocation tables that follow the ELF file, read backwards from the end: 32-bit ones,
 * 0, inverse 32-bit ones, 0, 64-bit ones, 0 (arch/x86/boot/compressed/misc.c: handle_relocations).
 */
static int relocate(const struct boot_params *p, const struct linux_image *img, uint64_t link_phys,
                    uint64_t end, uint64_t slide, struct error *err)
{
    size_t at = p->vmlinux_len & ~(size_t)3;

    for (unsigned table = 0; table < 3; table++) {
        for (;;) {
            uint64_t gpa = 0, value = 0;
            unsigned size = table == 2 ? 8 : 4;
            uint32_t entry;
            int r;
            if (at < 8)
                return error_set(err, -ENOEXEC, "the relocation tables of the kernel have no end");
            at -= 4;
            entry = load_le32(p->vmlinux + at);
            if (!entry)
                break;
            r = reloc_place(img, entry, size, link_phys, end, &gpa, err);
            if (r < 0)
                return r;
            space_read(p->space, gpa, &value, size);
            value = table == 1 ? value - slide : value + slide;
            space_write(p->space, gpa, &value, size);
        }
    }
    return 0;
}

/* Chooses a virtual slide: a multiple of the alignment that keeps the kernel inside its window. */
static uint64_t choose_slide(const struct boot_params *p, uint64_t align, uint64_t link_phys,
                             uint64_t size)
{
    uint64_t room, slots;

    if (!p->random || !align || link_phys + size > KERNEL_IMAGE_SIZE)
        return 0;
    room = KERNEL_IMAGE_SIZE - link_phys - size;
    slots = room / align + 1;
    return p->random % slots * align;
}

static bool wants_kaslr(const struct boot_params *p)
{
    const char *at = p->append ? strstr(p->append, "nokaslr") : NULL;
    return p->random && !at;
}

static int load_unpacked(const struct boot_params *p, struct linux_image *img, uint64_t *ret_entry,
                         bool *ret_kaslr, struct error *err)
{
    struct boot_elf elf;
    uint64_t link_phys = UINT64_MAX, end = 0, slide = 0;
    int r = boot_elf_open(&elf, p->vmlinux, p->vmlinux_len, err);

    if (r < 0)
        return r;
    if (!elf.is64)
        return error_set(err, -ENOTSUP, "the unpacked kernel is not a 64-bit one");
    for (unsigned n = 0; n < elf.count; n++) {
        struct boot_segment s;
        r = boot_elf_segment(&elf, n, &s, err);
        if (r < 0)
            return r;
        if (r > 0)
            link_phys = min_of(link_phys, s.paddr);
    }
    if (link_phys == UINT64_MAX || link_phys > img->load_addr)
        return error_set(err, -ENOEXEC, "the unpacked kernel has no usable load address");
    r = boot_elf_load(&elf, p, img->load_addr - link_phys, &end, err);
    if (r < 0)
        return r;
    if (wants_kaslr(p))
        slide = choose_slide(p, load_le32(p->kernel + HDR_ALIGNMENT), link_phys,
                             img->end - img->load_addr);
    if (slide) {
        r = relocate(p, img, link_phys, end, slide, err);
        if (r < 0)
            return r;
    }
    *ret_kaslr = slide != 0;
    /* The entry is linked as a physical address (phys_startup_64). */
    *ret_entry = elf.entry - link_phys + img->load_addr;
    if (elf.entry < link_phys || *ret_entry >= end)
        return error_set(err, -ENOEXEC, "the unpacked kernel starts outside its segments");
    return 0;
}

/* ---- the zero page ---- */

static void write_screen(const struct boot_screen *screen, uint8_t *zp)
{
    static const uint8_t colors[] = {8, 16, 8, 8, 8, 0, 8, 24};

    if (screen->text) {
        zp[ZP_SCREEN_MODE] = 3;
        zp[ZP_SCREEN_COLUMNS] = 80;
        zp[ZP_SCREEN_ROWS] = 25;
        zp[ZP_SCREEN_VIDEO] = VIDEO_TYPE_VGAC;
        zp[ZP_SCREEN_POINTS] = 16;
        return;
    }
    if (!screen->width || screen->address > UINT32_MAX)
        return;
    zp[ZP_SCREEN_VIDEO] = VIDEO_TYPE_VLFB;
    store_le16(zp + ZP_LFB_WIDTH, (uint16_t)screen->width);
    store_le16(zp + ZP_LFB_HEIGHT, (uint16_t)screen->height);
    store_le16(zp + ZP_LFB_DEPTH, 32);
    store_le32(zp + ZP_LFB_BASE, (uint32_t)screen->address);
    store_le32(zp + ZP_LFB_SIZE, (screen->height * screen->line_bytes + 0xffff) >> 16);
    store_le16(zp + ZP_LFB_LINE, (uint16_t)screen->line_bytes);
    memcpy(zp + ZP_LFB_COLORS, colors, sizeof(colors));
}

static int write_zero_page(const struct boot_params *p, const struct linux_image *img,
                           uint64_t initrd, bool kaslr, struct error *err)
{
    uint8_t zp[ZERO_PAGE_SIZE] = {0};
    size_t hdr_end = 0x202u + p->kernel[0x201];

    hdr_end = min_of(hdr_end, (size_t)0x290);
    memcpy(zp + HDR_SETUP_SECTS, p->kernel + HDR_SETUP_SECTS, hdr_end - HDR_SETUP_SECTS);
    zp[HDR_TYPE_OF_LOADER] = 0xff;
    zp[HDR_LOADFLAGS] =
        (uint8_t)((zp[HDR_LOADFLAGS] & ~KASLR_FLAG) | CAN_USE_HEAP | (kaslr ? KASLR_FLAG : 0));
    store_le16(zp + HDR_HEAP_END, 0xfe00);
    store_le32(zp + HDR_CODE32_START, (uint32_t)img->load_addr);
    store_le32(zp + HDR_CMD_LINE_PTR, BOOT_CMDLINE);
    store_le32(zp + HDR_RAMDISK_IMAGE, (uint32_t)initrd);
    store_le32(zp + HDR_RAMDISK_SIZE, (uint32_t)p->initrd_len);
    write_screen(&p->screen, zp);
    store_le64(zp + ZP_ACPI_RSDP, p->rsdp);
    zp[ZP_E820_ENTRIES] = (uint8_t)p->range_count;
    for (unsigned i = 0; i < p->range_count; i++) {
        uint8_t *e = zp + ZP_E820_TABLE + i * 20;
        store_le64(e, p->ranges[i].start);
        store_le64(e + 8, p->ranges[i].len);
        store_le32(e + 16, p->ranges[i].type);
    }
    return boot_copy(p, BOOT_ZERO_PAGE, zp, sizeof(zp), "the zero page", err);
}

int boot_load_linux(const struct boot_params *p, struct boot_entry *ret, struct error *err)
{
    struct linux_image img;
    uint64_t initrd, entry = 0;
    bool kaslr = false;
    int r = read_header(p, &img, err);

    if (r < 0)
        return r;
    if (p->vmlinux && img.long_entry) {
        r = load_unpacked(p, &img, &entry, &kaslr, err);
    } else {
        r = boot_copy(p, img.load_addr, p->kernel + img.setup_size, p->kernel_len - img.setup_size,
                      "the kernel", err);
        entry = img.load_addr + (img.long_entry ? 0x200 : 0);
    }
    if (r == 0)
        r = boot_place_initrd(p, img.end, img.initrd_max, &initrd, err);
    if (r == 0)
        r = boot_write_cmdline(p, img.cmdline_max, err);
    if (r == 0)
        r = write_zero_page(p, &img, initrd, kaslr, err);
    if (r == 0)
        r = boot_write_gdt(p, img.long_entry, ret, err);
    if (r == 0 && img.long_entry)
        r = boot_write_page_tables(p, ret, err);
    if (r < 0)
        return r;
    ret->protocol = img.long_entry ? "linux64" : "linux32";
    ret->mode = img.long_entry ? BOOT_LONG64 : BOOT_PROT32;
    ret->rip = entry;
    ret->rsi = BOOT_ZERO_PAGE;
    return 0;
}
