/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share about a machine. */
#ifndef MACHINE_MACHINE_INTERNAL_H
#define MACHINE_MACHINE_INTERNAL_H

#include "bus/clock.h"
#include "bus/gmem.h"
#include "bus/irq.h"
#include "bus/space.h"
#include "cpu/x86/cpu.h"
#include "device/device.h"
#include "machine/accel.h"
#include "machine/boot.h"
#include "machine/machine.h"
#include "machine/pvclock.h"

struct input_pointer;
struct machine;
struct pc;
struct recorder;
struct timeline;

/* A board: wires processors, memory and devices. */
struct board_ops {
    const char *name, *about;
    /* Makes the devices; m has memory, spaces, clock and processors already. */
    int (*create)(struct machine *m, struct error *err);
    void (*destroy)(struct machine *m);
    /* Bytes of guest memory that the board takes beyond RAM. */
    uint64_t (*extra_memory)(const struct machine_config *config);
    /* After all devices were reset: what firmware would set up, then the guest's kernel. */
    int (*boot)(struct machine *m, struct error *err);
    void (*power_button)(struct machine *m);
    /* How many pages of 4 KiB the guest is to keep for the host; -ENOTSUP without a driver. */
    int (*set_balloon)(struct machine *m, uint32_t pages, struct error *err);
    /* Every part with state of its own, beside processors: the devices and what lies below them. */
    struct device *(*part)(struct machine *m, unsigned index);
    /*
     * After all parts were loaded in order: the interrupt controllers among them, last to be loaded
     * again. Loading a device drives its lines, and controllers see edges that never were.
     */
    bool (*settles_last)(const struct machine *m, const struct device *part);
    /* All is loaded: config.generation is new to the guest, which is told. */
    void (*resumed)(struct machine *m);
    void (*stats)(struct machine *m, struct machine_stats *ret);
    void (*speaker)(struct machine *m, struct machine_speaker *ret);
    /* As machine_set_medium. */
    int (*set_medium)(struct machine *m, enum machine_medium which, struct block *block,
                      struct block **ret_old, struct error *err);
    /* As machine_plug_drive and machine_unplug_drive. */
    int (*plug_drive)(struct machine *m, struct block *block, struct error *err);
    int (*unplug_drive)(struct machine *m, const struct block *block, struct error *err);
    /* As machine_plug_nic and machine_unplug_nic. */
    int (*plug_nic)(struct machine *m, const struct machine_nic *nic, struct error *err);
    int (*unplug_nic)(struct machine *m, const struct netdev *netdev, struct error *err);
    /* The processor that makes the accesses that follow (its local APIC answers). */
    void (*select_cpu)(struct machine *m, unsigned cpu);
    /* Drive @index, NULL when there is none (any more); MACHINE_DRIVES places. */
    struct block *(*drive)(struct machine *m, unsigned index);
    /* Interrupt controllers and what they route where, as text. */
    void (*show_interrupts)(struct machine *m, struct str *out);
    /* Fills the members of a struct x86_host that are the board's. */
    void (*fill_host)(struct x86_host *host);
};
const struct board_ops *board_find(const char *name, struct error *err);
const struct board_ops *board_at(unsigned index);
extern const struct board_ops pc_board;

/* How the machine's threads are run; NULL members in stepped machines, where nobody else is. */
struct machine_host_ops {
    void (*lock)(struct machine *m);
    void (*unlock)(struct machine *m);
    /* Something happened (end, reset, attention): whoever runs the processors looks again. */
    void (*wake)(struct machine *m);
};

/* What debug.c knows of a debugger. */
struct machine_debug {
    void (*stopped)(void *opaque, unsigned cpu); /* NULL: there is none */
    void *opaque;
    bool held;  /* by it: no processor runs */
    bool event; /* to be told: processor cpu left with X86_EXIT_DEBUG */
    unsigned cpu;
    uint64_t run; /* processors that may run, a bit each */
};

