/* SPDX-License-Identifier: Apache-2.0 */
/* Log files and the console in front of them. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/loop.h"
#include "base/mem.h"
#include "base/own.h"
#include "instance/console.h"

static char dir[64];
static struct error err;

static int set_up(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/isola-log-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[128];

    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

static char *slurp(const char *name)
{
    cleanup_free char *path = str_format("%s/%s", dir, name);
    struct str out = {0};
    char buf[4096];
    FILE *f = fopen(path, "r");
    size_t n;

    if (!f)
        return NULL;
    while ((n = fread(buf, 1, sizeof buf, f)) > 0)
        str_add_n(&out, buf, n);
    fclose(f);
    str_add(&out, "");
    return str_steal(&out);
}

/* All text of a file's lines, put together. */
static struct str texts(const char *name, unsigned *ret_lines)
{
    cleanup_free char *all = slurp(name);
    struct str out = {0};

    *ret_lines = 0;
    for (char *p = all, *end; p && (end = strchr(p, '\n')); p = end + 1) {
        enum log_stream stream;
        int64_t when;
        if (log_line_parse(p, (size_t)(end - p), &when, &stream, &out) < 0)
            fail_msg("bad line: %.*s", (int)(end - p), p);
        assert_true(when > 1000000000000000000);
        ++*ret_lines;
    }
    return out;
}

static void every_byte_survives(void **state)
{
    struct log_file *log = log_file_open(dir, 1 << 20, 3, &err);
    uint8_t all[512];
    unsigned lines;
    struct str got;

    assert_non_null(log);
    for (unsigned i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    memcpy(all + 256, "caf\xc3\xa9 \xf0\x9f\x8f\x9d \"q\" \\\n", 18);
    log_file_add(log, LOG_STREAM_STDOUT, all, 256);
    log_file_add(log, LOG_STREAM_STDOUT, (uint8_t *)"\n", 1);
    log_file_add(log, LOG_STREAM_STDOUT, all + 256, 18);
    log_file_add(log, LOG_STREAM_STDOUT, (uint8_t *)"prompt> ", 8);
    assert_true(log_file_pending(log));
    log_file_close(log);
    got = texts("console.log", &lines);
    assert_int_equal(lines, 4); /* byte 10 ends one */
    assert_int_equal(got.len, 256 + 1 + 18 + 8);
    assert_memory_equal(got.data, all, 256);
    assert_memory_equal(got.data + 257, all + 256, 18);
    str_done(&got);
}

static void long_lines_are_cut_not_lost(void **state)
{
    struct log_file *log = log_file_open(dir, 1 << 20, 3, &err);
    static uint8_t big[3 * LOG_LINE_MAX];
    unsigned lines;
    struct str got;

    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = '\n';
    log_file_add(log, LOG_STREAM_DEBUG, big, sizeof big);
    assert_false(log_file_pending(log));
    log_file_close(log);
    got = texts("console.log", &lines);
    assert_int_equal(lines, 3);
    assert_int_equal(got.len, sizeof big);
    str_done(&got);
}

static void files_rotate(void **state)
{
    struct log_file *log = log_file_open(dir, 8192, 3, &err);
    char line[64], path[96];
    struct stat st;
    unsigned lines;

    for (int i = 0; i < 1000; i++) {
        int n = snprintf(line, sizeof line, "line %d\n", i);
        log_file_add(log, LOG_STREAM_STDOUT, (uint8_t *)line, (size_t)n);
    }
    log_file_close(log);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, i ? "%s/console.log.%d" : "%s/console.log", dir, i);
        assert_int_equal(stat(path, &st), 0);
        assert_true(st.st_size < 8192 + 200);
    }
    snprintf(path, sizeof path, "%s/console.log.3", dir);
    assert_int_not_equal(stat(path, &st), 0);
    struct str newest = texts("console.log", &lines), before = texts("console.log.1", &lines);
    assert_true(lines > 10);
    /* the last line is the last; where one file ends the next begins */
    if (newest.len)
        assert_string_equal(newest.data + newest.len - 9, "line 999\n");
    str_done(&newest);
    str_done(&before);
}

/* Writes beyond the limit fail with EFBIG, as on a full disk. */
static void lost_lines_are_counted(void **state)
{
    struct log_file *log = log_file_open(dir, 1 << 20, 3, &err);
    struct rlimit old, small = {2000, RLIM_INFINITY};
    char line[128];
    unsigned lines;
    struct str got;

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    for (int i = 0; i < 100; i++) {
        int n = snprintf(line, sizeof line, "line %d\n", i);
        log_file_add(log, LOG_STREAM_STDOUT, (uint8_t *)line, (size_t)n);
    }
    setrlimit(RLIMIT_FSIZE, &old);
    log_file_add(log, LOG_STREAM_STDOUT, (uint8_t *)"after\n", 6);
    log_file_close(log);
    got = texts("console.log", &lines); /* no torn line among them */
    unsigned lost = 0;
    char *told = strstr(got.data, "after\n");
    assert_non_null(told);
    assert_int_equal(sscanf(told + 6, "%u lines could not be written", &lost), 1);
    assert_int_equal(lines - 2 + lost, 100);
    str_done(&got);
}

