/* SPDX-License-Identifier: Apache-2.0 */
/* spec and features of isola-runtime. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/jtree.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "container/mount_options.h"
#include "container/runtime.h"
#include "container/seccomp.h"

/* What "spec" writes, in the parts where "--rootless" makes a difference. */
static const char head[] =
    "{\n"
    "  \"ociVersion\": \"1.2.0\",\n"
    "  \"process\": {\n"
    "    \"terminal\": true,\n"
    "    \"user\": {\"uid\": 0, \"gid\": 0},\n"
    "    \"args\": [\"sh\"],\n"
    "    \"env\": [\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\", "
    "\"TERM=xterm\"],\n"
    "    \"cwd\": \"/\",\n"
    "    \"capabilities\": {\n"
    "      \"bounding\": [\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"],\n"
    "      \"effective\": [\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"],\n"
    "      \"permitted\": [\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"]\n"
    "    },\n"
    "    \"rlimits\": [{\"type\": \"RLIMIT_NOFILE\", \"hard\": 1024, \"soft\": 1024}],\n"
    "    \"noNewPrivileges\": true\n"
    "  },\n"
    "  \"root\": {\"path\": \"rootfs\", \"readonly\": true},\n"
    "  \"hostname\": \"isola\",\n"
    "  \"mounts\": [\n"
    "    {\"destination\": \"/proc\", \"type\": \"proc\", \"source\": \"proc\"},\n"
    "    {\"destination\": \"/dev\", \"type\": \"tmpfs\", \"source\": \"tmpfs\", \"options\": "
    "[\"nosuid\", \"strictatime\", \"mode=755\", \"size=65536k\"]},\n"
    "    {\"destination\": \"/dev/pts\", \"type\": \"devpts\", \"source\": \"devpts\", "
    "\"options\": "
    "[\"nosuid\", \"noexec\", \"newinstance\", \"ptmxmode=0666\", \"mode=0620\"";
static const char middle[] =
    "]},\n"
    "    {\"destination\": \"/dev/shm\", \"type\": \"tmpfs\", \"source\": \"shm\", \"options\": "
    "[\"nosuid\", \"noexec\", \"nodev\", \"mode=1777\", \"size=65536k\"]},\n"
    "    {\"destination\": \"/dev/mqueue\", \"type\": \"mqueue\", \"source\": \"mqueue\", "
    "\"options\": [\"nosuid\", \"noexec\", \"nodev\"]},\n";
static const char sys_root[] =
    "    {\"destination\": \"/sys\", \"type\": \"sysfs\", \"source\": \"sysfs\", \"options\": "
    "[\"nosuid\", \"noexec\", \"nodev\", \"ro\"]},\n"
    "    {\"destination\": \"/sys/fs/cgroup\", \"type\": \"cgroup\", \"source\": \"cgroup\", "
    "\"options\": [\"nosuid\", \"noexec\", \"nodev\", \"relatime\", \"ro\"]}\n";
static const char sys_rootless[] =
    "    {\"destination\": \"/sys\", \"type\": \"none\", \"source\": \"/sys\", \"options\": "
    "[\"rbind\", \"nosuid\", \"noexec\", \"nodev\", \"ro\"]}\n";
static const char linux_part[] = "  ],\n  \"linux\": {\n";
static const char resources[] =
    "    \"resources\": {\"devices\": [{\"allow\": false, \"access\": \"rwm\"}]},\n";
static const char namespaces[] =
    "    \"namespaces\": [{\"type\": \"pid\"}, {\"type\": \"ipc\"}, {\"type\": \"uts\"}, "
    "{\"type\": \"mount\"}, {\"type\": \"cgroup\"}";
static const char tail[] =
    "],\n"
    "    \"maskedPaths\": [\"/proc/acpi\", \"/proc/asound\", \"/proc/kcore\", \"/proc/keys\", "
    "\"/proc/latency_stats\", \"/proc/timer_list\", \"/proc/timer_stats\", "
    "\"/proc/sched_debug\", \"/sys/firmware\", \"/proc/scsi\", "
    "\"/sys/devices/virtual/powercap\"],\n"
    "    \"readonlyPaths\": [\"/proc/bus\", \"/proc/fs\", \"/proc/irq\", \"/proc/sys\", "
    "\"/proc/sysrq-trigger\"]\n"
    "  }\n"
    "}\n";

