/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "io/block_fault.h"
#include "io/block_file.h"
#include "io/block_mem.h"

enum { FILE_SIZE = 1 << 20 };

struct setup {
    struct loop *loop;
    char path[64];
};

struct call {
    struct block_request r;
    struct block_span span[3];
    int result;
    unsigned ended;
};

static int set_up(void **state)
{
    struct setup *t = mem_new(struct setup);
    int fd;

    t->loop = loop_new(NULL);
    strcpy(t->path, "/tmp/isola-block-XXXXXX");
    fd = mkstemp(t->path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, FILE_SIZE), 0);
    close(fd);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct setup *t = *state;

    unlink(t->path);
    loop_free(t->loop);
    free(t);
    return 0;
}

static void ended(struct block_request *r, int result)
{
    struct call *c = container_of(r, struct call, r);

    c->result = result;
    c->ended++;
}

static void prepare(struct call *c, enum block_op op, uint64_t offset, void *data, size_t len)
{
    *c = (struct call){.r = {.op = op, .offset = offset, .len = len, .done = ended}};
    c->span[0] = (struct block_span){data, len};
    c->r.spans = c->span;
    c->r.span_count = data ? 1 : 0;
}

/* Submits and lets the loop deliver the end. */
static int wait_for(struct setup *t, struct block *b, struct call *c)
{
    block_submit(b, &c->r);
    assert_int_equal(c->ended, 0); /* never inside submit */
    while (!c->ended)
        assert_int_equal(loop_step(t->loop, 1000, NULL), 0);
    assert_int_equal(c->ended, 1);
    return c->result;
}

static int do_op(struct setup *t, struct block *b, enum block_op op, uint64_t offset, void *data,
                 size_t len)
{
    struct call c;

    prepare(&c, op, offset, data, len);
    return wait_for(t, b, &c);
}

static struct block *open_file(struct setup *t, bool readonly)
{
    struct error err = {0};
    struct block *b =
        block_file_open(t->loop, t->path, &(struct block_file_options){.readonly = readonly}, &err);
    if (!b)
        print_error("%s\n", error_text(&err));
    assert_non_null(b);
    return b;
}

static void files_keep_what_is_written(void **state)
{
    struct setup *t = *state;
    struct block *b = open_file(t, false);
    uint8_t in[4096], out[4096];
    struct call c;

    assert_int_equal(b->size, FILE_SIZE);
    for (unsigned i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 31 + (i >> 8));
    /* Gathered from three pieces. */
    prepare(&c, BLOCK_WRITE, 8192, out, 4096);
    c.span[0] = (struct block_span){out, 100};
    c.span[1] = (struct block_span){out + 100, 3000};
    c.span[2] = (struct block_span){out + 3100, 996};
    c.r.span_count = 3;
    assert_int_equal(wait_for(t, b, &c), 0);
    assert_int_equal(do_op(t, b, BLOCK_FLUSH, 0, NULL, 0), 0);
    assert_int_equal(do_op(t, b, BLOCK_READ, 8192, in, 4096), 0);
    assert_memory_equal(in, out, 4096);
    /* What is in the page cache is read at once. */
    memset(in, 0, sizeof(in));
    prepare(&c, BLOCK_READ, 8192, in, 4096);
    assert_int_equal(block_attempt(b, &c.r), 0);
    assert_memory_equal(in, out, 4096);
    block_close(b);
    b = open_file(t, true);
    assert_int_equal(do_op(t, b, BLOCK_READ, 8192, in, 4096), 0);
    assert_memory_equal(in, out, 4096);
    block_close(b);
}

static void zeroes_and_discards(void **state)
{
    struct setup *t = *state;
    struct block *b = open_file(t, false);
    uint8_t in[8192], out[8192], zero[8192] = {0};
    struct stat st;
    struct call c;

    memset(out, 0xa5, sizeof(out));
    for (int unmap = 0; unmap < 2; unmap++) {
        assert_int_equal(do_op(t, b, BLOCK_WRITE, 0, out, 8192), 0);
        prepare(&c, BLOCK_WRITE_ZEROES, 512, NULL, 4096);
        c.r.unmap = unmap;
        assert_int_equal(wait_for(t, b, &c), 0);
        assert_int_equal(do_op(t, b, BLOCK_READ, 0, in, 8192), 0);
        assert_memory_equal(in, out, 512);
        assert_memory_equal(in + 512, zero, 4096);
        assert_memory_equal(in + 4608, out, 8192 - 4608);
    }
    assert_int_equal(do_op(t, b, BLOCK_DISCARD, 0, NULL, 8192), 0);
    assert_int_equal(do_op(t, b, BLOCK_FLUSH, 0, NULL, 0), 0);
    assert_int_equal(stat(t->path, &st), 0);
    assert_int_equal(st.st_size, FILE_SIZE); /* the file keeps its length */
    block_close(b);
}

