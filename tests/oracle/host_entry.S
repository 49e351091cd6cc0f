/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way into the tested code with every register loaded, and the way back with every register
 * saved. Offsets are those of struct orc_state.
 */
    .intel_syntax noprefix
    .bss
    .balign 64
    .globl orc_host_out
    .hidden orc_host_out
orc_host_out:
    .skip 1024
orc_host_rsp:
    .skip 8
orc_host_far:
    .skip 16
    .globl orc_host_fs
    .hidden orc_host_fs
orc_host_fs:
    .skip 8
    .globl orc_host_avx
    .hidden orc_host_avx
orc_host_avx:
    .skip 8

    .section .rodata
    .balign 16
default_mxcsr:
    .long 0x1f80

    .text
/* void orc_host_enter(const struct orc_state *in) */
    .globl orc_host_enter
    .hidden orc_host_enter
orc_host_enter:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    sub rsp, 8
    mov [rip + orc_host_rsp], rsp
    /* Serialise, because the code was written through another linear address. */
    mov rax, rsp
    mov ecx, ss
    push rcx
    push rax
    pushfq
    mov ecx, cs
    push rcx
    lea rcx, [rip + 1f]
    push rcx
    iretq
1:
    fxrstor64 [rdi + 192]
    cmp byte ptr [rip + orc_host_avx], 0
    je 2f
    vinsertf128 ymm0, ymm0, [rdi + 704 + 0], 1
    vinsertf128 ymm1, ymm1, [rdi + 704 + 16], 1
    vinsertf128 ymm2, ymm2, [rdi + 704 + 32], 1
    vinsertf128 ymm3, ymm3, [rdi + 704 + 48], 1
    vinsertf128 ymm4, ymm4, [rdi + 704 + 64], 1
    vinsertf128 ymm5, ymm5, [rdi + 704 + 80], 1
    vinsertf128 ymm6, ymm6, [rdi + 704 + 96], 1
    vinsertf128 ymm7, ymm7, [rdi + 704 + 112], 1
    vinsertf128 ymm8, ymm8, [rdi + 704 + 128], 1
    vinsertf128 ymm9, ymm9, [rdi + 704 + 144], 1
    vinsertf128 ymm10, ymm10, [rdi + 704 + 160], 1
    vinsertf128 ymm11, ymm11, [rdi + 704 + 176], 1
    vinsertf128 ymm12, ymm12, [rdi + 704 + 192], 1
    vinsertf128 ymm13, ymm13, [rdi + 704 + 208], 1
    vinsertf128 ymm14, ymm14, [rdi + 704 + 224], 1
    vinsertf128 ymm15, ymm15, [rdi + 704 + 240], 1
2:
    /* Loading a segment register is slow: not when the selector is there from the case before. */
    movzx eax, word ptr [rdi + 160]
    mov ecx, es
    cmp eax, ecx
    je 2f
    mov es, eax
2:
    movzx eax, word ptr [rdi + 166]
    mov ecx, ds
    cmp eax, ecx
    je 2f
    mov ds, eax
2:
    /* The base of a loaded selector stays when the state does not give another one. */
    movzx eax, word ptr [rdi + 168]
    mov ecx, fs
    or ecx, eax
    jz 2f
    mov fs, eax
    test eax, eax
    jnz 3f
2:
    mov rax, [rdi + 144]
    wrfsbase rax
3:
    movzx eax, word ptr [rdi + 170]
    mov ecx, gs
    or ecx, eax
    jz 2f
    mov gs, eax
    test eax, eax
    jnz 3f
2:
    mov rax, [rdi + 152]
    wrgsbase rax
3:
    mov rax, [rdi + 128]
    mov [rip + orc_host_far], rax
    movzx ecx, word ptr [rdi + 162]
    cmp ecx, 0x33
    je 4f
    mov [rip + orc_host_far + 4], ecx
4:
    push qword ptr [rdi + 136]
    cmp ecx, 0x33
    mov rax, [rdi + 0]
    mov rcx, [rdi + 8]
    mov rdx, [rdi + 16]
    mov rbx, [rdi + 24]
    mov rbp, [rdi + 40]
    mov rsi, [rdi + 48]
    mov r8, [rdi + 64]
    mov r9, [rdi + 72]
    mov r10, [rdi + 80]
    mov r11, [rdi + 88]
    mov r12, [rdi + 96]
    mov r13, [rdi + 104]
    mov r14, [rdi + 112]
    mov r15, [rdi + 120]
    jne 5f
    popfq
    mov rsp, [rdi + 32]
    mov rdi, [rdi + 56]
    jmp qword ptr [rip + orc_host_far]
