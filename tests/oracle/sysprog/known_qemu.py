# SPDX-License-Identifier: Apache-2.0
"""What QEMU 7.2 (TCG) is known to do otherwise than the SDM."""
import re

from .image import field
from .known import rule, whole_rule
from .program import GDT_BYTES, IDT, TSS0, TSS1, TSS16

FLAGS_KNOWN = 0x3f7fff
PAGE_TABLES = ('pt+', 'paept+', 'pd+', 'paepd+', 'l1+', 'l2+', 'l3+', 'l4+')


def flags_differ(p, bits):
    """Corrects these bits in words that look like pushed RFLAGS."""
    done = False
    for i in range(5):
        name = f'frame{i}'
        x, y = p.get(name), p.our(name)
        if (x ^ y) & bits and (x ^ y) & ~FLAGS_KNOWN == 0 and x & 0xffff & y & 2:
            p.put(name, x & ~bits | y & bits)
            done = True
    return done


@rule('qemu', 'rf', 'RF is neither set in the image of EFLAGS that faults push nor cleared by the next instruction (vol. 3, '
                    '17.3.1.1)', (0, 1))
def rf(p):
    return flags_differ(p, 0x10000)


@rule('qemu', 'rsvd', 'P is clear in the error code of a reserved bit (vol. 3, 4.7)', (0, 1))
def rsvd(p):
    x = p.get('frame0')
    if p.our('vector') == 14 and x & 9 == 8:
        p.put('frame0', x | 1)
        return True
    return False


@rule('qemu', 'rmw', 'the operand of a read-modify-write is read before it is known to be writable: W is clear in the error '
                     'code, and the second page of an operand may fault first (vol. 3, 4.7: the access was a write)', (0, 1))
def rmw(p):
    x, y = p.get('frame0'), p.our('frame0')
    if p.our('vector') != 14 or p.get('vector') != 14 or x & 2 or not y & 2 or \
            not p.wrote(r'^(inc|xchg|cmpxchg|add|or|bts|lock|jmp rbx|call rbx|iret[dw]$)'):
        return False
    if x | 2 == y or 0 < p.get('cr2') - p.our('cr2') < 8:
        p.put('frame0', y)
        p.put('cr2', p.our('cr2'))
        return True
    return False


@rule('qemu', 'dirty', 'a store to two pages that faults on the second leaves the first clean (vol. 3, 4.8: not said)', (0, 1))
def dirty(p):
    done = False
    for name in p.at:
        if name.startswith(PAGE_TABLES) and p.our('vector') == 14 and p.our('cr2') & 0xfff == 0 and \
                p.get(name) ^ p.our(name) == 0x40 and p.our(name) & 0x40:
            p.put(name, p.our(name))
            done = True
    return done


@rule('qemu', 'accessed', 'accessed flags of upper levels are set in walks that end in a fault, too', (0, 1))
def accessed(p):
    done = False
    for name in p.at:
        if name.startswith(PAGE_TABLES) and p.get(name) ^ p.our(name) == 0x20 and p.get(name) & 0x20:
            p.put(name, p.our(name))
            done = True
    return done


@rule('qemu', 'push-segment', 'a segment register pushed with 32 bits clears the upper half (vol. 2, PUSH: processors write '
                              '16 bits)')
def push_segment(p):
    done = False
    for name in p.at:
        x, y = p.get(name), p.our(name)
        if name.startswith('frame') and x != y and (x ^ y) & 0xffff == 0 and (x < 0x100 or p.wrote(r'^push [defg]s')) or \
                name.startswith('ring3+') and x == 0 != y and p.wrote(r'^push [defg]s'):
            p.put(name, y)
            done = True
    return done


NEW_TASKS = {0x30: (TSS1, 4), 0x33: (TSS1, 4), 0x38: (TSS16, 2), 0x3b: (TSS16, 2)}


def task_field(p, tss, at, size):
    value = 0
    for i in range(size):
        value |= p.our(f'tss+{tss - TSS0 + at + i:x}') << 8 * i
    return value


def new_task(p):
    """(address of its TSS, bytes of its words) when the log is of a fault that the start of a task met."""
    if p.our('vector') in (8, 10, 11, 12, 13, 14) and p.ours[0] == 0:
        return NEW_TASKS.get(p.our('tr'))
    return None


@rule('qemu', 'task-eip', 'a fault at the start of a new task pushes the EIP of the instruction that switched (vol. 3, 6.15, '
                          '#TS: the first instruction of the new task)')
