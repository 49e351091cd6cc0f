/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a registry, its token server and its configuration files say. The first byte chooses the
 * reader.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/auth.h"
#include "image/http.h"
#include "image/manifest.h"
#include "image/registries.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lines in pieces as libcurl gives them. */
static void headers(const char *text)
{
    struct http_headers *h = mem_new(struct http_headers);
    const char *v;

    while (h && *text) {
        size_t n = strcspn(text, "\n");
        n += text[n] == '\n';
        if (http_headers_line(h, text, n))
            break;
        text += n;
    }
    if (h && h->count > HTTP_HEADER_COUNT_MAX)
        abort();
    if (h && (v = http_headers_get(h, "Content-Range", 0)))
        (void)http_range_fits(v, 10, 100);
    if (h)
        free(http_link_next(http_headers_get(h, "link", 0)));
    if (h)
        http_headers_done(h);
    free(h);
}

static void challenges(const char *text)
{
    struct auth_challenge *all = mem_alloc(AUTH_CHALLENGES_MAX, sizeof(*all));
    size_t count = 0;

    if (all && auth_parse_challenges(text, all, &count, NULL) == 0 && count > AUTH_CHALLENGES_MAX)
        abort();
    for (size_t i = 0; all && i < count; i++)
        free(http_resolve("https://registry.example/v2/", all[i].realm, NULL));
    free(all);
}

static void token(const char *text, size_t n)
{
    struct str said = {0};
    char *t;
    unsigned seconds;

    if (auth_parse_token(text, n, &t, &seconds, NULL) == 0) {
        if (!*t || strpbrk(t, "\r\n ") || !seconds || seconds > 3600)
            abort();
        free(t);
    }
    auth_error_text(text, n, &said);
    if (strpbrk(str_text(&said), "\n\033"))
        abort();
    str_done(&said);
}

static void manifest(const char *text, size_t n)
{
    struct manifest m;
    struct platform host;
    const struct descriptor *d;

    if (manifest_parse(text, n, NULL, &m, NULL) < 0)
        return;
    platform_host(&host);
    for (size_t i = 0; i < m.count; i++)
        if (!image_digest_valid(m.entries[i].digest) || strpbrk(m.entries[i].media_type, "\r\n"))
            abort();
    if (m.is_index)
        (void)!manifest_select(&m, &host, &d, NULL);
    manifest_done(&m);
}

/* What is accepted must be read again as the same. */
static void reference(const char *text)
{
    struct image_reference ref, again;
    struct platform p;
    struct str full = {0}, familiar = {0};

    (void)!platform_parse(text, &p, NULL);
    if (image_reference_parse(text, &ref, NULL) < 0)
        return;
    image_reference_text(&ref, &full);
    image_reference_familiar(&ref, &familiar);
    for (int i = 0; i < 2; i++) {
        if (image_reference_parse(str_text(i ? &familiar : &full), &again, NULL) < 0)
            abort();
        again.short_name = ref.short_name;
        if (memcmp(&again, &ref, sizeof(ref)) != 0)
            abort();
    }
    str_done(&full);
    str_done(&familiar);
}

static void configuration(const char *text, size_t n)
{
    struct registries *reg = registries_parse(text, n, "test", NULL);
    static const char *const names[] = {"debian", "registry.example/team/app:1", "a.b/c@sha256:"};

    for (size_t i = 0; reg && i < array_size(names); i++) {
        struct image_reference ref;
        struct registry_endpoint *list;
        size_t count;
        if (image_reference_parse(names[i], &ref, NULL) == 0 &&
            registries_expand(reg, &ref, NULL) == 0 &&
            registries_endpoints(reg, &ref, false, &list, &count, NULL) == 0)
            free(list);
    }
    registries_free(reg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = size ? malloc(size) : NULL;

    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    switch (data[0]) {
    case 'h':
        headers(text);
        break;
    case 'c':
        challenges(text);
        break;
    case 't':
        token(text, size - 1);
        break;
    case 'm':
        manifest(text, size - 1);
        break;
    case 'r':
        reference(text);
        break;
    case 'f':
        configuration(text, size - 1);
        break;
    default:
        free(auth_base64_decode(text));
    }
    free(text);
    return 0;
}
