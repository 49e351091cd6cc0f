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
    SPEC_VERSION = 1,
    SPEC_DISKS = 16,
    SPEC_PORTS = 64,
    SPEC_LABELS = 64,
    SPEC_CPUS = 8,
    SPEC_NAME_MAX = 128,
    SPEC_JSON_MAX = 256 << 10
};

enum spec_wall { SPEC_WALL_CONTAINER, SPEC_WALL_VM };
enum spec_net { SPEC_NET_NAT, SPEC_NET_NONE };
/* What the instance's console is: the first serial port, a virtio console (hvc0), or nothing. */
enum spec_serial { SPEC_SERIAL_CONSOLE, SPEC_SERIAL_VIRTIO, SPEC_SERIAL_NONE };
enum spec_restart {
    SPEC_RESTART_NO,
    SPEC_RESTART_ON_FAILURE,
    SPEC_RESTART_ALWAYS,
    SPEC_RESTART_UNLESS_STOPPED
};
enum spec_cache { SPEC_CACHE_WRITEBACK, SPEC_CACHE_UNSAFE };

/* FILE[,ro][,format=raw][,serial=TEXT][,cache=writeback|unsafe][,discard=on|off] */
struct spec_disk {
    char *path; /* absolute */
    char format[16];
    char serial[21];
    bool readonly;
    bool discard;
    enum spec_cache cache;
};

/* [HOST_IP:]HOST_PORT:GUEST_PORT[/tcp|udp]; the address is 127.0.0.1 unless given. */
struct spec_port {
    char address[46];
    uint16_t host, guest;
    bool udp;
};

struct spec_label {
    char *key, *value;
};

/* Strings are owned; NULL means "not said". */
struct spec {
    enum spec_wall wall;
    char *name;  /* NULL: one is generated when the instance is created */
    char *image; /* container image; no wall supports it yet */
    char *kernel, *initrd, *append;
    struct spec_disk disks[SPEC_DISKS];
    size_t disk_count;
    uint64_t memory; /* bytes, a multiple of 1 MiB */
    unsigned cpus;
    enum spec_net net;
    uint8_t mac[6]; /* all zero: derived from the id */
    struct spec_port ports[SPEC_PORTS];
    size_t port_count;
    struct spec_label labels[SPEC_LABELS];
    size_t label_count;
    char *accel, *cpu, *machine; /* NULL: auto, default model, pc */
    enum spec_serial serial;
    uint8_t uuid[16]; /* all zero: derived from the id */
    bool no_reboot;
    bool paused; /* is created with its processors stopped */
    bool rm;     /* is removed when it ends */
    bool tty, interactive;
    bool debug_exit;    /* port 0xf4 */
    bool debug_console; /* port 0x402, written to the log as stream "debug" */
    enum spec_restart restart;
    unsigned restart_max;  /* on-failure: retries, 0: no limit */
    unsigned stop_timeout; /* seconds from the power button to the kill */
    uint64_t log_max_size; /* bytes per file */
    unsigned log_max_files;
};

/* A new spec with the defaults (wall container, 512 MiB, 1 processor, nat). NULL: out of memory. */
struct spec *spec_new(void);
void spec_free(struct spec *spec);

/*
 * Sets what the long option @key says from its text. Flags take "true" or "false" (NULL: true);
 * lists (disk, publish, label) grow. Keys: vm name kernel initrd append disk memory cpus net
 * network publish label accel cpu machine serial uuid mac no-reboot paused rm tty interactive
 * restart stop-timeout log-max-size log-max-files debug-exit debug-console image.
 * -ENOENT: no such key. -EINVAL, -ERANGE, -ENOSPC with @err: what is wrong with the value.
 */
int spec_set(struct spec *spec, const char *key, const char *value,
             struct error *err) error_must_check;

/*
 * Whether the whole makes sense (a VM has something to boot, options fit its wall). Checks no file.
 */
int spec_check(const struct spec *spec, struct error *err) error_must_check;

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
