/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle held to account: bugs planted on the interpreter's side, one field or one instruction
 * at a time, must be reported where they were planted and nowhere else; and a case must come out
 * the same whatever ran before it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host_diff.h"
#include "orc_host.h"

enum { CASES = 1500, EVERY = 3, ORDER_CASES = 4000, FX = offsetof(struct orc_state, fx) };

/* A bit of struct orc_state (or of memory) to turn over after the guest ran. */
struct field {
    const char *name;
    unsigned offset, bit;
    unsigned bits;    /* only in this mode; 0: any */
    int vector;       /* only when so it ended; ANY, FAULT (with an exception), or ORC_RAN */
    unsigned percent; /* of the planted that must be found: the rest may be excused or masked */
};
enum { ANY = -100, FAULT = -101 };
#define STATE(member) (unsigned)offsetof(struct orc_state, member)

static const struct field fields[] = {
    {"rax", STATE(gpr[0]), 0, 0, ANY, 90},
    {"rsp", STATE(gpr[4]), 31, 0, ANY, 90},
    {"r15", STATE(gpr[15]), 63, 64, ANY, 90},
    {"rip", STATE(rip), 1, 0, ANY, 90},
    {"CF", STATE(rflags), 0, 0, ANY, 80},
    {"PF", STATE(rflags), 2, 0, ANY, 80},
    {"AF", STATE(rflags), 4, 0, ANY, 60},
    {"ZF", STATE(rflags), 6, 0, ANY, 80},
    {"SF", STATE(rflags), 7, 0, ANY, 80},
    {"DF", STATE(rflags), 10, 0, ANY, 90},
    {"OF", STATE(rflags), 11, 0, ANY, 80},
    {"RF", STATE(rflags), 16, 0, FAULT, 90},
    {"AC", STATE(rflags), 18, 0, ANY, 90},
    {"ID", STATE(rflags), 21, 0, ANY, 90},
    {"FS base", STATE(fs_base), 12, 0, ANY, 90},
    {"GS base", STATE(gs_base), 45, 0, ANY, 90},
    {"DS", STATE(sel[ORC_DS_]), 3, 0, ANY, 80},
    {"SS", STATE(sel[ORC_SS]), 3, 0, ANY, 90},
    {"vector", STATE(vector), 1, 0, FAULT, 85},
    {"error code", STATE(err), 2, 0, FAULT, 85},
    {"CR2", STATE(cr2), 0, 0, 14, 85},
    {"control word", FX, 9, 0, ANY, 90},
    {"status word", FX + 3, 0, 0, ANY, 90},
    {"tag word", FX + 4, 7, 0, ANY, 90},
    {"MXCSR", FX + 24, 5, 0, ANY, 90},
    {"st0", FX + 32, 0, 0, ANY, 85},
    {"st7", FX + 32 + 7 * 16 + 9, 7, 0, ANY, 90},
    {"xmm0", FX + 160, 0, 0, ANY, 85},
    {"xmm15", FX + 160 + 255, 7, 64, ANY, 90},
};

/* Bytes of memory to turn over: the edges of pages and something inside. */
static const uint32_t places[] = {
    0, 1, 63, 0x7e1, ORC_PAGE - 1, ORC_PAGE, ORC_PAGE + 1, 0x1888, ORC_RW_BYTES - 1};

/* Instructions that the guest runs instead of others: opcode byte of map 0 or 1, turned over. */
static const struct {
    const char *row;
    uint8_t flip; /* in the opcode byte */
    unsigned percent;
} swaps[] = {
    {"01 /r", 0x28, 50},       /* ADD, SUB */
    {"21 /r", 0x28, 50},       /* AND, OR */
    {"a4", 0x0e, 40},          /* MOVS, STOS */
    {"0f af /r", 0x10, 50},    /* IMUL, MOVSX */
    {"np 0f 58 /r", 0x04, 50}, /* ADDPS, SUBPS */
};

static const struct field *field;
static uint32_t place;
static uint8_t flip;

static void plant_field(struct session *s)
{
    int v = s->r.guest.vector;
    if (s->c.number % EVERY || (field->bits && s->c.bits != field->bits) ||
        !(field->vector == ANY || field->vector == v || (field->vector == FAULT && v >= 0)))
        return;
    ((uint8_t *)&s->r.guest)[field->offset + field->bit / 8] ^= (uint8_t)(1u << field->bit % 8);
    s->planted = true;
}