static void garbage_lines_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "x",
        "{\"time\":\"x\",\"stream\":\"stdout\",\"log\":\"\"}",
        "{\"time\":\"2026-01-31T12:00:00.000000000Z\",\"stream\":\"nosuch\",\"log\":\"\"}",
        "{\"time\":\"2026-01-31T12:00:00.000000000Z\",\"stream\":\"stdout\"}",
        "{\"time\":\"2026-01-31T12:00:00.000000000Z\",\"stream\":\"stdout\",\"log64\":\"*\"}"};

    for (size_t i = 0; i < array_size(bad); i++) {
        struct str text = {0};
        enum log_stream stream;
        int64_t when;
        assert_true(log_line_parse(bad[i], strlen(bad[i]), &when, &stream, &text) < 0);
        str_done(&text);
    }
}

struct device {
    size_t room;
    struct str got;
    unsigned writable, columns, rows;
};

static size_t device_room(void *opaque)
{
    return ((struct device *)opaque)->room;
}

static void device_input(void *opaque, const uint8_t *bytes, size_t n)
{
    struct device *d = opaque;

    assert_true(n <= d->room);
    d->room -= n;
    str_add_n(&d->got, bytes, n);
}

static void device_writable(void *opaque)
{
    ((struct device *)opaque)->writable++;
}

static void device_resize(void *opaque, unsigned columns, unsigned rows)
{
    struct device *d = opaque;

    d->columns = columns;
    d->rows = rows;
}

static void nothing(void *opaque)
{
}

static void console_queues_and_waits(void **state)
{
    struct loop *loop = loop_new(&err);
    struct log_file *log = log_file_open(dir, 1 << 24, 3, &err);
    struct console *c = console_new(loop, log, &err);
    struct chardev *ch = console_chardev(c);
    struct device d = {.room = 3};
    const struct chardev_client client = {.room = device_room,
                                          .input = device_input,
                                          .writable = device_writable,
                                          .resize = device_resize,
                                          .opaque = &d};
    static uint8_t big[CONSOLE_RING], back[CONSOLE_RING];
    struct console_reader *slow, *lossy;
    uint64_t skipped;

    /* what comes before the device waits for it, the size too */
    assert_int_equal(console_input(c, (uint8_t *)"hello", 5), 5);
    console_resize(c, 90, 20);
    ch->ops->attach(ch, &client);
    assert_int_equal(d.columns, 90);
    assert_string_equal(d.got.data, "hel");
    d.room = 100;
    ch->ops->ready(ch);
    assert_string_equal(d.got.data, "hello");
    /* a bounded queue */
    d.room = 0;
    assert_int_equal(console_input(c, big, CONSOLE_INPUT + 1), CONSOLE_INPUT);
    assert_int_equal(console_input_room(c), 0);
    /* a reader that is waited for stops the device, another loses */
    slow = console_reader_new(c, false, true, nothing, NULL);
    lossy = console_reader_new(c, false, false, nothing, NULL);
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (uint8_t)(i % 64 == 63 ? '\n' : 'a' + i % 26);
    assert_int_equal(ch->ops->write(ch, big, sizeof big), sizeof big);
    assert_int_equal(ch->ops->write(ch, big, 10), 0);
    assert_int_equal(console_read(slow, CONSOLE_OUTPUT, back, 100, &skipped), 100);
    assert_int_equal(d.writable, 1);
    assert_int_equal(ch->ops->write(ch, big, 200), 100);
    assert_int_equal(console_read(lossy, CONSOLE_OUTPUT, back, sizeof back, &skipped), sizeof back);
    assert_int_equal(skipped, 100);
    assert_memory_equal(back, big + 100, sizeof back - 100);
    assert_int_equal(ch->ops->write(ch, big, 1), 0);
    console_reader_free(slow); /* nobody to wait for any more */
    assert_int_equal(d.writable, 2);
    assert_int_equal(ch->ops->write(ch, big, 10), 10);
    assert_true(console_readable(lossy));
    console_reader_free(lossy);
    str_done(&d.got);
    console_free(c);
    log_file_close(log);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_byte_survives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_lines_are_cut_not_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_rotate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lost_lines_are_counted, set_up, tear_down),
        cmocka_unit_test(garbage_lines_are_refused),
        cmocka_unit_test_setup_teardown(console_queues_and_waits, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
