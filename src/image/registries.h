/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the administrator and the user say about registries: registries.json and certs.d. The format
 * is described in docs/registries.md.
 *
 * Read from /etc/isola/registries.json, then $XDG_CONFIG_HOME/isola/registries.json, of which the
 * second wins entry by entry; $ISOLA_REGISTRIES names one file to read instead of both.
 */
#ifndef IMAGE_REGISTRIES_H
#define IMAGE_REGISTRIES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "image/reference.h"

struct registries;

struct registries_limits {
    unsigned parallel;        /* layers on the way at once, 1..16 */
    unsigned attempts;        /* of a request before it fails, 1..20 */
    unsigned connect_seconds; /* 1..600 */
    unsigned stall_seconds;   /* of waiting for bytes, 1..3600 */
};

/* Missing files are fine. NULL with @err set: unreadable, not JSON, an unknown member. */
struct registries *registries_load(struct error *err);
/* As registries_load, from the text of one file. @what names it in errors. */
struct registries *registries_parse(const char *text, size_t n, const char *what,
                                    struct error *err);
void registries_free(struct registries *registries);

void registries_get_limits(const struct registries *registries, struct registries_limits *ret);

/* Replaces a short name that has an alias by what it stands for. 0 or -EINVAL (a bad alias). */
int registries_expand(const struct registries *registries, struct image_reference *ref,
                      struct error *err) error_must_check;

/* A place where a repository can be reached. */
struct registry_endpoint {
    char authority[IMAGE_REGISTRY_MAX + 1];    /* "host" or "host:port" */
    char repository[IMAGE_REPOSITORY_MAX + 1]; /* there */
    bool mirror;                               /* not where @ref says, but as good for pulling */
};

/*
 * The places of @ref in the order of trying: mirrors, then its registry; @push: only the last.
 * *ret is new. -EPERM: blocked; -EINVAL: a mirror's name becomes too long.
 */
int registries_endpoints(const struct registries *registries, const struct image_reference *ref,
                         bool push, struct registry_endpoint **ret, size_t *ret_count,
                         struct error *err) error_must_check;

/*
 * Whether @authority may be spoken to in plain HTTP and with any certificate: marked so, or this
 * computer itself.
 */
bool registries_insecure(const struct registries *registries, const char *authority);

/*
 * Own authorities and client certificates for @authority, from the directories certs.d/AUTHORITY
 * of $XDG_CONFIG_HOME/isola, /etc/isola, $XDG_CONFIG_HOME/containers, /etc/containers, /etc/docker:
 * *.crt are authorities, NAME.cert with NAME.key a client's. The first directory that has any is
 * used. Texts are new (free each), NULL when there are none.
 */
struct registry_certificates {
    char *ca_pem, *client_certificate, *client_key;
};
void registries_certificates(const char *authority, struct registry_certificates *ret);

#endif
