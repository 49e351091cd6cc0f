/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/show.h"

#include <errno.h>

#include "base/mem.h"
#include "cpu/x86/flags.h"
#include "cpu/x86/mmu.h"
#include "cpu/x86/model.h"
#include "machine/machine_internal.h"

enum { MAPPED_LINES = 1000, MAPPED_WALKS = 400000 };

typedef unsigned long long ull; /* for printf */

/* ---- processors ---- */

struct bit {
    uint64_t bit;
    const char *name;
};

static void add_bits(struct str *out, const char *name, uint64_t value, const struct bit *bits)
{
    str_addf(out, "  %s 0x%llx", name, (ull)value);
    for (; bits->bit; bits++)
        if (value & bits->bit)
            str_addf(out, " %s", bits->name);
    str_add_char(out, '\n');
}

static void add_segments(const struct x86_cpu *c, struct str *out)
{
    static const char *const names[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

    for (unsigned i = 0; i < array_size(names); i++) {
        const struct x86_seg *s = i < X86_SEGS ? &c->seg[i] : i == X86_SEGS ? &c->ldt : &c->tr;
        str_addf(out, "  %-4s %04x base 0x%llx limit 0x%x attributes 0x%04x%s\n", names[i], s->sel,
                 (ull)s->base, s->limit, s->attr, s->null ? " null" : "");
    }
    str_addf(out, "  gdtr 0x%llx limit 0x%x, idtr 0x%llx limit 0x%x\n", (ull)c->gdt.base,
             c->gdt.limit, (ull)c->idt.base, c->idt.limit);
}

void show_processor(struct x86_cpu *c, struct str *out)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    static const char *const modes[] = {"real", "v8086", "protected", "compatibility", "64-bit"};
    static const char *const activities[] = {"active", "halted", "waiting for SIPI", "shut down"};
    static const struct bit cr0[] = {{X86_CR0_PE, "PE"}, {X86_CR0_MP, "MP"}, {X86_CR0_EM, "EM"},
                                     {X86_CR0_TS, "TS"}, {X86_CR0_NE, "NE"}, {X86_CR0_WP, "WP"},
                                     {X86_CR0_AM, "AM"}, {X86_CR0_CD, "CD"}, {X86_CR0_PG, "PG"},
                                     {0, NULL}};
    static const struct bit cr4[] = {{X86_CR4_PSE, "PSE"},
                                     {X86_CR4_PAE, "PAE"},
                                     {X86_CR4_PGE, "PGE"},
                                     {X86_CR4_OSFXSR, "OSFXSR"},
                                     {X86_CR4_UMIP, "UMIP"},
                                     {X86_CR4_FSGSBASE, "FSGSBASE"},
                                     {X86_CR4_PCIDE, "PCIDE"},
                                     {X86_CR4_OSXSAVE, "OSXSAVE"},
                                     {X86_CR4_SMEP, "SMEP"},
                                     {X86_CR4_SMAP, "SMAP"},
                                     {0, NULL}};
    static const struct bit efer[] = {{X86_EFER_SCE, "SCE"},
                                      {X86_EFER_LME, "LME"},
                                      {X86_EFER_LMA, "LMA"},
                                      {X86_EFER_NXE, "NXE"},
                                      {0, NULL}};
    static const struct bit flags[] = {
        {X86_CF, "CF"}, {X86_PF, "PF"}, {X86_AF, "AF"}, {X86_ZF, "ZF"}, {X86_SF, "SF"},
        {X86_TF, "TF"}, {X86_IF, "IF"}, {X86_DF, "DF"}, {X86_OF, "OF"}, {X86_NT, "NT"},
        {X86_RF, "RF"}, {X86_VM, "VM"}, {X86_AC, "AC"}, {X86_ID, "ID"}, {0, NULL}};

    str_addf(out, "processor %u: %s, %s mode, ring %u, %llu instructions\n", c->index,
             activities[c->activity & 3], modes[min_of(c->mode, (uint8_t)X86_MODE_64)], c->cpl,
             (ull)c->insn_count);
    str_addf(out, "  rip 0x%llx\n", (ull)c->rip);
    for (unsigned i = 0; i < 16; i++)
        str_addf(out, "%s%-3s %016llx%s", i % 4 ? " " : "  ", names[i], (ull)c->gpr[i],
                 i % 4 == 3 ? "\n" : "");
    add_bits(out, "rflags", x86_flags_get(c), flags);
    add_segments(c, out);
    add_bits(out, "cr0", c->cr0, cr0);
    str_addf(out, "  cr2 0x%llx, cr3 0x%llx\n", (ull)c->cr2, (ull)c->cr3);
    add_bits(out, "cr4", c->cr4, cr4);
    add_bits(out, "efer", c->efer, efer);
}

