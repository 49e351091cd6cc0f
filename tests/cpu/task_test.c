/* SPDX-License-Identifier: Apache-2.0 */
/* Hardware task switches, virtual 8086 mode and the I/O permission bitmap. */
#include "sysrig.h"

#define AT(name, l) (RIG_CODE_AT + (uint64_t)(l - name##_start))

static void put16(struct rig *r, uint64_t at, uint16_t v)
{
    rig_put(r, at, &v, 2);
}
static void put32(struct rig *r, uint64_t at, uint32_t v)
{
    rig_put(r, at, &v, 4);
}

/* A 32-bit task ready to start at @eip in ring @cpl. */
static void make_task(struct rig *r, uint64_t tss, uint64_t eip, unsigned cpl)
{
    static const uint8_t zero[0x68];
    uint32_t data = cpl ? SEL_DATA3 | 3 : SEL_DATA0;

    rig_put(r, tss, zero, sizeof(zero));
    put32(r, tss + 4, SYS_STACK0 + 0x2000);
    put32(r, tss + 8, SEL_DATA0);
    put32(r, tss + 32, (uint32_t)eip);
    put32(r, tss + 36, 0x00000002);
    for (unsigned n = 0; n < 8; n++)
        put32(r, tss + 40 + n * 4, 0x100 + n);
    put32(r, tss + 40 + 4 * 4, 0x9e000); /* ESP */
    for (unsigned n = 0; n < 6; n++)
        put32(r, tss + 72 + n * 4, data);
    put32(r, tss + 76, cpl ? SEL_CODE3 | 3 : SEL_CODE0);
    put16(r, tss + 102, 0x68);
}

static unsigned tss_type(struct rig *r, unsigned sel)
{
    return rig_get(r, SYS_GDT + sel + 5, 1) & 0xf;
}

RIG_CODE(taskcall, 32,
         "mov $0x55, %esi; stc; lcall $0x68, $0; task_back: int $0x31\n"
         "task_in: mov %eax, %ebp; iret; task_again: int $0x32\n");
extern const uint8_t task_back[], task_in[], task_again[];
static void test_call_and_iret(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, taskcall);
    make_task(&r, SYS_TSS2, AT(taskcall, task_in), 0);
    assert_int_equal(sys_run(&r), 0x31);
    assert_int_equal(sys_slot(&r, 0), AT(taskcall, task_back) + 2);
    assert_int_equal(r.c->gpr[X86_RSI], 0x55);
    assert_true(sys_slot(&r, 2) & X86_CF);
    assert_false(sys_slot(&r, 2) & X86_NT);
    assert_int_equal(r.c->tr.sel, SEL_TSS);
    assert_true(r.c->cr0 & X86_CR0_TS);
    /* The other task: link to this one, its registers saved, not busy any more, NT cleared. */
    assert_int_equal(rig_get(&r, SYS_TSS2, 2), SEL_TSS);
    assert_int_equal(rig_get(&r, SYS_TSS2 + 32, 4), AT(taskcall, task_again));
    assert_int_equal(rig_get(&r, SYS_TSS2 + 40 + 5 * 4, 4), 0x100); /* EBP got EAX */
    assert_int_equal(rig_get(&r, SYS_TSS2 + 36, 4) & X86_NT, 0);
    assert_int_equal(tss_type(&r, SEL_TSS2), 9);
    assert_int_equal(tss_type(&r, SEL_TSS), 11);
    rig_free(&r);
}

RIG_CODE(taskjmp, 32, "ljmp $0x78, $0; hlt; jmp_in: mov %esp, %ecx; str %edx; cli\n");
extern const uint8_t jmp_in[];
static void test_jump_to_ring3_through_gate(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, taskjmp);
    make_task(&r, SYS_TSS2, AT(taskjmp, jmp_in), 3);
    assert_int_equal(sys_run(&r), X86_GP); /* CLI in ring 3 */
    assert_int_equal(sys_slot(&r, 1), AT(taskjmp, jmp_in) + 5);
    assert_int_equal(sys_slot(&r, 2), SEL_CODE3 | 3);
    assert_int_equal(r.c->gpr[X86_RCX], 0x9e000);
    assert_int_equal(r.c->gpr[X86_RDX], SEL_TSS2);
    assert_int_equal(r.c->gpr[X86_RSP], SYS_STACK0 + 0x2000 - 28);
    assert_int_equal(tss_type(&r, SEL_TSS), 9); /* JMP leaves the old task */
    assert_int_equal(tss_type(&r, SEL_TSS2), 11);
    rig_free(&r);
}

