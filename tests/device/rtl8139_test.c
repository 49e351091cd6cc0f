/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "nic_rig.h"

enum { TX_DATA = 0x1000, RX_RING = 0x20000, SIZE = 8192 };
enum {
    IDR = 0x00,
    MAR = 0x08,
    TSD = 0x10,
    TSAD = 0x20,
    RBSTART = 0x30,
    CR = 0x37,
    CAPR = 0x38,
    CBR = 0x3a,
    IMR = 0x3c,
    ISR = 0x3e,
    TCR = 0x40,
    RCR = 0x44,
    TCTR = 0x48,
    MPC = 0x4c,
    CR9346 = 0x50,
    CONFIG1 = 0x52,
    TIMER_INT = 0x54,
    MSR = 0x58,
    TSAD_ALL = 0x60,
    BMCR = 0x62,
    BMSR = 0x64,
};
enum { BUFE = 1, TE = 4, RE = 8, RST = 0x10 };
enum { ROK = 1, TOK = 4, TER = 8, RXOVW = 0x10, LINK = 0x20, TIMEOUT = 0x4000 };
enum { AAP = 1, APM = 2, AM = 4, AB = 8, WRAP = 0x80 };
enum { OWN = 0x2000, DONE = 0x8000 };

static const uint8_t mac[6] = {0x52, 0x54, 0, 0xaa, 0xbb, 0xcc};

static uint32_t get(struct nic_rig *n, unsigned reg, unsigned size)
{
    return ports_read(n->rig.ports, (uint16_t)(NIC_IO + reg), size);
}

static void put(struct nic_rig *n, unsigned reg, unsigned size, uint32_t value)
{
    ports_write(n->rig.ports, (uint16_t)(NIC_IO + reg), size, value);
}

static int set_up(void **state)
{
    static struct nic_rig n;

    nic_rig_set_up(&n, NIC_RTL8139);
    put(&n, RBSTART, 4, RX_RING);
    put(&n, CR, 1, TE | RE);
    put(&n, RCR, 4, APM | AB);
    put(&n, IMR, 2, 0xffff);
    *state = &n;
    return 0;
}

static int tear_down(void **state)
{
    nic_rig_tear_down(*state);
    return 0;
}

static void identity(void **state)
{
    struct nic_rig *n = *state;

    assert_int_equal(load_le32(pci_config(n->function)), 0x813910ec);
    assert_int_equal(get(n, TCR, 4) & 0x7cc00000, 0x74000000); /* RTL8139C */
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(get(n, IDR + i, 1), mac[i]);
    assert_int_equal(space_load(n->rig.space, (uint32_t)NIC_MMIO, 4), load_le32(mac));
    assert_int_equal(get(n, BMSR, 2) & 0x24, 0x24);
    assert_int_equal(get(n, MSR, 1) & 4, 0);
    n->net.client->link(n->net.client->opaque, false);
    assert_int_equal(get(n, ISR, 2), LINK);
    assert_int_equal(get(n, BMSR, 2) & 4, 0);
    assert_int_equal(get(n, MSR, 1) & 4, 4);
    /* Configuration registers are locked. */
    put(n, CONFIG1, 1, 0xe0);
    assert_int_equal(get(n, CONFIG1, 1), 0x0c);
    put(n, CR9346, 1, 0xc0);
    put(n, CONFIG1, 1, 0xe0);
    assert_int_equal(get(n, CONFIG1, 1), 0xec);
    /* A reset by the driver keeps the address it set. */
    put(n, IDR, 4, 0x44332211);
    put(n, CR, 1, RST);
    assert_int_equal(get(n, CR, 1), BUFE);
    assert_int_equal(get(n, IDR, 4), 0x44332211);
    assert_int_equal(get(n, RCR, 4), 0);
    put(n, CR9346, 1, 0x40); /* from the EEPROM again */
    assert_int_equal(get(n, IDR, 4), load_le32(mac));
    assert_int_equal(get(n, 0xff, 1), 0);
    assert_int_equal(get(n, 0xfe, 4) >> 16, 0xffff); /* beyond the end */
}

static unsigned eeprom_read(struct nic_rig *n, unsigned word)
{
    enum { PROGRAM = 0x80, CS = 8, SK = 4, DI = 2, DO = 1 };
    unsigned command = 0x180 | word, value = 0;

    put(n, CR9346, 1, PROGRAM);
    put(n, CR9346, 1, PROGRAM | CS);
    for (unsigned i = 9; i--;) {
        unsigned bit = command >> i & 1 ? DI : 0;
        put(n, CR9346, 1, PROGRAM | CS | bit);
        put(n, CR9346, 1, PROGRAM | CS | bit | SK);
    }
    for (unsigned i = 0; i < 16; i++) {
        put(n, CR9346, 1, PROGRAM | CS);
        put(n, CR9346, 1, PROGRAM | CS | SK);
        value = value << 1 | (get(n, CR9346, 1) & DO);
    }
    put(n, CR9346, 1, 0);
    return value;
}

