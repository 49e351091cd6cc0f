/* SPDX-License-Identifier: Apache-2.0 */
/* The file that a machine's life is recorded to. */
#ifndef INSTANCE_VM_RECORD_H
#define INSTANCE_VM_RECORD_H

#include "instance/engine.h"
#include "machine/record.h"

struct vm_record;

/* Makes the file of spec.record and a thread that writes it; *ret_sink is for the machine. */
int vm_record_open(const struct engine_env *env, struct vm_record **ret,
                   struct record_sink *ret_sink, struct error *err);
/* Waits until all is written, and closes. After the machine is gone. NULL is fine. */
void vm_record_close(struct vm_record *w);

#endif
