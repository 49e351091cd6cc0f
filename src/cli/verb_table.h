/* SPDX-License-Identifier: Apache-2.0 */
/* What the tables of commands are written with. Included by verbs*.c alone. */
#ifndef CLI_VERB_TABLE_H
#define CLI_VERB_TABLE_H

#include "cli/option.h"
#include "cli/verbs.h"

/* A boolean, a text and so on with the least typing; further fields follow by name. */
#define FLAG(name_, letter_, help_, ...)                                                           \
    {                                                                                              \
        .name = name_, .letter = letter_, .kind = OPTION_BOOL, .help = help_, ##__VA_ARGS__        \
    }
#define VALUE(kind_, name_, letter_, value_, help_, ...)                                           \
    {                                                                                              \
        .name = name_, .letter = letter_, .kind = kind_, .value = value_, .help = help_,           \
        ##__VA_ARGS__                                                                              \
    }
#define CHOICE(name_, letter_, choices_, value_, help_, ...)                                       \
    VALUE(OPTION_CHOICE, name_, letter_, value_, help_, .choices = choices_,                       \
          .complete = COMPLETE_CHOICE, ##__VA_ARGS__)
#define END                                                                                        \
    {                                                                                              \
        0                                                                                          \
    }

#define EXAMPLES(...)                                                                              \
    (const struct example[])                                                                       \
    {                                                                                              \
        __VA_ARGS__,                                                                               \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

#define DETACH_KEYS                                                                                \
    VALUE(OPTION_TEXT, "detach-keys", 0, "KEYS", "Keys that detach, such as ctrl-a,d",             \
          .more = true, .initial = "ctrl-p,ctrl-q",                                                \
          .man = "Keys separated by commas, each a letter or ctrl- with a letter or one of "       \
                 "@[\\]^_. An empty text switches detaching off. With the default, ctrl-] "        \
                 "detaches from the console of a virtual machine too.")

#define FORMAT                                                                                     \
    VALUE(OPTION_TEXT, "format", 0, "FORMAT", "table, json, or a template: '{{.Name}}'",           \
          .complete = COMPLETE_FORMAT,                                                             \
          .man = "table prints aligned columns, json one array of objects. Everything else is a "  \
                 "template that is printed once per object: see TEMPLATES in isola(1). \"table "   \
                 "TEMPLATE\" prints the template's fields as columns with headings.")
#define JSON FLAG("json", 0, "The same as --format json")

#define LIST_OPTIONS                                                                               \
    FORMAT, JSON, FLAG("no-trunc", 0, "Full ids and texts"), FLAG("quiet", 'q', "Print only ids")

/* Of ls, inspect and rm of things with names (cli/noun.h). */
#define NAME_LIST_OPTIONS FORMAT, JSON, FLAG("quiet", 'q', "Print only names")
#define NAME_INSPECT_OPTIONS(example_)                                                             \
    VALUE(OPTION_TEXT, "format", 'f', "FORMAT", "json, or a template: '" example_ "'",             \
          .complete = COMPLETE_FORMAT),                                                            \
        JSON
#define NAME_RM_OPTIONS FLAG("force", 'f', "No error when it does not exist")

#define TIMEOUT                                                                                    \
    VALUE(OPTION_UINT, "timeout", 't', "SECONDS", "Seconds until it is killed", .alias = "time",   \
          .man = "Default: the instance's --stop-timeout. 0 kills at once.")

#endif
