/* SPDX-License-Identifier: Apache-2.0 */
#include "container/utc.h"

#include <stdio.h>
#include <time.h>

/* Days since 1970-01-01 to a date, in years that begin in March (proleptic Gregorian calendar). */
static void civil(long days, int *year, unsigned *month, unsigned *day)
{
    days += 719468; /* since 0000-03-01 */
    long era = days / 146097;
    unsigned doe = (unsigned)(days - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned m = (5 * doy + 2) / 153;
    *day = doy - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = (int)(yoe + (unsigned)era * 400) + (*month <= 2);
}

void utc_now(char text[UTC_TEXT_MAX], bool nanoseconds)
{
    struct timespec now;
    int year;
    unsigned month, day;
    clock_gettime(CLOCK_REALTIME, &now);
    civil(now.tv_sec / 86400, &year, &month, &day);
    unsigned second = (unsigned)(now.tv_sec % 86400);
    int n = snprintf(text, UTC_TEXT_MAX, "%04d-%02u-%02uT%02u:%02u:%02u", year, month, day,
                     second / 3600, second / 60 % 60, second % 60);
    if (nanoseconds)
        n += snprintf(text + n, (size_t)(UTC_TEXT_MAX - n), ".%09ld", now.tv_nsec);
    snprintf(text + n, (size_t)(UTC_TEXT_MAX - n), "Z");
}
