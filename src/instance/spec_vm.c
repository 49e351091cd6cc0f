/* SPDX-License-Identifier: Apache-2.0 */
/* What only virtual machines have. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "instance/spec_internal.h"

static const char *const nic_names[] = {"virtio", "e1000", "rtl8139", NULL};
static const char *const vga_names[] = {"auto", "std", "none", NULL};
static const char *const serial_names[] = {"console", "virtio", "none", NULL};
const char *const spec_cache_names[] = {"writeback", "writethrough", "unsafe", NULL};
const char *const spec_bus_names[] = {"virtio", "ide", "ahci", "scsi", NULL};
static const char *const cdrom_bus_names[] = {"ide", "ahci", NULL};

static int check_cdrom_bus(const char *text, struct error *err)
{
    unsigned choice;
    return spec_parse_enum(cdrom_bus_names, text, &choice, err);
}

int spec_rtc(const char *text, int64_t *ret_offset, int64_t *ret_base, struct error *err)
{
    static const char format[] = "dddd-dd-ddTdd:dd:dd";
    time_t now = time(NULL);
    struct tm tm = {0}, back;
    size_t n = 0;
    int64_t base;

    *ret_offset = *ret_base = 0;
    if (strcmp(text, "utc") == 0)
        return 0;
    if (strcmp(text, "localtime") == 0) {
        *ret_offset = localtime_r(&now, &tm) ? tm.tm_gmtoff : 0;
        return 0;
    }
    while (text[n] && (format[n] == 'd' ? isdigit((unsigned char)text[n]) : text[n] == format[n]))
        n++;
    if (format[n] || text[n] ||
        sscanf(text, "%d-%d-%dT%d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec) != 6)
        return error_set(err, -EINVAL,
                         "\"%.40s\" is none of utc, localtime and a time such as "
                         "2031-05-06T07:08:09",
                         text);
    tm.tm_year -= 1900;
    tm.tm_mon--;
    back = tm;
    base = timegm(&back);
    /* What timegm had to put right is no date; the clock's century is 19 or 20. */
    if (back.tm_mday != tm.tm_mday || back.tm_mon != tm.tm_mon || back.tm_hour != tm.tm_hour ||
        back.tm_min != tm.tm_min || back.tm_sec != tm.tm_sec || base <= 0 || tm.tm_year >= 200)
        return error_set(err, -ERANGE, "\"%.40s\" is no time from 1970 to 2099", text);
    *ret_base = base;
    return 0;
}

static int check_rtc(const char *text, struct error *err)
{
    int64_t offset, base;
    return spec_rtc(text, &offset, &base, err);
}

static int check_record(const char *text, struct error *err)
{
    return spec_name_ok(text) ? 0
                              : error_set(err, -EINVAL,
                                          "\"%.40s\" is no name for a recording: use letters, "
                                          "digits, \"_\", \".\" and \"-\"",
                                          text);
}

#define FIELD(json, option, kind, member, ...)                                                     \
    {                                                                                              \
        json, option, SPEC_KIND_##kind, offsetof(struct spec, member), .side = SPEC_SIDE_VM,       \
                                                                       ##__VA_ARGS__               \
    }

const struct spec_field spec_vm_fields[] = {
    FIELD("kernel", "kernel", PATH, kernel),
    FIELD("initrd", "initrd", PATH, initrd),
    FIELD("append", "append", STRING, append),
    FIELD("from_snapshot", NULL, STRING, from_snapshot),
    FIELD("record", "record", STRING, record, .check = check_record),
    FIELD("cdrom", "cdrom", STRING, cdrom),
    FIELD("cdrom_bus", NULL, WORD, cdrom_bus, .check = check_cdrom_bus),
    FIELD("floppy", "floppy", STRING, floppy),
    FIELD("firmware", "firmware", WORD, firmware),
    FIELD("boot_menu", "boot-menu", BOOL, boot_menu),
    FIELD("rtc", "rtc", WORD, rtc, .check = check_rtc),
    FIELD("mac", "mac", MAC, mac),
    FIELD("nic", "nic", ENUM, nic, .names = nic_names),
    FIELD("more_nics", NULL, LIST, more_nics),
    FIELD("vga", "vga", ENUM, vga, .names = vga_names),
    FIELD("gdb", "gdb", STRING, gdb),
    FIELD("display", "display", STRING, display),
    FIELD("accel", "accel", WORD, accel),
    FIELD("cpu", "cpu", WORD, cpu),
    FIELD("machine", "machine", WORD, machine),
    FIELD("serial", "serial", ENUM, serial, .names = serial_names),
    FIELD("uuid", "uuid", UUID, uuid),
    FIELD("disk_size", "disk-size", SIZE, disk_size, .min = 64 << 20, .max = (uint64_t)16 << 40),
    FIELD("no_reboot", "no-reboot", BOOL, no_reboot),
    FIELD("paused", "paused", BOOL, paused),
    FIELD("user_data", "user-data", PATH, user_data),
    FIELD("temporary", "temporary", BOOL, temporary),
    FIELD("debug_exit", "debug-exit", BOOL, debug_exit),
    FIELD("debug_console", "debug-console", BOOL, debug_console),
    {0},
};