static void eeprom(void **state)
{
    struct nic_rig *n = *state;

    assert_int_equal(eeprom_read(n, 0), 0x8129);
    assert_int_equal(eeprom_read(n, 1), 0x10ec);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(eeprom_read(n, 7 + i), load_le16(mac + 2 * i));
}

static void sending(void **state)
{
    struct nic_rig *n = *state;
    uint8_t frame[1000];

    for (unsigned i = 0; i < sizeof(frame); i++)
        frame[i] = (uint8_t)(i * 3 + 1);
    space_write(n->rig.space, TX_DATA + 1, frame, sizeof(frame));
    assert_int_equal(get(n, TSAD_ALL, 2), 0x000f);
    put(n, TSAD, 4, TX_DATA + 1); /* any alignment */
    put(n, TSD, 4, 1000);
    assert_int_equal(n->net.frames, 1);
    assert_int_equal(n->net.batches, 1);
    assert_int_equal(n->net.len, 1000);
    assert_memory_equal(n->net.frame, frame, 1000);
    assert_int_equal(get(n, TSD, 4), 1000 | OWN | DONE);
    assert_int_equal(get(n, TSAD_ALL, 2), 0x100f);
    assert_int_equal(n->rig.wire[NIC_WIRE].level, 1);
    put(n, ISR, 2, TOK);
    assert_int_equal(n->rig.wire[NIC_WIRE].level, 0);
    /* The buffers go in turn, whichever is given first. */
    put(n, TSAD + 4, 4, TX_DATA);
    put(n, TSAD + 8, 4, TX_DATA);
    put(n, TSD + 8, 4, 60);
    assert_int_equal(n->net.frames, 1);
    put(n, TSD + 4, 4, 61);
    assert_int_equal(n->net.frames, 3);
    assert_int_equal(n->net.len, 60);
    put(n, TSD + 12, 2, 60); /* no dword */
    assert_int_equal(n->net.frames, 3);
    put(n, TSAD + 12, 4, RIG_MEMORY);
    put(n, TSD + 12, 4, 60);
    assert_int_equal(get(n, TSD + 12, 4) & (OWN | 1u << 30), OWN | 1u << 30);
    assert_int_equal(get(n, ISR, 2), TOK | TER);
    put(n, CR, 1, RE);
    put(n, TSD, 4, 60); /* switched off: waits */
    assert_int_equal(n->net.frames, 3);
    put(n, CR, 1, RE | TE);
    assert_int_equal(n->net.frames, 4);
}

/* Takes the next packet of the ring; returns its length without FCS, 0 when there is none. */
static unsigned take(struct nic_rig *n, unsigned *at, unsigned *status, uint8_t *bytes)
{
    uint8_t head[4];
    unsigned len;

    if (get(n, CR, 1) & BUFE)
        return 0;
    space_read(n->rig.space, RX_RING + *at, head, 4);
    *status = load_le16(head);
    len = load_le16(head + 2);
    for (unsigned i = 0; i < len - 4; i++)
        bytes[i] = (uint8_t)space_load(n->rig.space, (uint32_t)RX_RING + (*at + 4 + i) % SIZE, 1);
    *at = (*at + len + 4 + 3) % SIZE & ~3u;
    put(n, CAPR, 2, *at - 16);
    return len - 4;
}

