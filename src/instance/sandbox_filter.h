/* SPDX-License-Identifier: Apache-2.0 */
/* How the filters of supervisors are written and installed; private to sandbox.c and
 * container_sandbox.c. */
#ifndef INSTANCE_SANDBOX_FILTER_H
#define INSTANCE_SANDBOX_FILTER_H

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include "base/error.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

/* The filters are for x86-64 alone; the run-time of a sanitizer makes calls of its own. */
#if defined(__x86_64__) && !defined(__ILP32__) && !defined(SANITIZED)
#define SANDBOX_FILTERS 1
#endif

#define LOAD(member)                                                                               \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, member))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define FAIL(number)   RETURN(SECCOMP_RET_ERRNO | (number))
/* Skips @count instructions unless the accumulator is @value. */
#define UNLESS(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count)

/* Stands for the process's id until the filter is installed. */
#define OWN_PID 0x80706964u

/* The generated lists as numbers. */
#define SYSCALL(name) __NR_##name,

enum { SANDBOX_SPECIAL_MAX = 128, SANDBOX_ALLOWED_MAX = 400 };

/*
 * Installs a filter in all threads: the @count instructions of @special, OWN_PID replaced, after
 * which the accumulator is the number of the call; what comes through them is allowed if it is
 * among
 * @allowed (not sorted, at most SANDBOX_ALLOWED_MAX), and fails with EPERM otherwise. 0 as well
 * where a filter is not possible or switched off (sandbox.h says when).
 */
int sandbox_install(const struct sock_filter *special, size_t count, const unsigned *allowed,
                    size_t allowed_count, struct error *err) error_must_check;

#endif
