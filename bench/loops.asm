; SPDX-License-Identifier: Apache-2.0
; A boot sector with one of five loops, for any PC: -DLOOP=1..5 -DCOUNT=rounds. It ends with
; Bochs' "Shutdown" on port 8900h and HLT.
;   1 registers   2 memory   3 calls   4 sieve (all 32-bit)   5 mixed 64-bit
bits 16
org 0x7c00
start:
    cli
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7c00
    in al, 0x92             ; A20
    or al, 2
    out 0x92, al
    lgdt [gdt_at]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp 8:protected
bits 32
protected:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x70000
%if LOOP = 5
    ; identity-mapped 2 MiB at 0, tables at 0x10000
    mov edi, 0x10000
    mov cr3, edi
    xor eax, eax
    mov ecx, 3 * 1024
    rep stosd
    mov dword [0x10000], 0x11003
    mov dword [0x11000], 0x12003
    mov dword [0x12000], 0x83
    mov eax, cr4
    or al, 0x20
    mov cr4, eax
    mov ecx, 0xc0000080
    rdmsr
    or ah, 1
    wrmsr
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp 24:long_mode
bits 64
long_mode:
%endif
    mov ebp, COUNT
again:
%if LOOP = 1
    mov ecx, 1000
.l: add eax, ecx
    rol eax, 3
    xor ebx, eax
    lea edx, [ebx + eax * 2 + 5]
    sub esi, edx
    test edx, 4
    jz .s
    inc edi
.s: dec ecx
    jnz .l
%elif LOOP = 2
    mov ecx, 1000
    mov esi, 0x20000
.l: mov eax, [esi + ecx * 4]
    add eax, [esi + 8]
    mov [esi + ecx * 4 + 4], eax
    add [esi], ecx
    movzx edx, byte [esi + ecx]
    mov [esi + 0x2000], edx
    dec ecx
    jnz .l
%elif LOOP = 3
    mov eax, 14
    call fib
%elif LOOP = 4
    mov edi, 0x20000
    mov ecx, 2048
    mov eax, 0x01010101
    rep stosd
    mov ebx, 2
.p: cmp byte [edi + ebx - 8192], 0
    je .n
    mov edx, ebx
.m: add edx, ebx
    cmp edx, 8192
    jae .n
    mov byte [edi + edx - 8192], 0
    jmp .m
.n: inc ebx
    cmp ebx, 91
    jb .p
%else
    mov ecx, 1000
    mov rsi, 0x20000
.l: mov rax, [rsi + rcx * 8]
    imul rax, rax, 31
    add rax, rcx
    mov [rsi + rcx * 8], rax
    shr rax, 7
    cmp rax, rdx
    cmova rdx, rax
    call .f
    dec rcx
    jnz .l
    jmp .e
.f: push rbx
    mov rbx, rax
    and ebx, 255
    add r8, rbx
    pop rbx
    ret
.e:
%endif
    dec ebp
    jnz again
    mov esi, text
    mov ecx, 8
    mov edx, 0x8900
.o: lodsb
    out dx, al
    dec ecx
    jnz .o
    hlt
%if LOOP = 3
fib:
    cmp eax, 2
    jb .r
    push eax
    dec eax
    call fib
    xchg eax, [esp]
    sub eax, 2
    call fib
    pop edx
    add eax, edx
.r: ret
%endif
text: db "Shutdown"
align 8
gdt: dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdt_at: dw 31
    dd gdt
    times 510 - ($ - $$) db 0
    dw 0xaa55
