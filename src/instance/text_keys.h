/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a terminal sends when keys are pressed (characters, and the sequences of xterm, VT220 and
 * Linux's console) turned back into keys of a US keyboard.
 */
#ifndef INSTANCE_TEXT_KEYS_H
#define INSTANCE_TEXT_KEYS_H

#include <stdbool.h>
#include <stdint.h>

/* The bits of xterm's modifier parameter less one. */
enum { TEXT_KEYS_SHIFT = 1, TEXT_KEYS_ALT = 2, TEXT_KEYS_CTRL = 4 };
/* One byte, and a pause, end at most this many keys. */
enum { TEXT_KEYS_MAX = 2 };

struct text_key {
    uint8_t key, modifiers; /* io/input.h; TEXT_KEYS_x held meanwhile */
};

/* Zero at the beginning. */
struct text_keys {
    uint8_t state, count;
    uint8_t parameter[2]; /* at most 99 */
    uint8_t parameters;
};

/* Takes one byte: the number of keys that were pressed. Bytes of no key are forgotten. */
unsigned text_keys_take(struct text_keys *k, uint8_t byte, struct text_key ret[TEXT_KEYS_MAX]);
/* Nothing came for a while: what looked like the start of a sequence was keys. */
unsigned text_keys_pause(struct text_keys *k, struct text_key ret[TEXT_KEYS_MAX]);
/* Whether a pause would mean something. */
bool text_keys_pending(const struct text_keys *k);

#endif
