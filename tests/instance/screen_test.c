/* SPDX-License-Identifier: Apache-2.0 */
/* Screen connections as the supervisor serves them, byte by byte, and the keys of VNC. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/mem.h"
#include "instance/protocol.h"
#include "instance/screen_wire.h"
#include "instance/vm_screen.h"
#include "instance/vnc_keys.h"
#include "io/display.h"
#include "io/input.h"
#include "machine/machine.h"
#include "tests/test.h"

enum { LOAD = 0x100000, HEADER = 32 };

static struct {
    struct loop *loop;
    struct machine *machine;
    struct vm_screen *screen;
} t;

/* A machine that has not run yet; its firmware has set the linear mode of a direct boot. */
static int set_up(void **state)
{
    static uint8_t kernel[HEADER + 1] = {[HEADER] = 0xf4};
    uint32_t h[8] = {0x1badb002, 1 << 16,      0u - 0x1badb002u - (1 << 16), LOAD, LOAD, 0,
                     0,          LOAD + HEADER};
    struct machine_config c = {.cpus = 1, .memory = 4 << 20, .vga = true};

    memcpy(kernel, h, HEADER);
    c.guest.kernel = kernel;
    c.guest.kernel_len = sizeof kernel;
    t.loop = loop_new(NULL);
    t.machine = machine_new(&c, NULL);
    t.screen = t.machine ? vm_screen_new(t.loop, t.machine, NULL) : NULL;
    return t.screen ? 0 : -1;
}

static int tear_down(void **state)
{
    vm_screen_free(t.screen);
    machine_free(t.machine);
    loop_free(t.loop);
    return 0;
}

static int connection(void)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(vm_screen_serve(t.screen, pair[1], NULL), 0);
    return pair[0];
}

static void ask(int fd, unsigned type, const void *payload, size_t len)
{
    uint8_t header[PROTOCOL_FRAME_HEADER];

    protocol_frame_header(header, (enum protocol_frame)type, len);
    assert_int_equal(send(fd, header, sizeof header, MSG_NOSIGNAL), sizeof header);
    if (len)
        assert_int_equal(send(fd, payload, len, MSG_NOSIGNAL), len);
    assert_int_equal(loop_step(t.loop, 0, NULL), 0);
}

/* The next frame: its type, payload and the descriptor that came along (-1: none). */
static unsigned answer(int fd, uint8_t payload[PROTOCOL_FRAME_MAX], size_t *ret_len, int *ret_fd)
{
    uint8_t header[PROTOCOL_FRAME_HEADER];
    struct iovec part = {header, sizeof header};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } rights;
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = rights.space,
                       .msg_controllen = sizeof rights.space};

    assert_int_equal(recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), sizeof header);
    *ret_fd = -1;
    if (CMSG_FIRSTHDR(&m))
        memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
    *ret_len = load_le16(header + 2);
    if (*ret_len)
        assert_int_equal(recv(fd, payload, *ret_len, MSG_DONTWAIT), *ret_len);
    return header[0];
}

