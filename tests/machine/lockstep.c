/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lockstep: a guest boots on the interpreter and on the translator, which are held to each other.
 *
 *   lockstep [-t MILLION-INSTRUCTIONS] [-T TURN] [-m MIB] [-c CPUS] [-b BLOCK] [-f FROM] [-s STEP]
 *            [-a APPEND] [-v] KERNEL INITRD
 *
 * Both machines run the same turns; guest time is a function of the instructions that have run.
 * After each turn the processors' registers must be equal, at each hundredth of the way memory and
 * devices, too. -b limits the translator's blocks; from -f on, turns are cut in steps of -s: with
 * both 1, the instruction that differs is found. Exit status 1 when they differ.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cpu/jit/jit.h"
#include "cpu/x86/access.h"
#include "cpu/x86/flags.h"
#include "machine/machine_internal.h"
#include "machine/snapshot.h"

enum { ENGINES = 2, MARKS = 100 };

struct options {
    uint64_t length, turn, memory, from, step;
    unsigned cpus, block;
    const char *append;
    bool show;
    uint8_t *kernel, *initrd;
    size_t kernel_len, initrd_len;
};

struct world {
    struct machine *m;
    uint64_t time;
    struct chardev console;
    bool show;
};

static void console_attach(struct chardev *ch, const struct chardev_client *client)
{
    (void)ch;
    (void)client;
}

static size_t console_write(struct chardev *ch, const uint8_t *bytes, size_t n)
{
    struct world *w = container_of(ch, struct world, console);

    if (w->show) {
        fwrite(bytes, 1, n, stdout);
        fflush(stdout);
    }
    return n;
}

static void console_nothing(struct chardev *ch)
{
    (void)ch;
}

static const struct chardev_ops console_ops = {.attach = console_attach,
                                               .write = console_write,
                                               .ready = console_nothing,
                                               .close = console_nothing};

static uint64_t world_time(void *opaque)
{
    return ((struct world *)opaque)->time;
}

static void die(const char *what, const struct error *err)
{
    fprintf(stderr, "lockstep: %s: %s\n", what, err ? error_text(err) : "failed");
    exit(2);
}

static uint8_t *read_file(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    long len;

    if (!f || fseek(f, 0, SEEK_END) < 0 || (len = ftell(f)) < 0)
        die(path, NULL);
    rewind(f);
    data = malloc((size_t)len + 1);
    if (!data || fread(data, 1, (size_t)len, f) != (size_t)len)
        die(path, NULL);
    fclose(f);
    *ret_len = (size_t)len;
    return data;
}

static void make(struct world *w, const struct options *o, const char *accel)
{
    struct machine_config c = {.cpus = o->cpus,
                               .memory = o->memory,
                               .append = o->append,
                               .accel = accel,
                               .time_source = world_time,
                               .time_opaque = w,
                               .rtc_base = 1700000000,
                               .random_seed = 1};
    struct error err = {0};

    c.guest.kernel = o->kernel;
    c.guest.kernel_len = o->kernel_len;
    c.guest.initrd = o->initrd;
    c.guest.initrd_len = o->initrd_len;
    c.serials[0] = &w->console;
    w->console.ops = &console_ops;
    w->m = machine_new(&c, &err);
    if (!w->m)
        die(accel, &err);
    x86_jit_limit(w->m->vm, o->block);
}

/* Runs one turn, in steps when @step is smaller. False: the machine has ended. */
static bool turn(struct world *w, uint64_t length, uint64_t step, uint64_t *ret_idle)
{
    uint64_t begin = w->m->instructions;

    *ret_idle = 0;
    while (w->m->instructions - begin < length && !*ret_idle) {
        uint64_t before = w->m->instructions;
        if (machine_step(w->m, min_of(step, length - (before - begin)), ret_idle) !=
            MACHINE_RUNNING)
            return false;
        if (w->m->instructions == before && !*ret_idle)
            break;
    }
    return true;
}

