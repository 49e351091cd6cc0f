/* SPDX-License-Identifier: Apache-2.0 */
/* Whole programs on the interpreter: modes, strings, faults, code that changes itself. */
#include "rig.h"

#include <string.h>

static struct rig rig;

static int setup(void **state)
{
    rig_new(&rig);
    return 0;
}

static int teardown(void **state)
{
    rig_free(&rig);
    return 0;
}

RIG_CODE(real_sum, 16,
         "xor %ax, %ax\n mov $100, %cx\n 1: add %cx, %ax\n loop 1b\n"
         "mov %ax, 0x9000\n push %ax\n pop %bx\n call 2f\n hlt\n 2: inc %bx\n ret");
static void test_real(void **state)
{
    rig_real(&rig);
    rig_code(&rig, RIG_CODE_AT, real_sum);
    rig_run(&rig);
    assert_int_equal(rig_get(&rig, 0x9000, 2), 5050);
    assert_int_equal(rig.c->gpr[X86_RBX] & 0xffff, 5051);
    assert_int_equal(rig.c->gpr[X86_RSP] & 0xffff, 0x8000);
    assert_int_equal(rig.c->rip, real_sum_end - real_sum_start - 2);
    /* 2 + 100 * 2 + 3 + call, inc, ret, hlt */
    assert_int_equal(rig.c->insn_count, 2 + 200 + 3 + 4);
}

RIG_CODE(prot_fib, 32,
         "mov $20, %ecx\n xor %eax, %eax\n mov $1, %edx\n"
         "1: lea (%eax,%edx), %ebx\n mov %edx, %eax\n mov %ebx, %edx\n dec %ecx\n jnz 1b\n"
         "mov %eax, 0x9000\n hlt");
static void test_protected(void **state)
{
    rig_protected(&rig);
    rig_code(&rig, RIG_CODE_AT, prot_fib);
    rig_run(&rig);
    assert_int_equal(rig_get(&rig, 0x9000, 4), 6765);
}

RIG_CODE(long_sort, 64,
         /* Insertion sort of 64 quadwords at 0x200000 */
         "mov $0x200000, %edi\n mov $1, %ecx\n"
         "1: mov (%rdi,%rcx,8), %rax\n mov %rcx, %rdx\n"
         "2: test %rdx, %rdx\n jz 3f\n mov -8(%rdi,%rdx,8), %rbx\n cmp %rax, %rbx\n jle 3f\n"
         "mov %rbx, (%rdi,%rdx,8)\n dec %rdx\n jmp 2b\n"
         "3: mov %rax, (%rdi,%rdx,8)\n inc %rcx\n cmp $64, %rcx\n jne 1b\n hlt");
static void test_long(void **state)
{
    uint64_t x = 88172645463325252ull, last;

    rig_long(&rig);
    rig_code(&rig, RIG_CODE_AT, long_sort);
    for (unsigned n = 0; n < 64; n++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        rig_put(&rig, 0x200000 + n * 8, &x, 8);
    }
    rig_run(&rig);
    last = rig_get(&rig, 0x200000, 8);
    for (unsigned n = 1; n < 64; n++) {
        uint64_t v = rig_get(&rig, 0x200000 + n * 8, 8);
        assert_true((int64_t)last <= (int64_t)v);
        last = v;
    }
}

/* The instruction behind the store, in the same block, is changed by it. */
RIG_CODE(smc_ahead, 64,
         "movb $0x42, 1f+1(%rip)\n nop\n 1: mov $0x11, %al\n movzbl %al, %ebx\n hlt");
static void test_self_modifying_ahead(void **state)
{
    rig_long(&rig);
    rig_code(&rig, RIG_CODE_AT, smc_ahead);
    rig_run(&rig);
    assert_int_equal(rig.c->gpr[X86_RBX], 0x42);
    assert_int_equal(rig.c->insn_count, 5);
}

/* A loop whose body is rewritten each time round; a counter beside the code in the same page. */
RIG_CODE(smc_loop, 64,
         "mov $200, %ecx\n xor %ebx, %ebx\n"
         "1: mov %cl, 2f+1(%rip)\n incl 3f(%rip)\n"
         "2: mov $0, %al\n movzbl %al, %eax\n add %eax, %ebx\n dec %ecx\n jnz 1b\n"
         "mov 3f(%rip), %edx\n hlt\n .balign 512\n 3: .long 0");
static void test_self_modifying_loop(void **state)
{
    rig_long(&rig);
    rig_code(&rig, RIG_CODE_AT, smc_loop);
    rig_run(&rig);
    assert_int_equal(rig.c->gpr[X86_RBX], 200 * 201 / 2);
    assert_int_equal(rig.c->gpr[X86_RDX], 200);
}

/* Writes by a device (gmem_write) between two runs. */
RIG_CODE(plain, 64, "mov $1, %ebx\n hlt");
static void test_device_writes_code(void **state)
{
    uint8_t two = 2;

    rig_long(&rig);
    rig_code(&rig, RIG_CODE_AT, plain);
    rig_run(&rig);
    assert_int_equal(rig.c->gpr[X86_RBX], 1);
    rig_put(&rig, RIG_CODE_AT + 1, &two, 1);
    rig.c->activity = X86_ACTIVE;
    rig.c->rip = RIG_CODE_AT;
    rig_run(&rig);
    assert_int_equal(rig.c->gpr[X86_RBX], 2);
}

