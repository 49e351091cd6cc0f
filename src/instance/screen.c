/* SPDX-License-Identifier: Apache-2.0 */
/* The command's end of screen connections (screen_wire.h). */
#include "instance/screen.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "instance/client.h"
#include "instance/protocol.h"
#include "instance/screen_wire.h"
#include "io/display.h"
#include "io/input.h"

enum { ANSWER_MS = 30000, PATIENCE_MS = 15000, RETRY_MS = 10, KEYS_AT_ONCE = 8 };

struct instance_screen {
    int fd;
    const uint32_t *pixels;
    size_t bytes;
    struct protocol_reader reader;
};

static int send_frame(struct instance_screen *s, unsigned type, const void *payload, size_t len,
                      struct error *err)
{
    uint8_t bytes[PROTOCOL_FRAME_HEADER + 16];
    size_t done = 0, whole = PROTOCOL_FRAME_HEADER + len;

    protocol_frame_header(bytes, (enum protocol_frame)type, len);
    memcpy(bytes + PROTOCOL_FRAME_HEADER, payload, len);
    while (done < whole) {
        ssize_t n = send(s->fd, bytes + done, whole - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return error_set(err, -EPIPE, "the connection to its screen ended");
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* Receives what is there; a descriptor that comes along goes to *ret_fd (NULL: is not wanted). */
static int receive(struct instance_screen *s, int *ret_fd, struct error *err)
{
    size_t room;
    struct iovec part = {.iov_base = protocol_space(&s->reader, &room)};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } rights;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    struct cmsghdr *c;
    ssize_t n;
    int r;

    part.iov_len = room;
    message.msg_control = rights.space;
    message.msg_controllen = sizeof rights.space;
    do
        r = poll(&p, 1, ANSWER_MS);
    while (r < 0 && errno == EINTR);
    if (r == 0)
        return error_set(err, -ETIMEDOUT, "its screen does not answer");
    n = recvmsg(s->fd, &message, MSG_CMSG_CLOEXEC);
    if (n <= 0)
        return error_set(err, -EPIPE, "the connection to its screen ended");
    c = CMSG_FIRSTHDR(&message);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(int))) {
        int fd;
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
        if (ret_fd && *ret_fd < 0)
            *ret_fd = fd;
        else
            close(fd);
    }
    protocol_received(&s->reader, (size_t)n);
    return 0;
}

/* The next frame, which must be of @type; *ret_data is valid until the next call. */
static int answer(struct instance_screen *s, unsigned type, const uint8_t **ret_data,
                  size_t *ret_len, int *ret_fd, struct error *err)
{
    uint8_t got;
    int r;

    while ((r = protocol_next_frame(&s->reader, &got, ret_data, ret_len)) == 0) {
        r = receive(s, ret_fd, err);
        if (r < 0)
            return r;
    }
    if (r > 0 && got == SCREEN_REFUSED && *ret_len >= 4) {
        int code = (int)load_le32(*ret_data);
        return error_set(err, code < 0 && code > -4096 ? code : -EPROTO, "%.*s",
                         (int)(*ret_len - 4), (const char *)*ret_data + 4);
    }
    if (r < 0 || got != type)
        return error_set(err, -EPROTO, "its screen answered nonsense");
    return 0;
}