def task_eip(p):
    task = new_task(p)
    if task and p.differ('frame1'):
        eip = task_field(p, task[0], 0x20 if task[1] == 4 else 14, task[1])
        if p.our('frame1') == eip and p.get('frame1') >> 12 == eip >> 12:
            p.put('frame1', eip)
            return True
    return False


@rule('qemu', 'task-cpl', 'a fault at the start of a new task is delivered at the CPL of the old one (vol. 3, 7.3: that of the '
                          'CS of the new task)')
def task_cpl(p):
    task = new_task(p)
    if not task or not p.differ('esp') or task[1] != 4 or p.our('frame2') & 3 == 0:
        return False
    esp = task_field(p, task[0], 0x38, 4)
    if p.get('esp') != esp - 0x14 or p.our('frame4') != esp:
        return False
    for name in ['esp'] + [f'frame{i}' for i in range(4, 11)]:
        p.put(name, p.our(name))
    return True


@rule('qemu', 'accessed-flag', 'far transfers do not set the accessed flag of CS, returns not of SS, task switches of no segment (vol. 3, '
                               '3.4.5.1)',
      (0, 1))
def accessed_flag(p):
    done = False
    for at in range(5, GDT_BYTES, 8):
        name = f'gdt+{at:x}'
        mask = 0x19 if (p.ours[0] or p.our('tr') == 0x18) and not p.wrote('^(o16 )?(retf|iret)') else 0x11
        if p.get(name) ^ p.our(name) == 1 and p.our(name) & mask == mask:
            p.put(name, p.our(name))
            done = True
    return done


@rule('qemu', 'vif', 'task switches and IRET do not load VIF and VIP (vol. 3, 7.2.1; vol. 2, IRET)', (0, 1))
def vif(p):
    return flags_differ(p, 0x180000)


@rule('qemu', 'far-limit', 'a far transfer past the limit of its target has the selector as its error code (vol. 2, CALL, JMP: '
                           '#GP(0))')
def far_limit(p):
    done = False
    for i in range(5):
        name = f'frame{i}'
        x, y = p.get(name), p.our(name)
        if y == 0 and x & 0xfff8 == x and p.wrote(rf'(call|jmp) (0x)?[0-9a-f]+:'):
            p.put(name, 0)
            done = done or x
    return bool(done)


@rule('qemu', 'lar', 'LAR clears the bits 19:16, which are those of the limit (vol. 2, LAR: undefined)', (0, 1))
def lar(p):
    done = False
    for name in [n for n in ('eax', 'ecx', 'rax', 'rcx') if n in p.at]:
        x, y = p.get(name), p.our(name)
        if x != y and x == y & ~0xf0000 and y >> 24 == 0 and p.wrote(r'lar '):
            p.put(name, x | y & 0xf0000)
            done = True
    return done


CR0_BITS = 0xe005003f


@rule('qemu', 'cr0-reserved', 'reserved bits of CR0 are kept (vol. 3, 2.5)')
def cr0_reserved(p):
    done = False
    for name in ('cr0', 'ebx', 'eax'):
        x, y = p.get(name), p.our(name)
        if x != y and x & CR0_BITS == y and p.wrote(r'mov cr0|lmsw'):
            p.put(name, y)
            done = True
    return done


@whole_rule('qemu', 'ltr-null', 'LTR takes null selectors (vol. 2, LTR: #GP(0))')
def ltr_null(program, theirs, ours):
    return bool(theirs and ours) and field(ours[0], 'vector') == 13 and field(ours[0], 'frame0') == 0 and \
        field(theirs[0], 'tr') < 4 and 'ltr ax' in program.body


@whole_rule('qemu', 'lock-cli', 'LOCK with CLI and others that cannot be locked is no #UD (vol. 2, LOCK)', (0, 2))
def lock_cli(program, theirs, ours):
    if ours and field(ours[0], 'vector') == 6 and ours[0][0] == 2 and any(x == 'db 0xf0, 0xfa' for x in program.body):
        return True
    code = getattr(program, 'code', None)
    return bool(code and ours) and field(ours[0], 'vector') == 6 and \
        code[field(ours[0], 'frame0'):][:2] in ([0xf0, 0xfa], [0xf0, 0xf4])


@whole_rule('qemu', 'msr-canonical', 'WRMSR takes addresses that are not canonical (vol. 2, WRMSR: #GP(0))')
def msr_canonical(program, theirs, ours):
    return bool(ours) and field(ours[0], 'vector') == 13 and \
        any(field(ours[0], 'ecx') & 0xffffffff == m for m in (0x175, 0x176, 0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101,
                                                              0xc0000102)) and \
        field(ours[0], 'edx') & 0xffffffff not in (0, 0xffffffff)


