# SPDX-License-Identifier: Apache-2.0
"""Long mode: gates and stacks, returns, fast system calls, paging, canonical addresses, control registers."""

from .program import (BUDGET, FREE, GDT, L1B, L2B, L3, L3B, L4, LDT, PAGE, PLAY, RESUME, STUBS64, TARGET, TSS0, USER, Program,
                      descriptor, gate64)

CODE32, CODE64, DATA, USER32, UDATA, USER64 = 0x08, 0x10, 0x18, 0x23, 0x2b, 0x33
NONCANONICAL = [0x800000000000, 0xffff7fffffffffff, 0x8000000000000000, 0x7fffffffffff, 0xffff800000000000]


def far_push(value):
    value &= 0xffffffffffffffff
    return [f'mov rax, {value:#x}', 'push rax']


def to_user(p, selector=USER64, flags=2, data=UDATA):
    """Ring 3, in 64-bit or compatibility code; its memory is at USER + x."""
    p(f'push {data}', *far_push(USER + 0x7800), *far_push(flags), f'push {selector}', f'mov rax, {USER:#x} + %%user',
      'push rax', 'iretq')
    if selector == USER32:
        p('bits 32')
    p('%%user:', f'mov eax, {UDATA}', 'mov ds, eax', 'mov es, eax')


def random_descriptor64(r):
    access = r.choice([0x9a, 0x9b, 0x98, 0x9e, 0x92, 0x93, 0x90, 0xfa, 0xfb, 0xfe, 0xf2, 0x82, 0x89, 0x8b, 0x1a, 0x12, 0x81,
                       0x84, 0x85, 0x86, r.randrange(256)])
    if access & 0x1f in (12, 14, 15):
        return gate64(TARGET, r.choice([CODE64, CODE64, CODE32, USER64, 0, 0x58]), access)
    return descriptor(r.choice([0, 0, LDT]), r.choice([0xfffff, 0xffff, 0x67, 0x66]), access, r.choice([10, 10, 12, 14, 2, 0, 8]))


def spoil64(r, p):
    for s in FREE:
        p.desc(s, random_descriptor64(r), 8)
    if r.random() < .6:  # a call gate takes two slots
        p.desc(0x80, gate64(r.choice([TARGET] * 5 + NONCANONICAL[:2]), r.choice([CODE64, CODE64, CODE32, USER64, DATA, 0, 0x58]),
                            r.choice([0xec, 0xec, 0x8c, 0x6c, 0xe4]), 0) | r.choice([0] * 9 + [0x1f << 104]), 16)


def program_lgates(r):
    p = Program('lgates', mode='long')
    spoil64(r, p)
    for v in (0x41, 13, 6, 14):
        if r.random() < (.8 if v == 0x41 else .15):
            p.idt(v, gate64(r.choice([STUBS64 + 16 * v] * 6 + NONCANONICAL[:2]),
                            r.choice([CODE64] * 5 + [CODE32, USER64, DATA, 0, 0x58, 0x60, 0x110]),
                            r.choice([0x8e, 0xee, 0xef, 0x8f, 0x0e, 0x86, 0x85, 0xee]), r.choice([0, 0, 0, 1, 2, 3, 4, 7])))
    if r.random() < .3:
        at, value = r.choice([4, 36, 44, 52, 60]), r.choice(NONCANONICAL + [0x6a08, 0x6a01, 0])
        p.patch(TSS0 + at, value, 8)
    if r.random() < .1:
        p.patch(GDT + 0x40, descriptor(TSS0, r.choice([0x66, 0x2f, 0x0b, 3]), 0x89, 0), 8)
        p('mov eax, 0x40', f'and byte [{GDT + 0x45}], 0xfd', 'ltr ax')
    where = r.choice([None, None, USER64, USER32])
    if where:
        to_user(p, where, r.choice([2, 0x3002, 0x40002]))
    s = r.choice(FREE + [0x80, 0x83, 0x80, CODE64, CODE32, USER64, DATA, 0, 0x81, 0x110]) | r.choice([0, 0, 3])
    base = USER if where else 0
    p(*r.choice([
        ['int 0x41'], ['int 0x41'], ['int 0x42'], ['ud2'], ['int3'], ['int 0x48'],
        [f'mov dword [{base + 0x7100:#x}], {base + TARGET:#x}', f'mov word [{base + 0x7104:#x}], {s:#x}',
         f'{r.choice(["call", "jmp"])} far [{base + 0x7100:#x}]'],
        [f'mov dword [{base + 0x7100:#x}], {base + TARGET:#x}', f'mov word [{base + 0x7104:#x}], {s:#x}',
         f'{r.choice(["call", "jmp"])} far [{base + 0x7100:#x}]'],
        ['push rbx', 'sub rsp, 4', 'int 0x41'] if where != USER32 else ['push ebx', 'dec esp', 'int 0x41'],
        [f'mov eax, {s:#x}', f'mov {r.choice(["ds", "es", "fs", "gs", "ss"])}, ax'],
    ]))
    p('int 0x40')
    return p


