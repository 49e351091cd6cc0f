/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "instance/sandbox.h"

int confine_begin(struct error *err)
{
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGXFSZ, SIGTTOU, SIGTTIN, SIGTSTP};
    struct rlimit no_core = {0, 0}, files;
    sigset_t all;

    setsid(); /* fails when it already leads a session: as good */
    umask(077);
    if (chdir("/") < 0)
        return error_set_errno(err, -errno, "change to /");
    for (size_t i = 0; i < array_size(ignored); i++)
        signal(ignored[i], SIG_IGN);
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    /* Guest memory does not belong into core files. */
    if (setrlimit(RLIMIT_CORE, &no_core) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        return error_set_errno(err, -errno, "disable core files");
    /* Every published connection takes a descriptor. */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = min_of(files.rlim_max, (rlim_t)65536);
        setrlimit(RLIMIT_NOFILE, &files);
    }
    return 0;
}

int confine_privileges(bool reopens, struct error *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct now[2], keep[2] = {0};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set_errno(err, -errno, "give up new privileges");
    if (syscall(SYS_capget, &header, now) < 0)
        return error_set_errno(err, -errno, "read capabilities");
    if (reopens)
        keep[0].permitted = 1u << CAP_DAC_OVERRIDE | 1u << CAP_NET_BIND_SERVICE;
    keep[0].permitted &= now[0].permitted;
    keep[0].effective = keep[0].permitted;
    for (int cap = 0; cap <= CAP_LAST_CAP && (now[0].permitted || now[1].permitted); cap++)
        prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* needs CAP_SETPCAP; without it there is no use */
    if (syscall(SYS_capset, &header, keep) < 0)
        return error_set_errno(err, -errno, "drop capabilities");
    return sandbox_enter(err);
}