static int map(struct instance_screen *s, struct error *err)
{
    const uint8_t *data;
    size_t len;
    cleanup_fd int fd = -1;
    void *memory;
    int r = send_frame(s, SCREEN_MAP, "", 0, err);

    if (r == 0)
        r = answer(s, SCREEN_MAP_IS, &data, &len, &fd, err);
    if (r < 0)
        return r;
    if (len != 4 || fd < 0 || load_le32(data) < DISPLAY_MAX_PIXELS * sizeof(uint32_t))
        return error_set(err, -EPROTO, "its screen answered nonsense");
    memory = mmap(NULL, load_le32(data), PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return error_set_errno(err, -errno, "map its screen");
    s->bytes = load_le32(data);
    s->pixels = memory;
    return 0;
}

int instance_screen_open(struct instances *home, const char *ref, struct instance_screen **ret,
                         struct error *err)
{
    struct instance_screen *s;
    cleanup_fd int fd = -1;
    int r = client_screen(home, ref, &fd, err);

    if (r < 0)
        return r;
    s = mem_new(struct instance_screen);
    if (!s)
        return error_set(err, -ENOMEM, "out of memory");
    s->fd = steal_fd(&fd);
    r = map(s, err);
    if (r < 0)
        instance_screen_close(s);
    else
        *ret = s;
    return r;
}

void instance_screen_close(struct instance_screen *s)
{
    if (!s)
        return;
    if (s->pixels)
        munmap((void *)(uintptr_t)s->pixels, s->bytes);
    close(s->fd);
    free(s);
}

int instance_screen_fd(const struct instance_screen *s)
{
    return s->fd;
}

static bool inside(const struct instance_picture *p, const struct instance_screen_rect *r)
{
    return r->width && r->height && r->x + r->width <= p->width && r->y + r->height <= p->height;
}

int instance_screen_update(struct instance_screen *s, struct instance_picture *ret,
                           struct error *err)
{
    const uint8_t *data;
    size_t len;
    unsigned count;
    int r = send_frame(s, SCREEN_UPDATE, "", 0, err);

    if (r == 0)
        r = answer(s, SCREEN_FRAME, &data, &len, NULL, err);
    if (r < 0)
        return r;
    if (len < SCREEN_FRAME_SIZE)
        return error_set(err, -EPROTO, "its screen answered nonsense");
    *ret = (struct instance_picture){.pixels = s->pixels,
                                     .width = load_le16(data),
                                     .height = load_le16(data + 2),
                                     .resized = load_le16(data + 4) != 0};
    count = load_le16(data + 6);
    if (count > INSTANCE_SCREEN_RECTS || len != SCREEN_FRAME_SIZE + count * SCREEN_RECT_SIZE ||
        (size_t)ret->width * ret->height * 4 > s->bytes)
        return error_set(err, -EPROTO, "its screen answered nonsense");
    for (data += SCREEN_FRAME_SIZE; count; count--, data += SCREEN_RECT_SIZE) {
        struct instance_screen_rect rect = {load_le16(data), load_le16(data + 2),
                                            load_le16(data + 4), load_le16(data + 6)};
        if (inside(ret, &rect))
            ret->changed[ret->change_count++] = rect;
    }
    return 0;
}

int instance_screen_text(struct instance_screen *s, struct str *out, struct error *err)
{
    const uint8_t *data;
    size_t len;
    int r = send_frame(s, SCREEN_TEXT, "", 0, err);

    while (r == 0) {
        r = answer(s, SCREEN_TEXT_IS, &data, &len, NULL, err);
        if (r < 0 || !len)
            break;
        str_add_n(out, data, len);
    }
    return r;
}

/* Receives the cells, which come in pieces. */
static int take_cells(struct instance_screen *s, struct display_text *text, struct error *err)
{
    size_t count = (size_t)text->columns * text->rows, done = 0, len;
    const uint8_t *data;

    while (done < count) {
        int r = answer(s, SCREEN_CELLS_MORE, &data, &len, NULL, err);
        if (r < 0)
            return r;
        if (!len || len % 2 || len / 2 > count - done)
            return error_set(err, -EPROTO, "its screen answered nonsense");
        for (size_t i = 0; i < len; i += 2)
            text->cells[done++] = load_le16(data + i);
    }
    return 0;
}

int instance_screen_cells(struct instance_screen *s, struct instance_screen_cells *ret,
                          struct display_text *ret_text, struct error *err)
{
    const uint8_t *data;
    size_t len;
    int r = send_frame(s, SCREEN_CELLS, "", 0, err);

    if (r == 0)
        r = answer(s, SCREEN_CELLS_ARE, &data, &len, NULL, err);
    if (r < 0)
        return r;
    if (len != SCREEN_CELLS_SIZE || load_le16(data) > DISPLAY_TEXT_COLUMNS ||
        load_le16(data + 2) > DISPLAY_TEXT_ROWS)
        return error_set(err, -EPROTO, "its screen answered nonsense");
    ret_text->columns = load_le16(data);
    ret_text->rows = load_le16(data + 2);
    ret_text->cursor_x = min_of((int)(int16_t)load_le16(data + 4), (int)ret_text->columns - 1);
    ret_text->cursor_y = min_of((int)(int16_t)load_le16(data + 6), (int)ret_text->rows - 1);
    ret_text->blink = load_le16(data + 12) & SCREEN_CELLS_BLINK;
    *ret = (struct instance_screen_cells){.text = ret_text->columns && ret_text->rows,
                                          .width = load_le16(data + 8),
                                          .height = load_le16(data + 10),
                                          .tone_hz = load_le16(data + 14),
                                          .sounds = load_le32(data + 16)};
    return take_cells(s, ret_text, err);
}

int instance_screen_key(struct instance_screen *s, unsigned key, bool down, bool *ret_taken,
                        struct error *err)
{
    uint8_t payload[SCREEN_KEY_SIZE] = {0, 0, down, ret_taken != NULL};
    const uint8_t *data;
    size_t len;
    int r;

    store_le16(payload, (uint16_t)key);
    r = send_frame(s, SCREEN_KEY, payload, sizeof payload, err);
    if (r < 0 || !ret_taken)
        return r;
    r = answer(s, SCREEN_KEY_DONE, &data, &len, NULL, err);
    if (r == 0)
        *ret_taken = len && data[0];
    return r;
}

int instance_screen_pointer(struct instance_screen *s, unsigned x, unsigned y, int wheel,
                            unsigned buttons, struct error *err)
{
    uint8_t payload[SCREEN_POINTER_SIZE] = {0};

    store_le16(payload, (uint16_t)x);
    store_le16(payload + 2, (uint16_t)y);
    store_le16(payload + 4, (uint16_t)wheel);
    payload[6] = (uint8_t)buttons;
    return send_frame(s, SCREEN_POINTER, payload, sizeof payload, err);
}

/* ---- typing ---- */

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Waits until the guest has room for the key. */
static int insist(struct instance_screen *s, unsigned key, bool down, struct error *err)
{
    int64_t until = now_ms() + PATIENCE_MS;

    for (;;) {
        bool taken = false;
        int r = instance_screen_key(s, key, down, &taken, err);
        if (r < 0 || taken)
            return r;
        if (now_ms() > until)
            return error_set(err, -ETIMEDOUT,
                             "the guest takes no keys; has its keyboard driver started?");
        poll(NULL, 0, RETRY_MS);
    }
}

static int press_all(struct instance_screen *s, const unsigned *keys, unsigned count,
                     struct error *err)
{
    bool pressed;
    int r = 0;

    for (unsigned i = 0; i < count && r == 0; i++)
        r = insist(s, keys[i], true, err);
    pressed = r == 0;
    for (unsigned i = count; i-- > 0 && r == 0;)
        r = insist(s, keys[i], false, err);
    /* The keys may have been the machine's last, as ctrl-alt-delete can be. */
    return r == -EPIPE && pressed ? 0 : r;
}

int instance_screen_type(struct instance_screen *s, const char *text, struct error *err)
{
    unsigned keys[2] = {INPUT_KEY_LEFTSHIFT};
    bool shift;

    /* All of it, or nothing. */
    for (const char *c = text; *c; c++)
        if (!input_key_of_char(*c, &keys[1], &shift))
            return error_set(err, -EILSEQ, "a US keyboard has no key for byte 0x%02x of the text",
                             (unsigned char)*c);
    for (const char *c = text; *c; c++) {
        int r;
        input_key_of_char(*c, &keys[1], &shift);
        r = press_all(s, shift ? keys : keys + 1, shift ? 2 : 1, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int instance_screen_press(struct instance_screen *s, const char *names, struct error *err)
{
    unsigned keys[KEYS_AT_ONCE], count = 0;

    for (const char *at = names;;) {
        size_t n;
        if (!*at || count == KEYS_AT_ONCE)
            return error_set(err, -EINVAL, "\"%.80s\" is not up to %d keys joined by \"-\"", names,
                             KEYS_AT_ONCE);
        n = strcspn(at + 1, "-") + 1; /* a key may be "-" itself */
        keys[count] = input_key_of_name(at, n);
        if (!keys[count++])
            return error_set(err, -EINVAL,
                             "there is no key \"%.*s\"; keys are letters, digits, f1 to f12, ctrl, "
                             "alt, shift, enter, esc, tab, space, backspace, delete, insert, home, "
                             "end, pageup, pagedown, up, down, left, right and more",
                             (int)min_of(n, (size_t)40), at);
        if (!at[n])
            break;
        at += n + 1;
    }
    return press_all(s, keys, count, err);
}
