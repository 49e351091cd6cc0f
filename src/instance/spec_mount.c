/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts as people say them: -v, --tmpfs and --mount. */
#include <ctype.h>
#include <errno.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "instance/spec_internal.h"

const char *const spec_mount_names[] = {"bind", "volume", "tmpfs", NULL};

/* Options that pass on to the kernel as they are; others are refused here and not at the start. */
static const char plain_options[] =
    " exec noexec suid nosuid dev nodev atime noatime relatime norelatime strictatime diratime "
    "nodiratime sync async shared rshared slave rslave private rprivate unbindable runbindable "
    "bind rbind ";

void spec_mount_clear(struct spec_mount *m)
{
    free(m->source);
    free(m->target);
    free(m->options);
    *m = (struct spec_mount){0};
}

/* Collapses "//" and "/./" and takes off the last "/"; ".." is refused. */
static int clean_target(char *path, struct error *err)
{
    char *to = path;

    if (*path != '/')
        return error_set(err, -EINVAL, "\"%.60s\" is not an absolute path in the container", path);
    for (char *p = path; *p;) {
        size_t n;
        while (*p == '/')
            p++;
        n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return error_set(err, -EINVAL, "a path with \"..\"");
        if (n && !(n == 1 && *p == '.')) {
            *to++ = '/';
            memmove(to, p, n);
            to += n;
        }
        p += n;
    }
    if (to == path)
        return error_set(err, -EINVAL, "the root directory can not be mounted over");
    *to = 0;
    return 0;
}

int spec_put_mount(struct spec *s, struct spec_mount *m, struct error *err)
{
    struct spec_container *c = &s->container;
    int r = m->target ? clean_target(m->target, err)
                      : error_set(err, -EINVAL, "the target is missing: where in the container?");

    if (r == 0 && m->type == SPEC_MOUNT_BIND && (!m->source || *m->source != '/'))
        r = error_set(err, -EINVAL, "a bind mount needs an absolute source");
    if (r == 0 && m->type == SPEC_MOUNT_VOLUME && m->source && !spec_name_ok(m->source))
        r = error_set(err, -EINVAL, "\"%.60s\" is no name of a volume", m->source);
    if (r == 0 && m->type == SPEC_MOUNT_TMPFS && m->source)
        r = error_set(err, -EINVAL, "a tmpfs has no source");
    if (r == 0 && c->mount_count == SPEC_MOUNTS)
        r = error_set(err, -ENOSPC, "more than %d mounts", SPEC_MOUNTS);
    for (size_t i = 0; r == 0 && i < c->mount_count; i++)
        if (strcmp(c->mounts[i].target, m->target) == 0)
            r = error_set(err, -EINVAL, "%s is mounted twice", m->target);
    if (r < 0) {
        spec_mount_clear(m);
        return r;
    }
    c->mounts[c->mount_count++] = *m;
    *m = (struct spec_mount){0};
    return 0;
}

/* One word of -v's or --tmpfs's options. */
static int mount_option(struct spec_mount *m, const char *word, struct str *kept, struct error *err)
{
    cleanup_free char *padded = str_format(" %s ", word);
    bool tmpfs = m->type == SPEC_MOUNT_TMPFS;

    if (!padded)
        return error_set(err, -ENOMEM, "out of memory");
    if (strcmp(word, "ro") == 0 || strcmp(word, "readonly") == 0 || strcmp(word, "rw") == 0) {
        m->readonly = word[1] != 'w';
        return 0;
    }
    if (strcmp(word, "nocopy") == 0 && m->type == SPEC_MOUNT_VOLUME) {
        m->no_copy = true;
        return 0;
    }
    /* SELinux labels and consistency levels of other systems change nothing here. */
    if (strcmp(word, "z") == 0 || strcmp(word, "Z") == 0 || strcmp(word, "cached") == 0 ||
        strcmp(word, "delegated") == 0 || strcmp(word, "consistent") == 0)
        return 0;
    if (!strstr(plain_options, padded) &&
        !(tmpfs &&
          (str_starts(word, "size=") || str_starts(word, "mode=") || str_starts(word, "uid=") ||
           str_starts(word, "gid=") || str_starts(word, "nr_inodes="))))
        return error_set(err, -EINVAL, "\"%.40s\" is not an option of a mount", word);
    str_addf(kept, "%s%s", kept->len ? "," : "", word);
    return 0;
}

/* Options separated by commas. Modifies @text. */
static int mount_options(struct spec_mount *m, char *text, struct error *err)
{
    struct str kept = {0};
    char *save = NULL;
    int r = 0;

    for (char *w = strtok_r(text, ",", &save); r == 0 && w; w = strtok_r(NULL, ",", &save))
        r = mount_option(m, w, &kept, err);
    if (r == 0 && kept.len) {
        free(m->options);
        m->options = str_steal(&kept);
        if (!m->options)
            r = error_set(err, -ENOMEM, "out of memory");
    }
    str_done(&kept);
    return r;
}

