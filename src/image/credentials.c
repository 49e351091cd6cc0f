/* SPDX-License-Identifier: Apache-2.0 */
#include "image/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "image/auth.h"
#include "image/helper.h"

enum { FILES_MAX = 4, FILE_SIZE_MAX = 1 << 20 };

/* How Docker calls its own registry in these files. */
static const char docker_hub[] = "https://index.docker.io/v1/";

struct files {
    char *path[FILES_MAX];
    size_t count;
    size_t docker; /* index of Docker's, FILES_MAX: not among them */
};

static void files_done(struct files *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->path[i]);
}

static void add_file(struct files *f, const char *dir, const char *leaf)
{
    if (dir && dir[0] == '/' && (f->path[f->count] = str_format("%s/%s", dir, leaf)))
        f->count++;
}

static void find_files(struct files *f, const char *authfile)
{
    const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME");
    const char *docker = getenv("DOCKER_CONFIG");

    memset(f, 0, sizeof(*f));
    f->docker = FILES_MAX;
    if (!authfile || !*authfile)
        authfile = getenv("REGISTRY_AUTH_FILE");
    if (authfile && *authfile) {
        if ((f->path[0] = str_format("%s", authfile)))
            f->count = 1;
        return;
    }
    add_file(f, getenv("XDG_RUNTIME_DIR"), "containers/auth.json");
    if (config && *config)
        add_file(f, config, "containers/auth.json");
    else
        add_file(f, home, ".config/containers/auth.json");
    f->docker = f->count;
    if (docker && *docker)
        add_file(f, docker, "config.json");
    else
        add_file(f, home, ".docker/config.json");
    if (f->docker == f->count)
        f->docker = FILES_MAX;
}

/* The object in @path; *ret NULL when there is no such file. */
static int load(const char *path, json_t **ret, struct error *err)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    json_error_t e;

    *ret = NULL;
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
        return errno == EACCES ? error_set_errno(err, -EACCES, "read %s", path) : 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set_errno(err, -errno, "read %s", path);
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_SIZE_MAX)
        return error_set(err, -EINVAL, "read %s: not a file of at most 1 MiB", path);
    if (!st.st_size)
        return 0;
    *ret = json_loadfd(fd, JSON_REJECT_DUPLICATES, &e);
    if (!*ret)
        return error_set(err, -EINVAL, "read %s: line %d: %s", path, e.line, e.text);
    if (!json_is_object(*ret)) {
        json_decref(*ret);
        *ret = NULL;
        return error_set(err, -EINVAL, "read %s: it is no JSON object", path);
    }
    return 0;
}

/* --- names of servers --- */

/*
 * The registry, and what follows it, that a key of these files means: "https://host/v1/" and
 * "host" are the same, "host/team" is a part of it. All names of Docker Hub are "docker.io".
 */
static char *plain_key(const char *key)
{
    static const char *const hub[] = {"index.docker.io", "registry-1.docker.io",
                                      "registry.hub.docker.com", "auth.docker.io"};
    const char *p = strstr(key, "://");
    char *s = str_format("%s", p ? p + 3 : key), *slash;

    if (!s)
        return NULL;
    slash = strchr(s, '/');
    if (slash && (p || strcmp(slash, "/v1/") == 0 || strcmp(slash, "/v2/") == 0 ||
                  strcmp(slash, "/v1") == 0 || strcmp(slash, "/v2") == 0 || !slash[1]))
        *slash = 0;
    for (size_t i = 0; i < array_size(hub); i++)
        if (strcmp(s, hub[i]) == 0)
            strcpy(s, "docker.io"); /* shorter than all of them */
    return s;
}

/* The key of @object (may be NULL) that means @name. Borrowed. */
static const char *find_key(const json_t *object, const char *name)
{
    const char *key, *found = NULL;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        cleanup_free char *plain = plain_key(key);
        if (plain && strcmp(plain, name) == 0)
            found = key;
    }
    return found;
}

static const char *server_of(const char *registry)
{
    return strcmp(registry, "docker.io") == 0 ? docker_hub : registry;
}

/* The helper that @root configures for @registry; NULL: none. Borrowed. */
static const char *helper_of(const json_t *root, const char *registry)
{
    const json_t *helpers = json_object_get(root, "credHelpers");
    const char *key = find_key(helpers, registry), *name = NULL;

    if (key)
        name = json_string_value(json_object_get(helpers, key));
    if (!name)
        name = json_string_value(json_object_get(root, "credsStore"));
    return name && *name ? name : NULL;
}

/* --- finding --- */

void credentials_done(struct credentials *c)
{
    free(c->user);
    if (c->password)
        explicit_bzero(c->password, strlen(c->password));
    if (c->token)
        explicit_bzero(c->token, strlen(c->token));
    free(c->password);
    free(c->token);
    free(c->source);
    memset(c, 0, sizeof(*c));
}

