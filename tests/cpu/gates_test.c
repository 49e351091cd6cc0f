/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions, interrupts, gates, far transfers and system calls in protected and long mode. */
#include "sysrig.h"

/* Where label @l of code blob @name ends up. */
#define AT(name, l) (RIG_CODE_AT + (uint64_t)(l - name##_start))

RIG_CODE(int30, 32, "int $0x30");
static void test_int_same_ring(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, int30);
    x86_flags_set(r.c, X86_IF | X86_CF, X86_IF | X86_CF);
    assert_int_equal(sys_run(&r), 0x30);
    assert_int_equal(sys_slot(&r, 0), RIG_CODE_AT + 2);
    assert_int_equal(sys_slot(&r, 1), SEL_CODE0);
    assert_int_equal(sys_slot(&r, 2), X86_IF | X86_CF | 2);
    assert_int_equal(r.c->gpr[X86_RSP], RIG_STACK - 16);
    assert_false(r.c->rflags & X86_IF);
    rig_free(&r);
}

static void test_int_from_ring3(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 3);
    rig_code(&r, RIG_CODE_AT, int30);
    assert_int_equal(sys_run(&r), 0x30);
    assert_int_equal(r.c->cpl, 0);
    assert_int_equal(r.c->gpr[X86_RSP], SYS_STACK0 - 24);
    assert_int_equal(r.c->seg[X86_SS].sel, SEL_DATA0);
    assert_int_equal(sys_slot(&r, 0), RIG_CODE_AT + 2);
    assert_int_equal(sys_slot(&r, 1), SEL_CODE3 | 3);
    assert_int_equal(sys_slot(&r, 3), SYS_STACK3);
    assert_int_equal(sys_slot(&r, 4), SEL_DATA3 | 3);
    /* A gate with DPL 0 is not for INT n of ring 3: #GP with the vector's IDT index. */
    sys_protected(&r, 3);
    sys_set_idt(&r, 0x30, sys_gate(SEL_CODE0, SYS_STUBS, 0x8e, 0));
    assert_int_equal(sys_run(&r), X86_GP);
    assert_int_equal(sys_slot(&r, 0), 0x30 * 8 + 2);
    assert_int_equal(sys_slot(&r, 1), RIG_CODE_AT); /* a fault: the INT itself */
    assert_true(sys_slot(&r, 3) & X86_RF);
    /* Not present: #NP. */
    sys_protected(&r, 3);
    sys_set_idt(&r, 0x30, sys_gate(SEL_CODE0, SYS_STUBS, 0x6e, 0));
    assert_int_equal(sys_run(&r), X86_NP);
    assert_int_equal(sys_slot(&r, 0), 0x30 * 8 + 2);
    /* A stack segment of the wrong privilege in the TSS: #TS with its selector. */
    sys_protected(&r, 3);
    uint32_t bad = SEL_DATA3;
    rig_put(&r, SYS_TSS + 8, &bad, 4);
    sys_set_idt(&r, X86_TS, sys_gate(SEL_TASKGATE, 0, 0, 0));
    assert_int_equal(x86_interp_run(r.c, 1000), X86_EXIT_SHUTDOWN); /* its handler has no stack */
    rig_free(&r);
}

RIG_CODE(traps, 32,
         "trap_div: xor %ecx, %ecx; div %ecx; hlt; trap_ud: ud2; trap_bp: int3; nop\n"
         "trap_ds: mov $0x98, %ax; mov %ax, %ds; hlt\n"
         "trap_ss: mov $0x98, %ax; mov %ax, %ss; hlt\n"
         "trap_limit: mov $0x1000, %ax; mov %ax, %es; hlt\n");
