/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing down what a machine hears.
 *
 * Events gather in one chunk of the log, which is handed on when it is long enough or old enough,
 * before a checkpoint, and before the machine sleeps. Time is the host's, less pauses, except that
 * it never goes back behind what a slice's looks at clocks have added.
 */
#include "machine/record.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "machine/machine_internal.h"
#include "machine/record_internal.h"
#include "machine/snapshot.h"

enum { LOG_BYTES = 256 << 10, LOG_NS = 200000000 };

static const uint8_t zeroes[GMEM_PAGE_SIZE];

struct recorder {
    struct machine *m;
    struct record_sink sink;
    struct str log;
    size_t begin; /* of the open chunk in log */
    uint64_t begin_count, begin_time;
    uint64_t sum;        /* of the last chunk */
    uint64_t host_base;  /* the host's clock at guest time 0 */
    uint64_t flushed;    /* the host's clock when the log was handed on */
    uint64_t checkpoint; /* count of the last */
    uint64_t *dirty;     /* bitmap of RAM */
    uint64_t ram_pages, pages;
    uint64_t *extra; /* sums of pages behind RAM, whose dirty log is the display's */
    bool begun, ended, resetting;
};

static struct recorder *recorder_of(struct machine *m)
{
    return m->recorder;
}

/* ---- the log ---- */

static void open_log(struct recorder *rec)
{
    rec->begin = record_chunk_begin(&rec->log);
    rec->begin_count = rec->m->instructions;
    rec->begin_time = rec->m->timeline->time;
}

static void hand_on(struct recorder *rec)
{
    struct str bytes = rec->log;
    int r = bytes.failed ? -ENOMEM : 0;

    rec->log = (struct str){0};
    rec->flushed = machine_host_time(rec->m);
    if (r == 0)
        r = rec->sink.write(rec->sink.opaque, &bytes);
    else
        str_done(&bytes);
    if (r < 0 && !rec->ended) {
        char text[160];
        snprintf(text, sizeof text, "the recording can not be written: %s", strerror(-r));
        rec->ended = true;
        machine_end(rec->m, MACHINE_END_ERROR, 0, text);
    }
}

/* Ends the open chunk of the log, if anything is in it; the next must be opened. */
static void close_log(struct recorder *rec)
{
    if (!rec->log.failed && rec->log.len == rec->begin + RECORD_CHUNK_HEAD) {
        rec->log.len = rec->begin;
        return;
    }
    record_chunk_end(&rec->log, rec->begin, RECORD_LOG, rec->begin_count, rec->begin_time,
                     &rec->sum);
}

static void flush(struct recorder *rec)
{
    close_log(rec);
    if (rec->log.len || rec->log.failed)
        hand_on(rec);
    open_log(rec);
}

static void put(struct recorder *rec, const struct record_event *ev)
{
    if (rec->begun && !rec->ended && !rec->resetting)
        record_put_event(&rec->log, ev);
}

void recorder_note(struct machine *m, const struct record_event *ev)
{
    if (m->recorder)
        put(recorder_of(m), ev);
}

/* ---- checkpoints ---- */

static void put_page(struct str *numbers, struct str *contents, struct gmem *ram, uint64_t gfn,
                     bool leave_zeroes)
{
    const uint8_t *page = gmem_read_page(ram, gfn);
    bool zero = memcmp(page, zeroes, GMEM_PAGE_SIZE) == 0;
    uint8_t number[8];

    if (zero && leave_zeroes)
        return;
    store_le64(number, gfn << 1 | zero);
    str_add_n(numbers, number, sizeof number);
    if (!zero)
        str_add_n(contents, page, GMEM_PAGE_SIZE);
}

static void put_pages(struct recorder *rec, struct str *numbers, struct str *contents, bool whole)
{
    struct gmem *ram = rec->m->ram;

    gmem_dirty_take_range(ram, 0, rec->ram_pages, rec->dirty);
    for (uint64_t gfn = 0; gfn < rec->ram_pages; gfn++) {
        uint64_t word = rec->dirty[gfn / 64];
        if (!whole && !word && gfn % 64 == 0)
            gfn += 63;
        else if (whole ? (gmem_page_flags(ram, gfn) & GMEM_DELTA) != 0 : word >> gfn % 64 & 1)
            put_page(numbers, contents, ram, gfn, whole);
    }
    for (uint64_t gfn = rec->ram_pages; gfn < rec->pages; gfn++) {
        uint64_t *before = &rec->extra[gfn - rec->ram_pages], sum;
        if (!(gmem_page_flags(ram, gfn) & GMEM_DELTA))
            continue;
        sum = record_mix_bytes(0, gmem_read_page(ram, gfn), GMEM_PAGE_SIZE);
        if (whole || sum != *before)
            put_page(numbers, contents, ram, gfn, whole);
        *before = sum;
    }
}

