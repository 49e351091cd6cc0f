/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of isola-image, the program that does what is slow to load: isola executes it for the
 * commands that fetch, unpack and pack images. Its command line is what isola has checked and made
 * uniform: VERB [--option=value]... [--] WORD... (booleans as =true and =false).
 */
#ifndef IMAGE_PROGRAM_H
#define IMAGE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "image/store.h"

enum { PROGRAM_FAILED = 1, PROGRAM_USAGE = 125 };

struct program {
    const char *verb;
    char **options; /* "name=value" */
    int option_count;
    char **words; /* NULL after the last */
    int word_count;
    struct image_store *store; /* opened by program_store */
};

struct program_command {
    const char *name;
    /* Returns the exit status. */
    int (*run)(struct program *p);
    int min, max; /* words; max -1: any number */
};

/* All commands; ends with a zero name. */
extern const struct program_command program_commands[];

/* The last value of the option, NULL when it was not given. */
const char *program_option(const struct program *p, const char *name);
/* The value number @index of a repeated option, NULL after the last. */
const char *program_list(const struct program *p, const char *name, size_t index);
/* True when the option has the value "true". */
bool program_flag(const struct program *p, const char *name);

/* The default store, held (image_store_hold). NULL with the error printed. */
struct image_store *program_store(struct program *p);

/* Prints "isola: VERB: " and the text on stderr, control characters made visible. Returns
 * PROGRAM_FAILED. */
int program_complain(const struct program *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int program_error(const struct program *p, const struct error *err);

#endif
