/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The accelerator interface: what runs a machine's processors. The architectural state lives in
 * struct x86_cpu; an accelerator that keeps it elsewhere (KVM) moves it there and back in get_state
 * / set_state.
 */
#ifndef MACHINE_ACCEL_H
#define MACHINE_ACCEL_H

#include "base/str.h"
#include "cpu/x86/cpu.h"

struct accel_ops {
    const char *name;  /* "interp", "jit", "kvm" */
    const char *about; /* one line for doctor and help */
    bool threads;      /* true: one thread per processor; false: all run in turn on one thread */
    /* 0, or a negative errno with the reason why this host cannot run it. */
    int (*probe)(struct error *err);
    int (*create_vm)(struct x86_vm *vm, struct error *err); /* NULL: nothing to do */
    void (*destroy_vm)(struct x86_vm *vm);
    int (*create_vcpu)(struct x86_cpu *c, struct error *err); /* NULL: nothing to do */
    enum x86_exit (*run)(struct x86_cpu *c, uint64_t budget); /* without the machine lock */
    void (*kick)(struct x86_cpu *c);                        /* makes run return soon; any thread */
    int (*get_state)(struct x86_cpu *c, struct error *err); /* NULL: state is always current */
    int (*set_state)(struct x86_cpu *c, struct error *err);
    /*
     * The machine rests for most of a while: memory that only makes it fast goes to @give_back,
     * which drops what is in it; it reads as anything after. Processors are stopped. NULL: none.
     */
    void (*rest)(struct x86_vm *vm, void (*give_back)(void *memory, size_t bytes));
    void (*memory_changed)(struct x86_vm *vm); /* the space map changed; processors are stopped */
    /* Appends what the engine counted for @c, as members of a JSON object ("steps":1,...), for
     * inspection. NULL: nothing. */
    void (*counters)(const struct x86_cpu *c, struct str *out);
};

/* Of builds for x86-64 Linux. */
extern const struct accel_ops accel_jit;

/* The accelerator called @name; NULL or "auto" picks the best that works here. NULL with @err set.
 */
const struct accel_ops *accel_find(const char *name, struct error *err);
/* The accelerators in order, NULL after the last. */
const struct accel_ops *accel_at(unsigned index);

#endif
