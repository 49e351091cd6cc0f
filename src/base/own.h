/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership made visible: scope clean-ups and transfers. */
#ifndef BASE_OWN_H
#define BASE_OWN_H

#include <stdlib.h>
#include <unistd.h>

/* Runs @fn on the address of the variable when it leaves scope. */
#define cleanup(fn) __attribute__((cleanup(fn)))

static inline void free_ptr(void *address)
{
    free(*(void **)address);
}

static inline void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

#define cleanup_free cleanup(free_ptr)
#define cleanup_fd   cleanup(close_fd)

/* Takes the pointer out of a variable, leaving NULL: the caller now owns it. */
#define steal_ptr(address)                                                                         \
    ({                                                                                             \
        __typeof__(address) steal_from_ = (address);                                               \
        __typeof__(*steal_from_) stolen_ = *steal_from_;                                           \
        *steal_from_ = NULL;                                                                       \
        stolen_;                                                                                   \
    })

/* Takes the descriptor out of a variable, leaving -1. */
static inline int steal_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#endif
