/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/document.h"
#include "cli/suggest.h"
#include "cli/verbs.h"
#include "instance/instance.h"

/* Words before a command that say what it acts on, as in "docker container ls". */
static const struct {
    const char *noun;
    const char *allowed; /* commands separated by blanks; NULL: all */
} nouns[] = {
    {"instance", NULL},
    {"container", NULL},
    {"system", "info doctor events version"},
};

static bool word_in(const char *words, const char *word)
{
    size_t n = strlen(word);

    for (; *words; words += strcspn(words, " "), words += *words == ' ') {
        if (strcspn(words, " ") == n && strncmp(words, word, n) == 0)
            return true;
    }
    return false;
}

static int unknown_command(const struct cli *cli, const char *name)
{
    const char *missing = verb_missing(name);
    struct suggest s = {.word = name};
    struct str second = {0};

    if (verb_noun(name, &second)) {
        cli_complain(cli, "%s: which of %s?", name, str_text(&second));
        str_done(&second);
        return EXIT_USAGE;
    }
    if (missing) {
        cli_complain(cli, "%s is not supported yet: %s", name, missing);
        return EXIT_USAGE;
    }
    for (const struct verb *v = NULL; (v = verb_next(v));) {
        if (v->group)
            suggest_offer(&s, v->name);
    }
    if (s.best)
        cli_complain(cli, "unknown command \"%s\"; did you mean %s?", name, s.best);
    else
        cli_complain(cli, "unknown command \"%s\"; \"isola help\" lists the commands", name);
    return EXIT_USAGE;
}

static int run_verb(struct cli *cli, int argc, char **argv)
{
    struct args args;
    struct error err = {0};
    int status = EXIT_USAGE;

    if (args_parse(cli->verb, argc, argv, &args, &err) < 0) {
        cli_error(cli, &err);
    } else if (args_given(&args, "help")) {
        struct str out = {0};
        document_usage(cli->verb, false, &out);
        cli_print(str_text(&out));
        str_done(&out);
        status = 0;
    } else {
        status = cli->verb->run(cli, &args);
    }
    args_done(&args);
    return status;
}

static int show_commands(void)
{
    struct str out = {0};

    document_commands(&out);
    cli_print(str_text(&out));
    str_done(&out);
    return 0;
}

/* Handles options before the command; returns the index of the command, or -1 with *ret_status. */
static int global_options(struct cli *cli, int argc, char **argv, int *ret_status)
{
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        const char *o = argv[i];
        struct suggest s = {.word = o + strspn(o, "-")};
        if (strcmp(o, "--debug") == 0 || strcmp(o, "-D") == 0) {
            log_level_max = LOG_LEVEL_DEBUG;
        } else if (strcmp(o, "--help") == 0 || strcmp(o, "-h") == 0) {
            *ret_status = show_commands();
            return -1;
        } else if (strcmp(o, "--version") == 0 || strcmp(o, "-v") == 0) {
            cli_print("isola " ISOLA_VERSION "\n");
            *ret_status = 0;
            return -1;
        } else {
            suggest_offer(&s, "help");
            suggest_offer(&s, "version");
            suggest_offer(&s, "debug");
            if (s.best)
                cli_complain(cli, "unknown option %s; did you mean --%s?", o, s.best);
            else
                cli_complain(cli, "unknown option %s; options of a command follow its name", o);
            *ret_status = EXIT_USAGE;
            return -1;
        }
    }
    return i;
}

static int dispatch(struct cli *cli, int argc, char **argv)
{
    int status = 0, i = global_options(cli, argc, argv, &status);

    if (i < 0)
        return status;
    if (i == argc)
        return show_commands();
    if (i + 1 < argc) {
        char *two = str_format("%s %s", argv[i], argv[i + 1]);
        cli->verb = two ? verb_find(two) : NULL;
        free(two);
        if (cli->verb)
            return run_verb(cli, argc - i - 2, argv + i + 2);
    }
    for (size_t n = 0; n < array_size(nouns); n++) {
        if (strcmp(argv[i], nouns[n].noun) != 0)
            continue;
        if (i + 1 == argc || argv[i + 1][0] == '-')
            return show_commands();
        i++;
        if (nouns[n].allowed && !word_in(nouns[n].allowed, argv[i])) {
            struct str own = {0};
            verb_noun(nouns[n].noun, &own);
            cli_complain(cli, "unknown command \"%s %s\"; there are: %s%s%s", nouns[n].noun,
                         argv[i], str_text(&own), own.len ? " " : "", nouns[n].allowed);
            str_done(&own);
            return EXIT_USAGE;
        }
        break;
    }
    cli->verb = verb_find(argv[i]);
    if (!cli->verb)
        return unknown_command(cli, argv[i]);
    return run_verb(cli, argc - i - 1, argv + i + 1);
}

/* A process started without them must not take its store for standard output. */
static void open_standard_fds(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    struct cli cli = {0};
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    int status;

    open_standard_fds();
    cli.color = isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && strcmp(term, "dumb");
    status = dispatch(&cli, argc, argv);
    if (cli.home)
        instances_close(cli.home);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == 0) {
        cli_complain(&cli, "write to standard output: %s", strerror(errno));
        status = EXIT_FAILED;
    }
    return status;
}