@whole_rule('qemu', 'pat', 'IA32_PAT takes memory types that do not exist (vol. 3, 12.12.2: #GP(0))')
def pat(program, theirs, ours):
    return bool(ours) and field(ours[0], 'vector') == 13 and field(ours[0], 'ecx') == 0x277


@whole_rule('qemu', 'cr0-nw', 'CR0 takes NW without CD (vol. 3, 2.5: #GP(0))')
def cr0_nw(program, theirs, ours):
    return bool(ours) and field(ours[0], 'vector') == 13 and field(ours[0], 'eax') & 0x60000000 == 0x20000000


@whole_rule('qemu', 'task-no-stack', 'a fault in a new task before its SS is loaded is pushed somewhere (vol. 3, 7.3: the CPL is '
                                     'that of CS, 6.12.1: at the same CPL the present stack is used; there is none: #SS, #DF, '
                                     'shutdown)')
def task_no_stack(program, theirs, ours):
    return ours == [] and bool(theirs) and \
        field(theirs[0], 'vector') in (8, 10, 11, 12) and field(theirs[0], 'tr') != 0x18


@whole_rule('qemu', 'task-limit', 'the limit of a TSS of 4 GiB is taken for a negative one (vol. 3, 7.2.2)')
def task_limit(program, theirs, ours):
    if not theirs or field(theirs[0], 'vector') != 10 or field(theirs[0], 'tr') != 0x18:
        return False
    at = field(theirs[0], 'frame0') & 0xf8
    limit = [field(theirs[0], f'gdt+{at + i:x}') for i in (0, 1, 6)]
    return limit[:2] == [255, 255] and limit[2] & 0x8f == 0x8f


@whole_rule('qemu', 'xsetbv', 'XSETBV checks CPL before CR4.OSXSAVE (vol. 2, XSETBV: #UD comes first)')
def xsetbv(program, theirs, ours):
    return bool(ours and theirs) and field(ours[0], 'vector') == 6 and field(theirs[0], 'vector') == 13 and \
        field(ours[0], 'frame1') & 3 != 0 and any('0x0f, 0x01, 0xd1' in line for line in program.body)


@rule('qemu', 'task-rf', 'RF is not set in the EFLAGS that a fault through a task gate saves (vol. 3, 17.3.1.1)')
def task_rf(p):
    if p.get('tss+26') ^ p.our('tss+26') == 1 and p.our('tss+26') & 1 and p.our('vector') != 1:
        p.put('tss+26', p.our('tss+26'))
        return True
    return False


def code_limit(p_ours, sel):
    """The limit of the code segment of this selector in the GDT of a log."""
    raw = sum(field(p_ours, f'gdt+{(sel & 0xf8) + i:x}') << 8 * i for i in range(8))
    limit = raw & 0xffff | (raw >> 48 & 15) << 16
    return limit << 12 | 0xfff if raw >> 55 & 1 else limit


def pushed_cs_eip(log):
    """(CS, EIP, EFLAGS) that the event of a 32-bit log pushed."""
    at = 1 if field(log, 'vector') in (8, 10, 11, 12, 13, 14, 17) else 0
    return field(log, f'frame{at + 1}'), field(log, f'frame{at}'), field(log, f'frame{at + 2}')


def past_limit(log, slack):
    cs, eip, flags = pushed_cs_eip(log)
    return eip + slack > (0xffff if flags & 0x20000 else code_limit(log, cs))


@whole_rule('qemu', 'cs-limit', 'instructions past the limit of CS are executed, returns go there (vol. 3, 5.3: #GP(0))')
def cs_limit(program, theirs, ours):
    if not ours or ours[0][0] or field(ours[0], 'vector') != 13 or field(ours[0], 'frame0'):
        return False
    return past_limit(ours[0], 15) or bool(theirs) and past_limit(theirs[0], 0)


@whole_rule('qemu', 'msr-unknown', 'RDMSR and WRMSR take MSRs that do not exist (vol. 2, WRMSR: #GP(0))')
def msr_unknown(program, theirs, ours):
    return bool(ours) and field(ours[0], 'vector') == 13 and field(ours[0], 'ecx') == 0x12345