extern const uint8_t trap_ud[], trap_bp[], trap_ds[], trap_ss[], trap_limit[];
static void test_exceptions(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, traps);
    assert_int_equal(sys_run(&r), X86_DE);
    assert_int_equal(sys_slot(&r, 0), RIG_CODE_AT + 2);
    r.c->rip = AT(traps, trap_ud);
    r.c->activity = X86_ACTIVE;
    assert_int_equal(sys_run(&r), X86_UD);
    assert_int_equal(sys_slot(&r, 0), AT(traps, trap_ud));
    r.c->rip = AT(traps, trap_bp);
    r.c->activity = X86_ACTIVE;
    assert_int_equal(sys_run(&r), X86_BP);
    assert_int_equal(sys_slot(&r, 0), AT(traps, trap_bp) + 1);
    assert_false(sys_slot(&r, 2) & X86_RF);
    r.c->rip = AT(traps, trap_ds);
    r.c->activity = X86_ACTIVE;
    assert_int_equal(sys_run(&r), X86_NP);
    assert_int_equal(sys_slot(&r, 0), SEL_ABSENT);
    r.c->rip = AT(traps, trap_ss);
    r.c->activity = X86_ACTIVE;
    assert_int_equal(sys_run(&r), X86_SSV);
    assert_int_equal(sys_slot(&r, 0), SEL_ABSENT);
    r.c->rip = AT(traps, trap_limit);
    r.c->activity = X86_ACTIVE;
    assert_int_equal(sys_run(&r), X86_GP);
    assert_int_equal(sys_slot(&r, 0), 0x1000);
    rig_free(&r);
}

static void test_double_and_triple_fault(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, traps);
    sys_set_idt(&r, X86_DE, 0); /* #GP while delivering #DE: both contributory */
    assert_int_equal(sys_run(&r), X86_DF_VEC);
    assert_int_equal(sys_slot(&r, 0), 0);
    assert_int_equal(sys_slot(&r, 1), RIG_CODE_AT + 2);
    /* #UD is benign: the #GP is delivered by itself, with EXT set. */
    sys_protected(&r, 0);
    r.c->rip = AT(traps, trap_ud);
    sys_set_idt(&r, X86_UD, 0);
    assert_int_equal(sys_run(&r), X86_GP);
    assert_int_equal(sys_slot(&r, 0), X86_UD * 8 + 3);
    sys_protected(&r, 0);
    sys_set_idt(&r, X86_DE, 0);
    sys_set_idt(&r, X86_DF_VEC, 0);
    assert_int_equal(x86_interp_run(r.c, 1000), X86_EXIT_SHUTDOWN);
    assert_int_equal(r.c->activity, X86_SHUTDOWN);
    rig_free(&r);
}

static void test_fault_storm_ends(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, traps);
    r.c->rip = AT(traps, trap_ud);
    sys_set_idt(&r, X86_UD, sys_gate(SEL_CODE0, (uint32_t)AT(traps, trap_ud), 0x8e, 0));
    assert_int_equal(x86_interp_run(r.c, 1000), X86_EXIT_BUDGET);
    rig_free(&r);
}

RIG_CODE(gatecall, 32,
         "push $0x1111; push $0x2222; lcall $0x4b, $0; gate_back: int $0x31\n"
         "gate_in: mov 8(%esp), %eax; mov 12(%esp), %ebx; mov %cs, %ecx; lret $8\n");
extern const uint8_t gate_back[], gate_in[];
static void test_call_gate(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 3);
    rig_code(&r, RIG_CODE_AT, gatecall);
    sys_set_desc(&r, SEL_GATE, sys_gate(SEL_CODE0, (uint32_t)AT(gatecall, gate_in), 0xec, 2));
    assert_int_equal(sys_run(&r), 0x31);
    assert_int_equal(sys_slot(&r, 0), AT(gatecall, gate_back) + 2);
    assert_int_equal(sys_slot(&r, 1), SEL_CODE3 | 3);
    assert_int_equal(sys_slot(&r, 3), SYS_STACK3); /* the parameters are gone from both stacks */
    assert_int_equal(r.c->gpr[X86_RAX], 0x2222);
    assert_int_equal(r.c->gpr[X86_RBX], 0x1111);
    assert_int_equal(r.c->gpr[X86_RCX], SEL_CODE0);
    /* DPL 0: not for ring 3. */
    sys_protected(&r, 3);
    sys_set_desc(&r, SEL_GATE, sys_gate(SEL_CODE0, (uint32_t)AT(gatecall, gate_in), 0x8c, 2));
    assert_int_equal(sys_run(&r), X86_GP);
    assert_int_equal(sys_slot(&r, 0), SEL_GATE);
    rig_free(&r);
}

