/* SPDX-License-Identifier: Apache-2.0 */
/* Software floating point: against the shortcuts, the C compiler's arithmetic and known values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cpu/x86/fp_fast.h"
#include "cpu/x86/softfloat.h"

enum { ROUNDS = 200000 };

static uint64_t rng_state;
static uint64_t rnd(void)
{
    rng_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = rng_state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Numbers that meet each other, have short significands now and then, and are sometimes special. */
static uint64_t value64(void)
{
    uint64_t frac = (rnd() & ((UINT64_C(1) << 52) - 1)) & ~UINT64_C(0) << rnd() % 53;
    uint64_t field;
    switch (rnd() % 8) {
    case 0:
        field = rnd() & 0x7ff;
        break;
    case 1:
        field = rnd() & 1 ? rnd() % 4 : 0x7ff - rnd() % 4;
        break;
    default:
        field = 1023 - 30 + rnd() % 60;
    }
    return (rnd() & UINT64_C(1) << 63) | field << 52 | frac;
}

static uint32_t value32(void)
{
    uint32_t frac = (rnd() & 0x7fffff) & ~UINT32_C(0) << rnd() % 24;
    uint32_t field;
    switch (rnd() % 8) {
    case 0:
        field = rnd() & 0xff;
        break;
    case 1:
        field = rnd() & 1 ? rnd() % 4 : 0xff - rnd() % 4;
        break;
    default:
        field = 127 - 15 + rnd() % 30;
    }
    return (uint32_t)(rnd() & UINT32_C(1) << 31) | field << 23 | frac;
}

static struct sf_env env_of(uint32_t mxcsr)
{
    return (struct sf_env){.rounding = mxcsr >> 13 & 3,
                           .precision = 64,
                           .masked = mxcsr >> 7 & 0x3f,
                           .daz = mxcsr & 0x40,
                           .ftz = mxcsr & 0x8000};
}

typedef struct sf_num binary_fn(struct sf_env *env, const struct sf_num *a, const struct sf_num *b);

static struct sf_num sqrt_second(struct sf_env *env, const struct sf_num *a, const struct sf_num *b)
{
    return sf_sqrt(env, b);
}

static struct sf_num lesser(struct sf_env *env, const struct sf_num *a, const struct sf_num *b)
{
    return sf_compare(env, a, b, false) == SF_LESS ? *a : *b;
}

static struct sf_num greater(struct sf_env *env, const struct sf_num *a, const struct sf_num *b)
{
    return sf_compare(env, a, b, false) == SF_GREATER ? *a : *b;
}

typedef bool fast32_fn(uint32_t mxcsr, uint32_t a, uint32_t b, uint32_t *ret);
typedef bool fast64_fn(uint32_t mxcsr, uint64_t a, uint64_t b, uint64_t *ret);

static const struct {
    const char *name;
    binary_fn *soft;
    fast32_fn *fast32;
    fast64_fn *fast64;
} OPERATIONS[] = {
    {"add", sf_add, fast_add32, fast_add64},         {"sub", sf_sub, fast_sub32, fast_sub64},
    {"mul", sf_mul, fast_mul32, fast_mul64},         {"div", sf_div, fast_div32, fast_div64},
    {"sqrt", sqrt_second, fast_sqrt32, fast_sqrt64}, {"min", lesser, fast_min32, fast_min64},
    {"max", greater, fast_max32, fast_max64},
};

/* When a shortcut answers, value and sticky flags are those of the slow path. */
static void test_fast_agrees(void **state)
{
    for (unsigned op = 0; op < array_size(OPERATIONS); op++) {
        unsigned long taken32 = 0, taken64 = 0;
        for (unsigned k = 0; k < ROUNDS; k++) {
            uint32_t mxcsr = k % 4 ? 0x1f80 | (rnd() & 0x20) : rnd() & 0xffff;
            uint32_t a = value32(), b = value32(), r;
            if (OPERATIONS[op].fast32(mxcsr, a, b, &r)) {
                struct sf_env env = env_of(mxcsr);
                struct sf_num x = sf_from32(&env, a), y = sf_from32(&env, b);
                struct sf_num z = OPERATIONS[op].soft(&env, &x, &y);
                taken32++;
                if (sf_to32(&env, &z) != r || (mxcsr | env.flags) != mxcsr)
                    fail_msg("%s32 %08x %08x mxcsr %04x: %08x", OPERATIONS[op].name, a, b, mxcsr,
                             r);
            }
            uint64_t c = value64(), d = value64(), s;
            if (OPERATIONS[op].fast64(mxcsr, c, d, &s)) {
                struct sf_env env = env_of(mxcsr);
                struct sf_num x = sf_from64(&env, c), y = sf_from64(&env, d);
                struct sf_num z = OPERATIONS[op].soft(&env, &x, &y);
                taken64++;
                if (sf_to64(&env, &z) != s || (mxcsr | env.flags) != mxcsr)
                    fail_msg("%s64 %016llx %016llx mxcsr %04x: %016llx", OPERATIONS[op].name,
                             (unsigned long long)c, (unsigned long long)d, mxcsr,
                             (unsigned long long)s);
            }
        }
        /* The shortcut is worth having only if it is taken. */
        if (X86_FP_FAST) {
            assert_true(taken32 > ROUNDS / 10);
            assert_true(taken64 > ROUNDS / 10);
        }
    }
}

