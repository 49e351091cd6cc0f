# SPDX-License-Identifier: Apache-2.0
"""All families of programs, in the order in which they take turns."""
from . import legacy, long, modes, rings

ALL = legacy.FAMILIES + rings.FAMILIES + modes.FAMILIES + long.FAMILIES
