/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/store.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "instance/crash.h"

/* SQLite. */
/* syscalls: access close fchmod fchown fcntl fdatasync fstat fsync ftruncate getcwd geteuid getpid
 * lseek lstat mmap mremap munmap newfstatat openat pread64 pwrite64 read readlink stat unlink write
 * clock_nanosleep */

/* "Isol" in ASCII: marks the file for file(1) and refuses a foreign database. */
enum { STORE_APPLICATION = 0x49736f6c, STORE_BUSY_MS = 10000 };

/*
 * Whoever opens a store that nobody has open reads all of the log, 2 us a page: short enough not to
 * be felt, long enough for one wait for the disk in many changes. A change itself does not wait
 * before the log is long.
 */
enum { STORE_LOG_TIDY = 100, STORE_LOG_MAX = 1000 };

struct store {
    sqlite3 *db;
    char *path;
    bool readonly;
    int log_pages; /* in the log after our last change */
};

#define COLUMNS                                                                                    \
    "id, name, spec, state, exit_code, reason, restarts, run, pid, created, started, finished"

static const char schema[] = "BEGIN IMMEDIATE;"
                             "CREATE TABLE IF NOT EXISTS instances ("
                             " id TEXT PRIMARY KEY CHECK (length(id) = 64),"
                             " name TEXT NOT NULL UNIQUE,"
                             " spec TEXT NOT NULL,"
                             " state TEXT NOT NULL,"
                             " exit_code INTEGER NOT NULL,"
                             " reason TEXT,"
                             " restarts INTEGER NOT NULL,"
                             " run INTEGER NOT NULL,"
                             " pid INTEGER NOT NULL,"
                             " created INTEGER NOT NULL,"
                             " started INTEGER NOT NULL,"
                             " finished INTEGER NOT NULL"
                             ") WITHOUT ROWID;"
                             "PRAGMA application_id = 1232301932;"
                             "PRAGMA user_version = 1;"
                             "COMMIT;";
_Static_assert(STORE_APPLICATION == 1232301932 && STORE_VERSION == 1, "see the pragmas");

/* Turns the last failure of @s into an errno and a reason that says what to do. */
static int store_error(struct store *s, int rc, const char *doing, struct error *err)
{
    int os = sqlite3_system_errno(s->db);

    switch (rc & 0xff) {
    case SQLITE_FULL:
        return error_set(err, -ENOSPC, "%s: the disk with %s is full; free some space", doing,
                         s->path);
    case SQLITE_READONLY:
        return error_set(err, -EROFS, "%s: %s can not be written", doing, s->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(err, -EBUSY, "%s: another process kept %s locked for %d s", doing, s->path,
                         STORE_BUSY_MS / 1000);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(err, -EUCLEAN,
                         "%s: %s is damaged (%s); move it away to begin with an empty store", doing,
                         s->path, sqlite3_errmsg(s->db));
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        if (os == ENOSPC || os == EDQUOT || os == EFBIG)
            return error_set(err, -os, "%s: the disk with %s is full; free some space", doing,
                             s->path);
        if (os)
            return error_set_errno(err, -os, "%s: %s", doing, s->path);
        return error_set(err, -EIO, "%s: %s: %s", doing, s->path, sqlite3_errmsg(s->db));
    case SQLITE_NOMEM:
        return error_set(err, -ENOMEM, "%s: out of memory", doing);
    default:
        return error_set(err, -EIO, "%s: %s: %s", doing, s->path, sqlite3_errmsg(s->db));
    }
}

static int pragma_number(struct store *s, const char *sql, int *ret, struct error *err)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &q, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int(q, 0);
    sqlite3_finalize(q);
    return rc == SQLITE_ROW ? 0 : store_error(s, rc, "open store", err);
}

/* Changing the mode of a new store does not wait for others that do the same, so this does. */
static int use_log(struct store *s)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    int rc;

    for (int tries = STORE_BUSY_MS / 2; tries--; nanosleep(&pause, NULL)) {
        rc = sqlite3_exec(s->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL", NULL,
                          NULL, NULL);
        if ((rc & 0xff) != SQLITE_BUSY)
            break;
    }
    return rc;
}

