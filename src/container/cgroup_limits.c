/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resources of runtime-spec (config-linux.md, "Control groups") as writes to the files of v1
 * (Documentation/admin-guide/cgroup-v1) and v2 (admin-guide/cgroup-v2.rst).
 *
 * One table, by controller: what asks for it, how v1 and how v2 does it. On a hybrid host each
 * controller is where it is. Numbers of v1 become numbers of v2 as described at the conversions.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "container/cgroup_internal.h"
#include "container/oci_config.h"

struct limits {
    struct cgroup *cg;
    const struct cgroup_dir *dir;
    const struct oci_resources *r;
    const char *controller; /* its name, for errors */
    bool fresh;             /* no processes yet: nothing to compare with */
    struct error *err;
};

/* A limit that this host cannot enforce. */
static int cannot(struct cgroup *cg, struct error *err, const char *controller, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));
static int cannot(struct cgroup *cg, struct error *err, const char *controller, const char *format,
                  ...)
{
    char why[400];
    va_list ap;
    va_start(ap, format);
    vsnprintf(why, sizeof(why), format, ap);
    va_end(ap);
    if (cg->best_effort) {
        cgroup_warn(cg, "a %s limit is not enforced: %s", controller, why);
        return 0;
    }
    return error_set(err, -ENOTSUP,
                     "a %s limit was asked for and cannot be enforced: %s; or run without that "
                     "limit, or with --best-effort",
                     controller, why);
}

