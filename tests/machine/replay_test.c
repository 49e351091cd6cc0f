/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recorded machine lives again to the bit, from any place; a recording that was changed is found
 * out. The guest (replay_guest.S) uses time, timer, random numbers, both processors, the serial
 * port and a disk.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "io/block_mem.h"
#include "io/chardev_mem.h"
#include "machine/machine_internal.h"
#include "machine/record_internal.h"
#include "machine/replay.h"
#include "tests/test.h"

enum { DISK = 64 << 10, CHECKPOINT = 400000 };

static uint8_t guest[64 << 10];
static size_t guest_len;

struct world {
    struct machine *m;
    struct chardev *console;
    struct block *disk;
    uint8_t disk_bytes[DISK];
    uint64_t now, seed;
    struct str recording, output;
};

static uint64_t world_time(void *opaque)
{
    struct world *w = opaque;
    return w->now += 3000 + (w->seed >> 40) % 1000;
}

static void world_random(void *opaque, void *bytes, size_t n)
{
    struct world *w = opaque;
    uint8_t *at = bytes;

    while (n--) {
        w->seed = w->seed * 6364136223846793005ull + 1442695040888963407ull;
        *at++ = (uint8_t)(w->seed >> 50);
    }
}

static int keep(void *opaque, struct str *bytes)
{
    struct world *w = opaque;

    str_add_n(&w->recording, bytes->data, bytes->len);
    str_done(bytes);
    return w->recording.failed ? -1 : 0;
}

static void start(struct world *w, uint64_t seed)
{
    const struct record_sink sink = {.write = keep, .opaque = w, .checkpoint = CHECKPOINT};
    struct machine_config c = {.cpus = 2,
                               .memory = 8 << 20,
                               .debug_exit = true,
                               .time_source = world_time,
                               .time_opaque = w,
                               .random = world_random,
                               .random_opaque = w,
                               .record = &sink};
    struct error err = {0};

    *w = (struct world){.seed = seed, .now = seed};
    for (unsigned i = 0; i < DISK; i++)
        w->disk_bytes[i] = (uint8_t)(i * 7 + i / 512);
    w->console = chardev_mem_new(&err);
    w->disk = block_mem_new(w->disk_bytes, DISK, false, true, &err);
    assert_non_null(w->console);
    assert_non_null(w->disk);
    c.guest.kernel = guest;
    c.guest.kernel_len = guest_len;
    c.serials[0] = w->console;
    c.drives[0] = w->disk;
    c.drive_bus[0] = MACHINE_BUS_IDE;
    c.drive_count = 1;
    w->m = machine_new(&c, &err);
    if (!w->m)
        fail_msg("%s", error_text(&err));
}

static enum machine_end steps(struct world *w, unsigned n)
{
    enum machine_end end = MACHINE_RUNNING;

    while (n-- && end == MACHINE_RUNNING) {
        uint64_t idle;
        end = machine_step(w->m, 0, &idle);
        if (idle)
            w->now += idle == UINT64_MAX ? 1000000 : idle;
    }
    return end;
}

static void stop(struct world *w)
{
    const struct str *out = chardev_mem_output(w->console);

    str_add_n(&w->output, out->data, out->len);
    machine_free(w->m);
    w->m = NULL;
    w->console->ops->close(w->console);
    block_close(w->disk);
}

static void done(struct world *w)
{
    str_done(&w->recording);
    str_done(&w->output);
}

/* A life with all in it; ends by debug exit. */
static void live(struct world *w, const char *typed)
{
    start(w, 12345);
    for (; *typed; typed++) {
        steps(w, 60);
        chardev_mem_type(w->console, typed, 1);
    }
    assert_int_equal(steps(w, 3000), MACHINE_END_DEBUG_EXIT);
    stop(w);
}

static void take_output(void *opaque, enum replay_port port, const uint8_t *bytes, size_t n)
{
    assert_int_equal(port, REPLAY_SERIAL);
    str_add_n(opaque, bytes, n);
}

static struct replay *open_bytes(const void *bytes, size_t len, struct str *output,
                                 struct error *err)
{
    const struct replay_options o = {.output = take_output, .opaque = output};
    return replay_new(bytes, len, output ? &o : NULL, err);
}

static struct replay *open_world(const struct world *w, struct str *output)
{
    struct error err = {0};
    struct replay *r = open_bytes(w->recording.data, w->recording.len, output, &err);

    if (!r)
        fail_msg("%s", error_text(&err));
    return r;
}

static void run_to_end(struct replay *r)
{
    struct error err = {0};

    if (replay_run(r, UINT64_MAX, &err) != 1)
        fail_msg("%s", error_text(&err));
}

