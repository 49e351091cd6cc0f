/* SPDX-License-Identifier: Apache-2.0 */
/* What the processor models announce agrees with itself and with what can be switched on. */
#include "rig.h"

#include <string.h>

#include "cpu/x86/system.h"

enum { EAX, EBX, ECX, EDX };

static void test_catalogue(void **state)
{
    unsigned n = 0;

    assert_string_equal(x86_model_name(x86_model_find(NULL)), "isola-v3");
    assert_null(x86_model_find("no-such"));
    for (const struct x86_model *m; (m = x86_model_at(n)); n++) {
        assert_ptr_equal(x86_model_find(x86_model_name(m)), m);
        assert_true(strlen(x86_model_about(m)) > 10);
    }
    assert_int_equal(n, 4);
}

static void test_default_model(void **state)
{
    struct rig r;
    uint32_t out[4];
    char text[49] = {0};

    rig_new(&r);
    rig_long(&r);
    x86_cpuid(r.c, 0, 0, out);
    assert_int_equal(out[EAX], 0x16);
    assert_memory_equal(&out[EBX], "Genu", 4);
    assert_memory_equal(&out[EDX], "ineI", 4);
    assert_memory_equal(&out[ECX], "ntel", 4);
    x86_cpuid(r.c, 1, 0, out);
    assert_int_equal(out[EAX], 0x000106ca); /* family 6, model 28, stepping 10 */
    assert_false(out[ECX] & 1u << 31);      /* no board, no hypervisor leaves */
    assert_false(out[ECX] & 1u << 27);
    r.c->cr4 |= X86_CR4_OSXSAVE;
    x86_cpuid(r.c, 1, 0, out);
    assert_true(out[ECX] & 1u << 27);
    for (unsigned n = 0; n < 3; n++)
        x86_cpuid(r.c, 0x80000002 + n, 0, (uint32_t *)(void *)(text + n * 16));
    assert_string_equal(text, "Isola Virtual Processor v3");
    x86_cpuid(r.c, 0x80000008, 0, out);
    assert_int_equal(out[EAX], 48 << 8 | 40);
    x86_cpuid(r.c, 0x15, 0, out);
    assert_int_equal((uint64_t)out[ECX] * out[EBX] / out[EAX] / 1000, r.vm->tsc_khz);
    /* Leaves beyond the last are answered as the last. */
    x86_cpuid(r.c, 0x17, 0, out);
    assert_int_equal(out[EAX], r.vm->tsc_khz / 1000);
    rig_free(&r);
}

static void test_board_leaves(void **state)
{
    static const struct x86_cpuid_leaf pv[] = {{0x40000000, {0x40000001, 1, 2, 3}},
                                               {0x40000001, {4, 0, 0, 0}}};
    struct rig r;
    uint32_t out[4];

    rig_new(&r);
    r.vm->pv_cpuid = pv;
    r.vm->pv_cpuid_count = 2;
    x86_cpuid(r.c, 1, 0, out);
    assert_true(out[ECX] & 1u << 31);
    x86_cpuid(r.c, 0x40000000, 0, out);
    assert_int_equal(out[EAX], 0x40000001);
    assert_int_equal(out[EDX], 3);
    x86_cpuid(r.c, 0x40000002, 0, out);
    assert_int_equal(out[EAX] | out[EBX] | out[ECX] | out[EDX], 0);
    rig_free(&r);
}

/* The sizes of leaf 0xd follow XCR0, and XCR0 takes what the leaf says and nothing else. */
static void test_state_components(void **state)
{
    struct rig r;
    uint32_t out[4];

    rig_new(&r);
    for (unsigned n = 0; x86_model_at(n); n++) {
        const struct x86_model *m = x86_model_at(n);
        bool avx = x86_model_has(m, X86_FEATURE(X86_W_1_ECX, 28));

        r.vm->model = m;
        x86_reset(r.c);
        assert_int_equal(x86_model_xcr0(m), avx ? 7 : 3);
        x86_cpuid(r.c, 0xd, 0, out);
        if (!x86_model_has(m, X86_FEATURE(X86_W_1_ECX, 26))) {
            assert_false(avx);
            continue;
        }
        assert_int_equal(out[EAX], avx ? 7 : 3);
        assert_int_equal(out[EBX], 576);
        assert_int_equal(out[ECX], avx ? 832 : 576);
        r.c->xcr0 = x86_model_xcr0(m);
        x86_cpuid(r.c, 0xd, 0, out);
        assert_int_equal(out[EBX], out[ECX]);
        x86_cpuid(r.c, 0xd, 2, out);
        assert_int_equal(out[EAX], avx ? 256 : 0);
        assert_int_equal(out[EBX], avx ? 576 : 0);
    }
    r.vm->model = x86_model_find(NULL);
    rig_free(&r);
}

