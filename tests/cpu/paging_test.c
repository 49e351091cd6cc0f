/* SPDX-License-Identifier: Apache-2.0 */
/* Page walks, protection, TLB maintenance and page-crossing accesses on tables built by hand. */
#include "rig.h"

#include "cpu/x86/exc.h"
#include "cpu/x86/mmu.h"
#include "cpu/x86/system.h"

enum { P = 1, W = 2, U = 4, A = 32, D = 64, PS = 128 };
enum { ROOT = 0x200000, L3 = 0x201000, L2 = 0x202000, L1 = 0x203000, FRAME = 0x300000 };
#define NX (1ull << 63)
/* A linear address whose four indexes differ. */
#define LIN 0x0000008080604000ull /* PML4 1, PDPT 2, PD 3, PT 4 */

static void put64(struct rig *r, uint64_t at, uint64_t v)
{
    rig_put(r, at, &v, 8);
}
static void put32(struct rig *r, uint64_t at, uint32_t v)
{
    rig_put(r, at, &v, 4);
}

static void set_cpl(struct rig *r, unsigned cpl)
{
    r->c->cpl = (uint8_t)cpl;
    x86_mode_update(r->c);
}

/* Long mode with LIN mapped to FRAME; the leaf entry is at L1 + 4 * 8. */
static void map_long(struct rig *r, uint64_t leaf)
{
    rig_long(r);
    put64(r, ROOT, RIG_TABLES + 4096 + 0x67); /* low half: as rig_long */
    put64(r, ROOT + 1 * 8, L3 | P | W | U);
    put64(r, L3 + 2 * 8, L2 | P | W | U);
    put64(r, L2 + 3 * 8, L1 | P | W | U);
    put64(r, L1 + 4 * 8, leaf);
    r->c->cr3 = ROOT;
    x86_tlb_flush_all(r->c);
}

static unsigned load_error(struct rig *r, enum x86_access_class cls, uint64_t lin)
{
    uint32_t v;

    r->c->fault.valid = false;
    if (!x86_lin_load(r->c, cls, lin, 4, &v))
        return 0x100;
    assert_int_equal(r->c->fault.vector, X86_PFV);
    assert_true(r->c->fault.cr2 == lin);
    return r->c->fault.code;
}

static unsigned store_error(struct rig *r, enum x86_access_class cls, uint64_t lin)
{
    uint32_t v = 0x12345678;

    r->c->fault.valid = false;
    if (!x86_lin_store(r->c, cls, lin, 4, &v))
        return 0x100;
    assert_int_equal(r->c->fault.vector, X86_PFV);
    assert_true(r->c->fault.cr2 == lin);
    return r->c->fault.code;
}

static unsigned fetch_error(struct rig *r, uint64_t lin)
{
    const uint8_t *page;
    uint64_t gpa, gfn;

    r->c->fault.valid = false;
    if (!x86_fetch_page(r->c, lin, &page, &gpa, &gfn))
        return 0x100;
    assert_int_equal(r->c->fault.vector, X86_PFV);
    return r->c->fault.code;
}

/* What the SDM says (4.6, 4.7), written independently of the walk. 0x100: allowed. */
struct setting {
    bool present, writable, user_page, nx, wp, smep, smap, ac, nxe;
};
static unsigned expected(const struct setting *s, bool user, bool write, bool fetch)
{
    unsigned code = (write ? 2 : 0) | (user ? 4 : 0);
    bool deny;

    if (fetch && (s->smep || s->nxe))
        code |= 16;
    if (!s->present)
        return code;
    if (s->nx && !s->nxe)
        return code | 9;
    if (fetch)
        deny = s->nx || (user ? !s->user_page : s->user_page && s->smep);
    else if (user)
        deny = !s->user_page || (write && !s->writable);
    else
        deny = (s->user_page && s->smap && !s->ac) || (write && !s->writable && s->wp);
    return deny ? code | 1 : 0x100;
}

