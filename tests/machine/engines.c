/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engines: two engines run the same guest side by side and are compared after each turn.
 *
 *   engines [-a ENGINE] [-b ENGINE] [-t MILLIONS] [-k TURN] [-f MILLIONS] [-s SEED] [-m MIB]
 *            [-c CPUS] [-A APPEND] [-p CPU] [-v] KERNEL INITRD
 *
 * An engine is an accelerator (machine/accel.h), or `steps`: the interpreter without its cache of
 * decoded instructions. Two machines are made alike. Each is given the same number of instructions,
 * at random from 1 to TURN (see below), then all processors are compared
 * (cpu/x86/compare.h); after each hundredth of the way also devices and memory, by their hash.
 * Guest time is a function of the instructions that have run, so both see the same interrupts at
 * the same places.
 *
 * -f lets both run the first MILLIONS in long turns. Exit status 1 with the fields that differ and
 * the instruction at which the turn began. Turns shorter than an engine's longest block may make it
 * step.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cpu/x86/compare.h"
#include "cpu/x86/interp.h"
#include "machine/machine_internal.h"
#include "machine/snapshot.h"

enum { LONG_TURN = 20000, MARKS = 100 };

struct world {
    struct machine *m;
    const char *engine;
    uint64_t time; /* nanoseconds: instructions run, and sleep */
    struct chardev console;
    uint64_t output; /* hash of the console */
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

    for (size_t i = 0; i < n; i++)
        w->output = (w->output ^ bytes[i]) * 0x100000001b3ull;
    if (w->show)
        fwrite(bytes, 1, n, stdout);
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

static void steps_kick(struct x86_cpu *c)
{
    x86_attention_set(c, X86_ATTN_KICK);
}

static const struct accel_ops steps_ops = {.name = "steps",
                                           .about = "the interpreter, one instruction at a time",
                                           .run = x86_interp_run_steps,
                                           .kick = steps_kick};

static void die(const char *what, const struct error *err)
{
    fprintf(stderr, "engines: %s: %s\n", what, err ? error_text(err) : "failed");
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

static void make(struct world *w, const struct machine_config *base)
{
    struct machine_config c = *base;
    struct error err = {0};
    bool steps = strcmp(w->engine, "steps") == 0;

    c.accel = steps ? "interp" : w->engine;
    c.time_source = world_time;
    c.time_opaque = w;
    c.serials[0] = &w->console;
    w->console.ops = &console_ops;
    w->output = 1;
    w->m = machine_new(&c, &err);
    if (!w->m)
        die(w->engine, &err);
    if (steps)
        w->m->accel = &steps_ops;
}

/* One turn; false when the machine has ended. */
static bool turn(struct world *w, uint64_t budget)
{
    uint64_t before = w->m->instructions, idle;
    enum machine_end end = machine_step(w->m, budget, &idle);

    w->time += w->m->instructions - before;
    if (idle)
        w->time += idle == UINT64_MAX ? 1000000 : idle;
    else if (w->m->instructions == before)
        w->time += 1000;
    return end == MACHINE_RUNNING;
}

/* Returns how many things differ, after telling them. */
static unsigned compare(const struct world *a, const struct world *b, bool all)
{
    struct str text = {0};
    unsigned n = 0;

    if (a->time != b->time || a->m->instructions != b->m->instructions)
        str_addf(&text, "time %llu %llu\n", (unsigned long long)a->time,
                 (unsigned long long)b->time);
    for (unsigned i = 0; i < a->m->vm->cpu_count; i++) {
        unsigned found = x86_compare(a->m->vm->cpus[i], b->m->vm->cpus[i], &text);
        if (found)
            str_addf(&text, "of processor %u\n", i);
        n += found;
    }
    if (a->output != b->output)
        str_add(&text, "the console\n");
    if (all && machine_hash(a->m) != machine_hash(b->m))
        str_add(&text, "devices or memory\n");
    if (text.len)
        printf("After %llu instructions these differ, %s first, %s second:\n%.*s",
               (unsigned long long)a->m->instructions, a->engine, b->engine, (int)text.len,
               text.data);
    n += text.len != 0;
    str_done(&text);
    return n;
}

struct plan {
    uint64_t length, fast, seed;
    unsigned turn;
};

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return *seed >> 33;
}

static int run(struct world *a, struct world *b, struct plan *p)
{
    uint64_t turns = 0, mark = 0;
    bool running = true;

    while (running && a->m->instructions < p->length) {
        bool fast = a->m->instructions < p->fast;
        uint64_t budget = fast ? LONG_TURN : p->turn > 1 ? 1 + next_random(&p->seed) % p->turn : 1;
        uint64_t from = a->m->instructions, rip = a->m->vm->cpus[0]->rip;
        running = turn(a, budget);
        if (turn(b, budget) != running) {
            printf("After %llu instructions one machine has ended.\n",
                   (unsigned long long)a->m->instructions);
            return 1;
        }
        turns++;
        bool all = a->m->instructions >= mark;
        if (all)
            mark += p->length / MARKS;
        if (running && compare(a, b, all)) {
            printf("The turn began after %llu instructions, at %llx on processor 0.\n",
                   (unsigned long long)from, (unsigned long long)rip);
            return 1;
        }
    }
    if (running && compare(a, b, true))
        return 1;
    printf("%s and %s: %llu instructions in %llu turns, no difference\n", a->engine, b->engine,
           (unsigned long long)a->m->instructions, (unsigned long long)turns);
    return 0;
}

int main(int argc, char **argv)
{
    struct machine_config c = {.cpus = 1,
                               .memory = 192 << 20,
                               .append = "console=ttyS0 panic=-1 nokaslr",
                               .rtc_base = 1700000000,
                               .random_seed = 1};
    struct world a = {.engine = "interp"}, b = {.engine = "steps"};
    struct plan p = {.length = 100000000, .seed = 1, .turn = 1000};
    int opt, ret;

    while ((opt = getopt(argc, argv, "a:b:t:k:f:s:m:c:A:p:v")) != -1) {
        switch (opt) {
        case 'a':
            a.engine = optarg;
            break;
        case 'b':
            b.engine = optarg;
            break;
        case 't':
            p.length = strtoull(optarg, NULL, 10) * 1000000;
            break;
        case 'k':
            p.turn = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'f':
            p.fast = strtoull(optarg, NULL, 10) * 1000000;
            break;
        case 's':
            p.seed = strtoull(optarg, NULL, 10);
            break;
        case 'm':
            c.memory = strtoull(optarg, NULL, 10) << 20;
            break;
        case 'c':
            c.cpus = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'A':
            c.append = optarg;
            break;
        case 'p':
            c.cpu = optarg;
            break;
        case 'v':
            a.show = true;
            break;
        default:
            return 2;
        }
    }
    if (argc - optind != 2 || !p.turn || p.length < MARKS) {
        fprintf(stderr, "usage: engines [-a ENGINE] [-b ENGINE] [-t MILLIONS] [-k TURN] "
                        "[-f MILLIONS] [-s SEED] [-m MIB] [-c CPUS] [-A APPEND] [-p CPU] [-v] "
                        "KERNEL INITRD\n");
        return 2;
    }
    uint8_t *kernel = read_file(argv[optind], &c.guest.kernel_len);
    uint8_t *initrd = read_file(argv[optind + 1], &c.guest.initrd_len);
    c.guest.kernel = kernel;
    c.guest.initrd = initrd;
    make(&a, &c);
    make(&b, &c);
    ret = run(&a, &b, &p);
    machine_free(a.m);
    machine_free(b.m);
    free(kernel);
    free(initrd);
    return ret;
}
