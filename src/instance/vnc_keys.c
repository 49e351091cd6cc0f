/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/vnc_keys.h"

#include "base/mem.h"
#include "io/input.h"

/* Keys of the PC's scan codes that io/input.h has no names for. */
enum { KEY_CAPSLOCK = 58, KEY_F1 = 59, KEY_NUMLOCK = 69, KEY_SCROLLLOCK = 70, KEY_F11 = 87 };
enum { KEY_KPASTERISK = 55, KEY_KPMINUS = 74, KEY_KPPLUS = 78, KEY_KPDOT = 83 };

/* Keysyms 0xff00 + index; F1 to F12 and the keypad's digits are ranges. */
static const uint8_t functions[256] = {[0x08] = INPUT_KEY_BACKSPACE,
                                       [0x09] = INPUT_KEY_TAB,
                                       [0x0d] = INPUT_KEY_ENTER,
                                       [0x13] = INPUT_KEY_PAUSE,
                                       [0x14] = KEY_SCROLLLOCK,
                                       [0x15] = INPUT_KEY_SYSRQ,
                                       [0x1b] = INPUT_KEY_ESC,
                                       [0x50] = INPUT_KEY_HOME,
                                       [0x51] = INPUT_KEY_LEFT,
                                       [0x52] = INPUT_KEY_UP,
                                       [0x53] = INPUT_KEY_RIGHT,
                                       [0x54] = INPUT_KEY_DOWN,
                                       [0x55] = INPUT_KEY_PAGEUP,
                                       [0x56] = INPUT_KEY_PAGEDOWN,
                                       [0x57] = INPUT_KEY_END,
                                       [0x61] = INPUT_KEY_SYSRQ,
                                       [0x63] = INPUT_KEY_INSERT,
                                       [0x67] = INPUT_KEY_MENU,
                                       [0x6b] = INPUT_KEY_PAUSE,
                                       [0x7f] = KEY_NUMLOCK,
                                       [0x8d] = INPUT_KEY_KPENTER,
                                       [0x95] = 71,
                                       [0x96] = 75,
                                       [0x97] = 72,
                                       [0x98] = 77,
                                       [0x99] = 80,
                                       [0x9a] = 73,
                                       [0x9b] = 81,
                                       [0x9c] = 79,
                                       [0x9d] = 76,
                                       [0x9e] = 82,
                                       [0x9f] = KEY_KPDOT,
                                       [0xaa] = KEY_KPASTERISK,
                                       [0xab] = KEY_KPPLUS,
                                       [0xad] = KEY_KPMINUS,
                                       [0xae] = KEY_KPDOT,
                                       [0xaf] = INPUT_KEY_KPSLASH,
                                       [0xb0] = 82,
                                       [0xb1] = 79,
                                       [0xb2] = 80,
                                       [0xb3] = 81,
                                       [0xb4] = 75,
                                       [0xb5] = 76,
                                       [0xb6] = 77,
                                       [0xb7] = 71,
                                       [0xb8] = 72,
                                       [0xb9] = 73,
                                       [0xbe] = KEY_F1,
                                       [0xbf] = KEY_F1 + 1,
                                       [0xc0] = KEY_F1 + 2,
                                       [0xc1] = KEY_F1 + 3,
                                       [0xc2] = KEY_F1 + 4,
                                       [0xc3] = KEY_F1 + 5,
                                       [0xc4] = KEY_F1 + 6,
                                       [0xc5] = KEY_F1 + 7,
                                       [0xc6] = KEY_F1 + 8,
                                       [0xc7] = KEY_F1 + 9,
                                       [0xc8] = KEY_F11,
                                       [0xc9] = KEY_F11 + 1,
                                       [0xe1] = INPUT_KEY_LEFTSHIFT,
                                       [0xe2] = INPUT_KEY_RIGHTSHIFT,
                                       [0xe3] = INPUT_KEY_LEFTCTRL,
                                       [0xe4] = INPUT_KEY_RIGHTCTRL,
                                       [0xe5] = KEY_CAPSLOCK,
                                       [0xe7] = INPUT_KEY_LEFTMETA,
                                       [0xe8] = INPUT_KEY_RIGHTMETA,
                                       [0xe9] = INPUT_KEY_LEFTALT,
                                       [0xea] = INPUT_KEY_RIGHTALT,
                                       [0xeb] = INPUT_KEY_LEFTMETA,
                                       [0xec] = INPUT_KEY_RIGHTMETA,
                                       [0xff] = INPUT_KEY_DELETE};

unsigned vnc_key_of_keysym(uint32_t keysym)
{
    unsigned key;
    bool shift;

    if (keysym >= 0xff00 && keysym <= 0xffff)
        return functions[keysym & 0xff];
    if (keysym == 0xfe03) /* ISO_Level3_Shift: AltGr */
        return INPUT_KEY_RIGHTALT;
    if (keysym == 0xfe20) /* ISO_Left_Tab: with shift */
        return INPUT_KEY_TAB;
    if (keysym >= 0x20 && keysym < 0x7f && input_key_of_char((char)keysym, &key, &shift))
        return key;
    return 0;
}
