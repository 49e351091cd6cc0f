/* SPDX-License-Identifier: Apache-2.0 */
/* Images and registries: what isola-image does. */
#include "cli/image_program.h"
#include "cli/verb_table.h"

#define AUTHFILE                                                                                   \
    VALUE(OPTION_TEXT, "authfile", 0, "FILE", "File with logins", .complete = COMPLETE_FILE,       \
          .man = "Instead of Podman's auth.json and Docker's config.json.")
#define PROGRESS                                                                                   \
    CHOICE("progress", 0, "auto|plain|none", "HOW", "Progress: auto, plain or none",               \
           .initial = "auto",                                                                      \
           .man = "auto draws bars on a terminal and prints lines elsewhere, both on standard "    \
                  "error.")
#define INSECURE                                                                                   \
    FLAG("insecure", 0, "Without TLS or a known certificate",                                      \
         .man = "Registries may be spoken to in plain HTTP and with any certificate. "             \
                "\"insecure\" in registries.json says so for one registry.")

#define NAMES_OF_IMAGES                                                                            \
    "A NAME is [REGISTRY/]REPOSITORY[:TAG][@DIGEST]. Without registry it is Docker Hub's, or "     \
    "what "                                                                                        \
    "registries.json says; without tag it is latest."

static const struct option pull_options[] = {
    FLAG("quiet", 'q', "Print only the id"),
    VALUE(OPTION_TEXT, "platform", 0, "OS/ARCH", "Platform, such as linux/arm64"),
    FLAG("all-platforms", 0, "The images of all platforms"),
    CHOICE("policy", 0, "always|missing|newer|never", "WHEN", "When to ask the registry",
           .initial = "always",
           .man = "always: ask, and fetch what differs. missing: only when the image is not here. "
                  "newer: like always, but what is here will do when the registry cannot be "
                  "reached. never: do not ask."),
    PROGRESS,
    AUTHFILE,
    INSECURE,
    END,
};

static const struct option push_options[] = {
    FLAG("quiet", 'q', "Print only the digest"), PROGRESS, AUTHFILE, INSECURE, END,
};

static const struct option login_options[] = {
    VALUE(OPTION_TEXT, "username", 'u', "NAME", "Name; asked for when missing"),
    VALUE(OPTION_TEXT, "password", 'p', "PASSWORD", "Password; asked for when missing",
          .man = "Other users of this computer can read it in the list of processes: prefer "
                 "--password-stdin."),
    FLAG("password-stdin", 0, "Read the password from standard input"),
    AUTHFILE,
    INSECURE,
    END,
};

static const struct option logout_options[] = {AUTHFILE, END};

static const struct option search_options[] = {
    FLAG("list-tags", 0, "List the tags of a repository"),
    VALUE(OPTION_UINT, "limit", 0, "N", "At most N names", .initial = "1000"),
    AUTHFILE,
    INSECURE,
    END,
};

static const struct option build_options[] = {
    VALUE(OPTION_LIST, "tag", 't', "NAME", "Name of the image; repeatable"),
    VALUE(OPTION_TEXT, "file", 'f', "FILE", "The Containerfile", .complete = COMPLETE_FILE,
          .man = "Default: Containerfile, or else Dockerfile, in the context. - is standard "
                 "input."),
    VALUE(OPTION_TEXT, "target", 0, "STAGE", "Build up to this stage"),
    VALUE(OPTION_LIST, "build-arg", 0, "NAME=VALUE", "Value for an ARG; repeatable",
          .man = "Without =VALUE it is taken from the environment."),
    FLAG("no-cache", 0, "Do every step again"),
    FLAG("pull", 0, "Ask the registry for newer bases"),
    FLAG("quiet", 'q', "Print only the id"),
    VALUE(OPTION_TEXT, "iidfile", 0, "FILE", "Write the id to a file", .complete = COMPLETE_FILE),
    VALUE(OPTION_LIST, "label", 0, "NAME=VALUE", "Attach a label; repeatable"),
    VALUE(OPTION_LIST, "secret", 0, "id=ID,src=FILE", "Secret for RUN --mount=type=secret",
          .man = "Or id=ID,env=NAME. Neither layers nor the cache keep it."),
    VALUE(OPTION_TEXT, "platform", 0, "OS/ARCH", "Platform of the bases", .more = true),
    CHOICE("network", 0, "default|none|host", "HOW", "Network of RUN", .initial = "default",
           .man = "default and host: the host's. none: only a loopback device."),
    END,
};

