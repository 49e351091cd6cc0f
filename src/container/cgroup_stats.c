/* SPDX-License-Identifier: Apache-2.0 */
/* Counters, read from the files of v1 or v2 and given in one form. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/cgroup_internal.h"

enum { STAT_TEXT_MAX = 16384, ITEMS_MAX = 4096 };

static uint64_t times(uint64_t v, uint64_t factor)
{
    uint64_t r;
    return __builtin_mul_overflow(v, factor, &r) ? UINT64_MAX : r;
}

/* cpu */

static void cpuacct_v1(const struct cgroup_dir *dir, struct cgroup_stats *s)
{
    char text[STAT_TEXT_MAX];
    s->cpu.total_ns = cgroup_read_u64(dir, "cpuacct.usage", 0);
    s->cpu.user_ns = cgroup_read_u64(dir, "cpuacct.usage_user", 0);
    s->cpu.system_ns = cgroup_read_u64(dir, "cpuacct.usage_sys", 0);
    if (cgroup_read_text(dir, "cpuacct.usage_percpu", text, sizeof(text)) <= 0)
        return;
    size_t n = 0;
    for (const char *p = text; *p; p++)
        n += isdigit((unsigned char)*p) && !isdigit((unsigned char)p[1]);
    s->cpu.per_cpu_ns = mem_alloc(n + 1, sizeof(uint64_t));
    char *p = text;
    while (s->cpu.per_cpu_ns && s->cpu.cpus < n)
        s->cpu.per_cpu_ns[s->cpu.cpus++] = strtoull(p, &p, 10);
}

static void cpu_stats(const struct cgroup *cg, struct cgroup_stats *s)
{
    const struct cgroup_dir *acct = cgroup_dir_of(cg, CGROUP_CPUACCT);
    if (acct) {
        cpuacct_v1(acct, s);
        s->cpu.have = true;
    }
    const struct cgroup_dir *dir = cgroup_dir_of(cg, CGROUP_CPU);
    /* The core of v2 counts even without the controller. */
    if (!dir && !acct)
        dir = cgroup_v2_dir(cg);
    char text[4096];
    if (!dir || cgroup_read_text(dir, "cpu.stat", text, sizeof(text)) <= 0)
        return;
    s->cpu.have = true;
    s->cpu.periods = cgroup_keyed(text, "nr_periods", 0);
    s->cpu.throttled_periods = cgroup_keyed(text, "nr_throttled", 0);
    if (dir->version == 1) {
        s->cpu.throttled_ns = cgroup_keyed(text, "throttled_time", 0);
        return;
    }
    s->cpu.throttled_ns = times(cgroup_keyed(text, "throttled_usec", 0), 1000);
    s->cpu.total_ns = times(cgroup_keyed(text, "usage_usec", 0), 1000);
    s->cpu.user_ns = times(cgroup_keyed(text, "user_usec", 0), 1000);
    s->cpu.system_ns = times(cgroup_keyed(text, "system_usec", 0), 1000);
}

/* memory */

static void memory_raw(const char *text, struct cgroup_stats *s)
{
    size_t lines = 0;
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    s->memory.raw = mem_alloc(lines + 1, sizeof(*s->memory.raw));
    if (!s->memory.raw)
        return;
    for (const char *l = text; *l && s->memory.raw_count < lines;
         l += strcspn(l, "\n"), l += *l == '\n') {
        size_t n = strcspn(l, " \n");
        struct cgroup_stat_item *item = &s->memory.raw[s->memory.raw_count];
        if (l[n] != ' ' || n >= sizeof(item->name))
            continue;
        memcpy(item->name, l, n);
        item->value = strtoull(l + n + 1, NULL, 10);
        s->memory.raw_count++;
    }
}

/* v1 says "no limit" with the largest number of pages. */
static uint64_t v1_limit(uint64_t v)
{
    return v >= 0x7ffffffffffff000ull ? UINT64_MAX : v;
}

