/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands. Each table is in a file of its own (verbs_*.c); docs/commands.md is generated from
 * them.
 */
#include "cli/verbs.h"

#include <string.h>

#include "base/mem.h"

extern const struct verb start_verbs[], look_verbs[], debug_verbs[], act_verbs[], image_verbs[],
    registry_verbs[], volume_verbs[], snapshot_verbs[], record_verbs[], disk_verbs[], host_verbs[],
    hidden_verbs[];

/* In the order of documentation. */
static const struct verb *const tables[] = {
    start_verbs,  look_verbs,     debug_verbs,  act_verbs,  image_verbs, registry_verbs,
    volume_verbs, snapshot_verbs, record_verbs, disk_verbs, host_verbs,  hidden_verbs};

const struct verb_group verb_groups[] = {
    {"Start", true},     {"Look", true},  {"Act", true}, {"Images", false},
    {"Machines", false}, {"Host", false}, {0},
};

const struct verb *verb_next(const struct verb *v)
{
    size_t t = 0;

    if (!v)
        return tables[0];
    if (v[1].name)
        return v + 1;
    /* The end of a table: which one was it? */
    for (; t < array_size(tables); t++) {
        const struct verb *last = tables[t];
        while (last[1].name)
            last++;
        if (last == v)
            break;
    }
    return t + 1 < array_size(tables) ? tables[t + 1] : NULL;
}

/* Whether @name is @word (@n bytes), in which "_" stands for a blank. */
static bool same_name(const char *word, size_t n, const char *name)
{
    if (strlen(name) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (word[i] != name[i] && !(word[i] == '_' && name[i] == ' '))
            return false;
    return true;
}

const struct verb *verb_find(const char *name)
{
    for (const struct verb *v = NULL; (v = verb_next(v));) {
        if (strcmp(v->name, name) == 0)
            return v;
        for (const char *a = v->aliases; a && *a; a += strcspn(a, " "), a += *a == ' ') {
            if (same_name(a, strcspn(a, " "), name))
                return v;
        }
    }
    return NULL;
}

bool verb_noun(const char *word, struct str *ret_list)
{
    size_t n = strlen(word);
    bool found = false;

    for (const struct verb *v = NULL; (v = verb_next(v));) {
        if (!v->group || strncmp(v->name, word, n) != 0 || v->name[n] != ' ')
            continue;
        if (ret_list)
            str_addf(ret_list, "%s%s", found ? " " : "", v->name + n + 1);
        found = true;
    }
    return found;
}
