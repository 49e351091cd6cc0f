/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands and their options as tables. Everything that speaks about an option derives from
 * here: parsing, --help, manual pages, shell completion and docs/commands.md.
 */
#ifndef CLI_OPTION_H
#define CLI_OPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* What a value must look like. The parser checks it, so that errors name option and value. */
enum option_kind {
    OPTION_BOOL,   /* --x, --x=true, --x=false */
    OPTION_TEXT,   /* any text */
    OPTION_LIST,   /* any text, may be repeated */
    OPTION_UINT,   /* a whole number, decimal or 0x */
    OPTION_SIZE,   /* bytes with an optional binary suffix: 512m, 2g */
    OPTION_CHOICE, /* one of choices */
};

/* What the shell offers for a value or a positional argument. */
enum complete {
    COMPLETE_NONE,
    COMPLETE_FILE,
    COMPLETE_DISK, /* a file, then ,ro and so on */
    COMPLETE_CHOICE,
    COMPLETE_VERB,
    COMPLETE_INSTANCE, /* names and ids of instances, by what the command can act on */
    COMPLETE_RUNNING,
    COMPLETE_STOPPED,
    COMPLETE_PAUSED,
    COMPLETE_IMAGE, /* names of images */
    COMPLETE_SIGNAL,
    COMPLETE_FORMAT,
    COMPLETE_FILTER,
    COMPLETE_SHELL,
};

struct option {
    const char *name;  /* without dashes */
    const char *alias; /* a second long name, NULL */
    char letter;       /* 0: none */
    enum option_kind kind;
    bool more; /* left out of --help when that would not fit a screen */
    enum complete complete;
    const char *value;   /* what the value is called: FILE; NULL for booleans */
    const char *choices; /* "a|b|c" of OPTION_CHOICE; also offered for COMPLETE_CHOICE */
    const char *initial; /* the default as the parser would read it, NULL: unset */
    const char *help;    /* one line without a final period */
    const char *man;     /* more for the manual page, NULL: help says all */
};

struct example {
    const char *command, *about;
};

struct cli;
struct args;

struct verb {
    const char *name;    /* one word, or a noun and a word: "volume ls" */
    const char *aliases; /* other names, separated by blanks, "_" for a blank inside; NULL */
    const char *group;   /* heading in the list of commands; NULL: internal, never listed */
    const char *synopsis;
    const char *brief; /* for the list of commands, at most 26 characters */
    const char *help;  /* one sentence */
    const char *man;   /* description in the manual page; paragraphs are separated by "\n\n" */
    const struct option *options; /* ends with a zero name; NULL: only --help */
    const struct example *examples;
    int min, max; /* positional arguments; max -1: any number */
    enum complete positional;
    const char *positional_choices; /* for COMPLETE_CHOICE */
    bool stop_at_positional;        /* options end at the first positional argument */
    /* Exit status of the process. */
    int (*run)(struct cli *cli, struct args *args);
};

/* All commands in the order of documentation: the one after @verb, the first for NULL; or NULL. */
const struct verb *verb_next(const struct verb *verb);

/* The headings of the list of commands in their order; ends with a NULL name. */
struct verb_group {
    const char *name;
    bool brief; /* each command with its text; else only the names */
};
extern const struct verb_group verb_groups[];

/*
 * Whether there are commands of two words that begin with @word ("volume ls"); their second words,
 * separated by blanks, are added to @ret_list (may be NULL).
 */
bool verb_noun(const char *word, struct str *ret_list);

/* The command called @name, aliases included; NULL when there is none. */
const struct verb *verb_find(const char *name);

/*
 * A command or option of other tools that Isola does not have yet. Returns what to say after "not
 * supported yet: ", NULL when the name is simply unknown. @option may be a long name or one letter.
 */
const char *verb_missing(const char *name);
const char *option_missing(const char *option);

/* Options every command takes. Ends with a zero name. */
extern const struct option common_options[];

/* The option of @verb called @name (@n bytes), its second name included; NULL when there is none.
 */
const struct option *option_find(const struct verb *verb, const char *name, size_t n);
const struct option *option_find_letter(const struct verb *verb, char letter);

#endif