static void memory_v1_stats(const struct cgroup_dir *dir, struct cgroup_stats *s, const char *stat)
{
    char text[512];
    s->memory.usage = cgroup_read_u64(dir, "memory.usage_in_bytes", 0);
    s->memory.max_usage = cgroup_read_u64(dir, "memory.max_usage_in_bytes", 0);
    s->memory.limit = v1_limit(cgroup_read_u64(dir, "memory.limit_in_bytes", UINT64_MAX));
    s->memory.failcnt = cgroup_read_u64(dir, "memory.failcnt", 0);
    s->memory.kernel_usage = cgroup_read_u64(dir, "memory.kmem.usage_in_bytes", 0);
    s->memory.cache = cgroup_keyed(stat, "cache", 0);
    s->memory.rss = cgroup_keyed(stat, "rss", 0);
    if (cgroup_has_file(dir, "memory.memsw.usage_in_bytes")) {
        s->memory.have_swap = true;
        s->memory.swap_usage = cgroup_read_u64(dir, "memory.memsw.usage_in_bytes", 0);
        s->memory.swap_max = cgroup_read_u64(dir, "memory.memsw.max_usage_in_bytes", 0);
        s->memory.swap_limit =
            v1_limit(cgroup_read_u64(dir, "memory.memsw.limit_in_bytes", UINT64_MAX));
        s->memory.swap_failcnt = cgroup_read_u64(dir, "memory.memsw.failcnt", 0);
    }
    if (cgroup_read_text(dir, "memory.oom_control", text, sizeof(text)) > 0)
        s->memory.oom_kills = cgroup_keyed(text, "oom_kill", 0);
}

static void memory_v2_stats(const struct cgroup_dir *dir, struct cgroup_stats *s, const char *stat)
{
    char text[512];
    s->memory.usage = cgroup_read_u64(dir, "memory.current", 0);
    s->memory.max_usage = cgroup_read_u64(dir, "memory.peak", 0); /* Linux 5.19 */
    s->memory.limit = cgroup_read_u64(dir, "memory.max", UINT64_MAX);
    s->memory.cache = cgroup_keyed(stat, "file", 0);
    s->memory.rss = cgroup_keyed(stat, "anon", 0);
    s->memory.kernel_usage = cgroup_keyed(stat, "kernel", 0);
    if (cgroup_has_file(dir, "memory.swap.current")) {
        /* The sum of memory and swap, as v1 counts it. */
        uint64_t limit = cgroup_read_u64(dir, "memory.swap.max", UINT64_MAX);
        s->memory.have_swap = true;
        s->memory.swap_usage = s->memory.usage + cgroup_read_u64(dir, "memory.swap.current", 0);
        s->memory.swap_limit = limit == UINT64_MAX || s->memory.limit == UINT64_MAX
                                   ? UINT64_MAX
                                   : limit + s->memory.limit;
    }
    if (cgroup_read_text(dir, "memory.events", text, sizeof(text)) > 0) {
        s->memory.failcnt = cgroup_keyed(text, "max", 0);
        s->memory.oom_kills = cgroup_keyed(text, "oom_kill", 0);
    }
}

static void memory_stats(const struct cgroup *cg, struct cgroup_stats *s)
{
    const struct cgroup_dir *dir = cgroup_dir_of(cg, CGROUP_MEMORY);
    char text[STAT_TEXT_MAX];
    if (!dir || cgroup_read_text(dir, "memory.stat", text, sizeof(text)) <= 0)
        return;
    s->memory.have = true;
    memory_raw(text, s);
    if (dir->version == 1)
        memory_v1_stats(dir, s, text);
    else
        memory_v2_stats(dir, s, text);
}

/* io */

static struct cgroup_stat_io *io_entry(struct cgroup_stats *s, uint64_t major, uint64_t minor,
                                       const char *op)
{
    for (size_t i = 0; i < s->io_count; i++)
        if (s->io[i].major == major && s->io[i].minor == minor && !strcmp(s->io[i].op, op))
            return &s->io[i];
    if (s->io_count >= ITEMS_MAX)
        return NULL;
    struct cgroup_stat_io *more = realloc(s->io, (s->io_count + 1) * sizeof(*more));
    if (!more)
        return NULL;
    s->io = more;
    struct cgroup_stat_io *e = &more[s->io_count++];
    *e = (struct cgroup_stat_io){.major = major, .minor = minor};
    snprintf(e->op, sizeof(e->op), "%s", op);
    return e;
}

/* Lines "8:0 Read 4096"; the grand total at the end has no device. */
static bool io_v1_file(const struct cgroup_dir *dir, const char *file, struct cgroup_stats *s,
                       bool bytes)
{
    char text[STAT_TEXT_MAX];
    if (cgroup_read_text(dir, file, text, sizeof(text)) <= 0)
        return false;
    bool any = false;
    for (const char *l = text; *l; l += strcspn(l, "\n"), l += *l == '\n') {
        unsigned long long major, minor, value;
        char op[12];
        if (sscanf(l, "%llu:%llu %11s %llu", &major, &minor, op, &value) != 4)
            continue;
        struct cgroup_stat_io *e = io_entry(s, major, minor, op);
        any = true;
        if (e)
            *(bytes ? &e->bytes : &e->operations) = value;
    }
    return any;
}

