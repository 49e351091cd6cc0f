# SPDX-License-Identifier: Apache-2.0
"""32-bit programs about privilege: the four rings, call gates, conforming code, stacks, limits, returns."""
from .legacy import random_descriptor, to_ring3
from .program import FREE, IDT, LDT, STUBS, TARGET, TSS0, TSS1, TSS16, Program, descriptor, gate

RING_CODE, RING_DATA = [0x08, 0x81, 0x92, 0x23], [0x10, 0x89, 0x9a, 0x2b]
RING_STACK = [0x7000, 0x6c00, 0x6e00, 0x7800]


def to_ring(p, ring, flags):
    if ring:
        p(f'push dword {RING_DATA[ring]}', f'push dword {RING_STACK[ring]}', f'push dword {flags}',
          f'push dword {RING_CODE[ring]}', 'push dword %%ring', 'iretd', '%%ring:', f'mov eax, {RING_DATA[ring]}',
          'mov ds, ax', 'mov es, ax')


def program_rings(r):
    p = Program('rings')
    for s in FREE:
        kind = r.random()
        if kind < .5:
            p.desc(s, gate(TARGET, r.choice([8, 0x80, 0x90, 0x20, 0xa0, 0xa8, 0xb0, 0x23, 0x81]),
                           r.choice([0xec, 0xec, 0xcc, 0xac, 0x8c])) | r.choice([0, 0, 1, 2, 5, 31]) << 32)
        elif kind < .6:
            p.desc(s, gate(0x9f00, r.choice([0x48, 0xb8, 8]), r.choice([0xe4, 0xc4])) | r.choice([0, 1, 3]) << 32)
        else:
            p.desc(s, random_descriptor(r))
    for v in (0x41, 0x42):
        p.idt(v, gate(STUBS + 16 * v, r.choice([8, 0x80, 0x90, 0x20, 0xa0, 0xa8, 0xb0]),
                      r.choice([0xee, 0xef, 0xce, 0xae, 0x8e])))
    if r.random() < .3:  # an inner stack that is not right
        p.patch(TSS0 + r.choice([8, 16, 24]), r.choice([0, 3, 0x10, 0x11, 0x89, 0x8a, 0x9a, 0x2b, 0x20, 0x100, *FREE]))
    ring = r.choice([0, 1, 1, 2, 2, 3, 3])
    to_ring(p, ring, r.choice([2, 0x1002, 0x2002, 0x3002, 0x3202]))
    for value in (0x501, 0x502, 0x503, 0x504):
        p(f'push dword {value}')
    for _ in range(r.choice([1, 2, 3])):
        s = r.choice(FREE * 2 + [8, 0x10, 0x20, 0x2b, 0x80, 0x81, 0x88, 0x89, 0x90, 0x98, 0xa0, 0xa8, 0xb0, 0xb8]) | r.choice(
            [0, 0, 1, 2, 3])
        t = r.choice(RING_DATA + FREE + [0x88, 0x98]) | r.choice([0, 0, 0, 3])
        p(*r.choice([
            [f'call {s:#x}:{TARGET:#x}'], [f'call {s:#x}:{TARGET:#x}'], [f'jmp {s:#x}:{TARGET:#x}'], ['int 0x41'], ['int 0x42'],
            [f'mov eax, {t}', f'mov {r.choice(["ds", "es", "fs", "gs", "ss"])}, ax'],
            [f'push dword {t}', f'push dword {RING_STACK[r.randrange(4)]}', f'push dword {s}', f'push dword {TARGET}',
             r.choice(['retf', 'retf 8'])],
            [f'push dword {t}', f'push dword {RING_STACK[r.randrange(4)]}', f'push dword {r.choice([2, 0x202, 0x3202])}',
             f'push dword {s}', f'push dword {TARGET}', 'iretd'],
            [r.choice(['cli', 'sti', 'hlt', 'clts', 'in al, 0xe8', 'out 0x80, al', 'invd', 'mov eax, cr0', 'mov eax, dr6',
                       'lgdt [0x7100]', 'rdtsc\nxor eax, eax\nxor edx, edx', 'rdpmc', 'invlpg [0]'])],
            ['pushfd', f'xor dword [esp], {r.choice([0x200, 0x1000, 0x3000, 0x3200, 0x4000, 0x40000, 0x200000]):#x}', 'popfd',
             'pushfd', 'pop ebx'],
            [f'mov eax, {s}', 'lar ecx, eax', 'setz bl', f'mov eax, {t}', 'lsl edx, eax', 'setz bh'],
            [f'mov eax, {s}', 'verr ax', 'setz bl', 'verw ax', 'setz bh', f'mov ecx, {t}', 'arpl ax, cx'],
        ]))
    p('int 0x40')
    return p


