/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isola-vnc: the VNC server of one virtual machine, a process of its own so that what strangers
 * send is parsed outside of the machine's supervisor and libvncserver is loaded by nobody else.
 *
 *   isola-vnc DATA-DIR RUNTIME-DIR ID        with a listening socket as descriptor 3
 *
 * It is a client of the supervisor's control socket (screen.h): it maps the picture, asks for
 * updates while somebody watches, and passes keys and pointer on. When the machine restarts it
 * connects again; it ends with its supervisor.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rfb/rfb.h>

#include "base/mem.h"
#include "instance/confine.h"
#include "instance/engine.h"
#include "instance/instance.h"
#include "instance/screen.h"
#include "instance/vnc_keys.h"
#include "instance/vnc_sandbox.h"
#include "io/input.h"

enum { LISTEN_FD = 3, CLIENTS = 8, DESCRIPTORS = 64 };
enum { FRAME_NS = 30000000, INPUT_NS = 8000000, RETRY_MS = 200, SLOW_MS = 3000 };
enum { PLACES = 32767 };
/* Keys that wait for the guest; what more comes, or waits longer, is lost. */
enum { WAITING = 512, WAIT_MS = 5000 };
/* Bytes of address space: a picture, its copies for clients, and the libraries. */
#define MEMORY (2ull << 30)

/* It looks instances up and runs none. */
const struct engine_ops *const engines_built_in[] = {NULL};

struct server {
    struct instances *home;
    const char *id;
    struct instance_screen *screen; /* NULL: the machine does not run now */
    rfbScreenInfoPtr rfb;
    uint32_t nothing[64 * 48]; /* shown while there is no picture */
    unsigned width, height, clients;
    uint64_t down[INPUT_KEYS / 64];
    struct {
        uint8_t key, down;
    } waiting[WAITING];
    unsigned first_waiting, waiting_count;
    uint64_t waiting_since; /* of the first */
    unsigned buttons;
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static struct server *server_of(rfbClientPtr client)
{
    return client->screen->screenData;
}

/* ---- the machine ---- */

/* The library only reads the picture: it draws no cursor (cursor is NULL). */
static void show(struct server *s, const uint32_t *pixels, unsigned width, unsigned height)
{
    rfbClientIteratorPtr clients;
    rfbClientPtr client;

    s->width = width;
    s->height = height;
    rfbNewFramebuffer(s->rfb, (char *)(uintptr_t)pixels, (int)width, (int)height, 8, 3, 4);
    /* Which takes red to be lowest. */
    s->rfb->serverFormat.redShift = 16;
    s->rfb->serverFormat.greenShift = 8;
    s->rfb->serverFormat.blueShift = 0;
    clients = rfbGetClientIterator(s->rfb);
    while ((client = rfbClientIteratorNext(clients)))
        s->rfb->setTranslateFunction(client);
    rfbReleaseClientIterator(clients);
}

static void show_nothing(struct server *s)
{
    show(s, s->nothing, 64, 48);
}

static void disconnect(struct server *s)
{
    show_nothing(s);
    instance_screen_close(s->screen);
    s->screen = NULL;
}

static void connect_screen(struct server *s)
{
    struct error err = {0};

    if (!s->screen && instance_screen_open(s->home, s->id, &s->screen, &err) < 0)
        s->screen = NULL;
}

/* Brings the picture up to date and tells the library what changed. */
static void update(struct server *s)
{
    struct instance_picture p;
    struct error err = {0};

    connect_screen(s);
    if (!s->screen)
        return;
    if (instance_screen_update(s->screen, &p, &err) < 0) {
        disconnect(s);
        return;
    }
    if (p.width != s->width || p.height != s->height)
        show(s, p.pixels, p.width, p.height);
    for (unsigned i = 0; i < p.change_count; i++) {
        const struct instance_screen_rect *r = &p.changed[i];
        rfbMarkRectAsModified(s->rfb, (int)r->x, (int)r->y, (int)(r->x + r->width),
                              (int)(r->y + r->height));
    }
}

/* Gives the guest the keys that it takes now. */
static void send_keys(struct server *s)
{
    struct error err = {0};
    bool taken = true;

    while (s->waiting_count && s->screen) {
        unsigned at = s->first_waiting;
        if (instance_screen_key(s->screen, s->waiting[at].key, s->waiting[at].down, &taken, &err) <
            0) {
            disconnect(s);
            return;
        }
        if (!taken && now_ns() - s->waiting_since < WAIT_MS * 1000000ull)
            return;
        s->first_waiting = (at + 1) % WAITING;
        s->waiting_count--;
        s->waiting_since = now_ns();
    }
}

static void set_key(struct server *s, unsigned key, bool down)
{
    unsigned at = (s->first_waiting + s->waiting_count) % WAITING;

    if (s->waiting_count == WAITING)
        return;
    if (down)
        s->down[key / 64] |= 1ull << key % 64;
    else
        s->down[key / 64] &= ~(1ull << key % 64);
    if (!s->waiting_count)
        s->waiting_since = now_ns();
    s->waiting[at].key = (uint8_t)key;
    s->waiting[at].down = down;
    s->waiting_count++;
    send_keys(s);
}

/* ---- clients ---- */

static void on_key(rfbBool down, rfbKeySym keysym, rfbClientPtr client)
{
    unsigned key = vnc_key_of_keysym(keysym);

    if (key)
        set_key(server_of(client), key, down);
}

static void on_pointer(int mask, int x, int y, rfbClientPtr client)
{
    struct server *s = server_of(client);
    unsigned buttons = (unsigned)mask, pressed = buttons & ~s->buttons, ours;
    int wheel = (int)(pressed >> 3 & 1) - (int)(pressed >> 4 & 1);
    struct error err = {0};

    s->buttons = buttons;
    ours = (buttons & 1 ? INPUT_LEFT : 0u) | (buttons & 2 ? INPUT_MIDDLE : 0u) |
           (buttons & 4 ? INPUT_RIGHT : 0u);
    if (!s->screen || s->width < 2 || s->height < 2)
        return;
    x = min_of(max_of(x, 0), (int)s->width - 1);
    y = min_of(max_of(y, 0), (int)s->height - 1);
    if (instance_screen_pointer(s->screen, (unsigned)x * PLACES / (s->width - 1),
                                (unsigned)y * PLACES / (s->height - 1), wheel, ours, &err) < 0)
        disconnect(s);
}

/* Nobody is left who could let go of what is held. */
static void on_gone(rfbClientPtr client)
{
    struct server *s = server_of(client);

    if (--s->clients)
        return;
    for (unsigned key = 0; key < INPUT_KEYS; key++)
        if (s->down[key / 64] >> key % 64 & 1)
            set_key(s, key, false);
}

static enum rfbNewClientAction on_client(rfbClientPtr client)
{
    struct server *s = server_of(client);