static int store_setup(struct store *s, struct error *err)
{
    int version = 0, application = 0;
    int r = pragma_number(s, "PRAGMA user_version", &version, err);

    if (r == 0 && version != 0)
        r = pragma_number(s, "PRAGMA application_id", &application, err);
    if (r < 0)
        return r;
    if (version > STORE_VERSION && application == STORE_APPLICATION)
        return error_set(
            err, -EPROTO,
            "open store: %s has version %d, this Isola knows up to %d; use a newer one", s->path,
            version, STORE_VERSION);
    if (version && (application != STORE_APPLICATION || version < 0))
        return error_set(err, -EUCLEAN, "open store: %s is not a store of Isola", s->path);
    if (!s->readonly) {
        int rc = use_log(s);
        if (rc == SQLITE_OK && !version) {
            crash_point();
            rc = sqlite3_exec(s->db, schema, NULL, NULL, NULL);
            crash_point();
        }
        if (rc != SQLITE_OK) {
            r = store_error(s, rc, "create store", err);
            sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
            return r;
        }
    } else if (!version) {
        return error_set(err, -EROFS, "open store: %s is empty and can not be written", s->path);
    }
    return 0;
}

/* For a medium that nobody writes: without log and index, and without the right to make them. */
static int open_immutable(struct store *s)
{
    cleanup_free char *log = str_format("%s-wal", s->path);
    struct str uri = {0};
    int rc = SQLITE_NOMEM;

    if (!log || access(log, F_OK) == 0)
        return SQLITE_CANTOPEN;
    str_add(&uri, "file:");
    for (const char *p = s->path; *p; p++)
        str_addf(&uri, strchr("?#%", *p) ? "%%%02x" : "%c", (unsigned char)*p);
    str_add(&uri, "?immutable=1");
    sqlite3_close(s->db);
    s->db = NULL;
    if (!uri.failed)
        rc = sqlite3_open_v2(uri.data, &s->db,
                             SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
                                 SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
                             NULL);
    str_done(&uri);
    return rc;
}

/* Opens for writing, or else for reading. SQLite's result; @err is set unless memory ran out. */
static int open_either(struct store *s, struct error *err)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
    int rc =
        sqlite3_open_v2(s->path, &s->db, flags | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);

    if (rc == SQLITE_OK || !s->db || (rc & 0xff) == SQLITE_NOMEM)
        return rc;
    store_error(s, rc, "open store", err);
    sqlite3_close(s->db);
    s->db = NULL;
    return sqlite3_open_v2(s->path, &s->db, flags | SQLITE_OPEN_READONLY, NULL);
}

static int on_change(void *opaque, sqlite3 *db, const char *name, int pages)
{
    struct store *s = opaque;

    s->log_pages = pages;
    /* What fails here is done by a later one. */
    if (pages >= STORE_LOG_MAX)
        sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return SQLITE_OK;
}

void store_tidy(struct store *s)
{
    if (s->db && s->log_pages >= STORE_LOG_TIDY)
        sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static int store_connect(struct store *s, struct error *err)
{
    int r = -EIO, rc;

    /* Pages of its cache one by one: a command touches three of the twenty it would take at once.
     * Refused, without harm, after the first time. */
    sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
    error_set(err, -ENOMEM, "open store: out of memory");
    rc = open_either(s, err);
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
        /* The log and its index stay, so that no close waits for the disk, and readers without the
         * right to make files find them. */
        sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_wal_hook(s->db, on_change, s);
        s->readonly = sqlite3_db_readonly(s->db, "main") == 1;
        r = store_setup(s, err);
        if (r < 0 && s->readonly && open_immutable(s) == SQLITE_OK)
            r = store_setup(s, err);
    }
    if (r < 0)
        store_rest(s);
    else if (err)
        *err = (struct error){0};
    return r;
}

struct store *store_open(const char *path, struct error *err)
{
    struct store *s = mem_new(struct store);

    error_set(err, -ENOMEM, "open store: out of memory");
    if (s && (s->path = strdup(path)) && store_connect(s, err) == 0)
        return s;
    store_close(s);
    return NULL;
}

