# SPDX-License-Identifier: Apache-2.0
"""What Bochs 2.7 is known to do otherwise than the SDM."""
from .image import field
from .known import rule, whole_rule
from .program import IDT


@rule('bochs', 'task-ss-first', 'a new task loads SS before CS (vol. 3, table 7-1: CS DPL and RPL first)')
def task_ss_first(p):
    if p.our('vector') == 10 and p.our('tr') != 0x18 and p.get('frame0') != p.our('frame0') and \
            p.get('frame0') == p.our('frame5') & ~3 and p.our('frame0') == p.our('frame2') & 0xfffc:
        p.put('frame0', p.our('frame0'))
        return True
    return False


@whole_rule('bochs', 'task-no-stack', 'a fault in a new task before its SS is loaded is delivered as if from ring 3 (vol. 3, 7.3: '
                                      'the CPL is that of CS; 6.12.1: at the same CPL the present stack is used; there is '
                                      'none: #SS, #DF, shutdown)')
def task_no_stack(program, theirs, ours):
    # The stack may be nowhere, and the log then garbage.
    return ours == [] and bool(theirs) and program.kind in ('tasks', 'tasks16', 'segments') and field(theirs[0], 'tr') != 0x18 and \
        (field(theirs[0], 'vector') in (8, 10, 11, 12) or field(theirs[0], 'vector') > 0xff)


@rule('bochs', 'df-rf', '#DF pushes RF that the first fault set (vol. 3, 17.3.1.1: fault-class exceptions only)', (0, 1))
def df_rf(p):
    x, y = p.get('frame3'), p.our('frame3')
    if p.our('vector') == 8 and x ^ y == 0x10000 and x & 0x10000:
        p.put('frame3', y)
        return True
    return False


@rule('bochs', 'dr7-rtm', 'bit 11 of DR7 is kept by a model without RTM (vol. 3, 17.2.4)', (0, 1))
def dr7_rtm(p):
    done = False
    for name in ('dr7', 'rbx' if 'rbx' in p.at else 'ebx'):
        if p.get(name) ^ p.our(name) == 0x800 and p.get(name) & 0x800 and p.wrote('mov dr7'):
            p.put(name, p.our(name))
            done = True
    return done


@whole_rule('bochs', 'wrap-4g', 'an access that wraps at 4 GiB of a flat segment is done (vol. 3, 5.3: either may happen)')
def wrap_4g(program, theirs, ours):
    if not ours or field(ours[0], 'vector') not in (12, 13):
        return False
    if program.kind in ('stack', 'limits') and 48 > min(field(ours[0], x) + 16 & 0xffffffff for x in ('frame1', 'frame4', 'ebp')):
        return True
    return field(ours[0], 'frame0') == 0 and field(ours[0], 'edi') >= 0xfffffffd and \
        any('rep stosd' in x for x in program.body)


@whole_rule('bochs', 'vip-vif', '#GP(0) before any instruction while VIF and VIP are set (vol. 3, 20.3.2: only instructions that '
                                'set VIF fault)')
def vip_vif(program, theirs, ours):
    return program.kind in ('vme', 'pvi', 'v8086', 'returns') and bool(theirs) and field(theirs[0], 'vector') == 13 and \
        field(theirs[0], 'frame0') == 0 and field(theirs[0], 'frame3') & 0x180000 == 0x180000


@whole_rule('bochs', 'dr4', 'MOV DR4 with CR4.DE is #UD before CPL is checked (vol. 2, MOV: order not said; processors check '
                            'CPL first)')
def dr4(program, theirs, ours):
    return bool(ours) and bool(theirs) and len(ours) == len(theirs) and field(ours[-1], 'vector') == 13 and \
        field(theirs[-1], 'vector') == 6 and any('dr4' in x for x in program.body)


@rule('bochs', 'dr6-disabled', 'DR6 shows breakpoints that match and are not enabled, even when no enabled one does (vol. 3, '
                               '17.2.3: they may or may not be set)', (0, 1, 2))
def dr6_disabled(p):
    if 'dr6' not in p.at:
        return False
    extra = p.get('dr6') & ~p.our('dr6')
    if extra and extra & ~15 == 0 and not any(extra >> n & 1 and p.our('dr7') >> 2 * n & 3 for n in range(4)):
        p.put('dr6', p.get('dr6') & ~extra)
        return True
    return False


@rule('bochs', 'next-breakpoint', 'the trap of an instruction shows the breakpoint on the next one, too (vol. 3, table 6-2: that '
                                  'is a fault of its own, and later)', (0, 1, 2))
