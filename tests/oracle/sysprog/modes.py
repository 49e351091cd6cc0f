# SPDX-License-Identifier: Apache-2.0
"""Virtual interrupts (VME, PVI), debugging, real mode."""
from .legacy import to_ring3
from .program import BUDGET, IDT, RESUME, STUBS, TSS0, Program, descriptor, gate

# 8086 code: instructions that the extensions of v8086 mode change, and some that they do not.
V86 = [[0xfa], [0xfb], [0x9c], [0x9d], [0x66, 0x9c], [0x66, 0x9d], [0xcd, 0x20], [0xcd, 0x21], [0xcd, 0x30], [0xcd, 0x40],
       [0xcf], [0x66, 0xcf], [0xf4], [0xe4, 0xe8], [0xe6, 0x80], [0xcc], [0xce], [0x68, 0x02, 0x02, 0x9d], [0xf1],
       [0x68, 0x46, 0x72, 0x9d], [0x68, 0x02, 0x01, 0x9d], [0x68, 0x02, 0x00, 0x9d], [0x9c, 0x58], [0x9c, 0x9d],
       [0x9c, 0x0e, 0x68, 0x40, 0x00, 0xcf], [0x68, 0x02, 0x02, 0x0e, 0x68, 0x40, 0x00, 0xcf], [0xfb, 0x9c, 0x58, 0xfa],
       [0x68, 0x02, 0x01, 0x0e, 0x68, 0x40, 0x00, 0xcf]]


def program_vme(r):
    p = Program('vme', judges=('bochs',))
    p.desc(0x18, descriptor(TSS0, r.choice([0x1ff, 0x1ff, 0x1ff, 0x87, 0x86, 0x6f, 0x67]), 0x89, 0))
    p.patch(TSS0 + 100, r.choice([0x88, 0x88, 0x88, 0x68, 0x1f8, 0xffff]) << 16)
    for at in range(0, 0x190, 4):
        if at < 0x28 or r.random() < .1:
            p.patch(TSS0 + 0x68 + at, r.choice([0, 0xffffffff, r.getrandbits(32)]))
    for v in (0x20, 0x21, 0x30, 0x40):
        p.patch(4 * v, r.choice([0xf0009f10, 0x09000040, 0x09000044]))
    p.idt(0x40, gate(STUBS + 16 * 0x40, 8, 0x8e if r.random() < .3 else 0xee))
    p.idt(0x20, gate(STUBS + 16 * 0x20, 8, r.choice([0x8e, 0xee])))
    code = []
    for _ in range(r.choice([1, 2, 3, 4])):
        code += r.choice(V86)
    code += [0xcd, 0x40, 0xf4]
    p.bytes(0x9000, code)
    p.bytes(0x9040, r.choice([[0x9c, 0x58, 0xcf, 0x90], [0xcf], [0xfb, 0xcf], [0x83, 0xc4, 0x06, 0xcd]]) + [0xcd, 0x40])
    p('mov eax, 0x18', 'and byte [0x101d], 0xfd', 'ltr ax', f'mov eax, {r.choice([1, 1, 1, 3, 0]):#x}', 'mov cr4, eax')
    flags = 0x20002 | r.choice([0, 0, 0x3000, 0x1000]) | r.choice([0, 0x200]) | r.choice([0, 0x80000, 0x100000] * 5 + [0x180000]) | \
        r.choice([0, 0, 0x4000])
    p(*['push dword 0x900'] * 4, 'push dword 0x300', 'push dword 0x1000', f'push dword {flags:#x}', 'push dword 0x900',
      'push dword 0', 'iretd')
    return p


def program_pvi(r):
    """CLI, STI, POPF and IRET in ring 3 with protected-mode virtual interrupts."""
    p = Program('pvi', judges=('bochs',))
    p(f'mov eax, {r.choice([2, 2, 3, 0]):#x}', 'mov cr4, eax')
    flags = 2 | r.choice([0, 0, 0x1000, 0x3000]) | r.choice([0, 0x200]) | r.choice([0, 0x80000, 0x100000] * 5 + [0x180000])
    to_ring3(p, hex(flags))
    for _ in range(r.choice([1, 2, 3, 4])):
        p(*r.choice([['cli'], ['sti'], ['pushfd', 'pop ebx'], ['pushfw', 'pop cx'],
                     ['pushfd', f'xor dword [ss:esp], {r.choice([0x200, 0x80000, 0x180000, 0x3000, 0x80200]):#x}', 'popfd'],
                     [f'push word {r.choice([2, 0x202])}', 'popfw'],
                     [f'push dword {r.choice([2, 0x202, 0x80202, 0x180002])}', 'push dword 0x23', 'push dword %%back', 'iretd',
                      '%%back:'] if not any('back' in x for x in p.body) else ['sti'],
                     ['int3'], ['out 0x80, al']]))
    p('int 0x40')
    return p