void store_rest(struct store *s)
{
    sqlite3_close(s->db);
    s->db = NULL;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    sqlite3_close(s->db);
    free(s->path);
    free(s);
}

bool store_readonly(const struct store *s)
{
    return s->readonly;
}

static int prepare(struct store *s, const char *sql, const char *doing, sqlite3_stmt **ret,
                   struct error *err)
{
    int rc, r = s->db ? 0 : store_connect(s, err);

    if (r < 0)
        return r;
    rc = sqlite3_prepare_v2(s->db, sql, -1, ret, NULL);
    return rc == SQLITE_OK ? 0 : store_error(s, rc, doing, err);
}

static void bind_text(sqlite3_stmt *q, int at, const char *text)
{
    sqlite3_bind_text(q, at, text, -1, SQLITE_TRANSIENT);
}

/* Runs a changing statement and frees it. The rows it changed, or a negative errno. */
static int change(struct store *s, sqlite3_stmt *q, const char *doing, struct error *err)
{
    int rc, r;

    crash_point();
    rc = sqlite3_step(q);
    crash_point();
    if (rc == SQLITE_DONE)
        r = sqlite3_changes(s->db);
    else if (rc == SQLITE_CONSTRAINT_UNIQUE)
        r = error_set(err, -EEXIST, "the name is taken");
    else
        r = store_error(s, rc, doing, err);
    sqlite3_finalize(q);
    return r;
}

int store_insert(struct store *s, const struct instance *i, struct error *err)
{
    cleanup_free char *spec = spec_to_json(i->spec);
    sqlite3_stmt *q = NULL;
    int r;

    if (!spec)
        return error_set(err, -ENOMEM, "out of memory");
    r = prepare(s, "INSERT INTO instances (" COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                "write record", &q, err);
    if (r < 0)
        return r;
    bind_text(q, 1, i->id);
    bind_text(q, 2, i->name);
    bind_text(q, 3, spec);
    bind_text(q, 4, lifecycle_state_name(i->state));
    sqlite3_bind_int(q, 5, i->exit_code);
    bind_text(q, 6, i->reason);
    sqlite3_bind_int64(q, 7, i->restarts);
    sqlite3_bind_int64(q, 8, i->run);
    sqlite3_bind_int(q, 9, i->pid);
    sqlite3_bind_int64(q, 10, i->created);
    sqlite3_bind_int64(q, 11, i->started);
    sqlite3_bind_int64(q, 12, i->finished);
    r = change(s, q, "write record", err);
    return r < 0 ? r : 0;
}

static const char *column_text(sqlite3_stmt *q, int at)
{
    return (const char *)sqlite3_column_text(q, at);
}

/* A record as it is in row @q. A row that makes no sense is an error that names it. */
static int read_row(sqlite3_stmt *q, struct instance **ret, struct error *err)
{
    const char *id = column_text(q, 0), *name = column_text(q, 1), *spec = column_text(q, 2),
               *state = column_text(q, 3), *reason = column_text(q, 5);
    struct instance *i = mem_new(struct instance);

    if (!i)
        return error_set(err, -ENOMEM, "out of memory");
    if (!id || strlen(id) != INSTANCE_ID_LEN || !name || !spec || !state ||
        !lifecycle_state_parse(state, &i->state)) {
        instance_free(i);
        return error_set(err, -EUCLEAN, "the record of \"%.80s\" is damaged; rm --force removes it",
                         name ? name : "?");
    }
    i->spec = spec_from_json(spec, strlen(spec), err);
    if (!i->spec) {
        instance_free(i);
        return error_wrap(err, -EUCLEAN,
                          "the record of \"%.80s\" is damaged; rm --force removes it", name);
    }
    memcpy(i->id, id, sizeof i->id);
    i->name = strdup(name);
    i->reason = reason ? strdup(reason) : NULL;
    i->exit_code = sqlite3_column_int(q, 4);
    i->restarts = (unsigned)sqlite3_column_int64(q, 6);
    i->run = (unsigned)sqlite3_column_int64(q, 7);
    i->pid = sqlite3_column_int(q, 8);
    i->created = sqlite3_column_int64(q, 9);
    i->started = sqlite3_column_int64(q, 10);
    i->finished = sqlite3_column_int64(q, 11);
    if (!i->name || (reason && !i->reason)) {
        instance_free(i);
        return error_set(err, -ENOMEM, "out of memory");
    }
    *ret = i;
    return 0;
}

