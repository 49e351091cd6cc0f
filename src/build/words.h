/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Variables and words of Containerfiles: $NAME, ${NAME}, ${NAME:-word}, ${NAME-word},
 * ${NAME:+word}, ${NAME+word}, ${NAME:?word}, ${NAME?word}, ${NAME#pattern}, ${NAME##pattern},
 * ${NAME%pattern}, ${NAME%%pattern}, ${NAME/pattern/word}, ${NAME//pattern/word}; quotes as in a
 * shell: nothing is expanded in '...', and the escape character protects the next one.
 */
#ifndef BUILD_WORDS_H
#define BUILD_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

enum {
    WORDS_EXPANDED_MAX = 1 << 20, /* bytes of an expansion */
    WORDS_DEPTH_MAX = 20,         /* of ${a:-${b:-...}} */
};

struct words_scope {
    /* The value of the variable called @name (@n bytes); NULL: not set. Borrowed. */
    const char *(*value)(void *opaque, const char *name, size_t n);
    void *opaque;
    char escape;
};

/*
 * Expands @text as one word, quotes removed. New. NULL with @err set: a brace without end, an
 * unknown operator, ${NAME:?word} without value, too much.
 */
char *words_expand(const char *text, const struct words_scope *scope, struct error *err);

/* As words_expand, but quotes stay: for here-documents of COPY and ADD. */
char *words_expand_document(const char *text, const struct words_scope *scope, struct error *err);

/*
 * Expands @text and splits it into words at blanks outside quotes. A value is not split again. New
 * list with NULL after the last; NULL with @err set.
 */
char **words_split(const char *text, const struct words_scope *scope, size_t *ret_count,
                   struct error *err);
void words_free(char **words);

/* A glob of the shell for one name: * ? [a-z] [^a] and the escape character. */
bool words_match(const char *pattern, const char *text, char escape);

#endif