const struct verb registry_verbs[] = {
    {
        .name = "build",
        .group = "Images",
        .synopsis = "[OPTIONS] [CONTEXT]",
        .brief = "Build an image",
        .help = "Build an image as a Containerfile (Dockerfile) says.",
        .man = "CONTEXT is the directory that COPY takes files from, by default the current one; "
               ".containerignore or .dockerignore in it says what to leave out. Steps that were "
               "done before with the same files and words are taken from the cache. What is "
               "supported: docs/build.md.",
        .options = build_options,
        .examples =
            EXAMPLES({"isola build -t app .", "Build ./Containerfile and call it app."},
                     {"isola build --target test --build-arg VERSION=2 .", "Build up to a stage."}),
        .max = 1,
        .positional = COMPLETE_FILE,
        .run = build_program_become,
    },
    {
        .name = "pull",
        .group = "Images",
        .synopsis = "[OPTIONS] NAME...",
        .brief = "Fetch images",
        .help = "Fetch images from registries.",
        .man = "Prints the id of each image. " NAMES_OF_IMAGES
               "\n\nWhat a broken pull left is gone on with by the next. Logins, mirrors, own "
               "certificates and proxies: docs/registries.md.",
        .options = pull_options,
        .examples = EXAMPLES({"isola pull debian:bookworm", "From Docker Hub."},
                             {"isola pull --platform arm64 registry.example:5000/team/app",
                              "An image for another processor."}),
        .min = 1,
        .max = -1,
        .run = image_program_become,
    },
    {
        .name = "push",
        .group = "Images",
        .synopsis = "[OPTIONS] IMAGE [NAME]",
        .brief = "Send an image",
        .help = "Send an image to a registry, as NAME or as it is called here.",
        .man = "Prints the digest of the manifest. Layers that the registry has are not sent. " //
        NAMES_OF_IMAGES,
        .options = push_options,
        .examples = EXAMPLES({"isola push app registry.example/team/app:1.0",
                              "Send the image app under another name."}),
        .min = 1,
        .max = 2,
        .run = image_program_become,
    },
    {
        .name = "login",
        .group = "Images",
        .synopsis = "[OPTIONS] [REGISTRY]",
        .brief = "Log in to a registry",
        .help = "Check a name and password with a registry and keep them.",
        .man = "Without REGISTRY: docker.io. They are kept where Docker and Podman find them too: "
               "by a credential helper if one is configured, else in config.json or auth.json.",
        .options = login_options,
        .examples = EXAMPLES({"isola login -u alice --password-stdin registry.example <token",
                              "Log in without anybody at the keyboard."}),
        .max = 1,
        .run = image_program_become,
    },
    {
        .name = "logout",
        .group = "Images",
        .synopsis = "[OPTIONS] [REGISTRY]",
        .brief = "Forget a login",
        .help = "Forget the name and password for a registry.",
        .man = "Without REGISTRY: docker.io.",
        .options = logout_options,
        .examples = EXAMPLES({"isola logout registry.example", "Forget a login."}),
        .max = 1,
        .run = image_program_become,
    },
    {
        .name = "search",
        .group = "Images",
        .synopsis = "[OPTIONS] REGISTRY[/TEXT]",
        .brief = "List a registry's names",
        .help = "List the repositories of a registry whose names contain TEXT.",
        .man = "Registries have no common search: this reads the catalogue, which many public "
               "registries refuse. Docker Hub is searched at https://hub.docker.com/search.",
        .options = search_options,
        .examples =
            EXAMPLES({"isola search localhost:5000/app", "Repositories with app in the name."},
                     {"isola search --list-tags localhost:5000/team/app", "The tags of one."}),
        .min = 1,
        .max = 1,
        .run = image_program_become,
    },
    {0},
};
