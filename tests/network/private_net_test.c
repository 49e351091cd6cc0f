/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private networks in a network namespace of the test, read back with nft(8). Skipped where it has
 * no right to make one, or no nft.
 */
#include "network/private_net.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "network/link.h"
#include "network/netlink.h"
#include "../test.h"

#define ID    "00000005abcdef0123456789"
#define TABLE "isola-00000005abcd"

/* A network namespace to plug; the caller stays in the test's own. */
static int other_netns(void)
{
    int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd;

    assert_int_equal(unshare(CLONE_NEWNET), 0);
    fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    assert_int_equal(setns(own, CLONE_NEWNET), 0);
    close(own);
    assert_true(fd >= 0);
    return fd;
}

static int set_up(void **state)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
        return 1;
    return system("nft --version >/dev/null 2>&1 && ip link set lo up") != 0;
}

/* Output of a command without tabs. */
static const char *output(const char *command)
{
    static char text[8192];
    FILE *f = popen(command, "r");
    size_t n = 0;
    int c;

    assert_non_null(f);
    while ((c = fgetc(f)) != EOF && n < sizeof text - 1)
        if (c != '\t')
            text[n++] = (char)c;
    text[n] = 0;
    pclose(f);
    return text;
}

static char forwards(void)
{
    char c = 0;
    int fd = open("/proc/sys/net/ipv4/ip_forward", O_RDONLY);

    assert_int_equal(read(fd, &c, 1), 1);
    close(fd);
    return c;
}

static void test_rules(void **state)
{
    const struct private_net_port ports[] = {{0x7f000001, 8080, 80, false}, {0, 53, 5353, true}};
    const struct private_net_options o = {
        .id = ID, .ports = ports, .port_count = 2, .netns = other_netns()};
    struct private_net *n = NULL;
    struct error err = {0};
    const char *text;

    assert_int_equal(forwards(), '0');
    assert_int_equal(private_net_open(&o, &n, &err), 0);
    /* The id's first digits are 5: the pool's base and 2 and 5. */
    assert_string_equal(private_net_facts(n)->link, "isola-0ad50007");
    assert_int_equal(private_net_facts(n)->gateway, 0x0ad50001);
    assert_int_equal(forwards(), '1');
    text = output("nft list table ip isola");
    assert_non_null(strstr(text, "oifgroup 86042 iifgroup != 86042 ct state ! established,related "
                                 "ct status ! dnat drop\n"));
    assert_non_null(strstr(text, "iifgroup 86042 fib saddr . iif oif "));
    assert_non_null(strstr(text, "iifgroup 86042 oifgroup != 86042 masquerade\n"));
    assert_non_null(strstr(text, "iifgroup != 86042 oifgroup != 86042 drop\n"));
    text = output("nft list table ip " TABLE);
    assert_non_null(strstr(text, "flags owner\n"));
    assert_non_null(strstr(text, "type nat hook prerouting priority dstnat; policy accept;\n"
                                 "tcp dport 8080 ip daddr 127.0.0.1 dnat to 10.213.0.7:80\n"
                                 "udp dport 53 fib daddr type local dnat to 10.213.0.7:5353\n"));
    assert_non_null(strstr(text, "type nat hook output priority -100; policy accept;\n"
                                 "tcp dport 8080 ip daddr 127.0.0.1 dnat to 10.213.0.7:80\n"));
    assert_non_null(strstr(text, "ip daddr 10.213.0.7 ip saddr 10.213.0.7 masquerade\n"
                                 "ip daddr 10.213.0.7 ip saddr 127.0.0.0/8 masquerade\n"));
    text = output("nft list table netdev " TABLE);
    assert_non_null(strstr(text, "hook ingress device \"isola-0ad50007\""));
    assert_non_null(strstr(text, "ip daddr 127.0.0.0/8 drop\n"));
    /* A firewall that is loaded again takes nothing away that keeps the container in. */
    output("nft flush ruleset");
    assert_non_null(strstr(output("nft list ruleset"), "ip daddr 127.0.0.0/8 drop\n"));
    private_net_close(n);
    assert_string_equal(output("nft list ruleset"), "");
    output("echo 0 >/proc/sys/net/ipv4/ip_forward"); /* what says that it was us is lost */
    close(o.netns);
}

/* Two of one id: the second gets another address; the last one takes all away. */
static void test_two(void **state)
{
    struct private_net_options o = {.id = ID, .netns = other_netns()};
    struct private_net_options p = {.id = ID, .netns = other_netns()};
    struct private_net *n = NULL, *m = NULL, *k = NULL;
    struct error err = {0};

    assert_int_equal(private_net_open(&o, &n, &err), 0);
    assert_int_equal(private_net_open(&p, &m, &err), 0);
    assert_int_not_equal(private_net_facts(n)->address, private_net_facts(m)->address);
    p.address = private_net_facts(n)->address;
    close(p.netns);
    p.netns = other_netns();
    assert_int_equal(private_net_open(&p, &k, &err), -EADDRINUSE);
    private_net_close(n);
    assert_int_equal(forwards(), '1');
    /* Its device is still there, because its namespace is; the address is free for all that. */
    assert_int_equal(private_net_open(&p, &k, &err), 0);
    private_net_close(k);
    private_net_close(m);
    assert_int_equal(forwards(), '0');
    assert_string_equal(output("nft list ruleset"), "");
    close(o.netns);
    close(p.netns);
}

