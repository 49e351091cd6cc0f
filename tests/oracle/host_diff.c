/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_diff: ring-3 instructions on the interpreter and on the host's own processor.
 *
 *   host_diff [--cases N] [--seed S] [--first N] [--need N] [--coverage FILE] [--checkpoint FILE]
 *   host_diff [--row TEXT] [--bits 16|32|64] [--case N] [--max-reports N] [--seconds N]
 *   host_diff --sum FILE,FILE... [--need N] [--cases N] [--coverage FILE]
 *   host_diff --self-test 1
 *
 * Cases walk the coverage matrix round by round; cells that then have less than --need cases get
 * more. A case is a pure function of seed and number; its number says its cell. Exits 0 without a
 * difference, 1 with one or with too few cases, 77 when this host cannot be an oracle.
 */
#include "host_diff.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "orc_host.h"
#include "orc_traits.h"

enum { LINE = 64, CHECKPOINT_CASES = 1 << 21, TRIES_FOR_ONE = 10000 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void decode(struct session *s, struct x86_insn *insn)
{
    struct orc_case *c = &s->c;
    struct x86_decode_env env = {.model = s->r.model,
                                 .mode = c->bits == 64 ? X86_MODE_64 : X86_MODE_COMPAT,
                                 .big = c->bits != 16};
    memset(insn, 0, sizeof(*insn));
    uint8_t bytes[64];
    memset(bytes, 0xcc, sizeof(bytes));
    memcpy(bytes, c->whole, c->whole_len);
    s->r.row =
        x86_decode(&env, bytes, sizeof(bytes), insn) == X86_DECODE_OK ? x86_insn_row(insn) : NULL;
    s->r.insn = insn;
}

static void write_code(struct session *s, uint32_t at, const uint8_t *bytes, unsigned len)
{
    memcpy(orc_host_code() + at, bytes, len);
    orc_guest_code(s->guest, at, bytes, len);
}

/* Code over the previous case's, and operands into the data pages, which are as orc_pristine. */
static void prepare(struct session *s)
{
    const struct orc_case *c = &s->c;
    uint8_t bytes[LINE];
    unsigned usual = c->code_offset & ~(LINE - 1u), inside = c->code_offset - usual;
    memset(bytes, 0xcc, sizeof(bytes));
    /* Mostly both are in one aligned line, which is written at once. */
    if (s->dirty_len && (s->dirty_offset < usual || s->dirty_offset + s->dirty_len > usual + LINE))
        write_code(s, s->dirty_offset, bytes, s->dirty_len);
    if (inside + c->whole_len <= LINE) {
        memcpy(bytes + inside, c->whole, c->whole_len);
        write_code(s, usual, bytes, sizeof(bytes));
    } else {
        write_code(s, usual, bytes, sizeof(bytes));
        write_code(s, c->code_offset, c->whole, c->whole_len);
    }
    s->dirty_offset = c->code_offset;
    s->dirty_len = c->whole_len;
    uint8_t *data = orc_host_data();
    for (unsigned i = 0; i < c->patches; i++) {
        memcpy(data + c->patch[i].offset, c->patch[i].bytes, c->patch[i].len);
        memcpy(s->r.guest_data + c->patch[i].offset, c->patch[i].bytes, c->patch[i].len);
    }
}

/* Makes the data pages of both sides as orc_pristine again: the lines that are not. */
static void restore(struct session *s, bool same)
{
    uint8_t *data = orc_host_data();
    typedef uint64_t words __attribute__((vector_size(16), may_alias));
    if (!same) {
        memcpy(data, s->pristine, ORC_RW_BYTES);
        memcpy(s->r.guest_data, s->pristine, ORC_RW_BYTES);
        return;
    }
    for (unsigned at = 0; at < ORC_RW_BYTES; at += LINE) {
        const words *a = (const words *)(data + at), *b = (const words *)(s->pristine + at);
        words x = (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]);
        if (x[0] | x[1]) {
            memcpy(data + at, s->pristine + at, LINE);
            memcpy(s->r.guest_data + at, s->pristine + at, LINE);
        }
    }
}