/* User and password or token as @ret keeps them; "<token>" is how helpers mark a token. */
static int fill(struct credentials *ret, const char *user, const char *secret, const char *source)
{
    bool token = strcmp(user, "<token>") == 0 || !*user;

    ret->user = token ? NULL : str_format("%s", user);
    ret->password = token ? NULL : str_format("%s", secret);
    ret->token = token ? str_format("%s", secret) : NULL;
    ret->source = str_format("%s", source);
    return ret->source && (token ? ret->token != NULL : ret->user && ret->password) ? 0 : -ENOMEM;
}

static int ask_helper(const char *helper, const char *registry, struct credentials *ret,
                      struct error *err)
{
    struct str out = {0};
    cleanup_free char *source = str_format("docker-credential-%s", helper);
    json_t *root;
    const char *user, *secret;
    int r = helper_run(helper, "get", server_of(registry), &out, err);

    if (r < 0) {
        str_done(&out);
        return r;
    }
    root = json_loads(str_text(&out), 0, NULL);
    user = json_string_value(json_object_get(root, "Username"));
    secret = json_string_value(json_object_get(root, "Secret"));
    if (!user || !secret || !source)
        r = error_set(err, -EINVAL, "the credential helper %s gave no Username and Secret", helper);
    else if (!*secret)
        r = error_set(err, -ENOENT, "the credential helper %s knows nothing", helper);
    else
        r = fill(ret, user, secret, source);
    json_decref(root);
    if (out.data)
        explicit_bzero(out.data, out.len);
    str_done(&out);
    return r;
}

static int read_entry(const json_t *entry, const char *path, const char *key,
                      struct credentials *ret, struct error *err)
{
    const char *auth = json_string_value(json_object_get(entry, "auth"));
    const char *token = json_string_value(json_object_get(entry, "identitytoken"));
    const char *user = json_string_value(json_object_get(entry, "username"));
    const char *password = json_string_value(json_object_get(entry, "password"));
    cleanup_free char *both = auth && *auth ? auth_base64_decode(auth) : NULL;
    char *colon = both ? strchr(both, ':') : NULL;

    if (token && *token)
        return fill(ret, "", token, path);
    if (user && password && *user)
        return fill(ret, user, password, path);
    if (!auth || !*auth)
        return -ENOENT; /* Docker leaves an empty entry for what a helper keeps */
    if (!colon || colon == both)
        return error_set(err, -EINVAL, "%s: \"auth\" of %s is not a name and a password", path,
                         key);
    *colon = 0;
    return fill(ret, both, colon + 1, path);
}

static int find_in(const char *path, const json_t *root, const char *registry,
                   const char *repository, struct credentials *ret, struct error *err)
{
    const json_t *auths = json_object_get(root, "auths");
    const char *helper = helper_of(root, registry);
    cleanup_free char *name = str_format("%s%s%s", registry, *repository ? "/" : "", repository);
    int r = -ENOENT;

    if (helper && (r = ask_helper(helper, registry, ret, err)) != -ENOENT)
        return r;
    /* "host/team/app", then "host/team", then "host" */
    while (name) {
        const char *key = find_key(auths, name);
        char *slash = strrchr(name, '/');
        if (key)
            r = read_entry(json_object_get(auths, key), path, key, ret, err);
        if (r != -ENOENT || !slash)
            return r;
        *slash = 0;
    }
    return -ENOMEM;
}

int credentials_find(const char *authfile, const char *registry, const char *repository,
                     struct credentials *ret, struct error *err)
{
    struct files f;
    int r = -ENOENT;

    memset(ret, 0, sizeof(*ret));
    find_files(&f, authfile);
    for (size_t i = 0; i < f.count && r == -ENOENT; i++) {
        json_t *root;
        int loaded = load(f.path[i], &root, err);
        if (loaded < 0)
            r = loaded;
        else if (root)
            r = find_in(f.path[i], root, registry, repository, ret, err);
        json_decref(root);
    }
    files_done(&f);
    if (r < 0)
        credentials_done(ret);
    if (r == -ENOENT)
        error_set(err, r, "nobody is logged in to %s", registry);
    return r;
}

/* --- changing --- */

