/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs on the translator, held to the interpreter: registers, flags, memory and the number of
 * instructions, wherever a budget interrupts them. One instruction at a time is host_diff's matter
 * (tests/oracle), whole guests are lockstep's (tests/machine).
 */
#include "rig.h"

#include <string.h>

#include "cpu/jit/jit.h"

enum { DATA = 0x200000, DATA_BYTES = 0x3000 };

static void compare(struct rig *a, struct rig *b)
{
    uint8_t x[DATA_BYTES], y[DATA_BYTES];

    for (unsigned n = 0; n < 16; n++)
        assert_int_equal(a->c->gpr[n], b->c->gpr[n]);
    assert_memory_equal(a->c->xmm, b->c->xmm, sizeof(a->c->xmm));
    assert_int_equal(a->c->rip, b->c->rip);
    assert_int_equal(x86_flags_get(a->c), x86_flags_get(b->c));
    assert_int_equal(a->c->insn_count, b->c->insn_count);
    assert_int_equal(a->c->mxcsr, b->c->mxcsr);
    assert_int_equal(gmem_read(a->ram, DATA, x, sizeof(x)), 0);
    assert_int_equal(gmem_read(b->ram, DATA, y, sizeof(y)), 0);
    assert_memory_equal(x, y, sizeof(x));
}

/* Runs the program on both engines, to its HLT, in slices of @slice instructions. */
static void both(const uint8_t *start, const uint8_t *end, uint64_t slice, bool translated)
{
    struct rig a, b;
    struct error err = {0};
    enum x86_exit x = X86_EXIT_BUDGET, y = X86_EXIT_BUDGET;
    unsigned turns = 0;

    rig_new(&a);
    rig_new(&b);
    rig_long(&a);
    rig_long(&b);
    rig_put(&a, RIG_CODE_AT, start, (size_t)(end - start));
    rig_put(&b, RIG_CODE_AT, start, (size_t)(end - start));
    a.c->cr4 |= X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
    b.c->cr4 = a.c->cr4;
    assert_int_equal(x86_jit_create(b.vm, &err), 0);
    while (x == X86_EXIT_BUDGET && turns++ < 100000) {
        x = x86_interp_run(a.c, slice);
        y = x86_jit_run(b.c, slice);
        assert_int_equal(x, y);
        compare(&a, &b);
    }
    assert_int_equal(x, X86_EXIT_HALT);
    if (translated)
        assert_true(x86_jit_stats(b.vm).blocks > 0);
    x86_jit_destroy(b.vm);
    rig_free(&a);
    rig_free(&b);
}

static void slices(const uint8_t *start, const uint8_t *end)
{
    static const uint64_t some[] = {1000000, 1, 7, 48, 49, 50, 64, 131, 1009};

    for (unsigned i = 0; i < array_size(some); i++)
        both(start, end, some[i], some[i] > 64);
}

RIG_CODE(j_sort, 64,
         "mov $0x200000, %edi\n mov $12345, %eax\n xor %ecx, %ecx\n"
         "0: imul $1103515245, %rax, %rax\n add $12345, %rax\n mov %rax, (%rdi,%rcx,8)\n"
         "inc %ecx\n cmp $64, %ecx\n jne 0b\n mov $1, %ecx\n"
         "1: mov (%rdi,%rcx,8), %rax\n mov %rcx, %rdx\n"
         "2: test %rdx, %rdx\n jz 3f\n mov -8(%rdi,%rdx,8), %rbx\n cmp %rax, %rbx\n jle 3f\n"
         "mov %rbx, (%rdi,%rdx,8)\n dec %rdx\n jmp 2b\n"
         "3: mov %rax, (%rdi,%rdx,8)\n inc %rcx\n cmp $64, %rcx\n jne 1b\n hlt");
static void test_sort(void **state)
{
    slices(j_sort_start, j_sort_end);
}

/* Registers with homes in memory, the guest's stack, calls in both ways, flags over checks. */
RIG_CODE(
    j_calls, 64,
    "mov $0x202000, %esp\n mov $30, %r10d\n mov $1, %r11\n mov $3, %r14\n lea 4f(%rip), %r15\n"
    "1: push %r10\n push $-5\n call 3f\n pop %rax\n add %rax, %r14\n pop %r10\n"
    "cmp $20, %r10\n mov 0x200000, %rbx\n adc %rbx, %r14\n setb %r11b\n pushf\n pop %rdx\n"
    "xor %rdx, 0x200008\n call *%r15\n dec %r10\n jnz 1b\n"
    "mov $2, %eax\n mov %ah, %bh\n add %bh, %al\n xchg %r14, %r11\n bswap %r14\n hlt\n"
    "3: push %rbp\n mov %rsp, %rbp\n sub $32, %rsp\n mov 16(%rbp), %r8\n mov %r8, -8(%rbp)\n"
    "rolq $3, -8(%rbp)\n mov -8(%rbp), %r14\n leave\n ret\n"
    "4: mov %r14, %rax\n cqo\n mov $7, %ecx\n idiv %rcx\n mov %rdx, %r11\n imul %r11, %r14\n"
    "cmp %rcx, %r11\n cmovg %r14, %rax\n lock xadd %rax, 0x200010\n bt $3, %r14\n sbb %r9, %r9\n"
    "ret");
static void test_calls(void **state)
{
    slices(j_calls_start, j_calls_end);
}

/* Operands that cross pages, and stores that change what runs next, ahead and behind. */
RIG_CODE(j_edges, 64,
         "mov $0x200ffd, %edi\n mov $0x1122334455667788, %rax\n mov %rax, (%rdi)\n"
         "add %rax, (%rdi)\n rorq $8, (%rdi)\n mov (%rdi), %rbx\n movups (%rdi), %xmm3\n"
         "movups %xmm3, 1(%rdi)\n mov $5, %ecx\n"
         "1: movb %cl, 2f+1(%rip)\n 2: mov $0x11, %al\n add %al, 0x200000\n dec %ecx\n jnz 1b\n"
         "movb $0x42, 3f+1(%rip)\n nop\n 3: mov $0x11, %al\n movzbl %al, %ebx\n hlt");
static void test_edges(void **state)
{
    slices(j_edges_start, j_edges_end);
}

RIG_CODE(j_vectors, 64,
         "mov $0x200000, %edi\n mov $100, %ecx\n mov $3, %eax\n cvtsi2sd %eax, %xmm0\n"
         "movapd %xmm0, %xmm9\n"
         "1: mulsd %xmm0, %xmm9\n sqrtsd %xmm9, %xmm1\n movsd %xmm1, (%rdi,%rcx,8)\n"
         "addpd (%rdi), %xmm10\n ucomisd %xmm1, %xmm9\n adc $0, %r11\n cvttsd2si %xmm1, %r10\n"
         "fld1\n fstpl 8(%rdi)\n pxor %xmm10, %xmm3\n movmskpd %xmm3, %r14d\n pshufd $27, %xmm3, "
         "%xmm15\n"
         "loop 1b\n stmxcsr 0x201000\n hlt");
static void test_vectors(void **state)
{
    slices(j_vectors_start, j_vectors_end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_vectors),
    };
    struct error err = {0};

    if (x86_jit_probe(&err) < 0) {
        print_message("skipped: %s\n", error_text(&err));
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
