/* SPDX-License-Identifier: Apache-2.0 */
/* The wall "vm": opens what the spec names and hands it to a machine (machine/machine.h). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "instance/container_config.h"
#include "instance/container_sources.h"
#include "instance/engine.h"
#include "instance/vm_display.h"
#include "instance/vm_exec.h"
#include "instance/vm_firmware.h"
#include "instance/vm_gdb.h"
#include "instance/vm_image.h"
#include "instance/snapshot_files.h"
#include "instance/vm_net.h"
#include "instance/vm_record.h"
#include "instance/vm_screen.h"
#include "instance/vm_seed.h"
#include "instance/vm_snapshot.h"
#include "instance/vm_trace.h"
#include "io/block_disk.h"
#include "io/block_file.h"
#include "io/disk_clone.h"
#include "io/disk_image.h"
#include "io/kernel_file.h"
#include "machine/machine.h"

/* Processors' threads, guest memory, drives, and libraries loaded on use. */
/* syscalls: arch_prctl clock_nanosleep fallocate fdatasync flock fstatfs fsync ftruncate futex
 * getcpu getrusage madvise membarrier memfd_create mmap mprotect msync munmap pread64 preadv
 * preadv2 pwrite64 pwritev pwritev2 rseq sched_getaffinity sched_yield set_robust_list
 * set_tid_address statfs statx sync_file_range uname */

struct file_map {
    void *data; /* NULL: none */
    size_t len;
};

/* What is in a drive. */
struct medium {
    struct block *block; /* NULL: nothing */
    char *text;          /* as in the spec; NULL: there is no drive */
};

struct vm {
    struct engine engine;
    struct engine_env env;
    struct machine *machine;
    struct file_map kernel, initrd;
    uint8_t *vmlinux;
    struct block *drives[MACHINE_DRIVES];
    enum machine_bus drive_bus[MACHINE_DRIVES];
    struct disk *disks[MACHINE_DRIVES]; /* below drives that a guest may write */
    char *drive_paths[MACHINE_DRIVES];  /* those of the spec; NULL: an image's */
    bool leaving[MACHINE_DRIVES];       /* the guest was asked to let go of it */
    unsigned drive_count;
    struct medium disc, diskette;
    uint8_t *seed; /* the bytes of its last drive, with --user-data */
    struct vm_nets nets;
    struct vm_firmware firmware;
    struct vm_image image; /* when the spec names one */
    struct vm_exec *execs; /* other processes in it */
    struct vm_display display;
    struct vm_gdb *gdb;
    struct vm_trace *trace;       /* who traces it */
    struct vm_snapshot *snapshot; /* being written */
    struct vm_record *record;     /* NULL: it is not recorded */
    bool paused, reported;
    bool replugged; /* disks or network adapters have come or gone since the start */
};

_Static_assert((int)MACHINE_DRIVES >= (int)SPEC_DISKS && (int)MACHINE_CPUS >= (int)SPEC_CPUS,
               "a valid spec fits a machine");

static struct vm *vm_of(struct engine *e)
{
    return container_of(e, struct vm, engine);
}

static bool has_image(const struct vm *vm)
{
    return vm->env.spec->image != NULL;
}

static void report(struct vm *vm, int code, const char *reason)
{
    if (vm->reported)
        return;
    vm->reported = true;
    vm->env.ended(vm->env.opaque, code, reason);
}

/* Maps a whole file for reading. */
static int map_file(const char *path, struct file_map *ret, struct error *err)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    void *data;

    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set_errno(err, -errno, "open %s", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, -EINVAL, "open %s: not a regular file", path);
    if (!st.st_size)
        return error_set(err, -EINVAL, "open %s: the file is empty", path);
    data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return error_set_errno(err, -errno, "map %s", path);
    *ret = (struct file_map){.data = data, .len = (size_t)st.st_size};
    return 0;
}

static void unmap_file(struct file_map *f)
{
    if (f->data)
        munmap(f->data, f->len);
}

static int add_drive(struct vm *vm, const char *path, const struct block_file_options *o,
                     struct error *err)
{
    struct block *b = block_file_open(vm->env.loop, path, o, err);

