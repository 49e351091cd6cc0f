/* SPDX-License-Identifier: Apache-2.0 */
#include "image/json.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

json_t *image_json(const char *text, size_t len, const char *what, struct error *err)
{
    json_error_t where;
    json_t *root = json_loadb(text, len, 0, &where);

    if (!root)
        error_set(err, -EINVAL, "%s is not valid JSON: line %d: %s", what, where.line, where.text);
    return root;
}

static json_t *member(const json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);

    return json_is_null(v) ? NULL : v;
}

int image_json_text(const json_t *o, const char *key, const char **ret, struct error *err)
{
    json_t *v = member(o, key);

    if (v && !json_is_string(v))
        return error_set(err, -EINVAL, "\"%s\" is not a string", key);
    *ret = v ? json_string_value(v) : "";
    return 0;
}

int image_json_list(const json_t *o, const char *key, size_t max, char ***ret, struct error *err)
{
    json_t *v = member(o, key);
    size_t n = json_array_size(v);
    char **list;

    if (v && !json_is_array(v))
        return error_set(err, -EINVAL, "\"%s\" is not an array", key);
    if (n > max)
        return error_set(err, -E2BIG, "\"%s\" has %zu entries; at most %zu are taken", key, n, max);
    list = mem_alloc(n + 1, sizeof *list);
    if (!list)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(v, i));
        list[i] = text ? strdup(text) : NULL;
        if (!list[i]) {
            image_strings_free(list);
            return error_set(err, text ? -ENOMEM : -EINVAL, "\"%s\"[%zu] is not a string", key, i);
        }
    }
    *ret = list;
    return 0;
}

int image_json_keys(const json_t *o, const char *key, size_t max, char ***ret, struct error *err)
{
    json_t *v = member(o, key), *value;
    size_t n = json_object_size(v), i = 0;
    const char *name;
    char **list;

    if (v && !json_is_object(v))
        return error_set(err, -EINVAL, "\"%s\" is not an object", key);
    if (n > max)
        return error_set(err, -E2BIG, "\"%s\" has %zu entries; at most %zu are taken", key, n, max);
    list = mem_alloc(n + 1, sizeof *list);
    if (!list)
        return error_set(err, -ENOMEM, "out of memory");
    json_object_foreach(v, name, value)
    {
        list[i] = strdup(name);
        if (!list[i++]) {
            image_strings_free(list);
            return error_set(err, -ENOMEM, "out of memory");
        }
    }
    *ret = list;
    return 0;
}

int image_json_u64(const json_t *o, const char *key, uint64_t *ret, struct error *err)
{
    json_t *v = member(o, key);

    if (v && (!json_is_integer(v) || json_integer_value(v) < 0))
        return error_set(err, -EINVAL, "\"%s\" is not a whole number", key);
    *ret = v ? (uint64_t)json_integer_value(v) : 0;
    return 0;
}

void image_strings_free(char **list)
{
    for (char **p = list; p && *p; p++)
        free(*p);
    free(list);
}

size_t image_strings_count(char *const *list)
{
    size_t n = 0;

    while (list && list[n])
        n++;
    return n;
}

bool image_strings_have(char *const *list, const char *text)
{
    for (; list && *list; list++) {
        if (strcmp(*list, text) == 0)
            return true;
    }
    return false;
}
