/* SPDX-License-Identifier: Apache-2.0 */
#include "build/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/decode.h"
#include "image/extract.h"
#include "image/unpack.h"

enum { STEP = 256 << 10, HEADER = 512 };

/* The archive as it is decompressed. */
struct flow {
    int fd;
    struct decoder *decoder;
    uint8_t in[STEP], out[STEP];
    const uint8_t *next; /* in @in */
    size_t left;
    bool end;
};

static ssize_t read_some(int fd, void *to, size_t n)
{
    ssize_t got;

    do
        got = read(fd, to, n);
    while (got < 0 && errno == EINTR);
    return got;
}

static int flow_begin(struct flow *f, int fd, struct error *err)
{
    ssize_t n;

    f->fd = fd;
    if (lseek(fd, 0, SEEK_SET) < 0 || (n = read_some(fd, f->in, sizeof(f->in))) < 0)
        return error_set_errno(err, -errno, "read the archive");
    f->next = f->in;
    f->left = (size_t)n;
    f->decoder = decoder_new(decode_detect_any(f->in, f->left));
    return f->decoder ? 0 : error_set_errno(err, -ENOMEM, "read the archive");
}

static int fill(void *opaque, const uint8_t **ret, size_t *ret_n, struct error *err)
{
    struct flow *f = opaque;

    for (;;) {
        size_t n = 0;
        int r;

        if (!f->left && !f->end) {
            ssize_t got = read_some(f->fd, f->in, sizeof(f->in));
            if (got < 0)
                return error_set_errno(err, -errno, "read the archive");
            f->next = f->in;
            f->left = (size_t)got;
            f->end = got == 0;
        }
        r = decoder_run(f->decoder, &f->next, &f->left, f->out, sizeof(f->out), &n, err);
        if (r < 0)
            return r;
        if (!n && f->end && !decoder_complete(f->decoder))
            return error_set(err, -EBADMSG, "the archive is cut off");
        if (n || f->end) {
            *ret = f->out;
            *ret_n = n;
            return 0;
        }
    }
}

static bool begins_as_tar(struct flow *f, int fd)
{
    const uint8_t *bytes;
    size_t n = 0;

    return flow_begin(f, fd, NULL) == 0 && fill(f, &bytes, &n, NULL) == 0 && n >= HEADER &&
           memcmp(bytes + 257, "ustar", 5) == 0;
}

/* By a child that can open nothing: these decoders had accidents. */
static bool recognised_by_child(struct flow *f, int fd)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(unpack_confine_stream(&fd, 1, NULL) < 0 || !begins_as_tar(f, fd));
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool archive_recognised(int fd)
{
    struct flow *f = mem_new(struct flow);
    uint8_t head[16];
    ssize_t n = f ? pread(fd, head, sizeof(head), 0) : -1;
    enum decode_kind kind = n > 0 ? decode_detect_any(head, (size_t)n) : DECODE_PLAIN;
    bool tar = n > 0 && (kind == DECODE_XZ || kind == DECODE_BZIP2 ? recognised_by_child(f, fd)
                                                                   : begins_as_tar(f, fd));

    if (f)
        decoder_free(f->decoder);
    free(f);
    return tar;
}

static int no_device(void *opaque, int dir, const char *name, mode_t mode, dev_t device,
                     struct error *err)
{
    return 1;
}

/* The child. What goes wrong it writes to @report. */
static int unpack_here(struct flow *f, int fd, int dir, int report)
{
    struct extract_options options = {.mknod = no_device};
    struct error err = {0};
    struct extract *x = NULL;
    int keep[] = {fd, report}, r;

    umask(0);
    r = unpack_confine(dir, NULL, keep, array_size(keep), false, &err);
    if (r == 0)
        r = flow_begin(f, fd, &err);
    if (r == 0 && !(x = extract_new(dir, &options)))
        r = error_set_errno(&err, -ENOMEM, "unpack");
    if (r == 0)
        r = extract_archive(x, fill, f, &err);
    if (r < 0)
        (void)!write(report, error_text(&err), strlen(error_text(&err)));
    return r < 0;
}

int archive_unpack(int fd, int dir, struct error *err)
{
    struct flow *f = mem_new(struct flow);
    char text[ERROR_TEXT_MAX] = "";
    int pair[2], status;
    ssize_t n;
    pid_t pid;

    if (!f || pipe2(pair, O_CLOEXEC) < 0) {
        free(f);
        return error_set_errno(err, f ? -errno : -ENOMEM, "unpack");
    }
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(unpack_here(f, fd, dir, pair[1]));
    }
    close(pair[1]);
    free(f);
    if (pid < 0) {
        close(pair[0]);
        return error_set_errno(err, -errno, "unpack");
    }
    n = read_some(pair[0], text, sizeof(text) - 1);
    close(pair[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 32)
            *c = '?';
    if (WIFEXITED(status) && !WEXITSTATUS(status))
        return 0;
    return error_set(err, -EBADMSG, "unpack: %s", n > 0 ? text : "the child ended unexpectedly");
}
