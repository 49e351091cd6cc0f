/* SPDX-License-Identifier: Apache-2.0 */
#include "network/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

#include "network/nft.h"
#include "../test.h"

/* Messages are in the host's byte order; the bytes below are of a little-endian one. */

static void test_bytes(void **state)
{
    static const uint8_t wanted[] = {
        /* length 48, type 18 (RTM_GETLINK), NLM_F_REQUEST, sequence 1, no port */
        48, 0, 0, 0, 18, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0,
        /* a family's header of five bytes, padded */
        1, 2, 3, 4, 5, 0, 0, 0,
        /* type 3, nested, 24 bytes: a text with its NUL, a big-endian number, nothing */
        24, 0, 3, 128, 8, 0, 1, 0, 'e', 't', 'h', 0, 8, 0, 2, 0, 0, 0, 1, 2,
        /* empty */
        4, 0, 4, 0};
    static const uint8_t header[] = {1, 2, 3, 4, 5};
    struct netlink_writer w = {0};
    size_t nest;

    netlink_message(&w, RTM_GETLINK, 0, header, sizeof header, NULL);
    nest = netlink_nest(&w, 3);
    netlink_put_text(&w, 1, "eth");
    netlink_put_be32(&w, 2, 0x102);
    netlink_put(&w, 4, NULL, 0);
    netlink_unnest(&w, nest);
    assert_false(w.failed);
    assert_int_equal(w.len, 48);
    assert_memory_equal(w.data, wanted, sizeof wanted);
    netlink_done(&w);
}

static void test_two_messages(void **state)
{
    struct netlink_writer w = {0};
    struct nlmsghdr a, b;

    netlink_message(&w, 20, NLM_F_CREATE, "head", 4, NULL);
    netlink_put(&w, 1, "x", 1);
    netlink_message(&w, 21, 0, "head", 4, NULL);
    netlink_flag(&w, NLM_F_ACK);
    memcpy(&a, w.data, sizeof a);
    assert_int_equal(a.nlmsg_len, 28);
    assert_int_equal(a.nlmsg_flags, NLM_F_REQUEST | NLM_F_CREATE);
    memcpy(&b, w.data + 28, sizeof b);
    assert_int_equal(b.nlmsg_len, 20);
    assert_int_equal(b.nlmsg_seq, 2);
    assert_int_equal(b.nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK);
    assert_int_equal(w.len, 48);
    netlink_done(&w);
}

/* What nft(8) sends for "add rule ip t c ip daddr 127.0.0.0/8 drop" after the names. */
static void test_rule(void **state)
{
    static const uint8_t wanted[] = {
        /* the list */
        0xa4, 0, 4, 0x80,
        /* payload: register 1, network header, offset 16, one byte */
        0x34, 0, 1, 0x80, 12, 0, 1, 0, 'p', 'a', 'y', 'l', 'o', 'a', 'd', 0, 0x24, 0, 2, 0x80, 8, 0,
        1, 0, 0, 0, 0, 1, 8, 0, 2, 0, 0, 0, 0, 1, 8, 0, 3, 0, 0, 0, 0, 16, 8, 0, 4, 0, 0, 0, 0, 1,
        /* cmp: register 1, equal, 127 */
        0x2c, 0, 1, 0x80, 8, 0, 1, 0, 'c', 'm', 'p', 0, 0x20, 0, 2, 0x80, 8, 0, 1, 0, 0, 0, 0, 1, 8,
        0, 2, 0, 0, 0, 0, 0, 12, 0, 3, 0x80, 5, 0, 1, 0, 127, 0, 0, 0,
        /* immediate: the verdict's register, drop */
        0x30, 0, 1, 0x80, 14, 0, 1, 0, 'i', 'm', 'm', 'e', 'd', 'i', 'a', 't', 'e', 0, 0, 0, 0x1c,
        0, 2, 0x80, 8, 0, 1, 0, 0, 0, 0, 0, 16, 0, 2, 0x80, 12, 0, 2, 0x80, 8, 0, 1, 0, 0, 0, 0, 0};
    const struct nft_table t = {NFPROTO_IPV4, "t"};
    struct netlink_writer w = {0};
    struct nft_rule rule = nft_rule_begin(&w, &t, "c");
    const void *list;
    size_t len;

    nft_match_loopback(&w, false);
    nft_drop(&w);
    nft_rule_end(&w, rule);
    assert_false(w.failed);
    list = netlink_find(w.data + NLMSG_HDRLEN + 4, w.len - NLMSG_HDRLEN - 4, NFTA_RULE_EXPRESSIONS,
                        0, &len);
    assert_non_null(list);
    assert_int_equal(len, sizeof wanted - 4);
    assert_memory_equal(list, wanted + 4, len);
    netlink_done(&w);
}

/* Attributes that lie about their lengths. */
static void test_find(void **state)
{
    static const uint8_t good[] = {5, 0, 1, 0, 9, 0, 0, 0, 8, 0, 2, 0x80, 1, 2, 3, 4};
    static const uint8_t longer[] = {9, 0, 1, 0, 1, 2, 3, 4};
    static const uint8_t zero[] = {0, 0, 1, 0, 8, 0, 2, 0, 1, 2, 3, 4};
    size_t len = 0;

    assert_ptr_equal(netlink_find(good, sizeof good, 2, 4, &len), good + 12);
    assert_int_equal(len, 4);
    assert_null(netlink_find(good, sizeof good, 2, 5, NULL));
    assert_null(netlink_find(good, sizeof good, 3, 0, NULL));
    assert_ptr_equal(netlink_find(good, sizeof good, 1, 1, &len), good + 4);
    assert_int_equal(len, 1);
    assert_null(netlink_find(longer, sizeof longer, 1, 0, NULL));
    assert_null(netlink_find(zero, sizeof zero, 2, 0, NULL));
    assert_null(netlink_find(good, 3, 1, 0, NULL));
}

/* What cannot be written is an error of the sending, and nothing is sent. */
static void test_too_much(void **state)
{
    static uint8_t large[70000];
    struct netlink_writer w = {0};
    struct error err = {0};

    netlink_message(&w, RTM_GETLINK, 0, "head", 4, NULL);
    netlink_put(&w, 1, large, sizeof large);
    assert_true(w.failed);
    assert_int_equal(netlink_send(-1, &w, &err), -ENOMEM);
    netlink_done(&w);
}

/* The kernel's own answers, which need no right. */
static void test_kernel(void **state)
{
    const struct ifinfomsg none = {.ifi_index = 0x7ffffff0}, loopback = {.ifi_index = 1};
    struct netlink_writer w = {0};
    struct error err = {0};
    int fd = netlink_open(NETLINK_ROUTE, &err);

    assert_true(fd >= 0);
    netlink_message(&w, RTM_GETLINK, 0, &loopback, sizeof loopback, "find loopback");
    assert_int_equal(netlink_send(fd, &w, &err), 0);
    netlink_done(&w);
    netlink_message(&w, RTM_GETLINK, 0, &none, sizeof none, "find nothing");
    assert_int_equal(netlink_send(fd, &w, &err), -ENODEV);
    assert_non_null(strstr(error_text(&err), "find nothing"));
    netlink_done(&w);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),    cmocka_unit_test(test_two_messages),
        cmocka_unit_test(test_rule),     cmocka_unit_test(test_find),
        cmocka_unit_test(test_too_much), cmocka_unit_test(test_kernel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