RIG_CODE(dftask, 32, "ud2; df_in: pop %eax; mov %cr2, %ebx; int $0x33\n");
extern const uint8_t df_in[];
static void test_exception_through_task_gate(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 3);
    rig_code(&r, RIG_CODE_AT, dftask);
    make_task(&r, SYS_TSS2, AT(dftask, df_in), 0);
    sys_set_idt(&r, X86_UD, 0); /* #GP then, which is a task gate and has an error code */
    sys_set_idt(&r, X86_GP, sys_gate(SEL_TSS2, 0, 0x85, 0));
    assert_int_equal(sys_run(&r), 0x33);
    assert_int_equal(r.c->gpr[X86_RAX], X86_UD * 8 + 3);
    assert_int_equal(rig_get(&r, SYS_TSS + 32, 4), RIG_CODE_AT);
    assert_int_equal(rig_get(&r, SYS_TSS2, 2), SEL_TSS);
    assert_true(sys_slot(&r, 2) & X86_NT);
    assert_true(rig_get(&r, SYS_TSS + 36, 4) & X86_RF); /* a fault, as if it were pushed */
    rig_free(&r);
}

/* The T flag of a handler's task: #DB with BT, after the error code of the first fault. */
static void test_trap_flag_of_handler_task(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 3);
    rig_code(&r, RIG_CODE_AT, dftask);
    make_task(&r, SYS_TSS2, AT(dftask, df_in), 0);
    put16(&r, SYS_TSS2 + 100, 1);
    sys_set_idt(&r, X86_UD, 0);
    sys_set_idt(&r, X86_GP, sys_gate(SEL_TSS2, 0, 0x85, 0));
    assert_int_equal(sys_run(&r), X86_DB);
    assert_int_equal(sys_slot(&r, 0), AT(dftask, df_in));
    assert_int_equal(sys_slot(&r, 3), X86_UD * 8 + 3); /* what was on the stack before */
    assert_true(r.c->dr[6] & 1 << 15);
    rig_free(&r);
}

/* No room for the frame is #SS, whatever is wrong with the gate's offset. */
RIG_CODE(noroom, 32, "int $0x40; room_in: int $0x33\n");
extern const uint8_t room_in[];
static void test_room_before_target(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, noroom);
    make_task(&r, SYS_TSS2, AT(noroom, room_in), 0);
    sys_set_idt(&r, X86_SSV, sys_gate(SEL_TSS2, 0, 0x85, 0));
    sys_set_idt(&r, 0x40, sys_gate(SEL_CODE16, 0x10000, 0x8e, 0));
    sys_load(&r, X86_SS, SEL_DOWN);
    r.c->gpr[X86_RSP] = 0x10008; /* two words above the limit */
    assert_int_equal(sys_run(&r), 0x33);
    rig_free(&r);
}

RIG_CODE(badtask, 32, "lcall $0x68, $0; hlt\n");
static void test_bad_tasks(void **state)
{
    struct rig r;

    rig_new(&r);
    /* Busy */
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, badtask);
    make_task(&r, SYS_TSS2, RIG_CODE_AT + 7, 0);
    sys_set_desc(&r, SEL_TSS2, sys_desc(SYS_TSS2, 0x67, 0x8b));
    assert_int_equal(sys_run(&r), X86_GP);
    assert_int_equal(sys_slot(&r, 0), SEL_TSS2);
    /* Too small */
    sys_protected(&r, 0);
    sys_set_desc(&r, SEL_TSS2, sys_desc(SYS_TSS2, 0x66, 0x89));
    assert_int_equal(sys_run(&r), X86_TS);
    assert_int_equal(sys_slot(&r, 0), SEL_TSS2);
    /* Not present */
    sys_protected(&r, 0);
    sys_set_desc(&r, SEL_TSS2, sys_desc(SYS_TSS2, 0x67, 0x09));
    assert_int_equal(sys_run(&r), X86_NP);
    /* A data segment that cannot be loaded: the fault comes in the new task. */
    sys_protected(&r, 0);
    make_task(&r, SYS_TSS2, RIG_CODE_AT + 7, 0);
    put32(&r, SYS_TSS2 + 72, SEL_EXECONLY);
    assert_int_equal(sys_run(&r), X86_TS);
    assert_int_equal(sys_slot(&r, 0), SEL_EXECONLY);
    assert_int_equal(sys_slot(&r, 1), RIG_CODE_AT + 7);
    assert_int_equal(r.c->tr.sel, SEL_TSS2);
    /* Without a stack segment, neither: the handler has nowhere to push. */
    sys_protected(&r, 0);
    make_task(&r, SYS_TSS2, RIG_CODE_AT + 7, 0);
    put32(&r, SYS_TSS2 + 80, 0);
    assert_int_equal(x86_interp_run(r.c, 1000), X86_EXIT_SHUTDOWN);
    rig_free(&r);
}

