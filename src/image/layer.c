/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers on their way in, the parent's side of unpack.h. A thread per job answers the child, so
 * that a transfer need not look after it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "image/idmap.h"
#include "image/unpack.h"
#include "image/writer_internal.h"

enum { DEPTH_MAX = 4096 };

struct layer_job {
    struct image_store *store;
    char path[STORE_PATH_MAX]; /* tmp/layer-... */
    char media_type[128];
    struct digest blob; /* "": known only when the writer has committed */
    pid_t child;
    int socket, root, file; /* root: the directory that is filled */
    int feed_fd;
    struct unpack_feed *feed; /* in feed_fd */
    pthread_t thread;
    bool threaded;
    /* Written by the thread. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done, failed, bye;
    struct unpack_message result;
    struct error error;
};

bool layer_exists(struct image_store *s, const char *chain, uint64_t *ret_size)
{
    struct layer layer;

    if (layer_read(s, chain, &layer, NULL) < 0)
        return false;
    if (ret_size)
        *ret_size = layer.size;
    return true;
}

int layer_read(struct image_store *s, const char *chain, struct layer *ret, struct error *err)
{
    char path[STORE_PATH_MAX], text[4096];
    struct layer layer = {0};
    cleanup_fd int fd = -1;
    json_t *o;
    ssize_t n;

    if (!store_digest_ok(chain))
        return error_set(err, -EINVAL, "\"%.100s\" is not a chain id", chain);
    store_layer_path(chain, "layer.json", path);
    fd = openat(s->fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, -errno, "open layer %s", chain);
    n = read(fd, text, sizeof text);
    o = n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;
    if (!o)
        return error_set(err, -EIO, "layer %s is damaged; prune removes it", chain);
    snprintf(layer.blob.text, DIGEST_TEXT, "%s", store_entry_text(o, "blob"));
    snprintf(layer.diff_id.text, DIGEST_TEXT, "%s", store_entry_text(o, "diff_id"));
    snprintf(layer.chain.text, DIGEST_TEXT, "%s", chain);
    snprintf(layer.media_type, sizeof layer.media_type, "%s", store_entry_text(o, "media_type"));
    layer.blob_size = (uint64_t)json_integer_value(json_object_get(o, "blob_size"));
    layer.size = (uint64_t)json_integer_value(json_object_get(o, "size"));
    json_decref(o);
    *ret = layer;
    return 0;
}

static void claim_path(const char *chain, char path[STORE_PATH_MAX])
{
    snprintf(path, STORE_PATH_MAX, "tmp/claim-%.64s", chain + strlen("sha256:"));
}

int layer_claim(struct image_store *s, const char *chain, bool wait, int *ret_fd, struct error *err)
{
    char path[STORE_PATH_MAX];

    if (!store_digest_ok(chain))
        return error_set(err, -EINVAL, "\"%.100s\" is not a chain id", chain);
    claim_path(chain, path);
    for (;;) {
        struct stat st, named;
        cleanup_fd int fd = -1;
        int r = store_lock(s, path, LOCK_EX | (wait ? 0 : LOCK_NB), &fd, err);
        if (r < 0)
            return r == -EWOULDBLOCK ? -EBUSY : r;
        if (layer_exists(s, chain, NULL)) {
            unlinkat(s->fd, path, 0);
            return error_set(err, -EEXIST, "layer %s is here", chain);
        }
        /* The last holder may have removed the file after this process opened it. */
        if (fstat(fd, &st) == 0 && fstatat(s->fd, path, &named, 0) == 0 &&
            st.st_ino == named.st_ino) {
            *ret_fd = steal_fd(&fd);
            return 0;
        }
    }
}

/*
 * Whether @dir lies in the directory that is filled: every step up is a real parent, so a
 * descriptor of something else never arrives there.
 */
static bool is_inside(const struct layer_job *job, int dir)
{
    struct stat root, st;
    cleanup_fd int at = fcntl(dir, F_DUPFD_CLOEXEC, 0);

    if (at < 0 || fstat(job->root, &root) < 0)
        return false;
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        int up;
        if (fstat(at, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_dev != root.st_dev)
            return false;
        if (st.st_ino == root.st_ino)
            return true;
        up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        close(steal_fd(&at));
        at = up;
        if (at < 0)
            return false;
    }
    return false;
}