def program_returns(r):
    """IRET and RETF with frames of all kinds, from all rings, with 16 and 32 bits."""
    p = Program('returns')
    for s in FREE:
        p.desc(s, random_descriptor(r))
    ring = r.choice([0, 0, 0, 1, 2, 3])
    to_ring(p, ring, r.choice([2, 0x3002, 0x1202]))
    flags = r.choice([2, 0x20002, 0x23002, 0x10002, 0x4002, 0x102, 0x1a0002, 0x3f7fd7, r.getrandbits(22)]) & ~0x100 | 2
    back = r.random() < .15
    if back:
        p('pushfd', 'or dword [esp], 0x4000', 'popfd')
        p.patch(TSS0, r.choice([0x30, 0x38, 0x18, 0, 0x34, 0x58, 0x33]))
        p.desc(0x30, descriptor(TSS1, r.choice([0x67, 0x67, 0x66, 0x2b]), r.choice([0x8b, 0x8b, 0x89, 0x0b, 0x83]), 0))
        p.desc(0x38, descriptor(TSS16, r.choice([0x2b, 0x2b, 0x2a]), r.choice([0x83, 0x83, 0x81, 0x03]), 0))
    cs = r.choice(RING_CODE + FREE + [0x48, 0xb8, 0xa0, 0xa8, 0xb0]) | r.choice([0, 0, 1, 2, 3])
    ss = r.choice(RING_DATA * 2 + FREE + [0x50, 0xc0, 0]) | r.choice([0, 0, 3])
    words = [0x13, 0x10, 0x2b, 0x900, ss, r.choice(RING_STACK + [0x12347000]), flags, cs,
             r.choice([TARGET, 0x9f00, 0x9f00, 0x10000, 0xffff9f00])]
    small = r.random() < .35
    if small and not words[-1] & 0xffff:
        words[-1] = 0x9f00
    p(*[f'push {"word" if small else "dword"} {w & (0xffff if small else 0xffffffff):#x}' for w in words])
    p(r.choice(['iret', 'iret', 'iret', 'retf', 'retf 4']) if not small else
      r.choice(['o16 iret', 'o16 iret', 'o16 retf', 'o16 retf 4']))
    p.body[-1] = p.body[-1].replace('o16 iret', 'iretw').replace('o16 retf', 'db 0x66\nretf')
    if p.body[-1] == 'iret':
        p.body[-1] = 'iretd'
    return p


EDGES = [0, 1, 7, 0xff, 0xfff, 0x1000, 0x7fff, 0xffff]


