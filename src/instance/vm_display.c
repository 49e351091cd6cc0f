/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/vm_display.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "instance/listen.h"
#include "instance/vm_rom.h"
#include "instance/vm_screen.h"

/* Debian's package seabios. */
#define VGA_BIOS "/usr/share/seabios/vgabios-stdvga.bin"

/* Where the server finds its listening socket. */
enum { LISTEN_FD = 3 };

int vm_display_configure(struct vm_display *d, const struct spec *spec, struct machine_config *c,
                         struct error *err)
{
    size_t len = 0;
    int r;

    if (!spec_vm_vga(spec))
        return 0;
    /* Where there is none: a kernel that is loaded directly needs none. */
    r = vm_rom_read(VGA_BIOS, &d->rom, &len, err);
    if (r < 0)
        return r;
    c->vga = true;
    c->vga_text = spec_vm_text_display(spec);
    c->vga_rom = d->rom;
    c->vga_rom_len = len;
    return 0;
}

/* ---- the VNC server ---- */

/* A program of Isola's: beside this one, or where it is installed. New; NULL: not there. */
static char *find_program(const char *name)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *path = NULL;

    if (n > 0) {
        self[n] = 0;
        *(strrchr(self, '/') + 1) = 0;
        path = str_format("%s%s", self, name);
        if (path && access(path, X_OK) == 0)
            return path;
        free(path);
    }
    path = str_format("%s/%s", ISOLA_LIBEXECDIR, name);
    if (path && access(path, X_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static int spawn_server(const char *program, const struct engine_env *env, int listener,
                        struct error *err)
{
    pid_t parent = getpid(), child = fork();

    if (child < 0)
        return error_set_errno(err, -errno, "start the VNC server");
    if (child == 0) {
        /* It goes with the supervisor, also when that has gone meanwhile. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        if (listener == LISTEN_FD)
            fcntl(listener, F_SETFD, 0);
        else
            dup2(listener, LISTEN_FD);
        execl(program, "isola-vnc", env->data_dir, env->runtime_dir, env->id, (char *)NULL);
        _exit(127);
    }
    return 0;
}

static int start_server(const struct engine_env *env, struct error *err)
{
    cleanup_free char *program = find_program("isola-vnc");
    cleanup_fd int listener = -1;
    const char *path;
    uint16_t port;
    int r = spec_parse_display(env->spec->display, &path, &port, err);

    if (r <= 0)
        return r;
    if (!program)
        return error_set(err, -ENOENT,
                         "isola-vnc is neither beside isola nor in %s; it is built where "
                         "libvncserver is, Debian package libvncserver-dev",
                         ISOLA_LIBEXECDIR);
    listener = path ? listen_unix(path, err) : listen_loopback(port, err);
    return listener < 0 ? listener : spawn_server(program, env, listener, err);
}

int vm_display_start(struct vm_display *d, const struct engine_env *env, struct machine *m,
                     struct error *err)
{
    int r = 0;

    if (!machine_display(m))
        return 0;
    d->screen = vm_screen_new(env->loop, m, err);
    if (!d->screen)
        return -ENOMEM;
    if (env->spec->display && !env->again)
        r = start_server(env, err);
    return r < 0 ? error_wrap(err, r, "--display %s", env->spec->display) : 0;
}

void vm_display_stop(struct vm_display *d)
{
    vm_screen_free(d->screen);
    d->screen = NULL;
}

void vm_display_done(struct vm_display *d)
{
    free(d->rom);
    d->rom = NULL;
}
