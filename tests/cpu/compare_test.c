/* SPDX-License-Identifier: Apache-2.0 */
/* Processors compared: equal states in other clothes are equal, every field that differs is told.
 */
#include "rig.h"

#include <string.h>

#include "cpu/x86/compare.h"
#include "cpu/x86/flags.h"
#include "cpu/x86/interp.h"
#include "cpu/x86/state.h"

static void test_equal(void **state)
{
    struct rig a, b;
    struct str out = {0};

    rig_new(&a);
    rig_new(&b);
    rig_long(&a);
    rig_long(&b);
    /* The same flags from another operation. */
    a.c->lazy = (struct x86_lazy){.result = 0};
    x86_flags_set(b.c, x86_flags_get(a.c), X86_ARITH);
    b.c->shadow_rip = 1; /* of no shadow */
    assert_int_equal(x86_compare(a.c, b.c, &out), 0);
    assert_int_equal(out.len, 0);
    rig_free(&a);
    rig_free(&b);
}

/* One bit of each field in turn: it is named first, or is one of the few that mean nothing alone.
 */
static void test_each_field_is_told(void **state)
{
    struct rig a, b;
    unsigned told = 0;

    rig_new(&a);
    rig_new(&b);
    rig_long(&a);
    rig_long(&b);
    for (unsigned i = 0; i < x86_cpu_state.field_count; i++) {
        const struct state_field *f = &x86_cpu_state.fields[i];
        uint8_t *byte = (uint8_t *)b.c + f->offset + f->size - 1;
        struct str out = {0};
        unsigned n;

        *byte ^= 1;
        n = x86_compare(a.c, b.c, &out);
        *byte ^= 1;
        if (n) {
            /* A shadow makes its place count as well. */
            assert_true(n <= 2);
            assert_true(strncmp(out.data, f->name, strlen(f->name)) == 0 ||
                        strcmp(f->name, "rflags") == 0);
            told++;
        } else {
            assert_true(!strncmp(f->name, "lazy.", 5) || !strcmp(f->name, "edges") ||
                        !strcmp(f->name, "shadow_rip"));
        }
        str_done(&out);
    }
    assert_true(told > 90);
    rig_free(&a);
    rig_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_each_field_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
