/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile client of a machine's screen, and a terminal's keys: the input is what it sends on a
 * screen connection, in pieces of up to 255 bytes (a length byte goes before each). The machine
 * does not run; keys and pointer go into its devices.
 *
 * The same bytes are keys of a terminal, too.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/mem.h"
#include "instance/text_keys.h"
#include "instance/vm_screen.h"
#include "io/input.h"
#include "machine/machine.h"

enum { LOAD = 0x100000, HEADER = 32, UPDATES = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    struct loop *loop;
    struct machine *machine;
    struct vm_screen *screen;
} t;

static void set_up(void)
{
    static uint8_t kernel[HEADER + 1] = {[HEADER] = 0xf4};
    const uint32_t h[8] = {0x1badb002, 1 << 16,      0u - 0x1badb002u - (1 << 16), LOAD, LOAD, 0,
                           0,          LOAD + HEADER};
    struct machine_config c = {.cpus = 1, .memory = 4 << 20, .vga = true};

    memcpy(kernel, h, HEADER);
    c.guest.kernel = kernel;
    c.guest.kernel_len = sizeof kernel;
    t.loop = loop_new(NULL);
    t.machine = machine_new(&c, NULL);
    t.screen = t.machine ? vm_screen_new(t.loop, t.machine, NULL) : NULL;
    if (!t.screen)
        abort();
}

/* Takes answers away, with the descriptors that come along. */
static void drain(int fd)
{
    static uint8_t bytes[1 << 16];
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } rights;
    struct iovec part = {bytes, sizeof bytes};
    ssize_t n;

    do {
        struct msghdr m = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = rights.space,
                           .msg_controllen = sizeof rights.space};
        n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n > 0 && CMSG_FIRSTHDR(&m)) {
            int got;
            memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof got);
            close(got);
        }
    } while (n > 0);
}

static void type(const uint8_t *data, size_t size)
{
    struct text_key keys[TEXT_KEYS_MAX];
    struct text_keys k = {0};

    for (size_t i = 0; i < size; i++) {
        unsigned n = text_keys_take(&k, data[i], keys);
        if (n > TEXT_KEYS_MAX)
            abort();
        while (n--)
            if (!keys[n].key || keys[n].key >= INPUT_KEYS || keys[n].modifiers > 7)
                abort();
    }
    if (text_keys_pause(&k, keys) > TEXT_KEYS_MAX || text_keys_pending(&k))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];

    if (!t.screen)
        set_up();
    type(data, size);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
        vm_screen_serve(t.screen, pair[1], NULL) < 0)
        abort();
    for (unsigned i = 0; size && i < UPDATES; i++) {
        size_t n = min_of((size_t)data[0], size - 1);
        if (n && send(pair[0], data + 1, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
        data += n + 1;
        size -= n + 1;
        loop_step(t.loop, 0, NULL);
        drain(pair[0]);
    }
    close(pair[0]);
    loop_step(t.loop, 0, NULL); /* it notices */
    return 0;
}