static int dup_to(char **member, const char *text, struct error *err)
{
    free(*member);
    *member = strdup(text);
    return *member ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* A source with a slash or beginning with a dot is a path; else it is a volume. */
static int set_source(struct spec_mount *m, const char *text, struct error *err)
{
    m->type =
        strchr(text, '/') || *text == '.' || *text == '~' ? SPEC_MOUNT_BIND : SPEC_MOUNT_VOLUME;
    return m->type == SPEC_MOUNT_BIND ? spec_absolute(text, &m->source, err)
                                      : dup_to(&m->source, text, err);
}

int spec_add_volume(struct spec *s, const char *text, struct error *err)
{
    struct spec_mount m = {.type = SPEC_MOUNT_VOLUME, .create = true};
    cleanup_free char *copy = strdup(text);
    char *target, *options;
    int r = 0;

    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    target = strchr(copy, ':');
    if (target) {
        *target++ = 0;
        options = strchr(target, ':');
        if (options)
            *options++ = 0;
        r = *copy ? set_source(&m, copy, err) : error_set(err, -EINVAL, "the source is empty");
        if (r == 0)
            r = dup_to(&m.target, target, err);
        if (r == 0 && options)
            r = mount_options(&m, options, err);
    } else {
        r = dup_to(&m.target, copy, err);
    }
    m.create &= m.type == SPEC_MOUNT_BIND;
    if (r == 0)
        return spec_put_mount(s, &m, err);
    spec_mount_clear(&m);
    return r;
}

int spec_add_tmpfs(struct spec *s, const char *text, struct error *err)
{
    struct spec_mount m = {.type = SPEC_MOUNT_TMPFS};
    size_t n = strcspn(text, ":");
    cleanup_free char *options = text[n] ? strdup(text + n + 1) : NULL;
    int r;

    m.target = strndup(text, n);
    r = m.target && (options || !text[n]) ? 0 : error_set(err, -ENOMEM, "out of memory");
    if (r == 0 && options)
        r = mount_options(&m, options, err);
    if (r == 0)
        return spec_put_mount(s, &m, err);
    spec_mount_clear(&m);
    return r;
}

/* One key of --mount. */
static int mount_key(struct spec_mount *m, const char *key, char *value, struct error *err)
{
    unsigned type;
    int r = 0;

    if (strcmp(key, "readonly") == 0 || strcmp(key, "ro") == 0 || strcmp(key, "rw") == 0 ||
        strcmp(key, "volume-nocopy") == 0) {
        bool on = !value || strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
        if (*key == 'v')
            m->no_copy = on;
        else
            m->readonly = key[1] == 'w' ? !on : on;
        return 0;
    }
    if (!value)
        return error_set(err, -EINVAL, "\"%.40s\" has no value", key);
    if (strcmp(key, "type") == 0) {
        r = spec_parse_enum(spec_mount_names, value, &type, err);
        m->type = type;
        return r;
    }
    if (strcmp(key, "source") == 0 || strcmp(key, "src") == 0)
        return dup_to(&m->source, value, err);
    if (strcmp(key, "target") == 0 || strcmp(key, "dst") == 0 || strcmp(key, "destination") == 0)
        return dup_to(&m->target, value, err);
    if (strcmp(key, "bind-propagation") == 0)
        return mount_options(m, value, err);
    if (strcmp(key, "tmpfs-size") == 0 || strcmp(key, "tmpfs-mode") == 0) {
        cleanup_free char *option = str_format("%s%s%s=%s", m->options ? m->options : "",
                                               m->options ? "," : "", key + 6, value);
        return option ? mount_options(m, option, err) : error_set(err, -ENOMEM, "out of memory");
    }
    if (strcmp(key, "consistency") == 0)
        return 0;
    return error_set(err, -EINVAL,
                     "\"%.40s\" is none of type, source, target, readonly, volume-nocopy, "
                     "bind-propagation, tmpfs-size, tmpfs-mode",
                     key);
}

/* The next field of a line of comma-separated values, where "..." protects commas (RFC 4180). */
static char *next_field(char **at)
{
    char *from = *at, *to = from, *start = from;
    bool quoted = false;

    if (!from)
        return NULL;
    for (; *from && (quoted || *from != ','); from++) {
        if (*from == '"' && quoted && from[1] == '"')
            *to++ = *from++;
        else if (*from == '"')
            quoted = !quoted;
        else
            *to++ = *from;
    }
    *at = *from ? from + 1 : NULL;
    *to = 0;
    return start;
}

int spec_add_mount(struct spec *s, const char *text, struct error *err)
{
    struct spec_mount m = {.type = SPEC_MOUNT_VOLUME};
    cleanup_free char *copy = strdup(text);
    char *at = copy, *absolute = NULL;
    int r = copy ? 0 : error_set(err, -ENOMEM, "out of memory");

    for (char *key; r == 0 && (key = next_field(&at));) {
        char *value = strchr(key, '=');
        if (value)
            *value++ = 0;
        r = mount_key(&m, key, value, err);
    }
    if (r == 0 && m.type == SPEC_MOUNT_BIND && m.source) {
        r = spec_absolute(m.source, &absolute, err);
        if (r == 0) {
            free(m.source);
            m.source = absolute;
        }
    }
    if (r == 0)
        return spec_put_mount(s, &m, err);
    spec_mount_clear(&m);
    return r;
}
