/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/vm_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "cli/image_program.h"
#include "image/drive.h"
#include "instance/vm_image.h"

/* 1: the image is not here. */
static int make_drive(struct instances *home, const struct spec *spec, struct error *err)
{
    cleanup_free char *dir = str_format("%s/images", instances_data_dir(home)), *path = NULL,
                      *option = spec->container.platform
                                    ? str_format("--platform=%s", spec->container.platform)
                                    : NULL;
    const char *argv[5];
    struct image_store *store = dir ? image_store_open(dir, err) : NULL;
    struct image *image = NULL;
    int n = 0, r = store ? 0 : -EIO;

    if (r == 0) {
        r = image_find(store, spec->image, spec->container.platform, &image, err);
        path = r == 0 ? image_drive_path(store, image->id) : NULL;
    }
    image_free(image);
    image_store_close(store);
    if (r == -ENOENT)
        return 1;
    if (r < 0 || !path)
        return r < 0 ? r : error_set(err, -ENOMEM, "out of memory");
    if (access(path, R_OK) == 0)
        return 0;
    fprintf(stderr, "isola: making a drive of image %s (once)\n", spec->image);
    argv[n++] = "_drive";
    if (option)
        argv[n++] = option;
    argv[n++] = "--";
    argv[n++] = spec->image;
    argv[n] = NULL;
    r = image_program_run(argv, err);
    /* It has said why. */
    return r > 0 ? error_set(err, -EIO, "image %s could not be made a drive", spec->image) : r;
}

static bool is_newer(const char *path, const char *than)
{
    struct stat a, b;

    if (stat(path, &a) < 0 || stat(than, &b) < 0)
        return false;
    return a.st_mtim.tv_sec > b.st_mtim.tv_sec ||
           (a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec > b.st_mtim.tv_nsec);
}

/* Every directory of @path. */
static int make_dirs(char *path)
{
    for (char *p = path + 1;; p++) {
        char c = *p;
        if (c && c != '/')
            continue;
        *p = 0;
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return -errno;
        *p = c;
        if (!c)
            return 0;
    }
}

static int run_script(const char *script, const char *what, const char *dir, const char *last,
                      struct error *err)
{
    const char *const argv[] = {what, dir, last, NULL};
    int r = program_run(script, argv, err);

    return r > 0 ? error_set(err, -EIO, "the kernel for images could not be made") : r;
}

/* Debian's cloud kernel, and an initrd with the agent that this program understands. */
static int make_kernel(struct instances *home, struct error *err)
{
    cleanup_free char *dir = vm_image_kernel_dir(instances_data_dir(home)), *done = NULL,
                      *initrd = NULL, *lock_path = NULL, *agent = NULL, *script = NULL;
    cleanup_fd int lock = -1;
    int r;

    agent = program_find("isola-agent", "src/guest/isola-agent", err);
    script = agent ? program_find("guest", "src/guest/guest", err) : NULL;
    if (!script)
        return -ENOENT;
    if (dir) {
        done = str_format("%s/modules.done", dir);
        initrd = str_format("%s/agent.img", dir);
        lock_path = str_format("%s/lock", dir);
    }
    if (!done || !initrd || !lock_path)
        return error_set(err, -ENOMEM, "out of memory");
    if (access(done, F_OK) == 0 && is_newer(initrd, agent))
        return 0;
    r = make_dirs(dir);
    lock = r < 0 ? -1 : open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX) < 0)
        return error_set_errno(err, r < 0 ? r : -errno, "make %s", dir);
    r = run_script(script, "kernel", dir, "cloud", err);
    return r < 0 ? r : run_script(script, "agent", dir, agent, err);
}

int vm_parts_make(struct instances *home, const struct spec *spec, struct error *err)
{
    int r = make_drive(home, spec, err);

    if (r == 0 && !(spec->kernel && spec->initrd))
        r = make_kernel(home, err);
    return r < 0 ? r : 0;
}

int vm_parts_renew(struct instances *home, const char *ref, struct error *err)
{
    struct instance *i = NULL;
    int r = 0;

    if (instance_find(home, ref, &i, NULL) < 0)
        return 0;
    if (i->spec->wall == SPEC_WALL_VM && i->spec->image && !(i->spec->kernel && i->spec->initrd) &&
        !lifecycle_supervised(i->state))
        r = make_kernel(home, err);
    instance_free(i);
    return r;
}
