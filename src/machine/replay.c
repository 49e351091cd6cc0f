/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader stands behind the last event that was used. Events between slices are done when they
 * are read; those of a slice (drives, random bytes) are asked for by the seams and must be the very
 * next. A checkpoint that is passed is compared: the state's bytes, and the pages it has.
 *
 * A move to a checkpoint puts memory in order page by page, then loads the state into the same
 * machine.
 */
#include "machine/replay.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "machine/machine_internal.h"
#include "machine/record_internal.h"
#include "machine/snapshot.h"

struct mark {
    size_t chunk; /* index */
    bool whole;
};

struct replay {
    struct replay_options options;
    struct machine *m;
    struct timeline *line;
    struct record_parts parts;
    struct record_chunk *chunks;
    size_t chunk_count;
    struct mark *marks; /* the checkpoints */
    size_t mark_count;
    struct replay_about about;

    size_t chunk; /* the one that is read */
    struct record_reader reader;
    bool ready;         /* the machine stands at a place of the recording */
    bool ended;         /* nothing is left to do */
    uint64_t furthest;  /* output up to this count was given out */
    struct error wrong; /* code != 0: final */
};

/* ---- going wrong ---- */

static int differs(struct replay *r, const char *what)
{
    struct machine *m = r->m;

    if (!r->wrong.code)
        error_set(&r->wrong, -EBADMSG,
                  "the replay differs from the recording after %llu instructions (guest time "
                  "%llu.%06llu s): %s",
                  (unsigned long long)m->instructions,
                  (unsigned long long)(r->line->time / 1000000000),
                  (unsigned long long)(r->line->time / 1000 % 1000000), what);
    return -EBADMSG;
}

static int damaged(struct replay *r)
{
    if (!r->wrong.code)
        error_set(&r->wrong, -EINVAL, "the recording is damaged in chunk %zu", r->chunk);
    return -EINVAL;
}

static int answer(const struct replay *r, struct error *err)
{
    return r->wrong.code ? error_set(err, r->wrong.code, "%s", r->wrong.text) : 0;
}

/* ---- reading ---- */

static const struct record_chunk *here(const struct replay *r)
{
    return &r->chunks[r->chunk];
}

/* Stands at the beginning of chunk @n. */
static int enter(struct replay *r, size_t n)
{
    r->chunk = n;
    if (!record_chunk_check(here(r), n ? r->chunks[n - 1].sum : 0))
        return damaged(r);
    r->reader = (struct record_reader){.at = here(r)->bytes, .end = here(r)->bytes + here(r)->len};
    return 0;
}

/* Whether the log goes on right here; moves into the next chunk of the log. */
static bool more(struct replay *r)
{
    while (here(r)->kind != RECORD_LOG || r->reader.at == r->reader.end)
        if (r->chunk + 1 == r->chunk_count || r->chunks[r->chunk + 1].kind != RECORD_LOG ||
            enter(r, r->chunk + 1) < 0)
            return false;
    return true;
}

/* The next event of the slice, which must be of @kind. */
static bool expect(struct replay *r, enum record_event_kind kind, struct record_event *ret)
{
    struct record_reader before = r->reader;
    char text[128];
    bool have;

    if (r->wrong.code || !r->ready)
        return false;
    have = more(r);
    before = r->reader;
    if (have && record_get_event(&r->reader, ret) < 0) {
        damaged(r);
        return false;
    }
    if (have && ret->kind == kind)
        return true;
    r->reader = before;
    if (!have && r->chunk + 1 == r->chunk_count && !r->about.whole) {
        r->ended = true; /* what came then was not written any more */
        return false;
    }
    snprintf(text, sizeof text, "it comes to %s, the recording to %s", record_event_name(kind),
             have ? record_event_name(ret->kind) : "the end of a slice");
    differs(r, text);
    return false;
}

/* Makes the slice end where it is. */
static void give_up(struct replay *r)
{
    r->line->broken = true;
    machine_kick(r->m);
}

