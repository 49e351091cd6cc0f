/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

int log_level_max = LOG_LEVEL_WARN;

static void sink_stderr(enum log_level level, const char *area, const char *line)
{
    static const char letters[] = "EWIDT";
    fprintf(stderr, "isola[%c] %s: %s\n", letters[level], area, line);
}

static void (*log_sink)(enum log_level, const char *, const char *) = sink_stderr;

void log_set_sink(void (*sink)(enum log_level level, const char *area, const char *line))
{
    log_sink = sink ? sink : sink_stderr;
}

void log_write(enum log_level level, const char *area, const char *format, ...)
{
    char line[1024];
    va_list ap;

    va_start(ap, format);
    vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    log_sink(level, area, line);
}
