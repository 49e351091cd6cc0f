/* SPDX-License-Identifier: Apache-2.0 */
/* disk create, info, check, convert; import, when it is given a disk. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "cli/disk_copy.h"
#include "io/disk_clone.h"
#include "cli/human.h"
#include "cli/image_program.h"
#include "cli/output.h"
#include "io/disk_file.h"
#include "io/disk_image.h"
#include "io/disk_probe.h"
#include "io/qcow2.h"

enum { CHECK_ERRORS = 2, CHECK_LEAKS = 3 };

static int fail(struct cli *cli, struct error *err, const char *path)
{
    error_wrap(err, err->code, "%s", path);
    cli_error(cli, err);
    return EXIT_FAILED;
}

/* The format and size of the image that a new one is to lie over. */
static int look_at_backing(const char *path, const char *name, const char *format,
                           const char **ret_format, uint64_t *ret_size, struct error *err)
{
    cleanup_free char *below = disk_image_backing_path(path, name, err);
    const struct disk_image_options o = {.format = format, .readonly = true, .shared = true};
    struct disk *disk = below ? disk_image_open(below, &o, err) : NULL;

    if (!disk)
        return error_wrap(err, err->code, "backing file %s", below ? below : name);
    *ret_format = disk->format;
    *ret_size = disk->size;
    disk_close(disk);
    return 0;
}

static int make_image(const char *path, const char *format, const struct qcow2_create *c,
                      struct error *err)
{
    struct disk *file = disk_new_file(path, err);
    int r;

    if (!file)
        return err->code;
    if (strcmp(format, "qcow2") == 0)
        r = qcow2_create(file, c, err);
    else if (ftruncate(disk_file_fd(file), (off_t)c->size) < 0)
        r = error_set_errno(err, -errno, "set its size");
    else
        r = 0;
    disk_close(file);
    if (r < 0)
        unlink(path);
    return r;
}

int verb_disk_create(struct cli *cli, struct args *args)
{
    const char *path = args->words[0], *format = args_text(args, "format"),
               *size = args->word_count > 1 ? args->words[1] : NULL;
    struct qcow2_create c = {.backing = args_text(args, "backing")};
    uint64_t cluster = args_number(args, "cluster-size");
    struct error err = {0};
    int r = 0;

    if (cluster < 512 || cluster > 2 << 20 || cluster & (cluster - 1))
        r = error_set(&err, -EINVAL, "option --cluster-size: not a power of two from 512 to 2m");
    else
        c.cluster_bits = (unsigned)__builtin_ctzll(cluster);
    if (r == 0 && c.backing && strcmp(format, "qcow2") != 0)
        r = error_set(&err, -EINVAL, "only qcow2 images have a backing file");
    if (r == 0 && !c.backing && !size)
        r = error_set(&err, -EINVAL, "say its size: isola disk create %s 20g", path);
    if (r == 0 && c.backing)
        r = look_at_backing(path, c.backing, args_text(args, "backing-format"), &c.backing_format,
                            &c.size, &err);
    if (r == 0 && size && (str_parse_size(size, 1, &c.size) < 0 || !c.size || c.size >> 55))
        r = error_set(&err, -EINVAL, "\"%.40s\" is no size, such as 512m or 20g", size);
    if (r == 0)
        r = make_image(path, format, &c, &err);
    return r < 0 ? fail(cli, &err, path) : 0;
}

static void add_qcow2(json_t *o, const char *path, const struct qcow2_info *i)
{
    json_object_set_new(o, "virtual_size", json_integer((json_int_t)i->size));
    json_object_set_new(o, "version", json_integer(i->version));
    json_object_set_new(o, "cluster_size", json_integer(1 << i->cluster_bits));
    json_object_set_new(o, "refcount_bits", json_integer(i->refcount_bits));
    json_object_set_new(o, "snapshots", json_integer(i->snapshots));
    json_object_set_new(o, "dirty", json_boolean(i->dirty));
    json_object_set_new(o, "corrupt", json_boolean(i->corrupt));
    if (i->backing[0]) {
        cleanup_free char *below = disk_image_backing_path(path, i->backing, NULL);
        json_object_set_new(o, "backing", json_string(i->backing));
        json_object_set_new(o, "backing_format", json_string(i->backing_format));
        if (below)
            json_object_set_new(o, "backing_path", json_string(below));
    }
}

/* What is known of the image; NULL with @err set. */
static json_t *describe(const char *path, struct error *err)
{
    struct disk *file = disk_image_file(path, err);
    struct qcow2_info info;
    const char *format;
    struct stat st;
    json_t *o = NULL;
    int r = file ? disk_probe(file, &format) : err->code;

    if (file && r < 0)
        error_set_errno(err, r, "look at its first bytes");
    if (r == 0 && strcmp(format, "qcow2") == 0)
        r = qcow2_info(file, &info, err);
    if (r == 0 && fstat(disk_file_fd(file), &st) < 0)
        r = error_set_errno(err, -errno, "look at it");
    if (r == 0) {
        o = json_pack("{s:s, s:s, s:I, s:I}", "path", path, "format", format, "file_size",
                      (json_int_t)file->size, "disk_usage", (json_int_t)st.st_blocks * 512);
        if (o && strcmp(format, "qcow2") == 0)
            add_qcow2(o, path, &info);
        else if (o && !disk_is_foreign(format))
            json_object_set_new(o, "virtual_size", json_integer((json_int_t)file->size));
        if (!o) /* a path that is no UTF-8 */
            error_set(err, -EINVAL, "its name is no UTF-8 text");
    }
    disk_close(file);
    return o;
}

