/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/doctor.h"

static void test_flags(void **state)
{
    static const char info[] = "processor\t: 0\nmodel name\t: vmx 9000\n"
                               "flags\t\t: fpu vme xvmx svmx de\nbugs\t\t: svm\n"
                               "processor\t: 1\nflags\t\t: fpu smep\n";

    assert_true(doctor_has_flag(info, "fpu"));
    assert_true(doctor_has_flag(info, "de"));
    assert_true(doctor_has_flag(info, "smep"));
    assert_false(doctor_has_flag(info, "vmx"));
    assert_false(doctor_has_flag(info, "svm"));
    assert_false(doctor_has_flag("", "fpu"));
    assert_true(doctor_has_flag("flags\t\t: a vmx", "vmx"));
}

static void test_kvm(void **state)
{
    static const struct {
        int error;
        bool vmx;
        enum doctor_result result;
        const char *text;
    } cases[] = {
        {0, true, DOCTOR_OK, "/dev/kvm works"},
        {0, false, DOCTOR_NO, "no vmx or svm behind /dev/kvm: too slow, passed over"},
        {ENOENT, true, DOCTOR_NO, "no /dev/kvm, though vmx or svm is there: load the module kvm"},
        {ENOENT, false, DOCTOR_NO, "no /dev/kvm and no vmx or svm in the processor's flags"},
        {EACCES, true, DOCTOR_NO, "/dev/kvm may not be opened; join its group (often kvm)"},
        {ENODEV, true, DOCTOR_NO, "/dev/kvm: No such device"},
    };

    for (size_t i = 0; i < array_size(cases); i++) {
        struct str out = {0};
        assert_int_equal(doctor_kvm(cases[i].error, cases[i].vmx, &out), cases[i].result);
        assert_string_equal(str_text(&out), cases[i].text);
        str_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_kvm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