static void plant_memory(struct session *s)
{
    if (s->c.number % EVERY)
        return;
    s->r.guest_data[place] ^= 0x10;
    s->planted = true;
}

/* The opcode is the byte before ModRM or, without one, before the immediates. */
static void plant_opcode(struct session *s)
{
    const struct orc_code *k = &s->c.code;
    unsigned at = (k->has_modrm ? k->modrm_at : k->imm_at) - 1u;
    uint8_t byte = k->bytes[at] ^ flip;
    if (s->c.number % EVERY || s->c.code_offset + at >= ORC_CODE_BYTES)
        return;
    orc_guest_code(s->guest, s->c.code_offset + at, &byte, 1);
    s->planted = true;
}

/* Runs cases over the matrix and says whether reports are where bugs are. */
static int hunt(struct session *s, const char *name, const char *row, unsigned percent)
{
    unsigned planted = 0, found = 0, wrong = 0, ran = 0;
    uint64_t step = row ? 1 : s->cells.slots / CASES | 1;
    for (uint64_t number = 0; number < s->cells.slots && ran < CASES; number += step) {
        const struct orc_cell *cell = &s->cells.cell[s->cells.slot[number]];
        struct orc_diff d;
        if (row && (strcmp(x86_optable[cell->row].encoding, row) != 0 ||
                    cell->kind != ORC_CELL_ROW || cell->prefix == ORC_PFX_LOCK))
            continue;
        s->planted = false;
        session_case(s, 1, number, &d);
        ran += s->ran;
        planted += s->planted;
        found += s->planted && d.fields;
        wrong += !s->planted && d.fields;
    }
    bool good = planted >= 20 && found * 100 >= planted * percent && !wrong;
    printf("%-4s %-16s %u cases, %u planted, %u found, %u found elsewhere\n", good ? "ok" : "FAIL",
           name, ran, planted, found, wrong);
    return !good;
}

/* What must not depend on the cases before. AMD does not restore FIP, FDP and FOP. */
static uint64_t outcome(const struct session *s)
{
    uint64_t h = 0xcbf29ce484222325u;
    const struct orc_state *both[2] = {&s->r.host, &s->r.guest};
    for (unsigned side = 0; side < 2; side++) {
        const uint8_t *p = (const uint8_t *)both[side];
        for (unsigned i = 0; i < FX + 416; i++)
            if (i < FX + 6 || (i >= FX + 24 && i < FX + 28) || i >= FX + 32)
                h = (h ^ p[i]) * 0x100000001b3u;
    }
    return h;
}

static int check_order(struct session *s)
{
    uint64_t *first = calloc(ORDER_CASES, sizeof(*first)), step = s->cells.slots / ORDER_CASES | 1;
    unsigned changed = 0, differ = 0;
    struct orc_diff d;
    for (unsigned i = 0; first && i < ORDER_CASES; i++) {
        session_case(s, 2, i * step, &d);
        first[i] = s->ran ? outcome(s) : 0;
        differ += d.fields != 0;
    }
    for (unsigned i = ORDER_CASES; first && i-- > 0;) {
        session_case(s, 2, i * step, &d);
        changed += first[i] != (s->ran ? outcome(s) : 0);
        differ += d.fields != 0;
    }
    free(first);
    printf("%-4s %u cases forwards and backwards: %u came out otherwise, %u differ\n",
           changed || differ ? "FAIL" : "ok", (unsigned)ORDER_CASES, changed, differ);
    return changed || differ || !first;
}

int session_self_test(struct session *s)
{
    int failed = 0;
    char name[64];
    s->quiet = true;
    s->plant = plant_field;
    for (unsigned i = 0; i < array_size(fields); i++) {
        field = &fields[i];
        failed += hunt(s, field->name, NULL, field->percent);
    }
    s->plant = plant_memory;
    for (unsigned i = 0; i < array_size(places); i++) {
        place = places[i];
        snprintf(name, sizeof(name), "memory %x", place);
        failed += hunt(s, name, NULL, 85);
    }
    s->plant = NULL;
    s->plant_code = plant_opcode;
    for (unsigned i = 0; i < array_size(swaps); i++) {
        flip = swaps[i].flip;
        failed += hunt(s, swaps[i].row, swaps[i].row, swaps[i].percent);
    }
    s->plant_code = NULL;
    failed += check_order(s);
    printf("self-test: %d failed\n", failed);
    return failed != 0;
}
