/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging by area and level, for people who debug Isola. Library code logs here and never prints;
 * what a user must see travels as a struct error. Free when off: one load and a predicted branch.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_TRACE
};

/* Messages above this level are dropped. Set once at start; LOG_LEVEL_WARN by default. */
extern int log_level_max;

/* Where lines go: called with one line without newline. NULL restores the default (stderr). */
void log_set_sink(void (*sink)(enum log_level level, const char *area, const char *line));

/* Writes one formatted line of @area (a room or device name). Use the log_* macros. */
void log_write(enum log_level level, const char *area, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_at(level, area, ...)                                                                   \
    do {                                                                                           \
        if (__builtin_expect((int)(level) <= log_level_max, 0))                                    \
            log_write(level, area, __VA_ARGS__);                                                   \
    } while (0)
#define log_error(area, ...) log_at(LOG_LEVEL_ERROR, area, __VA_ARGS__)
#define log_warn(area, ...)  log_at(LOG_LEVEL_WARN, area, __VA_ARGS__)
#define log_info(area, ...)  log_at(LOG_LEVEL_INFO, area, __VA_ARGS__)
#define log_debug(area, ...) log_at(LOG_LEVEL_DEBUG, area, __VA_ARGS__)
#define log_trace(area, ...) log_at(LOG_LEVEL_TRACE, area, __VA_ARGS__)

#endif
