/* SPDX-License-Identifier: Apache-2.0 */
/* Single stepping, breakpoints, interrupt shadow, NMI and external interrupts. */
#include "sysrig.h"

#define AT(name, l) (RIG_CODE_AT + (uint64_t)(l - name##_start))

/* A handler for vector 1 that counts in ESI and returns, so that a program can be stepped through.
 * It notes the EIP of each trap in a table at 0x40000. */
RIG_CODE(dbhandler, 32,
         "push %eax; mov 4(%esp), %eax; mov %eax, 0x40000(,%esi,4); inc %esi\n"
         "mov %dr6, %eax; or %eax, %edi; pop %eax; iret\n");

static void install(struct rig *r)
{
    rig_code(r, 0x30000, dbhandler);
    sys_set_idt(r, X86_DB, sys_gate(SEL_CODE0, 0x30000, 0x8e, 0));
    r->c->gpr[X86_RSI] = r->c->gpr[X86_RDI] = 0;
}

static uint32_t traced(struct rig *r, unsigned n)
{
    return (uint32_t)rig_get(r, 0x40000 + n * 4, 4);
}

RIG_CODE(stepped, 32,
         "pushl $0x102; popf; nop; step_ss: mov %ss, %eax; mov %eax, %ss; step_after: nop\n"
         "nop; step_off: pushl $2; popf; step_end: nop; int $0x31\n");
extern const uint8_t step_ss[], step_after[], step_off[], step_end[];
static void test_single_step(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, stepped);
    install(&r);
    assert_int_equal(sys_run(&r), 0x31);
    /* After the instruction behind POPF; not after MOV SS; once after the POPF that clears TF. */
    assert_int_equal(traced(&r, 0), AT(stepped, step_ss));
    assert_int_equal(traced(&r, 1), AT(stepped, step_ss) + 2);
    assert_int_equal(traced(&r, 2), AT(stepped, step_after) + 1);
    assert_int_equal(traced(&r, 3), AT(stepped, step_off));
    assert_int_equal(traced(&r, 4), AT(stepped, step_off) + 2);
    assert_int_equal(traced(&r, 5), AT(stepped, step_end));
    assert_int_equal(r.c->gpr[X86_RSI], 6);
    assert_int_equal(r.c->gpr[X86_RDI] & 0x400f, 0x4000);
    rig_free(&r);
}

RIG_CODE(intstep, 32, "pushl $0x102; popf; int $0x31\n");
static void test_no_step_into_int(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, intstep);
    install(&r);
    assert_int_equal(sys_run(&r), 0x31);
    assert_int_equal(r.c->gpr[X86_RSI], 0);
    assert_true(sys_slot(&r, 2) & X86_TF);
    rig_free(&r);
}

/* Instruction breakpoint at bp_code (DR0), 4-byte write watch at 0x50000 (DR1), 2-byte access watch
 * at 0x50010 (DR2). */
RIG_CODE(breaks, 32,
         "mov $bp_code - breaks_start + 0x10000, %eax; mov %eax, %dr0\n"
         "mov $0x50000, %eax; mov %eax, %dr1; mov $0x50010, %eax; mov %eax, %dr2\n"
         "mov $0x07d00415, %eax; mov %eax, %dr7\n"
         "nop; bp_code: nop; mov 0x50000, %eax; movb $1, 0x50003; bp_w: mov 0x50011, %al\n"
         "bp_r: mov 0x50012, %al; movl $0, 0x4fffc; xor %eax, %eax; mov %eax, %dr7\n"
         "mov %eax, 0x50000; int $0x31\n");
extern const uint8_t bp_code[], bp_w[], bp_r[];
/* #DB handler that sets RF in the return image, as debuggers do to pass an instruction breakpoint.
 */
RIG_CODE(rfhandler, 32,
         "push %eax; mov 4(%esp), %eax; mov %eax, 0x40000(,%esi,4)\n"
         "mov %dr6, %eax; mov %eax, 0x41000(,%esi,4); inc %esi\n"
         "orl $0x10000, 12(%esp); xor %eax, %eax; mov %eax, %dr6; pop %eax; iret\n");
