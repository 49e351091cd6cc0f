/* SPDX-License-Identifier: Apache-2.0 */
/* The command's end of a supervisor's control socket, shared inside the room. */
#ifndef INSTANCE_CLIENT_H
#define INSTANCE_CLIENT_H

#include <jansson.h>

#include "instance/home.h"

struct engine_origin;

/* Kills @i and returns when nobody holds its lock. 0 when it had ended already. */
int client_kill_and_wait(struct instances *home, const struct instance *i, struct error *err);
/* Tells a supervisor that its spec changed. */
int client_update(struct instances *home, const struct instance *i, const char *key,
                  const char *value, struct error *err);
/* Connects to the screen of @ref; *ret_fd is the caller's (screen_wire.h). */
int client_screen(struct instances *home, const char *ref, int *ret_fd, struct error *err);
/* Finds @ref, whose state must allow @verb. New. */
int client_find(struct instances *home, const char *ref, enum lifecycle_verb verb,
                struct instance **ret, struct error *err) error_must_check;
/* Has the supervisor of @i write a snapshot into directory @dir, which exists. Waits for its end.
 */
int client_snapshot(struct instances *home, const struct instance *i, const char *dir,
                    struct error *err) error_must_check;
/*
 * Has the supervisor of @i tell what forks begin from (*ret: descriptors, the caller's, also on
 * failure), with copies of its drives in directory @dir; and starts @i as one of them.
 */
int client_fork(struct instances *home, const struct instance *i, const char *dir,
                struct engine_origin *ret, struct error *err) error_must_check;
int client_start_fork(struct instances *home, const struct instance *i,
                      const struct engine_origin *origin, struct error *err) error_must_check;
/* The engine's view of itself; *ret is a new reference. */
int client_inspect(struct instances *home, const struct instance *i, json_t **ret,
                   struct error *err);

/*
 * record.c: instance_create, which has @fill (may be NULL) put files into the directory of the new
 * instance and change its spec before anybody can see it.
 */
typedef int record_fill_fn(void *opaque, struct instances *home, struct instance *i,
                           struct error *err);
int record_create(struct instances *home, const struct spec *spec, record_fill_fn *fill,
                  void *opaque, struct instance **ret, struct error *err) error_must_check;
/* record.c: the two halves of record_delete: the record, then all that belongs to it. */
int record_forget(struct instances *home, const struct instance *i, struct error *err);
void record_clear(struct instances *home, const struct instance *i);
/* record.c: deletes record and directory of @i, whose lock the caller holds. */
int record_delete(struct instances *home, const struct instance *i, struct error *err);
/* record.c: waits for the lock up to 10 s. */
int record_take_lock(struct instances *home, const char *id, int *ret_fd, struct error *err);

#endif
