/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All connections share one frame, in memory that clients map for reading. What an update of one
 * client changes is noted for the others. A client that does not read its answers is let go.
 */
#include "instance/vm_screen.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/mem.h"
#include "instance/protocol.h"
#include "instance/screen_wire.h"
#include "io/display.h"
#include "io/input.h"
#include "machine/machine.h"

/* syscalls: fcntl ftruncate memfd_create mmap munmap recvfrom sendmsg sendto */

enum { CONNECTIONS = 16 };
#define MAP_BYTES (DISPLAY_MAX_PIXELS * sizeof(uint32_t))

struct connection {
    struct vm_screen *screen;
    struct connection *next;
    int fd;
    struct loop_fd *watch;
    struct protocol_reader reader;
    bool gone;
    /* What this client has not been told. */
    bool resized;
    struct display_rect damage[DISPLAY_RECTS];
    unsigned damage_count;
};

struct vm_screen {
    struct loop *loop;
    struct machine *machine;
    struct display *display;
    struct display_frame frame;
    struct display_text *text;
    int memory;
    struct connection *connections;
};

/* ---- sending ---- */

/* Sends a frame at once or lets the client go. @fd: -1, or goes with it. */
static void send_frame(struct connection *c, unsigned type, const void *payload, size_t len, int fd)
{
    uint8_t header[PROTOCOL_FRAME_HEADER];
    struct iovec parts[] = {{header, sizeof header}, {(void *)(uintptr_t)payload, len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } rights = {0};
    ssize_t n;

    protocol_frame_header(header, (enum protocol_frame)type, len);
    if (fd >= 0) {
        message.msg_control = rights.space;
        message.msg_controllen = sizeof rights.space;
        rights.header.cmsg_level = SOL_SOCKET;
        rights.header.cmsg_type = SCM_RIGHTS;
        rights.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&rights.header), &fd, sizeof fd);
    }
    do
        n = sendmsg(c->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)(sizeof header + len))
        c->gone = true;
}

static void refuse(struct connection *c, int code, const char *text)
{
    uint8_t payload[256];
    size_t n = min_of(strlen(text), sizeof payload - 4);

    store_le32(payload, (uint32_t)code);
    memcpy(payload + 4, text, n);
    send_frame(c, SCREEN_REFUSED, payload, 4 + n, -1);
}

/* ---- the picture ---- */

static int make_memory(struct vm_screen *s)
{
    void *data;
    int fd = memfd_create("isola-screen", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -errno;
    data = ftruncate(fd, (off_t)MAP_BYTES) < 0
               ? MAP_FAILED
               : mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    /* Clients read only: no new mapping can write. */
    if (data == MAP_FAILED ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) <
            0) {
        int r = -errno;
        if (data != MAP_FAILED)
            munmap(data, MAP_BYTES);
        close(fd);
        return r;
    }
    s->memory = fd;
    s->frame.pixels = data;
    return 0;
}

static void note_damage(struct connection *c, const struct display_rect *r)
{
    struct display_rect *last = &c->damage[DISPLAY_RECTS - 1];
    unsigned right, bottom;

    if (c->damage_count < DISPLAY_RECTS) {
        c->damage[c->damage_count++] = *r;
        return;
    }
    right = max_of(last->x + last->width, r->x + r->width);
    bottom = max_of(last->y + last->height, r->y + r->height);
    last->x = min_of(last->x, r->x);
    last->y = min_of(last->y, r->y);
    last->width = (uint16_t)(right - last->x);
    last->height = (uint16_t)(bottom - last->y);
}

static void note_resize(struct connection *c, const struct display_frame *frame)
{
    c->resized = true;
    c->damage_count = 1;
    c->damage[0] = (struct display_rect){0, 0, (uint16_t)frame->width, (uint16_t)frame->height};
}