const char *spec_serial_name(enum spec_serial serial)
{
    return serial_names[serial];
}

const char *spec_vm_firmware(const struct spec *s)
{
    if (s->firmware)
        return s->firmware;
    return !s->image && !s->kernel && (s->disk_count || s->cdrom || s->floppy) ? "bios" : NULL;
}

int spec_set_firmware(struct spec *s, const char *text, struct error *err)
{
    char *copy = NULL;
    int r = 0;

    if (strcmp(text, "bios") == 0 || strcmp(text, "uefi") == 0) {
        copy = strdup(text);
        r = copy ? 0 : error_set(err, -ENOMEM, "out of memory");
    } else {
        r = spec_absolute(text, &copy, err);
    }
    if (r < 0)
        return r;
    free(s->firmware);
    s->firmware = copy;
    return 0;
}

uint64_t spec_vm_memory(const struct spec *s)
{
    uint64_t unit = 1u << 20;

    return s->memory ? (s->memory + unit - 1) / unit * unit : 512 * unit;
}

unsigned spec_vm_cpus(const struct spec *s)
{
    return s->millicpus ? (unsigned)(s->millicpus / 1000) : 1;
}

bool spec_vm_vga(const struct spec *s)
{
    if (s->vga != SPEC_VGA_AUTO)
        return s->vga == SPEC_VGA_STD;
    return (s->display && strcmp(s->display, "none") != 0) || (!s->kernel && !s->image);
}

bool spec_vm_text_display(const struct spec *s)
{
    return s->display && strcmp(s->display, "text") == 0;
}

int spec_parse_display(const char *text, const char **ret_path, uint16_t *ret_port,
                       struct error *err)
{
    enum { SOCKET_PATH_MAX = 107 };
    const char *at;
    uint64_t port;

    if (!text || strcmp(text, "none") == 0 || strcmp(text, "text") == 0)
        return 0;
    if (strncmp(text, "vnc=", 4) != 0)
        return error_set(err, -EINVAL, "\"%.80s\" is neither none, text nor vnc=ADDRESS", text);
    at = text + 4;
    *ret_path = NULL;
    if (*at == '/') {
        if (strlen(at) > SOCKET_PATH_MAX)
            return error_set(err, -EINVAL, "a socket's path has at most %d bytes", SOCKET_PATH_MAX);
        *ret_path = at;
        return 1;
    }
    at += strncmp(at, "127.0.0.1:", 10) == 0 ? 10 : strncmp(at, "localhost:", 10) == 0 ? 10 : 0;
    if (str_parse_u64(at, &port) < 0 || !port || port > 65535)
        return error_set(err, -EINVAL,
                         "\"%.80s\" is no address for VNC; it is PORT or 127.0.0.1:PORT (VNC has "
                         "no encryption: other addresses are refused), or the absolute path of a "
                         "socket to be made",
                         text + 4);
    *ret_port = (uint16_t)port;
    return 1;
}

int spec_parse_gdb(const char *text, struct spec_gdb *ret, struct error *err)
{
    struct spec_gdb g = {0};
    char at[sizeof g.path + 32];
    const char *number = at;
    uint64_t port;
    char *comma;

    snprintf(at, sizeof at, "%s", strlen(text) < sizeof at ? text : "");
    while ((comma = strrchr(at, ',')) &&
           (strcmp(comma, ",wait") == 0 || strcmp(comma, ",i386") == 0)) {
        g.wait |= comma[1] == 'w';
        g.i386 |= comma[1] == 'i';
        *comma = 0;
    }
    if (str_starts(at, "unix:/") && strlen(at + 5) < sizeof g.path) {
        memcpy(g.path, at + 5, strlen(at + 5) + 1);
        *ret = g;
        return 0;
    }
    number += str_starts(at, "127.0.0.1:") || str_starts(at, "localhost:") ? 10
              : *at == ':'                                                 ? 1
                                                                           : 0;
    if (str_parse_u64(number, &port) < 0 || !port || port > 65535)
        return error_set(err, -EINVAL,
                         "\"%.80s\" is no address for gdb; it is PORT or 127.0.0.1:PORT (gdb's "
                         "protocol has no passwords: other addresses are refused), or unix: and "
                         "the absolute path of a socket to be made",
                         text);
    g.port = (uint16_t)port;
    *ret = g;
    return 0;
}

