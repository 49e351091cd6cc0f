/* SPDX-License-Identifier: Apache-2.0 */
/* create, run and exec of isola-runtime, and the time until a process in the foreground ends. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "container/container_internal.h"
#include "container/runtime.h"

enum { RELAY_CHUNK = 16384, PRESERVE_MAX = 1024 };

static int connect_console(const char *path, int *ret, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path)
        return 0;
    if (strlen(path) >= sizeof address.sun_path)
        return error_set(err, -ENAMETOOLONG, "console socket %s: longer than %zu bytes", path,
                         sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return error_set_errno(err, -errno, "connect to the console socket %s", path);
    *ret = steal_fd(&fd);
    return 0;
}

/* By rename, so that a reader never sees half a number. */
static int write_pid_file(const char *path, pid_t pid, struct error *err)
{
    if (!path)
        return 0;
    cleanup_free char *fresh = str_format("%s.%d.new", path, getpid());
    cleanup_free char *text = str_format("%d", pid);
    cleanup_fd int fd =
        fresh ? open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644) : -1;
    if (!text || fd < 0 || write(fd, text, strlen(text)) < 0 || rename(fresh, path) < 0)
        return error_set_errno(err, -errno, "write the pid file %s", path);
    return 0;
}

/* Descriptors to be kept must be there, and nothing of ours among them. */
static int preserve(const struct command *c, unsigned *ret, struct error *err)
{
    long long n;
    if (!command_number(c, "preserve-fds", &n) || n < 0 || n > PRESERVE_MAX)
        return error_set(err, -EINVAL, "--preserve-fds: a number up to %d was expected",
                         PRESERVE_MAX);
    const char *listen = getenv("LISTEN_FDS");
    long long listening = listen ? atoi(listen) : 0;
    n += listening > 0 && listening < PRESERVE_MAX ? listening : 0;
    for (int fd = 3; fd < 3 + n; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags < 0 || (c->rt->log_fd == fd))
            return error_set(err, -EBADF, "--preserve-fds: descriptor %d is not open in the caller",
                             fd);
        fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC);
    }
    *ret = (unsigned)n;
    return 0;
}

static int find_bundle(const struct command *c, char **ret, struct error *err)
{
    const char *given = command_value(c, "bundle");
    bool absolute = given && *given == '/';
    cleanup_free char *cwd = absolute ? NULL : getcwd(NULL, 0);
    cleanup_free char *path = absolute          ? strdup(given)
                              : !cwd            ? NULL
                              : given && *given ? str_format("%s/%s", cwd, given)
                                                : strdup(cwd);
    if (!path)
        return error_set(err, -ENOMEM, "bundle: no memory, or no working directory");
    *ret = steal_ptr(&path);
    return 0;
}

static bool wants_init(const struct oci_config *config)
{
    const char *value = oci_config_annotation(config, "io.isola.init");
    return value && strcmp(value, "true") == 0;
}

static int make(struct command *c, bool foreground, bool at_once, struct container **ret,
                bool *ret_terminal, struct error *err)
{
    cleanup_free char *bundle = NULL, *path = NULL;
    cleanup_fd int console = -1;
    struct oci_config *config = NULL;
    struct container_options o = {.id = c->args[0],
                                  .state_dir = c->rt->root,
                                  .stdio = {0, 1, 2},
                                  .systemd_cgroup = c->rt->systemd_cgroup,
                                  .rootless = c->rt->rootless,
                                  .best_effort =
                                      c->rt->best_effort || command_has(c, "best-effort"),
                                  .no_pivot = command_has(c, "no-pivot"),
                                  .no_new_keyring = command_has(c, "no-new-keyring"),
                                  .at_once = at_once,
                                  .warn = runtime_warn,
                                  .opaque = c->rt};
    c->rt->best_effort = o.best_effort;
    int r = preserve(c, &o.preserve_fds, err);
    r = r < 0 ? r : find_bundle(c, &bundle, err);
    if (r == 0) {
        path = str_format("%s/config.json", bundle);
        r = path ? oci_config_read(path, &config, err) : error_set(err, -ENOMEM, "out of memory");
    }
    if (r < 0)
        return r;
    *ret_terminal = config->process.terminal;
    r = connect_console(command_value(c, "console-socket"), &console, err);
    if (r == 0 && config->process.terminal && console < 0 && !foreground)
        r = error_set(err, -EINVAL,
                      "process.terminal is set: detached, --console-socket is needed");
    o.bundle = bundle;
    o.console_socket = console;
    o.reap = wants_init(config);
    struct winsize size;
    if (foreground && config->process.terminal && ioctl(0, TIOCGWINSZ, &size) == 0) {
        o.rows = size.ws_row;
        o.columns = size.ws_col;
    }
    r = r < 0 ? r : container_create(config, &o, ret, err);
    oci_config_free(config);
    return r;
}

int verb_create(struct command *c, struct error *err)
{
    struct container *made = NULL;
    bool terminal;
    int r = make(c, false, false, &made, &terminal, err);
    if (r < 0)
        return error_wrap(err, r, "create container %s", c->args[0]);
    r = write_pid_file(command_value(c, "pid-file"), container_pid(made), err);
    if (r < 0)
        container_delete(made, true, NULL);
    container_free(made);
    return r;
}

/* --- in the foreground --- */

struct relay {
    int master; /* -1: the process has our own descriptors */
    struct termios before;
    bool raw;
};

static void relay_begin(struct relay *r)
{
    struct termios t;
    if (r->master < 0 || tcgetattr(0, &t) < 0)
        return;
    r->before = t;
    cfmakeraw(&t);
    r->raw = tcsetattr(0, TCSANOW, &t) == 0;
}

static void relay_end(struct relay *r)
{
    if (r->raw)
        tcsetattr(0, TCSANOW, &r->before);
}

static bool copy(int from, int to)
{
    char buffer[RELAY_CHUNK];
    ssize_t n = read(from, buffer, sizeof buffer);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    for (ssize_t done = 0; done < n;) {
        ssize_t w = write(to, buffer + done, (size_t)(n - done));
        if (w < 0 && errno != EINTR)
            return false;
        done += w > 0 ? w : 0;
    }
    return true;
}

static void pass_signal(int signals, int pidfd, const struct relay *relay)
{
    struct signalfd_siginfo info;
    struct winsize size;
    if (read(signals, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGWINCH && relay->master >= 0) {
        if (ioctl(0, TIOCGWINSZ, &size) == 0)
            ioctl(relay->master, TIOCSWINSZ, &size);
    } else if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGPIPE && info.ssi_signo != SIGURG) {
        syscall(SYS_pidfd_send_signal, pidfd, (int)info.ssi_signo, NULL, 0);
    }
}

/* Passes signals and terminal bytes until the process ends; its exit code. */
static int wait_for(pid_t pid, int pidfd, int signals, int master)
{
    struct relay relay = {.master = master};
    struct pollfd p[4] = {{.fd = pidfd, .events = POLLIN},
                          {.fd = signals, .events = POLLIN},
                          {.fd = master, .events = POLLIN},
                          {.fd = master >= 0 ? 0 : -1, .events = POLLIN}};
    int status = 0;
    relay_begin(&relay);
    for (;;) {
        if (poll(p, 4, -1) < 0 && errno != EINTR)
            break;
        if (p[1].revents)
            pass_signal(signals, pidfd, &relay);
        if (p[2].revents && !copy(master, 1))
            p[2].fd = -1;
        if (p[3].revents && !copy(0, master))
            p[3].fd = -1;
        if (p[0].revents)
            break;
    }
    /* What it wrote last; another process may hold the terminal open, so without waiting. */
    while (p[2].fd >= 0 && poll(&p[2], 1, 0) > 0 && (p[2].revents & POLLIN) && copy(master, 1))
        ;
    relay_end(&relay);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Blocked from here on, so that none is lost; init gives the container a mask of its own. */
static int open_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    return signalfd(-1, &all, SFD_CLOEXEC);
}

