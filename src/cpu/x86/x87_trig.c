/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x87 transcendental instructions: F2XM1, FYL2X, FYL2XP1, FPTAN, FPATAN, FSIN, FCOS, FSINCOS.
 *
 * All are evaluated with about 120 bits and rounded once, so that results are within one unit of
 * the last place in every rounding mode (as a rule correctly rounded). Series run on unsigned fixed
 * point with 126 fraction bits; leading factors stay in floating point (struct wide), which keeps
 * tiny results accurate. Arguments of trigonometric functions are reduced with the 66-bit value of
 * pi that processors use (vol. 1, 8.3.8), exactly.
 */
#include "cpu/x86/x87.h"
#include "x86-opcodes.h"

typedef unsigned __int128 u128;

#define ONE       ((u128)1 << 126)
#define W(hi, lo) ((u128)UINT64_C(hi) << 64 | UINT64_C(lo))

/* (-1)^sign * sig * 2^(exp - 127) with bit 127 of sig set, or sig 0. */
struct wide {
    bool sign;
    int32_t exp;
    u128 sig;
};

static const struct wide WIDE_LN2 = {false, -1, W(0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af)};
/* 2 / ln 2 */
static const struct wide WIDE_TWO_LOG2E = {false, 1, W(0xb8aa3b295c17f0bb, 0xbe87fed0691d3e88)};
static const struct wide WIDE_PI = {false, 1, W(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1)};

/* atan(k / 8) with 126 fraction bits, high and low words. */
static const uint64_t ATAN_EIGHTHS[9][2] = {
    {UINT64_C(0x0000000000000000), UINT64_C(0x0000000000000000)},
    {UINT64_C(0x07f56ea6ab0bdb71), UINT64_C(0x9644bcc4f9f44478)},
    {UINT64_C(0x0fadbafc96406eb1), UINT64_C(0x56dc79ef5f7a217e)},
    {UINT64_C(0x16f61941e4def08e), UINT64_C(0x715464245b9fc890)},
    {UINT64_C(0x1dac670561bb4f68), UINT64_C(0xadfc88bd978751a0)},
    {UINT64_C(0x23c01757bdfd67e6), UINT64_C(0xd720d78599710dd2)},
    {UINT64_C(0x292f1f464d3dc249), UINT64_C(0x066a1fca915f6b28)},
    {UINT64_C(0x2e014f8af08c679c), UINT64_C(0xf2cb69548429110f)},
    {UINT64_C(0x3243f6a8885a308d), UINT64_C(0x313198a2e0370734)},
};

/* Upper half of the product. */
static u128 mul_high(u128 a, u128 b)
{
    uint64_t a1 = (uint64_t)(a >> 64), a0 = (uint64_t)a, b1 = (uint64_t)(b >> 64), b0 = (uint64_t)b;
    u128 low = (u128)a0 * b0, m1 = (u128)a1 * b0, m2 = (u128)a0 * b1, high = (u128)a1 * b1;
    u128 middle = (low >> 64) + (uint64_t)m1 + (uint64_t)m2;
    return high + (m1 >> 64) + (m2 >> 64) + (middle >> 64);
}

/* Product of fixed-point numbers. */
static u128 fixed_mul(u128 a, u128 b)
{
    return mul_high(a, b) << 2;
}

static struct wide normalise(bool sign, int32_t exp, u128 sig)
{
    if (sig == 0)
        return (struct wide){0};
    uint64_t hi = (uint64_t)(sig >> 64);
    int shift = hi ? __builtin_clzll(hi) : 64 + __builtin_clzll((uint64_t)sig);
    return (struct wide){sign, exp - shift, sig << shift};
}

static struct wide from_fixed(bool sign, u128 v)
{
    return normalise(sign, 1, v);
}

/* |v| < 4 as fixed point. */
static u128 to_fixed(const struct wide *v)
{
    int32_t shift = 1 - v->exp;
    return shift > 127 ? 0 : v->sig >> shift;
}

static struct wide from_num(const struct sf_num *n)
{
    return (struct wide){n->sign, n->exp, n->cls == SF_NORMAL ? (u128)n->hi << 64 : 0};
}

/* An inexact result; the last bit is sticky. */
static struct sf_num to_num(const struct wide *v)
{
    if (v->sig == 0)
        return (struct sf_num){.cls = SF_ZERO, .sign = v->sign};
    return (struct sf_num){.cls = SF_NORMAL,
                           .sign = v->sign,
                           .exp = v->exp,
                           .hi = (uint64_t)(v->sig >> 64),
                           .lo = (uint64_t)v->sig | 1};
}

