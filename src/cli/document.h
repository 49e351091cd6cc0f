/* SPDX-License-Identifier: Apache-2.0 */
/* Texts derived from the tables of commands and options. */
#ifndef CLI_DOCUMENT_H
#define CLI_DOCUMENT_H

#include "base/error.h"
#include "base/str.h"
#include "cli/option.h"

enum { DOCUMENT_COLUMNS = 80, DOCUMENT_LINES = 24 };

/* The list of commands; fits a terminal of 80 x 24. */
void document_commands(struct str *out);
/* How @verb is used. Without @all rarely used options are only named, so that it fits 80 x 24. */
void document_usage(const struct verb *verb, bool all, struct str *out);

/* The manual page isola(1), and isola-VERB(1), as roff for man(7). */
void document_man(struct str *out);
void document_man_verb(const struct verb *verb, struct str *out);

/* docs/commands.md. */
void document_markdown(struct str *out);

/* The completion script for "bash", "zsh" or "fish"; NULL for another shell. Static. */
const char *document_completion(const char *shell);

/* "-m, --memory SIZE": letter, names and value of @o. */
void document_option(const struct option *o, struct str *out);

/* Sections shared by isola(1) and docs/commands.md. */
struct document_section {
    const char *title;
    const char *text; /* paragraphs separated by "\n\n"; a line with a tab is "term<tab>meaning" */
};
extern const struct document_section document_sections[]; /* ends with a NULL title */

#endif
