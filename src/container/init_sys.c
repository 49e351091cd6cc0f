/* SPDX-License-Identifier: Apache-2.0 */
#include "container/init_sys.h"

#include <errno.h>

void *memcpy(void *to, const void *from, size_t n)
{
    char *t = to;
    const char *f = from;
    while (n--)
        *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    char *t = to;
    const char *f = from;
    if (t < f)
        return memcpy(to, from, n);
    while (n--)
        t[n] = f[n];
    return to;
}

void *memset(void *to, int byte, size_t n)
{
    char *t = to;
    while (n--)
        *t++ = (char)byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;
    for (; n; n--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

bool text_equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

bool text_starts(const char *s, const char *prefix)
{
    while (*prefix && *s == *prefix)
        s++, prefix++;
    return !*prefix;
}

void line_add(struct line *l, const char *text)
{
    while (*text && l->len + 1 < l->size)
        l->data[l->len++] = *text++;
    l->data[l->len] = '\0';
}

void line_add_number(struct line *l, long value)
{
    char digits[24];
    size_t at = sizeof digits;
    unsigned long v = value < 0 ? 0 - (unsigned long)value : (unsigned long)value;
    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    if (value < 0)
        digits[--at] = '-';
    line_add(l, digits + at);
}

const char *errno_text(int code)
{
    static const struct {
        int code;
        const char *text;
    } known[] = {
        {EPERM, "operation not permitted"},
        {ENOENT, "no such file or directory"},
        {EIO, "input/output error"},
        {E2BIG, "argument list too long"},
        {ENOEXEC, "exec format error"},
        {EBADF, "bad file descriptor"},
        {EAGAIN, "resource temporarily unavailable"},
        {ENOMEM, "cannot allocate memory"},
        {EACCES, "permission denied"},
        {ENOTBLK, "block device required"},
        {EBUSY, "device or resource busy"},
        {EEXIST, "file exists"},
        {EXDEV, "invalid cross-device link"},
        {ENODEV, "no such device"},
        {ENOTDIR, "not a directory"},
        {EISDIR, "is a directory"},
        {EINVAL, "invalid argument"},
        {ENFILE, "too many open files in system"},
        {EMFILE, "too many open files"},
        {ETXTBSY, "text file busy"},
        {EFBIG, "file too large"},
        {ENOSPC, "no space left on device"},
        {EROFS, "read-only file system"},
        {ENAMETOOLONG, "file name too long"},
        {ENOSYS, "function not implemented"},
        {ELOOP, "too many levels of symbolic links"},
        {EOVERFLOW, "value too large for defined data type"},
        {EUSERS, "too many users"},
        {EOPNOTSUPP, "operation not supported"},
        {ETIMEDOUT, "timed out"},
        {EDQUOT, "disk quota exceeded"},
        {ENOKEY, "required key not available"},
        {ELIBBAD, "accessing a corrupted shared library"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].code == code)
            return known[i].text;
    return "";
}
