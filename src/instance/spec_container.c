/* SPDX-License-Identifier: Apache-2.0 */
/* What only containers have: Docker's options with Docker's meanings. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <signal.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "instance/spec_internal.h"

enum { SECOND = 1000000000 };

static int is_env(const char *text, struct error *err)
{
    if (*text == '=' || !*text)
        return error_set(err, -EINVAL, "\"%.40s\" is not NAME=VALUE", text);
    return 0;
}

static int is_key_value(const char *text, struct error *err)
{
    if (*text == '=' || !strchr(text, '='))
        return error_set(err, -EINVAL, "\"%.40s\" is not NAME=VALUE", text);
    return 0;
}

static int is_address(const char *text, struct error *err)
{
    uint8_t any[16];

    if (inet_pton(AF_INET, text, any) != 1 && inet_pton(AF_INET6, text, any) != 1)
        return error_set(err, -EINVAL, "\"%.60s\" is not an IP address", text);
    return 0;
}

static int is_ipv4(const char *text, struct error *err)
{
    struct in_addr a;

    if (inet_pton(AF_INET, text, &a) != 1)
        return error_set(err, -EINVAL, "\"%.60s\" is not an IPv4 address", text);
    return 0;
}

/* NAME:ADDRESS, where ADDRESS may be host-gateway. Docker takes NAME=ADDRESS too. */
static int is_host(const char *text, struct error *err)
{
    const char *address = text + strcspn(text, ":=");

    if (address == text || !*address)
        return error_set(err, -EINVAL, "\"%.60s\" is not NAME:ADDRESS", text);
    address++;
    return strcmp(address, "host-gateway") == 0 ? 0 : is_address(address, err);
}

static int is_host_name(const char *text, struct error *err)
{
    if (!*text || strlen(text) > 63)
        return error_set(err, -EINVAL, "a host name has 1 to 63 characters");
    for (const char *p = text; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("-._", *p))
            return error_set(err, -EINVAL, "\"%.70s\" is no host name", text);
    return 0;
}

static int is_absolute(const char *text, struct error *err)
{
    if (*text != '/')
        return error_set(err, -EINVAL, "\"%.60s\" is not an absolute path", text);
    return 0;
}

/* NAME=SOFT[:HARD]; names are those of setrlimit in small letters. */
static int is_ulimit(const char *text, struct error *err)
{
    static const char names[] = " as core cpu data fsize locks memlock msgqueue nice nofile nproc "
                                "rss rtprio rttime sigpending stack ";
    const char *value = strchr(text, '=');
    cleanup_free char *word = value ? str_format(" %.*s ", (int)(value - text), text) : NULL;
    uint64_t limits[2];
    unsigned n = 0;

    if (!word || strlen(word) < 3 || !strstr(names, word))
        return error_set(err, -EINVAL, "\"%.60s\" is not NAME=SOFT[:HARD] with a NAME of:%s", text,
                         names);
    for (const char *p = value + 1;; p++) {
        size_t len = strcspn(p, ":");
        cleanup_free char *digits = strndup(p, len);
        if (!digits || n == 2)
            break;
        if (strcmp(digits, "-1") == 0)
            limits[n++] = UINT64_MAX;
        else if (str_parse_u64(digits, &limits[n]) == 0)
            n++;
        else
            break;
        p += len;
        if (!*p) {
            if (n == 2 && limits[0] > limits[1])
                return error_set(err, -EINVAL, "\"%.60s\": the soft limit is above the hard one",
                                 text);
            return 0;
        }
    }
    return error_set(err, -EINVAL, "\"%.60s\" is not NAME=SOFT[:HARD] with numbers or -1", text);
}

static int is_signal(const char *text, struct error *err)
{
    return spec_signal(text) ? 0 : error_set(err, -EINVAL, "\"%.40s\" is not a signal", text);
}

int spec_security_opt_check(const char *text, struct error *err)
{
    static const char *const known[] = {
        "no-new-privileges",      "seccomp=", "apparmor=", "label=", "label:",
        "systempaths=unconfined", "mask=",    "unmask="};

    for (size_t i = 0; i < array_size(known); i++)
        if (str_starts(text, known[i]))
            return 0;
    return error_set(err, -EINVAL,
                     "\"%.60s\" is none of no-new-privileges, seccomp=unconfined|FILE, "
                     "apparmor=unconfined, label=disable, systempaths=unconfined",
                     text);
}

static int is_capability(const char *text, struct error *err)
{
    size_t n = strlen(text);

    if (!n || n > 32 || strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_") != n)
        return error_set(err, -EINVAL, "\"%.40s\" is no capability such as NET_ADMIN, or ALL",
                         text);
    return 0;
}

/* One of @words, each ending in a blank, or PREFIX:something when there is "container:". */
static int is_namespace(const char *text, const char *words, struct error *err)
{
    const char *colon = strchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) + 1 : strlen(text);

    for (const char *w = words; *w; w += strcspn(w, " "), w += *w == ' ')
        if (strcspn(w, " ") == n && strncmp(w, text, n) == 0 && (!colon || colon[1]))
            return 0;
    return error_set(err, -EINVAL, "\"%.40s\" is none of %s", text, words);
}

