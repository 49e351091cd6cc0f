/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of images: [REGISTRY/]REPOSITORY[:TAG][@DIGEST], normalised exactly as Docker does.
 *
 * The first part is a registry when it holds "." or ":", is "localhost" or has a capital letter;
 * otherwise the registry is docker.io, where a repository without "/" is in library/. Without tag
 * and digest the tag is latest. Grammar: distribution-spec 1.1, "Pulling manifests", which is what
 * Docker's references accept, too.
 */
#ifndef IMAGE_REFERENCE_H
#define IMAGE_REFERENCE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

enum {
    IMAGE_REGISTRY_MAX = 261,   /* a DNS name of 253 bytes or an address, and a port */
    IMAGE_REPOSITORY_MAX = 255, /* bytes, library/ included */
    IMAGE_TAG_MAX = 128,
    IMAGE_DIGEST_MAX = 135, /* sha512 */
};

/* Owns nothing, needs no release. */
struct image_reference {
    char registry[IMAGE_REGISTRY_MAX + 1];     /* docker.io, localhost:5000, [::1]:5000 */
    char repository[IMAGE_REPOSITORY_MAX + 1]; /* library/debian */
    char tag[IMAGE_TAG_MAX + 1];               /* "": none, there is a digest */
    char digest[IMAGE_DIGEST_MAX + 1];         /* "sha256:" and 64 digits; "": none */
    bool short_name;                           /* the text named no registry */
};

/*
 * Reads @text. Returns 0, or -EINVAL with what is wrong and what would be right. @ret is written
 * only on success.
 */
int image_reference_parse(const char *text, struct image_reference *ret,
                          struct error *err) error_must_check;

/* Appends the whole name: docker.io/library/debian:latest. Parsing it again gives the same. */
void image_reference_text(const struct image_reference *ref, struct str *out);

/* Appends the name as people write it: debian:latest. Parsing it again gives the same. */
void image_reference_familiar(const struct image_reference *ref, struct str *out);

/*
 * Whether @text is a digest that can be checked: sha256, sha384 or sha512, a colon, and as many
 * lower-case hexadecimal digits as that algorithm gives (image-spec, "Digests").
 */
bool image_digest_valid(const char *text);

/* Whether @text is a tag: [A-Za-z0-9_][A-Za-z0-9._-]{0,127}. */
bool image_tag_valid(const char *text);

/* Whether @text names a registry: HOST or HOST:PORT. */
bool image_registry_valid(const char *text);

/* Whether @text can be a repository (without registry). */
bool image_repository_valid(const char *text);

#endif