static void assert_same_text(const struct str *a, const struct str *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->data, b->data, a->len);
}

static void a_replay_is_equal(void **unused)
{
    struct world w;
    struct str output = {0};
    struct replay_about about;
    struct replay *r;

    (void)unused;
    live(&w, "abdwddxyzdwq");
    assert_non_null(strstr(str_text(&w.output), "hello ab.,..xyz.,"));
    r = open_world(&w, &output);
    replay_about(r, &about);
    assert_true(about.whole);
    assert_int_equal(about.end, MACHINE_END_DEBUG_EXIT);
    assert_int_equal(about.end_value, 43);
    assert_true(about.checkpoints > 3);
    run_to_end(r);
    assert_int_equal(replay_count(r), about.last);
    assert_same_text(&output, &w.output);
    replay_free(r);
    str_done(&output);
    done(&w);
}

/* Registers, and all of memory. */
static uint64_t look(struct replay *r)
{
    struct machine *m = replay_machine(r);
    uint64_t hash = replay_time(r);

    for (unsigned i = 0; i < m->vm->cpu_count; i++) {
        const struct x86_cpu *c = m->vm->cpus[i];
        hash = record_mix_bytes(hash, c->gpr, sizeof c->gpr);
        hash = record_mix(record_mix(hash, c->rip), c->insn_count);
    }
    for (uint64_t gfn = 0; gfn < gmem_pages(m->ram); gfn++)
        hash = record_mix_bytes(hash, gmem_read_page(m->ram, gfn), GMEM_PAGE_SIZE);
    return hash;
}

static void go(struct replay *r, uint64_t count)
{
    struct error err = {0};

    if (replay_goto(r, count, &err) < 0)
        fail_msg("%s", error_text(&err));
    assert_int_equal(replay_count(r), count);
}

static void every_place_can_be_reached(void **unused)
{
    enum { PLACES = 25 };
    uint64_t place[PLACES], looked[PLACES], seed = 99;
    struct world w;
    struct str output = {0};
    struct replay_about about;
    struct replay *r;

    (void)unused;
    live(&w, "abdwdq");
    r = open_world(&w, &output);
    replay_about(r, &about);
    for (unsigned i = 0; i < PLACES; i++)
        place[i] = about.first + 1 + i * ((about.last - about.first) / PLACES) + i % 7;
    for (unsigned i = 0; i < PLACES; i++) {
        go(r, place[i]);
        looked[i] = look(r);
    }
    /* There and back again; one instruction beside and back. */
    for (unsigned i = 0; i < PLACES; i++) {
        unsigned n;
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        n = (unsigned)(seed >> 33) % PLACES;
        go(r, place[n]);
        assert_int_equal(look(r), looked[n]);
        go(r, place[n] - 1);
        assert_int_not_equal(look(r), looked[n]);
        go(r, place[n]);
        assert_int_equal(look(r), looked[n]);
    }
    /* A slice in pieces is the same as in one. */
    go(r, place[3]);
    for (uint64_t at = place[3]; at < place[3] + 1000; at++)
        go(r, at + 1);
    run_to_end(r);
    assert_same_text(&output, &w.output);
    assert_int_equal(replay_goto_time(r, (about.begin_ns + about.end_ns) / 2, NULL), 0);
    assert_true(replay_time(r) >= (about.begin_ns + about.end_ns) / 2);
    run_to_end(r);
    assert_same_text(&output, &w.output);
    replay_free(r);
    str_done(&output);
    done(&w);
}

static void a_reset_is_passed(void **unused)
{
    struct world w;
    struct str output = {0};
    struct replay *r;

    (void)unused;
    live(&w, "adrbdq");
    assert_non_null(strstr(str_text(&w.output), "hello a.hello b."));
    r = open_world(&w, &output);
    run_to_end(r);
    assert_same_text(&output, &w.output);
    go(r, replay_count(r) / 4);
    run_to_end(r);
    replay_free(r);
    str_done(&output);
    done(&w);
}

static void damage_is_found(void **unused)
{
    struct world w;
    struct error err;
    unsigned refused = 0;

    (void)unused;
    live(&w, "dq");
    for (size_t at = 0; at < w.recording.len; at += 1 + w.recording.len / 61) {
        struct replay *r;
        w.recording.data[at] ^= 0x10;
        err = (struct error){0};
        r = open_bytes(w.recording.data, w.recording.len, NULL, &err);
        if (r && replay_run(r, UINT64_MAX, &err) >= 0)
            fail_msg("a change of byte %zu is not found", at);
        assert_non_null(strstr(error_text(&err), "recording"));
        replay_free(r);
        w.recording.data[at] ^= 0x10;
        refused++;
    }
    assert_true(refused > 20);
    done(&w);
}

