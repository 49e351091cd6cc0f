/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine's life: made in reset state with its guest loaded, run by turns (here) or by threads
 * (machine_linux.c), reset, ended.
 *
 * Everything but guest code runs with the machine lock held. A device that ends or resets the
 * machine does so in the middle of an instruction; it only notes the wish and kicks the processors,
 * and whoever runs them carries it out at the next instruction boundary.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "base/trace.h"
#include "cpu/x86/access.h"
#include "cpu/x86/model.h"
#include "io/input.h"
#include "machine/machine_internal.h"
#include "machine/record_internal.h"

enum { TSC_KHZ = 1000000 }; /* one tick a nanosecond: conversion is exact and free */

static const struct board_ops *const boards[] = {&pc_board};

const struct board_ops *board_at(unsigned index)
{
    return index < array_size(boards) ? boards[index] : NULL;
}

const struct board_ops *board_find(const char *name, struct error *err)
{
    for (unsigned i = 0; i < array_size(boards); i++)
        if (!name || strcmp(name, boards[i]->name) == 0)
            return boards[i];
    error_set(err, -ENOTSUP, "there is no board %s; boards: pc", name);
    return NULL;
}

/* ---- what the processors need ---- */

/* A slice of a timeline has the lock all the while. */
static void host_lock(void *opaque)
{
    struct machine *m = opaque;

    if (!m->timeline)
        machine_lock(m);
}

static void host_unlock(void *opaque)
{
    struct machine *m = opaque;

    if (!m->timeline)
        machine_unlock(m);
}

static uint64_t host_tsc(void *opaque)
{
    struct machine *m = opaque;
    return gclock_muldiv(gclock_now(m->clock), TSC_KHZ, 1000000);
}

static void host_random(void *opaque, void *bytes, size_t n)
{
    machine_random(opaque, bytes, n);
}

static int host_pv_rdmsr(void *opaque, unsigned cpu, uint32_t msr, uint64_t *ret)
{
    struct machine *m = opaque;
    return pvclock_rdmsr(&m->pvclock, cpu, msr, ret);
}

static int host_pv_wrmsr(void *opaque, unsigned cpu, uint32_t msr, uint64_t value)
{
    struct machine *m = opaque;
    return pvclock_wrmsr(&m->pvclock, cpu, msr, value);
}

int64_t machine_host_wall_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* What the real-time clock shows at first. */
static int64_t machine_power_on_ns(const struct machine *m)
{
    return m->config.rtc_base ? m->config.rtc_base * 1000000000
                              : machine_host_wall_ns() + m->config.rtc_offset * 1000000000;
}

int64_t machine_wall_ns(const struct machine *m)
{
    return (int64_t)((uint64_t)m->pvclock.wall_base + gclock_now(m->clock));
}

void machine_move_wall(struct machine *m, int64_t ns)
{
    const struct record_event ev = {.kind = RECORD_WALL, .value = (uint64_t)ns};

    recorder_note(m, &ev);
    m->pvclock.wall_base = (int64_t)((uint64_t)m->pvclock.wall_base + (uint64_t)ns);
}

void machine_lock(struct machine *m)
{
    if (m->host && m->host->lock)
        m->host->lock(m);
}

void machine_unlock(struct machine *m)
{
    if (m->host && m->host->unlock)
        m->host->unlock(m);
}

void machine_random(struct machine *m, void *bytes, size_t n)
{
    if (m->timeline)
        m->timeline->ops->random(m->timeline, bytes, n);
    else
        machine_host_random(m, bytes, n);
}

void machine_host_random(struct machine *m, void *bytes, size_t n)
{
    uint8_t *out = bytes;

    if (m->config.random) {
        m->config.random(m->config.random_opaque, bytes, n);
        return;
    }
    while (n) {
        size_t part = min_of(n, sizeof(uint64_t));
        uint64_t z = m->rng += 0x9e3779b97f4a7c15ull; /* splitmix64 */
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ z >> 27) * 0x94d049bb133111ebull;
        z ^= z >> 31;
        memcpy(out, &z, part);
        out += part;
        n -= part;
    }
}