static void test_protection_matrix(void **state)
{
    struct rig r;
    unsigned checked = 0;

    rig_new(&r);
    map_long(&r, 0);
    for (unsigned bits = 0; bits < 512; bits++) {
        struct setting s = {bits & 1,  bits & 2,  bits & 4,   bits & 8,  bits & 16,
                            bits & 32, bits & 64, bits & 128, bits & 256};
        struct x86_cpu *c = r.c;
        put64(&r, L1 + 4 * 8,
              FRAME | (s.present ? P : 0) | (s.writable ? W : 0) | (s.user_page ? U : 0) |
                  (s.nx ? NX : 0));
        c->cr0 = (c->cr0 & ~(uint64_t)X86_CR0_WP) | (s.wp ? X86_CR0_WP : 0);
        c->cr4 = (c->cr4 & ~(uint64_t)(X86_CR4_SMEP | X86_CR4_SMAP)) | (s.smep ? X86_CR4_SMEP : 0) |
                 (s.smap ? X86_CR4_SMAP : 0);
        c->efer = (c->efer & ~(uint64_t)X86_EFER_NXE) | (s.nxe ? X86_EFER_NXE : 0);
        x86_flags_set(c, s.ac ? X86_AC : 0, X86_AC);
        for (unsigned cpl = 0; cpl < 4; cpl += 3) {
            x86_tlb_flush_all(c);
            set_cpl(&r, cpl);
            assert_int_equal(load_error(&r, c->mmu_class, LIN),
                             expected(&s, cpl == 3, false, false));
            assert_int_equal(fetch_error(&r, LIN), expected(&s, cpl == 3, false, true));
            assert_int_equal(store_error(&r, c->mmu_class, LIN),
                             expected(&s, cpl == 3, true, false));
            /* And again from the TLB, which the accesses above have filled. */
            assert_int_equal(load_error(&r, c->mmu_class, LIN),
                             expected(&s, cpl == 3, false, false));
            assert_int_equal(fetch_error(&r, LIN), expected(&s, cpl == 3, false, true));
            checked += 5;
        }
    }
    assert_int_equal(checked, 5120);
    rig_free(&r);
}

static void test_upper_levels_restrict(void **state)
{
    struct rig r;

    rig_new(&r);
    map_long(&r, FRAME | P | W | U);
    r.c->efer |= X86_EFER_NXE;
    r.c->cr0 |= X86_CR0_WP;
    put64(&r, L3 + 2 * 8, L2 | P | U); /* not writable */
    x86_tlb_flush_all(r.c);
    assert_int_equal(store_error(&r, X86_CLASS_SYSTEM, LIN), 3);
    put64(&r, L3 + 2 * 8, L2 | P | W); /* not for users */
    x86_tlb_flush_all(r.c);
    assert_int_equal(load_error(&r, X86_CLASS_USER, LIN), 5);
    put64(&r, L3 + 2 * 8, L2 | P | W | U | NX);
    x86_tlb_flush_all(r.c);
    assert_int_equal(fetch_error(&r, LIN), 0x11);
    assert_int_equal(load_error(&r, X86_CLASS_USER, LIN), 0x100);
    rig_free(&r);
}

static void test_accessed_and_dirty(void **state)
{
    struct rig r;

    rig_new(&r);
    map_long(&r, FRAME | P | W | U);
    assert_int_equal(load_error(&r, X86_CLASS_SYSTEM, LIN), 0x100);
    assert_int_equal(rig_get(&r, ROOT + 8, 8) & (A | D), A);
    assert_int_equal(rig_get(&r, L3 + 16, 8) & (A | D), A);
    assert_int_equal(rig_get(&r, L2 + 24, 8) & (A | D), A);
    assert_int_equal(rig_get(&r, L1 + 32, 8) & (A | D), A);
    /* The first write after a read must not go through the TLB unseen. */
    assert_int_equal(store_error(&r, X86_CLASS_SYSTEM, LIN), 0x100);
    assert_int_equal(rig_get(&r, L1 + 32, 8) & (A | D), A | D);
    assert_int_equal(rig_get(&r, FRAME, 4), 0x12345678);
    /* A faulting walk leaves no mark. */
    map_long(&r, FRAME | P);
    assert_int_equal(load_error(&r, X86_CLASS_USER, LIN), 5);
    assert_int_equal(rig_get(&r, L1 + 32, 8) & (A | D), 0);
    rig_free(&r);
}

