/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people and scripts may type: templates, command lines, words to complete, times. The first
 * byte chooses the reader, the rest is its text; words are separated by new lines.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/complete.h"
#include "cli/filter.h"
#include "cli/human.h"
#include "cli/output.h"

enum { WORDS = 32 };

static const char rows_text[] =
    "[{\"id\":\"0123456789abcdef\",\"name\":\"web\",\"exit_code\":3,\"ratio\":0.5,\"up\":true,"
    "\"nothing\":null,\"labels\":{\"a.b\":\"c\"},\"ports\":[80,443]}]";

static void fuzz_format(const char *text)
{
    static const struct output_column columns[] = {{"NAME", "name", NULL}, {0}};
    struct output o = {.format = text, .columns = columns};
    json_t *rows = json_loads(rows_text, 0, NULL);
    struct str out = {0};
    struct error err = {0};
    int r = output_render(&o, rows, true, &out, &err);

    if (r != 0 && !err.text[0])
        abort();
    str_done(&out);
    json_decref(rows);
}

static size_t split(char *text, char *words[WORDS])
{
    size_t n = 0;

    for (char *rest = text; rest && n < WORDS;)
        words[n++] = strsep(&rest, "\n");
    return n;
}

static void fuzz_arguments(char *text)
{
    char *words[WORDS];
    size_t n = split(text, words);
    const struct verb *verb = verb_find(words[0]);
    struct filter filter;
    struct args args;
    struct error err = {0};
    int r;

    if (!verb)
        return;
    r = args_parse(verb, (int)n - 1, words + 1, &args, &err);
    if (r != 0 && !err.text[0])
        abort();
    for (const struct option *o = verb->options; r == 0 && o && o->name; o++) {
        if (o->kind == OPTION_UINT || o->kind == OPTION_SIZE)
            args_number(&args, o->name);
    }
    if (r == 0 && strcmp(verb->name, "ps") == 0)
        r = filter_parse(&filter, &args, &err);
    args_done(&args);
}

static void no_instances(void *opaque, enum complete which, const char *prefix, struct str *out)
{
}

static void fuzz_completion(char *text)
{
    char *words[WORDS];
    size_t n = split(text, words);
    struct str out = {0};

    complete_words((const char *const *)words, n, &out, no_instances, NULL);
    str_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;
    int64_t ns;
    int r;

    if (!size)
        return 0;
    text = mem_alloc(1, size);
    memcpy(text, data + 1, size - 1);
    switch (data[0]) {
    case 'f':
        fuzz_format(text);
        break;
    case 'a':
        fuzz_arguments(text);
        break;
    case 'c':
        fuzz_completion(text);
        break;
    case 't':
        r = human_parse_time(text, INT64_MAX / 2, &ns, NULL);
        (void)r;
        break;
    default:
        break;
    }
    free(text);
    return 0;
}
