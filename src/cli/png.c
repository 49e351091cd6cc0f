/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small encoder for pictures of screens, which are mostly like the line above: each line is
 * stored as its difference to that (filter Up, section 9.2), and runs of equal bytes are packed
 * with the fixed codes of deflate (RFC 1951, 3.2.6). A screen of text shrinks to a sixteenth.
 */
#include "cli/png.h"

#include <stdbool.h>

#include "base/mem.h"

enum { FILTER_UP = 2, RUN_MIN = 3, RUN_MAX = 258, ADLER = 65521 };

struct packer {
    struct str *out;
    uint32_t bits;
    unsigned count;
    int last; /* byte whose run is being counted, -1: none */
    unsigned run;
    uint32_t a, b; /* Adler-32 (RFC 1950) */
};

static void put_bits(struct packer *p, uint32_t value, unsigned n)
{
    p->bits |= value << p->count;
    for (p->count += n; p->count >= 8; p->count -= 8, p->bits >>= 8)
        str_add_char(p->out, (char)p->bits);
}

/* Codes go highest bit first, everything else lowest first. */
static void put_code(struct packer *p, unsigned code, unsigned n)
{
    unsigned turned = 0;

    for (unsigned i = 0; i < n; i++)
        turned |= (code >> i & 1) << (n - 1 - i);
    put_bits(p, turned, n);
}

static void put_symbol(struct packer *p, unsigned symbol)
{
    if (symbol < 144)
        put_code(p, 0x30 + symbol, 8);
    else if (symbol < 256)
        put_code(p, 0x190 + symbol - 144, 9);
    else if (symbol < 280)
        put_code(p, symbol - 256, 7);
    else
        put_code(p, 0xc0 + symbol - 280, 8);
}

/* The last byte @length times more: a match at distance 1 (code 0 of five bits). */
static void put_run(struct packer *p, unsigned length)
{
    unsigned extra = 0, at = length - RUN_MIN;

    if (length == RUN_MAX) {
        put_symbol(p, 285);
    } else {
        while (at >> (extra + 3))
            extra++;
        put_symbol(p, 257 + 4 * extra + (at >> extra));
        put_bits(p, at & ((1u << extra) - 1), extra);
    }
    put_code(p, 0, 5);
}

static void end_run(struct packer *p)
{
    while (p->run >= RUN_MIN) {
        unsigned n = min_of(p->run, (unsigned)RUN_MAX);
        put_run(p, n);
        p->run -= n;
    }
    for (; p->run; p->run--)
        put_symbol(p, (unsigned)p->last);
}

static void put_byte(struct packer *p, uint8_t byte)
{
    p->a = (p->a + byte) % ADLER;
    p->b = (p->b + p->a) % ADLER;
    if (byte == p->last) {
        p->run++;
        return;
    }
    end_run(p);
    put_symbol(p, byte);
    p->last = byte;
}

static uint32_t crc32_of(const uint8_t *bytes, size_t n)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static void put_be32(struct str *out, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        str_add_char(out, (char)(value >> (24 - 8 * i)));
}

/* A chunk (5.3); @data may be NULL for an empty one. */
static void put_chunk(struct str *out, const char type[5], const void *data, size_t len)
{
    size_t from;

    put_be32(out, (uint32_t)len);
    from = out->len;
    str_add_n(out, type, 4);
    if (len)
        str_add_n(out, data, len);
    if (!out->failed)
        put_be32(out, crc32_of((const uint8_t *)out->data + from, len + 4));
}

static void pack_lines(struct packer *p, const uint32_t *pixels, unsigned width, unsigned height)
{
    for (unsigned y = 0; y < height; y++, pixels += width) {
        const uint32_t *above = y ? pixels - width : NULL;
        put_byte(p, FILTER_UP);
        for (unsigned x = 0; x < width; x++)
            for (unsigned shift = 24; shift;) {
                shift -= 8;
                put_byte(p, (uint8_t)((pixels[x] >> shift) - (above ? above[x] >> shift : 0)));
            }
    }
}

void png_encode(const uint32_t *pixels, unsigned width, unsigned height, struct str *out)
{
    static const char signature[] = "\x89PNG\r\n\x1a\n";
    struct str data = {0}, header = {0};
    struct packer p = {.out = &data, .last = -1, .a = 1};

    put_be32(&header, width);
    put_be32(&header, height);
    str_add_n(&header, "\x08\x02\0\0\0", 5); /* 8 bits, true colour */
    str_add_n(&data, "\x78\x01", 2);         /* zlib: deflate, 32 KiB, fastest */
    put_bits(&p, 1, 1);                      /* the last block, */
    put_bits(&p, 1, 2);                      /* with fixed codes */
    pack_lines(&p, pixels, width, height);
    end_run(&p);
    put_symbol(&p, 256);
    put_bits(&p, 0, 7); /* to a whole byte */
    put_be32(&data, p.b << 16 | p.a);
    str_add_n(out, signature, 8);
    put_chunk(out, "IHDR", header.data, header.len);
    put_chunk(out, "IDAT", data.data, data.len);
    put_chunk(out, "IEND", NULL, 0);
    out->failed |= data.failed | header.failed;
    str_done(&data);
    str_done(&header);
}
