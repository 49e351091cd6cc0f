/* SPDX-License-Identifier: Apache-2.0 */
/* The store: blobs that break off, names, removal, prune, configurations. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "image/writer_internal.h"

static char dir[64];

static int setup(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/isola-store-XXXXXX");
    assert_non_null(mkdtemp(dir));
    strcat(dir, "/images");
    *state = image_store_open(dir, NULL);
    return *state ? image_store_hold(*state, NULL) : -1;
}

static int teardown(void **state)
{
    char *slash;
    int fd;

    image_store_close(*state);
    *strrchr(dir, '/') = 0;
    slash = strrchr(dir, '/');
    *slash = 0;
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(store_remove_tree(fd, slash + 1), 0);
    close(fd);
    return 0;
}

/* An image with one layer that is only a directory. */
static struct digest make_image(struct image_store *s, const char *cmd, const char *arch,
                                const char *const *names)
{
    struct layer layer = {.media_type = "application/vnd.oci.image.layer.v1.tar", .size = 100};
    struct digest id;
    struct error err = {0};
    char config[1024], path[STORE_PATH_MAX];

    assert_int_equal(blob_put(s, cmd, strlen(cmd), &layer.blob, &err), 0);
    layer.diff_id = layer.chain = layer.blob;
    layer.blob_size = strlen(cmd);
    store_layer_path(layer.chain.text, NULL, path);
    mkdirat(s->fd, path, 0700);
    store_layer_path(layer.chain.text, "diff", path);
    mkdirat(s->fd, path, 0755);
    snprintf(config, sizeof config,
             "{\"architecture\":\"%s\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"%s\"],\"Labels\":{"
             "\"a\":\"b\"},\"Healthcheck\":{\"Test\":[\"NONE\"],\"Interval\":5}},"
             "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]},\"history\":[{\"created_by\":"
             "\"x\"}]}",
             arch, cmd, layer.diff_id.text);
    assert_int_equal(image_commit(s,
                                  &(struct image_new){.config = config,
                                                      .config_len = strlen(config),
                                                      .layers = &layer,
                                                      .layer_count = 1,
                                                      .names = names},
                                  &id, &err),
                     0);
    return id;
}

#define NAMES(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void finds(void **state)
{
    struct image_store *s = *state;
    struct digest id = make_image(s, "one", "amd64", NAMES("debian:bookworm", "a.b/c/d:e"));
    struct digest arm = make_image(s, "arm", "arm64", NAMES("debian:bookworm"));
    struct image *image = NULL;
    struct error err = {0};
    char prefix[16];

    assert_int_equal(image_find(s, "debian:bookworm", "linux/amd64", &image, &err), 0);
    assert_string_equal(image->id, id.text);
    assert_string_equal(image->names[0], "docker.io/library/debian:bookworm");
    assert_string_equal(image->names[1], "a.b/c/d:e");
    assert_string_equal(image->config.cmd[0], "one");
    assert_string_equal(image->config.labels[0].value, "b");
    assert_string_equal(image->config.health->test[0], "NONE");
    assert_int_equal(image->config.health->interval, 5);
    assert_string_equal(image->config.history[0].created_by, "x");
    assert_int_equal(image->layer_count, 1);
    assert_int_equal(access(image->layers[0], F_OK), 0);
    assert_int_equal(image->size, 100);
    image_free(image);
    assert_int_equal(image_find(s, "debian:bookworm", "arm64", &image, &err), 0);
    assert_string_equal(image->id, arm.text);
    image_free(image);
    assert_int_equal(image_find(s, "debian:bookworm", "linux/s390x", &image, &err), -ENOEXEC);
    snprintf(prefix, sizeof prefix, "%.6s", id.text + 7);
    assert_int_equal(image_find(s, prefix, NULL, &image, &err), 0);
    assert_string_equal(image->id, id.text);
    image_free(image);
    assert_int_equal(image_find(s, id.text, NULL, &image, &err), 0);
    image_free(image);
    assert_int_equal(image_find(s, "debian", NULL, &image, &err), -ENOENT);
    assert_string_equal(error_text(&err),
                        "no image \"debian\"; \"isola images\" lists what is here");
    assert_int_equal(image_find(s, "Bad Name", NULL, &image, &err), -EINVAL);
}

static void moves_names(void **state)
{
    struct image_store *s = *state;
    struct digest one = make_image(s, "one", "amd64", NAMES("a:1"));
    struct digest two = make_image(s, "two", "amd64", NAMES("a:1"));
    struct image **list, *image;
    struct error err = {0};
    size_t count;

    assert_int_equal(image_find(s, "a:1", NULL, &image, &err), 0);
    assert_string_equal(image->id, two.text);
    image_free(image);
    assert_int_equal(image_tag(s, one.text, "b", &err), 0);
    assert_int_equal(image_tag(s, "nothing", "b", &err), -ENOENT);
    assert_int_equal(image_tag(s, one.text, "b@sha256:00", &err), -EINVAL);
    assert_int_equal(image_list(s, &list, &count, &err), 0);
    assert_int_equal(count, 2);
    assert_string_equal(list[0]->id, two.text); /* the youngest first */
    assert_string_equal(list[1]->names[0], "docker.io/library/b:latest");
    assert_null(list[1]->names[1]);
    image_list_free(list, count);
}