def program_lreturns(r):
    """IRET and RETF with 16, 32 and 64 bits to 64-bit, compatibility and wrong code, null SS, any flags."""
    p = Program('lreturns', mode='long', judges=('bochs',))
    spoil64(r, p)
    where = r.choice([None, None, None, USER64])
    if where:
        to_user(p, where, r.choice([2, 0x3002]))
    cs = r.choice([CODE64, CODE64, CODE32, USER64, USER64, USER32, 0x31, 0, DATA, *FREE]) | r.choice([0, 0, 0, 1, 3])
    ss = r.choice([DATA, UDATA, UDATA, 0, 0, 3, 1, *FREE]) | r.choice([0, 0, 0, 1, 3])
    inner = cs & 3 == 0
    rip = r.choice([(0 if inner else USER) + TARGET] * 5 + NONCANONICAL + [TARGET])
    rsp = r.choice([0x7700 if inner else USER + 0x7700] * 4 + NONCANONICAL[:2] + [0x7701])
    flags = r.choice([2, 2, 0x202, 0x3202, 0x4002, 0x20002, 0x40002, 0x200ed7, 0x10002, 0x180002, 0x1b7ed7]) | 2
    p.patch(BUDGET, 1)
    if r.random() < .2:
        p('pushfq', 'or dword [rsp], 0x4000', 'popfq')
    kind = r.choice(['iretq', 'iretq', 'iretq', 'iretd', 'iretw', 'o64 retf', 'o64 retf 8', 'retf', 'o16 retf'])
    words = [ss, rsp, flags, cs, rip] if kind.startswith('iret') else [ss, rsp, cs, rip]
    if '8' in kind:
        words = [ss, rsp, 0, cs, rip]
    size = 8 if kind in ('iretq', 'o64 retf', 'o64 retf 8') else 4 if kind in ('iretd', 'retf') else 2
    p.target, p.flags = (cs, ss, rip, kind), flags
    p.same_cpl = cs & 3 == (3 if where else 0)
    if kind in ('iretd', 'iretw'):
        p.judges = ('qemu', 'bochs')
    p(f'sub rsp, {size * len(words)}')
    for n, w in enumerate(reversed(words)):
        w &= (1 << 8 * size) - 1
        if size == 8:
            p(f'mov rax, {w:#x}', f'mov [rsp + {n * size}], rax')
        else:
            p(f'mov {"dword" if size == 4 else "word"} [rsp + {n * size}], {w:#x}')
    p({'o64 retf': 'db 0x48\nretf', 'o64 retf 8': 'db 0x48\nretf 8', 'o16 retf': 'db 0x66\nretf'}.get(kind, kind))
    return p


