/* SPDX-License-Identifier: Apache-2.0 */
/* update and events of isola-runtime. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/jtree.h"
#include "base/mem.h"
#include "base/own.h"
#include "container/container_internal.h"
#include "container/runtime.h"

enum { RESOURCES_MAX = 1 << 20 };

/* --- update --- */

static int read_all(const char *path, struct str *out, struct error *err)
{
    cleanup_fd int file = strcmp(path, "-") == 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    int fd = strcmp(path, "-") == 0 ? 0 : file;
    char buffer[4096];
    ssize_t n;
    if (fd < 0)
        return error_set_errno(err, -errno, "read %s", path);
    while ((n = read(fd, buffer, sizeof buffer)) > 0 && out->len < RESOURCES_MAX)
        str_add_n(out, buffer, (size_t)n);
    if (n < 0 || out->failed)
        return error_set_errno(err, n < 0 ? -errno : -ENOMEM, "read %s", path);
    return n > 0 ? error_set(err, -EFBIG, "read %s: over 1 MiB", path) : 0;
}

/* Flags of update and where they are in "resources". */
static const struct {
    const char *flag, *group, *key;
    bool text;
} fields[] = {{"blkio-weight", "blockIO", "weight", false},
              {"cpu-period", "cpu", "period", false},
              {"cpu-quota", "cpu", "quota", false},
              {"cpu-burst", "cpu", "burst", false},
              {"cpu-share", "cpu", "shares", false},
              {"cpu-rt-period", "cpu", "realtimePeriod", false},
              {"cpu-rt-runtime", "cpu", "realtimeRuntime", false},
              {"cpu-idle", "cpu", "idle", false},
              {"cpuset-cpus", "cpu", "cpus", true},
              {"cpuset-mems", "cpu", "mems", true},
              {"memory", "memory", "limit", false},
              {"memory-reservation", "memory", "reservation", false},
              {"memory-swap", "memory", "swap", false},
              {"pids-limit", "pids", "limit", false}};

static int flags_to_json(struct command *c, struct str *out, struct error *err)
{
    static const char *const groups[] = {"blockIO", "cpu", "memory", "pids"};
    str_add_char(out, '{');
    for (size_t g = 0; g < array_size(groups); g++) {
        bool first = true;
        str_addf(out, "%s\"%s\":{", g ? "," : "", groups[g]);
        for (size_t i = 0; i < array_size(fields); i++) {
            const char *value = command_value(c, fields[i].flag);
            long long number;
            if (!value || strcmp(fields[i].group, groups[g]) != 0)
                continue;
            if (!fields[i].text && !command_number(c, fields[i].flag, &number))
                return error_set(err, -EINVAL, "--%s: a whole number was expected", fields[i].flag);
            str_addf(out, "%s\"%s\":", first ? "" : ",", fields[i].key);
            if (fields[i].text)
                jtree_add_string(out, value);
            else
                str_addf(out, "%lld", number);
            first = false;
        }
        str_add_char(out, '}');
    }
    str_add_char(out, '}');
    return 0;
}

int verb_update(struct command *c, struct error *err)
{
    const char *file = command_value(c, "resources");
    struct oci_config *parsed = NULL;
    struct container *x = NULL;
    struct str text = {0};
    int r = file ? read_all(file, &text, err) : flags_to_json(c, &text, err);
    r = r < 0 ? r : oci_config_parse_resources(str_text(&text), text.len, &parsed, err);
    r = r < 0 ? r : runtime_load(c, &x, err);
    if (r == 0) {
        x->warn = runtime_warn;
        x->opaque = c->rt;
        r = container_update(x, &parsed->resources, err);
    }
    container_free(x);
    oci_config_free(parsed);
    str_done(&text);
    return r < 0 ? error_wrap(err, r, "update container %s", c->args[0]) : 0;
}

/* --- events --- */

static void add_number(struct str *out, const char *key, uint64_t value)
{
    str_addf(out, "%s\"%s\":%llu", out->len && out->data[out->len - 1] == '{' ? "" : ",", key,
             (unsigned long long)value);
}

static void add_cpu(struct str *out, const struct cgroup_stats *s)
{
    str_add(out, "\"cpu\":{\"usage\":{");
    add_number(out, "total", s->cpu.total_ns);
    str_add(out, ",\"percpu\":[");
    for (size_t i = 0; i < s->cpu.cpus; i++)
        str_addf(out, "%s%llu", i ? "," : "", (unsigned long long)s->cpu.per_cpu_ns[i]);
    str_add(out, "]");
    add_number(out, "kernel", s->cpu.system_ns);
    add_number(out, "user", s->cpu.user_ns);
    str_add(out, "},\"throttling\":{");
    add_number(out, "periods", s->cpu.periods);
    add_number(out, "throttledPeriods", s->cpu.throttled_periods);
    add_number(out, "throttledTime", s->cpu.throttled_ns);
    str_add(out, "}}");
}