static void update(struct vm_screen *s)
{
    s->display->ops->update(s->display, &s->frame);
    for (struct connection *c = s->connections; c; c = c->next) {
        if (s->frame.resized || c->resized) {
            note_resize(c, &s->frame);
            continue;
        }
        for (unsigned i = 0; i < s->frame.damage_count; i++)
            note_damage(c, &s->frame.damage[i]);
    }
}

static void send_update(struct connection *c)
{
    struct vm_screen *s = c->screen;
    uint8_t payload[SCREEN_FRAME_SIZE + DISPLAY_RECTS * SCREEN_RECT_SIZE], *at = payload;

    update(s);
    store_le16(at, (uint16_t)s->frame.width);
    store_le16(at + 2, (uint16_t)s->frame.height);
    store_le16(at + 4, c->resized);
    store_le16(at + 6, (uint16_t)c->damage_count);
    at += SCREEN_FRAME_SIZE;
    for (unsigned i = 0; i < c->damage_count; i++, at += SCREEN_RECT_SIZE) {
        store_le16(at, c->damage[i].x);
        store_le16(at + 2, c->damage[i].y);
        store_le16(at + 4, c->damage[i].width);
        store_le16(at + 6, c->damage[i].height);
    }
    c->resized = false;
    c->damage_count = 0;
    send_frame(c, SCREEN_FRAME, payload, (size_t)(at - payload), -1);
}

static void send_text(struct connection *c)
{
    struct vm_screen *s = c->screen;
    struct str out = {0};

    if (!s->text)
        s->text = mem_new(struct display_text);
    if (!s->text) {
        refuse(c, -ENOMEM, "out of memory");
        return;
    }
    if (s->display->ops->text(s->display, s->text) < 0) {
        refuse(c, -ENODATA, "its screen shows a picture, not text");
        return;
    }
    display_text_utf8(s->text, &out);
    for (size_t at = 0; at < out.len && !c->gone; at += PROTOCOL_FRAME_MAX)
        send_frame(c, SCREEN_TEXT_IS, out.data + at,
                   min_of(out.len - at, (size_t)PROTOCOL_FRAME_MAX), -1);
    send_frame(c, SCREEN_TEXT_IS, "", 0, -1);
    str_done(&out);
}

/* What a terminal shows: the cells of a text mode, or how large the picture is. */
static void send_cells(struct connection *c)
{
    struct vm_screen *s = c->screen;
    uint8_t head[SCREEN_CELLS_SIZE] = {0}, cells[PROTOCOL_FRAME_MAX];
    struct machine_speaker speaker;
    size_t count = 0;

    if (!s->text)
        s->text = mem_new(struct display_text);
    if (!s->text) {
        refuse(c, -ENOMEM, "out of memory");
        return;
    }
    if (s->display->ops->text(s->display, s->text) == 0) {
        count = (size_t)s->text->columns * s->text->rows;
        store_le16(head, (uint16_t)s->text->columns);
        store_le16(head + 2, (uint16_t)s->text->rows);
        store_le16(head + 4, (uint16_t)s->text->cursor_x);
        store_le16(head + 6, (uint16_t)s->text->cursor_y);
        store_le16(head + 12, s->text->blink ? SCREEN_CELLS_BLINK : 0);
    } else {
        update(s);
        store_le16(head + 8, (uint16_t)s->frame.width);
        store_le16(head + 10, (uint16_t)s->frame.height);
    }
    machine_speaker(s->machine, &speaker);
    store_le16(head + 14, (uint16_t)min_of(speaker.tone_hz, 65535u));
    store_le32(head + 16, speaker.sounds);
    send_frame(c, SCREEN_CELLS_ARE, head, sizeof head, -1);
    for (size_t at = 0; at < count && !c->gone;) {
        size_t n = min_of(count - at, sizeof cells / 2);
        for (size_t i = 0; i < n; i++)
            store_le16(cells + 2 * i, s->text->cells[at + i]);
        send_frame(c, SCREEN_CELLS_MORE, cells, 2 * n, -1);
        at += n;
    }
}

