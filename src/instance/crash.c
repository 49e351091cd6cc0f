/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/crash.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned long points_left; /* a test hook, like mem_fail_at; 0: off */

void crash_arm(bool supervisor)
{
    const char *at = getenv("ISOLA_CRASH_AT"), *in = getenv("ISOLA_CRASH_IN");

    points_left = 0;
    if (at && (!in || strcmp(in, supervisor ? "supervisor" : "command") == 0))
        points_left = strtoul(at, NULL, 10);
}

void crash_point(void)
{
    if (__builtin_expect(points_left != 0, 0) && --points_left == 0)
        kill(getpid(), SIGKILL);
}
