/* SPDX-License-Identifier: Apache-2.0 */
/* The networks of a virtual machine: the first, and those of adapters that come and go. */
#ifndef INSTANCE_VM_NET_H
#define INSTANCE_VM_NET_H

#include "instance/engine.h"
#include "machine/machine.h"

struct vm_nic {
    struct netdev *netdev; /* NULL: none */
    uint8_t mac[6];
    bool leaving; /* the guest was asked to let go of it */
};

/* Zero is none. */
struct vm_nets {
    struct netdev *first; /* NULL with --network none */
    struct vm_nic more[SPEC_MORE_NICS];
    uint8_t *rom; /* of the first, which boots from the network; NULL: none */
    size_t rom_len;
};

/* Opens what the spec names. */
int vm_nets_open(struct vm_nets *n, const struct engine_env *env,
                 struct error *err) error_must_check;
/* Adds the adapters to @c; the first one's address is @mac. */
void vm_nets_configure(const struct vm_nets *n, const struct spec *spec, const uint8_t mac[6],
                       struct machine_config *c);
/*
 * Makes the adapters of the running @m follow the spec: plugs in what is new, and asks for what is
 * named no more. *changed is set when that does anything.
 */
int vm_nets_update(struct vm_nets *n, const struct engine_env *env, struct machine *m,
                   bool *changed, struct error *err) error_must_check;
/* The guest has let go of an adapter. */
void vm_nets_unplugged(struct vm_nets *n, struct netdev *netdev);
/* After the machine. */
void vm_nets_close(struct vm_nets *n);

#endif