static int make_node(const struct layer_job *job, const struct unpack_message *m, int dir)
{
    mode_t type = m->mode & S_IFMT;

    if (geteuid() != 0)
        return 1;
    if (dir < 0 || (type != S_IFCHR && type != S_IFBLK) || !m->text[0] || strchr(m->text, '/') ||
        strcmp(m->text, ".") == 0 || strcmp(m->text, "..") == 0 || !is_inside(job, dir))
        return -EINVAL;
    if (mknodat(dir, m->text, type | (m->mode & 07777), m->device) == 0)
        return 0;
    /* A host that is confined itself cannot make devices; containers get /dev from the runtime. */
    return errno == EPERM ? 1 : -errno;
}

/* True when the message ends the conversation. */
static bool handle(struct layer_job *job, const struct unpack_message *m, int fd)
{
    struct unpack_message reply = {.kind = UNPACK_MADE};

    switch (m->kind) {
    case UNPACK_MKNOD:
        reply.code = make_node(job, m, fd);
        return unpack_send(job->socket, &reply, -1) < 0;
    case UNPACK_DONE:
        job->result = *m;
        job->done = true;
        return false;
    case UNPACK_BYE:
        job->bye = true;
        return true;
    case UNPACK_FAILED:
        error_set(&job->error, m->code < 0 ? m->code : -EIO, "%s", m->text);
        job->failed = true;
        return true;
    case UNPACK_BORN:
    case UNPACK_MAPPED:
    case UNPACK_MADE:
    case UNPACK_LOWER:
    case UNPACK_FINISH:
        break;
    }
    error_set(&job->error, -EPROTO, "the unpacking child broke the protocol");
    job->failed = true;
    return true;
}

static void *serve(void *opaque)
{
    struct layer_job *job = opaque;
    bool end = false;

    while (!end) {
        struct unpack_message m;
        int fd, r = unpack_receive(job->socket, &m, &fd);
        pthread_mutex_lock(&job->lock);
        if (r < 0) {
            if (!job->failed)
                error_set(&job->error, -EIO, "the unpacking child ended unexpectedly");
            job->failed = end = true;
        } else {
            end = handle(job, &m, fd);
        }
        pthread_cond_broadcast(&job->changed);
        pthread_mutex_unlock(&job->lock);
        if (fd >= 0)
            close(fd);
    }
    return NULL;
}

/* Waits for the child's namespaces and maps its ids. */
static int settle(struct layer_job *job, enum idmap_kind kind, struct error *err)
{
    struct unpack_message m;
    int fd, r = unpack_receive(job->socket, &m, &fd);

    if (r < 0 || m.kind != UNPACK_BORN)
        return error_set(err, -EIO, "the unpacking child ended unexpectedly");
    if (m.code < 0 && kind != IDMAP_ROOT)
        return error_set_errno(err, m.code < 0 ? m.code : -EIO,
                               "unpacking without root needs user namespaces, which this host "
                               "refuses; allow them (sysctl user.max_user_namespaces, "
                               "kernel.unprivileged_userns_clone) or use root");
    if (m.code < 0)
        log_info("image", "no user namespaces: unpacking behind chroot and seccomp only");
    r = m.code < 0 ? 0 : idmap_write(job->child, kind, err);
    if (r < 0)
        return r;
    m = (struct unpack_message){.kind = UNPACK_MAPPED};
    r = unpack_send(job->socket, &m, -1);
    return r < 0 ? error_set_errno(err, r, "start the unpacking child") : 0;
}

/* What is executed as a child: isola-image, which this is or which is beside it. "": neither. */
static void find_program(char path[PATH_MAX])
{
    static const char name[] = "isola-image";
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - sizeof name);
    char *leaf;

    path[max_of(n, (ssize_t)0)] = 0;
    leaf = strrchr(path, '/');
    leaf = leaf ? leaf + 1 : path;
    if (str_starts(leaf, name)) { /* " (deleted)" may follow after an upgrade */
        snprintf(path, PATH_MAX, "/proc/self/exe");
        return;
    }
    memcpy(leaf, name, sizeof name);
    if (access(path, X_OK) < 0)
        path[0] = 0;
}

/*
 * Becomes the child. By execution, so that neither locks that another thread held at the fork nor
 * secrets of registries are in it; programs without isola-image beside them, such as tests, go on
 * with what they have. Between fork and execve only what signal handlers may call.
 */
