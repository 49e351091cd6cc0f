# SPDX-License-Identifier: Apache-2.0
"""A program: patches of memory, and assembly for NASM that runs on top of the tables every program starts with."""

GDT, IDT, TSS0, TSS1, TSS16, LDT = 0x1000, 0x1800, 0x3000, 0x3100, 0x3200, 0x3400
GDT_BYTES, VECTORS = 0x100, 0x48
BUDGET = 0x508  # events (vectors 1 and 3) that are logged and returned from before a log ends the program
RESUME = 0x50c  # flags that such a return sets
# 32-bit paging, PAE
PD, PT, PDPT, PAE_PD, PAE_PT = 0x10000, 0x11000, 0x12000, 0x13000, 0x14000
# 4-level paging: identity for the supervisor, USER + x for everybody, PLAY.. through tables of its own
L4, L3, L2, L1, L3B, L2B, L1B, L2U = (0x18000 + 0x1000 * i for i in range(8))
USER, PLAY = 0x40000000, 0x8000000000
PAGE = 0x200000 - 0x1000  # the page that paging programs play with: last of the first 2 MiB
STUBS, STUBS64, STUBS16 = 0xf8000, 0xf8800, 0xf9000
TARGET = 0xf9f00  # code that far transfers reach: "int 0x40" in any mode; in segments with base 0xf0000, 0x9f00
FREE = [0x58, 0x60, 0x68, 0x70, 0x78]  # descriptors for the programs


def descriptor(base, limit, access, flags):
    return ((limit & 0xffff) | (base & 0xffffff) << 16 | access << 40 | (limit >> 16 & 15) << 48 | flags << 52 |
            (base >> 24 & 255) << 56)


def gate(offset, selector, access):
    return (offset & 0xffff) | selector << 16 | access << 40 | (offset >> 16 & 0xffff) << 48


def gate64(offset, selector, access, ist=0):
    return gate(offset & 0xffffffff, selector, access) | ist << 32 | (offset >> 32 & 0xffffffff) << 64


class Program:
    """mode: 'pm' (32-bit, flat, ring 0), 'real' or 'long'. judges: who can decide it. rings: where INT3 logs a whole walk."""

    def __init__(self, kind, mode='pm', judges=('qemu', 'bochs'), rings=()):
        self.kind, self.mode, self.judges, self.rings, self.patches, self.body = kind, mode, judges, set(rings), [], []

    def patch(self, address, value, size=4):
        for i in range(0, size, 4):
            self.patches.append((address + i, value >> 8 * i & 0xffffffff))

    def bytes(self, address, data):
        data = bytes(data) + b'\x90' * (-len(data) % 4)
        for i in range(0, len(data), 4):
            self.patch(address + i, int.from_bytes(data[i:i + 4], 'little'))

    def desc(self, selector, value, size=8):
        self.patch(GDT + (selector & ~7), value, size)

    def idt(self, vector, value):
        if self.mode == 'long':
            self.patch(IDT + 16 * vector, value, 16)
        else:
            self.patch(IDT + 8 * vector, value, 8)

    def __call__(self, *lines):
        self.body += lines