static int drive(struct timeline *line, struct timeline_drive *d, struct block_request *q)
{
    struct replay *r = line->opaque;
    struct record_event ev;
    uint64_t check = 0;
    size_t at = 0;

    if (!expect(r, RECORD_DRIVE, &ev)) {
        give_up(r);
        return -EIO;
    }
    for (unsigned i = 0; q->op == BLOCK_WRITE && i < q->span_count; i++)
        check = record_mix_bytes(check, q->spans[i].data, q->spans[i].len);
    if (ev.number != d->number || ev.op != q->op || ev.value != q->len ||
        (q->op == BLOCK_WRITE && (uint32_t)ev.check != (uint32_t)check)) {
        differs(r, "it asks a drive for something else");
        give_up(r);
        return -EIO;
    }
    for (unsigned i = 0; ev.bytes && i < q->span_count && at < ev.len; i++) {
        size_t n = min_of(q->spans[i].len, ev.len - at);
        memcpy(q->spans[i].data, ev.bytes + at, n);
        at += n;
    }
    return ev.result > 0 ? -EIO : ev.result;
}

static void random_bytes(struct timeline *line, void *bytes, size_t n)
{
    struct replay *r = line->opaque;
    struct record_event ev;

    memset(bytes, 0, n);
    if (!expect(r, RECORD_RANDOM, &ev)) {
        if (r->ready)
            give_up(r);
    } else if (ev.len != n) {
        differs(r, "it asks for another number of random bytes");
        give_up(r);
    } else {
        memcpy(bytes, ev.bytes, n);
    }
}

/* A run never crosses the furthest place, and m->instructions is where it began. */
static void output(struct timeline *line, unsigned port, const uint8_t *bytes, size_t n)
{
    struct replay *r = line->opaque;

    if (r->ready && r->options.output && r->m->instructions >= r->furthest)
        r->options.output(r->options.opaque, (enum replay_port)port, bytes, n);
}

static const struct timeline_ops ops = {.drive = drive, .random = random_bytes, .output = output};

int player_new(struct machine *m, struct error *err)
{
    m->timeline = timeline_new(m, &ops, m->config.replay, true);
    return m->timeline ? 0 : error_set(err, -ENOMEM, "replay: out of memory");
}

/* ---- checkpoints ---- */

/* The first field of a part's state (bus/state.h) in which @a and @b, of @len bytes, differ. */
static void name_field(char *text, size_t size, const uint8_t *a, const uint8_t *b, size_t len)
{
    size_t at = len ? 1 + (size_t)a[0] + 6 : 0;

    while (at < len) {
        size_t name = a[at], head = at + 1 + name, content;
        if (len - at < name + 8)
            return;
        content =
            a[head] == STATE_TIMER ? 9 : (size_t)load_le16(a + head + 1) * load_le32(a + head + 3);
        if (content > len - head - 7)
            return;
        if (memcmp(a + at, b + at, name + 8 + content) != 0) {
            snprintf(text, size, ", field %.*s", (int)name, a + at + 1);
            return;
        }
        at += name + 8 + content;
    }
}

/* Says which part of a machine's state is not as recorded. */
static int state_differs(struct replay *r, const struct str *now, const uint8_t *then, size_t len)
{
    const uint8_t *have = (const uint8_t *)now->data;
    char text[400] = "its state", field[300] = "";
    size_t at = 12;

    while (now->len == len && len - at >= 6) {
        size_t name = load_le16(have + at), head = at + 2 + name, size;
        if (len - at < name + 6)
            break;
        size = load_le32(have + head);
        if (size > len - head - 4)
            break;
        if (memcmp(have + at, then + at, 6 + name + size) != 0) {
            name_field(field, sizeof field, have + head + 4, then + head + 4, size);
            snprintf(text, sizeof text, "the state of %.*s%s", (int)min_of(name, (size_t)32),
                     have + at + 2, field);
            break;
        }
        at = head + 4 + size;
    }
    return differs(r, text);
}

static int compare_pages(struct replay *r, const struct record_pages *pages)
{
    static const uint8_t zeroes[GMEM_PAGE_SIZE];
    uint64_t at = 0;

    for (uint64_t i = 0; i < pages->count; i++) {
        const uint8_t *then, *now;
        uint64_t gfn = record_page(pages, i, &at, &then);
        if (gfn >= gmem_pages(r->m->ram))
            return damaged(r);
        now = gmem_read_page(r->m->ram, gfn);
        if (memcmp(now, then ? then : zeroes, GMEM_PAGE_SIZE) != 0) {
            char text[64];
            snprintf(text, sizeof text, "page %llu of its memory", (unsigned long long)gfn);
            return differs(r, text);
        }
    }
    return 0;
}