static bool closed(int fd)
{
    char byte;

    for (unsigned i = 0; i < 10; i++)
        loop_step(t.loop, 0, NULL);
    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void pictures_are_mapped_for_reading(void **state)
{
    uint8_t p[PROTOCOL_FRAME_MAX];
    size_t len, bytes;
    int fd = connection(), memory, none;
    uint32_t *pixels;

    ask(fd, SCREEN_MAP, "", 0);
    assert_int_equal(answer(fd, p, &len, &memory), SCREEN_MAP_IS);
    assert_true(memory >= 0);
    bytes = load_le32(p);
    assert_int_equal(bytes, DISPLAY_MAX_PIXELS * 4);
    assert_ptr_equal(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0), MAP_FAILED);
    assert_int_equal(pwrite(memory, "x", 1, 0), -1);
    assert_int_equal(ftruncate(memory, 0), -1);
    pixels = mmap(NULL, bytes, PROT_READ, MAP_SHARED, memory, 0);
    assert_ptr_not_equal(pixels, MAP_FAILED);
    ask(fd, SCREEN_UPDATE, "", 0);
    assert_int_equal(answer(fd, p, &len, &none), SCREEN_FRAME);
    assert_int_equal(len, SCREEN_FRAME_SIZE + SCREEN_RECT_SIZE);
    assert_int_equal(load_le16(p), 1024);
    assert_int_equal(load_le16(p + 2), 768);
    assert_int_equal(load_le16(p + 4), 1);
    assert_int_equal(load_le16(p + 6), 1);
    assert_int_equal(load_le16(p + 12), 1024);
    assert_int_equal(pixels[0], 0);
    ask(fd, SCREEN_UPDATE, "", 0);
    answer(fd, p, &len, &none);
    assert_int_equal(load_le16(p + 4), 0);
    assert_int_equal(load_le16(p + 6), 0);
    munmap(pixels, bytes);
    close(memory);
    close(fd);
}

static void each_client_is_told_everything(void **state)
{
    uint8_t p[PROTOCOL_FRAME_MAX];
    size_t len;
    int first = connection(), second, none;

    ask(first, SCREEN_UPDATE, "", 0);
    answer(first, p, &len, &none);
    second = connection();
    ask(second, SCREEN_UPDATE, "", 0);
    assert_int_equal(answer(second, p, &len, &none), SCREEN_FRAME);
    assert_int_equal(load_le16(p + 4), 1);
    assert_int_equal(load_le16(p + 6), 1);
    assert_int_equal(load_le16(p + 14), 768);
    close(first);
    close(second);
}

static void keys_say_whether_they_were_taken(void **state)
{
    uint8_t p[PROTOCOL_FRAME_MAX], key[SCREEN_KEY_SIZE] = {30, 0, 1, 1};
    unsigned taken = 0;
    size_t len;
    int fd = connection(), none;

    for (unsigned i = 0; i < 60; i++) {
        key[0] = (uint8_t)(2 + i);
        ask(fd, SCREEN_KEY, key, sizeof key);
        assert_int_equal(answer(fd, p, &len, &none), SCREEN_KEY_DONE);
        assert_int_equal(len, 1);
        taken += p[0];
    }
    assert_in_range(taken, 8, 20); /* nobody reads them */
    key[3] = 0;
    ask(fd, SCREEN_KEY, key, sizeof key);
    assert_int_equal(recv(fd, p, 1, MSG_DONTWAIT), -1);
    ask(fd, SCREEN_POINTER, (const uint8_t[]){0xff, 0xff, 0, 0, 1, 0, 0xff, 0},
        SCREEN_POINTER_SIZE);
    ask(fd, SCREEN_TEXT, "", 0);
    assert_int_equal(answer(fd, p, &len, &none), SCREEN_REFUSED);
    assert_int_equal((int)load_le32(p), -ENODATA);
    close(fd);
}

