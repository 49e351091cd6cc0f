; A multiboot kernel to be debugged: it counts, calls, halts and waits, with symbols for gdb.
bits 32
section .text
global _start, loop, tick, after
header: dd 0x1badb002, 0, -0x1badb002
_start: mov esp, stack
        mov eax, 0x12345678
        mov ebx, 0x42
loop:   inc dword [counter]
        call tick
after:  cmp dword [go], 0
        je loop
        mov al, 21              ; isa-debug-exit: status 43
        out 0xf4, al
        hlt
tick:   push ebp
        mov ebp, esp
        mov ecx, 3
        mov esi, counter
        mov edi, copy
        rep movsb
        pop ebp
        ret
section .data
global counter, go, copy
counter: dd 0
go:      dd 0
copy:    dd 0
section .bss
        resb 4096
stack:
