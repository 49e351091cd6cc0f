/* SPDX-License-Identifier: Apache-2.0 */
#include "orc_cells.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/x86/decode.h"
#include "orc_gen.h"

const char *const orc_prefix_names[ORC_PFXS] = {"none", "66",   "67",  "es",    "cs",
                                                "ss",   "ds",   "fs",  "gs",    "f2",
                                                "f3",   "lock", "rex", "rex.w", "many"};
const char *const orc_form_names[ORC_FORMS] = {"-", "register", "memory"};

enum { SAMPLES = 24 };

/* Whether the prefix can be told from what the row has anyway. */
static bool applies(const struct x86_row *row, unsigned bits, enum orc_prefix prefix)
{
    if (prefix == ORC_PFX_REX || prefix == ORC_PFX_REXW)
        return bits == 64;
    if (x86_row_is_vex(row))
        return true;
    return !(prefix == ORC_PFX_66 && row->prefix == X86_PREFIX_66) &&
           !(prefix == ORC_PFX_F2 && row->prefix == X86_PREFIX_F2) &&
           !(prefix == ORC_PFX_F3 && row->prefix == X86_PREFIX_F3);
}

/* Sets cell->kind; false when all samples are other rows'. */
static bool classify(struct orc_cell *cell, const struct x86_model *model)
{
    const struct x86_row *row = &x86_optable[cell->row];
    struct x86_decode_env env = {.model = model,
                                 .mode = cell->bits == 64 ? X86_MODE_64 : X86_MODE_COMPAT,
                                 .big = cell->bits != 16};
    struct orc_rng r = {cell->row * 64u + cell->prefix};
    bool ud = false;
    for (unsigned n = 0; n < SAMPLES; n++) {
        struct orc_code code;
        struct x86_insn insn;
        uint8_t bytes[64];
        orc_encode(&r, row, cell->bits, cell, &code);
        memset(bytes, 0xcc, sizeof(bytes));
        memcpy(bytes, code.bytes, code.len);
        if (x86_decode(&env, bytes, sizeof(bytes), &insn) != X86_DECODE_OK) {
            ud = true;
        } else if (x86_insn_row(&insn) == row) {
            cell->kind = ORC_CELL_ROW;
            return true;
        }
    }
    cell->kind = ORC_CELL_UD;
    return ud;
}

/* The cells of one row, mode and form, to @cell; returns how many, and how many are the row's. */
static unsigned add_form(struct orc_cell *cell, const struct orc_cell *what,
                         const struct x86_model *model, unsigned *ret_real)
{
    const struct x86_row *row = &x86_optable[what->row];
    unsigned n = 0, real = 0;
    for (unsigned prefix = 0; prefix < ORC_PFX_MANY; prefix++) {
        struct orc_cell *c = &cell[n];
        *c = *what;
        c->prefix = (uint8_t)prefix;
        if (!applies(row, what->bits, prefix) || !classify(c, model))
            continue;
        real += c->kind == ORC_CELL_ROW;
        c->weight = c->kind == ORC_CELL_UD || row->attr & X86_ATTR_PRIV ? 1 : 4;
        n++;
    }
    cell[n] = *what;
    cell[n].prefix = ORC_PFX_MANY;
    cell[n].kind = ORC_CELL_MANY;
    cell[n].weight = real && !(row->attr & X86_ATTR_PRIV) ? 12 : 1;
    *ret_real = real;
    return n + 1;
}

static unsigned add_row(struct orc_cell *cell, unsigned row, unsigned bits,
                        const struct x86_model *model)
{
    unsigned n = 0, real = 0, kept = 0, found;
    bool modrm = x86_optable[row].has_modrm;
    for (unsigned form = modrm ? ORC_FORM_REG : ORC_FORM_NONE;
         form <= (modrm ? ORC_FORM_MEM : ORC_FORM_NONE); form++) {
        struct orc_cell what = {.row = (uint16_t)row, .bits = (uint8_t)bits, .form = (uint8_t)form};
        n += add_form(cell + n, &what, model, &found);
        real += found;
    }
    if (real)
        return n;
    /* Nothing of the row exists in this mode: the plain forms say so. */
    for (unsigned i = 0; i < n; i++)
        if (cell[i].prefix == ORC_PFX_NONE)
            cell[kept++] = cell[i];
    return kept;
}

int orc_cells_make(struct orc_cells *ret, const struct x86_model *model, struct error *err)
{
    static const unsigned modes[] = {64, 32, 16};
    struct orc_cells m = {0};
    unsigned at = 0;
    m.cell = calloc((size_t)X86_ROWS * array_size(modes) * 2 * ORC_PFXS, sizeof(*m.cell));
    if (!m.cell)
        return error_set(err, -ENOMEM, "make the coverage matrix: no memory");
    for (unsigned row = 0; row < X86_ROWS; row++)
        for (unsigned i = 0; i < array_size(modes); i++)
            m.count += add_row(m.cell + m.count, row, modes[i], model);
    for (unsigned i = 0; i < m.count; i++)
        m.slots += m.cell[i].weight;
    m.slot = calloc(m.slots, sizeof(*m.slot));
    if (!m.slot) {
        orc_cells_free(&m);
        return error_set(err, -ENOMEM, "make the coverage matrix: no memory");
    }
    for (unsigned i = 0; i < m.count; i++)
        for (unsigned n = 0; n < m.cell[i].weight; n++)
            m.slot[at++] = i;
    *ret = m;
    return 0;
}

void orc_cells_free(struct orc_cells *m)
{
    free(m->cell);
    free(m->slot);
    *m = (struct orc_cells){0};
}
