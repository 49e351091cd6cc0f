/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coverage matrix: a cell for every opcode row, mode, operand form and prefix that means
 * something. Runs walk it, so that each cell gets its share whatever the run's length.
 *
 * The prefix of a cell is the only one beside the row's mandatory prefix, but in 64-bit mode half
 * the cases of cells other than NONE have a REX prefix without W as well; MANY is any mixture.
 */
#ifndef TESTS_ORACLE_CELLS_H
#define TESTS_ORACLE_CELLS_H

#include "base/error.h"
#include "cpu/x86/optable.h"

enum orc_prefix {
    ORC_PFX_NONE,
    ORC_PFX_66,
    ORC_PFX_67,
    ORC_PFX_ES,
    ORC_PFX_CS,
    ORC_PFX_SS,
    ORC_PFX_DS,
    ORC_PFX_FS,
    ORC_PFX_GS,
    ORC_PFX_F2,
    ORC_PFX_F3,
    ORC_PFX_LOCK,
    ORC_PFX_REX,
    ORC_PFX_REXW,
    ORC_PFX_MANY,
    ORC_PFXS
};
extern const char *const orc_prefix_names[ORC_PFXS];

enum orc_form { ORC_FORM_NONE, ORC_FORM_REG, ORC_FORM_MEM, ORC_FORMS };
extern const char *const orc_form_names[ORC_FORMS];

enum orc_cell_kind {
    ORC_CELL_ROW,  /* decodes as its row */
    ORC_CELL_UD,   /* no instruction of the tested model: #UD */
    ORC_CELL_MANY, /* anything */
};

struct orc_cell {
    uint16_t row;
    uint8_t bits;   /* 16, 32, 64 */
    uint8_t form;   /* enum orc_form */
    uint8_t prefix; /* enum orc_prefix */
    uint8_t kind;   /* enum orc_cell_kind */
    uint8_t weight; /* cases in one round */
};

struct orc_cells {
    struct orc_cell *cell;
    unsigned count;
    uint32_t *slot; /* a round: indexes of cells, each as often as its weight */
    unsigned slots;
};

/*
 * Makes the matrix for processor model @model: encodes and decodes samples of each combination. A
 * combination that is another row's is no cell. After orc_traits_init and orc_values_init. Zero, or
 * -ENOMEM with @err set.
 */
int orc_cells_make(struct orc_cells *ret, const struct x86_model *model, struct error *err);
void orc_cells_free(struct orc_cells *m);

#endif