def program_limits(r):
    """Accesses at the edges of segments: granularity, expand-down, read-only, execute-only, null."""
    p = Program('limits', judges=('bochs',))
    limit = r.choice(EDGES + [r.randrange(0x2000), 0xfffff])
    access = r.choice([0xf3, 0xf3, 0xf1, 0xf7, 0xf7, 0xf5, 0xfb, 0xf9, 0x93, 0x97])
    flags = r.choice([0, 4, 4, 8, 12])
    p.desc(0x58, descriptor(r.choice([0, 0x7000, 0x7101, 0xfffff000]), limit, access, flags))
    real_limit = limit << 12 | 0xfff if flags & 8 else limit
    ring3 = r.random() < .6 or access < 0xe0
    p('mov eax, 0x600', 'mov cr4, eax', 'fninit')
    if ring3:
        to_ring3(p)
        p('mov eax, 0x2b', 'mov ds, ax', 'mov es, ax')
    at = r.choice([real_limit, real_limit, 0xffff, 0xffffffff, 0]) + r.randrange(-18, 5) & 0xffffffff
    seg = r.choice(['ds', 'es', 'fs', 'gs', 'ss'])
    p(f'mov eax, {r.choice([0x5b, 0x5b, 0x58, 0])}', f'mov {seg}, ax')
    if seg == 'ss':
        p(f'mov esp, {at:#x}', f'mov ebp, {at + r.randrange(-9, 9) & 0xffffffff:#x}',
          r.choice(['push eax', 'push ax', 'pop eax', 'pop ax', 'pusha', 'popa', 'call %%call\n%%call:', 'ret', 'ret 8', 'enter 8, 0',
                    'enter 4, 2', 'leave', 'retf', 'iretd', 'mov eax, [ebp]', 'mov [ebp + 2], ax', 'push es', 'pop fs', 'pushfd',
                    'popfd', 'int 0x40', 'push dword [ss:esp]', 'pop dword [ss:esp]', 'call 0x23:0xf9f00']))
    else:
        p(r.choice([f'mov al, [{seg}:{at:#x}]', f'mov ax, [{seg}:{at:#x}]', f'mov eax, [{seg}:{at:#x}]',
                    f'mov [{seg}:{at:#x}], al', f'mov [{seg}:{at:#x}], eax', f'inc word [{seg}:{at:#x}]',
                    f'fld qword [{seg}:{at:#x}]', f'fld tword [{seg}:{at:#x}]', f'fstp tword [{seg}:{at:#x}]',
                    f'movdqu xmm0, [{seg}:{at:#x}]', f'movups [{seg}:{at:#x}], xmm0', f'cmpxchg8b [{seg}:{at:#x}]',
                    f'les ecx, [{seg}:{at:#x}]', f'jmp far [{seg}:{at:#x}]', f'call [{seg}:{at:#x}]', f'bound ecx, [{seg}:{at:#x}]',
                    f'sgdt [{seg}:{at:#x}]', f'sidt [{seg}:{at:#x}]', f'smsw [{seg}:{at:#x}]', f'fxsave [{seg}:{at & ~15:#x}]',
                    f'fnstenv [{seg}:{at:#x}]', f'fnsave [{seg}:{at:#x}]', f'movntps [{seg}:{at & ~15:#x}], xmm0',
                    f'mov ebx, {at:#x}\nmov al, 1\n{seg} xlatb', f'mov esi, {at:#x}\nmov ecx, 5\n{seg} rep lodsw',
                    f'mov edi, {at:#x}\nmov ecx, 5\nrep stosd', f'a16 mov eax, [{seg}:{at & 0xffff:#x}]',
                    f'push dword [{seg}:{at:#x}]', f'pop dword [{seg}:{at:#x}]', f'lock add [{seg}:{at:#x}], ecx',
                    f'bt dword [{seg}:{at:#x}], ecx', f'mov ecx, -3\nbts dword [{seg}:{at:#x}], ecx',
                    f'invlpg [{seg}:{at:#x}]', f'prefetcht0 [{seg}:{at:#x}]', f'clflush [{seg}:{at:#x}]']))
    p('int 0x40')
    return p


