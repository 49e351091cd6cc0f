/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Archives and what is made of them: written and read again, extracted into a directory, exported
 * from it; compression in pieces of every size; a layer unpacked by the child.
 */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/decode.h"
#include "image/encode.h"
#include "image/extract.h"
#include "image/layer_export.h"
#include "image/layer_pack.h"
#include "image/store_internal.h"
#include "image/tar_write.h"

static char dir[64];
static int dir_fd;

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/isola-layer-XXXXXX");
    assert_non_null(mkdtemp(dir));
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir_fd < 0;
}

static int teardown(void **state)
{
    (void)state;
    close(dir_fd);
    return store_remove_tree(AT_FDCWD, dir);
}

static int sink(void *opaque, const void *bytes, size_t n, struct error *err)
{
    (void)err;
    str_add_n(opaque, bytes, n);
    return 0;
}

/* Bytes that are given in pieces. */
struct input {
    const char *bytes;
    size_t n, step;
};

static int fill(void *opaque, const uint8_t **ret, size_t *ret_n, struct error *err)
{
    struct input *in = opaque;

    (void)err;
    *ret = (const uint8_t *)in->bytes;
    *ret_n = min_of(in->n, in->step);
    in->bytes += *ret_n;
    in->n -= *ret_n;
    return 0;
}

/* Adds an entry with text as its content. */
static void put(struct tar_writer *w, struct tar_entry e, const char *text)
{
    e.link = e.link ? e.link : "";
    e.size = text ? strlen(text) : 0;
    e.mode = e.mode ? e.mode : 0644;
    e.uid = e.uid ? e.uid : geteuid();
    e.gid = e.gid ? e.gid : getegid();
    assert_int_equal(tar_write_entry(w, &e, NULL), 0);
    if (text)
        assert_int_equal(tar_write_data(w, text, strlen(text), NULL), 0);
}

#define ENTRY(path_, type_, ...)                                                                   \
    (struct tar_entry)                                                                             \
    {                                                                                              \
        .path = path_, .type = type_, ##__VA_ARGS__                                                \
    }

static void written_is_read(void **state)
{
    static const struct tar_xattr attributes[] = {{(char *)(uintptr_t) "user.b", "x\0y", 3},
                                                  {(char *)(uintptr_t) "user.a", "", 0}};
    char longer[300], part[160];
    struct str out = {0};
    struct tar_writer *w = tar_writer_new(sink, &out);
    const struct tar_entry *e;

    (void)state;
    memset(part, 'p', sizeof part - 1);
    part[sizeof part - 1] = 0;
    snprintf(longer, sizeof longer, "%.120s/%.90s", part, part);
    put(w,
        ENTRY(longer, TAR_FILE, .mode = 06755, .uid = 4294967294, .gid = 2097152, .mtime = -2,
              .mtime_ns = 250000000),
        "text");
    put(w, ENTRY(part, TAR_SYMLINK, .link = longer, .mtime = 1ll << 40), NULL);
    put(w, ENTRY("dev", TAR_CHAR, .major = 1, .minor = 3), NULL);
    put(w, ENTRY("d/", TAR_DIR, .xattrs = attributes, .xattr_count = 2), NULL);
    assert_int_equal(tar_write_end(w, NULL), 0);
    assert_int_equal(out.len % 512, 0);
    for (size_t step = 1; step < 1500; step += 499) {
        struct input in = {out.data, out.len, step};
        struct tar_reader *t = tar_reader_new(fill, &in);
        const uint8_t *p;
        size_t n;
        assert_int_equal(tar_next(t, &e, NULL), 1);
        assert_string_equal(e->path, longer);
        assert_int_equal(e->mode, 06755);
        assert_true(e->uid == 4294967294 && e->gid == 2097152 && e->size == 4);
        assert_true(e->mtime == -2 && e->mtime_ns == 250000000);
        assert_int_equal(tar_data(t, &p, &n, NULL), 0);
        assert_true(n > 0 && *p == 't'); /* the rest is skipped */
        assert_int_equal(tar_next(t, &e, NULL), 1);
        assert_string_equal(e->path, part);
        assert_string_equal(e->link, longer);
        assert_true(e->mtime == 1ll << 40);
        assert_int_equal(tar_next(t, &e, NULL), 1);
        assert_true(e->type == TAR_CHAR && e->major == 1 && e->minor == 3);
        assert_int_equal(tar_next(t, &e, NULL), 1);
        assert_int_equal(e->xattr_count, 2);
        assert_string_equal(e->xattrs[0].name, "user.a"); /* sorted */
        assert_int_equal(e->xattrs[1].size, 3);
        assert_memory_equal(e->xattrs[1].value, "x\0y", 3);
        assert_int_equal(tar_next(t, &e, NULL), 0);
        tar_reader_free(t);
    }
    tar_writer_free(w);
    str_done(&out);
}