static void test_breakpoints(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, breaks);
    install(&r);
    rig_code(&r, 0x30000, rfhandler);
    assert_int_equal(sys_run(&r), 0x31);
    assert_int_equal(r.c->gpr[X86_RSI], 3);
    assert_int_equal(traced(&r, 0), AT(breaks, bp_code)); /* a fault, before the instruction */
    assert_int_equal(rig_get(&r, 0x41000, 4) & 0xf, 1);
    assert_int_equal(traced(&r, 1), AT(breaks, bp_w)); /* traps, after it */
    assert_int_equal(rig_get(&r, 0x41004, 4) & 0xf, 2);
    assert_int_equal(traced(&r, 2), AT(breaks, bp_r));
    assert_int_equal(rig_get(&r, 0x41008, 4) & 0xf, 4);
    rig_free(&r);
}

RIG_CODE(general_detect, 32,
         "mov $0x2400, %eax; mov %eax, %dr7; gd_here: mov %dr6, %ebx; int $0x31\n");
extern const uint8_t gd_here[];
static void test_general_detect(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, general_detect);
    install(&r);
    assert_int_equal(sys_run(&r), 0x31);
    assert_int_equal(r.c->gpr[X86_RSI], 1);
    assert_int_equal(traced(&r, 0), AT(general_detect, gd_here));
    assert_true(r.c->gpr[X86_RDI] & 1 << 13);
    rig_free(&r);
}

/* XSETBV without CR4.OSXSAVE does not exist, in ring 3 either. */
RIG_CODE(xsetbv, 32, "mov $1, %eax; xor %edx, %edx; xsetbv\n");
static void test_xsetbv_order(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 3);
    rig_code(&r, RIG_CODE_AT, xsetbv);
    assert_int_equal(sys_run(&r), X86_UD);
    sys_protected(&r, 3);
    assert_int_equal(x86_cr4_write(r.c, r.c->cr4 | X86_CR4_OSXSAVE), 0);
    assert_int_equal(sys_run(&r), X86_GP);
    rig_free(&r);
}

/* ENTER with 32-bit operands on a 16-bit stack: EBP is ESP, of which the push changed SP. */
RIG_CODE(enter16, 32, "enter $8, $0; int $0x31\n");
static void test_enter_on_16bit_stack(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, enter16);
    sys_load(&r, X86_SS, SEL_DATA16);
    r.c->gpr[X86_RSP] = 0x12348000;
    assert_int_equal(sys_run(&r), 0x31);
    assert_int_equal(r.c->gpr[X86_RBP], 0x12347ffc);
    rig_free(&r);
}

/* Until LLDT runs, the LDT is what reset made it: 64 KiB at 0 (vol. 3, table 10-1). */
RIG_CODE(early_ldt, 32, "mov $0xfffc, %eax; mov %eax, %ds; int $0x31\n");
static void test_ldt_of_reset(void **state)
{
    struct rig r;
    uint64_t data = sys_desc(0, 0xffff, 0x93);

    rig_new(&r);
    x86_reset(r.c);
    struct x86_seg ldt = r.c->ldt;
    sys_protected(&r, 0);
    r.c->ldt = ldt;
    rig_code(&r, RIG_CODE_AT, early_ldt);
    rig_put(&r, 0xfff8, &data, 8);
    assert_int_equal(sys_run(&r), 0x31);
    rig_free(&r);
}

/* Bits 63:12 of the descriptor must be 0 for every type of INVPCID. */
RIG_CODE(invpcid, 32, "mov $2, %eax; invpcid (%ebx), %eax; int $0x31\n");
static void test_invpcid_reserved(void **state)
{
    struct rig r;
    uint64_t bad = 1 << 12;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, invpcid);
    r.c->gpr[X86_RBX] = 0x8000;
    assert_int_equal(sys_run(&r), 0x31);
    sys_protected(&r, 0);
    r.c->gpr[X86_RBX] = 0x8000;
    rig_put(&r, 0x8000, &bad, 8);
    assert_int_equal(sys_run(&r), X86_GP);
    rig_free(&r);
}

static int next_vector;
static int give_vector(void *opaque, unsigned cpu)
{
    int v = next_vector;
    next_vector = -1;
    x86_attention_clear(opaque, X86_ATTN_INTR);
    return v;
}

static void pend(struct rig *r, int vector)
{
    next_vector = vector;
    r->vm->host.opaque = r->c;
    r->vm->host.intr_ack = give_vector;
    x86_attention_set(r->c, X86_ATTN_INTR);
}

