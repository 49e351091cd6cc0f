/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTAINER_UTC_H
#define CONTAINER_UTC_H

#include <stdbool.h>
#include <stddef.h>

enum { UTC_TEXT_MAX = 40 };

/* The time now as RFC 3339 in UTC ("2026-01-31T23:59:59Z"), with nanoseconds if asked for. Without
 * the C library's calendar, which reads the host's time zone first. */
void utc_now(char text[UTC_TEXT_MAX], bool nanoseconds);

#endif
