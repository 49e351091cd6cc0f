/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests and indexes as registries and layouts hold them: image-spec 1.1 "manifest" and "index",
 * and Docker's schema 2 with the same shape under other names. Read with limits and without trust:
 * what calls itself two things at once is refused (CVE-2021-41190).
 */
#ifndef IMAGE_MANIFEST_H
#define IMAGE_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "image/reference.h"

enum {
    MANIFEST_MAX = 4 << 20, /* bytes; distribution-spec 1.1 asks for no more */
    MANIFEST_LAYERS_MAX = 1000,
    MANIFEST_ENTRIES_MAX = 1000, /* of an index */
    MEDIA_TYPE_MAX = 127,
};

#define MEDIA_OCI_INDEX       "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_MANIFEST    "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_OCI_CONFIG      "application/vnd.oci.image.config.v1+json"
#define MEDIA_OCI_EMPTY       "application/vnd.oci.empty.v1+json"
#define MEDIA_DOCKER_LIST     "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define MEDIA_DOCKER_CONFIG   "application/vnd.docker.container.image.v1+json"

/* A platform: "linux/arm64/v8". Parts that are not said are "". */
struct platform {
    char os[32], architecture[32], variant[32];
};

struct descriptor {
    char media_type[MEDIA_TYPE_MAX + 1];
    char digest[IMAGE_DIGEST_MAX + 1]; /* valid */
    uint64_t size;                     /* at most INT64_MAX */
    struct platform platform;          /* of an index's entries */
};

struct manifest {
    bool is_index;
    char media_type[MEDIA_TYPE_MAX + 1]; /* one of the six above but config */
    struct descriptor config;            /* of an image */
    struct descriptor *entries;          /* layers, lowest first, or images of an index */
    size_t count;
};

/*
 * Reads the @n bytes of a manifest. @content_type is what its sender calls it (NULL: not said).
 * -EINVAL: not a manifest, or not of an image; -E2BIG: more layers or entries than the limits.
 * Release with manifest_done.
 */
int manifest_parse(const char *text, size_t n, const char *content_type, struct manifest *ret,
                   struct error *err) error_must_check;
void manifest_done(struct manifest *manifest);

/* "linux/amd64", "amd64", "arm/v7", "x86_64": os linux unless said. -EINVAL. */
int platform_parse(const char *text, struct platform *ret, struct error *err) error_must_check;
/* This computer's. */
void platform_host(struct platform *ret);
void platform_text(const struct platform *platform, struct str *out);

/*
 * The entry of @index that suits @wanted best: same system and processor, then the same variant,
 * then the one a processor without variant means. -ENOENT with a list of what there is.
 */
int manifest_select(const struct manifest *index, const struct platform *wanted,
                    const struct descriptor **ret, struct error *err) error_must_check;

#endif
