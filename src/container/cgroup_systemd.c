/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroup driver "systemd": a transient scope that systemd makes and delegates. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "container/cgroup_internal.h"

int cgroup_systemd_scope(const struct cgroup_place *place, char **ret_path, int *ret_holder,
                         struct error *err)
{
    if (access("/run/systemd/system", F_OK) < 0)
        return error_set(err, -ENOTSUP,
                         "the systemd cgroup driver was asked for and no systemd runs here (no "
                         "/run/systemd/system): run without --systemd-cgroup, or give the caller "
                         "the cgroup manager cgroupfs");
    return error_set(err, -ENOTSUP, "the systemd cgroup driver is not supported yet: use cgroupfs");
}
