/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/pc_rom.h"

#include <errno.h>

#include "base/mem.h"
#include "device/pflash.h"
#include "device/vga.h"

enum { ISA_ROM = 0xe0000, ISA_ROM_SIZE = 0x20000, SHADOW = 0xc0000, SHADOW_END = 0x100000 };
enum { ROM_MIN = 0x10000, ROM_ALL_MAX = 0x1000000 }; /* the APICs are below 0xFF000000 */
enum { PAM_READ = 1, PAM_WRITE = 2 };
#define FOUR_GIB (1ull << 32)

uint64_t pc_rom_memory(const struct machine_config *config)
{
    return config->firmware_len + config->flash_len;
}

static bool is_whole(size_t len)
{
    return len % GMEM_PAGE_SIZE == 0;
}

static int create_flash(struct pc *pc, struct error *err)
{
    struct machine *m = pc->machine;
    size_t rom = m->config.firmware_len, len = m->config.flash_len;
    struct pflash *flash;

    if (!is_whole(len) || len > ROM_ALL_MAX - rom)
        return error_set(err, -EINVAL,
                         "firmware's variables have whole pages of 4 KiB, 16 MiB at most with the "
                         "firmware, not %zu bytes",
                         len);
    /* A machine that goes on from a snapshot has its variables in its memory. */
    if (m->config.saved)
        gmem_read(m->ram, (pc->rom_gfn << GMEM_PAGE_BITS) + rom, m->config.flash, len);
    flash = pflash_new(m->space, FOUR_GIB - rom - len, pc->rom_gfn + (rom >> GMEM_PAGE_BITS),
                       m->config.flash, len, err);
    if (!flash)
        return -ENOMEM;
    machine_add_device(m, pflash_device(flash));
    return 0;
}

int pc_rom_create(struct pc *pc, struct error *err)
{
    struct machine *m = pc->machine;
    size_t len = m->config.firmware_len;

    if (!len)
        return 0;
    if (len < ROM_MIN || !is_whole(len) || len > ROM_ALL_MAX)
        return error_set(err, -EINVAL,
                         "firmware has 64 KiB to 16 MiB in whole pages of 4 KiB, not %zu bytes",
                         len);
    pc->rom_gfn = (m->config.memory + (m->config.vga ? VGA_MEMORY : 0)) >> GMEM_PAGE_BITS;
    pc->rom_range = space_map_rom_pages(m->space, "firmware", FOUR_GIB - len, len, pc->rom_gfn,
                                        NULL, NULL, 0, err);
    if (!pc->rom_range)
        return -ENOMEM;
    return m->config.flash ? create_flash(pc, err) : 0;
}

void pc_rom_destroy(struct pc *pc)
{
    for (unsigned i = 0; i < PC_SHADOWS; i++)
        space_unmap(pc->machine->space, pc->shadows[i].range);
    space_unmap(pc->machine->space, pc->rom_range);
}

int pc_rom_load(struct pc *pc, struct error *err)
{
    const struct machine_config *c = &pc->machine->config;

    if (gmem_write(pc->machine->ram, pc->rom_gfn << GMEM_PAGE_BITS, c->firmware, c->firmware_len) <
        0)
        return error_set(err, -EFAULT, "load firmware: there is no memory for it");
    return 0;
}

/* ---- shadow RAM ---- */

/* Writes that go to RAM while reads show what is behind it. */
static void under_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    const struct pc_shadow *s = dev;
    uint8_t bytes[8];

    store_le64(bytes, value);
    gmem_write(s->pc->machine->ram, s->at + offset, bytes, size);
}

static uint64_t empty_read(void *dev, uint64_t offset, unsigned size)
{
    return UINT64_MAX;
}

static const struct mmio_ops under_ops = {.read = empty_read, .write = under_write};

static void map_shadow(struct pc *pc, struct pc_shadow *s, uint32_t len, unsigned mode)
{
    struct space *space = pc->machine->space;
    uint64_t ram_gfn = s->at >> GMEM_PAGE_BITS, rom_gfn = 0;
    const struct mmio_ops *ops = mode & PAM_WRITE ? &under_ops : NULL;
    struct error err = {0};

    if (s->range && s->mode == mode)
        return;
    space_unmap(space, s->range);
    s->range = NULL;
    s->mode = (uint8_t)mode;
    if (s->at >= ISA_ROM && SHADOW_END - s->at <= pc->machine->config.firmware_len)
        rom_gfn = pc->rom_gfn +
                  ((pc->machine->config.firmware_len - (SHADOW_END - s->at)) >> GMEM_PAGE_BITS);
    if (mode == (PAM_READ | PAM_WRITE))
        s->range = space_map_ram(space, "shadow-ram", s->at, len, ram_gfn, 0, &err);
    else if (mode == PAM_READ)
        s->range =
            space_map_rom_pages(space, "shadow-rom", s->at, len, ram_gfn, NULL, NULL, 0, &err);
    else if (rom_gfn)
        s->range = space_map_rom_pages(space, "firmware", s->at, len, rom_gfn, ops, s, 0, &err);
    else if (ops)
        s->range = space_map_mmio(space, "shadow-under", s->at, len, ops, s, 0, &err);
    else
        return; /* an empty bus */
    if (!s->range)
        machine_end(pc->machine, MACHINE_END_ERROR, 0, error_text(&err));
}

void pc_pam_changed(void *opaque, const uint8_t pam[7], uint8_t smram)
{
    enum { PART = 0x4000, PARTS = 12, LAST = 0xf0000 };
    struct pc *pc = opaque;

    if (!pc->rom_range) /* without firmware the board shows RAM there */
        return;
    for (unsigned i = 0; i < PC_SHADOWS; i++) {
        bool last = i == PARTS;
        unsigned bits = last ? pam[0] >> 4 : pam[1 + i / 2] >> i % 2 * 4;
        struct pc_shadow *s = &pc->shadows[i];
        s->pc = pc;
        s->at = last ? LAST : SHADOW + i * PART;
        map_shadow(pc, s, last ? SHADOW_END - LAST : PART, bits & (PAM_READ | PAM_WRITE));
    }
}
