/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When x87, MMX and SSE instructions are not available: CR0.EM, CR0.TS, CR4.OSFXSR, pending x87
 * exceptions, unmasked SSE exceptions without CR4.OSXMMEXCPT. All rows of the opcode table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cpu/x86/exc.h"
#include "cpu/x86/fpu.h"
#include "cpu/x86/optable.h"

enum unit { UNIT_NONE, UNIT_X87, UNIT_X87_NOWAIT, UNIT_FWAIT, UNIT_MMX, UNIT_SSE, UNIT_AVX };

static bool named(const struct x86_row *row, const char *const *names, unsigned n)
{
    for (unsigned k = 0; k < n; k++)
        if (!strcmp(row->mnemonic, names[k]))
            return true;
    return false;
}

/* The unit a row belongs to, by its operands. */
static enum unit unit_of(const struct x86_row *row)
{
    static const char *const nowait[] = {"fnsave", "fnstenv", "fnstcw", "fnstsw", "fnclex",
                                         "fninit", "fneni",   "fndisi", "fnsetpm"};
    static const char *const mxcsr[] = {"ldmxcsr", "stmxcsr"};
    if (!strcmp(row->mnemonic, "fwait"))
        return UNIT_FWAIT;
    if (row->map == 0 && (row->opcode & 0xf8) == 0xd8)
        return named(row, nowait, array_size(nowait)) ? UNIT_X87_NOWAIT : UNIT_X87;
    if (row->map == 0)
        return UNIT_NONE;
    if (x86_row_is_vex(row)) {
        for (unsigned k = 0; k < X86_ROW_OPERANDS; k++)
            if (memchr("VWUH", x86_operand_names[row->operands[k]][0], 4))
                return UNIT_AVX;
        return row->feature == X86_FEATURE(X86_W_1_ECX, 28) ? UNIT_AVX : UNIT_NONE;
    }
    if (named(row, mxcsr, array_size(mxcsr)))
        return UNIT_SSE;
    if (!strcmp(row->mnemonic, "emms"))
        return UNIT_MMX;
    enum unit unit = UNIT_NONE;
    for (unsigned k = 0; k < X86_ROW_OPERANDS; k++) {
        const char *name = x86_operand_names[row->operands[k]];
        if (strchr("VWU", name[0]) && name[0])
            return UNIT_SSE;
        if (strchr("PQN", name[0]) && name[0])
            unit = UNIT_MMX;
    }
    return unit;
}

static struct x86_vm vm;
static int ferr_level;

static void lock(void *opaque)
{
}

static void ferr(void *opaque, int level)
{
    ferr_level = level;
}

static struct x86_cpu *new_cpu(void)
{
    struct x86_cpu *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    vm.model = x86_model_find(NULL);
    vm.host = (struct x86_host){.lock = lock, .unlock = lock, .ferr = ferr};
    c->vm = &vm;
    c->mode = X86_MODE_64;
    c->cr0 = X86_CR0_PE | X86_CR0_NE | X86_CR0_MP;
    c->cr4 = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_OSXSAVE;
    c->xcr0 = 7;
    c->mxcsr = 0x1f80;
    x86_fpu_init(c);
    return c;
}

/* The register form; rows of memory forms are given one, too: availability comes first. */
static int vector_of(struct x86_cpu *c, const struct x86_row *row)
{
    struct x86_insn i = {.opcode = row->opcode,
                         .modrm = row->modrm_value | 0xc0,
                         .rm = 1,
                         .base = X86_NO_REG,
                         .index = X86_NO_REG,
                         .seg = X86_DS,
                         .osize = X86_SIZE_32,
                         .asize = X86_SIZE_64};
    c->fault = (struct x86_pending){0};
    return x86_execs[row - x86_optable](c, &i) == X86_FAULT ? c->fault.vector : -1;
}

/* @expect[unit] is the vector, -1 for "anything else". */
static void check_all(uint64_t cr0, uint64_t cr4, uint16_t sw, const int expect[7])
{
    unsigned rows = 0;
    for (unsigned r = 0; r < X86_ROWS; r++) {
        const struct x86_row *row = &x86_optable[r];
        enum unit unit = unit_of(row);
        if (unit == UNIT_NONE || (expect[unit] < 0 && row->mod != X86_MOD_REG))
            continue;
        struct x86_cpu *c = new_cpu();
        c->cr0 |= cr0;
        c->cr4 &= ~cr4;
        c->fpu.sw |= sw;
        int got = vector_of(c, row);
        if (expect[unit] >= 0 ? got != expect[unit]
                              : got == X86_UD || got == X86_NM || got == X86_MF)
            fail_msg("%s (%s): vector %d, want %d", row->mnemonic, row->encoding, got,
                     expect[unit]);
        rows++;
        free(c);
    }
    assert_true(rows > 100);
}

