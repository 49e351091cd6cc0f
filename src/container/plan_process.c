/* SPDX-License-Identifier: Apache-2.0 */
/* The process part of a plan: shared by a container's first process and exec. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/plan_build.h"

enum { CPUS_MAX = 8192 };

static const char *rlimit_name(int resource)
{
    static const char *const names[] = {[RLIMIT_CPU] = "RLIMIT_CPU",
                                        [RLIMIT_FSIZE] = "RLIMIT_FSIZE",
                                        [RLIMIT_DATA] = "RLIMIT_DATA",
                                        [RLIMIT_STACK] = "RLIMIT_STACK",
                                        [RLIMIT_CORE] = "RLIMIT_CORE",
                                        [RLIMIT_RSS] = "RLIMIT_RSS",
                                        [RLIMIT_NPROC] = "RLIMIT_NPROC",
                                        [RLIMIT_NOFILE] = "RLIMIT_NOFILE",
                                        [RLIMIT_MEMLOCK] = "RLIMIT_MEMLOCK",
                                        [RLIMIT_AS] = "RLIMIT_AS",
                                        [10] = "RLIMIT_LOCKS",
                                        [RLIMIT_SIGPENDING] = "RLIMIT_SIGPENDING",
                                        [RLIMIT_MSGQUEUE] = "RLIMIT_MSGQUEUE",
                                        [RLIMIT_NICE] = "RLIMIT_NICE",
                                        [RLIMIT_RTPRIO] = "RLIMIT_RTPRIO",
                                        [RLIMIT_RTTIME] = "RLIMIT_RTTIME"};
    return (size_t)resource < array_size(names) ? names[resource] : "?";
}

static int add_rlimits(struct plan_builder *b, const struct oci_process *p, struct error *err)
{
    cleanup_free struct plan_rlimit *limits = mem_alloc(p->rlimit_count + 1, sizeof *limits);
    if (!limits)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < p->rlimit_count; i++) {
        const struct oci_rlimit *from = &p->rlimits[i];
        char name[96];
        snprintf(name, sizeof name, "%s to %llu:%llu", rlimit_name(from->resource),
                 (unsigned long long)from->soft, (unsigned long long)from->hard);
        limits[i] = (struct plan_rlimit){.resource = (uint32_t)from->resource,
                                         .name = plan_add_text(b, name),
                                         .soft = from->soft,
                                         .hard = from->hard};
    }
    b->plan.rlimits = plan_add_records(b, limits, p->rlimit_count, sizeof *limits);
    return 0;
}

/* "0-2,7" to bits. */
static int add_affinity(struct plan_builder *b, const char *list, struct error *err)
{
    uint64_t bits[CPUS_MAX / 64] = {0};
    unsigned long last = 0;
    if (!list || !*list)
        return 0;
    for (const char *p = list; *p;) {
        char *end;
        unsigned long from = strtoul(p, &end, 10), to = from;
        bool ok = end > p && *p >= '0' && *p <= '9';
        if (ok && *end == '-') {
            p = end + 1;
            to = strtoul(p, &end, 10);
            ok = end > p && *p >= '0' && *p <= '9';
        }
        if (!ok || (*end && *end != ',') || from > to || to >= CPUS_MAX)
            return error_set(err, -EINVAL, "execCPUAffinity: \"%s\" is no list of processors",
                             list);
        for (unsigned long cpu = from; cpu <= to; cpu++)
            bits[cpu / 64] |= UINT64_C(1) << cpu % 64;
        last = max_of(last, to);
        p = end + (*end == ',');
    }
    b->plan.affinity = plan_add_records(b, bits, last / 64 + 1, sizeof *bits);
    return 0;
}

/*
 * A label that the host cannot apply must not be dropped silently. AppArmor's file "exec" takes a
 * command, SELinux's the label alone.
 */