def program_lsyscall(r):
    p = Program('lsyscall', mode='long', judges=('bochs',))
    p.patch(BUDGET, r.choice([0, 2, 4]))
    p.patch(RESUME, r.choice([0, 0x10000]))

    def wrmsr(msr, value):
        p(f'mov ecx, {msr:#x}', f'mov eax, {value & 0xffffffff:#x}', f'mov edx, {value >> 32:#x}', 'wrmsr')
    if r.random() < .9:
        wrmsr(0xc0000080, 0x501 | r.choice([0, 0x800]))
    wrmsr(0xc0000081, r.choice([0x23 << 48 | 0x10 << 32, 0x23 << 48 | 0x08 << 32, 0x20 << 48 | 0x13 << 32, 0x12345678]))
    wrmsr(0xc0000082, r.choice([TARGET] * 6 + [0xffffffff80000000 + TARGET] * 3 + [0x800000000000]))
    wrmsr(0xc0000084, r.choice([0, 0x300, 0x47700, 0xffffffff, 0x100]))
    wrmsr(0x174, r.choice([0x10, 0x10, 0, 3, 0x13, 0x08]))
    wrmsr(0x175, r.choice([0x6f00, 0x6f00, 0xffffffff80006f00]))
    wrmsr(0x176, r.choice([TARGET, TARGET, 0xffffffff80000000 + TARGET]))
    if r.random() < .6:
        where = r.choice([USER64, USER64, USER32])
        to_user(p, where, r.choice([2, 0x102, 0x3002, 0x200ed7 & ~0x100, 0x40002]))
        p(*r.choice([['syscall'], ['sysenter'], ['db 0x0f, 0x07'], ['db 0x0f, 0x35'], ['swapgs'] if where == USER64 else ['nop'],
                     ['rdmsr'], ['syscall']]))
    else:
        target = r.choice([USER + TARGET] * 4 + NONCANONICAL)
        p(f'mov rcx, {target:#x}', f'mov rdx, {target:#x}',
          f'mov r11d, {r.choice([2, 0x202, 0x102, 0x20002, 0x3f7fd7, 0x10002, 0xffffffff]):#x}',
          *r.choice([['o64 sysret'], ['o64 sysret'], ['sysret'], ['syscall'], [f'mov rcx, {USER + 0x7800:#x}', 'o64 sysexit'],
                     [f'mov rcx, {USER + 0x7800:#x}', 'sysexit'], [f'mov rcx, {NONCANONICAL[0]:#x}', 'o64 sysexit'], ['sysenter']]))
    p('int 0x40')
    return p


