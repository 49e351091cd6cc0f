/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sections are those of the IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and
 * 102-key)". Inside, a key is its code of set 1 with or without the prefix E0, which the numbers of
 * io/input.h mostly are already; set 2 is found from it by the controller's own table backwards.
 *
 * The buffer takes keys while fewer than 16 bytes wait, as the real one's 16 do. Releases always
 * get in, so that no key hangs.
 */
#include <errno.h>

#include "base/mem.h"
#include "device/ps2.h"
#include "device/ps2_scan.h"

enum { SET2_LAST = 0x84 };
enum { FULL = 16, KEY_WORDS = INPUT_KEYS / 64 };
enum { ACK = 0xfa, RESEND = 0xfe, TEST_PASSED = 0xaa, PREFIX = 0xe0, BREAK2 = 0xf0 };
/* Default typematic: 10.9 characters a second after 500 ms. */
enum { RATE_DEFAULT = 0x2b };

struct keyboard {
    struct ps2_device ps2;
    struct gtimer repeat;
    uint8_t scan_set, disabled, leds, rate, last_sent;
    uint8_t command; /* waits for its argument, 0 when none does */
    uint8_t repeating;
    uint64_t down[KEY_WORDS];
};

const uint8_t ps2_set1_of_set2[256] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
    0x80, 0x81, 0x82, 0x41, 0x54, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f,
    0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f,
    0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf,
    0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf,
    0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf,
    0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf,
    0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee, 0xef,
    0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff};

/* Set 1 codes of the keys with prefix E0, from INPUT_KEY_KPENTER on; 0: none. */
static const uint8_t extended[INPUT_KEYS - INPUT_KEY_KPENTER] = {
    0x1c, 0x1d, 0x35, 0x37, 0x38, 0, 0x47, 0x48, 0x49, 0x4b, 0x4d, 0x4f, 0x50, 0x51, 0x52, 0x53,
    0,    0x20, 0x2e, 0x30, 0x5e, 0, 0,    0,    0,    0,    0,    0,    0,    0x5b, 0x5c, 0x5d};

static struct keyboard *keyboard_of(struct ps2_device *d)
{
    return container_of(d, struct keyboard, ps2);
}

static void send(struct keyboard *k, uint8_t byte)
{
    k->last_sent = byte;
    ps2_push(&k->ps2, &byte, 1);
}

/* ---- keys ---- */

/* F7 and SysRq stand in the table twice; keyboards send the higher codes. */
static uint8_t set2_of_set1(uint8_t code)
{
    for (unsigned i = SET2_LAST; i; i--)
        if (ps2_set1_of_set2[i] == code)
            return (uint8_t)i;
    return 0;
}

/* The codes of a key that goes down or up, in the set that is in use. Returns their number. */
static unsigned codes(const struct keyboard *k, uint8_t code, bool prefix, bool down, uint8_t *to)
{
    unsigned n = 0;

    if (prefix)
        to[n++] = PREFIX;
    if (k->scan_set == 1) {
        to[n++] = (uint8_t)(code | (down ? 0 : 0x80));
        return n;
    }
    if (!down)
        to[n++] = BREAK2;
    to[n++] = set2_of_set1(code);
    return n;
}

static unsigned key_codes(const struct keyboard *k, unsigned key, bool down, uint8_t to[16])
{
    unsigned n = 0;

    switch (key) {
    case INPUT_KEY_PAUSE: /* pressed and released at once, with a prefix of its own */
        for (unsigned up = 0; down && up < 2; up++) {
            to[n++] = 0xe1;
            n += codes(k, 0x1d, false, !up, to + n);
            n += codes(k, 0x45, false, !up, to + n);
        }
        return n;
    case INPUT_KEY_SYSRQ: /* comes with a shift key */
        n = codes(k, down ? 0x2a : 0x37, true, down, to);
        return n + codes(k, down ? 0x37 : 0x2a, true, down, to + n);
    default:
        break;
    }
    if (key && (key <= 83 || (key >= 86 && key <= 88)))
        return codes(k, (uint8_t)key, false, down, to);
    if (key >= INPUT_KEY_KPENTER && key < INPUT_KEYS && extended[key - INPUT_KEY_KPENTER])
        return codes(k, extended[key - INPUT_KEY_KPENTER], true, down, to);
    return 0;
}

static void send_key(struct keyboard *k, unsigned key, bool down)
{
    uint8_t bytes[16];
    unsigned n = key_codes(k, key, down, bytes);

    if (n && k->ps2.queue.count + n <= PS2_BUFFER) {
        k->last_sent = bytes[n - 1];
        ps2_push(&k->ps2, bytes, n);
    }
}

/* Typematic rate (Set Typematic Rate/Delay): (8 + A) * 2^B * 4.17 ms after (1 + C) * 250 ms. */
static uint64_t repeat_ns(const struct keyboard *k, bool first)
{
    if (first)
        return ((k->rate >> 5 & 3) + 1) * 250000000ull;
    return (uint64_t)(8 + (k->rate & 7)) * (1u << (k->rate >> 3 & 3)) * 4170000ull;
}

