/* SPDX-License-Identifier: Apache-2.0 */
/* Answers a registry's challenges: basic authentication, or tokens from the server it names. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/registry_internal.h"

void registry_forget_tokens(struct registry *r)
{
    for (unsigned i = 0; i < r->token_count; i++) {
        free(r->tokens[i].scope);
        free(r->tokens[i].authorization);
    }
    r->token_count = 0;
}

/* Looks the login up once. A file that cannot be read is no reason not to pull what is public. */
static void find_credentials(struct registry *r)
{
    const struct registry_settings *s = &r->context->settings;
    struct error e = {0};
    int f;

    if (r->asked)
        return;
    r->asked = true;
    if (s->user) {
        r->credentials = (struct credentials){
            .user = str_format("%s", s->user),
            .password = str_format("%s", s->password ? s->password : ""),
            .source = str_format("the command line"),
        };
        atomic_store(&r->known, true);
        return;
    }
    f = credentials_find(s->authfile, r->name, r->login_path, &r->credentials, &e);
    if (f < 0 && f != -ENOENT)
        registry_notice(r, "%s: going on without a login", error_text(&e));
    atomic_store(&r->known, f == 0);
}

static char *basic(const struct credentials *c)
{
    struct str both = {0}, out = {0};

    str_addf(&both, "%s:%s", c->user, c->password);
    str_add(&out, "Basic ");
    if (both.data)
        auth_base64_encode(&out, both.data, both.len);
    if (both.data)
        explicit_bzero(both.data, both.len);
    both.failed |= out.failed;
    str_done(&both);
    return str_steal(&out);
}

/* --- tokens --- */

/* The repository's own scope, and another repository's when a blob is taken from there. */
static char *scope_of(const struct registry *r, const char *extra)
{
    if (!r->endpoint.repository[0])
        return str_format("%s", extra ? extra : "");
    return str_format("repository:%s:%s%s%s", r->endpoint.repository, r->actions, extra ? " " : "",
                      extra ? extra : "");
}

static void add_scopes(struct str *out, const char *scope)
{
    while (*scope) {
        size_t n = strcspn(scope, " ");
        char *one = strndup(scope, n);
        str_add(out, "&scope=");
        if (one)
            http_escape(out, one);
        free(one);
        scope += n + (scope[n] == ' ');
    }
}

/*
 * The address of the token server. The registry chooses it, so that it learns nothing it could not
 * ask for itself; but over TLS no password goes to a server without.
 */
static char *token_url(const struct registry *r, bool get, const char *scope, struct error *err)
{
    struct str url = {0};
    char *realm = http_resolve(r->base, r->challenge.realm, err);

    if (!realm) {
        error_wrap(err, -EPROTO, "the token server that %s names", r->endpoint.authority);
        return NULL;
    }
    str_add(&url, realm);
    if (get) {
        str_addf(&url, "%sservice=", strchr(realm, '?') ? "&" : "?");
        http_escape(&url, r->challenge.service);
        add_scopes(&url, scope);
        if (r->credentials.user) {
            str_add(&url, "&account=");
            http_escape(&url, r->credentials.user);
        }
    }
    free(realm);
    return str_steal(&url);
}

/* The form of an OAuth 2 refresh (Docker's "Token Authentication Specification", oauth). */
static void token_form(const struct registry *r, const char *scope, struct str *out)
{
    str_add(out, "grant_type=refresh_token&client_id=isola&service=");
    http_escape(out, r->challenge.service);
    str_add(out, "&refresh_token=");
    http_escape(out, r->credentials.token);
    str_add(out, "&scope=");
    http_escape(out, scope);
}

static int read_token(struct registry *r, struct http_stream *s, struct token *t, struct error *err)
{
    struct str body = {0};
    char *token = NULL;
    unsigned seconds;
    int e = http_read_all(s, AUTH_ANSWER_MAX, &body, err);

    if (e == 0)
        e = auth_parse_token(str_text(&body), body.len, &token, &seconds, err);
    if (e < 0)
        e = error_wrap(err, e, "the token server of %s", r->endpoint.authority);
    if (e == 0) {
        t->authorization = str_format("Bearer %s", token);
        t->expires_ms = registry_now_ms() + seconds * 900ull; /* a tenth earlier */
        if (!t->authorization)
            e = error_set_errno(err, -ENOMEM, "read a token");
    }
    free(token);
    str_done(&body);
    return e;
}

/* One request to the token server. *ret is given for every status. */
static int ask_server(struct registry *r, struct http *http, const char *scope,
                      struct http_stream **ret, struct error *err)
{
    static const char *const form_headers[] = {"Content-Type: application/x-www-form-urlencoded",
                                               NULL};
    bool refresh = r->credentials.token != NULL;
    cleanup_free char *url = token_url(r, !refresh, scope, err);
    cleanup_free char *authorization =
        !refresh && r->credentials.user ? basic(&r->credentials) : NULL;
    struct str form = {0};
    struct http_body body = {.fd = -1};
    struct http_request rq = {.method = "GET", .url = url, .authorization = authorization};
    int e;