static void print_size(const char *label, json_t *value)
{
    struct str text = {0};

    if (!value)
        return;
    human_size(&text, (uint64_t)json_integer_value(value));
    printf("%-14s%s (%lld bytes)\n", label, str_text(&text), (long long)json_integer_value(value));
    str_done(&text);
}

static void print_info(const json_t *o)
{
    const char *backing = json_string_value(json_object_get(o, "backing"));

    printf("%-14s%s\n", "Image:", json_string_value(json_object_get(o, "path")));
    printf("%-14s%s\n", "Format:", json_string_value(json_object_get(o, "format")));
    print_size("Disk:", json_object_get(o, "virtual_size"));
    print_size("File:", json_object_get(o, "file_size"));
    print_size("Takes:", json_object_get(o, "disk_usage"));
    print_size("Clusters:", json_object_get(o, "cluster_size"));
    if (backing)
        printf("%-14s%s (%s)\n", "Backing file:", backing,
               json_string_value(json_object_get(o, "backing_format")));
    if (json_integer_value(json_object_get(o, "snapshots")))
        printf("%-14s%lld\n",
               "Snapshots:", (long long)json_integer_value(json_object_get(o, "snapshots")));
    if (json_is_true(json_object_get(o, "dirty")))
        puts("It was not closed well; its reference counts are made right when it is opened.");
    if (json_is_true(json_object_get(o, "corrupt")))
        puts("It is marked as damaged.");
}

int verb_disk_info(struct cli *cli, struct args *args)
{
    const char *format = args_bool(args, "json") ? "json" : args_text(args, "format");
    struct error err = {0};
    json_t *o = describe(args->words[0], &err);

    if (!o)
        return fail(cli, &err, args->words[0]);
    if (format)
        return output_print_object(cli, format, o);
    print_info(o);
    json_decref(o);
    return 0;
}

static int print_check(struct cli *cli, const struct args *args, const struct qcow2_check *c)
{
    const char *format = args_bool(args, "json") ? "json" : args_text(args, "format");
    bool repaired = c->repaired >= c->leaks + c->errors;

    if (format) {
        int status = output_print_object(
            cli, format,
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "clusters", (json_int_t)c->clusters,
                      "allocated", (json_int_t)c->allocated, "compressed", (json_int_t)c->packed,
                      "leaks", (json_int_t)c->leaks, "errors", (json_int_t)c->errors, "repaired",
                      (json_int_t)c->repaired));
        if (status)
            return status;
    } else if (!c->leaks && !c->errors) {
        printf("%s: all is well; %llu clusters hold data\n", args->words[0],
               (unsigned long long)c->allocated);
    } else {
        printf("%s: %llu errors, %llu leaked clusters, %llu repaired\n", args->words[0],
               (unsigned long long)c->errors, (unsigned long long)c->leaks,
               (unsigned long long)c->repaired);
    }
    return repaired ? 0 : c->errors ? CHECK_ERRORS : CHECK_LEAKS;
}

int verb_disk_check(struct cli *cli, struct args *args)
{
    const char *path = args->words[0], *what = args_text(args, "repair");
    enum qcow2_repair repair = !what                      ? QCOW2_REPAIR_NOT
                               : strcmp(what, "all") == 0 ? QCOW2_REPAIR_ALL
                                                          : QCOW2_REPAIR_LEAKS;
    const struct disk_image_options o = {
        .format = "qcow2", .readonly = repair == QCOW2_REPAIR_NOT, .check = true, .alone = true};
    struct qcow2_check found = {0};
    struct error err = {0};
    struct disk *disk = disk_image_open(path, &o, &err);
    int r = disk ? qcow2_check(disk, repair, &found, &err) : err.code, closed;

    closed = disk_close(disk);
    if (r == 0 && closed < 0)
        r = error_set_errno(&err, closed, "write what was repaired");
    return r < 0 ? fail(cli, &err, path) : print_check(cli, args, &found);
}

int verb_disk_convert(struct cli *cli, struct args *args)
{
    const char *format = args_text(args, "format");
    struct error err = {0};

    if (disk_copy(args->words[0], strcmp(format, "auto") == 0 ? NULL : format, args->words[1],
                  args_text(args, "output"), &err) < 0)
        return fail(cli, &err, args->words[0]);
    return 0;
}

/* The format of @path when it is a disk image, not an archive of files; else NULL. */
static const char *disk_format(const char *path)
{
    struct disk *file = strcmp(path, "-") == 0 ? NULL : disk_image_file(path, NULL);
    const char *format = NULL;

    if (!file || disk_probe(file, &format) < 0)
        format = NULL;
    disk_close(file);
    return format && (disk_is_foreign(format) || strcmp(format, "qcow2") == 0) ? format : NULL;
}

/* "disk.qcow2" here, for "/some/where/disk.vmdk". New. */
static char *imported_name(const char *path)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path,
               *dot = strrchr(base, '.');

    return str_format("%.*s.qcow2", (int)(dot && dot > base ? dot - base : (long)strlen(base)),
                      base);
}

int verb_import(struct cli *cli, struct args *args)
{
    const char *path = args->words[0], *format = disk_format(path);
    cleanup_free char *made = NULL;
    struct error err = {0};

    if (!format)
        return image_program_become(cli, args);
    made = args->word_count > 1 ? strdup(args->words[1]) : imported_name(path);
    if (!made)
        error_set(&err, -ENOMEM, "out of memory");
    else if (disk_copy(path, format, made, "qcow2", &err) == 0) {
        printf("%s\n", made);
        return 0;
    }
    return fail(cli, &err, path);
}
