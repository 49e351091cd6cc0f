#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Generated system programs on Isola's processor and on QEMU: the logs must be the same.

usage: system_programs.py --run BOARD_RUN [--count N] [--seed S] [--qemu PATH] [--keep DIR] [--only N]

One image is a 64 KiB ROM that starts at the reset vector. For each program it fills RAM with descriptor tables, gates,
task state segments and page tables, makes the program's changes, enters protected mode and runs it. Every interrupt
handler logs the vector, all registers, control registers, the pushed frame, the tables that the processor may have
written, and ends the program by a triple fault, so that each program starts from a true reset. A program that triple
faults by itself logs nothing. Exits 77 when QEMU or nasm is missing.
"""
import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

GDT, IDT, TSS0, TSS1, TSS16, LDT = 0x1000, 0x1800, 0x3000, 0x3100, 0x3200, 0x3400
PD, PT, PDPT, PAE_PD, PAE_PT = 0x10000, 0x11000, 0x12000, 0x13000, 0x14000
PAGE = 0x200000 - 0x1000  # the page that paging programs play with: last of the first 2 MiB
STUBS = 0xf8000
FREE = [0x58, 0x60, 0x68, 0x70, 0x78]  # descriptors for the programs

# Where QEMU 7.2 differs from the SDM, which then decides. Counted.
KNOWN = {
    'push-segment': 'a segment register pushed with 32 bits: QEMU clears the upper half (Intel leaves memory alone)',
    'rsvd': 'QEMU leaves P clear in the error code of a reserved bit (vol. 3, 4.7)',
    'rmw': 'QEMU reads a read-modify-write operand before it finds that it may not write it',
    'accessed': 'QEMU sets the accessed flags of upper levels also in walks that end in a fault',
    'cr0': 'QEMU takes NW without CD and keeps reserved bits of CR0 (vol. 3, 2.5)',
    'pat': 'QEMU takes memory types in IA32_PAT that do not exist (vol. 3, 12.12.2)',
    'rf': 'QEMU does not set RF in the image of EFLAGS that faults push (vol. 3, 17.3.1.1)',
}


def descriptor(base, limit, access, flags):
    return ((limit & 0xffff) | (base & 0xffffff) << 16 | access << 40 | (limit >> 16 & 15) << 48 | flags << 52 |
            (base >> 24 & 255) << 56)


def gate(offset, selector, access):
    return (offset & 0xffff) | selector << 16 | access << 40 | (offset >> 16) << 48


def base_ram():
    """The tables that every program starts with: address to bytes."""
    gdt = [0, descriptor(0, 0xfffff, 0x9b, 12), descriptor(0, 0xfffff, 0x93, 12), descriptor(TSS0, 0x67, 0x89, 0),
           descriptor(0, 0xfffff, 0xfb, 12), descriptor(0, 0xfffff, 0xf3, 12), descriptor(TSS1, 0x67, 0x89, 0),
           descriptor(TSS16, 0x2b, 0x81, 0), descriptor(LDT, 0x3f, 0x82, 0), descriptor(0xf0000, 0xffff, 0x9b, 0),
           descriptor(0, 0xffff, 0x93, 0), 0, 0, 0, 0, 0]
    idt = [gate(STUBS + 16 * v, 8, 0xee if v in (3, 4, 0x40) else 0x8e) for v in range(0x48)]
    ram = {GDT: b''.join(x.to_bytes(8, 'little') for x in gdt), IDT: b''.join(x.to_bytes(8, 'little') for x in idt)}
    tss = bytearray(104)
    tss[4:8], tss[8:10] = (0x6800).to_bytes(4, 'little'), b'\x10\0'
    tss[102:104] = b'\x68\0'
    ram[TSS0] = bytes(tss)
    t1 = bytearray(tss)
    for at, v in ((0x20, 0xf9f00), (0x24, 2), (0x38, 0x6400), (0x28, 0x11), (0x2c, 0x22), (0x30, 0x33), (0x34, 0x44),
                  (0x3c, 0x55), (0x40, 0x66), (0x44, 0x77), (0x48, 0x10), (0x4c, 8), (0x50, 0x10), (0x54, 0x10),
                  (0x58, 0x10), (0x5c, 0x10)):
        t1[at:at + 4] = v.to_bytes(4, 'little')
    ram[TSS1] = bytes(t1)
    t16 = bytearray(44)
    for at, v in ((2, 0x6800), (4, 0x10), (14, 0x9f00), (16, 2), (18, 0x11), (20, 0x22), (22, 0x33), (24, 0x44),
                  (26, 0x6200), (28, 0x55), (30, 0x66), (32, 0x77), (34, 0x10), (36, 0x48), (38, 0x10), (40, 0x10)):
        t16[at:at + 2] = v.to_bytes(2, 'little')
    ram[TSS16] = bytes(t16)
    ram[0x9f00] = b'\xcd\x40'
    return ram


class Program:
    def __init__(self, kind):
        self.kind, self.patches, self.body, self.tail = kind, [], [], []

    def patch(self, address, value, size=4):
        for i in range(0, size, 4):
            self.patches.append((address + i, value >> 8 * i & 0xffffffff))

    def desc(self, selector, value):
        self.patch(GDT + (selector & ~7), value, 8)

    def __call__(self, *lines):
        self.body += lines


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
                                0x7c, 0x80, 0xfff8, 0x04, 0x0c, 0x5b, 0x63]) | r.choice([0, 0, 0, 1, 2, 3])


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
        p.patch(at & ~3, r.choice([any_selector(r), r.getrandbits(32), any_selector(r) << 16]))
    if r.random() < .2:
        p.desc(where, descriptor(TSS1 if where == 0x30 else TSS16, r.choice([0x67, 0x66, 0x2b, 0x2a, 0xffff]),
                                 r.choice([0x89, 0x8b, 0x81, 0x83, 0xe9, 0x09]), 0))
    p.patch(IDT + 8 * 0x41, gate(0, where | r.choice([0, 0, 3]), r.choice([0x85, 0xe5])), 8)
    p.patch(IDT + 8 * 13, gate(0, 0x30, 0x85), 8) if r.random() < .1 else None
    if r.random() < .3:
        to_ring3(p)
    p(*r.choice([[f'jmp {where}:0'], [f'call {where}:0'], ['int 0x41'], [f'jmp {where | 3}:0'],
                 ['mov word [0x3000], 0x30', 'pushfd', 'or dword [esp], 0x4000', 'popfd', 'iretd'],
                 [f'call {r.choice(FREE)}:0']]))
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
    known4 = 0x37ff | 1 << 16 | 1 << 18 | 3 << 20
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
    code += [0x90] * (-len(code) % 4)
    for i in range(0, len(code), 4):
        p.patch(0x9000 + i, int.from_bytes(bytes(code[i:i + 4]), 'little'))
    flags = 0x20002 | r.choice([0, 0x3000, 0x3200, 0x200, 0x80200, 0x180000, 0x100000, 0x80000])
    p('push dword 0x900', 'push dword 0x900', 'push dword 0x900', 'push dword 0x900', 'push dword 0x300',
      'push dword 0x1000', f'push dword {flags:#x}', 'push dword 0x900', 'push dword 0',
      'iretd')
    return p


KINDS = [program_segments, program_segments, program_tasks, program_paging, program_paging, program_control,
         program_v86]

RUNNER = '''
cpu x64
bits 16
org 0xf0000
start:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7000
    mov eax, [0x500]
    cmp dword [0x504], 0x15a015a0
    jne .first
    inc eax
    jmp .run
.first:
    mov dword [0x504], 0x15a015a0
    mov eax, FIRST
.run:
    mov [0x500], eax
    cmp eax, COUNT
    jae .finish
    push eax
    mov dx, 0xe9
    mov al, 'P'
    out dx, al
    mov eax, [0x500]
    out dx, al
    mov al, ah
    out dx, al
    ; clear RAM from 0x600 to 0x9fff but the stack word, and 0x10000 to 0x15fff
    cld
    xor eax, eax
    mov di, 0x600
    mov cx, (0xa000 - 0x600) / 4
    rep stosd
    mov bx, 0x1000
.more:
    mov es, bx
    xor di, di
    mov cx, 0x2000
    rep stosd
    add bh, 8
    cmp bx, 0x1800
    jb .more
    xor ax, ax
    mov es, ax
    mov bx, blocks - 0xf0000
.copy:
    mov cx, [cs:bx]
    jcxz .copied
    mov di, [cs:bx + 2]
    mov si, [cs:bx + 4]
    add bx, 6
    push ds
    push cs
    pop ds
    rep movsb
    pop ds
    jmp .copy
.copied:
    mov eax, [0x500]
    shl eax, 1
    mov bx, ax
    jmp [cs:bx + table - 0xf0000]
.finish:
    mov dx, 0xe9
    mov al, 'E'
    out dx, al
    mov dx, 0xf4
    mov al, 0
    out dx, al
    cli
    hlt

enter_pm:
    o32 lgdt [cs:gdtr - 0xf0000]
    o32 lidt [cs:idtr - 0xf0000]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp dword 8:pm32
bits 32
pm32:
    mov eax, 0x10
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov esp, 0x7000
    mov eax, 0x18
    ltr ax
    mov eax, 0x11111111
    mov ecx, 0x22222222
    mov edx, 0x33333333
    mov esi, 0x55555555
    mov edi, 0x66666666
    mov ebp, 0x77777777
    push ebx
    mov ebx, 0x44444444
    ret

log_all:
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
    cld
    mov dx, 0xe9
    mov al, 'L'
    out dx, al
    mov esi, esp
    mov ecx, (13 + 8 + 1 + 11) * 4
    rep outsb
    mov esi, 0x1000
    mov ecx, 0x80
    rep outsb
    mov esi, 0x3000
    mov ecx, 0x280
    rep outsb
    mov esi, 0x117fc
    mov ecx, 4
    rep outsb
    mov esi, 0x14ff8
    mov ecx, 8
    rep outsb
    mov esi, 0x10000
    mov ecx, 12
    rep outsb
    mov esi, 0x13000
    mov ecx, 16
    rep outsb
    mov al, 'Z'
    out dx, al
    lidt [nullidt]
    int3

gdtr: dw 0x7f
    dd 0x1000
idtr: dw 0x23f
    dd 0x1800
nullidt: dw 0
    dd 0
'''


def assemble(programs, first, folder, name):
    out = [f'%define COUNT {len(programs)}', f'%define FIRST {first}', RUNNER, 'align 4', 'blocks:']
    ram = base_ram()
    for n, (address, data) in enumerate(ram.items()):
        out.append(f'dw {len(data)}, {address}, block{n} - 0xf0000')
    out.append('dw 0')
    for n, data in enumerate(ram.values()):
        out.append(f'block{n}: db ' + ','.join(map(str, data)))
    out += ['table:'] + [f'dw p{n} - 0xf0000' for n in range(len(programs))]
    for n, p in enumerate(programs):
        out += ['bits 16', f'p{n}:']
        for address, value in p.patches:
            out.append(f'mov dword [{address:#x}], {value:#x}' if address < 0x10000 else
                       f'push ds\nmov ax, {address >> 4:#x}\nmov ds, ax\nmov dword [{address & 15}], {value:#x}\npop ds')
        out += [f'mov ebx, q{n}', 'jmp enter_pm', 'bits 32', f'q{n}:']
        out += [line.replace('%%', f'x{n}_') for line in p.body]
    out += [f'times {STUBS:#x} - 0xf0000 - ($ - $$) db 0xcc']
    for v in range(0x48):
        out.append(f'times {16 * v} - ($ - $$ - {STUBS - 0xf0000:#x}) db 0xcc\npush dword {v}\njmp log_all')
    # The targets of far transfers: 0xf9f00 for 32-bit code and 0x9f00 in 16-bit segments at 0xf0000.
    out += ['times 0x9f00 - ($ - $$) db 0xcc', 'int 0x40', 'times 0x9f10 - ($ - $$) db 0xcc', 'bits 16', 'int 0x40']
    out += ['times 0xfff0 - ($ - $$) db 0xcc', 'bits 16', 'jmp 0xf000:0', 'times 0x10000 - ($ - $$) db 0']
    asm, rom = os.path.join(folder, name + '.asm'), os.path.join(folder, name + '.rom')
    with open(asm, 'w') as f:
        f.write('\n'.join(out) + '\n')
    subprocess.run(['nasm', '-w-all', '-f', 'bin', '-o', rom, asm], check=True)
    return rom


def split(log):
    """Program number to its log."""
    result, at = {}, 0
    while at + 3 <= len(log) and log[at:at + 1] == b'P':
        number = log[at + 1] | log[at + 2] << 8
        at += 3
        if log[at:at + 1] == b'L':
            size = 1 + (13 + 8 + 1 + 11) * 4 + 0x80 + 0x280 + 4 + 8 + 12 + 16 + 1
            result[number] = log[at:at + size]
            at += size
        else:
            result[number] = b''
    return result, log[at:at + 1] == b'E'


def run_qemu(qemu, rom, folder):
    log = os.path.join(folder, 'qemu.log')
    open(log, 'w').close()
    try:
        subprocess.run([qemu, '-accel', 'tcg', '-cpu', 'max,-la57,-umip', '-M', 'pc', '-m', '4', '-bios', rom,
                        '-nodefaults', '-display', 'none', '-chardev', f'file,id=d,path={log}', '-device',
                        'isa-debugcon,iobase=0xe9,chardev=d', '-device', 'isa-debug-exit,iobase=0xf4,iosize=4'],
                       timeout=20, stderr=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        pass
    return open(log, 'rb').read()


def settle(qemu, isola, known, pushes_segment):
    """QEMU's log with the known differences replaced by what the SDM says."""
    if not qemu or not isola:
        return qemu
    log = bytearray(qemu)
    for i in range(4):  # the pushed EFLAGS is one of the first words of the frame
        at = 1 + 4 * (22 + i)
        x, y = (int.from_bytes(s[at:at + 4], 'little') for s in (qemu, isola))
        if y ^ x == 0x10000 and y & 0x10000 and x & 2:
            log[at:at + 4] = y.to_bytes(4, 'little')
            known['rf'] += 1
    vector = int.from_bytes(isola[85:89], 'little')
    if vector == 14:
        x, y = log[89], isola[89]
        if y == x | 1 and x & 8:
            log[89] = y
            known['rsvd'] += 1
        elif y == x | 2:
            log[89] = y
            known['rmw'] += 1
    for at in range(133 + 0x300, len(log) - 1):
        if log[at] ^ isola[at] == 0x20 and log[at] & 0x20:
            log[at] = isola[at]
            known['accessed'] += 1
    for at in range(89, 133, 4):
        x, y = (int.from_bytes(b[at:at + 4], 'little') for b in (log, isola))
        if x != y and x < 0x10000 and y & 0xffff == x and pushes_segment:
            log[at:at + 4] = isola[at:at + 4]
            known['push-segment'] += 1
    return bytes(log)