def program_debug(r):
    """Breakpoints of all types and lengths, single steps, RF, GD, INT1, MOV SS, task traps: several events a program."""
    p = Program('debug', judges=('bochs',))
    p.patch(BUDGET, r.choice([1, 3, 6, 9]))
    p.patch(RESUME, r.choice([0x10000, 0x10000, 0]))
    dr7 = r.choice([0x400, 0x700, 0x300, 0x402])
    for n in range(4):
        if r.random() < .5:
            kind = r.choice([0, 1, 3])
            length = 0 if kind == 0 else r.choice([0, 1, 3])
            where = f'%%b{r.randrange(5)}' if kind == 0 else f'{0x7100 + r.choice([0, 1, 2, 4, 8, 0x20]):#x}'
            p(f'mov eax, {where}', f'mov dr{n}, eax')
            dr7 |= (kind | length << 2) << (16 + 4 * n) | r.choice([1, 2, 3, 0]) << 2 * n
        elif r.random() < .3:
            p(f'mov eax, {r.choice([0x80, 0xe8, 0x7f])}', f'mov dr{n}, eax')
            dr7 |= (2 | r.choice([0, 1, 3]) << 2) << (16 + 4 * n) | 1 << 2 * n
    p(f'mov eax, {r.choice([8, 8, 0])}', 'mov cr4, eax')
    dr7 |= r.choice([0, 0, 0, 0, 0x2000])
    p('mov edi, 0x7100', 'mov esi, 0x7120', f'mov eax, {dr7:#x}', 'mov dr7, eax')
    if r.random() < .3:
        to_ring3(p, r.choice(['0x2', '0x102', '0x3002', '0x10002', '0x13102']))
        p('mov eax, 0x2b', 'mov ds, ax', 'mov es, ax')
    elif r.random() < .5:
        p('pushfd', 'or dword [esp], 0x100', 'popfd')
    data = [['mov [0x7100], eax'], ['mov eax, [0x7102]'], ['mov al, [0x7103]'], ['inc dword [0x7104]'], ['push dword [0x7100]'],
            ['movsd'], ['stosb'], ['mov ecx, 3\nrep stosw'], ['mov ecx, 2\nrep movsb'], ['xchg [0x7108], eax'], ['nop'],
            ['mov eax, 5'], ['cmpxchg [0x7120], ecx']]
    other = [['mov eax, ss\nmov ss, ax'], ['push ss\npop ss'], ['mov eax, ss\nmov ss, ax\nmov [0x7100], eax'],
             ['db 0xf1'], ['int3'], ['pushfd\nor dword [ss:esp], 0x100\npopfd'], ['pushfd\nand dword [ss:esp], 0xfffffeff\npopfd'],
             ['mov eax, dr6\nxor eax, eax'], ['mov eax, dr7\nxor eax, eax'], ['out 0x80, al'], ['in al, 0xe8'], ['out 0x80, ax'], ['mov eax, dr4'],
             ['xor eax, eax\nmov dr7, eax'], ['mov eax, 0xffff0ff0\nmov dr6, eax'], ['mov eax, ss\nmov ss, ax\nint3'],
             ['ud2'], ['pushfd\npush cs\npush dword %%i0\niretd\n%%i0:'], ['pushfd\nor dword [ss:esp], 0x10100\npush cs\n'
                                                                           'push dword %%i1\niretd\n%%i1:']]
    used = set()
    for n in range(5):
        one = r.choice(data + other)[0]
        if '%%i' in one and one in used:
            one = 'nop'
        used.add(one)
        p(f'%%b{n}:', one)
    p('int 0x40')
    return p