def program_code_limits(r):
    """Running up to the end of code segments, jumps past it, gates and returns to offsets behind it."""
    p = Program('code_limits', judges=('bochs',))
    limit = r.choice([0x9f00, 0x9f01, 0x9f02, 0x9eff, 0x9f10, 0xffff, 0x8fff, 0x9003])
    code = [0x90] * r.choice([0, 1, 2, 3]) + r.choice([[0xb8, 1, 2, 3, 4], [0xeb, r.randrange(4)], [0xe9, 5, 0, 0, 0],
                                                       [0x74, 0x10], [0x75, 0x10], [0xe8, 0, 1, 0, 0], [0xff, 0xe0], [0xc3],
                                                       [0xe3, 5], [0x0f, 0x84, 0, 0x10, 0, 0], [0x66, 0xe9, 0, 0x20]])
    p.bytes(0x9000, code + [0xcd, 0x40])
    at = 0x9000
    big = r.choice([0, 4])
    p.desc(0x58, descriptor(0, at + r.choice([0, 1, 2, 3, 4, 5, 6, 0x100]), 0x9b, big))
    p.desc(0x60, descriptor(0xf0000, limit, 0x9b, big))
    p.desc(0x68, gate(r.choice([0x9f00, 0x9f01, 0xffff9f00]), r.choice([0x58, 0x60]), 0x8c))
    p.idt(0x41, gate(r.choice([0x9f00, 0x9000, 0xffff0000]), r.choice([0x58, 0x60]), 0x8e))
    p(f'mov eax, {r.choice([0x9009, 0x19000, 0xffff])}', r.choice([
        f'jmp 0x58:{at:#x}', f'jmp 0x58:{at:#x}', f'jmp 0x58:{at + 1:#x}', f'call 0x58:{at + r.choice([4, 5, 6, 7]):#x}',
        'jmp 0x60:0x9f00', 'call 0x68:0', 'jmp 0x68:0', 'int 0x41', 'push dword 0x60\npush dword 0x9f00\nretf',
        'pushfd\npush dword 0x60\npush dword 0x9f00\niretd', 'pushfd\npush dword 0x58\npush dword 0x9000\niretd']))
    p('int 0x40')
    return p


def program_stack(r):
    """ENTER, LEAVE, PUSHA, POPA, PUSH and POP of ESP on stacks of 16 and 32 bits, with wrap-around."""
    p = Program('stack', judges=('bochs',) if r.random() < .5 else ('qemu', 'bochs'))
    narrow = r.random() < .6
    wild = p.judges == ('bochs',)
    esp = r.choice([0x77e0, 0x77e1] + ([0x1234_77e0, 0, 1, 2, 3, 6, 0xfffe, 0xffff, 0x10000, 0x10002] if wild else []))
    ebp = r.choice([0x77f0, 0x77e8, 0x77dc] + ([0x1234_77f0, 0, 1, 0xfffe, 0xffff] if wild else []))
    if not narrow:
        esp, ebp = esp & 0xffff | 0, ebp & 0xffff
    to_ring3(p)
    p(f'mov eax, {0xc3 if narrow else 0x2b:#x}', 'mov ds, ax', 'mov es, ax', 'mov ss, ax', f'mov esp, {esp:#x}',
      f'mov ebp, {ebp:#x}')
    for _ in range(r.choice([1, 2, 3])):
        p(r.choice([f'enter {r.choice([0, 4, 8, 0x10, 0xffff] if wild else [0, 4, 8, 16])}, {r.choice([0, 1, 2, 3, 31, 33])}',
                    f'db 0x66\nenter {r.choice([0, 4, 8])}, {r.choice([0, 1, 2, 5])}', 'leave', 'db 0x66\nleave', 'pusha', 'popa',
                    'pushaw', 'popaw', 'push esp', 'push sp', 'pop esp', 'pop sp', 'push dword [ss:esp + 4]',
                    'pop dword [ss:esp + 4]', 'pop word [ss:esp]', 'push ds', 'push word 5', 'push byte -1', 'pop fs', 'pushfd',
                    'pushfw', 'popfd', 'popfw', 'call %%c0\n%%c0:' if not any('c0' in x for x in p.body) else 'push es',
                    'mov ss, ax', 'sub esp, 3', 'xchg esp, ebp', 'lss esp, [ss:esp]' if wild else 'push fs']))
    p('int 0x40')
    return p


