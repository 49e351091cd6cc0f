/* SPDX-License-Identifier: Apache-2.0 */
/* x87 transcendental functions against values computed with 200 digits: within one ulp. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cpu/x86/fpu.h"
#include "x86-opcodes.h"

struct vector {
    x86_exec_fn *fn;
    struct x86_f80 y, x, result; /* ST(1), ST(0) */
};

#include "x87_vectors.inc"

static struct x86_vm vm;

/* @fn on ST(1) = y, ST(0) = x with all exceptions masked; two registers are in use. */
static struct x86_cpu *run(x86_exec_fn *fn, struct x86_f80 y, struct x86_f80 x, unsigned rounding)
{
    struct x86_cpu *c = calloc(1, sizeof(*c));
    struct x86_insn i = {.opcode = 0xd9, .modrm = 0xf0};
    assert_non_null(c);
    c->vm = &vm;
    c->cr0 = X86_CR0_NE;
    c->fpu = (struct x86_fpu){
        .cw = (uint16_t)(0x37f | rounding << 10), .top = 6, .tag = 0xc0, .st = {[6] = x, [7] = y}};
    assert_int_equal(fn(c, &i), X86_NEXT);
    return c;
}

static const struct x86_f80 *result_of(const struct x86_cpu *c, const struct vector *v)
{
    /* FPTAN has pushed 1.0. */
    return &c->fpu.st[(c->fpu.top + (v->fn == x86_op_fptan)) & 7];
}

/* Units of the last place between numbers of the same sign. */
static uint64_t ulps(const struct x86_f80 *a, const struct x86_f80 *b)
{
    if (a->se == b->se)
        return a->frac > b->frac ? a->frac - b->frac : b->frac - a->frac;
    if (a->se == b->se + 1 && a->frac == UINT64_C(1) << 63)
        return 0 - b->frac;
    if (b->se == a->se + 1 && b->frac == UINT64_C(1) << 63)
        return 0 - a->frac;
    return UINT64_MAX;
}

static void test_vectors(void **state)
{
    unsigned exact = 0;
    for (unsigned k = 0; k < array_size(VECTORS); k++) {
        const struct vector *v = &VECTORS[k];
        struct x86_cpu *c = run(v->fn, v->y, v->x, 0);
        const struct x86_f80 *r = result_of(c, v);
        exact += ulps(r, &v->result) == 0;
        if (ulps(r, &v->result) > 1)
            fail_msg("vector %u: %04x:%016llx, want %04x:%016llx", k, r->se,
                     (unsigned long long)r->frac, v->result.se, (unsigned long long)v->result.frac);
        assert_true(c->fpu.sw & X87_PE);
        free(c);
    }
    print_message("%u of %u correctly rounded\n", exact, (unsigned)array_size(VECTORS));
    assert_true(exact >= array_size(VECTORS) - 1);
}

/* Rounding down and up enclose the value, and differ by one unit. */
static void test_directed_rounding(void **state)
{
    for (unsigned k = 0; k < array_size(VECTORS); k++) {
        const struct vector *v = &VECTORS[k];
        struct x86_cpu *down = run(v->fn, v->y, v->x, 1), *up = run(v->fn, v->y, v->x, 2);
        const struct x86_f80 *a = result_of(down, v), *b = result_of(up, v);
        assert_int_equal(ulps(a, b), 1);
        assert_true(ulps(a, &v->result) == 0 || ulps(b, &v->result) == 0);
        bool negative = v->result.se & 0x8000;
        bool smaller = a->se == b->se ? a->frac < b->frac : a->se < b->se;
        assert_true(smaller != negative);
        free(down);
        free(up);
    }
}

static void test_out_of_range(void **state)
{
    const struct x86_f80 big = {UINT64_C(1) << 63, 0x3fff + 63};
    struct x86_cpu *c = run(x86_op_fsin, (struct x86_f80){0, 0}, big, 0);
    assert_true(c->fpu.sw & X87_C2);
    assert_int_equal(c->fpu.st[6].se, big.se);
    assert_int_equal(c->fpu.st[6].frac, big.frac);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_directed_rounding),
        cmocka_unit_test(test_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