RIG_CODE(farjmp, 32,
         "ljmp $0x93, $far_conforming - farjmp_start + 0x10000\n"
         "far_conforming: mov %cs, %eax; lcall $8, $0\n");
extern const uint8_t far_conforming[];
static void test_conforming(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 3);
    rig_code(&r, RIG_CODE_AT, farjmp);
    assert_int_equal(sys_run(&r), X86_GP); /* from conforming code still ring 3 */
    assert_int_equal(sys_slot(&r, 0), SEL_CODE0);
    assert_int_equal(sys_slot(&r, 2), SEL_CONFORMING | 3);
    assert_int_equal(r.c->gpr[X86_RAX], SEL_CONFORMING | 3);
    rig_free(&r);
}

RIG_CODE(toring3, 32,
         "push $0x23; push $0x9c000; pushf; push $0x1b;\n"
         "push $ring3_here - toring3_start + 0x10000; iret\n"
         "ring3_here: mov %ds, %eax; mov %es, %ebx; cli\n");
extern const uint8_t ring3_here[];
static void test_iret_outer(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, toring3);
    sys_load(&r, X86_ES, SEL_DATA3 | 3);
    assert_int_equal(sys_run(&r), X86_GP); /* CLI at IOPL 0 */
    assert_int_equal(sys_slot(&r, 0), 0);
    assert_int_equal(sys_slot(&r, 2), SEL_CODE3 | 3);
    assert_int_equal(sys_slot(&r, 4), SYS_STACK3);
    assert_int_equal(r.c->gpr[X86_RAX], 0); /* DS of ring 0 was dropped, ES of ring 3 kept */
    assert_int_equal(r.c->gpr[X86_RBX], SEL_DATA3 | 3);
    rig_free(&r);
}

RIG_CODE(longint, 64, "int $0x30");
static void test_long_interrupts(void **state)
{
    struct rig r;
    uint64_t gate;

    rig_new(&r);
    sys_long(&r, 3);
    rig_code(&r, RIG_CODE_AT, longint);
    r.c->gpr[X86_RSP] = SYS_STACK3 - 3;
    assert_int_equal(sys_run(&r), 0x30);
    assert_int_equal(r.c->gpr[X86_RSP], SYS_STACK0 - 6 * 8);
    assert_int_equal(sys_slot(&r, 0), RIG_CODE_AT + 2);
    assert_int_equal(sys_slot(&r, 1), SEL_CODE64_3 | 3);
    assert_int_equal(sys_slot(&r, 3), SYS_STACK3 - 3);
    assert_int_equal(sys_slot(&r, 4), SEL_DATA3 | 3);
    assert_int_equal(r.c->seg[X86_SS].sel, 0);
    /* Same ring: the stack is aligned to 16 bytes, SS:RSP pushed all the same. */
    sys_long(&r, 0);
    r.c->gpr[X86_RSP] = RIG_STACK - 5;
    assert_int_equal(sys_run(&r), 0x30);
    assert_int_equal(r.c->gpr[X86_RSP], RIG_STACK - 16 - 6 * 8);
    assert_int_equal(sys_slot(&r, 3), RIG_STACK - 5);
    /* IST */
    sys_long(&r, 0);
    gate = sys_gate(SEL_CODE0, SYS_STUBS + 0x30 * 16, 0xee, 0) | 1ull << 32;
    rig_put(&r, SYS_IDT + 0x30 * 16, &gate, 8);
    assert_int_equal(sys_run(&r), 0x30);
    assert_int_equal(r.c->gpr[X86_RSP], SYS_IST1 - 6 * 8);
    rig_free(&r);
}

RIG_CODE(syscalls, 64,
         "syscall; sys_back: mov %cs, %ebx; int $0x31\n"
         "sys_entry: mov %cs, %eax; mov %ss, %edx; pushf; pop %rsi; sysretq\n");