    if (!b)
        return err->code;
    vm->drives[vm->drive_count++] = b;
    return 0;
}

/* The agent expects the image first and the instance's own drive second. */
static int open_image_drives(struct vm *vm, struct error *err)
{
    const struct block_file_options image = {.readonly = true, .serial = "image"},
                                    own = {.no_flush = vm->env.spec->rm, .serial = "instance"};
    int r = add_drive(vm, vm->image.drive, &image, err);

    if (r == 0 && vm->image.own)
        r = add_drive(vm, vm->image.own, &own, err);
    return r;
}

/* A disc or diskette: FILE[,ro]; "none" is none. */
static int open_medium(struct vm *vm, const char *text, bool readonly, struct medium *ret,
                       struct error *err)
{
    size_t len = strlen(text);
    bool said = len > 3 && strcmp(text + len - 3, ",ro") == 0;
    const struct block_file_options o = {.readonly = readonly || said};
    struct medium m = {.text = strdup(text)};
    cleanup_free char *path = strndup(text, said ? len - 3 : len);

    if (!m.text || !path) {
        free(m.text);
        return error_set(err, -ENOMEM, "out of memory");
    }
    if (strcmp(path, "none") != 0) {
        m.block = block_file_open(vm->env.loop, path, &o, err);
        if (!m.block) {
            free(m.text);
            return err->code;
        }
    }
    *ret = m;
    return 0;
}

static void close_medium(struct medium *m)
{
    block_close(m->block);
    free(m->text);
}

/* Of a machine that goes on from a snapshot: its own overlay of what drive @n was then. New. */
static char *own_overlay(const struct vm *vm, size_t n, struct error *err)
{
    cleanup_free char *below = str_format("%s/snapshots/%s/drive%zu.qcow2", vm->env.data_dir,
                                          vm->env.spec->from_snapshot, n),
                      *path = str_format("%s/drive%zu.qcow2", vm->env.dir, n);

    if (!below || !path) {
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    if (access(path, F_OK) == 0 || disk_overlay_new(below, path, err) == 0)
        return steal_ptr(&path);
    return NULL;
}

static void close_drive(struct vm *vm, unsigned n)
{
    unsigned last = --vm->drive_count;

    block_close(vm->drives[n]);
    free(vm->drive_paths[n]);
    vm->drives[n] = vm->drives[last];
    vm->drive_paths[n] = vm->drive_paths[last];
    vm->drive_bus[n] = vm->drive_bus[last];
    vm->leaving[n] = vm->leaving[last];
    vm->disks[n] = vm->disks[last];
    vm->drive_paths[last] = NULL;
}

static int open_disk(struct vm *vm, const struct spec_disk *d, struct error *err)
{
    bool kept = vm->env.spec->from_snapshot && !d->readonly;
    cleanup_free char *own = kept ? own_overlay(vm, (size_t)(d - vm->env.spec->disks), err) : NULL;
    const char *path = own ? own : d->path;
    bool temporary = !d->readonly && (d->temporary || vm->env.spec->temporary);
    const struct disk_image_options o = {.format = own                              ? "qcow2"
                                                   : strcmp(d->format, "auto") == 0 ? NULL
                                                                                    : d->format,
                                         .readonly = d->readonly || temporary,
                                         .discard = d->discard,
                                         .no_flush = d->cache == SPEC_CACHE_UNSAFE};
    const struct block_disk_options b = {.serial = d->serial[0] ? d->serial : NULL,
                                         .write_through = d->cache == SPEC_CACHE_WRITETHROUGH};
    struct disk *disk = kept && !own ? NULL : disk_image_open(path, &o, err);
    struct block *block;

    if (disk && temporary)
        disk = disk_image_temporary(disk, vm->env.dir, err);
    block = disk ? block_disk_new(vm->env.loop, disk, d->path, &b, err) : NULL;
    if (!block)
        return error_wrap(err, err->code, "open drive %s", d->path);
    vm->drive_paths[vm->drive_count] = strdup(d->path);
    if (!vm->drive_paths[vm->drive_count]) {
        block_close(block);
        return error_set(err, -ENOMEM, "out of memory");
    }
    vm->leaving[vm->drive_count] = false;
    vm->drive_bus[vm->drive_count] = (enum machine_bus)d->bus;
    vm->disks[vm->drive_count] = d->readonly ? NULL : disk;
    vm->drives[vm->drive_count++] = block;
    return 0;
}

static int open_drives(struct vm *vm, struct error *err)
{
    const struct spec *spec = vm->env.spec;
    int r = has_image(vm) ? open_image_drives(vm, err) : 0;

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < spec->disk_count; i++)
        r = open_disk(vm, &spec->disks[i], err);
    if (r == 0 && spec->user_data) {
        r = vm_seed_open(&vm->env, &vm->drives[vm->drive_count], &vm->seed, err);
        vm->drive_count += r == 0;
    }
    if (r == 0 && spec->cdrom)
        r = open_medium(vm, spec->cdrom, true, &vm->disc, err);
    if (r == 0 && spec->floppy)
        r = open_medium(vm, spec->floppy, false, &vm->diskette, err);
    return r;
}

