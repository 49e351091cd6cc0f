/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results and flags of integer arithmetic against the host processor, all operand sizes, register
 * and memory destination. Undefined flags are masked.
 */
#include <stdio.h>
#include <string.h>

#include "rig.h"

#if defined(__x86_64__)
static struct rig rig;

struct regs {
    uint64_t a, b, c, d, flags;
};

/* One host instruction with rax, rbx, rcx, rdx and flags from and to @r. */
#define HOST(text)                                                                                 \
    __asm__ volatile("pushq %4\n popfq\n" text "\n pushfq\n popq %4"                               \
                     : "+a"(r->a), "+b"(r->b), "+c"(r->c), "+d"(r->d), "+r"(r->flags)              \
                     :                                                                             \
                     : "cc", "memory")
#define CASES(X)                                                                                   \
    X(addb, "addb %%bl, %%al", ALL)                                                                \
    X(addw, "addw %%bx, %%ax", ALL)                                                                \
    X(addl, "addl %%ebx, %%eax", ALL)                                                              \
    X(addq, "addq %%rbx, %%rax", ALL)                                                              \
    X(adcb, "adcb %%bl, %%al", ALL)                                                                \
    X(adcl, "adcl %%ebx, %%eax", ALL)                                                              \
    X(adcq, "adcq %%rbx, %%rax", ALL)                                                              \
    X(sbbb, "sbbb %%bl, %%al", ALL)                                                                \
    X(sbbw, "sbbw %%bx, %%ax", ALL)                                                                \
    X(sbbq, "sbbq %%rbx, %%rax", ALL)                                                              \
    X(subb, "subb %%ah, %%bl", ALL)                                                                \
    X(subw, "subw %%bx, %%ax", ALL)                                                                \
    X(subl, "subl %%ebx, %%eax", ALL)                                                              \
    X(subq, "subq %%rbx, %%rax", ALL)                                                              \
    X(cmpq, "cmpq %%rbx, %%rax", ALL)                                                              \
    X(andq, "andq %%rbx, %%rax", NO_AF)                                                            \
    X(orb, "orb %%bh, %%al", NO_AF)                                                                \
    X(xorw, "xorw %%bx, %%ax", NO_AF)                                                              \
    X(testl, "testl %%ebx, %%eax", NO_AF)                                                          \
    X(incb, "incb %%al", ALL)                                                                      \
    X(incl, "incl %%eax", ALL)                                                                     \
    X(incq, "incq %%rax", ALL)                                                                     \
    X(decw, "decw %%ax", ALL)                                                                      \
    X(decq, "decq %%rax", ALL)                                                                     \
    X(negb, "negb %%al", ALL)                                                                      \
    X(negq, "negq %%rax", ALL)                                                                     \
    X(notl, "notl %%eax", ALL)                                                                     \
    X(shlb, "shlb %%cl, %%al", SHIFT)                                                              \
    X(shll, "shll %%cl, %%eax", SHIFT)                                                             \
    X(shlq, "shlq %%cl, %%rax", SHIFT)                                                             \
    X(shrw, "shrw %%cl, %%ax", SHIFT)                                                              \
    X(shrq, "shrq %%cl, %%rax", SHIFT)                                                             \
    X(sarb, "sarb %%cl, %%al", SHIFT)                                                              \
    X(sarq, "sarq %%cl, %%rax", SHIFT)                                                             \
    X(shl1, "shll $1, %%eax", NO_AF)                                                               \
    X(shr1, "shrb $1, %%al", NO_AF)                                                                \
    X(sar1, "sarw $1, %%ax", NO_AF)                                                                \
    X(rolb, "rolb %%cl, %%al", ROTATE)                                                             \
    X(rolq, "rolq %%cl, %%rax", ROTATE)                                                            \
    X(rorw, "rorw %%cl, %%ax", ROTATE)                                                             \
    X(rorl, "rorl %%cl, %%eax", ROTATE)                                                            \
    X(rclb, "rclb %%cl, %%al", ROTATE)                                                             \
    X(rclw, "rclw %%cl, %%ax", ROTATE)                                                             \
    X(rcll, "rcll %%cl, %%eax", ROTATE)                                                            \
    X(rclq, "rclq %%cl, %%rax", ROTATE)                                                            \
    X(rcrb, "rcrb %%cl, %%al", ROTATE)                                                             \
    X(rcrw, "rcrw %%cl, %%ax", ROTATE)                                                             \
    X(rcrq, "rcrq %%cl, %%rax", ROTATE)                                                            \
    X(rol1, "rolw $1, %%ax", ALL)                                                                  \
    X(rcr1, "rcrl $1, %%eax", ALL)                                                                 \
    X(shldl, "shldl %%cl, %%ebx, %%eax", SHIFT)                                                    \
    X(shldq, "shldq %%cl, %%rbx, %%rax", SHIFT)                                                    \
    X(shrdq, "shrdq %%cl, %%rbx, %%rax", SHIFT)                                                    \
    X(shrdl, "shrdl $7, %%ebx, %%eax", SHIFT)                                                      \
    X(mulb, "mulb %%bl", CF_OF)                                                                    \
    X(mulw, "mulw %%bx", CF_OF)                                                                    \
    X(mull, "mull %%ebx", CF_OF)                                                                   \
    X(mulq, "mulq %%rbx", CF_OF)                                                                   \
    X(imulb, "imulb %%bl", CF_OF)                                                                  \
    X(imulw, "imulw %%bx", CF_OF)                                                                  \
    X(imulq, "imulq %%rbx", CF_OF)                                                                 \
    X(imul2, "imull %%ebx, %%eax", CF_OF)                                                          \
    X(imul3, "imulq $-1234567, %%rbx, %%rax", CF_OF)                                               \
    X(btl, "btl %%ebx, %%eax", X86_CF)                                                             \
    X(btcq, "btcq %%rbx, %%rax", X86_CF)                                                           \
    X(btsw, "btsw $9, %%ax", X86_CF)                                                               \
    X(btrq, "btrq $40, %%rax", X86_CF)                                                             \
    X(bsf, "bsfq %%rbx, %%rax", X86_ZF)                                                            \
    X(bsr, "bsrl %%ebx, %%eax", X86_ZF)                                                            \
    X(xaddl, "xaddl %%ebx, %%eax", ALL)                                                            \
    X(cmpxchgq, "cmpxchgq %%rbx, %%rcx", ALL)                                                      \
    X(cmpxchgb, "cmpxchgb %%bl, %%cl", ALL)                                                        \
    X(bswapl, "bswapl %%eax", ALL)                                                                 \
    X(bswapq, "bswapq %%rax", ALL)                                                                 \
    X(cbw, "cbtw", ALL)                                                                            \
    X(cdqe, "cltq", ALL)                                                                           \
    X(cqo, "cqto", ALL)                                                                            \
    X(lahf, "lahf", ALL)                                                                           \
    X(sahf, "sahf", ALL)                                                                           \
    X(cmovl, "cmovll %%ebx, %%eax", ALL)                                                           \
    X(cmovbe, "cmovbeq %%rbx, %%rax", ALL)                                                         \
    X(cmovp, "cmovpq %%rbx, %%rax", ALL)                                                           \
    X(setle, "setle %%ah", ALL)                                                                    \
    X(setno, "setno %%al", ALL)

