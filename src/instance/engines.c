/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/engine.h"

const struct engine_ops *const engines_built_in[] = {&container_engine, &vm_engine, NULL};