static int check_gdb(const struct spec *s, struct error *err)
{
    struct spec_gdb g;
    int r = s->gdb ? spec_parse_gdb(s->gdb, &g, err) : 0;

    if (r == 0 && s->gdb && s->record)
        r = error_set(err, -ENOTSUP,
                      "a machine that is recorded (--record) can not be debugged: what a debugger "
                      "does is not in the recording");
    return r < 0 ? error_wrap(err, r, "--gdb") : 0;
}

static int check_display(const struct spec *s, struct error *err)
{
    const char *path;
    uint16_t port;
    int r = spec_parse_display(s->display, &path, &port, err);

    if ((r > 0 || spec_vm_text_display(s)) && !spec_vm_vga(s))
        return error_set(err, -EINVAL, "--display needs the VGA that --vga none takes away");
    return r < 0 ? error_wrap(err, r, "--display") : 0;
}

/* What boots the machine: an image, a kernel or firmware. */
static int check_firmware(const struct spec *s, struct error *err)
{
    const char *firmware = spec_vm_firmware(s);

    if (!s->image && !s->kernel && !firmware)
        return error_set(err, -EINVAL,
                         "nothing to boot: name an image, a kernel (--kernel FILE) or a disk with "
                         "a system in it (--disk FILE)");
    if (firmware && (s->image || s->kernel))
        return error_set(err, -EINVAL, "--firmware boots from a disk: leave it out, or the %s",
                         s->image ? "image" : "kernel");
    if (!firmware && s->boot_menu)
        return error_set(err, -EINVAL, "--boot-menu is the firmware's: name a disk, no kernel");
    if (firmware && (s->initrd || s->append))
        return error_set(err, -EINVAL, "--%s goes with --kernel", s->initrd ? "initrd" : "append");
    if (firmware && s->memory && s->memory < 16u << 20)
        return error_set(err, -ERANGE, "a machine with firmware needs 16m of memory at least");
    return 0;
}

static int check_nics(const struct spec *s, struct error *err)
{
    uint8_t macs[SPEC_MORE_NICS + 1][6];
    size_t count = 1;

    memcpy(macs[0], s->mac, 6);
    if (s->more_nics.count > SPEC_MORE_NICS)
        return error_set(err, -ENOSPC, "more than %d network adapters", SPEC_MORE_NICS + 1);
    for (size_t i = 0; i < s->more_nics.count; i++, count++) {
        int r = spec_parse_mac(macs[count], s->more_nics.items[i], err);
        if (r < 0)
            return r;
        for (size_t k = 0; k < count; k++)
            if (memcmp(macs[k], macs[count], 6) == 0)
                return error_set(err, -EEXIST, "there is a network adapter %s already",
                                 s->more_nics.items[i]);
    }
    return 0;
}

int spec_vm_check(const struct spec *s, struct error *err)
{
    int r = check_firmware(s, err);

    if (r < 0)
        return r;
    if (s->image && s->user_data)
        return error_set(err, -EINVAL,
                         "option --user-data is for systems with an init of their own, not for "
                         "images of containers");
    if (s->user_data && s->disk_count > SPEC_DISKS - 1)
        return error_set(err, -ENOSPC, "more than %d disks beside that of --user-data",
                         SPEC_DISKS - 1);
    if (!s->image && s->disk_size)
        return error_set(err, -EINVAL,
                         "--disk-size is of the drive of a machine made from an image; --disk FILE "
                         "is as large as its file");
    if (s->image && s->disk_count > SPEC_DISKS - 2)
        return error_set(err, -ENOSPC, "more than %d disks beside the image's two", SPEC_DISKS - 2);
    if (s->image && s->memory && s->memory < 64u << 20)
        return error_set(err, -ERANGE,
                         "a virtual machine with the kernel for images needs 64m of memory at "
                         "least");
    if (s->memory && s->memory < 2u << 20)
        return error_set(err, -ERANGE, "a virtual machine needs 2m of memory at least");
    if (s->millicpus && (s->millicpus % 1000 || s->millicpus / 1000 > SPEC_CPUS))
        return error_set(err, -ERANGE, "a virtual machine has 1 to %d whole processors", SPEC_CPUS);
    if (s->net == SPEC_NET_HOST || s->net == SPEC_NET_CONTAINER)
        return error_set(err, -ENOTSUP,
                         "a virtual machine has no network \"%s\": it has a kernel of its own; use "
                         "nat or none",
                         spec_net_name(s->net));
    r = check_nics(s, err);
    if (r == 0)
        r = check_gdb(s, err);
    return r < 0 ? r : check_display(s, err);
}

