/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "instance/home.h"
#include "instance/recording.h"
#include "machine/replay.h"

/* About a tenth of a second. */
enum { STRETCH = 5000000 };

static const char *end_name(enum machine_end end)
{
    static const char *const names[] = {[MACHINE_RUNNING] = "",
                                        [MACHINE_END_POWEROFF] = "poweroff",
                                        [MACHINE_END_RESET] = "reset",
                                        [MACHINE_END_DEBUG_EXIT] = "debug-exit",
                                        [MACHINE_END_PANIC] = "panic",
                                        [MACHINE_END_TRIPLE] = "triple-fault",
                                        [MACHINE_END_STOPPED] = "stopped",
                                        [MACHINE_END_ERROR] = "error"};
    return names[end];
}

static void output(void *opaque, enum replay_port port, const uint8_t *bytes, size_t n)
{
    const struct recording_play *play = opaque;

    if (play->output && (port == REPLAY_SERIAL || port == REPLAY_CONSOLE))
        play->output(play->opaque, bytes, n);
}

static int run(struct replay *r, const struct recording_play *play,
               const struct replay_about *about, struct recording_report *ret, struct error *err)
{
    int result = 0;

    if (play->at != UINT64_MAX)
        return replay_goto_time(r, play->at, err);
    while (result == 0 && replay_count(r) < play->to) {
        uint64_t left = play->to - replay_count(r);
        result = replay_run(r, left < STRETCH ? left : STRETCH, err);
        if (play->progress)
            play->progress(play->opaque, replay_count(r), about->last);
    }
    ret->reached_end = result == 1;
    return result < 0 ? result : 0;
}

static int play_bytes(const uint8_t *bytes, size_t len, const struct recording_play *play,
                      struct recording_report *ret, struct error *err)
{
    const struct replay_options options = {.output = output, .opaque = (void *)play};
    struct replay *r = replay_new(bytes, len, &options, err);
    struct replay_about about;
    int result = 0;

    if (!r)
        return err && err->code ? err->code : -EINVAL;
    replay_about(r, &about);
    *ret = (struct recording_report){.bytes = about.bytes,
                                     .event_bytes = about.event_bytes,
                                     .checkpoint_bytes = about.checkpoint_bytes,
                                     .checkpoints = about.checkpoints,
                                     .first = about.first,
                                     .last = about.last,
                                     .begin_ns = about.begin_ns,
                                     .end_ns = about.end_ns,
                                     .whole = about.whole,
                                     .end = end_name(about.end),
                                     .end_value = about.end_value};
    if (!play->only_look)
        result = run(r, play, &about, ret, err);
    ret->count = replay_count(r);
    ret->time_ns = replay_time(r);
    replay_free(r);
    return result;
}

int recording_play(struct instances *home, const struct recording_play *play,
                   struct recording_report *ret, struct error *err)
{
    cleanup_free char *path = recording_path(home->data, play->name, err);
    cleanup_fd int fd = -1;
    struct stat st;
    void *bytes;
    int r;

    *ret = (struct recording_report){.end = ""};
    if (!path)
        return -EINVAL;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return error_set(err, -ENOENT, "there is no recording %s", play->name);
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set_errno(err, -errno, "open recording %s", play->name);
    if (!S_ISREG(st.st_mode) || !st.st_size)
        return error_set(err, -EINVAL, "open recording %s: it is empty, or no file", play->name);
    bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return error_set_errno(err, -errno, "map recording %s", play->name);
    r = play_bytes(bytes, (size_t)st.st_size, play, ret, err);
    munmap(bytes, (size_t)st.st_size);
    return r < 0 ? error_wrap(err, r, "replay %s", play->name) : 0;
}
