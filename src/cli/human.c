/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/human.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

static void scaled(struct str *out, uint64_t value, unsigned base, const char *const units[])
{
    double v = (double)value;
    unsigned u = 0;

    while (v >= (double)base && units[u + 1]) {
        v /= base;
        u++;
    }
    /* Three significant digits, and no ".0" that says nothing. */
    str_addf(out, u == 0 || v >= 99.95 ? "%.0f%s" : "%.3g%s", v, units[u]);
}

void human_size(struct str *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", NULL};
    scaled(out, bytes, 1024, units);
}

void human_traffic(struct str *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB", NULL};
    scaled(out, bytes, 1000, units);
}

void human_duration(struct str *out, int64_t ns)
{
    int64_t s = ns / HUMAN_SECOND;

    if (s < 1)
        str_add(out, "Less than a second");
    else if (s == 1)
        str_add(out, "1 second");
    else if (s < 60)
        str_addf(out, "%" PRId64 " seconds", s);
    else if (s < 120)
        str_add(out, "About a minute");
    else if (s < 3600)
        str_addf(out, "%" PRId64 " minutes", s / 60);
    else if (s < 7200)
        str_add(out, "About an hour");
    else if (s < 48 * 3600)
        str_addf(out, "%" PRId64 " hours", s / 3600);
    else if (s < 14 * 86400)
        str_addf(out, "%" PRId64 " days", s / 86400);
    else if (s < 60 * 86400)
        str_addf(out, "%" PRId64 " weeks", s / (7 * 86400));
    else if (s < 2 * 365 * 86400ll)
        str_addf(out, "%" PRId64 " months", s / (30 * 86400));
    else
        str_addf(out, "%" PRId64 " years", s / (365 * 86400));
}

void human_time(struct str *out, int64_t unix_ns)
{
    time_t s = (time_t)(unix_ns / HUMAN_SECOND);
    struct tm tm;

    if (unix_ns <= 0 || !gmtime_r(&s, &tm))
        return;
    str_addf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%09dZ", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(unix_ns % HUMAN_SECOND));
}

int64_t human_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * HUMAN_SECOND + t.tv_nsec;
}

/* @n digits at *p as a number; false when there are fewer. */
static bool digits(const char **p, unsigned n, int *ret)
{
    int value = 0;

    for (unsigned i = 0; i < n; i++) {
        if (!isdigit((unsigned char)(*p)[i]))
            return false;
        value = value * 10 + ((*p)[i] - '0');
    }
    *p += n;
    *ret = value;
    return true;
}

/* 1h30m, 10s, 2d: each number with its unit. */
static bool parse_duration(const char *p, int64_t *ret_ns)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"ms", 1000000},
                 {"s", HUMAN_SECOND},
                 {"m", 60ll * HUMAN_SECOND},
                 {"h", 3600ll * HUMAN_SECOND},
                 {"d", 86400ll * HUMAN_SECOND},
                 {"w", 7 * 86400ll * HUMAN_SECOND}};
    int64_t sum = 0;

    if (!*p)
        return false;
    while (*p) {
        int64_t value, part = -1;
        char *end;

        if (!isdigit((unsigned char)*p))
            return false;
        errno = 0;
        value = strtoll(p, &end, 10);
        if (errno)
            return false;
        p = end;
        for (size_t u = 0; u < array_size(units); u++) {
            size_t n = strlen(units[u].name);
            if (strncmp(p, units[u].name, n) == 0 && !isalpha((unsigned char)p[n])) {
                if (__builtin_mul_overflow(value, units[u].ns, &part))
                    return false;
                p += n;
                break;
            }
        }
        if (part < 0 || __builtin_add_overflow(sum, part, &sum))
            return false;
    }
    *ret_ns = sum;
    return true;
}

static bool parse_fraction(const char **p, int64_t *ret_ns)
{
    int64_t unit = HUMAN_SECOND, ns = 0;

    if (**p != '.')
        return true;
    ++*p;
    if (!isdigit((unsigned char)**p))
        return false;
    for (; isdigit((unsigned char)**p); ++*p) {
        unit /= 10;
        ns += (**p - '0') * unit;
    }
    *ret_ns = ns;
    return true;
}

/* "", Z, +02:00 or -0230: seconds east of Greenwich; *ret_local when nothing is said. */
static bool parse_zone(const char *p, bool *ret_local, int64_t *ret_east)
{
    int sign, h, m;

    *ret_local = *p == 0;
    *ret_east = 0;
    if (!*p || strcmp(p, "Z") == 0)
        return true;
    if (*p != '+' && *p != '-')
        return false;
    sign = *p++ == '-' ? -1 : 1;
    if (!digits(&p, 2, &h))
        return false;
    p += *p == ':';
    if (!digits(&p, 2, &m) || *p)
        return false;
    *ret_east = sign * (h * 3600 + m * 60);
    return true;
}

static bool parse_date(const char *p, int64_t *ret_ns)
{
    struct tm tm = {.tm_isdst = -1}, check;
    int64_t fraction = 0, east;
    bool local;
    time_t t;

    if (!digits(&p, 4, &tm.tm_year) || *p++ != '-' || !digits(&p, 2, &tm.tm_mon) || *p++ != '-' ||
        !digits(&p, 2, &tm.tm_mday))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (*p == 'T' || *p == ' ') {
        p++;
        if (!digits(&p, 2, &tm.tm_hour) || *p++ != ':' || !digits(&p, 2, &tm.tm_min))
            return false;
        if (*p == ':') {
            p++;
            if (!digits(&p, 2, &tm.tm_sec) || !parse_fraction(&p, &fraction))
                return false;
        }
    }
    if (!parse_zone(p, &local, &east))
        return false;
    check = tm;
    t = local ? mktime(&tm) : timegm(&tm);
    /* The 31st of April and 25 o'clock would have been carried over. */
    if (tm.tm_mon != check.tm_mon || tm.tm_mday != check.tm_mday || check.tm_hour > 23 ||
        check.tm_min > 59 || check.tm_sec > 60 || t < 0)
        return false;
    *ret_ns = ((int64_t)t - east) * HUMAN_SECOND + fraction;
    return true;
}

/* Seconds since 1970, with a fraction. */
static bool parse_seconds(const char *p, int64_t *ret_ns)
{
    int64_t fraction = 0, ns;
    long long s;
    char *end;

    if (!isdigit((unsigned char)*p))
        return false;
    errno = 0;
    s = strtoll(p, &end, 10);
    p = end;
    if (errno || !parse_fraction(&p, &fraction) || *p ||
        __builtin_mul_overflow(s, (int64_t)HUMAN_SECOND, &ns) ||
        __builtin_add_overflow(ns, fraction, &ns))
        return false;
    *ret_ns = ns;
    return true;
}

int human_parse_time(const char *text, int64_t now_ns, int64_t *ret_unix_ns, struct error *err)
{
    int64_t ns;

    if (parse_duration(text, &ns)) {
        *ret_unix_ns = ns < now_ns ? now_ns - ns : 0;
        return 0;
    }
    if (parse_date(text, ret_unix_ns) || parse_seconds(text, ret_unix_ns))
        return 0;
    return error_set(err, -EINVAL,
                     "\"%s\" is not a time; write 10m, 2026-01-31T12:00:00 or seconds since 1970",
                     text);
}