/* Each CR4 bit can be set exactly when its feature is announced; CR4 and EFER refuse the rest. */
static void test_control_bits_follow_features(void **state)
{
    static const struct {
        unsigned feature;
        uint64_t bit;
    } map[] = {
        {X86_FEATURE(X86_W_1_EDX, 1), X86_CR4_VME},
        {X86_FEATURE(X86_W_1_EDX, 3), X86_CR4_PSE},
        {X86_FEATURE(X86_W_1_EDX, 13), X86_CR4_PGE},
        {X86_FEATURE(X86_W_7_ECX, 2), X86_CR4_UMIP},
        {X86_FEATURE(X86_W_7_EBX, 0), X86_CR4_FSGSBASE},
        {X86_FEATURE(X86_W_1_ECX, 26), X86_CR4_OSXSAVE},
        {X86_FEATURE(X86_W_7_EBX, 7), X86_CR4_SMEP},
        {X86_FEATURE(X86_W_7_EBX, 20), X86_CR4_SMAP},
    };
    struct rig r;
    uint64_t efer;

    rig_new(&r);
    for (unsigned n = 0; x86_model_at(n); n++) {
        r.vm->model = x86_model_at(n);
        x86_reset(r.c);
        for (unsigned k = 0; k < sizeof(map) / sizeof(map[0]); k++)
            assert_int_equal(x86_cr4_write(r.c, map[k].bit) == 0,
                             x86_model_has(r.vm->model, map[k].feature));
        assert_int_not_equal(x86_cr4_write(r.c, X86_CR4_LA57), 0);
        assert_int_not_equal(x86_cr4_write(r.c, 1ull << 40), 0);
        assert_int_equal(x86_msr_write(r.c, 0xc0000080, X86_EFER_NXE) == 0,
                         x86_model_has(r.vm->model, X86_FEATURE(X86_W_81_EDX, 20)));
        assert_int_not_equal(x86_msr_write(r.c, 0xc0000080, 1 << 12), 0); /* SVME */
    }
    r.vm->model = x86_model_find(NULL);
    rig_long(&r);
    assert_int_equal(x86_msr_read(r.c, 0xc0000080, &efer), 0);
    assert_true(efer & X86_EFER_LMA);
    /* LME may not change under paging; LMA is not the guest's to write. */
    assert_int_not_equal(x86_msr_write(r.c, 0xc0000080, efer & ~(uint64_t)X86_EFER_LME), 0);
    assert_int_equal(x86_msr_write(r.c, 0xc0000080, (efer & ~(uint64_t)X86_EFER_LMA) | 1), 0);
    assert_int_equal(x86_msr_read(r.c, 0xc0000080, &efer), 0);
    assert_true((efer & X86_EFER_LMA) && (efer & X86_EFER_SCE));
    rig_free(&r);
}

static void test_msrs(void **state)
{
    struct rig r;
    uint64_t v;

    rig_new(&r);
    assert_int_not_equal(x86_msr_read(r.c, 0x12345, &v), 0);
    assert_int_equal(x86_msr_read(r.c, 0x277, &v), 0);
    assert_true(v == 0x0007040600070406ull);
    assert_int_not_equal(x86_msr_write(r.c, 0x277, 0x0007040600070402ull), 0);
    assert_int_equal(x86_msr_write(r.c, 0x277, 0x0107040600070501ull), 0);
    assert_int_not_equal(x86_msr_write(r.c, 0xc0000082, 0x0000800000000000ull), 0);
    assert_int_equal(x86_msr_write(r.c, 0xc0000082, 0xffffffff81000000ull), 0);
    assert_int_not_equal(x86_msr_write(r.c, 0xc0000100, 0x8000000000000000ull), 0);
    /* SYSENTER_CS has no upper half. */
    assert_int_equal(x86_msr_write(r.c, 0x174, 0x1234567800000010ull), 0);
    assert_int_equal(x86_msr_read(r.c, 0x174, &v), 0);
    assert_int_equal(v, 0x10);
    assert_int_equal(x86_msr_write(r.c, 0x200, 0xc0000000), 0);
    assert_int_not_equal(x86_msr_write(r.c, 0x200, 0xc0000002), 0); /* type 2 is reserved */
    assert_int_not_equal(x86_msr_write(r.c, 0x201, 1ull << 40), 0); /* beyond MAXPHYADDR */
    assert_int_not_equal(x86_msr_write(r.c, 0xfe, 0), 0);           /* read-only */
    assert_int_equal(x86_msr_read(r.c, 0x10a, &v), 0);
    assert_true((v & 0x21) == 0x21); /* RDCL_NO, MDS_NO */
    /* The time stamp and its adjustment move together. */
    assert_int_equal(x86_msr_write(r.c, 0x10, 1000), 0);
    assert_int_equal(x86_msr_read(r.c, 0x3b, &v), 0);
    assert_true(v == 1000);
    assert_int_equal(x86_msr_write(r.c, 0x3b, 10), 0);
    assert_int_equal(x86_msr_read(r.c, 0x10, &v), 0);
    assert_true(v == 10);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_catalogue),    cmocka_unit_test(test_default_model),
        cmocka_unit_test(test_board_leaves), cmocka_unit_test(test_control_bits_follow_features),
        cmocka_unit_test(test_msrs),         cmocka_unit_test(test_state_components),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