static struct wide wide_mul(const struct wide *a, const struct wide *b)
{
    return normalise(a->sign != b->sign, a->exp + b->exp + 1, mul_high(a->sig, b->sig));
}

static struct wide wide_add(const struct wide *a, const struct wide *b)
{
    if (a->sig == 0)
        return *b;
    if (b->sig == 0)
        return *a;
    if (a->exp < b->exp || (a->exp == b->exp && a->sig < b->sig)) {
        const struct wide *t = a;
        a = b;
        b = t;
    }
    int32_t distance = a->exp - b->exp;
    u128 x = a->sig >> 1, y = distance > 126 ? 0 : b->sig >> 1 >> distance;
    return normalise(a->sign, a->exp + 1, a->sign == b->sign ? x + y : x - y);
}

static struct wide wide_div(const struct wide *a, const struct wide *b)
{
    u128 q = 0, rest = a->sig >> 1, divisor = b->sig >> 1;
    for (int k = 0; k < 127; k++) {
        q <<= 1;
        if (rest >= divisor) {
            rest -= divisor;
            q |= 1;
        }
        rest <<= 1;
    }
    /* The first digit of q has weight 1 and stands at bit 126. */
    return normalise(a->sign != b->sign, a->exp - b->exp + 1, q);
}

/* 1 +- t / d(1) (1 +- t / d(2) (...)): exp(t) - 1 over t, sin over its argument, cos of sqrt(t). */
enum series { SERIES_EXPM1, SERIES_SIN, SERIES_COS };

static u128 nested(enum series kind, u128 t, bool minus)
{
    u128 h = ONE;
    for (unsigned k = kind == SERIES_EXPM1 ? 32 : 18; k > 0; k--) {
        unsigned d = kind == SERIES_EXPM1 ? k + 1
                     : kind == SERIES_SIN ? 2 * k * (2 * k + 1)
                                          : (2 * k - 1) * 2 * k;
        u128 term = fixed_mul(t, h) / d;
        h = minus ? ONE - term : ONE + term;
    }
    return h == ONE && minus ? ONE - 1 : h; /* never reached from below: directed rounding */
}

/* 1 + s t / 3 + t^2 / 5 + ...: atanh(z) / z for t = z^2, atan with alternating signs. */
static u128 odd_series(u128 t, bool alternating)
{
    u128 h = 0;
    for (unsigned k = 28; k-- > 0;) {
        u128 term = fixed_mul(t, h);
        h = alternating ? ONE / (2 * k + 1) - term : ONE / (2 * k + 1) + term;
    }
    return h == ONE && alternating ? ONE - 1 : h;
}

static struct wide wide_fixed_mul(const struct wide *a, u128 fixed)
{
    struct wide f = from_fixed(false, fixed);
    return wide_mul(a, &f);
}

/* 2^x - 1 for |x| <= 1. */
static struct wide exp2_minus_1(const struct wide *x)
{
    struct wide y = wide_mul(x, &WIDE_LN2);
    return wide_fixed_mul(&y, nested(SERIES_EXPM1, to_fixed(&y), y.sign));
}

/* log2 of (1 + z) / (1 - z), |z| < 0.18. */
static struct wide log2_ratio(const struct wide *z)
{
    u128 f = to_fixed(z);
    struct wide r = wide_mul(z, &WIDE_TWO_LOG2E);
    return wide_fixed_mul(&r, odd_series(fixed_mul(f, f), false));
}

static const struct wide WIDE_ONE = {false, 0, (u128)1 << 127};
static const struct wide WIDE_TWO = {false, 1, (u128)1 << 127};
static const struct wide WIDE_MINUS_ONE = {true, 0, (u128)1 << 127};

static struct wide from_small(int32_t v)
{
    struct sf_num n = sf_from_int(v);
    return from_num(&n);
}

/* log2(x) for x > 0: x = 2^e m with m between sqrt(1/2) and sqrt(2). */
static struct wide log2_wide(const struct wide *x)
{
    struct wide m = *x;
    int32_t e = x->exp;
    if (m.sig >> 64 >= UINT64_C(0xb504f333f9de6484)) {
        m.exp = -1;
        e++;
    } else {
        m.exp = 0;
    }
    struct wide above = wide_add(&m, &WIDE_MINUS_ONE), below = wide_add(&m, &WIDE_ONE);
    struct wide r = from_small(e);
    if (above.sig) {
        struct wide z = wide_div(&above, &below), part = log2_ratio(&z);
        r = wide_add(&r, &part);
    }
    return r;
}