static void test_task_switched(void **state)
{
    check_all(X86_CR0_TS, 0, 0, (int[]){-1, X86_NM, X86_NM, X86_NM, X86_NM, X86_NM, X86_NM});
}

static void test_emulation(void **state)
{
    check_all(X86_CR0_EM, 0, 0, (int[]){-1, X86_NM, X86_NM, -1, X86_UD, X86_UD, -1});
}

static void test_no_osfxsr(void **state)
{
    check_all(0, X86_CR4_OSFXSR, 0, (int[]){-1, -1, -1, -1, -1, X86_UD, -1});
}

/* VEX instructions ask for CR4.OSXSAVE and XCR0, before CR0.TS. */
static void test_no_avx_state(void **state)
{
    check_all(X86_CR0_TS, X86_CR4_OSXSAVE, 0,
              (int[]){-1, X86_NM, X86_NM, X86_NM, X86_NM, X86_NM, X86_UD});
    for (unsigned xcr0 = 1; xcr0 < 8; xcr0 += 2) {
        struct x86_cpu *c = new_cpu();
        struct x86_insn i = {.rm = 1};
        c->xcr0 = xcr0;
        assert_int_equal(x86_op_avx_paddb(c, &i), xcr0 == 7 ? X86_NEXT : X86_FAULT);
        if (xcr0 != 7)
            assert_int_equal(c->fault.vector, X86_UD);
        free(c);
    }
}

static void test_pending_exception(void **state)
{
    for (unsigned r = 0; r < X86_ROWS; r++) {
        const struct x86_row *row = &x86_optable[r];
        enum unit unit = unit_of(row);
        if (unit != UNIT_X87 && unit != UNIT_FWAIT && unit != UNIT_MMX)
            continue;
        struct x86_cpu *c = new_cpu();
        c->fpu.sw = X87_ES | X87_B | X87_ZE;
        c->fpu.cw &= ~X87_ZE;
        assert_int_equal(vector_of(c, row), X86_MF);
        free(c);
    }
}

static const struct x86_row *row_named(const char *mnemonic)
{
    for (unsigned r = 0; r < X86_ROWS; r++)
        if (!strcmp(x86_optable[r].mnemonic, mnemonic))
            return &x86_optable[r];
    fail_msg("no row %s", mnemonic);
    return NULL;
}

/* Without CR0.NE the wire goes up at the next waiting instruction and down with FNCLEX. */
static void test_external_error_wire(void **state)
{
    struct x86_cpu *c = new_cpu();
    c->cr0 &= ~(uint64_t)X86_CR0_NE;
    c->fpu.sw = X87_ES | X87_B | X87_ZE;
    c->fpu.cw &= ~X87_ZE;
    ferr_level = 0;
    assert_int_equal(vector_of(c, row_named("fwait")), -1);
    assert_int_equal(ferr_level, 1);
    assert_int_equal(vector_of(c, row_named("fnclex")), -1);
    assert_int_equal(ferr_level, 0);
    assert_int_equal(c->fpu.sw, 0);
    free(c);
}

static void test_unmasked_sse_exception(void **state)
{
    struct x86_cpu *c = new_cpu();
    c->mxcsr = 0x1f80 & ~0x200; /* divide by zero */
    c->xmm[0].u64[0] = UINT64_C(0x3ff0000000000000);
    assert_int_equal(vector_of(c, row_named("divsd")), X86_XM);
    assert_int_equal(c->mxcsr & 0x3f, 4);
    assert_int_equal(c->xmm[0].u64[0], UINT64_C(0x3ff0000000000000));
    c->cr4 &= ~(uint64_t)X86_CR4_OSXMMEXCPT;
    assert_int_equal(vector_of(c, row_named("divsd")), X86_UD);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_task_switched),
        cmocka_unit_test(test_emulation),
        cmocka_unit_test(test_no_osfxsr),
        cmocka_unit_test(test_no_avx_state),
        cmocka_unit_test(test_pending_exception),
        cmocka_unit_test(test_external_error_wire),
        cmocka_unit_test(test_unmasked_sse_exception),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