/* The C implementation's double is IEEE's: all values and special cases, not only the easy ones. */
static void test_double_arithmetic(void **state)
{
    for (unsigned k = 0; k < ROUNDS; k++) {
        struct sf_env env = env_of(0x1f80);
        uint64_t a = value64(), b = value64();
        double x = fast_real64(a), y = fast_real64(b);
        const double expect[] = {x + y, x - y, x * y, x / y};
        binary_fn *const soft[] = {sf_add, sf_sub, sf_mul, sf_div};
        for (unsigned op = 0; op < 4; op++) {
            struct sf_num p = sf_from64(&env, a), q = sf_from64(&env, b),
                          z = soft[op](&env, &p, &q);
            uint64_t got = sf_to64(&env, &z);
            if (expect[op] != expect[op])
                assert_true(sf_is_nan(&z));
            else
                assert_int_equal(got, fast_bits64(expect[op]));
        }
    }
}

static void test_round_trips(void **state)
{
    for (unsigned k = 0; k < ROUNDS; k++) {
        struct sf_env env = {.masked = 0x3f, .precision = 64};
        uint32_t a = k % 2 ? value32() : (uint32_t)rnd();
        uint64_t b = k % 2 ? value64() : rnd();
        struct x86_f80 c = {rnd(), (uint16_t)rnd()};
        struct sf_num n = sf_from32(&env, a);
        uint32_t quiet32 = n.cls == SF_SNAN ? 1u << 22 : 0;
        assert_int_equal(sf_to32(&env, &n), a | quiet32);
        n = sf_from64(&env, b);
        uint64_t quiet64 = n.cls == SF_SNAN ? UINT64_C(1) << 51 : 0;
        assert_int_equal(sf_to64(&env, &n), b | quiet64);
        if (k % 4 == 0)
            c.se &= 0x8000;
        n = sf_from80(c);
        if (n.cls == SF_NORMAL || n.cls == SF_ZERO || n.cls == SF_QNAN) {
            struct x86_f80 d = sf_to80(&env, &n);
            assert_int_equal(d.frac, c.frac);
            /* A pseudo-denormal becomes the normal number it stands for. */
            assert_int_equal(d.se, c.se | (n.cls == SF_NORMAL && !(c.se & 0x7fff) && c.frac >> 63));
        }
        assert_int_equal(env.flags, 0);
    }
}

/* 1/3, 2/3 and the largest number plus an ulp, in all modes; signs mirror up and down. */
static void test_rounding_modes(void **state)
{
    static const struct {
        unsigned rounding;
        uint32_t third, minus_third, above_max;
        bool up;
    } cases[] = {
        {SF_NEAREST, 0x3eaaaaab, 0xbeaaaaab, 0x7f800000, true},
        {SF_DOWN, 0x3eaaaaaa, 0xbeaaaaab, 0x7f7fffff, false},
        {SF_UP, 0x3eaaaaab, 0xbeaaaaaa, 0x7f800000, true},
        {SF_TRUNCATE, 0x3eaaaaaa, 0xbeaaaaaa, 0x7f7fffff, false},
    };
    for (unsigned k = 0; k < array_size(cases); k++) {
        struct sf_env env = {.rounding = (uint8_t)cases[k].rounding, .masked = 0x3f};
        struct sf_num one = sf_from_int(1), three = sf_from_int(3), minus = sf_from_int(-3);
        struct sf_num q = sf_div(&env, &one, &three);
        assert_int_equal(sf_to32(&env, &q), cases[k].third);
        assert_int_equal(env.up, cases[k].up);
        assert_int_equal(env.flags, SF_PE);
        q = sf_div(&env, &one, &minus);
        assert_int_equal(sf_to32(&env, &q), cases[k].minus_third);
        env.flags = 0;
        q = sf_from32(&env, 0x7f7fffff);
        struct sf_num two = sf_from_int(2);
        q = sf_mul(&env, &q, &two);
        assert_int_equal(sf_to32(&env, &q), cases[k].above_max);
        assert_int_equal(env.flags, SF_OE | SF_PE);
    }
}

