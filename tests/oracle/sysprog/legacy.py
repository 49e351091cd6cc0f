# SPDX-License-Identifier: Apache-2.0
"""32-bit programs: descriptors, far transfers, task switches, paging, control registers, v8086 mode."""
from .program import (FREE, GDT, IDT, LDT, PAE_PD, PAE_PT, PAGE, PD, PDPT, PT, STUBS, TSS0, TSS1, TSS16, Program,
                      descriptor, gate)


def random_descriptor(r):
    access = r.choice([0x92, 0x93, 0x90, 0x96, 0x9a, 0x9b, 0x98, 0x9e, 0x9c, 0xf2, 0xfa, 0xfe, 0xb2, 0xda, 0x82, 0x89,
                       0x8b, 0x81, 0x84, 0x8c, 0x85, 0x12, 0x1a, 0x09, r.randrange(256)])
    limit = r.choice([0xfffff, 0xfffff, 0xffff, 0xfff, 0x67, 0x2b, 0x2a, 0x66, r.randrange(0x100000)])
    base = r.choice([0, 0, 0, TSS1, TSS16, LDT, 0xf0000, r.randrange(0x8000)])
    kind = access & 0x1f
    if kind in (4, 12):  # call gates
        return gate(r.choice([0xf9f00, 0x9f00, 0xf9f00]), r.choice([8, 8, 0x20, 0x23, 0x48, 0x10, 0x58, 0x60, 0]),
                    access) | r.choice([0, 0, 0, 1, 2, 31]) << 32
    if kind == 5:
        return gate(0, r.choice([0x30, 0x38, 0x18, 0x30, 8, 0]), access)
    return descriptor(base, limit, access, r.choice([0, 4, 12, 12, 8, r.randrange(16)]))


def any_selector(r):
    return r.choice(FREE * 3 + [0, 3, 8, 0x0b, 0x10, 0x13, 0x18, 0x20, 0x23, 0x28, 0x2b, 0x30, 0x38, 0x40, 0x48, 0x50,
                                0x7c, 0x100, 0xfff8, 0x04, 0x0c, 0x5b, 0x63]) | r.choice([0, 0, 0, 1, 2, 3])


def spoil(r, p):
    for s in FREE:
        p.desc(s, random_descriptor(r))
    if r.random() < .2:
        p.patch(IDT + 8 * 0x41, gate(STUBS + 16 * 0x41, any_selector(r) & ~3 if r.random() < .5 else 8,
                                     r.choice([0x8e, 0xee, 0x8f, 0xef, 0x86, 0xe6, 0x0e, 0xe5, 0xe7, r.randrange(256)])), 8)


def to_ring3(p, flags='0x2'):
    p('push dword 0x2b', 'push dword 0x7800', f'push dword {flags}', 'push dword 0x23', 'push dword %%r3', 'iretd',
      '%%r3:')


def transfer(r):
    """One instruction about descriptors."""
    s, t = any_selector(r), any_selector(r)
    off = r.choice([0xf9f00, 0xf9f00, 0x9f00])
    regs = ['eax', 'ecx', 'edx']
    return r.choice([
        [f'mov eax, {s}', f'mov {r.choice(["ds", "es", "fs", "gs", "ss"])}, ax'],
        [f'mov eax, {s}', 'lar ecx, eax', f'mov eax, {t}', 'lsl edx, eax', 'verr ax', 'setz bl', 'verw ax', 'setz bh'],
        [f'mov eax, {s}', 'lldt ax', 'mov eax, 4', 'mov ds, ax'],
        [f'mov eax, {s}', 'ltr ax'],
        [f'jmp {s:#x}:{off:#x}'], [f'call {s:#x}:{off:#x}'], [f'jmp {s:#x}:{off:#x}'], [f'call {s:#x}:{off:#x}'],
        [f'push dword {t}', f'push dword {r.choice([0x7000, 0x7800])}', f'push dword {s}', f'push dword {off}', 'retf'],
        [f'push dword {t}', 'push dword 0x7700', f'push dword {s}', f'push dword {off}', 'retf 8'],
        [f'push dword {t}', 'push dword 0x7700', f'push dword {r.choice([2, 0x3202, 0x4002, 0x246])}',
         f'push dword {s}', f'push dword {off}', 'iretd'],
        ['int 0x41'], [f'int {r.choice([0x41, 0x42, 0x47, 0x48, 0x80, 3])}'],
        [f'push {r.choice(["es", "ds", "fs"])}', f'push dword {s}', 'pop fs'],
        [f'mov dword [0x7100], {off}', f'mov word [0x7104], {s}', f'l{r.choice("defg")}s {r.choice(regs)}, [0x7100]'],
        [f'arpl {r.choice(["ax", "cx"])}, dx', 'str ax', 'sldt cx', 'smsw edx'],
    ])