static void add_memory(struct str *out, const struct cgroup_stats *s)
{
    str_add(out, "\"memory\":{");
    add_number(out, "cache", s->memory.cache);
    str_add(out, ",\"usage\":{");
    add_number(out, "limit", s->memory.limit);
    add_number(out, "usage", s->memory.usage);
    add_number(out, "max", s->memory.max_usage);
    add_number(out, "failcnt", s->memory.failcnt);
    str_add(out, "},\"swap\":{");
    if (s->memory.have_swap) {
        add_number(out, "limit", s->memory.swap_limit);
        add_number(out, "usage", s->memory.swap_usage);
        add_number(out, "max", s->memory.swap_max);
        add_number(out, "failcnt", s->memory.swap_failcnt);
    } else {
        str_add(out, "\"limit\":0,\"failcnt\":0");
    }
    str_add(out, "},\"kernel\":{");
    add_number(out, "usage", s->memory.kernel_usage);
    str_add(out, ",\"limit\":0,\"failcnt\":0},\"raw\":{");
    for (size_t i = 0; i < s->memory.raw_count; i++) {
        str_add(out, i ? "," : "");
        jtree_add_string(out, s->memory.raw[i].name);
        str_addf(out, ":%llu", (unsigned long long)s->memory.raw[i].value);
    }
    str_add(out, "}}");
}

static void add_io(struct str *out, const struct cgroup_stats *s)
{
    static const char *const kinds[] = {"ioServiceBytesRecursive", "ioServicedRecursive"};
    str_add(out, "\"blkio\":{");
    for (size_t k = 0; k < array_size(kinds); k++) {
        str_addf(out, "%s\"%s\":[", k ? "," : "", kinds[k]);
        for (size_t i = 0; i < s->io_count; i++)
            str_addf(out, "%s{\"major\":%llu,\"minor\":%llu,\"op\":\"%s\",\"value\":%llu}",
                     i ? "," : "", (unsigned long long)s->io[i].major,
                     (unsigned long long)s->io[i].minor, s->io[i].op,
                     (unsigned long long)(k ? s->io[i].operations : s->io[i].bytes));
        str_add_char(out, ']');
    }
    str_add_char(out, '}');
}

static int print_stats(struct container *x, struct error *err)
{
    struct cgroup_stats s = {0};
    struct str out = {0};
    int r = container_stats(x, &s, err);
    if (r < 0)
        return r;
    str_add(&out, "{\"type\":\"stats\",\"id\":");
    jtree_add_string(&out, container_facts(x)->id);
    str_add(&out, ",\"data\":{");
    add_cpu(&out, &s);
    str_add_char(&out, ',');
    add_memory(&out, &s);
    str_addf(&out, ",\"pids\":{\"current\":%llu,\"limit\":%llu},",
             (unsigned long long)s.pids.current, (unsigned long long)s.pids.limit);
    add_io(&out, &s);
    str_add(&out, ",\"hugetlb\":{");
    for (size_t i = 0; i < s.hugetlb_count; i++)
        str_addf(&out, "%s\"%s\":{\"usage\":%llu,\"max\":%llu,\"failcnt\":%llu}", i ? "," : "",
                 s.hugetlb[i].size, (unsigned long long)s.hugetlb[i].usage,
                 (unsigned long long)s.hugetlb[i].max_usage,
                 (unsigned long long)s.hugetlb[i].failcnt);
    str_add(&out, "}}}\n");
    cgroup_stats_done(&s);
    fputs(str_text(&out), stdout);
    str_done(&out);
    return fflush(stdout) < 0 ? error_set_errno(err, -errno, "write to standard output") : 0;
}

/* "5s", "500ms", "1m" or seconds; -1 when it is none of them. */
static long interval_ms(const char *text)
{
    char *end;
    double n = strtod(text, &end);
    if (end == text || !(n > 0) || n > 86400)
        return -1;
    double unit = strcmp(end, "ms") == 0           ? 1
                  : !*end || strcmp(end, "s") == 0 ? 1000
                  : strcmp(end, "m") == 0          ? 60000
                                                   : 0;
    return unit > 0 && n * unit >= 1 && n * unit <= 86400000 ? (long)(n * unit) : -1;
}

int verb_events(struct command *c, struct error *err)
{
    const char *text = command_value(c, "interval");
    long interval = interval_ms(text ? text : "5s");
    struct container *x;
    if (interval < 0)
        return error_set(err, -EINVAL, "events: --interval %s: 5s, 500ms or 1m was expected", text);
    int r = runtime_load(c, &x, err);
    if (r < 0)
        return r;
    if (container_status(x) == CONTAINER_STOPPED)
        r = error_set(err, -EINVAL, "container %s is not running", c->args[0]);
    if (r == 0 && command_has(c, "stats"))
        r = print_stats(x, err);
    uint64_t kills = x->cgroup ? cgroup_oom_kills(x->cgroup) : 0;
    while (r == 0 && !command_has(c, "stats")) {
        struct pollfd p = {.fd = container_pidfd(x), .events = POLLIN};
        bool ended = poll(&p, 1, (int)interval) > 0 || p.fd < 0;
        uint64_t now = x->cgroup ? cgroup_oom_kills(x->cgroup) : 0;
        for (; kills < now; kills++)
            printf("{\"type\":\"oom\",\"id\":\"%s\"}\n", c->args[0]);
        if (ended)
            break;
        r = print_stats(x, err);
    }
    container_free(x);
    return r;
}