/* Passes the checkpoint that begins the chunk @r stands at. */
static int pass_checkpoint(struct replay *r)
{
    struct record_pages pages;
    struct record_state then;
    struct str now = {0};
    int result = 0;

    if (record_get_state(here(r), &then, &pages, &r->wrong) < 0)
        return -EINVAL;
    r->reader.at = r->reader.end;
    if (r->line->hash != then.hash || r->line->next != then.next)
        return differs(r, "registers");
    if (machine_save_state(r->m, &now, &r->wrong) < 0)
        result = -EINVAL;
    else if (now.len != then.state_len || memcmp(now.data, then.state, now.len) != 0)
        result = state_differs(r, &now, then.state, then.state_len);
    str_done(&now);
    return result < 0 ? result : compare_pages(r, &pages);
}

/* The content of each page at checkpoint @n: NULL zeroes. Freed by the caller. */
static const uint8_t **pages_at(struct replay *r, size_t n)
{
    uint64_t count = gmem_pages(r->m->ram);
    const uint8_t **list = mem_alloc(count, sizeof *list);
    size_t first = n;

    if (!list) {
        error_set(&r->wrong, -ENOMEM, "replay: out of memory");
        return NULL;
    }
    while (!r->marks[first].whole && first)
        first--;
    for (size_t i = first; i <= n; i++) {
        struct record_state state;
        struct record_pages pages;
        uint64_t at = 0;
        if (enter(r, r->marks[i].chunk) < 0 ||
            record_get_state(here(r), &state, &pages, &r->wrong) < 0)
            goto bad;
        for (uint64_t p = 0; p < pages.count; p++) {
            const uint8_t *content;
            uint64_t gfn = record_page(&pages, p, &at, &content);
            if (gfn >= count) {
                damaged(r);
                goto bad;
            }
            list[gfn] = content;
        }
    }
    return list;

bad:
    free(list);
    return NULL;
}

static void put_memory(struct gmem *ram, const uint8_t *const *list)
{
    static const uint8_t zeroes[GMEM_PAGE_SIZE];
    uint64_t count = gmem_pages(ram);

    for (uint64_t gfn = 0; gfn < count; gfn++) {
        bool own = gmem_page_flags(ram, gfn) & GMEM_DELTA;
        const uint8_t *want = list[gfn] ? list[gfn] : zeroes;
        if ((list[gfn] || own) && memcmp(gmem_read_page(ram, gfn), want, GMEM_PAGE_SIZE) != 0)
            gmem_write(ram, gfn << GMEM_PAGE_BITS, want, GMEM_PAGE_SIZE);
    }
}

/* Moves to checkpoint @n. */
static int load_checkpoint(struct replay *r, size_t n)
{
    const uint8_t **list = pages_at(r, n);
    struct machine *m = r->m;
    struct record_state state;
    struct record_pages pages;
    int result;

    if (!list)
        return r->wrong.code;
    put_memory(m->ram, list);
    free(list);
    if (m->config.flash_len)
        gmem_read(m->ram, (gmem_pages(m->ram) << GMEM_PAGE_BITS) - m->config.flash_len,
                  m->config.flash, m->config.flash_len);
    if (enter(r, r->marks[n].chunk) < 0 || record_get_state(here(r), &state, &pages, &r->wrong) < 0)
        return r->wrong.code;
    r->reader.at = r->reader.end;
    timeline_clear_seams(r->line);
    r->line->time = here(r)->time;
    r->line->left = 0;
    r->line->held = 0;
    r->line->hash = state.hash;
    r->line->next = (unsigned)state.next;
    m->config.saved = state.state;
    m->config.saved_len = state.state_len;
    r->ready = true; /* what devices do when they go on is in the log behind it */
    r->ended = false;
    result = machine_load_state(m, &r->wrong);
    if (result < 0)
        return result;
    if (m->instructions != here(r)->count || gclock_now(m->clock) != here(r)->time)
        return damaged(r);
    return r->wrong.code;
}

/* ---- events between slices ---- */

static struct timeline_port *port_of(struct replay *r, unsigned number)
{
    struct timeline_port *p = number < REPLAY_PORTS ? &r->line->ports[number] : NULL;
    return p && p->client ? p : NULL;
}

