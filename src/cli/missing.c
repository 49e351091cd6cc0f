/* SPDX-License-Identifier: Apache-2.0 */
/* What people look for from other tools and do not find yet: say so instead of "unknown". */
#include <string.h>

#include "base/mem.h"
#include "cli/option.h"

#define NEEDS_AGENT "it needs an agent in the guest; use attach for the console"

struct missing {
    const char *names; /* separated by blanks */
    const char *text;
};

static const struct missing missing_verbs[] = {
    {"network networks", "virtual networks are not built yet; use run --network nat|none|host"},
    {"checkpoint", "use isola snapshot for what a machine is now"},
    {"compose stack swarm service node", "start instances one by one with isola run"},
    {"serve context", "there is no network interface yet; run isola on the host itself"},
};

static const struct missing missing_options[] = {
    {"ip6 network-alias link mac-address",
     "virtual networks are not built yet; use --network nat|none|host and --publish"},
    {"gpus", "graphics processors cannot be passed to an instance; --device passes single devices"},
    {"log-driver", "logs are kept by Isola; see --log-max-size and isola logs"},
    {"runtime isolation", "the wall is chosen by --vm"},
    {"blkio-weight device-read-bps device-write-bps device-read-iops device-write-iops",
     "limits of disks' speed are not built yet"},
    {"kernel-memory memory-swappiness", "the kernel has no such limit any more"},
    {"use-api-socket", "there is no daemon"},
    {"label-file", "labels are given by --label"},
};

static const char *find(const struct missing *table, size_t count, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < count; i++) {
        for (const char *p = table[i].names; *p; p += strcspn(p, " "), p += *p == ' ') {
            if (strcspn(p, " ") == n && strncmp(p, name, n) == 0)
                return table[i].text;
        }
    }
    return NULL;
}

const char *verb_missing(const char *name)
{
    return find(missing_verbs, array_size(missing_verbs), name);
}

const char *option_missing(const char *option)
{
    return find(missing_options, array_size(missing_options), option);
}
