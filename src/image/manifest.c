/* SPDX-License-Identifier: Apache-2.0 */
#include "image/manifest.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* Characters of media types and platforms; nothing that could confuse a header or a terminal. */
static bool is_plain(const char *text, size_t max)
{
    size_t n = 0;

    for (; text[n]; n++)
        if (n == max || !(isalnum((unsigned char)text[n]) || strchr("!#$&-^_.+/", text[n])))
            return false;
    return true;
}

static int get_text(const json_t *o, const char *key, char *to, size_t size, const char *where,
                    struct error *err)
{
    const json_t *v = json_object_get(o, key);
    const char *text = json_string_value(v);

    to[0] = 0;
    if (!v || json_is_null(v))
        return 0;
    if (!text || !is_plain(text, size - 1))
        return error_set(err, -EINVAL, "%s has a bad \"%s\"", where, key);
    memcpy(to, text, strlen(text) + 1);
    return 0;
}

static int get_platform(const json_t *o, struct platform *p, const char *where, struct error *err)
{
    int r;

    if (!o || json_is_null(o))
        return 0;
    if (!json_is_object(o))
        return error_set(err, -EINVAL, "%s has a \"platform\" that is no object", where);
    if ((r = get_text(o, "os", p->os, sizeof(p->os), where, err)) < 0 ||
        (r = get_text(o, "architecture", p->architecture, sizeof(p->architecture), where, err)) < 0)
        return r;
    return get_text(o, "variant", p->variant, sizeof(p->variant), where, err);
}

static int get_descriptor(const json_t *o, struct descriptor *d, const char *where,
                          struct error *err)
{
    const json_t *size = json_object_get(o, "size");
    const char *digest = json_string_value(json_object_get(o, "digest"));
    int r;

    memset(d, 0, sizeof(*d));
    if (!json_is_object(o))
        return error_set(err, -EINVAL, "%s is no descriptor", where);
    if ((r = get_text(o, "mediaType", d->media_type, sizeof(d->media_type), where, err)) < 0)
        return r;
    if (!digest || !image_digest_valid(digest))
        return error_set(err, -EINVAL, "%s has no valid \"digest\"", where);
    if (!str_starts(digest, "sha256:"))
        return error_set(err, -EINVAL, "%s has a digest that is not sha256, which is not supported",
                         where);
    memcpy(d->digest, digest, strlen(digest) + 1);
    if (!json_is_integer(size) || json_integer_value(size) < 0)
        return error_set(err, -EINVAL, "%s has no valid \"size\"", where);
    d->size = (uint64_t)json_integer_value(size);
    return get_platform(json_object_get(o, "platform"), &d->platform, where, err);
}

static int get_list(const json_t *list, size_t max, const char *one, struct manifest *m,
                    struct error *err)
{
    size_t n = json_array_size(list);
    char where[48];
    int r;