static int do_frame(struct replay *r, const struct record_event *ev)
{
    struct timeline_nic *n = ev->number < MACHINE_NICS ? &r->line->nics[ev->number] : NULL;
    bool room;

    if (!n || !n->client)
        return damaged(r);
    if (ev->kind == RECORD_LINK) {
        if (n->client->link)
            n->client->link(n->client->opaque, ev->on);
        return 0;
    }
    if (ev->kind == RECORD_FRAME && ev->len > NETDEV_FRAME_MAX)
        return damaged(r);
    room = n->client->can_receive(n->client->opaque,
                                  ev->kind == RECORD_FRAME ? ev->len : (size_t)ev->value);
    if (room != (ev->kind == RECORD_FRAME))
        return differs(r, "a network adapter's room for a frame");
    if (room)
        n->client->receive(n->client->opaque, ev->bytes, ev->len);
    return 0;
}

static int do_port(struct replay *r, const struct record_event *ev)
{
    struct timeline_port *p = port_of(r, ev->number);

    if (!p)
        return damaged(r);
    if (ev->kind == RECORD_RESIZE && p->client->resize)
        p->client->resize(p->client->opaque, ev->columns, ev->rows);
    if (ev->kind == RECORD_EOF && p->client->eof)
        p->client->eof(p->client->opaque);
    if (ev->kind != RECORD_INPUT)
        return 0;
    if (p->client->room(p->client->opaque) < ev->len)
        return differs(r, "a port's room for input");
    if (ev->len)
        p->client->input(p->client->opaque, ev->bytes, ev->len);
    return 0;
}

static int do_event(struct replay *r, const struct record_event *ev)
{
    switch (ev->kind) {
    case RECORD_FRAME:
    case RECORD_OFFER:
    case RECORD_LINK:
        return do_frame(r, ev);
    case RECORD_INPUT:
    case RECORD_RESIZE:
    case RECORD_EOF:
        return do_port(r, ev);
    case RECORD_KEY:
        if (ev->number >= INPUT_KEYS)
            return damaged(r);
        machine_key(r->m, ev->number, ev->on);
        return 0;
    case RECORD_POINTER:
        machine_move_pointer(r->m, &ev->pointer);
        return 0;
    case RECORD_POWER:
        machine_power_button(r->m);
        return 0;
    case RECORD_BALLOON:
        machine_set_memory(r->m, ev->value, NULL);
        return 0;
    case RECORD_WALL:
        machine_move_wall(r->m, (int64_t)ev->value);
        return 0;
    case RECORD_DRIVE:
    case RECORD_RANDOM:
        return differs(r, "it did not ask for what the recording has");
    case RECORD_STEP:
    case RECORD_RESET:
    case RECORD_EVENTS:
        break;
    }
    return damaged(r);
}

static int begin_slice(struct replay *r, const struct record_event *ev)
{
    if ((r->line->hash & 0xffff) != ev->check)
        return differs(r, "registers");
    if (ev->value > INT64_MAX - r->line->time)
        return damaged(r);
    timeline_begin(r->line, ev->value);
    return r->wrong.code;
}

static int end_recording(struct replay *r)
{
    struct record_last last;

    if (record_get_last(here(r), &last, &r->wrong) < 0)
        return -EINVAL;
    r->ended = true;
    machine_end(r->m, last.end, last.value, "stopped"); /* if it was ended from outside */
    if (r->m->end != last.end || r->m->end_value != last.value)
        return differs(r, "why the machine ended");
    if (r->line->hash != last.hash || machine_hash(r->m) != last.memory)
        return differs(r, "the memory it leaves");
    return 0;
}

/* A reset leaves what the whole checkpoint behind it says: the guest's files are not needed. */
static int pass_reset(struct replay *r)
{
    size_t n = r->chunk;

    if (!r->m->reset_wanted)
        return differs(r, "it was not reset");
    for (size_t i = 0; i < r->mark_count; i++)
        if (r->marks[i].chunk == n + 1 && r->marks[i].whole && r->reader.at == r->reader.end)
            return load_checkpoint(r, i);
    return damaged(r);
}

/* Does what comes next, up to the beginning of a slice. */
static int next_event(struct replay *r)
{
    struct record_event ev;

    if (here(r)->kind != RECORD_LOG || r->reader.at == r->reader.end) {
        if (r->chunk + 1 == r->chunk_count) {
            r->ended = true;
            return 0;
        }
        if (enter(r, r->chunk + 1) < 0)
            return -EINVAL;
        if (here(r)->kind == RECORD_CHECKPOINT_AT)
            return pass_checkpoint(r);
        return here(r)->kind == RECORD_END ? end_recording(r) : 0;
    }
    if (record_get_event(&r->reader, &ev) < 0)
        return damaged(r);
    if (ev.kind == RECORD_RESET)
        return pass_reset(r);
    if (r->m->end != MACHINE_RUNNING || r->m->reset_wanted)
        return differs(r, "its machine has ended");
    return ev.kind == RECORD_STEP ? begin_slice(r, &ev) : do_event(r, &ev);
}

