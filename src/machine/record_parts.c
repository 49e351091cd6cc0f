/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/mem.h"
#include "machine/machine_internal.h"
#include "machine/record_internal.h"

/* ---- parts ---- */

static void put_text(struct str *out, const char *text)
{
    record_put_blob(out, text ? text : "", text ? strlen(text) : 0);
}

static void put_drive(struct str *out, const struct block *b)
{
    str_add_char(out, b != NULL);
    if (!b)
        return;
    record_put_var(out, b->size);
    record_put_var(out, b->physical_block);
    str_add_char(out, b->readonly);
    str_add_char(out, b->can_discard);
    put_text(out, b->serial);
}

static void put_nic(struct str *out, const struct machine_nic *n)
{
    str_add_char(out, (char)n->model);
    str_add_n(out, n->mac, sizeof n->mac);
    record_put_var(out, n->netdev->mtu);
    str_add_char(out, n->netdev->tx_super);
    str_add_char(out, n->netdev->rx_verified);
    record_put_blob(out, n->rom, n->rom ? n->rom_len : 0);
}

static unsigned port_mask(const struct machine_config *c)
{
    unsigned mask = 0;

    for (unsigned i = 0; i < MACHINE_SERIALS; i++)
        mask |= (c->serials[i] ? 1u : 0u) << (REPLAY_SERIAL + i);
    mask |= (c->console ? 1u : 0u) << REPLAY_CONSOLE;
    mask |= (c->agent ? 1u : 0u) << REPLAY_AGENT;
    return mask | (c->debug_console ? 1u : 0u) << REPLAY_DEBUG;
}

void record_put_parts(struct str *out, const struct machine_config *c)
{
    put_text(out, c->board);
    put_text(out, c->accel);
    put_text(out, c->cpu);
    record_put_var(out, c->cpus);
    record_put_var(out, c->memory);
    record_put_var(out, c->drive_count);
    for (unsigned i = 0; i < c->drive_count; i++) {
        str_add_char(out, (char)c->drive_bus[i]);
        put_drive(out, c->drives[i]);
    }
    str_add_char(out, c->cdrom);
    str_add_char(out, (char)c->cdrom_bus);
    put_drive(out, c->disc);
    str_add_char(out, c->floppy);
    put_drive(out, c->diskette);
    record_put_var(out, c->nic_count);
    for (unsigned i = 0; i < c->nic_count; i++)
        put_nic(out, &c->nics[i]);
    record_put_var(out, port_mask(c));
    str_add_char(out, c->vga);
    record_put_blob(out, c->vga_rom, c->vga_rom ? c->vga_rom_len : 0);
    str_add_char(out, c->debug_exit);
    str_add_char(out, c->no_reboot);
    str_add_char(out, c->boot_menu);
    str_add_n(out, c->uuid, sizeof c->uuid);
    record_put_blob(out, c->firmware, c->firmware ? c->firmware_len : 0);
    record_put_var(out, c->flash ? c->flash_len : 0);
}

static void get_text(struct record_reader *r, char *to, size_t size)
{
    size_t len;
    const uint8_t *text = record_get_blob(r, &len);

    if (!text || len >= size)
        r->bad = true;
    else
        memcpy(to, text, len);
}

static bool get_bool(struct record_reader *r)
{
    uint64_t n = record_get_u8(r);

    r->bad |= n > 1;
    return n == 1;
}

/* A number from 0 to @most. */
static unsigned get_number(struct record_reader *r, uint64_t most)
{
    uint64_t n = record_get_var(r);

    r->bad |= n > most;
    return n > most ? 0 : (unsigned)n;
}

static struct block *get_drive(struct record_reader *r, struct block *b)
{
    if (!get_bool(r))
        return NULL;
    b->size = record_get_var(r);
    b->physical_block = get_number(r, 1 << 20);
    b->readonly = get_bool(r);
    b->can_discard = get_bool(r);
    get_text(r, b->serial, sizeof b->serial);
    r->bad |= b->size % 512 != 0 || b->size > INT64_MAX;
    return b;
}

/* A ROM of a power of two, from 4 KiB to 16 MiB, or none (NULL). */
static const uint8_t *get_rom(struct record_reader *r, size_t *ret_len)
{
    enum { ROM_MIN = 4 << 10, ROM_MAX = 16 << 20 };
    const uint8_t *rom = record_get_blob(r, ret_len);

    if (!*ret_len)
        return NULL;
    r->bad |= *ret_len < ROM_MIN || *ret_len > ROM_MAX || (*ret_len & (*ret_len - 1));
    return rom;
}

static void get_nic(struct record_reader *r, struct machine_nic *n, struct netdev *netdev)
{
    const uint8_t *mac;

    n->model = (enum machine_nic_model)get_number(r, MACHINE_NIC_RTL8139);
    mac = record_get_bytes(r, sizeof n->mac);
    if (mac)
        memcpy(n->mac, mac, sizeof n->mac);
    netdev->mtu = (uint16_t)get_number(r, UINT16_MAX);
    netdev->tx_super = get_bool(r);
    netdev->rx_verified = get_bool(r);
    n->rom = get_rom(r, &n->rom_len);
    n->netdev = netdev;
}

static void get_drives(struct record_reader *r, struct record_parts *p)
{
    struct machine_config *c = &p->config;

    c->drive_count = get_number(r, MACHINE_DRIVES);
    for (unsigned i = 0; i < c->drive_count; i++) {
        c->drive_bus[i] = (enum machine_bus)get_number(r, MACHINE_BUS_SCSI);
        c->drives[i] = get_drive(r, &p->drives[i]);
        r->bad |= !c->drives[i];
    }
    c->cdrom = get_bool(r);
    c->cdrom_bus = (enum machine_bus)get_number(r, MACHINE_BUS_SCSI);
    c->disc = get_drive(r, &p->drives[TIMELINE_DISC]);
    c->floppy = get_bool(r);
    c->diskette = get_drive(r, &p->drives[TIMELINE_DISKETTE]);
}

