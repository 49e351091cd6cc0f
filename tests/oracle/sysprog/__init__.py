# SPDX-License-Identifier: Apache-2.0
"""Generated system programs: what they are made of, who runs them, what is known about the others."""
