/* SPDX-License-Identifier: Apache-2.0 */
/* The unpacking child from its birth to its work. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "image/unpack.h"

/* Nobody would stop a child whose parent is gone. */
static void die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
}

static int settle(const struct unpack_child *c, struct error *err)
{
    struct unpack_message m = {.kind = UNPACK_BORN};
    bool namespaced;
    int fd, r;

    namespaced =
        unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) == 0;
    m.code = namespaced ? 0 : -errno;
    r = unpack_send(c->socket, &m, -1);
    if (r == 0)
        r = unpack_receive(c->socket, &m, &fd);
    if (r < 0 || m.kind != UNPACK_MAPPED)
        _exit(1);
    if (namespaced)
        r = idmap_become_root(c->ids);
    die_with(c->parent); /* changing ids took that back */
    if (r < 0)
        return error_set_errno(err, r, "become root in a user namespace");
    return unpack_confine(c->root, c->path, (const int[]){c->file, c->socket}, 2, namespaced, err);
}

int unpack_child_run(const struct unpack_child *c)
{
    struct unpack u = {.root = c->root,
                       .file = c->file,
                       .socket = c->socket,
                       .hash = hash_new(),
                       .squash = c->ids == IDMAP_SINGLE};
    struct unpack_message m = {.kind = UNPACK_FAILED};
    struct error err = {0};

    die_with(c->parent);
    u.feed = mmap(NULL, sizeof *u.feed, PROT_READ | PROT_WRITE, MAP_SHARED, c->feed, 0);
    if (u.feed == MAP_FAILED || !u.hash)
        return 1;
    m.code = settle(c, &err);
    if (m.code == 0)
        return unpack_main(&u);
    snprintf(m.text, sizeof m.text, "%s", error_text(&err));
    unpack_send(c->socket, &m, -1);
    return 1;
}
