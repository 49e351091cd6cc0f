/* SPDX-License-Identifier: Apache-2.0 */
/* Board pc with firmware: where ROM and shadow RAM are seen, A20, processors, what fw_cfg tells. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "device/lapic.h"
#include "machine/acpi.h"
#include "machine/machine_internal.h"
#include "machine/pc.h"
#include "machine/snapshot.h"
#include "tests/test.h"

enum { ROM_SIZE = 0x40000, MEMORY = 16 << 20, FLASH = 0x4000 };
#define FOUR_GIB (1ull << 32)

static uint8_t rom[ROM_SIZE], flash[FLASH];

/* @code at F000:0000, which the reset vector jumps to. Each page names itself at its end. */
static struct machine *make(const uint8_t *code, size_t len, unsigned cpus)
{
    static const uint8_t jump[] = {0xea, 0, 0, 0, 0xf0};
    struct machine_config c = {.cpus = cpus,
                               .memory = MEMORY,
                               .debug_exit = true,
                               .firmware = rom,
                               .firmware_len = ROM_SIZE,
                               .flash = flash,
                               .flash_len = FLASH};
    struct error err = {0};
    struct machine *m;

    memset(rom, 0x90, sizeof(rom));
    for (unsigned page = 0; page < ROM_SIZE >> 12; page++)
        rom[(page << 12) + 0xff0] = (uint8_t)(0x80 + page);
    memcpy(rom + ROM_SIZE - 0x10000, code, len);
    memcpy(rom + ROM_SIZE - 16, jump, sizeof(jump));
    m = machine_new(&c, &err);
    if (!m)
        fail_msg("%s", error_text(&err));
    return m;
}

static const uint8_t spin[] = {0xeb, 0xfe};

static void set_pam(struct machine *m, unsigned reg, uint8_t value)
{
    ports_write(m->ports, 0xcf8, 4, 0x80000000u | (reg & ~3u));
    ports_write(m->ports, (uint16_t)(0xcfc + (reg & 3)), 1, value);
}

static uint8_t peek(struct machine *m, uint64_t at)
{
    return (uint8_t)space_load(m->space, at, 1);
}

static void poke(struct machine *m, uint64_t at, uint8_t value)
{
    space_store(m->space, at, 1, value);
}

static void rom_and_shadow(void **state)
{
    struct machine *m = make(spin, sizeof(spin), 1);

    (void)state;
    assert_int_equal(peek(m, FOUR_GIB - ROM_SIZE + 0xff0), 0x80);
    assert_int_equal(peek(m, FOUR_GIB - 0x1000 + 0xff0), 0xea); /* the reset vector */
    assert_int_equal(peek(m, 0xe0ff0), 0x80 + 32);
    assert_int_equal(peek(m, 0xcfff0), 0xff); /* an empty bus */
    poke(m, 0xe0ff0, 1);
    poke(m, 0xc0000, 1);
    assert_int_equal(peek(m, 0xe0ff0), 0x80 + 32);
    assert_int_equal(peek(m, 0xc0000), 0xff);
    /* Written under the ROM, then shown. */
    set_pam(m, 0x5e, 0x02); /* E0000-E3FFF */
    set_pam(m, 0x5a, 0x20); /* C4000-C7FFF */
    poke(m, 0xe0ff0, 0x42);
    poke(m, 0xc4000, 0x43);
    assert_int_equal(peek(m, 0xe0ff0), 0x80 + 32);
    assert_int_equal(peek(m, 0xc4000), 0xff);
    set_pam(m, 0x5e, 0x01);
    set_pam(m, 0x5a, 0x10);
    assert_int_equal(peek(m, 0xe0ff0), 0x42);
    assert_int_equal(peek(m, 0xc4000), 0x43);
    poke(m, 0xe0ff0, 0x44); /* protected */
    assert_int_equal(peek(m, 0xe0ff0), 0x42);
    set_pam(m, 0x5e, 0x03);
    poke(m, 0xe0ff0, 0x45);
    assert_int_equal(peek(m, 0xe0ff0), 0x45);
    assert_int_equal(peek(m, 0xe4ff0), 0x80 + 36); /* its neighbour is ruled by other bits */
    set_pam(m, 0x59, 0x30);                        /* F0000-FFFFF in one */
    poke(m, 0xfffff, 0x46);
    poke(m, 0xf0000, 0x47);
    assert_int_equal(peek(m, 0xfffff), 0x46);
    assert_int_equal(gmem_read_page(m->ram, 0xf0)[0], 0x47);
    /* A reset shows the ROM again, and it is whole. */
    assert_int_equal(machine_reset(m, NULL), 0);
    assert_int_equal(peek(m, 0xe0ff0), 0x80 + 32);
    assert_int_equal(peek(m, FOUR_GIB - ROM_SIZE + 0xff0), 0x80);
    machine_free(m);
}