static void test_large_pages(void **state)
{
    struct rig r;
    uint64_t gpa;

    rig_new(&r);
    map_long(&r, 0);
    put64(&r, L2 + 3 * 8, 0x400000 | P | W | PS);
    x86_tlb_flush_all(r.c);
    assert_int_equal(x86_translate_debug(r.c, LIN, &gpa), 0);
    assert_true(gpa == 0x404000);
    put64(&r, L2 + 3 * 8, 0x402000 | P | W | PS); /* bit 13 is reserved */
    x86_tlb_flush_all(r.c);
    assert_int_equal(load_error(&r, X86_CLASS_SYSTEM, LIN), 9);
    put64(&r, L3 + 2 * 8, 0x40000000 | P | W | PS);
    x86_tlb_flush_all(r.c);
    assert_int_equal(x86_translate_debug(r.c, LIN, &gpa), 0);
    assert_true(gpa == 0x40604000);
    assert_int_equal(load_error(&r, X86_CLASS_SYSTEM, LIN), 0x100); /* reads as open bus */
    put64(&r, L3 + 2 * 8, 0x40002000 | P | W | PS);
    x86_tlb_flush_all(r.c);
    assert_int_equal(load_error(&r, X86_CLASS_SYSTEM, LIN), 9);
    put64(&r, ROOT + 8, L3 | P | W | PS); /* PS is reserved in a PML4E */
    x86_tlb_flush_all(r.c);
    assert_int_equal(load_error(&r, X86_CLASS_USER, LIN), 13);
    map_long(&r, FRAME | P | 1ull << 45); /* above MAXPHYADDR */
    assert_int_equal(store_error(&r, X86_CLASS_SYSTEM, LIN), 11);
    rig_free(&r);
}

static void test_32bit(void **state)
{
    struct rig r;
    uint64_t gpa;
    const uint64_t lin = 0x00c04000; /* PD 3, PT 4 */

    rig_new(&r);
    rig_protected(&r);
    put32(&r, ROOT + 3 * 4, L1 | P | W | U);
    put32(&r, L1 + 4 * 4, FRAME | P | W);
    r.c->cr3 = ROOT;
    r.c->cr0 |= X86_CR0_PG;
    x86_tlb_flush_all(r.c);
    assert_int_equal(store_error(&r, X86_CLASS_SYSTEM, lin), 0x100);
    assert_int_equal(rig_get(&r, ROOT + 12, 4) & (A | D), A);
    assert_int_equal(rig_get(&r, L1 + 16, 4) & (A | D), A | D);
    assert_int_equal(load_error(&r, X86_CLASS_USER, lin), 5);
    assert_int_equal(load_error(&r, X86_CLASS_SYSTEM, lin + 0x1000), 0);
    /* Supervisor writes ignore R/W until WP is set. */
    put32(&r, L1 + 4 * 4, FRAME | P);
    x86_tlb_flush_all(r.c);
    assert_int_equal(store_error(&r, X86_CLASS_SYSTEM, lin), 0x100);
    assert_int_equal(x86_cr0_write(r.c, r.c->cr0 | X86_CR0_WP), 0);
    assert_int_equal(store_error(&r, X86_CLASS_SYSTEM, lin), 3);
    /* 4 MiB pages, with PSE-36 bits for address bits 32 to 39. */
    put32(&r, ROOT + 3 * 4, 0x00400000 | 0x5 << 13 | P | W | PS);
    x86_tlb_flush_all(r.c);
    assert_int_equal(load_error(&r, X86_CLASS_SYSTEM, lin), 0); /* PSE off: an empty page table */
    assert_int_equal(x86_cr4_write(r.c, r.c->cr4 | X86_CR4_PSE), 0);
    assert_int_equal(x86_translate_debug(r.c, lin, &gpa), 0);
    assert_true(gpa == 0x500404000ull);
    put32(&r, ROOT + 3 * 4, 0x00600000 | P | W | PS); /* bit 21 is reserved */
    x86_tlb_flush_all(r.c);
    assert_int_equal(load_error(&r, X86_CLASS_SYSTEM, lin), 9);
    rig_free(&r);
}

