/* SPDX-License-Identifier: Apache-2.0 */
#include "image/change.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"

long long image_source_date(void)
{
    const char *text = getenv("SOURCE_DATE_EPOCH");
    uint64_t value;

    return text && str_parse_u64(text, &value) == 0 && value < 1ull << 40 ? (long long)value : -1;
}

void image_time(char buf[IMAGE_TIME_TEXT])
{
    long long fixed = image_source_date();
    time_t now = fixed >= 0 ? (time_t)fixed : time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(buf, IMAGE_TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static int bad(const char *instruction, struct error *err)
{
    return error_set(err, -EINVAL, "--change \"%.200s\" is not valid", instruction);
}

/* ["a", "b"], or words for the shell. */
static json_t *command(const char *text)
{
    json_t *list = *text == '[' ? json_loads(text, 0, NULL) : NULL, *item;
    size_t i;

    if (!list)
        return json_pack("[sss]", "/bin/sh", "-c", text);
    json_array_foreach(list, i, item)
    {
        if (!json_is_string(item)) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* The next word, quotes taken away, or NULL. New. */
static char *next_word(const char **text)
{
    struct str word = {0};
    const char *p = *text + strspn(*text, " \t");
    char quote = 0;

    if (!*p)
        return NULL;
    for (; *p && (quote || (*p != ' ' && *p != '\t')); p++) {
        if (quote ? *p == quote : *p == '"' || *p == '\'')
            quote = quote ? 0 : *p;
        else if (*p == '\\' && p[1] && quote != '\'')
            str_add_char(&word, *++p);
        else
            str_add_char(&word, *p);
    }
    *text = p;
    return word.data || word.failed ? str_steal(&word) : strdup("");
}

static void set_env(json_t *config, const char *key, const char *value)
{
    json_t *env = json_object_get(config, "Env");
    cleanup_free char *text = str_format("%s=%s", key, value);
    size_t n = strlen(key);

    if (!json_is_array(env)) {
        json_object_set_new(config, "Env", json_array());
        env = json_object_get(config, "Env");
    }
    for (size_t i = 0; i < json_array_size(env); i++) {
        const char *old = json_string_value(json_array_get(env, i));
        if (old && strncmp(old, key, n) == 0 && old[n] == '=') {
            json_array_set_new(env, i, json_string(text));
            return;
        }
    }
    json_array_append_new(env, json_string(text));
}

static void set_member(json_t *config, const char *key, const char *name, json_t *value)
{
    json_t *o = json_object_get(config, key);

    if (!json_is_object(o)) {
        json_object_set_new(config, key, json_object());
        o = json_object_get(config, key);
    }
    json_object_set_new(o, name, value);
}

/* KEY=VALUE..., or KEY VALUE of the old form. */
static int pairs(json_t *config, bool label, const char *text)
{
    cleanup_free char *first = NULL;
    const char *rest = text;
    char *word;

    first = next_word(&rest);
    if (first && !strchr(first, '=')) {
        rest += strspn(rest, " \t");
        if (label)
            set_member(config, "Labels", first, json_string(rest));
        else
            set_env(config, first, rest);
        return 0;
    }
    rest = text;
    while ((word = next_word(&rest))) {
        cleanup_free char *own = word;
        char *equals = strchr(word, '=');
        if (!equals || equals == word)
            return -EINVAL;
        *equals = 0;
        if (label)
            set_member(config, "Labels", word, json_string(equals + 1));
        else
            set_env(config, word, equals + 1);
    }
    return 0;
}

static int members(json_t *config, const char *key, const char *text, const char *suffix)
{
    json_t *list = *text == '[' ? json_loads(text, 0, NULL) : NULL, *item;
    char *word;
    size_t i;

    json_array_foreach(list, i, item)
    {
        if (json_is_string(item))
            set_member(config, key, json_string_value(item), json_object());
    }
    json_decref(list);
    while (!list && (word = next_word(&text))) {
        cleanup_free char *own = word;
        cleanup_free char *full =
            str_format("%s%s", word, suffix && !strchr(word, '/') ? suffix : "");
        if (full)
            set_member(config, key, full, json_object());
    }
    return 0;
}

int image_change(json_t *config, const char *instruction, struct error *err)
{
    const char *text = instruction + strspn(instruction, " \t");
    size_t n = strcspn(text, " \t");
    cleanup_free char *verb = strndup(text, n);
    json_t *list;
    int r = 0;

    text += n + strspn(text + n, " \t");
    if (!verb || !*text)
        return bad(instruction, err);
    for (char *p = verb; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    if (strcmp(verb, "CMD") == 0 || strcmp(verb, "ENTRYPOINT") == 0) {
        list = command(text);
        r = list ? json_object_set_new(config, verb[0] == 'C' ? "Cmd" : "Entrypoint", list) : -1;
    } else if (strcmp(verb, "ENV") == 0 || strcmp(verb, "LABEL") == 0) {
        r = pairs(config, verb[0] == 'L', text);
    } else if (strcmp(verb, "EXPOSE") == 0) {
        r = members(config, "ExposedPorts", text, "/tcp");
    } else if (strcmp(verb, "VOLUME") == 0) {
        r = members(config, "Volumes", text, NULL);
    } else if (strcmp(verb, "USER") == 0) {
        r = json_object_set_new(config, "User", json_string(text));
    } else if (strcmp(verb, "WORKDIR") == 0) {
        r = json_object_set_new(config, "WorkingDir", json_string(text));
    } else if (strcmp(verb, "STOPSIGNAL") == 0) {
        r = json_object_set_new(config, "StopSignal", json_string(text));
    } else if (strcmp(verb, "ONBUILD") == 0) {
        list = json_object_get(config, "OnBuild");
        if (!json_is_array(list)) {
            json_object_set_new(config, "OnBuild", json_array());
            list = json_object_get(config, "OnBuild");
        }
        r = json_array_append_new(list, json_string(text));
    } else {
        return error_set(err, -EINVAL,
                         "--change knows no \"%.40s\"; it knows CMD, ENTRYPOINT, ENV, EXPOSE, "
                         "LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR",
                         verb);
    }
    return r < 0 ? bad(instruction, err) : 0;
}
