/* SPDX-License-Identifier: Apache-2.0 */
#include "build/ignore.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "build/words.h"

struct ignore {
    struct pattern {
        char *text;
        bool exception;
    } * list;
    size_t count;
    bool exceptions;
};

/* Splits @path in place at "/". */
static size_t split(char *path, const char **parts)
{
    size_t n = 0;
    char *part;

    while ((part = strsep(&path, "/")) && n < IGNORE_COMPONENTS_MAX)
        if (*part)
            parts[n++] = part;
    return n;
}

/*
 * row[j]: whether the patterns so far match the first j components. One row per component of the
 * pattern, so that "**" costs no recursion.
 */
static bool match_parts(const char **pattern, size_t np, const char **path, size_t n)
{
    bool row[IGNORE_COMPONENTS_MAX + 1] = {true};

    for (size_t i = 0; i < np; i++) {
        bool before = row[0], any = strcmp(pattern[i], "**") == 0;
        row[0] = row[0] && any;
        for (size_t j = 1; j <= n; j++) {
            bool was = row[j];
            row[j] = any ? was || row[j - 1] : before && words_match(pattern[i], path[j - 1], '\\');
            before = was;
        }
    }
    return row[n];
}

bool path_match(const char *pattern, const char *path)
{
    const char *pattern_parts[IGNORE_COMPONENTS_MAX], *parts[IGNORE_COMPONENTS_MAX];
    char a[PATH_MAX], b[PATH_MAX];

    if (strlen(pattern) >= sizeof(a) || strlen(path) >= sizeof(b))
        return false;
    strcpy(a, pattern);
    strcpy(b, path);
    return match_parts(pattern_parts, split(a, pattern_parts), parts, split(b, parts));
}

static bool clean(const char *path, char *out, size_t size, bool clamp)
{
    size_t used = 0;

    while (*path) {
        size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.') {
            if (!used && !clamp)
                return false;
            while (used && out[used - 1] != '/')
                used--;
            used -= used > 0;
        } else if (n && !(n == 1 && *path == '.')) {
            if (used + (used > 0) + n >= size)
                return false;
            if (used)
                out[used++] = '/';
            memcpy(out + used, path, n);
            used += n;
        }
        path += n + (path[n] == '/');
    }
    out[used] = 0;
    return true;
}

bool path_clean(const char *path, char *out, size_t size)
{
    return clean(path, out, size, false);
}

bool path_clean_root(const char *path, char *out, size_t size)
{
    return clean(path, out, size, true);
}

int ignore_add(struct ignore *g, const char *pattern, struct error *err)
{
    char path[PATH_MAX];
    struct pattern *more;
    bool exception = *pattern == '!';

    if (exception)
        pattern++;
    if (!path_clean(pattern, path, sizeof(path)))
        return error_set(err, -EINVAL, "the pattern \"%.60s\" leads outside", pattern);
    if (!path[0])
        return 0;
    if (g->count == IGNORE_PATTERNS_MAX)
        return error_set(err, -E2BIG, "more than %d patterns", IGNORE_PATTERNS_MAX);
    more = realloc(g->list, (g->count + 1) * sizeof(*more));
    if (more)
        g->list = more;
    if (!more || !(g->list[g->count].text = strdup(path)))
        return error_set_errno(err, -ENOMEM, "read patterns");
    g->list[g->count++].exception = exception;
    g->exceptions |= exception;
    return 0;
}

struct ignore *ignore_parse(const char *text, size_t n, struct error *err)
{
    struct ignore *g = mem_new(struct ignore);
    const char *end = text + n;
    int r = g ? 0 : error_set_errno(err, -ENOMEM, "read patterns");

    for (const char *p = text; r == 0 && p < end;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;
        char line[PATH_MAX];
        size_t len;

        while (p < stop && strchr(" \t", *p))
            p++;
        len = (size_t)(stop - p);
        while (len && strchr(" \t\r", p[len - 1]))
            len--;
        if (len >= sizeof(line) || memchr(p, 0, len)) {
            r = error_set(err, -EINVAL, "a pattern is too long or holds NUL");
        } else if (len && *p != '#') {
            memcpy(line, p, len);
            line[len] = 0;
            r = ignore_add(g, line, err);
        }
        p = nl ? nl + 1 : end;
    }
    if (r == 0)
        return g;
    ignore_free(g);
    return NULL;
}

void ignore_free(struct ignore *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->count; i++)
        free(g->list[i].text);
    free(g->list);
    free(g);
}

bool ignore_has_exceptions(const struct ignore *g)
{
    return g && g->exceptions;
}

bool ignore_matches(const struct ignore *g, const char *path)
{
    char above[PATH_MAX];
    bool out = false;

    if (!g || strlen(path) >= sizeof(above))
        return false;
    for (size_t i = 0; i < g->count; i++) {
        if (g->list[i].exception != out)
            continue; /* would change nothing */
        strcpy(above, path);
        for (;;) {
            char *slash;
            if (path_match(g->list[i].text, above)) {
                out = !out;
                break;
            }
            if (!(slash = strrchr(above, '/')))
                break;
            *slash = 0;
        }
    }
    return out;
}