def program_tasks16(r):
    """16-bit task state segments, gates and code; nested tasks that return; tasks in v8086 mode; the T flag."""
    p = Program('tasks16', judges=('bochs',))
    p.desc(0x58, descriptor(0, 0xffff, 0x9b, 0))
    p.desc(0x60, descriptor(r.choice([TSS1, TSS16]), r.choice([0x67, 0x2b, 0x2a]), r.choice([0x81, 0x89, 0x83, 0xe1]), 0))
    p.desc(0x68, gate(0, r.choice([0x30, 0x38, 0x60]), r.choice([0x85, 0xe5])))
    code = r.choice([[0xcd, 0x40], [0xcf], [0x66, 0xcf], [0x9c, 0x58, 0xcf], [0x60, 0x61, 0xcf], [0xcf, 0xcd, 0x40],
                     [0x50, 0xcf], [0x9a, 0, 0, 0x18, 0], [0xea, 0, 0, 0x18, 0], [0xea, 0, 0, 0x30, 0], [0x0f, 0x0b]])
    p.bytes(0x9000, code + [0xcd, 0x40])
    p.patch(TSS16 + 12, 0x9a | 0x9000 << 16)  # SS2, IP
    p.patch(TSS16 + 34, 0x10 | 0x58 << 16)  # ES, CS
    p.patch(TSS1 + 0x20, 0x9000 if r.random() < .5 else TARGET)
    if r.random() < .3:
        p.patch(TSS1 + 0x4c, 0x58)
    if r.random() < .2:
        p.patch(TSS1 + 0x24, r.choice([0x20002, 0x23002, 0x4002, 0x3202, 0x102, 0x10002]))
    if r.random() < .2:
        p.patch(TSS1 + 0x60, r.choice([0x40, 0x44, 0x30, 0]))
    if r.random() < .1:
        p.patch(TSS1 + 0x64, 0x680001)
    if r.random() < .3:
        at = TSS16 + r.choice([12, 16, 28, 32, 36, 40])
        p.patch(at, r.choice([0x10, 0x2b, 0x58, 0x100, 0, 0x40]) | r.choice([0x10, 0x58, 0x40, 0x9000, 0, 0x44]) << 16)
    if r.random() < .2:
        p.desc(0x18, descriptor(TSS0, r.choice([0x66, 0x5f, 0x5e, 0x2b, 0x67]), 0x89, 0))
        p('mov eax, 0x18', 'and byte [0x101d], 0xfd', 'ltr ax')
    if r.random() < .3:  # run as a 16-bit task to begin with
        p('mov eax, 0x38', 'ltr ax')
    p.idt(0x41, r.choice([gate(0, 0x38, 0xe5), gate(0, 0x60, 0xe5), gate(0x9f00, 0x48, 0xe6), gate(0x9f00, 0x48, 0xe7),
                          gate(0x9000, 0x58, 0xe6)]))
    if r.random() < .15:
        p.idt(r.choice([6, 10, 11, 13]), gate(0, r.choice([0x30, 0x38]), 0x85))
    if r.random() < .4:
        to_ring3(p)
    p(*r.choice([['jmp 0x38:0'], ['call 0x38:0'], ['call 0x30:0'], ['jmp 0x60:0'], ['call 0x60:0'], ['call 0x68:0'], ['int 0x41'],
                 ['int 0x41'], ['jmp 0x58:0x9000'], ['ud2'], ['call 0x38:0', 'call 0x38:0']]))
    p('int 0x40')
    return p


FAMILIES = [program_rings, program_returns, program_limits, program_code_limits, program_stack, program_tasks16]
