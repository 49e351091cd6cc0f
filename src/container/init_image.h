/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of the program isola-init (init_main.c), built into who makes containers. */
#ifndef CONTAINER_INIT_IMAGE_H
#define CONTAINER_INIT_IMAGE_H

#include <stddef.h>

extern const unsigned char init_image[];
extern const size_t init_image_size;

#endif