def program_segments(r):
    p = Program('segments')
    spoil(r, p)
    if r.random() < .4:
        p('mov eax, 0x40', 'lldt ax')
        p.patch(LDT, random_descriptor(r), 8)
        p.patch(LDT + 8, random_descriptor(r), 8)
    if r.random() < .5:
        to_ring3(p, r.choice(['0x2', '0x3002', '0x202']))
        p('mov eax, 0x2b', 'mov ds, ax', 'mov es, ax')
    for _ in range(r.choice([1, 1, 2, 3])):
        p(*transfer(r))
    p('int 0x40')
    return p


def program_tasks(r):
    p = Program('tasks')
    spoil(r, p)
    where = 0x30
    if r.random() < .4:  # a field of the new task
        size16 = where == 0x38
        at = (TSS16 + r.choice([14, 16, 26, 34, 36, 38, 40, 42]) if size16 else
              TSS1 + r.choice([0x1c, 0x20, 0x24, 0x38, 0x48, 0x4c, 0x50, 0x54, 0x58, 0x5c, 0x60, 0x64]))
        value = r.choice([any_selector(r), r.getrandbits(32), any_selector(r) << 16])
        if at in (TSS1 + 0x38, TSS1 + 0x20):  # a stack and code in memory that exists
            value = r.randrange(0x6000, 0x7000)
        p.patch(at & ~3, value)
    if r.random() < .2:
        p.desc(where, descriptor(TSS1 if where == 0x30 else TSS16, r.choice([0x67, 0x66, 0x2b, 0x2a, 0xffff]),
                                 r.choice([0x89, 0x8b, 0x81, 0x83, 0xe9, 0x09]), 0))
    p.patch(IDT + 8 * 0x41, gate(0, where | r.choice([0, 0, 3]), r.choice([0x85, 0xe5])), 8)
    p.patch(IDT + 8 * 13, gate(0, 0x30, 0x85), 8) if r.random() < .1 else None
    if r.random() < .3:
        to_ring3(p)
    p(*r.choice([[f'jmp {where}:0'], [f'call {where}:0'], ['int 0x41'], [f'jmp {where | 3}:0'],
                 ['mov word [ss:0x3000], 0x30', 'pushfd', 'or dword [esp], 0x4000', 'popfd', 'iretd'],
                 [f'call {r.choice(FREE)}:0xf9f00']]))
    p('int 0x40')
    return p


