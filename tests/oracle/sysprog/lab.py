# SPDX-License-Identifier: Apache-2.0
"""The lab of the four rings: walks from ring 0 down to ring 3 and by gates up again, with a log (INT3) at each station.

A walk goes down by RETF and IRET, up by call gates to rings 2, 1 and 0, through a task gate and back, and by SYSENTER (in long
mode also SYSCALL) and back; on the way rings that IOPL allows it change the interrupt flag and write a port. It ends with
something that ring 3 may not do. Some walks find a gate closed on the way.
"""
from .long import to_user
from .program import BUDGET, GDT, TSS1, USER, Program, descriptor

STATIONS = 40
TO_RING2, TO_RING1, TO_RING0, TO_TASK = 0xc8, 0xd0, 0xd8, 0xe0
SYSENTER = 0x58  # CS and SS of ring 0, then of ring 3


def put_gate(p, slot, label, selector, access, count=0):
    """Writes a 32-bit gate to the GDT; its target is a label of the program."""
    p(f'mov eax, {label}', f'mov [{GDT + slot:#x}], ax', f'mov word [{GDT + slot + 2:#x}], {selector:#x}',
      f'mov word [{GDT + slot + 4:#x}], {access << 8 | count:#x}', 'shr eax, 16', f'mov [{GDT + slot + 6:#x}], ax')


def gate_access(r, kind, ring):
    """A present gate that @ring may use, or now and then one that it may not."""
    dpl = ring if r.random() < .93 else r.randrange(ring)
    return (0x80 if r.random() < .98 else 0) | dpl << 5 | kind


def wrmsr(p, msr, value):
    p(f'mov ecx, {msr:#x}', f'mov eax, {value}', 'xor edx, edx', 'wrmsr')


def privileges(r, ring, iopl):
    """What a ring may do that has I/O privilege, and what each may try with the flags."""
    may = [['cli', 'int3', 'sti', 'nop', 'int3'], ['sti', 'nop', 'int3', 'cli'], ['mov al, 7', 'out 0x80, al'],
           ['pushf', 'cli', 'popf']]
    flags = [['pushf', f'xor dword [{"esp"}], 0x3200', 'popf'], ['pushf', 'pop eax' if ring is not None else 'nop']]
    return r.choice(flags + (may * 3 if ring <= iopl else []))


def forbidden(r):
    return r.choice([['cli'], ['out 0x80, al'], ['hlt'], ['mov eax, cr0'], ['lgdt [0x7100]'], ['int 0x41'], ['wrmsr'], ['clts'],
                     ['mov eax, 0x10', 'mov ds, ax'], ['mov eax, 8', 'push eax', 'push eax', 'retf'], ['invlpg [0]'],
                     ['call 8:0xf9f00'], ['ltr ax'], ['sysexit']])


def program_lab(r):
    p = Program('lab', rings=(0, 1, 2, 3))
    iopl, words = r.choice([2, 2, 2, 0, 1, 3]), r.choice([0, 1, 2, 5])
    flags = r.choice([2, 2, 0x202]) | iopl << 12
    p.patch(BUDGET, STATIONS)
    for n, access in enumerate((0x9b, 0x93, 0xfb, 0xf3)):
        p.desc(SYSENTER + 8 * n, descriptor(0, 0xfffff, access, 12))
    p('mov eax, 0x2b', 'mov ds, ax', 'mov es, ax')
    put_gate(p, TO_RING2, '%%up2', 0x90, gate_access(r, 0xc, 3), words)
    put_gate(p, TO_RING1, '%%up1', 0x80, gate_access(r, 0xc, 2))
    put_gate(p, TO_RING0, '%%up0', 0x08, gate_access(r, 0xc, 1))
    put_gate(p, TO_TASK, '0', 0x30, 0x85 | r.choice([0, 1, 3]) << 5)
    p('mov dword [%d], %%%%task' % (TSS1 + 0x20))
    wrmsr(p, 0x174, SYSENTER)
    wrmsr(p, 0x175, 0x6600)
    wrmsr(p, 0x176, '%%fast')
    p(f'push dword {flags}', 'popfd', 'int3')

    def down(ring, code, data, stack):
        p(f'push dword {data}', f'push dword {stack}')
        if r.random() < .5:
            p('pushfd', f'push dword {code}', f'push dword %%down{ring}', 'iretd')
        else:
            p(f'push dword {code}', f'push dword %%down{ring}', 'retf')
        p(f'%%down{ring}:', 'int3', *privileges(r, ring, iopl))
    down(1, 0x81, 0x89, 0x6c00)
    down(2, 0x92, 0x9a, 0x6e00)
    down(3, 0x23, 0x2b, 0x7800)
    ups = [['push dword 0x501'] * words + [f'call {TO_RING2 | 3:#x}:0', 'int3'],
           ['mov ecx, esp', 'mov edx, %%slow', 'sysenter', '%%slow:', 'int3']]
    r.shuffle(ups)
    for up in ups:
        p(*up)
    p(*privileges(r, 3, iopl), *(['int 0x40'] if r.random() < .2 else forbidden(r)), 'int 0x40')
    p('%%up2:', 'int3', *privileges(r, 2, iopl), f'call {TO_RING1 | 2:#x}:0', 'int3', f'retf {4 * words}')
    p('%%up1:', 'int3', *privileges(r, 1, iopl), f'call {TO_RING0 | 1:#x}:0', 'int3', 'retf')
    p('%%up0:', 'int3', f'call {TO_TASK:#x}:0', 'int3', 'retf')
    p('%%task:', 'int3', 'iretd', 'jmp %%task')
    p('%%fast:', 'int3', 'sysexit')
    return p


