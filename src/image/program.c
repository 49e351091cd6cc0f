/* SPDX-License-Identifier: Apache-2.0 */
#include "image/program.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

const char *program_list(const struct program *p, const char *name, size_t index)
{
    size_t n = strlen(name);

    for (int i = 0; i < p->option_count; i++) {
        if (strncmp(p->options[i], name, n) == 0 && p->options[i][n] == '=' && index-- == 0)
            return p->options[i] + n + 1;
    }
    return NULL;
}

const char *program_option(const struct program *p, const char *name)
{
    const char *last = NULL, *value;

    for (size_t i = 0; (value = program_list(p, name, i)); i++)
        last = value;
    return last;
}

bool program_flag(const struct program *p, const char *name)
{
    const char *value = program_option(p, name);

    return value && strcmp(value, "true") == 0;
}

int program_complain(const struct program *p, const char *format, ...)
{
    char *text = NULL;
    va_list ap;

    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        text = NULL;
    va_end(ap);
    for (char *c = text; c && *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    }
    fflush(stdout);
    fprintf(stderr, "isola: %s: %s\n", p->verb, text ? text : "memory ran out");
    free(text);
    return PROGRAM_FAILED;
}

int program_error(const struct program *p, const struct error *err)
{
    return program_complain(p, "%s", error_text(err));
}

struct image_store *program_store(struct program *p)
{
    struct error err = {0};

    if (p->store)
        return p->store;
    p->store = image_store_open(NULL, &err);
    if (p->store && image_store_hold(p->store, &err) < 0) {
        image_store_close(p->store);
        p->store = NULL;
    }
    if (!p->store)
        program_error(p, &err);
    return p->store;
}

static int run(struct program *p, int argc, char **argv)
{
    const struct program_command *c = program_commands;
    int i = 2;

    while (c->name && strcmp(c->name, p->verb) != 0)
        c++;
    if (!c->name) {
        program_complain(p, "isola-image knows no such command; use isola");
        return PROGRAM_USAGE;
    }
    p->options = argv + i;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0 && argv[i][2]; i++) {
        argv[i] += 2;
        if (!strchr(argv[i], '=')) {
            program_complain(p, "--%s has no value; use isola", argv[i]);
            return PROGRAM_USAGE;
        }
        p->option_count++;
    }
    if (i < argc && strcmp(argv[i], "--") == 0)
        i++;
    p->words = argv + i;
    p->word_count = argc - i;
    if (p->word_count < c->min || (c->max >= 0 && p->word_count > c->max)) {
        program_complain(p, "wrong number of arguments; use isola");
        return PROGRAM_USAGE;
    }
    return c->run(p);
}

int main(int argc, char **argv)
{
    struct program p = {.verb = argc > 1 ? argv[1] : ""};
    int status;

    signal(SIGPIPE, SIG_IGN);
    status = run(&p, argc, argv);
    image_store_close(p.store);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == 0)
        status = program_complain(&p, "write to standard output failed");
    return status;
}
