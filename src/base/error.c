/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *format, ...)
{
    if (err) {
        va_list ap;
        err->code = code;
        va_start(ap, format);
        vsnprintf(err->text, sizeof(err->text), format, ap);
        va_end(ap);
    }
    return code;
}

int error_set_errno(struct error *err, int code, const char *format, ...)
{
    if (err) {
        va_list ap;
        size_t used;
        err->code = code;
        va_start(ap, format);
        vsnprintf(err->text, sizeof(err->text), format, ap);
        va_end(ap);
        used = strlen(err->text);
        snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(-code));
    }
    return code;
}

int error_wrap(struct error *err, int code, const char *format, ...)
{
    if (err) {
        char inner[ERROR_TEXT_MAX];
        va_list ap;
        size_t used;
        memcpy(inner, err->text, sizeof(inner));
        va_start(ap, format);
        vsnprintf(err->text, sizeof(err->text), format, ap);
        va_end(ap);
        used = strlen(err->text);
        if (inner[0])
            snprintf(err->text + used, sizeof(err->text) - used, ": %s", inner);
        err->code = code;
    }
    return code;
}

const char *error_text(const struct error *err)
{
    return err && err->text[0] ? err->text : "unknown error";
}
