/* SPDX-License-Identifier: Apache-2.0 */
/* Lengths, fields and refusals of the decoder; every row of the table is reached. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "cpu/x86/decode.h"
#include "cpu/x86/optable.h"

static const struct x86_decode_env real16 = {.mode = X86_MODE_REAL};
static const struct x86_decode_env prot32 = {.mode = X86_MODE_PROT, .big = true};
static const struct x86_decode_env long64 = {.mode = X86_MODE_64};

struct check {
    const struct x86_decode_env *env;
    const char *bytes;
    unsigned n;
    enum x86_decode_result result;
    const char *mnemonic;
    unsigned len;
};
#define BYTES(s) s, sizeof(s) - 1

static const struct check checks[] = {
    {&long64, BYTES("\x48\x01\xd8"), X86_DECODE_OK, "add", 3},
    {&long64, BYTES("\x66\x05\x34\x12"), X86_DECODE_OK, "add", 4},
    {&long64, BYTES("\x05\x78\x56\x34\x12"), X86_DECODE_OK, "add", 5},
    {&long64, BYTES("\x48\xb8\1\2\3\4\5\6\7\x88"), X86_DECODE_OK, "mov", 10},
    {&long64, BYTES("\x8b\x05\1\0\0\0"), X86_DECODE_OK, "mov", 6},
    {&long64, BYTES("\x8b\x84\x8d\1\0\0\0"), X86_DECODE_OK, "mov", 7},
    {&long64, BYTES("\x66\xe9\1\0\0\0"), X86_DECODE_OK, "jmp", 6}, /* 66 does nothing */
    {&prot32, BYTES("\x66\xe9\1\0"), X86_DECODE_OK, "jmp", 4},
    {&real16, BYTES("\x8b\x46\xfe"), X86_DECODE_OK, "mov", 3},
    {&real16, BYTES("\x67\x8b\x44\x24\x04"), X86_DECODE_OK, "mov", 5},
    {&real16, BYTES("\xa1\x34\x12"), X86_DECODE_OK, "mov", 3},
    {&long64, BYTES("\xa1\1\2\3\4\5\6\7\x08"), X86_DECODE_OK, "mov", 9},
    {&long64, BYTES("\x67\xa1\1\2\3\4"), X86_DECODE_OK, "mov", 6},
    {&long64, BYTES("\xf3\x90"), X86_DECODE_OK, "pause", 2},
    {&long64, BYTES("\xf3\x0f\x1e\xfa"), X86_DECODE_OK, "endbr64", 4},
    {&long64, BYTES("\xf3\x0f\xb8\xc1"), X86_DECODE_OK, "popcnt", 4},
    {&long64, BYTES("\x66\xf2\x0f\x38\xf1\xc1"), X86_DECODE_OK, "crc32", 6},
    {&long64, BYTES("\x0f\x38\xf0\x00"), X86_DECODE_OK, "movbe", 4},
    {&long64, BYTES("\x0f\x38\xf0\xc0"), X86_DECODE_INVALID, "", 0}, /* memory only */
    {&long64, BYTES("\x06"), X86_DECODE_INVALID, "", 0},
    {&prot32, BYTES("\x06"), X86_DECODE_OK, "push", 1},
    {&prot32, BYTES("\x40"), X86_DECODE_OK, "inc", 1},
    {&long64, BYTES("\x63\xc8"), X86_DECODE_OK, "movsxd", 2},
    {&prot32, BYTES("\x63\xc8"), X86_DECODE_OK, "arpl", 2},
    {&real16, BYTES("\x63\xc8"), X86_DECODE_INVALID, "", 0},
    /* LES, LDS and BOUND with a register would be VEX and EVEX. */
    {&prot32, BYTES("\xc4\x00"), X86_DECODE_OK, "les", 2},
    {&prot32, BYTES("\xc4\xe2\x79\x00\xc0"), X86_DECODE_OK, "vpshufb", 5},
    {&real16, BYTES("\xc4\xe2\x79\x00\xc0"), X86_DECODE_INVALID, "", 0},
    {&real16, BYTES("\xc5\x00"), X86_DECODE_OK, "lds", 2},
    {&prot32, BYTES("\xc4"), X86_DECODE_MORE, "", 0},
    {&long64, BYTES("\xc5\xf8\x58\xc0"), X86_DECODE_OK, "vaddps", 4},
    {&long64, BYTES("\xc5\xf8"), X86_DECODE_MORE, "", 0},
    {&long64, BYTES("\xc5\xf8\x77"), X86_DECODE_OK, "vzeroupper", 3},
    {&long64, BYTES("\xc5\xfc\x77"), X86_DECODE_OK, "vzeroall", 3},
    {&long64, BYTES("\xc5\xe8\x77"), X86_DECODE_INVALID, "", 0}, /* vvvv is no operand */
    {&long64, BYTES("\xc5\xe8\x28\xc1"), X86_DECODE_INVALID, "", 0},
    {&long64, BYTES("\x66\xc5\xf8\x58\xc0"), X86_DECODE_INVALID, "", 0},
    {&long64, BYTES("\xf2\xc5\xf8\x58\xc0"), X86_DECODE_INVALID, "", 0},
    {&long64, BYTES("\xf0\xc5\xf8\x58\xc0"), X86_DECODE_INVALID, "", 0},
    {&long64, BYTES("\x48\xc5\xf8\x58\xc0"), X86_DECODE_INVALID, "", 0},
    {&long64, BYTES("\x67\x64\xc5\xf8\x58\x00"), X86_DECODE_OK, "vaddps", 6},
    {&long64, BYTES("\xc4\xe0\x78\x58\xc0"), X86_DECODE_INVALID, "", 0},     /* no map 0 */
    {&long64, BYTES("\xc4\xe2\x7d\x41\xc0"), X86_DECODE_INVALID, "", 0},     /* L must be 0 */
    {&long64, BYTES("\xc4\xe3\x7d\x00\xc0\x1b"), X86_DECODE_INVALID, "", 0}, /* W must be 1 */
    {&long64, BYTES("\xc4\xe3\xfd\x00\xc0\x1b"), X86_DECODE_OK, "vpermq", 6},
    {&long64, BYTES("\xc4\xe2\x69\x90\x0c\x18"), X86_DECODE_OK, "vpgatherdd", 6},
    {&long64, BYTES("\xc4\xe2\x69\x90\x08"), X86_DECODE_INVALID, "", 0}, /* wants a SIB byte */
    {&long64, BYTES("\xc4\xe2\xf0\xf2\xc2"), X86_DECODE_OK, "andn", 5},
    {&long64, BYTES("\x62\xf1\x7c\x48\x58\xc0"), X86_DECODE_INVALID, "", 0},
    {&long64, BYTES("\x8f\xe9\x00"), X86_DECODE_INVALID, "", 0},
    /* LOCK: only the marked instructions, only with a memory destination. */
    {&long64, BYTES("\xf0\x01\x18"), X86_DECODE_OK, "add", 3},
    {&long64, BYTES("\xf0\x01\xd8"), X86_DECODE_INVALID, "", 0},
    {&long64, BYTES("\xf0\x03\x18"), X86_DECODE_INVALID, "", 0},
    {&long64, BYTES("\xf0\x8b\x18"), X86_DECODE_INVALID, "", 0},
    {&long64, BYTES("\xf0\x39\x18"), X86_DECODE_INVALID, "", 0},
    /* Cut off. */
    {&long64, BYTES("\x48"), X86_DECODE_MORE, "", 0},
    {&long64, BYTES("\x0f"), X86_DECODE_MORE, "", 0},
    {&long64, BYTES("\x8b\x84\x8d\1\0\0"), X86_DECODE_MORE, "", 0},
    /* 15 bytes are fine, 16 are not. */
    {&long64, BYTES("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"), X86_DECODE_OK,
     "xchg", 15},
    {&long64, BYTES("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"),
     X86_DECODE_LONG, "", 0},
    {&long64, BYTES("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x05\1\2\3\4"), X86_DECODE_OK,
     "add", 14},
};