/* ---- requests ---- */

static int handle(struct connection *c, unsigned type, const uint8_t *data, size_t len)
{
    struct vm_screen *s = c->screen;
    struct input_pointer p;
    uint8_t bytes[4];

    switch (type) {
    case SCREEN_MAP:
        store_le32(bytes, (uint32_t)MAP_BYTES);
        send_frame(c, SCREEN_MAP_IS, bytes, 4, s->memory);
        return 0;
    case SCREEN_UPDATE:
        send_update(c);
        return 0;
    case SCREEN_TEXT:
        send_text(c);
        return 0;
    case SCREEN_CELLS:
        send_cells(c);
        return 0;
    case SCREEN_KEY:
        if (len != SCREEN_KEY_SIZE)
            return -EPROTO;
        bytes[0] = machine_key(s->machine, load_le16(data), data[2] != 0);
        if (data[3])
            send_frame(c, SCREEN_KEY_DONE, bytes, 1, -1);
        return 0;
    case SCREEN_POINTER:
        if (len != SCREEN_POINTER_SIZE)
            return -EPROTO;
        p = (struct input_pointer){
            .x = (uint16_t)min_of(load_le16(data), (uint16_t)INPUT_PLACE_MAX),
            .y = (uint16_t)min_of(load_le16(data + 2), (uint16_t)INPUT_PLACE_MAX),
            .wheel = (int16_t)load_le16(data + 4),
            .buttons = data[6]};
        machine_pointer(s->machine, &p, s->frame.width, s->frame.height);
        return 0;
    default:
        return -EPROTO;
    }
}

static void drop(struct connection *c)
{
    struct connection **link = &c->screen->connections;

    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    loop_remove_fd(c->watch);
    close(c->fd);
    free(c);
}

static void on_readable(void *opaque, int fd, unsigned events)
{
    struct connection *c = opaque;
    size_t room, len;
    uint8_t *space = protocol_space(&c->reader, &room), type;
    const uint8_t *data;
    ssize_t n = recv(fd, space, room, MSG_DONTWAIT);
    int r;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop(c);
        return;
    }
    protocol_received(&c->reader, (size_t)n);
    while ((r = protocol_next_frame(&c->reader, &type, &data, &len)) > 0 && !c->gone)
        if (handle(c, type, data, len) < 0)
            c->gone = true;
    if (r < 0 || c->gone)
        drop(c);
}

int vm_screen_serve(struct vm_screen *s, int fd, struct error *err)
{
    struct connection *c = NULL;
    unsigned count = 0;

    for (c = s->connections; c; c = c->next)
        count++;
    c = count < CONNECTIONS ? mem_new(struct connection) : NULL;
    if (c) {
        *c = (struct connection){.screen = s, .fd = fd};
        note_resize(c, &s->frame);
        c->watch = loop_add_fd(s->loop, fd, LOOP_READ, on_readable, c, err);
    } else {
        error_set(err, -EBUSY, "more than %d connections to its screen", CONNECTIONS);
    }
    if (!c || !c->watch) {
        close(fd);
        free(c);
        return -EBUSY;
    }
    c->next = s->connections;
    s->connections = c;
    return 0;
}

struct vm_screen *vm_screen_new(struct loop *loop, struct machine *machine, struct error *err)
{
    struct vm_screen *s = mem_new(struct vm_screen);
    int r;

    if (!s) {
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    s->loop = loop;
    s->machine = machine;
    s->display = machine_display(machine);
    r = make_memory(s);
    if (r < 0) {
        error_set_errno(err, r, "create memory for the screen");
        free(s);
        return NULL;
    }
    return s;
}

void vm_screen_free(struct vm_screen *s)
{
    if (!s)
        return;
    while (s->connections)
        drop(s->connections);
    munmap(s->frame.pixels, MAP_BYTES);
    close(s->memory);
    free(s->text);
    free(s);
}