struct machine {
    struct machine_config config; /* strings are copied, buffers and backends borrowed */
    char *append, *cpu_name;
    const struct board_ops *board;
    const struct accel_ops *accel;
    struct gmem *ram;
    struct space *space;
    struct ports *ports;
    struct gclock *clock;
    struct x86_vm *vm;
    struct pvclock pvclock;
    struct device *devices;                  /* owned, in order of creation */
    struct pc *pc;                           /* the board's own */
    struct display *display;                 /* of one of the devices; NULL: none */
    struct input *keyboard, *mouse, *tablet; /* the same */
    uint16_t pointer_x, pointer_y;           /* where it was last, as io/input.h has it */
    struct boot_entry entry;
    uint64_t rng;       /* state of the seeded generator */
    int64_t stood_from; /* ns since 1970 at which it began to stand; 0: it runs */

    enum machine_end end;
    int end_value;
    char end_text[ERROR_TEXT_MAX];
    bool reset_wanted, paused;
    struct machine_debug debug;
    struct trace *trace; /* base/trace.h; NULL: nobody */
    int running_cpu;     /* whose turn it is, -1: none */
    uint64_t resets;
    uint64_t exits[8];     /* by enum x86_exit */
    uint64_t instructions; /* retired by all processors when they last stopped running */

    struct timeline *timeline; /* recorded or replayed; NULL: neither */
    struct recorder *recorder; /* NULL: it is not recorded */

    const struct machine_host_ops *host;
    struct machine_threads *threads; /* machine_linux.c */
};

/* Adds a device to the list (takes it). */
void machine_add_device(struct machine *m, struct device *dev);
/* Ends the machine; the first end wins. Any caller with the lock. */
void machine_end(struct machine *m, enum machine_end end, int value, const char *text);
/* Asks for a system reset at the next instruction boundary (or ends it, by no_reboot). */
void machine_want_reset(struct machine *m, bool triple_fault);
/* Resets devices, processors and memory and loads the guest again. */
int machine_reset(struct machine *m, struct error *err);
/* snapshot.c: takes the state of config.saved in place of a reset. */
int machine_load_state(struct machine *m, struct error *err);
/* Wakes whoever runs the processors, and kicks them out of guest code. */
void machine_kick(struct machine *m);
/*
 * One turn of every processor that has work, at most @budget instructions each; called with the
 * lock, which is released while guest code runs. Returns false when none had work.
 */
bool machine_turn(struct machine *m, uint64_t budget);
/* Whether no processor may run now. */
static inline bool machine_stands(const struct machine *m)
{
    return m->paused || m->debug.held;
}
/*
 * Sets @why (paused, debug.held), one of the reasons for which the machine stands, and waits until
 * no processor runs; clears it, and when it was the last lets them go on.
 */
void machine_hold(struct machine *m, bool *why);
void machine_let_go(struct machine *m, bool *why);
/* Processor @c has stopped running after @instructions: counts and tells it. */
void machine_note_exit(struct machine *m, struct x86_cpu *c, enum x86_exit why,
                       uint64_t instructions);
/* counters.c: what processors, drives and networks have counted. */
void machine_counters(struct machine *m, bool json, struct str *out);
/* debug.c: processor @cpu left by an event for the debugger; and tells it, outside of turns. */
void machine_debug_event(struct machine *m, unsigned cpu);
void machine_debug_tell(struct machine *m);
/* machine_linux.c: ends the threads; CPU time of the processors so far. */
void machine_threads_free(struct machine *m);
uint64_t machine_threads_cpu_ns(const struct machine *m);
/* The host's clock: ns since 1970. */
int64_t machine_host_wall_ns(void);
/* Sets the real-time clock forward. */
void machine_move_wall(struct machine *m, int64_t ns);
/* Random bytes for the guest, and those that its host has for it. */
void machine_random(struct machine *m, void *bytes, size_t n);
void machine_host_random(struct machine *m, void *bytes, size_t n);
/* Nanoseconds of the clock outside (config.time_source). */
uint64_t machine_host_time(const struct machine *m);
/* Moves whichever pointer the guest listens to, by a step that machine_pointer has made. */
void machine_move_pointer(struct machine *m, const struct input_pointer *step);
/* timeline.c: sets bits of X86_ATTN_* for a processor and wakes whoever runs it; takes them back.
 * By the board, whose interrupt controllers say so. */
void machine_attention(struct machine *m, unsigned cpu, unsigned bits);
void machine_attention_clear(struct machine *m, unsigned cpu, unsigned bits);
/* replay.c: puts the seams of config.replay into the machine. */
int player_new(struct machine *m, struct error *err);

#endif