static void checkpoint(struct recorder *rec, bool whole)
{
    struct str state = {0}, numbers = {0}, contents = {0};
    struct machine *m = rec->m;
    struct timeline *line = m->timeline;
    struct error err = {0};
    uint8_t word[8];
    size_t begin;

    close_log(rec);
    begin = record_chunk_begin(&rec->log);
    /* What going on after it makes devices do belongs behind it: in a log of its own for now. */
    struct str before = rec->log;
    rec->log = (struct str){0};
    open_log(rec);
    if (machine_save_state(m, &state, &err) < 0)
        state.failed = true;
    struct str after = rec->log;
    rec->log = before;
    str_add_char(&rec->log, whole);
    str_add_char(&rec->log, (char)line->next);
    store_le64(word, line->hash);
    str_add_n(&rec->log, word, sizeof word);
    record_put_blob(&rec->log, state.data, state.len);
    put_pages(rec, &numbers, &contents, whole);
    store_le64(word, numbers.len / 8);
    str_add_n(&rec->log, word, sizeof word);
    str_add_n(&rec->log, numbers.data, numbers.len);
    str_add_n(&rec->log, contents.data, contents.len);
    rec->log.failed |= state.failed | numbers.failed | contents.failed;
    record_chunk_end(&rec->log, begin, RECORD_CHECKPOINT_AT, m->instructions, line->time,
                     &rec->sum);
    hand_on(rec);
    rec->log = after;
    rec->checkpoint = m->instructions;
    str_done(&state);
    str_done(&numbers);
    str_done(&contents);
}

/* ---- what the machine hears ---- */

static void answered(struct block_request *r, int result)
{
    *(int *)r->opaque = result;
}

static int drive(struct timeline *line, struct timeline_drive *d, struct block_request *r)
{
    struct recorder *rec = line->opaque;
    int result = block_attempt(d->below, r);
    struct str data = {0};
    struct record_event ev = {.kind = RECORD_DRIVE, .number = d->number, .op = r->op};

    if (result == BLOCK_WOULD_WAIT) {
        r->done = answered;
        r->opaque = &result;
        block_submit(d->below, r);
        block_drain(d->below);
    }
    ev.result = result;
    ev.value = r->len;
    if (r->op == BLOCK_READ && result == 0) {
        for (unsigned i = 0; i < r->span_count; i++)
            str_add_n(&data, r->spans[i].data, r->spans[i].len);
        rec->log.failed |= data.failed;
        ev.bytes = (const uint8_t *)data.data;
        ev.len = data.len;
    } else if (r->op == BLOCK_WRITE) {
        for (unsigned i = 0; i < r->span_count; i++)
            ev.check = record_mix_bytes(ev.check, r->spans[i].data, r->spans[i].len);
    }
    put(rec, &ev);
    str_done(&data);
    return result;
}

static void random_bytes(struct timeline *line, void *bytes, size_t n)
{
    struct recorder *rec = line->opaque;
    struct record_event ev = {.kind = RECORD_RANDOM, .bytes = bytes, .len = n};

    machine_host_random(rec->m, bytes, n);
    put(rec, &ev);
}

static const struct timeline_ops ops = {.drive = drive, .random = random_bytes};

static void give_frames(struct recorder *rec, struct timeline_nic *n)
{
    struct record_event ev = {.number = n->number};
    void *to = n->client->opaque;

    if (n->link >= 0) {
        ev.kind = RECORD_LINK;
        ev.on = n->link > 0;
        n->link = -1;
        put(rec, &ev);
        if (n->client->link)
            n->client->link(to, ev.on);
    }
    while (n->count && n->try) {
        struct timeline_frame *f = &n->frames[n->first];
        bool room = n->client->can_receive(to, f->len);
        ev.kind = room ? RECORD_FRAME : RECORD_OFFER;
        ev.value = ev.len = f->len;
        ev.bytes = f->bytes;
        put(rec, &ev);
        n->try = room;
        if (!room)
            break;
        n->client->receive(to, f->bytes, f->len);
        free(f->bytes);
        n->first = (n->first + 1) % TIMELINE_FRAMES;
        n->count--;
    }
    if (n->refused && n->count < TIMELINE_FRAMES) {
        n->refused = false;
        n->below->ops->ready(n->below);
    }
}

static void give_input(struct recorder *rec, struct timeline_port *p)
{
    struct record_event ev = {.number = p->number, .columns = p->columns, .rows = p->rows};
    void *to = p->client->opaque;

    if (p->resized) {
        ev.kind = RECORD_RESIZE;
        put(rec, &ev);
        p->resized = false;
        if (p->client->resize)
            p->client->resize(to, p->columns, p->rows);
    }
    while (p->try && p->input_len) {
        size_t room = p->client->room(to);
        ev.kind = RECORD_INPUT;
        ev.bytes = p->input;
        ev.len = min_of(room, p->input_len);
        put(rec, &ev);
        p->try = ev.len > 0;
        if (!ev.len)
            break;
        p->client->input(to, p->input, ev.len);
        p->input_len -= ev.len;
        memmove(p->input, p->input + ev.len, p->input_len);
    }
    if (p->full && p->input_len < sizeof p->input) {
        p->full = false;
        p->below->ops->ready(p->below);
    }
    if (p->eof && !p->input_len) {
        ev.kind = RECORD_EOF;
        put(rec, &ev);
        p->eof = false;
        if (p->client->eof)
            p->client->eof(to);
    }
}

