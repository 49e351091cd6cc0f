/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which ids a user has for the files of images, and user namespaces that map them. Root keeps ids
 * as they are. Others get 0 as themselves and from 1 on what /etc/subuid and /etc/subgid grant, by
 * newuidmap(1); without a grant there is only 0.
 */
#ifndef IMAGE_IDMAP_H
#define IMAGE_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum idmap_kind { IDMAP_ROOT, IDMAP_RANGES, IDMAP_SINGLE };

/* What this user has. */
enum idmap_kind idmap_kind(void);

struct idmap_range {
    uint32_t start, count; /* ids of the host */
};
/* What /etc/subuid (or with @groups /etc/subgid) grants to this user: at most @max ranges. */
size_t idmap_granted(bool groups, struct idmap_range *ret, size_t max);

/*
 * Writes the maps of the process @pid, which has just made its user namespace and waits. -EPERM and
 * such, with what to do.
 */
int idmap_write(pid_t pid, enum idmap_kind kind, struct error *err) error_must_check;

/* In the namespace, after idmap_write: becomes its root. A negative errno. */
int idmap_become_root(enum idmap_kind kind);

/*
 * Runs @fn in a child that sees the ids of images (with @kind IDMAP_ROOT: in this process). Returns
 * what it returned (0 to 255), or a negative errno.
 */
int idmap_run(int (*fn)(void *opaque), void *opaque, struct error *err) error_must_check;

#endif
