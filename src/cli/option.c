/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/option.h"

#include <string.h>

#include "base/mem.h"

const struct option common_options[] = {
    {.name = "help", .kind = OPTION_BOOL, .help = "Show how the command is used"},
    {0},
};

static bool name_is(const char *full, const char *name, size_t n)
{
    return full && strlen(full) == n && strncmp(full, name, n) == 0;
}

const struct option *option_find(const struct verb *verb, const char *name, size_t n)
{
    const struct option *tables[] = {verb->options, common_options};

    for (size_t t = 0; t < array_size(tables); t++) {
        for (const struct option *o = tables[t]; o && o->name; o++) {
            if (name_is(o->name, name, n) || name_is(o->alias, name, n))
                return o;
        }
    }
    return NULL;
}

const struct option *option_find_letter(const struct verb *verb, char letter)
{
    for (const struct option *o = verb->options; o && o->name; o++) {
        if (o->letter == letter)
            return o;
    }
    /* -h is help except where it is kept for Docker's --hostname. */
    return letter == 'h' && !verb->stop_at_positional ? &common_options[0] : NULL;
}
