/* SPDX-License-Identifier: Apache-2.0 */
/* Maps of user namespaces (user_namespaces(7)). */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/container_internal.h"

extern char **environ;

static int write_file(pid_t pid, const char *name, const char *text)
{
    cleanup_free char *path = str_format("/proc/%d/%s", pid, name);
    cleanup_fd int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return path ? -errno : -ENOMEM;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int run_helper(const char *program, pid_t pid, const struct oci_id_maps *maps,
                      struct error *err)
{
    cleanup_free char **argv = mem_alloc(maps->n * 3 + 3, sizeof *argv);
    struct str numbers = {0};
    pid_t child;
    int status = 0;
    if (!argv)
        return error_set(err, -ENOMEM, "out of memory");
    /* All numbers in one text, each with its own NUL. */
    str_addf(&numbers, "%d", pid);
    str_add_n(&numbers, "", 1);
    for (size_t i = 0; i < maps->n; i++) {
        const uint32_t v[] = {maps->v[i].container_id, maps->v[i].host_id, maps->v[i].size};
        for (size_t k = 0; k < 3; k++) {
            str_addf(&numbers, "%u", v[k]);
            str_add_n(&numbers, "", 1);
        }
    }
    if (numbers.failed) {
        str_done(&numbers);
        return error_set(err, -ENOMEM, "out of memory");
    }
    argv[0] = (char *)program;
    char *p = numbers.data;
    for (size_t i = 1; i < maps->n * 3 + 2; i++, p += strlen(p) + 1)
        argv[i] = p;
    int r = -posix_spawnp(&child, program, NULL, NULL, argv, environ);
    str_done(&numbers);
    if (r < 0)
        return error_set_errno(err, r, "run %s, which maps more than the own id (package uidmap)",
                               program);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (status != 0)
        return error_set(err, -EPERM, "%s refused the ids: are they granted in /etc/sub%cid?",
                         program, program[3]);
    return 0;
}

static int write_map(pid_t pid, const char *name, const char *helper,
                     const struct oci_id_maps *maps, struct error *err)
{
    struct str text = {0};
    for (size_t i = 0; i < maps->n; i++)
        str_addf(&text, "%u %u %u\n", maps->v[i].container_id, maps->v[i].host_id, maps->v[i].size);
    int r = text.failed ? -ENOMEM : write_file(pid, name, str_text(&text));
    str_done(&text);
    if (r == -EPERM)
        return run_helper(helper, pid, maps, err);
    return r < 0 ? error_set_errno(err, r, "write %s of the user namespace", name) : 0;
}

int id_maps_write(pid_t pid, const struct oci_id_maps *uids, const struct oci_id_maps *gids,
                  struct error *err)
{
    bool own = geteuid() != 0 && uids->n == 1 && gids->n == 1 && uids->v[0].size == 1 &&
               gids->v[0].size == 1;
    /* The kernel lets a user map itself alone when setgroups is denied. */
    if (own)
        (void)write_file(pid, "setgroups", "deny");
    int r = write_map(pid, "gid_map", "newgidmap", gids, err);
    return r < 0 ? r : write_map(pid, "uid_map", "newuidmap", uids, err);
}
