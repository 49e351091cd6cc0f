/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run counted: totals, known differences, and the cases of each cell of the coverage matrix.
 * It is kept in a file while a long run goes on, and files of several runs can be added up.
 *
 * The file is text: a line "host_diff 1 PROGRAM SEED FIRST NEXT CELLS" (PROGRAM is a hash of the
 * executable: another program's cases are not these), "total" with the numbers of struct
 * orc_tally, "known NAME COUNT" lines, "cell INDEX RUN EXCLUDED REASON" lines, and "end".
 */
#ifndef TESTS_ORACLE_TALLY_H
#define TESTS_ORACLE_TALLY_H

#include "base/error.h"
#include "orc_cells.h"
#include "orc_compare.h"

struct orc_count {
    uint64_t run, excluded;
    uint8_t reason; /* of the exclusion, index into orc_known */
};

struct orc_tally {
    const struct orc_cells *cells; /* borrowed */
    uint64_t program;              /* hash of the executable */
    uint64_t seed, first, next;    /* cases [first, next) were run or left out */
    uint64_t run, invalid, faults, excluded, differ;
    double seconds;
    uint64_t known[ORC_KNOWN_MAX];
    struct orc_count *cell;
};

/* Cells of which no case could be run. */
static inline bool orc_left_out(const struct orc_count *n)
{
    return n->run == 0 && n->excluded != 0;
}

/* Zero, or -errno with @err set. */
int orc_tally_init(struct orc_tally *t, const struct orc_cells *cells, struct error *err);
void orc_tally_free(struct orc_tally *t);

/* Replaces the file. */
int orc_tally_save(const struct orc_tally *t, const char *path, struct error *err);
/* Adds the file's numbers to @t, takes its range over. -ENOENT, without @err set, when there is
 * none. */
int orc_tally_load(struct orc_tally *t, const char *path, struct error *err);

/* Prints totals, the known differences and the table of cells. */
void orc_tally_print(const struct orc_tally *t);
/* Cells that were neither left out nor run @need times; prints the first of them. */
unsigned orc_tally_below(const struct orc_tally *t, uint64_t need);
/* One line for each row, mode and form; a column for each prefix. */
int orc_tally_coverage(const struct orc_tally *t, const char *path, struct error *err);

#endif
