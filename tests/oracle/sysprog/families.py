# SPDX-License-Identifier: Apache-2.0
"""All families of programs, in the order in which they take turns."""
from . import lab, legacy, long, modes, rings

LAB = lab.FAMILIES  # only when asked for: they test the whole of one thing
ALL = legacy.FAMILIES + rings.FAMILIES + modes.FAMILIES + long.FAMILIES