/* Collects the rows of @q, which it frees. @lenient: passes over damaged ones. */
static int read_rows(struct store *s, sqlite3_stmt *q, bool lenient, struct instance ***ret,
                     size_t *ret_count, struct error *err)
{
    struct instance **list = NULL, *one = NULL;
    size_t count = 0;
    int rc, r = 0;

    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        if ((count & (count - 1)) == 0) { /* grow at powers of two */
            struct instance **more = realloc(list, (count ? count * 2 : 1) * sizeof *list);
            if (!more) {
                r = error_set(err, -ENOMEM, "out of memory");
                break;
            }
            list = more;
        }
        r = read_row(q, &one, err);
        if (r == -EUCLEAN && lenient) {
            log_warn("instance", "%s", error_text(err));
            r = 0;
            continue;
        }
        if (r < 0)
            break;
        list[count++] = one;
    }
    if (r == 0 && rc != SQLITE_DONE)
        r = store_error(s, rc, "read records", err);
    sqlite3_finalize(q);
    if (r < 0) {
        instance_list_free(list, count);
        return r;
    }
    *ret = list;
    *ret_count = count;
    return 0;
}

int store_list(struct store *s, struct instance ***ret, size_t *ret_count, struct error *err)
{
    sqlite3_stmt *q = NULL;
    int r = prepare(s, "SELECT " COLUMNS " FROM instances ORDER BY created DESC, id",
                    "read records", &q, err);

    return r < 0 ? r : read_rows(s, q, true, ret, ret_count, err);
}

/* The only record for which @where (one parameter) holds: 1, 0 (none) or a negative errno. */
static int find_one(struct store *s, const char *sql, const char *value, const char *ref,
                    struct instance **ret, struct error *err)
{
    struct instance **list = NULL;
    sqlite3_stmt *q = NULL;
    size_t count = 0;
    int r = prepare(s, sql, "read record", &q, err);

    if (r < 0)
        return r;
    bind_text(q, 1, value);
    r = read_rows(s, q, false, &list, &count, err);
    if (r < 0)
        return r;
    if (count == 1) {
        *ret = steal_ptr(&list[0]);
        free(list);
        return 1;
    }
    instance_list_free(list, count);
    return count ? error_set(err, -ENOTUNIQ,
                             "several instances have ids that begin with %.64s; "
                             "give more digits",
                             ref)
                 : 0;
}

int store_find(struct store *s, const char *ref, struct instance **ret, struct error *err)
{
    size_t n = strlen(ref);
    int r = find_one(s, "SELECT " COLUMNS " FROM instances WHERE id = ?1", ref, ref, ret, err);

    if (r == 0)
        r = find_one(s, "SELECT " COLUMNS " FROM instances WHERE name = ?1", ref, ref, ret, err);
    if (r == 0 && n && n < INSTANCE_ID_LEN && strspn(ref, "0123456789abcdef") == n) {
        cleanup_free char *pattern = str_format("%s*", ref);
        r = pattern ? find_one(s, "SELECT " COLUMNS " FROM instances WHERE id GLOB ?1 LIMIT 2",
                               pattern, ref, ret, err)
                    : error_set(err, -ENOMEM, "out of memory");
    }
    if (r == 0)
        return error_set(err, -ENOENT, "no such instance: %.128s; \"isola ps -a\" lists them", ref);
    return r < 0 ? r : 0;
}

int store_has(struct store *s, const char *id, struct error *err)
{
    sqlite3_stmt *q = NULL;
    int rc, r = prepare(s, "SELECT 1 FROM instances WHERE id = ?1", "read record", &q, err);

    if (r < 0)
        return r;
    bind_text(q, 1, id);
    rc = sqlite3_step(q);
    r = rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : store_error(s, rc, "read record", err);
    sqlite3_finalize(q);
    return r;
}

