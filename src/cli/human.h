/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and times as people write and read them. */
#ifndef CLI_HUMAN_H
#define CLI_HUMAN_H

#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum { HUMAN_SECOND = 1000000000 };

/* "12MiB", "1.5GiB": at most four digits, binary units. */
void human_size(struct str *out, uint64_t bytes);
/* "1.5kB", "12MB": at most four digits, decimal units; for traffic. */
void human_traffic(struct str *out, uint64_t bytes);
/* "Less than a second", "5 seconds", "About a minute", "2 hours", "3 days", as Docker says. */
void human_duration(struct str *out, int64_t ns);
/* "2026-01-31T12:00:00.123456789Z"; "" for 0. */
void human_time(struct str *out, int64_t unix_ns);

/*
 * Reads a time as Unix nanoseconds: a duration before @now_ns (90s, 10m, 1h30m, 2d), a date with
 * optional time and zone (RFC 3339, local without zone), or seconds since 1970. 0 or -EINVAL.
 */
int human_parse_time(const char *text, int64_t now_ns, int64_t *ret_unix_ns,
                     struct error *err) error_must_check;

/* CLOCK_REALTIME in nanoseconds. */
int64_t human_now(void);

#endif