static void receiving(void **state)
{
    struct nic_rig *n = *state;
    static uint8_t frame[1514], bytes[2048];
    unsigned at = 0, status, taken = 0;

    memset(frame, 0xff, 6);
    for (unsigned i = 6; i < sizeof(frame); i++)
        frame[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(take(n, &at, &status, bytes), 0);
    assert_true(rig_net_deliver(&n->net, frame, 42));
    assert_int_equal(get(n, ISR, 2), ROK);
    assert_int_equal(n->rig.wire[NIC_WIRE].level, 1);
    assert_int_equal(get(n, CBR, 2), 68);
    assert_int_equal(take(n, &at, &status, bytes), 60);
    assert_int_equal(status, 0x2001);
    assert_memory_equal(bytes, frame, 42);
    assert_int_equal(bytes[42], 0);
    put(n, ISR, 2, ROK);
    /* Round the ring several times. */
    n->net.ready = 0;
    for (unsigned i = 0; i < 40; i++) {
        unsigned len = 60 + i * 36;
        while (!rig_net_deliver(&n->net, frame, len))
            assert_true(take(n, &at, &status, bytes) > 0 && ++taken);
        if (i % 3 == 0) {
            unsigned got = take(n, &at, &status, bytes);
            assert_true(got >= 60 && memcmp(bytes, frame, got) == 0);
            taken++;
        }
    }
    while (take(n, &at, &status, bytes))
        taken++;
    assert_int_equal(taken, 40);
    assert_true(n->net.ready >= 40);
    /* Without room a forced frame is lost, and counted. */
    put(n, ISR, 2, 0xffff);
    while (rig_net_deliver(&n->net, frame, sizeof(frame)))
        ;
    n->net.client->receive(n->net.client->opaque, frame, sizeof(frame));
    assert_int_equal(get(n, ISR, 2), ROK | RXOVW);
    assert_int_equal(get(n, MPC, 4), 1);
    put(n, MPC, 4, 7);
    assert_int_equal(get(n, MPC, 4), 0);
    put(n, CR, 1, TE);
    assert_true(rig_net_deliver(&n->net, frame, sizeof(frame))); /* nobody listens: dropped */
}

/* With WRAP a packet goes on past the end of the ring instead of at its start. */
static void past_the_end(void **state)
{
    struct nic_rig *n = *state;
    static uint8_t frame[1400], bytes[2048];
    unsigned at = 0, status;

    memset(frame, 0xff, sizeof(frame));
    put(n, RCR, 4, AB | WRAP);
    for (unsigned i = 0; i < 5; i++) {
        assert_true(rig_net_deliver(&n->net, frame, sizeof(frame)));
        assert_int_equal(take(n, &at, &status, bytes), 1400);
    }
    assert_int_equal(at, 5 * 1408);
    for (unsigned i = 6; i < sizeof(frame); i++)
        frame[i] = (uint8_t)i;
    assert_true(rig_net_deliver(&n->net, frame, sizeof(frame)));
    space_read(n->rig.space, RX_RING + at + 4, bytes, sizeof(frame));
    assert_memory_equal(bytes, frame, sizeof(frame));
    assert_int_equal(get(n, CBR, 2), 6 * 1408 - SIZE);
}

static bool gets(struct nic_rig *n, const uint8_t *to)
{
    uint8_t frame[60] = {0}, bytes[2048];
    unsigned at = get(n, CBR, 2), status;

    memcpy(frame, to, 6);
    assert_true(rig_net_deliver(&n->net, frame, sizeof(frame)));
    return take(n, &at, &status, bytes) == 60;
}

static void filters(void **state)
{
    struct nic_rig *n = *state;
    static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t other[6] = {0x52, 0x54, 0, 1, 1, 1}, multi[6] = {1, 0, 0x5e, 0, 0, 1};

    assert_true(gets(n, mac) && gets(n, all));
    assert_false(gets(n, other) || gets(n, multi));
    put(n, RCR, 4, AM);
    assert_false(gets(n, mac) || gets(n, all) || gets(n, multi));
    put(n, MAR, 4, 0x7fffffff);
    put(n, MAR + 4, 4, UINT32_MAX);
    assert_false(gets(n, multi));
    put(n, MAR, 4, 0x80000000); /* the upper six bits of its CRC are 31 */
    put(n, MAR + 4, 4, 0);
    assert_true(gets(n, multi));
    put(n, RCR, 4, AAP);
    assert_true(gets(n, mac) && gets(n, all) && gets(n, other) && gets(n, multi));
}

static void timer(void **state)
{
    struct nic_rig *n = *state;

    put(n, TCTR, 4, 0);
    rig_pass(&n->rig, 3000);
    assert_int_equal(get(n, TCTR, 4), 100);
    put(n, TIMER_INT, 4, 1000);
    rig_pass(&n->rig, 26999);
    assert_int_equal(get(n, ISR, 2), 0);
    rig_pass(&n->rig, 2);
    assert_int_equal(get(n, ISR, 2), TIMEOUT);
    put(n, ISR, 2, TIMEOUT);
    put(n, TCTR, 4, 0); /* starts again */
    rig_pass(&n->rig, 30001);
    assert_int_equal(get(n, ISR, 2), TIMEOUT);
    put(n, ISR, 2, TIMEOUT);
    put(n, TIMER_INT, 4, 0);
    rig_pass(&n->rig, 1000000000);
    assert_int_equal(get(n, ISR, 2), 0);
}

static void loopback(void **state)
{
    struct nic_rig *n = *state;
    uint8_t bytes[2048];
    unsigned at = 0, status;

    space_store(n->rig.space, TX_DATA, 8, UINT64_MAX);
    put(n, TCR, 4, 3 << 17);
    put(n, TSAD, 4, TX_DATA);
    put(n, TSD, 4, 64);
    assert_int_equal(n->net.frames, 0);
    assert_int_equal(take(n, &at, &status, bytes), 64);
    assert_int_equal(bytes[7], 0xff);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {test(identity),  test(eeprom),       test(sending),
                                       test(receiving), test(past_the_end), test(filters),
                                       test(timer),     test(loopback)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
