/* SPDX-License-Identifier: Apache-2.0 */
#include "base/jtree.h"

#include <errno.h>

#include "base/mem.h"

enum { JTREE_TEXT_MAX = 64 << 20 };

/*
 * The text is copied once and unescaped in place: a decoded string is never longer than its quoted
 * form, and its closing quote gives room for the NUL. A number's NUL lands on the byte after it,
 * which is read before it is overwritten (@held).
 */
struct parser {
    struct jtree *doc;
    char *p, *end;
    const char *why;
};

static int fail(struct parser *s, const char *why)
{
    if (!s->why)
        s->why = why;
    return -EINVAL;
}

static void skip_space(struct parser *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static int add_node(struct parser *s, enum jtree_type type, size_t *ret)
{
    struct jtree *doc = s->doc;
    if (doc->count == doc->cap) {
        size_t cap = doc->cap ? doc->cap * 2 : 256;
        struct jnode *grown = realloc(doc->nodes, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        doc->nodes = grown;
        doc->cap = cap;
    }
    doc->nodes[doc->count] = (struct jnode){.type = type, .subtree = 1};
    *ret = doc->count++;
    return 0;
}

static int hex4(struct parser *s, unsigned *ret)
{
    unsigned v = 0;
    if (s->end - s->p < 4)
        return fail(s, "cut off inside a string");
    for (int i = 0; i < 4; i++) {
        char c = *s->p++;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : 16;
        if (digit > 15)
            return fail(s, "bad \\u escape");
        v = v * 16 + digit;
    }
    *ret = v;
    return 0;
}

static char *put_utf8(char *to, unsigned c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

static int unescape(struct parser *s, char **to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    if (s->p >= s->end)
        return fail(s, "cut off inside a string");
    char c = *s->p++;
    if (c != 'u') {
        const char *at = c ? strchr(from, c) : NULL;
        if (!at)
            return fail(s, "unknown escape");
        *(*to)++ = into[at - from];
        return 0;
    }
    unsigned code, low;
    int r = hex4(s, &code);
    if (r < 0)
        return r;
    if (code >= 0xd800 && code < 0xdc00) {
        if (s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u')
            return fail(s, "half a surrogate pair");
        s->p += 2;
        r = hex4(s, &low);
        if (r < 0)
            return r;
        if (low < 0xdc00 || low > 0xdfff)
            return fail(s, "half a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
        return fail(s, "half a surrogate pair");
    }
    if (!code)
        return fail(s, "NUL inside a string");
    *to = put_utf8(*to, code);
    return 0;
}

/* Length of the well-formed UTF-8 sequence at @p (Unicode 15, table 3-7), 0 when it is none. */
static int utf8_len(const unsigned char *p, size_t left)
{
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    int n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if ((size_t)n > left)
        return 0;
    unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return 0;
    for (int i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

/* After the opening quote. Leaves the text NUL-terminated. */
static int parse_string(struct parser *s, uint32_t *ret_text, uint32_t *ret_len)
{
    char *start = s->p, *to = start;
    while (s->p < s->end) {
        unsigned char c = (unsigned char)*s->p;
        if (c == '"') {
            s->p++;
            *to = '\0';
            *ret_text = (uint32_t)(start - s->doc->text);
            *ret_len = (uint32_t)(to - start);
            return 0;
        }
        if (c == '\\') {
            s->p++;
            int r = unescape(s, &to);
            if (r < 0)
                return r;
        } else if (c < 0x20) {
            return fail(s, "control character inside a string");
        } else if (c < 0x80) {
            *to++ = *s->p++;
        } else {
            int n = utf8_len((unsigned char *)s->p, (size_t)(s->end - s->p));
            if (!n)
                return fail(s, "not UTF-8");
            memmove(to, s->p, (size_t)n);
            to += n;
            s->p += n;
        }
    }
    return fail(s, "cut off inside a string");
}

static bool digits(struct parser *s)
{
    char *start = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return s->p > start;
}

/* Leaves the byte after the number alone: the caller terminates it once that byte was used. */
static int parse_number(struct parser *s, uint32_t *ret_text, uint32_t *ret_len)
{
    char *start = s->p;
    if (s->p < s->end && *s->p == '-')
        s->p++;
    bool zero = s->p < s->end && *s->p == '0';
    char *whole = s->p;
    if (!digits(s) || (zero && s->p - whole > 1))
        return fail(s, "bad number");
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (!digits(s))
            return fail(s, "bad number");
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        if (!digits(s))
            return fail(s, "bad number");
    }
    *ret_text = (uint32_t)(start - s->doc->text);
    *ret_len = (uint32_t)(s->p - start);
    return 0;
}

static bool word(struct parser *s, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, text, n) != 0)
        return false;
    s->p += n;
    return true;
}

static int parse_scalar(struct parser *s, size_t node)
{
    struct jnode v = {.subtree = 1};
    int r = 0;
    if (s->p >= s->end)
        return fail(s, "cut off");
    if (*s->p == '"') {
        s->p++;
        v.type = JTREE_STRING;
        r = parse_string(s, &v.text, &v.len);
    } else if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9')) {
        v.type = JTREE_NUMBER;
        r = parse_number(s, &v.text, &v.len);
    } else if (word(s, "true")) {
        v.type = JTREE_TRUE;
    } else if (word(s, "false")) {
        v.type = JTREE_FALSE;
    } else if (word(s, "null")) {
        v.type = JTREE_NULL;
    } else {
        return fail(s, "a value was expected");
    }
    v.key = s->doc->nodes[node].key;
    s->doc->nodes[node] = v;
    return r;
}

/* Reads the key and colon before an object's child. */
static int parse_key(struct parser *s, uint32_t *ret_key)
{
    uint32_t len;
    skip_space(s);
    if (s->p >= s->end || *s->p != '"')
        return fail(s, "a key in quotes was expected");
    s->p++;
    int r = parse_string(s, ret_key, &len);
    if (r < 0)
        return r;
    skip_space(s);
    if (s->p >= s->end || *s->p != ':')
        return fail(s, "':' was expected");
    s->p++;
    return 0;
}

/*
 * Iterative, with the open containers on a stack. Numbers are terminated at the end: their texts
 * end where a ',' or ']' was.
 */
static int parse_tree(struct parser *s)
{
    size_t open[JTREE_DEPTH_MAX], depth = 0, node;
    uint32_t key = 0;
    for (;;) {
        int r = add_node(s, JTREE_NULL, &node);
        if (r < 0)
            return r;
        struct jnode *nodes = s->doc->nodes;
        nodes[node].key = key;
        if (depth)
            nodes[open[depth - 1]].len++;
        skip_space(s);
        char c = s->p < s->end ? *s->p : '\0';
        bool container = c == '{' || c == '[';
        if (container) {
            if (depth == JTREE_DEPTH_MAX)
                return fail(s, "nested too deeply");
            nodes[node].type = c == '{' ? JTREE_OBJECT : JTREE_ARRAY;
            open[depth++] = node;
            s->p++;
        } else {
            r = parse_scalar(s, node);
            if (r < 0)
                return r;
        }
        /* Close what ends here, then go on with a comma's next child. */
        bool first = container;
        for (;;) {
            if (!depth)
                return 0;
            skip_space(s);
            c = s->p < s->end ? *s->p : '\0';
            bool object = s->doc->nodes[open[depth - 1]].type == JTREE_OBJECT;
            if (c == (object ? '}' : ']')) {
                s->p++;
                depth--;
                s->doc->nodes[open[depth]].subtree = (uint32_t)(s->doc->count - open[depth]);
                first = false;
                continue;
            }
            if (!first && c != ',')
                return fail(s,
                            s->p < s->end ? "',' or the end of the list was expected" : "cut off");
            if (!first)
                s->p++;
            key = 0;
            r = object ? parse_key(s, &key) : 0;
            if (r < 0)
                return r;
            break;
        }
    }
}

int jtree_parse(const char *text, size_t len, struct jtree *ret, struct error *err)
{
    struct jtree doc = {0};
    if (len > JTREE_TEXT_MAX)
        return error_set(err, -EFBIG, "JSON of %zu bytes: at most 64 MiB are read", len);
    doc.text = malloc(len + 1);
    if (!doc.text)
        return error_set(err, -ENOMEM, "out of memory");
    memcpy(doc.text, text, len);
    doc.text[len] = '\0';
    struct parser s = {.doc = &doc, .p = doc.text, .end = doc.text + len};
    int r = parse_tree(&s);
    if (r == 0) {
        skip_space(&s);
        if (s.p < s.end)
            r = fail(&s, "more text after the end");
    }
    if (r < 0) {
        unsigned line = 1, column = 1;
        for (const char *q = text, *at = text + (s.p - doc.text); q < at; q++) {
            column = *q == '\n' ? 1 : column + 1;
            line += *q == '\n';
        }
        jtree_done(&doc);
        if (r == -ENOMEM)
            return error_set(err, r, "out of memory");
        return error_set(err, r, "bad JSON in line %u, column %u: %s", line, column, s.why);
    }
    for (size_t i = 0; i < doc.count; i++)
        if (doc.nodes[i].type == JTREE_NUMBER)
            doc.text[doc.nodes[i].text + doc.nodes[i].len] = '\0';
    *ret = doc;
    return 0;
}

void jtree_done(struct jtree *doc)
{
    free(doc->text);
    free(doc->nodes);
    *doc = (struct jtree){0};
}

const struct jnode *jtree_first(const struct jnode *value)
{
    bool has = value && (value->type == JTREE_ARRAY || value->type == JTREE_OBJECT) && value->len;
    return has ? value + 1 : NULL;
}

const struct jnode *jtree_next(const struct jnode *parent, const struct jnode *child)
{
    const struct jnode *next = child + child->subtree;
    return next < parent + parent->subtree ? next : NULL;
}

const char *jtree_key(const struct jtree *doc, const struct jnode *child)
{
    return doc->text + child->key;
}

const char *jtree_text(const struct jtree *doc, const struct jnode *value)
{
    bool has = value->type == JTREE_STRING || value->type == JTREE_NUMBER;
    return has ? doc->text + value->text : "";
}

const struct jnode *jtree_get(const struct jtree *doc, const struct jnode *object, const char *key)
{
    if (!object || object->type != JTREE_OBJECT)
        return NULL;
    for (const struct jnode *c = jtree_first(object); c; c = jtree_next(object, c))
        if (strcmp(jtree_key(doc, c), key) == 0)
            return c->type == JTREE_NULL ? NULL : c;
    return NULL;
}

const char *jtree_get_string(const struct jtree *doc, const struct jnode *object, const char *key)
{
    const struct jnode *v = jtree_get(doc, object, key);
    return v && v->type == JTREE_STRING ? jtree_text(doc, v) : NULL;
}

/* Digits only, as JSON leaves them; fractions and exponents are refused. */
static bool magnitude(const char *p, uint64_t *ret)
{
    uint64_t v = 0;
    for (; *p; p++) {
        if (*p < '0' || *p > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return false;
    }
    *ret = v;
    return true;
}

bool jtree_u64(const struct jtree *doc, const struct jnode *value, uint64_t *ret)
{
    return value && value->type == JTREE_NUMBER && magnitude(jtree_text(doc, value), ret);
}

bool jtree_i64(const struct jtree *doc, const struct jnode *value, int64_t *ret)
{
    if (!value || value->type != JTREE_NUMBER)
        return false;
    const char *p = jtree_text(doc, value);
    bool negative = *p == '-';
    uint64_t v;
    if (!magnitude(p + negative, &v) || v > (uint64_t)INT64_MAX + negative)
        return false;
    *ret = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

void jtree_add_string(struct str *out, const char *text)
{
    str_add_char(out, '"');
    for (const char *p = text; *p; p++) {
        const char *plain = p;
        while ((unsigned char)*p >= 0x20 && *p != '"' && *p != '\\')
            p++;
        str_add_n(out, plain, (size_t)(p - plain));
        if (!*p)
            break;
        if (*p == '"' || *p == '\\')
            str_addf(out, "\\%c", *p);
        else if (*p == '\n')
            str_add(out, "\\n");
        else if (*p == '\t')
            str_add(out, "\\t");
        else
            str_addf(out, "\\u%04x", (unsigned char)*p);
    }
    str_add_char(out, '"');
}

/* Recursion is bounded by JTREE_DEPTH_MAX. */
void jtree_add_value(struct str *out, const struct jtree *doc, const struct jnode *value)
{
    static const char *const words[] = {"null", "false", "true"};
    if (value->type <= JTREE_TRUE) {
        str_add(out, words[value->type]);
    } else if (value->type == JTREE_NUMBER) {
        str_add(out, jtree_text(doc, value));
    } else if (value->type == JTREE_STRING) {
        jtree_add_string(out, jtree_text(doc, value));
    } else {
        bool object = value->type == JTREE_OBJECT;
        str_add_char(out, object ? '{' : '[');
        for (const struct jnode *c = jtree_first(value); c; c = jtree_next(value, c)) {
            if (c != jtree_first(value))
                str_add_char(out, ',');
            if (object) {
                jtree_add_string(out, jtree_key(doc, c));
                str_add_char(out, ':');
            }
            jtree_add_value(out, doc, c);
        }
        str_add_char(out, object ? '}' : ']');
    }
}
