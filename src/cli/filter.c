/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/suggest.h"
#include "instance/instance.h"

enum key { KEY_ID, KEY_NAME, KEY_LABEL, KEY_STATUS, KEY_EXITED, KEY_WALL, KEY_ACCEL, KEYS };

static const char *const key_names[KEYS] = {
    [KEY_ID] = "id",         [KEY_NAME] = "name", [KEY_LABEL] = "label", [KEY_STATUS] = "status",
    [KEY_EXITED] = "exited", [KEY_WALL] = "wall", [KEY_ACCEL] = "accel",
};

/* The key of "KEY=VALUE" and *ret_value; KEYS when it is none. */
static enum key split(const char *text, const char **ret_value)
{
    size_t n = strcspn(text, "=");

    *ret_value = text[n] ? text + n + 1 : NULL;
    for (int k = 0; k < KEYS; k++) {
        if (strlen(key_names[k]) == n && strncmp(key_names[k], text, n) == 0)
            return (enum key)k;
    }
    return KEYS;
}

static int check(enum key key, const char *text, const char *value, struct error *err)
{
    struct suggest s = {0};
    enum lifecycle_state state;
    uint64_t number;
    char *word;

    if (key == KEYS) {
        word = strndup(text, strcspn(text, "="));
        s.word = word ? word : "";
        for (int k = 0; k < KEYS; k++)
            suggest_offer(&s, key_names[k]);
        if (s.best)
            error_set(err, -EINVAL, "option --filter: no key \"%s\"; did you mean %s?", s.word,
                      s.best);
        else
            error_set(err, -EINVAL,
                      "option --filter: no key \"%s\"; there are id, name, label, status, exited, "
                      "wall and accel",
                      s.word);
        free(word);
        return -EINVAL;
    }
    if (!value)
        return error_set(err, -EINVAL, "option --filter: \"%s\" has no value; write %s=VALUE", text,
                         key_names[key]);
    if (key == KEY_STATUS && !lifecycle_state_parse(value, &state))
        return error_set(err, -EINVAL,
                         "option --filter: \"%s\" is no status; there are created, running, "
                         "paused, restarting, exited and dead",
                         value);
    if (key == KEY_EXITED && str_parse_u64(value, &number) < 0)
        return error_set(err, -EINVAL, "option --filter: exited=%s is not a number", value);
    return 0;
}

int filter_parse(struct filter *filter, const struct args *args, struct error *err)
{
    const char *text, *value;

    *filter = (struct filter){.args = args};
    for (size_t i = 0; (text = args_list(args, "filter", i)); i++) {
        enum key key = split(text, &value);
        int r = check(key, text, value, err);
        if (r < 0)
            return r;
        if (key == KEY_STATUS || key == KEY_EXITED)
            filter->stopped = true;
    }
    return 0;
}

static bool match_label(const struct spec *spec, const char *value)
{
    size_t n = strcspn(value, "=");

    for (size_t i = 0; i < spec->label_count; i++) {
        const struct spec_label *l = &spec->labels[i];
        if (strlen(l->key) == n && strncmp(l->key, value, n) == 0 &&
            (!value[n] || strcmp(l->value, value + n + 1) == 0))
            return true;
    }
    return false;
}

static bool match_one(enum key key, const char *value, const struct instance *instance)
{
    uint64_t number = 0;
    enum lifecycle_state state;

    switch (key) {
    case KEY_ID:
        return str_starts(instance->id, value);
    case KEY_NAME:
        return strstr(instance->name, value) != NULL;
    case KEY_LABEL:
        return match_label(instance->spec, value);
    case KEY_STATUS:
        return lifecycle_state_parse(value, &state) && state == instance->state;
    case KEY_EXITED:
        return instance->state == LIFECYCLE_EXITED && str_parse_u64(value, &number) == 0 &&
               (int)number == instance->exit_code;
    case KEY_WALL:
        return strcmp(spec_wall_name(instance->spec->wall), value) == 0;
    case KEY_ACCEL:
        return strcmp(instance->spec->accel ? instance->spec->accel : "auto", value) == 0;
    case KEYS:
        break;
    }
    return false;
}

bool filter_match(const struct filter *filter, const struct instance *instance)
{
    bool asked[KEYS] = {false}, matched[KEYS] = {false};
    const char *text, *value;

    for (size_t i = 0; (text = args_list(filter->args, "filter", i)); i++) {
        enum key key = split(text, &value);
        bool match = match_one(key, value, instance);
        if (key == KEY_LABEL && !match)
            return false;
        asked[key] = true;
        matched[key] = matched[key] || match;
    }
    for (int k = 0; k < KEYS; k++) {
        if (asked[k] && !matched[k])
            return false;
    }
    return true;
}