static void test_refusals(void **state)
{
    const struct private_net_port port = {0x7f000001, 8080, 80, false};
    struct private_net_options o = {
        .id = ID, .ports = &port, .port_count = 1, .netns = other_netns()};
    struct private_net *n = NULL, *m = NULL;
    struct error err = {0};

    o.address = 0x01020304;
    assert_int_equal(private_net_open(&o, &n, &err), -ERANGE);
    assert_non_null(strstr(error_text(&err), "1.2.3.4"));
    o.address = 0;
    assert_int_equal(private_net_open(&o, &n, &err), 0);
    assert_int_equal(private_net_open(&o, &m, &err), -EADDRINUSE);
    assert_non_null(strstr(error_text(&err), "127.0.0.1:8080"));
    private_net_close(n);
    assert_string_equal(output("nft list ruleset"), "");
    close(o.netns);
}

/* A process that ends without a word leaves nothing that collect does not remove. */
static void test_death(void **state)
{
    const struct private_net_port port = {0x7f000001, 8080, 80, false};
    const struct private_net_options o = {
        .id = ID, .ports = &port, .port_count = 1, .netns = other_netns()};
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct private_net *n = NULL;
        _exit(private_net_open(&o, &n, NULL) < 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(forwards(), '1');
    /* What let it in from outside has gone with it. */
    assert_null(strstr(output("nft list tables"), TABLE));
    private_net_collect("isola-0ad50007");
    assert_string_equal(output("nft list ruleset"), "");
    assert_int_equal(forwards(), '0');
    close(o.netns);
}

/* What a host forwarded before stays as it is. */
static void test_router(void **state)
{
    const struct private_net_options o = {.id = ID, .netns = other_netns()};
    struct private_net *n = NULL;
    struct error err = {0};

    output("echo 1 >/proc/sys/net/ipv4/ip_forward");
    assert_int_equal(private_net_open(&o, &n, &err), 0);
    assert_null(strstr(output("nft list table ip isola"), "router"));
    private_net_close(n);
    assert_int_equal(forwards(), '1');
    output("echo 0 >/proc/sys/net/ipv4/ip_forward");
    close(o.netns);
}

/* A network of the host's in the same range is left alone. */
static void test_pools(void **state)
{
    struct private_net_options o = {.id = ID};
    struct private_net *n = NULL;
    struct error err = {0};

    assert_int_equal(unshare(CLONE_NEWNET), 0); /* away from routes that are about to vanish */
    output("ip link set lo up");
    o.netns = other_netns();
    output("ip route add 10.0.0.0/8 dev lo");
    assert_int_equal(private_net_open(&o, &n, &err), 0);
    assert_int_equal(private_net_facts(n)->address, 0xac1b0007);
    private_net_close(n);
    output("ip route add 172.16.0.0/12 dev lo; ip route add 192.168.0.0/16 dev lo");
    assert_int_equal(private_net_open(&o, &n, &err), -ENOTSUP);
    assert_non_null(strstr(error_text(&err), "routes into"));
    output("ip route flush root 0.0.0.0/0 dev lo table main");
    /* A default route in two halves, as private tunnels make it. */
    output("ip route add 0.0.0.0/1 dev lo");
    close(o.netns);
    o.netns = other_netns();
    assert_int_equal(private_net_open(&o, &n, &err), 0);
    assert_int_equal(private_net_facts(n)->address, 0x0ad50007);
    private_net_close(n);
    output("ip route flush root 0.0.0.0/0 dev lo table main");
    close(o.netns);
}

/* More devices than fit into one answer of the kernel. */
static void test_count(void **state)
{
    struct error err = {0};
    unsigned before = 0, count = 0;
    int fd;

    assert_int_equal(unshare(CLONE_NEWNET), 0); /* away from devices that are about to vanish */
    fd = netlink_open(NETLINK_ROUTE, &err);
    assert_true(fd >= 0);
    assert_int_equal(link_count(fd, 0, &before, &err), 0);
    output("for n in $(seq 60); do echo link add a$n type veth peer name b$n; done | ip -batch -");
    assert_int_equal(link_count(fd, 0, &count, &err), 0);
    assert_int_equal(count, before + 120);
    assert_int_equal(link_set_group(fd, "a7", PRIVATE_NET_GROUP, &err), 0);
    assert_int_equal(link_count(fd, PRIVATE_NET_GROUP, &count, &err), 0);
    assert_int_equal(count, 1);
    output("for n in $(seq 60); do echo link del a$n; done | ip -batch -");
    close(fd);
}

static void see(void *opaque, const char *family, const char *table, const char *chain)
{
    snprintf(opaque, 64, "%s %s %s", family, table, chain);
}

static void test_droppers(void **state)
{
    struct error err = {0};
    char seen[64] = "";

    output("nft add table inet fw; nft 'add chain inet fw in { type filter hook input priority 0; "
           "policy drop; }; add chain inet fw open { type filter hook forward priority 0; }'");
    assert_int_equal(private_net_droppers(see, seen, &err), 0);
    assert_string_equal(seen, "");
    output("nft 'add chain inet fw through { type filter hook forward priority 1; policy drop; }'");
    assert_int_equal(private_net_droppers(see, seen, &err), 0);
    assert_string_equal(seen, "inet fw through");
    output("nft 'add rule inet fw through iifname \"isola-*\" accept'");
    *seen = 0;
    assert_int_equal(private_net_droppers(see, seen, &err), 0);
    assert_string_equal(seen, "");
    output("nft delete table inet fw");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),    cmocka_unit_test(test_two),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_death),
        cmocka_unit_test(test_router),   cmocka_unit_test(test_pools),
        cmocka_unit_test(test_count),    cmocka_unit_test(test_droppers),
    };
    void *state = NULL;

    if (set_up(&state)) {
        puts("skipped: needs root, network namespaces and nft");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
