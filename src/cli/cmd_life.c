/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that do one thing to each instance named. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/filter.h"
#include "cli/prune.h"
#include "cli/verbs.h"
#include "cli/vm_parts.h"
#include "instance/container_volume.h"
#include "instance/instance.h"

/* Does one thing to the instance @ref; says on stdout what is to be said. */
typedef int each_fn(struct cli *cli, const struct args *args, const char *ref, struct error *err);

static int for_each(struct cli *cli, const struct args *args, each_fn *fn)
{
    int status = 0;

    if (!cli_home(cli))
        return EXIT_FAILED;
    for (int i = 0; i < args->word_count; i++) {
        struct error err = {0};
        if (fn(cli, args, args->words[i], &err) < 0) {
            cli_error(cli, &err);
            status = EXIT_FAILED;
        }
        fflush(stdout);
    }
    return status;
}

static int said(int r, const char *ref)
{
    if (r == 0)
        printf("%s\n", ref);
    return r;
}

/* -1 (as the instance says) unless the option is given. */
static int timeout_of(const struct args *args)
{
    return args_given(args, "timeout")
               ? (int)min_of(args_number(args, "timeout"), (uint64_t)INT_MAX)
               : -1;
}

static int stop_one(struct cli *cli, const struct args *args, const char *ref, struct error *err)
{
    return said(instance_stop(cli->home, ref, timeout_of(args), err), ref);
}

static int restart_one(struct cli *cli, const struct args *args, const char *ref, struct error *err)
{
    int r = vm_parts_renew(cli->home, ref, err);

    return r < 0 ? r : said(instance_restart(cli->home, ref, timeout_of(args), err), ref);
}

static int kill_one(struct cli *cli, const struct args *args, const char *ref, struct error *err)
{
    return said(instance_kill(cli->home, ref, args_text(args, "signal"), err), ref);
}

static int pause_one(struct cli *cli, const struct args *args, const char *ref, struct error *err)
{
    return said(instance_pause(cli->home, ref, err), ref);
}

static int unpause_one(struct cli *cli, const struct args *args, const char *ref, struct error *err)
{
    return said(instance_unpause(cli->home, ref, err), ref);
}

/* Removes those volumes of @instance, which is gone, that nobody gave a name. */
static void remove_volumes(struct cli *cli, const struct instance *instance)
{
    const struct spec_container *c = &instance->spec->container;

    for (size_t i = 0; i < c->mount_count; i++) {
        struct volume v = {0};
        struct error err = {0};
        if (c->mounts[i].type != SPEC_MOUNT_VOLUME || !c->mounts[i].source ||
            c->mounts[i].borrowed ||
            volume_find(instances_data_dir(cli->home), c->mounts[i].source, &v, NULL) < 0)
            continue;
        if (v.anonymous && volume_remove(instances_data_dir(cli->home), v.name, &err) < 0)
            cli_error(cli, &err);
        volume_done(&v);
    }
}

static int rm_one(struct cli *cli, const struct args *args, const char *ref, struct error *err)
{
    bool force = args_bool(args, "force"), volumes = args_bool(args, "volumes");
    struct instance *instance = NULL;
    int r = volumes ? instance_find(cli->home, ref, &instance, err) : 0;

    if (r == 0)
        r = instance_rm(cli->home, ref, force, err);
    if (r == 0 && instance)
        remove_volumes(cli, instance);
    instance_free(instance);
    return r == -ENOENT && force ? 0 : said(r, ref);
}

static int wait_one(struct cli *cli, const struct args *args, const char *ref, struct error *err)
{
    const char *condition = args_text(args, "condition");
    int code = 0, r;

    r = instance_wait(cli->home, ref,
                      strcmp(condition, "removed") == 0     ? INSTANCE_WAIT_REMOVED
                      : strcmp(condition, "next-exit") == 0 ? INSTANCE_WAIT_NEXT_EXIT
                                                            : INSTANCE_WAIT_NOT_RUNNING,
                      &code, err);
    if (r == 0)
        printf("%d\n", code);
    return r;
}

int verb_stop(struct cli *cli, struct args *args)
{
    return for_each(cli, args, stop_one);
}

int verb_restart(struct cli *cli, struct args *args)
{
    return for_each(cli, args, restart_one);
}

int verb_kill(struct cli *cli, struct args *args)
{
    return for_each(cli, args, kill_one);
}

int verb_pause(struct cli *cli, struct args *args)
{
    return for_each(cli, args, pause_one);
}

int verb_unpause(struct cli *cli, struct args *args)
{
    return for_each(cli, args, unpause_one);
}

int verb_rm(struct cli *cli, struct args *args)
{
    return for_each(cli, args, rm_one);
}

int verb_wait(struct cli *cli, struct args *args)
{
    return for_each(cli, args, wait_one);
}

static int update_one(struct cli *cli, const struct args *args, const char *ref, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < args->value_count; i++) {
        const struct arg_value *v = &args->values[i];
        r = instance_update(cli->home, ref, v->option->name, v->text, err);
        if (r < 0)
            error_wrap(err, r, "option --%s", v->option->name);
    }
    return said(r, ref);
}

int verb_update(struct cli *cli, struct args *args)
{
    if (!args->value_count) {
        cli_complain(cli, "nothing to change; \"isola update --help\" lists what can be");
        return EXIT_USAGE;
    }
    return for_each(cli, args, update_one);
}

/*
 * Whether that file is what the record has in the drive already. The guest may have ejected it, so
 * that it is to be put in anew.
 */