def next_breakpoint(p):
    done = False
    for name in [n for n in ('dr6', 'eax', 'ebx', 'rax') if n in p.at]:
        extra = p.get(name) & ~p.our(name)
        if not extra or extra & ~15 or p.our(name) & 0xffff0ff0 != 0xffff0ff0 or p.our(name) & 0x400f == 0 or 'dr7' not in p.at:
            continue
        dr7 = p.our('dr7')
        if name != 'dr6' or not any(extra >> n & 1 and dr7 >> 2 * n & 3 and dr7 >> (16 + 4 * n) & 3 for n in range(4)):
            p.put(name, p.get(name) & ~extra)
            done = True
    return done


@whole_rule('bochs', 'iret-ss', 'IRET with 16 or 32-bit operands in 64-bit mode pops SS only when the CPL changes (vol. 2, IRET: if '
                                'the instruction began in 64-bit mode)', (1,))
def iret_ss(program, theirs, ours):
    return program.kind == 'lreturns' and program.body[-1] in ('iretw', 'iretd') and program.same_cpl


@rule('bochs', 'lgdt-order', 'LGDT and LIDT read the base before the limit: CR2 (vol. 2, LGDT: not said)', (1,))
def lgdt_order(p):
    if p.our('vector') != 14 or not p.wrote('^l[gi]dt'):
        return False
    done = False
    if 0 < p.get('cr2') - p.our('cr2') <= 4:
        p.put('cr2', p.our('cr2'))
        done = True
    for name in p.at:  # the walk for the limit
        if name[:3] in ('l1+', 'l2+', 'l3+', 'l4+') and p.get(name) ^ p.our(name) == 0x20:
            p.put(name, p.our(name))
            done = True
    return done


@whole_rule('bochs', 'fmask-high', 'WRMSR takes the reserved upper half of IA32_FMASK (vol. 4, table 2-2; vol. 2, WRMSR: #GP(0))',
            (1,))
def fmask_high(program, theirs, ours):
    return bool(ours) and field(ours[0], 'vector') == 13 and field(ours[0], 'rcx') == 0xc0000084 and \
        field(ours[0], 'rdx') & 0xffffffff != 0


def gate_not_canonical(program):
    """Whether the program made a 64-bit gate with such an offset."""
    return any(IDT <= at < IDT + 0x480 and (at - IDT) & 15 == 8 and value in (0x8000, 0xffff7fff)
               for at, value in program.patches)


@whole_rule('bochs', 'gate-canonical', 'a frame is pushed, and may fault, before the offset of the gate is known to be canonical '
                                       '(vol. 2, INT n: #GP comes first)', (1,))
def gate_canonical(program, theirs, ours):
    return gate_not_canonical(program)


@rule('bochs', 'ist-code', '#SS of an IST stack that is not canonical has a selector (vol. 2, INT n: #SS(EXT))', (1,))
def ist_code(p):
    if p.our('vector') == 12 and p.our('frame0') < 2 and p.get('frame0') & ~1 == p.our('frame5') & 0xfffc:
        p.put('frame0', p.our('frame0'))
        return True
    return False


@whole_rule('bochs', 'ret64-limit', 'returns with 64-bit operands to compatibility mode drop the upper half of RIP (vol. 2, RET, '
                                    'IRET: #GP(0), past the limit)', (1,))
def ret64_limit(program, theirs, ours):
    return program.kind == 'lreturns' and program.target[2] >> 32 != 0 and bool(ours) and \
        field(ours[0], 'vector') in (12, 13) and field(ours[0], 'frame0') & ~7 in (0, program.target[1] & ~7)


@whole_rule('bochs', 'iret-null-ss', 'IRET to ring 0 takes a null SS of another RPL (vol. 2, IRET: #GP(0), RPL is not CPL)', (1,))
def iret_null_ss(program, theirs, ours):
    return program.kind == 'lreturns' and program.target[3] == 'iretq' and program.target[1] in (1, 2, 3) and \
        program.target[0] & 3 != program.target[1] and bool(ours) and field(ours[0], 'vector') == 13 and \
        field(ours[0], 'frame0') == 0


@whole_rule('bochs', 'iret-order', 'IRET reads SS before RIP: the fault of the last word comes first (vol. 2, IRET: not said)', (1,))
def iret_order(program, theirs, ours):
    return program.kind == 'lcanonical' and 'iretq' in program.body[-3:] and bool(ours and theirs) and \
        {12, 14} >= {field(x[0], 'vector') for x in (ours, theirs)} and \
        field(ours[0], 'frame1') == field(theirs[0], 'frame1')