@whole_rule('qemu', 'ip-wrap', 'EIP wraps at 64 KiB in a 16-bit code segment with a greater limit (vol. 3, 5.3.1: up to the limit)')
def ip_wrap(program, theirs, ours):
    if not ours or ours[0][0]:
        return False
    cs, eip, _ = pushed_cs_eip(ours[0])
    return eip > 0xffff and not field(ours[0], f'gdt+{(cs & 0xf8) + 6:x}') & 0x40


@whole_rule('qemu', 'task-trap', 'the T flag of a task state segment is not looked at (vol. 3, 17.3.1.5)')
def task_trap(program, theirs, ours):
    return bool(ours) and field(ours[0], 'vector') == 1 and field(ours[0], 'dr6') & 0x8000 != 0


@whole_rule('qemu', 'cr4-reserved', 'CR4 takes reserved bits (vol. 3, 2.5: #GP(0))')
def cr4_reserved(program, theirs, ours):
    return bool(ours) and field(ours[0], 'vector') == 13 and field(ours[0], 'frame0') == 0 and \
        field(ours[0], 'eax') & 0xff888000 != 0 and any(line == 'mov cr4, eax' for line in program.body)


@whole_rule('qemu', 'null-data', 'a null data segment can be used (vol. 3, 3.4.2: #GP(0))')
def null_data(program, theirs, ours):
    return bool(ours) and ours[0][0] == 0 and field(ours[0], 'vector') == 13 and field(ours[0], 'frame0') == 0 and \
        field(ours[0], 'frame2') & 3 != 0 and field(ours[0], 'frame3') & 0x20000 == 0 and \
        0 in (field(ours[0], 'ds') & ~3, field(ours[0], 'es') & ~3)


@whole_rule('qemu', 'efer-reserved', 'WRMSR takes reserved bits of EFER (vol. 3, 2.2.1: #GP(0))')
def efer_reserved(program, theirs, ours):
    return bool(ours) and field(ours[0], 'vector') == 13 and field(ours[0], 'ecx') == 0xc0000080 and \
        (field(ours[0], 'eax') & ~0xd01 | field(ours[0], 'edx')) != 0


@whole_rule('qemu', 'cr0-pg', 'CR0 takes PG without PE (vol. 3, 2.5: #GP(0))', (0, 2))
def cr0_pg(program, theirs, ours):
    return bool(ours) and field(ours[0], 'vector') == 13 and field(ours[0], 'eax') & 0x80000001 == 0x80000000 and \
        any(line.startswith('mov cr0') for line in program.body)


@whole_rule('qemu', 'gate16', 'the offset of a 16-bit gate has 32 bits (vol. 3, 6.11: the upper 16 are reserved)')
def gate16(program, theirs, ours):
    # Gates with an upper half: types 4 in the GDT, 6 and 7 in the IDT; and an instruction that uses one.
    gates = [at for at, value in program.patches if at & 4 and value >> 8 & 0x1f in (4, 6, 7) and value >> 16]
    uses = [f'int {(at - IDT) // 8:#x}' for at in gates if at >= IDT] + [r'(call|jmp) ' for at in gates if at < IDT]
    return any(re.match(use, line) for use in uses for line in program.body)


@rule('qemu', 'dr-reserved', 'reserved bits of DR6 and DR7 are kept (vol. 3, 17.2)')
def dr_reserved(p):
    done = False
    for name in ('dr6', 'dr7', 'ebx'):
        x, y = p.get(name), p.our(name)
        reserved = 0xd800 if name == 'dr7' else 0x1000 if name == 'dr6' else 0x1000 if y >> 16 == 0xffff else 0xd800
        if x != y and x & ~reserved == y and p.wrote('mov dr[67]'):
            p.put(name, y)
            done = True
    return done


@whole_rule('qemu', 'gd', 'DR7.GD is not looked at (vol. 3, 17.2.4: #DB)')
def general_detect(program, theirs, ours):
    return bool(ours) and field(ours[0], 'vector') == 1 and field(ours[0], 'dr6') & 0x2000 != 0


@rule('qemu', 'sysenter-cs', 'IA32_SYSENTER_CS has 16 bits (vol. 4, table 2-2: bits 31:16 not used)')
def sysenter_cs(p):
    x, y = p.get('eax'), p.our('eax')
    if x != y and x == y & 0xffff and p.our('ecx') == 0x174:
        p.put('eax', y)
        return True
    return False


@whole_rule('qemu', 'iret-vm', 'IRET returns to v8086 mode from rings 1 to 3 (vol. 2, IRET: CPL 0 only)')
def iret_vm(program, theirs, ours):
    if not ours:
        return False
    values = [int(m.group(1), 16) for m in (re.match(r'push dword (0x[0-9a-f]+)$', x) for x in program.body) if m]
    return program.kind in ('returns', 'segments', 'rings') and any(v & 0x20000 for v in values[-6:]) and \
        bool(theirs) and any(field(theirs[0], f'frame{i}') & 0x20000 for i in (2, 3)) and field(ours[0], 'ss') & 3 == 0


