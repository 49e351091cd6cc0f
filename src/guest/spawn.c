/* SPDX-License-Identifier: Apache-2.0 */
/* From settings to a running program. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/passwd.h"
#include "base/str.h"
#include "guest/agent.h"

/* A file of more is no password file. */
enum { FILE_MAX_BYTES = 4 << 20 };
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* What the child reports when it cannot become the program. */
struct failure {
    int code;
    char text[512];
};

/* All that the child needs, made before the fork. */
struct job {
    const struct spawn *spawn;
    char **argv, **env; /* NULL-terminated; strings are the settings' but for HOME */
    char *home;         /* "HOME=..." */
    const char *cwd, *path;
    struct passwd_user user;
    int report; /* pipe to the parent */
};

static char *read_text(const char *path)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    size_t len = 0;
    char *text;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES)
        return strdup("");
    text = mem_alloc(1, (size_t)st.st_size + 1);
    while (text && len < (size_t)st.st_size) {
        ssize_t n = read(fd, text + len, (size_t)st.st_size - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    return text;
}

/* All values of @key and NULL. New array. */
static char **values(const struct settings *s, const char *key, size_t more)
{
    char **list = mem_alloc(settings_count(s, key) + more + 1, sizeof *list);
    const char *at = NULL, *value;

    for (size_t n = 0; list && (value = settings_next(s, key, &at)); n++)
        list[n] = (char *)(uintptr_t)value;
    return list;
}

static int find_user(struct job *job, struct error *err)
{
    const struct settings *s = job->spawn->settings;
    cleanup_free char *passwd = read_text("/etc/passwd"), *group = read_text("/etc/group");
    cleanup_free char **groups = values(s, "group", 0);

    if (!passwd || !group || !groups)
        return error_set(err, -ENOMEM, "out of memory");
    return passwd_find(passwd, group, settings_get(s, "user"), (const char *const *)groups,
                       settings_count(s, "group"), &job->user, err);
}

static const char *get_env(char *const *env, const char *name)
{
    size_t n = strlen(name);

    for (; *env; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
            return *env + n + 1;
    return NULL;
}

static int prepare(struct job *job, struct error *err)
{
    const struct settings *s = job->spawn->settings;
    size_t n = settings_count(s, "env");

    job->argv = values(s, "arg", 0);
    job->env = values(s, "env", 1);
    job->cwd = settings_get(s, "cwd");
    if (!job->argv || !job->env)
        return error_set(err, -ENOMEM, "out of memory");
    if (!job->argv[0] || !job->argv[0][0])
        return error_set(err, -EINVAL, "no command");
    if (find_user(job, err) < 0)
        return err->code;
    if (!get_env(job->env, "HOME")) {
        job->home = str_format("HOME=%s", job->user.home);
        if (!job->home)
            return error_set(err, -ENOMEM, "out of memory");
        job->env[n] = job->home;
    }
    job->path = get_env(job->env, "PATH");
    if (!job->path)
        job->path = DEFAULT_PATH;
    return 0;
}

/* ---- in the child ---- */

static void __attribute__((noreturn, format(printf, 3, 4)))
fail(const struct job *job, int code, const char *format, ...)
{
    struct failure f = {.code = code};
    va_list args;

    va_start(args, format);
    vsnprintf(f.text, sizeof f.text, format, args);
    va_end(args);
    (void)!write(job->report, &f, sizeof f);
    _exit(code);
}

static void become_user(const struct job *job)
{
    gid_t groups[PASSWD_GROUPS_MAX];

    if (geteuid() != 0 && job->user.uid == geteuid()) /* a test */
        return;
    for (size_t i = 0; i < job->user.group_count; i++)
        groups[i] = job->user.groups[i];
    if (setgroups(job->user.group_count, groups) < 0 || setgid(job->user.gid) < 0 ||
        setuid(job->user.uid) < 0)
        fail(job, AGENT_EXIT_OWN, "become user %u: %s", job->user.uid, strerror(errno));
}

static void connect_streams(const struct job *job)
{
    const struct spawn *s = job->spawn;
    int fds[3];

    setsid();
    if (s->tty) {
        ioctl(s->stdio[0], TIOCSCTTY, 0);
        (void)!fchown(s->stdio[0], job->user.uid, (gid_t)-1);
    }
    /* None of them may be one of 0 to 2 while those are replaced. */
    for (int i = 0; i < 3; i++)
        fds[i] = fcntl(s->stdio[i], F_DUPFD_CLOEXEC, 3);
    for (int i = 0; i < 3; i++)
        if (fds[i] < 0 || dup2(fds[i], i) < 0)
            fail(job, AGENT_EXIT_OWN, "connect streams: %s", strerror(errno));
    for (int i = 0; i < 3 && !s->tty; i++) {
        struct stat st;
        /* Programs reopen /dev/stdout by name. */
        if (fstat(i, &st) == 0 && S_ISFIFO(st.st_mode))
            (void)!fchown(i, job->user.uid, (gid_t)-1);
    }
}

static void enter_directory(const struct job *job)
{
    const char *cwd = job->cwd && *job->cwd ? job->cwd : "/";

    if (chdir(cwd) < 0)
        fail(job, AGENT_EXIT_CANNOT, "enter directory %s: %s", cwd, strerror(errno));
}

static int exit_code(int error)
{
    return error == ENOENT || error == ENOTDIR ? AGENT_EXIT_NOT_FOUND : AGENT_EXIT_CANNOT;
}

static void __attribute__((noreturn)) execute(const struct job *job)
{
    const char *name = job->argv[0];
    int error = ENOENT;

    if (strchr(name, '/')) {
        execve(name, job->argv, job->env);
        error = errno;
        fail(job, exit_code(error), "execute %s: %s", name, strerror(error));
    }
    for (const char *p = job->path; *p;) {
        size_t n = strcspn(p, ":");
        char full[4096];
        snprintf(full, sizeof full, "%.*s%s%s", (int)n, p, n ? "/" : "./", name);
        execve(full, job->argv, job->env);
        if (exit_code(errno) == AGENT_EXIT_CANNOT)
            error = errno;
        p += n + (p[n] == ':');
    }
    if (error == ENOENT)
        fail(job, AGENT_EXIT_NOT_FOUND, "execute %s: not found in PATH", name);
    fail(job, AGENT_EXIT_CANNOT, "execute %s: %s", name, strerror(error));
}

static void set_limits(const struct job *job)
{
    const char *at = NULL, *text;

    while ((text = settings_next(job->spawn->settings, "rlimit", &at))) {
        long long soft, hard;
        int number;
        struct rlimit limit;
        if (sscanf(text, "%d %lld %lld", &number, &soft, &hard) != 3)
            fail(job, AGENT_EXIT_OWN, "set the limit \"%s\": it is not understood", text);
        limit.rlim_cur = soft < 0 ? RLIM_INFINITY : (rlim_t)soft;
        limit.rlim_max = hard < 0 ? RLIM_INFINITY : (rlim_t)hard;
        if (setrlimit((__rlimit_resource_t)number, &limit) < 0)
            fail(job, AGENT_EXIT_OWN, "set the limit %d: %s", number, strerror(errno));
    }
}

/*
 * Process 1 above the program: passes signals on, collects orphans, and ends as the program does
 * (128+n after signal n, as it cannot kill itself).
 */
static void __attribute__((noreturn)) be_init(pid_t program)
{
    sigset_t all;

    close_range(0, ~0u, 0); /* streams end when the program lets go of them */
    sigfillset(&all);
    for (;;) {
        siginfo_t info;
        int status, n = sigwaitinfo(&all, &info);
        pid_t pid;
        if (n > 0 && n != SIGCHLD)
            kill(program, n);
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            if (pid == program)
                _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
}

/* In the parent of the two this does not return. */
static void split_init(const struct job *job)
{
    sigset_t all;
    pid_t pid;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    pid = fork();
    if (pid < 0)
        fail(job, AGENT_EXIT_OWN, "make a process: %s", strerror(errno));
    if (pid > 0)
        be_init(pid);
}

static void __attribute__((noreturn)) child(const struct job *job)
{
    sigset_t none;

    for (int n = 1; n < NSIG; n++)
        signal(n, SIG_DFL);
    sigemptyset(&none);
    if (job->spawn->mount_proc &&
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        fail(job, AGENT_EXIT_OWN, "mount /proc: %s", strerror(errno));
    if (job->spawn->init)
        split_init(job);
    connect_streams(job);
    set_limits(job);
    umask(022);
    enter_directory(job);
    become_user(job);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execute(job);
}

/* ---- in the parent ---- */

static pid_t launch(struct job *job, int *ret_code, struct error *err)
{
    struct failure f;
    int fds[2];
    ssize_t n;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_set_errno(err, -errno, "make a pipe");
    job->report = fds[1];
    pid = fork();
    if (pid == 0)
        child(job);
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return error_set_errno(err, -errno, "make a process");
    }
    /* The end of the pipe is the beginning of the program. */
    do
        n = read(fds[0], &f, sizeof f);
    while (n < 0 && errno == EINTR);
    close(fds[0]);
    if (n != (ssize_t)sizeof f)
        return pid;
    f.text[sizeof f.text - 1] = 0;
    *ret_code = f.code;
    return error_set(err, -ENOEXEC, "%s", f.text);
}

pid_t spawn(const struct spawn *s, int *ret_code, struct error *err)
{
    struct job *job = mem_new(struct job);
    pid_t pid;
    int r;

    *ret_code = AGENT_EXIT_OWN;
    if (!job)
        return error_set(err, -ENOMEM, "out of memory");
    job->spawn = s;
    r = prepare(job, err);
    pid = r < 0 ? r : launch(job, ret_code, err);
    free(job->argv);
    free(job->env);
    free(job->home);
    free(job);
    return pid;
}
