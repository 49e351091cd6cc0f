/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "build/containerfile.h"
#include "tests/test.h"

/* What a file was read as, a line per instruction. */
static char *describe(const char *text)
{
    struct containerfile f;
    struct error err = {0};
    struct str s = {0};

    if (containerfile_parse(text, strlen(text), &f, &err) < 0)
        return str_format("! %s", error_text(&err));
    for (size_t i = 0; i < f.count; i++) {
        const struct instruction *in = &f.list[i];
        str_addf(&s, "%u %s", in->line, instruction_name(in->kind));
        for (size_t k = 0; k < in->flag_count; k++)
            str_addf(&s, " {%s=%s}", in->flags[k].name, in->flags[k].value);
        if (in->words)
            for (char **w = in->words; *w; w++)
                str_addf(&s, " [%s]", *w);
        else
            str_addf(&s, " %s", in->text);
        for (size_t k = 0; k < in->document_count; k++)
            str_addf(&s, " <%s%s:%s>", in->documents[k].name, in->documents[k].expand ? "" : "!",
                     in->documents[k].text);
        str_add(&s, "\n");
    }
    containerfile_done(&f);
    return str_steal(&s);
}

static void assert_read(const char *text, const char *expected)
{
    char *got = describe(text);

    assert_string_equal(got, expected);
    free(got);
}

static void assert_refused(const char *text, const char *says)
{
    char *got = describe(text);

    if (got[0] != '!' || !strstr(got, says))
        fail_msg("%s: %s", text, got);
    free(got);
}

static void instructions_are_read(void **state)
{
    (void)state;
    assert_read("FROM debian\nRUN echo hi\nCMD [\"sh\", \"-c\", \"x\\ty\"]\n",
                "1 FROM debian\n2 RUN echo hi\n3 CMD [sh] [-c] [x\ty]\n");
    assert_read(
        "\xef\xbb\xbf# a comment\n\n  from  a AS b  \r\n\tcopy --chown=1:2 --from=b x /y\r\n",
        "3 FROM a AS b\n4 COPY {chown=1:2} {from=b} x /y\n");
    assert_read("ARG V=1\nFROM a:$V\nRUN [not json\nCMD --version\nENTRYPOINT []\n",
                "1 ARG V=1\n2 FROM a:$V\n3 RUN [not json\n4 CMD --version\n5 ENTRYPOINT\n");
    assert_read("FROM a\nRUN --mount=type=cache,target=\"/a b\" --network=none make -- x",
                "1 FROM a\n2 RUN {mount=type=cache,target=\"/a b\"} {network=none} make -- x\n");
    assert_read("FROM a\nCOPY --link x y", "1 FROM a\n2 COPY {link=true} x y\n");
}

static void lines_are_joined(void **state)
{
    (void)state;
    assert_read("FROM a\nRUN one \\\n  two \\  \n# between\n\n  three\nUSER x\n",
                "1 FROM a\n2 RUN one   two   three\n7 USER x\n");
    assert_read("# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nRUN c:\\ `\n x\n",
                "3 FROM a\n4 RUN c:\\  x\n");
    assert_read("FROM a\nRUN x \\", "1 FROM a\n2 RUN x \n");
}

static void here_documents_are_read(void **state)
{
    (void)state;
    assert_read("FROM a\nRUN <<EOF\n# kept\n\techo $x\n\nEOF\nUSER b\n",
                "1 FROM a\n2 RUN <<EOF <EOF:# kept\n\techo $x\n\n>\n7 USER b\n");
    assert_read("FROM a\nCOPY <<-A <<'B' /x/\n\tone\n\tA\ntwo\nB\n",
                "1 FROM a\n2 COPY <<-A <<'B' /x/ <A:one\n> <B!:two\n>\n");
    assert_read("FROM a\nRUN cat <<EOF >x; echo '<<NO' <<<word\nt\nEOF\n",
                "1 FROM a\n2 RUN cat <<EOF >x; echo '<<NO' <<<word <EOF:t\n>\n");
    assert_read("FROM a\nRUN echo $((1<<2))\n", "1 FROM a\n2 RUN echo $((1<<2))\n");
    assert_refused("FROM a\nRUN <<EOF\nx\n", "line 2: the here-document EOF has no end");
}

static void mistakes_are_named(void **state)
{
    (void)state;
    assert_refused("", "no FROM");
    assert_refused("ARG x\n", "no FROM");
    assert_refused("RUN x\nFROM a\n", "line 1: RUN before");
    assert_refused("FROM a\nRUNN x\n", "line 2: unknown instruction \"RUNN\"");
    assert_refused("FROM a\nCOPY --form=x a b\n", "no flag --form");
    assert_refused("FROM a\nCOPY [\"a\"]\n", "sources and a destination");
    assert_refused("FROM a\nSHELL sh\n", "SHELL wants a list");
    assert_refused("FROM a\nONBUILD FROM b\n", "cannot keep FROM");
    assert_refused("FROM a\nONBUILD x\n", "wants an instruction");
    assert_refused("FROM a\nRUN\n", "RUN wants arguments");
    assert_refused("FROM a\nRUN a\033b\n", "control character");
    assert_refused("# escape=x\nFROM a\n", "escape is");
}

static void sizes_are_limited(void **state)
{
    struct str s = {0};
    struct containerfile f;

    (void)state;
    str_add(&s, "FROM a\n");
    for (int i = 0; i < CONTAINERFILE_INSTRUCTIONS_MAX; i++)
        str_add(&s, "USER x\n");
    assert_int_equal(containerfile_parse(str_text(&s), s.len, &f, NULL), -E2BIG);
    s.len = 0;
    for (int i = 0; i <= CONTAINERFILE_FLAGS_MAX; i++)
        str_add(&s, i ? "--mount=x " : "FROM a\nRUN --mount=y ");
    assert_int_equal(containerfile_parse(str_text(&s), s.len, &f, NULL), -E2BIG);
    assert_int_equal(containerfile_parse("FROM\0a", 6, &f, NULL), -EINVAL);
    str_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instructions_are_read),   cmocka_unit_test(lines_are_joined),
        cmocka_unit_test(here_documents_are_read), cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(sizes_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