/* ---- translations ---- */

static void add_rights(struct str *out, const struct x86_walk_path *p)
{
    str_addf(out, "%c%c%c", p->user ? 'u' : '-', p->write ? 'w' : '-', p->nx ? '-' : 'x');
}

void show_walk(struct x86_cpu *c, uint64_t lin, struct str *out)
{
    static const char *const levels[] = {"PML4", "PDPT", "PD", "PT"};
    static const char *const sizes[] = {"4 KiB", "2 MiB", "1 GiB"};
    struct x86_walk_path p;
    unsigned first;

    x86_walk_show(c, lin, &p);
    str_addf(out, "0x%llx on processor %u:\n", (ull)lin, c->index);
    if (!(c->cr0 & X86_CR0_PG))
        str_add(out, "  paging is off\n");
    first = c->efer & X86_EFER_LMA ? 0 : 2;
    for (unsigned i = 0; i < p.steps; i++)
        str_addf(out, "  %-4s entry at 0x%09llx: 0x%016llx%s%s%s%s%s%s%s\n",
                 levels[(first + i) & 3], (ull)p.step[i].gpa, (ull)p.step[i].entry,
                 p.step[i].entry & 1 ? " P" : " not present", p.step[i].entry & 2 ? " W" : "",
                 p.step[i].entry & 4 ? " U" : "", p.step[i].entry & 0x20 ? " A" : "",
                 p.step[i].entry & 0x40 ? " D" : "",
                 (p.step[i].entry & 0x80) && first + i < 3 ? " PS" : "",
                 p.step[i].entry >> 63 ? " NX" : "");
    if (!p.mapped) {
        str_add(out, "  not mapped\n");
        return;
    }
    str_addf(out, "  guest-physical 0x%llx, page of %s, ", (ull)p.gpa,
             c->cr0 & X86_CR0_PG && p.level == 1 && !(c->cr4 & X86_CR4_PAE) ? "4 MiB"
                                                                            : sizes[p.level]);
    add_rights(out, &p);
    str_add_char(out, '\n');
}

/* Neighbouring pages of the same rights. */
struct run {
    uint64_t lin, len;
    struct x86_walk_path path;
    unsigned lines;
};

static void end_run(struct run *r, struct str *out)
{
    if (!r->len)
        return;
    str_addf(out, "0x%016llx-0x%016llx 0x%llx ", (ull)r->lin, (ull)(r->lin + r->len - 1),
             (ull)r->len);
    add_rights(out, &r->path);
    str_add_char(out, '\n');
    r->lines++;
    r->len = 0;
}

static void add_page(struct run *r, uint64_t lin, uint64_t size, const struct x86_walk_path *p,
                     struct str *out)
{
    if (r->len && (r->lin + r->len != lin || r->path.user != p->user || r->path.write != p->write ||
                   r->path.nx != p->nx))
        end_run(r, out);
    if (!r->len) {
        r->lin = lin;
        r->path = *p;
    }
    r->len += size;
}

/* Bits of the linear address that the last entry of a walk stands for. */
static unsigned covered(const struct x86_cpu *c, const struct x86_walk_path *p)
{
    static const uint8_t bits64[] = {12, 39, 30, 21, 12};

    if (c->efer & X86_EFER_LMA)
        return bits64[p->steps];
    if (!(c->cr4 & X86_CR4_PAE))
        return p->steps == 1 ? 22 : 12;
    return p->steps == 0 ? 30 : p->steps == 1 ? 21 : 12;
}

