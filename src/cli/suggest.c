/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/suggest.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

enum { WORD_MAX = 30, FAR = 99 };

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

unsigned suggest_distance(const char *a, const char *b)
{
    unsigned char d[WORD_MAX + 1][WORD_MAX + 1];
    size_t na = strlen(a), nb = strlen(b);

    if (na > WORD_MAX || nb > WORD_MAX)
        return FAR;
    for (size_t i = 0; i <= na; i++)
        d[i][0] = (unsigned char)i;
    for (size_t j = 0; j <= nb; j++)
        d[0][j] = (unsigned char)j;
    for (size_t i = 1; i <= na; i++) {
        for (size_t j = 1; j <= nb; j++) {
            unsigned best = d[i - 1][j - 1] + !same(a[i - 1], b[j - 1]);
            best = min_of(best, d[i - 1][j] + 1u);
            best = min_of(best, d[i][j - 1] + 1u);
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                best = min_of(best, d[i - 2][j - 2] + 1u);
            d[i][j] = (unsigned char)best;
        }
    }
    return d[na][nb];
}

void suggest_offer(struct suggest *s, const char *candidate)
{
    size_t n = strlen(s->word);
    unsigned distance = suggest_distance(s->word, candidate);
    /* One slip in a short word, two in a longer one; a word cut short counts as one slip. */
    unsigned limit = n <= 2 ? 0 : n <= 4 ? 1 : 2;

    if (n >= 3 && strncasecmp(candidate, s->word, n) == 0)
        distance = min_of(distance, 1u);
    if (distance <= limit && (!s->best || distance < s->best_distance)) {
        s->best = candidate;
        s->best_distance = distance;
    }
}