static void become_child(const struct unpack_child *c, const char *program, char *const argv[])
{
    const int fds[] = {c->root, c->file, c->socket, c->feed};

    if (!*program)
        _exit(unpack_child_run(c));
    for (size_t i = 0; i < array_size(fds); i++)
        fcntl(fds[i], F_SETFD, 0);
    execv(program, argv);
    _exit(1);
}

static int fork_child(struct layer_job *job, const struct unpack_child *c, struct error *err)
{
    char program[PATH_MAX], text[6][32];
    cleanup_free char *path = str_format("--path=%s", c->path);
    char *argv[10] = {(char *)(uintptr_t) "isola-image", (char *)(uintptr_t) "_unpack"};
    const struct {
        const char *name;
        int value;
    } numbers[] = {{"root", c->root}, {"file", c->file},    {"socket", c->socket},
                   {"feed", c->feed}, {"ids", (int)c->ids}, {"parent", c->parent}};

    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    find_program(program);
    for (size_t i = 0; i < array_size(numbers); i++) {
        snprintf(text[i], sizeof text[i], "--%s=%d", numbers[i].name, numbers[i].value);
        argv[2 + i] = text[i];
    }
    argv[2 + array_size(numbers)] = path;
    job->child = fork();
    if (job->child == 0)
        become_child(c, program, argv);
    return job->child < 0 ? error_set_errno(err, -errno, "start a child") : 0;
}

static int start_child(struct layer_job *job, struct error *err)
{
    cleanup_free char *path = str_format("%s/%s/diff", job->store->dir, job->path);
    struct unpack_child c = {.root = job->root,
                             .file = job->file,
                             .feed = job->feed_fd,
                             .ids = idmap_kind(),
                             .parent = getpid(),
                             .path = path};
    int pair[2], r;

    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set_errno(err, -errno, "make a socket");
    c.socket = pair[1];
    r = fork_child(job, &c, err);
    close(pair[1]);
    job->socket = pair[0];
    if (r == 0)
        r = settle(job, c.ids, err);
    if (r < 0)
        return r;
    r = -pthread_create(&job->thread, NULL, serve, job);
    job->threaded = r == 0;
    return r < 0 ? error_set_errno(err, r, "start a thread") : 0;
}

