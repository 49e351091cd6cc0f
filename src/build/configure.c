/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions that only change the configuration of the image. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/own.h"
#include "build/stage.h"

static int not_text(struct error *err)
{
    return error_set(err, -EINVAL, "it is not UTF-8 text");
}

static json_t *list_of(char *const *words)
{
    json_t *a = json_array();

    for (; words && *words; words++)
        json_array_append_new(a, json_string(*words));
    return a;
}

/* The words of the JSON form, or the shell's words around the text. */
static json_t *command(struct stage *s, const struct instruction *i, const char *text)
{
    char **words = i->words ? NULL : stage_shell(s, text);
    json_t *a = i->words ? list_of(i->words) : words ? list_of(words) : NULL;

    words_free(words);
    return a;
}

/* NAME=value ..., or the old form NAME value. Calls @set for each. */
static int pairs(struct stage *s, const char *text,
                 int (*set)(struct stage *s, const char *name, const char *value,
                            struct error *err),
                 struct error *err)
{
    struct words_scope scope = stage_scope(s);
    size_t n = strcspn(text, " \t="), count;
    char **words;
    int r = 0;

    if (text[n] != '=' && text[0] != '"' && text[0] != '\'') {
        cleanup_free char *name = strndup(text, n);
        const char *rest = text + n + strspn(text + n, " \t");
        cleanup_free char *value = *rest ? words_expand(rest, &scope, err) : NULL;
        if (!*rest)
            return error_set(err, -EINVAL, "it wants NAME=value");
        return name && value ? set(s, name, value, err) : -EINVAL;
    }
    words = words_split(text, &scope, &count, err);
    for (size_t k = 0; words && r == 0 && k < count; k++) {
        char *equal = strchr(words[k], '=');
        if (!equal || equal == words[k])
            r = error_set(err, -EINVAL, "\"%.60s\" is not NAME=value", words[k]);
        else {
            *equal = 0;
            r = set(s, words[k], equal + 1, err);
        }
    }
    words_free(words);
    return words ? r : -EINVAL;
}

static int set_label(struct stage *s, const char *name, const char *value, struct error *err)
{
    json_t *labels = json_object_get(stage_config(s), "Labels");

    if (!json_is_object(labels)) {
        labels = json_object();
        json_object_set_new(stage_config(s), "Labels", labels);
    }
    return json_object_set_new(labels, name, json_string(value)) ? not_text(err) : 0;
}

static int set_text(struct stage *s, const struct instruction *i, const char *key,
                    struct error *err)
{
    struct words_scope scope = stage_scope(s);
    cleanup_free char *value = words_expand(i->text, &scope, err);

    if (!value)
        return -EINVAL;
    return json_object_set_new(stage_config(s), key, json_string(value)) ? not_text(err) : 0;
}

/* Members of a set, as ExposedPorts and Volumes are: {"80/tcp": {}}. */
static int add_keys(struct stage *s, const struct instruction *i, const char *key,
                    const char *suffix, struct error *err)
{
    struct words_scope scope = stage_scope(s);
    json_t *set = json_object_get(stage_config(s), key);
    size_t count;
    char **words = i->words ? NULL : words_split(i->text, &scope, &count, err);
    int r = 0;

    if (!i->words && !words)
        return -EINVAL;
    if (!json_is_object(set)) {
        set = json_object();
        json_object_set_new(stage_config(s), key, set);
    }
    for (char **w = i->words ? i->words : words; r == 0 && *w; w++) {
        cleanup_free char *name = str_format("%s%s", *w, *suffix && !strchr(*w, '/') ? suffix : "");
        if (!name || json_object_set_new(set, name, json_object()))
            r = not_text(err);
    }
    words_free(words);
    return r;
}

/* "1m30s", "500ms" as nanoseconds; false: not a time. */
static bool duration(const char *text, json_int_t *ret)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"ms", 1e6}, {"us", 1e3}, {"ns", 1}, {"h", 3600e9}, {"m", 60e9}, {"s", 1e9}};
    double sum = 0;

    if (!*text)
        return false;
    while (*text) {
        char *end;
        double v = strtod(text, &end);
        size_t u = 0;
        if (end == text || v < 0 || v > 1e9)
            return false;
        while (u < array_size(units) && !str_starts(end, units[u].unit))
            u++;
        if (u == array_size(units))
            return false;
        sum += v * units[u].ns;
        text = end + strlen(units[u].unit);
    }
    if (sum > 9e18)
        return false;
    *ret = (json_int_t)sum;
    return true;
}

