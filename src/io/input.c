/* SPDX-License-Identifier: Apache-2.0 */
#include "io/input.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* Rows of a US keyboard by key number, without and with shift. */
static const struct {
    unsigned first;
    const char *plain, *shifted;
} rows[] = {
    {2, "1234567890-=", "!@#$%^&*()_+"},
    {16, "qwertyuiop[]", "QWERTYUIOP{}"},
    {30, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
    {43, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
};

static const struct {
    const char *name;
    uint8_t key;
} names[] = {
    {"esc", INPUT_KEY_ESC},
    {"escape", INPUT_KEY_ESC},
    {"minus", 12},
    {"equal", 13},
    {"backspace", INPUT_KEY_BACKSPACE},
    {"tab", INPUT_KEY_TAB},
    {"enter", INPUT_KEY_ENTER},
    {"return", INPUT_KEY_ENTER},
    {"ret", INPUT_KEY_ENTER},
    {"ctrl", INPUT_KEY_LEFTCTRL},
    {"control", INPUT_KEY_LEFTCTRL},
    {"shift", INPUT_KEY_LEFTSHIFT},
    {"alt", INPUT_KEY_LEFTALT},
    {"space", INPUT_KEY_SPACE},
    {"spc", INPUT_KEY_SPACE},
    {"capslock", 58},
    {"f1", 59},
    {"f2", 60},
    {"f3", 61},
    {"f4", 62},
    {"f5", 63},
    {"f6", 64},
    {"f7", 65},
    {"f8", 66},
    {"f9", 67},
    {"f10", 68},
    {"numlock", 69},
    {"scrolllock", 70},
    {"f11", 87},
    {"f12", 88},
    {"rightctrl", INPUT_KEY_RIGHTCTRL},
    {"rightshift", INPUT_KEY_RIGHTSHIFT},
    {"print", INPUT_KEY_SYSRQ},
    {"sysrq", INPUT_KEY_SYSRQ},
    {"rightalt", INPUT_KEY_RIGHTALT},
    {"altgr", INPUT_KEY_RIGHTALT},
    {"home", INPUT_KEY_HOME},
    {"up", INPUT_KEY_UP},
    {"pageup", INPUT_KEY_PAGEUP},
    {"pgup", INPUT_KEY_PAGEUP},
    {"left", INPUT_KEY_LEFT},
    {"right", INPUT_KEY_RIGHT},
    {"end", INPUT_KEY_END},
    {"down", INPUT_KEY_DOWN},
    {"pagedown", INPUT_KEY_PAGEDOWN},
    {"pgdn", INPUT_KEY_PAGEDOWN},
    {"insert", INPUT_KEY_INSERT},
    {"ins", INPUT_KEY_INSERT},
    {"delete", INPUT_KEY_DELETE},
    {"del", INPUT_KEY_DELETE},
    {"pause", INPUT_KEY_PAUSE},
    {"meta", INPUT_KEY_LEFTMETA},
    {"super", INPUT_KEY_LEFTMETA},
    {"win", INPUT_KEY_LEFTMETA},
    {"menu", INPUT_KEY_MENU},
};

bool input_key_of_char(char character, unsigned *ret_key, bool *ret_shift)
{
    static const struct {
        char character;
        uint8_t key;
    } others[] = {{' ', INPUT_KEY_SPACE}, {'\n', INPUT_KEY_ENTER},     {'\r', INPUT_KEY_ENTER},
                  {'\t', INPUT_KEY_TAB},  {'\b', INPUT_KEY_BACKSPACE}, {0x7f, INPUT_KEY_BACKSPACE},
                  {'\33', INPUT_KEY_ESC}};

    for (unsigned i = 0; i < array_size(others); i++) {
        if (others[i].character == character) {
            *ret_key = others[i].key;
            *ret_shift = false;
            return true;
        }
    }
    for (unsigned i = 0; character && i < array_size(rows); i++) {
        const char *plain = strchr(rows[i].plain, character);
        const char *shifted = strchr(rows[i].shifted, character);
        if (!plain && !shifted)
            continue;
        *ret_key =
            rows[i].first + (unsigned)(plain ? plain - rows[i].plain : shifted - rows[i].shifted);
        *ret_shift = !plain;
        return true;
    }
    return false;
}

unsigned input_key_of_name(const char *name, size_t len)
{
    unsigned key;
    bool shift;

    if (len == 1 && input_key_of_char(*name, &key, &shift) && !shift)
        return key;
    for (unsigned i = 0; i < array_size(names); i++)
        if (strlen(names[i].name) == len && strncasecmp(names[i].name, name, len) == 0)
            return names[i].key;
    return 0;
}
