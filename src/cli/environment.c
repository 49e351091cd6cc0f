/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/environment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"

void environment_done(struct environment *env)
{
    for (size_t i = 0; i < env->count; i++)
        free(env->items[i]);
    free(env->items);
    *env = (struct environment){0};
}

/* @item is taken. */
static int put(struct environment *env, char *item, struct error *err)
{
    char **items = item ? reallocarray(env->items, env->count + 2, sizeof(*items)) : NULL;

    if (!items) {
        free(item);
        return error_set(err, -ENOMEM, "out of memory");
    }
    env->items = items;
    items[env->count++] = item;
    items[env->count] = NULL;
    return 0;
}

static int add(struct environment *env, const char *text, struct error *err)
{
    const char *value;

    if (!*text || *text == '=')
        return error_set(err, -EINVAL, "\"%.40s\" is not NAME=VALUE", text);
    if (strchr(text, '='))
        return put(env, strdup(text), err);
    value = getenv(text);
    return value ? put(env, str_format("%s=%s", text, value), err) : 0;
}

/* Lines of NAME=VALUE or NAME; blank ones and comments are skipped. */
static int add_file(struct environment *env, const char *path, struct error *err)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    int r = 0;
    ssize_t n;

    if (!file)
        return error_set_errno(err, -errno, "read %s", path);
    for (unsigned number = 1; r == 0 && (n = getline(&line, &size, file)) >= 0; number++) {
        char *text = line + strspn(line, " \t");
        if (n && line[n - 1] == '\n')
            line[n - 1] = 0;
        if (*text && *text != '#')
            r = add(env, text, err);
        if (r < 0)
            error_wrap(err, r, "%s: line %u", path, number);
    }
    free(line);
    fclose(file);
    return r;
}

int environment_from_args(const struct args *args, struct environment *ret, struct error *err)
{
    const char *text;
    int r = 0;

    for (size_t i = 0; r == 0 && (text = args_list(args, "env-file", i)); i++)
        r = add_file(ret, text, err);
    for (size_t i = 0; r == 0 && (text = args_list(args, "env", i)); i++) {
        r = add(ret, text, err);
        if (r < 0)
            error_wrap(err, r, "option --env");
    }
    return r;
}
