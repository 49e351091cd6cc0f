# SPDX-License-Identifier: Apache-2.0
"""What QEMU 7.2 (TCG) is known to do otherwise than the SDM in long mode."""
from .image import field
from .known import rule, whole_rule
from .known_bochs import gate_not_canonical
from .program import GDT, TARGET


@rule('qemu', 'idt64-code', 'error codes that point to the IDT count 16 bytes a gate in long mode and have EXT clear (vol. 3, 6.13)', (1,))
def idt64_code(p):
    x, y = p.get('frame0'), p.our('frame0')
    if x != y and y & 2 and x | 1 == (y & ~7) * 2 | y & 7 | 1:
        p.put('frame0', y)
        return True
    return False


@rule('qemu', 'ss-canonical', 'a stack access that is not canonical is #GP (vol. 3, 6.15: #SS)', (1,))
def ss_canonical(p):
    if p.our('vector') == 12 and p.get('vector') == 13 and p.our('frame0') == p.get('frame0') < 2:
        p.put('vector', 12)
        return True
    return False


@rule('qemu', 'ist-ss', 'a gate with an IST stack loads SS with null also when the CPL stays (vol. 3, 6.14.4: when it changes)', (1,))
def ist_ss(p):
    if p.get('ss') == 0 and p.our('ss') not in (0, 1, 2, 3) and p.our('ss') & 3 == 0:
        p.put('ss', p.our('ss'))
        return True
    return False


@whole_rule('qemu', 'clflush', 'CLFLUSH of a page that cannot be read does nothing (vol. 2, CLFLUSH: #PF)', (1,))
def clflush(program, theirs, ours):
    return bool(ours) and field(ours[0], 'vector') == 14 and any('clflush' in x for x in program.body)


@rule('qemu', 'clflush-accessed', 'CLFLUSH does not set accessed flags (vol. 2, CLFLUSH: a load)', (1,))
def clflush_accessed(p):
    done = False
    for name in p.at:
        if name[:3] in ('l1+', 'l2+', 'l3+', 'l4+') and p.get(name) ^ p.our(name) == 0x20 and p.our(name) & 0x20 and \
                p.wrote('clflush'):
            p.put(name, p.our(name))
            done = True
    return done


@whole_rule('qemu', 'gate-canonical', 'offsets of gates need not be canonical (vol. 2, INT n: #GP(EXT))', (1,))
def gate_canonical(program, theirs, ours):
    return gate_not_canonical(program) or \
        any(at == GDT + 0x88 and value in (0x8000, 0xffff7fff) for at, value in program.patches) and \
        any(' far [' in x for x in program.body)


@rule('qemu', 'far-limit64', 'a far transfer past the limit of its target has the selector as its error code (vol. 2, CALL, JMP: '
                             '#GP(0))', (1,))
def far_limit(p):
    x, y = p.get('frame0'), p.our('frame0')
    if x != y == 0 and x & 0xfff8 == x and p.our('vector') == 13 and p.wrote('(call|jmp) far'):
        p.put('frame0', 0)
        return True
    return False


def target_of(program, log):
    """The descriptor that a far transfer of the program names, from the GDT of the log."""
    for line in program.body:
        if line.startswith('mov word [') and line.rstrip().split(', ')[1].startswith('0x'):
            at = int(line.split(', ')[1], 16) & 0xf8
            return sum(field(log, f'gdt+{at + i:x}') << 8 * i for i in range(8))
    return 0


@whole_rule('qemu', 'cs-l-d', 'a code segment with both L and D can be entered; one with L has a limit (vol. 3, 5.2.1)', (1,))
def cs_l_d(program, theirs, ours):
    if program.kind == 'lreturns' and ours:
        at = program.target[0] & 0xf8
        return field(ours[0], f'gdt+{at + 6:x}') & 0x60 == 0x60
    if program.kind != 'lgates' or not ours or not any(' far [' in x for x in program.body):
        return False
    d = target_of(program, ours[0])
    return d >> 53 & 1 == 1 and (d >> 54 & 1 == 1 or d & 0xffff < TARGET)


@rule('qemu', 'gate-cs-np', 'the code segment of a gate is known to be absent before it is known to be none of 64 bits (vol. 2, '
                            'INT n: #GP comes first)', (1,))
