/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of an image: image-spec 1.1, config.md, with what Docker adds to it. */
#ifndef IMAGE_CONFIG_H
#define IMAGE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    IMAGE_CONFIG_MAX = 8 << 20, /* bytes */
    IMAGE_LAYERS_MAX = 4096,    /* more are refused; overlayfs takes 500 without tricks */
};

struct image_label {
    char *key, *value;
};

/* Docker's HEALTHCHECK. Times in ns, 0: the default. */
struct image_health {
    char **test; /* "CMD"|"CMD-SHELL"|"NONE", then words; NULL after the last */
    int64_t interval, timeout, start_period, start_interval;
    int retries;
};

struct image_history {
    char *created, *created_by, *author, *comment; /* NULL: not said */
    bool empty_layer;
};

/* Strings are owned; lists are never NULL and end with NULL. */
struct image_config {
    char **env, **entrypoint, **cmd, **volumes, **exposed_ports, **shell, **onbuild;
    char *user, *workdir, *stop_signal; /* "" when not said */
    char *architecture, *os, *variant, *author, *created;
    struct image_label *labels;
    size_t label_count;
    struct image_health *health; /* NULL: none */
    struct image_history *history;
    size_t history_count;
    char **diff_ids; /* digests of the uncompressed layers, lowest first */
    size_t diff_count;
};

/*
 * Reads the @len bytes of a configuration. Every digest in diff_ids is a valid one. 0, -EINVAL with
 * what is wrong, -E2BIG when a limit above is passed, -ENOMEM. Release with image_config_done.
 */
int image_config_parse(const char *text, size_t len, struct image_config *ret,
                       struct error *err) error_must_check;
void image_config_done(struct image_config *config);

/*
 * Whether an image for @config runs where @platform (os/arch[/variant], or only arch) is wanted.
 * Without variant every variant matches.
 */
bool image_platform_match(const struct image_config *config, const char *platform);

/* This computer's platform: "linux/amd64". */
const char *image_platform_host(void);

#endif
