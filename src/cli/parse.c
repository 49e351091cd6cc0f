/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/parse.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/suggest.h"

bool parse_bool(const char *text, bool *ret_value)
{
    static const char *const yes[] = {"true", "t", "1"}, *const no[] = {"false", "f", "0"};

    for (size_t i = 0; i < array_size(yes); i++) {
        if (strcasecmp(text, yes[i]) == 0) {
            *ret_value = true;
            return true;
        }
        if (strcasecmp(text, no[i]) == 0) {
            *ret_value = false;
            return true;
        }
    }
    return false;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);

    for (const char *c = choices; *c; c += strcspn(c, "|"), c += *c == '|') {
        if (strcspn(c, "|") == n && strncmp(c, text, n) == 0)
            return true;
    }
    return false;
}

/* "a|b|c" as "a, b or c". */
static void list_choices(struct str *out, const char *choices)
{
    for (const char *c = choices; *c;) {
        size_t n = strcspn(c, "|");
        str_add_n(out, c, n);
        c += n;
        if (!*c)
            break;
        c++;
        str_add(out, strchr(c, '|') ? ", " : " or ");
    }
}

static int check_value(const struct option *o, const char *text, struct error *err)
{
    struct str choices = {0};
    uint64_t number;
    bool boolean;
    int r;

    switch (o->kind) {
    case OPTION_BOOL:
        if (!parse_bool(text, &boolean))
            return error_set(err, -EINVAL, "option --%s: \"%s\" is not true or false", o->name,
                             text);
        return 0;
    case OPTION_UINT:
        r = str_parse_u64(text, &number);
        if (r < 0)
            return error_set(err, -EINVAL, "option --%s: \"%s\" is %s", o->name, text,
                             r == -ERANGE ? "too large" : "not a whole number");
        return 0;
    case OPTION_SIZE:
        r = str_parse_size(text, 1, &number);
        if (r < 0)
            return error_set(err, -EINVAL, "option --%s: \"%s\" is %s", o->name, text,
                             r == -ERANGE ? "too large" : "not a size; write 512m or 2g");
        return 0;
    case OPTION_CHOICE:
        if (is_choice(o->choices, text))
            return 0;
        list_choices(&choices, o->choices);
        error_set(err, -EINVAL, "option --%s: \"%s\" is none of %s", o->name, text,
                  str_text(&choices));
        str_done(&choices);
        return -EINVAL;
    case OPTION_TEXT:
    case OPTION_LIST:
        return 0;
    }
    return 0;
}

static int add_value(struct args *args, const struct option *o, const char *text, struct error *err)
{
    struct arg_value *values;
    int r = check_value(o, text, err);
    bool boolean;

    if (r < 0)
        return r;
    if (o->kind == OPTION_BOOL && parse_bool(text, &boolean))
        text = boolean ? "true" : "false";
    values = reallocarray(args->values, args->value_count + 1, sizeof(*values));
    if (!values)
        return error_set_errno(err, -ENOMEM, "read the command line");
    values[args->value_count++] = (struct arg_value){o, text};
    args->values = values;
    return 0;
}

static int unknown_option(const struct verb *verb, const char *given, const char *name,
                          struct error *err)
{
    struct suggest s = {.word = name};
    const struct option *tables[] = {verb->options, common_options};
    const char *missing = verb->stop_at_positional ? option_missing(name) : NULL;

    if (missing)
        return error_set(err, -EINVAL, "option %s is not supported yet: %s", given, missing);
    for (size_t t = 0; t < array_size(tables); t++) {
        for (const struct option *o = tables[t]; o && o->name; o++) {
            suggest_offer(&s, o->name);
            if (o->alias)
                suggest_offer(&s, o->alias);
        }
    }
    if (s.best)
        return error_set(err, -EINVAL, "unknown option %s; did you mean --%s?", given, s.best);
    return error_set(err, -EINVAL, "unknown option %s; \"isola %s --help\" lists the options",
                     given, verb->name);
}

/* argv[*i] starts with "--"; *i moves past what was used. */
static int parse_long(struct args *args, int argc, char *const argv[], int *i, struct error *err)
{
    const char *word = argv[*i], *name = word + 2;
    size_t n = strcspn(name, "=");
    const struct option *o = option_find(args->verb, name, n);
    const char *value = name[n] ? name + n + 1 : NULL;
    char short_name[64];

    if (!o) {
        snprintf(short_name, sizeof(short_name), "%.*s", (int)min_of(n, sizeof(short_name) - 1),
                 name);
        char *given = str_format("--%s", short_name);
        int r = unknown_option(args->verb, given ? given : "--", short_name, err);
        free(given);
        return r;
    }
    if (!value && o->kind == OPTION_BOOL)
        value = "true";
    if (!value) {
        if (*i + 1 >= argc)
            return error_set(err, -EINVAL, "option --%s needs a value: --%s %s", o->name, o->name,
                             o->value);
        value = argv[++*i];
    }
    return add_value(args, o, value, err);
}

