/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/template.h"

static const char document[] =
    "{\"id\": \"0123456789abcdef\", \"name\": \"web\", \"exit_code\": 3, \"ratio\": 1.5,"
    " \"state\": {\"status\": \"running\", \"running\": true, \"error\": null},"
    " \"labels\": {\"tier\": \"front\", \"a.b\": \"dotted\"}, \"ports\": [80, 443],"
    " \"mounts\": []}";

static json_t *value;

static int setup(void **state)
{
    value = json_loads(document, 0, NULL);
    return value ? 0 : -1;
}

static int teardown(void **state)
{
    json_decref(value);
    return 0;
}

static void test_renders(void **state)
{
    static const struct {
        const char *template, *text;
    } cases[] = {
        {"plain", "plain"},
        {"{{.Name}}", "web"},
        {"{{.name}}-{{ .ID }}", "web-0123456789abcdef"},
        {"{{.Names}}", "web"},
        {"{{.ExitCode}} {{.exit_code}}", "3 3"},
        {"{{.State.Status}} {{.State.Running}}[{{.State.Error}}]", "running true[]"},
        {"a\\tb\\n", "a\tb\n"},
        {"{{json .Ports}}", "[80,443]"},
        {"{{json .Name}}", "\"web\""},
        {"{{.Ports}}", "[80,443]"},
        {"{{index .Ports 1}}", "443"},
        {"{{index .Labels \"a.b\"}}", "dotted"},
        {"{{index .Labels \"none\"}}", ""},
        {"{{.Label \"tier\"}}", "front"},
        {"{{len .Ports}}{{len .Name}}{{len .Labels}}{{len .Mounts}}", "2320"},
        {"{{upper .Name}} {{.Name | upper | lower}} {{title .Name}}", "WEB web Web"},
        {"{{join .Ports \", \"}}", "80, 443"},
        {"{{json (split .Name \"e\")}}", "[\"w\",\"b\"]"},
        {"{{printf \"%-5s|%5s|%05d|%.2f|%x|%%|%q\" .Name .Name .ExitCode .Ratio .ExitCode .Name}}",
         "web  |  web|00003|1.50|3|%|\"web\""},
        {"{{printf \"%.2s\" .Name}}", "we"},
        {"{{\"}}\"}}", "}}"},
        {"{{`raw\\n`}}", "raw\\n"},
        {"{{range .Ports}}<{{.}}>{{end}}", "<80><443>"},
        {"{{range $i, $p := .Ports}}{{$i}}={{$p}} {{end}}", "0=80 1=443 "},
        {"{{range $k, $v := .Labels}}{{$k}}:{{$v}};{{end}}", "tier:front;a.b:dotted;"},
        {"{{range $p := .Ports}}{{$p}}{{$.Name}}{{end}}", "80web443web"},
        {"{{range .Mounts}}x{{else}}none{{end}}", "none"},
        {"{{range .State.Error}}x{{end}}", ""},
        {"{{range .Ports}}{{if eq . 80}}http{{else}} other{{end}}{{end}}", "http other"},
        {"{{if .State.Running}}up{{end}}{{if .Mounts}}no{{else if .Name}}yes{{else}}no{{end}}",
         "upyes"},
        {"{{if false}}{{.Nothing}}{{range .Nothing}}{{if x}}{{end}}{{end}}{{end}}", ""},
        {"{{with .State}}{{.Status}}{{end}}{{with .Mounts}}x{{else}}-{{end}}", "running-"},
        {"{{$n := .Name}}{{$n}}{{with $s := .State}}{{$s.Status}}{{end}}", "webrunning"},
        {"{{(index .Ports 0)}} {{(index .Labels \"tier\")}} {{(.State).Status}}",
         "80 front running"},
        {"{{and .Name .ExitCode}} {{or .Mounts .Name}} {{not .Mounts}} {{ne 1 2}}",
         "3 web true true"},
        {"{{lt 1 2}} {{le 2 2}} {{gt .Ratio 1}} {{ge \"a\" \"b\"}} {{eq 1 2 1}}",
         "true true true false true"},
        {"a {{- /* said to nobody */ -}} b", "ab"},
        {"{{println .Name 1}}", "web 1\n"},
        {"{{range .Ports}}\n{{.}}{{end}}", "\n80\n443"},
        {"a  {{- .Name -}}  b", "awebb"},
        {"{", "{"},
        {"", ""},
    };

    for (size_t i = 0; i < array_size(cases); i++) {
        struct str out = {0};
        struct error err = {0};
        int r = template_render(cases[i].template, value, &out, &err);
        if (r)
            fail_msg("%s: %s", cases[i].template, error_text(&err));
        assert_string_equal(str_text(&out), cases[i].text);
        str_done(&out);
    }
}

