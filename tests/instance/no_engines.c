/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that start nothing. */
#include <stddef.h>

#include "instance/engine.h"

const struct engine_ops *const engines_built_in[] = {NULL};