/* Writes a value; what the host does not let us do is degradation, a bad value an error. */
static int put(const struct limits *l, const char *file, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int put(const struct limits *l, const char *file, const char *format, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    if (n < 0 || n >= (int)sizeof(text))
        return error_set(l->err, -E2BIG, "the value of %s is too long", file);
    int r = cgroup_write_raw(l->cg, l->dir, file, text);
    if (!r)
        return 0;
    if (r == -ENOENT)
        return cannot(l->cg, l->err, l->controller,
                      "this kernel has no %s (in %s); a kernel that has it is needed", file,
                      l->dir->path);
    if (r == -EACCES || r == -EPERM || r == -EROFS)
        return cannot(l->cg, l->err, l->controller,
                      "writing %s/%s is not allowed (%s); run as root or in a delegated group",
                      l->dir->path, file, strerror(-r));
    return error_set_errno(l->err, r, "set %s limit: write '%s' to %s/%s", l->controller, text,
                           l->dir->path, file);
}

static int put_u64(const struct limits *l, const char *file, struct oci_u64 v)
{
    return v.set ? put(l, file, "%" PRIu64, v.value) : 0;
}

/* v2: "max" for unlimited. */
static int put_max(const struct limits *l, const char *file, int64_t v)
{
    return v < 0 ? put(l, file, "max") : put(l, file, "%" PRId64, v);
}

/* cpu */

static bool cpu_asked(const struct oci_resources *r)
{
    const struct oci_cpu *c = &r->cpu;
    return (c->shares.set && c->shares.value) || (c->period.set && c->period.value) ||
           (c->quota.set && c->quota.value) || c->burst.set ||
           (c->realtime_period.set && c->realtime_period.value) ||
           (c->realtime_runtime.set && c->realtime_runtime.value) || c->idle.set;
}

static int cpu_v1(const struct limits *l)
{
    const struct oci_cpu *c = &l->r->cpu;
    int r = c->idle.set ? put(l, "cpu.idle", "%" PRId64, c->idle.value) : 0;
    /* An idle group has no shares: the kernel refuses them. */
    if (!r && c->shares.set && c->shares.value && !(c->idle.set && c->idle.value == 1))
        r = put_u64(l, "cpu.shares", c->shares);
    /* Period and quota are checked against each other and the parent at each write, the burst
     * against the quota: what does not fit now is written again after the others. */
    bool period = c->period.set && c->period.value, burst = c->burst.set;
    if (!r && burst) {
        char text[32];
        snprintf(text, sizeof(text), "%" PRIu64, c->burst.value);
        burst = cgroup_write_raw(l->cg, l->dir, "cpu.cfs_burst_us", text) != 0;
    }
    if (!r && period) {
        char text[32];
        snprintf(text, sizeof(text), "%" PRIu64, c->period.value);
        int w = cgroup_write_raw(l->cg, l->dir, "cpu.cfs_period_us", text);
        period = w == -EINVAL && c->quota.set;
        if (w && !period)
            r = put_u64(l, "cpu.cfs_period_us", c->period);
    }
    if (!r && c->quota.set && c->quota.value)
        r = put(l, "cpu.cfs_quota_us", "%" PRId64, c->quota.value < 0 ? -1 : c->quota.value);
    if (!r && period)
        r = put_u64(l, "cpu.cfs_period_us", c->period);
    if (!r && burst)
        r = put_u64(l, "cpu.cfs_burst_us", c->burst);
    if (!r && c->realtime_period.set && c->realtime_period.value)
        r = put_u64(l, "cpu.rt_period_us", c->realtime_period);
    if (!r && c->realtime_runtime.set && c->realtime_runtime.value)
        r = put(l, "cpu.rt_runtime_us", "%" PRId64, c->realtime_runtime.value);
    return r;
}

/*
 * Shares (2..262144, default 1024) as weight (1..10000, default 100). The three pairs 2 - 1,
 * 1024 - 100 and 262144 - 10000 lie on a parabola in logarithms; a straight line would turn the
 * default into 39.
 */
uint64_t cgroup_cpu_weight(uint64_t shares)
{
    if (!shares)
        return 0;
    if (shares <= 2)
        return 1;
    if (shares >= 262144)
        return 10000;
    double l = log2((double)shares);
    return (uint64_t)ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}

static int cpu_v2(const struct limits *l)
{
    const struct oci_cpu *c = &l->r->cpu;
    int r = c->idle.set ? put(l, "cpu.idle", "%" PRId64, c->idle.value) : 0;
    if (!r && c->shares.set && c->shares.value && !(c->idle.set && c->idle.value == 1))
        r = put(l, "cpu.weight", "%" PRIu64, cgroup_cpu_weight(c->shares.value));
    bool burst = c->burst.set;
    if (!r && burst) {
        char text[32];
        snprintf(text, sizeof(text), "%" PRIu64, c->burst.value);
        burst = cgroup_write_raw(l->cg, l->dir, "cpu.max.burst", text) != 0;
    }
    bool period = c->period.set && c->period.value, quota = c->quota.set && c->quota.value;
    if (!r && (period || quota)) {
        char max[32] = "max";
        if (quota && c->quota.value > 0) {
            snprintf(max, sizeof(max), "%" PRId64, c->quota.value);
        } else if (!quota) {
            char now[64]; /* "QUOTA PERIOD": a period alone keeps the quota */
            if (cgroup_read_text(l->dir, "cpu.max", now, sizeof(now)) > 0)
                snprintf(max, sizeof(max), "%.*s", (int)min_of(strcspn(now, " \n"), (size_t)31),
                         now);
        }
        r = period ? put(l, "cpu.max", "%s %" PRIu64, max, c->period.value)
                   : put(l, "cpu.max", "%s", max);
    }
    if (!r && burst)
        r = put_u64(l, "cpu.max.burst", c->burst);
    if (!r && ((c->realtime_period.set && c->realtime_period.value) ||
               (c->realtime_runtime.set && c->realtime_runtime.value)))
        r = cannot(l->cg, l->err, "cpu",
                   "cgroup v2 has no real-time bandwidth (realtimePeriod, realtimeRuntime)");
    return r;
}

/* cpuset */

static bool cpuset_asked(const struct oci_resources *r)
{
    return (r->cpu.cpus && *r->cpu.cpus) || (r->cpu.mems && *r->cpu.mems);
}

static int cpuset_any(const struct limits *l)
{
    const struct oci_cpu *c = &l->r->cpu;
    int r = c->cpus && *c->cpus ? put(l, "cpuset.cpus", "%s", c->cpus) : 0;
    return !r && c->mems && *c->mems ? put(l, "cpuset.mems", "%s", c->mems) : r;
}

/* memory */

static bool memory_asked(const struct oci_resources *r)
{
    const struct oci_memory *m = &r->memory;
    return (m->limit.set && m->limit.value) || (m->reservation.set && m->reservation.value) ||
           (m->swap.set && m->swap.value) || m->swappiness.set || m->disable_oom_killer ||
           (m->kernel.set && m->kernel.value) || (m->kernel_tcp.set && m->kernel_tcp.value);
}

static int check_usage(const struct limits *l, const char *file)
{
    const struct oci_memory *m = &l->r->memory;
    if (l->fresh || !m->check_before_update || !m->limit.set || m->limit.value <= 0)
        return 0;
    uint64_t usage = cgroup_read_u64(l->dir, file, 0);
    if (usage <= (uint64_t)m->limit.value)
        return 0;
    return error_set(l->err, -EBUSY,
                     "memory limit %" PRId64 " is below what the container uses, %" PRIu64
                     " bytes: nothing was changed (checkBeforeUpdate)",
                     m->limit.value, usage);
}

static int memory_refuse_kernel(const struct limits *l)
{
    const struct oci_memory *m = &l->r->memory;
    if ((m->kernel.set && m->kernel.value > 0) || (m->kernel_tcp.set && m->kernel_tcp.value > 0))
        cgroup_warn(l->cg, "kernel memory limits are ignored: Linux removed them (5.16), kernel "
                           "memory counts as memory");
    return 0;
}

static int memory_v1(const struct limits *l)
{
    static const char limit_file[] = "memory.limit_in_bytes";
    static const char swap_file[] = "memory.memsw.limit_in_bytes"; /* memory and swap together */
    const struct oci_memory *m = &l->r->memory;
    int r = check_usage(l, "memory.usage_in_bytes");
    bool limit = m->limit.set && m->limit.value, swap = m->swap.set && m->swap.value;
    if (!r && limit && swap) {
        /* limit <= memory and swap must hold after each write */
        uint64_t now = l->fresh ? UINT64_MAX : cgroup_read_u64(l->dir, swap_file, 0);
        uint64_t want = m->limit.value < 0 ? UINT64_MAX : (uint64_t)m->limit.value;
        bool swap_first = want > now;
        if (swap_first)
            r = put(l, swap_file, "%" PRId64, m->swap.value);
        if (!r)
            r = put(l, limit_file, "%" PRId64, m->limit.value);
        if (!r && !swap_first)
            r = put(l, swap_file, "%" PRId64, m->swap.value);
    } else if (!r && limit) {
        if (m->limit.value < 0 && cgroup_has_file(l->dir, swap_file))
            r = put(l, swap_file, "-1"); /* no memory limit, none for the sum */
        if (!r)
            r = put(l, limit_file, "%" PRId64, m->limit.value);
    } else if (!r && swap) {
        r = put(l, swap_file, "%" PRId64, m->swap.value);
    }
    if (r == -EBUSY && limit) {
        uint64_t usage = cgroup_read_u64(l->dir, "memory.usage_in_bytes", 0);
        return error_set(l->err, r,
                         "memory limit %" PRId64 " is below what the container uses and cannot "
                         "give back, %" PRIu64 " bytes",
                         m->limit.value, usage);
    }
    if (!r && m->reservation.set && m->reservation.value)
        r = put(l, "memory.soft_limit_in_bytes", "%" PRId64, m->reservation.value);
    if (!r)
        r = memory_refuse_kernel(l);
    if (!r && m->disable_oom_killer)
        r = put(l, "memory.oom_control", "1");
    if (!r && m->swappiness.set && m->swappiness.value > 100)
        r = error_set(l->err, -EINVAL, "memory swappiness %" PRIu64 " is not in 0 to 100",
                      m->swappiness.value);
    if (!r)
        r = put_u64(l, "memory.swappiness", m->swappiness);
    return r;
}

static int memory_v2(const struct limits *l)
{
    const struct oci_memory *m = &l->r->memory;
    int r = check_usage(l, "memory.current");
    bool limit = m->limit.set && m->limit.value, swap = m->swap.set && m->swap.value;
    if (!r && swap && m->swap.value > 0) {
        /* v1 and the specification limit the sum, v2 limits swap itself. */
        int64_t memory = limit ? m->limit.value : -1;
        if (!limit && !l->fresh) {
            uint64_t now = cgroup_read_u64(l->dir, "memory.max", UINT64_MAX);
            memory = now > INT64_MAX ? -1 : (int64_t)now;
        }
        if (memory < 0)
            r = error_set(l->err, -EINVAL,
                          "a limit of memory and swap (%" PRId64 ") needs a memory limit",
                          m->swap.value);
        else if (m->swap.value < memory)
            r = error_set(l->err, -EINVAL,
                          "the limit of memory and swap, %" PRId64
                          ", is below the memory limit %" PRId64,
                          m->swap.value, memory);
        else
            r = put(l, "memory.swap.max", "%" PRId64, m->swap.value - memory);
    } else if (!r && swap) {
        r = put(l, "memory.swap.max", "max");
    } else if (!r && limit && m->limit.value < 0 && cgroup_has_file(l->dir, "memory.swap.max")) {
        r = put(l, "memory.swap.max", "max");
    }
    if (!r && limit)
        r = put_max(l, "memory.max", m->limit.value);
    if (!r && m->reservation.set && m->reservation.value)
        r = put_max(l, "memory.low", m->reservation.value);
    if (!r)
        r = memory_refuse_kernel(l);
    if (!r && m->disable_oom_killer)
        r = cannot(l->cg, l->err, "memory",
                   "cgroup v2 cannot switch the out-of-memory killer off (disableOOMKiller)");
    if (!r && m->swappiness.set)
        r = cannot(l->cg, l->err, "memory", "cgroup v2 has no swappiness of a group");
    return r;
}

/* pids */

static bool pids_asked(const struct oci_resources *r)
{
    return r->pids_limit.set && r->pids_limit.value;
}

static int pids_any(const struct limits *l)
{
    return put_max(l, "pids.max", l->r->pids_limit.value);
}

/* blkio, io */

static bool io_asked(const struct oci_resources *r)
{
    const struct oci_block_io *b = &r->block_io;
    return (b->weight.set && b->weight.value) || (b->leaf_weight.set && b->leaf_weight.value) ||
           b->weight_device_count || b->read_bps.n || b->write_bps.n || b->read_iops.n ||
           b->write_iops.n;
}

static int io_rates(const struct limits *l, const char *file, const struct oci_block_rates *rates,
                    const char *v2_key)
{
    int r = 0;
    for (size_t i = 0; !r && i < rates->n; i++) {
        const struct oci_block_rate *b = &rates->v[i];
        if (!v2_key)
            r = put(l, file, "%" PRId64 ":%" PRId64 " %" PRIu64, b->major, b->minor, b->rate);
        else if (b->rate)
            r = put(l, file, "%" PRId64 ":%" PRId64 " %s=%" PRIu64, b->major, b->minor, v2_key,
                    b->rate);
        else
            r = put(l, file, "%" PRId64 ":%" PRId64 " %s=max", b->major, b->minor, v2_key);
    }
    return r;
}

static int io_v1(const struct limits *l)
{
    const struct oci_block_io *b = &l->r->block_io;
    bool bfq = !cgroup_has_file(l->dir, "blkio.weight");
    int r = 0;
    if (b->weight.set && b->weight.value)
        r = put_u64(l, bfq ? "blkio.bfq.weight" : "blkio.weight", b->weight);
    if (!r && b->leaf_weight.set && b->leaf_weight.value)
        r = put_u64(l, "blkio.leaf_weight", b->leaf_weight);
    for (size_t i = 0; !r && i < b->weight_device_count; i++) {
        const struct oci_block_weight *w = &b->weight_devices[i];
        if (w->weight.set && w->weight.value)
            r = put(l, bfq ? "blkio.bfq.weight_device" : "blkio.weight_device",
                    "%" PRId64 ":%" PRId64 " %" PRIu64, w->major, w->minor, w->weight.value);
        if (!r && w->leaf_weight.set && w->leaf_weight.value)
            r = put(l, "blkio.leaf_weight_device", "%" PRId64 ":%" PRId64 " %" PRIu64, w->major,
                    w->minor, w->leaf_weight.value);
    }
    if (!r)
        r = io_rates(l, "blkio.throttle.read_bps_device", &b->read_bps, NULL);
    if (!r)
        r = io_rates(l, "blkio.throttle.write_bps_device", &b->write_bps, NULL);
    if (!r)
        r = io_rates(l, "blkio.throttle.read_iops_device", &b->read_iops, NULL);
    if (!r)
        r = io_rates(l, "blkio.throttle.write_iops_device", &b->write_iops, NULL);
    return r;
}

/* Weight 10..1000 of v1 as io.weight 1..10000, on a straight line. */
uint64_t cgroup_io_weight(uint64_t weight)
{
    if (!weight)
        return 0;
    weight = weight < 10 ? 10 : weight > 1000 ? 1000 : weight;
    return 1 + (weight - 10) * 9999 / 990;
}

static int io_v2(const struct limits *l)
{
    const struct oci_block_io *b = &l->r->block_io;
    /* The scheduler bfq takes v1's numbers as they are. */
    bool bfq = cgroup_has_file(l->dir, "io.bfq.weight");
    const char *file = bfq ? "io.bfq.weight" : "io.weight";
    int r = 0;
    if (b->weight.set && b->weight.value)
        r = put(l, file, "%s%" PRIu64, bfq ? "" : "default ",
                bfq ? b->weight.value : cgroup_io_weight(b->weight.value));
    for (size_t i = 0; !r && i < b->weight_device_count; i++) {
        const struct oci_block_weight *w = &b->weight_devices[i];
        if (w->weight.set && w->weight.value)
            r = put(l, file, "%" PRId64 ":%" PRId64 " %" PRIu64, w->major, w->minor,
                    bfq ? w->weight.value : cgroup_io_weight(w->weight.value));
    }
    if (!r && b->leaf_weight.set && b->leaf_weight.value)
        r = cannot(l->cg, l->err, "io", "cgroup v2 has no leafWeight");
    if (!r)
        r = io_rates(l, "io.max", &b->read_bps, "rbps");
    if (!r)
        r = io_rates(l, "io.max", &b->write_bps, "wbps");
    if (!r)
        r = io_rates(l, "io.max", &b->read_iops, "riops");
    if (!r)
        r = io_rates(l, "io.max", &b->write_iops, "wiops");
    return r;
}

/* hugetlb */

static bool hugetlb_asked(const struct oci_resources *r)
{
    return r->hugepage_count > 0;
}

static int hugetlb(const struct limits *l, const char *suffix)
{
    int r = 0;
    for (size_t i = 0; !r && i < l->r->hugepage_count; i++) {
        const struct oci_hugepage_limit *h = &l->r->hugepages[i];
        char file[80];
        snprintf(file, sizeof(file), "hugetlb.%.32s.%s", h->page_size, suffix);
        if (strchr(h->page_size, '/'))
            return error_set(l->err, -EINVAL, "page size '%s' is none", h->page_size);
        r = put(l, file, "%" PRIu64, h->limit);
        /* What is reserved counts too, where the kernel can (5.7). */
        snprintf(file, sizeof(file), "hugetlb.%.32s.rsvd.%s", h->page_size, suffix);
        if (!r && cgroup_has_file(l->dir, file))
            r = put(l, file, "%" PRIu64, h->limit);
    }
    return r;
}

static int hugetlb_v1(const struct limits *l)
{
    return hugetlb(l, "limit_in_bytes");
}

static int hugetlb_v2(const struct limits *l)
{
    return hugetlb(l, "max");
}

/* net_cls, net_prio, rdma */

static bool net_cls_asked(const struct oci_resources *r)
{
    return r->net_class_id.set && r->net_class_id.value;
}

static int net_cls_v1(const struct limits *l)
{
    return put_u64(l, "net_cls.classid", l->r->net_class_id);
}

static bool net_prio_asked(const struct oci_resources *r)
{
    return r->net_priority_count > 0;
}

static int net_prio_v1(const struct limits *l)
{
    int r = 0;
    for (size_t i = 0; !r && i < l->r->net_priority_count; i++)
        r = put(l, "net_prio.ifpriomap", "%s %" PRIu32, l->r->net_priorities[i].name,
                l->r->net_priorities[i].priority);
    return r;
}

static bool rdma_asked(const struct oci_resources *r)
{
    return r->rdma_count > 0;
}

static int rdma_any(const struct limits *l)
{
    int r = 0;
    for (size_t i = 0; !r && i < l->r->rdma_count; i++) {
        const struct oci_rdma *d = &l->r->rdma[i];
        char handles[32] = "max", objects[32] = "max";
        if (d->handles.set)
            snprintf(handles, sizeof(handles), "%" PRIu64, d->handles.value);
        if (d->objects.set)
            snprintf(objects, sizeof(objects), "%" PRIu64, d->objects.value);
        r = put(l, "rdma.max", "%s hca_handle=%s hca_object=%s", d->device, handles, objects);
    }
    return r;
}

static const struct {
    enum cgroup_controller controller;
    const char *remedy; /* when the host does not have it */
    bool (*asked)(const struct oci_resources *r);
    int (*v1)(const struct limits *l);
    int (*v2)(const struct limits *l);
} table[] = {
    {CGROUP_CPU, "", cpu_asked, cpu_v1, cpu_v2},
    {CGROUP_CPUSET, "", cpuset_asked, cpuset_any, cpuset_any},
    {CGROUP_MEMORY, ", or boot Linux with cgroup_enable=memory", memory_asked, memory_v1,
     memory_v2},
    {CGROUP_PIDS, "", pids_asked, pids_any, pids_any},
    {CGROUP_IO, "", io_asked, io_v1, io_v2},
    {CGROUP_HUGETLB, "", hugetlb_asked, hugetlb_v1, hugetlb_v2},
    {CGROUP_NET_CLS, " (cgroup v2 has none)", net_cls_asked, net_cls_v1, NULL},
    {CGROUP_NET_PRIO, " (cgroup v2 has none)", net_prio_asked, net_prio_v1, NULL},
    {CGROUP_RDMA, "", rdma_asked, rdma_any, rdma_any},
};

/* "unified": files of v2, named by the configuration. */
static int unified(struct cgroup *cg, const struct oci_resources *r, struct error *err)
{
    if (!r->unified.n)
        return 0;
    struct limits l = {.cg = cg, .r = r, .controller = "unified", .err = err};
    l.dir = cgroup_v2_dir(cg);
    if (!l.dir)
        return cannot(cg, err, "unified", "the container has no cgroup v2 directory");
    int result = 0;
    for (size_t i = 0; !result && i < r->unified.n; i++) {
        const struct oci_pair *p = &r->unified.v[i];
        if (strchr(p->key, '/') || !strchr(p->key, '.') || p->key[0] == '.')
            return error_set(err, -EINVAL, "unified resource '%s' is not the name of a file",
                             p->key);
        /* one write per line, as io.max and others take one at a time */
        for (const char *v = p->value; !result;) {
            size_t n = strcspn(v, "\n");
            result = put(&l, p->key, "%.*s", (int)min_of(n, (size_t)1000), v);
            if (!v[n] || !v[n + 1])
                break;
            v += n + 1;
        }
    }
    return result;
}

unsigned cgroup_limits_asked(const struct oci_resources *r)
{
    unsigned bits = 0;
    for (size_t i = 0; i < array_size(table); i++)
        if (table[i].asked(r))
            bits |= 1u << table[i].controller;
    return bits;
}

int cgroup_limits(struct cgroup *cg, const struct oci_resources *r, bool fresh, struct error *err)
{
    int result = 0;
    for (size_t i = 0; !result && i < array_size(table); i++) {
        if (!table[i].asked(r))
            continue;
        struct limits l = {
            .cg = cg,
            .dir = cgroup_dir_of(cg, table[i].controller),
            .r = r,
            .controller = cgroup_controller_name(table[i].controller, 1),
            .fresh = fresh,
            .err = err,
        };
        int (*set)(const struct limits *) = !l.dir                ? NULL
                                            : l.dir->version == 1 ? table[i].v1
                                                                  : table[i].v2;
        if (set)
            result = set(&l);
        else if (cg->forbidden & 1u << table[i].controller)
            result = cannot(cg, err, l.controller,
                            "this user may not make groups there: run as root, or in a group that "
                            "is delegated (systemd-run --user --scope -p Delegate=yes)");
        else
            result = cannot(cg, err, l.controller,
                            "this host mounts no %s controller that could be used: mount it, or "
                            "let the groups above hand it down%s",
                            l.controller, table[i].remedy);
    }
    return result ? result : unified(cg, r, err);
}

int cgroup_update(struct cgroup *cg, const struct oci_resources *resources, bool best_effort,
                  void (*warn)(void *opaque, const char *line), void *opaque, struct error *err)
{
    cg->best_effort = best_effort;
    cg->warn = warn;
    cg->opaque = opaque;
    int r = cgroup_limits(cg, resources, false, err);
    cg->warn = NULL;
    return r;
}
