# SPDX-License-Identifier: Apache-2.0
"""All families of programs, in the order in which they take turns."""
from . import legacy

ALL = legacy.FAMILIES