def program_real(r):
    """Real mode: limits of segments and of the IVT, software interrupts, instructions that do not exist there."""
    wild = r.random() < .6
    p = Program('real', mode='real', judges=('bochs',) if wild else ('qemu', 'bochs'))
    edge = r.choice([0xfffd, 0xfffe, 0xffff, 0x10000])
    calm = [['int 0x40'], ['int 3'], ['into', 'mov al, 0x7f', 'add al, 1', 'into'], ['ud2'], ['aam 0'], ['o32 push dword 5'],
            ['lldt ax'], ['ltr ax'], ['sldt ax'], ['str ax'], ['verr ax'], ['lar eax, ecx'], ['arpl ax, cx'],
            ['sgdt [0x7100]', 'sidt [0x7108]'], ['smsw eax'], ['pushfd', 'popfd', 'pushf', 'pop ax'],
            [f'push word {r.choice([0x7002, 0x3202, 2, 0x4002, 0xffff]) & ~0x100 & 0xffff:#x}', 'popf', 'pushf', 'pop ax'],
            [f'push dword {r.choice([0x3f7ed7, 0x180002, 0x20002, 0x10002, 0x200002]):#x}', 'popfd', 'pushfd', 'pop eax'],
            ['push word 2', 'push word 0xf000', 'push word 0x9f10', 'iret'],
            [f'push dword {r.choice([2, 0x20002, 0x3f7ed7, 0x180002]):#x}', 'push dword 0xf000', 'push dword 0x9f10', 'iretd'],
            ['push word 0xf000', 'push word 0x9f10', 'retf'], ['call 0xf000:0x9f10'], ['jmp 0xf000:0x9f10'],
            ['mov word [0x7100], 0x9f10', 'mov word [0x7102], 0xf000', 'jmp far [0x7100]'],
            ['mov ax, 0x1234', 'mov ds, ax', 'mov ax, ds'], ['mov eax, cr0', 'mov eax, dr6', 'mov eax, cr4'],
            ['clts', 'cli', 'sti', 'wbinvd', 'cli'], ['mov eax, 0x60000012', 'mov cr0, eax', 'mov eax, cr0'],
            ['bound ax, [0x7100]'], ['enter 8, 3', 'leave'], ['pusha', 'popa'], ['pushad', 'popad'],
            ['mov eax, 0x80000010', 'mov cr0, eax'], ['lmsw ax'], ['db 0x0f, 0x05'], ['db 0x0f, 0x34'], ['o32 int 0x41'],
            ['db 0xf0, 0xfa'], ['db 0xf0\ninc word [0x7100]'], ['xor eax, eax\nlgdt [0x7100]\nsgdt [0x7108]'],
            ['mov ax, cs\nmov word [0x7100], 0x3f\nlidt [0x7100]\nint 0x10'], ['pushf\nor byte [0x6fff], 1\npopf']]
    hard = [[f'mov {x}, [{edge & 0xffff:#x}]'] for x in ('al', 'ax', 'eax')] + \
           [[f'mov ebx, {edge:#x}', f'mov {x}, [ebx]'] for x in ('al', 'ax', 'eax')] + \
           [[f'mov ebp, {edge:#x}', f'mov {x}, [ebp]'] for x in ('al', 'ax', 'eax')] + \
           [[f'mov esp, {r.choice([0, 1, 0x7001, 0x17004, 0xffff, 0xfffe]):#x}', x]
            for x in ('push ax', 'push eax', 'pop ax', 'pop eax', 'pusha', 'popa', 'ret', 'iret', 'call $+3', 'retf', 'int 0x40',
                      'enter 4, 1', 'leave', 'pushf', 'popfd')] + \
           [['mov edi, 0xfffe', 'mov ecx, 3', x] for x in ('rep stosb', 'rep stosw', 'a32 rep stosd', 'rep movsw')] + \
           [['mov si, 0xffff', 'lodsw'], ['jmp 0xf000:0xffff'], ['mov eax, 0x10000', 'jmp eax'], ['mov eax, 0x29f10', 'call eax'],
            ['push dword 0x12345', 'o32 ret'], ['push dword 2', 'push dword 0xf000', 'push dword 0x19f10', 'iretd'],
            ['push dword 0xf000', 'push dword 0x19f10', 'o32 retf'],
            [f'mov word [0x7100], {r.choice([0x103, 0x102, 0xff, 0x3f, 0x23, 0x37]):#x}', 'mov dword [0x7102], 0', 'lidt [0x7100]',
             f'int {r.choice([0x40, 0x3f, 8, 0x41])}'],
            ['pushf', 'or byte [0x6fff], 1', 'popf', 'nop', 'nop'], ['db 0xf1'], ['mov eax, 0x2000', 'mov dr7, eax', 'mov ebx, dr6'],
            ['mov ax, 0xffff\nmov ds, ax\nmov eax, [0x7100]']]
    p.patch(BUDGET, r.choice([0, 2]))
    for _ in range(r.choice([1, 1, 2])):
        p(*r.choice(calm + hard * 2 if wild else calm))
    p('int 0x40')
    return p


FAMILIES = [program_vme, program_pvi, program_debug, program_real]