/* atan of 0 <= t <= 1. */
static struct wide atan_unit(const struct wide *t)
{
    unsigned k = (unsigned)((to_fixed(t) + ((u128)1 << 122)) >> 123); /* nearest eighth */
    struct wide r = *t;
    if (k) {
        struct wide c = from_small((int32_t)k), minus;
        c.exp -= 3;
        minus = c;
        minus.sign = true;
        struct wide above = wide_add(t, &minus), product = wide_mul(t, &c);
        struct wide below = wide_add(&WIDE_ONE, &product);
        r = above.sig ? wide_div(&above, &below) : (struct wide){0};
    }
    u128 f = to_fixed(&r);
    r = wide_fixed_mul(&r, odd_series(fixed_mul(f, f), true));
    struct wide base = from_fixed(false, (u128)ATAN_EIGHTHS[k][0] << 64 | ATAN_EIGHTHS[k][1]);
    return wide_add(&base, &r);
}

/* Sine and cosine of a fixed-point angle up to pi/4, given as floating point too. */
static void sin_cos(const struct wide *r, struct wide *ret_sin, struct wide *ret_cos)
{
    u128 f = to_fixed(r), t = fixed_mul(f, f);
    *ret_sin = wide_fixed_mul(r, nested(SERIES_SIN, t, true));
    *ret_cos = from_fixed(false, nested(SERIES_COS, t, true));
}

/* The processors' pi / 2 in units of 2^-65: 66 bits. */
#define HALF_PI ((u128)0x3 << 64 | UINT64_C(0x243f6a8885a308d3))

/* Sine and cosine of |x| < 2^63, x not zero. */
static void sin_cos_reduced(const struct sf_num *x, struct wide *ret_sin, struct wide *ret_cos)
{
    unsigned quadrant = 0;
    struct wide r = from_num(x);
    bool swap = false;
    r.sign = false;
    if (x->exp >= -1) {
        u128 units = (u128)x->hi << (x->exp + 2);
        u128 rest = units % HALF_PI;
        quadrant = (unsigned)(units / HALF_PI) & 3;
        swap = rest > HALF_PI / 2;
        if (swap)
            rest = HALF_PI - rest;
        r = normalise(false, 127 - 65, rest);
    }
    sin_cos(&r, ret_sin, ret_cos);
    if (swap != (bool)(quadrant & 1)) {
        struct wide t = *ret_sin;
        *ret_sin = *ret_cos;
        *ret_cos = t;
    }
    ret_sin->sign = (quadrant >= 2) != x->sign;
    ret_cos->sign = quadrant == 1 || quadrant == 2;
}

/* Instructions. */

enum x86_result x86_op_f2xm1(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    x87_record(c, i);
    struct x86_fpu *f = &c->fpu;
    if (x87_empty(f, 0)) {
        if (x87_stack_fault(c, false))
            x87_set(f, 0, X87_INDEFINITE);
        return X86_NEXT;
    }
    struct sf_env env = x87_env_extended(c);
    struct sf_num x = sf_from80(*x87_st(f, 0)), r = x;
    sf_operand(&env, &r);
    if (x.cls == SF_INF && x.sign) {
        r = sf_from_int(-1);
    } else if (x.cls == SF_NORMAL && (x.exp < 0 || (x.exp == 0 && x.hi << 1 == 0))) {
        struct wide w = from_num(&x);
        w = exp2_minus_1(&w);
        r = to_num(&w);
        if (x.exp == 0) { /* the result is exact; PE is set nevertheless */
            r = sf_from_int(1);
            r.sign = x.sign;
            r.exp = x.sign ? -1 : 0;
            env.flags |= SF_PE;
        }
    } else if (x.cls == SF_NORMAL) {
        env.flags |= SF_PE; /* out of range, the result is undefined: unchanged */
    }
    struct x86_f80 v = sf_to80(&env, &r);
    if (x87_finish(c, &env))
        x87_set(f, 0, v);
    return X86_NEXT;
}

/* Instructions that replace ST(1) by fn(ST(1), ST(0)) and pop. */
typedef struct sf_num popping_fn(struct sf_env *env, const struct sf_num *y,
                                 const struct sf_num *x);