RIG_CODE(task16, 32,
         "lcall $0x70, $0; int $0x31; .code16; in16: mov $0x7777, %bx; iret; .code32\n");
extern const uint8_t in16[];
static void test_16bit_task(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_put(&r, 0x2000, in16, 8);
    rig_code(&r, RIG_CODE_AT, task16);
    put16(&r, SYS_TSS16 + 14, 0x2000);
    put16(&r, SYS_TSS16 + 16, 2);
    put16(&r, SYS_TSS16 + 18 + 4 * 2, 0x7000); /* SP */
    put16(&r, SYS_TSS16 + 34, SEL_DATA16);
    put16(&r, SYS_TSS16 + 36, SEL_CODE16);
    put16(&r, SYS_TSS16 + 38, SEL_DATA16);
    put16(&r, SYS_TSS16 + 40, SEL_DATA16);
    assert_int_equal(sys_run(&r), 0x31);
    assert_int_equal(rig_get(&r, SYS_TSS16 + 18 + 3 * 2, 2), 0x7777);
    assert_int_equal(rig_get(&r, SYS_TSS16, 2), SEL_TSS);
    rig_free(&r);
}

RIG_CODE(v86int, 16, "mov $0x1234, %ax; int $0x21\n");
static void test_v86_int(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_v86(&r, 0);
    rig_code(&r, RIG_CODE_AT, v86int);
    assert_int_equal(sys_run(&r), X86_GP); /* IOPL 0 */
    assert_int_equal(sys_slot(&r, 0), 0);
    assert_int_equal(sys_slot(&r, 1), 3);
    assert_int_equal(sys_slot(&r, 2), RIG_CODE_AT >> 4);
    assert_true(sys_slot(&r, 3) & X86_VM);
    assert_int_equal(sys_slot(&r, 4), 0x8000);
    assert_int_equal(sys_slot(&r, 5), 0x9000);
    assert_int_equal(sys_slot(&r, 6), 0x2000); /* ES DS FS GS */
    assert_int_equal(sys_slot(&r, 7), 0x3000);
    assert_int_equal(sys_slot(&r, 8), 0x4000);
    assert_int_equal(sys_slot(&r, 9), 0x5000);
    assert_int_equal(r.c->seg[X86_DS].sel, 0);
    assert_false(r.c->rflags & X86_VM);
    /* IOPL 3: through the IDT, whatever its handler is. */
    sys_v86(&r, 3);
    assert_int_equal(sys_run(&r), 0x21);
    assert_int_equal(sys_slot(&r, 0), 5);
    rig_free(&r);
}

RIG_CODE(v86redirect, 16,
         "int $0x21; pushf; pop %bx; int $0x22\n"
         "redirected: mov $0x99, %cx; iret\n");
