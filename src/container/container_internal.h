/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of container_*.c share. */
#ifndef CONTAINER_CONTAINER_INTERNAL_H
#define CONTAINER_CONTAINER_INTERNAL_H

#include <stdint.h>

#include "base/str.h"
#include "container/cgroup.h"
#include "container/container.h"
#include "container/plan.h"

/*
 * A container's directory "<state_dir>/<id>" holds
 *   state.json    what container_load reads: a line of JSON, then as many bytes as its configSize
 *                 says, the configuration as it was given, then the instructions (struct
 *                 sock_filter, as many as filterCount says) of the compiled filter, for exec
 *   start         a socket that init listens on until the start: it is there while "created"
 */
struct container {
    char *id, *dir, *bundle, *rootfs, *owner, *created, *version;
    struct container_facts facts;
    struct oci_pair *annotations; /* strings are borrowed from @config or @doc */
    struct oci_map annotation_map;
    struct jtree *doc;         /* state.json of a loaded one */
    struct oci_config *config; /* parsed when it is needed */
    char *file; /* state.json, which the next ones point into but while the container is made */
    const char *config_text;
    size_t config_len;
    const void *filter; /* struct sock_filter, unaligned */
    uint32_t filter_flags, filter_notify, filter_count;
    pid_t pid;
    uint64_t start_time; /* of @pid, in clock ticks: tells it from a later process of that number */
    int pidfd;
    int sync;    /* to init, while this process created it; -1 */
    int console; /* -1 */
    struct cgroup *cgroup;
    char *cgroup_text;
    bool at_once;        /* made with that option; init is starting */
    uint32_t namespaces; /* CLONE_NEWx that differ from the runtime's */
    bool hooks;          /* has poststart or poststop */
    bool reap;
    void (*warn)(void *opaque, const char *line);
    void *opaque;
};

/* --- container_state.c --- */

/* Writes state.json, by rename. */
int container_save(const struct container *c, struct error *err);
/* Has c->config_text and c->filter point to something, from state.json when they do not. */
int container_read_file(struct container *c, struct error *err);
/* Field 22 of /proc/PID/stat; 0 when there is no such process. @ret_state: its letter. */
uint64_t process_start_time(pid_t pid, char *ret_state);
/* The state that hooks and "state" get, as JSON; @status as in runtime-spec. */
void container_state_json(struct container *c, const char *status, struct str *out);
/* The configuration it was made from (borrowed from @c). */
int container_config(struct container *c, const struct oci_config **ret, struct error *err);
/* Removes @dir and the files in it. */
void container_remove_dir(const char *dir);
void container_set_facts(struct container *c);
char *container_path(const struct container *c, const char *name);

/* --- container_hooks.c --- */

/* Runs hooks in the runtime's namespaces with @state on stdin; stops at the first that fails. */
int hooks_run_all(const struct oci_hooks *hooks, const char *state, const char *name,
                  struct error *err);

/* --- id_maps.c --- */

/* Writes the maps of @pid's user namespace, by newuidmap and newgidmap where that is needed. */
int id_maps_write(pid_t pid, const struct oci_id_maps *uids, const struct oci_id_maps *gids,
                  struct error *err);

/* --- spawn.c --- */

struct plan_builder;

/* What init says, as struct init_events' functions are called, until it is ready or failed. */
struct init_events {
    int (*map)(void *opaque, pid_t stage1, struct error *err);
    int (*known)(void *opaque, pid_t pid, struct error *err);
    /* At the barrier, @netns borrowed: fills @ret_fds (new, or -1) with what hooks inside read. */
    int (*namespaces)(void *opaque, pid_t pid, int netns, int ret_fds[2], struct error *err);
    int (*listener)(void *opaque, pid_t pid, int fd, struct error *err);
    void (*warn)(void *opaque, const char *line);
    void *opaque;
    pid_t stage1; /* init_spawn sets one of these: stage 2 where nothing is to do before it */
    pid_t pid;    /* stage 2 */
    int console;  /* out: the pty's master, -1 */
    int netns;    /* between init's word and ours at the barrier, -1 */
    bool goes_on; /* PLAN_TELL_NETNS: init does not wait at the barrier */
    bool at_once; /* PLAN_AT_ONCE: init does not wait for the start */
    /* Init needs no answer: what it says is read when it has executed the program or ended. */
    bool silent;
};
/* Executes init from a sealed copy with the plan; @b's @sync is made here. @e's stage1 or
 * pid is set. */
int init_spawn(struct plan_builder *b, const int *extra_fds, unsigned extra_count,
               struct init_events *e, int *ret_sync, struct error *err);

/* 0 when init is ready (at_once: starting); on failure it was killed and collected. */
int init_converse(int sync, struct init_events *e, struct error *err);
/* Ends init and collects what there is of it: for a failure on this side. */
void init_abort(int sync, struct init_events *e);
/* PLAN_CGROUPS, see there. */
int init_send_cgroups(int sync, const int *joins, size_t join_count, const int *trees,
                      size_t tree_count, const char *names, bool no_mknod, struct error *err);
/*
 * Waits for the program. @sync is closed. @init: waits for the word, which comes from another
 * process over the socket "start" or is sent here; or is starting already.
 */
enum init_waits { INIT_STARTING, INIT_WAITS_FOR_OTHER, INIT_WAITS };
int init_start(int sync, enum init_waits init, struct error *err);
/* Sends the pty's master to a console socket as runc does. */
int console_send(int socket, int master, struct error *err);
/* A memfd with @text, for a hook's stdin. New. */
int text_fd(const char *text);

#endif
