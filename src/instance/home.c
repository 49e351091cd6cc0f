/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/home.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "instance/crash.h"
#include "instance/engine.h"

int64_t home_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static const char *env_dir(const char *name)
{
    const char *v = getenv(name);

    return v && *v == '/' ? v : NULL; /* XDG: relative paths are to be ignored */
}

static char *default_data(void)
{
    const char *xdg = env_dir("XDG_DATA_HOME"), *user = env_dir("HOME");

    if (xdg)
        return str_format("%s/isola", xdg);
    if (geteuid() == 0)
        return strdup("/var/lib/isola");
    return user ? str_format("%s/.local/share/isola", user) : NULL;
}

static char *default_run(void)
{
    const char *xdg = env_dir("XDG_RUNTIME_DIR");
    unsigned uid = (unsigned)geteuid();
    char user[64];

    /* The rest of a socket's path takes 28 bytes. */
    if (xdg && strlen(xdg) + 28 < HOME_SOCKET_MAX && access(xdg, W_OK) == 0)
        return str_format("%s/isola", xdg);
    if (uid == 0)
        return strdup("/run/isola");
    snprintf(user, sizeof user, "/run/user/%u", uid);
    if (access(user, W_OK) == 0)
        return str_format("%s/isola", user);
    return str_format("/tmp/isola-%u", uid);
}

