/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which differences between host and guest count. Everything architectural is compared; what is
 * not is named here, printed and counted by host_diff.
 */
#ifndef TESTS_ORACLE_COMPARE_H
#define TESTS_ORACLE_COMPARE_H

#include "cpu/x86/decode.h"
#include "orc_gen.h"

/* One run of a case on both sides. */
struct orc_run {
    const struct orc_case *c;
    const struct x86_row *row; /* as decoded, NULL when the bytes are no instruction */
    const struct x86_insn *insn;
    struct orc_state host, guest;
    const uint8_t *host_data; /* ORC_RW_BYTES */
    uint8_t *guest_data;      /* orc_compare may change it to the host's */
    bool amd;                 /* the host's vendor */
    const struct x86_model *model;
};

/* A documented reason for leaving cases out or for ignoring a difference. */
struct orc_known {
    const char *name, *why;
};
enum { ORC_KNOWN_MAX = 64 };
/* The list; ends with a NULL name. */
extern const struct orc_known orc_known[];

/* Index into orc_known of the reason not to run the instruction on the host at all, or -1. */
int orc_excluded(const struct orc_run *run);

/* What differs. */
struct orc_diff {
    char text[512];
    unsigned fields;  /* differing fields that count */
    uint64_t excused; /* bits by index into orc_known: differences that do not count */
    bool same_memory; /* the data pages are equal now */
};
void orc_compare(struct orc_run *run, struct orc_diff *ret);
/*
 * Takes a difference back when the tested instruction went to linear address @landing inside its
 * own bytes: there are other instructions, of which nothing is known.
 */
void orc_forgive(const struct orc_run *run, uint64_t landing, struct orc_diff *d);

#endif