/* Tininess is detected after rounding: just below the smallest normal number, rounding up to it. */
static void test_tininess(void **state)
{
    struct sf_env env = {.masked = 0x3f};
    struct sf_num n = {.cls = SF_NORMAL, .exp = -127, .hi = UINT64_MAX};
    assert_int_equal(sf_to32(&env, &n), 0x00800000);
    assert_int_equal(env.flags, SF_PE);
    env.flags = 0;
    n.hi = UINT64_C(0xffffff0000000000);
    assert_int_equal(sf_to32(&env, &n), 0x00800000); /* representable with 24 bits: tiny */
    assert_int_equal(env.flags, SF_PE | SF_UE);
    env.flags = 0;
    n.hi = UINT64_C(0xfffffe0000000000);
    assert_int_equal(sf_to32(&env, &n), 0x007fffff); /* exact: masked underflow is silent */
    assert_int_equal(env.flags, 0);
    env.masked = 0x3f & ~SF_UE;
    sf_to32(&env, &n);
    assert_int_equal(env.flags, SF_UE);
    env = (struct sf_env){.masked = 0x3f, .ftz = true};
    assert_int_equal(sf_to32(&env, &n), 0);
    assert_int_equal(env.flags, SF_UE | SF_PE);
}

static void test_integers(void **state)
{
    static const struct {
        uint64_t v; /* double */
        unsigned bits, rounding;
        int64_t r;
        unsigned flags;
    } cases[] = {
        {0x3ff8000000000000, 32, SF_NEAREST, 2, SF_PE},
        {0x4004000000000000, 32, SF_NEAREST, 2, SF_PE},
        {0xbfe0000000000000, 32, SF_NEAREST, 0, SF_PE},
        {0xbfe0000000000000, 32, SF_DOWN, -1, SF_PE},
        {0x0000000000000001, 32, SF_UP, 1, SF_PE},
        {0x41dfffffffc00000, 32, SF_NEAREST, INT32_MAX, 0},
        {0x41dfffffffe00000, 32, SF_NEAREST, INT32_MIN, SF_IE},
        {0x41dfffffffe00000, 32, SF_TRUNCATE, INT32_MAX, SF_PE},
        {0xc1e0000000000000, 32, SF_NEAREST, INT32_MIN, 0},
        {0xc1e0000000100000, 32, SF_NEAREST, INT32_MIN, SF_PE},
        {0xc1e0000000200000, 32, SF_DOWN, INT32_MIN, SF_IE},
        {0x43e0000000000000, 64, SF_NEAREST, INT64_MIN, SF_IE},
        {0xc3e0000000000000, 64, SF_NEAREST, INT64_MIN, 0},
        {0x40e0000000000000, 16, SF_NEAREST, INT16_MIN, SF_IE},
        {0x7ff8000000000000, 16, SF_NEAREST, INT16_MIN, SF_IE},
        {0x7ff0000000000000, 64, SF_NEAREST, INT64_MIN, SF_IE},
    };
    for (unsigned k = 0; k < array_size(cases); k++) {
        struct sf_env env = {.masked = 0x3f};
        struct sf_num n = sf_from64(&env, cases[k].v);
        assert_int_equal(sf_to_int(&env, &n, cases[k].bits, cases[k].rounding), cases[k].r);
        assert_int_equal(env.flags, cases[k].flags);
    }
}

/* Which NaN survives: SSE takes the first operand, x87 the larger significand. */
static void test_nan_rules(void **state)
{
    struct sf_env sse = {.masked = 0x3f}, x87 = {.masked = 0x3f, .x87 = true, .precision = 64};
    struct sf_num small = sf_from64(&sse, 0x7ff8000000000001),
                  big = sf_from64(&sse, 0xfff8000000000002);
    struct sf_num signalling = sf_from64(&sse, 0x7ff0000000000003);
    struct sf_num r = sf_add(&sse, &small, &big);
    assert_int_equal(sf_to64(&sse, &r), 0x7ff8000000000001);
    r = sf_add(&x87, &small, &big);
    assert_int_equal(sf_to64(&x87, &r), 0xfff8000000000002);
    assert_int_equal(sse.flags | x87.flags, 0);
    r = sf_add(&sse, &signalling, &big);
    assert_int_equal(sf_to64(&sse, &r), 0x7ff8000000000003);
    r = sf_add(&x87, &signalling, &big);
    assert_int_equal(sf_to64(&x87, &r), 0xfff8000000000002);
    assert_int_equal(sse.flags, SF_IE);
    assert_int_equal(x87.flags, SF_IE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fast_agrees), cmocka_unit_test(test_double_arithmetic),
        cmocka_unit_test(test_round_trips), cmocka_unit_test(test_rounding_modes),
        cmocka_unit_test(test_tininess),    cmocka_unit_test(test_integers),
        cmocka_unit_test(test_nan_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