static int is_userns(const char *text, struct error *err)
{
    return is_namespace(text, "host private auto keep-id", err);
}

static int is_pidns(const char *text, struct error *err)
{
    return is_namespace(text, "host private container:", err);
}

static int is_ipcns(const char *text, struct error *err)
{
    return is_namespace(text, "host private shareable none container:", err);
}

static int is_utsns(const char *text, struct error *err)
{
    return is_namespace(text, "host private", err);
}

static int is_port(const char *text, struct error *err)
{
    size_t n = strcspn(text, "/");
    cleanup_free char *digits = strndup(text, n);
    uint64_t port;

    if (!digits || str_parse_u64(digits, &port) < 0 || port < 1 || port > 65535 ||
        (text[n] && strcmp(text + n, "/tcp") != 0 && strcmp(text + n, "/udp") != 0))
        return error_set(err, -EINVAL, "\"%.20s\" is not a port such as 80 or 53/udp", text);
    return 0;
}

#define FIELD(json, option, kind, member, ...)                                                     \
    {                                                                                              \
        json, option, SPEC_KIND_##kind, offsetof(struct spec, container.member),                   \
            .side = SPEC_SIDE_CONTAINER, ##__VA_ARGS__                                             \
    }
#define LIST(json, option, member, check_) FIELD(json, option, LIST, member, .check = check_)
/* What the image's programs see, behind any wall. */
#define IMAGE_FIELD(json, option, kind, member, ...)                                               \
    {                                                                                              \
        json, option, SPEC_KIND_##kind, offsetof(struct spec, container.member),                   \
            .side = SPEC_SIDE_IMAGE, ##__VA_ARGS__                                                 \
    }
#define IMAGE_LIST(json, option, member, check_)                                                   \
    IMAGE_FIELD(json, option, LIST, member, .check = check_)

const struct spec_field spec_container_fields[] = {
    IMAGE_LIST("command", "command", command, NULL),
    IMAGE_FIELD("image_id", NULL, WORD, image_id),
    FIELD("rootfs", "rootfs", PATH, rootfs),
    IMAGE_FIELD("entrypoint", "entrypoint", STRING, entrypoint),
    IMAGE_LIST("env", "env", env, is_env),
    IMAGE_FIELD("workdir", "workdir", STRING, workdir, .check = is_absolute),
    IMAGE_FIELD("user", "user", WORD, user),
    IMAGE_LIST("groups", "group-add", groups, NULL),
    IMAGE_FIELD("hostname", "hostname", STRING, hostname, .check = is_host_name),
    IMAGE_FIELD("domainname", "domainname", STRING, domainname, .check = is_host_name),
    IMAGE_FIELD("stop_signal", "stop-signal", WORD, stop_signal, .check = is_signal),
    IMAGE_FIELD("platform", "platform", WORD, platform),
    IMAGE_FIELD("init", "init", BOOL, init),
    IMAGE_FIELD("read_only", "read-only", BOOL, readonly),
    FIELD("privileged", "privileged", BOOL, privileged),
    FIELD("boot", "boot", BOOL, boot),
    IMAGE_FIELD("publish_all", "publish-all", BOOL, publish_all),
    FIELD("best_effort", "best-effort", BOOL, best_effort),
    FIELD("oom_kill_disable", "oom-kill-disable", BOOL, oom_kill_disable),
    LIST("volumes_from", "volumes-from", volumes_from, NULL),
    IMAGE_LIST("expose", "expose", expose, is_port),
    IMAGE_LIST("dns", "dns", dns, is_address),
    IMAGE_LIST("dns_search", "dns-search", dns_search, NULL),
    IMAGE_LIST("dns_options", "dns-option", dns_options, NULL),
    IMAGE_LIST("add_hosts", "add-host", add_hosts, is_host),
    FIELD("ip", "ip", STRING, ip, .check = is_ipv4),
    IMAGE_FIELD("shm_size", "shm-size", SIZE, shm_size, .min = 4096, .max = (uint64_t)1 << 40),
    FIELD("memory_swap", "memory-swap", LIMIT, memory_swap, .min = 512 << 10,
          .max = (uint64_t)1 << 50),
    FIELD("memory_reservation", "memory-reservation", SIZE, memory_reservation, .min = 512 << 10,
          .max = (uint64_t)1 << 50),
    FIELD("cpu_shares", "cpu-shares", COUNT, cpu_shares, .min = 2, .max = 262144),
    FIELD("cpu_period", "cpu-period", COUNT, cpu_period, .min = 1000, .max = 1000000),
    FIELD("cpu_quota", "cpu-quota", COUNT, cpu_quota, .min = 1000, .max = (uint64_t)1 << 40,
          .negative = true),
    FIELD("pids_limit", "pids-limit", COUNT, pids_limit, .min = 1, .max = 4194304,
          .negative = true),
    FIELD("cpuset_cpus", "cpuset-cpus", WORD, cpuset_cpus),
    FIELD("cpuset_mems", "cpuset-mems", WORD, cpuset_mems),
    FIELD("cgroup_parent", "cgroup-parent", WORD, cgroup_parent),
    FIELD("oom_score_adj", "oom-score-adj", SIGNED, oom_score_adj, .max = 1000),
    IMAGE_LIST("ulimits", "ulimit", ulimits, is_ulimit),
    LIST("devices", "device", devices, is_absolute),
    LIST("device_rules", "device-cgroup-rule", device_rules, NULL),
    LIST("cap_add", "cap-add", cap_add, is_capability),
    LIST("cap_drop", "cap-drop", cap_drop, is_capability),
    LIST("security_opts", "security-opt", security_opts, spec_security_opt_check),
    LIST("sysctls", "sysctl", sysctls, is_key_value),
    LIST("annotations", "annotation", annotations, is_key_value),
    FIELD("userns", "userns", WORD, userns, .check = is_userns),
    FIELD("pid", "pid", WORD, pid, .check = is_pidns),
    FIELD("ipc", "ipc", WORD, ipc, .check = is_ipcns),
    FIELD("uts", "uts", WORD, uts, .check = is_utsns),
    FIELD("cgroupns", "cgroupns", WORD, cgroupns, .check = is_utsns),
    FIELD("health_cmd", "health-cmd", STRING, health_cmd),
    FIELD("no_health", "no-healthcheck", BOOL, no_health),
    FIELD("health_interval", "health-interval", TIME, health_interval, .min = SECOND / 1000,
          .max = 86400ull * SECOND),
    FIELD("health_timeout", "health-timeout", TIME, health_timeout, .min = SECOND / 1000,
          .max = 86400ull * SECOND),
    FIELD("health_start_period", "health-start-period", TIME, health_start_period,
          .max = 86400ull * SECOND),
    FIELD("health_retries", "health-retries", COUNT, health_retries, .min = 1, .max = 1000),
    {0},
};

