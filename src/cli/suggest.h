/* SPDX-License-Identifier: Apache-2.0 */
/* Finds what a user probably meant. */
#ifndef CLI_SUGGEST_H
#define CLI_SUGGEST_H

#include <stddef.h>

/*
 * Edits (insert, delete, replace, swap neighbours) between two words, case aside; 99 when one has
 * more than 30 letters.
 */
unsigned suggest_distance(const char *a, const char *b);

/* Collects the nearest of several candidates. Zero-initialise with the word set. */
struct suggest {
    const char *word;
    const char *best; /* NULL: nothing is near enough to be worth saying */
    unsigned best_distance;
};
void suggest_offer(struct suggest *s, const char *candidate);

#endif