    if (!json_is_array(list))
        return error_set(err, -EINVAL, "the manifest has a list of %ss that is no list", one);
    if (n > max)
        return error_set(err, -E2BIG, "the manifest has %zu %ss; the limit is %zu", n, one, max);
    m->entries = mem_alloc(n ? n : 1, sizeof(*m->entries));
    if (!m->entries)
        return error_set_errno(err, -ENOMEM, "read a manifest");
    for (; m->count < n; m->count++) {
        snprintf(where, sizeof(where), "%s %zu of the manifest", one, m->count + 1);
        r = get_descriptor(json_array_get(list, m->count), &m->entries[m->count], where, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool is_index_type(const char *type)
{
    return strcmp(type, MEDIA_OCI_INDEX) == 0 || strcmp(type, MEDIA_DOCKER_LIST) == 0;
}

static bool is_manifest_type(const char *type)
{
    return strcmp(type, MEDIA_OCI_MANIFEST) == 0 || strcmp(type, MEDIA_DOCKER_MANIFEST) == 0;
}

/*
 * Decides what @m is from what the sender and the document say; both may say nothing (OCI has
 * mediaType as optional), but not different things.
 */
static int get_type(const json_t *root, const char *content_type, struct manifest *m,
                    struct error *err)
{
    bool entries = json_object_get(root, "manifests"), layers = json_object_get(root, "layers");
    char sent[MEDIA_TYPE_MAX + 1] = "";
    size_t n = content_type ? strcspn(content_type, "; \t") : 0;
    int r = get_text(root, "mediaType", m->media_type, sizeof(m->media_type), "the manifest", err);

    if (r < 0)
        return r;
    if (n && n < sizeof(sent))
        memcpy(sent, content_type, n);
    if (json_integer_value(json_object_get(root, "schemaVersion")) == 1)
        return error_set(err, -EINVAL,
                         "the manifest has schema version 1, which is out of use "
                         "since 2017; push the image again with a newer tool");
    if (!m->media_type[0] && (is_index_type(sent) || is_manifest_type(sent)))
        memcpy(m->media_type, sent, sizeof(sent));
    if (!m->media_type[0])
        strcpy(m->media_type, entries ? MEDIA_OCI_INDEX : MEDIA_OCI_MANIFEST);
    /* "application/json" and such, which simple servers send, says nothing. */
    if ((is_index_type(sent) || is_manifest_type(sent)) && strcmp(sent, m->media_type) != 0)
        return error_set(err, -EINVAL, "the manifest calls itself %s, its sender calls it %s",
                         m->media_type, sent);
    m->is_index = is_index_type(m->media_type);
    if (!m->is_index && !is_manifest_type(m->media_type))
        return error_set(err, -EINVAL, "a manifest of type %s is not supported", m->media_type);
    if (entries && layers)
        return error_set(err, -EINVAL,
                         "the manifest has layers as an image has, and manifests as "
                         "an index has");
    if (m->is_index ? !entries : !layers)
        return error_set(err, -EINVAL, "the manifest is of type %s but has no \"%s\"",
                         m->media_type, m->is_index ? "manifests" : "layers");
    return 0;
}

static int get_image(const json_t *root, struct manifest *m, struct error *err)
{
    int r = get_descriptor(json_object_get(root, "config"), &m->config,
                           "the configuration in the manifest", err);

    if (r < 0)
        return r;
    if (strcmp(m->config.media_type, MEDIA_OCI_CONFIG) != 0 &&
        strcmp(m->config.media_type, MEDIA_DOCKER_CONFIG) != 0)
        return error_set(err, -EINVAL, "it is not an image but an artifact with configuration %s",
                         m->config.media_type[0] ? m->config.media_type : "of no type");
    return get_list(json_object_get(root, "layers"), MANIFEST_LAYERS_MAX, "layer", m, err);
}

int manifest_parse(const char *text, size_t n, const char *content_type, struct manifest *ret,
                   struct error *err)
{
    struct manifest m = {0};
    json_error_t e;
    json_t *root;
    int r;

    if (n > MANIFEST_MAX)
        return error_set(err, -E2BIG, "the manifest has more than %d bytes", MANIFEST_MAX);
    root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    if (!root)
        return error_set(err, -EINVAL, "the manifest is not JSON: line %d: %s", e.line, e.text);
    r = json_is_object(root) ? get_type(root, content_type, &m, err)
                             : error_set(err, -EINVAL, "the manifest is no JSON object");
    if (r == 0)
        r = m.is_index ? get_list(json_object_get(root, "manifests"), MANIFEST_ENTRIES_MAX, "image",
                                  &m, err)
                       : get_image(root, &m, err);
    json_decref(root);
    if (r < 0)
        manifest_done(&m);
    else
        *ret = m;
    return r;
}

void manifest_done(struct manifest *m)
{
    free(m->entries);
    memset(m, 0, sizeof(*m));
}

/* --- platforms --- */

#if defined(__x86_64__)
#define HOST_ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define HOST_ARCHITECTURE "arm64"
#else
#error "name this processor as Go does"
#endif

/* Names that people and uname(1) use; the values are Go's, as the specification wants. */
static const struct {
    const char *alias, *architecture, *variant;
} aliases[] = {
    {"x86_64", "amd64", ""},    {"x86-64", "amd64", ""},      {"aarch64", "arm64", ""},
    {"armhf", "arm", "v7"},     {"armv7l", "arm", "v7"},      {"armv6l", "arm", "v6"},
    {"armel", "arm", "v6"},     {"i386", "386", ""},          {"i686", "386", ""},
    {"ppc64el", "ppc64le", ""}, {"mips64el", "mips64le", ""},
};

static bool is_architecture(const char *text)
{
    static const char *const known[] = {"amd64",   "arm64",   "arm",    "386",    "ppc64le",
                                        "s390x",   "riscv64", "ppc64",  "mips",   "mips64le",
                                        "loong64", "wasm",    "mips64", "mipsle", "sparc64"};

    for (size_t i = 0; i < array_size(known); i++)
        if (strcmp(text, known[i]) == 0)
            return true;
    for (size_t i = 0; i < array_size(aliases); i++)
        if (strcmp(text, aliases[i].alias) == 0)
            return true;
    return false;
}

int platform_parse(const char *text, struct platform *ret, struct error *err)
{
    struct platform p = {.os = "linux"};
    char *parts[] = {p.os, p.architecture, p.variant};
    char copy[128], *rest = copy, *part;
    size_t i;

    if (strlen(text) >= sizeof(copy) || !is_plain(text, sizeof(copy)))
        goto bad;
    for (char *c = strcpy(copy, text); *c; c++)
        *c = (char)tolower((unsigned char)*c);
    i = is_architecture(strndupa(copy, strcspn(copy, "/"))) ? 1 : 0;
    while ((part = strsep(&rest, "/"))) {
        if (i == array_size(parts) || !*part || strlen(part) >= sizeof(p.os))
            goto bad;
        strcpy(parts[i++], part);
    }
    if (!p.architecture[0])
        goto bad;
    for (i = 0; i < array_size(aliases); i++) {
        if (strcmp(p.architecture, aliases[i].alias) == 0) {
            strcpy(p.architecture, aliases[i].architecture);
            if (!p.variant[0])
                strcpy(p.variant, aliases[i].variant);
            break;
        }
    }
    *ret = p;
    return 0;
bad:
    return error_set(err, -EINVAL,
                     "a platform is OS/ARCHITECTURE[/VARIANT], such as linux/amd64 or arm64");
}

void platform_host(struct platform *ret)
{
    *ret = (struct platform){.os = "linux", .architecture = HOST_ARCHITECTURE};
}

void platform_text(const struct platform *p, struct str *out)
{
    str_addf(out, "%s/%s%s%s", p->os, p->architecture, p->variant[0] ? "/" : "", p->variant);
}

/* The variant that is meant when none is said. */
static const char *usual_variant(const char *architecture)
{
    return strcmp(architecture, "arm64") == 0   ? "v8"
           : strcmp(architecture, "arm") == 0   ? "v7"
           : strcmp(architecture, "amd64") == 0 ? "v1"
                                                : "";
}

/* How well @p suits @wanted; 0: not at all. */
static unsigned score(const struct platform *p, const struct platform *wanted)
{
    const char *usual = usual_variant(wanted->architecture);
    const char *want = wanted->variant[0] ? wanted->variant : usual;

    if (strcmp(p->os, wanted->os) != 0 || strcmp(p->architecture, wanted->architecture) != 0)
        return 0;
    if (strcmp(p->variant, want) == 0)
        return 5;
    if (!p->variant[0])
        return strcmp(want, usual) == 0 ? 4 : 3;
    /* An older variant runs, the newest of them best; a newer one does not. */
    if (p->variant[0] == 'v' && want[0] == 'v' && strcmp(p->variant, want) < 0)
        return 2;
    return wanted->variant[0] ? 0 : 1;
}

int manifest_select(const struct manifest *index, const struct platform *wanted,
                    const struct descriptor **ret, struct error *err)
{
    const struct descriptor *best = NULL;
    struct str have = {0}, want = {0};
    unsigned best_score = 0;

    for (size_t i = 0; i < index->count; i++) {
        const struct descriptor *d = &index->entries[i];
        unsigned s = score(&d->platform, wanted);

        if (s > best_score || (s == 2 && best_score == 2 &&
                               strcmp(d->platform.variant, best->platform.variant) > 0)) {
            best = d;
            best_score = s;
        }
        /* Attestations are listed as unknown/unknown. */
        if (d->platform.os[0] && strcmp(d->platform.os, "unknown") != 0 && have.len < 300) {
            str_add(&have, have.len ? ", " : "");
            platform_text(&d->platform, &have);
        }
    }
    if (best) {
        str_done(&have);
        *ret = best;
        return 0;
    }
    platform_text(wanted, &want);
    error_set(err, -ENOENT, "there is no image for %s, only for %s", str_text(&want),
              have.len ? str_text(&have) : "none");
    str_done(&have);
    str_done(&want);
    return -ENOENT;
}
