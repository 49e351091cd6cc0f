/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floating point in integer arithmetic, with x86's rules: 32, 64 and 80-bit formats, four rounding
 * modes, precision control, denormals-are-zero, flush-to-zero, tininess after rounding, and the two
 * NaN rules (SSE: first operand; x87: larger significand).
 *
 * Values are unpacked into struct sf_num, computed with 128 bits of significand (the last one
 * sticky) and rounded once when they are packed. Nothing here depends on the host's floating point.
 */
#ifndef CPU_X86_SOFTFLOAT_H
#define CPU_X86_SOFTFLOAT_H

#include "cpu/x86/cpu.h"

/* Exception flags: the bits of MXCSR and of the x87 status word. */
enum {
    SF_IE = 1 << 0,
    SF_DE = 1 << 1,
    SF_ZE = 1 << 2,
    SF_OE = 1 << 3,
    SF_UE = 1 << 4,
    SF_PE = 1 << 5,
    SF_PRE = SF_IE | SF_DE | SF_ZE, /* found before anything is computed */
};

/* Rounding control, as encoded in MXCSR.RC and CW.RC. */
enum { SF_NEAREST, SF_DOWN, SF_UP, SF_TRUNCATE };

struct sf_env {
    uint8_t rounding;
    uint8_t precision; /* significand bits of 80-bit results: 24, 53 or 64 */
    uint8_t masked;    /* SF_* that are masked */
    uint8_t flags;     /* SF_*, accumulated */
    bool daz, ftz;     /* MXCSR's; false for x87 */
    bool x87;          /* x87's NaN rule and responses to unmasked overflow and underflow */
    bool up;           /* the last rounding increased the magnitude (x87's C1) */
};

enum sf_class {
    SF_ZERO,
    SF_NORMAL,
    SF_INF,
    SF_QNAN,
    SF_SNAN,
    SF_BAD, /* 80-bit encodings that the 387 and later do not support */
};

/*
 * SF_NORMAL: (-1)^sign * hi.lo * 2^exp with bit 63 of hi set, hi.lo in [1, 2). NaN: the payload in
 * hi as the 80-bit format has it. Operands have lo = 0; results end in a sticky bit.
 */
struct sf_num {
    uint8_t cls; /* enum sf_class */
    bool sign;
    bool denormal; /* the operand was one (pseudo-denormals too) */
    int32_t exp;
    uint64_t hi, lo;
};

/* Unpacking raises nothing; denormals become zeros if DAZ says so. */
/* Half precision; DAZ does not apply. */
struct sf_num sf_from16(uint16_t v);
struct sf_num sf_from32(const struct sf_env *env, uint32_t v);
struct sf_num sf_from64(const struct sf_env *env, uint64_t v);
struct sf_num sf_from80(struct x86_f80 v);
struct sf_num sf_from_int(int64_t v);

/* Rounding and packing raise OE, UE, PE. NaNs come out quiet, without raising. */
uint16_t sf_to16(struct sf_env *env, const struct sf_num *n);
uint32_t sf_to32(struct sf_env *env, const struct sf_num *n);
uint64_t sf_to64(struct sf_env *env, const struct sf_num *n);
struct x86_f80 sf_to80(struct sf_env *env, const struct sf_num *n);
/* To a signed integer of @bits (16, 32, 64); out of range and NaN: IE and the most negative one. */
int64_t sf_to_int(struct sf_env *env, const struct sf_num *n, unsigned bits, unsigned rounding);

struct sf_num sf_add(struct sf_env *env, const struct sf_num *a, const struct sf_num *b);
struct sf_num sf_sub(struct sf_env *env, const struct sf_num *a, const struct sf_num *b);
struct sf_num sf_mul(struct sf_env *env, const struct sf_num *a, const struct sf_num *b);
struct sf_num sf_div(struct sf_env *env, const struct sf_num *a, const struct sf_num *b);
/* a * b + c, rounded once. Operands have at most 53 significant bits. */
struct sf_num sf_fma(struct sf_env *env, const struct sf_num *a, const struct sf_num *b,
                     const struct sf_num *c);
struct sf_num sf_sqrt(struct sf_env *env, const struct sf_num *a);
/* To an integral value; PE when that changed it. */
struct sf_num sf_round(struct sf_env *env, const struct sf_num *a, unsigned rounding);
/* One operand through a format conversion: IE for a signalling NaN, DE for a denormal. */
void sf_operand(struct sf_env *env, struct sf_num *a);

enum sf_relation { SF_LESS, SF_EQUAL, SF_GREATER, SF_UNORDERED };
/* IE for signalling NaNs, and for all NaNs unless @quiet. */
enum sf_relation sf_compare(struct sf_env *env, const struct sf_num *a, const struct sf_num *b,
                            bool quiet);

/* The default NaN of invalid operations. */
struct sf_num sf_indefinite(void);
/* IE and the default NaN. */
struct sf_num sf_invalid(struct sf_env *env);
/* True when @a or @b is a NaN or unsupported: *ret is the result and IE has been raised if due. */
bool sf_nan_result(struct sf_env *env, const struct sf_num *a, const struct sf_num *b,
                   struct sf_num *ret);

static inline bool sf_is_nan(const struct sf_num *n)
{
    return n->cls >= SF_QNAN;
}

#endif
