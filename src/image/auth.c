/* SPDX-License-Identifier: Apache-2.0 */
#include "image/auth.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* --- challenges --- */

/* RFC 7230, section 3.2.6 */
static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_length(const char *p)
{
    size_t n = 0;

    while (is_token_char(p[n]))
        n++;
    return n;
}

static const char *blanks(const char *p)
{
    return p + strspn(p, " \t");
}

/*
 * Reads the value at @p, a token or a quoted string, into @to of AUTH_PARAMETER_MAX + 1 bytes.
 * Returns what follows, NULL when it is neither or too long.
 */
static const char *value(const char *p, char *to)
{
    size_t n = 0;

    if (*p != '"') {
        n = token_length(p);
        /* Sloppy servers leave addresses unquoted. */
        while (p[n] && !strchr(", \t\"", p[n]))
            n++;
        if (n > AUTH_PARAMETER_MAX)
            return NULL;
        memcpy(to, p, n);
        to[n] = 0;
        return p + n;
    }
    for (p++; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1])
            p++;
        if (n == AUTH_PARAMETER_MAX || (unsigned char)*p < 32 || *p == 127)
            return NULL;
        to[n++] = *p;
    }
    to[n] = 0;
    return *p == '"' ? p + 1 : NULL;
}

static bool name_is(const char *name, size_t n, const char *what)
{
    return strlen(what) == n && strncasecmp(name, what, n) == 0;
}

static void keep(struct auth_challenge *c, const char *name, size_t n, const char *text)
{
    char *to = name_is(name, n, "realm")     ? c->realm
               : name_is(name, n, "service") ? c->service
               : name_is(name, n, "scope")   ? c->scope
               : name_is(name, n, "error")   ? c->error
                                             : NULL;
    if (to)
        memcpy(to, text, strlen(text) + 1);
}

int auth_parse_challenges(const char *header, struct auth_challenge *ret, size_t *count,
                          struct error *err)
{
    struct auth_challenge *c = NULL;
    struct auth_challenge spare; /* takes what is too many */
    char text[AUTH_PARAMETER_MAX + 1];
    const char *p = blanks(header);

    while (*p) {
        const char *name = p, *after;
        size_t n = token_length(p);

        if (!n)
            return error_set(err, -EPROTO, "WWW-Authenticate is not a list of challenges");
        after = blanks(p + n);
        if (*after == '=' && c) {
            p = value(blanks(after + 1), text);
            if (!p)
                return error_set(err, -EPROTO,
                                 "WWW-Authenticate has a parameter that is not "
                                 "closed or longer than 1023 bytes");
            keep(c, name, n, text);
        } else {
            c = *count < AUTH_CHALLENGES_MAX ? &ret[(*count)++] : &spare;
            memset(c, 0, sizeof(*c));
            c->scheme = name_is(name, n, "Bearer")  ? AUTH_BEARER
                        : name_is(name, n, "Basic") ? AUTH_BASIC
                                                    : AUTH_OTHER;
            p = after;
            /* "Negotiate" and the like carry one token instead of parameters. */
            n = token_length(p);
            if (c->scheme == AUTH_OTHER && n && *blanks(p + n) != '=') {
                p += n;
                p += strspn(p, "=");
            }
        }
        p += strspn(p, " \t,");
    }
    return 0;
}

/* --- JSON --- */

void auth_plain(struct str *out, const char *text, size_t max)
{
    for (size_t i = 0; text[i]; i++) {
        unsigned char c = (unsigned char)text[i];
        if (i == max) {
            str_add(out, "...");
            return;
        }
        str_add_char(out, c < 32 || c == 127 ? ' ' : (char)c);
    }
}

static bool token_valid(const char *t)
{
    size_t n = 0;

    for (; t[n]; n++)
        if (n == AUTH_TOKEN_MAX || (unsigned char)t[n] <= 32 || (unsigned char)t[n] >= 127)
            return false;
    return n > 0;
}

int auth_parse_token(const char *json, size_t n, char **ret_token, unsigned *ret_seconds,
                     struct error *err)
{
    json_error_t e;
    json_t *root = json_loadb(json, n, 0, &e);
    const char *token = json_string_value(json_object_get(root, "token"));
    json_t *seconds = json_object_get(root, "expires_in");
    json_int_t s = json_integer_value(seconds);
    int r = 0;

    if (!token || !*token)
        token = json_string_value(json_object_get(root, "access_token"));
    if (!token || !token_valid(token)) {
        r = error_set(err, -EPROTO, "the token server's answer holds no token");
    } else {
        /* The specification's default; no token is trusted for longer than an hour. */
        *ret_seconds = s <= 0 ? 60 : s > 3600 ? 3600 : (unsigned)s;
        *ret_token = str_format("%s", token);
        if (!*ret_token)
            r = error_set_errno(err, -ENOMEM, "read a token");
    }
    json_decref(root);
    return r;
}

void auth_error_text(const char *json, size_t n, struct str *out)
{
    json_t *root = json_loadb(json, n, 0, NULL), *errors = json_object_get(root, "errors"), *e;
    const char *text;
    size_t i;

    json_array_foreach(errors, i, e)
    {
        const char *code = json_string_value(json_object_get(e, "code"));
        const char *message = json_string_value(json_object_get(e, "message"));
        if (i == 3 || (!code && !message))
            break;
        if (i)
            str_add(out, "; ");
        auth_plain(out, message && *message ? message : code, 200);
    }
    /* Docker Hub's accounts and some token servers. */
    text = json_string_value(json_object_get(root, "details"));
    if (!text)
        text = json_string_value(json_object_get(root, "message"));
    if (!errors && text)
        auth_plain(out, text, 200);
    json_decref(root);
}

/* --- base64 --- */

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void auth_base64_encode(struct str *out, const void *data, size_t n)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;
        v |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
        v |= i + 2 < n ? p[i + 2] : 0;
        str_add_char(out, base64[v >> 18]);
        str_add_char(out, base64[v >> 12 & 63]);
        str_add_char(out, i + 1 < n ? base64[v >> 6 & 63] : '=');
        str_add_char(out, i + 2 < n ? base64[v & 63] : '=');
    }
}

char *auth_base64_decode(const char *text)
{
    size_t n = strlen(text), used = 0;
    char *out = mem_alloc(1, n + 1);
    uint32_t v = 0;
    unsigned bits = 0;

    while (n && text[n - 1] == '=')
        n--;
    for (size_t i = 0; out && i < n; i++) {
        const char *digit = strchr(base64, text[i]);
        if (!digit || !*digit) {
            free(out);
            return NULL;
        }
        v = v << 6 | (uint32_t)(digit - base64);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[used] = (char)(v >> bits);
            if (!out[used++]) {
                free(out);
                return NULL;
            }
        }
    }
    return out;
}
