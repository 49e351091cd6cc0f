# SPDX-License-Identifier: Apache-2.0
"""
Where a judge is known to differ from the SDM, which then decides.

A rule looks at one pair of logs and corrects in the judge's log exactly what it knows to be wrong there, so that anything
else that differs still shows. It returns whether it had to. "vol." is the Intel SDM.
"""
import re

from .image import fields_of

RULES = []


def rule(judge, name, why, kinds=(0,)):
    """kinds: those of the logs that it can look at."""
    def add(function):
        RULES.append((judge, name, why, function, kinds))
        return function
    return add


class Pair:
    """A judge's log, which may be corrected, beside Isola's."""

    def __init__(self, program, theirs, ours):
        self.program, self.log, self.ours = program, bytearray(theirs), ours
        self.at = {name: (at, size) for name, at, size in fields_of(ours)}

    def get(self, name):
        at, size = self.at[name]
        return int.from_bytes(self.log[at:at + size], 'little')

    def our(self, name):
        at, size = self.at[name]
        return int.from_bytes(self.ours[at:at + size], 'little')

    def put(self, name, value):
        at, size = self.at[name]
        self.log[at:at + size] = value.to_bytes(size, 'little')

    def differ(self, name):
        return self.get(name) != self.our(name)

    def wrote(self, pattern):
        return any(re.search(pattern, line) for line in self.program.body)


def corrected(judge, program, theirs, ours, counts):
    """The judge's log with what is known to be wrong put right."""
    if theirs[:1] != ours[:1]:
        return theirs
    pair = Pair(program, theirs, ours)
    for who, name, _, function, kinds in RULES:
        if who == judge and ours[0] in kinds and function(pair):
            counts[judge, name] = counts.get((judge, name), 0) + 1
    return bytes(pair.log)


# Programs that are not compared at all with a judge: (judge, name, why, function of program and both outcomes).
WHOLE = []


def whole_rule(judge, name, why, kinds=(0,)):
    """kinds: what the first log of Isola may be, if there is one."""
    def add(function):
        WHOLE.append((judge, name, why, function, kinds))
        return function
    return add


def whole(judge, program, theirs, ours):
    """The name of the rule that explains why the outcomes differ. A judge that hangs has no logs."""
    if ours == 'hangs' or theirs == ours:
        return None
    logs = [] if theirs == 'hangs' else theirs
    for who, name, _, function, kinds in WHOLE:
        if who == judge and (not ours or ours[0][0] in kinds) and function(program, logs, ours):
            return name
    return None


def listing():
    return [x[:3] for x in RULES + WHOLE]
