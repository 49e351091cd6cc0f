#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Generated system programs on Isola's processor, on QEMU and on Bochs: the logs must be the same.

usage: system_programs.py --run BOARD_RUN [--count N] [--seed S] [--judges qemu,bochs] [--kinds K,...] [--only N]
                          [--keep DIR] [--show N]
       system_programs.py --known [--in FILE]    the list of known differences; whether FILE names each of them

One image is a 64 KiB ROM that starts at the reset vector. For each program it fills RAM with descriptor tables, gates,
task state segments and page tables, makes the program's changes, enters its mode and runs it. Every interrupt handler
logs the vector, all registers, control registers, the pushed frame and the tables that the processor may have written,
and ends the program by a triple fault, so that each program starts from a true reset. A program that triple faults by
itself logs nothing; one that hangs is left out of the image, which is then run again from the next program on.

Differences that are known and explained (sysprog/known.py) are counted; any other makes the exit status 1. Exits 77 when
nasm or all judges are missing.
"""
import argparse
import os
import random
import shutil
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sysprog import families, image, judges, known, known_bochs, known_qemu, known_qemu64  # noqa: E402, F401

BATCH, HANGS = 80, 12


def outcomes(judge, programs, folder):
    """Of each program the list of its logs, or 'hangs'. None when the judge gives up."""
    result, first, hangs = {}, 0, 0
    while first < len(programs):
        rom = image.assemble(programs, first, folder, 'image')
        logs, whole = image.split(judge.run(rom))
        result.update(logs)
        if whole:
            break
        hangs += 1
        last = max(logs, default=first)
        result[last] = 'hangs'
        if hangs > HANGS:
            return None
        first = last + 1
    return [result.get(n) for n in range(len(programs))]


def batches(programs, folder):
    """Lists of programs that have the same judges and fit into a ROM."""
    for who in sorted({p.judges for p in programs}):
        mine = [p for p in programs if p.judges == who]
        while mine:
            size = BATCH
            while not image.assemble(mine[:size], 0, folder, 'image'):
                size //= 2
            yield who, mine[:size]
            mine = mine[size:]


def differences(theirs, ours):
    text = []
    for name, at, size in image.fields_of(ours):
        x, y = theirs[at:at + size], ours[at:at + size]
        if x != y:
            text.append(f'{name} {int.from_bytes(x, "little"):x}/{int.from_bytes(y, "little"):x}')
    return ' '.join(text[:9])


def compare(judge, program, theirs, ours, counts):
    """What differs, as text; empty when nothing does but known differences."""
    if theirs is None or ours is None:
        return 'no outcome on ' + (judge if theirs is None else 'isola')
    whole = known.whole(judge, program, theirs, ours)
    if whole:
        counts[judge, whole] = counts.get((judge, whole), 0) + 1
        return ''
    if 'hangs' in (theirs, ours):
        return '' if theirs == ours else 'hangs on ' + (judge if theirs == 'hangs' else 'isola') + ' alone'
    for n, (x, y) in enumerate(zip(theirs, ours)):
        x = known.corrected(judge, program, x, y, counts)
        if x[:1] != y[:1]:
            return f'log {n}: in another mode'
        if x != y:
            return f'log {n}: {judge}/isola: {differences(x, y)}'
    if len(theirs) != len(ours):
        more = theirs if len(theirs) > len(ours) else ours
        return (f'{len(theirs)} logs on {judge}, {len(ours)} on isola, then a triple fault; the first more has vector '
                f'{image.field(more[min(len(theirs), len(ours))], "vector")}')
    return ''


def walked(program, logs):
    """Whether a walk logged breakpoints in all its rings."""
    return logs != 'hangs' and program.rings <= {image.field(x, 'frame1') & 3 for x in logs if image.field(x, 'vector') == 3}


class Report:
    def __init__(self, show):
        self.show, self.kinds, self.counts, self.differ = show, {}, {}, 0

    def add(self, number, program, verdicts, ours):
        k = self.kinds.setdefault(program.kind, dict(programs=0, triple=0, hang=0, differ=0, qemu=0, bochs=0, walks=0, walked=0))
        k['programs'] += 1
        k['triple'] += ours == []
        k['walks'] += bool(program.rings)
        k['walked'] += bool(program.rings) and walked(program, ours)
        k['hang'] += ours == 'hangs'
        for judge in verdicts:
            k[judge] += 1
        bad = {j: v for j, v in verdicts.items() if v}
        if not bad:
            return
        k['differ'] += 1
        self.differ += 1
        if self.differ > self.show:
            return
        agree = [j for j in verdicts if j not in bad]
        print(f'DIFF program {number} ({program.kind})' + (f', {agree[0]} agrees' if agree else ''))
        for v in bad.values():
            print('    ' + v)
        print('    ' + '; '.join(program.body[-16:]), flush=True)

    def print(self, seed, names):
        total = sum(k['programs'] for k in self.kinds.values())
        print(f'{total} programs compared with {" and ".join(names)}, seed {seed}: {self.differ} differ')
        for name, k in sorted(self.kinds.items()):
            print(f'  {name:10} {k["programs"]:6} programs, {k["qemu"]} judged by qemu, {k["bochs"]} by bochs, '
                  f'{k["triple"]} end in a triple fault, {k["hang"]} hang, {k["differ"]} differ' + (f', {k["walked"]} went through all their rings' if k['walks'] else ''))
        for judge, name, why in known.listing():
            if judge in names:
                print(f'  known: {judge} {name} {self.counts.get((judge, name), 0)}: {why}')


def list_known(document):
    lines = [f'- {judge} `{name}`: {why}' for judge, name, why in known.listing()]
    if not document:
        print('\n'.join(lines))
        return 0
    with open(document) as f:
        text = ' '.join(f.read().split())
    missing = [line for line in lines if ' '.join(line.split()) not in text]
    for line in missing:
        print(f'{document} does not have: {line}')
    print(f'{len(lines) - len(missing)} of {len(lines)} known differences are documented')
    return 1 if missing else 0


def generate(o, present):
    """The programs that the options ask for and that somebody present can judge."""
    kinds = o.kinds.split(',') if o.kinds else None
    chosen = [f for f in families.ALL + families.LAB if f.__name__.split('_', 1)[1] in kinds] if kinds else families.ALL
    if not chosen:
        sys.exit(f'no such kind; there are {", ".join(f.__name__.split("_", 1)[1] for f in families.ALL + families.LAB)}')
    programs = []
    for n in [o.only] if o.only is not None else range(o.count):
        p = chosen[n % len(chosen)](random.Random(o.seed * 1000003 + n))
        p.number = n
        programs.append(p)
    judged = [p for p in programs if any(j.name in p.judges for j in present)]
    if len(judged) < len(programs):
        print(f'{len(programs) - len(judged)} programs are left out that nobody present can judge')
    return judged


def judge_all(o, folder):
    wanted = o.judges.split(',')
    present = [j for j in judges.present(folder) if j.name in wanted]
    for name in wanted:
        if name not in [j.name for j in present]:
            print(f'{name} is not installed: left out')
    if not shutil.which('nasm') or not present:
        print('skipped: nasm, or QEMU and Bochs, are missing')
        return 77
    report = Report(o.show)
    for who, batch in batches(generate(o, present), folder):
        ours = outcomes(judges.Isola(o.run, folder), batch, folder)
        if ours is None:
            print(f'too many programs hang on isola: {batch[0].number} and following')
            return 1
        verdicts = [{} for _ in batch]
        for judge in [j for j in present if j.name in who]:
            theirs = outcomes(judge, batch, folder) or [None] * len(batch)
            for n, p in enumerate(batch):
                verdicts[n][judge.name] = compare(judge.name, p, theirs[n], ours[n], report.counts)
        for n, p in enumerate(batch):
            report.add(p.number, p, verdicts[n], ours[n])
    report.print(o.seed, [j.name for j in present])
    lazy = [name for name, k in report.kinds.items() if k['walked'] * 2 < k['walks']]
    if lazy:
        print(f'most walks of {" and ".join(lazy)} end before all rings were seen')
    return 1 if report.differ or lazy else 0


def main():
    a = argparse.ArgumentParser()
    a.add_argument('--run')
    a.add_argument('--known', action='store_true')
    a.add_argument('--in', dest='document')
    a.add_argument('--count', type=int, default=600)
    a.add_argument('--seed', type=int, default=1)
    a.add_argument('--judges', default='qemu,bochs')
    a.add_argument('--kinds')
    a.add_argument('--only', type=int)
    a.add_argument('--keep')
    a.add_argument('--show', type=int, default=40)
    o = a.parse_args()
    if o.known:
        return list_known(o.document)
    if not o.run:
        a.error('--run BOARD_RUN is needed')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left behind
    folder = judges.folder(o.keep)
    try:
        return judge_all(o, folder)
    finally:
        if not o.keep:
            shutil.rmtree(folder)


sys.exit(main())