@rule('bochs', 'call-push', 'a near call to an address that is not canonical leaves its return address in memory (vol. 2, CALL: '
                            'checked first)', (1,))
def call_push(p):
    if not p.wrote('^call rbx') or p.our('vector') != 13:
        return False
    done = False
    for i in range(0x28, 0x30):
        if p.differ(f'ring3+{i:x}'):
            p.put(f'ring3+{i:x}', p.our(f'ring3+{i:x}'))
            done = True
    return done


@whole_rule('bochs', 'syscall-tf', 'SYSCALL traps also when IA32_FMASK clears TF (vol. 2, SYSCALL: flags are masked; systems rely '
                                   'on it)', (1,))
def syscall_tf(program, theirs, ours):
    if program.kind != 'lsyscall' or 'syscall' not in program.body or len(theirs) < len(ours):
        return False
    extra = next((x for x, y in zip(theirs, ours) if x != y), theirs[-1])
    return field(extra, 'vector') == 1 and field(extra, 'dr6') & 0x4000 != 0 and field(extra, 'fmask') & 0x100 != 0


@whole_rule('bochs', 'lar-high', 'LAR and LSL look at the upper half of a system descriptor (vol. 2, LAR: not said)', (1,))
def lar_high(program, theirs, ours):
    return program.kind == 'lcontrol' and any('lar ' in x for x in program.body) and \
        bool(ours) and any((field(ours[0], f'gdt+{s + 13:x}') & 0x1f) != 0 for s in (0x40, 0x50))


@rule('bochs', 'fxsave-order', 'FXSAVE checks alignment before the address is known to be canonical (vol. 2, FXSAVE: not said)', (1,))
def fxsave_order(p):
    if p.our('vector') == 12 and p.get('vector') == 13 and p.wrote('fxsave'):
        p.put('vector', 12)
        return True
    return False


@whole_rule('bochs', 'lgdt-canonical', 'LGDT and LIDT read the base before the limit: #PF of the second part comes before #SS or '
                                       '#GP of the first (vol. 2, LGDT: not said)', (1,))
def lgdt_canonical(program, theirs, ours):
    return bool(ours and theirs) and {12, 14} >= {field(x[0], 'vector') - (field(x[0], 'vector') == 13) for x in (ours, theirs)} \
        and any(x.startswith(('lgdt', 'lidt')) for x in program.body)


@rule('bochs', 'task-cs-late', 'the accessed flag of the CS of a new task is set after SS was checked (vol. 3, table 7-1: CS first)')
def task_cs_late(p):
    if p.our('vector') != 10 or p.our('tr') == 0x18:
        return False
    done = False
    for at in range(5, 0x100, 8):
        name = f'gdt+{at:x}'
        if p.get(name) ^ p.our(name) == 1 and p.our(name) & 0x19 == 0x19:
            p.put(name, p.our(name))
            done = True
    return done


@whole_rule('bochs', 'gd-cpl', 'DR7.GD is looked at before the CPL (vol. 2, MOV: order not said; processors check CPL first)')
def gd_cpl(program, theirs, ours):
    if program.kind != 'debug' or not theirs or not ours:
        return False
    x = next((x for x, y in zip(theirs, ours) if x != y), theirs[-1])
    return field(x, 'vector') == 1 and field(x, 'dr6') & 0x2000 != 0 and field(x, 'frame1') & 3 == 3


@rule('bochs', 'gd-bs', 'DR6 shows a single step beside BD, before the instruction is done (vol. 3, 17.3.1.3)')
def gd_bs(p):
    done = False
    for name in ('dr6', 'eax'):
        if p.get(name) ^ p.our(name) == 0x4000 and p.get(name) & 0xffff6ff0 == 0xffff6ff0:
            p.put(name, p.our(name))
            done = True
    return done


@whole_rule('bochs', 'task-tf', 'a single step does not trap after an IRET that switches tasks (vol. 3, 17.3.1.4)')
def task_tf(program, theirs, ours):
    return program.kind == 'tasks16' and bool(ours) and field(ours[0], 'vector') == 1 and field(ours[0], 'dr6') & 0x4000 != 0 and \
        field(ours[0], 'tr') in (0x18, 0x38)


@rule('bochs', 'iret-ss-np', 'a return to an SS that is not present is #NP in long mode (vol. 2, IRET: #SS(SS selector))', (1,))
def iret_ss_np(p):
    if p.program.kind == 'lreturns' and p.our('vector') == 12 and p.get('vector') == 11 and \
            p.our('frame0') == p.program.target[1] & ~3:
        p.put('vector', 12)
        return True
    return False
