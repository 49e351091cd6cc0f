/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isola exec behind the VM wall: the supervisor has the agent run another process, and serves its
 * streams on a connection of its own, with a console of its own, as it serves the instance's.
 */
#ifndef INSTANCE_VM_EXEC_H
#define INSTANCE_VM_EXEC_H

#include "instance/vm_image.h"

struct vm_exec;

/* Takes @fd. One more in @list, until the process has ended and its client has heard so. */
int vm_exec_new(struct vm_exec **list, struct vm_image *image, const struct instance_exec *exec,
                int fd, struct error *err) error_must_check;
/* Forgets all of them. */
void vm_exec_free_all(struct vm_exec **list);

#endif
