/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/screen_view.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "instance/screen.h"
#include "instance/text_keys.h"
#include "instance/text_view.h"
#include "io/input.h"

/* Milliseconds: between two looks, the same once nothing has changed for a while, between two
 * attempts to give keys to a guest that takes none, and after which the first one is given up. */
enum { LOOK_MS = 50, IDLE_LOOK_MS = 100, IDLE_AFTER_MS = 2000, KEYS_MS = 10, PATIENCE_MS = 5000 };
/* Keys going down and up that wait; those of one byte at most (TEXT_KEYS_MAX with three more). */
enum { WAITING = 512, OF_A_BYTE = TEXT_KEYS_MAX * 8 };

struct screen_view {
    struct instances *home;
    const char *ref;
    int fd;
    struct instance_screen *screen; /* NULL: is to be looked for */
    int64_t next_look, last_change, typed_at;
    bool sounds_known;
    uint32_t sounds;
    unsigned width, height; /* of the picture that the notice names */
    struct text_keys keys;
    struct {
        uint8_t key, down;
    } waiting[WAITING];
    unsigned first_waiting, waiting_count;
    int64_t waiting_since; /* of the first */
    struct text_view view;
    struct display_text text;
};

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* A terminal that takes nothing is waited for; one that is gone ends the session by its input. */
static void put(int fd, struct str *out)
{
    size_t done = 0;

    while (done < out->len && !out->failed) {
        ssize_t n = write(fd, out->data + done, out->len - done);
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (n < 0 && errno == EAGAIN)
            poll(&p, 1, -1);
        else if (n < 0 && errno != EINTR)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    str_done(out);
}

struct screen_view *screen_view_new(struct instances *home, const char *ref, int fd,
                                    struct error *err)
{
    struct screen_view *v = mem_new(struct screen_view);
    struct str out = {0};

    if (!v) {
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    v->home = home;
    v->ref = ref;
    v->fd = fd;
    if (instance_screen_open(home, ref, &v->screen, err) < 0) {
        free(v);
        return NULL;
    }
    text_view_begin(&v->view, &out);
    put(fd, &out);
    screen_view_resize(v);
    return v;
}

void screen_view_free(struct screen_view *v)
{
    struct str out = {0};

    if (!v)
        return;
    text_view_end(&out);
    put(v->fd, &out);
    instance_screen_close(v->screen);
    free(v);
}

void screen_view_resize(struct screen_view *v)
{
    unsigned columns, rows;

    instance_terminal_size(v->fd, &columns, &rows);
    text_view_resize(&v->view, columns ? columns : 80, rows ? rows : 24);
    v->next_look = 0;
}

/* ---- keys ---- */

static void lose(struct screen_view *v)
{
    instance_screen_close(v->screen);
    v->screen = NULL;
}

static void send_keys(struct screen_view *v, int64_t now)
{
    bool taken = true;

    while (v->waiting_count && v->screen) {
        unsigned at = v->first_waiting;
        if (instance_screen_key(v->screen, v->waiting[at].key, v->waiting[at].down, &taken, NULL) <
            0) {
            lose(v);
            return;
        }
        if (!taken && now - v->waiting_since < PATIENCE_MS)
            return;
        v->first_waiting = (at + 1) % WAITING;
        v->waiting_count--;
        v->waiting_since = now;
    }
}

static void move(struct screen_view *v, unsigned key, bool down)
{
    unsigned at = (v->first_waiting + v->waiting_count) % WAITING;

    if (!v->waiting_count)
        v->waiting_since = now_ms();
    v->waiting[at].key = (uint8_t)key;
    v->waiting[at].down = down;
    v->waiting_count++;
}

static void press(struct screen_view *v, const struct text_key *keys, unsigned count)
{
    static const struct {
        uint8_t bit, key;
    } modifiers[] = {{TEXT_KEYS_CTRL, INPUT_KEY_LEFTCTRL},
                     {TEXT_KEYS_ALT, INPUT_KEY_LEFTALT},
                     {TEXT_KEYS_SHIFT, INPUT_KEY_LEFTSHIFT}};

    for (; count; count--, keys++) {
        for (unsigned i = 0; i < array_size(modifiers); i++)
            if (keys->modifiers & modifiers[i].bit)
                move(v, modifiers[i].key, true);
        move(v, keys->key, true);
        move(v, keys->key, false);
        for (unsigned i = array_size(modifiers); i-- > 0;)
            if (keys->modifiers & modifiers[i].bit)
                move(v, modifiers[i].key, false);
    }
}

size_t screen_view_type(struct screen_view *v, const uint8_t *bytes, size_t n)
{
    struct text_key keys[TEXT_KEYS_MAX];
    size_t done = 0;

    for (; done < n && v->waiting_count + OF_A_BYTE <= WAITING; done++)
        press(v, keys, text_keys_take(&v->keys, bytes[done], keys));
    v->typed_at = v->last_change = now_ms();
    send_keys(v, v->typed_at);
    return done;
}

/* ---- the screen ---- */

static void draw_notice(struct screen_view *v, const struct instance_screen_cells *cells,
                        struct str *out)
{
    char size[80];
    const char *const lines[] = {size, "Keys reach it all the same.",
                                 "See it by: isola screenshot NAME FILE"};

    if (cells->width != v->width || cells->height != v->height)
        v->view.notice = false;
    v->width = cells->width;
    v->height = cells->height;
    snprintf(size, sizeof size, "The guest's screen shows a picture of %u x %u, not text.",
             cells->width, cells->height);
    text_view_notice(&v->view, lines, array_size(lines), out);
}

static void look(struct screen_view *v, int64_t now)
{
    struct instance_screen_cells cells;
    struct str out = {0};

    if (!v->screen && instance_screen_open(v->home, v->ref, &v->screen, NULL) < 0) {
        v->screen = NULL;
        return;
    }
    if (instance_screen_cells(v->screen, &cells, &v->text, NULL) < 0) {
        lose(v);
        return;
    }
    if (cells.text)
        text_view_draw(&v->view, &v->text, &out);
    else
        draw_notice(v, &cells, &out);
    if (v->sounds_known && cells.sounds != v->sounds)
        str_add_char(&out, '\a');
    v->sounds_known = true;
    v->sounds = cells.sounds;
    if (out.len)
        v->last_change = now;
    put(v->fd, &out);
}

int screen_view_turn(struct screen_view *v)
{
    int64_t now = now_ms();
    struct text_key keys[TEXT_KEYS_MAX];
    int wait;

    if (text_keys_pending(&v->keys) && now - v->typed_at >= LOOK_MS &&
        v->waiting_count + OF_A_BYTE <= WAITING)
        press(v, keys, text_keys_pause(&v->keys, keys));
    send_keys(v, now);
    if (now >= v->next_look) {
        look(v, now);
        v->next_look = now + (now - v->last_change < IDLE_AFTER_MS ? LOOK_MS : IDLE_LOOK_MS);
    }
    wait = (int)max_of(v->next_look - now_ms(), (int64_t)0);
    return v->waiting_count ? min_of(wait, (int)KEYS_MS) : wait;
}