static bool has_medium(struct cli *cli, const char *ref, const char *drive, const char *file)
{
    struct spec *wanted = spec_new();
    struct instance *instance = NULL;
    bool floppy = strcmp(drive, "floppy") == 0, same = false;

    if (wanted && spec_set(wanted, drive, file, NULL) == 0 &&
        instance_find(cli->home, ref, &instance, NULL) == 0) {
        const char *now = floppy ? instance->spec->floppy : instance->spec->cdrom,
                   *then = floppy ? wanted->floppy : wanted->cdrom;
        same = now && strcmp(now, then) == 0;
    }
    instance_free(instance);
    spec_free(wanted);
    return same;
}

int verb_media(struct cli *cli, struct args *args)
{
    bool eject = args_bool(args, "eject");
    struct error err = {0};

    if (strcmp(args->words[1], "cdrom") != 0 && strcmp(args->words[1], "floppy") != 0) {
        cli_complain(cli, "there is no drive \"%s\"; drives with media are cdrom and floppy",
                     args->words[1]);
        return EXIT_USAGE;
    }
    if (eject == (args->word_count == 3)) {
        cli_complain(cli, "either a file or --eject is needed");
        return EXIT_USAGE;
    }
    if (!cli_home(cli))
        return EXIT_FAILED;
    if ((!eject && has_medium(cli, args->words[0], args->words[1], args->words[2]) &&
         instance_update(cli->home, args->words[0], args->words[1], "none", &err) < 0) ||
        instance_update(cli->home, args->words[0], args->words[1], eject ? "none" : args->words[2],
                        &err) < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    return 0;
}

/* What "device add" and "device rm" know, and how the record calls it. */
static const struct {
    const char *name, *add, *remove;
} device_kinds[] = {{"disk", "disk", "disk-rm"}, {"nic", "nic-add", "nic-rm"}};

static int change_device(struct cli *cli, const char *ref, const char *key, const char *value)
{
    struct error err = {0};

    if (!cli_home(cli))
        return EXIT_FAILED;
    if (instance_update(cli->home, ref, key, value, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    return 0;
}

/* Of device_kinds; -1, having said so: there is no such kind. */
static int device_kind(const struct cli *cli, const char *name)
{
    for (size_t i = 0; i < array_size(device_kinds); i++)
        if (strcmp(device_kinds[i].name, name) == 0)
            return (int)i;
    cli_complain(cli, "\"%s\" can not come and go; a disk or a nic can", name);
    return -1;
}

int verb_device_add(struct cli *cli, struct args *args)
{
    int kind = device_kind(cli, args->words[1]), status;
    const char *value = args->word_count > 2 ? args->words[2] : NULL;
    char address[18];
    uint8_t random[3];

    if (kind < 0)
        return EXIT_USAGE;
    if (!value && strcmp(device_kinds[kind].name, "nic") != 0) {
        cli_complain(cli, "the file of the disk is missing");
        return EXIT_USAGE;
    }
    if (!value) {
        if (getrandom(random, sizeof random, 0) != sizeof random)
            return EXIT_FAILED;
        snprintf(address, sizeof address, "52:54:00:%02x:%02x:%02x", random[0], random[1],
                 random[2]);
        value = address;
    }
    status = change_device(cli, args->words[0], device_kinds[kind].add, value);
    if (status == 0 && value == address)
        printf("%s\n", address);
    return status;
}

int verb_device_rm(struct cli *cli, struct args *args)
{
    int kind = device_kind(cli, args->words[1]);

    return kind < 0 ? EXIT_USAGE
                    : change_device(cli, args->words[0], device_kinds[kind].remove, args->words[2]);
}

int verb_rename(struct cli *cli, struct args *args)
{
    struct error err = {0};

    if (!cli_home(cli))
        return EXIT_FAILED;
    if (instance_rename(cli->home, args->words[0], args->words[1], &err) < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    return 0;
}

static void print_removed(void *opaque, const struct instance *instance)
{
    printf("%s\n", instance->id);
}

/* With a filter: one by one. */
static int prune_matching(struct cli *cli, const struct filter *filter, struct error *err)
{
    struct instance **list = NULL;
    size_t count = 0;
    int r = instance_list(cli->home, &list, &count, err);

    for (size_t i = 0; r == 0 && i < count; i++) {
        if (lifecycle_supervised(list[i]->state) || !filter_match(filter, list[i]))
            continue;
        r = instance_rm(cli->home, list[i]->id, false, err);
        /* Someone else removed or started it in the meantime. */
        if (r == -ENOENT || r == -ESTALE)
            r = 0;
        else if (r == 0)
            print_removed(NULL, list[i]);
    }
    instance_list_free(list, count);
    return r;
}

int prune_instances(struct cli *cli, const struct args *args, const struct filter *filter,
                    struct error *err)
{
    if (!cli_home(cli))
        return -EIO;
    return args_given(args, "filter") ? prune_matching(cli, filter, err)
                                      : instance_prune(cli->home, true, print_removed, NULL, err);
}

int verb_prune(struct cli *cli, struct args *args)
{
    struct filter filter;
    struct error err = {0};

    if (filter_parse(&filter, args, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_USAGE;
    }
    if (prune_confirm(args, &err, "all instances that do not run%s",
                      args_given(args, "filter") ? " and match the filter" : "") < 0 ||
        prune_instances(cli, args, &filter, &err) < 0) {
        if (err.code)
            cli_error(cli, &err);
        return EXIT_FAILED;
    }
    return 0;
}