static enum machine_end run(struct machine *m)
{
    enum machine_end end = MACHINE_RUNNING;
    uint64_t idle;

    for (unsigned i = 0; i < 1000 && end == MACHINE_RUNNING; i++)
        end = machine_step(m, 1000, &idle);
    return end;
}

/*
 *  xor ax,ax; mov ds,ax; dec ax; mov es,ax
 *  in al,92h; and al,0fdh; out 92h,al              A20 off
 *  mov byte [500h],11h; mov al,[es:510h]; cmp al,11h; mov bl,1; jne bad
 *  mov al,2; out 92h,al; mov byte [es:510h],22h    on
 *  mov bl,2; cmp byte [500h],11h; jne bad
 *  mov al,0d1h; out 64h,al; mov al,0ddh; out 60h,al off, by the keyboard controller
 *  mov bl,3; cmp byte [es:510h],11h; jne bad
 *  mov bl,20h
 *  bad: mov al,bl; out 0f4h,al; hlt
 */
static void a20_gate(void **state)
{
    static const uint8_t code[] = {
        0x31, 0xc0, 0x8e, 0xd8, 0x48, 0x8e, 0xc0, 0xe4, 0x92, 0x24, 0xfd, 0xe6, 0x92, 0xc6, 0x06,
        0x00, 0x05, 0x11, 0x26, 0xa0, 0x10, 0x05, 0x3c, 0x11, 0xb3, 0x01, 0x75, 0x27, 0xb0, 0x02,
        0xe6, 0x92, 0x26, 0xc6, 0x06, 0x10, 0x05, 0x22, 0xb3, 0x02, 0x80, 0x3e, 0x00, 0x05, 0x11,
        0x75, 0x14, 0xb0, 0xd1, 0xe6, 0x64, 0xb0, 0xdd, 0xe6, 0x60, 0xb3, 0x03, 0x26, 0x80, 0x3e,
        0x10, 0x05, 0x11, 0x75, 0x02, 0xb3, 0x20, 0x88, 0xd8, 0xe6, 0xf4, 0xf4};
    struct machine *m = make(code, sizeof(code), 1);

    (void)state;
    assert_int_equal(run(m), MACHINE_END_DEBUG_EXIT);
    assert_int_equal(machine_end_value(m), 0x20 << 1 | 1);
    machine_free(m);
}

/* SeaBIOS sends both at once, before the other processor can have seen the first. */
static void init_and_sipi_in_one_breath(void **state)
{
    struct machine *m = make(spin, sizeof(spin), 2);
    const uint64_t icr = (uint32_t)PC_LAPIC_BASE + 0x300;

    (void)state;
    space_write(m->space, 0x10000, spin, sizeof(spin));
    lapics_select(m->pc->lapics, 0);
    space_store(m->space, icr, 4, 0x000c4500);
    space_store(m->space, icr, 4, 0x000c4610);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t idle;
        machine_step(m, 100, &idle);
    }
    assert_int_equal(m->vm->cpus[1]->activity, X86_ACTIVE);
    assert_int_equal(m->vm->cpus[1]->seg[X86_CS].base, 0x10000);
    machine_free(m);
}

static void variables_are_flash_below_the_rom(void **state)
{
    uint64_t at = FOUR_GIB - ROM_SIZE - FLASH;
    struct machine *m;

    (void)state;
    memset(flash, 0xff, sizeof(flash));
    flash[5] = 0x55;
    m = make(spin, sizeof(spin), 1);
    assert_int_equal(peek(m, at + 5), 0x55);
    poke(m, at + 6, 0x40);
    poke(m, at + 6, 0x66);
    assert_int_equal(machine_reset(m, NULL), 0);
    assert_int_equal(peek(m, at + 6), 0x66);
    assert_int_equal(flash[6], 0x66);
    machine_free(m);
}

