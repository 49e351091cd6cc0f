/* SPDX-License-Identifier: Apache-2.0 */
/* One process of host_diff: the two processors, the matrix and what was counted. */
#ifndef TESTS_ORACLE_HOST_DIFF_H
#define TESTS_ORACLE_HOST_DIFF_H

#include "orc_cells.h"
#include "orc_compare.h"
#include "orc_guest.h"
#include "orc_tally.h"

struct options {
    uint64_t cases, seed, first, only, seconds, need;
    bool single, self_test, jit;
    const char *row, *coverage, *checkpoint, *sum;
    unsigned bits, max_reports;
};

struct session {
    struct options opt;
    struct orc_guest *guest;
    struct orc_cells cells;
    struct orc_tally tally;
    _Alignas(64) uint8_t pristine[ORC_DATA_BYTES];
    uint64_t row_differs[X86_ROWS];
    unsigned reports;
    uint32_t dirty_offset; /* code written by the previous case */
    unsigned dirty_len;
    struct orc_case c;
    struct orc_run r;
    bool ran; /* the last case was not left out */
    bool quiet;
    /* For the self-test: spoil the guest's code before it runs, and its outcome after. */
    void (*plant_code)(struct session *s);
    void (*plant)(struct session *s);
    bool planted; /* in the last case */
};

/* Runs one case on both sides, counts and reports it. */
void session_case(struct session *s, uint64_t seed, uint64_t number, struct orc_diff *ret);

/* Whether planted bugs are found and cases do not depend on those before. 0, or 1 with a report. */
int session_self_test(struct session *s);

#endif