static int write_all(int fd, const char *text, size_t n)
{
    while (n) {
        ssize_t put = write(fd, text, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        text += put;
        n -= (size_t)put;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

/* Replaces @path, which a symbolic link may point to, by @root. */
static int save(const char *path, const json_t *root, struct error *err)
{
    cleanup_free char *target = realpath(path, NULL);
    const char *to = target ? target : path;
    cleanup_free char *temporary = str_format("%s.XXXXXX", to);
    char *text = json_dumps(root, JSON_INDENT(4) | JSON_PRESERVE_ORDER);
    cleanup_fd int fd = -1;
    int r = -ENOMEM;

    if (text && temporary) {
        fd = mkostemp(temporary, O_CLOEXEC); /* 0600 */
        r = fd < 0 ? -errno : write_all(fd, text, strlen(text));
        if (r == 0 && rename(temporary, to) < 0)
            r = -errno;
        if (r < 0 && fd >= 0)
            unlink(temporary);
    }
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
    return r < 0 ? error_set_errno(err, r, "write %s", path) : 0;
}

/* Makes the directories above @path, 0700, and locks the last. Returns a descriptor to close. */
static int lock_directory(const char *path, struct error *err)
{
    char dir[PATH_MAX], *p;
    int fd;

    if (strlen(path) >= sizeof(dir))
        return error_set_errno(err, -ENAMETOOLONG, "write %s", path);
    strcpy(dir, path);
    p = strrchr(dir, '/');
    if (!p)
        strcpy(dir, ".");
    else
        *(p == dir ? p + 1 : p) = 0;
    for (p = strchr(dir + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        mkdir(dir, 0700);
        *p = '/';
    }
    mkdir(dir, 0700);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) < 0) {
        int r = error_set_errno(err, -errno, "write %s", path);
        if (fd >= 0)
            close(fd);
        return r;
    }
    return fd;
}

/* The file that a new login goes into. */
static size_t choose(const struct files *f, const char *registry)
{
    struct stat st;

    for (size_t i = 0; i < f->count; i++) {
        json_t *root;
        bool has =
            load(f->path[i], &root, NULL) == 0 &&
            (find_key(json_object_get(root, "auths"), registry) || helper_of(root, registry));
        json_decref(root);
        if (has)
            return i;
    }
    if (f->docker < f->count && stat(f->path[f->docker], &st) == 0)
        return f->docker;
    return f->docker < f->count && f->docker ? f->docker - 1 : 0;
}

static int store_by_helper(const char *helper, const char *registry, const char *user,
                           const char *secret, struct error *err)
{
    json_t *o = json_pack("{s:s, s:s, s:s}", "ServerURL", server_of(registry), "Username",
                          user ? user : "<token>", "Secret", secret);
    char *text = o ? json_dumps(o, 0) : NULL;
    struct str out = {0};
    int r = text ? helper_run(helper, "store", text, &out, err)
                 : error_set(err, -EINVAL, "the name or password is not UTF-8");

    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
    json_decref(o);
    str_done(&out);
    return r;
}

static json_t *new_entry(const char *user, const char *secret)
{
    struct str both = {0}, auth = {0};
    json_t *entry;

    if (user)
        str_addf(&both, "%s:%s", user, secret);
    auth_base64_encode(&auth, str_text(&both), both.len);
    entry = user ? json_pack("{s:s}", "auth", str_text(&auth))
                 : json_pack("{s:s, s:s}", "auth", "", "identitytoken", secret);
    if (both.data)
        explicit_bzero(both.data, both.len);
    str_done(&both);
    str_done(&auth);
    return entry;
}

static int change(const char *path, const char *registry, json_t *entry, struct error *err)
{
    json_t *root, *auths;
    const char *key;
    cleanup_fd int lock = lock_directory(path, err);
    int r = lock < 0 ? lock : load(path, &root, err);

    if (r < 0)
        return r;
    if (!root)
        root = json_object();
    auths = json_object_get(root, "auths");
    if (!json_is_object(auths)) {
        auths = json_object();
        json_object_set_new(root, "auths", auths);
    }
    key = find_key(auths, registry);
    if (!key)
        key = server_of(registry);
    if (entry ? json_object_set(auths, key, entry) : json_object_del(auths, key))
        r = error_set_errno(err, -ENOMEM, "change %s", path);
    else
        r = save(path, root, err);
    json_decref(root);
    return r;
}

int credentials_store(const char *authfile, const char *registry, const char *user,
                      const char *secret, char **ret_where, struct error *err)
{
    struct files f;
    json_t *root = NULL, *entry;
    const char *helper, *path;
    char *where;
    int r;

    find_files(&f, authfile);
    if (!f.count)
        return error_set(err, -ENOENT, "there is no place for logins: set HOME or use --authfile");
    path = f.path[choose(&f, registry)];
    r = load(path, &root, err);
    helper = r == 0 ? helper_of(root, registry) : NULL;
    if (r == 0 && helper)
        r = store_by_helper(helper, registry, user, secret, err);
    entry = helper ? json_object() : new_entry(user, secret);
    if (r == 0 && !entry)
        r = error_set(err, -EINVAL, "the password is not UTF-8");
    if (r == 0)
        r = change(path, registry, entry, err);
    where = helper ? str_format("docker-credential-%s", helper) : str_format("%s", path);
    json_decref(entry);
    json_decref(root);
    files_done(&f);
    if (r == 0)
        *ret_where = where;
    else
        free(where);
    return r;
}

int credentials_erase(const char *authfile, const char *registry, struct error *err)
{
    struct files f;
    int r = 0;
    bool erased = false;

    find_files(&f, authfile);
    for (size_t i = 0; i < f.count && r == 0; i++) {
        json_t *root;
        const char *helper, *key;
        struct str out = {0};

        r = load(f.path[i], &root, err);
        helper = helper_of(root, registry);
        key = find_key(json_object_get(root, "auths"), registry);
        if (helper && (r = helper_run(helper, "erase", server_of(registry), &out, err)) == 0)
            erased = true;
        r = r == -ENOENT ? 0 : r;
        if (r == 0 && key && (r = change(f.path[i], registry, NULL, err)) == 0)
            erased = true;
        str_done(&out);
        json_decref(root);
    }
    files_done(&f);
    if (r == 0 && !erased)
        r = error_set(err, -ENOENT, "nobody is logged in to %s", registry);
    return r;
}