static int extract(struct str *archive, const int *lowers, size_t count, struct extract_result *ret,
                   struct error *err)
{
    struct extract_options options = {.squash = geteuid() != 0};
    struct input in = {archive->data, archive->len, 1000};
    struct extract *x = extract_new(dir_fd, &options);
    int r = extract_archive(x, fill, &in, err);

    if (r == 0)
        r = extract_inherit(x, lowers, count, err);
    *ret = *extract_result(x);
    extract_free(x);
    return r;
}

static void stat_at(const char *path, struct stat *st)
{
    assert_int_equal(fstatat(dir_fd, path, st, AT_SYMLINK_NOFOLLOW), 0);
}

static void extracts(void **state)
{
    struct str out = {0}, again = {0};
    struct tar_writer *w = tar_writer_new(sink, &out);
    struct extract_result result;
    struct error err = {0};
    struct stat st, other;
    char value[8] = "";
    mode_t mask = umask(0);

    (void)state;
    put(w, ENTRY("./", TAR_DIR, .mode = 0711), NULL);
    put(w, ENTRY("a/b/f", TAR_FILE, .mode = 04755, .mtime = 5, .mtime_ns = 6), "content");
    put(w, ENTRY("a/b/h", TAR_HARDLINK, .link = "./a//b/f"), NULL);
    put(w, ENTRY("a/b/", TAR_DIR, .mode = 0500, .mtime = 77), NULL);
    put(w, ENTRY("a/b/late", TAR_FILE), "");
    put(w, ENTRY("a/l", TAR_SYMLINK, .link = "/nowhere", .mtime = 9), NULL);
    put(w, ENTRY("a/.wh.gone", TAR_FILE), NULL);
    put(w, ENTRY("o/.wh..wh..opq", TAR_FILE), NULL);
    put(w, ENTRY("o/.wh..wh.plnk", TAR_FILE), NULL);
    put(w, ENTRY("a/l", TAR_FILE), "a file instead");
    assert_int_equal(tar_write_end(w, NULL), 0);
    assert_int_equal(extract(&out, NULL, 0, &result, &err), 0);
    assert_int_equal(result.entries, 10);
    assert_int_equal(result.bytes, strlen("content") + strlen("a file instead"));
    stat_at(".", &st);
    assert_int_equal(st.st_mode & 07777, 0711);
    stat_at("a/b/f", &st);
    assert_int_equal(st.st_mode & 07777, 04755);
    assert_true(st.st_mtim.tv_sec == 5 && st.st_mtim.tv_nsec == 6);
    stat_at("a/b/h", &other);
    assert_int_equal(st.st_ino, other.st_ino);
    stat_at("a/b", &st);
    assert_true((st.st_mode & 07777) == 0500 && st.st_mtim.tv_sec == 77);
    stat_at("a/l", &st);
    assert_true(S_ISREG(st.st_mode) && st.st_size == 14);
    stat_at("a/gone", &st);
    assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0));
    snprintf(value, sizeof value, "-");
    {
        cleanup_fd int o = openat(dir_fd, "o", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(fgetxattr(o, "user.overlay.opaque", value, sizeof value), 1);
        assert_int_equal(value[0], 'y');
    }
    /* What is exported says the same. */
    assert_int_equal(layer_export(dir_fd, sink, &again, &err), 0);
    {
        static const char *const names[] = {"a/",    "a/b/",     "a/b/f",
                                            "a/b/h", "a/b/late", "a/.wh.gone",
                                            "a/l",   "o/",       "o/.wh..wh..opq"};
        struct input in = {again.data, again.len, again.len};
        struct tar_reader *t = tar_reader_new(fill, &in);
        const struct tar_entry *e;
        for (size_t i = 0; i < array_size(names); i++) {
            assert_int_equal(tar_next(t, &e, NULL), 1);
            assert_string_equal(e->path, names[i]);
        }
        assert_int_equal(tar_next(t, &e, NULL), 0);
        tar_reader_free(t);
    }
    umask(mask);
    tar_writer_free(w);
    str_done(&out);
    str_done(&again);
}

