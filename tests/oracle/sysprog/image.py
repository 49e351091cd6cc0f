# SPDX-License-Identifier: Apache-2.0
"""The ROM image of a batch of programs, and the logs that it writes to port 0xe9."""
import os
import subprocess

from .program import (BUDGET, RESUME, GDT, GDT_BYTES, IDT, L1, L1B, L2B, L3B, L4, PAGE, STUBS, STUBS16, STUBS64, TARGET, TSS0,
                      VECTORS, tables32, tables64)

FRAME = 11  # words of the stack behind the vector
MARK, LOG = b'\x01\x02\x03P', b'\x01\x02\x03L'

GPR32 = ['edi', 'esi', 'ebp', 'esp', 'ebx', 'edx', 'ecx', 'eax', 'vector']
GPR64 = ['r15', 'r14', 'r13', 'r12', 'r11', 'r10', 'r9', 'r8', 'rdi', 'rsi', 'rbp', 'rsp', 'rbx', 'rdx', 'rcx', 'rax',
         'vector']
MSRS64 = [('efer', 0xc0000080), ('star', 0xc0000081), ('lstar', 0xc0000082), ('fmask', 0xc0000084),
          ('fsbase', 0xc0000100), ('gsbase', 0xc0000101), ('kgsbase', 0xc0000102)]
# Kind of log (a digit) to: bytes of a field, names of the fields, memory regions.
LAYOUT = {
    0: (4, ['dr7', 'dr6', 'cr4', 'cr3', 'cr2', 'cr0', 'ldtr', 'tr', 'ss', 'gs', 'fs', 'es', 'ds'] + GPR32,
        [('gdt', GDT, GDT_BYTES), ('tss', TSS0, 0x280), ('pt', 0x117fc, 4), ('paept', 0x14ff8, 8), ('pd', 0x10000, 12),
         ('paepd', 0x13000, 16), ('ring1', 0x6bd0, 48), ('ring2', 0x6dd0, 48), ('ring3', 0x77d0, 48), ('mem', 0x7100, 64)]),
    1: (8, [m for m, _ in reversed(MSRS64)] + ['dr7', 'dr6', 'cr4', 'cr3', 'cr2', 'cr0', 'ldtr', 'tr', 'ss', 'gs', 'fs',
                                               'es', 'ds'] + GPR64,
        [('gdt', GDT, GDT_BYTES), ('tss', TSS0, 0x68), ('l4', L4 + 8, 8), ('l3', L3B, 8), ('l2', L2B, 8), ('l1', L1B, 16), ('ring3', 0x77d0, 48),
         ('mem', 0x7100, 64)]),
    2: (4, ['cr0', 'ss', 'gs', 'fs', 'es', 'ds'] + GPR32, [('ram', 0x7100, 16)]),
}


def log_size(kind):
    size, fields, regions = LAYOUT[kind]
    return size * (len(fields) + FRAME) + sum(n for _, _, n in regions)


def fields_of(log):
    """(name, offset in the log, bytes) of each field: what runs() returns are kind + payload."""
    size, fields, regions = LAYOUT[log[0]]
    at = 1
    for name in fields + [f'frame{i}' for i in range(FRAME)]:
        yield name, at, size
        at += size
    for name, _, n in regions:
        for i in range(n):
            yield f'{name}+{i:x}', at + i, 1
        at += n


def field(log, name):
    for f, at, size in fields_of(log):
        if f == name:
            return int.from_bytes(log[at:at + size], 'little')
    return None


def whole_log(part):
    """A log that met a fault itself, when it read the frame, say, keeps its fields only."""
    size, fields, _ = LAYOUT[part[0]]
    full = 1 + log_size(part[0])
    if len(part) < full:
        part = part[:1 + size * len(fields)]
    return part[:full].ljust(full, b'\0')


def split(raw):
    """(program number to its list of logs, whether the image ended). Noise between the records is skipped."""
    result, at = {}, raw.find(MARK)
    while at >= 0:
        at += len(MARK)
        if at + 2 > len(raw):
            return result, False
        number = raw[at] | raw[at + 1] << 8
        if number == 0xffff:
            return result, True
        following = raw.find(MARK, at)
        part = raw[at + 2:following if following >= 0 else len(raw)]
        result[number] = [whole_log(x) for x in part.split(LOG)[1:] if x and x[0] in LAYOUT]
        at = following
    return result, False


