/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/aml.h"

#include <string.h>

enum {
    AML_ZERO = 0x00,
    AML_ONE = 0x01,
    AML_NAME = 0x08,
    AML_BYTE = 0x0a,
    AML_WORD = 0x0b,
    AML_DWORD = 0x0c,
    AML_STRING = 0x0d,
    AML_QWORD = 0x0e,
    AML_SCOPE = 0x10,
    AML_BUFFER = 0x11,
    AML_PACKAGE = 0x12,
    AML_METHOD = 0x14,
    AML_EXT = 0x5b,
    AML_EXT_REGION = 0x80,
    AML_EXT_FIELD = 0x81,
    AML_ARG0 = 0x68,
    AML_STORE = 0x70,
    AML_AND = 0x7b,
    AML_NOTIFY = 0x86,
    AML_IF = 0xa0,
    AML_EXT_DEVICE = 0x82,
};

static void put(struct str *s, uint64_t value, unsigned size)
{
    str_add_n(s, &value, size); /* little-endian, as AML is */
}

/* Package lengths are written in the four-byte form with room kept for them (20.2.4). */
static void open_block(struct aml *a)
{
    if (a->depth == AML_DEPTH) {
        a->out->failed = true;
        return;
    }
    a->open[a->depth++] = a->out->len;
    put(a->out, 0, 4);
}

void aml_close(struct aml *a)
{
    size_t at, len;

    if (a->out->failed || !a->depth) {
        a->out->failed = true;
        return;
    }
    at = a->open[--a->depth];
    len = a->out->len - at;
    a->out->data[at] = (char)(0xc0 | (len & 0xf));
    a->out->data[at + 1] = (char)(len >> 4);
    a->out->data[at + 2] = (char)(len >> 12);
    a->out->data[at + 3] = (char)(len >> 20);
}

void aml_open_scope(struct aml *a, const char *path)
{
    put(a->out, AML_SCOPE, 1);
    open_block(a);
    str_add(a->out, path);
}

void aml_open_device(struct aml *a, const char *name)
{
    put(a->out, AML_EXT, 1);
    put(a->out, AML_EXT_DEVICE, 1);
    open_block(a);
    str_add(a->out, name);
}

void aml_open_package(struct aml *a, unsigned elements)
{
    put(a->out, AML_PACKAGE, 1);
    open_block(a);
    put(a->out, elements, 1);
}

void aml_open_method(struct aml *a, const char *name, unsigned args)
{
    put(a->out, AML_METHOD, 1);
    open_block(a);
    str_add(a->out, name);
    put(a->out, args, 1);
}

void aml_open_if_bits(struct aml *a, unsigned arg, uint64_t bits)
{
    put(a->out, AML_IF, 1);
    open_block(a);
    put(a->out, AML_AND, 1);
    put(a->out, AML_ARG0 + arg, 1);
    aml_integer(a, bits);
    put(a->out, 0, 1); /* the result goes nowhere else */
}

void aml_call(struct aml *a, const char *name)
{
    str_add(a->out, name);
}

void aml_store_integer(struct aml *a, uint64_t value, const char *name)
{
    put(a->out, AML_STORE, 1);
    aml_integer(a, value);
    str_add(a->out, name);
}

void aml_notify(struct aml *a, const char *name, unsigned arg)
{
    put(a->out, AML_NOTIFY, 1);
    str_add(a->out, name);
    put(a->out, AML_ARG0 + arg, 1);
}

void aml_notify_value(struct aml *a, const char *name, uint8_t value)
{
    put(a->out, AML_NOTIFY, 1);
    str_add(a->out, name);
    aml_integer(a, value);
}

void aml_io_region(struct aml *a, const char *name, uint16_t base, uint8_t len)
{
    put(a->out, AML_EXT, 1);
    put(a->out, AML_EXT_REGION, 1);
    str_add(a->out, name);
    put(a->out, 1, 1); /* system I/O */
    aml_integer(a, base);
    aml_integer(a, len);
}

void aml_field32(struct aml *a, const char *region, const char *const *names, unsigned count)
{
    enum { DWORD_ACCESS = 3, ZEROES = 2 << 5 }; /* what is not written is 0 (19.6.48) */

    put(a->out, AML_EXT, 1);
    put(a->out, AML_EXT_FIELD, 1);
    open_block(a);
    str_add(a->out, region);
    put(a->out, DWORD_ACCESS | ZEROES, 1);
    for (unsigned i = 0; i < count; i++) {
        str_add(a->out, names[i]);
        put(a->out, 32, 1); /* bits, as a package length of one byte */
    }
    aml_close(a);
}