    if (!url)
        return -EPROTO;
    if (refresh) {
        token_form(r, scope, &form);
        body.data = str_text(&form);
        body.size = form.len;
        rq.method = "POST";
        rq.headers = form_headers;
        rq.body = &body;
    }
    e = http_open(http, &rq, ret, err);
    if (form.data)
        explicit_bzero(form.data, form.len);
    str_done(&form);
    return e;
}

static int fetch_token(struct registry *r, struct http *http, const char *scope, struct token *t,
                       struct error *err)
{
    unsigned attempt = 0;

    for (;;) {
        struct http_stream *s;
        int e = ask_server(r, http, scope, &s, err), status;
        char why[IMAGE_REGISTRY_MAX + 64];
        bool again;

        if (e < 0) {
            if (registry_transient(r, http) &&
                registry_wait(r, http, attempt++, NULL, error_text(err), err))
                continue;
            return error_wrap(err, e, "get a token for %s", r->endpoint.authority);
        }
        status = http_status(s);
        if (status == 429 || status >= 500) {
            snprintf(why, sizeof(why), "the token server of %s answers with status %d",
                     r->endpoint.authority, status);
            again = registry_wait(r, http, attempt++, http_header(s, "Retry-After", 0), why, err);
            if (again) {
                http_close(s);
                continue;
            }
        }
        if (status != 200)
            return registry_refused(r, s, "get a token", err);
        e = read_token(r, s, t, err);
        http_close(s);
        return e;
    }
}

static int bearer(struct registry *r, struct http *http, const char *extra_scope, char **ret,
                  struct error *err)
{
    cleanup_free char *scope = scope_of(r, extra_scope);
    struct token *t = NULL;
    int e;

    if (!scope)
        return error_set_errno(err, -ENOMEM, "get a token");
    for (unsigned i = 0; i < r->token_count; i++)
        if (strcmp(r->tokens[i].scope, scope) == 0)
            t = &r->tokens[i];
    if (t && t->expires_ms <= registry_now_ms()) {
        registry_forget_tokens(r);
        t = NULL;
    }
    if (!t) {
        struct token new = {0};
        e = fetch_token(r, http, scope, &new, err);
        if (e < 0)
            return e;
        if (r->token_count == TOKENS_MAX)
            registry_forget_tokens(r);
        new.scope = steal_ptr(&scope);
        t = &r->tokens[r->token_count++];
        *t = new;
    }
    *ret = str_format("%s", t->authorization);
    return *ret ? 0 : error_set_errno(err, -ENOMEM, "get a token");
}

int registry_authorization(struct registry *r, struct http *http, const char *extra_scope,
                           char **ret, struct error *err)
{
    *ret = NULL;
    if (r->challenge.scheme == AUTH_BEARER)
        return bearer(r, http, extra_scope, ret, err);
    if (r->challenge.scheme == AUTH_BASIC && r->credentials.user) {
        *ret = basic(&r->credentials);
        if (!*ret)
            return error_set_errno(err, -ENOMEM, "log in");
    }
    return 0;
}

int registry_challenged(struct registry *r, const struct http_stream *s, const char *used,
                        struct error *err)
{
    struct auth_challenge *all = mem_alloc(AUTH_CHALLENGES_MAX, sizeof(*all)), *best = NULL;
    size_t count = 0;
    const char *header;
    int e = all ? 0 : error_set_errno(err, -ENOMEM, "log in");

    for (unsigned i = 0; e == 0 && (header = http_header(s, "WWW-Authenticate", i)); i++)
        e = auth_parse_challenges(header, all, &count, err);
    if (e < 0)
        e = error_wrap(err, e, "log in to %s", r->endpoint.authority);
    find_credentials(r);
    for (size_t i = 0; i < count; i++) {
        bool usable = (all[i].scheme == AUTH_BEARER && all[i].realm[0]) ||
                      (all[i].scheme == AUTH_BASIC && r->credentials.user);
        if (usable && (!best || all[i].scheme > best->scheme))
            best = &all[i];
    }
    if (e == 0 && !best)
        e = error_set(err, -EACCES, "%s wants a login", r->endpoint.authority);
    /* The same name and password will be refused again; a token may only have become too old. */
    if (e == 0 && used && best->scheme == AUTH_BASIC)
        e = error_set(err, -EACCES, "%s refuses the login", r->endpoint.authority);
    if (e == 0) {
        if (used)
            registry_forget_tokens(r);
        r->challenge = *best;
    }
    free(all);
    return e;
}
