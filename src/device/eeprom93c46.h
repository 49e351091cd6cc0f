/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial EEPROM 93C46 of network adapters: 64 words of 16 bits, read one clock at a time by
 * start bit, operation 10 and six bits of address. Writing and erasing are ignored.
 */
#ifndef DEVICE_EEPROM93C46_H
#define DEVICE_EEPROM93C46_H

#include <stdbool.h>
#include <stdint.h>

enum { EEPROM93C46_WORDS = 64 };

/* State of the owning device: five fields for its table (EEPROM93C46_STATE). */
struct eeprom93c46 {
    uint8_t selected, clock; /* the inputs as they were */
    uint8_t bits;            /* of the command so far, 9 make it whole */
    uint8_t reading;         /* enum in the .c file */
    uint16_t in;             /* those bits */
    uint16_t at;             /* the bit to come out: word * 16 + bit from the top */
};

#define EEPROM93C46_STATE(type, member)                                                            \
    STATE_FIELD(type, member.selected, 0), STATE_FIELD(type, member.clock, 0),                     \
        STATE_FIELD(type, member.bits, 0), STATE_FIELD(type, member.reading, 0),                   \
        STATE_FIELD(type, member.in, 0), STATE_FIELD(type, member.at, 0)

/* The inputs are now: chip select, clock, data. */
void eeprom93c46_set(struct eeprom93c46 *e, bool select, bool clock, bool data);
/* Its output; @word(@opaque, n) is the content of word n, 0 to 63. */
bool eeprom93c46_output(const struct eeprom93c46 *e,
                        uint16_t (*word)(const void *opaque, unsigned n), const void *opaque);

#endif