static void print_state(const char *name, const struct orc_state *s)
{
    printf("  %-5s vector %d code %x cr2 %" PRIx64 " rip %" PRIx64 " flags %" PRIx64
           " cs %x ss %x ds %x es %x fs %x:%" PRIx64 " gs %x:%" PRIx64 "\n        ",
           name, s->vector, s->err, s->cr2, s->rip, s->rflags, s->sel[ORC_CS], s->sel[ORC_SS],
           s->sel[ORC_DS_], s->sel[ORC_ES], s->sel[ORC_FS], s->fs_base, s->sel[ORC_GS], s->gs_base);
    static const char *const names[16] = {"ax", "cx", "dx",  "bx",  "sp",  "bp",  "si",  "di",
                                          "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
    for (unsigned i = 0; i < 16; i++)
        printf(" %s %" PRIx64, names[i], s->gpr[i]);
    printf("\n         fcw %x fsw %x ftag %x mxcsr %x", load_le16(s->fx), load_le16(s->fx + 2),
           s->fx[4], load_le32(s->fx + 24));
    for (unsigned i = 0; i < 8; i++)
        printf(" st%u %04x.%016" PRIx64, i, load_le16(s->fx + 40 + 16 * i),
               load_le64(s->fx + 32 + 16 * i));
    printf("\n        ");
    for (unsigned i = 0; i < 16; i++)
        printf(" x%u %016" PRIx64 "%016" PRIx64, i, load_le64(s->fx + 168 + 16 * i),
               load_le64(s->fx + 160 + 16 * i));
    printf("\n        ");
    for (unsigned i = 0; i < 16; i++)
        printf(" y%u %016" PRIx64 "%016" PRIx64, i, load_le64(s->ymmh + 8 + 16 * i),
               load_le64(s->ymmh + 16 * i));
    printf("\n");
}

static void report(struct session *s, const struct orc_diff *d)
{
    const struct orc_case *c = &s->c;
    /* A few of each row, so that every row has its chance. */
    if (!s->opt.single && (s->reports >= s->opt.max_reports || s->row_differs[c->row] > 3))
        return;
    s->reports++;
    printf("%s --seed %" PRIu64 " --case %" PRIu64 " [%s %s] %u-bit:", d->fields ? "DIFF" : "SAME",
           c->seed, c->number, x86_optable[c->row].encoding, x86_optable[c->row].mnemonic, c->bits);
    for (unsigned i = 0; i < c->code.len; i++)
        printf(" %02x", c->code.bytes[i]);
    printf(" ->%s\n    host/guest:%s\n", s->r.row ? s->r.row->mnemonic : "(invalid)", d->text);
    if (!s->opt.single)
        return;
    print_state("in", &c->in);
    print_state("host", &s->r.host);
    print_state("guest", &s->r.guest);
    for (unsigned i = 0; i < c->patches; i++) {
        printf("  data %x:", ORC_DATA + c->patch[i].offset);
        for (unsigned k = 0; k < c->patch[i].len; k++)
            printf(" %02x", c->patch[i].bytes[k]);
        printf("\n");
    }
}

static void count(struct session *s, unsigned cell, const struct orc_diff *d)
{
    struct orc_tally *t = &s->tally;
    const struct orc_cell *k = &s->cells.cell[cell];
    t->run++;
    t->faults += s->r.host.vector >= 0;
    t->invalid += s->r.row == NULL;
    /* A case that became something else, by a prefix that changed the row, is not the cell's. */
    if (k->kind == ORC_CELL_MANY ||
        s->r.row == (k->kind == ORC_CELL_UD ? NULL : &x86_optable[k->row]))
        t->cell[cell].run++;
    for (uint64_t bits = d->excused; bits; bits &= bits - 1)
        t->known[__builtin_ctzll(bits)]++;
    if (d->fields) {
        t->differ++;
        s->row_differs[k->row]++;
    }
}

void session_case(struct session *s, uint64_t seed, uint64_t number, struct orc_diff *ret)
{
    struct orc_case *c = &s->c;
    struct x86_insn insn;
    unsigned cell = s->cells.slot[number % s->cells.slots];
    ret->fields = 0;
    ret->excused = 0;
    s->ran = false;
    orc_case_make(c, seed, number, &s->cells.cell[cell]);
    s->r.c = c;
    decode(s, &insn);
    int why = orc_excluded(&s->r);
    if (why >= 0) {
        s->tally.known[why]++;
        s->tally.excluded++;
        s->tally.cell[cell].excluded++;
        s->tally.cell[cell].reason = (uint8_t)why;
        return;
    }
    prepare(s);
    orc_host_run(&c->in, &s->r.host);
    if (s->plant_code)
        s->plant_code(s);
    orc_guest_run(s->guest, &c->in, &s->r.guest);
    if (s->plant)
        s->plant(s);
    s->r.host_data = orc_host_data();
    orc_compare(&s->r, ret);
    if (ret->fields && s->r.row &&
        (s->r.row->attr & X86_ATTR_BRANCH || orc_in(s->r.row, ORC_SET_RETURN))) {
        orc_forgive(&s->r, orc_guest_landing(s->guest, &c->in), ret);
        ret->same_memory = false;
    }
    s->ran = true;
    count(s, cell, ret);
    if (!s->quiet && (ret->fields || s->opt.single))
        report(s, ret);
    restore(s, ret->same_memory);
}

static bool wanted(const struct options *o, const struct orc_cell *c)
{
    const struct x86_row *row = &x86_optable[c->row];
    return (!o->bits || c->bits == o->bits) &&
           (!o->row || strstr(row->mnemonic, o->row) || strstr(row->encoding, o->row));
}

static int checkpoint(struct session *s, double *start)
{
    struct error err = {0};
    s->tally.seconds += now() - *start;
    *start = now();
    if (!s->opt.checkpoint || orc_tally_save(&s->tally, s->opt.checkpoint, &err) == 0)
        return 0;
    fprintf(stderr, "host_diff: %s\n", error_text(&err));
    return -1;
}

static int walk(struct session *s, uint64_t end)
{
    const struct options *o = &s->opt;
    struct orc_tally *t = &s->tally;
    struct orc_diff d;
    double begin = now(), start = begin;
    uint32_t *slots = calloc(s->cells.slots, sizeof(*slots));
    unsigned n = 0;
    int ret = slots ? 0 : -1;
    for (unsigned i = 0; slots && i < s->cells.slots; i++)
        if (wanted(o, &s->cells.cell[s->cells.slot[i]]))
            slots[n++] = i;
    while (n && t->next < end && ret == 0) {
        uint64_t i = t->next++;
        session_case(s, o->seed, i / n * s->cells.slots + slots[i % n], &d);
        if (i % CHECKPOINT_CASES == 0)
            ret = checkpoint(s, &start);
        if (o->seconds && (i & 1023) == 0 && now() - begin > (double)o->seconds)
            break;
    }
    free(slots);
    return ret ? ret : checkpoint(s, &start);
}

/*
 * Cells that got less than --need cases, because most of theirs are left out or become another
 * row's, get more. Numbers are those of rounds after the walk's, so no case comes twice; t->next
 * goes on counting, so an interrupted run goes on where it was.
 */
static int catch_up(struct session *s, uint64_t end)
{
    struct orc_tally *t = &s->tally;
    struct orc_diff d;
    double start = now();
    uint64_t rounds = end / s->cells.slots + 1;
    for (unsigned slot = 0; slot < s->cells.slots; slot++) {
        unsigned cell = s->cells.slot[slot];
        const struct orc_count *n = &t->cell[cell];
        if (!wanted(&s->opt, &s->cells.cell[cell]))
            continue;
        for (uint64_t tries = s->opt.need * TRIES_FOR_ONE;
             tries && !orc_left_out(n) && n->run < s->opt.need; tries--)
            session_case(s, s->opt.seed, (rounds + t->next++ - end) * s->cells.slots + slot, &d);
    }
    return checkpoint(s, &start);
}

static int run_all(struct session *s)
{
    uint64_t end = s->tally.first + s->opt.cases;
    int ret = walk(s, end);
    if (ret == 0 && s->opt.need && s->tally.next >= end)
        ret = catch_up(s, end);
    return ret;
}

/* Adds up the files of --sum. */
static int sum_files(struct session *s, struct error *err)
{
    struct range {
        uint64_t seed, first, next;
    } seen[64];
    struct orc_tally *t = &s->tally;
    char *list = strdup(s->opt.sum), *rest = list;
    int ret = list ? 0 : error_set(err, -ENOMEM, "add up %s: no memory", s->opt.sum);
    unsigned n = 0;
    for (char *name; ret == 0 && (name = strsep(&rest, ",")) != NULL; n++) {
        ret = orc_tally_load(t, name, err);
        if (ret == -ENOENT)
            ret = error_set(err, ret, "read checkpoint %s: no such file", name);
        if (ret == 0 && n == array_size(seen))
            ret = error_set(err, -E2BIG, "add up %s: at most 64 files", name);
        for (unsigned i = 0; ret == 0 && i < n; i++)
            if (seen[i].seed == t->seed && t->first < seen[i].next && seen[i].first < t->next)
                ret = error_set(err, -EINVAL, "add up %s: its cases were in a file before", name);
        if (ret == 0) {
            seen[n] = (struct range){t->seed, t->first, t->next};
            printf("%s: seed %" PRIu64 ", cases %" PRIu64 " to %" PRIu64 "\n", name, t->seed,
                   t->first, t->next);
        }
    }
    free(list);
    return ret;
}

/* The end of a run or of a sum: what was counted, and whether it is enough. */
static int judge(struct session *s)
{
    struct error err = {0};
    const struct orc_tally *t = &s->tally;
    orc_tally_print(t);
    for (unsigned i = 0; i < X86_ROWS; i++)
        if (s->row_differs[i])
            printf("  row %-22s %-12s differs %" PRIu64 " times\n", x86_optable[i].encoding,
                   x86_optable[i].mnemonic, s->row_differs[i]);
    bool all = !s->opt.row && !s->opt.bits;
    unsigned below = s->opt.need && all ? orc_tally_below(t, s->opt.need) : 0;
    if (below)
        printf("FAILED: %u cells have less than %" PRIu64 " cases\n", below, s->opt.need);
    bool few = s->opt.sum && t->run < s->opt.cases;
    if (few)
        printf("FAILED: %" PRIu64 " cases are less than %" PRIu64 "\n", t->run, s->opt.cases);
    if (s->opt.coverage && orc_tally_coverage(t, s->opt.coverage, &err)) {
        fprintf(stderr, "host_diff: %s\n", error_text(&err));
        return 2;
    }
    return t->differ || below || few;
}

static bool parse(int argc, char **argv, struct options *o)
{
    *o = (struct options){.cases = 2000000, .seed = 1, .max_reports = 200};
    for (int i = 1; i < argc; i += 2) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (!v)
            return false;
        uint64_t n = strtoull(v, NULL, 0);
        if (!strcmp(a, "--cases"))
            o->cases = n;
        else if (!strcmp(a, "--seed"))
            o->seed = n;
        else if (!strcmp(a, "--first"))
            o->first = n;
        else if (!strcmp(a, "--case"))
            o->only = n, o->single = true;
        else if (!strcmp(a, "--engine") && (!strcmp(v, "jit") || !strcmp(v, "interp")))
            o->jit = !strcmp(v, "jit");
        else if (!strcmp(a, "--row"))
            o->row = v;
        else if (!strcmp(a, "--bits"))
            o->bits = (unsigned)n;
        else if (!strcmp(a, "--max-reports"))
            o->max_reports = (unsigned)n;
        else if (!strcmp(a, "--coverage"))
            o->coverage = v;
        else if (!strcmp(a, "--checkpoint"))
            o->checkpoint = v;
        else if (!strcmp(a, "--sum"))
            o->sum = v;
        else if (!strcmp(a, "--need"))
            o->need = n;
        else if (!strcmp(a, "--seconds"))
            o->seconds = n;
        else if (!strcmp(a, "--self-test"))
            o->self_test = n != 0;
        else
            return false;
    }
    return true;
}