static int make_dirs(const char *path)
{
    cleanup_free char *copy = strdup(path);

    if (!copy)
        return -ENOMEM;
    for (char *p = copy + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (mkdir(copy, 0755) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
            return -errno;
        *p = '/';
    }
    return mkdir(copy, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* A directory of ours that nobody else can write to. */
static int check_private(const char *path, struct error *err)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return error_set_errno(err, -errno, "use %s", path);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
        return error_set(err, -EPERM,
                         "%s is not a directory that belongs to this user alone; remove it", path);
    return 0;
}

static int open_dirs(struct instances *home, struct error *err)
{
    cleanup_free char *list = str_format("%s/instances", home->data);
    int r;

    if (!list)
        return error_set(err, -ENOMEM, "out of memory");
    r = make_dirs(home->data);
    if (r == 0)
        r = make_dirs(list);
    if (r < 0 && r != -EROFS && r != -EACCES && r != -ENOSPC)
        return error_set_errno(err, r, "create %s", list);
    if (access(home->data, R_OK | X_OK) < 0)
        return error_set_errno(err, r < 0 ? r : -errno, "create %s", home->data);
    r = check_private(home->data, err);
    if (r < 0)
        return r;
    /* A missing runtime directory is an error only for those who need a socket. */
    if (make_dirs(home->run) == 0)
        return check_private(home->run, err);
    return 0;
}

struct instances *instances_open(const struct instances_config *config, struct error *err)
{
    static const struct instances_config none;
    struct instances *home = mem_new(struct instances);
    char *db = NULL;

    if (!config)
        config = &none;
    if (!home) {
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    crash_arm(false);
    home->data = config->data_dir ? strdup(config->data_dir) : default_data();
    home->run = config->runtime_dir ? strdup(config->runtime_dir) : default_run();
    home->program = strdup(config->program ? config->program : "/proc/self/exe");
    home->engines = config->engines;
    if (!home->data && !config->data_dir) {
        error_set(err, -ENOENT, "no place for instances: set HOME or XDG_DATA_HOME");
        goto fail;
    }
    if (!home->data || !home->run || !home->program) {
        error_set(err, -ENOMEM, "out of memory");
        goto fail;
    }
    if (open_dirs(home, err) < 0)
        goto fail;
    db = str_format("%s/store.db", home->data);
    home->store = db ? store_open(db, err) : NULL;
    free(db);
    if (!home->store)
        goto fail;
    return home;
fail:
    instances_close(home);
    return NULL;
}

void instances_close(struct instances *home)
{
    if (!home)
        return;
    store_close(home->store);
    free(home->data);
    free(home->run);
    free(home->program);
    free(home);
}

const char *instances_data_dir(const struct instances *home)
{
    return home->data;
}

const char *instances_runtime_dir(const struct instances *home)
{
    return home->run;
}

char *home_path(const struct instances *home, const char *id, const char *leaf)
{
    return str_format("%s/instances/%s%s%s", home->data, id, leaf ? "/" : "", leaf ? leaf : "");
}

char *home_new_socket(const struct instances *home, const char *id, struct error *err)
{
    char *path = str_format("%s/%.16s.sock", home->run, id);
    int r;

    if (!path) {
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    r = make_dirs(home->run);
    if (r < 0)
        error_set_errno(err, r, "create %s", home->run);
    else
        r = check_private(home->run, err);
    if (r == 0 && strlen(path) >= HOME_SOCKET_MAX)
        r = error_set(err, -ENAMETOOLONG, "the path of socket %s is too long; set XDG_RUNTIME_DIR",
                      path);
    if (r < 0) {
        free(path);
        return NULL;
    }
    return path;
}

int home_lock(const struct instances *home, const char *id, int *ret_fd, struct error *err)
{
    cleanup_free char *path = home_path(home, id, "lock");
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    cleanup_fd int fd = -1;

    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_set_errno(err, -errno, "open %s", path);
    if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
        return errno == EAGAIN || errno == EACCES
                   ? error_set(err, -EBUSY, "another process holds %s", path)
                   : error_set_errno(err, -errno, "lock %s", path);
    *ret_fd = steal_fd(&fd);
    return 0;
}

bool home_locked(const struct instances *home, const char *id)
{
    cleanup_free char *path = home_path(home, id, "lock");
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    cleanup_fd int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

    return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

int home_wait_unlocked(const struct instances *home, const char *id, int timeout_ms)
{
    struct timespec pause = {.tv_nsec = 2000000};

    for (int waited = 0; home_locked(home, id); waited += 2) {
        if (waited >= timeout_ms)
            return -ETIMEDOUT;
        nanosleep(&pause, NULL);
    }
    return 0;
}

int home_write_status(const struct instances *home, const char *id, const struct home_status *s,
                      struct error *err)
{
    cleanup_free char *path = home_path(home, id, "status");
    cleanup_fd int fd = path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    char buf[STATUS_SIZE];
    int n;

    if (fd < 0)
        return error_set_errno(err, path ? -errno : -ENOMEM, "write status of %.12s", id);
    n = snprintf(buf, sizeof buf, "isola-status 1\nrun %u\nsocket %s\n", s->run, s->socket);
    if (s->ended)
        n += snprintf(buf + n, sizeof buf - (size_t)n, "exit %d %lld\nreason %.400s\n",
                      s->exit_code, (long long)s->finished, s->reason);
    memset(buf + n, ' ', sizeof buf - (size_t)n);
    buf[sizeof buf - 1] = '\n';
    if (pwrite(fd, buf, sizeof buf, 0) != (ssize_t)sizeof buf)
        return error_set_errno(err, errno ? -errno : -EIO, "write status of %.12s", id);
    return 0;
}

int home_read_status(const struct instances *home, const char *id, struct home_status *ret)
{
    cleanup_free char *path = home_path(home, id, "status");
    cleanup_fd int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    struct home_status s = {0};
    char buf[STATUS_SIZE + 1];
    long long finished = 0;
    ssize_t n;
    char *at;

    if (fd < 0)
        return -ENOENT;
    n = read(fd, buf, STATUS_SIZE);
    if (n != STATUS_SIZE)
        return -EINVAL;
    buf[n] = 0;
    if (strlen(buf) != STATUS_SIZE ||
        sscanf(buf, "isola-status 1\nrun %u\nsocket %104[^\n]", &s.run, s.socket) < 1)
        return -EINVAL;
    at = strstr(buf, "\nexit ");
    if (at &&
        sscanf(at, "\nexit %d %lld\nreason %511[^\n]", &s.exit_code, &finished, s.reason) >= 2)
        s.ended = true;
    s.finished = finished;
    *ret = s;
    return 0;
}

/* What became of @i, whose supervisor is gone, goes into @i. */
static int settle(const struct instances *home, struct instance *i, struct error *err)
{
    struct home_status s;
    char *reason;

    if (home_read_status(home, i->id, &s) == 0 && s.run == i->run && s.ended) {
        reason = strdup(s.reason);
        i->state = LIFECYCLE_EXITED;
        i->exit_code = s.exit_code;
        i->finished = s.finished;
    } else {
        reason = strdup("its supervisor ended without a word (killed, or the host went down)");
        i->state = LIFECYCLE_DEAD;
        i->exit_code = INSTANCE_EXIT_KILLED;
        i->finished = home_now();
    }
    if (!reason)
        return error_set(err, -ENOMEM, "out of memory");
    free(i->reason);
    i->reason = reason;
    i->pid = 0;
    return 0;
}

void home_collect(const struct instances *home, const struct instance *i, bool remove)
{
    cleanup_free char *dir = home_path(home, i->id, NULL);
    const struct engine_place place = {
        .data_dir = home->data, .runtime_dir = home->run, .dir = dir, .id = i->id, .spec = i->spec};

    if (dir)
        engine_collect(home->engines, &place, remove);
}

int home_reconcile(struct instances *home, struct instance **i, struct error *err)
{
    for (int attempt = 0; attempt < 10; attempt++) {
        struct instance *fresh = NULL;
        enum lifecycle_state seen;
        unsigned run;
        int r;

        if (!lifecycle_supervised((*i)->state) || home_locked(home, (*i)->id))
            return 0;
        /* The lock is free, so the supervisor of this run has written all that it will. */
        r = store_find(home->store, (*i)->id, &fresh, err);
        if (r < 0)
            return r;
        run = (*i)->run;
        seen = fresh->state;
        instance_free(*i);
        *i = fresh;
        if (!lifecycle_supervised(seen) || fresh->run != run)
            continue;
        r = settle(home, fresh, err);
        if (r < 0 || store_readonly(home->store))
            return r;
        home_collect(home, fresh, false);
        crash_point();
        r = store_update(home->store, fresh, run, seen, err);
        crash_point();
        if (r == -ESTALE) { /* somebody else was faster: look again */
            fresh = NULL;
            r = store_find(home->store, (*i)->id, &fresh, err);
            if (r < 0)
                return r;
            instance_free(*i);
            *i = fresh;
            continue;
        }
        if (r == 0)
            event_append(home, "die", fresh, fresh->exit_code, fresh->reason);
        else if (r != -ENOENT)
            log_warn("instance", "record the end of %s: %s", fresh->name, error_text(err));
        return r == -ENOENT ? r : 0; /* a truth that can not be written is still told */
    }
    return 0;
}

static int create_file(int dir, const char *name)
{
    return openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

int home_make_dir(const struct instances *home, const char *id, int *ret_lock, struct error *err)
{
    cleanup_free char *path = home_path(home, id, NULL),
                      *temp = str_format("%s/instances/.new-%s", home->data, id);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    cleanup_fd int dir = -1, fd = -1, status = -1;
    char blank[STATUS_SIZE];

    if (!path || !temp)
        return error_set(err, -ENOMEM, "out of memory");
    if (mkdir(temp, 0700) < 0)
        return error_set_errno(err, -errno, "create %s", temp);
    crash_point();
    dir = open(temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fd = dir < 0 ? -1 : create_file(dir, "lock");
    if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) < 0)
        goto fail;
    crash_point();
    memset(blank, ' ', sizeof blank);
    status = create_file(dir, "status");
    errno = status < 0 ? errno : EIO;
    if (status < 0 || write(status, blank, sizeof blank) != (ssize_t)sizeof blank)
        goto fail;
    crash_point();
    if (rename(temp, path) < 0)
        goto fail;
    crash_point();
    *ret_lock = steal_fd(&fd);
    return 0;
fail:
    error_set_errno(err, -errno, "create %s", temp);
    if (dir >= 0) {
        unlinkat(dir, "status", 0);
        unlinkat(dir, "lock", 0);
    }
    rmdir(temp);
    return err ? err->code : -EIO;
}

/* Unlinks the files of directory @path whose names begin with @prefix. */
static void unlink_files(const char *path, const char *prefix)
{
    DIR *d = opendir(path);
    struct dirent *e;

    if (!d)
        return;
    while ((e = readdir(d)))
        if (str_starts(e->d_name, prefix) && strcmp(e->d_name, ".") != 0 &&
            strcmp(e->d_name, "..") != 0)
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
}

void home_remove_logs(const struct instances *home, const char *id)
{
    cleanup_free char *path = home_path(home, id, NULL);

    if (path)
        unlink_files(path, "console.log");
}

void home_remove_dir(const struct instances *home, const char *id)
{
    cleanup_free char *path = home_path(home, id, NULL);

    if (!path)
        return;
    unlink_files(path, "");
    crash_point();
    if (home_remove_tree(AT_FDCWD, path) < 0)
        log_warn("instance", "remove %s: %s", path, strerror(errno));
}

void home_sweep(struct instances *home)
{
    cleanup_free char *list = str_format("%s/instances", home->data);
    DIR *d = list ? opendir(list) : NULL;
    struct dirent *e;

    if (!d)
        return;
    while ((e = readdir(d))) {
        cleanup_fd int lock = -1;
        struct stat st;
        if (str_starts(e->d_name, ".new-")) {
            /* Whoever creates one takes milliseconds to rename it. */
            if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                st.st_mtime + 3600 < time(NULL))
                home_remove_dir(home, e->d_name);
            continue;
        }
        if (strlen(e->d_name) != INSTANCE_ID_LEN || store_has(home->store, e->d_name, NULL) != 0)
            continue;
        int r = home_lock(home, e->d_name, &lock, NULL);
        /* Its creator may have inserted the record while we took the lock. */
        if (r == -ENOENT || (r == 0 && store_has(home->store, e->d_name, NULL) == 0))
            home_remove_dir(home, e->d_name);
    }
    closedir(d);
}