BOOT = f'''
org 0xf0000
bits 16
start:
    cli
    o32 lgdt [cs:bootgdtr - 0xf0000]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp dword 8:init
align 8
bootgdt: dq 0, 0xcf9b000000ffff, 0xcf93000000ffff, 0x9b0f0000ffff, 0x93000000ffff
bootgdtr: dw 0x27
    dd bootgdt
bits 32
; All memory of a program is cleared, its tables are copied, its patches are made.
init:
    mov eax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x600
    cld
    mov eax, [0x500]
    inc eax
    cmp dword [0x504], 0x15a015a0
    je .run
    mov dword [0x504], 0x15a015a0
    ; Wild jumps meet breakpoints.
    mov eax, 0xcccccccc
    mov edi, 0x22000
    mov ecx, (0xa0000 - 0x22000) / 4
    rep stosd
    mov edi, 0x100000
    mov ecx, (0x1fe000 - 0x100000) / 4
    rep stosd
    mov edi, 0x202000
    mov ecx, (0x400000 - 0x202000) / 4
    rep stosd
    mov eax, FIRST
.run:
    mov [0x500], eax
    mov dword [{BUDGET}], 0
    mov dword [{RESUME}], 0
    mov esi, mark
    mov ecx, 4
    mov dx, 0xe9
    rep outsb
    cmp eax, COUNT
    jae finish
    out dx, al
    mov al, ah
    out dx, al
    xor eax, eax
    mov edi, 0x600
    mov ecx, (0x22000 - 0x600) / 4
    rep stosd
    xor edi, edi
    mov ecx, 0x500 / 4
    rep stosd
    mov edi, {PAGE - 0x1000}
    mov ecx, 0x4000 / 4
    rep stosd
    mov edi, 0x510
    mov ecx, (0x600 - 0x510) / 4
    rep stosd
    mov ebx, [0x500]
    shl ebx, 4
    add ebx, table
    mov esi, [ebx + 8]
.copy:
    lodsd
    mov ecx, eax
    jecxz .copied
    lodsd
    mov edi, eax
    rep movsb
    jmp .copy
.copied:
    mov esi, [ebx + 4]
.patch:
    lodsd
    mov edi, eax
    inc eax
    jz .patched
    movsd
    jmp .patch
.patched:
    mov ebx, [ebx]
    mov eax, [0x500]
    shl eax, 4
    jmp [eax + table + 12]
finish:
    mov al, 0xff
    out dx, al
    out dx, al
    xor eax, eax
    mov edx, 0xf4
    out dx, al
    mov edx, 0x8900
    mov esi, shutdown
    mov ecx, 8
    rep outsb
    cli
    hlt
mark: db 1, 2, 3, 'P'
logmark: db 1, 2, 3, 'L'
shutdown: db 'Shutdown'

enter_pm:
    lgdt [gdtr]
    lidt [idtr]
    jmp 8:.reload
.reload:
    mov eax, 0x10
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov esp, 0x7000
    mov eax, 0x18
    ltr ax
    mov eax, 0x200111
    mov ecx, 0x22222222
    mov edx, 0x33333333
    mov esi, 0x55555555
    mov edi, 0x66666666
    mov ebp, 0x77777777
    push ebx
    mov ebx, 0x44444444
    ret

enter_real:
    mov ecx, 0x20
    mov ds, cx
    mov es, cx
    mov fs, cx
    mov gs, cx
    mov ss, cx
    jmp 0x18:.r16 - 0xf0000
bits 16
.r16:
    mov eax, cr0
    and al, 0xfe
    mov cr0, eax
    jmp 0xf000:.real - 0xf0000
.real:
    xor cx, cx
    mov ds, cx
    mov es, cx
    mov fs, cx
    mov gs, cx
    mov ss, cx
    o32 lidt [cs:ivtr - 0xf0000]
    mov esp, 0x7000
    mov edi, {STUBS16 - 0xf0000}
    mov ecx, {VECTORS}
    xor si, si
.ivt:
    mov [si], di
    mov word [si + 2], 0xf000
    add si, 4
    add di, 16
    loop .ivt
    push bx
    mov eax, 0x200111
    mov ebx, 0x44444444
    mov ecx, 0x22222222
    mov edx, 0x33333333
    mov esi, 0x55555555
    mov edi, 0x66666666
    mov ebp, 0x77777777
    ret

bits 32
enter_long:
    mov edi, {L1}
    mov eax, 7
.pt:
    mov [edi], eax
    add edi, 8
    add eax, 0x1000
    cmp eax, 0x200007
    jb .pt
    mov eax, 0x20
    mov cr4, eax
    mov eax, {L4}
    mov cr3, eax
    mov ecx, 0xc0000080
    mov eax, 0x100
    xor edx, edx
    wrmsr
    mov ecx, 0xc0000084
    xor eax, eax
    wrmsr
    lgdt [gdtr]
    mov eax, 0x80000011
    mov cr0, eax
    jmp 0x10:.reload
bits 64
.reload:
    lidt [idtr64]
    mov eax, 0x18
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov esp, 0x7000
    mov eax, 0x40
    ltr ax
    push rbx
    mov rax, 0x1111111122222222
    mov rbx, 0x4444444455555555
    mov rcx, 0x2222222233333333
    mov rdx, 0x3333333344444444
    mov rsi, 0x5555555566666666
    mov rdi, 0x6666666677777777
    mov rbp, 0x7777777788888888
    mov r8d, 8
    mov r9d, 9
    mov r10d, 10
    mov r11d, 11
    mov r12d, 12
    mov r13d, 13
    mov r14d, 14
    mov r15d, 15
    ret
bits 32
gdtr: dw {GDT_BYTES - 1}
    dd {GDT}
idtr: dw {VECTORS * 8 - 1}
    dd {IDT}
idtr64: dw {VECTORS * 16 - 1}
    dq {IDT}
ivtr: dw 0x3ff
    dd 0
nullidt: dw 0
    dd 0, 0
'''