/* Memory that the child can write but not shrink. */
static int make_feed(struct layer_job *job, struct error *err)
{
    void *feed;

    job->feed_fd = memfd_create("isola-feed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (job->feed_fd < 0 || ftruncate(job->feed_fd, sizeof *job->feed) < 0 ||
        fcntl(job->feed_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return error_set_errno(err, -errno, "share memory");
    feed = mmap(NULL, sizeof *job->feed, PROT_READ | PROT_WRITE, MAP_SHARED, job->feed_fd, 0);
    if (feed == MAP_FAILED)
        return error_set_errno(err, -errno, "share memory");
    job->feed = feed;
    return 0;
}

/* tmp/layer-PID-N/diff; diff belongs to whoever is root for the layer, which is this user. */
static int make_staging(struct layer_job *job, struct error *err)
{
    char diff[STORE_PATH_MAX + 8];

    for (unsigned i = 0; i < 100000; i++) {
        snprintf(job->path, sizeof job->path, "tmp/layer-%d-%u", (int)getpid(), i);
        if (mkdirat(job->store->fd, job->path, 0700) == 0)
            break;
        if (errno != EEXIST) {
            job->path[0] = 0;
            return error_set_errno(err, -errno, "create a directory in %s/tmp", job->store->dir);
        }
    }
    snprintf(diff, sizeof diff, "%s/diff", job->path);
    if (mkdirat(job->store->fd, diff, 0755) < 0 ||
        fchmodat(job->store->fd, diff, 0755, 0) < 0) /* whatever the umask is */
        return error_set_errno(err, -errno, "create %s/%s", job->store->dir, diff);
    job->root = openat(job->store->fd, diff, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return job->root < 0 ? error_set_errno(err, -errno, "open %s/%s", job->store->dir, diff) : 0;
}

/* Opens the bytes anew: the child must not be able to write them. */
static int open_bytes(struct layer_job *job, const char *digest, struct blob_writer *w,
                      uint64_t *ret_size, struct error *err)
{
    char path[64];

    if (!w) {
        snprintf(job->blob.text, DIGEST_TEXT, "%s", digest);
        return blob_open(job->store, digest, &job->file, ret_size, err);
    }
    job->blob = w->digest;
    snprintf(path, sizeof path, "/proc/self/fd/%d", w->fd);
    job->file = open(path, O_RDONLY | O_CLOEXEC);
    *ret_size = w->offset;
    return job->file < 0 ? error_set_errno(err, -errno, "open the blob for reading") : 0;
}

static void release(struct layer_job *job)
{
    int status;

    if (job->child > 0)
        kill(job->child, SIGKILL);
    if (job->socket >= 0)
        shutdown(job->socket, SHUT_RDWR);
    if (job->threaded)
        pthread_join(job->thread, NULL);
    while (job->child > 0 && waitpid(job->child, &status, 0) < 0 && errno == EINTR)
        ;
    if (job->path[0] && store_discard(job->store, job->path, NULL) == 0)
        store_sweep_as_owner(job->store);
    if (job->feed)
        munmap(job->feed, sizeof *job->feed);
    if (job->feed_fd >= 0)
        close(job->feed_fd);
    if (job->socket >= 0)
        close(job->socket);
    if (job->root >= 0)
        close(job->root);
    if (job->file >= 0)
        close(job->file);
    pthread_mutex_destroy(&job->lock);
    pthread_cond_destroy(&job->changed);
    free(job);
}

int layer_begin(struct image_store *s, const char *digest, struct blob_writer *w,
                const char *media_type, struct layer_job **ret, struct error *err)
{
    struct layer_job *job = mem_new(struct layer_job);
    uint64_t size = 0;
    int r;

    if (!job)
        return error_set(err, -ENOMEM, "out of memory");
    job->store = s;
    job->socket = job->root = job->file = job->feed_fd = -1;
    pthread_mutex_init(&job->lock, NULL);
    pthread_cond_init(&job->changed, NULL);
    snprintf(job->media_type, sizeof job->media_type, "%s", media_type ? media_type : "");
    r = make_feed(job, err);
    if (r == 0)
        r = open_bytes(job, digest, w, &size, err);
    if (r == 0)
        r = make_staging(job, err);
    if (r == 0)
        r = start_child(job, err);
    if (r < 0) {
        release(job);
        return r;
    }
    unpack_feed(job->feed, size, !w);
    *ret = job;
    return 0;
}

void layer_more(struct layer_job *job, uint64_t available, bool end)
{
    unpack_feed(job->feed, available, end);
}

void layer_blob_is(struct layer_job *job, const struct digest *digest)
{
    job->blob = *digest;
}

uint64_t layer_progress(const struct layer_job *job)
{
    return atomic_load(&job->feed->taken);
}

bool layer_failed(struct layer_job *job)
{
    bool failed;

    pthread_mutex_lock(&job->lock);
    failed = job->failed;
    pthread_mutex_unlock(&job->lock);
    return failed;
}

void layer_abort(struct layer_job *job)
{
    if (job)
        release(job);
}

/* Waits until the thread has set @flag, or failed. */
static int wait_for(struct layer_job *job, const bool *flag, struct error *err)
{
    int r = 0;

    pthread_mutex_lock(&job->lock);
    while (!*flag && !job->failed)
        pthread_cond_wait(&job->changed, &job->lock);
    if (!*flag) {
        r = job->error.code;
        error_set(err, r, "%s", job->error.text);
    }
    pthread_mutex_unlock(&job->lock);
    return r;
}

int layer_wait(struct layer_job *job, struct error *err)
{
    int r = wait_for(job, &job->done, err);

    return r < 0 ? error_wrap(err, r, "unpack layer") : 0;
}

/* Gives the child the layers below, when it has a use for them. */
static int send_lowers(struct layer_job *job, const struct layer *parents, size_t count,
                       struct error *err)
{
    struct unpack_message m = {.kind = UNPACK_LOWER};
    int r = 0;

    for (size_t i = job->result.result.implicit ? count : 0; i-- > 0 && r == 0;) {
        char path[STORE_PATH_MAX];
        cleanup_fd int fd = -1;
        store_layer_path(parents[i].chain.text, "diff", path);
        fd = openat(job->store->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return error_set_errno(err, -errno, "open the layer below, %s", parents[i].chain.text);
        r = unpack_send(job->socket, &m, fd);
    }
    m.kind = UNPACK_FINISH;
    if (r == 0)
        r = unpack_send(job->socket, &m, -1);
    return r < 0 ? error_set_errno(err, r, "finish unpacking") : 0;
}

static int write_info(struct layer_job *job, const struct layer *layer, struct error *err)
{
    const struct extract_result *x = &job->result.result;
    char path[STORE_PATH_MAX + 16];
    cleanup_free char *text = NULL;
    cleanup_fd int fd = -1;
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "diff_id",
                          layer->diff_id.text, "blob", layer->blob.text, "media_type",
                          layer->media_type, "blob_size", (json_int_t)layer->blob_size, "size",
                          (json_int_t)layer->size, "entries", (json_int_t)x->entries,
                          "devices_left_out", (json_int_t)x->devices_left, "attributes_left_out",
                          (json_int_t)x->xattrs_left, "owners_left_out", (json_int_t)x->squashed);

    text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (!text)
        return error_set(err, -ENOMEM, "out of memory");
    snprintf(path, sizeof path, "%s/layer.json", job->path);
    fd = openat(job->store->fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        return error_set_errno(err, -errno, "write %s/%s", job->store->dir, path);
    return 0;
}

/* Gives the directory its name; another process may have been faster with the same. */
static int publish(struct layer_job *job, const struct layer *layer, struct error *err)
{
    char path[STORE_PATH_MAX];

    store_layer_path(layer->chain.text, NULL, path);
    if (renameat(job->store->fd, job->path, job->store->fd, path) == 0) {
        job->path[0] = 0;
        claim_path(layer->chain.text, path);
        unlinkat(job->store->fd, path, 0);
        return 0;
    }
    if (layer_exists(job->store, layer->chain.text, NULL))
        return 0;
    return error_set_errno(err, -errno, "store layer %s", layer->chain.text);
}

static int check_diff_id(const struct layer *layer, const char *want, struct error *err)
{
    if (want && strcmp(layer->diff_id.text, want) != 0)
        return error_set(err, -EBADMSG, "the uncompressed layer has digest %s instead of %s",
                         layer->diff_id.text, want);
    return 0;
}

static const char *default_type(const struct layer_job *job)
{
    uint8_t magic[4] = {0};

    if (pread(job->file, magic, sizeof magic, 0) < 2)
        return "application/vnd.oci.image.layer.v1.tar";
    if (magic[0] == 0x1f && magic[1] == 0x8b)
        return "application/vnd.oci.image.layer.v1.tar+gzip";
    if (memcmp(magic, "\x28\xb5\x2f\xfd", 4) == 0)
        return "application/vnd.oci.image.layer.v1.tar+zstd";
    return "application/vnd.oci.image.layer.v1.tar";
}

int layer_finish(struct layer_job *job, const struct layer *parents, size_t parent_count,
                 const char *diff_id, struct layer *ret, struct error *err)
{
    struct layer layer = {.blob = job->blob};
    struct stat st;
    int r = wait_for(job, &job->done, err);

    if (r == 0) {
        layer.diff_id = job->result.diff_id;
        layer.size = job->result.result.bytes;
        layer_chain(parent_count ? parents[parent_count - 1].chain.text : NULL, layer.diff_id.text,
                    &layer.chain);
        snprintf(layer.media_type, sizeof layer.media_type, "%s",
                 job->media_type[0] ? job->media_type : default_type(job));
        r = check_diff_id(&layer, diff_id, err);
    }
    if (r == 0 && (!store_digest_ok(layer.blob.text) || fstat(job->file, &st) < 0))
        r = error_set(err, -EINVAL, "the blob of the layer is not known");
    if (r == 0) {
        layer.blob_size = (uint64_t)st.st_size;
        r = send_lowers(job, parents, parent_count, err);
    }
    if (r == 0)
        r = wait_for(job, &job->bye, err);
    if (r == 0)
        r = write_info(job, &layer, err);
    if (r == 0)
        r = publish(job, &layer, err);
    release(job);
    if (r == 0)
        *ret = layer;
    return r < 0 ? error_wrap(err, r, "unpack layer") : 0;
}
