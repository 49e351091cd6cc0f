/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/crash.h"

#include <fcntl.h>
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

static void crash(void)
{
    const char *mark = getenv("ISOLA_CRASH_MARK");

    if (mark)
        close(open(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    kill(getpid(), SIGKILL);
}

void crash_point(void)
{
    if (__builtin_expect(points_left != 0, 0) && --points_left == 0)
        crash();
}