def program_paging(r):
    pae = r.random() < .5
    p = Program('paging')
    flags = 1 * (r.random() < .9) | 2 * (r.random() < .6) | 4 * (r.random() < .6) | r.choice([0, 0x20, 0x60])
    upper = 1 | 2 * (r.random() < .8) | 4 * (r.random() < .8)
    nx, reserved = r.random() < .3, r.random() < .1
    index = PAGE >> 12
    if pae:
        for i in range(4):
            p.patch(PDPT + 8 * i, (PAE_PD | 1) if i == 0 else 0, 8)
        p('mov edi, 0x14000', 'mov eax, 7', '%%pt: mov [edi], eax', 'mov dword [edi + 4], 0', 'add edi, 8',
          'add eax, 0x1000', 'cmp eax, 0x200007', 'jb %%pt')
        entry = PAGE | flags | (nx << 63) | (reserved << r.choice([52, 58, 61]))
        p(f'mov dword [{PAE_PT + 8 * index:#x}], {entry & 0xffffffff:#x}',
          f'mov dword [{PAE_PT + 8 * index + 4:#x}], {entry >> 32:#x}', f'mov dword [0x13000], {PAE_PT | 7:#x}',
          'mov dword [0x13004], 0')
        # the upper level of the second 2 MiB maps the same table with less rights
        p(f'mov dword [0x13008], {PAE_PT | upper:#x}', 'mov dword [0x1300c], 0')
        cr3 = PDPT
    else:
        p('mov edi, 0x11000', 'mov eax, 7', '%%pt: mov [edi], eax', 'add edi, 4', 'add eax, 0x1000', 'cmp eax, 0x400007',
          'jb %%pt', f'mov dword [{PT + 4 * index:#x}], {PAGE | flags:#x}', f'mov dword [0x10000], {PT | 7:#x}',
          f'mov dword [0x10004], {PT | upper:#x}')
        big = r.choice([0x83, 0x87, 0x81, 0xc7, 0x200087 if reserved else 0x87])
        p(f'mov dword [0x10008], {big:#x}')
        cr3 = PD
    ring3 = r.random() < .5
    protect = 0 if ring3 else r.choice([0, 0, 1 << 20, 1 << 21, 3 << 20])
    if protect:
        # With SMEP or SMAP the kernel's own pages must be its own.
        p.body = [x.replace('mov eax, 7', 'mov eax, 3').replace('0x200007', '0x200003').replace('0x400007', '0x400003')
                  for x in p.body]
    cr4 = (0x20 if pae else 0) | r.choice([0, 0x10]) | r.choice([0, 0x80]) | protect
    p(f'mov eax, {cr4:#x}', 'mov cr4, eax')
    if r.random() < .7:
        p('mov ecx, 0xc0000080', 'xor edx, edx', 'mov eax, 0x800', 'wrmsr')
    p(f'mov eax, {cr3:#x}', 'mov cr3, eax', 'mov eax, cr0', f'or eax, {r.choice([0x80000000, 0x80010000]):#x}',
      'mov cr0, eax')
    if ring3:
        to_ring3(p)
        p('mov eax, 0x2b', 'mov ds, ax', 'mov es, ax')
    span = 0x200000 if pae else 0x400000
    a = PAGE + r.choice([0, 0, span, 2 * span]) + r.choice([0, 8, 0xffe, 0xfff, -2])
    p(*r.choice([[f'mov eax, [{a:#x}]'], [f'mov dword [{a:#x}], 0x12345678'], [f'inc dword [{a:#x}]'],
                 [f'mov eax, {a:#x}', 'jmp eax'], [f'mov eax, {a:#x}', 'mov esp, eax', 'push ebx'],
                 [f'mov edi, {a:#x}', f'mov ecx, 40', 'mov eax, 0x1010101', 'rep stosd'],
                 [f'mov esi, {a:#x}', 'lodsw', f'xchg [{a:#x}], al'], [f'mov eax, [{a:#x}]', f'mov [{a:#x}], eax'],
                 [f'cmpxchg [{a:#x}], ecx'], [f'invlpg [{a:#x}]', f'mov al, [{a:#x}]'],
                 [f'mov eax, {r.randrange(1 << 32):#x}', 'mov cl, [eax]']]))
    p('int 0x40')
    return p