/* An instruction that crosses a page, either half rewritten. */
RIG_CODE(crossing, 64, "movl $0x11223344, 0x9000\n hlt");
static void test_crossing(void **state)
{
    const unsigned at = 0x20000 - 8; /* the immediate's last three bytes are in the next page */
    uint8_t b = 0x55;

    for (unsigned half = 0; half < 3; half++) {
        rig_long(&rig);
        rig_code(&rig, at, crossing);
        if (half == 1)
            rig_put(&rig, at + 7, &b, 1);
        if (half == 2)
            rig_put(&rig, at + 10, &b, 1);
        rig.c->rip = at;
        rig_run(&rig);
        assert_int_equal(rig_get(&rig, 0x9000, 4), half == 0   ? 0x11223344
                                                   : half == 1 ? 0x11223355
                                                               : 0x55223344);
    }
}

RIG_CODE(strings, 64,
         "mov $0x200000, %edi\n mov $0x1122334455667788, %rax\n mov $1000, %ecx\n rep stosq\n"
         "mov $0x200000, %esi\n mov $0x300ffc, %edi\n mov $7777, %ecx\n rep movsb\n"
         "mov $0x200000, %esi\n mov $0x300ffc, %edi\n mov $7777, %ecx\n repe cmpsb\n setz 0x9000\n"
         "mov %ecx, 0x9008\n"
         /* overlapping: a byte repeats */
         "movb $0x5a, 0x400000\n mov $0x400000, %esi\n mov $0x400001, %edi\n mov $5000, %ecx\n"
         "rep movsb\n"
         /* backwards */
         "std\n mov $0x400fff, %esi\n mov $0x402fff, %edi\n mov $4096, %ecx\n rep movsb\n cld\n"
         "mov $0x402000, %edi\n mov $0x5b, %al\n mov $100, %ecx\n repne scasb\n mov %rdi, 0x9010\n"
         "hlt");
static void test_strings(void **state)
{
    rig_long(&rig);
    rig_code(&rig, RIG_CODE_AT, strings);
    rig_run(&rig);
    assert_int_equal(rig_get(&rig, 0x9000, 1), 1);
    assert_int_equal(rig_get(&rig, 0x9008, 4), 0);
    assert_int_equal(rig_get(&rig, 0x300ffc + 7776, 1), 0x88);
    assert_int_equal(rig_get(&rig, 0x300ffc + 7777, 1), 0);
    for (unsigned n = 0; n <= 5000; n++)
        assert_int_equal(rig_get(&rig, 0x400000 + n, 1), 0x5a);
    assert_int_equal(rig_get(&rig, 0x401389, 1), 0);
    assert_int_equal(rig_get(&rig, 0x402000, 8), 0x5a5a5a5a5a5a5a5a);
    assert_int_equal(rig_get(&rig, 0x402fff, 1), 0x5a);
    assert_int_equal(rig_get(&rig, 0x9010, 8), 0x402064);
}

/* The budget ends a run in the middle and the next goes on. */
static void test_budget(void **state)
{
    unsigned turns = 0;

    rig_long(&rig);
    rig_code(&rig, RIG_CODE_AT, strings);
    while (x86_interp_run(rig.c, 1) != X86_EXIT_HALT)
        assert_true(++turns < 10000);
    assert_true(turns >= 3);
    assert_int_equal(rig_get(&rig, 0x9010, 8), 0x402064);
}

/* #DE in the middle of a block: rip is exact, registers are those of the fault. */
RIG_CODE(divide, 64,
         "mov $7, %eax\n xor %edx, %edx\n xor %ecx, %ecx\n mov $5, %ebx\n div %ecx\n hlt");
RIG_CODE(handler, 64, "mov (%rsp), %rsi\n hlt");
/* Long mode with @vector going to the handler. */
static void catch_vector(unsigned vector)
{
    uint64_t idt = 0x50000, gate[2] = {0};

    rig_code(&rig, 0x60000, handler);
    gate[0] = (0x60000 & 0xffffull) | 8ull << 16 | 0x8e00ull << 32 | (0x60000ull >> 16) << 48;
    rig_put(&rig, idt + 16 * vector, gate, 16);
    rig_put(&rig, 0x70000, (uint64_t[]){0, 0x00af9b000000ffff, 0x00cf93000000ffff}, 24);
    rig.c->idt = (struct x86_dtable){.base = idt, .limit = 0xfff};
    rig.c->gdt = (struct x86_dtable){.base = 0x70000, .limit = 23};
}

static void test_fault(void **state)
{
    rig_long(&rig);
    rig_code(&rig, RIG_CODE_AT, divide);
    catch_vector(0);
    rig_run(&rig);
    assert_int_equal(rig.c->gpr[X86_RSI], RIG_CODE_AT + 14);
    assert_int_equal(rig.c->gpr[X86_RBX], 5);
    assert_int_equal(rig.c->insn_count, 4 + 2);
}

/* A misaligned operand is #GP although its address, in the stack segment, is worth an #SS. */
RIG_CODE(misaligned, 64, "movabs $0x1234567812345678, %rbp\n cmpxchg16b (%rbp)\n hlt");
static void test_misaligned_first(void **state)
{
    rig_long(&rig);
    rig_code(&rig, RIG_CODE_AT, misaligned);
    catch_vector(X86_GP);
    rig_run(&rig);
    assert_int_equal(rig.c->gpr[X86_RSI], 0); /* the error code */
    assert_int_equal(rig.c->rip, 0x60000 + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_real, setup, teardown),
        cmocka_unit_test_setup_teardown(test_protected, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_self_modifying_ahead, setup, teardown),
        cmocka_unit_test_setup_teardown(test_self_modifying_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_device_writes_code, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crossing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault, setup, teardown),
        cmocka_unit_test_setup_teardown(test_misaligned_first, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