CODE2, CODE1 = 0x58, 0x60  # 64-bit code of rings 2 and 1
POINTER = 0x7180  # far pointers to the gates


def put_gate64(p, slot, label, selector, access):
    put_gate(p, slot, label, selector, access)
    p(f'mov qword [{GDT + slot + 8:#x}], 0')


def program_lab64(r):
    """QEMU is not asked about rings 1 and 2: after a call gate of long mode to them it takes the CPL from the null SS, for 0."""
    by_rings = r.random() < .6
    p = Program('lab64', mode='long', judges=('bochs',) if by_rings else ('qemu', 'bochs'),
                rings=(0, 1, 2, 3) if by_rings else (0, 3))
    iopl = r.choice([2, 2, 2, 0, 1, 3])
    p.patch(BUDGET, STATIONS)
    p.desc(CODE2, descriptor(0, 0xfffff, 0xdb, 10))
    p.desc(CODE1, descriptor(0, 0xfffff, 0xbb, 10))
    p.desc(0x38, descriptor(0, 0xfffff, 0xf3, 12))  # SYSEXIT's stack
    slots = ((0xa0, 2, 3), (0xb0, 1, 2), (0xc0, 0, 1)) if by_rings else ((0xa0, 0, 3),)
    for slot, ring, caller in slots:
        put_gate64(p, slot, f'%%up{ring}', (0x10, CODE1, CODE2)[ring], gate_access(r, 0xc, caller))
        p.patch(POINTER + 8 * ring, 0)
        p.patch(POINTER + 8 * ring + 4, slot | caller)
    wrmsr(p, 0xc0000080, 0x501)
    p('mov ecx, 0xc0000081', 'xor eax, eax', 'mov edx, 0x230010', 'wrmsr')
    wrmsr(p, 0xc0000082, '%%call')
    wrmsr(p, 0xc0000084, r.choice([0, 0x300, 0x3200, 0x47700]))
    wrmsr(p, 0x174, 0x10)
    wrmsr(p, 0x175, 0x6600)
    wrmsr(p, 0x176, '%%fast')
    p('int3')
    to_user(p, flags=2 | iopl << 12)
    p('int3')

    def privileges64(ring):
        return [x.replace('esp', 'rsp').replace('eax', 'rax') for x in privileges(r, ring, iopl)]
    ups = [['syscall', 'int3'],
           ['mov rcx, rsp', f'mov rdx, {USER:#x} + %%slow', 'sysenter', '%%slow:', 'int3'],
           [f'call far dword [{USER + POINTER + 8 * slots[0][1]:#x}]', 'int3']]
    r.shuffle(ups)
    for up in ups:
        p(*up)
    last = r.choice([['cli'], ['out 0x80, al'], ['hlt'], ['mov rax, cr0'], ['int 0x41'], ['wrmsr'], ['swapgs'], ['mov rax, [0x7100]'],
                     ['db 0x48', 'sysret'], [f'call far dword [{USER + POINTER + 8:#x}]'], ['int 0x40']])
    p(*privileges64(3), *last, 'int 0x40')
    far_return = 'db 0x48\nretf'
    p('%%up2:', 'int3', *privileges64(2), f'call far dword [{POINTER + 8:#x}]', 'int3', far_return)
    p('%%up1:', 'int3', *privileges64(1), f'call far dword [{POINTER:#x}]', 'int3', far_return)
    p('%%up0:', 'int3', far_return)
    p('%%call:', 'int3', 'db 0x48\nsysret')
    p('%%fast:', 'int3', 'db 0x48\nsysexit')
    return p


FAMILIES = [program_lab, program_lab64]
