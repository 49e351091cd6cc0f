/* SPDX-License-Identifier: Apache-2.0 */
#include "base/passwd.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/mem.h"

enum { FIELDS = 7 };

/* A part of a text. */
struct part {
    const char *at;
    size_t len;
};

/* Splits the next line at *at into fields. False at the end. */
static bool next_line(const char **at, struct part fields[FIELDS])
{
    const char *line = *at;
    size_t left = strcspn(line, "\n");

    if (!*line)
        return false;
    *at = line + left + (line[left] == '\n');
    for (size_t n = 0; n < FIELDS; n++) {
        const char *colon = memchr(line, ':', left);
        size_t len = colon ? (size_t)(colon - line) : left;
        fields[n] = (struct part){line, len};
        line += len;
        left -= len;
        if (left) { /* the colon */
            line++;
            left--;
        }
    }
    return true;
}

static bool same(const struct part *p, const char *text, size_t len)
{
    return p->len == len && memcmp(p->at, text, len) == 0;
}

static bool parse_id(const char *text, size_t len, uint32_t *ret)
{
    uint64_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(text[i] - '0');
        if (n >= UINT32_MAX) /* that id means "no change" */
            return false;
    }
    *ret = (uint32_t)n;
    return len > 0;
}

static int add_group(struct passwd_user *u, uint32_t gid, struct error *err)
{
    for (size_t i = 0; i < u->group_count; i++)
        if (u->groups[i] == gid)
            return 0;
    if (u->group_count == PASSWD_GROUPS_MAX)
        return error_set(err, -ENOSPC, "user: more than %d groups", PASSWD_GROUPS_MAX);
    u->groups[u->group_count++] = gid;
    return 0;
}

/* The user of @len characters. *ret_name: his name, empty when he has no entry. */
static int find_user(const char *passwd, const char *name, size_t len, struct passwd_user *u,
                     struct part *ret_name, struct error *err)
{
    struct part f[FIELDS];
    uint32_t number = 0, uid, gid;
    bool is_number = parse_id(name, len, &number);

    *ret_name = (struct part){"", 0};
    while (next_line(&passwd, f)) {
        if (!parse_id(f[2].at, f[2].len, &uid) || !parse_id(f[3].at, f[3].len, &gid))
            continue;
        /* A name of digits is a name first, as in chown(1). */
        if (!same(&f[0], name, len) && !(is_number && uid == number))
            continue;
        u->uid = uid;
        u->gid = gid;
        if (f[5].len && f[5].at[0] == '/')
            snprintf(u->home, sizeof u->home, "%.*s", (int)min_of(f[5].len, sizeof u->home - 1),
                     f[5].at);
        *ret_name = f[0];
        return 0;
    }
    if (!is_number)
        return error_set(err, -ENOENT, "user \"%.*s\": not in /etc/passwd",
                         (int)min_of(len, (size_t)60), name);
    u->uid = number;
    return 0;
}

static int find_group(const char *group, const char *name, size_t len, uint32_t *ret,
                      struct error *err)
{
    struct part f[FIELDS];

    while (next_line(&group, f))
        if (same(&f[0], name, len) && parse_id(f[2].at, f[2].len, ret))
            return 0;
    if (parse_id(name, len, ret))
        return 0;
    return error_set(err, -ENOENT, "group \"%.*s\": not in /etc/group",
                     (int)min_of(len, (size_t)60), name);
}

/* Whether @name is in the list "a,b,c". */
static bool is_member(const struct part *list, const struct part *name)
{
    const char *at = list->at;
    size_t left = list->len;

    while (name->len) {
        const char *comma = memchr(at, ',', left);
        struct part one = {at, comma ? (size_t)(comma - at) : left};
        if (same(&one, name->at, name->len))
            return true;
        if (!comma)
            break;
        left -= one.len + 1;
        at = comma + 1;
    }
    return false;
}

static int add_memberships(const char *group, const struct part *name, struct passwd_user *u,
                           struct error *err)
{
    struct part f[FIELDS];
    uint32_t gid;
    int r = 0;

    while (r == 0 && next_line(&group, f))
        if (is_member(&f[3], name) && parse_id(f[2].at, f[2].len, &gid))
            r = add_group(u, gid, err);
    return r;
}

int passwd_find(const char *passwd, const char *group, const char *user, const char *const *groups,
                size_t group_count, struct passwd_user *ret, struct error *err)
{
    struct passwd_user *u = mem_new(struct passwd_user);
    const char *text = user ? user : "";
    size_t len = strcspn(text, ":");
    const char *own = text[len] ? text + len + 1 : "";
    struct part name;
    uint32_t gid;
    int r;

    if (!u)
        return error_set(err, -ENOMEM, "out of memory");
    strcpy(u->home, "/");
    r = len ? find_user(passwd, text, len, u, &name, err)
            : find_user(passwd, "0", 1, u, &name, err);
    if (r == 0 && *own)
        r = find_group(group, own, strlen(own), &u->gid, err);
    else if (r == 0) /* a group that was said replaces the user's own */
        r = add_memberships(group, &name, u, err);
    for (size_t i = 0; r == 0 && i < group_count; i++) {
        r = find_group(group, groups[i], strlen(groups[i]), &gid, err);
        if (r == 0)
            r = add_group(u, gid, err);
    }
    if (r == 0)
        *ret = *u;
    free(u);
    return r;
}