int spec_signal(const char *text)
{
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    uint64_t n = 0;

    if (str_parse_u64(text, &n) == 0)
        return n >= 1 && n <= 64 ? (int)n : 0;
    for (int s = 1; s < 32; s++) {
        const char *known = sigabbrev_np(s);
        if (known && strcasecmp(known, name) == 0)
            return s;
    }
    /* Linux's real-time signals begin at 34 for programs that use the C library. */
    if (strcasecmp(name, "RTMIN") == 0)
        return 34;
    if (strcasecmp(name, "RTMAX") == 0)
        return 64;
    if (strncasecmp(name, "RTMIN+", 6) == 0 && str_parse_u64(name + 6, &n) == 0 && n <= 30)
        return 34 + (int)n;
    if (strncasecmp(name, "RTMAX-", 6) == 0 && str_parse_u64(name + 6, &n) == 0 && n <= 30)
        return 64 - (int)n;
    return 0;
}

int spec_container_check(const struct spec *s, struct error *err)
{
    const struct spec_container *c = &s->container;

    if (!s->image && !c->rootfs)
        return error_set(err, -EINVAL,
                         "nothing to run; name an image, or a directory by --rootfs DIR");
    if (s->image && c->rootfs)
        return error_set(err, -EINVAL, "an image and --rootfs exclude each other");
    if (c->memory_swap && c->memory_swap != SPEC_UNLIMITED && !s->memory)
        return error_set(err, -EINVAL, "--memory-swap needs --memory: it is the sum of both");
    if (c->memory_swap && c->memory_swap < s->memory)
        return error_set(err, -EINVAL,
                         "--memory-swap is the sum of memory and swap: not less than --memory");
    if (c->memory_reservation && s->memory && c->memory_reservation > s->memory)
        return error_set(err, -EINVAL, "--memory-reservation is more than --memory");
    if (s->millicpus && (c->cpu_quota || c->cpu_period))
        return error_set(err, -EINVAL, "--cpus is --cpu-quota over --cpu-period: say one of them");
    if (c->oom_kill_disable && !s->memory)
        return error_set(err, -EINVAL, "--oom-kill-disable without --memory would hang the host");
    if (c->boot && c->init)
        return error_set(err, -EINVAL, "--boot and --init exclude each other: one is process 1");
    if (c->no_health && (c->health_cmd || c->health_interval || c->health_timeout ||
                         c->health_retries || c->health_start_period))
        return error_set(err, -EINVAL, "--no-healthcheck and --health options exclude each other");
    if (c->hostname && c->uts && strcmp(c->uts, "host") == 0)
        return error_set(err, -EINVAL, "--hostname and --uts host exclude each other");
    if (s->net == SPEC_NET_CONTAINER && (c->dns.count || c->ip || c->hostname))
        return error_set(err, -EINVAL,
                         "--network container:NAME takes name, address and name servers from "
                         "that container");
    if (c->ip && s->net != SPEC_NET_NAT)
        return error_set(err, -EINVAL, "--ip needs --network nat");
    return 0;
}