static void test_pae(void **state)
{
    struct rig r;
    const uint64_t lin = 0x80604000; /* PDPTE 2, PD 3, PT 4 */

    rig_new(&r);
    rig_protected(&r);
    put64(&r, ROOT + 2 * 8, L2 | P);
    put64(&r, L2 + 3 * 8, L1 | P | W | U);
    put64(&r, L1 + 4 * 8, FRAME | P | W | U);
    r.c->cr4 |= X86_CR4_PAE;
    r.c->cr3 = ROOT;
    assert_int_equal(x86_cr0_write(r.c, r.c->cr0 | X86_CR0_PG), 0);
    assert_int_equal(store_error(&r, X86_CLASS_USER, lin), 0x100);
    assert_int_equal(load_error(&r, X86_CLASS_USER, 0xc0604000), 4);
    /* PDPTEs are registers: a change in memory counts from the next load of CR3 on. */
    put64(&r, ROOT + 2 * 8, L2 | P | W); /* W is reserved there */
    x86_tlb_flush_all(r.c);
    assert_int_equal(load_error(&r, X86_CLASS_USER, lin), 0x100);
    r.c->fault.valid = false;
    assert_int_not_equal(x86_cr3_write(r.c, ROOT), 0);
    assert_int_equal(r.c->fault.vector, X86_GP);
    assert_int_equal(r.c->fault.code, 0);
    /* Bits 62:52 are reserved in PAE tables, ignored in 4-level ones. */
    put64(&r, L1 + 4 * 8, FRAME | P | W | U | 1ull << 55);
    x86_tlb_flush_all(r.c);
    assert_int_equal(load_error(&r, X86_CLASS_USER, lin), 13);
    map_long(&r, FRAME | P | W | U | 1ull << 55);
    assert_int_equal(load_error(&r, X86_CLASS_USER, LIN), 0x100);
    rig_free(&r);
}

static void test_page_crossing(void **state)
{
    struct rig r;
    uint64_t v = 0;

    rig_new(&r);
    map_long(&r, FRAME | P | W | U);
    put64(&r, L1 + 5 * 8, (FRAME + 0x10000) | P); /* read-only */
    r.c->cr0 |= X86_CR0_WP;
    x86_tlb_flush_all(r.c);
    put64(&r, FRAME + 0xff8, 0x1111111111111111ull);
    put64(&r, FRAME + 0x10000, 0x2222222222222222ull);
    assert_int_equal(x86_lin_load(r.c, X86_CLASS_SYSTEM, LIN + 0xffc, 8, &v), 0);
    assert_true(v == 0x2222222211111111ull);
    v = ~0ull;
    assert_int_not_equal(x86_lin_store(r.c, X86_CLASS_SYSTEM, LIN + 0xffc, 8, &v), 0);
    assert_int_equal(r.c->fault.code, 3);
    assert_true(r.c->fault.cr2 == LIN + 0x1000); /* the first byte that faults */
    assert_true(rig_get(&r, FRAME + 0xff8, 8) == 0x1111111111111111ull);
    put64(&r, L1 + 5 * 8, (FRAME + 0x10000) | P | W);
    x86_tlb_flush_page(r.c, LIN + 0x1000);
    assert_int_equal(x86_lin_store(r.c, X86_CLASS_SYSTEM, LIN + 0xffc, 8, &v), 0);
    assert_true(rig_get(&r, FRAME + 0xff8, 8) == 0xffffffff11111111ull);
    assert_true(rig_get(&r, FRAME + 0x10000, 8) == 0x22222222ffffffffull);
    rig_free(&r);
}

