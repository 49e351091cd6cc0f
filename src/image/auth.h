/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What registries say about authentication: the challenges of WWW-Authenticate (RFC 7235, section
 * 4.1) and the answers of token servers (Docker's token specification, which distribution-spec 1.1
 * leaves as it is). Only reading and writing of texts; registry.c talks to the servers.
 */
#ifndef IMAGE_AUTH_H
#define IMAGE_AUTH_H

#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

enum {
    AUTH_PARAMETER_MAX = 1023, /* bytes of one parameter of a challenge */
    AUTH_CHALLENGES_MAX = 8,
    AUTH_TOKEN_MAX = 32 * 1024, /* bytes of a token */
    AUTH_ANSWER_MAX = 256 * 1024,
};

enum auth_scheme { AUTH_OTHER, AUTH_BASIC, AUTH_BEARER };

struct auth_challenge {
    enum auth_scheme scheme;
    char realm[AUTH_PARAMETER_MAX + 1];
    char service[AUTH_PARAMETER_MAX + 1];
    char scope[AUTH_PARAMETER_MAX + 1];
    char error[AUTH_PARAMETER_MAX + 1]; /* insufficient_scope, invalid_token */
};

/*
 * Adds the challenges of one header's value to @ret of AUTH_CHALLENGES_MAX, of which @count are in
 * use; more are left out. -EPROTO when it is not a list of challenges or a parameter is too long.
 */
int auth_parse_challenges(const char *header, struct auth_challenge *ret, size_t *count,
                          struct error *err) error_must_check;

/*
 * Reads a token server's answer: @ret_token (new; printable, no blanks), and how long it may be
 * used in seconds, 60 when it does not say. -EPROTO.
 */
int auth_parse_token(const char *json, size_t n, char **ret_token, unsigned *ret_seconds,
                     struct error *err) error_must_check;

/*
 * Takes an answer's errors (distribution-spec 1.1, "Error Codes") into one line: "manifest unknown:
 * ...". Appends nothing when the answer is something else.
 */
void auth_error_text(const char *json, size_t n, struct str *out);

/* Appends @text without control characters and at most @max bytes of it: what a server says. */
void auth_plain(struct str *out, const char *text, size_t max);

/* RFC 4648 base64. decode: a new NUL-terminated text, NULL when it is not base64 or holds NUL. */
void auth_base64_encode(struct str *out, const void *data, size_t n);
char *auth_base64_decode(const char *text);

#endif
