/* SPDX-License-Identifier: Apache-2.0 */
/* Users and groups as the container's own files name them. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "instance/container_config.h"
#include "instance/root_path.h"

/* A file of more is no password file. */
enum { FILE_MAX_BYTES = 4 << 20, FIELDS = 7 };

/* The whole of a small file as text: new, "" when it is not there or is nothing to read. */
static char *read_text(int root, const char *path)
{
    cleanup_fd int fd = root_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    struct stat st;
    size_t len = 0;
    char *text;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES)
        return strdup("");
    text = malloc((size_t)st.st_size + 1);
    while (text && len < (size_t)st.st_size) {
        ssize_t n = read(fd, text + len, (size_t)st.st_size - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    if (text)
        text[len] = 0;
    return text;
}

/*
 * @path in the topmost of @roots that has it; a whiteout hides what is below. New, NULL: out of
 * memory.
 */
static char *read_layered(const char *const *roots, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        cleanup_fd int root = open(roots[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        cleanup_fd int fd = root < 0 ? -1 : root_open(root, path, O_PATH | O_NOFOLLOW, 0);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
            continue;
        if (S_ISCHR(st.st_mode))
            break; /* overlayfs: deleted here */
        return read_text(root, path);
    }
    return strdup("");
}

/* Splits the next line at @at into fields (in place). False at the end. */
static bool next_line(char **at, char *fields[FIELDS])
{
    char *line = *at, *end;
    size_t n = 0;

    if (!line || !*line)
        return false;
    end = strchr(line, '\n');
    if (end)
        *end++ = 0;
    *at = end;
    for (size_t i = 0; i < FIELDS; i++)
        fields[i] = (char *)"";
    while (n < FIELDS && line) {
        char *colon = strchr(line, ':');
        if (colon)
            *colon++ = 0;
        fields[n++] = line;
        line = colon;
    }
    return true;
}

static bool parse_id(const char *text, unsigned *ret)
{
    uint64_t n;

    if (!isdigit((unsigned char)*text) || str_parse_u64(text, &n) < 0 || n >= UINT32_MAX)
        return false;
    *ret = (unsigned)n;
    return true;
}

static int add_group(struct container_user *u, gid_t gid, struct error *err)
{
    for (size_t i = 0; i < u->group_count; i++)
        if (u->groups[i] == gid)
            return 0;
    if (u->group_count == CONTAINER_GROUPS_MAX)
        return error_set(err, -ENOSPC, "user: more than %d groups", CONTAINER_GROUPS_MAX);
    u->groups[u->group_count++] = gid;
    return 0;
}

/* The user @name (or number) of passwd @text (modified). *ret_name: his name, "" when unknown. */
static int find_user(char *text, const char *name, struct container_user *u, char *ret_name,
                     size_t size, struct error *err)
{
    char *fields[FIELDS], *at = text;
    unsigned number = 0;
    bool is_number = parse_id(name, &number);

    *ret_name = 0;
    while (next_line(&at, fields)) {
        unsigned uid, gid;
        if (!parse_id(fields[2], &uid) || !parse_id(fields[3], &gid))
            continue;
        /* A name of digits is a name first, as in chown(1). */
        if (strcmp(fields[0], name) != 0 && !(is_number && uid == number))
            continue;
        u->uid = uid;
        u->gid = gid;
        if (fields[5][0] == '/')
            snprintf(u->home, sizeof u->home, "%s", fields[5]);
        snprintf(ret_name, size, "%s", fields[0]);
        return 0;
    }
    if (!is_number)
        return error_set(err, -ENOENT, "user \"%.60s\": not in the container's /etc/passwd", name);
    u->uid = number;
    return 0;
}

/* Whether @name is in the list "a,b,c". */
static bool is_member(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == n && strncmp(p, name, n) == 0)
            return n > 0;
    return false;
}

/* The number of group @name in @text (a copy is taken apart). */
static int find_group(const char *text, const char *name, gid_t *ret, struct error *err)
{
    cleanup_free char *copy = strdup(text);
    char *fields[FIELDS], *at = copy;
    unsigned gid;

    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    while (next_line(&at, fields))
        if (strcmp(fields[0], name) == 0 && parse_id(fields[2], &gid)) {
            *ret = gid;
            return 0;
        }
    if (parse_id(name, &gid)) {
        *ret = gid;
        return 0;
    }
    return error_set(err, -ENOENT, "group \"%.60s\": not in the container's /etc/group", name);
}

static int add_memberships(const char *text, const char *name, struct container_user *u,
                           struct error *err)
{
    cleanup_free char *copy = strdup(text);
    char *fields[FIELDS], *at = copy;
    unsigned gid;
    int r = copy ? 0 : error_set(err, -ENOMEM, "out of memory");

    while (r == 0 && next_line(&at, fields))
        if (is_member(fields[3], name) && parse_id(fields[2], &gid))
            r = add_group(u, gid, err);
    return r;
}

int container_user_find(const char *const *roots, size_t root_count, const char *user,
                        const struct spec_list *groups, struct container_user *ret,
                        struct error *err)
{
    cleanup_free char *passwd = NULL, *group = NULL, *copy = strdup(user && *user ? user : "0");
    struct container_user u = {.home = "/"};
    char name[256], *colon = copy ? strchr(copy, ':') : NULL;
    int r;

    passwd = read_layered(roots, root_count, "etc/passwd");
    group = read_layered(roots, root_count, "etc/group");
    if (!copy || !passwd || !group)
        return error_set(err, -ENOMEM, "out of memory");
    if (colon)
        *colon++ = 0;
    r = find_user(passwd, *copy ? copy : "0", &u, name, sizeof name, err);
    if (r == 0 && colon && *colon)
        r = find_group(group, colon, &u.gid, err);
    else if (r == 0 && *name) /* a group that was said replaces the user's own */
        r = add_memberships(group, name, &u, err);
    for (size_t i = 0; r == 0 && groups && i < groups->count; i++) {
        gid_t gid;
        r = find_group(group, groups->items[i], &gid, err);
        if (r == 0)
            r = add_group(&u, gid, err);
    }
    if (r < 0)
        return r;
    *ret = u;
    return 0;
}