#define SHOW(name, a, b)                                                                           \
    do {                                                                                           \
        if ((a) != (b)) {                                                                          \
            printf("  cpu %u %s: interp %llx, jit %llx\n", i, name, (unsigned long long)(a),       \
                   (unsigned long long)(b));                                                       \
            bad = true;                                                                            \
        }                                                                                          \
    } while (0)

/* Flags that multiplications and shifts leave undefined count only where they reach memory. */
static bool differ(const struct world *w)
{
    const uint64_t mask = ~(uint64_t)(X86_AF | X86_OF | X86_PF);
    bool bad = false;

    for (unsigned i = 0; i < w[0].m->vm->cpu_count; i++) {
        const struct x86_cpu *a = w[0].m->vm->cpus[i], *b = w[1].m->vm->cpus[i];
        char name[16];
        for (unsigned r = 0; r < 16; r++) {
            snprintf(name, sizeof(name), "r%u", r);
            SHOW(name, a->gpr[r], b->gpr[r]);
            snprintf(name, sizeof(name), "xmm%u", r);
            SHOW(name, a->xmm[r].u64[0], b->xmm[r].u64[0]);
            SHOW(name, a->xmm[r].u64[1], b->xmm[r].u64[1]);
        }
        SHOW("rip", a->rip, b->rip);
        SHOW("flags", x86_flags_get(a) & mask, x86_flags_get(b) & mask);
        SHOW("count", a->insn_count, b->insn_count);
        SHOW("cr2", a->cr2, b->cr2);
        SHOW("cr3", a->cr3, b->cr3);
        SHOW("mxcsr", a->mxcsr, b->mxcsr);
        SHOW("cpl", a->cpl, b->cpl);
        SHOW("activity", a->activity, b->activity);
        SHOW("gs", a->seg[X86_GS].base, b->seg[X86_GS].base);
        SHOW("fs", a->seg[X86_FS].base, b->seg[X86_FS].base);
    }
    return bad;
}

/* Pages of RAM that differ. */
static unsigned differing_pages(const struct world *w, bool tell)
{
    struct gmem *a = machine_memory(w[0].m), *b = machine_memory(w[1].m);
    unsigned n = 0;

    for (uint64_t gfn = 0; gfn < gmem_pages(a); gfn++) {
        const uint8_t *x = gmem_read_page(a, gfn), *y = gmem_read_page(b, gfn);
        if (memcmp(x, y, GMEM_PAGE_SIZE) == 0)
            continue;
        for (unsigned at = 0, told = 0; tell && n < 4 && told < 4 && at < GMEM_PAGE_SIZE; at += 8)
            if (memcmp(x + at, y + at, 8) != 0 && ++told)
                printf("  memory %llx: interp %016llx, jit %016llx\n",
                       (unsigned long long)(gfn << GMEM_PAGE_BITS | at),
                       (unsigned long long)load_le64(x + at),
                       (unsigned long long)load_le64(y + at));
        n++;
    }
    return n;
}

/* The bytes at @rip, as one disassembles them elsewhere. */
static void show_code(const struct world *w, uint64_t rip)
{
    uint64_t gpa;

    if (x86_translate_debug(w->m->vm->cpus[0], rip, &gpa))
        return;
    printf("  code:");
    for (unsigned i = 0; i < 16; i++)
        printf(" %02x", (unsigned)space_load(w->m->vm->space, gpa + i, 1));
    printf("\n");
}