def gate_cs_np(p):
    if p.get('vector') == 11 and p.our('vector') == 13 and p.get('frame0') == p.our('frame0') and p.our('frame0') & 2 == 0:
        p.put('vector', 13)
        return True
    return False


@whole_rule('qemu', 'push-user', 'a frame that ring 3 gets on its own stack (conforming handlers, IST) is pushed with the rights '
                                 'of ring 0 (vol. 3, 4.6: the CPL decides)', (1,))
def push_user(program, theirs, ours):
    if program.kind != 'lgates' or not ours or field(ours[0], 'frame2') & 3 != 3:
        return False
    if field(ours[0], 'vector') == 14:
        return field(ours[0], 'frame0') & 6 == 6
    # The page fault of such a push may fail in the same way.
    return field(ours[0], 'vector') == 8 and 0x6000 <= field(ours[0], 'cr2') < 0x8000


@rule('qemu', 'ext64', 'EXT is clear in the error code of a bad selector in the gate of a fault (vol. 3, 6.13)', (1,))
def ext64(p):
    x, y = p.get('frame0'), p.our('frame0')
    if p.our('vector') in (10, 11, 12, 13) and x | 1 == y != x and p.wrote('^(ud2|mov [defgs]s)'):
        p.put('frame0', y)
        return True
    return False


@whole_rule('qemu', 'lgdt-canonical', 'LGDT and LIDT take a base that is not canonical (vol. 2, LGDT: #GP(0))', (1,))
def lgdt_canonical(program, theirs, ours):
    return bool(ours) and field(ours[0], 'vector') == 13 and field(ours[0], 'frame0') == 0 and \
        any(x.startswith(('lgdt', 'lidt')) for x in program.body)


@whole_rule('qemu', 'iret-vm64', 'IRETD in long mode returns to v8086 mode (vol. 2, IRET: VM stays clear)', (1,))
def iret_vm64(program, theirs, ours):
    return program.kind == 'lreturns' and program.target[3] == 'iretd' and program.flags & 0x20000 != 0


@whole_rule('qemu', 'iret-null-ss', 'IRET takes a null SS of any RPL, and to compatibility code (vol. 2, IRET: #GP(0))', (1,))
def iret_null_ss(program, theirs, ours):
    return program.kind == 'lreturns' and program.target[1] < 4 and bool(ours) and field(ours[0], 'vector') in (11, 13) and \
        field(ours[0], 'frame0') & ~7 in (0, program.target[0] & ~7)


@rule('qemu', 'ss-accessed', 'IRETD and IRETW at the same CPL do not set the accessed flag of SS (vol. 3, 3.4.5.1)', (1,))
def ss_accessed(p):
    if p.program.kind != 'lreturns':
        return False
    name = f'gdt+{(p.program.target[1] & 0xf8) + 5:x}'
    if name in p.at and p.get(name) ^ p.our(name) == 1 and p.our(name) & 0x19 == 0x11:
        p.put(name, p.our(name))
        return True
    return False


@rule('qemu', 'iret-ss-first', 'IRETD and IRETW at the same CPL check SS before CS (vol. 2, IRET: CS first)', (1,))
def iret_ss_first(p):
    t = p.program.target if p.program.kind == 'lreturns' else None
    if t and p.differ('frame0') and p.get('frame0') == t[1] & ~3 and p.our('frame0') == t[0] & ~3:
        p.put('frame0', p.our('frame0'))
        return True
    return False


@rule('qemu', 'iret-ss-np', 'a return to an SS that is not present is #NP in long mode (vol. 2, IRET: #SS(SS selector))', (1,))
def iret_ss_np(p):
    if p.program.kind == 'lreturns' and p.our('vector') == 12 and p.get('vector') == 11 and \
            p.our('frame0') == p.program.target[1] & ~3:
        p.put('vector', 12)
        return True
    return False


@whole_rule('qemu', 'null-ss-rpl', 'MOV SS takes a null selector of another RPL (vol. 2, MOV: #GP(0))', (1,))
def null_ss_rpl(program, theirs, ours):
    return program.kind == 'lgates' and bool(ours and theirs) and field(ours[0], 'vector') == 13 and \
        field(ours[0], 'frame0') == 0 and 0 < field(theirs[0], 'ss') < 4 and 'mov ss, ax' in program.body
