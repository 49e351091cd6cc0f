/* SPDX-License-Identifier: Apache-2.0 */
/* login and logout. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/command_registry.h"
#include "image/commands.h"

enum { SECRET_MAX = 64 * 1024 }; /* some registries' passwords are tokens */

/* Asks on the terminal. New; NULL with @err set. */
static char *ask(const char *question, bool hidden, struct error *err)
{
    struct termios old, quiet;
    char *line = NULL;
    size_t room = 0;
    ssize_t n;

    if (!isatty(0) || tcgetattr(0, &old) < 0) {
        error_set(err, -ENOTTY, "no terminal to ask at; use --username and --password-stdin");
        return NULL;
    }
    fprintf(stderr, "%s: ", question);
    quiet = old;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    if (hidden)
        tcsetattr(0, TCSAFLUSH, &quiet);
    n = getline(&line, &room, stdin);
    if (hidden) {
        tcsetattr(0, TCSAFLUSH, &old);
        fputc('\n', stderr);
    }
    if (n > 0 && line[n - 1] == '\n')
        line[--n] = 0;
    if (n <= 0) {
        free(line);
        error_set(err, -EINVAL, "no %s given", question);
        return NULL;
    }
    return line;
}

/* All of standard input but a last newline. New; NULL with @err set. */
static char *read_stdin(struct error *err)
{
    struct str s = {0};
    char piece[4096];
    ssize_t n;

    while ((n = read(0, piece, sizeof(piece))) > 0 && s.len <= SECRET_MAX)
        str_add_n(&s, piece, (size_t)n);
    while (s.len && (s.data[s.len - 1] == '\n' || s.data[s.len - 1] == '\r'))
        s.data[--s.len] = 0;
    if (!s.len || s.len > SECRET_MAX || strlen(s.data) != s.len) {
        error_set(err, -EINVAL, "standard input holds no password");
        str_done(&s);
        return NULL;
    }
    return str_steal(&s);
}

/* The registry's name as logins are kept under; *ret owns nothing but has no repository. */
static int parse_registry(const struct program *p, struct image_reference *ret, struct error *err)
{
    const char *text = p->word_count ? p->words[0] : "docker.io";
    size_t n;

    memset(ret, 0, sizeof(*ret));
    if (str_starts(text, "https://"))
        text += strlen("https://");
    n = strcspn(text, "/");
    if (n > IMAGE_REGISTRY_MAX || (text[n] && strcmp(text + n, "/") != 0 &&
                                   strcmp(text + n, "/v1/") != 0 && strcmp(text + n, "/v2/") != 0))
        return error_set(err, -EINVAL, "\"%.100s\" is not a registry; write HOST or HOST:PORT",
                         text);
    memcpy(ret->registry, text, n);
    if (!image_registry_valid(ret->registry))
        return error_set(err, -EINVAL, "\"%.100s\" is not a registry; write HOST or HOST:PORT",
                         text);
    if (strcmp(ret->registry, "index.docker.io") == 0 ||
        strcmp(ret->registry, "registry-1.docker.io") == 0)
        strcpy(ret->registry, "docker.io");
    return 0;
}

/* Lets the registry check the login. */
static int check(struct registry_run *run, const struct image_reference *ref, struct error *err)
{
    cleanup_free struct registry_endpoint *endpoint = NULL;
    struct registry *registry = NULL;
    struct http *http = NULL;
    size_t count;
    int r = registries_endpoints(registry_context_registries(run->context), ref, true, &endpoint,
                                 &count, err);

    if (r < 0)
        return r;
    endpoint->repository[0] = 0;
    registry = registry_new(run->context, endpoint, ref, "", err);
    http = registry ? registry_http_new(run->context, err) : NULL;
    r = http ? registry_ping(registry, http, err) : -ENOMEM;
    http_free(http);
    registry_free(registry);
    return r;
}

static int login(struct program *p, const struct image_reference *ref, const char *user,
                 const char *password)
{
    struct registry_run run = {.settings = {.user = user, .password = password}};
    struct error err = {0};
    cleanup_free char *where = NULL;
    int status = registry_run_begin(&run, p, NULL), r;

    if (status)
        return status;
    r = check(&run, ref, &err);
    if (r == -EACCES)
        status = program_complain(p, "%s refuses this name and password", ref->registry);
    else if (r < 0)
        status = program_error(p, &err);
    else if (credentials_store(run.settings.authfile, ref->registry, user, password, &where, &err) <
             0)
        status = program_error(p, &err);
    else
        printf("logged in to %s as %s; kept in %s\n", ref->registry, user, where);
    registry_run_end(&run);
    return status;
}

int command_login(struct program *p)
{
    const char *given = program_option(p, "password"), *name = program_option(p, "username");
    bool from_stdin = program_flag(p, "password-stdin");
    cleanup_free char *user = NULL;
    char *password = NULL;
    struct image_reference ref;
    struct error err = {0};
    int status;

    if (parse_registry(p, &ref, &err) < 0) {
        program_error(p, &err);
        return PROGRAM_USAGE;
    }
    if (given && from_stdin) {
        program_complain(p, "--password and --password-stdin exclude each other");
        return PROGRAM_USAGE;
    }
    if (from_stdin && !name) {
        program_complain(p, "--password-stdin wants --username");
        return PROGRAM_USAGE;
    }
    user = name ? str_format("%s", name) : ask("Username", false, &err);
    if (user && (!*user || strchr(user, ':')))
        return program_complain(p, "a name is not empty and holds no \":\"");
    if (user)
        password = given        ? str_format("%s", given)
                   : from_stdin ? read_stdin(&err)
                                : ask("Password", true, &err);
    status = password ? login(p, &ref, user, password) : program_error(p, &err);
    if (password)
        explicit_bzero(password, strlen(password));
    free(password);
    return status;
}

int command_logout(struct program *p)
{
    struct image_reference ref;
    struct error err = {0};

    if (parse_registry(p, &ref, &err) < 0) {
        program_error(p, &err);
        return PROGRAM_USAGE;
    }
    if (credentials_erase(program_option(p, "authfile"), ref.registry, &err) < 0)
        return program_error(p, &err);
    printf("forgot the login to %s\n", ref.registry);
    return 0;
}
