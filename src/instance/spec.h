/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The specification of an instance: everything that `isola run` and `isola create` can say. It is
 * kept as one JSON object (version SPEC_VERSION, keys as in struct spec, unknown keys refused), so
 * that a record can be inspected, copied and started again exactly.
 *
 * Command-line values enter through spec_set, whose keys are the names of the long options: one
 * table (spec.c) holds the syntax, limits and error text of each. Relative paths become absolute
 * there, because the supervisor runs in "/".
 */
#ifndef INSTANCE_SPEC_H
#define INSTANCE_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    SPEC_VERSION = 2, /* 1: before containers; read as well */
    SPEC_DISKS = 16,
    SPEC_PORTS = 256,
    SPEC_LABELS = 256,
    SPEC_LIST_MAX = 4096, /* entries of one list */
    SPEC_MOUNTS = 256,
    SPEC_CPUS = 8, /* of a virtual machine */
    SPEC_NAME_MAX = 128,
    SPEC_JSON_MAX = 1 << 20
};

enum spec_wall { SPEC_WALL_CONTAINER, SPEC_WALL_VM };
enum spec_net { SPEC_NET_NAT, SPEC_NET_NONE, SPEC_NET_HOST, SPEC_NET_CONTAINER };
/* What the instance's console is: the first serial port, a virtio console (hvc0), or nothing. */
enum spec_serial { SPEC_SERIAL_CONSOLE, SPEC_SERIAL_VIRTIO, SPEC_SERIAL_NONE };

/* The network adapter that a virtual machine finds. */
enum spec_nic { SPEC_NIC_VIRTIO, SPEC_NIC_E1000, SPEC_NIC_RTL8139 };
enum { SPEC_MORE_NICS = 7 };
/* Whether it has a VGA with keyboard and mouse; auto: when its display or its firmware needs one.
 */
enum spec_vga { SPEC_VGA_AUTO, SPEC_VGA_STD, SPEC_VGA_NONE };
enum spec_restart {
    SPEC_RESTART_NO,
    SPEC_RESTART_ON_FAILURE,
    SPEC_RESTART_ALWAYS,
    SPEC_RESTART_UNLESS_STOPPED
};
enum spec_cache { SPEC_CACHE_WRITEBACK, SPEC_CACHE_WRITETHROUGH, SPEC_CACHE_UNSAFE };

/* What a drive is plugged into; the values are those of enum machine_bus. */
enum spec_bus { SPEC_BUS_VIRTIO, SPEC_BUS_IDE, SPEC_BUS_AHCI, SPEC_BUS_SCSI };

/*
 * FILE[,ro][,temporary][,format=auto|raw|qcow2][,serial=TEXT][,cache=writeback|writethrough|unsafe]
 * [,discard=on|off][,bus=virtio|ide|ahci|scsi]
 */
struct spec_disk {
    char *path; /* absolute */
    char format[16];
    char serial[21];
    bool readonly;
    bool temporary; /* writes are forgotten when the instance ends */
    bool discard;
    enum spec_cache cache;
    enum spec_bus bus;
};

/*
 * [[HOST_IP:]HOST_PORT:]GUEST_PORT[/tcp|udp], ports also as ranges A-B; the address is 127.0.0.1
 * unless given. Host port 0: chosen when the instance is created.
 */
struct spec_port {
    char address[46];
    uint16_t host, guest;
    bool udp;
};

struct spec_label {
    char *key, *value;
};

/* Texts in the order they were given. */
struct spec_list {
    char **items;
    size_t count;
};

enum spec_mount_type { SPEC_MOUNT_BIND, SPEC_MOUNT_VOLUME, SPEC_MOUNT_TMPFS };

/*
 * A mount of a container: -v [SOURCE:]TARGET[:OPTIONS], --tmpfs TARGET[:OPTIONS], or --mount with
 * Docker's keys. A volume without a source is anonymous until the instance is created.
 */
struct spec_mount {
    enum spec_mount_type type;
    char *source;  /* bind: absolute path; volume: its name, NULL: anonymous; tmpfs: NULL */
    char *target;  /* absolute path in the container */
    char *options; /* mount options separated by commas ("noexec,size=64m"), NULL: none */
    bool readonly;
    bool no_copy;  /* volume: is not filled from the image */
    bool borrowed; /* volume: another instance's, by --volumes-from */
    bool create;   /* bind: the source is made when missing (-v does, --mount does not) */
};