# How the programs begin that meet two of the known differences: they are counted and not compared.
STARTS = {'cr0': 'mov cr0, eax; ', 'pat': 'mov ecx, 0x277'}
FIELDS = (['dr7', 'dr6', 'cr4', 'cr3', 'cr2', 'cr0', 'ldtr', 'tr', 'ss', 'gs', 'fs', 'es', 'ds', 'edi', 'esi', 'ebp',
           'esp', 'ebx', 'edx', 'ecx', 'eax', 'vector'] + [f'frame{i}' for i in range(11)])


def difference(a, b):
    if not a or not b:
        return 'ends in a triple fault on ' + ('one side: QEMU' if not a else 'one side: Isola') + (
            ', vector there %d' % int.from_bytes((a or b)[1 + 4 * 21:5 + 4 * 21], 'little'))
    text = []
    for i, f in enumerate(FIELDS):
        x, y = (int.from_bytes(s[1 + 4 * i:5 + 4 * i], 'little') for s in (a, b))
        if x != y:
            text.append(f'{f} {x:x}/{y:x}')
    rest = 1 + 4 * len(FIELDS)
    for i in range(rest, len(a)):
        if a[i] != b[i]:
            at = i - rest
            text.append((f'gdt+{at:x}' if at < 0x80 else f'tss+{at - 0x80:x}' if at < 0x300 else f'pages+{at - 0x300:x}') +
                        f' {a[i]:02x}/{b[i]:02x}')
            if len(text) > 6:
                break
    return 'QEMU/Isola: ' + ' '.join(text)