extern const uint8_t redirected[];
static void test_vme_redirection(void **state)
{
    struct rig r;
    uint8_t bits = 1 << 2; /* INT 22h goes to protected mode, INT 21h does not */

    rig_new(&r);
    sys_v86(&r, 0);
    rig_code(&r, RIG_CODE_AT, v86redirect);
    r.c->cr4 |= X86_CR4_VME;
    put16(&r, SYS_TSS + 102, 0x88);
    rig_put(&r, SYS_TSS + 0x68 + 0x22 / 8, &bits, 1);
    put16(&r, 0x21 * 4, (uint16_t)(AT(v86redirect, redirected) - RIG_CODE_AT));
    put16(&r, 0x21 * 4 + 2, RIG_CODE_AT >> 4);
    x86_flags_set(r.c, X86_VIF, X86_VIF);
    assert_int_equal(sys_run(&r), X86_GP); /* INT 22h at IOPL 0 */
    assert_int_equal(sys_slot(&r, 1), 4);
    assert_int_equal(r.c->gpr[X86_RCX] & 0xffff, 0x99);
    /* PUSHF shows VIF as IF and IOPL 3. */
    assert_int_equal(r.c->gpr[X86_RBX] & (X86_IF | X86_IOPL), X86_IF | X86_IOPL);
    /* A bitmap that the segment does not hold: #GP(0), with IOPL 3 as well. */
    sys_v86(&r, 3);
    r.c->cr4 |= X86_CR4_VME;
    put16(&r, SYS_TSS + 102, 0x88);
    r.c->tr.limit = 0x67;
    assert_int_equal(sys_run(&r), X86_GP);
    assert_int_equal(sys_slot(&r, 0), 0);
    assert_int_equal(sys_slot(&r, 1), 0);
    rig_free(&r);
}

RIG_CODE(ring3io, 32, "mov $0x83, %edx; in (%dx), %al; mov $0x84, %edx; in (%dx), %al\n");
static void test_io_bitmap(void **state)
{
    struct rig r;
    uint8_t deny = 1 << 4; /* port 0x84 */

    rig_new(&r);
    sys_protected(&r, 3);
    rig_code(&r, RIG_CODE_AT, ring3io);
    rig_put(&r, SYS_TSS + 0x68 + 0x84 / 8, &deny, 1);
    assert_int_equal(sys_run(&r), X86_GP);
    assert_int_equal(sys_slot(&r, 1), RIG_CODE_AT + 11);
    assert_int_equal(r.c->gpr[X86_RAX] & 0xff, 0xff);
    /* A bitmap beyond the limit of the TSS permits nothing; IOPL 3 permits everything. */
    sys_protected(&r, 3);
    put16(&r, SYS_TSS + 102, 0x3000);
    assert_int_equal(sys_run(&r), X86_GP);
    assert_int_equal(sys_slot(&r, 1), RIG_CODE_AT + 5);
    sys_protected(&r, 3);
    rig_put(&r, SYS_TSS + 0x68 + 0x84 / 8, &deny, 1);
    x86_flags_set(r.c, X86_IOPL, X86_IOPL);
    put32(&r, RIG_CODE_AT + 12, 0x0b0f); /* ud2 */
    assert_int_equal(sys_run(&r), X86_UD);
    rig_free(&r);
}

RIG_CODE(tov86, 32,
         "push $0x5000; push $0x4000; push $0x3000; push $0x2000; push $0x9000\n"
         "push $0x8000; push $0x20002; push $0x1000; push $0x70040; iret\n");
RIG_CODE(inv86, 16, "mov %ds, %ax; mov %cs, %bx; hlt\n");
static void test_iret_to_v86(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, tov86);
    rig_code(&r, 0x10040, inv86);
    r.c->rip = 0x10000;
    rig_put(&r, 0x20000, tov86_start, (size_t)(tov86_end - tov86_start));
    r.c->rip = 0x20000;
    assert_int_equal(sys_run(&r), X86_GP); /* HLT in ring 3 */
    assert_int_equal(r.c->gpr[X86_RAX] & 0xffff, 0x3000);
    assert_int_equal(r.c->gpr[X86_RBX] & 0xffff, 0x1000);
    assert_int_equal(sys_slot(&r, 1), 0x44); /* of EIP the low half was taken */
    assert_int_equal(sys_slot(&r, 6), 0x2000);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call_and_iret),
        cmocka_unit_test(test_jump_to_ring3_through_gate),
        cmocka_unit_test(test_exception_through_task_gate),
        cmocka_unit_test(test_trap_flag_of_handler_task),
        cmocka_unit_test(test_room_before_target),
        cmocka_unit_test(test_bad_tasks),
        cmocka_unit_test(test_16bit_task),
        cmocka_unit_test(test_v86_int),
        cmocka_unit_test(test_vme_redirection),
        cmocka_unit_test(test_io_bitmap),
        cmocka_unit_test(test_iret_to_v86),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