static void test_checks(void **state)
{
    for (unsigned n = 0; n < sizeof(checks) / sizeof(checks[0]); n++) {
        const struct check *k = &checks[n];
        struct x86_insn i;
        enum x86_decode_result r = x86_decode(k->env, (const uint8_t *)k->bytes, k->n, &i);
        if (r != k->result ||
            (r == X86_DECODE_OK &&
             (i.len != k->len || strcmp(x86_insn_row(&i)->mnemonic, k->mnemonic) != 0)))
            fail_msg("check %u (%s): result %d, %s", n, k->mnemonic, r,
                     r == X86_DECODE_OK ? x86_insn_row(&i)->mnemonic : "-");
    }
}

static struct x86_insn decoded(const struct x86_decode_env *env, const char *bytes, unsigned n)
{
    struct x86_insn i;
    assert_int_equal(x86_decode(env, (const uint8_t *)bytes, n, &i), X86_DECODE_OK);
    return i;
}

static void test_fields(void **state)
{
    struct x86_insn i = decoded(&long64, BYTES("\x48\x66\x01\xd8")); /* REX before 66 is void */
    assert_int_equal(i.rex, 0);
    assert_int_equal(i.osize, X86_SIZE_16);

    i = decoded(&long64, BYTES("\x66\x48\x01\xd8")); /* REX.W wins over 66 */
    assert_int_equal(i.osize, X86_SIZE_64);

    i = decoded(&long64, BYTES("\x88\xe0")); /* AH without REX, SPL with it */
    assert_int_equal(i.reg8, 1);
    i = decoded(&long64, BYTES("\x40\x88\xe0"));
    assert_int_equal(i.reg8, 4 * 8);

    i = decoded(&long64, BYTES("\x64\x2e\x8b\x00")); /* CS does not undo FS in 64-bit mode */
    assert_int_equal(i.seg, X86_FS);
    i = decoded(&prot32, BYTES("\x64\x2e\x8b\x00"));
    assert_int_equal(i.seg, X86_CS);
    i = decoded(&prot32, BYTES("\x8b\x45\x00"));
    assert_int_equal(i.seg, X86_SS);
    /* VEX: all four register numbers, W as REX.W, 32-bit operands outside 64-bit mode. */
    i = decoded(&long64, BYTES("\xc4\x42\x2d\x00\xd9"));
    assert_int_equal(i.reg, 11);
    assert_int_equal(i.vvvv, 10);
    assert_int_equal(i.rm, 9);
    assert_int_equal(i.vlen, 1);
    i = decoded(&long64, BYTES("\xc4\xa2\x69\x90\x0c\x20")); /* index XMM12 */
    assert_int_equal(i.index, 12);
    i = decoded(&long64, BYTES("\xc4\xe2\x69\x90\x0c\x20")); /* index XMM4 */
    assert_int_equal(i.index, 4);
    i = decoded(&long64, BYTES("\xc4\xe2\xf0\xf2\xc2"));
    assert_int_equal(i.osize, X86_SIZE_64);
    i = decoded(&prot32, BYTES("\xc4\xe2\xf0\xf2\xc2"));
    assert_int_equal(i.osize, X86_SIZE_32);

    i = decoded(&real16, BYTES("\x8b\x42\x00"));
    assert_int_equal(i.base, X86_RBP);
    assert_int_equal(i.index, X86_RSI);
    assert_int_equal(i.seg, X86_SS);

    i = decoded(&long64, BYTES("\x4a\x8b\x44\xa5\x80")); /* r12 as an index */
    assert_int_equal(i.base, X86_RBP);
    assert_int_equal(i.index, 12);
    assert_int_equal(i.scale, 2);
    assert_int_equal(i.disp, -128);

    i = decoded(&long64, BYTES("\xf2\xf3\xa4"));
    assert_int_equal(i.rep, X86_REP_E);
    assert_int_equal(i.osize, X86_SIZE_8);
    i = decoded(&long64, BYTES("\x6a\xff"));
    assert_int_equal(i.osize, X86_SIZE_64);
    assert_true(i.imm == UINT64_MAX);
    i = decoded(&prot32, BYTES("\xc8\x34\x12\x05"));
    assert_int_equal(i.imm, 0x1234);
    assert_int_equal(i.imm2, 5);
    i = decoded(&prot32, BYTES("\xea\1\2\3\4\5\6"));
    assert_int_equal(i.imm, 0x04030201);
    assert_int_equal(i.imm2, 0x0605);
}