void aml_name(struct aml *a, const char *name)
{
    put(a->out, AML_NAME, 1);
    str_add(a->out, name);
}

void aml_integer(struct aml *a, uint64_t value)
{
    if (value <= 1) {
        put(a->out, value ? AML_ONE : AML_ZERO, 1);
    } else if (value <= 0xff) {
        put(a->out, AML_BYTE, 1);
        put(a->out, value, 1);
    } else if (value <= 0xffff) {
        put(a->out, AML_WORD, 1);
        put(a->out, value, 2);
    } else if (value <= 0xffffffffu) {
        put(a->out, AML_DWORD, 1);
        put(a->out, value, 4);
    } else {
        put(a->out, AML_QWORD, 1);
        put(a->out, value, 8);
    }
}

void aml_string(struct aml *a, const char *text)
{
    put(a->out, AML_STRING, 1);
    str_add_n(a->out, text, strlen(text) + 1);
}

static unsigned hex_digit(char c)
{
    return c >= 'A' ? (unsigned)(c - 'A' + 10) : (unsigned)(c - '0');
}

void aml_eisa_id(struct aml *a, const char *id)
{
    /* Three letters of five bits each and four hex digits, big-endian (19.3.4). */
    uint32_t v = (uint32_t)(id[0] - '@') << 26 | (uint32_t)(id[1] - '@') << 21 |
                 (uint32_t)(id[2] - '@') << 16 | hex_digit(id[3]) << 12 | hex_digit(id[4]) << 8 |
                 hex_digit(id[5]) << 4 | hex_digit(id[6]);

    put(a->out, AML_DWORD, 1);
    put(a->out, __builtin_bswap32(v), 4);
}

void aml_res_io(struct str *r, uint16_t base, uint8_t len)
{
    put(r, 0x47, 1); /* I/O port descriptor, 6.4.2.5 */
    put(r, 1, 1);    /* decodes 16 bits */
    put(r, base, 2);
    put(r, base, 2);
    put(r, 1, 1);
    put(r, len, 1);
}

void aml_res_irq(struct str *r, unsigned irq)
{
    put(r, 0x22, 1); /* IRQ descriptor without flags, 6.4.2.1 */
    put(r, 1u << irq, 2);
}

void aml_res_memory32(struct str *r, uint32_t base, uint32_t len)
{
    put(r, 0x86, 1); /* 32-bit fixed memory range, 6.4.3.4 */
    put(r, 9, 2);
    put(r, 1, 1);
    put(r, base, 4);
    put(r, len, 4);
}

void aml_res_word_window(struct str *r, unsigned type, uint16_t min, uint16_t max)
{
    put(r, 0x88, 1); /* word address space, 6.4.3.5.3 */
    put(r, 13, 2);
    put(r, type, 1);
    put(r, 0x0c, 1);                 /* fixed minimum and maximum, positive decode */
    put(r, type == 1 ? 0x03 : 0, 1); /* I/O: the entire range */
    put(r, 0, 2);
    put(r, min, 2);
    put(r, max, 2);
    put(r, 0, 2);
    put(r, (uint64_t)max - min + 1, 2);
}

void aml_res_dword_window(struct str *r, uint32_t min, uint32_t max)
{
    put(r, 0x87, 1); /* double-word address space, 6.4.3.5.2 */
    put(r, 23, 2);
    put(r, 0, 1);
    put(r, 0x0c, 1);
    put(r, 0x01, 1); /* read-write, non-cacheable */
    put(r, 0, 4);
    put(r, min, 4);
    put(r, max, 4);
    put(r, 0, 4);
    put(r, (uint64_t)max - min + 1, 4);
}

void aml_res_qword_window(struct str *r, uint64_t min, uint64_t max)
{
    put(r, 0x8a, 1); /* quad-word address space, 6.4.3.5.1 */
    put(r, 43, 2);
    put(r, 0, 1);
    put(r, 0x0c, 1);
    put(r, 0x01, 1);
    put(r, 0, 8);
    put(r, min, 8);
    put(r, max, 8);
    put(r, 0, 8);
    put(r, max - min + 1, 8);
}

void aml_resources(struct aml *a, struct str *r)
{
    put(r, 0x79, 1); /* end tag, checksum 0 = not used */
    put(r, 0, 1);
    put(a->out, AML_BUFFER, 1);
    open_block(a);
    aml_integer(a, r->len);
    str_add_n(a->out, r->data, r->len);
    aml_close(a);
    a->out->failed |= r->failed;
    str_done(r);
}
