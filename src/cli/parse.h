/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a command line by a command's option table. Accepted: -x, -xyz, -xVALUE, -x VALUE,
 * --name=VALUE, --name VALUE, --bool=false, "--" to end options. Later values win except in lists.
 */
#ifndef CLI_PARSE_H
#define CLI_PARSE_H

#include <stdint.h>

#include "base/error.h"
#include "cli/option.h"

struct arg_value {
    const struct option *option;
    const char *text; /* "true" or "false" for booleans */
};

/* Release with args_done. All texts are borrowed from argv. */
struct args {
    const struct verb *verb;
    struct arg_value *values;
    size_t value_count;
    const char **words; /* positional arguments, NULL after the last */
    int word_count;
};

/*
 * Parses @argc arguments after the command's name. Returns 0, or -EINVAL with @err naming the
 * argument at fault and, where one is near, what was probably meant. -ENOMEM. When --help is among
 * the options nothing else is checked. @args is to be released in every case.
 */
int args_parse(const struct verb *verb, int argc, char *const argv[], struct args *args,
               struct error *err) error_must_check;
void args_done(struct args *args);

/* True when the option was given. Naming an option that the command lacks is a bug and aborts. */
bool args_given(const struct args *args, const char *name);
bool args_bool(const struct args *args, const char *name);
/* The last value, else the default, else NULL. */
const char *args_text(const struct args *args, const char *name);
/* The value number @index of a list, NULL after the last. */
const char *args_list(const struct args *args, const char *name, size_t index);
/* Value of an OPTION_UINT or OPTION_SIZE; 0 when unset without default. */
uint64_t args_number(const struct args *args, const char *name);

/* Go's notion of a boolean: 1 t true 0 f false in any case. False when @text is none of them. */
bool parse_bool(const char *text, bool *ret_value);

#endif
