/* SPDX-License-Identifier: Apache-2.0 */
#include "device/eeprom93c46.h"

enum { COMMAND_BITS = 9, OPERATION_READ = 2 };
/* reading: the dummy bit before the data stands at the output, or bit @at. */
enum { READING_NOT = 0, READING_DUMMY = 1, READING_DATA = 2 };

/* The rising edge of the clock: one bit goes in or comes out. */
static void tick(struct eeprom93c46 *e, bool data)
{
    if (e->reading == READING_DUMMY) {
        e->reading = READING_DATA;
        return;
    }
    if (e->reading) { /* the next word follows by itself */
        e->at = (uint16_t)((e->at + 1) % (EEPROM93C46_WORDS * 16));
        return;
    }
    if (e->bits >= COMMAND_BITS || (!e->bits && !data))
        return; /* a command that is not obeyed; or no start bit yet */
    e->in = (uint16_t)(e->in << 1 | data);
    if (++e->bits < COMMAND_BITS || (e->in >> 6 & 3) != OPERATION_READ)
        return;
    e->reading = READING_DUMMY;
    e->at = (uint16_t)(e->in % EEPROM93C46_WORDS * 16);
}

void eeprom93c46_set(struct eeprom93c46 *e, bool select, bool clock, bool data)
{
    bool rise = clock && !e->clock;

    if (!select || !e->selected) {
        e->in = 0;
        e->bits = e->reading = READING_NOT;
    }
    e->selected = select;
    e->clock = clock;
    if (select && rise)
        tick(e, data);
}

bool eeprom93c46_output(const struct eeprom93c46 *e,
                        uint16_t (*word)(const void *opaque, unsigned n), const void *opaque)
{
    if (e->reading == READING_DUMMY)
        return false;
    if (!e->reading)
        return true; /* idle: high */
    return word(opaque, e->at / 16 % EEPROM93C46_WORDS) >> (15 - e->at % 16) & 1;
}