def program_lpaging(r):
    p = Program('lpaging', mode='long')
    nxe = r.random() < .8

    def flags(top):
        v = (r.random() < .93) | 2 * (r.random() < .7) | 4 * (r.random() < .7) | r.choice([0, 0x20]) | \
            (1 << 63) * (r.random() < .15)
        if r.random() < .06:
            v |= 1 << r.choice([51, 45, 52, 58, 62, 7 if top else 52])
        return v
    p.patch(L4 + 8, L3B | flags(True), 8)
    p.patch(L3B, L2B | flags(False), 8)
    p.patch(L2B, L1B | flags(False), 8)
    p.patch(L1B, PAGE | flags(False) | r.choice([0, 0x40, 0x100]), 8)
    p.patch(L1B + 8, (PAGE + 0x1000) | flags(False), 8)
    if r.random() < .25:
        p.patch(L2B, r.choice([0, 0x200000, 0x1000, 0x100000]) | 0x80 | flags(False), 8)
    elif r.random() < .2:
        p.patch(L3B, r.choice([0, 0, 0x2000, 0x20000000]) | 0x80 | flags(False), 8)
    cr4 = 0x20 | r.choice([0, 0x80]) | r.choice([0, 0, 1 << 20]) | r.choice([0, 0, 1 << 21]) | r.choice([0, 0x20000])
    p(f'mov ecx, 0xc0000080', f'mov eax, {0x900 if nxe else 0x100:#x}', 'xor edx, edx', 'wrmsr', f'mov eax, {cr4:#x}',
      'mov cr4, rax', f'mov eax, {r.choice([0x80000011, 0x80010011]):#x}', 'mov cr0, rax')
    if r.random() < .5:
        to_user(p, flags=r.choice([2, 0x40002]))
    elif cr4 & 1 << 21 and r.random() < .4:
        p('stac')
    a = PLAY + r.choice([0, 0x1000, 0]) + r.choice([0, 8, 0xffc, 0xffe, 0xfff, 0x200])
    p(f'mov rbx, {a:#x}', *r.choice([
        ['mov rax, [rbx]'], ['mov al, [rbx]'], ['mov [rbx], rax'], ['mov [rbx], al'], ['inc dword [rbx]'], ['lock inc dword [rbx]'],
        ['jmp rbx'], ['call rbx'], ['mov rsp, rbx', 'push rax'], ['mov rdi, rbx', 'mov ecx, 5', 'rep stosq'],
        ['mov rsi, rbx', 'mov ecx, 5', 'rep lodsd'], ['xchg [rbx], rax'], ['cmpxchg [rbx], rcx'], ['bts dword [rbx], 3'],
        ['mov rax, [rbx]', 'mov [rbx], rax'], ['invlpg [rbx]'], ['prefetchw [rbx]'], ['clflush [rbx]'], ['verr [rbx]'],
        ['sgdt [rbx]'], ['lgdt [rbx]'], ['fxsave [rbx]'], ['push qword [rbx]'], ['pop qword [rbx]'],
        [f'mov rbx, {r.choice([USER + 0x7100, 0x7100, 0xffffff8000000000 + 0x7100, 0xffffffff80007100]):#x}', 'mov rax, [rbx]'],
        [f'mov rbx, {r.choice([USER + TARGET, 0xffffff8000000000 + TARGET, USER + TARGET]):#x}', 'jmp rbx'],
        ['lea rax, [rel $]', f'mov rsp, {PLAY + 0x800:#x}', 'int 0x40']]))
    p('int 0x40')
    return p