static uint32_t value_at(struct rig *r, uint64_t lin)
{
    uint32_t v = 0;
    assert_int_equal(x86_lin_load(r->c, X86_CLASS_SYSTEM, lin, 4, &v), 0);
    return v;
}

static void test_invlpg(void **state)
{
    struct rig r;

    rig_new(&r);
    map_long(&r, FRAME | P | W | U);
    put32(&r, FRAME, 1);
    put32(&r, FRAME + 0x1000, 2);
    assert_int_equal(value_at(&r, LIN), 1);
    put64(&r, L1 + 4 * 8, (FRAME + 0x1000) | P | W | U);
    x86_tlb_flush_page(r.c, LIN + 0x123);
    assert_int_equal(value_at(&r, LIN), 2);
    /* INVLPG anywhere in a large page drops all of it. */
    put64(&r, L2 + 3 * 8, 0x400000 | P | W | PS);
    x86_tlb_flush_all(r.c);
    put32(&r, 0x404000, 3);
    put32(&r, 0x604000, 4);
    assert_int_equal(value_at(&r, LIN), 3);
    put64(&r, L2 + 3 * 8, 0x600000 | P | W | PS);
    x86_tlb_flush_page(r.c, LIN + 0x100000);
    assert_int_equal(value_at(&r, LIN), 4);
    rig_free(&r);
}

static void test_pcid(void **state)
{
    struct rig r;
    enum { ROOT2 = 0x210000, M3 = 0x211000, M2 = 0x212000, M1 = 0x213000 };

    rig_new(&r);
    map_long(&r, FRAME | P | W);
    put64(&r, ROOT2 + 8, M3 | P | W);
    put64(&r, M3 + 16, M2 | P | W);
    put64(&r, M2 + 24, M1 | P | W);
    put64(&r, M1 + 40, (FRAME + 0x1000) | P | W);
    put32(&r, FRAME, 1);
    put32(&r, FRAME + 0x1000, 2);
    put32(&r, FRAME + 0x2000, 3);
    assert_int_equal(x86_cr4_write(r.c, r.c->cr4 | X86_CR4_PCIDE), 0);
    assert_int_equal(x86_cr3_write(r.c, ROOT | 1), 0);
    assert_int_equal(value_at(&r, LIN), 1);
    assert_int_equal(x86_cr3_write(r.c, ROOT2 | 2), 0);
    assert_int_equal(value_at(&r, LIN + 0x1000), 2);
    /* Bit 63: what PCID 1 had stays, even though the table says otherwise now. */
    put64(&r, L1 + 32, (FRAME + 0x2000) | P | W);
    assert_int_equal(x86_cr3_write(r.c, ROOT | 1 | 1ull << 63), 0);
    assert_int_equal(value_at(&r, LIN), 1);
    assert_true(r.c->cr3 == (ROOT | 1));
    /* Without it, PCID 1 is dropped and PCID 2 is not. */
    assert_int_equal(x86_cr3_write(r.c, ROOT | 1), 0);
    assert_int_equal(value_at(&r, LIN), 3);
    put64(&r, M1 + 40, (FRAME + 0x2000) | P | W);
    assert_int_equal(x86_cr3_write(r.c, ROOT2 | 2 | 1ull << 63), 0);
    assert_int_equal(value_at(&r, LIN + 0x1000), 2);
    x86_tlb_flush_pcid(r.c, 2);
    assert_int_equal(value_at(&r, LIN + 0x1000), 3);
    /* Thousands of flushes run the tags through: nothing old may come back. */
    for (unsigned n = 0; n < 9000; n++) {
        put64(&r, M1 + 40, (FRAME + (n & 1 ? 0x1000 : 0x2000)) | P | W);
        assert_int_equal(x86_cr3_write(r.c, ROOT2 | (n & 7)), 0);
        assert_int_equal(value_at(&r, LIN + 0x1000), n & 1 ? 2 : 3);
    }
    rig_free(&r);
}

