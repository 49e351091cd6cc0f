/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of the x87 and SSE state: FXSAVE, XSAVE, FNSAVE and FNSTENV against the host's own on
 * x86-64, round trips, checks on restore.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cpu/x86/access.h"
#include "cpu/x86/fpu.h"
#include "cpu/x86/mmu.h"
#include "cpu/x86/model.h"
#include "x86-opcodes.h"

enum { GUEST_PAGE = 0x10000, AREA = 0x100, AREA_BYTES = 832 };

static uint64_t rng_state;
static uint64_t rnd(void)
{
    rng_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = rng_state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static struct x86_vm vm;
static uint8_t page[4096] __attribute__((aligned(4096)));

/* A processor in 64-bit mode that sees one page, with a random x87 and SSE state. */
static struct x86_cpu *new_cpu(void)
{
    struct x86_cpu *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->vm = &vm;
    vm.model = x86_model_find(NULL);
    c->mode = X86_MODE_64;
    c->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_NE;
    c->cr4 = X86_CR4_OSFXSR | X86_CR4_OSXSAVE;
    c->xcr0 = 3;
    for (unsigned s = 0; s < X86_SEGS; s++)
        c->seg[s] = (struct x86_seg){.attr = X86_SEG_P | X86_SEG_S | X86_SEG_DB | 3,
                                     .limit = UINT32_MAX,
                                     .flat_r = true,
                                     .flat_w = true};
    memset(c->tlb, 0xff, sizeof(c->tlb));
    struct x86_tlb_entry *e = &c->tlb[c->mmu_class][(GUEST_PAGE >> 12) & (X86_TLB_SIZE - 1)];
    e->rtag = e->wtag = x86_tlb_tag(c, GUEST_PAGE);
    e->host = page;
    struct x86_fpu *f = &c->fpu;
    x86_fpu_set_cw(f, 0x37f);
    x86_fpu_set_sw(f, rnd() & 0x7f3f);
    f->sw &= (uint16_t)~X87_SF;
    f->tag = (uint8_t)rnd();
    for (unsigned k = 0; k < 8; k++) {
        static const uint16_t se[] = {0, 1, 0x3fff, 0x7ffe, 0x7fff, 0x8000, 0xffff};
        f->st[k].se = rnd() % 4 ? se[rnd() % array_size(se)] : (uint16_t)rnd();
        f->st[k].frac = rnd() % 4 ? rnd() : 0;
    }
    for (unsigned k = 0; k < 16; k++)
        c->xmm[k] = (union x86_xmm){.u64 = {rnd(), rnd()}};
    c->mxcsr = 0x1f80 | (rnd() & 0xe03f);
    c->gpr[X86_RAX] = 3;
    return c;
}

static enum x86_result exec(struct x86_cpu *c, x86_exec_fn *fn, unsigned osize)
{
    struct x86_insn i = {.mem = 1,
                         .base = X86_NO_REG,
                         .index = X86_NO_REG,
                         .disp = GUEST_PAGE + AREA,
                         .seg = X86_DS,
                         .osize = (uint8_t)osize,
                         .asize = X86_SIZE_64,
                         .rex = osize == X86_SIZE_64 ? 0x48 : 0};
    return fn(c, &i);
}

static void assert_same_state(const struct x86_cpu *a, const struct x86_cpu *b)
{
    assert_memory_equal(a->xmm, b->xmm, sizeof(a->xmm));
    assert_int_equal(a->mxcsr, b->mxcsr);
    assert_int_equal(a->fpu.cw, b->fpu.cw);
    assert_int_equal(x86_fpu_sw(&a->fpu), x86_fpu_sw(&b->fpu));
    assert_int_equal(a->fpu.tag, b->fpu.tag);
    for (unsigned k = 0; k < 8; k++) {
        assert_int_equal(a->fpu.st[k].frac, b->fpu.st[k].frac);
        assert_int_equal(a->fpu.st[k].se, b->fpu.st[k].se);
    }
}

static void test_fxsave_round_trip(void **state)
{
    for (unsigned k = 0; k < 1000; k++) {
        struct x86_cpu *a = new_cpu(), *b = new_cpu();
        a->fpu.fip = UINT64_C(0x123456789abcdef0);
        a->fpu.fdp = UINT64_C(0xfedcba9876543210);
        a->fpu.fop = 0x5a5;
        assert_int_equal(exec(a, x86_op_fxsave, X86_SIZE_64), X86_NEXT);
        assert_int_equal(exec(b, x86_op_fxrstor, X86_SIZE_64), X86_NEXT);
        assert_same_state(a, b);
        assert_int_equal(b->fpu.fip, a->fpu.fip);
        assert_int_equal(b->fpu.fdp, a->fpu.fdp);
        assert_int_equal(b->fpu.fop, a->fpu.fop);
        free(a);
        free(b);
    }
}

static void test_compat_mode_keeps_high_registers(void **state)
{
    struct x86_cpu *a = new_cpu();
    a->mode = X86_MODE_COMPAT;
    memset(page, 0xa5, sizeof(page));
    assert_int_equal(exec(a, x86_op_fxsave, X86_SIZE_32), X86_NEXT);
    assert_memory_equal(page + AREA + 160, a->xmm, 128);
    for (unsigned k = 288; k < 512; k++)
        assert_int_equal(page[AREA + k], 0xa5);
    union x86_xmm eight = a->xmm[8];
    assert_int_equal(exec(a, x86_op_fxrstor, X86_SIZE_32), X86_NEXT);
    assert_memory_equal(&a->xmm[8], &eight, 16);
    free(a);
}

static void expect_gp(struct x86_cpu *c, x86_exec_fn *fn)
{
    c->fault = (struct x86_pending){0};
    assert_int_equal(exec(c, fn, X86_SIZE_64), X86_FAULT);
    assert_int_equal(c->fault.vector, X86_GP);
}

static void test_restore_checks(void **state)
{
    struct x86_cpu *a = new_cpu();
    assert_int_equal(exec(a, x86_op_fxsave, X86_SIZE_64), X86_NEXT);
    page[AREA + 24 + 2] = 1; /* reserved bit 16 of MXCSR */
    expect_gp(a, x86_op_fxrstor);
    memset(page + AREA + 512, 0, 64);
    page[AREA + 512] = 3;
    expect_gp(a, x86_op_xrstor);
    page[AREA + 24 + 2] = 0;
    assert_int_equal(exec(a, x86_op_xrstor, X86_SIZE_64), X86_NEXT);
    page[AREA + 512] = 4; /* a component that XCR0 does not enable */
    expect_gp(a, x86_op_xrstor);
    page[AREA + 512] = 3;
    page[AREA + 520 + 7] = 0x80; /* compacted */
    expect_gp(a, x86_op_xrstor);
    page[AREA + 520 + 7] = 0;
    page[AREA + 528] = 1;
    expect_gp(a, x86_op_xrstor);
    free(a);
}

static void test_xsave_components(void **state)
{
    struct x86_cpu *a = new_cpu();
    /* XSTATE_BV of components that are not asked for stays. */
    memset(page, 0, sizeof(page));
    page[AREA + 512] = 0x81;
    a->gpr[X86_RAX] = 2;
    assert_int_equal(exec(a, x86_op_xsave, X86_SIZE_64), X86_NEXT);
    assert_int_equal(page[AREA + 512], 0x83);
    assert_int_equal(load_le64(page + AREA), 0);
    /* Initial state: the bit is clear; XSAVEOPT writes nothing, XRSTOR initialises. */
    memset(a->xmm, 0, sizeof(a->xmm));
    memset(page, 0x5a, sizeof(page));
    memset(page + AREA + 512, 0, 64);
    assert_int_equal(exec(a, x86_op_xsaveopt, X86_SIZE_64), X86_NEXT);
    assert_int_equal(page[AREA + 512], 0);
    assert_int_equal(page[AREA + 160], 0x5a);
    assert_int_equal(load_le32(page + AREA + 24), a->mxcsr);
    a->xmm[3].u64[0] = 1;
    a->gpr[X86_RAX] = 3;
    assert_int_equal(exec(a, x86_op_xrstor, X86_SIZE_64), X86_NEXT);
    assert_int_equal(a->xmm[3].u64[0], 0);
    assert_int_equal(a->fpu.cw, 0x37f);
    assert_int_equal(x86_fpu_sw(&a->fpu), 0);
    assert_int_equal(a->fpu.tag, 0);
    free(a);
}

/* Upper halves of the YMM registers, in both formats of the area. */
static void test_avx_component(void **state)
{
    static x86_exec_fn *const saves[] = {x86_op_xsave, x86_op_xsaveopt, x86_op_xsavec};
    for (unsigned k = 0; k < array_size(saves); k++) {
        struct x86_cpu *a = new_cpu(), *b = new_cpu();
        a->xcr0 = b->xcr0 = 7;
        a->gpr[X86_RAX] = b->gpr[X86_RAX] = 7;
        for (unsigned r = 0; r < 16; r++)
            a->ymmh[r] = (union x86_xmm){.u64 = {rnd(), rnd()}};
        memset(page, 0, sizeof(page));
        assert_int_equal(exec(a, saves[k], X86_SIZE_64), X86_NEXT);
        assert_memory_equal(page + AREA + 576, a->ymmh, 256);
        assert_int_equal(load_le64(page + AREA + 512), 7);
        assert_int_equal(load_le64(page + AREA + 520),
                         k == 2 ? UINT64_C(7) | UINT64_C(1) << 63 : 0);
        assert_int_equal(exec(b, x86_op_xrstor, X86_SIZE_64), X86_NEXT);
        assert_same_state(a, b);
        assert_memory_equal(a->ymmh, b->ymmh, sizeof(a->ymmh));
        /* Not in use: its bit is clear, and restoring clears the registers. */
        memset(a->ymmh, 0, sizeof(a->ymmh));
        assert_int_equal(exec(a, saves[k], X86_SIZE_64), X86_NEXT);
        assert_int_equal(load_le64(page + AREA + 512), 3);
        assert_int_equal(exec(b, x86_op_xrstor, X86_SIZE_64), X86_NEXT);
        assert_memory_equal(a->ymmh, b->ymmh, sizeof(a->ymmh));
        free(a);
        free(b);
    }
    /* The compacted format's own rules: XSTATE_BV within XCOMP_BV, within XCR0, the rest zero. */
    struct x86_cpu *a = new_cpu();
    a->xcr0 = 3;
    page[AREA + 520] = 7;
    expect_gp(a, x86_op_xrstor);
    page[AREA + 520] = 1;
    expect_gp(a, x86_op_xrstor);
    page[AREA + 520] = 3;
    page[AREA + 575] = 1;
    expect_gp(a, x86_op_xrstor);
    page[AREA + 575] = 0;
    assert_int_equal(exec(a, x86_op_xrstor, X86_SIZE_64), X86_NEXT);
    /* MXCSR comes with the SSE component only. */
    store_le32(page + AREA + 24, 0x1fa0);
    page[AREA + 512] = 1;
    assert_int_equal(exec(a, x86_op_xrstor, X86_SIZE_64), X86_NEXT);
    assert_int_equal(a->mxcsr, 0x1f80);
    free(a);
}

/* Seven fields, then ST(0) to ST(7), and back; the 16-bit form keeps pointers of 16 bits. */
static void test_fnsave_round_trip(void **state)
{
    static const struct {
        unsigned osize, mode;
        uint64_t fip, fdp;
    } forms[] = {
        {X86_SIZE_32, X86_MODE_64, 0x89abcdef, 0x12345678},
        {X86_SIZE_16, X86_MODE_PROT, 0xcdef, 0x5678},
        {X86_SIZE_32, X86_MODE_REAL, 0x89abcdef, 0x12345678},
        {X86_SIZE_16, X86_MODE_V86, 0xbcdef, 0x45678},
    };
    for (unsigned k = 0; k < array_size(forms); k++) {
        struct x86_cpu *a = new_cpu(), *b = new_cpu(), *copy = new_cpu();
        a->mode = b->mode = (uint8_t)forms[k].mode;
        a->fpu.fip = forms[k].fip;
        a->fpu.fdp = forms[k].fdp;
        a->fpu.fop = 0x123;
        *copy = *a;
        assert_int_equal(exec(a, x86_op_fnsave, forms[k].osize), X86_NEXT);
        assert_int_equal(a->fpu.cw, 0x37f);
        assert_int_equal(a->fpu.tag, 0);
        memcpy(b->xmm, copy->xmm, sizeof(b->xmm));
        b->mxcsr = copy->mxcsr;
        assert_int_equal(exec(b, x86_op_frstor, forms[k].osize), X86_NEXT);
        assert_same_state(copy, b);
        assert_int_equal(b->fpu.fip, forms[k].fip);
        assert_int_equal(b->fpu.fdp, forms[k].fdp);
        free(a);
        free(b);
        free(copy);
    }
}

#ifdef __x86_64__
static uint8_t image[AREA_BYTES] __attribute__((aligned(64)));
static uint8_t out[AREA_BYTES] __attribute__((aligned(64)));

/* Our FXSAVE image is a valid one for the host, which writes the same state back. */
static void test_images_against_host(void **state)
{
    for (unsigned k = 0; k < 2000; k++) {
        struct x86_cpu *c = new_cpu();
        memset(page, 0, sizeof(page));
        assert_int_equal(exec(c, x86_op_fxsave, X86_SIZE_64), X86_NEXT);
        memcpy(image, page + AREA, 512);
        memset(out, 0, sizeof(out));
        __asm__ volatile("fxrstor64 %1\n\tfxsave64 %0\n\tfninit" : "=m"(out) : "m"(image));
        memcpy(out + 6, image + 6, 18); /* pointers: AMD keeps them only for pending exceptions */
        memcpy(out + 28, image + 28, 4);
        assert_memory_equal(out, image, 416);

        /* FNSTENV classifies registers in the tag word; FNSAVE adds the registers. */
        memset(out, 0, sizeof(out));
        __asm__ volatile("fxrstor64 %1\n\tfnsave %0\n\tfninit" : "=m"(out) : "m"(image));
        assert_int_equal(exec(c, x86_op_fnsave, X86_SIZE_32), X86_NEXT);
        assert_memory_equal(page + AREA, out, 12);
        assert_memory_equal(page + AREA + 28, out + 28, 80);
        free(c);
    }
    uint32_t mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fxsave_round_trip),
        cmocka_unit_test(test_compat_mode_keeps_high_registers),
        cmocka_unit_test(test_restore_checks),
        cmocka_unit_test(test_xsave_components),
        cmocka_unit_test(test_avx_component),
        cmocka_unit_test(test_fnsave_round_trip),
#ifdef __x86_64__
        cmocka_unit_test(test_images_against_host),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