static const char *used(void *opaque, const char *id)
{
    return opaque && strcmp(id, opaque) == 0 ? "web" : NULL;
}

static void removes(void **state)
{
    struct image_store *s = *state;
    struct digest one = make_image(s, "one", "amd64", NAMES("a:1", "b:1"));
    struct str report = {0};
    struct error err = {0};
    struct image_usage usage;
    struct image *image;
    uint64_t bytes;
    bool left;

    assert_int_equal(image_remove(s, one.text, false, NULL, NULL, &report, &left, &err), -EBUSY);
    assert_int_equal(image_remove(s, "a:1", false, NULL, NULL, &report, &left, &err), 0);
    assert_string_equal(str_text(&report), "Untagged: a:1\n");
    assert_int_equal(image_remove(s, "b:1", false, used, one.text, &report, &left, &err), -EBUSY);
    assert_non_null(strstr(error_text(&err), "instance web"));
    assert_int_equal(image_remove(s, "b:1", true, used, one.text, &report, &left, &err), 0);
    assert_int_equal(image_find(s, one.text, NULL, &image, &err), 0);
    assert_null(image->names[0]);
    image_free(image);
    /* This process holds the store: nothing is collected. */
    assert_int_equal(
        image_prune(s, &(struct image_prune_what){0}, NULL, NULL, &report, &bytes, &left, &err), 0);
    assert_int_equal(bytes, 0);
    assert_int_equal(image_usage(s, &usage, &err), 0);
    assert_int_equal(usage.images, 0);
    assert_true(usage.garbage_bytes > 0);
    close(steal_fd(&s->use));
    assert_int_equal(
        image_prune(s, &(struct image_prune_what){0}, NULL, NULL, &report, &bytes, &left, &err), 0);
    assert_int_equal(bytes, usage.garbage_bytes);
    assert_false(left);
    assert_int_equal(image_usage(s, &usage, &err), 0);
    assert_int_equal(usage.garbage_bytes, 0);
    str_done(&report);
}

/* A layer that only a step of a build knows goes when that is asked for. */
static void keeps_what_builds_left(void **state)
{
    struct image_store *s = *state;
    struct digest one = make_image(s, "one", "amd64", NAMES("a:1"));
    struct str report = {0};
    struct error err = {0};
    struct image_usage usage;
    struct digest layer;
    char path[STORE_PATH_MAX], name[256];
    uint64_t bytes;
    bool left;
    FILE *f;

    (void)one;
    hash_bytes("one", 3, &layer); /* the layer's chain in make_image */
    snprintf(name, sizeof name, "%s/../build", dir);
    mkdir(name, 0700);
    strcat(name, "/cache");
    mkdir(name, 0700);
    snprintf(name + strlen(name), 100, "/%064d", 7);
    f = fopen(name, "we");
    assert_non_null(f);
    fprintf(f, "%s\n2026-01-01T00:00:00Z", layer.text);
    fclose(f);
    close(steal_fd(&s->use));
    assert_int_equal(image_remove(s, "a:1", false, NULL, NULL, &report, &left, &err), 0);
    assert_int_equal(
        image_prune(s, &(struct image_prune_what){0}, NULL, NULL, &report, &bytes, &left, &err), 0);
    store_layer_path(layer.text, NULL, path);
    assert_int_equal(faccessat(s->fd, path, F_OK, 0), 0);
    assert_int_equal(image_usage(s, &usage, &err), 0);
    assert_int_equal(usage.layers, 0);
    assert_int_equal(usage.cache_layers, 1);
    assert_int_equal(image_prune(s, &(struct image_prune_what){.build_cache = true}, NULL, NULL,
                                 &report, &bytes, &left, &err),
                     0);
    assert_int_equal(faccessat(s->fd, path, F_OK, 0), -1);
    assert_int_equal(access(name, F_OK), -1);
    str_done(&report);
}

/* Without an index nothing is taken for garbage. */
static void refuses_without_index(void **state)
{
    struct image_store *s = *state;
    struct str report = {0};
    struct error err = {0};
    struct image **list;
    uint64_t bytes;
    bool left;
    size_t count;

    assert_int_equal(image_list(s, &list, &count, &err), 0); /* a new one is empty */
    image_list_free(list, count);
    make_image(s, "one", "amd64", NAMES("a:1"));
    assert_int_equal(unlinkat(s->fd, "index.json", 0), 0);
    close(steal_fd(&s->use));
    assert_true(image_prune(s, &(struct image_prune_what){0}, NULL, NULL, &report, &bytes, &left,
                            &err) < 0);
    assert_non_null(strstr(error_text(&err), "index.json is lost"));
    assert_true(image_store_hold(s, &err) < 0);
    assert_non_null(strstr(error_text(&err), "index.json is lost"));
    assert_int_equal(faccessat(s->fd, "layers", F_OK, 0), 0);
    str_done(&report);
}

