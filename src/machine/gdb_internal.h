/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the gdb stub. */
#ifndef MACHINE_GDB_INTERNAL_H
#define MACHINE_GDB_INTERNAL_H

#include "base/str.h"
#include "cpu/x86/cpu.h"
#include "machine/debug.h"
#include "machine/gdb.h"

enum { GDB_PACKET_MAX = 16 << 10 };

/* ---- packets (gdb_packet.c) ---- */

/* What the next byte completed. */
enum gdb_event {
    GDB_NOTHING,
    GDB_PACKET, /* data, len: unescaped, with a zero byte behind it */
    GDB_DAMAGED,
    GDB_NAK,
    GDB_INTERRUPT,
};

/* Takes "$data#checksum" apart. */
struct gdb_framer {
    enum { GDB_BETWEEN, GDB_INSIDE, GDB_ESCAPED, GDB_SUM1, GDB_SUM2 } at;
    uint8_t sum, theirs;
    bool too_long;
    size_t len;
    char data[GDB_PACKET_MAX + 1];
};
enum gdb_event gdb_frame(struct gdb_framer *f, uint8_t byte);
/* Appends a packet with @data to @out. */
void gdb_wrap(struct str *out, const void *data, size_t len);

/* Hexadecimal digits: the number at *at, which moves behind them. False: there is none, or it has
 * more than 16 digits. */
bool gdb_number(const char **at, uint64_t *ret);
/* Bytes as pairs of digits; the reader returns how many bytes it found, @max at most. */
void gdb_put_bytes(struct str *out, const void *bytes, size_t n);
size_t gdb_get_bytes(const char *hex, void *bytes, size_t max);

/* ---- registers (gdb_registers.c) ---- */

/* Which registers there are. */
enum { GDB_WIDE = 1, GDB_AVX = 2 };
/* That of processor @c, told as x86-64 or, not @wide, as i386. */
unsigned gdb_shape(const struct x86_cpu *c, bool wide);
/* The description of registers as gdb reads it. */
void gdb_describe(struct str *out, unsigned shape);
/* Register @n as bytes of the target. False: there is none. */
bool gdb_register_get(struct x86_cpu *c, unsigned shape, unsigned n, uint8_t ret[16],
                      unsigned *ret_size);
/* Changes it from @size bytes. False: there is none, or it can not be changed so. */
bool gdb_register_set(struct x86_cpu *c, unsigned shape, unsigned n, const uint8_t *value,
                      unsigned size);

/* ---- monitor (gdb_monitor.c) ---- */

struct gdb {
    struct machine *machine;
    void (*send)(void *opaque, const void *bytes, size_t n);
    void *opaque;
    struct gdb_framer framer;
    struct str reply, wire; /* the answer being made; the last packet as sent */
    bool no_ack, closing, attached;
    unsigned shape;    /* of the registers that it was told of */
    bool tells_breaks; /* it knows swbreak and hwbreak */
    bool physical;     /* addresses are physical ones */
    bool running;      /* it waits for a stop reply */
    unsigned cpu;      /* for registers and memory, and what stopped last */
    char stop[96];     /* the last stop reply */
};

/* Carries @command out and appends what there is to say. */
void gdb_monitor(struct gdb *g, const char *command, struct str *out);

#endif