static void bad_requests_are_refused(void **state)
{
    struct setup *t = *state;
    struct block *b = open_file(t, true);
    uint8_t bytes[1024] = {0};

    assert_int_equal(do_op(t, b, BLOCK_WRITE, 0, bytes, 512), -EROFS);
    assert_int_equal(do_op(t, b, BLOCK_DISCARD, 0, NULL, 512), -EROFS);
    assert_int_equal(do_op(t, b, BLOCK_READ, FILE_SIZE, bytes, 512), -EINVAL);
    assert_int_equal(do_op(t, b, BLOCK_READ, FILE_SIZE - 512, bytes, 1024), -EINVAL);
    assert_int_equal(do_op(t, b, BLOCK_READ, UINT64_MAX - 511, bytes, 512), -EINVAL);
    assert_int_equal(do_op(t, b, BLOCK_READ, 1, bytes, 512), -EINVAL);
    assert_int_equal(do_op(t, b, BLOCK_FLUSH, 0, NULL, 0), 0);
    block_close(b);
}

static void partial_last_sectors(void **state)
{
    struct setup *t = *state;
    struct block *b;
    uint8_t in[1024], out[512];
    int fd = open(t->path, O_RDWR | O_CLOEXEC);

    assert_int_equal(ftruncate(fd, 1000), 0);
    assert_int_equal(pwrite(fd, "end", 3, 997), 3);
    b = open_file(t, false);
    assert_int_equal(b->size, 1024);
    memset(in, 0xff, sizeof(in));
    assert_int_equal(do_op(t, b, BLOCK_READ, 0, in, 1024), 0);
    assert_memory_equal(in + 997, "end\0\0\0", 6);
    assert_int_equal(in[1023], 0);
    memset(out, 7, sizeof(out));
    assert_int_equal(do_op(t, b, BLOCK_WRITE, 512, out, 512), 0);
    assert_int_equal(do_op(t, b, BLOCK_READ, 0, in, 1024), 0);
    assert_int_equal(in[1023], 7);
    /* Cut short while in use: an error, not zeroes. */
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(do_op(t, b, BLOCK_READ, 0, in, 1024), -EIO);
    block_close(b);
    close(fd);
}

static void open_errors_name_the_reason(void **state)
{
    struct setup *t = *state;
    const struct block_file_options rw = {0}, ro = {.readonly = true};
    struct error err = {0};
    struct block *b, *c;

    assert_null(block_file_open(t->loop, "/nonexistent/drive", &rw, &err));
    assert_non_null(strstr(error_text(&err), "/nonexistent/drive"));
    assert_int_equal(err.code, -ENOENT);
    assert_null(block_file_open(t->loop, "/tmp", &rw, &err));
    assert_int_equal(err.code, -EISDIR);
    assert_null(block_file_open(t->loop, "/dev/null", &rw, &err));
    assert_int_equal(err.code, -EINVAL);
    /* One writer or many readers. */
    b = open_file(t, false);
    assert_null(block_file_open(t->loop, t->path, &rw, &err));
    assert_int_equal(err.code, -EBUSY);
    assert_null(block_file_open(t->loop, t->path, &ro, &err));
    assert_int_equal(err.code, -EBUSY);
    block_close(b);
    b = open_file(t, true);
    c = open_file(t, true);
    assert_null(block_file_open(t->loop, t->path, &rw, &err));
    block_close(b);
    block_close(c);
    assert_int_equal(truncate(t->path, 0), 0);
    assert_null(block_file_open(t->loop, t->path, &rw, &err));
    assert_non_null(strstr(error_text(&err), "empty"));
}

/* Each allocation in turn fails: an error, nothing left open. */
static void open_survives_lack_of_memory(void **state)
{
    struct setup *t = *state;
    const struct block_file_options rw = {0};
    struct block *b = NULL;

    for (unsigned n = 1; !b && n < 20; n++) {
        struct error err = {0};
        mem_fail_at(n);
        b = block_file_open(t->loop, t->path, &rw, &err);
        mem_fail_at(0);
        assert_true(b || err.code == -ENOMEM);
    }
    assert_non_null(b);
    block_close(b);
}