static enum x86_result popping(struct x86_cpu *c, const struct x86_insn *i, popping_fn *fn)
{
    X87_ENTER(c);
    x87_record(c, i);
    struct x86_fpu *f = &c->fpu;
    if (x87_empty(f, 0) || x87_empty(f, 1)) {
        if (!x87_stack_fault(c, false))
            return X86_NEXT;
        x87_set(f, 1, X87_INDEFINITE);
    } else {
        struct sf_env env = x87_env_extended(c);
        struct sf_num y = sf_from80(*x87_st(f, 1)), x = sf_from80(*x87_st(f, 0)), r;
        if (!sf_nan_result(&env, &x, &y, &r))
            r = fn(&env, &y, &x);
        struct x86_f80 v = sf_to80(&env, &r);
        if (!x87_finish(c, &env))
            return X86_NEXT;
        x87_set(f, 1, v);
    }
    x87_pop(f);
    return X86_NEXT;
}

static void note_denormals(struct sf_env *env, const struct sf_num *a, const struct sf_num *b)
{
    if (a->denormal || b->denormal)
        env->flags |= SF_DE;
}

static struct sf_num special(enum sf_class cls, bool sign)
{
    return (struct sf_num){.cls = (uint8_t)cls, .sign = sign, .hi = UINT64_C(1) << 63};
}

/* y times a logarithm that is zero, infinite or a number of known sign. */
static struct sf_num times_log(struct sf_env *env, const struct sf_num *y, enum sf_class log,
                               bool log_sign)
{
    if ((y->cls == SF_INF && log == SF_ZERO) || (y->cls == SF_ZERO && log == SF_INF))
        return sf_invalid(env);
    enum sf_class cls = y->cls == SF_INF || log == SF_INF ? SF_INF : SF_ZERO;
    return special(cls, y->sign != log_sign);
}

static struct sf_num y_log2_x(struct sf_env *env, const struct sf_num *y, const struct sf_num *x)
{
    if (x->sign && x->cls != SF_ZERO)
        return sf_invalid(env);
    if (x->cls == SF_ZERO && y->cls == SF_NORMAL) {
        env->flags |= SF_ZE;
        return special(SF_INF, !y->sign);
    }
    bool one = x->cls == SF_NORMAL && x->exp == 0 && x->hi << 1 == 0;
    enum sf_class log = x->cls != SF_NORMAL ? SF_INF : one ? SF_ZERO : SF_NORMAL;
    bool log_sign = x->cls == SF_ZERO || (x->cls == SF_NORMAL && x->exp < 0);
    struct sf_num r;
    if (log != SF_NORMAL || y->cls != SF_NORMAL) {
        r = times_log(env, y, log, log_sign);
        if (!(env->flags & SF_IE))
            note_denormals(env, x, y);
        return r;
    }
    note_denormals(env, x, y);
    struct wide wy = from_num(y), wx = from_num(x);
    wx = log2_wide(&wx);
    wx = wide_mul(&wx, &wy);
    r = to_num(&wx);
    if (x->hi << 1 == 0) { /* a power of two; PE is set even when the product is exact */
        struct sf_num e = sf_from_int(x->exp);
        r = sf_mul(env, &e, y);
        env->flags |= r.exp < -16382 ? SF_PE | SF_UE : SF_PE;
    }
    return r;
}

static struct sf_num y_log2_x_plus_1(struct sf_env *env, const struct sf_num *y,
                                     const struct sf_num *x)
{
    if (x->sign && x->cls == SF_NORMAL && x->exp >= 0 &&
        y->cls == SF_NORMAL) { /* out of range, undefined */
        note_denormals(env, x, y);
        env->flags |= SF_PE;
        return *x;
    }
    if (x->sign && x->cls == SF_INF)
        return sf_invalid(env);
    if (x->cls != SF_NORMAL || y->cls != SF_NORMAL) {
        struct sf_num r = times_log(env, y, x->cls, x->sign);
        if (!(env->flags & SF_IE))
            note_denormals(env, x, y);
        return r;
    }
    note_denormals(env, x, y);
    struct wide wy = from_num(y), wx = from_num(x), r;
    if (x->exp < -2) {
        struct wide below = wide_add(&wx, &WIDE_TWO), z = wide_div(&wx, &below);
        r = log2_ratio(&z);
    } else {
        struct wide sum = wide_add(&wx, &WIDE_ONE);
        r = log2_wide(&sum);
    }
    r = wide_mul(&r, &wy);
    return to_num(&r);
}

/* Angle of the point (x, y) where one of the coordinates is zero or infinite; in eighths of a turn.
 */