static void give_all(struct recorder *rec)
{
    struct timeline *line = rec->m->timeline;

    for (unsigned i = 0; i < MACHINE_NICS; i++)
        if (line->nics[i].client)
            give_frames(rec, &line->nics[i]);
    for (unsigned i = 0; i < REPLAY_PORTS; i++)
        if (line->ports[i].client)
            give_input(rec, &line->ports[i]);
}

/* ---- turns ---- */

static void begin(struct recorder *rec)
{
    struct machine *m = rec->m;
    size_t at;

    rec->begun = true;
    rec->host_base = machine_host_time(m) - m->timeline->time;
    record_put_magic(&rec->log);
    at = record_chunk_begin(&rec->log);
    record_put_parts(&rec->log, &m->config);
    record_chunk_end(&rec->log, at, RECORD_HEAD, m->instructions, m->timeline->time, &rec->sum);
    hand_on(rec);
    open_log(rec);
    checkpoint(rec, true);
}

static void reset(struct recorder *rec)
{
    struct record_event ev = {.kind = RECORD_RESET};
    struct error err = {0};

    put(rec, &ev);
    rec->resetting = true;
    if (machine_reset(rec->m, &err) < 0)
        machine_end(rec->m, MACHINE_END_ERROR, 0, error_text(&err));
    rec->resetting = false;
    rec->m->timeline->next = 0;
    if (rec->m->end == MACHINE_RUNNING)
        checkpoint(rec, true);
}

void recorder_resumed(struct machine *m)
{
    if (m->recorder && m->recorder->begun)
        m->recorder->host_base = machine_host_time(m) - m->timeline->time;
}

uint64_t recorder_turn(struct machine *m)
{
    struct recorder *rec = recorder_of(m);
    struct timeline *line = m->timeline;
    struct record_event ev = {.kind = RECORD_STEP};
    uint64_t now, due;

    if (!rec->begun)
        begin(rec);
    if (m->reset_wanted)
        reset(rec);
    if (m->end != MACHINE_RUNNING)
        return 0;
    if (timeline_is_stalled(line)) {
        flush(rec);
        return UINT64_MAX;
    }
    now = machine_host_time(m) - rec->host_base;
    now = (int64_t)(now - line->time) > 0 ? now : line->time;
    due = gclock_next(m->clock);
    if (!timeline_has_input(line) && due > now && !timeline_has_work(line)) {
        flush(rec);
        return due == UINT64_MAX ? due : due - now;
    }
    give_all(rec);
    ev.value = now - line->time;
    ev.check = line->hash & 0xffff;
    put(rec, &ev);
    if (timeline_begin(line, ev.value))
        timeline_run(line, TIMELINE_SLICE);
    if (m->end == MACHINE_RUNNING && !m->reset_wanted &&
        m->instructions - rec->checkpoint >= rec->sink.checkpoint)
        checkpoint(rec, false);
    else if (rec->log.len > LOG_BYTES || machine_host_time(m) - rec->flushed > LOG_NS)
        flush(rec);
    return 0;
}

void recorder_end(struct machine *m)
{
    struct recorder *rec = m->recorder;
    struct record_last last;
    size_t at;

    if (!rec || rec->ended || !rec->begun)
        return;
    machine_end(m, MACHINE_END_STOPPED, 0, "stopped"); /* if it has not ended by itself */
    rec->ended = true;
    close_log(rec);
    last = (struct record_last){.end = m->end,
                                .value = m->end_value,
                                .hash = m->timeline->hash,
                                .memory = machine_hash(m),
                                .text = (const uint8_t *)m->end_text,
                                .text_len = strlen(m->end_text)};
    at = record_chunk_begin(&rec->log);
    record_put_last(&rec->log, &last);
    record_chunk_end(&rec->log, at, RECORD_END, m->instructions, m->timeline->time, &rec->sum);
    hand_on(rec);
}

/* ---- making and freeing ---- */

int recorder_new(struct machine *m, struct error *err)
{
    struct recorder *rec = mem_new(struct recorder);

    if (!rec)
        return error_set(err, -ENOMEM, "record: out of memory");
    m->recorder = rec;
    rec->m = m;
    rec->sink = *m->config.record;
    if (!rec->sink.checkpoint)
        rec->sink.checkpoint = RECORD_CHECKPOINT;
    rec->ram_pages = m->config.memory >> GMEM_PAGE_BITS;
    rec->pages = rec->ram_pages + (m->board->extra_memory(&m->config) >> GMEM_PAGE_BITS);
    rec->dirty = mem_alloc((rec->ram_pages + 63) / 64, 8);
    rec->extra = mem_alloc(rec->pages - rec->ram_pages + 1, 8);
    m->timeline = timeline_new(m, &ops, rec, false);
    if (!rec->dirty || !rec->extra || !m->timeline)
        return error_set(err, -ENOMEM, "record: out of memory");
    return 0;
}

void recorder_free(struct machine *m)
{
    struct recorder *rec = m->recorder;

    if (!rec)
        return;
    str_done(&rec->log);
    free(rec->dirty);
    free(rec->extra);
    free(rec);
    m->recorder = NULL;
}
