/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.seccomp (config-linux.md, "Seccomp") as a classic BPF program, without a library.
 *
 * What a profile means, where the specification is silent, is what runc and crun make of it:
 *  - the host's architecture is always filtered, besides the ones listed; calls of any other
 *    architecture end the thread; names that an architecture does not have do nothing there;
 *  - a rule without arguments decides its calls, whatever other rules say; of several the first;
 *  - among rules with arguments the first that matches decides; several conditions on one argument
 *    are alternatives; on 32-bit architectures the low half of an argument counts;
 *  - calls newer than any that the profile mentions answer ENOSYS, where the default would be a
 *    refusal, so that programs fall back to older ones.
 */
#ifndef CONTAINER_SECCOMP_H
#define CONTAINER_SECCOMP_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"

struct oci_seccomp; /* container/oci_config.h */

struct seccomp_filter {
    struct sock_filter *code;
    unsigned short count;
    unsigned flags; /* SECCOMP_FILTER_FLAG_x */
    bool notify;    /* has calls that a listener answers */
};

/*
 * Compiles @profile. 0, -EINVAL for what is wrong with it, -E2BIG beyond the kernel's 4096
 * instructions, -ENOMEM. Release with seccomp_filter_done.
 */
int seccomp_compile(const struct oci_seccomp *profile, struct seccomp_filter *ret,
                    struct error *err);
void seccomp_filter_done(struct seccomp_filter *filter);

/*
 * Installs it on the calling thread, in the child: no allocation. The caller has set
 * no_new_privs or has CAP_SYS_ADMIN. With filter->notify, *@ret_listener is the descriptor that
 * answers (close-on-exec), else -1. 0 or a negative errno.
 */
int seccomp_install(const struct seccomp_filter *filter, int *ret_listener);

/*
 * Sends @listener to the process that listens on the unix socket profile->listenerPath, with the
 * "container process state" of runtime-spec; @state_json is the container's state, an object.
 * @process_pid: on the host.
 */
int seccomp_send_listener(const struct oci_seccomp *profile, int listener, pid_t process_pid,
                          const char *state_json, struct error *err);

/*
 * The default profile for a process whose bounding set is @capabilities (bit = CAP_x), as the text
 * of linux.seccomp: an object. No wider than Docker's.
 */
void seccomp_default_json(uint64_t capabilities, struct str *out);

/* The capabilities of a container by default, Docker's fourteen; bit = CAP_x. */
uint64_t seccomp_default_capabilities(void);

/* Names that seccomp_compile knows: actions, operators, architectures, flags; for "features". Each
 * array ends with NULL. */
extern const char *const seccomp_actions[], *const seccomp_operators[], *const seccomp_archs[],
                                                                            *const seccomp_flags[];

#endif