/*
 * What only containers have. Numbers: 0 is "not said" (SPEC_UNLIMITED where that can be said).
 */
#define SPEC_UNLIMITED UINT64_MAX
struct spec_container {
    struct spec_list command; /* after the image's name */
    char *image_id;           /* what the name meant when the instance was created */
    char *rootfs;             /* a directory instead of an image */
    char *entrypoint;         /* "": none, whatever the image says */
    struct spec_list env;     /* NAME=VALUE */
    char *workdir, *user, *hostname, *domainname, *stop_signal, *platform;
    struct spec_list groups;
    bool init, readonly, privileged, boot, publish_all, best_effort, oom_kill_disable;
    struct spec_mount mounts[SPEC_MOUNTS];
    size_t mount_count;
    struct spec_list volumes_from, expose, dns, dns_search, dns_options, add_hosts;
    char *ip;
    char *net_from; /* SPEC_NET_CONTAINER: whose network, by name or id */
    uint64_t shm_size, memory_swap, memory_reservation;
    uint64_t cpu_shares, cpu_period, cpu_quota, pids_limit;
    char *cpuset_cpus, *cpuset_mems, *cgroup_parent;
    int oom_score_adj;
    struct spec_list ulimits, devices, device_rules, cap_add, cap_drop, security_opts, sysctls,
        annotations;
    char *userns, *pid, *ipc, *uts, *cgroupns; /* host, private and so on */
    char *health_cmd;
    bool no_health;
    uint64_t health_interval, health_timeout, health_start_period; /* ns */
    uint64_t health_retries;
};

/* Strings are owned; NULL means "not said". */
struct spec {
    enum spec_wall wall;
    char *name;  /* NULL: one is generated when the instance is created */
    char *image; /* as the user wrote it */
    char *kernel, *initrd, *append;
    char *user_data;     /* absolute path; NULL: none */
    char *from_snapshot; /* its first start goes on from there (snapshot.h); NULL: it boots */
    char *record;        /* name of the recording of its life (recording.h); NULL: none */
    struct spec_disk disks[SPEC_DISKS];
    size_t disk_count;
    char *cdrom;        /* absolute path of the disc, "none": an empty drive; NULL: no drive */
    char *cdrom_bus;    /* NULL: ide */
    char *floppy;       /* absolute path and maybe ",ro"; "none": an empty drive; NULL: no drive */
    char *rtc;          /* "utc", "localtime" or what the clock shows at the start; NULL: utc */
    uint64_t memory;    /* bytes, 0: not said; see spec_vm_memory */
    uint64_t millicpus; /* thousandths of a processor, 0: not said; see spec_vm_cpus */
    enum spec_net net;
    uint8_t mac[6]; /* all zero: derived from the id */
    struct spec_port ports[SPEC_PORTS];
    size_t port_count;
    struct spec_label labels[SPEC_LABELS];
    size_t label_count;
    char *firmware; /* bios, uefi or an absolute path; NULL: not said, see spec_vm_firmware */
    bool boot_menu;
    char *accel, *cpu, *machine; /* NULL: auto, default model, pc */
    enum spec_serial serial;
    enum spec_nic nic;
    struct spec_list more_nics; /* addresses of virtio adapters beside that, each with a NAT */
    enum spec_vga vga;
    char *gdb;          /* where gdb may connect (spec_parse_gdb), NULL: nowhere */
    char *display;      /* "vnc=ADDRESS" (spec_parse_display), "text", NULL: none */
    uint8_t uuid[16];   /* all zero: derived from the id */
    uint64_t disk_size; /* of what a machine made from an image writes to, 0: the usual one */
    bool no_reboot;
    bool paused; /* is created with its processors stopped */
    bool rm;     /* is removed when it ends */
    bool tty, interactive;
    bool temporary;     /* of all disks */
    bool debug_exit;    /* port 0xf4 */
    bool debug_console; /* port 0x402, written to the log as stream "debug" */
    enum spec_restart restart;
    unsigned restart_max;  /* on-failure: retries, 0: no limit */
    unsigned stop_timeout; /* seconds from the power button to the kill */
    uint64_t log_max_size; /* bytes per file */
    unsigned log_max_files;
    struct spec_container container;
};