def program_lcontrol(r):
    """Control registers, MSRs, descriptor tables, UMIP, LAR and friends, PCID and INVPCID."""
    p = Program('lcontrol', mode='long', judges=('bochs',))
    spoil64(r, p)
    if r.random() < .5:
        p.desc(0x58, descriptor(LDT, 0x3f, r.choice([0x82, 0x89, 0x8b, 0x02]), 0) |
               r.choice([0, 0, 1 << 64, 0xffff8000 << 64, 0x8000 << 64, 0x100 << 96]), 16)
    bit4 = [5, 7, 9, 10, 11, 16, 17, 18, 20, 21, 0, 1, 2, 3, 6, 8]
    cr4 = 0
    for _ in range(r.choice([1, 2, 3])):
        cr4 |= 1 << r.choice(bit4)
    if r.random() < .8:
        cr4 = (cr4 | 0x20) & ~(1 << 20)
    a = r.choice(NONCANONICAL + [0x7100, 0x7100])
    s = r.choice(FREE + [0x40, 0x50, CODE64, CODE32, DATA, USER64, 0, 0x80, 0x110, 4]) | r.choice([0, 0, 3])
    msr = r.choice([0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0x174, 0x175,
                    0x176, 0x277])
    value = r.choice([r.getrandbits(64), r.getrandbits(32), 0x501, 0xd01, 0x901, 0x101, 0x100, 1, 0x1000, a, 0x0007040600070406,
                      0x0706050401010000])
    user = r.random() < .3
    p(f'mov eax, {r.choice([0x20, 0x20, 0x820, 0x10020, 0x20020, 0x220]):#x}', 'mov cr4, rax')
    if user:
        to_user(p, flags=r.choice([2, 0x3002]))
    m = (USER if user else 0) + 0x7100
    for _ in range(r.choice([1, 1, 2])):
        p(*r.choice([
            [f'mov rax, {cr4:#x}', 'mov cr4, rax', 'mov rbx, cr4'],
            [f'mov rax, {r.choice([0x80000011, 0x11, 0x80000010, 0xe0000011, 0xa0000011, 1 << 32 | 0x80000011, 0x8001003f]):#x}',
             'mov cr0, rax', 'mov rbx, cr0'],
            [f'mov rax, {r.choice([L4, L4 | 0x18, L4 | 0xfff, L4 | 1 << 63, L4 | 1 << 52, L4 | 1 << 40, L4 | 5 | 1 << 63]):#x}',
             'mov cr3, rax', 'mov rbx, cr3'],
            [f'mov rax, {r.choice([0, 5, 15, 16, 1 << 32, 1 << 63]):#x}', 'mov cr8, rax', 'mov rbx, cr8'],
            [f'mov ecx, {msr:#x}', f'mov eax, {value & 0xffffffff:#x}', f'mov edx, {value >> 32:#x}', 'wrmsr', 'xor eax, eax',
             'rdmsr'],
            [f'mov rax, {a:#x}', f'mov [{m + 2:#x}], rax', f'mov word [{m:#x}], 0xff', f'{r.choice(["lgdt", "lidt"])} [{m:#x}]',
             f'sgdt [{m + 16:#x}]'],
            [f'mov eax, {s:#x}', r.choice(['ltr ax', 'lldt ax'])],
            [f'mov eax, {s:#x}', 'lar ecx, eax', 'setz bl', 'lsl edx, eax', 'setz bh', 'verr ax', 'setz r8b', 'verw ax', 'setz r9b'],
            [f'mov eax, {s:#x}', 'lar rcx, rax', 'lsl rdx, rax'],
            [r.choice(['sgdt', 'sidt', 'smsw', 'sldt', 'str']) + f' [{m:#x}]'], ['smsw rax', 'sldt rcx', 'str rdx'],
            ['swapgs'], [f'mov rax, {a:#x}', r.choice(['wrfsbase rax', 'wrgsbase rax', 'rdfsbase rbx', 'wrfsbase eax'])],
            [f'mov rax, {r.choice([0x400, 1 << 32, 0x2400, 0xffffffff]):#x}', 'mov dr7, rax', 'mov rbx, dr7'],
            [f'mov rax, {r.choice([0xffff0ff0, 1 << 32, 0]):#x}', 'mov dr6, rax', 'mov rbx, dr6'],
            [f'mov rax, {a:#x}', 'mov dr1, rax', 'mov rbx, dr1'],
            [f'mov qword [{m:#x}], {r.choice([0, 1, 0xfff, 0x1000, 5]):#x}', f'mov rax, {r.choice([a, 0x7000]):#x}',
             f'mov [{m + 8:#x}], rax', f'mov rax, {r.choice([0, 1, 2, 3, 4, 1 << 32]):#x}', f'invpcid rax, [{m:#x}]'],
            [r.choice(['clac', 'stac', 'cli', 'hlt', 'mov rax, cr2', 'rdpmc', 'invlpg [0]', 'wbinvd', 'xgetbv', 'in al, 0xe8',
                       'popfq', 'db 0x0f, 0x20, 0xe8', 'db 0x06', 'db 0x27', 'db 0x62', 'db 0xd6', 'db 0xea', 'db 0x9a', 'db 0xce',
                       'db 0x82, 0, 0', 'lock nop', 'monitor' if user else 'nop'])],
            [f'mov rax, {r.choice([a, NONCANONICAL[0]]):#x}', 'mov cr2, rax', 'mov rbx, cr2']]))
    p('int 0x40')
    return p