int verb_run(struct command *c, struct error *err)
{
    bool detach = command_has(c, "detach"), terminal;
    bool console = command_has(c, "console-socket");
    struct container *made = NULL;
    cleanup_fd int signals = detach ? -1 : open_signals();
    int r = make(c, !detach && !console, true, &made, &terminal, err);
    if (r < 0)
        return error_wrap(err, r, "run container %s", c->args[0]);
    pid_t pid = made->pid; /* may have ended already */
    r = write_pid_file(command_value(c, "pid-file"), pid, err);
    r = r < 0 ? r : container_start(made, err);
    if (r < 0) {
        container_delete(made, true, NULL);
        container_free(made);
        return error_wrap(err, r, "run container %s", c->args[0]);
    }
    if (!detach) {
        cleanup_fd int master = container_console(made);
        r = wait_for(pid, container_pidfd(made), signals, master);
        struct error late = {0};
        if (!command_has(c, "keep") && container_delete(made, true, &late) < 0)
            runtime_warn(c->rt, error_text(&late));
    }
    container_free(made);
    return r;
}

/* --- exec --- */

/* The base process with what the command line changes; lists are new, @scratch owns them. */
struct overrides {
    struct oci_process p;
    const char **env, **args;
    uint32_t *gids;
};

static int parse_user(const char *text, struct oci_process *p, struct error *err)
{
    unsigned long uid, gid;
    char *end;
    if (!text)
        return 0;
    uid = strtoul(text, &end, 10);
    gid = p->gid;
    if (end > text && *end == ':') {
        const char *group = end + 1;
        gid = strtoul(group, &end, 10);
        if (end == group)
            end = (char *)"?";
    }
    if (end == text || *end || uid > UINT32_MAX - 1 || gid > UINT32_MAX - 1)
        return error_set(err, -EINVAL, "--user %s: UID or UID:GID in numbers was expected", text);
    p->uid = (uint32_t)uid;
    p->gid = (uint32_t)gid;
    return 0;
}

static int add_repeated(struct command *c, struct overrides *o, struct error *err)
{
    const struct runtime_option *options = c->verb->options;
    o->env = mem_alloc(o->p.env.n + c->repeated_count + 1, sizeof *o->env);
    o->gids = mem_alloc(o->p.additional_gid_count + c->repeated_count + 1, sizeof *o->gids);
    if (!o->env || !o->gids)
        return error_set(err, -ENOMEM, "out of memory");
    if (o->p.env.n)
        memcpy(o->env, o->p.env.v, o->p.env.n * sizeof *o->env);
    o->p.env.v = o->env;
    if (o->p.additional_gid_count)
        memcpy(o->gids, o->p.additional_gids, o->p.additional_gid_count * sizeof *o->gids);
    o->p.additional_gids = o->gids;
    for (unsigned i = 0; i < c->repeated_count; i++) {
        const char *value = c->repeated[i].value;
        switch (options[c->repeated[i].option].letter) {
        case 'e':
            o->env[o->p.env.n++] = value;
            break;
        case 'g':
            o->gids[o->p.additional_gid_count++] = (uint32_t)strtoul(value, NULL, 10);
            break;
        case 'c': {
            int cap = oci_capability_number(value);
            if (cap < 0)
                return error_set(err, -EINVAL, "--cap %s: no capability of Linux", value);
            uint64_t bit = UINT64_C(1) << cap;
            o->p.capabilities.set = true;
            o->p.capabilities.bounding |= bit;
            o->p.capabilities.effective |= bit;
            o->p.capabilities.permitted |= bit;
            break;
        }
        default:
            break;
        }
    }
    return 0;
}

