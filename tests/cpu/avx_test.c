/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of the YMM registers that hold for all instructions, and single roundings of FMA. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cpu/x86/cpu.h"
#include "cpu/x86/insn.h"
#include "x86-opcodes.h"

static struct x86_cpu *new_cpu(void)
{
    struct x86_cpu *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->mode = X86_MODE_64;
    c->cr0 = X86_CR0_PE;
    c->cr4 = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_OSXSAVE;
    c->xcr0 = 7;
    c->mxcsr = 0x1f80;
    for (unsigned r = 0; r < 16; r++) {
        union x86_ymm v = {.u64 = {r, r + 100, r + 200, r + 300}};
        x86_ymm_set(c, r, &v);
    }
    return c;
}

/* Register 1 from 2 and 3. */
static struct x86_insn three(unsigned vlen)
{
    return (struct x86_insn){.reg = 1, .vvvv = 2, .rm = 3, .vlen = (uint8_t)vlen};
}

static void test_upper_halves(void **state)
{
    struct x86_cpu *c = new_cpu();
    struct x86_insn i = three(0);
    union x86_ymm v;

    assert_int_equal(x86_op_sse_paddq(c, &i), X86_NEXT); /* legacy SSE keeps them */
    v = x86_ymm_get(c, 1);
    assert_int_equal(v.u64[0], 4);
    assert_int_equal(v.u64[2], 201);
    assert_int_equal(x86_op_avx_paddq(c, &i), X86_NEXT); /* VEX.128 clears them */
    v = x86_ymm_get(c, 1);
    assert_int_equal(v.u64[1], 205);
    assert_int_equal(v.u64[2] | v.u64[3], 0);
    i = three(1);
    assert_int_equal(x86_op_avx_paddq(c, &i), X86_NEXT);
    v = x86_ymm_get(c, 1);
    assert_int_equal(v.u64[3], 605);
    /* Scalars merge the first source. */
    i = three(1);
    assert_int_equal(x86_op_avx_movsd_rr(c, &i), X86_NEXT);
    v = x86_ymm_get(c, 1);
    assert_int_equal(v.u64[0], 3);
    assert_int_equal(v.u64[1], 102);
    assert_int_equal(v.u64[2] | v.u64[3], 0);
    free(c);
}

static void test_vzeroupper(void **state)
{
    struct x86_cpu *c = new_cpu();
    struct x86_insn i = {0};

    c->mode = X86_MODE_COMPAT; /* eight registers */
    assert_int_equal(x86_op_avx_vzeroupper(c, &i), X86_NEXT);
    assert_int_equal(c->ymmh[7].u64[0] | c->ymmh[7].u64[1], 0);
    assert_int_equal(c->xmm[7].u64[0], 7);
    assert_int_equal(c->ymmh[8].u64[0], 208);
    c->mode = X86_MODE_64;
    assert_int_equal(x86_op_avx_vzeroall(c, &i), X86_NEXT);
    assert_int_equal(c->ymmh[15].u64[0] | c->xmm[15].u64[0], 0);
    free(c);
}

/* (1 + 2^-52)^2 - (1 + 2^-51) is 2^-104: nothing is left of it when the product is rounded. Once by
 * software, once by way of the host's instruction where there is one. */
static void test_fused_rounding(void **state)
{
    for (unsigned pe = 0; pe < 2; pe++) {
        struct x86_cpu *c = new_cpu();
        struct x86_insn i = three(0);
        i.opcode = 0xab; /* 213, scalar: reg = vvvv * reg - rm */
        c->mxcsr |= pe << 5;
        c->xmm[1].u64[0] = c->xmm[2].u64[0] = UINT64_C(0x3ff0000000000001);
        c->xmm[3].u64[0] = UINT64_C(0x3ff0000000000002);
        assert_int_equal(x86_op_avx_fmsubsd(c, &i), X86_NEXT);
        assert_int_equal(c->xmm[1].u64[0], UINT64_C(0x3970000000000000));
        assert_int_equal(c->mxcsr, 0x1f80 | pe << 5); /* exact */
        free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upper_halves),
        cmocka_unit_test(test_vzeroupper),
        cmocka_unit_test(test_fused_rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