/* A machine made from a snapshot sees the shadow RAM and the variables of that instant. */
static void snapshot_keeps_shadow_and_variables(void **state)
{
    uint64_t at = FOUR_GIB - ROM_SIZE - FLASH;
    struct machine *m = make(spin, sizeof(spin), 1), *other;
    struct machine_config c = m->config;
    struct str saved = {0};
    struct gmem_layer *memory;
    struct error err = {0};

    (void)state;
    poke(m, at + 7, 0x40);
    poke(m, at + 7, 0x77);
    set_pam(m, 0x5e, 0x03);
    poke(m, 0xe0ff0, 0x42);
    assert_int_equal(machine_save_state(m, &saved, &err), 0);
    memory = gmem_freeze(machine_memory(m), &err);
    assert_non_null(memory);
    machine_free(m);
    memset(flash, 0xff, sizeof(flash)); /* another instance, with fresh variables */
    c.append = NULL;
    c.saved = (const uint8_t *)saved.data;
    c.saved_len = saved.len;
    c.saved_memory = memory;
    other = machine_new(&c, &err);
    if (!other)
        fail_msg("%s", error_text(&err));
    assert_int_equal(peek(other, 0xe0ff0), 0x42);
    assert_int_equal(flash[7], 0x77);
    poke(other, at, 0xff);
    assert_int_equal(peek(other, at + 7), 0x77);
    gmem_layer_unref(memory);
    machine_free(other);
    str_done(&saved);
}

/* ---- what fw_cfg tells ---- */

static uint8_t next_byte(struct machine *m)
{
    return (uint8_t)ports_read(m->ports, 0x511, 1);
}

/* Reads file @name through the ports; returns its length. */
static size_t read_file(struct machine *m, const char *name, uint8_t *to, size_t max)
{
    unsigned count = 0;

    ports_write(m->ports, 0x510, 2, 0x19);
    for (unsigned i = 0; i < 4; i++)
        count = count << 8 | next_byte(m);
    while (count--) {
        uint8_t entry[64];
        size_t len;
        for (unsigned i = 0; i < sizeof(entry); i++)
            entry[i] = next_byte(m);
        if (strcmp((char *)entry + 8, name) != 0)
            continue;
        len = (size_t)entry[0] << 24 | entry[1] << 16 | entry[2] << 8 | entry[3];
        assert_true(len <= max);
        ports_write(m->ports, 0x510, 2, (uint32_t)entry[4] << 8 | entry[5]);
        for (size_t i = 0; i < len; i++)
            to[i] = next_byte(m);
        return len;
    }
    fail_msg("no file %s", name);
    return 0;
}

struct loaded {
    uint8_t tables[0x10000], rsdp[64];
    uint32_t tables_at, rsdp_at;
};

static uint8_t *file_of(struct loaded *l, const uint8_t *name, uint32_t *ret_at)
{
    bool tables = strcmp((const char *)name, "etc/acpi/tables") == 0;

    if (!tables)
        assert_string_equal((const char *)name, "etc/acpi/rsdp");
    *ret_at = tables ? l->tables_at : l->rsdp_at;
    return tables ? l->tables : l->rsdp;
}

/* Carries out one command of the script, as SeaBIOS and OVMF do. */
static void do_command(struct loaded *l, const uint8_t *c)
{
    uint32_t at, to;
    uint8_t *bytes = file_of(l, c + 4, &at), sum = 0;
    uint64_t value = 0;

    switch (load_le32(c)) {
    case 1: /* allocate: the places are known */
        break;
    case 2: /* add pointer */
        bytes += load_le32(c + 116);
        file_of(l, c + 60, &to);
        memcpy(&value, bytes, c[120]);
        value += to;
        memcpy(bytes, &value, c[120]);
        break;
    case 3: /* add checksum */
        for (uint32_t i = 0; i < load_le32(c + 68); i++)
            sum = (uint8_t)(sum + bytes[load_le32(c + 64) + i]);
        bytes += load_le32(c + 60);
        assert_int_equal(*bytes, 0); /* SeaBIOS adds to it, OVMF replaces it */
        *bytes = (uint8_t)-sum;
        break;
    default:
        fail_msg("command %u", load_le32(c));
    }
}