static struct sf_num axis_angle(const struct sf_num *y, const struct sf_num *x)
{
    unsigned eighths;
    if (y->cls == SF_ZERO)
        eighths = x->sign ? 4 : 0;
    else if (y->cls == SF_INF)
        eighths = x->cls == SF_INF ? (x->sign ? 3 : 1) : 2;
    else if (x->cls == SF_INF)
        eighths = x->sign ? 4 : 0;
    else
        eighths = 2;
    if (eighths == 0)
        return special(SF_ZERO, y->sign);
    struct wide a = from_small((int32_t)eighths);
    a.exp -= 2;
    a = wide_mul(&a, &WIDE_PI);
    a.sign = y->sign;
    return to_num(&a);
}

static struct sf_num arc_tangent(struct sf_env *env, const struct sf_num *y, const struct sf_num *x)
{
    note_denormals(env, x, y);
    if (x->cls != SF_NORMAL || y->cls != SF_NORMAL)
        return axis_angle(y, x);
    struct wide wy = from_num(y), wx = from_num(x), r;
    wx.sign = wy.sign = false;
    bool steep = wy.exp > wx.exp || (wy.exp == wx.exp && wy.sig > wx.sig);
    struct wide t = steep ? wide_div(&wx, &wy) : wide_div(&wy, &wx);
    r = atan_unit(&t);
    if (steep) {
        struct wide half = WIDE_PI;
        half.exp--;
        r.sign = true;
        r = wide_add(&half, &r);
    }
    if (x->sign) {
        r.sign = true;
        r = wide_add(&WIDE_PI, &r);
    }
    r.sign = y->sign;
    return to_num(&r);
}
X87_HANDLER(fyl2x, popping(c, i, y_log2_x))
X87_HANDLER(fyl2xp1, popping(c, i, y_log2_x_plus_1))
X87_HANDLER(fpatan, popping(c, i, arc_tangent))

/* FSIN, FCOS, FSINCOS, FPTAN: the first result replaces ST(0), the second is pushed. */
enum trig { TRIG_SIN, TRIG_COS, TRIG_SINCOS, TRIG_TAN };

static void trig_values(enum trig kind, const struct sf_num *x, struct sf_num *ret_first,
                        struct sf_num *ret_second)
{
    const struct sf_num one = sf_from_int(1);
    if (x->cls != SF_NORMAL) {
        *ret_first = kind == TRIG_COS && x->cls == SF_ZERO ? one : *x;
        *ret_second = x->cls == SF_ZERO ? one : *x;
        return;
    }
    struct wide s, k;
    sin_cos_reduced(x, &s, &k);
    *ret_second = kind == TRIG_TAN ? one : to_num(&k);
    if (kind == TRIG_TAN)
        s = wide_div(&s, &k);
    *ret_first = kind == TRIG_COS ? to_num(&k) : to_num(&s);
}

static enum x86_result trig(struct x86_cpu *c, const struct x86_insn *i, enum trig kind)
{
    X87_ENTER(c);
    x87_record(c, i);
    struct x86_fpu *f = &c->fpu;
    bool pushes = kind == TRIG_SINCOS || kind == TRIG_TAN, empty = x87_empty(f, 0);
    x87_set_cc(c, X87_C2, 0);
    if (empty || (pushes && !x87_empty(f, 7))) {
        if (x87_stack_fault(c, !empty)) {
            x87_set(f, 0, X87_INDEFINITE);
            if (pushes)
                x87_push(f, X87_INDEFINITE);
        }
        return X86_NEXT;
    }
    struct sf_env env = x87_env_extended(c);
    struct sf_num x = sf_from80(*x87_st(f, 0)), first, second;
    if (x.cls == SF_NORMAL && x.exp >= 63) { /* the caller is to reduce the argument */
        x87_set_cc(c, X87_C1 | X87_C2, X87_C2);
        return X86_NEXT;
    }
    if (x.cls == SF_INF)
        x = sf_invalid(&env);
    else
        sf_operand(&env, &x);
    trig_values(kind, &x, &first, &second);
    struct x86_f80 b = pushes ? sf_to80(&env, &second) : (struct x86_f80){0, 0};
    struct x86_f80 a = sf_to80(&env, &first);
    if (!x87_finish(c, &env))
        return X86_NEXT;
    x87_set(f, 0, a);
    if (pushes)
        x87_push(f, b);
    return X86_NEXT;
}
X87_HANDLER(fsin, trig(c, i, TRIG_SIN))
X87_HANDLER(fcos, trig(c, i, TRIG_COS))
X87_HANDLER(fsincos, trig(c, i, TRIG_SINCOS))
X87_HANDLER(fptan, trig(c, i, TRIG_TAN))