static void a_cut_one_goes_to_its_end(void **unused)
{
    struct world w;
    struct str whole = {0};
    struct error err;
    unsigned ran = 0, refused = 0;
    uint64_t last = 0;

    (void)unused;
    live(&w, "abdwq");
    for (size_t len = 0; len < w.recording.len; len += 1 + w.recording.len / 97) {
        struct str output = {0};
        struct replay_about about;
        struct replay *r;
        char *copy = malloc(len + 1); /* of its very size, for tools that watch bounds */
        assert_non_null(copy);
        memcpy(copy, w.recording.data, len);
        err = (struct error){0};
        r = open_bytes(copy, len, &output, &err);
        if (r) {
            replay_about(r, &about);
            assert_false(about.whole);
            run_to_end(r);
            assert_true(replay_count(r) >= last);
            last = replay_count(r);
            assert_true(output.len <= w.output.len);
            assert_memory_equal(str_text(&output), w.output.data, output.len);
            ran++;
        } else {
            assert_int_equal(err.code, -EINVAL);
            refused++;
        }
        replay_free(r);
        str_done(&output);
        free(copy);
    }
    assert_true(ran > 10);
    assert_true(refused > 0);
    str_done(&whole);
    done(&w);
}

/* The recording again, with right sums, and the first event of @kind changed. */
static bool forge(const struct world *w, enum record_event_kind kind, struct str *out)
{
    const uint8_t *bytes = (const uint8_t *)w->recording.data;
    size_t at = RECORD_MAGIC_BYTES;
    struct record_chunk c;
    uint64_t sum = 0;
    bool changed = false;

    record_put_magic(out);
    while (record_chunk_next(bytes, w->recording.len, &at, &c, NULL) > 0) {
        struct record_reader r = {.at = c.bytes, .end = c.bytes + c.len};
        size_t begin = record_chunk_begin(out);
        struct record_event ev;
        if (c.kind != RECORD_LOG || changed)
            str_add_n(out, c.bytes, c.len);
        else
            while (record_get_event(&r, &ev) > 0) {
                uint8_t other[512];
                if (ev.kind == kind && !changed && (kind == RECORD_STEP || ev.len)) {
                    changed = true;
                    ev.value += kind == RECORD_STEP ? 1000 : 0;
                    if (ev.bytes && ev.len <= sizeof other) {
                        memcpy(other, ev.bytes, ev.len);
                        other[0] ^= 1;
                        ev.bytes = other;
                    }
                }
                record_put_event(out, &ev);
            }
        record_chunk_end(out, begin, (enum record_chunk_kind)c.kind, c.count, c.time, &sum);
    }
    return changed;
}

static void a_forged_one_differs(void **unused)
{
    static const enum record_event_kind kinds[] = {RECORD_STEP, RECORD_INPUT, RECORD_RANDOM,
                                                   RECORD_DRIVE};
    struct world w;

    (void)unused;
    live(&w, "abddq");
    for (unsigned i = 0; i < array_size(kinds); i++) {
        struct error err = {0};
        struct str other = {0};
        struct replay *r;
        assert_true(forge(&w, kinds[i], &other));
        r = open_bytes(other.data, other.len, NULL, &err);
        assert_non_null(r);
        assert_int_equal(replay_run(r, UINT64_MAX, &err), -EBADMSG);
        assert_non_null(strstr(error_text(&err), "differs from the recording after"));
        assert_int_equal(replay_run(r, 1, &err), -EBADMSG);
        assert_int_equal(replay_goto(r, 1, &err), -EBADMSG);
        replay_free(r);
        str_done(&other);
    }
    done(&w);
}

static void what_is_no_recording_is_refused(void **unused)
{
    struct error err = {0};

    (void)unused;
    assert_null(open_bytes("", 0, NULL, &err));
    assert_int_equal(err.code, -EINVAL);
    assert_null(open_bytes("isolaREC\2\0\0\0", 12, NULL, &err));
    assert_non_null(strstr(error_text(&err), "version 2"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replay_is_equal),
        cmocka_unit_test(every_place_can_be_reached),
        cmocka_unit_test(a_reset_is_passed),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(a_cut_one_goes_to_its_end),
        cmocka_unit_test(a_forged_one_differs),
        cmocka_unit_test(what_is_no_recording_is_refused),
    };
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;

    if (!f) {
        fprintf(stderr, "usage: replay_test GUEST\n");
        return 2;
    }
    guest_len = fread(guest, 1, sizeof guest, f);
    fclose(f);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