static void repeat_due(void *opaque)
{
    struct keyboard *k = opaque;

    if (!k->repeating || k->disabled)
        return;
    if (k->ps2.queue.count < FULL)
        send_key(k, k->repeating, true);
    gtimer_set(&k->repeat, gclock_now(k->repeat.clock) + repeat_ns(k, false));
}

static bool keyboard_key(struct input *in, unsigned key, bool down)
{
    struct keyboard *k = container_of(in, struct keyboard, ps2.input);
    uint64_t bit = 1ull << key % 64;

    if (key >= INPUT_KEYS)
        return true;
    if (!!(k->down[key / 64] & bit) == down)
        return true; /* it repeats by itself */
    if (down && k->ps2.queue.count >= FULL)
        return false;
    k->down[key / 64] ^= bit;
    if (k->disabled)
        return true;
    send_key(k, key, down);
    if (down && key != INPUT_KEY_PAUSE) {
        k->repeating = (uint8_t)key;
        gtimer_set(&k->repeat, gclock_now(k->repeat.clock) + repeat_ns(k, true));
    } else if (key == k->repeating) {
        k->repeating = 0;
        gtimer_clear(&k->repeat);
    }
    return true;
}

/* ---- commands ("Commands from the System") ---- */

static void set_defaults(struct keyboard *k)
{
    k->scan_set = 2;
    k->rate = RATE_DEFAULT;
    k->repeating = 0;
    gtimer_clear(&k->repeat);
    ps2_forget(&k->ps2);
}

static void argument(struct keyboard *k, uint8_t command, uint8_t value)
{
    if (command == 0xf0 && value > 2) { /* set 3 is for other machines than PCs */
        send(k, RESEND);
        return;
    }
    send(k, ACK);
    if (command == 0xed)
        k->leds = value & 7;
    else if (command == 0xf3)
        k->rate = value & 0x7f;
    else if (command == 0xf0 && value)
        k->scan_set = value;
    else if (command == 0xf0)
        send(k, k->scan_set);
}

static void keyboard_receive(struct ps2_device *d, uint8_t byte)
{
    struct keyboard *k = keyboard_of(d);
    uint8_t command = k->command;

    k->command = 0;
    if (command && byte < 0xed) {
        argument(k, command, byte);
        return;
    }
    switch (byte) {
    case 0xed: /* set indicators */
    case 0xf0: /* select scan codes */
    case 0xf3: /* set typematic rate and delay */
        k->command = byte;
        send(k, ACK);
        break;
    case 0xee: /* echo */
        send(k, 0xee);
        break;
    case 0xf2: /* read id: AB 83 */
        ps2_push(d, (const uint8_t[]){ACK, 0xab, 0x83}, 3);
        break;
    case 0xf4: /* enable */
    case 0xf5: /* default disable */
    case 0xf6: /* set default */
        if (byte == 0xf4)
            ps2_forget(d);
        else
            set_defaults(k);
        k->disabled = byte == 0xf5;
        send(k, ACK);
        break;
    case 0xf7 ... 0xfa: /* of set 3, and meaningless in the others */
        send(k, ACK);
        break;
    case 0xfe: /* resend */
        ps2_push(d, &k->last_sent, 1);
        break;
    case 0xff: /* reset */
        set_defaults(k);
        k->disabled = false;
        k->leds = 0;
        send(k, ACK);
        send(k, TEST_PASSED);
        break;
    default:
        send(k, RESEND);
        break;
    }
}

/* ---- state ---- */

static const struct state_field fields[] = {
    PS2_STATE(struct keyboard),
    STATE_GTIMER(struct keyboard, repeat),
    STATE_FIELD(struct keyboard, scan_set, 2),
    STATE_FIELD(struct keyboard, disabled, 0),
    STATE_FIELD(struct keyboard, leds, 0),
    STATE_FIELD(struct keyboard, rate, RATE_DEFAULT),
    STATE_FIELD(struct keyboard, last_sent, 0),
    STATE_FIELD(struct keyboard, command, 0),
    STATE_FIELD(struct keyboard, repeating, 0),
    STATE_ARRAY(struct keyboard, down, 0),
};

static void after(void *dev)
{
    struct keyboard *k = dev;

    ps2_check(&k->ps2);
    if (k->scan_set != 1)
        k->scan_set = 2;
}

static const struct state_table state = {.name = "ps2-keyboard",
                                         .version = 1,
                                         .fields = fields,
                                         .field_count = array_size(fields),
                                         .after = after};

static void keyboard_free(struct device *dev)
{
    struct keyboard *k = container_of(dev, struct keyboard, ps2.dev);

    gtimer_clear(&k->repeat);
    free(k);
}

struct ps2_device *ps2_keyboard_new(struct gclock *clock, struct error *err)
{
    static const struct input_ops ops = {.key = keyboard_key};
    struct keyboard *k = mem_new(struct keyboard);

    if (!k) {
        error_set(err, -ENOMEM, "create PS/2 keyboard: out of memory");
        return NULL;
    }
    k->ps2 =
        (struct ps2_device){.dev = {.state = &state, .name = "ps2-keyboard", .free = keyboard_free},
                            .input = {.ops = &ops, .ready = true},
                            .receive = keyboard_receive};
    gtimer_init(&k->repeat, clock, repeat_due, k);
    state_reset(&state, k);
    return &k->ps2;
}