/* Holes stay holes, there and back. */
static void keeps_holes(void **state)
{
    struct str out = {0};
    struct extract_result result;
    struct error err = {0};
    struct stat st;
    char byte = 'x', name[] = "other";
    int fd = openat(dir_fd, "thin", O_RDWR | O_CREAT | O_CLOEXEC, 0600), from = dir_fd;

    (void)state;
    assert_int_equal(pwrite(fd, &byte, 1, 3 << 20), 1);
    assert_int_equal(ftruncate(fd, 64 << 20), 0);
    close(fd);
    fd = openat(dir_fd, "empty", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, 32 << 20), 0);
    close(fd);
    assert_int_equal(layer_export(dir_fd, sink, &out, &err), 0);
    assert_true(out.len < 1 << 20);
    assert_int_equal(mkdirat(dir_fd, name, 0755), 0);
    dir_fd = openat(from, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (extract(&out, NULL, 0, &result, &err) < 0)
        fail_msg("%s", error_text(&err));
    stat_at("thin", &st);
    assert_int_equal(st.st_size, 64 << 20);
    assert_true(st.st_blocks < 4096);
    fd = openat(dir_fd, "thin", O_RDONLY | O_CLOEXEC);
    byte = 0;
    assert_int_equal(pread(fd, &byte, 1, 3 << 20), 1);
    assert_int_equal(byte, 'x');
    close(fd);
    stat_at("empty", &st);
    assert_int_equal(st.st_size, 32 << 20);
    close(dir_fd);
    dir_fd = from;
    str_done(&out);
}