def main():
    a = argparse.ArgumentParser()
    a.add_argument('--run', required=True)
    a.add_argument('--count', type=int, default=600)
    a.add_argument('--seed', type=int, default=1)
    a.add_argument('--qemu', default='qemu-system-x86_64')
    a.add_argument('--keep')
    a.add_argument('--show', type=int, default=40)
    o = a.parse_args()
    if not shutil.which('nasm') or not shutil.which(o.qemu):
        print('skipped: nasm or QEMU is missing')
        return 77
    folder = o.keep or tempfile.mkdtemp(prefix='isola-oracle-')
    os.makedirs(folder, exist_ok=True)
    differ, same, kinds, shown = 0, 0, {}, 0
    batch, known = 150, dict.fromkeys(KNOWN, 0)
    for start in range(0, o.count, batch):
        programs = []
        for n in range(start, min(o.count, start + batch)):
            r = random.Random(o.seed * 1000003 + n)
            programs.append(r.choice(KINDS)(r))
        first, logs, stuck = 0, {'qemu': {}, 'isola': {}}, 0
        while first < len(programs) and stuck < 4:
            rom = assemble(programs, first, folder, 'image')
            here = os.path.join(folder, 'isola.log')
            subprocess.run([o.run, rom, here], timeout=600)
            seen, whole_here = split(open(here, 'rb').read())
            logs['isola'].update(seen)
            there, whole = split(run_qemu(o.qemu, rom, folder))
            logs['qemu'].update(there)
            if whole and whole_here:
                break
            # A program that hangs is left out, and the run goes on behind it.
            last = max(there if not whole else seen, default=first)
            stuck += 1
            print(f'program {start + last} ({programs[last].kind}) hangs on {"QEMU" if not whole else "Isola"}: '
                  + '; '.join(programs[last].body[-8:]))
            for side in logs.values():
                side.pop(last, None)
            first = last + 1
        for n, p in enumerate(programs):
            x, y = logs['qemu'].get(n), logs['isola'].get(n)
            if x is None or y is None:
                continue
            why = next((w for w in ('cr0', 'pat') if any(b.startswith(STARTS[w]) for b in p.body) and x != y), None)
            if why:
                known[why] += 1
                continue
            x = settle(x, y, known, any(re.match(r'push [cdefgs]s', b) for b in p.body))
            k = kinds.setdefault(p.kind, [0, 0, 0])
            k[0] += 1
            k[2] += not x
            if x == y:
                same += 1
                continue
            differ += 1
            k[1] += 1
            if shown < o.show:
                shown += 1
                print(f'DIFF program {start + n} ({p.kind}): {difference(x, y)}')
                print('    ' + '; '.join(p.body[-14:]))
    print(f'{same + differ} programs compared, seed {o.seed}: {differ} differ')
    for k, (n, d, t) in sorted(kinds.items()):
        print(f'  {k:10} {n:6} programs, {t} end in a triple fault, {d} differ')
    for name, n in known.items():
        print(f'  known: {name} {n}: {KNOWN[name]}')
    if not o.keep:
        shutil.rmtree(folder)
    return 1 if differ else 0


sys.exit(main())