/* Lines "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0". */
static void io_v2_file(const struct cgroup_dir *dir, struct cgroup_stats *s)
{
    static const struct {
        const char *key, *op;
        bool bytes;
    } keys[] = {
        {"rbytes=", "Read", true}, {"wbytes=", "Write", true}, {"dbytes=", "Discard", true},
        {"rios=", "Read", false},  {"wios=", "Write", false},  {"dios=", "Discard", false},
    };
    char text[STAT_TEXT_MAX];
    if (cgroup_read_text(dir, "io.stat", text, sizeof(text)) <= 0)
        return;
    char *save = NULL;
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        unsigned long long major, minor;
        if (sscanf(l, "%llu:%llu ", &major, &minor) != 2)
            continue;
        for (size_t k = 0; k < array_size(keys); k++) {
            const char *at = strstr(l, keys[k].key);
            struct cgroup_stat_io *e =
                at && at[-1] == ' ' ? io_entry(s, major, minor, keys[k].op) : NULL;
            if (e)
                *(keys[k].bytes ? &e->bytes : &e->operations) =
                    strtoull(at + strlen(keys[k].key), NULL, 10);
        }
    }
}

static void io_stats(const struct cgroup *cg, struct cgroup_stats *s)
{
    const struct cgroup_dir *dir = cgroup_dir_of(cg, CGROUP_IO);
    if (!dir)
        return;
    s->have_io = true;
    if (dir->version == 2) {
        io_v2_file(dir, s);
        return;
    }
    static const char *const schedulers[] = {"blkio.throttle", "blkio.bfq", "blkio"};
    for (size_t i = array_size(schedulers); i--;) {
        char file[64];
        snprintf(file, sizeof(file), "%s.io_service_bytes_recursive", schedulers[i]);
        bool any = io_v1_file(dir, file, s, true);
        snprintf(file, sizeof(file), "%s.io_serviced_recursive", schedulers[i]);
        any |= io_v1_file(dir, file, s, false);
        if (any)
            return;
    }
}

/* hugetlb: whatever sizes have files. */
static void hugetlb_stats(const struct cgroup *cg, struct cgroup_stats *s)
{
    const struct cgroup_dir *dir = cgroup_dir_of(cg, CGROUP_HUGETLB);
    if (!dir)
        return;
    bool v1 = dir->version == 1;
    const char *suffix = v1 ? ".usage_in_bytes" : ".current";
    DIR *d = opendir(dir->path);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d)) && s->hugetlb_count < 64;) {
        if (!str_starts(e->d_name, "hugetlb."))
            continue;
        const char *size = e->d_name + 8, *end = strchr(size, '.');
        size_t n = end ? (size_t)(end - size) : 0;
        struct cgroup_stat_hugetlb h = {0};
        if (!n || n >= sizeof(h.size) || strcmp(end, suffix))
            continue;
        memcpy(h.size, size, n);
        char file[96];
        h.usage = cgroup_read_u64(dir, e->d_name, 0);
        if (v1) {
            snprintf(file, sizeof(file), "hugetlb.%s.max_usage_in_bytes", h.size);
            h.max_usage = cgroup_read_u64(dir, file, 0);
            snprintf(file, sizeof(file), "hugetlb.%s.failcnt", h.size);
            h.failcnt = cgroup_read_u64(dir, file, 0);
        } else {
            char text[256];
            snprintf(file, sizeof(file), "hugetlb.%s.events", h.size);
            if (cgroup_read_text(dir, file, text, sizeof(text)) > 0)
                h.failcnt = cgroup_keyed(text, "max", 0);
        }
        struct cgroup_stat_hugetlb *more =
            realloc(s->hugetlb, (s->hugetlb_count + 1) * sizeof(*more));
        if (!more)
            break;
        s->hugetlb = more;
        s->hugetlb[s->hugetlb_count++] = h;
    }
    closedir(d);
}

int cgroup_stats(const struct cgroup *cg, struct cgroup_stats *ret, struct error *err)
{
    if (!cg->count)
        return error_set(err, -ENOTSUP,
                         "no statistics: the container has no cgroup of its own on this host");
    *ret = (struct cgroup_stats){0};
    cpu_stats(cg, ret);
    memory_stats(cg, ret);
    const struct cgroup_dir *pids = cgroup_dir_of(cg, CGROUP_PIDS);
    if (pids) {
        uint64_t limit = cgroup_read_u64(pids, "pids.max", 0);
        ret->pids.have = true;
        ret->pids.current = cgroup_read_u64(pids, "pids.current", 0);
        ret->pids.limit = limit == UINT64_MAX ? 0 : limit;
    }
    io_stats(cg, ret);
    hugetlb_stats(cg, ret);
    return 0;
}

void cgroup_stats_done(struct cgroup_stats *s)
{
    free(s->cpu.per_cpu_ns);
    free(s->memory.raw);
    free(s->io);
    free(s->hugetlb);
    *s = (struct cgroup_stats){0};
}