static void test_refuses(void **state)
{
    static const struct {
        const char *template, *text;
    } cases[] = {
        {"{{.Nam}}", "template: no field \"Nam\"; did you mean \"name\"?"},
        {"{{.Labels.x}}", "template: no field \"x\"; there are tier, a.b"},
        {"{{.Name.x}}", "template: .x: the value before it has no fields"},
        {"{{.Name", "template: \"{{\" without \"}}\""},
        {"{{\"a}}", "template: \"{{\" without \"}}\""},
        {"{{}}", "template: empty {{}}"},
        {"{{.Name |}}", "template: nothing after \"|\""},
        {"{{range .Ports}}x", "template: \"range\" without \"end\""},
        {"{{if .Name}}x{{else}}y{{else}}z{{end}}", "template: a second \"else\" of \"if\""},
        {"{{end}}", "template: \"end\" outside of if, with and range"},
        {"{{if true}}{{end}}{{else}}", "template: \"else\" outside of if, with and range"},
        {"{{range .Name}}{{end}}", "template: range needs a list or an object"},
        {"{{$x}}", "template: there is no variable $x"},
        {"{{if true}}{{$x := 1}}{{end}}{{$x}}", "template: there is no variable $x"},
        {"{{$ := 1}}", "template: a variable needs a name"},
        {"{{lt 1 \"a\"}}", "template: lt, le, gt and ge need two numbers or two texts"},
        {"{{if}}{{end}}", "template: empty {{}}"},
        {"{{.Name .Name}}", "template: a function is missing"},
        {"{{index .Ports 9}}", "template: index 9 is out of range"},
        {"{{index .Name 0}}", "template: index needs an object and a text, or a list and a number"},
        {"{{len .ExitCode}}", "template: len needs a text, a list or an object"},
        {"{{(.Name}}", "template: \")\" is missing"},
        {"{{.State..Status}}", "template: a name is missing after \".\""},
        {"{{99999999999999999999}}", "template: a number is too large"},
        {"{{json 1 2 3 4 5 6 7 8 9}}", "template: too many words"},
    };

    for (size_t i = 0; i < array_size(cases); i++) {
        struct str out = {0};
        struct error err = {0};
        assert_int_equal(template_render(cases[i].template, value, &out, &err), -EINVAL);
        assert_string_equal(error_text(&err), cases[i].text);
        str_done(&out);
    }
}

static void test_bad_printf(void **state)
{
    static const char *const cases[] = {
        "{{printf \"%s\"}}", "{{printf \"%n\" .Name}}",     "{{printf \"x\" .Name}}",
        "{{printf \"%\"}}",  "{{printf \"%x\" .Name}}",     "{{printf .ExitCode}}",
        "{{printf}}",        "{{printf \"%1000000000\" 1}}"};

    for (size_t i = 0; i < array_size(cases); i++) {
        struct str out = {0};
        struct error err = {0};
        assert_int_equal(template_render(cases[i], value, &out, &err), -EINVAL);
        assert_true(strstr(error_text(&err), "printf needs") != NULL);
        str_done(&out);
    }
}

/* Nested parentheses end at a limit instead of the stack. */
static void test_deep(void **state)
{
    char text[4096] = "{{";
    struct str out = {0};
    struct error err = {0};

    memset(text + 2, '(', sizeof(text) - 10);
    strcat(text, "}}");
    assert_int_equal(template_render(text, value, &out, &err), -EINVAL);
    str_done(&out);
}

static void collect(void *opaque, const char *name, size_t n)
{
    struct str *out = opaque;
    str_add_n(out, name, n);
    str_add_char(out, ' ');
}

static void test_fields(void **state)
{
    struct str out = {0};

    template_fields("{{.ID}} .no {{upper .State.Status}} {{json .}}", collect, &out);
    assert_string_equal(str_text(&out), "ID Status ");
    str_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_renders),    cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_bad_printf), cmocka_unit_test(test_deep),
        cmocka_unit_test(test_fields),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