extern const uint8_t sys_back[], sys_entry[];
static void test_syscall(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_long(&r, 3);
    rig_code(&r, RIG_CODE_AT, syscalls);
    r.c->star = (uint64_t)(SEL_CODE64_3 - 16) << 48 | (uint64_t)SEL_CODE0 << 32;
    r.c->lstar = AT(syscalls, sys_entry);
    r.c->sfmask = X86_IF | X86_DF;
    x86_flags_set(r.c, X86_IF | X86_DF | X86_ZF, X86_IF | X86_DF | X86_ARITH);
    /* SCE is off: #UD. */
    assert_int_equal(sys_run(&r), X86_UD);
    sys_long(&r, 3);
    r.c->efer |= X86_EFER_SCE;
    x86_flags_set(r.c, X86_IF | X86_DF | X86_ZF, X86_IF | X86_DF | X86_ARITH);
    r.c->star = (uint64_t)(SEL_CODE64_3 - 16) << 48 | (uint64_t)SEL_CODE0 << 32;
    r.c->lstar = AT(syscalls, sys_entry);
    r.c->sfmask = X86_IF | X86_DF;
    assert_int_equal(sys_run(&r), 0x31);
    assert_int_equal(r.c->gpr[X86_RCX], AT(syscalls, sys_back));
    assert_int_equal(r.c->gpr[11], X86_IF | X86_DF | X86_ZF | 2);
    assert_int_equal(r.c->gpr[X86_RAX], SEL_CODE0);
    assert_int_equal(r.c->gpr[X86_RDX], SEL_CODE0 + 8);
    assert_int_equal(r.c->gpr[X86_RSI], X86_ZF | 2);
    assert_int_equal(r.c->gpr[X86_RBX], SEL_CODE64_3 | 3);
    assert_int_equal(sys_slot(&r, 2), X86_IF | X86_DF | X86_ZF | 2); /* flags came back */
    rig_free(&r);
}

RIG_CODE(pagefault, 64,
         "mov $0x0000008000001234, %rax; pf_here: movl $1, (%rax)\n"
         "movabs $0x0000800000000000, %rax; gp_here: mov (%rax), %rbx\n");
extern const uint8_t pf_here[], gp_here[];
static void test_long_faults(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_long(&r, 3);
    rig_code(&r, RIG_CODE_AT, pagefault);
    assert_int_equal(sys_run(&r), X86_PFV);
    assert_int_equal(sys_slot(&r, 0), 6);
    assert_int_equal(sys_slot(&r, 1), AT(pagefault, pf_here));
    assert_true(r.c->cr2 == 0x8000001234ull);
    sys_long(&r, 3);
    r.c->rip = AT(pagefault, gp_here) - 10;
    assert_int_equal(sys_run(&r), X86_GP);
    assert_int_equal(sys_slot(&r, 0), 0);
    assert_int_equal(sys_slot(&r, 1), AT(pagefault, gp_here));
    rig_free(&r);
}

RIG_CODE(compat, 64,
         "push $0x23; push $0x9c000; pushf; push $0x1b\n"
         "lea compat_here(%rip), %rax; push %rax; iretq\n"
         ".code32; compat_here: mov %esp, %ecx; xor %eax, %eax; dec %eax; int $0x31\n");
static void test_compatibility_mode(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_long(&r, 0);
    rig_code(&r, RIG_CODE_AT, compat);
    assert_int_equal(sys_run(&r), 0x31);
    assert_int_equal(r.c->mode, X86_MODE_64);
    assert_int_equal(sys_slot(&r, 1), SEL_CODE3 | 3);
    assert_int_equal(r.c->gpr[X86_RCX], SYS_STACK3);
    assert_true(r.c->gpr[X86_RAX] == 0xffffffffu); /* 48 c8 would be a REX prefix in 64-bit mode */
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_int_same_ring),    cmocka_unit_test(test_int_from_ring3),
        cmocka_unit_test(test_exceptions),       cmocka_unit_test(test_double_and_triple_fault),
        cmocka_unit_test(test_fault_storm_ends), cmocka_unit_test(test_call_gate),
        cmocka_unit_test(test_conforming),       cmocka_unit_test(test_iret_outer),
        cmocka_unit_test(test_long_interrupts),  cmocka_unit_test(test_syscall),
        cmocka_unit_test(test_long_faults),      cmocka_unit_test(test_compatibility_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
