/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/text_keys.h"

#include "base/mem.h"
#include "io/input.h"

enum { PLAIN, ESCAPE, SEQUENCE /* ESC [ */, THREE /* ESC O */, LINUX /* ESC [ [ */ };
enum { SEQUENCE_MAX = 32, KEY_F1 = 59, KEY_F11 = 87 };

static unsigned function_key(unsigned n)
{
    return n <= 10 ? KEY_F1 + n - 1 : KEY_F11 + n - 11;
}

static unsigned give(struct text_key *ret, unsigned key, unsigned modifiers)
{
    if (!key)
        return 0;
    *ret = (struct text_key){(uint8_t)key, (uint8_t)modifiers};
    return 1;
}

/* A byte that stands for itself. */
static unsigned plain(uint8_t byte, unsigned modifiers, struct text_key *ret)
{
    unsigned key;
    bool shift;

    /* Return, tab and the larger of the two keys that delete have characters of their own. */
    if (byte < 0x20 && byte != '\r' && byte != '\t' && byte != '\b' && byte != '\33') {
        byte = byte == 0 ? ' ' : byte >= 0x1c ? byte + 0x40 : byte + 0x60;
        modifiers |= TEXT_KEYS_CTRL;
    }
    if (byte >= 0x80 || !input_key_of_char((char)byte, &key, &shift))
        return 0;
    return give(ret, key, modifiers | (shift ? TEXT_KEYS_SHIFT : 0u));
}

/* The key of a final letter, after ESC [ or ESC O. */
static unsigned letter_key(uint8_t letter)
{
    switch (letter) {
    case 'A':
        return INPUT_KEY_UP;
    case 'B':
        return INPUT_KEY_DOWN;
    case 'C':
        return INPUT_KEY_RIGHT;
    case 'D':
        return INPUT_KEY_LEFT;
    case 'E':
        return 76; /* 5 of the keypad */
    case 'F':
        return INPUT_KEY_END;
    case 'H':
        return INPUT_KEY_HOME;
    case 'M':
        return INPUT_KEY_KPENTER;
    case 'P':
    case 'Q':
    case 'R':
    case 'S':
        return function_key(letter - 'P' + 1u);
    default:
        return 0;
    }
}

/* The key of ESC [ n ~ (DEC VT220, and rxvt's home and end). */
static unsigned numbered_key(unsigned n)
{
    static const uint8_t keys[35] = {
        [1] = INPUT_KEY_HOME, [2] = INPUT_KEY_INSERT, [3] = INPUT_KEY_DELETE,
        [4] = INPUT_KEY_END,  [5] = INPUT_KEY_PAGEUP, [6] = INPUT_KEY_PAGEDOWN,
        [7] = INPUT_KEY_HOME, [8] = INPUT_KEY_END,    [11] = KEY_F1,
        [12] = KEY_F1 + 1,    [13] = KEY_F1 + 2,      [14] = KEY_F1 + 3,
        [15] = KEY_F1 + 4,    [17] = KEY_F1 + 5,      [18] = KEY_F1 + 6,
        [19] = KEY_F1 + 7,    [20] = KEY_F1 + 8,      [21] = KEY_F1 + 9,
        [23] = KEY_F11,       [24] = KEY_F11 + 1,     [29] = INPUT_KEY_MENU,
    };

    return n < array_size(keys) ? keys[n] : 0;
}

static unsigned sequence_end(const struct text_keys *k, uint8_t final, struct text_key *ret)
{
    unsigned modifiers = k->parameters > 1 && k->parameter[1] ? k->parameter[1] - 1u : 0;

    modifiers &= TEXT_KEYS_SHIFT | TEXT_KEYS_ALT | TEXT_KEYS_CTRL;
    if (final == '~')
        return give(ret, numbered_key(k->parameter[0]), modifiers);
    if (final == 'Z')
        return give(ret, INPUT_KEY_TAB, TEXT_KEYS_SHIFT);
    return give(ret, letter_key(final), modifiers);
}

static unsigned in_sequence(struct text_keys *k, uint8_t byte, struct text_key *ret)
{
    if (byte == '[' && k->count == 0) {
        k->state = LINUX;
        return 0;
    }
    if (++k->count > SEQUENCE_MAX) {
        k->state = PLAIN;
        return 0;
    }
    if (byte >= '0' && byte <= '9') {
        uint8_t *p = &k->parameter[min_of(k->parameters ? k->parameters - 1u : 0u, 1u)];
        if (!k->parameters)
            k->parameters = 1;
        if (k->parameters <= 2)
            *p = (uint8_t)min_of(*p * 10u + byte - '0', 99u);
    } else if (byte == ';') {
        k->parameters = (uint8_t)min_of(max_of(k->parameters, (uint8_t)1) + 1u, 3u);
    } else if (byte >= 0x40 && byte < 0x7f) {
        k->state = PLAIN;
        return sequence_end(k, byte, ret);
    }
    return 0;
}

unsigned text_keys_take(struct text_keys *k, uint8_t byte, struct text_key ret[TEXT_KEYS_MAX])
{
    unsigned state = k->state;

    if (byte == 0x1b) {
        unsigned n = text_keys_pause(k, ret); /* a sequence that was cut off */
        k->state = ESCAPE;
        return n;
    }
    switch (state) {
    case ESCAPE:
        *k = (struct text_keys){.state = byte == '[' ? SEQUENCE : byte == 'O' ? THREE : PLAIN};
        return k->state == PLAIN ? plain(byte, TEXT_KEYS_ALT, ret) : 0;
    case SEQUENCE:
        return in_sequence(k, byte, ret);
    case THREE:
        k->state = PLAIN;
        return give(ret, letter_key(byte), 0);
    case LINUX:
        k->state = PLAIN;
        return give(ret, byte >= 'A' && byte <= 'E' ? function_key(byte - 'A' + 1u) : 0, 0);
    default:
        return plain(byte, 0, ret);
    }
}

unsigned text_keys_pause(struct text_keys *k, struct text_key ret[TEXT_KEYS_MAX])
{
    unsigned state = k->state, count = k->count;

    *k = (struct text_keys){0};
    if (state == ESCAPE)
        return give(ret, INPUT_KEY_ESC, 0);
    if (state == SEQUENCE && !count)
        return plain('[', TEXT_KEYS_ALT, ret);
    return state == THREE ? plain('O', TEXT_KEYS_ALT, ret) : 0;
}

bool text_keys_pending(const struct text_keys *k)
{
    return k->state != PLAIN;
}