/* One "key=value" or bare word of a disk option. */
static int disk_option(struct spec_disk *d, const char *key, const char *value, struct error *err)
{
    unsigned choice;

    if (strcmp(key, "ro") == 0 || strcmp(key, "rw") == 0) {
        if (value)
            return error_set(err, -EINVAL, "\"%s\" takes no value", key);
        d->readonly = key[1] == 'o';
        return 0;
    }
    if (strcmp(key, "temporary") == 0) {
        if (value)
            return error_set(err, -EINVAL, "\"temporary\" takes no value");
        d->temporary = true;
        return 0;
    }
    if (!value)
        return error_set(
            err, -EINVAL,
            "\"%.40s\" is none of ro, rw, temporary, format=, serial=, cache=, discard=, bus=",
            key);
    if (strcmp(key, "format") == 0) {
        if (strcmp(value, "auto") != 0 && strcmp(value, "raw") != 0 && strcmp(value, "qcow2") != 0)
            return error_set(err, -ENOTSUP,
                             "format \"%.20s\" is not supported; use auto, raw or qcow2, and isola "
                             "disk convert for images of other programs",
                             value);
        strcpy(d->format, value);
        return 0;
    }
    if (strcmp(key, "serial") == 0) {
        if (!*value || strlen(value) >= sizeof d->serial)
            return error_set(err, -EINVAL, "serial \"%.40s\" has not 1 to 20 characters", value);
        for (const char *p = value; *p; p++)
            if (!isgraph((unsigned char)*p))
                return error_set(err, -EINVAL, "a serial is printable characters only");
        strcpy(d->serial, value);
        return 0;
    }
    if (strcmp(key, "cache") == 0) {
        int r = spec_parse_enum(spec_cache_names, value, &choice, err);
        if (r < 0)
            return error_wrap(err, r, "cache");
        d->cache = choice;
        return 0;
    }
    if (strcmp(key, "bus") == 0) {
        int r = spec_parse_enum(spec_bus_names, value, &choice, err);
        if (r < 0)
            return error_wrap(err, r, "bus");
        d->bus = choice;
        return 0;
    }
    if (strcmp(key, "discard") == 0) {
        if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
            return error_set(err, -EINVAL, "discard \"%.20s\" is neither on nor off", value);
        d->discard = value[1] == 'n';
        return 0;
    }
    return error_set(
        err, -EINVAL,
        "\"%.40s\" is none of ro, rw, temporary, format=, serial=, cache=, discard=, bus=", key);
}

int spec_add_disk(struct spec *s, const char *text, struct error *err)
{
    cleanup_free char *copy = strdup(text);
    struct spec_disk d = {.format = "auto", .discard = true};
    char *save = NULL, *part;
    int r;

    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    if (s->disk_count == SPEC_DISKS)
        return error_set(err, -ENOSPC, "more than %d disks", SPEC_DISKS);
    if (*text == ',' || !*text)
        return error_set(err, -EINVAL, "\"%.40s\" names no file", text);
    part = strtok_r(copy, ",", &save);
    for (char *option; (option = strtok_r(NULL, ",", &save));) {
        char *value = strchr(option, '=');
        if (value)
            *value++ = 0;
        r = disk_option(&d, option, value, err);
        if (r < 0)
            return r;
    }
    r = spec_absolute(part, &d.path, err);
    if (r < 0)
        return r;
    s->disks[s->disk_count++] = d;
    return 0;
}

int spec_remove_disk(struct spec *s, const char *text, struct error *err)
{
    cleanup_free char *path = NULL;
    int r = spec_absolute(text, &path, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < s->disk_count; i++) {
        if (strcmp(s->disks[i].path, path) != 0)
            continue;
        free(s->disks[i].path);
        s->disk_count--;
        memmove(&s->disks[i], &s->disks[i + 1], (s->disk_count - i) * sizeof s->disks[0]);
        s->disks[s->disk_count] = (struct spec_disk){0};
        return 0;
    }
    return error_set(err, -ENOENT, "there is no disk %s", path);
}