def send_regions(kind):
    out = []
    for _, address, n in LAYOUT[kind][2]:
        out.append(f'mov esi, {address}\nmov ecx, {n}\nrep outsb')
    return '\n'.join(out)


# Each log: the mark, its kind, the fields and the frame from the stack, the regions. Debug events and breakpoints return
# while the budget lasts; everything else ends in a triple fault, so that the next program starts from a reset.
LOG32 = f'''
bits 32
log32:
    pusha
    xor eax, eax
    mov ax, ds
    push eax
    mov ax, es
    push eax
    mov ax, fs
    push eax
    mov ax, gs
    push eax
    mov ax, ss
    push eax
    mov ecx, eax
    str ax
    push eax
    sldt ax
    push eax
    mov eax, 0x10
    mov ds, ax
    mov eax, cr0
    push eax
    mov eax, cr2
    push eax
    mov eax, cr3
    push eax
    mov eax, cr4
    push eax
    mov eax, dr6
    push eax
    mov eax, dr7
    push eax
    mov eax, 0x400
    mov dr7, eax
    cld
    mov dx, 0xe9
    mov esi, esp
    lar eax, ecx
    and eax, 1 << 22
    jnz .wide
    movzx esi, si
.wide:
    mov edi, esi
    mov esi, logmark
    mov ecx, 4
    rep outsb
    mov al, 0
    out dx, al
    mov esi, edi
    mov ecx, {(len(LAYOUT[0][1]) + FRAME) * 4}
    ss rep outsb
    {send_regions(0)}
    mov eax, [ss:edi + {4 * LAYOUT[0][1].index('vector')}]
    cmp eax, 1
    je .again
    cmp eax, 3
    jne .end
.again:
    dec dword [{BUDGET}]
    js .end
    mov eax, [{RESUME}]
    or [ss:edi + {4 * LAYOUT[0][1].index('vector') + 12}], eax
    mov eax, [ss:edi + {4 * LAYOUT[0][1].index('dr7')}]
    and ah, 0xdf
    mov dr7, eax
    add esp, {4 * LAYOUT[0][1].index('ds')}
    pop eax
    mov ds, ax
    popa
    add esp, 4
    iretd
.end:
    lidt [nullidt]
    int3
'''
LOG64 = f'''
bits 64
log64:
    push rax
    push rcx
    push rdx
    push rbx
    lea rax, [rsp + 32]
    push rax
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    xor eax, eax
    mov ax, ds
    push rax
    mov ax, es
    push rax
    mov ax, fs
    push rax
    mov ax, gs
    push rax
    mov ax, ss
    push rax
    str ax
    push rax
    sldt ax
    push rax
    mov rax, cr0
    push rax
    mov rax, cr2
    push rax
    mov rax, cr3
    push rax
    mov rax, cr4
    push rax
    mov rax, dr6
    push rax
    mov rax, dr7
    push rax
    mov eax, 0x400
    mov dr7, rax
''' + '\n'.join(f'mov ecx, {m:#x}\nrdmsr\nmov [rsp - 8], eax\nmov [rsp - 4], edx\nsub rsp, 8' for _, m in MSRS64) + f'''
    cld
    mov dx, 0xe9
    mov rsi, logmark
    mov ecx, 4
    rep outsb
    mov al, 1
    out dx, al
    mov rsi, rsp
    mov ecx, {(len(LAYOUT[1][1]) + FRAME) * 8}
    rep outsb
    {send_regions(1)}
    mov rax, [rsp + {8 * LAYOUT[1][1].index('vector')}]
    cmp rax, 1
    je .again
    cmp rax, 3
    jne .end
.again:
    dec dword [{BUDGET}]
    js .end
    mov eax, [{RESUME}]
    or [rsp + {8 * LAYOUT[1][1].index('vector') + 24}], rax
    mov rax, [rsp + {8 * LAYOUT[1][1].index('dr7')}]
    and ah, 0xdf
    mov dr7, rax
    add rsp, {8 * LAYOUT[1][1].index('ds')}
    pop rax
    mov ds, ax
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rbx
    pop rdx
    pop rcx
    pop rax
    add rsp, 8
    iretq
.end:
    lidt [nullidt]
    int3
'''
LOG16 = f'''
bits 16
log16:
    pushad
    xor eax, eax
    mov ax, ds
    push eax
    mov ax, es
    push eax
    mov ax, fs
    push eax
    mov ax, gs
    push eax
    mov ax, ss
    push eax
    mov eax, cr0
    push eax
    cld
    mov dx, 0xe9
    mov si, logmark - 0xf0000
    mov cx, 4
    cs rep outsb
    mov al, 2
    out dx, al
    mov si, sp
    mov cx, {(len(LAYOUT[2][1]) + FRAME) * 4}
    ss rep outsb
    xor ax, ax
    mov ds, ax
    {send_regions(2)}
    mov si, sp
    mov eax, [ss:si + {4 * LAYOUT[2][1].index('vector')}]
    cmp eax, 1
    je .again
    cmp eax, 3
    jne .end
.again:
    dec dword [{BUDGET}]
    js .end
    add sp, {4 * LAYOUT[2][1].index('ds')}
    pop eax
    mov ds, ax
    popad
    add sp, 4
    iret
.end:
    o32 lidt [cs:nullidt - 0xf0000]
    int3
'''