/* argv[*i] is "-" and letters; the first letter that takes a value takes the rest. */
static int parse_short(struct args *args, int argc, char *const argv[], int *i, struct error *err)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        const struct option *o = option_find_letter(args->verb, *p);
        int r;

        if (!o) {
            char given[3] = {'-', *p, 0};
            return unknown_option(args->verb, given, given + 1, err);
        }
        if (o->kind == OPTION_BOOL) {
            bool assigned = p[1] == '=';
            r = add_value(args, o, assigned ? p + 2 : "true", err);
            if (r < 0 || assigned)
                return r;
            continue;
        }
        if (p[1])
            return add_value(args, o, p[1] == '=' ? p + 2 : p + 1, err);
        if (*i + 1 >= argc)
            return error_set(err, -EINVAL, "option -%c needs a value: -%c %s", *p, *p, o->value);
        return add_value(args, o, argv[++*i], err);
    }
    return 0;
}

static int check_words(const struct args *args, struct error *err)
{
    const struct verb *verb = args->verb;

    if (args->word_count < verb->min)
        return error_set(err, -EINVAL, "%s is missing; usage: isola %s %s",
                         verb->min - args->word_count > 1 ? "an argument" : "the last argument",
                         verb->name, verb->synopsis);
    if (verb->max >= 0 && args->word_count > verb->max)
        return error_set(err, -EINVAL, "unexpected argument \"%s\"; usage: isola %s %s",
                         args->words[verb->max], verb->name, verb->synopsis);
    return 0;
}

int args_parse(const struct verb *verb, int argc, char *const argv[], struct args *args,
               struct error *err)
{
    bool options = true;

    *args = (struct args){.verb = verb};
    args->words = mem_alloc((size_t)argc + 1, sizeof(*args->words));
    if (!args->words)
        return error_set_errno(err, -ENOMEM, "read the command line");
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        int r = 0;

        if (options && strcmp(word, "--") == 0) {
            options = false;
        } else if (options && word[0] == '-' && word[1] == '-') {
            r = parse_long(args, argc, argv, &i, err);
        } else if (options && word[0] == '-' && word[1]) {
            r = parse_short(args, argc, argv, &i, err);
        } else {
            args->words[args->word_count++] = word;
            options = options && !verb->stop_at_positional;
        }
        if (r < 0)
            return r;
        if (args->value_count && args_given(args, "help"))
            return 0;
    }
    return check_words(args, err);
}

void args_done(struct args *args)
{
    free(args->values);
    free(args->words);
    *args = (struct args){0};
}

static const struct option *must_find(const struct args *args, const char *name)
{
    const struct option *o = option_find(args->verb, name, strlen(name));

    assert(o);
    return o;
}

static const struct arg_value *last_value(const struct args *args, const struct option *o)
{
    for (size_t i = args->value_count; i-- > 0;) {
        if (args->values[i].option == o)
            return &args->values[i];
    }
    return NULL;
}

bool args_given(const struct args *args, const char *name)
{
    return last_value(args, must_find(args, name)) != NULL;
}

const char *args_text(const struct args *args, const char *name)
{
    const struct option *o = must_find(args, name);
    const struct arg_value *v = last_value(args, o);

    return v ? v->text : o->initial;
}

bool args_bool(const struct args *args, const char *name)
{
    const char *text = args_text(args, name);

    return text && strcmp(text, "true") == 0;
}

const char *args_list(const struct args *args, const char *name, size_t index)
{
    const struct option *o = must_find(args, name);

    for (size_t i = 0; i < args->value_count; i++) {
        if (args->values[i].option == o && index-- == 0)
            return args->values[i].text;
    }
    return NULL;
}

uint64_t args_number(const struct args *args, const char *name)
{
    const struct option *o = must_find(args, name);
    const char *text = args_text(args, name);
    uint64_t number = 0;
    int r;

    if (!text)
        return 0;
    r = o->kind == OPTION_SIZE ? str_parse_size(text, 1, &number) : str_parse_u64(text, &number);
    assert(r == 0);
    return number;
}