enum {
    ALL = X86_ARITH,
    NO_AF = X86_ARITH & ~X86_AF,
    SHIFT = 0x10000,  /* OF for a count of 1 only, AF for 0 */
    ROTATE = 0x20000, /* OF for a count of 1 only */
    CF_OF = X86_CF | X86_OF,
};

#define HOST_FN(name, text, mask)                                                                  \
    static void host_##name(struct regs *r)                                                        \
    {                                                                                              \
        HOST(text);                                                                                \
    }
CASES(HOST_FN)

/* The same texts as guest code: single per cent signs. */
#define GUEST(name, text, mask)                                                                    \
    __attribute__((used, naked)) static void guest_##name(void)                                    \
    {                                                                                              \
        __asm__ volatile(text "\n hlt\n" ::);                                                      \
    }
CASES(GUEST)

struct one {
    const char *name;
    void (*host)(struct regs *r);
    void (*guest)(void);
    unsigned mask;
};
#define ENTRY(name, text, mask) {#name, host_##name, guest_##name, mask},
static const struct one cases[] = {CASES(ENTRY)};

static uint64_t random_next(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

/* Random, or near a place where carries and signs change. */
static uint64_t operand(uint64_t *s)
{
    static const uint64_t edges[] = {0,         1,          0x7f,       0x80,       0xff,
                                     0x7fff,    0x8000,     0x7fffffff, 0x80000000, 0xffffffff,
                                     INT64_MAX, 1ull << 63, UINT64_MAX};
    uint64_t v = random_next(s);

    return v & 1 ? v >> (v >> 1 & 31) : edges[(v >> 8) % 13] + (v >> 20) % 3 - 1;
}

static void run_guest(const struct one *k, struct regs *r)
{
    struct x86_cpu *c = rig.c;

    c->gpr[X86_RAX] = r->a;
    c->gpr[X86_RBX] = r->b;
    c->gpr[X86_RCX] = r->c;
    c->gpr[X86_RDX] = r->d;
    x86_flags_set(c, r->flags, X86_ARITH);
    c->rip = RIG_CODE_AT;
    c->activity = X86_ACTIVE;
    rig_run(&rig);
    *r = (struct regs){c->gpr[X86_RAX], c->gpr[X86_RBX], c->gpr[X86_RCX], c->gpr[X86_RDX],
                       x86_flags_get(c)};
}

static unsigned mask_of(const struct one *k, uint64_t count)
{
    bool quad = k->name[strlen(k->name) - 1] == 'q';

    if (!(k->mask & (SHIFT | ROTATE)))
        return k->mask;
    count = strcmp(k->name, "shrdl") == 0 ? 7 : count & (quad ? 63 : 31);
    if (count == 0)
        return X86_ARITH;
    return (X86_ARITH & ~(k->mask & SHIFT ? X86_AF : 0)) & ~(count == 1 ? 0 : X86_OF);
}

static void test_against_host(void **state)
{
    uint64_t s = 0x1234567887654321;
    unsigned bad = 0;

    rig_new(&rig);
    rig_long(&rig);
    for (unsigned n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
        const struct one *k = &cases[n];
        rig_put(&rig, RIG_CODE_AT, (const void *)(uintptr_t)k->guest, 24);
        for (unsigned m = 0; m < 2000; m++) {
            struct regs in = {operand(&s), operand(&s), operand(&s), operand(&s),
                              (random_next(&s) & X86_ARITH) | 0x202};
            struct regs h = in, g = in;
            unsigned mask = mask_of(k, in.c);
            k->host(&h);
            run_guest(k, &g);
            /* Shifts by more than the operand's bits leave CF undefined (vol. 2, SAL/SHR). */
            if ((k->mask & SHIFT) && (in.c & 31) > 8)
                mask &= ~(unsigned)X86_CF;
            if (h.a == g.a && h.b == g.b && h.c == g.c && h.d == g.d &&
                !((h.flags ^ g.flags) & mask))
                continue;
            if (bad++ < 10)
                print_message("%s a %lx b %lx c %lx flags %lx: host %lx %lx %lx %lx flags %lx, "
                              "guest %lx %lx %lx %lx flags %lx\n",
                              k->name, in.a, in.b, in.c, in.flags, h.a, h.b, h.c, h.d, h.flags, g.a,
                              g.b, g.c, g.d, g.flags);
        }
    }
    rig_free(&rig);
    assert_int_equal(bad, 0);
}
#endif

/* Any combination of flags can be set and read back. */
static void test_flags(void **state)
{
    static struct x86_cpu c;

    for (unsigned f = 0; f < 0x1000; f++) {
        if (f & ~(unsigned)X86_ARITH)
            continue;
        x86_flags_set(&c, f, X86_ARITH);
        assert_int_equal(x86_flags_get(&c) & X86_ARITH, f);
        for (unsigned bit = 1; bit < 0x1000; bit <<= 1) {
            if (!(bit & X86_ARITH))
                continue;
            x86_flags_set(&c, ~f, bit);
            assert_int_equal(x86_flags_get(&c) & X86_ARITH, f ^ bit);
            x86_flags_set(&c, f, bit);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags),
#if defined(__x86_64__)
        cmocka_unit_test(test_against_host),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
