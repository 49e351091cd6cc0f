/* SPDX-License-Identifier: Apache-2.0 */
/* What registry.c, registry_auth.c, registry_read.c and registry_write.c share. */
#ifndef IMAGE_REGISTRY_INTERNAL_H
#define IMAGE_REGISTRY_INTERNAL_H

#include <pthread.h>

#include "image/auth.h"
#include "image/registry.h"

enum {
    RETRY_AFTER_MAX = 60,      /* seconds that a registry may ask us to wait */
    ERROR_BODY_MAX = 16 << 10, /* of an error's explanation */
    TOKENS_MAX = 16,
    COMMIT_STALL_MS = 300000, /* a registry may copy a large blob before it answers */
};

struct registry_context {
    struct registry_settings settings;
    struct registries *registries;
    struct registries_limits limits;
    pthread_mutex_t lock; /* of what follows */
    struct trust {
        char authority[IMAGE_REGISTRY_MAX + 1];
        struct registry_certificates certificates;
        struct trust *next;
    } * trust; /* never removed while the context lives, because clients borrow from it */
};

struct token {
    char *scope, *authorization; /* "Bearer ..." */
    uint64_t expires_ms;         /* CLOCK_MONOTONIC */
};

struct registry {
    struct registry_context *context;
    struct registry_endpoint endpoint;
    char *name;       /* the registry as the user calls it: whose login counts */
    char *login_path; /* the repository as the user calls it */
    char *actions;
    /* Held while a token is fetched, so that one thread fetches it for all. */
    pthread_mutex_t lock;
    char *base;          /* "https://host:port"; NULL: not known yet whether it speaks TLS */
    atomic_bool reached; /* has answered, so that a broken connection is worth another try */
    atomic_bool known;   /* @credentials hold a login and do not change any more */
    bool asked;          /* @credentials were looked up */
    struct credentials credentials;
    struct auth_challenge challenge; /* the one we answer; AUTH_OTHER: none yet */
    struct token tokens[TOKENS_MAX];
    unsigned token_count;
};

struct registry_request {
    const char *method;
    const char *path; /* "/v2/..." or a whole address */
    const char *const *headers;
    const struct http_body *body;
    const char *extra_scope; /* beside the repository's own; NULL */
    uint64_t range_from;
    unsigned stall_ms;
    bool once; /* no other try: the caller has to look first what arrived */
};

uint64_t registry_now_ms(void);
void registry_notice(const struct registry *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Sends @q with authentication and retries. Any status but 401 and those that passed by retrying is
 * given back in *ret. Errors are complete.
 */
int registry_request(struct registry *r, struct http *http, const struct registry_request *q,
                     struct http_stream **ret, struct error *err) error_must_check;

/*
 * Whether another try makes sense after failure number @attempt (from 0) with @why, a sentence,
 * and waits for it. @retry_after is the header of that name or NULL. False: @err stands.
 */
bool registry_wait(struct registry *r, struct http *http, unsigned attempt, const char *retry_after,
                   const char *why, struct error *err);
/* Whether the last failure of @http may pass. */
bool registry_transient(const struct registry *r, const struct http *http);

/* Closes @s and says in @err why its status is not what @what wanted. Returns a negative errno. */
int registry_refused(struct registry *r, struct http_stream *s, const char *what,
                     struct error *err);

/* --- registry_auth.c; all with r->lock held --- */

/* *ret is a new value for Authorization, NULL: none is asked for so far. */
int registry_authorization(struct registry *r, struct http *http, const char *extra_scope,
                           char **ret, struct error *err) error_must_check;
/* Takes the challenges of a 401 and forgets the tokens it refused. -EACCES: no more to try. */
int registry_challenged(struct registry *r, const struct http_stream *s, const char *used,
                        struct error *err) error_must_check;
void registry_forget_tokens(struct registry *r);

#endif
