/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directories of a home and what proves that an instance lives.
 *
 *   DATA/store.db            the records (store.h)
 *   DATA/events.log[.1]      events, one JSON object per line
 *   DATA/instances/ID/lock   held (OFD write lock) by whoever owns the instance: its supervisor
 *                            while it lives, a command while it creates or removes it
 *   DATA/instances/ID/status STATUS_SIZE bytes, written in place (it works on a full disk): the
 *                            run it speaks of, the control socket, and how that run ended
 *   DATA/instances/ID/console.log[.1 ...], supervisor.log
 *   DATA/instances/.new-ID   being created; becomes ID by rename with its lock held
 *   RUN/xxxxxxxxxxxxxxxx.sock control socket, named by the first 16 digits of the id
 *   RUN/names/ID/network.json what the engine of a run says of its network, for inspect
 *
 * A state in the store that says "supervised" is believed only while the lock is held. When it is
 * free, the status file of the same run says how the instance ended; when that says nothing, the
 * supervisor died without a word.
 *
 * Lock order: instance lock, then a store transaction. Nobody waits for an instance lock inside a
 * transaction.
 */
#ifndef INSTANCE_HOME_H
#define INSTANCE_HOME_H

#include "instance/instance.h"
#include "instance/store.h"

#define INSTANCE_NETWORK_FILE "network.json"

enum { STATUS_SIZE = 1024, HOME_SOCKET_MAX = 104 };

struct instances {
    char *data, *run, *program;
    const struct engine_ops *const *engines;
    struct store *store;
};

/* DATA/instances/ID/LEAF (LEAF NULL: the directory). New, NULL: out of memory. */
char *home_path(const struct instances *home, const char *id, const char *leaf);
/* RUN/xxxxxxxxxxxxxxxx.sock for a new supervisor. New, NULL with @err set. */
char *home_new_socket(const struct instances *home, const char *id, struct error *err);

/* Takes the instance's lock: 0 and *ret_fd, -EBUSY when it is held, -ENOENT when it is gone. */
int home_lock(const struct instances *home, const char *id, int *ret_fd,
              struct error *err) error_must_check;
/* Whether somebody holds it. */
bool home_locked(const struct instances *home, const char *id);
/* Waits until nobody holds it: 0, or -ETIMEDOUT. */
int home_wait_unlocked(const struct instances *home, const char *id, int timeout_ms);

struct home_status {
    unsigned run;
    char socket[HOME_SOCKET_MAX + 1];
    bool ended;
    int exit_code;
    int64_t finished;
    char reason[512];
};
/* Overwrites the status file in place. */
int home_write_status(const struct instances *home, const char *id,
                      const struct home_status *status, struct error *err) error_must_check;
/* -ENOENT or -EINVAL when there is none that makes sense. */
int home_read_status(const struct instances *home, const char *id,
                     struct home_status *ret) error_must_check;

/*
 * Makes *i true: when its record speaks of a supervisor that is not there, finds out how it ended
 * and writes that (in a home for reading: only into *i). May replace *i. -ENOENT when the record
 * vanished meanwhile.
 */
int home_reconcile(struct instances *home, struct instance **i, struct error *err) error_must_check;

/* Collects what the engine of @i, which nobody supervises, has left; see engine.h. */
void home_collect(const struct instances *home, const struct instance *i, bool remove);
/*
 * Removes @name in directory @dir and all below it, following no symbolic link and leaving no file
 * system. 0 (also when it is not there) or a negative errno of the first thing that stayed.
 */
int home_remove_tree(int dir, const char *name);

/* Makes DATA/instances/ID with lock and status file; the lock is held by *ret_lock. */
int home_make_dir(const struct instances *home, const char *id, int *ret_lock,
                  struct error *err) error_must_check;
/* Removes the directory; what cannot be removed stays for the next prune. */
void home_remove_dir(const struct instances *home, const char *id);
/* Removes only console logs, to make room. */
void home_remove_logs(const struct instances *home, const char *id);
/* Removes directories without a record that nobody holds. */
void home_sweep(struct instances *home);

/* Unix time in ns. */
int64_t home_now(void);

/* Appends an event; failures are logged and lose only the event. */
void event_append(const struct instances *home, const char *action, const struct instance *i,
                  int exit_code, const char *reason);
/* An adjective and a noun, by chance: "calm_lagoon". */
void name_generate(char *buf, size_t size, unsigned attempt);

#endif
