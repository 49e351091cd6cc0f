/* SPDX-License-Identifier: Apache-2.0 */
#include "image/reference.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

static const char default_registry[] = "docker.io";
static const char library[] = "library/";

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

bool image_digest_valid(const char *text)
{
    static const struct {
        const char *prefix;
        size_t digits;
    } known[] = {{"sha256:", 64}, {"sha384:", 96}, {"sha512:", 128}};

    for (size_t i = 0; i < array_size(known); i++) {
        if (str_starts(text, known[i].prefix)) {
            const char *p = text + strlen(known[i].prefix);
            size_t n = 0;
            while (n <= known[i].digits && is_lower_hex(p[n]))
                n++;
            return n == known[i].digits && !p[n];
        }
    }
    return false;
}

bool image_tag_valid(const char *text)
{
    size_t n = 0;

    for (; text[n]; n++) {
        bool word = is_lower(text[n]) || is_upper(text[n]) || is_digit(text[n]) || text[n] == '_';
        if (n == IMAGE_TAG_MAX || !(word || (n && (text[n] == '.' || text[n] == '-'))))
            return false;
    }
    return n > 0;
}

/* Components of letters, digits and "-" (not at an end), separated by single dots. */
static bool host_name_valid(const char *text, size_t n)
{
    if (!n || n > 253)
        return false;
    for (size_t i = 0; i < n; i++) {
        bool inner = i && i + 1 < n;
        bool alnum = is_lower(text[i]) || is_upper(text[i]) || is_digit(text[i]);
        if (text[i] == '.') {
            if (!inner || text[i - 1] == '.' || text[i - 1] == '-' || text[i + 1] == '-')
                return false;
        } else if (!alnum && (text[i] != '-' || !inner)) {
            return false;
        }
    }
    return true;
}

bool image_registry_valid(const char *text)
{
    size_t n;
    uint64_t port;

    if (text[0] == '[') { /* an IPv6 address */
        n = 1 + strspn(text + 1, "0123456789abcdefABCDEF:");
        if (n < 3 || n > 40 || text[n] != ']')
            return false;
        n++;
    } else {
        n = strcspn(text, ":");
        if (!host_name_valid(text, n))
            return false;
    }
    if (!text[n])
        return true;
    /* At most five digits, so that no "0x10" gets through and the length is bounded. */
    if (text[n] != ':' || strlen(text + n + 1) > 5 ||
        strspn(text + n + 1, "0123456789") != strlen(text + n + 1))
        return false;
    return str_parse_u64(text + n + 1, &port) == 0 && port >= 1 && port <= 65535;
}

/* Bytes of the separator at @p: one of . _ __ or any number of -; 0: none. */
static size_t separator(const char *p)
{
    if (*p == '-')
        return strspn(p, "-");
    if (*p == '_')
        return p[1] == '_' ? 2 : 1;
    return *p == '.' ? 1 : 0;
}

bool image_repository_valid(const char *text)
{
    const char *p = text;

    if (strlen(text) > IMAGE_REPOSITORY_MAX)
        return false;
    for (;;) {
        size_t n = 0;
        while (is_lower(p[n]) || is_digit(p[n]))
            n++;
        if (!n)
            return false;
        p += n;
        if (!*p)
            return true;
        p += *p == '/' ? 1 : separator(p);
        /* A character that is none of these ends the name before the next component. */
    }
}

static int bad(struct error *err, const char *text, const char *why)
{
    /* Shortened, and without control characters: it may come from a file of somebody else. */
    char shown[81];
    size_t n = 0;

    for (; text[n] && n < sizeof(shown) - 1; n++)
        shown[n] = (unsigned char)text[n] < 32 || text[n] == 127 ? '?' : text[n];
    shown[n] = 0;
    return error_set(err, -EINVAL, "image name \"%s%s\": %s", shown, text[n] ? "..." : "", why);
}

/* Whether the part of a name before its first "/" (@n bytes) is a registry. */
static bool names_registry(const char *text, size_t n)
{
    if (n == strlen("localhost") && memcmp(text, "localhost", n) == 0)
        return true;
    for (size_t i = 0; i < n; i++)
        if (text[i] == '.' || text[i] == ':' || is_upper(text[i]))
            return true;
    return false;
}

static bool is_id(const char *text)
{
    size_t n = 0;

    while (n <= 64 && is_lower_hex(text[n]))
        n++;
    return n == 64 && !text[n];
}