def program_control(r):
    p = Program('control')
    cr4 = r.choice([r.getrandbits(32), 1 << r.randrange(32), (1 << r.randrange(23)) | (1 << r.randrange(23))])
    cr4 &= 0xff0507ff | 3 << 20  # those that all three have or none
    if r.random() < .8:
        cr4 &= 0x7ff & ~0x20 | r.choice([0, 3 << 20])
    cr0 = r.choice([r.getrandbits(31), 0x11 | 1 << r.randrange(31), 0x60000011, 0x20000011, 0x80000011, 0x80000010])
    msr = r.choice([0xc0000080, 0xc0000081, 0xc0000082, 0xc0000100, 0x174, 0x175, 0x277, 0x10, 0xc0000102, 0x12345])
    value = r.choice([r.getrandbits(64), r.getrandbits(12), 0x0007040600070406, 0x0000800000000000, 0x500, 0x900])
    choices = [
        [f'mov eax, {cr4:#x}', 'mov cr4, eax', 'mov ebx, cr4'],
        [f'mov eax, {cr0:#x}', 'mov cr0, eax; ', 'mov ebx, cr0'],
        [f'mov ax, {r.getrandbits(16)}', 'lmsw ax', 'smsw ebx'],
        ['mov eax, 0xffffffff', f'mov cr{r.choice([2, 3])}, eax', 'mov ebx, cr2', 'mov ecx, cr3'],
        [f'mov eax, {r.getrandbits(32):#x}', f'mov dr{r.choice([0, 1, 2, 3, 6, 7])}, eax',
         f'mov ebx, dr{r.choice([0, 1, 2, 3, 6, 7])}'],
        ['pushfd', f'xor dword [esp], {r.getrandbits(22) & ~0x20100:#x}', 'popfd', 'pushfd', 'pop ebx'],
        ['clts', 'cli', 'sti', 'invd', 'wbinvd'][:r.randrange(1, 5)],
        ['pushfd', 'or dword [esp], 0x100', 'popfd', 'nop', 'nop'],
        ['into', 'mov al, 0x7f', 'add al, 1', 'into'], ['ud2'], ['aam 0'], ['bound eax, [0x7000]'],
        ['sgdt [0x7100]', 'sidt [0x7108]', 'mov eax, [0x7102]', 'mov ebx, [0x710a]', 'str cx', 'sldt dx'],
        [f'mov word [0x7100], {r.choice([0x7f, 0x207, 0x1ff, 0x17])}', 'mov dword [0x7102], 0x1800', 'lidt [0x7100]',
         f'int {r.choice([0x40, 0x41, 3, 0x3f])}'],
        ['mov dx, 0xe8', 'in al, dx', 'out 0x80, al'], ['mov eax, 1', 'mov edx, 0', 'db 0x0f, 0x01, 0xd1'], ['db 0x0f, 0x01, 0xf8'], ['db 0x0f, 0x05'],
        ['db 0x0f, 0x34'], ['mov ax, 0x2b', 'mov ss, ax', 'int3'],
        [f'mov eax, {r.choice([8, 9, 0x10003])}', 'mov dr7, eax', 'mov eax, 0x7200', 'mov dr0, eax',
         'mov eax, 0xd0001', 'mov dr7, eax', 'mov [0x7200], eax', 'nop'],
        [f'mov eax, {value & 0xffffffff:#x}', f'mov edx, {value >> 32:#x}', f'mov ecx, {msr:#x}', 'wrmsr', 'rdmsr',
         'xor edx, edx' if msr == 0x10 else 'nop', 'xor eax, eax' if msr == 0x10 else 'nop'],
    ]
    if r.random() < .35:
        to_ring3(p, r.choice(['0x2', '0x1002', '0x3002', '0x3202']))
        p('mov eax, 0x2b', 'mov ds, ax', 'mov es, ax')
    for _ in range(r.choice([1, 1, 2])):
        p(*r.choice(choices))
    p('int 0x40')
    return p


def program_v86(r):
    p = Program('v8086')
    p.patch(IDT + 8 * 0x40, gate(STUBS + 16 * 0x40, 8, 0x8e if r.random() < .3 else 0xee), 8)
    for v in range(0x48):
        if v in (0x20, 0x21):
            p.patch(4 * v, 0xf0000000 | 0x9f10)
    if r.random() < .5:
        # an I/O and a redirection bitmap: the segment grows over TSS1
        p.desc(0x18, descriptor(TSS0, 0x1ff, 0x89, 0))
        p.patch(TSS0 + 100, 0x00880000)
        for i in range(8):
            p.patch(TSS0 + 0x68 + 4 * i, r.choice([0, 0xffffffff, r.getrandbits(32)]))
        p('mov eax, 0x18', 'and byte [0x101d], 0xfd', 'ltr ax')
    code = []
    for _ in range(r.choice([1, 2, 3, 4])):
        code += r.choice([[0xfa], [0xfb], [0x9c], [0x9d], [0x66, 0x9c], [0x66, 0x9d], [0xcd, 0x20], [0xcd, 0x21], [0xcf],
                          [0xf4], [0xe4, 0xe0], [0xe6, 0x80], [0xcc], [0xce], [0x0f, 0x00, 0xc8], [0x0f, 0x01, 0xe0],
                          [0x8e, 0xd8], 
                          [0x0f, 0x20, 0xc0], [0x0f, 0x02, 0xc0], [0x63, 0xc0], [0xf0, 0xfa], [0x50], [0x1f],
                          [0x9a, 0x10, 0x9f, 0, 0xf0], [0x68, 0x02, 0x02, 0x9d], [0x68, 0x46, 0x72, 0x9d], [0x0f, 0x30]])
    code += [0xcd, 0x40]
    p.code = code
    p.bytes(0x9000, code)
    flags = 0x20002 | r.choice([0, 0x3000, 0x3200, 0x200, 0x80200, 0x180000, 0x100000, 0x80000])
    p('push dword 0x900', 'push dword 0x900', 'push dword 0x900', 'push dword 0x900', 'push dword 0x300',
      'push dword 0x1000', f'push dword {flags:#x}', 'push dword 0x900', 'push dword 0',
      'iretd')
    return p


FAMILIES = [program_segments, program_tasks, program_paging, program_control, program_v86]
