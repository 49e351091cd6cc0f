/* SPDX-License-Identifier: Apache-2.0 */
#include "orc_tally.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_MINIMUM UINT64_MAX

/* FNV-1a of the running program. */
static uint64_t program_hash(void)
{
    uint64_t h = 0xcbf29ce484222325u;
    uint8_t buffer[4096];
    FILE *f = fopen("/proc/self/exe", "r");
    for (size_t n; f && (n = fread(buffer, 1, sizeof(buffer), f)) > 0;)
        for (size_t i = 0; i < n; i++)
            h = (h ^ buffer[i]) * 0x100000001b3u;
    if (f)
        fclose(f);
    return h;
}

int orc_tally_init(struct orc_tally *t, const struct orc_cells *cells, struct error *err)
{
    *t = (struct orc_tally){.cells = cells, .program = program_hash()};
    t->cell = calloc(cells->count, sizeof(*t->cell));
    return t->cell ? 0 : error_set(err, -ENOMEM, "count cases: no memory");
}

void orc_tally_free(struct orc_tally *t)
{
    free(t->cell);
    t->cell = NULL;
}

int orc_tally_save(const struct orc_tally *t, const char *path, struct error *err)
{
    char temporary[4096];
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    FILE *f = fopen(temporary, "w");
    if (!f)
        return error_set_errno(err, -errno, "write checkpoint %s", temporary);
    fprintf(f, "host_diff 1 %" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %u\n", t->program,
            t->seed, t->first, t->next, t->cells->count);
    fprintf(f, "total %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %.1f\n", t->run,
            t->invalid, t->faults, t->excluded, t->differ, t->seconds);
    for (unsigned i = 0; orc_known[i].name; i++)
        fprintf(f, "known %s %" PRIu64 "\n", orc_known[i].name, t->known[i]);
    for (unsigned i = 0; i < t->cells->count; i++)
        fprintf(f, "cell %u %" PRIu64 " %" PRIu64 " %u\n", i, t->cell[i].run, t->cell[i].excluded,
                t->cell[i].reason);
    fprintf(f, "end\n");
    bool bad = fflush(f) || fsync(fileno(f)) || ferror(f);
    if (fclose(f) || bad || rename(temporary, path))
        return error_set_errno(err, -errno, "write checkpoint %s", path);
    return 0;
}

static bool load_line(struct orc_tally *t, const char *line)
{
    char name[64];
    uint64_t n[5];
    double seconds;
    unsigned i, reason;
    if (sscanf(line, "total %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %lf", n,
               n + 1, n + 2, n + 3, n + 4, &seconds) == 6) {
        t->run += n[0];
        t->invalid += n[1];
        t->faults += n[2];
        t->excluded += n[3];
        t->differ += n[4];
        t->seconds += seconds;
        return true;
    }
    if (sscanf(line, "known %63s %" SCNu64, name, n) == 2) {
        for (i = 0; orc_known[i].name && strcmp(orc_known[i].name, name) != 0; i++)
            ;
        if (orc_known[i].name)
            t->known[i] += n[0];
        return orc_known[i].name != NULL;
    }
    if (sscanf(line, "cell %u %" SCNu64 " %" SCNu64 " %u", &i, n, n + 1, &reason) != 4 ||
        i >= t->cells->count || reason >= ORC_KNOWN_MAX)
        return false;
    t->cell[i].run += n[0];
    t->cell[i].excluded += n[1];
    if (n[1])
        t->cell[i].reason = (uint8_t)reason;
    return true;
}

int orc_tally_load(struct orc_tally *t, const char *path, struct error *err)
{
    char line[256] = "";
    uint64_t program, seed, first, next;
    unsigned cells;
    FILE *f = fopen(path, "r");
    if (!f)
        return errno == ENOENT ? -ENOENT : error_set_errno(err, -errno, "read checkpoint %s", path);
    if (!fgets(line, sizeof(line), f) ||
        sscanf(line, "host_diff 1 %" SCNx64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %u", &program,
               &seed, &first, &next, &cells) != 5) {
        fclose(f);
        return error_set(err, -EINVAL, "read checkpoint %s: not a checkpoint of host_diff", path);
    }
    if (program != t->program || cells != t->cells->count) {
        fclose(f);
        return error_set(err, -EINVAL,
                         "read checkpoint %s: it is another program's; keep the program with its "
                         "checkpoints or start anew",
                         path);
    }
    bool good = true;
    while (good && fgets(line, sizeof(line), f) && strcmp(line, "end\n") != 0)
        good = load_line(t, line);
    fclose(f);
    if (!good || strcmp(line, "end\n") != 0)
        return error_set(err, -EINVAL, "read checkpoint %s: broken at \"%.40s\"", path, line);
    t->seed = seed;
    t->first = first;
    t->next = next;
    return 0;
}

/* Number of cells of one kind in a column, and the least of their counts. */
static uint64_t least(const struct orc_tally *t, enum orc_cell_kind kind, unsigned prefix,
                      unsigned bits, unsigned form, unsigned *ret_cells)
{
    uint64_t minimum = NO_MINIMUM;
    *ret_cells = 0;
    for (unsigned i = 0; i < t->cells->count; i++) {
        const struct orc_cell *c = &t->cells->cell[i];
        if (c->kind != kind || c->prefix != prefix || c->bits != bits || c->form != form ||
            orc_left_out(&t->cell[i]))
            continue;
        ++*ret_cells;
        if (t->cell[i].run < minimum)
            minimum = t->cell[i].run;
    }
    return minimum;
}