static int run(struct world *w, const struct options *o)
{
    unsigned marks = 0;

    for (;;) {
        uint64_t before = w[0].m->instructions, idle[ENGINES];
        uint64_t rip = w[0].m->vm->cpus[0]->rip, step = before >= o->from ? o->step : o->turn;
        bool on[ENGINES] = {true, true};
        for (uint64_t done = 0; done < o->turn; done += step) {
            for (unsigned i = 0; i < ENGINES; i++)
                on[i] = turn(&w[i], min_of(step, o->turn - done), step, &idle[i]);
            if (on[0] != on[1] || idle[0] != idle[1] ||
                w[0].m->instructions != w[1].m->instructions || differ(w)) {
                printf("DIFFERENT after %llu instructions (%llu at the start of the turn, rip "
                       "%llx): running %d %d, idle %llu %llu\n",
                       (unsigned long long)w[0].m->instructions, (unsigned long long)before,
                       (unsigned long long)rip, on[0], on[1], (unsigned long long)idle[0],
                       (unsigned long long)idle[1]);
                show_code(w, rip);
                differing_pages(w, true);
                return 1;
            }
            rip = w[0].m->vm->cpus[0]->rip;
            if (!on[0] || idle[0])
                break;
        }
        if (!on[0]) {
            printf("both ended after %llu instructions\n",
                   (unsigned long long)w[0].m->instructions);
            return 0;
        }
        for (unsigned i = 0; i < ENGINES; i++) {
            w[i].time += w[i].m->instructions - before;
            if (idle[i])
                w[i].time += idle[i] == UINT64_MAX ? 1000000 : idle[i];
            else if (w[i].m->instructions == before)
                w[i].time += 1000;
        }
        if (w[0].m->instructions >= o->length / MARKS * (marks + 1)) {
            unsigned pages = differing_pages(w, true);
            marks++;
            if (pages)
                printf("mark %u: %u pages differ after %llu instructions\n", marks, pages,
                       (unsigned long long)w[0].m->instructions);
            if (pages)
                return 1;
        }
        if (w[0].m->instructions >= o->length)
            return 0;
    }
}

int main(int argc, char **argv)
{
    struct options o = {.length = 200000000,
                        .turn = 20000,
                        .memory = 192 << 20,
                        .from = UINT64_MAX,
                        .step = 1,
                        .cpus = 1,
                        .block = 1000,
                        .append = "console=ttyS0 panic=-1 nokaslr"};
    struct world w[ENGINES] = {0};
    struct x86_jit_stats s;
    int opt, ret;

    while ((opt = getopt(argc, argv, "t:T:m:c:b:f:s:a:v")) != -1) {
        switch (opt) {
        case 't':
            o.length = strtoull(optarg, NULL, 10) * 1000000;
            break;
        case 'T':
            o.turn = strtoull(optarg, NULL, 10);
            break;
        case 'm':
            o.memory = strtoull(optarg, NULL, 10) << 20;
            break;
        case 'c':
            o.cpus = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'b':
            o.block = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'f':
            o.from = strtoull(optarg, NULL, 10);
            break;
        case 's':
            o.step = strtoull(optarg, NULL, 10);
            break;
        case 'a':
            o.append = optarg;
            break;
        case 'v':
            o.show = true;
            break;
        default:
            return 2;
        }
    }
    if (argc - optind != 2 || !o.turn || !o.step || o.length < MARKS) {
        fprintf(stderr, "usage: lockstep [-t MILLIONS] [-T TURN] [-m MIB] [-c CPUS] [-b BLOCK] "
                        "[-f FROM] [-s STEP] [-a APPEND] [-v] KERNEL INITRD\n");
        return 2;
    }
    o.kernel = read_file(argv[optind], &o.kernel_len);
    o.initrd = read_file(argv[optind + 1], &o.initrd_len);
    make(&w[0], &o, "interp");
    make(&w[1], &o, "jit");
    w[1].show = o.show;
    ret = run(w, &o);
    s = x86_jit_stats(w[1].m->vm);
    printf("%llu instructions on both: %s; %llu blocks, %llu interpreted, %llu by handlers\n",
           (unsigned long long)w[0].m->instructions, ret ? "DIFFERENT" : "the same",
           (unsigned long long)s.blocks, (unsigned long long)s.interpreted,
           (unsigned long long)s.helped);
    machine_free(w[0].m);
    machine_free(w[1].m);
    free(o.kernel);
    free(o.initrd);
    return ret;
}
