/* SPDX-License-Identifier: Apache-2.0 */
/* Images on this computer. */
#include "cli/image_program.h"
#include "cli/verb_table.h"

#define COMPRESSION(initial_)                                                                      \
    CHOICE("compression", 0, "gzip|zstd|none", "HOW", "gzip, zstd or none", .initial = initial_)
#define CHANGE                                                                                     \
    VALUE(OPTION_LIST, "change", 'c', "INSTRUCTION", "Change the configuration; repeatable",       \
          .man = "A line of a Containerfile: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, "       \
                 "STOPSIGNAL, USER, VOLUME or WORKDIR, as in --change 'CMD [\"/bin/sh\"]'.")
#define PLATFORM VALUE(OPTION_TEXT, "platform", 0, "OS/ARCH", "Platform, such as linux/arm64")

static const struct option images_options[] = {
    FLAG("digests", 0, "Show digests, too"),
    VALUE(OPTION_LIST, "filter", 'f', "KEY=VALUE", "Only images that match; repeatable",
          .man = "Keys: dangling (true: without name; false: with one), label (KEY or KEY=VALUE), "
                 "reference (a pattern such as '*/app:1.*')."),
    FLAG("all", 'a', "As without; all images are shown", .more = true),
    LIST_OPTIONS,
    END,
};

static const struct option rmi_options[] = {
    FLAG("force", 'f', "Take the name away from an image in use"),
    END,
};

static const struct option inspect_options[] = {
    VALUE(OPTION_TEXT, "format", 'f', "FORMAT", "json, or a template: '{{.Config.Cmd}}'",
          .complete = COMPLETE_FORMAT),
    JSON,
    PLATFORM,
    END,
};

static const struct option history_options[] = {LIST_OPTIONS, END};

static const struct option prune_options[] = {
    FLAG("all", 'a', "Images with names, too, when no instance uses them"),
    FLAG("build-cache", 0, "What isola build keeps to be faster, too"),
    FLAG("force", 'f', "Do not ask", .alias = "yes"),
    VALUE(OPTION_TEXT, "until", 0, "TIME", "Only images that came before a time"),
    END,
};

static const struct option system_prune_options[] = {
    FLAG("all", 'a', "Images with names, too, when no instance uses them"),
    FLAG("volumes", 0, "Volumes without names, too, when no instance uses them"),
    FLAG("force", 'f', "Do not ask", .alias = "yes"),
    VALUE(OPTION_LIST, "filter", 0, "KEY=VALUE", "Only instances that match; repeatable",
          .man = "Keys as in \"isola ps\". Images and what builds keep stay then."),
    END,
};

static const struct option df_options[] = {FORMAT, JSON, END};

static const struct option load_options[] = {
    VALUE(OPTION_TEXT, "input", 'i', "FILE", "Archive or directory; else standard input",
          .complete = COMPLETE_FILE),
    VALUE(OPTION_TEXT, "tag", 0, "NAME", "Name instead of those in the archive"),
    PLATFORM,
    FLAG("quiet", 'q', "Print only ids"),
    END,
};

static const struct option save_options[] = {
    VALUE(OPTION_TEXT, "output", 'o', "FILE", "File; else standard output",
          .complete = COMPLETE_FILE),
    CHOICE("format", 0, "archive|oci-archive|docker-archive|oci-dir", "FORMAT",
           "archive or oci-dir", .initial = "archive",
           .man = "archive, oci-archive and docker-archive are the same: a tar archive of an OCI "
                  "layout that \"docker load\" reads, too. oci-dir: the layout as a directory."),
    COMPRESSION("none"),
    END,
};

static const struct option import_options[] = {
    CHANGE,   VALUE(OPTION_TEXT, "message", 'm', "TEXT", "Comment for the history"),
    PLATFORM, COMPRESSION("gzip"),
    END,
};

