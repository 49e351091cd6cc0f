/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that gdb's "monitor" passes on: what gdb itself has no word for. */
#include <errno.h>

#include "base/mem.h"
#include "cpu/x86/access.h"
#include "cpu/x86/flags.h"
#include "machine/gdb_internal.h"
#include "machine/machine_internal.h"
#include "machine/show.h"

/* Words of a command line. */
enum { WORDS = 4, WORD_MAX = 64 };
struct words {
    unsigned count;
    char word[WORDS][WORD_MAX];
};

struct command {
    const char *name, *arguments, *about;
    void (*run)(struct gdb *g, const struct words *w, struct str *out);
};

static void split(const char *text, struct words *ret)
{
    *ret = (struct words){0};
    while (*text && ret->count < WORDS) {
        size_t n;
        text += strspn(text, " \t\n");
        n = strcspn(text, " \t\n");
        if (!n)
            break;
        memcpy(ret->word[ret->count++], text, min_of(n, (size_t)WORD_MAX - 1));
        text += n;
    }
}

/* An address or count: 0x for hexadecimal. */
static bool number(const struct words *w, unsigned n, uint64_t *ret, struct str *out)
{
    if (n < w->count && str_parse_u64(w->word[n], ret) == 0)
        return true;
    str_addf(out, "a number is missing: decimal, or hexadecimal with 0x\n");
    return false;
}

static void info(struct gdb *g, const struct words *w, struct str *out)
{
    struct machine *m = g->machine;
    struct x86_cpu *c = m->vm->cpus[g->cpu];
    const char *what = w->word[1];
    uint64_t at;

    if (strcmp(what, "registers") == 0 || strcmp(what, "regs") == 0)
        show_processor(c, out);
    else if (strcmp(what, "tlb") == 0 && w->count > 2) {
        if (number(w, 2, &at, out))
            show_walk(c, at, out);
    } else if (strcmp(what, "tlb") == 0 || strcmp(what, "mem") == 0)
        show_mappings(c, out);
    else if (strcmp(what, "mtree") == 0)
        show_memory_map(m, out);
    else if (strcmp(what, "pic") == 0 || strcmp(what, "apic") == 0 || strcmp(what, "irq") == 0)
        m->board->show_interrupts(m, out);
    else if (strcmp(what, "devices") == 0) {
        for (const struct device *d = m->devices; d; d = d->next)
            str_addf(out, "%s\n", d->name);
    } else if (strcmp(what, "device") == 0 && w->count > 2) {
        for (const struct device *d = m->devices; d; d = d->next) {
            if (!d->state || strcmp(d->name, w->word[2]) != 0)
                continue;
            state_json(d->state, d, out);
            str_add_char(out, '\n');
            return;
        }
        str_addf(out, "there is no device %s; see monitor info devices\n", w->word[2]);
    } else
        str_add(out,
                "info registers | tlb [ADDRESS] | mem | mtree | irq | devices | device NAME\n");
}

static void walk(struct gdb *g, const struct words *w, struct str *out)
{
    uint64_t at;

    if (number(w, 1, &at, out))
        show_walk(g->machine->vm->cpus[g->cpu], at, out);
}

/* Bytes of physical memory. */
static void physical(struct gdb *g, const struct words *w, struct str *out)
{
    uint64_t at, len = 64;
    uint8_t bytes[16];

    if (!number(w, 1, &at, out) || (w->count > 2 && !number(w, 2, &len, out)))
        return;
    for (len = min_of(len, (uint64_t)4096); len; at += 16) {
        size_t n = (size_t)min_of(len, (uint64_t)sizeof bytes);
        if (machine_peek(g->machine, at, bytes, n) < 0) {
            str_addf(out, "0x%llx: neither RAM nor ROM\n", (unsigned long long)at);
            return;
        }
        str_addf(out, "0x%llx:", (unsigned long long)at);
        for (size_t i = 0; i < n; i++)
            str_addf(out, " %02x", bytes[i]);
        str_add_char(out, '\n');
        len -= n;
    }
}

static void phys_mode(struct gdb *g, const struct words *w, struct str *out)
{
    if (w->count > 1)
        g->physical = strcmp(w->word[1], "on") == 0;
    str_addf(out, "addresses are %s\n",
             g->physical ? "physical" : "linear, through the processor's page tables");
}

static void reset(struct gdb *g, const struct words *w, struct str *out)
{
    struct error err = {0};

    (void)w;
    if (machine_debug_reset(g->machine, &err) < 0)
        str_addf(out, "%s\n", error_text(&err));
    else
        str_add(out,
                "the machine was reset; \"maint flush register-cache\" (or \"maint flush-regs\") "
                "makes gdb read registers again\n");
}

static void kaslr(struct gdb *g, const struct words *w, struct str *out)
{
    uint64_t text;

    (void)w;
    if (!show_kernel_text(g->machine->vm->cpus[g->cpu], &text)) {
        str_add(out, "no Linux kernel is mapped now (it has not come far enough, or is another "
                     "system)\n");
        return;
    }
    str_addf(out, "kernel text at 0x%llx, slide 0x%llx: symbol-file -o 0x%llx VMLINUX\n",
             (unsigned long long)text, (unsigned long long)(text - SHOW_KERNEL_LINKED),
             (unsigned long long)(text - SHOW_KERNEL_LINKED));
}

static void help(struct gdb *g, const struct words *w, struct str *out);

static const struct command commands[] = {
    {"help", "", "this list", help},
    {"info", "WHAT", "registers, tlb [ADDRESS], mem, mtree, irq, devices, device NAME", info},
    {"walk", "ADDRESS", "the page tables on the way to a linear address", walk},
    {"xp", "ADDRESS [LENGTH]", "bytes of physical memory", physical},
    {"phys", "on|off", "memory commands of gdb take physical addresses", phys_mode},
    {"kaslr", "", "where the running Linux kernel has moved itself to", kaslr},
    {"reset", "", "resets the machine", reset},
};

static void help(struct gdb *g, const struct words *w, struct str *out)
{
    (void)g;
    (void)w;
    for (size_t i = 0; i < array_size(commands); i++)
        str_addf(out, "%s %s: %s\n", commands[i].name, commands[i].arguments, commands[i].about);
}

void gdb_monitor(struct gdb *g, const char *command, struct str *out)
{
    struct words w;

    split(command, &w);
    for (size_t i = 0; i < array_size(commands); i++)
        if (strcmp(w.word[0], commands[i].name) == 0) {
            commands[i].run(g, &w, out);
            return;
        }
    str_addf(out, "no such command; monitor help lists them\n");
}
