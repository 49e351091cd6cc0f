/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include "cpu/x86/segment.h"

static void no_lock(void *opaque)
{
}
static int no_interrupt(void *opaque, unsigned cpu)
{
    return -1;
}
static int no_msr(void *opaque, unsigned cpu, uint32_t msr, uint64_t *ret)
{
    return -1;
}
static int no_wrmsr(void *opaque, unsigned cpu, uint32_t msr, uint64_t value)
{
    return -1;
}
static uint8_t no_cr8(void *opaque, unsigned cpu)
{
    return 0;
}
static void no_set_cr8(void *opaque, unsigned cpu, uint8_t value)
{
}
static void no_ferr(void *opaque, int level)
{
}
static uint64_t ticks(void *opaque)
{
    return 0;
}
static void count_up(void *opaque, void *bytes, size_t n)
{
    for (size_t k = 0; k < n; k++)
        ((uint8_t *)bytes)[k] = (uint8_t)(k + 1);
}

void rig_new(struct rig *r)
{
    static const struct x86_host host = {.lock = no_lock,
                                         .unlock = no_lock,
                                         .intr_ack = no_interrupt,
                                         .apic_rdmsr = no_msr,
                                         .apic_wrmsr = no_wrmsr,
                                         .get_cr8 = no_cr8,
                                         .set_cr8 = no_set_cr8,
                                         .pv_rdmsr = no_msr,
                                         .pv_wrmsr = no_wrmsr,
                                         .ferr = no_ferr,
                                         .tsc = ticks,
                                         .random = count_up};
    struct error err = {0};

    r->ram = gmem_new(RIG_RAM, &err);
    r->space = space_new(r->ram, &err);
    r->ports = ports_new(&err);
    assert_non_null(space_map_ram(r->space, "ram", 0, RIG_RAM, 0, 0, &err));
    r->vm = x86_vm_new(r->space, r->ports, &host, NULL, 1, 1000000, &err);
    assert_non_null(r->vm);
    r->c = r->vm->cpus[0];
}

void rig_free(struct rig *r)
{
    x86_vm_free(r->vm);
    ports_free(r->ports);
    space_free(r->space);
    gmem_free(r->ram);
}

void rig_put(struct rig *r, uint64_t at, const void *bytes, size_t len)
{
    assert_int_equal(gmem_write(r->ram, at, bytes, len), 0);
}

uint64_t rig_get(struct rig *r, uint64_t at, unsigned size)
{
    uint64_t v = 0;
    assert_int_equal(gmem_read(r->ram, at, &v, size), 0);
    return v;
}

void rig_real(struct rig *r)
{
    x86_reset(r->c);
    for (unsigned s = 0; s < X86_SEGS; s++)
        x86_seg_set_real(r->c, s, s == X86_CS ? RIG_CODE_AT >> 4 : 0);
    r->c->rip = 0;
    r->c->gpr[X86_RSP] = 0x8000;
    x86_mode_update(r->c);
}

static void flat_segments(struct rig *r, uint16_t code_attr)
{
    for (unsigned s = 0; s < X86_SEGS; s++) {
        r->c->seg[s] = (struct x86_seg){.sel = s == X86_CS ? 8 : 16,
                                        .attr = s == X86_CS ? code_attr : 0xc093,
                                        .limit = UINT32_MAX};
    }
    x86_mode_update(r->c);
    for (unsigned s = 0; s < X86_SEGS; s++)
        x86_seg_update(r->c, s);
    x86_mode_update(r->c);
    r->c->rip = RIG_CODE_AT;
    r->c->gpr[X86_RSP] = RIG_STACK;
}

void rig_protected(struct rig *r)
{
    x86_reset(r->c);
    r->c->cr0 |= X86_CR0_PE;
    flat_segments(r, 0xc09b);
}

void rig_long(struct rig *r)
{
    uint64_t pml4 = RIG_TABLES, pdpt = pml4 + 4096, pd = pdpt + 4096, e;

    x86_reset(r->c);
    e = pdpt | 7;
    rig_put(r, pml4, &e, 8);
    e = pd | 7;
    rig_put(r, pdpt, &e, 8);
    for (uint64_t n = 0; n < 512; n++) {
        e = n << 21 | 0x87;
        rig_put(r, pd + n * 8, &e, 8);
    }
    r->c->cr3 = pml4;
    r->c->cr4 |= X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
    r->c->efer |= X86_EFER_LME | X86_EFER_LMA;
    r->c->cr0 = (r->c->cr0 & ~(X86_CR0_CD | X86_CR0_NW)) | X86_CR0_PE | X86_CR0_PG;
    flat_segments(r, 0xa09b);
    x86_tlb_flush_all(r->c);
}

void rig_run(struct rig *r)
{
    enum x86_exit why = x86_interp_run(r->c, UINT64_MAX / 2);
    assert_int_equal(why, X86_EXIT_HALT);
}
