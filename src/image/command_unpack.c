/* SPDX-License-Identifier: Apache-2.0 */
/* _unpack: the child that unpacks a layer, with descriptors from its parent (layer.c). */
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "image/commands.h"
#include "image/unpack.h"

int command_unpack(struct program *p)
{
    struct unpack_child c = {.path = program_option(p, "path")};
    int ids = 0, parent = 0;
    const struct {
        const char *name;
        int *value;
        bool fd;
    } numbers[] = {{"root", &c.root, true}, {"file", &c.file, true}, {"socket", &c.socket, true},
                   {"feed", &c.feed, true}, {"ids", &ids, false},    {"parent", &parent, false}};

    for (size_t i = 0; i < array_size(numbers); i++) {
        const char *text = program_option(p, numbers[i].name);
        uint64_t n;
        if (!c.path || !text || str_parse_u64(text, &n) < 0 || n > INT_MAX) {
            program_complain(p, "only isola-image itself calls this");
            return PROGRAM_USAGE;
        }
        *numbers[i].value = (int)n;
        if (numbers[i].fd && fcntl((int)n, F_SETFD, FD_CLOEXEC) < 0)
            return PROGRAM_USAGE;
    }
    c.ids = (enum idmap_kind)ids;
    c.parent = parent;
    /* Without handlers of an ordinary exit: behind its walls none could do anything. */
    _exit(unpack_child_run(&c));
}
