/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk: a guest that is saved and loaded into a new machine at random instants goes on as if
 * nothing had happened.
 *
 *   walk KERNEL INITRD [-n INSTANTS] [-s SEED] [-m MIB] [-c CPUS] [-t MILLION-INSTRUCTIONS] [-v]
 *
 * The machine is stepped; guest time is a function of the instructions that have run, so that each
 * run is the same. It runs twice and is saved at the same instants: once the machine itself goes
 * on, once INSTANTS new machines do. Both must have the same hash of processors, devices and memory
 * at each tenth of the way. Exit status 1 when they differ.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "machine/machine_internal.h"
#include "machine/snapshot.h"

enum { TURN = 2000, MARKS = 10 };

struct world {
    struct machine *m;
    uint64_t time; /* nanoseconds: instructions run, and sleep */
    uint8_t *kernel, *initrd;
    size_t kernel_len, initrd_len;
    uint64_t memory;
    unsigned cpus;
    const char *append;
    struct chardev console;
    bool show;
    uint64_t output;    /* hash of the console */
    struct str *states; /* of the first run, at each save */
    unsigned state_count, before_count;
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

static void die(const char *what, const struct error *err)
{
    fprintf(stderr, "walk: %s: %s\n", what, err ? error_text(err) : "failed");
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

static void make(struct world *w, const struct str *saved, struct gmem_layer *memory)
{
    struct machine_config c = {.cpus = w->cpus,
                               .memory = w->memory,
                               .append = w->append,
                               .time_source = world_time,
                               .time_opaque = w,
                               .rtc_base = 1700000000,
                               .random_seed = 1};
    struct error err = {0};

    c.guest.kernel = w->kernel;
    c.guest.kernel_len = w->kernel_len;
    c.guest.initrd = w->initrd;
    c.guest.initrd_len = w->initrd_len;
    c.serials[0] = &w->console;
    w->console.ops = &console_ops;
    if (saved) {
        c.saved = (const uint8_t *)saved->data;
        c.saved_len = saved->len;
        c.saved_memory = memory;
    }
    w->m = machine_new(&c, &err);
    if (!w->m)
        die("make a machine", &err);
}

/* One turn; false when the machine has ended. */
static bool turn(struct world *w)
{
    uint64_t before = w->m->instructions, idle;
    enum machine_end end = machine_step(w->m, TURN, &idle);

    w->time += w->m->instructions - before;
    if (idle)
        w->time += idle == UINT64_MAX ? 1000000 : idle;
    else if (w->m->instructions == before)
        w->time += 1000;
    return end == MACHINE_RUNNING;
}

static uint32_t number(const char *at, unsigned size)
{
    uint32_t value = 0;
    memcpy(&value, at, size);
    return value;
}

/* Says which field of a part's state (state_save) differs between @a and @b. */
static void tell_field(const char *a, const char *b, size_t len)
{
    size_t at = 1 + number(a, 1) + 6;

    while (at < len) {
        size_t name_len = number(a + at, 1), head = 1 + name_len + 7, content;
        const char *h = a + at + 1 + name_len;
        content = h[0] == STATE_TIMER ? 9 : (size_t)number(h + 1, 2) * number(h + 3, 4);
        if (memcmp(a + at, b + at, head + content) != 0) {
            fprintf(stderr, " %.*s:", (int)name_len, a + at + 1);
            for (size_t i = 0; i < content && i < 16; i++)
                fprintf(stderr, " %02x", (uint8_t)a[at + head + i]);
            fprintf(stderr, " became");
            for (size_t i = 0; i < content && i < 16; i++)
                fprintf(stderr, " %02x", (uint8_t)b[at + head + i]);
            fprintf(stderr, ";");
        }
        at += head + content;
    }
    fprintf(stderr, "\n");
}

/* Ends when the states of two machines differ, and says where. */
static void tell_difference(const struct str *a, const struct str *b)
{
    bool differ = a->len != b->len;

    for (size_t at = 12; at < a->len && a->len == b->len;) {
        size_t name_len = number(a->data + at, 2), len = number(a->data + at + 2 + name_len, 4);
        size_t content = at + 6 + name_len;
        if (memcmp(a->data + content, b->data + content, len) != 0) {
            fprintf(stderr, "walk: a loaded machine differs in %.*s:", (int)name_len,
                    a->data + at + 2);
            tell_field(a->data + content, b->data + content, len);
            differ = true;
        }
        at = content + len;
    }
    if (differ)
        exit(1);
}

/* Saves the machine, and goes on with it or (@move) with a new one made from what was saved. */
static void save_and_go_on(struct world *w, bool move)
{
    struct error err = {0};
    struct str state = {0}, again = {0};
    struct gmem_layer *memory;

    if (machine_save_state(w->m, &state, &err) < 0)
        die("save", &err);
    if (!move) {
        w->states[w->state_count++] = state;
        return;
    }
    if (w->state_count < w->before_count) {
        const struct str *before = &w->states[w->state_count++];
        if (before->len != state.len || memcmp(before->data, state.data, state.len) != 0) {
            fprintf(stderr, "walk: at save %u, after %llu instructions:\n", w->state_count,
                    (unsigned long long)w->m->instructions);
            tell_difference(before, &state);
        }
    }
    memory = gmem_freeze(machine_memory(w->m), &err);
    if (!memory)
        die("freeze", &err);
    machine_free(w->m);
    make(w, &state, memory);
    gmem_layer_unref(memory);
    if (machine_save_state(w->m, &again, &err) < 0)
        die("save again", &err);
    tell_difference(&state, &again);
    str_done(&state);
    str_done(&again);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return *seed >> 20;
}

struct mark {
    uint64_t hash, output, instructions;
};

static unsigned run(struct world *w, uint64_t length, unsigned instants, uint64_t seed, bool move,
                    struct mark marks[MARKS])
{
    uint64_t next = UINT64_MAX, gap = instants ? length / instants : 0;
    unsigned done = 0, saved = 0;
    bool running = true;

    make(w, NULL, NULL);
    if (gap)
        next = next_random(&seed) % gap;
    while (running && done < MARKS) {
        running = turn(w);
        if (running && w->m->instructions >= next) {
            save_and_go_on(w, move);
            saved++;
            next += gap / 2 + next_random(&seed) % (gap + 1);
        }
        if (!running || w->m->instructions >= length / MARKS * (done + 1)) {
            marks[done].hash = running ? machine_hash(w->m) : 1;
            marks[done].output = w->output;
            marks[done++].instructions = w->m->instructions;
        }
    }
    machine_free(w->m);
    return saved;
}

int main(int argc, char **argv)
{
    struct world base = {.memory = 192 << 20, .cpus = 1, .output = 1};
    struct mark plain[MARKS] = {0}, moved[MARKS] = {0};
    uint64_t length = 200000000, seed = 1;
    unsigned instants = 20, times, bad = 0;
    struct world w;
    int opt;

    base.append = "console=ttyS0 panic=-1 nokaslr";
    while ((opt = getopt(argc, argv, "n:s:m:c:t:a:v")) != -1) {
        switch (opt) {
        case 'n':
            instants = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 's':
            seed = strtoull(optarg, NULL, 10);
            break;
        case 'm':
            base.memory = strtoull(optarg, NULL, 10) << 20;
            break;
        case 'c':
            base.cpus = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 't':
            length = strtoull(optarg, NULL, 10) * 1000000;
            break;
        case 'a':
            base.append = optarg;
            break;
        case 'v':
            base.show = true;
            break;
        default:
            return 2;
        }
    }
    if (argc - optind != 2 || !instants || length < MARKS) {
        fprintf(stderr, "usage: walk [-n INSTANTS] [-s SEED] [-m MIB] [-c CPUS] [-t MILLIONS] "
                        "[-a APPEND] [-v] KERNEL INITRD\n");
        return 2;
    }
    base.kernel = read_file(argv[optind], &base.kernel_len);
    base.initrd = read_file(argv[optind + 1], &base.initrd_len);
    base.states = mem_alloc(2 * instants + 2, sizeof *base.states);
    if (!base.states)
        die("start", NULL);
    w = base;
    run(&w, length, instants, seed, false, plain);
    base.before_count = w.state_count;
    w = base;
    w.show = false;
    times = run(&w, length, instants, seed, true, moved);
    for (unsigned i = 0; i < MARKS; i++) {
        bool same = memcmp(&plain[i], &moved[i], sizeof(plain[i])) == 0;
        bad += !same;
        printf("%2u/%d: %llu instructions, hash %016llx%s\n", i + 1, MARKS,
               (unsigned long long)plain[i].instructions, (unsigned long long)plain[i].hash,
               same ? "" : ", ANOTHER after being moved");
    }
    printf("%u machines in turn: %s\n", times + 1, bad ? "DIFFERENT" : "the same");
    for (unsigned i = 0; i < base.before_count; i++)
        str_done(&base.states[i]);
    free(base.states);
    free(base.kernel);
    free(base.initrd);
    return bad != 0;
}
