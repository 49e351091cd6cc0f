/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A multiboot kernel whose life depends on all that comes from outside: it mixes time, random
 * numbers, timer interrupts, what the other processor counts, bytes typed and sectors read into one
 * number. Letters: d reads a sector of the first IDE disk, w writes one, r resets the machine, q
 * says the number and ends by debug exit; others are echoed.
 */
    .code32
    .text
    .globl _start
    .align 4
header:
    .long 0x1badb002, 0, -0x1badb002

_start:
    cli
    mov $stack, %esp
    lgdt gdt_at
    ljmp $8, $1f
1:  mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    /* Interrupts: 0x20 is the timer's. */
    mov $timer, %eax
    mov $idt + 0x20 * 8, %edi
    mov %ax, (%edi)
    movw $8, 2(%edi)
    movw $0x8e00, 4(%edi)
    shr $16, %eax
    mov %ax, 6(%edi)
    lidt idt_at
    mov $0x11, %al
    out %al, $0x20
    mov $0x20, %al
    out %al, $0x21
    mov $4, %al
    out %al, $0x21
    mov $1, %al
    out %al, $0x21
    mov $0xfe, %al
    out %al, $0x21
    mov $0x34, %al          /* the PIT, 1 kHz */
    out %al, $0x43
    mov $0xa9, %al
    out %al, $0x40
    mov $4, %al
    out %al, $0x40
    /* The other processor. */
    mov $other, %esi
    mov $0x8000, %edi
    mov $other_end - other, %ecx
    rep movsb
    movl $0xc4500, 0xfee00300
    movl $0xc4608, 0xfee00300
    mov $greeting, %esi
greet:
    lodsb
    test %al, %al
    jz again
    call put
    jmp greet

again:
    sti
    hlt
    rdtsc
    call mix
    rdrand %eax
    call mix
    mov ticks, %eax
    call mix
    mov 0x9000, %eax
    call mix
    mov $50000, %ecx
spin:
    dec %ecx
    jnz spin
    mov $0x3fd, %dx
    in %dx, %al
    test $1, %al
    jz again
    mov $0x3f8, %dx
    in %dx, %al
    cmp $'q', %al
    je quit
    cmp $'d', %al
    je disk
    cmp $'w', %al
    je disk
    cmp $'r', %al
    je reset
    call put
    call mix
    jmp again

/* eax into the number. */
mix:
    mov number, %ebx
    xor %eax, %ebx
    imul $0x9e3779b1, %ebx
    mov %ebx, number
    ret

put:
    mov %al, %bl
1:  mov $0x3fd, %dx
    in %dx, %al
    test $0x20, %al
    jz 1b
    mov %bl, %al
    mov $0x3f8, %dx
    out %al, %dx
    ret

disk:
    mov %al, %bh
    mov $1, %al
    mov $0x1f2, %dx
    out %al, %dx
    incl sector
    mov sector, %al
    and $31, %al
    inc %dx
    out %al, %dx
    xor %al, %al
    inc %dx
    out %al, %dx
    inc %dx
    out %al, %dx
    mov $0xe0, %al
    inc %dx
    out %al, %dx
    mov $0x20, %al
    cmp $'d', %bh
    je 1f
    mov $0x30, %al
1:  inc %dx
    out %al, %dx
2:  in %dx, %al
    test $0x80, %al
    jnz 2b
    test $8, %al
    jz 2b
    mov $0x1f0, %dx
    mov $256, %ecx
    cmp $'d', %bh
    jne 4f
3:  xor %eax, %eax
    in %dx, %ax
    call mix
    loop 3b
    mov $'.', %al
    call put
    jmp again
4:  mov number, %ax
    add %cx, %ax
    out %ax, %dx
    loop 4b
    mov $',', %al
    call put
    jmp again

reset:
    mov $6, %al
    mov $0xcf9, %dx
    out %al, %dx
    hlt

quit:
    mov $8, %ecx
1:  roll $4, number
    mov number, %eax
    and $15, %eax
    mov digits(%eax), %al
    call put
    loop 1b
    mov $21, %al
    out %al, $0xf4
    jmp quit

timer:
    push %eax
    incl ticks
    mov $0x20, %al
    out %al, $0x20
    pop %eax
    iret

    .code16
other:
    xor %ax, %ax
    mov %ax, %ds
1:  lock incl 0x9000
    rdtsc
    xor %eax, 0x9004
    mov $100, %cx
2:  loop 2b
    pause
    jmp 1b
other_end:

    .align 8
gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_at:
    .word 23
    .long gdt
idt_at:
    .word 0x21 * 8 - 1
    .long idt
digits:
    .ascii "0123456789abcdef"
greeting:
    .asciz "hello "
    .data
    .align 8
ticks:
    .long 0
number:
    .long 1
sector:
    .long 0
idt:
    .fill 0x21 * 8, 1, 0
    .fill 1024, 1, 0
stack:
