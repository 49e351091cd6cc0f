/* SPDX-License-Identifier: Apache-2.0 */
/* The keyboard controller's translation of scan code set 2 to set 1. */
#ifndef DEVICE_PS2_SCAN_H
#define DEVICE_PS2_SCAN_H

#include <stdint.h>

/* The set 1 code (without the break bit) of each set 2 code. */
extern const uint8_t ps2_set1_of_set2[256];

#endif
