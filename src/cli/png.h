/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PNG_H
#define CLI_PNG_H

#include <stdint.h>

#include "base/str.h"

/*
 * Appends a picture of @width x @height pixels 0x00RRGGBB as a PNG file (W3C PNG, third edition).
 * out->failed is set when memory ran out.
 */
void png_encode(const uint32_t *pixels, unsigned width, unsigned height, struct str *out);

#endif
