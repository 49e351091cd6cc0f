/* SPDX-License-Identifier: Apache-2.0 */
/* What this host can do: the checks of "isola doctor". */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <stdbool.h>

#include "base/str.h"

enum doctor_result {
    DOCTOR_OK,   /* works */
    DOCTOR_INFO, /* a fact, neither good nor bad */
    DOCTOR_NO,   /* not there; Isola does without */
    DOCTOR_FAIL, /* Isola cannot work */
};

struct doctor_check {
    const char *name;
    /* Appends what was found and, where it helps, what to do. */
    enum doctor_result (*check)(struct str *out);
};

/* In the order of printing; ends with a NULL name. */
extern const struct doctor_check doctor_checks[];

/* What is known of KVM. With @vmx the processor's flags name vmx or svm. */
enum doctor_result doctor_kvm(int open_errno, bool vmx, struct str *out);

/* Whether the "flags" lines of /proc/cpuinfo's text hold @flag as a word. */
bool doctor_has_flag(const char *cpuinfo, const char *flag);

#endif