static void get_ports(struct record_reader *r, struct record_parts *p)
{
    struct machine_config *c = &p->config;
    unsigned mask = get_number(r, (1u << REPLAY_PORTS) - 1);

    for (unsigned i = 0; i < MACHINE_SERIALS; i++)
        c->serials[i] = mask >> (REPLAY_SERIAL + i) & 1 ? &p->port : NULL;
    c->console = mask >> REPLAY_CONSOLE & 1 ? &p->port : NULL;
    c->agent = mask >> REPLAY_AGENT & 1 ? &p->port : NULL;
    c->debug_console = mask >> REPLAY_DEBUG & 1 ? &p->port : NULL;
}

int record_get_parts(const struct record_chunk *chunk, struct record_parts *p, struct error *err)
{
    enum { FLASH_MAX = 16 << 20 };
    struct record_reader r = {.at = chunk->bytes, .end = chunk->bytes + chunk->len};
    struct machine_config *c = &p->config;
    const uint8_t *uuid;

    *p = (struct record_parts){0};
    get_text(&r, p->board, sizeof p->board);
    get_text(&r, p->accel, sizeof p->accel);
    get_text(&r, p->cpu, sizeof p->cpu);
    c->board = p->board[0] ? p->board : NULL;
    c->accel = p->accel[0] ? p->accel : NULL;
    c->cpu = p->cpu[0] ? p->cpu : NULL;
    c->cpus = get_number(&r, MACHINE_CPUS);
    c->memory = record_get_var(&r);
    get_drives(&r, p);
    c->nic_count = get_number(&r, MACHINE_NICS);
    for (unsigned i = 0; i < c->nic_count; i++)
        get_nic(&r, &c->nics[i], &p->nics[i]);
    get_ports(&r, p);
    c->vga = get_bool(&r);
    c->vga_rom = get_rom(&r, &c->vga_rom_len);
    c->debug_exit = get_bool(&r);
    c->no_reboot = get_bool(&r);
    c->boot_menu = get_bool(&r);
    uuid = record_get_bytes(&r, sizeof c->uuid);
    if (uuid)
        memcpy(c->uuid, uuid, sizeof c->uuid);
    c->firmware = record_get_blob(&r, &c->firmware_len);
    c->firmware = c->firmware_len ? c->firmware : NULL;
    c->flash_len = get_number(&r, FLASH_MAX);
    if (r.bad || r.at != r.end)
        return error_set(err, -EINVAL, "the recording's list of parts is damaged");
    if (c->flash_len && !(c->flash = p->flash = mem_alloc(1, c->flash_len)))
        return error_set(err, -ENOMEM, "out of memory");
    return 0;
}

/* ---- checkpoints ---- */

int record_get_state(const struct record_chunk *chunk, struct record_state *ret,
                     struct record_pages *ret_pages, struct error *err)
{
    struct record_reader r = {.at = chunk->bytes, .end = chunk->bytes + chunk->len};
    struct record_state s = {0};
    struct record_pages p;
    uint64_t full = 0;

    s.whole = get_bool(&r);
    s.next = record_get_u8(&r);
    s.hash = record_get_u64(&r);
    s.state = record_get_blob(&r, &s.state_len);
    p.count = record_get_u64(&r);
    p.numbers = p.count <= (uint64_t)(r.end - r.at) / 8 ? record_get_bytes(&r, p.count * 8) : NULL;
    if (!p.numbers)
        return error_set(err, -EINVAL, "a checkpoint of the recording is damaged");
    for (uint64_t i = 0; i < p.count; i++)
        full += !(load_le64(p.numbers + i * 8) & 1);
    if ((uint64_t)(r.end - r.at) / GMEM_PAGE_SIZE != full ||
        (uint64_t)(r.end - r.at) % GMEM_PAGE_SIZE)
        return error_set(err, -EINVAL, "a checkpoint of the recording is damaged");
    p.contents = r.at;
    *ret = s;
    *ret_pages = p;
    return 0;
}

uint64_t record_page(const struct record_pages *p, uint64_t i, uint64_t *at,
                     const uint8_t **ret_content)
{
    uint64_t number = load_le64(p->numbers + i * 8);

    *ret_content = number & 1 ? NULL : p->contents + *at;
    *at += number & 1 ? 0 : GMEM_PAGE_SIZE;
    return number >> 1;
}

/* ---- the end ---- */

static void put_u64(struct str *out, uint64_t n)
{
    uint8_t bytes[8];

    store_le64(bytes, n);
    str_add_n(out, bytes, sizeof bytes);
}

void record_put_last(struct str *out, const struct record_last *last)
{
    str_add_char(out, (char)last->end);
    record_put_signed(out, last->value);
    put_u64(out, last->hash);
    put_u64(out, last->memory);
    record_put_blob(out, last->text, last->text_len);
}

int record_get_last(const struct record_chunk *chunk, struct record_last *ret, struct error *err)
{
    struct record_reader r = {.at = chunk->bytes, .end = chunk->bytes + chunk->len};
    struct record_last last = {.end = (enum machine_end)get_number(&r, MACHINE_END_ERROR)};

    last.value = (int)record_get_signed(&r);
    last.hash = record_get_u64(&r);
    last.memory = record_get_u64(&r);
    last.text = record_get_blob(&r, &last.text_len);
    if (r.bad || r.at != r.end || last.end == MACHINE_RUNNING)
        return error_set(err, -EINVAL, "the end of the recording is damaged");
    *ret = last;
    return 0;
}
