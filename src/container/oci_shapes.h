/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes shared by the files of the parser of config.json. Private to it. */
#ifndef CONTAINER_OCI_SHAPES_H
#define CONTAINER_OCI_SHAPES_H

#include "container/oci_decode.h"

extern const struct shape oci_resources_shape;
extern const struct shape oci_seccomp_shape;
extern const struct shape oci_process_shape;

#endif
