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

int confine_capabilities(uint64_t keep, struct error *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct now[2], kept[2] = {0};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set_errno(err, -errno, "give up new privileges");
    if (syscall(SYS_capget, &header, now) < 0)
        return error_set_errno(err, -errno, "read capabilities");
    for (int i = 0; i < 2; i++) {
        kept[i].permitted = (uint32_t)(keep >> 32 * i) & now[i].permitted;
        kept[i].effective = kept[i].permitted;
    }
    for (int cap = 0; cap <= CAP_LAST_CAP && (now[0].permitted || now[1].permitted); cap++)
        prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* needs CAP_SETPCAP; without it there is no use */
    if (syscall(SYS_capset, &header, kept) < 0)
        return error_set_errno(err, -errno, "drop capabilities");
    return 0;
}

int confine_privileges(bool reopens, struct error *err)
{
    uint64_t keep = reopens ? 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_NET_BIND_SERVICE : 0;
    int r = confine_capabilities(keep, err);

    return r < 0 ? r : sandbox_enter(err);
}