static const struct option commit_options[] = {
    CHANGE,
    VALUE(OPTION_TEXT, "author", 'a', "NAME", "Who made it"),
    VALUE(OPTION_TEXT, "message", 'm', "TEXT", "Comment for the history"),
    FLAG("pause", 'p', "Pause it meanwhile", .initial = "true"),
    COMPRESSION("gzip"),
    END,
};

static const struct option bootstrap_options[] = {
    VALUE(OPTION_TEXT, "suite", 0, "SUITE", "Suite, when it is not the tag"),
    VALUE(OPTION_LIST, "include", 0, "PACKAGE[,...]", "Packages more; repeatable"),
    CHOICE("variant", 0, "minbase|essential|apt|buildd|important|standard", "VARIANT",
           "How much of Debian", .initial = "minbase"),
    VALUE(OPTION_TEXT, "mirror", 0, "URL", "Mirror instead of this host's own"),
    FLAG("quiet", 'q', "Do not show what mmdebstrap does"),
    END,
};

const struct verb image_verbs[] = {
    {
        .name = "images",
        .aliases = "image_ls image_list",
        .group = "Images",
        .synopsis = "[OPTIONS] [NAME]",
        .brief = "List images",
        .help = "List the images on this computer.",
        .man = "NAME may be a pattern. SIZE is what the files of all layers take; images share "
               "layers.",
        .options = images_options,
        .examples = EXAMPLES({"isola images", "All images."},
                             {"isola images -q --filter dangling=true", "Those without name."}),
        .max = 1,
        .positional = COMPLETE_IMAGE,
        .run = verb_images,
    },
    {
        .name = "rmi",
        .aliases = "image_rm image_remove",
        .group = "Images",
        .synopsis = "[OPTIONS] IMAGE...",
        .brief = "Remove images",
        .help = "Remove names of images, and with the last name the image.",
        .options = rmi_options,
        .examples = EXAMPLES({"isola rmi debian:bookworm", "Remove an image."}),
        .min = 1,
        .max = -1,
        .positional = COMPLETE_IMAGE,
        .run = verb_rmi,
    },
    {
        .name = "tag",
        .aliases = "image_tag",
        .group = "Images",
        .synopsis = "IMAGE NAME",
        .brief = "Give another name",
        .help = "Give an image another name.",
        .examples = EXAMPLES({"isola tag debian:bookworm registry.example/base:1", "Before a "
                                                                                   "push."}),
        .min = 2,
        .max = 2,
        .positional = COMPLETE_IMAGE,
        .run = verb_tag,
    },
    {
        .name = "history",
        .aliases = "image_history",
        .group = "Images",
        .synopsis = "[OPTIONS] IMAGE",
        .brief = "How an image was made",
        .help = "Show the steps by which an image was made, the last one first.",
        .options = history_options,
        .examples = EXAMPLES({"isola history --no-trunc app", "With whole commands."}),
        .min = 1,
        .max = 1,
        .positional = COMPLETE_IMAGE,
        .run = verb_history,
    },
    {
        .name = "save",
        .aliases = "image_save",
        .group = "Images",
        .synopsis = "[OPTIONS] IMAGE...",
        .brief = "Write images to a file",
        .help = "Write images to an archive or directory.",
        .options = save_options,
        .examples = EXAMPLES({"isola save -o app.tar app:1", "For another computer."},
                             {"isola save app:1 | ssh host isola load", "Straight there."}),
        .min = 1,
        .max = -1,
        .positional = COMPLETE_IMAGE,
        .run = image_program_become,
    },
    {
        .name = "load",
        .aliases = "image_load",
        .group = "Images",
        .synopsis = "[OPTIONS]",
        .brief = "Read images from a file",
        .help = "Bring in the images of an archive or directory.",
        .man = "Reads what \"isola save\", docker save, skopeo and umoci write: OCI layouts and "
               "docker archives, compressed by gzip or zstd or not.",
        .options = load_options,
        .examples = EXAMPLES({"isola load -i app.tar", "All images of an archive."}),
        .run = image_program_become,
    },
    {
        .name = "import",
        .aliases = "image_import",
        .group = "Images",
        .synopsis = "[OPTIONS] FILE|- [NAME]",
        .brief = "Image of a tar archive",
        .help = "Make an image of an archive of a root file system and print its id.",
        .man =
            "An image of a disk instead of an archive (vmdk, vdi, vhd, vhdx, ova, qcow2) becomes a "
            "qcow2 file called NAME, or as FILE with that ending in the current directory: for "
            "\"isola run --vm --disk\". See \"isola disk convert\".",
        .options = import_options,
        .examples = EXAMPLES(
            {"isola import -c 'CMD [\"/bin/sh\"]' rootfs.tar mine:1", "An image with one layer."}),
        .min = 1,
        .max = 2,
        .positional = COMPLETE_FILE,
        .run = verb_import,
    },
    {
        .name = "commit",
        .group = "Images",
        .synopsis = "[OPTIONS] INSTANCE [NAME]",
        .brief = "Image of a container",
        .help = "Make an image of what a container has changed and print its id.",
        .man = "Command, environment, user and directory are those that the container was run "
               "with. Volumes are not in it. With SOURCE_DATE_EPOCH the same changes give the same "
               "image.",
        .options = commit_options,
        .examples = EXAMPLES({"isola commit -m 'with curl' web app:2", "A layer more."}),
        .min = 1,
        .max = 2,
        .positional = COMPLETE_INSTANCE,
        .run = verb_commit,
    },
    {
        .name = "image inspect",
        .group = "Images",
        .synopsis = "[OPTIONS] IMAGE...",
        .brief = "Everything about images",
        .help = "Print everything that is known about images as JSON.",
        .options = inspect_options,
        .examples = EXAMPLES({"isola image inspect -f '{{.Config.Env}}' app", "One field."}),
        .min = 1,
        .max = -1,
        .positional = COMPLETE_IMAGE,
        .run = verb_image_inspect,
    },
    {
        .name = "image bootstrap",
        .aliases = "bootstrap",
        .group = "Images",
        .synopsis = "[OPTIONS] NAME:SUITE",
        .brief = "Image of a Debian suite",
        .help = "Make an image of a Debian suite from its packages and print its id.",
        .man = "Runs mmdebstrap, so that it works where a mirror of packages can be reached and no "
               "registry. The mirrors are those that this host's APT uses. Needs root, or a user "
               "with ids in /etc/subuid and /etc/subgid.",
        .options = bootstrap_options,
        .examples = EXAMPLES({"isola image bootstrap debian:bookworm", "A minimal Debian."},
                             {"isola image bootstrap --include python3,curl --suite trixie py:1",
                              "With more in it, under another name."}),
        .min = 1,
        .max = 1,
        .run = image_program_become,
    },
    {
        .name = "image prune",
        .group = "Images",
        .synopsis = "[OPTIONS]",
        .brief = "Remove unused images",
        .help = "Remove images without name that no instance uses, and leftovers of transfers. "
                "What steps of builds left stays, unless --build-cache is given.",
        .options = prune_options,
        .examples = EXAMPLES({"isola image prune -af --until 720h", "All that are unused and came "
                                                                    "more than 30 days ago."}),
        .run = verb_image_prune,
    },
    {
        .name = "system df",
        .group = "Images",
        .synopsis = "[OPTIONS]",
        .brief = "Disk space of images",
        .help = "Show what images take on the disk.",
        .options = df_options,
        .examples = EXAMPLES({"isola system df", "A table."}),
        .run = verb_system_df,
    },
    {
        .name = "system prune",
        .group = "Images",
        .synopsis = "[OPTIONS]",
        .brief = "Remove all that is unused",
        .help = "Remove instances that do not run, images without name that no instance uses, and "
                "what builds keep to be faster.",
        .man = "Asks first on a terminal; elsewhere --force (or --yes) is needed.",
        .options = system_prune_options,
        .examples = EXAMPLES({"isola system prune -af --volumes", "All but what is in use."}),
        .run = verb_system_prune,
    },
    {0},
};