/* A snapshot's machine knows what it had. */
static int may_change_nics(const struct spec *s, struct error *err)
{
    if (s->wall != SPEC_WALL_VM)
        return error_set(err, -ENOTSUP, "only virtual machines have network adapters to change");
    return s->from_snapshot
               ? error_set(err, -ENOTSUP,
                           "network adapters of a machine that goes on from a snapshot can not "
                           "come and go")
               : 0;
}

int spec_add_nic(struct spec *s, const char *text, struct error *err)
{
    int r = may_change_nics(s, err);

    return r < 0 ? r : spec_list_add(&s->more_nics, text, err); /* spec_vm_check looks at it */
}

int spec_remove_nic(struct spec *s, const char *text, struct error *err)
{
    struct spec_list *list = &s->more_nics;
    int r = may_change_nics(s, err);

    for (size_t i = 0; r == 0 && i < list->count; i++) {
        if (strcasecmp(list->items[i], text) != 0)
            continue;
        free(list->items[i]);
        list->count--;
        memmove(&list->items[i], &list->items[i + 1], (list->count - i) * sizeof list->items[0]);
        return 0;
    }
    return r < 0 ? r
                 : error_set(err, -ENOENT,
                             "no network adapter %.40s was added; the first one stays", text);
}

/* Takes FILE or "none" apart from what is said after it. */
static int medium_path(const char *text, char **ret, struct error *err)
{
    if (!*text)
        return error_set(err, -EINVAL, "no file is named; an empty drive is \"none\"");
    if (strcmp(text, "none") != 0)
        return spec_absolute(text, ret, err);
    *ret = strdup(text);
    return *ret ? 0 : error_set(err, -ENOMEM, "out of memory");
}

int spec_set_cdrom(struct spec *s, const char *text, struct error *err)
{
    static const char option[] = ",bus=";
    cleanup_free char *copy = strdup(text), *bus = NULL;
    char *path, *at = copy ? strstr(copy, option) : NULL;
    int r = copy ? 0 : error_set(err, -ENOMEM, "out of memory");

    if (r == 0 && at) {
        *at = 0;
        r = check_cdrom_bus(at + strlen(option), err);
        bus = strdup(at + strlen(option));
        if (!bus)
            r = error_set(err, -ENOMEM, "out of memory");
    }
    if (r == 0)
        r = medium_path(copy, &path, err);
    if (r < 0)
        return r;
    free(s->cdrom);
    s->cdrom = path;
    if (bus) {
        free(s->cdrom_bus);
        s->cdrom_bus = steal_ptr(&bus);
    }
    return 0;
}

int spec_set_floppy(struct spec *s, const char *text, struct error *err)
{
    cleanup_free char *copy = strdup(text), *path = NULL;
    size_t len = strlen(text);
    bool readonly = len >= 3 && strcmp(text + len - 3, ",ro") == 0;
    char *whole;
    int r;

    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    if (readonly)
        copy[len - 3] = 0;
    r = medium_path(copy, &path, err);
    if (r < 0)
        return r;
    whole = str_format("%s%s", path, readonly ? ",ro" : "");
    if (!whole)
        return error_set(err, -ENOMEM, "out of memory");
    free(s->floppy);
    s->floppy = whole;
    return 0;
}

static bool all_zero(const uint8_t *bytes, size_t n)
{
    while (n--)
        if (bytes[n])
            return false;
    return true;
}

static int from_hex(const char *id, uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned v;
        if (sscanf(id + 2 * i, "%2x", &v) != 1)
            return -EINVAL;
        bytes[i] = (uint8_t)v;
    }
    return 0;
}

int spec_identity(const struct spec *spec, const char *id, struct spec_identity *ret,
                  struct error *err)
{
    uint8_t bytes[32];

    if (from_hex(id, bytes, sizeof bytes) < 0)
        return error_set(err, -EINVAL, "the id is damaged");
    memcpy(ret->uuid, spec->uuid, 16);
    if (all_zero(ret->uuid, 16)) {
        memcpy(ret->uuid, bytes, 16);
        ret->uuid[6] = (ret->uuid[6] & 0x0f) | 0x40; /* version 4, RFC 4122 section 4.4 */
        ret->uuid[8] = (ret->uuid[8] & 0x3f) | 0x80;
    }
    memcpy(ret->mac, spec->mac, 6);
    if (all_zero(ret->mac, 6)) {
        const uint8_t mac[6] = {0x52, 0x54, 0x00, bytes[16], bytes[17], bytes[18]};
        memcpy(ret->mac, mac, 6);
    }
    return 0;
}