int store_update(struct store *s, const struct instance *i, unsigned run,
                 enum lifecycle_state state, struct error *err)
{
    sqlite3_stmt *q = NULL;
    int r = prepare(s,
                    "UPDATE instances SET state = ?1, exit_code = ?2, reason = ?3, restarts = ?4, "
                    "run = ?5, pid = ?6, started = ?7, finished = ?8 "
                    "WHERE id = ?9 AND run = ?10 AND state = ?11",
                    "write record", &q, err);

    if (r < 0)
        return r;
    bind_text(q, 1, lifecycle_state_name(i->state));
    sqlite3_bind_int(q, 2, i->exit_code);
    bind_text(q, 3, i->reason);
    sqlite3_bind_int64(q, 4, i->restarts);
    sqlite3_bind_int64(q, 5, i->run);
    sqlite3_bind_int(q, 6, i->pid);
    sqlite3_bind_int64(q, 7, i->started);
    sqlite3_bind_int64(q, 8, i->finished);
    bind_text(q, 9, i->id);
    sqlite3_bind_int64(q, 10, run);
    bind_text(q, 11, lifecycle_state_name(state));
    r = change(s, q, "write record", err);
    if (r == 0) {
        r = store_has(s, i->id, err);
        if (r >= 0)
            return r ? error_set(err, -ESTALE, "its state changed meanwhile")
                     : error_set(err, -ENOENT, "it was removed meanwhile");
    }
    return r < 0 ? r : 0;
}

int store_delete(struct store *s, const struct instance *i, struct error *err)
{
    sqlite3_stmt *q = NULL;
    int r = prepare(s, "DELETE FROM instances WHERE id = ?1 AND run = ?2 AND state = ?3",
                    "delete record", &q, err);

    if (r < 0)
        return r;
    bind_text(q, 1, i->id);
    sqlite3_bind_int64(q, 2, i->run);
    bind_text(q, 3, lifecycle_state_name(i->state));
    r = change(s, q, "delete record", err);
    return r == 0 ? error_set(err, -ESTALE, "its state changed meanwhile") : r < 0 ? r : 0;
}

int store_delete_damaged(struct store *s, const char *ref, struct error *err)
{
    struct instance *i = NULL;
    sqlite3_stmt *q = NULL;
    int r = prepare(s, "SELECT " COLUMNS " FROM instances WHERE id = ?1 OR name = ?1",
                    "read record", &q, err);

    if (r < 0)
        return r;
    bind_text(q, 1, ref);
    r = sqlite3_step(q) == SQLITE_ROW ? read_row(q, &i, err) : -ENOENT;
    sqlite3_finalize(q);
    instance_free(i);
    if (r != -EUCLEAN)
        return error_set(err, -ENOENT, "no such damaged record");
    r = prepare(s, "DELETE FROM instances WHERE id = ?1 OR name = ?1", "delete record", &q, err);
    if (r < 0)
        return r;
    bind_text(q, 1, ref);
    r = change(s, q, "delete record", err);
    return r < 0 ? r : 0;
}

int store_rename(struct store *s, const char *id, const char *name, struct error *err)
{
    sqlite3_stmt *q = NULL;
    int r = prepare(s, "UPDATE instances SET name = ?1 WHERE id = ?2", "write record", &q, err);

    if (r < 0)
        return r;
    bind_text(q, 1, name);
    bind_text(q, 2, id);
    r = change(s, q, "write record", err);
    return r == 0 ? error_set(err, -ENOENT, "it was removed meanwhile") : r < 0 ? r : 0;
}

int store_set_spec(struct store *s, const char *id, const char *old, const char *spec,
                   struct error *err)
{
    sqlite3_stmt *q = NULL;
    int r = prepare(s, "UPDATE instances SET spec = ?1 WHERE id = ?2 AND spec = ?3", "write record",
                    &q, err);

    if (r < 0)
        return r;
    bind_text(q, 1, spec);
    bind_text(q, 2, id);
    bind_text(q, 3, old);
    r = change(s, q, "write record", err);
    return r == 0 ? error_set(err, -ESTALE, "it changed meanwhile; try again") : r < 0 ? r : 0;
}