static uint64_t default_time(void *opaque)
{
    struct timespec ts;

    (void)opaque;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t machine_host_time(const struct machine *m)
{
    return m->config.time_source ? m->config.time_source(m->config.time_opaque)
                                 : default_time(NULL);
}

/* ---- making and freeing ---- */

/* Video memory and firmware follow the RAM that the board maps. */
static uint64_t ram_bytes(const struct machine_config *c)
{
    const struct board_ops *board = board_find(c->board, NULL);
    return c->memory + (board ? board->extra_memory(c) : 0);
}

static int check_config(const struct machine_config *c, struct error *err)
{
    if (c->cpus < 1 || c->cpus > MACHINE_CPUS)
        return error_set(err, -EINVAL, "a machine has 1 to %d processors, not %u", MACHINE_CPUS,
                         c->cpus);
    if (c->memory < (1 << 20) || c->memory % (1 << 20) || c->memory > 1ull << 40)
        return error_set(err, -EINVAL,
                         "memory is a whole number of MiB, from 1 MiB to 1 TiB, not %llu bytes",
                         (unsigned long long)c->memory);
    if (c->saved_memory && gmem_layer_pages(c->saved_memory) << GMEM_PAGE_BITS != ram_bytes(c))
        return error_set(err, -EINVAL, "restore: the saved memory is %llu MiB, the machine's %llu",
                         (unsigned long long)(gmem_layer_pages(c->saved_memory) >> 8),
                         (unsigned long long)(ram_bytes(c) >> 20));
    if (!c->firmware && !c->load && !c->guest.kernel && !c->saved)
        return error_set(err, -EINVAL, "there is nothing to boot: give a kernel or firmware");
    if (c->record && c->saved)
        return error_set(err, -ENOTSUP,
                         "a machine that goes on from a snapshot can not be recorded");
    if (c->drive_count > MACHINE_DRIVES || c->nic_count > MACHINE_NICS)
        return error_set(err, -EINVAL, "at most %d drives and %d network adapters", MACHINE_DRIVES,
                         MACHINE_NICS);
    return 0;
}

static int copy_config(struct machine *m, const struct machine_config *config, struct error *err)
{
    m->config = *config;
    m->append = strdup(config->append ? config->append : "");
    if (!m->append)
        return error_set(err, -ENOMEM, "out of memory");
    m->config.append = m->append;
    m->rng = config->random_seed;
    m->debug.run = UINT64_MAX;
    m->running_cpu = -1;
    return 0;
}

static int create_parts(struct machine *m, struct error *err)
{
    const struct x86_model *model = x86_model_find(m->config.cpu);
    struct x86_host host = {.opaque = m,
                            .lock = host_lock,
                            .unlock = host_unlock,
                            .pv_rdmsr = host_pv_rdmsr,
                            .pv_wrmsr = host_pv_wrmsr,
                            .tsc = host_tsc,
                            .random = host_random};

    if (!model)
        return error_set(err, -EINVAL, "there is no processor model %s; isola doctor lists them",
                         m->config.cpu);
    m->board = board_find(m->config.board, err);
    m->accel = m->board ? accel_find(m->config.accel, err) : NULL;
    if (!m->accel)
        return -ENOTSUP;
    if ((m->config.record && recorder_new(m, err) < 0) ||
        (m->config.replay && player_new(m, err) < 0))
        return -ENOMEM;
    m->board->fill_host(&host);
    if (m->timeline)
        m->clock = gclock_new(timeline_time, m->timeline);
    else
        m->clock = gclock_new(m->config.time_source ? m->config.time_source : default_time,
                              m->config.time_opaque);
    if (!m->clock)
        return error_set(err, -ENOMEM, "out of memory");
    m->ram = m->config.saved_memory ? gmem_new_on(m->config.saved_memory, err)
                                    : gmem_new(ram_bytes(&m->config), err);
    m->space = m->ram ? space_new(m->ram, err) : NULL;
    m->ports = m->space ? ports_new(err) : NULL;
    m->vm = m->ports ? x86_vm_new(m->space, m->ports, &host, model, m->config.cpus, TSC_KHZ, err)
                     : NULL;
    if (!m->vm)
        return -ENOMEM;
    m->vm->pv_cpuid = pvclock_cpuid;
    m->vm->pv_cpuid_count = PVCLOCK_CPUID_LEAVES;
    pvclock_init(&m->pvclock, m->vm, m->clock, machine_power_on_ns(m));
    if (m->accel->create_vm)
        return m->accel->create_vm(m->vm, err);
    return 0;
}

struct machine *machine_new(const struct machine_config *config, struct error *err)
{
    struct machine *m;

    if (check_config(config, err) < 0)
        return NULL;
    m = mem_new(struct machine);
    if (!m) {
        error_set(err, -ENOMEM, "create machine: out of memory");
        return NULL;
    }
    if (copy_config(m, config, err) < 0 || create_parts(m, err) < 0 ||
        m->board->create(m, err) < 0 ||
        (config->saved ? machine_load_state(m, err) : machine_reset(m, err)) < 0) {
        machine_free(m);
        return NULL;
    }
    return m;
}

void machine_free(struct machine *m)
{
    if (!m)
        return;
    machine_threads_free(m);
    recorder_end(m);
    if (m->board)
        m->board->destroy(m);
    while (m->devices) {
        struct device *next = m->devices->next;
        m->devices->free(m->devices);
        m->devices = next;
    }
    if (m->vm && m->accel->destroy_vm)
        m->accel->destroy_vm(m->vm);
    x86_vm_free(m->vm);
    ports_free(m->ports);
    space_free(m->space);
    gmem_free(m->ram);
    gclock_free(m->clock);
    timeline_free(m->timeline);
    recorder_free(m);
    free(m->append);
    free(m);
}

void machine_add_device(struct machine *m, struct device *dev)
{
    struct device **link = &m->devices;

    while (*link)
        link = &(*link)->next;
    dev->next = NULL;
    *link = dev;
}

/* ---- reset and end ---- */

void machine_kick(struct machine *m)
{
    for (unsigned i = 0; i < m->vm->cpu_count; i++)
        m->accel->kick(m->vm->cpus[i]);
    if (m->host && m->host->wake)
        m->host->wake(m);
}

void machine_end(struct machine *m, enum machine_end end, int value, const char *text)
{
    if (m->end != MACHINE_RUNNING)
        return;
    m->end = end;
    m->end_value = value;
    snprintf(m->end_text, sizeof(m->end_text), "%s", text ? text : "");
    machine_kick(m);
}

void machine_want_reset(struct machine *m, bool triple_fault)
{
    if (m->config.no_reboot) {
        machine_end(m, triple_fault ? MACHINE_END_TRIPLE : MACHINE_END_RESET, 0,
                    triple_fault ? "triple fault" : "the guest asked for a reboot");
        return;
    }
    m->reset_wanted = true;
    machine_kick(m);
}

int machine_reset(struct machine *m, struct error *err)
{
    int r = m->resets ? gmem_clear(m->ram, err) : 0;

    m->reset_wanted = false;
    m->resets++;
    if (r < 0)
        return r;
    for (struct device *dev = m->devices; dev; dev = dev->next)
        device_reset(dev);
    pvclock_reset(&m->pvclock);
    for (unsigned i = 0; i < m->vm->cpu_count; i++)
        x86_reset(m->vm->cpus[i]);
    return m->board->boot(m, err);
}

void machine_speaker(struct machine *m, struct machine_speaker *ret)
{
    *ret = (struct machine_speaker){0};
    m->board->speaker(m, ret);
}

struct display *machine_display(struct machine *m)
{
    return m->display;
}

bool machine_key(struct machine *m, unsigned key, bool down)
{
    const struct record_event ev = {.kind = RECORD_KEY, .number = key, .on = down};

    recorder_note(m, &ev);
    return m->keyboard && m->keyboard->ops->key(m->keyboard, key, down);
}

void machine_move_pointer(struct machine *m, const struct input_pointer *step)
{
    const struct record_event ev = {.kind = RECORD_POINTER, .pointer = *step};

    recorder_note(m, &ev);
    if (m->tablet && m->tablet->ready)
        m->tablet->ops->pointer(m->tablet, step);
    else if (m->mouse)
        m->mouse->ops->pointer(m->mouse, step);
}

void machine_pointer(struct machine *m, const struct input_pointer *p, unsigned width,
                     unsigned height)
{
    struct input_pointer step = *p;

    /* In whole dots, so that steps add up to the way. */
    step.dx = (int)(p->x * width / INPUT_PLACE_MAX) - (int)(m->pointer_x * width / INPUT_PLACE_MAX);
    step.dy =
        (int)(p->y * height / INPUT_PLACE_MAX) - (int)(m->pointer_y * height / INPUT_PLACE_MAX);
    m->pointer_x = p->x;
    m->pointer_y = p->y;
    machine_move_pointer(m, &step);
}

int machine_end_value(const struct machine *m)
{
    return m->end_value;
}

const char *machine_end_text(const struct machine *m)
{
    return m->end_text;
}

static int refuse_recorded(const struct machine *m, const char *what, struct error *err)
{
    return m->timeline
               ? error_set(err, -ENOTSUP, "%s of a machine that is recorded can not change", what)
               : 0;
}

int machine_set_medium(struct machine *m, enum machine_medium which, struct block *block,
                       struct block **ret_old, struct error *err)
{
    if (refuse_recorded(m, "discs", err) < 0)
        return -ENOTSUP;
    return m->board->set_medium(m, which, block, ret_old, err);
}

int machine_set_memory(struct machine *m, uint64_t bytes, struct error *err)
{
    const struct record_event ev = {.kind = RECORD_BALLOON, .value = bytes};

    if (bytes > m->config.memory)
        return error_set(err, -ERANGE,
                         "it was started with %llu MiB of memory; more can be given when it is "
                         "stopped",
                         (unsigned long long)(m->config.memory >> 20));
    recorder_note(m, &ev);
    return m->board->set_balloon(m, (uint32_t)((m->config.memory - bytes) >> GMEM_PAGE_BITS), err);
}

int machine_plug_drive(struct machine *m, struct block *drive, struct error *err)
{
    if (refuse_recorded(m, "drives", err) < 0)
        return -ENOTSUP;
    return m->board->plug_drive(m, drive, err);
}

int machine_unplug_drive(struct machine *m, const struct block *drive, struct error *err)
{
    if (refuse_recorded(m, "drives", err) < 0)
        return -ENOTSUP;
    return m->board->unplug_drive(m, drive, err);
}

int machine_plug_nic(struct machine *m, const struct machine_nic *nic, struct error *err)
{
    if (refuse_recorded(m, "network adapters", err) < 0)
        return -ENOTSUP;
    return m->board->plug_nic(m, nic, err);
}

int machine_unplug_nic(struct machine *m, const struct netdev *netdev, struct error *err)
{
    if (refuse_recorded(m, "network adapters", err) < 0)
        return -ENOTSUP;
    return m->board->unplug_nic(m, netdev, err);
}

void machine_power_button(struct machine *m)
{
    const struct record_event ev = {.kind = RECORD_POWER};

    recorder_note(m, &ev);
    m->board->power_button(m);
}

/* ---- running ---- */

static void after_run(struct machine *m, uint64_t instructions, enum x86_exit why)
{
    m->exits[why & 7]++;
    m->instructions += instructions;
    if (why == X86_EXIT_SHUTDOWN)
        machine_want_reset(m, true);
}

void machine_note_exit(struct machine *m, struct x86_cpu *c, enum x86_exit why,
                       uint64_t instructions)
{
    c->counts.exits[why & 7]++;
    if (unlikely(m->trace != NULL) && trace_wants(m->trace, TRACE_EXITS))
        trace_emit(m->trace, TRACE_EXITS, TRACE_EXIT, why, instructions, 0, NULL);
    m->running_cpu = -1;
}

bool machine_turn(struct machine *m, uint64_t budget)
{
    bool worked = false;

    for (unsigned i = 0; i < m->vm->cpu_count; i++) {
        struct x86_cpu *c = m->vm->cpus[i];
        uint64_t before, instructions;
        enum x86_exit why;
        if (m->end != MACHINE_RUNNING || m->reset_wanted)
            return true;
        if (!x86_has_work(c) || !(m->debug.run >> i & 1))
            continue;
        worked = true;
        m->board->select_cpu(m, i);
        machine_unlock(m);
        m->running_cpu = (int)i;
        before = c->insn_count;
        why = m->accel->run(c, budget);
        instructions = c->insn_count - before;
        machine_lock(m);
        machine_note_exit(m, c, why, instructions);
        after_run(m, instructions, why);
        if (unlikely(why == X86_EXIT_DEBUG)) {
            machine_debug_event(m, i);
            break;
        }
    }
    return worked;
}

enum machine_end machine_step(struct machine *m, uint64_t budget, uint64_t *ret_idle_ns)
{
    struct error err = {0};
    uint64_t next, now;
    bool worked;

    *ret_idle_ns = 0;
    if (m->recorder) {
        if (m->end == MACHINE_RUNNING)
            *ret_idle_ns = recorder_turn(m);
        if (m->end != MACHINE_RUNNING)
            recorder_end(m);
        return m->end;
    }
    if (m->end == MACHINE_RUNNING && m->reset_wanted && machine_reset(m, &err) < 0)
        machine_end(m, MACHINE_END_ERROR, 0, error_text(&err));
    if (m->end != MACHINE_RUNNING)
        return m->end;
    if (machine_stands(m)) {
        *ret_idle_ns = UINT64_MAX;
        return m->end;
    }
    worked = machine_turn(m, budget);
    machine_debug_tell(m);
    gclock_run(m->clock);
    if (worked || m->reset_wanted || m->end != MACHINE_RUNNING)
        return m->end;
    next = gclock_next(m->clock);
    now = gclock_now(m->clock);
    *ret_idle_ns = next == UINT64_MAX ? UINT64_MAX : next > now ? next - now : 0;
    return m->end;
}