static void print_table(const struct orc_tally *t, enum orc_cell_kind kind, const char *title)
{
    static const unsigned modes[] = {64, 32, 16};
    static const char *const forms[ORC_FORMS] = {"none", "reg", "mem"};
    printf("%s: cells / least cases of one\n  %-6s", title, "prefix");
    for (unsigned m = 0; m < 3; m++)
        for (unsigned form = 0; form < ORC_FORMS; form++)
            printf("  %u-bit %-7s", modes[m], forms[form]);
    printf("\n");
    for (unsigned prefix = 0; prefix < ORC_PFXS; prefix++) {
        char line[256];
        size_t at = 0;
        bool any = false;
        for (unsigned m = 0; m < 3; m++)
            for (unsigned form = 0; form < ORC_FORMS; form++) {
                char entry[32] = "-";
                unsigned cells;
                uint64_t minimum = least(t, kind, prefix, modes[m], form, &cells);
                if (cells)
                    snprintf(entry, sizeof(entry), "%u/%" PRIu64, cells, minimum);
                any |= cells != 0;
                at += (size_t)snprintf(line + at, sizeof(line) - at, "  %-14s", entry);
            }
        if (any)
            printf("  %-6s%s\n", orc_prefix_names[prefix], line);
    }
}

/* Cells that could not be run, by reason. */
static void print_left_out(const struct orc_tally *t)
{
    for (unsigned k = 0; orc_known[k].name; k++) {
        unsigned cells = 0, rows = 0, last = UINT32_MAX;
        for (unsigned i = 0; i < t->cells->count; i++)
            if (orc_left_out(&t->cell[i]) && t->cell[i].reason == k) {
                cells++;
                rows += t->cells->cell[i].row != last;
                last = t->cells->cell[i].row;
            }
        if (cells)
            printf("  left out: %u cells of %u rows, %s: %s\n", cells, rows, orc_known[k].name,
                   orc_known[k].why);
    }
}

void orc_tally_print(const struct orc_tally *t)
{
    uint64_t minimum = NO_MINIMUM;
    unsigned run = 0;
    printf("known differences and exclusions:\n");
    for (unsigned i = 0; orc_known[i].name; i++)
        printf("  %-18s %10" PRIu64 "  %s\n", orc_known[i].name, t->known[i], orc_known[i].why);
    print_table(t, ORC_CELL_ROW, "instructions");
    print_table(t, ORC_CELL_MANY, "any prefixes");
    print_table(t, ORC_CELL_UD, "invalid (#UD)");
    for (unsigned i = 0; i < t->cells->count; i++)
        if (!orc_left_out(&t->cell[i])) {
            run++;
            if (t->cell[i].run < minimum)
                minimum = t->cell[i].run;
        }
    printf("coverage: %u cells (row x mode x form x prefix) of %u rows; %u were run, each at least "
           "%" PRIu64 " times\n",
           t->cells->count, (unsigned)X86_ROWS, run, run ? minimum : 0);
    print_left_out(t);
    printf("%" PRIu64 " cases run in %.0f s (%.0f a second), %" PRIu64
           " raised an exception, %" PRIu64 " not an instruction, %" PRIu64 " left out, %" PRIu64
           " differ\n",
           t->run, t->seconds, t->seconds > 0 ? (double)t->run / t->seconds : 0, t->faults,
           t->invalid, t->excluded, t->differ);
}

unsigned orc_tally_below(const struct orc_tally *t, uint64_t need)
{
    unsigned below = 0;
    for (unsigned i = 0; i < t->cells->count; i++) {
        const struct orc_cell *c = &t->cells->cell[i];
        if (t->cell[i].run >= need || orc_left_out(&t->cell[i]))
            continue;
        if (below++ < 20)
            printf("below %" PRIu64 " cases: %s %s, %u-bit, form %s, prefix %s: %" PRIu64 "\n",
                   need, x86_optable[c->row].encoding, x86_optable[c->row].mnemonic, c->bits,
                   orc_form_names[c->form], orc_prefix_names[c->prefix], t->cell[i].run);
    }
    return below;
}

/* The cell's number; ud- before it for the invalid, the reason where it was left out. */
static void write_cell(const struct orc_tally *t, unsigned i, FILE *f)
{
    const struct orc_count *n = &t->cell[i];
    if (orc_left_out(n))
        fprintf(f, "\t%s", orc_known[n->reason].name);
    else
        fprintf(f, "\t%s%" PRIu64, t->cells->cell[i].kind == ORC_CELL_UD ? "ud-" : "", n->run);
}

int orc_tally_coverage(const struct orc_tally *t, const char *path, struct error *err)
{
    FILE *f = fopen(path, "w");
    if (!f)
        return error_set_errno(err, -errno, "write %s", path);
    fprintf(f, "encoding\tmnemonic\tbits\tform");
    for (unsigned p = 0; p < ORC_PFXS; p++)
        fprintf(f, "\t%s", orc_prefix_names[p]);
    unsigned column = ORC_PFXS;
    const struct orc_cell *line = NULL;
    for (unsigned i = 0; i < t->cells->count; i++) {
        const struct orc_cell *c = &t->cells->cell[i];
        if (!line || line->row != c->row || line->bits != c->bits || line->form != c->form) {
            fprintf(f, "\n%s\t%s\t%u\t%s", x86_optable[c->row].encoding,
                    x86_optable[c->row].mnemonic, c->bits, orc_form_names[c->form]);
            column = 0;
            line = c;
        }
        for (; column < c->prefix; column++)
            fprintf(f, "\t-");
        write_cell(t, i, f);
        column++;
    }
    fprintf(f, "\n");
    return fclose(f) ? error_set_errno(err, -errno, "write %s", path) : 0;
}