def source(programs, first):
    out = [f'%define COUNT {len(programs)}', f'%define FIRST {first}', BOOT, LOG32, LOG64, LOG16, 'bits 32', 'align 4',
           'table:']
    sets = {'pm': tables32(), 'long': tables64(), 'real': {0x9f00: b'\xcd\x40'}}
    for n, p in enumerate(programs):
        out.append(f'dd q{n}, patch{n}, set_{p.mode}, enter_{p.mode}')
    for n, p in enumerate(programs):
        out += [f'bits {dict(pm=32, real=16, long=64)[p.mode]}', f'q{n}:']
        out += [line.replace('%%', f'x{n}_') for line in p.body]
    out.append(f'times {STUBS:#x} - 0xf0000 - ($ - $$) db 0xcc')
    for stubs, bits, push, log in ((STUBS, 32, 'push dword', 'log32'), (STUBS64, 64, 'push', 'log64'),
                                   (STUBS16, 16, 'push dword', 'log16')):
        for v in range(VECTORS):
            out.append(f'bits {bits}\ntimes {16 * v + stubs - 0xf0000} - ($ - $$) db 0xcc\n{push} {v}\njmp {log}')
    out += [f'times {TARGET - 0xf0000} - ($ - $$) db 0xcc', 'int 0x40', 'times 0x9f10 - ($ - $$) db 0xcc', 'int 0x40',
            'times 0xa000 - ($ - $$) db 0xcc']
    for name, ram in sets.items():
        out.append(f'set_{name}:')
        for address, data in ram.items():
            out.append(f'dd {len(data)}, {address}\ndb ' + ','.join(map(str, data)))
        out.append('dd 0')
    for n, p in enumerate(programs):
        out.append(f'patch{n}:')
        out += [f'dd {address:#x}, {value:#x}' for address, value in p.patches]
        out.append('dd -1')
    out += ['times 0xfff0 - ($ - $$) db 0xcc', 'bits 16', 'jmp 0xf000:0', 'times 0x10000 - ($ - $$) db 0']
    return '\n'.join(out) + '\n'


def assemble(programs, first, folder, name):
    """The path of a new ROM, or None when the programs do not fit into one."""
    asm, rom = os.path.join(folder, name + '.asm'), os.path.join(folder, name + '.rom')
    with open(asm, 'w') as f:
        f.write(source(programs, first))
    r = subprocess.run(['nasm', '-w-all', '-f', 'bin', '-o', rom, asm], stderr=subprocess.PIPE, text=True)
    if r.returncode and 'TIMES value' in r.stderr:
        return None
    if r.returncode:
        raise RuntimeError(r.stderr)
    return rom
