/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/jit/arena.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int arena_map(struct arena *a, size_t size, struct error *err)
{
    int fd = memfd_create("isola-jit", MFD_CLOEXEC), r = 0;
    void *w, *x;

    *a = (struct arena){0};
    if (fd < 0)
        return error_set_errno(err, -errno, "make memory for translated code");
    if (ftruncate(fd, (off_t)size) < 0)
        r = error_set_errno(err, -errno, "make %zu bytes for translated code", size);
    w = r ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    x = w == MAP_FAILED ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    if (!r && x == MAP_FAILED)
        r = error_set_errno(err, -errno, "map memory for translated code as executable");
    close(fd);
    if (r) {
        if (w != MAP_FAILED)
            munmap(w, size);
        return r;
    }
    *a = (struct arena){.write = w, .run = x, .size = size};
    return 0;
}

void arena_unmap(struct arena *a)
{
    if (!a->write)
        return;
    munmap(a->write, a->size);
    munmap((void *)(uintptr_t)a->run, a->size);
    *a = (struct arena){0};
}