static int session_init(struct session *s, struct error *err)
{
    orc_traits_init();
    orc_values_init();
    s->guest = orc_guest_new(err);
    if (!s->guest || (s->opt.jit && orc_guest_translate(s->guest, err) < 0))
        return -1;
    s->r.model = orc_guest_cpu(s->guest)->vm->model;
    s->r.guest_data = orc_guest_data(s->guest);
    if (!s->r.guest_data)
        return error_set(err, -1, "the guest's data pages are apart");
    int ret = orc_cells_make(&s->cells, s->r.model, err);
    if (ret == 0)
        ret = orc_tally_init(&s->tally, &s->cells, err);
    if (ret)
        return ret;
    s->tally.seed = s->opt.seed;
    s->tally.first = s->tally.next = s->opt.first;
    __builtin_cpu_init();
    s->r.amd = __builtin_cpu_is("amd");
    orc_pristine(s->pristine);
    return 0;
}

static void meet_host(struct session *s)
{
    orc_guest_stub(s->guest, (const uint8_t *)(uintptr_t)ORC_STUB);
    orc_guest_cpu_node(s->guest, orc_host_cpu_node());
    orc_host_fill(s->pristine);
    memcpy(s->r.guest_data, s->pristine, ORC_DATA_BYTES);
}

static int run(struct session *s, struct error *err)
{
    struct orc_diff d;
    if (s->opt.single) {
        session_case(s, s->opt.seed, s->opt.only, &d);
        if (!s->ran)
            printf("left out\n");
        return d.fields != 0;
    }
    if (s->opt.self_test)
        return session_self_test(s);
    if (s->opt.checkpoint) {
        struct orc_tally *t = &s->tally;
        int ret = orc_tally_load(t, s->opt.checkpoint, err);
        if (ret && ret != -ENOENT)
            return 2;
        if (ret == 0 && (t->seed != s->opt.seed || t->first != s->opt.first)) {
            error_set(err, -EINVAL, "go on from %s: it has another seed or first case",
                      s->opt.checkpoint);
            return 2;
        }
    }
    return run_all(s) ? 2 : judge(s);
}

int main(int argc, char **argv)
{
    static struct session s;
    struct error err = {0};
    if (!parse(argc, argv, &s.opt)) {
        fprintf(stderr,
                "usage: host_diff [--cases N] [--seed S] [--first N] [--case N] [--row TEXT]"
                " [--bits N]\n       [--max-reports N] [--coverage FILE] [--checkpoint FILE]"
                " [--sum FILE,...] [--need N]\n       [--seconds N] [--self-test 1] [--engine "
                "interp|jit]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    int ret = 2;
    const char *why = s.opt.sum ? NULL : orc_host_init();
    if (why) {
        printf("skipped: %s\n", why);
        return 77;
    }
    if (session_init(&s, &err) == 0) {
        if (s.opt.sum) {
            ret = sum_files(&s, &err) ? 2 : judge(&s);
        } else {
            meet_host(&s);
            ret = run(&s, &err);
        }
    }
    if (err.code)
        fprintf(stderr, "host_diff: %s\n", error_text(&err));
    orc_tally_free(&s.tally);
    orc_cells_free(&s.cells);
    orc_guest_free(s.guest);
    return ret;
}