static int add_labels(struct plan_builder *b, const struct oci_process *p, struct error *err)
{
    const char *profile = p->apparmor_profile, *label = p->selinux_label;
    bool has_profile = profile && *profile && strcmp(profile, "unconfined") != 0;
    bool has_label = label && *label;
    if (has_profile) {
        char on = 'N';
        cleanup_fd int fd = open("/sys/module/apparmor/parameters/enabled", O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, &on, 1) != 1 || on != 'Y')
            return error_set(err, -ENOTSUP,
                             "apparmorProfile \"%s\": AppArmor is not enabled on this host; "
                             "remove the profile or enable AppArmor",
                             profile);
        cleanup_free char *text = str_format("exec %s", profile);
        b->plan.apparmor = plan_add_text(b, text);
    }
    if (has_label) {
        if (access("/sys/fs/selinux/enforce", F_OK) < 0)
            return error_set(err, -ENOTSUP,
                             "selinuxLabel \"%s\": SELinux is not enabled on this host; remove "
                             "the label",
                             label);
        b->plan.selinux = plan_add_text(b, label);
    }
    return 0;
}

static void add_capabilities(struct plan_builder *b, const struct oci_process *p,
                             const struct plan_process_options *x)
{
    const struct oci_capabilities *caps = &p->capabilities;
    b->plan.bounding = caps->bounding;
    b->plan.effective = caps->effective;
    b->plan.permitted = caps->permitted;
    b->plan.inheritable = caps->inheritable;
    b->plan.ambient = caps->ambient;
    if (p->unknown_capability && x->warn) {
        cleanup_free char *line =
            str_format("capability %s is unknown and left out", p->unknown_capability);
        x->warn(x->opaque, line ? line : "an unknown capability is left out");
    }
}

/* The environment; what is no NAME=VALUE cannot be given. */
static int add_env(struct plan_builder *b, const struct oci_process *p, struct error *err)
{
    cleanup_free const char **env = mem_alloc(p->env.n + 2, sizeof *env);
    size_t n = 0;
    if (!env)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < p->env.n; i++)
        if (strchr(p->env.v[i], '=') && p->env.v[i][0] != '=')
            env[n++] = p->env.v[i];
    b->plan.env = plan_add_texts(b, env, n);
    return 0;
}

int plan_add_process(struct plan_builder *b, const struct oci_process *p,
                     const struct plan_process_options *x, struct error *err)
{
    struct plan *plan = &b->plan;
    plan->flags |= p->terminal ? PLAN_TERMINAL : 0;
    plan->flags |= p->no_new_privileges ? PLAN_NO_NEW_PRIVS : 0;
    plan->flags |= x->best_effort ? PLAN_BEST_EFFORT : 0;
    plan->flags |= PLAN_SETGROUPS;
    plan->keep_fds = x->preserve_fds;
    plan->args = plan_add_texts(b, p->args.v, p->args.n);
    plan->cwd = plan_add_text(b, p->cwd);
    plan->uid = p->uid;
    plan->gid = p->gid;
    plan->umask = p->umask.set ? (uint32_t)p->umask.value : ~0U;
    plan->groups = plan_add_records(b, p->additional_gids, p->additional_gid_count,
                                    sizeof *p->additional_gids);
    plan->rows = x->rows ? x->rows : p->rows;
    plan->columns = x->columns ? x->columns : p->columns;
    plan->io_class = (uint32_t)p->io_class;
    plan->io_priority = (uint32_t)p->io_priority;
    plan->scheduler = (struct plan_scheduler){.policy = p->sched_policy,
                                              .nice = (int32_t)p->sched_nice,
                                              .priority = (uint32_t)p->sched_priority,
                                              .flags = p->sched_flags,
                                              .runtime = p->sched_runtime,
                                              .deadline = p->sched_deadline,
                                              .period = p->sched_period};
    if (p->oom_score_adj.set) {
        char text[16];
        snprintf(text, sizeof text, "%d", (int)p->oom_score_adj.value);
        plan->oom_score_adj = plan_add_text(b, text);
    }
    add_capabilities(b, p, x);
    int r = add_env(b, p, err);
    r = r < 0 ? r : add_rlimits(b, p, err);
    r = r < 0 ? r : add_labels(b, p, err);
    return r;
}

int plan_add_affinity(struct plan_builder *b, const struct oci_process *p, struct error *err)
{
    return add_affinity(b, p->cpu_final && *p->cpu_final ? p->cpu_final : p->cpu_initial, err);
}
