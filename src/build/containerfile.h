/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containerfiles (Dockerfiles) as text: lines, comments, continuations, here-documents, parser
 * directives and the shape of each instruction. Variables are expanded later (build/words.h),
 * because their values depend on what was built before.
 *
 * The language is that of docs.docker.com/reference/dockerfile; the syntax is checked completely
 * here, so that a mistake in the last line does not cost the time of the lines before.
 */
#ifndef BUILD_CONTAINERFILE_H
#define BUILD_CONTAINERFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum {
    CONTAINERFILE_MAX = 4 << 20, /* bytes */
    CONTAINERFILE_INSTRUCTIONS_MAX = 10000,
    CONTAINERFILE_FLAGS_MAX = 100,     /* of one instruction */
    CONTAINERFILE_DOCUMENTS_MAX = 100, /* here-documents of one instruction */
};

enum instruction_kind {
    INSTRUCTION_ADD,
    INSTRUCTION_ARG,
    INSTRUCTION_CMD,
    INSTRUCTION_COPY,
    INSTRUCTION_ENTRYPOINT,
    INSTRUCTION_ENV,
    INSTRUCTION_EXPOSE,
    INSTRUCTION_FROM,
    INSTRUCTION_HEALTHCHECK,
    INSTRUCTION_LABEL,
    INSTRUCTION_MAINTAINER,
    INSTRUCTION_ONBUILD,
    INSTRUCTION_RUN,
    INSTRUCTION_SHELL,
    INSTRUCTION_STOPSIGNAL,
    INSTRUCTION_USER,
    INSTRUCTION_VOLUME,
    INSTRUCTION_WORKDIR,
};

struct instruction_flag {
    char *name, *value; /* --name=value; "true" when there is no value */
};

/* A here-document: <<NAME ... NAME */
struct instruction_document {
    char *name;  /* the word that ends it */
    char *text;  /* lines, each with its newline; tabs in front removed for <<- */
    bool expand; /* the word was not quoted */
};

struct instruction {
    enum instruction_kind kind;
    unsigned line; /* of its first word, from 1 */
    struct instruction_flag *flags;
    size_t flag_count;
    char *text;   /* what follows the flags, continuation lines joined; here-documents left out */
    char **words; /* of the JSON form ["a", "b"]; NULL: another form. NULL after the last */
    struct instruction_document *documents;
    size_t document_count;
};

struct containerfile {
    struct instruction *list;
    size_t count;
    char escape; /* \ or ` */
};

/*
 * Reads the @n bytes of a Containerfile. -EINVAL with "line N: ..."; -E2BIG. Release with
 * containerfile_done.
 */
int containerfile_parse(const char *text, size_t n, struct containerfile *ret,
                        struct error *err) error_must_check;
/* As containerfile_parse for one instruction, such as one that ONBUILD kept. */
int containerfile_parse_one(const char *text, struct containerfile *ret,
                            struct error *err) error_must_check;
void containerfile_done(struct containerfile *file);

/* "COPY" */
const char *instruction_name(enum instruction_kind kind);
/* The last value of the flag, NULL: not given. Borrowed. */
const char *instruction_flag(const struct instruction *i, const char *name);
/* The value number @index of a flag that may be repeated, NULL after the last. */
const char *instruction_flag_at(const struct instruction *i, const char *name, size_t index);

#endif
