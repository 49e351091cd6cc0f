/* SPDX-License-Identifier: Apache-2.0 */
#include "container/mount_options.h"

#include <errno.h>
#include <linux/mount.h>
#include <string.h>

#include "base/mem.h"

enum word_kind {
    WORD_SET,
    WORD_CLEAR,
    WORD_SET_ALL,
    WORD_CLEAR_ALL,
    WORD_PROPAGATION,
    WORD_BIND,
    WORD_RBIND,
    WORD_COPY_UP,
    WORD_IDMAP,
    WORD_RIDMAP,
    WORD_IGNORE, /* says nothing beyond the defaults */
    WORD_FLAG,   /* of the file system's instance: goes to it as it is */
};

static const struct {
    const char *word;
    enum word_kind kind;
    uint64_t value;
} words[] = {
    {"async", WORD_IGNORE, 0},
    {"atime", WORD_CLEAR, MOUNT_ATTR_NOATIME},
    {"bind", WORD_BIND, 0},
    {"defaults", WORD_IGNORE, 0},
    {"dev", WORD_CLEAR, MOUNT_ATTR_NODEV},
    {"diratime", WORD_CLEAR, MOUNT_ATTR_NODIRATIME},
    {"dirsync", WORD_FLAG, 0},
    {"exec", WORD_CLEAR, MOUNT_ATTR_NOEXEC},
    {"idmap", WORD_IDMAP, 0},
    {"iversion", WORD_FLAG, 0},
    {"lazytime", WORD_FLAG, 0},
    {"loud", WORD_IGNORE, 0},
    {"mand", WORD_FLAG, 0},
    {"noatime", WORD_SET, MOUNT_ATTR_NOATIME},
    {"nodev", WORD_SET, MOUNT_ATTR_NODEV},
    {"nodiratime", WORD_SET, MOUNT_ATTR_NODIRATIME},
    {"noexec", WORD_SET, MOUNT_ATTR_NOEXEC},
    {"noiversion", WORD_IGNORE, 0},
    {"nolazytime", WORD_IGNORE, 0},
    {"nomand", WORD_IGNORE, 0},
    {"norelatime", WORD_CLEAR, MOUNT_ATTR_STRICTATIME},
    {"nostrictatime", WORD_CLEAR, MOUNT_ATTR_STRICTATIME},
    {"nosuid", WORD_SET, MOUNT_ATTR_NOSUID},
    {"nosymfollow", WORD_SET, MOUNT_ATTR_NOSYMFOLLOW},
    {"private", WORD_PROPAGATION, MS_PRIVATE},
    {"ratime", WORD_CLEAR_ALL, MOUNT_ATTR_NOATIME},
    {"rbind", WORD_RBIND, 0},
    {"rdev", WORD_CLEAR_ALL, MOUNT_ATTR_NODEV},
    {"rdiratime", WORD_CLEAR_ALL, MOUNT_ATTR_NODIRATIME},
    {"relatime", WORD_CLEAR, MOUNT_ATTR__ATIME},
    {"remount", WORD_IGNORE, 0},
    {"rexec", WORD_CLEAR_ALL, MOUNT_ATTR_NOEXEC},
    {"ridmap", WORD_RIDMAP, 0},
    {"rnoatime", WORD_SET_ALL, MOUNT_ATTR_NOATIME},
    {"rnodev", WORD_SET_ALL, MOUNT_ATTR_NODEV},
    {"rnodiratime", WORD_SET_ALL, MOUNT_ATTR_NODIRATIME},
    {"rnoexec", WORD_SET_ALL, MOUNT_ATTR_NOEXEC},
    {"rnorelatime", WORD_CLEAR_ALL, MOUNT_ATTR_STRICTATIME},
    {"rnostrictatime", WORD_CLEAR_ALL, MOUNT_ATTR_STRICTATIME},
    {"rnosuid", WORD_SET_ALL, MOUNT_ATTR_NOSUID},
    {"rnosymfollow", WORD_SET_ALL, MOUNT_ATTR_NOSYMFOLLOW},
    {"ro", WORD_SET, MOUNT_ATTR_RDONLY},
    {"rprivate", WORD_PROPAGATION, MS_PRIVATE | MS_REC},
    {"rrelatime", WORD_CLEAR_ALL, MOUNT_ATTR__ATIME},
    {"rro", WORD_SET_ALL, MOUNT_ATTR_RDONLY},
    {"rrw", WORD_CLEAR_ALL, MOUNT_ATTR_RDONLY},
    {"rshared", WORD_PROPAGATION, MS_SHARED | MS_REC},
    {"rslave", WORD_PROPAGATION, MS_SLAVE | MS_REC},
    {"rstrictatime", WORD_SET_ALL, MOUNT_ATTR_STRICTATIME},
    {"rsuid", WORD_CLEAR_ALL, MOUNT_ATTR_NOSUID},
    {"rsymfollow", WORD_CLEAR_ALL, MOUNT_ATTR_NOSYMFOLLOW},
    {"runbindable", WORD_PROPAGATION, MS_UNBINDABLE | MS_REC},
    {"rw", WORD_CLEAR, MOUNT_ATTR_RDONLY},
    {"shared", WORD_PROPAGATION, MS_SHARED},
    {"silent", WORD_FLAG, 0},
    {"slave", WORD_PROPAGATION, MS_SLAVE},
    {"strictatime", WORD_SET, MOUNT_ATTR_STRICTATIME},
    {"suid", WORD_CLEAR, MOUNT_ATTR_NOSUID},
    {"symfollow", WORD_CLEAR, MOUNT_ATTR_NOSYMFOLLOW},
    {"sync", WORD_FLAG, 0},
    {"tmpcopyup", WORD_COPY_UP, 0},
    {"unbindable", WORD_PROPAGATION, MS_UNBINDABLE},
};

