/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/own.h"
#include "instance/lifecycle.h"

static const char *document; /* path of docs/lifecycle.md */

/* Each cell by rules of its own, so that a slip in the table shows. */
static void every_cell(void **state)
{
    for (unsigned v = 0; v < LIFECYCLE_VERBS; v++)
        for (unsigned s = 0; s < LIFECYCLE_STATES; s++) {
            const struct lifecycle_cell *c = lifecycle_cell(s, v), *got = NULL;
            bool alive = lifecycle_supervised(s);
            struct error err = {0};
            int r = lifecycle_check(s, v, &got, &err);

            assert_int_equal(r, c->outcome == LIFECYCLE_REFUSED ? -ESTALE : 0);
            if (r < 0) {
                assert_non_null(c->hint);
                assert_non_null(strstr(err.text, lifecycle_state_name(s)));
                assert_non_null(strstr(err.text, c->hint));
            } else {
                assert_ptr_equal(got, c);
                assert_null(c->hint);
            }
            /* Whoever looks or waits is never refused. */
            if (v == LIFECYCLE_WAIT || v == LIFECYCLE_LOGS || v == LIFECYCLE_INSPECT ||
                v == LIFECYCLE_RENAME)
                assert_int_equal(c->outcome, LIFECYCLE_ALLOWED);
            /* Nothing that lives is removed unforced, everything by force. */
            if (v == LIFECYCLE_RM)
                assert_int_equal(c->outcome, alive ? LIFECYCLE_REFUSED : LIFECYCLE_REMOVED);
            if (v == LIFECYCLE_RM_FORCE)
                assert_int_equal(c->outcome, LIFECYCLE_REMOVED);
            /* Ends end in states without a supervisor, and only what lives can end. */
            if (v == LIFECYCLE_STOP || v == LIFECYCLE_KILL || v == LIFECYCLE_ENDED ||
                v == LIFECYCLE_LOST) {
                assert_int_equal(c->outcome == LIFECYCLE_MOVES, alive);
                assert_true(!alive || !lifecycle_supervised(c->next));
            }
            if (v == LIFECYCLE_LOST && alive)
                assert_int_equal(c->next, LIFECYCLE_DEAD);
            else if (c->outcome == LIFECYCLE_MOVES)
                assert_int_not_equal(c->next, LIFECYCLE_DEAD);
            /* One that is started runs. */
            if ((v == LIFECYCLE_START || v == LIFECYCLE_RESTART) && c->outcome == LIFECYCLE_MOVES)
                assert_int_equal(c->next, LIFECYCLE_RUNNING);
            if (v == LIFECYCLE_RESTART)
                assert_int_equal(c->outcome, LIFECYCLE_MOVES);
            /* What speaks with a supervisor needs one. */
            if (v == LIFECYCLE_ATTACH || v == LIFECYCLE_STATS)
                assert_int_equal(c->outcome, alive ? LIFECYCLE_ALLOWED : LIFECYCLE_REFUSED);
            if (v == LIFECYCLE_PAUSE)
                assert_int_equal(c->outcome,
                                 s == LIFECYCLE_RUNNING ? LIFECYCLE_MOVES : LIFECYCLE_REFUSED);
            if (v == LIFECYCLE_UNPAUSE)
                assert_int_equal(c->outcome,
                                 s == LIFECYCLE_PAUSED ? LIFECYCLE_MOVES : LIFECYCLE_REFUSED);
        }
}

/* From created every state can be reached, and from every state removal. */
static void no_state_is_a_trap(void **state)
{
    bool reached[LIFECYCLE_STATES] = {[LIFECYCLE_CREATED] = true};

    for (unsigned round = 0; round < LIFECYCLE_STATES; round++)
        for (unsigned s = 0; s < LIFECYCLE_STATES; s++)
            for (unsigned v = 0; reached[s] && v < LIFECYCLE_VERBS; v++)
                if (lifecycle_cell(s, v)->outcome == LIFECYCLE_MOVES)
                    reached[lifecycle_cell(s, v)->next] = true;
    for (unsigned s = 0; s < LIFECYCLE_STATES; s++)
        assert_true(reached[s]);
}

static void names_parse(void **state)
{
    enum lifecycle_state s;

    for (unsigned i = 0; i < LIFECYCLE_STATES; i++) {
        assert_true(lifecycle_state_parse(lifecycle_state_name(i), &s));
        assert_int_equal(s, i);
    }
    assert_false(lifecycle_state_parse("zombie", &s));
}

static void document_is_current(void **state)
{
    cleanup_fd int fd = open(document, O_RDONLY | O_CLOEXEC);
    struct str want = {0};
    char have[65536];
    ssize_t n;

    lifecycle_document(&want);
    assert_true(fd >= 0);
    n = read(fd, have, sizeof have - 1);
    assert_true(n >= 0);
    have[n] = 0;
    if (strcmp(have, want.data) != 0)
        fail_msg("run: instance_lifecycle_test print >%s", document);
    str_done(&want);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell),
        cmocka_unit_test(no_state_is_a_trap),
        cmocka_unit_test(names_parse),
        cmocka_unit_test(document_is_current),
    };
    struct str text = {0};

    if (argc == 2 && strcmp(argv[1], "print") == 0) {
        lifecycle_document(&text);
        fputs(text.data, stdout);
        str_done(&text);
        return 0;
    }
    document = argc == 2 ? argv[1] : "docs/lifecycle.md";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