enum { MANY = 200 };

static void many_requests_at_once(void **state)
{
    struct setup *t = *state;
    struct block *b = open_file(t, false);
    struct call *calls = mem_alloc(MANY, sizeof(*calls));
    uint8_t *bytes = mem_alloc(MANY, 4096), *back = mem_alloc(MANY, 4096);

    for (unsigned i = 0; i < MANY; i++) {
        memset(bytes + i * 4096, (int)i + 1, 4096);
        prepare(&calls[i], BLOCK_WRITE, i * 4096, bytes + i * 4096, 4096);
        block_submit(b, &calls[i].r);
    }
    block_drain(b);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(calls[i].ended, 1);
        assert_int_equal(calls[i].result, 0);
        prepare(&calls[i], BLOCK_READ, i * 4096, back + i * 4096, 4096);
        block_submit(b, &calls[i].r);
    }
    block_close(b); /* drains */
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(calls[i].ended, 1);
    assert_memory_equal(bytes, back, MANY * 4096);
    free(calls);
    free(bytes);
    free(back);
}

/* RLIMIT_FSIZE stands in for a full file system: writes end at an offset. */
static void writes_that_do_not_fit(void **state)
{
    struct setup *t = *state;
    struct block *b = open_file(t, false);
    uint8_t bytes[8192] = {0};
    struct rlimit old, limit;

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    limit = (struct rlimit){.rlim_cur = 4096, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(do_op(t, b, BLOCK_WRITE, 0, bytes, 4096), 0);
    assert_int_equal(do_op(t, b, BLOCK_WRITE, 0, bytes, 8192), -EIO); /* a short write first */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(do_op(t, b, BLOCK_WRITE, 0, bytes, 8192), 0); /* and it can go on */
    block_close(b);
}

static void memory_and_faults(void **state)
{
    static uint8_t bytes[8192];
    uint8_t in[512], out[512];
    struct block *m = block_mem_new(bytes, sizeof(bytes), false, false, NULL);
    struct block *d = block_mem_new(bytes, sizeof(bytes), false, true, NULL);
    struct block *f = block_fault_new(m, NULL), *g = block_fault_new(d, NULL);
    struct call c, second;

    memset(out, 3, sizeof(out));
    prepare(&c, BLOCK_WRITE, 512, out, 512);
    assert_int_equal(block_attempt(m, &c.r), 0);
    prepare(&c, BLOCK_READ, 512, in, 512);
    assert_int_equal(block_attempt(d, &c.r), BLOCK_WOULD_WAIT);
    block_submit(d, &c.r);
    assert_int_equal(c.ended, 0);
    block_drain(d);
    assert_int_equal(c.ended, 1);
    assert_memory_equal(in, out, 512);
    /* The second and third write fail, reads go on. */
    block_fault_set(f, &(struct block_fault_plan){
                           .ops = 1u << BLOCK_WRITE, .nth = 2, .count = 2, .code = -ENOSPC});
    for (unsigned i = 1; i <= 4; i++) {
        prepare(&c, BLOCK_WRITE, 0, out, 512);
        assert_int_equal(block_attempt(f, &c.r), i == 2 || i == 3 ? -ENOSPC : 0);
        prepare(&c, BLOCK_READ, 0, in, 512);
        assert_int_equal(block_attempt(f, &c.r), 0);
    }
    assert_int_equal(block_fault_seen(f), 4);
    block_fault_set(
        g, &(struct block_fault_plan){.ops = 1u << BLOCK_READ, .nth = 2, .count = 0, .code = -EIO});
    prepare(&c, BLOCK_READ, 0, in, 512);
    prepare(&second, BLOCK_READ, 0, in, 512);
    assert_int_equal(block_attempt(g, &c.r), BLOCK_WOULD_WAIT);
    block_submit(g, &c.r);
    block_submit(g, &second.r);
    block_drain(g);
    assert_int_equal(c.result, 0);
    assert_int_equal(second.result, -EIO);
    assert_int_equal(second.ended, 1);
    block_close(f);
    block_close(g);
    block_close(m);
    block_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_keep_what_is_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(zeroes_and_discards, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_requests_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(partial_last_sectors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(open_errors_name_the_reason, set_up, tear_down),
        cmocka_unit_test_setup_teardown(open_survives_lack_of_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_requests_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_that_do_not_fit, set_up, tear_down),
        cmocka_unit_test(memory_and_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
