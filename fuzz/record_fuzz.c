/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings from strangers. The first byte says how the rest is taken: as the payload of one kind
 * of chunk, or as a file, once as it is and once with its sums put right, so that what lies behind
 * them is reached; that one is replayed for a while.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "machine/record_internal.h"
#include "machine/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INSTRUCTIONS = 100000, MEMORY_MAX = 16 << 20 };

static void read_events(const uint8_t *data, size_t size)
{
    struct record_reader r = {.at = data, .end = data + size};
    struct record_event ev, again;
    struct str out = {0};

    while (record_get_event(&r, &ev) > 0) {
        struct record_reader back;
        str_done(&out);
        record_put_event(&out, &ev);
        back =
            (struct record_reader){.at = (uint8_t *)out.data, .end = (uint8_t *)out.data + out.len};
        if (out.failed)
            break;
        if (record_get_event(&back, &again) != 1 || again.kind != ev.kind || back.at != back.end)
            abort();
    }
    str_done(&out);
}

static void read_payload(uint8_t kind, const uint8_t *data, size_t size)
{
    const struct record_chunk chunk = {.bytes = data, .len = size};
    struct record_parts parts;
    struct record_state state;
    struct record_pages pages;
    struct record_last last;
    const uint8_t *content;
    uint64_t at = 0;

    switch (kind) {
    case RECORD_HEAD:
        if (record_get_parts(&chunk, &parts, NULL) == 0)
            free(parts.flash);
        break;
    case RECORD_LOG:
        read_events(data, size);
        break;
    case RECORD_CHECKPOINT_AT:
        if (record_get_state(&chunk, &state, &pages, NULL) == 0)
            for (uint64_t i = 0; i < pages.count; i++) {
                record_page(&pages, i, &at, &content);
                if (content && (content < data || content + 4096 > data + size))
                    abort();
            }
        break;
    case RECORD_END:
        record_get_last(&chunk, &last, NULL);
        break;
    default:
        break;
    }
}

/* What may be replayed here without taking the fuzzer's host down. */
static bool is_small(const struct record_chunk *parts)
{
    struct record_parts p;
    bool small;

    if (record_get_parts(parts, &p, NULL) < 0)
        return true;
    small = p.config.memory <= MEMORY_MAX && p.config.firmware_len <= MEMORY_MAX;
    free(p.flash);
    return small;
}

static void play(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct replay *r = replay_new(data, size, NULL, &err);

    if (!r)
        return;
    if (replay_run(r, INSTRUCTIONS, &err) >= 0)
        replay_goto(r, replay_count(r) / 2, &err);
    replay_free(r);
}

static void read_file(const uint8_t *data, size_t size)
{
    size_t at = RECORD_MAGIC_BYTES, begin;
    struct record_chunk c;
    struct str out = {0};
    uint64_t sum = 0;
    bool small = true;

    play(data, size);
    record_put_magic(&out);
    while (size >= at + RECORD_CHUNK_HEAD) {
        uint64_t len = load_le64(data + at + 8), left = size - at - RECORD_CHUNK_HEAD;
        c = (struct record_chunk){.kind = load_le32(data + at),
                                  .bytes = data + at + RECORD_CHUNK_HEAD,
                                  .len = (size_t)(len < left ? len : left)};
        small &= c.kind != RECORD_HEAD || is_small(&c);
        begin = record_chunk_begin(&out);
        str_add_n(&out, c.bytes, c.len);
        record_chunk_end(&out, begin, (enum record_chunk_kind)c.kind, load_le64(data + at + 16),
                         load_le64(data + at + 24), &sum);
        at += RECORD_CHUNK_HEAD + c.len;
    }
    if (small && !out.failed)
        play((const uint8_t *)out.data, out.len);
    str_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    if (data[0] >= RECORD_HEAD && data[0] <= RECORD_END)
        read_payload(data[0], data + 1, size - 1);
    else
        read_file(data + 1, size - 1);
    return 0;
}
