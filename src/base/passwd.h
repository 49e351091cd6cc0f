/* SPDX-License-Identifier: Apache-2.0 */
/* Users and groups as the texts of passwd(5) and group(5) name them: hostile texts of an image. */
#ifndef BASE_PASSWD_H
#define BASE_PASSWD_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { PASSWD_GROUPS_MAX = 256 };

struct passwd_user {
    uint32_t uid, gid;
    uint32_t groups[PASSWD_GROUPS_MAX]; /* additional ones */
    size_t group_count;
    char home[256]; /* "/" when nobody says */
};

/*
 * Finds @user ("" or NULL: root), which is NAME or UID with an optional :GROUP or :GID, and the
 * @group_count additional @groups in the texts @passwd and @group. A number needs no entry.
 * -ENOENT: no such user or group; -ENOSPC: too many groups; -ENOMEM.
 */
int passwd_find(const char *passwd, const char *group, const char *user, const char *const *groups,
                size_t group_count, struct passwd_user *ret, struct error *err) error_must_check;

#endif