/* Identities that stay the same from start to start. */
static int identify(const struct vm *vm, struct machine_config *c, struct error *err)
{
    struct spec_identity who;
    int r = spec_identity(vm->env.spec, vm->env.id, &who, err);

    if (r < 0)
        return r;
    memcpy(c->uuid, who.uuid, sizeof who.uuid);
    vm_nets_configure(&vm->nets, vm->env.spec, who.mac, c);
    return 0;
}

static void fill_random(void *opaque, void *bytes, size_t n)
{
    uint8_t *at = bytes;

    while (n) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0)
            continue; /* only EINTR is possible */
        at += got;
        n -= (size_t)got;
    }
}

/* Takes back what load_guest gave: it is in guest memory now. */
static void unload_guest(void *opaque)
{
    struct vm *vm = opaque;

    free(vm->vmlinux);
    unmap_file(&vm->initrd);
    unmap_file(&vm->kernel);
    vm->vmlinux = NULL;
    vm->initrd = vm->kernel = (struct file_map){0};
}

/* Reads the guest's files for one boot. */
static int load_guest(void *opaque, struct machine_guest *ret, struct error *err)
{
    struct vm *vm = opaque;
    const struct spec *spec = vm->env.spec;
    const char *kernel = has_image(vm) ? vm->image.kernel : spec->kernel,
               *initrd = has_image(vm) ? vm->image.initrd : spec->initrd;
    size_t vmlinux_len = 0;
    int r = map_file(kernel, &vm->kernel, err);

    if (r < 0)
        return error_wrap(err, r, "kernel");
    if (initrd) {
        r = map_file(initrd, &vm->initrd, err);
        if (r < 0)
            r = error_wrap(err, r, "initrd");
    }
    if (r == 0) {
        r = kernel_file_unpack(vm->kernel.data, vm->kernel.len, &vm->vmlinux, &vmlinux_len, err);
        if (r < 0)
            r = error_wrap(err, r, "kernel %s", kernel);
    }
    if (r < 0) {
        unload_guest(vm);
        return r;
    }
    *ret = (struct machine_guest){.kernel = vm->kernel.data,
                                  .kernel_len = vm->kernel.len,
                                  .initrd = vm->initrd.data,
                                  .initrd_len = vm->initrd.len,
                                  .vmlinux = vm->vmlinux,
                                  .vmlinux_len = vmlinux_len};
    return 0;
}

/* The guest has let go of a drive. */
static void drive_unplugged(void *opaque, struct block *drive)
{
    struct vm *vm = opaque;

    for (unsigned i = 0; i < vm->drive_count; i++) {
        if (vm->drives[i] != drive)
            continue;
        vm->replugged = true;
        log_info("vm", "the guest let go of %s",
                 vm->drive_paths[i] ? vm->drive_paths[i] : "a drive of its image");
        close_drive(vm, i);
        return;
    }
}

static void nic_unplugged(void *opaque, struct netdev *netdev)
{
    struct vm *vm = opaque;

    vm->replugged = true;
    log_info("vm", "the guest let go of a network adapter");
    vm_nets_unplugged(&vm->nets, netdev);
}