RIG_CODE(stishadow, 32, "nop; cli; sti; shadow: inc %ecx; after: inc %ecx; hlt\n");
extern const uint8_t shadow[], after[];
static void test_interrupts_and_shadow(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, stishadow);
    r.c->gpr[X86_RCX] = 0;
    pend(&r, 0x40);
    assert_int_equal(sys_run(&r), 0x40); /* one instruction after STI, not before */
    assert_int_equal(r.c->gpr[X86_RCX], 1);
    assert_int_equal(sys_slot(&r, 0), AT(stishadow, after));
    assert_true(sys_slot(&r, 2) & X86_IF);
    /* Without a pending interrupt nothing is left behind by the shadow. */
    sys_protected(&r, 0);
    r.c->gpr[X86_RCX] = 0;
    assert_int_equal(sys_run(&r), -1);
    assert_int_equal(r.c->activity, X86_HALTED);
    assert_false(x86_has_work(r.c));
    pend(&r, 0x41);
    assert_true(x86_has_work(r.c));
    assert_int_equal(sys_run(&r), 0x41);
    assert_int_equal(r.c->gpr[X86_RCX], 2);
    rig_free(&r);
}

RIG_CODE(idle, 32, "cli; hlt\n");
RIG_CODE(nmihandler, 32, "inc %ecx; hlt; iret\n");
static void test_nmi(void **state)
{
    struct rig r;

    rig_new(&r);
    sys_protected(&r, 0);
    rig_code(&r, RIG_CODE_AT, idle);
    rig_code(&r, 0x30000, nmihandler);
    sys_set_idt(&r, X86_NMI, sys_gate(SEL_CODE0, 0x30000, 0x8e, 0));
    r.c->gpr[X86_RCX] = 0;
    assert_int_equal(sys_run(&r), -1);
    x86_attention_set(r.c, X86_ATTN_NMI);
    assert_true(x86_has_work(r.c));
    assert_int_equal(sys_run(&r), -1);
    assert_int_equal(r.c->gpr[X86_RCX], 1);
    /* Blocked until IRET. */
    x86_attention_set(r.c, X86_ATTN_NMI);
    assert_false(x86_has_work(r.c));
    assert_int_equal(x86_interp_run(r.c, 100), X86_EXIT_HALT);
    assert_int_equal(r.c->gpr[X86_RCX], 1);
    r.c->activity = X86_ACTIVE; /* as if woken: IRET unblocks and the second NMI comes */
    assert_int_equal(sys_run(&r), -1);
    assert_int_equal(r.c->gpr[X86_RCX], 2);
    rig_free(&r);
}

static void test_init_and_sipi(void **state)
{
    struct rig r;
    static const uint8_t code[] = {0xbb, 0x34, 0x12, 0xf4}; /* mov $0x1234, %bx; hlt */

    rig_new(&r);
    sys_protected(&r, 0);
    rig_put(&r, 0x8000, code, sizeof(code));
    r.c->index = 1; /* an application processor waits for SIPI after INIT */
    r.c->xmm[3].u32[0] = 77;
    x86_attention_set(r.c, X86_ATTN_INIT);
    assert_int_equal(x86_interp_run(r.c, 100), X86_EXIT_IDLE);
    assert_int_equal(r.c->activity, X86_WAIT_SIPI);
    assert_int_equal(r.c->xmm[3].u32[0], 77); /* INIT keeps the vector registers */
    r.c->sipi_vector = 8;
    x86_attention_set(r.c, X86_ATTN_SIPI);
    assert_true(x86_has_work(r.c));
    assert_int_equal(x86_interp_run(r.c, 100), X86_EXIT_HALT);
    assert_int_equal(r.c->gpr[X86_RBX], 0x1234);
    assert_int_equal(r.c->seg[X86_CS].sel, 0x800);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_step),           cmocka_unit_test(test_no_step_into_int),
        cmocka_unit_test(test_breakpoints),           cmocka_unit_test(test_general_detect),
        cmocka_unit_test(test_xsetbv_order),          cmocka_unit_test(test_enter_on_16bit_stack),
        cmocka_unit_test(test_ldt_of_reset),          cmocka_unit_test(test_invpcid_reserved),
        cmocka_unit_test(test_interrupts_and_shadow), cmocka_unit_test(test_nmi),
        cmocka_unit_test(test_init_and_sipi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
