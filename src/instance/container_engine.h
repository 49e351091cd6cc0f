/* SPDX-License-Identifier: Apache-2.0 */
/* The wall "container", for the room's other parts that act on its containers. */
#ifndef INSTANCE_CONTAINER_ENGINE_H
#define INSTANCE_CONTAINER_ENGINE_H

/* Where states of containers are (container.h): new, NULL: out of memory. */
char *container_state_dir(const char *runtime_dir);

#endif
