/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and passwords for registries, where Docker and Podman keep theirs, so that a login by any
 * of the three serves all: auth.json and config.json have one format. Looked through in this order:
 *
 *   --authfile FILE or $REGISTRY_AUTH_FILE; when one is given, nothing else
 *   $XDG_RUNTIME_DIR/containers/auth.json
 *   $XDG_CONFIG_HOME/containers/auth.json (~/.config/containers/auth.json)
 *   $DOCKER_CONFIG/config.json (~/.docker/config.json)
 *
 * "credHelpers" and "credsStore" in them name programs docker-credential-NAME that keep secrets.
 */
#ifndef IMAGE_CREDENTIALS_H
#define IMAGE_CREDENTIALS_H

#include <stddef.h>

#include "base/error.h"

struct credentials {
    char *user, *password; /* NULL: none */
    char *token;           /* an identity token (OAuth 2 refresh token) instead; NULL: none */
    char *source;          /* the file they came from */
};

void credentials_done(struct credentials *credentials);

/*
 * What is known for @repository ("" for the registry itself) of @registry, "docker.io" or
 * "host:port". @authfile may be NULL. -ENOENT: nothing; other errors: a file or helper is broken.
 */
int credentials_find(const char *authfile, const char *registry, const char *repository,
                     struct credentials *ret, struct error *err) error_must_check;

/*
 * Keeps a name and password (or with @user NULL an identity token in @secret) for @registry: by
 * the helper that is configured for it, else in the file that has an entry already, else in
 * Docker's file when there is one, else in Podman's. The file is replaced at once, mode 0600, and
 * all it holds else is kept. *ret_where: a new text that says where.
 */
int credentials_store(const char *authfile, const char *registry, const char *user,
                      const char *secret, char **ret_where, struct error *err) error_must_check;

/* Removes what is kept for @registry from all files and helpers. -ENOENT: there was nothing. */
int credentials_erase(const char *authfile, const char *registry,
                      struct error *err) error_must_check;

#endif