static int set_health(struct stage *s, const struct instruction *i, struct error *err)
{
    static const char *const flags[][2] = {{"interval", "Interval"},
                                           {"timeout", "Timeout"},
                                           {"start-period", "StartPeriod"},
                                           {"start-interval", "StartInterval"}};
    json_t *o = json_object(), *test = json_array(), *words = NULL;
    const char *text = i->text + 3 + strspn(i->text + min_of(strlen(i->text), (size_t)3), " \t");
    const char *retries = instruction_flag(i, "retries");
    json_int_t ns;
    uint64_t n;
    int r = 0;

    json_object_set_new(o, "Test", test);
    if (strcasecmp(i->text, "NONE") == 0) {
        json_array_append_new(test, json_string("NONE"));
    } else if (strncasecmp(i->text, "CMD", 3) != 0 || (i->text[3] != ' ' && i->text[3] != '\t')) {
        r = error_set(err, -EINVAL, "HEALTHCHECK is NONE or CMD command");
    } else if ((words = json_loads(text, 0, NULL)) && json_is_array(words)) {
        json_array_append_new(test, json_string("CMD"));
        json_array_extend(test, words);
    } else {
        json_array_append_new(test, json_string("CMD-SHELL"));
        json_array_append_new(test, json_string(text));
    }
    json_decref(words);
    for (size_t k = 0; r == 0 && k < array_size(flags); k++) {
        const char *value = instruction_flag(i, flags[k][0]);
        if (value && !duration(value, &ns))
            r = error_set(err, -EINVAL, "--%s wants a time such as 30s or 1m30s", flags[k][0]);
        else if (value)
            json_object_set_new(o, flags[k][1], json_integer(ns));
    }
    if (r == 0 && retries && (str_parse_u64(retries, &n) < 0 || n > 1000))
        r = error_set(err, -EINVAL, "--retries wants a number");
    else if (r == 0 && retries)
        json_object_set_new(o, "Retries", json_integer((json_int_t)n));
    if (r == 0)
        json_object_set(stage_config(s), "Healthcheck", o);
    json_decref(o);
    return r;
}

static int set_command(struct stage *s, const struct instruction *i, struct error *err)
{
    bool entry = i->kind == INSTRUCTION_ENTRYPOINT;
    json_t *list = command(s, i, i->text);

    if (!list || json_object_set_new(stage_config(s), entry ? "Entrypoint" : "Cmd", list))
        return not_text(err);
    if (!entry)
        s->has_cmd = true;
    else if (!s->has_cmd) /* the base's command does not go with another entrypoint */
        json_object_del(stage_config(s), "Cmd");
    return 0;
}

static int add_onbuild(struct stage *s, const struct instruction *i, struct error *err)
{
    json_t *list = json_object_get(stage_config(s), "OnBuild");

    if (i->document_count)
        return error_set(err, -EINVAL, "ONBUILD cannot keep a here-document");
    if (!json_is_array(list)) {
        list = json_array();
        json_object_set_new(stage_config(s), "OnBuild", list);
    }
    return json_array_append_new(list, json_string(i->text)) ? not_text(err) : 0;
}

static int set_shell(struct stage *s, const struct instruction *i, struct error *err)
{
    size_t n = 0;

    words_free(s->shell);
    while (i->words[n])
        n++;
    s->shell = mem_alloc(n + 1, sizeof(*s->shell));
    for (size_t k = 0; s->shell && k < n; k++)
        s->shell[k] = strdup(i->words[k]);
    if (!s->shell)
        return error_set_errno(err, -ENOMEM, "build");
    return json_object_set_new(stage_config(s), "Shell", list_of(i->words)) ? not_text(err) : 0;
}

int stage_configure(struct stage *s, const struct instruction *i, struct error *err)
{
    char *path;

    switch (i->kind) {
    case INSTRUCTION_CMD:
    case INSTRUCTION_ENTRYPOINT:
        return set_command(s, i, err);
    case INSTRUCTION_ENV:
        return pairs(s, i->text, stage_set_env, err);
    case INSTRUCTION_LABEL:
        return pairs(s, i->text, set_label, err);
    case INSTRUCTION_EXPOSE:
        return add_keys(s, i, "ExposedPorts", "/tcp", err);
    case INSTRUCTION_VOLUME:
        return add_keys(s, i, "Volumes", "", err);
    case INSTRUCTION_HEALTHCHECK:
        return set_health(s, i, err);
    case INSTRUCTION_MAINTAINER:
        return json_object_set_new(s->image, "author", json_string(i->text)) ? not_text(err) : 0;
    case INSTRUCTION_ONBUILD:
        return add_onbuild(s, i, err);
    case INSTRUCTION_SHELL:
        return set_shell(s, i, err);
    case INSTRUCTION_STOPSIGNAL:
        return set_text(s, i, "StopSignal", err);
    case INSTRUCTION_USER:
        return set_text(s, i, "User", err);
    case INSTRUCTION_WORKDIR: {
        struct words_scope scope = stage_scope(s);
        cleanup_free char *value = words_expand(i->text, &scope, err);
        int r;
        if (!value)
            return -EINVAL;
        path = stage_path(s, value);
        if (!path)
            return error_set(err, -EINVAL, "the path \"%.100s\" is too long", value);
        r = json_object_set_new(stage_config(s), "WorkingDir", json_string(path)) ? not_text(err)
                                                                                  : 0;
        free(path);
        return r;
    }
    case INSTRUCTION_ADD:
    case INSTRUCTION_ARG:
    case INSTRUCTION_COPY:
    case INSTRUCTION_FROM:
    case INSTRUCTION_RUN:
        break;
    }
    return error_set(err, -EINVAL, "%s changes more than the configuration",
                     instruction_name(i->kind));
}
