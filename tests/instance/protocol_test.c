/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "instance/protocol.h"

static struct error err;

static int parse(const char *line, struct protocol_request *q)
{
    return protocol_parse(line, strlen(line), q, &err);
}

static void requests(void **state)
{
    struct protocol_request q;

    assert_int_equal(parse("{\"do\":\"stop\",\"timeout\":3,\"id\":7}", &q), 0);
    assert_int_equal(q.verb, PROTOCOL_STOP);
    assert_int_equal(q.timeout, 3);
    assert_int_equal(q.id, 7);
    assert_int_equal(parse("{\"do\":\"state\"}", &q), 0);
    assert_int_equal(q.id, -1);
    assert_int_equal(parse("{\"do\":\"attach\",\"input\":true,\"wait\":true,\"replay\":false,"
                           "\"columns\":80,\"rows\":25}",
                           &q),
                     0);
    assert_true(q.input && q.wait && !q.replay && q.columns == 80 && q.rows == 25);
    assert_int_equal(parse("{\"do\":\"kill\",\"signal\":9}", &q), 0);
    assert_int_equal(q.signal, 9);
    assert_int_equal(parse("{\"do\":\"update\",\"key\":\"restart\",\"value\":\"no\"}", &q), 0);
    assert_string_equal(q.value, "no");
    assert_int_equal(
        parse("{\"do\":\"exec\",\"words\":[\"ls\",\"-l\"],\"env\":[\"A=b\"],\"user\":\"al\","
              "\"workdir\":\"/tmp\",\"tty\":true,\"input\":true,\"detach\":false}",
              &q),
        0);
    assert_memory_equal(q.texts, "ls\0-l\0A=b\0/tmp\0al", 18);
    assert_int_equal(q.word_count, 2);
    assert_int_equal(q.env_count, 1);
    assert_string_equal(q.workdir, "/tmp");
    assert_string_equal(q.user, "al");
    assert_true(q.tty && q.input && !q.detach);
    for (unsigned v = 0; v < PROTOCOL_VERBS; v++)
        assert_non_null(protocol_verb_name(v));
}

static void bad_requests(void **state)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "[]",
                                      "3",
                                      "{}",
                                      "{\"do\":1}",
                                      "{\"do\":\"nosuch\"}",
                                      "{\"do\":\"state\",\"x\":1}",
                                      "{\"do\":\"state\",\"timeout\":1}",
                                      "{\"do\":\"stop\",\"timeout\":\"1\"}",
                                      "{\"do\":\"stop\",\"timeout\":-2}",
                                      "{\"do\":\"stop\",\"timeout\":99999999999}",
                                      "{\"do\":\"kill\"}",
                                      "{\"do\":\"kill\",\"signal\":0}",
                                      "{\"do\":\"kill\",\"signal\":65}",
                                      "{\"do\":\"attach\",\"input\":1}",
                                      "{\"do\":\"exec\"}",
                                      "{\"do\":\"exec\",\"words\":[]}",
                                      "{\"do\":\"exec\",\"words\":\"ls\"}",
                                      "{\"do\":\"exec\",\"words\":[1]}",
                                      "{\"do\":\"exec\",\"words\":[\"a\\u0000b\"]}",
                                      "{\"do\":\"exec\",\"words\":[\"a\"],\"env\":[null]}",
                                      "{\"do\":\"exec\",\"words\":[\"a\"],\"user\":3}",
                                      "{\"do\":\"attach\",\"columns\":65536}",
                                      "{\"do\":\"attach\",\"stream\":true}",
                                      "{\"do\":\"update\",\"value\":\"x\"}",
                                      "{\"do\":\"state\",\"do\":\"state\"}",
                                      "{\"do\":\"state\",\"id\":\"x\"}",
                                      "{\"do\":\"state\",\"id\":-1}",
                                      "{\"do\":\"state\"} {}"};
    struct protocol_request q;
    char deep[4000];

    for (size_t i = 0; i < array_size(bad); i++)
        if (parse(bad[i], &q) != -EINVAL)
            fail_msg("accepted: %s", bad[i]);
    assert_int_equal(parse("{\"do\":\"nosuch\",\"id\":5}", &q), -EINVAL);
    assert_int_equal(q.id, 5); /* so that the refusal can be told apart */
    memset(deep, '[', sizeof deep);
    assert_int_equal(protocol_parse(deep, sizeof deep, &q, &err), -EINVAL);
}

static void feed(struct protocol_reader *r, const void *bytes, size_t n)
{
    size_t room;
    uint8_t *space = protocol_space(r, &room);

    assert_true(n <= room);
    memcpy(space, bytes, n);
    protocol_received(r, n);
}

static void lines_in_pieces(void **state)
{
    static const char text[] = "one\n\ntwo words\nrest";
    struct protocol_reader *r = mem_new(struct protocol_reader);
    struct str seen = {0};
    const char *line;
    size_t len;

    for (size_t i = 0; i < sizeof text - 1; i++) {
        feed(r, text + i, 1);
        while (protocol_next_line(r, &line, &len) == 1)
            str_addf(&seen, "[%.*s]", (int)len, line);
    }
    assert_string_equal(seen.data, "[one][][two words]");
    assert_int_equal(protocol_next_line(r, &line, &len), 0);
    str_done(&seen);
    free(r);
}

static void a_line_has_an_end(void **state)
{
    struct protocol_reader *r = mem_new(struct protocol_reader);
    const char *line;
    size_t room, len;

    memset(protocol_space(r, &room), 'x', PROTOCOL_LINE_MAX);
    assert_int_equal(room, PROTOCOL_LINE_MAX);
    protocol_received(r, room);
    assert_int_equal(protocol_next_line(r, &line, &len), -EMSGSIZE);
    free(r);
}

static void frames(void **state)
{
    struct protocol_reader *r = mem_new(struct protocol_reader);
    uint8_t header[PROTOCOL_FRAME_HEADER], type;
    const uint8_t *data;
    size_t len;

    protocol_frame_header(header, PROTOCOL_FRAME_INPUT, 5);
    feed(r, header, sizeof header);
    feed(r, "hel", 3);
    assert_int_equal(protocol_next_frame(r, &type, &data, &len), 0);
    feed(r, "lo", 2);
    protocol_frame_header(header, PROTOCOL_FRAME_DETACH, 0);
    feed(r, header, sizeof header);
    assert_int_equal(protocol_next_frame(r, &type, &data, &len), 1);
    assert_int_equal(type, PROTOCOL_FRAME_INPUT);
    assert_int_equal(len, 5);
    assert_memory_equal(data, "hello", 5);
    protocol_unread_frame(r, 5);
    assert_int_equal(protocol_next_frame(r, &type, &data, &len), 1);
    assert_memory_equal(data, "hello", 5);
    assert_int_equal(protocol_next_frame(r, &type, &data, &len), 1);
    assert_int_equal(type, PROTOCOL_FRAME_DETACH);
    feed(r, "\1\1\0\0", 4); /* the reserved byte */
    assert_int_equal(protocol_next_frame(r, &type, &data, &len), -EPROTO);
    free(r);
    r = mem_new(struct protocol_reader);
    feed(r, "\1\0\1\x20", 4); /* 8193 bytes */
    assert_int_equal(protocol_next_frame(r, &type, &data, &len), -EPROTO);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),        cmocka_unit_test(bad_requests),
        cmocka_unit_test(lines_in_pieces), cmocka_unit_test(a_line_has_an_end),
        cmocka_unit_test(frames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