/* A directory without an entry is what it is in the first layer below that has it. */
static void inherits(void **state)
{
    struct str out = {0};
    struct tar_writer *w = tar_writer_new(sink, &out);
    struct extract_result result;
    struct error err = {0};
    char lower[2][80];
    struct stat st;
    int lowers[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        char path[200];
        snprintf(lower[i], sizeof lower[i], "%s-%d", dir, i);
        assert_int_equal(mkdir(lower[i], 0755), 0);
        snprintf(path, sizeof path, "%s/d", lower[i]);
        assert_int_equal(mkdir(path, 0755), 0);
        if (i == 1) {
            strcat(path, "/e");
            assert_int_equal(mkdir(path, 0755), 0);
            assert_int_equal(chmod(path, 02751), 0);
        } else {
            assert_int_equal(chmod(path, 0700), 0);
        }
        lowers[i] = open(lower[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    put(w, ENTRY("d/e/f", TAR_FILE), "x");
    assert_int_equal(tar_write_end(w, NULL), 0);
    assert_int_equal(extract(&out, lowers, 2, &result, &err), 0);
    assert_int_equal(result.implicit, 2);
    stat_at("d", &st);
    assert_int_equal(st.st_mode & 07777, 0700);
    stat_at("d/e", &st);
    assert_int_equal(st.st_mode & 07777, 02751);
    for (int i = 0; i < 2; i++) {
        close(lowers[i]);
        store_remove_tree(AT_FDCWD, lower[i]);
    }
    tar_writer_free(w);
    str_done(&out);
}

static void compresses(void **state)
{
    static const enum encode_kind kinds[] = {ENCODE_PLAIN, ENCODE_GZIP, ENCODE_ZSTD};
    static const enum decode_kind back[] = {DECODE_PLAIN, DECODE_GZIP, DECODE_ZSTD};
    char *text = malloc(300000);

    (void)state;
    for (size_t i = 0; i < 300000; i++)
        text[i] = (char)("isola"[i % 5] + (i / 4001) % 7);
    for (size_t k = 0; k < array_size(kinds); k++) {
        struct str packed = {0}, plain = {0};
        struct encoder *e = encoder_new(kinds[k], sink, &packed);
        struct decoder *d;
        enum decode_kind seen;
        for (size_t at = 0; at < 300000; at += 1 + at % 7777)
            assert_int_equal(
                encoder_write(e, text + at, min_of(1 + at % 7777, 300000 - at), false, NULL), 0);
        assert_int_equal(encoder_write(e, NULL, 0, true, NULL), 0);
        encoder_free(e);
        assert_int_equal(decode_detect((uint8_t *)packed.data, packed.len, &seen, NULL), 0);
        assert_int_equal(seen, back[k]);
        d = decoder_new(seen);
        for (size_t at = 0; at < packed.len;) {
            size_t n = min_of(packed.len - at, 1 + at % 501), got = 1;
            const uint8_t *in = (uint8_t *)packed.data + at;
            uint8_t buf[333];
            at += n;
            while (n || got) {
                size_t before = n;
                assert_int_equal(decoder_run(d, &in, &n, buf, sizeof buf, &got, NULL), 0);
                str_add_n(&plain, buf, got);
                if (!got && n == before)
                    break;
            }
        }
        assert_true(decoder_complete(d));
        decoder_free(d);
        assert_int_equal(plain.len, 300000);
        assert_memory_equal(plain.data, text, 300000);
        if (kinds[k] != ENCODE_PLAIN)
            assert_true(packed.len < 100000);
        str_done(&packed);
        str_done(&plain);
    }
    free(text);
}

static ssize_t read_input(void *opaque, void *buf, size_t n, struct error *err)
{
    struct input *in = opaque;
    size_t k = min_of(in->n, in->step);

    (void)err;
    k = min_of(k, n);
    memcpy(buf, in->bytes, k);
    in->bytes += k;
    in->n -= k;
    return (ssize_t)k;
}

/* The whole way: a blob, a child that unpacks it, a layer in the store. */
static void unpacks(void **state)
{
    struct image_store *s = image_store_open(dir, NULL);
    struct str out = {0};
    struct tar_writer *w = tar_writer_new(sink, &out);
    struct layer layer, same;
    struct digest want;
    struct error err = {0};
    char path[STORE_PATH_MAX + 16];
    struct stat st;
    int r;

    (void)state;
    assert_int_equal(image_store_hold(s, &err), 0);
    put(w, ENTRY("f", TAR_FILE, .mode = 0640, .mtime = 4), "content");
    assert_int_equal(tar_write_end(w, NULL), 0);
    hash_bytes(out.data, out.len, &want);
    struct input in = {out.data, out.len, 100};
    r = layer_from_stream(s, read_input, &in, ENCODE_GZIP, NULL, 0, want.text, &layer, &err);
    if (r < 0 && strstr(error_text(&err), "user namespaces")) {
        print_message("skipped: %s\n", error_text(&err));
    } else {
        if (r < 0)
            fail_msg("%s", error_text(&err));
        assert_string_equal(layer.diff_id.text, want.text);
        assert_string_equal(layer.chain.text, want.text);
        store_layer_path(layer.chain.text, "diff/f", path);
        assert_int_equal(fstatat(s->fd, path, &st, 0), 0);
        assert_true((st.st_mode & 07777) == 0640 && st.st_mtim.tv_sec == 4 && st.st_size == 7);
        assert_int_equal(layer_read(s, layer.chain.text, &same, &err), 0);
        assert_memory_equal(&same.blob, &layer.blob, sizeof same.blob);
        assert_int_equal(layer_claim(s, layer.chain.text, false, &r, &err), -EEXIST);
        /* Another diff id than promised: nothing is kept. */
        hash_bytes("x", 1, &want);
        in = (struct input){out.data, out.len, 100};
        assert_int_equal(
            layer_from_stream(s, read_input, &in, ENCODE_PLAIN, NULL, 0, want.text, &same, &err),
            -EBADMSG);
        assert_false(layer_exists(s, want.text, NULL));
    }
    image_store_close(s);
    tar_writer_free(w);
    str_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_is_read),
        cmocka_unit_test_setup_teardown(extracts, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_holes, setup, teardown),
        cmocka_unit_test_setup_teardown(inherits, setup, teardown),
        cmocka_unit_test(compresses),
        cmocka_unit_test_setup_teardown(unpacks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