const char *mount_options_word(size_t index)
{
    return index < array_size(words) ? words[index].word : NULL;
}

/* A later word wins over an earlier one that says the opposite. */
static void change(uint64_t *set, uint64_t *clear, uint64_t value, bool on)
{
    uint64_t group = value & MOUNT_ATTR__ATIME ? (uint64_t)MOUNT_ATTR__ATIME : value;
    *set = (*set & ~group) | (on ? value : 0);
    *clear = (*clear & ~group) | (on ? 0 : value);
}

static void apply(struct mount_options *o, size_t at)
{
    uint64_t value = words[at].value;
    switch (words[at].kind) {
    case WORD_SET:
    case WORD_CLEAR:
        change(&o->set, &o->clear, value, words[at].kind == WORD_SET);
        break;
    case WORD_SET_ALL:
    case WORD_CLEAR_ALL:
        change(&o->set_all, &o->clear_all, value, words[at].kind == WORD_SET_ALL);
        break;
    case WORD_PROPAGATION:
        o->propagation = (unsigned long)value;
        break;
    case WORD_RBIND:
        o->recursive = true;
        o->bind = true;
        break;
    case WORD_BIND:
        o->bind = true;
        break;
    case WORD_COPY_UP:
        o->copy_up = true;
        break;
    case WORD_RIDMAP:
        o->idmap_recursive = true;
        o->idmap = true;
        break;
    case WORD_IDMAP:
        o->idmap = true;
        break;
    case WORD_IGNORE:
    case WORD_FLAG:
        break;
    }
}

int mount_options_parse(const struct oci_strings *options, struct mount_options *ret,
                        int (*data)(void *opaque, const char *key, size_t key_len,
                                    const char *value),
                        void *opaque, struct error *err)
{
    struct mount_options o = {0};
    for (size_t i = 0; i < options->n; i++) {
        const char *text = options->v[i];
        size_t at = 0;
        while (at < array_size(words) && strcmp(words[at].word, text) != 0)
            at++;
        if (at < array_size(words) && words[at].kind != WORD_FLAG) {
            apply(&o, at);
            continue;
        }
        if (!*text)
            continue;
        const char *value = strchr(text, '=');
        size_t len = value ? (size_t)(value - text) : strlen(text);
        int r = data(opaque, text, len, value ? value + 1 : NULL);
        if (r < 0)
            return error_wrap(err, r, "option \"%s\"", text);
    }
    *ret = o;
    return 0;
}