int verb_spec(struct command *c, struct error *err)
{
    const char *bundle = command_value(c, "bundle");
    bool rootless = command_has(c, "rootless");
    struct str out = {0};
    cleanup_free char *path = str_format("%s/config.json", bundle ? bundle : ".");
    str_add(&out, head);
    str_add(&out, rootless ? "" : ", \"gid=5\"");
    str_add(&out, middle);
    str_add(&out, rootless ? sys_rootless : sys_root);
    str_add(&out, linux_part);
    if (rootless)
        str_addf(&out,
                 "    \"uidMappings\": [{\"containerID\": 0, \"hostID\": %u, \"size\": 1}],\n"
                 "    \"gidMappings\": [{\"containerID\": 0, \"hostID\": %u, \"size\": 1}],\n",
                 geteuid(), getegid());
    else
        str_add(&out, resources);
    str_add(&out, namespaces);
    str_add(&out, rootless ? ", {\"type\": \"user\"}" : ", {\"type\": \"network\"}");
    str_add(&out, tail);
    int r = out.failed || !path ? error_set(err, -ENOMEM, "out of memory") : 0;
    cleanup_fd int fd = r < 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (r == 0 && (fd < 0 || write(fd, out.data, out.len) != (ssize_t)out.len))
        r = error_set_errno(err, -errno, "write %s", path);
    str_done(&out);
    return r;
}

static void add_list(struct str *out, const char *name, const char *const *texts)
{
    str_addf(out, "\"%s\":[", name);
    for (size_t i = 0; texts[i]; i++)
        str_addf(out, "%s\"%s\"", i ? "," : "", texts[i]);
    str_add_char(out, ']');
}

int verb_features(struct command *c, struct error *err)
{
    static const char *const hooks[] = {
        "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
        NULL};
    static const char *const kinds[] = {"cgroup", "ipc",  "mount", "network", "pid",
                                        "time",   "user", "uts",   NULL};
    const char *words[96] = {0};
    struct str out = {0};
    for (size_t i = 0; i + 1 < array_size(words) && mount_options_word(i); i++)
        words[i] = mount_options_word(i);
    str_add(&out, "{\"ociVersionMin\":\"1.0.0\",\"ociVersionMax\":\"1.2.0\",");
    add_list(&out, "hooks", hooks);
    str_add_char(&out, ',');
    add_list(&out, "mountOptions", words);
    str_add(&out, ",\"linux\":{");
    add_list(&out, "namespaces", kinds);
    str_add(&out, ",\"capabilities\":[");
    for (unsigned i = 0; oci_capability_name(i); i++)
        str_addf(&out, "%s\"%s\"", i ? "," : "", oci_capability_name(i));
    str_add(&out, "],\"cgroup\":{\"v1\":true,\"v2\":true,\"systemd\":true,\"systemdUser\":true,"
                  "\"rdma\":true},\"seccomp\":{\"enabled\":true,");
    add_list(&out, "actions", seccomp_actions);
    str_add_char(&out, ',');
    add_list(&out, "operators", seccomp_operators);
    str_add_char(&out, ',');
    add_list(&out, "archs", seccomp_archs);
    str_add_char(&out, ',');
    add_list(&out, "knownFlags", seccomp_flags);
    str_add_char(&out, ',');
    add_list(&out, "supportedFlags", seccomp_flags);
    str_add(&out, "},\"apparmor\":{\"enabled\":true},\"selinux\":{\"enabled\":true},"
                  "\"intelRdt\":{\"enabled\":false},\"mountExtensions\":{\"idmap\":{\"enabled\":"
                  "true}}},\"annotations\":{\"org.opencontainers.runc.checkpoint.enabled\":"
                  "\"false\"},\"potentiallyUnsafeConfigAnnotations\":[]}\n");
    int r = out.failed ? error_set(err, -ENOMEM, "out of memory") : 0;
    if (r == 0 && (fputs(str_text(&out), stdout) < 0 || fflush(stdout) < 0))
        r = error_set_errno(err, -errno, "write to standard output");
    str_done(&out);
    return r;
}