/* ---- moving ---- */

int replay_run(struct replay *r, uint64_t count, struct error *err)
{
    uint64_t to = r->m->instructions + min_of(count, UINT64_MAX - r->m->instructions);
    unsigned stuck = 0;

    while (!r->wrong.code && !r->ended) {
        uint64_t before = r->m->instructions;
        if (!r->line->left) {
            if (before >= to)
                break;
            next_event(r);
            continue;
        }
        if (before >= to)
            break;
        /* Many faults that no instruction completes end a slice, whole or in pieces. */
        if (!timeline_run(r->line, (r->furthest > before ? min_of(to, r->furthest) : to) - before))
            stuck = 0;
        else if (r->m->instructions == before && ++stuck > TIMELINE_SLICE)
            differs(r, "it does not come to its next instruction");
        if (r->ended)
            break;
        if (r->m->instructions > r->furthest)
            r->furthest = r->m->instructions;
        if (r->line->met && !r->wrong.code)
            return 2;
    }
    return r->wrong.code ? answer(r, err) : r->ended;
}

/* The last checkpoint at or before @count. */
static size_t mark_before(const struct replay *r, uint64_t count)
{
    size_t low = 0, high = r->mark_count;

    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (r->chunks[r->marks[mid].chunk].count <= count)
            low = mid;
        else
            high = mid;
    }
    return low;
}

static int move_to(struct replay *r, uint64_t count)
{
    size_t n = mark_before(r, count);

    if (count < r->m->instructions || r->ended ||
        r->chunks[r->marks[n].chunk].count > r->m->instructions)
        return load_checkpoint(r, n);
    return 0;
}

int replay_goto(struct replay *r, uint64_t count, struct error *err)
{
    int result;

    if (r->wrong.code)
        return answer(r, err);
    if (count == r->m->instructions && !r->ended)
        return 0;
    if (move_to(r, count) < 0)
        return answer(r, err);
    if (count <= r->m->instructions)
        return 0;
    result = replay_run(r, count - r->m->instructions, err);
    if (result == 2)
        return error_set(err, -EBUSY, "a debugger's point is in the way: take it away first");
    return result < 0 ? result : 0;
}

int replay_goto_time(struct replay *r, uint64_t ns, struct error *err)
{
    size_t n = 0;

    if (r->wrong.code)
        return answer(r, err);
    while (n + 1 < r->mark_count && r->chunks[r->marks[n + 1].chunk].time <= ns)
        n++;
    if ((ns < r->line->time || r->ended ||
         r->chunks[r->marks[n].chunk].count > r->m->instructions) &&
        load_checkpoint(r, n) < 0)
        return answer(r, err);
    while (!r->wrong.code && !r->ended && r->line->time < ns) {
        while (r->line->left && !r->wrong.code && !r->ended)
            replay_run(r, r->line->left, NULL);
        if (!r->wrong.code && !r->ended && r->line->time < ns)
            next_event(r);
    }
    return answer(r, err);
}

/* ---- looking ---- */

struct machine *replay_machine(struct replay *r)
{
    return r->m;
}

uint64_t replay_count(const struct replay *r)
{
    return r->m->instructions;
}

uint64_t replay_time(const struct replay *r)
{
    return r->line->time;
}

unsigned replay_cpu(const struct replay *r)
{
    return r->line->left ? r->line->running : r->line->next;
}

void replay_about(const struct replay *r, struct replay_about *ret)
{
    *ret = r->about;
}

/* ---- opening ---- */