void show_mappings(struct x86_cpu *c, struct str *out)
{
    bool lma = c->efer & X86_EFER_LMA;
    uint64_t lin = 0, end = lma ? 0 : 1ull << 32;
    struct run run = {0};
    unsigned walks = 0;

    if (!(c->cr0 & X86_CR0_PG)) {
        str_add(out, "paging is off\n");
        return;
    }
    do {
        struct x86_walk_path p;
        uint64_t size;
        x86_walk_show(c, lin, &p);
        size = 1ull << covered(c, &p);
        if (p.mapped)
            add_page(&run, lin, size, &p, out);
        lin += size;
        if (lma && lin == 1ull << 47) /* to the upper half */
            lin = 0 - (1ull << 47);
    } while (lin != end && ++walks < MAPPED_WALKS && run.lines < MAPPED_LINES);
    end_run(&run, out);
    if (lin != end)
        str_addf(out, "and more from 0x%llx on\n", (ull)lin);
}

bool show_kernel_text(struct x86_cpu *c, uint64_t *ret)
{
    const uint64_t first = 0xffffffff80000000ull, last = 0xffffffffbfffffffull;
    uint64_t cr3 = c->cr3;
    bool found = false;

    if (!(c->efer & X86_EFER_LMA))
        return false;
    /* With page-table isolation the tables of ring 3 are 4 KiB above those of the kernel. */
    if (c->cpl == 3)
        c->cr3 &= ~0x1000ull;
    for (uint64_t lin = first; lin < last && !found; lin += 1 << 21) {
        struct x86_walk_path p;
        x86_walk_show(c, lin, &p);
        found = p.mapped && !p.user;
        *ret = lin;
    }
    c->cr3 = cr3;
    return found;
}

/* ---- the machine ---- */

static void add_range(void *opaque, const char *name, enum space_kind kind, uint64_t gpa,
                      uint64_t len)
{
    static const char *const kinds[] = {"-", "RAM", "ROM", "registers", "ROM"};

    str_addf(opaque, "  0x%010llx-0x%010llx %-9s %s\n", (ull)gpa, (ull)(gpa + len - 1), kinds[kind],
             name ? name : "");
}

void show_memory_map(const struct machine *m, struct str *out)
{
    str_add(out, "memory:\n");
    space_each(m->space, add_range, out);
}

static void show_machine(struct machine *m, struct str *out)
{
    str_addf(out, "board %s, %s on %s, %llu MiB, up for %llu.%03llu s of guest time, %llu resets\n",
             m->board->name, x86_model_name(m->vm->model), m->accel->name,
             (ull)(m->config.memory >> 20), (ull)(gclock_now(m->clock) / 1000000000),
             (ull)(gclock_now(m->clock) / 1000000 % 1000), (ull)(m->resets ? m->resets - 1 : 0));
    for (unsigned i = 0; i < m->vm->cpu_count; i++)
        show_processor(m->vm->cpus[i], out);
    m->board->show_interrupts(m, out);
    show_memory_map(m, out);
    str_add(out, "devices:");
    for (const struct device *d = m->devices; d; d = d->next)
        str_addf(out, " %s", d->name);
    str_add_char(out, '\n');
}

static int show_kaslr(struct machine *m, struct str *out, struct error *err)
{
    uint64_t text;

    for (unsigned i = 0; i < m->vm->cpu_count; i++)
        if (show_kernel_text(m->vm->cpus[i], &text)) {
            str_addf(out, "0x%llx", (ull)(text - SHOW_KERNEL_LINKED));
            return 0;
        }
    return error_set(err, -ENOENT, "no Linux kernel of x86-64 is mapped now");
}

int machine_show(struct machine *m, const char *what, struct str *out, struct error *err)
{
    uint64_t lin;

    if (!*what) {
        show_machine(m, out);
        return 0;
    }
    if (strcmp(what, "counters") == 0 || strcmp(what, "counters json") == 0) {
        machine_counters(m, what[8] != 0, out);
        return 0;
    }
    if (strcmp(what, "kaslr") == 0)
        return show_kaslr(m, out, err);
    if (str_starts(what, "walk ") && str_parse_u64(what + 5, &lin) == 0) {
        for (unsigned i = 0; i < m->vm->cpu_count; i++)
            show_walk(m->vm->cpus[i], lin, out);
        return 0;
    }
    return error_set(err, -EINVAL,
                     "\"%.40s\" can not be shown; an address is a number such as "
                     "0xffffffff81000000",
                     what);
}
