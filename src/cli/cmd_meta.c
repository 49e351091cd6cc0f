/* SPDX-License-Identifier: Apache-2.0 */
/* help, version, completion, and the internal commands that write documents. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/mem.h"
#include "cli/complete.h"
#include "cli/document.h"
#include "cli/output.h"
#include "cli/row.h"
#include "cli/human.h"
#include "cli/suggest.h"
#include "image/reference.h"
#include "image/store.h"
#include "instance/instance.h"

int verb_help(struct cli *cli, struct args *args)
{
    struct str out = {0};
    const struct verb *verb;
    char *two;

    if (!args->word_count) {
        document_commands(&out);
    } else {
        two = args->word_count > 1 ? str_format("%s %s", args->words[0], args->words[1]) : NULL;
        verb = verb_find(two ? two : args->words[0]);
        free(two);
        if (!verb || !verb->group) {
            const char *missing = verb_missing(args->words[0]);
            struct suggest s = {.word = args->words[0]};
            for (const struct verb *v = NULL; (v = verb_next(v));) {
                if (v->group)
                    suggest_offer(&s, v->name);
            }
            if (missing)
                cli_complain(cli, "%s is not supported yet: %s", args->words[0], missing);
            else if (s.best)
                cli_complain(cli, "no command \"%s\"; did you mean %s?", args->words[0], s.best);
            else
                cli_complain(cli, "no command \"%s\"; \"isola help\" lists them", args->words[0]);
            return EXIT_USAGE;
        }
        document_usage(verb, args_bool(args, "all"), &out);
    }
    cli_print(str_text(&out));
    str_done(&out);
    return 0;
}

int verb_version(struct cli *cli, struct args *args)
{
    const char *format = args_bool(args, "json") ? "json" : args_text(args, "format");
    struct utsname host;

    if (!format) {
        cli_print("isola " ISOLA_VERSION "\n");
        return 0;
    }
    uname(&host);
    return output_print_object(cli, format,
                               json_pack("{s:s, s:s, s:s}", "version", ISOLA_VERSION, "kernel",
                                         host.release, "arch", host.machine));
}

int verb_completion(struct cli *cli, struct args *args)
{
    const char *script = document_completion(args->words[0]);

    if (!script) {
        cli_complain(cli, "no completion for \"%s\"; there are bash, zsh and fish", args->words[0]);
        return EXIT_USAGE;
    }
    cli_print(script);
    return 0;
}

static bool offered(enum complete which, enum lifecycle_state state)
{
    if (which == COMPLETE_RUNNING || which == COMPLETE_STOPPED)
        return lifecycle_supervised(state) == (which == COMPLETE_RUNNING);
    return which != COMPLETE_PAUSED || state == LIFECYCLE_PAUSED;
}

/* Names of images, with what they take. */
static void offer_images(const char *prefix, struct str *out)
{
    struct image_store *store = image_store_open(NULL, NULL);
    struct image **list = NULL;
    size_t count = 0;

    if (!store || image_list(store, &list, &count, NULL) < 0)
        count = 0;
    for (size_t i = 0; i < count; i++) {
        for (char **name = list[i]->names; *name; name++) {
            struct image_reference ref;
            struct str word = {0};
            if (image_reference_parse(*name, &ref, NULL) < 0)
                continue;
            image_reference_familiar(&ref, &word);
            if (str_starts(str_text(&word), prefix)) {
                str_addf(out, "%s\t", str_text(&word));
                human_traffic(out, list[i]->size);
                str_add_char(out, '\n');
            }
            str_done(&word);
        }
    }
    image_list_free(list, count);
    image_store_close(store);
}

/* Names, or ids when what was typed begins no name. A shell must see no error. */
static void offer_instances(void *opaque, enum complete which, const char *prefix, struct str *out)
{
    struct instances *home =
        which == COMPLETE_IMAGE ? NULL : instances_open(&(struct instances_config){0}, NULL);
    struct instance **list = NULL;
    size_t count = 0, offers = 0;
    int64_t now = human_now();

    if (which == COMPLETE_IMAGE)
        offer_images(prefix, out);
    if (!home)
        return;
    if (instance_list(home, &list, &count, NULL) < 0)
        count = 0;
    for (int ids = 0; ids < 2 && !offers; ids++) {
        for (size_t i = 0; i < count; i++) {
            const char *word = ids ? list[i]->id : list[i]->name;
            if (!offered(which, list[i]->state) || !str_starts(word, prefix))
                continue;
            offers++;
            str_addf(out, ids ? "%.12s\t" : "%s\t", word);
            row_status(list[i], now, out);
            str_add_char(out, '\n');
        }
    }
    instance_list_free(list, count);
    instances_close(home);
}

int verb_complete(struct cli *cli, struct args *args)
{
    struct str out = {0};

    complete_words(args->words, (size_t)args->word_count, &out, offer_instances, NULL);
    cli_print(str_text(&out));
    str_done(&out);
    return 0;
}

static int write_page(const char *directory, const char *name, struct str *text, struct error *err)
{
    char *path = str_format("%s/%s.1", directory, name);
    FILE *file = path ? fopen(path, "we") : NULL;
    int r = 0;

    if (!file)
        r = error_set_errno(err, -errno, "write %s", path ? path : name);
    else if (fputs(str_text(text), file) < 0)
        r = error_set_errno(err, -errno, "write %s", path);
    if (file && fclose(file) != 0 && r == 0)
        r = error_set_errno(err, -errno, "write %s", path);
    free(path);
    str_done(text);
    return r;
}

int verb_man(struct cli *cli, struct args *args)
{
    const char *directory = args->words[0];
    struct str text = {0};
    struct error err = {0};
    int r;

    /* A build makes the directory, too; one that is not there shows at the first page. */
    mkdir(directory, 0777);
    document_man(&text);
    r = write_page(directory, "isola", &text, &err);
    for (const struct verb *v = NULL; r == 0 && (v = verb_next(v));) {
        char *name;
        if (!v->group)
            continue;
        name = str_format("isola-%s", v->name);
        for (char *p = name; p && *p; p++)
            *p = *p == ' ' ? '-' : *p;
        document_man_verb(v, &text);
        r = name ? write_page(directory, name, &text, &err) : -ENOMEM;
        free(name);
    }
    if (r < 0)
        cli_error(cli, &err);
    return r < 0 ? EXIT_FAILED : 0;
}

int verb_markdown(struct cli *cli, struct args *args)
{
    struct str text = {0};

    document_markdown(&text);
    cli_print(str_text(&text));
    str_done(&text);
    return 0;
}

int verb_supervise(struct cli *cli, struct args *args)
{
    uint64_t fds = 0;

    if (args->word_count > 1 && str_parse_u64(args->words[1], &fds) < 0)
        return EXIT_OWN;
    return cli_home(cli) ? instance_supervise(cli->home, args->words[0], (unsigned)fds) : EXIT_OWN;
}