static int add_chunk(struct replay *r, const struct record_chunk *c, struct error *err)
{
    if ((r->chunk_count & (r->chunk_count + 1)) == 0) { /* one less than a power of two */
        size_t room = r->chunk_count * 2 + 1;
        struct record_chunk *chunks = reallocarray(r->chunks, room, sizeof *chunks);
        struct mark *marks = chunks ? reallocarray(r->marks, room, sizeof *marks) : NULL;
        if (chunks)
            r->chunks = chunks;
        if (!marks)
            return error_set(err, -ENOMEM, "out of memory");
        r->marks = marks;
    }
    r->chunks[r->chunk_count] = *c;
    if (c->kind == RECORD_CHECKPOINT_AT) {
        bool whole = c->len && c->bytes[0];
        r->marks[r->mark_count++] = (struct mark){.chunk = r->chunk_count, .whole = whole};
        r->about.checkpoint_bytes += c->len;
    } else if (c->kind == RECORD_LOG) {
        r->about.event_bytes += c->len;
    }
    r->chunk_count++;
    return 0;
}

/* The order of chunks: HEAD, a whole CHECKPOINT, then LOG and CHECKPOINT, at last END. */
static int check_order(const struct replay *r, const struct record_chunk *c, struct error *err)
{
    size_t n = r->chunk_count;
    bool ok = n == 0   ? c->kind == RECORD_HEAD
              : n == 1 ? c->kind == RECORD_CHECKPOINT_AT && c->len && c->bytes[0]
                       : c->kind == RECORD_LOG || c->kind == RECORD_CHECKPOINT_AT ||
                             c->kind == RECORD_END;

    if (n && (r->chunks[n - 1].kind == RECORD_END || c->count < r->chunks[n - 1].count ||
              c->time < r->chunks[n - 1].time))
        ok = false;
    return ok ? 0
              : error_set(err, -EINVAL, "the recording is damaged: chunk %zu is out of order", n);
}

static int read_chunks(struct replay *r, const uint8_t *bytes, size_t len, struct error *err)
{
    size_t at = RECORD_MAGIC_BYTES;
    struct record_chunk c;
    int result = record_check_magic(bytes, len, err);

    if (result < 0)
        return result;
    while ((result = record_chunk_next(bytes, len, &at, &c, err)) > 0) {
        result = check_order(r, &c, err);
        if (result == 0)
            result = add_chunk(r, &c, err);
        if (result < 0)
            return result;
    }
    if (result < 0 && result != -EPIPE)
        return result;
    if (r->chunk_count < 2)
        return error_set(err, -EINVAL, "the recording ends before its machine begins to run");
    return 0;
}

static int describe(struct replay *r, size_t len, struct error *err)
{
    const struct record_chunk *last = &r->chunks[r->chunk_count - 1];
    struct record_last end;

    r->about.first = r->chunks[1].count;
    r->about.begin_ns = r->chunks[1].time;
    r->about.last = last->count;
    r->about.end_ns = last->time;
    r->about.checkpoints = (unsigned)r->mark_count;
    r->about.bytes = len;
    r->about.whole = last->kind == RECORD_END;
    if (!r->about.whole)
        return 0;
    if (record_get_last(last, &end, err) < 0)
        return -EINVAL;
    r->about.end = end.end;
    r->about.end_value = end.value;
    return 0;
}

static int make_machine(struct replay *r, struct error *err)
{
    struct machine_config *c = &r->parts.config;
    struct record_state state;
    struct record_pages pages;

    if (enter(r, 0) < 0 || enter(r, 1) < 0)
        return answer(r, err);
    if (record_get_parts(&r->chunks[0], &r->parts, err) < 0 ||
        record_get_state(&r->chunks[1], &state, &pages, err) < 0)
        return -EINVAL;
    c->saved = state.state;
    c->saved_len = state.state_len;
    c->replay = r;
    r->m = machine_new(c, err);
    if (!r->m)
        return err && err->code ? err->code : -EINVAL;
    r->line = r->m->timeline;
    load_checkpoint(r, 0);
    return answer(r, err);
}

struct replay *replay_new(const uint8_t *bytes, size_t len, const struct replay_options *options,
                          struct error *err)
{
    struct replay *r = mem_new(struct replay);
    int result;

    if (!r) {
        error_set(err, -ENOMEM, "replay: out of memory");
        return NULL;
    }
    if (options)
        r->options = *options;
    result = read_chunks(r, bytes, len, err);
    if (result == 0)
        result = describe(r, len, err);
    if (result == 0)
        result = make_machine(r, err);
    if (result < 0) {
        replay_free(r);
        return NULL;
    }
    return r;
}

void replay_free(struct replay *r)
{
    if (!r)
        return;
    machine_free(r->m);
    free(r->parts.flash);
    free(r->chunks);
    free(r->marks);
    free(r);
}
