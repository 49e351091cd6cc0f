/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bare computer for processor tests: RAM from address 0, one processor, no devices. Code is
 * written in assembler in the test itself: RIG_CODE(name, 64, "...") makes its bytes available as
 * name_start..name_end.
 */
#ifndef TESTS_CPU_RIG_H
#define TESTS_CPU_RIG_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bus/gmem.h"
#include "bus/space.h"
#include "cpu/x86/access.h"
#include "cpu/x86/flags.h"
#include "cpu/x86/model.h"

enum { RIG_RAM = 16 << 20, RIG_CODE_AT = 0x10000, RIG_STACK = 0x80000, RIG_TABLES = 0x100000 };

struct rig {
    struct gmem *ram;
    struct space *space;
    struct ports *ports;
    struct x86_vm *vm;
    struct x86_cpu *c;
};

#define RIG_CODE(name, bits, text)                                                                 \
    __asm__(".pushsection .rodata\n.code" #bits "\n" #name "_start:\n" text "\n" #name             \
            "_end:\n.code64\n.popsection\n");                                                      \
    extern const uint8_t name##_start[], name##_end[]

void rig_new(struct rig *r);
void rig_free(struct rig *r);
void rig_put(struct rig *r, uint64_t at, const void *bytes, size_t len);
uint64_t rig_get(struct rig *r, uint64_t at, unsigned size);
#define rig_code(r, at, name) rig_put(r, at, name##_start, (size_t)(name##_end - name##_start))

/*
 * Sets the processor up in a mode with flat segments at CPL 0 and rip = RIG_CODE_AT (real mode: CS
 * base = RIG_CODE_AT, IP 0), stack below RIG_STACK, interrupts off. Long mode maps the first GiB
 * one to one with 2 MiB pages.
 */
void rig_real(struct rig *r);
void rig_protected(struct rig *r);
void rig_long(struct rig *r);
/* Runs until HLT; fails the test when the processor stops for another reason. */
void rig_run(struct rig *r);

#endif