/* Takes "@DIGEST" and ":TAG" off @name, the text of @size bytes. */
static int split(const char *text, char *name, struct image_reference *ref, struct error *err)
{
    char *at = strchr(name, '@'), *slash, *colon;

    if (at) {
        *at++ = 0;
        if (!image_digest_valid(at))
            return bad(err, text,
                       "what follows @ is not a digest such as sha256: and 64 hexadecimal digits");
        memcpy(ref->digest, at, strlen(at) + 1);
    }
    slash = strrchr(name, '/');
    colon = strchr(slash ? slash : name, ':');
    if (colon) {
        *colon++ = 0;
        if (!image_tag_valid(colon))
            return bad(err, text,
                       "a tag has 1 to 128 letters, digits, _ . and -, and begins with none of "
                       "the last two");
        memcpy(ref->tag, colon, strlen(colon) + 1);
    }
    return 0;
}

static int repository(const char *text, const char *path, struct image_reference *ref,
                      struct error *err)
{
    bool in_library = strcmp(ref->registry, default_registry) == 0 && !strchr(path, '/');
    size_t n = strlen(path), prefix = in_library ? strlen(library) : 0;

    for (const char *p = path; *p; p++)
        if (is_upper(*p))
            return bad(err, text, "the name of a repository is in lower case");
    if (prefix + n > IMAGE_REPOSITORY_MAX)
        return bad(err, text, "the name of a repository has at most 255 bytes");
    memcpy(ref->repository, library, prefix);
    memcpy(ref->repository + prefix, path, n + 1);
    if (!image_repository_valid(ref->repository))
        return bad(err, text,
                   "a repository is words of a-z and 0-9, joined by / . _ __ or -, such as "
                   "debian or registry.example:5000/team/app");
    return 0;
}

int image_reference_parse(const char *text, struct image_reference *ret, struct error *err)
{
    struct image_reference ref = {0};
    char name[IMAGE_REGISTRY_MAX + IMAGE_REPOSITORY_MAX + IMAGE_TAG_MAX + IMAGE_DIGEST_MAX + 4];
    char *path = name;
    size_t n = strlen(text);
    int r;

    if (!n)
        return error_set(err, -EINVAL, "the image name is empty");
    if (n >= sizeof(name))
        return bad(err, text, "it is too long");
    if (strstr(text, "://"))
        return bad(err, text, "write it without a scheme, as registry.example/name:tag");
    if (is_id(text))
        return bad(err, text, "64 hexadecimal digits are the id of an image, not a name");
    memcpy(name, text, n + 1);
    if ((r = split(text, name, &ref, err)) < 0)
        return r;
    n = strcspn(name, "/");
    if (name[n] && names_registry(name, n)) {
        name[n] = 0;
        path = name + n + 1;
        if (!image_registry_valid(name))
            return bad(err, text, "the part before the first / is not a HOST or HOST:PORT");
        if (strcmp(name, "index.docker.io") == 0)
            memcpy(ref.registry, default_registry, sizeof(default_registry));
        else
            memcpy(ref.registry, name, n + 1);
    } else {
        memcpy(ref.registry, default_registry, sizeof(default_registry));
        ref.short_name = true;
    }
    if ((r = repository(text, path, &ref, err)) < 0)
        return r;
    if (!ref.tag[0] && !ref.digest[0])
        memcpy(ref.tag, "latest", sizeof("latest"));
    *ret = ref;
    return 0;
}

static void tail(const struct image_reference *ref, struct str *out)
{
    if (ref->tag[0])
        str_addf(out, ":%s", ref->tag);
    if (ref->digest[0])
        str_addf(out, "@%s", ref->digest);
}

void image_reference_text(const struct image_reference *ref, struct str *out)
{
    str_addf(out, "%s/%s", ref->registry, ref->repository);
    tail(ref, out);
}

void image_reference_familiar(const struct image_reference *ref, struct str *out)
{
    const char *path = ref->repository;

    if (strcmp(ref->registry, default_registry) != 0) {
        str_addf(out, "%s/", ref->registry);
    } else {
        size_t n = strcspn(path, "/");
        if (str_starts(path, library) && !strchr(path + strlen(library), '/')) {
            path += strlen(library);
        } else if (path[n] && names_registry(path, n)) {
            str_addf(out, "%s/", ref->registry); /* else it would be read as a registry */
        }
    }
    str_add(out, path);
    tail(ref, out);
}
