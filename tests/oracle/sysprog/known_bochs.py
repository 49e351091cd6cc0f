# SPDX-License-Identifier: Apache-2.0
"""What Bochs 2.7 is known to do otherwise than the SDM."""
from .image import field
from .known import rule, whole_rule


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
    return ours == [] and bool(theirs) and \
        field(theirs[0], 'vector') in (8, 10, 11, 12) and field(theirs[0], 'tr') != 0x18


@rule('bochs', 'df-rf', '#DF pushes RF that the first fault set (vol. 3, 17.3.1.1: fault-class exceptions only)')
def df_rf(p):
    x, y = p.get('frame3'), p.our('frame3')
    if p.our('vector') == 8 and x ^ y == 0x10000 and x & 0x10000:
        p.put('frame3', y)
        return True
    return False


@rule('bochs', 'dr7-rtm', 'bit 11 of DR7 is kept by a model without RTM (vol. 3, 17.2.4)')
def dr7_rtm(p):
    done = False
    for name in ('dr7', 'ebx'):
        if p.get(name) ^ p.our(name) == 0x800 and p.get(name) & 0x800 and p.wrote('mov dr7'):
            p.put(name, p.our(name))
            done = True
    return done