static int configure(struct vm *vm, struct machine_config *c, struct error *err)
{
    const struct spec *spec = vm->env.spec;
    int r;

    *c =
        (struct machine_config){.board = spec->machine,
                                .accel = spec->accel,
                                .cpu = spec->cpu,
                                .cpus = spec_vm_cpus(spec),
                                .memory = spec_vm_memory(spec),
                                .load = load_guest,
                                .unload = unload_guest,
                                .load_opaque = vm,
                                .append = has_image(vm) ? vm->image.append : spec->append,
                                .drive_count = vm->drive_count,
                                .debug_console = spec->debug_console ? vm->env.debug_console : NULL,
                                .debug_exit = spec->debug_exit,
                                .no_reboot = spec->no_reboot || has_image(vm),
                                .unplugged = drive_unplugged,
                                .nic_unplugged = nic_unplugged,
                                .unplug_opaque = vm,
                                .firmware = vm->firmware.rom,
                                .firmware_len = vm->firmware.rom_len,
                                .flash = vm->firmware.flash,
                                .flash_len = vm->firmware.flash_len,
                                .boot_menu = spec->boot_menu,
                                .random = fill_random};
    memcpy(c->drives, vm->drives, sizeof vm->drives);
    memcpy(c->drive_bus, vm->drive_bus, sizeof vm->drive_bus);
    c->cdrom = spec->cdrom != NULL;
    c->cdrom_bus = spec->cdrom_bus && strcmp(spec->cdrom_bus, "ahci") == 0 ? MACHINE_BUS_AHCI
                                                                           : MACHINE_BUS_IDE;
    c->disc = vm->disc.block;
    c->floppy = spec->floppy != NULL;
    c->diskette = vm->diskette.block;
    if (has_image(vm)) { /* the console is the process's; what the kernel says is for the log */
        c->serials[0] = vm->env.debug_console;
        c->agent = agent_chardev(vm->image.agent);
    } else if (spec->serial == SPEC_SERIAL_CONSOLE)
        c->serials[0] = vm->env.console;
    else if (spec->serial == SPEC_SERIAL_VIRTIO)
        c->console = vm->env.console;
    if (!spec->record) /* what is replayed must be the same */
        fill_random(NULL, c->generation, sizeof c->generation);
    if (spec->rtc) {
        r = spec_rtc(spec->rtc, &c->rtc_offset, &c->rtc_base, err);
        if (r < 0)
            return r;
    }
    r = vm_display_configure(&vm->display, spec, c, err);
    return r < 0 ? r : identify(vm, c, err);
}

static void agent_failed(void *opaque, const char *reason)
{
    report(opaque, INSTANCE_EXIT_OWN, reason);
}

/* The image's process has ended, and with it the machine. */
static void main_ended(void *opaque, int code, const char *reason)
{
    report(opaque, code, reason);
}

static int open_parts(struct vm *vm, struct error *err)
{
    const struct agent_watch watch = {.failed = agent_failed, .opaque = vm};
    int r = has_image(vm) ? vm_image_open(&vm->env, &watch, &vm->image, err) : 0;

    if (r == 0)
        r = open_drives(vm, err);
    if (r == 0)
        r = vm_firmware_open(&vm->env, &vm->firmware, err);

    return r < 0 ? r : vm_nets_open(&vm->nets, &vm->env, err);
}

static int vm_prepare(const struct engine_place *place, struct spec *spec, struct error *err)
{
    return spec->image ? container_parts_prepare(place, spec, err) : 0;
}

static void vm_destroy(struct engine *e)
{
    struct vm *vm;

    if (!e)
        return;
    vm = vm_of(e);
    vm_trace_end(&vm->trace);
    vm_gdb_free(vm->gdb);
    vm_display_stop(&vm->display);
    vm_snapshot_end(vm->snapshot);
    machine_free(vm->machine);
    vm_record_close(vm->record);
    vm_display_done(&vm->display);
    while (vm->drive_count)
        close_drive(vm, vm->drive_count - 1);
    free(vm->seed);
    close_medium(&vm->disc);
    close_medium(&vm->diskette);
    vm_nets_close(&vm->nets);
    vm_exec_free_all(&vm->execs);
    vm_firmware_done(&vm->firmware);
    vm_image_done(&vm->image);
    free(vm);
}

