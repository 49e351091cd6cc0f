/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes of containers. */
#include "cli/verb_table.h"

static const struct option create_options[] = {
    VALUE(OPTION_LIST, "label", 'l', "KEY=VALUE", "Attach a label; repeatable"),
    END,
};

static const struct option ls_options[] = {NAME_LIST_OPTIONS, END};
static const struct option inspect_options[] = {NAME_INSPECT_OPTIONS("{{.Mountpoint}}"), END};
static const struct option rm_options[] = {NAME_RM_OPTIONS, END};

static const struct option prune_options[] = {
    FLAG("all", 'a', "Those with names, too"),
    FLAG("force", 'f', "Do not ask", .alias = "yes"),
    END,
};

const struct verb volume_verbs[] = {
    {
        .name = "volume create",
        .group = "Host",
        .synopsis = "[OPTIONS] [NAME]",
        .brief = "Make a volume",
        .help = "Make a volume and print its name.",
        .man = "A volume is a directory that outlives containers: \"isola run -v NAME:DIR\" mounts "
               "it, and makes it when it is missing. When the first container mounts it, it gets "
               "what the image has in that directory.",
        .options = create_options,
        .examples = EXAMPLES({"isola volume create data", "A volume called data."}),
        .max = 1,
        .run = verb_volume_create,
    },
    {
        .name = "volume ls",
        .aliases = "volume_list",
        .group = "Host",
        .synopsis = "[OPTIONS]",
        .brief = "List volumes",
        .help = "List volumes.",
        .options = ls_options,
        .examples = EXAMPLES({"isola volume ls -q", "Only their names."}),
        .run = verb_volume_ls,
    },
    {
        .name = "volume inspect",
        .group = "Host",
        .synopsis = "[OPTIONS] NAME...",
        .brief = "Show volumes",
        .help = "Show what is known about volumes.",
        .options = inspect_options,
        .examples = EXAMPLES({"isola volume inspect -f '{{.Mountpoint}}' data", "Where it is."}),
        .min = 1,
        .max = -1,
        .run = verb_volume_inspect,
    },
    {
        .name = "volume rm",
        .aliases = "volume_remove",
        .group = "Host",
        .synopsis = "[OPTIONS] NAME...",
        .brief = "Remove volumes",
        .help = "Remove volumes with all that is in them, unless an instance uses them.",
        .options = rm_options,
        .examples = EXAMPLES({"isola volume rm data", "Remove the volume data."}),
        .min = 1,
        .max = -1,
        .run = verb_volume_rm,
    },
    {
        .name = "volume prune",
        .group = "Host",
        .synopsis = "[OPTIONS]",
        .brief = "Remove unused volumes",
        .help = "Remove the volumes without names that no instance uses.",
        .options = prune_options,
        .examples = EXAMPLES({"isola volume prune -af", "Those with names as well, at once."}),
        .run = verb_volume_prune,
    },
    {0},
};