static void terminals_get_cells_or_a_size(void **state)
{
    uint8_t p[PROTOCOL_FRAME_MAX];
    struct machine_config c = {.cpus = 1, .memory = 4 << 20, .vga = true, .vga_text = true};
    struct machine *machine;
    struct vm_screen *screen, *saved = t.screen;
    uint8_t kernel[HEADER + 1] = {[HEADER] = 0xf4};
    const uint32_t h[8] = {0x1badb002, 1 << 16,      0u - 0x1badb002u - (1 << 16), LOAD, LOAD, 0,
                           0,          LOAD + HEADER};
    int fd = connection(), none;
    size_t len;

    ask(fd, SCREEN_CELLS, "", 0);
    assert_int_equal(answer(fd, p, &len, &none), SCREEN_CELLS_ARE);
    assert_int_equal(len, SCREEN_CELLS_SIZE);
    assert_int_equal(load_le32(p), 0);
    assert_int_equal(load_le16(p + 8), 1024);
    assert_int_equal(load_le16(p + 10), 768);
    assert_int_equal(load_le16(p + 14), 0);
    assert_int_equal(recv(fd, p, 1, MSG_DONTWAIT), -1);
    close(fd);
    memcpy(kernel, h, HEADER);
    c.guest.kernel = kernel;
    c.guest.kernel_len = sizeof kernel;
    machine = machine_new(&c, NULL);
    assert_non_null(machine);
    screen = vm_screen_new(t.loop, machine, NULL);
    assert_non_null(screen);
    t.screen = screen;
    fd = connection();
    t.screen = saved;
    ask(fd, SCREEN_CELLS, "", 0);
    assert_int_equal(answer(fd, p, &len, &none), SCREEN_CELLS_ARE);
    assert_int_equal(load_le16(p), 80);
    assert_int_equal(load_le16(p + 2), 25);
    assert_int_equal(load_le32(p + 4), 0);
    assert_int_equal(load_le32(p + 8), 0);
    assert_int_equal(answer(fd, p, &len, &none), SCREEN_CELLS_MORE);
    assert_int_equal(len, 80 * 25 * 2);
    assert_int_equal(load_le16(p), 0x0720);
    close(fd);
    vm_screen_free(screen);
    machine_free(machine);
}

static void what_is_wrong_ends_the_connection(void **state)
{
    int fd = connection(), other = connection(), many[20];
    unsigned n = 0;

    ask(fd, 0x77, "", 0);
    assert_true(closed(fd));
    close(fd);
    fd = connection();
    ask(fd, SCREEN_KEY, "", 0);
    assert_true(closed(fd));
    close(fd);
    fd = connection();
    assert_int_equal(send(fd, "\x11\x01\x00\x00", 4, MSG_NOSIGNAL), 4);
    assert_true(closed(fd));
    close(fd);
    /* One that asks and does not read is let go; the other is still served. */
    fd = connection();
    for (n = 0; n < 100000; n++) {
        if (send(fd, "\x10\x00\x00\x00", 4, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
            break;
        loop_step(t.loop, 0, NULL);
    }
    assert_true(n < 100000);
    close(fd);
    ask(other, SCREEN_UPDATE, "", 0);
    assert_false(closed(other));
    for (n = 0; n < array_size(many); n++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        many[n] = pair[0];
        if (vm_screen_serve(t.screen, pair[1], NULL) < 0)
            break;
    }
    assert_int_equal(n, 15);
    for (unsigned i = 0; i <= n; i++)
        close(many[i]);
    close(other);
}

static void vnc_keys(void **state)
{
    static const struct {
        uint32_t keysym;
        unsigned key;
    } keys[] = {{'a', 30},       {'A', 30},        {'1', 2},     {'!', 2},     {' ', 57},
                {'~', 41},       {0xff0d, 28},     {0xff1b, 1},  {0xffbe, 59}, {0xffc9, 88},
                {0xffff, 111},   {0xff8d, 96},     {0xffb0, 82}, {0xffe3, 29}, {0xfe03, 100},
                {0xfe20, 15},    {0, 0},           {0x7f, 0},    {0xe4, 0},    {0xffc8 + 200, 0},
                {0x01000001, 0}, {0xffffffffu, 0}, {0xff54, 108}};

    for (unsigned i = 0; i < array_size(keys); i++)
        if (vnc_key_of_keysym(keys[i].keysym) != keys[i].key)
            fail_msg("keysym %x is key %u", keys[i].keysym, vnc_key_of_keysym(keys[i].keysym));
    for (uint32_t c = 0x20; c < 0x7f; c++)
        assert_in_range(vnc_key_of_keysym(c), 1, INPUT_KEYS - 1);
}

#define UNIT(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(pictures_are_mapped_for_reading),   UNIT(each_client_is_told_everything),
        UNIT(keys_say_whether_they_were_taken),  UNIT(terminals_get_cells_or_a_size),
        UNIT(what_is_wrong_ends_the_connection), cmocka_unit_test(vnc_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
