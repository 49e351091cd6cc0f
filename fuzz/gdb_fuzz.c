/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a debugger, framed and not: the stub answers or refuses, and the machine survives. */
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "machine/gdb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LOAD = 0x100000, HEADER = 32, BUDGET = 200 };

static void ignore(void *opaque, const void *bytes, size_t n)
{
    (void)bytes;
    *(size_t *)opaque += n;
}

/* Increments a word of memory for ever. */
static struct machine *make(void)
{
    static uint8_t kernel[64];
    static const uint8_t code[] = {0x40, 0xa3, 0, 0, 0x20, 0, 0xeb, 0xf8};
    const uint32_t header[8] = {
        0x1badb002, 1 << 16, 0u - 0x1badb002u - (1 << 16), LOAD, LOAD, 0, 0, LOAD + HEADER};
    struct machine_config c = {.cpus = 2, .memory = 4 << 20};

    memcpy(kernel, header, HEADER);
    memcpy(kernel + HEADER, code, sizeof code);
    c.guest.kernel = kernel;
    c.guest.kernel_len = HEADER + sizeof code;
    return machine_new(&c, NULL);
}

/* @text as a packet, so that inputs need no checksums. */
static void send_packet(struct gdb *g, const uint8_t *text, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t sum = 0;
    char end[3] = "#";

    for (size_t i = 0; i < n; i++)
        sum = (uint8_t)(sum + text[i]);
    end[1] = digits[sum >> 4];
    end[2] = digits[sum & 15];
    gdb_input(g, "$", 1);
    gdb_input(g, text, n);
    gdb_input(g, end, 3);
}

/* Lines are packets; one that begins with ! is sent as it is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct machine *m;
    size_t sent = 0;
    uint64_t idle;
    struct gdb *g;

    if (!m)
        m = make();
    g = m ? gdb_new(m, size & 1, ignore, &sent, NULL) : NULL;
    if (!g)
        return 0;
    while (size && !gdb_closing(g)) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t n = end ? (size_t)(end - data) : size;
        if (n && *data == '!')
            gdb_input(g, data + 1, n - 1);
        else
            send_packet(g, data, n);
        n += end != NULL;
        data += n;
        size -= n;
        if (machine_step(m, BUDGET, &idle) != MACHINE_RUNNING)
            break;
    }
    gdb_free(g);
    if (machine_step(m, BUDGET, &idle) != MACHINE_RUNNING) {
        machine_free(m);
        m = NULL;
    }
    return 0;
}