static void check_table(const struct loaded *l, uint64_t at, const char *signature)
{
    const uint8_t *t = l->tables + (at - l->tables_at);
    uint8_t sum = 0;

    assert_memory_equal(t, signature, 4);
    for (uint32_t i = 0; i < load_le32(t + 4); i++)
        sum = (uint8_t)(sum + t[i]);
    assert_int_equal(sum, 0);
}

static void loader_script_links_the_tables(void **state)
{
    static struct loaded l = {.tables_at = 0x7ff00000, .rsdp_at = 0xf5000};
    static uint8_t script[0x4000];
    struct machine *m = make(spin, sizeof(spin), 2);
    uint32_t xsdt, fadt;
    size_t len;

    (void)state;
    /* Firmware has put power management elsewhere: the tables follow. */
    ports_write(m->ports, 0xcf8, 4, 0x80000b40u);
    ports_write(m->ports, 0xcfc, 4, 0xb001);
    ports_write(m->ports, 0xcf8, 4, 0x80000b80u);
    ports_write(m->ports, 0xcfc, 1, 1);
    len = read_file(m, "etc/table-loader", script, sizeof(script));
    assert_true(len && len % 128 == 0);
    read_file(m, "etc/acpi/tables", l.tables, sizeof(l.tables));
    assert_int_equal(read_file(m, "etc/acpi/rsdp", l.rsdp, sizeof(l.rsdp)), 36);
    for (size_t at = 0; at < len; at += 128)
        do_command(&l, script + at);
    assert_memory_equal(l.rsdp, "RSD PTR ", 8);
    xsdt = (uint32_t)load_le64(l.rsdp + 24);
    check_table(&l, xsdt, "XSDT");
    check_table(&l, load_le32(l.rsdp + 16), "RSDT");
    fadt = (uint32_t)load_le64(l.tables + (xsdt - l.tables_at) + 36);
    check_table(&l, fadt, "FACP");
    check_table(&l, load_le32(l.tables + (fadt - l.tables_at) + 40), "DSDT");
    assert_int_equal(load_le32(l.tables + (fadt - l.tables_at) + 56), 0xb000);
    machine_free(m);
}

static void tells_memory_and_smbios(void **state)
{
    struct machine *m = make(spin, sizeof(spin), 1);
    uint8_t bytes[0x1000];

    (void)state;
    assert_int_equal(read_file(m, "etc/e820", bytes, sizeof(bytes)), 20);
    assert_int_equal(load_le64(bytes + 8), MEMORY);
    assert_int_equal(bytes[16], 1);
    assert_int_equal(read_file(m, "etc/smbios/smbios-anchor", bytes, sizeof(bytes)), 31);
    assert_memory_equal(bytes, "_SM_", 4);
    assert_true(read_file(m, "etc/smbios/smbios-tables", bytes, sizeof(bytes)) > 100);
    assert_int_equal(read_file(m, "etc/system-states", bytes, sizeof(bytes)), 6);
    assert_int_equal(bytes[3] & 0x80, 0);
    machine_free(m);
}

static void refuses_what_is_no_rom(void **state)
{
    struct machine_config c = {.cpus = 1, .memory = MEMORY, .firmware = rom, .firmware_len = 1000};
    struct error err = {0};

    (void)state;
    assert_null(machine_new(&c, &err));
    c.firmware_len = ROM_SIZE;
    c.flash = flash;
    c.flash_len = 100;
    assert_null(machine_new(&c, &err));
    c.flash_len = 16 << 20;
    assert_null(machine_new(&c, &err));
    c.firmware_len = 0;
    c.firmware = NULL;
    assert_null(machine_new(&c, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rom_and_shadow),
        cmocka_unit_test(a20_gate),
        cmocka_unit_test(init_and_sipi_in_one_breath),
        cmocka_unit_test(variables_are_flash_below_the_rom),
        cmocka_unit_test(snapshot_keeps_shadow_and_variables),
        cmocka_unit_test(loader_script_links_the_tables),
        cmocka_unit_test(tells_memory_and_smbios),
        cmocka_unit_test(refuses_what_is_no_rom),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
