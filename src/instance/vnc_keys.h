/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INSTANCE_VNC_KEYS_H
#define INSTANCE_VNC_KEYS_H

#include <stdint.h>

/*
 * The key (io/input.h) of a PC's US keyboard that makes X's @keysym (RFC 6143, 7.5.4), 0 when there
 * is none. Shifted characters give their key alone: the client presses shift itself.
 */
unsigned vnc_key_of_keysym(uint32_t keysym);

#endif
