/* SPDX-License-Identifier: Apache-2.0 */
/* What people look for from other tools and do not find yet: say so instead of "unknown". */
#include <string.h>

#include "base/mem.h"
#include "cli/option.h"

#define NEEDS_IMAGES    "Isola has no images yet; use run --vm --kernel ..."
#define NEEDS_AGENT     "it needs an agent in the guest; use attach for the console"
#define NEEDS_CONTAINER "it belongs to containers, which are not supported yet"
#define NEEDS_VOLUMES   "Isola has no volumes yet; use --disk FILE"

struct missing {
    const char *names; /* separated by blanks */
    const char *text;
};

static const struct missing missing_verbs[] = {
    {"exec cp top diff export", NEEDS_AGENT},
    {"build pull push image images rmi tag login logout search import load save commit history",
     NEEDS_IMAGES},
    {"volume volumes", NEEDS_VOLUMES},
    {"network networks", "virtual networks are not built yet; use run --network nat|none"},
    {"snapshot checkpoint fork", "machine state cannot be saved yet; pause keeps it in memory"},
    {"update", "the resources of a running instance cannot be changed yet"},
    {"compose stack swarm service node", "start instances one by one with isola run"},
    {"serve context", "there is no network interface yet; run isola on the host itself"},
};

static const struct missing missing_options[] = {
    {"volume v mount tmpfs volumes-from", NEEDS_VOLUMES},
    {"env e env-file", "it needs an agent in the guest; the kernel passes NAME=value of --append "
                       "on to init"},
    {"hostname h", "it needs an agent in the guest; set the host name inside (help is --help)"},
    {"user u workdir w entrypoint init", NEEDS_AGENT},
    {"cap-add cap-drop privileged security-opt read-only cgroupns ipc pid userns ulimit",
     NEEDS_CONTAINER},
    {"pull platform", NEEDS_IMAGES},
    {"ip ip6 dns add-host network-alias link publish-all P expose",
     "virtual networks are not built yet; use --network nat|none and --publish"},
    {"device gpus", "host devices cannot be passed to a virtual machine yet"},
    {"stop-signal", "a virtual machine is stopped by its power button"},
    {"log-driver log-opt", "logs are kept by Isola; see --log-max-size and isola logs"},
    {"health-cmd health-interval health-retries health-timeout no-healthcheck", NEEDS_AGENT},
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
