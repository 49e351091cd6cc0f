/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/vm_firmware.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"

enum { FIRMWARE_MAX = 16 << 20, PAGE = 4096 };

static const struct known {
    const char *name, *package, *rom, *flash;
} known[] = {
    {"bios", "seabios", "/usr/share/seabios/bios-256k.bin", NULL},
    {"uefi", "ovmf", "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
};

static const struct known *find(const char *name)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].name, name) == 0)
            return &known[i];
    return NULL;
}

/* Maps the whole of @fd, which must be a file of a size that firmware can have. */
static int map(int fd, const char *path, bool write, uint8_t **ret, size_t *ret_len,
               struct error *err)
{
    struct stat st;
    void *data;

    if (fstat(fd, &st) < 0)
        return error_set_errno(err, -errno, "open %s", path);
    if (!S_ISREG(st.st_mode) || !st.st_size || st.st_size > FIRMWARE_MAX || st.st_size % PAGE)
        return error_set(err, -EINVAL,
                         "%s is no firmware: it is not a file of at most 16 MiB in whole pages of "
                         "4 KiB",
                         path);
    data = mmap(NULL, (size_t)st.st_size, write ? PROT_READ | PROT_WRITE : PROT_READ,
                write ? MAP_SHARED : MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return error_set_errno(err, -errno, "map %s", path);
    *ret = data;
    *ret_len = (size_t)st.st_size;
    return 0;
}

static int open_file(const char *path, const char *package, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 && errno == ENOENT && package)
        return error_set(err, -ENOENT, "%s is missing: install the package %s", path, package);
    return fd < 0 ? error_set_errno(err, -errno, "open %s", path) : fd;
}

static int map_file(const char *path, const char *package, uint8_t **ret, size_t *ret_len,
                    struct error *err)
{
    cleanup_fd int fd = open_file(path, package, err);

    return fd < 0 ? fd : map(fd, path, false, ret, ret_len, err);
}

/* A copy of @from as @to, complete or not at all. */
static int copy_file(const char *from, const char *package, const char *to, struct error *err)
{
    cleanup_free char *new = str_format("%s.new", to);
    cleanup_fd int in = open_file(from, package, err), out = -1;
    char buffer[65536];
    ssize_t n;

    if (in < 0)
        return in;
    if (!new)
        return error_set(err, -ENOMEM, "out of memory");
    out = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0)
        return error_set_errno(err, -errno, "create %s", new);
    while ((n = read(in, buffer, sizeof buffer)) > 0)
        if (write(out, buffer, (size_t)n) != n)
            return error_set_errno(err, -errno, "write %s", new);
    if (n < 0 || fsync(out) < 0 || rename(new, to) < 0)
        return error_set_errno(err, -errno, "copy %s to %s", from, to);
    return 0;
}

static int open_flash(const struct engine_env *env, const struct known *k, struct vm_firmware *f,
                      struct error *err)
{
    cleanup_free char *path = str_format("%s/uefi-vars.fd", env->dir);
    cleanup_fd int fd = -1;

    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    if (access(path, F_OK) < 0) {
        int r = copy_file(k->flash, k->package, path, err);
        if (r < 0)
            return r;
    }
    fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return error_set_errno(err, -errno, "open %s", path);
    return map(fd, path, true, &f->flash, &f->flash_len, err);
}

int vm_firmware_open(const struct engine_env *env, struct vm_firmware *ret, struct error *err)
{
    const char *name = spec_vm_firmware(env->spec);
    const struct known *k = name ? find(name) : NULL;
    struct vm_firmware f = {0};
    int r;

    if (!name)
        return 0;
    r = map_file(k ? k->rom : name, k ? k->package : NULL, &f.rom, &f.rom_len, err);
    if (r == 0 && k && k->flash)
        r = open_flash(env, k, &f, err);
    if (r < 0) {
        vm_firmware_done(&f);
        return error_wrap(err, r, "firmware %s", name);
    }
    *ret = f;
    return 0;
}

void vm_firmware_done(struct vm_firmware *f)
{
    if (f->rom)
        munmap(f->rom, f->rom_len);
    if (f->flash)
        munmap(f->flash, f->flash_len);
    *f = (struct vm_firmware){0};
}