static void resumes(void **state)
{
    struct image_store *s = *state, *other = image_store_open(dir, NULL);
    struct blob_writer *w, *second;
    struct digest want, got;
    struct error err = {0};
    uint64_t offset;

    hash_bytes("hello world", 11, &want);
    assert_string_equal(want.text,
                        "sha256:"
                        "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
    assert_int_equal(blob_begin(s, want.text, false, &w, &offset, &err), 0);
    assert_int_equal(blob_append(w, "hello", 5, &err), 0);
    assert_int_equal(blob_begin(other, want.text, false, &second, &offset, &err), -EBUSY);
    blob_abort(w);
    assert_int_equal(blob_begin(other, want.text, true, &w, &offset, &err), 0);
    assert_int_equal(offset, 5);
    assert_int_equal(blob_append(w, " world", 6, &err), 0);
    assert_int_equal(blob_commit(w, &got, &err), 0);
    assert_string_equal(got.text, want.text);
    assert_int_equal(blob_begin(s, want.text, false, &w, &offset, &err), -EEXIST);
    assert_true(blob_exists(s, want.text, &offset));
    assert_int_equal(offset, 11);

    hash_bytes("right", 5, &want);
    assert_int_equal(blob_begin(s, want.text, false, &w, &offset, &err), 0);
    assert_int_equal(blob_append(w, "wrong", 5, &err), 0);
    assert_int_equal(blob_commit(w, NULL, &err), -EBADMSG);
    assert_false(blob_exists(s, want.text, NULL));
    assert_int_equal(blob_begin(s, want.text, false, &w, &offset, &err), 0);
    assert_int_equal(offset, 0); /* what was wrong is not built upon */
    assert_int_equal(blob_append(w, "wrong", 5, &err), 0);
    assert_int_equal(blob_restart(w, &err), 0);
    assert_int_equal(blob_append(w, "right", 5, &err), 0);
    assert_int_equal(blob_commit(w, NULL, &err), 0);
    assert_int_equal(blob_begin(s, "sha256:../x", false, &w, &offset, &err), -EINVAL);
    image_store_close(other);
}

/* After a loss of power everything that the index does not know may be torn. */
static void recovers(void **state)
{
    struct image_store *s = *state, *other;
    struct digest one = make_image(s, "one", "amd64", NAMES("a:1")), lost;
    char path[256];
    FILE *f;

    assert_int_equal(blob_put(s, "torn", 4, &lost, NULL), 0);
    close(steal_fd(&s->use));
    snprintf(path, sizeof path, "%s/boot", dir);
    f = fopen(path, "w");
    fputs("another boot", f);
    fclose(f);
    other = image_store_open(dir, NULL);
    assert_int_equal(image_store_hold(other, NULL), 0);
    assert_false(blob_exists(other, lost.text, NULL));
    assert_true(blob_exists(other, one.text, NULL));
    image_store_close(other);
}

static void refuses_configs(void **state)
{
    static const struct {
        const char *text, *error;
    } bad[] = {
        {"", "not valid JSON"},
        {"[]", "not a JSON object"},
        {"{}", "\"rootfs\" is missing"},
        {"{\"rootfs\":{\"type\":\"zip\"}}", "only layers are known"},
        {"{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:1\"]}}", "is not a sha256"},
        {"{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[1]}}", "is not a string"},
        {"{\"config\":[],\"rootfs\":{\"type\":\"layers\"}}", "\"config\" is not an object"},
        {"{\"config\":{\"Env\":\"A=b\"},\"rootfs\":{}}", "\"Env\" is not an array"},
        {"{\"config\":{\"Labels\":{\"a\":1}},\"rootfs\":{}}", "label \"a\" is not a string"},
        {"{\"config\":{\"Healthcheck\":{\"Retries\":-1}},\"rootfs\":{}}", "whole number"},
        {"{\"rootfs\":{\"type\":\"layers\"},\"history\":[1]}", "is not an object"},
    };
    struct image_config config;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error err = {0};
        assert_true(image_config_parse(bad[i].text, strlen(bad[i].text), &config, &err) < 0);
        if (!strstr(error_text(&err), bad[i].error))
            fail_msg("%s: %s", bad[i].text, error_text(&err));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds, setup, teardown),
        cmocka_unit_test_setup_teardown(moves_names, setup, teardown),
        cmocka_unit_test_setup_teardown(removes, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_what_builds_left, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_without_index, setup, teardown),
        cmocka_unit_test_setup_teardown(resumes, setup, teardown),
        cmocka_unit_test_setup_teardown(recovers, setup, teardown),
        cmocka_unit_test(refuses_configs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
