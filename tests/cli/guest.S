/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest guest that can be talked to: a multiboot kernel that greets on the first serial
 * port and then does what it is told, one letter at a time. q ends with debug-exit status 43, t
 * with a triple fault, p spins; everything else is echoed.
 */
    .code32
    .section .text
    .globl _start
    .align 4
header:
    .long 0x1badb002, 0, -0x1badb002

_start:
    cli
    mov $greeting, %esi
greet:
    lodsb
    test %al, %al
    jz next
    call put
    jmp greet

next:
    mov $0x3fd, %dx
    in %dx, %al
    test $1, %al
    jz next
    mov $0x3f8, %dx
    in %dx, %al
    cmp $'q', %al
    je quit
    cmp $'t', %al
    je triple
    cmp $'p', %al
    je .
    call put
    jmp next

/* al to the port, once it can take it. */
put:
    mov %al, %bl
ready:
    mov $0x3fd, %dx
    in %dx, %al
    test $0x20, %al
    jz ready
    mov %bl, %al
    mov $0x3f8, %dx
    out %al, %dx
    ret

quit:
    mov $21, %al
    out %al, $0xf4
    jmp quit

triple:
    lidt nothing
    int3

    .align 4
nothing:
    .word 0
    .long 0
greeting:
    .asciz "guest ready\r\n"