static void test_canonical(void **state)
{
    struct rig r;
    uint64_t v;

    rig_new(&r);
    map_long(&r, FRAME | P | W | U);
    assert_int_not_equal(x86_load64(r.c, X86_DS, 0x0000800000000000ull, &v), 0);
    assert_int_equal(r.c->fault.vector, X86_GP);
    assert_int_not_equal(x86_load64(r.c, X86_SS, 0x00007ffffffffffcull, &v), 0);
    assert_int_equal(r.c->fault.vector, X86_SSV);
    assert_int_not_equal(x86_load64(r.c, X86_DS, 0xffff7fffffffffffull, &v), 0);
    assert_int_equal(r.c->fault.vector, X86_GP);
    rig_free(&r);
}

static unsigned code_writes;
static void count_code(void *opaque, uint64_t gfn, unsigned offset, unsigned len)
{
    assert_int_equal(gfn, FRAME >> 12);
    assert_int_equal(offset, 0x10);
    assert_int_equal(len, 4);
    code_writes++;
}

static void test_code_pages_and_layers(void **state)
{
    struct rig r;
    struct gmem_listener l = {.code_written = count_code};
    struct gmem_layer *layer;
    uint32_t v = 7;

    rig_new(&r);
    map_long(&r, FRAME | P | W);
    x86_enter_thread(r.c);
    gmem_listen(r.ram, &l);
    code_writes = 0;
    assert_int_equal(x86_store32(r.c, X86_DS, LIN + 0x10, v), 0); /* makes a write tag */
    gmem_set_code(r.ram, FRAME >> 12, GMEM_CODE_DECODED);
    assert_int_equal(x86_store32(r.c, X86_DS, LIN + 0x10, 8), 0);
    assert_int_equal(x86_store32(r.c, X86_DS, LIN + 0x10, 9), 0);
    assert_int_equal(code_writes, 2);
    gmem_clear_code(r.ram, FRAME >> 12, GMEM_CODE_DECODED);
    assert_int_equal(x86_store32(r.c, X86_DS, LIN + 0x10, 10), 0);
    assert_int_equal(code_writes, 2);
    /* Frozen: reads see the base, the first write goes to the delta and both views follow. */
    layer = gmem_freeze(r.ram, NULL);
    assert_non_null(layer);
    assert_int_equal(x86_load32(r.c, X86_DS, LIN + 0x10, &v), 0);
    assert_int_equal(v, 10);
    assert_int_equal(x86_store32(r.c, X86_DS, LIN + 0x10, 11), 0);
    assert_int_equal(x86_load32(r.c, X86_DS, LIN + 0x10, &v), 0);
    assert_int_equal(v, 11);
    assert_int_equal(rig_get(&r, FRAME + 0x10, 4), 11);
    gmem_unlisten(r.ram, &l);
    rig_free(&r);
    gmem_layer_unref(layer);
}

static void test_dirty_log(void **state)
{
    struct rig r;

    rig_new(&r);
    map_long(&r, FRAME | P | W);
    x86_enter_thread(r.c);
    assert_int_equal(x86_store32(r.c, X86_DS, LIN, 1), 0);
    gmem_dirty_take(r.ram, NULL);
    assert_int_equal(x86_store32(r.c, X86_DS, LIN, 2), 0);
    assert_true(gmem_page_flags(r.ram, FRAME >> 12) & GMEM_DIRTY);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protection_matrix),
        cmocka_unit_test(test_upper_levels_restrict),
        cmocka_unit_test(test_accessed_and_dirty),
        cmocka_unit_test(test_large_pages),
        cmocka_unit_test(test_32bit),
        cmocka_unit_test(test_pae),
        cmocka_unit_test(test_page_crossing),
        cmocka_unit_test(test_invlpg),
        cmocka_unit_test(test_pcid),
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_code_pages_and_layers),
        cmocka_unit_test(test_dirty_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
