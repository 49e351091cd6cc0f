/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/json.h"

#include <errno.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"

json_t *json_parse(const char *text, size_t len, struct error *err)
{
    json_error_t why;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);

    if (!root)
        error_set(err, -EINVAL, "not JSON: %s", why.text);
    return root;
}

/* Bytes of the well-formed UTF-8 sequence at @p, 0 when it is none (Unicode 15, table 3-7). */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    unsigned char c = p[0];
    size_t n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : 4;

    if (n == 1)
        return 1;
    if (c < 0xc2 || c > 0xf4 || left < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) ||
        (c == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

bool utf8_ok(const void *bytes, size_t len)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < len;) {
        size_t n = utf8_len(p + i, len - i);
        if (!n)
            return false;
        i += n;
    }
    return true;
}

char *json_clean(const char *text)
{
    size_t len = strlen(text);
    struct str out = {0};

    str_add(&out, "");
    for (size_t i = 0; i < len;) {
        size_t n = utf8_len((const unsigned char *)text + i, len - i);
        if (n)
            str_add_n(&out, text + i, n);
        else
            str_add(&out, "\xef\xbf\xbd");
        i += n ? n : 1;
    }
    return str_steal(&out);
}

json_t *json_text(const char *text)
{
    cleanup_free char *clean = json_clean(text);

    return clean ? json_string(clean) : NULL;
}