/* The marker that the instance has gone on from its snapshot: later starts boot. */
static char *resumed_mark(const struct vm *vm)
{
    return str_format("%s/resumed", vm->env.dir);
}

/* The files to go on from; none (state NULL) when this start boots. */
static int open_snapshot(const struct vm *vm, struct snapshot_files *ret, struct error *err)
{
    cleanup_free char *mark = resumed_mark(vm),
                      *path = vm->env.spec->from_snapshot
                                  ? str_format("%s/snapshots/%s", vm->env.data_dir,
                                               vm->env.spec->from_snapshot)
                                  : NULL;
    cleanup_fd int dir = -1;
    int r;

    *ret = (struct snapshot_files){0};
    if (!vm->env.spec->from_snapshot)
        return 0;
    if (!mark || !path)
        return error_set(err, -ENOMEM, "out of memory");
    if (access(mark, F_OK) == 0)
        return 0;
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = dir < 0 ? error_set_errno(err, -errno, "open %s", path)
                : snapshot_files_open(dir, true, ret, err);
    return r < 0 ? error_wrap(err, r, "go on from snapshot %s", vm->env.spec->from_snapshot) : 0;
}

static int make_machine(struct vm *vm, struct machine_config *config, struct error *err)
{
    struct snapshot_files files;
    struct record_sink sink;
    int r = vm->env.spec->record ? vm_record_open(&vm->env, &vm->record, &sink, err) : 0;

    config->record = vm->record ? &sink : NULL;
    if (r == 0)
        r = vm->env.origin ? vm_fork_open(vm->env.origin, &files, err)
                           : open_snapshot(vm, &files, err);
    if (r < 0)
        return r;
    config->saved = files.state;
    config->saved_len = files.state_len;
    config->saved_memory = files.memory;
    vm->machine = machine_new(config, err);
    r = vm->machine ? 0 : err->code;
    if (r == 0 && files.state && !vm->env.origin) {
        cleanup_free char *mark = resumed_mark(vm);
        cleanup_fd int fd =
            mark ? open(mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
        if (fd < 0)
            r = error_set_errno(err, -errno, "note that it goes on from its snapshot");
    }
    snapshot_files_done(&files);
    return r;
}

static int vm_create(const struct engine_env *env, struct engine **ret, struct error *err)
{
    struct vm *vm = mem_new(struct vm);
    struct machine_config config;
    int r;

    if (!vm)
        return error_set(err, -ENOMEM, "out of memory");
    vm->engine.ops = &vm_engine;
    vm->env = *env;
    r = open_parts(vm, err);
    if (r == 0)
        r = configure(vm, &config, err);
    if (r == 0)
        r = make_machine(vm, &config, err);
    if (r == 0)
        r = vm_display_start(&vm->display, env, vm->machine, err);
    if (r == 0) {
        vm->gdb = vm_gdb_new(env, vm->machine, err);
        r = vm->gdb ? 0 : err->code;
    }
    if (r < 0) {
        vm_destroy(&vm->engine);
        return r;
    }
    *ret = &vm->engine;
    return 0;
}

/* On the loop's thread. What the end of a machine without an agent means as an exit code. */
static void vm_ended(void *opaque, enum machine_end end, int value)
{
    struct vm *vm = opaque;
    const char *reason = NULL;
    int code = 0;

    switch (end) {
    case MACHINE_END_POWEROFF:
        break;
    case MACHINE_END_RESET:
        reason = has_image(vm) ? "the guest's kernel ended without a word; see isola logs"
                               : "the guest asked for a reset (--no-reboot)";
        code = has_image(vm) ? INSTANCE_EXIT_PANIC : 0;
        break;
    case MACHINE_END_DEBUG_EXIT:
        code = value & 0xff;
        reason = "debug exit";
        break;
    case MACHINE_END_PANIC:
        code = INSTANCE_EXIT_PANIC;
        reason = "the guest's kernel panicked";
        break;
    case MACHINE_END_TRIPLE:
        code = INSTANCE_EXIT_TRIPLE;
        reason = "triple fault (--no-reboot)";
        break;
    case MACHINE_END_STOPPED:
        code = INSTANCE_EXIT_KILLED;
        break;
    case MACHINE_RUNNING:
    case MACHINE_END_ERROR:
        code = INSTANCE_EXIT_OWN;
        reason = machine_end_text(vm->machine);
        break;
    }
    vm_gdb_ended(vm->gdb, code);
    report(vm, code, reason);
}

static int vm_start(struct engine *e, struct error *err)
{
    struct vm *vm = vm_of(e);

    int r = has_image(vm) ? vm_image_run(&vm->image, main_ended, vm, err) : 0;

    if (r < 0)
        return r;
    vm->paused = vm->env.paused;
    if (vm->paused)
        machine_pause(vm->machine);
    return machine_start(vm->machine, vm->env.loop, vm_ended, vm, err);
}

static int vm_stop(struct engine *e, struct error *err)
{
    struct vm *vm = vm_of(e);

    if (has_image(vm))
        return agent_process_signal(
            vm->image.main, container_stop_signal(vm->env.spec, &vm->image.image->config), err);
    machine_power_button(vm->machine);
    return 0;
}

static int vm_signal(struct engine *e, int number, struct error *err)
{
    if (has_image(vm_of(e)))
        return agent_process_signal(vm_of(e)->image.main, number, err);
    if (number != SIGTERM && number != SIGPWR && number != SIGINT)
        return error_set(err, -ENOTSUP,
                         "a virtual machine without an agent takes no signal %s; KILL ends it, "
                         "TERM, INT and PWR press its power button",
                         sigabbrev_np(number) ? sigabbrev_np(number) : "of this number");
    return vm_stop(e, err);
}

static int vm_exec_here(struct engine *e, const struct instance_exec *exec, int fd,
                        struct error *err)
{
    struct vm *vm = vm_of(e);

    if (!has_image(vm)) {
        close(fd);
        return error_set(err, -ENOTSUP, "there is no agent");
    }
    return vm_exec_new(&vm->execs, &vm->image, exec, fd, err);
}

static int vm_pause(struct engine *e, struct error *err)
{
    vm_of(e)->paused = true;
    machine_pause(vm_of(e)->machine);
    return 0;
}

static int vm_resume(struct engine *e, struct error *err)
{
    vm_of(e)->paused = false;
    machine_resume(vm_of(e)->machine);
    if (has_image(vm_of(e)))
        agent_set_time(vm_of(e)->image.agent, machine_wall_ns(vm_of(e)->machine));
    return 0;
}

/* Puts what the spec names now into a drive. */
static int change_medium(struct vm *vm, enum machine_medium which, const char *text,
                         struct medium *now, struct error *err)
{
    struct medium new = {0};
    struct block *old;
    int r;

    if (!text || (now->text && strcmp(text, now->text) == 0))
        return 0;
    r = open_medium(vm, text, which == MACHINE_CDROM, &new, err);
    if (r == 0)
        r = machine_set_medium(vm->machine, which, new.block, &old, err);
    if (r < 0) {
        close_medium(&new);
        return r;
    }
    now->block = old;
    close_medium(now);
    *now = new;
    return 0;
}

/* The open drive that the spec names by @path, -1: there is none. */
static int find_drive(const struct vm *vm, const char *path)
{
    for (unsigned i = 0; i < vm->drive_count; i++)
        if (vm->drive_paths[i] && !vm->leaving[i] && strcmp(vm->drive_paths[i], path) == 0)
            return (int)i;
    return -1;
}

static bool names_disk(const struct spec *spec, const char *path)
{
    for (size_t i = 0; i < spec->disk_count; i++)
        if (strcmp(spec->disks[i].path, path) == 0)
            return true;
    return false;
}

static int plug_disk(struct vm *vm, const struct spec_disk *d, struct error *err)
{
    int r;

    if (d->bus != SPEC_BUS_VIRTIO)
        return error_set(err, -ENOTSUP, "only virtio disks can be put into a running machine");
    if (vm->drive_count == MACHINE_DRIVES)
        return error_set(err, -ENOSPC, "the machine has %d drives, more do not fit",
                         MACHINE_DRIVES);
    r = open_disk(vm, d, err);
    if (r < 0)
        return r;
    vm->replugged = true;
    r = machine_plug_drive(vm->machine, vm->drives[vm->drive_count - 1], err);
    if (r < 0)
        close_drive(vm, vm->drive_count - 1);
    return r;
}

static bool disks_differ(const struct vm *vm)
{
    const struct spec *spec = vm->env.spec;
    bool differ = false;

    for (unsigned i = 0; i < vm->drive_count; i++)
        differ |= vm->drive_paths[i] && !vm->leaving[i] && !names_disk(spec, vm->drive_paths[i]);
    for (size_t i = 0; i < spec->disk_count; i++)
        differ |= find_drive(vm, spec->disks[i].path) < 0;
    return differ;
}

/* Makes the drives follow the spec: plugs in what is new, and asks for what is named no more. */
static int update_disks(struct vm *vm, struct error *err)
{
    const struct spec *spec = vm->env.spec;
    int r = 0;

    /* A snapshot knows the disks by their order. */
    if (spec->from_snapshot && disks_differ(vm))
        return error_set(err, -ENOTSUP,
                         "disks of a machine that goes on from a snapshot can not come and go");
    for (unsigned i = 0; r == 0 && i < vm->drive_count; i++) {
        if (!vm->drive_paths[i] || vm->leaving[i] || names_disk(spec, vm->drive_paths[i]))
            continue;
        r = machine_unplug_drive(vm->machine, vm->drives[i], err);
        vm->leaving[i] = r == 0;
        vm->replugged |= r == 0;
    }
    for (size_t i = 0; r == 0 && i < spec->disk_count; i++)
        if (find_drive(vm, spec->disks[i].path) < 0)
            r = plug_disk(vm, &spec->disks[i], err);
    return r;
}

static int vm_update(struct engine *e, struct error *err)
{
    struct vm *vm = vm_of(e);
    const struct spec *spec = vm->env.spec;
    int r = change_medium(vm, MACHINE_CDROM, spec->cdrom, &vm->disc, err);

    if (r == 0)
        r = change_medium(vm, MACHINE_FLOPPY, spec->floppy, &vm->diskette, err);
    if (r == 0)
        r = update_disks(vm, err);
    if (r == 0)
        r = vm_nets_update(&vm->nets, &vm->env, vm->machine, &vm->replugged, err);
    return r < 0 ? r : machine_set_memory(vm->machine, spec_vm_memory(spec), err);
}

static int vm_stats(struct engine *e, struct instance_stats *ret, struct error *err)
{
    struct vm *vm = vm_of(e);
    struct machine_stats st;

    machine_stats(vm->machine, &st);
    *ret = (struct instance_stats){.cpu_ns = st.cpu_ns,
                                   .instructions = st.instructions,
                                   .memory_used = st.memory_used,
                                   .memory_limit = st.memory_size,
                                   .block_read = st.block_read,
                                   .block_written = st.block_written,
                                   .net_rx = st.net_rx,
                                   .net_tx = st.net_tx,
                                   .cpus = spec_vm_cpus(vm->env.spec),
                                   .pids = 1};
    return 0;
}

static int vm_screen_here(struct engine *e, int fd, struct error *err)
{
    struct vm *vm = vm_of(e);

    return vm_screen_serve(vm->display.screen, fd, err);
}

static bool vm_has_screen(const struct engine *e)
{
    return container_of(e, struct vm, engine)->display.screen != NULL;
}

/* Whether @what can be had of the machine as it is. */
static int check_savable(const struct vm *vm, const char *what, struct error *err)
{
    if (vm->record)
        return error_set(err, -ENOTSUP,
                         "%s is not supported for a machine that is recorded: any instant of its "
                         "recording can be had later",
                         what);
    if (has_image(vm))
        return error_set(err, -ENOTSUP,
                         "%s is not supported for a machine made from an image: its agent "
                         "cannot be met again",
                         what);
    if (vm->replugged)
        return error_set(err, -ENOTSUP,
                         "disks or network adapters were plugged in or taken out since the "
                         "machine was started; start it anew before %s",
                         what);
    return 0;
}

static int vm_fork(struct engine *e, const char *dir, struct engine_origin *ret, struct error *err)
{
    struct vm *vm = vm_of(e);
    const struct vm_snapshot_request q = {.machine = vm->machine,
                                          .paused = vm->paused,
                                          .disks = vm->disks,
                                          .disk_count = vm->drive_count,
                                          .dir = dir};
    int r = check_savable(vm, "a fork", err);

    return r < 0 ? r : vm_fork_take(&q, ret, err);
}

static int vm_snapshot(struct engine *e, const char *dir,
                       void (*done)(void *opaque, const struct error *err), void *opaque,
                       struct error *err)
{
    struct vm *vm = vm_of(e);
    const struct vm_snapshot_request q = {.machine = vm->machine,
                                          .paused = vm->paused,
                                          .disks = vm->disks,
                                          .disk_count = vm->drive_count,
                                          .dir = dir,
                                          .loop = vm->env.loop,
                                          .done = done,
                                          .opaque = opaque};

    if (check_savable(vm, "a snapshot", err) < 0)
        return -ENOTSUP;
    vm_snapshot_end(vm->snapshot); /* the one before has ended */
    vm->snapshot = vm_snapshot_begin(&q, err);
    return vm->snapshot ? 0 : err->code;
}

/* A processor's registers mean something at an instruction boundary. */
static int vm_inspect(struct engine *e, struct str *out, struct error *err)
{
    struct vm *vm = vm_of(e);

    if (!vm->paused)
        machine_pause(vm->machine);
    machine_inspect(vm->machine, out);
    if (!vm->paused)
        machine_resume(vm->machine);
    return 0;
}

static int vm_show(struct engine *e, const char *what, struct str *out, struct error *err)
{
    struct vm *vm = vm_of(e);
    int r;

    if (!vm->paused)
        machine_pause(vm->machine);
    r = machine_show(vm->machine, what, out, err);
    if (!vm->paused)
        machine_resume(vm->machine);
    return r;
}

static int vm_debug(struct engine *e, const char *what, const char *arguments, int fd,
                    struct error *err)
{
    struct vm *vm = vm_of(e);

    if (strcmp(what, "gdb") == 0)
        return vm_gdb_serve(vm->gdb, strcmp(arguments, "i386") == 0, fd, err);
    if (strcmp(what, "trace") == 0)
        return vm_trace_serve(&vm->trace, vm->env.loop, vm->machine, arguments, fd, err);
    return error_set(err, -ENOTSUP, "a connection for \"%s\" is not known; there are: gdb trace",
                     what);
}

static const char *vm_instead(const char *what)
{
    static const struct {
        const char *what, *instead;
    } list[] = {
        {"access to files", "its files are behind its own kernel; in one made from an image, "
                            "isola exec -i NAME tar copies them"},
        {"diff", "its files are behind its own kernel"},
        {"top", "its processes are its own kernel's; in one made from an image, isola exec NAME ps "
                "shows them"},
    };

    for (size_t i = 0; i < array_size(list); i++)
        if (strcmp(list[i].what, what) == 0)
            return list[i].instead;
    return NULL;
}

const struct engine_ops vm_engine = {.wall = "vm",
                                     .instead = vm_instead,
                                     .about = "a virtual PC with its own kernel",
                                     .prepare = vm_prepare,
                                     .create = vm_create,
                                     .start = vm_start,
                                     .exec_here = vm_exec_here,
                                     .signal = vm_signal,
                                     .pause = vm_pause,
                                     .resume = vm_resume,
                                     .stats = vm_stats,
                                     .update = vm_update,
                                     .stop = vm_stop,
                                     .snapshot = vm_snapshot,
                                     .fork = vm_fork,
                                     .inspect = vm_inspect,
                                     .debug = vm_debug,
                                     .show = vm_show,
                                     .has_screen = vm_has_screen,
                                     .screen = vm_screen_here,
                                     .destroy = vm_destroy};