/* A new spec with the defaults (wall container, network nat). NULL: out of memory. */
struct spec *spec_new(void);
void spec_free(struct spec *spec);

/*
 * Sets what the long option @key says from its text. Flags take "true" or "false" (NULL: true);
 * lists grow. Keys are the names of the options of `isola run`, and image, command (once for each
 * word).
 * -ENOENT: no such key. -EINVAL, -ERANGE, -ENOSPC with @err: what is wrong with the value.
 */
int spec_set(struct spec *spec, const char *key, const char *value,
             struct error *err) error_must_check;

/*
 * Whether the whole makes sense (a VM has something to boot, options fit its wall). Checks no file.
 */
int spec_check(const struct spec *spec, struct error *err) error_must_check;

/*
 * What the real-time clock of a virtual machine shows: @offset is to be added to UTC, unless
 * *ret_base is not 0: the seconds since 1970 that it shows at the start.
 */
int spec_rtc(const char *text, int64_t *ret_offset, int64_t *ret_base,
             struct error *err) error_must_check;

/* What a virtual machine gets: whole MiB (512 unless said), whole processors (1 unless said). */
uint64_t spec_vm_memory(const struct spec *spec);
unsigned spec_vm_cpus(const struct spec *spec);
/* Whether it gets a VGA. */
bool spec_vm_vga(const struct spec *spec);
/*
 * "vnc=PATH" (a unix socket, absolute), "vnc=PORT" or "vnc=127.0.0.1:PORT": 1 and *ret_path (inside
 * @text) or NULL and *ret_port. 0 for "none", "text" and NULL. -EINVAL.
 */
int spec_parse_display(const char *text, const char **ret_path, uint16_t *ret_port,
                       struct error *err) error_must_check;
/* Parses the address of a network adapter, as 52:54:00:12:34:56. -EINVAL. */
int spec_parse_mac(uint8_t mac[6], const char *text, struct error *err) error_must_check;
/* Whether its screen is shown as text in terminals: --display text. */
bool spec_vm_text_display(const struct spec *spec);
/*
 * "PORT", "127.0.0.1:PORT" or "unix:PATH" (absolute), followed by ",wait", ",i386", both or none.
 * -EINVAL.
 */
struct spec_gdb {
    char path[108]; /* empty: the port */
    uint16_t port;
    bool wait; /* the machine starts when a debugger says so */
    bool i386; /* registers as gdb knows them of an i386 */
};
int spec_parse_gdb(const char *text, struct spec_gdb *ret, struct error *err) error_must_check;
/* bios, uefi or a path: what boots the machine, NULL when a kernel or an image does. */
const char *spec_vm_firmware(const struct spec *spec);

/* What a guest takes for its identity: said by the spec, or derived from its instance's id. */
struct spec_identity {
    uint8_t uuid[16], mac[6];
};
int spec_identity(const struct spec *spec, const char *id, struct spec_identity *ret,
                  struct error *err) error_must_check;

/*
 * Replaces host ports that are 0 by free ones, found by asking the kernel. -EADDRNOTAVAIL.
 */
int spec_choose_ports(struct spec *spec, struct error *err) error_must_check;
/* "NAME", with or without SIG, or a number, RTMIN+3 and so on; 0 when it is none. */
int spec_signal(const char *text);

/* A new JSON text (one line), NULL: out of memory. */
char *spec_to_json(const struct spec *spec);
/* Parses strictly: unknown keys, wrong types and values out of range are errors. NULL with @err. */
struct spec *spec_from_json(const char *json, size_t len, struct error *err);

/* Whether @name is fit for an instance: [a-zA-Z0-9][a-zA-Z0-9_.-]*, at most SPEC_NAME_MAX. */
bool spec_name_ok(const char *name);

/* Names as they are written in options and JSON. Static strings. */
const char *spec_wall_name(enum spec_wall wall);
const char *spec_restart_name(enum spec_restart restart);
const char *spec_net_name(enum spec_net net);
const char *spec_serial_name(enum spec_serial serial);

#endif
