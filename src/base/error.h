/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors with a chain of context.
 *
 * A function that can fail returns 0 or a negative errno and takes a struct error as its last
 * argument (NULL when the caller does not care). The innermost function sets the reason, each
 * caller that knows more wraps it: "start instance web: open disk a.qcow2: bad magic".
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>

enum { ERROR_TEXT_MAX = 1024 };

/* An error slot. Zero-initialise it; it owns nothing and needs no release. */
struct error {
    int code;                  /* negative errno, 0 when unset */
    char text[ERROR_TEXT_MAX]; /* one line, without a final period or newline */
};

#define error_must_check __attribute__((warn_unused_result))

/*
 * Sets @err (may be NULL) to @code, a negative errno, with a formatted reason. Returns @code, so
 * that "return error_set(err, -EINVAL, ...)" reads well. The reason is used as given: append
 * strerror-style text with error_set_errno.
 */
int error_set(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set, with ": " and the system's text for @code appended. */
int error_set_errno(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Prepends formatted context and ": " to a set @err (may be NULL). Returns @code unchanged, so that
 * "return error_wrap(err, r, ...)" reads well.
 */
int error_wrap(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The text of @err, or "unknown error" when it is NULL or unset. Borrowed from @err. */
const char *error_text(const struct error *err);

#endif