5:
    popfq
    mov rsp, [rdi + 32]
    mov ss, word ptr [rdi + 164]
    mov rdi, [rdi + 56]
    jmp fword ptr [rip + orc_host_far]

/* The stub comes here, in 64-bit mode, with the tested registers. */
    .globl orc_host_leave
    .hidden orc_host_leave
orc_host_leave:
    mov [rip + orc_host_out + 0], rax
    mov [rip + orc_host_out + 32], rsp
    mov word ptr [rip + orc_host_out + 164], ss
    mov eax, 0x2b
    mov ss, eax
    mov rsp, [rip + orc_host_rsp]
    pushfq
    pop qword ptr [rip + orc_host_out + 136]
    push 0x202
    popfq
    mov [rip + orc_host_out + 8], rcx
    mov [rip + orc_host_out + 16], rdx
    mov [rip + orc_host_out + 24], rbx
    mov [rip + orc_host_out + 40], rbp
    mov [rip + orc_host_out + 48], rsi
    mov [rip + orc_host_out + 56], rdi
    mov [rip + orc_host_out + 64], r8
    mov [rip + orc_host_out + 72], r9
    mov [rip + orc_host_out + 80], r10
    mov [rip + orc_host_out + 88], r11
    mov [rip + orc_host_out + 96], r12
    mov [rip + orc_host_out + 104], r13
    mov [rip + orc_host_out + 112], r14
    mov [rip + orc_host_out + 120], r15
    mov word ptr [rip + orc_host_out + 160], es
    mov word ptr [rip + orc_host_out + 166], ds
    mov word ptr [rip + orc_host_out + 168], fs
    mov word ptr [rip + orc_host_out + 170], gs
    rdfsbase rax
    mov [rip + orc_host_out + 144], rax
    rdgsbase rax
    mov [rip + orc_host_out + 152], rax
    fxsave64 [rip + orc_host_out + 192]
    cmp byte ptr [rip + orc_host_avx], 0
    je 2f
    vextractf128 [rip + orc_host_out + 704 + 0], ymm0, 1
    vextractf128 [rip + orc_host_out + 704 + 16], ymm1, 1
    vextractf128 [rip + orc_host_out + 704 + 32], ymm2, 1
    vextractf128 [rip + orc_host_out + 704 + 48], ymm3, 1
    vextractf128 [rip + orc_host_out + 704 + 64], ymm4, 1
    vextractf128 [rip + orc_host_out + 704 + 80], ymm5, 1
    vextractf128 [rip + orc_host_out + 704 + 96], ymm6, 1
    vextractf128 [rip + orc_host_out + 704 + 112], ymm7, 1
    vextractf128 [rip + orc_host_out + 704 + 128], ymm8, 1
    vextractf128 [rip + orc_host_out + 704 + 144], ymm9, 1
    vextractf128 [rip + orc_host_out + 704 + 160], ymm10, 1
    vextractf128 [rip + orc_host_out + 704 + 176], ymm11, 1
    vextractf128 [rip + orc_host_out + 704 + 192], ymm12, 1
    vextractf128 [rip + orc_host_out + 704 + 208], ymm13, 1
    vextractf128 [rip + orc_host_out + 704 + 224], ymm14, 1
    vextractf128 [rip + orc_host_out + 704 + 240], ymm15, 1
2:
    mov dword ptr [rip + orc_host_out + 176], -1
    /* The signal handler comes here, with rsp anywhere. */
    .globl orc_host_resume
    .hidden orc_host_resume
orc_host_resume:
    mov eax, 0x2b
    mov ss, eax
    /* The other selectors mean nothing here, and orc_host_enter knows them. */
    mov rax, [rip + orc_host_fs]
    wrfsbase rax
    cmp byte ptr [rip + orc_host_avx], 0
    je 2f
    vzeroupper
2:
    fninit
    ldmxcsr [rip + default_mxcsr]
    mov rsp, [rip + orc_host_rsp]
    push 0x202
    popfq
    add rsp, 8
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
    .section .note.GNU-stack, "", @progbits