def tables32():
    """What each 32-bit program starts with: address to bytes."""
    flat = [descriptor(0, 0xfffff, access, 12) for access in (0xbb, 0xb3, 0xdb, 0xd3, 0x9f, 0xbf, 0xff)]
    gdt = [0, descriptor(0, 0xfffff, 0x9b, 12), descriptor(0, 0xfffff, 0x93, 12), descriptor(TSS0, 0x67, 0x89, 0),
           descriptor(0, 0xfffff, 0xfb, 12), descriptor(0, 0xfffff, 0xf3, 12), descriptor(TSS1, 0x67, 0x89, 0),
           descriptor(TSS16, 0x2b, 0x81, 0), descriptor(LDT, 0x3f, 0x82, 0), descriptor(0xf0000, 0xffff, 0x9b, 0),
           descriptor(0, 0xffff, 0x93, 0), 0, 0, 0, 0, 0] + flat
    # 0x80 ring 1 code, 0x88 data, 0x90 ring 2 code, 0x98 data, 0xa0 0xa8 0xb0 conforming of DPL 0, 1, 3;
    # 0xb8 16-bit ring 3 code, 0xc0 16-bit ring 3 data
    gdt += [descriptor(0xf0000, 0xffff, 0xfb, 0), descriptor(0, 0xffff, 0xf3, 0)]
    gdt += [0] * (GDT_BYTES // 8 - len(gdt))
    idt = [gate(STUBS + 16 * v, 8, 0xee if v in (3, 4, 0x40) else 0x8e) for v in range(VECTORS)]
    ram = {GDT: b''.join(x.to_bytes(8, 'little') for x in gdt), IDT: b''.join(x.to_bytes(8, 'little') for x in idt)}
    tss = bytearray(104)
    for at, v in ((4, 0x6800), (8, 0x10), (12, 0x6c00), (16, 0x89), (20, 0x6e00), (24, 0x9a)):
        tss[at:at + 4] = v.to_bytes(4, 'little')
    tss[102:104] = b'\x68\0'
    ram[TSS0] = bytes(tss)
    t1 = bytearray(tss)
    for at, v in ((0x20, TARGET), (0x24, 2), (0x38, 0x6400), (0x28, 0x11), (0x2c, 0x22), (0x30, 0x33), (0x34, 0x44),
                  (0x3c, 0x55), (0x40, 0x66), (0x44, 0x77), (0x48, 0x10), (0x4c, 8), (0x50, 0x10), (0x54, 0x10),
                  (0x58, 0x10), (0x5c, 0x10)):
        t1[at:at + 4] = v.to_bytes(4, 'little')
    ram[TSS1] = bytes(t1)
    t16 = bytearray(44)
    for at, v in ((2, 0x6800), (4, 0x10), (6, 0x6c00), (8, 0x89), (10, 0x6e00), (12, 0x9a), (14, 0x9f00), (16, 2),
                  (18, 0x11), (20, 0x22), (22, 0x33), (24, 0x44), (26, 0x6200), (28, 0x55), (30, 0x66), (32, 0x77),
                  (34, 0x10), (36, 0x48), (38, 0x50), (40, 0x10)):
        t16[at:at + 2] = v.to_bytes(2, 'little')
    ram[TSS16] = bytes(t16)
    ram[0x9f00] = b'\xcd\x40'
    return ram


def tables64():
    """What each long-mode program starts with. Descriptors as Linux orders them for SYSCALL; 0x40 call gates."""
    gdt = [0, descriptor(0, 0xfffff, 0x9b, 12), descriptor(0, 0xfffff, 0x9b, 10), descriptor(0, 0xfffff, 0x93, 12),
           descriptor(0, 0xfffff, 0xfb, 12), descriptor(0, 0xfffff, 0xf3, 12), descriptor(0, 0xfffff, 0xfb, 10), 0,
           descriptor(TSS0, 0x67, 0x89, 0), 0, descriptor(LDT, 0x3f, 0x82, 0)]
    gdt += [0] * (GDT_BYTES // 8 - len(gdt))
    idt = [gate64(STUBS64 + 16 * v, 0x10, 0xee if v in (3, 4, 0x40) else 0x8e) for v in range(VECTORS)]
    ram = {GDT: b''.join(x.to_bytes(8, 'little') for x in gdt), IDT: b''.join(x.to_bytes(16, 'little') for x in idt)}
    tss = bytearray(104)
    for at, v in ((4, 0x6800), (12, 0x6c00), (20, 0x6e00), (36, 0x6200), (44, 0x6400), (52, 0x65f8)):
        tss[at:at + 8] = v.to_bytes(8, 'little')
    tss[102:104] = b'\x68\0'
    ram[TSS0] = bytes(tss)

    def entries(*pairs):
        page = bytearray((max(i for i, _ in pairs) + 1) * 8)
        for i, v in pairs:
            page[8 * i:8 * i + 8] = v.to_bytes(8, 'little')
        return bytes(page)
    ram[L4] = entries((0, L3 | 7), (1, L3B | 7))
    ram[L4 + 0xff8] = (L3 | 7).to_bytes(8, 'little')
    ram[L3] = entries((0, L2 | 3), (1, L2U | 7))
    ram[L3 + 0xff0] = (L2 | 3).to_bytes(8, 'little')  # the last 2 GiB of the high half: identity, too
    ram[L2] = entries((0, L1 | 3))
    ram[L2U] = entries((0, L1 | 7))
    ram[L3B] = entries((0, L2B | 7))
    ram[L2B] = entries((0, L1B | 7))
    ram[L1B] = entries((0, PAGE | 7), (1, (PAGE + 0x1000) | 7))
    ram[0x9f00] = b'\xcd\x40'
    return ram
