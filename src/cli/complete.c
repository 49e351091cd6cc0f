/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/complete.h"

#include <string.h>

#include "base/mem.h"
#include "cli/parse.h"

struct completion {
    struct str *out;
    const char *prefix; /* what candidates must begin with */
    const char *before; /* repeated before each candidate: "--accel=" */
    size_t before_len;
    void (*instances)(void *opaque, enum complete which, const char *prefix, struct str *out);
    void *opaque;
};

static void offer(struct completion *c, const char *candidate, size_t n, const char *about)
{
    size_t typed = strlen(c->prefix);

    if (n < typed || strncmp(candidate, c->prefix, typed) != 0)
        return;
    str_add_n(c->out, c->before, c->before_len);
    str_add_n(c->out, candidate, n);
    str_addf(c->out, "\t%s\n", about ? about : "");
}

/* Choices are separated by "|". */
static void offer_choices(struct completion *c, const char *choices, const char *about)
{
    while (choices && *choices) {
        size_t n = strcspn(choices, "|");
        offer(c, choices, n, about);
        choices += n + (choices[n] == '|');
    }
}

/* Commands; of those of two words the noun, once. */
static void offer_verbs(struct completion *c)
{
    const char *noun = "";
    size_t noun_len = 0;

    for (const struct verb *v = NULL; (v = verb_next(v));) {
        size_t n = strcspn(v->name, " ");
        if (!v->group || (v->name[n] && n == noun_len && strncmp(noun, v->name, n) == 0))
            continue;
        offer(c, v->name, n, v->name[n] ? "" : v->brief);
        if (v->name[n]) {
            noun = v->name;
            noun_len = n;
        }
    }
}

/* The second words of commands that begin with @noun. */
static void offer_second(struct completion *c, const char *noun)
{
    size_t n = strlen(noun);

    for (const struct verb *v = NULL; (v = verb_next(v));)
        if (v->group && strncmp(v->name, noun, n) == 0 && v->name[n] == ' ')
            offer(c, v->name + n + 1, strlen(v->name + n + 1), v->brief);
}

static void offer_value(struct completion *c, enum complete what, const char *choices,
                        const char *about)
{
    switch (what) {
    case COMPLETE_NONE:
        break;
    case COMPLETE_FILE:
    case COMPLETE_DISK:
        str_add(c->out, ":files\n");
        break;
    case COMPLETE_CHOICE:
        offer_choices(c, choices, about);
        break;
    case COMPLETE_VERB:
        offer_verbs(c);
        break;
    case COMPLETE_SIGNAL:
        offer_choices(c, "KILL|TERM|PWR", about);
        break;
    case COMPLETE_FORMAT:
        offer_choices(c, "json|table|{{.Name}}", about);
        break;
    case COMPLETE_FILTER:
        offer_choices(c,
                      "status=created|status=running|status=paused|status=restarting|"
                      "status=exited|status=dead|name=|id=|label=|exited=|wall=vm|accel=",
                      about);
        break;
    case COMPLETE_SHELL:
        offer_choices(c, "bash|zsh|fish", "completion script");
        break;
    case COMPLETE_INSTANCE:
    case COMPLETE_RUNNING:
    case COMPLETE_STOPPED:
    case COMPLETE_PAUSED:
    case COMPLETE_IMAGE:
        c->instances(c->opaque, what, c->prefix, c->out);
        break;
    }
}

static void offer_options(struct completion *c, const struct verb *verb)
{
    const struct option *tables[] = {verb->options, common_options};

    for (size_t t = 0; t < array_size(tables); t++) {
        for (const struct option *o = tables[t]; o && o->name; o++) {
            struct str text = {0};
            str_addf(&text, "--%s", o->name);
            offer(c, str_text(&text), text.len, o->help);
            str_done(&text);
        }
    }
}

/* The option whose value the word after @word is, NULL when @word takes none. */
static const struct option *awaits_value(const struct verb *verb, const char *word)
{
    const struct option *o = NULL;

    if (word[0] == '-' && word[1] == '-' && word[2] && !strchr(word, '=')) {
        o = option_find(verb, word + 2, strlen(word + 2));
        return o && o->kind != OPTION_BOOL ? o : NULL;
    }
    if (word[0] != '-' || word[1] == '-')
        return NULL;
    for (const char *p = word + 1; *p; p++) {
        o = option_find_letter(verb, *p);
        if (!o || o->kind != OPTION_BOOL)
            return o && !p[1] ? o : NULL;
    }
    return NULL;
}

void complete_words(const char *const *words, size_t count, struct str *out,
                    void (*instances)(void *opaque, enum complete which, const char *prefix,
                                      struct str *out),
                    void *opaque)
{
    struct completion c = {.out = out, .instances = instances, .opaque = opaque, .before = ""};
    const struct option *pending = NULL;
    const struct verb *verb;
    bool options = true;
    int position = 0;
    const char *equals;

    if (!count)
        return;
    c.prefix = words[count - 1];
    if (count == 1) {
        if (c.prefix[0] == '-')
            offer_choices(&c, "--help|--version|--debug", "");
        else
            offer_verbs(&c);
        return;
    }
    if (verb_noun(words[0], NULL)) {
        char *two;
        if (count == 2) {
            offer_second(&c, words[0]);
            if (!verb_find(words[0]))
                return;
        }
        two = str_format("%s %s", words[0], words[1]);
        verb = two ? verb_find(two) : NULL;
        free(two);
        if (verb) {
            words++;
            count--;
        }
    } else {
        verb = NULL;
    }
    if (!verb)
        verb = verb_find(words[0]);
    if (!verb || !verb->group)
        return;
    for (size_t i = 1; i + 1 < count; i++) {
        if (pending) {
            pending = NULL;
        } else if (options && strcmp(words[i], "--") == 0) {
            options = false;
        } else if (options && words[i][0] == '-' && words[i][1]) {
            pending = awaits_value(verb, words[i]);
        } else {
            position++;
            options = options && !verb->stop_at_positional;
        }
    }
    equals = strchr(c.prefix, '=');
    if (pending) {
        offer_value(&c, pending->complete, pending->choices, pending->help);
    } else if (options && str_starts(c.prefix, "--") && equals) {
        const struct option *o = option_find(verb, c.prefix + 2, (size_t)(equals - c.prefix - 2));
        c.before = c.prefix;
        c.before_len = (size_t)(equals + 1 - c.prefix);
        c.prefix = equals + 1;
        if (o && o->kind == OPTION_BOOL)
            offer_choices(&c, "true|false", o->help);
        else if (o)
            offer_value(&c, o->complete, o->choices, o->help);
    } else if (options && c.prefix[0] == '-') {
        offer_options(&c, verb);
    } else if ((verb->max < 0 && !verb->stop_at_positional) || position == 0) {
        /*
         * Only the first of a bounded number of words is an instance, as in rename INSTANCE NAME,
         * and what follows the first word of run is the container's.
         */
        offer_value(&c, verb->positional, verb->positional_choices, verb->brief);
    }
}