    s->clients++;
    client->clientGoneHook = on_gone;
    return s->clients > CLIENTS ? RFB_CLIENT_REFUSE : RFB_CLIENT_ACCEPT;
}

static void accept_client(struct server *s)
{
    int fd = accept4(LISTEN_FD, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    if (fd >= DESCRIPTORS - 8) {
        close(fd);
        return;
    }
    update(s); /* so that it is greeted with the size of the picture */
    rfbNewClient(s->rfb, fd);
}

/* ---- running ---- */

static void quiet(const char *format, ...)
{
}

static int make_rfb(struct server *s)
{
    rfbLog = quiet;
    rfbErr = quiet;
    s->rfb = rfbGetScreen(NULL, NULL, 64, 48, 8, 3, 4);
    if (!s->rfb)
        return -ENOMEM;
    s->rfb->screenData = s;
    s->rfb->frameBuffer = (char *)s->nothing;
    s->rfb->desktopName = s->id;
    s->rfb->cursor = NULL;
    s->rfb->alwaysShared = TRUE;
    s->rfb->autoPort = FALSE;
    s->rfb->port = s->rfb->ipv6port = 0; /* listens at descriptor 3 alone */
    s->rfb->httpPort = s->rfb->http6Port = 0;
    s->rfb->maxClientWait = SLOW_MS;
    s->rfb->deferUpdateTime = 0;
    s->rfb->kbdAddEvent = on_key;
    s->rfb->ptrAddEvent = on_pointer;
    s->rfb->newClientHook = on_client;
    rfbInitServer(s->rfb);
    show_nothing(s);
    return 0;
}

static void serve(struct server *s)
{
    uint64_t next = 0, left;

    for (;;) {
        struct pollfd listener = {.fd = LISTEN_FD, .events = POLLIN};
        if (poll(&listener, 1, s->clients || s->waiting_count ? 0 : -1) > 0)
            accept_client(s);
        if (!s->screen && now_ns() >= next) {
            connect_screen(s);
            next = s->screen ? 0 : now_ns() + RETRY_MS * 1000000ull;
        }
        if (s->screen && now_ns() >= next) {
            /* One that comes late is followed in step, unless a whole one was missed. */
            next = next + FRAME_NS > now_ns() ? next + FRAME_NS : now_ns() + FRAME_NS;
            update(s);
        }
        send_keys(s);
        left = next > now_ns() ? next - now_ns() : 0;
        rfbProcessEvents(s->rfb, (long)(min_of(left, (uint64_t)INPUT_NS) / 1000));
    }
}

/* What a server of pictures does not need. */
static int confine(struct error *err)
{
    const struct rlimit files = {DESCRIPTORS, DESCRIPTORS}, memory = {MEMORY, MEMORY},
                        none = {0, 0};
    sigset_t no_signals;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&no_signals); /* the supervisor reads its own from a descriptor */
    sigprocmask(SIG_SETMASK, &no_signals, NULL);
    if (setrlimit(RLIMIT_NOFILE, &files) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
        setrlimit(RLIMIT_AS, &memory) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        return error_set_errno(err, -errno, "limit the VNC server");
    return confine_capabilities(0, err);
}

int main(int argc, char **argv)
{
    static struct server s;
    struct error err = {0};

    if (argc != 4 || fcntl(LISTEN_FD, F_GETFD) < 0) {
        fprintf(stderr, "isola-vnc is started by isola run --display vnc=ADDRESS\n");
        return 125;
    }
    s.home = instances_open(&(struct instances_config){.data_dir = argv[1], .runtime_dir = argv[2]},
                            &err);
    s.id = argv[3];
    if (!s.home || confine(&err) < 0 || make_rfb(&s) < 0 || vnc_sandbox_enter(&err) < 0) {
        fprintf(stderr, "isola-vnc: %s\n", error_text(&err));
        return 1;
    }
    serve(&s);
    return 0;
}
