/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/container_health.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/own.h"
#include "container/container.h"
#include "instance/container_exec.h"

#define DEFAULT_NS (30ull * 1000000000)
enum { DEFAULT_RETRIES = 3 };

enum health { HEALTH_STARTING, HEALTH_HEALTHY, HEALTH_UNHEALTHY };
static const char *const names[] = {"starting", "healthy", "unhealthy"};

struct container_health {
    const struct engine_env *env;
    struct container *container;
    const char **words;
    const char *shell[4];
    uint64_t interval, timeout, start_until;
    unsigned retries, failures;
    enum health state;
    bool paused;
    struct loop_timer *next, *late;
    int pidfd; /* of the check that runs, -1 */
    struct loop_fd *watch;
};

static void write_state(struct container_health *h)
{
    cleanup_free char *path = str_format("%s/health", h->env->dir);
    cleanup_fd int fd =
        path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;

    if (fd < 0 || write(fd, names[h->state], strlen(names[h->state])) < 0)
        log_warn("health", "write %s: %s", path ? path : "state", strerror(errno));
}

static void set_state(struct container_health *h, enum health state)
{
    char action[64];

    if (h->state == state)
        return;
    h->state = state;
    write_state(h);
    snprintf(action, sizeof action, "health_status: %s", names[state]);
    h->env->event(h->env->opaque, action);
}

static void judge(struct container_health *h, bool well)
{
    if (well) {
        h->failures = 0;
        set_state(h, HEALTH_HEALTHY);
    } else if (h->state != HEALTH_STARTING || loop_now_ns() >= h->start_until) {
        /* Failures while it starts do not count. */
        if (++h->failures >= h->retries)
            set_state(h, HEALTH_UNHEALTHY);
    }
    loop_timer_set(h->next, loop_now_ns() + h->interval);
}

static void on_exit_of_check(void *opaque, int fd, unsigned events)
{
    struct container_health *h = opaque;
    siginfo_t info = {0};
    bool well = waitid(P_PIDFD, (id_t)fd, &info, WEXITED) == 0 && info.si_code == CLD_EXITED &&
                info.si_status == 0;

    loop_timer_clear(h->late);
    loop_remove_fd(h->watch);
    h->watch = NULL;
    close(steal_fd(&h->pidfd));
    judge(h, well);
}

/* The check takes too long: its end, which comes now, is a failure. */
static void too_late(void *opaque)
{
    struct container_health *h = opaque;

    if (h->pidfd >= 0)
        pidfd_send_signal(h->pidfd, SIGKILL, NULL, 0);
}

static void check(void *opaque)
{
    struct container_health *h = opaque;
    const struct engine_place place = {.data_dir = h->env->data_dir,
                                       .runtime_dir = h->env->runtime_dir,
                                       .dir = h->env->dir,
                                       .id = h->env->id,
                                       .spec = h->env->spec};
    const struct instance_exec exec = {.words = h->words ? h->words : h->shell};
    struct error err = {0};
    int r;

    if (h->paused || h->pidfd >= 0) {
        loop_timer_set(h->next, loop_now_ns() + h->interval);
        return;
    }
    r = container_exec_in(&place, h->container, &exec, (const int[]){-1, -1, -1}, 0, 0, &h->pidfd,
                          NULL, &err);
    if (r == 0) {
        h->watch = loop_add_fd(h->env->loop, h->pidfd, LOOP_READ, on_exit_of_check, h, &err);
        r = h->watch ? 0 : err.code;
    }
    if (r < 0) {
        log_debug("health", "%s", error_text(&err));
        judge(h, false);
        return;
    }
    loop_timer_set(h->late, loop_now_ns() + h->timeout);
}

/* What the user said before what the image says. False: nothing to check. */
static bool configure(struct container_health *h, const struct image_config *image)
{
    const struct spec_container *c = &h->env->spec->container;
    const struct image_health *of_image = image ? image->health : NULL;
    uint64_t start = c->health_start_period;

    if (c->no_health)
        return false;
    if (c->health_cmd && strcmp(c->health_cmd, "none") != 0) {
        h->shell[0] = "/bin/sh";
        h->shell[1] = "-c";
        h->shell[2] = c->health_cmd;
    } else if (!c->health_cmd && of_image && of_image->test && of_image->test[0]) {
        char **test = of_image->test;
        if (strcmp(test[0], "CMD-SHELL") == 0 && test[1]) {
            h->shell[0] = "/bin/sh";
            h->shell[1] = "-c";
            h->shell[2] = test[1];
        } else if (strcmp(test[0], "CMD") == 0 && test[1]) {
            h->words = (const char **)test + 1;
        } else {
            return false;
        }
    } else {
        return false;
    }
    h->interval = c->health_interval                   ? c->health_interval
                  : of_image && of_image->interval > 0 ? (uint64_t)of_image->interval
                                                       : DEFAULT_NS;
    h->timeout = c->health_timeout                   ? c->health_timeout
                 : of_image && of_image->timeout > 0 ? (uint64_t)of_image->timeout
                                                     : DEFAULT_NS;
    h->retries = c->health_retries                   ? (unsigned)c->health_retries
                 : of_image && of_image->retries > 0 ? (unsigned)of_image->retries
                                                     : DEFAULT_RETRIES;
    if (!start && of_image && of_image->start_period > 0)
        start = (uint64_t)of_image->start_period;
    h->start_until = loop_now_ns() + start;
    return true;
}

int container_health_start(const struct engine_env *env, const struct image_config *image,
                           struct container *c, struct container_health **ret, struct error *err)
{
    struct container_health *h = mem_new(struct container_health);
    cleanup_free char *path = str_format("%s/health", env->dir);

    if (!h || !path) {
        free(h);
        return error_set(err, -ENOMEM, "out of memory");
    }
    h->env = env;
    h->container = c;
    h->pidfd = -1;
    if (!configure(h, image)) {
        unlink(path); /* of an earlier run */
        free(h);
        return 0;
    }
    h->next = loop_timer_new(env->loop, check, h);
    h->late = loop_timer_new(env->loop, too_late, h);
    if (!h->next || !h->late) {
        container_health_stop(h);
        return error_set(err, -ENOMEM, "out of memory");
    }
    write_state(h);
    loop_timer_set(h->next, loop_now_ns() + h->interval);
    *ret = h;
    return 0;
}

void container_health_pause(struct container_health *h, bool paused)
{
    if (h)
        h->paused = paused;
}

void container_health_stop(struct container_health *h)
{
    if (!h)
        return;
    loop_remove_fd(h->watch);
    if (h->pidfd >= 0) {
        pidfd_send_signal(h->pidfd, SIGKILL, NULL, 0);
        waitid(P_PIDFD, (id_t)h->pidfd, &(siginfo_t){0}, WEXITED);
        close(h->pidfd);
    }
    if (h->next)
        loop_timer_free(h->next);
    if (h->late)
        loop_timer_free(h->late);
    free(h);
}
