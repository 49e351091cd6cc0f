/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_diff: ring-3 instructions on the interpreter and on the host's own processor.
 *
 *   host_diff [--cases N] [--seed S] [--case N] [--row TEXT] [--bits 16|32|64] [--max-reports N]
 *             [--coverage FILE] [--seconds N]
 *
 * Cases go round the opcode table, so every row gets its share. Exits 0 without a difference, 1
 * with, 77 when this host cannot be an oracle.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu/x86/decode.h"
#include "orc_compare.h"
#include "orc_guest.h"
#include "orc_host.h"

struct options {
    uint64_t cases, seed, only, seconds;
    bool single;
    const char *row, *coverage;
    unsigned bits, max_reports;
};

struct row_stats {
    uint64_t generated, run, differ, by_form[2], faults, excluded;
    uint64_t by_prefix[8];
};

struct session {
    struct options opt;
    struct orc_guest *guest;
    uint8_t pristine[ORC_DATA_BYTES];
    uint64_t known[ORC_KNOWN_MAX];
    struct row_stats *rows;
    uint64_t run, differ, invalid, skipped;
    unsigned reports;
    bool amd;
    struct orc_case c;
    struct orc_run r;
    uint32_t dirty_offset; /* code written by the previous case */
    unsigned dirty_len;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void decode(struct session *s, struct x86_insn *insn)
{
    struct orc_case *c = &s->c;
    struct x86_decode_env env = {.model = orc_guest_cpu(s->guest)->vm->model,
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

static void prepare(struct session *s)
{
    const struct orc_case *c = &s->c;
    static const uint8_t cc[64] = {[0 ... 63] = 0xcc};
    if (s->dirty_len) {
        memcpy(orc_host_code() + s->dirty_offset, cc, s->dirty_len);
        orc_guest_code(s->guest, s->dirty_offset, cc, s->dirty_len);
    }
    memcpy(orc_host_code() + c->code_offset, c->whole, c->whole_len);
    orc_guest_code(s->guest, c->code_offset, c->whole, c->whole_len);
    s->dirty_offset = c->code_offset;
    s->dirty_len = c->whole_len;
    uint8_t *data = orc_host_data();
    memcpy(data, s->pristine, ORC_RW_BYTES);
    for (unsigned i = 0; i < c->patches; i++)
        memcpy(data + c->patch[i].offset, c->patch[i].bytes, c->patch[i].len);
    for (unsigned page = 0; page < 2; page++)
        memcpy(orc_guest_data(s->guest, page), data + page * ORC_PAGE, ORC_PAGE);
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
    printf("\n");
}

static void report(struct session *s, const struct orc_diff *d)
{
    const struct orc_case *c = &s->c;
    if (s->reports >= s->opt.max_reports && !s->opt.single)
        return;
    /* One report a row until every row had its chance. */
    struct row_stats *rs = &s->rows[c->row];
    if (rs->differ > 3 && !s->opt.single)
        return;
    s->reports++;
    printf("DIFF --seed %" PRIu64 " --case %" PRIu64 " [%s %s] %u-bit:", c->seed, c->number,
           x86_optable[c->row].encoding, x86_optable[c->row].mnemonic, c->bits);
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

static void run_case(struct session *s)
{
    struct orc_case *c = &s->c;
    struct row_stats *rs = &s->rows[c->row];
    struct x86_insn insn;
    static uint8_t guest_data[ORC_RW_BYTES];
    rs->generated++;
    s->r.c = c;
    s->r.amd = s->amd;
    s->r.model = orc_guest_cpu(s->guest)->vm->model;
    decode(s, &insn);
    int why = orc_excluded(&s->r);
    if (why >= 0) {
        s->known[why]++;
        s->skipped++;
        rs->excluded++;
        return;
    }
    prepare(s);
    orc_host_run(&c->in, &s->r.host);
    orc_guest_run(s->guest, &c->in, &s->r.guest);
    for (unsigned page = 0; page < 2; page++)
        memcpy(guest_data + page * ORC_PAGE, orc_guest_data(s->guest, page), ORC_PAGE);
    s->r.host_data = orc_host_data();
    s->r.guest_data = guest_data;
    struct orc_diff d;
    orc_compare(&s->r, &d);
    s->run++;
    rs->run++;
    rs->faults += s->r.host.vector >= 0;
    rs->by_form[c->code.has_modrm && c->code.modrm < 0xc0]++;
    for (unsigned i = 0; i < 8; i++)
        rs->by_prefix[i] += c->code.prefixes >> i & 1;
    for (unsigned i = 0; orc_known[i].name; i++)
        s->known[i] += d.excused >> i & 1;
    s->invalid += s->r.row == NULL;
    if (d.fields) {
        s->differ++;
        rs->differ++;
        report(s, &d);
    } else if (s->opt.single) {
        printf("same\n");
        report(s, &d);
    }
}

static bool wanted(const struct options *o, unsigned row)
{
    return !o->row || strstr(x86_optable[row].mnemonic, o->row) ||
           strstr(x86_optable[row].encoding, o->row);
}

static void run_all(struct session *s)
{
    const struct options *o = &s->opt;
    double start = now();
    unsigned *rows = calloc(X86_ROWS, sizeof(*rows)), n = 0;
    for (unsigned i = 0; i < X86_ROWS; i++)
        if (wanted(o, i))
            rows[n++] = i;
    for (uint64_t i = o->single ? o->only : 0; n && (o->single || i < o->cases); i++) {
        /* The row is part of the case's number, whatever rows are wanted. */
        uint64_t number = o->single ? o->only : i / n * X86_ROWS + rows[i % n];
        orc_case_make(&s->c, o->seed, number, (unsigned)(number % X86_ROWS));
        if (!o->bits || s->c.bits == o->bits)
            run_case(s);
        if (o->single)
            break;
        if (o->seconds && (i & 1023) == 0 && now() - start > (double)o->seconds)
            break;
    }
    free(rows);
    double took = now() - start;
    printf("%" PRIu64 " cases run in %.1f s (%.0f a second), %" PRIu64
           " not an instruction, %" PRIu64 " left out, %" PRIu64 " differ\n",
           s->run, took, (double)s->run / took, s->invalid, s->skipped, s->differ);
}

static void summary(struct session *s)
{
    printf("known differences and exclusions:\n");
    for (unsigned i = 0; orc_known[i].name; i++)
        printf("  %-18s %10" PRIu64 "  %s\n", orc_known[i].name, s->known[i], orc_known[i].why);
    uint64_t least = UINT64_MAX, rows = 0, differing = 0;
    for (unsigned i = 0; i < X86_ROWS; i++) {
        if (!s->rows[i].generated)
            continue;
        rows++;
        differing += s->rows[i].differ != 0;
        if (s->rows[i].generated < least)
            least = s->rows[i].generated;
    }
    printf("rows: %" PRIu64 " of %d covered, at least %" PRIu64 " cases each; %" PRIu64
           " with a difference\n",
           rows, X86_ROWS, rows ? least : 0, differing);
    for (unsigned i = 0; i < X86_ROWS; i++)
        if (s->rows[i].differ)
            printf("  row %-22s %-12s %" PRIu64 " of %" PRIu64 "\n", x86_optable[i].encoding,
                   x86_optable[i].mnemonic, s->rows[i].differ, s->rows[i].run);
}

static void write_coverage(const struct session *s)
{
    FILE *f = fopen(s->opt.coverage, "w");
    if (!f)
        return;
    fprintf(f, "encoding\tmnemonic\tcases\trun\tfaults\tregister\tmemory\t66\t67\tseg\tf2\tf3\tlock"
               "\trex\trex.w\texcluded\tdiffer\n");
    for (unsigned i = 0; i < X86_ROWS; i++) {
        const struct row_stats *r = &s->rows[i];
        fprintf(f, "%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64,
                x86_optable[i].encoding, x86_optable[i].mnemonic, r->generated, r->run, r->faults,
                r->by_form[0], r->by_form[1]);
        for (unsigned k = 0; k < 8; k++)
            fprintf(f, "\t%" PRIu64, r->by_prefix[k]);
        fprintf(f, "\t%" PRIu64 "\t%" PRIu64 "\n", r->excluded, r->differ);
    }
    fclose(f);
}

static bool parse(int argc, char **argv, struct options *o)
{
    *o = (struct options){.cases = 2000000, .seed = 1, .max_reports = 200};
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (!v)
            return false;
        if (!strcmp(a, "--cases"))
            o->cases = strtoull(v, NULL, 0);
        else if (!strcmp(a, "--seed"))
            o->seed = strtoull(v, NULL, 0);
        else if (!strcmp(a, "--case"))
            o->only = strtoull(v, NULL, 0), o->single = true;
        else if (!strcmp(a, "--row"))
            o->row = v;
        else if (!strcmp(a, "--bits"))
            o->bits = (unsigned)atoi(v);
        else if (!strcmp(a, "--max-reports"))
            o->max_reports = (unsigned)atoi(v);
        else if (!strcmp(a, "--coverage"))
            o->coverage = v;
        else if (!strcmp(a, "--seconds"))
            o->seconds = strtoull(v, NULL, 0);
        else
            return false;
        i++;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct session s;
    struct error err = {0};
    if (!parse(argc, argv, &s.opt)) {
        fprintf(stderr, "usage: host_diff [--cases N] [--seed S] [--case N] [--row TEXT] [--bits N]"
                        " [--max-reports N] [--coverage FILE] [--seconds N]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *why = orc_host_init();
    if (why) {
        printf("skipped: %s\n", why);
        return 77;
    }
    s.guest = orc_guest_new(&err);
    s.rows = calloc(X86_ROWS, sizeof(*s.rows));
    if (!s.guest || !s.rows) {
        fprintf(stderr, "host_diff: %s\n", error_text(&err));
        return 2;
    }
    __builtin_cpu_init();
    s.amd = __builtin_cpu_is("amd");
    orc_pristine(s.pristine);
    orc_guest_stub(s.guest, (const uint8_t *)(uintptr_t)ORC_STUB);
    orc_guest_cpu_node(s.guest, orc_host_cpu_node());
    memcpy(orc_host_data(), s.pristine, ORC_DATA_BYTES);
    memcpy(orc_guest_data(s.guest, 2), s.pristine + ORC_RW_BYTES, ORC_PAGE);
    run_all(&s);
    if (!s.opt.single)
        summary(&s);
    if (s.opt.coverage)
        write_coverage(&s);
    free(s.rows);
    orc_guest_free(s.guest);
    return s.differ != 0;
}
