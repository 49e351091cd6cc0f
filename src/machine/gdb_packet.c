/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of the gdb protocol (appendix E.1): framing, escapes, hexadecimal digits. */
#include "machine/gdb_internal.h"

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void put(struct gdb_framer *f, uint8_t byte)
{
    if (f->len < GDB_PACKET_MAX)
        f->data[f->len++] = (char)byte;
    else
        f->too_long = true;
}

static void begin(struct gdb_framer *f)
{
    f->at = GDB_INSIDE;
    f->sum = 0;
    f->len = 0;
    f->too_long = false;
}

static enum gdb_event complete(struct gdb_framer *f, uint8_t low)
{
    int high = digit((char)f->theirs), d = digit((char)low);

    f->at = GDB_BETWEEN;
    f->data[f->len] = 0;
    if (high < 0 || d < 0 || (high << 4 | d) != f->sum || f->too_long)
        return GDB_DAMAGED;
    return GDB_PACKET;
}

enum gdb_event gdb_frame(struct gdb_framer *f, uint8_t byte)
{
    switch (f->at) {
    case GDB_BETWEEN:
        if (byte == '$')
            begin(f);
        return byte == '-' ? GDB_NAK : byte == 3 ? GDB_INTERRUPT : GDB_NOTHING;
    case GDB_INSIDE:
        if (byte == '#') {
            f->at = GDB_SUM1;
            return GDB_NOTHING;
        }
        if (byte == '$') { /* the one before was cut off */
            begin(f);
            return GDB_NOTHING;
        }
        f->sum = (uint8_t)(f->sum + byte);
        if (byte == '}')
            f->at = GDB_ESCAPED;
        else
            put(f, byte);
        return GDB_NOTHING;
    case GDB_ESCAPED:
        f->sum = (uint8_t)(f->sum + byte);
        put(f, byte ^ 0x20);
        f->at = GDB_INSIDE;
        return GDB_NOTHING;
    case GDB_SUM1:
        f->theirs = byte;
        f->at = GDB_SUM2;
        return GDB_NOTHING;
    case GDB_SUM2:
        break;
    }
    return complete(f, byte);
}

void gdb_wrap(struct str *out, const void *data, size_t len)
{
    const uint8_t *in = data;
    uint8_t sum = 0;

    str_add_char(out, '$');
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = in[i];
        if (byte == '$' || byte == '#' || byte == '}' || byte == '*') {
            str_add_char(out, '}');
            sum = (uint8_t)(sum + '}');
            byte ^= 0x20;
        }
        str_add_n(out, &byte, 1);
        sum = (uint8_t)(sum + byte);
    }
    str_addf(out, "#%02x", sum);
}

bool gdb_number(const char **at, uint64_t *ret)
{
    uint64_t n = 0;
    unsigned digits = 0;

    for (; digit(**at) >= 0; (*at)++) {
        if (++digits > 16)
            return false;
        n = n << 4 | (unsigned)digit(**at);
    }
    *ret = n;
    return digits > 0;
}

void gdb_put_bytes(struct str *out, const void *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *in = bytes;

    for (size_t i = 0; i < n; i++) {
        char pair[2] = {digits[in[i] >> 4], digits[in[i] & 15]};
        str_add_n(out, pair, 2);
    }
}

size_t gdb_get_bytes(const char *hex, void *bytes, size_t max)
{
    uint8_t *out = bytes;
    size_t n = 0;

    while (n < max && digit(hex[0]) >= 0 && digit(hex[1]) >= 0) {
        out[n++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
        hex += 2;
    }
    return n;
}