@whole_rule('qemu', 'tss-old-limit', 'the limit of the TSS that is left is not checked (vol. 3, table 6-6: #TS)')
def tss_old_limit(program, theirs, ours):
    return bool(ours) and field(ours[0], 'tr') == 0x18 and code_limit(ours[0], 0x18) < 0x67 and \
        (not theirs or field(theirs[0], 'tr') != 0x18)


@whole_rule('qemu', 'task-self', 'IRET to the task itself does not see the state that was just saved (vol. 3, 7.3)')
def task_self(program, theirs, ours):
    return bool(ours) and field(ours[0], 'tr') == 0x18 and field(ours[0], 'tss+0') == 0x18 and \
        any('or dword [esp], 0x4000' in x for x in program.body)


@rule('qemu', 'task-ext', 'EXT is clear in the error code of a fault at the start of the task that handles a fault (vol. 3, '
                          '6.13)')
def task_ext(p):
    if new_task(p) and p.get('frame0') | 1 == p.our('frame0') and p.differ('frame0'):
        p.put('frame0', p.our('frame0'))
        return True
    return False


@whole_rule('qemu', 'stack-limit', 'limits of stacks are not checked (vol. 2, INT n, PUSH, POP: #SS)')
def stack_limit(program, theirs, ours):
    if program.kind == 'stack':
        return bool(ours) and field(ours[0], 'vector') == 12 and field(ours[0], 'frame0') == 0
    return program.kind in ('rings', 'segments') and ours == [] and bool(theirs) and field(theirs[0], 'vector') > 0xff


@rule('qemu', 'task16-high', 'the upper halves of general registers are kept when a 16-bit TSS is loaded (vol. 3, 7.6: not said; '
                             'Bochs sets them)')
def task16_high(p):
    done = False
    for name in ('eax', 'ebx', 'ecx', 'edx', 'esi', 'edi', 'ebp', 'esp'):
        x, y = p.get(name), p.our(name)
        if x != y and (x ^ y) & 0xffff == 0 and y >> 16 == 0xffff and p.our('tr') != 0x18:
            p.put(name, y)
            done = True
    return done


@whole_rule('qemu', 'data-limit', 'limits and types of data segments are not checked (vol. 3, 5.3, 5.5: #GP(0))')
def data_limit(program, theirs, ours):
    return program.kind == 'segments' and bool(ours) and field(ours[0], 'vector') == 13 and field(ours[0], 'frame0') == 0 and \
        any('[0x7100]' in line for line in program.body) and field(ours[0], 'ds') & ~3 not in (0, 0x10, 0x28)


@whole_rule('qemu', 'rdpmc', 'RDPMC does not exist (vol. 2, RDPMC: it does, and without counters every number is #GP(0))', (0, 1))
def rdpmc(program, theirs, ours):
    return bool(ours and theirs) and field(ours[0], 'vector') == 13 and field(theirs[0], 'vector') == 6 and \
        'rdpmc' in program.body


@rule('qemu', 'enter-wrap', 'ENTER on a 16-bit stack borrows from the upper half of ESP when SP wraps (vol. 2, ENTER: SP)')
def enter_wrap(p):
    if p.get('ebp') ^ p.our('ebp') == 0xffff0000 and p.wrote('enter'):
        p.put('ebp', p.our('ebp'))
        return True
    return False


@rule('qemu', 'conforming-rpl', 'a gate to conforming code leaves the DPL of the code in CS instead of the CPL (vol. 3, 5.8.3)')
def conforming_rpl(p):
    done = False
    for i in (1, 2):
        name = f'frame{i}'
        x, y = p.get(name), p.our(name)
        if x != y and x >> 2 == y >> 2 and y & 0xfff8 in (0xa0, 0xa8, 0xb0) and x & 3 < y & 3:
            p.put(name, y)
            done = True
    return done


@rule('qemu', 'task-flags', 'the arithmetic flags that a task switch saves may be those of before the last instruction (vol. 3, 7.3)')
def task_flags(p):
    x, y = p.get('tss+24'), p.our('tss+24')
    if p.our('tr') != 0x18 and x != y and (x ^ y) & 0x2a == 0:
        p.put('tss+24', y)
        return True
    return False