def program_lcanonical(r):
    """Addresses that are not canonical, through every kind of access."""
    p = Program('lcanonical', mode='long', judges=('bochs',))
    a = r.choice(NONCANONICAL) + r.choice([0, 0, -1, -4, 8, -8]) & 0xffffffffffffffff
    if r.random() < .4:
        to_user(p)
    p(f'mov rbx, {a:#x}', f'mov rbp, {a:#x}', *r.choice([
        ['mov rax, [rbx]'], ['mov al, [rbx]'], ['mov [rbx], eax'], ['mov rax, [rbp]'], ['mov [rbp + 1], ax'], ['inc qword [rbp]'],
        ['jmp rbx'], ['call rbx'], ['push rbx', 'ret'], ['mov rsp, rbx', 'push rax'], ['mov rsp, rbx', 'pop rax'],
        ['mov rsp, rbx', 'call %%c', '%%c: nop'], ['mov rsp, rbx', 'ret'], ['mov rsp, rbx', 'int3'], ['leave'], ['mov rsp, rbx', 'enter 8, 0'],
        ['mov rsp, rbx', 'iretq'], ['mov rsp, rbx', 'pushfq'], ['mov rsi, rbx', 'lodsq'], ['mov rdi, rbx', 'mov ecx, 2', 'rep stosb'],
        ['fld qword [rbx]'], ['fxsave [rbp]'], ['movups xmm0, [rbp]'], ['mov ecx, 1', 'mov rax, rbx', 'xlatb'], ['cmpxchg16b [rbx]'],
        ['push qword [rbp]'], ['pop qword [rbp]'], ['jmp [rbp]'], ['call [rbx]'], ['jmp far [rbx]'], ['lgdt [rbp]'], ['sidt [rbx]'],
        ['invlpg [rbx]'], ['clflush [rbx]'], ['prefetcht0 [rbx]'], ['bt qword [rbx], 3'], ['lar eax, [rbp]'], ['mov ds, [rbx]'],
        ['a32 mov rax, [ebx]'], ['mov rax, [gs:rbp]'], ['movntq [rbp], mm0'], ['rep movsb']]))
    p('int 0x40')
    return p


def program_ldebug(r):
    """TF through SYSCALL, SYSRET, IRETQ and interrupts; breakpoints on upper addresses."""
    p = Program('ldebug', mode='long', judges=('bochs',))
    p.patch(BUDGET, r.choice([2, 5, 8]))
    p.patch(RESUME, r.choice([0, 0x10000]))
    alias = r.choice([0, USER, 0xffffffff80000000, 0xffffff8000000000])
    dr7 = 0x400
    for n in range(4):
        if r.random() < .5:
            kind, length = r.choice([(0, 0), (1, 0), (1, 3), (3, 2), (3, 3), (1, 2)])
            where = '%%b1' if kind == 0 else f'{(alias + 0x7100 + r.choice([0, 4, 8])) & 0xffffffffffffffff:#x}'
            p(f'mov rax, {where}', f'mov dr{n}, rax')
            dr7 |= (kind | length << 2) << (16 + 4 * n) | r.choice([1, 2]) << 2 * n
    p(f'mov rbx, {alias:#x}', f'mov eax, {dr7:#x}', 'mov dr7, rax')
    if r.random() < .5:
        p('pushfq', 'or dword [rsp], 0x100', 'popfq')
    for n in range(3):
        p(f'%%b{n}:', r.choice(['mov rax, [rbx + 0x7100]', 'mov [rbx + 0x7104], rax', 'inc qword [rbx + 0x7108]', 'nop', 'db 0xf1',
                                'mov eax, ss\nmov ss, eax', 'mov eax, ss\nmov ss, eax\nmov [rbx + 0x7100], al', 'int3',
                                'cmpxchg16b [rbx + 0x7100]', 'movups [rbx + 0x7100], xmm0', 'push qword [rbx + 0x7100]']))
    p('int 0x40')
    p.body.insert(0, 'mov eax, 0x620\nmov cr4, rax')
    return p


FAMILIES = [program_lgates, program_lreturns, program_lsyscall, program_lpaging, program_lcontrol, program_lcanonical, program_ldebug]