static int apply_overrides(struct command *c, struct overrides *o, struct error *err)
{
    const char *cwd = command_value(c, "cwd");
    size_t n = (size_t)c->arg_count - 1;
    if (!n)
        return error_set(err, -EINVAL, "exec: a command or --process is needed");
    o->args = mem_alloc(n + 1, sizeof *o->args);
    if (!o->args)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        o->args[i] = c->args[i + 1];
    o->p.args = (struct oci_strings){o->args, n};
    o->p.terminal = command_has(c, "tty");
    o->p.rows = o->p.columns = 0;
    if (cwd && *cwd != '/')
        return error_set(err, -EINVAL, "--cwd %s is not absolute", cwd);
    o->p.cwd = cwd ? cwd : o->p.cwd;
    o->p.no_new_privileges |= command_has(c, "no-new-privs");
    if (command_has(c, "apparmor"))
        o->p.apparmor_profile = command_value(c, "apparmor");
    if (command_has(c, "process-label"))
        o->p.selinux_label = command_value(c, "process-label");
    int r = parse_user(command_value(c, "user"), &o->p, err);
    return r < 0 ? r : add_repeated(c, o, err);
}

static int read_process(const char *path, struct oci_config **ret, struct error *err)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set_errno(err, -errno, "read %s", path);
    if (!S_ISREG(st.st_mode) || st.st_size > 64 << 20)
        return error_set(err, -EFBIG, "read %s: no file, or over 64 MiB", path);
    cleanup_free char *text = malloc((size_t)st.st_size + 1);
    ssize_t n = text ? read(fd, text, (size_t)st.st_size) : -1;
    if (n < 0)
        return error_set_errno(err, text ? -errno : -ENOMEM, "read %s", path);
    int r = oci_config_parse_process(text, (size_t)n, ret, err);
    return r < 0 ? error_wrap(err, r, "%s", path) : 0;
}

static int exec_process(struct command *c, struct container *target,
                        const struct oci_process *process, struct error *err)
{
    bool detach = command_has(c, "detach");
    cleanup_fd int console = -1, pidfd = -1, master = -1;
    struct container_exec x = {.process = process,
                               .stdio = {0, 1, 2},
                               .cgroup = command_value(c, "cgroup"),
                               .best_effort = c->rt->best_effort || command_has(c, "best-effort"),
                               .warn = runtime_warn,
                               .opaque = c->rt};
    pid_t pid;
    int r = preserve(c, &x.preserve_fds, err);
    r = r < 0 ? r : connect_console(command_value(c, "console-socket"), &console, err);
    if (r == 0 && process->terminal && console < 0 && detach)
        r = error_set(err, -EINVAL, "a detached process with a terminal needs --console-socket");
    if (r < 0)
        return r;
    struct winsize size;
    if (process->terminal && console < 0 && ioctl(0, TIOCGWINSZ, &size) == 0) {
        x.rows = size.ws_row;
        x.columns = size.ws_col;
    }
    x.console_socket = console;
    cleanup_fd int signals = detach ? -1 : open_signals();
    r = container_exec(target, &x, &pid, &pidfd, &master, err);
    if (r == 0)
        r = write_pid_file(command_value(c, "pid-file"), pid, err);
    if (r < 0 || detach)
        return r;
    return wait_for(pid, pidfd, signals, master);
}

int verb_exec(struct command *c, struct error *err)
{
    struct container *target = NULL;
    struct oci_config *given = NULL;
    const struct oci_config *base = NULL;
    struct overrides o = {0};
    const char *file = command_value(c, "process");
    int r = runtime_load(c, &target, err);
    if (r == 0 && file)
        r = read_process(file, &given, err);
    else if (r == 0)
        r = container_config(target, &base, err);
    if (r == 0) {
        o.p = file ? given->process : base->process;
        if (file)
            o.p.terminal |= command_has(c, "tty");
        else
            r = apply_overrides(c, &o, err);
    }
    r = r < 0 ? r : exec_process(c, target, &o.p, err);
    if (r < 0)
        error_wrap(err, r, "exec in container %s", c->args[0]);
    free(o.env);
    free(o.args);
    free(o.gids);
    oci_config_free(given);
    container_free(target);
    return r;
}