/* Bytes made from each row decode to that row again (or to a more specific one of the same bytes).
 */
static void test_every_row(void **state)
{
    static const struct x86_decode_env *const envs[] = {&long64, &prot32, &real16};
    static const uint8_t prefix_bytes[] = {0, 0, 0x66, 0xf3, 0xf2, 0};
    unsigned reached = 0;

    for (unsigned row = 0; row < X86_ROWS; row++) {
        const struct x86_row *r = &x86_optable[row];
        bool ok = false;
        for (unsigned e = 0; e < 3 && !ok; e++) {
            for (unsigned modrm = 0; modrm < 256 && !ok; modrm++) {
                uint8_t b[16] = {0};
                unsigned n = 0;
                struct x86_insn i;
                if (x86_row_is_vex(r)) {
                    static const uint8_t pps[] = {0, 0, 1, 2, 3, 0};
                    b[n++] = 0xc4;
                    b[n++] = (uint8_t)(0xe0 | (r->map - X86_MAP_VEX));
                    b[n++] = (uint8_t)(0x78 | pps[r->prefix] | (r->attr & X86_ATTR_L1 ? 4 : 0) |
                                       (r->attr & X86_ATTR_W1 ? 0x80 : 0));
                } else {
                    if (prefix_bytes[r->prefix])
                        b[n++] = prefix_bytes[r->prefix];
                    if (r->map)
                        b[n++] = 0x0f;
                    if (r->map > X86_MAP_0F)
                        b[n++] = r->map == X86_MAP_0F38 ? 0x38 : 0x3a;
                }
                b[n++] = r->opcode;
                if (r->has_modrm)
                    b[n] = (uint8_t)modrm;
                ok = x86_decode(envs[e], b, sizeof(b) - 1, &i) == X86_DECODE_OK && i.row == row;
            }
        }
        if (!ok)
            print_message("row not reached: %s %s\n", r->encoding, r->mnemonic);
        reached += ok;
    }
    assert_int_equal(reached, X86_ROWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
