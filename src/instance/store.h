/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of instances in one SQLite database.
 *
 * Journal: write-ahead log, synchronous NORMAL, so that no change waits for the disk. A process may
 * be killed between any two instructions: whoever opens the file next finds each change whole or
 * not at all; power loss may take the last ones.
 *
 * Changes of state are conditional on what the writer saw (run counter and state), so that a
 * command that judges a record by old knowledge never overwrites what a new supervisor wrote.
 */
#ifndef INSTANCE_STORE_H
#define INSTANCE_STORE_H

#include "instance/instance.h"

enum { STORE_VERSION = 1 };

struct store;

/*
 * Opens the database file @path, creating it unless it is there. When it can not be written it
 * opens for reading. NULL with @err set.
 */
struct store *store_open(const char *path, struct error *err);
void store_close(struct store *store);
/*
 * Closes the file until it is used again. For a process about to fork: a connection must not be
 * taken along.
 */
void store_rest(struct store *store);
/*
 * Shortens the log when it has become long: waits for the disk, so it is for a process with nothing
 * else to do.
 */
void store_tidy(struct store *store);
bool store_readonly(const struct store *store);

/* -EEXIST when the name is taken. */
int store_insert(struct store *store, const struct instance *i, struct error *err) error_must_check;
/* Newest first. Damaged records are left out, and logged. */
int store_list(struct store *store, struct instance ***ret, size_t *ret_count,
               struct error *err) error_must_check;
/* By id, prefix or name as instance_find. */
int store_find(struct store *store, const char *ref, struct instance **ret,
               struct error *err) error_must_check;
/*
 * Writes state, exit code, reason, restarts, run, pid, started and finished of @i where the record
 * still has @run and @state. -ESTALE when it has not, -ENOENT when it is gone.
 */
int store_update(struct store *store, const struct instance *i, unsigned run,
                 enum lifecycle_state state, struct error *err) error_must_check;
/*
 * Deletes the damaged record whose id or name is @ref, which nothing else can name: 0, or -ENOENT
 * when there is none.
 */
int store_delete_damaged(struct store *store, const char *ref, struct error *err) error_must_check;
/* Deletes the record while it has the run and state of @i; -ESTALE when it has not. */
int store_delete(struct store *store, const struct instance *i, struct error *err) error_must_check;
int store_rename(struct store *store, const char *id, const char *name,
                 struct error *err) error_must_check;
/* Replaces the spec while it is still @old (JSON). */
int store_set_spec(struct store *store, const char *id, const char *old, const char *spec,
                   struct error *err) error_must_check;
/* Whether a record with this full id is there: 1, 0 or a negative errno. */
int store_has(struct store *store, const char *id, struct error *err) error_must_check;

#endif
